//! The stored form: against the schema as others read it, and what becomes of bytes that are not as they should be.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "helpers of tests may fail as tests do"
)]

mod fields;
mod form;
mod samples;
