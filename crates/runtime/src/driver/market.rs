//! What the runner's host decides, without a thread: when the market log is written and synced, when a strategy is
//! switched, when it saves and begins a day. It waits for no namespace in a live session, and for no device.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use feeds::live::Batch;
use journal::{Carriage, Log};
use model::control::{Command, CommandAction};
use model::ids::CommandId;
use model::reason::Reason;
use model::session::{Sessions, end_of_sessions};
use model::{Instruments, StrategyIdx, Timestamp};
use pipeline::BrokerMask;

use super::has_passed;
use super::probe::StrategyProbe;
use super::snapshots::Snapshots;
use crate::clock::{SessionClock, uptime, wall};
use crate::market::MarketHost;
use crate::packet::{Packet, Step};

/// The longest sleep.
const IDLE: Duration = Duration::from_millis(50);
/// The shortest sleep while something waits to be made durable.
const SOON: Duration = Duration::from_millis(1);

/// The runner waits for a device that is so many bytes behind.
const PENDING_MAX: usize = 16 << 20;
/// For so long after a signal the device may be busy with the intent that follows from it.
const BUSY: Duration = Duration::from_millis(5);

/// How the runner is driven.
pub struct MarketSettings {
    /// The market log is written so often: the end of the process takes no more of it.
    pub write_interval: Duration,
    /// The market log is synced so often: a loss of power takes no more of it.
    pub sync_interval: Duration,
    /// Snapshots are saved so often.
    pub snapshot_interval: Duration,
}

/// What the runner looks like from outside.
#[derive(Debug, Default)]
pub struct MarketStatus {
    /// The thread has ended.
    pub ended: AtomicBool,
    /// A replay has delivered everything.
    pub complete: AtomicBool,
    /// When it last came round, by [`uptime`].
    pub beat: AtomicI64,
    /// The number of the next market input.
    pub next_input: AtomicU64,
    /// The session's time.
    pub session: AtomicI64,
    /// Signals made.
    pub signals: AtomicU64,
    /// The latest commit's time, in nanoseconds.
    pub sync_nanos: AtomicU64,
    /// Bytes in the market log.
    pub log_bytes: AtomicU64,
    /// Why old files of the log could not be removed.
    pub retention: Mutex<Option<String>>,
    /// What became of its snapshots.
    pub snapshots: Snapshots,
    /// Why the market log takes nothing any more.
    pub failed: Mutex<Option<String>>,
}

impl MarketStatus {
    /// A commit that began then, by [`uptime`], has ended.
    pub(crate) fn took(&self, since: i64) {
        let took = u64::try_from(uptime() - since).unwrap_or_default();
        self.sync_nanos.store(took, Ordering::Relaxed);
    }
}

/// What the runner is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarketMessage {
    /// A command that switches a shared strategy everywhere; any other is passed over.
    Switch(Command),
    /// Save a snapshot.
    Snapshot,
    /// End.
    Stop,
}

/// Where what the driver decides goes.
pub trait MarketOutlet: Send {
    /// Hands a packet to every namespace.
    fn send(&mut self, packet: Packet);
    /// Takes a batch of the market log to the device. One is under way at a time.
    fn carry(&mut self, carriage: Carriage);
    /// Is told that the market log takes nothing any more.
    fn failed(&mut self, why: &str);
}

/// What the feeds have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feeds {
    /// More may come.
    Open,
    /// A replay has delivered everything.
    Over,
    /// They were closed.
    Closed,
}

/// What the driver works with.
pub struct MarketParts {
    /// The state machine.
    pub host: MarketHost,
    /// The journals of the namespaces: the market log is kept for their recovery.
    pub journals: Vec<Arc<dyn Log>>,
    /// The session's clock.
    pub clock: Arc<dyn SessionClock>,
    /// Measures the shared strategies.
    pub probe: Option<Arc<StrategyProbe>>,
    /// The instruments.
    pub instruments: Arc<Instruments>,
    /// The calendar.
    pub sessions: Arc<dyn Sessions>,
    /// How it works.
    pub settings: MarketSettings,
    /// Where what it decides goes.
    pub outlet: Box<dyn MarketOutlet>,
}

