//! The kind's settings.

use std::path::PathBuf;
use std::time::Duration;

use model::trader::Delivery;
use serde::{Deserialize, Serialize};
use traders::SettingSpec;

/// The settings, for the reference.
pub const SETTINGS: &[SettingSpec] = &[
    SettingSpec {
        key: "connect",
        default: "\"\"",
        text: "where the exchange is: empty for the simulated exchange of this process, `unix:PATH` for the socket of one that `panda exchange serve` runs",
    },
    SettingSpec {
        key: "delivery",
        default: "\"idempotent\"",
        text: "`idempotent`: an order may be presented again; `query_only`: it is presented once and then only asked about; an exchange of its own must be served with the same",
    },
    SettingSpec {
        key: "executions",
        default: "\"each\"",
        text: "`each`: every execution is reported with its trade id; `totals`: only how much of an order has executed in all, at what average price",
    },
    SettingSpec {
        key: "timeout_ms",
        default: "1000",
        text: "how long a call may take before its outcome is unknown, in milliseconds",
    },
];

/// The namespace's table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimSettings {
    /// Where the exchange is.
    pub connect: String,
    /// How orders are delivered.
    pub delivery: Delivery,
    /// How executions are reported.
    pub executions: Executions,
    /// How long a call may take.
    pub timeout_ms: u64,
}

/// How executions are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Executions {
    /// Each with its trade id.
    #[default]
    Each,
    /// How much in all, at what average price.
    Totals,
}

impl Default for SimSettings {
    fn default() -> Self {
        Self {
            connect: String::new(),
            delivery: Delivery::Idempotent,
            executions: Executions::Each,
            timeout_ms: 1_000,
        }
    }
}

impl SimSettings {
    /// From the namespace's table; names the key and the fix.
    pub fn from_table(table: &toml::Table) -> Result<Self, String> {
        let known: Vec<_> = SETTINGS.iter().map(|s| s.key).collect();
        if let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!(
                "unknown key `{key}`; known keys: {}",
                known.join(", ")
            ));
        }
        // One key at a time, so that an error names its key.
        for (key, value) in table {
            let alone = toml::Table::from_iter([(key.clone(), value.clone())]);
            if let Err(error) = alone.try_into::<Self>() {
                return Err(format!("`{key}` = {value}: {}", error.message()));
            }
        }
        let settings: Self = table
            .clone()
            .try_into()
            .map_err(|e: toml::de::Error| e.message().to_owned())?;
        if !(1..=600_000).contains(&settings.timeout_ms) {
            return Err(format!(
                "`timeout_ms` = {}: must lie between 1 and 600000",
                settings.timeout_ms
            ));
        }
        settings.socket()?;
        Ok(settings)
    }

    /// The socket, where the exchange is a process of its own.
    pub fn socket(&self) -> Result<Option<PathBuf>, String> {
        if self.connect.is_empty() {
            return Ok(None);
        }
        match self.connect.strip_prefix("unix:") {
            Some(path) if !path.is_empty() => Ok(Some(path.into())),
            _ => Err(format!(
                "`connect` = \"{}\": write unix:PATH, or leave it empty for the exchange of this process",
                self.connect
            )),
        }
    }

    /// How long a call may take.
    pub const fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}
