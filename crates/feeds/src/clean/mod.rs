//! Cleaning: which rows of a raw file are kept, and why the others are not.
//!
//! The reasons are tried in the order of [`Reject`], for each file on its own:
//!
//! 1. `malformed` and `wrong_day` judge a row by itself.
//! 2. `backwards` keeps, per instrument, the largest set of the remaining rows whose stamps never
//!    fall ([`order`]). Equal rows directly below each other count as one there, and share its fate.
//! 3. `repeated`: of such equal rows only the first is kept.
//! 4. `non_positive`, `jump` ([`jump`]) and `outside_session` ([`hours`]) judge what is left, in the
//!    order of the file.

pub mod hours;
pub mod jump;
pub mod names;
pub mod options;
pub mod order;
mod parse;
mod pass;
mod track;

use model::instrument::{InstrumentIdx, Instruments, LookupError};
use model::market::Timeframe;
use model::{Price, Timestamp};

use crate::error::DataError;
use crate::partition::{Partition, Series};
use crate::raw::bytes::Content;
use crate::raw::columns::{Kind, Layout};
use crate::raw::rows::{Fields, Lines};
use crate::raw::{self, RawFile};
use crate::report::{FileReport, Reject};
use names::Selection;
use options::Cleaning;
use pass::Pass;

/// A rejected row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RejectedRow {
    /// Its line, from 1.
    pub line: u64,
    /// Why.
    pub reason: Reject,
    /// Where one cell of a malformed row is to blame, its column.
    column: Option<u16>,
    start: usize,
    len: usize,
}

/// A cleaned file.
pub struct Cleaned {
    /// What became of its rows.
    pub report: FileReport,
    /// The kept rows by instrument and day, in this order.
    pub partitions: Vec<Partition>,
    /// The rejected rows in the order of the file, where asked for.
    pub rejects: Vec<RejectedRow>,
    columns: Vec<String>,
    text: Vec<u8>,
}

impl Cleaned {
    /// The name of the column that a rejected row was rejected for; empty where it was for no single one.
    pub fn column(&self, row: &RejectedRow) -> &str {
        let column = row.column.and_then(|at| self.columns.get(usize::from(at)));
        column.map_or("", String::as_str)
    }

    /// A rejected row's text as it stands in the file.
    pub fn raw(&self, row: &RejectedRow) -> &[u8] {
        self.text
            .get(row.start..row.start + row.len)
            .unwrap_or_default()
    }
}

/// What a file tells before its rows are read.
pub struct Opened {
    /// Its text and digest.
    pub content: Content,
    /// Its columns.
    pub layout: Layout,
    /// The instrument that its name tells, where no column does; `None` in there when it is not
    /// wanted.
    pub named: Option<Option<InstrumentIdx>>,
}

/// Reads a file's bytes and header.
pub fn open(
    file: &RawFile,
    instruments: &Instruments,
    selection: &Selection,
    cleaning: &Cleaning<'_>,
) -> Result<Opened, DataError> {
    let content = raw::bytes::read(&file.path)?;
    let mut lines = Lines::new(&content.text);
    let header = lines.next().map_or(&b""[..], |line| line.text);
    let mut fields = Fields::default();
    fields.split(header);
    let header: Vec<String> = (0..fields.len())
        .map(|i| {
            String::from_utf8_lossy(fields.get(header, i))
                .trim()
                .to_owned()
        })
        .collect();
    let layout = Layout::of(&file.path, &header, &cleaning.columns)?;
    if lines.next().is_none() {
        let fix = "record or download it again, or remove it from the data";
        return Err(DataError::unusable(
            &file.path,
            "no rows below the header",
            fix,
        ));
    }
    let named = match layout.symbol {
        Some(_) => None,
        None => {
            let name = file.stem();
            let found = names::resolve(instruments, selection, name)
                .map_err(|lookup| unknown(file, None, name, lookup))?;
            Some(found)
        }
    };
    Ok(Opened {
        content,
        layout,
        named,
    })
}

fn unknown(file: &RawFile, line: Option<u64>, name: &str, lookup: LookupError) -> DataError {
    DataError::UnknownInstrument {
        path: file.path.clone(),
        line,
        name: name.to_owned(),
        lookup,
    }
}

