//! What the catalogue remembers of a raw file, and how it is written so that a crash at any
//! instant leaves either the state before or the state after.
//!
//! New data files are first written to `.staging`. Then the entry is written as `KEY.json.next`: from
//! here on the import of this file is decided. Files are moved to their places, and last the entry
//! takes its name. Whoever next opens the catalogue to import finds a `.next` and finishes the moves.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use model::{Date, Timestamp};
use serde::{Deserialize, Serialize};

use super::{REJECTS, SOURCES, STAGING};
use crate::error::DataError;
use crate::report::FileReport;

/// A raw file that was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The name of this entry.
    pub key: String,
    /// The raw file's whole path.
    pub source: String,
    /// How it was cleaned: with other settings it is imported again.
    pub settings: String,
    /// What became of its rows.
    pub report: FileReport,
    /// The data files made of it.
    pub partitions: Vec<PartitionEntry>,
    /// Where its rejected rows lie, below the catalogue.
    pub rejects: String,
}

/// A data file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionEntry {
    /// Its path below the catalogue.
    pub file: String,
    /// `ticks`, or `bars/1m` and the like.
    pub series: String,
    /// Canonical id.
    pub instrument: String,
    /// Local day.
    pub day: Date,
    /// Number of rows.
    pub rows: u64,
    /// Time of the first row.
    pub first: Timestamp,
    /// Time of the last row.
    pub last: Timestamp,
    /// BLAKE3 of the rows, in hexadecimal.
    pub digest: String,
    /// BLAKE3 of the file's bytes, in hexadecimal.
    pub file_digest: String,
}

/// The name of a raw file's entry.
pub(super) fn key(source: &str) -> String {
    blake3::hash(source.as_bytes()).to_hex().as_str()[..16].to_owned()
}

fn entry_path(root: &Path, key: &str) -> PathBuf {
    root.join(SOURCES).join(format!("{key}.json"))
}

fn next_path(root: &Path, key: &str) -> PathBuf {
    root.join(SOURCES).join(format!("{key}.json.next"))
}

/// Where a raw file's rejected rows lie, below the catalogue: a name that says whose they are.
pub(super) fn rejects_file(key: &str, file: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-._".contains(c) {
            c
        } else {
            '_'
        }
    };
    format!(
        "{REJECTS}/{}.{}.csv.gz",
        file.chars().map(plain).collect::<String>(),
        &key[..key.len().min(8)]
    )
}

pub(super) fn staged_path(root: &Path, key: &str, at: usize) -> PathBuf {
    root.join(STAGING).join(format!("{key}-{at}.parquet"))
}

pub(super) fn staged_rejects(root: &Path, key: &str) -> PathBuf {
    root.join(STAGING).join(format!("{key}-rejects.csv.gz"))
}

fn names(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut names = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(names),
        Err(error) => return Err(DataError::io("list", folder)(error)),
    };
    for entry in entries {
        let name = entry.map_err(DataError::io("list", folder))?.file_name();
        names.extend(name.into_string().ok());
    }
    names.sort();
    Ok(names)
}

fn load(path: &Path) -> Result<Manifest, DataError> {
    let bytes = std::fs::read(path).map_err(DataError::io("read", path))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        DataError::unusable(
            path,
            format!("is corrupt: {error}"),
            "delete it and import its file again",
        )
    })
}

/// Every entry, in the order of the raw files' names.
pub(super) fn load_all(root: &Path) -> Result<Vec<Manifest>, DataError> {
    let folder = root.join(SOURCES);
    let names = names(&folder)?;
    if names.iter().any(|name| name.ends_with(".next")) {
        let fix = "run the import again, which finishes it";
        return Err(DataError::unusable(
            root,
            "its last import was interrupted",
            fix,
        ));
    }
    let mut all = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".json")) {
        all.push(load(&folder.join(name))?);
    }
    all.sort_by(|a, b| (&a.report.file, &a.key).cmp(&(&b.report.file, &b.key)));
    Ok(all)
}

