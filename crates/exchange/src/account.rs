//! A client's account: its orders, what was said of them, positions and cash. It knows neither the market
//! that its orders meet nor the protocol that they came by.

use std::collections::{BTreeMap, VecDeque};

use arrayvec::ArrayString;
use model::money::Multiplier;
use model::order::{OrderIntent, OrderStatus};
use model::reason::Reason;
use model::trader::ReportKind;
use model::{Amount, InputId, InstrumentIdx, OrderId, Price, Quantity, TradeId};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// What a client calls its order: 20 letters and digits.
pub type ClientOrderId = ArrayString<20>;

/// An account holds at most so many orders, and keeps so many reports that are not confirmed; beyond
/// it, new orders are refused.
pub const ORDERS_MAX: usize = 1 << 20;

/// A word about an order, numbered in the account's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its number: 1, 2, …; zero in the answer to a question.
    pub number: u64,
    /// Which order.
    pub client_order_id: ClientOrderId,
    /// What happened.
    pub kind: ReportKind,
    /// In lockstep: the market input after which it is due.
    pub due: Option<InputId>,
}

/// One exchange of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execution {
    /// A hash of the order's salt-free id and the execution's ordinal.
    pub trade: TradeId,
    /// How much.
    pub quantity: Quantity,
    /// At what price.
    pub price: Price,
    /// In lockstep: the market input that filled it.
    pub at: Option<InputId>,
}

/// An order in the books.
#[derive(Debug, Clone)]
pub struct Order {
    /// What its client calls it.
    pub client_order_id: ClientOrderId,
    /// As it was presented.
    pub intent: OrderIntent,
    /// The total quantity that now holds.
    pub quantity: Quantity,
    /// The limit price that now holds.
    pub limit_price: Option<Price>,
    /// The trigger price that now holds.
    pub trigger_price: Option<Price>,
    /// Where it stands.
    pub status: OrderStatus,
    /// How much has executed.
    pub filled: Quantity,
    /// How often it was presented.
    pub presented: u32,
    /// In lockstep: the last input passed when it arrived.
    pub arrived: Option<InputId>,
    /// Why it was refused at once.
    pub refused: Option<Reason>,
    /// Its executions.
    pub executions: Vec<Execution>,
    /// What its client may know: everything said of it that was due.
    pub said: Vec<(ReportKind, Option<InputId>)>,
    /// Words that wait for their time.
    pub undue: u32,
    /// Words about it so far.
    pub words: u32,
    /// When the latest of them is due.
    pub latest_due: InputId,
    /// The number of the latest report of it.
    pub latest_number: u64,
}

impl Order {
    /// How much may still execute.
    pub const fn open(&self) -> Quantity {
        if self.status.is_terminal() {
            Quantity::ZERO
        } else {
            Quantity::from_raw(self.quantity.raw().saturating_sub(self.filled.raw()))
        }
    }

    /// What an execution has brought the order to; anything else is what it was.
    fn total(&self, kind: ReportKind) -> ReportKind {
        let ReportKind::Filled { trade, side, .. } = kind else {
            return kind;
        };
        let (mut quantity, mut value) = (0, 0);
        for execution in &self.executions {
            quantity += i128::from(execution.quantity.raw());
            value += i128::from(execution.quantity.raw()) * i128::from(execution.price.raw());
            if execution.trade == trade {
                break;
            }
        }
        let total = i64::try_from(quantity).map(Quantity::from_raw);
        let average = value.checked_div(quantity).map(i64::try_from);
        match (total, average) {
            (Ok(quantity), Some(Ok(average))) => ReportKind::FilledTo {
                side,
                quantity,
                average_price: Price::from_raw(average),
            },
            _ => kind,
        }
    }
}

/// What is held of an instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// How much, negative for short.
    pub quantity: Quantity,
    /// Σ price × quantity that came in, less what was paid; contract multipliers are not known here.
    pub cash: Amount,
}

/// What came of presenting an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// It is new: its number in the account.
    New(u32),
    /// It is there already.
    Known(u32),
    /// The account takes no more.
    Full,
}