/// The series that a layout's rows belong to.
pub fn series(
    file: &RawFile,
    layout: &Layout,
    timeframe: Option<Timeframe>,
) -> Result<Series, DataError> {
    match (layout.kind, timeframe) {
        (Kind::Ticks, _) => Ok(Series::Ticks),
        (Kind::Bars, Some(timeframe)) => Ok(Series::Bars(timeframe)),
        (Kind::Bars, None) => {
            let problem = "holds bars, and their length is not known";
            Err(DataError::unusable(
                &file.path,
                problem,
                "set `timeframe` under [data] of the settings, or give --timeframe to an import, such as 1m",
            ))
        }
    }
}

fn column_name(layout: &Layout, at: u16) -> String {
    let name = layout.names.get(usize::from(at));
    name.map_or_else(String::new, |name| format!("`{name}`"))
}

/// Cleans an opened file. Rejected rows are remembered when `keep_rejects`.
pub fn clean(
    file: &RawFile,
    opened: Opened,
    instruments: &Instruments,
    selection: &Selection,
    cleaning: &Cleaning<'_>,
    keep_rejects: bool,
) -> Result<Cleaned, DataError> {
    let series = series(file, &opened.layout, cleaning.timeframe)?;
    let mut pass = Pass::new(cleaning, keep_rejects);
    pass.read(file, &opened, instruments, selection, cleaning)?;
    if pass.rows_read > 0 && pass.rejected.get(Reject::Malformed) == pass.rows_read {
        let mut problem = format!("every one of its {} rows is malformed", pass.rows_read);
        let blamed = pass.malformed_columns.keys();
        let names: Vec<_> = blamed.map(|at| column_name(&opened.layout, *at)).collect();
        if !names.is_empty() {
            problem = format!("{problem} (in {})", names.join(", "));
        }
        let fix = "compare this line with the header; name columns with `columns` under [data] of the settings or an import's --map; stamps are RFC 3339, \
                   YYYY-MM-DD HH:MM:SS or integers since the epoch";
        let line = Lines::new(&opened.content.text)
            .nth(1)
            .map(|line| line.number);
        return Err(DataError::Unusable {
            path: file.path.clone(),
            line,
            problem,
            fix: fix.into(),
        });
    }
    let day = file.day();
    pass.reject_backwards();
    let (partitions, doubtful) = pass.judge(series, instruments, cleaning);
    pass.rejects.sort_by_key(|row| row.line);

    let mut ids: Vec<String> = partitions
        .iter()
        .map(|p| instruments.get(p.instrument).id.clone())
        .collect();
    ids.sort();
    ids.dedup();
    let (low, high) = match series {
        Series::Ticks => (0, 0),
        Series::Bars(_) => (3, 2),
    };
    let prices = |column: usize| partitions.iter().flat_map(move |p| p.column(column));
    let days = |reason: Reject| {
        let of = pass.closed_days.iter().filter(|((_, r), _)| *r == reason);
        of.map(|((day, _), rows)| (*day, *rows)).collect()
    };
    let report = FileReport {
        file: file.name.clone(),
        bytes: opened.content.bytes,
        digest: opened.content.digest.to_hex().to_string(),
        series: series.to_string(),
        instruments: ids,
        rows_read: pass.rows_read,
        kept: partitions.iter().map(|p| p.len() as u64).sum(),
        rejected: pass.rejected,
        doubtful,
        not_selected: pass.not_selected,
        ignored_columns: opened.layout.ignored,
        first: partitions
            .iter()
            .filter_map(|p| p.times().first())
            .min()
            .map(|ts| Timestamp(*ts)),
        last: partitions
            .iter()
            .filter_map(|p| p.times().last())
            .max()
            .map(|ts| Timestamp(*ts)),
        price_min: prices(low).min().map(|raw| Price::from_raw(*raw)),
        price_max: prices(high).max().map(|raw| Price::from_raw(*raw)),
        day,
        malformed_columns: pass
            .malformed_columns
            .iter()
            .filter_map(|(at, rows)| {
                let name = opened.layout.names.get(usize::from(*at))?;
                Some((name.clone(), *rows))
            })
            .collect(),
        closed_days: days(Reject::OutsideSession),
        unknown_days: days(Reject::UnknownSession),
    };
    debug_assert!(report.balances());
    Ok(Cleaned {
        report,
        partitions,
        rejects: pass.rejects,
        columns: opened.layout.names,
        text: opened.content.text,
    })
}
