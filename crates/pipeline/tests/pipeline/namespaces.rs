//! Several namespaces and strategies in one kernel: none sees the others, and one decision is one
//! chain everywhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::charges::FlatRate;
use model::control::{Command, CommandAction};
use model::event::{Event, EventBody};
use model::ids::CommandId;
use model::reason::Reason;
use model::signal::Side::{Buy, Sell};
use model::signal::{Action, Decision, Signal};
use model::time::SECOND;
use model::{Amount, InstrumentIdx, StrategyIdx};
use paper::PaperSettings;
use pipeline::risk::Limits;
use pipeline::{BrokerMask, Input};
use strategies::{Slot, TimerId};

use crate::desk::{Plan, kinds};
use crate::scripted::{Call, Recipe, SCRIPTED, silence};
use crate::system::System;
use crate::world::{AXIS, BEL, COIN, Chance, GOLD, at, units};

const BOTH: BrokerMask = BrokerMask(3);

/// Trades at random, by a chance of its own, on ticks and bars.
fn trader(name: &str, instruments: &[InstrumentIdx], brokers: BrokerMask) -> Recipe {
    let script = |state: &mut u64, call: Call<'_>, ctx: &mut strategies::Context<'_>| {
        let mut chance = Chance(*state);
        if let Call::Tick(slot, _) | Call::Bar(slot, _) = call
            && chance.one_in(4)
        {
            let side = chance.pick(&[Buy, Sell]);
            let quantity = units(2 * chance.within(1, 5));
            let action = match chance.below(4) {
                0 => Action::Exit { quantity: None },
                1 => Action::Enter { side, quantity },
                _ => Action::Target {
                    quantity: side.signed(quantity),
                },
            };
            let decision = ctx.decision(slot, action);
            ctx.signal(decision);
        }
        *state = chance.next();
    };
    let recipe = Recipe::new(name, instruments, script).bars(&["15s"]);
    Recipe {
        brokers,
        seed: 77,
        ..recipe
    }
}

fn second() -> Plan {
    let paper = PaperSettings {
        simulation_latency_ms: 700,
        slippage_ticks: 2,
        ..PaperSettings::default()
    };
    Plan {
        namespace: "other",
        paper: Some(paper),
        cash: Amount::from_int(5),
        charges: Arc::new(FlatRate::from_raw(100_000).unwrap()),
        limits: Limits {
            orders_per_day: Some(40),
            ..Limits::default()
        },
        ..Plan::default()
    }
}

/// The same market for every system.
fn feed(system: &mut System) {
    let mut chance = Chance(3);
    for _ in 0..400 {
        let instrument = chance.pick(&[AXIS, BEL, COIN, GOLD]);
        system.tick_at(
            system.now.plus(chance.within(0, 3) * SECOND),
            instrument,
            10_000_000_000 + chance.within(-99, 99) * 5_000_000,
        );
    }
}

fn shared(brokers: BrokerMask) -> Vec<(u32, Recipe)> {
    vec![
        (1, trader("alpha", &[AXIS, BEL], brokers)),
        (2, trader("beta", &[AXIS, COIN], brokers)),
    ]
}

fn orders(events: &[Event]) -> usize {
    kinds(events)
        .iter()
        .filter(|k| **k == "order_submitted")
        .count()
}

#[test]
fn a_namespace_beside_another_gives_the_events_that_it_gives_alone() {
    let own = || vec![trader("gamma", &[GOLD], BrokerMask::single(0))];
    let first = Plan {
        own: own(),
        ..Plan::default()
    };
    let mut alone = System::new(&shared(BOTH), std::slice::from_ref(&first));
    let mut beside = System::new(&shared(BOTH), &[first.clone(), second()]);
    let mut behind = System::new(&shared(BOTH), &[second(), first]);
    for system in [&mut alone, &mut beside, &mut behind] {
        feed(system);
    }
    assert!(orders(alone.events(0)) > 40 && orders(beside.events(1)) > 20);
    assert_eq!(alone.events(0), beside.events(0));
    assert_eq!(
        alone.events(0),
        behind.events(1),
        "the position among the namespaces is nothing"
    );
    assert_eq!(beside.events(1), behind.events(0));
}

