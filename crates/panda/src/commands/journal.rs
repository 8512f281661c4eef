//! `panda journal`: the durable logs of a system, verified, shown and measured, also while it runs.

mod dump;
mod stats;
pub mod verify;

use clap::{Args, Subcommand};

/// Verify, show and measure the durable logs; nothing is changed, and a running system is not disturbed.
#[derive(Debug, Args)]
pub struct JournalArgs {
    #[command(subcommand)]
    command: JournalCommand,
}

#[derive(Debug, Subcommand)]
enum JournalCommand {
    /// Check every checksum and every record of every log
    Verify(verify::VerifyArgs),
    /// Print events as JSON lines
    Dump(dump::DumpArgs),
    /// Count events and measure how fast the logs grow
    Stats(stats::StatsArgs),
}

/// Runs the command.
pub fn run(args: &JournalArgs) -> anyhow::Result<()> {
    match &args.command {
        JournalCommand::Verify(args) => verify::run(args, None),
        JournalCommand::Dump(args) => dump::run(args),
        JournalCommand::Stats(args) => stats::run(args),
    }
}
