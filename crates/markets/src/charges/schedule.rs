//! The table as the pipeline asks for it: what one execution adds to its order's charges.

use std::collections::BTreeSet;

use model::charges::{ChargeInput, Charges};
use model::contract_note::{DayOrder, Note, NoteName};
use model::signal::Product;
use model::{Amount, Date, Instrument, NumberError};

use super::prepared::Prepared;
use super::total::OrderTotal;
use super::{
    ChargeError, ChargeTable, Component, Conditions, DayBook, Deed, Fee, NoteRule, Profile,
    Segment, Terms, Traded,
};
use crate::provenance::Evidence;
use crate::rules::Rules;

/// The charges of all markets in one profile.
#[derive(Debug, Clone)]
pub struct MarketCharges {
    table: ChargeTable,
    rules: Rules,
    profile: Profile,
    conditions: Conditions,
    prepared: Prepared,
}

/// What the table knows of the trades to come.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// Kinds of trades without a rate, each with the first date of it: live refuses them.
    pub gaps: Vec<ChargeError>,
    /// Rates that nothing but a memory supports: live money on them deserves a warning.
    pub unverified: Vec<(String, Component, Evidence)>,
    /// Exchanges whose contract notes follow rules that nothing but a memory supports, and which: those
    /// decide over the close of each day.
    pub unverified_notes: Vec<(String, String)>,
}

impl MarketCharges {
    /// From the parts.
    pub fn new(table: ChargeTable, rules: Rules, profile: Profile, conditions: Conditions) -> Self {
        Self {
            prepared: Prepared::new(&table),
            table,
            rules,
            profile,
            conditions,
        }
    }

    /// The table behind it, for the day's close.
    pub const fn table(&self) -> &ChargeTable {
        &self.table
    }

    /// The terms on which an instrument is traded.
    pub fn terms<'a>(
        &self,
        instrument: &'a Instrument,
        product: Product,
        deed: Deed,
        date: Date,
    ) -> Option<Terms<'a>> {
        let segment = Segment::of(instrument)?;
        // A share's symbol names no contract: it is not read for one.
        let contract = match segment {
            Segment::Equity => None,
            Segment::Futures | Segment::Options => self.rules.contract(&instrument.symbol),
        };
        Some(Terms {
            exchange: &instrument.exchange,
            segment,
            product,
            deed,
            underlying: contract.map(|contract| contract.underlying),
            date,
        })
    }

    /// What an execution adds to its order's charges, or the gap.
    pub fn of_fill(&self, input: &ChargeInput<'_>) -> Result<Amount, ChargeError> {
        let terms = self
            .terms(
                input.instrument,
                input.product,
                input.side.into(),
                input.date,
            )
            .ok_or_else(|| no_schedule(input.instrument, input.date))?;
        let prepared = &self.prepared;
        let (table, conditions, profile) = (&self.table, self.conditions, self.profile);
        let added = match prepared.get(table, &terms) {
            Some(total) => Self::added(total, input),
            None => Self::added(&prepared.find(table, &terms, conditions, profile)?, input),
        };
        Ok(added?)
    }

    fn added(of_order: &OrderTotal, input: &ChargeInput<'_>) -> Result<Amount, NumberError> {
        let so_far = Traded {
            notional: input.notional_before.checked_add(input.notional)?,
            quantity: input.quantity_before.checked_add(input.quantity)?,
        };
        let total = of_order.of(so_far)?;
        Ok(total.checked_sub(input.charges_before)?.max(Amount::ZERO))
    }

    /// What each contract note says of a day, or the gap.
    pub fn of_day(&self, date: Date, orders: &[DayOrder<'_>]) -> Result<Vec<Note>, ChargeError> {
        let mut book = DayBook::default();
        for (key, order) in orders.iter().enumerate() {
            if order.is_left_open {
                book.left_open(&self.rules, order.instrument, order.deed)?;
                continue;
            }
            let traded = Traded {
                notional: order.notional,
                quantity: order.quantity,
            };
            let (instrument, product, deed) = (order.instrument, order.product, order.deed);
            let rules = &self.rules;
            book.fill(key, rules, instrument, product, deed, traded, order.booked)?;
        }
        let notes = book.close(&self.table, self.profile, self.conditions, date)?;
        let note = |note: super::NoteClose| Note {
            // The table takes no longer name.
            name: NoteName::from(&note.note).unwrap_or_default(),
            currency: note.currency,
            charged: note.charged,
            booked: note.booked,
        };
        Ok(notes.into_iter().map(note).collect())
    }

    /// What is missing or doubtful for instruments held as products between two dates.
    pub fn survey<'a>(
        &self,
        traded: impl IntoIterator<Item = (&'a Instrument, Product)>,
        (from, to): (Date, Date),
    ) -> Survey {
        let mut dates = BTreeSet::from([from]);
        let rates = self.table.rates.iter().map(|rule| (rule.from, rule.to));
        let gst = self.table.gst.iter().map(|rule| (rule.from, rule.to));
        for (start, end) in rates.chain(gst) {
            let changes = [Some(start), end.map(Date::next)].into_iter().flatten();
            dates.extend(changes.filter(|date| (from..=to).contains(date)));
        }
        let mut survey = Survey::default();
        let mut seen = BTreeSet::new();
        let mut notes = BTreeSet::new();
        for (instrument, product) in traded {
            let is_delivery =
                product == Product::Delivery && Segment::of(instrument) == Some(Segment::Equity);
            notes.extend(self.doubtful_note(&instrument.exchange, is_delivery));
            if Segment::of(instrument).is_none() {
                survey.gaps.push(no_schedule(instrument, from));
                continue;
            }
            for deed in [Deed::Buy, Deed::Sell] {
                for date in &dates {
                    if let Some(terms) = self.terms(instrument, product, deed, *date) {
                        self.look(&terms, &mut seen, &mut survey);
                    }
                }
            }
        }
        survey.unverified_notes = notes.into_iter().collect();
        survey
    }

    /// What the notes of an exchange do that nothing but a memory supports.
    fn doubtful_note(&self, exchange: &str, is_delivery: bool) -> Option<(String, String)> {
        if self.profile != Profile::ContractNote {
            return None;
        }
        let of = |rule: NoteRule<'_>| {
            let names: Vec<&str> = rule.components.iter().map(|c| c.name()).collect();
            match rule.unit {
                Some(unit) => format!("the rounding of {} to {unit}", names.join(", ")),
                None => "that delivery bought and sold on a day counts as intraday".to_owned(),
            }
        };
        let rules = self.table.note_rules(exchange).into_iter();
        let doubtful: Vec<String> = rules
            .filter(|rule| rule.evidence.grade.is_unverified())
            .filter(|rule| is_delivery || rule.unit.is_some())
            .map(of)
            .collect();
        (!doubtful.is_empty()).then(|| (exchange.to_owned(), doubtful.join(", and ")))
    }

    fn look(
        &self,
        terms: &Terms<'_>,
        seen: &mut BTreeSet<(String, &'static str, bool)>,
        survey: &mut Survey,
    ) {
        // Underlyings share their rates but for a few: one line for all is enough.
        let of = format!(
            "{} {}, {}",
            terms.exchange,
            terms.segment,
            terms.product.name()
        );
        let found = self.table.rates(terms, self.conditions).and_then(|rates| {
            let fees = match (self.profile, terms.product) {
                (Profile::Estimate, _) => None,
                (_, Product::Intraday) => self.table.call_fee(terms, self.conditions)?,
                _ => self.table.depository_fee(terms, self.conditions)?,
            };
            Ok((rates, fees))
        });
        match found {
            Ok((rates, fees)) => {
                let fees = fees.iter().flat_map(Fee::unverified);
                for (component, evidence) in rates.unverified().chain(fees) {
                    if seen.insert((of.clone(), component.name(), false)) {
                        let entry = (of.clone(), component, evidence.clone());
                        survey.unverified.push(entry);
                    }
                }
            }
            Err(error) => {
                let component = match &error {
                    ChargeError::Gap { component, .. }
                    | ChargeError::NoSuchTrade { component, .. }
                    | ChargeError::Underlying { component, .. } => component,
                    _ => "schedule",
                };
                if seen.insert((of, component, true)) {
                    survey.gaps.push(error);
                }
            }
        }
    }
}

