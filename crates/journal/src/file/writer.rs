//! A log in files: batches in preallocated segments.
//!
//! Each batch names the generation of its writer and the
//! position up to which the log had been confirmed durable before the batch was written. That tells
//! damage from a tail: what lies below the highest such position was confirmed and must be there; what
//! lies beyond may be anything after a loss of power, and is cut. Damage in the last confirmed batch
//! itself, behind which nothing was written, cannot be told from a tail.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Date;

use super::mark::{self, Mark};
use super::segment::{self, BATCH, HEAD};
use super::storage::{OpenMode, Storage, StorageFile};
use super::{proof, scan, snapshots};
use crate::error::JournalError;
use crate::log::{Carriage, Cut, LogWriter, Offset, Opened, RECORD_MAX, Span, landed};
use crate::owner::Owner;
use crate::retention::{Retention, surplus};

/// How a log is kept in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileOptions {
    /// Space is taken from the device in steps of so many bytes, so that a commit need not.
    pub preallocate: u64,
    /// A segment that has come to so many bytes is followed by the next.
    pub segment_max: u64,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            preallocate: 16 << 20,
            segment_max: 1 << 30,
        }
    }
}

/// The newest epoch of a log. A writer locks it while it changes a file, and refuses where a newer writer has been
/// opened: so a writer that wakes late writes nothing over the newer one's records.
pub type Fence = Arc<Mutex<u64>>;

struct Segment {
    file: Box<dyn StorageFile>,
    path: PathBuf,
    base: u64,
    /// Bytes in use.
    used: u64,
    /// Bytes taken from the device.
    allocated: u64,
}

/// A batch on its way to the device.
struct Departure {
    file: Box<dyn StorageFile>,
    path: PathBuf,
    batch: Vec<u8>,
    at: u64,
    /// The length that the file is to be given first.
    allocate: Option<u64>,
    /// Whether the device is to confirm it, and with it all that was written before.
    is_synced: bool,
    fence: Fence,
    epoch: u64,
    landed: SyncSender<Landing>,
}

/// What came of a departure.
struct Landing {
    result: Result<(), JournalError>,
    batch: Vec<u8>,
    is_synced: bool,
}

impl Departure {
    /// Writes the batch and, where it is to be synced, waits until the device has confirmed it.
    fn carry(mut self) {
        let newest = hold(&self.fence);
        let result = fenced(&self.path, self.epoch, *newest).and_then(|()| {
            write(
                self.file.as_mut(),
                &self.path,
                &self.batch,
                self.at,
                self.allocate,
                self.is_synced,
            )
        });
        drop(newest);
        // A log that is gone needs no word.
        let _ = self.landed.send(Landing {
            result,
            batch: self.batch,
            is_synced: self.is_synced,
        });
    }
}

fn hold(fence: &Fence) -> MutexGuard<'_, u64> {
    fence.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fenced(path: &Path, epoch: u64, newest: u64) -> Result<(), JournalError> {
    if epoch == newest {
        return Ok(());
    }
    Err(JournalError::Fenced {
        place: path.display().to_string(),
        epoch,
        newest,
    })
}

fn write(
    file: &mut dyn StorageFile,
    path: &Path,
    batch: &[u8],
    at: u64,
    allocate: Option<u64>,
    is_synced: bool,
) -> Result<(), JournalError> {
    if let Some(length) = allocate {
        file.allocate(length)
            .map_err(|e| JournalError::write(path, &e))?;
    }
    if !batch.is_empty() {
        file.write_all_at(batch, at)
            .map_err(|e| JournalError::write(path, &e))?;
    }
    if is_synced {
        file.sync().map_err(|e| JournalError::sync(path, &e))?;
    }
    Ok(())
}

/// The writer of a log in files.
pub struct FileWriter {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    options: FileOptions,
    owner: Owner,
    fence: Fence,
    generation: u64,
    segments: Vec<Span>,
    current: Option<Segment>,
    day: Date,
    /// The batch in memory, its head left free.
    batch: Vec<u8>,
    count: u32,
    end: u64,
    durable: u64,
    /// A batch is on its way: it ends where `end` is.
    flight: Option<Receiver<Landing>>,
    /// A buffer to be used again.
    spare: Vec<u8>,
    /// What the log's mark says.
    mark: Mark,
    /// A batch of the current segment is marked.
    marked: bool,
    failed: Option<JournalError>,
}

