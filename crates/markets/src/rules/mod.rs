//! What an order must look like: tick and lot sizes, freeze quantities, contract multipliers.
//!
//! The day's instrument dump comes first; these dated rules stand in where it does not say.

mod contract;
mod exchange;
mod file;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::money::Multiplier;
use model::{AssetClass, Date, Instrument, Price, Quantity};

use crate::provenance::{Evidence, Sourced};

pub use contract::{Contract, FnoNames};

/// Why rules could not be read, or have no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The text is not of the expected form.
    #[error("not a file of rules: {0}")]
    Toml(String),
    /// An entry makes no sense.
    #[error("[[{entry}]]: {what}")]
    Entry {
        /// The kind of entry.
        entry: String,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// No entry covers the question.
    #[error(
        "no {what} is known for {of} on {date}: take it from the day's instrument dump or \
         add it to the rules' file"
    )]
    Gap {
        /// Which rule.
        what: &'static str,
        /// Of what.
        of: String,
        /// When.
        date: Date,
    },
}

/// What tick sizes are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TickClass {
    /// Shares and funds.
    Equity,
    /// Futures on a share.
    StockFuture,
    /// Futures on an index.
    IndexFuture,
    /// Options of either kind.
    Option,
}

impl TickClass {
    const ALL: [Self; 4] = [
        Self::Equity,
        Self::StockFuture,
        Self::IndexFuture,
        Self::Option,
    ];

    /// The name in the rules' file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equity => "equity",
            Self::StockFuture => "stock_future",
            Self::IndexFuture => "index_future",
            Self::Option => "option",
        }
    }
}

/// A band of reference prices; the first that holds a price counts.
#[derive(Debug, Clone)]
struct Band {
    /// The first price above the band; `None`: there is none.
    end: Option<Price>,
    tick: Price,
}

#[derive(Debug, Clone)]
struct TickRule {
    layer: u8,
    exchanges: Vec<String>,
    classes: Vec<TickClass>,
    from: Date,
    bands: Vec<Band>,
    evidence: Evidence,
}

/// A value of an exchange's contracts, or of those on one underlying, from a date on.
#[derive(Debug, Clone)]
struct Dated<T> {
    layer: u8,
    exchange: String,
    underlying: Option<String>,
    from: Option<Date>,
    value: T,
    evidence: Evidence,
}

fn latest<T: Copy>(
    entries: &[Dated<T>],
    exchange: &str,
    underlying: Option<&str>,
    date: Date,
) -> Option<Sourced<T>> {
    entries
        .iter()
        .filter(|e| e.exchange == exchange && e.from.is_none_or(|from| from <= date))
        .filter(|e| e.underlying.is_none() || e.underlying.as_deref() == underlying)
        // The more special entry counts, then the user's, then the later.
        .max_by_key(|e| (e.underlying.is_some(), e.layer, e.from))
        .map(|e| Sourced {
            value: e.value,
            evidence: e.evidence.clone(),
        })
}

/// The dated rules of the exchanges.
#[derive(Debug, Clone)]
pub struct Rules {
    version: Arc<str>,
    indices: BTreeMap<String, Evidence>,
    ticks: Vec<TickRule>,
    lots: Vec<Dated<Quantity>>,
    freezes: Vec<Dated<Quantity>>,
    multipliers: Vec<Dated<Multiplier>>,
}

impl Rules {
    /// The rules of this crate's data file.
    pub fn embedded() -> Result<Self, RuleError> {
        let mut rules = Self {
            version: Arc::from(""),
            indices: BTreeMap::new(),
            ticks: Vec::new(),
            lots: Vec::new(),
            freezes: Vec::new(),
            multipliers: Vec::new(),
        };
        rules.add(include_str!("../../data/rules.toml"), 0)?;
        Ok(rules)
    }

    /// The embedded rules with a user's text above them.
    pub fn with_overrides(text: &str) -> Result<Self, RuleError> {
        let mut rules = Self::embedded()?;
        rules.add(text, 1)?;
        Ok(rules)
    }

