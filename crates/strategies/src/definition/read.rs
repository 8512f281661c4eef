//! From a file's text to definitions.

use model::signal::Product;
use model::{AssetClass, StrategyIdx};

use super::error::{DefinitionError, Source};
use super::node::{Content, Entry, Node, read};
use super::{Definition, Located, RiskOverrides, is_name};
use crate::strategy::MissedTimers;
use crate::suggest::did_you_mean;

const KEYS: [&str; 11] = [
    "id",
    "kind",
    "instruments",
    "asset_classes",
    "brokers",
    "parameters",
    "risk",
    "product",
    "warm_up",
    "missed_timers",
    "enabled",
];

/// The definitions of one file. `file` is the name that messages call it by.
pub fn parse(file: &str, text: &str) -> Result<Vec<Definition>, DefinitionError> {
    let root = read(file, text)?;
    let at = root.at.clone();
    let outline = |at: Source, message: String| DefinitionError::Outline { at, message };
    let items = match root.content {
        Content::List(items) => items,
        Content::Mapping(entries) => {
            let mut items = None;
            for entry in entries {
                if entry.key != "strategies" {
                    let hint = did_you_mean(&entry.key, ["strategies"]);
                    let message = format!(
                        "unknown key `{}`{hint} (a strategy file holds `strategies`, a list)",
                        entry.key
                    );
                    return Err(outline(entry.at, message));
                }
                match entry.value.content {
                    Content::List(list) => items = Some(list),
                    _ => {
                        let message = format!(
                            "`strategies` must be a list of definitions, not {}",
                            entry.value.describe()
                        );
                        return Err(outline(entry.at, message));
                    }
                }
            }
            items.unwrap_or_default()
        }
        Content::Null => return Err(outline(at, "the file holds no strategies".to_owned())),
        Content::Flag(_) | Content::Number(_) | Content::Text(_) => {
            return Err(outline(
                at,
                "a strategy file holds a list of definitions".to_owned(),
            ));
        }
    };
    if items.is_empty() {
        return Err(outline(at, "the file holds no strategies".to_owned()));
    }
    items.into_iter().map(definition).collect()
}

/// One definition. What is wrong in it is reported under its id, or its place where it has none.
fn definition(node: Node) -> Result<Definition, DefinitionError> {
    let source = node.at.clone();
    let outline = |message: String| DefinitionError::Outline {
        at: source.clone(),
        message,
    };
    let Content::Mapping(entries) = node.content else {
        return Err(outline(format!(
            "a definition must be a mapping with `id` and `kind`, not {}",
            node.describe()
        )));
    };
    let Some(id) = entries.iter().find(|e| e.key == "id") else {
        return Err(outline(
            "the definition has no `id`: give it a name of its own".to_owned(),
        ));
    };
    let Some(name) = id.value.text().filter(|name| is_name(name)) else {
        let message = format!(
            "{} cannot be a strategy's id: use lower-case letters, digits, `_` and `-`, starting with a letter",
            id.value.describe(),
        );
        return Err(DefinitionError::Outline {
            at: id.at.clone(),
            message,
        });
    };
    if name == StrategyIdx::MANUAL_NAME {
        let message =
            format!("`{name}` is reserved for trades made by hand: give the strategy another id");
        return Err(DefinitionError::Outline {
            at: id.at.clone(),
            message,
        });
    }
    let reader = Reader {
        id: name.to_owned(),
    };
    reader.definition(entries, source)
}

struct Reader {
    id: String,
}

impl Reader {
    fn error(&self, at: &Source, message: String) -> DefinitionError {
        DefinitionError::Definition {
            at: at.clone(),
            strategy: self.id.clone(),
            message,
        }
    }

