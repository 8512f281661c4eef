//! Brackets: which protective orders a position should have, against those that it has.

use model::order::{OrderRole, OrderStatus};
use model::{OrderId, Quantity};

use super::{Engine, Pair};
use crate::portfolio::PositionKey;

/// One step that brings protection in line with the position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Protection {
    /// Place the legs of this pair over this quantity.
    Place(Pair, Quantity),
    /// Change a leg's total quantity.
    Resize(OrderId, Quantity),
    /// Cancel a leg: there is nothing left for it to protect.
    Cancel(OrderId),
}

impl Engine {
    /// The next step for a position of `quantity`; `None` when all is as it should be. Taken and
    /// recorded one at a time, until there is none.
    pub fn next_protection(&self, key: &PositionKey, quantity: Quantity) -> Option<Protection> {
        // While a signal or a square-off waits for the legs to be gone, none is placed.
        let book = self.books.get(key).filter(|b| {
            !b.pairs.is_empty() && b.deferred.is_none() && b.closing.is_none()
        })?;
        // What an order in flight is about to close needs no protection any more.
        let closing = if quantity.signum() * book.in_flight.signum() < 0 {
            book.in_flight.abs()
        } else {
            Quantity::ZERO
        };
        let mut left = Quantity::from_raw((quantity.abs().raw() - closing.raw()).max(0));
        // Newest first: an exit closes what was opened last, and older stops stay in place.
        for pair in book.pairs.iter().rev() {
            let covers = if quantity.signum() == pair.side.sign() { left } else { Quantity::ZERO };
            let open = pair.entered.raw().saturating_sub(pair.exited.raw()).max(0);
            let want = Quantity::from_raw(open.min(covers.raw()));
            left = Quantity::from_raw(left.raw() - want.raw());
            let legs = [pair.stop_loss, pair.take_profit];
            // Legs that were cancelled when the position was gone are placed anew when the entry
            // fills further; legs that the broker refused are not: that has raised an alert.
            let gone = legs.into_iter().flatten().all(|id| {
                self.order(id).is_some_and(|o| o.status() == OrderStatus::Cancelled)
            });
            if gone && want > Quantity::ZERO {
                return Some(Protection::Place(*pair, want));
            }
            for id in legs.into_iter().flatten() {
                let Some(working) = self.orders.get(&id) else { continue };
                let order = &working.order;
                if order.cancel_requested() {
                    continue;
                }
                if want.is_zero() {
                    // A pair whose entry may still fill keeps its place with no legs of size zero.
                    return Some(Protection::Cancel(id));
                }
                let total = Quantity::from_raw(order.filled().raw() + want.raw());
                if working.requested != total {
                    return Some(Protection::Resize(id, total));
                }
            }
        }
        None
    }

    /// Whether a position has a stop order at the broker.
    pub fn is_protected(&self, key: &PositionKey) -> bool {
        self.books.get(key).is_some_and(|book| {
            book.working.iter().any(|id| {
                self.orders.get(id).is_some_and(|w| {
                    w.order.intent().role == OrderRole::StopLoss && !w.order.cancel_requested()
                })
            })
        })
    }
}
