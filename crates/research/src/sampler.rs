//! Long series thinned to what a picture can show, in bounded memory.
//!
//! A [`Sampler`] keeps at most [`BUCKETS`] buckets of equally many values, each with its lowest and
//! highest one, and the first and last value of all. When the buckets are full, neighbours are
//! merged and every bucket counts twice as much: O(1) per value on average, and nothing is
//! allocated once the buckets have been full.

use model::time::HOUR;
use model::{InstrumentIdx, Price, Timestamp};

/// Most buckets of one series; a picture shows two points of each and the two ends.
pub const BUCKETS: usize = 1_400;

/// A value of a series that has a height.
pub trait Point: Copy {
    /// What the lowest and highest value of a bucket are found by.
    type Height: Ord;
    /// The instant of the value.
    fn ts(&self) -> Timestamp;
    /// The value's height.
    fn height(&self) -> Self::Height;
}

/// Buckets over all instruments of a run, some 10 MB.
pub const BUCKETS_TOTAL: usize = 200_000;

#[derive(Debug, Clone, Copy)]
struct Bucket<P> {
    /// In the order of their arrival.
    low: (u64, P),
    high: (u64, P),
}

/// A series of any length as a bounded number of its points, extremes included.
#[derive(Debug, Clone)]
pub struct Sampler<P> {
    buckets: Vec<Bucket<P>>,
    ends: Option<((u64, P), (u64, P))>,
    /// Most buckets; even.
    limit: usize,
    /// Values per bucket.
    width: u64,
    /// Values in the last bucket.
    filled: u64,
    count: u64,
}

impl<P: Point> Default for Sampler<P> {
    fn default() -> Self {
        Self::with_limit(BUCKETS)
    }
}

impl<P: Point> Sampler<P> {
    /// Keeps at most `limit` buckets, rounded up to an even number.
    pub const fn with_limit(limit: usize) -> Self {
        let limit = if limit < 2 { 2 } else { limit + limit % 2 };
        Self {
            buckets: Vec::new(),
            ends: None,
            limit,
            width: 1,
            filled: 0,
            count: 0,
        }
    }

    /// Takes the next value.
    #[inline]
    pub fn record(&mut self, point: P) {
        let new = (self.count, point);
        self.count += 1;
        match &mut self.ends {
            None => self.ends = Some((new, new)),
            Some((_, last)) => *last = new,
        }
        if self.filled < self.width
            && let Some(bucket) = self.buckets.last_mut()
        {
            self.filled += 1;
            if point.height() < bucket.low.1.height() {
                bucket.low = new;
            }
            if point.height() > bucket.high.1.height() {
                bucket.high = new;
            }
            return;
        }
        if self.buckets.len() == self.limit {
            self.merge();
        }
        self.buckets.push(Bucket {
            low: new,
            high: new,
        });
        self.filled = 1;
    }

    fn merge(&mut self) {
        for i in 0..self.limit / 2 {
            let (a, b) = (self.buckets[2 * i], self.buckets[2 * i + 1]);
            self.buckets[i] = Bucket {
                low: if b.low.1.height() < a.low.1.height() {
                    b.low
                } else {
                    a.low
                },
                high: if b.high.1.height() > a.high.1.height() {
                    b.high
                } else {
                    a.high
                },
            };
        }
        self.buckets.truncate(self.limit / 2);
        self.width *= 2;
    }

    /// How many values there were.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The latest value.
    pub fn last(&self) -> Option<P> {
        self.ends.map(|(_, (_, last))| last)
    }

    /// The points to draw, in the order of their arrival: at most two per bucket and two more.
    pub fn points(&self) -> Vec<P> {
        let Some((first, last)) = self.ends else {
            return Vec::new();
        };
        let mut points = vec![first];
        let mut add = |point: (u64, P)| {
            if points.last().is_none_or(|p: &(u64, P)| p.0 < point.0) {
                points.push(point);
            }
        };
        for Bucket { low, high } in &self.buckets {
            let (a, b) = if low.0 < high.0 {
                (low, high)
            } else {
                (high, low)
            };
            add(*a);
            add(*b);
        }
        add(last);
        points.into_iter().map(|(_, point)| point).collect()
    }
}

/// A price at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PricePoint {
    /// When.
    pub ts: Timestamp,
    /// How much.
    pub price: Price,
}

impl Point for PricePoint {
    type Height = Price;
    fn ts(&self) -> Timestamp {
        self.ts
    }
    fn height(&self) -> Price {
        self.price
    }
}

/// A pause of this length ends a segment of the time axis, in nanoseconds.
pub const PAUSE: i64 = HOUR;
/// Most segments of the time axis; what comes after belongs to the last one.
pub const SEGMENTS_MAX: usize = 20_000;

/// The prices of every instrument, thinned, and when the market was active: pictures leave out the
/// nights.
#[derive(Debug, Clone)]
pub struct PriceSampler {
    series: Vec<Sampler<PricePoint>>,
    segments: Vec<(Timestamp, Timestamp)>,
}

