//! Bars, sessions and timers as strategies see them.

use std::collections::BTreeMap;

use model::market::Timeframe;
use model::time::{DAY, MINUTE, SECOND};
use model::{Bar, InstrumentIdx, Price, Quantity, Tick, Timestamp};
use strategies::{SessionEvent, Subscription, TimerId};

use crate::desk::Plan;
use crate::scripted::{Call, Recipe};
use crate::system::{Notes, System};
use crate::world::{AXIS, BEL, COIN, Chance, NEXT_DAY, SESSION, at, units};

/// What a strategy was told, in order.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    Tick(Timestamp, InstrumentIdx, Price),
    Bar(Timestamp, Bar),
    Opened(Timestamp),
    Closed(Timestamp),
    Timer(Timestamp, u32),
}

/// Writes down everything; also sees sessions.
fn listener(notes: &Notes<Told>, instruments: &[InstrumentIdx], bars: &[&str]) -> Recipe {
    let (notes, list) = (notes.clone(), instruments.to_vec());
    let mut recipe = Recipe::new("listener", instruments, move |_, call, ctx| {
        let now = ctx.now();
        notes.write(match call {
            Call::Tick(slot, tick) => Told::Tick(now, list[slot.index()], tick.price),
            Call::Bar(_, bar) => Told::Bar(now, *bar),
            Call::Session(SessionEvent::Open(_)) => Told::Opened(now),
            Call::Session(SessionEvent::Close) => Told::Closed(now),
            Call::Timer(id) => Told::Timer(now, id.0),
            Call::Fill(..) => return,
        });
    })
    .bars(bars);
    recipe.subscription.sessions = true;
    recipe
}

/// A bucket of a session: instrument, length, and its number since the open.
type Bucket = (InstrumentIdx, Timeframe, i64);

/// Bars computed from all ticks at once, bucket by bucket.
fn naive(ticks: &[Tick], timeframes: &[&str]) -> BTreeMap<Bucket, Bar> {
    let mut bars: BTreeMap<Bucket, Bar> = BTreeMap::new();
    for tick in ticks {
        let shares = tick.instrument != COIN;
        let since = tick.ts.since(at(0));
        let day = since.div_euclid(DAY);
        let (open, close) = match shares {
            true => (at(day * NEXT_DAY), at(day * NEXT_DAY + SESSION)),
            false => (Timestamp(0), Timestamp::MAX),
        };
        if tick.ts < open || tick.ts >= close {
            continue;
        }
        for timeframe in timeframes.iter().map(|t| Timeframe::parse(t).unwrap()) {
            let length = timeframe.nanos();
            let open_ts = open.plus(tick.ts.since(open) / length * length);
            let bar = bars
                .entry((tick.instrument, timeframe, open_ts.nanos()))
                .or_insert(Bar {
                    open_ts,
                    close_ts: open_ts.plus(length).min(close),
                    open: tick.price,
                    high: tick.price,
                    low: tick.price,
                    close: tick.price,
                    volume: Quantity::ZERO,
                    open_interest: Quantity::ZERO,
                    instrument: tick.instrument,
                    timeframe,
                });
            bar.high = bar.high.max(tick.price);
            bar.low = bar.low.min(tick.price);
            bar.close = tick.price;
            bar.volume = bar.volume.checked_add(tick.quantity).unwrap();
        }
    }
    bars
}

#[test]
fn bars_of_ticks_are_those_of_their_buckets_and_come_at_their_close() {
    let timeframes = ["7s", "1m", "7m", "1h"];
    for (seed, inside) in (0..6).flat_map(|seed| [(seed, false), (seed, true)]) {
        let notes = Notes::new();
        let recipe = listener(&notes, &[AXIS, BEL, COIN], &timeframes);
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
        let mut chance = Chance(seed);
        let (mut ts, mut ticks, mut price) = (at(-100), Vec::new(), 10_000_000_000);
        for _ in 0..900 {
            let pause = match chance.below(40) {
                0 => chance.within(0, 4000 * SECOND),
                1 => 0,
                2 => MINUTE - ts.since(at(0)).rem_euclid(MINUTE),
                _ => chance.within(0, 40 * SECOND),
            };
            ts = ts.plus(pause);
            price += chance.within(-3, 3) * 5_000_000;
            ticks.push(system.tick_at(ts, chance.pick(&[AXIS, BEL, COIN]), price));
        }
        let told = notes.read();
        let mut wanted = naive(&ticks, &timeframes);
        let mut last = Timestamp::MIN;
        for told in &told {
            match told {
                Told::Bar(now, bar) => {
                    assert_eq!(*now, bar.close_ts, "seed {seed}: delivered at its close");
                    let key = (bar.instrument, bar.timeframe, bar.open_ts.nanos());
                    assert_eq!(wanted.remove(&key), Some(*bar), "seed {seed}");
                    last = last.max(*now);
                }
                // What has ended before a tick has been seen before it.
                Told::Tick(now, ..) => {
                    assert!(*now >= last, "seed {seed}");
                    last = *now;
                }
                _ => {}
            }
        }
        // What is left is still in the making.
        assert!(
            wanted.values().all(|bar| bar.close_ts > ts),
            "seed {seed}: {wanted:?}"
        );
        let sorted: Vec<_> = told
            .iter()
            .map(|t| match t {
                Told::Tick(now, ..) | Told::Bar(now, _) | Told::Timer(now, _) => *now,
                Told::Opened(now) | Told::Closed(now) => *now,
            })
            .collect();
        assert!(sorted.is_sorted(), "seed {seed}: time ran backwards");
    }
}

