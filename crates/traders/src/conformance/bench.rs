//! Drives a subject, keeps its orders' books and checks every report against them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::ids::{NameHash, StrategyIdx};
use model::market::{Bar, Depth, MarketData, Tick, Timeframe};
use model::order::{Order, OrderIntent, OrderRole, OrderStatus};
use model::signal::{Bracket, OrderType, Product, Side, Validity};
use model::time::{MINUTE, SECOND};
use model::trader::{ReportKind, TraderCommand, TraderReport};
use model::{CorrelationId, InstrumentIdx, OrderId, Price, Quantity, Timestamp, TradeId};

use super::adapter::change_of;
use super::fixture::Fixture;
use super::subject::{Profile, Subject};

/// Why a case ends early.
pub enum Problem {
    /// Something does not hold.
    Wrong {
        /// What should.
        expected: String,
        /// What is.
        got: String,
        /// What led to it.
        story: Vec<String>,
    },
    /// The situation could not be brought about.
    Skip(String),
}

/// Steps of the story that a failure tells.
const STORY_MAX: usize = 30;
/// Quantity traded by a tick: plenty.
const PLENTY: i64 = 1_000_000;

/// A price in whole hundredths.
pub fn cents(cents: i64) -> Price {
    Price::from_raw(cents.saturating_mul(model::fixed::ONE / 100))
}

/// A quantity in whole units.
pub fn units(units: i64) -> Quantity {
    Quantity::from_raw(units.saturating_mul(model::fixed::ONE))
}

pub struct Bench {
    subject: Box<dyn Subject>,
    pub profile: Profile,
    pub fixture: Fixture,
    pub now: Timestamp,
    orders: BTreeMap<OrderId, Order>,
    /// The latest report's time by order.
    reported: BTreeMap<OrderId, Timestamp>,
    executions: BTreeMap<OrderId, Vec<(Quantity, Price)>>,
    trades: BTreeSet<TradeId>,
    /// Every report, as it came.
    pub log: Vec<TraderReport>,
    story: VecDeque<String>,
    last_id: u32,
}

impl Bench {
    pub fn new(subject: Box<dyn Subject>, fixture: Fixture, profile: Profile) -> Self {
        Self {
            subject,
            profile,
            now: fixture.start,
            fixture,
            orders: BTreeMap::new(),
            reported: BTreeMap::new(),
            executions: BTreeMap::new(),
            trades: BTreeSet::new(),
            log: Vec::new(),
            story: VecDeque::new(),
            last_id: 0,
        }
    }

    // ----- what is asked of it ------------------------------------------------------------------

    /// An order for [`Fixture::SHARE`], valid for the day.
    pub fn intent(&mut self, side: Side, quantity: i64, order_type: OrderType) -> OrderIntent {
        self.last_id += 1;
        OrderIntent {
            id: OrderId::derive(NameHash::of("conformance"), u128::from(self.last_id), 0),
            correlation: CorrelationId(u128::from(self.last_id)),
            signal: None,
            strategy: StrategyIdx(1),
            instrument: Fixture::SHARE,
            role: OrderRole::Entry,
            side,
            quantity: units(quantity),
            increase: units(quantity),
            order_type,
            limit_price: None,
            trigger_price: None,
            validity: Validity::Day,
            product: Product::Intraday,
            bracket: Bracket::default(),
            oco: None,
            parent: None,
            submitted: self.now,
            send_by: self.now.plus(5 * SECOND),
        }
    }

    pub fn market_order(&mut self, side: Side, quantity: i64) -> OrderIntent {
        self.intent(side, quantity, OrderType::Market)
    }

    pub fn limit_order(&mut self, side: Side, quantity: i64, limit: i64) -> OrderIntent {
        let intent = self.intent(side, quantity, OrderType::Limit);
        OrderIntent {
            limit_price: Some(cents(limit)),
            ..intent
        }
    }

    pub fn stop_order(&mut self, side: Side, quantity: i64, trigger: i64) -> OrderIntent {
        let intent = self.intent(side, quantity, OrderType::Stop);
        OrderIntent {
            trigger_price: Some(cents(trigger)),
            ..intent
        }
    }

