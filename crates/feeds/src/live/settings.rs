//! The settings of the feeds that are built in.

use std::path::PathBuf;

use serde::Deserialize;
use traders::SettingSpec;

use super::Speed;
use super::registry::{FeedKind, REPLAY};

/// The keys of a replay.
const REPLAY_SETTINGS: &[SettingSpec] = &[
    SettingSpec {
        key: "path",
        default: "",
        text: "a catalogue, a directory of CSV files, or one file",
    },
    SettingSpec {
        key: "speed",
        default: "\"max\"",
        text: "`max`, or how many times as fast as it was",
    },
    SettingSpec {
        key: "start",
        default: "",
        text: "the first instant, a date in the data's time zone or RFC 3339",
    },
    SettingSpec {
        key: "end",
        default: "",
        text: "the end, exclusive",
    },
];

/// The keys of the simulated exchange's feed.
pub(super) const SIMULATED_SETTINGS: &[SettingSpec] = &[
    SettingSpec {
        key: "seed",
        default: "7",
        text: "the exchange's seed",
    },
    SettingSpec {
        key: "changes_per_second",
        default: "20",
        text: "changes of each book a second, about",
    },
];

/// The kind to register: recorded data.
pub fn replay_kind() -> FeedKind {
    FeedKind {
        name: REPLAY,
        summary: "recorded data, which has the session to itself",
        settings: REPLAY_SETTINGS,
        build: None,
    }
}

/// What a replay's table says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplaySettings {
    /// A catalogue, a directory of CSV files, or one file.
    pub path: PathBuf,
    speed: toml::Value,
    /// The first instant, a date or RFC 3339.
    pub start: Option<String>,
    /// The end, exclusive.
    pub end: Option<String>,
}

impl Default for ReplaySettings {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            speed: toml::Value::String("max".to_owned()),
            start: None,
            end: None,
        }
    }
}

impl ReplaySettings {
    /// From a feed's table, or the key that is wrong, and the fix.
    pub fn from_table(table: &toml::Table) -> Result<Self, String> {
        let this: Self = parse(table)?;
        if this.path.as_os_str().is_empty() {
            return Err(
                "a replay needs `path`: a catalogue, a directory of CSV files, or one file".into(),
            );
        }
        this.speed()?;
        Ok(this)
    }

    /// How fast it runs.
    pub fn speed(&self) -> Result<Speed, String> {
        let times = match &self.speed {
            toml::Value::String(text) if text == "max" => return Ok(Speed::Max),
            toml::Value::Integer(times) => *times as f64,
            toml::Value::Float(times) => *times,
            other => {
                return Err(format!(
                    "`speed` = {other}: write \"max\", or how many times as fast, such as 10"
                ));
            }
        };
        if !(times.is_finite() && times > 0.0) {
            return Err(format!("`speed` = {times}: must be positive"));
        }
        Ok(Speed::Times(times))
    }
}

/// What the table of the simulated exchange's feed says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimulatedSettings {
    /// The exchange's seed.
    pub seed: u64,
    /// Changes of each book a second, about.
    pub changes_per_second: u32,
}

impl Default for SimulatedSettings {
    fn default() -> Self {
        Self {
            seed: 7,
            changes_per_second: 20,
        }
    }
}

impl SimulatedSettings {
    /// From a feed's table, or the key that is wrong, and the fix.
    pub fn from_table(table: &toml::Table) -> Result<Self, String> {
        let this: Self = parse(table)?;
        if !(1..=10_000).contains(&this.changes_per_second) {
            return Err(format!(
                "`changes_per_second` = {}: must be 1 to 10000",
                this.changes_per_second
            ));
        }
        Ok(this)
    }
}

/// A table as its type; an error names the key.
fn parse<T: serde::de::DeserializeOwned>(table: &toml::Table) -> Result<T, String> {
    for (key, value) in table {
        let alone = toml::Table::from_iter([(key.clone(), value.clone())]);
        if let Err(error) = alone.try_into::<T>() {
            return Err(format!("`{key}` = {value}: {}", error.message()));
        }
    }
    table
        .clone()
        .try_into()
        .map_err(|error: toml::de::Error| error.message().to_owned())
}
