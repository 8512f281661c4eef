//! The built-in strategies in the hands of a small host.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use model::market::Timeframe;
use model::session::SessionWindow;
use model::signal::{Action, Decision, OrderType, Side};
use model::time::{HOUR, MINUTE, SECOND};
use model::{Bar, InstrumentIdx, Price, Quantity, Timestamp};
use proptest::prelude::*;
use strategies::testing::Host;
use strategies::{KindRegistry, Slot};

fn host(kind: &str, given: &[(&str, &str)], instruments: usize) -> Host {
    Host::new(&KindRegistry::built_in(), kind, given, instruments).unwrap()
}

fn price(value: f64) -> Price {
    Price::from_raw((value * 100.0).round() as i64 * 1_000_000)
}

fn units(count: i64) -> Quantity {
    Quantity::from_int(count).unwrap()
}

/// 2021-04-15 09:15 to 15:30 IST.
const OPEN: Timestamp = Timestamp(1_618_458_300 * SECOND);
const WINDOW: SessionWindow = SessionWindow {
    open: OPEN,
    close: Timestamp(OPEN.0 + 375 * MINUTE),
};

/// One tick a minute of instrument 0 at these prices, from the session's open.
fn run(host: &mut Host, prices: &[f64]) {
    host.session(OPEN, Some(WINDOW));
    for (i, p) in prices.iter().enumerate() {
        host.tick(Slot(0), OPEN.plus(i as i64 * MINUTE), price(*p), units(10));
    }
    host.pass_time(OPEN.plus(prices.len() as i64 * MINUTE));
}

/// Minute and wanted position of every target.
fn targets(host: &Host) -> Vec<(i64, i64)> {
    host.decisions()
        .iter()
        .map(|(ts, decision)| match decision.action {
            Action::Target { quantity } => {
                (ts.since(OPEN) / MINUTE, quantity.raw() / model::fixed::ONE)
            }
            other => unreachable!("{other:?}"),
        })
        .collect()
}

/// A walk that trends and turns, from a seed.
fn walk(seed: u64, count: usize) -> Vec<f64> {
    let (mut state, mut level) = (seed, 2_000i64);
    (0..count)
        .map(|i| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let drift = if i / 40 % 2 == 0 { 1 } else { -1 };
            level = (level + (state >> 33) as i64 % 9 - 4 + drift).max(100);
            level as f64 * 0.05
        })
        .collect()
}

#[test]
fn ema_cross_does_exactly_what_its_rule_says() {
    let prices = walk(1, 2_000);
    let mut host = host(
        "ema_cross",
        &[("fast", "5"), ("slow", "12"), ("quantity", "3")],
        1,
    );
    run(&mut host, &prices);
    let (mut fast, mut slow, mut held) = (prices[0], prices[0], 0);
    let mut wanted = Vec::new();
    for (i, p) in prices.iter().map(|p| price(*p).to_f64()).enumerate() {
        fast += 2.0 / 6.0 * (p - fast);
        slow += 2.0 / 13.0 * (p - slow);
        let next = if fast > slow {
            3
        } else if fast < slow {
            -3
        } else {
            held
        };
        if i + 1 >= 12 && next != held {
            held = next;
            wanted.push((i as i64, held));
        }
    }
    assert!(wanted.len() > 20 && wanted[0].0 == 11, "{wanted:?}");
    assert_eq!(targets(&host), wanted);
}

#[test]
fn momentum_opens_beyond_the_threshold_and_closes_at_zero() {
    let given = [
        ("period", "2"),
        ("threshold_bps", "100"),
        ("timeframe", "tick"),
    ];
    let mut host = host("momentum", &given, 1);
    run(
        &mut host,
        &[100.0, 100.5, 100.9, 101.05, 101.0, 101.0, 99.0],
    );
    assert_eq!(targets(&host), [(6, -1)]);
    let mut host = self::host("momentum", &given, 1);
    run(&mut host, &[100.0, 100.5, 101.5, 101.5, 101.5, 101.4]);
    assert_eq!(targets(&host), [(2, 1), (4, 0)]);
}

#[test]
fn rsi_trades_the_extremes_and_ignores_a_market_that_does_not_move() {
    let mut given = vec![("period", "3"), ("timeframe", "tick")];
    let mut flat = host("rsi", &given, 1);
    run(&mut flat, &[100.0; 50]);
    assert_eq!(targets(&flat), []);
    let prices = [100.0, 99.0, 98.0, 97.0, 99.0, 102.0, 104.0, 103.0, 99.0];
    let mut both = host("rsi", &given, 1);
    run(&mut both, &prices);
    assert_eq!(targets(&both), [(3, 1), (4, 0), (5, -1), (8, 0)]);
    given.push(("short", "false"));
    let mut long = host("rsi", &given, 1);
    run(&mut long, &prices);
    assert_eq!(targets(&long), [(3, 1), (4, 0)]);
}

