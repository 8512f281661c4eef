//! What a running system adds to a backtest's settings: where its data lives, its feeds, its logs and
//! its limits of time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use feeds::live::Speed;
use serde::Deserialize;

/// The `[strategies]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StrategySettings {
    /// Files with definitions.
    pub files: Vec<PathBuf>,
}

/// Where a feed's data comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedSource {
    /// The built-in simulated exchange.
    Simulated,
    /// Recorded data.
    Replay,
}

/// A `[feeds.NAME]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeedSettings {
    /// Where its data comes from.
    pub source: FeedSource,
    /// Of a replay: a catalogue, a directory of CSV files, or one file.
    pub path: Option<PathBuf>,
    /// Of a replay: `max`, or how many times as fast as it was.
    pub speed: toml::Value,
    /// Of a replay: the first instant, a date or RFC 3339.
    pub start: Option<String>,
    /// Of a replay: the end, exclusive.
    pub end: Option<String>,
    /// Of the simulated exchange: its seed.
    pub seed: u64,
    /// Of the simulated exchange: changes of each book a second, about.
    pub changes_per_second: u32,
    /// Silence for longer makes a live feed stale, in seconds.
    pub stale_after_seconds: u64,
    /// Items that may wait for the runner.
    pub queue_capacity: usize,
}

impl Default for FeedSettings {
    fn default() -> Self {
        Self {
            source: FeedSource::Simulated,
            path: None,
            speed: toml::Value::String("max".to_owned()),
            start: None,
            end: None,
            seed: 7,
            changes_per_second: 20,
            stale_after_seconds: 30,
            queue_capacity: 65_536,
        }
    }
}

impl FeedSettings {
    /// How fast a replay runs.
    pub fn speed(&self) -> anyhow::Result<Speed> {
        let times = match &self.speed {
            toml::Value::String(text) if text == "max" => return Ok(Speed::Max),
            toml::Value::Integer(times) => *times as f64,
            toml::Value::Float(times) => *times,
            other => {
                bail!("`speed` = {other}: write \"max\", or how many times as fast, such as 10")
            }
        };
        if !(times.is_finite() && times > 0.0) {
            bail!("`speed` = {times}: must be positive");
        }
        Ok(Speed::Times(times))
    }

    /// Whether every value makes sense.
    pub fn check(&self) -> anyhow::Result<()> {
        self.speed()?;
        match self.source {
            FeedSource::Replay if self.path.is_none() => {
                bail!("a replay needs `path`: a catalogue, a directory of CSV files, or one file")
            }
            FeedSource::Simulated if self.path.is_some() => {
                bail!("`path` is for `source = \"replay\"`; the simulated exchange has none")
            }
            FeedSource::Simulated if !(1..=10_000).contains(&self.changes_per_second) => bail!(
                "`changes_per_second` = {}: must be 1 to 10000",
                self.changes_per_second
            ),
            _ => Ok(()),
        }
    }
}

/// The `[log]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// What has no consequence is made durable in the journals so often, and written to the market log, in
    /// milliseconds.
    pub sync_interval_ms: u64,
    /// The market log is made durable so often, in milliseconds.
    pub market_sync_interval_ms: u64,
    /// Snapshots are saved so often, in seconds.
    pub snapshot_interval_seconds: u64,
    /// The market log is kept for so many trading days; 0: for ever.
    pub market_keep_days: u32,
    /// So much of the market log is kept, in GB (10⁹ bytes); 0: any amount.
    pub market_keep_gb: u32,
    /// The journals are kept for so many trading days; 0: for ever.
    pub journal_keep_days: u32,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            sync_interval_ms: 100,
            market_sync_interval_ms: 1_000,
            snapshot_interval_seconds: 60,
            market_keep_days: 30,
            market_keep_gb: 10,
            journal_keep_days: 0,
        }
    }
}

/// The `[runtime]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuntimeSettings {
    /// A live strategy whose call takes longer is disabled, in milliseconds; 0: none is.
    pub strategy_budget_ms: u64,
    /// A shared strategy that does not return for so long ends the process, in seconds.
    pub strategy_hang_seconds: u64,
    /// A namespace that does not move for so long is detached, in seconds.
    pub namespace_deadline_seconds: u64,
    /// Steps of the runner that may wait for a namespace.
    pub queue_capacity: usize,
    /// A live namespace that is so many market inputs behind takes them conflated.
    pub conflate_above: usize,
    /// A call to a broker that takes longer blocks entries, in seconds.
    pub call_deadline_seconds: u64,
    /// The longest that a call to a broker can be under way, clock skew included, in milliseconds.
    pub call_within_ms: u64,
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        Self {
            strategy_budget_ms: 250,
            strategy_hang_seconds: 10,
            namespace_deadline_seconds: 10,
            queue_capacity: 65_536,
            conflate_above: 8_192,
            call_deadline_seconds: 10,
            call_within_ms: 10_000,
        }
    }
}

/// All of it.
#[derive(Debug, Clone)]
pub struct LiveSettings {
    /// Where logs, snapshots and the control socket are.
    pub data_dir: PathBuf,
    /// The instruments: minimal CSV, or a broker's dump. The simulated exchange brings its own.
    pub instruments: Option<PathBuf>,
    /// Strategy definitions.
    pub strategies: StrategySettings,
    /// The feeds by name.
    pub feeds: BTreeMap<String, FeedSettings>,
    /// The logs.
    pub log: LogSettings,
    /// Limits of time and space.
    pub runtime: RuntimeSettings,
}

