//! The `[data]` table: how raw files are read and cleaned.

use std::path::PathBuf;

use anyhow::{Context, bail};
use feeds::{Band, ColumnMap};
use jiff::tz::TimeZone;
use model::market::{BarStamp, Timeframe};
use serde::Deserialize;

/// How recorded data is read. Of a catalogue only `timeframe` and `corporate_actions` matter.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSettings {
    /// Zone of stamps without one and of dates in paths.
    pub time_zone: String,
    /// Columns with unusual names: `{ price = "last_traded_price" }`.
    pub columns: std::collections::BTreeMap<String, String>,
    /// How far a price may lie from the last kept one, in percent; 0: any.
    pub jump_band_percent: toml::Value,
    /// Whether rows outside the session are rejected.
    pub session_only: bool,
    /// Length of the bars of a bar data set.
    pub timeframe: Option<String>,
    /// Whether a bar's stamp is its open or its close.
    pub bar_stamp: BarStamp,
    /// A file of splits and bonuses: rows before them are brought into the shares after them.
    pub corporate_actions: Option<PathBuf>,
}

impl Default for DataSettings {
    fn default() -> Self {
        Self {
            time_zone: "Asia/Kolkata".to_owned(),
            columns: std::collections::BTreeMap::new(),
            jump_band_percent: toml::Value::Integer(20),
            session_only: true,
            timeframe: None,
            bar_stamp: BarStamp::Open,
            corporate_actions: None,
        }
    }
}

impl DataSettings {
    /// Whether every value makes sense.
    pub fn check(&self) -> anyhow::Result<()> {
        self.zone()?;
        self.band()?;
        self.column_map()?;
        self.bars().map(|_| ())
    }

    /// The columns with unusual names.
    pub fn column_map(&self) -> anyhow::Result<ColumnMap> {
        let pairs: Vec<String> = self
            .columns
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        ColumnMap::parse(&pairs.join(",")).context("`columns`")
    }

    /// The time zone.
    pub fn zone(&self) -> anyhow::Result<TimeZone> {
        TimeZone::get(&self.time_zone).with_context(|| {
            format!(
                "`time_zone` = `{}`: give an IANA name such as Asia/Kolkata",
                self.time_zone
            )
        })
    }

    /// The band of the rule against jumps.
    pub fn band(&self) -> anyhow::Result<Band> {
        let text = match &self.jump_band_percent {
            toml::Value::Integer(n) => n.to_string(),
            toml::Value::Float(n) => n.to_string(),
            toml::Value::String(text) => text.clone(),
            other => bail!("`jump_band_percent` = {other}: give a percentage such as 20"),
        };
        Band::from_percent(&text).context("`jump_band_percent`")
    }

    /// The length of bars.
    pub fn bars(&self) -> anyhow::Result<Option<Timeframe>> {
        let Some(text) = &self.timeframe else {
            return Ok(None);
        };
        match Timeframe::parse(text) {
            Some(timeframe) => Ok(Some(timeframe)),
            None => bail!("`timeframe` = `{text}`: write a length such as 30s, 1m, 15m, 1h or 1d"),
        }
    }
}

/// The keys of `[data]`.
pub const DATA_REFERENCE: &[(&str, &str, &str)] = &[
    (
        "time_zone",
        "\"Asia/Kolkata\"",
        "zone of stamps without one and of dates in paths",
    ),
    (
        "columns",
        "{}",
        "columns with unusual names, `{ price = \"last_traded_price\" }`",
    ),
    (
        "jump_band_percent",
        "20",
        "a price further from the last kept one is rejected; 0: any is kept",
    ),
    ("session_only", "true", "reject rows outside the session"),
    (
        "timeframe",
        "",
        "length of the bars of a bar data set, such as `1m`",
    ),
    (
        "bar_stamp",
        "\"open\"",
        "whether a bar's stamp is its `open` or its `close`",
    ),
    (
        "corporate_actions",
        "",
        "of backtests and replays: file of splits and bonuses that history is adjusted by (docs/handbook.md)",
    ),
];
