//! The contract of a trader outside the pipeline: one that talks to a broker.
//!
//! A host owns the trader on a thread of its own and calls it only with intents that are durable,
//! and only before their `send_by`. A call blocks until the broker has answered or the trader's own
//! time-out has passed; what cannot be proven is [`Answer::Unknown`], never a failure. What happens to
//! an order later arrives through [`Reports`], in any order and perhaps more than once.

use arrayvec::ArrayString;
use model::market::MarketData;
use model::order::OrderIntent;
use model::reason::Reason;
use model::trader::{Capabilities, ReportKind};
use model::{InputId, Price, Quantity};

/// What identifies an order at the broker: 20 letters and digits, different in every run.
pub type ClientOrderId = ArrayString<20>;

/// What a broker says of an order, wherever it was learnt: pushed, or found by a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerReport {
    /// Which order.
    pub client_order_id: ClientOrderId,
    /// What happened. An execution bears the broker's own trade id, which tells a repeat; a broker that gives none
    /// tells how much has executed in all ([`ReportKind::FilledTo`]), which does as well.
    pub kind: ReportKind,
    /// The report's number in the broker's stream, rising by one, where the broker resends what was
    /// not confirmed; zero where it does not number them.
    pub number: u64,
    /// In lockstep: the market input after which the report is due.
    pub due: Option<InputId>,
}

/// Takes what the broker reports by itself; may be called from any thread of the trader.
pub trait Reports: Send + Sync {
    /// The broker reports on an order. Returns false when the host takes no more: stop reading.
    fn report(&self, report: BrokerReport) -> bool;
    /// The connection is lost: the host connects again with back-off and asks about open orders.
    fn lost(&self, why: &str);
    /// The broker sent what cannot be read or belongs to nobody: it is parked with this reason.
    fn unreadable(&self, what: &[u8], why: &str);
}

/// The outcome of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The broker has taken the call. What becomes of the order is reported.
    Accepted,
    /// The broker has refused the call for good.
    Refused(Reason),
    /// The call provably never reached the broker.
    NotSent(Reason),
    /// Whether the broker has taken the call cannot be told: time-out, dropped connection, 5xx.
    Unknown,
}

/// What a question about an order found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The broker has the order: everything it says of it, from the beginning.
    Present(Vec<BrokerReport>),
    /// The broker's books do not show it. Proof of anything only where the trader is idempotent.
    Absent,
    /// The question was not answered.
    Unknown,
}

/// Why a trader cannot work, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Trying again later can help.
    #[error("the broker cannot be reached: {0}")]
    Unreachable(String),
    /// It cannot: wrong credentials, a wrong version.
    #[error("the broker refuses the connection: {0}")]
    Refused(String),
}

/// A change of a working order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modification {
    /// New total quantity, executed part included.
    pub quantity: Quantity,
    /// New limit price, where it changes.
    pub limit_price: Option<Price>,
    /// New trigger price, where it changes.
    pub trigger_price: Option<Price>,
}

/// A trader outside the pipeline.
pub trait Trader: Send {
    /// What it can do.
    fn capabilities(&self) -> &Capabilities;
    /// Connects, or connects again. Reports that the broker has not seen confirmed come again.
    fn connect(&mut self, reports: std::sync::Arc<dyn Reports>) -> Result<(), LinkError>;
    /// Places an order.
    fn submit(&mut self, id: &ClientOrderId, intent: &OrderIntent) -> Answer;
    /// Asks for a cancellation.
    fn cancel(&mut self, id: &ClientOrderId) -> Answer;
    /// Asks for a change of a working order.
    fn modify(&mut self, id: &ClientOrderId, change: &Modification) -> Answer;
    /// Asks what the broker knows of an order.
    fn query(&mut self, id: &ClientOrderId) -> Found;
    /// Every report up to this number is durable here: the broker need not send it again.
    fn confirm(&mut self, number: u64) {
        let _ = number;
    }
    /// In lockstep, the session has passed market input `id`: when this returns, everything due at or
    /// before it has been given to [`Reports`]. A broker that lives in its own time has nothing to do.
    fn pass(&mut self, id: InputId, data: &MarketData<'_>) -> Result<(), LinkError> {
        let _ = (id, data);
        Ok(())
    }
    /// Ends the connection. Reports may still arrive until it returns, none after.
    fn stop(&mut self);
}
