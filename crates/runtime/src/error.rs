//! Why the runtime cannot go on.

use journal::JournalError;
use wire::WireError;

/// Errors of the runtime. Each names the namespace or log that it concerns; the others go on.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A log cannot be written or read.
    #[error("the journal of `{name}`: {source}")]
    Journal {
        /// The namespace, or `market`.
        name: String,
        /// Why.
        source: JournalError,
    },
    /// A record cannot be encoded or decoded.
    #[error("the journal of `{name}`: {source}")]
    Record {
        /// The namespace, or `market`.
        name: String,
        /// Why.
        source: WireError,
    },
    /// Saved state does not fit.
    #[error("the state of `{name}`: {why}")]
    State {
        /// The namespace, or `market`.
        name: String,
        /// Why, and the way out.
        why: String,
    },
    /// A feed, a trader or a thread failed at the start.
    #[error("{part}: {why}")]
    Part {
        /// Which part.
        part: String,
        /// Why.
        why: String,
    },
}

impl RuntimeError {
    /// An error of the log that `name` names.
    pub fn journal(name: &str, source: JournalError) -> Self {
        Self::Journal {
            name: name.to_owned(),
            source,
        }
    }
    /// A record of the log that `name` names cannot be decoded.
    pub fn record(name: &str, source: WireError) -> Self {
        Self::Record {
            name: name.to_owned(),
            source,
        }
    }
    pub(crate) fn state(name: &str, why: impl Into<String>) -> Self {
        Self::State {
            name: name.to_owned(),
            why: why.into(),
        }
    }
}
