//! `panda journal stats`.

use std::fmt::Write as _;

use clap::Args;
use feeds::report::write_table;
use inspect::stats::{self, LogStats};
use serde_json::{Map, Value, json};

use super::super::place::{PlaceArgs, bytes};
use super::super::print;

/// Count events and measure how fast the logs grow
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  panda journal stats\n  panda journal stats --config panda.toml --json"
)]
pub struct StatsArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Only this namespace's journal
    #[arg(long, value_name = "NAME")]
    broker: Option<String>,
    /// Print one JSON object per log
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &StatsArgs) -> anyhow::Result<()> {
    let place = args.place.open()?;
    let day = place.settings.trading_day.day()?;
    let mut all = Vec::new();
    for log in place.chosen_logs(args.broker.as_deref())? {
        let stats = stats::read(log.as_ref(), &|at| day.day(at).date)?;
        all.push((log.name().to_owned(), stats));
    }
    if args.json {
        for (name, stats) in &all {
            print(&format!("{}\n", as_json(name, stats)))?;
        }
        return Ok(());
    }
    print(&text(&all)?)
}

fn as_json(name: &str, stats: &LogStats) -> Value {
    let days: Map<String, Value> = stats
        .days
        .iter()
        .map(|(day, d)| (day.to_string(), json!(d.bytes)))
        .collect();
    json!({
        "log": name, "records": stats.records, "starts": stats.starts, "inputs": stats.inputs,
        "events": stats.events, "bytes": stats.bytes,
        "first_day": stats.days.keys().next().map(ToString::to_string),
        "last_day": stats.days.keys().next_back().map(ToString::to_string),
        "bytes_by_day": days, "gb_per_day": stats::gb_per_day(&stats.days),
    })
}

fn text(all: &[(String, LogStats)]) -> anyhow::Result<String> {
    let head = [
        "log",
        "records",
        "starts",
        "inputs",
        "events",
        "bytes",
        "first day",
        "last day",
        "GB a day",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let dash = || "-".to_owned();
    for (name, stats) in all {
        let events: u64 = stats.events.values().sum();
        let mut days = stats.days.keys();
        let first = days.next();
        rows.push(vec![
            name.clone(),
            stats.records.to_string(),
            stats.starts.to_string(),
            stats.inputs.to_string(),
            events.to_string(),
            bytes(stats.bytes),
            first.map_or_else(dash, ToString::to_string),
            days.next_back()
                .or(first)
                .map_or_else(dash, ToString::to_string),
            stats::gb_per_day(&stats.days).map_or_else(dash, |gb| format!("{gb:.3}")),
        ]);
    }
    let mut text = String::new();
    write_table(&mut text, &rows)?;
    for (name, stats) in all {
        if !stats.events.is_empty() {
            writeln!(text, "\nevents of {name}")?;
            let rows = stats.events.iter();
            let rows: Vec<Vec<String>> = rows
                .map(|(kind, count)| vec![format!("  {kind}"), count.to_string()])
                .collect();
            write_table(&mut text, &rows)?;
        }
    }
    let mut days: Vec<Vec<String>> = Vec::new();
    for (name, stats) in all {
        for (day, d) in &stats.days {
            days.push(vec![format!("  {name}"), day.to_string(), bytes(d.bytes)]);
        }
    }
    if !days.is_empty() {
        text.push_str("\nbytes by trading day\n");
        write_table(&mut text, &days)?;
    }
    Ok(text)
}
