//! The market: books with background flow, and clients' orders in them. Time and seed come in; the same
//! seed and the same orders at the same instants give the same market, however its time is sliced.

mod book;
mod flow;
mod listing;
mod reference;
mod rng;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use model::fixed::ONE;
use model::order::OrderIntent;
use model::reason::Reason;
use model::signal::{OrderType, Side, Validity};
use model::time::{DAY, MINUTE, SECOND};
use model::{InstrumentIdx, Instruments, Price, Quantity, Timestamp};

pub use book::{Book, Match, Resting};
pub use listing::Quote;

use listing::Listing;
use reference::Factor;
use rng::Rng;

/// A client's order, as its client knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub u64);

/// What became of a client's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Happened {
    /// Which order.
    pub owner: Owner,
    /// What.
    pub what: OrderEvent,
}

/// The kinds of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderEvent {
    /// Its trigger has traded.
    Triggered,
    /// A part or all of it was exchanged.
    Filled {
        /// How much.
        quantity: Quantity,
        /// At what price.
        price: Price,
    },
    /// What was left of it was withdrawn.
    Cancelled(Reason),
    /// Its time ran out.
    Expired(Reason),
}

/// First prices, in the order of the listings.
const FIRST: [i64; 5] = [2_450, 1_520, 840, 465, 3_120];
/// How much of the factor each takes.
const BETA: [f64; 5] = [1.0, 1.2, 0.9, 1.1, 0.8];

/// Quotes that clients' orders cause and nobody has taken yet, at most.
const QUOTES_MAX: usize = 1 << 16;

#[derive(Debug, Clone, Copy)]
struct Working {
    listing: usize,
    side: Side,
    order_type: OrderType,
    validity: Validity,
    left: Quantity,
    limit: Option<Price>,
    trigger: Option<Price>,
    expires: Timestamp,
    /// Its number in the book, while it rests.
    resting: Option<u64>,
}

/// All instruments together.
#[derive(Debug, Clone)]
pub struct Market {
    rng: Rng,
    factor: Factor,
    listings: Vec<Listing>,
    places: BTreeMap<InstrumentIdx, usize>,
    /// Mean pause between two acts of the background, in nanoseconds.
    pause: i64,
    clock: Option<Timestamp>,
    next_act: Timestamp,
    next_id: u64,
    working: BTreeMap<Owner, Working>,
    /// Stop orders that wait, by listing.
    stops: Vec<BTreeSet<Owner>>,
    expiries: BTreeSet<(Timestamp, Owner)>,
    happened: Vec<Happened>,
    quotes: Vec<Quote>,
    matches: Vec<Match>,
}

/// The end of the trading day that holds an instant: 06:00 in India.
pub(crate) fn day_end(at: Timestamp) -> Timestamp {
    let day = at.nanos().saturating_sub(30 * MINUTE).div_euclid(DAY);
    Timestamp(day.saturating_add(1).saturating_mul(DAY)).plus(30 * MINUTE)
}

impl Market {
    /// Of the instruments of this exchange among `instruments`, each changing so often a second. Time
    /// begins with [`resume`](Self::resume) or the first [`advance`](Self::advance).
    pub fn new(seed: u64, changes_per_second: u32, instruments: &Instruments) -> Self {
        let mut listings = Vec::new();
        let mut places = BTreeMap::new();
        let ours = instruments
            .iter()
            .filter(|(_, i)| i.exchange == crate::EXCHANGE);
        for (n, (index, instrument)) in ours.enumerate() {
            let units = FIRST.get(n).copied().unwrap_or(1_000);
            let first = Price::from_raw(units.saturating_mul(ONE));
            let beta = BETA.get(n).copied().unwrap_or(1.0);
            let rules = (instrument.tick_size, instrument.lot_size);
            places.insert(index, listings.len());
            listings.push(Listing::new(index, rules, first, beta));
        }
        let rate =
            u64::from(changes_per_second.max(1)).saturating_mul(listings.len().max(1) as u64);
        Self {
            rng: Rng::new(seed),
            factor: Factor::new(rate),
            stops: vec![BTreeSet::new(); listings.len()],
            listings,
            places,
            pause: (SECOND / rate.min(SECOND as u64) as i64).max(1),
            clock: None,
            next_act: Timestamp::MAX,
            next_id: 0,
            working: BTreeMap::new(),
            expiries: BTreeSet::new(),
            happened: Vec::new(),
            quotes: Vec::new(),
            matches: Vec::new(),
        }
    }

