//! What a closed day costs: the components of charges, and the contract notes that sum them up.

use std::fmt;

use arrayvec::{ArrayString, ArrayVec};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use serde::{Deserialize as DeriveDeserialize, Serialize as DeriveSerialize};

use crate::fixed::{NumberError, Quantity};
use crate::instrument::Instrument;
use crate::money::{Amount, Currency, CurrencyIdx};
use crate::signal::{Product, Side};
use crate::time::Date;

/// One kind of charge. The order is that of output and of records: new ones go to the end.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveSerialize, DeriveDeserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// The broker's commission.
    Brokerage,
    /// Tax on securities' transactions; on commodities' where those are traded.
    Stt,
    /// The exchange's transaction charge, without the investor-protection part.
    Exchange,
    /// The exchange's contribution to its investor protection fund.
    InvestorProtection,
    /// The Indian regulator's fee.
    Sebi,
    /// Stamp duty.
    StampDuty,
    /// Tax on services.
    Gst,
    /// The American regulator's fee on sales.
    SecFee,
    /// The American self-regulator's fee on sales.
    Taf,
    /// The depository's and its participant's fee for shares that leave the account; not on the note.
    Depository,
    /// The broker's fee for an order that it places itself: to square a position off, or by telephone;
    /// not on the note.
    CallAndTrade,
    /// Tax on the services that are not on the note.
    FeesGst,
}

impl Component {
    /// All of them, in the order of output.
    pub const ALL: [Self; 12] = [
        Self::Brokerage,
        Self::Stt,
        Self::Exchange,
        Self::InvestorProtection,
        Self::Sebi,
        Self::StampDuty,
        Self::Gst,
        Self::SecFee,
        Self::Taf,
        Self::Depository,
        Self::CallAndTrade,
        Self::FeesGst,
    ];

    /// The name in files and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Brokerage => "brokerage",
            Self::Stt => "stt",
            Self::Exchange => "exchange",
            Self::InvestorProtection => "investor_protection",
            Self::Sebi => "sebi",
            Self::StampDuty => "stamp_duty",
            Self::Gst => "gst",
            Self::SecFee => "sec_fee",
            Self::Taf => "taf",
            Self::Depository => "depository",
            Self::CallAndTrade => "call_and_trade",
            Self::FeesGst => "fees_gst",
        }
    }

    /// Whether a contract note shows it; the broker posts what it does not show to the account's ledger.
    pub const fn is_on_note(self) -> bool {
        !matches!(self, Self::Depository | Self::CallAndTrade | Self::FeesGst)
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An amount per component. Recorded as the list of those that are not zero, so that a component
/// which is added later does not change what is recorded already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amounts([Amount; Component::ALL.len()]);

impl Amounts {
    /// One component's amount.
    pub const fn get(&self, component: Component) -> Amount {
        self.0[component as usize]
    }

    /// Sets one component's amount.
    pub const fn set(&mut self, component: Component, amount: Amount) {
        self.0[component as usize] = amount;
    }

    /// The components that are not zero, in the order of output.
    pub fn iter(&self) -> impl Iterator<Item = (Component, Amount)> + '_ {
        Component::ALL
            .into_iter()
            .zip(self.0)
            .filter(|(_, amount)| !amount.is_zero())
    }

    /// The exchange's charge as brokers show it: with the investor-protection part.
    pub fn exchange_turnover(&self) -> Result<Amount, NumberError> {
        self.get(Component::Exchange)
            .checked_add(self.get(Component::InvestorProtection))
    }

    /// The sum of all components.
    pub fn total(&self) -> Result<Amount, NumberError> {
        self.0
            .iter()
            .try_fold(Amount::ZERO, |sum, amount| sum.checked_add(*amount))
    }

    /// The sum, component by component.
    pub fn plus(&self, other: &Self) -> Result<Self, NumberError> {
        let mut sum = *self;
        for (mine, theirs) in sum.0.iter_mut().zip(other.0) {
            *mine = mine.checked_add(theirs)?;
        }
        Ok(sum)
    }
}

impl Serialize for Amounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let list: ArrayVec<_, { Component::ALL.len() }> = self.iter().collect();
        list.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Amounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list =
            ArrayVec::<(Component, Amount), { Component::ALL.len() }>::deserialize(deserializer)?;
        let mut amounts = Self::default();
        for (component, amount) in list {
            amounts.set(component, amount);
        }
        Ok(amounts)
    }
}

/// The kind of a contract note, such as `securities`: at most 24 bytes.
pub type NoteName = ArrayString<24>;

/// Stands in the place of a note's kind for what no contract note shows.
pub const LEDGER: &str = "ledger";

/// What happens to a contract.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveSerialize, DeriveDeserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// It is bought.
    Buy,
    /// It is sold.
    Sell,
    /// It is an option and exercised at expiry; its turnover is the intrinsic value.
    Exercise,
}

impl Deed {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Buy, Self::Sell, Self::Exercise];

    /// The name in files and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
            Self::Exercise => "exercise",
        }
    }
}

impl From<Side> for Deed {
    fn from(side: Side) -> Self {
        match side {
            Side::Buy => Self::Buy,
            Side::Sell => Self::Sell,
        }
    }
}

/// What one order has done on a day.
#[derive(Debug, Clone, Copy)]
pub struct DayOrder<'a> {
    /// The instrument.
    pub instrument: &'a Instrument,
    /// What the position is held as.
    pub product: Product,
    /// What was done.
    pub deed: Deed,
    /// Σ of the day's executions' quantities.
    pub quantity: Quantity,
    /// Σ of their notionals.
    pub notional: Amount,
    /// Σ of the charges that they booked.
    pub booked: Amount,
    /// No order has done it: an intraday position was open as its session closed, and the broker
    /// squares such a position off itself. The deed is what closes it, and nothing is booked.
    pub is_left_open: bool,
}

/// What one contract note says of a day, or the ledger of what no note shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// The kind of note.
    pub name: NoteName,
    /// The currency of the amounts.
    pub currency: Currency,
    /// The day's charges.
    pub charged: Amounts,
    /// What the executions have booked of them.
    pub booked: Amount,
}

/// What the close of a day adds to the charges that its executions have booked: rounding, and what
/// only the whole day tells, such as delivery that was bought and sold on the same day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct ChargesAdjustment {
    /// The currency of the amounts.
    pub currency: CurrencyIdx,
    /// The kind of contract note, or [`LEDGER`].
    pub note: NoteName,
    /// The trading day.
    pub date: Date,
    /// What is charged now beyond what was booked; negative where too much was booked.
    pub amount: Amount,
    /// What the note says of the whole day.
    pub charged: Amounts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_recorded_as_the_list_of_what_is_not_zero() {
        let mut amounts = Amounts::default();
        amounts.set(Component::Gst, Amount::from_int(3));
        amounts.set(Component::Stt, Amount::from_int(-2));
        assert_eq!(amounts.total(), Ok(Amount::from_int(1)));
        let listed: Vec<_> = amounts.iter().map(|(c, _)| c.name()).collect();
        assert_eq!(listed, ["stt", "gst"]);
        for (at, component) in Component::ALL.into_iter().enumerate() {
            assert_eq!(component as usize, at);
        }
    }
}
