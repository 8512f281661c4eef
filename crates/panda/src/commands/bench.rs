//! `panda bench`: how fast the pipeline is on this machine.

use std::path::PathBuf;

use anyhow::ensure;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::print;
use crate::bench::{Totals, Workload, pass, peak_rss_bytes};

/// Measure how fast the pipeline is on this machine.
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
        from ticks in memory to events in the output buffer; the hash comes from a second pass.\n\nExamples:\n  \
        panda bench pipeline\n  panda bench pipeline --no-orders\n  panda bench pipeline --data ticks.csv --json"
    )]
    Pipeline(PipelineArgs),
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
    /// Timed passes; the fastest counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    passes: u32,
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
    let BenchCommand::Pipeline(args) = &args.command;
    let workload = match &args.data {
        Some(path) => Workload::read(path)?,
        None => Workload::generated(args.ticks, args.instruments)?,
    };
    let data_bytes = std::mem::size_of_val(workload.ticks.as_slice()) as u64;
    let output = measure(&workload, !args.no_orders, args.passes, data_bytes)?;
    if args.json {
        return print(&format!("{}\n", serde_json::to_string(&output)?));
    }
    show("pipeline", &output)?;
    if !args.no_orders {
        let idle = measure(&workload, false, args.passes, data_bytes)?;
        show("without orders", &idle)?;
        // The first tenth of the ticks, with a tenth of the orders: the cost of one must not grow.
        let tenth = workload.head(workload.ticks.len() / 10);
        let few = measure(&tenth, true, args.passes, data_bytes)?;
        let few_idle = measure(&tenth, false, args.passes, data_bytes)?;
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

fn measure(
    workload: &Workload,
    orders: bool,
    passes: u32,
    data_bytes: u64,
) -> anyhow::Result<Output> {
    let mut best: Option<(Totals, f64)> = None;
    for _ in 0..passes {
        let (totals, seconds, _) = pass(workload, orders, false)?;
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
    let (hashed, _, log_hash) = pass(workload, orders, true)?;
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
