//! The identity of a data directory, and which logs it has. A log that is listed and gone is missed: what
//! it held would be booked or sent a second time.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use journal::{OpenMode, Owner, Storage, write_whole};
use model::ids::NameHash;

use crate::error::RuntimeError;
use crate::layout::{MARKET, journal_dir};

/// The file's name.
pub const FILE: &str = "IDENTITY";
const HEAD: &str = "panda data directory 1";
const SIZE_MAX: u64 = 1 << 20;

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

/// The folder of a log.
pub fn folder(name: &str) -> PathBuf {
    if name == MARKET {
        PathBuf::from(MARKET)
    } else {
        journal_dir(name)
    }
}

impl Directory {
    /// Reads the identity; `None` where there is none yet.
    pub fn load(storage: &dyn Storage) -> Result<Option<Self>, RuntimeError> {
        let file = match storage.open(Path::new(FILE), OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let size = file.size().map_err(failed)?.min(SIZE_MAX);
        let mut bytes = vec![0; size as usize];
        let read = file.read_at(&mut bytes, 0).map_err(failed)?;
        bytes.truncate(read);
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

    fn save(&self, storage: &dyn Storage) -> Result<(), RuntimeError> {
        let mut text = format!("{HEAD}\nid {:032x}", self.id);
        for (name, kind) in &self.logs {
            text.push_str(&format!("\nlog {name} {kind}"));
        }
        let sum = NameHash::of(&text).0;
        text.push_str(&format!("\nsum {sum:016x}\n"));
        write_whole(storage, Path::new(""), FILE, text.as_bytes()).map_err(failed)
    }

    /// Reads the identity, or makes one, durably, before any log is begun: that of the logs that are
    /// there (`names`), or else `fresh`.
    pub fn open(
        storage: &dyn Storage,
        names: &[String],
        fresh: u128,
    ) -> Result<Self, RuntimeError> {
        if let Some(there) = Self::load(storage)? {
            return Ok(there);
        }
        let mut id = fresh;
        for name in [MARKET].into_iter().chain(names.iter().map(String::as_str)) {
            let owner = journal::owner(storage, &folder(name))
                .map_err(|e| RuntimeError::journal(name, e))?;
            if let Some(owner) = owner {
                id = owner.directory();
                break;
            }
        }
        let this = Self {
            id,
            logs: BTreeMap::new(),
        };
        this.save(storage)?;
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
    pub fn check(&self, storage: &dyn Storage, name: &str, kind: &str) -> Result<(), RuntimeError> {
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
        self.missing(storage, name)
    }

    /// Refuses a log that is listed and gone.
    pub fn missing(&self, storage: &dyn Storage, name: &str) -> Result<(), RuntimeError> {
        let dir = folder(name);
        let files = journal::segments(storage, &dir).map_err(|e| RuntimeError::journal(name, e))?;
        if !self.logs.contains_key(name) || !files.is_empty() {
            return Ok(());
        }
        Err(RuntimeError::state(
            name,
            format!(
                "this data directory has had its log, and {} holds none: restore the folder from a backup; or look up its orders and positions at the broker, and begin it anew with `panda journal forget {name}`",
                dir.display()
            ),
        ))
    }

    /// Lists logs that are begun now.
    pub fn list(
        &mut self,
        storage: &dyn Storage,
        logs: &[(String, String)],
    ) -> Result<(), RuntimeError> {
        let before = self.logs.len();
        for (name, kind) in logs {
            self.logs
                .entry(name.clone())
                .or_insert_with(|| kind.clone());
        }
        if self.logs.len() == before {
            return Ok(());
        }
        self.save(storage)
    }

    /// Strikes a log that is gone from the list: the next start begins it anew.
    pub fn forget(&mut self, storage: &dyn Storage, name: &str) -> Result<(), RuntimeError> {
        if self.logs.remove(name).is_none() {
            let known: Vec<&str> = self.logs().collect();
            return Err(RuntimeError::state(
                name,
                format!("no such log is listed; there are: {}", known.join(", ")),
            ));
        }
        let dir = folder(name);
        let there = storage.list(&dir).map_err(|e| {
            RuntimeError::state(name, format!("cannot list {}: {e}", dir.display()))
        })?;
        if !there.is_empty() {
            return Err(RuntimeError::state(
                name,
                format!(
                    "{} still holds files: move the folder out of the data directory first",
                    dir.display()
                ),
            ));
        }
        self.save(storage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::{Disk, Log, LogOptions, SimDisk};
    use std::sync::Arc;

    /// Begins a log, so that it has a file.
    fn begin(disk: &SimDisk, name: &str, owner: Owner) {
        let options = LogOptions {
            preallocate: 1 << 12,
            owner,
            ..LogOptions::default()
        };
        let (mut log, _) = Log::open(Arc::new(disk.clone()), &folder(name), options).unwrap();
        log.append(b"one").unwrap();
        log.commit().unwrap();
    }

    fn logs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, kind): &(&str, &str)| ((*name).to_owned(), (*kind).to_owned());
        all.iter().map(owned).collect()
    }

    fn said(result: Result<(), RuntimeError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn the_identity_outlives_its_file_and_a_damaged_file_is_refused() {
        let disk = SimDisk::new(1);
        assert_eq!(Directory::load(&disk).unwrap(), None);
        let mut made = Directory::open(&disk, &[], 7).unwrap();
        made.list(&disk, &logs(&[("market", "market"), ("east", "paper")]))
            .unwrap();
        assert_eq!(Directory::open(&disk, &[], 8).unwrap(), made);
        disk.power_loss();
        assert_eq!(Directory::load(&disk).unwrap(), Some(made.clone()));
        let file = disk.open(Path::new(FILE), OpenMode::Read).unwrap();
        let length = file.size().unwrap();
        for byte in 0..length {
            // The least bit of a hexadecimal digit makes another digit.
            disk.flip(Path::new(FILE), byte, 0);
            let error = Directory::open(&disk, &[], 8).unwrap_err().to_string();
            assert!(
                error.starts_with(
                    "the state of `IDENTITY`: the file is damaged: restore it from a backup"
                ),
                "byte {byte}: {error}"
            );
            disk.flip(Path::new(FILE), byte, 0);
        }
        // Without the file, the logs say whose they are.
        begin(&disk, "east", made.owner("east", "paper"));
        disk.remove(Path::new(FILE)).unwrap();
        let again = Directory::open(&disk, &["east".to_owned()], 8).unwrap();
        assert_eq!(again.owner("east", "paper"), made.owner("east", "paper"));
        assert_eq!(again.listed("east"), Owner::NONE);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_new_directory() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(FILE, dir.path().join(FILE)).unwrap();
        let disk = Disk::new(dir.path()).unwrap();
        let error = Directory::open(&disk, &[], 7).unwrap_err().to_string();
        assert!(error.starts_with("the state of `IDENTITY`: "), "{error}");
        // Nor is a folder that cannot be listed an empty one.
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        let mut directory = Directory::open(&disk, &[], 7).unwrap();
        directory.list(&disk, &logs(&[("east", "paper")])).unwrap();
        std::fs::create_dir(dir.path().join("journal")).unwrap();
        std::fs::write(dir.path().join("journal/east"), "").unwrap();
        let error = said(directory.forget(&disk, "east"));
        assert!(
            error.starts_with("the state of `east`: cannot list journal/east: "),
            "{error}"
        );
        let left = Directory::load(&disk).unwrap().unwrap();
        assert_eq!(left.logs().collect::<Vec<_>>(), ["east"]);
    }

    #[test]
    fn a_log_that_is_listed_is_missed_and_forgotten_on_request_only() {
        let disk = SimDisk::new(2);
        let mut directory = Directory::open(&disk, &[], 7).unwrap();
        // What is not listed may begin.
        directory.check(&disk, "east", "paper").unwrap();
        directory
            .list(&disk, &logs(&[("east", "paper"), ("west", "sim")]))
            .unwrap();
        let gone = said(directory.check(&disk, "east", "paper"));
        assert!(
            gone.contains("journal/east holds none: restore the folder from a backup")
                && gone.contains("`panda journal forget east`"),
            "{gone}"
        );
        begin(&disk, "east", directory.listed("east"));
        directory.check(&disk, "east", "paper").unwrap();
        let kind = said(directory.check(&disk, "east", "sim"));
        assert!(
            kind.contains("of kind `paper`, and the settings say `sim`: set kind = \"paper\""),
            "{kind}"
        );
        let unknown = said(directory.forget(&disk, "north"));
        assert!(
            unknown.ends_with("no such log is listed; there are: east, west"),
            "{unknown}"
        );
        let full = said(directory.clone().forget(&disk, "east"));
        assert!(
            full.contains("journal/east still holds files: move the folder out"),
            "{full}"
        );
        directory.forget(&disk, "west").unwrap();
        let left = Directory::load(&disk).unwrap().unwrap();
        assert_eq!(left.logs().collect::<Vec<_>>(), ["east"]);
        left.check(&disk, "west", "sim").unwrap();
    }
}