fn raw_signals(events: &[Event]) -> Vec<Signal> {
    events
        .iter()
        .filter_map(|e| match e.body {
            EventBody::SignalRaw(signal) => Some(signal),
            _ => None,
        })
        .collect()
}

#[test]
fn one_decision_is_one_signal_and_one_chain_on_every_namespace() {
    let mut system = System::new(&shared(BOTH), &[Plan::default(), second()]);
    feed(&mut system);
    let (first, other) = (raw_signals(system.events(0)), raw_signals(system.events(1)));
    assert!(first.len() > 50);
    assert_eq!(first, other);
    // Orders are the namespaces' own, their chains are not.
    let chains = |n: usize| -> BTreeMap<_, _> {
        let of = system.events(n).iter().filter_map(|e| match e.body {
            EventBody::OrderSubmitted(i) => Some((i.id, (i.correlation, i.signal))),
            _ => None,
        });
        of.collect()
    };
    let (mine, theirs) = (chains(0), chains(1));
    assert!(mine.keys().all(|id| !theirs.contains_key(id)));
    let shared = mine
        .values()
        .filter(|chain| theirs.values().any(|t| t == *chain))
        .count();
    assert!(shared > 20);
    // Every event of an order's life carries its chain.
    for (n, chains) in [(0, &mine), (1, &theirs)] {
        for event in system.events(n) {
            if let EventBody::OrderChanged(step) = event.body {
                assert_eq!(event.correlation, chains[&step.order].0);
            }
        }
    }
}

/// Sends these decisions, one on every second tick of `AXIS`: the one before has filled.
fn sends(name: &str, decisions: Vec<Action>) -> Recipe {
    Recipe::new(name, &[AXIS], move |state, call, ctx| {
        if let Call::Tick(slot, _) = call {
            let number = state.is_multiple_of(2).then_some(*state as usize / 2);
            if let Some(action) = number.and_then(|n| decisions.get(n)) {
                let decision = ctx.decision(slot, *action);
                ctx.signal(decision);
            }
            *state += 1;
        }
    })
}

#[test]
fn what_reduces_keeps_its_openers_chain_and_what_reverses_starts_one() {
    let target = |n: i64| Action::Target { quantity: units(n) };
    let enter = |side, n: i64| Action::Enter {
        side,
        quantity: units(n),
    };
    let exit = |n: Option<i64>| Action::Exit {
        quantity: n.map(units),
    };
    let lives = [
        vec![
            target(10),
            target(4),
            target(0),
            target(-3),
            target(-1),
            target(2),
        ],
        vec![
            enter(Buy, 10),
            exit(Some(6)),
            exit(None),
            enter(Sell, 3),
            enter(Buy, 2),
            enter(Buy, 3),
        ],
    ];
    for inside in [false, true] {
        for life in &lives {
            let recipe = sends("life", life.clone());
            let mut system = match inside {
                false => System::new(&[(1, recipe)], &[Plan::default()]),
                true => System::new(
                    &[],
                    &[Plan {
                        own: vec![recipe],
                        ..Plan::default()
                    }],
                ),
            };
            for _ in 0..14 {
                system.tick(AXIS, 100);
            }
            let signals = raw_signals(system.events(0));
            let chains: Vec<_> = signals.iter().map(|s| s.correlation).collect();
            let [open, reduce, close, short, cover, reverse] = chains[..] else {
                panic!("{signals:?}")
            };
            assert!(open == reduce && open == close, "inside: {inside}");
            assert!(short == cover && short != open && reverse != short && reverse != open);
            let mut ids: Vec<_> = signals.iter().map(|s| s.id).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), 6);
        }
    }
}

