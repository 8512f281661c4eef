//! `panda bench`: how fast the pipeline and the running system are on this machine.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use bench::figures::{Budget, Figure, Findings};
use bench::{Costs, Totals, Workload, latency, memory, pass, peak_rss_bytes, recovery, throughput};
use clap::{Args, Subcommand};
use markets::charges::Profile;
use serde::Serialize;
use tempfile::TempDir;

use super::print;
use crate::compose::BUILT_IN;

/// Measure how fast the pipeline and the running system are on this machine.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Ticks in memory through strategy, risk, engine, paper fills and portfolio
    #[command(
        after_help = "The workload is `ema_cross` 10/20 on ticks with market orders of quantity 1, every risk rule \
        asked at limits that never bind, no charges, fills at the signal's tick. Time is CPU time of the pipeline's thread, \
        from ticks in memory to events in the output buffer; the hash comes from a second pass. With --charges the hours and charges of \
        NSE are part of the workload, and the same ticks without them run in turn: the ratio of the two holds while the machine is busy.\n\nExamples:\n  \
        panda bench pipeline\n  panda bench pipeline --no-orders\n  panda bench pipeline --charges contract_note\n  panda bench pipeline --data ticks.csv --json"
    )]
    Pipeline(PipelineArgs),
    /// From a tick that a feed hands over to the order that an outside trader is handed
    #[command(
        after_help = "The system is what `panda run` starts, with a trader that fills at once. Beside it runs a bare chain of as many \
        hand-offs between threads, with the same primitives and, where the intent is durable, one fdatasync: the budget is its \
        figure of the same run and a margin.\n\nExamples:\n  panda bench latency\n  panda bench latency --durable --orders 1000 --json"
    )]
    Latency(LatencyArgs),
    /// Ticks through feed, runner and two brokers, everything logged and synced
    #[command(
        after_help = "Without --rate as many ticks as are taken without conflating any. Time runs until everything is durable and the \
        system has stopped.\n\nExamples:\n  panda bench throughput\n  panda bench throughput --for 60s --rate 100000"
    )]
    Throughput(ThroughputArgs),
    /// From a crash after a trading day to a system that is ready
    #[command(
        after_help = "Measured twice: with a snapshot each minute, as by default, the last of them 59 seconds old; and without any.\n\n\
        Examples:\n  panda bench recovery\n  panda bench recovery --ticks 5000000"
    )]
    Recovery(RecoveryArgs),
    /// Resident memory over simulated days of trading
    #[command(
        after_help = "The runner, two brokers and their logs under a clock of their own, with a snapshot each minute and two days of \
        logs kept.\n\nExamples:\n  panda bench memory\n  panda bench memory --days 30"
    )]
    Memory(MemoryArgs),
}

