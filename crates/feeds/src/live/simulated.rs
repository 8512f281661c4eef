//! The simulated exchange's market as a feed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use exchange::{Quote, SharedExchange};
use model::time::SECOND;
use model::{InstrumentIdx, Timestamp};

use super::{BATCH_MAX, Batch, Feed, FeedError, Nature, Next};

/// The market moves on in steps of at most so many nanoseconds, so that what a long pause (a suspended
/// machine) has left behind does not come all at once.
const STEP: i64 = SECOND / 4;
/// A pause between two looks at the clock.
const PAUSE: Duration = Duration::from_millis(2);

/// The feed. The exchange's time follows the clock; this feed is what moves it.
pub struct SimulatedFeed {
    name: String,
    exchange: SharedExchange,
    instruments: Vec<InstrumentIdx>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    at: Option<Timestamp>,
    quotes: Vec<Quote>,
    /// What is to be delivered: at most one step's quotes.
    waiting: VecDeque<Quote>,
    number: u64,
    is_stopped: bool,
}

impl SimulatedFeed {
    /// Of those of `instruments` that the exchange lists, on a clock.
    pub fn new(
        name: &str,
        exchange: SharedExchange,
        mut instruments: Vec<InstrumentIdx>,
        now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Self {
        let listed: Vec<_> = exchange.with(|e| e.listed().collect());
        instruments.retain(|i| listed.contains(i));
        Self {
            name: name.to_owned(),
            exchange,
            instruments,
            now,
            at: None,
            quotes: Vec::new(),
            waiting: VecDeque::new(),
            number: 0,
            is_stopped: false,
        }
    }

    fn advance(&mut self) {
        let now = (self.now)();
        let from = *self.at.get_or_insert(now);
        // A clock that is set back waits until it is there again.
        let to = now.min(from.plus(STEP)).max(from);
        self.at = Some(to);
        self.exchange.advance(to, &mut self.quotes);
        let wanted = &self.instruments;
        self.waiting.extend(
            self.quotes
                .drain(..)
                .filter(|q| wanted.contains(&q.tick.instrument)),
        );
    }
}

impl Feed for SimulatedFeed {
    fn name(&self) -> &str {
        &self.name
    }
    fn nature(&self) -> Nature {
        Nature::Live
    }
    fn instruments(&self) -> &[InstrumentIdx] {
        &self.instruments
    }

    fn connect(&mut self) -> Result<(), FeedError> {
        if self.instruments.is_empty() {
            return Err(FeedError::Refused(
                "none of the instruments is listed on the simulated exchange".to_owned(),
            ));
        }
        Ok(())
    }

    fn next(&mut self, wait: Duration, batch: &mut Batch) -> Result<Next, FeedError> {
        if self.is_stopped {
            std::thread::sleep(wait.min(PAUSE));
            return Ok(Next::Idle);
        }
        let mut waited = Duration::ZERO;
        loop {
            if self.waiting.is_empty() {
                self.advance();
            }
            if !self.waiting.is_empty() {
                let count = self.waiting.len().min(BATCH_MAX);
                for Quote { tick, depth } in self.waiting.drain(..count) {
                    batch.tick(self.number, tick, Some(&depth));
                    self.number += 1;
                }
                return Ok(Next::Data);
            }
            if waited >= wait {
                return Ok(Next::Idle);
            }
            let pause = PAUSE.min(wait - waited);
            std::thread::sleep(pause);
            waited += pause;
        }
    }

    fn stop(&mut self) {
        self.is_stopped = true;
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use model::Instruments;
    use model::time::{DAY, HOUR};

    use super::super::conformance::{Subject, check};
    use super::super::{Feed, Item};
    use super::*;

    const START: Timestamp = Timestamp(20_000 * DAY);

    /// A clock that moves on by itself with every look.
    fn clock(step: i64) -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
        let time = AtomicI64::new(START.nanos());
        Arc::new(move || Timestamp(time.fetch_add(step, Ordering::Relaxed)))
    }

    fn feed(step: i64) -> SimulatedFeed {
        let instruments = Instruments::new(exchange::instruments()).unwrap();
        let exchange = SharedExchange::new(7, 20, &instruments);
        exchange.resume(START, &[]);
        let all = instruments.iter().map(|(i, _)| i).collect();
        SimulatedFeed::new("sim", exchange, all, clock(step))
    }

    struct Simulated;

    impl Subject for Simulated {
        fn begin(&mut self, _: u64) -> Box<dyn Feed> {
            Box::new(feed(3_000_000))
        }
        fn pulls(&self) -> usize {
            300
        }
    }

    #[test]
    fn it_conforms() {
        check(&mut Simulated).unwrap();
    }

    #[test]
    fn a_long_pause_comes_in_steps_and_in_order() {
        let mut feed = feed(HOUR);
        let mut last = START;
        for _ in 0..50 {
            let mut batch = Batch::default();
            feed.next(Duration::ZERO, &mut batch).unwrap();
            for item in &batch.items {
                let Item::Tick { tick, depth, .. } = item else {
                    panic!("{item:?}");
                };
                assert!(tick.ts >= last && tick.ts <= last.plus(STEP), "{tick:?}");
                assert!(depth.is_some());
                last = tick.ts;
            }
        }
        assert!(last > START.plus(10 * STEP));
    }
}
