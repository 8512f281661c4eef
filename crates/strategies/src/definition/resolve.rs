//! From definitions to strategies that can be built.

use std::collections::BTreeMap;

use model::signal::Product;
use model::{InstrumentIdx, Instruments};
use serde_json::{Map, Value};

use super::{Definition, DefinitionError};
use crate::kind::{BuildError, InstrumentsWanted, KindDescriptor, KindRegistry, Scope, Setup};
use crate::parameter::Parameters;
use crate::strategy::{Strategy, Subscription};
use crate::suggest::did_you_mean;

/// A definition whose names have been looked up and whose parameters have been checked.
#[derive(Debug, Clone)]
pub struct ResolvedStrategy {
    /// As it was given.
    pub definition: Definition,
    /// Its instruments in the order of their slots.
    pub instruments: Vec<InstrumentIdx>,
    /// Its effective parameters.
    pub parameters: Parameters,
    /// The effective definition as canonical JSON: equal texts, equal strategies.
    pub digest_text: String,
    kind: KindDescriptor,
}

impl ResolvedStrategy {
    /// The strategy's id.
    pub fn id(&self) -> &str {
        &self.definition.id
    }
    /// Where it runs.
    pub fn scope(&self) -> Scope {
        self.kind.scope
    }
    /// Its kind.
    pub fn kind(&self) -> &KindDescriptor {
        &self.kind
    }
    /// What its positions are held as: the host sets it on every decision.
    pub fn product(&self) -> Product {
        self.definition.product
    }
    /// Whether it runs.
    pub fn enabled(&self) -> bool {
        self.definition.enabled
    }

    /// A new instance; per-broker kinds need one for each broker.
    pub fn build(&self) -> Result<Box<dyn Strategy>, BuildError> {
        (self.kind.build)(&Setup {
            kind: self.kind.name,
            parameters: &self.parameters,
            instruments: self.instruments.len(),
            warm_up: self.definition.warm_up.unwrap_or(0),
        })
    }

    /// The subscription of an instance, with the definition's warm-up where that is longer than what
    /// the instance declares.
    pub fn subscription(&self, strategy: &dyn Strategy) -> Subscription {
        let mut subscription = strategy.subscription();
        subscription.warm_up = subscription
            .warm_up
            .max(self.definition.warm_up.unwrap_or(0));
        subscription
    }
}

/// Looks everything up and builds each strategy once to see that it can be. The result is in the
/// order of the ids, whatever the order of the files; disabled definitions are checked and kept.
pub fn resolve(
    definitions: Vec<Definition>,
    instruments: &Instruments,
    registry: &KindRegistry,
) -> Result<Vec<ResolvedStrategy>, DefinitionError> {
    let mut by_id: BTreeMap<String, Definition> = BTreeMap::new();
    for definition in definitions {
        if let Some(first) = by_id.get(&definition.id) {
            return Err(DefinitionError::Duplicate {
                id: definition.id,
                first: first.source.clone(),
                second: definition.source,
            });
        }
        by_id.insert(definition.id.clone(), definition);
    }
    by_id
        .into_values()
        .map(|definition| one(definition, instruments, registry))
        .collect()
}

fn one(
    definition: Definition,
    instruments: &Instruments,
    registry: &KindRegistry,
) -> Result<ResolvedStrategy, DefinitionError> {
    let kind = *registry
        .find(&definition.kind.text)
        .map_err(|why| definition.error(&definition.kind.at, why.to_string()))?;
    let parameters = parameters(&definition, &kind)?;
    let chosen = choose(&definition, &kind, instruments)?;
    let digest_text = digest_text(&definition, &parameters, &chosen, instruments);
    let resolved = ResolvedStrategy {
        definition,
        instruments: chosen,
        parameters,
        digest_text,
        kind,
    };
    resolved.build().map_err(|why| {
        resolved
            .definition
            .error(&resolved.definition.source, why.to_string())
    })?;
    Ok(resolved)
}

