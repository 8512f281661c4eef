//! The machines of the embedded runtime from outside: the seeded simulation of a whole system, and
//! focused tests of its parts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::panic, reason = "a test fails by panicking")]

mod broker;
mod chance;
mod desk;
mod failures;
mod oracle;
mod parity;
mod parked;
mod recovery;
mod rig;
mod run;
mod seeds;
mod storage;
mod world;
