//! What a namespace has done, counted from its events: the same numbers after any restart.

use std::collections::BTreeMap;

use model::Timestamp;
use model::event::{Event, EventBody};
use model::order::OrderChange;
use model::reason::Reason;
use model::topic::Channel;
use serde::{Deserialize, Serialize};

/// The stages that events come from, in their order in the pipeline.
pub const STAGES: [&str; 6] = [
    "signals",
    "risk",
    "engine",
    "trader",
    "portfolio",
    "control",
];

const fn stage(channel: Channel) -> usize {
    match channel {
        Channel::SignalsRaw => 0,
        Channel::SignalsValidated | Channel::SignalsRejected => 1,
        Channel::OrdersSubmitted => 2,
        Channel::OrdersUpdated | Channel::OrdersFilled | Channel::OrdersFailed => 3,
        Channel::PortfolioSnapshots => 4,
        Channel::Control | Channel::Journal => 5,
    }
}

/// What one stage has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Activity {
    /// Its events.
    pub count: u64,
    /// The latest one's time; `None` before the first.
    pub last: Option<Timestamp>,
}

/// Numbers of one span of time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Orders submitted.
    pub submitted: u64,
    /// Executions.
    pub fills: u64,
    /// Orders that provably never reached the broker.
    pub failed: u64,
    /// Signals refused here and orders refused by the broker, by reason.
    pub refused: BTreeMap<Reason, u64>,
    /// Alerts by reason.
    pub alerts: BTreeMap<Reason, u64>,
}

impl Counts {
    fn take(&mut self, event: &Event) {
        match &event.body {
            EventBody::OrderSubmitted(_) => self.submitted += 1,
            EventBody::OrderChanged(step) => match step.change {
                OrderChange::Filled(_) => self.fills += 1,
                OrderChange::Failed(_) => self.failed += 1,
                OrderChange::Rejected(reason) => *self.refused.entry(reason).or_default() += 1,
                _ => {}
            },
            EventBody::SignalRejected(r) => {
                *self.refused.entry(r.refusal.reason).or_default() += 1;
            }
            EventBody::Alert { reason, .. } => *self.alerts.entry(*reason).or_default() += 1,
            _ => {}
        }
    }
}

/// The numbers of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// By stage, in the order of [`STAGES`].
    pub stages: [Activity; STAGES.len()],
    /// Since the journal's first event.
    pub total: Counts,
    /// Of the trading day.
    pub today: Counts,
}

impl Tally {
    /// A fact has been recorded.
    #[inline]
    pub fn apply(&mut self, event: &Event) {
        let activity = &mut self.stages[stage(event.channel())];
        activity.count += 1;
        activity.last = Some(event.ts);
        self.total.take(event);
        self.today.take(event);
    }

    /// A trading day has begun.
    pub fn observe_day(&mut self) {
        self.today = Counts::default();
    }
}
