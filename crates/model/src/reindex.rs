//! Interned indices over starts of the system. Recorded bytes hold the indices of the start that wrote
//! them; each start has its own tables, so what an earlier one recorded is read through a translation.

use crate::ids::StrategyIdx;
use crate::instrument::InstrumentIdx;
use crate::money::CurrencyIdx;

/// From the indices of an earlier start to today's; `None` for what is not known any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reindex {
    instruments: Vec<Option<InstrumentIdx>>,
    strategies: Vec<Option<StrategyIdx>>,
    currencies: Vec<Option<CurrencyIdx>>,
    identity: bool,
}

impl Reindex {
    /// From tables by old index.
    pub fn new(
        instruments: Vec<Option<InstrumentIdx>>,
        strategies: Vec<Option<StrategyIdx>>,
        currencies: Vec<Option<CurrencyIdx>>,
    ) -> Self {
        fn same<T: Copy>(table: &[Option<T>], index: impl Fn(T) -> usize) -> bool {
            table
                .iter()
                .enumerate()
                .all(|(at, new)| new.map(&index) == Some(at))
        }
        let identity = same(&instruments, InstrumentIdx::index)
            && same(&strategies, StrategyIdx::index)
            && same(&currencies, CurrencyIdx::index);
        Self {
            instruments,
            strategies,
            currencies,
            identity,
        }
    }

    /// Between equal tables: every index stays what it is.
    pub const fn same() -> Self {
        Self {
            instruments: Vec::new(),
            strategies: Vec::new(),
            currencies: Vec::new(),
            identity: true,
        }
    }

    /// A table by instrument as it was, brought into today's order: `fresh` is today's, for those that
    /// it did not have.
    pub fn by_instrument<T>(&self, old: Vec<T>, fresh: Vec<T>) -> Vec<T> {
        reorder(old, fresh, |at| {
            self.instruments.get(at).map(|new| new.map(|i| i.index()))
        })
    }
    /// The same by strategy.
    pub fn by_strategy<T>(&self, old: Vec<T>, fresh: Vec<T>) -> Vec<T> {
        reorder(old, fresh, |at| {
            self.strategies.get(at).map(|new| new.map(|s| s.index()))
        })
    }
    /// The same by currency.
    pub fn by_currency<T>(&self, old: Vec<T>, fresh: Vec<T>) -> Vec<T> {
        reorder(old, fresh, |at| {
            self.currencies.get(at).map(|new| new.map(|c| c.index()))
        })
    }

    /// Today's index of an instrument; `None` where it is not known today, or was not then.
    pub fn instrument(&self, at: usize) -> Option<InstrumentIdx> {
        self.instruments.get(at).copied().flatten()
    }
    /// The same of a strategy.
    pub fn strategy(&self, at: usize) -> Option<StrategyIdx> {
        self.strategies.get(at).copied().flatten()
    }
    /// The same of a currency.
    pub fn currency(&self, at: usize) -> Option<CurrencyIdx> {
        self.currencies.get(at).copied().flatten()
    }

    /// True when every index stays what it is.
    pub const fn is_identity(&self) -> bool {
        self.identity
    }
}

/// Without a translation an index stays what it is.
fn reorder<T>(
    old: Vec<T>,
    mut fresh: Vec<T>,
    new: impl Fn(usize) -> Option<Option<usize>>,
) -> Vec<T> {
    for (at, value) in old.into_iter().enumerate() {
        if let Some(to) = new(at).unwrap_or(Some(at))
            && let Some(place) = fresh.get_mut(to)
        {
            *place = value;
        }
    }
    fresh
}
