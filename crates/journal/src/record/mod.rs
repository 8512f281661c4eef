//! What the logs hold. A record is one self-contained fact in the form of `proto/alpha_panda/v1/journal.proto`.
//!
//! Two logs, two vocabularies: a namespace's journal holds [`JournalRecord`]s, the market log
//! [`MarketRecord`]s. Both begin each start of the system with a [`Start`], whose tables give the names
//! behind the interned indices of all records up to the next start.

mod start;
mod ticks;

use model::control::Command;
use model::event::Event;
use model::market::MarketData;
use model::reason::Reason;
use model::reindex::Reindex;
use model::signal::Signal;
use model::trader::TraderReport;
use model::{Bar, Depth, InputId, StrategyIdx, Tick, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wire::{EventPlace, Root, WireError};

pub use start::{Start, StrategyEntry};
pub use ticks::{TICKS_MAX, Ticks};

/// A market input that owns its data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "plain values in reused buffers; a box would allocate per tick"
)]
#[serde(rename_all = "snake_case")]
pub enum MarketItem {
    /// A tick without depth.
    Tick(Tick),
    /// A tick with five levels of depth.
    Deep(Tick, Depth),
    /// A finished bar.
    Bar(Bar),
}

impl MarketItem {
    /// As the stages take it.
    pub const fn data(&self) -> MarketData<'_> {
        match self {
            Self::Tick(tick) => MarketData::Tick(tick, None),
            Self::Deep(tick, depth) => MarketData::Tick(tick, Some(depth)),
            Self::Bar(bar) => MarketData::Bar(bar),
        }
    }
    /// A copy of what is borrowed.
    pub const fn of(data: &MarketData<'_>) -> Self {
        match *data {
            MarketData::Tick(tick, None) => Self::Tick(*tick),
            MarketData::Tick(tick, Some(depth)) => Self::Deep(*tick, *depth),
            MarketData::Bar(bar) => Self::Bar(*bar),
        }
    }
}

/// One or more consecutive inputs of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "plain values in reused buffers; a box would allocate per input"
)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// Market inputs `first..=last` of the market log, none of which caused an output.
    Market {
        /// The first.
        first: InputId,
        /// The last.
        last: InputId,
    },
    /// A market input in full: one that caused outputs, or what a conflated range came to.
    Full(InputId, MarketItem),
    /// A timer, at its due time; the id is the latest market input before it.
    Clock(InputId, Timestamp),
    /// A shared strategy's signal.
    Signal(Signal),
    /// What the broker reported, stamped with the session's clock.
    Report(TraderReport),
    /// A command, at its time.
    Command(Timestamp, Command),
    /// The system was off or suspended until then: timers due before it were missed.
    TimersMissed(Timestamp),
    /// The namespace was behind: it took inputs `first..=last` conflated, as the full inputs that
    /// follow, a pure function of that range.
    Conflated {
        /// The first.
        first: InputId,
        /// The last.
        last: InputId,
    },
}

/// Wall-clock times of one record, in nanoseconds UTC, zero where unknown. Replay and parity ignore
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Host {
    /// When the closing input arrived in this process.
    pub received: i64,
    /// When its outputs were decided.
    pub decided: i64,
    /// Of a report: when the order's intent was durable.
    pub durable: i64,
    /// Of a report: when the call to the broker started.
    pub sent: i64,
    /// Of a report: when the broker's answer to that call was there.
    pub acknowledged: i64,
}

/// A run of consecutive inputs, closed by the first that caused an output or by a bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The record's number in the namespace, rising by one over all starts.
    pub step: u64,
    /// The inputs, in the order in which they were taken.
    pub inputs: Vec<Entry>,
    /// What the last of them caused.
    pub outputs: Vec<Event>,
    /// Times.
    pub host: Host,
}

impl Run {
    /// Its outputs, each with where it stands.
    pub fn placed(&self) -> impl Iterator<Item = (EventPlace, &Event)> {
        let step = self.step;
        let outputs = self.outputs.iter().enumerate();
        outputs.map(move |(ordinal, event)| (EventPlace { step, ordinal }, event))
    }
}

