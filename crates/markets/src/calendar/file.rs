//! The calendar's file as it is written, checked and turned into the calendar's own form.

use std::sync::Arc;

use model::Date;
use serde::Deserialize;

use super::{
    Calendar, CalendarError, Coverage, DayKind, DayRule, Market, Row, Session, SpecialHours, Takes,
};
use crate::civil::{DAY_MINUTES, Zone, minute};
use crate::provenance::{Evidence, Grade};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    version: String,
    #[serde(default)]
    market: Vec<MarketEntry>,
    #[serde(default)]
    coverage: Vec<CoverageEntry>,
    #[serde(default)]
    closed: Vec<DayEntry>,
    #[serde(default)]
    partial: Vec<DayEntry>,
    #[serde(default)]
    special: Vec<DayEntry>,
    #[serde(default)]
    session: Vec<SessionEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MarketEntry {
    exchange: String,
    #[serde(default)]
    aliases: Vec<String>,
    zone: String,
    segments: Vec<String>,
    days: Option<Vec<String>>,
    #[serde(default)]
    always: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CoverageEntry {
    exchanges: Vec<String>,
    from: String,
    to: String,
    source: Option<String>,
    grade: Option<Grade>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DayEntry {
    exchanges: Vec<String>,
    #[serde(default)]
    segments: Vec<String>,
    dates: Vec<String>,
    keep: Option<String>,
    hours: Option<String>,
    phases: Option<Vec<PhaseEntry>>,
    #[serde(default)]
    what: String,
    source: Option<String>,
    grade: Option<Grade>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionEntry {
    exchanges: Vec<String>,
    segments: Vec<String>,
    from: String,
    to: Option<String>,
    phases: Vec<PhaseEntry>,
    source: Option<String>,
    grade: Option<Grade>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PhaseEntry {
    name: String,
    stage: Option<String>,
    from: String,
    to: String,
    to_winter: Option<String>,
    winter_of: Option<String>,
    random_from: Option<String>,
    #[serde(default)]
    open: bool,
    #[serde(default)]
    takes: Vec<String>,
}

fn bad(entry: &str, what: impl Into<String>) -> CalendarError {
    CalendarError::Entry {
        entry: entry.to_owned(),
        what: what.into(),
    }
}

fn date(entry: &str, text: &str) -> Result<Date, CalendarError> {
    Date::parse(text).ok_or_else(|| bad(entry, format!("`{text}` is no date: write YYYY-MM-DD")))
}

fn time(entry: &str, text: &str) -> Result<u16, CalendarError> {
    minute(text).ok_or_else(|| bad(entry, format!("`{text}` is no time: write HH:MM")))
}

fn zone(entry: &str, name: &str) -> Result<Zone, CalendarError> {
    Zone::get(name).ok_or_else(|| {
        let what = format!("unknown time zone `{name}`: give an IANA name such as Asia/Kolkata");
        bad(entry, what)
    })
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn days(names: Option<Vec<String>>) -> Result<[bool; 7], CalendarError> {
    let Some(names) = names else {
        return Ok([true, true, true, true, true, false, false]);
    };
    let mut trades = [false; 7];
    for name in names {
        let at = DAYS.iter().position(|day| *day == name);
        let at = at.ok_or_else(|| bad("market", format!("unknown day `{name}`")))?;
        trades[at] = true;
    }
    Ok(trades)
}

fn takes(names: &[String]) -> Result<Takes, CalendarError> {
    let mut takes = Takes::default();
    for name in names {
        match name.as_str() {
            "all" => takes = Takes::ALL,
            "limit" => takes.limit = true,
            "market" => takes.market = true,
            "stop" => takes.stop = true,
            "iceberg" => takes.iceberg = true,
            other => {
                let what = format!("`takes`: `{other}`; known: all, limit, market, stop, iceberg");
                return Err(bad("phase", what));
            }
        }
    }
    Ok(takes)
}

fn rows(entry: &str, phases: Vec<PhaseEntry>) -> Result<Vec<Row>, CalendarError> {
    let mut rows: Vec<Row> = Vec::with_capacity(phases.len());
    for phase in phases {
        let winter = match (phase.to_winter, phase.winter_of) {
            (None, None) => None,
            (Some(to), Some(of)) => Some((zone(entry, &of)?, time(entry, &to)?)),
            _ => return Err(bad(entry, "`to_winter` and `winter_of` go together")),
        };
        let random_from = phase
            .random_from
            .map(|text| time(entry, &text))
            .transpose()?;
        let row = Row {
            name: Arc::from(phase.name),
            stage: phase.stage.map(Arc::from),
            from: time(entry, &phase.from)?,
            to: time(entry, &phase.to)?,
            winter,
            random_from,
            is_open: phase.open,
            takes: takes(&phase.takes)?,
        };
        let follows = rows.last().is_none_or(|before| {
            let last = before.winter.as_ref().map_or(before.to, |(_, to)| *to);
            before.to.max(last) <= row.from
        });
        let ends = row.winter.as_ref().map_or(row.to, |(_, to)| *to);
        if row.from >= row.to || row.from >= ends || !follows {
            return Err(bad(
                entry,
                format!("phase `{}`: times must rise and not overlap", row.name),
            ));
        }
        rows.push(row);
    }
    Ok(rows)
}

fn span(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    (from < to && to <= DAY_MINUTES).then_some((from, to))
}

/// The three lists of days differ in what an entry must and may say.
#[derive(Clone, Copy)]
enum List {
    Closed,
    Partial,
    Special,
}

impl Calendar {
    /// Adds a file's entries above those that are there.
    pub(super) fn add(&mut self, text: &str, layer: u8) -> Result<(), CalendarError> {
        let file: File = toml::from_str(text).map_err(|e| CalendarError::Toml(e.to_string()))?;
        if layer == 0 {
            self.version = Arc::from(file.version);
        }
        for entry in file.market {
            self.add_market(entry)?;
        }
        for entry in file.coverage {
            let coverage = Coverage {
                from: date("coverage", &entry.from)?,
                to: date("coverage", &entry.to)?,
                evidence: Evidence::new(entry.source, entry.grade),
            };
            if coverage.from > coverage.to {
                return Err(bad("coverage", "`from` is after `to`"));
            }
            for market in self.markets_named("coverage", &entry.exchanges)? {
                self.markets[market].coverage.push(coverage.clone());
            }
        }
        let lists = [
            (List::Closed, file.closed),
            (List::Partial, file.partial),
            (List::Special, file.special),
        ];
        for (list, entries) in lists {
            for entry in entries {
                self.add_days(list, entry, layer)?;
            }
        }
        for entry in file.session {
            self.add_session(entry, layer)?;
        }
        Ok(())
    }

    fn add_market(&mut self, entry: MarketEntry) -> Result<(), CalendarError> {
        if entry.segments.is_empty() {
            return Err(bad("market", "`segments` is empty"));
        }
        let names = std::iter::once(&entry.exchange).chain(&entry.aliases);
        for name in names {
            if let Some(owner) = self.market(name) {
                let owner = &self.markets[owner].exchange;
                return Err(bad("market", format!("`{name}` is the market {owner}")));
            }
        }
        self.markets.push(Market {
            exchange: Arc::from(entry.exchange),
            aliases: entry.aliases,
            zone: zone("market", &entry.zone)?,
            trades: days(entry.days)?,
            segments: entry.segments,
            always: entry.always,
            coverage: Vec::new(),
            days: Default::default(),
            sessions: Vec::new(),
        });
        Ok(())
    }

    fn add_days(&mut self, list: List, entry: DayEntry, layer: u8) -> Result<(), CalendarError> {
        let name = match list {
            List::Closed => "closed",
            List::Partial => "partial",
            List::Special => "special",
        };
        let kind = match (list, entry.keep.as_deref(), entry.hours, entry.phases) {
            (List::Closed, None, None, None) => DayKind::Closed,
            (List::Partial, Some(keep), None, None) => {
                let (from, to) = span(keep)
                    .ok_or_else(|| bad(name, format!("`keep` = `{keep}`: write HH:MM-HH:MM")))?;
                DayKind::Partial { from, to }
            }
            (List::Special, None, None, None) => DayKind::Special(SpecialHours::Unknown),
            (List::Special, None, Some(hours), None) if hours == "regular" => {
                DayKind::Special(SpecialHours::Regular)
            }
            (List::Special, None, None, Some(phases)) => {
                DayKind::Special(SpecialHours::Own(rows(name, phases)?.into()))
            }
            _ => {
                let what = "a closed day has no hours, a partial one `keep`, a special one \
                            `hours = \"regular\"` or `phases` or neither";
                return Err(bad(name, what));
            }
        };
        let markets = self.markets_named(name, &entry.exchanges)?;
        for market in &markets {
            self.check_segments(name, *market, &entry.segments)?;
        }
        let rule = DayRule {
            layer,
            segments: entry.segments,
            kind,
            what: Arc::from(entry.what),
            evidence: Evidence::new(entry.source, entry.grade),
        };
        for text in &entry.dates {
            let date = date(name, text)?;
            for market in &markets {
                let rules = self.markets[*market].days.entry(date).or_default();
                rules.push(rule.clone());
            }
        }
        Ok(())
    }

    fn add_session(&mut self, entry: SessionEntry, layer: u8) -> Result<(), CalendarError> {
        let name = "session";
        let to = entry.to.map(|to| date(name, &to)).transpose()?;
        let markets = self.markets_named(name, &entry.exchanges)?;
        for market in &markets {
            self.check_segments(name, *market, &entry.segments)?;
        }
        let session = Session {
            layer,
            segments: entry.segments,
            from: date(name, &entry.from)?,
            to,
            rows: rows(name, entry.phases)?.into(),
            evidence: Evidence::new(entry.source, entry.grade),
        };
        for market in markets {
            self.markets[market].sessions.push(session.clone());
        }
        Ok(())
    }

    fn markets_named(&self, entry: &str, names: &[String]) -> Result<Vec<usize>, CalendarError> {
        if names.is_empty() {
            return Err(bad(entry, "`exchanges` is empty"));
        }
        let find = |name: &String| {
            self.market(name)
                .ok_or_else(|| bad(entry, format!("unknown exchange `{name}`")))
        };
        names.iter().map(find).collect()
    }

    fn check_segments(
        &self,
        entry: &str,
        market: usize,
        segments: &[String],
    ) -> Result<(), CalendarError> {
        let market = &self.markets[market];
        match segments.iter().find(|s| !market.segments.contains(s)) {
            None => Ok(()),
            Some(segment) => {
                let known = market.segments.join(", ");
                let what = format!(
                    "{} has no segment `{segment}`; known: {known}",
                    market.exchange
                );
                Err(bad(entry, what))
            }
        }
    }
}
