//! The settings of cleaning.

use std::fmt;

use jiff::tz::TimeZone;
use model::fixed::ONE;
use model::market::{BarStamp, Timeframe};
use model::session::Sessions;

use crate::error::DataError;
use crate::number::decimal;
use crate::raw::columns::ColumnMap;

/// How far a price may lie from the last kept one, as a share of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Band(i64);

impl Band {
    /// No limit.
    pub const OFF: Self = Self(0);

    /// From a percentage between 0 and 1000; 0 switches the rule off.
    pub fn from_percent(text: &str) -> Result<Self, DataError> {
        let plain = text.trim().trim_end_matches('%').trim_end();
        decimal(plain.as_bytes())
            .filter(|percent| (0..=1_000 * ONE).contains(percent) && percent % 100 == 0)
            .map(|percent| Self(percent / 100))
            .ok_or_else(|| {
                DataError::setting(
                    format!("`{text}` is not a band"),
                    "give a percentage from 0 (off) to 1000, such as 20",
                )
            })
    }

    /// True when a move from `base` to `price` (both in units of 10⁻⁸) stays within the band.
    #[inline]
    pub fn allows(self, base: i64, price: i64) -> bool {
        self.0 == 0
            || i128::from(price.abs_diff(base)) * i128::from(ONE)
                <= i128::from(base) * i128::from(self.0)
    }
}

/// 20 %: the widest daily price band of an Indian share that is not a derivative's underlying.
impl Default for Band {
    fn default() -> Self {
        Self(ONE / 5)
    }
}

/// A percentage.
impl fmt::Display for Band {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", model::Price::from_raw(self.0.saturating_mul(100)))
    }
}

/// The hours outside of which rows are rejected.
#[derive(Clone)]
pub struct SessionRule<'a> {
    /// The calendar.
    pub sessions: &'a dyn Sessions,
    /// Describes the calendar completely: an import whose text differs is done again.
    pub text: String,
}

/// How raw rows are read and cleaned.
#[derive(Clone)]
pub struct Cleaning<'a> {
    /// The zone of stamps without one, of the path's date and of the days that data is kept by.
    pub zone: TimeZone,
    /// Columns with unusual names.
    pub columns: ColumnMap,
    /// The band of the rule against jumps.
    pub band: Band,
    /// The hours; `None` keeps rows of any hour.
    pub sessions: Option<SessionRule<'a>>,
    /// The length of bars. A bar file does not tell it.
    pub timeframe: Option<Timeframe>,
    /// Whether a bar's stamp is its open or its close.
    pub bar_stamp: BarStamp,
}

impl Cleaning<'_> {
    /// The usual rules in a zone, with rows of any hour.
    pub fn new(zone: TimeZone) -> Self {
        Self {
            zone,
            columns: ColumnMap::default(),
            band: Band::default(),
            sessions: None,
            timeframe: None,
            bar_stamp: BarStamp::default(),
        }
    }

    /// The name of the zone.
    pub fn zone_name(&self) -> String {
        self.zone.iana_name().unwrap_or("UTC").to_owned()
    }

    /// Everything here that has a say in what is kept, in one fixed spelling.
    pub fn text(&self) -> String {
        format!(
            "rules 1; zone {}; columns {}; band {}; session {}; timeframe {}; stamp {:?}",
            self.zone_name(),
            self.columns.text(),
            self.band,
            self.sessions.as_ref().map_or("any hour", |rule| &rule.text),
            self.timeframe
                .map_or_else(|| "none".to_owned(), |t| t.to_string()),
            self.bar_stamp,
        )
    }
}

impl fmt::Debug for Cleaning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}
