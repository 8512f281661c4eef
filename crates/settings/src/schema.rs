//! What keys there are: one table from which files and variables are checked, values typed, pages and
//! example files written.

use feeds::live::FeedRegistry;
use toml::Value;
use traders::{Registry, SettingSpec};

use super::{brokers, data, live, logging, markets};

/// What a value can be, for one that arrives as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// A list of texts.
    List,
    /// A table of entries with names of their own.
    Table,
    /// A number, a table by currency.
    Money,
    /// A number, a word, or a table.
    Either,
}

impl Kind {
    /// How one that is text is written, for messages and the reference.
    pub const fn form(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "a number",
            Self::Flag => "`true` or `false`",
            Self::List => "a list: `a,b` or `[\"a\", \"b\"]`",
            Self::Table => "a table: `{\"name\": value}`",
            Self::Money => "a number, `50%` of the starting cash, `off`, or `{\"INR\": 1000}`",
            Self::Either => "a number, a word or a table",
        }
    }
}

/// One key.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// What its value can be.
    pub kind: Kind,
    /// Its default; absent: none, or one that depends on others.
    pub default: Option<Value>,
    /// Its default, for people.
    pub default_text: String,
    /// What it means.
    pub text: String,
}

/// Keys that stand together: `[feeds.NAME]`.
#[derive(Debug, Clone)]
pub struct Section {
    /// Its path; a step in capitals is a name of the user's.
    pub path: &'static [&'static str],
    /// What it is about.
    pub title: &'static str,
    /// Its keys.
    pub keys: Vec<Key>,
}

impl Section {
    /// `[feeds.NAME]`, or nothing for the top level.
    pub fn heading(&self) -> String {
        if self.path.is_empty() {
            return String::new();
        }
        format!("[{}]", self.path.join("."))
    }
}

/// The kinds of brokers and feeds that a build knows.
pub struct Kinds {
    /// Of brokers.
    pub brokers: Registry,
    /// Of feeds.
    pub feeds: FeedRegistry,
}

/// What a kind of broker adds to `[trading_engine.NAME]`, or a kind of feed to `[feeds.NAME]`.
#[derive(Debug, Clone)]
pub struct KindKeys {
    /// The kind.
    pub name: &'static str,
    /// Whether this build has it.
    pub is_built: bool,
    /// One line for people.
    pub summary: &'static str,
    /// Its keys.
    pub keys: Vec<Key>,
}

/// Brokers that settings can hold before a build has their traders: their keys and variables are part
/// of the contract, and their secrets must never be printed. A registered kind takes the place.
const ANNOUNCED: [(&str, &str, Rows); 2] = [
    (
        "alpaca",
        "Alpaca",
        &[
            ("key_id", "", "the key's id"),
            ("secret_key", "", "the secret of the key"),
            ("base_url", "", "address of the API; absent: paper trading"),
        ],
    ),
    (
        "zerodha",
        "Zerodha's Kite Connect",
        &[
            ("api_key", "", "the API key"),
            ("api_secret", "", "the secret of the API key"),
        ],
    ),
];

/// Other names of variables, with the keys that they set.
pub const ALIASES: [(&str, &[&str]); 2] = [
    ("ZERODHA_API_KEY", &["trading_engine", "zerodha", "api_key"]),
    (
        "ZERODHA_API_SECRET",
        &["trading_engine", "zerodha", "api_secret"],
    ),
];

/// Runs exactly one namespace.
pub const BROKER_NAMESPACE: &str = "BROKER_NAMESPACE";

/// Rows of a reference table: key, default, meaning.
type Rows = &'static [(&'static str, &'static str, &'static str)];

const TOP: Rows = &[
    (
        "environment",
        "\"development\"",
        "`development` or `production`: what is only convenient is refused in production",
    ),
    (
        "active_brokers",
        "[\"paper\"]",
        "namespaces that run when no flag names them",
    ),
    (
        "display_time_zone",
        "`[trading_day] time_zone`",
        "zone in which people read times: text log lines, tables, `panda trace`, reports; what machines read is UTC",
    ),
];

const PORTFOLIO: Rows = &[(
    "snapshot_interval_seconds",
    "60",
    "snapshots are taken per execution and at multiples of this interval",
)];

