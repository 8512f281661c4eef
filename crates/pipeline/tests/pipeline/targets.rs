//! Targets and exits against what is working in the market already.

use model::event::EventBody;
use model::order::{OrderRole, OrderStatus};
use model::reason::Reason;
use model::signal::Side::{Buy, Sell};
use model::signal::{Action, Decision, Product};
use model::trader::ReportKind;
use model::{OrderId, Quantity};
use paper::PaperSettings;
use pipeline::risk::Limits;

use crate::desk::{Desk, Plan, bracket, cancels, enter, exit, kinds, limit, target};
use crate::world::{AXIS, BEL, units};

fn flat() -> Desk {
    let mut desk = Desk::new(&Plan::outside());
    desk.tick(AXIS, "100");
    desk
}

/// Long so many, at 100.
fn long(count: i64) -> Desk {
    let mut desk = flat();
    desk.signal(1, enter(AXIS, Buy, count));
    let order = desk.orders()[0].id;
    desk.fill(order, count, "100");
    assert_eq!(desk.position(1, AXIS), count);
    desk
}

#[test]
fn market_orders_in_flight_count_as_done() {
    let mut desk = flat();
    desk.signal(1, target(AXIS, 10));
    let first = desk.orders()[0];
    assert_eq!(
        (first.side, first.quantity, first.increase),
        (Buy, units(10), units(10))
    );
    desk.signal(1, target(AXIS, 4));
    let second = desk.orders()[0];
    assert_eq!(
        (second.side, second.quantity, second.role),
        (Sell, units(6), OrderRole::Exit)
    );
    desk.signal(1, target(AXIS, 4));
    assert_eq!(kinds(desk.latest()), ["signal_raw", "signal_validated"]);
    desk.fill(first.id, 10, "100");
    desk.fill(second.id, 6, "100");
    assert_eq!(desk.position(1, AXIS), 4);
    desk.check();
}

#[test]
fn a_reversal_is_one_order() {
    let mut desk = long(10);
    desk.signal(1, target(AXIS, -5));
    let order = desk.orders()[0];
    assert_eq!(desk.orders().len(), 1);
    assert_eq!(
        (order.side, order.quantity, order.increase),
        (Sell, units(15), units(5))
    );
    assert_eq!(order.role, OrderRole::Entry);
    desk.fill(order.id, 15, "101");
    assert_eq!(desk.position(1, AXIS), -5);
    desk.check();
}

#[test]
fn a_resting_order_is_cancelled_before_a_new_target_is_followed() {
    let mut desk = flat();
    desk.signal(1, limit(target(AXIS, 10), "99"));
    let resting = desk.orders()[0].id;
    desk.report(resting, ReportKind::Acknowledged);
    // The same wish again: nothing to do, and nothing cancelled.
    desk.signal(1, limit(target(AXIS, 10), "99"));
    assert_eq!(kinds(desk.latest()), ["signal_raw", "signal_validated"]);
    // Another price: first the old order has to go.
    desk.signal(1, limit(target(AXIS, 10), "98"));
    assert_eq!(
        kinds(desk.latest()),
        ["signal_raw", "signal_deferred", "order_cancel_requested"]
    );
    // A part executes before the cancel arrives: the rest is what is still wanted.
    desk.fill(resting, 3, "99");
    assert!(desk.orders().is_empty());
    desk.cancelled(resting);
    let order = desk.orders()[0];
    assert_eq!(
        (order.quantity, order.limit_price.unwrap().to_string()),
        (units(7), "98".into())
    );
    assert_eq!(desk.audit.orders[&resting].status(), OrderStatus::Cancelled);
    desk.check();
}

#[test]
fn a_superseded_target_is_reported() {
    let mut desk = flat();
    desk.signal(1, limit(target(AXIS, 10), "99"));
    let resting = desk.orders()[0].id;
    desk.signal(1, target(AXIS, 20));
    assert!(desk.orders().is_empty());
    let waiting = desk
        .pipeline
        .engine()
        .book(&key())
        .unwrap()
        .deferred()
        .unwrap()
        .id;
    desk.signal(1, target(AXIS, -5));
    let refused: Vec<_> = desk
        .latest()
        .iter()
        .filter_map(|e| match e.body {
            EventBody::SignalRejected(r) => Some((r.signal, r.refusal.reason, r.target)),
            _ => None,
        })
        .collect();
    assert_eq!(
        refused,
        [(waiting, Reason::SupersededTarget, Some(units(20)))]
    );
    assert!(
        cancels(desk.latest()).is_empty(),
        "the cancel is under way already"
    );
    desk.cancelled(resting);
    assert_eq!(desk.orders()[0].quantity, units(5));
    assert_eq!(desk.orders()[0].side, Sell);
    desk.check();
}

