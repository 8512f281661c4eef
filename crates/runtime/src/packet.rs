//! What the runner hands to every namespace: its inputs in its order, each followed by the signals that
//! it caused. All namespaces get the same packet; each takes what concerns it.

use std::sync::Arc;

use journal::Offset;
use journal::record::MarketItem;
use model::control::Command;
use model::signal::Signal;
use model::{InputId, Timestamp};
use pipeline::BrokerMask;

/// One step of the runner.
#[derive(Debug, Clone, Copy)]
#[allow(
    clippy::large_enum_variant,
    reason = "plain values in one buffer per packet; a box would allocate per tick"
)]
pub enum Step {
    /// A market input that the runner has passed.
    Market(InputId, MarketItem),
    /// A signal for these namespaces. What caused it, a market input or a timer, precedes it.
    Signal(Signal, BrokerMask),
    /// A command for these namespaces, from the runner itself: a shared strategy has failed.
    Command(Timestamp, Command, BrokerMask),
    /// The replay is over: whatever is due up to this instant fires, then what marks open positions.
    End(InputId, Timestamp),
}

/// Consecutive steps.
#[derive(Debug, Clone)]
pub struct Packet {
    /// The steps.
    pub steps: Vec<Step>,
    /// Where the market log stood before the first of them.
    pub position: Offset,
    /// When the oldest of the inputs arrived, on the wall clock, in nanoseconds UTC.
    pub received: i64,
}

/// A packet as it is handed over.
pub type SharedPacket = Arc<Packet>;
