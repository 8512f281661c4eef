//! What a paper trader knows, and how it changes.

use std::collections::{BTreeSet, VecDeque};

use model::market::MarketData;
use model::order::{Execution, OrderIntent};
use model::reason::Reason;
use model::reindex::Reindex;
use model::{InstrumentIdx, OrderId, Price, Quantity, Timestamp};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::book::{Announcement, Book, Entered, EntryMoment, Market, Quote, Resting};

/// Where an order is that has been presented.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    /// In this instrument's book.
    Working(InstrumentIdx),
    /// Its life has ended; remembered, so that presenting it again does not begin another.
    Finished,
}

/// Finished orders are remembered until nobody may present them any more, and at most so many: at
/// the bound the oldest is forgotten.
const FINISHED_MAX: usize = 65_536;

/// What changes, and what a snapshot holds. What is saved is ordered: equal states give equal bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    look_ahead: bool,
    #[serde(with = "by_instrument")]
    books: Vec<Book>,
    /// The market by instrument where orders look ahead; else empty.
    #[serde(with = "by_instrument")]
    markets: Vec<Market>,
    /// The market that is being matched where they do not.
    market: Market,
    /// Every order that is known, to be looked up, never walked; made anew from the rest.
    #[serde(skip)]
    places: FxHashMap<OrderId, Place>,
    /// Finished orders with the time until which they may be presented again.
    finished: VecDeque<(Timestamp, OrderId)>,
    /// Market inputs so far.
    input: u64,
    /// The instrument of the input that is being matched.
    current: Option<InstrumentIdx>,
    /// Orders with something to say that no market input decides.
    attention: Vec<OrderId>,
    /// Orders that have reached the market since the last input and look ahead to it.
    fresh: Vec<OrderId>,
    /// When an order has something to say: of each only what is still to come.
    due: BTreeSet<(Timestamp, OrderId)>,
    now: Timestamp,
    /// The latest fill of an entry with legs, until anything else happens: legs that are placed now
    /// follow from it.
    entered: Option<Entered>,
    /// The time of the latest market input.
    seen: Timestamp,
}

impl State {
    pub fn new(instruments: usize, look_ahead: bool) -> Self {
        Self {
            look_ahead,
            books: vec![Book::default(); instruments],
            markets: vec![Market::default(); if look_ahead { instruments } else { 0 }],
            now: Timestamp::MIN,
            seen: Timestamp::MIN,
            ..Self::default()
        }
    }

    /// A saved state with the indices of today, if all that it holds is known today.
    pub fn reindexed(mut self, map: &Reindex) -> Option<Self> {
        fn table<T: Default + PartialEq>(old: Vec<T>, map: &Reindex) -> Option<Vec<T>> {
            let mut new = Vec::new();
            for (at, row) in old.into_iter().enumerate() {
                if row == T::default() {
                    continue;
                }
                let to = map.instrument(at)?.index();
                if to >= new.len() {
                    new.resize_with(to + 1, T::default);
                }
                new[to] = row;
            }
            Some(new)
        }
        if map.is_identity() {
            return Some(self);
        }
        let today = |index: InstrumentIdx| map.instrument(index.index());
        for order in self.books.iter_mut().flat_map(|book| &mut book.orders) {
            order.instrument = today(order.instrument)?;
        }
        let markets = self.markets.iter_mut().chain([&mut self.market]);
        for bar in markets.filter_map(|market| market.bar.as_mut()) {
            bar.instrument = today(bar.instrument)?;
        }
        if let Some(current) = &mut self.current {
            *current = today(*current)?;
        }
        self.books = table(self.books, map)?;
        self.markets = table(self.markets, map)?;
        Some(self)
    }

