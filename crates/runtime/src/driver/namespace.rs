//! What the host of a namespace decides, without a thread: when its inputs are made durable and what follows from
//! them handed on, when entries are blocked, when it takes the market conflated, when it saves and begins a day.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use journal::record::MarketItem;
use model::control::{Command, CommandAction};
use model::ids::CommandId;
use model::reason::Reason;
use model::{InputId, Timestamp};
use traders::BrokerReport;

use super::snapshots::Snapshots;
use super::{CommandReply, Detached, Message, has_passed};
use crate::clock::{SessionClock, uptime, wall};
use crate::conflate::conflate;
use crate::desk::{Call, unstarted};
use crate::error::RuntimeError;
use crate::inbox::Work;
use crate::lockstep::Lockstep;
use crate::namespace::Namespace;
use crate::packet::{Packet, SharedPacket, Step};

/// Steps between two looks at whether anything waits to be made durable, while more is queued.
const STEPS: usize = 256;
/// The longest sleep.
const IDLE: Duration = Duration::from_millis(50);
/// What a link is given to end.
const ENDING: Duration = Duration::from_secs(1);

/// How a namespace is driven.
pub struct NamespaceSettings {
    /// What has no consequence is made durable at least so often.
    pub sync_interval: Duration,
    /// Snapshots are saved so often.
    pub snapshot_interval: Duration,
    /// A live namespace that is so many market inputs behind takes them conflated.
    pub conflate_above: usize,
    /// A call to the broker that takes longer blocks entries.
    pub call_deadline: Duration,
    /// Takes reports about orders that are not known here; must not block.
    pub foreign: Foreign,
}

/// Takes what belongs to nobody.
pub type Foreign = Arc<dyn Fn(&BrokerReport) + Send + Sync>;

/// The way to a broker that is outside. What comes of a call returns as a message.
pub trait BrokerLink: Send {
    /// Hands over a call. False when it takes none: it hangs, or has ended.
    fn call(&mut self, call: Call) -> bool;
    /// Tells the broker that reports up to `number` are durable here. One that is lost is made good by the next.
    fn confirm(&mut self, number: u64);
    /// Since when a call has been under way, by the clock of the rounds; `None` for none.
    fn calling_since(&self) -> Option<i64>;
    /// Whether the broker can be reached.
    fn is_connected(&self) -> bool;
    /// Ends it.
    fn stop(&mut self, patience: Duration);
}

/// Who speaks to the broker.
#[allow(clippy::large_enum_variant, reason = "one for each namespace")]
pub enum OrderRoute {
    /// The trader is inside the pipeline.
    Inside,
    /// Calls are handed over.
    Link(Box<dyn BrokerLink>),
    /// A replay in lockstep with the broker: whoever drives the namespace itself.
    Lockstep(Lockstep),
}

/// What a namespace looks like from outside.
#[derive(Debug, Default)]
pub struct NamespaceStatus {
    /// The thread has ended.
    pub ended: AtomicBool,
    /// When the thread last came round, by [`uptime`]; it moves also while nothing arrives.
    pub beat: AtomicI64,
    /// The number of the next market input.
    pub next_input: AtomicU64,
    /// Market inputs that were merged into others.
    pub conflated: AtomicU64,
    /// Events recorded.
    pub events: AtomicU64,
    /// The latest commit's time, in nanoseconds.
    pub sync_nanos: AtomicU64,
    /// Bytes in the journal.
    pub journal_bytes: AtomicU64,
    /// Orders whose outcome is unknown.
    pub unresolved: AtomicU64,
    /// Market data that arrived while the calendar says that the market is closed.
    pub closed_market_data: AtomicU64,
    /// Why old files of the journal could not be removed.
    pub retention: Mutex<Option<String>>,
    /// What its thread waits for outside this process, where it waits long.
    pub waits_for: Mutex<Option<String>>,
    /// What became of its snapshots.
    pub snapshots: Snapshots,
    /// Why it does not trade any more.
    pub detached: Mutex<Option<Detached>>,
    /// Set with `detached`, and cheap to look at.
    is_fenced: AtomicBool,
}

