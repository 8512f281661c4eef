//! What the exchanges' rules say where a list of instruments does not.

use std::collections::BTreeMap;

use markets::provenance::Sourced;
use markets::rules::{RuleError, Rules};
use model::money::Multiplier;
use model::{Date, Instrument, Price, Quantity};

use super::Problem;

/// Exchanges of nothing but contracts: no number of one of theirs is a matter of course.
const CONTRACTS: [&str; 6] = ["NFO", "BFO", "CDS", "BCD", "MCX", "NCO"];

/// The dated rules, and the date by which they are asked.
#[derive(Debug, Clone, Copy)]
pub struct RuleBook<'a> {
    rules: &'a Rules,
    date: Date,
}

impl<'a> RuleBook<'a> {
    /// As of a date. Without one, as of the version of the rules: then the same list gives the same
    /// instruments on every day.
    pub fn new(rules: &'a Rules, date: Option<Date>) -> Self {
        let date = date.or_else(|| Date::parse(rules.version()));
        Self {
            rules,
            date: date.unwrap_or_default(),
        }
    }

    /// A contract that has expired is asked about by the rules of its time.
    fn on(&self, instrument: &Instrument) -> Date {
        instrument
            .expiry
            .map_or(self.date, |expiry| expiry.min(self.date))
    }
}

/// What was taken from the rules, or stands for what nobody said.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Ids by what was assumed of them, with the value.
    assumed: BTreeMap<(&'static str, &'static str), Vec<String>>,
    /// Ids by what nothing but memory supports.
    unverified: BTreeMap<&'static str, Vec<String>>,
}

impl Notes {
    fn taken<T>(&mut self, what: &'static str, instrument: &Instrument, found: Sourced<T>) -> T {
        if found.evidence.grade.is_unverified() {
            let ids = self.unverified.entry(what).or_default();
            ids.push(instrument.id.clone());
        }
        found.value
    }

    fn assumed(&mut self, what: &'static str, value: &'static str, instrument: &Instrument) {
        let ids = self.assumed.entry((what, value)).or_default();
        ids.push(instrument.id.clone());
    }

    /// For people.
    pub fn warnings(self) -> Vec<String> {
        let mut said = Vec::new();
        for ((what, value), ids) in &self.assumed {
            said.push(format!(
                "no {what} is given for {}: {value} is assumed; fill the column `{}`",
                several(ids),
                what.replace(' ', "_")
            ));
        }
        for (what, ids) in &self.unverified {
            said.push(format!(
                "the {what} of {} is by a rule that nothing but memory supports: fill the column `{}`",
                several(ids),
                what.replace(' ', "_")
            ));
        }
        said
    }
}

fn several(ids: &[String]) -> String {
    match ids {
        [] | [_] | [_, _] => ids.join(" and "),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

fn gap(error: &RuleError, column: &str) -> Problem {
    // The message says where else it could come from.
    Problem::new(error.to_string(), format!("or fill the column `{column}`"))
}

/// An instrument whose row leaves numbers open.
pub(super) struct Open<'a> {
    pub book: &'a RuleBook<'a>,
    pub instrument: &'a Instrument,
    /// What it is written on, where the row says and its symbol does not.
    pub name: Option<&'a str>,
}

impl Open<'_> {
    fn is_contract(&self) -> bool {
        CONTRACTS.contains(&self.instrument.exchange.as_str())
    }

    fn underlying(&self) -> Option<&str> {
        let symbol = self.instrument.symbol.as_str();
        let contract = self.book.rules.contract(symbol);
        contract.map(|c| c.underlying).or(self.name)
    }

    /// Units of the quoted thing in one unit of quantity. Kite's dump has no such column, its
    /// positions do (<https://kite.trade/docs/connect/v3/portfolio/#positions>): one lot of LEADMINI is
    /// 1000 kg. A contract whose multiplier nobody knows would be booked at a thousandth of its value.
    pub fn multiplier(&self, notes: &mut Notes) -> Result<Multiplier, Problem> {
        let Self {
            book, instrument, ..
        } = self;
        let date = book.on(instrument);
        match book
            .rules
            .multiplier(&instrument.exchange, self.underlying(), date)
        {
            Ok(found) => Ok(notes.taken("multiplier", instrument, found)),
            Err(error) if self.is_contract() => Err(gap(&error, "multiplier")),
            Err(_) => Ok(Multiplier::ONE),
        }
    }

    /// Shares and coins trade in ones, contracts by the exchange's lots. A list that has no column for
    /// lots at all is short on purpose: where the rules know none, 1 stands, and is said to.
    pub fn lot_size(&self, is_short_list: bool, notes: &mut Notes) -> Result<Quantity, Problem> {
        let Self {
            book, instrument, ..
        } = self;
        if !self.is_contract() {
            return Ok(instrument.lot_size);
        }
        let underlying = self.underlying().unwrap_or(&instrument.symbol);
        let found = book
            .rules
            .lot_size(&instrument.exchange, underlying, book.on(instrument));
        match found {
            Ok(found) => Ok(notes.taken("lot size", instrument, found)),
            Err(_) if is_short_list => {
                notes.assumed("lot size", "1", instrument);
                Ok(instrument.lot_size)
            }
            Err(error) => Err(gap(&error, "lot_size")),
        }
    }

    /// The tick size by the rule. `reference` is the closing price that the exchange fixes it by;
    /// without one the rule must not depend on it. A list that has no column for it at all is
    /// short on purpose: where the rules give no answer 0.05 stands, and is said to.
    pub fn tick_size(
        &self,
        reference: Option<Price>,
        is_short_list: bool,
        notes: &mut Notes,
    ) -> Result<Price, Problem> {
        let Self {
            book, instrument, ..
        } = self;
        let found = match book.rules.tick_class(instrument) {
            None => Err(Problem::new(
                format!("no rule tells the tick size of {}", instrument.id),
                "fill the column `tick_size`",
            )),
            Some(class) => {
                let ask = |price| {
                    book.rules
                        .tick_size(&instrument.exchange, class, price, book.on(instrument))
                        .map_err(|error| gap(&error, "tick_size"))
                };
                match reference {
                    Some(price) => ask(price),
                    None => ask(Price::MIN).and_then(|lowest| match ask(Price::MAX)? {
                        highest if highest.value == lowest.value => Ok(lowest),
                        _ => Err(Problem::new(
                            format!("the tick size of {} depends on its price", instrument.id),
                            "fill the column `tick_size`, or `reference_price` with the closing \
                             price that the exchange fixes it by",
                        )),
                    }),
                }
            }
        };
        match found {
            Ok(found) => Ok(notes.taken("tick size", instrument, found)),
            Err(_) if is_short_list => {
                notes.assumed("tick size", "0.05", instrument);
                Ok(instrument.tick_size)
            }
            Err(problem) => Err(problem),
        }
    }
}
