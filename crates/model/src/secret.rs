//! Texts that must not be seen: keys, passwords, tokens.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// What stands in the place of a secret wherever one would be printed.
pub const REDACTED: &str = "***";

/// A text that does not print: whoever needs it says so with [`Secret::reveal`], which can be searched
/// for.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// From a text.
    pub const fn new(text: String) -> Self {
        Self(text)
    }
    /// The text itself, to be handed to whoever it was made for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
    /// Whether nothing is there.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}
