//! Recorded data as a feed: at the pace at which it came, faster, or as fast as it is taken.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::ids::SourceSession;
use model::{Bar, InstrumentIdx, Instruments, Tick, Timestamp};

use super::{BATCH_MAX, Batch, Feed, FeedError, Item, Nature, Next, Unserved, split};
use crate::actions::DayJump;
use crate::error::DataError;
use crate::source::Loaded;
use crate::stream::{CHUNK_ROWS, MarketStream};

/// How fast a replay runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// As fast as it is taken.
    Max,
    /// So many times as fast as it was.
    Times(f64),
}

/// Which rows are delivered. Row numbers stay those of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayRange {
    /// Rows before it are passed over: where an earlier run came to.
    pub from_row: u64,
    /// Rows stamped before it are passed over.
    pub from: Timestamp,
    /// Rows stamped at or after it are not delivered.
    pub to: Timestamp,
}

impl Default for ReplayRange {
    fn default() -> Self {
        Self {
            from_row: 0,
            from: Timestamp::MIN,
            to: Timestamp::MAX,
        }
    }
}

/// The time that passes while a replay waits.
pub trait Pace: Send {
    /// Time since any fixed instant.
    fn elapsed(&self) -> Duration;
    /// Lets at most so much time pass.
    fn sleep(&self, time: Duration);
}

/// The wall's.
#[derive(Debug)]
struct WallPace(std::time::Instant);