    /// Its time, once it has begun.
    pub const fn now(&self) -> Option<Timestamp> {
        self.clock
    }

    /// Whether it trades an instrument.
    pub fn lists(&self, instrument: InstrumentIdx) -> bool {
        self.places.contains_key(&instrument)
    }

    /// Begins at an instant, from the last known prices; what is not named begins at its first price.
    /// Nothing happens where it has begun.
    pub fn resume(&mut self, now: Timestamp, last: &[(InstrumentIdx, Price)]) {
        if self.clock.is_some() {
            return;
        }
        for (instrument, price) in last {
            if let Some(at) = self.places.get(instrument)
                && let Some(listing) = self.listings.get_mut(*at)
                && price.in_window().is_ok()
            {
                listing.resume(*price);
            }
        }
        self.begin(now);
    }

    fn begin(&mut self, now: Timestamp) {
        if self.clock.is_some() {
            return;
        }
        self.clock = Some(now);
        self.next_act = now;
        for listing in &mut self.listings {
            listing.refill(&mut self.rng, &mut self.next_id);
            // A few more, so that the first depth does not look combed.
            for _ in 0..40 {
                let (rng, id) = (&mut self.rng, &mut self.next_id);
                self.matches.clear();
                listing.act(rng, 0, id, &mut self.matches);
                listing.traded(&self.matches);
            }
            self.quotes.push(listing.quote(now));
        }
    }

    /// Lets time pass up to and including `to`; what was to be seen is added to `out`.
    pub fn advance(&mut self, to: Timestamp, out: &mut Vec<Quote>) {
        self.begin(to);
        while self.next_act <= to && !self.listings.is_empty() {
            let now = self.next_act;
            self.clock = Some(now);
            self.expire(now);
            self.act(now);
            // Between 0.2 and 1.8 times the pause, shorter in lively times.
            let share = self.rng.between(200, 1_800) / (1 + self.factor.regime() as i64 / 2);
            let pause = self.pause.saturating_mul(share) / 1_000;
            self.next_act = now.plus(pause.max(1));
        }
        self.clock = self.clock.max(Some(to));
        self.expire(to);
        out.append(&mut self.quotes);
    }

    /// Goes on at an instant as if nothing could have been traded before it: orders expire, and no more.
    pub fn skip(&mut self, to: Timestamp) {
        self.begin(to);
        self.clock = self.clock.max(Some(to));
        self.next_act = self.next_act.max(to);
        self.expire(to);
    }

    /// Takes what became of clients' orders since the last call, oldest first.
    pub fn take_happened(&mut self, into: &mut Vec<Happened>) {
        into.append(&mut self.happened);
    }

    fn act(&mut self, now: Timestamp) {
        self.factor.step(
            &mut self.rng,
            self.listings.iter_mut().map(|l| &mut l.reference),
        );
        let at = self.rng.below(self.listings.len() as u64) as usize;
        let regime = self.factor.regime();
        let Some(listing) = self.listings.get_mut(at) else {
            return;
        };
        self.matches.clear();
        let (rng, id) = (&mut self.rng, &mut self.next_id);
        let seen = listing.act(rng, regime, id, &mut self.matches);
        self.settle(at, None);
        if !self.matches.is_empty() {
            self.trigger(at);
        }
        if seen {
            self.show(at, now);
        }
    }

