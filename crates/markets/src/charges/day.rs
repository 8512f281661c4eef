//! The day's close: what the contract note says against what the fills have booked.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::signal::Product;
use model::{Amount, Currency, Date, Instrument, NumberError, Quantity};

use super::{
    Amounts, ChargeError, ChargeTable, Component, Conditions, Deed, LEDGER, Profile, Rates,
    RoundingRule, SameDayRule, Segment, Terms, Traded,
};
use crate::provenance::Evidence;
use crate::rules::Rules;

/// The orders of one account and one trading day, by a key of the caller's.
#[derive(Debug, Clone)]
pub struct DayBook<K> {
    orders: BTreeMap<K, DayOrder>,
    /// Intraday positions that were open as their session closed.
    left_open: Vec<Group>,
}

#[derive(Debug, Clone)]
struct DayOrder {
    group: Group,
    traded: Traded,
    booked: Amount,
}

/// What is charged alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    instrument: String,
    exchange: String,
    segment: Segment,
    underlying: Option<String>,
    product: Product,
    deed: Deed,
}

impl Group {
    fn new(
        rules: &Rules,
        instrument: &Instrument,
        product: Product,
        deed: Deed,
    ) -> Result<Self, ChargeError> {
        let segment = Segment::of(instrument).ok_or_else(|| ChargeError::Gap {
            component: "schedule",
            of: instrument.id.clone(),
            date: Date::default(),
            covered: "charges are known for shares, futures and options".to_owned(),
        })?;
        let contract = rules.contract(&instrument.symbol);
        Ok(Self {
            instrument: instrument.id.clone(),
            exchange: instrument.exchange.clone(),
            segment,
            underlying: contract
                .filter(|_| segment != Segment::Equity)
                .map(|contract| contract.underlying.to_owned()),
            product,
            deed,
        })
    }

    fn terms(&self, product: Product, date: Date) -> Terms<'_> {
        Terms {
            exchange: &self.exchange,
            segment: self.segment,
            product,
            deed: self.deed,
            underlying: self.underlying.as_deref(),
            date,
        }
    }
}

/// What one contract note says, or the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteClose {
    /// The kind of note: securities and commodities have one each; [`LEDGER`] for what no note shows.
    pub note: Arc<str>,
    /// The currency of the amounts.
    pub currency: Currency,
    /// The day's charges before rounding.
    pub exact: Amounts,
    /// The day's charges.
    pub charged: Amounts,
    /// What the fills have booked.
    pub booked: Amount,
    /// What is to be booked now; negative where the fills booked too much.
    pub adjustment: Amount,
    /// Whether delivery was bought and sold on the day and counts as intraday.
    pub is_reclassified: bool,
    /// Rules of the close that nothing but a memory supports.
    pub unverified: Vec<Evidence>,
}

/// What a contract note does beyond adding up.
#[derive(Debug, Clone)]
pub struct NoteRule<'a> {
    /// To a multiple of what it rounds; `None`: delivery bought and sold on a day counts as intraday.
    pub unit: Option<Amount>,
    /// For which components.
    pub components: Vec<Component>,
    /// What supports it.
    pub evidence: &'a Evidence,
}

/// The part of a group's orders that counts as intraday.
#[derive(Clone, Copy)]
struct Matched {
    part: Quantity,
    whole: Quantity,
}

impl Matched {
    fn intraday(self, traded: Traded) -> Result<Traded, NumberError> {
        traded.share(self.part, self.whole)
    }
}

impl<K: Ord> Default for DayBook<K> {
    fn default() -> Self {
        Self {
            orders: BTreeMap::new(),
            left_open: Vec::new(),
        }
    }
}

