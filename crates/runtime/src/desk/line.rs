//! What the desk knows of one order.

use model::order::{Execution, Order, OrderChange, OrderError};
use model::reason::Reason;
use model::trader::{ReportKind, TraderReport};
use model::{Amount, OrderId, Quantity, Timestamp};
use traders::{BrokerReport, ClientOrderId, Modification};

use super::Call;

/// What is known of an order's presence at the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Provably not there: no call with it was ever started.
    Never,
    /// A call was started, by this process or by one before it, and its outcome is not known.
    Perhaps,
    /// The broker has said that it has it.
    There,
}

/// Whether the broker's book has been asked about an order of which a report is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inquiry {
    /// Nothing is parked.
    None,
    /// The question is to be asked.
    Wanted,
    /// It is under way; one that was under way before says nothing of what was reported after it.
    Asked,
}

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) client: ClientOrderId,
    /// The order as durable events tell it.
    pub(super) order: Order,
    pub(super) presence: Presence,
    /// A call that was started, by this process or the one before it, may have arrived.
    pub(super) perhaps_arrived: bool,
    /// The namespace has been told that the outcome is unknown, and not been told better since.
    pub(super) unknown: bool,
    /// The order's end, or that it never was, is reported: nothing more is to be done.
    pub(super) ended: bool,
    pub(super) cancel: bool,
    pub(super) modify: Option<Modification>,
    /// When to ask about it even though the broker has it; a report makes the question superfluous.
    pub(super) ask: Option<Timestamp>,
    /// Reports may have been missed: ask about it, whatever is reported meanwhile.
    pub(super) gap: bool,
    /// Whether a report of it is parked, and the broker's book is to confirm or to contradict it.
    pub(super) doubt: Inquiry,
    /// When the latest question was asked.
    pub(super) asked: Timestamp,
    /// The quantity that the latest change presented asked for, until it is known to hold or not.
    pub(super) changing: Option<Quantity>,
    /// The largest quantity that a change asked for of which it is not known whether it holds.
    pub(super) uncertain: Option<Quantity>,
    /// Any of several changes may hold, so an execution does not prove which.
    pub(super) several: bool,
    /// What was reported while something before it may have been missed.
    pub(super) held: Vec<ReportKind>,
    /// The broker has refused a call while one before it may have arrived, or may yet.
    pub(super) refused: Option<Reason>,
    /// Calls in a row that led to nothing.
    pub(super) tries: u32,
    /// Where it stands in the schedule.
    pub(super) slot: Option<(Timestamp, u64)>,
}

impl Line {
    pub(super) fn query(&mut self, id: OrderId, now: Timestamp) -> Call {
        self.asked = now;
        if self.doubt == Inquiry::Wanted {
            self.doubt = Inquiry::Asked;
        }
        Call::Query(id, self.client)
    }

    /// Whether something is to come of it before time may pass.
    pub(super) const fn waits(&self, tries_max: u32) -> bool {
        if self.ended || self.unknown && self.tries >= tries_max {
            return false;
        }
        let there = matches!(self.presence, Presence::There);
        // A broker that does not know an order any more is not asked for ever.
        let missed = self.gap && !self.unknown && self.tries < tries_max;
        !there || self.cancel || self.modify.is_some() || missed
    }

    pub(super) fn send_by(&self) -> Timestamp {
        self.order.intent().send_by
    }

    /// A change was presented, or may have been.
    pub(super) fn presented(&mut self, quantity: Quantity) {
        self.several |= self.uncertain.is_some_and(|before| before != quantity);
        self.changing = Some(quantity);
        self.uncertain = self.uncertain.max(Some(quantity));
    }

    /// The broker has said which quantity holds.
    pub(super) const fn is_certain(&mut self) {
        (self.changing, self.uncertain, self.several) = (None, None, false);
    }

    /// Whether an execution is more than the quantity that is known to hold leaves open.
    pub(super) fn exceeds(&self, quantity: Quantity) -> bool {
        quantity > self.order.open_quantity()
    }

