//! Between instants and the civil time of a market's zone.

use jiff::civil;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use model::{Date, Timestamp};

/// Minutes of a whole day.
pub(crate) const DAY_MINUTES: u16 = 24 * 60;

/// A time zone of the tables that are compiled in: the same on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Zone(TimeZone);

impl Zone {
    /// By its IANA name.
    pub fn get(name: &str) -> Option<Self> {
        TimeZoneDatabase::bundled().get(name).ok().map(Self)
    }

    /// The civil date that holds an instant.
    pub fn date(&self, at: Timestamp) -> Date {
        let instant = jiff::Timestamp::from_nanosecond(i128::from(at.nanos()));
        let local = instant.map(|instant| instant.to_zoned(self.0.clone()).date());
        local
            .ok()
            .and_then(|d| Date::new(i32::from(d.year()), d.month() as u8, d.day() as u8))
            .unwrap_or_else(|| at.utc().0)
    }

    /// The instant of a minute of a date; [`DAY_MINUTES`] is the start of the next date. Stops at
    /// the ends of what an instant can be.
    pub fn instant(&self, date: Date, minute: u16) -> Timestamp {
        let (date, minute) = if minute >= DAY_MINUTES {
            (date.next(), 0)
        } else {
            (date, minute)
        };
        let end = if date.days() < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        civil_date(date)
            .map(|day| day.at((minute / 60) as i8, (minute % 60) as i8, 0, 0))
            .and_then(|local| local.to_zoned(self.0.clone()).ok())
            .and_then(|zoned| i64::try_from(zoned.timestamp().as_nanosecond()).ok())
            .map_or(end, Timestamp)
    }

    /// An instant as it is written in the zone: `2026-11-25T09:15:00+05:30`.
    pub fn local(&self, at: Timestamp) -> String {
        let instant = jiff::Timestamp::from_nanosecond(i128::from(at.nanos()));
        match instant.map(|instant| instant.to_zoned(self.0.clone())) {
            Ok(zoned) => zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            Err(_) => at.to_string(),
        }
    }

    /// An instant from RFC 3339, or from a date and a time of the zone; a date alone is its start, a
    /// time alone is one of `today`.
    pub fn parse(&self, text: &str, today: Date) -> Option<Timestamp> {
        let instant = text.parse::<jiff::Timestamp>().ok().or_else(|| {
            let local = match (text.parse::<civil::DateTime>(), text.parse::<civil::Time>()) {
                (Ok(local), _) => local,
                (_, Ok(time)) => civil_date(today)?.to_datetime(time),
                _ => text.parse::<civil::Date>().ok()?.at(0, 0, 0, 0),
            };
            Some(local.to_zoned(self.0.clone()).ok()?.timestamp())
        })?;
        i64::try_from(instant.as_nanosecond()).ok().map(Timestamp)
    }

    /// Whether daylight saving is in force at noon of a date.
    pub fn is_summer(&self, date: Date) -> bool {
        let noon = self.instant(date, DAY_MINUTES / 2);
        jiff::Timestamp::from_nanosecond(i128::from(noon.nanos()))
            .is_ok_and(|noon| self.0.to_offset_info(noon).dst().is_dst())
    }
}

fn civil_date(date: Date) -> Option<civil::Date> {
    let (year, month, day) = date.ymd();
    civil::Date::new(i16::try_from(year).ok()?, month as i8, day as i8).ok()
}

/// `HH:MM` as minutes since midnight, up to `24:00`.
pub(crate) fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    if hour.len() != 2 || minute.len() != 2 {
        return None;
    }
    let number = |part: &str| {
        part.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| part.parse::<u16>().ok())
            .flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= DAY_MINUTES).then_some(total)
}
