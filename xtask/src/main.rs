//! The project's own tasks: checks, generated pages, test suites.

mod ci;
mod coverage;
mod provision;
mod reference;
mod reliability;
mod skips;
mod suites;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::ensure;
use clap::{CommandFactory, Parser, Subcommand};

use suites::Suite;

/// The project's own tasks.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    arg_required_else_help = true,
    after_help = "Day by day:\n  \
        cargo xtask test unit     after a change\n  \
        cargo xtask tidy          before a commit: each finding says why and what to do\n  \
        cargo xtask generate      when a command, a setting, a rule or a strategy has changed\n  \
        cargo xtask ci            before a change is handed in: all that CI runs"
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check what the compiler cannot know
    ///
    /// The direction of dependencies; calls and names that pure crates may not use; freshness of
    /// generated pages; commands, paths and links in the documents; unfinished work, long files and
    /// stray white space. Each finding names its place, the reason of the rule and the fix.
    Tidy,
    /// Write the generated reference pages below docs/reference
    Generate,
    /// Install what the tests need, and run a suite
    ///
    /// Prints what each suite came to at the end. Tests of real market data look for it at
    /// ../shared/data and say so when they skip; what may be skipped is listed in xtask/skips.txt.
    Test {
        /// The suite
        suite: Suite,
        /// The seed of `reliability`, in place of a fixed one and the commit's
        #[arg(long)]
        seed: Option<u64>,
        /// How much of `reliability`, in percent; `all` runs ten
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
        percent: Option<u64>,
    },
    /// Run the embedded system under a virtual clock, crashed and cut off as each seed says
    ///
    /// Built for release. A failure prints its seed; `--seeds 1 --from SEED` runs that one again.
    Simulate {
        /// How many seeds
        #[arg(long, default_value_t = 1_000)]
        seeds: u64,
        /// The first seed
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Print calls, answers, reports and crashes as they happen
        #[arg(long)]
        trace: bool,
    },
    /// Run everything that CI runs: fmt, clippy, tidy, deny, all tests, documentation, the demo
    Ci,
    /// List error paths of journal, runtime, pipeline and traders that no test runs
    ///
    /// By hand, not in CI: it builds the tests once more. Needs the compiler's own tools: `rustup
    /// component add llvm-tools`. Those that are left stand with their reasons in xtask/uncovered.txt.
    Coverage,
    /// Install what the tests need
    Provision,
}

/// The command tree, against which documents are checked.
fn command() -> clap::Command {
    Cli::command()
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Tidy => tidy::run(),
        Task::Generate => reference::generate(),
        Task::Test {
            suite,
            seed,
            percent,
        } => {
            ensure!(
                suite == Suite::Reliability || (seed.is_none() && percent.is_none()),
                "--seed and --percent belong to the suite `reliability`; `cargo xtask simulate --from SEED` runs seeds of the simulation"
            );
            let outcomes = suites::run(suite, reliability::Wish { seed, percent })?;
            suites::print_totals(&outcomes);
            ensure!(
                outcomes.iter().all(|outcome| outcome.is_passed),
                "tests failed"
            );
            Ok(())
        }
        Task::Simulate { seeds, from, trace } => suites::simulate(seeds, from, trace),
        Task::Ci => ci::run(),
        Task::Coverage => coverage::run(),
        Task::Provision => provision::run(),
    }
}
