//! What a system has recorded, read by everything that reads it, and its threads when one of them fails.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "helpers of tests may fail as tests do"
)]

mod host;
mod read;
mod replay;
mod retention;
mod world;
