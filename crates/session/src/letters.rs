//! The dead letters of a running session: parked on a thread of their own, so that no disk and no flood
//! of nonsense holds up trading, and taken again when somebody asks for it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use feeds::live::supervise::{Nonsense, nonsense};
use feeds::live::{Batch, FeedQueue, Item};
use journal::Storage;
use model::topic::{Channel, Namespace, Topic};
use model::trader::ReportKind;
use model::{AssetClass, Bar, InstrumentIdx, Instruments, Tick, Timestamp};
use runtime::clock::wall;
use runtime::dead_letters::{DeadLetters, Letter, LetterReason, LetterStatus, Owner, PAYLOAD_MAX};
use runtime::error::RuntimeError;
use runtime::host::Message;
use runtime::host::namespace::NamespaceHost;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use traders::BrokerReport;

/// Letters that may wait to be written; more are counted and gone.
const WAITING_MAX: usize = 256;
/// The pause between two looks at what other processes ask for.
const LOOK: Duration = Duration::from_millis(500);
/// The longest that a namespace may take over a letter that it is given again.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is to be parked.
struct Post {
    topic: Topic,
    reason: LetterReason,
    text: String,
    payload: Vec<u8>,
    ts: Timestamp,
}

/// Whom letters are given to that are to be taken again.
pub struct Targets {
    /// The namespaces.
    pub hosts: Vec<Arc<NamespaceHost>>,
    /// The hand-over from the feeds.
    pub queue: Arc<FeedQueue>,
    /// The instruments.
    pub instruments: Arc<Instruments>,
    /// In a replay the rows are the data's.
    pub live: bool,
}

#[derive(Debug, Default)]
struct Counts {
    /// Letters that wait for somebody.
    parked: AtomicU64,
    /// What could not be kept: too many at once, or nowhere to write.
    lost: AtomicU64,
}

/// What every thread that finds something to park has.
pub struct Letters {
    posts: SyncSender<Post>,
    counts: BTreeMap<Owner, Counts>,
    targets: OnceLock<Targets>,
}

/// A report as it is parked.
#[derive(Serialize, Deserialize)]
struct ParkedReport {
    client_order_id: String,
    kind: ReportKind,
    number: u64,
}

/// What a feed delivered, as it is parked. The instrument's name counts, as its number changes from
/// start to start.
#[derive(Serialize, Deserialize)]
struct ParkedItem {
    feed: String,
    instrument: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tick: Option<Tick>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bar: Option<Bar>,
}

impl Letters {
    /// Of these namespaces and of the feeds; the rest is for [`Clerk::start`].
    pub fn new(namespaces: &[Namespace]) -> (Arc<Self>, Posts) {
        let (posts, receiver) = sync_channel(WAITING_MAX);
        let owners = namespaces.iter().map(Owner::from).chain([Owner::Market]);
        let this = Self {
            posts,
            counts: owners.map(|owner| (owner, Counts::default())).collect(),
            targets: OnceLock::new(),
        };
        (Arc::new(this), Posts(receiver))
    }

    /// Whom letters are given to again, once they are there.
    pub fn connect(&self, targets: Targets) {
        let _once = self.targets.set(targets);
    }

