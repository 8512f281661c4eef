//! The models of all reads: what the command line shows, what `--json` prints, and what other readers
//! are sent. Numbers of money, prices and quantities are written as exact decimal text, times as
//! nanoseconds UTC, ids as text.

use std::collections::BTreeMap;
use std::fmt::Display;

use model::{Amount, CorrelationId, Date, OrderId, Price, Quantity, Timestamp};
use serde::{Serialize, Serializer};

fn text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn text_or_none<S: Serializer>(
    value: &Option<impl Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

fn texts<S: Serializer>(values: &[impl Display], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(ToString::to_string))
}

/// A namespace at one place of its events.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// Its trading state.
    pub state: &'static str,
    /// The rule that stopped it, or `operator`.
    pub halted_by: Option<&'static str>,
    /// When an operator last had its losses counted anew.
    pub losses_count_since: Option<Timestamp>,
    /// The same of its strategies, where it was done.
    pub strategies_losses_count_since: BTreeMap<String, Timestamp>,
    /// Why the host keeps exposure from growing.
    pub entries_blocked_by: Vec<&'static str>,
    /// Strategies that may not trade.
    pub disabled_strategies: Vec<String>,
    /// Orders of the trading day.
    pub orders_today: u32,
    /// Working orders of unknown outcome.
    #[serde(serialize_with = "texts")]
    pub unresolved_orders: Vec<OrderId>,
    /// Reported executions that are not booked.
    pub parked_reports: Vec<ParkedReport>,
    /// What it has done.
    pub activity: Activity,
    /// Open positions.
    pub positions: Vec<Position>,
    /// The account's net of instruments that several positions hold.
    pub net: Vec<Net>,
    /// What each strategy has made, by currency.
    pub strategies: Vec<StrategyTotal>,
    /// Working orders.
    pub open_orders: Vec<Order>,
    /// The money, by currency.
    pub accounts: Vec<Account>,
    /// The closed trading days since the fold began, oldest first; a bounded number.
    pub closed_days: Vec<ClosedDay>,
}

/// An open position.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Position {
    /// The strategy that it belongs to.
    pub strategy: String,
    /// In what.
    pub instrument: String,
    /// Held as what.
    pub product: &'static str,
    /// Signed.
    #[serde(serialize_with = "text")]
    pub quantity: Quantity,
    /// What a unit has cost on average, for display.
    #[serde(serialize_with = "text_or_none")]
    pub average_price: Option<Price>,
    /// Exact cost of what is open.
    #[serde(serialize_with = "text")]
    pub cost: Amount,
    /// The last price; zero before the first.
    #[serde(serialize_with = "text")]
    pub last_price: Price,
    /// Of the first working stop.
    #[serde(serialize_with = "text_or_none")]
    pub stop_price: Option<Price>,
    /// Of the first working target.
    #[serde(serialize_with = "text_or_none")]
    pub target_price: Option<Price>,
    /// Profit of what is open at the last price; none where it does not fit.
    #[serde(serialize_with = "text_or_none")]
    pub unrealised: Option<Amount>,
    /// Profit of what has been closed, before charges.
    #[serde(serialize_with = "text")]
    pub realised: Amount,
    /// Charges of all its executions.
    #[serde(serialize_with = "text")]
    pub charges: Amount,
    /// Whether a stop for all of it works at a broker outside this process.
    pub protected: bool,
}

/// The account's net of an instrument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Net {
    /// In what.
    pub instrument: String,
    /// Signed.
    #[serde(serialize_with = "text")]
    pub quantity: Quantity,
}

/// What the positions of a strategy in one currency come to, closed ones included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StrategyTotal {
    /// The strategy.
    pub strategy: String,
    /// In which currency.
    pub currency: String,
    /// Profit of what has been closed, before charges.
    #[serde(serialize_with = "text")]
    pub realised: Amount,
    /// Profit of what is open at the last prices.
    #[serde(serialize_with = "text")]
    pub unrealised: Amount,
    /// Charges of all executions.
    #[serde(serialize_with = "text")]
    pub charges: Amount,
    /// Profit of the trading day after charges; none where the fold began later than the day.
    #[serde(serialize_with = "text_or_none")]
    pub pnl_today: Option<Amount>,
}

