//! Merged market data, ready for a hot loop: slices of ticks or bars in the order of (time, canonical
//! instrument id, row in the file), whatever the order of files and instruments.

use std::ops::Range;
use std::sync::Arc;

use model::{Bar, Date, InstrumentIdx, Tick, Timestamp};

use crate::actions::History;
use crate::catalogue::StoredPartition;
use crate::error::DataError;
use crate::parallel;
use crate::partition::Partition;
use crate::spool::Spooled;

/// Rows in one slice.
pub const CHUNK_ROWS: usize = 1 << 14;

/// What a stream delivers.
pub trait Record: Copy + sealed::Sealed {
    /// The `row`-th of a partition.
    fn of(partition: &Partition, row: usize) -> Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for model::Tick {}
    impl Sealed for model::Bar {}
}

impl Record for Tick {
    #[inline]
    fn of(partition: &Partition, row: usize) -> Self {
        partition.tick(row)
    }
}

impl Record for Bar {
    #[inline]
    fn of(partition: &Partition, row: usize) -> Self {
        partition.bar(row)
    }
}

/// Ticks in the order of (`ts`, instrument, row).
pub type TickStream = Stream<Tick>;
/// Bars in the order of (`close_ts`, instrument, row).
pub type BarStream = Stream<Bar>;

/// A data set's merged rows.
pub enum MarketStream {
    /// Of ticks.
    Ticks(TickStream),
    /// Of bars.
    Bars(BarStream),
}

impl MarketStream {
    /// Which instruments have rows on which days, by the clock of the data.
    pub fn days(&self) -> Vec<(Date, InstrumentIdx)> {
        let days = match self {
            Self::Ticks(ticks) => &ticks.days,
            Self::Bars(bars) => &bars.days,
        };
        let of = |(date, day): &(Date, Day)| {
            let instruments: Vec<InstrumentIdx> = match day {
                Day::Cleaned(all) => all.iter().map(Spooled::instrument).collect(),
                Day::Stored(all) => all.iter().map(StoredPartition::instrument).collect(),
            };
            let date = *date;
            instruments.into_iter().map(move |index| (date, index))
        };
        days.iter().flat_map(of).collect()
    }

    /// What became of the days that were delivered.
    pub fn history(&self) -> &History {
        match self {
            Self::Ticks(ticks) => ticks.history(),
            Self::Bars(bars) => bars.history(),
        }
    }
}

/// Where one day's rows come from.
#[derive(Debug, Clone)]
pub(crate) enum Day {
    /// Cleaned from raw files.
    Cleaned(Vec<Spooled>),
    /// Read from the catalogue when their turn comes.
    Stored(Vec<StoredPartition>),
}

/// The days of a stream by date, each day's partitions by instrument.
pub(crate) type Days = Vec<(Date, Day)>;

/// Merged rows. A day is in memory only while it is delivered, apart from the little of raw files that
/// never left it.
pub struct Stream<R> {
    days: Arc<Days>,
    next_day: usize,
    range: (Timestamp, Timestamp),
    current: Option<Merge>,
    buffer: Vec<R>,
    delivered: u64,
    history: History,
    /// Keeps an import from changing the catalogue meanwhile.
    _guard: Option<Arc<std::fs::File>>,
}

impl<R: Record> Stream<R> {
    pub(crate) fn new(
        days: Arc<Days>,
        range: (Timestamp, Timestamp),
        guard: Option<Arc<std::fs::File>>,
        history: History,
    ) -> Self {
        Self {
            days,
            next_day: 0,
            range,
            current: None,
            buffer: Vec::with_capacity(CHUNK_ROWS),
            delivered: 0,
            history,
            _guard: guard,
        }
    }

    /// The next rows, never an empty slice; `None` at the end.
    pub fn next_chunk(&mut self) -> Result<Option<&[R]>, DataError> {
        self.buffer.clear();
        while self.buffer.is_empty() {
            let merge = match &mut self.current {
                Some(merge) => merge,
                None => {
                    let Some((_, day)) = self.days.get(self.next_day) else {
                        return Ok(None);
                    };
                    self.next_day += 1;
                    let partitions = match day {
                        Day::Cleaned(all) => {
                            all.iter().map(Spooled::read).collect::<Result<_, _>>()?
                        }
                        Day::Stored(files) => read(files)?,
                    };
                    let partitions = self.history.day(partitions, self.range)?;
                    self.current.insert(Merge::new(partitions, self.range))
                }
            };
            merge.fill(&mut self.buffer);
            if merge.is_done() {
                self.current = None;
            }
        }
        self.delivered += self.buffer.len() as u64;
        Ok(Some(&self.buffer))
    }

