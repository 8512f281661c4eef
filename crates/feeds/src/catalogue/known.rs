//! What a catalogue has already: which raw files, and whose a day's data is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use model::Date;
use model::instrument::Instruments;

use super::manifest::{self, Manifest, PartitionEntry};
use crate::clean::Cleaned;
use crate::error::DataError;
use crate::raw::{self, RawFile};

/// What was imported before.
pub(super) struct Known {
    root: PathBuf,
    pub by_key: BTreeMap<String, Manifest>,
    /// By digest of the bytes and settings: finds files that were moved.
    by_content: BTreeMap<(String, String), String>,
    /// Entries of the files that are imported now.
    present: BTreeSet<String>,
}

impl Known {
    pub fn new(root: &Path, files: &[RawFile]) -> Result<Self, DataError> {
        let all = manifest::load_all(root)?;
        let content = |m: &Manifest| (m.report.digest.clone(), m.settings.clone());
        let by_content = all.iter().map(|m| (content(m), m.key.clone())).collect();
        let by_key = all.into_iter().map(|m| (m.key.clone(), m)).collect();
        let present = files.iter().map(|f| Ok(manifest::key(&whole_path(f)?)));
        let present = present.collect::<Result<_, DataError>>()?;
        Ok(Self {
            root: root.to_owned(),
            by_key,
            by_content,
            present,
        })
    }

    /// The entry that was made of these bytes with these settings, from this file or from one that
    /// has been moved, if all its data files are whole.
    pub fn unchanged(&self, key: &str, digest: &str, settings: &str) -> Option<&Manifest> {
        let same = |m: &&Manifest| m.report.digest == digest && m.settings == settings;
        let moved = || {
            let key = self
                .by_content
                .get(&(digest.to_owned(), settings.to_owned()))?;
            // Two files of one import are two files, even when their bytes are equal.
            if self.present.contains(key) {
                None
            } else {
                self.by_key.get(key)
            }
        };
        let manifest = self.by_key.get(key).filter(same).or_else(moved)?;
        let whole = |entry: &PartitionEntry| {
            raw::bytes::digest(&self.root.join(&entry.file))
                .is_ok_and(|(_, digest)| digest.to_hex().as_str() == entry.file_digest)
        };
        manifest.partitions.iter().all(whole).then_some(manifest)
    }
}

/// A raw file's path in full: its identity in the catalogue.
pub(super) fn whole_path(file: &RawFile) -> Result<String, DataError> {
    let path = std::fs::canonicalize(&file.path).map_err(DataError::io("read", &file.path))?;
    Ok(path.to_string_lossy().into_owned())
}

/// Which raw file an instrument's data of a day is from, by series, instrument and day.
pub(super) struct Owners(BTreeMap<(String, String, Date), String>);

impl Owners {
    pub fn new(known: &Known) -> Self {
        let mut owners = BTreeMap::new();
        for manifest in known.by_key.values() {
            for entry in &manifest.partitions {
                let key = (entry.series.clone(), entry.instrument.clone(), entry.day);
                owners.insert(key, manifest.source.clone());
            }
        }
        Self(owners)
    }

    /// Takes a raw file's days, or says whose they are. What it held before it changed is free again.
    pub fn claim(
        &mut self,
        source: &str,
        cleaned: &Cleaned,
        instruments: &Instruments,
    ) -> Result<(), DataError> {
        self.0.retain(|_, owner| owner != source);
        for partition in &cleaned.partitions {
            let id = instruments.get(partition.instrument).id.clone();
            let key = (partition.series.to_string(), id, partition.day);
            if let Some(owner) = self.0.get(&key) {
                return Err(DataError::Collision {
                    first: owner.clone(),
                    second: source.to_owned(),
                    series: key.0,
                    instrument: key.1,
                    day: key.2,
                });
            }
            self.0.insert(key, source.to_owned());
        }
        Ok(())
    }
}
