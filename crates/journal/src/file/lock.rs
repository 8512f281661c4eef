//! One process at a time has a data directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::storage::{PRIVATE_FILE, create_private_dirs};
use crate::error::JournalError;

/// The lock, held until it is dropped or the process ends, however it ends. It is on the directory itself:
/// the file `LOCK` names the holder, and removing that file does not release the lock.
#[derive(Debug)]
pub struct DirLock {
    _dir: File,
    _file: File,
}

/// Whether a lock was refused because another process has it. A file system that knows no locks on
/// directories leaves it to the file.
fn is_held(dir: &File, how: FlockOperation) -> bool {
    flock(dir, how) == Err(rustix::io::Errno::WOULDBLOCK)
}

fn pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

impl DirLock {
    /// Takes the lock of a directory, which is made where it is not there.
    pub fn acquire(dir: &Path) -> Result<Self, JournalError> {
        create_private_dirs(dir).map_err(|e| JournalError::write(dir, &e))?;
        let whole = File::open(dir).map_err(|e| JournalError::io(dir, &e))?;
        let path = dir.join("LOCK");
        let failed = |e: &std::io::Error| JournalError::write(&path, e);
        if is_held(&whole, FlockOperation::NonBlockingLockExclusive) {
            return Err(JournalError::Locked {
                dir: dir.to_owned(),
                holder: File::open(&path).ok().and_then(|mut file| pid(&mut file)),
            });
        }
        let mut file = OpenOptions::new()
            .mode(PRIVATE_FILE)
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| failed(&e))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(JournalError::Locked {
                dir: dir.to_owned(),
                holder: pid(&mut file),
            });
        }
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()))
            .map_err(|e| failed(&e))?;
        Ok(Self {
            _dir: whole,
            _file: file,
        })
    }

    /// Whether a process has the directory now, and which.
    pub fn holder(dir: &Path) -> Option<Option<u32>> {
        Self::try_read(dir).err()
    }

    fn try_read(dir: &Path) -> Result<(), Option<u32>> {
        let is_locked =
            File::open(dir).is_ok_and(|dir| is_held(&dir, FlockOperation::NonBlockingLockShared));
        let Ok(mut file) = File::open(dir.join("LOCK")) else {
            return if is_locked { Err(None) } else { Ok(()) };
        };
        if !is_locked && flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
            return Ok(());
        }
        Err(pid(&mut file))
    }
}
