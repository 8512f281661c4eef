//! Signals of a session's last bar: held, and judged when the next session opens.

use model::control::{CommandAction, TradingState};
use model::event::{Event, EventBody};
use model::reason::Reason;
use model::signal::Action;
use model::signal::Side::{Buy, Sell};
use model::time::{HOUR, SECOND};
use model::{Quantity, StrategyIdx, Timestamp};
use pipeline::Input;
use pipeline::risk::Limits;

use crate::desk::{Desk, Plan, enter, exit, submitted, target};
use crate::scripted::{Call, Recipe};
use crate::system::System;
use crate::world::{AXIS, BEL, COIN, NEXT_DAY, SESSION, at, units};

fn refusals(events: &[Event]) -> Vec<Reason> {
    let refused = events.iter().filter_map(|e| match e.body {
        EventBody::SignalRejected(r) => Some(r.refusal.reason),
        _ => None,
    });
    refused.collect()
}

fn held(events: &[Event]) -> Vec<Timestamp> {
    let held = events.iter().filter_map(|e| match e.body {
        EventBody::SignalHeld { open, .. } => Some(open),
        _ => None,
    });
    held.collect()
}

fn fills(events: &[Event]) -> Vec<(Timestamp, String)> {
    let fills = events.iter().filter_map(|e| match e.body {
        EventBody::OrderChanged(step) => match step.change {
            model::order::OrderChange::Filled(x) => Some((e.ts, x.price.to_string())),
            _ => None,
        },
        _ => None,
    });
    fills.collect()
}

/// A desk at the end of its first session, which one daily bar has told.
fn evening(plan: &Plan) -> Desk {
    let mut desk = Desk::new(plan);
    desk.bar(AXIS, SESSION, ["100", "104", "98", "102"]);
    assert_eq!(desk.now, at(SESSION));
    desk
}

#[test]
fn a_daily_bars_signal_meets_the_next_days_open() {
    let mut desk = evening(&Plan::default());
    desk.signal(1, enter(AXIS, Buy, 10));
    assert_eq!(held(desk.latest()), [at(NEXT_DAY)]);
    assert!(desk.orders().is_empty() && desk.refused().is_none());
    // Also one that comes a moment later: a bar whose last part is missing ends so.
    desk.now = desk.now.plus(1);
    desk.signal(2, enter(AXIS, Sell, 3));
    assert_eq!(held(desk.latest()), [at(NEXT_DAY)]);
    desk.now = desk.now.plus(HOUR);
    desk.reborn(&Plan::default());
    desk.signal(3, enter(AXIS, Buy, 1));
    assert_eq!(
        desk.refused(),
        Some(Reason::SessionClosed),
        "decided at night"
    );
    // The next day: the order is of its session, and fills at the open of its bar.
    desk.clock(NEXT_DAY);
    let orders = desk.orders();
    assert_eq!(orders.len(), 2, "{}", desk.story());
    assert!(orders.iter().all(|o| o.submitted == at(NEXT_DAY)));
    desk.bar(AXIS, SESSION, ["110", "112", "109", "111"]);
    let open = (at(NEXT_DAY), "110".to_owned());
    assert_eq!(fills(desk.latest()), [open.clone(), open]);
    assert_eq!((desk.position(1, AXIS), desk.position(2, AXIS)), (10, -3));
    desk.check();
}

#[test]
fn what_is_held_is_judged_by_the_state_at_the_open() {
    let mut desk = evening(&Plan::default());
    desk.signal(1, enter(AXIS, Buy, 10));
    desk.clock(NEXT_DAY);
    desk.bar(AXIS, SESSION, ["110", "112", "109", "111"]);
    // Four wishes at the second evening, then a halt.
    desk.signal(1, target(AXIS, -5));
    desk.signal(2, enter(BEL, Buy, 7));
    desk.signal(3, exit(AXIS, None));
    desk.command(CommandAction::SetState(TradingState::Halted));
    assert_eq!(
        refusals(desk.latest()),
        [Reason::Halted],
        "what only opens is dropped"
    );
    desk.clock(2 * NEXT_DAY);
    let orders = desk.orders();
    assert_eq!(orders.len(), 1, "{}", desk.story());
    assert_eq!(orders[0].quantity, units(10), "the reversal closes");
    assert_eq!(orders[0].increase, Quantity::ZERO);
    desk.bar(AXIS, SESSION, ["90", "92", "89", "91"]);
    assert_eq!(desk.position(1, AXIS), 0);
    desk.check();
}

#[test]
fn what_takes_orders_back_takes_back_what_is_held() {
    let drops = [
        (CommandAction::CancelAll, Reason::OperatorRequest, 2),
        (CommandAction::CancelEntries, Reason::OperatorRequest, 1),
        (
            CommandAction::DisableStrategy(StrategyIdx(1), Reason::OperatorRequest),
            Reason::OperatorRequest,
            1,
        ),
        (CommandAction::SquareOff(AXIS), Reason::OperatorRequest, 1),
    ];
    for (command, reason, count) in drops {
        let mut desk = evening(&Plan::default());
        desk.signal(1, enter(AXIS, Buy, 10));
        desk.signal(2, exit(BEL, None));
        desk.command(command);
        assert_eq!(refusals(desk.latest()), vec![reason; count], "{command:?}");
        desk.clock(NEXT_DAY);
        assert!(desk.orders().is_empty(), "{command:?}: {}", desk.story());
        assert_eq!(desk.pipeline.engine().held().iter().count(), 0);
        desk.check();
    }
}

