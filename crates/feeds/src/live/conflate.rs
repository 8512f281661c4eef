//! Makes a run of ticks shorter without losing what matters: per instrument the lowest, the highest and
//! the newest price stay, in the order in which they came, and quantities are added up.

use std::collections::BTreeMap;

use model::{InstrumentIdx, Quantity};

use super::{Batch, Item};

/// Positions of the ticks of one instrument that stay.
#[derive(Debug, Clone, Copy)]
struct Kept {
    low: usize,
    high: usize,
    last: usize,
}

/// Conflates batches; keeps its space between them.
#[derive(Debug, Default)]
pub struct Conflator {
    kept: BTreeMap<InstrumentIdx, Kept>,
    carried: BTreeMap<InstrumentIdx, Quantity>,
}

impl Conflator {
    /// Conflates the ticks of a batch in place: a pure function of its items. A tick that goes adds
    /// its quantity to the next of its instrument that stays. Bars stay. Returns how many went.
    pub fn conflate(&mut self, batch: &mut Batch) -> u64 {
        self.kept.clear();
        self.carried.clear();
        for (at, item) in batch.items.iter().enumerate() {
            let Item::Tick { tick, .. } = item else {
                continue;
            };
            let price = |at: usize| match batch.items[at] {
                Item::Tick { tick, .. } => tick.price,
                Item::Bar { bar, .. } => bar.close,
            };
            match self.kept.get_mut(&tick.instrument) {
                None => {
                    let kept = Kept {
                        low: at,
                        high: at,
                        last: at,
                    };
                    self.kept.insert(tick.instrument, kept);
                }
                Some(kept) => {
                    if tick.price < price(kept.low) {
                        kept.low = at;
                    }
                    if tick.price > price(kept.high) {
                        kept.high = at;
                    }
                    kept.last = at;
                }
            }
        }
        let before = batch.items.len();
        let (kept, carried) = (&self.kept, &mut self.carried);
        let mut at = 0;
        batch.items.retain_mut(|item| {
            let here = at;
            at += 1;
            let Item::Tick { tick, .. } = item else {
                return true;
            };
            let stays = kept
                .get(&tick.instrument)
                .is_some_and(|k| here == k.low || here == k.high || here == k.last);
            let carry = carried.entry(tick.instrument).or_default();
            let sum = carry.checked_add(tick.quantity).unwrap_or(Quantity::MAX);
            if stays {
                tick.quantity = sum;
                *carry = Quantity::ZERO;
            } else {
                *carry = sum;
            }
            stays
        });
        (before - batch.items.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Price, Tick, Timestamp};
    use proptest::prelude::*;

    fn batch(ticks: &[(u32, i64, i64)]) -> Batch {
        let mut batch = Batch::default();
        for (number, (instrument, price, quantity)) in ticks.iter().enumerate() {
            let tick = Tick {
                ts: Timestamp(number as i64),
                price: Price::from_raw(*price),
                quantity: Quantity::from_raw(*quantity),
                instrument: InstrumentIdx(*instrument),
                ..Tick::default()
            };
            batch.tick(number as u64, tick, None);
        }
        batch
    }

    fn ticks(batch: &Batch, instrument: u32) -> Vec<Tick> {
        batch
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Tick { tick, .. } if tick.instrument.0 == instrument => Some(*tick),
                _ => None,
            })
            .collect()
    }

    proptest! {
        #[test]
        fn prices_that_matter_and_every_quantity_stay(
            all in prop::collection::vec((0u32..4, 1i64..40, 0i64..1000), 0..200)
        ) {
            let before = batch(&all);
            let mut after = before.clone();
            let mut conflator = Conflator::default();
            let gone = conflator.conflate(&mut after);
            prop_assert_eq!(gone as usize, before.items.len() - after.items.len());
            for instrument in 0..4 {
                let (old, new) = (ticks(&before, instrument), ticks(&after, instrument));
                prop_assert!(new.len() <= 3);
                let sum = |t: &[Tick]| t.iter().map(|t| t.quantity.raw()).sum::<i64>();
                prop_assert_eq!(sum(&old), sum(&new));
                let prices = |t: &[Tick]| {
                    let all = t.iter().map(|t| t.price);
                    (all.clone().min(), all.max(), t.last().map(|t| (t.price, t.ts)))
                };
                prop_assert_eq!(prices(&old), prices(&new));
                prop_assert!(new.windows(2).all(|w| w[0].ts < w[1].ts));
            }
            // Used again, it gives the same, and what is short already stays.
            let mut again = before;
            conflator.conflate(&mut again);
            prop_assert_eq!(&again, &after);
        }
    }
}
