//! The small world that every case plays in.

use std::sync::Arc;

use model::instrument::Instrument;
use model::money::Currency;
use model::session::{SessionGroup, SessionStatus, SessionWindow, Sessions, TradingDay};
use model::time::{DAY, HOUR, MINUTE};
use model::{AssetClass, Date, InstrumentIdx, Instruments, Price, Quantity, Timestamp};

/// Sessions from 03:45 to 10:00 UTC (09:15 to 15:30 in India) on every day of the week.
#[derive(Debug, Clone, Copy, Default)]
pub struct DaySessions;

impl DaySessions {
    /// The session of the day of UTC that holds an instant.
    pub fn window(at: Timestamp) -> SessionWindow {
        let midnight = Timestamp(at.nanos().div_euclid(DAY).saturating_mul(DAY));
        SessionWindow {
            open: midnight.plus(3 * HOUR + 45 * MINUTE),
            close: midnight.plus(10 * HOUR),
        }
    }
}

impl Sessions for DaySessions {
    fn groups(&self) -> usize {
        1
    }
    fn group(&self, _: &Instrument) -> SessionGroup {
        SessionGroup(0)
    }
    fn status(&self, _: SessionGroup, at: Timestamp) -> SessionStatus {
        let window = Self::window(at);
        if at < window.open {
            SessionStatus::Closed {
                next_open: window.open,
            }
        } else if at < window.close {
            SessionStatus::Open(window)
        } else {
            SessionStatus::Closed {
                next_open: window.open.plus(DAY),
            }
        }
    }
    fn trading_day(&self, at: Timestamp) -> TradingDay {
        let start = Timestamp(at.nanos().div_euclid(DAY).saturating_mul(DAY));
        let date = Date::from_days(start.nanos().div_euclid(DAY) as i32);
        TradingDay {
            date,
            start,
            end: start.plus(DAY),
        }
    }
}

/// What a subject is built from.
#[derive(Clone)]
pub struct Fixture {
    /// Two shares with a tick of 0.05 and lots of one, and a future with lots of 25.
    pub instruments: Arc<Instruments>,
    /// [`DaySessions`].
    pub sessions: Arc<dyn Sessions>,
    /// The first instant of every case, within a session.
    pub start: Timestamp,
}

impl Fixture {
    /// The share that most cases trade.
    pub const SHARE: InstrumentIdx = InstrumentIdx(0);
    /// Another share.
    pub const OTHER: InstrumentIdx = InstrumentIdx(1);
    /// A future with lots.
    pub const FUTURE: InstrumentIdx = InstrumentIdx(2);

    /// The world of the suite; a trader's own tests may play in it too.
    pub fn new() -> Self {
        Self {
            instruments: Arc::new(instruments()),
            sessions: Arc::new(DaySessions),
            start: Timestamp(18_732 * DAY + 5 * HOUR),
        }
    }
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new()
    }
}

fn instruments() -> Instruments {
    // `XXX`: no currency; the suite knows no money.
    let Ok(currency) = "XXX".parse::<Currency>() else {
        return Instruments::default();
    };
    let mut all: Vec<_> = ["A", "B", "F"]
        .into_iter()
        .map(|symbol| Instrument::share("TEST", symbol, currency))
        .collect();
    all[2].asset_class = AssetClass::Futures;
    all[2].lot_size = Quantity::from_raw(25 * model::fixed::ONE);
    all[2].tick_size = Price::from_raw(model::fixed::ONE / 4);
    Instruments::new(all).unwrap_or_default()
}