    /// A saved state, if it fits a trader of so many instruments: there may be more than there were.
    pub fn restored(mut self, instruments: usize, look_ahead: bool) -> Option<Self> {
        let wanted = Self::new(instruments, look_ahead);
        let fits = self.look_ahead == look_ahead
            && self.books.len() <= wanted.books.len()
            && self.markets.len() <= wanted.markets.len()
            && self.current.is_none_or(|i| i.index() < instruments)
            && (self.markets.iter().chain([&self.market]))
                .filter_map(|market| market.bar.as_ref())
                .all(|bar| bar.instrument.index() < instruments)
            && (self.books.iter().enumerate())
                .all(|(at, book)| book.orders.iter().all(|o| o.instrument.index() == at));
        if !fits {
            return None;
        }
        self.books.resize(wanted.books.len(), Book::default());
        self.markets.resize(wanted.markets.len(), Market::default());
        for order in self.books.iter().flat_map(|book| &book.orders) {
            self.places
                .insert(order.id, Place::Working(order.instrument));
        }
        for (_, id) in &self.finished {
            self.places.insert(*id, Place::Finished);
        }
        Some(self)
    }

    pub fn next_due(&self) -> Timestamp {
        self.due.first().map_or(Timestamp::MAX, |(due, _)| *due)
    }
    #[inline]
    pub fn current(&self) -> Option<InstrumentIdx> {
        self.current
    }
    #[inline]
    pub fn attention(&self) -> &[OrderId] {
        &self.attention
    }
    #[inline]
    pub fn fresh(&self) -> &[OrderId] {
        &self.fresh
    }
    #[inline]
    pub fn book(&self, instrument: InstrumentIdx) -> &Book {
        &self.books[instrument.index()]
    }
    pub fn is_known(&self, id: OrderId) -> bool {
        self.places.contains_key(&id)
    }
    #[inline]
    pub fn market(&self, instrument: InstrumentIdx) -> &Market {
        // Without look-ahead only the current input is matched: one market is kept, not hundreds.
        if self.look_ahead {
            &self.markets[instrument.index()]
        } else {
            &self.market
        }
    }
    #[inline]
    fn market_mut(&mut self, instrument: InstrumentIdx) -> &mut Market {
        if self.look_ahead {
            &mut self.markets[instrument.index()]
        } else {
            &mut self.market
        }
    }

    /// A working order and the book that it is in.
    pub fn find(&self, id: OrderId) -> Option<(&Resting, &Book)> {
        let Some(Place::Working(instrument)) = self.places.get(&id) else {
            return None;
        };
        let book = &self.books[instrument.index()];
        book.orders
            .iter()
            .find(|o| o.id == id)
            .map(|order| (order, book))
    }

    fn find_mut(&mut self, id: OrderId) -> Option<&mut Resting> {
        let Some(Place::Working(instrument)) = self.places.get(&id) else {
            return None;
        };
        self.books[instrument.index()]
            .orders
            .iter_mut()
            .find(|o| o.id == id)
    }

    fn announcement(&self, id: OrderId) -> Option<Announcement> {
        let (order, book) = self.find(id)?;
        order.announcement(self.now, book.expires(order))
    }

    // ----- inputs -------------------------------------------------------------------------------

    /// A market input: kept only where an order may be matched with it.
    #[inline]
    pub fn observe_market(&mut self, data: &MarketData<'_>, now: Timestamp) {
        if now > self.now {
            self.pass_time(now);
        }
        if !self.fresh.is_empty() {
            self.fresh.clear();
        }
        self.input += 1;
        self.seen = now;
        self.entered = None;
        let instrument = data.instrument();
        let book = &mut self.books[instrument.index()];
        book.bars = matches!(data, MarketData::Bar(_));
        let before = std::mem::replace(&mut book.last, data.price());
        if book.orders.is_empty() && !self.look_ahead {
            self.current = None;
            return;
        }
        self.keep(instrument, data, before);
    }

