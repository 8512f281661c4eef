//! Whose a log is: every file of it says so, so that one that was put elsewhere is not read as another.

use std::fmt;

/// Bytes of an owner in a file.
pub const OWNER: usize = 80;
const TEXT: usize = OWNER - 16;

/// The data directory and the part of it that a log belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    directory: u128,
    text: [u8; TEXT],
}

impl Default for Owner {
    fn default() -> Self {
        Self::NONE
    }
}

impl Owner {
    /// Of a log that is bound to nothing.
    pub const NONE: Self = Self {
        directory: 0,
        text: [0; TEXT],
    };

    /// A part of a data directory: its name and its kind. A text that is too long is told apart from
    /// others by its hash.
    pub fn new(directory: u128, name: &str, kind: &str) -> Self {
        let mut whole = format!("`{name}` of kind `{kind}`");
        if whole.len() > TEXT {
            let hash = format!("~{:016x}", xxhash_rust::xxh3::xxh3_64(whole.as_bytes()));
            let mut at = TEXT - hash.len();
            while !whole.is_char_boundary(at) {
                at -= 1;
            }
            whole.truncate(at);
            whole.push_str(&hash);
        }
        let mut text = [0; TEXT];
        text[..whole.len()].copy_from_slice(whole.as_bytes());
        Self { directory, text }
    }

    /// The identity of the data directory.
    pub const fn directory(&self) -> u128 {
        self.directory
    }

    /// Whether a file of this owner may be read as `wanted`'s.
    pub(crate) fn fits(&self, wanted: &Self) -> bool {
        *wanted == Self::NONE || self == wanted
    }

    pub(crate) fn bytes(&self) -> [u8; OWNER] {
        let mut bytes = [0; OWNER];
        bytes[..16].copy_from_slice(&self.directory.to_le_bytes());
        bytes[16..].copy_from_slice(&self.text);
        bytes
    }

    /// Reads the first [`OWNER`] bytes; [`Self::NONE`] where there are fewer.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut owner = Self::NONE;
        let mut directory = [0; 16];
        if let (Some(id), Some(text)) = (bytes.get(..16), bytes.get(16..OWNER)) {
            directory.copy_from_slice(id);
            owner.directory = u128::from_le_bytes(directory);
            owner.text.copy_from_slice(text);
        }
        owner
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NONE {
            return f.write_str("no data directory");
        }
        let length = self.text.iter().position(|b| *b == 0).unwrap_or(TEXT);
        let text = String::from_utf8_lossy(&self.text[..length]);
        write!(f, "{text} in the data directory {:032x}", self.directory)
    }
}
