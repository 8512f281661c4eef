//! What the paper trader does with orders and market data.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::inconsistent_digit_grouping,
    reason = "prices are in hundredths: 100_05 is 100.05"
)]

mod bars;
mod conformance;
mod desk;
mod latency;
mod life;
mod properties;
mod settings;
mod ticks;
