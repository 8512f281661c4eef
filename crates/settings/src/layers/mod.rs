//! The layers of the settings: built-in defaults, a TOML file, `.env`, environment variables, flags.
//! A later one takes the place of an earlier one key by key.

mod dotenv;
mod effective;
mod file;
mod variables;

pub use variables::variable;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, bail};
use model::secret::{REDACTED, Secret};
use toml::Value;

use super::schema::{self, Key, Kinds, Schema};
use super::{Root, Settings, secret};

/// The file that is read where none is named.
pub const FILE: &str = "panda.toml";

/// Where the layers are.
pub struct LayerInputs<'a> {
    /// The file that was asked for; without one `panda.toml` in `dir`, where it exists.
    pub config: Option<&'a Path>,
    /// The working directory, which may hold `panda.toml` and `.env`.
    pub dir: &'a Path,
    /// The environment's variables.
    pub env: Vec<(String, String)>,
    /// Values given by flags.
    pub flags: Vec<Flag>,
    /// The kinds that this build knows.
    pub kinds: &'a Kinds,
}

impl<'a> LayerInputs<'a> {
    /// Those of this process, in its working directory, without flags.
    pub fn of_process(config: Option<&'a Path>, kinds: &'a Kinds) -> Self {
        Self {
            config,
            dir: Path::new("."),
            // A name or a value that is no Unicode is none of ours.
            env: std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
            flags: Vec::new(),
            kinds,
        }
    }

    /// With a value that a flag gives.
    pub fn with_flag(mut self, flag: &'static str, key: &[&str], value: impl Into<Value>) -> Self {
        self.flags.push(Flag {
            flag,
            path: key.iter().map(|step| (*step).to_owned()).collect(),
            value: value.into(),
        });
        self
    }
}

/// A value that a flag gives.
#[derive(Debug, Clone)]
pub struct Flag {
    /// The flag, as it is written.
    pub flag: &'static str,
    /// The key that it sets.
    pub path: Vec<String>,
    /// The value.
    pub value: Value,
}

/// A layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// What is built in.
    Default,
    /// The TOML file.
    File,
    /// The file `.env`.
    DotEnv,
    /// The environment.
    Environment,
    /// The command line.
    Flag,
}

impl Layer {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::DotEnv => ".env",
            Self::Environment => "environment",
            Self::Flag => "flag",
        }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The layer.
    pub layer: Layer,
    /// The line of the file, the variable, the flag.
    pub place: String,
}

impl Origin {
    fn built_in() -> Self {
        Self {
            layer: Layer::Default,
            place: String::new(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Layer::Default => f.write_str("default"),
            Layer::File => f.write_str(&self.place),
            layer => write!(f, "{} {}", layer.name(), self.place),
        }
    }
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// Its key, from the top.
    pub path: Vec<String>,
    /// The value, redacted where it is a secret.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

/// Values with where they came from.
type Given = BTreeMap<Vec<String>, (Value, Origin)>;

/// All layers above the defaults, merged.
#[derive(Default)]
struct Tree {
    given: Given,
}

impl Tree {
    /// Sets a key as a whole, or one entry of a key that is a table.
    fn set(&mut self, path: &[String], entry: Option<&str>, value: Value, origin: Origin) {
        let Some(entry) = entry else {
            self.given.insert(path.to_vec(), (value, origin));
            return;
        };
        let mut table = match self.given.get(path) {
            Some((Value::Table(table), _)) => table.clone(),
            _ => toml::Table::new(),
        };
        table.insert(entry.to_owned(), value);
        self.given
            .insert(path.to_vec(), (Value::Table(table), origin));
    }

    /// Names that stand at a place of the tree: of the feeds, of the brokers.
    fn names(&self, above: &[&str]) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .given
            .keys()
            .filter(|path| path.len() > above.len() && path.iter().zip(above).all(|(a, b)| a == b))
            .map(|path| path[above.len()].as_str())
            .collect();
        names.dedup();
        names
    }

    /// The kind of a broker or a feed: as set, or what it is where none is. Nothing of other tables.
    fn kind<'a>(&'a self, section: &str, name: &'a str) -> Option<&'a str> {
        let (key, unset) = kind_key(section, name)?;
        let path = [section, name, key].map(str::to_owned);
        match self.given.get(path.as_slice()) {
            Some((Value::String(kind), _)) => Some(kind),
            _ => Some(unset),
        }
    }

    /// The keys that a path's section has, and the path's step that is the key.
    fn keys<'a>(&self, schema: &'a Schema, path: &[String]) -> Option<(usize, Vec<&'a Key>)> {
        let section = schema.section_of(path)?;
        let kind = match path {
            [first, name, ..] => self.kind(first, name),
            _ => None,
        };
        Some((section.path.len(), schema.keys(section, kind)))
    }

    fn table(&self) -> toml::Table {
        let mut root = toml::Table::new();
        for (path, (value, _)) in &self.given {
            effective::insert(&mut root, path, value.clone());
        }
        root
    }
}

