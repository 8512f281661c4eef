//! Instruments, hours, numbers and chance for the tests.

use std::sync::Arc;

use model::instrument::OptionKind;
use model::money::Multiplier;
use model::rules::{ExchangeRules, Settlement};
use model::session::{SessionGroup, SessionStatus, SessionWindow, Sessions, Takes, TradingDay};
use model::time::{DAY, HOUR, SECOND};
use model::{AssetClass, Date, Instrument, InstrumentIdx, Instruments, Price, Quantity, Timestamp};

/// Index of `MCX:GOLD`: a future in rupees with a multiplier of 2.5 and lots of two.
pub const GOLD: InstrumentIdx = InstrumentIdx(0);
/// Index of `NSE:AXIS`: a share in rupees.
pub const AXIS: InstrumentIdx = InstrumentIdx(1);
/// Index of `NSE:BEL`: a share in rupees.
pub const BEL: InstrumentIdx = InstrumentIdx(2);
/// Index of `US:COIN`: fractional units in dollars, open around the clock.
pub const COIN: InstrumentIdx = InstrumentIdx(3);

/// `XF:AC`, a call on `AXIS` at 100 that is settled in cash on the second day.
pub const CALL: InstrumentIdx = InstrumentIdx(4);
/// `XF:AF`, a future that is settled in cash then.
pub const FUTURE: InstrumentIdx = InstrumentIdx(5);
/// `XF:AP`, a put on `AXIS` at 100.
pub const PUT: InstrumentIdx = InstrumentIdx(6);
/// `XF:BD`, a future that is delivered then.
pub const DELIVERED: InstrumentIdx = InstrumentIdx(7);
/// `XF:ZC`, a call on what is not among the instruments.
pub const ORPHAN: InstrumentIdx = InstrumentIdx(8);

/// One registry for all: what every part of a system shares.
pub fn instruments() -> Arc<Instruments> {
    static SHARED: std::sync::LazyLock<Arc<Instruments>> =
        std::sync::LazyLock::new(|| Arc::new(registry()));
    Arc::clone(&SHARED)
}

pub fn registry() -> Instruments {
    let (inr, usd) = ("INR".parse().unwrap(), "USD".parse().unwrap());
    let gold = Instrument {
        expiry: Some(Timestamp(EPOCH + GOLD_DAYS * DAY).utc().0),
        asset_class: AssetClass::Futures,
        multiplier: Multiplier::from_hundredths(250).unwrap(),
        lot_size: units(2),
        ..Instrument::share("MCX", "GOLD", inr)
    };
    let coin = Instrument {
        asset_class: AssetClass::Crypto,
        tick_size: Price::from_raw(1),
        lot_size: Quantity::MIN,
        ..Instrument::share("US", "COIN", usd)
    };
    let shares = ["AXIS", "BEL"].map(|symbol| Instrument::share("NSE", symbol, inr));
    let contract = |symbol: &str| {
        let kind = match &symbol[1..] {
            "C" => Some(OptionKind::Call),
            "P" => Some(OptionKind::Put),
            _ => None,
        };
        Instrument {
            expiry: Some(Timestamp(EPOCH + DAY).utc().0),
            asset_class: match kind {
                Some(_) => AssetClass::Options,
                None => AssetClass::Futures,
            },
            strike: kind.map(|_| Price::from_int(100).unwrap()),
            option_kind: kind,
            ..Instrument::share("XF", symbol, inr)
        }
    };
    let contracts = ["AC", "AF", "AP", "BD", "ZC"].map(contract);
    let all = [gold, coin].into_iter().chain(shares);
    let all = all.chain(contracts).collect();
    Instruments::new(all).unwrap()
}

/// Ten to four every day of UTC, but around the clock for `US`; `BEL` has a closing auction of twenty
/// minutes that takes no stop orders.
pub struct Hours;

/// The largest order of `AXIS`.
pub const FREEZE: i64 = 1_000_000;

/// Days from the first one to `GOLD`'s last.
pub const GOLD_DAYS: i64 = 30;

/// Seconds of the closing auction.
pub const AUCTION: i64 = 20 * 60;

