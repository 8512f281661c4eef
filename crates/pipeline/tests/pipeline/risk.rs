//! Every rule refuses for its own reason, and its neighbour just passes.

use std::sync::Arc;

use model::charges::FlatRate;
use model::control::{CommandAction, TradingState};
use model::event::EventBody;
use model::order::OrderRole;
use model::reason::Reason;
use model::signal::Side::{Buy, Sell};
use model::signal::{Bracket, Decision, OrderType, Product};
use model::time::{MINUTE, SECOND};
use model::{Amount, AssetClass, Price, StrategyIdx};
use pipeline::risk::limits::MoneyLimit;
use pipeline::risk::settings::ShortSelling;
use pipeline::risk::{AutoResume, Limits, RULES};

use crate::desk::{Desk, Plan, bracket, cancels, enter, exit, limit, target};
use crate::world::{AXIS, BEL, COIN, GOLD, NEXT_DAY, SESSION, amount, quantity, units};

fn rupees(text: &str) -> Option<MoneyLimit> {
    Some(MoneyLimit(vec![Some(amount(text)), None]))
}

fn with(limits: Limits) -> Plan {
    Plan { limits, ..Plan::default() }
}

/// One rule: what is prepared, what it refuses, and a neighbour that passes.
struct Case {
    reason: Reason,
    plan: Plan,
    before: fn(&mut Desk),
    refused: Decision,
    passes: Decision,
    /// Between the two, where it is not the decision that makes the difference.
    between: fn(&mut Desk),
}

fn case(reason: Reason, limits: Limits, refused: Decision, passes: Decision) -> Case {
    Case { reason, plan: with(limits), before: |_| {}, refused, passes, between: |_| {} }
}

fn buy(count: i64) -> Decision {
    enter(AXIS, Buy, count)
}

