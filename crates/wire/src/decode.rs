//! Values out of Protocol Buffers. Unknown fields are passed over, absent ones are zero, empty or false, as the
//! encoding has it; an unknown member of a `oneof` or value of an enumeration is an error that names it.

use model::reindex::Reindex;
use serde::de::value::{BorrowedStrDeserializer, U16Deserializer, U32Deserializer};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};

use crate::error::WireError;
use crate::schema::{self, Field, Kind, Label, Message, Referent, Root};
use crate::varint::{self, Raw, take_field};

/// The value in these bytes. Its references are indices; `map` translates them where they are those of another start
/// than today's, and refuses one that it does not know.
pub fn decode<'de, T: Deserialize<'de>>(
    root: Root,
    bytes: &'de [u8],
    map: Option<&Reindex>,
) -> Result<T, WireError> {
    if root.message().has_major() {
        check_major(bytes)?;
    }
    T::deserialize(Value {
        source: Source::Present(Raw::Bytes(bytes)),
        kind: Kind::Message(root.0),
        label: Label::Single,
        map,
    })
}

/// A record begins with its major version.
fn check_major(bytes: &[u8]) -> Result<(), WireError> {
    let mut left = bytes;
    match take_field(&mut left) {
        Some((1, Raw::Varint(crate::MAJOR))) => Ok(()),
        Some((1, Raw::Varint(major))) => Err(WireError::Major(major)),
        _ if bytes.is_empty() => Err(WireError::Malformed("it is empty".to_owned())),
        _ => Err(WireError::NoSchema),
    }
}

