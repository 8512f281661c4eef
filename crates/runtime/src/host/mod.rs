//! Threads: one for the runner, one per namespace, one per link to a broker, one per feed. They own the
//! drivers, feed them with what arrives, and hand on what the drivers say.

pub mod link;
pub mod market;
pub mod namespace;
pub mod watchdog;
