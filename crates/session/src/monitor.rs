//! The pipeline monitor: how much of everything there is, looked at every second and kept as a bounded
//! history. What namespaces have done is counted where it lasts: see [`pipeline::tally`].

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use runtime::clock::wall;
use serde::Serialize;

use super::handles::Handles;

/// Samples of a second each that are kept; the oldest goes first.
const SECONDS: usize = 600;
/// Samples of a minute each that are kept.
const MINUTES: usize = 1440;

/// One look at one namespace.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct NamespaceSample {
    /// Market inputs that it is behind the runner.
    pub lag: u64,
    /// Steps that wait for it.
    pub queue_depth: u64,
    /// Market inputs merged into others since the session began.
    pub conflated: u64,
    /// Events since the session began.
    pub events: u64,
    /// Orders since the session began.
    pub submitted: u64,
    /// Executions since the session began.
    pub fills: u64,
    /// Orders of unknown outcome.
    pub unresolved: u64,
    /// The latest commit's time, in microseconds.
    pub sync_us: u64,
}

/// One look at the system.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Sample {
    /// When, in nanoseconds UTC.
    pub at: i64,
    /// Market inputs since the first start.
    pub inputs: u64,
    /// Signals since the session began.
    pub signals: u64,
    /// Items that wait for the runner.
    pub queue_depth: u64,
    /// Ticks that were merged into others before the runner.
    pub conflated: u64,
    /// The latest commit's time of the market log, in microseconds.
    pub sync_us: u64,
    /// The namespaces by index.
    pub namespaces: Vec<NamespaceSample>,
}

#[derive(Debug, Default)]
struct History {
    seconds: VecDeque<Sample>,
    minutes: VecDeque<Sample>,
}

/// The monitor.
#[derive(Debug, Default)]
pub struct Monitor {
    history: Mutex<History>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Monitor {
    /// Takes a look; to be called once a second.
    pub fn sample(&self, handles: &Handles) {
        let market = handles.market.status();
        let queue = handles.queue.stats();
        let next = market.next_input.load(Ordering::Acquire);
        let sample = Sample {
            at: wall(),
            inputs: next,
            signals: market.signals.load(Ordering::Relaxed),
            queue_depth: queue.depth as u64,
            conflated: queue.conflated,
            sync_us: market.sync_nanos.load(Ordering::Relaxed) / 1000,
            namespaces: handles
                .members
                .iter()
                .map(|member| {
                    let status = member.host.status();
                    let (submitted, fills) = member.reader.since_start();
                    NamespaceSample {
                        lag: next.saturating_sub(status.next_input.load(Ordering::Acquire)),
                        queue_depth: member.host.inbox().depth().0 as u64,
                        conflated: status.conflated.load(Ordering::Relaxed),
                        events: status.events.load(Ordering::Relaxed),
                        submitted,
                        fills,
                        unresolved: status.unresolved.load(Ordering::Relaxed),
                        sync_us: status.sync_nanos.load(Ordering::Relaxed) / 1000,
                    }
                })
                .collect(),
        };
        let mut history = lock(&self.history);
        let minute = |at: i64| at / model::time::MINUTE;
        let begins = history
            .minutes
            .back()
            .is_none_or(|last| minute(last.at) != minute(sample.at));
        if begins {
            if history.minutes.len() == MINUTES {
                history.minutes.pop_front();
            }
            history.minutes.push_back(sample.clone());
        }
        if history.seconds.len() == SECONDS {
            history.seconds.pop_front();
        }
        history.seconds.push_back(sample);
    }

    /// The history: seconds, and minutes where `by_minute`.
    pub fn history(&self, by_minute: bool) -> Vec<Sample> {
        let history = lock(&self.history);
        let kept = if by_minute {
            &history.minutes
        } else {
            &history.seconds
        };
        kept.iter().cloned().collect()
    }

    /// How much something grew a second, over the last seconds that are kept.
    pub fn rate(&self, of: impl Fn(&Sample) -> u64) -> f64 {
        let history = lock(&self.history);
        let newest = history.seconds.back();
        let oldest = history.seconds.get(history.seconds.len().saturating_sub(6));
        match (oldest, newest) {
            (Some(old), Some(new)) if new.at > old.at => {
                let grown = of(new).saturating_sub(of(old)) as f64;
                grown / ((new.at - old.at) as f64 / 1e9)
            }
            _ => 0.0,
        }
    }
}
