//! Drives one feed into the queue: connects again with back-off, notices silence, keeps nonsense out.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::{InstrumentIdx, Price, Quantity, Tick, Timestamp};

use super::{Batch, Feed, FeedError, FeedQueue, Item, Next, Unserved};

/// Where a feed stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FeedState {
    /// Connecting, for the first time or again.
    #[default]
    Connecting,
    /// Delivering.
    Live,
    /// Connected, and silent for longer than it should be.
    Stale,
    /// A replay is over, or the feed was stopped.
    Ended,
    /// It will deliver nothing more: why.
    Failed(String),
}

impl FeedState {
    /// The name in files and lines.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Ended => "ended",
            Self::Failed(_) => "failed",
        }
    }
    /// Why it has failed.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Failed(why) => Some(why),
            _ => None,
        }
    }
}

/// What a feed looks like from outside.
#[derive(Debug, Default)]
pub struct FeedStatus {
    state: Mutex<FeedState>,
    /// Items delivered.
    pub delivered: AtomicU64,
    /// Items that were nonsense.
    pub rejected: AtomicU64,
    /// Connections made.
    pub connections: AtomicU64,
    /// When the latest item came, in nanoseconds of the supervisor's clock.
    pub last: AtomicI64,
}

impl FeedStatus {
    /// Where it stands.
    pub fn state(&self) -> FeedState {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
    fn set(&self, state: FeedState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// Why an item was not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nonsense {
    /// The price is not positive, or outside the accepted window.
    Price,
    /// A quantity is negative, or outside the accepted window.
    Quantity,
    /// The feed does not have this instrument.
    Instrument,
}

impl Nonsense {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Price => "price",
            Self::Quantity => "quantity",
            Self::Instrument => "unknown_instrument",
        }
    }
}

/// What surrounds a supervised feed.
pub trait Surroundings {
    /// A time that only runs on: silence is measured by it, and the wall clock may be set.
    fn now(&self) -> Timestamp;
    /// Lets time pass, less where the feed is to stop.
    fn pause(&self, time: Duration);
    /// Whether the feed is to stop.
    fn stopped(&self) -> bool;
    /// Whether silence is to be expected now: no session of these instruments is open.
    fn may_be_silent(&self, instruments: &[InstrumentIdx]) -> bool;
    /// The canonical ids that are asked for from now on, where they have changed.
    fn asked(&self) -> Option<Vec<String>>;
    /// The feed does not serve these.
    fn unserved(&self, all: &[Unserved]);
    /// An item was not passed on.
    fn rejected(&self, item: &Item, why: Nonsense);
    /// The state changed.
    fn changed(&self, state: &FeedState);
}

/// How a feed is supervised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supervision {
    /// First pause before connecting again; doubles.
    pub pause_min: Duration,
    /// Longest pause.
    pub pause_max: Duration,
    /// Silence for longer makes it stale; `None` for a replay.
    pub stale_after: Option<Duration>,
    /// Seed of the pauses' jitter.
    pub seed: u64,
}

impl Default for Supervision {
    fn default() -> Self {
        Self {
            pause_min: Duration::from_millis(250),
            pause_max: Duration::from_secs(30),
            stale_after: Some(Duration::from_secs(30)),
            seed: 0,
        }
    }
}

/// The longest wait within the feed.
const WAIT: Duration = Duration::from_millis(50);

/// Runs until the feed has ended, has failed, or is stopped.
pub fn run(
    feed: &mut dyn Feed,
    queue: &FeedQueue,
    supervision: &Supervision,
    status: &FeedStatus,
    around: &dyn Surroundings,
) {
    let mut supervisor = Supervisor {
        supervision,
        status,
        around,
        pause: supervision.pause_min,
        random: supervision.seed,
        known: feed.instruments().iter().copied().collect(),
    };
    let end = supervisor.drive(feed, queue);
    supervisor.set(end);
    feed.stop();
    queue.end();
}

struct Supervisor<'a> {
    supervision: &'a Supervision,
    status: &'a FeedStatus,
    around: &'a dyn Surroundings,
    pause: Duration,
    random: u64,
    known: BTreeSet<InstrumentIdx>,
}

