//! The thread of the runner: takes what the feeds deliver, makes it durable in the market log, and hands
//! every namespace the same packets. It waits for no namespace in a live session, and for no device: a
//! thread of its own carries the batches of the market log there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use feeds::live::{Batch, FeedQueue};
use journal::{Carriage, Log};
use model::control::{Command, CommandAction};
use model::ids::CommandId;
use model::reason::Reason;
use model::session::{SessionStatus, Sessions};
use model::{Instruments, StrategyIdx, Timestamp};
use pipeline::BrokerMask;

use super::namespace::{NamespaceHost, Notice};
use super::snapshots::Snapshots;
use super::watchdog::StrategyProbe;
use crate::clock::{SessionClock, uptime, wall};
use crate::inbox::Refused;
use crate::market::MarketHost;
use crate::packet::{Packet, SharedPacket, Step};

/// The longest sleep.
const IDLE: Duration = Duration::from_millis(50);
/// The shortest sleep while something waits to be made durable.
const SOON: Duration = Duration::from_millis(1);

/// How the runner's thread works.
pub struct MarketThreadSettings {
    /// The market log is written so often: the end of the process takes no more of it.
    pub write_interval: Duration,
    /// The market log is synced so often: a loss of power takes no more of it.
    pub sync_interval: Duration,
    /// Snapshots are saved so often.
    pub snapshot_interval: Duration,
    /// A replay waits so long for a namespace; then it is detached.
    pub patience: Duration,
}

/// What the runner's thread looks like from outside.
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
    fn took(&self, since: Instant) {
        let took = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.sync_nanos.store(took, Ordering::Relaxed);
    }
}

/// The runner waits for a device that is so many bytes behind.
const PENDING_MAX: usize = 16 << 20;
/// For so long after a signal the device may be busy with the intent that follows from it.
const BUSY: Duration = Duration::from_millis(5);

/// What the runner's thread is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarketMessage {
    /// Let a shared strategy run everywhere; `true`: its losses count from now on.
    Enable(StrategyIdx, bool),
    /// Keep a shared strategy from running, everywhere.
    Disable(StrategyIdx, Reason),
    /// Save a snapshot.
    Snapshot,
    /// End.
    Stop,
}

/// A handle to the thread.
pub struct MarketThread {
    messages: Arc<Mutex<Vec<MarketMessage>>>,
    status: Arc<MarketStatus>,
    thread: Mutex<Option<JoinHandle<Option<MarketHost>>>>,
}

/// What the thread works with.
pub struct MarketParts {
    /// The state machine.
    pub host: MarketHost,
    /// What the feeds deliver.
    pub queue: Arc<FeedQueue>,
    /// The namespaces.
    pub namespaces: Vec<Arc<NamespaceHost>>,
    /// Their journals: the market log is kept for their recovery.
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
    pub settings: MarketThreadSettings,
    /// Who is told of detached namespaces.
    pub notice: Notice,
    /// Who is told that the runner itself has failed.
    pub failed: Arc<dyn Fn(&str) + Send + Sync>,
}

