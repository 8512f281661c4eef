//! Logs: records in atomic batches, made durable before anything follows from them.
//!
//! [`log`] says what a log is; [`mod@file`] keeps them below a data directory, [`memory`] in memory. Both pass
//! [`conformance`].

pub mod conformance;
mod error;
pub mod file;
pub mod log;
pub mod memory;
mod owner;
pub mod record;
mod retention;

pub use error::JournalError;
pub use file::lock::DirLock;
pub use file::simulated::SimDisk;
pub use file::storage::{Disk, OpenMode, PRIVATE_FILE, Storage, StorageFile, create_private_dirs};
pub use file::{FileLogs, FileOptions};
pub use log::{
    Carriage, Cut, Log, LogName, LogReader, LogWriter, Logs, MARKET, Offset, Opened, RECORD_MAX,
    Snapshots, Span, Verified,
};
pub use memory::MemoryLogs;
pub use owner::Owner;
pub use retention::Retention;
