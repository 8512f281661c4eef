//! Instants and days of raw files in their time zone, fast enough for millions of rows.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use model::time::{DAY, HOUR, MINUTE, SECOND};
use model::{Date, Timestamp};

use crate::error::DataError;

/// An instant and the local day that it falls on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The instant.
    pub ts: Timestamp,
    /// Its date in the clock's time zone.
    pub day: Date,
}

/// Reads stamps in one time zone. The zone's rules are looked up once per date, not per row.
#[derive(Debug, Clone)]
pub struct Clock {
    zone: TimeZone,
    /// Offset of a local date, `None` where it changes within the day.
    offsets: BTreeMap<Date, Option<i64>>,
    last_offset: (Date, i64),
    /// Start of a local day in UTC to its end and date.
    days: BTreeMap<i64, (i64, Date)>,
    last_day: (i64, i64, Date),
}

/// Looks a time zone up by its name in the IANA data base that the program carries.
pub fn time_zone(name: &str) -> Result<TimeZone, DataError> {
    TimeZone::get(name).map_err(|_| {
        DataError::setting(
            format!("unknown time zone `{name}`"),
            "give an IANA name such as Asia/Kolkata, America/New_York or UTC",
        )
    })
}

/// A bound of a range: a date means the start of that day in `zone`, otherwise RFC 3339.
pub fn parse_bound(text: &str, zone: &TimeZone) -> Result<Timestamp, DataError> {
    let mut clock = Clock::new(zone.clone());
    let bad = || {
        DataError::setting(
            format!("`{text}` is neither a date nor an instant"),
            "write 2021-04-15 or 2021-04-15T09:15:00+05:30",
        )
    };
    if let Some(date) = Date::parse(text) {
        return clock.start_of(date).map(Timestamp).ok_or_else(bad);
    }
    clock
        .parse(text.as_bytes(), false)
        .map(|stamp| stamp.ts)
        .ok_or_else(bad)
}

impl Clock {
    /// For a time zone.
    pub fn new(zone: TimeZone) -> Self {
        Self {
            zone,
            offsets: BTreeMap::new(),
            last_offset: (Date::from_days(i32::MIN), 0),
            days: BTreeMap::new(),
            last_day: (0, 0, Date::from_days(0)),
        }
    }

    /// The name of its time zone.
    pub fn zone_name(&self) -> String {
        self.zone.iana_name().unwrap_or("UTC").to_owned()
    }

    /// Reads `YYYY-MM-DD HH:MM:SS[.fraction]` (also with `T`, and a date alone) in the clock's zone,
    /// RFC 3339, or an integer since the epoch: nanoseconds when `nanos`, otherwise of the unit
    /// that its size tells: below 10¹¹ seconds, below 10¹⁴ milliseconds, below 10¹⁷
    /// microseconds, else nanoseconds. A local time that occurs twice means the first of the two.
    #[inline]
    pub fn parse(&mut self, text: &[u8], nanos: bool) -> Option<Stamp> {
        let text = text.trim_ascii();
        if text.len() >= 10 && text[4] == b'-' && text[7] == b'-' {
            self.parse_civil(text)
        } else {
            let ts = Timestamp(epoch(text, nanos)?);
            Some(Stamp {
                ts,
                day: self.day(ts)?,
            })
        }
    }

