//! What decides: the [`Strategy`] trait, indicators, the built-in strategies, and the YAML
//! definitions that turn a kind and its parameters into a running strategy.
//!
//! A strategy does no I/O, reads no clock and rolls no dice: everything it may know arrives in a
//! call, and everything it wants leaves through its [`Context`].

pub mod strategy;

pub mod indicators;
pub mod level;
pub mod slots;

pub mod kind;
pub mod parameter;

pub mod kinds;

pub mod definition;
pub mod reference;
pub mod testing;

mod suggest;

pub use definition::{Definition, DefinitionError, ResolvedStrategy, Skipped, parse, resolve};
pub use kind::{
    BuildError, InstrumentsWanted, KindDescriptor, KindError, KindRegistry, Scope, Setup,
};
pub use parameter::{Inputs, ParameterSpec, ParameterType, Parameters};
pub use reference::reference_markdown;
pub use slots::Slots;
pub use strategy::{
    Context, MissedTimers, OwnFill, SessionEvent, Slot, StateError, Strategy, Subscription,
    TimerId, TimerRequest,
};