#[test]
fn the_last_bar_ends_with_the_session_and_comes_before_its_end() {
    let notes = Notes::new();
    let mut system = System::new(
        &[(1, listener(&notes, &[AXIS], &["7h"]))],
        &[Plan::default()],
    );
    let price = 10_000_000_000;
    system.tick_at(at(-5), AXIS, price);
    system.tick_at(at(0), AXIS, price);
    system.tick_at(at(SESSION), AXIS, price + 5_000_000);
    system.tick_at(at(NEXT_DAY - 1), AXIS, price);
    system.tick_at(at(NEXT_DAY), AXIS, price);
    let told: Vec<_> = notes
        .read()
        .iter()
        .map(|told| match told {
            Told::Bar(now, bar) => {
                assert_eq!((bar.open_ts, bar.volume), (at(0), units(1 + price % 7)));
                (now.since(at(0)) / SECOND, "bar")
            }
            Told::Tick(now, ..) => (now.since(at(0)) / SECOND, "tick"),
            Told::Opened(now) => (now.since(at(0)) / SECOND, "open"),
            Told::Closed(now) => (now.since(at(0)) / SECOND, "close"),
            Told::Timer(now, _) => (now.since(at(0)) / SECOND, "timer"),
        })
        .collect();
    let day = NEXT_DAY;
    assert_eq!(
        told,
        [
            (-5, "close"),
            (-5, "tick"),
            (0, "open"),
            (0, "tick"),
            (SESSION, "bar"),
            (SESSION, "close"),
            (SESSION, "tick"),
            (day - 1, "tick"),
            (day, "open"),
            (day, "tick"),
        ]
    );
}

/// A bar from so many seconds after the open, with numbers of its own.
fn bar_at(from: i64, length: &str) -> Bar {
    let timeframe = Timeframe::parse(length).unwrap();
    let middle = 2000 + from * 7 % 113;
    let price = |away: i64| Price::from_raw((middle + away) * 5_000_000);
    Bar {
        open_ts: at(from),
        close_ts: at(from).plus(timeframe.nanos()),
        open: price(0),
        high: price(9 + from % 4),
        low: price(-9),
        close: price(from % 5),
        volume: units(1 + from % 11),
        open_interest: units(5),
        instrument: AXIS,
        timeframe,
    }
}

#[test]
fn longer_bars_are_built_from_shorter_ones() {
    let notes = Notes::new();
    let mut system = System::new(
        &[(1, listener(&notes, &[AXIS], &["1m", "5m", "4h"]))],
        &[Plan::default()],
    );
    // Every minute of a session but a few: the last part of a bar, a whole bar, the session's last.
    let missing = |m: i64| m % 60 == 4 || (100..110).contains(&m) || m == 359;
    let minutes: Vec<Bar> = (0..360)
        .filter(|m| !missing(*m))
        .map(|m| bar_at(m * 60, "1m"))
        .collect();
    for bar in &minutes {
        system.bar(bar);
    }
    system.advance(at(SESSION + 60));
    let told: Vec<Bar> = notes
        .read()
        .iter()
        .filter_map(|t| match t {
            Told::Bar(now, bar) => {
                // Finished by its last part, or just after its end where that is missing.
                assert!(now.since(bar.close_ts) <= 1, "{bar:?} came at {now}");
                Some(*bar)
            }
            _ => None,
        })
        .collect();
    for (length, step) in [("1m", 60), ("5m", 300), ("4h", 14_400)] {
        let timeframe = Timeframe::parse(length).unwrap();
        let got: Vec<_> = told
            .iter()
            .filter(|b| b.timeframe == timeframe)
            .copied()
            .collect();
        let mut want: Vec<Bar> = Vec::new();
        for part in &minutes {
            let open = part.open_ts.since(at(0)) / SECOND / step * step;
            match want.last_mut().filter(|w| w.open_ts == at(open)) {
                Some(bar) => {
                    bar.high = bar.high.max(part.high);
                    bar.low = bar.low.min(part.low);
                    bar.close = part.close;
                    bar.volume = bar.volume.checked_add(part.volume).unwrap();
                }
                None => want.push(Bar {
                    timeframe,
                    open_ts: at(open),
                    close_ts: at((open + step).min(SESSION)),
                    ..*part
                }),
            }
        }
        assert_eq!(got, want, "{length}");
    }
}

