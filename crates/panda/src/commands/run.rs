//! `panda run`: the whole system in one process, until it is told to stop.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use runtime::namespace::Recovered;
use session::narrate;
use session::preflight::{self, Verdict};
use session::{Ended, Plugins, Preparation, Session, StopRequest, prepare};
use settings::{LayerInputs, Settings};

use super::Interrupt;
use crate::compose::BUILT_IN;
use crate::{exit, logging};

/// Trade: feeds, strategies, risk, engine and traders in this process, durable and crash-safe.
#[derive(Debug, Args)]
#[command(after_help = "\
Without settings it trades on paper, on a simulated exchange that never closes, and keeps its logs in ./data. Started again, it \
goes on from where it was, however it ended.

From another terminal: `panda status`, `panda halt`, `panda resume`, `panda square-off`, `panda trace ID`. It stops in good order on \
Ctrl-C, SIGTERM or `panda stop`, within five seconds.

Examples:
  panda run
  panda run --config panda.toml --brokers paper,paper2
  panda run --for 30s --data-dir /tmp/trial")]
pub struct RunArgs {
    /// Settings (TOML); without it ./panda.toml where it is there, else the built-in ones
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Brokers to run, separated by commas; default: active_brokers of the settings
    #[arg(long, alias = "broker", value_name = "NAME", value_delimiter = ',')]
    brokers: Vec<String>,
    /// Where logs and snapshots are; default: data_dir of the settings
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Strategy definitions (YAML), in place of those of the settings
    #[arg(long, value_name = "FILE", num_args = 1..)]
    strategy: Vec<PathBuf>,
    /// Stop by itself after so long, such as 30s or 2h
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    span: Option<Duration>,
}

