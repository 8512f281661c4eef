//! Orders that meet recorded data: their client passes the market, input by input, in lockstep.
//!
//! What becomes of an order is a function of the order, of the last input passed when it arrived, and of
//! the data: not of when on the wall clock anything was said, nor of how often.
//!
//! Nothing looks ahead. An order that arrives after input n fills on inputs after n; and not on n + 1
//! where that carries no later time than the order, as it may be n + 1 that led to it (its client
//! passes an input after it has acted on it). A cancellation or change takes effect behind the
//! input that is passed next, for the same reason.

use std::collections::{BTreeMap, BTreeSet};

use model::fixed::ONE;
use model::order::{OrderIntent, OrderStatus};
use model::reason::Reason;
use model::signal::{OrderType, Side, Validity};
use model::trader::ReportKind;
use model::{InputId, InstrumentIdx, Price, Quantity, Timestamp};

use crate::account::{Account, ClientOrderId, Presented};
use crate::exchange::Placed;
use crate::market::day_end;
use crate::rules;

/// Draws of an order from here on decide on partial fills; those below, on delays.
const PARTIAL_DRAWS: u32 = 1 << 16;

/// A market input as far as orders care. All prices of a tick are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Which instrument.
    pub instrument: InstrumentIdx,
    /// When.
    pub ts: Timestamp,
    /// First price.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Cancel,
    Modify(Quantity, Option<Price>, Option<Price>),
}

/// What comes of an order on an input.
enum Met {
    Nothing,
    Triggered,
    Filled { triggered: bool, price: Price },
}

/// The orders that wait for data, and the words that wait for their time.
#[derive(Debug)]
pub struct Tape {
    seed: u64,
    /// A report is due up to so many inputs after what it reports.
    delay_max: u32,
    /// Now and then an order fills in two parts, on two inputs.
    partial: bool,
    passed: Option<InputId>,
    working: BTreeMap<InstrumentIdx, Vec<u32>>,
    requests: Vec<(u32, Request)>,
    /// Orders whose cancellation was asked for in time.
    cancelling: BTreeSet<u32>,
    /// The latest change that was asked for in time, by order.
    changing: BTreeMap<u32, Request>,
    expiries: BTreeSet<(Timestamp, u32)>,
    pending: BTreeMap<(InputId, u64), (u32, ReportKind)>,
    sequence: u64,
}

