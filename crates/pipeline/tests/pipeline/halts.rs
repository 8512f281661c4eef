//! When trading stops by itself, when it goes on, and what is counted from when.

use std::sync::Arc;

use model::charges::FlatRate;
use model::control::{CommandAction, TradingState};
use model::event::EventBody;
use model::reason::Reason;
use model::signal::Decision;
use model::signal::Side::{Buy, Sell};
use model::{Price, StrategyIdx};
use pipeline::risk::settings::OnBreachTable;
use pipeline::risk::{AutoResume, Limits, OnBreach};

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
    // A resume resets nothing; one that says so counts from here.
    desk.command(CommandAction::SetState(TradingState::Active));
    assert_eq!(
        refusal(&desk),
        Some((None, Reason::Drawdown, "100".into(), "100".into()))
    );
    desk.command(CommandAction::ResumeAnew);
    assert_eq!(
        halts(&desk),
        [(TradingState::Active, Reason::OperatorRequest, false)]
    );
    desk.tick(AXIS, "100.05");
    assert_eq!(state(&desk), TradingState::Active);
    desk.tick(AXIS, "100");
    assert_eq!(state(&desk), TradingState::Halted);
    desk.check();
}

/// Why the latest command was refused: whose limit, which, the loss and the limit.
fn refusal(desk: &Desk) -> Option<(Option<StrategyIdx>, Reason, String, String)> {
    desk.latest().iter().find_map(|e| match e.body {
        EventBody::ResumeRefused {
            strategy,
            reason,
            breach: Some(breach),
        } => {
            let (loss, limit) = (breach.loss.to_string(), breach.limit.to_string());
            Some((strategy, reason, loss, limit))
        }
        _ => None,
    })
}

#[test]
fn a_days_loss_counts_from_the_days_start_whatever_is_halted_and_resumed() {
    let limits = Limits {
        daily_loss: rupees("100"),
        ..Limits::default()
    };
    let resume = CommandAction::SetState(TradingState::Active);
    let mut desk = losing(limits, AutoResume::Manual);
    for price in ["98", "95", "91"] {
        desk.tick(AXIS, price);
        desk.command(CommandAction::SetState(TradingState::Halted));
        desk.command(resume);
        assert_eq!(state(&desk), TradingState::Active, "{price}");
    }
    desk.tick(AXIS, "90");
    assert_eq!(
        halts(&desk),
        [(TradingState::Halted, Reason::DailyLoss, true)],
        "100 lost since the day's start, in four parts"
    );
    desk.tick(AXIS, "89");
    let why = Some((None, Reason::DailyLoss, "110".into(), "100".into()));
    for to in [TradingState::Active, TradingState::ReduceOnly] {
        desk.command(CommandAction::SetState(to));
        assert_eq!(refusal(&desk), why);
        assert_eq!(desk.latest().len(), 1, "nothing else follows");
        assert_eq!(state(&desk), TradingState::Halted);
    }
    // What it has made good again is not lost.
    desk.tick(AXIS, "91");
    desk.command(resume);
    assert_eq!(
        halts(&desk),
        [(TradingState::Active, Reason::OperatorRequest, false)]
    );
    desk.tick(AXIS, "90");
    assert_eq!(state(&desk), TradingState::Halted);
    desk.command(CommandAction::ResumeAnew);
    desk.tick(AXIS, "80.05");
    assert_eq!(state(&desk), TradingState::Active);
    desk.tick(AXIS, "80");
    assert_eq!(state(&desk), TradingState::Halted, "another 100");
    // A loss that grows while an operator's halt stands keeps it standing too.
    desk.command(CommandAction::ResumeAnew);
    desk.command(CommandAction::SetState(TradingState::Halted));
    desk.tick(AXIS, "60");
    desk.command(resume);
    assert_eq!(
        refusal(&desk),
        Some((None, Reason::DailyLoss, "200".into(), "100".into()))
    );
    desk.check();
}

