//! Finds the end of a log, and tells damage from a tail.

use std::path::{Path, PathBuf};

use super::segment::{self, BATCH, BatchHead, HEAD, Head};
use super::storage::{OpenMode, Storage, StorageFile};
use crate::error::JournalError;
use crate::log::{Offset, Span};
use crate::owner::Owner;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// The files of a log by base. Each ends where the next begins; the last one's end is its base until
/// it is scanned.
pub fn segments(storage: &dyn Storage, dir: &Path) -> Result<Vec<Span>, JournalError> {
    let names = storage.list(dir).map_err(|e| JournalError::io(dir, &e))?;
    let mut segments: Vec<Span> = Vec::new();
    for name in names {
        let Some((base, day)) = segment::parse_name(&name) else {
            continue;
        };
        segments.push(segment::span(Offset(base), Offset(base), day));
    }
    segments.sort_by_key(|s| s.first);
    for at in 0..segments.len().saturating_sub(1) {
        // A closed segment is as long as what it holds.
        let path = segment::path(dir, segments[at].first.0, segments[at].day);
        let size = storage
            .open(&path, OpenMode::Read)
            .and_then(|file| file.size())
            .map_err(|e| JournalError::io(&path, &e))?;
        let next = segments[at + 1].first;
        // One that was not closed before power was lost is longer: its successor tells.
        let end = Offset(segments[at].first.0 + size);
        segments[at] = segment::span(segments[at].first, end.min(next), segments[at].day);
    }
    Ok(segments)
}

/// Whose the log in a folder is, as the first head of it that can be read says; `None` where none can.
pub fn owner(storage: &dyn Storage, dir: &Path) -> Result<Option<Owner>, JournalError> {
    for found in segments(storage, dir)? {
        let path = segment::path(dir, found.first.0, found.day);
        let mut bytes = [0; HEAD];
        let read = storage
            .open(&path, OpenMode::Read)
            .and_then(|file| file.read_at(&mut bytes, 0))
            .map_err(|e| JournalError::io(&path, &e))?;
        if let Head::Segment(_, owner) = segment::read_head(&bytes[..read]) {
            return Ok(Some(owner));
        }
    }
    Ok(None)
}

/// The end of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// The position behind the last batch.
    pub end: u64,
    /// Batches.
    pub batches: u64,
    /// Records.
    pub records: u64,
    /// Bytes of the records.
    pub bytes: u64,
    /// All before it was durable when the last batch was written: what that batch names, or the segment's position
    /// where it is the first.
    pub last: u64,
    /// The last batch's generation.
    pub generation: u64,
    /// Whose it is.
    pub owner: Owner,
    /// Bytes up to the last that is not zero, behind `end`.
    pub dirty: u64,
}

/// What a segment's file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scanned {
    /// Its head is not whole: it was begun and never written to.
    Torn,
    /// Batches up to here.
    Whole(Tail),
}

/// Reads a file piece by piece.
pub struct Pieces {
    file: Box<dyn StorageFile>,
    size: u64,
    from: u64,
    bytes: Vec<u8>,
}

impl Pieces {
    /// Of an open file.
    pub fn new(file: Box<dyn StorageFile>) -> std::io::Result<Self> {
        Ok(Self {
            size: file.size()?,
            file,
            from: 0,
            bytes: Vec::new(),
        })
    }

    /// The file may have grown, and what was zero may have been written.
    pub fn refresh(&mut self) -> std::io::Result<()> {
        self.size = self.file.size()?;
        self.bytes.clear();
        Ok(())
    }

    /// The file's length.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// `length` bytes at `at`; fewer at the file's end.
    pub fn get(&mut self, at: u64, length: usize) -> std::io::Result<&[u8]> {
        let have = self.from..self.from + self.bytes.len() as u64;
        let wanted = (at + length as u64).min(self.size);
        if at < have.start || wanted > have.end || have.is_empty() {
            let left = self.size.saturating_sub(at);
            let read = (length.max(CHUNK) as u64).min(left) as usize;
            self.bytes.resize(read, 0);
            self.from = at;
            let got = self.file.read_at(&mut self.bytes, at)?;
            self.bytes.truncate(got);
        }
        let from = at.saturating_sub(self.from) as usize;
        let to = (from + length).min(self.bytes.len());
        Ok(self.bytes.get(from.min(to)..to).unwrap_or_default())
    }
}

/// The batch at a file's offset, if a whole one begins there.
pub fn batch_at(
    pieces: &mut Pieces,
    base: u64,
    at: u64,
    generation: u64,
) -> std::io::Result<Option<BatchHead>> {
    let Some(head) = BatchHead::read(pieces.get(at, BATCH)?) else {
        return Ok(None);
    };
    if head.base != base + at || head.generation < generation || head.confirmed > head.base {
        return Ok(None);
    }
    let length = BATCH + head.length as usize;
    if at + length as u64 > pieces.size() {
        return Ok(None);
    }
    Ok(head.holds(pieces.get(at, length)?).then_some(head))
}

