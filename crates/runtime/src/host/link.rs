//! The thread that owns an outside trader: makes the calls that the desk asks for, connects and
//! connects again, and passes on what the broker reports.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use traders::{Answer, BrokerReport, Found, Reports, Trader};

use crate::clock::{SessionClock, uptime, wall};
use crate::desk::{Call, Outcome, carry_out, unproven, unstarted};
use crate::driver::Message;
use crate::driver::namespace::BrokerLink;
use crate::inbox::Inbox;

/// First pause before connecting again; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest pause before connecting again.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Where what a broker sends goes when it cannot be read, or belongs to nobody.
pub type Unreadable = Arc<dyn Fn(&[u8], &str) + Send + Sync>;

#[allow(clippy::large_enum_variant, reason = "one at a time")]
enum Order {
    Call(Call),
    Confirm(u64),
    Stop,
}

/// What a link looks like from outside.
#[derive(Debug, Default)]
pub struct LinkStatus {
    /// Connected.
    pub connected: AtomicBool,
    /// When the call that is under way started, by [`uptime`]; zero for none.
    pub calling_since: AtomicI64,
    /// Calls made.
    pub calls: AtomicU64,
    /// Calls whose outcome could not be told.
    pub unknown: AtomicU64,
    /// Connections lost.
    pub lost: AtomicU64,
    /// Why it is not connected.
    pub why: Mutex<String>,
}

/// A handle to the thread.
#[derive(Debug)]
pub struct Link {
    orders: SyncSender<Order>,
    status: Arc<LinkStatus>,
    thread: Option<JoinHandle<()>>,
}

struct Sink {
    inbox: Arc<Inbox<Message>>,
    lost: Arc<AtomicBool>,
    why: Arc<LinkStatus>,
    unreadable: Unreadable,
}

impl Reports for Sink {
    fn report(&self, report: BrokerReport) -> bool {
        self.inbox.send_report(Message::Report(report))
    }
    fn lost(&self, why: &str) {
        self.lost.store(true, Ordering::Release);
        *self.why.why.lock().unwrap_or_else(PoisonError::into_inner) = why.to_owned();
    }
    fn unreadable(&self, what: &[u8], why: &str) {
        (self.unreadable)(what, why);
    }
}

impl Link {
    /// Starts the thread. It connects by itself; calls before that are answered as not sent.
    pub fn start(
        name: &str,
        trader: Box<dyn Trader>,
        inbox: Arc<Inbox<Message>>,
        clock: Arc<dyn SessionClock>,
        unreadable: Unreadable,
    ) -> std::io::Result<Self> {
        let (orders, receiver) = sync_channel(64);
        let status = Arc::new(LinkStatus::default());
        let worker = Worker {
            trader,
            clock,
            sink: Arc::new(Sink {
                inbox: Arc::clone(&inbox),
                lost: Arc::new(AtomicBool::new(false)),
                why: Arc::clone(&status),
                unreadable,
            }),
            inbox,
            status: Arc::clone(&status),
            pause: PAUSE_MIN,
        };
        let thread = std::thread::Builder::new()
            .name(format!("link-{name}"))
            .spawn(move || worker.run(&receiver))?;
        Ok(Self {
            orders,
            status,
            thread: Some(thread),
        })
    }

    fn order(&self, order: Order) -> bool {
        self.orders.try_send(order).is_ok()
    }

    /// How it is.
    pub fn status(&self) -> &Arc<LinkStatus> {
        &self.status
    }
}

impl BrokerLink for Link {
    fn call(&mut self, call: Call) -> bool {
        self.order(Order::Call(call))
    }

    fn confirm(&mut self, number: u64) {
        self.order(Order::Confirm(number));
    }

    fn calling_since(&self) -> Option<i64> {
        let since = self.status.calling_since.load(Ordering::Acquire);
        (since > 0).then_some(since)
    }

    fn is_connected(&self) -> bool {
        self.status.connected.load(Ordering::Acquire)
    }

    /// A call that hangs leaves its thread behind.
    fn stop(&mut self, patience: Duration) {
        self.order(Order::Stop);
        let Some(thread) = self.thread.take() else {
            return;
        };
        let deadline = Instant::now() + patience;
        while !thread.is_finished() {
            if Instant::now() >= deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // A panic in it was caught, and told.
        let _ = thread.join();
    }
}

struct Worker {
    trader: Box<dyn Trader>,
    clock: Arc<dyn SessionClock>,
    sink: Arc<Sink>,
    inbox: Arc<Inbox<Message>>,
    status: Arc<LinkStatus>,
    pause: Duration,
}

impl Worker {
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            if !self.status.connected.load(Ordering::Acquire) {
                self.connect();
            } else if self.sink.lost.swap(false, Ordering::AcqRel) {
                self.lose();
                continue;
            }
            let connected = self.status.connected.load(Ordering::Acquire);
            let wait = if connected {
                Duration::from_millis(20)
            } else {
                self.pause
            };
            match orders.recv_timeout(wait) {
                Ok(Order::Call(call)) => self.make(call),
                Ok(Order::Confirm(number)) => {
                    if connected {
                        self.guard(|trader| trader.confirm(number));
                    }
                }
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    if !connected {
                        self.pause = (self.pause * 2).min(PAUSE_MAX);
                    }
                }
            }
        }
        self.guard(|trader| trader.stop());
    }

    /// A trader that panics has an unknown outcome, and is connected anew.
    fn guard<T>(&mut self, f: impl FnOnce(&mut dyn Trader) -> T) -> Option<T> {
        let trader = self.trader.as_mut();
        match catch_unwind(AssertUnwindSafe(|| f(trader))) {
            Ok(value) => Some(value),
            Err(_) => {
                self.sink.lost("the trader's code failed");
                None
            }
        }
    }

    fn connect(&mut self) {
        let sink: Arc<dyn Reports> = Arc::clone(&self.sink) as Arc<dyn Reports>;
        self.sink.lost.store(false, Ordering::Release);
        match self.guard(|trader| trader.connect(sink)) {
            Some(Ok(())) => {
                self.pause = PAUSE_MIN;
                self.status.connected.store(true, Ordering::Release);
                self.inbox.send(Message::Connected);
            }
            Some(Err(error)) => {
                *self
                    .status
                    .why
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = error.to_string();
            }
            None => {}
        }
    }

    fn lose(&mut self) {
        self.status.connected.store(false, Ordering::Release);
        self.status.lost.fetch_add(1, Ordering::Relaxed);
        let why = self
            .status
            .why
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        self.inbox.send(Message::Lost(why));
    }

    fn make(&mut self, call: Call) {
        let connected = self.status.connected.load(Ordering::Acquire);
        let started = wall();
        self.status.calling_since.store(uptime(), Ordering::Release);
        let now = self.clock.now();
        let outcome = if connected {
            self.guard(|trader| carry_out(trader, &call, now))
                .unwrap_or_else(|| unproven(&call))
        } else {
            unstarted(&call)
        };
        self.status.calling_since.store(0, Ordering::Release);
        self.status.calls.fetch_add(1, Ordering::Relaxed);
        if matches!(
            outcome,
            Outcome::Answered(Answer::Unknown) | Outcome::Found(Found::Unknown)
        ) {
            self.status.unknown.fetch_add(1, Ordering::Relaxed);
        }
        self.inbox
            .send(Message::Outcome(call, outcome, started, wall()));
    }
}
