//! `panda data show`.

use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use feeds::catalogue::manifest::PartitionEntry;
use feeds::clock::time_zone;
use feeds::report::write_table;
use feeds::{Catalogue, Partition, Series};
use jiff::tz::TimeZone;
use model::{Date, InstrumentIdx, Timestamp};
use serde_json::{Map, Value};

use super::{print, print_json};

/// Show rows of one instrument
///
/// Without --date the first day is shown. The table's times are in the catalogue's zone; CSV and JSON
/// hold nanoseconds since 1970-01-01 UTC, and the CSV can be imported again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  panda data show --catalogue data/catalogue NSE:RELIANCE
  panda data show --catalogue data/catalogue RELIANCE --date 2021-04-16 --csv > reliance.csv")]
pub struct ShowArgs {
    /// Canonical id, or the symbol where one exchange lists it
    instrument: String,
    /// The catalogue's directory
    #[arg(long, value_name = "DIR")]
    catalogue: PathBuf,
    /// The day
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
    /// `ticks` or `bars/1m` and the like, where the catalogue holds several
    #[arg(long, value_name = "SERIES")]
    series: Option<String>,
    /// How many rows; in CSV and JSON all, where not given
    #[arg(long, value_name = "N")]
    head: Option<usize>,
    /// Print as JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print as CSV
    #[arg(long)]
    csv: bool,
}

/// Rows of a table, where not told otherwise.
const HEAD: usize = 20;

pub(super) fn run(args: &ShowArgs) -> anyhow::Result<()> {
    let catalogue = Catalogue::open(&args.catalogue)?;
    let all: Vec<PartitionEntry> = catalogue
        .sources()?
        .into_iter()
        .flat_map(|source| source.partitions)
        .collect();
    let entry = choose(args, &all)?;
    let series = Series::parse(&entry.series).context("unknown series in the catalogue")?;
    let partition = catalogue
        .read_day(
            series,
            &entry.instrument,
            entry.day,
            InstrumentIdx::default(),
        )?
        .context("the day has just been replaced; try again")?;
    let limit = args.head.unwrap_or(if args.csv || args.json {
        usize::MAX
    } else {
        HEAD
    });
    let rows = partition.len().min(limit);
    if args.json {
        let rows: Vec<Value> = (0..rows).map(|row| json_row(&partition, row)).collect();
        return print_json(&rows);
    }
    if args.csv {
        return print_csv(&partition, &entry.instrument, rows);
    }
    let zone = time_zone(catalogue.time_zone())?;
    let mut table = vec![
        columns(series)
            .map(|(name, _)| name.to_owned())
            .collect::<Vec<_>>(),
    ];
    table.extend((0..rows).map(|row| {
        columns(series)
            .map(|(_, column)| cell(&partition, column, row, Some(&zone)))
            .collect()
    }));
    let mut text = String::new();
    write_table(&mut text, &table)?;
    text.push_str(&format!(
        "{} {} on {}: {rows} of {} rows, times of {}\n",
        entry.instrument,
        entry.series,
        entry.day,
        partition.len(),
        catalogue.time_zone(),
    ));
    print(&text)
}

