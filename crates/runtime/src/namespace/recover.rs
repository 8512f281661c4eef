//! Opening a namespace: the newest snapshot, what is recorded after it, then a new epoch.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal::record::{Entry, JournalRecord, JournalRecordRef, Run, Start, decode};
use journal::{Cut, Log, LogOptions, Position, Reader, Storage};
use model::order::OrderStatus;
use model::reindex;
use model::{InputId, Timestamp};
use pipeline::broker::PipelineState;
use pipeline::strategy_host::HostState;
use pipeline::{BrokerPipeline, Input};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use traders::Modification;

use super::{Namespace, NamespaceStats};
use crate::clock::{FeedClock, SessionClock};
use crate::desk::{Desk, DeskSettings};
use crate::error::RuntimeError;
use crate::market::Cursor;
use crate::tables::{self, SavedStart};

/// Snapshots kept.
pub const SNAPSHOTS: usize = 3;

/// What a namespace is opened with.
pub struct Recovery {
    /// Its index.
    pub index: usize,
    /// Where its journal and the market log are.
    pub storage: Arc<dyn Storage>,
    /// The journal's folder.
    pub journal: PathBuf,
    /// The market log's folder.
    pub market: PathBuf,
    /// A fresh composition.
    pub pipeline: BrokerPipeline,
    /// The new start; its epoch and salt are filled in here.
    pub start: Start,
    /// The session's clock.
    pub clock: Arc<dyn SessionClock>,
    /// How its outside trader is spoken to; the salt is filled in here.
    pub desk: Option<DeskSettings>,
    /// How the log is kept.
    pub options: LogOptions,
}

/// What was recovered.
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    /// True when there was nothing.
    pub fresh: bool,
    /// A tail that was not confirmed durable and did not survive.
    pub cut: Option<Cut>,
    /// Snapshots that are not whole and were passed over.
    pub damaged_snapshots: Vec<PathBuf>,
    /// Where the snapshot was.
    pub snapshot: Option<Position>,
    /// Why the newest snapshot was not used though it is whole: another build has written it, and the
    /// journal is read from its beginning.
    pub unread: Option<String>,
    /// Records read after it.
    pub records: u64,
    /// Market inputs observed again.
    pub inputs: u64,
    /// Market inputs that the journal refers to and the market log has lost: strategies are colder for
    /// them, nothing else.
    pub missing: Vec<(InputId, InputId)>,
    /// Strategies that start from warm-up, as they are new or defined anew.
    pub restarted: Vec<String>,
    /// Orders whose outcome was open.
    pub open_orders: usize,
}

/// The state of a namespace in a snapshot.
#[derive(Serialize, Deserialize)]
pub struct Saved {
    pipeline: PipelineState,
    step: u64,
    next: u64,
    market: Position,
}

/// Where the market log stood at a namespace's snapshot: recovery from it reads on from there.
pub fn market_position(name: &str, at: Position, payload: &[u8]) -> Result<Position, RuntimeError> {
    let wrong = |e: postcard::Error| {
        RuntimeError::state(
            name,
            format!("the snapshot at {at}: {e}: another build may have written it"),
        )
    };
    let head: SavedStart = postcard::from_bytes(payload).map_err(wrong)?;
    let saved: Saved = postcard::from_bytes(&head.state).map_err(wrong)?;
    Ok(saved.market)
}

