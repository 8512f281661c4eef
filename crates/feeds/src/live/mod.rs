//! Feeds that a running system is driven by: a replay of recorded data, or a live source.
//!
//! A host owns each [`Feed`] on a thread of its own, pulls batches out of it with [`supervise`] and hands
//! them over through a [`FeedQueue`]. A replay is never conflated: its producer waits. A live feed is,
//! when the host is behind.

mod conflate;
pub mod conformance;
mod queue;
mod registry;
mod replay;
mod settings;
mod simulated;
pub mod supervise;

use std::collections::BTreeSet;
use std::time::Duration;

use model::ids::SourceSession;
use model::{Bar, Depth, InstrumentIdx, Instruments, Tick};

use crate::error::DataError;

pub use conflate::Conflator;
pub use queue::{FeedQueue, Policy, QueueStats};
pub use registry::{BuildFeed, FeedContext, FeedKind, FeedRegistry, REPLAY, SIMULATED};
pub use replay::{JumpTold, Pace, Replay, ReplayRange, Speed};
pub use settings::{ReplaySettings, SimulatedSettings, replay_kind};
pub use simulated::{SimulatedFeed, simulated_kind};

/// A feed gives at most so many items at once.
pub const BATCH_MAX: usize = 1024;

/// What a feed delivered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item {
    /// A tick.
    Tick {
        /// The row in a replay's merged rows; a running number of a live feed.
        number: u64,
        /// The tick.
        tick: Tick,
        /// Its depth, as an index of the batch's depths.
        depth: Option<u32>,
    },
    /// A finished bar.
    Bar {
        /// The row in a replay's merged rows.
        number: u64,
        /// The bar.
        bar: Bar,
    },
}

/// Consecutive items of one feed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// The items, in order.
    pub items: Vec<Item>,
    /// Depths that items refer to.
    pub depths: Vec<Depth>,
}

impl Batch {
    /// Forgets all of it, and keeps the space.
    pub fn clear(&mut self) {
        self.items.clear();
        self.depths.clear();
    }

    /// Adds a tick with its depth.
    pub fn tick(&mut self, number: u64, tick: Tick, depth: Option<&Depth>) {
        let depth = depth.map(|depth| {
            self.depths.push(*depth);
            (self.depths.len() - 1) as u32
        });
        self.items.push(Item::Tick {
            number,
            tick,
            depth,
        });
    }

    /// A tick's depth.
    pub fn depth(&self, index: Option<u32>) -> Option<&Depth> {
        index.and_then(|at| self.depths.get(at as usize))
    }

    /// Takes over the items `range` of another batch.
    pub fn extend_from(&mut self, other: &Self, range: std::ops::Range<usize>) {
        for item in other.items.get(range).unwrap_or_default() {
            match item {
                Item::Tick {
                    number,
                    tick,
                    depth,
                } => self.tick(*number, *tick, other.depth(*depth)),
                bar @ Item::Bar { .. } => self.items.push(*bar),
            }
        }
    }
}

/// What a feed's time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// Recorded data: its stamps are the session's clock, its rows have an identity.
    Replay {
        /// Identity of the data.
        session: SourceSession,
        /// The first row that will be delivered.
        from: u64,
    },
    /// Now.
    Live,
}

/// What came of a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Items were added.
    Data,
    /// Nothing within the wait.
    Idle,
    /// A replay is over.
    Ended,
}

/// Why a feed delivers nothing.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The connection is gone: connecting again can help.
    #[error("the feed's connection is lost: {0}")]
    Lost(String),
    /// The source refuses: wrong credentials, wrong settings. Connecting again cannot help.
    #[error("the feed is refused: {0}")]
    Refused(String),
    /// A replay's file cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// An instrument that a feed does not deliver though it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unserved {
    /// Its canonical id.
    pub id: String,
    /// Why.
    pub why: String,
}

/// Splits canonical ids into the indices of those that a feed serves, in order and once each, and the others.
fn split(
    instruments: &Instruments,
    wanted: &[String],
    serves: impl Fn(InstrumentIdx) -> bool,
    why: &str,
) -> (Vec<InstrumentIdx>, Vec<Unserved>) {
    let (mut served, mut unserved) = (BTreeSet::new(), Vec::new());
    for id in wanted {
        match instruments.find(id).ok().filter(|index| serves(*index)) {
            Some(index) => {
                served.insert(index);
            }
            None => unserved.push(Unserved {
                id: id.clone(),
                why: why.to_owned(),
            }),
        }
    }
    (served.into_iter().collect(), unserved)
}

/// One source of market data.
pub trait Feed: Send {
    /// Its name in the settings.
    fn name(&self) -> &str;
    /// What its time is.
    fn nature(&self) -> Nature;
    /// The instruments that it delivers: those of the latest [`ask`](Self::ask) that it serves, at first none.
    fn instruments(&self) -> &[InstrumentIdx];
    /// Asks for the instruments with these canonical ids in the place of those asked for before; it comes ahead of
    /// the first `connect`, and between pulls. From here on the feed delivers these and no others. Those that it
    /// does not serve come back with the reason. A set whose telling a lost connection ends is told by the next
    /// `connect`.
    fn ask(&mut self, wanted: &[String]) -> Result<Vec<Unserved>, FeedError>;
    /// Connects, or connects again after [`FeedError::Lost`]. What follows does not repeat what was
    /// delivered.
    fn connect(&mut self) -> Result<(), FeedError>;
    /// Adds at most [`BATCH_MAX`] items to `batch`, waiting up to `wait` for the first.
    fn next(&mut self, wait: Duration, batch: &mut Batch) -> Result<Next, FeedError>;
    /// Ends the connection.
    fn stop(&mut self);
}