fn cases() -> Vec<Case> {
    use Reason as R;
    let none = Limits::default;
    let state = |reason, command: fn(&mut Desk)| Case {
        before: command,
        between: |desk| drop(desk.command(CommandAction::SetState(TradingState::Active)).len()),
        ..case(reason, none(), buy(1), buy(1))
    };
    let after_one: fn(&mut Desk) = |desk| drop(desk.signal(1, limit(buy(1), "90")).len());
    let cancel_all: fn(&mut Desk) = |desk| drop(desk.command(CommandAction::CancelAll).len());
    let bel: fn(&mut Desk) = |desk| drop(desk.tick(BEL, "50").len());
    let later: fn(&mut Desk) = |desk| drop(desk.tick(AXIS, "100").len());
    let next_day: fn(&mut Desk) = |desk| {
        desk.clock(NEXT_DAY);
        desk.tick(AXIS, "100");
    };
    vec![
        Case {
            before: |desk| {
                let disable = CommandAction::DisableStrategy(StrategyIdx(1), R::OperatorRequest);
                desk.command(disable);
            },
            between: |desk| drop(desk.command(CommandAction::EnableStrategy(StrategyIdx(1))).len()),
            ..case(R::StrategyDisabled, none(), buy(1), buy(1))
        },
        Case {
            plan: Plan { asset_classes: vec![AssetClass::Equity], ..Plan::default() },
            before: |desk| drop(desk.tick(COIN, "5").len()),
            ..case(R::UnsupportedAssetClass, none(), enter(COIN, Buy, 1), buy(1))
        },
        case(R::InvalidSignal, none(), limit(buy(1), "10000000.05"), limit(buy(1), "10000000")),
        case(R::InvalidSignal, none(), Decision { order_type: OrderType::Limit, ..buy(1) }, buy(1)),
        case(R::InvalidSignal, none(), bracket(buy(1), "100", ""), bracket(buy(1), "99.95", "")),
        case(R::InvalidSignal, none(), bracket(buy(1), "", "100"), bracket(buy(1), "", "100.05")),
        Case {
            before: |desk| drop(desk.signal(1, buy(1)).len()),
            between: later,
            ..case(R::DuplicateSignal, Limits { duplicate_window: Some(SECOND), ..none() }, buy(1), buy(1))
        },
        Case {
            before: |desk| drop(desk.clock(SESSION).len()),
            between: next_day,
            ..case(R::SessionClosed, none(), buy(1), buy(1))
        },
        case(R::TickSize, none(), limit(buy(1), "99.99"), limit(buy(1), "99.95")),
        case(R::TickSize, none(), bracket(buy(1), "90.01", ""), bracket(buy(1), "90.05", "")),
        Case {
            before: |desk| drop(desk.tick(GOLD, "100").len()),
            ..case(R::LotSize, none(), enter(GOLD, Buy, 3), enter(GOLD, Buy, 4))
        },
        case(R::PriceBand, Limits { price_band: Some(5_000_000), ..none() }, limit(buy(1), "94.95"), limit(buy(1), "95")),
        state(R::Halted, |desk| drop(desk.command(CommandAction::SetState(TradingState::Halted)).len())),
        state(R::ReduceOnly, |desk| drop(desk.command(CommandAction::SetState(TradingState::ReduceOnly)).len())),
        Case {
            plan: Plan { square_off: Some(10 * MINUTE), ..Plan::default() },
            before: |desk| drop(desk.clock(SESSION - 600).len()),
            ..case(R::SquareOff, none(), buy(1), Decision { product: Product::Delivery, ..buy(1) })
        },
        Case { before: bel, ..case(R::InstrumentDenied, Limits { allow: vec![true, true, false, true], ..none() }, enter(BEL, Buy, 1), buy(1)) },
        Case { before: bel, ..case(R::InstrumentDenied, Limits { deny: vec![false, false, true, false], ..none() }, enter(BEL, Buy, 1), buy(1)) },
        Case {
            before: |desk| drop(desk.clock(100).len()),
            between: later,
            ..case(R::StaleMarketData, Limits { stale_market_data: Some(98 * SECOND), ..none() }, buy(1), buy(1))
        },
        case(R::StaleMarketData, none(), enter(BEL, Buy, 1), buy(1)),
        case(R::ShortSelling, Limits { short_selling: ShortSelling::Forbidden, ..none() }, enter(AXIS, Sell, 1), buy(1)),
        case(
            R::ShortSelling,
            none(),
            Decision { product: Product::Delivery, ..enter(AXIS, Sell, 1) },
            Decision { product: Product::CarryForward, ..enter(AXIS, Sell, 1) },
        ),
        case(R::OrderQuantity, Limits { order_quantity: Some(units(5)), ..none() }, buy(6), buy(5)),
        case(R::OrderNotional, Limits { order_notional: rupees("1000"), ..none() }, buy(11), buy(10)),
        Case {
            before: |desk| drop(desk.tick(GOLD, "100").len()),
            // 2 × 100 × 2.5 = 500.
            ..case(R::OrderNotional, Limits { order_notional: rupees("500"), ..none() }, enter(GOLD, Buy, 4), enter(GOLD, Buy, 2))
        },
        Case {
            before: |desk| drop(desk.signal(2, limit(buy(3), "90")).len()),
            // Three rest at the market: they count.
            ..case(R::PositionQuantity, Limits { position_quantity: Some(units(5)), ..none() }, buy(3), buy(2))
        },
        Case {
            before: |desk| {
                desk.signal(2, buy(4));
                desk.tick(AXIS, "100");
                desk.signal(3, limit(buy(1), "90"));
            },
            // 4 × 100 held and 1 × 90 working leave 110 of 600.
            ..case(R::GrossExposure, Limits { gross_exposure: rupees("600"), ..none() }, buy(2), buy(1))
        },
        Case { before: after_one, between: cancel_all, ..case(R::OpenOrders, Limits { open_orders: Some(1), ..none() }, buy(1), buy(1)) },
        Case { before: after_one, between: later, ..case(R::OrdersPerSecond, Limits { orders_per_second: Some(1), ..none() }, buy(1), buy(1)) },
        Case { before: after_one, between: next_day, ..case(R::OrdersPerDay, Limits { orders_per_day: Some(1), ..none() }, buy(1), buy(1)) },
        Case { before: after_one, between: next_day, ..case(R::TradesPerDay, Limits { trades_per_day: Some(1), ..none() }, buy(1), buy(1)) },
        Case {
            plan: Plan { cash: Amount::from_int(1000), limits: Limits { available_cash: true, ..none() }, ..Plan::default() },
            before: |desk| drop(desk.signal(2, limit(buy(2), "90")).len()),
            ..case(R::InsufficientCash, none(), buy(9), buy(8))
        },
        Case {
            plan: Plan {
                cash: Amount::from_int(1000),
                limits: Limits { available_cash: true, margin_fraction: 20_000_000, ..none() },
                ..Plan::default()
            },
            ..case(R::InsufficientCash, none(), buy(51), buy(50))
        },
        Case {
            before: |desk| drop(desk.tick(COIN, "5").len()),
            ..case(R::CurrencyLimitMissing, Limits { order_notional: rupees("1000"), ..none() }, enter(COIN, Buy, 1), buy(1))
        },
        Case {
            before: |desk| drop(desk.tick(COIN, "5").len()),
            ..case(R::CurrencyLimitMissing, Limits { daily_loss: rupees("1000"), watches_losses: true, ..none() }, enter(COIN, Buy, 1), buy(1))
        },
    ]
}

