//! The small table of sessions that stands in the settings: one window a day per exchange.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use jiff::civil;
use jiff::tz::TimeZone;
use model::session::{SessionGroup, SessionStatus, SessionWindow, Sessions, TradingDay};
use model::{Date, Instrument, Timestamp};
use serde::Deserialize;

/// First and last year that a table covers; outside it a market with sessions is closed.
const YEARS: std::ops::RangeInclusive<i16> = 1990..=2069;

/// One exchange's sessions: `[sessions.NSE]`. An exchange without a table is always open.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionSettings {
    /// IANA name of the time zone of the times below.
    #[serde(default = "default_zone")]
    pub time_zone: String,
    /// First instant of trading, `HH:MM`.
    pub open: String,
    /// First instant after trading, `HH:MM`.
    pub close: String,
    /// Days of the week with trading.
    #[serde(default = "weekdays")]
    pub days: Vec<String>,
    /// Dates without trading, `YYYY-MM-DD`.
    #[serde(default)]
    pub holidays: Vec<String>,
    /// Dates with trading that the days of the week do not give, `YYYY-MM-DD`.
    #[serde(default)]
    pub extra_days: Vec<String>,
}

/// When a trading day starts: `[trading_day]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TradingDaySettings {
    /// IANA name of the time zone.
    pub time_zone: String,
    /// `HH:MM`.
    pub start: String,
}

/// 06:00 IST: when Indian brokers' sessions end.
impl Default for TradingDaySettings {
    fn default() -> Self {
        Self {
            time_zone: default_zone(),
            start: "06:00".to_owned(),
        }
    }
}

fn default_zone() -> String {
    "Asia/Kolkata".to_owned()
}

fn weekdays() -> Vec<String> {
    ["mon", "tue", "wed", "thu", "fri"]
        .map(str::to_owned)
        .to_vec()
}

fn zone(name: &str) -> anyhow::Result<TimeZone> {
    TimeZone::get(name)
        .with_context(|| format!("`time_zone` = `{name}`: give an IANA name such as Asia/Kolkata"))
}

fn time(key: &str, text: &str) -> anyhow::Result<civil::Time> {
    let parsed = text
        .split_once(':')
        .filter(|(h, m)| h.len() == 2 && m.len() == 2)
        .and_then(|(h, m)| civil::Time::new(h.parse().ok()?, m.parse().ok()?, 0, 0).ok());
    parsed.with_context(|| format!("`{key}` = `{text}`: write HH:MM, such as 09:15"))
}

fn dates(key: &str, texts: &[String]) -> anyhow::Result<BTreeSet<Date>> {
    texts
        .iter()
        .map(|text| {
            Date::parse(text)
                .with_context(|| format!("`{key}`: `{text}` is no date: write YYYY-MM-DD"))
        })
        .collect()
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl SessionSettings {
    /// Whether every value makes sense.
    pub fn check(&self) -> anyhow::Result<()> {
        self.windows(2021..=2021).map(|_| ())
    }

    fn windows(&self, years: std::ops::RangeInclusive<i16>) -> anyhow::Result<Vec<SessionWindow>> {
        let zone = zone(&self.time_zone)?;
        let (open, close) = (time("open", &self.open)?, time("close", &self.close)?);
        if open >= close {
            bail!(
                "`open` = {} is not before `close` = {}",
                self.open,
                self.close
            );
        }
        let mut trades = [false; 7];
        for day in &self.days {
            match DAYS.iter().position(|d| d == day) {
                Some(at) => trades[at] = true,
                None => bail!("`days`: unknown day `{day}`; known: {}", DAYS.join(", ")),
            }
        }
        let holidays = dates("holidays", &self.holidays)?;
        let extra = dates("extra_days", &self.extra_days)?;
        let instant = |date: civil::Date, time: civil::Time| -> anyhow::Result<Timestamp> {
            let zoned = date.to_datetime(time).to_zoned(zone.clone())?;
            let nanos = i64::try_from(zoned.timestamp().as_nanosecond())?;
            Ok(Timestamp(nanos))
        };
        let mut windows = Vec::new();
        let mut day = civil::Date::new(*years.start(), 1, 1)?;
        while day.year() <= *years.end() {
            let weekday = day.weekday().to_monday_zero_offset() as usize;
            let date = Date::new(i32::from(day.year()), day.month() as u8, day.day() as u8);
            let date = date.context("the calendar has every day")?;
            if (trades[weekday] && !holidays.contains(&date)) || extra.contains(&date) {
                windows.push(SessionWindow {
                    open: instant(day, open)?,
                    close: instant(day, close)?,
                });
            }
            day = day.tomorrow()?;
        }
        Ok(windows)
    }
}

impl TradingDaySettings {
    /// Whether every value makes sense.
    pub fn check(&self) -> anyhow::Result<()> {
        zone(&self.time_zone)?;
        time("start", &self.start).map(|_| ())
    }
}

/// The settings' sessions, ready to be asked.
#[derive(Debug, Clone)]
pub struct SessionTable {
    /// Group 0 is always open.
    exchanges: BTreeMap<String, SessionGroup>,
    windows: Vec<Vec<SessionWindow>>,
    zone: TimeZone,
    start: civil::Time,
    /// The settings in one fixed spelling.
    text: String,
}

impl SessionTable {
    /// From the settings.
    pub fn new(
        sessions: &BTreeMap<String, SessionSettings>,
        day: &TradingDaySettings,
    ) -> anyhow::Result<Self> {
        let mut exchanges = BTreeMap::new();
        let mut windows = vec![Vec::new()];
        for (exchange, session) in sessions {
            exchanges.insert(
                exchange.clone(),
                SessionGroup(u16::try_from(windows.len())?),
            );
            windows.push(
                session
                    .windows(YEARS)
                    .with_context(|| format!("[sessions.{exchange}]"))?,
            );
        }
        Ok(Self {
            exchanges,
            windows,
            zone: zone(&day.time_zone)?,
            start: time("start", &day.start)?,
            text: format!("{sessions:?}"),
        })
    }

    /// The sessions in one fixed spelling: a change of it changes what cleaning rejects.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn day_start(&self, date: civil::Date) -> Option<Timestamp> {
        let zoned = date
            .to_datetime(self.start)
            .to_zoned(self.zone.clone())
            .ok()?;
        i64::try_from(zoned.timestamp().as_nanosecond())
            .ok()
            .map(Timestamp)
    }

    fn trading_day_of(&self, at: Timestamp) -> Option<TradingDay> {
        let instant = jiff::Timestamp::from_nanosecond(i128::from(at.nanos())).ok()?;
        let mut date = instant.to_zoned(self.zone.clone()).date();
        if self.day_start(date)? > at {
            date = date.yesterday().ok()?;
        }
        Some(TradingDay {
            date: Date::new(i32::from(date.year()), date.month() as u8, date.day() as u8)?,
            start: self.day_start(date)?,
            end: self.day_start(date.tomorrow().ok()?)?,
        })
    }
}

