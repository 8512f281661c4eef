//! What a system has recorded and how long it is kept, and its threads when one of them fails.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "helpers of tests may fail as tests do"
)]

mod host;
mod retention;
mod world;
