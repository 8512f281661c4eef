//! The trader itself: orders in, reports out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use model::event::{Event, EventBody};
use model::market::MarketData;
use model::order::{OrderChange, OrderIntent};
use model::reason::Reason;
use model::session::{SessionStatus, Sessions};
use model::signal::{OrderType, Side, Validity};
use model::trader::{
    Capabilities, Delivery, InPipelineTrader, ReportKind, TraderReport, TraderStateError,
};
use model::{AssetClass, InstrumentIdx, Instruments, OrderId, Quantity, Timestamp, TradeId};
use serde::{Deserialize, Serialize};

use crate::book::{Market, Resting};
use crate::matching::{Outcome, outcome};
use crate::settings::{PaperSettings, Resolved};

/// What changes, and what a snapshot holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    orders: BTreeMap<OrderId, Resting>,
    /// Orders of an instrument, in the order of their submission.
    by_instrument: Vec<Vec<OrderId>>,
    markets: Vec<Market>,
    /// Market inputs so far.
    input: u64,
    /// The instrument of the input that is being matched.
    current: Option<InstrumentIdx>,
    /// Orders with something to say that no market input decides: new, changed, or out of time.
    attention: Vec<OrderId>,
    due: BinaryHeap<Reverse<(Timestamp, OrderId)>>,
    now: Timestamp,
}

/// The paper trader.
pub struct PaperTrader {
    settings: Resolved,
    capabilities: Capabilities,
    instruments: Arc<Instruments>,
    sessions: Arc<dyn Sessions>,
    state: State,
}

impl PaperTrader {
    /// With an empty book.
    pub fn new(
        settings: PaperSettings,
        instruments: Arc<Instruments>,
        sessions: Arc<dyn Sessions>,
    ) -> Result<Self, String> {
        let count = instruments.len();
        Ok(Self {
            settings: settings.resolve()?,
            capabilities: Capabilities {
                delivery: Delivery::Idempotent,
                asset_classes: AssetClass::ALL.to_vec(),
                native_oco: true,
            },
            state: State {
                by_instrument: vec![Vec::new(); count],
                markets: vec![Market::default(); count],
                now: Timestamp::MIN,
                ..State::default()
            },
            instruments,
            sessions,
        })
    }

    /// Time until a message of this order reaches the market.
    fn latency(&self, id: OrderId) -> i64 {
        if self.settings.jitter == 0 {
            return self.settings.latency;
        }
        // A draw of its own, far from those of the fills.
        let draw = id.draw(self.settings.seed, u32::MAX) % (self.settings.jitter as u64 + 1);
        self.settings.latency.saturating_add(draw as i64)
    }

    fn expiry(&self, intent: &OrderIntent) -> Timestamp {
        if let Validity::Gtd(until) = intent.validity {
            return until;
        }
        let group = self.sessions.group(self.instruments.get(intent.instrument));
        match self.sessions.status(group, intent.submitted) {
            // A session's last bar arrives at the instant of the close and is still matched.
            SessionStatus::Open(window) => {
                let bars = self.state.markets[intent.instrument.index()].bar.is_some();
                window.close.plus(i64::from(bars))
            }
            SessionStatus::Closed { .. } => self.sessions.trading_day(intent.submitted).end,
        }
    }

    fn submit(&mut self, intent: &OrderIntent) {
        if self.state.orders.contains_key(&intent.id) {
            return;
        }
        let arrives = intent.submitted.plus(self.latency(intent.id));
        let expires = self.expiry(intent);
        for due in [arrives, expires] {
            if due > self.state.now && due != Timestamp::MAX {
                self.state.due.push(Reverse((due, intent.id)));
            }
        }
        let order = Resting::new(intent, self.state.input, arrives, expires);
        self.state.orders.insert(intent.id, order);
        self.state.by_instrument[intent.instrument.index()].push(intent.id);
        self.state.attention.push(intent.id);
    }

    fn remove(&mut self, id: OrderId) {
        if let Some(order) = self.state.orders.remove(&id) {
            self.state.by_instrument[order.instrument.index()].retain(|o| *o != id);
        }
        self.state.attention.retain(|o| *o != id);
        // Dead entries at the top would keep waking the pipeline.
        while let Some(Reverse((_, id))) = self.state.due.peek()
            && !self.state.orders.contains_key(id)
        {
            self.state.due.pop();
        }
    }

