//! A limit order book: the better price first, at one price the earlier order first.

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, OccupiedEntry};

use model::market::Level;
use model::signal::Side;
use model::{Depth, Price, Quantity};

use super::Owner;

/// An order that rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resting {
    /// Its number, which nothing else in the book has.
    pub id: u64,
    /// Whose it is; `None` for the background.
    pub owner: Option<Owner>,
    /// How much is left of it.
    pub quantity: Quantity,
}

/// A resting order that was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// Number of the resting order.
    pub id: u64,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// The resting order's price.
    pub price: Price,
    /// How much was exchanged.
    pub quantity: Quantity,
}

#[derive(Debug, Clone, Default)]
struct Queue {
    orders: VecDeque<Resting>,
    total: i64,
}

/// Both sides.
#[derive(Debug, Clone, Default)]
pub struct Book {
    bids: BTreeMap<Price, Queue>,
    asks: BTreeMap<Price, Queue>,
    /// Background orders at rest, buyers and sellers.
    background: [usize; 2],
}

/// Whether `price` is as good as `limit`, or better, for who takes on `side`.
fn reaches(side: Side, price: Price, limit: Price) -> bool {
    match side {
        Side::Buy => price <= limit,
        Side::Sell => price >= limit,
    }
}

const fn at(side: Side) -> usize {
    match side {
        Side::Buy => 0,
        Side::Sell => 1,
    }
}

