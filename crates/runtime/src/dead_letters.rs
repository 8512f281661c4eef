//! What a namespace could not take: parked with the reason, so that it stops nothing and is not lost.
//!
//! Each topic has a log of its own, `dlq/{topic}.dlq`, which its owner's host alone writes: that of a
//! namespace's topics, or that of the feeds'. Of the
//! letters the newest are kept; the numbers of those that are there tell how many are gone.
//!
//! That a letter is to be taken again is durable before it is given out, and a session gives out those of
//! [`DeadLetters::requested`] at its start. So a letter is given out again after a crash until the host
//! says with [`DeadLetters::mark`] what came of it: whatever takes it must bear to see it twice, as all
//! inputs of a namespace do.

use std::collections::VecDeque;
use std::sync::Arc;

use journal::{JournalError, Log, LogName, LogWriter, Logs, MARKET, Offset, Retention};
use model::ids::NameHash;
use model::topic::{Channel, Namespace, Topic};
use model::{AssetClass, Date, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::RuntimeError;

/// Letters that are kept of a topic: enough to see what goes wrong, and few enough to look through.
pub const LETTERS_MAX: usize = 10_000;
/// Bytes of a payload that are kept; what is longer is cut, and says so.
pub const PAYLOAD_MAX: usize = 64 << 10;

/// Why a letter was parked. Codes are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterReason {
    /// Its bytes make no sense.
    Unreadable,
    /// It is about an order that is not known here.
    UnknownOrder,
    /// It names another namespace than its topic does.
    NamespaceMismatch,
    /// It is about an instrument that its feed does not have.
    UnknownInstrument,
    /// It holds a price outside anything that can be.
    NonsensePrice,
    /// It holds a quantity outside anything that can be.
    NonsenseQuantity,
    /// It was tried again as often as may be.
    RetriesExhausted,
}

impl LetterReason {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::UnknownOrder => "unknown_order",
            Self::NamespaceMismatch => "namespace_mismatch",
            Self::UnknownInstrument => "unknown_instrument",
            Self::NonsensePrice => "nonsense_price",
            Self::NonsenseQuantity => "nonsense_quantity",
            Self::RetriesExhausted => "retries_exhausted",
        }
    }
}

/// What has become of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterStatus {
    /// It waits for somebody.
    Parked,
    /// Somebody wants it taken again, and nothing is known of it since: the next session gives it out.
    ReplayRequested,
    /// It was taken again.
    Replayed,
    /// Nobody wants it.
    Dropped,
}

impl LetterStatus {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::ReplayRequested => "replay_requested",
            Self::Replayed => "replayed",
            Self::Dropped => "dropped",
        }
    }
}

/// How a payload is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As it is: it was text.
    Text,
    /// Two hexadecimal digits a byte.
    Hex,
}

/// A letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Its id: 16 hexadecimal digits.
    pub id: String,
    /// Its number in the topic, from 0.
    pub number: u64,
    /// When it was parked.
    pub ts: Timestamp,
    /// The topic that it belongs to.
    pub topic: String,
    /// The stable code of why.
    pub reason: String,
    /// Why, for people.
    pub text: String,
    /// How the payload is written down.
    pub encoding: Encoding,
    /// What could not be taken.
    pub payload: String,
    /// The payload was longer.
    pub cut: bool,
    /// How often somebody wanted it taken again.
    pub tries: u32,
    /// What has become of it.
    pub status: LetterStatus,
}

impl Letter {
    /// The payload as it arrived.
    pub fn bytes(&self) -> Vec<u8> {
        match self.encoding {
            Encoding::Text => self.payload.clone().into_bytes(),
            Encoding::Hex => {
                let digits: Vec<u32> = self
                    .payload
                    .chars()
                    .filter_map(|c| c.to_digit(16))
                    .collect();
                let pairs = digits.chunks_exact(2);
                pairs.map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
            }
        }
    }

    /// Why this cannot be done with it.
    pub fn refusal(&self, action: LetterAction) -> Option<String> {
        if self.status == LetterStatus::Dropped {
            return Some(format!("letter {} was dropped already", self.id));
        }
        (action == LetterAction::Replay && self.cut).then(|| {
            format!(
                "letter {} cannot be taken again: its payload was too long and is cut",
                self.id
            )
        })
    }
}

