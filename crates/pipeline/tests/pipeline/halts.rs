//! When trading stops by itself, when it goes on, and what is counted from when.

use std::sync::Arc;

use model::charges::FlatRate;
use model::control::{CommandAction, TradingState};
use model::event::EventBody;
use model::reason::Reason;
use model::signal::Decision;
use model::signal::Side::{Buy, Sell};
use model::{Price, StrategyIdx};
use pipeline::risk::{AutoResume, Limits};

use crate::desk::{Desk, Plan, cancels, enter, exit, limit};
use crate::rules::{buy, rupees, with};
use crate::world::{AXIS, COIN, NEXT_DAY, quantity, units};

fn losing(limits: Limits, auto_resume: AutoResume) -> Desk {
    let limits = Limits {
        watches_losses: true,
        ..limits
    };
    let mut desk = Desk::new(&Plan {
        limits,
        auto_resume,
        ..Plan::default()
    });
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
        EventBody::StateChanged {
            to,
            reason,
            automatic,
            ..
        } => Some((to, reason, automatic)),
        _ => None,
    });
    changes.collect()
}

#[test]
fn a_days_loss_halts_by_itself_and_the_next_day_resumes_where_set() {
    let limit_100 = Limits {
        daily_loss: rupees("100"),
        ..Limits::default()
    };
    for auto in [AutoResume::Manual, AutoResume::NextDay] {
        let mut desk = losing(limit_100.clone(), auto);
        desk.tick(AXIS, "90.05");
        assert_eq!(state(&desk), TradingState::Active, "99.50 lost");
        desk.tick(AXIS, "90");
        assert_eq!(
            halts(&desk),
            [(TradingState::Halted, Reason::DailyLoss, true)]
        );
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
    let mut desk = losing(
        Limits {
            drawdown: rupees("100"),
            ..Limits::default()
        },
        AutoResume::Manual,
    );
    for at in ["120", "115", "110.05"] {
        desk.tick(AXIS, at);
        assert_eq!(state(&desk), TradingState::Active, "{at}");
    }
    desk.tick(AXIS, "110");
    assert_eq!(
        halts(&desk),
        [(TradingState::Halted, Reason::Drawdown, true)]
    );
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
    let limits = Limits {
        daily_loss: rupees("10"),
        watches_losses: true,
        ..Limits::default()
    };
    let charges = Arc::new(FlatRate::from_raw(1_000_000).unwrap());
    let mut desk = Desk::new(&Plan {
        limits,
        charges,
        ..Plan::default()
    });
    desk.tick(AXIS, "100");
    desk.signal(1, buy(10));
    desk.tick(AXIS, "100");
    assert_eq!(
        halts(&desk),
        [(TradingState::Halted, Reason::DailyLoss, true)]
    );
    desk.check();
}

#[test]
fn a_strategys_own_loss_disables_only_that_strategy() {
    let own = Limits {
        daily_loss: rupees("50"),
        watches_losses: true,
        ..Limits::default()
    };
    let mut desk = Desk::new(&Plan {
        strategy_limits: vec![None, Some(own)],
        ..Plan::default()
    });
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
    assert_eq!(
        (desk.position(1, AXIS), state(&desk)),
        (5, TradingState::Active)
    );
    desk.signal(2, enter(AXIS, Sell, 1));
    assert_eq!(desk.refused(), None);
    desk.check();
}

#[test]
fn counters_begin_anew_with_the_trading_day_not_with_midnight() {
    let mut desk = Desk::new(&with(Limits {
        orders_per_day: Some(2),
        ..Limits::default()
    }));
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
    let mut desk = Desk::new(&with(Limits {
        position_quantity: Some(units(10)),
        ..Limits::default()
    }));
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
    let huge = |count| {
        Decision::market(
            COIN,
            model::signal::Action::Enter {
                side: Buy,
                quantity: quantity(count),
            },
        )
    };
    for (text, reason) in [
        ("10000000000.00000001", Some(Reason::InvalidSignal)),
        ("10000000000", None),
        ("0.00000001", None),
    ] {
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
    assert!(
        desk.events.len() - before < 1000,
        "{} events",
        desk.events.len() - before
    );
    let refused = desk
        .events
        .iter()
        .any(|e| matches!(e.body, EventBody::SignalRejected(r) if r.reason == Reason::Overflow));
    assert!(refused || state(&desk) == TradingState::Halted);
    desk.tick(COIN, &least);
    desk.signal(1, exit(COIN, None));
    desk.tick(COIN, &least);
}
