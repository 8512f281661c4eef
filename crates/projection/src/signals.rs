//! Signals with what became of them.

use std::collections::BTreeMap;

use model::event::{Event, EventBody, Refused, Validated};
use model::signal::Signal;
use model::{SignalId, Timestamp};

/// What became of a signal.
#[derive(Debug, Clone, Copy)]
#[allow(
    clippy::large_enum_variant,
    reason = "one of each signal, made and read once"
)]
pub enum Outcome {
    /// It passed, wholly or in part.
    Validated(Validated),
    /// It did not.
    Rejected(Refused),
    /// It still waits.
    Open,
}

/// A signal and its outcome. An outcome names enough of its signal for a row even where the signal
/// itself is not among the events.
#[derive(Debug, Clone, Copy)]
pub struct SignalRecord {
    /// The signal.
    pub signal: Option<Signal>,
    /// It had to wait for working orders to be cancelled.
    pub deferred: bool,
    /// It had to wait for its session to open.
    pub held: bool,
    /// When its outcome became known.
    pub decided: Option<Timestamp>,
    /// Its outcome.
    pub outcome: Outcome,
}

#[derive(Debug)]
struct Waiting {
    arrived: u64,
    deferred: bool,
    held: bool,
    signal: Signal,
}

impl Waiting {
    const fn record(&self, decided: Option<Timestamp>, outcome: &Outcome) -> SignalRecord {
        SignalRecord {
            signal: Some(self.signal),
            deferred: self.deferred,
            held: self.held,
            decided,
            outcome: *outcome,
        }
    }
}

/// The signals of a namespace whose outcome is still to come: a handful at any time.
#[derive(Debug, Default)]
pub struct Signals {
    waiting: BTreeMap<SignalId, Waiting>,
    arrived: u64,
}

impl Signals {
    /// Takes an event; returns a signal whose outcome it tells.
    pub fn apply(&mut self, event: &Event) -> Option<SignalRecord> {
        let (id, outcome) = match &event.body {
            EventBody::SignalRaw(signal) => {
                self.waiting.remove(&signal.id);
                self.entry(signal);
                return None;
            }
            EventBody::SignalDeferred(signal) => {
                let entry = self.entry(signal);
                (entry.deferred, entry.held) = (true, false);
                return None;
            }
            EventBody::SignalHeld { signal, .. } => {
                self.entry(signal).held = true;
                return None;
            }
            EventBody::SignalValidated(v) => (v.signal, Outcome::Validated(*v)),
            EventBody::SignalRejected(r) => (r.signal, Outcome::Rejected(*r)),
            _ => return None,
        };
        let decided = Some(event.ts);
        Some(match self.waiting.remove(&id) {
            Some(waiting) => waiting.record(decided, &outcome),
            None => SignalRecord {
                signal: None,
                deferred: false,
                held: false,
                decided,
                outcome,
            },
        })
    }

    fn entry(&mut self, signal: &Signal) -> &mut Waiting {
        let arrived = &mut self.arrived;
        self.waiting.entry(signal.id).or_insert_with(|| {
            *arrived += 1;
            Waiting {
                arrived: *arrived,
                deferred: false,
                held: false,
                signal: *signal,
            }
        })
    }

    /// The signals that still wait, in the order of arrival.
    pub fn into_rest(self) -> Vec<SignalRecord> {
        let mut rest: Vec<Waiting> = self.waiting.into_values().collect();
        rest.sort_unstable_by_key(|waiting| waiting.arrived);
        let open = |waiting: &Waiting| waiting.record(None, &Outcome::Open);
        rest.iter().map(open).collect()
    }
}
