//! Kinds of strategies, and the registry that knows them by name.

use std::collections::BTreeMap;

use crate::kinds;
use crate::parameter::{ParameterSpec, Parameters, Undeclared};
use crate::strategy::Strategy;
use crate::suggest::did_you_mean;

/// Where a kind runs, and so what it may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Sees the market only: runs once, its decisions go to all its brokers.
    Shared,
    /// Also sees its own fills and position: one instance runs in each of its brokers' pipelines.
    PerBroker,
}

impl Scope {
    /// The name in files and the reference.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::PerBroker => "per_broker",
        }
    }
}

/// Which instruments a kind takes, and in which order they get their slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstrumentsWanted {
    /// One or more, each for itself, in the order of their canonical ids: how a definition lists
    /// them makes no difference.
    Any,
    /// Exactly so many, in the order that the definition lists them in.
    InOrder(usize),
}

/// What a strategy is built from.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// The kind's name.
    pub kind: &'static str,
    /// Its parameters.
    pub parameters: &'a Parameters,
    /// How many instruments it has; their slots count from 0.
    pub instruments: usize,
    /// Inputs per instrument on which it must not decide because its definition says so.
    pub warm_up: u32,
}

impl Setup<'_> {
    /// The warm-up to declare and to wait for: what the kind needs, or what the definition asks for
    /// if that is more. A kind must not decide on so many inputs of an instrument, else it would
    /// remember a decision that the host has discarded.
    pub fn warm_up(&self, needed: u32) -> u32 {
        self.warm_up.max(needed)
    }

    /// Kind, instruments and parameters: what a saved state belongs to.
    pub(crate) fn owner(&self) -> String {
        let mut owner = format!("{} of {}", self.kind, self.instruments);
        for (name, text) in self.parameters.texts() {
            owner.push_str(&format!(" {name}={text}"));
        }
        owner
    }
}

/// Why a strategy could not be built from parameters that are each valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Parameters contradict each other.
    #[error("{0}")]
    Parameters(String),
    /// The kind asked for a parameter that it has not declared.
    #[error(transparent)]
    Undeclared(#[from] Undeclared),
}

/// Builds a strategy.
pub type Build = fn(&Setup<'_>) -> Result<Box<dyn Strategy>, BuildError>;

/// A kind of strategy.
#[derive(Debug, Clone, Copy)]
pub struct KindDescriptor {
    /// Its name in definitions: lower-case letters, digits, `_` and `-`.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Where it runs.
    pub scope: Scope,
    /// Which instruments it takes.
    pub instruments: InstrumentsWanted,
    /// What it takes.
    pub parameters: &'static [ParameterSpec],
    /// How it is built.
    pub build: Build,
}

impl KindDescriptor {
    /// The names of its parameters.
    pub fn parameter_names(&self) -> impl Iterator<Item = &'static str> {
        self.parameters.iter().map(|p| p.name)
    }

    /// `ema_cross takes fast, slow, quantity, timeframe`.
    pub fn takes(&self) -> String {
        let names: Vec<_> = self.parameter_names().collect();
        let names = if names.is_empty() {
            "no parameters".to_owned()
        } else {
            names.join(", ")
        };
        format!("{} takes {names}", self.name)
    }
}

/// Why a kind could not be registered or found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KindError {
    /// Nothing of this name is registered.
    #[error("unknown kind `{name}`{suggestion} (known: {known})")]
    Unknown {
        /// What was asked for.
        name: String,
        /// A near name, as the end of a sentence.
        suggestion: String,
        /// All known names.
        known: String,
    },
    /// The name is taken.
    #[error("kind `{0}` is registered twice: give one of them another name")]
    Duplicate(&'static str),
    /// The name cannot be written in a definition.
    #[error(
        "`{0}` cannot name a kind: use lower-case letters, digits, `_` and `-`, starting with a letter"
    )]
    BadName(&'static str),
    /// A declared default is not a value of its parameter.
    #[error("kind `{kind}`: default of parameter `{parameter}`: {why}")]
    BadDefault {
        /// The kind.
        kind: &'static str,
        /// The parameter.
        parameter: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// The kinds of one start of the system, by name.
#[derive(Debug, Clone, Default)]
pub struct KindRegistry {
    kinds: BTreeMap<&'static str, KindDescriptor>,
}

impl KindRegistry {
    /// Without any kind.
    pub fn empty() -> Self {
        Self::default()
    }

    /// With the built-in kinds.
    pub fn built_in() -> Self {
        // The table is checked by a test, so nothing can be refused here.
        let kinds = kinds::ALL.iter().map(|kind| (kind.name, *kind)).collect();
        Self { kinds }
    }

    /// Adds a kind.
    pub fn register(&mut self, kind: KindDescriptor) -> Result<&mut Self, KindError> {
        if !crate::definition::is_name(kind.name) {
            return Err(KindError::BadName(kind.name));
        }
        for spec in kind.parameters {
            if let Some(Err(why)) = spec.default.map(|text| spec.kind.parse(text)) {
                return Err(KindError::BadDefault {
                    kind: kind.name,
                    parameter: spec.name,
                    why,
                });
            }
        }
        if self.kinds.contains_key(kind.name) {
            return Err(KindError::Duplicate(kind.name));
        }
        self.kinds.insert(kind.name, kind);
        Ok(self)
    }

    /// The kind of this name.
    pub fn find(&self, name: &str) -> Result<&KindDescriptor, KindError> {
        self.kinds.get(name).ok_or_else(|| KindError::Unknown {
            name: name.to_owned(),
            suggestion: did_you_mean(name, self.kinds.keys().copied()),
            known: self.kinds.keys().copied().collect::<Vec<_>>().join(", "),
        })
    }

    /// All kinds, by name.
    pub fn iter(&self) -> impl Iterator<Item = &KindDescriptor> {
        self.kinds.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_kinds_are_sound() {
        let mut registry = KindRegistry::empty();
        for kind in kinds::ALL {
            registry.register(*kind).unwrap();
            let parameters = Parameters::new(kind.parameters, |_| None).unwrap();
            let setup = Setup {
                kind: kind.name,
                parameters: &parameters,
                instruments: 2,
                warm_up: 0,
            };
            (kind.build)(&setup).unwrap();
        }
        assert_eq!(
            registry.register(kinds::ALL[0]).unwrap_err(),
            KindError::Duplicate(kinds::ALL[0].name)
        );
        let message = registry.find("ema_cros").unwrap_err().to_string();
        assert!(
            message.contains("did you mean `ema_cross`?") && message.contains("low_frequency_demo"),
            "{message}"
        );
    }
}