impl<K: Ord> DayBook<K> {
    /// An execution of an order, with what was booked for it. All executions of one order name the
    /// same instrument, product and side; the first one's count.
    #[expect(clippy::too_many_arguments, reason = "the facts of one execution")]
    pub fn fill(
        &mut self,
        order: K,
        rules: &Rules,
        instrument: &Instrument,
        product: Product,
        deed: Deed,
        traded: Traded,
        booked: Amount,
    ) -> Result<(), ChargeError> {
        if let Some(order) = self.orders.get_mut(&order) {
            order.traded = order.traded.plus(traded)?;
            order.booked = order.booked.checked_add(booked)?;
            return Ok(());
        }
        let day_order = DayOrder {
            group: Group::new(rules, instrument, product, deed)?,
            traded,
            booked,
        };
        self.orders.insert(order, day_order);
        Ok(())
    }

    /// An intraday position was open as its session closed: the broker squares it off with an order of
    /// its own, which does what `deed` says.
    pub fn left_open(
        &mut self,
        rules: &Rules,
        instrument: &Instrument,
        deed: Deed,
    ) -> Result<(), ChargeError> {
        let group = Group::new(rules, instrument, Product::Intraday, deed)?;
        self.left_open.push(group);
        Ok(())
    }

    /// What each contract note of the day says, and last the ledger of what no note shows. The order of the fills does not matter: every
    /// component is computed from sums, and rounded once.
    pub fn close(
        &self,
        table: &ChargeTable,
        profile: Profile,
        conditions: Conditions,
        date: Date,
    ) -> Result<Vec<NoteClose>, ChargeError> {
        let mut groups: BTreeMap<&Group, Vec<&DayOrder>> = BTreeMap::new();
        for order in self.orders.values() {
            groups.entry(&order.group).or_default().push(order);
        }
        let mut totals = BTreeMap::new();
        for (group, orders) in &groups {
            totals.insert(*group, total(orders)?);
        }
        let mut notes: BTreeMap<Arc<str>, NoteClose> = BTreeMap::new();
        for (group, orders) in &groups {
            let schedule = table.schedule(&group.terms(group.product, date))?;
            let note = notes
                .entry(schedule.note.clone())
                .or_insert_with(|| NoteClose {
                    note: schedule.note.clone(),
                    currency: schedule.currency,
                    exact: Amounts::default(),
                    charged: Amounts::default(),
                    booked: Amount::ZERO,
                    adjustment: Amount::ZERO,
                    is_reclassified: false,
                    unverified: Vec::new(),
                });
            for order in orders {
                note.booked = note.booked.checked_add(order.booked)?;
            }
            let rule = table.same_day_of(&schedule.note);
            let matched = rule.and_then(|_| matched(group, &totals));
            let day = Day {
                table,
                profile,
                conditions,
                date,
            };
            let amounts = match (rule, matched) {
                (Some(rule), Some(matched)) => {
                    note.is_reclassified = true;
                    note_unverified(&mut note.unverified, &rule.evidence);
                    day.amounts(group, orders, Some((matched, &rule.components)))?
                }
                _ => day.amounts(group, orders, None)?,
            };
            note.exact = note.exact.plus(&amounts)?;
        }
        for note in notes.values_mut() {
            table.round(note, profile)?;
        }
        let mut notes: Vec<NoteClose> = notes.into_values().collect();
        if profile == Profile::ContractNote {
            self.add_fees(table, conditions, date, &totals, &mut notes)?;
        }
        Ok(notes)
    }

