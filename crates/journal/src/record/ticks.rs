//! Ticks that follow each other, as the market log holds them: column by column, each value as its difference to the
//! one before it of the same instrument. Prices move by a few ticks and most quantities by a few lots, so that what
//! takes 330 bytes in full takes some 40. Nothing is lost.

use model::market::Level;
use model::{Depth, InputId, InstrumentIdx, Price, Quantity, Tick, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::MarketItem;

/// So many ticks stand in one record at most: with five levels each and nothing alike they take 800 kB.
pub const TICKS_MAX: usize = 2048;

/// Ticks with consecutive numbers, none of them a bar.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ticks {
    /// The number of the first.
    pub first: InputId,
    /// The ticks, in order.
    pub items: Vec<MarketItem>,
}

impl Ticks {
    /// The ticks with their numbers.
    pub fn numbered(self) -> impl Iterator<Item = (InputId, MarketItem)> {
        let first = self.first.0;
        let items = self.items.into_iter().enumerate();
        items.map(move |(at, item)| (InputId(first + at as u64), item))
    }

    /// The number of the last.
    pub fn last(&self) -> InputId {
        InputId((self.first.0 + self.items.len() as u64).saturating_sub(1))
    }
}

/// The differences of one column, all of them multiples of `scale`. An empty one is all zero.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Column {
    scale: u64,
    differences: Vec<i64>,
}

impl Column {
    fn of(mut differences: Vec<i64>) -> Self {
        let mut scale = 0u64;
        for difference in &differences {
            scale = greatest_common_divisor(scale, difference.unsigned_abs());
            if scale == 1 {
                break;
            }
        }
        // A scale beyond what divides a signed number is that of the least number alone.
        let by = i64::try_from(scale).unwrap_or(1);
        match by {
            0 => differences.clear(),
            1 => {}
            by => differences.iter_mut().for_each(|d| *d /= by),
        }
        Self {
            scale: by.unsigned_abs(),
            differences,
        }
    }

    /// The difference at a place; `None` where the column is too short.
    fn at(&self, place: usize) -> Option<i64> {
        if self.differences.is_empty() {
            return Some(0);
        }
        let scaled = *self.differences.get(place)?;
        Some(scaled.wrapping_mul(self.scale as i64))
    }

    fn fits(&self, count: usize) -> bool {
        self.differences.is_empty() || self.differences.len() == count
    }
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The stored form.
#[derive(Serialize, Deserialize)]
struct Columns {
    first: InputId,
    instruments: Vec<InstrumentIdx>,
    /// Of each tick the place of its instrument among `instruments`.
    of: Vec<u32>,
    /// To the tick before, of whatever instrument.
    ts: Column,
    /// To the same tick's `ts`.
    exchange_ts: Column,
    price: Column,
    quantity: Column,
    volume: Column,
    open_interest: Column,
    /// To the best level where there is depth, else as the others.
    bid: Column,
    ask: Column,
    /// Whether each has depth; empty where all have or none has.
    deep: Vec<bool>,
    /// Of each tick with depth which levels are others than before, a bit for each: bids first, the best first.
    changed: Vec<u32>,
    /// Of each of those levels.
    level_price: Column,
    level_quantity: Column,
    level_orders: Column,
}

/// The tick and the depth before, of one instrument.
#[derive(Clone, Copy, Default)]
struct Before {
    tick: Tick,
    depth: Option<Depth>,
}

impl Before {
    /// Where there was none yet, all levels stand at the price, which they will be near.
    fn depth(&self, price: Price) -> Depth {
        self.depth.unwrap_or_else(|| {
            let level = Level {
                price,
                ..Level::default()
            };
            Depth {
                bids: [level; 5],
                asks: [level; 5],
            }
        })
    }

