//! Opening a namespace: the newest snapshot, what is recorded after it, then a new epoch.

use std::sync::Arc;

use journal::record::{JournalRecordRef, Start};
use journal::{Cut, Log, Offset, Owner};
use model::order::OrderStatus;
use model::{Date, InputId, Timestamp};
use pipeline::BrokerPipeline;
use rustc_hash::FxHashMap;
use traders::Modification;

use super::rebuild::{Recorded, Saved, rebuild};
use super::{Marks, Namespace, NamespaceStats, Untold};
use crate::clock::{FeedClock, SessionClock};
use crate::desk::{Desk, DeskSettings};
use crate::error::RuntimeError;
use crate::tables::SavedStart;

/// Snapshots kept.
pub const SNAPSHOTS: usize = 3;

/// What a namespace is opened with.
pub struct Recovery {
    /// Its index.
    pub index: usize,
    /// Its journal.
    pub journal: Arc<dyn Log>,
    /// Whose the journal is.
    pub owner: Owner,
    /// The trading day that a journal without records begins in.
    pub first_day: Date,
    /// The market log.
    pub market: Arc<dyn Log>,
    /// A fresh composition.
    pub pipeline: BrokerPipeline,
    /// The new start; its epoch and salt are filled in here.
    pub start: Start,
    /// The session's clock.
    pub clock: Arc<dyn SessionClock>,
    /// How its outside trader is spoken to; the salt is filled in here.
    pub desk: Option<DeskSettings>,
}

/// What was recovered.
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    /// True when there was nothing.
    pub fresh: bool,
    /// A tail that was not confirmed durable and did not survive.
    pub cut: Option<Cut>,
    /// Snapshots that are not whole and were passed over.
    pub damaged_snapshots: Vec<String>,
    /// Where the snapshot was.
    pub snapshot: Option<Offset>,
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

impl Namespace {
    /// Opens it: recovery is the normal way to start.
    pub fn open(recovery: Recovery) -> Result<(Self, Recovered), RuntimeError> {
        let Recovery {
            index,
            journal,
            owner,
            first_day,
            market,
            pipeline,
            mut start,
            clock,
            desk,
        } = recovery;
        // In a replay the runner may be far ahead: what is due here depends on what was taken here.
        let clock = if clock.is_live() {
            clock
        } else {
            FeedClock::replay()
        };
        let name = pipeline.namespace().as_str().to_owned();
        let failed = |e| RuntimeError::journal(&name, e);
        let (mut log, opened) = journal.open(&owner).map_err(failed)?;
        log.begin_in(first_day);
        let mut recovered = Recovered {
            fresh: opened.end == opened.first && opened.cut.is_none(),
            cut: opened.cut,
            damaged_snapshots: opened.damaged_snapshots,
            ..Recovered::default()
        };
        start.epoch = log.epoch();
        let from = Recorded {
            journal: journal.as_ref(),
            market,
            first: opened.first,
            end: opened.end,
        };
        let rebuilt = rebuild(from, pipeline, &start, &mut recovered)?;
        if let Some(latest) = rebuilt.latest {
            start.salt = latest.salt;
        }
        let mut this = Self {
            index,
            pipeline: rebuilt.pipeline,
            log,
            journal,
            start,
            clock,
            desk: None,
            tap: None,
            run: Vec::new(),
            out: Vec::new(),
            recorded: Vec::new(),
            places: Vec::new(),
            keyed: rebuilt.keyed,
            marks: Marks::default(),
            untold: Untold::default(),
            reports: Vec::new(),
            foreign: Vec::new(),
            bytes: Vec::new(),
            step: rebuilt.step,
            next: rebuilt.next,
            market: rebuilt.market,
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
        this.begin(desk, &mut recovered)?;
        Ok((this, recovered))
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
        JournalRecordRef::Start(&self.start)
            .encode(&mut self.bytes)
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
    pub fn snapshot(&mut self) -> Result<(), RuntimeError> {
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
            keyed: self.keyed.clone(),
        };
        let payload = SavedStart::write(&self.start, wire::roots::NAMESPACE_STATE, &saved)
            .map_err(|e| RuntimeError::record(&name, e))?;
        // All is committed: what comes later stands behind this offset, wherever it begins.
        self.log
            .save_snapshot(&payload, SNAPSHOTS)
            .map_err(|e| RuntimeError::journal(&name, e))
    }
}
