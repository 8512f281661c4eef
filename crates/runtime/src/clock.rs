//! Where time enters. A session has one clock: the wall, or in a replay its feed's.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use model::Timestamp;

/// A session's clock. It never goes back: what the wall takes back is waited for.
pub trait SessionClock: Send + Sync {
    /// The session's time.
    fn now(&self) -> Timestamp;
    /// True where it is the wall's: it moves by itself, also while nothing arrives.
    fn is_live(&self) -> bool;
    /// A replay's feed has reached this instant.
    fn reach(&self, at: Timestamp);
}

/// The wall's time in nanoseconds UTC, for host sections and log lines.
pub fn wall() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|d| i64::try_from(d.as_nanos()).ok())
        .unwrap_or_default()
}

/// Nanoseconds of this process, at least one. Every duration is measured by it: the wall clock may be set at
/// any moment, and a step forward is no silence.
pub fn uptime() -> i64 {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let passed = ORIGIN.get_or_init(Instant::now).elapsed().as_nanos();
    i64::try_from(passed).unwrap_or(i64::MAX).max(1)
}

/// The wall clock, kept from going back.
#[derive(Debug, Default)]
pub struct WallClock {
    latest: AtomicI64,
}

impl WallClock {
    /// From now on.
    pub fn shared() -> Arc<Self> {
        Arc::new(Self::default())
    }
}

impl SessionClock for WallClock {
    fn now(&self) -> Timestamp {
        let now = wall();
        Timestamp(self.latest.fetch_max(now, Ordering::Relaxed).max(now))
    }
    fn is_live(&self) -> bool {
        true
    }
    /// After a restart time goes on from where the log has come to.
    fn reach(&self, at: Timestamp) {
        self.latest.fetch_max(at.nanos(), Ordering::Relaxed);
    }
}

/// A clock that stands where it was told to: a replay's, and a simulation's.
#[derive(Debug)]
pub struct FeedClock {
    now: AtomicI64,
    live: bool,
}

impl FeedClock {
    /// Of a replay.
    pub fn replay() -> Arc<Self> {
        Arc::new(Self {
            now: AtomicI64::new(i64::MIN),
            live: false,
        })
    }
    /// Of a simulation of a live session.
    pub fn simulated(start: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            now: AtomicI64::new(start.nanos()),
            live: true,
        })
    }
}

impl SessionClock for FeedClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::Relaxed))
    }
    fn is_live(&self) -> bool {
        self.live
    }
    fn reach(&self, at: Timestamp) {
        self.now.fetch_max(at.nanos(), Ordering::Relaxed);
    }
}
