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

use journal::{JournalError, Log, LogOptions, Opened, Owner, Position, Reader, SimDisk, Storage};

pub(crate) const NONE: Owner = Owner::NONE;
pub(crate) const DIR: &str = "journal";

pub(crate) fn options() -> LogOptions {
    LogOptions {
        preallocate: 4096,
        segment_max: 24 << 10,
        owner: NONE,
        ..LogOptions::default()
    }
}

pub(crate) fn open(disk: &SimDisk) -> Result<(Log, Opened), JournalError> {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    Log::open(storage, Path::new(DIR), options())
}

/// Every record that can be read, with its position.
pub(crate) fn read(
    disk: &SimDisk,
    from: Position,
) -> Result<Vec<(Position, Vec<u8>)>, JournalError> {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let mut reader = Reader::open(storage, Path::new(DIR), from)?;
    let mut all = Vec::new();
    while let Some((position, record)) = reader.next()? {
        all.push((position, record.to_vec()));
    }
    Ok(all)
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
