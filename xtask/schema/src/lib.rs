//! The tables of the wire crate, made from `proto/`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor,
};

/// Where the table is written.
pub const TABLE: &str = "crates/wire/src/table.rs";
const PACKAGE: &str = "alpha_panda.v1";
/// Messages that are encoded by themselves.
const ROOTS: [&str; 11] = [
    "Entry",
    "Event",
    "JournalRecord",
    "MarketItem",
    "MarketRecord",
    "NamespaceState",
    "RunnerState",
    "SavedStart",
    "Signal",
    "Start",
    "Trigger",
];

/// The files of the schema, sorted.
fn files(proto: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let dir = proto.join("alpha_panda/v1");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "proto") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn pool(proto: &Path) -> anyhow::Result<DescriptorPool> {
    let mut compiler = protox::Compiler::new([proto])?;
    compiler.include_imports(true);
    compiler.open_files(files(proto)?)?;
    Ok(compiler.descriptor_pool())
}

fn short(full: &str) -> &str {
    full.strip_prefix(PACKAGE).map_or(full, |rest| &rest[1..])
}

fn referent(message: &MessageDescriptor) -> Option<&'static str> {
    match short(message.full_name()) {
        "InstrumentRef" => Some("Instrument"),
        "StrategyRef" => Some("Strategy"),
        "CurrencyRef" => Some("Currency"),
        _ => None,
    }
}

/// The text of the table after the schema in a folder.
pub fn table(proto: &Path) -> anyhow::Result<String> {
    let pool = pool(proto)?;
    let ours = |name: &str| name.starts_with(PACKAGE);
    let mut messages: Vec<MessageDescriptor> = pool
        .all_messages()
        .filter(|m| ours(m.full_name()) && referent(m).is_none())
        .collect();
    messages.sort_by_key(|m| m.full_name().to_owned());
    let mut enums: Vec<EnumDescriptor> = pool
        .all_enums()
        .filter(|e| ours(e.full_name()) && e.name() != "Unit")
        .collect();
    enums.sort_by_key(|e| e.full_name().to_owned());
    let unit = pool
        .get_extension_by_name(&format!("{PACKAGE}.unit"))
        .context("the option `unit` is missing")?;
    let inline = pool
        .get_extension_by_name(&format!("{PACKAGE}.inline"))
        .context("the option `inline` is missing")?;
    let mut out = String::from(
        "//! Generated from `proto/` by `cargo run -p schema-table`.\n\n\
         #[rustfmt::skip]\n\
         use crate::schema::Kind::{self, Bool, Bytes, Double, Enum as E, Float, Message as M, Reference, Signed, Text, Unsigned};\n\
         use crate::schema::Label::{self, Optional, Repeated, Single};\n\
         #[rustfmt::skip]\n\
         use crate::schema::Unit::{self, Date, Decimal, Duration, Hundredths, Id, Money, None, OrderId, Time};\n\
         use crate::schema::{Enum, Field, Message, Referent};\n\n\
         /// The messages that are encoded by themselves.\npub mod roots {\n    use crate::schema::Root;\n\n",
    );
    for name in ROOTS {
        let at = messages
            .iter()
            .position(|m| short(m.full_name()) == name)
            .with_context(|| format!("the message {name} is missing"))?;
        let constant = upper_snake(name);
        writeln!(
            out,
            "    /// `{name}`.\n    pub const {constant}: Root = Root({at});"
        )?;
    }
    out += "}\n\n";
    for (name, inline) in [("field", false), ("inline", true)] {
        writeln!(
            out,
            "#[rustfmt::skip]\nconst fn {name}(number: u32, name: &'static str, kind: Kind, label: Label, unit: Unit) -> Field {{\n    Field {{ number, name, kind, label, unit, inline: {inline} }}\n}}\n"
        )?;
    }
    writeln!(
        out,
        "#[rustfmt::skip]\npub static MESSAGES: [Message; {}] = [",
        messages.len()
    )?;
    for message in &messages {
        let mut fields: Vec<FieldDescriptor> = message.fields().collect();
        fields.sort_by_key(FieldDescriptor::number);
        let one_of = message.oneofs().any(|o| !o.is_synthetic());
        if fields.len() > 63 {
            bail!("{} has more than 63 fields", message.full_name());
        }
        writeln!(
            out,
            "    Message {{ name: {:?}, one_of: {one_of}, fields: &[",
            message.full_name().rsplit('.').next().unwrap_or_default()
        )?;
        for field in &fields {
            let label = if field.cardinality() == Cardinality::Repeated {
                "Repeated"
            } else if field.containing_oneof().is_some() {
                "Optional"
            } else {
                "Single"
            };
            let options = field.options();
            let stands_for = if options.has_extension(&unit) {
                let number = options.get_extension(&unit).as_enum_number();
                unit_name(number.context("`unit` is an enumeration")?)?
            } else {
                "None"
            };
            let is_inline = options.get_extension(&inline).as_bool() == Some(true);
            writeln!(
                out,
                "        {}({}, {:?}, {}, {label}, {stands_for}),",
                if is_inline { "inline" } else { "field" },
                field.number(),
                field.name(),
                kind(field, &messages, &enums)?,
            )?;
        }
        out += "    ] },\n";
    }
    writeln!(
        out,
        "];\n\n#[rustfmt::skip]\npub static ENUMS: [Enum; {}] = [",
        enums.len()
    )?;
    for all in &enums {
        let prefix = format!("{}_", upper_snake(all.name()));
        writeln!(out, "    Enum {{ name: {:?}, values: &[", all.name())?;
        let mut values: Vec<_> = all.values().filter(|v| v.number() != 0).collect();
        values.sort_by_key(|v| v.number());
        for value in values {
            let name = value
                .name()
                .strip_prefix(&prefix)
                .with_context(|| format!("{} does not begin with {prefix}", value.name()))?;
            writeln!(
                out,
                "        ({}, {:?}),",
                value.number(),
                name.to_lowercase()
            )?;
        }
        out += "    ] },\n";
    }
    out += "];\n";
    Ok(out)
}

