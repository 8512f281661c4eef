//! The background: orders of nobody in particular that give a book its life.

use model::fixed::ONE;
use model::signal::Side;
use model::{Price, Quantity};

use super::book::{Book, Match, Resting};
use super::rng::Rng;

/// A side keeps at least so many levels: what a depth shows.
const LEVELS_MIN: usize = 5;
/// Beyond so many levels the farthest background order goes.
const LEVELS_MAX: usize = 24;
/// Background orders of a side at most; beyond it one goes for each that comes.
const ORDERS_MAX: usize = 80;
/// The background pays at most so many ticks over the reference.
const REACH: i64 = 6;
/// No farther than so many ticks from the reference does a side begin, and none reaches so far.
const GAP_MAX: i64 = 8;
const FAR: i64 = 80;

/// One book's background.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    tick: Price,
    lot: Quantity,
    /// The side that took last: takers come in runs.
    taker: Side,
}

/// What the background sees.
pub(crate) struct Sight {
    /// The reference, in ticks.
    pub fair: i64,
    /// How lively the market is, from 0.
    pub regime: usize,
}

impl Flow {
    /// For an instrument's tick and lot.
    pub fn new(tick: Price, lot: Quantity) -> Self {
        Self {
            tick: Price::from_raw(tick.raw().max(1)),
            lot: Quantity::from_raw(lot.raw().max(1)),
            taker: Side::Buy,
        }
    }

    /// A price in whole ticks.
    pub fn ticks(&self, price: Price) -> i64 {
        price.raw() / self.tick.raw()
    }

    /// The price of so many ticks; at least one.
    pub fn price(&self, ticks: i64) -> Price {
        Price::from_raw(ticks.max(1).saturating_mul(self.tick.raw()))
    }

    fn size(&self, rng: &mut Rng) -> Quantity {
        // Mostly small, now and then a large one.
        let units = match rng.below(20) {
            0 => rng.between(100, 400),
            1..=4 => rng.between(30, 100),
            _ => rng.between(1, 30),
        };
        let quantity = Quantity::from_raw(units.saturating_mul(ONE));
        quantity.floor_to(self.lot).max(self.lot)
    }

    fn side(rng: &mut Rng) -> Side {
        if rng.one_in(2) { Side::Buy } else { Side::Sell }
    }

    /// One act. Returns whether the book changed.
    pub fn act(
        &mut self,
        rng: &mut Rng,
        sight: &Sight,
        book: &mut Book,
        next_id: &mut u64,
        matches: &mut Vec<Match>,
    ) -> bool {
        let fair = sight.fair;
        let bid = book.best(Side::Buy).map_or(0, |p| self.ticks(p));
        let ask = book.best(Side::Sell).map_or(i64::MAX, |p| self.ticks(p));
        let roll = rng.below(100);
        // Who knows better takes what stands on the wrong side of the reference.
        let wrong = if ask < fair {
            Some(Side::Buy)
        } else if bid > fair {
            Some(Side::Sell)
        } else {
            None
        };
        if let Some(side) = wrong
            && roll < 75
        {
            let size = self.size(rng);
            book.take(side, Some(self.price(fair)), size, matches);
            self.taker = side;
            return true;
        }
        if roll < 50 {
            self.place(rng, fair, (bid, ask), book, next_id);
            true
        } else if roll < 62 + 4 * sight.regime as u64 {
            let side = if rng.below(10) < 7 {
                self.taker
            } else {
                Self::side(rng)
            };
            // A run ends at the latest where the price has left the reference.
            let limit = self.price(fair + side.sign() * (REACH / 2 + rng.between(0, REACH / 2)));
            let before = matches.len();
            let size = self.size(rng);
            book.take(side, Some(limit), size, matches);
            self.taker = if rng.one_in(4) { side.opposite() } else { side };
            matches.len() > before
        } else {
            let side = Self::side(rng);
            Self::withdraw(rng, side, book)
        }
    }

