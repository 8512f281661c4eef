//! Values into Protocol Buffers, field by field as the schema says.

use serde::ser::{self, Serialize, Serializer};

use crate::error::WireError;
use crate::names::Names;
use crate::schema::{self, Field, Kind, Label, Message, Referent, Root};
use crate::varint::{self, FIXED32, FIXED64, LENGTH, VARINT};

/// Whether references are written as indices, as in a log, or as names, as everywhere else.
#[derive(Clone, Copy)]
enum References<'n> {
    Indices,
    Names(&'n dyn Names),
}

/// Appends a message with the indices of its references.
pub fn encode<T: Serialize + ?Sized>(
    root: Root,
    value: &T,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    write(root, value, References::Indices, out)
}

/// Appends a message with the names of its references. One that `names` does not know keeps its index.
pub fn encode_named<T: Serialize + ?Sized>(
    root: Root,
    value: &T,
    names: &dyn Names,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    write(root, value, References::Names(names), out)
}

fn write<T: Serialize + ?Sized>(
    root: Root,
    value: &T,
    references: References<'_>,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    let before = out.len();
    if root.message().has_major() {
        varint::put_key(out, 1, VARINT);
        varint::put(out, crate::MAJOR);
    }
    let result = value.serialize(Value {
        out,
        references,
        kind: Kind::Message(root.0),
        label: Label::Single,
        place: Place::Root,
    });
    if result.is_err() {
        out.truncate(before);
    }
    result
}

/// Where a value goes.
#[derive(Clone, Copy)]
enum Place {
    /// It is the whole message.
    Root,
    /// Into the field of this number; left out where it is zero or empty and `explicit` is false.
    Field { number: u32, explicit: bool },
    /// Into a packed list, without a key.
    Packed,
}

struct Value<'o, 'n> {
    out: &'o mut Vec<u8>,
    references: References<'n>,
    kind: Kind,
    label: Label,
    place: Place,
}

/// A length that is not known yet: its first byte is in place.
struct Open(usize);

fn open(out: &mut Vec<u8>, number: u32) -> Open {
    varint::put_key(out, number, LENGTH);
    out.push(0);
    Open(out.len())
}

fn close(out: &mut Vec<u8>, Open(start): Open) {
    let length = out.len() - start;
    if length < 0x80 {
        out[start - 1] = length as u8;
        return;
    }
    let mut prefix = [0u8; 10];
    let mut count = 0;
    let mut left = length as u64;
    while left >= 0x80 {
        prefix[count] = left as u8 | 0x80;
        left >>= 7;
        count += 1;
    }
    prefix[count] = left as u8;
    let more = count;
    out.resize(out.len() + more, 0);
    out.copy_within(start..start + length, start + more);
    out[start - 1..start + more].copy_from_slice(&prefix[..=count]);
}

impl<'o, 'n> Value<'o, 'n> {
    fn unfit(&self, what: &'static str) -> WireError {
        WireError::Schema(format!(
            "{what} does not fit {:?} {:?}",
            self.label, self.kind
        ))
    }

    fn varint(self, raw: u64) -> Result<(), WireError> {
        match self.place {
            Place::Field {
                explicit: false, ..
            } if raw == 0 => {}
            Place::Field { number, .. } => {
                varint::put_key(self.out, number, VARINT);
                varint::put(self.out, raw);
            }
            Place::Packed => varint::put(self.out, raw),
            Place::Root => return Err(self.unfit("a number")),
        }
        Ok(())
    }

    fn unsigned(self, value: u64) -> Result<(), WireError> {
        match self.kind {
            Kind::Unsigned => self.varint(value),
            Kind::Reference(referent) => self.reference(referent, value),
            // A byte of a list of bytes.
            Kind::Bytes if matches!(self.place, Place::Packed) => {
                self.out.push(value as u8);
                Ok(())
            }
            _ => Err(self.unfit("an unsigned number")),
        }
    }

