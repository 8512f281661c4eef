//! What can be wrong with bytes, and with the schema.

use std::fmt;

use crate::MAJOR;
use crate::schema::Message;

/// Why a value cannot be encoded or decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes are no such message.
    #[error("{0}")]
    Malformed(String),
    /// The bytes end within a value.
    #[error("it ends within a value")]
    Torn,
    /// A member of a `oneof`, or a value of an enumeration, that a later build has added.
    #[error(
        "its {what} is of kind {number}, which this build does not know: use the build that wrote it, or a later one"
    )]
    Unknown {
        /// The message or enumeration.
        what: &'static str,
        /// The number of the member or value.
        number: u64,
    },
    /// An index that the tables of the start do not have, or that nothing has today.
    #[error("{what} {index} of the start that wrote this is not known any more")]
    Reference {
        /// What kind of thing.
        what: &'static str,
        /// Its index.
        index: u32,
    },
    /// Written by a build whose records this one cannot read.
    #[error(
        "it has version {0} of the records, this build reads version {MAJOR}: read it with the build that wrote it"
    )]
    Major(u64),
    /// Written before the records had a schema; such logs were never released.
    #[error(
        "it was written by a development build whose records had no schema yet: move the data directory away and start anew, or read it with that build"
    )]
    NoSchema,
    /// The type and the schema do not agree: a mistake of this build.
    #[error("the type and its schema differ: {0}")]
    Schema(String),
}

impl WireError {
    pub(crate) fn absent(message: &Message, name: &str) -> Self {
        Self::Schema(format!("{} has no field `{name}`", message.name))
    }

    /// Says where, once.
    pub(crate) fn within(self, message: &str, field: &str) -> Self {
        match self {
            Self::Torn => Self::Malformed(format!("{message}.{field} ends within a value")),
            other => other,
        }
    }
}

impl serde::ser::Error for WireError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Schema(message.to_string())
    }
}

impl serde::de::Error for WireError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Malformed(message.to_string())
    }
}
