use serde::{Deserialize, Serialize};

use super::window::{Moments, Window};

/// Bollinger bands: the simple moving average, and `width` population standard deviations on either
/// side, as TA-Lib computes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bollinger {
    window: Window,
    width: f64,
}

/// The bands at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bands {
    /// Mean plus `width` deviations.
    pub upper: f64,
    /// The mean.
    pub middle: f64,
    /// Mean minus `width` deviations.
    pub lower: f64,
    /// One standard deviation.
    pub deviation: f64,
}

impl Bollinger {
    /// Over `period` values, `width` standard deviations wide on either side.
    pub fn new(period: u32, width: f64) -> Self {
        Self {
            window: Window::new(period),
            width,
        }
    }

    /// Takes one value and gives the new bands; `None` until `period` values were seen.
    pub fn update(&mut self, value: f64) -> Option<Bands> {
        self.window.push(value);
        self.value()
    }

    /// The bands so far.
    pub fn value(&self) -> Option<Bands> {
        let Moments { mean, deviation } = self.window.moments()?;
        let reach = self.width * deviation;
        Some(Bands {
            upper: mean + reach,
            middle: mean,
            lower: mean - reach,
            deviation,
        })
    }
}