/// A record of a topic's log: a line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
enum Record {
    Parked(Letter),
    Marked {
        number: u64,
        status: LetterStatus,
        tries: u32,
        ts: Timestamp,
    },
}

/// What an operator does with a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterAction {
    /// Have it taken again.
    Replay,
    /// Forget it.
    Drop,
}

impl LetterAction {
    /// What the letter is marked with first.
    pub const fn status(self) -> LetterStatus {
        match self {
            Self::Replay => LetterStatus::ReplayRequested,
            Self::Drop => LetterStatus::Dropped,
        }
    }
}

/// The letters of one topic, newest last, each with the position of its record.
#[derive(Default)]
struct Letters(VecDeque<(Offset, Letter)>);

impl Letters {
    fn take(&mut self, position: Offset, bytes: &[u8]) -> Result<(), String> {
        match serde_json::from_slice(bytes).map_err(|e| e.to_string())? {
            Record::Parked(letter) => {
                self.0.push_back((position, letter));
                while self.0.len() > LETTERS_MAX {
                    self.0.pop_front();
                }
            }
            Record::Marked {
                number,
                status,
                tries,
                ..
            } => {
                // One of a letter that is gone says nothing any more.
                if let Some(letter) = self.by_number(number) {
                    (letter.status, letter.tries) = (status, tries);
                }
            }
        }
        Ok(())
    }

    fn by_number(&mut self, number: u64) -> Option<&mut Letter> {
        let first = self.0.front()?.1.number;
        let at = usize::try_from(number.checked_sub(first)?).ok()?;
        self.0.get_mut(at).map(|(_, letter)| letter)
    }
}

/// Whose letters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The feeds'.
    Market,
    /// A namespace's.
    Broker(Namespace),
}

impl Owner {
    /// The name: that of the namespace, or `market`, which no namespace can have.
    pub fn name(&self) -> &str {
        match self {
            Self::Market => MARKET,
            Self::Broker(namespace) => namespace.as_str(),
        }
    }

    /// The owner of a name.
    pub fn named(name: &str) -> Option<Self> {
        if name == MARKET {
            return Some(Self::Market);
        }
        Namespace::new(name).ok().map(Self::Broker)
    }

    /// The topics that letters can belong to.
    pub fn topics(&self) -> Vec<Topic> {
        match self {
            Self::Market => AssetClass::ALL.into_iter().map(Topic::Market).collect(),
            Self::Broker(namespace) => Channel::ALL
                .into_iter()
                .map(|channel| Topic::Broker(namespace.clone(), channel))
                .collect(),
        }
    }

    /// Of a topic that can have letters.
    pub fn of(topic: &Topic) -> Option<Self> {
        match topic {
            Topic::Market(_) => Some(Self::Market),
            Topic::Broker(namespace, _) => Some(Self::Broker(namespace.clone())),
            Topic::Strategies | Topic::DeadLetters(_) => None,
        }
    }
}

impl From<&Namespace> for Owner {
    fn from(namespace: &Namespace) -> Self {
        Self::Broker(namespace.clone())
    }
}

struct TopicLog {
    topic: String,
    log: Box<dyn LogWriter>,
    letters: Letters,
    next: u64,
}

/// The dead letters of one owner, in the hands of its host.
pub struct DeadLetters {
    logs: Arc<dyn Logs>,
    owner: Owner,
    topics: Vec<TopicLog>,
}

fn failed(topic: &str) -> impl Fn(JournalError) -> RuntimeError + '_ {
    move |e| RuntimeError::journal(&format!("{topic}.dlq"), e)
}

fn state(owner: &Owner, what: &str, why: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::state(
        owner.name(),
        format!("dead letters: {what}: {why}: make the data directory readable and writable"),
    )
}

fn read_log(log: &dyn Log, topic: &str) -> Result<Letters, RuntimeError> {
    let mut letters = Letters::default();
    let mut reader = log.read(Offset::BEGINNING).map_err(failed(topic))?;
    while let Some((at, bytes)) = reader.next().map_err(failed(topic))? {
        letters.take(at, bytes).map_err(|why| {
            RuntimeError::state(
                topic,
                format!("a dead letter at {at}: {why}: a newer build may have written it"),
            )
        })?;
    }
    Ok(letters)
}

