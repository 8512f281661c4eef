//! Files whose writes the system carries to the device when it likes: the benchmark does not wait for a sync.

use std::io;
use std::path::Path;
use std::sync::Arc;

use journal::{Disk, FileLogs, FileOptions, Logs, OpenMode, Storage, StorageFile};

/// Logs in the disk's files, left to the system to write back: enough to build what is read again, or to have the
/// logs out of this process's memory.
pub fn unsynced(dir: &Path) -> io::Result<Arc<dyn Logs>> {
    let files = Unsynced(Disk::new(dir)?);
    Ok(Arc::new(FileLogs::over(
        Arc::new(files),
        FileOptions::default(),
    )))
}

struct Unsynced(Disk);

impl Storage for Unsynced {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        Ok(Box::new(UnsyncedFile(self.0.open(path, mode)?)))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }
    fn folders(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.folders(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.create_dir_all(dir)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

struct UnsyncedFile(Box<dyn StorageFile>);

impl StorageFile for UnsyncedFile {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_at(buffer, at)
    }
    fn write_all_at(&mut self, data: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(data, at)
    }
    fn allocate(&mut self, length: u64) -> io::Result<()> {
        self.0.allocate(length)
    }
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
