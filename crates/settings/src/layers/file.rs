//! The layer of the TOML file.

use anyhow::{Context, bail};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{FILE, Layer, LayerInputs, Origin, Tree, kind_key, read_optional};
use crate::Root;
use crate::schema::{Kind, Schema, nearest};

/// The file's name and text.
pub(super) fn find(inputs: &LayerInputs<'_>) -> anyhow::Result<Option<(String, String)>> {
    let Some(path) = inputs.config else {
        let found = read_optional(&inputs.dir.join(FILE))?;
        return Ok(found.map(|text| (FILE.to_owned(), text)));
    };
    let text = std::fs::read_to_string(inputs.dir.join(path))
        .with_context(|| format!("cannot read the settings file {}", path.display()))?;
    Ok(Some((path.display().to_string(), text)))
}

/// Takes over every value of the file.
pub(super) fn read(tree: &mut Tree, schema: &Schema, name: &str, text: &str) -> anyhow::Result<()> {
    // Says more about a wrong type or an unknown key than the walk below could.
    Root::parse(text, name)?;
    let values: toml::Table = toml::from_str(text)?;
    let spans = DeTable::parse(text)?;
    let mut walk = Walk {
        tree,
        schema,
        name,
        text,
        unknown: Vec::new(),
    };
    // The kind of a broker or a feed decides which keys it has: it comes first.
    walk.kinds(&values, spans.get_ref());
    walk.table(&mut Vec::new(), &values, spans.get_ref());
    match walk.unknown.into_iter().next() {
        Some(error) => bail!(error),
        None => Ok(()),
    }
}

struct Walk<'a> {
    tree: &'a mut Tree,
    schema: &'a Schema,
    name: &'a str,
    text: &'a str,
    unknown: Vec<String>,
}

impl Walk<'_> {
    fn origin(&self, at: usize) -> Origin {
        let line = self.text.get(..at).map_or(0, |t| t.matches('\n').count()) + 1;
        Origin {
            layer: Layer::File,
            place: format!("{}:{line}", self.name),
        }
    }

    fn kinds(&mut self, values: &toml::Table, spans: &DeTable<'_>) {
        for section in ["trading_engine", "feeds"] {
            let tables = values.get(section).and_then(toml::Value::as_table);
            let spans = spans.get(section).map(Spanned::get_ref);
            for (name, table) in tables.into_iter().flatten() {
                let Some((key, _)) = kind_key(section, name) else {
                    continue;
                };
                let kind = table.get(key);
                let span = spans
                    .and_then(|s| s.get(name.as_str()))
                    .and_then(|s| s.get_ref().get(key));
                if let (Some(kind), Some(span)) = (kind, span) {
                    let path = [section, name, key].map(str::to_owned);
                    let origin = self.origin(span.span().start);
                    self.tree.set(&path, None, kind.clone(), origin);
                }
            }
        }
    }

    fn table(&mut self, path: &mut Vec<String>, values: &toml::Table, spans: &DeTable<'_>) {
        for (key, span) in spans {
            let name = key.get_ref().as_ref();
            let Some(value) = values.get(name) else {
                continue;
            };
            path.push(name.to_owned());
            self.value(path, value, key.span().start, span.get_ref());
            path.pop();
        }
        if values.is_empty() && path.len() == 2 {
            self.empty(path);
        }
    }

    /// A table without a key switches a feed or a broker on all the same.
    fn empty(&mut self, path: &[String]) {
        let [section, name] = path else {
            return;
        };
        let Some((key, kind)) = kind_key(section, name) else {
            return;
        };
        let full: Vec<String> = path.iter().cloned().chain([key.to_owned()]).collect();
        let origin = Origin {
            layer: Layer::File,
            place: self.name.to_owned(),
        };
        self.tree.set(&full, None, kind.into(), origin);
    }

    fn value(
        &mut self,
        path: &mut Vec<String>,
        value: &toml::Value,
        at: usize,
        span: &DeValue<'_>,
    ) {
        let origin = self.origin(at);
        let keys = self.tree.keys(self.schema, path);
        let known = keys
            .as_ref()
            .and_then(|(at, keys)| Some((keys, path.get(*at)?)));
        let Some((keys, name)) = known else {
            match (value, span) {
                (toml::Value::Table(values), DeValue::Table(spans)) => {
                    self.table(path, values, spans);
                }
                _ => self.unknown.push(format!(
                    "{}: `{}` must be a table",
                    origin.place,
                    path.join(".")
                )),
            }
            return;
        };
        if let Some(key) = keys.iter().find(|key| key.name == *name) {
            let value = match (key.kind, value) {
                // One spelling of equal numbers.
                (Kind::Number, toml::Value::String(text)) => {
                    super::variables::number(text).unwrap_or_else(|| value.clone())
                }
                _ => value.clone(),
            };
            self.tree.set(path, None, value, origin);
            return;
        }
        // `[risk.brokers]`, `[feeds]`: the step above a name.
        if let (toml::Value::Table(values), DeValue::Table(spans)) = (value, span)
            && self.is_above_a_section(path)
        {
            self.table(path, values, spans);
            return;
        }
        let kind = match path.as_slice() {
            [section, name, _] => self.tree.kind(section, name),
            _ => None,
        };
        let kinds = self.schema.kinds_at(path);
        // Of an unknown kind nothing is known: that is the error then.
        if kind.is_some_and(|kind| !kinds.iter().any(|k| k.name == kind)) {
            self.tree.set(path, None, value.clone(), origin);
            return;
        }
        let section = path[..path.len() - 1].join(".");
        let names = keys.iter().map(|key| key.name.as_str());
        let near = nearest(name, names.clone()).map_or_else(
            || format!("known: {}", names.collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        self.unknown.push(format!(
            "{}: [{section}] has no key `{name}`: {near}",
            origin.place
        ));
    }

    fn is_above_a_section(&self, path: &[String]) -> bool {
        let is_above = |section: &[&str]| {
            section.len() > path.len() && section.iter().zip(path).all(|(a, b)| a == b)
        };
        self.schema.sections.iter().any(|s| is_above(s.path))
    }
}
