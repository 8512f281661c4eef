//! Messages as JSON, for people and tools: names instead of indices, decimals as text, times as nanoseconds UTC
//! beside their readable form, absent options as null.

use model::ids::OrderId;
use model::reason::Reason;
use model::{Amount, Date, Price, Timestamp};
use serde_json::{Map, Value, json};

use crate::error::WireError;
use crate::names::Names;
use crate::schema::{self, Field, Kind, Label, Message, Referent, Root, Unit};
use crate::varint::{self, Raw, take_field};

/// The message in these bytes. A `oneof` is an object with its member's name as `kind`, and what the member says.
pub fn json(root: Root, bytes: &[u8], names: &dyn Names) -> Result<Value, WireError> {
    let mut map = Map::new();
    fill(&mut map, root.message(), bytes, "kind", names)?;
    Ok(Value::Object(map))
}

/// Puts the fields of a message into an object. The name of the member of a `oneof` goes under `tag`.
fn fill(
    map: &mut Map<String, Value>,
    message: &Message,
    bytes: &[u8],
    tag: &str,
    names: &dyn Names,
) -> Result<(), WireError> {
    if !message.one_of {
        for field in message.fields {
            match (field.label, field.kind) {
                (Label::Single, Kind::Message(index)) if field.inline => {
                    fill(map, schema::message(index), &[], field.name, names)?;
                }
                _ => {
                    if let Some(value) = absent(field) {
                        put(map, field, value);
                    }
                }
            }
        }
    }
    let mut left = bytes;
    while !left.is_empty() {
        let (number, raw) = take_field(&mut left).ok_or(WireError::Torn)?;
        let Some(field) = message.by_number(number) else {
            continue;
        };
        if message.one_of {
            if field.label == Label::Optional {
                member(map, field, raw, tag, names)?;
            }
            continue;
        }
        match (field.label, field.kind, raw) {
            (Label::Repeated, Kind::Message(index), Raw::Bytes(bytes)) if field.inline => {
                pair(map, field, schema::message(index), bytes, names)?;
            }
            (Label::Repeated, ..) => {
                let list = map.entry(field.name).or_insert_with(|| json!([]));
                if let Value::Array(list) = list {
                    elements(field, raw, names, list)?;
                }
            }
            (_, Kind::Message(index), Raw::Bytes(bytes)) if field.inline => {
                fill(map, schema::message(index), bytes, field.name, names)?;
            }
            _ => put(map, field, value(field, raw, names)?),
        }
    }
    Ok(())
}

/// The member of a `oneof`: its name, and what it says.
fn member(
    map: &mut Map<String, Value>,
    field: &Field,
    raw: Raw<'_>,
    tag: &str,
    names: &dyn Names,
) -> Result<(), WireError> {
    map.insert(tag.to_owned(), json!(field.name));
    match (field.kind, raw) {
        (Kind::Message(index), Raw::Bytes(bytes)) => {
            fill(map, schema::message(index), bytes, field.name, names)?;
        }
        (Kind::Enum(index), _) if schema::enumeration(index).name == "Reason" => {
            let code = value(field, raw, names)?;
            tell(map, &code);
            map.insert("reason".to_owned(), code);
        }
        _ => put(map, field, value(field, raw, names)?),
    }
    Ok(())
}

/// A pair of a list whose first is the name of the second.
fn pair(
    map: &mut Map<String, Value>,
    list: &Field,
    message: &Message,
    bytes: &[u8],
    names: &dyn Names,
) -> Result<(), WireError> {
    let mut one = Map::new();
    fill(&mut one, message, bytes, "kind", names)?;
    let [first, second] = message.fields else {
        return Err(WireError::Schema(format!("{} is no pair", message.name)));
    };
    let (name, value) = (one.remove(first.name), one.remove(second.name));
    let name = name.and_then(|name| name.as_str().map(str::to_owned));
    if let Some(Value::Object(all)) = map.get_mut(list.name) {
        all.insert(name.unwrap_or_default(), value.unwrap_or_default());
    }
    Ok(())
}

/// A reason is told in words as well.
fn tell(map: &mut Map<String, Value>, code: &Value) {
    let mut all = Reason::ALL.iter();
    if let Some(reason) = all.find(|reason| Some(reason.code()) == code.as_str()) {
        map.insert("text".to_owned(), json!(reason.text()));
    }
}

/// A time has a readable form beside it.
fn put(map: &mut Map<String, Value>, field: &Field, value: Value) {
    if field.unit == Unit::Time
        && let Some(at) = value.as_i64()
    {
        let name = match field.name {
            "ts" | "at" | "due" | "until" => "time".to_owned(),
            other => format!("{}_time", other.strip_suffix("_ts").unwrap_or(other)),
        };
        map.insert(name, json!(Timestamp(at).to_string()));
    }
    if let Kind::Enum(index) = field.kind
        && schema::enumeration(index).name == "Reason"
    {
        tell(map, &value);
    }
    map.insert(field.name.to_owned(), value);
}

