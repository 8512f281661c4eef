//! Threads: one for the runner, one per namespace, one per link to a broker, one per feed. They own the
//! state machines of this crate and hand each other what the machines say.

pub mod link;
pub mod market;
pub mod namespace;
pub mod snapshots;
pub mod watchdog;

use std::sync::mpsc::SyncSender;

use model::control::Command;
use model::event::Event;
use traders::BrokerReport;

use crate::desk::{Call, Outcome};
use wire::EventPlace;

/// A question to a namespace, asked on its thread.
pub type Question = Box<dyn FnOnce(&crate::namespace::Namespace) + Send>;

/// What a namespace's thread is told, packets apart.
#[allow(clippy::large_enum_variant, reason = "few at a time")]
pub enum Message {
    /// The broker reports.
    Report(BrokerReport),
    /// A report that was parked, to be taken again; the reply says whether its order is known now.
    Again(BrokerReport, SyncSender<bool>),
    /// What came of a call, with the wall-clock times of its start and end.
    Outcome(Call, Outcome, i64, i64),
    /// The link to the broker is there: for the first time, or again.
    Connected,
    /// The link to the broker is lost.
    Lost(String),
    /// A command; the reply comes once its events are durable.
    Command(Command, Option<SyncSender<CommandReply>>),
    /// Save a snapshot now; the reply comes once it is durable.
    Snapshot(Option<SyncSender<Result<(), String>>>),
    /// A question about its state.
    Ask(Question),
}

/// What a command led to.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandReply {
    /// Its events, durable, and where they stand; none where it changed nothing.
    pub events: Vec<(Event, EventPlace)>,
}

/// Why a namespace does not trade any more until the next start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detached {
    /// A stable code.
    pub code: &'static str,
    /// For people, with the way out.
    pub why: String,
}
