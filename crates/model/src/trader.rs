//! The language between a pipeline and whoever executes its orders, and the trait of a trader that
//! is stepped inside the pipeline.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::fixed::{Price, Quantity};
use crate::ids::{OrderId, TradeId};
use crate::market::MarketData;
use crate::order::OrderIntent;
use crate::reason::Reason;
use crate::reindex::Reindex;
use crate::signal::Side;
use crate::time::Timestamp;

/// What a pipeline asks of a trader.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraderCommand {
    /// Place this order.
    Submit(OrderIntent),
    /// Cancel this order.
    Cancel(OrderId),
    /// Change a working order.
    Modify {
        /// Which.
        order: OrderId,
        /// New total quantity, executed part included.
        quantity: Quantity,
        /// New limit price.
        limit_price: Option<Price>,
        /// New trigger price.
        trigger_price: Option<Price>,
    },
    /// Report what you know of this order.
    Query(OrderId),
}

/// What a trader says of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraderReport {
    /// Which order.
    #[serde(rename = "order_id")]
    pub order: OrderId,
    /// When, on the session's clock.
    pub ts: Timestamp,
    /// What happened.
    pub kind: ReportKind,
    /// The broker's own book says it, in answer to the question about an order of which a report was
    /// parked: it is booked, however unlikely it looks.
    pub confirmed: bool,
}

impl TraderReport {
    /// A report that the broker's book was not asked about.
    pub const fn new(order: OrderId, ts: Timestamp, kind: ReportKind) -> Self {
        Self {
            order,
            ts,
            kind,
            confirmed: false,
        }
    }
}

/// The kinds of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// The order works at the broker.
    Acknowledged,
    /// Its trigger has traded.
    Triggered,
    /// A part or all of it executed.
    Filled {
        /// The broker's trade id.
        #[serde(rename = "trade_id")]
        trade: TradeId,
        /// Bought or sold.
        side: Side,
        /// How much.
        quantity: Quantity,
        /// At what price.
        price: Price,
        /// Random numbers the order has used so far; zero for a real broker.
        draws: u32,
    },
    /// How much has executed in all, and at what average price, of a broker that gives no trade ids: what is not
    /// booked of it yet is one execution, whatever was repeated, or overtaken by what came later.
    FilledTo {
        /// Bought or sold.
        side: Side,
        /// How much in all.
        quantity: Quantity,
        /// At what price on average.
        average_price: Price,
    },
    /// The order was changed; this is what now holds.
    Modified {
        /// Total quantity.
        quantity: Quantity,
        /// Limit price.
        limit_price: Option<Price>,
        /// Trigger price.
        trigger_price: Option<Price>,
    },
    /// Cancelled.
    Cancelled(Reason),
    /// A cancellation was refused; the order works on.
    CancelRefused,
    /// The broker refused the order.
    Rejected(Reason),
    /// Its time ran out.
    Expired(Reason),
    /// The order provably never reached the broker.
    NotSent(Reason),
    /// Whether the broker has the order cannot be told.
    Unknown,
    /// A change was refused; the order works on as it was.
    ModifyRefused,
    /// The broker's book was read for an order of which reports were parked: what it says of the order
    /// was reported before this, and what it does not say did not happen.
    BookRead,
}

/// Whether the same client order id may be presented again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Presenting an order twice gives one order.
    Idempotent,
    /// Absence at the broker proves nothing: an intent is presented once, then only asked about.
    QueryOnly,
}

/// What a trader can do. The pipeline and its rules read it; nothing else depends on the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether the same order may be presented again.
    pub delivery: Delivery,
    /// Asset classes it can trade.
    pub asset_classes: Vec<crate::instrument::AssetClass>,
    /// It cancels the other leg of a one-cancels-other pair itself, in the same instant.
    pub native_oco: bool,
    /// The price of a single execution is a multiple of the tick size; false where reports carry
    /// averages, or the venue executes between ticks.
    pub executes_on_tick: bool,
}

/// Why a trader's state could not be saved or taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the trader's saved state does not fit: {0}")]
pub struct TraderStateError(pub String);

/// A trader that is stepped inside the pipeline: pure, like every stage. Its state changes only
/// through the `observe` methods and [`apply`](Self::apply), and both the live run and recovery call
/// them; [`next_report`](Self::next_report) only decides.
pub trait InPipelineTrader: Send {
    /// What it can do.
    fn capabilities(&self) -> &Capabilities;
    /// A market input has arrived.
    fn observe_market(&mut self, data: &MarketData<'_>, now: Timestamp);
    /// Time has passed.
    fn observe_time(&mut self, now: Timestamp);
    /// An event of the namespace: its own reports come back this way, as do new orders and
    /// requests to cancel.
    fn apply(&mut self, event: &Event);
    /// The next thing to report, given all that was observed and applied; `None` when there is
    /// nothing. Called again after each report has been applied.
    fn next_report(&self, now: Timestamp) -> Option<TraderReport>;
    /// When it next has something to do without new market data.
    fn next_due(&self) -> Timestamp;
    /// The state as bytes that [`restore`](Self::restore) takes back; equal states give equal bytes.
    fn save(&self) -> Result<Vec<u8>, TraderStateError>;
    /// Takes over a saved state of a trader with the same settings.
    fn restore(&mut self, state: &[u8], map: &Reindex) -> Result<(), TraderStateError>;
}
