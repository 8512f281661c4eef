//! The runner and its log, as one state machine over durable storage: market inputs and timers in, each
//! written to the market log, packets of inputs and signals out for the namespaces.

mod cursor;
mod recover;

use std::convert::Infallible;
use std::sync::Arc;

use feeds::live::{Batch, Item};
use journal::record::{MarketItem, MarketRecord, Start, TICKS_MAX, Ticks};
use journal::{Carriage, Log, LogWriter, Retention};
use model::control::{Command, CommandAction};
use model::ids::CommandId;
use model::reason::Reason;
use model::{InputId, StrategyIdx, Timestamp};
use pipeline::{Runner, RunnerInput, RunnerOutput, fire_due};

use crate::clock::SessionClock;
use crate::error::RuntimeError;
use crate::packet::{Packet, Step};

pub use cursor::Cursor;
pub use recover::{MarketRecovered, MarketRecovery};

/// A live timer that is later than this was missed: the system was suspended, or the clock was set
/// forward.
pub const TIMER_LATE_MAX: i64 = 10 * model::time::SECOND;

/// What the market host has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MarketStats {
    /// Market inputs taken.
    pub inputs: u64,
    /// Signals made.
    pub signals: u64,
    /// Commits with something in them.
    pub commits: u64,
}

/// The state machine.
pub struct MarketHost {
    runner: Runner,
    log: Box<dyn LogWriter>,
    market: Arc<dyn Log>,
    start: Start,
    clock: Arc<dyn SessionClock>,
    outputs: Vec<RunnerOutput>,
    bytes: Vec<u8>,
    /// Ticks that are not in the log yet.
    ticks: Ticks,
    /// The number of the next market input.
    next: u64,
    /// The greatest stamp so far.
    latest: Timestamp,
    /// Why the log takes nothing any more; the market goes on without it.
    failed: Option<String>,
    keep: Retention,
    stats: MarketStats,
}

impl MarketHost {
    /// The runner.
    pub const fn runner(&self) -> &Runner {
        &self.runner
    }
    /// The runner, for a host that sets a probe.
    pub const fn runner_mut(&mut self) -> &mut Runner {
        &mut self.runner
    }
    /// The number of the next market input.
    pub const fn next_input(&self) -> u64 {
        self.next
    }
    /// The greatest stamp so far.
    pub const fn latest(&self) -> Timestamp {
        self.latest
    }
    /// The market log.
    pub fn log(&self) -> &dyn LogWriter {
        self.log.as_ref()
    }
    /// How much of its log is kept: at first all.
    pub const fn keep(&mut self, keep: Retention) {
        self.keep = keep;
    }
    pub(crate) const fn kept(&self) -> Retention {
        self.keep
    }
    pub(crate) fn market_log(&self) -> &dyn Log {
        self.market.as_ref()
    }
    pub(crate) fn fail(&mut self, error: &RuntimeError) {
        self.failed = Some(error.to_string());
    }
    pub(crate) fn log_parts(&mut self) -> (&mut dyn LogWriter, &Start, &mut Vec<u8>) {
        self.record_ticks();
        (self.log.as_mut(), &self.start, &mut self.bytes)
    }
    /// What has been counted.
    pub const fn stats(&self) -> &MarketStats {
        &self.stats
    }
    /// Why the market log takes nothing any more. Entries are stopped everywhere then; exits go on.
    pub fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Takes what a feed delivered, and appends to `packet` what the namespaces are to take. In a
    /// replay an input keeps its number; live inputs are numbered and stamped here.
    pub fn take(&mut self, batch: &Batch, packet: &mut Packet) {
        let live = self.clock.is_live();
        for item in &batch.items {
            let (number, mut item) = match item {
                Item::Tick {
                    number,
                    tick,
                    depth,
                } => {
                    let depth = depth.and_then(|d| batch.depths.get(d as usize));
                    let item = match depth {
                        None => MarketItem::Tick(*tick),
                        Some(depth) => MarketItem::Deep(*tick, *depth),
                    };
                    (*number, item)
                }
                Item::Bar { number, bar } => (*number, MarketItem::Bar(*bar)),
            };
            let id = if live {
                // Two feeds' stamps may cross: the session's time does not go back.
                if let MarketItem::Tick(tick) | MarketItem::Deep(tick, _) = &mut item {
                    tick.ts = tick.ts.max(self.latest);
                }
                InputId(self.next)
            } else {
                if number < self.next {
                    continue;
                }
                InputId(number)
            };
            self.market(id, &item, packet);
        }
    }

