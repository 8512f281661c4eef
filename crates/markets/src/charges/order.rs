//! An order's charges from what it has traded so far.

use std::fmt;
use std::str::FromStr;

use model::money::{Multiplier, Split};
use model::{Amount, NumberError, Quantity};

use super::rates::Held;
use super::{Amounts, Component, Rate, Rates};
use crate::provenance::Evidence;

/// How exactly charges follow the contract note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Profile {
    /// As the broker's own calculator: nothing rounded, no stamp duty.
    Estimate,
    /// As the contract note: with stamp duty, rounded at the day's close.
    #[default]
    ContractNote,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Estimate, Self::ContractNote];

    /// The name in settings and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Estimate => "estimate",
            Self::ContractNote => "contract_note",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Profile {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|p| p.name() == text);
        found.ok_or_else(|| {
            format!("unknown profile of charges `{text}`; known: estimate, contract_note")
        })
    }
}

/// What has been traded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traded {
    /// Price × quantity × multiplier.
    pub notional: Amount,
    /// How much.
    pub quantity: Quantity,
}

impl Traded {
    /// With another execution's.
    pub fn plus(self, other: Self) -> Result<Self, NumberError> {
        Ok(Self {
            notional: self.notional.checked_add(other.notional)?,
            quantity: self.quantity.checked_add(other.quantity)?,
        })
    }

    /// Without a part of it.
    pub(super) fn minus(self, part: Self) -> Result<Self, NumberError> {
        Ok(Self {
            notional: self.notional.checked_sub(part.notional)?,
            quantity: self.quantity.checked_sub(part.quantity)?,
        })
    }

    /// The part of it that `part` has in `whole`, by value rounded once to the last unit.
    pub(super) fn share(self, part: Quantity, whole: Quantity) -> Result<Self, NumberError> {
        let quantity = Amount::from_raw(i128::from(self.quantity.raw())).share(part, whole)?;
        let quantity = i64::try_from(quantity.raw()).map_err(|_| NumberError::Overflow)?;
        Ok(Self {
            notional: self.notional.share(part, whole)?,
            quantity: Quantity::from_raw(quantity),
        })
    }
}

/// One component, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which.
    pub component: Component,
    /// How much.
    pub amount: Amount,
    /// The rate in words: `0.03 %, at most 20 an order`.
    pub rate: String,
    /// What supports it.
    pub evidence: Evidence,
}

impl Rate {
    /// Of one order.
    pub(super) fn of(&self, traded: Traded) -> Result<Amount, NumberError> {
        self.of_turnover(traded, traded.notional.abs().split())
    }

    /// With the turnover taken apart, as several components are computed from it.
    fn of_turnover(&self, traded: Traded, turnover: Split) -> Result<Amount, NumberError> {
        self.beyond(traded, turnover.fraction(self.share)?)
    }

    /// With the flat parts and the cap, where the share of the turnover is known.
    pub(super) fn beyond(&self, traded: Traded, share: Amount) -> Result<Amount, NumberError> {
        let mut amount = share;
        if !self.per_order.is_zero() && !traded.notional.is_zero() {
            amount = amount.checked_add(self.per_order)?;
        }
        if !self.per_unit.is_zero() {
            let fee = Amount::notional(self.per_unit, traded.quantity, Multiplier::ONE)?;
            amount = amount.checked_add(fee)?;
        }
        Ok(self.cap.map_or(amount, |cap| amount.min(cap)))
    }

    /// Whether several orders together cost what they cost one by one.
    pub(super) fn is_linear(&self) -> bool {
        self.cap.is_none() && self.per_order.is_zero()
    }

    fn words(&self) -> String {
        let mut parts = Vec::new();
        if self.per_order.is_zero() && self.per_unit.is_zero() || self.share != 0 {
            parts.push(percent(self.share));
        }
        if !self.per_order.is_zero() {
            parts.push(format!("{} an order", self.per_order));
        }
        if !self.per_unit.is_zero() {
            parts.push(format!("{} a unit", self.per_unit));
        }
        let parts = parts.join(" and ");
        match self.cap {
            Some(cap) => format!("{parts}, at most {cap} an order"),
            None => parts,
        }
    }
}

/// A share in units of 10⁻⁸ as a percentage.
pub(super) fn percent(share: i64) -> String {
    // A percentage has a hundredth of the share's decimals.
    format!(
        "{} %",
        Amount::from_raw(i128::from(share) * 1_000_000_000_000)
    )
}

impl Rates {
    /// An order's charges so far. A fill books these less what is booked already.
    pub fn of_order(&self, traded: Traded, profile: Profile) -> Result<Amounts, NumberError> {
        let mut amounts = Amounts::default();
        let turnover = traded.notional.abs().split();
        for Held {
            component, rate, ..
        } in &self.held
        {
            if *component == Component::StampDuty && profile == Profile::Estimate {
                continue;
            }
            amounts.set(*component, rate.of_turnover(traded, turnover)?);
        }
        self.add_gst(&mut amounts)?;
        Ok(amounts)
    }

    /// Sets the tax on services from the other components, unrounded as they are.
    pub(super) fn add_gst(&self, amounts: &mut Amounts) -> Result<(), NumberError> {
        if let Some(gst) = &self.gst {
            let base = gst.on.iter().try_fold(Amount::ZERO, |sum, component| {
                sum.checked_add(amounts.get(*component))
            })?;
            amounts.set(Component::Gst, base.fraction(gst.share)?);
        }
        Ok(())
    }

    /// Each component of [`Rates::of_order`] with its rate and evidence, also one that such a trade
    /// does not pay.
    pub fn explain(&self, traded: Traded, profile: Profile) -> Result<Vec<Line>, NumberError> {
        let amounts = self.of_order(traded, profile)?;
        let mut lines: Vec<Line> = self
            .held
            .iter()
            .map(|held| Line {
                component: held.component,
                amount: amounts.get(held.component),
                rate: held.rate.words(),
                evidence: held.evidence.clone(),
            })
            .collect();
        lines.extend(self.free.iter().map(|(component, evidence)| Line {
            component: *component,
            amount: Amount::ZERO,
            rate: "not on this side".to_owned(),
            evidence: evidence.clone(),
        }));
        if let Some(gst) = &self.gst {
            let on: Vec<&str> = gst.on.iter().map(|c| c.name()).collect();
            lines.push(Line {
                component: Component::Gst,
                amount: amounts.get(Component::Gst),
                rate: format!("{} of {}", percent(gst.share), on.join(" + ")),
                evidence: gst.evidence.clone(),
            });
        }
        lines.sort_by_key(|line| line.component);
        Ok(lines)
    }
}
