//! Closing positions at a time or at a command, and what happens when trading resumes.

use model::StrategyIdx;
use model::control::{CommandAction, TradingState};
use model::event::EventBody;
use model::order::OrderRole;
use model::reason::Reason;
use model::signal::Side::{Buy, Sell};
use model::signal::{Decision, Product};
use model::time::MINUTE;
use model::trader::ReportKind;
use pipeline::broker::OnResume;

use crate::desk::{Desk, Plan, bracket, cancels, enter, kinds, limit, target};
use crate::world::{AUCTION, AXIS, BEL, FREEZE, GOLD, NEXT_DAY, SESSION, units};

/// Ten minutes before the close.
fn plan() -> Plan {
    Plan {
        square_off: Some(10 * MINUTE),
        ..Plan::default()
    }
}

const DUE: i64 = SESSION - 600;

fn square_offs(desk: &Desk) -> Vec<(bool, Reason)> {
    desk.events
        .iter()
        .filter_map(|e| match e.body {
            EventBody::SquareOff { begins, reason, .. } => Some((begins, reason)),
            _ => None,
        })
        .collect()
}

#[test]
fn intraday_positions_are_closed_before_the_close_and_the_next_day_works_again() {
    let mut desk = Desk::new(&plan());
    desk.tick(AXIS, "100");
    desk.signal(1, bracket(enter(AXIS, Buy, 10), "95", "110"));
    desk.signal(
        2,
        Decision {
            product: Product::CarryForward,
            ..enter(AXIS, Buy, 3)
        },
    );
    desk.tick(AXIS, "100");
    desk.signal(1, limit(enter(AXIS, Buy, 5), "90"));
    let resting = desk.orders()[0].id;
    assert!(desk.clock(DUE - 1).is_empty() || square_offs(&desk).is_empty());
    desk.clock(DUE);
    // Working orders first, then the position.
    let latest = kinds(desk.latest());
    let first_order = latest.iter().position(|k| *k == "order_submitted").unwrap();
    assert!(
        latest[..first_order]
            .iter()
            .filter(|k| **k == "order_cancelled")
            .count()
            == 3,
        "{latest:?}"
    );
    assert!(cancels(desk.latest()).contains(&(resting, Reason::SquareOff)));
    let order = desk.orders()[0];
    assert_eq!(
        (order.role, order.side, order.quantity),
        (OrderRole::SquareOff, Sell, units(10))
    );
    // Until the end of the session nothing intraday is entered; reductions and other products are.
    desk.signal(1, target(AXIS, 10));
    assert_eq!(desk.refused(), Some(Reason::SquareOff));
    desk.tick(AXIS, "101");
    assert_eq!(desk.position(1, AXIS), 0);
    assert_eq!(
        square_offs(&desk),
        [(true, Reason::SquareOff), (false, Reason::SquareOff)]
    );
    desk.signal(1, enter(AXIS, Buy, 1));
    assert_eq!(desk.refused(), Some(Reason::SquareOff));
    desk.signal(
        1,
        Decision {
            product: Product::Delivery,
            ..enter(AXIS, Buy, 1)
        },
    );
    assert_eq!(desk.refused(), None);
    assert_eq!(
        desk.pipeline.portfolio().net(AXIS),
        units(3),
        "carried forward"
    );
    // The next day.
    desk.clock(NEXT_DAY);
    desk.tick(AXIS, "102");
    desk.signal(1, enter(AXIS, Sell, 2));
    assert_eq!(desk.refused(), None);
    desk.tick(AXIS, "102");
    assert_eq!(desk.position(1, AXIS), -2);
    desk.clock(NEXT_DAY + DUE);
    desk.tick(AXIS, "103");
    assert_eq!(desk.position(1, AXIS), 0);
    desk.check();
}

#[test]
fn a_square_off_waits_for_a_broker_that_is_slow_to_cancel() {
    let mut desk = Desk::new(&Plan {
        paper: None,
        ..plan()
    });
    desk.tick(AXIS, "100");
    desk.signal(1, enter(AXIS, Buy, 10));
    let entry = desk.orders()[0].id;
    desk.fill(entry, 6, "100");
    desk.clock(DUE);
    assert_eq!(cancels(desk.latest()), [(entry, Reason::SquareOff)]);
    assert!(desk.orders().is_empty());
    // The entry goes on filling while it is being cancelled.
    desk.fill(entry, 2, "100");
    assert!(desk.orders().is_empty());
    desk.cancelled(entry);
    let close = desk.orders()[0];
    assert_eq!((close.quantity, close.side), (units(8), Sell));
    desk.fill(close.id, 8, "99");
    assert!(square_offs(&desk).last().unwrap() == &(false, Reason::SquareOff));
    desk.check();
}

