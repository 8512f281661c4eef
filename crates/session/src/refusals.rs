//! Refusals in a row: a strategy that asks for the same at every bar is told of once, with a count.

use std::collections::BTreeMap;

use model::event::Refused;
use model::{InstrumentIdx, StrategyIdx, Timestamp};

/// Whose refusals follow each other.
type Key = (StrategyIdx, InstrumentIdx);

/// Refusals of one reason that followed each other.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The latest of them.
    pub latest: Refused,
    /// When it was refused.
    pub at: Timestamp,
    /// How many.
    pub count: u64,
    /// How many of them were told.
    pub told: u64,
}

/// The row that each strategy is in with each instrument.
#[derive(Debug, Default)]
pub struct Refusals {
    /// Those that nothing has ended.
    pub rows: BTreeMap<Key, Row>,
}

/// What to tell of a refusal.
#[derive(Debug)]
pub enum Told {
    /// All of it: it is the first of its kind.
    First,
    /// How often it came: ten times, a hundred times and so on.
    Again(Row),
    /// Nothing now.
    Not,
}

impl Refusals {
    /// A signal was refused: what to tell of it, and the row that it ends, where that has more than was
    /// told.
    pub fn refused(&mut self, refused: &Refused, at: Timestamp) -> (Told, Option<Row>) {
        let key = (refused.strategy, refused.instrument);
        let kind = |r: &Refused| (r.refusal.reason, r.product);
        if let Some(row) = self.rows.get_mut(&key)
            && kind(&row.latest) == kind(refused)
        {
            (row.latest, row.at) = (*refused, at);
            row.count += 1;
            if row.count != row.told * 10 {
                return (Told::Not, None);
            }
            row.told = row.count;
            return (Told::Again(*row), None);
        }
        let row = Row {
            latest: *refused,
            at,
            count: 1,
            told: 1,
        };
        (Told::First, untold(self.rows.insert(key, row)))
    }

    /// A signal passed: the row that it ends, where that has more than was told.
    pub fn passed(&mut self, key: Key) -> Option<Row> {
        untold(self.rows.remove(&key))
    }
}

fn untold(row: Option<Row>) -> Option<Row> {
    row.filter(|row| row.count > row.told)
}

#[cfg(test)]
mod tests {
    use model::reason::Reason;
    use model::signal::{Product, Side};
    use model::{InputId, Quantity, SignalId};

    use super::*;

    fn refused(strategy: u32, reason: Reason, side: Side) -> Refused {
        Refused {
            signal: SignalId(1),
            strategy: StrategyIdx(strategy),
            mark: (InputId(1), 0),
            instrument: InstrumentIdx(0),
            product: Product::Intraday,
            target: None,
            order: Some((side, Quantity::from_raw(1))),
            refusal: reason.into(),
        }
    }

    #[test]
    fn a_row_is_told_at_its_first_at_powers_of_ten_and_at_its_end() {
        let mut refusals = Refusals::default();
        let halted = refused(0, Reason::Halted, Side::Buy);
        let told: Vec<u64> = (1..=1_500u64)
            .filter(|n| match refusals.refused(&halted, Timestamp(0)) {
                (Told::First, None) => *n == 1,
                (Told::Again(row), None) => row.count == *n,
                (Told::Not, None) => false,
                (_, Some(_)) => panic!("nothing has ended"),
            })
            .collect();
        assert_eq!(told, [1, 10, 100, 1_000]);
        // Another strategy's refusals are a row of their own.
        let (first, ended) = refusals.refused(&refused(1, Reason::Halted, Side::Buy), Timestamp(0));
        assert!(matches!(first, Told::First) && ended.is_none());
        // The other side's are the same refusal; another reason begins a new row, and ends this one.
        let (again, ended) =
            refusals.refused(&refused(0, Reason::Halted, Side::Sell), Timestamp(0));
        assert!(matches!(again, Told::Not) && ended.is_none());
        let (first, ended) =
            refusals.refused(&refused(0, Reason::DailyLoss, Side::Sell), Timestamp(0));
        assert!(matches!(first, Told::First));
        assert_eq!(ended.map(|row| row.count), Some(1_501));
        let key = (StrategyIdx(0), InstrumentIdx(0));
        assert!(refusals.passed(key).is_none(), "all of it was told");
        refusals.refused(&halted, Timestamp(0));
        refusals.refused(&halted, Timestamp(0));
        assert_eq!(refusals.passed(key).map(|row| row.count), Some(2));
        assert!(refusals.passed(key).is_none());
    }
}
