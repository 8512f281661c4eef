//! Cleaned rows between their file and their day: the first of them wait in memory, the others in one
//! temporary file without a name, so that a data set's days do not add up in memory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use model::InstrumentIdx;

use crate::error::DataError;
use crate::partition::Partition;

/// Bytes of rows that wait in memory: a small data set needs no temporary file.
pub(crate) const MEMORY_MAX: usize = 4 << 20;

const CREATE: &str = "create a temporary file of cleaned rows in";
const WRITE: &str = "write the temporary file of cleaned rows in";
const READ: &str = "read the temporary file of cleaned rows in";

/// Takes the rows of a data set.
#[derive(Debug)]
pub(crate) struct Spool {
    /// What may still be kept in memory.
    memory_left: usize,
    file: Option<Arc<Mutex<File>>>,
    end: u64,
    buffer: Vec<u8>,
}

/// One instrument's rows of one day, wherever they wait.
#[derive(Debug, Clone)]
pub(crate) enum Spooled {
    /// In memory.
    Memory(Arc<Partition>),
    /// In the temporary file.
    File(Stretch),
}

/// A stretch of the temporary file.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    file: Arc<Mutex<File>>,
    start: u64,
    len: usize,
    rows: usize,
    /// Of the rows: a temporary file is trusted no more than a catalogue's.
    digest: blake3::Hash,
    /// The partition without its rows.
    empty: Arc<Partition>,
}

impl Spool {
    /// Which keeps so many bytes of rows in memory.
    pub fn new(memory_max: usize) -> Self {
        Self {
            memory_left: memory_max,
            file: None,
            end: 0,
            buffer: Vec::new(),
        }
    }

    /// Takes rows with their digest.
    pub fn keep(
        &mut self,
        partition: Partition,
        digest: blake3::Hash,
    ) -> Result<Spooled, DataError> {
        if let Some(left) = self.memory_left.checked_sub(partition.bytes()) {
            self.memory_left = left;
            return Ok(Spooled::Memory(Arc::new(partition)));
        }
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                let file = tempfile::tempfile().map_err(failed(CREATE))?;
                Arc::clone(self.file.insert(Arc::new(Mutex::new(file))))
            }
        };
        self.buffer.clear();
        partition.encode(&mut self.buffer);
        let mut target = file.lock().unwrap_or_else(PoisonError::into_inner);
        target.write_all(&self.buffer).map_err(failed(WRITE))?;
        drop(target);
        let start = self.end;
        self.end += self.buffer.len() as u64;
        Ok(Spooled::File(Stretch {
            file,
            start,
            len: self.buffer.len(),
            rows: partition.len(),
            digest,
            empty: Arc::new(Partition::new(
                partition.series,
                partition.instrument,
                partition.day,
            )),
        }))
    }
}

impl Spooled {
    /// Whose rows they are.
    pub fn instrument(&self) -> InstrumentIdx {
        match self {
            Self::Memory(partition) => partition.instrument,
            Self::File(stretch) => stretch.empty.instrument,
        }
    }

    /// The rows.
    pub fn read(&self) -> Result<Arc<Partition>, DataError> {
        match self {
            Self::Memory(partition) => Ok(Arc::clone(partition)),
            Self::File(stretch) => stretch.read().map(Arc::new),
        }
    }
}

impl Stretch {
    fn read(&self) -> Result<Partition, DataError> {
        let mut bytes = vec![0; self.len];
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(self.start))
                .and_then(|_| file.read_exact(&mut bytes))
                .map_err(failed(READ))?;
        }
        self.empty
            .decode(&bytes, self.rows)
            .filter(|partition| partition.digest() == self.digest)
            .ok_or_else(|| {
                failed(READ)(std::io::Error::other(
                    "it does not hold what was written into it",
                ))
            })
    }
}

/// The message names the folder, whose disk may be full.
fn failed(action: &'static str) -> impl FnOnce(std::io::Error) -> DataError {
    move |source| DataError::Io {
        action,
        path: std::env::temp_dir(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::Series;
    use model::Date;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_come_back_as_they_went_from_memory_and_from_the_file(
            all in prop::collection::vec(
                prop::collection::vec((any::<i64>(), any::<i64>(), prop_oneof![Just(0), any::<i64>()]), 0..40),
                1..6,
            ),
            memory_max in prop_oneof![Just(0), 0usize..4_000],
        ) {
            let day = Date::parse("2021-04-15").unwrap();
            let mut spool = Spool::new(memory_max);
            let mut kept = Vec::new();
            for rows in all {
                let mut partition = Partition::new(Series::Ticks, InstrumentIdx::default(), day);
                for (time, price, volume) in rows {
                    partition.push(time, &[price, 0, volume, 0, i64::MIN, i64::MAX]);
                }
                let digest = partition.digest();
                kept.push((spool.keep(partition.clone(), digest).unwrap(), partition));
            }
            for (spooled, partition) in kept.iter().rev().chain(&kept) {
                prop_assert_eq!(&*spooled.read().unwrap(), partition);
            }
        }
    }

    #[test]
    fn a_damaged_file_is_told_from_a_whole_one() {
        let day = Date::parse("2021-04-15").unwrap();
        let mut partition = Partition::new(Series::Ticks, InstrumentIdx::default(), day);
        (1..100).for_each(|n| partition.push(n, &[n, n, n]));
        let digest = partition.digest();
        let Spooled::File(stretch) = Spool::new(0).keep(partition, digest).unwrap() else {
            panic!("nothing may wait in memory");
        };
        for at in 0..stretch.len as u64 {
            let mut file = stretch.file.lock().unwrap();
            let mut byte = [0];
            file.seek(SeekFrom::Start(at)).unwrap();
            file.read_exact(&mut byte).unwrap();
            let mut put = |value: u8| {
                file.seek(SeekFrom::Start(at)).unwrap();
                file.write_all(&[value]).unwrap();
            };
            put(byte[0] ^ 0x41);
            drop(file);
            let error = stretch.read().unwrap_err().to_string();
            assert!(error.contains("what was written into it"), "{error}");
            let mut file = stretch.file.lock().unwrap();
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(&byte).unwrap();
        }
        assert!(stretch.read().is_ok());
    }
}
