//! The bytes of a segment: a head, then batches one after the other, then zeros.

use std::path::{Path, PathBuf};

use model::Date;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::log::{Offset, Span};
use crate::owner::{OWNER, Owner};

const FILE_MAGIC: [u8; 8] = *b"PANDALOG";
const BATCH_MAGIC: u32 = 0x5441_4250;
const BATCH_VERSION: u16 = 1;
/// Of segments, snapshots and marks: the first bore no owner.
pub const VERSION: u16 = 2;
/// A segment's head without an owner.
const HEAD_1: usize = 32;

/// Bytes of a segment's head: magic, version, base position, owner, checksum.
pub const HEAD: usize = 32 + OWNER;
/// Bytes of a batch's head.
pub const BATCH: usize = 56;

/// A batch's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHead {
    /// Bytes of its records, heads included.
    pub length: u32,
    /// Its records.
    pub count: u32,
    /// The generation of the writer.
    pub generation: u64,
    /// Where it begins in the log.
    pub base: u64,
    /// Up to where the log was confirmed durable before it was written.
    pub confirmed: u64,
    checksum: u64,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut raw = [0; 4];
    raw.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(raw)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(raw)
}

impl BatchHead {
    /// From the first [`BATCH`] bytes of a batch; `None` where they are none of a batch.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < BATCH || u32_at(bytes, 0) != BATCH_MAGIC {
            return None;
        }
        let version = u16::from_le_bytes([bytes[4], bytes[5]]);
        (version == BATCH_VERSION && bytes[6..8] == [0, 0]).then(|| Self {
            checksum: u64_at(bytes, 8),
            length: u32_at(bytes, 16),
            count: u32_at(bytes, 20),
            generation: u64_at(bytes, 24),
            base: u64_at(bytes, 32),
            confirmed: u64_at(bytes, 40),
        })
    }

    /// Whether these are the batch's bytes, head included.
    pub fn holds(&self, batch: &[u8]) -> bool {
        batch.len() == BATCH + self.length as usize && checksum(batch) == self.checksum
    }

    /// The position behind the batch.
    pub const fn end(&self) -> u64 {
        self.base + BATCH as u64 + self.length as u64
    }
}

/// Over the whole batch but the checksum itself.
fn checksum(batch: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&batch[..8]);
    hasher.update(&batch[16..]);
    hasher.digest()
}

/// Fills in the head of a batch whose records follow it in `batch`.
pub fn seal(batch: &mut [u8], count: u32, generation: u64, base: u64, confirmed: u64) {
    let length = (batch.len() - BATCH) as u32;
    batch[0..4].copy_from_slice(&BATCH_MAGIC.to_le_bytes());
    batch[4..6].copy_from_slice(&BATCH_VERSION.to_le_bytes());
    batch[6..8].copy_from_slice(&[0, 0]);
    batch[16..20].copy_from_slice(&length.to_le_bytes());
    batch[20..24].copy_from_slice(&count.to_le_bytes());
    batch[24..32].copy_from_slice(&generation.to_le_bytes());
    batch[32..40].copy_from_slice(&base.to_le_bytes());
    batch[40..48].copy_from_slice(&confirmed.to_le_bytes());
    batch[48..56].copy_from_slice(&[0; 8]);
    let sum = checksum(batch);
    batch[8..16].copy_from_slice(&sum.to_le_bytes());
}

/// The first byte of every batch, to look for one behind damage.
pub fn find_batch(bytes: &[u8], from: usize) -> Option<usize> {
    let magic = BATCH_MAGIC.to_le_bytes();
    bytes
        .get(from..)?
        .windows(4)
        .position(|w| w == magic)
        .map(|at| from + at)
}

/// A segment's head.
pub fn head(base: u64, owner: &Owner) -> [u8; HEAD] {
    let mut bytes = [0; HEAD];
    bytes[0..8].copy_from_slice(&FILE_MAGIC);
    bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&base.to_le_bytes());
    bytes[24..24 + OWNER].copy_from_slice(&owner.bytes());
    let sum = xxh3_64(&bytes[..24 + OWNER]);
    bytes[24 + OWNER..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// What the first bytes of a file say it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// A segment with this base and owner.
    Segment(u64, Owner),
    /// A segment of another version.
    Version(u16),
    /// Not whole.
    Torn,
}

/// Reads a segment's head.
pub fn read_head(bytes: &[u8]) -> Head {
    if bytes.len() < HEAD || bytes[0..8] != FILE_MAGIC {
        return Head::Torn;
    }
    let version = u16::from_le_bytes([bytes[8], bytes[9]]);
    if version == 1 && u64_at(bytes, HEAD_1 - 8) == xxh3_64(&bytes[..HEAD_1 - 8]) {
        return Head::Version(version);
    }
    if u64_at(bytes, 24 + OWNER) != xxh3_64(&bytes[..24 + OWNER]) {
        return Head::Torn;
    }
    if version != VERSION {
        return Head::Version(version);
    }
    Head::Segment(u64_at(bytes, 16), Owner::read(&bytes[24..]))
}

/// What a segment holds: its file's bytes up to `end`.
pub const fn span(first: Offset, end: Offset, day: Date) -> Span {
    Span {
        first,
        end,
        day,
        bytes: end.0.saturating_sub(first.0),
    }
}

/// A segment's file name.
pub fn file_name(base: u64, day: Date) -> String {
    format!("{base:020}-{day}.log")
}

/// Base and day from a file's name.
pub fn parse_name(name: &str) -> Option<(u64, Date)> {
    let stem = name.strip_suffix(".log")?;
    let (base, day) = stem.split_at_checked(20)?;
    Some((base.parse().ok()?, Date::parse(day.strip_prefix('-')?)?))
}

/// A segment's path.
pub fn path(dir: &Path, base: u64, day: Date) -> PathBuf {
    dir.join(file_name(base, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_without_an_owner_is_of_version_one() {
        let mut bytes = [0; HEAD];
        bytes[..8].copy_from_slice(&FILE_MAGIC);
        bytes[8] = 1;
        let sum = xxh3_64(&bytes[..HEAD_1 - 8]);
        bytes[HEAD_1 - 8..HEAD_1].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(read_head(&bytes), Head::Version(1));
        bytes[20] ^= 1;
        assert_eq!(read_head(&bytes), Head::Torn);
    }
}