#[test]
fn mean_reversion_leaves_at_the_mean_and_stays_out_after_its_stop() {
    let given = [
        ("period", "10"),
        ("width", "1.5"),
        ("rsi_period", "5"),
        ("oversold", "45"),
        ("overbought", "55"),
        ("stop_deviations", "1"),
        ("timeframe", "tick"),
    ];
    let quiet = [
        100.0, 100.2, 99.9, 100.1, 100.0, 100.2, 99.9, 100.1, 100.0, 100.1,
    ];
    let mut prices = quiet.to_vec();
    prices.extend([99.0, 99.5, 100.2]);
    let mut back = host("mean_reversion", &given, 1);
    run(&mut back, &prices);
    assert_eq!(targets(&back), [(10, 1), (12, 0)]);
    let stop = back.decisions()[0].1.bracket.stop_loss.unwrap();
    assert!(
        stop < price(99.0) && stop > price(98.0) && stop.is_multiple_of(price(0.05)),
        "{stop}"
    );

    let mut falling = host("mean_reversion", &given, 1);
    let mut prices = quiet.to_vec();
    prices.extend((0..8).map(|i| 99.0 - f64::from(i)));
    run(&mut falling, &prices);
    assert_eq!(targets(&falling), [(10, 1), (11, 0)]);
}

#[test]
fn opening_range_breakout_trades_once_and_is_flat_before_the_close() {
    let given = [
        ("range", "5m"),
        ("reward", "2"),
        ("exit_before_close", "10m"),
    ];
    let range = [100.0, 101.0, 99.0, 100.0, 100.5];
    let mut prices = range.to_vec();
    prices.extend([101.0, 101.2, 101.0, 99.5]);
    let mut timed = host("opening_range_breakout", &given, 1);
    run(&mut timed, &prices);
    timed.pass_time(WINDOW.close);
    assert_eq!(targets(&timed), [(6, 1), (365, 0)]);
    let bracket = timed.decisions()[0].1.bracket;
    assert_eq!(
        (bracket.stop_loss, bracket.take_profit),
        (Some(price(99.0)), Some(price(105.2)))
    );

    // Through the stop, then a second break that is not traded; the next session begins anew.
    let mut stopped = host("opening_range_breakout", &given, 1);
    let mut prices = range.to_vec();
    prices.extend([98.0, 101.5, 98.0]);
    run(&mut stopped, &prices);
    stopped.session(WINDOW.close, None);
    assert_eq!(targets(&stopped), [(5, -1), (6, 0)]);
    let open = OPEN.plus(24 * HOUR);
    stopped.session(
        open,
        Some(SessionWindow {
            open,
            close: open.plus(375 * MINUTE),
        }),
    );
    stopped.tick(Slot(0), open.plus(SECOND), price(50.0), units(1));
    stopped.tick(Slot(0), open.plus(6 * MINUTE), price(51.0), units(1));
    assert_eq!(targets(&stopped).last(), Some(&(24 * 60 + 6, 1)));

    // A session first seen after its range is left alone.
    let mut late = host("opening_range_breakout", &given, 1);
    late.session(OPEN.plus(HOUR), Some(WINDOW));
    for minute in 60..120 {
        late.tick(
            Slot(0),
            OPEN.plus(minute * MINUTE),
            price(100.0 + minute as f64),
            units(1),
        );
    }
    assert_eq!(targets(&late), []);
}

/// Bars of five minutes from the open, as (high, low, close).
fn bars(host: &mut Host, bars: &[(f64, f64, f64)]) {
    host.session(OPEN, Some(WINDOW));
    for (n, (high, low, close)) in bars.iter().enumerate() {
        let open_ts = OPEN.plus(n as i64 * 5 * MINUTE);
        host.data_bar(
            Slot(0),
            &Bar {
                open_ts,
                close_ts: open_ts.plus(5 * MINUTE),
                open: price(*low),
                high: price(*high),
                low: price(*low),
                close: price(*close),
                volume: units(10),
                open_interest: Quantity::ZERO,
                instrument: InstrumentIdx(0),
                timeframe: Timeframe::parse("5m").unwrap(),
            },
        );
    }
}

