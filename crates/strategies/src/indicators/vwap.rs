use serde::{Deserialize, Serialize};

use super::window::Moments;

/// Volume-weighted average price since the last reset, with the weighted standard deviation around
/// it. Updated as D. H. D. West, "Updating mean and variance estimates", CACM 22 (1979), which does
/// not subtract large sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Vwap {
    weight: f64,
    mean: f64,
    squares: f64,
}

impl Vwap {
    /// Forgets everything: a new session begins.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Takes a trade of `volume` at `price`. A volume that is not positive changes nothing.
    pub fn update(&mut self, price: f64, volume: f64) -> Option<Moments> {
        if price.is_finite() && volume.is_finite() && volume > 0.0 {
            self.weight += volume;
            let distance = price - self.mean;
            self.mean += distance * (volume / self.weight);
            self.squares += volume * distance * (price - self.mean);
        }
        self.value()
    }

    /// Average and deviation so far; `None` before the first volume.
    pub fn value(&self) -> Option<Moments> {
        (self.weight > 0.0).then(|| Moments {
            mean: self.mean,
            deviation: (self.squares / self.weight).max(0.0).sqrt(),
        })
    }
}
