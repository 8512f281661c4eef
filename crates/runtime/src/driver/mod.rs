//! What a host decides, as machines without threads. The threads of [`host`](crate::host), the seeded simulation
//! and whatever hosts come later drive the same ones.

pub mod market;
pub mod namespace;
pub mod probe;
pub mod snapshots;

use std::sync::mpsc::SyncSender;
use std::time::Duration;

use model::control::Command;
use model::event::Event;
use traders::BrokerReport;
use wire::EventPlace;

use crate::desk::{Call, Outcome};
use crate::namespace::Known;

/// Whether so much time has passed since an instant, both in nanoseconds of one clock.
fn has_passed(interval: Duration, since: i64, now: i64) -> bool {
    u128::try_from(now - since).is_ok_and(|passed| passed >= interval.as_nanos())
}

/// What a namespace is told, packets apart.
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
    /// Whether a command that has a key was carried out; the reply comes once it is durable.
    Known(Command, SyncSender<Option<Known>>),
    /// Save a snapshot now; the reply comes once it is durable.
    Snapshot(Option<SyncSender<Result<(), String>>>),
}

/// What a command led to.
#[derive(Debug, Clone, PartialEq)]
pub enum CommandReply {
    /// Its events, durable, and where they stand; none where it changed nothing.
    Done(Vec<(Event, EventPlace)>),
    /// Nothing now: its key was given before.
    Known(Known),
}

/// Why a namespace does not trade any more until the next start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detached {
    /// A stable code.
    pub code: &'static str,
    /// For people, with the way out.
    pub why: String,
}