    fn show(&mut self, at: usize, now: Timestamp) {
        if let Some(listing) = self.listings.get_mut(at) {
            self.quotes.push(listing.quote(now));
        }
    }

    /// Books `matches`: for who took (`taker`), and for whoever rested.
    fn settle(&mut self, at: usize, taker: Option<Owner>) {
        let matches = std::mem::take(&mut self.matches);
        if let Some(listing) = self.listings.get_mut(at) {
            listing.traded(&matches);
        }
        for one in &matches {
            for owner in [taker, one.owner].into_iter().flatten() {
                self.fill(owner, one);
            }
        }
        self.matches = matches;
    }

    fn fill(&mut self, owner: Owner, one: &Match) {
        if let Some(order) = self.working.get_mut(&owner) {
            order.left = Quantity::from_raw(order.left.raw() - one.quantity.raw());
            let done = order.left.is_zero();
            self.tell(
                owner,
                OrderEvent::Filled {
                    quantity: one.quantity,
                    price: one.price,
                },
            );
            if done {
                self.forget(owner);
            }
        }
    }

    fn tell(&mut self, owner: Owner, what: OrderEvent) {
        self.happened.push(Happened { owner, what });
    }

    fn forget(&mut self, owner: Owner) -> Option<Working> {
        let order = self.working.remove(&owner)?;
        self.expiries.remove(&(order.expires, owner));
        if let Some(stops) = self.stops.get_mut(order.listing) {
            stops.remove(&owner);
        }
        Some(order)
    }

    /// Stops whose trigger has traded enter the market, in the order of their numbers.
    fn trigger(&mut self, at: usize) {
        loop {
            let Some(last) = self.listings.get(at).map(|l| l.last) else {
                return;
            };
            let reached = |owner: &Owner| {
                self.working.get(owner).is_some_and(|order| {
                    order.trigger.is_some_and(|trigger| match order.side {
                        Side::Buy => last >= trigger,
                        Side::Sell => last <= trigger,
                    })
                })
            };
            let Some(owner) = self
                .stops
                .get(at)
                .and_then(|stops| stops.iter().copied().find(reached))
            else {
                return;
            };
            if let Some(stops) = self.stops.get_mut(at) {
                stops.remove(&owner);
            }
            self.tell(owner, OrderEvent::Triggered);
            self.enter(owner);
        }
    }

    /// An order meets its market: it takes what it may, and rests or ends.
    fn enter(&mut self, owner: Owner) {
        let Some(order) = self.working.get(&owner).copied() else {
            return;
        };
        let Some(listing) = self.listings.get_mut(order.listing) else {
            return;
        };
        let available = listing.book.available(order.side, order.limit);
        if order.validity == Validity::Fok && available < order.left {
            self.forget(owner);
            self.tell(owner, OrderEvent::Cancelled(Reason::NotFilledAtOnce));
            return;
        }
        self.matches.clear();
        let left = listing
            .book
            .take(order.side, order.limit, order.left, &mut self.matches);
        match (order.limit, order.validity) {
            _ if left.is_zero() => {}
            (Some(price), Validity::Day | Validity::Gtd(_)) => {
                self.next_id += 1;
                let id = self.next_id;
                let resting = Resting {
                    id,
                    owner: Some(owner),
                    quantity: left,
                };
                listing.book.rest(order.side, price, resting);
                if let Some(order) = self.working.get_mut(&owner) {
                    order.resting = Some(id);
                }
            }
            _ => {
                // Taken is booked first, as the order must still be known for it.
                let matches = std::mem::take(&mut self.matches);
                for one in &matches {
                    self.fill(owner, one);
                }
                self.forget(owner);
                self.tell(owner, OrderEvent::Cancelled(Reason::ImmediateRemainder));
                self.matches = matches;
            }
        }
        self.settle(order.listing, Some(owner));
    }