#[test]
fn a_target_is_sent_when_it_changes() {
    let recipe = sends(
        "same",
        [5, 5, 5, 6, 6, 5]
            .map(|n| Action::Target { quantity: units(n) })
            .to_vec(),
    );
    let mut system = System::new(&[(1, recipe)], &[Plan::default()]);
    for _ in 0..14 {
        system.tick(AXIS, 100);
    }
    assert_eq!(raw_signals(system.events(0)).len(), 3);
}

/// As `trader`, but fails on its hundredth call.
fn failing(fault: &'static str, inner: Recipe) -> Recipe {
    let script = Arc::clone(&inner.script);
    let faulty = move |state: &mut u64, call: Call<'_>, ctx: &mut strategies::Context<'_>| {
        let fails = matches!(call, Call::Tick(..)) && ctx.now() > at(90);
        match fault {
            "panic" if fails => panic!("{SCRIPTED}"),
            "flood" if fails => {
                (0..5000).for_each(|n| ctx.target(Slot(0), units(n % 7 + 1)));
            }
            "foreign" if fails => {
                ctx.signal(Decision::market(GOLD, Action::Exit { quantity: None }))
            }
            "timers" if fails => {
                (0..5000).for_each(|n| ctx.set_timer(at(10_000), TimerId(n)));
            }
            _ => script(state, call, ctx),
        }
    };
    Recipe {
        script: Arc::new(faulty),
        ..inner
    }
}

#[test]
fn a_strategy_that_fails_is_disabled_and_harms_no_other() {
    silence();
    for inside in [false, true] {
        let build = |bad: Recipe| {
            let good = (1, trader("alpha", &[AXIS, BEL], BOTH));
            let third = (3, trader("zeta", &[AXIS, BEL], BOTH));
            match inside {
                false => System::new(&[good, (2, bad), third], &[Plan::default(), second()]),
                true => {
                    let own = vec![good.1, bad, third.1];
                    System::new(
                        &[],
                        &[
                            Plan {
                                own,
                                ..Plan::default()
                            },
                            second(),
                        ],
                    )
                }
            }
        };
        let mut healthy = build(trader("mid", &[AXIS], BOTH));
        feed(&mut healthy);
        for (fault, reason) in [
            ("panic", Reason::StrategyPanic),
            ("flood", Reason::InvalidSignal),
            ("foreign", Reason::InvalidSignal),
            ("timers", Reason::InvalidSignal),
        ] {
            let mut system = build(failing(fault, trader("mid", &[AXIS], BOTH)));
            feed(&mut system);
            for namespace in 0..if inside { 1 } else { 2 } {
                let events = system.events(namespace);
                let switched: Vec<_> = events
                    .iter()
                    .filter_map(|e| match e.body {
                        EventBody::StrategySwitched {
                            strategy,
                            enabled,
                            reason,
                            ..
                        } => Some((strategy, enabled, reason)),
                        _ => None,
                    })
                    .collect();
                assert_eq!(switched, [(StrategyIdx(2), false, reason)], "{fault}");
                let failed = events
                    .iter()
                    .position(|e| e.kind() == "strategy_switched")
                    .unwrap();
                assert!(
                    raw_signals(&events[failed..])
                        .iter()
                        .all(|s| s.strategy != StrategyIdx(2))
                );
                // Up to there it did as it would have; the others do so to the end.
                let of = |system: &System, strategy| -> Vec<Signal> {
                    let mut signals = raw_signals(system.events(namespace));
                    signals.retain(|s| s.strategy == StrategyIdx(strategy));
                    signals
                };
                for strategy in [1, 3] {
                    assert!(of(&system, strategy).len() > 30);
                    assert_eq!(of(&system, strategy), of(&healthy, strategy), "{fault}");
                }
                assert!(of(&healthy, 2).starts_with(&of(&system, 2)));
            }
        }
    }
}