/// An account.
#[derive(Debug)]
pub struct Account {
    orders: VecDeque<Order>,
    /// Orders that were forgotten: the number of the first that is kept.
    forgotten: u32,
    keep: usize,
    numbers: FxHashMap<ClientOrderId, u32>,
    positions: BTreeMap<InstrumentIdx, Position>,
    /// Reports that are not confirmed.
    outbox: VecDeque<Report>,
    numbered: u64,
    /// Its client is told how much of an order has executed in all, and no single execution.
    tells_totals: bool,
}

impl Default for Account {
    /// One that keeps every order that it takes.
    fn default() -> Self {
        Self::keeping(ORDERS_MAX)
    }
}

impl Account {
    /// One that forgets its oldest orders, where they have ended and all that was said of them is
    /// confirmed, once it has more than `keep`. A forgotten order that is presented again is a new one.
    pub fn keeping(keep: usize) -> Self {
        Self {
            orders: VecDeque::new(),
            forgotten: 0,
            keep,
            numbers: FxHashMap::default(),
            positions: BTreeMap::new(),
            outbox: VecDeque::new(),
            numbered: 0,
            tells_totals: false,
        }
    }

    /// Its orders, in the order in which they came.
    pub const fn orders(&self) -> &VecDeque<Order> {
        &self.orders
    }

    /// What is held.
    pub const fn positions(&self) -> &BTreeMap<InstrumentIdx, Position> {
        &self.positions
    }

    /// The order of a number.
    pub fn order(&self, number: u32) -> Option<&Order> {
        let at = number.checked_sub(self.forgotten)?;
        self.orders.get(at as usize)
    }

    pub(crate) fn order_mut(&mut self, number: u32) -> Option<&mut Order> {
        let at = number.checked_sub(self.forgotten)?;
        self.orders.get_mut(at as usize)
    }

    fn forget(&mut self) {
        let confirmed = self.outbox.front().map_or(self.numbered, |r| r.number - 1);
        while self.orders.len() > self.keep
            && let Some(oldest) = self.orders.front()
            && oldest.status.is_terminal()
            && oldest.undue == 0
            && oldest.latest_number <= confirmed
        {
            self.numbers.remove(&oldest.client_order_id);
            self.orders.pop_front();
            self.forgotten += 1;
        }
    }

    /// The number of a client's order.
    pub fn find(&self, id: &ClientOrderId) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    /// The salt-free id of a client's order.
    pub fn reference(&self, id: &ClientOrderId) -> Option<OrderId> {
        Some(self.order(self.find(id)?)?.intent.id)
    }

    /// A client presents an order; the same id is the same order, whatever else it says.
    pub fn present(
        &mut self,
        id: &ClientOrderId,
        intent: &OrderIntent,
        arrived: Option<InputId>,
    ) -> Presented {
        if let Some(number) = self.find(id) {
            if let Some(order) = self.order_mut(number) {
                order.presented = order.presented.saturating_add(1);
            }
            return Presented::Known(number);
        }
        if self.orders.len() >= ORDERS_MAX || self.outbox.len() >= ORDERS_MAX {
            return Presented::Full;
        }
        self.forget();
        let Some(number) = self.forgotten.checked_add(self.orders.len() as u32) else {
            return Presented::Full;
        };
        self.numbers.insert(*id, number);
        self.orders.push_back(Order {
            client_order_id: *id,
            intent: *intent,
            quantity: intent.quantity,
            limit_price: intent.limit_price,
            trigger_price: intent.trigger_price,
            status: OrderStatus::Submitted,
            filled: Quantity::ZERO,
            presented: 1,
            arrived,
            refused: None,
            executions: Vec::new(),
            said: Vec::new(),
            undue: 0,
            words: 0,
            latest_due: InputId(0),
            latest_number: 0,
        });
        Presented::New(number)
    }

    /// The order is refused at once: that is the answer, and nothing is reported.
    pub fn refuse(&mut self, number: u32, reason: Reason) {
        if let Some(order) = self.order_mut(number) {
            order.status = OrderStatus::Rejected;
            order.refused = Some(reason);
        }
    }

