//! The catalogue: clean data in Parquet, by day and instrument.
//!
//! ```text
//! catalogue.json                                     what this directory is, and its time zone
//! ticks/date=2021-04-15/NSE_M%26M.parquet            one instrument's ticks of one day
//! bars/1m/date=2022-01-03/FTX_BTC-PERP.parquet       one instrument's bars of one day
//! sources/KEY.json                                   a raw file that was imported, and what became of it
//! rejects/NAME.KEY.csv.gz                            its rejected rows
//! quality.json, quality.txt                          the quality report over all sources
//! ```
//!
//! The entries under `sources` are the truth: a data file that none of them lists is not read.

pub mod import;
mod known;
mod load;
pub mod manifest;
mod names;
mod parquet_file;
mod stage;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{Date, InstrumentIdx};
use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::partition::{Partition, Series};
use manifest::Manifest;

const MARKER: &str = "catalogue.json";
/// The marker's name until the first import has gone through: a directory with some of the files of a
/// data set must not be taken for the whole.
const BEGUN: &str = "catalogue.json.begun";
const LOCK: &str = ".lock";
const SOURCES: &str = "sources";
const REJECTS: &str = "rejects";
const STAGING: &str = ".staging";
const FORMAT: &str = "alpha-panda-catalogue";
const VERSION: u32 = 1;

/// What the marker file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    format: String,
    version: u32,
    /// The zone whose days the data is kept by.
    time_zone: String,
}

/// A catalogue.
#[derive(Debug, Clone)]
pub struct Catalogue {
    root: PathBuf,
    marker: Marker,
}

/// A data file of the catalogue, with what is needed to read it.
#[derive(Debug, Clone)]
pub(crate) struct StoredPartition {
    path: PathBuf,
    origin: Arc<str>,
    series: Series,
    instrument: InstrumentIdx,
    id: String,
    day: Date,
    digest: blake3::Hash,
}

impl StoredPartition {
    /// Whose rows it holds.
    pub(crate) const fn instrument(&self) -> InstrumentIdx {
        self.instrument
    }

    /// Reads the file and checks that it holds what was written into it.
    pub(crate) fn read(&self) -> Result<Partition, DataError> {
        let corrupt = |problem: String| DataError::Corrupt {
            path: self.path.clone(),
            problem,
            origin: self.origin.to_string(),
        };
        let times_and_columns =
            parquet_file::read(&self.path, self.series, &self.id).map_err(corrupt)?;
        let (times, columns) = times_and_columns;
        let partition =
            Partition::from_columns(self.series, self.instrument, self.day, times, columns);
        if partition.digest() != self.digest {
            return Err(corrupt(
                "its rows are not those that were imported".to_owned(),
            ));
        }
        Ok(partition)
    }
}

impl Catalogue {
    /// True when a directory is a catalogue.
    pub fn is_at(path: &Path) -> bool {
        path.join(MARKER).is_file()
    }

    /// True when a directory's first import did not go through. What lies there is no data set.
    pub(crate) fn is_begun_at(path: &Path) -> bool {
        !Self::is_at(path) && path.join(BEGUN).is_file()
    }

    /// Opens a catalogue.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        if !Self::is_at(path) {
            if Self::is_begun_at(path) {
                let problem = "is no catalogue yet: its first import did not go through";
                let fix = "run the import again, which goes on behind the last finished file";
                return Err(DataError::unusable(path, problem, fix));
            }
            let problem = if path.exists() {
                "is no catalogue"
            } else {
                "does not exist"
            };
            let fix = "make one with `panda data import SOURCE --catalogue DIR --instruments FILE`";
            return Err(DataError::unusable(path, problem, fix));
        }
        Self::from_marker(path, MARKER)
    }

    fn from_marker(path: &Path, marker: &str) -> Result<Self, DataError> {
        let file = path.join(marker);
        let bytes = std::fs::read(&file).map_err(DataError::io("read", &file))?;
        let marker: Marker = serde_json::from_slice(&bytes).map_err(|error| {
            DataError::unusable(&file, error.to_string(), "import into a new directory")
        })?;
        if marker.format != FORMAT || marker.version != VERSION {
            let problem = format!(
                "format {} {} is not understood",
                marker.format, marker.version
            );
            return Err(DataError::unusable(
                &file,
                problem,
                "use the build that made it, or import again",
            ));
        }
        Ok(Self {
            root: path.to_owned(),
            marker,
        })
    }

    /// Where it lies.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The name of the zone whose days the data is kept by.
    pub fn time_zone(&self) -> &str {
        &self.marker.time_zone
    }

    /// The raw files that were imported, in the order of their names. Shares the catalogue with other
    /// readers while this runs.
    pub fn sources(&self) -> Result<Vec<Manifest>, DataError> {
        let _guard = self.share()?;
        manifest::load_all(&self.root)
    }

    /// Keeps an import from starting while the file lives. Other readers are welcome.
    fn share(&self) -> Result<Option<Arc<File>>, DataError> {
        let path = self.root.join(LOCK);
        let file = match File::open(&path) {
            Ok(file) => file,
            // A catalogue that was copied without its lock.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DataError::io("open", &path)(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Arc::new(file))),
            Err(TryLockError::WouldBlock) => Err(DataError::Locked {
                path: self.root.clone(),
                user: "import",
            }),
            Err(TryLockError::Error(error)) => Err(DataError::io("lock", &path)(error)),
        }
    }

    /// Reads one instrument's rows of one day.
    pub fn read_day(
        &self,
        series: Series,
        id: &str,
        day: Date,
        index: InstrumentIdx,
    ) -> Result<Option<Partition>, DataError> {
        let _guard = self.share()?;
        let manifests = manifest::load_all(&self.root)?;
        let stored = load::stored(&self.root, &manifests)?;
        let found = stored
            .into_iter()
            .find(|s| s.series == series && s.id == id && s.day == day);
        found
            .map(|stored| {
                StoredPartition {
                    instrument: index,
                    ..stored
                }
                .read()
            })
            .transpose()
    }
}

/// Where a partition lies below the catalogue.
fn partition_file(series: Series, day: Date, id: &str) -> String {
    format!("{series}/date={day}/{}.parquet", names::encode(id))
}