impl DeadLetters {
    /// Opens those of an owner. The caller has the data directory's lock.
    pub fn open(logs: Arc<dyn Logs>, owner: impl Into<Owner>) -> Result<Self, RuntimeError> {
        let mut this = Self {
            logs,
            owner: owner.into(),
            topics: Vec::new(),
        };
        for topic in this.owner.topics() {
            let log = this.logs.log(LogName::Letters(&topic.to_string()));
            let is_fresh = log.is_fresh();
            if !is_fresh.map_err(|e| state(&this.owner, &log.place(), e))? {
                this.topic(&topic)?;
            }
        }
        Ok(this)
    }

    fn topic(&mut self, topic: &Topic) -> Result<&mut TopicLog, RuntimeError> {
        let topic = topic.to_string();
        let at = match self.topics.iter().position(|log| log.topic == topic) {
            Some(at) => at,
            None => {
                let log = self.logs.log(LogName::Letters(&topic));
                let letters = read_log(log.as_ref(), &topic)?;
                let (log, _) = log.open(&journal::Owner::NONE).map_err(failed(&topic))?;
                let next = letters.0.back().map_or(0, |(_, l)| l.number + 1);
                let opened = TopicLog {
                    topic,
                    log,
                    letters,
                    next,
                };
                self.topics.push(opened);
                self.topics.len() - 1
            }
        };
        Ok(&mut self.topics[at])
    }

    /// Parks what a message of a topic of this owner could not be taken as; durable on return. Returns
    /// the letter's id.
    pub fn park(
        &mut self,
        topic: &Topic,
        reason: LetterReason,
        text: &str,
        payload: &[u8],
        now: Timestamp,
    ) -> Result<String, RuntimeError> {
        debug_assert_eq!(Owner::of(topic).as_ref(), Some(&self.owner));
        let log = self.topic(topic)?;
        let kept = &payload[..payload.len().min(PAYLOAD_MAX)];
        let (encoding, written) = match std::str::from_utf8(kept) {
            Ok(text) => (Encoding::Text, text.to_owned()),
            Err(_) => (
                Encoding::Hex,
                kept.iter().map(|b| format!("{b:02x}")).collect(),
            ),
        };
        let name = NameHash::of(&format!("{}/{}", log.topic, log.next));
        let letter = Letter {
            id: format!("{:016x}", name.0),
            number: log.next,
            ts: now,
            topic: log.topic.clone(),
            reason: reason.code().to_owned(),
            text: text.to_owned(),
            encoding,
            payload: written,
            cut: kept.len() < payload.len(),
            tries: 0,
            status: LetterStatus::Parked,
        };
        let id = letter.id.clone();
        log.write(&Record::Parked(letter))?;
        log.next += 1;
        Ok(id)
    }

    /// All letters that are kept, by topic and age.
    pub fn list(&self) -> impl Iterator<Item = &Letter> {
        self.topics
            .iter()
            .flat_map(|log| log.letters.0.iter().map(|(_, letter)| letter))
    }

    /// One letter.
    pub fn show(&self, id: &str) -> Option<&Letter> {
        self.list().find(|letter| letter.id == id)
    }

