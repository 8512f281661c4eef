//! The disk as the machines see it: slow, and failing in one folder only.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use journal::{OpenMode, SimDisk, Storage, StorageFile};
use model::Timestamp;
use runtime::clock::SessionClock;

/// What is wrong with a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Full,
    Sync,
    ReadOnly,
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Full => io::ErrorKind::StorageFull.into(),
            Self::Sync => io::Error::other("simulated failure of the device"),
            Self::ReadOnly => io::ErrorKind::ReadOnlyFilesystem.into(),
        }
    }
}

/// The disk; clones are the same.
#[derive(Clone)]
pub struct Shaky {
    disk: SimDisk,
    clock: Arc<dyn SessionClock>,
    faults: Arc<Mutex<Vec<(PathBuf, Fault)>>>,
    /// How long the next syncs take, in nanoseconds.
    slow: Arc<AtomicU64>,
}

impl Shaky {
    pub fn new(disk: SimDisk, clock: Arc<dyn SessionClock>) -> Self {
        Self {
            disk,
            clock,
            faults: Arc::default(),
            slow: Arc::default(),
        }
    }

    pub fn fail(&self, dir: &Path, fault: Fault) {
        self.faults.lock().unwrap().push((dir.to_owned(), fault));
    }
    pub fn mend(&self) {
        self.faults.lock().unwrap().clear();
    }
    pub fn slow(&self, nanos: u64) {
        self.slow.store(nanos, Ordering::Relaxed);
    }

    fn fault(&self, path: &Path) -> Option<Fault> {
        let faults = self.faults.lock().unwrap();
        let found = faults.iter().find(|(dir, _)| path.starts_with(dir));
        found.map(|(_, fault)| *fault)
    }

    fn check(&self, path: &Path, sync: bool) -> io::Result<()> {
        match (self.fault(path), sync) {
            (Some(fault @ Fault::Sync), true) => Err(fault.error()),
            (Some(fault @ (Fault::Full | Fault::ReadOnly)), false) => Err(fault.error()),
            _ => Ok(()),
        }
    }

    /// Time passes while the device works.
    fn wait(&self) {
        let slow = self.slow.load(Ordering::Relaxed) as i64;
        if slow > 0 {
            self.clock.reach(Timestamp(self.clock.now().nanos() + slow));
        }
    }
}

impl Storage for Shaky {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        if mode == OpenMode::Create {
            self.check(path, false)?;
        }
        Ok(Box::new(ShakyFile {
            file: self.disk.open(path, mode)?,
            path: path.to_owned(),
            shaky: self.clone(),
        }))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }
    fn folders(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.folders(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check(path, false)?;
        self.disk.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(to, false)?;
        self.disk.rename(from, to)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.check(dir, true)?;
        self.wait();
        self.disk.sync_dir(dir)
    }
}

struct ShakyFile {
    file: Box<dyn StorageFile>,
    path: PathBuf,
    shaky: Shaky,
}

impl StorageFile for ShakyFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.file.read_at(buffer, at)
    }
    fn write_all_at(&mut self, data: &[u8], at: u64) -> io::Result<()> {
        self.shaky.check(&self.path, false)?;
        self.file.write_all_at(data, at)
    }
    fn allocate(&mut self, length: u64) -> io::Result<()> {
        self.shaky.check(&self.path, false)?;
        self.file.allocate(length)
    }
    fn sync(&mut self) -> io::Result<()> {
        if let Err(error) = self.shaky.check(&self.path, true) {
            self.shaky.disk.give_up(&self.path);
            return Err(error);
        }
        self.shaky.wait();
        self.file.sync()
    }
}