fn parameters(
    definition: &Definition,
    kind: &KindDescriptor,
) -> Result<Parameters, DefinitionError> {
    for (key, _) in &definition.parameters {
        if !kind.parameter_names().any(|name| name == key.text) {
            let hint = did_you_mean(&key.text, kind.parameter_names());
            let message = format!("unknown parameter `{}`{hint} ({})", key.text, kind.takes());
            return Err(definition.error(&key.at, message));
        }
    }
    let given = |name: &str| {
        definition
            .parameters
            .iter()
            .find(|(key, _)| key.text == name)
    };
    Parameters::new(kind.parameters, |name| {
        given(name).map(|(_, value)| value.text.clone())
    })
    .map_err(|(name, why)| {
        let at = given(name).map_or(&definition.source, |(_, value)| &value.at);
        definition.error(at, format!("parameter `{name}`: {why}"))
    })
}

/// The instruments in the order of their slots.
fn choose(
    definition: &Definition,
    kind: &KindDescriptor,
    instruments: &Instruments,
) -> Result<Vec<InstrumentIdx>, DefinitionError> {
    let classes = &definition.asset_classes;
    let mut chosen = Vec::with_capacity(definition.instruments.len());
    for name in &definition.instruments {
        let index = instruments
            .find(&name.text)
            .map_err(|why| definition.error(&name.at, why.to_string()))?;
        let instrument = instruments.get(index);
        if !classes.is_empty() && !classes.contains(&instrument.asset_class) {
            let message = format!(
                "instrument `{}` is of class {}, which `asset_classes` does not name",
                instrument.id, instrument.asset_class,
            );
            return Err(definition.error(&name.at, message));
        }
        if chosen.contains(&index) {
            return Err(definition.error(
                &name.at,
                format!("`instruments` names `{}` twice", instrument.id),
            ));
        }
        chosen.push(index);
    }
    match kind.instruments {
        InstrumentsWanted::InOrder(count) if chosen.len() != count => {
            let message = format!(
                "{} needs exactly {count} instruments in `instruments`, but {} are listed",
                kind.name,
                chosen.len(),
            );
            return Err(definition.error(&definition.source, message));
        }
        InstrumentsWanted::InOrder(_) => return Ok(chosen),
        InstrumentsWanted::Any => {}
    }
    if definition.instruments.is_empty() {
        if classes.is_empty() {
            let message = "names neither `instruments` nor `asset_classes`: give one of them";
            return Err(definition.error(&definition.source, message));
        }
        chosen.extend(
            instruments
                .iter()
                .filter(|(_, i)| classes.contains(&i.asset_class))
                .map(|(index, _)| index),
        );
        if chosen.is_empty() {
            let names: Vec<_> = classes.iter().map(|c| c.name()).collect();
            let message = format!("there is no instrument of class {}", names.join(" or "));
            return Err(definition.error(&definition.source, message));
        }
    }
    chosen.sort_unstable();
    Ok(chosen)
}

fn digest_text(
    definition: &Definition,
    parameters: &Parameters,
    chosen: &[InstrumentIdx],
    instruments: &Instruments,
) -> String {
    let mut brokers: Vec<&str> = definition.brokers.iter().map(|b| b.text.as_str()).collect();
    brokers.sort_unstable();
    let mut parameters: Vec<(&str, String)> = parameters.texts().collect();
    parameters.sort_unstable();
    let parameters: Map<String, Value> = parameters
        .into_iter()
        .map(|(name, text)| (name.to_owned(), Value::String(text)))
        .collect();
    let ids: Vec<&str> = chosen
        .iter()
        .map(|i| instruments.get(*i).id.as_str())
        .collect();
    let effective = serde_json::json!({
        "brokers": brokers,
        "enabled": definition.enabled,
        "id": definition.id,
        "instruments": ids,
        "kind": definition.kind.text,
        "missed_timers": definition.missed_timers.name(),
        "parameters": parameters,
        "product": definition.product.name(),
        "risk": definition.risk.as_ref().map(|risk| sorted(&risk.value)),
        "warm_up": definition.warm_up,
    });
    effective.to_string()
}

/// With the keys of every mapping in order, whatever map the JSON library was built with.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            Value::Object(
                entries
                    .into_iter()
                    .map(|(key, value)| (key.clone(), sorted(value)))
                    .collect(),
            )
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
