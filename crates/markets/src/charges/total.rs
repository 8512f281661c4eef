//! The sum of an order's charges in few steps: every execution asks for it, and the components that
//! are mere shares of the turnover can be taken together wherever each of them is exact.

use model::{Amount, NumberError};

use super::{Component, Profile, Rate, Rates, Traded};

/// Components that are computed one by one: the brokerage, in the US the fee by the unit too. What has
/// more is computed the long way.
const SINGLE_MAX: usize = 2;

/// The rates of one kind of trade, prepared for the sum alone.
#[derive(Debug, Clone)]
pub(super) struct OrderTotal {
    /// Boxed: only the long way reads them.
    rates: Box<Rates>,
    profile: Profile,
    /// `None` where these rates have no short way.
    short: Option<Short>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Short {
    /// Σ of the shares of the turnover, in units of 10⁻⁸.
    share: i64,
    /// Of these, the ones on which there is tax on services.
    taxed: i64,
    /// What has a cap, or a fee by the order or by the unit; true: taxed.
    single: [Option<(Rate, bool)>; SINGLE_MAX],
    gst: i64,
}

impl OrderTotal {
    /// Of an order in a profile.
    pub fn new(rates: Rates, profile: Profile) -> Self {
        Self {
            short: Short::of(&rates, profile),
            rates: Box::new(rates),
            profile,
        }
    }

    /// The total of [`Rates::of_order`].
    pub fn of(&self, traded: Traded) -> Result<Amount, NumberError> {
        let turnover = traded.notional.abs().split();
        match (&self.short, turnover.eight_decimals()) {
            // With no more than these each share of it is exact, and so is their sum.
            (Some(short), Some(whole)) => short.of_whole(traded, whole),
            _ => self.rates.of_order(traded, self.profile)?.total(),
        }
    }
}

impl Short {
    fn of(rates: &Rates, profile: Profile) -> Option<Self> {
        let mut short = Self::default();
        let taxed = |component: Component| {
            let gst = rates.gst.as_ref();
            gst.is_some_and(|gst| gst.on.contains(&component))
        };
        if let Some(gst) = &rates.gst {
            short.gst = gst.share;
        }
        let mut single = short.single.iter_mut();
        for held in &rates.held {
            if held.component == Component::StampDuty && profile == Profile::Estimate {
                continue;
            }
            let is_taxed = taxed(held.component);
            if held.rate.is_linear() && held.rate.per_unit.is_zero() {
                short.share = short.share.checked_add(held.rate.share)?;
                if is_taxed {
                    short.taxed = short.taxed.checked_add(held.rate.share)?;
                }
            } else {
                *single.next()? = Some((held.rate, is_taxed));
            }
        }
        Some(short)
    }

    fn of_whole(&self, traded: Traded, whole: u64) -> Result<Amount, NumberError> {
        // Two factors of 64 bits fit a product of 128.
        let share = |share: i64| Amount::from_raw(i128::from(whole) * i128::from(share));
        let (mut total, mut base) = (share(self.share), share(self.taxed));
        for (rate, is_taxed) in self.single.iter().flatten() {
            let amount = rate.beyond(traded, share(rate.share))?;
            total = total.checked_add(amount)?;
            if *is_taxed {
                base = base.checked_add(amount)?;
            }
        }
        total.checked_add(base.fraction(self.gst)?)
    }
}

#[cfg(test)]
mod tests {
    use model::fixed::ONE;
    use model::signal::Product;
    use model::{Date, Quantity};

    use super::super::{ChargeTable, Conditions, Deed, Segment, Terms};
    use super::*;

    #[test]
    fn the_short_way_gives_what_the_long_one_gives() {
        let table = ChargeTable::embedded().unwrap();
        let (mut kinds, mut short) = (0, 0);
        for exchange in ["NSE", "BSE", "NFO", "BFO", "CDS", "MCX", "US"] {
            for segment in Segment::ALL {
                for product in Product::ALL {
                    for (deed, year) in Deed::ALL.into_iter().flat_map(|d| [(d, 2025), (d, 2026)]) {
                        let terms = Terms {
                            exchange,
                            segment,
                            product,
                            deed,
                            underlying: None,
                            date: Date::new(year, 11, 25).unwrap(),
                        };
                        let Ok(rates) = table.rates(&terms, Conditions::default()) else {
                            continue;
                        };
                        for profile in Profile::ALL {
                            let total = OrderTotal::new(rates.clone(), profile);
                            kinds += 1;
                            short += usize::from(total.short.is_some());
                            compare(&rates, profile, &total);
                        }
                    }
                }
            }
        }
        assert!(kinds > 50, "{kinds}");
        assert_eq!(kinds, short, "kinds of trades without a short way");
    }

    /// Turnovers of any size: round ones and others, below and above a cap, and too large ones.
    fn compare(rates: &Rates, profile: Profile, total: &OrderTotal) {
        let mut seed: u128 = 0x9E37_79B9_7F4A_7C15;
        for n in 0..400u32 {
            seed = seed.wrapping_mul(0xDA94_2042_E4DD_58B5).wrapping_add(11);
            let raw = i128::try_from(seed >> (1 + n % 127)).unwrap();
            let round = raw - raw % i128::from(ONE);
            for raw in [raw, -raw, round, -round, i128::MAX, 0] {
                let traded = Traded {
                    notional: Amount::from_raw(raw),
                    quantity: Quantity::from_raw((seed >> 90) as i64),
                };
                let long = rates.of_order(traded, profile).and_then(|a| a.total());
                match (total.of(traded), long) {
                    (Ok(short), Ok(long)) => assert_eq!(short, long, "{traded:?}"),
                    (short, long) => assert_eq!(short.is_err(), long.is_err(), "{traded:?}"),
                }
            }
        }
    }
}