    fn filled(&mut self, id: OrderId, quantity: Quantity, draws: u32) {
        let Some(order) = self.state.orders.get_mut(&id) else { return };
        order.filled = Quantity::from_raw(order.filled.raw().saturating_add(quantity.raw()));
        order.executions += 1;
        // Two draws were used where the fill was cut.
        let market = &mut self.state.markets[order.instrument.index()];
        if draws >= order.draws + 2 {
            order.cut_at = Some(market.input);
        }
        order.draws = draws;
        let taken = match order.side {
            Side::Buy => &mut market.taken_from_asks,
            Side::Sell => &mut market.taken_from_bids,
        };
        *taken = Quantity::from_raw(taken.raw().saturating_add(quantity.raw()));
        let (done, oco) = (order.open() <= Quantity::ZERO, order.oco);
        let now = self.state.now;
        if let Some(other) = oco.and_then(|other| self.state.orders.get_mut(&other)) {
            let rest = Quantity::from_raw(other.quantity.raw() - quantity.raw());
            if rest <= other.filled || done {
                other.cancel = Some((now, Reason::OcoFilled));
            } else {
                other.modify = Some((now, rest));
            }
            let other = other.id;
            self.state.attention.push(other);
        }
        if done {
            self.remove(id);
        }
    }

    fn pass_time(&mut self, now: Timestamp) {
        self.state.now = self.state.now.max(now);
        while let Some(Reverse((due, id))) = self.state.due.peek().copied()
            && due <= self.state.now
        {
            self.state.due.pop();
            if self.state.orders.contains_key(&id) {
                self.state.attention.push(id);
            }
        }
    }

    /// What an order has to say apart from executions.
    fn announcement(&self, order: &Resting, now: Timestamp) -> Option<ReportKind> {
        if order.arrives > now {
            return None;
        }
        if !order.acknowledged {
            return Some(ReportKind::Acknowledged);
        }
        if let Some((at, reason)) = order.cancel
            && at <= now
        {
            return Some(ReportKind::Cancelled(reason));
        }
        if let Some((at, quantity)) = order.modify
            && at <= now
        {
            let quantity = quantity.max(order.filled);
            if quantity == order.filled && quantity.is_zero() {
                return Some(ReportKind::Cancelled(Reason::PositionClosed));
            }
            return Some(ReportKind::Modified {
                quantity,
                limit_price: order.limit,
                trigger_price: order.trigger,
            });
        }
        if order.expires <= now {
            let reason = match order.validity {
                Validity::Gtd(_) => Reason::GoodTillReached,
                _ => Reason::SessionEnd,
            };
            return Some(ReportKind::Expired(reason));
        }
        None
    }

    fn may_match(&self, order: &Resting, now: Timestamp) -> bool {
        let market = &self.state.markets[order.instrument.index()];
        let seen = market.input > order.placed || (self.settings.look_ahead && market.input > 0);
        seen && order.acknowledged && order.arrives <= now && order.expires > now
    }

    fn match_order(&self, order: &Resting, now: Timestamp) -> Option<ReportKind> {
        if !self.may_match(order, now) {
            return None;
        }
        let market = &self.state.markets[order.instrument.index()];
        let instrument = self.instruments.get(order.instrument);
        match outcome(order, market, instrument, &self.settings) {
            Outcome::Nothing => None,
            Outcome::Trigger => Some(ReportKind::Triggered),
            Outcome::Cancel => Some(ReportKind::Cancelled(match order.validity {
                Validity::Fok => Reason::NotFilledAtOnce,
                _ => Reason::ImmediateRemainder,
            })),
            Outcome::Fill { price, quantity, draws, cut: _ } => Some(ReportKind::Filled {
                trade: TradeId::derive(order.id, order.executions),
                quantity,
                price,
                draws,
            }),
        }
    }

    /// Within a bar the worse is taken to come first: market orders at the open, then stops, then
    /// limits. On ticks orders are matched as they came.
    fn match_current(&self, instrument: InstrumentIdx, now: Timestamp) -> Option<TraderReport> {
        let ids = &self.state.by_instrument[instrument.index()];
        let bar = self.state.markets[instrument.index()].bar.is_some();
        let classes: &[fn(&Resting) -> bool] = if bar {
            &[
                |o| o.order_type == OrderType::Market || o.triggered_at.is_some(),
                |o| o.waits_for_trigger(),
                |o| o.order_type == OrderType::Limit,
            ]
        } else {
            &[|_| true]
        };
        for class in classes {
            for order in ids.iter().filter_map(|id| self.state.orders.get(id)).filter(|o| class(o)) {
                if let Some(kind) = self.match_order(order, now) {
                    let ts = match self.state.markets[instrument.index()].bar {
                        // At the open it happened at the open; within the bar, nobody knows when.
                        Some(b) if order.order_type == OrderType::Market => b.open_ts.max(order.arrives),
                        _ => now,
                    };
                    return Some(TraderReport { order: order.id, ts, kind });
                }
            }
        }
        None
    }
}

