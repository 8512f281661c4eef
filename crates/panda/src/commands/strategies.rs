//! `panda strategies`: the kinds, and a check of definitions.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use session::check_strategies;

use super::print;
use crate::compose::{BUILT_IN, kind_registry};

/// List the kinds of strategies with their parameters, or check definitions.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  panda strategies\n  panda strategies --check examples/nse/strategies.yaml --instruments examples/nse/instruments.csv"
)]
pub struct StrategiesArgs {
    /// Definitions to check instead (YAML)
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "instruments")]
    check: Vec<PathBuf>,
    /// The instruments that the definitions may name
    #[arg(long, value_name = "FILE")]
    instruments: Option<PathBuf>,
    /// Settings (TOML) of the start that the check is for; without it those of `panda run`
    #[arg(long, value_name = "FILE", requires = "check")]
    config: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &StrategiesArgs) -> anyhow::Result<()> {
    let kinds = kind_registry();
    let Some(instruments) = args.instruments.as_ref().filter(|_| !args.check.is_empty()) else {
        return print(&strategies::reference_markdown(&kinds));
    };
    let settings = super::run::settings(args.config.as_deref(), &[], None, &args.check)?;
    let book = settings.markets.rule_book(None);
    let instruments = feeds::load_instruments(instruments, &book).context("--instruments")?;
    let mut text = String::new();
    for strategy in check_strategies(&settings, instruments, BUILT_IN)? {
        writeln!(
            text,
            "{}: {} on {} instruments{}",
            strategy.id(),
            strategy.kind().name,
            strategy.instruments.len(),
            if strategy.enabled() { "" } else { ", disabled" }
        )?;
    }
    print(&text)
}
