//! Snapshot files beside a log: each whole or not there, checked when read, a few of them kept.

use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use super::segment::VERSION;
use super::storage::{OpenMode, Storage, write_whole};
use crate::error::JournalError;
use crate::log::Offset;
use crate::owner::{OWNER, Owner};

const MAGIC: [u8; 8] = *b"PANDASNP";
const HEAD: usize = 40 + OWNER;

/// A snapshot's file name.
pub fn name(at: Offset) -> String {
    format!("snapshot-{:020}.bin", at.0)
}

fn position(name: &str) -> Option<Offset> {
    let digits = name.strip_prefix("snapshot-")?.strip_suffix(".bin")?;
    (digits.len() == 20).then(|| digits.parse().ok().map(Offset))?
}

fn checksum(at: Offset, owner: &[u8], payload: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&at.0.to_le_bytes());
    hasher.update(owner);
    hasher.update(payload);
    hasher.digest()
}

/// Saves the state at a position of the log, and removes all but the newest `keep`. The folder is the log's:
/// one that has disappeared is not made again.
pub fn save(
    storage: &dyn Storage,
    dir: &Path,
    at: Offset,
    owner: &Owner,
    payload: &[u8],
    keep: usize,
) -> Result<(), JournalError> {
    let mut bytes = Vec::with_capacity(HEAD + payload.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&u64::from(VERSION).to_le_bytes());
    bytes.extend_from_slice(&at.0.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    let owner = owner.bytes();
    bytes.extend_from_slice(&checksum(at, &owner, payload).to_le_bytes());
    bytes.extend_from_slice(&owner);
    bytes.extend_from_slice(payload);
    write_whole(storage, dir, &name(at), &bytes)?;
    let mut all = list(storage, dir)?;
    all.reverse();
    for old in all.into_iter().skip(keep.max(1)) {
        let path = dir.join(name(old));
        storage
            .remove(&path)
            .map_err(|e| JournalError::io(&path, &e))?;
    }
    Ok(())
}

/// The positions of the snapshots that are there, rising.
pub fn list(storage: &dyn Storage, dir: &Path) -> Result<Vec<Offset>, JournalError> {
    let names = storage.list(dir).map_err(|e| JournalError::io(dir, &e))?;
    let mut all: Vec<Offset> = names.iter().filter_map(|n| position(n)).collect();
    all.sort_unstable();
    Ok(all)
}

/// The snapshot at a position, and whose it is; `None` where it is damaged.
pub fn load(
    storage: &dyn Storage,
    dir: &Path,
    at: Offset,
) -> Result<Option<(Owner, Vec<u8>)>, JournalError> {
    let path = dir.join(name(at));
    let failed = |e| JournalError::io(&path, &e);
    let file = storage.open(&path, OpenMode::Read).map_err(failed)?;
    let size = file.size().map_err(failed)?;
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    let read = file.read_at(&mut bytes, 0).map_err(failed)?;
    bytes.truncate(read);
    Ok(whole(at, bytes))
}

fn whole(at: Offset, mut bytes: Vec<u8>) -> Option<(Owner, Vec<u8>)> {
    let number = |from: usize| -> Option<u64> {
        let mut raw = [0; 8];
        raw.copy_from_slice(bytes.get(from..from + 8)?);
        Some(u64::from_le_bytes(raw))
    };
    let valid = bytes.get(0..8)? == MAGIC
        && number(8)? == u64::from(VERSION)
        && number(16)? == at.0
        && number(24)? == (bytes.len() as u64).checked_sub(HEAD as u64)?
        && number(32)? == checksum(at, bytes.get(40..HEAD)?, bytes.get(HEAD..)?);
    if !valid {
        return None;
    }
    let owner = Owner::read(&bytes[40..]);
    bytes.drain(..HEAD);
    Some((owner, bytes))
}
