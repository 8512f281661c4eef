//! How orders end and change, and what is kept of them.

use model::order::OrderIntent;
use model::reindex::Reindex;
use model::signal::{OrderType, Side, Validity};
use model::time::{DAY, SECOND};
use model::trader::{InPipelineTrader, ReportKind, TraderCommand};
use model::{Quantity, Timestamp};
use paper::{FillOn, PaperSettings};
use traders::conformance::DaySessions;

use crate::desk::{Desk, cents, depth, quote, trade, trader, units};

#[test]
fn a_leg_that_executes_in_part_leaves_the_other_the_rest() {
    let mut desk = Desk::new(PaperSettings::default());
    desk.trade(100_00);
    let [stop, target] = desk.pair(Side::Sell, 10, 95_00, 105_00);
    desk.trade(100_00);
    desk.tick(
        quote(100_00, 105_00, 105_05),
        Some(&depth(&[(105_00, 4)], &[])),
    );
    let left = ReportKind::Modified {
        quantity: units(6),
        limit_price: None,
        trigger_price: Some(cents(95_00)),
    };
    assert_eq!(desk.last(stop), Some(left), "in the same instant");
    // Both prices on one tick: the bid has reached the target, the trade the stop. The one that was
    // given first goes first, and the other has nothing left.
    desk.tick(trade(94_00, 50), None);
    assert_eq!(
        (desk.fills(stop), desk.fills(target)),
        (vec![(6, 94_00)], vec![(4, 105_00)])
    );
    assert!(desk.is_cancelled(target));
}

#[test]
fn both_legs_in_reach_of_one_tick_execute_once() {
    let mut desk = Desk::new(PaperSettings::default());
    desk.trade(100_00);
    // A stop above its target: any price reaches one of them, most reach both.
    let [stop, target] = desk.pair(Side::Sell, 10, 105_00, 95_00);
    desk.trade(100_00);
    assert_eq!(desk.fills(stop).len() + desk.fills(target).len(), 1);
    assert!(desk.is_cancelled(target), "{:?}", desk.log);
}

#[test]
fn an_order_made_smaller_than_its_fills_ends_with_them() {
    let mut desk = Desk::new(PaperSettings::default());
    desk.trade(100_00);
    let order = desk.market(Side::Buy, 10);
    desk.tick(
        quote(100_00, 99_95, 100_00),
        Some(&depth(&[], &[(100_00, 4)])),
    );
    desk.modify(order, 2);
    let ended = ReportKind::Modified {
        quantity: units(4),
        limit_price: None,
        trigger_price: None,
    };
    assert_eq!(desk.last(order), Some(ended));
    desk.trade(100_00);
    assert_eq!(desk.fills(order), [(4, 100_00)]);

    // To nothing, with nothing executed.
    let order = desk.limit(Side::Buy, 10, 90_00);
    desk.modify(order, 0);
    assert!(desk.is_cancelled(order));
    // Beyond the window of quantities.
    let order = desk.limit(Side::Buy, 10, 90_00);
    desk.modify(order, 90_000_000_000);
    assert!(
        matches!(desk.last(order), Some(ReportKind::Modified { quantity, .. }) if quantity == Quantity::MAX)
    );
}

#[test]
fn a_finished_order_may_be_presented_again_and_is_forgotten_when_nobody_may() {
    let mut desk = Desk::new(PaperSettings::default());
    desk.trade(100_00);
    let empty = desk.subject.trader().save().unwrap().len();
    let intent = desk.intent(Side::Buy, 10, OrderType::Market);
    let order = desk.give(intent);
    desk.trade(100_00);
    assert_eq!(desk.fills(order), [(10, 100_00)]);
    let reports = desk.log.len();
    desk.give(intent);
    desk.trade(100_00);
    assert_eq!(desk.log.len(), reports);
    assert!(desk.subject.trader().save().unwrap().len() > empty);
    desk.wait(10 * SECOND);
    let after = desk.subject.trader().save().unwrap().len();
    assert!(after < empty + 100, "{after} bytes are kept of nothing");
}

#[test]
fn a_day_order_given_before_the_open_lasts_until_that_sessions_close() {
    let mut desk = Desk::new(PaperSettings::default());
    let window = DaySessions::window(desk.now.plus(DAY));
    desk.now = window.open.plus(-SECOND);
    let order = desk.limit(Side::Buy, 10, 95_00);
    desk.wait(2 * SECOND);
    desk.trade(100_00);
    assert_eq!(desk.subject.trader().next_due(), window.close);
    desk.wait(window.close.since(desk.now));
    assert!(matches!(desk.last(order), Some(ReportKind::Expired(_))));
}

#[test]
fn what_is_kept_does_not_grow_over_a_week() {
    for fill in [FillOn::NextTick, FillOn::SignalTick] {
        let settings = PaperSettings {
            simulation_latency_ms: 20,
            partial_fill_probability: 0.3,
            fill,
            ..PaperSettings::default()
        };
        let mut desk = Desk::new(settings);
        let first = DaySessions::window(desk.now);
        let mut sizes = Vec::new();
        for day in 0..7 {
            desk.now = first.open.plus(day * DAY + SECOND);
            for n in 0..400 {
                desk.trade(100_00 + 5 * (n % 20));
                let until = Validity::Gtd(first.open.plus(300 * DAY));
                let order = match n % 4 {
                    0 => desk.market(Side::Buy, 10),
                    1 => desk.limit(Side::Sell, 10, 90_00),
                    2 => {
                        let limit_price = Some(cents(50_00));
                        let intent = desk.intent(Side::Buy, 10, OrderType::Limit);
                        desk.give(OrderIntent {
                            validity: until,
                            limit_price,
                            ..intent
                        })
                    }
                    _ => desk.pair(Side::Sell, 10, 90_00, 101_00)[0],
                };
                if n % 4 == 2 {
                    desk.modify(order, 5);
                    desk.command(&TraderCommand::Cancel(order));
                }
                desk.log.clear();
            }
            desk.wait(DAY / 2);
            sizes.push(desk.subject.trader().save().unwrap().len());
            assert_eq!(
                desk.subject.trader().next_due(),
                Timestamp::MAX,
                "day {day}"
            );
        }
        assert!(
            sizes.iter().all(|s| *s <= sizes[0] + 32),
            "{fill:?}: {sizes:?}"
        );
    }
}

#[test]
fn a_state_that_does_not_fit_is_refused() {
    let defaults = PaperSettings::default();
    let state = trader(&defaults).save().unwrap();
    assert!(trader(&defaults).restore(&state, &Reindex::same()).is_ok());
    let ahead = PaperSettings {
        fill: FillOn::SignalTick,
        ..defaults
    };
    for (settings, bytes) in [
        (&defaults, &state[..state.len() - 1]),
        (&defaults, &[&state[..], &[0]].concat()[..]),
        (&defaults, &[0xff; 40][..]),
        (&ahead, &state[..]),
    ] {
        let error = trader(settings)
            .restore(bytes, &Reindex::same())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("the trader's saved state does not fit"),
            "{error}"
        );
    }
    // One row, of the greatest instrument that there could be, wherever it stands: no memory is taken.
    for at in 0..state.len() {
        let row = [&state[..at], &[1, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0; 64]].concat();
        assert!(
            trader(&defaults).restore(&row, &Reindex::same()).is_err(),
            "at byte {at}"
        );
    }
}
