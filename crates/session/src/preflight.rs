//! What is looked at before anything starts: each check has one line, and a failed one keeps the system
//! from starting, with the fix.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use feeds::live::{REPLAY, ReplaySettings, SIMULATED, SimulatedSettings};
use journal::{FileLogs, Log, LogName, Logs, MARKET, Owner, Retention};
use model::time::DAY;
use runtime::clock::wall;
use runtime::directory::Directory;
use runtime::tables::Known;
use serde::Serialize;
use settings::Settings;
use settings::live::LogSettings;

use super::Plugins;
use crate::compose::{self, BuiltIn};
use crate::used;

/// Less space than this keeps the system from starting, in bytes.
const SPACE_MIN: u64 = 256 << 20;
/// Less than this is worth a warning.
const SPACE_LOW: u64 = 5 << 30;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Fine.
    Ok,
    /// Worth a look; no reason not to start.
    Warn,
    /// The system does not start.
    Fail,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, and the fix.
    pub text: String,
}

/// All checks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order in which they were made.
    pub checks: Vec<Check>,
}

impl Report {
    fn add(&mut self, name: impl Into<String>, verdict: Verdict, text: impl Into<String>) {
        self.checks.push(Check {
            name: name.into(),
            verdict,
            text: text.into(),
        });
    }

    fn result(&mut self, name: impl Into<String>, result: anyhow::Result<String>) -> bool {
        match result {
            Ok(text) => {
                self.add(name, Verdict::Ok, text);
                true
            }
            Err(error) => {
                self.add(name, Verdict::Fail, settings::errors::message(&error));
                false
            }
        }
    }

    /// The first check that failed.
    pub fn failure(&self) -> Option<&Check> {
        self.checks.iter().find(|c| c.verdict == Verdict::Fail)
    }

    /// As a table for people.
    pub fn table(&self) -> String {
        let width = self.checks.iter().map(|c| c.name.len()).max().unwrap_or(0);
        self.checks.iter().fold(String::new(), |mut out, check| {
            let verdict = match check.verdict {
                Verdict::Ok => "ok  ",
                Verdict::Warn => "warn",
                Verdict::Fail => "FAIL",
            };
            let _infallible = writeln!(out, "{verdict}  {:width$}  {}", check.name, check.text);
            out
        })
    }
}

/// Makes every check that can be made while another process may have the data directory.
pub fn look(settings: &Settings, brokers: &[String], built_in: BuiltIn) -> Report {
    let mut report = look_with(settings, brokers, &Plugins::new(built_in));
    composition(&mut report, settings, brokers, built_in);
    journals(&mut report, settings, brokers);
    report
}

/// The checks of the settings and of the files that they name; the machine and the data directory are
/// not looked at.
pub fn look_at_settings(settings: &Settings, brokers: &[String], built_in: BuiltIn) -> Report {
    let mut report = Report::default();
    let valid = compose::check_settings(settings, &built_in);
    report.result("settings", valid.map(|()| String::new()));
    configuration(&mut report, settings, brokers, &Plugins::new(built_in));
    composition(&mut report, settings, brokers, built_in);
    report
}

/// What a start composes. The start itself, which comes next, makes this check by composing.
fn composition(report: &mut Report, settings: &Settings, brokers: &[String], built_in: BuiltIn) {
    const TITLE: &str = "composition";
    match super::open::check(settings, brokers, built_in) {
        Ok(warnings) => {
            report.add(
                TITLE,
                Verdict::Ok,
                "strategies, limits and brokers fit together",
            );
            for warning in warnings {
                if !report.checks.iter().any(|check| check.text == warning) {
                    report.add(TITLE, Verdict::Warn, warning);
                }
            }
        }
        Err(error) => {
            let text = settings::errors::message(&error);
            // One mistake is said once.
            let is_said = report.checks.iter().any(|check| {
                check.verdict == Verdict::Fail
                    && (check.text.contains(&text) || text.contains(&check.text))
            });
            if !is_said {
                report.add(TITLE, Verdict::Fail, text);
            }
        }
    }
}

