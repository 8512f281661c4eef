//! Exact decimals in JSON: always text, never a float.

use std::fmt;
use std::str::FromStr;

use model::fixed::{DECIMALS, NumberError, format_decimal, parse_decimal};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number that JSON carries as its exact decimal text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Exact<T>(pub T);

impl<T: fmt::Display> fmt::Display for Exact<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: fmt::Display> Serialize for Exact<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Exact<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// A sum of quantities over a whole run, which may exceed what one [`model::Quantity`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct QuantitySum(pub i128);

impl QuantitySum {
    /// Adds a quantity. A sum of 64-bit numbers cannot fill 128 bits.
    pub fn add(&mut self, quantity: model::Quantity) {
        self.0 = self.0.saturating_add(i128::from(quantity.raw()));
    }
}

impl fmt::Display for QuantitySum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        format_decimal(self.0, DECIMALS, f)
    }
}

impl FromStr for QuantitySum {
    type Err = NumberError;
    fn from_str(text: &str) -> Result<Self, NumberError> {
        parse_decimal(text, DECIMALS).map(Self)
    }
}
