//! The indicators against TA-Lib's own values (`talib/generate.py`).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use strategies::indicators::{Bollinger, Ema, RateOfChange, Rsi, Window};

/// The formula of `generate.py`.
fn prices(count: usize, seed: u64, start: i64, span: i64, tick: i64) -> Vec<f64> {
    let (mut state, mut level) = (seed, start);
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            level += (state >> 33) as i64 % span - span / 2;
            (level * tick) as f64 / 100.0
        })
        .collect()
}

const COLUMNS: [&str; 8] = [
    "ema", "sma", "rsi", "upper", "middle", "lower", "stddev", "roc",
];
/// Rows after which the seed of an EMA of 10 is below the tolerance: (9/11)^150 is 1e-13.
const SEED_GONE: usize = 160;

fn compare(fixture: &str, prices: &[f64]) {
    let mut lines = fixture.lines();
    assert_eq!(
        lines.next().unwrap(),
        format!("row,price,{}", COLUMNS.join(","))
    );
    let mut wanted = lines
        .map(|line| {
            let mut fields = line.split(',');
            let row: usize = fields.next().unwrap().parse().unwrap();
            (
                row,
                fields.map(|f| f.parse().ok()).collect::<Vec<Option<f64>>>(),
            )
        })
        .peekable();
    let (mut ema, mut sma, mut rsi) = (Ema::new(10), Window::new(20), Rsi::new(14));
    let (mut bands, mut spread, mut roc) = (
        Bollinger::new(20, 2.0),
        Window::new(20),
        RateOfChange::new(10),
    );
    let mut compared = 0;
    for (row, &price) in prices.iter().enumerate() {
        spread.push(price);
        let b = bands.update(price);
        let got = [
            ema.update(price),
            {
                sma.push(price);
                sma.mean()
            },
            rsi.update(price),
            b.map(|b| b.upper),
            b.map(|b| b.middle),
            b.map(|b| b.lower),
            spread.moments().map(|m| m.deviation),
            roc.update(price),
        ];
        let Some((_, want)) = wanted.next_if(|(at, _)| *at == row) else {
            continue;
        };
        assert_eq!(
            want[0],
            Some(price),
            "row {row}: the formula gives another price"
        );
        for ((name, got), want) in COLUMNS.iter().zip(got).zip(&want[1..]) {
            if *name == "ema" && row < SEED_GONE {
                continue;
            }
            match (got, *want) {
                (None, None) => {}
                (Some(got), Some(want)) => {
                    // A rate of change crosses zero: there the price's own precision is the scale.
                    let scale = if *name == "roc" {
                        want.abs().max(1e-2)
                    } else {
                        want.abs()
                    };
                    assert!(
                        (got - want).abs() <= 1e-9 * scale,
                        "row {row}: {name} {got} is not {want}"
                    );
                    compared += 1;
                }
                other => assert_eq!(other.0, other.1, "row {row}: {name}"),
            }
        }
    }
    assert!(
        wanted.next().is_none() && compared >= 8 * 50,
        "compared only {compared} values"
    );
}

#[test]
fn indicators_agree_with_ta_lib() {
    compare(
        include_str!("talib/talib.csv"),
        &prices(400, 7, 50_000, 41, 5),
    );
}

#[test]
fn large_prices_with_small_moves_agree_after_100_000_updates() {
    let prices = prices(100_000, 12_345, 9_900_000 * 20, 7, 5);
    compare(include_str!("talib/talib_large.csv"), &prices);
}
