//! Every field of every event is in its encoding.

use std::collections::BTreeSet;

use model::event::Event;
use serde_json::Value;
use wire::{Registry, encode_named, roots};

use crate::samples::{events, registry, strategies};

fn encoded(event: &Event) -> Vec<u8> {
    let (instruments, strategies) = (registry(), strategies());
    let names = Registry {
        instruments: &instruments,
        strategies: &strategies,
    };
    let mut bytes = Vec::new();
    encode_named(roots::EVENT, event, &names, &mut bytes).unwrap();
    bytes
}

/// Other values that a leaf of the event's JSON could have; those that its type refuses fall away.
fn alternatives(leaf: &Value) -> Vec<Value> {
    let mut others: Vec<Value> = match leaf {
        Value::Bool(b) => vec![(!b).into()],
        Value::Number(n) => match n.as_i64() {
            Some(n) => vec![(n + 1).into()],
            None => vec![(n.as_f64().unwrap() / 2.0).into()],
        },
        Value::Null => vec![1.into(), "halted".into()],
        Value::String(text) => vec![format!("{text}x").into()],
        Value::Array(_) | Value::Object(_) => vec![],
    };
    if !leaf.is_null() {
        others.push(Value::Null);
    }
    others.extend(
        [
            "sell", "buy", "delivery", "intraday", "stop", "ioc", "exit", "halted",
        ]
        .map(Value::from),
    );
    others.extend(
        [
            "reduce_only",
            "operator_request",
            "stt",
            "underlying",
            "tick",
        ]
        .map(Value::from),
    );
    others
}

fn leaves(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            map.iter()
                .for_each(|(key, value)| leaves(value, format!("{path}/{key}"), found));
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(n, value)| leaves(value, format!("{path}/{n}"), found)),
        _ => found.push(path),
    }
}

#[test]
fn every_field_of_every_event_changes_its_encoding() {
    let mut encodings = BTreeSet::new();
    let mut changed = 0;
    for event in events() {
        assert!(
            encodings.insert(encoded(&event)),
            "two different events, one encoding: {event:?}"
        );
        let json = serde_json::to_value(event).unwrap();
        let mut paths = Vec::new();
        leaves(&json, String::new(), &mut paths);
        for path in paths {
            let mut tried = 0;
            for other in alternatives(json.pointer(&path).unwrap()) {
                let mut copy = json.clone();
                *copy.pointer_mut(&path).unwrap() = other;
                let Ok(other) = serde_json::from_value::<Event>(copy) else {
                    continue;
                };
                if other != event {
                    tried += 1;
                    assert!(
                        encodings.insert(encoded(&other)),
                        "{path} is not in the encoding: {other:?}"
                    );
                }
            }
            // A name without a value: other values have their places among the events.
            let unit = path.ends_with("/change") || path.ends_with("/trigger");
            assert!(tried > 0 || unit, "{path} of {json} was not changed");
            changed += tried;
        }
    }
    assert!(changed > 200, "only {changed} changes were tried");
}
