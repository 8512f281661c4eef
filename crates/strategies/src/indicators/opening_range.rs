use model::Price;
use serde::{Deserialize, Serialize};

/// Highest and lowest price of a session's first stretch, exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpeningRange {
    range: Option<(Price, Price)>,
}

impl OpeningRange {
    /// Forgets everything: a new session begins.
    pub fn reset(&mut self) {
        self.range = None;
    }

    /// Takes one price of the opening stretch.
    pub fn update(&mut self, price: Price) {
        self.range = Some(match self.range {
            Some((low, high)) => (low.min(price), high.max(price)),
            None => (price, price),
        });
    }

    /// The lowest price.
    pub fn low(&self) -> Option<Price> {
        self.range.map(|(low, _)| low)
    }

    /// The highest price.
    pub fn high(&self) -> Option<Price> {
        self.range.map(|(_, high)| high)
    }
}
