//! The charges' file as it is written, checked and turned into the table's own form.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use model::contract_note::NoteName;
use model::fixed::parse_decimal;
use model::signal::Product;
use model::{Amount, Date, Price};
use serde::Deserialize;

use super::{
    ChargeError, ChargeTable, Component, Deed, GstRule, LEDGER, Rate, RateRule, RoundingRule,
    SameDayRule, Schedule, Segment,
};
use crate::provenance::{Evidence, Grade};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    version: String,
    #[serde(default)]
    schedule: Vec<ScheduleEntry>,
    #[serde(default)]
    rate: Vec<RateEntry>,
    #[serde(default)]
    gst: Vec<GstEntry>,
    #[serde(default)]
    rounding: Vec<RoundingEntry>,
    #[serde(default)]
    same_day: Vec<SameDayEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleEntry {
    note: String,
    currency: String,
    exchanges: Vec<String>,
    components: Vec<String>,
    #[serde(default)]
    ledger: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RateEntry {
    component: String,
    exchanges: Vec<String>,
    segments: Vec<String>,
    #[serde(default)]
    products: Vec<String>,
    #[serde(default)]
    sides: Vec<String>,
    #[serde(default)]
    underlyings: Vec<String>,
    when: Option<String>,
    from: String,
    to: Option<String>,
    percent: Option<String>,
    per_order: Option<String>,
    flat: Option<String>,
    per_unit: Option<String>,
    cap: Option<String>,
    source: Option<String>,
    grade: Option<Grade>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GstEntry {
    #[serde(default = "gst_of_notes")]
    component: String,
    from: String,
    to: Option<String>,
    percent: String,
    on: Vec<String>,
    source: Option<String>,
    grade: Option<Grade>,
}

fn gst_of_notes() -> String {
    Component::Gst.name().to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoundingEntry {
    notes: Vec<String>,
    components: Vec<String>,
    unit: String,
    source: Option<String>,
    grade: Option<Grade>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SameDayEntry {
    notes: Vec<String>,
    components: Vec<String>,
    source: Option<String>,
    grade: Option<Grade>,
}

fn bad(entry: &str, what: impl Into<String>) -> ChargeError {
    ChargeError::Entry {
        entry: entry.to_owned(),
        what: what.into(),
    }
}

fn date(entry: &str, text: &str) -> Result<Date, ChargeError> {
    Date::parse(text).ok_or_else(|| bad(entry, format!("`{text}` is no date: write YYYY-MM-DD")))
}

fn span(entry: &str, from: &str, to: Option<String>) -> Result<(Date, Option<Date>), ChargeError> {
    let (from, to) = (
        date(entry, from)?,
        to.map(|to| date(entry, &to)).transpose()?,
    );
    if to.is_some_and(|to| to < from) {
        return Err(bad(entry, "`to` is before `from`"));
    }
    Ok((from, to))
}

/// A number that is not negative.
fn number<T>(entry: &str, text: &str) -> Result<T, ChargeError>
where
    T: FromStr<Err: Display> + Default + PartialOrd,
{
    let value: T = text
        .parse()
        .map_err(|e| bad(entry, format!("`{text}`: {e}")))?;
    if value < T::default() {
        return Err(bad(entry, format!("`{text}` is negative")));
    }
    Ok(value)
}

/// A percentage as a share in units of 10⁻⁸.
fn share(entry: &str, text: &str) -> Result<i64, ChargeError> {
    // A percentage of six decimals is a share of eight.
    let raw = parse_decimal(text, 6).map_err(|e| bad(entry, format!("`{text}`: {e}")))?;
    i64::try_from(raw)
        .ok()
        .filter(|share| (0..=model::fixed::ONE).contains(share))
        .ok_or_else(|| bad(entry, format!("`{text}` is no percentage from 0 to 100")))
}

fn named<T: Copy>(
    entry: &str,
    names: &[String],
    all: &[T],
    name_of: fn(T) -> &'static str,
) -> Result<Vec<T>, ChargeError> {
    let find = |name: &String| {
        all.iter()
            .copied()
            .find(|value| name_of(*value) == name)
            .ok_or_else(|| {
                let known: Vec<&str> = all.iter().map(|value| name_of(*value)).collect();
                bad(
                    entry,
                    format!("unknown `{name}`; known: {}", known.join(", ")),
                )
            })
    };
    names.iter().map(find).collect()
}

/// At least one, and none twice.
fn components(entry: &str, names: &[String]) -> Result<Vec<Component>, ChargeError> {
    let components = named(entry, names, &Component::ALL, Component::name)?;
    let mut seen = components.clone();
    seen.sort_unstable();
    seen.dedup();
    if seen.is_empty() || seen.len() != components.len() {
        let what = "a list of components names at least one, and none twice";
        return Err(bad(entry, what));
    }
    Ok(components)
}

/// Names that must be among the known ones: a misspelt one would never count, and nobody would know.
fn all_known<'a>(
    entry: &str,
    what: &str,
    names: &[String],
    known: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), ChargeError> {
    if names.is_empty() {
        return Err(bad(entry, format!("`{what}` names none")));
    }
    match names.iter().find(|name| !known.clone().any(|k| k == *name)) {
        None => Ok(()),
        Some(name) => {
            let mut known: Vec<&str> = known.collect();
            known.sort_unstable();
            known.dedup();
            Err(bad(
                entry,
                format!(
                    "`{what}` names `{name}`, which no [[schedule]] knows; known: {}",
                    known.join(", ")
                ),
            ))
        }
    }
}

fn rate(entry: RateEntry, layer: u8) -> Result<RateRule, ChargeError> {
    let name = "rate";
    let component = components(name, std::slice::from_ref(&entry.component))?[0];
    if matches!(component, Component::Gst | Component::FeesGst) {
        return Err(bad(name, "GST has entries of its own: [[gst]]"));
    }
    let others = [
        &entry.percent,
        &entry.per_order,
        &entry.per_unit,
        &entry.cap,
    ];
    if component.is_on_note() == entry.flat.is_some()
        || (entry.flat.is_some() && others.into_iter().any(Option::is_some))
    {
        let what = "`flat` is for depository and call_and_trade, which have nothing else";
        return Err(bad(name, what));
    }
    if entry.flat.is_none()
        && entry.percent.is_none()
        && entry.per_order.is_none()
        && entry.per_unit.is_none()
    {
        let what =
            "a rate needs `percent`, `per_order` or `per_unit`; write percent = \"0\" for none";
        return Err(bad(name, what));
    }
    let needs_debit = match entry.when.as_deref() {
        None => false,
        Some("debit") => true,
        Some(other) => return Err(bad(name, format!("`when` = `{other}`; known: debit"))),
    };
    let (from, to) = span(name, &entry.from, entry.to)?;
    Ok(RateRule {
        layer,
        component,
        exchanges: entry.exchanges,
        segments: named(name, &entry.segments, &Segment::ALL, Segment::name)?,
        products: named(name, &entry.products, &Product::ALL, Product::name)?,
        deeds: named(name, &entry.sides, &Deed::ALL, Deed::name)?,
        underlyings: entry.underlyings,
        needs_debit,
        from,
        to,
        rate: Rate {
            share: entry
                .percent
                .map_or(Ok(0), |percent| share(name, &percent))?,
            per_order: entry
                .flat
                .or(entry.per_order)
                .map_or(Ok(Amount::ZERO), |text| number(name, &text))?,
            per_unit: entry
                .per_unit
                .map_or(Ok(Price::ZERO), |text| number(name, &text))?,
            cap: entry.cap.map(|text| number(name, &text)).transpose()?,
        },
        evidence: Evidence::new(entry.source, entry.grade),
    })
}

impl ChargeTable {
    /// Adds a file's entries above those that are there.
    pub(super) fn add(&mut self, text: &str, layer: u8) -> Result<(), ChargeError> {
        let file: File = toml::from_str(text).map_err(|e| ChargeError::Toml(e.to_string()))?;
        if layer == 0 {
            self.version = Arc::from(file.version);
        }
        for entry in file.schedule {
            let name = "schedule";
            if NoteName::from(&entry.note).is_err() {
                let what = format!("`note` = `{}` is longer than 24 bytes", entry.note);
                return Err(bad(name, what));
            }
            if entry.note == LEDGER {
                let what = "`note` = `ledger` is the name of what no note shows: choose another";
                return Err(bad(name, what));
            }
            if entry.exchanges.is_empty() {
                return Err(bad(name, "`exchanges` names none"));
            }
            let ledger = match entry.ledger.as_slice() {
                [] => Vec::new(),
                names => components(name, names)?,
            };
            let on_note = components(name, &entry.components)?;
            if on_note.iter().any(|c| !c.is_on_note()) || ledger.iter().any(|c| c.is_on_note()) {
                let what = "depository, call_and_trade and fees_gst belong to `ledger`, and all others to `components`";
                return Err(bad(name, what));
            }
            self.schedules.push(Schedule {
                note: Arc::from(entry.note),
                currency: currency(name, &entry.currency)?,
                exchanges: entry.exchanges,
                components: on_note,
                ledger,
            });
        }
        let exchanges = self.schedules.iter().flat_map(|s| &s.exchanges);
        let exchanges = exchanges.map(String::as_str);
        let notes = self.schedules.iter().map(|schedule| &*schedule.note);
        for entry in file.rate {
            if entry.segments.is_empty() {
                return Err(bad("rate", "`segments` names none"));
            }
            all_known("rate", "exchanges", &entry.exchanges, exchanges.clone())?;
            self.rates.push(rate(entry, layer)?);
        }
        for entry in file.gst {
            let (from, to) = span("gst", &entry.from, entry.to)?;
            let component = components("gst", std::slice::from_ref(&entry.component))?[0];
            if !matches!(component, Component::Gst | Component::FeesGst) {
                return Err(bad("gst", "`component` is gst or fees_gst"));
            }
            let on = components("gst", &entry.on)?;
            if on
                .iter()
                .any(|c| matches!(c, Component::Gst | Component::FeesGst))
            {
                return Err(bad("gst", "`on`: the tax is not taxed itself"));
            }
            if on.iter().any(|c| c.is_on_note() != component.is_on_note()) {
                let what = "`on`: gst is on what a note shows, and fees_gst on what it does not";
                return Err(bad("gst", what));
            }
            self.gst.push(GstRule {
                layer,
                component,
                from,
                to,
                share: share("gst", &entry.percent)?,
                on,
                evidence: Evidence::new(entry.source, entry.grade),
            });
        }
        for entry in file.rounding {
            let unit: Amount = number("rounding", &entry.unit)?;
            // Half of the unit must be a whole number of the last unit of money.
            if unit.is_zero() || unit.raw() % 2 != 0 {
                return Err(bad("rounding", "`unit` must be positive, such as 0.01"));
            }
            all_known("rounding", "notes", &entry.notes, notes.clone())?;
            self.rounding.push(RoundingRule {
                notes: entry.notes,
                components: components("rounding", &entry.components)?,
                unit,
                evidence: Evidence::new(entry.source, entry.grade),
            });
        }
        for entry in file.same_day {
            all_known("same_day", "notes", &entry.notes, notes.clone())?;
            self.same_day.push(SameDayRule {
                notes: entry.notes,
                components: components("same_day", &entry.components)?,
                evidence: Evidence::new(entry.source, entry.grade),
            });
        }
        Ok(())
    }
}

fn currency(entry: &str, code: &str) -> Result<model::Currency, ChargeError> {
    code.parse()
        .map_err(|e| bad(entry, format!("`{code}` is no currency: {e}")))
}
