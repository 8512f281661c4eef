//! The rules' file as it is written, checked and turned into the rules' own form.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use model::{Date, Price, Quantity};
use serde::Deserialize;

use super::{Band, Dated, RuleError, Rules, TickClass, TickRule};
use crate::provenance::{Evidence, Grade};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    version: String,
    #[serde(default)]
    index: Vec<IndexEntry>,
    #[serde(default)]
    tick: Vec<TickEntry>,
    #[serde(default)]
    lot: Vec<LotEntry>,
    #[serde(default)]
    freeze: Vec<FreezeEntry>,
    #[serde(default)]
    multiplier: Vec<MultiplierEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IndexEntry {
    names: Vec<String>,
    source: Option<String>,
    grade: Option<Grade>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TickEntry {
    exchanges: Vec<String>,
    classes: Vec<String>,
    from: String,
    bands: Vec<BandEntry>,
    source: Option<String>,
    grade: Option<Grade>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BandEntry {
    below: Option<String>,
    to: Option<String>,
    tick: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LotEntry {
    exchange: String,
    from: String,
    sizes: BTreeMap<String, String>,
    source: Option<String>,
    grade: Option<Grade>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FreezeEntry {
    exchange: String,
    from: String,
    quantities: BTreeMap<String, String>,
    source: Option<String>,
    grade: Option<Grade>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MultiplierEntry {
    exchange: String,
    underlying: Option<String>,
    from: Option<String>,
    value: String,
    source: Option<String>,
    grade: Option<Grade>,
}

fn bad(entry: &str, what: impl Into<String>) -> RuleError {
    RuleError::Entry {
        entry: entry.to_owned(),
        what: what.into(),
    }
}

fn date(entry: &str, text: &str) -> Result<Date, RuleError> {
    Date::parse(text).ok_or_else(|| bad(entry, format!("`{text}` is no date: write YYYY-MM-DD")))
}

fn number<T: FromStr<Err: Display>>(entry: &str, text: &str) -> Result<T, RuleError> {
    text.parse()
        .map_err(|e| bad(entry, format!("`{text}`: {e}")))
}

fn positive(entry: &str, text: &str) -> Result<Quantity, RuleError> {
    let value: Quantity = number(entry, text)?;
    value
        .in_window()
        .map_err(|e| bad(entry, format!("`{text}`: {e}")))
}

fn bands(entries: Vec<BandEntry>) -> Result<Vec<Band>, RuleError> {
    let entry = "tick";
    let mut bands: Vec<Band> = Vec::with_capacity(entries.len());
    let count = entries.len();
    for (at, band) in entries.into_iter().enumerate() {
        let end = match (band.below, band.to) {
            (None, None) => None,
            (Some(below), None) => Some(number::<Price>(entry, &below)?),
            // The next price that can be written is above the band.
            (None, Some(to)) => Some(Price::from_raw(
                number::<Price>(entry, &to)?.raw().saturating_add(1),
            )),
            (Some(_), Some(_)) => return Err(bad(entry, "a band has `below` or `to`, not both")),
        };
        let rises = match (bands.last().and_then(|band| band.end), end) {
            (None, _) => at == 0,
            (Some(before), Some(end)) => before < end,
            (Some(_), None) => true,
        };
        if !rises || end.is_none() != (at + 1 == count) {
            let what = "bands must rise, and the last alone has neither `below` nor `to`";
            return Err(bad(entry, what));
        }
        let tick: Price = number(entry, &band.tick)?;
        if tick <= Price::ZERO {
            return Err(bad(entry, "`tick` must be positive"));
        }
        bands.push(Band { end, tick });
    }
    Ok(bands)
}

fn classes(names: &[String]) -> Result<Vec<TickClass>, RuleError> {
    let find = |name: &String| {
        TickClass::ALL
            .into_iter()
            .find(|class| class.name() == name)
            .ok_or_else(|| bad("tick", format!("unknown class `{name}`")))
    };
    names.iter().map(find).collect()
}

impl Rules {
    /// Adds a file's entries above those that are there.
    pub(super) fn add(&mut self, text: &str, layer: u8) -> Result<(), RuleError> {
        let file: File = toml::from_str(text).map_err(|e| RuleError::Toml(e.to_string()))?;
        if layer == 0 {
            self.version = Arc::from(file.version);
        }
        for entry in file.index {
            let evidence = Evidence::new(entry.source, entry.grade);
            for name in entry.names {
                self.indices.insert(name, evidence.clone());
            }
        }
        for entry in file.tick {
            self.ticks.push(TickRule {
                layer,
                exchanges: entry.exchanges,
                classes: classes(&entry.classes)?,
                from: date("tick", &entry.from)?,
                bands: bands(entry.bands)?,
                evidence: Evidence::new(entry.source, entry.grade),
            });
        }
        let lots = file.lot.into_iter().map(|e| {
            let evidence = Evidence::new(e.source, e.grade);
            ("lot", e.exchange, e.from, e.sizes, evidence)
        });
        let freezes = file.freeze.into_iter().map(|e| {
            let evidence = Evidence::new(e.source, e.grade);
            ("freeze", e.exchange, e.from, e.quantities, evidence)
        });
        for (name, exchange, from, values, evidence) in lots.chain(freezes) {
            let from = Some(date(name, &from)?);
            let list = match name {
                "lot" => &mut self.lots,
                _ => &mut self.freezes,
            };
            for (underlying, value) in values {
                list.push(Dated {
                    layer,
                    exchange: exchange.clone(),
                    underlying: Some(underlying),
                    from,
                    value: positive(name, &value)?,
                    evidence: evidence.clone(),
                });
            }
        }
        for entry in file.multiplier {
            let from = entry.from.map(|from| date("multiplier", &from));
            self.multipliers.push(Dated {
                layer,
                exchange: entry.exchange,
                underlying: entry.underlying,
                from: from.transpose()?,
                value: number("multiplier", &entry.value)?,
                evidence: Evidence::new(entry.source, entry.grade),
            });
        }
        Ok(())
    }
}
