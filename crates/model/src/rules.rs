//! What exchanges ask of orders beyond what an instrument says of itself. The pipeline asks; the tables
//! live in other crates.

use crate::fixed::Quantity;
use crate::instrument::Instrument;
use crate::time::Date;

/// How what is open in a contract ends when the contract expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Settlement {
    /// Nothing is known of it, or it does not expire.
    #[default]
    None,
    /// In cash.
    Cash,
    /// The underlying is delivered.
    Physical,
}

/// The exchanges' rules by date: pure functions.
pub trait ExchangeRules: Send + Sync {
    /// The largest quantity of one order, where the exchange has set one.
    fn freeze_quantity(&self, instrument: &Instrument, date: Date) -> Option<Quantity>;
    /// How a position in the instrument ends at expiry.
    fn settlement(&self, _: &Instrument) -> Settlement {
        Settlement::None
    }
    /// The name of what a contract is written on.
    fn underlying<'a>(&self, _: &'a Instrument) -> Option<&'a str> {
        None
    }
}

/// No rules.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRules;

impl ExchangeRules for NoRules {
    fn freeze_quantity(&self, _: &Instrument, _: Date) -> Option<Quantity> {
        None
    }
}
