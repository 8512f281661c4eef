//! One namespace: its pipeline, its journal and its desk, as one state machine over durable storage. It
//! starts no thread, reads no clock but the session's and makes no call; a host does, with what
//! [`Namespace::commit`] has made durable.

mod keyed;
mod marks;
mod rebuild;
mod recover;

use std::collections::BTreeMap;
use std::sync::Arc;

use journal::record::{Entry, Host, JournalRecordRef, MarketItem, RunRef, Start};
use journal::{Log, LogWriter, Offset};
use model::control::{Command, CommandAction};
use model::event::{Event, EventBody, OrderStep};
use model::ids::CommandId;
use model::order::OrderChange;
use model::reason::Reason;
use model::signal::Signal;
use model::trader::TraderReport;
use model::{InputId, OrderId, Timestamp};
use pipeline::{BrokerPipeline, Input, fire_due};
use projection::Mark;
use rustc_hash::FxHashMap;
use traders::{BrokerReport, Found};

use crate::clock::{SessionClock, wall};
use crate::desk::{Call, Desk, Heard, Outcome};
use crate::error::RuntimeError;
use crate::market::TIMER_LATE_MAX;
use crate::packet::Step;
use wire::EventPlace;

use keyed::Keyed;
pub use keyed::Known;
use marks::Marks;
pub use rebuild::{ReplayParts, look, market_position};
pub use recover::{Recovered, Recovery, SNAPSHOTS};

/// A run of inputs without outputs is closed at this many entries: conflated, each stands in it in full.
const RUN_MAX: usize = 1024;

/// Why nothing may follow from what was recorded.
const TAKEN_OVER: &str =
    "another process has taken over its journal: nothing follows from what was recorded last";

/// Foreign reports that wait for the host; more are only counted.
const FOREIGN_MAX: usize = 1024;

/// What has become durable since the tap was last told.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// Events of the namespace, in order.
    pub events: &'a [Event],
    /// Where each of them stands.
    pub places: &'a [EventPlace],
    /// Prices that the namespace saw: of each instrument the last before each record of events, with
    /// how many of `events` come before it.
    pub marks: &'a [(usize, Mark)],
    /// The namespace's time.
    pub now: Timestamp,
}

/// Takes what has become durable, for all that reads. Calls to the broker that follow from it do not
/// wait for the tap.
pub trait Tap: Send {
    /// Takes it; must not block.
    fn told(&mut self, told: &Told<'_>);
}

/// When an order's intent became durable, and its first call started and was answered: wall clock.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    durable: i64,
    sent: i64,
    acknowledged: i64,
}

/// What a namespace has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NamespaceStats {
    /// Market inputs taken.
    pub inputs: u64,
    /// Market inputs that had been taken before a restart, skipped.
    pub skipped: u64,
    /// Market inputs that were merged into others, as the namespace was behind.
    pub conflated: u64,
    /// Records written.
    pub records: u64,
    /// Events recorded.
    pub events: u64,
    /// Commits with something in them.
    pub commits: u64,
    /// Reports about orders that are not known here.
    pub foreign_reports: u64,
}

/// What is durable and the tap is not told yet.
#[derive(Default)]
struct Untold {
    events: Vec<Event>,
    places: Vec<EventPlace>,
    marks: Marks,
    /// The namespace's time then; `None`: there is nothing.
    at: Option<Timestamp>,
}

