//! The embedded runtime: hosts the stages in one process, durable and crash-safe.
//!
//! The state machines (`market`, `namespace`, `desk`) decide what follows from an input, and the drivers (`driver`)
//! when: both run over [`journal::Logs`] and clocks that they are given, so that a simulation can crash them at will.
//! The threads (`host`) only carry.

pub mod clock;
pub mod conflate;
pub mod dead_letters;
pub mod desk;
pub mod directory;
pub mod driver;
pub mod error;
pub mod host;
pub mod inbox;
pub mod lockstep;
pub mod market;
pub mod namespace;
pub mod packet;
pub mod records;
pub mod retention;
pub mod tables;

pub use error::RuntimeError;
