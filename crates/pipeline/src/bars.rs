//! Builds bars of any length from ticks or from shorter bars, deterministically.
//!
//! A bar covers `[open, open + length)` counted from the session's open (24x7 markets: from the
//! start of the UTC epoch) and ends with the session at the latest. It is delivered at its close by a
//! timer, so that it is finished before the first tick behind it is seen. Stretches without a trade
//! give no bar.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use model::market::Timeframe;
use model::session::SessionWindow;
use model::{Bar, InstrumentIdx, Price, Quantity, Tick, Timestamp};

/// One instrument's bars of one length in the making.
#[derive(Debug, Clone)]
struct Builder {
    timeframe: Timeframe,
    instrument: InstrumentIdx,
    /// The bar in the making, and the instant at which its timer finishes it.
    current: Option<(Bar, Timestamp)>,
}

/// All bars in the making of one host.
#[derive(Clone, Default)]
pub struct BarBuilders {
    builders: Vec<Builder>,
    /// Builders of an instrument: a range of `builders`.
    ranges: Vec<(u32, u32)>,
    due: BinaryHeap<Reverse<(Timestamp, u32)>>,
}

/// What is in the making; timers follow from it.
impl std::fmt::Debug for BarBuilders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.in_the_making()).finish()
    }
}

impl BarBuilders {
    /// For these (instrument, length) pairs, in any order, over `instruments` instruments.
    pub fn new(mut wanted: Vec<(InstrumentIdx, Timeframe)>, instruments: usize) -> Self {
        wanted.sort_unstable();
        wanted.dedup();
        let mut ranges = vec![(0, 0); instruments];
        for (i, (instrument, _)) in wanted.iter().enumerate() {
            let range = &mut ranges[instrument.index()];
            if range.0 == range.1 {
                range.0 = i as u32;
            }
            range.1 = i as u32 + 1;
        }
        let due = BinaryHeap::with_capacity(wanted.len());
        let builders = wanted
            .into_iter()
            .map(|(instrument, timeframe)| Builder {
                timeframe,
                instrument,
                current: None,
            })
            .collect();
        Self {
            builders,
            ranges,
            due,
        }
    }

    /// The number of (instrument, length) pairs.
    pub fn len(&self) -> usize {
        self.builders.len()
    }
    /// True when no bars are wanted.
    pub fn is_empty(&self) -> bool {
        self.builders.is_empty()
    }
    /// Instrument and length of a builder.
    pub fn pair(&self, builder: usize) -> (InstrumentIdx, Timeframe) {
        (
            self.builders[builder].instrument,
            self.builders[builder].timeframe,
        )
    }
    /// The builders of an instrument.
    #[inline]
    pub fn of(&self, instrument: InstrumentIdx) -> std::ops::Range<usize> {
        let (from, to) = self.ranges[instrument.index()];
        from as usize..to as usize
    }
    /// When the next bar ends. Timers of bars that were finished early are forgotten first.
    pub fn next_due(&mut self) -> Timestamp {
        while let Some(Reverse((due, index))) = self.due.peek() {
            let current = self.builders[*index as usize].current;
            if current.is_some_and(|(_, timer)| timer == *due) {
                break;
            }
            self.due.pop();
        }
        self.due
            .peek()
            .map_or(Timestamp::MAX, |Reverse((due, _))| *due)
    }

    /// The next bar that is due at or before `at`, in the order of (due, instrument, length).
    pub fn pop_due(&mut self, at: Timestamp) -> Option<(usize, Bar)> {
        loop {
            let Reverse((due, index)) = *self.due.peek()?;
            if due > at {
                return None;
            }
            self.due.pop();
            let builder = &mut self.builders[index as usize];
            // An entry whose bar was finished early belongs to no bar any more.
            if builder.current.is_some_and(|(_, timer)| timer == due) {
                return builder.current.take().map(|(bar, _)| (index as usize, bar));
            }
        }
    }

    /// The bars in the making, each with the instant at which its timer finishes it.
    pub fn in_the_making(&self) -> impl Iterator<Item = (Bar, Timestamp)> + '_ {
        self.builders.iter().filter_map(|b| b.current)
    }

    /// Takes back a bar in the making, if anyone still wants it.
    pub fn put_back(&mut self, bar: &Bar, timer: Timestamp) {
        let wanted = (bar.instrument, bar.timeframe);
        let Some(index) = (0..self.len()).find(|b| self.pair(*b) == wanted) else {
            return;
        };
        self.builders[index].current = Some((*bar, timer));
        self.due.push(Reverse((timer, index as u32)));
    }

    fn open(
        &mut self,
        index: usize,
        at: Timestamp,
        window: SessionWindow,
        price: Price,
    ) -> &mut Bar {
        let builder = &mut self.builders[index];
        let length = builder.timeframe.nanos();
        let open_ts = window
            .open
            .plus(at.since(window.open).div_euclid(length) * length);
        let close_ts = open_ts.plus(length).min(window.close);
        let bar = Bar {
            open_ts,
            close_ts,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: Quantity::ZERO,
            open_interest: Quantity::ZERO,
            instrument: builder.instrument,
            timeframe: builder.timeframe,
        };
        &mut builder.current.insert((bar, close_ts)).0
    }

    /// Adds a tick that arrived at `now`, within `window`.
    pub fn add_tick(&mut self, index: usize, now: Timestamp, window: SessionWindow, tick: &Tick) {
        if self.builders[index].current.is_none() {
            let close_ts = self.open(index, now, window, tick.price).close_ts;
            self.due.push(Reverse((close_ts, index as u32)));
        }
        if let Some((bar, _)) = &mut self.builders[index].current {
            bar.high = bar.high.max(tick.price);
            bar.low = bar.low.min(tick.price);
            bar.close = tick.price;
            bar.open_interest = tick.open_interest;
            // A day's volume is far from the limit; at it, the bar shows the limit.
            bar.volume = bar
                .volume
                .checked_add(tick.quantity)
                .unwrap_or(Quantity::MAX);
        }
    }

    /// Adds a shorter bar within `window`; returns the bar that it completes. A bar whose last
    /// part is missing is finished by its timer, one nanosecond after its end: the part that ends
    /// with it must be able to arrive first.
    pub fn add_bar(&mut self, index: usize, window: SessionWindow, part: &Bar) -> Option<Bar> {
        if self.builders[index].current.is_none() {
            let bar = self.open(index, part.open_ts, window, part.open);
            let timer = bar.close_ts.plus(1);
            if let Some((_, due)) = &mut self.builders[index].current {
                *due = timer;
            }
            self.due.push(Reverse((timer, index as u32)));
        }
        let (bar, _) = self.builders[index].current.as_mut()?;
        bar.high = bar.high.max(part.high);
        bar.low = bar.low.min(part.low);
        bar.close = part.close;
        bar.open_interest = part.open_interest;
        bar.volume = bar.volume.checked_add(part.volume).unwrap_or(Quantity::MAX);
        if part.close_ts >= bar.close_ts {
            self.builders[index].current.take().map(|(bar, _)| bar)
        } else {
            None
        }
    }
}