    /// Writes down what has become of a letter. False where it is not kept any more.
    pub fn mark(
        &mut self,
        id: &str,
        status: LetterStatus,
        now: Timestamp,
    ) -> Result<bool, RuntimeError> {
        for log in &mut self.topics {
            let found = log.letters.0.iter().find(|(_, letter)| letter.id == id);
            if let Some((_, letter)) = found {
                let given_out = status == LetterStatus::ReplayRequested;
                let record = Record::Marked {
                    number: letter.number,
                    status,
                    tries: letter.tries + u32::from(given_out),
                    ts: now,
                };
                log.write(&record)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The letters that are to be taken again, and of which nothing is known since: asked for while no
    /// session ran, or given out before a crash. [`mark`](Self::mark) each as replayed, or as parked where
    /// it cannot be taken still.
    pub fn requested(&self) -> Vec<Letter> {
        self.list()
            .filter(|letter| letter.status == LetterStatus::ReplayRequested)
            .cloned()
            .collect()
    }
}

impl TopicLog {
    fn write(&mut self, record: &Record) -> Result<(), RuntimeError> {
        let bytes = serde_json::to_vec(record)
            .map_err(|e| RuntimeError::state(&self.topic, e.to_string()))?;
        // It will be somewhere behind what was durable before.
        let at = self.log.durable();
        self.log
            .append(&bytes)
            .and_then(|()| self.log.commit())
            .map_err(failed(&self.topic))?;
        self.letters
            .take(at, &bytes)
            .map_err(|why| RuntimeError::state(&self.topic, why))?;
        // What lies before the oldest letter that is kept is of no use: its marks lie behind it.
        if let Some((floor, _)) = self.letters.0.front() {
            let keep = Retention {
                days: None,
                bytes: Some(0),
            };
            self.log
                .retain(*floor, Date::default(), &keep)
                .map_err(failed(&self.topic))?;
        }
        Ok(())
    }
}

/// The letters of an owner for a process that only reads.
pub fn read(logs: &dyn Logs, owner: &Owner) -> Result<Vec<Letter>, RuntimeError> {
    let mut all = Vec::new();
    for topic in owner.topics() {
        let topic = topic.to_string();
        let letters = read_log(logs.log(LogName::Letters(&topic)).as_ref(), &topic)?;
        all.extend(letters.0.into_iter().map(|(_, letter)| letter));
    }
    Ok(all)
}

/// Who has dead letters or a journal.
pub fn owners(logs: &dyn Logs) -> Result<Vec<Owner>, RuntimeError> {
    let failed = |e| RuntimeError::journal("dead letters", e);
    let mut all: Vec<Owner> = logs
        .journals()
        .map_err(failed)?
        .iter()
        .filter_map(|name| Namespace::new(name).ok())
        .map(Owner::Broker)
        .collect();
    for name in logs.letters().map_err(failed)? {
        if let Ok(topic) = Topic::parse(&name) {
            all.extend(Owner::of(&topic));
        }
    }
    all.sort();
    all.dedup();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::{FileLogs, FileOptions, MemoryLogs, SimDisk};

    fn over(disk: &SimDisk) -> Arc<dyn Logs> {
        let disk = Arc::new(disk.clone());
        Arc::new(FileLogs::over(disk, FileOptions::default()))
    }

    fn east() -> Namespace {
        Namespace::new("east").unwrap()
    }

    fn owner() -> Owner {
        Owner::from(&east())
    }

    fn park(letters: &mut DeadLetters, payload: &[u8]) -> String {
        letters
            .park(
                &Topic::Broker(east(), Channel::OrdersUpdated),
                LetterReason::UnknownOrder,
                "no such order",
                payload,
                Timestamp(5),
            )
            .unwrap()
    }

    #[test]
    fn letters_and_what_is_asked_of_them_survive_a_loss_of_power() {
        for seed in 0..40 {
            let disk = SimDisk::new(seed);
            let logs = over(&disk);
            let open = || DeadLetters::open(Arc::clone(&logs), &east()).unwrap();
            let mut letters = open();
            let text = park(&mut letters, b"{\"order\": 1}");
            let raw = park(&mut letters, &[0xff, 0x00, 0x7f]);
            assert_ne!(text, raw);
            for (id, action) in [(&raw, LetterAction::Replay), (&text, LetterAction::Drop)] {
                assert!(letters.mark(id, action.status(), Timestamp(9)).unwrap());
            }
            drop(letters);
            disk.power_loss();

            let status = |id: &str| {
                let all = read(logs.as_ref(), &owner()).unwrap();
                all.into_iter().find(|l| l.id == id).unwrap().status
            };
            assert_eq!(status(&raw), LetterStatus::ReplayRequested);
            assert_eq!(status(&text), LetterStatus::Dropped);
            let letters = open();
            let wanted = letters.requested();
            assert_eq!(wanted.len(), 1);
            assert_eq!((&wanted[0].id, wanted[0].tries), (&raw, 1));
            assert_eq!(wanted[0].bytes(), [0xff, 0x00, 0x7f]);
            let why = letters.show(&text).unwrap().refusal(LetterAction::Replay);
            assert_eq!(why, Some(format!("letter {text} was dropped already")));
            drop(letters);
            disk.power_loss();

            // It was given out, and nothing is known of it: once more. Then it is done.
            let mut letters = open();
            assert_eq!(letters.requested().len(), 1);
            assert!(
                letters
                    .mark(&raw, LetterStatus::Replayed, Timestamp(11))
                    .unwrap()
            );
            assert!(
                !letters
                    .mark("0", LetterStatus::Replayed, Timestamp(11))
                    .unwrap()
            );
            drop(letters);
            disk.power_loss();
            let letters = open();
            assert!(letters.requested().is_empty());
            assert_eq!(letters.list().count(), 2);
            assert_eq!(status(&raw), LetterStatus::Replayed);
        }
    }

    #[test]
    fn the_market_has_letters_of_its_own() {
        let logs: Arc<dyn Logs> = Arc::new(MemoryLogs::default());
        let mut letters = DeadLetters::open(Arc::clone(&logs), Owner::Market).unwrap();
        let topic = Topic::Market(AssetClass::Crypto);
        let id = letters
            .park(
                &topic,
                LetterReason::NonsensePrice,
                "-1",
                b"{}",
                Timestamp(5),
            )
            .unwrap();
        letters
            .mark(&id, LetterStatus::ReplayRequested, Timestamp(6))
            .unwrap();
        drop(letters);
        let letters = DeadLetters::open(Arc::clone(&logs), Owner::Market).unwrap();
        let wanted = letters.requested();
        assert_eq!(wanted[0].topic, "market.crypto.ticks");
        assert_eq!(read(logs.as_ref(), &owner()).unwrap(), []);
    }

    #[test]
    fn the_oldest_are_dropped() {
        let logs = over(&SimDisk::new(1));
        let mut letters = DeadLetters::open(Arc::clone(&logs), &east()).unwrap();
        let first = park(&mut letters, b"first");
        for _ in 0..LETTERS_MAX + 4 {
            park(&mut letters, b"x");
        }
        let kept = |letters: &DeadLetters| {
            let first = letters.list().next().map(|letter| letter.number);
            (letters.list().count(), first)
        };
        assert_eq!(kept(&letters), (LETTERS_MAX, Some(5)));
        assert!(letters.show(&first).is_none());
        let long = vec![b'a'; PAYLOAD_MAX + 1];
        let id = park(&mut letters, &long);
        let letter = letters.show(&id).unwrap();
        assert!(letter.cut && letter.payload.len() == PAYLOAD_MAX);
        assert!(letter.refusal(LetterAction::Replay).is_some());
        assert!(letter.refusal(LetterAction::Drop).is_none());
        drop(letters);
        let letters = DeadLetters::open(logs, &east()).unwrap();
        assert_eq!(kept(&letters), (LETTERS_MAX, Some(6)));
    }

    #[test]
    fn what_cannot_be_read_or_written_is_told() {
        let disk = SimDisk::new(2);
        let logs = over(&disk);
        let mut letters = DeadLetters::open(Arc::clone(&logs), &east()).unwrap();
        let id = park(&mut letters, b"one");
        disk.read_only(true);
        let marked = letters.mark(&id, LetterStatus::Dropped, Timestamp(7));
        let error = marked.unwrap_err().to_string();
        assert!(error.contains("east.orders.updated.dlq"), "{error}");
        disk.read_only(false);
        drop(letters);
        // A record that this build does not know.
        let topic = Topic::Broker(east(), Channel::OrdersUpdated).to_string();
        let log = logs.log(LogName::Letters(&topic));
        let (mut log, _) = log.open(&journal::Owner::NONE).unwrap();
        log.append(b"{\"record\": \"burned\"}").unwrap();
        log.commit().unwrap();
        let opened = DeadLetters::open(Arc::clone(&logs), &east());
        for error in [
            opened.err().unwrap().to_string(),
            read(logs.as_ref(), &owner()).unwrap_err().to_string(),
        ] {
            assert!(
                error.starts_with(&format!("the state of `{topic}`: a dead letter at "))
                    && error.contains("unknown variant `burned`")
                    && error.ends_with("a newer build may have written it"),
                "{error}"
            );
        }
    }
}