impl Sessions for SessionTable {
    fn groups(&self) -> usize {
        self.windows.len()
    }
    fn group(&self, instrument: &Instrument) -> SessionGroup {
        self.exchanges
            .get(&instrument.exchange)
            .copied()
            .unwrap_or(SessionGroup(0))
    }
    fn status(&self, group: SessionGroup, at: Timestamp) -> SessionStatus {
        if group == SessionGroup(0) {
            let always = SessionWindow {
                open: Timestamp(0),
                close: Timestamp::MAX,
            };
            return SessionStatus::Open(always);
        }
        let windows = self
            .windows
            .get(group.index())
            .map_or(&[][..], Vec::as_slice);
        let next = windows.partition_point(|w| w.close <= at);
        match windows.get(next) {
            Some(window) if window.open <= at => SessionStatus::Open(*window),
            Some(window) => SessionStatus::Closed {
                next_open: window.open,
            },
            None => SessionStatus::Closed {
                next_open: Timestamp::MAX,
            },
        }
    }
    fn trading_day(&self, at: Timestamp) -> TradingDay {
        // Outside the years that a calendar knows, a day of UTC.
        self.trading_day_of(at)
            .unwrap_or_else(|| model::session::AlwaysOpen.trading_day(at))
    }
}

/// The keys of `[trading_day]`.
pub const TRADING_DAY_REFERENCE: &[(&str, &str, &str)] = &[
    ("time_zone", "\"Asia/Kolkata\"", "zone of the start"),
    (
        "start",
        "\"06:00\"",
        "when a trading day begins: daily counters and losses start anew",
    ),
];

/// The keys of `[sessions.EXCHANGE]`.
pub const SESSION_REFERENCE: &[(&str, &str, &str)] = &[
    ("time_zone", "\"Asia/Kolkata\"", "zone of the times"),
    ("open", "required", "first instant of trading, `HH:MM`"),
    ("close", "required", "first instant after trading, `HH:MM`"),
    (
        "days",
        "[\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"]",
        "days of the week with trading",
    ),
    ("holidays", "[]", "dates without trading"),
    (
        "extra_days",
        "[]",
        "dates with trading that the days of the week do not give",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_follows_its_table_and_others_never_close() {
        let settings = crate::settings::Settings::parse(
            "[sessions.NSE]\nopen = \"09:15\"\nclose = \"15:30\"\nholidays = [\"2021-04-14\"]",
            "test",
        )
        .unwrap();
        let table = settings.session_table().unwrap();
        let nse = Instrument::share("NSE", "A", "INR".parse().unwrap());
        let other = Instrument::share("X", "A", "INR".parse().unwrap());
        let at = |text: &str| {
            let instant: jiff::Timestamp = text.parse().unwrap();
            Timestamp(i64::try_from(instant.as_nanosecond()).unwrap())
        };
        let status = |text| table.status(table.group(&nse), at(text));
        let open = SessionWindow {
            open: at("2021-04-15T09:15:00+05:30"),
            close: at("2021-04-15T15:30:00+05:30"),
        };
        assert_eq!(
            status("2021-04-15T09:15:00+05:30"),
            SessionStatus::Open(open)
        );
        assert_eq!(
            status("2021-04-15T15:29:59.9+05:30"),
            SessionStatus::Open(open)
        );
        let next = at("2021-04-16T09:15:00+05:30");
        assert_eq!(
            status("2021-04-15T15:30:00+05:30"),
            SessionStatus::Closed { next_open: next }
        );
        // The holiday and the weekend are skipped.
        assert_eq!(
            status("2021-04-13T16:00:00+05:30"),
            SessionStatus::Closed {
                next_open: open.open
            }
        );
        assert!(matches!(
            table.status(table.group(&other), at("2021-04-18T03:00:00Z")),
            SessionStatus::Open(_)
        ));
        let day = table.trading_day(at("2021-04-16T05:59:59+05:30"));
        assert_eq!(day.date.to_string(), "2021-04-15");
        assert_eq!(day.end, at("2021-04-16T06:00:00+05:30"));
    }
}
