//! The order protocol of one outside trader, as a state machine: which call to make next, and what an
//! answer, a report or a silence means. It does no I/O and reads no clock; a host makes the calls.
//!
//! What it holds to:
//!
//! - an intent is presented only once it is durable, and nobody starts the call after its `send_by`;
//! - an outcome that cannot be proven is `unknown`, never `failed`, and is resolved by asking;
//! - a `query_only` broker never sees an intent twice: after the first presentation there are only
//!   questions, also after a crash, as a predecessor may have presented it;
//! - an `idempotent` broker may be asked again under the same client order id until `send_by`, and its
//!   books prove absence once no call can be under way any more.

mod call;
mod line;

pub use call::{Call, Outcome, carry_out, unproven, unstarted};

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::event::{Event, EventBody};
use model::order::{Order, OrderChange, OrderIntent, OrderStatus};
use model::reason::Reason;
use model::trader::{Delivery, ReportKind, TraderReport};
use model::{OrderId, Timestamp};
use rustc_hash::FxHashMap;
use traders::{Answer, BrokerReport, ClientOrderId, Found, Modification};

use line::{Inquiry, Line, Presence, is_end, report, settled, tell_unknown};

/// How a desk waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeskSettings {
    /// What client order ids are salted with.
    pub salt: u128,
    /// Whether the same order may be presented again.
    pub delivery: Delivery,
    /// The longest that a call can be under way, clock skew included, in nanoseconds.
    pub call_within: i64,
    /// First pause after a call that led to nothing, in nanoseconds; doubles up to `pause_max`.
    pub pause_min: i64,
    /// Longest pause, in nanoseconds.
    pub pause_max: i64,
    /// An accepted call of which nothing is reported for so long is asked about, in nanoseconds.
    pub silence: i64,
}

/// What becomes of a report that the broker pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Its order is not known here.
    Foreign,
    /// The broker is asked first; what it answers includes this.
    Held,
    /// To be taken.
    Report(TraderReport),
}

/// Reports of one order that wait for the broker's word on it; one more is passed on.
const HELD_MAX: usize = 64;

/// The desk.
#[derive(Debug)]
pub struct Desk {
    settings: DeskSettings,
    lines: BTreeMap<OrderId, Line>,
    clients: FxHashMap<ClientOrderId, OrderId>,
    /// Orders that have ended and are still recognised, the oldest first.
    ended: VecDeque<ClientOrderId>,
    schedule: BTreeSet<(Timestamp, u64, OrderId)>,
    sequence: u64,
    in_flight: Option<OrderId>,
}

/// Questions in a row, ever farther apart, that do not find an order which the broker has told of: its
/// books do not lag so far behind. From then on the outcome is unknown, and an operator may resolve it.
const LOST_AFTER: u32 = 8;

/// Orders that have ended and are still recognised; the oldest is forgotten first. The stages have
/// forgotten it before.
const REMEMBERED: usize = 1 << 14;

impl Desk {
    /// Without orders.
    pub fn new(settings: DeskSettings) -> Self {
        Self {
            settings,
            lines: BTreeMap::new(),
            clients: FxHashMap::default(),
            ended: VecDeque::new(),
            schedule: BTreeSet::new(),
            sequence: 0,
            in_flight: None,
        }
    }

    /// Takes over an order after a restart. One that still waits for a first word of the broker may
    /// have been presented by the process before.
    pub fn recover(&mut self, order: &Order, modify: Option<Modification>, now: Timestamp) {
        let intent = *order.intent();
        let presence = match order.status() {
            OrderStatus::Submitted | OrderStatus::Unknown => Presence::Perhaps,
            _ => Presence::There,
        };
        self.insert(intent, presence);
        if let Some(line) = self.lines.get_mut(&intent.id) {
            line.unknown = order.status() == OrderStatus::Unknown;
            line.cancel = order.cancel_requested();
            line.modify = modify;
            line.order = order.clone();
            if let Some(change) = modify {
                line.presented(change.quantity);
                // The process before may have asked for others.
                line.several = true;
            }
            // What happened while nobody listened.
            line.gap = true;
        }
        self.wake(intent.id, now);
    }

    /// A report of an order is parked: the broker's book is asked, also about one that has ended.
    pub fn verify(&mut self, order: &Order, now: Timestamp) {
        let intent = *order.intent();
        if !self.lines.contains_key(&intent.id) {
            self.insert(intent, Presence::There);
        }
        if let Some(line) = self.lines.get_mut(&intent.id) {
            line.order = order.clone();
            line.doubt = Inquiry::Wanted;
            line.gap = true;
        }
        self.wake(intent.id, now);
    }