    /// How many rows have been delivered since the start.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// What became of the days that were delivered.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The first and the last day with data.
    pub fn span(&self) -> Option<(Date, Date)> {
        Some((self.days.first()?.0, self.days.last()?.0))
    }
}

/// Reads a day's files on several threads.
fn read(files: &[StoredPartition]) -> Result<Vec<Arc<Partition>>, DataError> {
    let mut partitions = Vec::with_capacity(files.len());
    parallel::in_order(
        files.len(),
        |at| files[at].read(),
        |_, partition| {
            partitions.push(Arc::new(partition));
            Ok(())
        },
    )?;
    Ok(partitions)
}

/// A merge of one day's partitions. Those are in the order of their instruments' canonical ids,
/// so that their number breaks ties; rows of one partition keep their order.
struct Merge {
    partitions: Vec<Arc<Partition>>,
    rows: Vec<Range<usize>>,
    tournament: Tournament,
}

impl Merge {
    fn new(partitions: Vec<Arc<Partition>>, (from, to): (Timestamp, Timestamp)) -> Self {
        let rows: Vec<_> = partitions.iter().map(|p| p.range(from, to)).collect();
        let head = |n: usize| match rows[n].is_empty() {
            true => Tournament::NONE,
            false => Tournament::key(partitions[n].times()[rows[n].start], n),
        };
        let tournament = Tournament::new((0..partitions.len()).map(head).collect());
        Self {
            partitions,
            rows,
            tournament,
        }
    }

    fn is_done(&self) -> bool {
        self.tournament.winner == Tournament::NONE
    }

    fn fill<R: Record>(&mut self, out: &mut Vec<R>) {
        while out.len() < CHUNK_ROWS && !self.is_done() {
            let n = self.tournament.winner as u32 as usize;
            let (partition, rows) = (&self.partitions[n], &mut self.rows[n]);
            out.push(R::of(partition, rows.start));
            rows.start += 1;
            let next = match rows.start < rows.end {
                true => Tournament::key(partition.times()[rows.start], n),
                false => Tournament::NONE,
            };
            self.tournament.replace(n, next);
        }
    }
}

/// A tree of losers: the least of many keys, found again with one comparison per level after the
/// winner has been replaced. Comparisons are selections rather than branches, since which
/// instrument trades next cannot be predicted.
struct Tournament {
    /// Inner nodes, the root at 1, each with the loser of its match.
    losers: Vec<u128>,
    winner: u128,
}

impl Tournament {
    /// After every key.
    const NONE: u128 = u128::MAX;

    /// Time first, then the contestant's number.
    fn key(time: i64, n: usize) -> u128 {
        // The sign bit flipped orders negative times before positive ones.
        u128::from(time as u64 ^ 1 << 63) << 32 | n as u128
    }

    fn new(keys: Vec<u128>) -> Self {
        let size = keys.len().next_power_of_two();
        let mut winners = vec![Self::NONE; 2 * size];
        winners[size..size + keys.len()].copy_from_slice(&keys);
        let mut losers = vec![Self::NONE; size];
        for node in (1..size).rev() {
            let (left, right) = (winners[2 * node], winners[2 * node + 1]);
            winners[node] = left.min(right);
            losers[node] = left.max(right);
        }
        Self {
            losers,
            winner: winners[1],
        }
    }

    /// Puts a new key in the place of the winner, which was contestant `n`.
    #[inline]
    fn replace(&mut self, n: usize, key: u128) {
        let mut node = (self.losers.len() + n) / 2;
        let mut winner = key;
        while node > 0 {
            let loser = self.losers[node];
            self.losers[node] = loser.max(winner);
            winner = loser.min(winner);
            node /= 2;
        }
        self.winner = winner;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_tournament_sorts_by_time_and_number(
            lists in prop::collection::vec(prop::collection::vec(-3i64..9, 0..12), 1..9),
        ) {
            let lists: Vec<Vec<i64>> = lists.into_iter().map(|mut list| { list.sort(); list }).collect();
            let head = |n: usize, at: usize| {
                lists[n].get(at).map_or(Tournament::NONE, |time| Tournament::key(*time, n))
            };
            let mut at = vec![0; lists.len()];
            let mut tournament = Tournament::new((0..lists.len()).map(|n| head(n, 0)).collect());
            let mut merged = Vec::new();
            while tournament.winner != Tournament::NONE {
                let n = tournament.winner as u32 as usize;
                merged.push((lists[n][at[n]], n));
                at[n] += 1;
                tournament.replace(n, head(n, at[n]));
            }
            let mut wanted: Vec<(i64, usize)> =
                lists.iter().enumerate().flat_map(|(n, l)| l.iter().map(move |t| (*t, n))).collect();
            wanted.sort();
            prop_assert_eq!(merged, wanted);
        }
    }
}
