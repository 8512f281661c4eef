//! Market inputs that a journal took and the market log does not hold. A journal acts on them before the market
//! log has synced them, so a kill or a loss of power may take them there.

use journal::record::{Entry, JournalRecord};
use journal::{Log, Offset};
use model::InputId;
use runtime::records::{JournalRecords, MarketRecords};
use runtime::{RuntimeError, tables};

/// The numbers of the inputs that the market log holds.
#[derive(Debug, Default)]
pub struct Held {
    /// Runs of consecutive numbers, rising.
    runs: Vec<(u64, u64)>,
    /// The log's beginning has been removed by age.
    is_trimmed: bool,
}

impl Held {
    /// Reads the market log.
    pub fn read(market: &dyn Log) -> Result<Self, RuntimeError> {
        let mut held = Self {
            is_trimmed: tables::first(market)? > Offset::BEGINNING,
            ..Self::default()
        };
        let mut records = MarketRecords::open(market)?;
        while let Some(found) = records.next()? {
            for (id, _) in found.record.into_inputs() {
                held.add(id.0);
            }
        }
        Ok(held)
    }

    fn add(&mut self, id: u64) {
        match self.runs.last_mut() {
            Some((_, last)) if id <= *last => {}
            Some((_, last)) if id == *last + 1 => *last = id,
            _ => self.runs.push((id, id)),
        }
    }

    /// The parts of `first..=last` that are not held. What lies before all that is held was removed by age,
    /// where anything was.
    fn lacks(&self, first: u64, last: u64, mut take: impl FnMut(u64, u64)) {
        let kept = self.runs.first().filter(|_| self.is_trimmed);
        let mut next = first.max(kept.map_or(0, |run| run.0));
        let from = self.runs.partition_point(|run| run.1 < next);
        for (begin, end) in &self.runs[from..] {
            if *begin > last {
                break;
            }
            if *begin > next {
                take(next, begin - 1);
            }
            next = end + 1;
        }
        if next <= last {
            take(next, last);
        }
    }
}

/// What a journal took and the market log does not hold, also where the journal's record holds it in full.
pub fn lost(journal: &dyn Log, held: &Held) -> Result<Vec<(InputId, InputId)>, RuntimeError> {
    let mut lost: Vec<(InputId, InputId)> = Vec::new();
    let mut records = JournalRecords::open(journal)?;
    while let Some(found) = records.next()? {
        let JournalRecord::Run(run) = &found.record else {
            continue;
        };
        for entry in &run.inputs {
            let (first, last) = match entry {
                Entry::Market { first, last } | Entry::Conflated { first, last } => (first, last),
                Entry::Full(id, _) => (id, id),
                _ => continue,
            };
            held.lacks(first.0, last.0, |first, last| match lost.last_mut() {
                // What a range came to follows it in full.
                Some((_, end)) if first <= end.0 + 1 => *end = InputId(end.0.max(last)),
                _ => lost.push((InputId(first), InputId(last))),
            });
        }
    }
    Ok(lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_held_is_named_from_the_first_that_is_kept_on() {
        let mut held = Held {
            is_trimmed: true,
            ..Held::default()
        };
        for id in [5, 6, 7, 20, 21, 30] {
            held.add(id);
        }
        let lacks = |first, last| {
            let mut found = Vec::new();
            held.lacks(first, last, |a, b| found.push((a, b)));
            found
        };
        assert_eq!(lacks(1, 7), []);
        assert_eq!(lacks(6, 20), [(8, 19)]);
        assert_eq!(lacks(7, 40), [(8, 19), (22, 29), (31, 40)]);
        assert_eq!(lacks(21, 21), []);
        assert_eq!(lacks(31, 33), [(31, 33)]);
        // A log that is whole has never held what lies before.
        held.is_trimmed = false;
        let mut found = Vec::new();
        held.lacks(1, 7, |a, b| found.push((a, b)));
        assert_eq!(found, [(1, 4)]);
        held = Held::default();
        let mut found = Vec::new();
        held.lacks(3, 4, |a, b| found.push((a, b)));
        assert_eq!(found, [(3, 4)]);
    }
}
