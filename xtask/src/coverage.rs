//! Error paths that no test runs, in the crates between an order and the disk.
//!
//! The tests of these crates are built with the compiler's own instrumentation. An error path is a line
//! that makes, maps or reports an error; those which no test runs are held against a list of the ones
//! that are left, each with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use crate::workspace::{Workspace, cargo};

/// Where the list is.
const LIST: &str = "xtask/uncovered.txt";
/// The crates whose error paths count.
const CRATES: [&str; 6] = ["journal", "runtime", "pipeline", "traders", "paper", "sim"];
/// Seeds of the simulation: enough for what seeds reach at all, as the build is slow.
const SEEDS: &str = "60";
/// What a line has that is part of an error path.
const SIGNS: [&str; 7] = [
    "Err(",
    "Error::",
    "Problem::",
    ".map_err(",
    ".alert(",
    "Reason::",
    "error(",
];
/// Lines that match and are no error path, by how they begin.
const NO_SIGNS: [&str; 4] = ["//", "use ", "#[", "fn "];
/// A lock whose holder panicked is taken all the same: no error is told.
const LOCK: &str = "PoisonError::into_inner";

/// One line of an error path: its file and its text, which outlive its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    file: String,
    text: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} | {}", self.file, self.text)
    }
}

/// Runs the tests, prints what they leave, and fails where the list of it is wrong.
pub fn run() -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    let root = workspace.root.as_path();
    let (profdata, cov) = tools()?;
    let target = root.join("target/coverage");
    let profiles = target.join("profiles");
    let _absent = std::fs::remove_dir_all(&profiles);
    std::fs::create_dir_all(&profiles)?;
    let programs = test(root, &target, &profiles)?;
    let merged = target.join("merged.profdata");
    let mut raw: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(&profiles)? {
        raw.push(entry?.path());
    }
    ensure!(!raw.is_empty(), "the tests left no profiles");
    output(
        Command::new(profdata)
            .args(["merge", "-sparse", "-o"])
            .arg(&merged)
            .args(&raw),
    )?;
    let mut export = Command::new(cov);
    export
        .args(["export", "-format=text", "-skip-functions"])
        .arg(format!("-instr-profile={}", merged.display()));
    for (at, program) in programs.iter().enumerate() {
        if at > 0 {
            export.arg("-object");
        }
        export.arg(program);
    }
    let sources: Vec<PathBuf> = CRATES
        .iter()
        .filter_map(|name| workspace.package(name))
        .filter_map(|package| Some(package.manifest_path.parent()?.join("src")))
        .collect();
    ensure!(
        sources.len() == CRATES.len(),
        "a crate of {CRATES:?} is gone"
    );
    export.arg("-sources").args(&sources);
    let exported: Exported = serde_json::from_slice(&output(&mut export)?)
        .context("cannot read what llvm-cov printed")?;
    let mut found: BTreeMap<Place, Vec<u32>> = BTreeMap::new();
    for file in exported.data.iter().flat_map(|data| &data.files) {
        let text = std::fs::read_to_string(&file.filename)
            .with_context(|| format!("cannot read {}", file.filename.display()))?;
        let shown = workspace.shown(&file.filename);
        for (number, text) in uncovered(&text, &file.segments) {
            let file = shown.clone();
            found.entry(Place { file, text }).or_default().push(number);
        }
    }
    let list =
        std::fs::read_to_string(root.join(LIST)).with_context(|| format!("cannot read {LIST}"))?;
    judge(&list, &found)
}

/// The tools of the compiler's LLVM: others do not read its profiles.
fn tools() -> anyhow::Result<(PathBuf, PathBuf)> {
    let found = output(Command::new("rustc").args(["--print", "target-libdir"]))?;
    let library = PathBuf::from(String::from_utf8_lossy(&found).trim());
    let programs = library.parent().context("rustc has no folder of its own")?;
    let programs = programs.join("bin");
    let tool = |name: &str| {
        let path = programs.join(name);
        ensure!(
            path.is_file(),
            "{} is not there: rustup component add llvm-tools",
            path.display()
        );
        Ok(path)
    };
    Ok((tool("llvm-profdata")?, tool("llvm-cov")?))
}

/// Builds and runs the tests; returns their programs.
fn test(root: &Path, target: &Path, profiles: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let command = |more: &[&str]| {
        let mut command = cargo();
        command.args(["test", "--no-fail-fast", "--lib", "--tests"]);
        command.args(CRATES.iter().flat_map(|name| ["--package", name]));
        command
            .args(more)
            .env("RUSTFLAGS", "-C instrument-coverage")
            .env("CARGO_TARGET_DIR", target)
            .env("CARGO_INCREMENTAL", "0")
            .env("LLVM_PROFILE_FILE", profiles.join("%p-%m.profraw"))
            .env("SIMULATE_SEEDS", SEEDS)
            .current_dir(root)
            .stdin(Stdio::null());
        command
    };
    let built = output(&mut command(&["--no-run", "--message-format=json"]))?;
    let mut programs = Vec::new();
    for line in String::from_utf8_lossy(&built).lines() {
        let message: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        if message["profile"]["test"] == true
            && let Some(program) = message["executable"].as_str()
        {
            programs.push(PathBuf::from(program));
        }
    }
    ensure!(!programs.is_empty(), "cargo built no tests");
    let status = command(&[]).status().context("cannot run cargo")?;
    ensure!(
        status.success(),
        "tests failed: what they leave means nothing"
    );
    Ok(programs)
}