    /// Remembers an order that has ended, so that what arrives late is recognised.
    pub fn remember(&mut self, order: OrderId) {
        let client = order.client_order_id(self.settings.salt);
        if self.clients.insert(client, order).is_none() {
            self.end(client);
        }
    }

    fn end(&mut self, client: ClientOrderId) {
        self.ended.push_back(client);
        if self.ended.len() > REMEMBERED
            && let Some(oldest) = self.ended.pop_front()
        {
            self.clients.remove(&oldest);
        }
    }

    fn insert(&mut self, intent: OrderIntent, presence: Presence) {
        let client = intent.id.client_order_id(self.settings.salt);
        self.clients.insert(client, intent.id);
        self.lines.insert(
            intent.id,
            Line {
                client,
                order: Order::new(intent),
                presence,
                perhaps_arrived: presence == Presence::Perhaps,
                unknown: false,
                ended: false,
                cancel: false,
                modify: None,
                ask: None,
                gap: false,
                doubt: Inquiry::None,
                asked: Timestamp::MIN,
                changing: None,
                uncertain: None,
                several: false,
                held: Vec::new(),
                refused: None,
                tries: 0,
                slot: None,
            },
        );
    }

    fn wake(&mut self, id: OrderId, at: Timestamp) {
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        if let Some((due, sequence)) = line.slot.take() {
            self.schedule.remove(&(due, sequence, id));
        }
        self.sequence += 1;
        line.slot = Some((at, self.sequence));
        self.schedule.insert((at, self.sequence, id));
    }

    fn sleep(&mut self, id: OrderId) {
        if let Some(line) = self.lines.get_mut(&id)
            && let Some((due, sequence)) = line.slot.take()
        {
            self.schedule.remove(&(due, sequence, id));
        }
    }

    fn pause(&self, tries: u32) -> i64 {
        let factor = 1i64 << tries.saturating_sub(1).min(30);
        self.settings
            .pause_min
            .saturating_mul(factor)
            .min(self.settings.pause_max)
    }

    fn forget(&mut self, id: OrderId) {
        self.sleep(id);
        if let Some(line) = self.lines.remove(&id) {
            self.end(line.client);
        }
    }

    /// Moves what is held of an order that has ended into `reports`. The namespace calls it before
    /// [`event`](Self::event) tells of the end, upon which the desk forgets the order.
    pub fn take_held(&mut self, id: OrderId, now: Timestamp, reports: &mut Vec<TraderReport>) {
        if let Some(line) = self.lines.get_mut(&id) {
            reports.extend(line.held.drain(..).map(|kind| report(id, now, kind)));
        }
    }

    /// A durable event of the namespace. `ended` tells whether the order that it is about has ended.
    pub fn event(&mut self, event: &Event, ended: bool, now: Timestamp) {
        match &event.body {
            EventBody::OrderSubmitted(intent) => {
                self.insert(*intent, Presence::Never);
                self.wake(intent.id, now);
            }
            EventBody::ReportDropped { order, .. } if ended => self.forget(*order),
            EventBody::ModifyRequested { order, quantity } => {
                if let Some(line) = self.lines.get_mut(order) {
                    line.modify = Some(Modification {
                        quantity: *quantity,
                        limit_price: None,
                        trigger_price: None,
                    });
                    self.wake(*order, now);
                }
            }
            EventBody::OrderChanged(step) => {
                let id = step.order;
                if ended {
                    return self.forget(id);
                }
                let Some(line) = self.lines.get_mut(&id) else {
                    return;
                };
                // The pipeline has checked it.
                let _ = line.order.advance(&step.change);
                match step.change {
                    OrderChange::CancelRequested(_) => {
                        line.cancel = true;
                        self.wake(id, now);
                    }
                    OrderChange::Modified { quantity, .. } => {
                        // Another change may be wanted by now.
                        if line.modify.is_some_and(|m| m.quantity == quantity) {
                            line.modify = None;
                        }
                        if line.changing == Some(quantity) {
                            line.is_certain();
                        }
                    }
                    OrderChange::Unknown => line.unknown = true,
                    _ => line.unknown = false,
                }
            }
            _ => {}
        }
    }

