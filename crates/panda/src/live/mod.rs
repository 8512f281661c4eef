//! A running system: recovered from its logs, composed, started, and stopped in good order.

mod feeding;
mod open;
mod parts;
mod session;

pub use open::{Opened, Preparation, prepare};
pub use session::{Ended, Session};

use std::path::{Path, PathBuf};

/// The market log's folder below the data directory.
pub const MARKET: &str = "market";

/// A namespace's folder below the data directory.
pub fn journal_dir(namespace: &str) -> PathBuf {
    Path::new("journal").join(namespace)
}