fn key() -> pipeline::portfolio::PositionKey {
    pipeline::portfolio::PositionKey {
        strategy: model::StrategyIdx(1),
        instrument: AXIS,
        product: Product::Intraday,
    }
}

#[test]
fn a_target_of_what_is_held_only_cancels_what_rests() {
    let mut desk = flat();
    desk.signal(1, limit(target(AXIS, 10), "99"));
    let resting = desk.orders()[0].id;
    desk.signal(1, target(AXIS, 0));
    assert_eq!(
        cancels(desk.latest()),
        [(resting, Reason::SupersededTarget)]
    );
    desk.cancelled(resting);
    assert!(desk.orders().is_empty() && desk.position(1, AXIS) == 0);
    assert!(
        desk.pipeline
            .engine()
            .book(&key())
            .unwrap()
            .deferred()
            .is_none()
    );
    // It filled instead: the target sells what came.
    let mut desk = flat();
    desk.signal(1, limit(target(AXIS, 10), "99"));
    let resting = desk.orders()[0].id;
    desk.signal(1, target(AXIS, 0));
    desk.fill(resting, 10, "99");
    let order = desk.orders()[0];
    assert_eq!((order.side, order.quantity), (Sell, units(10)));
    desk.check();
}

#[test]
fn a_cancel_that_is_refused_ends_the_wait_and_says_so() {
    let mut desk = flat();
    desk.signal(1, limit(target(AXIS, 10), "99"));
    let resting = desk.orders()[0].id;
    desk.signal(1, target(AXIS, -10));
    desk.report(resting, ReportKind::CancelRefused);
    assert_eq!(desk.refused(), Some(Reason::BrokerRejected));
    assert!(desk.orders().is_empty());
    assert_eq!(desk.working().len(), 1, "the old order works on");
    desk.check();
}

#[test]
fn exits_close_what_is_there_and_no_more() {
    let mut desk = long(10);
    desk.signal(1, exit(AXIS, Some(4)));
    assert_eq!(desk.orders()[0].quantity, units(4));
    // Six are left to be closed, however much is asked for.
    desk.signal(1, exit(AXIS, Some(50)));
    assert_eq!(desk.orders()[0].quantity, units(6));
    desk.signal(1, exit(AXIS, None));
    assert!(desk.orders().is_empty());
    for order in desk.working() {
        desk.fill(order.id, order.quantity.raw() / model::fixed::ONE, "101");
    }
    assert_eq!(desk.position(1, AXIS), 0);
    // Flat: an exit is nothing.
    desk.signal(1, exit(AXIS, None));
    assert_eq!(kinds(desk.latest()), ["signal_raw", "signal_validated"]);
    desk.check();
}

#[test]
fn resting_exits_are_counted_by_the_next_one() {
    // Twice the whole position, or an opposite entry on top: never more than there is.
    let opposite = limit(enter(AXIS, Sell, 10), "105");
    let again = limit(exit(AXIS, Some(10)), "106");
    for second in [again, opposite, exit(AXIS, Some(10))] {
        for product in [Product::Intraday, Product::Delivery] {
            let mut desk = flat();
            let with = |d: Decision| Decision { product, ..d };
            desk.signal(1, with(enter(AXIS, Buy, 10)));
            let order = desk.orders()[0].id;
            desk.fill(order, 10, "100");
            desk.signal(1, with(limit(exit(AXIS, Some(10)), "105")));
            desk.signal(1, with(second));
            let shorts = desk.pipeline.risk().limits().short_selling;
            let closing: i64 = desk
                .working()
                .iter()
                .map(|i| (i.quantity.raw() - i.increase.raw()) / model::fixed::ONE)
                .sum();
            assert!(closing <= 10, "{second:?}, {shorts:?}");
            if product == Product::Delivery {
                let selling: Quantity = desk.working().iter().fold(Quantity::ZERO, |sum, i| {
                    sum.checked_add(i.quantity).unwrap()
                });
                assert!(selling <= units(10), "a delivery position would be short");
            }
            desk.check();
        }
    }
}

