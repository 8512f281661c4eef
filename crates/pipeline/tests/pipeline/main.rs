//! The stages and the kernel from outside: one binary, one desk that drives a namespace, and a second
//! instance beside it that is folded from what the first one recorded.

#![allow(
    clippy::large_types_passed_by_value,
    reason = "decisions are built by value, as they read best"
)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::panic, reason = "a test fails by panicking")]

mod audit;
mod bars;
mod bounds;
mod brackets;
mod day_close;
mod day_end;
mod desk;
mod expiry;
mod fuzz;
mod halts;
mod namespaces;
mod plan;
mod projected;
mod risk;
mod rules;
mod runner;
mod scripted;
mod session_end;
mod square_off;
mod system;
mod targets;
mod vectorbt;
mod world;
