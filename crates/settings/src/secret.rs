//! Which keys hold secrets, and how they are kept out of everything that is printed.

use std::sync::{PoisonError, RwLock};

use model::secret::{REDACTED, Secret};

/// Values that must not be seen.
static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Keys whose values are never printed, wherever they stand.
pub(crate) const SECRET_KEYS: [&str; 7] = [
    "api_key",
    "api_secret",
    "secret_key",
    "key_id",
    "password",
    "token",
    "access_token",
];

/// Whether a key holds a secret.
pub(crate) fn is_secret(key: &str) -> bool {
    SECRET_KEYS.contains(&key)
}

/// The secrets of a table, at any depth.
pub(crate) fn secrets(table: &toml::Table) -> Vec<Secret> {
    let of = |(key, value): (&String, &toml::Value)| match value {
        toml::Value::Table(inner) => secrets(inner),
        toml::Value::String(text) if is_secret(key) && !text.is_empty() => {
            vec![Secret::new(text.clone())]
        }
        _ => Vec::new(),
    };
    table.iter().flat_map(of).collect()
}

/// The table with its secrets, at any depth, replaced.
pub(crate) fn redacted(table: &toml::Table) -> toml::Table {
    let value = |key: &str, value: &toml::Value| match value {
        _ if is_secret(key) => toml::Value::String(REDACTED.to_owned()),
        toml::Value::Table(inner) => toml::Value::Table(redacted(inner)),
        other => other.clone(),
    };
    table
        .iter()
        .map(|(k, v)| (k.clone(), value(k, v)))
        .collect()
}

/// A message of the TOML parser quotes the line that it is about: what follows a secret's key goes.
pub(crate) fn redact_quoted(message: &str) -> String {
    let line = |line: &str| {
        let Some((before, after)) = line.split_once('=') else {
            return line.to_owned();
        };
        let key = before
            .trim()
            .rsplit(['.', '|', ' ', '{', ','])
            .next()
            .unwrap_or_default();
        let key = key.trim_matches(['"', '\'']);
        // An inline table can have a secret further on.
        let later = SECRET_KEYS.iter().any(|secret| after.contains(secret));
        if is_secret(key) || later {
            format!("{before}= {REDACTED}")
        } else {
            line.to_owned()
        }
    };
    message.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// From now on this value stands as `***` wherever it occurs in a line.
pub fn redact(value: &str) {
    let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    if !value.is_empty() && !secrets.iter().any(|known| known == value) {
        secrets.push(value.to_owned());
        // A secret that contains another one goes first.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }
}

/// The text without the secrets that are known; for what is printed beside the log.
pub fn clean(text: String) -> String {
    let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    secrets.iter().fold(text, |text, secret| {
        if text.contains(secret) {
            text.replace(secret, REDACTED)
        } else {
            text
        }
    })
}