/// The number of the member of a record's `oneof`, without reading it.
pub fn member(bytes: &[u8]) -> Option<u32> {
    let mut left = bytes;
    take_field(&mut left)?;
    varint::take(&mut left).and_then(|key| u32::try_from(key >> 3).ok())
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy)]
enum Source<'de> {
    Present(Raw<'de>),
    /// All fields of this number, from the first one on.
    Repeated(u32, &'de [u8]),
    Absent,
}

#[derive(Clone, Copy)]
struct Value<'de, 'm> {
    source: Source<'de>,
    kind: Kind,
    label: Label,
    map: Option<&'m Reindex>,
}

impl<'de, 'm> Value<'de, 'm> {
    fn of(field: &Field, source: Source<'de>, map: Option<&'m Reindex>) -> Self {
        Self {
            source,
            kind: field.kind,
            label: field.label,
            map,
        }
    }

    fn unfit(&self, what: &str) -> WireError {
        WireError::Malformed(format!("{what} was expected where {:?} is", self.kind))
    }

    fn varint(&self, what: &str) -> Result<u64, WireError> {
        match self.source {
            Source::Present(Raw::Varint(value)) => Ok(value),
            Source::Absent => Ok(0),
            _ => Err(self.unfit(what)),
        }
    }

    fn unsigned(&self) -> Result<u64, WireError> {
        match self.kind {
            Kind::Unsigned => self.varint("a number"),
            _ => Err(self.unfit("an unsigned number")),
        }
    }

    fn signed(&self) -> Result<i64, WireError> {
        match self.kind {
            Kind::Signed => self.varint("a number").map(varint::unzigzag),
            _ => Err(self.unfit("a signed number")),
        }
    }

    fn bytes(&self) -> Result<&'de [u8], WireError> {
        match self.source {
            Source::Present(Raw::Bytes(bytes)) => Ok(bytes),
            Source::Absent => Ok(&[]),
            _ => Err(self.unfit("bytes")),
        }
    }

    fn text(&self) -> Result<&'de str, WireError> {
        match self.kind {
            Kind::Text => std::str::from_utf8(self.bytes()?)
                .map_err(|_| WireError::Malformed("text is not UTF-8".to_owned())),
            _ => Err(self.unfit("text")),
        }
    }

    /// The message, and the bytes of its fields; `None` where it is absent.
    fn message(&self) -> Result<(&'static Message, Option<&'de [u8]>), WireError> {
        let Kind::Message(index) = self.kind else {
            return Err(self.unfit("a structure"));
        };
        let bytes = match self.source {
            Source::Present(Raw::Bytes(bytes)) => Some(bytes),
            Source::Absent => None,
            _ => return Err(self.unfit("a structure")),
        };
        Ok((schema::message(index), bytes))
    }

    fn fields(&self) -> Result<Fields<'de, 'm>, WireError> {
        let (message, bytes) = self.message()?;
        Ok(Fields {
            message,
            left: bytes.unwrap_or_default(),
            seen: 0,
            absent: 0,
            next: None,
            map: self.map,
        })
    }

    /// The member that is set.
    fn member(&self) -> Result<(&'static Field, Raw<'de>), WireError> {
        let (message, bytes) = self.message()?;
        let mut left = bytes.unwrap_or_default();
        let mut found = None;
        let mut unknown = None;
        while !left.is_empty() {
            let (number, raw) = take_field(&mut left).ok_or(WireError::Torn)?;
            match message.by_number(number) {
                Some(field) if field.label == Label::Optional => {
                    if found.replace((field, raw)).is_some() {
                        let why = format!("{} has more than one member", message.name);
                        return Err(WireError::Malformed(why));
                    }
                }
                Some(_) => {}
                None => unknown = Some(number),
            }
        }
        found.ok_or(match unknown {
            Some(number) => WireError::Unknown {
                what: message.name,
                number: u64::from(number),
            },
            None => WireError::Malformed(format!("{} has no member", message.name)),
        })
    }

    fn reference(&self, referent: Referent) -> Result<u32, WireError> {
        let Source::Present(Raw::Bytes(mut left)) = self.source else {
            return Err(WireError::Malformed("a reference is missing".to_owned()));
        };
        let mut index = None;
        while !left.is_empty() {
            match take_field(&mut left).ok_or(WireError::Torn)? {
                (2, Raw::Varint(value)) => index = u32::try_from(value).ok(),
                (1, Raw::Bytes(name)) => {
                    let name = String::from_utf8_lossy(name);
                    let why = format!("a name, `{name}`, stands where a log has an index");
                    return Err(WireError::Malformed(why));
                }
                _ => {}
            }
        }
        let index = index.ok_or_else(|| WireError::Malformed("a reference is empty".to_owned()))?;
        let Some(map) = self.map else {
            return Ok(index);
        };
        let at = index as usize;
        let (what, known) = match referent {
            Referent::Instrument => ("instrument", map.instrument(at).map(|i| i.0)),
            Referent::Strategy => ("strategy", map.strategy(at).map(|s| s.0)),
            Referent::Currency => ("currency", map.currency(at).map(|c| u32::from(c.0))),
        };
        known.ok_or(WireError::Reference { what, index })
    }

    fn elements(&self) -> Result<Elements<'de, 'm>, WireError> {
        let (number, left) = match self.source {
            Source::Repeated(number, left) => (number, left),
            Source::Absent => (0, &[][..]),
            Source::Present(_) => return Err(self.unfit("a list")),
        };
        Ok(Elements {
            number,
            left,
            packed: &[],
            at_least: 0,
            kind: self.kind,
            map: self.map,
        })
    }

    /// A sequence in whatever form the schema gives it.
    fn list<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        if self.label == Label::Repeated {
            return visitor.visit_seq(self.elements()?);
        }
        match self.kind {
            Kind::Bytes => {
                let bytes = self.bytes()?;
                visitor.visit_seq(de::value::SeqDeserializer::new(bytes.iter().copied()))
            }
            Kind::Message(_) => {
                let (message, bytes) = self.message()?;
                match message.list() {
                    Some(field) => {
                        let left = bytes.unwrap_or_default();
                        visitor.visit_seq(Elements {
                            number: field.number,
                            left,
                            packed: &[],
                            at_least: 0,
                            kind: field.kind,
                            map: self.map,
                        })
                    }
                    None => visitor.visit_seq(Positions {
                        message,
                        bytes: bytes.unwrap_or_default(),
                        at: 0,
                        map: self.map,
                    }),
                }
            }
            _ => Err(self.unfit("a list")),
        }
    }
}

