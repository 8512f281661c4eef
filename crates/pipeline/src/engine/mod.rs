//! The trading engine: the life of orders, and what a signal means in view of what is working in the
//! market already.

pub mod held;
pub mod plan;
pub mod protect;

use std::collections::{BTreeMap, VecDeque};

use model::event::{Event, EventBody, ParkedReport};
use model::money::Multiplier;
use model::order::{
    Execution, Order, OrderChange, OrderError, OrderIntent, OrderRole, OrderStatus,
};
use model::reindex::Reindex;
use model::signal::{Bracket, OrderType, Side, Signal};
use model::{
    Amount, CorrelationId, CurrencyIdx, OrderId, Price, Quantity, SignalId, StrategyIdx, Timestamp,
    TradeId,
};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

pub use held::HeldSignals;
pub use plan::Plan;

use crate::portfolio::PositionKey;

/// Orders that can have no late execution any more are remembered up to this number, so that a
/// repeated report is told from an unknown one; a report on an older one raises an alert.
pub const CLOSED_ORDERS_MAX: usize = 1024;

/// An order in the market and what the engine keeps with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Working {
    /// The order.
    pub order: Order,
    /// The price at which its open quantity is counted as exposure.
    reference: Price,
    /// What its open quantity is counted as, for entries.
    reserved: Amount,
    currency: CurrencyIdx,
    multiplier: Multiplier,
    /// The total quantity that was last asked for.
    requested: Quantity,
    /// Its position's book.
    book: u32,
}

impl Working {
    /// The total quantity that was last asked for.
    pub const fn requested(&self) -> Quantity {
        self.requested
    }
}

/// An entry with a bracket, and the legs that protect what has filled of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The entry.
    pub parent: OrderId,
    /// Its chain of events.
    pub correlation: CorrelationId,
    /// Its signal.
    pub signal: Option<SignalId>,
    /// The entry's side.
    pub side: Side,
    /// The prices.
    pub bracket: Bracket,
    /// How much of the entry has filled, beyond what closed an opposite position.
    pub entered: Quantity,
    /// How much of that has been closed again, by the legs or by other orders.
    pub exited: Quantity,
    /// The stop leg.
    pub stop_loss: Option<OrderId>,
    /// The limit leg.
    pub take_profit: Option<OrderId>,
    /// How often legs have been placed.
    pub generation: u32,
}

/// Something that waits for working orders to be gone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Closing {
    correlation: CorrelationId,
    reason: model::reason::Reason,
    /// Its number among the namespace's square-offs.
    ordinal: u32,
    /// Closing orders sent so far: a late execution can make a further one necessary.
    orders: u32,
}

/// What works for one position.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Book {
    /// Orders that may still execute, in the order of submission.
    working: Vec<OrderId>,
    /// Signed open quantity of the market orders that are not protective: as good as done.
    in_flight: Quantity,
    /// Signed open quantity of the limit and stop orders that are not protective.
    resting: Quantity,
    /// Number of those.
    resting_orders: u32,
    /// The latest target, whether it could be followed or not.
    last_target: Option<Signal>,
    deferred: Option<Signal>,
    closing: Option<Closing>,
    pairs: Vec<Pair>,
}

impl Book {
    /// Orders that may still execute, in the order of submission.
    pub fn working(&self) -> &[OrderId] {
        &self.working
    }
    /// Signed open quantity of everything that is not protective.
    pub fn pending(&self) -> Quantity {
        self.in_flight
            .checked_add(self.resting)
            .unwrap_or(Quantity::MAX)
    }
    /// The latest target.
    pub const fn last_target(&self) -> Option<&Signal> {
        self.last_target.as_ref()
    }
    /// The signal that waits for working orders to be cancelled.
    pub const fn deferred(&self) -> Option<&Signal> {
        self.deferred.as_ref()
    }
    /// True while the position is being closed by a square-off.
    pub const fn is_closing(&self) -> bool {
        self.closing.is_some()
    }
    pub(crate) fn closing(&self) -> Option<(CorrelationId, model::reason::Reason, (u32, u32))> {
        self.closing
            .map(|c| (c.correlation, c.reason, (c.ordinal, c.orders)))
    }
    /// The brackets.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }
}