    /// A contract of an exchange on which everything depends on its underlying, which its symbol does
    /// not tell.
    pub fn is_unreadable(&self, instrument: &Instrument) -> bool {
        instrument.expiry.is_some()
            && matches!(instrument.exchange.as_str(), "NFO" | "BFO")
            && self.contract(&instrument.symbol).is_none()
    }

    /// The exchanges that the user's file names: whether they exist others know.
    pub fn named_exchanges(&self) -> impl Iterator<Item = &str> {
        let lots = self.lots.iter().chain(&self.freezes);
        let lots = lots
            .filter(|dated| dated.layer > 0)
            .map(|dated| &dated.exchange);
        let multipliers = self.multipliers.iter().filter(|dated| dated.layer > 0);
        let ticks = self.ticks.iter().filter(|rule| rule.layer > 0);
        lots.chain(multipliers.map(|dated| &dated.exchange))
            .chain(ticks.flat_map(|rule| &rule.exchanges))
            .map(String::as_str)
    }

    /// The version of the embedded data.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// How tick sizes see an instrument; `None` where they are not told by class.
    pub fn tick_class(&self, instrument: &Instrument) -> Option<TickClass> {
        let contract = self.contract(&instrument.symbol);
        match instrument.asset_class {
            AssetClass::Equity => Some(TickClass::Equity),
            AssetClass::Futures if contract.is_some_and(|c| c.is_index) => {
                Some(TickClass::IndexFuture)
            }
            AssetClass::Futures => Some(TickClass::StockFuture),
            AssetClass::Options => Some(TickClass::Option),
            _ => None,
        }
    }

    /// The tick size by the rule of the date; `reference` is the closing price by which the
    /// exchange fixes it, not the price of an order.
    pub fn tick_size(
        &self,
        exchange: &str,
        class: TickClass,
        reference: Price,
        date: Date,
    ) -> Result<Sourced<Price>, RuleError> {
        let rule = self
            .ticks
            .iter()
            .filter(|rule| rule.from <= date && rule.classes.contains(&class))
            .filter(|rule| rule.exchanges.iter().any(|e| e == exchange))
            .max_by_key(|rule| (rule.layer, rule.from));
        let band = rule.and_then(|rule| {
            let holds = |band: &&Band| band.end.is_none_or(|end| reference < end);
            rule.bands.iter().find(holds).map(|band| Sourced {
                value: band.tick,
                evidence: rule.evidence.clone(),
            })
        });
        band.ok_or_else(|| RuleError::Gap {
            what: "tick size",
            of: format!("{exchange} {} at {reference}", class.name()),
            date,
        })
    }

    /// The lot size of contracts on an underlying.
    pub fn lot_size(
        &self,
        exchange: &str,
        underlying: &str,
        date: Date,
    ) -> Result<Sourced<Quantity>, RuleError> {
        latest(&self.lots, exchange, Some(underlying), date).ok_or_else(|| RuleError::Gap {
            what: "lot size",
            of: format!("{exchange}:{underlying}"),
            date,
        })
    }

    /// The largest quantity of one order, where it is configured.
    pub fn freeze_quantity(
        &self,
        exchange: &str,
        underlying: Option<&str>,
        date: Date,
    ) -> Option<Sourced<Quantity>> {
        latest(&self.freezes, exchange, underlying, date)
    }

    /// Units of the quoted thing in one unit of quantity.
    pub fn multiplier(
        &self,
        exchange: &str,
        underlying: Option<&str>,
        date: Date,
    ) -> Result<Sourced<Multiplier>, RuleError> {
        latest(&self.multipliers, exchange, underlying, date).ok_or_else(|| RuleError::Gap {
            what: "contract multiplier",
            of: match underlying {
                Some(underlying) => format!("{exchange}:{underlying}"),
                None => exchange.to_owned(),
            },
            date,
        })
    }
}
