//! One date of one market's segment.

use std::sync::Arc;

use model::session::SessionWindow;
use model::{Date, Timestamp};

use super::{Calendar, DayKind, DayRule, Market, Row, Session, SpecialHours, Takes, Venue};
use crate::provenance::Evidence;

/// What is known of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayState {
    /// The market trades.
    Trading,
    /// The market does not trade.
    Closed,
    /// Nobody told.
    Unknown,
}

/// A phase of a day, or one stage of it, half-open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseWindow {
    /// `pre_open`, `continuous`, `closing_auction`, `post_close`, …
    pub name: Arc<str>,
    /// The part of the phase, where it has parts: `limit_only`, `matching`, …
    pub stage: Option<Arc<str>>,
    /// First instant.
    pub from: Timestamp,
    /// First instant after it.
    pub to: Timestamp,
    /// From here on the exchange may end order entry at any instant up to `to`.
    pub random_from: Option<Timestamp>,
    /// Whether it belongs to the day's trading: continuous trading and the closing auction do, what
    /// lies before and after does not.
    pub is_open: bool,
    /// The orders that it takes.
    pub takes: Takes,
}

/// A date's phases, in the order of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// What is known.
    pub state: DayState,
    /// The phases; none unless the market trades.
    pub phases: Vec<PhaseWindow>,
    /// The reason, for people.
    pub why: String,
    /// What supports it.
    pub evidence: Evidence,
    /// What supports the phases, where they are those of regular days.
    pub hours_evidence: Option<Evidence>,
}

impl Hours {
    /// The stretches of trading: phases that follow each other without a break are one.
    pub fn windows(&self) -> Vec<SessionWindow> {
        let mut windows: Vec<SessionWindow> = Vec::new();
        for phase in self.phases.iter().filter(|phase| phase.is_open) {
            match windows.last_mut() {
                Some(window) if window.close == phase.from => window.close = phase.to,
                _ => windows.push(SessionWindow {
                    open: phase.from,
                    close: phase.to,
                }),
            }
        }
        windows
    }
}

impl Market {
    fn rule(&self, segment: usize, date: Date) -> Option<&DayRule> {
        let segment = &self.segments[segment];
        let rules = self.days.get(&date)?.iter();
        rules
            .filter(|rule| rule.segments.is_empty() || rule.segments.contains(segment))
            // Of equals the last counts, as `max_by_key` gives it.
            .max_by_key(|rule| (rule.layer, rule.kind.rank()))
    }

    fn session(&self, segment: usize, date: Date) -> Option<&Session> {
        let segment = &self.segments[segment];
        let sessions = self.sessions.iter();
        sessions
            .filter(|s| s.from <= date && s.to.is_none_or(|to| date <= to))
            .filter(|s| s.segments.contains(segment))
            .max_by_key(|s| (s.layer, s.from))
    }

    /// The first session of a segment: what is assumed for dates before it.
    fn earliest_session(&self, segment: usize) -> Option<&Session> {
        let segment = &self.segments[segment];
        let sessions = self.sessions.iter();
        sessions
            .filter(|s| s.segments.contains(segment))
            .min_by_key(|s| s.from)
    }

    /// The entry that covers a date; of several the best evidence counts.
    fn coverage(&self, date: Date) -> Option<&Evidence> {
        self.coverage
            .iter()
            .filter(|c| c.from <= date && date <= c.to)
            .map(|c| &c.evidence)
            .min_by_key(|evidence| evidence.grade)
    }

    /// The last date that any entry says something about.
    pub(super) fn last_date(&self) -> Option<Date> {
        let covered = self.coverage.iter().map(|c| c.to).max();
        covered.max(self.days.last_key_value().map(|(date, _)| *date))
    }

    pub(super) fn gap(&self, date: Date) -> String {
        let covered: Vec<String> = self
            .coverage
            .iter()
            .map(|c| format!("{} to {}", c.from, c.to))
            .collect();
        let covered = match covered.as_slice() {
            [] => "nothing".to_owned(),
            spans => spans.join(", "),
        };
        format!(
            "the calendar of {} does not cover {date}; it covers {covered}",
            self.exchange
        )
    }

