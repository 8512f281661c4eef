//! Runs the real binary in a directory of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// One row of a CSV file by its columns' names.
pub type Row = BTreeMap<String, String>;

/// What a run of the binary left.
pub struct Ran {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: &Output) -> Self {
        Self {
            ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A directory to run in; removed at the end.
pub struct World {
    dir: TempDir,
}

impl World {
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, with the directories above it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_panda"));
        command
            .current_dir(self.dir.path())
            .env("RUST_BACKTRACE", "0");
        command
    }

    pub fn panda(&self, args: &[&str]) -> Ran {
        Ran::of(&self.command().args(args).output().unwrap())
    }

    /// Runs what must succeed; returns its standard output.
    pub fn ok(&self, args: &[&str]) -> String {
        let ran = self.panda(args);
        assert!(ran.ok, "{args:?} failed: {}", ran.stderr);
        ran.stdout
    }

    /// Runs what must fail with one clear message, which must hold every one of `wanted`, and must
    /// leave everything in the directory as it was. Returns the message.
    pub fn refuses(&self, args: &[&str], wanted: &[&str]) -> String {
        let before = self.tree();
        let ran = self.panda(args);
        assert!(!ran.ok, "{args:?} was accepted: {}", ran.stdout);
        let message = ran.stderr;
        assert_clear(args, &message);
        assert!(
            ran.stdout.is_empty(),
            "{args:?} wrote to stdout: {}",
            ran.stdout
        );
        for wanted in wanted {
            assert!(
                message.contains(wanted),
                "{args:?}: {message:?} lacks {wanted:?}"
            );
        }
        assert_eq!(before, self.tree(), "{args:?} left something behind");
        message
    }

    /// Every file with its length and every directory below, hidden ones too.
    pub fn tree(&self) -> Vec<(PathBuf, u64)> {
        fn walk(dir: &Path, found: &mut Vec<(PathBuf, u64)>) {
            for entry in fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                let meta = entry.metadata().unwrap();
                if meta.is_dir() {
                    found.push((entry.path(), 0));
                    walk(&entry.path(), found);
                } else {
                    found.push((entry.path(), meta.len()));
                }
            }
        }
        let mut found = Vec::new();
        walk(self.dir.path(), &mut found);
        found.sort();
        found
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// The rows of a CSV file.
    pub fn rows(&self, name: &str) -> Vec<Row> {
        rows(&self.path(name))
    }

    /// A backtest of `data`, with `instruments.csv` and `strategies.yaml`; returns the summary.
    pub fn backtest(&self, data: &str, out: &str, more: &[&str]) -> Value {
        let mut args = base(data, out);
        args.extend(more);
        self.ok(&args);
        self.json(&format!("{out}/summary.json"))
    }
}

/// The arguments of a backtest of `data` into `out`.
pub fn base<'a>(data: &'a str, out: &'a str) -> Vec<&'a str> {
    [
        "backtest",
        "--data",
        data,
        "--instruments",
        "instruments.csv",
        "--strategy",
        "strategies.yaml",
        "--out",
        out,
    ]
    .to_vec()
}

/// One message that begins with `error: `, is for people, and says nothing twice.
pub fn assert_clear(args: &[&str], message: &str) {
    assert!(message.starts_with("error: "), "{args:?}: {message:?}");
    let errors = message.lines().filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), 1, "{args:?}: {message:?}");
    let lower = message.to_lowercase();
    for word in ["panicked", "backtrace", "rust_", "unwrap", ".rs:"] {
        assert!(!lower.contains(word), "{args:?}: {message:?} has {word}");
    }
    assert!(
        message.matches("(os error").count() <= 1,
        "{args:?} repeats itself: {message:?}"
    );
    assert!(message.len() < 1_000, "{args:?}: too long: {message:?}");
}

pub fn rows(path: &Path) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    reader.deserialize().map(|row| row.unwrap()).collect()
}

/// A key of a JSON object that holds text.
pub fn text(value: &Value, key: &str) -> String {
    match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        other => panic!("`{key}` is {other:?}, not text"),
    }
}

/// A key of a JSON object that holds a count.
pub fn count(value: &Value, key: &str) -> u64 {
    value
        .get(key)
        .and_then(Value::as_u64)
        .unwrap_or_else(|| panic!("`{key}` is {:?}, not a count", value.get(key)))
}

/// The sum of a JSON object's counts.
pub fn sum(value: &Value, key: &str) -> u64 {
    let counts = value.get(key).and_then(Value::as_object);
    let counts = counts.unwrap_or_else(|| panic!("`{key}` is no object"));
    counts.values().map(|n| n.as_u64().unwrap()).sum()
}