    pub fn submit(&mut self, intent: OrderIntent) -> Result<OrderId, Problem> {
        self.tell(format!(
            "{} submit {} {} {} {} of {:?} limit {:?} trigger {:?} {:?}",
            self.now,
            intent.id,
            intent.side.name(),
            intent.order_type.name(),
            intent.quantity,
            intent.instrument,
            intent.limit_price,
            intent.trigger_price,
            intent.validity
        ));
        self.orders
            .entry(intent.id)
            .or_insert_with(|| Order::new(intent));
        self.subject
            .command(&TraderCommand::Submit(intent), self.now);
        self.collect()?;
        Ok(intent.id)
    }

    pub fn cancel(&mut self, order: OrderId) -> Result<(), Problem> {
        self.tell(format!("{} cancel {order}", self.now));
        self.subject
            .command(&TraderCommand::Cancel(order), self.now);
        self.collect()
    }

    pub fn modify(&mut self, order: OrderId, quantity: Quantity) -> Result<(), Problem> {
        let (limit_price, trigger_price) = match self.orders.get(&order) {
            Some(order) => (order.limit_price(), order.trigger_price()),
            None => (None, None),
        };
        self.modify_to(order, quantity, limit_price, trigger_price)
    }

    pub fn modify_to(
        &mut self,
        order: OrderId,
        quantity: Quantity,
        limit_price: Option<Price>,
        trigger_price: Option<Price>,
    ) -> Result<(), Problem> {
        self.tell(format!(
            "{} modify {order} to {quantity} limit {limit_price:?}",
            self.now
        ));
        let command = TraderCommand::Modify {
            order,
            quantity,
            limit_price,
            trigger_price,
        };
        self.subject.command(&command, self.now);
        self.collect()
    }

    // ----- time and the market ------------------------------------------------------------------

    /// Lets time pass.
    pub fn wait(&mut self, nanos: i64) -> Result<(), Problem> {
        self.now = self.now.plus(nanos);
        self.tell(format!("{} time", self.now));
        self.subject.time(self.now);
        self.collect()
    }

    /// Lets so much time pass that every command has taken effect.
    pub fn settle(&mut self) -> Result<(), Problem> {
        self.wait(self.profile.latency_max)
    }

    /// A trade of [`Fixture::SHARE`], with plenty behind it, when every command has taken effect.
    pub fn trade(&mut self, price: i64) -> Result<(), Problem> {
        self.trade_of(Fixture::SHARE, price)
    }

    pub fn trade_of(&mut self, instrument: InstrumentIdx, price: i64) -> Result<(), Problem> {
        self.now = self.now.plus(self.profile.latency_max.max(SECOND));
        self.tick(&quote(instrument, self.now, price), None)
    }

    /// Trades at this price until nothing more can come of it.
    pub fn trade_on(&mut self, price: i64) -> Result<(), Problem> {
        for _ in 0..self.profile.patience {
            self.trade(price)?;
        }
        Ok(())
    }

    pub fn tick(&mut self, tick: &Tick, depth: Option<&Depth>) -> Result<(), Problem> {
        let of = tick.instrument;
        self.tell(format!(
            "{} tick of {of:?} at {} quantity {} bid {} ask {}",
            self.now, tick.price, tick.quantity, tick.bid, tick.ask
        ));
        self.subject
            .market(&MarketData::Tick(tick, depth), self.now);
        self.collect()
    }

    /// The bar of one minute that begins now: open, high, low, close in hundredths.
    pub fn bar(&mut self, prices: [i64; 4]) -> Result<(), Problem> {
        self.bar_since(self.now, prices)
    }

    /// The bar of one minute that began at `open_ts`.
    pub fn bar_since(&mut self, open_ts: Timestamp, prices: [i64; 4]) -> Result<(), Problem> {
        self.now = open_ts.plus(MINUTE);
        let [open, high, low, close] = prices.map(cents);
        let bar = Bar {
            open_ts,
            close_ts: self.now,
            open,
            high,
            low,
            close,
            volume: units(PLENTY),
            open_interest: Quantity::ZERO,
            instrument: Fixture::SHARE,
            timeframe: Timeframe::MINUTE,
        };
        self.tell(format!("{} bar {open} {high} {low} {close}", self.now));
        self.subject.market(&MarketData::Bar(&bar), self.now);
        self.collect()
    }

    pub fn restart(&mut self) -> Result<(), Problem> {
        self.tell(format!("{} restart", self.now));
        match self.subject.restart() {
            Ok(()) => self.collect(),
            Err(message) => self.wrong("its state to be saved and restored", message),
        }
    }

    // ----- what is known ------------------------------------------------------------------------

