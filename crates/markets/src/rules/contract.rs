//! What an Indian derivative is written on, read from its symbol: brokers' dumps name it nowhere
//! else that is kept.

use std::collections::BTreeSet;

use model::AssetClass;
use model::instrument::{Instrument, Instruments};

use super::Rules;

/// What a contract is written on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contract<'a> {
    /// The share, index, commodity or pair.
    pub underlying: &'a str,
    /// Whether that is an index.
    pub is_index: bool,
}

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];

/// `26DECFUT`, `26DEC24000CE`, `26DEC102.5PE`.
fn is_monthly(tail: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let Some((year, rest)) = tail.split_at_checked(2) else {
        return false;
    };
    let Some((month, rest)) = rest.split_at_checked(3) else {
        return false;
    };
    let strike = rest.strip_suffix("CE").or_else(|| rest.strip_suffix("PE"));
    let ends = rest == "FUT"
        || strike.is_some_and(|s| {
            s.starts_with(|c: char| c.is_ascii_digit())
                && s.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        });
    digits(year) && MONTHS.contains(&month) && ends
}

impl Rules {
    /// Reads a derivative's symbol, such as `NIFTY2371317900PE` or `M&M26DECFUT`; `None` where it
    /// is not of a known form.
    pub fn contract<'a>(&self, symbol: &'a str) -> Option<Contract<'a>> {
        let index = self
            .indices
            .keys()
            .filter(|name| {
                symbol
                    .strip_prefix(name.as_str())
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            })
            // NIFTYNXT50 before any shorter name that it starts with.
            .max_by_key(|name| name.len());
        if let Some(name) = index {
            return symbol.get(..name.len()).map(|underlying| Contract {
                underlying,
                is_index: true,
            });
        }
        let at = symbol
            .char_indices()
            .skip(1)
            .map(|(at, _)| at)
            .find(|at| symbol.get(*at..).is_some_and(is_monthly))?;
        symbol.get(..at).map(|underlying| Contract {
            underlying,
            is_index: false,
        })
    }
}

/// The shares that futures are written on: their market closes with an auction. They are those with a
/// future in the day's dump, and those of which the list of instruments says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FnoNames(BTreeSet<String>);

impl FnoNames {
    /// From the futures among the day's instruments.
    pub fn of(rules: &Rules, instruments: &Instruments) -> Self {
        let names = instruments
            .iter()
            .filter(|(_, i)| i.asset_class == AssetClass::Futures)
            .filter_map(|(_, i)| rules.contract(&i.symbol))
            .filter(|contract| !contract.is_index)
            .map(|contract| contract.underlying.to_owned());
        let mut found = Self(names.collect());
        let said = instruments.iter().filter(|(_, i)| i.fno == Some(true));
        found.extend(said.map(|(_, i)| i.symbol.clone()));
        found
    }

    /// Adds names that another source gives.
    pub fn extend(&mut self, names: impl IntoIterator<Item = String>) {
        self.0.extend(names);
    }

    /// Whether a symbol is among them.
    pub fn contains(&self, symbol: &str) -> bool {
        self.0.contains(symbol)
    }

    /// Whether a share is among them. What is said of that very share counts before what is found.
    pub fn holds(&self, share: &Instrument) -> bool {
        share.asset_class == AssetClass::Equity
            && share.fno.unwrap_or_else(|| self.contains(&share.symbol))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_name_what_they_are_written_on() {
        let rules = Rules::embedded().unwrap();
        let read = |symbol| rules.contract(symbol).map(|c| (c.underlying, c.is_index));
        for (symbol, want) in [
            ("NIFTY2371317900PE", Some(("NIFTY", true))),
            ("NIFTYNXT5026DECFUT", Some(("NIFTYNXT50", true))),
            ("BANKNIFTY26DEC52000CE", Some(("BANKNIFTY", true))),
            ("SENSEX5026DECFUT", Some(("SENSEX50", true))),
            ("M&M26DECFUT", Some(("M&M", false))),
            ("360ONE26DEC1100PE", Some(("360ONE", false))),
            ("BAJAJ-AUTO26DEC102.5CE", Some(("BAJAJ-AUTO", false))),
            ("GOLDPETAL23JULFUT", Some(("GOLDPETAL", false))),
            ("NIFTYBEES", None),
            ("RELIANCE", None),
            ("26DECFUT", None),
        ] {
            assert_eq!(read(symbol), want, "{symbol}");
        }
    }
}
