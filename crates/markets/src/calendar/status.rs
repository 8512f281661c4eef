//! The state of a market at an instant, and what comes next.

use std::fmt;
use std::sync::Arc;

use model::session::SessionWindow;
use model::{Date, Timestamp};

use super::{Calendar, DayState, Hours, Market, PhaseWindow, Takes, Venue};
use crate::provenance::Evidence;

/// Whether a market trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Trading: continuous, or in the closing auction.
    Open,
    /// Not trading; a phase before or after trading may be under way.
    Closed,
    /// The calendar does not know.
    Unknown,
}

impl State {
    /// The name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A market at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether it trades.
    pub state: State,
    /// The phase, where one is under way: while there is none, no tick should arrive.
    pub phase: Option<Arc<str>>,
    /// The stage of the phase, where it has stages.
    pub stage: Option<Arc<str>>,
    /// The orders that are taken now.
    pub takes: Takes,
    /// When the phase ends, or the pause between phases, or what is unknown; `None`: never, or
    /// beyond what the calendar knows.
    pub ends: Option<Timestamp>,
    /// When the stage ends, where there is one.
    pub stage_ends: Option<Timestamp>,
    /// The reason, for people.
    pub why: String,
    /// What supports it.
    pub evidence: Evidence,
    /// What supports the times, where they are those of regular days.
    pub hours_evidence: Option<Evidence>,
}

/// What a market's future brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Trading, in this window.
    Opens {
        /// The window.
        window: SessionWindow,
        /// The reason, for people.
        why: String,
        /// What supports it.
        evidence: Evidence,
        /// What supports the times, where they are those of regular days.
        hours_evidence: Option<Evidence>,
    },
    /// Before any trading that is known of come dates of which nothing is known.
    Unknown {
        /// The first instant of which nothing is known.
        from: Timestamp,
        /// The gap.
        why: String,
    },
    /// It never opens because it never closes.
    Never,
}

/// Longest walk over dates in search of a change; longer gaps have no end worth telling.
const WALK_DAYS_MAX: usize = 4_000;

impl Market {
    /// The days after a date, up to the first day of which no entry tells any more.
    fn days_after(&self, segment: usize, date: Date) -> impl Iterator<Item = (Date, Hours)> {
        let last = self.last_date().unwrap_or(date).max(date).next();
        std::iter::successors(Some(date.next()), |day| Some(day.next()))
            .take_while(move |day| *day <= last)
            .take(WALK_DAYS_MAX)
            .map(move |day| (day, self.hours(segment, day)))
    }

    pub(super) fn start(&self, date: Date) -> Timestamp {
        self.zone.instant(date, 0)
    }

    /// When something starts after a date: a phase, or a day of which nothing is known.
    fn next_change(&self, segment: usize, date: Date) -> Option<Timestamp> {
        self.days_after(segment, date)
            .find_map(|(day, hours)| match hours.state {
                DayState::Unknown => Some(self.start(day)),
                _ => hours.phases.first().map(|phase| phase.from),
            })
    }

    fn status(&self, segment: usize, at: Timestamp) -> Status {
        let date = self.zone.date(at);
        let hours = self.hours(segment, date);
        let answer = |state, ends| Status {
            state,
            phase: None,
            stage: None,
            takes: Takes::default(),
            ends,
            stage_ends: None,
            why: hours.why.clone(),
            evidence: hours.evidence.clone(),
            hours_evidence: hours.hours_evidence.clone(),
        };
        if self.always {
            return Status {
                phase: Some(Arc::from("continuous")),
                takes: Takes::ALL,
                ..answer(State::Open, None)
            };
        }
        if hours.state == DayState::Unknown {
            let known = self.days_after(segment, date);
            let known = { known }.find(|(_, hours)| hours.state != DayState::Unknown);
            return answer(State::Unknown, known.map(|(day, _)| self.start(day)));
        }
        let phases = &hours.phases;
        match phases.iter().position(|p| p.from <= at && at < p.to) {
            Some(now) => Status {
                ends: Some(end_of(phases, now)),
                ..at_phase(&phases[now], answer)
            },
            None => {
                let later = phases.iter().map(|p| p.from).find(|from| *from > at);
                let ends = later.or_else(|| self.next_change(segment, date));
                let mut status = answer(State::Closed, ends);
                if hours.state == DayState::Trading {
                    status.why = match (later, phases.first()) {
                        (None, _) => "trading of the day is over".to_owned(),
                        (_, Some(first)) if at < first.from => "before the day's start".to_owned(),
                        _ => "between two phases".to_owned(),
                    };
                }
                status
            }
        }
    }
}

fn at_phase(phase: &PhaseWindow, answer: impl Fn(State, Option<Timestamp>) -> Status) -> Status {
    let state = if phase.is_open {
        State::Open
    } else {
        State::Closed
    };
    Status {
        phase: Some(phase.name.clone()),
        stage: phase.stage.clone(),
        takes: phase.takes,
        stage_ends: phase.stage.as_ref().map(|_| phase.to),
        ..answer(state, None)
    }
}

/// The end of the phase that a stage belongs to.
fn end_of(phases: &[PhaseWindow], now: usize) -> Timestamp {
    let mut end = phases[now].to;
    for later in &phases[now + 1..] {
        if later.name != phases[now].name || later.from != end {
            break;
        }
        end = later.to;
    }
    end
}

impl Calendar {
    /// The state of a market's segment at an instant; without a segment, of its first. A market
    /// that the calendar does not know is `unknown` too.
    pub fn status(&self, exchange: &str, segment: Option<&str>, at: Timestamp) -> Status {
        match self.venue(exchange, segment) {
            Ok(venue) => self.status_of(venue, at),
            Err(error) => Status {
                state: State::Unknown,
                phase: None,
                stage: None,
                takes: Takes::default(),
                ends: None,
                stage_ends: None,
                why: error.to_string(),
                evidence: Evidence::none(),
                hours_evidence: None,
            },
        }
    }

    /// The state of a venue at an instant.
    pub fn status_of(&self, venue: Venue, at: Timestamp) -> Status {
        self.markets[venue.market].status(venue.segment, at)
    }

    /// The date of an instant in a venue's zone.
    pub fn date_of(&self, venue: Venue, at: Timestamp) -> Date {
        self.markets[venue.market].zone.date(at)
    }

    /// The next window of trading that starts after an instant.
    pub fn next(&self, venue: Venue, at: Timestamp) -> Next {
        let market = &self.markets[venue.market];
        if market.always {
            return Next::Never;
        }
        let today = market.zone.date(at);
        let first = std::iter::once((today, market.hours(venue.segment, today)));
        let mut last = today;
        for (date, hours) in first.chain(market.days_after(venue.segment, today)) {
            if hours.state == DayState::Unknown {
                return Next::Unknown {
                    from: market.start(date).max(at),
                    why: hours.why,
                };
            }
            last = date;
            if let Some(window) = hours.windows().into_iter().find(|w| w.open > at) {
                return Next::Opens {
                    window,
                    why: hours.why,
                    evidence: hours.evidence,
                    hours_evidence: hours.hours_evidence,
                };
            }
        }
        Next::Unknown {
            from: market.start(last.next()),
            why: format!("the calendar of {} ends on {last}", market.exchange),
        }
    }
}