fn choose<'a>(args: &ShowArgs, all: &'a [PartitionEntry]) -> anyhow::Result<&'a PartitionEntry> {
    let mut ids: Vec<&str> = all.iter().map(|entry| entry.instrument.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let symbol = |id: &&&str| {
        id.split_once(':')
            .is_some_and(|(_, symbol)| symbol == args.instrument)
    };
    let id = match ids.iter().find(|id| **id == args.instrument) {
        Some(id) => *id,
        None => match ids.iter().filter(symbol).collect::<Vec<_>>().as_slice() {
            [id] => **id,
            [] => bail!(
                "the catalogue holds no `{}`; see `panda data list --catalogue {}`",
                args.instrument,
                args.catalogue.display()
            ),
            several => bail!(
                "`{}` is listed more than once ({several:?}): write the whole id",
                args.instrument
            ),
        },
    };
    let date = match &args.date {
        Some(text) => Some(
            Date::parse(text)
                .with_context(|| format!("--date: `{text}` is not a date; write YYYY-MM-DD"))?,
        ),
        None => None,
    };
    let mut found: Vec<&PartitionEntry> = all
        .iter()
        .filter(|entry| entry.instrument == id)
        .filter(|entry| {
            args.series
                .as_ref()
                .is_none_or(|series| entry.series == *series)
        })
        .collect();
    found.sort_by(|a, b| (a.day, &a.series).cmp(&(b.day, &b.series)));
    let mut series: Vec<&str> = found.iter().map(|entry| entry.series.as_str()).collect();
    series.sort_unstable();
    series.dedup();
    if series.len() > 1 {
        bail!(
            "the catalogue holds {} of {id}: choose one with --series",
            series.join(" and ")
        );
    }
    let days: Vec<String> = found.iter().map(|entry| entry.day.to_string()).collect();
    found
        .into_iter()
        .find(|entry| date.is_none_or(|date| entry.day == date))
        .ok_or_else(|| match (&args.series, days.is_empty()) {
            (Some(series), true) => anyhow!("the catalogue holds no {series} of {id}"),
            _ => anyhow!(
                "the catalogue holds no such day of {id}; it holds {}",
                days.join(", ")
            ),
        })
}

/// Names of the columns; the time is column `None`.
fn columns(series: Series) -> impl Iterator<Item = (&'static str, Option<usize>)> {
    let values = series
        .columns()
        .iter()
        .enumerate()
        .map(|(at, name)| (*name, Some(at)));
    std::iter::once((series.time_column(), None)).chain(values)
}

fn is_time(series: Series, column: Option<usize>) -> bool {
    column.is_none() || (matches!(series, Series::Bars(_)) && column == Some(0))
}

/// A value as text: times as nanoseconds, or as a local time in a zone.
fn cell(
    partition: &Partition,
    column: Option<usize>,
    row: usize,
    zone: Option<&TimeZone>,
) -> String {
    let raw = match column {
        None => partition.times().get(row),
        Some(column) => partition.column(column).get(row),
    };
    let raw = raw.copied().unwrap_or_default();
    if !is_time(partition.series, column) {
        return model::Price::from_raw(raw).to_string();
    }
    let local = zone.and_then(|zone| {
        let instant = jiff::Timestamp::from_nanosecond(i128::from(raw)).ok()?;
        Some(zone.to_datetime(instant).to_string().replace('T', " "))
    });
    local.unwrap_or_else(|| raw.to_string())
}

fn json_row(partition: &Partition, row: usize) -> Value {
    let mut object = Map::new();
    for (name, column) in columns(partition.series) {
        let text = cell(partition, column, row, None);
        // Decimals stay text: a JSON number would pass through a float in most readers.
        let value = if is_time(partition.series, column) {
            text.parse::<i64>().map_or(Value::Null, Value::from)
        } else {
            Value::from(text)
        };
        object.insert(name.to_owned(), value);
        if column.is_none() {
            let raw = partition.times().get(row).copied().unwrap_or_default();
            object.insert("time".to_owned(), Value::from(Timestamp(raw).to_string()));
        }
    }
    Value::Object(object)
}

/// Ticks and bars under the names that an import understands. Bars are stamped with their close.
fn print_csv(partition: &Partition, id: &str, rows: usize) -> anyhow::Result<()> {
    let (head, order): (&str, &[Option<usize>]) = match partition.series {
        Series::Ticks => (
            "ts_ns,symbol,price,size,volume,oi,bid,ask",
            &[None, Some(0), Some(1), Some(2), Some(3), Some(4), Some(5)],
        ),
        Series::Bars(_) => (
            "ts_ns,symbol,open,high,low,close,volume,oi",
            &[None, Some(1), Some(2), Some(3), Some(4), Some(5), Some(6)],
        ),
    };
    let quoted = if id.contains([',', '"']) {
        format!("\"{}\"", id.replace('"', "\"\""))
    } else {
        id.to_owned()
    };
    let mut text = format!("{head}\n");
    for row in 0..rows {
        for (at, column) in order.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            text.push_str(&cell(partition, *column, row, None));
            if at == 0 {
                text.push(',');
                text.push_str(&quoted);
            }
        }
        text.push('\n');
    }
    print(&text)
}
