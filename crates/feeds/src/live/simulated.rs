//! The simulated exchange's market as a feed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use exchange::{Quote, SharedExchange};
use model::time::{MINUTE, SECOND};
use model::{InstrumentIdx, Instruments, Timestamp};

use super::registry::{FeedKind, SIMULATED};
use super::settings::{SIMULATED_SETTINGS, SimulatedSettings};
use super::{BATCH_MAX, Batch, Feed, FeedError, Nature, Next, Unserved, split};

/// The market moves on in steps of at most so many nanoseconds, so that what a pause of this process has left
/// behind does not come all at once.
const STEP: i64 = SECOND / 4;
/// After a longer pause (a suspended machine, a clock that was set forward) the feed goes on at the new time
/// and makes up no ticks of the pause.
const PAUSE_MAX: i64 = MINUTE;
/// A pause between two looks at the clock.
const PAUSE: Duration = Duration::from_millis(2);

/// The kind to register; `exchange` is the one of this process, where there is one.
pub fn simulated_kind(exchange: Option<SharedExchange>) -> FeedKind {
    FeedKind {
        name: SIMULATED,
        summary: "the built-in exchange, which never closes",
        settings: SIMULATED_SETTINGS,
        build: Some(Box::new(move |context| {
            SimulatedSettings::from_table(context.settings)?;
            let exchange = exchange.clone();
            let exchange = exchange.ok_or("this process has no simulated exchange")?;
            let (instruments, now) = (Arc::clone(&context.instruments), Arc::clone(&context.now));
            let feed = SimulatedFeed::new(context.name, exchange, instruments, now);
            Ok(Box::new(feed))
        })),
    }
}

/// The feed. The exchange's time follows the clock; this feed is what moves it.
pub struct SimulatedFeed {
    name: String,
    exchange: SharedExchange,
    instruments: Arc<Instruments>,
    /// What it is asked for.
    asked: Vec<InstrumentIdx>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    at: Option<Timestamp>,
    quotes: Vec<Quote>,
    /// What is to be delivered: at most one step's quotes.
    waiting: VecDeque<Quote>,
    number: u64,
    is_stopped: bool,
}

impl SimulatedFeed {
    /// Of an exchange that lists some of `instruments`, on a clock.
    pub fn new(
        name: &str,
        exchange: SharedExchange,
        instruments: Arc<Instruments>,
        now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            exchange,
            instruments,
            asked: Vec::new(),
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
        let mut from = *self.at.get_or_insert(now);
        if now.since(from) > PAUSE_MAX {
            self.exchange.skip(now);
            from = now;
        }
        // A clock that is set back waits until it is there again.
        let to = now.min(from.plus(STEP)).max(from);
        self.at = Some(to);
        self.exchange.advance(to, &mut self.quotes);
        let wanted = &self.asked;
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
        &self.asked
    }

    fn ask(&mut self, wanted: &[String]) -> Result<Vec<Unserved>, FeedError> {
        let listed: Vec<_> = self.exchange.with(|e| e.listed().collect());
        let why = "it is not listed on the simulated exchange";
        let (asked, unserved) = split(&self.instruments, wanted, |i| listed.contains(&i), why);
        self.waiting
            .retain(|quote| asked.contains(&quote.tick.instrument));
        self.asked = asked;
        Ok(unserved)
    }

    fn connect(&mut self) -> Result<(), FeedError> {
        if self.asked.is_empty() {
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
        feed_by(clock(step))
    }

    fn feed_by(now: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> SimulatedFeed {
        let instruments = Arc::new(Instruments::new(exchange::instruments()).unwrap());
        let exchange = SharedExchange::new(7, 20, &instruments);
        exchange.resume(START, &[]);
        SimulatedFeed::new("sim", exchange, instruments, now)
    }

    fn ids() -> Vec<String> {
        exchange::instruments().into_iter().map(|i| i.id).collect()
    }

    struct Simulated;

    impl Subject for Simulated {
        fn begin(&mut self, _: u64) -> Box<dyn Feed> {
            Box::new(feed(3_000_000))
        }
        fn wanted(&self) -> Vec<String> {
            ids()
        }
        fn pulls(&self) -> usize {
            300
        }
    }

    #[test]
    fn it_conforms() {
        check(&mut Simulated).unwrap();
    }

    /// Pulls once; the times of the ticks.
    fn pull(feed: &mut SimulatedFeed) -> Vec<Timestamp> {
        let mut batch = Batch::default();
        feed.next(Duration::ZERO, &mut batch).unwrap();
        let times = batch.items.iter().map(|item| match item {
            Item::Tick { tick, depth, .. } => {
                assert!(depth.is_some());
                tick.ts
            }
            Item::Bar { .. } => panic!("{item:?}"),
        });
        times.collect()
    }

    #[test]
    fn a_pause_comes_in_steps_and_a_long_one_is_passed_over() {
        let time = Arc::new(AtomicI64::new(START.nanos()));
        let clock = Arc::clone(&time);
        let mut feed = feed_by(Arc::new(move || Timestamp(clock.load(Ordering::Relaxed))));
        feed.ask(&ids()).unwrap();
        pull(&mut feed);
        let mut last = START;
        time.fetch_add(PAUSE_MAX / 2, Ordering::Relaxed);
        for _ in 0..200 {
            for ts in pull(&mut feed) {
                assert!(ts >= last && ts <= last.plus(STEP), "{ts:?}");
                last = ts;
            }
        }
        assert!(last > START.plus(PAUSE_MAX / 2 - STEP), "{last:?}");
        let now = START.plus(HOUR);
        time.store(now.nanos(), Ordering::Relaxed);
        let mut seen = 0;
        for _ in 0..50 {
            for ts in pull(&mut feed) {
                assert!(ts >= now, "{ts:?}");
                seen += 1;
            }
            time.fetch_add(STEP, Ordering::Relaxed);
        }
        assert!(seen > 100, "{seen}");
    }
}
