//! What trading costs. The pipeline asks; the tables live in other crates.

use crate::contract_note::{DayOrder, Note};
use crate::fixed::{NumberError, Price, Quantity};
use crate::instrument::Instrument;
use crate::money::Amount;
use crate::signal::{Product, Side};
use crate::time::Date;

/// One execution to be charged, with what its order has been charged for before: some caps are per
/// order.
#[derive(Debug, Clone, Copy)]
pub struct ChargeInput<'a> {
    /// The instrument.
    pub instrument: &'a Instrument,
    /// What the position is held as.
    pub product: Product,
    /// Buy or sell.
    pub side: Side,
    /// This execution's quantity.
    pub quantity: Quantity,
    /// This execution's price.
    pub price: Price,
    /// `price × quantity × multiplier` of this execution.
    pub notional: Amount,
    /// Notional of the order's executions before this one.
    pub notional_before: Amount,
    /// Quantity of the order's executions before this one.
    pub quantity_before: Quantity,
    /// Charges booked for the order before this execution.
    pub charges_before: Amount,
    /// The trading day.
    pub date: Date,
}

/// A schedule of charges: a pure function of the execution.
pub trait Charges: Send + Sync {
    /// The charges of this execution in the instrument's currency, never negative.
    fn of(&self, input: &ChargeInput<'_>) -> Result<Amount, NumberError>;
    /// What reports call this schedule.
    fn name(&self) -> &str;
    /// Whether the close of a day can change what its executions have booked: only then does
    /// somebody keep the day's orders for [`close`](Self::close).
    fn closes_days(&self) -> bool {
        false
    }
    /// What an option costs that is exercised at expiry: its notional is what it pays.
    fn of_exercise(&self, _: Date, _: &DayOrder<'_>) -> Result<Amount, NumberError> {
        Ok(Amount::ZERO)
    }
    /// What each contract note says of a day: a pure function of its orders, and not of their
    /// sequence. An order that executes on several days is one on each of them.
    fn close(&self, _: Date, _: &[DayOrder<'_>]) -> Result<Vec<Note>, NumberError> {
        Ok(Vec::new())
    }
}

/// No charges.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCharges;

impl Charges for NoCharges {
    fn of(&self, _: &ChargeInput<'_>) -> Result<Amount, NumberError> {
        Ok(Amount::ZERO)
    }
    fn name(&self) -> &str {
        "none"
    }
}

/// The same share of every execution's notional, rounded half up to the last unit of money.
#[derive(Debug, Clone, Copy)]
pub struct FlatRate {
    rate: i64,
}

impl FlatRate {
    /// From a rate in units of 10⁻⁸: 0.1 % is 100,000. Between 0 and 100 %.
    pub const fn from_raw(rate: i64) -> Result<Self, NumberError> {
        if rate >= 0 && rate <= crate::fixed::ONE {
            Ok(Self { rate })
        } else {
            Err(NumberError::OutOfRange)
        }
    }
}

impl Charges for FlatRate {
    fn of(&self, input: &ChargeInput<'_>) -> Result<Amount, NumberError> {
        input.notional.abs().fraction(self.rate)
    }
    fn name(&self) -> &str {
        "flat_rate"
    }
}
