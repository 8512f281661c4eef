//! How far back the logs must reach, and what of them may go.
//!
//! Recovery begins at a snapshot, and falls back to an older one where the newest is damaged. So a
//! journal is kept from the oldest of its snapshots on, and the market log from the first input that
//! any snapshot still needs: its own, or any of a namespace. Without a snapshot nothing may go.

use std::sync::Arc;

use journal::record::{JournalRecordRef, MarketRecord};
use journal::{Log, LogWriter, Offset, Retention, Span};
use model::Date;

use crate::error::RuntimeError;
use crate::market::MarketHost;
use crate::namespace::{Namespace, market_position};

/// Settings in trading days and GB as what a log takes: 0 keeps all.
pub fn keep(days: u32, gb: u32) -> Retention {
    Retention {
        days: (days > 0).then_some(days),
        bytes: (gb > 0).then_some(u64::from(gb) * 1_000_000_000),
    }
}

fn of_log(log: &dyn Log) -> impl Fn(journal::JournalError) -> RuntimeError + '_ {
    move |error| RuntimeError::journal(log.name(), error)
}

/// The offset below which recovery needs nothing of a log.
pub fn own_floor(log: &dyn Log) -> Result<Offset, RuntimeError> {
    let all = log.snapshots().list().map_err(of_log(log))?;
    Ok(all.first().copied().unwrap_or_default())
}

/// The offset below which recovery needs nothing of the market log: of the runner, and of each namespace that a
/// journal is of.
pub fn market_floor(market: &dyn Log, journals: &[Arc<dyn Log>]) -> Result<Offset, RuntimeError> {
    let mut floor = own_floor(market)?;
    for journal in journals {
        let failed = of_log(journal.as_ref());
        // Without any snapshot it runs over all that it ever took.
        let mut of_namespace = None;
        for at in journal.snapshots().list().map_err(&failed)? {
            // One that is damaged is passed over, by recovery as well.
            if let Some(payload) = journal.snapshots().load(at).map_err(&failed)? {
                let position = market_position(journal.name(), at, &payload)?;
                of_namespace = Some(of_namespace.unwrap_or(position).min(position));
            }
        }
        floor = floor.min(of_namespace.unwrap_or_default());
    }
    Ok(floor)
}

impl Namespace {
    /// A trading day begins: what is recorded from here on goes into a file of its own, which begins
    /// with the tables that its indices belong to. False where the day has begun already.
    pub fn begin_day(&mut self, day: Date) -> Result<bool, RuntimeError> {
        if has_begun(self.log(), day) {
            return Ok(false);
        }
        self.commit()?;
        let name = self.name().to_owned();
        let (log, start, bytes) = self.log_parts();
        log.roll(day).map_err(|e| RuntimeError::journal(&name, e))?;
        bytes.clear();
        JournalRecordRef::Start(start)
            .encode(bytes)
            .map_err(|e| RuntimeError::record(&name, e))?;
        log.append(bytes)
            .and_then(|_| log.commit())
            .map(|_| true)
            .map_err(|e| RuntimeError::journal(&name, e))
    }

    /// Removes what is older than the trading days that are kept (see
    /// [`keep_days`](Self::keep_days)) and not needed by recovery.
    pub fn retain(&mut self, today: Date) -> Result<Vec<Span>, RuntimeError> {
        let name = self.name().to_owned();
        let floor = own_floor(self.journal().as_ref())?;
        let keep = keep(self.kept_days(), 0);
        let (log, ..) = self.log_parts();
        log.retain(floor, today, &keep)
            .map_err(|e| RuntimeError::journal(&name, e))
    }
}

impl MarketHost {
    /// As [`Namespace::begin_day`]. A failure is kept, as of every write of the market log.
    pub fn begin_day(&mut self, day: Date) -> bool {
        if self.failed().is_some() || has_begun(self.log(), day) {
            return false;
        }
        self.commit();
        let (log, start, bytes) = self.log_parts();
        bytes.clear();
        let result = MarketRecord::Start(start.clone())
            .encode(bytes)
            .map_err(|e| RuntimeError::record("market", e))
            .and_then(|()| {
                log.roll(day)
                    .and_then(|()| log.append(bytes))
                    .and_then(|_| log.commit())
                    .map_err(|e| RuntimeError::journal("market", e))
            });
        if let Err(error) = result {
            self.fail(&error);
            return false;
        }
        true
    }

    /// Removes the trading days that are more than is kept (see [`keep`](Self::keep)) and not needed by the
    /// recovery of the runner or of any of these namespaces: those that take part. The snapshots are read only
    /// where there is something to remove.
    pub fn retain(
        &mut self,
        journals: &[Arc<dyn Log>],
        today: Date,
    ) -> Result<Vec<Span>, RuntimeError> {
        let keep = self.kept();
        if !self.log().has_surplus(today, &keep) {
            return Ok(Vec::new());
        }
        let floor = market_floor(self.market_log(), journals)?;
        let (log, ..) = self.log_parts();
        log.retain(floor, today, &keep)
            .map_err(|e| RuntimeError::journal("market", e))
    }
}

fn has_begun(log: &dyn LogWriter, day: Date) -> bool {
    log.day() == Some(day)
}
