//! The binary as its users meet it: black-box tests through the command line.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "helpers of tests may fail as tests do"
)]

mod actions;
mod bench;
mod config;
mod daily_bars;
mod decimal;
mod demo;
mod determinism;
mod documents;
mod ema_bars;
mod ema_ticks;
mod errors;
mod facts;
mod harness;
mod imports;
mod journal;
mod live;
mod market;
mod naive;
mod nse;
mod range;
mod recorded;
mod robustness;
mod running;
mod sessions;
mod settings_errors;
mod skip {
    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../xtask/src/skip.rs"
    ));
}
mod starts;
