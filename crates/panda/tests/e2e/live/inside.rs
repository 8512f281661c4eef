//! Sessions within the test's own process, with parts that fail on demand.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use journal::{Disk, FileLogs, FileOptions, OpenMode, Storage, StorageFile};
use model::Timestamp;
use model::event::Event;
use model::market::MarketData;
use model::trader::{Capabilities, InPipelineTrader, TraderReport, TraderStateError};
use panda::compose::BUILT_IN;
use session::{Ended, Plugins, Preparation, Session, StopRequest, prepare};
use settings::Settings;
use traders::{BrokerKind, Built};

use super::until;
use crate::harness::World;

/// The settings of a replaying world with absolute paths, and what else is to be set.
pub fn settings(world: &World, dir: &str, more: &str) -> Settings {
    let root = world.path("");
    let root = root.display();
    let text = world
        .read("live.toml")
        .replace("\"market/", &format!("\"{root}/market/"))
        .replace(
            "\"strategies.yaml\"",
            &format!("\"{root}/strategies.yaml\""),
        );
    let name = format!("{dir}.toml");
    world.write(&name, text + more);
    panda::commands::run::settings(Some(&world.path(&name)), &[], Some(&world.path(dir)), &[])
        .unwrap()
}

/// Starts a session of these brokers.
pub fn start(settings: Settings, brokers: &[&str], plugins: Plugins) -> Session {
    let opened = prepare(Preparation {
        settings,
        brokers: brokers.iter().map(|b| (*b).to_owned()).collect(),
        plugins,
    });
    Session::start(opened.unwrap(), Arc::new(StopRequest::default())).unwrap()
}

/// Waits until the replay is over, and stops. `look` sees the session before it is stopped.
pub fn finish(session: Session, look: impl FnOnce(&Session)) -> Ended {
    until("the replay is over", Duration::from_secs(60), || {
        session.is_over()
    });
    let status = session.handles.market.status();
    assert!(status.complete.load(Ordering::Acquire), "it was cut short");
    look(&session);
    session.stop()
}

/// What a stage does at the market input of a number.
#[derive(Debug, Clone)]
pub enum Fault {
    Panic,
    /// Until it is let go.
    Hang(Arc<AtomicBool>),
}

/// The paper trader, which fails in the namespace `sick` at its input number `at`.
pub fn paper_that_fails(sick: &'static str, fault: Fault, at: u64) -> BrokerKind {
    let paper = paper::kind();
    let build = paper.build;
    BrokerKind {
        build: Box::new(move |context| {
            let built = build(context)?;
            let is_sick = context.namespace.as_str() == sick;
            Ok(match built {
                Built::InPipeline {
                    trader,
                    warnings,
                    effective,
                } if is_sick => Built::InPipeline {
                    trader: Box::new(Failing {
                        trader,
                        fault: fault.clone(),
                        left: at,
                    }),
                    warnings,
                    effective,
                },
                built => built,
            })
        }),
        ..paper
    }
}

struct Failing {
    trader: Box<dyn InPipelineTrader>,
    fault: Fault,
    left: u64,
}

impl InPipelineTrader for Failing {
    fn capabilities(&self) -> &Capabilities {
        self.trader.capabilities()
    }
    fn observe_market(&mut self, data: &MarketData<'_>, now: Timestamp) {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            match &self.fault {
                Fault::Panic => panic!("as the test wants it"),
                Fault::Hang(released) => {
                    while !released.load(Ordering::Acquire) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            }
        }
        self.trader.observe_market(data, now);
    }
    fn observe_time(&mut self, now: Timestamp) {
        self.trader.observe_time(now);
    }
    fn apply(&mut self, event: &Event) {
        self.trader.apply(event);
    }
    fn next_report(&self, now: Timestamp) -> Option<TraderReport> {
        self.trader.next_report(now)
    }
    fn next_due(&self) -> Timestamp {
        self.trader.next_due()
    }
    fn save(&self) -> Result<Vec<u8>, TraderStateError> {
        self.trader.save()
    }
    fn restore(
        &mut self,
        state: &[u8],
        map: &model::reindex::Reindex,
    ) -> Result<(), TraderStateError> {
        self.trader.restore(state, map)
    }
}

/// How a disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    Full,
    ReadOnly,
    Sync,
}

/// A switch for a disk below some folder, or for its files of some name: it works for so many writes, then it
/// fails.
#[derive(Debug, Clone)]
pub struct Failure {
    pub under: PathBuf,
    /// What the names of its files begin with.
    pub named: &'static str,
    /// Below which folder a write counts as one of those that still work.
    pub counted: PathBuf,
    pub trouble: Trouble,
    pub left: Arc<AtomicU64>,
    pub has_failed: Arc<AtomicBool>,
}

impl Failure {
    pub fn new(under: impl Into<PathBuf>, trouble: Trouble, after: u64) -> Self {
        let under = under.into();
        Self {
            counted: under.clone(),
            under,
            named: "",
            trouble,
            left: Arc::new(AtomicU64::new(after)),
            has_failed: Arc::default(),
        }
    }

    /// A disk that does so.
    pub fn plugins(&self) -> Plugins {
        let failure = self.clone();
        Plugins {
            logs: Some(Box::new(move |dir| {
                let disk = FailingDisk {
                    disk: Disk::new(dir)?,
                    failure: failure.clone(),
                };
                let options = FileOptions::default();
                Ok(Arc::new(FileLogs::over(Arc::new(disk), options)))
            })),
            ..Plugins::new(BUILT_IN)
        }
    }

    fn check(&self, path: &Path, is_sync: bool) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let concerns = path.starts_with(&self.under) && name.starts_with(self.named);
        if !concerns || is_sync != (self.trouble == Trouble::Sync) {
            return Ok(());
        }
        let left = self.left.load(Ordering::Acquire);
        if left > 0 {
            let counts = path.starts_with(&self.counted);
            self.left.store(left - u64::from(counts), Ordering::Release);
            return Ok(());
        }
        self.has_failed.store(true, Ordering::Release);
        Err(match self.trouble {
            Trouble::Full => io::ErrorKind::StorageFull.into(),
            Trouble::ReadOnly => io::ErrorKind::ReadOnlyFilesystem.into(),
            Trouble::Sync => io::Error::other("the device does not answer"),
        })
    }
}

struct FailingDisk {
    disk: Disk,
    failure: Failure,
}

struct FailingFile {
    file: Box<dyn StorageFile>,
    path: PathBuf,
    failure: Failure,
}

impl Storage for FailingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        Ok(Box::new(FailingFile {
            file: self.disk.open(path, mode)?,
            path: path.to_owned(),
            failure: self.failure.clone(),
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
        self.disk.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
}

impl StorageFile for FailingFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.file.read_at(buffer, at)
    }
    fn write_all_at(&mut self, data: &[u8], at: u64) -> io::Result<()> {
        self.failure.check(&self.path, false)?;
        self.file.write_all_at(data, at)
    }
    fn allocate(&mut self, length: u64) -> io::Result<()> {
        self.failure.check(&self.path, false)?;
        self.file.allocate(length)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.failure.check(&self.path, true)?;
        self.file.sync()
    }
}
