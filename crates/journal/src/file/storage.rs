//! What the logs ask of a file system. One implementation is the disk, another a simulation that loses
//! power.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::JournalError;

/// The mode of a new file: orders and positions concern its owner alone, whatever the umask.
pub const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_DIR: u32 = 0o700;

/// Makes a directory and those above it, for their owner alone.
pub fn create_private_dirs(dir: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE_DIR)
        .create(dir)
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, to be read.
    Read,
    /// An existing file, to be read and written.
    Write,
    /// To be read and written; made where it is not there.
    Create,
}

/// A file system below one root; paths are relative to it.
pub trait Storage: Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StorageFile>>;
    /// The names of the files in a directory, sorted; none where the directory is not there.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// The names of the directories in a directory, sorted; none where it is not there.
    fn folders(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes a directory and those above it.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Renames a file, in place of one that has the name already.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes durable which files a directory has.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// Writes a file that is there whole, in place of an older one, or not at all. What a failure leaves of it is
/// removed: its space may be what the logs lack.
pub fn write_whole(
    storage: &dyn Storage,
    dir: &Path,
    name: &str,
    bytes: &[u8],
) -> Result<(), JournalError> {
    let being_written = dir.join(format!("{name}.tmp"));
    let written = write_beside(storage, dir, name, &being_written, bytes);
    if written.is_err() {
        // It may not be there; the failure itself is what is told.
        let _ = storage.remove(&being_written);
    }
    written
}

fn write_beside(
    storage: &dyn Storage,
    dir: &Path,
    name: &str,
    being_written: &Path,
    bytes: &[u8],
) -> Result<(), JournalError> {
    let path = dir.join(name);
    let failed = |e: io::Error| JournalError::write(being_written, &e);
    let mut file = storage
        .open(being_written, OpenMode::Create)
        .map_err(failed)?;
    file.allocate(bytes.len() as u64).map_err(failed)?;
    file.write_all_at(bytes, 0).map_err(failed)?;
    file.sync()
        .map_err(|e| JournalError::sync(being_written, &e))?;
    drop(file);
    storage.rename(being_written, &path).map_err(failed)?;
    storage
        .sync_dir(dir)
        .map_err(|e| JournalError::sync(&path, &e))
}

/// An open file.
pub trait StorageFile: Send {
    /// Its length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Reads at an offset; fewer bytes than asked for at the end.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
    /// Writes all of it at an offset.
    fn write_all_at(&mut self, data: &[u8], at: u64) -> io::Result<()>;
    /// Sets the length; what is added is zero, and its space is really there.
    fn allocate(&mut self, length: u64) -> io::Result<()>;
    /// Makes data and length durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// The disk.
#[derive(Debug, Clone)]
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    /// Below `root`, which is made where it is not there.
    pub fn new(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        create_private_dirs(&root)?;
        Ok(Self { root })
    }

    /// Below `root` as it is, for readers.
    pub fn existing(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
}

impl Disk {
    fn names(&self, dir: &Path, wanted: fn(&fs::FileType) -> bool) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.root.join(dir)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            if wanted(&entry.file_type()?)
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

impl Storage for Disk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(mode != OpenMode::Read)
            .create(mode == OpenMode::Create)
            .truncate(false)
            .mode(PRIVATE_FILE)
            .open(self.root.join(path))?;
        Ok(Box::new(DiskFile(file)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.names(dir, fs::FileType::is_file)
    }

    fn folders(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.names(dir, fs::FileType::is_dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        create_private_dirs(&self.root.join(dir))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(self.root.join(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(self.root.join(from), self.root.join(to))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(self.root.join(dir))?.sync_all()
    }
}

struct DiskFile(File);

impl StorageFile for DiskFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], at + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_all_at(&mut self, data: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(data, at)
    }

    fn allocate(&mut self, length: u64) -> io::Result<()> {
        let size = self.size()?;
        if length > size {
            let flags = rustix::fs::FallocateFlags::empty();
            match rustix::fs::fallocate(&self.0, flags, size, length - size) {
                Ok(()) => return Ok(()),
                // Not every file system has it: then the space is there once it is written.
                Err(rustix::io::Errno::NOTSUP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.0.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}
