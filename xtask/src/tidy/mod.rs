//! The project's own checks: what the compiler and clippy cannot know.
//!
//! Each rule has a name, a reason and a fix, so that a finding teaches what it enforces.

mod dependencies;
mod docs;
mod generated;
mod hygiene;
mod purity;
mod source;
mod unused;

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context, bail};

use crate::workspace::Workspace;
use source::Source;

/// Something to mend.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, relative to the root.
    pub path: String,
    /// The line, from 1; 0 where the whole file is meant.
    pub line: usize,
    /// The rule's name.
    pub rule: &'static str,
    /// What is wrong.
    pub what: String,
    /// Why it is a rule.
    pub why: String,
    /// What to do.
    pub fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        writeln!(f, ": {}: {}", self.rule, self.what)?;
        writeln!(f, "    why: {}", self.why)?;
        write!(f, "    fix: {}", self.fix)
    }
}

/// Runs every check; an error when anything is found.
pub fn run() -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    let files = workspace.files()?;
    let mut findings = dependencies::check(&workspace)?;
    let mut texts = Vec::new();
    for path in &files {
        if !hygiene::is_text(path) {
            continue;
        }
        let text = std::fs::read_to_string(workspace.root.join(path))
            .with_context(|| format!("cannot read {path} as UTF-8 text"))?;
        findings.extend(hygiene::check_text(path, &text));
        texts.push((path.as_str(), text));
    }
    let tests = test_files(&texts);
    let rust = texts.iter().filter(|(path, _)| path.ends_with(".rs"));
    let sources: Vec<(&str, Source)> = rust
        .map(|(path, text)| (*path, Source::parse(text, tests.contains(*path))))
        .collect();
    for (path, source) in &sources {
        findings.extend(hygiene::check_source(path, source));
        findings.extend(purity::check(path, source));
    }
    findings.extend(unused::dependencies(&workspace, &sources)?);
    findings.extend(unused::items(&sources));
    findings.extend(generated::check(&workspace)?);
    let documents = texts.iter().filter(|(path, _)| docs::is_document(path));
    for (path, text) in documents {
        findings.extend(docs::check(&workspace, path, text));
    }
    findings.sort();
    for finding in &findings {
        println!("{finding}\n");
    }
    if !findings.is_empty() {
        bail!(
            "tidy: {} to mend in {} files looked at",
            findings.len(),
            files.len()
        );
    }
    println!("tidy: {} files, nothing to mend", files.len());
    Ok(())
}

/// Files that hold nothing but tests: below `tests` or `benches`, or declared so by their parent.
fn test_files(texts: &[(&str, String)]) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for (path, text) in texts.iter().filter(|(path, _)| path.ends_with(".rs")) {
        if path
            .split('/')
            .any(|part| matches!(part, "tests" | "benches" | "tests.rs"))
        {
            tests.insert((*path).to_owned());
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let below = match name {
            "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
            other => format!("{folder}/{}", other.trim_end_matches(".rs")),
        };
        for module in Source::parse(text, false).test_modules() {
            tests.insert(format!("{below}/{module}.rs"));
            tests.insert(format!("{below}/{module}/mod.rs"));
        }
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_the_place_the_reason_and_the_fix() {
        let finding = Finding {
            path: "crates/a/src/lib.rs".to_owned(),
            line: 3,
            rule: "no-clock",
            what: "`Instant`".to_owned(),
            why: "time arrives with the input".to_owned(),
            fix: "take it from there".to_owned(),
        };
        assert_eq!(
            finding.to_string(),
            "crates/a/src/lib.rs:3: no-clock: `Instant`\n    why: time arrives with the input\n    \
             fix: take it from there"
        );
    }

    #[test]
    fn files_of_tests_are_known() {
        let texts = [
            (
                "crates/a/src/host.rs",
                "#[cfg(test)]\nmod checks;\nmod real;".to_owned(),
            ),
            ("crates/a/tests/all.rs", String::new()),
            ("crates/a/src/real.rs", String::new()),
        ];
        let tests = test_files(&texts);
        assert!(tests.contains("crates/a/src/host/checks.rs"));
        assert!(tests.contains("crates/a/tests/all.rs"));
        assert!(!tests.contains("crates/a/src/real.rs"));
        assert!(!tests.contains("crates/a/src/host/real.rs"));
    }
}