#[test]
fn opening_range_breakout_takes_the_highs_and_lows_of_bars() {
    let given = [
        ("range", "15m"),
        ("reward", "2"),
        ("exit_before_close", "10m"),
    ];
    let run = |given: &[(&str, &str)], tail: &[(f64, f64, f64)]| {
        let mut host = host("opening_range_breakout", given, 1);
        // The bar that closes at the range's end has both of its edges: 98.5 and 102.
        let mut all = vec![
            (101.0, 99.0, 100.0),
            (101.0, 99.0, 100.0),
            (102.0, 98.5, 100.0),
        ];
        all.extend(tail);
        bars(&mut host, &all);
        host
    };
    // Within the range; then a high above it with a close back within; then the stop.
    let long = run(
        &given,
        &[
            (102.0, 98.5, 99.0),
            (102.5, 99.0, 101.0),
            (101.0, 98.5, 101.0),
        ],
    );
    assert_eq!(targets(&long), [(25, 1), (30, 0)]);
    let bracket = long.decisions()[0].1.bracket;
    assert_eq!(
        (bracket.stop_loss, bracket.take_profit),
        (Some(price(98.5)), Some(price(109.0))),
        "the profit counts from the edge"
    );
    let short = run(&given, &[(101.0, 97.0, 98.0), (101.0, 91.0, 95.0)]);
    assert_eq!(targets(&short), [(20, -1), (25, 0)]);
    let bracket = short.decisions()[0].1.bracket;
    assert_eq!(
        (bracket.stop_loss, bracket.take_profit),
        (Some(price(102.0)), Some(price(91.0))),
        "the profit counts from the close"
    );
    // Both edges in one bar, which does not say which came first.
    let both = [(103.0, 98.0, 102.5), (105.0, 104.0, 105.0)];
    assert_eq!(targets(&run(&given, &both)), []);
    let touched = [(103.0, 98.5, 102.5), (105.0, 104.0, 105.0)];
    assert_eq!(targets(&run(&given, &touched)), []);
    // A bar that only begins within the range belongs to it; so nothing can be broken by a daily one.
    let given = [("range", "12m")];
    let straddled = run(&given, &[(102.0, 98.5, 100.0), (102.05, 99.0, 102.05)]);
    assert_eq!(targets(&straddled), [(25, 1)]);
}

#[test]
fn vwap_reversion_scales_out_of_what_it_holds() {
    let given = [
        ("settle", "10"),
        ("timeframe", "tick"),
        ("quantity", "5"),
        ("patience", "1m"),
    ];
    let mut prices: Vec<f64> = (0..40)
        .map(|i| if i % 2 == 0 { 100.0 } else { 101.0 })
        .collect();
    prices.extend([98.92, 100.2, 100.6]);
    let mut host = host("vwap_reversion", &given, 1);
    run(&mut host, &prices);
    let actions: Vec<_> = host.decisions().iter().map(|(_, d)| d.action).collect();
    assert_eq!(
        actions,
        [
            Action::Enter {
                side: Side::Buy,
                quantity: units(5)
            },
            Action::Exit {
                quantity: Some(units(2))
            },
            Action::Exit { quantity: None },
        ]
    );
    let Decision {
        order_type,
        limit_price,
        ..
    } = host.decisions()[0].1;
    assert_eq!(
        (order_type, limit_price),
        (OrderType::Limit, Some(price(98.9)))
    );
    assert!(host.position(Slot(0)).is_zero());
}

#[test]
fn pairs_sells_what_is_dear_and_buys_what_is_cheap() {
    let given = [
        ("quantity", "2"),
        ("hedge_quantity", "3"),
        ("window", "10"),
        ("entry", "1.5"),
        ("stop", "3.1"),
    ];
    let mut host = host("pairs", &given, 2);
    host.session(OPEN, Some(WINDOW));
    let first = [
        100.0, 101.0, 100.0, 101.0, 100.0, 101.0, 100.0, 101.0, 100.0, 103.0, 100.5, 100.0,
    ];
    for (i, p) in first.iter().enumerate() {
        let at = OPEN.plus(i as i64 * MINUTE);
        host.tick(Slot(0), at, price(*p), units(1));
        host.tick(Slot(1), at.plus(SECOND), price(50.0), units(1));
    }
    host.pass_time(OPEN.plus(HOUR));
    // Decided at the close of the bar, one minute on.
    assert_eq!(targets(&host), [(10, -2), (10, 3), (11, 0), (11, 0)]);
    assert!(
        host.decisions()
            .iter()
            .map(|(_, d)| d.instrument.0)
            .eq([0, 1, 0, 1])
    );
}

#[test]
fn low_frequency_demo_alternates_while_the_market_is_open() {
    let mut host = host("low_frequency_demo", &[("every", "5m")], 1);
    run(&mut host, &[100.0; 12]);
    assert_eq!(targets(&host), [(5, 1), (10, 0)]);
    host.session(WINDOW.close, None);
    let traded = host.decisions().len();
    host.pass_time(WINDOW.close.plus(HOUR));
    assert_eq!(host.decisions().len(), traded);
}

type Given = &'static [(&'static str, &'static str)];

