//! Instruments and their registry.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::fixed::{Price, Quantity};
use crate::money::{Currency, CurrencyIdx, Multiplier};
use crate::time::Date;

/// An instrument's dense index: its rank among the registry's canonical ids.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct InstrumentIdx(pub u32);

impl InstrumentIdx {
    /// As an index of a table by instrument.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The asset classes, which are also the market topics' middle names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AssetClass {
    /// Shares and funds.
    Equity,
    /// Futures on shares and indices.
    Futures,
    /// Options on shares and indices.
    Options,
    /// Currency derivatives and spot.
    Currency,
    /// Commodity derivatives.
    Commodity,
    /// Crypto assets.
    Crypto,
}

impl AssetClass {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Equity,
        Self::Futures,
        Self::Options,
        Self::Currency,
        Self::Commodity,
        Self::Crypto,
    ];

    /// The name in topics, settings and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equity => "equity",
            Self::Futures => "futures",
            Self::Options => "options",
            Self::Currency => "currency",
            Self::Commodity => "commodity",
            Self::Crypto => "crypto",
        }
    }
}

impl fmt::Display for AssetClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for AssetClass {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|class| class.name() == text)
            .ok_or_else(|| {
                let known: Vec<_> = Self::ALL.iter().map(|c| c.name()).collect();
                format!("unknown asset class `{text}`; known: {}", known.join(", "))
            })
    }
}

/// Call or put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptionKind {
    /// The right to buy.
    Call,
    /// The right to sell.
    Put,
}

/// One tradable thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrument {
    /// Canonical id: `EXCHANGE:SYMBOL`, such as `NSE:RELIANCE`.
    pub id: String,
    /// The exchange's code, the id's first part.
    pub exchange: String,
    /// The exchange's symbol, the id's second part.
    pub symbol: String,
    /// Asset class.
    pub asset_class: AssetClass,
    /// Currency of its prices.
    pub currency: Currency,
    /// Units of the quoted thing in one unit of quantity.
    pub multiplier: Multiplier,
    /// Limit and trigger prices are multiples of it.
    pub tick_size: Price,
    /// Order quantities are multiples of it.
    pub lot_size: Quantity,
    /// Last trading day of a derivative.
    pub expiry: Option<Date>,
    /// Strike price of an option.
    pub strike: Option<Price>,
    /// Kind of an option.
    pub option_kind: Option<OptionKind>,
    /// Other names under which files and people know it.
    pub aliases: Vec<String>,
    /// What each broker calls it: opaque here, read by that broker's adapters only.
    pub references: BTreeMap<String, String>,
    /// Whether contracts are written on this share, where the list of instruments says: its market
    /// closes in another way then.
    pub fno: Option<bool>,
}

impl Instrument {
    /// A share of one unit per lot with a tick of 0.05, to be adjusted by the caller.
    pub fn share(exchange: &str, symbol: &str, currency: Currency) -> Self {
        Self {
            id: format!("{exchange}:{symbol}"),
            exchange: exchange.to_owned(),
            symbol: symbol.to_owned(),
            asset_class: AssetClass::Equity,
            currency,
            multiplier: Multiplier::ONE,
            tick_size: Price::from_raw(5_000_000),
            lot_size: Quantity::from_raw(crate::fixed::ONE),
            expiry: None,
            strike: None,
            option_kind: None,
            aliases: Vec::new(),
            references: BTreeMap::new(),
            fno: None,
        }
    }
}

/// Why a registry could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Two instruments have one id.
    #[error("instrument `{0}` is defined twice")]
    Duplicate(String),
    /// Two instruments share an alias.
    #[error("alias `{alias}` belongs to both `{first}` and `{second}`")]
    AliasConflict {
        /// The alias.
        alias: String,
        /// Who had it.
        first: String,
        /// Who wants it too.
        second: String,
    },
    /// An id is not `EXCHANGE:SYMBOL`.
    #[error("`{0}` is not a canonical id: write EXCHANGE:SYMBOL, for example NSE:RELIANCE")]
    BadId(String),
    /// A number of an instrument is nonsense.
    #[error("instrument `{id}`: {what} must be positive")]
    NotPositive {
        /// The instrument.
        id: String,
        /// Which number.
        what: &'static str,
    },
    /// More instruments or currencies than the indices can hold.
    #[error("too many {0}")]
    TooMany(&'static str),
}