    /// The question led to nothing: what was held is passed on as far as it is sure to fit.
    ///
    /// Two kinds wait for the broker's word: the order's end, as what was executed before it could
    /// never be learnt of, and an execution that would end the order though a larger quantity may hold.
    /// An execution beyond the quantity known proves that the change holds which it fits.
    pub(super) fn release(&mut self, id: OrderId, now: Timestamp, reports: &mut Vec<TraderReport>) {
        let mut order = self.order.clone();
        let mut waiting = Vec::new();
        for kind in self.held.drain(..) {
            // A total is passed on as it was said: more may be booked by now than is durable.
            let said = kind;
            let kind = match kind {
                ReportKind::FilledTo {
                    side,
                    quantity,
                    average_price,
                } => match order.executed_to(quantity, average_price) {
                    Some((trade, quantity, price)) => ReportKind::Filled {
                        trade,
                        side,
                        quantity,
                        price,
                        draws: 0,
                    },
                    None => continue,
                },
                kind => kind,
            };
            let ReportKind::Filled {
                trade,
                side,
                quantity,
                price,
                draws,
            } = kind
            else {
                if is_end(&kind) {
                    waiting.push(kind);
                } else {
                    reports.push(report(id, now, kind));
                }
                continue;
            };
            let execution = OrderChange::Filled(Execution {
                trade,
                quantity,
                price,
                charges: Amount::ZERO,
                draws,
            });
            if matches!(order.check(&execution), Err(OrderError::DuplicateTrade(_))) {
                // Booked already.
                continue;
            }
            let open = order.open_quantity();
            let total = Quantity::from_raw(order.filled().raw().saturating_add(quantity.raw()));
            let larger = self.uncertain.filter(|most| *most > order.quantity());
            if quantity > open {
                let is_alike = side == order.intent().side;
                let proven = larger.filter(|most| is_alike && !self.several && total <= *most);
                let Some(holds) = proven else {
                    waiting.push(said);
                    continue;
                };
                let change = ReportKind::Modified {
                    quantity: holds,
                    limit_price: order.limit_price(),
                    trigger_price: order.trigger_price(),
                };
                let modified = OrderChange::Modified {
                    quantity: holds,
                    limit_price: order.limit_price(),
                    trigger_price: order.trigger_price(),
                };
                if order.advance(&modified).is_err() {
                    waiting.push(said);
                    continue;
                }
                reports.push(report(id, now, change));
            } else if quantity == open && larger.is_some() {
                waiting.push(said);
                continue;
            }
            // A copy: what cannot be is found by the pipeline, which says so.
            let _ = order.advance(&execution);
            reports.push(report(id, now, said));
        }
        self.held = waiting;
    }
}

pub(super) const fn is_end(kind: &ReportKind) -> bool {
    matches!(
        kind,
        ReportKind::Cancelled(_) | ReportKind::Expired(_) | ReportKind::Rejected(_)
    )
}

pub(super) fn tell_unknown(
    line: &mut Line,
    id: OrderId,
    now: Timestamp,
    reports: &mut Vec<TraderReport>,
) {
    // One that has ended is only asked about as a report of it is parked.
    if !line.unknown && !line.order.status().is_terminal() {
        line.unknown = true;
        reports.push(report(id, now, ReportKind::Unknown));
    }
}

/// An order's history without the changes that others have overtaken: to repeat an old quantity can
/// look like the order's end. The largest comes first, so that every execution fits, then the last.
pub(super) fn settled(said: &[BrokerReport]) -> Vec<ReportKind> {
    let quantity = |kind: &ReportKind| match kind {
        ReportKind::Modified { quantity, .. } => Some(*quantity),
        _ => None,
    };
    let changes = || {
        said.iter()
            .enumerate()
            .filter(|(_, r)| quantity(&r.kind).is_some())
    };
    let first = changes().map(|(at, _)| at).next();
    let last = changes().map(|(at, _)| at).next_back();
    let largest = changes()
        .map(|(_, r)| r.kind)
        .max_by_key(|kind| quantity(kind));
    let mut kinds = Vec::with_capacity(said.len());
    for (at, report) in said.iter().enumerate() {
        if quantity(&report.kind).is_none() {
            kinds.push(report.kind);
            continue;
        }
        if Some(at) == first {
            kinds.extend(largest);
        }
        if Some(at) == last && largest.as_ref().and_then(quantity) != quantity(&report.kind) {
            kinds.push(report.kind);
        }
    }
    kinds
}

pub(super) fn report(order: OrderId, ts: Timestamp, kind: ReportKind) -> TraderReport {
    TraderReport::new(order, ts, kind)
}
