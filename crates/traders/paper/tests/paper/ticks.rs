//! On ticks: slippage, participation, depth, limits that wait and limits that take.

use model::order::OrderIntent;
use model::signal::{OrderType, Side, Validity};
use model::trader::ReportKind;
use model::{Quantity, Tick};
use paper::{FillOn, LimitFill, PaperSettings};
use traders::conformance::Fixture;

use crate::desk::{Desk, cents, depth, quote, trade, units};

fn desk(settings: PaperSettings) -> Desk {
    let mut desk = Desk::new(settings);
    desk.trade(100_00);
    desk
}

#[test]
fn slippage_is_exact_rounded_against_the_order_and_never_beyond_its_limit() {
    // Basis points, ticks (of 0.05), side, price, what is paid.
    for (slippage_bps, slippage_ticks, side, price, paid) in [
        (0.0, 0, Side::Buy, 100_03, 100_03),
        (5.0, 0, Side::Buy, 100_00, 100_05),
        (5.0, 0, Side::Sell, 100_00, 99_95),
        // 100.10 · 0.0005 = 0.05005: one unit of 10⁻⁵ more than a tick takes another tick.
        (5.0, 0, Side::Buy, 100_10, 100_20),
        (5.0, 0, Side::Sell, 100_10, 100_00),
        (0.0001, 0, Side::Buy, 100_00, 100_05),
        (0.0001, 0, Side::Sell, 100_00, 99_95),
        (0.0, 3, Side::Buy, 100_00, 100_15),
        (0.0, 3, Side::Sell, 100_00, 99_85),
        (10.0, 2, Side::Buy, 100_00, 100_20),
        (10.0, 2, Side::Sell, 100_00, 99_80),
        (10_000.0, 0, Side::Sell, 100_00, 5),
        (10_000.0, 0, Side::Buy, 100_00, 200_00),
    ] {
        let settings = PaperSettings {
            slippage_bps,
            slippage_ticks,
            ..Default::default()
        };
        let mut desk = desk(settings);
        let order = desk.market(side, 1);
        desk.trade(price);
        assert_eq!(
            desk.fills(order),
            [(1, paid)],
            "{slippage_bps} {slippage_ticks} {side:?}"
        );
    }
    let settings = PaperSettings {
        slippage_ticks: 4,
        ..Default::default()
    };
    let mut desk = desk(settings);
    let (takes, waits) = (
        desk.limit(Side::Buy, 1, 100_10),
        desk.limit(Side::Buy, 1, 98_00),
    );
    let stop = desk.stop_limit(Side::Sell, 1, 97_00, 96_95);
    desk.trade(100_00);
    desk.trade(97_00);
    assert_eq!(desk.fills(takes), [(1, 100_10)], "as far as its limit");
    assert_eq!(desk.fills(waits), [(1, 98_00)], "who waits does not pay");
    assert_eq!(desk.fills(stop), [(1, 96_95)], "as far as its limit");
}

#[test]
fn the_share_of_what_traded_is_divided_among_orders_in_whole_lots() {
    let mut desk = desk(PaperSettings {
        participation: 0.1,
        ..Default::default()
    });
    let (first, second, third) = (
        desk.market(Side::Buy, 8),
        desk.market(Side::Sell, 8),
        desk.market(Side::Buy, 8),
    );
    // A tenth of 119 is 11.9: eight for the first, three whole lots for the second.
    desk.tick(trade(100_00, 119), None);
    assert_eq!(desk.fills(first), [(8, 100_00)]);
    assert_eq!(desk.fills(second), [(3, 100_00)]);
    assert_eq!(desk.fills(third), []);
    // No trade, no share.
    desk.tick(quote(100_00, 99_95, 100_05), None);
    assert_eq!(desk.fills(third), []);
    desk.tick(trade(101_00, 80), None);
    assert_eq!(desk.fills(second), [(3, 100_00), (5, 101_00)]);
    assert_eq!(desk.fills(third), [(3, 101_00)]);

    // Lots of 25: a tenth of 600 is 60, of which two lots are 50.
    let intent = desk.intent(Side::Buy, 100, OrderType::Market);
    let future = desk.give(OrderIntent {
        instrument: Fixture::FUTURE,
        ..intent
    });
    desk.tick(
        Tick {
            instrument: Fixture::FUTURE,
            ..trade(200_00, 600)
        },
        None,
    );
    assert_eq!(desk.fills(future), [(50, 200_00)]);
    // And what wants all at once is content with no less.
    let intent = desk.intent(Side::Buy, 50, OrderType::Market);
    let fok = OrderIntent {
        instrument: Fixture::FUTURE,
        validity: Validity::Fok,
        ..intent
    };
    let fok = desk.give(fok);
    desk.tick(
        Tick {
            instrument: Fixture::FUTURE,
            ..trade(200_00, 900)
        },
        None,
    );
    assert_eq!(desk.fills(future), [(50, 200_00), (50, 200_00)]);
    assert_eq!(desk.fills(fok), []);
    assert!(desk.is_cancelled(fok));
}

