//! What became of a log's snapshots. One saves time at the next start and nothing else, so one that cannot be
//! written costs a warning; a log that cannot be written ends what it is of.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::RuntimeError;

/// The snapshots of one log.
#[derive(Debug, Default)]
pub struct Snapshots {
    failed: AtomicU64,
    told: AtomicU64,
    why: Mutex<Option<String>>,
}

impl Snapshots {
    /// Notes what became of one.
    pub fn note(&self, saved: &Result<(), RuntimeError>) {
        let why = saved.as_ref().err().map(ToString::to_string);
        let is_failed = u64::from(why.is_some());
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
        self.failed.fetch_add(is_failed, Ordering::AcqRel);
    }

    /// Those that could not be saved.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Acquire)
    }

    /// Why the latest could not be saved, where it could not.
    pub fn why(&self) -> Option<String> {
        self.why
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Why the latest could not be saved, once for each that could not.
    pub fn news(&self) -> Option<String> {
        let failed = self.failed();
        if self.told.swap(failed, Ordering::AcqRel) == failed {
            return None;
        }
        self.why()
    }
}
