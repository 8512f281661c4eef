//! What holds for any prices, quantities and settings.

use model::order::OrderIntent;
use model::signal::{OrderType, Side, Validity};
use model::{Price, Quantity, Tick};
use paper::PaperSettings;
use proptest::prelude::*;

use crate::desk::{Desk, depth, trade, units};

fn sides() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Buy), Just(Side::Sell)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Over the whole window of prices: never better than the market, never beyond the limit, on a
    /// tick unless the limit or the market is not, and less than a tick worse than the exact loss.
    #[test]
    fn slippage(
        side in sides(),
        raw in Price::MIN.raw()..=Price::MAX.raw(),
        bps in 0u32..2_000_000,
        ticks in 0u32..50,
        room in proptest::option::of(0i64..1_000_000_000),
    ) {
        let settings = PaperSettings {
            slippage_bps: f64::from(bps) / 1_000.0,
            slippage_ticks: ticks,
            ..PaperSettings::default()
        };
        let mut desk = Desk::new(settings);
        let price = Price::from_raw(raw);
        let limit = room.map(|room| {
            Price::from_raw(raw + side.sign() * room).clamp(Price::MIN, Price::MAX)
        });
        let intent = desk.intent(side, 1, limit.map_or(OrderType::Market, |_| OrderType::Limit));
        desk.give(OrderIntent { limit_price: limit, ..intent });
        desk.tick(Tick { price, ..trade(1, 1) }, None);
        let paid = desk.log.iter().find_map(|r| match r.kind {
            model::trader::ReportKind::Filled { price, .. } => Some(price),
            _ => None,
        });
        let Some(paid) = paid else { return Err(TestCaseError::fail("no execution")) };
        let tick = 5_000_000i128;
        let exact = i128::from(raw) * i128::from(bps); // in 10⁻⁷ of a raw unit
        let loss = i128::from(side.sign()) * i128::from(paid.raw() - raw);
        prop_assert!(loss >= 0);
        if let Some(limit) = limit {
            let holds = if side == Side::Buy { paid <= limit } else { paid >= limit };
            prop_assert!(holds);
        }
        let most = exact / 10_000_000 + 1 + tick * i128::from(ticks) + tick;
        prop_assert!(loss <= most, "{loss} > {most}");
        let free = limit.is_none() && paid < Price::MAX && paid.raw() > 5_000_000;
        if free {
            prop_assert!(loss * 10_000_000 >= exact + tick * i128::from(ticks) * 10_000_000);
            prop_assert!((bps, ticks) == (0, 0) || i128::from(paid.raw()) % tick == 0);
        }
    }

    /// All orders of one input together take no more than their share of what traded and no more
    /// than a level holds; FOK orders take all or nothing.
    #[test]
    fn nothing_is_taken_twice(
        orders in proptest::collection::vec((sides(), 1i64..40, 0u8..3), 1..8),
        levels in proptest::collection::vec(0i64..30, 10),
        traded in 0i64..200,
        participation in 0u32..=10,
        partial in 0u32..=2,
    ) {
        let settings = PaperSettings {
            participation: f64::from(participation) / 10.0,
            partial_fill_probability: f64::from(partial) / 2.0,
            ..PaperSettings::default()
        };
        let mut desk = Desk::new(settings);
        let mut ids = Vec::new();
        for (side, quantity, validity) in &orders {
            let intent = desk.intent(*side, *quantity, OrderType::Market);
            let validity = [Validity::Day, Validity::Ioc, Validity::Fok][usize::from(*validity)];
            ids.push(desk.give(OrderIntent { validity, ..intent }));
        }
        let side = |step: i64, of: &[i64]| -> Vec<_> {
            of.iter().enumerate().map(|(i, q)| (100_00 + step * (1 + i as i64), *q)).collect()
        };
        let (bids, asks) = (side(-5, &levels[..5]), side(5, &levels[5..]));
        desk.tick(trade(100_00, traded), Some(&depth(&bids, &asks)));
        let mut total = 0;
        let mut at: std::collections::BTreeMap<i64, i64> = Default::default();
        for (id, (_, quantity, validity)) in ids.iter().zip(&orders) {
            let fills = desk.fills(*id);
            let sum: i64 = fills.iter().map(|f| f.0).sum();
            prop_assert!(*validity != 2 || sum == 0 || sum == *quantity);
            prop_assert!(*validity == 0 || sum == *quantity || desk.is_cancelled(*id));
            prop_assert!(fills.windows(2).all(|w| w[0].1 != w[1].1), "one execution per level");
            for (quantity, price) in fills {
                *at.entry(price).or_default() += quantity;
                total += quantity;
            }
        }
        for (price, taken) in at {
            let held = bids.iter().chain(&asks).find(|l| l.0 == price).map_or(0, |l| l.1);
            prop_assert!(taken <= held, "{taken} of {held} at {price}");
        }
        if participation > 0 {
            let share = i128::from(units(traded).raw()) * i128::from(participation) / 10;
            prop_assert!(i128::from(units(total).raw()) <= share);
        }
        prop_assert!(total >= 0 && units(total) <= Quantity::MAX);
    }
}
