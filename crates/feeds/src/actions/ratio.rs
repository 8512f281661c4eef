//! Exact ratios of shares.

use std::fmt;

/// New shares for old ones, without a common divisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    new: u64,
    old: u64,
}

/// More than this on one side is a slip of the pen: face values are small numbers.
const SIDE_MAX: u64 = 1_000_000;

fn divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

impl Ratio {
    /// One for one.
    pub const ONE: Self = Self { new: 1, old: 1 };

    /// `None` when a side is zero, or absurdly large without their common divisor.
    pub fn new(new: u64, old: u64) -> Option<Self> {
        let common = divisor(new, old);
        let (new, old) = (new / common, old / common);
        let holds = |side: u64| (1..=SIDE_MAX).contains(&side);
        (holds(new) && holds(old)).then_some(Self { new, old })
    }

    /// Both, one after the other; `None` when their product is absurdly large.
    pub fn and(self, other: Self) -> Option<Self> {
        Self::new(
            self.new.checked_mul(other.new)?,
            self.old.checked_mul(other.old)?,
        )
    }

    /// A quantity of old shares in new ones.
    #[inline]
    pub fn quantity(self, value: i64) -> Option<i64> {
        scale(value, self.new, self.old)
    }

    /// A price of an old share as that of a new one.
    #[inline]
    pub fn price(self, value: i64) -> Option<i64> {
        scale(value, self.old, self.new)
    }
}

/// `value × by ÷ over`, the exact result rounded once, half up. Rounding never swaps two values, so
/// that a bar's low stays its lowest price.
#[inline]
fn scale(value: i64, by: u64, over: u64) -> Option<i64> {
    // Both sides are small: see `SIDE_MAX`.
    let (by, over) = (by as i64, over as i64);
    if let Some(product) = value.checked_mul(by).and_then(|p| p.checked_add(over / 2)) {
        return Some(product.div_euclid(over));
    }
    let product = i128::from(value) * i128::from(by) + i128::from(over / 2);
    i64::try_from(product.div_euclid(i128::from(over))).ok()
}

/// `3:2`: three new shares for two old ones.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.new, self.old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What a row was worth, it is worth: price × quantity moves by no more than the two roundings,
        /// half a unit of each.
        #[test]
        fn value_is_kept(
            price in 10_000i64..=1_000_000_000_000_000,
            quantity in 1i64..=100_000_000_000_000,
            new in 1u64..200,
            old in 1u64..200,
        ) {
            let ratio = Ratio::new(new, old).unwrap();
            let adjusted_price = ratio.price(price).unwrap();
            let adjusted_quantity = ratio.quantity(quantity).unwrap();
            let before = i128::from(price) * i128::from(quantity);
            let after = i128::from(adjusted_price) * i128::from(adjusted_quantity);
            // Doubled, as the bound is in halves.
            let bound = i128::from(adjusted_price) + i128::from(adjusted_quantity) + 1;
            prop_assert!(2 * (after - before).abs() <= bound, "{} {}", before, after);
        }

        #[test]
        fn order_is_kept(a in 0i64..i64::MAX, b in 0i64..i64::MAX, new in 1u64..50, old in 1u64..50) {
            let ratio = Ratio::new(new, old).unwrap();
            if let (Some(x), Some(y)) = (ratio.price(a.min(b)), ratio.price(a.max(b))) {
                prop_assert!(x <= y);
            }
        }
    }

    #[test]
    fn halves_go_up_and_what_does_not_fit_is_refused() {
        let three_for_two = Ratio::new(6, 4).unwrap();
        assert_eq!(three_for_two.to_string(), "3:2");
        // 100 ÷ 1.5 = 66.666…
        assert_eq!(three_for_two.price(10_000_000_000), Some(6_666_666_667));
        assert_eq!(Ratio::new(2, 1).unwrap().price(5), Some(3));
        assert_eq!(Ratio::new(5, 1).unwrap().quantity(i64::MAX), None);
        assert_eq!(
            Ratio::new(1, 5).unwrap().quantity(i64::MAX),
            Some(i64::MAX / 5)
        );
        assert_eq!(Ratio::new(0, 1), None);
        assert_eq!(Ratio::new(1_000_001, 1), None);
    }
}
