//! What a log is, wherever it lives: records in batches from one writer, for any number of readers.
//!
//! A batch is there whole or not at all. A writer has an epoch, one more than the writer before it; opening
//! fences that one off: what it still writes is refused, or passed over by every reader. The file log, the one
//! in memory and whatever follows them pass [`conformance`](crate::conformance).

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use model::Date;
use serde::{Deserialize, Serialize};

use crate::error::JournalError;
use crate::owner::Owner;
use crate::retention::Retention;

/// The largest record, in bytes: a broker of messages takes no more by default.
pub const RECORD_MAX: usize = 900 << 10;

/// A place in a log. Offsets rise from record to record; what they count, the log alone knows.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Offset(pub u64);

impl Offset {
    /// Before every record that is kept.
    pub const BEGINNING: Self = Self(0);
    /// Behind every record.
    pub const END: Self = Self(u64::MAX);
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Consecutive records of one trading day. Retention removes whole spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The offset of its beginning.
    pub first: Offset,
    /// The offset behind its last record.
    pub end: Offset,
    /// The trading day that it was begun on.
    pub day: Date,
    /// Bytes that it takes.
    pub bytes: u64,
}

/// A tail that was never confirmed and is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Where the log ends now.
    pub from: Offset,
    /// Bytes that were there behind it.
    pub bytes: u64,
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The first offset that is still there.
    pub first: Offset,
    /// The offset behind the last record.
    pub end: Offset,
    /// What was cut.
    pub cut: Option<Cut>,
    /// Snapshots that are not whole, by place: recovery passes them over.
    pub damaged_snapshots: Vec<String>,
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
    /// Its spans.
    pub spans: Vec<Span>,
    /// The offset behind the last record.
    pub end: Offset,
    /// A tail that was never confirmed and is not whole: opening would cut it.
    pub tail: Option<Cut>,
    /// Snapshots that are not whole, by place: recovery passes them over.
    pub damaged_snapshots: Vec<String>,
}

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogName<'a> {
    /// The market log.
    Market,
    /// The journal of a namespace.
    Journal(&'a str),
    /// The dead letters of a topic.
    Letters(&'a str),
}

/// The name of the market log; no namespace has it.
pub const MARKET: &str = "market";

impl<'a> LogName<'a> {
    /// The log of a system by its name in messages: `market`, or a namespace's.
    pub fn of(name: &'a str) -> Self {
        if name == MARKET {
            Self::Market
        } else {
            Self::Journal(name)
        }
    }
}

/// Where the logs of a system live.
pub trait Logs: Send + Sync {
    /// A log, whether it has been begun or not.
    fn log(&self, name: LogName<'_>) -> Arc<dyn Log>;
    /// The namespaces whose journals have been begun, sorted.
    fn journals(&self) -> Result<Vec<String>, JournalError>;
    /// The topics whose dead letters have been begun, sorted.
    fn letters(&self) -> Result<Vec<String>, JournalError>;
    /// What was last said of all of them together; `None` where nothing was.
    fn identity(&self) -> Result<Option<Vec<u8>>, JournalError>;
    /// Says it, durably, in place of what was said before.
    fn set_identity(&self, bytes: &[u8]) -> Result<(), JournalError>;
}

/// A log.
pub trait Log: Send + Sync {
    /// Its name in messages.
    fn name(&self) -> &str;
    /// Where it is, for people.
    fn place(&self) -> String;
    /// Opens it for writing under the next epoch, or begins it. All that it has promised is proven first: damage
    /// below what was confirmed is refused, and the log is left as it is. Older writers are fenced off.
    fn open(&self, owner: &Owner) -> Result<(Box<dyn LogWriter>, Opened), JournalError>;
    /// Reads from the first record at or behind an offset. [`JournalError::Gone`] where retention has removed that
    /// one; [`Offset::BEGINNING`] reads from the first that is kept.
    fn read(&self, from: Offset) -> Result<Box<dyn LogReader>, JournalError>;
    /// Its spans, oldest first; none where it has not been begun. Of the last, which may be written to, only the
    /// beginning is sure to be told.
    fn spans(&self) -> Result<Vec<Span>, JournalError>;
    /// True where nothing has ever been written here, snapshots included.
    fn is_fresh(&self) -> Result<bool, JournalError>;
    /// Whose it is, as it says itself; `None` where it does not.
    fn owner(&self) -> Result<Option<Owner>, JournalError>;
    /// Reads everything and checks every promise, as opening does, and changes nothing. It works beside a writer.
    fn check(&self, owner: &Owner) -> Result<Verified, JournalError>;
    /// The states that are saved beside it.
    fn snapshots(&self) -> &dyn Snapshots;
}

/// Carries a batch to where it is made durable; whatever thread may run it.
pub struct Carriage(Box<dyn FnOnce() + Send>);

impl Carriage {
    /// What is to be done.
    pub fn new(carry: impl FnOnce() + Send + 'static) -> Self {
        Self(Box::new(carry))
    }
    /// Does it, and waits until it is done. The writer is told.
    pub fn carry(self) {
        (self.0)();
    }
}

impl fmt::Debug for Carriage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Carriage")
    }
}