/// Reads all layers.
pub(super) fn settings(inputs: &LayerInputs<'_>) -> anyhow::Result<Settings> {
    let schema = Schema::new(inputs.kinds);
    let mut tree = Tree::default();
    if let Some((name, text)) = file::find(inputs)? {
        file::read(&mut tree, &schema, &name, &text)?;
    }
    let variables = variables::collect(inputs)?;
    variables::apply(&mut tree, &schema, &variables)?;
    for flag in &inputs.flags {
        let origin = Origin {
            layer: Layer::Flag,
            place: flag.flag.to_owned(),
        };
        tree.set(&flag.path, None, flag.value.clone(), origin);
    }
    one_namespace(&mut tree, &variables)?;
    known_kinds(&tree, &schema)?;
    let table = tree.table();
    let secrets = secret::secrets(&table);
    for secret in &secrets {
        secret::redact(secret.reveal());
    }
    let root: Result<Root, _> = Value::Table(table).try_into();
    let built = root
        .map_err(|e: toml::de::Error| anyhow::anyhow!("{}", e.to_string().trim_end()))
        .and_then(|root| Settings::build(root, "settings", String::new()));
    let mut settings =
        built.map_err(|error| anyhow::anyhow!(explained(&error, &tree, &secrets)))?;
    settings.leaves = effective::leaves(&tree, &schema, &settings);
    settings.text = effective::text(&settings.leaves)?;
    settings.warnings = variables::nearly_ours(&schema, &variables);
    settings.secrets = secrets;
    Ok(settings)
}

/// `BROKER_NAMESPACE` runs one namespace, and contradicts who asks for others.
fn one_namespace(tree: &mut Tree, variables: &[variables::Variable]) -> anyhow::Result<()> {
    let Some(variable) = variables
        .iter()
        .find(|v| v.name == schema::BROKER_NAMESPACE)
    else {
        return Ok(());
    };
    let only = Value::Array(vec![Value::String(variable.text.clone())]);
    let path = vec!["active_brokers".to_owned()];
    match tree.given.get(&path) {
        Some((asked, origin)) if *asked != only => bail!(
            "{} = `{}` runs this namespace alone, and active_brokers = {asked} ({origin}) asks for others: keep one of the two",
            variable.origin(),
            variable.text,
        ),
        Some(_) => {}
        None => tree.set(&path, None, only, variable.origin()),
    }
    Ok(())
}

/// The key that names the kind of a broker or a feed, and the kind where it is not set.
fn kind_key<'a>(section: &str, name: &'a str) -> Option<(&'static str, &'a str)> {
    match section {
        "trading_engine" => Some(("kind", name)),
        "feeds" => Some(("source", feeds::live::SIMULATED)),
        _ => None,
    }
}

/// A kind must be known: a slip of the pen in a table's name makes another broker.
fn known_kinds(tree: &Tree, schema: &Schema) -> anyhow::Result<()> {
    for (section, noun) in [("trading_engine", "broker"), ("feeds", "feed")] {
        let known: Vec<&str> = schema.kinds_at(&[section]).iter().map(|k| k.name).collect();
        for name in tree.names(&[section]) {
            let kind = tree.kind(section, name);
            let (Some(kind), Some((key, _))) = (kind, kind_key(section, name)) else {
                continue;
            };
            if known.contains(&kind) {
                continue;
            }
            let is_of = |path: &[String]| path.starts_with(&[section, name].map(str::to_owned));
            let found = tree.given.iter().find(|(path, _)| is_of(path));
            let origin = found.map(|(_, (_, origin))| origin.to_string());
            bail!(
                "{}: [{section}.{name}]: no kind of {noun} is called `{kind}`: set `{key}` to one of: {}",
                origin.unwrap_or_default(),
                known.join(", ")
            );
        }
    }
    Ok(())
}

/// The error, without secrets, and with the places that gave the values that it is about.
fn explained(error: &anyhow::Error, tree: &Tree, secrets: &[Secret]) -> String {
    let said = crate::errors::message(error);
    let mut message = said.clone();
    let word = |key: &String| {
        said.split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .any(|word| word == key)
    };
    let origins = |is_meant: &dyn Fn(&String, &[String]) -> bool| {
        let given = tree.given.iter();
        let mut places: Vec<String> = given
            .filter(|(path, _)| path.split_last().is_some_and(|(k, s)| is_meant(k, s)))
            .map(|(_, (_, origin))| origin.to_string())
            .collect();
        places.dedup();
        places
    };
    let mut places =
        origins(&|key, section| section.last().is_none_or(|name| said.contains(name)) && word(key));
    if places.is_empty() {
        places = origins(&|_, section| said.contains(&format!("[{}]", section.join("."))));
    }
    for secret in secrets {
        message = message.replace(secret.reveal(), REDACTED);
    }
    if !places.is_empty() && places.len() <= 3 {
        message.push_str(&format!(" (given by {})", places.join(", ")));
    }
    message
}

/// The text of a file that may be absent.
fn read_optional(path: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests;