    fn keep(&mut self, instrument: InstrumentIdx, data: &MarketData<'_>, before: Price) {
        self.current = Some(instrument);
        let (input, now) = (self.input, self.now);
        let market = self.market_mut(instrument);
        market.input = input;
        market.taken_from_asks = Quantity::ZERO;
        market.taken_from_bids = Quantity::ZERO;
        // A bar that began before the order was there holds prices from before it: no look-ahead.
        let from = match data {
            MarketData::Tick(tick, depth) => {
                market.quote = Quote::of(tick);
                // A feed that counts volume also sends what is no trade: new quotes, say.
                market.has_trade =
                    tick.quantity > Quantity::ZERO || tick.volume.is_zero() || tick.price != before;
                market.bar = None;
                if depth.is_some() || market.depth.is_some() {
                    market.depth = depth.copied();
                }
                now
            }
            MarketData::Bar(bar) => {
                market.bar = Some(**bar);
                market.quote = Quote {
                    price: bar.close,
                    ..Quote::default()
                };
                market.depth = None;
                bar.open_ts
            }
        };
        for order in &mut self.books[instrument.index()].orders {
            if order.first_input.is_none() && order.placed < self.input && order.arrives <= from {
                order.first_input = Some(self.input);
            }
        }
    }

    pub fn observe_time(&mut self, now: Timestamp) {
        self.current = None;
        self.entered = None;
        self.fresh.clear();
        self.pass_time(now);
    }

    /// Something has happened that no leg of the latest entry follows from.
    pub fn forget_entry(&mut self) {
        self.entered = None;
    }

    /// The entry whose fill just now makes the engine place or enlarge this leg.
    fn entry_of(&self, parent: Option<OrderId>) -> Option<Entered> {
        self.entered.filter(|entered| Some(entered.order) == parent)
    }

    /// Whether market data of this instant or a later one has arrived.
    pub fn has_seen(&self, at: Timestamp) -> bool {
        self.seen >= at
    }

    #[inline]
    fn pass_time(&mut self, now: Timestamp) {
        if now > self.now {
            self.now = now;
        }
        if self.due.first().is_some_and(|(due, _)| *due <= self.now) {
            self.wake_due();
        }
        if self
            .finished
            .front()
            .is_some_and(|(send_by, _)| *send_by < self.now)
        {
            self.forget_finished();
        }
    }

    #[cold]
    fn wake_due(&mut self) {
        while let Some((due, id)) = self.due.first().copied()
            && due <= self.now
        {
            self.due.pop_first();
            self.wake(id, due);
        }
    }

    fn forget_finished(&mut self) {
        while let Some((send_by, id)) = self.finished.front().copied()
            && send_by < self.now
        {
            self.finished.pop_front();
            self.places.remove(&id);
        }
    }

    fn wake(&mut self, id: OrderId, due: Timestamp) {
        let Some((order, book)) = self.find(id) else {
            return;
        };
        let (arrives, expires) = (order.arrives, book.expires(order));
        if due == arrives {
            self.arrive(id);
        }
        // In a bar market it lives to see the bar that ends with its time.
        if due < expires && due.plus(1) == expires && expires > self.now {
            self.due.insert((expires, id));
        }
        self.attend(id);
    }

    /// Where orders look ahead, it can fill on what the market showed last.
    fn arrive(&mut self, id: OrderId) {
        if !self.look_ahead {
            return;
        }
        let Some((order, _)) = self.find(id) else {
            return;
        };
        let input = self.market(order.instrument).input;
        if input > 0 && order.first_input.is_none() {
            if let Some(order) = self.find_mut(id) {
                order.first_input = Some(input);
            }
            self.fresh.push(id);
        }
    }

    fn attend(&mut self, id: OrderId) {
        if self.announcement(id).is_some() && !self.attention.contains(&id) {
            self.attention.push(id);
        }
    }

    fn schedule(&mut self, at: Timestamp, id: OrderId) {
        if at > self.now && at != Timestamp::MAX {
            self.due.insert((at, id));
        }
    }

    /// Nothing is due at `at` any more for one of an order's reasons; it may be due for another, such as its
    /// arrival, which a request of the same instant shares.
    fn unschedule(&mut self, at: Timestamp, id: OrderId) {
        let is_due = self.find(id).is_some_and(|(order, _)| {
            [order.arrives, order.expires, order.expires.plus(1)].contains(&at)
                || order.cancel.is_some_and(|(due, _)| due == at)
                || order.modifies.iter().any(|(due, _)| *due == at)
        });
        if !is_due {
            self.due.remove(&(at, id));
        }
    }