#[test]
fn depth_is_walked_level_by_level_and_nothing_is_taken_twice() {
    let asks = [
        (100_05, 10),
        (100_10, 0),
        (100_15, 20),
        (100_20, 30),
        (100_25, 40),
    ];
    let bids = [(99_95, 5), (99_90, 5)];
    let book = depth(&bids, &asks);
    let mut desk = desk(PaperSettings::default());
    let first = desk.market(Side::Buy, 15);
    let limited = desk.limit(Side::Buy, 40, 100_20);
    let sell = desk.market(Side::Sell, 12);
    desk.tick(quote(100_00, 99_95, 100_05), Some(&book));
    assert_eq!(
        desk.fills(first),
        [(10, 100_05), (5, 100_15)],
        "one execution per level"
    );
    assert_eq!(
        desk.fills(limited),
        [(15, 100_15), (25, 100_20)],
        "what the first left"
    );
    assert_eq!(
        desk.fills(sell),
        [(5, 99_95), (5, 99_90)],
        "the rest waits for new levels"
    );
    desk.tick(quote(100_00, 99_95, 100_05), Some(&book));
    assert_eq!(desk.fills(sell)[2..], [(2, 99_95)]);

    let all_or_nothing = |desk: &mut Desk, quantity, limit| {
        let intent = desk.intent(Side::Buy, quantity, OrderType::Limit);
        let limit_price = Some(cents(limit));
        desk.give(OrderIntent {
            validity: Validity::Fok,
            limit_price,
            ..intent
        })
    };
    let (fits, short) = (
        all_or_nothing(&mut desk, 60, 100_20),
        all_or_nothing(&mut desk, 1, 100_20),
    );
    desk.tick(quote(100_00, 99_95, 100_05), Some(&book));
    assert_eq!(desk.fills(fits), [(10, 100_05), (20, 100_15), (30, 100_20)]);
    assert!(
        desk.fills(short).is_empty() && desk.is_cancelled(short),
        "all is gone"
    );
    let much = all_or_nothing(&mut desk, 61, 100_20);
    desk.tick(quote(100_00, 99_95, 100_05), Some(&book));
    assert!(desk.fills(much).is_empty() && desk.is_cancelled(much));
}

#[test]
fn a_limit_order_takes_what_is_better_at_first_and_waits_at_its_own_price_then() {
    let mut desk = desk(PaperSettings::default());
    let order = desk.limit(Side::Buy, 1, 101_00);
    desk.tick(quote(100_00, 99_90, 100_10), None);
    assert_eq!(desk.fills(order), [(1, 100_10)], "the offer, not its limit");

    let order = desk.limit(Side::Buy, 1, 99_00);
    desk.trade(100_00);
    desk.trade(98_00);
    assert_eq!(
        desk.fills(order),
        [(1, 99_00)],
        "who trades through it gives it its price"
    );

    // Its trigger makes a stop-limit order new to the market: it takes the better price.
    let order = desk.stop_limit(Side::Buy, 1, 105_00, 110_00);
    desk.trade(100_00);
    desk.trade(106_00);
    assert_eq!(desk.fills(order), [(1, 106_00)]);
}