#[test]
fn an_execution_that_is_late_for_the_square_off_is_closed_too() {
    let mut desk = Desk::new(&Plan {
        paper: None,
        ..plan()
    });
    desk.tick(AXIS, "100");
    desk.signal(1, enter(AXIS, Buy, 10));
    let entry = desk.orders()[0].id;
    desk.fill(entry, 6, "100");
    desk.clock(DUE);
    desk.cancelled(entry);
    let close = desk.orders()[0];
    // The rest executed before the cancel after all.
    desk.fill(entry, 4, "100");
    desk.fill(close.id, 6, "99");
    let rest = desk.orders();
    assert_eq!(
        rest.iter().map(|o| o.quantity).collect::<Vec<_>>(),
        [units(4)],
        "{}",
        desk.story()
    );
    desk.fill(rest[0].id, 4, "99");
    assert_eq!(desk.position(1, AXIS), 0);
    desk.check();
}

#[test]
fn an_operator_closes_everything_and_every_order_has_its_own_id() {
    let mut desk = Desk::new(&Plan::outside());
    for (strategy, instrument) in [(1, AXIS), (2, AXIS), (1, BEL), (3, GOLD)] {
        desk.tick(instrument, "100");
        desk.signal(strategy, enter(instrument, Buy, 4));
        let order = desk.orders()[0].id;
        desk.fill(order, 4, "100");
    }
    // Two positions have something in the way, two do not.
    desk.signal(1, limit(enter(AXIS, Buy, 2), "90"));
    desk.signal(3, limit(enter(GOLD, Buy, 2), "90"));
    let resting: Vec<_> = desk.working().iter().map(|i| i.id).collect();
    desk.command(CommandAction::SquareOffAll);
    assert_eq!(desk.orders().len(), 2);
    let chain = desk.orders()[0].correlation;
    for id in resting {
        desk.cancelled(id);
        assert_eq!(desk.orders().len(), 1);
        assert_eq!(desk.orders()[0].correlation, chain);
    }
    for order in desk.working() {
        assert_eq!(order.role, OrderRole::SquareOff);
        desk.fill(order.id, 4, "99");
    }
    for (strategy, instrument) in [(1, AXIS), (2, AXIS), (1, BEL), (3, GOLD)] {
        assert_eq!(desk.position(strategy, instrument), 0);
    }
    // Done: trading goes on, and closing what is flat is nothing.
    desk.signal(1, enter(AXIS, Buy, 1));
    assert_eq!(desk.orders().len(), 1);
    let order = desk.orders()[0].id;
    desk.cancelled(order);
    assert!(desk.command(CommandAction::SquareOff(BEL)).is_empty());
    desk.check();
}

#[test]
fn a_square_off_that_the_broker_refuses_is_an_alert_and_ends() {
    let mut desk = Desk::new(&Plan::outside());
    desk.tick(AXIS, "100");
    desk.signal(1, bracket(enter(AXIS, Buy, 10), "95", "110"));
    let entry = desk.orders()[0].id;
    desk.fill(entry, 10, "100");
    let legs: Vec<_> = desk.orders().iter().map(|o| o.id).collect();
    desk.command(CommandAction::SquareOff(AXIS));
    for leg in legs {
        desk.cancelled(leg);
    }
    let close = desk.orders()[0].id;
    desk.report(close, ReportKind::Rejected(Reason::BrokerRejected));
    assert!(kinds(desk.latest()).contains(&"alert"));
    assert_eq!(
        square_offs(&desk).last(),
        Some(&(false, Reason::OperatorRequest))
    );
    // The position is still there: so is its protection, again.
    assert_eq!(desk.working().len(), 2, "{:?}", kinds(desk.latest()));
    desk.check();
}

