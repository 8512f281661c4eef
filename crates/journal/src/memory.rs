//! Logs in memory. A process that ends takes them with it; until then they keep every promise of a log. What a
//! fenced writer still sends lands here as it would at a broker of messages, and no reader sees it.

use std::collections::{BTreeMap, VecDeque};
use std::mem::take;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Date;

use crate::error::JournalError;
use crate::log::{
    Carriage, Log, LogName, LogReader, LogWriter, Logs, MARKET, Offset, Opened, RECORD_MAX,
    Snapshots, Span, Verified, landed,
};
use crate::owner::Owner;
use crate::retention::{Retention, surplus};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A record; its offset is its number.
#[derive(Debug, Clone)]
struct Entry {
    bytes: Arc<[u8]>,
    /// Of a writer that had been fenced off.
    is_stale: bool,
}

fn size(entries: &VecDeque<Entry>) -> u64 {
    entries.iter().map(|entry| entry.bytes.len() as u64).sum()
}

#[derive(Debug, Clone, Default)]
struct State {
    owner: Option<Owner>,
    /// Of the newest writer.
    epoch: u64,
    /// The offset of the first entry.
    first: u64,
    entries: VecDeque<Entry>,
    /// Of all entries.
    bytes: u64,
    /// All below it is durable.
    durable: u64,
    batches: u64,
    /// The beginnings of the trading days.
    days: Vec<(u64, Date)>,
    snapshots: BTreeMap<u64, Vec<u8>>,
}

impl State {
    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn spans(&self) -> Vec<Span> {
        let ends = self.days.iter().skip(1).map(|(first, _)| *first);
        let days = self.days.iter().zip(ends.chain([self.end()]));
        days.map(|((first, day), end)| {
            let from = first.saturating_sub(self.first) as usize;
            let records = self.entries.iter().skip(from).take((end - first) as usize);
            Span {
                first: Offset(*first),
                end: Offset(end),
                day: *day,
                bytes: records.map(|entry| entry.bytes.len() as u64).sum(),
            }
        })
        .collect()
    }

    fn belongs(&self, name: &str, wanted: &Owner) -> Result<(), JournalError> {
        match &self.owner {
            Some(found) if !found.fits(wanted) => Err(JournalError::Misplaced {
                file: name.into(),
                found: Box::new(*found),
                wanted: Box::new(*wanted),
            }),
            _ => Ok(()),
        }
    }
}

/// The logs of a system in memory; clones are the same logs.
#[derive(Debug, Clone, Default)]
pub struct MemoryLogs {
    all: Arc<Mutex<All>>,
}

#[derive(Debug, Default)]
struct All {
    logs: BTreeMap<String, Arc<MemoryLog>>,
    identity: Option<Vec<u8>>,
}

/// The name under which a log is kept: of the three kinds, none looks like another's.
fn key(name: LogName<'_>) -> String {
    match name {
        LogName::Market => MARKET.to_owned(),
        LogName::Journal(namespace) => format!("journal/{namespace}"),
        LogName::Letters(topic) => format!("dlq/{topic}"),
    }
}

impl MemoryLogs {
    /// Power is lost: what was not durable is gone, and writers of before are fenced off.
    pub fn lose(&self) {
        for log in lock(&self.all).logs.values() {
            let mut state = lock(&log.state);
            let kept = state.durable.saturating_sub(state.first) as usize;
            let kept = kept.min(state.entries.len());
            let lost = state.entries.split_off(kept);
            state.bytes -= size(&lost);
            let end = state.end();
            state.days.retain(|(first, _)| *first < end);
            state.epoch += 1;
        }
    }

    fn begun(&self, prefix: &str) -> Vec<String> {
        let all = lock(&self.all);
        let begun = all.logs.iter().filter_map(|(key, log)| {
            let name = key.strip_prefix(prefix)?;
            lock(&log.state).owner.is_some().then(|| name.to_owned())
        });
        begun.collect()
    }
}

impl Logs for MemoryLogs {
    fn log(&self, name: LogName<'_>) -> Arc<dyn Log> {
        let mut all = lock(&self.all);
        let log = all.logs.entry(key(name)).or_insert_with(|| {
            Arc::new(MemoryLog {
                name: match name {
                    LogName::Market => MARKET.to_owned(),
                    LogName::Journal(name) => name.to_owned(),
                    LogName::Letters(topic) => format!("{topic}.dlq"),
                },
                state: Arc::default(),
            })
        });
        Arc::clone(log) as Arc<dyn Log>
    }

    fn journals(&self) -> Result<Vec<String>, JournalError> {
        Ok(self.begun("journal/"))
    }

    fn letters(&self) -> Result<Vec<String>, JournalError> {
        Ok(self.begun("dlq/"))
    }

    fn identity(&self) -> Result<Option<Vec<u8>>, JournalError> {
        Ok(lock(&self.all).identity.clone())
    }

