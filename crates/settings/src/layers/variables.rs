//! The layers of `.env` and the environment: `TRADING_ENGINE__PAPER__SEED=3`.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow, bail};
use toml::Value;

use super::{Layer, LayerInputs, Origin, Tree, dotenv, read_optional};
use crate::schema::{ALIASES, BROKER_NAMESPACE, Key, Kind, Schema, is_name, nearest};

/// A variable that is ours.
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) text: String,
    layer: Layer,
}

impl Variable {
    pub(super) fn origin(&self) -> Origin {
        Origin {
            layer: self.layer,
            place: self.name.clone(),
        }
    }
}

/// All variables by name, the environment's before those of `.env`. An empty one is absent.
pub(super) fn collect(inputs: &LayerInputs<'_>) -> anyhow::Result<Vec<Variable>> {
    let mut found: BTreeMap<String, Variable> = BTreeMap::new();
    let file = read_optional(&inputs.dir.join(".env"))?;
    let file = dotenv::parse(file.as_deref().unwrap_or_default())?;
    let layers = [(Layer::DotEnv, &file), (Layer::Environment, &inputs.env)];
    for (layer, variables) in layers {
        for (name, text) in variables {
            let variable = Variable {
                name: name.clone(),
                text: text.clone(),
                layer,
            };
            found.insert(name.clone(), variable);
        }
    }
    Ok(found
        .into_values()
        .filter(|v| !v.text.trim().is_empty())
        .collect())
}

/// Where a variable leads.
struct Target {
    path: Vec<String>,
    /// One entry of a key that is a table.
    entry: Option<String>,
    kind: Kind,
}

/// Takes over every variable that is ours.
pub(super) fn apply(
    tree: &mut Tree,
    schema: &Schema,
    variables: &[Variable],
) -> anyhow::Result<()> {
    // The kind of a broker or a feed decides which keys it has; a whole table comes before its entries.
    let is_kind = |name: &str| name.ends_with("__KIND") || name.ends_with("__SOURCE");
    let order = |v: &&Variable| (!is_kind(&v.name), v.name.matches("__").count());
    let mut ordered: Vec<&Variable> = variables.iter().collect();
    ordered.sort_by_key(order);
    let mut taken: BTreeMap<(Vec<String>, Option<String>), &Variable> = BTreeMap::new();
    for variable in ordered {
        let Some(steps) = steps(schema, &variable.name) else {
            continue;
        };
        let target = target(tree, schema, variable, steps)?;
        let place = (target.path.clone(), target.entry.clone());
        if let Some(other) = taken.insert(place, variable)
            && other.text != variable.text
        {
            // Neither value is shown: they are likely secrets.
            bail!(
                "{} and {} both set {}, to different values: keep one of the two",
                other.origin(),
                variable.origin(),
                target.path.join(".")
            );
        }
        let kind = match target.entry {
            Some(_) => Kind::Either,
            None => target.kind,
        };
        let value = typed(kind, variable.text.trim()).with_context(|| {
            let path = target.path.join(".");
            format!("{}: {path}", variable.origin())
        })?;
        tree.set(
            &target.path,
            target.entry.as_deref(),
            value,
            variable.origin(),
        );
    }
    Ok(())
}

/// The steps of a variable's name, if it is ours: an alias, a key of the top level by its exact name,
/// or one with a section before its first `__`.
fn steps(schema: &Schema, name: &str) -> Option<Vec<String>> {
    if let Some((_, path)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return Some(path.iter().map(|step| (*step).to_owned()).collect());
    }
    let Some((first, _)) = name.split_once("__") else {
        let top = schema.sections.first()?;
        let is_key = |key: &Key| key.name.to_ascii_uppercase() == name;
        return top
            .keys
            .iter()
            .any(is_key)
            .then(|| vec![name.to_ascii_lowercase()]);
    };
    schema
        .first_levels()
        .any(|section| section.to_ascii_uppercase() == first)
        .then(|| name.split("__").map(str::to_ascii_lowercase).collect())
}

