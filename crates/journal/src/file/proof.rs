//! Proves what a log has promised: its files link without a gap from the first that is kept to the last,
//! every checksum holds, and nothing that says what was confirmed lies beyond its end.

use std::path::{Path, PathBuf};

use super::mark::{self, Mark};
use super::scan::{self, Scanned, Tail};
use super::segment::{self, HEAD};
use super::snapshots::{self as snapshot};
use super::storage::Storage;
use crate::error::JournalError;
use crate::log::{Cut, Offset, Span, Verified};
use crate::owner::Owner;

/// A log that holds what it has promised.
pub struct Sound {
    /// Its files; the last is the one that the log ends in.
    pub segments: Vec<Span>,
    /// Files behind them that were begun and never written to.
    pub begun: Vec<PathBuf>,
    /// The end of the last file; `None` where there is none.
    pub tail: Option<Tail>,
    /// The position behind the last record.
    pub end: Offset,
    /// What was marked.
    pub mark: Option<Mark>,
    /// Of all files.
    records: u64,
    batches: u64,
    bytes: u64,
    /// Snapshots that are not whole.
    pub damaged_snapshots: Vec<String>,
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
        end: Offset(0),
        mark,
        records: 0,
        batches: 0,
        bytes: 0,
        damaged_snapshots: Vec::new(),
    };
    let first = mark.map_or(Offset(0), |mark| mark.first);
    if let Some(segment) = segments.first()
        && mark.is_some()
        && segment.first > first
    {
        return Err(JournalError::Gap {
            file: segment::path(dir, segment.first.0, segment.day),
            offset: first,
            confirmed: segment.first,
        });
    }
    let count = segments.len();
    for (at, segment) in segments.iter_mut().enumerate() {
        let path = segment::path(dir, segment.first.0, segment.day);
        let is_first = at == 0;
        if let Some(last) = sound.segments.last()
            && last.end < segment.first
        {
            return Err(short(dir, last, segment.first, path, storage));
        }
        if !is_first && sound.end > segment.first {
            let why = format!(
                "it begins at offset {}, and the log before it ends at {}: restore the folder from a backup",
                segment.first, sound.end
            );
            return Err(JournalError::Foreign { file: path, why });
        }
        let tail = match scan::segment(storage, &path, segment.first.0) {
            // A writer may have been faster than one read.
            Err(JournalError::Damaged { .. }) => scan::segment(storage, &path, segment.first.0)?,
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
            _ if is_first && segment.first > Offset(0) => {
                return Err(JournalError::Gap {
                    file: path,
                    offset: first,
                    confirmed: segment.first,
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
            Scanned::Torn => return Err(scan::head_damaged(path, segment.first)),
        };
        *segment = segment::span(segment.first, Offset(tail.end), segment.day);
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
    last: &Span,
    confirmed: Offset,
    next: PathBuf,
    storage: &dyn Storage,
) -> JournalError {
    let offset = last.end;
    let file = segment::path(dir, last.first.0, last.day);
    let size = storage
        .open(&file, super::storage::OpenMode::Read)
        .and_then(|file| file.size());
    match size {
        Ok(size) if last.first.0 + size > offset.0 => JournalError::Damaged {
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
    snapshots: &[Offset],
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
            Ok(None) => sound
                .damaged_snapshots
                .push(dir.join(snapshot::name(*at)).display().to_string()),
            // A running system keeps a few only.
            Err(JournalError::Io { .. }) if !snapshot::list(storage, dir)?.contains(at) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads everything and checks every promise, as opening does, and changes nothing. It works beside a
/// running writer.
pub fn verify(storage: &dyn Storage, dir: &Path, owner: &Owner) -> Result<Verified, JournalError> {
    let mut attempts = 0;
    let sound = loop {
        attempts += 1;
        match of(storage, dir, owner) {
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
        segments.push(segment::span(Offset(0), Offset(HEAD as u64), day));
    }
    Ok(Verified {
        records: sound.records,
        batches: sound.batches,
        bytes: sound.bytes,
        spans: segments,
        end: sound.end,
        tail,
        damaged_snapshots: sound.damaged_snapshots,
    })
}