/// The stage.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Engine {
    /// Boxed: an order moves from map to map as it ends, and is large.
    orders: FxHashMap<OrderId, Box<Working>>,
    books: Vec<Book>,
    /// The positions of `books`, in the order of their first order or target.
    keys: Vec<PositionKey>,
    book_of: FxHashMap<PositionKey, u32>,
    keys_of: FxHashMap<model::InstrumentIdx, Vec<PositionKey>>,
    closed: FxHashMap<OrderId, Box<Working>>,
    /// Closed orders that can have no late execution, oldest first.
    final_orders: VecDeque<OrderId>,
    /// Closed orders that can, of this trading day and the one before.
    late_orders: [Vec<OrderId>; 2],
    open_by_strategy: Vec<u32>,
    /// Working orders whose outcome is unknown, rising.
    unresolved: Vec<(OrderId, StrategyIdx)>,
    /// Value of working entries, by currency.
    reserved: Vec<Amount>,
    /// The same by strategy and currency.
    reserved_by_strategy: Vec<Vec<Amount>>,
    /// Scheduled and operator actions so far: their ordinal.
    scheduled: u32,
    /// Reported executions that are not booked, the oldest first.
    parked: Vec<ParkedReport>,
    overflow: bool,
    held: HeldSignals,
}

impl Engine {
    /// Without orders.
    pub fn new(strategies: usize, currencies: usize) -> Self {
        Self {
            open_by_strategy: vec![0; strategies],
            reserved: vec![Amount::ZERO; currencies],
            reserved_by_strategy: vec![vec![Amount::ZERO; currencies]; strategies],
            ..Self::default()
        }
    }

    /// The state as text: equal states give equal texts, however their maps came to be.
    pub(crate) fn fingerprint(&self) -> String {
        fn sorted<K: Ord, V>(map: &FxHashMap<K, V>) -> BTreeMap<&K, &V> {
            map.iter().collect()
        }
        let bare = Self {
            orders: FxHashMap::default(),
            closed: FxHashMap::default(),
            book_of: FxHashMap::default(),
            keys_of: FxHashMap::default(),
            ..self.clone()
        };
        format!(
            "{:?} {:?} {:?} {:?} {bare:?}",
            sorted(&self.orders),
            sorted(&self.closed),
            sorted(&self.book_of),
            sorted(&self.keys_of),
        )
    }

    /// Takes over a saved engine's orders.
    pub fn adopt(&mut self, saved: Self, map: &Reindex) {
        let fresh = std::mem::take(self);
        let by_currency = |old: Vec<Amount>, fresh: Vec<Amount>| map.by_currency(old, fresh);
        let empty = fresh.reserved.clone();
        let rows = saved.reserved_by_strategy.into_iter();
        *self = Self {
            open_by_strategy: map.by_strategy(saved.open_by_strategy, fresh.open_by_strategy),
            reserved: by_currency(saved.reserved, fresh.reserved),
            reserved_by_strategy: map.by_strategy(
                rows.map(|row| by_currency(row, empty.clone())).collect(),
                fresh.reserved_by_strategy,
            ),
            ..saved
        };
    }

