//! Reads a log from a position on, while another thread or process may be writing it. It never writes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::scan::{self, Pieces, batch_at, confirmed_behind};
use super::segment::{self, BATCH, HEAD, Head};
use super::storage::{OpenMode, Storage};
use crate::error::JournalError;
use crate::log::{LogReader, Offset};

struct Open {
    pieces: Pieces,
    path: PathBuf,
    base: u64,
    /// Offset of the next batch in the file.
    at: u64,
    generation: u64,
}

/// The reader.
pub struct FileReader {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    from: Offset,
    open: Option<Open>,
    /// The batch that is being given out.
    batch: Vec<u8>,
    base: u64,
    next: usize,
}

impl FileReader {
    /// From the first record at or behind `from`.
    pub fn new(storage: Arc<dyn Storage>, dir: &Path, from: Offset) -> Self {
        Self {
            storage,
            dir: dir.to_owned(),
            from,
            open: None,
            batch: Vec::new(),
            base: 0,
            next: 0,
        }
    }

    fn foreign(&self, why: &str) -> JournalError {
        JournalError::Foreign {
            file: self
                .open
                .as_ref()
                .map_or_else(|| self.dir.clone(), |o| o.path.clone()),
            why: format!("{why}, at offset {}", self.base + self.next as u64),
        }
    }

    /// Reads the next batch. False when there is none yet.
    fn read_batch(&mut self) -> Result<bool, JournalError> {
        if self.open.is_none() && !self.enter(None)? {
            return Ok(false);
        }
        let mut refreshed = false;
        // What looks like damage may be a writer that was faster than one read of the file: what was
        // confirmed before the later bytes were written is there when it is read again.
        let mut suspected = false;
        loop {
            let Some(open) = &mut self.open else {
                return Ok(false);
            };
            let failed = |e: std::io::Error| JournalError::io(&open.path, &e);
            let found =
                batch_at(&mut open.pieces, open.base, open.at, open.generation).map_err(failed)?;
            if let Some(head) = found {
                let length = BATCH + head.length as usize;
                let (at, skip) = (open.at, head.end() <= self.from.0);
                open.at += length as u64;
                open.generation = head.generation;
                if skip {
                    continue;
                }
                let bytes = open.pieces.get(at, length).map_err(failed)?;
                self.batch.clear();
                self.batch.extend_from_slice(bytes);
                self.base = head.base;
                self.next = BATCH;
                return Ok(true);
            }
            if !refreshed {
                // It may just have been written.
                open.pieces.refresh().map_err(failed)?;
                refreshed = true;
                continue;
            }
            let end = Offset(open.base + open.at);
            if let Some(confirmed) =
                confirmed_behind(&mut open.pieces, open.base, open.at).map_err(failed)?
            {
                if !suspected {
                    (suspected, refreshed) = (true, false);
                    continue;
                }
                return Err(JournalError::Damaged {
                    file: open.path.clone(),
                    offset: end,
                    confirmed: Offset(confirmed),
                });
            }
            let open_is_longer = open.pieces.size() > open.at;
            let open_path = open.path.clone();
            match self.enter(Some(end)) {
                Ok(true) => (refreshed, suspected) = (false, false),
                Ok(false) => return Ok(false),
                // The segment may have been written to and closed since it was looked at.
                Err(JournalError::Gap { .. } | JournalError::Damaged { .. }) if !suspected => {
                    (suspected, refreshed) = (true, false);
                }
                // The file is there, and what it held is not.
                Err(JournalError::Gap { confirmed, .. }) if open_is_longer => {
                    return Err(JournalError::Damaged {
                        file: open_path,
                        offset: end,
                        confirmed,
                    });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens the segment to begin with, or the one after `end`. False when there is none.
    fn enter(&mut self, end: Option<Offset>) -> Result<bool, JournalError> {
        let segments = scan::segments(self.storage.as_ref(), &self.dir)?;
        let at = match end {
            None => {
                let at = segments.partition_point(|s| s.first <= self.from);
                at.saturating_sub(1)
            }
            Some(end) => segments.partition_point(|s| s.first < end),
        };
        let Some(next) = segments.get(at).copied() else {
            return Ok(false);
        };
        let path = segment::path(&self.dir, next.first.0, next.day);
        if let Some(end) = end
            && next.first > end
        {
            return Err(JournalError::Gap {
                file: path,
                offset: end,
                confirmed: next.first,
            });
        }
        let failed = |e: std::io::Error| JournalError::io(&path, &e);
        let file = self.storage.open(&path, OpenMode::Read).map_err(failed)?;
        let mut pieces = Pieces::new(file).map_err(failed)?;
        let mut head = segment::read_head(pieces.get(0, HEAD).map_err(failed)?);
        let is_begun = at + 1 == segments.len();
        if head == Head::Torn && (!is_begun || scan::was_written(&mut pieces).map_err(failed)?) {
            // The writer may have been faster than one read.
            pieces.refresh().map_err(failed)?;
            head = segment::read_head(pieces.get(0, HEAD).map_err(failed)?);
            if head == Head::Torn {
                return Err(scan::head_damaged(path, next.first));
            }
        }
        match head {
            Head::Segment(base, _) if base == next.first.0 => {}
            Head::Version(version) => {
                return Err(JournalError::Foreign {
                    file: path,
                    why: format!("the log has version {version}: use the build that wrote it"),
                });
            }
            // It is being begun.
            Head::Torn => return Ok(false),
            Head::Segment(..) => return Err(scan::head_damaged(path, next.first)),
        }
        self.open = Some(Open {
            pieces,
            path,
            base: next.first.0,
            at: HEAD as u64,
            generation: 0,
        });
        Ok(true)
    }
}

impl LogReader for FileReader {
    fn next(&mut self) -> Result<Option<(Offset, &[u8])>, JournalError> {
        loop {
            if self.next < self.batch.len() {
                let at = self.next;
                let position = Offset(self.base + at as u64);
                let Some(length) = record_length(&self.batch, at) else {
                    return Err(self.foreign("a batch's records do not fill it"));
                };
                self.next = at + 4 + length;
                if position < self.from {
                    continue;
                }
                return Ok(Some((position, &self.batch[at + 4..at + 4 + length])));
            }
            if !self.read_batch()? {
                return Ok(None);
            }
        }
    }
}

fn record_length(batch: &[u8], at: usize) -> Option<usize> {
    let mut raw = [0; 4];
    raw.copy_from_slice(batch.get(at..at + 4)?);
    let length = u32::from_le_bytes(raw) as usize;
    (at + 4 + length <= batch.len()).then_some(length)
}