/// The state machine.
pub struct Namespace {
    index: usize,
    pipeline: BrokerPipeline,
    log: Box<dyn LogWriter>,
    journal: Arc<dyn Log>,
    start: Start,
    clock: Arc<dyn SessionClock>,
    desk: Option<Desk>,
    tap: Option<Box<dyn Tap>>,
    /// Inputs of the open run.
    run: Vec<Entry>,
    out: Vec<Event>,
    /// Recorded, not yet durable.
    recorded: Vec<Event>,
    /// Where each of them stands.
    places: Vec<EventPlace>,
    /// Commands that were given under a key.
    keyed: Keyed,
    /// Prices that were seen before the recorded events, while there is a tap.
    marks: Marks,
    /// Durable, and the tap is not told yet.
    untold: Untold,
    reports: Vec<TraderReport>,
    /// Reports about orders that are not known here, for the host to park.
    foreign: Vec<BrokerReport>,
    bytes: Vec<u8>,
    step: u64,
    /// The number of the next market input; those below it have been taken.
    next: u64,
    /// Where the market log stood when the latest packet began.
    market: Offset,
    times: FxHashMap<OrderId, Times>,
    /// Reports of a lockstep broker whose time has not come, by (due, number).
    held: BTreeMap<(u64, u64), BrokerReport>,
    /// In lockstep: the market inputs below it are passed, so what was due by them may be known.
    passed: u64,
    /// Reports were taken and are not yet durable.
    unsaved: bool,
    /// Numbers of reports that are recorded and not yet confirmed to the broker.
    taken: std::collections::BTreeSet<u64>,
    /// Up to which number all are durable; `None` until the broker has sent its first.
    confirmed: Option<u64>,
    /// A conflated range is being taken: its inputs are recorded in full.
    conflating: bool,
    /// Trading days of the journal that are kept; 0 for all.
    keep_days: u32,
    stats: NamespaceStats,
}

impl Namespace {
    /// Its index among the namespaces.
    pub const fn index(&self) -> usize {
        self.index
    }
    /// Its name.
    pub fn name(&self) -> &str {
        self.pipeline.namespace().as_str()
    }
    /// The stages.
    pub const fn pipeline(&self) -> &BrokerPipeline {
        &self.pipeline
    }
    /// What has been counted.
    pub const fn stats(&self) -> &NamespaceStats {
        &self.stats
    }
    /// The order protocol, where the trader is outside the pipeline.
    pub const fn desk(&self) -> Option<&Desk> {
        self.desk.as_ref()
    }
    /// Behind everything that is recorded.
    pub fn place(&self) -> Option<EventPlace> {
        let step = self.step.checked_sub(1)?;
        let ordinal = usize::MAX;
        Some(EventPlace { step, ordinal })
    }
    /// The journal.
    pub fn log(&self) -> &dyn LogWriter {
        self.log.as_ref()
    }
    /// How many trading days of its log are kept: 0, and so at first, all.
    pub const fn keep_days(&mut self, days: u32) {
        self.keep_days = days;
    }
    pub(crate) const fn kept_days(&self) -> u32 {
        self.keep_days
    }
    /// The journal, for whoever reads it.
    pub fn journal(&self) -> &Arc<dyn Log> {
        &self.journal
    }
    pub(crate) fn log_parts(&mut self) -> (&mut dyn LogWriter, &Start, &mut Vec<u8>) {
        (self.log.as_mut(), &self.start, &mut self.bytes)
    }
    /// The number of the next market input.
    pub const fn next_input(&self) -> u64 {
        self.next
    }
    /// Its time: the session's, and in a replay that of the input that it took last.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
    /// Who is told what has become durable.
    pub fn set_tap(&mut self, tap: Option<Box<dyn Tap>>) {
        self.tap = tap;
    }

    /// Takes one step of the runner: first its own timers that are due, then the step. `position` is
    /// where the market log stood, `received` when the input arrived.
    pub fn take(
        &mut self,
        step: &Step,
        position: Offset,
        received: i64,
    ) -> Result<(), RuntimeError> {
        self.market = position;
        match step {
            Step::Market(id, item) => {
                if id.0 < self.next {
                    self.stats.skipped += 1;
                    return Ok(());
                }
                self.input(*id, item, received)
            }
            Step::Signal(signal, brokers) => {
                if brokers.contains(self.index) {
                    self.signal(signal, received)?;
                }
                Ok(())
            }
            Step::Command(ts, command, brokers) => {
                if brokers.contains(self.index) {
                    self.command(*ts, command, received)?;
                }
                Ok(())
            }
            Step::End(id, at) => {
                self.advance(*id, *at, received)?;
                let snapshot = self.pipeline.next_snapshot();
                if snapshot != Timestamp::MAX {
                    self.advance(*id, snapshot, received)?;
                }
                Ok(())
            }
        }
    }