/// The driver. Intervals are measured by the clock of the rounds, in nanoseconds: [`uptime`] where a thread drives.
pub struct MarketDriver {
    parts: MarketParts,
    status: Arc<MarketStatus>,
    /// The round's time.
    now: i64,
    written: i64,
    synced: i64,
    /// When signals were last handed on, and how many there were by then.
    signalled: (i64, u64),
    saved: i64,
    /// When the trading day of the log ends.
    day_end: Timestamp,
    /// Entries are stopped everywhere, as the market log failed.
    blocked: bool,
}

impl MarketDriver {
    /// Takes over a runner that was just opened.
    pub fn new(parts: MarketParts, now: i64) -> Self {
        Self {
            parts,
            status: Arc::default(),
            now,
            written: now,
            synced: now,
            signalled: (now, 0),
            saved: now,
            day_end: Timestamp::MIN,
            blocked: false,
        }
    }

    /// The runner and its log.
    pub const fn host(&self) -> &MarketHost {
        &self.parts.host
    }
    /// The runner and its log, once nothing is driven any more.
    pub fn into_host(self) -> MarketHost {
        self.parts.host
    }
    /// How it is.
    pub const fn status(&self) -> &Arc<MarketStatus> {
        &self.status
    }

    /// Takes what the feeds have delivered and what it is told, fires what is due, and hands on what follows. False
    /// once there is nothing more to do.
    pub fn round(
        &mut self,
        batch: &Batch,
        feeds: Feeds,
        messages: Vec<MarketMessage>,
        now: i64,
    ) -> bool {
        self.now = now;
        let is_live = self.parts.clock.is_live();
        let mut packet = Packet {
            steps: Vec::with_capacity(batch.items.len() + 4),
            position: self.parts.host.log().durable(),
            received: wall(),
        };
        self.parts.host.take(batch, &mut packet);
        if is_live {
            let now = self.parts.clock.now();
            self.parts.host.idle(now, &mut packet);
        }
        self.over_time(&mut packet);
        let stop = self.messages(messages, &mut packet);
        if feeds == Feeds::Over && !is_live && !stop {
            let last = self.parts.host.latest();
            let sessions = self.parts.sessions.as_ref();
            let at = end_of_sessions(&self.parts.instruments, sessions, last);
            self.parts.host.end(at, &mut packet);
            self.status.complete.store(true, Ordering::Release);
        }
        let ends = stop || feeds != Feeds::Open;
        // A replay can be read again, and shall then go as it went: nobody acts on what the log may
        // still lose. In a live session that would cost every tick the time of a sync.
        if !is_live {
            self.sync(true);
        }
        self.send(packet);
        self.sync(ends);
        self.publish();
        !ends
    }

    /// Ends in good order.
    pub fn finish(&mut self) {
        self.parts.host.stop("stopped");
        self.publish();
    }

    fn send(&mut self, packet: Packet) {
        if !packet.steps.is_empty() {
            self.parts.outlet.send(packet);
        }
    }

    /// How long nothing is to be done, unless something arrives.
    pub fn wait(&self, now: i64) -> Duration {
        let mut wait = IDLE;
        if self.parts.host.is_dirty() {
            let since = Duration::from_nanos(u64::try_from(now - self.written).unwrap_or(0));
            let left = self.parts.settings.write_interval.saturating_sub(since);
            // A batch that is overdue waits for the one before it.
            wait = wait.min(left.max(SOON));
        }
        if self.parts.clock.is_live() {
            let due = self.parts.host.runner().next_due();
            let left = due.nanos().saturating_sub(self.parts.clock.now().nanos());
            wait = wait.min(Duration::from_nanos(u64::try_from(left).unwrap_or(0)));
        }
        wait
    }

    /// A shared strategy that took more than its time is disabled: logged here, and told to all.
    fn over_time(&mut self, packet: &mut Packet) {
        let Some(probe) = &self.parts.probe else {
            return;
        };
        for (strategy, _) in probe.take_over() {
            self.switch(self.time_out(strategy), packet);
        }
    }

    fn time_out(&self, strategy: StrategyIdx) -> Command {
        let now = self.parts.clock.now().max(self.parts.host.latest());
        let reason = Reason::StrategyTimeout;
        Command::of_system(
            CommandId::of_host("market", reason.code(), now.nanos()),
            CommandAction::DisableStrategy(strategy, reason),
        )
    }

