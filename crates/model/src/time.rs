//! Instants and dates as plain integers. Calendars and time zones live at the edges.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An instant: nanoseconds since 1970-01-01 UTC.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// Nanoseconds in a second.
pub const SECOND: i64 = 1_000_000_000;
/// Nanoseconds in a minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Nanoseconds in an hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Nanoseconds in a day of UTC.
pub const DAY: i64 = 24 * HOUR;

impl Timestamp {
    /// Before every instant: "never yet".
    pub const MIN: Self = Self(i64::MIN);
    /// After every instant: "never".
    pub const MAX: Self = Self(i64::MAX);

    /// Nanoseconds since 1970-01-01 UTC.
    pub const fn nanos(self) -> i64 {
        self.0
    }
    /// Later by `nanos`; stops at the ends of the range.
    pub const fn plus(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
    /// Nanoseconds from `earlier` to this instant; stops at the ends of the range.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
    /// The civil date and the time of day in UTC: (date, hour, minute, second, nanosecond).
    pub fn utc(self) -> (Date, u8, u8, u8, u32) {
        let (day, rest) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        (
            Date::from_days(day as i32),
            (rest / HOUR) as u8,
            (rest % HOUR / MINUTE) as u8,
            (rest % MINUTE / SECOND) as u8,
            (rest % SECOND) as u32,
        )
    }
}

/// RFC 3339 in UTC, with as many decimals of the second as are needed in groups of three.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, hour, minute, second, nanos) = self.utc();
        write!(f, "{date}T{hour:02}:{minute:02}:{second:02}")?;
        match nanos {
            0 => {}
            n if n % 1_000_000 == 0 => write!(f, ".{:03}", n / 1_000_000)?,
            n if n % 1_000 == 0 => write!(f, ".{:06}", n / 1_000)?,
            n => write!(f, ".{n:09}")?,
        }
        f.write_str("Z")
    }
}

/// A civil date of the proleptic Gregorian calendar, as days since 1970-01-01.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Date(i32);

impl Date {
    /// From days since 1970-01-01.
    pub const fn from_days(days: i32) -> Self {
        Self(days)
    }
    /// Days since 1970-01-01.
    pub const fn days(self) -> i32 {
        self.0
    }
    /// From year, month and day; `None` when there is no such date.
    pub fn new(year: i32, month: u8, day: u8) -> Option<Self> {
        if !(1..=12).contains(&month) || day < 1 || !(0..=9999).contains(&year) {
            return None;
        }
        // Days from civil, H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
        let y = i64::from(year) - i64::from(month <= 2);
        let era = y.div_euclid(400);
        let yoe = y - era * 400;
        let mp = (i64::from(month) + 9) % 12;
        let doy = (153 * mp + 2) / 5 + i64::from(day) - 1;
        let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
        let date = Self((era * 146_097 + doe - 719_468) as i32);
        (date.ymd() == (year, month, day)).then_some(date)
    }
    /// Year, month, day.
    pub fn ymd(self) -> (i32, u8, u8) {
        let z = i64::from(self.0) + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = (doy - (153 * mp + 2) / 5 + 1) as u8;
        let month = if mp < 10 { mp + 3 } else { mp - 9 } as u8;
        ((yoe + era * 400 + i64::from(month <= 2)) as i32, month, day)
    }
    /// From `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Option<Self> {
        let b = text.as_bytes();
        if b.len() != 10 || b[4] != b'-' || b[7] != b'-' {
            return None;
        }
        let number = |part: &str| {
            part.bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| part.parse::<i32>().ok())
                .flatten()
        };
        let (year, month, day) = (
            number(text.get(..4)?)?,
            number(text.get(5..7)?)?,
            number(text.get(8..)?)?,
        );
        Self::new(year, month as u8, day as u8)
    }
    /// The next day.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
    /// 0 for Monday to 6 for Sunday.
    pub const fn weekday(self) -> u8 {
        (self.0 + 3).rem_euclid(7) as u8
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.ymd();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_round_trip_and_know_their_weekday() {
        for days in -1000..60_000 {
            let date = Date::from_days(days);
            let (y, m, d) = date.ymd();
            if (0..=9999).contains(&y) {
                assert_eq!(Date::new(y, m, d), Some(date));
                assert_eq!(Date::parse(&date.to_string()), Some(date));
            }
        }
        assert_eq!(Date::parse("2021-04-15").unwrap().weekday(), 3);
        assert_eq!(Date::new(2021, 2, 29), None);
        assert_eq!(Date::parse("2021-4-15"), None);
    }

    #[test]
    fn timestamps_print_as_rfc_3339() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(
            Timestamp(1_500_000).to_string(),
            "1970-01-01T00:00:00.001500Z"
        );
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999999999Z");
    }
}
