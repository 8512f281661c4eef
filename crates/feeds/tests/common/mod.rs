//! What the tests share.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::Path;

use feeds::clock::time_zone;
use feeds::{Cleaning, DataSet, LoadOptions, Loaded, MarketStream};
use model::instrument::{Instrument, Instruments};
use model::session::{SessionGroup, SessionStatus, SessionWindow, Sessions, TradingDay};
use model::time::{DAY, HOUR, MINUTE};
use model::{Bar, Date, Tick, Timestamp};

/// 09:15 to 15:30 in India, every day.
pub struct India;

const IST: i64 = 5 * HOUR + 30 * MINUTE;

impl Sessions for India {
    fn groups(&self) -> usize {
        1
    }
    fn group(&self, _: &Instrument) -> SessionGroup {
        SessionGroup(0)
    }
    fn status(&self, _: SessionGroup, at: Timestamp) -> SessionStatus {
        let midnight = (at.0 + IST).div_euclid(DAY) * DAY - IST;
        let open = Timestamp(midnight + 9 * HOUR + 15 * MINUTE);
        let close = Timestamp(midnight + 15 * HOUR + 30 * MINUTE);
        if at < open {
            SessionStatus::Closed { next_open: open }
        } else if at < close {
            SessionStatus::Open(SessionWindow { open, close })
        } else {
            SessionStatus::Closed {
                next_open: open.plus(DAY),
            }
        }
    }
    fn trading_day(&self, at: Timestamp) -> TradingDay {
        let days = (at.0 + IST).div_euclid(DAY);
        let start = Timestamp(days * DAY - IST);
        TradingDay {
            date: Date::from_days(days as i32),
            start,
            end: start.plus(DAY),
        }
    }
}

pub fn cleaning() -> Cleaning<'static> {
    let mut cleaning = Cleaning::new(time_zone("Asia/Kolkata").unwrap());
    cleaning.sessions = Some(feeds::SessionRule {
        sessions: &India,
        text: "09:15-15:30".into(),
    });
    cleaning
}

pub mod skip {
    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../xtask/src/skip.rs"
    ));
}

/// Shares of the NSE by symbol.
pub fn registry(symbols: &[&str]) -> Instruments {
    let share = |symbol: &&str| {
        let mut share = Instrument::share("NSE", symbol, "INR".parse().unwrap());
        let plain: String = symbol.chars().filter(|c| *c != '&').collect();
        let plain = plain.replace('-', "_");
        if plain != **symbol {
            share.aliases.push(plain);
        }
        share
    };
    Instruments::new(symbols.iter().map(share).collect()).unwrap()
}

pub const NSE: [&str; 23] = [
    "AXISBANK",
    "BAJAJFINSV",
    "BAJAJ-AUTO",
    "BAJFINANCE",
    "EICHERMOT",
    "HCLTECH",
    "HDFC",
    "HDFCBANK",
    "HDFCLIFE",
    "HEROMOTOCO",
    "ICICIBANK",
    "INDUSINDBK",
    "INFY",
    "KOTAKBANK",
    "MARUTI",
    "M&M",
    "RELIANCE",
    "SBILIFE",
    "SBIN",
    "TATAMOTORS",
    "TCS",
    "TECHM",
    "WIPRO",
];

pub fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

pub fn load(
    path: &Path,
    instruments: &Instruments,
    options: &LoadOptions<'_>,
) -> Result<Loaded, feeds::DataError> {
    DataSet::open(path)?.load(instruments, options, &mut |_| {})
}

pub fn ticks(loaded: &mut Loaded) -> Vec<Tick> {
    let MarketStream::Ticks(stream) = &mut loaded.stream else {
        panic!("bars")
    };
    let mut all = Vec::new();
    while let Some(chunk) = stream.next_chunk().unwrap() {
        all.extend_from_slice(chunk);
    }
    all
}

pub fn bars(loaded: &mut Loaded) -> Vec<Bar> {
    let MarketStream::Bars(stream) = &mut loaded.stream else {
        panic!("ticks")
    };
    let mut all = Vec::new();
    while let Some(chunk) = stream.next_chunk().unwrap() {
        all.extend_from_slice(chunk);
    }
    all
}
