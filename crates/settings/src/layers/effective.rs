//! The tree in effect: every value, the defaults included.

use anyhow::Context;
use model::secret::REDACTED;
use toml::Value;

use super::{Leaf, Origin, Tree};
use crate::Settings;
use crate::schema::{Schema, Section, is_name};
use crate::secret::is_secret;

/// Puts a value into a tree of tables.
pub(super) fn insert(table: &mut toml::Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            table.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let inner = table
                .entry(first.clone())
                .or_insert_with(|| Value::Table(toml::Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// Every value of the tree, section by section.
pub(super) fn leaves(tree: &Tree, schema: &Schema, settings: &Settings) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    for section in &schema.sections {
        for place in places(tree, section, settings) {
            let (broker, kind) = match place.as_slice() {
                [first, name] if first == "trading_engine" => {
                    let table = settings.brokers.get(name);
                    (table, table.map(|table| table.kind.as_str()))
                }
                [first, name] if first == "feeds" => {
                    let feed = settings.live.feeds.get(name);
                    (None, feed.map(|feed| feed.source.as_str()))
                }
                _ => (None, None),
            };
            for key in schema.keys(section, kind) {
                let mut path = place.clone();
                path.push(key.name.clone());
                let given = tree.given.get(&path).cloned();
                let built_in = || {
                    let value = match (broker, key.name.as_str()) {
                        (Some(table), "kind") => Some(table.kind.clone().into()),
                        (Some(table), "starting_cash") => {
                            let code = table.base_currency.code().to_owned();
                            let cash = [(code, Value::Integer(1_000_000))];
                            Some(Value::Table(cash.into_iter().collect()))
                        }
                        // What one broker's limits lack are the common ones.
                        _ if section.path.len() == 3 => None,
                        _ => key.default.clone(),
                    };
                    Some((value?, Origin::built_in()))
                };
                let Some((value, origin)) = given.or_else(built_in) else {
                    continue;
                };
                let value = match is_secret(&key.name) {
                    true => Value::String(REDACTED.to_owned()),
                    false => value,
                };
                leaves.push(Leaf {
                    path,
                    value,
                    origin,
                });
            }
        }
    }
    leaves
}

/// The tables that a section stands for: itself, or one for each name.
fn places(tree: &Tree, section: &Section, settings: &Settings) -> Vec<Vec<String>> {
    let Some(at) = section.path.iter().position(|step| is_name(step)) else {
        return vec![section.path.iter().map(|s| (*s).to_owned()).collect()];
    };
    let above = &section.path[..at];
    let names: Vec<String> = match section.path.first() {
        Some(&"feeds") => settings.live.feeds.keys().cloned().collect(),
        Some(&"trading_engine") => settings.brokers.keys().cloned().collect(),
        _ => tree.names(above).into_iter().map(str::to_owned).collect(),
    };
    names
        .into_iter()
        .map(|name| {
            above
                .iter()
                .map(|s| (*s).to_owned())
                .chain([name])
                .collect()
        })
        .collect()
}

/// The tree as TOML, in the order of the keys.
pub(super) fn text(leaves: &[Leaf]) -> anyhow::Result<String> {
    let mut root = toml::Table::new();
    for leaf in leaves {
        insert(&mut root, &leaf.path, leaf.value.clone());
    }
    toml::to_string(&root).context("the settings as text")
}