#[test]
fn a_newer_target_takes_the_place_of_what_was_held_before() {
    let mut desk = evening(&Plan::default());
    desk.signal(1, enter(AXIS, Buy, 10));
    desk.signal(1, target(AXIS, 4));
    assert_eq!(refusals(desk.latest()), [Reason::SupersededTarget]);
    desk.signal(2, enter(AXIS, Buy, 1));
    desk.signal(2, enter(AXIS, Buy, 2));
    assert!(refusals(desk.latest()).is_empty(), "entries add up");
    desk.clock(NEXT_DAY);
    let sent: Vec<_> = desk.orders().iter().map(|o| o.quantity).collect();
    assert_eq!(sent, [units(4), units(1), units(2)], "in their order");
    desk.check();
}

#[test]
fn an_open_that_was_missed_leaves_only_what_reduces() {
    let plan = Plan {
        limits: Limits {
            stale_signal: Some(10 * SECOND),
            ..Limits::default()
        },
        ..Plan::default()
    };
    for (late, enters) in [(10, true), (11, false)] {
        let mut desk = evening(&plan);
        desk.signal(1, enter(AXIS, Buy, 10));
        desk.clock(NEXT_DAY);
        assert_eq!(desk.orders().len(), 1, "an age counts from the open");
        desk.bar(AXIS, SESSION, ["110", "112", "109", "111"]);
        desk.signal(1, exit(AXIS, None));
        desk.signal(2, enter(AXIS, Buy, 3));
        // Off from here until some seconds after the next open.
        let back = at(2 * NEXT_DAY + late);
        assert!(desk.pipeline.misses_timers(back));
        assert!(!desk.pipeline.misses_timers(at(2 * NEXT_DAY)));
        desk.give(&Input::TimersMissed(back));
        desk.clock(2 * NEXT_DAY + late - 1);
        assert!(desk.orders().is_empty(), "nothing is sent into the past");
        desk.clock(2 * NEXT_DAY + late);
        let orders = desk.orders();
        assert_eq!(
            orders.len(),
            1 + usize::from(enters),
            "{late}: {}",
            desk.story()
        );
        assert_eq!(orders[0].quantity, units(10));
        assert!(orders.iter().all(|o| o.submitted == back));
        let stale: &[_] = if enters { &[] } else { &[Reason::StaleSignal] };
        assert_eq!(refusals(desk.latest()), stale);
        desk.check();
    }
    // A signal that reaches the namespace only after the open that it would have waited for.
    let mut desk = evening(&plan);
    let late = desk.make_signal(1, enter(AXIS, Buy, 10));
    desk.clock(NEXT_DAY + 60);
    desk.send(&late);
    assert_eq!(desk.refused(), Some(Reason::StaleSignal));
    let mut desk = evening(&plan);
    let late = desk.make_signal(1, enter(AXIS, Buy, 10));
    desk.clock(NEXT_DAY + SESSION + 60);
    desk.send(&late);
    assert_eq!(
        desk.refused(),
        Some(Reason::SessionClosed),
        "and not held for the day after"
    );
    desk.check();
}

#[test]
fn without_the_rule_and_without_hours_nothing_is_held() {
    let mut desk = evening(&Plan {
        limits: Limits {
            session_open: false,
            ..Limits::default()
        },
        ..Plan::default()
    });
    desk.signal(1, enter(AXIS, Buy, 10));
    assert_eq!(desk.orders().len(), 1);
    assert!(held(desk.latest()).is_empty());
    let mut desk = evening(&Plan::default());
    desk.tick(COIN, "5");
    desk.signal(1, enter(COIN, Buy, 1));
    assert!(held(desk.latest()).is_empty());
    desk.check();
}

#[test]
fn bars_of_ticks_that_end_with_the_session_are_held_like_those_of_files() {
    let recipe = || {
        Recipe::new("daily", &[AXIS], |bars, call, ctx| {
            if let Call::Bar(slot, _) = call {
                *bars += 1;
                let quantity = units(*bars as i64);
                ctx.signal(ctx.decision(
                    slot,
                    Action::Enter {
                        side: Buy,
                        quantity,
                    },
                ));
            }
        })
        .bars(&["1d"])
    };
    for inside in [false, true] {
        let mut system = match inside {
            false => System::new(&[(1, recipe())], &[Plan::default()]),
            true => System::new(
                &[],
                &[Plan {
                    own: vec![recipe()],
                    ..Plan::default()
                }],
            ),
        };
        for day in 0..3 {
            system.tick_at(at(day * NEXT_DAY + 60), AXIS, 10_000_000_000);
            system.tick_at(at(day * NEXT_DAY + SESSION - 1), AXIS, 10_000_000_000);
        }
        system.advance(at(3 * NEXT_DAY));
        let opens = [1, 2, 3].map(|day| at(day * NEXT_DAY));
        assert_eq!(held(system.events(0)), opens, "inside: {inside}");
        let orders = submitted(system.events(0));
        let sent: Vec<_> = orders.iter().map(|o| (o.submitted, o.quantity)).collect();
        assert_eq!(
            sent,
            [1, 2, 3].map(|day| (at(day * NEXT_DAY), units(day))),
            "inside: {inside}"
        );
        assert!(refusals(system.events(0)).is_empty());
    }
}