/// What a program prints; its errors are shown.
fn output(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    ensure!(
        output.status.success(),
        "{name} ended with {}",
        output.status
    );
    Ok(output.stdout)
}

#[derive(Deserialize)]
struct Exported {
    data: Vec<Data>,
}

#[derive(Deserialize)]
struct Data {
    files: Vec<Covered>,
}

#[derive(Deserialize)]
struct Covered {
    filename: PathBuf,
    /// From where on which count holds, in rising order.
    segments: Vec<Segment>,
}

/// Line, column, count, whether there is a count, whether a region begins, whether it is a gap.
#[derive(Deserialize)]
struct Segment(u32, u32, u64, bool, bool, bool);

/// The lines of error paths that were never run, with their numbers.
fn uncovered(text: &str, segments: &[Segment]) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    let mut next = 0;
    // The count that holds where a line begins.
    let mut holds: Option<u64> = None;
    let mut is_test = false;
    for (number, line) in (1..).zip(text.lines()) {
        is_test |= line == "#[cfg(test)]";
        let begun = line.len() - line.trim_start().len();
        let mut counts = Vec::new();
        let mut at_text = holds;
        while let Some(segment) = segments.get(next).filter(|s| s.0 == number) {
            let count = segment.3.then_some(segment.2);
            if segment.1 as usize <= begun + 1 {
                at_text = count;
            } else if segment.4 && !segment.5 {
                counts.extend(count);
            }
            holds = count;
            next += 1;
        }
        counts.extend(at_text);
        let code = line.trim();
        // A line some part of which is never run, and which says that this part is an error.
        let is_never = at_text == Some(0) || counts.contains(&0) && code.contains("Err(");
        let is_path = SIGNS.iter().any(|sign| code.contains(sign))
            && !NO_SIGNS.iter().any(|sign| code.starts_with(sign))
            && !code.contains(LOCK);
        if is_never && is_path && !is_test {
            found.push((number, code.to_owned()));
        }
    }
    found
}

/// Holds what was found against the list.
fn judge(list: &str, found: &BTreeMap<Place, Vec<u32>>) -> anyhow::Result<()> {
    let mut listed = BTreeSet::new();
    let mut problems = Vec::new();
    let mut reason = "";
    for (at, line) in list.lines().enumerate() {
        let line = line.trim();
        if let Some(words) = line.strip_prefix('#') {
            reason = words.trim();
        } else if let Some((file, text)) = line.split_once(" | ") {
            let place = Place {
                file: file.to_owned(),
                text: text.to_owned(),
            };
            if reason.is_empty() {
                problems.push(format!("{LIST}:{}: no reason stands above it", at + 1));
            }
            if !found.contains_key(&place) {
                problems.push(format!(
                    "{LIST}:{}: it is run by a test, or no longer there: {place}",
                    at + 1
                ));
            }
            listed.insert(place);
        } else if line.is_empty() {
            reason = "";
        } else {
            bail!("{LIST}:{}: write `FILE | LINE`, or `# REASON`", at + 1);
        }
    }
    let mut left = 0;
    for (place, numbers) in found.iter().filter(|(place, _)| !listed.contains(*place)) {
        left += 1;
        for number in numbers {
            println!("{}:{number}: {}", place.file, place.text);
        }
    }
    println!(
        "{} error paths that no test runs, {} of them with a reason in {LIST}",
        found.len(),
        found.len() - left
    );
    for problem in &problems {
        println!("{problem}");
    }
    ensure!(
        problems.is_empty() && left == 0,
        "test an error path, or give the reason for it in {LIST}; its lines that are wrong go"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_no_error_path() {
        let text = "fn a() {\n    b.lock().unwrap_or_else(PoisonError::into_inner);\n}\n";
        assert!(uncovered(text, &[Segment(1, 1, 0, true, true, false)]).is_empty());
        let text = text.replace("PoisonError::into_inner", "BadError::of");
        assert_eq!(
            uncovered(&text, &[Segment(1, 1, 0, true, true, false)]).len(),
            1
        );
    }

    #[test]
    fn an_error_path_is_a_line_that_never_ran_and_says_so() {
        let text = "fn a() {\n    if b {\n        return Err(C);\n    }\n    ok().map_err(D)?;\n    e();\n}\n";
        let segments = [
            Segment(1, 1, 5, true, true, false),
            Segment(3, 9, 0, true, true, false),
            Segment(3, 23, 5, true, false, false),
            Segment(6, 5, 0, true, true, false),
            Segment(7, 2, 0, false, false, false),
        ];
        let found = uncovered(text, &segments);
        assert_eq!(found, [(3, "return Err(C);".to_owned())]);
        let place = Place {
            file: "a.rs".to_owned(),
            text: "return Err(C);".to_owned(),
        };
        let found = BTreeMap::from([(place, vec![3])]);
        assert!(judge("# why\na.rs | return Err(C);\n", &found).is_ok());
        for list in [
            "",
            "a.rs | return Err(C);\n",
            "# why\na.rs | return Err(C);\na.rs | return Err(X);\n",
        ] {
            assert!(judge(list, &found).is_err(), "{list}");
        }
    }
}