    /// Books what happened to an order. Saying it is for [`tell`](Self::tell).
    pub fn book(&mut self, number: u32, kind: &ReportKind, at: Option<InputId>) {
        let place = number.checked_sub(self.forgotten);
        let Some(order) = place.and_then(|place| self.orders.get_mut(place as usize)) else {
            return;
        };
        order.status = match kind {
            ReportKind::Acknowledged if order.status == OrderStatus::Submitted => {
                OrderStatus::Acknowledged
            }
            ReportKind::Triggered => OrderStatus::Triggered,
            ReportKind::Cancelled(_) => OrderStatus::Cancelled,
            ReportKind::Rejected(_) => OrderStatus::Rejected,
            ReportKind::Expired(_) => OrderStatus::Expired,
            _ => order.status,
        };
        match *kind {
            ReportKind::Modified {
                quantity,
                limit_price,
                trigger_price,
            } => {
                order.quantity = quantity;
                order.limit_price = limit_price;
                order.trigger_price = trigger_price;
                if order.filled >= quantity {
                    order.status = OrderStatus::Filled;
                }
            }
            ReportKind::Filled {
                trade,
                quantity,
                price,
                ..
            } => {
                order.filled = order.filled.checked_add(quantity).unwrap_or(Quantity::MAX);
                if order.filled >= order.quantity {
                    order.status = OrderStatus::Filled;
                }
                order.executions.push(Execution {
                    trade,
                    quantity,
                    price,
                    at,
                });
                let signed = order.intent.side.signed(quantity);
                let position = self.positions.entry(order.intent.instrument).or_default();
                let sum = position.quantity.checked_add(signed);
                position.quantity = sum.unwrap_or(position.quantity);
                let paid = Amount::notional(price, signed, Multiplier::ONE);
                let cash = paid.and_then(|paid| position.cash.checked_sub(paid));
                position.cash = cash.unwrap_or(position.cash);
            }
            _ => {}
        }
    }

    /// Whether the client is told how much of an order has executed in all, at what average price, in place of
    /// each execution with its trade id.
    pub const fn tell_totals(&mut self, totals: bool) {
        self.tells_totals = totals;
    }

    /// The trade id of an order's next execution.
    pub fn next_trade(&self, number: u32) -> TradeId {
        self.order(number).map_or(TradeId::default(), |order| {
            TradeId::derive(order.intent.id, order.executions.len() as u32)
        })
    }

    /// What happened to an order is put into the stream of reports.
    pub fn tell(&mut self, number: u32, kind: ReportKind, due: Option<InputId>) {
        let (latest, totals) = (self.numbered + 1, self.tells_totals);
        let Some(order) = self.order_mut(number) else {
            return;
        };
        let kind = if totals { order.total(kind) } else { kind };
        order.said.push((kind, due));
        order.latest_number = latest;
        let client_order_id = order.client_order_id;
        self.numbered = latest;
        self.outbox.push_back(Report {
            number: latest,
            client_order_id,
            kind,
            due,
        });
    }

    /// What a client may know of its order, from the beginning.
    pub fn said(&self, number: u32) -> Vec<Report> {
        self.order(number).map_or_else(Vec::new, |order| {
            let refused = order.refused.map(|r| (ReportKind::Rejected(r), None));
            let all = order.said.iter().copied().chain(refused);
            all.map(|(kind, due)| Report {
                number: 0,
                client_order_id: order.client_order_id,
                kind,
                due,
            })
            .collect()
        })
    }

    /// Every report up to `number` need not be kept.
    pub fn confirm(&mut self, number: u64) {
        while self.outbox.front().is_some_and(|r| r.number <= number) {
            self.outbox.pop_front();
        }
    }

    /// Reports that are not confirmed and are numbered above `after`.
    pub fn unconfirmed(&self, after: u64) -> impl Iterator<Item = &Report> {
        let first = self.outbox.front().map_or(u64::MAX, |r| r.number);
        let skip = after.saturating_add(1).saturating_sub(first);
        self.outbox
            .iter()
            .skip(usize::try_from(skip).unwrap_or(usize::MAX))
    }

    /// The number of the latest report.
    pub const fn numbered(&self) -> u64 {
        self.numbered
    }
}