#[test]
fn a_rejected_order_does_not_count_any_more() {
    let mut desk = flat();
    desk.signal(1, target(AXIS, 10));
    let order = desk.orders()[0].id;
    desk.report(order, ReportKind::Rejected(Reason::BrokerRejected));
    desk.signal(1, target(AXIS, 10));
    assert_eq!(desk.orders()[0].quantity, units(10));
    desk.check();
}

#[test]
fn positions_of_strategies_and_products_are_kept_apart() {
    let mut desk = Desk::new(&Plan::default());
    desk.tick(AXIS, "100");
    desk.signal(1, target(AXIS, 10));
    desk.signal(2, target(AXIS, -4));
    desk.signal(
        1,
        Decision {
            product: Product::Delivery,
            ..target(AXIS, 3)
        },
    );
    desk.tick(AXIS, "101");
    assert_eq!((desk.position(1, AXIS), desk.position(2, AXIS)), (10, -4));
    assert_eq!(desk.pipeline.portfolio().net(AXIS), units(9));
    desk.signal(1, exit(AXIS, None));
    assert_eq!(
        desk.orders()[0].quantity,
        units(10),
        "not what is held for delivery"
    );
    desk.tick(AXIS, "101");
    assert_eq!(desk.pipeline.portfolio().net(AXIS), units(-1));
    assert!(desk.pipeline.portfolio().position(&key()).is_some());
    desk.tick(BEL, "20");
    desk.check();
}

#[test]
fn late_repeated_and_impossible_reports_harm_nothing() {
    let mut desk = flat();
    desk.signal(1, enter(AXIS, Buy, 10));
    let order = desk.orders()[0].id;
    desk.report(order, ReportKind::Acknowledged);
    let fill = ReportKind::Filled {
        trade: model::TradeId(5),
        side: Buy,
        quantity: units(4),
        price: "100".parse().unwrap(),
        draws: 0,
    };
    desk.report(order, fill);
    // Twice the same trade, twice the same acknowledgement.
    assert!(desk.report(order, fill).is_empty());
    assert!(desk.report(order, ReportKind::Acknowledged).is_empty());
    assert_eq!(desk.pipeline.stats().repeated_reports, 2);
    // An order that is not known here.
    let events = desk.report(model::OrderId::default(), ReportKind::Acknowledged);
    assert!(
        matches!(events, [e] if is_alert(e, Reason::UnknownOrder)),
        "{events:?}"
    );
    // Cancelled with a part executed, and then an execution that was on its way.
    desk.cancelled(order);
    desk.fill(order, 6, "100");
    assert_eq!(desk.position(1, AXIS), 10);
    assert_eq!(desk.audit.orders[&order].status(), OrderStatus::Cancelled);
    desk.check();
}

fn is_alert(event: &model::event::Event, wanted: Reason) -> bool {
    matches!(event.body, EventBody::Alert { reason, .. } if reason == wanted)
}

