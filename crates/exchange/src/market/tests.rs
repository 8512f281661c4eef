use model::instrument::Instruments;
use model::time::{HOUR, SECOND};

use super::*;

const START: Timestamp = Timestamp(20_000 * DAY + 4 * HOUR);

fn market(seed: u64, rate: u32) -> Market {
    let instruments = Instruments::new(crate::instruments()).unwrap();
    let mut market = Market::new(seed, rate, &instruments);
    market.resume(START, &[]);
    market
}

fn autocorrelation(xs: &[f64], lag: usize) -> f64 {
    let mean = xs.iter().sum::<f64>() / xs.len() as f64;
    let spread: f64 = xs.iter().map(|x| (x - mean) * (x - mean)).sum();
    let pairs = xs.iter().zip(&xs[lag..]);
    pairs.map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / spread
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |xs: &[f64]| xs.iter().sum::<f64>() / xs.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(x, y)| f(x - ma, y - mb)).sum()
    };
    sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt()
}

#[test]
fn slicing_time_changes_nothing() {
    let mut whole = Vec::new();
    market(3, 20).advance(START.plus(60 * SECOND), &mut whole);
    let (mut sliced, mut parts) = (market(3, 20), Vec::new());
    let mut rng = Rng::new(9);
    let mut now = START;
    while now < START.plus(60 * SECOND) {
        now = now
            .plus(rng.between(1, 400_000_000))
            .min(START.plus(60 * SECOND));
        sliced.advance(now, &mut parts);
    }
    assert!(whole.len() > 5_000, "{}", whole.len());
    assert_eq!(whole, parts);
    let mut other = Vec::new();
    market(4, 20).advance(START.plus(60 * SECOND), &mut other);
    assert_ne!(whole, other);
}

#[test]
fn it_looks_like_a_market() {
    // Six hours of mid prices, once a second, and every tick on the way.
    let mut market = market(1, 10);
    let mut quotes = Vec::new();
    let mut mids = vec![Vec::new(); 5];
    let mut latest = vec![None; 5];
    let (mut count, mut spread_bps, mut trades) = (0u64, 0.0, 0u64);
    for second in 1..=6 * 3_600 {
        market.advance(START.plus(second * SECOND), &mut quotes);
        for quote in quotes.drain(..) {
            let Quote { tick, depth } = quote;
            assert!(tick.bid > Price::ZERO && tick.bid < tick.ask, "{tick:?}");
            let wide = 1e4 * (tick.ask.to_f64() - tick.bid.to_f64()) / tick.bid.to_f64();
            assert!(wide < 60.0, "{wide} bp: {tick:?}");
            for level in depth.bids.iter().chain(&depth.asks) {
                assert!(
                    level.quantity > Quantity::ZERO && level.orders > 0,
                    "{depth:?}"
                );
            }
            assert!(depth.bids.windows(2).all(|w| w[0].price > w[1].price));
            assert!(depth.asks.windows(2).all(|w| w[0].price < w[1].price));
            if let Some(before) = latest[tick.instrument.index()].replace(tick) {
                let rise = tick.volume.raw() - before.volume.raw();
                assert_eq!(rise, tick.quantity.raw(), "{tick:?}");
            }
            count += 1;
            spread_bps += wide;
            trades += u64::from(!tick.quantity.is_zero());
        }
        for (mids, tick) in mids.iter_mut().zip(&latest) {
            let tick = tick.unwrap();
            mids.push((tick.bid.to_f64() + tick.ask.to_f64()) / 2.0);
        }
    }
    let mean_spread = spread_bps / count as f64;
    assert!((0.3..12.0).contains(&mean_spread), "{mean_spread} bp");
    assert!(
        trades * 10 > count && trades * 2 < count,
        "{trades} of {count}"
    );
    let every = |n: usize| -> Vec<Vec<f64>> {
        let returns = |m: &Vec<f64>| {
            let thin: Vec<f64> = m.iter().step_by(n).copied().collect();
            thin.windows(2).map(|w| w[1] / w[0] - 1.0).collect()
        };
        mids.iter().map(returns).collect()
    };
    for returns in every(10) {
        let size: Vec<f64> = returns.iter().map(|r| r.abs()).collect();
        let cluster = autocorrelation(&size, 1);
        assert!(cluster > 0.1, "calm and storm do not last: {cluster}");
        let drift = autocorrelation(&returns, 1);
        assert!(drift.abs() < 0.2, "tomorrow is known today: {drift}");
    }
    let returns = every(30);
    for a in 0..5 {
        for b in 0..a {
            let together = correlation(&returns[a], &returns[b]);
            assert!((0.2..0.9).contains(&together), "{a} and {b}: {together}");
        }
    }
}

#[test]
fn prices_stay_positive_and_near_for_weeks() {
    let mut market = market(5, 1);
    let mut quotes = Vec::new();
    for hour in 1..=21 * 24 {
        market.advance(START.plus(hour * HOUR), &mut quotes);
        for Quote { tick, .. } in quotes.drain(..) {
            let first = FIRST[market.places[&tick.instrument]];
            let ratio = tick.price.to_f64() / first as f64;
            assert!((0.5..2.0).contains(&ratio), "{ratio}: {tick:?}");
        }
    }
}
