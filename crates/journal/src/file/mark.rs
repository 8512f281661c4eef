//! What a log is known to have kept and confirmed, beside its files: written when retention removes files,
//! and once a file's first batch is durable, so that a file that is gone is missed.

use std::io;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::segment::VERSION;
use super::storage::{OpenMode, Storage, write_whole};
use crate::error::JournalError;
use crate::log::Offset;
use crate::owner::{OWNER, Owner};

const NAME: &str = "confirmed.mark";
const MAGIC: [u8; 8] = *b"PANDAMRK";
const LENGTH: usize = 40 + OWNER;

/// The mark of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// The first position that retention has left.
    pub first: Offset,
    /// Everything below it was durable.
    pub confirmed: Offset,
    /// Whose the log is.
    pub owner: Owner,
}

/// Its file.
pub fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// Writes it, in place of an older one.
pub fn save(storage: &dyn Storage, dir: &Path, mark: &Mark) -> Result<(), JournalError> {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&u64::from(VERSION).to_le_bytes());
    bytes.extend_from_slice(&mark.first.0.to_le_bytes());
    bytes.extend_from_slice(&mark.confirmed.0.to_le_bytes());
    bytes.extend_from_slice(&mark.owner.bytes());
    let sum = xxh3_64(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    write_whole(storage, dir, NAME, &bytes)
}

/// Reads it. `None` where there is none, as in a log whose first batch was never confirmed. One that is
/// not whole is none: the log's files say most of what it would have said, and the next start writes it
/// anew.
pub fn load(storage: &dyn Storage, dir: &Path) -> Result<Option<Mark>, JournalError> {
    let path = path(dir);
    let failed = |e: io::Error| JournalError::io(&path, &e);
    let file = match storage.open(&path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = [0; LENGTH];
    let read = file.read_at(&mut bytes, 0).map_err(failed)?;
    let number = |at: usize| {
        let mut raw = [0; 8];
        raw.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(raw)
    };
    let whole = read == LENGTH
        && bytes[..8] == MAGIC
        && number(8) == u64::from(VERSION)
        && number(32 + OWNER) == xxh3_64(&bytes[..32 + OWNER]);
    Ok(whole.then(|| Mark {
        first: Offset(number(16)),
        confirmed: Offset(number(24)),
        owner: Owner::read(&bytes[32..]),
    }))
}
