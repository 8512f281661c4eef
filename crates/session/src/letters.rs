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
use journal::Logs;
use model::topic::{Channel, Namespace, Topic};
use model::trader::ReportKind;
use model::{AssetClass, Bar, InstrumentIdx, Instruments, Tick, Timestamp};
use runtime::clock::wall;
use runtime::dead_letters::{
    DeadLetters, Letter, LetterAction, LetterReason, LetterStatus, Owner, PAYLOAD_MAX,
};
use runtime::driver::Message;
use runtime::error::RuntimeError;
use runtime::host::namespace::NamespaceHost;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use traders::BrokerReport;

use crate::control::LetterOutcome;

/// Letters that may wait to be written; more are counted and gone.
const WAITING_MAX: usize = 256;
/// The longest that a namespace may take over a letter that it is given again.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest that a command about a letter waits for the thread that writes.
const ANSWER: Duration = Duration::from_secs(10);

/// What is to be parked.
struct Post {
    topic: Topic,
    reason: LetterReason,
    text: String,
    payload: Vec<u8>,
    ts: Timestamp,
}

/// What is asked of one letter.
struct LetterRequest {
    owner: Owner,
    id: String,
    action: LetterAction,
    reply: SyncSender<Result<LetterOutcome, String>>,
}

/// What the thread that writes has to do.
enum Work {
    Park(Post),
    Act(LetterRequest),
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
    work: SyncSender<Work>,
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
    /// Of these namespaces and of the feeds; the rest is for [`LettersThread::start`].
    pub fn new(namespaces: &[Namespace]) -> (Arc<Self>, Waiting) {
        let (work, receiver) = sync_channel(WAITING_MAX);
        let owners = namespaces.iter().map(Owner::from).chain([Owner::Market]);
        let this = Self {
            work,
            counts: owners.map(|owner| (owner, Counts::default())).collect(),
            targets: OnceLock::new(),
        };
        (Arc::new(this), Waiting(receiver))
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
        let full = self.work.try_send(Work::Park(post));
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
            ReportKind::Filled { .. } | ReportKind::FilledTo { .. } => Channel::OrdersFilled,
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

    /// Does what an operator asks of a letter, and waits for what becomes of it.
    pub fn act(
        &self,
        owner: Owner,
        id: &str,
        action: LetterAction,
    ) -> Result<LetterOutcome, String> {
        let (reply, answer) = sync_channel(1);
        let stopping = || "the session is stopping".to_owned();
        let request = LetterRequest {
            owner,
            id: id.to_owned(),
            action,
            reply,
        };
        match self.work.try_send(Work::Act(request)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Err("too much is being parked at once: try again".to_owned());
            }
            Err(TrySendError::Disconnected(_)) => return Err(stopping()),
        }
        match answer.recv_timeout(ANSWER) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Err(format!(
                "no answer within {} s: what was asked may still happen; `panda dlq list --all` shows it",
                ANSWER.as_secs()
            )),
            Err(RecvTimeoutError::Disconnected) => Err(stopping()),
        }
    }

    /// Gives a letter again to whom it was for; why it could not be taken.
    fn again(&self, owner: &Owner, letter: &Letter) -> Result<(), String> {
        let targets = self.targets.get().ok_or("the session is not up yet")?;
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

/// What waits for the thread that writes.
pub struct Waiting(Receiver<Work>);

/// The thread that writes.
pub struct LettersThread {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LettersThread {
    /// Starts it.
    pub fn start(
        letters: Arc<Letters>,
        waiting: Waiting,
        logs: Arc<dyn Logs>,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut desk = Desk {
            letters,
            logs,
            open: BTreeMap::new(),
            failed: BTreeSet::new(),
        };
        let thread = std::thread::Builder::new()
            .name("dead-letters".to_owned())
            .spawn(move || desk.run(&waiting.0, &stopped))?;
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
    logs: Arc<dyn Logs>,
    open: BTreeMap<Owner, DeadLetters>,
    /// Those of which it was said that nothing can be written.
    failed: BTreeSet<Owner>,
}

impl Desk {
    fn run(&mut self, work: &Receiver<Work>, stopped: &AtomicBool) {
        let mut has_resumed = false;
        loop {
            let is_stopped = || stopped.load(Ordering::Acquire);
            match work.recv_timeout(Duration::from_millis(20)) {
                Ok(Work::Park(post)) => self.park(post),
                // Who asks hears from the reply's end that the session stops.
                Ok(Work::Act(request)) if is_stopped() => drop(request),
                Ok(Work::Act(request)) => {
                    let outcome = self.act(&request.owner, &request.id, request.action);
                    // Who asked may have given up.
                    let _ = request.reply.try_send(outcome);
                }
                Err(RecvTimeoutError::Timeout) => {
                    if is_stopped() {
                        return;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // A letter that is given out before feeds and namespaces run would be lost to them.
            if !has_resumed && self.letters.targets.get().is_some() && !is_stopped() {
                has_resumed = true;
                let owners: Vec<Owner> = self.letters.counts.keys().cloned().collect();
                for owner in owners {
                    let resumed = self.resume(&owner);
                    self.said(&owner, resumed);
                }
            }
        }
    }

    /// The letters of an owner, opened where they are not.
    fn of(&mut self, owner: &Owner) -> Result<&mut DeadLetters, RuntimeError> {
        Ok(match self.open.entry(owner.clone()) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => {
                place.insert(DeadLetters::open(Arc::clone(&self.logs), owner.clone())?)
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

    /// Gives out what was asked for while no session ran, or before a crash.
    fn resume(&mut self, owner: &Owner) -> Result<(), RuntimeError> {
        for letter in self.of(owner)?.requested() {
            self.give_out(owner, &letter)?;
        }
        self.count(owner);
        Ok(())
    }

    /// Does what is asked of a letter; why it cannot be done.
    fn act(
        &mut self,
        owner: &Owner,
        id: &str,
        action: LetterAction,
    ) -> Result<LetterOutcome, String> {
        let letters = self.of(owner).map_err(|e| e.to_string())?;
        let letter = letters.show(id).cloned();
        let letter = letter.ok_or_else(|| format!("letter {id} is not kept any more"))?;
        if let Some(why) = letter.refusal(action) {
            return Err(why);
        }
        let outcome = self.apply(owner, &letter, action);
        if outcome.is_err() {
            // As for the next post.
            self.open.remove(owner);
        }
        self.count(owner);
        outcome.map_err(|e| e.to_string())
    }

    fn apply(
        &mut self,
        owner: &Owner,
        letter: &Letter,
        action: LetterAction,
    ) -> Result<LetterOutcome, RuntimeError> {
        let now = Timestamp(wall());
        self.of(owner)?.mark(&letter.id, action.status(), now)?;
        let is_here =
            self.letters.targets.get().is_some() && self.letters.counts.contains_key(owner);
        match action {
            LetterAction::Drop => Ok(LetterOutcome::Dropped),
            LetterAction::Replay if is_here => self.give_out(owner, letter),
            LetterAction::Replay => Ok(LetterOutcome::Requested),
        }
    }

    /// Gives out a letter that is marked as requested, and marks what came of it.
    fn give_out(&mut self, owner: &Owner, letter: &Letter) -> Result<LetterOutcome, RuntimeError> {
        let (status, outcome) = match self.letters.again(owner, letter) {
            Ok(()) => {
                tracing::info!(
                    channel = "system",
                    broker = owner.name(),
                    "dead letter {} was taken again",
                    letter.id
                );
                (LetterStatus::Replayed, LetterOutcome::Taken)
            }
            Err(why) => {
                tracing::warn!(
                    channel = "system",
                    broker = owner.name(),
                    "dead letter {} cannot be taken: {why}",
                    letter.id
                );
                (LetterStatus::Parked, LetterOutcome::Parked(why))
            }
        };
        let now = Timestamp(wall());
        self.of(owner)?.mark(&letter.id, status, now)?;
        Ok(outcome)
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
    use feeds::live::{BATCH_MAX, Policy};
    use journal::{FileLogs, FileOptions, MemoryLogs, SimDisk};
    use model::Price;
    use runtime::dead_letters;

    fn until(what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(30), "in vain: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_tick_that_was_parked_is_taken_again_and_nonsense_stays_nonsense() {
        let logs: Arc<dyn Logs> = Arc::new(MemoryLogs::default());
        let (letters, waiting) = Letters::new(&[Namespace::new("east").unwrap()]);
        let mut letters_thread =
            LettersThread::start(Arc::clone(&letters), waiting, Arc::clone(&logs)).unwrap();
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
        let all = dead_letters::read(logs.as_ref(), &Owner::Market).unwrap();
        let codes: Vec<&str> = all.iter().map(|l| l.reason.as_str()).collect();
        assert_eq!(codes, ["unknown_instrument", "nonsense_price"]);
        assert!(all[1].text.contains("price 0"), "{}", all[1].text);
        let replay = |id: &str| letters.act(Owner::Market, id, LetterAction::Replay);
        assert_eq!(replay(&all[0].id), Ok(LetterOutcome::Taken));
        let why = "it is still nonsense (price)".to_owned();
        assert_eq!(replay(&all[1].id), Ok(LetterOutcome::Parked(why)));
        assert_eq!(parked(&letters), Some(1));
        let status = || {
            let all = dead_letters::read(logs.as_ref(), &Owner::Market).unwrap();
            all.iter().map(|l| (l.status, l.tries)).collect::<Vec<_>>()
        };
        let wanted = [(LetterStatus::Replayed, 1), (LetterStatus::Parked, 1)];
        assert_eq!(status(), wanted);
        let mut batch = Batch::default();
        queue.pop(&mut batch, Duration::from_secs(30));
        let Some(Item::Tick { tick, .. }) = batch.items.first() else {
            panic!("{batch:?}");
        };
        assert_eq!(
            (tick.instrument, tick.price),
            (index, "12.5".parse::<Price>().unwrap())
        );
        assert!(letters_thread.stop(Duration::from_secs(30)));
    }

    #[test]
    fn a_letter_that_was_taken_before_a_crash_and_not_marked_is_given_out_again() {
        let disk = SimDisk::new(3);
        let logs: Arc<dyn Logs> = Arc::new(FileLogs::over(
            Arc::new(disk.clone()),
            FileOptions::default(),
        ));
        let instruments = Arc::new(Instruments::new(exchange::instruments()).unwrap());
        let tick = |price: &str| Tick {
            instrument: InstrumentIdx(2),
            price: price.parse().unwrap(),
            ..Tick::default()
        };
        let started = |queue: &Arc<FeedQueue>| {
            let (letters, waiting) = Letters::new(&[]);
            let letters_thread =
                LettersThread::start(Arc::clone(&letters), waiting, Arc::clone(&logs)).unwrap();
            letters.connect(Targets {
                hosts: Vec::new(),
                queue: Arc::clone(queue),
                instruments: Arc::clone(&instruments),
                live: true,
            });
            (letters, letters_thread)
        };
        let next = |queue: &FeedQueue| {
            let mut batch = Batch::default();
            queue.pop(&mut batch, Duration::from_secs(30));
            match batch.items.first() {
                Some(Item::Tick { tick, .. }) => tick.price.to_string(),
                _ => panic!("{batch:?}"),
            }
        };
        let letter = || {
            dead_letters::read(logs.as_ref(), &Owner::Market)
                .unwrap()
                .pop()
        };
        let status = || letter().map(|letter| letter.status);

        let queue = Arc::new(FeedQueue::new(1, Policy::Block, 1));
        let (letters, mut letters_thread) = started(&queue);
        let item = Item::Tick {
            number: 7,
            tick: tick("12.5"),
            depth: None,
        };
        letters.nonsense(&instruments, "sim", &item, Nonsense::Instrument);
        until("it is parked", || status() == Some(LetterStatus::Parked));
        let id = letter().unwrap().id;
        // The runner is behind: the hand-over waits, and with it the letter.
        let mut batch = Batch::default();
        for _ in 0..BATCH_MAX {
            batch.tick(0, tick("10"), None);
        }
        assert!(queue.push(&mut batch));
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| letters.act(Owner::Market, &id, LetterAction::Replay));
            until("it is given out", || {
                status() == Some(LetterStatus::ReplayRequested)
            });
            disk.power_loss();
            assert_eq!((next(&queue), next(&queue)), ("10".into(), "12.5".into()));
            let outcome = asked.join().unwrap();
            assert!(outcome.is_err(), "{outcome:?}");
        });
        assert!(letters_thread.stop(Duration::from_secs(30)));

        // Taken, and not marked: the next session gives it out without being asked.
        assert_eq!(status(), Some(LetterStatus::ReplayRequested));
        let queue = Arc::new(FeedQueue::new(1, Policy::Block, 1));
        let (_letters, mut letters_thread) = started(&queue);
        assert_eq!(next(&queue), "12.5");
        until("it is marked", || status() == Some(LetterStatus::Replayed));
        assert_eq!(letter().unwrap().tries, 1);
        assert!(letters_thread.stop(Duration::from_secs(30)));
    }

    #[test]
    fn a_flood_is_counted_and_holds_up_nobody() {
        let (letters, waiting) = Letters::new(&[]);
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
        drop(waiting);
        letters.nonsense(&instruments, "sim", &item, Nonsense::Price);
        assert_eq!(letters.view("market")["lost"], 4);
        let asked = letters.act(Owner::Market, "0", LetterAction::Drop);
        assert_eq!(asked, Err("the session is stopping".to_owned()));
    }
}
