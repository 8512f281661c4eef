//! Prices that jump away from the last kept one.

use super::options::Band;

/// So many rejected rows in a row that agree with each other make their level the new one.
pub const CONFIRMATIONS: u32 = 10;

/// The judge of one instrument's prices of one day.
#[derive(Debug, Clone, Copy, Default)]
pub struct Jumps {
    last: Option<i64>,
    /// Consecutive rejected prices that lie within the band of each other.
    rejected: u32,
    low: i64,
    high: i64,
}

/// What is to become of a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Near the last kept one, or the day's first.
    Near,
    /// Far from it, but the rejected rows before it confirm the level.
    NewLevel,
    /// Too far.
    Jump,
}

impl Jumps {
    /// Judges a price. Without the confirmation, a wrong first row would discard its whole day: after
    /// [`CONFIRMATIONS`] consecutive rejections within the band of each other, the next row that
    /// agrees with them is accepted.
    #[inline]
    pub fn judge(&mut self, band: Band, price: i64) -> Verdict {
        match self.last {
            Some(last) if !band.allows(last, price) => self.far(band, price),
            _ => Verdict::Near,
        }
    }

    /// True when a price is near the last kept one, or there is none.
    #[inline]
    pub fn is_near(&self, band: Band, price: i64) -> bool {
        self.last.is_none_or(|last| band.allows(last, price))
    }

    #[cold]
    fn far(&mut self, band: Band, price: i64) -> Verdict {
        let (low, high) = (self.low.min(price), self.high.max(price));
        let agrees = self.rejected > 0 && band.allows(low, high);
        if agrees && self.rejected >= CONFIRMATIONS {
            return Verdict::NewLevel;
        }
        if agrees {
            (self.low, self.high) = (low, high);
            self.rejected += 1;
        } else {
            (self.low, self.high, self.rejected) = (price, price, 1);
        }
        Verdict::Jump
    }

    /// The row with this price has been kept.
    #[inline]
    pub fn kept(&mut self, price: i64) {
        self.last = Some(price);
        self.rejected = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(prices: impl IntoIterator<Item = i64>) -> Vec<Verdict> {
        let mut jumps = Jumps::default();
        let judge = |price| {
            let verdict = jumps.judge(Band::default(), price);
            if verdict != Verdict::Jump {
                jumps.kept(price);
            }
            verdict
        };
        prices.into_iter().map(judge).collect()
    }

    #[test]
    fn a_wrong_first_row_costs_ten_rows_and_not_the_day() {
        let seen = run([5_000].into_iter().chain((0..20).map(|i| 100 + i % 3)));
        assert_eq!(seen[0], Verdict::Near);
        assert!(seen[1..11].iter().all(|v| *v == Verdict::Jump));
        assert_eq!(seen[11], Verdict::NewLevel);
        assert!(seen[12..].iter().all(|v| *v == Verdict::Near));
    }

    #[test]
    fn outliers_that_disagree_or_are_interrupted_confirm_nothing() {
        let wild = (0..40).map(|i| if i % 2 == 0 { 1_000 } else { 5_000 });
        assert!(
            run([100].into_iter().chain(wild))
                .iter()
                .skip(1)
                .all(|v| *v == Verdict::Jump)
        );
        let interrupted = (0..60).map(|i| if i % 10 == 0 { 100 } else { 500 });
        let seen = run(interrupted);
        assert!(
            seen.iter()
                .enumerate()
                .all(|(i, v)| (*v == Verdict::Near) == (i % 10 == 0))
        );
    }

    #[test]
    fn the_band_is_inclusive_and_can_be_off() {
        assert_eq!(run([100, 120, 96]), [Verdict::Near; 3]);
        assert_eq!(
            run([100, 121, 79, 80]),
            [Verdict::Near, Verdict::Jump, Verdict::Jump, Verdict::Near]
        );
        assert!(Band::OFF.allows(1, i64::MAX));
        assert_eq!(Band::from_percent("2.5 %").unwrap().to_string(), "2.5");
        assert!(Band::from_percent("-1").is_err());
    }
}
