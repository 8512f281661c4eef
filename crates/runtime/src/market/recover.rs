//! Opening the market log: the newest snapshot of the runner that fits, its inputs after it, then a new
//! epoch. Inputs that are run again give the same signals again: the namespaces drop those they have.

use std::sync::Arc;

use journal::record::{MarketRecord, Start, Ticks, decode_with};
use journal::{Cut, Log, LogWriter, Offset, Opened, Retention};
use model::{StrategyIdx, Timestamp};
use pipeline::strategy_host::HostState;
use pipeline::{BrokerMask, Runner, RunnerInput, RunnerOutput};
use serde::{Deserialize, Serialize};

use super::{MarketHost, MarketStats};
use crate::clock::SessionClock;
use crate::error::RuntimeError;
use crate::namespace::SNAPSHOTS;
use crate::packet::{Packet, Step};
use crate::tables::{self, SavedStart};

/// Inputs that are run again are handed on in packets of so many steps.
const PACKET: usize = 1024;

/// What the market host is opened with.
pub struct MarketRecovery {
    /// The market log.
    pub log: Arc<dyn Log>,
    /// A fresh composition.
    pub runner: Runner,
    /// The new start; its epoch and salt are filled in here.
    pub start: Start,
    /// The session's clock.
    pub clock: Arc<dyn SessionClock>,
    /// The number of the next market input of every namespace that takes part.
    pub namespaces: Vec<u64>,
    /// Strategies that are not called, whatever the log says: one of them did not return before, and
    /// the input that it hung on may be in the log.
    pub disabled: Vec<StrategyIdx>,
}

/// What was recovered.
#[derive(Debug, Clone, Default)]
pub struct MarketRecovered {
    /// True when there was nothing.
    pub fresh: bool,
    /// A tail that was not confirmed durable and did not survive.
    pub cut: Option<Cut>,
    /// Snapshots that are not whole and were passed over.
    pub damaged_snapshots: Vec<String>,
    /// Where the snapshot was.
    pub snapshot: Option<Offset>,
    /// Why the newest snapshot was not used though it is whole: another build has written it, and the
    /// log is read from its beginning.
    pub unread: Option<String>,
    /// Market inputs that strategies were run over again.
    pub inputs: u64,
    /// Strategies that start from warm-up, as they are new or defined anew.
    pub restarted: Vec<String>,
    /// The greatest stamp.
    pub latest: Timestamp,
}

/// The state of the runner in a snapshot.
#[derive(Serialize, Deserialize)]
struct Saved {
    runner: HostState,
    next: u64,
    latest: Timestamp,
    /// Everything before it was durable in every namespace.
    drained: bool,
}

/// What is run again of one earlier start.
struct Epoch {
    start: Option<Start>,
    /// Its tables are those of now.
    same_tables: bool,
    /// Strategies that are defined otherwise now: what they would have decided then they did not
    /// decide, and it has the identities of what they did.
    changed: Vec<StrategyIdx>,
}

impl Epoch {
    fn new(start: Option<Start>, now: &Start) -> Self {
        let changed = start.iter().flat_map(|start| {
            now.strategies
                .iter()
                .enumerate()
                .filter(|(_, s)| !tables::unchanged(start, now, &s.name))
                .map(|(at, _)| StrategyIdx(at as u32))
        });
        Self {
            changed: changed.collect(),
            same_tables: start
                .as_ref()
                .is_some_and(|start| tables::reindex(start, now).is_identity()),
            start,
        }
    }

    /// Where a namespace that takes this may read on after a restart: its snapshot holds the tables of
    /// now, so under others it reads from the log's beginning, which names its own.
    const fn position(&self, position: Offset) -> Offset {
        if self.same_tables {
            position
        } else {
            Offset::BEGINNING
        }
    }

    /// Its end: strategies that are defined otherwise from `next` on begin anew there.
    fn pass(
        &self,
        runner: &mut Runner,
        fresh: &HostState,
        next: &Start,
        recovered: &mut MarketRecovered,
    ) {
        if let Some(before) = &self.start {
            let changed = |name: &str| !tables::unchanged(before, next, name);
            for name in runner.begin_anew(fresh, changed) {
                if !recovered.restarted.contains(&name) {
                    recovered.restarted.push(name);
                }
            }
        }
        // The same signals again have the same identities again.
        runner.set_source(next.source);
    }
}