    fn input(&mut self, id: InputId, item: &MarketItem, received: i64) -> Result<(), RuntimeError> {
        let data = item.data();
        if !self.clock.is_live() {
            self.clock.reach(data.ts());
        }
        self.advance(id, data.ts(), received)?;
        self.feed(
            &Input::Market(id, &data),
            Entry::Full(id, *item),
            host(received),
        )?;
        self.next = id.0 + 1;
        self.stats.inputs += 1;
        Ok(())
    }

    /// Takes the live market inputs `first..=last` as what they come to conflated: the namespace is
    /// behind, and the newest prices count.
    pub fn take_conflated(
        &mut self,
        first: InputId,
        last: InputId,
        survivors: &[(InputId, MarketItem)],
        position: Offset,
        received: i64,
    ) -> Result<(), RuntimeError> {
        self.market = position;
        self.run.push(Entry::Conflated { first, last });
        self.conflating = true;
        let result = survivors
            .iter()
            .filter(|(id, _)| id.0 >= self.next)
            .copied()
            .collect::<Vec<_>>()
            .iter()
            .try_for_each(|(id, item)| self.input(*id, item, received));
        self.conflating = false;
        self.stats.conflated += (last.0 + 1 - first.0).saturating_sub(survivors.len() as u64);
        self.next = self.next.max(last.0 + 1);
        result
    }

    fn signal(&mut self, signal: &Signal, received: i64) -> Result<(), RuntimeError> {
        // One that comes late, after a restart or behind a slow disk, is judged at the time it is:
        // the pipeline's clock is brought up to the session's first.
        let now = self.now();
        let id = InputId(self.next);
        let at = if self.clock.is_live() && now > signal.ts.plus(model::time::SECOND) {
            now
        } else {
            signal.ts
        };
        self.advance(id, at, received)?;
        if at > signal.ts && at > self.pipeline.now() {
            let clock = Input::Clock(id, at);
            self.feed(&clock, Entry::Clock(id, at), host(received))?;
        }
        self.feed(
            &Input::Signal(signal),
            Entry::Signal(*signal),
            host(received),
        )
    }

    /// Takes a command at `ts`, unless it was carried out before. Returns the run that holds what it has
    /// led to; `None` where it changed nothing.
    pub fn command(
        &mut self,
        ts: Timestamp,
        command: &Command,
        received: i64,
    ) -> Result<Option<u64>, RuntimeError> {
        if self.keyed.find(command).is_some() {
            return Ok(None);
        }
        self.advance(self.pipeline.latest_input(), ts, received)?;
        let events = self.stats.events;
        let step = self.step;
        self.feed(
            &Input::Command(ts, command),
            Entry::Command(ts, *command),
            host(received),
        )?;
        let led_to = (self.stats.events > events).then_some(step);
        self.keyed.note(command, led_to);
        Ok(led_to)
    }

    /// What is known of a command that was given under a key.
    pub fn known(&self, command: &Command) -> Option<Known> {
        self.keyed.find(command)
    }

    /// Begins a host's work, once, before anything else is taken. What an earlier host held against
    /// entries, it had found out for itself, and so does this one; timers that came due while none was
    /// there were missed.
    pub fn begin_hosting(&mut self) -> Result<(), RuntimeError> {
        if self.clock.is_live() {
            self.miss_timers(self.clock.now())?;
        }
        let now = self.clock.now().max(self.pipeline.now());
        for reason in self.pipeline.risk().blocks().to_vec() {
            // The pipeline's own: what is parked is still parked.
            if reason == Reason::ImplausibleReport {
                continue;
            }
            let command = Command::of_system(
                CommandId::of_host(self.name(), reason.code(), now.nanos()),
                CommandAction::AllowEntries(reason),
            );
            self.command(now, &command, 0)?;
        }
        Ok(())
    }

    /// Fires every timer that is due by `at`: a live host's idle moment.
    pub fn idle(&mut self, at: Timestamp) -> Result<(), RuntimeError> {
        self.advance(InputId(self.next), at, 0)
    }