/// What the thread that carried a batch says of it.
pub(crate) fn landed<T>(under_way: &Receiver<T>, wait: bool) -> Result<T, TryRecvError> {
    if wait {
        under_way.recv().map_err(|_| TryRecvError::Disconnected)
    } else {
        under_way.try_recv()
    }
}

/// The writer of a log. An error is final: what was written is not known, so nothing is tried again.
pub trait LogWriter: Send {
    /// Its epoch: greater than that of every writer before it.
    fn epoch(&self) -> u64;
    /// Adds a record to the batch in memory.
    fn append(&mut self, record: &[u8]) -> Result<(), JournalError>;
    /// Bytes that wait in memory.
    fn pending_bytes(&self) -> usize;
    /// Sends the batch off without waiting for it: [`outcome`](Self::outcome) tells what came of it, once what
    /// this gives has been carried. A log that has threads of its own gives nothing. One batch is under way at a
    /// time; until its outcome is known nothing is sent. One that is not to be synced is safe from the end of this
    /// process, and durable with the next one that is.
    fn submit(&mut self, sync: bool) -> Result<Option<Carriage>, JournalError>;
    /// What came of the batch that is under way, waiting for it where `wait` says so. `None` while that is not
    /// known, else up to where the log is durable. An error says that the writer was fenced off, or that the
    /// outcome cannot be known.
    fn outcome(&mut self, wait: bool) -> Result<Option<Offset>, JournalError>;
    /// True while a batch is under way.
    fn is_under_way(&self) -> bool;
    /// True while something was written that is not durable.
    fn is_unsynced(&self) -> bool;
    /// Sends the batch off, and waits until it is durable. Returns up to where the log is.
    fn commit(&mut self) -> Result<Offset, JournalError>;
    /// All below it is durable.
    fn durable(&self) -> Offset;
    /// Whether what was recorded below an offset may be acted on: it is durable, has been read back where the
    /// log needs that, and no newer writer has been seen.
    fn may_act(&self, below: Offset) -> bool;
    /// Gives the trading day of a log that holds nothing yet.
    fn begin_in(&mut self, day: Date);
    /// The trading day of its latest span; `None` where there is none.
    fn day(&self) -> Option<Date>;
    /// Later records belong to this trading day. What waits is committed first.
    fn roll(&mut self, day: Date) -> Result<(), JournalError>;
    /// Whether anything is no longer to be kept, needed or not.
    fn has_surplus(&self, today: Date, keep: &Retention) -> bool;
    /// Removes whole spans that are no longer to be kept: never the one that is written to, never one that
    /// reaches `floor` or beyond. Returns what was removed.
    fn retain(
        &mut self,
        floor: Offset,
        today: Date,
        keep: &Retention,
    ) -> Result<Vec<Span>, JournalError>;
    /// Bytes of the log.
    fn bytes(&self) -> u64;
    /// Saves a state beside the log, as of all that is durable, and removes all but the newest `keep`.
    fn save_snapshot(&mut self, payload: &[u8], keep: usize) -> Result<(), JournalError>;
}

/// Reads a log, also while it is written.
pub trait LogReader: Send {
    /// The next record and its offset. `None`: there is no more for now, and all that was there when the reader
    /// was opened has been given; ask again to follow the writer.
    fn next(&mut self) -> Result<Option<(Offset, &[u8])>, JournalError>;
}

/// States that are saved beside a log: each whole or not there, a few of them kept.
pub trait Snapshots: Send + Sync {
    /// The offsets of those that are there, rising.
    fn list(&self) -> Result<Vec<Offset>, JournalError>;
    /// The one at an offset; `None` where it is damaged.
    fn load(&self, at: Offset) -> Result<Option<Vec<u8>>, JournalError>;

    /// The newest whole one at or before an offset. One that is damaged is passed over: the log holds all that
    /// it would have said.
    fn newest(&self, at_most: Offset) -> Result<Option<(Offset, Vec<u8>)>, JournalError> {
        for at in self.list()?.into_iter().rev().filter(|at| *at <= at_most) {
            if let Some(payload) = self.load(at)? {
                return Ok(Some((at, payload)));
            }
        }
        Ok(None)
    }
}
