//! The commands.

use std::io::{ErrorKind, Write};

use anyhow::Context;

pub mod backtest;
pub mod bench;
pub mod data;
pub mod demo;
pub mod strategies;

/// Writes to stdout. A reader that has seen enough, such as `head`, is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to the standard output")
        }
        _ => Ok(()),
    }
}
