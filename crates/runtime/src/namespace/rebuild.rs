//! What a journal came to: the newest snapshot, and what is recorded after it.

use std::sync::Arc;

use journal::record::{Entry, JournalRecord, Run, Start, decode_with};
use journal::{Log, Offset};
use pipeline::broker::PipelineState;
use pipeline::strategy_host::HostState;
use pipeline::{BrokerPipeline, Input};
use serde::{Deserialize, Serialize};

use super::keyed::Keyed;
use super::recover::Recovered;
use crate::error::RuntimeError;
use crate::market::Cursor;
use crate::tables::{self, SavedStart};

/// What a recorded journal is read with, or decided again.
pub struct ReplayParts {
    /// The journal.
    pub journal: Arc<dyn Log>,
    /// The market log.
    pub market: Arc<dyn Log>,
    /// A fresh composition, as for [`Namespace::open`](super::Namespace::open).
    pub pipeline: BrokerPipeline,
    /// What a start would record now.
    pub start: Start,
}

/// The state of a namespace in a snapshot.
#[derive(Serialize, Deserialize)]
pub struct Saved {
    pub(super) pipeline: PipelineState,
    pub(super) step: u64,
    pub(super) next: u64,
    pub(super) market: Offset,
    pub(super) keyed: Keyed,
}

/// Where the market log stood at a namespace's snapshot: recovery from it reads on from there.
pub fn market_position(name: &str, at: Offset, payload: &[u8]) -> Result<Offset, RuntimeError> {
    /// All that is wanted of it.
    #[derive(Deserialize)]
    struct Place {
        market: Offset,
    }
    let head = SavedStart::read(name, at, payload)?;
    let place: Place = head.state(name, at, wire::roots::NAMESPACE_STATE, None)?;
    Ok(place.market)
}

/// Where a namespace is read from.
pub(super) struct Recorded<'a> {
    pub(super) journal: &'a dyn Log,
    pub(super) market: Arc<dyn Log>,
    /// Where the journal begins.
    pub(super) first: Offset,
    /// Where it ends: no snapshot lies behind.
    pub(super) end: Offset,
}

/// A namespace as its journal left it.
pub(super) struct Rebuilt {
    pub(super) pipeline: BrokerPipeline,
    /// The number of the next run.
    pub(super) step: u64,
    /// The next market input.
    pub(super) next: u64,
    /// From where on the market log is needed.
    pub(super) market: Offset,
    /// Commands that were given under a key.
    pub(super) keyed: Keyed,
    /// The latest start that was recorded.
    pub(super) latest: Option<Start>,
}

/// Reads a namespace into a fresh composition, under the names of `start`.
pub(super) fn rebuild(
    recorded: Recorded<'_>,
    pipeline: BrokerPipeline,
    start: &Start,
    recovered: &mut Recovered,
) -> Result<Rebuilt, RuntimeError> {
    let Recorded {
        journal,
        market,
        first,
        end,
    } = recorded;
    let name = pipeline.namespace().as_str().to_owned();
    let mut rebuilt = Rebuilt {
        pipeline,
        step: 0,
        next: 0,
        market: Offset::BEGINNING,
        keyed: Keyed::default(),
        latest: None,
    };
    let mut from = first;
    let fresh = rebuilt
        .pipeline
        .save_strategies()
        .map_err(|e| RuntimeError::state(&name, e.to_string()))?;
    let loaded = match load_snapshot(journal, end, start) {
        Err(error @ RuntimeError::State { .. }) if first == Offset::BEGINNING => {
            recovered.unread = Some(error.to_string());
            None
        }
        loaded => loaded?,
    };
    if let Some((at, old, saved)) = loaded {
        let unchanged = |strategy: &str| tables::unchanged(&old, start, strategy);
        let map = tables::reindex(&old, start);
        match rebuilt
            .pipeline
            .restore_state(saved.pipeline, &map, unchanged)
        {
            Ok(restarted) => {
                recovered.restarted = restarted;
                (rebuilt.step, rebuilt.next, rebuilt.market) =
                    (saved.step, saved.next, saved.market);
                rebuilt.keyed = saved.keyed;
                recovered.snapshot = Some(at);
                from = at;
                // What was decided in an earlier session keeps the identities that it had there.
                rebuilt.pipeline.set_source(old.source);
                rebuilt.latest = Some(old);
            }
            Err(error) => {
                let error = format!("the snapshot at {at}: {error}");
                if first > Offset::BEGINNING {
                    return Err(RuntimeError::state(&name, error));
                }
                // The log has its beginning, and holds all that the snapshot would have said.
                recovered.unread = Some(error);
            }
        }
    } else if first > Offset::BEGINNING {
        return Err(RuntimeError::state(
            &name,
            format!(
                "no snapshot in {} can be read, and the journal's beginning has been removed: restore a snapshot file from a backup",
                journal.place()
            ),
        ));
    }
    let mut replay = Replay {
        cursor: Cursor::new(
            market,
            rebuilt.market,
            start.clone(),
            rebuilt.latest.as_ref(),
        ),
        start,
        recovered,
        latest: rebuilt.latest.take(),
        fresh,
    };
    replay.run(&mut rebuilt, journal, from)?;
    replay.pass(&mut rebuilt, start);
    rebuilt.latest = replay.latest;
    rebuilt.pipeline.set_source(start.source);
    rebuilt.pipeline.discard_decisions();
    Ok(rebuilt)
}