/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A duration as `500ms`, `30s`, `5m`, `2h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits
        .parse()
        .map_err(|_| "write a whole number and a unit: 500ms, 30s, 5m, 2h".to_owned())?;
    let factor = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        unit => return Err(format!("unit `{unit}`: write 500ms, 30s, 5m or 2h")),
    };
    number
        .checked_mul(factor)
        .map(Duration::from_millis)
        .ok_or_else(|| "too long".to_owned())
}

/// The settings in effect, with what flags say.
pub fn settings(
    config: Option<&Path>,
    brokers: &[String],
    data_dir: Option<&Path>,
    strategies: &[PathBuf],
) -> anyhow::Result<Settings> {
    let kinds = crate::compose::kinds();
    let mut inputs = LayerInputs::of_process(config, &kinds);
    if !brokers.is_empty() {
        inputs = inputs.with_flag("--brokers", &["active_brokers"], brokers.to_vec());
    }
    if let Some(dir) = data_dir {
        inputs = inputs.with_flag("--data-dir", &["data_dir"], dir.display().to_string());
    }
    if !strategies.is_empty() {
        let files: Vec<String> = strategies.iter().map(|f| f.display().to_string()).collect();
        inputs = inputs.with_flag("--strategy", &["strategies", "files"], files);
    }
    Settings::layered(&inputs)
}

/// Runs the command.
pub fn run(args: &RunArgs) -> anyhow::Result<()> {
    run_with(args, Plugins::new(BUILT_IN))
}

/// The same for a build with kinds of its own.
pub fn run_with(args: &RunArgs, plugins: Plugins) -> anyhow::Result<()> {
    let settings = settings(
        args.config.as_deref(),
        &args.brokers,
        args.data_dir.as_deref(),
        &args.strategy,
    )
    .map_err(|error| exit::Coded::error(exit::PREFLIGHT, error))?;
    let _logging = logging::init(&settings.logging, "run", &settings.zone)?;
    // Told while logging lives: it reaches the log file, in the form that was asked for.
    trade(args, settings, plugins).map_err(|error| {
        tracing::error!(channel = "system", "{}", settings::errors::message(&error));
        exit::Coded::logged(error)
    })
}

fn trade(args: &RunArgs, settings: Settings, plugins: Plugins) -> anyhow::Result<()> {
    for warning in &settings.warnings {
        tracing::warn!(channel = "system", "{warning}");
    }
    let brokers = settings.active_brokers.clone();
    let report = preflight::look_with(&settings, &brokers, &plugins);
    let is_terminal = std::io::stderr().is_terminal();
    if is_terminal {
        eprint!("{}", report.table());
    } else {
        for check in report.checks.iter().filter(|c| c.verdict == Verdict::Warn) {
            tracing::warn!(channel = "system", "{}: {}", check.name, check.text);
        }
    }
    if let Some(failure) = report.failure() {
        return Err(exit::Coded::error(
            exit::PREFLIGHT,
            anyhow::anyhow!("{}: {}", failure.name, failure.text),
        ));
    }
    let interrupt = Interrupt::listen()?;
    let began = Instant::now();
    let stop = Arc::new(StopRequest::default());
    let opened = prepare(Preparation {
        settings,
        brokers,
        plugins,
    })
    .map_err(|error| exit::Coded::error(exit::PREFLIGHT, error))?;
    let is_said = |warning: &String| report.checks.iter().any(|check| check.text == *warning);
    for warning in opened.warnings.iter().filter(|warning| !is_said(warning)) {
        tracing::warn!(channel = "system", "{warning}");
    }
    let session = Session::start(opened, Arc::clone(&stop))
        .map_err(|error| exit::Coded::error(exit::PREFLIGHT, error))?;
    greet(&session, began.elapsed());
    let why = watch(&session, &stop, &interrupt, args.span, is_terminal);
    tracing::info!(channel = "system", "stopping: {why}");
    let lost = session.lost_directory();
    let ended = session.stop();
    let farewell = farewell(&ended);
    match lost {
        // What else failed has failed of this.
        Some(why) => Err(exit::Coded::error(exit::DATA_LOST, anyhow::anyhow!(why))),
        None => farewell,
    }
}

fn greet(session: &Session, took: Duration) {
    for out in &session.handles.excluded {
        tracing::error!(
            channel = "system",
            broker = out.name.as_str(),
            "it does not take part: {}",
            out.why.why
        );
    }
    for (broker, recovered) in &session.recovered {
        tracing::info!(
            channel = "system",
            broker = broker.as_str(),
            "{}",
            recovery(recovered)
        );
    }
    let journals = session.recovered.iter().map(|(_, r)| &r.damaged_snapshots);
    for file in journals
        .chain([&session.market_recovered.damaged_snapshots])
        .flatten()
    {
        tracing::warn!(
            channel = "system",
            "{file}: this snapshot is damaged; an older one or the log takes its place: remove it"
        );
    }
    let market = &session.market_recovered;
    if let Some(why) = &market.unread {
        tracing::warn!(
            channel = "runner",
            "{why}; the market log was read from its beginning"
        );
    }
    if !market.restarted.is_empty() {
        tracing::warn!(
            channel = "runner",
            "these strategies are new or defined anew and start from warm-up: {}",
            market.restarted.join(", ")
        );
    }
    let handles = &session.handles;
    tracing::info!(
        channel = "system",
        "started in {} ms: {} on {}, data in {}",
        took.as_millis(),
        handles
            .members
            .iter()
            .map(|m| m.name.as_str())
            .collect::<Vec<_>>()
            .join(", "),
        handles
            .feeds
            .iter()
            .map(|(name, _)| format!("feed {name}"))
            .collect::<Vec<_>>()
            .join(", "),
        handles.settings.live.data_dir.display(),
    );
}

fn recovery(recovered: &Recovered) -> String {
    if recovered.fresh {
        return "a fresh start".to_owned();
    }
    let mut text = format!(
        "recovered: {} records and {} market inputs after {}",
        recovered.records,
        recovered.inputs,
        recovered.snapshot.map_or_else(
            || "the beginning".to_owned(),
            |at| format!("the snapshot at {at}")
        )
    );
    if let Some(why) = &recovered.unread {
        text += &format!(" ({why})");
    }
    if recovered.open_orders > 0 {
        text += &format!("; {} orders are being asked about", recovered.open_orders);
    }
    if let Some(cut) = &recovered.cut {
        text += &format!(
            "; {} bytes that had not been made durable were cut at {}",
            cut.bytes, cut.from
        );
    }
    if !recovered.missing.is_empty() {
        text += &format!(
            "; the market log has lost {} ranges of ticks: strategies are colder for them",
            recovered.missing.len()
        );
    }
    if !recovered.restarted.is_empty() {
        text += &format!("; from warm-up: {}", recovered.restarted.join(", "));
    }
    text
}

/// Looks on until there is a reason to stop.
fn watch(
    session: &Session,
    stop: &StopRequest,
    interrupt: &Interrupt,
    span: Option<Duration>,
    is_terminal: bool,
) -> String {
    let began = Instant::now();
    let mut shown = Instant::now();
    loop {
        if interrupt.is_raised() {
            return "a signal".to_owned();
        }
        if let Some(why) = stop.wait(LOOK) {
            return why;
        }
        if let Some(why) = session.lost_directory() {
            return why;
        }
        if session.is_over() {
            return if session
                .handles
                .market
                .status()
                .complete
                .load(Ordering::Acquire)
            {
                "the replay is over".to_owned()
            } else {
                "the runner has ended".to_owned()
            };
        }
        let members = &session.handles.members;
        if members
            .iter()
            .all(|m| m.host.status().ended.load(Ordering::Acquire))
        {
            return "no namespace is left".to_owned();
        }
        if span.is_some_and(|span| began.elapsed() >= span) {
            return "its time is over".to_owned();
        }
        if is_terminal && shown.elapsed() >= Duration::from_secs(1) {
            shown = Instant::now();
            line(session);
        }
    }
}

/// One line that is written over, for a person who looks on.
fn line(session: &Session) {
    let handles = &session.handles;
    let up = handles.began.elapsed().as_secs();
    let mut text = format!(
        "{:02}:{:02}:{:02}  {:.0} ticks/s  {} fills",
        up / 3600,
        up / 60 % 60,
        up % 60,
        handles.monitor.rate(|s| s.inputs),
        handles.fills(),
    );
    for member in &handles.members {
        let status = member.host.status();
        let unresolved = status.unresolved.load(Ordering::Relaxed);
        let state = if status.detached().is_some() {
            "DETACHED".to_owned()
        } else {
            match member.reader.read(|projection| projection.halted()) {
                Some(halted) => halted,
                None if unresolved > 0 => "UNRESOLVED".to_owned(),
                None => "ok".to_owned(),
            }
        };
        text += &format!("  | {} {state}", member.name);
    }
    // Longer lines are not wrapped: the next would not write over them.
    let text: String = text.chars().take(110).collect();
    eprint!("\r\x1b[2K{text}\r");
    let _ = std::io::stderr().flush();
}

fn farewell(ended: &Ended) -> anyhow::Result<()> {
    for position in &ended.unprotected {
        tracing::warn!(
            channel = "system",
            broker = position.broker.as_str(),
            "left without protection at the broker: {} {} of {}",
            position.quantity,
            position.instrument,
            position.strategy
        );
    }
    for (log, why) in &ended.unsaved {
        narrate::snapshot_failed(log, why);
    }
    for (broker, detached) in &ended.detached {
        tracing::error!(
            channel = "system",
            broker = broker.as_str(),
            "it was taken out ({}): {}",
            detached.code,
            detached.why
        );
    }
    if !ended.failed.is_empty() {
        let error = anyhow::anyhow!(
            "not all parts stopped in good order: {}",
            ended.failed.join("; ")
        );
        return Err(exit::Coded::error(exit::STOP_TIMED_OUT, error));
    }
    if let Some(why) = &ended.market {
        let error = anyhow::anyhow!("the market log could not be written: {why}");
        return Err(exit::Coded::error(exit::MARKET_LOG_FAILED, error));
    }
    if !ended.detached.is_empty() {
        let names: Vec<&str> = ended
            .detached
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let error = anyhow::anyhow!("taken out during the session: {}", names.join(", "));
        return Err(exit::Coded::error(exit::NAMESPACE_LOST, error));
    }
    tracing::info!(channel = "system", "stopped in good order");
    Ok(())
}

/// Looks at everything that a start would, and starts nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 0 when a start would not be refused, else with 3.

Examples:
  panda doctor
  panda doctor --config panda.toml --json")]
pub struct DoctorArgs {
    /// Settings (TOML); without it ./panda.toml where it is there, else the built-in ones
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Brokers to look at, separated by commas; default: active_brokers of the settings
    #[arg(long, alias = "broker", value_name = "NAME", value_delimiter = ',')]
    brokers: Vec<String>,
    /// Where logs and snapshots are; default: data_dir of the settings
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
}

/// Runs `panda doctor`.
pub fn doctor(args: &DoctorArgs) -> anyhow::Result<()> {
    let settings = settings(
        args.config.as_deref(),
        &args.brokers,
        args.data_dir.as_deref(),
        &[],
    )?;
    let brokers = settings.active_brokers.clone();
    let report = preflight::look(&settings, &brokers, BUILT_IN);
    if args.json {
        let json = serde_json::to_string_pretty(&report).context("the report")?;
        super::print(&format!("{json}\n"))?;
    } else {
        super::print(&report.table())?;
    }
    match report.failure() {
        None => Ok(()),
        Some(failure) => Err(exit::Coded::error(
            exit::PREFLIGHT,
            anyhow::anyhow!(
                "a start would be refused: {}: {}",
                failure.name,
                failure.text
            ),
        )),
    }
}
