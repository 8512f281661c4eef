//! The bounded hand-over from feeds to the host.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Batch, Conflator};

/// What happens at the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The producer waits: a replay.
    Block,
    /// What waits is conflated: a live feed.
    Conflate,
}

/// What a queue has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Items that wait.
    pub depth: usize,
    /// Items that were handed over.
    pub delivered: u64,
    /// Ticks that were merged into others.
    pub conflated: u64,
}

#[derive(Debug)]
struct State {
    batch: Batch,
    conflator: Conflator,
    stats: QueueStats,
    producers: usize,
    closed: bool,
}

/// The queue of all feeds of a session, in the order of arrival.
#[derive(Debug)]
pub struct FeedQueue {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
    capacity: usize,
    policy: Policy,
}

impl FeedQueue {
    /// With room for `capacity` items, at least one batch's, from so many producers.
    pub fn new(capacity: usize, policy: Policy, producers: usize) -> Self {
        Self {
            state: Mutex::new(State {
                batch: Batch::default(),
                conflator: Conflator::default(),
                stats: QueueStats::default(),
                producers,
                closed: false,
            }),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            capacity: capacity.max(super::BATCH_MAX),
            policy,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done between two statements of a holder.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a batch, and empties it. False once the host takes nothing any more.
    pub fn push(&self, batch: &mut Batch) -> bool {
        let mut state = self.lock();
        if self.policy == Policy::Block {
            while !state.closed
                && !state.batch.items.is_empty()
                && state.batch.items.len() + batch.items.len() > self.capacity
            {
                state = self
                    .emptied
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
        if state.closed {
            return false;
        }
        let was_empty = state.batch.items.is_empty();
        if was_empty {
            std::mem::swap(&mut state.batch, batch);
        } else {
            state.batch.extend_from(batch, 0..batch.items.len());
        }
        batch.clear();
        if self.policy == Policy::Conflate && state.batch.items.len() > self.capacity {
            let State {
                batch,
                conflator,
                stats,
                ..
            } = &mut *state;
            stats.conflated += conflator.conflate(batch);
        }
        drop(state);
        if was_empty {
            self.filled.notify_one();
        }
        true
    }

    /// Takes all that waits, in place of what `batch` holds, waiting up to `wait` for the first.
    /// True once every producer has ended and nothing is left.
    pub fn pop(&self, batch: &mut Batch, wait: Duration) -> bool {
        batch.clear();
        let mut state = self.lock();
        if state.batch.items.is_empty() && state.producers > 0 && !wait.is_zero() {
            let deadline = Instant::now() + wait;
            while state.batch.items.is_empty() && state.producers > 0 {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                state = self
                    .filled
                    .wait_timeout(state, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
        }
        std::mem::swap(&mut state.batch, batch);
        state.stats.delivered += batch.items.len() as u64;
        let ended = batch.items.is_empty() && state.producers == 0;
        drop(state);
        if self.policy == Policy::Block && !batch.items.is_empty() {
            self.emptied.notify_all();
        }
        ended
    }

    /// A producer delivers nothing more.
    pub fn end(&self) {
        let mut state = self.lock();
        state.producers = state.producers.saturating_sub(1);
        drop(state);
        self.filled.notify_one();
    }

    /// The host takes nothing more: producers that wait are let go.
    pub fn close(&self) {
        self.lock().closed = true;
        self.emptied.notify_all();
        self.filled.notify_all();
    }

    /// Whether the host has closed it: that no producer is left says nothing about their data then.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// What has been counted.
    pub fn stats(&self) -> QueueStats {
        let state = self.lock();
        QueueStats {
            depth: state.batch.items.len(),
            ..state.stats
        }
    }

    /// How many items may wait.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{InstrumentIdx, Price, Tick};
    use std::sync::Arc;

    fn fill(batch: &mut Batch, from: u64, count: u64) {
        for number in from..from + count {
            let tick = Tick {
                price: Price::from_raw(number as i64 + 1),
                instrument: InstrumentIdx((number % 3) as u32),
                ..Tick::default()
            };
            batch.tick(number, tick, None);
        }
    }

    fn numbers(batch: &Batch) -> Vec<u64> {
        batch
            .items
            .iter()
            .map(|item| match item {
                super::super::Item::Tick { number, .. }
                | super::super::Item::Bar { number, .. } => *number,
            })
            .collect()
    }

    #[test]
    fn a_blocking_queue_loses_nothing_and_keeps_its_bound() {
        let queue = Arc::new(FeedQueue::new(2048, Policy::Block, 1));
        let producer = Arc::clone(&queue);
        let thread = std::thread::spawn(move || {
            let mut batch = Batch::default();
            for at in 0..100 {
                fill(&mut batch, at * 500, 500);
                assert!(producer.push(&mut batch));
                assert!(producer.stats().depth <= 2048);
            }
            producer.end();
        });
        let mut all = Vec::new();
        let mut batch = Batch::default();
        while !queue.pop(&mut batch, Duration::from_secs(60)) {
            all.extend(numbers(&batch));
        }
        thread.join().unwrap();
        assert_eq!(all, (0..50_000).collect::<Vec<_>>());
        assert_eq!(queue.stats().conflated, 0);
    }

    #[test]
    fn a_conflating_queue_never_waits_and_counts() {
        let queue = FeedQueue::new(1024, Policy::Conflate, 1);
        let mut batch = Batch::default();
        for at in 0..10 {
            fill(&mut batch, at * 300, 300);
            assert!(queue.push(&mut batch));
        }
        assert!(queue.stats().depth <= 1024);
        queue.pop(&mut batch, Duration::ZERO);
        let stats = queue.stats();
        assert_eq!(stats.delivered + stats.conflated, 3000);
        assert_eq!(*numbers(&batch).last().unwrap(), 2999);
        queue.close();
        fill(&mut batch, 0, 1);
        assert!(!queue.push(&mut batch));
    }
}
