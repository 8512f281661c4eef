//! The broker of the simulation: it lives on while the system crashes, matches at its own pace, and
//! counts what it is presented with.

use std::collections::{BTreeMap, BTreeSet};

use model::order::OrderIntent;
use model::reason::Reason;
use model::signal::{OrderType, Side, Validity};
use model::trader::{Delivery, ReportKind};
use model::{Price, Quantity, TradeId};
use traders::{Answer, BrokerReport, ClientOrderId, Found, Modification};

use crate::chance::Chance;

/// An order at the broker.
pub struct AtBroker {
    pub instrument: String,
    pub side: Side,
    pub filled: i64,
    /// Σ price × quantity of what has executed.
    pub value: i128,
    quantity: i64,
    order_type: OrderType,
    limit: Option<Price>,
    trigger: Option<Price>,
    immediate: bool,
    triggered: bool,
    pub done: bool,
    pub history: Vec<BrokerReport>,
    /// From when on its books show it.
    visible: i64,
}

pub struct Broker {
    pub delivery: Delivery,
    pub numbered: bool,
    /// Executions are told as totals.
    pub totals: bool,
    /// Orders of which it has told nonsense.
    pub garbled: BTreeSet<ClientOrderId>,
    pub orders: BTreeMap<ClientOrderId, AtBroker>,
    /// Everything that it ever reported, in order.
    pub stream: Vec<BrokerReport>,
    /// Up to where its client has confirmed.
    pub confirmed: u64,
    /// Nothing is refused any more, and all that is there is shown.
    pub calm: bool,
    chance: Chance,
    nonsense: Chance,
    trades: u128,
}

const LAG: i64 = 3_000_000_000;

impl Broker {
    pub fn new(seed: u64, delivery: Delivery, numbered: bool) -> Self {
        Self {
            delivery,
            numbered,
            garbled: BTreeSet::new(),
            totals: Chance::of(seed, "totals").one_in(3),
            orders: BTreeMap::new(),
            stream: Vec::new(),
            confirmed: 0,
            calm: false,
            chance: Chance::of(seed, "broker"),
            nonsense: Chance::of(seed, "nonsense"),
            trades: 0,
        }
    }

    fn say(&mut self, client: ClientOrderId, kind: ReportKind) {
        let report = BrokerReport {
            client_order_id: client,
            kind,
            number: if self.numbered {
                self.stream.len() as u64 + 1
            } else {
                0
            },
            due: None,
        };
        let pushed = BrokerReport {
            kind: self.garble(kind),
            ..report
        };
        if pushed != report {
            self.garbled.insert(client);
        }
        self.stream.push(pushed);
        if let Some(order) = self.orders.get_mut(&client) {
            order.history.push(report);
        }
    }

    /// Now and then an execution is told as what it cannot have been; the books are right.
    fn garble(&mut self, mut kind: ReportKind) -> ReportKind {
        if let ReportKind::Filled {
            side,
            quantity,
            price,
            ..
        }
        | ReportKind::FilledTo {
            side,
            quantity,
            average_price: price,
        } = &mut kind
            && self.nonsense.one_in(12)
            && !self.calm
        {
            match self.nonsense.within(0, 4) {
                0 => *side = side.opposite(),
                1 => *quantity = Quantity::from_raw(quantity.raw() - 16_384),
                2 => *quantity = Quantity::from_raw(quantity.raw() * 1_000),
                _ => *price = Price::from_raw(price.raw() * 61),
            }
        }
        kind
    }

    fn moody(&mut self, n: u64) -> bool {
        self.chance.one_in(n) && !self.calm
    }

    pub fn submit(
        &mut self,
        client: ClientOrderId,
        intent: &OrderIntent,
        instrument: &str,
        at: i64,
    ) -> Answer {
        if self.orders.contains_key(&client) {
            assert!(
                self.delivery == Delivery::Idempotent,
                "{} is presented twice to a broker that makes two orders of it",
                intent.id
            );
            return Answer::Accepted;
        }
        if self.moody(14) {
            return Answer::Refused(Reason::BrokerRejected);
        }
        let visible = match self.delivery {
            Delivery::Idempotent => at,
            Delivery::QueryOnly => at + self.chance.within(0, LAG),
        };
        self.orders.insert(
            client,
            AtBroker {
                instrument: instrument.to_owned(),
                side: intent.side,
                quantity: intent.quantity.raw(),
                filled: 0,
                value: 0,
                order_type: intent.order_type,
                limit: intent.limit_price,
                trigger: intent.trigger_price,
                immediate: intent.validity != Validity::Day,
                triggered: false,
                done: false,
                history: Vec::new(),
                visible,
            },
        );
        if self.moody(14) {
            self.say(client, ReportKind::Rejected(Reason::BrokerRejected));
            self.end(client);
        } else {
            self.say(client, ReportKind::Acknowledged);
        }
        Answer::Accepted
    }