    fn place(
        &self,
        rng: &mut Rng,
        fair: i64,
        (bid, ask): (i64, i64),
        book: &mut Book,
        next_id: &mut u64,
    ) {
        let side = Self::side(rng);
        let mut distance = rng.between(1, 3);
        if rng.one_in(3) {
            distance += rng.between(1, 9);
        }
        // The background never crosses by a resting order.
        let ticks = match side {
            Side::Buy => (fair - distance).min(ask.saturating_sub(1)),
            Side::Sell => (fair + distance).max(bid.saturating_add(1)),
        };
        let size = self.size(rng);
        self.rest(side, ticks, size, book, next_id);
        if book.background(side) > ORDERS_MAX {
            Self::withdraw(rng, side, book);
        }
        if book.levels(side) > LEVELS_MAX {
            Self::drop_farthest(side, book);
        }
    }

    fn rest(&self, side: Side, ticks: i64, quantity: Quantity, book: &mut Book, next_id: &mut u64) {
        if ticks < 1 {
            return;
        }
        *next_id += 1;
        let order = Resting {
            id: *next_id,
            owner: None,
            quantity,
        };
        book.rest(side, self.price(ticks), order);
    }

    fn withdraw(rng: &mut Rng, side: Side, book: &mut Book) -> bool {
        let count = book.background(side);
        let n = rng.below(count as u64) as usize;
        book.nth_background(side, n)
            .and_then(|(price, id)| book.cancel(side, price, id))
            .is_some()
    }

    fn drop_farthest(side: Side, book: &mut Book) {
        let n = match side {
            Side::Buy => 0,
            Side::Sell => book.background(side).saturating_sub(1),
        };
        if let Some((price, id)) = book.nth_background(side, n) {
            book.cancel(side, price, id);
        }
    }

    /// Sees to it that both sides begin near the reference and show five levels, whatever was taken.
    pub fn refill(&self, rng: &mut Rng, fair: i64, book: &mut Book, next_id: &mut u64) -> bool {
        let mut changed = false;
        for side in [Side::Buy, Side::Sell] {
            changed |= self.attend(rng, side, fair, book, next_id);
            while book.levels(side) < LEVELS_MIN {
                let sign = side.sign();
                // Behind the farthest level, or beside the reference, and never across the market.
                let mut ticks = match book.worst(side) {
                    Some(price) => self.ticks(price) - sign,
                    None => fair - sign,
                };
                if let Some(price) = book.best(side.opposite()) {
                    let other = self.ticks(price);
                    ticks = match side {
                        Side::Buy => ticks.min(other - 1),
                        Side::Sell => ticks.max(other + 1),
                    };
                }
                if ticks < 1 {
                    break;
                }
                let size = self.size(rng);
                self.rest(side, ticks, size, book, next_id);
                changed = true;
            }
        }
        changed
    }

    /// A side that the reference has left behind gets an order near it, and loses its farthest.
    fn attend(
        &self,
        rng: &mut Rng,
        side: Side,
        fair: i64,
        book: &mut Book,
        next_id: &mut u64,
    ) -> bool {
        let away = |price: Option<Price>| price.map(|p| (fair - self.ticks(p)) * side.sign());
        if away(book.worst(side)).is_some_and(|away| away > FAR) {
            Self::drop_farthest(side, book);
        }
        if away(book.best(side)).is_none_or(|away| away <= GAP_MAX) {
            return false;
        }
        let ticks = fair - side.sign() * rng.between(1, GAP_MAX / 2);
        let other = book.best(side.opposite()).map(|p| self.ticks(p));
        let ticks = match (side, other) {
            (Side::Buy, Some(ask)) => ticks.min(ask - 1),
            (Side::Sell, Some(bid)) => ticks.max(bid + 1),
            (_, None) => ticks,
        };
        let size = self.size(rng);
        self.rest(side, ticks, size, book, next_id);
        true
    }
}