/// Finishes what a crash interrupted, and clears what it left over. Needs the catalogue's lock.
pub(super) fn recover(root: &Path) -> Result<(), DataError> {
    for name in names(&root.join(SOURCES))? {
        if let Some(key) = name.strip_suffix(".json.next") {
            let manifest = load(&next_path(root, key))?;
            roll_forward(root, &manifest)?;
        } else if name.ends_with(".tmp") {
            remove(&root.join(SOURCES).join(name))?;
        }
    }
    for name in names(&root.join(STAGING))? {
        remove(&root.join(STAGING).join(name))?;
    }
    Ok(())
}

/// Makes an entry with its staged files the state of the catalogue.
pub(super) fn commit(root: &Path, manifest: &Manifest) -> Result<(), DataError> {
    sync_folder(&root.join(STAGING))?;
    let text = to_json(&root.join(SOURCES), manifest)?;
    write_atomically(&next_path(root, &manifest.key), &text)?;
    roll_forward(root, manifest)
}

fn roll_forward(root: &Path, manifest: &Manifest) -> Result<(), DataError> {
    let key = &manifest.key;
    let before = match load(&entry_path(root, key)) {
        Ok(before) => Some(before),
        Err(DataError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut folders = BTreeSet::new();
    for (at, entry) in manifest.partitions.iter().enumerate() {
        let target = root.join(&entry.file);
        let folder = target.parent().unwrap_or(root).to_owned();
        create_folders(root, &folder)?;
        // Already moved before the crash where it is no longer staged.
        rename_if_there(&staged_path(root, key, at), &target)?;
        folders.insert(folder);
    }
    create_folders(root, &root.join(REJECTS))?;
    rename_if_there(&staged_rejects(root, key), &root.join(&manifest.rejects))?;
    folders.insert(root.join(REJECTS));
    let kept: BTreeSet<&str> = manifest
        .partitions
        .iter()
        .map(|entry| entry.file.as_str())
        .collect();
    if let Some(before) = &before {
        for old in before
            .partitions
            .iter()
            .filter(|old| !kept.contains(old.file.as_str()))
        {
            remove(&root.join(&old.file))?;
        }
        if before.rejects != manifest.rejects {
            remove(&root.join(&before.rejects))?;
        }
    }
    for folder in folders {
        sync_folder(&folder)?;
    }
    let (from, to) = (next_path(root, key), entry_path(root, key));
    std::fs::rename(&from, &to).map_err(DataError::io("rename", &from))?;
    sync_folder(&root.join(SOURCES))
}

/// Creates a folder below `root`, durably: each new name is synced in the folder that holds it.
pub(super) fn create_folders(root: &Path, folder: &Path) -> Result<(), DataError> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent().filter(|_| folder != root) {
        create_folders(root, parent)?;
    }
    std::fs::create_dir_all(folder).map_err(DataError::io("create", folder))?;
    folder
        .parent()
        .filter(|_| folder != root)
        .map_or(Ok(()), sync_folder)
}

fn rename_if_there(from: &Path, to: &Path) -> Result<(), DataError> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && to.exists() => Ok(()),
        other => other.map_err(DataError::io("rename", from)),
    }
}

fn remove(path: &Path) -> Result<(), DataError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(DataError::io("remove", path)),
    }
}

/// Writes a file and waits until it is on the disk.
pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let mut file = File::create(path).map_err(DataError::io("create", path))?;
    file.write_all(bytes)
        .map_err(DataError::io("write", path))?;
    file.sync_all().map_err(DataError::io("sync", path))
}

/// Replaces a file as a whole.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    write_synced(&temporary, bytes)?;
    std::fs::rename(&temporary, path).map_err(DataError::io("rename", &temporary))?;
    path.parent().map_or(Ok(()), sync_folder)
}

pub(super) fn sync_folder(path: &Path) -> Result<(), DataError> {
    let folder = File::open(path).map_err(DataError::io("open", path))?;
    folder.sync_all().map_err(DataError::io("sync", path))
}

/// A value as JSON, on lines of its own.
pub(super) fn to_json(path: &Path, value: &impl Serialize) -> Result<Vec<u8>, DataError> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|error| DataError::io("write", path)(std::io::Error::other(error)))?;
    text.push(b'\n');
    Ok(text)
}
