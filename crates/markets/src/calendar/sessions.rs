//! The calendar as the pipeline asks for it: windows of trading by group of instruments.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::instrument::Instruments;
use model::session::{SessionGroup, SessionStatus, SessionWindow, Sessions, Takes, TradingDay};
use model::{Date, Instrument, Timestamp};

use super::{Calendar, CalendarError, DayState, Hours, Venue};
use crate::civil::{Zone, minute};
use crate::rules::{FnoNames, Rules};

/// What stands for dates of which the calendar knows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Assume {
    /// Nothing: the market counts as closed, and the gap is listed.
    #[default]
    Nothing,
    /// Every weekday is a regular day: for backtests, which must say so. A special session whose
    /// time is unknown counts as closed even then.
    Weekdays,
}

/// When a trading day begins.
#[derive(Debug, Clone)]
pub struct TradingDayStart {
    zone: Zone,
    minute: u16,
}

impl TradingDayStart {
    /// From an IANA name of a zone and `HH:MM`.
    pub fn new(zone: &str, start: &str) -> Result<Self, CalendarError> {
        let bad = |what: String| CalendarError::Entry {
            entry: "trading_day".to_owned(),
            what,
        };
        Ok(Self {
            zone: Zone::get(zone).ok_or_else(|| bad(format!("unknown time zone `{zone}`")))?,
            minute: minute(start)
                .filter(|minute| *minute < crate::civil::DAY_MINUTES)
                .ok_or_else(|| bad(format!("`{start}` is no time of day: write HH:MM")))?,
        })
    }

    /// The trading day that holds an instant.
    pub fn day(&self, at: Timestamp) -> TradingDay {
        let mut date = self.zone.date(at);
        if self.zone.instant(date, self.minute) > at {
            date = Date::from_days(date.days().saturating_sub(1));
        }
        TradingDay {
            date,
            start: self.zone.instant(date, self.minute),
            end: self.zone.instant(date.next(), self.minute),
        }
    }
}

/// A stretch of dates of which nothing is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The market.
    pub exchange: String,
    /// The segment.
    pub segment: String,
    /// First date.
    pub from: Date,
    /// Last date.
    pub to: Date,
    /// The reason, for people.
    pub why: String,
    /// A session that is announced without its time: nothing stands in for it.
    pub is_special: bool,
}

/// The hours of the instruments of one start, ready to be asked on every tick.
#[derive(Debug, Clone)]
pub struct MarketSessions {
    /// Group 0 is for exchanges without a calendar: always open, and listed.
    windows: Vec<Windows>,
    /// By group the stretches within windows that take other orders than all, and where continuous
    /// trading ends before its window does.
    auctions: Vec<Auctions>,
    /// By group the stretches of which nothing is known and nothing was assumed, half-open.
    unknown: Vec<Vec<(Timestamp, Timestamp)>>,
    /// By group which of the gaps are its own.
    gaps_of: Vec<Vec<usize>>,
    by_instrument: BTreeMap<String, SessionGroup>,
    without_calendar: Vec<String>,
    gaps: Vec<Gap>,
    day: TradingDayStart,
}

/// So long after a day's last phase data may still be on its way.
const LATE: i64 = 5 * model::time::MINUTE;

/// Of one group, what is special within its windows of trading: few dates have any.
#[derive(Debug, Clone, Default)]
struct Auctions {
    /// Phases that do not take every order, half-open, in order.
    phases: Vec<(Timestamp, Timestamp, Takes)>,
    /// Closes of windows whose continuous trading ends before them, with that end.
    continuous: Vec<(Timestamp, Timestamp)>,
    /// By date, from the first phase to the last: data comes then.
    data: Windows,
}

