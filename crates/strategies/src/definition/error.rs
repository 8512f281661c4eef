//! What can be wrong with a strategy file.

use std::fmt;
use std::sync::Arc;

/// A place in a strategy file; prints as `strategies.yaml:7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The file's name as it was given.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u64,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Why strategy files were refused. Each message names the file, the line and the strategy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// The file is not YAML, or beyond the bounds of size and depth.
    #[error("{file}:{line}:{column}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// What the parser says.
        message: String,
    },
    /// The file's outline is not that of strategy definitions.
    #[error("{at}: {message}")]
    Outline {
        /// Where.
        at: Source,
        /// What is wrong, and the fix.
        message: String,
    },
    /// A definition is wrong.
    #[error("{at}: strategy `{strategy}`: {message}")]
    Definition {
        /// Where.
        at: Source,
        /// The strategy's id.
        strategy: String,
        /// What is wrong, and the fix.
        message: String,
    },
    /// Two definitions have one id.
    #[error("{second}: strategy `{id}` is already defined at {first}; give one of them another id")]
    Duplicate {
        /// The id.
        id: String,
        /// The first definition.
        first: Source,
        /// The second one.
        second: Source,
    },
    /// A broker that is not registered.
    #[error("{at}: strategy `{strategy}`: unknown broker `{broker}`{suggestion} (known: {known})")]
    UnknownBroker {
        /// Where.
        at: Source,
        /// The strategy's id.
        strategy: String,
        /// The broker.
        broker: String,
        /// A near name, as the end of a sentence.
        suggestion: String,
        /// The registered ones.
        known: String,
    },
}