    /// Places a client's order now. What becomes of it is in [`take_happened`](Self::take_happened).
    pub fn place(&mut self, owner: Owner, intent: &OrderIntent) -> Result<(), Reason> {
        let now = self.clock.ok_or(Reason::SessionClosed)?;
        let listing = *self
            .places
            .get(&intent.instrument)
            .ok_or(Reason::InstrumentDenied)?;
        let expires = match intent.validity {
            Validity::Gtd(until) => until,
            Validity::Day => day_end(now),
            Validity::Ioc | Validity::Fok => Timestamp::MAX,
        };
        let has_limit = intent.order_type.has_limit();
        let order = Working {
            listing,
            side: intent.side,
            order_type: intent.order_type,
            validity: intent.validity,
            left: intent.quantity,
            limit: intent.limit_price.filter(|_| has_limit),
            trigger: intent.trigger_price,
            expires,
            resting: None,
        };
        self.working.insert(owner, order);
        self.expiries.insert((expires, owner));
        if order.order_type.has_trigger() {
            if let Some(stops) = self.stops.get_mut(listing) {
                stops.insert(owner);
            }
        } else {
            self.enter(owner);
        }
        self.trigger(listing);
        self.after(listing, now);
        Ok(())
    }

    /// The book is filled up and shown after a client changed it.
    fn after(&mut self, at: usize, now: Timestamp) {
        if let Some(listing) = self.listings.get_mut(at) {
            listing.refill(&mut self.rng, &mut self.next_id);
        }
        // Where nobody looks, the next look shows what matters.
        if self.quotes.len() < QUOTES_MAX {
            self.show(at, now);
        }
    }

    fn withdraw(&mut self, owner: Owner) -> Option<usize> {
        let order = self.forget(owner)?;
        if let (Some(id), Some(price), Some(listing)) = (
            order.resting,
            order.limit,
            self.listings.get_mut(order.listing),
        ) {
            listing.book.cancel(order.side, price, id);
        }
        Some(order.listing)
    }

    /// Withdraws what is left of a client's order. False where nothing of it works.
    pub fn cancel(&mut self, owner: Owner, reason: Reason) -> bool {
        let Some(at) = self.withdraw(owner) else {
            return false;
        };
        self.tell(owner, OrderEvent::Cancelled(reason));
        if let Some(now) = self.clock {
            self.after(at, now);
        }
        true
    }

    /// Changes what is left of a client's order. It keeps its place only where nothing but its quantity
    /// falls. False where nothing of it works.
    pub fn modify(
        &mut self,
        owner: Owner,
        left: Quantity,
        limit: Option<Price>,
        trigger: Option<Price>,
    ) -> bool {
        let Some(order) = self.working.get_mut(&owner) else {
            return false;
        };
        let before = *order;
        order.left = left;
        if before.order_type.has_limit() {
            order.limit = limit.or(before.limit);
        }
        order.trigger = trigger.or(before.trigger);
        let (at, changed) = (before.listing, order.limit != before.limit);
        if let (Some(id), Some(price)) = (before.resting, before.limit) {
            let Some(listing) = self.listings.get_mut(at) else {
                return false;
            };
            let kept = !changed && listing.book.reduce(before.side, price, id, left);
            if !kept {
                listing.book.cancel(before.side, price, id);
                order.resting = None;
                self.enter(owner);
            }
        }
        self.trigger(at);
        if let Some(now) = self.clock {
            self.after(at, now);
        }
        true
    }

    fn expire(&mut self, now: Timestamp) {
        while let Some(&(due, owner)) = self.expiries.first() {
            if due > now {
                return;
            }
            let day = self
                .working
                .get(&owner)
                .is_some_and(|o| o.validity == Validity::Day);
            self.expiries.remove(&(due, owner));
            if self.withdraw(owner).is_some() {
                let reason = if day {
                    Reason::SessionEnd
                } else {
                    Reason::GoodTillReached
                };
                self.tell(owner, OrderEvent::Expired(reason));
            }
        }
    }
}
