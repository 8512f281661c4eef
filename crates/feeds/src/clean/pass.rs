//! The passes over one file's rows.

use std::collections::BTreeMap;

use model::instrument::{InstrumentIdx, Instruments};
use model::{Date, Timestamp};

use super::names::{self, NameCache, Selection};
use super::options::Cleaning;
use super::parse::Malformed;
use super::track::Track;
use super::{Opened, RejectedRow, order, parse, unknown};
use crate::clock::Clock;
use crate::error::DataError;
use crate::partition::{Partition, Series};
use crate::raw::RawFile;
use crate::raw::rows::{Fields, Lines};
use crate::report::{Doubtful, Reject, Rejected};

/// A row that passed the first pass.
pub(super) struct Row {
    pub ts: Timestamp,
    pub values: [i64; 6],
    pub present: u8,
    pub day: Date,
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
    Rejected(Reject, Option<u16>),
    NotSelected,
}

/// The state of cleaning one file.
pub(super) struct Pass {
    clock: Clock,
    /// The file's instruments in the order of their appearance.
    slots: Vec<InstrumentIdx>,
    rows: Vec<Row>,
    repeats: Vec<Repeat>,
    pub rejected: Rejected,
    pub rejects: Vec<RejectedRow>,
    /// Malformed rows by the column to blame.
    pub malformed_columns: BTreeMap<u16, u64>,
    /// Rows outside the session, of days that have none or may have none, by day and reason.
    pub closed_days: BTreeMap<(Date, Reject), u64>,
    keep_rejects: bool,
    pub not_selected: u64,
    pub rows_read: u64,
}

impl Pass {
    pub fn new(cleaning: &Cleaning<'_>, keep_rejects: bool) -> Self {
        Self {
            clock: Clock::new(cleaning.zone.clone()),
            slots: Vec::new(),
            rows: Vec::new(),
            repeats: Vec::new(),
            rejected: Rejected::default(),
            rejects: Vec::new(),
            malformed_columns: BTreeMap::new(),
            closed_days: BTreeMap::new(),
            keep_rejects,
            not_selected: 0,
            rows_read: 0,
        }
    }

    fn reject(&mut self, reason: Reject, line: u64, start: usize, len: usize) {
        self.reject_cell(reason, None, line, start, len);
    }

    fn reject_cell(
        &mut self,
        reason: Reject,
        column: Option<u16>,
        line: u64,
        start: usize,
        len: usize,
    ) {
        self.rejected.add(reason);
        if let Some(column) = column {
            *self.malformed_columns.entry(column).or_default() += 1;
        }
        if self.keep_rejects {
            self.rejects.push(RejectedRow {
                line,
                reason,
                column,
                start,
                len,
            });
        }
    }

    /// The first pass, over every line.
    pub fn read(
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
                        Fate::Rejected(reason, column) => {
                            self.reject_cell(reason, column, number, start, len)
                        }
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
                        (Some(_), Err(_)) => Some(0),
                        (None, _) => opened.named.flatten().map(|_| 0),
                        (Some(column), Ok(_)) => {
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
                        (_, Err(Malformed { column })) => {
                            self.reject_cell(Reject::Malformed, column, number, start, len);
                            Fate::Rejected(Reject::Malformed, column)
                        }
                        (_, Ok(parsed)) if wanted_day.is_some_and(|day| day != parsed.day) => {
                            self.reject(Reject::WrongDay, number, start, len);
                            Fate::Rejected(Reject::WrongDay, None)
                        }
                        (Some(slot), Ok(parsed)) => {
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
    pub fn reject_backwards(&mut self) {
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
    pub fn judge(
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
                Err(reason) => {
                    let names_day = match reason {
                        Reject::UnknownSession => true,
                        Reject::OutsideSession => track.is_of_closed_day(&row),
                        _ => false,
                    };
                    if names_day {
                        *self.closed_days.entry((row.day, reason)).or_default() += 1;
                    }
                    self.reject(reason, row.line, row.start, row.len);
                }
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
