//! A log: records in batches, batches in preallocated segments, one writer.
//!
//! A batch is atomic: it is there whole, or not at all. Each names the generation of its writer and the
//! position up to which the log had been confirmed durable before the batch was written. That tells
//! damage from a tail: what lies below the highest such position was confirmed and must be there; what
//! lies beyond may be anything after a loss of power, and is cut. Damage in the last confirmed batch
//! itself, behind which nothing was written, cannot be told from a tail.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use model::Date;
use serde::{Deserialize, Serialize};

use crate::error::JournalError;
use crate::mark::{self, Mark};
use crate::owner::Owner;
use crate::proof;
use crate::retention::{Retention, surplus};
use crate::scan;
use crate::segment::{self, BATCH, HEAD, SegmentInfo};
use crate::storage::{OpenMode, Storage, StorageFile};

/// The largest record, in bytes.
pub const RECORD_MAX: usize = 16 << 20;

/// The offset of a record in the whole log, over all its segments.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// Space is taken from the device in steps of so many bytes, so that a commit need not.
    pub preallocate: u64,
    /// A segment that has come to so many bytes is followed by the next.
    pub segment_max: u64,
    /// Whose it is: files that say another are refused.
    pub owner: Owner,
    /// The trading day of a log's first segment.
    pub first_day: Date,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            preallocate: 16 << 20,
            segment_max: 1 << 30,
            owner: Owner::NONE,
            first_day: Date::default(),
        }
    }
}

/// A tail that was never confirmed and is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Where the log ends now.
    pub from: Position,
    /// Bytes that were there behind it.
    pub bytes: u64,
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The first position that is still there.
    pub first: Position,
    /// The position behind the last record.
    pub end: Position,
    /// What was cut.
    pub cut: Option<Cut>,
    /// Snapshots that are not whole: recovery passes them over.
    pub damaged_snapshots: Vec<PathBuf>,
}

struct Segment {
    file: Box<dyn StorageFile>,
    path: PathBuf,
    base: u64,
    /// Bytes in use.
    used: u64,
    /// Bytes taken from the device.
    allocated: u64,
}

/// A batch on its way to the device, to be carried there by whatever thread: see [`Log::depart`].
pub struct Departure {
    file: Box<dyn StorageFile>,
    path: PathBuf,
    batch: Vec<u8>,
    at: u64,
    /// The length that the file is to be given first.
    allocate: Option<u64>,
    /// Whether the device is to confirm it, and with it all that was written before.
    is_synced: bool,
    landed: SyncSender<Landing>,
}

/// What came of a departure.
struct Landing {
    result: Result<(), JournalError>,
    batch: Vec<u8>,
    is_synced: bool,
}

impl Departure {
    /// Writes the batch and, where it is to be synced, waits until the device has confirmed it. The log is told.
    pub fn carry(mut self) {
        let result = write(
            self.file.as_mut(),
            &self.path,
            &self.batch,
            self.at,
            self.allocate,
            self.is_synced,
        );
        // A log that is gone needs no word.
        let _ = self.landed.send(Landing {
            result,
            batch: self.batch,
            is_synced: self.is_synced,
        });
    }
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

/// The writer of a log.
pub struct Log {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    options: LogOptions,
    generation: u64,
    segments: Vec<SegmentInfo>,
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

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("dir", &self.dir)
            .field("generation", &self.generation)
            .field("end", &self.end)
            .field("durable", &self.durable)
            .finish_non_exhaustive()
    }
}

