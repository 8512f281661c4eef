//! The only way from a computed level to the price of an order.

use model::{Instrument, NumberError, Price};

/// Which neighbour a level between two ticks becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// The tick at or below: a bid, a stop of a long position.
    Down,
    /// The tick at or above: an offer, a stop of a short position.
    Up,
}

/// `level` as a price that the instrument can be ordered at. Refuses NaN, infinities and what lies
/// outside the accepted window, before and after rounding.
pub fn order_price(
    level: f64,
    instrument: &Instrument,
    rounding: Rounding,
) -> Result<Price, NumberError> {
    // NaN fails both comparisons, so it ends here as well.
    if !(level >= Price::MIN.to_f64() && level <= Price::MAX.to_f64()) {
        return Err(NumberError::OutOfRange);
    }
    // At most 10¹⁵: exact in an f64. Rounding to the last decimal first keeps 100.05 computed as
    // 100.04999999999999 on its own tick.
    let exact = Price::from_raw((level * model::fixed::ONE as f64).round() as i64);
    tick_price(exact, instrument, rounding)
}

/// An exact price moved to the instrument's tick.
pub fn tick_price(
    price: Price,
    instrument: &Instrument,
    rounding: Rounding,
) -> Result<Price, NumberError> {
    match rounding {
        Rounding::Down => price.floor_to(instrument.tick_size),
        Rounding::Up => price.ceil_to(instrument.tick_size)?,
    }
    .in_window()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_become_ticks_or_nothing() {
        let share = Instrument::share("NSE", "A", "INR".parse().unwrap());
        let price = |text: &str| text.parse::<Price>().unwrap();
        let at = |level, rounding| order_price(level, &share, rounding);
        assert_eq!(at(100.04999999999999, Rounding::Down), Ok(price("100.05")));
        assert_eq!(at(100.07, Rounding::Down), Ok(price("100.05")));
        assert_eq!(at(100.07, Rounding::Up), Ok(price("100.1")));
        for bad in [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            0.0,
            -1.0,
            0.00009,
            1.00000001e7,
        ] {
            assert_eq!(at(bad, Rounding::Up), Err(NumberError::OutOfRange), "{bad}");
        }
        // Within the window, but the tick below is zero.
        assert_eq!(at(0.01, Rounding::Down), Err(NumberError::OutOfRange));
    }
}