    /// The next call to make at `now`, if any; one is under way at a time. What can be said without a
    /// call, such as that `send_by` has passed, is put into `reports`.
    pub fn next_call(&mut self, now: Timestamp, reports: &mut Vec<TraderReport>) -> Option<Call> {
        if self.in_flight.is_some() {
            return None;
        }
        while let Some(&(due, _, id)) = self.schedule.first() {
            if due > now {
                return None;
            }
            self.sleep(id);
            if let Some(call) = self.call_for(id, now, reports) {
                self.in_flight = Some(id);
                return Some(call);
            }
            // It was woken for something else; its silence is still looked into.
            let later = self.lines.get(&id).and_then(|line| line.ask);
            if let Some(later) = later.filter(|at| *at > now) {
                self.wake(id, later);
            }
        }
        None
    }

    fn call_for(
        &mut self,
        id: OrderId,
        now: Timestamp,
        reports: &mut Vec<TraderReport>,
    ) -> Option<Call> {
        let delivery = self.settings.delivery;
        let line = self.lines.get_mut(&id)?;
        if line.ended {
            return None;
        }
        let late = now > line.send_by();
        match line.presence {
            // Whatever is not presented yet and is not wanted any more ends here, provably unsent.
            Presence::Never if late || line.cancel => {
                line.ended = true;
                reports.push(report(id, now, ReportKind::NotSent(Reason::NotSent)));
                None
            }
            Presence::Never => {
                line.presence = Presence::Perhaps;
                Some(Call::Submit(id, line.client, *line.order.intent()))
            }
            Presence::Perhaps => {
                // After a restart, and after every other silence, the books are asked before the
                // order is presented again.
                let ask = line.ask.is_some() || line.gap || line.cancel;
                Some(if delivery == Delivery::Idempotent && !late && !ask {
                    Call::Submit(id, line.client, *line.order.intent())
                } else {
                    line.query(id, now)
                })
            }
            Presence::There if line.gap || line.ask.is_some_and(|at| at <= now) => {
                Some(line.query(id, now))
            }
            Presence::There if line.cancel => Some(Call::Cancel(id, line.client)),
            Presence::There => {
                let change = line.modify?;
                line.presented(change.quantity);
                Some(Call::Modify(id, line.client, change))
            }
        }
    }

