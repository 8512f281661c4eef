//! The thread of a feed, and what surrounds it.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use feeds::live::supervise::{
    self, FeedState, FeedStatus, Nonsense, StopFlag, Supervision, Surroundings,
};
use feeds::live::{Feed, FeedQueue, Item, Unserved};
use model::session::{SessionStatus, Sessions};
use model::{Date, InstrumentIdx, Instruments, Timestamp};
use runtime::clock::uptime;

use crate::narrate;

/// Told of a feed's changes of state.
pub type Changed = Arc<dyn Fn(&str, &FeedState) + Send + Sync>;
/// Told of items that are not passed on.
pub type Rejected = Arc<dyn Fn(&str, &Item, Nonsense) + Send + Sync>;

/// What a feed is started with.
pub struct FeedPlan {
    /// The feed.
    pub feed: Box<dyn Feed>,
    /// How it is supervised.
    pub supervision: Supervision,
    /// Where its items go.
    pub queue: Arc<FeedQueue>,
    /// Told of changes.
    pub changed: Changed,
    /// Told of nonsense.
    pub rejected: Rejected,
    /// The calendar.
    pub sessions: Arc<dyn Sessions>,
    /// The instruments.
    pub instruments: Arc<Instruments>,
}

/// What feeds are asked for while they run. A contract is asked for until its last trading day is over: a source
/// may refuse one that it lists no longer, also as a connection is made anew.
pub struct Subscriptions {
    feeds: Vec<(Arc<FeedThread>, Vec<InstrumentIdx>)>,
    instruments: Arc<Instruments>,
    sessions: Arc<dyn Sessions>,
    day: Date,
}

impl Subscriptions {
    /// Of feeds that have been asked, at this time, for what is to be had of these instruments.
    pub fn new(
        feeds: Vec<(Arc<FeedThread>, Vec<InstrumentIdx>)>,
        instruments: Arc<Instruments>,
        sessions: Arc<dyn Sessions>,
        now: Timestamp,
    ) -> Self {
        let day = sessions.trading_day(now).date;
        Self {
            feeds,
            instruments,
            sessions,
            day,
        }
    }

    /// Asks anew where a trading day has begun.
    pub fn renew(&mut self, now: Timestamp) {
        let day = self.sessions.trading_day(now).date;
        if day <= self.day {
            return;
        }
        self.day = day;
        for (thread, share) in &mut self.feeds {
            let before = share.len();
            share.retain(|index| is_listed(&self.instruments, *index, day));
            if share.len() < before {
                let ids = share.iter().map(|i| self.instruments.get(*i).id.clone());
                thread.ask(ids.collect());
            }
        }
    }
}

/// Whether an instrument can be traded on a day still.
pub fn is_listed(instruments: &Instruments, index: InstrumentIdx, day: Date) -> bool {
    let expiry = instruments.get(index).expiry;
    expiry.is_none_or(|expiry| expiry >= day)
}

/// A feed's thread.
pub struct FeedThread {
    status: Arc<FeedStatus>,
    stop: Arc<StopFlag>,
    asked: Asked,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The set of canonical ids that a feed has not been asked for yet.
type Asked = Arc<Mutex<Option<Vec<String>>>>;

struct Around {
    name: String,
    stop: Arc<StopFlag>,
    changed: Changed,
    rejected: Rejected,
    sessions: Arc<dyn Sessions>,
    instruments: Arc<Instruments>,
    asked: Asked,
}

impl Surroundings for Around {
    fn now(&self) -> Timestamp {
        Timestamp(uptime())
    }
    fn pause(&self, time: Duration) {
        let until = std::time::Instant::now() + time;
        while !self.stopped() {
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::park_timeout(left.min(Duration::from_millis(50)));
        }
    }
    fn stopped(&self) -> bool {
        self.stop.is_raised()
    }
    fn may_be_silent(&self, instruments: &[InstrumentIdx]) -> bool {
        let now = self.now();
        instruments.iter().all(|index| {
            let group = self.sessions.group(self.instruments.get(*index));
            !matches!(self.sessions.status(group, now), SessionStatus::Open(_))
        })
    }
    fn asked(&self) -> Option<Vec<String>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.take()
    }
    fn unserved(&self, all: &[Unserved]) {
        narrate::unserved(&self.name, all);
    }
    fn rejected(&self, item: &Item, why: Nonsense) {
        (self.rejected)(&self.name, item, why);
    }
    fn changed(&self, state: &FeedState) {
        (self.changed)(&self.name, state);
    }
}

