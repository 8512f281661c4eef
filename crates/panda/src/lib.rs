//! The panda binary's parts: the command line and the composition root.

pub mod cli;
pub mod commands;
pub mod compose;
pub mod exit;
pub mod logging;
