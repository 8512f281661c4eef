//! The runner's contract: a second one that only observes the inputs and applies the outputs ends in
//! the same state.

use std::sync::Arc;

use model::ids::SourceSession;
use model::market::MarketData;
use model::signal::Action;
use model::time::SECOND;
use model::{InputId, InstrumentIdx, Price, Quantity, Tick, Timestamp};
use pipeline::{BrokerMask, Runner, RunnerInput, RunnerOutput, StrategyHost, StrategySetup};
use strategies::{KindRegistry, parse, resolve};

use crate::scripted::{Call, Recipe};
use crate::world::{Hours, at, instruments};

const DEFINITIONS: &str = "
- { id: ticks, kind: ema_cross, asset_classes: [equity], parameters: { fast: 3, slow: 7, quantity: 2 } }
- { id: bars, kind: ema_cross, asset_classes: [equity], parameters: { fast: 2, slow: 4, timeframe: 1m } }
- { id: clock, kind: low_frequency_demo, asset_classes: [equity] }
";

fn runner() -> Runner {
    runner_of(DEFINITIONS)
}

fn runner_of(definitions: &str) -> Runner {
    let definitions = parse("test", definitions).expect("valid definitions");
    let resolved = resolve(definitions, &instruments(), &KindRegistry::built_in());
    let setups = resolved
        .expect("valid definitions")
        .iter()
        .enumerate()
        .map(|(i, strategy)| StrategySetup {
            index: model::StrategyIdx(i as u32 + 1),
            name: strategy.id().to_owned(),
            instruments: strategy.instruments.clone(),
            product: strategy.product(),
            warm_up: 0,
            missed_timers: strategy.definition.missed_timers,
            enabled: true,
            brokers: BrokerMask::single(0),
            strategy: strategy.build().expect("a valid strategy"),
        })
        .collect();
    let source = SourceSession(7);
    Runner::new(StrategyHost::new(
        instruments(),
        Arc::new(Hours),
        source,
        setups,
        false,
    ))
}

#[test]
fn observing_the_inputs_and_applying_the_outputs_gives_the_same_runner() {
    let (mut live, mut recovered) = (runner(), runner());
    let count = instruments().len() as u64;
    let mut out: Vec<RunnerOutput> = Vec::new();
    let mut signals = 0;
    let mut state = 11u64;
    let mut random = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut both = |input: &RunnerInput<'_>, out: &mut Vec<RunnerOutput>| {
        live.step(input, out);
        recovered.observe(input);
        out.iter().for_each(|output| recovered.apply(output));
        signals += out.len();
        out.clear();
        assert_eq!(format!("{live:?}"), format!("{recovered:?}"));
        live.next_due()
    };
    let mut due = Timestamp::MIN;
    let mut ts = at(0);
    for n in 0..3_000u64 {
        ts = ts.plus(random(5) as i64 * SECOND);
        while due <= ts && due != Timestamp::MAX {
            let now = if due == Timestamp::MIN { ts } else { due };
            due = both(&RunnerInput::Clock(InputId(n), now), &mut out);
        }
        let tick = Tick {
            ts,
            price: Price::from_raw((10_000 + random(200) as i64) * 1_000_000),
            quantity: Quantity::from_raw(100_000_000),
            instrument: InstrumentIdx(random(count) as u32),
            ..Tick::default()
        };
        let data = MarketData::Tick(&tick, None);
        due = both(&RunnerInput::Market(InputId(n), &data), &mut out);
        if n == 2_000 {
            due = both(&RunnerInput::Switch(model::StrategyIdx(3), false), &mut out);
        }
    }
    assert!(signals > 100, "{signals} signals");
}

/// Runs the demonstration of timers over an absence, and gives the times of what it decided since.
fn decided_after_an_absence(missed_timers: &str, told: bool) -> Vec<Timestamp> {
    let text = format!(
        "- {{ id: clock, kind: low_frequency_demo, asset_classes: [equity], missed_timers: {missed_timers}, parameters: {{ every: 3s }} }}"
    );
    let mut runner = runner_of(&text);
    let mut decided = Vec::new();
    let (mut number, mut ts) = (0, at(0));
    let mut tick = |runner: &mut Runner, ts: Timestamp, decided: &mut Vec<Timestamp>| {
        let mut out = Vec::new();
        while runner.next_due() <= ts {
            let due = runner.next_due();
            let due = if due == Timestamp::MIN { ts } else { due };
            runner.step(&RunnerInput::Clock(InputId(number), due), &mut out);
        }
        let tick = Tick {
            ts,
            price: Price::from_raw(10_000_000_000),
            quantity: Quantity::from_raw(100_000_000),
            instrument: instruments().find("NSE:AXIS").unwrap(),
            ..Tick::default()
        };
        let data = MarketData::Tick(&tick, None);
        runner.step(&RunnerInput::Market(InputId(number), &data), &mut out);
        number += 1;
        decided.extend(out.iter().filter_map(|o| match o {
            RunnerOutput::Signal(signal, _) => Some(signal.ts),
            RunnerOutput::StrategyDisabled(..) => None,
        }));
    };
    for _ in 0..20 {
        ts = ts.plus(SECOND);
        tick(&mut runner, ts, &mut decided);
    }
    assert!(!decided.is_empty());
    decided.clear();
    // Nine minutes later it is back.
    ts = ts.plus(540 * SECOND);
    if told {
        runner.observe(&RunnerInput::TimersMissed(ts));
    }
    tick(&mut runner, ts, &mut decided);
    decided
}

#[test]
fn timers_of_an_absence_are_skipped_unless_the_strategy_catches_up() {
    assert_eq!(decided_after_an_absence("catch_up", true).len(), 180);
    assert!(decided_after_an_absence("skip", true).is_empty());
    // A host that nothing kept from the timers, such as a backtest's, fires them all.
    assert_eq!(decided_after_an_absence("skip", false).len(), 180);
}

#[test]
fn a_confidence_that_is_none_is_left_out_so_that_a_signal_equals_itself() {
    for (given, kept) in [
        (f32::NAN, None),
        (-0.5, None),
        (f32::INFINITY, None),
        (0.75, Some(0.75)),
    ] {
        let axis = instruments().find("NSE:AXIS").unwrap();
        let recipe = Recipe::new("sure", &[axis], move |_, call, ctx| {
            if let Call::Tick(slot, _) = call {
                let quantity = Quantity::from_raw(100_000_000);
                let mut decision = ctx.decision(slot, Action::Target { quantity });
                decision.confidence = Some(given);
                ctx.signal(decision);
            }
        });
        let mut runner = Runner::new(StrategyHost::new(
            instruments(),
            Arc::new(Hours),
            SourceSession(7),
            vec![recipe.build(1)],
            false,
        ));
        let tick = Tick {
            ts: at(0),
            price: Price::from_raw(10_000_000_000),
            instrument: axis,
            ..Tick::default()
        };
        let mut out = Vec::new();
        let data = MarketData::Tick(&tick, None);
        runner.step(&RunnerInput::Market(InputId(1), &data), &mut out);
        let Some(RunnerOutput::Signal(signal, _)) = out.first() else {
            panic!("no signal: {out:?}");
        };
        assert_eq!(signal.decision.confidence, kept);
        assert_eq!(signal, signal, "{signal:?}");
    }
}
