//! What is written is what the schema says, is read back as it was, and is refused where it is something else.

use std::path::Path;

use model::event::{Event, EventBody};
use model::reindex::Reindex;
use model::{CurrencyIdx, InstrumentIdx, StrategyIdx};
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage};
use wire::{Registry, WireError, decode, encode, encode_named, json, roots};

use crate::samples::{events, registry, strategies};

fn schema() -> DescriptorPool {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let mut compiler = protox::Compiler::new([&proto]).unwrap();
    compiler.include_imports(true);
    compiler
        .open_file(proto.join("alpha_panda/v1/journal.proto"))
        .unwrap();
    compiler.descriptor_pool()
}

fn encoded(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(roots::EVENT, event, &mut bytes).unwrap();
    bytes
}

/// No field of the message or below it is one that the schema does not have.
fn assert_known(message: &DynamicMessage) {
    assert_eq!(message.unknown_fields().count(), 0, "{message:?}");
    for (_, value) in message.fields() {
        let inner = value.as_message().into_iter();
        let list = value.as_list().unwrap_or_default();
        inner
            .chain(list.iter().filter_map(|v| v.as_message()))
            .for_each(assert_known);
    }
}

#[test]
fn others_read_it_by_the_schema_and_write_the_same() {
    let schema = schema();
    let descriptor = schema.get_message_by_name("alpha_panda.v1.Event").unwrap();
    let (instruments, strategies) = (registry(), strategies());
    let names = Registry {
        instruments: &instruments,
        strategies: &strategies,
    };
    for event in events() {
        let mut named = Vec::new();
        encode_named(roots::EVENT, &event, &names, &mut named).unwrap();
        for bytes in [encoded(&event), named] {
            let message = DynamicMessage::decode(descriptor.clone(), bytes.as_slice()).unwrap();
            assert_known(&message);
            // Fields in the order of their numbers, defaults left out: as every library writes it.
            let again = prost_reflect::prost::Message::encode_to_vec(&message);
            assert_eq!(again, bytes, "{event:?}");
            assert_eq!(message.descriptor().name(), "Event");
        }
    }
}

#[test]
fn what_is_written_is_read() {
    for event in events() {
        let bytes = encoded(&event);
        assert_eq!(decode::<Event>(roots::EVENT, &bytes, None), Ok(event));
    }
}

#[test]
fn fields_that_a_later_build_adds_are_passed_over_and_kinds_are_named() {
    for event in events() {
        // Field 2000, of every wire type.
        for extra in [
            &[0x80, 0x7d, 0x05][..],
            &[0x82, 0x7d, 0x02, 0x01, 0x02],
            &[0x85, 0x7d, 1, 2, 3, 4],
            &[0x81, 0x7d, 1, 2, 3, 4, 5, 6, 7, 8],
        ] {
            let mut bytes = encoded(&event);
            bytes.extend_from_slice(extra);
            assert_eq!(decode::<Event>(roots::EVENT, &bytes, None), Ok(event));
        }
    }
    // Caused by input 1; the body's member is number 111, which is empty.
    let bytes = [0x1a, 0x02, 0x08, 0x01, 0x22, 0x03, 0xfa, 0x06, 0x00];
    let error = decode::<Event>(roots::EVENT, &bytes, None).unwrap_err();
    assert_eq!(
        error,
        WireError::Unknown {
            what: "EventBody",
            number: 111
        }
    );
}

#[test]
fn indices_are_translated_and_those_that_are_not_known_any_more_are_refused() {
    let event = events()
        .into_iter()
        .find(|e| matches!(e.body, EventBody::SquareOff { .. }))
        .unwrap();
    let bytes = encoded(&event);
    let map = |instrument| {
        Reindex::new(
            vec![instrument; 3],
            vec![Some(StrategyIdx(0)), Some(StrategyIdx(7))],
            vec![Some(CurrencyIdx(0)); 2],
        )
    };
    let moved = map(Some(InstrumentIdx(9)));
    let read: Event = decode(roots::EVENT, &bytes, Some(&moved)).unwrap();
    let EventBody::SquareOff {
        strategy,
        instrument,
        ..
    } = read.body
    else {
        panic!("{read:?}");
    };
    assert_eq!((strategy.0, instrument.0), (7, 9));
    let gone = map(None);
    assert_eq!(
        decode::<Event>(roots::EVENT, &bytes, Some(&gone)),
        Err(WireError::Reference {
            what: "instrument",
            index: 0
        })
    );
    let beyond = Reindex::new(Vec::new(), vec![Some(StrategyIdx(0)); 2], Vec::new());
    assert!(decode::<Event>(roots::EVENT, &bytes, Some(&beyond)).is_err());
}

#[test]
fn bytes_that_are_cut_or_changed_are_an_error_or_another_event() {
    let (mut read, mut refused) = (0, 0);
    for event in events() {
        let bytes = encoded(&event);
        for at in 0..bytes.len() {
            if let Err(error) = decode::<Event>(roots::EVENT, &bytes[..at], None) {
                assert!(!error.to_string().is_empty(), "cut at {at}: {event:?}");
            }
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[at] ^= 1 << bit;
                match decode::<Event>(roots::EVENT, &other, None) {
                    Ok(_) => read += 1,
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(
        read > 1_000 && refused > 1_000,
        "{read} read, {refused} refused"
    );
}

#[test]
fn json_has_names_decimals_and_times() {
    let (instruments, strategies) = (registry(), strategies());
    let names = Registry {
        instruments: &instruments,
        strategies: &strategies,
    };
    for event in events() {
        let mut named = Vec::new();
        encode_named(roots::EVENT, &event, &names, &mut named).unwrap();
        let from_names = json(roots::EVENT, &named, &names).unwrap();
        let from_indices = json(roots::EVENT, &encoded(&event), &names).unwrap();
        assert_eq!(from_names, from_indices);
        assert_eq!(from_names["ts"], 7);
        assert_eq!(from_names["time"], "1970-01-01T00:00:00.000000007Z");
        let body = &from_names["body"];
        if let EventBody::OrderSubmitted(intent) = event.body {
            assert_eq!(body["kind"], "order_submitted");
            let order = body;
            assert_eq!(order["order_id"], intent.id.to_string());
            assert_eq!(order["instrument"], "NSE:A");
            assert_eq!(order["strategy"], "one");
            assert_eq!(order["quantity"], "0.0000003");
            assert_eq!(order["trigger_price"], serde_json::Value::Null);
            assert_eq!(order["validity"], "day");
        }
        if let EventBody::PositionSettled(settled) = event.body {
            let settled_json = body;
            assert_eq!(settled_json["charges"], settled.charges.to_string());
            assert_eq!(settled_json["basis"], "last_price");
        }
    }
}
