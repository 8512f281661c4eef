//! One process at a time has a data directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::error::JournalError;

/// The lock, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the lock of a directory, which is made where it is not there.
    pub fn acquire(dir: &Path) -> Result<Self, JournalError> {
        std::fs::create_dir_all(dir).map_err(|e| JournalError::write(dir, &e))?;
        let path = dir.join("LOCK");
        let failed = |e: &std::io::Error| JournalError::write(&path, e);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| failed(&e))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut text = String::new();
            let holder = file
                .read_to_string(&mut text)
                .ok()
                .and_then(|_| text.trim().parse().ok());
            return Err(JournalError::Locked {
                dir: dir.to_owned(),
                holder,
            });
        }
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()))
            .map_err(|e| failed(&e))?;
        Ok(Self { _file: file })
    }

    /// Whether a process has the directory now, and which.
    pub fn holder(dir: &Path) -> Option<Option<u32>> {
        Self::try_read(dir).err()
    }

    fn try_read(dir: &Path) -> Result<(), Option<u32>> {
        let Ok(mut file) = File::open(dir.join("LOCK")) else {
            return Ok(());
        };
        if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
            return Ok(());
        }
        let mut text = String::new();
        let _ = file.read_to_string(&mut text);
        Err(text.trim().parse().ok())
    }
}