/// Why a name did not lead to one instrument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No instrument has this name.
    #[error("instrument `{name}` does not exist{}", suggest(.suggestions))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names that look like it.
        suggestions: Vec<String>,
    },
    /// It exists, but what is known of it is not enough to trade it.
    #[error("instrument `{name}` cannot be used: {why}")]
    LeftOut {
        /// What was asked for.
        name: String,
        /// What is missing, and what to do.
        why: String,
    },
    /// Several exchanges list this symbol.
    #[error("`{name}` is listed more than once ({}): write the whole id", .candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// The ids it may mean.
        candidates: Vec<String>,
    },
}

fn suggest(suggestions: &[String]) -> String {
    if suggestions.is_empty() {
        String::new()
    } else {
        format!("; did you mean {}?", suggestions.join(" or "))
    }
}

/// The instruments of one start of the system, in the order of their canonical ids.
#[derive(Clone, Default)]
pub struct Instruments {
    all: Vec<Instrument>,
    currency_of: Vec<CurrencyIdx>,
    currencies: Vec<Currency>,
    by_id: HashMap<String, InstrumentIdx>,
    by_name: HashMap<String, Vec<InstrumentIdx>>,
    left_out: BTreeMap<String, String>,
}

/// States that hold a registry are compared by their text: it is told by its size alone.
impl fmt::Debug for Instruments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instruments({})", self.all.len())
    }
}

impl Instruments {
    /// Sorts, checks and indexes. The order of `all` does not matter.
    pub fn new(mut all: Vec<Instrument>) -> Result<Self, RegistryError> {
        all.sort_by(|a, b| a.id.cmp(&b.id));
        if u32::try_from(all.len()).is_err() {
            return Err(RegistryError::TooMany("instruments"));
        }
        let mut currencies: Vec<Currency> = all.iter().map(|i| i.currency).collect();
        currencies.sort_unstable();
        currencies.dedup();
        if u16::try_from(currencies.len()).is_err() {
            return Err(RegistryError::TooMany("currencies"));
        }
        let mut registry = Self {
            currency_of: Vec::with_capacity(all.len()),
            by_id: HashMap::with_capacity(all.len()),
            by_name: HashMap::new(),
            left_out: BTreeMap::new(),
            currencies,
            all: Vec::new(),
        };
        let mut alias_owner: HashMap<&str, &str> = HashMap::new();
        for (index, instrument) in all.iter().enumerate() {
            let index = InstrumentIdx(index as u32);
            let id = &instrument.id;
            let parts = (&*instrument.exchange, &*instrument.symbol);
            if id.split_once(':') != Some(parts) || parts.0.is_empty() || parts.1.is_empty() {
                return Err(RegistryError::BadId(id.clone()));
            }
            let not_positive = |what| {
                Err(RegistryError::NotPositive {
                    id: id.clone(),
                    what,
                })
            };
            if instrument.tick_size <= Price::ZERO {
                return not_positive("tick_size");
            }
            if instrument.lot_size <= Quantity::ZERO {
                return not_positive("lot_size");
            }
            if registry.by_id.insert(id.clone(), index).is_some() {
                return Err(RegistryError::Duplicate(id.clone()));
            }
            let position = registry.currencies.binary_search(&instrument.currency);
            registry
                .currency_of
                .push(CurrencyIdx(position.unwrap_or_default() as u16));
            registry
                .by_name
                .entry(instrument.symbol.clone())
                .or_default()
                .push(index);
            for alias in &instrument.aliases {
                if let Some(first) = alias_owner.insert(alias, id)
                    && first != id
                {
                    return Err(RegistryError::AliasConflict {
                        alias: alias.clone(),
                        first: first.to_owned(),
                        second: id.clone(),
                    });
                }
                let named = registry.by_name.entry(alias.clone()).or_default();
                if !named.contains(&index) {
                    named.push(index);
                }
            }
        }
        registry.all = all;
        Ok(registry)
    }

