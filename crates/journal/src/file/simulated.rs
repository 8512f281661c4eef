//! A disk in memory that loses power. What was not synced may be there afterwards, or not, or in part,
//! whatever the order in which it was written. Which, the seed says.
//!
//! A sync that fails is like that of a real system: what waited counts as written from then on. Readers
//! still see it, a later sync says that all is well, and the device may never have had it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::storage::{OpenMode, Storage, StorageFile};

/// The unit in which a write is torn.
const SECTOR: usize = 512;

/// A change of a file that is not synced yet.
#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Debug, Default, Clone)]
struct Inode {
    /// What is surely there.
    durable: Vec<u8>,
    /// What a reader sees.
    seen: Vec<u8>,
    pending: Vec<Change>,
}

impl Inode {
    fn bytes(&self, only_durable: bool) -> &[u8] {
        if only_durable {
            &self.durable
        } else {
            &self.seen
        }
    }
}

impl Inode {
    /// The device gets what waits, or some of it, or none, in any order.
    fn give_up(&mut self, random: &mut u64) {
        let bytes = &mut self.durable;
        let mut pending = std::mem::take(&mut self.pending);
        for last in (1..pending.len()).rev() {
            let other = (draw(random) % (last as u64 + 1)) as usize;
            pending.swap(last, other);
        }
        for change in pending {
            let fate = draw(random) % 4;
            match change {
                _ if fate == 0 => {}
                Change::Length(length) => bytes.resize(length as usize, 0),
                Change::Write(at, data) if fate == 1 => {
                    // Some of its sectors.
                    for (index, sector) in data.chunks(SECTOR).enumerate() {
                        if draw(random) & 1 == 0 {
                            write_into(bytes, at + (index * SECTOR) as u64, sector);
                        }
                    }
                }
                Change::Write(at, data) => write_into(bytes, at, &data),
            }
        }
    }
}

/// A change of the directory that is not synced yet.
#[derive(Debug, Clone)]
enum Entry {
    Link(PathBuf, u64),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf, u64),
}

#[derive(Debug, Clone)]
struct State {
    random: u64,
    /// Of what a failed sync has made of the changes that waited.
    failures: u64,
    inodes: BTreeMap<u64, Inode>,
    /// Names as a reader sees them, and as they surely are.
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    entries: Vec<Entry>,
    next: u64,
    /// Handles of earlier lives are dead.
    life: u64,
    ignore_sync: bool,
    read_only: bool,
    /// Bytes that may still be taken.
    space: Option<u64>,
    /// Syncs until one fails.
    fail_sync_in: Option<u64>,
    syncs: u64,
}

/// The disk; clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    /// Reads see only what is surely there, and nothing can be written.
    only_durable: bool,
}