    #[inline]
    fn parse_civil(&mut self, text: &[u8]) -> Option<Stamp> {
        let year = two(text, 0)? * 100 + two(text, 2)?;
        let date = self.date(year, two(text, 5)?, two(text, 8)?)?;
        if text.len() == 10 {
            return Some(Stamp {
                ts: Timestamp(self.start_of(date)?),
                day: date,
            });
        }
        if text.len() < 19
            || !matches!(text[10], b' ' | b'T' | b't')
            || text[13] != b':'
            || text[16] != b':'
        {
            return None;
        }
        let (hour, minute, second) = (two(text, 11)?, two(text, 14)?, two(text, 17)?);
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let mut at = 19;
        let mut fraction = 0;
        if text.get(at) == Some(&b'.') {
            let mut unit = SECOND;
            at += 1;
            let first = at;
            while let Some(digit) = text.get(at).filter(|b| b.is_ascii_digit()) {
                let digit = i64::from(digit - b'0');
                unit /= 10;
                // Below a nanosecond only zeros can be represented exactly.
                if unit == 0 && digit != 0 {
                    return None;
                }
                fraction += digit * unit;
                at += 1;
            }
            if at == first {
                return None;
            }
        }
        let of_day = hour * HOUR + minute * MINUTE + second * SECOND + fraction;
        let local = i64::from(date.days())
            .checked_mul(DAY)?
            .checked_add(of_day)?;
        if at == text.len() {
            return self.localise(date, local);
        }
        let offset = offset(&text[at..])?;
        let ts = Timestamp(local.checked_sub(offset)?);
        Some(Stamp {
            ts,
            day: self.day(ts)?,
        })
    }

    #[inline]
    fn date(&self, year: i64, month: i64, day: i64) -> Option<Date> {
        Date::new(year as i32, month as u8, day as u8)
    }

    #[inline]
    fn localise(&mut self, date: Date, local: i64) -> Option<Stamp> {
        if self.last_offset.0 != date {
            match self.offset_of(date) {
                Some(offset) => self.last_offset = (date, offset),
                None => {
                    let ts = Timestamp(self.local_instant(local)?);
                    return Some(Stamp {
                        ts,
                        day: self.day(ts)?,
                    });
                }
            }
        }
        Some(Stamp {
            ts: Timestamp(local.checked_sub(self.last_offset.1)?),
            day: date,
        })
    }

    #[cold]
    fn offset_of(&mut self, date: Date) -> Option<i64> {
        if let Some(known) = self.offsets.get(&date) {
            return *known;
        }
        let start = i64::from(date.days()).checked_mul(DAY)?;
        let at = |clock: &Self, local: i64| Some(local - clock.local_instant(local)?);
        let first = at(self, start);
        let constant = first.filter(|first| {
            [6 * HOUR, 12 * HOUR, 18 * HOUR, DAY]
                .iter()
                .all(|later| at(self, start.saturating_add(*later)) == Some(*first))
        });
        self.offsets.insert(date, constant);
        constant
    }

    /// The instant of a local time given as if it were UTC.
    fn local_instant(&self, local: i64) -> Option<i64> {
        let civil =
            TimeZone::UTC.to_datetime(jiff::Timestamp::from_nanosecond(i128::from(local)).ok()?);
        let instant = self.zone.to_ambiguous_timestamp(civil).compatible().ok()?;
        i64::try_from(instant.as_nanosecond()).ok()
    }

    /// The first instant of a local day.
    pub fn start_of(&mut self, date: Date) -> Option<i64> {
        let local = i64::from(date.days()).checked_mul(DAY)?;
        self.local_instant(local)
    }

    /// The local date of an instant.
    #[inline]
    pub fn day(&mut self, ts: Timestamp) -> Option<Date> {
        let (start, end, date) = self.last_day;
        if (start..end).contains(&ts.0) {
            return Some(date);
        }
        self.look_up_day(ts)
    }

    #[cold]
    fn look_up_day(&mut self, ts: Timestamp) -> Option<Date> {
        if let Some((start, (end, date))) = self.days.range(..=ts.0).next_back()
            && ts.0 < *end
        {
            self.last_day = (*start, *end, *date);
            return Some(*date);
        }
        let instant = jiff::Timestamp::from_nanosecond(i128::from(ts.0)).ok()?;
        let civil = self.zone.to_datetime(instant);
        let date = Date::new(
            i32::from(civil.year()),
            civil.month() as u8,
            civil.day() as u8,
        )?;
        let (start, end) = (self.start_of(date)?, self.start_of(date.next())?);
        // A zone whose clock jumps over midnight can leave an instant outside its own date's span.
        if (start..end).contains(&ts.0) {
            self.days.insert(start, (end, date));
            self.last_day = (start, end, date);
        }
        Some(date)
    }
}