#[test]
fn a_halt_cancels_entries_and_leaves_what_protects() {
    let mut desk = Desk::new(&Plan::default());
    desk.tick(AXIS, "100");
    desk.signal(1, bracket(enter(AXIS, Buy, 10), "95", "110"));
    desk.tick(AXIS, "100");
    desk.signal(1, limit(enter(AXIS, Buy, 5), "90"));
    let entry = desk.orders()[0].id;
    desk.command(CommandAction::SetState(TradingState::Halted));
    assert_eq!(cancels(desk.latest()), [(entry, Reason::Halted)]);
    assert_eq!(desk.working().len(), 2, "both legs");
    desk.signal(2, enter(AXIS, Buy, 1));
    assert_eq!(desk.refused(), Some(Reason::Halted));
    // Of a reversal the reducing part goes on; the stop still closes.
    desk.signal(1, target(AXIS, -5));
    desk.tick(AXIS, "100");
    assert_eq!(desk.position(1, AXIS), 0);
    let passed = desk.events.iter().rev().find_map(|e| match e.body {
        EventBody::SignalValidated(v) => Some(v),
        _ => None,
    });
    assert_eq!(passed.unwrap().entry_refused, Some(Reason::Halted.into()));
    desk.command(CommandAction::SetState(TradingState::Active));
    desk.signal(2, enter(AXIS, Buy, 1));
    assert_eq!(desk.refused(), None);
    desk.check();
}

#[test]
fn missed_targets_are_held_or_followed_at_a_resume() {
    for (on_resume, followed) in [(OnResume::Hold, 0), (OnResume::Follow, 10)] {
        for state in [TradingState::Halted, TradingState::ReduceOnly] {
            let mut desk = Desk::new(&Plan {
                on_resume,
                ..Plan::default()
            });
            desk.tick(AXIS, "100");
            desk.command(CommandAction::SetState(state));
            desk.signal(1, target(AXIS, 10));
            assert!(desk.refused().is_some());
            desk.command(CommandAction::SetState(TradingState::Active));
            desk.tick(AXIS, "100");
            assert_eq!(desk.position(1, AXIS), followed);
            // What is followed once is not followed twice.
            desk.command(CommandAction::SetState(TradingState::Halted));
            desk.command(CommandAction::SetState(TradingState::Active));
            desk.tick(AXIS, "100");
            assert_eq!(desk.position(1, AXIS), followed);
            desk.check();
        }
    }
}

#[test]
fn what_is_carried_overnight_is_protected_again_at_the_open() {
    let mut desk = Desk::new(&Plan::default());
    desk.tick(AXIS, "100");
    let held = Decision {
        product: Product::Delivery,
        ..enter(AXIS, Buy, 10)
    };
    desk.signal(1, bracket(held, "95", "110"));
    desk.tick(AXIS, "100");
    assert_eq!(desk.working().len(), 2);
    desk.clock(SESSION + 60);
    assert!(desk.working().is_empty(), "day orders end with the session");
    desk.clock(NEXT_DAY);
    assert_eq!(
        desk.working()
            .iter()
            .map(|i| i.quantity)
            .collect::<Vec<_>>(),
        [units(10); 2]
    );
    desk.tick(AXIS, "94");
    assert_eq!(desk.pipeline.portfolio().net(AXIS), units(0));
    assert!(desk.working().is_empty());
    desk.check();
}

fn alerts(desk: &Desk) -> Vec<(Reason, Option<StrategyIdx>)> {
    desk.latest()
        .iter()
        .filter_map(|e| match e.body {
            EventBody::Alert {
                reason, strategy, ..
            } => Some((reason, strategy)),
            _ => None,
        })
        .collect()
}

#[test]
fn continuous_trading_ends_before_a_closing_auction_and_it_is_announced() {
    let mut desk = Desk::new(&Plan {
        notice: 5 * MINUTE,
        ..plan()
    });
    desk.tick(AXIS, "100");
    desk.tick(BEL, "100");
    desk.signal(1, enter(BEL, Buy, 10));
    desk.signal(2, enter(AXIS, Buy, 10));
    desk.tick(AXIS, "100");
    desk.tick(BEL, "100");
    let due = DUE - AUCTION;
    desk.clock(due - 301);
    assert_eq!(alerts(&desk), []);
    desk.clock(due - 300);
    let first = Some(StrategyIdx(1));
    assert_eq!(alerts(&desk), [(Reason::SquareOffSoon, first)]);
    desk.clock(due);
    let order = desk.orders()[0];
    assert_eq!(
        (order.role, order.instrument),
        (OrderRole::SquareOff, BEL),
        "ten minutes before the auction"
    );
    assert_eq!(desk.orders().len(), 1);
    desk.tick(BEL, "100");
    desk.clock(DUE - 300);
    let second = Some(StrategyIdx(2));
    assert_eq!(alerts(&desk), [(Reason::SquareOffSoon, second)]);
    desk.clock(DUE);
    assert_eq!(desk.orders()[0].instrument, AXIS);
    desk.tick(AXIS, "100");
    assert_eq!((desk.position(1, BEL), desk.position(2, AXIS)), (0, 0));
    desk.check();
}