fn draw(state: &mut u64) -> u64 {
    // SplitMix64.
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn write_into(bytes: &mut Vec<u8>, at: u64, data: &[u8]) {
    let at = at as usize;
    if bytes.len() < at + data.len() {
        bytes.resize(at + data.len(), 0);
    }
    bytes[at..at + data.len()].copy_from_slice(data);
}

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                random: seed,
                failures: !seed,
                inodes: BTreeMap::new(),
                names: BTreeMap::new(),
                durable_names: BTreeMap::new(),
                entries: Vec::new(),
                next: 1,
                life: 0,
                ignore_sync: false,
                read_only: false,
                space: None,
                fail_sync_in: None,
                syncs: 0,
            })),
            only_durable: false,
        }
    }

    /// The same disk as it would be read if power were lost now and nothing survived that was not
    /// synced. Nothing can be written through it.
    pub fn durable(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            only_durable: true,
        }
    }

    /// Another disk that holds the same.
    pub fn copy(&self) -> Self {
        Self {
            state: Arc::new(Mutex::new(self.lock().clone())),
            only_durable: self.only_durable,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_to_write(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if self.only_durable {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        state.writable()?;
        Ok(state)
    }

    /// Power is lost, and is there again: what was not synced is settled by the seed, open files are
    /// dead.
    pub fn power_loss(&self) {
        let mut state = self.lock();
        let state = &mut *state;
        state.life += 1;
        let mut names = std::mem::take(&mut state.durable_names);
        for entry in std::mem::take(&mut state.entries) {
            if draw(&mut state.random) & 1 == 0 {
                continue;
            }
            match entry {
                Entry::Link(path, inode) => {
                    names.insert(path, inode);
                }
                Entry::Unlink(path) => {
                    names.remove(&path);
                }
                Entry::Rename(from, to, inode) => {
                    names.remove(&from);
                    names.insert(to, inode);
                }
            }
        }
        for inode in state.inodes.values_mut() {
            inode.give_up(&mut state.random);
            inode.seen.clone_from(&inode.durable);
        }
        state.names.clone_from(&names);
        state.durable_names = names;
        let live: Vec<u64> = state.names.values().copied().collect();
        state.inodes.retain(|id, _| live.contains(id));
        state.fail_sync_in = None;
    }

    /// The process is gone, the disk is not: everything that was written is there.
    pub fn process_loss(&self) {
        self.lock().life += 1;
    }

    /// A build with sync switched off: it says that it has synced, and has not.
    pub fn ignore_sync(&self, ignore: bool) {
        self.lock().ignore_sync = ignore;
    }
    /// Whether writes are refused.
    pub fn read_only(&self, read_only: bool) {
        self.lock().read_only = read_only;
    }
    /// How many more bytes fit; `None` for any number.
    pub fn space(&self, bytes: Option<u64>) {
        self.lock().space = bytes;
    }
    /// From the `n`-th sync on, the next being the first, every one fails; zero: none.
    pub fn fail_sync(&self, n: u64) {
        self.lock().fail_sync_in = (n > 0).then_some(n);
    }
    /// A sync of this file has failed.
    pub fn give_up(&self, path: &Path) {
        let mut state = self.lock();
        let state = &mut *state;
        if let Some(inode) = state.names.get(path)
            && let Some(inode) = state.inodes.get_mut(inode)
        {
            inode.give_up(&mut state.failures);
        }
    }
    /// Syncs so far.
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }
    /// Changes one bit of a file, durably.
    pub fn flip(&self, path: &Path, byte: u64, bit: u8) {
        let mut state = self.lock();
        let Some(inode) = state.names.get(path).copied() else {
            return;
        };
        if let Some(inode) = state.inodes.get_mut(&inode) {
            for bytes in [&mut inode.seen, &mut inode.durable] {
                if let Some(at) = bytes.get_mut(byte as usize) {
                    *at ^= 1 << (bit & 7);
                }
            }
        }
    }
}

impl State {
    fn writable(&self) -> io::Result<()> {
        if self.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(())
    }

    fn names(&self, only_durable: bool) -> &BTreeMap<PathBuf, u64> {
        if only_durable {
            &self.durable_names
        } else {
            &self.names
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.syncs += 1;
        if let Some(left) = &mut self.fail_sync_in {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Err(io::Error::other("simulated failure of the device"));
            }
        }
        Ok(())
    }

    fn grow(&mut self, bytes: u64) -> io::Result<()> {
        if let Some(space) = &mut self.space {
            if *space < bytes {
                return Err(io::ErrorKind::StorageFull.into());
            }
            *space -= bytes;
        }
        Ok(())
    }
}

impl Storage for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        let mut state = self.lock();
        if self.only_durable && mode != OpenMode::Read {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let inode = match state.names(self.only_durable).get(path).copied() {
            Some(inode) => inode,
            None if mode == OpenMode::Create => {
                state.writable()?;
                let inode = state.next;
                state.next += 1;
                state.inodes.insert(inode, Inode::default());
                state.names.insert(path.to_owned(), inode);
                state.entries.push(Entry::Link(path.to_owned(), inode));
                inode
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        if mode != OpenMode::Read {
            state.writable()?;
        }
        Ok(Box::new(SimFile {
            disk: self.clone(),
            inode,
            life: state.life,
        }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        Ok(state
            .names(self.only_durable)
            .keys()
            .filter(|path| path.parent() == Some(dir))
            .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
            .collect())
    }

    fn folders(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        let mut names: Vec<String> = state
            .names(self.only_durable)
            .keys()
            .filter_map(|path| {
                path.strip_prefix(dir)
                    .ok()?
                    .parent()?
                    .iter()
                    .next()?
                    .to_str()
            })
            .map(str::to_owned)
            .collect();
        names.dedup();
        Ok(names)
    }

    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock_to_write()?;
        if state.names.remove(path).is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.entries.push(Entry::Unlink(path.to_owned()));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock_to_write()?;
        let Some(inode) = state.names.remove(from) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        state.names.insert(to.to_owned(), inode);
        state
            .entries
            .push(Entry::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.sync()?;
        if state.ignore_sync {
            return Ok(());
        }
        let belongs = |path: &Path| path.parent() == Some(dir);
        let entries = std::mem::take(&mut state.entries);
        for entry in entries {
            match entry {
                Entry::Link(path, inode) if belongs(&path) => {
                    state.durable_names.insert(path, inode);
                }
                Entry::Unlink(path) if belongs(&path) => {
                    state.durable_names.remove(&path);
                }
                Entry::Rename(from, to, inode) if belongs(&to) => {
                    state.durable_names.remove(&from);
                    state.durable_names.insert(to, inode);
                }
                other => state.entries.push(other),
            }
        }
        Ok(())
    }
}

struct SimFile {
    disk: SimDisk,
    inode: u64,
    life: u64,
}

impl SimFile {
    fn with<T>(&self, f: impl FnOnce(&mut State, u64) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.lock();
        if state.life != self.life || !state.inodes.contains_key(&self.inode) {
            return Err(io::Error::other("the handle is of an earlier life"));
        }
        f(&mut state, self.inode)
    }
}

impl StorageFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        let only_durable = self.disk.only_durable;
        self.with(|state, inode| Ok(state.inodes[&inode].bytes(only_durable).len() as u64))
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let only_durable = self.disk.only_durable;
        self.with(|state, inode| {
            let bytes = state.inodes[&inode].bytes(only_durable);
            let from = (at as usize).min(bytes.len());
            let count = buffer.len().min(bytes.len() - from);
            buffer[..count].copy_from_slice(&bytes[from..from + count]);
            Ok(count)
        })
    }

    fn write_all_at(&mut self, data: &[u8], at: u64) -> io::Result<()> {
        self.with(|state, inode| {
            state.writable()?;
            let size = state.inodes[&inode].seen.len() as u64;
            let grown = (at + data.len() as u64).saturating_sub(size);
            state.grow(grown)?;
            if let Some(inode) = state.inodes.get_mut(&inode) {
                write_into(&mut inode.seen, at, data);
                inode.pending.push(Change::Write(at, data.to_vec()));
            }
            Ok(())
        })
    }

    fn allocate(&mut self, length: u64) -> io::Result<()> {
        self.with(|state, inode| {
            state.writable()?;
            let size = state.inodes[&inode].seen.len() as u64;
            state.grow(length.saturating_sub(size))?;
            if let Some(inode) = state.inodes.get_mut(&inode) {
                inode.seen.resize(length as usize, 0);
                inode.pending.push(Change::Length(length));
            }
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.with(|state, inode| {
            if let Err(error) = state.sync() {
                if let Some(inode) = state.inodes.get_mut(&inode) {
                    inode.give_up(&mut state.failures);
                }
                return Err(error);
            }
            if state.ignore_sync {
                return Ok(());
            }
            if let Some(inode) = state.inodes.get_mut(&inode) {
                for change in std::mem::take(&mut inode.pending) {
                    match change {
                        Change::Length(length) => inode.durable.resize(length as usize, 0),
                        Change::Write(at, data) => write_into(&mut inode.durable, at, &data),
                    }
                }
            }
            Ok(())
        })
    }
}
