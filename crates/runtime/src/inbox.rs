//! What waits for a namespace's thread: packets of the runner, bounded in steps, reports of the broker,
//! bounded in number, and other messages, bounded by who may send them: each waits for its answer.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::packet::SharedPacket;

/// So many messages may wait before a broker's next report has to wait itself.
const REPORTS: usize = 16_384;

/// Why a packet was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// As many steps wait already as may.
    Full,
    /// The namespace takes nothing any more.
    Closed,
}

#[derive(Debug)]
struct State<M> {
    packets: VecDeque<SharedPacket>,
    steps: usize,
    messages: VecDeque<M>,
    /// The namespace's thread sleeps: only then a sender makes the system call that wakes it.
    sleeps: bool,
    closed: bool,
}

/// What was waiting.
#[derive(Debug)]
pub struct Work<M> {
    /// Packets, in order.
    pub packets: Vec<SharedPacket>,
    /// Messages, in order of arrival.
    pub messages: Vec<M>,
    /// True once nothing more will come.
    pub closed: bool,
}

impl<M> Default for Work<M> {
    fn default() -> Self {
        Self {
            packets: Vec::new(),
            messages: Vec::new(),
            closed: false,
        }
    }
}

/// The queue between the runner, links and control on one side and a namespace on the other.
#[derive(Debug)]
pub struct Inbox<M> {
    state: Mutex<State<M>>,
    filled: Condvar,
    emptied: Condvar,
    capacity: usize,
}