    /// What no contract note shows, by currency.
    fn add_fees(
        &self,
        table: &ChargeTable,
        conditions: Conditions,
        date: Date,
        totals: &BTreeMap<&Group, Traded>,
        notes: &mut Vec<NoteClose>,
    ) -> Result<(), ChargeError> {
        let mut fees: BTreeMap<Currency, Amounts> = BTreeMap::new();
        for (group, traded) in totals {
            let terms = group.terms(group.product, date);
            let Some(fee) = table.depository_fee(&terms, conditions)? else {
                continue;
            };
            let sum = fees.entry(table.schedule(&terms)?.currency).or_default();
            // What was bought on the same day never enters the account. The sum is told also where it is
            // nothing: an earlier close of the day may have told more.
            let stays = matched(group, totals).is_some_and(|m| m.part == traded.quantity);
            if !stays {
                *sum = sum.plus(&fee.amounts()?)?;
            }
        }
        for group in &self.left_open {
            let terms = group.terms(group.product, date);
            if let Some(fee) = table.call_fee(&terms, conditions)? {
                let sum = fees.entry(table.schedule(&terms)?.currency).or_default();
                *sum = sum.plus(&fee.amounts()?)?;
            }
        }
        for (currency, sum) in fees {
            notes.push(NoteClose {
                note: Arc::from(LEDGER),
                currency,
                exact: sum,
                charged: sum,
                booked: Amount::ZERO,
                adjustment: sum.total()?,
                is_reclassified: false,
                unverified: Vec::new(),
            });
        }
        Ok(())
    }
}

fn note_unverified(list: &mut Vec<Evidence>, evidence: &Evidence) {
    if evidence.grade.is_unverified() && !list.contains(evidence) {
        list.push(evidence.clone());
    }
}

fn total(orders: &[&DayOrder]) -> Result<Traded, NumberError> {
    let mut orders = orders.iter();
    orders.try_fold(Traded::default(), |sum, order| sum.plus(order.traded))
}

/// How much of a share's delivery was both bought and sold.
fn matched(group: &Group, totals: &BTreeMap<&Group, Traded>) -> Option<Matched> {
    if group.segment != Segment::Equity || group.product != Product::Delivery {
        return None;
    }
    let other = match group.deed {
        Deed::Buy => Deed::Sell,
        Deed::Sell => Deed::Buy,
        Deed::Exercise => return None,
    };
    let other = Group {
        deed: other,
        ..group.clone()
    };
    let (whole, other) = (totals.get(group)?.quantity, totals.get(&other)?.quantity);
    let part = whole.min(other);
    (part > Quantity::ZERO).then_some(Matched { part, whole })
}

struct Day<'a> {
    table: &'a ChargeTable,
    profile: Profile,
    conditions: Conditions,
    date: Date,
}

impl Day<'_> {
    fn amounts(
        &self,
        group: &Group,
        orders: &[&DayOrder],
        same_day: Option<(Matched, &[Component])>,
    ) -> Result<Amounts, ChargeError> {
        let rates = |product| {
            self.table
                .rates(&group.terms(product, self.date), self.conditions)
        };
        let own = rates(group.product)?;
        let intraday = match same_day {
            Some(_) => Some(rates(Product::Intraday)?),
            None => None,
        };
        let whole: Vec<Traded> = orders.iter().map(|order| order.traded).collect();
        let mut split = (Vec::new(), Vec::new());
        if let Some((matched, _)) = same_day {
            // The sums are split as one, and orders for themselves: a cap is per order.
            for traded in whole.iter().copied().chain([sum(&whole)?]) {
                let part = matched.intraday(traded)?;
                split.0.push(traded.minus(part)?);
                split.1.push(part);
            }
        }
        let mut amounts = Amounts::default();
        for component in Component::ALL {
            if component == Component::Gst
                || !component.is_on_note()
                || (component == Component::StampDuty && self.profile == Profile::Estimate)
            {
                continue;
            }
            let amount = match (same_day, &intraday) {
                (Some((_, components)), Some(intraday)) if components.contains(&component) => {
                    let rest = of_split(&own, component, &split.0)?;
                    rest.checked_add(of_split(intraday, component, &split.1)?)?
                }
                _ => of_orders(&own, component, &whole, sum(&whole)?)?,
            };
            amounts.set(component, amount);
        }
        own.add_gst(&mut amounts)?;
        Ok(amounts)
    }
}

fn sum(traded: &[Traded]) -> Result<Traded, NumberError> {
    let mut all = traded.iter();
    all.try_fold(Traded::default(), |sum, one| sum.plus(*one))
}

