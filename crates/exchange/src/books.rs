//! An account's books as text, for people and for comparisons.

use model::InstrumentIdx;
use model::fixed::format_decimal;
use model::money::MONEY_DECIMALS;
use serde::{Deserialize, Serialize};

use crate::account::{Account, Order};

/// Everything in an account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Books {
    /// In lockstep: the last market input that was passed.
    pub passed: Option<u64>,
    /// Orders in the order in which they came.
    pub orders: Vec<BookedOrder>,
    /// What is held, by instrument.
    pub positions: Vec<BookedPosition>,
    /// Rules of the account that were broken.
    pub violations: Vec<String>,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BookedOrder {
    /// Its salt-free id.
    pub reference: String,
    /// What its client calls it, new in every run.
    pub client_order_id: String,
    /// Canonical id of the instrument.
    pub instrument: String,
    /// `buy` or `sell`.
    pub side: String,
    /// `market`, `limit`, `stop`, `stop_limit`.
    pub order_type: String,
    /// The total quantity that now holds.
    pub quantity: String,
    /// The limit price that now holds.
    pub limit_price: Option<String>,
    /// The trigger price that now holds.
    pub trigger_price: Option<String>,
    /// Where it stands.
    pub status: String,
    /// How much has executed.
    pub filled: String,
    /// How often it was presented.
    pub presented: u32,
    /// In lockstep: the last input passed when it arrived.
    pub arrived: Option<u64>,
    /// Reports that wait for their time: their client cannot know of them.
    pub undue: u32,
    /// Its executions.
    pub executions: Vec<BookedExecution>,
}

/// An execution.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BookedExecution {
    /// Trade id, the same in every run.
    pub trade: String,
    /// How much.
    pub quantity: String,
    /// At what price.
    pub price: String,
    /// In lockstep: the market input that filled it.
    pub at: Option<u64>,
}

/// What is held of an instrument.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BookedPosition {
    /// Canonical id.
    pub instrument: String,
    /// How much, negative for short.
    pub quantity: String,
    /// What came in less what was paid, without contract multipliers and charges.
    pub cash: String,
}

struct Money(i128);

impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        format_decimal(self.0, MONEY_DECIMALS, f)
    }
}

impl Books {
    /// Of an account; `name` knows the canonical ids.
    pub fn of(account: &Account, name: &dyn Fn(InstrumentIdx) -> String) -> Self {
        Self {
            passed: None,
            orders: account
                .orders()
                .iter()
                .map(|o| booked(o, name(o.intent.instrument)))
                .collect(),
            positions: account
                .positions()
                .iter()
                .map(|(instrument, position)| BookedPosition {
                    instrument: name(*instrument),
                    quantity: position.quantity.to_string(),
                    cash: Money(position.cash.raw()).to_string(),
                })
                .collect(),
            violations: Vec::new(),
        }
    }

    /// What must be the same in every run over the same data: without what is salted, and without how
    /// often an order had to be presented.
    #[must_use]
    pub fn outcome(&self) -> Self {
        let mut books = self.clone();
        for order in &mut books.orders {
            order.client_order_id.clear();
            order.presented = 0;
        }
        books.orders.sort_by(|a, b| a.reference.cmp(&b.reference));
        books
            .positions
            .sort_by(|a, b| a.instrument.cmp(&b.instrument));
        books.violations.clear();
        books
    }
}

fn booked(order: &Order, instrument: String) -> BookedOrder {
    BookedOrder {
        reference: order.intent.id.to_string(),
        client_order_id: order.client_order_id.to_string(),
        instrument,
        side: order.intent.side.name().to_owned(),
        order_type: order.intent.order_type.name().to_owned(),
        quantity: order.quantity.to_string(),
        limit_price: order.limit_price.map(|p| p.to_string()),
        trigger_price: order.trigger_price.map(|p| p.to_string()),
        status: order.status.name().to_owned(),
        filled: order.filled.to_string(),
        presented: order.presented,
        arrived: order.arrived.map(|id| id.0),
        undue: order.undue,
        executions: order
            .executions
            .iter()
            .map(|e| BookedExecution {
                trade: e.trade.to_string(),
                quantity: e.quantity.to_string(),
                price: e.price.to_string(),
                at: e.at.map(|id| id.0),
            })
            .collect(),
    }
}
