//! Measures what strategies take.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::StrategyIdx;
use pipeline::strategy_host::CallProbe;

/// Watches the calls of one thread's strategies.
#[derive(Debug)]
pub struct StrategyProbe {
    budget: Duration,
    origin: Instant,
    /// The strategy that is being called plus one; zero for none.
    running: AtomicU32,
    /// When its call started, in nanoseconds after `origin`.
    since: AtomicI64,
    over: Mutex<Vec<(StrategyIdx, Duration)>>,
}

impl StrategyProbe {
    /// With so much time for one call.
    pub fn new(budget: Duration) -> Arc<Self> {
        Arc::new(Self {
            budget,
            origin: Instant::now(),
            running: AtomicU32::new(0),
            since: AtomicI64::new(0),
            over: Mutex::new(Vec::new()),
        })
    }

    fn now(&self) -> i64 {
        i64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }

    /// The strategy whose call is under way, and for how long.
    pub fn running(&self) -> Option<(StrategyIdx, Duration)> {
        let running = self.running.load(Ordering::Acquire);
        let since = self.since.load(Ordering::Acquire);
        let took = u64::try_from(self.now() - since).unwrap_or(0);
        running
            .checked_sub(1)
            .map(|index| (StrategyIdx(index), Duration::from_nanos(took)))
    }

    /// The strategies that took more than their time since this was last asked.
    pub fn take_over(&self) -> Vec<(StrategyIdx, Duration)> {
        std::mem::take(&mut *self.over.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl CallProbe for StrategyProbe {
    fn enter(&self, strategy: StrategyIdx) {
        self.since.store(self.now(), Ordering::Release);
        self.running
            .store(strategy.0.wrapping_add(1), Ordering::Release);
    }
    fn leave(&self, strategy: StrategyIdx) {
        self.running.store(0, Ordering::Release);
        let took = u64::try_from(self.now() - self.since.load(Ordering::Acquire)).unwrap_or(0);
        let took = Duration::from_nanos(took);
        if took > self.budget {
            self.over
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((strategy, took));
        }
    }
}