impl Tape {
    /// With nothing passed.
    pub fn new(seed: u64, delay_max: u32, partial: bool) -> Self {
        Self {
            seed,
            delay_max,
            partial,
            passed: None,
            working: BTreeMap::new(),
            requests: Vec::new(),
            cancelling: BTreeSet::new(),
            changing: BTreeMap::new(),
            expiries: BTreeSet::new(),
            pending: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// The last input that was passed.
    pub const fn passed(&self) -> Option<InputId> {
        self.passed
    }

    fn next(&self) -> InputId {
        InputId(self.passed.map_or(0, |id| id.0.saturating_add(1)))
    }

    /// Books what happened, and says it when it is due: an order's words stay in their order.
    fn say(&mut self, account: &mut Account, number: u32, kind: ReportKind, at: InputId) {
        account.book(number, &kind, Some(at));
        let Some(order) = account.order_mut(number) else {
            return;
        };
        let draw = order.intent.id.draw(self.seed, order.words);
        let delay = draw % (u64::from(self.delay_max) + 1);
        let due = InputId(at.0.saturating_add(delay)).max(order.latest_due);
        order.words += 1;
        order.latest_due = due;
        order.undue += 1;
        self.sequence += 1;
        self.pending.insert((due, self.sequence), (number, kind));
    }

    /// Takes an order; the same client order id again is the same order.
    pub fn place(
        &mut self,
        account: &mut Account,
        id: &ClientOrderId,
        intent: &OrderIntent,
    ) -> Placed {
        let number = match account.present(id, intent, self.passed) {
            Presented::New(number) => number,
            Presented::Known(number) => {
                let refused = account.order(number).and_then(|o| o.refused);
                return refused.map_or(Placed::Accepted, Placed::Refused);
            }
            Presented::Full => return Placed::Refused(Reason::QueueFull),
        };
        if let Some(reason) = rules::refusal(intent, None) {
            account.refuse(number, reason);
            return Placed::Refused(reason);
        }
        self.say(account, number, ReportKind::Acknowledged, self.next());
        self.working
            .entry(intent.instrument)
            .or_default()
            .push(number);
        let expires = match intent.validity {
            Validity::Gtd(until) => until,
            Validity::Day => day_end(intent.submitted),
            Validity::Ioc | Validity::Fok => Timestamp::MAX,
        };
        self.expiries.insert((expires, number));
        Placed::Accepted
    }

    /// Takes the request to withdraw an order; whether that came in time is reported.
    pub fn cancel(&mut self, account: &Account, id: &ClientOrderId) -> Placed {
        self.request(account, id, Request::Cancel)
    }

    /// Takes the request to change an order; whether that came in time is reported.
    pub fn modify(
        &mut self,
        account: &Account,
        id: &ClientOrderId,
        quantity: Quantity,
        limit: Option<Price>,
        trigger: Option<Price>,
    ) -> Placed {
        if let Some(reason) = rules::quantity(quantity, None) {
            return Placed::Refused(reason);
        }
        self.request(account, id, Request::Modify(quantity, limit, trigger))
    }

    fn request(&mut self, account: &Account, id: &ClientOrderId, request: Request) -> Placed {
        let Some(number) = account.find(id) else {
            return Placed::Refused(Reason::UnknownOrder);
        };
        // What was asked before is asked once: what comes of it is said, or will be. Its client may have
        // been killed before it knew, and be behind in the data.
        let again = match request {
            Request::Cancel => self.cancelling.contains(&number),
            Request::Modify(..) => self.changing.get(&number) == Some(&request),
        };
        let status = account.order(number).map(|o| o.status);
        match (status, request) {
            _ if again => Placed::Accepted,
            (Some(OrderStatus::Cancelled), Request::Cancel) => Placed::Accepted,
            (Some(status), _) if !status.is_terminal() => {
                match request {
                    Request::Cancel => {
                        self.cancelling.insert(number);
                    }
                    Request::Modify(..) => {
                        self.changing.insert(number, request);
                    }
                }
                // The latest request of a kind holds.
                self.requests.retain(|(of, other)| {
                    *of != number
                        || std::mem::discriminant(other) != std::mem::discriminant(&request)
                });
                self.requests.push((number, request));
                Placed::Accepted
            }
            _ => Placed::Refused(Reason::BrokerRejected),
        }
    }

    /// The client has passed an input. One that was passed before changes nothing. Reports that are due
    /// are put into the account's stream.
    pub fn pass(&mut self, account: &mut Account, id: InputId, bar: &Bar) {
        if self.passed.is_some_and(|passed| id <= passed) {
            return;
        }
        self.expire(account, id, bar.ts);
        self.meet(account, id, bar);
        self.grant(account, id);
        self.passed = Some(id);
        while let Some(entry) = self.pending.first_entry() {
            if entry.key().0 > id {
                break;
            }
            let due = entry.key().0;
            let (number, kind) = entry.remove();
            if let Some(order) = account.order_mut(number) {
                order.undue -= 1;
            }
            account.tell(number, kind, Some(due));
        }
    }

    fn expire(&mut self, account: &mut Account, id: InputId, now: Timestamp) {
        while let Some(&(due, number)) = self.expiries.first() {
            if due > now {
                return;
            }
            self.expiries.pop_first();
            let Some(order) = account.order(number) else {
                continue;
            };
            if order.status.is_terminal() {
                continue;
            }
            let reason = match order.intent.validity {
                Validity::Day => Reason::SessionEnd,
                _ => Reason::GoodTillReached,
            };
            self.forget(order.intent.instrument, number);
            self.say(account, number, ReportKind::Expired(reason), id);
        }
    }

    fn forget(&mut self, instrument: InstrumentIdx, number: u32) {
        if let Some(working) = self.working.get_mut(&instrument) {
            working.retain(|n| *n != number);
        }
    }

    fn meet(&mut self, account: &mut Account, id: InputId, bar: &Bar) {
        let Some(mut working) = self.working.remove(&bar.instrument) else {
            return;
        };
        working.retain(|number| {
            self.meet_one(account, *number, id, bar);
            account
                .order(*number)
                .is_some_and(|o| !o.status.is_terminal())
        });
        if !working.is_empty() {
            self.working.insert(bar.instrument, working);
        }
    }

    fn meet_one(&mut self, account: &mut Account, number: u32, id: InputId, bar: &Bar) {
        let Some(order) = account.order(number) else {
            return;
        };
        let may_have_led_to_it = order.arrived == self.passed && bar.ts <= order.intent.submitted;
        if may_have_led_to_it {
            return;
        }
        let triggered = order.status == OrderStatus::Triggered;
        let met = meeting(
            order.intent.side,
            order.intent.order_type,
            triggered,
            (order.limit_price, order.trigger_price),
            bar,
        );
        let (validity, open) = (order.intent.validity, order.open());
        let at_once = matches!(validity, Validity::Ioc | Validity::Fok);
        match met {
            Met::Nothing if at_once && !order.intent.order_type.has_trigger() => {
                let reason = match validity {
                    Validity::Fok => Reason::NotFilledAtOnce,
                    _ => Reason::ImmediateRemainder,
                };
                self.say(account, number, ReportKind::Cancelled(reason), id);
            }
            Met::Nothing => {}
            Met::Triggered => self.say(account, number, ReportKind::Triggered, id),
            Met::Filled {
                triggered: now,
                price,
            } => {
                let side = order.intent.side;
                let quantity = self.part(account, number, open);
                if now {
                    self.say(account, number, ReportKind::Triggered, id);
                }
                let fill = ReportKind::Filled {
                    trade: account.next_trade(number),
                    side,
                    quantity,
                    price,
                    draws: 0,
                };
                self.say(account, number, fill, id);
                if at_once && quantity < open {
                    let rest = ReportKind::Cancelled(Reason::ImmediateRemainder);
                    self.say(account, number, rest, id);
                }
            }
        }
    }

    /// How much of `open` fills on this input.
    fn part(&self, account: &Account, number: u32, open: Quantity) -> Quantity {
        let Some(order) = account.order(number) else {
            return open;
        };
        let whole = Quantity::from_raw(2 * ONE);
        let once = order.executions.is_empty() && order.intent.validity != Validity::Fok;
        let draw = order.intent.id.draw(self.seed, PARTIAL_DRAWS);
        if self.partial && once && open.is_multiple_of(whole) && draw.is_multiple_of(4) {
            Quantity::from_raw(open.raw() / 2)
        } else {
            open
        }
    }

    /// Cancellations and changes, in the order in which they came.
    fn grant(&mut self, account: &mut Account, id: InputId) {
        for (number, request) in std::mem::take(&mut self.requests) {
            let Some(order) = account.order(number) else {
                continue;
            };
            let instrument = order.intent.instrument;
            let works = !order.status.is_terminal();
            let kind = match request {
                Request::Cancel if works => ReportKind::Cancelled(Reason::OperatorRequest),
                Request::Cancel => ReportKind::CancelRefused,
                Request::Modify(quantity, limit, trigger) if works && quantity > order.filled => {
                    ReportKind::Modified {
                        quantity,
                        limit_price: limit.or(order.limit_price),
                        trigger_price: trigger.or(order.trigger_price),
                    }
                }
                Request::Modify(..) => ReportKind::ModifyRefused,
            };
            if matches!(kind, ReportKind::Cancelled(_)) {
                self.forget(instrument, number);
            }
            self.say(account, number, kind, id);
        }
    }
}

/// What an order meets on an input.
fn meeting(
    side: Side,
    order_type: OrderType,
    triggered: bool,
    (limit, trigger): (Option<Price>, Option<Price>),
    bar: &Bar,
) -> Met {
    // Seen from a buyer, prices above are worse; a seller's view is the mirror image.
    let worse = |a: Price, b: Price| match side {
        Side::Buy => a.max(b),
        Side::Sell => a.min(b),
    };
    let better = |a: Price, b: Price| match side {
        Side::Buy => a.min(b),
        Side::Sell => a.max(b),
    };
    let (best, worst) = match side {
        Side::Buy => (bar.low, bar.high),
        Side::Sell => (bar.high, bar.low),
    };
    let filled = |triggered, price| Met::Filled { triggered, price };
    let at_limit = |limit: Price| {
        if better(best, limit) == best {
            filled(false, better(bar.open, limit))
        } else {
            Met::Nothing
        }
    };
    match (order_type, limit, trigger) {
        (OrderType::Limit, Some(limit), _) => at_limit(limit),
        (OrderType::StopLimit, Some(limit), _) if triggered => at_limit(limit),
        (OrderType::Stop, _, Some(trigger)) if !triggered => {
            if worse(worst, trigger) == worst {
                filled(true, worse(bar.open, trigger))
            } else {
                Met::Nothing
            }
        }
        (OrderType::StopLimit, Some(limit), Some(trigger)) => {
            if worse(worst, trigger) != worst {
                return Met::Nothing;
            }
            let price = worse(bar.open, trigger);
            if better(price, limit) == price {
                filled(true, price)
            } else {
                Met::Triggered
            }
        }
        _ => filled(false, bar.open),
    }
}
