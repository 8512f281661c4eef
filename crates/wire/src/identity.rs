//! The ids of events as they leave: an event's own and that of what caused it. Both are hashes of what makes the event
//! unique, salted per data directory, so that every reader of the same log makes the same ids, whenever it reads and
//! wherever it begins.

pub use model::event::EventPlace;
use model::event::{Cause, Event, EventBody};
use model::ids::NameHash;
use model::{EventId, InputId};

/// Makes the ids of one data directory.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// The salt of its starts.
    pub salt: u128,
}

impl Identity {
    fn derive(self, broker: &str, kind: &str, what: u128, ordinal: u32) -> EventId {
        let kind = NameHash::of(&format!("{broker}/{kind}"));
        EventId::derive(self.salt, kind, what, ordinal)
    }

    /// Of a market input.
    pub fn input(self, id: InputId) -> EventId {
        self.derive("market", "input", u128::from(id.0), 0)
    }

    /// Of an event. A signal and a step of an order are identified by their own ids, which the events that they cause
    /// carry; any other event by where it stands: the number of its run, and its place among that run's outputs.
    pub fn event(self, broker: &str, event: &Event, place: EventPlace) -> EventId {
        match &event.body {
            EventBody::SignalRaw(signal)
            | EventBody::SignalDeferred(signal)
            | EventBody::SignalHeld { signal, .. } => {
                self.derive(broker, event.kind(), signal.id.0, 0)
            }
            EventBody::SignalValidated(v) => self.derive(broker, event.kind(), v.signal.0, 0),
            EventBody::SignalRejected(r) => self.derive(broker, event.kind(), r.signal.0, 0),
            EventBody::OrderSubmitted(intent) => self.derive(broker, "order", intent.id.get(), 0),
            EventBody::OrderChanged(step) => {
                self.derive(broker, "order", step.order.get(), step.sequence)
            }
            _ => {
                let step = u128::from(place.step);
                self.derive(broker, "output", step, place.ordinal as u32)
            }
        }
    }

    /// Of what caused an event.
    pub fn cause(self, broker: &str, event: &Event) -> EventId {
        match event.cause {
            Cause::Input(id) => self.input(id),
            Cause::Timer(due) => self.derive(broker, "timer", due.nanos() as u64 as u128, 0),
            // What was sent is judged; what is judged is acted upon.
            Cause::Signal(id) => {
                let kind = match event.body {
                    EventBody::SignalValidated(_)
                    | EventBody::SignalRejected(_)
                    | EventBody::SignalDeferred(_)
                    | EventBody::SignalHeld { .. } => "signal_raw",
                    _ => "signal_validated",
                };
                self.derive(broker, kind, id.0, 0)
            }
            Cause::Order(id, sequence) => self.derive(broker, "order", id.get(), sequence),
            Cause::Command(id) => self.derive(broker, "command", id.0, 0),
        }
    }
}

/// The key by which a consumer keeps related events together and in order.
pub fn key(broker: &str, event: &Event) -> String {
    match &event.body {
        EventBody::SignalRaw(s)
        | EventBody::SignalDeferred(s)
        | EventBody::SignalHeld { signal: s, .. } => s.id.to_string(),
        EventBody::SignalValidated(v) => v.signal.to_string(),
        EventBody::SignalRejected(r) => r.signal.to_string(),
        EventBody::OrderSubmitted(intent) => intent.id.to_string(),
        EventBody::OrderChanged(step) => step.order.to_string(),
        EventBody::ModifyRequested { order, .. } => order.to_string(),
        _ => broker.to_owned(),
    }
}
