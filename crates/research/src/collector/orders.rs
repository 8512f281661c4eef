//! `orders.csv`, one row per order when its life has ended, and `fills.csv`, one per execution.

use std::collections::{HashMap, VecDeque};
use std::path::Path;

use model::event::OrderStep;
use model::money::Multiplier;
use model::order::{Order, OrderChange, OrderIntent, OrderStatus};
use model::reason::Reason;
use model::{Amount, OrderId, Timestamp};

use super::files::Table;
use crate::error::OutputError;
use crate::log_hash::Names;

const ORDERS: &[&str] = &[
    "submitted",
    "broker",
    "order_id",
    "strategy",
    "instrument",
    "side",
    "order_type",
    "quantity",
    "increase",
    "limit_price",
    "trigger_price",
    "validity",
    "good_till",
    "product",
    "role",
    "status",
    "filled_quantity",
    "average_price",
    "filled_value",
    "charges",
    "currency",
    "reason",
    "stop_loss",
    "take_profit",
    "acknowledged",
    "first_fill",
    "last_fill",
    "ended",
    "send_by",
    "executions",
    "parent_id",
    "oco_id",
    "correlation_id",
    "signal_id",
];
const FILLS: &[&str] = &[
    "ts",
    "broker",
    "strategy",
    "instrument",
    "side",
    "quantity",
    "price",
    "notional",
    "charges",
    "currency",
    "product",
    "role",
    "order_id",
    "trade_id",
    "correlation_id",
];

/// Orders that were cancelled or expired and are kept for an execution that raced their end. The
/// oldest row is written when there are more; an execution after that is an error.
pub const ENDED_MAX: usize = 16_384;

/// An order and what its row needs beside it.
#[derive(Debug)]
pub struct Tracked {
    /// The order as its events made it.
    pub order: Order,
    number: u64,
    reason: Option<Reason>,
    acknowledged: Option<Timestamp>,
    first_fill: Option<Timestamp>,
    last_fill: Option<Timestamp>,
    ended: Option<Timestamp>,
}

/// The orders of a namespace that may still change.
#[derive(Debug, Default)]
pub struct Orders {
    live: HashMap<OrderId, Tracked>,
    /// Cancelled and expired ones among them, oldest first.
    ended: VecDeque<OrderId>,
    number: u64,
}

/// `orders.csv` and `fills.csv`.
#[derive(Debug)]
pub struct OrderFiles {
    orders: Table,
    fills: Table,
    /// Orders that ended before it have no row.
    since: Timestamp,
}

impl OrderFiles {
    /// Creates the files.
    pub fn create(dir: &Path) -> Result<Self, OutputError> {
        Ok(Self {
            orders: Table::create(dir, "orders.csv", ORDERS)?,
            fills: Table::create(dir, "fills.csv", FILLS)?,
            since: Timestamp::MIN,
        })
    }

    /// Leaves rows out until [`begin`](Self::begin).
    pub fn mute(&mut self) {
        self.orders.mute(true);
        self.fills.mute(true);
    }

    /// Writes rows from here on: of executions after it, and of orders that have not ended before it.
    pub fn begin(&mut self, since: Timestamp) {
        self.orders.mute(false);
        self.fills.mute(false);
        self.since = since;
    }

    /// A new order.
    pub fn submitted(&mut self, orders: &mut Orders, intent: &OrderIntent) {
        let tracked = Tracked {
            order: Order::new(*intent),
            number: orders.number,
            reason: None,
            acknowledged: None,
            first_fill: None,
            last_fill: None,
            ended: None,
        };
        orders.number += 1;
        orders.live.insert(intent.id, tracked);
    }

    /// A step of an order; returns the order's intent and, when its life has just ended, how.
    pub fn changed(
        &mut self,
        orders: &mut Orders,
        names: &Names<'_>,
        broker: &str,
        ts: Timestamp,
        step: &OrderStep,
    ) -> Result<(OrderIntent, Option<OrderStatus>), OutputError> {
        let unknown = || OutputError::UnknownOrder {
            namespace: broker.to_owned(),
            order: step.order,
        };
        let tracked = orders.live.get_mut(&step.order).ok_or_else(unknown)?;
        let intent = *tracked.order.intent();
        let was_live = !tracked.order.status().is_terminal();
        let status = tracked
            .order
            .advance(&step.change)
            .map_err(|source| OutputError::Order {
                namespace: broker.to_owned(),
                order: step.order,
                source,
            })?;
        match step.change {
            OrderChange::Acknowledged => {
                tracked.acknowledged.get_or_insert(ts);
            }
            OrderChange::Cancelled(reason)
            | OrderChange::Rejected(reason)
            | OrderChange::Expired(reason)
            | OrderChange::Failed(reason) => tracked.reason = Some(reason),
            OrderChange::Filled(_) => {
                tracked.first_fill.get_or_insert(ts);
                tracked.last_fill = Some(ts);
            }
            OrderChange::Triggered
            | OrderChange::Modified { .. }
            | OrderChange::CancelRequested(_)
            | OrderChange::CancelRefused
            | OrderChange::ModifyRefused
            | OrderChange::Unknown => {}
        }
        if !(was_live && status.is_terminal()) {
            return Ok((intent, None));
        }
        tracked.ended = Some(ts);
        // Only a cancelled or expired order can still be met by a late execution.
        if matches!(status, OrderStatus::Cancelled | OrderStatus::Expired) {
            orders.ended.push_back(step.order);
            if orders.ended.len() > ENDED_MAX
                && let Some(oldest) = orders.ended.pop_front()
            {
                self.retire(orders, names, broker, oldest)?;
            }
        } else {
            self.retire(orders, names, broker, step.order)?;
        }
        Ok((intent, Some(status)))
    }