    fn set_identity(&self, bytes: &[u8]) -> Result<(), JournalError> {
        lock(&self.all).identity = Some(bytes.to_vec());
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryLog {
    name: String,
    state: Arc<Mutex<State>>,
}

impl Log for MemoryLog {
    fn name(&self) -> &str {
        &self.name
    }

    fn place(&self) -> String {
        format!("{} in memory", self.name)
    }

    fn open(&self, owner: &Owner) -> Result<(Box<dyn LogWriter>, Opened), JournalError> {
        let mut state = lock(&self.state);
        state.belongs(&self.name, owner)?;
        state.owner.get_or_insert(*owner);
        state.epoch += 1;
        // What is read here is relied on from now on.
        state.durable = state.end();
        let opened = Opened {
            first: Offset(state.first),
            end: Offset(state.end()),
            cut: None,
            damaged_snapshots: Vec::new(),
        };
        let writer = MemoryWriter {
            name: self.name.clone(),
            state: Arc::clone(&self.state),
            epoch: state.epoch,
            day: state.days.last().map_or(Date::default(), |(_, day)| *day),
            batch: Vec::new(),
            under_way: None,
            failed: None,
        };
        Ok((Box::new(writer), opened))
    }

    fn read(&self, from: Offset) -> Result<Box<dyn LogReader>, JournalError> {
        let first = lock(&self.state).first;
        if from > Offset::BEGINNING && from.0 < first {
            return Err(JournalError::Gone {
                place: self.place(),
                from,
                first: Offset(first),
            });
        }
        Ok(Box::new(MemoryReader {
            state: Arc::clone(&self.state),
            next: from.0,
            record: Arc::default(),
        }))
    }

    fn spans(&self) -> Result<Vec<Span>, JournalError> {
        Ok(lock(&self.state).spans())
    }

    fn is_fresh(&self) -> Result<bool, JournalError> {
        let state = lock(&self.state);
        Ok(state.end() == 0 && state.snapshots.is_empty())
    }

    fn owner(&self) -> Result<Option<Owner>, JournalError> {
        Ok(lock(&self.state).owner)
    }

    fn check(&self, owner: &Owner) -> Result<Verified, JournalError> {
        let state = lock(&self.state);
        state.belongs(&self.name, owner)?;
        let read = || state.entries.iter().filter(|entry| !entry.is_stale);
        Ok(Verified {
            records: read().count() as u64,
            batches: state.batches,
            bytes: read().map(|entry| entry.bytes.len() as u64).sum(),
            spans: state.spans(),
            end: Offset(state.end()),
            tail: None,
            damaged_snapshots: Vec::new(),
        })
    }

    fn snapshots(&self) -> &dyn Snapshots {
        self
    }
}

impl Snapshots for MemoryLog {
    fn list(&self) -> Result<Vec<Offset>, JournalError> {
        let state = lock(&self.state);
        Ok(state.snapshots.keys().copied().map(Offset).collect())
    }

    fn load(&self, at: Offset) -> Result<Option<Vec<u8>>, JournalError> {
        Ok(lock(&self.state).snapshots.get(&at.0).cloned())
    }
}

struct MemoryReader {
    state: Arc<Mutex<State>>,
    next: u64,
    record: Arc<[u8]>,
}

impl LogReader for MemoryReader {
    fn next(&mut self) -> Result<Option<(Offset, &[u8])>, JournalError> {
        let state = lock(&self.state);
        loop {
            let at = self.next.max(state.first);
            let Some(entry) = state.entries.get((at - state.first) as usize) else {
                return Ok(None);
            };
            self.next = at + 1;
            if !entry.is_stale {
                self.record = Arc::clone(&entry.bytes);
                return Ok(Some((Offset(at), &self.record)));
            }
        }
    }
}

struct MemoryWriter {
    name: String,
    state: Arc<Mutex<State>>,
    epoch: u64,
    day: Date,
    batch: Vec<Arc<[u8]>>,
    under_way: Option<Receiver<Result<(), JournalError>>>,
    failed: Option<JournalError>,
}

fn land(
    state: &Mutex<State>,
    name: &str,
    epoch: u64,
    day: Date,
    batch: Vec<Arc<[u8]>>,
    sync: bool,
) -> Result<(), JournalError> {
    let mut state = lock(state);
    let is_stale = epoch != state.epoch;
    if !batch.is_empty() {
        state.batches += 1;
        let end = state.end();
        if !is_stale && state.days.last().is_none_or(|(_, last)| *last != day) {
            state.days.push((end, day));
        }
    }
    let entry = |bytes| Entry { bytes, is_stale };
    let batch: VecDeque<Entry> = batch.into_iter().map(entry).collect();
    state.bytes += size(&batch);
    state.entries.extend(batch);
    if is_stale {
        return Err(JournalError::Fenced {
            place: name.to_owned(),
            epoch,
            newest: state.epoch,
        });
    }
    if sync {
        state.durable = state.end();
    }
    Ok(())
}

impl MemoryWriter {
    fn check(&self) -> Result<(), JournalError> {
        match &self.failed {
            None => Ok(()),
            Some(error) => Err(JournalError::Failed(Box::new(error.clone()))),
        }
    }

    fn note<T>(&mut self, result: Result<T, JournalError>) -> Result<T, JournalError> {
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result
    }

    /// The state, unless a newer writer has been opened.
    fn newest(&self) -> Result<MutexGuard<'_, State>, JournalError> {
        let state = lock(&self.state);
        if state.epoch == self.epoch {
            return Ok(state);
        }
        Err(JournalError::Fenced {
            place: self.name.clone(),
            epoch: self.epoch,
            newest: state.epoch,
        })
    }
}

impl LogWriter for MemoryWriter {
    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn append(&mut self, record: &[u8]) -> Result<(), JournalError> {
        self.check()?;
        if record.len() > RECORD_MAX {
            return Err(JournalError::TooLarge(record.len()));
        }
        self.batch.push(record.into());
        Ok(())
    }

