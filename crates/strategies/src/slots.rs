//! State by instrument, saved and restored in one line.

use std::ops::{Index, IndexMut};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::kind::Setup;
use crate::strategy::{Slot, StateError};

/// A strategy's state: one dense element per instrument (or a single one), and to which kind and
/// parameters it belongs, so that it cannot be taken over by another.
///
/// [`keep_state!`](crate::keep_state) makes [`save`](crate::Strategy::save) and
/// [`restore`](crate::Strategy::restore) of it.
#[derive(Debug, Clone)]
pub struct Slots<T> {
    owner: String,
    states: Vec<T>,
}

#[derive(Serialize)]
struct Saving<'a, T> {
    owner: &'a str,
    states: &'a [T],
}

#[derive(Deserialize)]
struct Saved<T> {
    owner: String,
    states: Vec<T>,
}

impl<T> Slots<T> {
    /// One state per instrument of the strategy.
    pub fn new(setup: &Setup<'_>, make: impl Fn() -> T) -> Self {
        Self {
            owner: setup.owner(),
            states: (0..setup.instruments).map(|_| make()).collect(),
        }
    }

    /// One state for all instruments together, under `Slot(0)`.
    pub fn single(setup: &Setup<'_>, state: T) -> Self {
        Self {
            owner: setup.owner(),
            states: vec![state],
        }
    }

    /// All states with their slots.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Slot, &mut T)> {
        self.states
            .iter_mut()
            .enumerate()
            .map(|(i, state)| (Slot(i as u32), state))
    }
}

impl<T: Serialize> Slots<T> {
    /// As bytes.
    pub fn save(&self) -> Result<Vec<u8>, StateError> {
        postcard::to_stdvec(&Saving {
            owner: &self.owner,
            states: &self.states,
        })
        .map_err(|e| StateError(e.to_string()))
    }
}

impl<T: DeserializeOwned> Slots<T> {
    /// Takes bytes of [`save`](Self::save) over, or changes nothing.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        let (saved, rest) = postcard::take_from_bytes::<Saved<T>>(bytes)
            .map_err(|e| StateError(format!("unreadable: {e}")))?;
        if saved.owner != self.owner {
            return Err(StateError(format!(
                "saved by `{}`, wanted `{}`",
                saved.owner, self.owner
            )));
        }
        if saved.states.len() != self.states.len() || !rest.is_empty() {
            return Err(StateError("another number of instruments".to_owned()));
        }
        self.states = saved.states;
        Ok(())
    }
}

impl<T> Index<Slot> for Slots<T> {
    type Output = T;
    #[inline]
    fn index(&self, slot: Slot) -> &T {
        &self.states[slot.index()]
    }
}

impl<T> IndexMut<Slot> for Slots<T> {
    #[inline]
    fn index_mut(&mut self, slot: Slot) -> &mut T {
        &mut self.states[slot.index()]
    }
}

/// The `save` and `restore` of a [`Strategy`](crate::Strategy) whose whole state is the field of
/// this name, a [`Slots`].
#[macro_export]
macro_rules! keep_state {
    ($field:ident) => {
        fn save(&self) -> ::std::result::Result<::std::vec::Vec<u8>, $crate::StateError> {
            self.$field.save()
        }
        fn restore(&mut self, state: &[u8]) -> ::std::result::Result<(), $crate::StateError> {
            self.$field.restore(state)
        }
    };
}