impl Pace for WallPace {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// Told of what looks like a split or bonus that nobody gave.
pub type JumpTold = Box<dyn Fn(&DayJump<'_>) + Send>;

/// The feed.
pub struct Replay {
    name: String,
    session: SourceSession,
    stream: MarketStream,
    instruments: Arc<Instruments>,
    /// What it is asked for.
    asked: Vec<InstrumentIdx>,
    /// The session's index of an instrument by that under which the data was loaded.
    map: Vec<Option<InstrumentIdx>>,
    range: ReplayRange,
    speed: Speed,
    pace: Box<dyn Pace>,
    /// Rows of the current chunk, and the first that is still to be delivered.
    chunk: Vec<Item>,
    at: usize,
    /// Number of the next row of the stream.
    row: u64,
    /// When the first delivered row was due, on its clock and on ours.
    origin: Option<(Timestamp, Duration)>,
    ended: bool,
    jump_told: Option<JumpTold>,
    /// Jumps that have been told of.
    jumps: usize,
}

impl Replay {
    /// Of loaded data. `map` gives the session's index of an instrument by that under which the data was loaded;
    /// rows of those without one are not delivered.
    pub fn new(
        name: &str,
        loaded: Loaded,
        instruments: Arc<Instruments>,
        map: Vec<Option<InstrumentIdx>>,
        range: ReplayRange,
        speed: Speed,
    ) -> Self {
        let pace = Box::new(WallPace(std::time::Instant::now()));
        Self::with_pace(name, loaded, instruments, map, range, speed, pace)
    }

    /// The same against another clock.
    pub fn with_pace(
        name: &str,
        loaded: Loaded,
        instruments: Arc<Instruments>,
        map: Vec<Option<InstrumentIdx>>,
        range: ReplayRange,
        speed: Speed,
        pace: Box<dyn Pace>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            session: loaded.session,
            stream: loaded.stream,
            instruments,
            asked: Vec::new(),
            map,
            range,
            speed,
            pace,
            chunk: Vec::with_capacity(CHUNK_ROWS),
            at: 0,
            row: 0,
            origin: None,
            ended: false,
            jump_told: None,
            jumps: 0,
        }
    }

    /// Tells of jumps between days as they come.
    pub fn on_jump(mut self, told: JumpTold) -> Self {
        self.jump_told = Some(told);
        self
    }

    fn tell_jumps(&mut self) {
        if let Some(told) = &self.jump_told {
            for jump in self.stream.history().jumps().skip(self.jumps) {
                told(&jump);
                self.jumps += 1;
            }
        }
    }

    fn read(&mut self) -> Result<(), DataError> {
        self.chunk.clear();
        self.at = 0;
        while self.chunk.is_empty() && !self.ended {
            let range = self.range;
            let first = self.row;
            let map = &self.map;
            let wanted = |number: u64, ts: Timestamp, instrument: InstrumentIdx| {
                let is_within = number >= range.from_row && ts >= range.from && ts < range.to;
                let to = map.get(instrument.index()).copied().flatten();
                to.filter(|_| is_within)
            };
            let read = match &mut self.stream {
                MarketStream::Ticks(ticks) => ticks.next_chunk()?.map(|rows| {
                    let numbered = (first..).zip(rows);
                    self.chunk.extend(numbered.filter_map(|(number, tick)| {
                        let instrument = wanted(number, tick.ts, tick.instrument)?;
                        Some(Item::Tick {
                            number,
                            tick: Tick {
                                instrument,
                                ..*tick
                            },
                            depth: None,
                        })
                    }));
                    (rows.len(), rows.last().map(|t| t.ts))
                }),
                MarketStream::Bars(bars) => bars.next_chunk()?.map(|rows| {
                    let numbered = (first..).zip(rows);
                    self.chunk.extend(numbered.filter_map(|(number, bar)| {
                        let instrument = wanted(number, bar.close_ts, bar.instrument)?;
                        let bar = Bar { instrument, ..*bar };
                        Some(Item::Bar { number, bar })
                    }));
                    (rows.len(), rows.last().map(|b| b.close_ts))
                }),
            };
            match read {
                Some((rows, last)) => {
                    self.row += rows as u64;
                    // Rows are in the order of their stamps.
                    self.ended = last.is_some_and(|ts| ts >= range.to);
                }
                None => self.ended = true,
            }
        }
        self.tell_jumps();
        Ok(())
    }

    fn is_asked(&self, item: &Item) -> bool {
        let instrument = match item {
            Item::Tick { tick, .. } => tick.instrument,
            Item::Bar { bar, .. } => bar.instrument,
        };
        self.asked.binary_search(&instrument).is_ok()
    }

    /// The next row that is asked for; what is asked for may have changed since the rows were read.
    fn wanted(&mut self) -> Result<Option<Item>, DataError> {
        loop {
            match self.chunk.get(self.at).copied() {
                Some(item) if self.is_asked(&item) => return Ok(Some(item)),
                Some(_) => self.at += 1,
                None => {
                    self.read()?;
                    if self.chunk.is_empty() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// How long until a row is due.
    fn due_in(&mut self, ts: Timestamp) -> Duration {
        let Speed::Times(times) = self.speed else {
            return Duration::ZERO;
        };
        let now = self.pace.elapsed();
        let (first, began) = *self.origin.get_or_insert((ts, now));
        let passed = ts.since(first).max(0) as f64 / times.max(f64::MIN_POSITIVE);
        let due = began.saturating_add(Duration::from_nanos(passed as u64));
        due.saturating_sub(now)
    }
}

fn stamp(item: &Item) -> Timestamp {
    match item {
        Item::Tick { tick, .. } => tick.ts,
        Item::Bar { bar, .. } => bar.close_ts,
    }
}

impl Feed for Replay {
    fn name(&self) -> &str {
        &self.name
    }
    fn nature(&self) -> Nature {
        Nature::Replay {
            session: self.session,
            from: self.range.from_row,
        }
    }
    fn instruments(&self) -> &[InstrumentIdx] {
        &self.asked
    }
    fn ask(&mut self, wanted: &[String]) -> Result<Vec<Unserved>, FeedError> {
        let days = self.stream.days().into_iter();
        let held: BTreeSet<_> = days
            .filter_map(|(_, at)| self.map.get(at.index()).copied().flatten())
            .collect();
        let why = "the recorded data has no rows of it";
        let (asked, unserved) = split(&self.instruments, wanted, |i| held.contains(&i), why);
        self.asked = asked;
        Ok(unserved)
    }
    fn connect(&mut self) -> Result<(), FeedError> {
        Ok(())
    }

    fn next(&mut self, wait: Duration, batch: &mut Batch) -> Result<Next, FeedError> {
        let Some(first) = self.wanted()? else {
            return Ok(Next::Ended);
        };
        let due = self.due_in(stamp(&first));
        if due > wait {
            self.pace.sleep(wait);
            return Ok(Next::Idle);
        }
        if !due.is_zero() {
            self.pace.sleep(due);
        }
        let mut given = 0;
        while let Some(item) = self.chunk.get(self.at).copied() {
            if given >= BATCH_MAX || (given > 0 && !self.due_in(stamp(&item)).is_zero()) {
                break;
            }
            self.at += 1;
            if self.is_asked(&item) {
                batch.items.push(item);
                given += 1;
            }
        }
        Ok(Next::Data)
    }

    fn stop(&mut self) {
        self.ended = true;
        self.chunk.clear();
    }
}