#[inline]
fn two(text: &[u8], at: usize) -> Option<i64> {
    let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}

/// `Z` or `±HH:MM`, in nanoseconds east of UTC.
fn offset(text: &[u8]) -> Option<i64> {
    match text {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (two(text, 1)?, two(text, 4)?);
            let east = (hours < 24 && minutes < 60).then_some(hours * HOUR + minutes * MINUTE)?;
            Some(if *sign == b'+' { east } else { -east })
        }
        _ => None,
    }
}

fn epoch(text: &[u8], nanos: bool) -> Option<i64> {
    let value: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    if nanos {
        return Some(value);
    }
    match value.unsigned_abs() {
        0..100_000_000_000 => value.checked_mul(SECOND),
        100_000_000_000..100_000_000_000_000 => value.checked_mul(1_000_000),
        100_000_000_000_000..100_000_000_000_000_000 => value.checked_mul(1_000),
        _ => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(zone: &str) -> Clock {
        Clock::new(time_zone(zone).unwrap())
    }

    #[test]
    fn every_way_to_write_one_instant_gives_it() {
        let mut india = clock("Asia/Kolkata");
        let ts = 1_618_458_304 * SECOND;
        for text in [
            "2021-04-15 09:15:04",
            "2021-04-15T09:15:04",
            "2021-04-15 09:15:04.000000000000",
            "2021-04-15T03:45:04Z",
            "2021-04-15T09:15:04+05:30",
            "2021-04-14 22:45:04.0-05:00",
            "1618458304",
            "1618458304000",
            "1618458304000000",
            "1618458304000000000",
        ] {
            let stamp = india.parse(text.as_bytes(), false).unwrap();
            assert_eq!(
                (stamp.ts.0, stamp.day.to_string().as_str()),
                (ts, "2021-04-15"),
                "{text}"
            );
        }
        assert_eq!(
            india.parse(b"1618458304", true).unwrap().ts.0,
            1_618_458_304
        );
        for bad in [
            "",
            "x",
            "2021-02-29 09:15:04",
            "2021-04-15 24:00:00",
            "2021-04-15 09:15",
            "2021-04-15 9:15:04",
            "2021-04-15 09:15:04.",
            "2021-04-15 09:15:04.0000000001",
            "2021-04-15 09:15:04 IST",
            "9999-01-01 00:00:00",
            "99999999999999999999",
            "1.5",
        ] {
            assert_eq!(india.parse(bad.as_bytes(), false), None, "{bad}");
        }
    }

    #[test]
    fn summer_time_agrees_with_the_time_zone_library() {
        let mut york = clock("America/New_York");
        let zone = time_zone("America/New_York").unwrap();
        // Every 17 minutes around both changes of 2021.
        for start in ["2021-03-13", "2021-11-06"] {
            let first = Date::parse(start).unwrap();
            for step in 0..250 {
                let local = i64::from(first.days()) * DAY + step * 17 * MINUTE;
                let civil = Timestamp(local)
                    .to_string()
                    .replace('T', " ")
                    .replace('Z', "");
                let stamp = york.parse(civil.as_bytes(), false).unwrap();
                let want: jiff::civil::DateTime = civil.parse().unwrap();
                let want = zone.to_ambiguous_zoned(want).compatible().unwrap();
                assert_eq!(
                    i128::from(stamp.ts.0),
                    want.timestamp().as_nanosecond(),
                    "{civil}"
                );
                assert_eq!(stamp.day.to_string(), want.date().to_string(), "{civil}");
            }
        }
    }

    #[test]
    fn bounds_are_dates_or_instants() {
        let india = time_zone("Asia/Kolkata").unwrap();
        let midnight = parse_bound("2021-04-15", &india).unwrap();
        assert_eq!(
            midnight,
            parse_bound("2021-04-14T18:30:00Z", &india).unwrap()
        );
        assert!(
            parse_bound("tomorrow", &india)
                .unwrap_err()
                .to_string()
                .contains("2021-04-15")
        );
        assert!(time_zone("Asia/Bombay2").is_err());
    }
}
