//! What a system has recorded, looked at by every tool that reads it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "helpers of tests may fail as tests do"
)]

mod read;
mod replay;
#[path = "../../../runtime/tests/recorded/world.rs"]
#[allow(dead_code, reason = "the runtime's tests use the rest of it")]
mod world;