/// Buys 10 at no more than 101 and is told of executions that cannot be true.
#[test]
fn an_execution_that_cannot_be_true_is_parked_until_the_brokers_book_says_it() {
    use model::event::Doubt;
    let told = |trade: u128, side, quantity: &str, price: &str| ReportKind::Filled {
        trade: model::TradeId(trade),
        side,
        quantity: quantity.parse().unwrap(),
        price: price.parse().unwrap(),
        draws: 0,
    };
    for (side, quantity, price, doubt) in [
        (Sell, "3", "100", Doubt::Side),
        (Buy, "0", "100", Doubt::Quantity),
        (Buy, "11", "100", Doubt::Quantity),
        (Buy, "5.99983616", "100", Doubt::Lot),
        (Buy, "3", "101.05", Doubt::Limit),
        (Buy, "3", "11177.97", Doubt::Limit),
        (Buy, "3", "49.95", Doubt::Band),
        (Buy, "3", "0", Doubt::Band),
        (Buy, "3", "99.98", Doubt::Tick),
    ] {
        let mut desk = flat();
        desk.signal(1, limit(enter(AXIS, Buy, 10), "101"));
        let order = desk.orders()[0].id;
        desk.report(order, ReportKind::Acknowledged);
        let nonsense = told(5, side, quantity, price);
        let events = desk.report(order, nonsense).to_vec();
        let parked = events.iter().find_map(|e| match e.body {
            EventBody::ReportParked(parked) => Some(parked),
            _ => None,
        });
        assert_eq!(
            parked.map(|p| (p.doubt, p.confirmed)),
            Some((doubt, false)),
            "{events:?}"
        );
        assert!(
            events
                .iter()
                .any(|e| is_alert(e, Reason::ImplausibleReport))
        );
        assert!(desk.report(order, nonsense).is_empty(), "it is parked once");
        assert_eq!(
            (
                desk.position(1, AXIS),
                desk.pipeline.engine().parked().len()
            ),
            (0, 1)
        );
        // No entries while it is in doubt; the fold knows it too.
        desk.tick(BEL, "50");
        desk.signal(2, enter(BEL, Buy, 1));
        assert_eq!(desk.refused(), Some(Reason::ImplausibleReport), "{doubt:?}");

        // The book does not show it: it is dropped, and entries go on.
        let mut other = flat();
        other.signal(1, limit(enter(AXIS, Buy, 10), "101"));
        let same = other.orders()[0].id;
        other.report(same, nonsense);
        let events = other.report(same, ReportKind::BookRead).to_vec();
        assert!(
            events
                .iter()
                .any(|e| is_alert(e, Reason::ReportContradicted))
        );
        other.tick(BEL, "50");
        other.signal(2, enter(BEL, Buy, 1));
        assert_eq!((other.orders().len(), other.position(1, AXIS)), (1, 0));
        other.check();

        // The book confirms it: booked where an order can hold it, with an alert.
        let events = desk.confirmed(order, nonsense).to_vec();
        desk.report(order, ReportKind::BookRead);
        let fits = matches!(doubt, Doubt::Lot | Doubt::Limit | Doubt::Band | Doubt::Tick);
        let books = (fits && price != "0") || quantity == "11";
        let held = desk.pipeline.portfolio().net(AXIS);
        if books {
            assert!(events.iter().any(|e| is_alert(e, Reason::ReportConfirmed)));
            assert_eq!(held, quantity.parse().unwrap());
            assert!(desk.pipeline.engine().parked().is_empty());
            assert!(desk.pipeline.risk().blocks().is_empty());
        } else {
            // Nothing here can hold it: an operator must look.
            assert!(held.is_zero() && desk.pipeline.engine().parked()[0].confirmed);
            let resolved = model::control::Resolution::Cancelled;
            desk.command(model::control::CommandAction::ResolveOrder(order, resolved));
            assert!(desk.pipeline.engine().parked().is_empty());
            assert!(desk.pipeline.risk().blocks().is_empty());
        }
        desk.check();
    }
    // What the broker then pushes rightly is booked at once.
    let mut desk = flat();
    desk.signal(1, enter(AXIS, Buy, 10));
    let order = desk.orders()[0].id;
    desk.report(order, told(5, Buy, "10", "11177.95"));
    desk.report(order, told(5, Buy, "10", "100"));
    assert_eq!(desk.position(1, AXIS), 10);
    assert!(desk.pipeline.risk().blocks().is_empty());
    desk.check();
}

#[test]
fn an_operators_resolution_ends_an_order_or_says_why_not() {
    use model::control::{CommandAction, Resolution};
    let mut desk = flat();
    desk.signal(1, enter(AXIS, Buy, 10));
    let order = desk.orders()[0].id;
    desk.report(order, ReportKind::Unknown);
    assert_eq!(desk.audit.orders[&order].status(), OrderStatus::Unknown);
    desk.command(CommandAction::ResolveOrder(order, Resolution::NeverReached));
    assert_eq!(desk.audit.orders[&order].status(), OrderStatus::Failed);
    // One of which a part is told is in doubt until its end is told too.
    desk.signal(1, enter(AXIS, Buy, 10));
    let order = desk.orders()[0].id;
    desk.report(order, ReportKind::Unknown);
    let part = Resolution::Filled {
        quantity: units(4),
        price: "100".parse().unwrap(),
    };
    desk.command(CommandAction::ResolveOrder(order, part));
    assert_eq!(desk.position(1, AXIS), 4);
    desk.command(CommandAction::ResolveOrder(order, Resolution::NeverReached));
    assert_eq!(
        kinds(desk.latest()),
        ["alert"],
        "a command is not dropped silently"
    );
    desk.command(CommandAction::ResolveOrder(order, Resolution::Cancelled));
    assert_eq!(desk.audit.orders[&order].status(), OrderStatus::Cancelled);
    // What is not in doubt is the broker's to tell.
    desk.signal(2, enter(AXIS, Buy, 10));
    let working = desk.orders()[0].id;
    desk.report(working, ReportKind::Acknowledged);
    for (id, reason) in [
        (order, Reason::OrderNotUnknown),
        (working, Reason::OrderNotUnknown),
        (OrderId::default(), Reason::UnknownOrder),
    ] {
        for how in [Resolution::NeverReached, Resolution::Cancelled, part] {
            desk.command(CommandAction::ResolveOrder(id, how));
            let said = desk.latest();
            assert!(matches!(said, [e] if is_alert(e, reason)), "{said:?}");
        }
    }
    assert_eq!(
        desk.audit.orders[&working].status(),
        OrderStatus::Acknowledged
    );
    assert_eq!(desk.position(1, AXIS), 4);
    desk.check();
}