/// The same for a build with kinds of its own beside the built-in ones, without the logs: a start proves those
/// as it opens them, under the lock, and reads them once.
pub fn look_with(settings: &Settings, brokers: &[String], plugins: &Plugins) -> Report {
    let mut report = Report::default();
    let data_dir = &settings.live.data_dir;
    let mode = format!(
        "{}; paper only: live trading is off",
        settings.environment.name()
    );
    report.result(
        "settings",
        compose::check_settings(settings, &plugins.built_in).map(|()| mode),
    );
    for warning in &settings.warnings {
        report.add("settings", Verdict::Warn, warning);
    }
    // Paper and simulated brokers need none; a broker that does says which is missing as it is built.
    report.add(
        "secrets",
        Verdict::Ok,
        match settings.secrets.len() {
            0 => "none set, none needed".to_owned(),
            count => format!("{count} set; they are shown nowhere"),
        },
    );
    report.result("data directory", directory(data_dir));
    space(&mut report, data_dir, &settings.live.log);
    clock(&mut report);
    configuration(&mut report, settings, brokers, plugins);
    report
}

/// What the settings name: feeds, instruments, calendars, brokers, strategies.
fn configuration(report: &mut Report, settings: &Settings, brokers: &[String], plugins: &Plugins) {
    feeds(report, settings, plugins);
    // What is wrong with the instruments is said of the strategies, which name them.
    let known = Known::default();
    let composed = super::open::todays_instruments(settings).and_then(|loaded| {
        let listed = loaded.instruments;
        match resolved(settings, plugins, &listed) {
            Ok(mut all) => used::used(settings, brokers, &listed, &mut all, None, &known)
                .map(|used| (used.instruments, Ok(all))),
            Err(error) => Ok((listed, Err(error))),
        }
    });
    if let Ok((instruments, _)) = &composed {
        calendars(report, settings, instruments);
    }
    traders(report, settings, brokers, plugins);
    let composed = composed.and_then(|(instruments, all)| Ok((instruments, all?)));
    match composed {
        Ok((instruments, all)) => {
            report.add("strategies", Verdict::Ok, strategies_text(settings, &all));
            market_facts(report, settings, brokers, &instruments, &all);
        }
        Err(error) => report.add("strategies", Verdict::Fail, format!("{error:#}")),
    }
}

/// The nearest directory above that is there.
fn existing(path: &Path) -> PathBuf {
    let mut at = path.to_owned();
    while !at.exists() {
        match at.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => at = parent.to_owned(),
            _ => return PathBuf::from("."),
        }
    }
    at
}

fn directory(data_dir: &Path) -> anyhow::Result<String> {
    let at = existing(data_dir);
    rustix::fs::access(
        &at,
        rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
    )
    .map_err(|error| {
        anyhow::anyhow!(
            "{} cannot be written ({error}): make it writable, or set data_dir",
            at.display()
        )
    })?;
    Ok(match journal::DirLock::holder(data_dir) {
        None => data_dir.display().to_string(),
        Some(Some(pid)) => format!("{}: in use by process {pid}", data_dir.display()),
        Some(None) => format!("{}: in use by another process", data_dir.display()),
    })
}

