//! Signals that were decided as a session ended: they wait for the next one to open.

use std::collections::VecDeque;

use model::event::{Event, EventBody};
use model::signal::{Action, Signal};
use model::{SignalId, Timestamp};
use serde::{Deserialize, Serialize};

use super::key_of;
use crate::portfolio::PositionKey;

/// At most this many signals are held; one more is refused, as its session is closed.
pub const HELD_MAX: usize = 65_536;

/// A signal and when it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Held {
    /// Stamped with the next session's open: its age counts from then.
    signal: Signal,
    /// The open, or later where the system was off at that instant.
    due: Timestamp,
}

/// The signals that wait, in the order in which they were held.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HeldSignals {
    signals: VecDeque<Held>,
}

impl HeldSignals {
    /// Whether there is room for no more.
    pub fn is_full(&self) -> bool {
        self.signals.len() >= HELD_MAX
    }

    /// When the first one is judged.
    pub fn next_due(&self) -> Timestamp {
        let dues = self.signals.iter().map(|held| held.due);
        dues.min().unwrap_or(Timestamp::MAX)
    }

    /// Those to be judged at `at`, in the order in which they were held.
    pub fn due(&self, at: Timestamp) -> Vec<Signal> {
        let due = self.signals.iter().filter(|held| held.due <= at);
        due.map(|held| held.signal).collect()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Signal> {
        self.signals.iter().map(|held| &held.signal)
    }

    /// Those that act on one position.
    pub fn of(&self, key: PositionKey) -> impl Iterator<Item = &Signal> {
        self.iter().filter(move |signal| key_of(signal) == key)
    }

    /// Whether a signal still waits.
    pub fn contains(&self, id: SignalId) -> bool {
        self.iter().any(|signal| signal.id == id)
    }

    /// What `newer` leaves nothing to do for: a target, or the exit of a whole position, takes the place
    /// of everything that was held for the position before it.
    pub fn superseded_by(&self, newer: &Signal) -> Vec<Signal> {
        match newer.decision.action {
            Action::Target { .. } | Action::Exit { quantity: None } => {
                self.of(key_of(newer)).copied().collect()
            }
            Action::Enter { .. } | Action::Exit { quantity: Some(_) } => Vec::new(),
        }
    }

    /// The system was off until `until`: what was due before is judged then.
    pub fn observe_absence(&mut self, until: Timestamp) {
        for held in &mut self.signals {
            held.due = held.due.max(until);
        }
    }

    /// A fact has been recorded.
    pub fn apply(&mut self, event: &Event) {
        match &event.body {
            EventBody::SignalHeld { signal, open } => self.signals.push_back(Held {
                signal: Signal {
                    ts: *open,
                    ..*signal
                },
                due: *open,
            }),
            EventBody::SignalValidated(v) => self.remove(v.signal),
            EventBody::SignalRejected(r) => self.remove(r.signal),
            EventBody::SignalDeferred(signal) => self.remove(signal.id),
            _ => {}
        }
    }

    fn remove(&mut self, id: SignalId) {
        // Mostly the first: they are judged in their order.
        if let Some(at) = self.signals.iter().position(|held| held.signal.id == id) {
            self.signals.remove(at);
        }
    }
}