/// Keys whose default does not tell what their value can be.
const KINDS: [(&str, Kind); 4] = [
    ("assume", Kind::List),
    ("speed", Kind::Either),
    ("charges", Kind::Either),
    ("square_off_minutes_before_close", Kind::Either),
];

/// A row whose default is no value (empty, `absent`, or words) has none, and is text.
fn key(name: &str, default: &str, text: &str) -> Key {
    let value = toml::from_str::<toml::Table>(&format!("v = {default}"))
        .ok()
        .and_then(|mut table| table.remove("v"));
    let kind = KINDS
        .iter()
        .find(|(key, _)| *key == name)
        .map_or_else(|| kind_of(value.as_ref()), |(_, kind)| *kind);
    Key {
        name: name.to_owned(),
        kind,
        default_text: match default {
            "" => "absent".to_owned(),
            other => other.to_owned(),
        },
        default: value,
        text: text.to_owned(),
    }
}

const fn kind_of(value: Option<&Value>) -> Kind {
    match value {
        Some(Value::Integer(_) | Value::Float(_)) => Kind::Number,
        Some(Value::Boolean(_)) => Kind::Flag,
        Some(Value::Array(_)) => Kind::List,
        Some(Value::Table(_)) => Kind::Table,
        _ => Kind::Text,
    }
}

fn keys(rows: &[(&str, &str, &str)]) -> Vec<Key> {
    rows.iter()
        .map(|(name, default, text)| key(name, default, text))
        .collect()
}

/// The limits, from the rules that ask for them.
fn risk_keys() -> Vec<Key> {
    let mut found: Vec<Key> = Vec::new();
    for rule in pipeline::risk::RULES {
        let units: Vec<&str> = rule.unit.split("; ").collect();
        let names = rule.key.split(", ").filter(|name| !name.is_empty());
        for (at, name) in names.enumerate() {
            if found.iter().any(|key| key.name == name) {
                continue;
            }
            let unit = units.get(at).or(units.last()).copied().unwrap_or_default();
            let default = unit
                .split_once("(default ")
                .map_or("", |(_, default)| default.trim_end_matches(')'));
            let kind = match unit {
                _ if unit.starts_with("money") => Kind::Money,
                "lists of instruments" => Kind::List,
                _ if unit.starts_with("true or false") => Kind::Flag,
                _ if unit.starts_with("fraction or table") => Kind::Either,
                _ if unit.starts_with("allowed or ") => Kind::Text,
                _ if unit.starts_with("halt, square_off") => Kind::Either,
                _ => Kind::Number,
            };
            let default = match kind {
                Kind::List => "[]".to_owned(),
                Kind::Text => format!("\"{default}\""),
                Kind::Money if !default.is_empty() => format!("\"{default}\""),
                Kind::Either if default.parse::<f64>().is_err() => format!("\"{default}\""),
                _ => default.to_owned(),
            };
            found.push(Key {
                kind,
                ..key(name, &default, &format!("{unit}: {}", rule.text))
            });
        }
    }
    found
}

/// All keys.
#[derive(Debug, Clone)]
pub struct Schema {
    /// The sections, `[trading_engine.NAME]` last, with the keys that every broker has.
    pub sections: Vec<Section>,
    /// What each kind of broker adds to the last one.
    pub kinds: Vec<KindKeys>,
    /// What each kind of feed adds to `[feeds.NAME]`.
    pub feeds: Vec<KindKeys>,
}

fn kind_keys(name: &'static str, summary: &'static str, settings: &[SettingSpec]) -> KindKeys {
    KindKeys {
        name,
        is_built: true,
        summary,
        keys: settings
            .iter()
            .map(|s| key(s.key, s.default, s.text))
            .collect(),
    }
}