const HOURLESS: SessionGroup = SessionGroup(1);
const AUCTIONED: SessionGroup = SessionGroup(2);

/// A freeze quantity for one share, and how contracts end.
pub struct Freeze;

impl ExchangeRules for Freeze {
    fn freeze_quantity(&self, instrument: &Instrument, _: Date) -> Option<Quantity> {
        (instrument.symbol == "AXIS").then(|| units(FREEZE))
    }
    fn settlement(&self, instrument: &Instrument) -> Settlement {
        match instrument.id.as_str() {
            "XF:BD" => Settlement::Physical,
            id if id.starts_with("XF:") => Settlement::Cash,
            _ => Settlement::None,
        }
    }
    fn underlying<'a>(&self, instrument: &'a Instrument) -> Option<&'a str> {
        match instrument.symbol.as_str() {
            "AC" | "AP" => Some("AXIS"),
            "ZC" => Some("ZEN"),
            _ => None,
        }
    }
}

pub const OPEN: i64 = 10 * HOUR;
pub const CLOSE: i64 = 16 * HOUR;
const EPOCH: i64 = 20_000 * DAY;

impl Sessions for Hours {
    fn groups(&self) -> usize {
        3
    }
    fn group(&self, instrument: &Instrument) -> SessionGroup {
        match instrument.id.as_str() {
            "US:COIN" => HOURLESS,
            "NSE:BEL" => AUCTIONED,
            _ => SessionGroup(0),
        }
    }
    fn status(&self, group: SessionGroup, at: Timestamp) -> SessionStatus {
        if group == HOURLESS {
            return model::session::AlwaysOpen.status(SessionGroup(0), at);
        }
        let day = at.nanos().div_euclid(DAY) * DAY;
        let time = at.nanos() - day;
        if time < OPEN {
            SessionStatus::Closed {
                next_open: Timestamp(day + OPEN),
            }
        } else if time < CLOSE {
            let (open, close) = (Timestamp(day + OPEN), Timestamp(day + CLOSE));
            SessionStatus::Open(SessionWindow { open, close })
        } else {
            SessionStatus::Closed {
                next_open: Timestamp(day + DAY + OPEN),
            }
        }
    }
    fn auction_takes(&self, group: SessionGroup, at: Timestamp) -> Option<Takes> {
        let SessionStatus::Open(window) = self.status(group, at) else {
            return None;
        };
        let is_auction = group == AUCTIONED && at >= self.continuous_close(group, &window);
        is_auction.then_some(Takes {
            stop: false,
            iceberg: false,
            ..Takes::ALL
        })
    }
    fn continuous_close(&self, group: SessionGroup, window: &SessionWindow) -> Timestamp {
        match group {
            AUCTIONED => window.close.plus(-AUCTION * SECOND),
            _ => window.close,
        }
    }
    fn data_expected(&self, group: SessionGroup, at: Timestamp) -> SessionStatus {
        self.status(group, at)
    }
    fn trading_day(&self, at: Timestamp) -> TradingDay {
        // It begins at six.
        let shifted = at.plus(-6 * HOUR);
        let (date, ..) = shifted.utc();
        let start = Timestamp(shifted.nanos().div_euclid(DAY) * DAY + 6 * HOUR);
        TradingDay {
            date,
            start,
            end: start.plus(DAY),
        }
    }
}

/// So many seconds after the first session's open.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp(EPOCH + OPEN + seconds * SECOND)
}

/// Seconds from a session's open to its close, and from open to open.
pub const SESSION: i64 = (CLOSE - OPEN) / SECOND;
pub const NEXT_DAY: i64 = DAY / SECOND;

pub fn quantity(text: &str) -> Quantity {
    text.parse().unwrap()
}

pub fn units(count: i64) -> Quantity {
    Quantity::from_int(count).unwrap()
}

pub fn amount(text: &str) -> model::Amount {
    text.parse().unwrap()
}

/// SplitMix64: chance with a seed, S. Vigna, <https://prng.di.unimi.it/splitmix64.c>.
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// Below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
    pub fn within(&mut self, from: i64, to: i64) -> i64 {
        from + self.below((to - from + 1) as u64) as i64
    }
    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}