    /// What bid and ask are near.
    const fn best(&self, depth: Option<&Depth>) -> (Price, Price) {
        match depth {
            Some(depth) => (depth.bids[0].price, depth.asks[0].price),
            None => (self.tick.bid, self.tick.ask),
        }
    }
}

fn levels(depth: &Depth) -> impl Iterator<Item = &Level> {
    depth.bids.iter().chain(&depth.asks)
}

impl Columns {
    fn of(ticks: &Ticks) -> Self {
        let count = ticks.items.len();
        let column = || Vec::with_capacity(count);
        let mut instruments: Vec<InstrumentIdx> = Vec::new();
        let mut before: Vec<Before> = Vec::new();
        let (mut of, mut deep) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let (mut ts, mut exchange_ts, mut price) = (column(), column(), column());
        let (mut quantity, mut volume, mut open_interest) = (column(), column(), column());
        let (mut bid, mut ask) = (column(), column());
        let mut level_columns: [Vec<i64>; 3] = Default::default();
        let mut changed = Vec::new();
        let mut latest = 0i64;
        for item in &ticks.items {
            let (tick, depth) = match item {
                MarketItem::Tick(tick) => (tick, None),
                MarketItem::Deep(tick, depth) => (tick, Some(depth)),
                // A bar is a record of its own.
                MarketItem::Bar(_) => continue,
            };
            let known = instruments.iter().rposition(|i| *i == tick.instrument);
            let place = known.unwrap_or_else(|| {
                instruments.push(tick.instrument);
                before.push(Before::default());
                instruments.len() - 1
            });
            let was = &mut before[place];
            of.push(place as u32);
            ts.push(tick.ts.nanos().wrapping_sub(latest));
            latest = tick.ts.nanos();
            exchange_ts.push(tick.exchange_ts.nanos().wrapping_sub(tick.ts.nanos()));
            let (best_bid, best_ask) = was.best(depth);
            for (column, now, then) in [
                (&mut price, tick.price.raw(), was.tick.price.raw()),
                (&mut bid, tick.bid.raw(), best_bid.raw()),
                (&mut ask, tick.ask.raw(), best_ask.raw()),
                (&mut quantity, tick.quantity.raw(), was.tick.quantity.raw()),
                (&mut volume, tick.volume.raw(), was.tick.volume.raw()),
                (
                    &mut open_interest,
                    tick.open_interest.raw(),
                    was.tick.open_interest.raw(),
                ),
            ] {
                column.push(now.wrapping_sub(then));
            }
            was.tick = *tick;
            deep.push(depth.is_some());
            if let Some(depth) = depth {
                let then = was.depth(tick.price);
                let mut bits = 0;
                for (at, (now, then)) in levels(depth).zip(levels(&then)).enumerate() {
                    if now == then {
                        continue;
                    }
                    bits |= 1 << at;
                    let [prices, quantities, orders] = &mut level_columns;
                    prices.push(now.price.raw().wrapping_sub(then.price.raw()));
                    quantities.push(now.quantity.raw().wrapping_sub(then.quantity.raw()));
                    orders.push(i64::from(now.orders) - i64::from(then.orders));
                }
                changed.push(bits);
                was.depth = Some(*depth);
            }
        }
        if changed.is_empty() || changed.len() == count {
            deep.clear();
        }
        let [level_price, level_quantity, level_orders] = level_columns.map(Column::of);
        Self {
            first: ticks.first,
            instruments,
            of,
            ts: Column::of(ts),
            exchange_ts: Column::of(exchange_ts),
            price: Column::of(price),
            quantity: Column::of(quantity),
            volume: Column::of(volume),
            open_interest: Column::of(open_interest),
            bid: Column::of(bid),
            ask: Column::of(ask),
            deep,
            changed,
            level_price,
            level_quantity,
            level_orders,
        }
    }

