//! A call to a broker, and what can come of it.

use model::order::OrderIntent;
use model::reason::Reason;
use model::{OrderId, Timestamp};
use traders::{Answer, ClientOrderId, Found, Modification, Trader};

/// A call to be made.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "one in flight at a time")]
pub enum Call {
    /// Place the order.
    Submit(OrderId, ClientOrderId, OrderIntent),
    /// Cancel it.
    Cancel(OrderId, ClientOrderId),
    /// Change it.
    Modify(OrderId, ClientOrderId, Modification),
    /// Ask what the broker knows of it.
    Query(OrderId, ClientOrderId),
}

impl Call {
    /// Which order it is about.
    pub const fn order(&self) -> OrderId {
        match self {
            Self::Submit(order, ..)
            | Self::Cancel(order, _)
            | Self::Modify(order, ..)
            | Self::Query(order, _) => *order,
        }
    }
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Of a submission, cancellation or change.
    Answered(Answer),
    /// Of a question.
    Found(Found),
}

/// Makes a call. A submission whose `send_by` has passed is not started.
pub fn carry_out(trader: &mut dyn Trader, call: &Call, now: Timestamp) -> Outcome {
    match call {
        Call::Submit(_, client, intent) => {
            if now > intent.send_by {
                return Outcome::Answered(Answer::NotSent(Reason::NotSent));
            }
            Outcome::Answered(trader.submit(client, intent))
        }
        Call::Cancel(_, client) => Outcome::Answered(trader.cancel(client)),
        Call::Modify(_, client, change) => Outcome::Answered(trader.modify(client, change)),
        Call::Query(_, client) => Outcome::Found(trader.query(client)),
    }
}

/// The outcome of a call that was started and ended without an answer.
pub fn unproven(call: &Call) -> Outcome {
    match call {
        Call::Query(..) => Outcome::Found(Found::Unknown),
        _ => Outcome::Answered(Answer::Unknown),
    }
}

/// The outcome of a call that was not started, as there is no connection.
pub fn unstarted(call: &Call) -> Outcome {
    match call {
        Call::Query(..) => Outcome::Found(Found::Unknown),
        _ => Outcome::Answered(Answer::NotSent(Reason::NotSent)),
    }
}