fn target(
    tree: &Tree,
    schema: &Schema,
    variable: &Variable,
    mut steps: Vec<String>,
) -> anyhow::Result<Target> {
    let origin = variable.origin();
    if steps.iter().any(String::is_empty) {
        bail!(
            "{origin}: a level is empty: write SECTION__KEY, with two underscores between levels"
        );
    }
    let section = schema
        .section_of(&steps)
        .with_context(|| unknown_section(schema, &origin, &steps))?;
    if section.path.is_empty() && steps.len() > 1 {
        bail!(unknown_section(schema, &origin, &steps));
    }
    for (at, step) in section.path.iter().enumerate() {
        if is_name(step) {
            let above: Vec<&str> = steps[..at].iter().map(String::as_str).collect();
            let name = spelled(tree, &above, &steps[at], *step == "EXCHANGE");
            steps[at] = name;
        }
    }
    let (at, keys) = tree
        .keys(schema, &steps)
        .with_context(|| unknown_section(schema, &origin, &steps))?;
    let heading = steps[..at].join(".");
    let known = || {
        let names = keys.iter().map(|key| key.name.to_ascii_uppercase());
        names.collect::<Vec<_>>().join(", ")
    };
    let Some(name) = steps.get(at) else {
        bail!(
            "{origin}: [{heading}] is a section: name one of its keys: {}",
            known()
        );
    };
    let Some(key) = keys.iter().find(|key| key.name == *name) else {
        let kinds: Vec<&str> = schema.kinds_at(&steps).iter().map(|k| k.name).collect();
        let kind = match steps.as_slice() {
            [section, name, ..] => tree.kind(section, name),
            _ => None,
        };
        if let Some(kind) = kind.filter(|kind| !kinds.contains(kind)) {
            let near = nearest(kind, kinds.iter().copied())
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            bail!(
                "{origin}: [{heading}]: no kind is called `{kind}`; known: {}{near}",
                kinds.join(", ")
            );
        }
        let prefix = steps[..at].join("__").to_ascii_uppercase();
        let near = nearest(name, keys.iter().map(|key| key.name.as_str())).map_or_else(
            || format!("known: {}", known()),
            |near| {
                let near = near.to_ascii_uppercase();
                format!("did you mean {prefix}__{near}?")
            },
        );
        bail!("{origin}: [{heading}] has no key `{name}`: {near}");
    };
    let entry = match (&steps[at + 1..], key.kind) {
        ([], _) => None,
        ([entry], Kind::Money) => Some(entry.to_ascii_uppercase()),
        ([entry], Kind::Table) if key.name == "starting_cash" => Some(entry.to_ascii_uppercase()),
        ([entry], Kind::Table | Kind::Either) => Some(entry.clone()),
        _ => bail!("{origin}: `{name}` of [{heading}] has no levels below it"),
    };
    Ok(Target {
        path: steps[..=at].to_vec(),
        entry,
        kind: key.kind,
    })
}

fn unknown_section(schema: &Schema, origin: &Origin, steps: &[String]) -> String {
    let first = steps.first().map(String::as_str).unwrap_or_default();
    let forms = schema
        .sections
        .iter()
        .filter(|s| s.path.first() == Some(&first));
    let forms: Vec<String> = forms
        .map(|s| s.path.join("__").to_ascii_uppercase())
        .collect();
    format!(
        "{origin}: no such section; its keys are named {}__KEY",
        forms.join("__KEY or ")
    )
}

/// A name as the settings spell it. Variables know neither case nor `-`: a name that is there already
/// is meant; a new one is in small letters, an exchange's in capitals.
fn spelled(tree: &Tree, above: &[&str], step: &str, is_upper: bool) -> String {
    let folded = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    let there = tree
        .names(above)
        .into_iter()
        .find(|name| folded(name) == folded(step));
    match there {
        Some(name) => name.to_owned(),
        None if is_upper => step.to_ascii_uppercase(),
        None => step.to_owned(),
    }
}