impl Auctions {
    fn add(&mut self, hours: &Hours) {
        let open = hours.phases.iter().filter(|phase| phase.is_open);
        let special = open.filter(|phase| phase.takes != Takes::ALL);
        self.phases
            .extend(special.map(|phase| (phase.from, phase.to, phase.takes)));
        if let (Some(first), Some(last)) = (hours.phases.first(), hours.phases.last()) {
            self.data.all.push(SessionWindow {
                open: first.from,
                close: last.to.plus(LATE),
            });
        }
        for window in hours.windows() {
            let within = hours.phases.iter().filter(|phase| {
                &*phase.name == "continuous"
                    && window.open <= phase.from
                    && phase.to <= window.close
            });
            match within.map(|phase| phase.to).max() {
                Some(end) if end < window.close => self.continuous.push((window.close, end)),
                _ => {}
            }
        }
    }

    fn takes(&self, at: Timestamp) -> Option<Takes> {
        let next = self.phases.partition_point(|(_, to, _)| *to <= at);
        let phase = self.phases.get(next)?;
        (phase.0 <= at).then_some(phase.2)
    }

    fn continuous_close(&self, close: Timestamp) -> Option<Timestamp> {
        let at = self
            .continuous
            .binary_search_by_key(&close, |(close, _)| *close);
        at.ok().map(|at| self.continuous[at].1)
    }
}

/// A venue, and for index contracts the date on which they follow the hours of expiring ones.
type Key = (Venue, Option<(Venue, Date)>);

impl MarketSessions {
    /// The hours of these instruments on the dates from `from` to `to`; outside them every market
    /// with a calendar is closed. Exchanges among `always_open` never close, whatever the calendar
    /// says.
    pub fn new(
        calendar: &Calendar,
        rules: &Rules,
        instruments: &Instruments,
        always_open: &[String],
        (from, to): (Date, Date),
        assume: Assume,
        day: TradingDayStart,
    ) -> Result<Self, CalendarError> {
        let names = FnoNames::of(rules, instruments);
        let mut groups: BTreeMap<Key, SessionGroup> = BTreeMap::new();
        let mut table = Self {
            windows: vec![Windows::default()],
            auctions: vec![Auctions::default()],
            unknown: vec![Vec::new()],
            gaps_of: vec![Vec::new()],
            by_instrument: BTreeMap::new(),
            without_calendar: Vec::new(),
            gaps: Vec::new(),
            day,
        };
        for (_, instrument) in instruments.iter() {
            let group = match calendar.venue_for(rules, instrument, &names) {
                _ if always_open.contains(&instrument.exchange) => SessionGroup(0),
                None => {
                    if !table.without_calendar.contains(&instrument.exchange) {
                        table.without_calendar.push(instrument.exchange.clone());
                    }
                    SessionGroup(0)
                }
                // What never closes needs no table.
                Some((venue, _)) if calendar.markets[venue.market].always => SessionGroup(0),
                Some(key) => match groups.get(&key) {
                    Some(group) => *group,
                    None => {
                        let next = u16::try_from(table.windows.len());
                        let next = next.map_err(|_| CalendarError::Entry {
                            entry: "session".to_owned(),
                            what: "more than 65,535 groups of instruments".to_owned(),
                        })?;
                        let (windows, auctions, unknown) =
                            table.fill(calendar, key, (from, to), assume);
                        table.windows.push(Windows::new(windows));
                        table.auctions.push(auctions);
                        table.unknown.push(unknown);
                        groups.insert(key, SessionGroup(next));
                        SessionGroup(next)
                    }
                },
            };
            table.by_instrument.insert(instrument.id.clone(), group);
        }
        Ok(table)
    }