impl InPipelineTrader for PaperTrader {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    #[inline]
    fn observe_market(&mut self, data: &MarketData<'_>, now: Timestamp) {
        if now > self.state.now {
            self.pass_time(now);
        }
        self.state.input += 1;
        let input = self.state.input;
        let instrument = data.instrument();
        self.state.current = Some(instrument);
        let market = &mut self.state.markets[instrument.index()];
        market.input = input;
        market.taken_from_asks = Quantity::ZERO;
        market.taken_from_bids = Quantity::ZERO;
        match data {
            MarketData::Tick(tick, depth) => {
                market.tick = **tick;
                market.bar = None;
                if depth.is_some() || market.depth.is_some() {
                    market.depth = depth.copied();
                }
            }
            MarketData::Bar(bar) => {
                market.bar = Some(**bar);
                market.tick.price = bar.close;
                market.depth = None;
            }
        }
        let now = self.state.now;
        for id in &self.state.by_instrument[instrument.index()] {
            if let Some(order) = self.state.orders.get_mut(id)
                && order.first_input.is_none()
                && order.placed < input
                && order.arrives <= now
            {
                order.first_input = Some(input);
            }
        }
    }

    fn observe_time(&mut self, now: Timestamp) {
        self.state.current = None;
        self.pass_time(now);
    }

    fn apply(&mut self, event: &Event) {
        self.state.now = self.state.now.max(event.ts);
        match &event.body {
            EventBody::OrderSubmitted(intent) => self.submit(intent),
            EventBody::ModifyRequested { order, quantity } => {
                let at = event.ts.plus(self.latency(*order));
                if let Some(resting) = self.state.orders.get_mut(order) {
                    resting.modify = Some((at, *quantity));
                    self.schedule(at, *order);
                }
            }
            EventBody::OrderChanged(step) => match step.change {
                OrderChange::Filled(x) => self.filled(step.order, x.quantity, x.draws),
                OrderChange::CancelRequested(reason) => {
                    let at = event.ts.plus(self.latency(step.order));
                    if let Some(resting) = self.state.orders.get_mut(&step.order) {
                        resting.cancel.get_or_insert((at, reason));
                        self.schedule(at, step.order);
                    }
                }
                change => {
                    let Some(resting) = self.state.orders.get_mut(&step.order) else { return };
                    match change {
                        OrderChange::Acknowledged => resting.acknowledged = true,
                        OrderChange::Triggered => {
                            let market = &self.state.markets[resting.instrument.index()];
                            resting.triggered_at = Some(market.input);
                        }
                        OrderChange::Modified { quantity, limit_price, trigger_price } => {
                            resting.quantity = quantity;
                            resting.limit = limit_price;
                            resting.trigger = trigger_price;
                            resting.modify = None;
                            if resting.open() <= Quantity::ZERO {
                                self.remove(step.order);
                            }
                        }
                        OrderChange::Cancelled(_)
                        | OrderChange::Rejected(_)
                        | OrderChange::Expired(_)
                        | OrderChange::Failed(_) => self.remove(step.order),
                        _ => {}
                    }
                }
            },
            _ => {}
        }
        // What has been said needs no attention; what is new or changed keeps it.
        let now = self.state.now;
        let mut attention = std::mem::take(&mut self.state.attention);
        attention.retain(|id| {
            self.state.orders.get(id).is_some_and(|order| {
                self.announcement(order, now).is_some()
                    || (self.settings.look_ahead && order.first_input.is_none() && order.arrives <= now)
            })
        });
        attention.dedup();
        self.state.attention = attention;
    }

    #[inline]
    fn next_report(&self, now: Timestamp) -> Option<TraderReport> {
        for order in self.state.attention.iter().filter_map(|id| self.state.orders.get(id)) {
            if let Some(kind) = self.announcement(order, now) {
                return Some(TraderReport { order: order.id, ts: now, kind });
            }
            if self.settings.look_ahead
                && let Some(kind) = self.match_order(order, now)
            {
                return Some(TraderReport { order: order.id, ts: now, kind });
            }
        }
        let current = self.state.current?;
        if self.state.by_instrument[current.index()].is_empty() {
            return None;
        }
        self.match_current(current, now)
    }

    #[inline]
    fn next_due(&self) -> Timestamp {
        self.state.due.peek().map_or(Timestamp::MAX, |Reverse((due, _))| *due)
    }

    fn save(&self) -> Result<Vec<u8>, TraderStateError> {
        postcard::to_stdvec(&self.state).map_err(|e| TraderStateError(e.to_string()))
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), TraderStateError> {
        let state: State =
            postcard::from_bytes(state).map_err(|e| TraderStateError(e.to_string()))?;
        if state.markets.len() != self.instruments.len() {
            return Err(TraderStateError("another number of instruments".to_owned()));
        }
        self.state = state;
        Ok(())
    }
}

impl PaperTrader {
    fn schedule(&mut self, at: Timestamp, order: OrderId) {
        if at > self.state.now {
            self.state.due.push(Reverse((at, order)));
        }
        self.state.attention.push(order);
    }
}