fn space(report: &mut Report, data_dir: &Path, log: &LogSettings) {
    let stat = match rustix::fs::statvfs(existing(data_dir)) {
        Ok(stat) => stat,
        Err(error) => {
            report.add(
                "disk space",
                Verdict::Warn,
                format!("cannot be told: {error}"),
            );
            return;
        }
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let gigabytes = free as f64 / 1e9;
    let keep = runtime::retention::keep(log.market_keep_days, log.market_keep_gb);
    let growth = Growth::of(data_dir);
    let left = growth.as_ref().and_then(|growth| growth.days(free, &keep));
    let told = match &growth {
        Some(growth) => format!(
            "the logs grow by about {:.2} GB a day ({}): {}",
            (growth.market + growth.journals) as f64 / 1e9,
            growth.of,
            left.map_or("the space lasts".to_owned(), |days| format!(
                "enough for {days} days"
            )),
        ),
        None => "how fast the logs grow can be told once they hold a minute".to_owned(),
    };
    let text = format!(
        "{gigabytes:.1} GB free; {told}; {}",
        kept(&keep, growth.map_or(0, |growth| growth.market))
    );
    let verdict = if free < SPACE_MIN {
        Verdict::Fail
    } else if free < SPACE_LOW || left.is_some_and(|days| days < 7) {
        Verdict::Warn
    } else {
        Verdict::Ok
    };
    report.add("disk space", verdict, text);
}

/// How long the market log is kept, and what that comes to where it grows by so many bytes a day.
fn kept(keep: &Retention, daily: u64) -> String {
    let days = keep.days.map(|days| format!("{days} trading days"));
    let bytes = keep
        .bytes
        .map(|bytes| format!("{:.0} GB", bytes as f64 / 1e9));
    let bound = match (days, bytes) {
        (None, None) => return "the market log is kept whole".to_owned(),
        (Some(days), Some(bytes)) => format!("{days} or {bytes}, whichever is less"),
        (Some(one), None) | (None, Some(one)) => one,
    };
    let pace = match (keep.bytes, daily) {
        (Some(bytes), 1..) => {
            let days = keep.days.map_or(u64::MAX, u64::from).min(bytes / daily);
            format!(": about {days} days at this pace")
        }
        _ => String::new(),
    };
    format!("of the market log are kept {bound}{pace}")
}

/// Bytes that the logs grow by in a day.
struct Growth {
    market: u64,
    journals: u64,
    /// What that rests on.
    of: &'static str,
    /// Bytes of the market log.
    present: u64,
}

impl Growth {
    /// `None` where it cannot be told.
    fn of(data_dir: &Path) -> Option<Self> {
        // What cannot be listed or read is told by the check of the journals.
        let logs = FileLogs::existing(data_dir);
        let names = logs.journals().unwrap_or_default();
        let journals = names.iter().map(|name| logs.log(LogName::Journal(name)));
        let journals: Vec<_> = journals.collect();
        let whole = [logs.log(LogName::Market)];
        let market = daily(&whole);
        let journals = daily(&journals);
        let (_, of) = market.or(journals)?;
        let spans = whole[0].spans().unwrap_or_default();
        Some(Self {
            market: market.map_or(0, |(bytes, _)| bytes),
            journals: journals.map_or(0, |(bytes, _)| bytes),
            of,
            present: spans.iter().map(|span| span.bytes).sum(),
        })
    }

    /// Days until so many bytes are used up: the market log grows to what is kept of it, the journals on.
    /// `None` where that never is.
    fn days(&self, free: u64, keep: &Retention) -> Option<u64> {
        let by_days = keep.days.map(|days| self.market * u64::from(days));
        let most = [by_days, keep.bytes].into_iter().flatten().min();
        let rest = most.map_or(u64::MAX, |most| most.saturating_sub(self.present));
        let growing = rest / self.market.max(1);
        let both = self.market + self.journals;
        if growing.saturating_mul(both) >= free {
            return free.checked_div(both);
        }
        let free = free - growing * both;
        Some(growing + free.checked_div(self.journals)?)
    }
}

/// Bytes that these logs grow by in a day, and what that rests on; `None` where it cannot be told.
fn daily(logs: &[Arc<dyn Log>]) -> Option<(u64, &'static str)> {
    let growth = match inspect::growth::bytes_per_day(logs) {
        Some(bytes) => Some((bytes, "the mean of whole days")),
        None => inspect::growth::pace(logs)
            .ok()
            .flatten()
            .map(|bytes| (bytes, "at the pace of the first day, around the clock")),
    };
    growth.filter(|(bytes, _)| *bytes > 0)
}

fn clock(report: &mut Report) {
    // The first day of 2024: a clock before it was never set.
    let least = 19_723 * DAY;
    if wall() < least {
        report.add(
            "clock",
            Verdict::Fail,
            "it stands before 2024: set the system's time",
        );
        return;
    }
    let synchronised = std::fs::metadata("/run/systemd/timesync/synchronized").is_ok()
        || Path::new("/var/lib/chrony/drift").exists()
        || Path::new("/var/lib/chrony/chrony.drift").exists();
    if synchronised {
        report.add("clock", Verdict::Ok, "set, and kept by a time service");
    } else {
        report.add(
            "clock",
            Verdict::Warn,
            "set; no time service was found: install chrony or systemd-timesyncd before trading real money",
        );
    }
}

fn feeds(report: &mut Report, settings: &Settings, plugins: &Plugins) {
    let known = (plugins.built_in.feeds)(None);
    for (name, feed) in &settings.live.feeds {
        let result = match feed.source.as_str() {
            REPLAY => replay(name, &feed.own),
            SIMULATED => SimulatedSettings::from_table(&feed.own)
                .map(|own| {
                    let seed = own.seed;
                    format!("simulated exchange, seed {seed}, open around the clock")
                })
                .map_err(anyhow::Error::msg),
            other => {
                let mut kinds = known.kinds().iter().chain(&plugins.feeds);
                let kind = kinds.find(|kind| kind.name == other);
                kind.map(|kind| kind.summary.to_owned()).with_context(|| {
                    let known = known.names().join(", ");
                    format!("source = `{other}`: no such kind; known: {known}")
                })
            }
        };
        report.result(format!("feed {name}"), result);
    }
}

fn replay(name: &str, own: &toml::Table) -> anyhow::Result<String> {
    let own = ReplaySettings::from_table(own).map_err(anyhow::Error::msg)?;
    let path = own.path.display();
    anyhow::ensure!(
        own.path.exists(),
        "[feeds.{name}] path = `{path}`: there is nothing"
    );
    Ok(format!("replay of {path}"))
}

/// The days before a calendar's end on which it is worth a warning.
const CALENDAR_ENDS_SOON: i32 = 60;

/// Of a live session: a calendar must know today, and should know the weeks to come.
fn calendars(report: &mut Report, settings: &Settings, instruments: &model::Instruments) {
    if super::open::has(settings, REPLAY) {
        return;
    }
    let facts = &settings.markets;
    let mut exchanges: Vec<&str> = instruments.iter().map(|(_, i)| &*i.exchange).collect();
    exchanges.sort_unstable();
    exchanges.dedup();
    exchanges.retain(|name| !facts.settings.always_open.iter().any(|open| open == name));
    for exchange in exchanges {
        let title = format!("calendar {exchange}");
        let Ok(venue) = facts.calendar.venue(exchange, None) else {
            report.add(
                title,
                Verdict::Fail,
                "there is none: give one ([markets] calendar_file), or say that it never closes ([markets] always_open)",
            );
            continue;
        };
        let today = facts.calendar.date_of(venue, model::Timestamp(wall()));
        match facts.calendar.coverage_ends(exchange, today) {
            None => report.add(
                title,
                Verdict::Fail,
                format!(
                    "it does not know {today}: extend it ([markets] calendar_file); `panda market hours {exchange}` shows what it knows"
                ),
            ),
            Some(end) if end.days().saturating_sub(today.days()) < CALENDAR_ENDS_SOON => report
                .add(
                    title,
                    Verdict::Warn,
                    format!(
                        "it ends on {end}: extend it before then ([markets] calendar_file), or trading stops"
                    ),
                ),
            Some(end) if end.days() > today.days() + 366 * 100 => {
                report.add(title, Verdict::Ok, "it never closes");
            }
            Some(end) => report.add(title, Verdict::Ok, format!("known to {end}")),
        }
    }
}

fn traders(report: &mut Report, settings: &Settings, brokers: &[String], plugins: &Plugins) {
    let kinds: Vec<&str> = plugins.brokers.iter().map(|kind| kind.name).collect();
    let registry = (plugins.built_in.brokers)(None);
    for name in brokers {
        let title = format!("broker {name}");
        match settings.brokers.get(name) {
            None => report.add(
                title,
                Verdict::Fail,
                format!(
                    "not configured: add [trading_engine.{name}] to the settings (configured: {})",
                    settings
                        .brokers
                        .keys()
                        .cloned()
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            ),
            Some(table)
                if registry.get(&table.kind).is_none() && !kinds.contains(&table.kind.as_str()) =>
            {
                report.add(
                    title,
                    Verdict::Fail,
                    format!(
                        "kind = `{}`: no such kind; known: {}",
                        table.kind,
                        registry.names().join(", ")
                    ),
                );
            }
            Some(table) => report.add(title, Verdict::Ok, format!("{}, paper money", table.kind)),
        }
    }
}

/// The strategies of a start.
fn resolved(
    settings: &Settings,
    plugins: &Plugins,
    instruments: &model::Instruments,
) -> anyhow::Result<Vec<strategies::ResolvedStrategy>> {
    let mut kinds = (plugins.built_in.strategies)();
    for kind in &plugins.kinds {
        kinds.register(*kind)?;
    }
    super::open::resolve(settings, instruments, &kinds)
}

fn strategies_text(settings: &Settings, all: &[strategies::ResolvedStrategy]) -> String {
    if settings.live.strategies.files.is_empty() {
        return "the built-in samples".to_owned();
    }
    let names: Vec<&str> = all.iter().map(strategies::ResolvedStrategy::id).collect();
    format!("{} defined: {}", names.len(), names.join(", "))
}

/// What a live start asks of the calendar and the charges. A replay's facts are those of its data,
/// which is not read here.
fn market_facts(
    report: &mut Report,
    settings: &Settings,
    brokers: &[String],
    instruments: &model::Instruments,
    strategies: &[strategies::ResolvedStrategy],
) {
    const TITLE: &str = "market facts";
    if super::open::has(settings, REPLAY) {
        return;
    }
    let known = settings.sessions(instruments).and_then(|sessions| {
        let dependence = crate::facts::Dependence {
            settings,
            brokers,
            sessions: &sessions,
            instruments,
            strategies,
        };
        dependence.check_live(model::Timestamp(wall()))
    });
    match known {
        Ok(said) if said.is_empty() => {
            report.add(TITLE, Verdict::Ok, "hours and charges of today are known");
        }
        Ok(said) => {
            for text in said {
                report.add(TITLE, Verdict::Warn, text);
            }
        }
        Err(error) => report.add(TITLE, Verdict::Fail, format!("{error:#}")),
    }
}

/// Damage in what was confirmed keeps the system from starting: it is found here, where it can be
/// read about, and not in the middle of the start. It is the check of `panda journal verify` and of
/// every opening of a log.
fn journals(report: &mut Report, settings: &Settings, brokers: &[String]) {
    let data_dir = &settings.live.data_dir;
    let logs = FileLogs::existing(data_dir);
    // The others go on without a namespace whose journal is damaged.
    let alone = brokers.len() == 1;
    let directory = match Directory::load(&logs) {
        Ok(directory) => directory,
        Err(error) => {
            report.add("identity", Verdict::Fail, error.to_string());
            return;
        }
    };
    let kind = |name: &str| settings.brokers.get(name).map(|table| table.kind.clone());
    let market = ("market log".to_owned(), MARKET, Some(MARKET.to_owned()));
    let journals = brokers
        .iter()
        .map(|name| (format!("journal {name}"), name.as_str(), kind(name)));
    for (title, name, kind) in std::iter::once(market).chain(journals) {
        let log = logs.log(LogName::of(name));
        let mut refuse = |title: String, why: String| {
            if alone || name == MARKET {
                report.add(title, Verdict::Fail, why);
            } else {
                report.add(
                    title,
                    Verdict::Warn,
                    format!("it will not take part: {why}"),
                );
            }
        };
        let mut owner = Owner::NONE;
        if let (Some(directory), Some(kind)) = (&directory, kind) {
            if let Err(error) = directory.check(&logs, name, &kind) {
                refuse(title, error.to_string());
                continue;
            }
            owner = directory.owner(name, &kind);
        }
        match log.is_fresh() {
            Ok(true) => {
                report.add(title, Verdict::Ok, "empty: a fresh start");
                continue;
            }
            Err(error) => {
                report.add(title, Verdict::Fail, error.to_string());
                continue;
            }
            Ok(false) => {}
        }
        match log.check(&owner) {
            Ok(verified) => {
                for file in &verified.damaged_snapshots {
                    let text = format!(
                        "{file}: this snapshot is damaged; an older one or the log takes its place: remove it"
                    );
                    report.add(title.clone(), Verdict::Warn, text);
                }
                let text = format!("{:.1} MB; all of it is whole", verified.bytes as f64 / 1e6);
                report.add(title, Verdict::Ok, text);
            }
            Err(error) => refuse(title, error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_space_lasts_for_the_journals_once_the_market_log_has_come_to_what_is_kept() {
        let growth = |market, journals, present| Growth {
            market,
            journals,
            of: "",
            present,
        };
        let keep = |days, bytes| Retention { days, bytes };
        for (growth, keep, wanted) in [
            (growth(90, 10, 0), keep(None, None), Some(10)),
            (growth(90, 10, 0), keep(Some(30), None), Some(10)),
            // Five days of both, then the journals have 500 to themselves.
            (growth(90, 10, 0), keep(Some(5), None), Some(55)),
            (growth(90, 10, 450), keep(Some(10), None), Some(55)),
            (growth(90, 10, 0), keep(Some(9), Some(450)), Some(55)),
            (growth(90, 10, 900), keep(Some(9), Some(450)), Some(100)),
            (growth(90, 0, 0), keep(Some(5), None), None),
            (growth(0, 10, 0), keep(Some(5), None), Some(100)),
        ] {
            assert_eq!(growth.days(1000, &keep), wanted, "{keep:?}");
        }
    }

    #[test]
    fn what_is_kept_of_the_market_log_is_told_in_days_of_its_pace() {
        let (days, bytes) = (Some(30), Some(10_000_000_000));
        let of = |days, bytes, daily| kept(&Retention { days, bytes }, daily);
        assert_eq!(
            of(days, bytes, 1_100_000_000),
            "of the market log are kept 30 trading days or 10 GB, whichever is less: about 9 days at this pace"
        );
        assert!(of(days, bytes, 1_000_000).ends_with(": about 30 days at this pace"));
        assert!(of(days, bytes, 0).ends_with(", whichever is less"));
        assert_eq!(of(None, None, 5), "the market log is kept whole");
        assert_eq!(of(None, bytes, 0), "of the market log are kept 10 GB");
        assert_eq!(
            of(days, None, 9),
            "of the market log are kept 30 trading days"
        );
    }
}
