//! Proves what a log has promised: its files link without a gap from the first that is kept to the last,
//! every checksum holds, and nothing that says what was confirmed lies beyond its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::JournalError;
use crate::log::{Cut, Position};
use crate::mark::{self, Mark};
use crate::owner::Owner;
use crate::scan::{self, Scanned, Tail};
use crate::segment::{self, HEAD, SegmentInfo};
use crate::snapshot;
use crate::storage::Storage;

/// A log that holds what it has promised.
pub struct Sound {
    /// Its files; the last is the one that the log ends in.
    pub segments: Vec<SegmentInfo>,
    /// Files behind them that were begun and never written to.
    pub begun: Vec<PathBuf>,
    /// The end of the last file; `None` where there is none.
    pub tail: Option<Tail>,
    /// The position behind the last record.
    pub end: Position,
    /// What was marked.
    pub mark: Option<Mark>,
    /// Of all files.
    records: u64,
    batches: u64,
    bytes: u64,
    /// Snapshots that are not whole.
    pub damaged_snapshots: Vec<PathBuf>,
}

/// A file of another owner is not read on: what it holds would be booked elsewhere.
fn belongs(file: PathBuf, found: Owner, wanted: &Owner) -> Result<(), JournalError> {
    if found.fits(wanted) {
        return Ok(());
    }
    Err(JournalError::Misplaced {
        file,
        found: Box::new(found),
        wanted: Box::new(*wanted),
    })
}

/// Reads a whole log once, in the order in which it was written.
pub fn of(storage: &dyn Storage, dir: &Path, owner: &Owner) -> Result<Sound, JournalError> {
    let mut owner = *owner;
    let mut segments = scan::segments(storage, dir)?;
    // What is promised is read before what is there: a writer may be at work.
    let mark = mark::load(storage, dir)?;
    let snapshots = snapshot::list(storage, dir)?;
    let mut sound = Sound {
        segments: Vec::new(),
        begun: Vec::new(),
        tail: None,
        end: Position(0),
        mark,
        records: 0,
        batches: 0,
        bytes: 0,
        damaged_snapshots: Vec::new(),
    };
    let first = mark.map_or(Position(0), |mark| mark.first);
    if let Some(segment) = segments.first()
        && mark.is_some()
        && segment.base > first
    {
        return Err(JournalError::Gap {
            file: segment::path(dir, segment.base.0, segment.day),
            offset: first,
            confirmed: segment.base,
        });
    }
    let count = segments.len();
    for (at, segment) in segments.iter_mut().enumerate() {
        let path = segment::path(dir, segment.base.0, segment.day);
        let is_first = at == 0;
        if let Some(last) = sound.segments.last()
            && last.end < segment.base
        {
            return Err(short(dir, last, segment.base, path, storage));
        }
        if !is_first && sound.end > segment.base {
            let why = format!(
                "it begins at offset {}, and the log before it ends at {}: restore the folder from a backup",
                segment.base, sound.end
            );
            return Err(JournalError::Foreign { file: path, why });
        }
        let tail = match scan::segment(storage, &path, segment.base.0) {
            // A writer may have been faster than one read.
            Err(JournalError::Damaged { .. }) => scan::segment(storage, &path, segment.base.0)?,
            scanned => scanned?,
        };
        let is_last = at + 1 == count;
        if let Scanned::Whole(tail) = &tail {
            belongs(path.clone(), tail.owner, &owner)?;
            // All files of one log must name the same owner.
            owner = tail.owner;
        }
        let tail = match tail {
            Scanned::Whole(tail) if tail.batches > 0 => tail,
            // A file is begun where the one before it ends.
            _ if is_first && segment.base > Position(0) => {
                return Err(JournalError::Gap {
                    file: path,
                    offset: first,
                    confirmed: segment.base,
                });
            }
            // It is written to from now on.
            Scanned::Whole(tail) if is_first && is_last => tail,
            // Begun, and never written to: what lies beside the log says whether that is true.
            _ if is_last => {
                sound.begun.push(path);
                continue;
            }
            Scanned::Whole(tail) => tail,
            Scanned::Torn => return Err(scan::head_damaged(path, segment.base)),
        };
        segment.end = Position(tail.end);
        sound.end = segment.end;
        sound.segments.push(*segment);
        sound.tail = Some(tail);
        sound.records += tail.records;
        sound.batches += tail.batches;
        sound.bytes += tail.bytes;
    }
    promises(storage, dir, &owner, &mut sound, &snapshots)?;
    Ok(sound)
}