    /// What came of a call. `attempted` is false for a submission that the host did not start, as its
    /// `send_by` had passed: it says so with [`Answer::NotSent`].
    pub fn answered(
        &mut self,
        call: &Call,
        outcome: Outcome,
        now: Timestamp,
        reports: &mut Vec<TraderReport>,
    ) {
        let id = call.order();
        if self.in_flight == Some(id) {
            self.in_flight = None;
        }
        let (pause_of, call_within, silence) = (
            self.pause(self.lines.get(&id).map_or(1, |l| l.tries + 1)),
            self.settings.call_within,
            self.settings.silence,
        );
        let delivery = self.settings.delivery;
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        if line.ended {
            return;
        }
        if line.doubt == Inquiry::Asked && !matches!(outcome, Outcome::Found(Found::Present(_))) {
            line.doubt = Inquiry::Wanted;
        }
        // Either what follows is said at once, or the line sleeps for as long.
        let mut again = None;
        match (call, outcome) {
            (Call::Submit(..), Outcome::Answered(answer)) => match answer {
                Answer::Accepted => {
                    line.presence = Presence::There;
                    line.tries = 0;
                    line.ask = None;
                    // Something else may be wanted by now; else silence is looked into.
                    if line.cancel || line.modify.is_some() {
                        again = Some(now);
                    } else {
                        again = Some(now.plus(silence));
                        line.ask = again;
                    }
                }
                // That holds for this call; one before it may have arrived, or may yet.
                Answer::Refused(reason) if line.perhaps_arrived => {
                    line.refused = Some(reason);
                    again = Some(now);
                    line.ask = again;
                }
                Answer::Refused(reason) => {
                    line.ended = true;
                    reports.push(report(id, now, ReportKind::Rejected(reason)));
                }
                Answer::NotSent(reason) => {
                    line.tries += 1;
                    // That holds for this call; one before it may have arrived.
                    if !line.perhaps_arrived {
                        line.presence = Presence::Never;
                    }
                    let hopeless = now.plus(pause_of) > line.send_by();
                    if line.presence == Presence::Never && hopeless {
                        line.ended = true;
                        reports.push(report(id, now, ReportKind::NotSent(reason)));
                    } else {
                        again = Some(now.plus(pause_of));
                    }
                }
                Answer::Unknown => {
                    line.tries += 1;
                    line.perhaps_arrived = true;
                    // A report may have said meanwhile that it is there.
                    if line.presence != Presence::There {
                        tell_unknown(line, id, now, reports);
                    }
                    again = Some(now);
                    line.ask = again;
                }
            },
            (Call::Cancel(..), Outcome::Answered(answer)) => match answer {
                Answer::Accepted => {
                    line.tries = 0;
                    line.cancel = false;
                    again = Some(now.plus(silence));
                    line.ask = again;
                }
                Answer::Refused(_) => {
                    line.tries = 0;
                    line.cancel = false;
                    reports.push(report(id, now, ReportKind::CancelRefused));
                    // It may have ended, unheard.
                    line.gap = true;
                    again = Some(now);
                }
                // A cancellation may be presented any number of times.
                Answer::NotSent(_) | Answer::Unknown => {
                    line.tries += 1;
                    again = Some(now.plus(pause_of));
                }
            },
            (Call::Modify(_, _, asked), Outcome::Answered(answer)) => match answer {
                Answer::Accepted | Answer::Refused(_) => {
                    line.tries = 0;
                    if line.modify == Some(*asked) {
                        line.modify = None;
                    }
                    if let Answer::Refused(_) = answer {
                        line.changing = None;
                        reports.push(report(id, now, ReportKind::ModifyRefused));
                        line.gap = true;
                        again = Some(now);
                    } else if line.cancel || line.modify.is_some() {
                        // Something else is wanted by now, and does not wait for silence.
                        again = Some(now);
                    } else {
                        again = Some(now.plus(silence));
                        line.ask = again;
                    }
                }
                // It names what shall hold, so it may be presented again.
                Answer::NotSent(_) | Answer::Unknown => {
                    line.tries += 1;
                    again = Some(now.plus(pause_of));
                }
            },
            (Call::Query(..), Outcome::Found(found)) => match found {
                Found::Present(said) => {
                    line.presence = Presence::There;
                    line.tries = 0;
                    (line.ask, line.gap) = (None, line.doubt == Inquiry::Wanted);
                    line.is_certain();
                    line.refused = None;
                    if line.unknown {
                        reports.push(report(id, now, ReportKind::Acknowledged));
                    }
                    line.unknown = false;
                    let confirmed = line.doubt == Inquiry::Asked;
                    let said = settled(&said).into_iter().map(|kind| TraderReport {
                        confirmed,
                        ..report(id, now, kind)
                    });
                    reports.extend(said);
                    if confirmed {
                        line.doubt = Inquiry::None;
                        reports.push(report(id, now, ReportKind::BookRead));
                    }
                    reports.extend(line.held.drain(..).map(|kind| report(id, now, kind)));
                    again = Some(now);
                }
                Found::Absent => match delivery {
                    // Its books may lag behind what it has said already.
                    Delivery::QueryOnly if line.presence == Presence::There => {
                        line.tries += 1;
                        line.release(id, now, reports);
                        if line.tries >= LOST_AFTER {
                            tell_unknown(line, id, now, reports);
                        }
                        again = Some(now.plus(pause_of));
                        line.ask = again;
                    }
                    Delivery::Idempotent if line.presence == Presence::There => {
                        // It was there: the books contradict themselves.
                        line.tries += 1;
                        line.release(id, now, reports);
                        tell_unknown(line, id, now, reports);
                        again = Some(now.plus(pause_of));
                        line.ask = again;
                    }
                    Delivery::Idempotent
                        if now <= line.send_by() && !line.cancel && line.refused.is_none() =>
                    {
                        (line.ask, line.gap) = (None, false);
                        again = Some(now);
                    }
                    Delivery::Idempotent => {
                        // The books are from after the question was asked, not from now: one asked
                        // while a call could be under way proves nothing.
                        let settled = line.send_by().plus(call_within);
                        if line.asked > settled {
                            line.ended = true;
                            let kind = match line.refused {
                                Some(reason) => ReportKind::Rejected(reason),
                                None => ReportKind::NotSent(Reason::NotSent),
                            };
                            reports.push(report(id, now, kind));
                        } else {
                            again = Some(settled.plus(1).max(now));
                            line.ask = again;
                        }
                    }
                    Delivery::QueryOnly => {
                        line.tries += 1;
                        tell_unknown(line, id, now, reports);
                        again = Some(now.plus(pause_of));
                        line.ask = again;
                    }
                },
                Found::Unknown => {
                    line.tries += 1;
                    line.release(id, now, reports);
                    if line.presence == Presence::Perhaps {
                        tell_unknown(line, id, now, reports);
                    }
                    again = Some(now.plus(pause_of));
                    line.ask = again;
                }
            },
            // A host that answers a call with another's outcome is asked again.
            (_, _) => again = Some(now.plus(pause_of)),
        }
        if let Some(at) = again {
            self.wake(id, at);
        }
    }

