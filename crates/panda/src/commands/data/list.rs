//! `panda data list`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use feeds::Catalogue;
use feeds::report::write_table;
use model::{Date, Timestamp};

use super::{print, print_json};

/// List what a catalogue holds: series, instruments, days, rows
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  panda data list --catalogue data/catalogue")]
pub struct ListArgs {
    /// The catalogue's directory
    #[arg(long, value_name = "DIR")]
    catalogue: PathBuf,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

struct Entry {
    series: String,
    instrument: String,
    days: Vec<Date>,
    rows: u64,
    first: Timestamp,
    last: Timestamp,
}

pub(super) fn run(args: &ListArgs) -> anyhow::Result<()> {
    let catalogue = Catalogue::open(&args.catalogue)?;
    let mut entries: BTreeMap<(String, String), Entry> = BTreeMap::new();
    for partition in catalogue
        .sources()?
        .into_iter()
        .flat_map(|source| source.partitions)
    {
        let key = (partition.series.clone(), partition.instrument.clone());
        let entry = entries.entry(key).or_insert_with(|| Entry {
            series: partition.series,
            instrument: partition.instrument,
            days: Vec::new(),
            rows: 0,
            first: partition.first,
            last: partition.last,
        });
        entry.days.push(partition.day);
        entry.rows += partition.rows;
        entry.first = entry.first.min(partition.first);
        entry.last = entry.last.max(partition.last);
    }
    let mut entries: Vec<Entry> = entries.into_values().collect();
    entries.iter_mut().for_each(|entry| entry.days.sort());
    if args.json {
        let days = |entry: &Entry| {
            entry
                .days
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        let entries: Vec<_> = entries
            .iter()
            .map(|entry| {
                serde_json::json!({
                    "series": entry.series, "instrument": entry.instrument, "days": days(entry),
                    "rows": entry.rows, "first": entry.first.to_string(), "last": entry.last.to_string(),
                })
            })
            .collect();
        return print_json(
            &serde_json::json!({ "time_zone": catalogue.time_zone(), "series": entries }),
        );
    }
    let head = ["instrument", "series", "days", "rows", "first", "last"]
        .map(str::to_owned)
        .to_vec();
    let mut rows = vec![head];
    rows.extend(entries.iter().map(|entry| {
        vec![
            entry.instrument.clone(),
            entry.series.clone(),
            entry.days.len().to_string(),
            entry.rows.to_string(),
            entry.first.to_string(),
            entry.last.to_string(),
        ]
    }));
    let mut text = String::new();
    write_table(&mut text, &rows)?;
    text.push_str(&format!("days of {}\n", catalogue.time_zone()));
    print(&text)
}
