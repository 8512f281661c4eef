//! Tests that say they are skipped, held against the list of those that may be.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

/// Where the list is.
const LIST: &str = "xtask/skips.txt";
/// What precedes a skip in the output of a test program; see `skip.rs`.
const MARK: &str = "skipped test: ";
/// The condition of tests that mount a file system.
const MOUNT: &str = "mount";

/// A test that is or may be skipped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skip {
    test: String,
    /// What is absent: a path, or [`MOUNT`].
    condition: String,
}

impl Skip {
    /// Reads one line of a test program, where it says that a test is skipped.
    pub fn of_line(line: &str) -> Option<Self> {
        let (_, skip) = line.split_once(MARK)?;
        Self::parse(skip)
    }

    fn parse(text: &str) -> Option<Self> {
        let (test, condition) = text.trim().split_once(": ")?;
        Some(Self {
            test: test.to_owned(),
            condition: condition.to_owned(),
        })
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} is absent", self.test, self.condition)
    }
}

/// The tests that may be skipped.
pub struct List(BTreeSet<Skip>);

impl List {
    /// Reads the list of the repository.
    pub fn load(root: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(root.join(LIST))
            .with_context(|| format!("cannot read {LIST}"))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut list = BTreeSet::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let skip = Skip::parse(line)
                .with_context(|| format!("{LIST}:{}: write `TEST: CONDITION`", at + 1))?;
            ensure!(
                list.insert(skip),
                "{LIST}:{}: the line is there twice",
                at + 1
            );
        }
        Ok(Self(list))
    }

    /// What is wrong with the skips of test programs; `whole` where all of them ran.
    pub fn problems(
        &self,
        seen: &[Skip],
        whole: bool,
        is_present: &dyn Fn(&str) -> bool,
    ) -> Vec<String> {
        let mut problems = Vec::new();
        for skip in seen {
            if !self.0.contains(skip) {
                problems.push(format!(
                    "{skip}: {LIST} does not list this skip: let the test run everywhere, or list it"
                ));
            } else if is_present(&skip.condition) {
                problems.push(format!("{skip}, it says, but that is present"));
            }
        }
        if whole {
            let stale = self.0.iter().filter(|skip| !seen.contains(skip));
            for skip in stale.filter(|skip| !is_present(&skip.condition)) {
                problems.push(format!(
                    "{skip}, and the test was not skipped: take it off {LIST}"
                ));
            }
        }
        problems
    }
}

/// Whether what a skip depends on is here.
pub fn is_present(root: &Path, condition: &str) -> bool {
    if condition == MOUNT {
        return can_mount(root);
    }
    root.join(condition).exists()
}

/// Mounts a file system as the tests do, and takes it away again.
fn can_mount(root: &Path) -> bool {
    let at = root.join("target/mount-check");
    if std::fs::create_dir_all(&at).is_err() {
        return false;
    }
    let run = |command: &mut Command| command.output().is_ok_and(|o| o.status.success());
    let options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs"];
    let is_mounted = run(Command::new("mount").args(options).arg(&at));
    if is_mounted {
        run(Command::new("umount").arg("-l").arg(&at));
    }
    is_mounted
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A comment.\n\na::b: ../data\nc::d: mount\n";

    #[test]
    fn a_skip_must_be_listed_and_its_condition_absent() {
        let list = List::parse(TEXT).unwrap();
        let seen = |line: &str| vec![Skip::of_line(line).unwrap()];
        let listed = seen("test x ... skipped test: a::b: ../data");
        assert!(list.problems(&listed, false, &|_| false).is_empty());
        let present = list.problems(&listed, false, &|condition| condition == "../data");
        assert!(present[0].contains("that is present"), "{present:?}");
        for line in ["skipped test: a::b: mount", "skipped test: a::x: ../data"] {
            let unlisted = list.problems(&seen(line), false, &|_| false);
            assert!(unlisted[0].contains("does not list"), "{unlisted:?}");
        }
        // Of all tests, one that is listed and ran where its condition is absent needs no line.
        let stale = list.problems(&listed, true, &|_| false);
        assert_eq!(stale.len(), 1);
        assert!(stale[0].contains("c::d") && stale[0].contains("take it off"));
        assert!(list.problems(&[], true, &|_| true).is_empty());
        assert_eq!(Skip::of_line("test a ... ok"), None);
        assert!(List::parse("a::b ../data").is_err());
        assert!(List::parse("a: b\na: b").is_err());
    }

    /// What the tests' helper prints is what is read here.
    #[test]
    fn the_helper_of_tests_prints_what_is_read() {
        let helper = include_str!("skip.rs");
        assert!(helper.contains("skipped test: {}::{test}: {condition}\\n"));
    }
}
