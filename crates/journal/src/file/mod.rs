//! The embedded logs: files below a data directory, made durable before anything follows from them.

pub mod lock;
mod mark;
mod proof;
mod reader;
mod scan;
mod segment;
pub mod simulated;
mod snapshots;
pub mod storage;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use model::topic::{Namespace, Topic};

use self::reader::FileReader;
use self::storage::{Disk, OpenMode, Storage, write_whole};
use self::writer::{Fence, FileWriter};
use crate::error::JournalError;
use crate::log::{
    Log, LogName, LogReader, LogWriter, Logs, MARKET, Offset, Opened, Snapshots, Span, Verified,
};
use crate::owner::Owner;

pub use writer::FileOptions;

/// The folder of the namespaces' journals.
const JOURNALS: &str = "journal";
/// The folder of the dead letters.
const LETTERS: &str = "dlq";
/// The file that says which data directory this is.
const IDENTITY: &str = "IDENTITY";
const IDENTITY_MAX: u64 = 1 << 20;
/// How the dead letters are kept: there are few.
const LETTER_FILES: FileOptions = FileOptions {
    preallocate: 64 << 10,
    segment_max: 1 << 20,
};

/// The logs of a data directory.
pub struct FileLogs {
    storage: Arc<dyn Storage>,
    options: FileOptions,
    /// By folder, for all writers of this process; the directory's lock keeps other processes out.
    fences: Mutex<BTreeMap<PathBuf, Fence>>,
}

impl FileLogs {
    /// Over a storage.
    pub fn over(storage: Arc<dyn Storage>, options: FileOptions) -> Self {
        Self {
            storage,
            options,
            fences: Mutex::default(),
        }
    }
    /// Those of a data directory that is there, for readers.
    pub fn existing(dir: &Path) -> Self {
        Self::over(Arc::new(Disk::existing(dir)), FileOptions::default())
    }
    /// Those of a data directory, which is made where it is not there.
    pub fn create(dir: &Path) -> io::Result<Self> {
        let disk = Disk::new(dir)?;
        Ok(Self::over(Arc::new(disk), FileOptions::default()))
    }

    fn folders(&self, dir: &str) -> Result<Vec<String>, JournalError> {
        let dir = Path::new(dir);
        let names = self.storage.folders(dir);
        names.map_err(|e| JournalError::io(dir, &e))
    }
}

/// The folder of a log.
fn folder(name: LogName<'_>) -> PathBuf {
    match name {
        LogName::Market => PathBuf::from(MARKET),
        LogName::Journal(namespace) => Path::new(JOURNALS).join(namespace),
        LogName::Letters(topic) => Path::new(LETTERS).join(format!("{topic}.dlq")),
    }
}

impl Logs for FileLogs {
    fn log(&self, name: LogName<'_>) -> Arc<dyn Log> {
        let dir = folder(name);
        let (name, options) = match name {
            LogName::Market => (MARKET.to_owned(), self.options),
            LogName::Journal(namespace) => (namespace.to_owned(), self.options),
            LogName::Letters(topic) => (format!("{topic}.dlq"), LETTER_FILES),
        };
        let mut fences = self.fences.lock().unwrap_or_else(PoisonError::into_inner);
        let fence = Arc::clone(fences.entry(dir.clone()).or_default());
        Arc::new(FileLog {
            files: Files {
                storage: Arc::clone(&self.storage),
                dir,
            },
            name,
            options,
            fence,
        })
    }

    fn journals(&self) -> Result<Vec<String>, JournalError> {
        let mut names = self.folders(JOURNALS)?;
        names.retain(|name| Namespace::new(name).is_ok());
        Ok(names)
    }

    fn letters(&self) -> Result<Vec<String>, JournalError> {
        let names = self.folders(LETTERS)?;
        let topic = |name: &String| match Topic::parse(name) {
            Ok(Topic::DeadLetters(topic)) => Some(topic.to_string()),
            _ => None,
        };
        Ok(names.iter().filter_map(topic).collect())
    }

    fn identity(&self) -> Result<Option<Vec<u8>>, JournalError> {
        let path = Path::new(IDENTITY);
        let failed = |e: io::Error| JournalError::io(path, &e);
        let file = match self.storage.open(path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let size = file.size().map_err(failed)?.min(IDENTITY_MAX);
        let mut bytes = vec![0; size as usize];
        let read = file.read_at(&mut bytes, 0).map_err(failed)?;
        bytes.truncate(read);
        Ok(Some(bytes))
    }

    fn set_identity(&self, bytes: &[u8]) -> Result<(), JournalError> {
        write_whole(self.storage.as_ref(), Path::new(""), IDENTITY, bytes)
    }
}

/// The files of a log.
struct Files {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
}

impl Snapshots for Files {
    fn list(&self) -> Result<Vec<Offset>, JournalError> {
        snapshots::list(self.storage.as_ref(), &self.dir)
    }

    fn load(&self, at: Offset) -> Result<Option<Vec<u8>>, JournalError> {
        let found = snapshots::load(self.storage.as_ref(), &self.dir, at)?;
        Ok(found.map(|(_, payload)| payload))
    }
}

struct FileLog {
    files: Files,
    name: String,
    options: FileOptions,
    fence: Fence,
}

impl Log for FileLog {
    fn name(&self) -> &str {
        &self.name
    }

    fn place(&self) -> String {
        self.files.dir.display().to_string()
    }

    fn open(&self, owner: &Owner) -> Result<(Box<dyn LogWriter>, Opened), JournalError> {
        let Files { storage, dir } = &self.files;
        let fence = Arc::clone(&self.fence);
        let (writer, opened) =
            FileWriter::open(Arc::clone(storage), dir, self.options, owner, fence)?;
        Ok((Box::new(writer), opened))
    }

    fn read(&self, from: Offset) -> Result<Box<dyn LogReader>, JournalError> {
        let Files { storage, dir } = &self.files;
        if from > Offset::BEGINNING
            && let Some(first) = self.spans()?.first().map(|span| span.first)
            && first > from
        {
            return Err(JournalError::Gone {
                place: self.place(),
                from,
                first,
            });
        }
        Ok(Box::new(FileReader::new(Arc::clone(storage), dir, from)))
    }

    fn spans(&self) -> Result<Vec<Span>, JournalError> {
        scan::segments(self.files.storage.as_ref(), &self.files.dir)
    }

    fn is_fresh(&self) -> Result<bool, JournalError> {
        let Files { storage, dir } = &self.files;
        let names = storage.list(dir).map_err(|e| JournalError::io(dir, &e))?;
        Ok(names.is_empty())
    }

    fn owner(&self) -> Result<Option<Owner>, JournalError> {
        scan::owner(self.files.storage.as_ref(), &self.files.dir)
    }

    fn check(&self, owner: &Owner) -> Result<Verified, JournalError> {
        proof::verify(self.files.storage.as_ref(), &self.files.dir, owner)
    }

    fn snapshots(&self) -> &dyn Snapshots {
        &self.files
    }
}
