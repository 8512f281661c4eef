//! Brackets: which protective orders a position should have, against those that it has.

use model::{OrderId, Quantity};

use super::{Book, Engine, Pair};
use crate::portfolio::PositionKey;

/// One step that brings protection in line with the position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Protection {
    /// Place the missing legs of this pair over this quantity: the stop, the limit.
    Place(Pair, Quantity, bool, bool),
    /// Change a leg's total quantity.
    Resize(OrderId, Quantity),
    /// Cancel a leg: there is nothing left for it to protect.
    Cancel(OrderId),
}

impl Engine {
    /// The next step for a position of `quantity`; `None` when all is as it should be. Taken and
    /// recorded one at a time, until there is none. Legs are only placed while `open`: while the
    /// market can take them.
    pub fn next_protection(
        &self,
        key: &PositionKey,
        quantity: Quantity,
        open: bool,
    ) -> Option<Protection> {
        // While a signal or a square-off waits for the legs to be gone, none is placed.
        let book = self
            .book(key)
            .filter(|b| !b.pairs.is_empty() && b.deferred.is_none() && b.closing.is_none())?;
        // What another order is about to close needs no leg: both would execute.
        let covered = quantity.abs().raw() - self.closing_quantity(book, quantity).raw();
        let mut left = Quantity::from_raw(covered.max(0));
        // Legs of all pairs that may still execute, whatever has been asked of them: a leg is placed
        // or grows only as far as these leave the position uncovered.
        let live: i64 = book
            .pairs
            .iter()
            .map(|p| self.live_quantity(p))
            .fold(0, i64::saturating_add);
        // Newest first: an exit closes what was opened last, and older stops stay in place.
        for pair in book.pairs.iter().rev() {
            let covers = if quantity.signum() == pair.side.sign() {
                left
            } else {
                Quantity::ZERO
            };
            let held = pair.entered.raw().saturating_sub(pair.exited.raw()).max(0);
            let want = Quantity::from_raw(held.min(covers.raw()));
            left = Quantity::from_raw(left.raw() - want.raw());
            let others = live - self.live_quantity(pair);
            let allowed = Quantity::from_raw((covered - others).clamp(0, want.raw()));
            for id in [pair.stop_loss, pair.take_profit].into_iter().flatten() {
                let Some(working) = self.orders.get(&id) else {
                    continue;
                };
                let order = &working.order;
                if order.cancel_requested() {
                    continue;
                }
                if want.is_zero() {
                    return Some(Protection::Cancel(id));
                }
                let total = Quantity::from_raw(order.filled().raw() + want.raw());
                let possible = Quantity::from_raw(order.filled().raw() + allowed.raw());
                if total < working.requested {
                    return Some(Protection::Resize(id, total));
                }
                if possible > working.requested {
                    return Some(Protection::Resize(id, possible));
                }
            }
            if allowed > Quantity::ZERO && open {
                let (stop, limit) = (pair.stop_loss, pair.take_profit);
                let (has_stop, has_limit) = (
                    pair.bracket.stop_loss.is_some(),
                    pair.bracket.take_profit.is_some(),
                );
                let stop = has_stop && self.is_missing(stop) && !self.is_giving_way(stop, limit);
                let limit = has_limit
                    && self.is_missing(limit)
                    && !self.is_giving_way(limit, pair.stop_loss);
                if stop || limit {
                    return Some(Protection::Place(*pair, allowed, stop, limit));
                }
            }
        }
        None
    }

    /// Whether a leg has executed and the other still works: that one is about to be cancelled or
    /// cut, and new legs are placed as a pair when it is.
    fn is_giving_way(&self, leg: Option<OrderId>, other: Option<OrderId>) -> bool {
        let executed = leg
            .and_then(|id| self.order(id))
            .is_some_and(|o| !o.filled().is_zero());
        executed && other.is_some_and(|id| self.orders.contains_key(&id))
    }

    /// How much of a position a pair's legs may still close: they exclude each other.
    fn live_quantity(&self, pair: &Pair) -> i64 {
        let open = |leg: Option<OrderId>| {
            leg.and_then(|id| self.orders.get(&id))
                .map_or(0, |w| w.order.open_quantity().raw())
        };
        open(pair.stop_loss).max(open(pair.take_profit))
    }

    /// Whether a leg was never placed, or has ended otherwise than by the broker's refusal: that
    /// one has raised an alert and is not tried again.
    fn is_missing(&self, leg: Option<OrderId>) -> bool {
        leg.is_none_or(|id| !self.orders.contains_key(&id) && !self.was_refused(id))
    }

    /// What orders other than protective legs are about to close of a position.
    pub(super) fn closing_quantity(&self, book: &Book, position: Quantity) -> Quantity {
        let closing = book
            .working
            .iter()
            .filter_map(|id| self.orders.get(id))
            .map(|working| {
                let intent = working.order.intent();
                if intent.role.is_protective() || intent.side.sign() == position.signum() {
                    return 0;
                }
                // A reversal's first part closes.
                let closes = intent.quantity.raw() - intent.increase.raw();
                let left = closes - working.order.filled().raw();
                left.clamp(0, working.order.open_quantity().raw())
            });
        Quantity::from_raw(closing.fold(0i64, i64::saturating_add))
    }
}
