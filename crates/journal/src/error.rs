//! Why a log cannot be opened, read or written.

use std::io;
use std::path::{Path, PathBuf};

use crate::log::{Offset, RECORD_MAX};
use crate::owner::Owner;

/// Errors of the logs. Every message names the place and a way out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// A file cannot be read, listed or removed.
    #[error("{path}: {why}", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// Bytes that had been confirmed durable have changed.
    #[error(
        "{file}: damaged at offset {offset}, below {confirmed}, which was confirmed durable: restore this file from a backup; `panda journal verify` shows the extent", file = .file.display()
    )]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// Where.
        offset: Offset,
        /// Up to where the log was confirmed.
        confirmed: Offset,
    },
    /// A segment between two others is missing or too short.
    #[error(
        "{file}: the log has a gap from offset {offset} to {confirmed}: restore the missing file from a backup", file = .file.display()
    )]
    Gap {
        /// The segment after the gap.
        file: PathBuf,
        /// Where the log ends before it.
        offset: Offset,
        /// Where it goes on: what lies between was confirmed durable.
        confirmed: Offset,
    },
    /// The log ends before what it is known to have confirmed.
    #[error(
        "{dir}: the log ends at offset {end}, and {proof} proves that it was confirmed durable up to {confirmed}: restore the folder from a backup", dir = .dir.display()
    )]
    Lost {
        /// The folder.
        dir: PathBuf,
        /// Where the log ends now.
        end: Offset,
        /// Up to where it was confirmed.
        confirmed: Offset,
        /// The file that says so.
        proof: String,
    },
    /// The file belongs to another log.
    #[error("{file}: it belongs to {found}, and is read as that of {wanted}: put back the folder that belongs here, from where it was moved to or from a backup", file = .file.display())]
    Misplaced {
        /// Which file.
        file: PathBuf,
        /// Whose it is.
        found: Box<Owner>,
        /// Whose it should be.
        wanted: Box<Owner>,
    },
    /// The file is none of ours, or of a newer build.
    #[error("{file}: {why}", file = .file.display())]
    Foreign {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// What is to be read has been removed by age or size.
    #[error(
        "{place}: what is at offset {from} has been removed by retention; the first that is kept is at {first}"
    )]
    Gone {
        /// Which log.
        place: String,
        /// What was to be read.
        from: Offset,
        /// The first offset that is kept.
        first: Offset,
    },
    /// A newer writer has been opened: nothing was written.
    #[error(
        "{place}: another writer has taken over (epoch {newest}, this one has {epoch}): this one writes nothing more"
    )]
    Fenced {
        /// Which log.
        place: String,
        /// The epoch of this writer.
        epoch: u64,
        /// The newest.
        newest: u64,
    },
    /// No space is left.
    #[error("{path}: no space is left on the device: free some space, then start again; all that was acknowledged is kept", path = .path.display())]
    Full {
        /// Which file.
        path: PathBuf,
    },
    /// The file system does not take writes.
    #[error("{path}: it cannot be written ({why}): make the data directory writable, then start again", path = .path.display())]
    ReadOnly {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The device did not confirm a write. What it holds now is not known: it is never tried again.
    #[error("{path}: the device did not confirm a write ({why}): check the disk, then start again; all that was acknowledged is kept", path = .path.display())]
    Sync {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The log has failed before and takes nothing any more.
    #[error("the log takes nothing any more: {0}")]
    Failed(Box<JournalError>),
    /// A record is larger than a log takes.
    #[error("a record of {0} bytes is larger than the {max} that a log takes", max = RECORD_MAX)]
    TooLarge(usize),
    /// Another process has the directory.
    #[error("{dir} is in use{holder}: stop that process, or choose another data directory", dir = .dir.display(), holder = by(.holder))]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The process that has it.
        holder: Option<u32>,
    },
}

fn by(pid: &Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" by process {pid}"))
}

impl JournalError {
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            why: error.to_string(),
        }
    }

    /// Of a write that failed before it was to be confirmed.
    pub(crate) fn write(path: &Path, error: &io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::ReadOnly {
                path,
                why: error.to_string(),
            },
            _ => Self::Io {
                path,
                why: error.to_string(),
            },
        }
    }

    pub(crate) fn sync(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full {
                path: path.to_owned(),
            },
            _ => Self::Sync {
                path: path.to_owned(),
                why: error.to_string(),
            },
        }
    }
}
