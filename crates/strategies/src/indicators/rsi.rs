use serde::{Deserialize, Serialize};

/// Relative strength index, 0 to 100, after J. W. Wilder, *New Concepts in Technical Trading
/// Systems* (1978), as TA-Lib computes it: the first averages are simple over `period` changes,
/// each later one is `(average·(n − 1) + change)/n`.
///
/// Where nothing has moved it has no value; TA-Lib gives 0 there, which reads as oversold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rsi {
    period: u32,
    /// Changes seen, at most `period`.
    seen: u32,
    last: Option<f64>,
    gain: f64,
    loss: f64,
}

impl Rsi {
    /// Over `period` changes, at least 1: the first value needs `period + 1` prices.
    pub fn new(period: u32) -> Self {
        Self {
            period: period.max(1),
            seen: 0,
            last: None,
            gain: 0.0,
            loss: 0.0,
        }
    }

    /// Takes one price and gives the new index; `None` until `period` changes were seen.
    pub fn update(&mut self, price: f64) -> Option<f64> {
        if !price.is_finite() {
            return self.value();
        }
        let last = self.last.replace(price)?;
        let change = price - last;
        let (up, down) = if change > 0.0 {
            (change, 0.0)
        } else {
            (0.0, -change)
        };
        let n = f64::from(self.period);
        if self.seen < self.period {
            self.seen += 1;
            self.gain += up;
            self.loss += down;
            if self.seen == self.period {
                self.gain /= n;
                self.loss /= n;
            }
        } else {
            self.gain = (self.gain * (n - 1.0) + up) / n;
            self.loss = (self.loss * (n - 1.0) + down) / n;
        }
        self.value()
    }

    /// The index so far.
    pub fn value(&self) -> Option<f64> {
        let sum = self.gain + self.loss;
        (self.seen == self.period && sum > 0.0).then(|| 100.0 * (self.gain / sum))
    }
}
