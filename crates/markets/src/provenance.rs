//! Where a fact comes from and how good the evidence for it is.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

/// How good the evidence for a fact is, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Set by the user, who answers for it.
    User,
    /// Computed by running something published.
    Ran,
    /// Read in an official client's source or recorded answers.
    Src,
    /// Read in official documentation.
    Doc,
    /// Said by the broker's staff on its forum.
    Forum,
    /// News, a broker's page, or a third party that quotes the circular.
    Press,
    /// From memory, and plausible.
    Recall,
    /// Not confirmed by anything.
    Unverified,
}

impl Grade {
    /// The name in files and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Ran => "ran",
            Self::Src => "src",
            Self::Doc => "doc",
            Self::Forum => "forum",
            Self::Press => "press",
            Self::Recall => "recall",
            Self::Unverified => "unverified",
        }
    }

    /// True when nothing outside somebody's memory supports the fact: live money that depends on
    /// it deserves a warning.
    pub const fn is_unverified(self) -> bool {
        matches!(self, Self::Recall | Self::Unverified)
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What supports a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Where the fact was found.
    pub source: Arc<str>,
    /// How good that is.
    pub grade: Grade,
}

impl Evidence {
    /// What a file says of an entry; an entry without a word of it is the user's own.
    pub(crate) fn new(source: Option<String>, grade: Option<Grade>) -> Self {
        Self {
            source: source.map_or_else(|| Arc::from("the user's file"), Arc::from),
            grade: grade.unwrap_or(Grade::User),
        }
    }

    /// No fact at all.
    pub(crate) fn none() -> Self {
        Self {
            source: Arc::from("none"),
            grade: Grade::Unverified,
        }
    }
}

/// A value with what supports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Why it is believed.
    pub evidence: Evidence,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_fact_names_its_source_and_grade() {
        let files = [
            include_str!("../data/calendar.toml"),
            include_str!("../data/charges.toml"),
            include_str!("../data/rules.toml"),
        ];
        let mut facts = 0;
        for file in files {
            let file: toml::Table = file.parse().unwrap();
            for (list, entries) in &file {
                // What exists is no fact that could be wrong; hours and rates are.
                if matches!(list.as_str(), "version" | "market" | "schedule") {
                    continue;
                }
                for entry in entries.as_array().unwrap() {
                    let source = entry.get("source").and_then(|source| source.as_str());
                    assert!(source.is_some_and(|s| !s.is_empty()), "[[{list}]] {entry}");
                    let grade: Grade = entry["grade"].clone().try_into().unwrap();
                    assert!(grade != Grade::User, "[[{list}]] {entry}");
                    facts += 1;
                }
            }
        }
        assert!(facts > 100, "{facts}");
    }
}
