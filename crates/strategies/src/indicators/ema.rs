use serde::{Deserialize, Serialize};

/// Exponential moving average: `e += a·(p − e)` with `a = 2/(n + 1)`, seeded by the first value.
///
/// TA-Lib seeds with the simple average of the first `n` values; the two agree once the seed has
/// died out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ema {
    alpha: f64,
    value: Option<f64>,
}

impl Ema {
    /// Over `period` values, at least 1.
    pub fn new(period: u32) -> Self {
        Self {
            alpha: 2.0 / (f64::from(period.max(1)) + 1.0),
            value: None,
        }
    }

    /// Takes one value and gives the new average; `None` before the first finite value.
    #[inline]
    pub fn update(&mut self, price: f64) -> Option<f64> {
        if price.is_finite() {
            self.value = Some(match self.value {
                Some(e) => e + self.alpha * (price - e),
                None => price,
            });
        }
        self.value
    }

    /// The average so far.
    #[inline]
    pub fn value(&self) -> Option<f64> {
        self.value
    }
}
