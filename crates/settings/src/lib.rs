//! The settings: one typed tree. Unknown keys and wrong values stop the start with the file, the key
//! and the fix.

mod brokers;
mod data;
pub mod errors;
pub mod example;
pub mod layers;
pub mod live;
pub mod logging;
mod markets;
pub mod markets_page;
pub mod reference;
pub mod schema;
pub mod secret;
pub mod zone;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::zone::Zone;
use ::markets::calendar::MarketSessions;
use anyhow::{Context, bail};
use model::Instruments;
use model::secret::Secret;
use pipeline::risk::LimitSettings;
use serde::Deserialize;

pub use brokers::{BrokerTable, OnStop};
pub use data::DataSettings;
pub use layers::{Flag, Layer, LayerInputs, Leaf, Origin};
pub use logging::{Environment, LoggingSettings};
pub use markets::{Assumption, MarketFacts, TradingDaySettings};

/// The tree as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Root {
    environment: Environment,
    active_brokers: Vec<String>,
    display_time_zone: Option<String>,
    data: DataSettings,
    trading_day: TradingDaySettings,
    markets: markets::MarketSettings,
    portfolio: PortfolioSettings,
    risk: toml::Table,
    trading_engine: BTreeMap<String, toml::Table>,
    data_dir: Option<std::path::PathBuf>,
    instruments: Option<std::path::PathBuf>,
    strategies: live::StrategySettings,
    feeds: BTreeMap<String, live::FeedSettings>,
    log: live::LogSettings,
    logging: LoggingSettings,
    runtime: live::RuntimeSettings,
}

impl Root {
    /// The types alone: what one layer lacks another can bring.
    fn parse(text: &str, name: &str) -> anyhow::Result<Self> {
        toml::from_str(text).map_err(|e| {
            let message = secret::redact_quoted(e.to_string().trim_end());
            anyhow::anyhow!("{name}: {message}")
        })
    }
}

/// The `[portfolio]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PortfolioSettings {
    /// Snapshots are taken per execution and at multiples of this interval, in seconds.
    pub snapshot_interval_seconds: u32,
}

impl Default for PortfolioSettings {
    fn default() -> Self {
        Self {
            snapshot_interval_seconds: 60,
        }
    }
}

/// The effective settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the system runs.
    pub environment: Environment,
    /// The default of `--broker`.
    pub active_brokers: Vec<String>,
    /// In which people read times: the market's unless the settings name one.
    pub zone: Zone,
    names_zone: bool,
    /// How raw data is read.
    pub data: DataSettings,
    /// When a trading day starts.
    pub trading_day: TradingDaySettings,
    /// The facts about the exchanges.
    pub markets: Arc<MarketFacts>,
    /// The portfolio manager.
    pub portfolio: PortfolioSettings,
    /// Limits by namespace, the common ones filled in.
    risk: LimitSettings,
    risk_by_broker: BTreeMap<String, LimitSettings>,
    /// The brokers that are switched on, by namespace.
    pub brokers: BTreeMap<String, BrokerTable>,
    /// What a running system adds.
    pub live: live::LiveSettings,
    /// Where log lines go.
    pub logging: LoggingSettings,
    /// Of layered settings the whole effective tree as TOML in a fixed order, secrets redacted: equal
    /// texts are equal settings, wherever the values came from. Else the file's text.
    pub text: String,
    /// Of layered settings every value with where it came from; else empty.
    pub leaves: Vec<Leaf>,
    /// Of layered settings what looks like a mistake and is none: variables that are nearly ours.
    pub warnings: Vec<String>,
    /// The secrets among the values, to be kept out of log lines.
    pub secrets: Vec<Secret>,
}

impl Settings {
    /// The built-in defaults: a paper broker, no limits, markets that are always open.
    pub fn built_in() -> anyhow::Result<Self> {
        Self::parse("", "the built-in settings")
    }

