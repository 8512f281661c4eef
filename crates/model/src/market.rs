//! What a market feed delivers.

use serde::{Deserialize, Serialize};

use crate::fixed::{Price, Quantity};
use crate::instrument::InstrumentIdx;
use crate::time::{MINUTE, SECOND, Timestamp};

/// One change of an instrument's market, as delivered. Unknown prices and quantities are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tick {
    /// The session clock's stamp: receive time when live, recorded time when replayed.
    pub ts: Timestamp,
    /// The exchange's own stamp; `Timestamp(0)` where unknown.
    pub exchange_ts: Timestamp,
    /// Last traded price.
    pub price: Price,
    /// Quantity traded since the tick before; zero where unknown or nothing traded.
    pub quantity: Quantity,
    /// Quantity traded since the session's start.
    pub volume: Quantity,
    /// Open interest.
    pub open_interest: Quantity,
    /// Best bid.
    pub bid: Price,
    /// Best ask.
    pub ask: Price,
    /// Which instrument.
    pub instrument: InstrumentIdx,
}

/// One price level of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Level {
    /// The level's price; zero where there is none.
    pub price: Price,
    /// Quantity offered at it.
    pub quantity: Quantity,
    /// Number of orders at it; zero where unknown.
    pub orders: u32,
}

/// Five levels a side, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Depth {
    /// Buyers.
    pub bids: [Level; 5],
    /// Sellers.
    pub asks: [Level; 5],
}

/// The length of a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timeframe(i64);

impl Timeframe {
    /// One minute.
    pub const MINUTE: Self = Self(MINUTE);

    /// From nanoseconds: whole seconds, at most a day.
    pub const fn from_nanos(nanos: i64) -> Option<Self> {
        if nanos >= SECOND && nanos <= 24 * 60 * MINUTE && nanos % SECOND == 0 {
            Some(Self(nanos))
        } else {
            None
        }
    }
    /// Length in nanoseconds.
    pub const fn nanos(self) -> i64 {
        self.0
    }
    /// From `30s`, `1m`, `15m`, `1h`, `1d`.
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, unit) = text.split_at(text.len().checked_sub(1)?);
        let count: i64 = if digits.bytes().all(|b| b.is_ascii_digit()) {
            digits.parse().ok()?
        } else {
            return None;
        };
        let unit = match unit {
            "s" => SECOND,
            "m" => MINUTE,
            "h" => 60 * MINUTE,
            "d" => 24 * 60 * MINUTE,
            _ => return None,
        };
        Self::from_nanos(count.checked_mul(unit)?)
    }
}

impl std::fmt::Display for Timeframe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.0 / SECOND;
        match seconds {
            s if s % 86_400 == 0 => write!(f, "{}d", s / 86_400),
            s if s % 3_600 == 0 => write!(f, "{}h", s / 3_600),
            s if s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

/// Whether a bar's stamp is its open or its close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BarStamp {
    /// The stamp is the bar's first instant.
    #[default]
    Open,
    /// The stamp is the bar's end.
    Close,
}

/// A bar over `[open_ts, close_ts)`, delivered at its close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bar {
    /// First instant of the bar.
    pub open_ts: Timestamp,
    /// End of the bar, exclusive: the instant at which it is delivered. A session's last bar ends
    /// with the session.
    pub close_ts: Timestamp,
    /// First price.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Last price.
    pub close: Price,
    /// Quantity traded within it.
    pub volume: Quantity,
    /// Open interest at its end; zero where unknown.
    pub open_interest: Quantity,
    /// Which instrument.
    pub instrument: InstrumentIdx,
    /// The declared length.
    pub timeframe: Timeframe,
}

impl Bar {
    /// The bar's close as a tick, for strategies that take prices only.
    pub fn closing_tick(&self) -> Tick {
        Tick {
            ts: self.close_ts,
            exchange_ts: self.close_ts,
            price: self.close,
            quantity: self.volume,
            open_interest: self.open_interest,
            instrument: self.instrument,
            ..Tick::default()
        }
    }
    /// The bar's time as declared.
    pub const fn stamp(&self, stamp: BarStamp) -> Timestamp {
        match stamp {
            BarStamp::Open => self.open_ts,
            BarStamp::Close => self.close_ts,
        }
    }
}

/// One input from the market, borrowed from whoever read it.
#[derive(Debug, Clone, Copy)]
pub enum MarketData<'a> {
    /// A tick, with depth where the feed has it.
    Tick(&'a Tick, Option<&'a Depth>),
    /// A finished bar of a bar data set.
    Bar(&'a Bar),
}

impl MarketData<'_> {
    /// When it happened: a tick's stamp, a bar's close.
    #[inline]
    pub const fn ts(&self) -> Timestamp {
        match self {
            Self::Tick(tick, _) => tick.ts,
            Self::Bar(bar) => bar.close_ts,
        }
    }
    /// An instant at which it surely happened: a bar's last one lies before its close.
    #[inline]
    pub const fn happened(&self) -> Timestamp {
        match self {
            Self::Tick(tick, _) => tick.ts,
            Self::Bar(bar) => bar.close_ts.plus(-1),
        }
    }
    /// Which instrument it is about.
    #[inline]
    pub const fn instrument(&self) -> InstrumentIdx {
        match self {
            Self::Tick(tick, _) => tick.instrument,
            Self::Bar(bar) => bar.instrument,
        }
    }
    /// The latest price.
    #[inline]
    pub const fn price(&self) -> Price {
        match self {
            Self::Tick(tick, _) => tick.price,
            Self::Bar(bar) => bar.close,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeframes_parse_and_print() {
        for text in ["30s", "1m", "15m", "1h", "1d"] {
            assert_eq!(Timeframe::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "m", "0m", "-1m", "1w", "2d", "1.5m"] {
            assert_eq!(Timeframe::parse(text), None, "{text}");
        }
    }
}