    pub fn status(&self, order: OrderId) -> OrderStatus {
        self.orders
            .get(&order)
            .map_or(OrderStatus::Submitted, Order::status)
    }

    pub fn filled(&self, order: OrderId) -> Quantity {
        self.orders
            .get(&order)
            .map_or(Quantity::ZERO, Order::filled)
    }

    pub fn quantity(&self, order: OrderId) -> Quantity {
        self.orders
            .get(&order)
            .map_or(Quantity::ZERO, Order::quantity)
    }

    pub fn is_done(&self, order: OrderId) -> bool {
        self.status(order).is_terminal()
    }

    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.values()
    }

    pub fn executions(&self, order: OrderId) -> &[(Quantity, Price)] {
        self.executions.get(&order).map_or(&[], Vec::as_slice)
    }

    // ----- expectations -------------------------------------------------------------------------

    pub fn wrong<T>(
        &self,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Result<T, Problem> {
        let story = self.story.iter().cloned().collect();
        Err(Problem::Wrong {
            expected: expected.into(),
            got: got.into(),
            story,
        })
    }

    pub fn expect_status(&self, order: OrderId, wanted: &[OrderStatus]) -> Result<(), Problem> {
        let status = self.status(order);
        if wanted.contains(&status) {
            return Ok(());
        }
        let wanted: Vec<_> = wanted.iter().map(|s| s.name()).collect();
        self.wrong(
            format!("{order} to be {}", wanted.join(" or ")),
            status.name(),
        )
    }

    pub fn expect_filled(&self, order: OrderId, quantity: Quantity) -> Result<(), Problem> {
        let filled = self.filled(order);
        if filled == quantity {
            return Ok(());
        }
        self.wrong(
            format!("{quantity} of {order} to be filled"),
            filled.to_string(),
        )
    }

    /// Every execution at `limit` or better.
    pub fn expect_prices(&self, order: OrderId, side: Side, limit: i64) -> Result<(), Problem> {
        let limit = cents(limit);
        let worse = self.executions(order).iter().find(|(_, price)| match side {
            Side::Buy => *price > limit,
            Side::Sell => *price < limit,
        });
        match worse {
            None => Ok(()),
            Some((_, price)) => self.wrong(
                format!("{order} to {} at {limit} or better", side.name()),
                price.to_string(),
            ),
        }
    }

    // ----- reports ------------------------------------------------------------------------------

    fn tell(&mut self, line: String) {
        if self.story.len() == STORY_MAX {
            self.story.pop_front();
        }
        self.story.push_back(line);
    }

    /// Takes what the subject has reported: every step has to be one that the order's life has.
    fn collect(&mut self) -> Result<(), Problem> {
        for report in self.subject.reports() {
            self.tell(format!(
                "{}   -> {} {:?}",
                report.ts, report.order, report.kind
            ));
            self.log.push(report);
            let Some(order) = self.orders.get_mut(&report.order) else {
                return self.wrong(
                    "no report on an order that was never given",
                    report.order.to_string(),
                );
            };
            let before = self.reported.insert(report.order, report.ts);
            let submitted = order.intent().submitted;
            if report.ts < before.unwrap_or(submitted) {
                return self.wrong(
                    "an order's reports never to go back in time",
                    report.ts.to_string(),
                );
            }
            if report.ts > self.now {
                return self.wrong("no report from the future", report.ts.to_string());
            }
            // A fill that is late is booked by the model, but ends nothing: here it is an error.
            if order.status().is_terminal() {
                let status = order.status().name();
                return self.wrong(
                    format!("nothing more of {}, which is {status}", report.order),
                    format!("{:?}", report.kind),
                );
            }
            if let Err(error) = order.advance(&change_of(&report)) {
                return self.wrong("a step that the order's life has", error.to_string());
            }
            if let ReportKind::Filled {
                trade,
                quantity,
                price,
                ..
            } = report.kind
            {
                self.executions
                    .entry(report.order)
                    .or_default()
                    .push((quantity, price));
                if !self.trades.insert(trade) {
                    return self.wrong("every trade id once", trade.to_string());
                }
            }
        }
        Ok(())
    }
}

/// A trade with plenty behind it and quotes at its price.
pub fn quote(instrument: InstrumentIdx, ts: Timestamp, price: i64) -> Tick {
    Tick {
        ts,
        price: cents(price),
        quantity: units(PLENTY),
        bid: cents(price),
        ask: cents(price),
        instrument,
        ..Tick::default()
    }
}
