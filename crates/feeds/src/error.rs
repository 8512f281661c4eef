//! What can go wrong with market data, and what to do about it.

use std::path::{Path, PathBuf};

/// Why market data could not be read or imported. Every message names the file and the fix.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system refused.
    #[error("cannot {action} `{}`: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or directory cannot be used as it is.
    #[error("`{}`{}: {problem}; {fix}", .path.display(), at_line(.line))]
    Unusable {
        /// Which one.
        path: PathBuf,
        /// The line, where one is to blame.
        line: Option<u64>,
        /// What is wrong.
        problem: String,
        /// What to do.
        fix: String,
    },
    /// A name in the data leads to no instrument.
    #[error(
        "`{}`{}: {lookup}; add it to the instruments file, give an instrument there the alias \
         `{name}`, or choose others with --symbols",
        .path.display(), at_line(.line)
    )]
    UnknownInstrument {
        /// The file.
        path: PathBuf,
        /// The line, where the name stands in a column.
        line: Option<u64>,
        /// The name.
        name: String,
        /// Why it leads nowhere.
        lookup: model::instrument::LookupError,
    },
    /// Two files hold the same instrument's data of the same day.
    #[error(
        "`{first}` and `{second}` both hold {series} of {instrument} on {day}: keep one of them, or \
         merge them into one file"
    )]
    Collision {
        /// The one.
        first: String,
        /// The other.
        second: String,
        /// Ticks, or bars of a length.
        series: String,
        /// Whose data.
        instrument: String,
        /// Of which day.
        day: model::Date,
    },
    /// A file of the catalogue does not hold what was written into it.
    #[error("`{}` is corrupt: {problem}; import `{origin}` again, which writes it anew", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What does not agree.
        problem: String,
        /// The raw file that it was made from.
        origin: String,
    },
    /// Another process has the catalogue.
    #[error("catalogue `{}` is in use by another {user}: wait for it to end", .path.display())]
    Locked {
        /// The catalogue.
        path: PathBuf,
        /// Who holds it.
        user: &'static str,
    },
    /// A setting does not fit the data or is not understood.
    #[error("{what}; {fix}")]
    Setting {
        /// What is wrong.
        what: String,
        /// What to do.
        fix: String,
    },
}

fn at_line(line: &Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(" line {line}"))
}

impl DataError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    pub(crate) fn unusable(
        path: &Path,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::Unusable {
            path: path.to_owned(),
            line: None,
            problem: problem.into(),
            fix: fix.into(),
        }
    }

    pub(crate) fn setting(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Setting {
            what: what.into(),
            fix: fix.into(),
        }
    }
}