    /// Remembers, by their ids, instruments that could not be taken in, with what is missing and what to
    /// do: who asks for one is told.
    pub fn with_left_out(mut self, left_out: BTreeMap<String, String>) -> Self {
        self.left_out = left_out;
        self
    }
    /// Those that could not be taken in.
    pub const fn left_out(&self) -> &BTreeMap<String, String> {
        &self.left_out
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }
    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
    /// The instrument of an index of this registry.
    #[inline]
    pub fn get(&self, index: InstrumentIdx) -> &Instrument {
        &self.all[index.index()]
    }
    /// The index of the instrument's currency.
    #[inline]
    pub fn currency(&self, index: InstrumentIdx) -> CurrencyIdx {
        self.currency_of[index.index()]
    }
    /// The currencies, in the order of their indices.
    pub fn currencies(&self) -> &[Currency] {
        &self.currencies
    }
    /// All, with their indices, in the order of their canonical ids.
    pub fn iter(&self) -> impl Iterator<Item = (InstrumentIdx, &Instrument)> {
        self.all
            .iter()
            .enumerate()
            .map(|(i, instrument)| (InstrumentIdx(i as u32), instrument))
    }

    /// By canonical id, else by symbol or alias where that is unambiguous.
    pub fn find(&self, name: &str) -> Result<InstrumentIdx, LookupError> {
        if let Some(index) = self.by_id.get(name) {
            return Ok(*index);
        }
        match self.by_name.get(name).map(Vec::as_slice) {
            Some([index]) => Ok(*index),
            Some(several) => Err(LookupError::Ambiguous {
                name: name.to_owned(),
                candidates: several.iter().map(|i| self.get(*i).id.clone()).collect(),
            }),
            None => Err(self.missing(name)),
        }
    }

    #[cold]
    fn missing(&self, name: &str) -> LookupError {
        let is_it = |id: &str| id == name || id.split_once(':').is_some_and(|(_, s)| s == name);
        match self.left_out.iter().find(|(id, _)| is_it(id)) {
            Some((_, why)) => LookupError::LeftOut {
                name: name.to_owned(),
                why: why.clone(),
            },
            None => LookupError::Unknown {
                name: name.to_owned(),
                suggestions: self.suggestions(name),
            },
        }
    }

    fn suggestions(&self, name: &str) -> Vec<String> {
        let wanted = name.rsplit(':').next().unwrap_or(name).to_ascii_uppercase();
        let mut near: Vec<(usize, &str)> = self
            .all
            .iter()
            .map(|i| (edit_distance(&wanted, &i.symbol), i.id.as_str()))
            .filter(|(distance, _)| *distance <= 2)
            .collect();
        near.sort_unstable();
        near.into_iter()
            .take(3)
            .map(|(_, id)| id.to_owned())
            .collect()
    }
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inr() -> Currency {
        "INR".parse().unwrap()
    }

    #[test]
    fn names_lead_to_one_instrument_whatever_the_order() {
        let mut mahindra = Instrument::share("NSE", "M&M", inr());
        mahindra.aliases = vec!["MM".into()];
        let all = vec![
            Instrument::share("NSE", "RELIANCE", inr()),
            mahindra,
            Instrument::share("BSE", "RELIANCE", inr()),
        ];
        let forward = Instruments::new(all.clone()).unwrap();
        let backward = Instruments::new(all.into_iter().rev().collect()).unwrap();
        for registry in [&forward, &backward] {
            assert_eq!(registry.get(registry.find("MM").unwrap()).id, "NSE:M&M");
            assert_eq!(registry.find("NSE:RELIANCE").unwrap(), InstrumentIdx(2));
            assert!(matches!(
                registry.find("RELIANCE"),
                Err(LookupError::Ambiguous { .. })
            ));
            let message = registry.find("NSE:RELIANC").unwrap_err().to_string();
            assert!(message.contains("did you mean"), "{message}");
        }
    }

    #[test]
    fn a_registry_refuses_conflicts() {
        let twice = vec![
            Instrument::share("NSE", "A", inr()),
            Instrument::share("NSE", "A", inr()),
        ];
        assert_eq!(
            Instruments::new(twice).unwrap_err(),
            RegistryError::Duplicate("NSE:A".into())
        );
        let mut a = Instrument::share("NSE", "A", inr());
        a.aliases = vec!["X".into()];
        let mut b = Instrument::share("NSE", "B", inr());
        b.aliases = vec!["X".into()];
        assert!(matches!(
            Instruments::new(vec![a, b]),
            Err(RegistryError::AliasConflict { .. })
        ));
    }
}