/// A run that is still where it was made.
#[derive(Debug, Serialize)]
pub struct RunRef<'a> {
    /// See [`Run::step`].
    pub step: u64,
    /// See [`Run::inputs`].
    pub inputs: &'a [Entry],
    /// See [`Run::outputs`].
    pub outputs: &'a [Event],
    /// See [`Run::host`].
    pub host: Host,
}

/// A record of a namespace's journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "one at a time")]
#[serde(rename_all = "snake_case")]
pub enum JournalRecord {
    /// The system starts: a new epoch.
    Start(Start),
    /// Inputs and what they caused.
    Run(Run),
    /// The system was stopped in good order, or the namespace was detached and why.
    Stop {
        /// On the wall clock.
        at: Timestamp,
        /// Why, for people.
        why: String,
    },
}

/// The same, borrowed, for writing.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalRecordRef<'a> {
    /// See [`JournalRecord::Start`].
    Start(&'a Start),
    /// See [`JournalRecord::Run`].
    Run(RunRef<'a>),
    /// See [`JournalRecord::Stop`].
    Stop {
        /// On the wall clock.
        at: Timestamp,
        /// Why, for people.
        why: &'a str,
    },
}

/// A record of the market log: the runner's inputs, in its order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "one at a time")]
#[serde(rename_all = "snake_case")]
pub enum MarketRecord {
    /// The system starts: a new epoch.
    Start(Start),
    /// A market input with its number in the source's session: a bar.
    Market(InputId, MarketItem),
    /// Ticks that follow each other.
    Ticks(Ticks),
    /// A timer of the runner, at its due time.
    Clock(InputId, Timestamp),
    /// The system was off or suspended until then: the runner's timers due before it were missed.
    TimersMissed(Timestamp),
    /// A shared strategy is enabled or disabled; the id is the latest market input before it.
    Switch {
        /// The latest market input before it.
        input: InputId,
        /// Which.
        strategy: StrategyIdx,
        /// Whether it may trade.
        enabled: bool,
        /// Why.
        reason: Reason,
        /// When, on the session's clock.
        ts: Timestamp,
    },
    /// The system was stopped in good order.
    Stop {
        /// On the wall clock.
        at: Timestamp,
        /// Why, for people.
        why: String,
    },
}

/// A record of one of the two logs.
pub trait Record: DeserializeOwned {
    /// Its message in the schema.
    const ROOT: Root;

    /// The start, if it is one.
    fn start(self) -> Option<Start>;
}

impl Record for JournalRecord {
    const ROOT: Root = wire::roots::JOURNAL_RECORD;

    fn start(self) -> Option<Start> {
        match self {
            Self::Start(start) => Some(start),
            _ => None,
        }
    }
}

impl Record for MarketRecord {
    const ROOT: Root = wire::roots::MARKET_RECORD;

    fn start(self) -> Option<Start> {
        match self {
            Self::Start(start) => Some(start),
            _ => None,
        }
    }
}

impl MarketRecord {
    /// The market inputs that it holds, in order.
    pub fn into_inputs(self) -> Vec<(InputId, MarketItem)> {
        match self {
            Self::Market(id, item) => vec![(id, item)],
            Self::Ticks(ticks) => ticks.numbered().collect(),
            _ => Vec::new(),
        }
    }
}

impl JournalRecordRef<'_> {
    /// Appends the encoding.
    pub fn encode(&self, buffer: &mut Vec<u8>) -> Result<(), WireError> {
        wire::encode(JournalRecord::ROOT, self, buffer)
    }
}

impl MarketRecord {
    /// Appends the encoding.
    pub fn encode(&self, buffer: &mut Vec<u8>) -> Result<(), WireError> {
        wire::encode(Self::ROOT, self, buffer)
    }
}

/// The record in these bytes, with the indices of the start that wrote it.
pub fn decode<R: Record>(bytes: &[u8]) -> Result<R, WireError> {
    wire::decode(R::ROOT, bytes, None)
}

/// The record in these bytes, with today's indices: `map` translates those of the start that wrote it.
pub fn decode_with<R: Record>(bytes: &[u8], map: Option<&Reindex>) -> Result<R, WireError> {
    wire::decode(R::ROOT, bytes, map)
}

/// True for the encoding of a start: it is member 2 of both vocabularies.
pub fn is_start(bytes: &[u8]) -> bool {
    wire::member(bytes) == Some(2)
}
