//! The thread of a feed, and what surrounds it.

use std::sync::Arc;
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::Duration;

use feeds::live::supervise::{
    self, FeedState, FeedStatus, Nonsense, StopFlag, Supervision, Surroundings,
};
use feeds::live::{Feed, FeedQueue, Item};
use model::session::{SessionStatus, Sessions};
use model::{Instruments, Timestamp};
use runtime::clock::uptime;

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

/// A feed's thread.
pub struct FeedThread {
    status: Arc<FeedStatus>,
    stop: Arc<StopFlag>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Around {
    name: String,
    stop: Arc<StopFlag>,
    changed: Changed,
    rejected: Rejected,
    sessions: Arc<dyn Sessions>,
    instruments: Arc<Instruments>,
    mine: Vec<model::InstrumentIdx>,
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
    fn may_be_silent(&self) -> bool {
        let now = self.now();
        self.mine.iter().all(|index| {
            let group = self.sessions.group(self.instruments.get(*index));
            !matches!(self.sessions.status(group, now), SessionStatus::Open(_))
        })
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
        let around = Around {
            name: name.clone(),
            stop: Arc::clone(&stop),
            changed,
            rejected,
            sessions,
            instruments,
            mine: feed.instruments().to_vec(),
        };
        let shown = Arc::clone(&status);
        let thread = std::thread::Builder::new()
            .name(format!("feed-{name}"))
            .spawn(move || supervise::run(feed.as_mut(), &queue, &supervision, &shown, &around))?;
        Ok(Self {
            status,
            stop,
            thread: Mutex::new(Some(thread)),
        })
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
            .unwrap_or_else(std::sync::PoisonError::into_inner)
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
