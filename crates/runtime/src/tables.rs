//! Interned indices over starts: each start of the system has its own tables of instruments, strategies
//! and currencies, and what an earlier one recorded is read through a translation.

use std::collections::HashMap;

use journal::record::{Record, Start, StrategyEntry, decode, is_start};
use journal::{Log, Offset};
use model::instrument::Instrument;
use model::reindex::Reindex;
use model::{CurrencyIdx, InstrumentIdx, StrategyIdx};

use crate::error::RuntimeError;

/// How `old`'s indices read under `new`'s tables.
pub fn reindex(old: &Start, new: &Start) -> Reindex {
    fn map<T, I>(
        old: &[T],
        new: &[T],
        name: impl Fn(&T) -> &str,
        index: impl Fn(usize) -> I,
    ) -> Vec<Option<I>> {
        let at: HashMap<&str, usize> = new.iter().enumerate().map(|(i, t)| (name(t), i)).collect();
        old.iter()
            .map(|t| at.get(name(t)).map(|i| index(*i)))
            .collect()
    }
    Reindex::new(
        map(
            &old.instruments,
            &new.instruments,
            |i| i.id.as_str(),
            |i| InstrumentIdx(i as u32),
        ),
        map(
            &old.strategies,
            &new.strategies,
            |s| s.name.as_str(),
            |i| StrategyIdx(i as u32),
        ),
        map(
            &old.currencies,
            &new.currencies,
            |c| c.code(),
            |i| CurrencyIdx(i as u16),
        ),
    )
}

/// Whether a strategy is defined now as it was at `old`.
pub fn unchanged(old: &Start, new: &Start, name: &str) -> bool {
    let definition = |start: &Start| {
        start
            .strategies
            .iter()
            .find(|s| s.name == name)
            .map(|s| s.definition.clone())
    };
    definition(old).is_some_and(|old| Some(old) == definition(new))
}

/// Where a log begins, now that retention has removed what it has.
pub fn first(log: &dyn Log) -> Result<Offset, RuntimeError> {
    let spans = log.spans();
    let spans = spans.map_err(|e| RuntimeError::journal(log.name(), e))?;
    Ok(spans.first().map_or(Offset::BEGINNING, |span| span.first))
}

/// The start in force at an offset of a log: the newest that is recorded or saved before it. `None`
/// at a log's beginning, or where retention has removed it.
pub fn in_force<R: Record>(log: &dyn Log, at: Offset) -> Result<Option<Start>, RuntimeError> {
    let failed = |e| RuntimeError::journal(log.name(), e);
    let found = log.snapshots().newest(at).map_err(failed)?;
    let saved = found.and_then(|(at, payload)| {
        let saved = SavedStart::read(log.name(), at, &payload).ok()?;
        Some((at, saved.start))
    });
    // From the snapshot on only; and each day's first span begins with a start.
    let from = saved.as_ref().map_or(Offset::BEGINNING, |(at, _)| *at);
    let mut end = at;
    let spans = log.spans().map_err(failed)?;
    for span in spans.iter().rev().filter(|span| span.first < at) {
        let mut latest = None;
        let mut reader = log.read(span.first.max(from)).map_err(failed)?;
        while let Some((at, bytes)) = reader.next().map_err(failed)? {
            if at >= end {
                break;
            }
            if is_start(bytes) {
                let record: R = decode(bytes).map_err(|e| RuntimeError::record(log.name(), e))?;
                latest = record.start();
            }
        }
        if latest.is_some() {
            return Ok(latest);
        }
        if span.first <= from {
            break;
        }
        end = span.first;
    }
    Ok(saved.map(|(_, start)| start))
}

/// What earlier starts knew: instruments and strategies that a new one must know as well, as positions
/// and orders may be in them.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Instruments by canonical id, the newest spelling.
    pub instruments: HashMap<String, Instrument>,
    /// Strategies.
    pub strategies: Vec<String>,
    /// The newest start.
    pub latest: Option<Start>,
}

impl Known {
    /// Takes in a start.
    pub fn add(&mut self, start: Start) {
        for instrument in &start.instruments {
            self.instruments
                .insert(instrument.id.clone(), instrument.clone());
        }
        for StrategyEntry { name, .. } in &start.strategies {
            if !self.strategies.contains(name) {
                self.strategies.push(name.clone());
            }
        }
        self.latest = Some(start);
    }

    /// Reads every start of a log from its newest snapshot on. A start knows all that the ones before it
    /// knew.
    pub fn read<R: Record>(&mut self, log: &dyn Log) -> Result<(), RuntimeError> {
        let failed = |e| RuntimeError::journal(log.name(), e);
        let mut from = Offset::BEGINNING;
        let found = log.snapshots().newest(Offset::END).map_err(failed)?;
        if let Some((at, payload)) = found
            && let Ok(saved) = SavedStart::read(log.name(), at, &payload)
        {
            self.add(saved.start);
            from = at;
        }
        if log.is_fresh().map_err(failed)? {
            return Ok(());
        }
        let mut reader = log.read(from).map_err(failed)?;
        while let Some((_, bytes)) = reader.next().map_err(failed)? {
            if is_start(bytes) {
                let record: R = decode(bytes).map_err(|e| RuntimeError::record(log.name(), e))?;
                if let Some(start) = record.start() {
                    self.add(start);
                }
            }
        }
        Ok(())
    }
}

/// The head of every snapshot: the tables that its indices belong to. The state is a message of its own, as each log
/// has another.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct SavedStart {
    /// The start under which it was saved.
    pub start: Start,
    state: Vec<u8>,
}

impl SavedStart {
    /// A state behind its head.
    pub fn write(
        start: &Start,
        root: wire::Root,
        state: &impl serde::Serialize,
    ) -> Result<Vec<u8>, wire::WireError> {
        let mut head = Self {
            start: start.clone(),
            state: Vec::new(),
        };
        wire::encode(root, state, &mut head.state)?;
        let mut payload = Vec::with_capacity(head.state.len() + 4096);
        wire::encode(wire::roots::SAVED_START, &head, &mut payload)?;
        Ok(payload)
    }

    /// The head of a snapshot.
    pub fn read(name: &str, at: Offset, payload: &[u8]) -> Result<Self, RuntimeError> {
        wire::decode(wire::roots::SAVED_START, payload, None)
            .map_err(|e| RuntimeError::state(name, format!("the snapshot at {at}: {e}")))
    }

    /// What it is the head of, with today's indices where `map` translates them.
    pub fn state<T: serde::de::DeserializeOwned>(
        &self,
        name: &str,
        at: Offset,
        root: wire::Root,
        map: Option<&Reindex>,
    ) -> Result<T, RuntimeError> {
        wire::decode(root, &self.state, map)
            .map_err(|e| RuntimeError::state(name, format!("the snapshot at {at}: {e}")))
    }
}