impl FileWriter {
    /// Opens a log, or begins one. All of it is read. A tail that was never confirmed and is not whole is erased,
    /// durably, before anything can be written.
    pub fn open(
        storage: Arc<dyn Storage>,
        dir: &Path,
        options: FileOptions,
        owner: &Owner,
        fence: Fence,
    ) -> Result<(Self, Opened), JournalError> {
        let newest = Arc::clone(&fence);
        // What an older writer is writing comes first.
        let mut newest = hold(&newest);
        storage
            .create_dir_all(dir)
            .map_err(|e| JournalError::write(dir, &e))?;
        let sound = proof::of(storage.as_ref(), dir, owner)?;
        let mut log = Self {
            storage,
            dir: dir.to_owned(),
            options,
            owner: *owner,
            fence,
            generation: 0,
            segments: Vec::new(),
            current: None,
            day: Date::default(),
            batch: vec![0; BATCH],
            count: 0,
            end: 0,
            durable: 0,
            flight: None,
            spare: Vec::new(),
            mark: sound.mark.unwrap_or_default(),
            marked: false,
            failed: None,
        };
        // A segment is begun before it is written to: the newest may hold nothing yet, or be torn.
        for begun in &sound.begun {
            log.remove(begun)?;
        }
        let mut cut = None;
        if let (Some(last), Some(tail)) = (sound.segments.last(), &sound.tail) {
            log.generation = tail.generation;
            log.day = last.day;
            (log.end, log.durable) = (tail.end, tail.end);
            let path = segment::path(dir, last.first.0, last.day);
            cut = log.adopt(path, last.first.0, tail)?;
        }
        log.generation = log.generation.max(*newest) + 1;
        *newest = log.generation;
        log.segments = sound.segments;
        let first = log.segments.first().map_or(Offset(log.end), |s| s.first);
        let opened = Opened {
            first,
            end: Offset(log.end),
            cut,
            damaged_snapshots: sound.damaged_snapshots,
        };
        Ok((log, opened))
    }

    fn remove(&self, path: &Path) -> Result<(), JournalError> {
        self.storage
            .remove(path)
            .map_err(|e| JournalError::write(path, &e))?;
        self.storage
            .sync_dir(&self.dir)
            .map_err(|e| JournalError::sync(path, &e))
    }

    /// Takes over the last segment, and erases what lies behind its last batch.
    fn adopt(
        &mut self,
        path: PathBuf,
        base: u64,
        tail: &scan::Tail,
    ) -> Result<Option<Cut>, JournalError> {
        let failed = |e| JournalError::write(&path, &e);
        let mut file = self.storage.open(&path, OpenMode::Write).map_err(failed)?;
        let used = tail.end - base;
        let mut allocated = file.size().map_err(failed)?;
        let mut cut = None;
        if tail.dirty > 0 {
            file.allocate(used).map_err(failed)?;
            allocated = used;
            cut = Some(Cut {
                from: Offset(tail.end),
                bytes: tail.dirty,
            });
        }
        // What is read here is relied on from now on, and the device may not have it: the process before
        // was killed, or its sync failed. After a failed sync the next one says that all is well though
        // nothing was written, so the last batch is written again first.
        let from = tail.last - base;
        let mut last = vec![0; (used - from) as usize];
        let read = self
            .storage
            .open(&path, OpenMode::Read)
            .and_then(|reader| reader.read_at(&mut last, from))
            .map_err(|e| JournalError::io(&path, &e))?;
        last.truncate(read);
        file.write_all_at(&last, from).map_err(failed)?;
        file.sync().map_err(|e| JournalError::sync(&path, &e))?;
        self.storage
            .sync_dir(&self.dir)
            .map_err(|e| JournalError::sync(&self.dir, &e))?;
        self.current = Some(Segment {
            file,
            path,
            base,
            used,
            allocated,
        });
        Ok(cut)
    }

    /// The offset of the next record.
    #[cfg(test)]
    pub fn end(&self) -> Offset {
        let begun = if self.current.is_some() {
            0
        } else {
            HEAD as u64
        };
        Offset(self.end + begun + self.batch.len() as u64)
    }

    #[cfg(test)]
    pub fn segments(&self) -> &[Span] {
        &self.segments
    }

