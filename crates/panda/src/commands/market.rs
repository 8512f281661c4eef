//! `panda market`: when a market is open, and why.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use markets::calendar::{DayState, Next, Takes, Venue};
use markets::{Calendar, Evidence};
use model::{Date, Timestamp};
use runtime::clock::wall;
use serde_json::{Value, json};
use settings::Settings;

use super::print;

/// When markets are open, and what is known of it.
#[derive(Debug, Args)]
pub struct MarketArgs {
    #[command(subcommand)]
    command: MarketCommand,
}

#[derive(Debug, Subcommand)]
enum MarketCommand {
    /// Whether a market is open, in which phase, until when and why
    #[command(after_help = "\
The status is open, closed or unknown: outside the dates that the calendar covers nobody knows.

Examples:
  panda market status NSE
  panda market status NSE:cash_fno --at 2026-12-07T15:32
  panda market status MCX --at 23:40 --json")]
    Status(AskArgs),
    /// The phases of a date
    #[command(after_help = "\
Examples:
  panda market hours NSE:cash_fno
  panda market hours NFO --at 2026-02-01
  panda market hours US --at 2026-11-27 --days 5")]
    Hours(HoursArgs),
    /// When a market opens next
    #[command(after_help = "\
Examples:
  panda market next NSE
  panda market next US --at 2026-11-26 --json")]
    Next(AskArgs),
    /// The markets with their segments, and the dates that are covered
    #[command(after_help = "Examples:\n  panda market list\n  panda market list --json")]
    List(ListArgs),
}

#[derive(Debug, Args)]
struct AskArgs {
    /// EXCHANGE or EXCHANGE:SEGMENT; without a segment the exchange's first
    #[arg(value_name = "EXCHANGE[:SEGMENT]")]
    venue: String,
    /// When: RFC 3339, or a date, a time or both of the market's zone; default: now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Settings (TOML), for a calendar of your own; default: panda.toml, where it exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct HoursArgs {
    #[command(flatten)]
    ask: AskArgs,
    /// So many dates from there on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=400))]
    days: u16,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Settings (TOML), for a calendar of your own; default: panda.toml, where it exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object per market
    #[arg(long)]
    json: bool,
}

/// Settings of a command that only wants facts: those of a file, else of `panda.toml` where it is.
pub(super) fn settings(config: Option<&Path>) -> anyhow::Result<Settings> {
    let default = Path::new("panda.toml");
    Settings::load(config.or_else(|| default.exists().then_some(default)))
}

/// What is asked.
struct Asked<'a> {
    calendar: &'a Calendar,
    venue: Venue,
    at: Timestamp,
    date: Date,
}

fn asked<'a>(settings: &'a Settings, args: &AskArgs) -> anyhow::Result<Asked<'a>> {
    let calendar = &settings.markets.calendar;
    let venue = calendar.venue_of(&args.venue)?;
    let now = Timestamp(wall());
    let at = match &args.at {
        None => now,
        Some(text) => calendar
            .parse_time(venue, text, calendar.date_of(venue, now))
            .with_context(|| {
                format!(
                    "--at: `{text}` is no time: write 2026-12-07T15:32, 2026-12-07, 15:32, or RFC 3339"
                )
            })?,
    };
    Ok(Asked {
        calendar,
        venue,
        at,
        date: calendar.date_of(venue, at),
    })
}

impl Asked<'_> {
    fn local(&self, at: Timestamp) -> String {
        self.calendar.local(self.venue, at)
    }
    fn name(&self) -> String {
        let (exchange, segment) = (
            self.calendar.exchange(self.venue),
            self.calendar.segment(self.venue),
        );
        format!("{exchange}:{segment}")
    }
}

/// Runs the command.
pub fn run(args: &MarketArgs) -> anyhow::Result<()> {
    match &args.command {
        MarketCommand::Status(args) => status(args),
        MarketCommand::Hours(args) => hours(args),
        MarketCommand::Next(args) => next(args),
        MarketCommand::List(args) => list(args),
    }
}