    fn market(&mut self, id: InputId, item: &MarketItem, packet: &mut Packet) {
        let data = item.data();
        self.latest = self.latest.max(data.ts());
        if !self.clock.is_live() {
            self.clock.reach(data.ts());
        }
        self.advance(id, data.ts(), packet);
        self.record_input(id, item);
        packet.steps.push(Step::Market(id, *item));
        self.runner
            .step(&RunnerInput::Market(id, &data), &mut self.outputs);
        if !self.outputs.is_empty() {
            self.deliver(data.ts(), packet);
        }
        self.next = id.0 + 1;
        self.stats.inputs += 1;
    }

    /// Fires every timer of the runner that is due by `at`: a live host's idle moment.
    pub fn idle(&mut self, at: Timestamp, packet: &mut Packet) {
        self.advance(InputId(self.next), at, packet);
    }

    /// The replay is over at `at`.
    pub fn end(&mut self, at: Timestamp, packet: &mut Packet) {
        let id = InputId(self.next);
        self.clock.reach(at);
        self.advance(id, at, packet);
        packet.steps.push(Step::End(id, at));
    }

    fn advance(&mut self, id: InputId, ts: Timestamp, packet: &mut Packet) {
        let due = self.runner.next_due();
        if due > Timestamp::MIN && due <= ts && self.clock.is_live() {
            // The machine was suspended, or its clock was set forward.
            let now = self.clock.now();
            if now.since(due) > TIMER_LATE_MAX {
                self.miss_timers(now);
            }
        }
        let next_due = |this: &Self| this.runner.next_due();
        let Ok(()) = fire_due(self, ts, next_due, |this, due| {
            this.record(&MarketRecord::Clock(id, due));
            let input = RunnerInput::Clock(id, due);
            this.runner.step(&input, &mut this.outputs);
            this.deliver(due, packet);
            Ok::<(), Infallible>(())
        });
    }

    /// The session was off until `until`: records that the timers of the time between were missed, where
    /// a strategy skips those.
    fn miss_timers(&mut self, until: Timestamp) {
        if self.runner.host().misses_timers(until) {
            self.record(&MarketRecord::TimersMissed(until));
            self.runner.observe(&RunnerInput::TimersMissed(until));
        }
    }

    /// A shared strategy is enabled or disabled, by an operator or by the host that measures its time.
    pub fn switch(&mut self, strategy: StrategyIdx, enabled: bool, reason: Reason, ts: Timestamp) {
        self.record(&MarketRecord::Switch {
            input: InputId(self.next),
            strategy,
            enabled,
            reason,
            ts,
        });
        self.runner
            .step(&RunnerInput::Switch(strategy, enabled), &mut self.outputs);
        self.outputs.clear();
    }

    fn deliver(&mut self, ts: Timestamp, packet: &mut Packet) {
        let mut outputs = std::mem::take(&mut self.outputs);
        for output in outputs.drain(..) {
            match output {
                RunnerOutput::Signal(signal, brokers) => {
                    self.stats.signals += 1;
                    packet.steps.push(Step::Signal(signal, brokers));
                }
                RunnerOutput::StrategyDisabled(strategy, reason, brokers, name) => {
                    self.record(&MarketRecord::Switch {
                        input: InputId(self.next),
                        strategy,
                        enabled: false,
                        reason,
                        ts,
                    });
                    let command = Command::of_system(
                        CommandId::of_failure(name, ts.nanos()),
                        CommandAction::DisableStrategy(strategy, reason),
                    );
                    packet.steps.push(Step::Command(ts, command, brokers));
                }
            }
        }
        self.outputs = outputs;
    }

