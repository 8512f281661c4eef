//! The embedded durable logs: records in atomic batches, made durable before anything follows from them.
//!
//! [`Log`] writes, [`Reader`] reads, also while another process writes; [`snapshot`] keeps states beside a
//! log. All of it works over a [`Storage`]: the [`Disk`], or [`simulated`], which loses power.

mod error;
pub mod lock;
pub mod log;
mod mark;
mod owner;
mod proof;
pub mod reader;
pub mod record;
pub mod retention;
mod scan;
pub mod segment;
pub mod simulated;
pub mod snapshot;
pub mod storage;

pub use error::JournalError;
pub use lock::DirLock;
pub use log::{Cut, Departure, Log, LogOptions, Opened, Position};
pub use owner::Owner;
pub use proof::{Verified, verify};
pub use reader::Reader;
pub use retention::Retention;
pub use scan::{owner, segments};
pub use segment::SegmentInfo;
pub use simulated::SimDisk;
pub use storage::{
    Disk, OpenMode, PRIVATE_FILE, Storage, StorageFile, create_private_dirs, write_whole,
};
