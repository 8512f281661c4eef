//! The command line.

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{backtest, bench, config, data, demo, dlq, exchange, journal, strategies, trace};

/// Algorithmic trading on several brokers: one deterministic pipeline, from backtest to live.
#[derive(Debug, Parser)]
#[command(
    name = "panda",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "First steps:\n  panda demo                      backtest generated data and write a report\n  panda strategies                the kinds of strategies and their parameters\n  panda backtest --help           backtest your own data"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generate a small market and backtest sample strategies on it
    Demo(demo::DemoArgs),
    /// Backtest strategies over recorded ticks or bars
    Backtest(backtest::BacktestArgs),
    /// Import market data, and look at it
    Data(data::DataArgs),
    /// List the kinds of strategies with their parameters, or check definitions
    Strategies(strategies::StrategiesArgs),
    /// Serve the simulated exchange to other processes, and look into its books
    Exchange(exchange::ExchangeArgs),
    /// Write example settings, show what is in effect, or check it
    Config(config::ConfigArgs),
    /// Verify, show and measure the durable logs
    Journal(journal::JournalArgs),
    /// Show the whole life of one decision, over all brokers
    Trace(trace::TraceArgs),
    /// Look at what could not be taken (dead letters), have it taken again, or drop it
    Dlq(dlq::DlqArgs),
    /// Measure how fast the pipeline is on this machine
    Bench(bench::BenchArgs),
}

/// The command tree, for generated documentation.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the arguments and runs the command.
pub fn run() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Backtest(args) => backtest::run(&args),
        Command::Data(args) => data::run(&args, &|path| {
            let settings = crate::settings::Settings::load(path)?;
            let table = settings.session_table()?;
            let text = table.text().to_owned();
            Ok((Box::new(table) as Box<dyn model::session::Sessions>, text))
        }),
        Command::Strategies(args) => strategies::run(&args),
        Command::Exchange(args) => exchange::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Journal(args) => journal::run(&args),
        Command::Trace(args) => trace::run(&args),
        Command::Dlq(args) => dlq::run(&args),
        Command::Bench(args) => bench::run(&args),
    }
}

/// An error with its causes, for people. What a message has said already its cause does not repeat.
pub fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let said = cause.to_string();
        if text.is_empty() {
            text = said;
        } else if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
    }
    text
}
