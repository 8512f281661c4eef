//! One instrument's market: its book, what last traded, and what it shows.

use model::signal::Side;
use model::time::DAY;
use model::{Depth, InstrumentIdx, Price, Quantity, Tick, Timestamp};

use super::book::{Book, Match};
use super::flow::{Flow, Sight};
use super::reference::Reference;
use super::rng::Rng;

/// A tick with its depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// The tick.
    pub tick: Tick,
    /// Five levels a side.
    pub depth: Depth,
}

/// One instrument.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    pub instrument: InstrumentIdx,
    pub book: Book,
    pub flow: Flow,
    pub reference: Reference,
    pub last: Price,
    /// Traded since the day's start in UTC, and since the last tick.
    volume: Quantity,
    fresh: Quantity,
    day: i64,
}

impl Listing {
    pub fn new(
        instrument: InstrumentIdx,
        (tick, lot): (Price, Quantity),
        first: Price,
        beta: f64,
    ) -> Self {
        let flow = Flow::new(tick, lot);
        let last = flow.price(flow.ticks(first));
        Self {
            instrument,
            book: Book::default(),
            reference: Reference::new(flow.ticks(last), beta),
            flow,
            last,
            volume: Quantity::ZERO,
            fresh: Quantity::ZERO,
            day: 0,
        }
    }

    /// Goes on from a price, with a book that is filled anew.
    pub fn resume(&mut self, last: Price) {
        let ticks = self.flow.ticks(last);
        self.last = self.flow.price(ticks);
        self.reference.resume(ticks);
    }

    /// One act of the background. Returns whether anything is to be seen.
    pub fn act(
        &mut self,
        rng: &mut Rng,
        regime: usize,
        next_id: &mut u64,
        matches: &mut Vec<Match>,
    ) -> bool {
        let sight = Sight {
            fair: self.reference.ticks(),
            regime,
        };
        let acted = self.flow.act(rng, &sight, &mut self.book, next_id, matches);
        self.refill(rng, next_id) || acted
    }

    /// Fills the book up to five levels a side.
    pub fn refill(&mut self, rng: &mut Rng, next_id: &mut u64) -> bool {
        let fair = self.reference.ticks();
        self.flow.refill(rng, fair, &mut self.book, next_id)
    }

    /// Something has traded.
    pub fn traded(&mut self, matches: &[Match]) {
        for one in matches {
            self.last = one.price;
            let add = |to: Quantity| to.checked_add(one.quantity).unwrap_or(Quantity::MAX);
            self.volume = add(self.volume).min(Quantity::MAX);
            self.fresh = add(self.fresh).min(Quantity::MAX);
        }
    }

    /// What is seen now.
    pub fn quote(&mut self, now: Timestamp) -> Quote {
        let day = now.nanos().div_euclid(DAY);
        if day != self.day {
            self.day = day;
            self.volume = self.fresh;
        }
        let best = |side| self.book.best(side).unwrap_or(Price::ZERO);
        Quote {
            tick: Tick {
                ts: now,
                exchange_ts: now,
                price: self.last,
                quantity: std::mem::take(&mut self.fresh),
                volume: self.volume,
                open_interest: Quantity::ZERO,
                bid: best(Side::Buy),
                ask: best(Side::Sell),
                instrument: self.instrument,
            },
            depth: self.book.depth(),
        }
    }
}
