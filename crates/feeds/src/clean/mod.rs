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
mod track;

use std::collections::BTreeMap;

use model::instrument::{InstrumentIdx, Instruments, LookupError};
use model::market::Timeframe;
use model::{Date, Price, Timestamp};

use crate::clock::Clock;
use crate::error::DataError;
use crate::partition::{Partition, Series};
use crate::raw::bytes::Content;
use crate::raw::columns::{Kind, Layout};
use crate::raw::rows::{Fields, Lines};
use crate::raw::{self, RawFile};
use crate::report::{Doubtful, FileReport, Reject, Rejected};
use names::{NameCache, Selection};
use options::Cleaning;
use track::Track;

/// A rejected row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RejectedRow {
    /// Its line, from 1.
    pub line: u64,
    /// Why.
    pub reason: Reject,
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
    text: Vec<u8>,
}

impl Cleaned {
    /// A rejected row's text as it stands in the file.
    pub fn raw(&self, row: &RejectedRow) -> &[u8] {
        self.text
            .get(row.start..row.start + row.len)
            .unwrap_or_default()
    }
}

/// A row that passed the first pass.
struct Row {
    ts: Timestamp,
    values: [i64; 6],
    present: u8,
    day: Date,
    slot: u32,
    line: u64,
    start: usize,
    len: usize,
}

/// A row that equals the one above it.
struct Repeat {
    row: usize,
    line: u64,
    start: usize,
    len: usize,
}

/// What became of the line above.
#[derive(Clone, Copy)]
enum Fate {
    Row,
    Rejected(Reject),
    NotSelected,
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
                "give --timeframe, such as 1m",
            ))
        }
    }
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
    let mut pass = Pass {
        clock: Clock::new(cleaning.zone.clone()),
        slots: Vec::new(),
        rows: Vec::new(),
        repeats: Vec::new(),
        rejected: Rejected::default(),
        rejects: Vec::new(),
        keep_rejects,
        not_selected: 0,
        rows_read: 0,
    };
    pass.read(file, &opened, instruments, selection, cleaning)?;
    if pass.rows_read > 0 && pass.rejected.get(Reject::Malformed) == pass.rows_read {
        let problem = format!("every one of its {} rows is malformed", pass.rows_read);
        let fix = "compare this line with the header; name columns with --map; stamps are RFC 3339, \
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
    };
    debug_assert!(report.balances());
    Ok(Cleaned {
        report,
        partitions,
        rejects: pass.rejects,
        text: opened.content.text,
    })
}

/// The state of cleaning one file.
struct Pass {
    clock: Clock,
    /// The file's instruments in the order of their appearance.
    slots: Vec<InstrumentIdx>,
    rows: Vec<Row>,
    repeats: Vec<Repeat>,
    rejected: Rejected,
    rejects: Vec<RejectedRow>,
    keep_rejects: bool,
    not_selected: u64,
    rows_read: u64,
}

impl Pass {
    fn reject(&mut self, reason: Reject, line: u64, start: usize, len: usize) {
        self.rejected.add(reason);
        if self.keep_rejects {
            self.rejects.push(RejectedRow {
                line,
                reason,
                start,
                len,
            });
        }
    }