fn unit_name(number: i32) -> anyhow::Result<&'static str> {
    Ok(match number {
        1 => "Decimal",
        2 => "Money",
        3 => "Time",
        4 => "Duration",
        5 => "Date",
        6 => "Id",
        7 => "OrderId",
        8 => "Hundredths",
        other => bail!("unit {other} is not known here"),
    })
}

fn kind(
    field: &FieldDescriptor,
    messages: &[MessageDescriptor],
    enums: &[EnumDescriptor],
) -> anyhow::Result<String> {
    Ok(match field.kind() {
        Kind::Bool => "Bool".to_owned(),
        Kind::Uint32 | Kind::Uint64 => "Unsigned".to_owned(),
        Kind::Sint32 | Kind::Sint64 => "Signed".to_owned(),
        Kind::Float => "Float".to_owned(),
        Kind::Double => "Double".to_owned(),
        Kind::String => "Text".to_owned(),
        Kind::Bytes => "Bytes".to_owned(),
        Kind::Message(message) => match referent(&message) {
            Some(referent) => format!("Reference(Referent::{referent})"),
            None => {
                let at = messages.iter().position(|m| *m == message);
                format!("M({})", at.context("a message of another package")?)
            }
        },
        Kind::Enum(all) => {
            let at = enums.iter().position(|e| *e == all);
            format!("E({})", at.context("an enumeration of another package")?)
        }
        other => bail!(
            "{} is {other:?}: numbers are uint or sint, so that the sign is plain",
            field.full_name()
        ),
    })
}

fn upper_snake(name: &str) -> String {
    let mut out = String::new();
    for (at, c) in name.chars().enumerate() {
        if c.is_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}