#[test]
fn a_halt_that_ends_with_the_day_stays_while_its_limit_is_reached_or_an_operator_has_it() {
    let limits = Limits {
        drawdown: rupees("100"),
        ..Limits::default()
    };
    let mut desk = losing(limits.clone(), AutoResume::NextDay);
    desk.tick(AXIS, "90");
    assert_eq!(state(&desk), TradingState::Halted);
    desk.clock(NEXT_DAY);
    assert_eq!(state(&desk), TradingState::Halted, "still 100 below");
    desk.tick(AXIS, "90.05");
    desk.clock(2 * NEXT_DAY);
    assert_eq!(state(&desk), TradingState::Active);
    // An operator who halts what a rule has halted ends it as well.
    let mut desk = losing(limits, AutoResume::NextDay);
    desk.tick(AXIS, "90");
    desk.command(CommandAction::SetState(TradingState::Halted));
    assert_eq!(
        halts(&desk),
        [(TradingState::Halted, Reason::OperatorRequest, false)]
    );
    desk.tick(AXIS, "95");
    desk.clock(NEXT_DAY);
    assert_eq!(state(&desk), TradingState::Halted);
    desk.check();
}

#[test]
fn a_limit_may_close_what_loses() {
    let squares_off = OnBreachTable {
        daily_loss: OnBreach::Halt,
        drawdown: OnBreach::SquareOff,
    };
    let limits = Limits {
        daily_loss: rupees("20"),
        drawdown: rupees("30"),
        on_breach: squares_off,
        ..Limits::default()
    };
    let mut desk = losing(limits.clone(), AutoResume::Manual);
    desk.tick(AXIS, "98");
    assert_eq!(state(&desk), TradingState::Halted);
    desk.tick(AXIS, "97.05");
    assert_eq!(desk.position(1, AXIS), 10, "the first limit only halts");
    // The second one closes, though trading has stopped by then.
    desk.tick(AXIS, "97");
    let sent = desk.orders();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].side, sent[0].quantity), (Sell, units(10)));
    desk.tick(AXIS, "96.90");
    assert_eq!(desk.position(1, AXIS), 0);
    assert_eq!(state(&desk), TradingState::Halted);
    let lost = desk.pipeline.portfolio().accounts()[0].equity();
    assert_eq!(lost.to_string(), "999969", "31 lost, not one more");
    for price in ["90", "80"] {
        desk.tick(AXIS, price);
        assert!(desk.latest().is_empty(), "once is enough");
    }
    desk.check();

    // A strategy's own limit closes that strategy's positions only.
    let own = Limits {
        watches_losses: true,
        ..limits
    };
    let mut desk = Desk::new(&Plan {
        strategy_limits: vec![None, Some(own)],
        ..Plan::default()
    });
    desk.tick(AXIS, "100");
    desk.signal(1, buy(10));
    desk.signal(2, buy(7));
    desk.tick(AXIS, "100");
    desk.tick(AXIS, "98");
    assert!(!desk.pipeline.risk().is_enabled(StrategyIdx(1)));
    desk.tick(AXIS, "97");
    desk.tick(AXIS, "97");
    assert_eq!((desk.position(1, AXIS), desk.position(2, AXIS)), (0, 7));
    assert_eq!(state(&desk), TradingState::Active);
    // It is enabled again once its losses count anew.
    let strategy = StrategyIdx(1);
    desk.command(CommandAction::EnableStrategy(strategy));
    let why = (
        Some(strategy),
        Reason::DailyLoss,
        "30".to_owned(),
        "20".to_owned(),
    );
    assert_eq!(refusal(&desk), Some(why));
    assert!(!desk.pipeline.risk().is_enabled(strategy));
    desk.command(CommandAction::EnableStrategyAnew(strategy));
    assert!(desk.pipeline.risk().is_enabled(strategy));
    desk.signal(1, buy(10));
    desk.tick(AXIS, "97");
    desk.tick(AXIS, "95.05");
    assert!(desk.pipeline.risk().is_enabled(strategy));
    desk.tick(AXIS, "95");
    assert!(!desk.pipeline.risk().is_enabled(strategy));
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
    let refused = desk.events.iter().any(
        |e| matches!(e.body, EventBody::SignalRejected(r) if r.refusal.reason == Reason::Overflow),
    );
    assert!(refused || state(&desk) == TradingState::Halted);
    desk.tick(COIN, &least);
    desk.signal(1, exit(COIN, None));
    desk.tick(COIN, &least);
}
