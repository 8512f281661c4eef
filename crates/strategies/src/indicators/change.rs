use serde::{Deserialize, Serialize};

use super::window::Window;

/// Rate of change against the value `period` inputs ago, in per cent: `(p/p₋ₙ − 1)·100`, TA-Lib's
/// ROC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RateOfChange {
    window: Window,
    value: Option<f64>,
}

impl RateOfChange {
    /// Against the value `period` inputs ago, at least 1.
    pub fn new(period: u32) -> Self {
        Self {
            window: Window::new(period),
            value: None,
        }
    }

    /// Takes one value and gives the new rate; `None` until `period + 1` values were seen, and
    /// where the old value is 0.
    pub fn update(&mut self, value: f64) -> Option<f64> {
        if value.is_finite() {
            self.value = match self.window.push(value) {
                Some(old) if old != 0.0 => Some((value / old - 1.0) * 100.0),
                _ => None,
            };
        }
        self.value
    }

    /// The rate so far.
    pub fn value(&self) -> Option<f64> {
        self.value
    }
}
