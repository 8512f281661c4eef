//! `panda data`: raw files into the catalogue, and a look at what is in it.

mod import;
mod list;
mod show;

use std::path::Path;

use clap::{Args, Subcommand};
use model::Instruments;
use model::session::Sessions;

use super::print;

/// Makes the calendar of instruments from the settings file, or from the built-in settings, with a text that
/// describes it completely: when it changes, files are imported again.
pub type SessionsFor<'a> =
    &'a dyn Fn(Option<&Path>, &Instruments) -> anyhow::Result<(Box<dyn Sessions>, String)>;

/// Import market data, and look at it.
#[derive(Debug, Args)]
pub struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Clean raw CSV files and keep them as Parquet, by day and instrument
    Import(import::ImportArgs),
    /// List what a catalogue holds
    List(list::ListArgs),
    /// Show rows of one instrument
    Show(show::ShowArgs),
}

/// Runs the command; data goes to stdout, progress and notes to stderr.
pub fn run(args: &DataArgs, sessions_for: SessionsFor<'_>) -> anyhow::Result<()> {
    match &args.command {
        DataCommand::Import(args) => import::run(args, sessions_for),
        DataCommand::List(args) => list::run(args),
        DataCommand::Show(args) => show::run(args),
    }
}

/// Prints a value as JSON.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}
