//! Merged market data, ready for a hot loop: slices of ticks or bars in the order of (time, canonical
//! instrument id, row in the file), whatever the order of files and instruments.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::Range;
use std::sync::Arc;

use model::{Bar, Date, Tick, Timestamp};

use crate::catalogue::StoredPartition;
use crate::error::DataError;
use crate::partition::Partition;

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

/// Where one day's rows come from.
#[derive(Debug, Clone)]
pub(crate) enum Day {
    /// Cleaned and held in memory.
    Memory(Vec<Arc<Partition>>),
    /// Read from the catalogue when their turn comes.
    Stored(Vec<StoredPartition>),
}

/// The days of a stream by date, each day's partitions by instrument.
pub(crate) type Days = Vec<(Date, Day)>;

/// Merged rows. A catalogue's day is in memory only while it is delivered.
pub struct Stream<R> {
    days: Arc<Days>,
    next_day: usize,
    range: (Timestamp, Timestamp),
    current: Option<Merge>,
    buffer: Vec<R>,
    delivered: u64,
    /// Keeps an import from changing the catalogue meanwhile.
    _guard: Option<Arc<std::fs::File>>,
}

impl<R: Record> Stream<R> {
    pub(crate) fn new(
        days: Arc<Days>,
        range: (Timestamp, Timestamp),
        guard: Option<Arc<std::fs::File>>,
    ) -> Self {
        Self {
            days,
            next_day: 0,
            range,
            current: None,
            buffer: Vec::with_capacity(CHUNK_ROWS),
            delivered: 0,
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
                        Day::Memory(partitions) => partitions.clone(),
                        Day::Stored(files) => files
                            .iter()
                            .map(|file| file.read().map(Arc::new))
                            .collect::<Result<_, _>>()?,
                    };
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

    /// How many rows have been delivered since the start or the last rewind.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Goes back to the start.
    pub fn rewind(&mut self) {
        self.next_day = 0;
        self.current = None;
        self.delivered = 0;
    }

    /// The first and the last day with data.
    pub fn span(&self) -> Option<(Date, Date)> {
        Some((self.days.first()?.0, self.days.last()?.0))
    }
}

/// A merge of one day's partitions. Those are in the order of their instruments' canonical ids,
/// so that their number breaks ties; rows of one partition keep their order.
struct Merge {
    partitions: Vec<Arc<Partition>>,
    rows: Vec<Range<usize>>,
    heads: BinaryHeap<Reverse<(i64, u32)>>,
}

impl Merge {
    fn new(partitions: Vec<Arc<Partition>>, (from, to): (Timestamp, Timestamp)) -> Self {
        let rows: Vec<_> = partitions.iter().map(|p| p.range(from, to)).collect();
        let heads = rows
            .iter()
            .zip(&partitions)
            .enumerate()
            .filter(|(_, (rows, _))| !rows.is_empty())
            .map(|(n, (rows, partition))| Reverse((partition.times()[rows.start], n as u32)))
            .collect();
        Self {
            partitions,
            rows,
            heads,
        }
    }

    fn is_done(&self) -> bool {
        self.heads.is_empty()
    }

    fn fill<R: Record>(&mut self, out: &mut Vec<R>) {
        while out.len() < CHUNK_ROWS {
            let Some(mut head) = self.heads.peek_mut() else {
                return;
            };
            let n = head.0.1 as usize;
            let (partition, rows) = (&self.partitions[n], &mut self.rows[n]);
            out.push(R::of(partition, rows.start));
            rows.start += 1;
            if rows.start < rows.end {
                head.0.0 = partition.times()[rows.start];
            } else {
                PeekMut::pop(head);
            }
        }
    }
}
