//! What decides: the [`Strategy`] trait, indicators, the built-in strategies, and the YAML
//! definitions that turn a kind and its parameters into a running strategy.
//!
//! A strategy does no I/O, reads no clock and rolls no dice: everything it may know arrives in a
//! call, and everything it wants leaves through its [`Context`].

pub mod strategy;

pub use strategy::{
    Context, OwnFill, SessionEvent, Slot, StateError, Strategy, Subscription, TimerId, TimerRequest,
};