/// Parameters under which each kind decides often on [`feed`].
const BUSY: &[(&str, usize, Given)] = &[
    ("ema_cross", 3, &[("fast", "3"), ("slow", "8")]),
    ("low_frequency_demo", 3, &[("every", "2m")]),
    (
        "mean_reversion",
        3,
        &[
            ("period", "8"),
            ("width", "1"),
            ("rsi_period", "4"),
            ("oversold", "45"),
            ("overbought", "55"),
            ("stop_deviations", "0.5"),
        ],
    ),
    ("momentum", 3, &[("period", "5"), ("threshold_bps", "30")]),
    (
        "opening_range_breakout",
        3,
        &[("range", "5m"), ("exit_before_close", "5m")],
    ),
    ("pairs", 2, &[("window", "10"), ("entry", "1")]),
    (
        "rsi",
        3,
        &[
            ("period", "5"),
            ("oversold", "40"),
            ("overbought", "60"),
            ("timeframe", "tick"),
        ],
    ),
    (
        "vwap_reversion",
        3,
        &[
            ("settle", "5"),
            ("entry", "1"),
            ("stop", "1.8"),
            ("patience", "30s"),
        ],
    ),
];

/// Steps `from..to` of three hourly sessions of ticks over all instruments.
fn feed(host: &mut Host, instruments: usize, prices: &[f64], from: usize, to: usize) {
    const SESSION: usize = 360;
    for (step, p) in prices.iter().enumerate().take(to).skip(from) {
        let (session, within) = (step / SESSION, step % SESSION);
        let open = OPEN.plus(session as i64 * 24 * HOUR);
        if within == 0 {
            host.session(open.plus(-HOUR), None);
            host.session(
                open,
                Some(SessionWindow {
                    open,
                    close: open.plus(HOUR),
                }),
            );
        }
        let slot = Slot((step % instruments) as u32);
        host.tick(
            slot,
            open.plus(within as i64 * 10 * SECOND),
            price(*p),
            units(1 + step as i64 % 7),
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restored_strategy_decides_like_the_one_that_was_saved(seed in any::<u64>(), cut in 1usize..1_080) {
        let prices = walk(seed, 1_080);
        let registry = KindRegistry::built_in();
        prop_assert!(registry.iter().map(|k| k.name).eq(BUSY.iter().map(|(name, ..)| *name)));
        for (kind, instruments, given) in BUSY {
            let mut whole = host(kind, given, *instruments);
            feed(&mut whole, *instruments, &prices, 0, cut);
            let saved = whole.strategy.save().unwrap();
            let mut restored = host(kind, given, *instruments);
            restored.take_over(&whole);
            restored.strategy.restore(&saved).unwrap();
            prop_assert_eq!(restored.strategy.save().unwrap(), saved);
            feed(&mut whole, *instruments, &prices, cut, prices.len());
            feed(&mut restored, *instruments, &prices, cut, prices.len());
            prop_assert!(whole.decisions().len() >= 2, "{} decides nothing", kind);
            prop_assert_eq!(whole.decisions(), restored.decisions(), "{}", kind);
        }
    }
}

#[test]
fn a_state_is_taken_over_by_its_own_kind_and_parameters_only() {
    let saved = host("ema_cross", &[], 2).strategy.save().unwrap();
    assert!(host("ema_cross", &[], 2).strategy.restore(&saved).is_ok());
    assert!(host("ema_cross", &[], 3).strategy.restore(&saved).is_err());
    assert!(
        host("ema_cross", &[("fast", "9")], 2)
            .strategy
            .restore(&saved)
            .is_err()
    );
    assert!(host("momentum", &[], 2).strategy.restore(&saved).is_err());
    assert!(
        host("ema_cross", &[], 2)
            .strategy
            .restore(&saved[..saved.len() - 1])
            .is_err()
    );
}

#[test]
fn a_longer_warm_up_delays_the_first_decision_but_does_not_swallow_it() {
    let file = "- {id: a, kind: ema_cross, instruments: [TCS], warm_up: 30, parameters: {fast: 2, slow: 4}}";
    let share = model::Instrument::share("NSE", "TCS", "INR".parse().unwrap());
    let instruments = model::Instruments::new(vec![share]).unwrap();
    let definitions = strategies::parse("s.yaml", file).unwrap();
    let registry = KindRegistry::built_in();
    let resolved = strategies::resolve(definitions, &instruments, &registry).unwrap();
    let mut host = host("ema_cross", &[], 1);
    host.replace(resolved[0].build().unwrap());
    let rising: Vec<f64> = (0..40).map(|i| 100.0 + f64::from(i)).collect();
    run(&mut host, &rising);
    assert_eq!(targets(&host), [(30, 1)]);
}