    /// A report that the broker pushed.
    pub fn report(&mut self, said: &BrokerReport, now: Timestamp) -> Heard {
        let Some(id) = self.clients.get(&said.client_order_id).copied() else {
            return Heard::Foreign;
        };
        let mut heard = Heard::Report(report(id, now, said.kind));
        if let Some(line) = self.lines.get_mut(&id) {
            line.presence = Presence::There;
            line.ask = None;
            line.tries = 0;
            match said.kind {
                // A change that is not the one awaited may be an old one, repeated: which one holds,
                // the broker must say.
                ReportKind::Modified { quantity, .. } if line.changing != Some(quantity) => {
                    line.gap = true;
                    heard = Heard::Held;
                }
                // Where reports are not numbered and sent again, one can be lost: the word on the
                // quantity of which this is an execution, or an execution before this end.
                ReportKind::Filled { quantity, .. }
                    if said.number == 0
                        && line.held.len() < HELD_MAX
                        && (line.uncertain.is_some() || line.exceeds(quantity)) =>
                {
                    line.gap = true;
                    line.held.push(said.kind);
                    heard = Heard::Held;
                }
                ReportKind::FilledTo { quantity, .. }
                    if said.number == 0
                        && line.held.len() < HELD_MAX
                        && (line.uncertain.is_some() || quantity > line.order.quantity()) =>
                {
                    line.gap = true;
                    line.held.push(said.kind);
                    heard = Heard::Held;
                }
                kind if said.number == 0
                    && line.held.len() < HELD_MAX
                    && line.gap
                    && is_end(&kind) =>
                {
                    line.held.push(kind);
                    heard = Heard::Held;
                }
                // The execution may be parked; the answer to a question under way may not know of it yet.
                ReportKind::Filled { .. } | ReportKind::FilledTo { .. }
                    if line.doubt == Inquiry::Asked =>
                {
                    line.doubt = Inquiry::Wanted;
                }
                _ => {}
            }
            if line.gap || line.cancel || line.modify.is_some() {
                self.wake(id, now);
            } else {
                self.sleep(id);
            }
        }
        heard
    }

    /// The connection was lost and is there again: everything open is asked about.
    pub fn reconnected(&mut self, now: Timestamp) {
        let ids: Vec<OrderId> = self.lines.keys().copied().collect();
        for id in ids {
            if let Some(line) = self.lines.get_mut(&id)
                && line.presence != Presence::Never
            {
                line.gap = true;
            }
            self.wake(id, now);
        }
    }

    /// When it next has something to do; [`Timestamp::MAX`] while a call is under way or all is done.
    pub fn next_due(&self) -> Timestamp {
        match (self.in_flight, self.schedule.first()) {
            (None, Some((due, ..))) => *due,
            _ => Timestamp::MAX,
        }
    }

    /// True when no order waits for a first word, for an answer to a cancellation, to a change or to the
    /// question what was missed: in lockstep time passes only then. An order whose questions led to
    /// nothing so many times in a row is not waited for: it is asked about as time passes.
    pub fn is_settled(&self, tries_max: u32) -> bool {
        self.in_flight.is_none() && self.lines.values().all(|line| !line.waits(tries_max))
    }

    /// In lockstep, where time stands still until all is settled: what waits is due now.
    pub fn hurry(&mut self, tries_max: u32, now: Timestamp) {
        let waiting: Vec<OrderId> = self
            .lines
            .iter()
            .filter(|(_, line)| line.waits(tries_max))
            .map(|(id, _)| *id)
            .collect();
        for id in waiting {
            let due = self.lines.get(&id).and_then(|l| l.slot);
            if due.is_none_or(|(at, _)| at > now) {
                self.wake(id, now);
            }
        }
    }

    /// Orders that are not done.
    pub fn open(&self) -> usize {
        self.lines.len()
    }
}