#[test]
fn timers_fire_in_the_order_of_time_and_id_before_the_data() {
    for inside in [false, true] {
        let notes: Notes<Told> = Notes::new();
        let noted = notes.clone();
        let recipe = Recipe::new("timers", &[AXIS], move |state, call, ctx| {
            let now = ctx.now();
            match call {
                Call::Tick(_, tick) => {
                    noted.write(Told::Tick(now, AXIS, tick.price));
                    if *state == 0 {
                        *state = 1;
                        for (seconds, id) in [(5, 3), (5, 1), (3, 2), (5, 2), (9, 4), (60, 9)] {
                            ctx.set_timer(at(seconds), TimerId(id));
                        }
                    }
                }
                Call::Timer(id) => {
                    noted.write(Told::Timer(now, id.0));
                    if id.0 == 1 {
                        // Replaces the one of sixty seconds.
                        ctx.set_timer(at(7), TimerId(9));
                    }
                }
                _ => {}
            }
        });
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
        for seconds in [0, 5, 100] {
            system.tick_at(at(seconds), AXIS, 10_000_000_000);
        }
        let told: Vec<_> = notes
            .read()
            .iter()
            .map(|t| match t {
                Told::Timer(now, id) => (now.since(at(0)) / SECOND, *id),
                Told::Tick(now, ..) => (now.since(at(0)) / SECOND, 0),
                other => panic!("{other:?}"),
            })
            .collect();
        // Timer 2 was set twice: the later request holds.
        let want = [
            (0, 0),
            (5, 1),
            (5, 2),
            (5, 3),
            (5, 0),
            (7, 9),
            (9, 4),
            (100, 0),
        ];
        assert_eq!(told, want, "inside: {inside}");
    }
}

#[test]
fn a_timer_that_is_set_for_now_does_not_stop_time() {
    let notes: Notes<Timestamp> = Notes::new();
    let noted = notes.clone();
    let recipe = Recipe::new("again", &[AXIS], move |_, call, ctx| {
        if matches!(call, Call::Timer(_)) {
            noted.write(ctx.now());
        }
        ctx.set_timer(ctx.now(), TimerId(1));
    });
    let mut system = System::new(&[(1, recipe)], &[Plan::default()]);
    for seconds in 0..3 {
        system.tick_at(at(seconds), AXIS, 10_000_000_000);
    }
    assert!(notes.read().len() <= 2001, "at most once a millisecond");
}

#[test]
fn what_is_decided_while_warming_up_is_discarded() {
    let notes: Notes<u64> = Notes::new();
    let noted = notes.clone();
    let mut recipe = Recipe::new("warm", &[AXIS, BEL], move |state, call, ctx| {
        if let Call::Tick(slot, _) = call {
            *state += 1;
            noted.write(*state);
            ctx.target(slot, units(*state as i64));
        }
    });
    recipe.subscription = Subscription {
        ticks: true,
        warm_up: 2,
        ..Subscription::default()
    };
    recipe.warm_up = 3;
    let mut system = System::new(&[(1, recipe)], &[Plan::default()]);
    for _ in 0..4 {
        system.tick(AXIS, 100);
    }
    system.tick(BEL, 50);
    assert_eq!(notes.read().len(), 5, "fed all along");
    let signals = system
        .events(0)
        .iter()
        .filter(|e| e.kind() == "signal_raw")
        .count();
    assert_eq!(signals, 1, "three of each instrument are warm-up");
}

#[test]
fn a_strategy_on_ticks_is_told_the_whole_bar_of_the_data() {
    let notes = Notes::new();
    let told = notes.clone();
    let mut recipe = Recipe::new("whole", &[AXIS], |_, _, _| {});
    recipe.on_data_bar = Some(std::sync::Arc::new(move |bar: &Bar| {
        told.write((bar.high, bar.low, bar.close_ts));
    }));
    let mut system = System::new(&[(1, recipe)], &[Plan::default()]);
    let bar = Bar {
        open_ts: at(0),
        close_ts: at(60),
        open: "100".parse().unwrap(),
        high: "104".parse().unwrap(),
        low: "97".parse().unwrap(),
        close: "101".parse().unwrap(),
        volume: units(5),
        open_interest: Quantity::ZERO,
        instrument: AXIS,
        timeframe: Timeframe::parse("1m").unwrap(),
    };
    system.bar(&bar);
    assert_eq!(notes.read(), [(bar.high, bar.low, bar.close_ts)]);
}
