//! Why the result of a run could not be written.

use std::path::{Path, PathBuf};

use model::NumberError;
use projection::orders::OrderFoldError;

/// Why the result of a run could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The file system refused.
    #[error("cannot write {}: {source}", .path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// The place is taken by something that is not a result of ours.
    #[error(
        "{} is not empty and holds no summary.json, so it is not a result that may be replaced: choose another directory or empty it",
        .0.display()
    )]
    NotOurs(PathBuf),
    /// The place is not a directory.
    #[error("{} is not a directory: choose another place for the results", .0.display())]
    NotADirectory(PathBuf),
    /// The finished result could not be moved into place.
    #[error(
        "the finished result cannot be moved to {}: {source}; choose a directory that can be renamed, not a mount point",
        .path.display()
    )]
    Move {
        /// Where it was to go.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// An event of an order cannot follow the ones before it.
    #[error("{namespace}: {source}")]
    Order {
        /// In which namespace.
        namespace: String,
        /// Why.
        source: OrderFoldError,
    },
    /// A sum does not fit.
    #[error("the sum of {what} does not fit: {source}")]
    Number {
        /// Which sum.
        what: &'static str,
        /// Why.
        source: NumberError,
    },
    /// An event names a namespace that the run does not have.
    #[error("namespace number {0} does not exist in this run")]
    UnknownNamespace(usize),
    /// An event names an instrument that the registry does not have.
    #[error("instrument number {0} does not exist in this run's registry")]
    UnknownInstrument(u32),
    /// The report's time zone is not known.
    #[error("time zone `{0}` is not known: write an IANA name such as Asia/Kolkata")]
    TimeZone(String),
    /// A value does not turn into JSON.
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl OutputError {
    /// Puts the place to what the file system said.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// Puts the name of the sum to an overflow.
    pub fn number(what: &'static str) -> impl FnOnce(NumberError) -> Self {
        move |source| Self::Number { what, source }
    }
}