    fn reference(self, referent: Referent, index: u64) -> Result<(), WireError> {
        let Place::Field { number, .. } = self.place else {
            return Err(self.unfit("a reference"));
        };
        let name = match self.references {
            References::Indices => "",
            References::Names(names) => names.name(referent, index as usize),
        };
        let length = open(self.out, number);
        if name.is_empty() {
            varint::put_key(self.out, 2, VARINT);
            varint::put(self.out, index);
        } else {
            varint::put_key(self.out, 1, LENGTH);
            varint::put(self.out, name.len() as u64);
            self.out.extend_from_slice(name.as_bytes());
        }
        close(self.out, length);
        Ok(())
    }

    fn signed(self, value: i64) -> Result<(), WireError> {
        match self.kind {
            Kind::Signed => self.varint(varint::zigzag(value)),
            _ => Err(self.unfit("a signed number")),
        }
    }

    fn fixed(self, wire: u8, bytes: &[u8]) -> Result<(), WireError> {
        match self.place {
            Place::Field {
                explicit: false, ..
            } if bytes.iter().all(|b| *b == 0) => {}
            Place::Field { number, .. } => {
                varint::put_key(self.out, number, wire);
                self.out.extend_from_slice(bytes);
            }
            Place::Packed => self.out.extend_from_slice(bytes),
            Place::Root => return Err(self.unfit("a number")),
        }
        Ok(())
    }

    fn long(self, bytes: &[u8]) -> Result<(), WireError> {
        match self.place {
            Place::Field {
                explicit: false, ..
            } if bytes.is_empty() => Ok(()),
            Place::Field { number, .. } => {
                varint::put_key(self.out, number, LENGTH);
                varint::put(self.out, bytes.len() as u64);
                self.out.extend_from_slice(bytes);
                Ok(())
            }
            Place::Packed | Place::Root => Err(self.unfit("text or bytes")),
        }
    }

    /// Begins a message in this place.
    fn begin(self) -> Result<Group<'o, 'n>, WireError> {
        let Kind::Message(index) = self.kind else {
            return Err(self.unfit("a structure"));
        };
        if self.label == Label::Repeated {
            return Err(self.unfit("a structure"));
        }
        let (length, explicit) = match self.place {
            Place::Root => (None, true),
            Place::Field { number, explicit } => {
                let key = self.out.len();
                (Some((key, open(self.out, number))), explicit)
            }
            Place::Packed => return Err(self.unfit("a structure")),
        };
        Ok(Group {
            out: self.out,
            references: self.references,
            message: schema::message(index),
            lengths: [length, None],
            explicit,
            at: 0,
        })
    }

    /// Begins the member of a `oneof` in this place.
    fn begin_member(
        self,
        variant: &'static str,
        at: u32,
    ) -> Result<(Group<'o, 'n>, &'static Field), WireError> {
        let mut group = self.begin()?;
        // Whichever member it is, it stands there.
        group.explicit = true;
        let guess = at as usize + usize::from(group.message.has_major());
        let field = group
            .message
            .by_name(variant, guess)
            .filter(|_| group.message.one_of)
            .ok_or_else(|| WireError::absent(group.message, variant))?;
        Ok((group, field))
    }
}

/// A message that is being written, within at most one other: a member of a `oneof` in its own.
struct Group<'o, 'n> {
    out: &'o mut Vec<u8>,
    references: References<'n>,
    message: &'static Message,
    /// Where each begins, with its key, and its open length.
    lengths: [Option<(usize, Open)>; 2],
    explicit: bool,
    /// The field that probably comes next.
    at: usize,
}

