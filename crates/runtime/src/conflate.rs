//! A namespace that is behind takes a range of market inputs as what it comes to.

use feeds::live::{Batch, Conflator, Item};
use journal::record::MarketItem;
use model::InputId;

/// Conflates a range of market inputs: per instrument the low, the high and the newest price, quantities
/// summed; bars stay. A pure function of the range.
pub fn conflate(range: &[(InputId, MarketItem)]) -> Vec<(InputId, MarketItem)> {
    let mut batch = Batch::default();
    for (id, item) in range {
        match item {
            MarketItem::Tick(tick) => batch.items.push(Item::Tick {
                number: id.0,
                tick: *tick,
                depth: None,
            }),
            MarketItem::Deep(tick, depth) => {
                let at = batch.depths.len() as u32;
                batch.depths.push(*depth);
                batch.items.push(Item::Tick {
                    number: id.0,
                    tick: *tick,
                    depth: Some(at),
                });
            }
            MarketItem::Bar(bar) => batch.items.push(Item::Bar {
                number: id.0,
                bar: *bar,
            }),
        }
    }
    Conflator::default().conflate(&mut batch);
    batch
        .items
        .iter()
        .map(|item| match item {
            Item::Tick {
                number,
                tick,
                depth,
            } => {
                let depth = depth.and_then(|d| batch.depths.get(d as usize));
                let item = match depth {
                    None => MarketItem::Tick(*tick),
                    Some(depth) => MarketItem::Deep(*tick, *depth),
                };
                (InputId(*number), item)
            }
            Item::Bar { number, bar } => (InputId(*number), MarketItem::Bar(*bar)),
        })
        .collect()
}
