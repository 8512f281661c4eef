//! Incremental indicators. Each takes one value at a time, allocates only when it is made, and
//! serialises whole, so that a saved strategy goes on bit for bit.
//!
//! Values are `f64` in the price's own unit. Only `+ − × ÷` and `sqrt` are used, which IEEE 754
//! fixes to the last bit, so that every machine decides alike. A value that is not finite is
//! ignored: one bad number never poisons what follows.

mod bollinger;
mod change;
mod ema;
mod opening_range;
mod rsi;
mod vwap;
mod window;

pub use bollinger::{Bands, Bollinger};
pub use change::RateOfChange;
pub use ema::Ema;
pub use opening_range::OpeningRange;
pub use rsi::Rsi;
pub use vwap::Vwap;
pub use window::{Moments, Window};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_volume_weighted_average_is_that_of_its_definition() {
        let trades = [
            (100.0, 5.0),
            (101.5, 1.0),
            (99.0, 7.0),
            (100.25, 0.0),
            (102.0, 3.0),
        ];
        let mut vwap = Vwap::default();
        for (price, volume) in trades {
            vwap.update(price, volume);
        }
        let weight: f64 = trades.iter().map(|(_, v)| v).sum();
        let mean = trades.iter().map(|(p, v)| p * v).sum::<f64>() / weight;
        let square = trades
            .iter()
            .map(|(p, v)| v * (p - mean) * (p - mean))
            .sum::<f64>()
            / weight;
        let got = vwap.value().unwrap();
        assert!((got.mean - mean).abs() < 1e-12 && (got.deviation - square.sqrt()).abs() < 1e-12);
        vwap.reset();
        assert_eq!(vwap.value(), None);
    }

    #[test]
    fn a_number_that_is_not_finite_leaves_no_trace() {
        let (mut ema, mut rsi, mut bands) = (Ema::new(3), Rsi::new(3), Bollinger::new(3, 2.0));
        let (mut change, mut vwap) = (RateOfChange::new(3), Vwap::default());
        for i in 0..10 {
            let p = 100.0 + f64::from(i * i % 7);
            ema.update(p);
            rsi.update(p);
            bands.update(p);
            change.update(p);
            vwap.update(p, 1.0);
        }
        let before = (ema, rsi, bands.clone(), change.clone(), vwap);
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            ema.update(bad);
            rsi.update(bad);
            bands.update(bad);
            change.update(bad);
            vwap.update(bad, 1.0);
            vwap.update(100.0, bad);
        }
        assert_eq!((ema, rsi, bands, change, vwap), before);
    }

    #[test]
    fn a_window_that_was_damaged_is_not_taken_over() {
        let mut window = Window::new(3);
        window.push(1.0);
        let good = postcard::to_stdvec(&window).unwrap();
        assert_eq!(postcard::from_bytes::<Window>(&good), Ok(window));
        let mut bad = good.clone();
        bad[good.len() - 2] = 3;
        assert!(postcard::from_bytes::<Window>(&bad).is_err());
    }
}
