use serde::{Deserialize, Serialize};

/// The last `n` values.
///
/// Sums over it are made afresh from the values, relative to one of them: a running sum of squares
/// loses all its digits where prices are large and moves small, and any running sum drifts. A
/// window of 20 costs less than one cache miss; parameters bound the length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct Window {
    values: Vec<f64>,
    /// Where the next value goes; the oldest one of a full window.
    next: u32,
    filled: bool,
}

/// A window as it was saved, not yet known to be sound.
#[derive(Deserialize)]
struct Saved {
    values: Vec<f64>,
    next: u32,
    filled: bool,
}

impl TryFrom<Saved> for Window {
    type Error = &'static str;
    fn try_from(saved: Saved) -> Result<Self, Self::Error> {
        if (saved.next as usize) < saved.values.len() {
            Ok(Self {
                values: saved.values,
                next: saved.next,
                filled: saved.filled,
            })
        } else {
            Err("a window's position lies outside it")
        }
    }
}

/// Mean and population standard deviation of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// Arithmetic mean.
    pub mean: f64,
    /// Population standard deviation: the root of the mean squared distance from the mean.
    pub deviation: f64,
}

impl Window {
    /// Of `length` values, at least 1.
    pub fn new(length: u32) -> Self {
        Self {
            values: vec![0.0; length.max(1) as usize],
            next: 0,
            filled: false,
        }
    }

    /// Takes one value; gives the one that it displaced. Ignores what is not finite.
    #[inline]
    pub fn push(&mut self, value: f64) -> Option<f64> {
        if !value.is_finite() {
            return None;
        }
        let at = self.next as usize;
        let old = std::mem::replace(&mut self.values[at], value);
        let displaced = self.filled.then_some(old);
        self.next += 1;
        if self.next as usize == self.values.len() {
            self.next = 0;
            self.filled = true;
        }
        displaced
    }

    /// True once it holds `length` values.
    pub const fn is_full(&self) -> bool {
        self.filled
    }

    /// The oldest value of a full window.
    pub fn oldest(&self) -> Option<f64> {
        self.filled.then(|| self.values[self.next as usize])
    }

    /// The mean of a full window.
    pub fn mean(&self) -> Option<f64> {
        if !self.filled {
            return None;
        }
        let base = self.values[0];
        let sum: f64 = self.values.iter().map(|v| v - base).sum();
        Some(base + sum / self.values.len() as f64)
    }

    /// Mean and standard deviation of a full window.
    pub fn moments(&self) -> Option<Moments> {
        let mean = self.mean()?;
        let squares: f64 = self.values.iter().map(|v| (v - mean) * (v - mean)).sum();
        Some(Moments {
            mean,
            deviation: (squares / self.values.len() as f64).sqrt(),
        })
    }
}
