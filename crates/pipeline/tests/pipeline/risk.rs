//! Every rule refuses for its own reason, and its neighbour just passes.

use model::control::{CommandAction, TradingState};
use model::event::EventBody;
use model::order::OrderRole;
use model::reason::Reason;
use model::signal::Bracket;
use model::signal::Side::{Buy, Sell};
use model::time::SECOND;
use pipeline::risk::settings::ShortSelling;
use pipeline::risk::{Limits, RULES};

use crate::desk::{Desk, Plan, enter, exit, limit, target};
use crate::rules::{buy, cases, rupees, with};
use crate::world::{AXIS, BEL, GOLD, units};

#[test]
fn every_rule_refuses_for_its_own_reason_and_its_neighbour_passes() {
    let mut seen = Vec::new();
    let mut figures = String::new();
    for (number, case) in cases().into_iter().enumerate() {
        let at = format!("case {number}, {}", case.reason);
        let mut desk = Desk::new(&case.plan);
        desk.tick(AXIS, "100");
        (case.before)(&mut desk);
        desk.signal(1, case.refused);
        assert_eq!(desk.refused(), Some(case.reason), "{at}");
        assert!(desk.orders().is_empty(), "{at}");
        figures += &figures_of(&desk);
        (case.between)(&mut desk);
        desk.signal(1, case.passes);
        assert_eq!(desk.refused(), None, "{at}");
        assert_eq!(desk.orders().len(), 1, "{at}");
        desk.check();
        seen.push(case.reason);
    }
    assert_eq!(figures, FIGURES);
    // Stale signals, losses, overflow and delivery have tests of their own.
    let elsewhere = [
        Reason::StaleSignal,
        Reason::DailyLoss,
        Reason::Drawdown,
        Reason::Overflow,
        Reason::PhysicalDelivery,
    ];
    for rule in RULES {
        assert!(
            seen.contains(&rule.reason) || elsewhere.contains(&rule.reason),
            "{}",
            rule.reason
        );
    }
}

/// What the latest refusal names: reason, order, the rule's value and its limit.
fn figures_of(desk: &Desk) -> String {
    let refused = desk.latest().iter().find_map(|e| match e.body {
        EventBody::SignalRejected(refused) => Some(refused),
        _ => None,
    });
    let refused = refused.unwrap();
    let order = refused.order.map_or_else(
        || "no order".to_owned(),
        |(side, quantity)| format!("{} {quantity}", side.name()),
    );
    let measured = refused.refusal.measured.map_or_else(String::new, |m| {
        let (value, limit) = m.figures();
        format!(": {value} of {limit} {}", m.unit(|_| "INR"))
    });
    format!("{} {order}{measured}\n", refused.refusal.reason)
}

/// In the order of [`cases`].
const FIGURES: &str = "\
trader_unreachable buy 1
unresolved_order buy 1
strategy_disabled buy 1
unsupported_asset_class buy 1
invalid_signal buy 1
invalid_signal buy 1
invalid_signal buy 1
invalid_signal buy 1
duplicate_signal buy 1: 0 of 1000 ms
session_closed buy 1
tick_size buy 1: 99.99 of 0.05 price
tick_size buy 1: 90.01 of 0.05 price
lot_size buy 3: 3 of 2 units
order_type_in_phase buy 1
contract_expired buy 2
freeze_quantity buy 1000001: 1000001 of 1000000 units
price_band buy 1: 0.0505 of 0.05 fraction
halted buy 1
reduce_only buy 1
square_off buy 1
instrument_denied buy 1
instrument_denied buy 1
stale_market_data buy 1: 99000 of 98000 ms
stale_market_data buy 1
short_selling sell 1: -1 of 0 units
short_selling sell 1: -1 of 0 units
order_quantity buy 6: 6 of 5 units
order_notional buy 11: 1100 of 1000 INR
order_notional buy 4: 1000 of 500 INR
position_quantity buy 3: 6 of 5 units
position_notional buy 2: 700 of 600 INR
gross_exposure buy 2: 690 of 600 INR
open_orders buy 1: 2 of 1 orders
orders_per_second buy 1: 2 of 1 orders
orders_per_day buy 1: 2 of 1 orders
trades_per_day buy 1: 2 of 1 orders
insufficient_cash buy 9: 1080 of 1000 INR
insufficient_cash buy 51: 1020 of 1000 INR
insufficient_cash buy 22: 1020 of 1000 INR
currency_limit_missing buy 1
currency_limit_missing buy 1
";

#[test]
fn a_strategys_own_limits_act_on_its_own_share() {
    for case in cases() {
        // The same limit as one strategy's own, where it does not count what others do.
        let shared = matches!(
            case.reason,
            Reason::PositionQuantity
                | Reason::PositionNotional
                | Reason::GrossExposure
                | Reason::InsufficientCash
                | Reason::CurrencyLimitMissing
        );
        let plan = Plan {
            strategy_limits: vec![None, Some(case.plan.limits.clone())],
            limits: Limits::default(),
            ..case.plan.clone()
        };
        if shared || case.plan.limits == Limits::default() {
            continue;
        }
        let mut desk = Desk::new(&plan);
        desk.tick(AXIS, "100");
        (case.before)(&mut desk);
        desk.signal(2, case.refused);
        let other = desk.refused();
        assert!(
            other.is_none() || other == Some(Reason::StaleMarketData),
            "{}",
            case.reason
        );
        desk.signal(1, case.refused);
        assert_eq!(desk.refused(), Some(case.reason));
        desk.check();
    }
}