#[test]
fn quotes_without_a_trade_do_not_repeat_the_last_trade() {
    let mut desk = desk(PaperSettings::default());
    // The last trade, at 100, was before the order.
    let order = desk.limit(Side::Buy, 7, 100_00);
    desk.tick(quote(100_00, 99_90, 100_10), None);
    desk.tick(quote(100_00, 99_90, 100_10), None);
    assert_eq!(desk.fills(order), []);
    // An offer that comes down to it brings what it holds.
    desk.tick(
        quote(100_00, 99_90, 100_00),
        Some(&depth(&[], &[(100_00, 3), (100_05, 9)])),
    );
    assert_eq!(desk.fills(order), [(3, 100_00)]);
    desk.tick(
        Tick {
            volume: units(2_000),
            ..trade(100_00, 1)
        },
        None,
    );
    assert_eq!(desk.fills(order), [(3, 100_00), (4, 100_00)]);
}

#[test]
fn where_it_has_to_be_traded_through_a_touch_is_not_enough() {
    for (limit_fill, at_touch) in [(LimitFill::Touch, 1), (LimitFill::Through, 0)] {
        let mut desk = desk(PaperSettings {
            limit_fill,
            ..Default::default()
        });
        let buy = desk.limit(Side::Buy, 1, 99_00);
        let sell = desk.limit(Side::Sell, 1, 101_00);
        for price in [100_00, 99_00, 101_00] {
            desk.trade(price);
        }
        assert_eq!(
            (desk.fills(buy).len(), desk.fills(sell).len()),
            (at_touch, at_touch)
        );
        desk.trade(98_95);
        desk.trade(101_05);
        assert_eq!(
            (desk.fills(buy), desk.fills(sell)),
            (vec![(1, 99_00)], vec![(1, 101_00)])
        );
    }
}

#[test]
fn an_order_that_looks_ahead_fills_on_the_tick_that_caused_it_or_is_treated_as_waiting() {
    let mut desk = desk(PaperSettings {
        fill: FillOn::SignalTick,
        ..Default::default()
    });
    let order = desk.market(Side::Buy, 1);
    assert_eq!(desk.fills(order), [(1, 100_00)]);
    let ioc = desk.intent(Side::Buy, 1, OrderType::Limit);
    let ioc = OrderIntent {
        validity: Validity::Ioc,
        limit_price: Some(cents(99_00)),
        ..ioc
    };
    let ioc = desk.give(ioc);
    assert!(desk.is_cancelled(ioc), "at once is now");
    let stop = desk.stop(Side::Sell, 1, 100_00);
    assert_eq!(desk.fills(stop), [(1, 100_00)]);
    let waits = desk.limit(Side::Buy, 1, 99_00);
    desk.trade(98_00);
    assert_eq!(
        desk.fills(waits),
        [(1, 99_00)],
        "it was in the book before this trade"
    );
    // In another instrument, at what was last known of it; without a market it waits.
    let intent = desk.intent(Side::Buy, 1, OrderType::Market);
    let other = desk.give(OrderIntent {
        instrument: Fixture::OTHER,
        ..intent
    });
    assert_eq!(desk.fills(other), []);
    desk.tick(
        Tick {
            instrument: Fixture::OTHER,
            ..trade(50_00, 1)
        },
        None,
    );
    assert_eq!(desk.fills(other), [(1, 50_00)]);
}

#[test]
fn random_cuts_leave_whole_lots_and_depend_on_the_order_alone() {
    let settings = PaperSettings {
        partial_fill_probability: 1.0,
        use_depth: false,
        ..Default::default()
    };
    let fills = |before: u32, quantity: i64| {
        let mut desk = desk(settings.clone());
        let intent = desk.intent(Side::Buy, quantity, OrderType::Market);
        for _ in 0..before {
            desk.market(Side::Sell, 30);
        }
        let order = desk.give(intent);
        while !desk
            .of(order)
            .any(|k| matches!(k, ReportKind::Filled { quantity, .. } if quantity == Quantity::ZERO))
            && desk.fills(order).iter().map(|f| f.0).sum::<i64>() < quantity
        {
            desk.trade(100_00);
        }
        desk.fills(order)
    };
    let alone = fills(0, 40);
    assert!(alone.len() > 2, "{alone:?}");
    assert_eq!(alone.iter().map(|f| f.0).sum::<i64>(), 40);
    assert_eq!(alone, fills(3, 40), "other orders do not matter");
    assert_eq!(fills(0, 1), [(1, 100_00)], "one lot cannot be cut");
}