impl NamespaceStatus {
    /// The first reason stays. Returns it where it is this one.
    pub(crate) fn detach(&self, code: &'static str, why: String) -> Option<Detached> {
        let mut detached = self.detached.lock().unwrap_or_else(PoisonError::into_inner);
        if detached.is_some() {
            return None;
        }
        let new = Detached { code, why };
        *detached = Some(new.clone());
        self.is_fenced.store(true, Ordering::Release);
        Some(new)
    }
    /// Whether it has been taken out: its thread, when it comes back from wherever it was, writes
    /// nothing more and calls nobody.
    pub fn is_fenced(&self) -> bool {
        self.is_fenced.load(Ordering::Acquire)
    }
    /// Says what the thread waits for.
    pub(crate) fn wait_for(&self, what: Option<String>) {
        *self
            .waits_for
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = what;
    }
    /// Why it does not trade any more.
    pub fn detached(&self) -> Option<Detached> {
        self.detached
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Ends whoever drives a namespace that was taken out; nobody is told again.
pub(crate) fn fenced(name: &str) -> RuntimeError {
    RuntimeError::state(name, "it was taken out")
}

/// The driver. Intervals are measured by the clock of the rounds, in nanoseconds: [`uptime`] where a thread drives.
pub struct NamespaceDriver {
    namespace: Namespace,
    clock: Arc<dyn SessionClock>,
    route: OrderRoute,
    settings: NamespaceSettings,
    status: Arc<NamespaceStatus>,
    /// Who waits for what is done to be durable.
    replies: Vec<(SyncSender<CommandReply>, CommandReply)>,
    /// The round's time.
    now: i64,
    synced: i64,
    saved: i64,
    /// Entries are blocked, as the broker cannot be reached.
    blocked: bool,
    confirmed: Option<u64>,
}

impl NamespaceDriver {
    /// Takes over a namespace that was just opened.
    pub fn new(
        namespace: Namespace,
        clock: Arc<dyn SessionClock>,
        mut route: OrderRoute,
        settings: NamespaceSettings,
        now: i64,
    ) -> Self {
        let status = Arc::new(NamespaceStatus::default());
        if let OrderRoute::Lockstep(lockstep) = &mut route {
            lockstep.show(Arc::clone(&status));
        }
        Self {
            namespace,
            clock,
            route,
            settings,
            status,
            replies: Vec::new(),
            now,
            synced: now,
            saved: now,
            blocked: false,
            confirmed: None,
        }
    }

    /// The namespace.
    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
    }
    /// How it is.
    pub const fn status(&self) -> &Arc<NamespaceStatus> {
        &self.status
    }

    /// Begins, once, before the first round. An error is final, here and in every round: this namespace may not
    /// trade on.
    pub fn begin(&mut self) -> Result<(), RuntimeError> {
        self.namespace.begin_hosting()
    }

    /// How long nothing is to be done, unless something arrives.
    pub fn wait(&self, now: i64) -> Duration {
        let mut wait = IDLE;
        if self.namespace.is_dirty() {
            let since = Duration::from_nanos(u64::try_from(now - self.synced).unwrap_or(0));
            wait = wait.min(self.settings.sync_interval.saturating_sub(since));
        }
        if self.clock.is_live() {
            let due = self.namespace.next_due();
            let left = due.nanos().saturating_sub(self.clock.now().nanos());
            wait = wait.min(Duration::from_nanos(u64::try_from(left).unwrap_or(0)));
        }
        wait
    }

    /// Takes what has arrived, fires what is due, and hands on what follows.
    pub fn round(&mut self, work: &mut Work<Message>, now: i64) -> Result<(), RuntimeError> {
        self.now = now;
        for message in work.messages.drain(..) {
            self.message(message)?;
        }
        self.packets(&work.packets)?;
        self.idle()?;
        self.settle()
    }

    fn packets(&mut self, packets: &[SharedPacket]) -> Result<(), RuntimeError> {
        let waiting: usize = packets.iter().map(|p| p.steps.len()).sum();
        if self.clock.is_live() && waiting > self.settings.conflate_above {
            return self.behind(packets);
        }
        let mut taken = 0;
        for packet in packets {
            for step in &packet.steps {
                self.step(step, packet)?;
                taken += 1;
                if taken % STEPS == 0 {
                    self.settle()?;
                }
            }
        }
        Ok(())
    }

    /// Once it was taken out, what it still does would be done behind the back of whoever was told so.
    fn fence(&self) -> Result<(), RuntimeError> {
        if self.status.is_fenced() {
            return Err(fenced(self.namespace.name()));
        }
        Ok(())
    }

    fn step(&mut self, step: &Step, packet: &Packet) -> Result<(), RuntimeError> {
        self.fence()?;
        if let OrderRoute::Lockstep(lockstep) = &mut self.route {
            lockstep.before(step, &mut self.namespace)?;
        }
        self.namespace
            .take(step, packet.position, packet.received)?;
        if let OrderRoute::Lockstep(lockstep) = &mut self.route
            && let Step::Market(id, _) = step
            && id.0 + 1 == self.namespace.next_input()
        {
            // Also the one that was taken last before a restart: the broker may not have passed it.
            lockstep.after(step);
        }
        Ok(())
    }

    /// Takes runs of market inputs conflated; signals and commands never are.
    fn behind(&mut self, packets: &[SharedPacket]) -> Result<(), RuntimeError> {
        let mut range: Vec<(InputId, MarketItem)> = Vec::new();
        for packet in packets {
            for step in &packet.steps {
                match step {
                    Step::Market(id, item) => {
                        if id.0 >= self.namespace.next_input() {
                            range.push((*id, *item));
                        }
                    }
                    step => {
                        self.conflated(&mut range, packet)?;
                        self.step(step, packet)?;
                    }
                }
            }
            self.conflated(&mut range, packet)?;
        }
        Ok(())
    }

    fn conflated(
        &mut self,
        range: &mut Vec<(InputId, MarketItem)>,
        packet: &Packet,
    ) -> Result<(), RuntimeError> {
        let (Some((first, _)), Some((last, _))) = (range.first(), range.last()) else {
            return Ok(());
        };
        let (first, last) = (*first, *last);
        let survivors = conflate(range);
        self.namespace
            .take_conflated(first, last, &survivors, packet.position, packet.received)?;
        range.clear();
        Ok(())
    }

    fn message(&mut self, message: Message) -> Result<(), RuntimeError> {
        match message {
            Message::Report(report) => {
                self.namespace.report(&report)?;
            }
            Message::Again(report, reply) => {
                let is_known = self.namespace.report_again(&report)?;
                // Whoever asked may have gone.
                let _ = reply.try_send(is_known);
            }
            Message::Outcome(call, outcome, started, ended) => {
                self.namespace.answered(&call, outcome, started, ended)?;
            }
            Message::Connected => {
                self.namespace.reconnected();
                self.block(false)?;
            }
            Message::Lost(_) => self.block(true)?,
            Message::Command(command, reply) => {
                let known = self.namespace.known(&command);
                let led_to = self.namespace.command(self.time(), &command, wall())?;
                if let Some(reply) = reply {
                    let answer = match known {
                        Some(known) => CommandReply::Known(known),
                        None => CommandReply::Done(
                            led_to.map_or_else(Vec::new, |step| self.namespace.recorded_in(step)),
                        ),
                    };
                    self.replies.push((reply, answer));
                }
            }
            Message::Known(command, reply) => {
                self.commit()?;
                // Who asked may have gone.
                let _ = reply.try_send(self.namespace.known(&command));
            }
            Message::Snapshot(reply) => {
                let saved = self.save()?.map_err(|e| e.to_string());
                if let Some(reply) = reply {
                    let _ = reply.try_send(saved);
                }
            }
        }
        Ok(())
    }

    fn time(&self) -> Timestamp {
        self.namespace.now().max(self.namespace.pipeline().now())
    }

    /// Entries stop while the broker cannot be reached; what closes positions goes on.
    fn block(&mut self, block: bool) -> Result<(), RuntimeError> {
        if self.blocked == block {
            return Ok(());
        }
        self.blocked = block;
        let reason = Reason::TraderUnreachable;
        let action = if block {
            CommandAction::BlockEntries(reason)
        } else {
            CommandAction::AllowEntries(reason)
        };
        let now = self.time();
        let id = CommandId::of_host(self.namespace.name(), reason.code(), now.nanos());
        let command = Command::of_system(id, action);
        self.namespace.command(now, &command, wall())?;
        Ok(())
    }

    fn idle(&mut self) -> Result<(), RuntimeError> {
        if self.clock.is_live() {
            self.namespace.idle(self.clock.now())?;
            if let OrderRoute::Link(link) = &self.route {
                let hangs = link
                    .calling_since()
                    .is_some_and(|since| has_passed(self.settings.call_deadline, since, self.now));
                if hangs != self.blocked && (hangs || link.is_connected()) {
                    self.block(hangs)?;
                }
            }
        }
        Ok(())
    }

    /// Makes durable what waits for it, and hands on what follows, until nothing follows any more.
    fn settle(&mut self) -> Result<(), RuntimeError> {
        self.status.beat.store(uptime(), Ordering::Release);
        loop {
            self.fence()?;
            let due = self.namespace.is_dirty()
                && has_passed(self.settings.sync_interval, self.synced, self.now);
            if self.namespace.is_waiting() || due || !self.replies.is_empty() {
                self.commit()?;
            }
            let OrderRoute::Link(link) = &mut self.route else {
                break;
            };
            let Some(call) = self.namespace.next_call()? else {
                if self.namespace.is_waiting() {
                    continue;
                }
                break;
            };
            if !link.call(call.clone()) {
                let outcome = unstarted(&call);
                self.namespace.answered(&call, outcome, 0, 0)?;
                self.block(true)?;
            }
        }
        self.namespace.tell();
        for report in self.namespace.take_foreign() {
            (self.settings.foreign)(&report);
        }
        if let Some(number) = self.namespace.to_confirm() {
            self.confirmed = Some(number);
        }
        if !self.namespace.is_waiting()
            && let (Some(number), OrderRoute::Link(link)) = (self.confirmed.take(), &mut self.route)
        {
            link.confirm(number);
        }
        self.new_day()?;
        if has_passed(self.settings.snapshot_interval, self.saved, self.now) {
            // What became of it is noted.
            let _ = self.save()?;
        }
        self.publish();
        Ok(())
    }

    /// Saves a snapshot. The outer error is of the journal, the inner of the snapshot alone.
    fn save(&mut self) -> Result<Result<(), RuntimeError>, RuntimeError> {
        self.saved = self.now;
        self.namespace.commit()?;
        let saved = self.namespace.snapshot();
        self.status.snapshots.note(&saved);
        Ok(saved)
    }

    /// Each trading day's records have files of their own; when one begins, old files go.
    fn new_day(&mut self) -> Result<(), RuntimeError> {
        let Some(day) = self.namespace.pipeline().trading_day() else {
            return Ok(());
        };
        if !self.namespace.begin_day(day.date)? {
            return Ok(());
        }
        let removed = self.namespace.retain(day.date);
        // Trading goes on: too much is kept, no more.
        *self
            .status
            .retention
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = removed.err().map(|e| e.to_string());
        Ok(())
    }

    fn commit(&mut self) -> Result<(), RuntimeError> {
        let start = uptime();
        self.namespace.make_durable()?;
        self.synced = self.now;
        let took = u64::try_from(uptime() - start).unwrap_or_default();
        self.status.sync_nanos.store(took, Ordering::Relaxed);
        if !self.replies.is_empty() {
            // Whoever asked may look next at what is told.
            self.namespace.tell();
        }
        for (reply, events) in self.replies.drain(..) {
            // Whoever asked may have gone.
            let _ = reply.try_send(events);
        }
        Ok(())
    }

    fn publish(&self) {
        let stats = self.namespace.stats();
        let status = &self.status;
        status
            .next_input
            .store(self.namespace.next_input(), Ordering::Release);
        status.conflated.store(stats.conflated, Ordering::Relaxed);
        status.events.store(stats.events, Ordering::Relaxed);
        let closed = self.namespace.pipeline().stats().closed_market_data;
        status.closed_market_data.store(closed, Ordering::Relaxed);
        status
            .journal_bytes
            .store(self.namespace.log().bytes(), Ordering::Relaxed);
        status.unresolved.store(
            self.namespace.pipeline().unresolved().count() as u64,
            Ordering::Relaxed,
        );
    }

    /// Nothing more will arrive: all that was taken is made durable, and the namespace ends in good order.
    pub fn finish(mut self, now: i64) -> Result<(), RuntimeError> {
        self.now = now;
        self.fence()?;
        if let OrderRoute::Lockstep(lockstep) = &mut self.route {
            lockstep.finish(&mut self.namespace)?;
        }
        self.settle()?;
        self.commit()?;
        self.namespace.stop("stopped")?;
        // What became of it is noted.
        let _ = self.save()?;
        self.publish();
        if let OrderRoute::Link(link) = &mut self.route {
            link.stop(ENDING);
        }
        Ok(())
    }
}
