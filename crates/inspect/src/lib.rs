//! Tools that read recorded logs, also beside a running system. They write and lock nothing.

pub mod growth;
pub mod history;
pub mod lost;
pub mod render;
pub mod replay;
pub mod stats;
pub mod trace;