/// A working order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Order {
    /// Its identity.
    #[serde(serialize_with = "text")]
    pub order_id: OrderId,
    /// The strategy that it belongs to.
    pub strategy: String,
    /// In what.
    pub instrument: String,
    /// What it is for.
    pub role: &'static str,
    /// Buy or sell.
    pub side: &'static str,
    /// Where it is in its life.
    pub status: &'static str,
    /// The whole quantity that now holds.
    #[serde(serialize_with = "text")]
    pub quantity: Quantity,
    /// The executed part.
    #[serde(serialize_with = "text")]
    pub filled: Quantity,
    /// The limit price that now holds.
    #[serde(serialize_with = "text_or_none")]
    pub limit_price: Option<Price>,
    /// The trigger price that now holds.
    #[serde(serialize_with = "text_or_none")]
    pub trigger_price: Option<Price>,
    /// When it was decided.
    pub submitted: Timestamp,
    /// The chain of events that it belongs to.
    #[serde(serialize_with = "text")]
    pub correlation_id: CorrelationId,
}

/// A reported execution that is not booked, as it cannot be true.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParkedReport {
    /// The order that it is about.
    #[serde(serialize_with = "text")]
    pub order_id: OrderId,
    /// In what.
    pub instrument: String,
    /// Bought or sold.
    pub side: &'static str,
    /// How much.
    #[serde(serialize_with = "text")]
    pub quantity: Quantity,
    /// At what price.
    #[serde(serialize_with = "text")]
    pub price: Price,
    /// The instrument's last price then.
    #[serde(serialize_with = "text")]
    pub last_price: Price,
    /// What cannot be true of it.
    pub doubt: &'static str,
    /// The broker's own book confirms it.
    pub confirmed: bool,
}

/// The money in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Which currency.
    pub currency: String,
    /// Starting cash + cash flow + value at the last prices − charges.
    #[serde(serialize_with = "text")]
    pub equity: Amount,
    /// Since the trading day's start.
    #[serde(serialize_with = "text_or_none")]
    pub pnl_today: Option<Amount>,
    /// Since the beginning.
    #[serde(serialize_with = "text_or_none")]
    pub pnl_total: Option<Amount>,
    /// Σ of sales minus Σ of purchases.
    #[serde(serialize_with = "text")]
    pub cash_flow: Amount,
    /// What it began with.
    #[serde(serialize_with = "text")]
    pub starting_cash: Amount,
    /// Profit of what has been closed, before charges.
    #[serde(serialize_with = "text")]
    pub realised: Amount,
    /// Profit of what is open at the last prices.
    #[serde(serialize_with = "text_or_none")]
    pub unrealised: Option<Amount>,
    /// Charges so far.
    #[serde(serialize_with = "text")]
    pub charges: Amount,
    /// Σ absolute value of the net positions.
    #[serde(serialize_with = "text")]
    pub gross_exposure: Amount,
    /// Largest fall from a peak so far.
    #[serde(serialize_with = "text")]
    pub max_drawdown: Amount,
}

/// A trading day that has ended, in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClosedDay {
    /// Its date.
    #[serde(serialize_with = "text")]
    pub date: Date,
    /// Which currency.
    pub currency: String,
    /// The equity at its end.
    #[serde(serialize_with = "text")]
    pub equity: Amount,
    /// What the day made, after charges.
    #[serde(serialize_with = "text")]
    pub pnl: Amount,
}

/// What a namespace has done since its journal began, and on its trading day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Activity {
    /// Since the beginning.
    #[serde(flatten)]
    pub total: Counts,
    /// Of the trading day.
    pub today: Counts,
    /// What each stage has done.
    pub stages: BTreeMap<&'static str, Stage>,
}

/// Numbers of one span of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Orders submitted.
    pub orders_submitted: u64,
    /// Executions.
    pub fills: u64,
    /// Orders that provably never reached the broker.
    pub orders_failed: u64,
    /// Signals refused here and orders refused by the broker, by reason.
    pub rejects: BTreeMap<&'static str, u64>,
    /// Alerts by reason.
    pub alerts: BTreeMap<&'static str, u64>,
}

/// What one stage has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// Its events.
    pub count: u64,
    /// The latest one's time.
    pub last: Option<Timestamp>,
}