    /// Does what changes files, unless a newer writer has been opened.
    fn as_newest<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let fence = Arc::clone(&self.fence);
        let newest = hold(&fence);
        fenced(&self.dir, self.generation, *newest)?;
        change(self)
    }

    fn check(&self) -> Result<(), JournalError> {
        match &self.failed {
            None => Ok(()),
            Some(error) => Err(JournalError::Failed(Box::new(error.clone()))),
        }
    }

    /// Completes the batch in memory. Returns where it is to be written, and the length that the file
    /// is to be given before.
    fn seal(&mut self) -> (u64, Option<u64>) {
        segment::seal(
            &mut self.batch,
            self.count,
            self.generation,
            self.end,
            self.durable,
        );
        let Some(current) = &mut self.current else {
            return (0, None);
        };
        let at = current.used;
        current.used += self.batch.len() as u64;
        let mut allocate = None;
        if current.used > current.allocated {
            let step = self.options.preallocate.max(1);
            current.allocated = current.used.div_ceil(step).saturating_mul(step);
            allocate = Some(current.allocated);
        }
        (at, allocate)
    }

    fn write(&mut self) -> Result<(), JournalError> {
        if self.current.is_none() {
            self.begin()?;
        }
        let (at, allocate, length) = if self.count == 0 {
            (0, None, 0)
        } else {
            let (at, allocate) = self.seal();
            (at, allocate, self.batch.len())
        };
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        write(
            current.file.as_mut(),
            &current.path,
            &self.batch[..length],
            at,
            allocate,
            true,
        )?;
        self.end += length as u64;
        self.batch.truncate(BATCH);
        self.count = 0;
        self.synced()
    }

    /// Everything up to the end of the latest batch is durable.
    fn synced(&mut self) -> Result<(), JournalError> {
        self.durable = self.end;
        if let Some(last) = self.segments.last_mut() {
            *last = segment::span(last.first, Offset(self.end), last.day);
        }
        if !self.marked {
            let first = self.segments.first().map_or(Offset(0), |s| s.first);
            self.mark(first)?;
            self.marked = true;
        }
        let used = self.current.as_ref().map_or(0, |current| current.used);
        if used >= self.options.segment_max {
            self.close()?;
        }
        Ok(())
    }

    /// Says beside the log what it keeps from now on, and what is durable now.
    fn mark(&mut self, first: Offset) -> Result<(), JournalError> {
        self.mark = Mark {
            first,
            confirmed: self.durable(),
            owner: self.owner,
        };
        mark::save(self.storage.as_ref(), &self.dir, &self.mark)
    }

    /// Removes spans that are no longer to be kept.
    fn remove_surplus(
        &mut self,
        floor: Offset,
        today: Date,
        keep: &Retention,
    ) -> Result<Vec<Span>, JournalError> {
        let count = surplus(&self.segments, floor, today, keep);
        let removed: Vec<Span> = self.segments[..count].to_vec();
        if let (false, Some(first)) = (removed.is_empty(), self.segments.get(count)) {
            // What is removed before it is said to be is missed.
            let (first, confirmed) = (first.first, self.mark.confirmed);
            self.mark = Mark {
                first,
                confirmed,
                owner: self.owner,
            };
            mark::save(self.storage.as_ref(), &self.dir, &self.mark)?;
        }
        for gone in &removed {
            let path = segment::path(&self.dir, gone.first.0, gone.day);
            self.storage
                .remove(&path)
                .map_err(|e| JournalError::io(&path, &e))?;
            self.segments.remove(0);
        }
        if count > 0 {
            self.storage
                .sync_dir(&self.dir)
                .map_err(|e| JournalError::io(&self.dir, &e))?;
        }
        Ok(removed)
    }

    /// Begins the next segment at the log's end.
    fn begin(&mut self) -> Result<(), JournalError> {
        let base = self.end;
        let path = segment::path(&self.dir, base, self.day);
        let failed = |e| JournalError::write(&path, &e);
        let mut file = self.storage.open(&path, OpenMode::Create).map_err(failed)?;
        let allocated = self.options.preallocate.max(HEAD as u64);
        file.allocate(allocated).map_err(failed)?;
        file.write_all_at(&segment::head(base, &self.owner), 0)
            .map_err(failed)?;
        file.sync().map_err(|e| JournalError::sync(&path, &e))?;
        self.storage
            .sync_dir(&self.dir)
            .map_err(|e| JournalError::sync(&self.dir, &e))?;
        self.end = base + HEAD as u64;
        self.durable = self.end;
        self.marked = false;
        let (first, end) = (Offset(base), Offset(self.end));
        self.segments.push(segment::span(first, end, self.day));
        self.current = Some(Segment {
            file,
            path,
            base,
            used: HEAD as u64,
            allocated,
        });
        Ok(())
    }

    /// Gives back what was taken in advance: a segment that is closed ends with its last batch.
    fn close(&mut self) -> Result<(), JournalError> {
        let Some(mut current) = self.current.take() else {
            return Ok(());
        };
        debug_assert_eq!(current.base + current.used, self.end);
        current
            .file
            .allocate(current.used)
            .map_err(|e| JournalError::write(&current.path, &e))?;
        current
            .file
            .sync()
            .map_err(|e| JournalError::sync(&current.path, &e))
    }
}

impl LogWriter for FileWriter {
    fn epoch(&self) -> u64 {
        self.generation
    }

    fn append(&mut self, record: &[u8]) -> Result<(), JournalError> {
        self.check()?;
        if record.len() > RECORD_MAX {
            return Err(JournalError::TooLarge(record.len()));
        }
        self.batch
            .extend_from_slice(&(record.len() as u32).to_le_bytes());
        self.batch.extend_from_slice(record);
        self.count += 1;
        Ok(())
    }

