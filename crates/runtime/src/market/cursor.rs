//! Reads ranges of market inputs that journals refer to, forward only.

use std::collections::VecDeque;
use std::sync::Arc;

use journal::record::{MarketItem, MarketRecord, Start, decode_with};
use journal::{JournalError, Log, LogReader, Offset};
use model::InputId;
use model::reindex::Reindex;

use crate::error::RuntimeError;
use crate::tables;

/// A reader of the market log by input number.
pub struct Cursor {
    market: Arc<dyn Log>,
    from: Offset,
    tables: Start,
    map: Option<Reindex>,
    reader: Option<Box<dyn LogReader>>,
    /// Read already and not asked for yet.
    waiting: VecDeque<(InputId, MarketItem)>,
    ended: bool,
}

impl Cursor {
    /// From an offset at or before the first input that will be asked for, whose records were made
    /// under `old` (a log's beginning needs none). `tables` is the start whose indices are wanted.
    pub fn new(market: Arc<dyn Log>, from: Offset, tables: Start, old: Option<&Start>) -> Self {
        Self {
            market,
            from,
            map: old
                .filter(|_| from > Offset::BEGINNING)
                .map(|old| tables::reindex(old, &tables)),
            tables,
            reader: None,
            waiting: VecDeque::new(),
            ended: false,
        }
    }

    /// What is read first may be of an earlier start than the caller's: inputs that are run again at a
    /// start keep their place. So the market log itself says whose they are.
    fn find_start(&mut self) -> Result<Offset, RuntimeError> {
        let from = self.from.max(tables::first(self.market.as_ref())?);
        if from > Offset::BEGINNING
            && let Some(start) = tables::in_force::<MarketRecord>(self.market.as_ref(), from)?
        {
            self.map = Some(tables::reindex(&start, &self.tables));
        }
        Ok(from)
    }

    fn next(&mut self) -> Result<Option<(InputId, MarketItem)>, RuntimeError> {
        if let Some(waiting) = self.waiting.pop_front() {
            return Ok(Some(waiting));
        }
        if self.ended {
            return Ok(None);
        }
        let failed = |e: JournalError| RuntimeError::journal("market", e);
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => {
                // What retention has removed is told as missing by whoever asks for it.
                let from = self.find_start()?;
                self.reader.insert(self.market.read(from).map_err(failed)?)
            }
        };
        loop {
            let Some((_, bytes)) = reader.next().map_err(failed)? else {
                self.ended = true;
                return Ok(None);
            };
            match decode_with::<MarketRecord>(bytes, self.map.as_ref())
                .map_err(|e| RuntimeError::record("market", e))?
            {
                MarketRecord::Start(start) => {
                    self.map = Some(tables::reindex(&start, &self.tables));
                }
                record => {
                    self.waiting = record.into_inputs().into();
                    if let Some(first) = self.waiting.pop_front() {
                        return Ok(Some(first));
                    }
                }
            }
        }
    }

    /// Gives every input of `first..=last` to `take`. Returns what the log does not have, or not any
    /// more.
    pub fn range(
        &mut self,
        first: InputId,
        last: InputId,
        mut take: impl FnMut(InputId, &MarketItem),
    ) -> Result<Option<(InputId, InputId)>, RuntimeError> {
        let mut have = first.0;
        while let Some((id, item)) = self.next()? {
            if id > last {
                self.waiting.push_front((id, item));
                break;
            }
            if id < first {
                continue;
            }
            have = id.0 + 1;
            take(id, &item);
            if id == last {
                break;
            }
        }
        Ok((have <= last.0).then_some((InputId(have), last)))
    }
}
