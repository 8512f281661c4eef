//! A log's records with the start in force, whose tables give the names behind their indices. For
//! readers beside a running system: nothing is translated, written or locked.

use std::cmp::Ordering;
use std::sync::Arc;

use journal::record::{
    JournalRecord, MarketItem, MarketRecord, Record, Run, Start, decode, is_start,
};
use journal::{Log, LogReader, Offset};
use model::InputId;

use crate::error::RuntimeError;
use crate::tables;

/// A record, where it is, and the start in force. A start is its own.
#[derive(Debug)]
pub struct Found<R> {
    /// Where.
    pub position: Offset,
    /// The record.
    pub record: R,
    /// The start in force; `None` where retention has removed it.
    pub start: Option<Arc<Start>>,
    /// Bytes of the record.
    pub bytes: usize,
}

/// The reader.
pub struct Records<R> {
    reader: Box<dyn LogReader>,
    start: Option<Arc<Start>>,
    name: String,
    of: std::marker::PhantomData<fn() -> R>,
}

impl<R: Record> Records<R> {
    /// From the beginning of a log.
    pub fn open(log: &dyn Log) -> Result<Self, RuntimeError> {
        Self::open_at(log, Offset::BEGINNING)
    }

    /// From the first record at or behind an offset.
    pub fn open_at(log: &dyn Log, from: Offset) -> Result<Self, RuntimeError> {
        let failed = |e| RuntimeError::journal(log.name(), e);
        let first = tables::first(log)?.max(from);
        let start = match first {
            Offset::BEGINNING => None,
            first => tables::in_force::<R>(log, first)?,
        };
        Ok(Self {
            reader: log.read(from).map_err(failed)?,
            start: start.map(Arc::new),
            name: log.name().to_owned(),
            of: std::marker::PhantomData,
        })
    }

    /// The next record. `None`: there is no more for now; ask again to follow the writer.
    #[allow(
        clippy::should_implement_trait,
        reason = "as of a log's reader: the end may be for now only"
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
pub fn market_input(market: &dyn Log, wanted: InputId) -> Result<Option<FoundInput>, RuntimeError> {
    let spans = market
        .spans()
        .map_err(|e| RuntimeError::journal(market.name(), e))?;
    // Numbers rise: the input is in the last span that begins at or before it.
    for span in spans.iter().rev() {
        let mut records = MarketRecords::open_at(market, span.first)?;
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

/// A run with the start in force.
pub type FoundRun = (Run, Option<Arc<Start>>);

/// One run of a namespace's journal, with the start in force; `None` where the journal does not have it,
/// or not any more.
pub fn run_at(journal: &dyn Log, wanted: u64) -> Result<Option<FoundRun>, RuntimeError> {
    let spans = journal
        .spans()
        .map_err(|e| RuntimeError::journal(journal.name(), e))?;
    // Numbers rise: the run is in the last span that begins at or before it.
    for span in spans.iter().rev() {
        let mut records = JournalRecords::open_at(journal, span.first)?;
        let mut is_behind = false;
        while let Some(found) = records.next()? {
            let JournalRecord::Run(run) = found.record else {
                continue;
            };
            match run.step.cmp(&wanted) {
                Ordering::Less => is_behind = true,
                Ordering::Equal => return Ok(Some((run, found.start))),
                Ordering::Greater if is_behind => return Ok(None),
                Ordering::Greater => break,
            }
        }
    }
    Ok(None)
}