    fn definition(
        &self,
        entries: Vec<Entry>,
        source: Source,
    ) -> Result<Definition, DefinitionError> {
        let mut kind = None;
        let mut definition = Definition {
            id: self.id.clone(),
            kind: Located {
                text: String::new(),
                at: source.clone(),
            },
            instruments: Vec::new(),
            asset_classes: Vec::new(),
            brokers: Vec::new(),
            parameters: Vec::new(),
            risk: None,
            product: Product::default(),
            warm_up: None,
            missed_timers: MissedTimers::default(),
            enabled: true,
            source,
        };
        for entry in entries {
            match entry.key.as_str() {
                "id" => {}
                "kind" => kind = Some(self.scalar(&entry)?),
                "instruments" => definition.instruments = self.list(&entry)?,
                "asset_classes" => {
                    for class in self.list(&entry)? {
                        let parsed: AssetClass = class
                            .text
                            .parse()
                            .map_err(|why| self.error(&class.at, why))?;
                        definition.asset_classes.push(parsed);
                    }
                }
                "brokers" => definition.brokers = self.list(&entry)?,
                "parameters" => {
                    for entry in self.mapping(entry)? {
                        let value = self.scalar(&entry)?;
                        definition.parameters.push((
                            Located {
                                text: entry.key,
                                at: entry.at,
                            },
                            value,
                        ));
                    }
                }
                "risk" => definition.risk = self.risk(entry)?,
                "product" => {
                    let given = self.scalar(&entry)?;
                    definition.product = Product::ALL
                        .into_iter()
                        .find(|p| p.name() == given.text)
                        .ok_or_else(|| self.one_of(&entry, &Product::ALL.map(Product::name)))?;
                }
                "warm_up" => {
                    let given = self.scalar(&entry)?;
                    let count: u32 = given.text.parse().map_err(|_| {
                        self.error(
                            &given.at,
                            format!("`warm_up`: `{}` is not a number of inputs", given.text),
                        )
                    })?;
                    definition.warm_up = Some(count);
                }
                "missed_timers" => {
                    let given = self.scalar(&entry)?;
                    definition.missed_timers = MissedTimers::ALL
                        .into_iter()
                        .find(|m| m.name() == given.text)
                        .ok_or_else(|| {
                            self.one_of(&entry, &MissedTimers::ALL.map(MissedTimers::name))
                        })?;
                }
                "enabled" => match entry.value.content {
                    Content::Flag(flag) => definition.enabled = flag,
                    _ => return Err(self.one_of(&entry, &["true", "false"])),
                },
                other => {
                    let hint = did_you_mean(other, KEYS);
                    let message = format!(
                        "unknown key `{other}`{hint} (a definition takes {})",
                        KEYS.join(", ")
                    );
                    return Err(self.error(&entry.at, message));
                }
            }
        }
        match kind {
            Some(kind) => definition.kind = kind,
            None => return Err(self.error(&definition.source, "`kind` is missing".to_owned())),
        }
        Ok(definition)
    }

    fn one_of(&self, entry: &Entry, words: &[&str]) -> DefinitionError {
        let message = format!(
            "`{}` must be one of {}, not {}",
            entry.key,
            words.join(", "),
            entry.value.describe()
        );
        self.error(&entry.at, message)
    }

    fn scalar(&self, entry: &Entry) -> Result<Located, DefinitionError> {
        match entry.value.text() {
            Some(text) => Ok(Located {
                text: text.to_owned(),
                at: entry.value.at.clone(),
            }),
            None => Err(self.error(
                &entry.at,
                format!(
                    "`{}` must be a single value, not {}",
                    entry.key,
                    entry.value.describe()
                ),
            )),
        }
    }

    /// A list of different texts; nothing counts as an empty one.
    fn list(&self, entry: &Entry) -> Result<Vec<Located>, DefinitionError> {
        let items = match &entry.value.content {
            Content::List(items) => items.as_slice(),
            Content::Null => &[],
            _ => {
                let message = format!(
                    "`{0}` must be a list: write `{0}: [{1}]`",
                    entry.key,
                    entry.value.text().unwrap_or("…")
                );
                return Err(self.error(&entry.at, message));
            }
        };
        let mut list: Vec<Located> = Vec::with_capacity(items.len());
        for item in items {
            let Some(text) = item.text() else {
                let message = format!("`{}` must hold names, not {}", entry.key, item.describe());
                return Err(self.error(&item.at, message));
            };
            if list.iter().any(|other| other.text == text) {
                return Err(self.error(&item.at, format!("`{}` names `{text}` twice", entry.key)));
            }
            list.push(Located {
                text: text.to_owned(),
                at: item.at.clone(),
            });
        }
        Ok(list)
    }

    fn mapping(&self, entry: Entry) -> Result<Vec<Entry>, DefinitionError> {
        match entry.value.content {
            Content::Mapping(entries) => Ok(entries),
            Content::Null => Ok(Vec::new()),
            _ => {
                let message = format!(
                    "`{}` must be a mapping of names to values, not {}",
                    entry.key,
                    entry.value.describe()
                );
                Err(self.error(&entry.at, message))
            }
        }
    }

    fn risk(&self, entry: Entry) -> Result<Option<RiskOverrides>, DefinitionError> {
        let at = entry.at.clone();
        let value = entry.value.to_json();
        let is_empty = self.mapping(entry)?.is_empty();
        Ok((!is_empty).then_some(RiskOverrides { value, at }))
    }
}