/// What stands for a field that is absent.
fn absent(field: &Field) -> Option<Value> {
    Some(match (field.label, field.kind) {
        (Label::Repeated, _) if field.inline => json!({}),
        (Label::Repeated, _) => json!([]),
        // Its fields may be absent as well, and are none of the message around it.
        (Label::Optional, Kind::Message(_)) if field.inline => return None,
        (Label::Optional, _) => Value::Null,
        (_, Kind::Bool) => json!(false),
        (_, Kind::Signed) => signed(field.unit, 0),
        (_, Kind::Bytes) => bytes(field.unit, &[])?,
        (_, Kind::Unsigned) => json!(0),
        (_, Kind::Float | Kind::Double) => json!(0.0),
        (_, Kind::Text) => json!(""),
        (_, Kind::Message(_) | Kind::Enum(_) | Kind::Reference(_)) => return None,
    })
}

fn elements(
    field: &Field,
    raw: Raw<'_>,
    names: &dyn Names,
    list: &mut Vec<Value>,
) -> Result<(), WireError> {
    match (field.kind, raw) {
        (Kind::Unsigned | Kind::Signed | Kind::Enum(_) | Kind::Bool, Raw::Bytes(mut packed)) => {
            while !packed.is_empty() {
                let one = varint::take(&mut packed).ok_or(WireError::Torn)?;
                list.push(value(field, Raw::Varint(one), names)?);
            }
        }
        _ => list.push(value(field, raw, names)?),
    }
    Ok(())
}

fn value(field: &Field, raw: Raw<'_>, names: &dyn Names) -> Result<Value, WireError> {
    let unfit = || WireError::Malformed(format!("`{}` is not what the schema says", field.name));
    Ok(match (field.kind, raw) {
        (Kind::Bool, Raw::Varint(v)) => json!(v != 0),
        (Kind::Unsigned, Raw::Varint(v)) => json!(v),
        (Kind::Signed, Raw::Varint(v)) => signed(field.unit, varint::unzigzag(v)),
        (Kind::Float, Raw::Fixed32(v)) => json!(f32::from_bits(v)),
        (Kind::Double, Raw::Fixed64(v)) => json!(f64::from_bits(v)),
        (Kind::Text, Raw::Bytes(v)) => json!(String::from_utf8_lossy(v)),
        (Kind::Bytes, Raw::Bytes(v)) => bytes(field.unit, v).ok_or_else(unfit)?,
        (Kind::Enum(index), Raw::Varint(v)) => {
            let name = schema::enumeration(index).name_of(v);
            name.map_or_else(|| json!(v), |name| json!(name))
        }
        (Kind::Message(index), Raw::Bytes(v)) => {
            let mut map = Map::new();
            fill(&mut map, schema::message(index), v, "kind", names)?;
            Value::Object(map)
        }
        (Kind::Reference(referent), Raw::Bytes(v)) => reference(referent, v, names)?,
        _ => return Err(unfit()),
    })
}

fn signed(unit: Unit, value: i64) -> Value {
    match unit {
        Unit::Decimal => json!(Price::from_raw(value).to_string()),
        Unit::Date => json!(Date::from_days(value as i32).to_string()),
        Unit::Hundredths => json!(Price::from_raw(value.saturating_mul(1_000_000)).to_string()),
        _ => json!(value),
    }
}

fn bytes(unit: Unit, value: &[u8]) -> Option<Value> {
    let id = || {
        let bytes = <[u8; 16]>::try_from(value).unwrap_or_default();
        u128::from_be_bytes(bytes)
    };
    Some(match unit {
        Unit::Money => json!(Amount::from_raw(varint::read_i128(value)?).to_string()),
        Unit::OrderId => json!(OrderId::from_number(id()).to_string()),
        Unit::Id => json!(format!("{:032x}", id())),
        _ => json!(value.iter().map(|b| format!("{b:02x}")).collect::<String>()),
    })
}

fn reference(referent: Referent, bytes: &[u8], names: &dyn Names) -> Result<Value, WireError> {
    let mut left = bytes;
    let mut found = Value::Null;
    while !left.is_empty() {
        match take_field(&mut left).ok_or(WireError::Torn)? {
            (1, Raw::Bytes(name)) => found = json!(String::from_utf8_lossy(name)),
            (2, Raw::Varint(index)) => {
                let at = usize::try_from(index).unwrap_or(usize::MAX);
                let name = names.name(referent, at);
                found = if name.is_empty() {
                    json!({ "index": index })
                } else {
                    json!(name)
                };
            }
            _ => {}
        }
    }
    Ok(found)
}