#[test]
fn confirmed_targets_survive_latency_and_partial_fills() {
    // Whatever is asked in which order, in the end the position is the last target.
    for seed in 0..30u64 {
        let settings = PaperSettings {
            simulation_latency_ms: [0, 700, 2500][(seed % 3) as usize],
            participation: if seed % 2 == 0 { 0.0 } else { 0.004 },
            seed,
            ..PaperSettings::default()
        };
        let mut desk = Desk::new(&Plan {
            paper: Some(settings),
            ..Plan::default()
        });
        let mut chance = crate::world::Chance(seed);
        let mut price = 100;
        for _ in 0..40 {
            price = (price + chance.within(-2, 2)).max(20);
            desk.tick(AXIS, &price.to_string());
            if chance.one_in(3) {
                let wanted = target(AXIS, chance.within(-8, 8));
                let away = (price + chance.within(-3, 3)).to_string();
                desk.signal(
                    1,
                    if chance.one_in(2) {
                        limit(wanted, &away)
                    } else {
                        wanted
                    },
                );
            }
        }
        let last = chance.within(-8, 8);
        desk.signal(1, target(AXIS, last));
        for _ in 0..30 {
            desk.tick(AXIS, &price.to_string());
        }
        assert_eq!(
            desk.position(1, AXIS),
            last,
            "seed {seed}\n{}",
            desk.story()
        );
        assert!(desk.working().is_empty(), "seed {seed}");
        let action = desk
            .pipeline
            .engine()
            .book(&key())
            .unwrap()
            .last_target()
            .unwrap()
            .decision
            .action;
        assert_eq!(
            action,
            Action::Target {
                quantity: units(last)
            }
        );
        desk.check();
    }
}

#[test]
fn limits_between_two_ticks_never_cost_more_than_was_asked_for() {
    // A tick of 0.05. What rests is what a repeated wish comes to: nothing is sent twice.
    let rounding = || Limits {
        round_limits: true,
        ..Limits::default()
    };
    let plan = |limits, own| Plan {
        limits,
        strategy_limits: vec![None, own],
        ..Plan::outside()
    };
    let ready = |plan: &Plan| {
        let mut desk = Desk::new(plan);
        desk.tick(AXIS, "100");
        desk
    };
    for (count, asked, sent) in [
        (10, "99.99", "99.95"),
        (10, "99.95", "99.95"),
        (-10, "100.01", "100.05"),
        (-10, "100.05", "100.05"),
    ] {
        // The broker's limits ask for it, or the strategy's own.
        let mut desk = ready(&match count {
            10 => plan(rounding(), None),
            _ => plan(Limits::default(), Some(rounding())),
        });
        desk.signal(1, limit(target(AXIS, count), asked));
        let price = desk.orders()[0].limit_price.unwrap().to_string();
        assert_eq!(price, sent, "{count} at {asked}");
        desk.signal(1, limit(target(AXIS, count), asked));
        assert!(desk.orders().is_empty() && desk.refused().is_none());
        assert_eq!(desk.working().len(), 1);
        desk.check();
    }
    // A take-profit is the other side's limit; triggers are not moved, and zero is no price.
    let mut desk = ready(&plan(rounding(), None));
    desk.signal(1, bracket(enter(AXIS, Buy, 10), "95", "110.01"));
    let profit = desk.orders()[0].bracket.take_profit;
    assert_eq!(profit.unwrap().to_string(), "110.05");
    for (decision, reason) in [
        (bracket(enter(AXIS, Buy, 10), "95.01", ""), Reason::TickSize),
        (limit(enter(AXIS, Buy, 10), "0.04"), Reason::InvalidSignal),
    ] {
        desk.signal(1, decision);
        assert_eq!(desk.refused(), Some(reason));
    }
    desk.check();
}
