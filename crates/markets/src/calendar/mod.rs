//! Calendars: when a market trades, in which phases, and how well that is known.

mod day;
mod file;
mod sessions;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Date, Timestamp};

use crate::civil::Zone;
use crate::provenance::Evidence;

pub use model::session::Takes;

pub use day::{DayState, Hours, PhaseWindow};
pub use sessions::{Assume, Gap, MarketSessions, TradingDayStart};
pub use status::{Next, State, Status};

/// Why a calendar's text or a question to it was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// The text is not of the expected form.
    #[error("not a calendar: {0}")]
    Toml(String),
    /// An entry makes no sense.
    #[error("[[{entry}]]: {what}")]
    Entry {
        /// The kind of entry.
        entry: String,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// The calendar knows no such market.
    #[error("no calendar for the exchange `{exchange}`; known: {known}")]
    UnknownExchange {
        /// What was asked for.
        exchange: String,
        /// The markets that there are.
        known: String,
    },
    /// The market has no such segment.
    #[error("{exchange} has no segment `{segment}`; known: {known}")]
    UnknownSegment {
        /// The market.
        exchange: String,
        /// What was asked for.
        segment: String,
        /// Its segments.
        known: String,
    },
}

/// A market's segment: what hours are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Venue {
    market: usize,
    segment: usize,
}

/// Days for which an entry says that holidays are known.
#[derive(Debug, Clone)]
struct Coverage {
    from: Date,
    /// The last day.
    to: Date,
    evidence: Evidence,
}

/// One phase or stage of one as the file gives it, in minutes of the local day.
#[derive(Debug, Clone)]
struct Row {
    name: Arc<str>,
    stage: Option<Arc<str>>,
    from: u16,
    to: u16,
    /// Another end while the clocks of a zone stand on winter time.
    winter: Option<(Zone, u16)>,
    random_from: Option<u16>,
    is_open: bool,
    takes: Takes,
}

#[derive(Debug, Clone)]
enum SpecialHours {
    Regular,
    Own(Arc<[Row]>),
    Unknown,
}

#[derive(Debug, Clone)]
enum DayKind {
    Closed,
    Partial { from: u16, to: u16 },
    Special(SpecialHours),
}

impl DayKind {
    /// Which of several entries for one date counts: a special session is held on a holiday.
    fn rank(&self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Partial { .. } => 1,
            Self::Special(_) => 2,
        }
    }
}

#[derive(Debug, Clone)]
struct DayRule {
    layer: u8,
    /// Empty: all.
    segments: Vec<String>,
    kind: DayKind,
    what: Arc<str>,
    evidence: Evidence,
}

#[derive(Debug, Clone)]
struct Session {
    layer: u8,
    segments: Vec<String>,
    from: Date,
    to: Option<Date>,
    rows: Arc<[Row]>,
    evidence: Evidence,
}

#[derive(Debug, Clone)]
struct Market {
    exchange: Arc<str>,
    aliases: Vec<String>,
    zone: Zone,
    trades: [bool; 7],
    segments: Vec<String>,
    always: bool,
    coverage: Vec<Coverage>,
    days: BTreeMap<Date, Vec<DayRule>>,
    sessions: Vec<Session>,
}

/// When markets trade.
#[derive(Debug, Clone)]
pub struct Calendar {
    version: Arc<str>,
    markets: Vec<Market>,
}

impl Calendar {
    /// The calendar of this crate's data file.
    pub fn embedded() -> Result<Self, CalendarError> {
        let mut calendar = Self {
            version: Arc::from(""),
            markets: Vec::new(),
        };
        calendar.add(include_str!("../../data/calendar.toml"), 0)?;
        Ok(calendar)
    }

    /// The embedded calendar with a user's text above it: its markets and coverage are added, and
    /// of several entries for one day or one session the user's counts.
    pub fn with_overrides(text: &str) -> Result<Self, CalendarError> {
        let mut calendar = Self::embedded()?;
        calendar.add(text, 1)?;
        Ok(calendar)
    }

    /// The version of the embedded data.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The markets with their segments, the default one first.
    pub fn markets(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.markets
            .iter()
            .map(|market| (&*market.exchange, market.segments.as_slice()))
    }

    fn market(&self, name: &str) -> Option<usize> {
        self.markets
            .iter()
            .position(|m| &*m.exchange == name || m.aliases.iter().any(|alias| alias == name))
    }

    /// A market's segment by name; without a segment the market's first.
    pub fn venue(&self, exchange: &str, segment: Option<&str>) -> Result<Venue, CalendarError> {
        let market = self.market(exchange).ok_or_else(|| {
            let known: Vec<&str> = self.markets.iter().map(|m| &*m.exchange).collect();
            CalendarError::UnknownExchange {
                exchange: exchange.to_owned(),
                known: known.join(", "),
            }
        })?;
        let segments = &self.markets[market].segments;
        let at = segment.map_or(Some(0), |name| segments.iter().position(|s| s == name));
        match at {
            Some(segment) => Ok(Venue { market, segment }),
            None => Err(CalendarError::UnknownSegment {
                exchange: exchange.to_owned(),
                segment: segment.unwrap_or_default().to_owned(),
                known: segments.join(", "),
            }),
        }
    }

    /// An instant as it is written in a venue's zone: `2026-11-25T09:15:00+05:30`.
    pub fn local(&self, venue: Venue, at: Timestamp) -> String {
        self.markets[venue.market].zone.local(at)
    }

    /// An instant from RFC 3339, or from a date, a time or both of a venue's zone; a date alone is its
    /// start, a time alone is one of `today`. `None` where it is neither.
    pub fn parse_time(&self, venue: Venue, text: &str, today: Date) -> Option<Timestamp> {
        self.markets[venue.market].zone.parse(text, today)
    }

    /// The market of a venue by its own name, whatever it was asked for.
    pub fn exchange(&self, venue: Venue) -> &str {
        &self.markets[venue.market].exchange
    }

    /// The stretches of dates that are covered, with what supports them.
    pub fn coverage(&self, exchange: &str) -> Vec<(Date, Date, Evidence)> {
        let Some(market) = self.market(exchange) else {
            return Vec::new();
        };
        let coverage = self.markets[market].coverage.iter();
        coverage
            .map(|c| (c.from, c.to, c.evidence.clone()))
            .collect()
    }

    /// The name of a venue's segment.
    pub fn segment(&self, venue: Venue) -> &str {
        &self.markets[venue.market].segments[venue.segment]
    }

    /// A venue written as `EXCHANGE` or `EXCHANGE:SEGMENT`.
    pub fn venue_of(&self, text: &str) -> Result<Venue, CalendarError> {
        match text.split_once(':') {
            Some((exchange, segment)) => self.venue(exchange, Some(segment)),
            None => self.venue(text, None),
        }
    }

    /// The last day up to which a market's days are known without a gap from `from` on; `None`
    /// when `from` itself is not covered. A market that never closes is covered to the year 9999.
    pub fn coverage_ends(&self, exchange: &str, from: Date) -> Option<Date> {
        let market = &self.markets[self.market(exchange)?];
        if market.always {
            return Date::new(9999, 12, 31);
        }
        let mut covered = None;
        let mut next = from;
        // Each round reaches further, and there are finitely many entries.
        while let Some(to) = market
            .coverage
            .iter()
            .filter(|c| c.from <= next && next <= c.to)
            .map(|c| c.to)
            .max()
        {
            covered = Some(to);
            next = to.next();
        }
        covered
    }
}