impl Namespace {
    /// Opens it: recovery is the normal way to start.
    pub fn open(recovery: Recovery) -> Result<(Self, Recovered), RuntimeError> {
        let Recovery {
            index,
            storage,
            journal: dir,
            market: market_dir,
            pipeline,
            mut start,
            clock,
            desk,
            options,
        } = recovery;
        // In a replay the runner may be far ahead: what is due here depends on what was taken here.
        let clock = if clock.is_live() {
            clock
        } else {
            FeedClock::replay()
        };
        let name = pipeline.namespace().as_str().to_owned();
        let failed = |e| RuntimeError::journal(&name, e);
        let (log, opened) = Log::open(Arc::clone(&storage), &dir, options).map_err(failed)?;
        let mut recovered = Recovered {
            fresh: opened.end == opened.first && opened.cut.is_none(),
            cut: opened.cut,
            damaged_snapshots: opened.damaged_snapshots,
            ..Recovered::default()
        };
        start.epoch = log.generation();
        let mut this = Self {
            index,
            pipeline,
            log,
            start,
            clock,
            desk: None,
            tap: None,
            run: Vec::new(),
            out: Vec::new(),
            recorded: Vec::new(),
            untold: Vec::new(),
            reports: Vec::new(),
            foreign: Vec::new(),
            bytes: Vec::new(),
            step: 0,
            next: 0,
            market: Position(0),
            times: FxHashMap::default(),
            held: std::collections::BTreeMap::new(),
            passed: 0,
            unsaved: false,
            taken: std::collections::BTreeSet::new(),
            confirmed: None,
            conflating: false,
            keep_days: 0,
            stats: NamespaceStats::default(),
        };
        let mut from = opened.first;
        let mut latest = None;
        let fresh = this
            .pipeline
            .save_strategies()
            .map_err(|e| RuntimeError::state(&name, e.to_string()))?;
        let loaded = match this.load_snapshot(&storage, &dir, opened.end) {
            Err(error @ RuntimeError::State { .. }) if opened.first == Position(0) => {
                recovered.unread = Some(error.to_string());
                None
            }
            loaded => loaded?,
        };
        if let Some((at, old, saved)) = loaded {
            let unchanged = |strategy: &str| tables::unchanged(&old, &this.start, strategy);
            recovered.restarted = this
                .pipeline
                .restore_state(
                    saved.pipeline,
                    &tables::reindex(&old, &this.start),
                    unchanged,
                )
                .map_err(|e| RuntimeError::state(&name, e.to_string()))?;
            (this.step, this.next, this.market) = (saved.step, saved.next, saved.market);
            recovered.snapshot = Some(at);
            from = at;
            // What was decided in an earlier session keeps the identities that it had there.
            this.pipeline.set_source(old.source);
            latest = Some(old);
        } else if opened.first > Position(0) {
            return Err(RuntimeError::state(
                &name,
                format!(
                    "no snapshot in {} can be read, and the journal's beginning has been removed: restore a snapshot file from a backup",
                    dir.display()
                ),
            ));
        }
        let mut replay = Replay {
            cursor: Cursor::new(
                Arc::clone(&storage),
                market_dir,
                this.market,
                this.start.clone(),
                latest.as_ref(),
            ),
            recovered: &mut recovered,
            latest,
            fresh,
        };
        replay.run(&mut this, &storage, &dir, from, &name)?;
        let now = this.start.clone();
        replay.pass(&mut this, &now);
        if let Some(latest) = replay.latest {
            this.start.salt = latest.salt;
        }
        this.pipeline.set_source(this.start.source);
        this.pipeline.discard_decisions();
        this.begin(desk, &mut recovered)?;
        Ok((this, recovered))
    }

    fn load_snapshot(
        &self,
        storage: &Arc<dyn Storage>,
        dir: &Path,
        end: Position,
    ) -> Result<Option<(Position, Start, Saved)>, RuntimeError> {
        let found = journal::snapshot::load_newest(storage.as_ref(), dir, end)
            .map_err(|e| RuntimeError::journal(self.name(), e))?;
        let Some((at, payload)) = found else {
            return Ok(None);
        };
        let wrong = |e: postcard::Error| {
            let why = format!("the snapshot at {at}: {e}: another build may have written it");
            RuntimeError::state(self.name(), why)
        };
        let head: SavedStart = postcard::from_bytes(&payload).map_err(wrong)?;
        let map = Arc::new(tables::reindex(&head.start, &self.start));
        let saved =
            reindex::with(&map, || postcard::from_bytes::<Saved>(&head.state)).map_err(wrong)?;
        Ok(Some((at, head.start, saved)))
    }

    /// Everything is recovered: a new epoch begins.
    fn begin(
        &mut self,
        desk: Option<DeskSettings>,
        recovered: &mut Recovered,
    ) -> Result<(), RuntimeError> {
        let now = self.pipeline.now();
        if now > Timestamp::MIN {
            self.clock.reach(now);
        }
        // What was due by the input before the last was recorded before the last; the last itself may
        // not have been passed.
        self.passed = self.next.saturating_sub(1);
        self.bytes.clear();
        journal::record::encode(&JournalRecordRef::Start(&self.start), &mut self.bytes)
            .map_err(|e| RuntimeError::record(self.name(), e))?;
        self.log
            .append(&self.bytes)
            .and_then(|_| self.log.commit())
            .map_err(|e| RuntimeError::journal(self.pipeline.namespace().as_str(), e))?;
        let Some(settings) = desk else {
            return Ok(());
        };
        let mut desk = Desk::new(DeskSettings {
            salt: self.start.salt,
            ..settings
        });
        let now = self.now();
        for id in self.pipeline.engine().ended_ids() {
            desk.remember(id);
        }
        for id in self.pipeline.engine().working_ids() {
            let Some(working) = self.pipeline.engine().working(id) else {
                continue;
            };
            let order = &working.order;
            let wanted = working.requested();
            let modify = (wanted != order.quantity()).then_some(Modification {
                quantity: wanted,
                limit_price: None,
                trigger_price: None,
            });
            if matches!(
                order.status(),
                OrderStatus::Submitted | OrderStatus::Unknown
            ) {
                recovered.open_orders += 1;
            }
            desk.recover(order, modify, now);
        }
        for parked in self.pipeline.engine().parked() {
            if !parked.confirmed
                && let Some(order) = self.pipeline.engine().order(parked.order)
            {
                desk.verify(order, now);
            }
        }
        self.desk = Some(desk);
        Ok(())
    }