    fn switch(&mut self, command: Command, packet: &mut Packet) {
        let now = self.parts.clock.now().max(self.parts.host.latest());
        let (strategy, enabled, reason) = match command.action {
            CommandAction::DisableStrategy(strategy, reason) => (strategy, false, reason),
            CommandAction::EnableStrategy(strategy)
            | CommandAction::EnableStrategyAnew(strategy) => {
                (strategy, true, Reason::OperatorRequest)
            }
            _ => return,
        };
        self.parts.host.switch(strategy, enabled, reason, now);
        packet
            .steps
            .push(Step::Command(now, command, BrokerMask(u64::MAX)));
    }

    fn messages(&mut self, messages: Vec<MarketMessage>, packet: &mut Packet) -> bool {
        let mut stop = false;
        for message in messages {
            match message {
                MarketMessage::Switch(command) => self.switch(command, packet),
                MarketMessage::Snapshot => self.save(),
                MarketMessage::Stop => stop = true,
            }
        }
        stop
    }

    /// Whether the market log is to be written: shortly before it must be in a quiet moment, so that it
    /// does not meet an intent at the device, and else when it must.
    fn is_due(&mut self) -> bool {
        let signals = self.parts.host.stats().signals;
        if signals != self.signalled.1 {
            self.signalled = (self.now, signals);
        }
        let interval = self.parts.settings.write_interval;
        has_passed(interval, self.written, self.now)
            || (has_passed(interval - interval / 8, self.written, self.now)
                && has_passed(BUSY, self.signalled.0, self.now))
    }

    fn sync(&mut self, now: bool) {
        if now || self.parts.host.log().pending_bytes() > PENDING_MAX {
            let start = uptime();
            self.parts.host.commit();
            self.status.took(start);
        }
        // What commits would wait for a batch that is under way: it comes first.
        if self.parts.host.land() {
            if self.parts.host.latest() >= self.day_end {
                self.new_day();
            }
            if has_passed(self.parts.settings.snapshot_interval, self.saved, self.now) {
                self.save();
            }
            self.write();
        }
        if !self.blocked
            && let Some(why) = self.parts.host.failed()
        {
            self.blocked = true;
            *self
                .status
                .failed
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
            self.parts.outlet.failed(why);
            let now = self.parts.clock.now();
            let command = Command::of_system(
                CommandId::of_host("market", Reason::MarketLogFailed.code(), now.nanos()),
                CommandAction::BlockEntries(Reason::MarketLogFailed),
            );
            self.send(Packet {
                steps: vec![Step::Command(now, command, BrokerMask(u64::MAX))],
                position: self.parts.host.log().durable(),
                received: wall(),
            });
        }
    }

    /// Sends what waits to the device, where that is due.
    fn write(&mut self) {
        if !self.parts.host.is_dirty() || !self.is_due() {
            return;
        }
        self.written = self.now;
        let is_synced = has_passed(self.parts.settings.sync_interval, self.synced, self.now);
        if is_synced {
            self.synced = self.now;
        }
        if let Some(carriage) = self.parts.host.submit(is_synced) {
            self.parts.outlet.carry(carriage);
        }
    }

    /// As of a namespace: a file for each trading day, and old ones go.
    fn new_day(&mut self) {
        let latest = self.parts.host.latest();
        if latest == Timestamp::MIN {
            return;
        }
        let day = self.parts.sessions.trading_day(latest);
        self.day_end = day.end;
        if self.parts.host.begin_day(day.date) {
            self.retain();
        }
    }

    /// Removes old days that are more than is kept. The session goes on where that fails: too much is kept, no more.
    fn retain(&mut self) {
        let Some(day) = self.parts.host.log().day() else {
            return;
        };
        let removed = self.parts.host.retain(&self.parts.journals, day);
        *self
            .status
            .retention
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = removed.err().map(|e| e.to_string());
    }

    fn save(&mut self) {
        self.saved = self.now;
        self.parts.host.commit();
        // What it could stand on is not there.
        if self.parts.host.failed().is_some() {
            return;
        }
        let saved = self.parts.host.snapshot(false);
        self.status.snapshots.note(&saved);
        // The day itself may have come to too many bytes.
        self.retain();
    }

    fn publish(&self) {
        let status = &self.status;
        let host = &self.parts.host;
        status
            .next_input
            .store(host.next_input(), Ordering::Release);
        status
            .session
            .store(host.latest().nanos(), Ordering::Relaxed);
        status
            .signals
            .store(host.stats().signals, Ordering::Relaxed);
        status
            .log_bytes
            .store(host.log().bytes(), Ordering::Relaxed);
    }
}