/// Of parts of orders, the last of which is the part of their sum.
fn of_split(rates: &Rates, component: Component, parts: &[Traded]) -> Result<Amount, NumberError> {
    match parts.split_last() {
        Some((sum, orders)) => of_orders(rates, component, orders, *sum),
        None => Ok(Amount::ZERO),
    }
}

fn of_orders(
    rates: &Rates,
    component: Component,
    orders: &[Traded],
    sum: Traded,
) -> Result<Amount, NumberError> {
    let Some(rate) = rates.rate(component) else {
        return Ok(Amount::ZERO);
    };
    if rate.is_linear() {
        return rate.of(sum);
    }
    let mut orders = orders.iter();
    orders.try_fold(Amount::ZERO, |sum, order| sum.checked_add(rate.of(*order)?))
}

/// Half up to a multiple of the unit; what is charged is never negative.
fn round(amount: Amount, unit: Amount) -> Result<Amount, NumberError> {
    let half = Amount::from_raw(unit.raw() / 2);
    let raw = amount.checked_add(half)?.raw();
    Ok(Amount::from_raw(raw - raw.rem_euclid(unit.raw())))
}

impl ChargeTable {
    fn round(&self, note: &mut NoteClose, profile: Profile) -> Result<(), NumberError> {
        note.charged = note.exact;
        if profile == Profile::ContractNote {
            for component in Component::ALL {
                let rule = self.rounding_of(&note.note, component);
                let exact = note.exact.get(component);
                if let Some(rule) = rule.filter(|_| !exact.is_zero()) {
                    let rounded = match component {
                        // The note shows the two as one charge, which is rounded once: this is what
                        // it has beyond the exchange's own part.
                        Component::InvestorProtection
                            if rule.components.contains(&Component::Exchange) =>
                        {
                            round(note.exact.exchange_turnover()?, rule.unit)?
                                .checked_sub(note.charged.get(Component::Exchange))?
                        }
                        _ => round(exact, rule.unit)?,
                    };
                    note.charged.set(component, rounded);
                    note_unverified(&mut note.unverified, &rule.evidence);
                }
            }
        }
        note.adjustment = note.charged.total()?.checked_sub(note.booked)?;
        Ok(())
    }

    /// How a component is rounded on a note: what was said last counts.
    fn rounding_of(&self, note: &str, component: Component) -> Option<&RoundingRule> {
        let mut rules = self.rounding.iter().rev();
        rules.find(|rule| {
            rule.components.contains(&component) && rule.notes.iter().any(|name| name == note)
        })
    }

    /// What a note says of delivery that is bought and sold on a day.
    fn same_day_of(&self, note: &str) -> Option<&SameDayRule> {
        let mut rules = self.same_day.iter().rev();
        rules.find(|rule| rule.notes.iter().any(|name| name == note))
    }

    /// How the components of an exchange's contract note are rounded, and how delivery that is bought
    /// and sold on a day is charged.
    pub fn note_rules(&self, exchange: &str) -> Vec<NoteRule<'_>> {
        let mut schedules = self.schedules.iter().rev();
        let Some(schedule) = schedules.find(|s| s.exchanges.iter().any(|e| e == exchange)) else {
            return Vec::new();
        };
        let mut rules: Vec<NoteRule<'_>> = Vec::new();
        for component in &schedule.components {
            let Some(rule) = self.rounding_of(&schedule.note, *component) else {
                continue;
            };
            let same = |known: &&mut NoteRule<'_>| {
                known.unit == Some(rule.unit) && *known.evidence == rule.evidence
            };
            match rules.iter_mut().find(same) {
                Some(known) => known.components.push(*component),
                None => rules.push(NoteRule {
                    unit: Some(rule.unit),
                    components: vec![*component],
                    evidence: &rule.evidence,
                }),
            }
        }
        rules.extend(self.same_day_of(&schedule.note).map(|rule| NoteRule {
            unit: None,
            components: rule.components.clone(),
            evidence: &rule.evidence,
        }));
        rules
    }
}
