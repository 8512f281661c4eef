//! `panda journal`: the durable logs of a system, verified, shown and measured, also while it runs.

mod dump;
mod forget;
mod stats;
pub mod verify;

use clap::{Args, Subcommand};

use super::place::Place;

/// Verify, show and measure the durable logs, also while a system runs; only `forget` changes anything.
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
    /// Accept that a log is gone, so that the next start begins it anew
    Forget(forget::ForgetArgs),
}

/// Runs the command.
pub fn run(args: &JournalArgs) -> anyhow::Result<()> {
    match &args.command {
        JournalCommand::Verify(args) => {
            let again = |place: &Place, broker: &str| {
                let mut settings = place.settings.clone();
                settings.live.data_dir.clone_from(&place.dir);
                session::decide_again(&settings, broker, crate::compose::BUILT_IN)
            };
            verify::run(args, args.replay.then_some(&again))
        }
        JournalCommand::Dump(args) => dump::run(args),
        JournalCommand::Stats(args) => stats::run(args),
        JournalCommand::Forget(args) => forget::run(args),
    }
}
