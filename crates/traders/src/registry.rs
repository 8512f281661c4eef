//! The kinds of brokers that this build knows.

use std::sync::Arc;

use model::session::Sessions;
use model::topic::Namespace;
use model::trader::InPipelineTrader;
use model::{AssetClass, Instruments};

/// What a trader is built from.
pub struct BuildContext<'a> {
    /// The namespace that it trades for.
    pub namespace: &'a Namespace,
    /// The namespace's table of the settings, without the keys that every broker has.
    pub settings: &'a toml::Table,
    /// The instruments.
    pub instruments: Arc<Instruments>,
    /// The calendar.
    pub sessions: Arc<dyn Sessions>,
}

/// A trader that is ready.
pub enum Built {
    /// One that is stepped inside the pipeline.
    InPipeline {
        /// The trader.
        trader: Box<dyn InPipelineTrader>,
        /// What reports must say about it, such as that it looks ahead.
        warnings: Vec<String>,
        /// The settings in effect, for the record.
        effective: toml::Table,
    },
    /// One that talks to a broker from a thread of its own.
    Outside {
        /// The trader.
        trader: Box<dyn crate::Trader>,
        /// What an operator must know about it.
        warnings: Vec<String>,
        /// The settings in effect, secrets redacted, for the record.
        effective: toml::Table,
    },
}

/// Why a trader could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A key of its table is unknown or its value is wrong.
    #[error("[trading_engine.{namespace}] {message}")]
    Setting {
        /// The namespace.
        namespace: String,
        /// What is wrong, with the key and the fix.
        message: String,
    },
}

/// One setting of a kind, for the reference.
#[derive(Debug, Clone, Copy)]
pub struct SettingSpec {
    /// The key.
    pub key: &'static str,
    /// Its default, as TOML writes it, which also says what an environment variable can hold: a number,
    /// `true` or `false`, a list. Empty: none, and text.
    pub default: &'static str,
    /// What it means, with its unit.
    pub text: &'static str,
}

/// Builds one trader of a kind.
pub type Build = Box<dyn Fn(&BuildContext<'_>) -> Result<Built, BuildError> + Send + Sync>;

/// A kind of broker.
pub struct BrokerKind {
    /// Its name: the default namespace, and `kind` in the settings.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// What it can trade.
    pub asset_classes: &'static [AssetClass],
    /// Its settings.
    pub settings: &'static [SettingSpec],
    /// Builds one trader. A closure, as a kind may hold what its traders share.
    pub build: Build,
}

/// The kinds that are registered.
#[derive(Default)]
pub struct Registry {
    kinds: Vec<BrokerKind>,
}

impl Registry {
    /// Adds a kind; a later one of the same name takes the place of the earlier.
    pub fn register(&mut self, kind: BrokerKind) {
        self.kinds.retain(|k| k.name != kind.name);
        self.kinds.push(kind);
        self.kinds.sort_by_key(|k| k.name);
    }
    /// The kind of a name.
    pub fn get(&self, name: &str) -> Option<&BrokerKind> {
        self.kinds.iter().find(|k| k.name == name)
    }
    /// All kinds, by name.
    pub fn kinds(&self) -> &[BrokerKind] {
        &self.kinds
    }
    /// All names.
    pub fn names(&self) -> Vec<&'static str> {
        self.kinds.iter().map(|k| k.name).collect()
    }
}