    fn fill(
        &mut self,
        calendar: &Calendar,
        (venue, expiring): Key,
        (from, to): (Date, Date),
        assume: Assume,
    ) -> (Vec<SessionWindow>, Auctions, Vec<(Timestamp, Timestamp)>) {
        let market = &calendar.markets[venue.market];
        let mut windows = Vec::new();
        let mut auctions = Auctions::default();
        let mut unknown: Vec<(Timestamp, Timestamp)> = Vec::new();
        let mut gaps = Vec::new();
        for days in from.days()..=to.days() {
            let date = Date::from_days(days);
            let venue = match expiring {
                Some((expiring, expiry)) if expiry == date => expiring,
                _ => venue,
            };
            let is_covered = market.is_covered(venue.segment, date);
            let hours = match is_covered {
                true => market.hours(venue.segment, date),
                false => market.assumed_hours(venue.segment, date),
            };
            if !is_covered || hours.state == DayState::Unknown {
                // Most dates of the decades are not covered: the reason is put in words once a gap.
                let why = || match is_covered {
                    true => hours.why.clone(),
                    false => market.gap(date),
                };
                let gap = (&market.exchange, market.segments[venue.segment].as_str());
                gaps.push(self.gap(gap, date, is_covered, why));
                if assume == Assume::Nothing || is_covered {
                    let (start, end) = (market.start(date), market.start(date.next()));
                    match unknown.last_mut() {
                        Some(last) if last.1 == start => last.1 = end,
                        _ => unknown.push((start, end)),
                    }
                    continue;
                }
            }
            auctions.add(&hours);
            windows.extend(hours.windows());
        }
        gaps.sort_unstable();
        gaps.dedup();
        self.gaps_of.push(gaps);
        auctions.data = Windows::new(std::mem::take(&mut auctions.data.all));
        (windows, auctions, unknown)
    }

    /// The place of the gap that a date belongs to.
    fn gap(
        &mut self,
        (exchange, segment): (&Arc<str>, &str),
        date: Date,
        is_special: bool,
        why: impl FnOnce() -> String,
    ) -> usize {
        let same = |gap: &Gap| {
            gap.exchange == **exchange && gap.segment == segment && gap.is_special == is_special
        };
        let known = self.gaps.iter_mut().position(|gap| {
            let follows = same(gap) && gap.to.next() == date;
            if follows {
                gap.to = date;
            }
            follows || same(gap) && (gap.from..=gap.to).contains(&date)
        });
        if let Some(known) = known {
            return known;
        }
        self.gaps.push(Gap {
            exchange: exchange.to_string(),
            segment: segment.to_owned(),
            from: date,
            to: date,
            why: why(),
            is_special,
        });
        self.gaps.len() - 1
    }

    /// The gap in what is known of an instrument's hours that a date lies in.
    pub fn gap_on(&self, instrument: &Instrument, date: Date) -> Option<&Gap> {
        let own = self.gaps_of.get(self.group(instrument).index())?;
        let mut gaps = own.iter().filter_map(|gap| self.gaps.get(*gap));
        gaps.find(|gap| (gap.from..=gap.to).contains(&date))
    }

    /// The dates of which nothing is known: a live session must refuse them, a backtest that
    /// assumed something must report them.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Exchanges of which the calendar knows nothing: their instruments count as always open.
    pub fn without_calendar(&self) -> &[String] {
        &self.without_calendar
    }
}

impl Calendar {
    /// The hours that an instrument follows: its venue and, for contracts on an index, the venue
    /// that counts on their last day. `None` where the exchange has no calendar.
    pub fn venue_for(
        &self,
        rules: &Rules,
        instrument: &Instrument,
        names: &FnoNames,
    ) -> Option<(Venue, Option<(Venue, Date)>)> {
        let exchange = instrument.exchange.as_str();
        let venue = self.venue(exchange, None).ok()?;
        let segment = |name| self.venue(exchange, Some(name)).ok();
        if names.holds(instrument) {
            return Some((segment("cash_fno").unwrap_or(venue), None));
        }
        let is_index = rules
            .contract(&instrument.symbol)
            .is_some_and(|contract| contract.is_index);
        let expiring = match (is_index, instrument.expiry, segment("expiring_index")) {
            (true, Some(expiry), Some(expiring)) => Some((expiring, expiry)),
            _ => None,
        };
        Some((venue, expiring))
    }
}