#[test]
fn every_rule_refuses_for_its_own_reason_and_its_neighbour_passes() {
    let mut seen = Vec::new();
    for (number, case) in cases().into_iter().enumerate() {
        let at = format!("case {number}, {}", case.reason);
        let mut desk = Desk::new(&case.plan);
        desk.tick(AXIS, "100");
        (case.before)(&mut desk);
        desk.signal(1, case.refused);
        assert_eq!(desk.refused(), Some(case.reason), "{at}");
        assert!(desk.orders().is_empty(), "{at}");
        (case.between)(&mut desk);
        desk.signal(1, case.passes);
        assert_eq!(desk.refused(), None, "{at}");
        assert_eq!(desk.orders().len(), 1, "{at}");
        desk.check();
        seen.push(case.reason);
    }
    // Stale signals, losses and overflow have tests of their own.
    let elsewhere = [Reason::StaleSignal, Reason::DailyLoss, Reason::Drawdown, Reason::Overflow];
    for rule in RULES {
        assert!(seen.contains(&rule.reason) || elsewhere.contains(&rule.reason), "{}", rule.reason);
    }
}

#[test]
fn a_strategys_own_limits_act_on_its_own_share() {
    for case in cases() {
        // The same limit as one strategy's own, where it does not count what others do.
        let shared = matches!(
            case.reason,
            Reason::PositionQuantity | Reason::GrossExposure | Reason::InsufficientCash | Reason::CurrencyLimitMissing
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
        assert!(other.is_none() || other == Some(Reason::StaleMarketData), "{}", case.reason);
        desk.signal(1, case.refused);
        assert_eq!(desk.refused(), Some(case.reason));
        desk.check();
    }
}

#[test]
fn totals_of_a_strategy_are_its_own() {
    let own = Limits { position_quantity: Some(units(5)), gross_exposure: rupees("600"), open_orders: Some(2), ..Limits::default() };
    let mut desk = Desk::new(&Plan { strategy_limits: vec![None, Some(own)], ..Plan::default() });
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
fn full() -> Vec<(Reason, Limits, fn(&mut Desk))> {
    let quiet: fn(&mut Desk) = |_| {};
    let none = Limits::default;
    vec![
        (Reason::Halted, none(), |d| drop(d.command(CommandAction::SetState(TradingState::Halted)).len())),
        (Reason::ReduceOnly, none(), |d| drop(d.command(CommandAction::SetState(TradingState::ReduceOnly)).len())),
        (Reason::StaleMarketData, Limits { stale_market_data: Some(5 * SECOND), ..none() }, |d| d.clock_forward(9)),
        (Reason::OrderQuantity, Limits { order_quantity: Some(units(14)), ..none() }, quiet),
        (Reason::OrderNotional, Limits { order_notional: rupees("1400"), ..none() }, quiet),
        (Reason::OrdersPerDay, Limits { orders_per_day: Some(1), ..none() }, quiet),
        (Reason::TradesPerDay, Limits { trades_per_day: Some(1), ..none() }, quiet),
        (Reason::GrossExposure, Limits { gross_exposure: rupees("1000"), ..none() }, quiet),
        (Reason::ShortSelling, Limits { short_selling: ShortSelling::Forbidden, ..none() }, quiet),
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
        assert_eq!(v.entry_refused, Some(reason));
        assert_eq!((v.quantity, v.increase.is_zero(), v.target), (units(10), true, Some(units(-5))));
        let order = desk.orders()[0];
        assert_eq!((order.quantity, order.role, order.side), (units(10), OrderRole::Exit, Sell));
        assert_eq!(order.bracket, Bracket::default());
        // A plain exit was never in question.
        desk.tick(AXIS, "100");
        assert_eq!(desk.position(1, AXIS), 0);
        desk.check();
    }
}

#[test]
fn an_old_signal_may_still_reduce() {
    let mut desk = Desk::new(&with(Limits { stale_signal: Some(5 * SECOND), ..Limits::default() }));
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

fn losing(limits: Limits, auto_resume: AutoResume) -> Desk {
    let limits = Limits { watches_losses: true, ..limits };
    let mut desk = Desk::new(&Plan { limits, auto_resume, ..Plan::default() });
    desk.tick(AXIS, "100");
    desk.signal(1, buy(10));
    desk.tick(AXIS, "100");
    desk.signal(2, limit(buy(1), "80"));
    desk
}

fn state(desk: &Desk) -> TradingState {
    desk.pipeline.risk().state()
}

fn halts(desk: &Desk) -> Vec<(TradingState, Reason, bool)> {
    let changes = desk.latest().iter().filter_map(|e| match e.body {
        EventBody::StateChanged { to, reason, automatic, .. } => Some((to, reason, automatic)),
        _ => None,
    });
    changes.collect()
}

#[test]
fn a_days_loss_halts_by_itself_and_the_next_day_resumes_where_set() {
    let limit_100 = Limits { daily_loss: rupees("100"), ..Limits::default() };
    for auto in [AutoResume::Manual, AutoResume::NextDay] {
        let mut desk = losing(limit_100.clone(), auto);
        desk.tick(AXIS, "90.05");
        assert_eq!(state(&desk), TradingState::Active, "99.50 lost");
        desk.tick(AXIS, "90");
        assert_eq!(halts(&desk), [(TradingState::Halted, Reason::DailyLoss, true)]);
        assert!(desk.working().is_empty(), "the working entry is cancelled");
        desk.signal(2, buy(1));
        assert_eq!(desk.refused(), Some(Reason::Halted));
        // It lasts until resumed, whatever the price does.
        desk.tick(AXIS, "120");
        assert_eq!(state(&desk), TradingState::Halted);
        desk.clock(NEXT_DAY);
        desk.tick(AXIS, "110.05");
        let resumed = auto == AutoResume::NextDay;
        assert_eq!(state(&desk) == TradingState::Active, resumed);
        // Counted from the new day's start, at 120.
        desk.tick(AXIS, "110");
        assert_eq!(state(&desk), TradingState::Halted);
        assert_eq!(!halts(&desk).is_empty(), resumed);
        desk.check();
    }
}

#[test]
fn a_fall_from_the_peak_halts_by_itself() {
    let mut desk = losing(Limits { drawdown: rupees("100"), ..Limits::default() }, AutoResume::Manual);
    for at in ["120", "115", "110.05"] {
        desk.tick(AXIS, at);
        assert_eq!(state(&desk), TradingState::Active, "{at}");
    }
    desk.tick(AXIS, "110");
    assert_eq!(halts(&desk), [(TradingState::Halted, Reason::Drawdown, true)]);
    // Whoever resumes counts from here.
    desk.command(CommandAction::SetState(TradingState::Active));
    desk.tick(AXIS, "100.05");
    assert_eq!(state(&desk), TradingState::Active);
    desk.tick(AXIS, "100");
    assert_eq!(state(&desk), TradingState::Halted);
    desk.check();
}

#[test]
fn charges_count_towards_a_days_loss() {
    let limits = Limits { daily_loss: rupees("10"), watches_losses: true, ..Limits::default() };
    let charges = Arc::new(FlatRate::from_raw(1_000_000).unwrap());
    let mut desk = Desk::new(&Plan { limits, charges, ..Plan::default() });
    desk.tick(AXIS, "100");
    desk.signal(1, buy(10));
    desk.tick(AXIS, "100");
    assert_eq!(halts(&desk), [(TradingState::Halted, Reason::DailyLoss, true)]);
    desk.check();
}

#[test]
fn a_strategys_own_loss_disables_only_that_strategy() {
    let own = Limits { daily_loss: rupees("50"), watches_losses: true, ..Limits::default() };
    let mut desk = Desk::new(&Plan { strategy_limits: vec![None, Some(own)], ..Plan::default() });
    desk.tick(AXIS, "100");
    desk.signal(1, buy(5));
    desk.signal(2, enter(AXIS, Sell, 5));
    desk.tick(AXIS, "100");
    desk.signal(1, limit(buy(1), "80"));
    let entry = desk.orders()[0].id;
    desk.tick(AXIS, "90.05");
    assert!(desk.pipeline.risk().is_enabled(StrategyIdx(1)));
    // The namespace is flat, the strategy is not.
    desk.tick(AXIS, "90");
    assert!(!desk.pipeline.risk().is_enabled(StrategyIdx(1)));
    assert_eq!(cancels(desk.latest()), [(entry, Reason::DailyLoss)]);
    desk.tick(AXIS, "80");
    assert!(desk.pipeline.engine().working(entry).is_none());
    assert_eq!((desk.position(1, AXIS), state(&desk)), (5, TradingState::Active));
    desk.signal(2, enter(AXIS, Sell, 1));
    assert_eq!(desk.refused(), None);
    desk.check();
}

#[test]
fn counters_begin_anew_with_the_trading_day_not_with_midnight() {
    let mut desk = Desk::new(&with(Limits { orders_per_day: Some(2), ..Limits::default() }));
    desk.tick(AXIS, "100");
    desk.tick(COIN, "5");
    desk.signal(1, buy(1));
    desk.signal(1, buy(1));
    desk.signal(1, buy(1));
    assert_eq!(desk.refused(), Some(Reason::OrdersPerDay));
    assert_eq!(desk.pipeline.risk().counters().orders_today(), 2);
    // Five in the morning is still the day before; at six the next one begins.
    for (hour, reason) in [(19, Some(Reason::OrdersPerDay)), (20, None)] {
        desk.clock(hour * 3600);
        desk.tick(COIN, "5");
        desk.signal(1, enter(COIN, Buy, 1));
        assert_eq!(desk.refused(), reason, "{hour} hours after the open");
    }
    desk.check();
}

#[test]
fn two_strategies_share_the_brokers_limits() {
    let mut desk = Desk::new(&with(Limits { position_quantity: Some(units(10)), ..Limits::default() }));
    desk.tick(AXIS, "100");
    desk.signal(1, buy(6));
    desk.signal(2, buy(5));
    assert_eq!(desk.refused(), Some(Reason::PositionQuantity));
    desk.signal(2, enter(AXIS, Sell, 5));
    desk.signal(3, buy(9));
    assert_eq!(desk.refused(), None, "6 − 5 + 9 = 10");
    desk.check();
}

#[test]
fn numbers_at_the_edge_of_the_window_are_refused_or_exact() {
    let mut desk = Desk::new(&Plan::default());
    let (most, least) = (Price::MAX.to_string(), Price::MIN.to_string());
    desk.tick(COIN, &most);
    let huge = |count| Decision::market(COIN, model::signal::Action::Enter { side: Buy, quantity: quantity(count) });
    for (text, reason) in [("10000000000.00000001", Some(Reason::InvalidSignal)), ("10000000000", None), ("0.00000001", None)] {
        desk.signal(1, huge(text));
        assert_eq!(desk.refused(), reason, "{text}");
    }
    desk.tick(COIN, &most);
    desk.tick(COIN, &least);
    desk.tick(COIN, &most);
    desk.check();
    // Nine such positions are more than a quantity can hold: the namespace stops, it does not wrap.
    let before = desk.events.len();
    for _ in 0..12 {
        desk.signal(1, huge("10000000000"));
        desk.tick(COIN, &most);
    }
    assert!(desk.events.len() - before < 1000, "{} events", desk.events.len() - before);
    let refused = desk.events.iter().any(|e| matches!(e.body, EventBody::SignalRejected(r) if r.reason == Reason::Overflow));
    assert!(refused || state(&desk) == TradingState::Halted);
    desk.tick(COIN, &least);
    desk.signal(1, exit(COIN, None));
    desk.tick(COIN, &least);
}
