//! Why something was refused, and by what figures.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fixed::{DECIMALS, Price, Quantity, format_decimal};
use crate::money::{Amount, CurrencyIdx};
use crate::reason::Reason;
use crate::time::SECOND;

/// One millisecond in nanoseconds.
const MILLI: i64 = SECOND / 1_000;

/// What a rule compared: what the order has, or what would be if it were sent, and the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measured {
    /// A number of orders, with this one.
    Orders {
        /// How many.
        value: u32,
        /// The limit.
        limit: u32,
    },
    /// A quantity: the order's, or the position's with it.
    Quantity {
        /// How much.
        value: Quantity,
        /// The limit, or the lot.
        limit: Quantity,
    },
    /// An amount of money.
    Money {
        /// In which currency.
        currency: CurrencyIdx,
        /// How much.
        value: Amount,
        /// The limit.
        limit: Amount,
    },
    /// A price.
    Price {
        /// The price.
        value: Price,
        /// The tick.
        limit: Price,
    },
    /// A part of a price, in units of 10⁻⁸.
    Fraction {
        /// How large.
        value: i64,
        /// The limit.
        limit: i64,
    },
    /// An age, in nanoseconds.
    Age {
        /// How old.
        value: i64,
        /// The limit.
        limit: i64,
    },
}

impl Measured {
    /// The value and the limit, each as decimal text.
    pub fn figures(&self) -> (String, String) {
        fn both(value: impl fmt::Display, limit: impl fmt::Display) -> (String, String) {
            (value.to_string(), limit.to_string())
        }
        match *self {
            Self::Orders { value, limit } => both(value, limit),
            Self::Quantity { value, limit } => both(value, limit),
            Self::Money { value, limit, .. } => both(value, limit),
            Self::Price { value, limit } => both(value, limit),
            Self::Fraction { value, limit } => both(Fraction(value), Fraction(limit)),
            Self::Age { value, limit } => both(value / MILLI, limit / MILLI),
        }
    }

    /// The unit of both; `currency` gives the name of a currency.
    pub fn unit<'a>(&self, currency: impl FnOnce(CurrencyIdx) -> &'a str) -> &'a str {
        match self {
            Self::Orders { .. } => "orders",
            Self::Quantity { .. } => "units",
            Self::Money { currency: of, .. } => currency(*of),
            Self::Price { .. } => "price",
            Self::Fraction { .. } => "fraction",
            Self::Age { .. } => "ms",
        }
    }
}

struct Fraction(i64);

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        format_decimal(i128::from(self.0), DECIMALS, f)
    }
}

/// Why a signal was refused, and the figures that decided, where there are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// What was compared.
    pub measured: Option<Measured>,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            measured: None,
        }
    }
}