impl<'de> Deserializer<'de> for Value<'de, '_> {
    type Error = WireError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, WireError> {
        Err(WireError::Schema(
            "a value of any kind cannot be read".to_owned(),
        ))
    }
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        match self.kind {
            Kind::Bool => visitor.visit_bool(self.varint("a boolean")? != 0),
            _ => Err(self.unfit("a boolean")),
        }
    }
    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_i64(self.signed()?)
    }
    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_i64(self.signed()?)
    }
    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_i64(self.signed()?)
    }
    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_i64(self.signed()?)
    }
    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        let value = varint::read_i128(self.bytes()?);
        visitor.visit_i128(value.ok_or_else(|| self.unfit("a number of 128 bits"))?)
    }
    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_u64(self.unsigned()?)
    }
    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_u64(self.unsigned()?)
    }
    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_u64(self.unsigned()?)
    }
    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_u64(self.unsigned()?)
    }
    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        let bytes = self.bytes()?;
        if bytes.is_empty() {
            return visitor.visit_u128(0);
        }
        let bytes = <[u8; 16]>::try_from(bytes).map_err(|_| self.unfit("an id of 16 bytes"))?;
        visitor.visit_u128(u128::from_be_bytes(bytes))
    }
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        match (self.kind, self.source) {
            (Kind::Float, Source::Present(Raw::Fixed32(bits))) => {
                visitor.visit_f32(f32::from_bits(bits))
            }
            (Kind::Float, Source::Absent) => visitor.visit_f32(0.0),
            _ => Err(self.unfit("a float")),
        }
    }
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        match (self.kind, self.source) {
            (Kind::Double, Source::Present(Raw::Fixed64(bits))) => {
                visitor.visit_f64(f64::from_bits(bits))
            }
            (Kind::Double, Source::Absent) => visitor.visit_f64(0.0),
            _ => Err(self.unfit("a double")),
        }
    }
    fn deserialize_char<V: Visitor<'de>>(self, _: V) -> Result<V::Value, WireError> {
        Err(self.unfit("a character"))
    }
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_borrowed_str(self.text()?)
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_borrowed_str(self.text()?)
    }
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_borrowed_bytes(self.bytes()?)
    }
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_borrowed_bytes(self.bytes()?)
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        match self.source {
            Source::Absent => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_unit()
    }
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, WireError> {
        visitor.visit_unit()
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, WireError> {
        match self.kind {
            Kind::Reference(referent @ Referent::Currency) => {
                let index = u16::try_from(self.reference(referent)?)
                    .map_err(|_| self.unfit("a currency's index"))?;
                visitor.visit_newtype_struct(U16Deserializer::new(index))
            }
            Kind::Reference(referent) => {
                visitor.visit_newtype_struct(U32Deserializer::new(self.reference(referent)?))
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        self.list(visitor)
    }
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, WireError> {
        if self.label != Label::Repeated {
            return self.list(visitor);
        }
        // An array that has grown since: what is new in it is as if it were absent.
        let mut elements = self.elements()?;
        elements.at_least = len;
        visitor.visit_seq(elements)
    }
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, WireError> {
        self.list(visitor)
    }
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        let elements = self.elements()?;
        visitor.visit_map(Entries {
            elements,
            value: None,
        })
    }
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, WireError> {
        visitor.visit_map(self.fields()?)
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, WireError> {
        let Kind::Enum(index) = self.kind else {
            let (field, raw) = self.member()?;
            return visitor.visit_enum(Member {
                field,
                value: Value {
                    source: Source::Present(raw),
                    kind: field.kind,
                    label: Label::Single,
                    map: self.map,
                },
            });
        };
        let all = schema::enumeration(index);
        let number = self.varint("a value of an enumeration")?;
        match all.name_of(number) {
            Some(name) => visitor.visit_enum(name.into_deserializer()),
            None if number == 0 => Err(WireError::Malformed(format!("a {} is missing", all.name))),
            None => Err(WireError::Unknown {
                what: all.name,
                number,
            }),
        }
    }
    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, WireError> {
        Err(self.unfit("a name"))
    }
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_unit()
    }
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The fields of a message: first those that are present, then the others.
struct Fields<'de, 'm> {
    message: &'static Message,
    left: &'de [u8],
    /// A bit for each field that was met.
    seen: u64,
    /// The next field that may be absent.
    absent: usize,
    next: Option<(&'static Field, Source<'de>)>,
    map: Option<&'m Reindex>,
}

impl<'de> Fields<'de, '_> {
    fn advance(&mut self) -> Result<Option<(&'static Field, Source<'de>)>, WireError> {
        while !self.left.is_empty() {
            let from = self.left;
            let (number, raw) = take_field(&mut self.left).ok_or(WireError::Torn)?;
            let Some(field) = self.message.by_number(number) else {
                continue;
            };
            let bit = 1 << self.position(field);
            let again = self.seen & bit != 0;
            self.seen |= bit;
            match (field.label, again) {
                // The whole list was given at its first element.
                (Label::Repeated, true) => {}
                (Label::Repeated, false) => {
                    return Ok(Some((field, Source::Repeated(number, from))));
                }
                (_, true) => {
                    let why = format!("{}.{} stands twice", self.message.name, field.name);
                    return Err(WireError::Malformed(why));
                }
                (_, false) => return Ok(Some((field, Source::Present(raw)))),
            }
        }
        while let Some(field) = self.message.fields.get(self.absent) {
            self.absent += 1;
            if self.seen & (1 << (self.absent - 1)) == 0 {
                return Ok(Some((field, Source::Absent)));
            }
        }
        Ok(None)
    }

    fn position(&self, field: &'static Field) -> usize {
        let guess = field.number as usize - 1;
        match self.message.fields.get(guess) {
            Some(found) if std::ptr::eq(found, field) => guess,
            _ => {
                let mut all = self.message.fields.iter();
                all.position(|f| std::ptr::eq(f, field)).unwrap_or(63)
            }
        }
    }
}

impl<'de> MapAccess<'de> for Fields<'de, '_> {
    type Error = WireError;
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, WireError> {
        self.next = self.advance()?;
        match self.next {
            Some((field, _)) => seed
                .deserialize(BorrowedStrDeserializer::new(field.name))
                .map(Some),
            None => Ok(None),
        }
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, WireError> {
        let Some((field, source)) = self.next.take() else {
            return Err(WireError::Schema("a value without its name".to_owned()));
        };
        seed.deserialize(Value::of(field, source, self.map))
            .map_err(|e| e.within(self.message.name, field.name))
    }
}

/// The elements of a list.
struct Elements<'de, 'm> {
    number: u32,
    left: &'de [u8],
    /// What is left of numbers that stand in one field.
    packed: &'de [u8],
    /// So many more elements there are, whatever the bytes have.
    at_least: usize,
    kind: Kind,
    map: Option<&'m Reindex>,
}

impl<'de, 'm> Elements<'de, 'm> {
    fn advance(&mut self) -> Result<Option<Value<'de, 'm>>, WireError> {
        let value = |raw, kind, map| Value {
            source: Source::Present(raw),
            kind,
            label: Label::Single,
            map,
        };
        loop {
            if !self.packed.is_empty() {
                let raw = self.unpack().ok_or(WireError::Torn)?;
                return Ok(Some(value(raw, self.kind, self.map)));
            }
            if self.left.is_empty() {
                return Ok(None);
            }
            let (number, raw) = take_field(&mut self.left).ok_or(WireError::Torn)?;
            if number != self.number {
                continue;
            }
            match (self.kind, raw) {
                (
                    Kind::Bool
                    | Kind::Unsigned
                    | Kind::Signed
                    | Kind::Enum(_)
                    | Kind::Float
                    | Kind::Double,
                    Raw::Bytes(bytes),
                ) => self.packed = bytes,
                _ => return Ok(Some(value(raw, self.kind, self.map))),
            }
        }
    }

    fn unpack(&mut self) -> Option<Raw<'de>> {
        match self.kind {
            Kind::Float => {
                let (bytes, rest) = self.packed.split_first_chunk::<4>()?;
                self.packed = rest;
                Some(Raw::Fixed32(u32::from_le_bytes(*bytes)))
            }
            Kind::Double => {
                let (bytes, rest) = self.packed.split_first_chunk::<8>()?;
                self.packed = rest;
                Some(Raw::Fixed64(u64::from_le_bytes(*bytes)))
            }
            _ => varint::take(&mut self.packed).map(Raw::Varint),
        }
    }
}

impl<'de> SeqAccess<'de> for Elements<'de, '_> {
    type Error = WireError;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, WireError> {
        let absent = Value {
            source: Source::Absent,
            kind: self.kind,
            label: Label::Single,
            map: self.map,
        };
        let value = match self.advance()? {
            Some(value) => value,
            None if self.at_least > 0 => absent,
            None => return Ok(None),
        };
        self.at_least = self.at_least.saturating_sub(1);
        seed.deserialize(value).map(Some)
    }
}

/// The entries of a map.
struct Entries<'de, 'm> {
    elements: Elements<'de, 'm>,
    value: Option<Value<'de, 'm>>,
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = WireError;
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, WireError> {
        let Some(entry) = self.elements.advance()? else {
            return Ok(None);
        };
        let (message, bytes) = entry.message()?;
        let half = |at| position(message, bytes.unwrap_or_default(), at, entry.map);
        let (Some(key), Some(value)) = (half(0)?, half(1)?) else {
            return Err(WireError::Schema(format!("{} is no entry", message.name)));
        };
        self.value = Some(value);
        seed.deserialize(key).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, WireError> {
        match self.value.take() {
            Some(value) => seed.deserialize(value),
            None => Err(WireError::Schema("a value without its key".to_owned())),
        }
    }
}

/// The value of the field at a position.
fn position<'de, 'm>(
    message: &'static Message,
    bytes: &'de [u8],
    at: usize,
    map: Option<&'m Reindex>,
) -> Result<Option<Value<'de, 'm>>, WireError> {
    let Some(field) = message.fields.get(at) else {
        return Ok(None);
    };
    let mut left = bytes;
    while !left.is_empty() {
        let from = left;
        let (number, raw) = take_field(&mut left).ok_or(WireError::Torn)?;
        if number == field.number {
            let source = match field.label {
                Label::Repeated => Source::Repeated(number, from),
                _ => Source::Present(raw),
            };
            return Ok(Some(Value::of(field, source, map)));
        }
    }
    Ok(Some(Value::of(field, Source::Absent, map)))
}

/// The fields of a message by position: a tuple.
struct Positions<'de, 'm> {
    message: &'static Message,
    bytes: &'de [u8],
    at: usize,
    map: Option<&'m Reindex>,
}

impl<'de> SeqAccess<'de> for Positions<'de, '_> {
    type Error = WireError;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, WireError> {
        let value = position(self.message, self.bytes, self.at, self.map)?;
        self.at += 1;
        match value {
            Some(value) => seed.deserialize(value).map(Some),
            None => Ok(None),
        }
    }
}

/// A member of a `oneof`.
struct Member<'de, 'm> {
    field: &'static Field,
    value: Value<'de, 'm>,
}

impl<'de, 'm> EnumAccess<'de> for Member<'de, 'm> {
    type Error = WireError;
    type Variant = Value<'de, 'm>;
    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Value<'de, 'm>), WireError> {
        let name = seed.deserialize(BorrowedStrDeserializer::<WireError>::new(self.field.name))?;
        Ok((name, self.value))
    }
}

impl<'de> VariantAccess<'de> for Value<'de, '_> {
    type Error = WireError;
    fn unit_variant(self) -> Result<(), WireError> {
        Ok(())
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, WireError> {
        seed.deserialize(self)
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, WireError> {
        self.list(visitor)
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, WireError> {
        visitor.visit_map(self.fields()?)
    }
}
