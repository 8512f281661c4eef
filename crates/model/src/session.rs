//! When markets are open. The kernel only asks; calendars live in other crates.

use crate::instrument::{Instrument, Instruments};
use crate::signal::OrderType;
use crate::time::{Date, Timestamp};

/// Instruments that share their hours share a session group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SessionGroup(pub u16);

impl SessionGroup {
    /// As an index of a table by group.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One stretch of trading, half-open: `[open, close)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionWindow {
    /// First instant of trading.
    pub open: Timestamp,
    /// First instant after trading; [`Timestamp::MAX`] where it never ends.
    pub close: Timestamp,
}

impl SessionWindow {
    /// No instant lies within it.
    pub const NONE: Self = Self {
        open: Timestamp::MAX,
        close: Timestamp::MAX,
    };
}

/// The state of a market at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStatus {
    /// Trading, within this window.
    Open(SessionWindow),
    /// Not trading until this instant ([`Timestamp::MAX`]: never again).
    Closed {
        /// The next open.
        next_open: Timestamp,
    },
}

/// The kinds of orders that a phase takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Takes {
    /// Limit orders.
    pub limit: bool,
    /// Market orders.
    pub market: bool,
    /// Stop orders of either kind.
    pub stop: bool,
    /// Orders that show a part of their quantity.
    pub iceberg: bool,
}

impl Takes {
    /// Every kind.
    pub const ALL: Self = Self {
        limit: true,
        market: true,
        stop: true,
        iceberg: true,
    };
    /// None at all.
    pub const NONE: Self = Self {
        limit: false,
        market: false,
        stop: false,
        iceberg: false,
    };

    /// Whether an order of this type is taken.
    pub const fn order(self, kind: OrderType) -> bool {
        match kind {
            OrderType::Market => self.market,
            OrderType::Limit => self.limit,
            OrderType::Stop | OrderType::StopLimit => self.stop,
        }
    }
}

/// One trading day of a namespace, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradingDay {
    /// Its date, in the time zone that the day's start is given in.
    pub date: Date,
    /// First instant.
    pub start: Timestamp,
    /// First instant of the next day.
    pub end: Timestamp,
}

/// The calendar as the pipeline sees it: pure functions of the instant asked about.
pub trait Sessions: Send + Sync {
    /// How many groups there are.
    fn groups(&self) -> usize;
    /// The group whose hours an instrument follows.
    fn group(&self, instrument: &Instrument) -> SessionGroup;
    /// The state of a group's market at an instant.
    fn status(&self, group: SessionGroup, at: Timestamp) -> SessionStatus;
    /// The kinds of orders that are taken at an instant: a closing auction takes no stop orders.
    fn takes(&self, group: SessionGroup, at: Timestamp) -> Takes {
        match self.status(group, at) {
            SessionStatus::Open(_) => self.auction_takes(group, at).unwrap_or(Takes::ALL),
            SessionStatus::Closed { .. } => Takes::NONE,
        }
    }
    /// Of an instant within a session, what its phase takes where that is not every order.
    fn auction_takes(&self, group: SessionGroup, at: Timestamp) -> Option<Takes> {
        let _ = (group, at);
        None
    }
    /// Whether market data is expected at an instant: also before and after trading, while a phase such
    /// as an opening auction is under way. Without a calendar it always is.
    fn data_expected(&self, group: SessionGroup, at: Timestamp) -> SessionStatus {
        let _ = group;
        AlwaysOpen.status(SessionGroup(0), at)
    }
    /// When continuous trading ends within a window: an auction may follow in it.
    fn continuous_close(&self, group: SessionGroup, window: &SessionWindow) -> Timestamp {
        let _ = group;
        window.close
    }
    /// Whether the calendar knows the date of an instant. What it does not know counts as closed.
    fn is_known(&self, group: SessionGroup, at: Timestamp) -> bool {
        let _ = (group, at);
        true
    }
    /// The trading day that holds an instant.
    fn trading_day(&self, at: Timestamp) -> TradingDay;
}

/// A market that never closes, with trading days of UTC.
#[derive(Debug, Clone, Copy, Default)]
pub struct AlwaysOpen;

impl Sessions for AlwaysOpen {
    fn groups(&self) -> usize {
        1
    }
    fn group(&self, _: &Instrument) -> SessionGroup {
        SessionGroup(0)
    }
    fn status(&self, _: SessionGroup, _: Timestamp) -> SessionStatus {
        SessionStatus::Open(SessionWindow {
            open: Timestamp(0),
            close: Timestamp::MAX,
        })
    }
    fn trading_day(&self, at: Timestamp) -> TradingDay {
        let (date, ..) = at.utc();
        let start = Timestamp(i64::from(date.days()).saturating_mul(crate::time::DAY));
        TradingDay {
            date,
            start,
            end: start.plus(crate::time::DAY),
        }
    }
}

/// The end of the sessions that are open at `last`, one nanosecond on: what a session's end causes
/// has happened then, on bars as well.
pub fn end_of_sessions(
    instruments: &Instruments,
    sessions: &dyn Sessions,
    last: Timestamp,
) -> Timestamp {
    instruments
        .iter()
        .filter_map(
            |(_, i)| match sessions.status(sessions.group(i), last.plus(-1)) {
                SessionStatus::Open(window) if window.close != Timestamp::MAX => Some(window.close),
                _ => None,
            },
        )
        .max()
        .map_or(last, |close| close.max(last).plus(1))
}