    /// The session was off until `until`: records that the timers of the time between were missed, where
    /// a strategy skips those.
    fn miss_timers(&mut self, until: Timestamp) -> Result<(), RuntimeError> {
        if self.pipeline.misses_timers(until) {
            self.feed(
                &Input::TimersMissed(until),
                Entry::TimersMissed(until),
                Host::default(),
            )?;
        }
        Ok(())
    }

    /// Fires every timer due at or before `ts`, each as an input of its own.
    fn advance(&mut self, id: InputId, ts: Timestamp, received: i64) -> Result<(), RuntimeError> {
        let missable = self.pipeline.missable_due();
        if missable > Timestamp::MIN && missable <= ts && self.clock.is_live() {
            // The machine was suspended, or its clock was set forward.
            let now = self.clock.now();
            if now.since(missable) > TIMER_LATE_MAX {
                self.miss_timers(now)?;
            }
        }
        let next_due = |this: &Self| this.pipeline.next_due();
        fire_due(self, ts, next_due, |this, due| {
            let clock = Input::Clock(id, due);
            this.feed(&clock, Entry::Clock(id, due), host(received))
        })
    }

    #[allow(
        clippy::large_types_passed_by_value,
        reason = "it is moved into the run"
    )]
    fn feed(
        &mut self,
        input: &Input<'_>,
        entry: Entry,
        mut host: Host,
    ) -> Result<(), RuntimeError> {
        self.out.clear();
        self.pipeline.step(input, &mut self.out);
        if self.tap.is_some()
            && let Input::Market(_, data) = input
        {
            let mark = Mark {
                instrument: data.instrument(),
                price: data.price(),
                ts: self.pipeline.now(),
            };
            self.marks.note(self.recorded.len(), mark);
        }
        match entry {
            // Without an output it is a reference into the market log.
            Entry::Full(id, _) if self.out.is_empty() && !self.conflating => {
                match self.run.last_mut() {
                    Some(Entry::Market { last, .. }) if last.0 + 1 == id.0 => *last = id,
                    _ => self.run.push(Entry::Market {
                        first: id,
                        last: id,
                    }),
                }
            }
            entry => self.run.push(entry),
        }
        if !self.out.is_empty() {
            host.decided = wall();
            self.close_run(host)
        } else if self.run.len() >= RUN_MAX {
            self.close_run(Host::default())
        } else {
            Ok(())
        }
    }

    fn close_run(&mut self, host: Host) -> Result<(), RuntimeError> {
        if self.run.is_empty() {
            return Ok(());
        }
        let record = JournalRecordRef::Run(RunRef {
            step: self.step,
            inputs: &self.run,
            outputs: &self.out,
            host,
        });
        self.bytes.clear();
        record
            .encode(&mut self.bytes)
            .map_err(|source| RuntimeError::record(self.name(), source))?;
        self.log
            .append(&self.bytes)
            .map_err(|source| RuntimeError::journal(self.pipeline.namespace().as_str(), source))?;
        let step = self.step;
        let place = |ordinal| EventPlace { step, ordinal };
        self.places.extend((0..self.out.len()).map(place));
        self.step += 1;
        self.stats.records += 1;
        self.stats.events += self.out.len() as u64;
        self.recorded.extend_from_slice(&self.out);
        self.out.clear();
        self.run.clear();
        Ok(())
    }

    /// Events that are recorded and not yet durable.
    pub fn recorded(&self) -> &[Event] {
        &self.recorded
    }

    /// Those of one run, with where they stand.
    pub fn recorded_in(&self, step: u64) -> Vec<(Event, EventPlace)> {
        let events = self.recorded.iter().copied();
        let all = events.zip(self.places.iter().copied());
        all.filter(|(_, place)| place.step == step).collect()
    }

    /// True while events wait to be made durable: what follows from them may not be done yet.
    pub const fn is_waiting(&self) -> bool {
        !self.recorded.is_empty()
    }

    /// True while reports wait to be made durable: the broker keeps them until then.
    pub const fn owes_confirmation(&self) -> bool {
        self.unsaved
    }

    /// True while anything at all waits to be made durable.
    pub fn is_dirty(&self) -> bool {
        !self.run.is_empty() || !self.recorded.is_empty() || self.log.pending_bytes() > 0
    }

    /// Makes everything so far durable, lets it take effect and tells the tap. An error is final: this
    /// namespace may not trade on.
    pub fn commit(&mut self) -> Result<(), RuntimeError> {
        let result = self.make_durable();
        self.tell();
        result
    }

    /// Makes everything so far durable, then lets it take effect: the desk learns of new intents. The
    /// tap is told later. An error is final: this namespace may not trade on.
    pub fn make_durable(&mut self) -> Result<(), RuntimeError> {
        self.take_held_of_ended()?;
        self.out.clear();
        self.close_run(Host::default())?;
        if self.log.pending_bytes() == 0 {
            self.unsaved = false;
            return Ok(());
        }
        let failed = |source| RuntimeError::journal(self.pipeline.namespace().as_str(), source);
        let durable = self.log.commit().map_err(failed)?;
        if !self.log.may_act(durable) {
            return Err(RuntimeError::state(self.name(), TAKEN_OVER));
        }
        self.stats.commits += 1;
        self.unsaved = false;
        if self.recorded.is_empty() {
            self.hand_over();
            return Ok(());
        }
        let now = self.now();
        if let Some(desk) = &mut self.desk {
            let durable = wall();
            for event in &self.recorded {
                let ended = match &event.body {
                    EventBody::OrderSubmitted(intent) => {
                        let times = Times {
                            durable,
                            ..Times::default()
                        };
                        self.times.insert(intent.id, times);
                        false
                    }
                    EventBody::OrderChanged(OrderStep { order, .. })
                    | EventBody::ReportDropped { order, .. } => {
                        let engine = self.pipeline.engine();
                        engine.working(*order).is_none() && !engine.has_parked(*order)
                    }
                    EventBody::ReportParked(parked) => {
                        let engine = self.pipeline.engine();
                        if engine.parked().contains(parked)
                            && !parked.confirmed
                            && let Some(order) = engine.order(parked.order)
                        {
                            desk.verify(order, now);
                        }
                        false
                    }
                    _ => false,
                };
                desk.event(event, ended, now);
                if let EventBody::OrderChanged(step) = &event.body
                    && ended
                    && !matches!(step.change, OrderChange::CancelRequested(_))
                {
                    self.times.remove(&step.order);
                }
            }
        }
        self.hand_over();
        Ok(())
    }

    /// What was recorded is durable, and the tap is to be told.
    fn hand_over(&mut self) {
        if self.tap.is_some() {
            self.tell();
            std::mem::swap(&mut self.untold.events, &mut self.recorded);
            std::mem::swap(&mut self.untold.places, &mut self.places);
            std::mem::swap(&mut self.untold.marks, &mut self.marks);
            self.untold.at = Some(self.pipeline.now());
        }
        self.recorded.clear();
        self.places.clear();
    }

    /// Takes the reports that the desk holds of orders which have ended, so that they become durable with
    /// the end: the desk forgets such an order. It can hold some, as an end can overtake an execution and
    /// an operator can end an order that the broker is still asked about.
    fn take_held_of_ended(&mut self) -> Result<(), RuntimeError> {
        let mut at = 0;
        // A report that is taken can end another order, whose event then follows.
        while let (Some(event), Some(desk)) = (self.recorded.get(at), &mut self.desk) {
            at += 1;
            if let EventBody::OrderChanged(OrderStep { order, .. })
            | EventBody::ReportDropped { order, .. } = event.body
                && self.pipeline.engine().working(order).is_none()
            {
                desk.take_held(order, self.clock.now(), &mut self.reports);
                self.take_said()?;
            }
        }
        Ok(())
    }

    /// Tells the tap what has become durable: after [`make_durable`](Self::make_durable), once the calls
    /// that follow are handed over. What is left is told before what comes next.
    pub fn tell(&mut self) {
        let untold = &mut self.untold;
        if let Some(tap) = &mut self.tap
            && let Some(now) = untold.at.take()
        {
            tap.told(&Told {
                events: &untold.events,
                places: &untold.places,
                marks: untold.marks.seen(),
                now,
            });
        }
        untold.events.clear();
        untold.places.clear();
        untold.marks.clear();
    }

    /// The next call to the broker, all of whose causes are durable. What can be said without a call
    /// is taken as a report: commit again where [`is_waiting`](Self::is_waiting) says so.
    pub fn next_call(&mut self) -> Result<Option<Call>, RuntimeError> {
        let now = self.now();
        let Some(desk) = &mut self.desk else {
            return Ok(None);
        };
        if !self.recorded.is_empty() {
            return Ok(None);
        }
        let call = desk.next_call(now, &mut self.reports);
        self.take_said()?;
        Ok(call)
    }

    /// What came of a call that started and ended at these wall-clock times.
    pub fn answered(
        &mut self,
        call: &Call,
        mut outcome: Outcome,
        started: i64,
        ended: i64,
    ) -> Result<(), RuntimeError> {
        if let (Call::Submit(id, ..), Some(times)) = (call, self.times.get_mut(&call.order())) {
            debug_assert_eq!(*id, call.order());
            if times.sent == 0 {
                times.sent = started;
                times.acknowledged = ended;
            }
        }
        if let Outcome::Found(Found::Present(said)) = &mut outcome {
            // After a restart the broker may be ahead in the data: what it did there is not known yet.
            said.retain(|report| report.due.is_none_or(|due| due.0 < self.passed));
        }
        let now = self.now();
        if let Some(desk) = &mut self.desk {
            desk.answered(call, outcome, now, &mut self.reports);
        }
        self.take_said()
    }

    fn take_said(&mut self) -> Result<(), RuntimeError> {
        let mut said = std::mem::take(&mut self.reports);
        let mut result = Ok(());
        for report in said.drain(..) {
            if result.is_ok() {
                result = self.trader_report(&report);
            }
        }
        self.reports = said;
        result
    }

    fn trader_report(&mut self, report: &TraderReport) -> Result<(), RuntimeError> {
        let received = wall();
        self.advance(self.pipeline.latest_input(), report.ts, received)?;
        let times = self.times.get(&report.order).copied().unwrap_or_default();
        self.feed(
            &Input::Report(report),
            Entry::Report(*report),
            Host {
                received,
                decided: 0,
                durable: times.durable,
                sent: times.sent,
                acknowledged: times.acknowledged,
            },
        )
    }

    /// What the broker pushed. False where the order is not known here: the host parks what
    /// [`take_foreign`](Self::take_foreign) gives.
    pub fn report(&mut self, said: &BrokerReport) -> Result<bool, RuntimeError> {
        if said.number > 0 && self.confirmed.is_none() {
            // A broker begins with the first that it has not seen confirmed.
            self.confirmed = Some(said.number - 1);
        }
        // In lockstep what is due later waits until its tick is passed.
        if let Some(due) = said.due
            && due.0 >= self.passed
        {
            self.held.insert((due.0, said.number), *said);
            return Ok(true);
        }
        self.take_broker_report(said)
    }

    fn take_broker_report(&mut self, said: &BrokerReport) -> Result<bool, RuntimeError> {
        if self
            .confirmed
            .is_some_and(|confirmed| said.number > confirmed)
        {
            self.taken.insert(said.number);
            self.unsaved = true;
        }
        let now = self.now();
        let Some(desk) = &mut self.desk else {
            return Ok(false);
        };
        match desk.report(said, now) {
            Heard::Foreign => {
                self.stats.foreign_reports += 1;
                if self.foreign.len() < FOREIGN_MAX {
                    self.foreign.push(*said);
                }
                Ok(false)
            }
            Heard::Held => Ok(true),
            Heard::Report(report) => {
                self.trader_report(&report)?;
                Ok(true)
            }
        }
    }

    /// A report that was parked, once more. False where its order is still not known.
    pub fn report_again(&mut self, said: &BrokerReport) -> Result<bool, RuntimeError> {
        // Its number was counted, and its time has come, when it first arrived.
        let said = BrokerReport {
            number: 0,
            due: None,
            ..*said
        };
        let waiting = self.foreign.len();
        let is_known = self.take_broker_report(&said)?;
        self.foreign.truncate(waiting);
        Ok(is_known)
    }

    /// The reports about orders that are not known here, since this was last asked.
    pub fn take_foreign(&mut self) -> std::vec::Drain<'_, BrokerReport> {
        self.foreign.drain(..)
    }

    /// In lockstep: the broker has passed a market input.
    pub fn pass(&mut self, id: InputId) {
        self.passed = self.passed.max(id.0 + 1);
    }

    /// In lockstep: takes what was due up to the market input passed last. Returns how many.
    pub fn take_due(&mut self) -> Result<usize, RuntimeError> {
        let mut count = 0;
        while let Some(entry) = self.held.first_entry() {
            if entry.key().0 >= self.passed {
                break;
            }
            let said = entry.remove();
            self.take_broker_report(&said)?;
            count += 1;
        }
        Ok(count)
    }

    /// Up to which number every report is durable, where that has risen since it was last asked:
    /// the broker need not send them again. Ask after a commit.
    pub fn to_confirm(&mut self) -> Option<u64> {
        let before = self.confirmed?;
        let mut confirmed = before;
        while self.taken.remove(&(confirmed + 1)) {
            confirmed += 1;
        }
        self.confirmed = Some(confirmed);
        (confirmed > before).then_some(confirmed)
    }

    /// In lockstep: whether the desk lets time pass; what waits is made due.
    pub fn settle(&mut self, tries_max: u32) -> bool {
        let now = self.now();
        match &mut self.desk {
            None => true,
            Some(desk) => {
                desk.hurry(tries_max, now);
                desk.is_settled(tries_max)
            }
        }
    }

    /// The connection to the broker was lost and is there again.
    pub fn reconnected(&mut self) {
        let now = self.now();
        if let Some(desk) = &mut self.desk {
            desk.reconnected(now);
        }
    }

    /// When it next has something to do without a new input.
    pub fn next_due(&self) -> Timestamp {
        let desk = self.desk.as_ref().map_or(Timestamp::MAX, Desk::next_due);
        self.pipeline.next_due().min(desk)
    }

    /// Records why it ends, durably.
    pub fn stop(&mut self, why: &str) -> Result<(), RuntimeError> {
        self.commit()?;
        let record = JournalRecordRef::Stop {
            at: Timestamp(wall()),
            why,
        };
        self.bytes.clear();
        record
            .encode(&mut self.bytes)
            .map_err(|source| RuntimeError::record(self.name(), source))?;
        self.log
            .append(&self.bytes)
            .and_then(|_| self.log.commit())
            .map(|_| ())
            .map_err(|source| RuntimeError::journal(self.pipeline.namespace().as_str(), source))
    }
}

