//! A log's records with the start in force, whose tables give the names behind their indices. For
//! readers beside a running system: nothing is translated, written or locked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal::record::{JournalRecord, MarketItem, MarketRecord, Record, Start, decode, is_start};
use journal::{Position, Reader, Storage};
use model::InputId;

use crate::error::RuntimeError;
use crate::tables;

/// A record, where it is, and the start in force. A start is its own.
#[derive(Debug)]
pub struct Found<R> {
    /// Where.
    pub position: Position,
    /// The record.
    pub record: R,
    /// The start in force; `None` where retention has removed it.
    pub start: Option<Arc<Start>>,
    /// Bytes of the record.
    pub bytes: usize,
}

/// The reader.
pub struct Records<R> {
    reader: Reader,
    start: Option<Arc<Start>>,
    name: String,
    of: std::marker::PhantomData<fn() -> R>,
}

impl<R: Record> Records<R> {
    /// From the beginning of the log in `dir`, which `name` names in messages.
    pub fn open(storage: &Arc<dyn Storage>, dir: &Path, name: &str) -> Result<Self, RuntimeError> {
        Self::open_at(storage, dir, name, Position(0))
    }

    /// From the first record at or behind a position.
    pub fn open_at(
        storage: &Arc<dyn Storage>,
        dir: &Path,
        name: &str,
        from: Position,
    ) -> Result<Self, RuntimeError> {
        let failed = |e| RuntimeError::journal(name, e);
        let first = journal::segments(storage.as_ref(), dir)
            .map_err(failed)?
            .first()
            .map_or(Position(0), |s| s.base)
            .max(from);
        let start = match first {
            Position(0) => None,
            first => tables::in_force::<R>(storage, dir, name, first)?,
        };
        Ok(Self {
            reader: Reader::open(Arc::clone(storage), dir, from).map_err(failed)?,
            start: start.map(Arc::new),
            name: name.to_owned(),
            of: std::marker::PhantomData,
        })
    }

    /// The next record. `None`: there is no more for now; ask again to follow the writer.
    #[allow(
        clippy::should_implement_trait,
        reason = "as of journal::Reader: the end may be for now only"
    )]
    pub fn next(&mut self) -> Result<Option<Found<R>>, RuntimeError> {
        let Some((position, bytes)) = self
            .reader
            .next()
            .map_err(|e| RuntimeError::journal(&self.name, e))?
        else {
            return Ok(None);
        };
        let failed = |e| RuntimeError::record(&self.name, e);
        if is_start(bytes)
            && let Some(start) = decode::<R>(bytes).map_err(failed)?.start()
        {
            self.start = Some(Arc::new(start));
        }
        Ok(Some(Found {
            position,
            record: decode(bytes).map_err(failed)?,
            start: self.start.clone(),
            bytes: bytes.len(),
        }))
    }
}

/// A namespace's journal.
pub type JournalRecords = Records<JournalRecord>;
/// The market log.
pub type MarketRecords = Records<MarketRecord>;

/// A market input with the start in force.
pub type FoundInput = (MarketItem, Option<Arc<Start>>);

/// One market input of the market log, with the start in force; `None` where the log does not have it,
/// or not any more.
pub fn market_input(
    storage: &Arc<dyn Storage>,
    dir: &Path,
    wanted: InputId,
) -> Result<Option<FoundInput>, RuntimeError> {
    let segments =
        journal::segments(storage.as_ref(), dir).map_err(|e| RuntimeError::journal("market", e))?;
    // Numbers rise: the input is in the last segment that begins at or before it.
    for segment in segments.iter().rev() {
        let mut records = MarketRecords::open_at(storage, dir, "market", segment.base)?;
        let mut first = true;
        while let Some(found) = records.next()? {
            let inputs = found.record.into_inputs();
            let Some((least, _)) = inputs.first() else {
                continue;
            };
            if *least > wanted {
                if first {
                    break;
                }
                return Ok(None);
            }
            first = false;
            if let Some((_, item)) = inputs.into_iter().find(|(id, _)| *id == wanted) {
                return Ok(Some((item, found.start)));
            }
        }
    }
    Ok(None)
}

/// A log of a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPlace {
    /// `market`, or the namespace's name.
    pub name: String,
    /// Its folder below the data directory.
    pub dir: PathBuf,
}

impl LogPlace {
    /// The market log.
    pub fn market() -> Self {
        Self {
            name: crate::layout::MARKET.to_owned(),
            dir: PathBuf::from(crate::layout::MARKET),
        }
    }
    /// A namespace's journal.
    pub fn of(namespace: &str) -> Self {
        Self {
            name: namespace.to_owned(),
            dir: crate::layout::journal_dir(namespace),
        }
    }
    /// True for the market log: no namespace has its name.
    pub fn is_market(&self) -> bool {
        self.name == crate::layout::MARKET
    }
}