/// Windows in the order of time, found by the day of UTC: an order asks several times, and a search
/// among the thousands of decades costs more than everything else it does.
#[derive(Debug, Clone, Default)]
struct Windows {
    all: Vec<SessionWindow>,
    /// The day of UTC that `by_day` begins with.
    first: i64,
    /// By day, the first window that closes after the day has begun.
    by_day: Vec<u32>,
}

impl Windows {
    fn new(all: Vec<SessionWindow>) -> Self {
        let day = |at: Timestamp| at.nanos().div_euclid(model::time::DAY);
        let (Some(first), Some(last)) = (all.first(), all.last()) else {
            return Self::default();
        };
        let (first, last) = (day(first.open), day(last.close));
        let mut next = 0;
        let by_day = (first..=last)
            .map(|date| {
                let start = Timestamp(date.saturating_mul(model::time::DAY));
                while all.get(next).is_some_and(|window| window.close <= start) {
                    next += 1;
                }
                u32::try_from(next).unwrap_or(u32::MAX)
            })
            .collect();
        Self { all, first, by_day }
    }

    /// The first window that closes after an instant.
    #[inline]
    fn next(&self, at: Timestamp) -> Option<&SessionWindow> {
        let day = at.nanos().div_euclid(model::time::DAY) - self.first;
        let from = match usize::try_from(day) {
            Err(_) => 0,
            Ok(day) => self
                .by_day
                .get(day)
                .map_or(self.all.len(), |at| *at as usize),
        };
        self.all
            .get(from..)?
            .iter()
            .find(|window| at < window.close)
    }

    fn status(&self, at: Timestamp) -> SessionStatus {
        match self.next(at) {
            Some(window) if window.open <= at => SessionStatus::Open(*window),
            Some(window) => SessionStatus::Closed {
                next_open: window.open,
            },
            None => SessionStatus::Closed {
                next_open: Timestamp::MAX,
            },
        }
    }
}

impl Sessions for MarketSessions {
    fn groups(&self) -> usize {
        self.windows.len()
    }
    fn group(&self, instrument: &Instrument) -> SessionGroup {
        self.by_instrument
            .get(&instrument.id)
            .copied()
            .unwrap_or(SessionGroup(0))
    }
    fn status(&self, group: SessionGroup, at: Timestamp) -> SessionStatus {
        if group == SessionGroup(0) {
            return model::session::AlwaysOpen.status(group, at);
        }
        match self.windows.get(group.index()) {
            Some(windows) => windows.status(at),
            None => SessionStatus::Closed {
                next_open: Timestamp::MAX,
            },
        }
    }
    fn auction_takes(&self, group: SessionGroup, at: Timestamp) -> Option<Takes> {
        self.auctions.get(group.index())?.takes(at)
    }
    fn data_expected(&self, group: SessionGroup, at: Timestamp) -> SessionStatus {
        match self.auctions.get(group.index()) {
            Some(auctions) if group != SessionGroup(0) => auctions.data.status(at),
            _ => model::session::AlwaysOpen.status(group, at),
        }
    }
    fn continuous_close(&self, group: SessionGroup, window: &SessionWindow) -> Timestamp {
        let auctions = self.auctions.get(group.index());
        auctions
            .and_then(|auctions| auctions.continuous_close(window.close))
            .unwrap_or(window.close)
    }
    fn is_known(&self, group: SessionGroup, at: Timestamp) -> bool {
        let unknown = self
            .unknown
            .get(group.index())
            .map_or(&[][..], Vec::as_slice);
        let next = unknown.partition_point(|(_, end)| *end <= at);
        unknown.get(next).is_none_or(|(start, _)| at < *start)
    }
    fn trading_day(&self, at: Timestamp) -> TradingDay {
        self.day.day(at)
    }
}