impl Book {
    fn of(&self, side: Side) -> &BTreeMap<Price, Queue> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn of_mut(&mut self, side: Side) -> &mut BTreeMap<Price, Queue> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// The level that who takes on `side` meets first.
    fn front(&mut self, side: Side) -> Option<OccupiedEntry<'_, Price, Queue>> {
        match side {
            Side::Buy => self.asks.first_entry(),
            Side::Sell => self.bids.last_entry(),
        }
    }

    /// The best price of a side.
    pub fn best(&self, side: Side) -> Option<Price> {
        match side {
            Side::Buy => self.bids.last_key_value().map(|(price, _)| *price),
            Side::Sell => self.asks.first_key_value().map(|(price, _)| *price),
        }
    }

    /// The price farthest from the market of a side.
    pub fn worst(&self, side: Side) -> Option<Price> {
        match side {
            Side::Buy => self.bids.first_key_value().map(|(price, _)| *price),
            Side::Sell => self.asks.last_key_value().map(|(price, _)| *price),
        }
    }

    /// Price levels of a side.
    pub fn levels(&self, side: Side) -> usize {
        self.of(side).len()
    }

    /// Background orders of a side.
    pub const fn background(&self, side: Side) -> usize {
        self.background[at(side)]
    }

    /// Quantity that an order on `side` could take at `limit` or better.
    pub fn available(&self, side: Side, limit: Option<Price>) -> Quantity {
        let total = self
            .of(side.opposite())
            .iter()
            .filter(|(price, _)| limit.is_none_or(|limit| reaches(side, **price, limit)))
            .fold(0i64, |sum, (_, queue)| sum.saturating_add(queue.total));
        Quantity::from_raw(total)
    }

    /// Takes up to `quantity` from the other side at `limit` or better; returns what is left.
    pub fn take(
        &mut self,
        side: Side,
        limit: Option<Price>,
        quantity: Quantity,
        matches: &mut Vec<Match>,
    ) -> Quantity {
        let mut left = quantity.raw();
        let mut gone = 0;
        while left > 0 {
            let Some(mut level) = self.front(side) else {
                break;
            };
            let price = *level.key();
            if limit.is_some_and(|limit| !reaches(side, price, limit)) {
                break;
            }
            let queue = level.get_mut();
            while left > 0
                && let Some(first) = queue.orders.front_mut()
            {
                let taken = first.quantity.raw().min(left);
                left -= taken;
                queue.total -= taken;
                first.quantity = Quantity::from_raw(first.quantity.raw() - taken);
                matches.push(Match {
                    id: first.id,
                    owner: first.owner,
                    price,
                    quantity: Quantity::from_raw(taken),
                });
                if first.quantity.is_zero() {
                    gone += usize::from(first.owner.is_none());
                    queue.orders.pop_front();
                }
            }
            if queue.orders.is_empty() {
                level.remove();
            }
        }
        self.background[at(side.opposite())] -= gone;
        Quantity::from_raw(left)
    }

    /// Puts an order behind those that rest at its price. It must not cross: take first.
    pub fn rest(&mut self, side: Side, price: Price, order: Resting) {
        let queue = self.of_mut(side).entry(price).or_default();
        queue.total = queue.total.saturating_add(order.quantity.raw());
        queue.orders.push_back(order);
        self.background[at(side)] += usize::from(order.owner.is_none());
    }

    /// Takes an order out; what was left of it.
    pub fn cancel(&mut self, side: Side, price: Price, id: u64) -> Option<Quantity> {
        let queue = self.of_mut(side).get_mut(&price)?;
        let place = queue.orders.iter().position(|o| o.id == id)?;
        let order = queue.orders.remove(place)?;
        queue.total -= order.quantity.raw();
        if queue.orders.is_empty() {
            self.of_mut(side).remove(&price);
        }
        self.background[at(side)] -= usize::from(order.owner.is_none());
        Some(order.quantity)
    }

    /// Lowers what is left of an order, which keeps its place.
    pub fn reduce(&mut self, side: Side, price: Price, id: u64, to: Quantity) -> bool {
        let Some(queue) = self.of_mut(side).get_mut(&price) else {
            return false;
        };
        match queue.orders.iter_mut().find(|o| o.id == id) {
            Some(order) if to > Quantity::ZERO && to <= order.quantity => {
                queue.total -= order.quantity.raw() - to.raw();
                order.quantity = to;
                true
            }
            _ => false,
        }
    }

    /// The `n`-th background order of a side, counted from the lowest price.
    pub fn nth_background(&self, side: Side, n: usize) -> Option<(Price, u64)> {
        self.of(side)
            .iter()
            .flat_map(|(price, queue)| queue.orders.iter().map(move |order| (*price, order)))
            .filter(|(_, order)| order.owner.is_none())
            .nth(n)
            .map(|(price, order)| (price, order.id))
    }

    /// Five levels a side.
    pub fn depth(&self) -> Depth {
        let mut depth = Depth::default();
        let level = |(price, queue): (&Price, &Queue)| Level {
            price: *price,
            quantity: Quantity::from_raw(queue.total),
            orders: queue.orders.len() as u32,
        };
        for (slot, entry) in depth.bids.iter_mut().zip(self.bids.iter().rev()) {
            *slot = level(entry);
        }
        for (slot, entry) in depth.asks.iter_mut().zip(self.asks.iter()) {
            *slot = level(entry);
        }
        depth
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn orders(book: &Book, side: Side) -> Vec<(Price, u64, i64)> {
        let all = book.of(side).iter();
        all.flat_map(|(p, q)| q.orders.iter().map(|o| (*p, o.id, o.quantity.raw())))
            .collect()
    }

    proptest! {
        #[test]
        fn a_book_never_crosses_loses_nothing_and_keeps_the_order(
            steps in prop::collection::vec((0u8..4, any::<bool>(), 1i64..20, 1i64..30), 1..200)
        ) {
            let mut book = Book::default();
            let (mut rested, mut exchanged, mut withdrawn) = (0i64, 0i64, 0i64);
            for (id, (what, buys, price, quantity)) in steps.into_iter().enumerate() {
                let side = if buys { Side::Buy } else { Side::Sell };
                let price = Price::from_raw(price);
                let mut matches = Vec::new();
                match what {
                    0 | 1 => {
                        let asked = Quantity::from_raw(quantity);
                        let before = orders(&book, side.opposite());
                        let left = book.take(side, Some(price), asked, &mut matches);
                        let taken: i64 = matches.iter().map(|m| m.quantity.raw()).sum();
                        prop_assert_eq!(taken + left.raw(), quantity);
                        exchanged += taken;
                        // Price, then time: the ids at one price rise, and no better price was passed over.
                        for pair in matches.windows(2) {
                            prop_assert!(!reaches(side, pair[1].price, pair[0].price) || pair[1].price == pair[0].price);
                            let place = |m: &Match| before.iter().position(|o| o.1 == m.id);
                            prop_assert!(pair[0].price != pair[1].price || place(&pair[0]) < place(&pair[1]));
                        }
                        if left > Quantity::ZERO {
                            rested += left.raw();
                            let owner = (id % 3 == 0).then_some(Owner(id as u64));
                            book.rest(side, price, Resting { id: id as u64, owner, quantity: left });
                        }
                    }
                    2 => {
                        if let Some(n) = (book.background(side) as i64 - 1).checked_rem(quantity)
                            && let Some((price, id)) = book.nth_background(side, n.max(0) as usize)
                        {
                            withdrawn += book.cancel(side, price, id).unwrap().raw();
                        }
                    }
                    _ => {
                        let before: i64 = orders(&book, side).iter().map(|o| o.2).sum();
                        if let Some((price, id, quantity)) = orders(&book, side).pop() {
                            book.reduce(side, price, id, Quantity::from_raw((quantity / 2).max(1)));
                        }
                        let after: i64 = orders(&book, side).iter().map(|o| o.2).sum();
                        withdrawn += before - after;
                    }
                }
                if let (Some(bid), Some(ask)) = (book.best(Side::Buy), book.best(Side::Sell)) {
                    prop_assert!(bid < ask);
                }
                let all = [Side::Buy, Side::Sell].map(|side| orders(&book, side));
                let resting: i64 = all.iter().flatten().map(|o| o.2).sum();
                prop_assert_eq!(resting, rested - exchanged - withdrawn);
                for side in [Side::Buy, Side::Sell] {
                    prop_assert_eq!(
                        book.available(side.opposite(), None).raw(),
                        orders(&book, side).iter().map(|o| o.2).sum::<i64>()
                    );
                    let mine = book.of(side).values().flat_map(|q| &q.orders);
                    prop_assert_eq!(mine.filter(|o| o.owner.is_none()).count(), book.background(side));
                }
            }
        }
    }
}