    fn post(&self, topic: Topic, reason: LetterReason, text: String, payload: &[u8]) {
        // A byte more than is kept: that it was cut is seen by it.
        let kept = payload.get(..=PAYLOAD_MAX).unwrap_or(payload);
        let owner = Owner::of(&topic);
        let post = Post {
            topic,
            reason,
            text,
            payload: kept.to_vec(),
            ts: Timestamp(wall()),
        };
        let full = self.posts.try_send(post);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = full
            && let Some(counts) = owner.and_then(|owner| self.counts.get(&owner))
        {
            counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A broker has sent what cannot be read.
    pub fn unreadable(&self, broker: &Namespace, what: &[u8], why: &str) {
        let topic = Topic::Broker(broker.clone(), Channel::OrdersUpdated);
        self.post(topic, LetterReason::Unreadable, why.to_owned(), what);
    }

    /// A broker reports about an order that is not known here.
    pub fn foreign(&self, broker: &Namespace, report: &BrokerReport) {
        let channel = match report.kind {
            ReportKind::Filled { .. } => Channel::OrdersFilled,
            _ => Channel::OrdersUpdated,
        };
        let parked = ParkedReport {
            client_order_id: report.client_order_id.to_string(),
            kind: report.kind,
            number: report.number,
        };
        let text = format!(
            "the order {} is not known here: another program may have placed it",
            report.client_order_id
        );
        let payload = serde_json::to_vec(&parked).unwrap_or_default();
        let topic = Topic::Broker(broker.clone(), channel);
        self.post(topic, LetterReason::UnknownOrder, text, &payload);
    }

    /// A feed has delivered what cannot be.
    pub fn nonsense(&self, instruments: &Instruments, feed: &str, item: &Item, why: Nonsense) {
        let (index, tick, bar) = match item {
            Item::Tick { tick, .. } => (tick.instrument, Some(*tick), None),
            Item::Bar { bar, .. } => (bar.instrument, None, Some(*bar)),
        };
        let instrument = instrument(instruments, index);
        let class = instrument.map_or(AssetClass::Equity, |i| i.asset_class);
        let name = instrument.map_or_else(|| format!("#{}", index.index()), |i| i.id.clone());
        let reason = match why {
            Nonsense::Price => LetterReason::NonsensePrice,
            Nonsense::Quantity => LetterReason::NonsenseQuantity,
            Nonsense::Instrument => LetterReason::UnknownInstrument,
        };
        let text = match (why, tick) {
            (Nonsense::Price, Some(t)) => format!(
                "{name}: price {}, bid {}, ask {}: outside what can be",
                t.price, t.bid, t.ask
            ),
            (Nonsense::Quantity, Some(t)) => {
                format!("{name}: quantity {}: outside what can be", t.quantity)
            }
            _ => format!("feed {feed} is not the source of {name}"),
        };
        let parked = ParkedItem {
            feed: feed.to_owned(),
            instrument: name,
            tick,
            bar,
        };
        let payload = serde_json::to_vec(&parked).unwrap_or_default();
        self.post(Topic::Market(class), reason, text, &payload);
    }

    /// The counts of a namespace, or of `market`.
    pub fn view(&self, owner: &str) -> Value {
        let counts = self.counts.iter().find(|(o, _)| o.name() == owner);
        counts.map_or(Value::Null, |(_, counts)| {
            json!({
                "parked": counts.parked.load(Ordering::Relaxed),
                "lost": counts.lost.load(Ordering::Relaxed),
            })
        })
    }

    /// Gives a letter again to whom it was for; why it could not be taken.
    fn again(&self, owner: &Owner, letter: &Letter) -> Result<(), String> {
        let targets = self.targets.get().ok_or("the session is not up yet")?;
        if letter.cut {
            return Err("its payload was too long and is cut".to_owned());
        }
        match owner {
            Owner::Market => targets.item(&letter.bytes()),
            Owner::Broker(namespace) => targets.report(namespace, letter),
        }
    }
}

fn instrument(instruments: &Instruments, index: InstrumentIdx) -> Option<&model::Instrument> {
    instruments.iter().nth(index.index()).map(|(_, i)| i)
}

impl Targets {
    fn item(&self, payload: &[u8]) -> Result<(), String> {
        let parked: ParkedItem =
            serde_json::from_slice(payload).map_err(|e| format!("it is no item of a feed: {e}"))?;
        let mut tick = match parked.tick {
            Some(tick) if self.live => tick,
            _ => return Err("the rows of a replay are those of its data".to_owned()),
        };
        tick.instrument = self
            .instruments
            .find(&parked.instrument)
            .map_err(|e| e.to_string())?;
        if let Some(why) = nonsense(&tick, &|_| true) {
            return Err(format!("it is still nonsense ({})", why.code()));
        }
        let mut batch = Batch::default();
        batch.tick(0, tick, None);
        if self.queue.push(&mut batch) {
            Ok(())
        } else {
            Err("the runner takes nothing any more".to_owned())
        }
    }

    fn report(&self, namespace: &Namespace, letter: &Letter) -> Result<(), String> {
        let parked: ParkedReport = serde_json::from_slice(&letter.bytes())
            .map_err(|e| format!("it is no report that can be read: {e}"))?;
        let report = BrokerReport {
            client_order_id: parked
                .client_order_id
                .as_str()
                .try_into()
                .map_err(|_| "its order's id is too long")?,
            kind: parked.kind,
            number: parked.number,
            due: None,
        };
        let host = self.hosts.iter().find(|h| h.name() == namespace.as_str());
        let host = host.ok_or("the namespace does not take part")?;
        let (sender, receiver) = sync_channel(1);
        if !host.inbox().send(Message::Again(report, sender)) {
            return Err("the namespace takes nothing any more".to_owned());
        }
        match receiver.recv_timeout(PATIENCE) {
            Ok(true) => Ok(()),
            Ok(false) => Err("its order is still not known here".to_owned()),
            Err(_) => Err("the namespace did not answer".to_owned()),
        }
    }
}

/// What waits to be written.
pub struct Posts(Receiver<Post>);

/// The thread that writes.
pub struct Clerk {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Clerk {
    /// Starts it.
    pub fn start(
        letters: Arc<Letters>,
        posts: Posts,
        storage: Arc<dyn Storage>,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut desk = Desk {
            letters,
            storage,
            open: BTreeMap::new(),
            failed: BTreeSet::new(),
        };
        let thread = std::thread::Builder::new()
            .name("dead-letters".to_owned())
            .spawn(move || desk.run(&posts.0, &stopped))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Writes what waits, and ends. False when it did not end in time.
    pub fn stop(&mut self, patience: Duration) -> bool {
        self.stop.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else {
            return true;
        };
        let asked = Instant::now();
        while !thread.is_finished() {
            if asked.elapsed() >= patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        thread.join().is_ok()
    }
}

struct Desk {
    letters: Arc<Letters>,
    storage: Arc<dyn Storage>,
    open: BTreeMap<Owner, DeadLetters>,
    /// Those of which it was said that nothing can be written.
    failed: BTreeSet<Owner>,
}

impl Desk {
    fn run(&mut self, posts: &Receiver<Post>, stopped: &AtomicBool) {
        let mut looked: Option<Instant> = None;
        loop {
            match posts.recv_timeout(Duration::from_millis(20)) {
                Ok(post) => self.park(post),
                Err(RecvTimeoutError::Timeout) => {
                    if stopped.load(Ordering::Acquire) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // Before all is up nobody could take a letter, and the wish would be spent.
            let is_up = self.letters.targets.get().is_some() && !stopped.load(Ordering::Acquire);
            if is_up && looked.is_none_or(|at| at.elapsed() >= LOOK) {
                looked = Some(Instant::now());
                let owners: Vec<Owner> = self.letters.counts.keys().cloned().collect();
                for owner in owners {
                    let looked = self.look(&owner);
                    self.said(&owner, looked);
                }
            }
        }
    }

    /// The letters of an owner, opened where they are not.
    fn of(&mut self, owner: &Owner) -> Result<&mut DeadLetters, RuntimeError> {
        Ok(match self.open.entry(owner.clone()) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => {
                place.insert(DeadLetters::open(Arc::clone(&self.storage), owner.clone())?)
            }
        })
    }

    fn park(&mut self, post: Post) {
        let Some(owner) = Owner::of(&post.topic) else {
            return;
        };
        let Post {
            topic,
            reason,
            text,
            payload,
            ts,
        } = post;
        let parked = self
            .of(&owner)
            .and_then(|letters| letters.park(&topic, reason, &text, &payload, ts));
        if parked.is_err() {
            // A log that has failed takes nothing any more; it is opened anew for the next.
            self.open.remove(&owner);
            if let Some(counts) = self.letters.counts.get(&owner) {
                counts.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.count(&owner);
        self.said(&owner, parked.map(|_| ()));
    }

    /// Does what other processes ask for.
    fn look(&mut self, owner: &Owner) -> Result<(), RuntimeError> {
        let now = Timestamp(wall());
        let wanted = self.of(owner)?.take_requested(now)?;
        for letter in wanted {
            let status = match self.letters.again(owner, &letter) {
                Ok(()) => {
                    tracing::info!(
                        channel = "system",
                        broker = owner.name(),
                        "dead letter {} was taken again",
                        letter.id
                    );
                    LetterStatus::Replayed
                }
                Err(why) => {
                    tracing::warn!(
                        channel = "system",
                        broker = owner.name(),
                        "dead letter {} cannot be taken: {why}",
                        letter.id
                    );
                    LetterStatus::Parked
                }
            };
            self.of(owner)?.mark(&letter.id, status, now)?;
        }
        self.count(owner);
        Ok(())
    }

    fn count(&self, owner: &Owner) {
        let (Some(letters), Some(counts)) = (self.open.get(owner), self.letters.counts.get(owner))
        else {
            return;
        };
        let waiting = letters.list().filter(|letter| {
            !matches!(
                letter.status,
                LetterStatus::Replayed | LetterStatus::Dropped
            )
        });
        counts
            .parked
            .store(waiting.count() as u64, Ordering::Relaxed);
    }

    /// Says once that nothing can be written.
    fn said(&mut self, owner: &Owner, result: Result<(), RuntimeError>) {
        match result {
            Err(error) => {
                if self.failed.insert(owner.clone()) {
                    tracing::error!(channel = "system", "dead letters cannot be kept: {error}");
                }
            }
            Ok(()) => {
                self.failed.remove(owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use feeds::live::Policy;
    use journal::SimDisk;
    use model::Price;
    use runtime::dead_letters::{self, Wish};

    fn until(what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(30), "in vain: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_tick_that_was_parked_is_taken_again_and_nonsense_stays_nonsense() {
        let storage: Arc<dyn Storage> = Arc::new(SimDisk::new(1));
        let (letters, posts) = Letters::new(&[Namespace::new("east").unwrap()]);
        let mut clerk = Clerk::start(Arc::clone(&letters), posts, Arc::clone(&storage)).unwrap();
        let instruments = Arc::new(Instruments::new(exchange::instruments()).unwrap());
        let index = InstrumentIdx(2);
        let tick = |price: &str| Item::Tick {
            number: 7,
            tick: Tick {
                instrument: index,
                price: price.parse().unwrap(),
                ..Tick::default()
            },
            depth: None,
        };
        letters.nonsense(&instruments, "sim", &tick("12.5"), Nonsense::Instrument);
        letters.nonsense(&instruments, "sim", &tick("0"), Nonsense::Price);
        let parked = |letters: &Letters| letters.view("market")["parked"].as_u64();
        until("both are parked", || parked(&letters) == Some(2));
        let queue = Arc::new(FeedQueue::new(16, Policy::Conflate, 1));
        letters.connect(Targets {
            hosts: Vec::new(),
            queue: Arc::clone(&queue),
            instruments,
            live: true,
        });
        let all = dead_letters::read(&storage, &Owner::Market).unwrap();
        let codes: Vec<&str> = all.iter().map(|l| l.reason.as_str()).collect();
        assert_eq!(codes, ["unknown_instrument", "nonsense_price"]);
        assert!(all[1].text.contains("price 0"), "{}", all[1].text);
        for letter in &all {
            dead_letters::request(&storage, &Owner::Market, &letter.id, Wish::Replay).unwrap();
        }
        until("one is taken", || parked(&letters) == Some(1));
        let status = || {
            let all = dead_letters::read(&storage, &Owner::Market).unwrap();
            all.iter().map(|l| (l.status, l.tries)).collect::<Vec<_>>()
        };
        let wanted = [(LetterStatus::Replayed, 1), (LetterStatus::Parked, 1)];
        until("both are marked", || status() == wanted);
        let mut batch = Batch::default();
        queue.pop(&mut batch, Duration::from_secs(30));
        let Some(Item::Tick { tick, .. }) = batch.items.first() else {
            panic!("{batch:?}");
        };
        assert_eq!(
            (tick.instrument, tick.price),
            (index, "12.5".parse::<Price>().unwrap())
        );
        assert!(clerk.stop(Duration::from_secs(30)));
    }

    #[test]
    fn a_flood_is_counted_and_holds_up_nobody() {
        let (letters, posts) = Letters::new(&[]);
        let instruments = Instruments::new(exchange::instruments()).unwrap();
        let item = Item::Tick {
            number: 0,
            tick: Tick::default(),
            depth: None,
        };
        // Nobody writes.
        for _ in 0..WAITING_MAX + 3 {
            letters.nonsense(&instruments, "sim", &item, Nonsense::Price);
        }
        assert_eq!(letters.view("market")["lost"], 3);
        drop(posts);
        letters.nonsense(&instruments, "sim", &item, Nonsense::Price);
        assert_eq!(letters.view("market")["lost"], 4);
    }
}
