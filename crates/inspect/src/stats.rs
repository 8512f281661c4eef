//! What a log holds, and how fast it grows.

use std::collections::BTreeMap;

use journal::record::{Entry, JournalRecord, MarketRecord, Run};
use journal::{Log, MARKET};
use model::{Date, Timestamp};
use runtime::RuntimeError;
use runtime::records::{JournalRecords, MarketRecords};

/// One day of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayStats {
    /// Bytes of its records.
    pub bytes: u64,
    /// The first instant of it that was recorded.
    pub first: Timestamp,
    /// The last.
    pub last: Timestamp,
}

/// What a log holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Records.
    pub records: u64,
    /// Starts of the system among them.
    pub starts: u64,
    /// Market inputs, in full or by reference.
    pub inputs: u64,
    /// Events by type.
    pub events: BTreeMap<&'static str, u64>,
    /// Bytes of the records, their heads included.
    pub bytes: u64,
    /// By trading day. A record without a time belongs to the day of the one before it.
    pub days: BTreeMap<Date, DayStats>,
}

impl LogStats {
    fn add(&mut self, at: Option<Timestamp>, bytes: usize, day_of: &dyn Fn(Timestamp) -> Date) {
        let bytes = bytes as u64 + 4;
        self.records += 1;
        self.bytes += bytes;
        let day = match at.filter(|at| *at > Timestamp::MIN) {
            Some(at) => {
                let day = self.days.entry(day_of(at)).or_insert(DayStats {
                    bytes: 0,
                    first: at,
                    last: at,
                });
                day.first = day.first.min(at);
                day.last = day.last.max(at);
                Some(day)
            }
            None => self.days.values_mut().next_back(),
        };
        if let Some(day) = day {
            day.bytes += bytes;
        }
    }
}

/// Reads a whole log. `day_of` says which trading day an instant belongs to.
pub fn read(log: &dyn Log, day_of: &dyn Fn(Timestamp) -> Date) -> Result<LogStats, RuntimeError> {
    if log.name() == MARKET {
        market(log, day_of)
    } else {
        namespace(log, day_of)
    }
}

fn market(log: &dyn Log, day_of: &dyn Fn(Timestamp) -> Date) -> Result<LogStats, RuntimeError> {
    let mut stats = LogStats::default();
    let mut records = MarketRecords::open(log)?;
    while let Some(found) = records.next()? {
        let at = match &found.record {
            MarketRecord::Start(_) => {
                stats.starts += 1;
                None
            }
            MarketRecord::Stop { .. } => None,
            MarketRecord::Market(_, item) => {
                stats.inputs += 1;
                Some(item.data().ts())
            }
            MarketRecord::Ticks(ticks) => {
                stats.inputs += ticks.items.len() as u64;
                ticks.items.first().map(|item| item.data().ts())
            }
            MarketRecord::Clock(_, due) => Some(*due),
            MarketRecord::TimersMissed(until) => Some(*until),
            MarketRecord::Switch { ts, .. } => Some(*ts),
        };
        stats.add(at, found.bytes, day_of);
    }
    Ok(stats)
}

fn namespace(log: &dyn Log, day_of: &dyn Fn(Timestamp) -> Date) -> Result<LogStats, RuntimeError> {
    let mut stats = LogStats::default();
    let mut records = JournalRecords::open(log)?;
    while let Some(found) = records.next()? {
        let at = match &found.record {
            JournalRecord::Start(_) => {
                stats.starts += 1;
                None
            }
            JournalRecord::Stop { .. } => None,
            JournalRecord::Run(run) => {
                for event in &run.outputs {
                    *stats.events.entry(event.kind()).or_default() += 1;
                }
                for entry in &run.inputs {
                    stats.inputs += match entry {
                        Entry::Market { first, last } => (last.0 + 1).saturating_sub(first.0),
                        Entry::Full(..) => 1,
                        _ => 0,
                    };
                }
                time_of(run)
            }
        };
        stats.add(at, found.bytes, day_of);
    }
    Ok(stats)
}

/// The session's time of a run, where it has one.
pub fn time_of(run: &Run) -> Option<Timestamp> {
    let of_inputs = run.inputs.iter().rev().find_map(|entry| match entry {
        Entry::Full(_, item) => Some(item.data().ts()),
        Entry::Clock(_, due) => Some(*due),
        Entry::Signal(signal) => Some(signal.ts),
        Entry::Report(report) => Some(report.ts),
        Entry::Command(ts, _) => Some(*ts),
        Entry::Market { .. } | Entry::Conflated { .. } | Entry::TimersMissed(_) => None,
    });
    run.outputs.last().map(|e| e.ts).max(of_inputs)
}

/// How many gigabytes (10⁹ bytes) of a log one day makes: the largest of the days that are over. Of the
/// first day, which is not, what it would come to around the clock at its pace so far; `None` where
/// less than a minute of it is there.
pub fn gb_per_day(days: &BTreeMap<Date, DayStats>) -> Option<f64> {
    const GB: f64 = 1e9;
    let mut all = days.values().rev();
    let newest = all.next()?;
    if let Some(most) = all.map(|d| d.bytes).max() {
        return Some(most.max(newest.bytes) as f64 / GB);
    }
    let span = newest.last.since(newest.first);
    (span >= model::time::MINUTE)
        .then(|| newest.bytes as f64 * (model::time::DAY as f64 / span as f64) / GB)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::time::{HOUR, SECOND};

    #[test]
    fn growth_is_that_of_whole_days_or_of_the_pace_so_far() {
        let day = |bytes, span| DayStats {
            bytes,
            first: Timestamp(0),
            last: Timestamp(span),
        };
        let of = |days: &[DayStats]| {
            let days = days.iter().enumerate();
            gb_per_day(&days.map(|(i, d)| (Date::from_days(i as i32), *d)).collect())
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[day(1, SECOND)]), None);
        assert_eq!(of(&[day(250_000_000, 6 * HOUR)]), Some(1.0));
        let (whole, begun) = (day(2_000_000_000, 6 * HOUR), day(5, SECOND));
        assert_eq!(of(&[whole, begun]), Some(2.0));
    }
}