#[test]
fn events_of_others_are_those_of_a_run_without_the_one_that_fails() {
    silence();
    // It never trades, then fails: but for its being switched off, nothing is different.
    let quiet = Recipe {
        brokers: BOTH,
        ..Recipe::new("mid", &[AXIS], |_, _, _| {})
    };
    let mut with = shared(BOTH);
    with.push((3, failing("panic", quiet)));
    let plans = || [Plan::default(), second()];
    let (mut without, mut with) = (
        System::new(&shared(BOTH), &plans()),
        System::new(&with, &plans()),
    );
    feed(&mut without);
    feed(&mut with);
    for namespace in 0..2 {
        let mut events = with.events(namespace).to_vec();
        let before = events.len();
        events.retain(|e| e.kind() != "strategy_switched");
        assert_eq!(before - events.len(), 1);
        assert_eq!(events, without.events(namespace));
    }
}

#[test]
fn the_order_of_definitions_and_of_instruments_does_not_matter() {
    let mut setups = shared(BOTH);
    setups.push((3, trader("gamma", &[GOLD, BEL], BOTH)));
    let mut reference = System::new(&setups, &[Plan::default(), second()]);
    feed(&mut reference);
    let mut chance = Chance(9);
    for _ in 0..4 {
        for i in (1..setups.len()).rev() {
            setups.swap(i, chance.below(i as u64 + 1) as usize);
        }
        let mut system = System::new(&setups, &[Plan::default(), second()]);
        feed(&mut system);
        for namespace in 0..2 {
            assert_eq!(system.events(namespace), reference.events(namespace));
        }
    }
    // The registry brings any list of instruments into the order of their ids.
    let registry = crate::world::registry();
    let mut all: Vec<_> = registry.iter().map(|(_, i)| i.clone()).collect();
    for i in (1..all.len()).rev() {
        all.swap(i, chance.below(i as u64 + 1) as usize);
    }
    let shuffled = model::Instruments::new(all).unwrap();
    assert!(registry.iter().eq(shuffled.iter()));
    assert_eq!(registry.currencies(), shuffled.currencies());
}

#[test]
fn fingerprints_of_equal_states_are_equal_whoever_built_the_registry() {
    use pipeline::portfolio::Portfolio;
    let make = || Portfolio::new(Arc::new(crate::world::registry()), &[], 0);
    for _ in 0..8 {
        assert_eq!(format!("{:?}", make()), format!("{:?}", make()));
    }
}

#[test]
fn a_timer_that_a_command_brings_due_still_trades() {
    // Nothing but a command comes after the timer: what it decides is no repeat of anything.
    let recipe = Recipe::new("timed", &[AXIS], |state, call, ctx| match call {
        Call::Tick(slot, _) => {
            *state += 1;
            ctx.target(slot, units(*state as i64));
            let due = ctx.now().plus(5 * SECOND);
            ctx.set_timer(due, TimerId(1));
        }
        Call::Timer(_) => {
            *state += 1;
            ctx.target(Slot(0), units(*state as i64));
        }
        _ => {}
    });
    let mut system = System::new(
        &[],
        &[Plan {
            own: vec![recipe],
            ..Plan::default()
        }],
    );
    for round in 1..=3u64 {
        system.tick(AXIS, 100);
        system.now = system.now.plus(6 * SECOND);
        let command = Command::of_system(CommandId(u128::from(round)), CommandAction::CancelAll);
        system.input(0, &Input::Command(system.now, &command));
        assert_eq!(
            raw_signals(system.events(0)).len() as u64,
            2 * round,
            "round {round}"
        );
        assert_eq!(system.kernel.pipelines()[0].stats().repeated_signals, 0);
    }
    let mut ids: Vec<_> = raw_signals(system.events(0)).iter().map(|s| s.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6);
}