impl MarketHost {
    /// Recovers it with the writer of its log, which was opened, and so proven, before anything else was begun.
    /// `deliver` takes packets of the steps that are run again.
    pub fn open(
        (writer, opened): (Box<dyn LogWriter>, Opened),
        recovery: MarketRecovery,
        deliver: &mut dyn FnMut(Packet) -> Result<(), RuntimeError>,
    ) -> Result<(Self, MarketRecovered), RuntimeError> {
        let MarketRecovery {
            log,
            runner,
            start,
            clock,
            namespaces,
            disabled,
        } = recovery;
        let mut recovered = MarketRecovered {
            fresh: opened.end == opened.first && opened.cut.is_none(),
            cut: opened.cut,
            damaged_snapshots: opened.damaged_snapshots,
            ..MarketRecovered::default()
        };
        let mut this = Self {
            runner,
            log: writer,
            market: Arc::clone(&log),
            start,
            clock,
            outputs: Vec::new(),
            bytes: Vec::new(),
            ticks: Ticks::default(),
            next: 0,
            latest: Timestamp::MIN,
            failed: None,
            keep: Retention::default(),
            stats: MarketStats::default(),
        };
        this.start.epoch = this.log.epoch();
        let fresh = this
            .runner
            .save_state()
            .map_err(|e| RuntimeError::state("market", e.to_string()))?;
        let mut from = opened.first;
        let mut old = None;
        let loaded = match this.load(log.as_ref(), opened.end, &namespaces) {
            Err(error @ RuntimeError::State { .. }) if opened.first == Offset::BEGINNING => {
                recovered.unread = Some(error.to_string());
                None
            }
            loaded => loaded?,
        };
        if let Some((at, start, saved)) = loaded {
            let unchanged = |name: &str| tables::unchanged(&start, &this.start, name);
            recovered.restarted = this.runner.restore_state(&saved.runner, unchanged);
            (this.next, this.latest) = (saved.next, saved.latest);
            recovered.snapshot = Some(at);
            this.runner.set_source(start.source);
            (from, old) = (at, Some(start));
        }
        this.disable(&disabled);
        this.run_again(
            log.as_ref(),
            from,
            old,
            &namespaces,
            &fresh,
            &disabled,
            &mut recovered,
            deliver,
        )?;
        // A live session never uses a number twice, also where the log's tail is lost: the namespaces
        // have taken inputs below `most`, and signals of timers, which bear the number of the input to
        // come.
        if this.clock.is_live()
            && let Some(most) = namespaces.iter().copied().max()
            && this.next <= most
            && most > 0
        {
            this.next = most + 1;
        }
        recovered.latest = this.latest;
        if this.latest > Timestamp::MIN {
            this.clock.reach(this.latest);
        }
        this.record(&MarketRecord::Start(this.start.clone()));
        if this.clock.is_live() {
            this.miss_timers(this.clock.now());
        }
        this.commit();
        if let Some(why) = this.failed {
            return Err(RuntimeError::state("market", why));
        }
        Ok((this, recovered))
    }

    /// The newest snapshot that every namespace has passed.
    fn load(
        &self,
        log: &dyn Log,
        end: Offset,
        namespaces: &[u64],
    ) -> Result<Option<(Offset, Start, Saved)>, RuntimeError> {
        let failed = |e| RuntimeError::journal("market", e);
        let all = log.snapshots().list().map_err(failed)?;
        for at in all.into_iter().rev().filter(|at| *at <= end) {
            let Some(payload) = log.snapshots().load(at).map_err(failed)? else {
                continue;
            };
            let head = SavedStart::read("market", at, &payload)?;
            let map = tables::reindex(&head.start, &self.start);
            let saved: Saved = head.state("market", at, wire::roots::RUNNER_STATE, Some(&map))?;
            // What a namespace has taken of input n came after all signals of the inputs before n.
            let passed = namespaces
                .iter()
                .all(|next| *next > saved.next || (saved.drained && *next == saved.next));
            if passed {
                return Ok(Some((at, head.start, saved)));
            }
        }
        Ok(None)
    }