impl<'n> Group<'_, 'n> {
    fn value(&mut self, field: &'static Field, explicit: bool) -> Value<'_, 'n> {
        Value {
            out: self.out,
            references: self.references,
            kind: field.kind,
            label: field.label,
            place: Place::Field {
                number: field.number,
                explicit,
            },
        }
    }

    fn named<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), WireError> {
        let field = self
            .message
            .by_name(name, self.at)
            .ok_or_else(|| WireError::absent(self.message, name))?;
        self.at += 1;
        value.serialize(self.value(field, false))
    }

    fn positional<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WireError> {
        let field = self
            .message
            .fields
            .get(self.at)
            .ok_or_else(|| WireError::absent(self.message, "one more element"))?;
        self.at += 1;
        value.serialize(self.value(field, false))
    }

    /// Goes into the message of a member.
    fn enter(&mut self, field: &'static Field) -> Result<(), WireError> {
        let Kind::Message(index) = field.kind else {
            return Err(WireError::Schema(format!(
                "{}.{} is no message",
                self.message.name, field.name
            )));
        };
        let key = self.out.len();
        self.lengths[1] = Some((key, open(self.out, field.number)));
        self.message = schema::message(index);
        self.at = 0;
        Ok(())
    }

    fn finish(self) -> Result<(), WireError> {
        for (key, length) in self.lengths.into_iter().rev().flatten() {
            if self.out.len() == length.0 && !self.explicit {
                self.out.truncate(key);
            } else {
                close(self.out, length);
            }
        }
        Ok(())
    }
}

impl<'o, 'n> Serializer for Value<'o, 'n> {
    type Ok = ();
    type Error = WireError;
    type SerializeSeq = List<'o, 'n>;
    type SerializeTuple = List<'o, 'n>;
    type SerializeTupleStruct = List<'o, 'n>;
    type SerializeTupleVariant = Group<'o, 'n>;
    type SerializeMap = List<'o, 'n>;
    type SerializeStruct = Group<'o, 'n>;
    type SerializeStructVariant = Group<'o, 'n>;

