//! What exchanges ask of orders beyond what an instrument says of itself. The pipeline asks; the tables
//! live in other crates.

use crate::fixed::Quantity;
use crate::instrument::Instrument;
use crate::time::Date;

/// The exchanges' rules by date: pure functions.
pub trait ExchangeRules: Send + Sync {
    /// The largest quantity of one order, where the exchange has set one.
    fn freeze_quantity(&self, instrument: &Instrument, date: Date) -> Option<Quantity>;
}

/// No rules.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRules;

impl ExchangeRules for NoRules {
    fn freeze_quantity(&self, _: &Instrument, _: Date) -> Option<Quantity> {
        None
    }
}
