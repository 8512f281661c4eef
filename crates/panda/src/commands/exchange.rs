//! `panda exchange`: the simulated exchange as a process of its own.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use model::trader::Delivery;
use sim::server::{Faults, Mode, ServeOptions, serve};

use super::{Interrupt, print};

/// Serve the simulated exchange to other processes, and look into its books.
#[derive(Debug, Args)]
pub struct ExchangeArgs {
    #[command(subcommand)]
    command: ExchangeCommand,
}

#[derive(Debug, Subcommand)]
enum ExchangeCommand {
    /// Serve it on a socket until a termination signal comes
    #[command(
        after_help = "Brokers of kind `sim` trade on it with connect = \"unix:PATH\" in their settings, each with an account of \
        its own. With faults it loses, delays and repeats requests, answers and reports and drops connections: a function of \
        the seed, of an order's id and of the attempt.\n\nExamples:\n  \
        panda exchange serve --socket /tmp/exchange.sock\n  \
        panda exchange serve --socket /tmp/exchange.sock --lockstep --faults 7"
    )]
    Serve(ServeArgs),
    /// Print the books of every account of a served exchange as JSON
    Books(BooksArgs),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Where to listen; a socket that nobody serves is replaced
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// Match orders on the data that the client replays, input by input, instead of on a market of its own
    #[arg(long)]
    lockstep: bool,
    /// Whether an order may be presented again; must be that of the trader
    #[arg(long, value_enum, default_value_t = DeliveryArg::Idempotent)]
    delivery: DeliveryArg,
    /// Let things go wrong, as this seed wants it
    #[arg(long, value_name = "SEED")]
    faults: Option<u64>,
    /// Share of requests that go wrong, in percent
    #[arg(long, value_name = "N", default_value_t = 20, requires = "faults", value_parser = clap::value_parser!(u8).range(0..=90))]
    fault_percent: u8,
    /// Share of executions that are reported as what they cannot have been, in percent
    #[arg(long, value_name = "N", default_value_t = 0, requires = "faults", value_parser = clap::value_parser!(u8).range(0..=100))]
    nonsense: u8,
    /// Seed of the market, and of delays in lockstep
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Changes of each book a second
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "lockstep", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    changes_per_second: u32,
    /// In lockstep, report up to so many inputs later
    #[arg(long, value_name = "INPUTS", default_value_t = 0, requires = "lockstep", value_parser = clap::value_parser!(u32).range(0..=1000))]
    report_delay: u32,
    /// In lockstep, fill a quarter of the orders of an even quantity in two halves
    #[arg(long, requires = "lockstep")]
    partial_fills: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DeliveryArg {
    /// Presenting an order twice gives one order
    Idempotent,
    /// A second presentation is a violation, which the books show
    #[value(name = "query_only", alias = "query-only")]
    QueryOnly,
}

#[derive(Debug, Args)]
struct BooksArgs {
    /// Where the exchange listens
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
}

/// Runs the command.
pub fn run(args: &ExchangeArgs) -> anyhow::Result<()> {
    match &args.command {
        ExchangeCommand::Serve(args) => run_serve(args),
        ExchangeCommand::Books(args) => {
            let books = sim::dump(&args.socket)
                .with_context(|| format!("cannot read books from {}", args.socket.display()))?;
            print(&format!("{}\n", serde_json::to_string_pretty(&books)?))
        }
    }
}

fn run_serve(args: &ServeArgs) -> anyhow::Result<()> {
    let options = ServeOptions {
        socket: args.socket.clone(),
        mode: if args.lockstep {
            Mode::Lockstep
        } else {
            Mode::Own
        },
        delivery: match args.delivery {
            DeliveryArg::Idempotent => Delivery::Idempotent,
            DeliveryArg::QueryOnly => Delivery::QueryOnly,
        },
        faults: args.faults.map(|seed| Faults {
            seed,
            percent: args.fault_percent,
            nonsense: args.nonsense,
        }),
        seed: args.seed,
        changes_per_second: args.changes_per_second,
        report_delay: args.report_delay,
        partial_fills: args.partial_fills,
    };
    let interrupt = Interrupt::listen()?;
    serve(options, interrupt.flag())
        .with_context(|| format!("cannot serve {}", args.socket.display()))
}