    // ----- events -------------------------------------------------------------------------------

    pub fn at(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// A new order. One that is known already is not placed again.
    pub fn submit(&mut self, intent: &OrderIntent, arrives: Timestamp, expires: Timestamp) {
        if self.is_known(intent.id) {
            return;
        }
        let (id, instrument) = (intent.id, intent.instrument);
        self.places.insert(id, Place::Working(instrument));
        // A leg goes to the market with its entry: it is there when that fills.
        let entered = self.entry_of(intent.parent);
        let arrives = entered.map_or(arrives, |_| arrives.min(intent.submitted));
        let mut order = Resting::new(intent, self.input, arrives, expires);
        let joins = entered.is_some_and(|entered| match entered.moment {
            // One that looks ahead does so as every order does.
            EntryMoment::Instant => !self.look_ahead && order.order_type.has_trigger(),
            EntryMoment::Open => true,
            // Whether a target was reached after its entry is not known: it waits for the next input.
            EntryMoment::Within => order.order_type.has_trigger(),
        });
        if joins {
            order.entered = entered;
            order.first_input = Some(self.input);
        }
        let book = &mut self.books[instrument.index()];
        let expires = book.expires(&order);
        book.orders.push(order);
        self.schedule(arrives, id);
        self.schedule(expires, id);
        if arrives <= self.now && !joins {
            self.arrive(id);
        }
        self.attend(id);
    }

    pub fn request_modify(&mut self, id: OrderId, at: Timestamp, quantity: Quantity) {
        let entered = self.find(id).and_then(|(o, _)| self.entry_of(o.parent));
        let at = entered.map_or(at, |_| at.min(self.now));
        if let Some(order) = self.find_mut(id) {
            if let Some(entered) = entered.filter(|e| e.moment != EntryMoment::Open)
                && !order.order_type.has_trigger()
                && order
                    .held_to
                    .is_none_or(|(input, _)| input != entered.input)
            {
                order.held_to = Some((entered.input, order.quantity));
            }
            if let Some(replaced) = order.request(at, quantity) {
                self.unschedule(replaced, id);
            }
            self.schedule(at, id);
            self.attend(id);
        }
    }

    pub fn request_cancel(&mut self, id: OrderId, at: Timestamp, reason: Reason) {
        if let Some(order) = self.find_mut(id)
            && order.cancel.is_none()
        {
            order.cancel = Some((at, reason));
            self.schedule(at, id);
            self.attend(id);
        }
    }

    /// A step in an order's life other than those below has been recorded.
    pub fn step(&mut self, id: OrderId, ts: Timestamp, take: impl FnOnce(&mut Resting, u64)) {
        let Some(Place::Working(instrument)) = self.places.get(&id) else {
            return;
        };
        let input = self.market(*instrument).input;
        let Some(order) = self.find_mut(id) else {
            return;
        };
        order.reported = order.reported.max(ts);
        take(order, input);
        if order.open() <= Quantity::ZERO {
            self.finish(id);
        }
        self.settle();
    }

    /// An execution has been recorded.
    pub fn fill(&mut self, id: OrderId, ts: Timestamp, execution: &Execution, through: bool) {
        let (quantity, draws) = (execution.quantity, execution.draws);
        let Some(Place::Working(instrument)) = self.places.get(&id) else {
            return;
        };
        let instrument = *instrument;
        let market = if self.look_ahead {
            &self.markets[instrument.index()]
        } else {
            &self.market
        };
        let input = market.input;
        let book = &mut self.books[instrument.index()];
        let Some(order) = book.orders.iter_mut().find(|o| o.id == id) else {
            return;
        };
        self.entered = order.has_legs.then(|| Entered {
            order: id,
            input,
            moment: order.moment(market, through),
            price: execution.price,
        });
        order.reported = order.reported.max(ts);
        order.filled = Quantity::from_raw(order.filled.raw().saturating_add(quantity.raw()));
        order.executions = order.executions.saturating_add(1);
        // The second draw is made only where the fill is cut.
        if draws == order.draws.saturating_add(2) {
            order.cut_at = Some(input);
        }
        order.draws = draws;
        let (side, done, oco) = (order.side, order.open() <= Quantity::ZERO, order.oco);
        // A leg that was placed beside an older one names it, without being named by it.
        let named_by = book
            .orders
            .iter()
            .find(|o| o.oco == Some(id) && Some(o.id) != oco);
        let named_by = named_by.map(|o| o.id);
        self.market_mut(instrument).take(side, quantity);
        for other in [oco, named_by].into_iter().flatten() {
            self.give_way(other, quantity, done);
        }
        if done {
            self.finish(id);
        }
        self.settle();
    }

    /// The other leg of a pair gives way in the same instant.
    fn give_way(&mut self, id: OrderId, quantity: Quantity, done: bool) {
        let now = self.now;
        let Some(order) = self.find_mut(id) else {
            return;
        };
        if order.give_way(quantity) || done {
            let before = order.cancel.replace((now, Reason::OcoFilled));
            if let Some((at, _)) = before {
                self.unschedule(at, id);
            }
        }
        self.attend(id);
    }

    /// An order's life has ended.
    pub fn finish(&mut self, id: OrderId) {
        let Some(Place::Working(instrument)) = self.places.get(&id).copied() else {
            return;
        };
        let book = &mut self.books[instrument.index()];
        let Some(at) = book.orders.iter().position(|o| o.id == id) else {
            return;
        };
        let order = book.orders.remove(at);
        if !self.due.is_empty() {
            let ends = [order.arrives, order.expires, order.expires.plus(1)];
            let asked = order
                .modifies
                .iter()
                .map(|(at, _)| *at)
                .chain(order.cancel.map(|c| c.0));
            for due in ends.into_iter().chain(asked) {
                self.due.remove(&(due, id));
            }
        }
        self.fresh.retain(|o| *o != id);
        if order.send_by < self.now {
            self.places.remove(&id);
            return;
        }
        self.places.insert(id, Place::Finished);
        self.finished.push_back((order.send_by, id));
        if self.finished.len() > FINISHED_MAX
            && let Some((_, oldest)) = self.finished.pop_front()
        {
            self.places.remove(&oldest);
        }
    }

    /// What has been said needs no attention any more.
    pub fn settle(&mut self) {
        let mut attention = std::mem::take(&mut self.attention);
        attention.retain(|id| self.announcement(*id).is_some());
        self.attention = attention;
    }
}

/// A table by instrument is saved with its indices, so that it reads under other tables.
mod by_instrument {
    use model::InstrumentIdx;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<T, S>(table: &[T], serializer: S) -> Result<S::Ok, S::Error>
    where
        T: Serialize + Default + PartialEq,
        S: Serializer,
    {
        let empty = T::default();
        let used: Vec<(InstrumentIdx, &T)> = table
            .iter()
            .enumerate()
            .filter(|(_, row)| **row != empty)
            .map(|(at, row)| (InstrumentIdx(at as u32), row))
            .collect();
        used.serialize(serializer)
    }

    /// As long as it must be: the rest is empty.
    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
    where
        T: Deserialize<'de> + Default,
        D: Deserializer<'de>,
    {
        let mut table = Vec::new();
        for (instrument, row) in Vec::<(InstrumentIdx, T)>::deserialize(deserializer)? {
            if instrument.index() >= table.len() {
                // An index is one of a table of instruments: no byte of a snapshot asks for more.
                if instrument.index() > 1 << 24 {
                    return Err(serde::de::Error::custom("no such instrument"));
                }
                table.resize_with(instrument.index() + 1, T::default);
            }
            table[instrument.index()] = row;
        }
        Ok(table)
    }
}