/// The pipeline of a namespace as its journal left it. It reads only; a system that runs meanwhile may be
/// ahead of it.
pub fn look(parts: ReplayParts) -> Result<BrokerPipeline, RuntimeError> {
    let recorded = Recorded {
        first: tables::first(parts.journal.as_ref())?,
        journal: parts.journal.as_ref(),
        market: parts.market,
        end: Offset::END,
    };
    let mut recovered = Recovered::default();
    let rebuilt = rebuild(recorded, parts.pipeline, &parts.start, &mut recovered)?;
    Ok(rebuilt.pipeline)
}

fn load_snapshot(
    journal: &dyn Log,
    end: Offset,
    start: &Start,
) -> Result<Option<(Offset, Start, Saved)>, RuntimeError> {
    let name = journal.name();
    let found = journal.snapshots().newest(end);
    let found = found.map_err(|e| RuntimeError::journal(name, e))?;
    let Some((at, payload)) = found else {
        return Ok(None);
    };
    let head = SavedStart::read(name, at, &payload)?;
    let map = tables::reindex(&head.start, start);
    let saved = head.state(name, at, wire::roots::NAMESPACE_STATE, Some(&map))?;
    Ok(Some((at, head.start, saved)))
}

/// Reads what was recorded into a pipeline.
struct Replay<'a> {
    cursor: Cursor,
    start: &'a Start,
    recovered: &'a mut Recovered,
    latest: Option<Start>,
    /// The strategies as they were built.
    fresh: HostState,
}

impl Replay<'_> {
    /// A start is passed: strategies that are defined otherwise from it on begin anew there, as they
    /// did when it happened.
    fn pass(&mut self, rebuilt: &mut Rebuilt, start: &Start) {
        if let Some(before) = &self.latest {
            let changed = |name: &str| !tables::unchanged(before, start, name);
            for name in rebuilt.pipeline.begin_anew(&self.fresh, changed) {
                if !self.recovered.restarted.contains(&name) {
                    self.recovered.restarted.push(name);
                }
            }
        }
        rebuilt.pipeline.set_source(start.source);
    }

    fn run(
        &mut self,
        rebuilt: &mut Rebuilt,
        journal: &dyn Log,
        from: Offset,
    ) -> Result<(), RuntimeError> {
        let name = journal.name();
        let failed = |e| RuntimeError::journal(name, e);
        let mut reader = journal.read(from).map_err(failed)?;
        let mut map = self
            .latest
            .as_ref()
            .map(|old| tables::reindex(old, self.start));
        while let Some((_, bytes)) = reader.next().map_err(failed)? {
            let record = decode_with::<JournalRecord>(bytes, map.as_ref());
            match record.map_err(|e| RuntimeError::record(name, e))? {
                JournalRecord::Start(start) => {
                    map = Some(tables::reindex(&start, self.start));
                    self.pass(rebuilt, &start);
                    self.latest = Some(start);
                }
                JournalRecord::Run(run) => self.take(rebuilt, &run)?,
                JournalRecord::Stop { .. } => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, rebuilt: &mut Rebuilt, run: &Run) -> Result<(), RuntimeError> {
        self.recovered.records += 1;
        for entry in &run.inputs {
            match entry {
                Entry::Market { first, last } => {
                    let pipeline = &mut rebuilt.pipeline;
                    let mut seen = 0;
                    let missing = self.cursor.range(*first, *last, |id, item| {
                        pipeline.observe(&Input::Market(id, &item.data()));
                        pipeline.discard_decisions();
                        seen += 1;
                    })?;
                    self.recovered.inputs += seen;
                    self.recovered.missing.extend(missing);
                    rebuilt.next = rebuilt.next.max(last.0 + 1);
                }
                Entry::Full(id, item) => {
                    rebuilt.pipeline.observe(&Input::Market(*id, &item.data()));
                    self.recovered.inputs += 1;
                    rebuilt.next = rebuilt.next.max(id.0 + 1);
                }
                Entry::Conflated { last, .. } => {
                    rebuilt.next = rebuilt.next.max(last.0 + 1);
                }
                Entry::Clock(id, due) => rebuilt.pipeline.observe(&Input::Clock(*id, *due)),
                Entry::TimersMissed(until) => {
                    rebuilt.pipeline.observe(&Input::TimersMissed(*until));
                }
                Entry::Signal(signal) => rebuilt.pipeline.observe(&Input::Signal(signal)),
                Entry::Report(report) => rebuilt.pipeline.observe(&Input::Report(report)),
                Entry::Command(ts, command) => {
                    rebuilt.pipeline.observe(&Input::Command(*ts, command));
                }
            }
            rebuilt.pipeline.discard_decisions();
        }
        for event in &run.outputs {
            rebuilt.pipeline.apply(event);
        }
        rebuilt.pipeline.discard_decisions();
        rebuilt.keyed.note_recorded(run);
        rebuilt.step = rebuilt.step.max(run.step + 1);
        Ok(())
    }
}