/// Bytes that are compared at once.
const ZEROS: [u8; 4096] = [0; 4096];

/// Whether all bytes are zero, as they are in what was taken from the device in advance: much of every
/// segment that is written to.
fn is_zero(bytes: &[u8]) -> bool {
    bytes
        .chunks(ZEROS.len())
        .all(|chunk| *chunk == ZEROS[..chunk.len()])
}

/// The highest position that a batch behind `from` says was confirmed, if that lies beyond `from`.
pub fn confirmed_behind(pieces: &mut Pieces, base: u64, from: u64) -> std::io::Result<Option<u64>> {
    let mut highest = None;
    let mut at = from;
    while at < pieces.size() {
        let window = pieces.get(at, CHUNK)?;
        let length = window.len();
        let found = if is_zero(window) {
            None
        } else {
            segment::find_batch(window, 0)
        };
        let Some(found) = found else {
            // A head may lie across two windows.
            at += (length as u64).saturating_sub(3).max(1);
            if length < 4 {
                break;
            }
            continue;
        };
        at += found as u64;
        if let Some(head) = batch_at(pieces, base, at, 0)?
            && head.confirmed > base + from
        {
            highest = highest.max(Some(head.confirmed));
        }
        at += 1;
    }
    Ok(highest)
}

/// How far behind `from` bytes are not zero.
fn dirty(pieces: &mut Pieces, from: u64) -> std::io::Result<u64> {
    let mut at = from;
    let mut last = from;
    while at < pieces.size() {
        let window = pieces.get(at, CHUNK)?;
        if window.is_empty() {
            break;
        }
        if !is_zero(window)
            && let Some(used) = window.iter().rposition(|b| *b != 0)
        {
            last = at + used as u64 + 1;
        }
        at += window.len() as u64;
    }
    Ok(last - from)
}

/// Whether anything was written behind a segment's head. The head was durable by then.
pub fn was_written(pieces: &mut Pieces) -> std::io::Result<bool> {
    Ok(dirty(pieces, HEAD as u64)? > 0)
}

/// Of a segment whose head was durable and is not whole.
pub const fn head_damaged(file: PathBuf, base: Offset) -> JournalError {
    JournalError::Damaged {
        file,
        offset: base,
        confirmed: Offset(base.0 + HEAD as u64),
    }
}

/// Scans a segment to its end.
pub fn segment(storage: &dyn Storage, path: &Path, base: u64) -> Result<Scanned, JournalError> {
    let failed = |e: std::io::Error| JournalError::io(path, &e);
    let file = storage.open(path, OpenMode::Read).map_err(failed)?;
    let mut pieces = Pieces::new(file).map_err(failed)?;
    let owner = match segment::read_head(pieces.get(0, HEAD).map_err(failed)?) {
        Head::Segment(there, owner) if there == base => owner,
        Head::Version(version) => {
            return Err(JournalError::Foreign {
                file: path.to_owned(),
                why: format!("the log has version {version}: use the build that wrote it"),
            });
        }
        Head::Segment(..) => return Err(head_damaged(path.to_owned(), Offset(base))),
        Head::Torn => {
            if was_written(&mut pieces).map_err(failed)? {
                return Err(head_damaged(path.to_owned(), Offset(base)));
            }
            return Ok(Scanned::Torn);
        }
    };
    let mut tail = Tail {
        end: base + HEAD as u64,
        batches: 0,
        records: 0,
        bytes: 0,
        last: base,
        generation: 0,
        owner,
        dirty: 0,
    };
    let mut at = HEAD as u64;
    while let Some(head) = batch_at(&mut pieces, base, at, tail.generation).map_err(failed)? {
        if tail.batches > 0 {
            tail.last = head.confirmed.max(base);
        }
        tail.batches += 1;
        tail.records += u64::from(head.count);
        // Each record has its length before it.
        tail.bytes += u64::from(head.length).saturating_sub(4 * u64::from(head.count));
        tail.generation = head.generation;
        tail.end = head.end();
        at = tail.end - base;
    }
    tail.dirty = dirty(&mut pieces, at).map_err(failed)?;
    if tail.dirty > 0
        && let Some(confirmed) = confirmed_behind(&mut pieces, base, at).map_err(failed)?
    {
        return Err(JournalError::Damaged {
            file: path.to_owned(),
            offset: Offset(tail.end),
            confirmed: Offset(confirmed),
        });
    }
    Ok(Scanned::Whole(tail))
}