fn no_schedule(instrument: &Instrument, date: Date) -> ChargeError {
    ChargeError::Gap {
        component: "schedule",
        of: instrument.id.clone(),
        date,
        covered: "charges are known for shares, futures and options".to_owned(),
    }
}

fn number(error: ChargeError) -> NumberError {
    match error {
        ChargeError::Number(error) => error,
        _ => NumberError::OutOfRange,
    }
}

impl Charges for MarketCharges {
    /// A gap is out of range here: [`MarketCharges::survey`] names it before trading starts.
    fn of(&self, input: &ChargeInput<'_>) -> Result<Amount, NumberError> {
        // Every execution but the first of its kind: an error of the other way is large to hand on.
        let (instrument, product, date) = (input.instrument, input.product, input.date);
        if let Some(terms) = self.terms(instrument, product, input.side.into(), date)
            && let Some(total) = self.prepared.get(&self.table, &terms)
        {
            return Self::added(total, input);
        }
        self.of_fill(input).map_err(number)
    }
    fn closes_days(&self) -> bool {
        true
    }
    fn of_exercise(&self, date: Date, order: &DayOrder<'_>) -> Result<Amount, NumberError> {
        let terms = self
            .terms(order.instrument, order.product, order.deed, date)
            .ok_or(NumberError::OutOfRange)?;
        let rates = self.table.rates(&terms, self.conditions).map_err(number)?;
        let traded = Traded {
            notional: order.notional,
            quantity: order.quantity,
        };
        rates.of_order(traded, self.profile)?.total()
    }
    fn close(&self, date: Date, orders: &[DayOrder<'_>]) -> Result<Vec<Note>, NumberError> {
        self.of_day(date, orders).map_err(number)
    }
    fn name(&self) -> &str {
        self.profile.name()
    }
}
