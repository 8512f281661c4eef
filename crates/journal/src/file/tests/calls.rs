//! Every call of the disk fails once.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use model::Date;

use crate::file::storage::{OpenMode, StorageFile};
use crate::file::{scan, snapshots};
use crate::retention::Retention;

use super::*;

const REASON: &str = "simulated failure of one call";

/// A disk one of whose calls fails: the `left`-th from now on.
#[derive(Clone)]
struct Failing {
    disk: SimDisk,
    left: Arc<AtomicU64>,
}

impl Failing {
    fn call(&self) -> io::Result<()> {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            return Err(io::Error::other(REASON));
        }
        Ok(())
    }
}

impl Storage for Failing {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        self.call()?;
        Ok(Box::new(FailingFile {
            file: self.disk.open(path, mode)?,
            path: path.to_owned(),
            storage: self.clone(),
        }))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.call()?;
        self.disk.list(dir)
    }
    fn folders(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.call()?;
        self.disk.folders(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.call()?;
        self.disk.create_dir_all(dir)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        self.disk.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call()?;
        self.disk.rename(from, to)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.call()?;
        self.disk.sync_dir(dir)
    }
}

struct FailingFile {
    file: Box<dyn StorageFile>,
    path: PathBuf,
    storage: Failing,
}

impl StorageFile for FailingFile {
    fn size(&self) -> io::Result<u64> {
        self.storage.call()?;
        self.file.size()
    }
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.storage.call()?;
        self.file.read_at(buffer, at)
    }
    fn write_all_at(&mut self, data: &[u8], at: u64) -> io::Result<()> {
        self.storage.call()?;
        self.file.write_all_at(data, at)
    }
    fn allocate(&mut self, length: u64) -> io::Result<()> {
        self.storage.call()?;
        self.file.allocate(length)
    }
    fn sync(&mut self) -> io::Result<()> {
        if let Err(error) = self.storage.call() {
            self.storage.disk.give_up(&self.path);
            return Err(error);
        }
        self.file.sync()
    }
}

/// What was acknowledged.
#[derive(Default)]
struct Kept {
    records: Vec<(Offset, Vec<u8>)>,
    has_snapshot: bool,
}

/// Two lives of a log over several days: its batches are committed and carried, old files go.
fn lives(storage: &Arc<dyn Storage>, kept: &mut Kept) -> Result<(), JournalError> {
    let dir = Path::new(DIR);
    let mut random = Random(3);
    for life in 0..2 {
        let (mut log, _) = open_as(Arc::clone(storage), &NONE)?;
        for day in 0..3 {
            log.roll(Date::from_days(20_000 + 3 * life + day))?;
            for number in 0..4 {
                let record = random.record(number);
                let position = append(&mut log, &record)?;
                if let Some(departure) = log.submit(true)? {
                    departure.carry();
                    log.outcome(true)?;
                } else {
                    log.commit()?;
                }
                kept.records.push((position, record));
            }
            log.save_snapshot(b"state", 2)?;
            kept.has_snapshot = true;
        }
        let floor = log.segments()[1].first;
        let keep = Retention {
            days: None,
            bytes: Some(0),
        };
        // From here on what lies below may go.
        kept.records.retain(|(position, _)| *position >= floor);
        log.retain(floor, Date::from_days(20_100), &keep)?;
    }
    scan::owner(storage.as_ref(), dir)?;
    for at in snapshots::list(storage.as_ref(), dir)? {
        snapshots::load(storage.as_ref(), dir, at)?;
    }
    let mut reader = FileReader::new(Arc::clone(storage), dir, Offset(0));
    while reader.next()?.is_some() {}
    Ok(())
}

#[test]
fn whatever_call_of_the_disk_fails_is_told_and_nothing_acknowledged_is_lost() {
    let mut failed = 0;
    for n in 1.. {
        let disk = SimDisk::new(n);
        let left = Arc::new(AtomicU64::new(n));
        let storage: Arc<dyn Storage> = Arc::new(Failing {
            disk: disk.clone(),
            left: Arc::clone(&left),
        });
        let mut kept = Kept::default();
        let result = lives(&storage, &mut kept);
        let has_failed = !(1..=n).contains(&left.load(Ordering::Relaxed));
        let told = result.err().map(|e| e.to_string());
        assert_eq!(told.is_some(), has_failed, "call {n}: {told:?}");
        let Some(told) = told else { break };
        assert!(
            told.contains(REASON) && told.contains(DIR),
            "call {n}: {told}"
        );
        failed += 1;
        disk.power_loss();
        let opened = open(&disk).map(|_| ());
        assert!(opened.is_ok(), "after call {n} ({told}): {opened:?}");
        let there = read(&disk, Offset(0)).unwrap();
        for record in &kept.records {
            assert!(
                there.contains(record),
                "call {n} ({told}): {record:?} is gone"
            );
        }
        let all = snapshots::list(&disk, Path::new(DIR)).unwrap();
        let whole = |at: &Offset| {
            snapshots::load(&disk, Path::new(DIR), *at)
                .unwrap()
                .is_some()
        };
        assert!(
            all.iter().any(whole) || !kept.has_snapshot,
            "call {n} ({told})"
        );
    }
    assert!(failed > 200, "{failed} calls");
}
