//! What is done to a day's rows before they are merged: they are adjusted, and looked at for a split
//! that nobody told of.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use model::{Date, InstrumentIdx, Price, Timestamp};

use super::{AppliedAction, Plan};
use crate::error::DataError;
use crate::partition::{Partition, Series};

/// Prices that fall by so many percent between two days of a share, or rise by as much as undoes that,
/// look like an action: a bonus of one share for two takes a third off the price, and markets seldom do.
const JUMP_PERCENT: i128 = 30;
/// A factor so near to a ratio of small numbers is told with it, in percent.
const NEAR_PERCENT: i128 = 6;
/// Ratios of shares that are common.
const COMMON: [(i128, i128); 11] = [
    (3, 2),
    (5, 3),
    (2, 1),
    (5, 2),
    (3, 1),
    (4, 1),
    (5, 1),
    (6, 1),
    (8, 1),
    (10, 1),
    (20, 1),
];
/// So many jumps are kept; more are counted.
const KEPT_MAX: usize = 100;

/// A share whose price is another one on the next day of its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayJump<'a> {
    /// Whose price.
    pub instrument: &'a str,
    /// The day before, and its last price.
    pub from: (Date, Price),
    /// The day after, and its first price.
    pub to: (Date, Price),
}

impl DayJump<'_> {
    /// The common ratio of shares that the jump is nearest to, if it is near one: more shares where
    /// the price fell.
    fn nearest(&self) -> Option<(i128, i128)> {
        let (before, after) = (i128::from(self.from.1.raw()), i128::from(self.to.1.raw()));
        let (high, low) = (before.max(after), before.min(after));
        let off =
            |&(new, old): &(i128, i128)| (high * old - low * new).abs() * 100 / (high * old).max(1);
        let near = COMMON
            .into_iter()
            .min_by_key(off)
            .filter(|r| off(r) <= NEAR_PERCENT);
        near.map(|(new, old)| {
            if before > after {
                (new, old)
            } else {
                (old, new)
            }
        })
    }
}

impl fmt::Display for DayJump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            instrument,
            from,
            to,
        } = self;
        write!(
            f,
            "{instrument} ended at {} on {} and began at {} on {}",
            from.1, from.0, to.1, to.0
        )?;
        if let Some((new, old)) = self.nearest() {
            write!(f, ", as if shares had changed {new} for {old}")?;
        }
        f.write_str(
            ": if that is a split or bonus, give it in the file of corporate actions, or it is \
             traded as a gain or loss; if it is given there, check its date and ratio, \
             and whether the data is adjusted already",
        )
    }
}

#[derive(Debug, Clone, Copy)]
struct Jump {
    instrument: InstrumentIdx,
    from: (Date, i64),
    to: (Date, i64),
}

/// What became of the days that were delivered.
#[derive(Debug, Default)]
pub struct History {
    plan: Arc<Plan>,
    /// The shares, which are looked at: contracts and coins jump as they like.
    shares: BTreeMap<InstrumentIdx, String>,
    last: BTreeMap<InstrumentIdx, (Date, i64)>,
    counts: Vec<u64>,
    jumps: Vec<Jump>,
    jumps_total: u64,
}

impl History {
    pub(crate) fn new(plan: Arc<Plan>, shares: BTreeMap<InstrumentIdx, String>) -> Self {
        Self {
            plan,
            shares,
            ..Self::default()
        }
    }

    /// A day's rows as they are to be delivered.
    pub(crate) fn day(
        &mut self,
        mut partitions: Vec<Arc<Partition>>,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Vec<Arc<Partition>>, DataError> {
        for partition in &mut partitions {
            if let Some(adjusted) = self.plan.adjust(partition)? {
                *partition = Arc::new(adjusted);
            }
            let rows = partition.range(from, to);
            let (instrument, day) = (partition.instrument, partition.day);
            self.plan
                .count(instrument, day, rows.len() as u64, &mut self.counts);
            // The price of a tick, the open and the close of a bar.
            let (first, last) = match partition.series {
                Series::Ticks => (0, 0),
                Series::Bars(_) => (1, 4),
            };
            let price = |column: usize, row: Option<usize>| {
                row.and_then(|row| partition.column(column).get(row).copied())
            };
            let first = price(first, Some(rows.start).filter(|row| *row < rows.end));
            let last = price(
                last,
                rows.end.checked_sub(1).filter(|row| *row >= rows.start),
            );
            if let (Some(first), Some(last)) = (first, last)
                && self.shares.contains_key(&instrument)
            {
                self.look(instrument, day, first, last);
            }
        }
        Ok(partitions)
    }

    fn look(&mut self, instrument: InstrumentIdx, day: Date, first: i64, last: i64) {
        let Some(from) = self.last.insert(instrument, (day, last)) else {
            return;
        };
        let (high, low) = (i128::from(from.1.max(first)), i128::from(from.1.min(first)));
        if low * 100 > high * (100 - JUMP_PERCENT) {
            return;
        }
        self.jumps_total += 1;
        if self.jumps.len() < KEPT_MAX {
            self.jumps.push(Jump {
                instrument,
                from,
                to: (day, first),
            });
        }
    }

    /// The actions that apply, with the rows that they changed so far.
    pub fn applied(&self) -> Vec<AppliedAction> {
        self.plan.report(&self.counts)
    }

    /// What looks like a split or bonus that was not given, in the order of the days so far.
    pub fn jumps(&self) -> impl Iterator<Item = DayJump<'_>> {
        let price = |(day, raw)| (day, Price::from_raw(raw));
        self.jumps.iter().map(move |jump| DayJump {
            instrument: self.shares.get(&jump.instrument).map_or("", String::as_str),
            from: price(jump.from),
            to: price(jump.to),
        })
    }

    /// How many of them there were.
    pub fn jumps_total(&self) -> u64 {
        self.jumps_total
    }
}