    /// Saves the state, once all of it is durable.
    pub fn snapshot(&mut self, storage: &dyn Storage, dir: &Path) -> Result<(), RuntimeError> {
        self.commit()?;
        let name = self.name().to_owned();
        let wrong = |e: String| RuntimeError::state(&name, e);
        let saved = Saved {
            pipeline: self
                .pipeline
                .save_state()
                .map_err(|e| wrong(e.to_string()))?,
            step: self.step,
            next: self.next,
            market: self.market,
        };
        let head = SavedStart {
            start: self.start.clone(),
            state: postcard::to_stdvec(&saved).map_err(|e| wrong(e.to_string()))?,
        };
        let payload = postcard::to_stdvec(&head).map_err(|e| wrong(e.to_string()))?;
        // All is committed: what comes later stands behind this position, wherever it begins.
        journal::snapshot::save(
            storage,
            dir,
            self.log.durable(),
            self.log.owner(),
            &payload,
            SNAPSHOTS,
        )
        .map_err(|e| RuntimeError::journal(&name, e))
    }
}

/// Reads what was recorded into a pipeline.
struct Replay<'a> {
    cursor: Cursor,
    recovered: &'a mut Recovered,
    latest: Option<Start>,
    /// The strategies as they were built.
    fresh: HostState,
}

impl Replay<'_> {
    /// A start is passed: strategies that are defined otherwise from it on begin anew there, as they
    /// did when it happened.
    fn pass(&mut self, namespace: &mut Namespace, start: &Start) {
        if let Some(before) = &self.latest {
            let changed = |name: &str| !tables::unchanged(before, start, name);
            for name in namespace.pipeline.begin_anew(&self.fresh, changed) {
                if !self.recovered.restarted.contains(&name) {
                    self.recovered.restarted.push(name);
                }
            }
        }
        namespace.pipeline.set_source(start.source);
    }

    fn run(
        &mut self,
        namespace: &mut Namespace,
        storage: &Arc<dyn Storage>,
        dir: &Path,
        from: Position,
        name: &str,
    ) -> Result<(), RuntimeError> {
        let failed = |e| RuntimeError::journal(name, e);
        let mut reader = Reader::open(Arc::clone(storage), dir, from).map_err(failed)?;
        let mut map = self
            .latest
            .as_ref()
            .map(|old| Arc::new(tables::reindex(old, &namespace.start)));
        while let Some((_, bytes)) = reader.next().map_err(failed)? {
            let record = match &map {
                Some(map) if !tables::is_start(bytes) => {
                    reindex::with(map, || decode::<JournalRecord>(bytes))
                }
                _ => decode(bytes),
            };
            match record.map_err(|e| RuntimeError::record(name, e))? {
                JournalRecord::Start(start) => {
                    map = Some(Arc::new(tables::reindex(&start, &namespace.start)));
                    self.pass(namespace, &start);
                    self.latest = Some(start);
                }
                JournalRecord::Run(run) => self.take(namespace, &run)?,
                JournalRecord::Stop { .. } => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, namespace: &mut Namespace, run: &Run) -> Result<(), RuntimeError> {
        self.recovered.records += 1;
        for entry in &run.inputs {
            match entry {
                Entry::Market { first, last } => {
                    let pipeline = &mut namespace.pipeline;
                    let mut seen = 0;
                    let missing = self.cursor.range(*first, *last, |id, item| {
                        pipeline.observe(&Input::Market(id, &item.data()));
                        pipeline.discard_decisions();
                        seen += 1;
                    })?;
                    self.recovered.inputs += seen;
                    self.recovered.missing.extend(missing);
                    namespace.next = namespace.next.max(last.0 + 1);
                }
                Entry::Full(id, item) => {
                    namespace
                        .pipeline
                        .observe(&Input::Market(*id, &item.data()));
                    self.recovered.inputs += 1;
                    namespace.next = namespace.next.max(id.0 + 1);
                }
                Entry::Conflated { last, .. } => {
                    namespace.next = namespace.next.max(last.0 + 1);
                }
                Entry::Clock(id, due) => namespace.pipeline.observe(&Input::Clock(*id, *due)),
                Entry::TimersMissed(until) => {
                    namespace.pipeline.observe(&Input::TimersMissed(*until));
                }
                Entry::Signal(signal) => namespace.pipeline.observe(&Input::Signal(signal)),
                Entry::Report(report) => namespace.pipeline.observe(&Input::Report(report)),
                Entry::Command(ts, command) => {
                    namespace.pipeline.observe(&Input::Command(*ts, command));
                }
            }
            namespace.pipeline.discard_decisions();
        }
        for event in &run.outputs {
            namespace.pipeline.apply(event);
        }
        namespace.pipeline.discard_decisions();
        namespace.step = namespace.step.max(run.step + 1);
        Ok(())
    }
}