impl Supervisor<'_> {
    fn set(&self, state: FeedState) {
        if self.status.state() != state {
            self.around.changed(&state);
            self.status.set(state);
        }
    }

    fn drive(&mut self, feed: &mut dyn Feed, queue: &FeedQueue) -> FeedState {
        let mut batch = Batch::default();
        let mut connected = false;
        let mut last = self.around.now();
        while !self.around.stopped() {
            if let Some(wanted) = self.around.asked() {
                let told = feed.ask(&wanted);
                self.known = feed.instruments().iter().copied().collect();
                match told {
                    Ok(unserved) if unserved.is_empty() => {}
                    Ok(unserved) => self.around.unserved(&unserved),
                    Err(error) => {
                        connected = false;
                        if let Some(end) = self.failed(&error) {
                            return end;
                        }
                    }
                }
            }
            if !connected {
                match feed.connect() {
                    Ok(()) => {
                        connected = true;
                        last = self.around.now();
                        self.status.connections.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => match self.failed(&error) {
                        Some(end) => return end,
                        None => continue,
                    },
                }
            }
            match feed.next(WAIT, &mut batch) {
                Ok(Next::Data) => {
                    self.pause = self.supervision.pause_min;
                    last = self.around.now();
                    self.status.last.store(last.nanos(), Ordering::Relaxed);
                    self.sift(&mut batch);
                    let count = batch.items.len() as u64;
                    self.set(FeedState::Live);
                    if count > 0 && !queue.push(&mut batch) {
                        return FeedState::Ended;
                    }
                    batch.clear();
                    self.status.delivered.fetch_add(count, Ordering::Relaxed);
                }
                Ok(Next::Idle) => self.silent(last, feed.instruments()),
                Ok(Next::Ended) => return FeedState::Ended,
                Err(error) => {
                    connected = false;
                    if let Some(end) = self.failed(&error) {
                        return end;
                    }
                }
            }
        }
        FeedState::Ended
    }

    fn silent(&self, last: Timestamp, instruments: &[InstrumentIdx]) {
        let Some(after) = self.supervision.stale_after else {
            return;
        };
        let silent = self.around.now().since(last).max(0) as u128;
        if silent > after.as_nanos() && !self.around.may_be_silent(instruments) {
            self.set(FeedState::Stale);
        }
    }

    /// Waits before the next try; or the end, where none can help.
    fn failed(&mut self, error: &FeedError) -> Option<FeedState> {
        match error {
            FeedError::Lost(_) => {
                self.set(FeedState::Connecting);
                // Up to a quarter less, so that many do not come back in one instant.
                self.random = self.random.wrapping_mul(6_364_136_223_846_793_005) + 1;
                let less = self.pause / 4 * ((self.random >> 33) % 256) as u32 / 256;
                self.around.pause(self.pause.saturating_sub(less));
                self.pause = (self.pause * 2).min(self.supervision.pause_max);
                None
            }
            FeedError::Refused(_) | FeedError::Data(_) => {
                Some(FeedState::Failed(error.to_string()))
            }
        }
    }

    fn sift(&self, batch: &mut Batch) {
        let known = |instrument| self.known.contains(&instrument);
        batch.items.retain(|item| {
            let nonsense = match item {
                Item::Tick { tick, .. } => nonsense(tick, &known),
                Item::Bar { bar, .. } if !known(bar.instrument) => Some(Nonsense::Instrument),
                Item::Bar { .. } => None,
            };
            if let Some(why) = nonsense {
                self.status.rejected.fetch_add(1, Ordering::Relaxed);
                self.around.rejected(item, why);
            }
            nonsense.is_none()
        });
    }
}

/// Why a tick is not passed on, where it is not.
pub fn nonsense(tick: &Tick, known: &dyn Fn(InstrumentIdx) -> bool) -> Option<Nonsense> {
    let price = |price: Price| price.in_window().is_ok();
    let optional = |p: Price| p == Price::ZERO || price(p);
    let quantity = |q: Quantity| q >= Quantity::ZERO && (q.is_zero() || q.in_window().is_ok());
    if !known(tick.instrument) {
        return Some(Nonsense::Instrument);
    }
    if !price(tick.price) || !optional(tick.bid) || !optional(tick.ask) {
        return Some(Nonsense::Price);
    }
    // A day's volume and open interest may exceed what one order may have.
    let sums = [tick.volume, tick.open_interest];
    if !quantity(tick.quantity) || sums.iter().any(|q| *q < Quantity::ZERO) {
        return Some(Nonsense::Quantity);
    }
    None
}

/// A flag as surroundings need it.
#[derive(Debug, Default)]
pub struct StopFlag(AtomicBool);

impl StopFlag {
    /// Raises it.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }
    /// Whether it is raised.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