    fn pending_bytes(&self) -> usize {
        if self.count == 0 { 0 } else { self.batch.len() }
    }

    fn submit(&mut self, sync: bool) -> Result<Option<Carriage>, JournalError> {
        if self.outcome(false)?.is_none() || (self.count == 0 && !(sync && self.is_unsynced())) {
            return Ok(None);
        }
        self.check()?;
        // Offsets behind a segment's end are known once the next has begun.
        let used = self.current.as_ref().map(|current| current.used);
        if used.is_none_or(|used| used + self.batch.len() as u64 >= self.options.segment_max) {
            self.commit()?;
            return Ok(None);
        }
        let (at, allocate) = if self.count == 0 {
            (0, None)
        } else {
            self.seal()
        };
        let Some(current) = &self.current else {
            return Ok(None);
        };
        // A handle of its own: an error of the device is told to each.
        let file = self
            .storage
            .open(&current.path, OpenMode::Write)
            .map_err(|e| JournalError::write(&current.path, &e));
        let file = match file {
            Ok(file) => file,
            Err(error) => {
                self.failed = Some(error.clone());
                return Err(error);
            }
        };
        let (landed, flight) = sync_channel(1);
        let path = current.path.clone();
        let mut batch = std::mem::take(&mut self.spare);
        if self.count > 0 {
            batch.resize(BATCH, 0);
            std::mem::swap(&mut batch, &mut self.batch);
        }
        self.count = 0;
        self.end += batch.len() as u64;
        self.flight = Some(flight);
        let departure = Departure {
            file,
            path,
            batch,
            at,
            allocate,
            is_synced: sync,
            fence: Arc::clone(&self.fence),
            epoch: self.generation,
            landed,
        };
        Ok(Some(Carriage::new(move || departure.carry())))
    }

    fn outcome(&mut self, wait: bool) -> Result<Option<Offset>, JournalError> {
        let Some(flight) = &self.flight else {
            return Ok(Some(self.durable()));
        };
        let landing = landed(flight, wait);
        let mut is_synced = false;
        let result = match landing {
            Err(TryRecvError::Empty) => return Ok(None),
            Err(TryRecvError::Disconnected) => {
                let lost = std::io::Error::other("the thread that was to write it has ended");
                Err(JournalError::write(&self.dir, &lost))
            }
            Ok(landing) => {
                self.spare = landing.batch;
                self.spare.clear();
                is_synced = landing.is_synced;
                landing.result
            }
        };
        self.flight = None;
        let result = result.and_then(|()| match is_synced {
            true => self.as_newest(Self::synced),
            false => Ok(()),
        });
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result.map(|()| Some(self.durable()))
    }

    fn is_under_way(&self) -> bool {
        self.flight.is_some()
    }

    fn is_unsynced(&self) -> bool {
        self.durable < self.end
    }

    fn commit(&mut self) -> Result<Offset, JournalError> {
        self.outcome(true)?;
        self.check()?;
        if self.count == 0 && !self.is_unsynced() {
            return Ok(self.durable());
        }
        match self.as_newest(Self::write) {
            Ok(()) => Ok(self.durable()),
            Err(error) => {
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    fn durable(&self) -> Offset {
        Offset(self.durable)
    }

    fn may_act(&self, below: Offset) -> bool {
        below <= self.durable() && self.failed.is_none() && *hold(&self.fence) == self.generation
    }

    fn begin_in(&mut self, day: Date) {
        if self.segments.is_empty() {
            self.day = day;
        }
    }

    fn day(&self) -> Option<Date> {
        self.segments.last().map(|last| last.day)
    }

    fn roll(&mut self, day: Date) -> Result<(), JournalError> {
        if day == self.day && self.current.is_some() {
            return Ok(());
        }
        self.commit()?;
        let result = self.as_newest(Self::close);
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        self.day = day;
        result
    }

    fn has_surplus(&self, today: Date, keep: &Retention) -> bool {
        surplus(&self.segments, Offset::END, today, keep) > 0
    }

    fn retain(
        &mut self,
        floor: Offset,
        today: Date,
        keep: &Retention,
    ) -> Result<Vec<Span>, JournalError> {
        self.check()?;
        self.as_newest(|this| this.remove_surplus(floor, today, keep))
    }

    fn bytes(&self) -> u64 {
        let first = self.segments.first().map_or(self.end, |s| s.first.0);
        self.end - first + self.pending_bytes() as u64
    }

    fn save_snapshot(&mut self, payload: &[u8], keep: usize) -> Result<(), JournalError> {
        self.as_newest(|this| {
            let (storage, at) = (this.storage.as_ref(), this.durable());
            snapshots::save(storage, &this.dir, at, &this.owner, payload, keep)
        })
    }
}