impl Log {
    /// Opens a log, or begins one. All of it is read: damage below what was confirmed is refused, and the
    /// log is left as it is. A tail that was never confirmed and is not whole is erased, durably, before
    /// anything can be written.
    pub fn open(
        storage: Arc<dyn Storage>,
        dir: &Path,
        options: LogOptions,
    ) -> Result<(Self, Opened), JournalError> {
        storage
            .create_dir_all(dir)
            .map_err(|e| JournalError::write(dir, &e))?;
        let sound = proof::of(storage.as_ref(), dir, &options.owner)?;
        let mut log = Self {
            storage,
            dir: dir.to_owned(),
            options,
            generation: 0,
            segments: Vec::new(),
            current: None,
            day: options.first_day,
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
            let path = segment::path(dir, last.base.0, last.day);
            cut = log.adopt(path, last.base.0, tail)?;
        }
        log.generation += 1;
        log.segments = sound.segments;
        let first = log.segments.first().map_or(Position(log.end), |s| s.base);
        let opened = Opened {
            first,
            end: Position(log.end),
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
                from: Position(tail.end),
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

    /// Gives the trading day of the first segment, where it is known only after the opening. A log that has segments
    /// keeps its own.
    pub fn begin_in(&mut self, day: Date) {
        if self.segments.is_empty() {
            self.day = day;
        }
    }

    /// The writer's generation: one more at every opening of a log that something was written to.
    pub const fn generation(&self) -> u64 {
        self.generation
    }
    /// The position of the next record.
    pub fn end(&self) -> Position {
        let begun = if self.current.is_some() {
            0
        } else {
            HEAD as u64
        };
        Position(self.end + begun + self.batch.len() as u64)
    }
    /// Everything below it is durable.
    pub const fn durable(&self) -> Position {
        Position(self.durable)
    }
    /// Bytes that wait to be committed.
    pub fn pending_bytes(&self) -> usize {
        if self.count == 0 { 0 } else { self.batch.len() }
    }
    /// Whether anything was written that the device has not confirmed.
    pub const fn is_unsynced(&self) -> bool {
        self.durable < self.end
    }
    /// True while a batch is on its way to the device.
    pub const fn is_in_flight(&self) -> bool {
        self.flight.is_some()
    }
    /// The log's files, the one that is written to last.
    pub fn segments(&self) -> &[SegmentInfo] {
        &self.segments
    }
    /// Whose it is.
    pub const fn owner(&self) -> &Owner {
        &self.options.owner
    }
    /// Why the log takes nothing any more.
    pub const fn failure(&self) -> Option<&JournalError> {
        self.failed.as_ref()
    }

    fn check(&self) -> Result<(), JournalError> {
        match &self.failed {
            None => Ok(()),
            Some(error) => Err(JournalError::Failed(Box::new(error.clone()))),
        }
    }

    /// Adds a record to the batch in memory. No I/O.
    pub fn append(&mut self, record: &[u8]) -> Result<Position, JournalError> {
        self.check()?;
        if record.len() > RECORD_MAX {
            return Err(JournalError::TooLarge(record.len()));
        }
        let position = self.end();
        self.batch
            .extend_from_slice(&(record.len() as u32).to_le_bytes());
        self.batch.extend_from_slice(record);
        self.count += 1;
        Ok(position)
    }

    /// Writes the batch and waits until the device has confirmed it. Returns up to where the log is
    /// durable. An error is final: what the device holds is not known, so nothing is tried again.
    pub fn commit(&mut self) -> Result<Position, JournalError> {
        self.land(true)?;
        self.check()?;
        if self.count == 0 && !self.is_unsynced() {
            return Ok(self.durable());
        }
        match self.write() {
            Ok(()) => Ok(self.durable()),
            Err(error) => {
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    /// The same without waiting: what it gives must be carried, by any thread, and [`land`](Self::land)
    /// tells what came of it. One batch is on its way at a time: `None` until then, and where there is nothing to
    /// do. What begins or ends a segment is written here. A batch that is not to be synced is safe from the end of
    /// this process, and durable with the next one that is.
    pub fn depart(&mut self, sync: bool) -> Result<Option<Departure>, JournalError> {
        if !self.land(false)? || (self.count == 0 && !(sync && self.is_unsynced())) {
            return Ok(None);
        }
        self.check()?;
        // Positions behind a segment's end are known once the next has begun.
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
        Ok(Some(Departure {
            file,
            path,
            batch,
            at,
            allocate,
            is_synced: sync,
            landed,
        }))
    }

    /// Takes in what has come of the batch that is on its way, waiting for it where `wait` says so.
    /// True when none is on its way any more.
    pub fn land(&mut self, wait: bool) -> Result<bool, JournalError> {
        let Some(flight) = &self.flight else {
            return Ok(true);
        };
        let landing = if wait {
            flight.recv().map_err(|_| TryRecvError::Disconnected)
        } else {
            flight.try_recv()
        };
        let mut is_synced = false;
        let result = match landing {
            Err(TryRecvError::Empty) => return Ok(false),
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
            true => self.synced(),
            false => Ok(()),
        });
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result.map(|()| true)
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
            last.end = Position(self.end);
        }
        if !self.marked {
            let first = self.segments.first().map_or(Position(0), |s| s.base);
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
    fn mark(&mut self, first: Position) -> Result<(), JournalError> {
        self.mark = Mark {
            first,
            confirmed: self.durable(),
            owner: self.options.owner,
        };
        mark::save(self.storage.as_ref(), &self.dir, &self.mark)
    }

    /// Begins the next segment at the log's end.
    fn begin(&mut self) -> Result<(), JournalError> {
        let base = self.end;
        let path = segment::path(&self.dir, base, self.day);
        let failed = |e| JournalError::write(&path, &e);
        let mut file = self.storage.open(&path, OpenMode::Create).map_err(failed)?;
        let allocated = self.options.preallocate.max(HEAD as u64);
        file.allocate(allocated).map_err(failed)?;
        file.write_all_at(&segment::head(base, &self.options.owner), 0)
            .map_err(failed)?;
        file.sync().map_err(|e| JournalError::sync(&path, &e))?;
        self.storage
            .sync_dir(&self.dir)
            .map_err(|e| JournalError::sync(&self.dir, &e))?;
        self.end = base + HEAD as u64;
        self.durable = self.end;
        self.marked = false;
        self.segments.push(SegmentInfo {
            base: Position(base),
            end: Position(self.end),
            day: self.day,
        });
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

    /// Later records go into a segment of this trading day. What waits is committed first.
    pub fn roll(&mut self, day: Date) -> Result<(), JournalError> {
        if day == self.day && self.current.is_some() {
            return Ok(());
        }
        self.commit()?;
        let result = self.close();
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        self.day = day;
        result
    }

    /// Removes whole segments that are no longer to be kept: never the one that is written to, never
    /// one that reaches `floor` or beyond. Returns what was removed.
    pub fn retain(
        &mut self,
        floor: Position,
        today: Date,
        keep: &Retention,
    ) -> Result<Vec<SegmentInfo>, JournalError> {
        self.check()?;
        let count = surplus(&self.segments, floor, today, keep);
        let removed: Vec<SegmentInfo> = self.segments[..count].to_vec();
        if let (false, Some(first)) = (removed.is_empty(), self.segments.get(count)) {
            // What is removed before it is said to be is missed.
            let (first, confirmed) = (first.base, self.mark.confirmed);
            self.mark = Mark {
                first,
                confirmed,
                owner: self.options.owner,
            };
            mark::save(self.storage.as_ref(), &self.dir, &self.mark)?;
        }
        for gone in &removed {
            let path = segment::path(&self.dir, gone.base.0, gone.day);
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
}
