//! What a signal comes to, given the position and what works in the market.

use model::fixed::NumberError;
use model::order::Order;
use model::signal::{Action, OrderType, Side, Signal};
use model::{OrderId, Quantity};

use super::{Book, Engine, key_of};

/// The order that a signal comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Buy or sell.
    pub side: Side,
    /// The whole order; zero: nothing to send.
    pub quantity: Quantity,
    /// The part of it that opens or adds.
    pub increase: Quantity,
    /// The wanted position, of a target.
    pub target: Option<Quantity>,
    /// Working orders stand in the way and have to be cancelled first.
    pub blocked: bool,
    /// The order closes the position to zero.
    pub closes_all: bool,
}

impl Engine {
    /// Resolves a signal against the position and the working orders.
    ///
    /// Market orders in flight count as done. Resting orders of the position stand in the way of a
    /// target or a closing exit, unless together with them the target is met by orders just like the
    /// one that is asked for. Protective legs stand in the way of whatever reduces the position: both
    /// could execute. What stands in the way is cancelled, and the signal is resolved anew when it is
    /// gone.
    pub fn plan(&self, signal: &Signal, position: Quantity) -> Result<Plan, NumberError> {
        let book = self.book(&key_of(signal));
        let (in_flight, resting, resting_orders) = book
            .map_or((Quantity::ZERO, Quantity::ZERO, 0), |b| {
                (b.in_flight, b.resting, b.resting_orders)
            });
        let base = position.checked_add(in_flight)?;
        // What resting orders are about to close cannot be closed once more.
        let claimed = match signal.decision.action {
            Action::Exit { quantity: None } | Action::Target { .. } => 0,
            Action::Exit { .. } | Action::Enter { .. } => {
                book.map_or(0, |b| self.resting_close(b, base).raw())
            }
        };
        let free = (base.abs().raw() - claimed).max(0);
        let (delta, target) = match signal.decision.action {
            Action::Enter { side, quantity } => (side.signed(quantity), None),
            Action::Exit { quantity } => {
                let wanted = quantity.map_or(free, |q| q.raw().clamp(0, free));
                let part = Quantity::from_raw(wanted);
                (Side::of(base).opposite().signed(part), None)
            }
            Action::Target { quantity } => (quantity.checked_sub(base)?, Some(quantity)),
        };
        let blocked = resting_orders > 0
            && match signal.decision.action {
                Action::Enter { .. } => false,
                Action::Exit { quantity } => quantity.is_none(),
                Action::Target { quantity } => {
                    let met = base.checked_add(resting)? == quantity;
                    !(met && self.all_alike(signal))
                }
            };
        let delta = match signal.decision.action {
            Action::Target { .. } if resting_orders > 0 && !blocked => Quantity::ZERO,
            _ => delta,
        };
        let reduce = if base.signum() * delta.signum() < 0 {
            Quantity::from_raw(free.min(delta.abs().raw()))
        } else {
            Quantity::ZERO
        };
        let blocked = blocked || (!reduce.is_zero() && self.protective(signal).next().is_some());
        Ok(Plan {
            side: Side::of(delta),
            quantity: delta.abs(),
            increase: delta.abs().checked_sub(reduce)?,
            target,
            blocked,
            closes_all: reduce == base.abs() && !reduce.is_zero(),
        })
    }

    /// What resting orders are about to close of a position; orders in flight are in it already.
    fn resting_close(&self, book: &Book, position: Quantity) -> Quantity {
        if book.resting_orders == 0 {
            return Quantity::ZERO;
        }
        let resting = book
            .working
            .iter()
            .filter_map(|id| self.orders.get(id))
            .filter(|w| {
                let intent = w.order.intent();
                !intent.role.is_protective()
                    && intent.order_type != OrderType::Market
                    && intent.side.sign() != position.signum()
            });
        let sum = resting.fold(0i64, |sum, working| {
            let intent = working.order.intent();
            let closes = intent.quantity.raw() - intent.increase.raw();
            sum.saturating_add((closes - working.order.filled().raw()).max(0))
        });
        Quantity::from_raw(sum)
    }

    /// Whether every resting order of the signal's position is what the signal would send.
    fn all_alike(&self, signal: &Signal) -> bool {
        let d = &signal.decision;
        self.resting(signal).all(|id| {
            self.orders.get(&id).is_some_and(|w| {
                let i = w.order.intent();
                i.order_type == d.order_type
                    && w.order.limit_price() == d.limit_price
                    && w.order.trigger_price() == d.trigger_price
                    && i.validity == d.validity
                    && !w.order.cancel_requested()
            })
        })
    }

    /// The working orders of a signal's position for which `wanted` holds.
    fn working_where<'a>(
        &'a self,
        signal: &Signal,
        wanted: impl Fn(&Order) -> bool + 'a,
    ) -> impl Iterator<Item = OrderId> + 'a {
        let working = self
            .book(&key_of(signal))
            .map_or(&[][..], |b| b.working.as_slice());
        let is_wanted = move |id: &OrderId| self.orders.get(id).is_some_and(|w| wanted(&w.order));
        working.iter().copied().filter(is_wanted)
    }

    /// The resting orders of a signal's position that are not protective.
    pub fn resting<'a>(&'a self, signal: &Signal) -> impl Iterator<Item = OrderId> + 'a {
        self.working_where(signal, |order| {
            let intent = order.intent();
            !intent.role.is_protective() && intent.order_type != OrderType::Market
        })
    }

    /// The protective legs of a signal's position.
    pub fn protective<'a>(&'a self, signal: &Signal) -> impl Iterator<Item = OrderId> + 'a {
        self.working_where(signal, |order| order.intent().role.is_protective())
    }

    /// Whether orders of a signal's position are still to be cancelled.
    pub fn is_cancelling(&self, signal: &Signal) -> bool {
        self.working_where(signal, Order::cancel_requested)
            .next()
            .is_some()
    }
}