    fn ticks(&self) -> Option<Ticks> {
        let count = self.of.len();
        let deep = self.deep.iter().filter(|deep| **deep).count();
        let bits = self.changed.iter().map(|bits| bits.count_ones() as usize);
        let changed_levels: usize = bits.sum();
        let by_tick = [
            &self.ts,
            &self.exchange_ts,
            &self.price,
            &self.quantity,
            &self.volume,
            &self.open_interest,
            &self.bid,
            &self.ask,
        ];
        let by_level = [&self.level_price, &self.level_quantity, &self.level_orders];
        let fits = count <= TICKS_MAX
            && by_tick.iter().all(|column| column.fits(count))
            && by_level.iter().all(|column| column.fits(changed_levels))
            && self.changed.iter().all(|bits| *bits < 1 << 10)
            && match self.deep.len() {
                0 => self.changed.is_empty() || self.changed.len() == count,
                length => length == count && self.changed.len() == deep,
            }
            && self.first.0.checked_add(count as u64).is_some();
        if !fits {
            return None;
        }
        let mut before = vec![Before::default(); self.instruments.len()];
        let mut items = Vec::with_capacity(count);
        let (mut latest, mut level) = (0i64, 0);
        let mut changed = self.changed.iter();
        for (at, place) in self.of.iter().enumerate() {
            let was = before.get_mut(*place as usize)?;
            latest = latest.wrapping_add(self.ts.at(at)?);
            let next = |raw: i64, column: &Column| Some(raw.wrapping_add(column.at(at)?));
            let price = Price::from_raw(next(was.tick.price.raw(), &self.price)?);
            let is_deep = match self.deep.get(at) {
                Some(deep) => *deep,
                None => !self.changed.is_empty(),
            };
            let mut depth = None;
            if is_deep {
                let mut now = was.depth(price);
                let bits = *changed.next()?;
                let all = now.bids.iter_mut().chain(&mut now.asks).enumerate();
                for (_, one) in all.filter(|(at, _)| bits & (1 << at) != 0) {
                    let (price, quantity) =
                        (self.level_price.at(level)?, self.level_quantity.at(level)?);
                    one.price = Price::from_raw(one.price.raw().wrapping_add(price));
                    one.quantity = Quantity::from_raw(one.quantity.raw().wrapping_add(quantity));
                    let orders = i64::from(one.orders).checked_add(self.level_orders.at(level)?)?;
                    one.orders = u32::try_from(orders).ok()?;
                    level += 1;
                }
                was.depth = Some(now);
                depth = Some(now);
            }
            let (best_bid, best_ask) = was.best(depth.as_ref());
            was.tick = Tick {
                ts: Timestamp(latest),
                exchange_ts: Timestamp(next(latest, &self.exchange_ts)?),
                price,
                quantity: Quantity::from_raw(next(was.tick.quantity.raw(), &self.quantity)?),
                volume: Quantity::from_raw(next(was.tick.volume.raw(), &self.volume)?),
                open_interest: Quantity::from_raw(next(
                    was.tick.open_interest.raw(),
                    &self.open_interest,
                )?),
                bid: Price::from_raw(next(best_bid.raw(), &self.bid)?),
                ask: Price::from_raw(next(best_ask.raw(), &self.ask)?),
                instrument: *self.instruments.get(*place as usize)?,
            };
            items.push(match depth {
                Some(depth) => MarketItem::Deep(was.tick, depth),
                None => MarketItem::Tick(was.tick),
            });
        }
        Some(Ticks {
            first: self.first,
            items,
        })
    }
}

impl Serialize for Ticks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Columns::of(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Ticks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let columns = Columns::deserialize(deserializer)?;
        let ticks = columns.ticks();
        ticks.ok_or_else(|| serde::de::Error::custom("its columns do not fit together"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{MarketRecord, decode};
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Small steps of one size, and anything.
    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![
            4 => (-20i64..20).prop_map(|n| n * 5_000_000),
            1 => any::<i64>(),
            1 => Just(0),
            1 => prop_oneof![Just(i64::MIN), Just(i64::MAX)],
        ]
    }

    fn item() -> impl Strategy<Value = MarketItem> {
        let level =
            (number(), number(), any::<u32>()).prop_map(|(price, quantity, orders)| Level {
                price: Price::from_raw(price),
                quantity: Quantity::from_raw(quantity),
                orders,
            });
        let depth = proptest::option::of(vec(level, 10));
        (0u32..4, vec(number(), 8), depth).prop_map(|(instrument, n, levels)| {
            let tick = Tick {
                ts: Timestamp(n[0]),
                exchange_ts: Timestamp(n[1]),
                price: Price::from_raw(n[2]),
                quantity: Quantity::from_raw(n[3]),
                volume: Quantity::from_raw(n[4]),
                open_interest: Quantity::from_raw(n[5]),
                bid: Price::from_raw(n[6]),
                ask: Price::from_raw(n[7]),
                instrument: InstrumentIdx(instrument * 1_000),
            };
            match levels {
                None => MarketItem::Tick(tick),
                Some(levels) => {
                    let mut depth = Depth::default();
                    depth.bids.copy_from_slice(&levels[..5]);
                    depth.asks.copy_from_slice(&levels[5..]);
                    MarketItem::Deep(tick, depth)
                }
            }
        })
    }

    proptest! {
        #[test]
        fn nothing_is_lost(first in 0u64..1 << 60, items in vec(item(), 0..40)) {
            let record = MarketRecord::Ticks(Ticks { first: InputId(first), items });
            let mut bytes = Vec::new();
            record.encode(&mut bytes).unwrap();
            prop_assert_eq!(decode::<MarketRecord>(&bytes), Ok(record));
        }

        #[test]
        fn columns_that_do_not_fit_are_refused(
            items in vec(item(), 1..8),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let record = MarketRecord::Ticks(Ticks { first: InputId(7), items });
            let mut bytes = Vec::new();
            record.encode(&mut bytes).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            // Another record or an error, and no panic.
            let _ = decode::<MarketRecord>(&bytes);
        }
    }
}
