//! Strategy definitions: YAML files, checked and resolved against the instruments and the kinds.
//!
//! A file holds a list of definitions, or a mapping whose key `strategies` is that list. `panda`
//! reads the files; this module only sees their text.

mod error;
mod node;
mod read;
mod resolve;

pub use error::{DefinitionError, Source};
pub use read::parse;
pub use resolve::{ResolvedStrategy, resolve};

use model::AssetClass;
use model::signal::Product;

use crate::strategy::MissedTimers;
use crate::suggest::did_you_mean;

/// One definition as its file gives it: the outline is checked, its names are not yet looked up.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The strategy's name: `[a-z][a-z0-9_-]*`, unique over all files, not `manual`.
    pub id: String,
    /// The kind's name.
    pub kind: Located,
    /// The instruments by name; none: all of its asset classes.
    pub instruments: Vec<Located>,
    /// The asset classes that it is for; none: those of its instruments.
    pub asset_classes: Vec<AssetClass>,
    /// The brokers that it runs on; none: every active one.
    pub brokers: Vec<Located>,
    /// The given parameters by name, as they are written.
    pub parameters: Vec<(Located, Located)>,
    /// Changes to the risk rules of its brokers.
    pub risk: Option<RiskOverrides>,
    /// What its positions are held as; the host sets it on every decision.
    pub product: Product,
    /// Lengthens the warm-up that the kind declares, in inputs per instrument.
    pub warm_up: Option<u32>,
    /// What becomes of its timers that came due while the system was off.
    pub missed_timers: MissedTimers,
    /// Whether it runs.
    pub enabled: bool,
    /// Where it begins.
    pub source: Source,
}

/// A text with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The text.
    pub text: String,
    /// Its place.
    pub at: Source,
}

/// Risk settings of one definition, for the parser of the risk rules.
#[derive(Debug, Clone)]
pub struct RiskOverrides {
    /// The mapping. Whole numbers are JSON numbers; numbers with decimals are strings that hold
    /// their exact text.
    pub value: serde_json::Value,
    /// Where it begins.
    pub at: Source,
}

/// A broker that a definition names and that does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The strategy's id.
    pub strategy: String,
    /// The broker.
    pub broker: String,
    /// Where it is named.
    pub at: Source,
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            strategy,
            broker,
            at,
        } = self;
        write!(
            f,
            "{at}: strategy `{strategy}`: broker `{broker}` is not active, skipped"
        )
    }
}

impl Definition {
    /// Refuses brokers that are not registered; gives those that are registered and do not run.
    pub fn check_brokers(
        &self,
        known: &[&str],
        active: &[&str],
    ) -> Result<Vec<Skipped>, DefinitionError> {
        let mut skipped = Vec::new();
        for broker in &self.brokers {
            let name = broker.text.as_str();
            if !known.contains(&name) {
                return Err(DefinitionError::UnknownBroker {
                    at: broker.at.clone(),
                    strategy: self.id.clone(),
                    broker: name.to_owned(),
                    suggestion: did_you_mean(name, known.iter().copied()),
                    known: known.join(", "),
                });
            }
            if !active.contains(&name) {
                skipped.push(Skipped {
                    strategy: self.id.clone(),
                    broker: name.to_owned(),
                    at: broker.at.clone(),
                });
            }
        }
        Ok(skipped)
    }

    /// True when it runs on an active broker of this name.
    pub fn runs_on(&self, broker: &str) -> bool {
        self.brokers.is_empty() || self.brokers.iter().any(|b| b.text == broker)
    }

    fn error(&self, at: &Source, message: impl Into<String>) -> DefinitionError {
        DefinitionError::Definition {
            at: at.clone(),
            strategy: self.id.clone(),
            message: message.into(),
        }
    }
}

/// True for `[a-z][a-z0-9_-]*`.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}
