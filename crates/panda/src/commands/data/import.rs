//! `panda data import`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use feeds::clock::time_zone;
use feeds::{Band, Cleaning, ColumnMap, ImportOptions, ImportReport, Outcome, SessionRule};
use indicatif::{ProgressBar, ProgressStyle};
use model::market::{BarStamp, Timeframe};
use settings::Settings;

use super::{SessionsFor, print, print_json};

/// Clean raw CSV files and keep them as Parquet, by day and instrument
///
/// Every rejected row is counted under the first reason that applies and kept in a rejects file:
/// malformed, wrong_day (where the path names a date), backwards (in time), repeated, non_positive,
/// jump (beyond the band), outside_session. Doubtful rows are kept and counted. An import that was
/// interrupted goes on where it stopped; the same files again change nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  panda data import out/demo/data --catalogue out/catalogue \\
      --instruments out/demo/instruments.csv --config out/demo/panda.toml
  panda data import quotes.csv --catalogue data/catalogue --instruments kite.csv \\
      --map price=last_traded_price,timestamp=Date --tz UTC
  panda data import bars/ --catalogue data/crypto --instruments crypto.csv \\
      --timeframe 1m --bar-stamp open --tz UTC --no-session

Columns understood without --map (a header is required):
  timestamp | ts | ts_ns | time   RFC 3339, YYYY-MM-DD HH:MM:SS in --tz, or an integer since the epoch
  symbol | instrument             else the file's name: MM.csv.gz is the instrument with alias MM
  price | ltp                     or open, high, low, close for bars
  size | quantity                 of the trade, or
  volume                          cumulative over the day in ticks, per bar in bars
  oi, bid, ask")]
pub struct ImportArgs {
    /// A CSV file (also .csv.gz), or a directory of them
    source: PathBuf,
    /// The catalogue's directory; made where there is none
    #[arg(long, value_name = "DIR")]
    catalogue: PathBuf,
    /// Instruments: Kite's dump, or a CSV with at least the column `id`
    #[arg(long, value_name = "FILE")]
    instruments: PathBuf,
    /// Time zone of stamps without one, and of the days that the data is kept by [default: the settings' `[data]`, else Asia/Kolkata]
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// Columns with other names: role=column,... [default: the settings' `[data]`]
    #[arg(long, value_name = "ROLE=COLUMN,...")]
    map: Option<String>,
    /// Length of the bars, such as 30s, 1m, 1h, 1d; needed for bars [default: the settings' `[data]`]
    #[arg(long, value_name = "LENGTH")]
    timeframe: Option<String>,
    /// Whether a bar's stamp is its open or its close [default: the settings' `[data]`, else open]
    #[arg(long, value_name = "STAMP")]
    bar_stamp: Option<Stamp>,
    /// Largest move from the last kept price of the day, in percent; 0 switches the rule off [default: the settings' `[data]`, else 20]
    #[arg(long, value_name = "PERCENT")]
    band: Option<String>,
    /// Import these instruments only (ids, symbols or aliases); files of others are skipped
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    symbols: Vec<String>,
    /// Keep rows of any hour
    #[arg(long)]
    no_session: bool,
    /// Settings file: its sessions, and its `[data]` for what no flag says; without it the built-in settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Stamp {
    Open,
    Close,
}

pub(super) fn run(args: &ImportArgs, sessions_for: SessionsFor<'_>) -> anyhow::Result<()> {
    let settings = Settings::load(args.config.as_deref())?;
    let book = settings.markets.rule_book(None);
    let instruments = feeds::load_instruments(&args.instruments, &book)?;
    let data = settings.data;
    let zone = match &args.tz {
        Some(tz) => time_zone(tz).context("--tz")?,
        None => data.zone()?,
    };
    let mut cleaning = Cleaning::new(zone);
    cleaning.columns = match &args.map {
        Some(map) => ColumnMap::parse(map).context("--map")?,
        None => data.column_map()?,
    };
    cleaning.band = match &args.band {
        Some(band) => Band::from_percent(band).context("--band")?,
        None => data.band()?,
    };
    cleaning.timeframe = match args.timeframe.as_deref() {
        Some(text) => Some(timeframe(text)?),
        None => data.bars()?,
    };
    cleaning.bar_stamp = match args.bar_stamp {
        Some(Stamp::Open) => BarStamp::Open,
        Some(Stamp::Close) => BarStamp::Close,
        None => data.bar_stamp,
    };
    let sessions = if args.no_session || !data.session_only {
        None
    } else {
        Some(sessions_for(args.config.as_deref(), &instruments)?)
    };
    cleaning.sessions = sessions.as_ref().map(|(sessions, text)| SessionRule {
        sessions: &**sessions,
        text: text.clone(),
    });
    let options = ImportOptions {
        cleaning,
        selection: feeds::select(&instruments, &args.symbols)?,
    };
    let bar = progress_bar();
    let report = feeds::import(
        &args.source,
        &args.catalogue,
        &instruments,
        &options,
        &mut |progress| {
            bar.set_length(progress.files_total as u64);
            bar.set_position(progress.files as u64);
            bar.set_message(format!("{} rows  {}", progress.rows, progress.file));
        },
    );
    bar.finish_and_clear();
    let report = report?;
    if args.json {
        print_json(&report)
    } else {
        print(&table(&report, &args.catalogue))
    }
}

fn timeframe(text: &str) -> anyhow::Result<Timeframe> {
    Timeframe::parse(text)
        .with_context(|| format!("--timeframe: `{text}` is not a length; write 30s, 1m, 1h or 1d"))
}

fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{elapsed} {bar:30} {pos}/{len} files  {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn table(report: &ImportReport, catalogue: &Path) -> String {
    let mut text = report.quality.to_string();
    match report.rejects.len() {
        0 => {}
        1..=3 => {
            for (file, rejects) in &report.rejects {
                let path = catalogue.join(rejects);
                text.push_str(&format!("rejected rows of {file}: {}\n", path.display()));
            }
        }
        files => {
            let path = catalogue.join("rejects");
            text.push_str(&format!(
                "rejected rows of {files} files: {}\n",
                path.display()
            ));
        }
    }
    let [imported, replaced, unchanged] =
        [Outcome::Imported, Outcome::Replaced, Outcome::Unchanged]
            .map(|outcome| report.count(outcome));
    text.push_str(&format!(
        "{imported} imported, {replaced} replaced, {unchanged} unchanged, {} skipped, in {}\n",
        report.quality.skipped_files.len(),
        catalogue.display(),
    ));
    text
}
