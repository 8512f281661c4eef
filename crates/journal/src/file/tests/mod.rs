//! The log over a disk that loses power, tears and reorders writes, fills up and fails.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod calls;
mod faults;
mod follow;
mod power;
mod proof;

use std::path::Path;
use std::sync::Arc;

use super::reader::FileReader;
use super::simulated::SimDisk;
use super::storage::Storage;
use super::writer::{Fence, FileWriter};
use super::{FileLogs, FileOptions};
use crate::error::JournalError;
use crate::log::{LogReader, LogWriter, Logs, Offset, Opened};
use crate::owner::Owner;

pub(crate) const NONE: Owner = Owner::NONE;
pub(crate) const DIR: &str = "journal";

pub(crate) fn options() -> FileOptions {
    FileOptions {
        preallocate: 4096,
        segment_max: 24 << 10,
    }
}

pub(crate) fn open(disk: &SimDisk) -> Result<(FileWriter, Opened), JournalError> {
    open_as(Arc::new(disk.clone()), &NONE)
}

pub(crate) fn open_as(
    storage: Arc<dyn Storage>,
    owner: &Owner,
) -> Result<(FileWriter, Opened), JournalError> {
    FileWriter::open(storage, Path::new(DIR), options(), owner, Fence::default())
}

/// Adds a record, and says where it will be.
pub(crate) fn append(log: &mut FileWriter, record: &[u8]) -> Result<Offset, JournalError> {
    let at = log.end();
    log.append(record).map(|()| at)
}

/// Every record that can be read, with its offset.
pub(crate) fn read(disk: &SimDisk, from: Offset) -> Result<Vec<(Offset, Vec<u8>)>, JournalError> {
    let mut reader = FileReader::new(Arc::new(disk.clone()), Path::new(DIR), from);
    let mut all = Vec::new();
    while let Some((at, record)) = reader.next()? {
        all.push((at, record.to_vec()));
    }
    Ok(all)
}

#[test]
fn logs_in_files_and_in_memory_do_what_every_log_does() {
    let none: [&str; 0] = [];
    let files =
        || -> Arc<dyn Logs> { Arc::new(FileLogs::over(Arc::new(SimDisk::new(1)), options())) };
    assert_eq!(crate::conformance::all(files), none);
    let memory = || -> Arc<dyn Logs> { Arc::new(crate::memory::MemoryLogs::default()) };
    assert_eq!(crate::conformance::all(memory), none);
    let root = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    let disk = || -> Arc<dyn Logs> {
        count.set(count.get() + 1);
        let dir = root.path().join(count.get().to_string());
        Arc::new(FileLogs::create(&dir).unwrap())
    };
    assert_eq!(crate::conformance::all(disk), none);
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }
    pub(crate) fn record(&mut self, number: u64) -> Vec<u8> {
        let length = 8 + self.below(300) as usize;
        let mut bytes = number.to_le_bytes().to_vec();
        bytes.resize(length, number as u8);
        bytes
    }
}
