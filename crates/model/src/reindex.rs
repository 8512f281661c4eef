//! Interned indices over starts of the system. Recorded bytes hold the indices of the start that wrote
//! them; each start has its own tables, so what an earlier one recorded is read through a translation.
//!
//! The translation is a scope: while [`with`] runs its closure, [`InstrumentIdx`], [`StrategyIdx`] and
//! [`CurrencyIdx`] that are deserialised on this thread are translated, wherever they stand. An index
//! that has no counterpart is an error of the deserialiser. Bytes stay what they are.

use std::cell::RefCell;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error};

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

thread_local! {
    static SCOPE: RefCell<Option<Arc<Reindex>>> = const { RefCell::new(None) };
}

/// Ends a scope, also when its closure panics.
struct Restore(Option<Arc<Reindex>>);

impl Drop for Restore {
    fn drop(&mut self) {
        let before = self.0.take();
        SCOPE.with(|scope| *scope.borrow_mut() = before);
    }
}

/// Runs `f`; what it deserialises on this thread is translated. An identity changes nothing and still refuses an
/// index beyond its tables: no later stage looks for it again.
pub fn with<R>(map: &Arc<Reindex>, f: impl FnOnce() -> R) -> R {
    let _restore = Restore(SCOPE.with(|current| current.replace(Some(Arc::clone(map)))));
    f()
}

fn translate<T: Copy, E: Error>(
    raw: T,
    at: usize,
    what: &str,
    table: impl Fn(&Reindex) -> &[Option<T>],
) -> Result<T, E> {
    SCOPE.with(|scope| match scope.borrow().as_deref() {
        None => Ok(raw),
        Some(map) => table(map).get(at).copied().flatten().ok_or_else(|| {
            E::custom(format_args!(
                "{what} {at} of the start that wrote this is not known any more"
            ))
        }),
    })
}

impl<'de> Deserialize<'de> for InstrumentIdx {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Self(u32::deserialize(deserializer)?);
        translate(raw, raw.index(), "instrument", |map| &map.instruments)
    }
}

impl<'de> Deserialize<'de> for StrategyIdx {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Self(u32::deserialize(deserializer)?);
        translate(raw, raw.index(), "strategy", |map| &map.strategies)
    }
}

impl<'de> Deserialize<'de> for CurrencyIdx {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Self(u16::deserialize(deserializer)?);
        translate(raw, raw.index(), "currency", |map| &map.currencies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error as ValueError, U32Deserializer};

    fn read(raw: u32) -> Result<InstrumentIdx, ValueError> {
        let deserializer: U32Deserializer<ValueError> = raw.into_deserializer();
        InstrumentIdx::deserialize(deserializer)
    }

    #[test]
    fn indices_are_translated_within_the_scope_and_only_there() {
        let map = Arc::new(Reindex::new(
            vec![Some(InstrumentIdx(4)), None],
            Vec::new(),
            Vec::new(),
        ));
        assert_eq!(read(0), Ok(InstrumentIdx(0)));
        with(&map, || {
            assert_eq!(read(0), Ok(InstrumentIdx(4)));
            assert!(read(1).unwrap_err().to_string().contains("not known"));
            assert!(read(2).is_err());
            let same = vec![Some(InstrumentIdx(0)), Some(InstrumentIdx(1))];
            let inner = Arc::new(Reindex::new(same, Vec::new(), Vec::new()));
            assert!(inner.is_identity());
            with(&inner, || {
                assert_eq!(read(1), Ok(InstrumentIdx(1)));
                assert!(read(2).unwrap_err().to_string().contains("not known"));
            });
            assert_eq!(read(0), Ok(InstrumentIdx(4)));
        });
        let caught = std::panic::catch_unwind(|| with(&map, || panic!("on purpose")));
        assert!(caught.is_err());
        assert_eq!(read(1), Ok(InstrumentIdx(1)));
    }
}