    /// From a file, or the built-in defaults.
    pub fn load(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Self::built_in();
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the settings file {}", path.display()))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// From the text of a file called `name`.
    pub fn parse(text: &str, name: &str) -> anyhow::Result<Self> {
        let root = Root::parse(text, name)?;
        Self::build(root, name, text.to_owned())
    }

    /// From all layers.
    pub fn layered(inputs: &LayerInputs<'_>) -> anyhow::Result<Self> {
        layers::settings(inputs)
    }

    /// Checks what the types do not.
    fn build(root: Root, name: &str, text: String) -> anyhow::Result<Self> {
        let secrets: Vec<Secret> = root
            .trading_engine
            .values()
            .flat_map(secret::secrets)
            .collect();
        // From here on no message of this process shows them, whoever writes it.
        for secret in &secrets {
            secret::redact(secret.reveal());
        }
        let facts =
            MarketFacts::load(&root.markets).with_context(|| format!("{name}: [markets]"))?;
        let mut trading_engine = root.trading_engine;
        trading_engine.entry("paper".to_owned()).or_default();
        let brokers = trading_engine
            .into_iter()
            .map(|(namespace, table)| {
                let broker = BrokerTable::parse(&namespace, table, &facts)
                    .with_context(|| format!("{name}: [trading_engine.{namespace}]"))?;
                Ok((namespace, broker))
            })
            .collect::<anyhow::Result<BTreeMap<_, _>>>()?;
        let (risk, risk_by_broker) = risk(root.risk).with_context(|| format!("{name}: [risk]"))?;
        if let Some(unknown) = risk_by_broker.keys().find(|b| !brokers.contains_key(*b)) {
            bail!(
                "{name}: [risk.brokers.{unknown}]: no such broker; configured: {}",
                brokers.keys().cloned().collect::<Vec<_>>().join(", ")
            );
        }
        if let Some(unknown) = root
            .active_brokers
            .iter()
            .find(|b| !brokers.contains_key(*b))
        {
            bail!(
                "{name}: active_brokers: `{unknown}` has no [trading_engine.{unknown}]; configured: {}{}",
                brokers.keys().cloned().collect::<Vec<_>>().join(", "),
                table_to_add(unknown, brokers.keys())
            );
        }
        root.trading_day
            .day()
            .with_context(|| format!("{name}: [trading_day]"))?;
        root.data
            .check()
            .with_context(|| format!("{name}: [data]"))?;
        if root.portfolio.snapshot_interval_seconds == 0 {
            bail!("{name}: [portfolio] snapshot_interval_seconds = 0: must be at least 1");
        }
        let live = live::LiveSettings {
            data_dir: root.data_dir.unwrap_or_else(|| "data".into()),
            instruments: root.instruments,
            strategies: root.strategies,
            feeds: if root.feeds.is_empty() {
                BTreeMap::from([("sim".to_owned(), live::FeedSettings::default())])
            } else {
                root.feeds
            },
            log: root.log,
            runtime: root.runtime,
        };
        live.check().with_context(|| name.to_owned())?;
        root.logging
            .check()
            .with_context(|| format!("{name}: [logging]"))?;
        let active_brokers = if root.active_brokers.is_empty() {
            vec!["paper".to_owned()]
        } else {
            root.active_brokers
        };
        let zone = match &root.display_time_zone {
            Some(zone) => {
                Zone::get(zone).with_context(|| format!("{name}: `display_time_zone`"))?
            }
            None => Zone::get(&root.trading_day.time_zone)
                .with_context(|| format!("{name}: [trading_day] `time_zone`"))?,
        };
        Ok(Self {
            environment: root.environment,
            active_brokers,
            zone,
            names_zone: root.display_time_zone.is_some(),
            data: root.data,
            trading_day: root.trading_day,
            markets: Arc::new(facts),
            portfolio: root.portfolio,
            risk,
            risk_by_broker,
            brokers,
            live,
            logging: root.logging,
            text,
            leaves: Vec::new(),
            warnings: Vec::new(),
            secrets,
        })
    }

    /// The limits of a namespace: its own where given, else the common ones, else those that bind out of the
    /// box.
    pub fn limits(&self, namespace: &str) -> LimitSettings {
        self.risk_by_broker
            .get(namespace)
            .cloned()
            .unwrap_or_default()
            .or(&self.risk)
            .or(&LimitSettings::built_in())
    }

    /// The zone of a report's times: the data's unless the settings name one.
    pub fn report_zone(&self) -> &str {
        if self.names_zone {
            self.zone.name()
        } else {
            &self.data.time_zone
        }
    }

    /// What a start records of them: with what the files of `[markets]` say.
    pub fn deciding(&self) -> String {
        let mut text = deciding(&self.text);
        if let Some(digest) = self.markets.digest() {
            text.push_str("# files of [markets]: ");
            text.push_str(digest);
            text.push('\n');
        }
        text
    }

    /// The hours of these instruments.
    pub fn sessions(&self, instruments: &Instruments) -> anyhow::Result<MarketSessions> {
        self.markets.sessions(instruments, &self.trading_day)
    }
}

/// The part of a recorded text that can change a decision: where the data lies and how much is logged
/// does not make two runs incomparable.
pub fn deciding(text: &str) -> String {
    const WITHOUT: [&str; 6] = [
        "active_brokers",
        "data_dir",
        "display_time_zone",
        "environment",
        "log",
        "logging",
    ];
    let Ok(mut table) = toml::from_str::<toml::Table>(text) else {
        return text.to_owned();
    };
    table.retain(|key, _| !WITHOUT.contains(&key));
    table.to_string()
}

fn risk(
    mut table: toml::Table,
) -> anyhow::Result<(LimitSettings, BTreeMap<String, LimitSettings>)> {
    let by_broker = match table.remove("brokers") {
        None => toml::Table::new(),
        Some(toml::Value::Table(brokers)) => brokers,
        Some(_) => bail!("`brokers` must be a table of tables: [risk.brokers.NAME]"),
    };
    let common = limits(table)?;
    let by_broker = by_broker
        .into_iter()
        .map(|(broker, value)| {
            let toml::Value::Table(table) = value else {
                bail!("`brokers.{broker}` must be a table")
            };
            let limits = limits(table).with_context(|| format!("brokers.{broker}"))?;
            Ok((broker, limits))
        })
        .collect::<anyhow::Result<_>>()?;
    Ok((common, by_broker))
}

fn limits(table: toml::Table) -> anyhow::Result<LimitSettings> {
    typed(table)
}

/// A table as its type. Messages name the key, as tables know no lines.
fn typed<T: serde::de::DeserializeOwned>(table: toml::Table) -> anyhow::Result<T> {
    toml::Value::Table(table)
        .try_into()
        .map_err(|e: toml::de::Error| {
            anyhow::anyhow!("{}", e.to_string().trim_end().replace('\n', " "))
        })
}

/// What to add for a second instance of a configured broker, such as `paper2` beside `paper`.
fn table_to_add<'a>(unknown: &str, mut configured: impl Iterator<Item = &'a String>) -> String {
    let stem = unknown.trim_end_matches(|c: char| c.is_ascii_digit());
    match configured.find(|name| *name == stem) {
        Some(kind) => {
            format!("; for a second {kind}, add [trading_engine.{unknown}] with kind = \"{kind}\"")
        }
        None => String::new(),
    }
}