    #[allow(clippy::too_many_arguments, reason = "one caller")]
    fn run_again(
        &mut self,
        log: &dyn Log,
        from: Offset,
        old: Option<Start>,
        namespaces: &[u64],
        fresh: &HostState,
        disabled: &[StrategyIdx],
        recovered: &mut MarketRecovered,
        deliver: &mut dyn FnMut(Packet) -> Result<(), RuntimeError>,
    ) -> Result<(), RuntimeError> {
        let failed = |e| RuntimeError::journal("market", e);
        // From the one that was taken last: in lockstep the broker may not have passed it.
        let floor = namespaces
            .iter()
            .copied()
            .min()
            .unwrap_or(0)
            .saturating_sub(1);
        // The namespaces that may not have taken what followed from an input.
        let behind = |next: u64| {
            namespaces
                .iter()
                .enumerate()
                .filter(|(_, n)| **n <= next)
                .fold(BrokerMask::default(), |mask, (at, _)| mask.with(at))
        };
        let mut reader = log.read(from).map_err(failed)?;
        let mut map = old.as_ref().map(|old| tables::reindex(old, &self.start));
        let mut epoch = Epoch::new(old, &self.start);
        let mut packet = Packet {
            steps: Vec::new(),
            position: epoch.position(from),
            received: 0,
        };
        while let Some((position, bytes)) = reader.next().map_err(failed)? {
            let record = decode_with::<MarketRecord>(bytes, map.as_ref());
            match record.map_err(|e| RuntimeError::record("market", e))? {
                MarketRecord::Start(start) => {
                    map = Some(tables::reindex(&start, &self.start));
                    self.start.salt = start.salt;
                    epoch.pass(&mut self.runner, fresh, &start, recovered);
                    self.disable(disabled);
                    epoch = Epoch::new(Some(start), &self.start);
                }
                record @ (MarketRecord::Market(..) | MarketRecord::Ticks(_)) => {
                    for (id, item) in record.into_inputs() {
                        let data = item.data();
                        self.latest = self.latest.max(data.ts());
                        if id.0 >= floor {
                            packet.steps.push(Step::Market(id, item));
                        }
                        self.runner
                            .step(&RunnerInput::Market(id, &data), &mut self.outputs);
                        self.again(data.ts(), &epoch, behind(id.0 + 1), &mut packet);
                        self.next = id.0 + 1;
                        recovered.inputs += 1;
                    }
                }
                MarketRecord::Clock(id, due) => {
                    self.runner
                        .step(&RunnerInput::Clock(id, due), &mut self.outputs);
                    self.again(due, &epoch, behind(id.0), &mut packet);
                }
                MarketRecord::TimersMissed(until) => {
                    self.runner.observe(&RunnerInput::TimersMissed(until));
                }
                MarketRecord::Switch {
                    strategy, enabled, ..
                } => {
                    self.runner
                        .step(&RunnerInput::Switch(strategy, enabled), &mut self.outputs);
                    self.disable(disabled);
                    self.again(self.latest, &epoch, BrokerMask::default(), &mut packet);
                }
                MarketRecord::Stop { .. } => {}
            }
            if packet.steps.len() >= PACKET {
                let next = Packet {
                    steps: Vec::with_capacity(PACKET),
                    position: epoch.position(position),
                    received: 0,
                };
                deliver(std::mem::replace(&mut packet, next))?;
            }
        }
        if !packet.steps.is_empty() {
            deliver(packet)?;
        }
        epoch.pass(&mut self.runner, fresh, &self.start, recovered);
        Ok(())
    }

    fn disable(&mut self, strategies: &[StrategyIdx]) {
        for strategy in strategies {
            self.runner.observe(&RunnerInput::Switch(*strategy, false));
        }
    }

    /// Passes on what an input that is run again causes. Nothing of it is recorded again.
    /// That a strategy failed is told to the namespaces in `behind` only: the others have it, and an
    /// operator may have let it trade again since.
    fn again(&mut self, ts: Timestamp, epoch: &Epoch, behind: BrokerMask, packet: &mut Packet) {
        self.outputs.retain_mut(|output| match output {
            RunnerOutput::Signal(signal, _) => !epoch.changed.contains(&signal.strategy),
            RunnerOutput::StrategyDisabled(strategy, _, brokers, _) => {
                brokers.0 &= behind.0;
                *brokers != BrokerMask::default() && !epoch.changed.contains(strategy)
            }
        });
        if self.outputs.is_empty() {
            return;
        }
        let failed = self.failed.replace(String::new());
        self.deliver(ts, packet);
        self.failed = failed;
    }

    /// Saves the runner's state. `drained` says that every namespace has made durable all that came
    /// before.
    pub fn snapshot(&mut self, drained: bool) -> Result<(), RuntimeError> {
        self.commit();
        if let Some(why) = &self.failed {
            return Err(RuntimeError::state("market", why.clone()));
        }
        let wrong = |e: String| RuntimeError::state("market", e);
        let saved = Saved {
            runner: self.runner.save_state().map_err(|e| wrong(e.to_string()))?,
            next: self.next,
            latest: self.latest,
            drained,
        };
        let payload = SavedStart::write(&self.start, wire::roots::RUNNER_STATE, &saved)
            .map_err(|e| RuntimeError::record("market", e))?;
        // All is committed: what comes later stands behind this offset, wherever it begins.
        self.log
            .save_snapshot(&payload, SNAPSHOTS)
            .map_err(|e| RuntimeError::journal("market", e))
    }
}
