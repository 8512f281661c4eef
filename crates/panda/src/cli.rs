//! The command line.

use clap::{CommandFactory, Parser, Subcommand};
use session::control::Action;

use crate::commands::{
    backtest, bench, charges, config, control, data, demo, dlq, exchange, journal, market, report,
    run as trade, strategies, trace,
};

/// Algorithmic trading on several brokers: one deterministic pipeline, from backtest to live.
#[derive(Debug, Parser)]
#[command(
    name = "panda",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "First steps:\n  panda run                       trade on paper on a simulated exchange\n  panda demo                      backtest generated data and write a report\n  panda strategies                the kinds of strategies and their parameters\n  panda backtest --help           backtest your own data"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generate a small market and backtest sample strategies on it
    Demo(demo::DemoArgs),
    /// Trade: the whole system in this process
    Run(trade::RunArgs),
    /// Look at everything that a start would, and start nothing
    Doctor(trade::DoctorArgs),
    /// How a running session is: stages, queues, positions, orders
    Status(control::StatusArgs),
    /// Stop a running session in good order
    Stop(control::Place),
    /// Keep brokers from increasing exposure, and cancel working entries
    Halt(control::Target),
    /// Let brokers trade again
    Resume(control::ResumeArgs),
    /// Keep brokers from increasing exposure; working orders stay
    ReduceOnly(control::Target),
    /// Let a strategy of a running session trade, or keep it from it
    #[command(subcommand)]
    Strategy(control::StrategyCommand),
    /// Cancel or resolve orders of a running session
    #[command(subcommand)]
    Order(control::OrderCommand),
    /// Close positions of a running session
    SquareOff(control::SquareOffArgs),
    /// Backtest strategies over recorded ticks or bars
    Backtest(backtest::BacktestArgs),
    /// Import market data, and look at it
    Data(data::DataArgs),
    /// List the kinds of strategies with their parameters, or check definitions
    Strategies(strategies::StrategiesArgs),
    /// When markets are open, and what is known of it
    Market(market::MarketArgs),
    /// What a trade costs, with the source of every rate
    Charges(charges::ChargesArgs),
    /// Serve the simulated exchange to other processes, and look into its books
    Exchange(exchange::ExchangeArgs),
    /// Write example settings, show what is in effect, or check it
    Config(config::ConfigArgs),
    /// Verify, show and measure the durable logs
    Journal(journal::JournalArgs),
    /// Write what a backtest writes about a day, a range or all of what was traded
    Report(report::ReportArgs),
    /// Show the whole life of one decision, over all brokers
    Trace(trace::TraceArgs),
    /// Look at what could not be taken (dead letters), have it taken again, or drop it
    Dlq(dlq::DlqArgs),
    /// Measure how fast the pipeline and the running system are on this machine
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
        Command::Run(args) => trade::run(&args),
        Command::Doctor(args) => trade::doctor(&args),
        Command::Status(args) => control::status(&args),
        Command::Stop(at) => control::stop(&at),
        Command::Halt(target) => control::command(&target, Action::Halt),
        Command::Resume(args) => control::resume(&args),
        Command::ReduceOnly(target) => control::command(&target, Action::ReduceOnly),
        Command::Strategy(action) => control::strategy(&action),
        Command::Order(action) => control::order(&action),
        Command::SquareOff(args) => control::square_off(&args),
        Command::Backtest(args) => backtest::run(&args),
        Command::Data(args) => data::run(&args, &|path, instruments| {
            let settings = settings::Settings::load(path)?;
            let sessions = settings.sessions(instruments)?;
            let text = settings.markets.text();
            Ok((
                Box::new(sessions) as Box<dyn model::session::Sessions>,
                text,
            ))
        }),
        Command::Market(args) => market::run(&args),
        Command::Charges(args) => charges::run(&args),
        Command::Strategies(args) => strategies::run(&args),
        Command::Exchange(args) => exchange::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Journal(args) => journal::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Trace(args) => trace::run(&args),
        Command::Dlq(args) => dlq::run(&args),
        Command::Bench(args) => bench::run(&args),
    }
}
