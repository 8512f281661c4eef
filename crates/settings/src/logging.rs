//! The `[logging]` table: where log lines go, which ones, and in which form.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::bail;
use serde::Deserialize;

/// Where a system runs: what is convenient in development is refused in production.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// On a developer's machine.
    #[default]
    Development,
    /// With consequences.
    Production,
}

impl Environment {
    /// The name in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
        }
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// How important a line must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing.
    Off,
    /// Something failed.
    Error,
    /// Something needs a look.
    Warn,
    /// What happens.
    #[default]
    Info,
    /// For finding faults.
    Debug,
    /// Everything.
    Trace,
}

/// The channels that lines belong to: the value of their field `channel`.
pub const CHANNELS: [&str; 10] = [
    "control", "feeds", "journal", "market", "pipeline", "risk", "runner", "session", "system",
    "trader",
];

/// The `[logging]` table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoggingSettings {
    /// Where the file is; absent: lines go to the standard error alone.
    pub dir: Option<PathBuf>,
    /// How important lines must be.
    pub level: Level,
    /// The same for single channels.
    pub channels: BTreeMap<String, Level>,
    /// Their form.
    pub format: Format,
    /// A file is closed before it grows beyond this, in mebibytes.
    pub max_size_mb: u64,
    /// Files that are kept, the open one included.
    pub max_files: u32,
}

impl Default for LoggingSettings {
    fn default() -> Self {
        Self {
            dir: None,
            level: Level::Info,
            channels: BTreeMap::new(),
            format: Format::Auto,
            max_size_mb: 64,
            max_files: 8,
        }
    }
}

impl LoggingSettings {
    /// Whether every value makes sense.
    pub fn check(&self) -> anyhow::Result<()> {
        if let Some(unknown) = self
            .channels
            .keys()
            .find(|name| !CHANNELS.contains(&name.as_str()))
        {
            bail!(
                "`channels.{unknown}`: no such channel; known: {}",
                CHANNELS.join(", ")
            );
        }
        if !(1..=10_240).contains(&self.max_size_mb) {
            bail!("`max_size_mb` = {}: must be 1 to 10240", self.max_size_mb);
        }
        if !(1..=1_000).contains(&self.max_files) {
            bail!("`max_files` = {}: must be 1 to 1000", self.max_files);
        }
        Ok(())
    }
}

/// The keys of `[logging]`.
pub const LOGGING_REFERENCE: &[(&str, &str, &str)] = &[
    (
        "dir",
        "",
        "directory of the file `panda.log`; absent: the standard error alone",
    ),
    (
        "level",
        "\"info\"",
        "lines from this level on: `off`, `error`, `warn`, `info`, `debug` or `trace`",
    ),
    (
        "channels",
        "{}",
        "the level of single channels, `{ market = \"debug\" }`: control, feeds, journal, market, pipeline, risk, runner, session, system, trader",
    ),
    (
        "format",
        "\"auto\"",
        "`json`, `text`, or `auto`: text on a terminal, else JSON; the file is always JSON unless `text`",
    ),
    (
        "max_size_mb",
        "64",
        "a log file is closed before it grows beyond so many mebibytes",
    ),
    (
        "max_files",
        "8",
        "log files that are kept, the open one included; the oldest goes",
    ),
];
