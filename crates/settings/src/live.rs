//! What a running system adds to a backtest's settings: where its data lives, its feeds, its logs and
//! its limits of time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use feeds::live::{REPLAY, ReplaySettings, SIMULATED, SimulatedSettings};
use serde::Deserialize;

/// The `[strategies]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StrategySettings {
    /// Files with definitions.
    pub files: Vec<PathBuf>,
}

/// A `[feeds.NAME]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct FeedSettings {
    /// The kind of feed.
    pub source: String,
    /// Silence for longer makes a live feed stale, in seconds.
    pub stale_after_seconds: u64,
    /// Items that may wait for the runner.
    pub queue_capacity: usize,
    /// The keys of its kind.
    #[serde(flatten)]
    pub own: toml::Table,
}

impl Default for FeedSettings {
    fn default() -> Self {
        Self {
            source: SIMULATED.to_owned(),
            stale_after_seconds: 30,
            queue_capacity: 65_536,
            own: toml::Table::new(),
        }
    }
}

impl FeedSettings {
    /// Whether it is recorded data.
    pub fn is_replay(&self) -> bool {
        self.source == REPLAY
    }

    /// Whether the values of a built-in kind make sense; another kind looks at its own as it is built.
    pub fn check(&self) -> Result<(), String> {
        match self.source.as_str() {
            REPLAY => ReplaySettings::from_table(&self.own).map(|_| ()),
            SIMULATED => SimulatedSettings::from_table(&self.own).map(|_| ()),
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
            let checked = feed.check().map_err(anyhow::Error::msg);
            checked.with_context(|| format!("[feeds.{name}]"))?;
        }
        let replays = self.feeds.values().filter(|f| f.is_replay()).count();
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

/// The keys of every `[feeds.NAME]`.
pub const FEED_REFERENCE: &[(&str, &str, &str)] = &[
    (
        "source",
        "\"simulated\"",
        "the kind of feed; which keys it has besides is told below",
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