    /// Ticks wait until they make a record together.
    fn record_input(&mut self, id: InputId, item: &MarketItem) {
        if self.failed.is_some() {
            return;
        }
        if matches!(item, MarketItem::Bar(_)) {
            self.record(&MarketRecord::Market(id, *item));
            return;
        }
        let waiting = &self.ticks;
        if id.0 != waiting.first.0 + waiting.items.len() as u64 || waiting.items.len() >= TICKS_MAX
        {
            self.record_ticks();
            self.ticks.first = id;
        }
        self.ticks.items.push(*item);
    }

    /// The ticks that wait become a record.
    pub(crate) fn record_ticks(&mut self) {
        if self.ticks.items.is_empty() {
            return;
        }
        let record = MarketRecord::Ticks(std::mem::take(&mut self.ticks));
        self.append(&record);
        // The buffer is used again.
        if let MarketRecord::Ticks(mut ticks) = record {
            ticks.first = InputId(ticks.last().0 + 1);
            ticks.items.clear();
            self.ticks = ticks;
        }
    }

    fn record(&mut self, record: &MarketRecord) {
        self.record_ticks();
        self.append(record);
    }

    fn append(&mut self, record: &MarketRecord) {
        if self.failed.is_some() {
            return;
        }
        self.bytes.clear();
        let result = record
            .encode(&mut self.bytes)
            .map_err(|e| RuntimeError::record("market", e))
            .and_then(|()| {
                self.log
                    .append(&self.bytes)
                    .map_err(|e| RuntimeError::journal("market", e))
            });
        if let Err(error) = result {
            self.failed = Some(error.to_string());
        }
    }

    /// Makes everything so far durable. A failure is kept: the market goes on without its log.
    pub fn commit(&mut self) {
        self.record_ticks();
        if self.failed.is_some() {
            return;
        }
        let waits = self.log.pending_bytes() > 0;
        match self.log.commit() {
            Ok(_) => self.stats.commits += u64::from(waits),
            Err(error) => self.failed = Some(RuntimeError::journal("market", error).to_string()),
        }
    }

    /// As [`commit`](Self::commit), but on another thread: what it gives must be carried there. Without `sync` it is
    /// safe from the end of the process alone. `None` where nothing waits, and while a batch is on its way.
    pub fn submit(&mut self, sync: bool) -> Option<Carriage> {
        self.record_ticks();
        if self.failed.is_some() {
            return None;
        }
        match self.log.submit(sync) {
            Ok(carriage) => {
                self.stats.commits += u64::from(self.log.is_under_way());
                carriage
            }
            Err(error) => {
                self.failed = Some(RuntimeError::journal("market", error).to_string());
                None
            }
        }
    }

    /// Takes in what has come of a batch that is on its way. True when none is any more.
    pub fn land(&mut self) -> bool {
        match self.log.outcome(false) {
            Ok(outcome) => outcome.is_some(),
            Err(error) => {
                if self.failed.is_none() {
                    self.failed = Some(RuntimeError::journal("market", error).to_string());
                }
                true
            }
        }
    }

    /// True while anything waits to be made durable.
    pub fn is_dirty(&self) -> bool {
        self.failed.is_none()
            && (!self.ticks.items.is_empty()
                || self.log.pending_bytes() > 0
                || self.log.is_under_way()
                || self.log.is_unsynced())
    }

    /// Records why it ends, durably.
    pub fn stop(&mut self, why: &str) {
        self.record(&MarketRecord::Stop {
            at: Timestamp(crate::clock::wall()),
            why: why.to_owned(),
        });
        self.commit();
    }
}
