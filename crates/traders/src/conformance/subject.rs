//! What the suite needs of a trader.

use std::fmt;

use model::Timestamp;
use model::market::MarketData;
use model::trader::{Capabilities, TraderCommand, TraderReport};

/// Something that a trader may be unable to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Limit orders.
    Limit,
    /// Stop orders.
    Stop,
    /// Stop-limit orders.
    StopLimit,
    /// Validity IOC.
    Ioc,
    /// Validity FOK.
    Fok,
    /// Day orders that expire at the session's close.
    DayExpiry,
    /// Validity until a given instant.
    Gtd,
    /// Changing the quantity of a working order.
    ModifyQuantity,
    /// Changing the limit price of a working order.
    ModifyPrice,
    /// It cancels the other leg of a pair itself. Also declared by its capabilities.
    NativeOco,
    /// The same order may be presented again. Also declared by its capabilities.
    Idempotent,
    /// An order fills on market inputs after the one that it was placed on.
    NoLookAhead,
    /// A market order is done once its instrument has traded often and much.
    Completion,
    /// Market data may come as bars.
    Bars,
    /// Its state can be saved and restored.
    Restart,
    /// The same commands and market data give the same reports.
    Deterministic,
}

/// What a trader declares it cannot do, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lack {
    /// What.
    pub feature: Feature,
    /// Why.
    pub why: &'static str,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lacks {:?}: {}", self.feature, self.why)
    }
}

/// What the suite has to know of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What it cannot do.
    pub lacks: Vec<Lack>,
    /// Longest time until a command takes effect, in nanoseconds.
    pub latency_max: i64,
    /// How many market inputs an order may need until it is done, where each trades many times its
    /// quantity.
    pub patience: u32,
}

impl Default for Profile {
    /// One that can do everything, at once.
    fn default() -> Self {
        Self {
            lacks: Vec::new(),
            latency_max: 0,
            patience: 1,
        }
    }
}

impl Profile {
    /// With something that it cannot do.
    #[must_use]
    pub fn without(mut self, feature: Feature, why: &'static str) -> Self {
        self.lacks.push(Lack { feature, why });
        self
    }
    /// The lack of this feature, if it is declared.
    pub fn lack_of(&self, feature: Feature) -> Option<&Lack> {
        self.lacks.iter().find(|lack| lack.feature == feature)
    }
    /// Whether it can do this.
    pub fn has(&self, feature: Feature) -> bool {
        self.lack_of(feature).is_none()
    }
}

/// A trader under test. `now` never goes back. Reports may be given by any later call of
/// [`reports`](Self::reports).
pub trait Subject {
    /// What it says it can do.
    fn capabilities(&self) -> Capabilities;
    /// What it declares it cannot do.
    fn profile(&self) -> Profile;
    /// The pipeline asks for something.
    fn command(&mut self, command: &TraderCommand, now: Timestamp);
    /// The market moves.
    fn market(&mut self, data: &MarketData<'_>, now: Timestamp);
    /// Time passes.
    fn time(&mut self, now: Timestamp);
    /// What it has reported since the last call, oldest first.
    fn reports(&mut self) -> Vec<TraderReport>;
    /// Saves its state, starts anew and restores it; the error says what went wrong.
    fn restart(&mut self) -> Result<(), String>;
}
