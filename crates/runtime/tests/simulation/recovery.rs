//! Restarts under other tables and other definitions.

use journal::record::{Entry, JournalRecord};
use model::StrategyIdx;
use model::control::{Command, CommandAction};
use model::event::EventBody;
use model::ids::CommandId;
use model::reason::Reason;
use model::time::SECOND;
use runtime::records::JournalRecords;

use crate::oracle::Story;
use crate::rig::Rig;
use crate::world::{Plan, Tables};

const SYMBOLS: [&str; 4] = ["B", "C", "D", "E"];

#[test]
fn another_instrument_and_another_order_of_strategies_change_nothing_that_was() {
    for seed in 0..40 {
        let mut rig = Rig::new(Plan::new(seed), true);
        rig.ticks(60);
        if seed % 4 > 0 {
            rig.save();
        }
        if seed % 4 > 1 {
            rig.ticks(40);
        }
        let tables = [
            Tables {
                more: true,
                ..Tables::default()
            },
            Tables {
                turned: true,
                ..Tables::default()
            },
            Tables {
                more: true,
                turned: true,
                redefined: false,
            },
        ];
        for tables in tables {
            let before = rig.positions(&SYMBOLS);
            let working = rig.life().namespace.pipeline().engine().working_ids();
            rig.disk.power_loss();
            rig.open(tables).unwrap();
            assert_eq!(rig.positions(&SYMBOLS), before, "seed {seed}, {tables:?}");
            let after = rig.life().namespace.pipeline().engine().working_ids();
            assert_eq!(after, working, "seed {seed}, {tables:?}");
            assert!(rig.life().recovered.1.restarted.is_empty());
            assert!(rig.life().recovered.0.restarted.is_empty());
            // Only instruments are ever added.
            rig.ticks(30);
            if seed % 3 == 0 {
                rig.save();
            }
        }
        let story = Story::read(rig.journal().as_ref());
        for (symbol, net) in rig.positions(&SYMBOLS) {
            let told = story.net.get(&format!("SIM:{symbol}")).copied();
            assert_eq!(told.unwrap_or_default(), net, "seed {seed}: {symbol}");
        }
    }
}

#[test]
fn a_redefined_strategy_starts_from_warm_up_and_says_so() {
    for (seed, saved) in [(1, false), (2, true), (3, false), (4, true)] {
        let mut rig = Rig::new(Plan::new(seed), true);
        rig.ticks(80);
        if saved {
            rig.save();
        }
        let signals = |rig: &Rig| Story::read(rig.journal().as_ref()).marks;
        let before = signals(&rig);
        rig.disk.power_loss();
        rig.open(Tables {
            redefined: true,
            ..Tables::default()
        })
        .unwrap();
        assert_eq!(
            rig.life().recovered.0.restarted,
            ["alpha"],
            "with a snapshot: {saved}"
        );
        rig.ticks(1);
        // What it would have decided on the inputs of before, it did not decide.
        let last = before.keys().map(|mark| mark.1).max().unwrap();
        let after = signals(&rig);
        let late = after
            .keys()
            .filter(|mark| mark.0 == "alpha" && mark.1 <= last && !before.contains_key(*mark));
        assert_eq!(late.count(), 0);
        rig.ticks(200);
        assert!(signals(&rig).keys().any(|m| m.0 == "alpha" && m.1 > last));
    }
}

#[test]
fn a_failure_is_not_told_again_after_an_operator_has_let_the_strategy_trade() {
    let plan = Plan {
        failing: true,
        pace: 3,
        ..Plan::new(9)
    };
    let mut rig = Rig::new(plan, true);
    let failures = |rig: &Rig| {
        let story = Story::read(rig.journal().as_ref());
        let switched = |e: &model::event::Event| match e.body {
            EventBody::StrategySwitched { enabled, .. } => Some(enabled),
            _ => None,
        };
        story.events.iter().filter_map(switched).collect::<Vec<_>>()
    };
    for _ in 0..50 {
        rig.ticks(10);
        if !failures(&rig).is_empty() {
            break;
        }
    }
    assert_eq!(failures(&rig), [false]);
    let beta = rig
        .life()
        .strategies
        .iter()
        .position(|s| s == "beta")
        .unwrap();
    let beta = StrategyIdx(beta as u32);
    let now = rig.clock.now();
    let enable = Command::of_system(CommandId(5), CommandAction::EnableStrategy(beta));
    rig.life()
        .market
        .switch(beta, true, Reason::OperatorRequest, now);
    rig.life().namespace.command(now, &enable, 0).unwrap();
    rig.life().market.commit();
    rig.life().namespace.commit().unwrap();
    rig.disk.power_loss();
    rig.open(Tables::default()).unwrap();
    rig.ticks(1);
    assert_eq!(failures(&rig), [false, true]);
    assert_eq!(rig.life().recovered.1.missing, []);
}

#[test]
fn timers_that_came_due_while_it_was_off_are_skipped_unless_a_strategy_catches_up() {
    let (mut missed, mut caught_up) = (0, 0);
    for seed in 0..20 {
        let mut rig = Rig::new(Plan::new(seed), true);
        rig.ticks(80);
        if seed % 2 > 0 {
            rig.save();
        }
        let left = rig.clock.now();
        rig.disk.power_loss();
        rig.clock.reach(left.plus(540 * SECOND));
        rig.open(Tables::default()).unwrap();
        rig.life().namespace.begin_hosting().unwrap();
        rig.ticks(1);
        // Bars that were in the making end within their five seconds.
        let off = left.plus(6 * SECOND)..left.plus(540 * SECOND);
        let mut journal = JournalRecords::open(rig.journal().as_ref()).unwrap();
        while let Some(found) = journal.next().unwrap() {
            let start = found.start.clone();
            let JournalRecord::Run(run) = found.record else {
                continue;
            };
            for entry in &run.inputs {
                missed += u32::from(matches!(entry, Entry::TimersMissed(_)));
            }
            for event in &run.outputs {
                if let EventBody::SignalRaw(signal) = &event.body
                    && off.contains(&signal.ts)
                {
                    let strategies = &start.as_ref().unwrap().strategies;
                    let name = &strategies[signal.strategy.index()].name;
                    // What runs in the namespace may answer executions of the time, too.
                    assert!(name == "beta" || name == "own", "seed {seed}: {signal:?}");
                    caught_up += u32::from(name == "beta");
                }
            }
        }
    }
    assert!(missed > 0 && caught_up > 0, "{missed}, {caught_up}");
}