/// Where a benchmark's files are, and how its figures are shown.
#[derive(Debug, Args)]
struct Place {
    /// Where the data directories are made, and removed again: on the disk that is to be measured; default: the system's temporary directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct LatencyArgs {
    /// Only with intents made durable on the disk
    #[arg(long, conflicts_with = "memory")]
    durable: bool,
    /// Only without the disk
    #[arg(long)]
    memory: bool,
    /// Orders that count; default: 2000, and 500 where intents are durable
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    orders: Option<u32>,
    /// Ticks a second
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// Ticks from one order to the next; default: 10, and 40 where intents are durable
    #[arg(long, value_parser = clap::value_parser!(u64).range(2..=1_000_000))]
    gap: Option<u64>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct ThroughputArgs {
    /// For so long, such as 10s
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = super::run::duration)]
    span: Duration,
    /// Ticks a second; 0: as many as are taken
    #[arg(long, default_value_t = 0)]
    rate: u64,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct RecoveryArgs {
    /// Ticks of the day
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    ticks: u64,
    /// Ticks from one order to the next
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    gap: u64,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct MemoryArgs {
    /// Simulated days
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    days: u32,
    /// Ticks of each day
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    ticks: u64,
    /// Ticks from one order to the next
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    gap: u64,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct PipelineArgs {
    /// Ticks to run on instead of generated ones: CSV with ts_ns,symbol,price,size; every row as given, in file order
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Number of generated ticks
    #[arg(long, default_value_t = 1_000_000, conflicts_with = "data")]
    ticks: usize,
    /// Number of generated instruments
    #[arg(long, default_value_t = 10, conflicts_with = "data", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    instruments: u32,
    /// Let the strategy run without trading
    #[arg(long)]
    no_orders: bool,
    /// Add the market's hours and its charges in this profile, and compare with the figure without them
    #[arg(long, value_name = "PROFILE", conflicts_with_all = ["data", "no_orders"], value_parser = ["estimate", "contract_note"])]
    charges: Option<String>,
    /// Timed passes; the fastest counts; default: 5, and 25 in turn with --charges
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    passes: Option<u32>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Output {
    #[serde(flatten)]
    totals: Totals,
    cpu_seconds: f64,
    ticks_per_cpu_second: f64,
    peak_rss_bytes: u64,
    data_bytes: u64,
    log_hash: String,
}

/// Runs the command.
pub fn run(args: &BenchArgs) -> anyhow::Result<()> {
    match &args.command {
        BenchCommand::Pipeline(args) => pipeline(args),
        BenchCommand::Latency(args) => latency(args),
        BenchCommand::Throughput(args) => {
            let options = throughput::Options {
                span: args.span,
                rate: args.rate,
            };
            let figures = throughput::measure(BUILT_IN, fresh(&args.place)?.path(), &options)?;
            tell("throughput", figures, &args.place)
        }
        BenchCommand::Recovery(args) => {
            let options = recovery::Options {
                ticks: args.ticks,
                gap: args.gap,
            };
            let mut figures = Vec::new();
            for snapshots in [true, false] {
                let dir = fresh(&args.place)?;
                figures.extend(recovery::measure(
                    BUILT_IN,
                    dir.path(),
                    &options,
                    snapshots,
                )?);
            }
            tell("recovery", figures, &args.place)
        }
        BenchCommand::Memory(args) => {
            let options = memory::Options {
                days: args.days,
                ticks: args.ticks,
                gap: args.gap,
            };
            let figures = memory::measure(BUILT_IN, fresh(&args.place)?.path(), &options)?;
            tell("memory", figures, &args.place)
        }
    }
}

fn latency(args: &LatencyArgs) -> anyhow::Result<()> {
    let mut figures = Vec::new();
    for durable in [false, true] {
        if (durable && args.memory) || (!durable && args.durable) {
            continue;
        }
        let options = latency::Options {
            durable,
            orders: args.orders.unwrap_or(if durable { 500 } else { 2000 }) as usize,
            ticks_per_second: args.rate,
            gap: args.gap.unwrap_or(if durable { 40 } else { 10 }),
        };
        // Said before: a bar that moves would be measured with the rest.
        if !args.place.json && std::io::stderr().is_terminal() {
            let seconds = options.orders as u64 * options.gap / options.ticks_per_second + 1;
            let disk = if durable {
                "with intents durable"
            } else {
                "without the disk"
            };
            writeln!(
                std::io::stderr(),
                "{disk}: {} orders, some {seconds} s",
                options.orders
            )?;
        }
        figures.extend(latency::measure(
            BUILT_IN,
            fresh(&args.place)?.path(),
            &options,
        )?);
    }
    tell("latency", figures, &args.place)
}

/// A directory of its own, removed at the end.
fn fresh(place: &Place) -> anyhow::Result<TempDir> {
    let within = place.dir.clone().unwrap_or_else(std::env::temp_dir);
    let made = |within: &Path| {
        tempfile::Builder::new()
            .prefix("panda-bench-")
            .tempdir_in(within)
    };
    made(&within).with_context(|| format!("cannot make a directory in {}", within.display()))
}

fn tell(benchmark: &'static str, figures: Vec<Figure>, place: &Place) -> anyhow::Result<()> {
    let findings = Findings::new(benchmark, figures);
    if place.json {
        return print(&format!("{}\n", serde_json::to_string(&findings)?));
    }
    print(&findings.table())
}

fn pipeline(args: &PipelineArgs) -> anyhow::Result<()> {
    if let Some(profile) = &args.charges {
        return charged(args, profile.parse().map_err(anyhow::Error::msg)?);
    }
    let workload = match &args.data {
        Some(path) => Workload::read(path)?,
        None => Workload::generated(args.ticks, args.instruments)?,
    };
    let data_bytes = std::mem::size_of_val(workload.ticks.as_slice()) as u64;
    let passes = args.passes.unwrap_or(5);
    let output = measure(&workload, !args.no_orders, passes, data_bytes)?;
    if args.json {
        return print(&format!("{}\n", serde_json::to_string(&output)?));
    }
    show("pipeline", &output)?;
    if !args.no_orders {
        let idle = measure(&workload, false, passes, data_bytes)?;
        show("without orders", &idle)?;
        // The first tenth of the ticks, with a tenth of the orders: the cost of one must not grow.
        let tenth = workload.head(workload.ticks.len() / 10);
        let few = measure(&tenth, true, passes, data_bytes)?;
        let few_idle = measure(&tenth, false, passes, data_bytes)?;
        for (with, without) in [(&few, &few_idle), (&output, &idle)] {
            let orders = with.totals.orders;
            let cost = (with.cpu_seconds - without.cpu_seconds) / orders.max(1) as f64 * 1e9;
            print(&format!(
                "cost per order at {orders} orders: {cost:.0} ns, the marking of positions included\n"
            ))?;
        }
    }
    Ok(())
}

/// The workload with hours and charges, and without them in turn: a busy machine slows both.
fn charged(args: &PipelineArgs, profile: Profile) -> anyhow::Result<()> {
    let workload = Workload::on_an_exchange(args.ticks, args.instruments)?;
    let costs = [Costs::None, Costs::Market(profile)];
    let mut best: [Option<(Totals, f64)>; 2] = [None, None];
    // The ratio of two fastest passes is as good as the luckier one: few passes leave it to chance.
    for _ in 0..args.passes.unwrap_or(25) {
        for (costs, best) in costs.into_iter().zip(&mut best) {
            let (totals, seconds, _) = pass(BUILT_IN, &workload, true, costs, false)?;
            match best {
                Some((first, fastest)) => {
                    ensure!(
                        *first == totals,
                        "two passes over the same ticks differ: {first:?} and {totals:?}"
                    );
                    *fastest = fastest.min(seconds);
                }
                None => *best = Some((totals, seconds)),
            }
        }
    }
    let [(bare, bare_seconds), (with, seconds)] = best.map(Option::unwrap_or_default);
    ensure!(
        bare.orders == with.orders && bare.fills == with.fills,
        "hours or charges changed what was traded: {bare:?} and {with:?}"
    );
    let per_second = |seconds: f64| args.ticks as f64 / seconds.max(f64::MIN_POSITIVE);
    let (rate, bare_rate) = (per_second(seconds), per_second(bare_seconds));
    let figures = vec![
        Figure::told("ticks", args.ticks as f64, "ticks"),
        Figure::told("orders", with.orders as f64, "orders"),
        Figure::told("without hours and charges", bare_rate, "ticks/CPU s"),
        Figure::told(format!("with hours and {profile}"), rate, "ticks/CPU s"),
        Figure::held(
            "with them, of the figure without",
            rate / bare_rate * 100.0,
            Budget::AtLeast(90.0),
            "%",
        ),
    ];
    let findings = Findings::new("pipeline", figures);
    if args.json {
        let mut object = serde_json::to_value(&findings)?;
        object["charges"] = with.charges.into();
        return print(&format!("{object}\n"));
    }
    print(&findings.table())?;
    print(&format!(
        "charged: {} on {} orders\n",
        with.charges, with.orders
    ))
}

fn measure(
    workload: &Workload,
    orders: bool,
    passes: u32,
    data_bytes: u64,
) -> anyhow::Result<Output> {
    let mut best: Option<(Totals, f64)> = None;
    for _ in 0..passes {
        let (totals, seconds, _) = pass(BUILT_IN, workload, orders, Costs::None, false)?;
        if let Some((first, fastest)) = &mut best {
            ensure!(
                *first == totals,
                "two passes over the same ticks differ: {first:?} and {totals:?}"
            );
            *fastest = fastest.min(seconds);
        } else {
            best = Some((totals, seconds));
        }
    }
    let peak_rss_bytes = peak_rss_bytes();
    let (totals, cpu_seconds) = best.unwrap_or_default();
    let (hashed, _, log_hash) = pass(BUILT_IN, workload, orders, Costs::None, true)?;
    ensure!(
        hashed == totals,
        "the hashed pass differs: {hashed:?} and {totals:?}"
    );
    Ok(Output {
        ticks_per_cpu_second: if cpu_seconds > 0.0 {
            totals.ticks as f64 / cpu_seconds
        } else {
            0.0
        },
        totals,
        cpu_seconds,
        peak_rss_bytes,
        data_bytes,
        log_hash: log_hash.unwrap_or_default(),
    })
}

fn show(what: &str, o: &Output) -> anyhow::Result<()> {
    print(&format!(
        "{what}: {} ticks, {} orders, {} fills in {:.4} CPU s: {:.1} million ticks per CPU second\n  \
         cash flow {}, equity {}; peak memory {} MiB, of it {} MiB ticks; log hash {}\n",
        o.totals.ticks,
        o.totals.orders,
        o.totals.fills,
        o.cpu_seconds,
        o.ticks_per_cpu_second / 1e6,
        o.totals.cash_flow,
        o.totals.equity,
        o.peak_rss_bytes >> 20,
        o.data_bytes >> 20,
        o.log_hash
    ))
}