    fn pending_bytes(&self) -> usize {
        self.batch.iter().map(|record| record.len()).sum()
    }

    fn submit(&mut self, sync: bool) -> Result<Option<Carriage>, JournalError> {
        let has_work = !self.batch.is_empty() || (sync && self.is_unsynced());
        if self.outcome(false)?.is_none() || !has_work {
            return Ok(None);
        }
        self.check()?;
        let (landed, under_way): (SyncSender<_>, _) = sync_channel(1);
        self.under_way = Some(under_way);
        let (state, name) = (Arc::clone(&self.state), self.name.clone());
        let (epoch, day, batch) = (self.epoch, self.day, take(&mut self.batch));
        Ok(Some(Carriage::new(move || {
            // A writer that is gone needs no word.
            let _ = landed.send(land(&state, &name, epoch, day, batch, sync));
        })))
    }

    fn outcome(&mut self, wait: bool) -> Result<Option<Offset>, JournalError> {
        let Some(under_way) = &self.under_way else {
            return Ok(Some(self.durable()));
        };
        let result = match landed(under_way, wait) {
            Err(TryRecvError::Empty) => return Ok(None),
            Err(TryRecvError::Disconnected) => Err(JournalError::Sync {
                path: self.name.clone().into(),
                why: "the thread that was to carry it has ended".to_owned(),
            }),
            Ok(result) => result,
        };
        self.under_way = None;
        self.note(result)?;
        Ok(Some(self.durable()))
    }

    fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    fn is_unsynced(&self) -> bool {
        let state = lock(&self.state);
        state.durable < state.end()
    }

    fn commit(&mut self) -> Result<Offset, JournalError> {
        self.outcome(true)?;
        self.check()?;
        let batch = take(&mut self.batch);
        let result = land(&self.state, &self.name, self.epoch, self.day, batch, true);
        self.note(result)?;
        Ok(self.durable())
    }

    fn durable(&self) -> Offset {
        Offset(lock(&self.state).durable)
    }

    fn may_act(&self, below: Offset) -> bool {
        self.failed.is_none() && self.newest().is_ok_and(|state| below.0 <= state.durable)
    }

    fn begin_in(&mut self, day: Date) {
        if self.day().is_none() {
            self.day = day;
        }
    }

    fn day(&self) -> Option<Date> {
        lock(&self.state).days.last().map(|(_, day)| *day)
    }

    fn roll(&mut self, day: Date) -> Result<(), JournalError> {
        self.commit()?;
        self.day = day;
        Ok(())
    }

    fn has_surplus(&self, today: Date, keep: &Retention) -> bool {
        surplus(&lock(&self.state).spans(), Offset::END, today, keep) > 0
    }

    fn retain(
        &mut self,
        floor: Offset,
        today: Date,
        keep: &Retention,
    ) -> Result<Vec<Span>, JournalError> {
        self.check()?;
        let mut state = self.newest()?;
        let mut removed = state.spans();
        removed.truncate(surplus(&removed, floor, today, keep));
        if let Some(last) = removed.last() {
            let count = (last.end.0 - state.first) as usize;
            let kept = state.entries.split_off(count);
            let gone = std::mem::replace(&mut state.entries, kept);
            state.bytes -= size(&gone);
            state.first = last.end.0;
            state.days.drain(..removed.len());
        }
        Ok(removed)
    }

    fn bytes(&self) -> u64 {
        lock(&self.state).bytes
    }

    fn save_snapshot(&mut self, payload: &[u8], keep: usize) -> Result<(), JournalError> {
        let mut state = self.newest()?;
        let at = state.durable;
        state.snapshots.insert(at, payload.to_vec());
        while state.snapshots.len() > keep.max(1) {
            state.snapshots.pop_first();
        }
        Ok(())
    }
}