    /// An order that may still execute.
    pub fn working(&self, id: OrderId) -> Option<&Working> {
        self.orders.get(&id).map(Box::as_ref)
    }
    /// An order, working or closed.
    pub fn order(&self, id: OrderId) -> Option<&Order> {
        self.orders
            .get(&id)
            .or_else(|| self.closed.get(&id))
            .map(|w| &w.order)
    }
    /// The working orders, in no particular order.
    pub fn working_ids(&self) -> Vec<OrderId> {
        let mut ids: Vec<_> = self.orders.keys().copied().collect();
        ids.sort_unstable();
        ids
    }
    /// What works for a position.
    #[inline]
    pub fn book(&self, key: &PositionKey) -> Option<&Book> {
        self.book_of.get(key).map(|i| &self.books[*i as usize])
    }
    /// Every position that has ever had an order, in the order of the first.
    pub fn keys(&self) -> &[PositionKey] {
        &self.keys
    }
    /// The positions in one instrument that have ever had an order.
    pub fn keys_of(&self, instrument: model::InstrumentIdx) -> &[PositionKey] {
        self.keys_of.get(&instrument).map_or(&[], Vec::as_slice)
    }
    /// Working orders whose outcome is unknown, with their strategies.
    pub fn unresolved(&self) -> &[(OrderId, StrategyIdx)] {
        &self.unresolved
    }
    /// Whether an order of a strategy has an unknown outcome.
    #[inline]
    pub fn has_unresolved(&self, strategy: StrategyIdx) -> bool {
        self.unresolved.iter().any(|(_, s)| *s == strategy)
    }
    /// Orders that have ended and are still remembered, in no particular order.
    pub fn ended_ids(&self) -> impl Iterator<Item = OrderId> + '_ {
        self.closed.keys().copied()
    }
    /// Orders working.
    pub fn open_orders(&self) -> u32 {
        self.orders.len() as u32
    }
    /// Orders of a strategy working.
    pub fn open_orders_of(&self, strategy: StrategyIdx) -> u32 {
        self.open_by_strategy
            .get(strategy.index())
            .copied()
            .unwrap_or(0)
    }
    /// Value of working entries in a currency.
    pub fn reserved(&self, currency: CurrencyIdx) -> Amount {
        self.reserved[currency.index()]
    }
    /// Value of a strategy's working entries in a currency.
    pub fn reserved_by(&self, strategy: StrategyIdx, currency: CurrencyIdx) -> Amount {
        self.reserved_by_strategy
            .get(strategy.index())
            .map_or(Amount::ZERO, |by_currency| by_currency[currency.index()])
    }
    /// What working entries may still add, and the price at which it counts; in no particular order.
    pub fn working_entries(&self) -> impl Iterator<Item = (&OrderIntent, Quantity, Price)> {
        let entries = self.orders.values().filter(|w| !w.reserved.is_zero());
        entries.map(|w| {
            let intent = w.order.intent();
            let adds = w.order.open_quantity().min(intent.increase);
            (intent, adds, w.reference)
        })
    }
    /// Reported executions that are not booked, as they cannot be true; the oldest first.
    pub fn parked(&self) -> &[ParkedReport] {
        &self.parked
    }
    /// Whether a report about an order is parked.
    pub fn has_parked(&self, order: OrderId) -> bool {
        self.parked.iter().any(|p| p.order == order)
    }
    /// Whether an operator may say what became of an order: its outcome is unknown, a report of it is
    /// parked, or it works on after an operator has told of a part that executed.
    pub fn is_in_doubt(&self, id: OrderId) -> bool {
        let Some(order) = self.order(id) else {
            return false;
        };
        let told_by_hand = |ordinal| {
            let change = OrderChange::Filled(Execution {
                trade: trade_by_hand(id, ordinal),
                quantity: Quantity::ZERO,
                price: Price::ZERO,
                charges: Amount::ZERO,
                draws: 0,
            });
            matches!(order.check(&change), Err(OrderError::DuplicateTrade(_)))
        };
        order.status() == OrderStatus::Unknown
            || self.has_parked(id)
            || !order.status().is_terminal() && (0..order.executions()).any(told_by_hand)
    }
    /// Scheduled and operator actions so far.
    pub const fn scheduled(&self) -> u32 {
        self.scheduled
    }
    /// The signals that wait for a session to open.
    pub const fn held(&self) -> &HeldSignals {
        &self.held
    }
    /// The system was off until `until`.
    pub fn observe_absence(&mut self, until: Timestamp) {
        self.held.observe_absence(until);
    }
    /// Whether an amount did not fit.
    pub const fn overflowed(&self) -> bool {
        self.overflow
    }

    /// A trading day has begun: forgets closed orders of the day before yesterday.
    pub fn observe_day(&mut self) {
        let old = std::mem::take(&mut self.late_orders[0]);
        self.late_orders.swap(0, 1);
        for id in old {
            if self.has_parked(id) {
                // The broker's word on it is still to come.
                self.late_orders[1].push(id);
            } else {
                self.closed.remove(&id);
            }
        }
    }

    /// A fact has been recorded. `money` is an instrument's currency and multiplier, and its last
    /// price.
    pub fn apply(&mut self, event: &Event, money: (CurrencyIdx, Multiplier, Price)) {
        self.held.apply(event);
        match &event.body {
            EventBody::SignalRaw(signal) => {
                if matches!(signal.decision.action, model::signal::Action::Target { .. }) {
                    self.book_mut(key_of(signal)).last_target = Some(*signal);
                }
            }
            EventBody::SignalDeferred(signal) => {
                self.book_mut(key_of(signal)).deferred = Some(*signal);
            }
            // What closes positions finds it by its book.
            EventBody::SignalHeld { signal, .. } => {
                self.book_index(key_of(signal));
            }
            EventBody::SignalValidated(v) => {
                self.settle(
                    PositionKey {
                        strategy: v.strategy,
                        instrument: v.instrument,
                        product: v.product,
                    },
                    v.signal,
                );
            }
            EventBody::SignalRejected(r) => {
                self.settle(
                    PositionKey {
                        strategy: r.strategy,
                        instrument: r.instrument,
                        product: r.product,
                    },
                    r.signal,
                );
            }
            EventBody::SquareOff {
                strategy,
                instrument,
                product,
                begins,
                reason,
            } => {
                let key = PositionKey {
                    strategy: *strategy,
                    instrument: *instrument,
                    product: *product,
                };
                let ordinal = self.scheduled;
                let (correlation, reason) = (event.correlation, *reason);
                let book = self.book_mut(key);
                book.closing = begins.then_some(Closing {
                    correlation,
                    reason,
                    ordinal,
                    orders: 0,
                });
                if *begins {
                    book.deferred = None;
                    self.scheduled = self.scheduled.wrapping_add(1);
                }
            }
            EventBody::OrderSubmitted(intent) => self.submitted(intent, money),
            EventBody::OrderChanged(step) => self.changed(step.order, &step.change),
            EventBody::ModifyRequested { order, quantity } => {
                if let Some(working) = self.orders.get_mut(order) {
                    working.requested = *quantity;
                }
            }
            EventBody::ReportParked(parked) => {
                self.unpark(parked.order, parked.trade);
                self.parked.push(*parked);
            }
            EventBody::ReportDropped { order, trade, .. } => self.unpark(*order, *trade),
            _ => {}
        }
    }

    fn settle(&mut self, key: PositionKey, signal: SignalId) {
        if let Some(index) = self.book_of.get(&key) {
            let book = &mut self.books[*index as usize];
            if book.deferred.is_some_and(|d| d.id == signal) {
                book.deferred = None;
            }
        }
    }

    fn book_index(&mut self, key: PositionKey) -> usize {
        if let Some(index) = self.book_of.get(&key) {
            return *index as usize;
        }
        let index = self.books.len();
        self.books.push(Book::default());
        self.keys.push(key);
        self.book_of.insert(key, index as u32);
        self.keys_of.entry(key.instrument).or_default().push(key);
        index
    }

    fn book_mut(&mut self, key: PositionKey) -> &mut Book {
        let index = self.book_index(key);
        &mut self.books[index]
    }

    fn submitted(
        &mut self,
        intent: &OrderIntent,
        (currency, multiplier, last): (CurrencyIdx, Multiplier, Price),
    ) {
        let key = PositionKey::of(intent);
        let index = self.book_index(key);
        let book = &mut self.books[index];
        book.working.push(intent.id);
        if intent.role == OrderRole::SquareOff
            && let Some(closing) = &mut book.closing
        {
            closing.orders += 1;
        }
        match (intent.role, intent.parent) {
            (OrderRole::StopLoss, Some(parent)) => {
                if let Some(pair) = book.pairs.iter_mut().find(|p| p.parent == parent) {
                    pair.stop_loss = Some(intent.id);
                    pair.generation += 1;
                }
            }
            (OrderRole::TakeProfit, Some(parent)) => {
                if let Some(pair) = book.pairs.iter_mut().find(|p| p.parent == parent) {
                    pair.take_profit = Some(intent.id);
                    pair.generation += 1;
                }
            }
            _ if intent.bracket != Bracket::default() => book.pairs.push(Pair::of(intent)),
            _ => {}
        }
        if let Some(open) = self.open_by_strategy.get_mut(intent.strategy.index()) {
            *open += 1;
        }
        let working = Working {
            order: Order::new(*intent),
            reference: intent.limit_price.or(intent.trigger_price).unwrap_or(last),
            reserved: Amount::ZERO,
            currency,
            multiplier,
            requested: intent.quantity,
            book: index as u32,
        };
        self.orders.insert(intent.id, Box::new(working));
        self.account(intent.id, Quantity::ZERO);
    }

    /// Brings the sums in line with an order whose open quantity was `before`.
    fn account(&mut self, id: OrderId, before: Quantity) {
        let Some(working) = self.orders.get_mut(&id) else {
            return;
        };
        let intent = working.order.intent();
        let open = working.order.open_quantity();
        if !intent.role.is_protective() {
            let book = &mut self.books[working.book as usize];
            let change = intent
                .side
                .signed(Quantity::from_raw(open.raw() - before.raw()));
            let sum = if intent.order_type == OrderType::Market {
                &mut book.in_flight
            } else {
                book.resting_orders = (book.resting_orders + u32::from(before.is_zero()))
                    .saturating_sub(u32::from(open.is_zero()));
                &mut book.resting
            };
            match sum.checked_add(change) {
                Ok(new) => *sum = new,
                Err(_) => self.overflow = true,
            }
        }
        if intent.role == OrderRole::Entry {
            // What closes an opposite position first is no new exposure.
            let adds = Quantity::from_raw(open.raw().min(intent.increase.raw()));
            let reserved = Amount::notional(working.reference, adds, working.multiplier);
            let c = working.currency.index();
            let totals = [
                self.reserved.get_mut(c),
                self.reserved_by_strategy
                    .get_mut(intent.strategy.index())
                    .and_then(|by_currency| by_currency.get_mut(c)),
            ];
            for total in totals.into_iter().flatten() {
                let new = reserved
                    .and_then(|r| total.checked_add(r))
                    .and_then(|sum| sum.checked_sub(working.reserved));
                match new {
                    Ok(new) => *total = new,
                    Err(_) => self.overflow = true,
                }
            }
            if let Ok(reserved) = reserved {
                working.reserved = reserved;
            }
        }
    }

    fn unpark(&mut self, order: OrderId, trade: TradeId) {
        self.parked.retain(|p| (p.order, p.trade) != (order, trade));
    }

    fn changed(&mut self, id: OrderId, change: &OrderChange) {
        if let OrderChange::Filled(execution) = change
            && !self.parked.is_empty()
        {
            self.unpark(id, execution.trade);
        }
        let Some(working) = self.orders.get_mut(&id) else {
            // A late execution of an order that had ended.
            if let Some(closed) = self.closed.get_mut(&id)
                && closed.order.advance(change).is_ok()
                && let OrderChange::Filled(execution) = change
            {
                let (intent, book) = (*closed.order.intent(), closed.book as usize);
                let filled = closed.order.filled();
                self.note_fill(book, &intent, filled, execution.quantity);
            }
            return;
        };
        let before = working.order.open_quantity();
        let strategy = working.order.intent().strategy;
        if working.order.advance(change).is_err() {
            return;
        }
        let status = working.order.status();
        let index = working.book as usize;
        if status == OrderStatus::Unknown {
            if let Err(at) = self.unresolved.binary_search(&(id, strategy)) {
                self.unresolved.insert(at, (id, strategy));
            }
        } else if !self.unresolved.is_empty() {
            self.unresolved.retain(|(order, _)| *order != id);
        }
        if let OrderChange::Filled(execution) = change
            && !self.books[index].pairs.is_empty()
        {
            let (intent, filled) = (*working.order.intent(), working.order.filled());
            self.note_fill(index, &intent, filled, execution.quantity);
        }
        self.account(id, before);
        if !status.is_terminal() {
            return;
        }
        if let Some(open) = self.open_by_strategy.get_mut(strategy.index()) {
            *open = open.saturating_sub(1);
        }
        self.books[index].working.retain(|w| *w != id);
        if let Some(working) = self.orders.remove(&id) {
            self.closed.insert(id, working);
        }
        if matches!(status, OrderStatus::Cancelled | OrderStatus::Expired) {
            self.late_orders[1].push(id);
        } else {
            self.final_orders.push_back(id);
            if self.final_orders.len() > CLOSED_ORDERS_MAX
                && let Some(oldest) = self.final_orders.pop_front()
            {
                if self.has_parked(oldest) {
                    self.late_orders[1].push(oldest);
                } else {
                    self.closed.remove(&oldest);
                }
            }
        }
        if !self.books[index].pairs.is_empty() {
            self.forget_finished_pairs(index);
        }
    }

    /// Tells the pairs of a book of an execution: what it opened of its own pair, or closed of
    /// others'. `filled` is the order's whole executed quantity.
    fn note_fill(
        &mut self,
        book: usize,
        intent: &OrderIntent,
        filled: Quantity,
        quantity: Quantity,
    ) {
        let pairs = &mut self.books[book].pairs;
        let add = |a: Quantity, b: Quantity| a.checked_add(b).unwrap_or(Quantity::MAX);
        if intent.role.is_protective() {
            if let Some(pair) = pairs.iter_mut().find(|p| Some(p.parent) == intent.parent) {
                pair.exited = add(pair.exited, quantity);
            }
            return;
        }
        // A reversal closes first: so much of this execution opened, the rest closed.
        let closes = intent.quantity.raw() - intent.increase.raw();
        let opened = (filled.raw() - closes).clamp(0, quantity.raw());
        // What closes, closes what was opened last.
        let mut left = quantity.raw() - opened;
        for pair in pairs
            .iter_mut()
            .rev()
            .filter(|p| p.side == intent.side.opposite())
        {
            let part = left.min(pair.entered.raw().saturating_sub(pair.exited.raw()).max(0));
            pair.exited = add(pair.exited, Quantity::from_raw(part));
            left -= part;
        }
        if opened == 0 || intent.bracket == Bracket::default() {
            return;
        }
        match pairs.iter_mut().find(|p| p.parent == intent.id) {
            Some(pair) => pair.entered = add(pair.entered, Quantity::from_raw(opened)),
            // A late execution of an entry that had ended and whose pair was done.
            None => pairs.push(Pair {
                entered: Quantity::from_raw(opened),
                generation: (filled.raw() % (1 << 20)) as u32 + 1024,
                ..Pair::of(intent)
            }),
        }
    }

    /// Whether a leg was refused by the broker: that has raised an alert, and is not tried again.
    fn was_refused(&self, leg: OrderId) -> bool {
        self.order(leg)
            .is_some_and(|o| matches!(o.status(), OrderStatus::Rejected | OrderStatus::Failed))
    }

    /// A pair is done when its entry and its legs have ended and nothing of it is left to protect.
    fn forget_finished_pairs(&mut self, book: usize) {
        let mut pairs = std::mem::take(&mut self.books[book].pairs);
        pairs.retain(|pair| {
            let legs = || [pair.stop_loss, pair.take_profit].into_iter().flatten();
            self.orders.contains_key(&pair.parent)
                || legs().any(|leg| self.orders.contains_key(&leg))
                || (pair.entered > pair.exited && !legs().any(|leg| self.was_refused(leg)))
        });
        self.books[book].pairs = pairs;
    }
}

impl Pair {
    /// Of an entry, before anything has filled.
    fn of(intent: &OrderIntent) -> Self {
        Self {
            parent: intent.id,
            correlation: intent.correlation,
            signal: intent.signal,
            side: intent.side,
            bracket: intent.bracket,
            entered: Quantity::ZERO,
            exited: Quantity::ZERO,
            stop_loss: None,
            take_profit: None,
            generation: 0,
        }
    }
}

/// The id of an execution that an operator tells of.
pub(crate) fn trade_by_hand(order: OrderId, ordinal: u32) -> TradeId {
    TradeId::derive(order, u32::MAX - ordinal)
}

/// The position that a signal acts on.
pub const fn key_of(signal: &Signal) -> PositionKey {
    PositionKey {
        strategy: signal.strategy,
        instrument: signal.decision.instrument,
        product: signal.decision.product,
    }
}