impl PriceSampler {
    /// For a registry of this many instruments. The more there are, the coarser each is, so that
    /// all of them stay below [`BUCKETS_TOTAL`] buckets, or 64 each.
    pub fn new(instruments: usize) -> Self {
        let limit = (BUCKETS_TOTAL / instruments.max(1)).clamp(64, BUCKETS);
        let series = vec![Sampler::with_limit(limit); instruments];
        Self {
            series,
            segments: Vec::with_capacity(64),
        }
    }

    /// Takes a tick's price. An instrument beyond the registry is left out.
    #[inline]
    pub fn record(&mut self, instrument: InstrumentIdx, ts: Timestamp, price: Price) {
        let full = self.segments.len() >= SEGMENTS_MAX;
        match self.segments.last_mut() {
            Some((_, end)) if full || ts.since(*end) < PAUSE => *end = ts.max(*end),
            _ => self.segments.push((ts, ts)),
        }
        if let Some(series) = self.series.get_mut(instrument.index()) {
            series.record(PricePoint { ts, price });
        }
    }

    /// One instrument's series.
    pub fn series(&self, instrument: InstrumentIdx) -> Option<&Sampler<PricePoint>> {
        self.series.get(instrument.index())
    }

    /// The stretches of activity over all instruments, first and last instant of each.
    pub fn segments(&self) -> &[(Timestamp, Timestamp)] {
        &self.segments
    }

    /// The latest price of every instrument; zero where there was none.
    pub fn last_prices(&self) -> Vec<Price> {
        self.series
            .iter()
            .map(|s| s.last().map_or(Price::ZERO, |p| p.price))
            .collect()
    }
}

/// At most `limit` of a stream's items, spread evenly over it: when it is full, every other one is
/// dropped and only every other one of what follows is taken.
#[derive(Debug, Clone)]
pub struct Thinned<T> {
    items: Vec<T>,
    limit: usize,
    stride: u64,
    count: u64,
}

impl<T> Thinned<T> {
    /// Keeps at most `limit`, at least two.
    pub fn new(limit: usize) -> Self {
        Self {
            items: Vec::new(),
            limit: limit.max(2),
            stride: 1,
            count: 0,
        }
    }
    /// Takes the next item.
    pub fn push(&mut self, item: T) {
        if self.count.is_multiple_of(self.stride) {
            if self.items.len() == self.limit {
                let mut index = 0usize;
                self.items.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.stride *= 2;
            }
            if self.count.is_multiple_of(self.stride) {
                self.items.push(item);
            }
        }
        self.count += 1;
    }
    /// What is kept, in order.
    pub fn items(&self) -> &[T] {
        &self.items
    }
    /// How many there were.
    pub const fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_and_ends_survive_and_memory_is_bounded() {
        let mut sampler = PriceSampler::new(1);
        let mut state = 1u64;
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        let (mut first, mut last) = (0, 0);
        for n in 0..1_000_003i64 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let mut price = 1_000_000 + (state >> 44) as i64;
            if n == 777_777 {
                price = 9_000_000;
            }
            (low, high) = (low.min(price), high.max(price));
            (first, last) = (if n == 0 { price } else { first }, price);
            // Two days with a night between them.
            let ts = Timestamp(n * 1_000_000 + if n > 500_000 { 18 * HOUR } else { 0 });
            sampler.record(InstrumentIdx(0), ts, Price::from_raw(price));
        }
        let points = sampler.series(InstrumentIdx(0)).unwrap().points();
        assert!(
            (BUCKETS..=2 * BUCKETS + 2).contains(&points.len()),
            "{}",
            points.len()
        );
        assert!(points.is_sorted_by_key(|p| p.ts));
        let prices: Vec<i64> = points.iter().map(|p| p.price.raw()).collect();
        assert_eq!(prices.iter().min(), Some(&low));
        assert_eq!(prices.iter().max(), Some(&high));
        assert_eq!((prices[0], prices[prices.len() - 1]), (first, last));
        assert_eq!(sampler.segments().len(), 2);
        assert_eq!(sampler.last_prices(), [Price::from_raw(last)]);
    }

    #[test]
    fn short_series_are_kept_whole_and_thinned_ones_stay_even() {
        let mut series = Sampler::default();
        for n in 0..100 {
            series.record(PricePoint {
                ts: Timestamp(n),
                price: Price::from_raw(n % 7),
            });
        }
        assert_eq!(series.points().len(), 100);
        let mut thinned = Thinned::new(100);
        (0..1000u32).for_each(|n| thinned.push(n));
        assert_eq!(thinned.count(), 1000);
        assert!((50..=100).contains(&thinned.items().len()));
        assert!(
            thinned.items().windows(2).all(|w| w[1] - w[0] == 16),
            "{:?}",
            thinned.items()
        );
    }
}