impl Schema {
    /// With the kinds that a build knows.
    pub fn new(known: &Kinds) -> Self {
        let section = |path, title, rows: &[(&str, &str, &str)]| Section {
            path,
            title,
            keys: keys(rows),
        };
        let risk = |path, title| Section {
            path,
            title,
            keys: risk_keys(),
        };
        let mut top = section(&[], "", TOP);
        top.keys.extend(keys(live::TOP_REFERENCE));
        let sections = vec![
            top,
            section(&["strategies"], "strategies", live::STRATEGIES_REFERENCE),
            section(
                &["feeds", "NAME"],
                "where market data comes from; with no such table, `[feeds.sim]` alone",
                live::FEED_REFERENCE,
            ),
            section(&["log"], "the embedded logs", live::LOG_REFERENCE),
            section(&["logging"], "log lines", logging::LOGGING_REFERENCE),
            section(
                &["runtime"],
                "limits of time and space",
                live::RUNTIME_REFERENCE,
            ),
            section(&["data"], "how raw files are read", data::DATA_REFERENCE),
            section(
                &["trading_day"],
                "when counters start anew",
                markets::TRADING_DAY_REFERENCE,
            ),
            section(
                &["markets"],
                "facts about the exchanges",
                markets::MARKETS_REFERENCE,
            ),
            section(&["portfolio"], "the portfolio manager", PORTFOLIO),
            risk(
                &["risk"],
                "limits of every broker; one that is absent does not apply",
            ),
            risk(
                &["risk", "brokers", "NAME"],
                "limits of one broker, in the place of the common ones key by key",
            ),
            section(
                &["trading_engine", "NAME"],
                "brokers",
                &brokers::COMMON_REFERENCE,
            ),
        ];
        let brokers = known.brokers.kinds().iter();
        let mut kinds: Vec<KindKeys> = brokers
            .map(|kind| kind_keys(kind.name, kind.summary, kind.settings))
            .collect();
        for (name, summary, rows) in ANNOUNCED {
            if known.brokers.get(name).is_none() {
                kinds.push(KindKeys {
                    name,
                    is_built: false,
                    summary,
                    keys: keys(rows),
                });
            }
        }
        kinds.sort_by_key(|kind| kind.name);
        let feeds = known.feeds.kinds().iter();
        let feeds = feeds.map(|kind| kind_keys(kind.name, kind.summary, kind.settings));
        Self {
            sections,
            kinds,
            feeds: feeds.collect(),
        }
    }

    /// The names of the first level that are sections.
    pub fn first_levels(&self) -> impl Iterator<Item = &'static str> {
        self.sections.iter().filter_map(|s| s.path.first().copied())
    }

    /// The section that a path lies in: the deepest one whose steps fit.
    pub fn section_of(&self, path: &[String]) -> Option<&Section> {
        let fits = |section: &Section| {
            path.len() >= section.path.len()
                && section
                    .path
                    .iter()
                    .zip(path)
                    .all(|(step, name)| is_name(step) || step == name)
        };
        self.sections
            .iter()
            .filter(|s| fits(s))
            .max_by_key(|s| s.path.len())
    }

    /// The kinds that tables at a path can be of.
    pub fn kinds_at(&self, path: &[impl AsRef<str>]) -> &[KindKeys] {
        match path.first().map(AsRef::as_ref) {
            Some("feeds") => &self.feeds,
            Some("trading_engine") => &self.kinds,
            _ => &[],
        }
    }

    /// The keys of a section; those of a broker or a feed with what its kind adds.
    pub fn keys<'a>(&'a self, section: &'a Section, kind: Option<&str>) -> Vec<&'a Key> {
        let kinds = self.kinds_at(section.path);
        let added = kinds.iter().find(|k| Some(k.name) == kind);
        section
            .keys
            .iter()
            .chain(added.into_iter().flat_map(|k| &k.keys))
            .collect()
    }
}

/// Whether a step of a section's path stands for a name of the user's.
pub fn is_name(step: &str) -> bool {
    step.starts_with(|c: char| c.is_ascii_uppercase())
}

/// The one of `known` that is nearest to what was written, if it is near.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (distance(written, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut before = i;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = before + usize::from(from != *to);
            before = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(before + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_limit_of_a_broker_is_a_key() {
        let known: BTreeSet<String> = risk_keys().into_iter().map(|key| key.name).collect();
        let all = serde_json::to_value(pipeline::risk::LimitSettings::default()).unwrap();
        let fields: BTreeSet<String> = all.as_object().unwrap().keys().cloned().collect();
        assert_eq!(known, fields);
    }
}