    fn retire(
        &mut self,
        orders: &mut Orders,
        names: &Names<'_>,
        broker: &str,
        id: OrderId,
    ) -> Result<(), OutputError> {
        match orders.live.remove(&id) {
            Some(tracked) => self.write(names, broker, &tracked),
            None => Ok(()),
        }
    }

    /// One execution's row.
    pub fn fill(
        &mut self,
        names: &Names<'_>,
        broker: &str,
        ts: Timestamp,
        intent: &OrderIntent,
        execution: &model::order::Execution,
        notional: Amount,
    ) -> Result<(), OutputError> {
        self.fills
            .row()
            .put(ts)
            .text(broker)
            .text(names.strategy(intent.strategy))
            .text(names.instrument(intent.instrument))
            .text(intent.side.name())
            .put(execution.quantity)
            .put(execution.price)
            .put(notional)
            .put(execution.charges)
            .text(names.currency(names.instruments.currency(intent.instrument)))
            .text(intent.product.name())
            .text(intent.role.name())
            .put(intent.id)
            .put(execution.trade)
            .put(intent.correlation)
            .end()
    }

    /// Writes the rows that are still to be written, in the order of submission. Returns how many
    /// orders were still live.
    pub fn finish_space(
        &mut self,
        orders: Orders,
        names: &Names<'_>,
        broker: &str,
    ) -> Result<u64, OutputError> {
        let mut rest: Vec<Tracked> = orders.live.into_values().collect();
        rest.sort_unstable_by_key(|tracked| tracked.number);
        for tracked in &rest {
            self.write(names, broker, tracked)?;
        }
        Ok(rest
            .iter()
            .filter(|t| !t.order.status().is_terminal())
            .count() as u64)
    }

    /// Writes what is still buffered.
    pub fn finish(self) -> Result<(), OutputError> {
        self.orders.finish()?;
        self.fills.finish()
    }

    fn write(
        &mut self,
        names: &Names<'_>,
        broker: &str,
        tracked: &Tracked,
    ) -> Result<(), OutputError> {
        if tracked.ended.is_some_and(|ended| ended < self.since) {
            return Ok(());
        }
        let order = &tracked.order;
        let intent = order.intent();
        let multiplier = multiplier(names, intent.instrument)?;
        let value = order
            .executed_value()
            .checked_mul(i128::from(multiplier.hundredths()))
            .map(Amount::from_raw)
            .ok_or(OutputError::Number {
                what: "an order's executed value",
                source: model::NumberError::Overflow,
            })?;
        let good_till = match intent.validity {
            model::signal::Validity::Gtd(until) => Some(until),
            _ => None,
        };
        let far = |ts: Timestamp| (ts != Timestamp::MAX && ts != Timestamp::MIN).then_some(ts);
        self.orders
            .row()
            .put(intent.submitted)
            .text(broker)
            .put(intent.id)
            .text(names.strategy(intent.strategy))
            .text(names.instrument(intent.instrument))
            .text(intent.side.name())
            .text(intent.order_type.name())
            .put(order.quantity())
            .put(intent.increase)
            .option(order.limit_price())
            .option(order.trigger_price())
            .text(intent.validity.name())
            .option(good_till)
            .text(intent.product.name())
            .text(intent.role.name())
            .text(order.status().name())
            .put(order.filled())
            .option(order.average_price())
            .put(value)
            .put(order.charges())
            .text(names.currency(names.instruments.currency(intent.instrument)))
            .text(tracked.reason.map_or("", Reason::code))
            .option(intent.bracket.stop_loss)
            .option(intent.bracket.take_profit)
            .option(tracked.acknowledged)
            .option(tracked.first_fill)
            .option(tracked.last_fill)
            .option(tracked.ended)
            .option(far(intent.send_by))
            .put(order.executions())
            .option(intent.parent)
            .option(intent.oco)
            .put(intent.correlation)
            .option(intent.signal)
            .end()
    }
}

/// An instrument's multiplier, or an error where the registry does not have it.
pub fn multiplier(
    names: &Names<'_>,
    instrument: model::InstrumentIdx,
) -> Result<Multiplier, OutputError> {
    if instrument.index() < names.instruments.len() {
        Ok(names.instruments.get(instrument).multiplier)
    } else {
        Err(OutputError::UnknownInstrument(instrument.0))
    }
}