impl MarketThread {
    /// Starts the thread.
    pub fn start(parts: MarketParts) -> std::io::Result<Self> {
        let messages = Arc::new(Mutex::new(Vec::new()));
        let status = Arc::new(MarketStatus::default());
        let failed = Arc::clone(&parts.failed);
        let (carrier, carriages) = sync_channel::<(Carriage, Instant)>(1);
        let carried = Arc::clone(&status);
        // It ends with the worker, which holds the other end.
        std::thread::Builder::new()
            .name("market-log".to_owned())
            .spawn(move || {
                while let Ok((carriage, began)) = carriages.recv() {
                    carriage.carry();
                    carried.took(began);
                }
            })?;
        let mut worker = Worker {
            carrier,
            parts,
            messages: Arc::clone(&messages),
            status: Arc::clone(&status),
            written: Instant::now(),
            synced: Instant::now(),
            signalled: (Instant::now(), 0),
            saved: Instant::now(),
            day_end: Timestamp::MIN,
            blocked: false,
        };
        let ended = Arc::clone(&status);
        let thread = std::thread::Builder::new()
            .name("runner".to_owned())
            .spawn(move || {
                let outcome = catch_unwind(AssertUnwindSafe(|| worker.run()));
                let host = match outcome {
                    Ok(()) => Some(worker.parts.host),
                    Err(_) => {
                        failed("the runner's code failed");
                        None
                    }
                };
                ended.ended.store(true, Ordering::Release);
                host
            })?;
        Ok(Self {
            messages,
            status,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Tells it something.
    pub fn tell(&self, message: MarketMessage) {
        self.messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(message);
    }

    /// How it is.
    pub fn status(&self) -> &Arc<MarketStatus> {
        &self.status
    }

    /// Ends the thread, and gives back the state machine; `None` when it did not end in time, or had
    /// failed.
    pub fn stop(&self, patience: Duration) -> Option<MarketHost> {
        self.tell(MarketMessage::Stop);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?;
        let deadline = Instant::now() + patience;
        while !thread.is_finished() {
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        thread.join().ok().flatten()
    }
}

struct Worker {
    parts: MarketParts,
    /// Takes batches of the market log to the device.
    carrier: SyncSender<(Carriage, Instant)>,
    messages: Arc<Mutex<Vec<MarketMessage>>>,
    status: Arc<MarketStatus>,
    written: Instant,
    synced: Instant,
    /// When signals were last handed on, and how many there were by then.
    signalled: (Instant, u64),
    saved: Instant,
    /// When the trading day of the log ends.
    day_end: Timestamp,
    /// Entries are stopped everywhere, as the market log failed.
    blocked: bool,
}

impl Worker {
    fn run(&mut self) {
        let mut batch = Batch::default();
        loop {
            self.status.beat.store(uptime(), Ordering::Release);
            batch.items.clear();
            batch.depths.clear();
            let ended = self.parts.queue.pop(&mut batch, self.wait());
            let mut packet = Packet {
                steps: Vec::with_capacity(batch.items.len() + 4),
                position: self.parts.host.log().durable(),
                received: wall(),
            };
            self.parts.host.take(&batch, &mut packet);
            if self.parts.clock.is_live() {
                let now = self.parts.clock.now();
                self.parts.host.idle(now, &mut packet);
            }
            self.over_time(&mut packet);
            let stop = self.messages(&mut packet);
            let is_over = ended && !self.parts.queue.is_closed();
            if is_over && !self.parts.clock.is_live() && !stop {
                let at = self.end_of_session();
                self.parts.host.end(at, &mut packet);
                self.status.complete.store(true, Ordering::Release);
            }
            // A replay can be read again, and shall then go as it went: nobody acts on what the log may
            // still lose. In a live session that would cost every tick the time of a sync.
            if !self.parts.clock.is_live() {
                self.sync(true);
            }
            self.send(packet);
            self.sync(ended || stop);
            self.publish();
            if ended || stop {
                break;
            }
        }
        self.parts.host.stop("stopped");
        self.publish();
    }

    fn wait(&self) -> Duration {
        let mut wait = IDLE;
        if self.parts.host.is_dirty() {
            let left = self
                .parts
                .settings
                .write_interval
                .saturating_sub(self.written.elapsed());
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

    /// The end of the sessions that are open at the last input, one nanosecond on, as in a backtest:
    /// what a session's end causes has happened then.
    fn end_of_session(&self) -> Timestamp {
        let last = self.parts.host.latest();
        let sessions = &self.parts.sessions;
        self.parts
            .instruments
            .iter()
            .filter_map(
                |(_, i)| match sessions.status(sessions.group(i), last.plus(-1)) {
                    SessionStatus::Open(window) if window.close != Timestamp::MAX => {
                        Some(window.close)
                    }
                    _ => None,
                },
            )
            .max()
            .map_or(last, |close| close.max(last).plus(1))
    }

    /// A shared strategy that took more than its time is disabled: logged here, and told to all.
    fn over_time(&mut self, packet: &mut Packet) {
        let Some(probe) = &self.parts.probe else {
            return;
        };
        for (strategy, _) in probe.take_over() {
            let action = CommandAction::DisableStrategy(strategy, Reason::StrategyTimeout);
            self.switch(strategy, action, packet);
        }
    }

    fn switch(&mut self, strategy: StrategyIdx, action: CommandAction, packet: &mut Packet) {
        let now = self.parts.clock.now().max(self.parts.host.latest());
        let (enabled, reason) = match action {
            CommandAction::DisableStrategy(_, reason) => (false, reason),
            _ => (true, Reason::OperatorRequest),
        };
        self.parts.host.switch(strategy, enabled, reason, now);
        let command = Command {
            id: CommandId::of_host("market", reason.code(), now.nanos()),
            action,
        };
        packet
            .steps
            .push(Step::Command(now, command, BrokerMask(u64::MAX)));
    }

    fn messages(&mut self, packet: &mut Packet) -> bool {
        let messages =
            std::mem::take(&mut *self.messages.lock().unwrap_or_else(PoisonError::into_inner));
        let mut stop = false;
        for message in messages {
            match message {
                MarketMessage::Enable(strategy, resets_losses) => {
                    let action = if resets_losses {
                        CommandAction::EnableStrategyAnew(strategy)
                    } else {
                        CommandAction::EnableStrategy(strategy)
                    };
                    self.switch(strategy, action, packet);
                }
                MarketMessage::Disable(strategy, reason) => {
                    let action = CommandAction::DisableStrategy(strategy, reason);
                    self.switch(strategy, action, packet);
                }
                MarketMessage::Snapshot => self.save(),
                MarketMessage::Stop => stop = true,
            }
        }
        stop
    }

    fn send(&self, packet: Packet) {
        if packet.steps.is_empty() {
            return;
        }
        let packet: SharedPacket = Arc::new(packet);
        let live = self.parts.clock.is_live();
        let patience = if live {
            Duration::ZERO
        } else {
            self.parts.settings.patience
        };
        for namespace in &self.parts.namespaces {
            if let Err(Refused::Full) = namespace.inbox().push(&packet, patience) {
                let (steps, capacity) = namespace.inbox().depth();
                let why = format!(
                    "its queue is full ({steps} of {capacity} steps): it is taken out until the next start; what it had made durable is kept"
                );
                namespace.detach("queue_full", why, &self.parts.notice);
            }
        }
    }

    /// Whether the market log is to be written: shortly before it must be in a quiet moment, so that it
    /// does not meet an intent at the device, and else when it must.
    fn is_due(&mut self) -> bool {
        let signals = self.parts.host.stats().signals;
        if signals != self.signalled.1 {
            self.signalled = (Instant::now(), signals);
        }
        let interval = self.parts.settings.write_interval;
        let since = self.written.elapsed();
        since >= interval
            || (since >= interval - interval / 8 && self.signalled.0.elapsed() >= BUSY)
    }

    fn sync(&mut self, now: bool) {
        if now || self.parts.host.log().pending_bytes() > PENDING_MAX {
            let start = Instant::now();
            self.parts.host.commit();
            self.status.took(start);
        } else if self.parts.host.land() && self.parts.host.is_dirty() && self.is_due() {
            self.written = Instant::now();
            let is_synced = self.synced.elapsed() >= self.parts.settings.sync_interval;
            if is_synced {
                self.synced = self.written;
            }
            if let Some(carriage) = self.parts.host.submit(is_synced) {
                // There is room for the one that may be on its way; without its thread the log
                // notices that nobody carries it.
                let _ = self.carrier.try_send((carriage, self.written));
            }
        }
        if self.parts.host.latest() >= self.day_end {
            self.new_day();
        }
        if self.saved.elapsed() >= self.parts.settings.snapshot_interval {
            self.save();
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
            (self.parts.failed)(why);
            let now = self.parts.clock.now();
            let command = Command {
                id: CommandId::of_host("market", Reason::MarketLogFailed.code(), now.nanos()),
                action: CommandAction::BlockEntries(Reason::MarketLogFailed),
            };
            self.send(Packet {
                steps: vec![Step::Command(now, command, BrokerMask(u64::MAX))],
                position: self.parts.host.log().durable(),
                received: wall(),
            });
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
        let day = day.date;
        if !self.parts.host.begin_day(day) {
            return;
        }
        let removed = self.parts.host.retain(&self.parts.journals, day);
        // The session goes on: too much is kept, no more.
        *self
            .status
            .retention
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = removed.err().map(|e| e.to_string());
    }

    fn save(&mut self) {
        self.saved = Instant::now();
        self.parts.host.commit();
        // What it could stand on is not there.
        if self.parts.host.failed().is_some() {
            return;
        }
        let saved = self.parts.host.snapshot(false);
        self.status.snapshots.note(&saved);
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