/// A text as the kind of value that its key wants.
fn typed(kind: Kind, text: &str) -> anyhow::Result<Value> {
    let wrong = || anyhow!("`{text}`: write {}", kind.form());
    let value = match kind {
        Kind::Text => Value::String(text.to_owned()),
        Kind::Number => number(text).ok_or_else(wrong)?,
        Kind::Flag => Value::Boolean(text.parse().map_err(|_| wrong())?),
        Kind::List if text.starts_with('[') => {
            structured(text).filter(Value::is_array).ok_or_else(wrong)?
        }
        Kind::List => Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Value::String(item.to_owned()))
                .collect(),
        ),
        Kind::Table => structured(text).filter(Value::is_table).ok_or_else(wrong)?,
        Kind::Money | Kind::Either if text.starts_with('{') => {
            structured(text).ok_or_else(wrong)?
        }
        Kind::Money if text == "off" || text.ends_with('%') => Value::String(text.to_owned()),
        Kind::Money => number(text).ok_or_else(wrong)?,
        Kind::Either => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
    };
    Ok(value)
}

/// A number as a file would give it.
pub(super) fn number(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse() {
        return Some(Value::Integer(whole));
    }
    let float: f64 = text.parse().ok()?;
    // A float that does not give the text back has lost digits: they stay as text.
    let is_exact = text.trim_end_matches('0').len() < 16 || float.to_string() == text;
    float.is_finite().then(|| match is_exact {
        true => Value::Float(float),
        false => Value::String(text.to_owned()),
    })
}

/// A list or a table, as JSON or as TOML writes it.
fn structured(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().or_else(|| {
        let mut table: toml::Table = toml::from_str(&format!("v = {text}")).ok()?;
        // More than the one value would come from line breaks in the text.
        (table.len() == 1).then(|| table.remove("v")).flatten()
    })
}

/// The name of a key's variable.
pub fn variable(path: &[&str]) -> String {
    path.join("__").to_ascii_uppercase().replace('-', "_")
}

/// Variables that are ignored, though somebody may have meant one of ours.
pub(super) fn nearly_ours(schema: &Schema, variables: &[Variable]) -> Vec<String> {
    let mut levels: Vec<String> = schema.first_levels().map(str::to_ascii_uppercase).collect();
    levels.dedup();
    // Short words are too near to everything.
    let top = schema.sections.iter().take(1).flat_map(|s| &s.keys);
    let tops: Vec<String> = top
        .map(|key| key.name.to_ascii_uppercase())
        .chain([BROKER_NAMESPACE.to_owned()])
        .filter(|name| name.contains('_'))
        .collect();
    let plain: Vec<String> = schema
        .sections
        .iter()
        .filter(|s| !s.path.is_empty() && !s.path.iter().any(|step| is_name(step)))
        .flat_map(|s| {
            s.keys.iter().map(|key| {
                let path: Vec<&str> = s.path.iter().copied().chain([key.name.as_str()]).collect();
                variable(&path)
            })
        })
        .collect();
    let meant = |name: &str| -> Option<String> {
        if let Some((first, rest)) = name.split_once("__") {
            let near = nearest(first, levels.iter().map(String::as_str));
            return near.map(|near| format!("{near}__{rest}"));
        }
        let joined = plain.iter().find(|known| known.replace("__", "_") == name);
        joined
            .map(String::as_str)
            .or_else(|| nearest(name, tops.iter().map(String::as_str)))
            .map(str::to_owned)
    };
    variables
        .iter()
        .filter(|v| steps(schema, &v.name).is_none() && v.name != BROKER_NAMESPACE)
        .filter_map(|v| {
            let meant = meant(&v.name)?;
            Some(format!("{} is ignored: did you mean {meant}?", v.origin()))
        })
        .collect()
}