    fn phases(&self, date: Date, rows: &[Row], keep: (u16, u16)) -> Vec<PhaseWindow> {
        let clipped = rows.iter().filter_map(|row| {
            let to = match &row.winter {
                Some((zone, winter)) if !zone.is_summer(date) => *winter,
                _ => row.to,
            };
            let (from, to) = (row.from.max(keep.0), to.min(keep.1));
            (from < to).then(|| PhaseWindow {
                name: row.name.clone(),
                stage: row.stage.clone(),
                from: self.zone.instant(date, from),
                to: self.zone.instant(date, to),
                random_from: row
                    .random_from
                    .filter(|random| (from..to).contains(random))
                    .map(|random| self.zone.instant(date, random)),
                is_open: row.is_open,
                takes: row.takes,
            })
        });
        clipped.collect()
    }

    pub(super) fn hours(&self, segment: usize, date: Date) -> Hours {
        let answer = |state, why: String, evidence: &Evidence| Hours {
            state,
            phases: Vec::new(),
            why,
            evidence: evidence.clone(),
            hours_evidence: None,
        };
        let trading = |rows: &[Row], keep, why, evidence: &Evidence| Hours {
            state: DayState::Trading,
            phases: self.phases(date, rows, keep),
            why,
            evidence: evidence.clone(),
            hours_evidence: None,
        };
        let regular = |keep, what: &str, evidence: &Evidence| match self.session(segment, date) {
            Some(session) => {
                let why = match what {
                    "" => "regular trading day".to_owned(),
                    what => what.to_owned(),
                };
                Hours {
                    hours_evidence: Some(session.evidence.clone()),
                    ..trading(&session.rows, keep, why, evidence)
                }
            }
            None => {
                let name = &self.segments[segment];
                let why = format!("no hours of {}:{name} are known for {date}", self.exchange);
                answer(DayState::Unknown, why, &Evidence::none())
            }
        };
        const WHOLE: (u16, u16) = (0, crate::civil::DAY_MINUTES);
        if self.always {
            return answer(
                DayState::Trading,
                "this market never closes".to_owned(),
                &Evidence::new(Some("by definition".to_owned()), None),
            );
        }
        if let Some(rule) = self.rule(segment, date) {
            let what = rule.what.to_string();
            return match &rule.kind {
                DayKind::Closed => answer(DayState::Closed, what, &rule.evidence),
                DayKind::Partial { from, to } => regular((*from, *to), &what, &rule.evidence),
                DayKind::Special(SpecialHours::Regular) => regular(WHOLE, &what, &rule.evidence),
                DayKind::Special(SpecialHours::Own(rows)) => {
                    trading(rows, WHOLE, what, &rule.evidence)
                }
                DayKind::Special(SpecialHours::Unknown) => {
                    answer(DayState::Unknown, what, &rule.evidence)
                }
            };
        }
        let Some(covered) = self.coverage(date) else {
            return answer(DayState::Unknown, self.gap(date), &Evidence::none());
        };
        if !self.trades[usize::from(date.weekday())] {
            let what = "no trading on this day of the week".to_owned();
            return answer(DayState::Closed, what, covered);
        }
        regular(WHOLE, "", covered)
    }

    /// The hours of a date that no entry covers, if its weekday alone decided.
    pub(super) fn assumed_hours(&self, segment: usize, date: Date) -> Hours {
        let session = self
            .session(segment, date)
            .or_else(|| self.earliest_session(segment));
        let whole = (0, crate::civil::DAY_MINUTES);
        let phases = match session {
            Some(session) if self.trades[usize::from(date.weekday())] => {
                self.phases(date, &session.rows, whole)
            }
            _ => Vec::new(),
        };
        Hours {
            state: if phases.is_empty() {
                DayState::Closed
            } else {
                DayState::Trading
            },
            phases,
            why: "assumed from the day of the week".to_owned(),
            evidence: Evidence::none(),
            hours_evidence: None,
        }
    }

    pub(super) fn is_covered(&self, segment: usize, date: Date) -> bool {
        self.coverage(date).is_some() || self.rule(segment, date).is_some()
    }
}

impl Calendar {
    /// The hours of a venue on a date of its zone.
    pub fn hours(&self, venue: Venue, date: Date) -> Hours {
        self.markets[venue.market].hours(venue.segment, date)
    }
}
