//! `orders.csv`, one row per order when its life has ended, and `fills.csv`, one per execution.

use std::path::Path;

use model::money::Multiplier;
use model::order::OrderIntent;
use model::reason::Reason;
use model::{Amount, Timestamp};
use projection::orders::{OrderRecord, Orders};

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
        let rest = orders.into_rest();
        for record in &rest {
            self.finished(names, broker, record)?;
        }
        Ok(rest
            .iter()
            .filter(|record| !record.order.status().is_terminal())
            .count() as u64)
    }

    /// Writes what is still buffered.
    pub fn finish(self) -> Result<(), OutputError> {
        self.orders.finish()?;
        self.fills.finish()
    }

    /// The row of an order to which nothing more can happen.
    pub fn finished(
        &mut self,
        names: &Names<'_>,
        broker: &str,
        record: &OrderRecord,
    ) -> Result<(), OutputError> {
        if record.ended.is_some_and(|ended| ended < self.since) {
            return Ok(());
        }
        let order = &record.order;
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
            .text(record.reason.map_or("", Reason::code))
            .option(intent.bracket.stop_loss)
            .option(intent.bracket.take_profit)
            .option(record.acknowledged)
            .option(record.first_fill)
            .option(record.last_fill)
            .option(record.ended)
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
