//! What is recorded at each start.

use model::Timestamp;
use model::ids::SourceSession;
use model::instrument::Instrument;
use model::money::Currency;
use serde::{Deserialize, Serialize};

/// A strategy at a start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrategyEntry {
    /// Its id.
    pub name: String,
    /// Its definition as written, in one fixed spelling; empty for one that is known from earlier
    /// starts only.
    pub definition: String,
}

/// The epoch record: what the records after it were made with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The log's generation.
    pub epoch: u64,
    /// When, on the wall clock.
    pub at: Timestamp,
    /// Which build.
    pub build: String,
    /// The effective settings, secrets redacted, as TOML.
    pub settings: String,
    /// The identity of the market data.
    pub source: SourceSession,
    /// True where the session's clock is the wall.
    pub live: bool,
    /// What client order ids are salted with: drawn at the first start, kept ever since.
    pub salt: u128,
    /// The namespaces of the system, in the order of their indices.
    pub brokers: Vec<String>,
    /// The strategies by index; 0 is `manual`.
    pub strategies: Vec<StrategyEntry>,
    /// The instruments by index.
    pub instruments: Vec<Instrument>,
    /// The currencies by index.
    pub currencies: Vec<Currency>,
}

impl Start {
    /// Whether a recorded session can be replayed by what `other` describes: the same build, settings
    /// and tables. What differs, for people.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let mut differ = Vec::new();
        if self.build != other.build {
            differ.push("the build");
        }
        if self.settings != other.settings {
            differ.push("the settings");
        }
        if self.strategies != other.strategies {
            differ.push("the strategies");
        }
        if self.instruments != other.instruments || self.currencies != other.currencies {
            differ.push("the instruments");
        }
        if self.brokers != other.brokers {
            differ.push("the brokers");
        }
        differ
    }
}
