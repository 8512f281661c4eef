//! The identity of a data directory, and which logs it has. A log that is listed and gone is missed: what
//! it held would be booked or sent a second time.

use std::collections::BTreeMap;

use journal::{JournalError, LogName, Logs, MARKET, Owner};
use model::ids::NameHash;

use crate::error::RuntimeError;

/// What messages call it.
pub const FILE: &str = "IDENTITY";
const HEAD: &str = "panda data directory 1";

/// A data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    id: u128,
    /// The kind of each log's owner, by name; the market log's is its name.
    logs: BTreeMap<String, String>,
}

fn failed(why: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::state(FILE, why.to_string())
}

fn of_log(name: &str) -> impl Fn(JournalError) -> RuntimeError + '_ {
    move |error| RuntimeError::journal(name, error)
}

impl Directory {
    /// Reads the identity; `None` where there is none yet.
    pub fn load(logs: &dyn Logs) -> Result<Option<Self>, RuntimeError> {
        let Some(bytes) = logs.identity().map_err(failed)? else {
            return Ok(None);
        };
        Self::parse(&bytes).map(Some).ok_or_else(|| {
            failed(
                "the file is damaged: restore it from a backup; or remove it, and the next start makes it anew from the logs that are there",
            )
        })
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (body, sum) = text.strip_suffix('\n')?.rsplit_once("\nsum ")?;
        if u64::from_str_radix(sum, 16).ok()? != NameHash::of(body).0 {
            return None;
        }
        let mut lines = body.lines();
        if lines.next()? != HEAD {
            return None;
        }
        let id = u128::from_str_radix(lines.next()?.strip_prefix("id ")?, 16).ok()?;
        let mut logs = BTreeMap::new();
        for line in lines {
            let (name, kind) = line.strip_prefix("log ")?.split_once(' ')?;
            logs.insert(name.to_owned(), kind.to_owned());
        }
        Some(Self { id, logs })
    }

    fn save(&self, logs: &dyn Logs) -> Result<(), RuntimeError> {
        let mut text = format!("{HEAD}\nid {:032x}", self.id);
        for (name, kind) in &self.logs {
            text.push_str(&format!("\nlog {name} {kind}"));
        }
        let sum = NameHash::of(&text).0;
        text.push_str(&format!("\nsum {sum:016x}\n"));
        logs.set_identity(text.as_bytes()).map_err(failed)
    }

    /// Reads the identity, or makes one, durably, before any log is begun: that of the logs that are
    /// there (`names`), or else `fresh`.
    pub fn open(logs: &dyn Logs, names: &[String], fresh: u128) -> Result<Self, RuntimeError> {
        if let Some(there) = Self::load(logs)? {
            return Ok(there);
        }
        let mut id = fresh;
        for name in [MARKET].into_iter().chain(names.iter().map(String::as_str)) {
            let owner = logs.log(LogName::of(name)).owner();
            let owner = owner.map_err(of_log(name))?;
            if let Some(owner) = owner {
                id = owner.directory();
                break;
            }
        }
        let this = Self {
            id,
            logs: BTreeMap::new(),
        };
        this.save(logs)?;
        Ok(this)
    }

    /// The logs that it has, by name.
    pub fn logs(&self) -> impl Iterator<Item = &str> {
        self.logs.keys().map(String::as_str)
    }

    /// Whose a log is.
    pub fn owner(&self, name: &str, kind: &str) -> Owner {
        Owner::new(self.id, name, kind)
    }

    /// The owner of a listed log; [`Owner::NONE`] where the log is not listed.
    pub fn listed(&self, name: &str) -> Owner {
        let kind = self.logs.get(name);
        kind.map_or(Owner::NONE, |kind| self.owner(name, kind))
    }

    /// Refuses a log that is listed and gone, and a namespace whose kind has changed.
    pub fn check(&self, logs: &dyn Logs, name: &str, kind: &str) -> Result<(), RuntimeError> {
        let Some(listed) = self.logs.get(name) else {
            return Ok(());
        };
        if listed != kind {
            return Err(RuntimeError::state(
                name,
                format!(
                    "its journal was written for a broker of kind `{listed}`, and the settings say `{kind}`: set kind = \"{listed}\", or give the new broker another name"
                ),
            ));
        }
        self.missing(logs, name)
    }

    /// Refuses a log that is listed and gone.
    pub fn missing(&self, logs: &dyn Logs, name: &str) -> Result<(), RuntimeError> {
        let log = logs.log(LogName::of(name));
        let spans = log.spans().map_err(of_log(name))?;
        if !self.logs.contains_key(name) || !spans.is_empty() {
            return Ok(());
        }
        Err(RuntimeError::state(
            name,
            format!(
                "this data directory has had its log, and {} holds none: restore the folder from a backup; or look up its orders and positions at the broker, and begin it anew with `panda journal forget {name}`",
                log.place()
            ),
        ))
    }

    /// Lists logs that are begun now.
    pub fn list(
        &mut self,
        logs: &dyn Logs,
        begun: &[(String, String)],
    ) -> Result<(), RuntimeError> {
        let before = self.logs.len();
        for (name, kind) in begun {
            self.logs
                .entry(name.clone())
                .or_insert_with(|| kind.clone());
        }
        if self.logs.len() == before {
            return Ok(());
        }
        self.save(logs)
    }