fn host(received: i64) -> Host {
    Host {
        received,
        ..Host::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::market::Level;
    use model::{Depth, InstrumentIdx, Price, Quantity, Tick};

    #[test]
    fn a_run_of_the_largest_inputs_fits_into_a_record() {
        let level = Level {
            price: Price::from_raw(i64::MAX),
            quantity: Quantity::from_raw(i64::MAX),
            orders: u32::MAX,
        };
        let depth = Depth {
            bids: [level; 5],
            asks: [level; 5],
        };
        let tick = Tick {
            ts: Timestamp::MAX,
            exchange_ts: Timestamp::MAX,
            price: level.price,
            quantity: level.quantity,
            volume: level.quantity,
            open_interest: level.quantity,
            bid: level.price,
            ask: level.price,
            instrument: InstrumentIdx(u32::MAX),
        };
        let input = Entry::Full(InputId(u64::MAX), MarketItem::Deep(tick, depth));
        let run = JournalRecordRef::Run(RunRef {
            step: u64::MAX,
            inputs: &[input; RUN_MAX],
            outputs: &[],
            host: Host::default(),
        });
        let mut bytes = Vec::new();
        run.encode(&mut bytes).unwrap();
        assert!(bytes.len() > 100 * RUN_MAX && bytes.len() <= journal::RECORD_MAX);
    }
}