impl LiveSettings {
    /// Whether every value makes sense.
    pub fn check(&self) -> anyhow::Result<()> {
        for (name, feed) in &self.feeds {
            feed.check().with_context(|| format!("[feeds.{name}]"))?;
        }
        let replays = self
            .feeds
            .values()
            .filter(|f| f.source == FeedSource::Replay)
            .count();
        if replays > 1 || (replays == 1 && self.feeds.len() > 1) {
            bail!(
                "[feeds]: a replay has the session to itself, as its clock is the data's: keep one feed"
            );
        }
        if self.runtime.queue_capacity < 1024 {
            bail!("[runtime] queue_capacity: must be at least 1024");
        }
        if self.log.sync_interval_ms == 0
            || self.log.market_sync_interval_ms == 0
            || self.log.snapshot_interval_seconds == 0
        {
            bail!("[log]: intervals must be at least 1");
        }
        Ok(())
    }

    /// How often what has no consequence is made durable.
    pub const fn sync_interval(&self) -> Duration {
        Duration::from_millis(self.log.sync_interval_ms)
    }
    /// How often the market log is made durable.
    pub const fn market_sync_interval(&self) -> Duration {
        Duration::from_millis(self.log.market_sync_interval_ms)
    }
    /// How often snapshots are saved.
    pub const fn snapshot_interval(&self) -> Duration {
        Duration::from_secs(self.log.snapshot_interval_seconds)
    }
}

/// Key, default and meaning of every key, for the reference page.
pub const TOP_REFERENCE: &[(&str, &str, &str)] = &[
    (
        "data_dir",
        "\"data\"",
        "where logs, snapshots and the control socket are",
    ),
    (
        "instruments",
        "",
        "the instruments: minimal CSV, or a broker's dump; the simulated exchange brings its own",
    ),
];

/// The keys of `[strategies]`.
pub const STRATEGIES_REFERENCE: &[(&str, &str, &str)] = &[(
    "files",
    "[]",
    "files with strategy definitions; none: three samples on the simulated exchange",
)];

/// The keys of `[feeds.NAME]`.
pub const FEED_REFERENCE: &[(&str, &str, &str)] = &[
    (
        "source",
        "\"simulated\"",
        "`simulated`: the built-in exchange; `replay`: recorded data",
    ),
    (
        "path",
        "",
        "of a replay: a catalogue, a directory of CSV files, or one file",
    ),
    (
        "speed",
        "\"max\"",
        "of a replay: `max`, or how many times as fast as it was",
    ),
    (
        "start",
        "",
        "of a replay: the first instant, a date in the data's time zone or RFC 3339",
    ),
    ("end", "", "of a replay: the end, exclusive"),
    ("seed", "7", "of the simulated exchange: its seed"),
    (
        "changes_per_second",
        "20",
        "of the simulated exchange: changes of each book a second, about",
    ),
    (
        "stale_after_seconds",
        "30",
        "silence for longer makes a live feed stale: entries stop",
    ),
    (
        "queue_capacity",
        "65536",
        "items that may wait for the runner; beyond, a live feed is conflated and a replay waits",
    ),
];

/// The keys of `[log]`.
pub const LOG_REFERENCE: &[(&str, &str, &str)] = &[
    (
        "sync_interval_ms",
        "100",
        "what has no consequence is made durable in the journals so often, and written to the market log; intents are made durable at once",
    ),
    (
        "market_sync_interval_ms",
        "1000",
        "the market log is made durable so often: a loss of power takes the ticks of that time, which costs strategies some warmth and no order",
    ),
    (
        "snapshot_interval_seconds",
        "60",
        "how often snapshots are saved",
    ),
    (
        "market_keep_days",
        "30",
        "trading days of the market log that are kept; 0: all",
    ),
    (
        "market_keep_gb",
        "10",
        "GB (10⁹ bytes) of the market log that are kept, in whole trading days, today's always; 0: any amount",
    ),
    (
        "journal_keep_days",
        "0",
        "trading days of the journals that are kept; 0: all",
    ),
];

/// The keys of `[runtime]`.
pub const RUNTIME_REFERENCE: &[(&str, &str, &str)] = &[
    (
        "strategy_budget_ms",
        "250",
        "a live strategy whose call takes longer is disabled; 0: none is",
    ),
    (
        "strategy_hang_seconds",
        "10",
        "a shared strategy that does not return for so long ends the process, and starts disabled",
    ),
    (
        "namespace_deadline_seconds",
        "10",
        "a namespace that does not move for so long is detached",
    ),
    (
        "queue_capacity",
        "65536",
        "steps of the runner that may wait for a namespace; beyond, a live namespace is detached",
    ),
    (
        "conflate_above",
        "8192",
        "a live namespace that is so many market inputs behind takes them conflated",
    ),
    (
        "call_deadline_seconds",
        "10",
        "a call to a broker that takes longer blocks entries",
    ),
    (
        "call_within_ms",
        "10000",
        "the longest that a call to a broker can be under way, clock skew included",
    ),
];