    /// Strikes a log that is gone from the list: the next start begins it anew.
    pub fn forget(&mut self, logs: &dyn Logs, name: &str) -> Result<(), RuntimeError> {
        if self.logs.remove(name).is_none() {
            let known: Vec<&str> = self.logs().collect();
            return Err(RuntimeError::state(
                name,
                format!("no such log is listed; there are: {}", known.join(", ")),
            ));
        }
        let log = logs.log(LogName::of(name));
        let is_fresh = log
            .is_fresh()
            .map_err(|e| RuntimeError::state(name, format!("cannot list {e}")))?;
        if !is_fresh {
            return Err(RuntimeError::state(
                name,
                format!(
                    "{} still holds files: move the folder out of the data directory first",
                    log.place()
                ),
            ));
        }
        self.save(logs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::{FileLogs, FileOptions, OpenMode, SimDisk, Storage};
    use std::path::Path;
    use std::sync::Arc;

    fn over(disk: &SimDisk) -> FileLogs {
        let options = FileOptions {
            preallocate: 1 << 12,
            ..FileOptions::default()
        };
        FileLogs::over(Arc::new(disk.clone()), options)
    }

    /// Begins a log, so that it has a file.
    fn begin(logs: &dyn Logs, name: &str, owner: Owner) {
        let (mut log, _) = logs.log(LogName::of(name)).open(&owner).unwrap();
        log.append(b"one").unwrap();
        log.commit().unwrap();
    }

    fn named(all: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, kind): &(&str, &str)| ((*name).to_owned(), (*kind).to_owned());
        all.iter().map(owned).collect()
    }

    fn said(result: Result<(), RuntimeError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn the_identity_outlives_its_file_and_a_damaged_file_is_refused() {
        let disk = SimDisk::new(1);
        let all = over(&disk);
        assert_eq!(Directory::load(&all).unwrap(), None);
        let mut made = Directory::open(&all, &[], 7).unwrap();
        made.list(&all, &named(&[("market", "market"), ("east", "paper")]))
            .unwrap();
        assert_eq!(Directory::open(&all, &[], 8).unwrap(), made);
        disk.power_loss();
        assert_eq!(Directory::load(&all).unwrap(), Some(made.clone()));
        let file = disk.open(Path::new(FILE), OpenMode::Read).unwrap();
        let length = file.size().unwrap();
        for byte in 0..length {
            // The least bit of a hexadecimal digit makes another digit.
            disk.flip(Path::new(FILE), byte, 0);
            let error = Directory::open(&all, &[], 8).unwrap_err().to_string();
            assert!(
                error.starts_with(
                    "the state of `IDENTITY`: the file is damaged: restore it from a backup"
                ),
                "byte {byte}: {error}"
            );
            disk.flip(Path::new(FILE), byte, 0);
        }
        // Without the file, the logs say whose they are.
        begin(&all, "east", made.owner("east", "paper"));
        disk.remove(Path::new(FILE)).unwrap();
        let again = Directory::open(&all, &["east".to_owned()], 8).unwrap();
        assert_eq!(again.owner("east", "paper"), made.owner("east", "paper"));
        assert_eq!(again.listed("east"), Owner::NONE);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_new_directory() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(FILE, dir.path().join(FILE)).unwrap();
        let all = FileLogs::create(dir.path()).unwrap();
        let error = Directory::open(&all, &[], 7).unwrap_err().to_string();
        assert!(error.starts_with("the state of `IDENTITY`: "), "{error}");
        // Nor is a folder that cannot be listed an empty one.
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        let mut directory = Directory::open(&all, &[], 7).unwrap();
        directory.list(&all, &named(&[("east", "paper")])).unwrap();
        std::fs::create_dir(dir.path().join("journal")).unwrap();
        std::fs::write(dir.path().join("journal/east"), "").unwrap();
        let error = said(directory.forget(&all, "east"));
        assert!(
            error.starts_with("the state of `east`: cannot list journal/east: "),
            "{error}"
        );
        let left = Directory::load(&all).unwrap().unwrap();
        assert_eq!(left.logs().collect::<Vec<_>>(), ["east"]);
    }

    #[test]
    fn a_log_that_is_listed_is_missed_and_forgotten_on_request_only() {
        let all = over(&SimDisk::new(2));
        let mut directory = Directory::open(&all, &[], 7).unwrap();
        // What is not listed may begin.
        directory.check(&all, "east", "paper").unwrap();
        directory
            .list(&all, &named(&[("east", "paper"), ("west", "sim")]))
            .unwrap();
        let gone = said(directory.check(&all, "east", "paper"));
        assert!(
            gone.contains("journal/east holds none: restore the folder from a backup")
                && gone.contains("`panda journal forget east`"),
            "{gone}"
        );
        begin(&all, "east", directory.listed("east"));
        directory.check(&all, "east", "paper").unwrap();
        let kind = said(directory.check(&all, "east", "sim"));
        assert!(
            kind.contains("of kind `paper`, and the settings say `sim`: set kind = \"paper\""),
            "{kind}"
        );
        let unknown = said(directory.forget(&all, "north"));
        assert!(
            unknown.ends_with("no such log is listed; there are: east, west"),
            "{unknown}"
        );
        let full = said(directory.clone().forget(&all, "east"));
        assert!(
            full.contains("journal/east still holds files: move the folder out"),
            "{full}"
        );
        directory.forget(&all, "west").unwrap();
        let left = Directory::load(&all).unwrap().unwrap();
        assert_eq!(left.logs().collect::<Vec<_>>(), ["east"]);
        left.check(&all, "west", "sim").unwrap();
    }
}
