//! YAML as a tree in which everything knows its line, and numbers keep their text.
//!
//! Numbers keep their text because a float cannot hold every quantity that we trade: 18 digits are
//! common in crypto assets.

use std::fmt;

use model::NumberError;
use model::fixed::{DECIMALS, parse_decimal};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

use super::error::{DefinitionError, Source};

/// One node.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub at: Source,
    pub content: Content,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Null,
    Flag(bool),
    /// As it was written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub key: String,
    pub at: Source,
    pub value: Node,
}

impl Node {
    /// A scalar's text; `None` for lists, mappings and nothing.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Flag(flag) => Some(if *flag { "true" } else { "false" }),
            Content::Number(text) | Content::Text(text) => Some(text),
            Content::Null | Content::List(_) | Content::Mapping(_) => None,
        }
    }

    /// What it is, for messages.
    pub fn describe(&self) -> String {
        match &self.content {
            Content::Null => "nothing".to_owned(),
            Content::List(_) => "a list".to_owned(),
            Content::Mapping(_) => "a mapping".to_owned(),
            Content::Flag(_) | Content::Number(_) | Content::Text(_) => {
                format!("`{}`", self.text().unwrap_or_default())
            }
        }
    }

    /// As JSON. Whole numbers stay numbers; other numbers become strings of their exact text.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.content {
            Content::Null => Value::Null,
            Content::Flag(flag) => Value::Bool(*flag),
            Content::Number(text) => text
                .parse::<i64>()
                .map_or_else(|_| Value::String(text.clone()), Value::from),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => items.iter().map(Self::to_json).collect(),
            Content::Mapping(entries) => Value::Object(
                entries
                    .iter()
                    .map(|e| (e.key.clone(), e.value.to_json()))
                    .collect(),
            ),
        }
    }
}

/// Reads one YAML document. Depth, size and the expansion of aliases are bounded: strategy files are
/// small and flat.
pub(crate) fn read(file: &str, text: &str) -> Result<Node, DefinitionError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_documents: 1,
            max_nodes: 200_000,
            max_events: 500_000,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    };
    let raw: Spanned<Raw> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let error = error.without_snippet();
            let (line, column) = error.location().map_or((1, 1), |l| (l.line(), l.column()));
            DefinitionError::Syntax {
                file: file.to_owned(),
                line,
                column,
                message: error.to_string(),
            }
        })?;
    Ok(Tree {
        file: file.into(),
        text,
    }
    .node(raw))
}

/// A node as the parser hands it over.
enum Raw {
    Null,
    Flag(bool),
    /// A number that an `f64` may not hold exactly; its text is found in the source.
    Number(String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Mapping(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar, a list or a mapping")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Raw, E> {
        Ok(Raw::Flag(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Raw, E> {
        Ok(Raw::Number(v.to_string()))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Raw, E> {
        Ok(Raw::Number(v.to_string()))
    }
    fn visit_i128<E>(self, v: i128) -> Result<Raw, E> {
        Ok(Raw::Number(v.to_string()))
    }
    fn visit_u128<E>(self, v: u128) -> Result<Raw, E> {
        Ok(Raw::Number(v.to_string()))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Raw, E> {
        Ok(Raw::Number(v.to_string()))
    }
    fn visit_str<E>(self, v: &str) -> Result<Raw, E> {
        Ok(Raw::Text(v.to_owned()))
    }
    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Mapping(entries))
    }
}

/// Turns what the parser gives into nodes of one file.
struct Tree<'a> {
    file: std::sync::Arc<str>,
    text: &'a str,
}

impl Tree<'_> {
    fn at(&self, location: Location) -> Source {
        Source {
            file: self.file.clone(),
            line: location.line(),
        }
    }

    fn node(&self, raw: Spanned<Raw>) -> Node {
        let content = match raw.value {
            Raw::Null => Content::Null,
            Raw::Flag(flag) => Content::Flag(flag),
            Raw::Number(value) => Content::Number(self.written(raw.defined, value)),
            Raw::Text(text) => Content::Text(text),
            Raw::List(items) => {
                Content::List(items.into_iter().map(|item| self.node(item)).collect())
            }
            Raw::Mapping(entries) => Content::Mapping(
                entries
                    .into_iter()
                    .map(|(key, value)| Entry {
                        at: self.at(key.referenced),
                        key: key.value,
                        value: self.node(value),
                    })
                    .collect(),
            ),
        };
        Node {
            at: self.at(raw.referenced),
            content,
        }
    }

    /// A number as its author wrote it, where the source at its place is a decimal number; else as
    /// the parser understood it (`0x10`, `1_000`).
    fn written(&self, location: Location, value: String) -> String {
        let span = location.span();
        let text = span
            .byte_offset()
            .zip(span.byte_len())
            .and_then(|(start, length)| {
                let start = usize::try_from(start).ok()?;
                self.text
                    .get(start..start.checked_add(usize::try_from(length).ok()?)?)
            });
        // A number that does not fit our types is still what its author wrote, for the message.
        match text.map(str::trim) {
            Some(text) if parse_decimal(text, DECIMALS) != Err(NumberError::Malformed) => {
                text.to_owned()
            }
            _ => value,
        }
    }
}