    /// The first pass, over every line.
    fn read(
        &mut self,
        file: &RawFile,
        opened: &Opened,
        instruments: &Instruments,
        selection: &Selection,
        cleaning: &Cleaning<'_>,
    ) -> Result<(), DataError> {
        let wanted_day = file.day();
        let text = &opened.content.text;
        let mut fields = Fields::default();
        let mut names = NameCache::default();
        if let Some(Some(index)) = opened.named {
            self.slots.push(index);
        }
        let mut above: Option<(&[u8], Fate)> = None;
        for line in Lines::new(text).skip(1) {
            let (number, start, len) = (line.number, line.start, line.text.len());
            let fate = match above {
                Some((same, fate)) if same == line.text => {
                    match fate {
                        Fate::Row => {
                            let row = self.rows.len() - 1;
                            self.repeats.push(Repeat {
                                row,
                                line: number,
                                start,
                                len,
                            });
                        }
                        Fate::Rejected(reason) => self.reject(reason, number, start, len),
                        Fate::NotSelected => {}
                    }
                    fate
                }
                _ => {
                    let parsed = parse::line(
                        &opened.layout,
                        cleaning.bar_stamp,
                        &mut self.clock,
                        &mut fields,
                        line.text,
                    );
                    let slot = match (opened.layout.symbol, &parsed) {
                        // A line that cannot be split has no name to be judged by.
                        (Some(_), None) => Some(0),
                        (None, _) => opened.named.flatten().map(|_| 0),
                        (Some(column), Some(_)) => {
                            let name = fields.get(line.text, column).trim_ascii();
                            names.get(name, |name| {
                                let found = names::resolve(instruments, selection, name)
                                    .map_err(|lookup| unknown(file, Some(number), name, lookup))?;
                                Ok::<_, DataError>(found.map(|index| self.slot(index)))
                            })?
                        }
                    };
                    match (slot, parsed) {
                        (None, _) => Fate::NotSelected,
                        (_, None) => {
                            self.reject(Reject::Malformed, number, start, len);
                            Fate::Rejected(Reject::Malformed)
                        }
                        (_, Some(parsed)) if wanted_day.is_some_and(|day| day != parsed.day) => {
                            self.reject(Reject::WrongDay, number, start, len);
                            Fate::Rejected(Reject::WrongDay)
                        }
                        (Some(slot), Some(parsed)) => {
                            let parse::Parsed {
                                ts,
                                day,
                                values,
                                present,
                            } = parsed;
                            self.rows.push(Row {
                                ts,
                                values,
                                present,
                                day,
                                slot,
                                line: number,
                                start,
                                len,
                            });
                            Fate::Row
                        }
                    }
                }
            };
            match fate {
                Fate::NotSelected => self.not_selected += 1,
                _ => self.rows_read += 1,
            }
            above = Some((line.text, fate));
        }
        Ok(())
    }

    fn slot(&mut self, index: InstrumentIdx) -> u32 {
        let known = self.slots.iter().position(|slot| *slot == index);
        known.unwrap_or_else(|| {
            self.slots.push(index);
            self.slots.len() - 1
        }) as u32
    }

    /// Rejects what runs backwards in time, and the repeated rows.
    fn reject_backwards(&mut self) {
        let mut kept = vec![true; self.rows.len()];
        let mut by_slot: Vec<Vec<usize>> = vec![Vec::new(); self.slots.len()];
        for (at, row) in self.rows.iter().enumerate() {
            by_slot[row.slot as usize].push(at);
        }
        for rows in by_slot {
            let times: Vec<i64> = rows.iter().map(|row| self.rows[*row].ts.0).collect();
            if let Some(keep) = order::keep(&times) {
                rows.iter()
                    .zip(keep)
                    .for_each(|(row, keep)| kept[*row] = keep);
            }
        }
        for repeat in std::mem::take(&mut self.repeats) {
            let reason = if kept[repeat.row] {
                Reject::Repeated
            } else {
                Reject::Backwards
            };
            self.reject(reason, repeat.line, repeat.start, repeat.len);
        }
        let rows = std::mem::take(&mut self.rows);
        for (row, kept) in rows.into_iter().zip(kept) {
            if kept {
                self.rows.push(row);
            } else {
                self.reject(Reject::Backwards, row.line, row.start, row.len);
            }
        }
    }

    /// The last pass, over the rows in their order in the file.
    fn judge(
        &mut self,
        series: Series,
        instruments: &Instruments,
        cleaning: &Cleaning<'_>,
    ) -> (Vec<Partition>, Doubtful) {
        let sessions = cleaning.sessions.as_ref().map(|rule| rule.sessions);
        let mut tracks: Vec<Track<'_>> = self
            .slots
            .iter()
            .map(|index| Track::new(*index, instruments.get(*index), sessions))
            .collect();
        let mut found: BTreeMap<(InstrumentIdx, Date), Partition> = BTreeMap::new();
        let mut doubtful = Doubtful::default();
        for row in std::mem::take(&mut self.rows) {
            let track = &mut tracks[row.slot as usize];
            match track.judge(&row, series, cleaning, &mut self.clock, &mut doubtful) {
                Ok(()) => {}
                Err(reason) => self.reject(reason, row.line, row.start, row.len),
            }
        }
        for track in tracks {
            for mut partition in track.into_partitions() {
                partition.shrink();
                found.insert((partition.instrument, partition.day), partition);
            }
        }
        (found.into_values().collect(), doubtful)
    }
}