#[test]
fn totals_of_a_strategy_are_its_own() {
    let own = Limits {
        position_quantity: Some(units(5)),
        gross_exposure: rupees("600"),
        open_orders: Some(2),
        ..Limits::default()
    };
    let mut desk = Desk::new(&Plan {
        strategy_limits: vec![None, Some(own)],
        ..Plan::default()
    });
    desk.tick(AXIS, "100");
    desk.signal(2, buy(50));
    desk.tick(AXIS, "100");
    for (decision, reason) in [
        (buy(6), Some(Reason::PositionQuantity)),
        (buy(1), None),
        (buy(5), Some(Reason::PositionQuantity)),
        (limit(buy(4), "90"), None),
        (limit(buy(1), "80"), Some(Reason::PositionQuantity)),
    ] {
        desk.signal(1, decision);
        assert_eq!(desk.refused(), reason, "{decision:?}");
        desk.tick(AXIS, "100");
    }
    // 100 held, 360 working, 140 left of 600.
    desk.tick(BEL, "50");
    desk.signal(1, enter(BEL, Buy, 3));
    assert_eq!(desk.refused(), Some(Reason::GrossExposure));
    desk.signal(1, enter(BEL, Buy, 2));
    assert_eq!(desk.refused(), None);
    desk.signal(1, limit(enter(BEL, Buy, 1), "40"));
    assert_eq!(desk.refused(), Some(Reason::OpenOrders));
    desk.check();
}

/// Entry rules of a broker that is full in every way.
type Full = (Reason, Limits, fn(&mut Desk));

fn full() -> Vec<Full> {
    let quiet: fn(&mut Desk) = |_| {};
    let none = Limits::default;
    vec![
        (Reason::Halted, none(), |d| {
            d.command(CommandAction::SetState(TradingState::Halted));
        }),
        (Reason::ReduceOnly, none(), |d| {
            d.command(CommandAction::SetState(TradingState::ReduceOnly));
        }),
        (
            Reason::StaleMarketData,
            Limits {
                stale_market_data: Some(5 * SECOND),
                ..none()
            },
            |d| d.clock_forward(9),
        ),
        (
            Reason::OrderQuantity,
            Limits {
                order_quantity: Some(units(14)),
                ..none()
            },
            quiet,
        ),
        (
            Reason::OrderNotional,
            Limits {
                order_notional: rupees("1400"),
                ..none()
            },
            quiet,
        ),
        (
            Reason::OrdersPerDay,
            Limits {
                orders_per_day: Some(1),
                ..none()
            },
            quiet,
        ),
        (
            Reason::TradesPerDay,
            Limits {
                trades_per_day: Some(1),
                ..none()
            },
            quiet,
        ),
        (
            Reason::GrossExposure,
            Limits {
                gross_exposure: rupees("1000"),
                ..none()
            },
            quiet,
        ),
        (
            Reason::ShortSelling,
            Limits {
                short_selling: ShortSelling::Forbidden,
                ..none()
            },
            quiet,
        ),
    ]
}

#[test]
fn of_a_refused_reversal_the_reducing_part_goes_through() {
    for (reason, limits, before) in full() {
        let mut desk = Desk::new(&with(limits));
        desk.tick(AXIS, "100");
        desk.signal(1, buy(10));
        desk.tick(AXIS, "100");
        before(&mut desk);
        desk.signal(1, target(AXIS, -5));
        let validated = desk.latest().iter().find_map(|e| match e.body {
            EventBody::SignalValidated(v) => Some(v),
            _ => None,
        });
        let v = validated.unwrap_or_else(|| panic!("{reason}: {:?}", desk.refused()));
        assert_eq!(v.entry_refused.map(|r| r.reason), Some(reason));
        assert_eq!(
            (v.quantity, v.increase.is_zero(), v.target),
            (units(10), true, Some(units(-5)))
        );
        let order = desk.orders()[0];
        assert_eq!(
            (order.quantity, order.role, order.side),
            (units(10), OrderRole::Exit, Sell)
        );
        assert_eq!(order.bracket, Bracket::default());
        // A plain exit was never in question.
        desk.tick(AXIS, "100");
        assert_eq!(desk.position(1, AXIS), 0);
        desk.check();
    }
}

#[test]
fn an_old_signal_may_still_reduce() {
    let mut desk = Desk::new(&with(Limits {
        stale_signal: Some(5 * SECOND),
        ..Limits::default()
    }));
    desk.tick(AXIS, "100");
    for (age, decision, reason) in [
        (6, buy(10), Some(Reason::StaleSignal)),
        (5, buy(10), None),
        (9, exit(AXIS, None), None),
    ] {
        desk.tick(AXIS, "100");
        let mut signal = desk.make_signal(1, decision);
        signal.ts = desk.now.plus(-age * SECOND);
        desk.send(&signal);
        assert_eq!(desk.refused(), reason, "{age} s");
    }
    desk.check();
}

#[test]
fn an_odd_lot_can_be_closed_but_not_opened() {
    let mut desk = Desk::new(&Plan::outside());
    desk.tick(GOLD, "100");
    desk.signal(1, enter(GOLD, Buy, 4));
    let order = desk.orders()[0].id;
    desk.fill(order, 3, "100");
    desk.cancelled(order);
    desk.signal(1, exit(GOLD, Some(1)));
    assert_eq!(desk.refused(), Some(Reason::LotSize));
    desk.signal(1, exit(GOLD, None));
    assert_eq!(desk.orders()[0].quantity, units(3));
    desk.check();
}
