//! What trading costs: an order's charges so far, and what the day's close corrects.
//!
//! Amounts are exact while price × quantity × multiplier has at most eight decimals, which holds on
//! every Indian market; else each component is cut once to the last unit of money. Statutory
//! rounding happens at the day's close only, once per component.

mod day;
mod file;
mod ledger;
mod order;
mod prepared;
mod rates;
mod schedule;
mod total;

use std::fmt;
use std::sync::Arc;

use model::{Amount, AssetClass, Currency, Date, Instrument, NumberError, Price};

use crate::provenance::Evidence;

pub use day::{DayBook, NoteClose, NoteRule};
pub use ledger::Fee;
pub use model::contract_note::{Amounts, Component, Deed, LEDGER};
pub use order::{Line, Profile, Traded};
pub use rates::{Rates, Terms};
pub use schedule::{MarketCharges, Survey};

/// What is traded, as the charges tell it apart; the exchange says whether a future is one on
/// shares, a currency or a commodity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// Shares.
    Equity,
    /// Futures of any kind.
    Futures,
    /// Options of any kind.
    Options,
}

impl Segment {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Equity, Self::Futures, Self::Options];

    /// The name in files and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equity => "equity",
            Self::Futures => "futures",
            Self::Options => "options",
        }
    }

    /// The segment of an instrument; `None` for crypto assets and spot.
    pub fn of(instrument: &Instrument) -> Option<Self> {
        match instrument.asset_class {
            AssetClass::Equity => Some(Self::Equity),
            AssetClass::Futures => Some(Self::Futures),
            AssetClass::Options => Some(Self::Options),
            AssetClass::Currency | AssetClass::Commodity => {
                match (instrument.option_kind, instrument.expiry) {
                    (Some(_), _) => Some(Self::Options),
                    (None, Some(_)) => Some(Self::Futures),
                    (None, None) => None,
                }
            }
            AssetClass::Crypto => None,
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why charges could not be read or told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChargeError {
    /// The text is not of the expected form.
    #[error("not a table of charges: {0}")]
    Toml(String),
    /// An entry makes no sense.
    #[error("[[{entry}]]: {what}")]
    Entry {
        /// The kind of entry.
        entry: String,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// No rate covers the question.
    #[error("no rate of `{component}` is known for {of} on {date}: {covered}")]
    Gap {
        /// What is missing; `schedule` where nothing is known at all.
        component: &'static str,
        /// Exchange, segment and product.
        of: String,
        /// When.
        date: Date,
        /// What is covered instead.
        covered: String,
    },
    /// No rate of any date names such trades.
    #[error(
        "no rate of `{component}` names {of} on any date: shares are held as delivery or intraday, contracts as intraday or carry_forward"
    )]
    NoSuchTrade {
        /// The component without a rate.
        component: &'static str,
        /// Exchange, segment and product.
        of: String,
    },
    /// Some contracts of the kind have rates of their own, and nobody knows whether this is one.
    #[error(
        "the rate of `{component}` for {of} depends on what the contract is written on ({named} have their own), and that is not known: name it with --underlying; of an instrument it is read from its symbol, which must have the broker's form, such as SENSEX26DEC80000CE"
    )]
    Underlying {
        /// The component whose rate depends on it.
        component: &'static str,
        /// Exchange, segment and product.
        of: String,
        /// The underlyings with rates of their own.
        named: String,
    },
    /// An exact amount does not fit.
    #[error(transparent)]
    Number(#[from] NumberError),
}

/// What an account's charges depend on besides the trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conditions {
    /// The account is in debit or the broker funds the cash component: brokerage is higher.
    pub in_debit: bool,
    /// Dates before the first known rate take that rate: for backtests, which must say so.
    pub assume_earliest_rates: bool,
}

/// How a component is computed from an order's turnover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rate {
    /// Share of the turnover in units of 10⁻⁸.
    share: i64,
    per_order: Amount,
    per_unit: Price,
    cap: Option<Amount>,
}

#[derive(Debug, Clone)]
struct RateRule {
    layer: u8,
    component: Component,
    exchanges: Vec<String>,
    segments: Vec<Segment>,
    /// Empty: all.
    products: Vec<model::signal::Product>,
    /// Empty: buying and selling.
    deeds: Vec<Deed>,
    /// Empty: all.
    underlyings: Vec<String>,
    needs_debit: bool,
    from: Date,
    to: Option<Date>,
    rate: Rate,
    evidence: Evidence,
}

#[derive(Debug, Clone)]
struct GstRule {
    layer: u8,
    component: Component,
    from: Date,
    to: Option<Date>,
    share: i64,
    on: Vec<Component>,
    evidence: Evidence,
}

#[derive(Debug, Clone)]
struct Schedule {
    note: Arc<str>,
    currency: Currency,
    exchanges: Vec<String>,
    components: Vec<Component>,
    /// What no contract note shows.
    ledger: Vec<Component>,
}

#[derive(Debug, Clone)]
struct RoundingRule {
    notes: Vec<String>,
    components: Vec<Component>,
    unit: Amount,
    evidence: Evidence,
}

#[derive(Debug, Clone)]
struct SameDayRule {
    notes: Vec<String>,
    components: Vec<Component>,
    evidence: Evidence,
}

/// The rates of all markets by date.
#[derive(Debug, Clone)]
pub struct ChargeTable {
    version: Arc<str>,
    schedules: Vec<Schedule>,
    rates: Vec<RateRule>,
    gst: Vec<GstRule>,
    rounding: Vec<RoundingRule>,
    same_day: Vec<SameDayRule>,
}

impl ChargeTable {
    /// The table of this crate's data file.
    pub fn embedded() -> Result<Self, ChargeError> {
        let mut table = Self {
            version: Arc::from(""),
            schedules: Vec::new(),
            rates: Vec::new(),
            gst: Vec::new(),
            rounding: Vec::new(),
            same_day: Vec::new(),
        };
        table.add(include_str!("../../data/charges.toml"), 0)?;
        Ok(table)
    }

    /// The embedded table with a user's text above it.
    pub fn with_overrides(text: &str) -> Result<Self, ChargeError> {
        let mut table = Self::embedded()?;
        table.add(text, 1)?;
        Ok(table)
    }

    /// Whether trades on an exchange are known to cost anything.
    pub fn knows(&self, exchange: &str) -> bool {
        let mut schedules = self.schedules.iter();
        schedules.any(|schedule| schedule.exchanges.iter().any(|e| e == exchange))
    }

    /// The version of the embedded data.
    pub fn version(&self) -> &str {
        &self.version
    }
}