fn support(evidence: &Evidence) -> Value {
    json!({ "source": &*evidence.source, "grade": evidence.grade.name() })
}

/// Of a day and, where they come from elsewhere, of its hours.
fn both_texts(day: &Evidence, hours: Option<&Evidence>) -> String {
    match hours {
        Some(hours) if hours != day => {
            format!("{}; hours: {}", support_text(day), support_text(hours))
        }
        _ => support_text(day),
    }
}

fn support_text(evidence: &Evidence) -> String {
    let doubt = if evidence.grade.is_unverified() {
        " (UNVERIFIED)"
    } else {
        ""
    };
    format!("{}, grade {}{doubt}", evidence.source, evidence.grade)
}

fn taken(takes: Takes) -> Vec<&'static str> {
    [
        (takes.limit, "limit"),
        (takes.market, "market"),
        (takes.stop, "stop"),
        (takes.iceberg, "iceberg"),
    ]
    .into_iter()
    .filter_map(|(is, name)| is.then_some(name))
    .collect()
}

fn list_of(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

/// `1 d 2 h 5 min`.
fn span(nanos: i64) -> String {
    let minutes = nanos.div_euclid(model::time::MINUTE);
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    let mut text = String::new();
    for (count, unit) in [(days, "d"), (hours, "h"), (minutes, "min")] {
        if count > 0 {
            let _infallible = write!(text, "{count} {unit} ");
        }
    }
    match text.trim_end() {
        "" => "less than a minute".to_owned(),
        text => text.to_owned(),
    }
}

fn status(args: &AskArgs) -> anyhow::Result<()> {
    let settings = settings(args.config.as_deref())?;
    let asked = asked(&settings, args)?;
    let status = asked.calendar.status_of(asked.venue, asked.at);
    let takes = taken(status.takes);
    if args.json {
        let value = json!({
            "market": asked.name(),
            "at": asked.local(asked.at),
            "status": status.state.name(),
            "phase": status.phase.as_deref(),
            "stage": status.stage.as_deref(),
            "ends": status.ends.map(|at| asked.local(at)),
            "stage_ends": status.stage_ends.map(|at| asked.local(at)),
            "takes": takes,
            "why": status.why,
            "evidence": support(&status.evidence),
            "hours_evidence": status.hours_evidence.as_ref().map(support),
        });
        return print(&format!("{value}\n"));
    }
    let mut text = String::new();
    let _infallible = writeln!(text, "{} is {}", asked.name(), status.state);
    let mut line = |name: &str, value: String| {
        let _infallible = writeln!(text, "  {name:8} {value}");
    };
    line("at", asked.local(asked.at));
    if let Some(phase) = &status.phase {
        line(
            "phase",
            match &status.stage {
                Some(stage) => format!("{phase} ({stage})"),
                None => phase.to_string(),
            },
        );
        line("takes", list_of(&takes));
    }
    if let Some(ends) = status.ends {
        line(
            "until",
            format!("{} (in {})", asked.local(ends), span(ends.since(asked.at))),
        );
    }
    line("why", status.why.clone());
    line("source", support_text(&status.evidence));
    if let Some(evidence) = &status.hours_evidence {
        line("hours", support_text(evidence));
    }
    print(&text)
}

fn hours(args: &HoursArgs) -> anyhow::Result<()> {
    let settings = settings(args.ask.config.as_deref())?;
    let asked = asked(&settings, &args.ask)?;
    let mut days = Vec::new();
    let mut text = String::new();
    let mut date = asked.date;
    for _ in 0..args.days {
        let hours = asked.calendar.hours(asked.venue, date);
        let state = match hours.state {
            DayState::Trading => "trading",
            DayState::Closed => "closed",
            DayState::Unknown => "unknown",
        };
        days.push(json!({
            "market": asked.name(),
            "date": date.to_string(),
            "state": state,
            "why": hours.why,
            "evidence": support(&hours.evidence),
            "hours_evidence": hours.hours_evidence.as_ref().map(support),
            "phases": hours.phases.iter().map(|phase| json!({
                "name": &*phase.name,
                "stage": phase.stage.as_deref(),
                "from": asked.local(phase.from),
                "to": asked.local(phase.to),
                "may_end_from": phase.random_from.map(|at| asked.local(at)),
                "is_open": phase.is_open,
                "takes": taken(phase.takes),
            })).collect::<Vec<_>>(),
        }));
        let _infallible = writeln!(
            text,
            "{} on {date}: {state}, {} ({})",
            asked.name(),
            hours.why,
            both_texts(&hours.evidence, hours.hours_evidence.as_ref())
        );
        for phase in &hours.phases {
            let name = match &phase.stage {
                Some(stage) => format!("{} ({stage})", phase.name),
                None => phase.name.to_string(),
            };
            let clock = |at: Timestamp| {
                let local = asked.local(at);
                local.get(11..16).unwrap_or_default().to_owned()
            };
            let early = phase.random_from.map_or_else(String::new, |at| {
                format!("; may end at any instant from {}", clock(at))
            });
            let _infallible = writeln!(
                text,
                "  {} - {}  {name:34} orders: {}{early}",
                clock(phase.from),
                clock(phase.to),
                list_of(&taken(phase.takes)),
            );
        }
        date = date.next();
    }
    if args.ask.json {
        for day in days {
            print(&format!("{day}\n"))?;
        }
        return Ok(());
    }
    print(&text)
}

fn next(args: &AskArgs) -> anyhow::Result<()> {
    let settings = settings(args.config.as_deref())?;
    let asked = asked(&settings, args)?;
    let (value, text) = match asked.calendar.next(asked.venue, asked.at) {
        Next::Opens {
            window,
            why,
            evidence,
            hours_evidence,
        } => (
            json!({
                "market": asked.name(), "next": "opens",
                "open": asked.local(window.open), "close": asked.local(window.close),
                "why": why, "evidence": support(&evidence),
                "hours_evidence": hours_evidence.as_ref().map(support),
            }),
            format!(
                "{} opens at {} (in {}), until {}: {why} ({})",
                asked.name(),
                asked.local(window.open),
                span(window.open.since(asked.at)),
                asked.local(window.close),
                both_texts(&evidence, hours_evidence.as_ref())
            ),
        ),
        Next::Unknown { from, why } => (
            json!({
                "market": asked.name(), "next": "unknown", "from": asked.local(from), "why": why,
            }),
            format!(
                "{}: nobody knows from {} on: {why}; [markets] calendar_file extends the calendar",
                asked.name(),
                asked.local(from)
            ),
        ),
        Next::Never => (
            json!({ "market": asked.name(), "next": "never", "why": "it never closes" }),
            format!("{} never closes", asked.name()),
        ),
    };
    print(&if args.json {
        format!("{value}\n")
    } else {
        format!("{text}\n")
    })
}

fn list(args: &ListArgs) -> anyhow::Result<()> {
    let settings = settings(args.config.as_deref())?;
    let calendar = &settings.markets.calendar;
    let mut text = String::new();
    for (exchange, segments) in calendar.markets() {
        let coverage = calendar.coverage(exchange);
        if args.json {
            let value = json!({
                "exchange": exchange,
                "segments": segments,
                "coverage": coverage.iter().map(|(from, to, evidence)| json!({
                    "from": from.to_string(), "to": to.to_string(), "evidence": support(evidence),
                })).collect::<Vec<_>>(),
            });
            let _infallible = writeln!(text, "{value}");
            continue;
        }
        let _infallible = writeln!(text, "{exchange:6} {}", segments.join(", "));
        if coverage.is_empty() {
            text.push_str("       always open\n");
        }
        for (from, to, evidence) in &coverage {
            let _infallible = writeln!(text, "       {from} to {to}: {}", support_text(evidence));
        }
    }
    if text.is_empty() {
        bail!("the calendar knows no market");
    }
    print(&text)
}