impl FeedThread {
    /// Starts the thread.
    pub fn start(plan: FeedPlan) -> std::io::Result<Self> {
        let FeedPlan {
            mut feed,
            supervision,
            queue,
            changed,
            rejected,
            sessions,
            instruments,
        } = plan;
        let name = feed.name().to_owned();
        let status = Arc::new(FeedStatus::default());
        let stop = Arc::new(StopFlag::default());
        let asked = Asked::default();
        let around = Around {
            name: name.clone(),
            stop: Arc::clone(&stop),
            changed,
            rejected,
            sessions,
            instruments,
            asked: Arc::clone(&asked),
        };
        let shown = Arc::clone(&status);
        let thread = std::thread::Builder::new()
            .name(format!("feed-{name}"))
            .spawn(move || supervise::run(feed.as_mut(), &queue, &supervision, &shown, &around))?;
        Ok(Self {
            status,
            stop,
            asked,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Asks for these canonical ids in the place of those asked for before.
    pub fn ask(&self, wanted: Vec<String>) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        *asked = Some(wanted);
    }

    /// How it is.
    pub fn status(&self) -> &Arc<FeedStatus> {
        &self.status
    }

    /// Ends it. False when it did not end in time.
    pub fn stop(&self, patience: Duration) -> bool {
        self.stop.raise();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(thread) = thread else {
            return true;
        };
        let deadline = std::time::Instant::now() + patience;
        while !thread.is_finished() {
            if std::time::Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        thread.join().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use feeds::live::{Batch, FeedError, Nature, Next, Policy};
    use model::Instrument;
    use model::session::AlwaysOpen;
    use model::time::DAY;

    use super::*;

    /// Notes what it is asked for.
    struct Noted(Arc<Mutex<Vec<Vec<String>>>>);

    impl Feed for Noted {
        fn name(&self) -> &str {
            "noted"
        }
        fn nature(&self) -> Nature {
            Nature::Live
        }
        fn instruments(&self) -> &[InstrumentIdx] {
            &[]
        }
        fn ask(&mut self, wanted: &[String]) -> Result<Vec<Unserved>, FeedError> {
            self.0.lock().unwrap().push(wanted.to_vec());
            Ok(Vec::new())
        }
        fn connect(&mut self) -> Result<(), FeedError> {
            Ok(())
        }
        fn next(&mut self, _: Duration, _: &mut Batch) -> Result<Next, FeedError> {
            std::thread::sleep(Duration::from_millis(1));
            Ok(Next::Idle)
        }
        fn stop(&mut self) {}
    }

    #[test]
    fn a_contract_is_asked_for_until_its_last_day_is_over() {
        let day = |n: i32| Date::from_days(20_000 + n);
        let of = |symbol: &str, expiry| Instrument {
            expiry,
            ..Instrument::share("NSE", symbol, "INR".parse().unwrap())
        };
        let all = vec![
            of("A", None),
            of("B", Some(day(1))),
            of("C", Some(day(2))),
            of("D", Some(day(2))),
        ];
        let instruments = Arc::new(Instruments::new(all).unwrap());
        let sessions: Arc<dyn Sessions> = Arc::new(AlwaysOpen);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let thread = FeedThread::start(FeedPlan {
            feed: Box::new(Noted(Arc::clone(&asked))),
            supervision: Supervision::default(),
            queue: Arc::new(FeedQueue::new(16, Policy::Block, 1)),
            changed: Arc::new(|_, _| {}),
            rejected: Arc::new(|_, _, _| {}),
            sessions: Arc::clone(&sessions),
            instruments: Arc::clone(&instruments),
        });
        let thread = Arc::new(thread.unwrap());
        let at = |n: i32| Timestamp(i64::from(day(n).days()) * DAY + DAY / 2);
        // Another feed has D.
        let share = (0..3).map(InstrumentIdx).collect();
        let mut subscriptions = Subscriptions::new(
            vec![(Arc::clone(&thread), share)],
            instruments,
            sessions,
            at(0),
        );
        let mut wanted: Vec<Vec<String>> = Vec::new();
        for (n, set) in [
            (0, None),
            (1, None),
            (2, Some(vec!["NSE:A", "NSE:C"])),
            (2, None),
            (3, Some(vec!["NSE:A"])),
            (9, None),
            (1, None),
        ] {
            subscriptions.renew(at(n));
            wanted.extend(set.map(|set| set.into_iter().map(str::to_owned).collect()));
            let begin = std::time::Instant::now();
            while asked.lock().unwrap().len() < wanted.len() {
                assert!(begin.elapsed() < Duration::from_secs(60), "day {n}");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        assert!(thread.stop(Duration::from_secs(60)));
        assert_eq!(*asked.lock().unwrap(), wanted);
    }
}