    fn serialize_bool(self, v: bool) -> Result<(), WireError> {
        match self.kind {
            Kind::Bool => self.varint(u64::from(v)),
            _ => Err(self.unfit("a boolean")),
        }
    }
    fn serialize_i8(self, v: i8) -> Result<(), WireError> {
        self.signed(i64::from(v))
    }
    fn serialize_i16(self, v: i16) -> Result<(), WireError> {
        self.signed(i64::from(v))
    }
    fn serialize_i32(self, v: i32) -> Result<(), WireError> {
        self.signed(i64::from(v))
    }
    fn serialize_i64(self, v: i64) -> Result<(), WireError> {
        self.signed(v)
    }
    fn serialize_i128(self, v: i128) -> Result<(), WireError> {
        if self.kind != Kind::Bytes {
            return Err(self.unfit("a number of 128 bits"));
        }
        match self.place {
            Place::Field {
                explicit: false, ..
            } if v == 0 => {}
            Place::Field { number, .. } => {
                varint::put_key(self.out, number, LENGTH);
                self.out.push(0);
                let start = self.out.len();
                varint::put_i128(self.out, v);
                self.out[start - 1] = (self.out.len() - start) as u8;
            }
            Place::Packed | Place::Root => return Err(self.unfit("a number of 128 bits")),
        }
        Ok(())
    }
    fn serialize_u8(self, v: u8) -> Result<(), WireError> {
        self.unsigned(u64::from(v))
    }
    fn serialize_u16(self, v: u16) -> Result<(), WireError> {
        self.unsigned(u64::from(v))
    }
    fn serialize_u32(self, v: u32) -> Result<(), WireError> {
        self.unsigned(u64::from(v))
    }
    fn serialize_u64(self, v: u64) -> Result<(), WireError> {
        self.unsigned(v)
    }
    fn serialize_u128(self, v: u128) -> Result<(), WireError> {
        match self.kind {
            Kind::Bytes => self.long(&v.to_be_bytes()),
            _ => Err(self.unfit("an id")),
        }
    }
    fn serialize_f32(self, v: f32) -> Result<(), WireError> {
        // Not-a-number has many bit patterns, and which one arises depends on the processor.
        let v = if v.is_nan() { f32::NAN.abs() } else { v };
        match self.kind {
            Kind::Float => self.fixed(FIXED32, &v.to_le_bytes()),
            _ => Err(self.unfit("a float")),
        }
    }
    fn serialize_f64(self, v: f64) -> Result<(), WireError> {
        let v = if v.is_nan() { f64::NAN.abs() } else { v };
        match self.kind {
            Kind::Double => self.fixed(FIXED64, &v.to_le_bytes()),
            _ => Err(self.unfit("a double")),
        }
    }
    fn serialize_char(self, _: char) -> Result<(), WireError> {
        Err(self.unfit("a character"))
    }
    fn serialize_str(self, v: &str) -> Result<(), WireError> {
        match self.kind {
            Kind::Text => self.long(v.as_bytes()),
            _ => Err(self.unfit("text")),
        }
    }
    fn serialize_bytes(self, v: &[u8]) -> Result<(), WireError> {
        match self.kind {
            Kind::Bytes => self.long(v),
            _ => Err(self.unfit("bytes")),
        }
    }
    fn serialize_none(self) -> Result<(), WireError> {
        match self.label {
            Label::Optional => Ok(()),
            _ => Err(self.unfit("an option")),
        }
    }
    fn serialize_some<T: Serialize + ?Sized>(mut self, value: &T) -> Result<(), WireError> {
        match (self.label, self.place) {
            (Label::Optional, Place::Field { number, .. }) => {
                self.label = Label::Single;
                self.place = Place::Field {
                    number,
                    explicit: true,
                };
                value.serialize(self)
            }
            _ => Err(self.unfit("an option")),
        }
    }
    fn serialize_unit(self) -> Result<(), WireError> {
        Err(self.unfit("nothing"))
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), WireError> {
        Err(self.unfit("nothing"))
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        at: u32,
        variant: &'static str,
    ) -> Result<(), WireError> {
        if let Kind::Enum(index) = self.kind {
            let all = schema::enumeration(index);
            let number = all.number(variant, at as usize).ok_or_else(|| {
                WireError::Schema(format!("{} has no value `{variant}`", all.name))
            })?;
            return self.varint(u64::from(number));
        }
        let (mut group, field) = self.begin_member(variant, at)?;
        group.enter(field)?;
        group.finish()
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), WireError> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        at: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), WireError> {
        let (mut group, field) = self.begin_member(variant, at)?;
        let mut member = group.value(field, true);
        member.label = Label::Single;
        value.serialize(member)?;
        group.finish()
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<List<'o, 'n>, WireError> {
        List::begin(self)
    }
    fn serialize_tuple(self, _: usize) -> Result<List<'o, 'n>, WireError> {
        List::begin(self)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'o, 'n>, WireError> {
        List::begin(self)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        at: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Group<'o, 'n>, WireError> {
        let (mut group, field) = self.begin_member(variant, at)?;
        group.enter(field)?;
        Ok(group)
    }
    fn serialize_map(self, _: Option<usize>) -> Result<List<'o, 'n>, WireError> {
        List::begin(self)
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Group<'o, 'n>, WireError> {
        self.begin()
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        at: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Group<'o, 'n>, WireError> {
        let (mut group, field) = self.begin_member(variant, at)?;
        group.enter(field)?;
        Ok(group)
    }
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Structures, and members of a `oneof` that have fields.
macro_rules! named_fields {
    ($($of:ident)*) => {$(
        impl ser::$of for Group<'_, '_> {
            type Ok = ();
            type Error = WireError;
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), WireError> {
                self.named(key, value)
            }
            fn end(self) -> Result<(), WireError> {
                self.finish()
            }
        }
    )*};
}

named_fields!(SerializeStruct SerializeStructVariant);

impl ser::SerializeTupleVariant for Group<'_, '_> {
    type Ok = ();
    type Error = WireError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WireError> {
        self.positional(value)
    }
    fn end(self) -> Result<(), WireError> {
        self.finish()
    }
}

/// What a sequence, a tuple or a map becomes.
enum List<'o, 'n> {
    /// A field that stands once for each element.
    Repeated {
        group: Elements<'o, 'n>,
        /// The message around it, of a list within a list.
        around: Option<Open>,
    },
    /// A message whose fields are the elements by position.
    Positional(Group<'o, 'n>),
}

struct Elements<'o, 'n> {
    out: &'o mut Vec<u8>,
    references: References<'n>,
    number: u32,
    kind: Kind,
    /// Numbers, and bytes, stand in one field.
    packed: Option<(usize, Open)>,
    /// The open entry of a map.
    entry: Option<Open>,
}

impl<'o, 'n> List<'o, 'n> {
    fn begin(value: Value<'o, 'n>) -> Result<Self, WireError> {
        let Place::Field { number, .. } = value.place else {
            return Err(value.unfit("a list"));
        };
        if value.label == Label::Repeated {
            return Ok(Self::repeated(value, number, None));
        }
        match value.kind {
            Kind::Bytes => Ok(Self::repeated(value, number, None)),
            Kind::Message(index) => match schema::message(index).list() {
                Some(field) => {
                    // Each list of a list stands there, also one that is empty.
                    let around = open(value.out, number);
                    let mut value = value;
                    value.kind = field.kind;
                    Ok(Self::repeated(value, field.number, Some(around)))
                }
                None => value.begin().map(Self::Positional),
            },
            _ => Err(value.unfit("a list")),
        }
    }

    fn repeated(value: Value<'o, 'n>, number: u32, around: Option<Open>) -> Self {
        let is_packed = match value.kind {
            Kind::Bytes => value.label != Label::Repeated && around.is_none(),
            Kind::Bool | Kind::Unsigned | Kind::Signed | Kind::Float | Kind::Double => true,
            Kind::Enum(_) => true,
            Kind::Text | Kind::Message(_) | Kind::Reference(_) => false,
        };
        let key = value.out.len();
        Self::Repeated {
            group: Elements {
                packed: is_packed.then(|| (key, open(value.out, number))),
                out: value.out,
                references: value.references,
                number,
                kind: value.kind,
                entry: None,
            },
            around,
        }
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WireError> {
        match self {
            Self::Positional(group) => group.positional(value),
            Self::Repeated { group, .. } => {
                let place = if group.packed.is_some() {
                    Place::Packed
                } else {
                    Place::Field {
                        number: group.number,
                        explicit: true,
                    }
                };
                value.serialize(Value {
                    out: group.out,
                    references: group.references,
                    kind: group.kind,
                    label: Label::Single,
                    place,
                })
            }
        }
    }

    /// A key or a value of a map: the first or the second field of its entry.
    fn half<T: Serialize + ?Sized>(&mut self, at: usize, value: &T) -> Result<(), WireError> {
        let Self::Repeated { group, .. } = self else {
            return Err(WireError::Schema("a map needs a repeated field".to_owned()));
        };
        let Kind::Message(index) = group.kind else {
            return Err(WireError::Schema("a map needs entries".to_owned()));
        };
        let entry = schema::message(index);
        let field = entry
            .fields
            .get(at)
            .ok_or_else(|| WireError::absent(entry, "a value"))?;
        if at == 0 {
            group.entry = Some(open(group.out, group.number));
        }
        value.serialize(Value {
            out: group.out,
            references: group.references,
            kind: field.kind,
            label: field.label,
            place: Place::Field {
                number: field.number,
                explicit: false,
            },
        })?;
        if at == 1
            && let Some(entry) = group.entry.take()
        {
            close(group.out, entry);
        }
        Ok(())
    }

    fn finish(self) -> Result<(), WireError> {
        match self {
            Self::Positional(group) => group.finish(),
            Self::Repeated { group, around } => {
                if let Some((key, length)) = group.packed {
                    if group.out.len() == length.0 {
                        group.out.truncate(key);
                    } else {
                        close(group.out, length);
                    }
                }
                if let Some(around) = around {
                    close(group.out, around);
                }
                Ok(())
            }
        }
    }
}

/// Sequences of every kind.
macro_rules! elements {
    ($($of:ident $add:ident)*) => {$(
        impl ser::$of for List<'_, '_> {
            type Ok = ();
            type Error = WireError;
            fn $add<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WireError> {
                self.element(value)
            }
            fn end(self) -> Result<(), WireError> {
                self.finish()
            }
        }
    )*};
}

elements!(
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
);

impl ser::SerializeMap for List<'_, '_> {
    type Ok = ();
    type Error = WireError;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), WireError> {
        self.half(0, key)
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WireError> {
        self.half(1, value)
    }
    fn end(self) -> Result<(), WireError> {
        self.finish()
    }
}