impl<M> Inbox<M> {
    /// With room for so many steps.
    pub fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                packets: VecDeque::new(),
                steps: 0,
                messages: VecDeque::new(),
                sleeps: false,
                closed: false,
            }),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            capacity,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<M>> {
        // The state is whole between two statements: a thread that panicked left nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a packet, waiting up to `patience` for room. One that is larger than the queue is taken
    /// when the queue is empty.
    pub fn push(&self, packet: &SharedPacket, patience: Duration) -> Result<(), Refused> {
        let deadline = Instant::now() + patience;
        let size = packet.steps.len();
        let mut state = self.lock();
        while !state.closed && state.steps > 0 && state.steps + size > self.capacity {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Refused::Full);
            }
            state = self
                .emptied
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        if state.closed {
            return Err(Refused::Closed);
        }
        state.steps += size;
        state.packets.push_back(SharedPacket::clone(packet));
        self.wake(state);
        Ok(())
    }

    /// Adds a message. False when the namespace takes nothing any more.
    pub fn send(&self, message: M) -> bool {
        self.add(self.lock(), message)
    }

    /// Adds a broker's report. While too many messages wait, whoever brings it waits too: a broker that
    /// reports faster than a namespace writes is slowed down, and nothing is dropped. False when the
    /// namespace takes nothing any more.
    pub fn send_report(&self, message: M) -> bool {
        let mut state = self.lock();
        while !state.closed && state.messages.len() >= REPORTS {
            state = self
                .emptied
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.add(state, message)
    }

    fn add(&self, mut state: MutexGuard<'_, State<M>>, message: M) -> bool {
        if state.closed {
            return false;
        }
        state.messages.push_back(message);
        self.wake(state);
        true
    }

    fn wake(&self, state: MutexGuard<'_, State<M>>) {
        let sleeps = state.sleeps;
        drop(state);
        if sleeps {
            self.filled.notify_one();
        }
    }

    /// Takes all messages and up to `packets` packets, waiting up to `wait` for the first.
    pub fn take(&self, work: &mut Work<M>, packets: usize, wait: Duration) {
        work.packets.clear();
        work.messages.clear();
        let deadline = Instant::now() + wait;
        let mut state = self.lock();
        while state.packets.is_empty() && state.messages.is_empty() && !state.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state.sleeps = true;
            state = self
                .filled
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            state.sleeps = false;
        }
        let was_full = state.messages.len() >= REPORTS;
        work.messages.extend(state.messages.drain(..));
        let count = packets.min(state.packets.len());
        work.packets.extend(state.packets.drain(..count));
        let steps: usize = work.packets.iter().map(|p| p.steps.len()).sum();
        state.steps -= steps;
        work.closed = state.closed && state.packets.is_empty();
        drop(state);
        if was_full {
            self.emptied.notify_all();
        } else if count > 0 {
            self.emptied.notify_one();
        }
    }

    /// Nothing more is taken; what waits may still be read.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.emptied.notify_all();
    }

    /// Nothing more is taken, and what waits is dropped: the namespace is detached.
    pub fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.packets.clear();
        state.messages.clear();
        state.steps = 0;
        drop(state);
        self.filled.notify_all();
        self.emptied.notify_all();
    }

    /// Steps that wait, and how many may.
    pub fn depth(&self) -> (usize, usize) {
        (self.lock().steps, self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Packet, Step};
    use journal::Offset;
    use model::{InputId, Timestamp};
    use std::sync::Arc;

    fn packet(steps: usize) -> SharedPacket {
        Arc::new(Packet {
            steps: vec![Step::End(InputId(0), Timestamp(0)); steps],
            position: Offset(0),
            received: 0,
        })
    }

    #[test]
    fn the_bound_holds_and_what_waits_stays_in_order() {
        let inbox = Inbox::<u32>::new(4);
        assert_eq!(inbox.push(&packet(3), Duration::ZERO), Ok(()));
        assert_eq!(inbox.push(&packet(2), Duration::ZERO), Err(Refused::Full));
        assert_eq!(inbox.push(&packet(1), Duration::ZERO), Ok(()));
        assert!(inbox.send(7));
        let mut work = Work::default();
        inbox.take(&mut work, 1, Duration::ZERO);
        assert_eq!(
            (work.packets.len(), work.messages.as_slice()),
            (1, &[7][..])
        );
        assert_eq!(work.packets[0].steps.len(), 3);
        assert_eq!(inbox.depth(), (1, 4));
        // One that is larger than the queue waits for it to be empty.
        assert_eq!(inbox.push(&packet(9), Duration::ZERO), Err(Refused::Full));
        inbox.take(&mut work, 8, Duration::ZERO);
        assert_eq!(inbox.push(&packet(9), Duration::ZERO), Ok(()));
        inbox.close();
        assert_eq!(inbox.push(&packet(1), Duration::ZERO), Err(Refused::Closed));
        assert!(!inbox.send(8));
        inbox.take(&mut work, 8, Duration::ZERO);
        assert!(work.closed && work.packets.len() == 1);
    }

    #[test]
    fn a_broker_that_reports_too_fast_waits_and_nothing_is_lost() {
        let inbox = Arc::new(Inbox::<usize>::new(1));
        let total = 3 * REPORTS;
        let broker = Arc::clone(&inbox);
        let thread = std::thread::spawn(move || (0..total).all(|n| broker.send_report(n)));
        let (mut work, mut all) = (Work::default(), Vec::new());
        while all.len() < total {
            inbox.take(&mut work, 1, Duration::from_secs(60));
            assert!(work.messages.len() <= REPORTS);
            all.append(&mut work.messages);
        }
        assert!(thread.join().unwrap());
        assert!(all.iter().copied().eq(0..total));
        // One that waits as the namespace ends is let go.
        for n in 0..REPORTS {
            assert!(inbox.send_report(n));
        }
        let broker = Arc::clone(&inbox);
        let thread = std::thread::spawn(move || broker.send_report(0));
        inbox.close();
        assert!(!thread.join().unwrap());
    }

    #[test]
    fn a_producer_that_waits_for_room_gets_it() {
        let inbox = Arc::new(Inbox::<u32>::new(1));
        inbox.push(&packet(1), Duration::ZERO).unwrap();
        let other = Arc::clone(&inbox);
        let thread =
            std::thread::spawn(move || other.push(&packet(1), Duration::from_secs(60)).is_ok());
        let mut work = Work::default();
        inbox.take(&mut work, 1, Duration::from_secs(60));
        assert!(thread.join().unwrap());
        inbox.take(&mut work, 1, Duration::from_secs(60));
        assert_eq!(work.packets.len(), 1);
    }
}