/// A file ends before the next begins: the next was begun once all of it was durable.
fn short(
    dir: &Path,
    last: &SegmentInfo,
    confirmed: Position,
    next: PathBuf,
    storage: &dyn Storage,
) -> JournalError {
    let offset = last.end;
    let file = segment::path(dir, last.base.0, last.day);
    let size = storage
        .open(&file, crate::storage::OpenMode::Read)
        .and_then(|file| file.size());
    match size {
        Ok(size) if last.base.0 + size > offset.0 => JournalError::Damaged {
            file,
            offset,
            confirmed,
        },
        _ => JournalError::Gap {
            file: next,
            offset,
            confirmed,
        },
    }
}

/// Everything that was saved beside the log was saved for a position that was durable.
fn promises(
    storage: &dyn Storage,
    dir: &Path,
    owner: &Owner,
    sound: &mut Sound,
    snapshots: &[Position],
) -> Result<(), JournalError> {
    if let Some(mark) = &sound.mark {
        belongs(mark::path(dir), mark.owner, owner)?;
    }
    let marked = sound.mark.map(|mark| (mark.confirmed, mark::path(dir)));
    let saved = snapshots
        .iter()
        .map(|at| (*at, dir.join(snapshot::name(*at))));
    if let Some((confirmed, file)) = saved.chain(marked).max_by_key(|(position, _)| *position)
        && confirmed > sound.end
    {
        return Err(JournalError::Lost {
            dir: dir.to_owned(),
            end: sound.end,
            confirmed,
            proof: file
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
        });
    }
    for at in snapshots {
        match snapshot::load(storage, dir, *at) {
            Ok(Some((found, _))) => belongs(dir.join(snapshot::name(*at)), found, owner)?,
            Ok(None) => sound.damaged_snapshots.push(dir.join(snapshot::name(*at))),
            // A running system keeps a few only.
            Err(JournalError::Io { .. }) if !snapshot::list(storage, dir)?.contains(at) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What a whole log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Records.
    pub records: u64,
    /// Batches.
    pub batches: u64,
    /// Bytes of the records.
    pub bytes: u64,
    /// Its files.
    pub segments: Vec<SegmentInfo>,
    /// The position behind the last record.
    pub end: Position,
    /// A tail that was never confirmed and is not whole: opening would cut it.
    pub tail: Option<Cut>,
    /// Snapshots that are not whole: recovery passes them over.
    pub damaged_snapshots: Vec<PathBuf>,
}

/// Reads everything and checks every promise, as opening does, and changes nothing. It works beside a
/// running writer.
pub fn verify(
    storage: &Arc<dyn Storage>,
    dir: &Path,
    owner: &Owner,
) -> Result<Verified, JournalError> {
    let mut attempts = 0;
    let sound = loop {
        attempts += 1;
        match of(storage.as_ref(), dir, owner) {
            // A writer may have begun a file, or retention removed one, since they were listed.
            Err(
                JournalError::Io { .. }
                | JournalError::Gap { .. }
                | JournalError::Damaged { .. }
                | JournalError::Lost { .. },
            ) if attempts < 3 => {}
            sound => break sound?,
        }
    };
    let tail = sound.tail.filter(|tail| tail.dirty > 0).map(|tail| Cut {
        from: sound.end,
        bytes: tail.dirty,
    });
    let mut segments = sound.segments;
    if let (None, Some(begun)) = (segments.last(), sound.begun.first()) {
        // The first file of all, which is being begun.
        let day = begun
            .file_name()
            .and_then(|name| segment::parse_name(&name.to_string_lossy()))
            .map(|(_, day)| day)
            .unwrap_or_default();
        segments.push(SegmentInfo {
            base: Position(0),
            end: Position(HEAD as u64),
            day,
        });
    }
    Ok(Verified {
        records: sound.records,
        batches: sound.batches,
        bytes: sound.bytes,
        segments,
        end: sound.end,
        tail,
        damaged_snapshots: sound.damaged_snapshots,
    })
}