    fn end(&mut self, client: ClientOrderId) {
        if let Some(order) = self.orders.get_mut(&client) {
            order.done = true;
        }
    }

    fn works(&self, client: &ClientOrderId) -> bool {
        self.orders.get(client).is_some_and(|o| !o.done)
    }

    pub fn cancel(&mut self, client: ClientOrderId) -> Answer {
        if !self.works(&client) || self.moody(12) {
            return Answer::Refused(Reason::BrokerRejected);
        }
        self.end(client);
        self.say(client, ReportKind::Cancelled(Reason::OperatorRequest));
        Answer::Accepted
    }

    pub fn modify(&mut self, client: ClientOrderId, change: &Modification) -> Answer {
        let refused = Answer::Refused(Reason::BrokerRejected);
        if !self.works(&client) || self.moody(12) {
            return refused;
        }
        let Some(order) = self.orders.get_mut(&client) else {
            return refused;
        };
        if change.quantity.raw() <= order.filled {
            return refused;
        }
        order.quantity = change.quantity.raw();
        let kind = ReportKind::Modified {
            quantity: change.quantity,
            limit_price: order.limit,
            trigger_price: order.trigger,
        };
        self.say(client, kind);
        Answer::Accepted
    }

    pub fn query(&mut self, client: &ClientOrderId, at: i64) -> Found {
        match self.orders.get(client) {
            Some(order) if order.visible <= at || self.calm => {
                Found::Present(order.history.clone())
            }
            _ => Found::Absent,
        }
    }

    /// Works for a while: some of the orders meet the market.
    pub fn work(&mut self, prices: &BTreeMap<String, i64>) {
        let clients: Vec<ClientOrderId> = self
            .orders
            .iter()
            .filter(|(_, o)| !o.done)
            .map(|(client, _)| *client)
            .collect();
        for client in clients {
            if self.chance.one_in(3) && !self.calm {
                continue;
            }
            self.meet(client, prices);
        }
    }

    fn meet(&mut self, client: ClientOrderId, prices: &BTreeMap<String, i64>) {
        let Some(order) = self.orders.get_mut(&client) else {
            return;
        };
        let price = prices[&order.instrument];
        let beyond = |line: Option<Price>, buys_above: bool| {
            line.is_none_or(|line| match (order.side, buys_above) {
                (Side::Buy, true) | (Side::Sell, false) => price >= line.raw(),
                _ => price <= line.raw(),
            })
        };
        let meets = beyond(order.limit, false);
        if order.order_type.has_trigger() && !order.triggered {
            if beyond(order.trigger, true) {
                order.triggered = true;
                self.say(client, ReportKind::Triggered);
            }
            return;
        }
        let open = order.quantity - order.filled;
        if !meets {
            if order.immediate {
                order.done = true;
                let kind = ReportKind::Cancelled(Reason::ImmediateRemainder);
                self.say(client, kind);
            }
            return;
        }
        let lots = open / model::fixed::ONE;
        let part = if lots > 1 && self.chance.one_in(2) && !self.calm {
            self.chance.within(1, lots) * model::fixed::ONE
        } else {
            open
        };
        order.filled += part;
        order.value += i128::from(part) * i128::from(price);
        order.done = order.filled == order.quantity;
        self.trades += 1;
        let kind = if self.totals {
            ReportKind::FilledTo {
                side: order.side,
                quantity: Quantity::from_raw(order.filled),
                average_price: Price::from_raw((order.value / i128::from(order.filled)) as i64),
            }
        } else {
            ReportKind::Filled {
                trade: TradeId(self.trades),
                side: order.side,
                quantity: Quantity::from_raw(part),
                price: Price::from_raw(price),
                draws: 0,
            }
        };
        self.say(client, kind);
    }
}
