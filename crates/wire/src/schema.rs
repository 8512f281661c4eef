//! The schema of `proto/` as tables: what each field of a message is called, which number it has, and how its value
//! is read. `table.rs` is generated from the `.proto` files by `cargo xtask generate`.

use std::fmt;

/// How a value is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `bool`.
    Bool,
    /// `uint32` or `uint64`: a varint.
    Unsigned,
    /// `sint32` or `sint64`: a zigzag varint.
    Signed,
    /// `float`.
    Float,
    /// `double`.
    Double,
    /// `string`.
    Text,
    /// `bytes`.
    Bytes,
    /// An enumeration, by its index in `table::ENUMS`.
    Enum(u16),
    /// A message, by its index in `table::MESSAGES`.
    Message(u16),
    /// A message that names an instrument, a strategy or a currency, or gives its index.
    Reference(Referent),
}

/// What a reference refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Referent {
    /// An instrument.
    Instrument,
    /// A strategy.
    Strategy,
    /// A currency.
    Currency,
}

/// How often a field stands in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// Once; absent is the same as zero, empty or false.
    Single,
    /// Once or not at all, which are told apart. So are all members of a `oneof`.
    Optional,
    /// Any number of times.
    Repeated,
}

/// What a number or bytes stand for: the option `unit` of `proto/alpha_panda/v1/options.proto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// For themselves.
    None,
    /// A decimal with eight digits behind the point.
    Decimal,
    /// A decimal with 18 digits behind the point.
    Money,
    /// Nanoseconds since 1970-01-01 UTC.
    Time,
    /// Nanoseconds.
    Duration,
    /// Days since 1970-01-01.
    Date,
    /// An id of 128 bits.
    Id,
    /// An order's id.
    OrderId,
    /// A decimal with two digits behind the point.
    Hundredths,
}

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// Its number.
    pub number: u32,
    /// Its name, which is also that of the Rust field.
    pub name: &'static str,
    /// How its value is encoded.
    pub kind: Kind,
    /// How often it stands.
    pub label: Label,
    /// What its value stands for.
    pub unit: Unit,
    /// In JSON its message stands in the message around it.
    pub inline: bool,
}

/// A message.
#[derive(Debug)]
pub struct Message {
    /// Its name.
    pub name: &'static str,
    /// Its fields by rising number. Of a message with a `oneof` its members, and in front of them what all share.
    pub fields: &'static [Field],
    /// Whether it has a `oneof`: a Rust enumeration, of which a value has exactly one member.
    pub one_of: bool,
}

impl Message {
    /// The field of a number.
    pub fn by_number(&self, number: u32) -> Option<&'static Field> {
        // Numbers are dense almost everywhere.
        let guess = self.fields.get((number as usize).wrapping_sub(1));
        guess.filter(|f| f.number == number).or_else(|| {
            let at = self.fields.binary_search_by_key(&number, |f| f.number);
            at.ok().and_then(|at| self.fields.get(at))
        })
    }

    /// The field of a name, which is probably at `guess`.
    pub fn by_name(&self, name: &str, guess: usize) -> Option<&'static Field> {
        let at_guess = self.fields.get(guess).filter(|f| f.name == name);
        at_guess.or_else(|| self.fields.iter().find(|f| f.name == name))
    }

    /// Whether it begins with the major version of the records.
    pub fn has_major(&self) -> bool {
        self.fields.first().is_some_and(|f| f.name == "major")
    }

    /// The only field, of a message that stands for a list within a list.
    pub fn list(&self) -> Option<&'static Field> {
        match self.fields {
            [field] if field.label == Label::Repeated && !self.one_of => Some(field),
            _ => None,
        }
    }
}

/// An enumeration.
#[derive(Debug)]
pub struct Enum {
    /// Its name.
    pub name: &'static str,
    /// Its values but for the unspecified zero, as in files and events, by rising number.
    pub values: &'static [(u32, &'static str)],
}

impl Enum {
    /// The number of a value, which is probably at `guess`.
    pub fn number(&self, name: &str, guess: usize) -> Option<u32> {
        let at_guess = self.values.get(guess).filter(|(_, n)| *n == name);
        let found = at_guess.or_else(|| self.values.iter().find(|(_, n)| *n == name));
        found.map(|(number, _)| *number)
    }

    /// The name of a value.
    pub fn name_of(&self, number: u64) -> Option<&'static str> {
        let number = u32::try_from(number).ok()?;
        let at = self.values.binary_search_by_key(&number, |(n, _)| *n);
        at.ok()
            .and_then(|at| self.values.get(at))
            .map(|(_, name)| *name)
    }
}

/// Names a message as a whole: the type that is encoded and the one that is decoded.
#[derive(Clone, Copy)]
pub struct Root(pub(crate) u16);

impl Root {
    /// The message.
    pub fn message(self) -> &'static Message {
        &crate::table::MESSAGES[usize::from(self.0)]
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message().name)
    }
}

pub(crate) fn message(index: u16) -> &'static Message {
    &crate::table::MESSAGES[usize::from(index)]
}

pub(crate) fn enumeration(index: u16) -> &'static Enum {
    &crate::table::ENUMS[usize::from(index)]
}