#[test]
fn what_is_short_in_delivery_is_told_before_the_close_and_stays() {
    let mut desk = Desk::new(&Plan {
        notice: 5 * MINUTE,
        ..plan()
    });
    desk.tick(AXIS, "100");
    let delivery = |side| Decision {
        product: Product::Delivery,
        ..enter(AXIS, side, 10)
    };
    desk.signal(1, delivery(Buy));
    desk.signal(2, delivery(Sell));
    assert_eq!(desk.refused(), None);
    desk.tick(AXIS, "100");
    desk.clock(DUE - 300);
    assert_eq!(
        alerts(&desk),
        [(Reason::OvernightShort, Some(StrategyIdx(2)))]
    );
    desk.clock(DUE);
    desk.tick(AXIS, "100");
    assert!(desk.orders().is_empty());
    let held = desk.pipeline.portfolio().positions().iter();
    assert_eq!(held.filter(|p| !p.quantity.is_zero()).count(), 2);
    desk.check();
}

#[test]
fn a_bracket_of_the_closing_auction_protects_from_the_next_open_on() {
    let mut desk = Desk::new(&Plan::default());
    desk.tick(BEL, "100");
    desk.clock(SESSION - AUCTION);
    let delivery = Decision {
        product: Product::Delivery,
        ..bracket(enter(BEL, Buy, 10), "95", "110")
    };
    desk.signal(1, delivery);
    desk.tick(BEL, "100");
    assert_eq!(desk.pipeline.portfolio().net(BEL), units(10));
    let legs = |desk: &Desk| {
        let legs = desk.orders();
        legs.iter().filter(|o| o.parent.is_some()).count()
    };
    assert_eq!(legs(&desk), 0, "the auction takes no stop orders");
    desk.clock(NEXT_DAY);
    assert_eq!(legs(&desk), 2);
    desk.check();
}

#[test]
fn data_while_the_market_is_closed_is_taken_counted_and_announced_once() {
    let mut desk = Desk::new(&Plan::default());
    desk.tick(AXIS, "100");
    desk.clock(SESSION + 60);
    assert_eq!(alerts(&desk), []);
    desk.tick(AXIS, "101");
    assert_eq!(alerts(&desk), [(Reason::MarketClosed, None)]);
    assert_eq!(
        desk.pipeline.portfolio().last(AXIS).price.to_string(),
        "101"
    );
    desk.tick(AXIS, "102");
    assert_eq!(alerts(&desk), [], "once for a closed stretch");
    assert_eq!(desk.pipeline.stats().closed_market_data, 2);
    desk.clock(NEXT_DAY + SESSION + 60);
    desk.tick(AXIS, "103");
    assert_eq!(alerts(&desk), [(Reason::MarketClosed, None)]);
    desk.check();
}

#[test]
fn what_is_too_large_for_one_order_is_squared_off_in_several() {
    let mut desk = Desk::new(&Plan {
        paper: None,
        ..plan()
    });
    desk.tick(AXIS, "100");
    for count in [FREEZE, FREEZE, 5] {
        desk.signal(1, enter(AXIS, Buy, count));
        let order = desk.orders()[0].id;
        desk.fill(order, count, "100");
    }
    desk.clock(DUE);
    for count in [FREEZE, FREEZE, 5] {
        let close = desk.orders();
        assert_eq!(close.len(), 1, "one after the other");
        assert_eq!((close[0].side, close[0].quantity), (Sell, units(count)));
        desk.fill(close[0].id, count, "99");
    }
    assert_eq!(desk.position(1, AXIS), 0);
    assert_eq!(
        square_offs(&desk),
        [(true, Reason::SquareOff), (false, Reason::SquareOff)]
    );
    desk.check();
}
