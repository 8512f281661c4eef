//! From a file's names to the registry's instruments.

use std::collections::{BTreeSet, HashMap};

use crate::error::DataError;
use model::instrument::{InstrumentIdx, Instruments, LookupError};

/// The instruments that are wanted; `None` for all.
pub type Selection = Option<BTreeSet<InstrumentIdx>>;

/// The instruments of these names; all where none is given.
pub fn select(instruments: &Instruments, names: &[String]) -> Result<Selection, DataError> {
    if names.is_empty() {
        return Ok(None);
    }
    let found: Result<_, _> = names
        .iter()
        .map(|name| instruments.find(name.trim()))
        .collect();
    found.map(Some).map_err(|lookup| {
        DataError::setting(
            format!("--symbols: {lookup}"),
            "name instruments of the instruments file",
        )
    })
}

/// Looks a name up among the wanted instruments: `None` for one that is not wanted. A name that
/// several exchanges list means the one of them that is wanted; where not all are wanted, an unknown
/// name is not wanted either.
pub fn resolve(
    instruments: &Instruments,
    selection: &Selection,
    name: &str,
) -> Result<Option<InstrumentIdx>, LookupError> {
    match (instruments.find(name), selection) {
        (Ok(index), None) => Ok(Some(index)),
        (Ok(index), Some(wanted)) => Ok(wanted.contains(&index).then_some(index)),
        (Err(error), None) => Err(error),
        (Err(LookupError::Unknown { .. } | LookupError::LeftOut { .. }), Some(_)) => Ok(None),
        (Err(LookupError::Ambiguous { name, candidates }), Some(wanted)) => {
            let found: Vec<_> = candidates
                .iter()
                .filter_map(|id| instruments.find(id).ok())
                .filter(|index| wanted.contains(index))
                .collect();
            match found.as_slice() {
                [] => Ok(None),
                [one] => Ok(Some(*one)),
                _ => Err(LookupError::Ambiguous { name, candidates }),
            }
        }
    }
}

/// A cache of names as they stand in a column.
#[derive(Default)]
pub(super) struct NameCache {
    known: HashMap<Vec<u8>, Option<u32>>,
    last: (Vec<u8>, Option<u32>),
}

impl NameCache {
    /// The value kept for a name, or else what `look_up` says.
    #[inline]
    pub fn get<E>(
        &mut self,
        name: &[u8],
        look_up: impl FnOnce(&str) -> Result<Option<u32>, E>,
    ) -> Result<Option<u32>, E> {
        if !self.last.0.is_empty() && self.last.0 == name {
            return Ok(self.last.1);
        }
        let value = match self.known.get(name) {
            Some(value) => *value,
            None => {
                let value = look_up(&String::from_utf8_lossy(name))?;
                self.known.insert(name.to_owned(), value);
                value
            }
        };
        self.last.0.clear();
        self.last.0.extend_from_slice(name);
        self.last.1 = value;
        Ok(value)
    }
}
