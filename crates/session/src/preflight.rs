//! What is looked at before anything starts: each check has one line, and a failed one keeps the system
//! from starting, with the fix.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal::{FileLogs, Log, LogName, Logs, MARKET, Owner};
use model::time::DAY;
use runtime::clock::wall;
use runtime::directory::Directory;
use serde::Serialize;
use settings::Settings;
use settings::live::FeedSource;

use super::Plugins;
use crate::compose::{self, BuiltIn};

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
    space(&mut report, data_dir);
    clock(&mut report);
    configuration(&mut report, settings, brokers, plugins);
    report
}

/// What the settings name: feeds, instruments, calendars, brokers, strategies.
fn configuration(report: &mut Report, settings: &Settings, brokers: &[String], plugins: &Plugins) {
    feeds(report, settings);
    let instruments = super::open::todays_instruments(settings).map(|loaded| loaded.instruments);
    calendars(report, settings, &instruments);
    traders(report, settings, brokers, plugins);
    let resolved = strategies(report, settings, plugins, &instruments);
    if let (Ok(instruments), Some(resolved)) = (&instruments, &resolved) {
        market_facts(report, settings, brokers, instruments, resolved);
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

fn space(report: &mut Report, data_dir: &Path) {
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
    let growth = daily_bytes(data_dir);
    let daily = growth.map_or(0, |(bytes, _)| bytes);
    let text = match growth {
        Some((bytes, of)) => format!(
            "{gigabytes:.1} GB free; the logs grow by about {:.2} GB a day ({of}): enough for {} days",
            bytes as f64 / 1e9,
            free / bytes
        ),
        None => format!(
            "{gigabytes:.1} GB free; how fast the logs grow can be told once they hold a minute"
        ),
    };
    let verdict = if free < SPACE_MIN {
        Verdict::Fail
    } else if free < SPACE_LOW || (daily > 0 && free / daily < 7) {
        Verdict::Warn
    } else {
        Verdict::Ok
    };
    report.add("disk space", verdict, text);
}

/// Bytes that the logs grow by in a day, and what that rests on; `None` where it cannot be told.
fn daily_bytes(data_dir: &Path) -> Option<(u64, &'static str)> {
    // What cannot be listed or read is told by the check of the journals.
    let all = FileLogs::existing(data_dir);
    let names = all.journals().unwrap_or_default();
    let names = names.iter().map(|name| LogName::Journal(name));
    let logs: Vec<Arc<dyn Log>> = std::iter::once(LogName::Market)
        .chain(names)
        .map(|name| all.log(name))
        .collect();
    let whole = inspect::growth::bytes_per_day(&logs);
    let growth = match whole {
        Some(bytes) => Some((bytes, "the mean of whole days")),
        None => inspect::growth::pace(&logs)
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

fn feeds(report: &mut Report, settings: &Settings) {
    for (name, feed) in &settings.live.feeds {
        let title = format!("feed {name}");
        match (feed.source, &feed.path) {
            (FeedSource::Simulated, _) => report.add(
                title,
                Verdict::Ok,
                format!(
                    "simulated exchange, seed {}, open around the clock",
                    feed.seed
                ),
            ),
            (FeedSource::Replay, Some(path)) if path.exists() => {
                report.add(title, Verdict::Ok, format!("replay of {}", path.display()));
            }
            (FeedSource::Replay, path) => {
                let path = path.as_ref().map(|p| p.display().to_string());
                let path = path.unwrap_or_default();
                report.add(
                    title,
                    Verdict::Fail,
                    format!("[feeds.{name}] path = `{path}`: there is nothing"),
                );
            }
        }
    }
}

/// The days before a calendar's end on which it is worth a warning.
const CALENDAR_ENDS_SOON: i32 = 60;

/// Of a live session: a calendar must know today, and should know the weeks to come.
fn calendars(
    report: &mut Report,
    settings: &Settings,
    instruments: &anyhow::Result<model::Instruments>,
) {
    if super::open::has(settings, FeedSource::Replay) {
        return;
    }
    // What is wrong with the instruments is said where they are looked at.
    let Ok(instruments) = instruments else {
        return;
    };
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

fn strategies(
    report: &mut Report,
    settings: &Settings,
    plugins: &Plugins,
    instruments: &anyhow::Result<model::Instruments>,
) -> Option<Vec<strategies::ResolvedStrategy>> {
    const TITLE: &str = "strategies";
    let mut kinds = (plugins.built_in.strategies)();
    for kind in &plugins.kinds {
        if let Err(error) = kinds.register(*kind) {
            report.add(TITLE, Verdict::Fail, error.to_string());
            return None;
        }
    }
    let instruments = match instruments {
        Ok(instruments) => instruments,
        Err(error) => {
            report.add(TITLE, Verdict::Fail, format!("{error:#}"));
            return None;
        }
    };
    match super::open::resolve(settings, instruments, &kinds) {
        Ok(all) => {
            let text = if settings.live.strategies.files.is_empty() {
                "the built-in samples".to_owned()
            } else {
                let names: Vec<&str> = all.iter().map(strategies::ResolvedStrategy::id).collect();
                format!("{} defined: {}", names.len(), names.join(", "))
            };
            report.add(TITLE, Verdict::Ok, text);
            Some(all)
        }
        Err(error) => {
            report.add(TITLE, Verdict::Fail, format!("{error:#}"));
            None
        }
    }
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
    if super::open::has(settings, FeedSource::Replay) {
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
