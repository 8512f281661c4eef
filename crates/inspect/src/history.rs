//! Walks a recorded journal from its beginning: the market inputs that a namespace took, and the events
//! that it recorded. The pipeline is rebuilt on the way, as a recovery would, so that its accounts stand
//! as they did. It reads only, also beside a running system.

use journal::Offset;
use journal::record::{Entry, JournalRecord, Run, Start, decode_with};
use model::event::Event;
use model::market::MarketData;
use model::reindex::Reindex;
use model::{InputId, Timestamp};
use pipeline::{BrokerPipeline, Input};
use runtime::market::Cursor;
use runtime::namespace::ReplayParts;
use runtime::{RuntimeError, tables};

/// What comes next on a walk.
#[derive(Debug, Clone, Copy)]
pub enum Ahead<'a> {
    /// A tick or a bar.
    Market(&'a MarketData<'a>),
    /// A timer, at its due time.
    Clock(Timestamp),
}

/// What is told of a walk.
pub trait Visitor {
    /// Before the pipeline takes an input of the market or the clock. The walk ends here when the answer
    /// is false.
    fn ahead(&mut self, next: Ahead<'_>, pipeline: &BrokerPipeline) -> bool;

    /// What an input has caused. The pipeline has taken it. The walk ends here when the answer is false.
    fn events(&mut self, events: &[Event], pipeline: &BrokerPipeline) -> bool;
}

/// What a walk came to.
pub struct Walked {
    /// The pipeline as the walk left it.
    pub pipeline: BrokerPipeline,
    /// Records read.
    pub records: u64,
    /// Market inputs that the journal refers to and the market log has not, or not any more.
    pub missing: Vec<(InputId, InputId)>,
    /// The journal's beginning has been removed, so nothing was read.
    pub beginning_removed: bool,
}

/// Walks the journal of a namespace. An error is of the logs.
pub fn walk(parts: ReplayParts, visitor: &mut dyn Visitor) -> Result<Walked, RuntimeError> {
    let ReplayParts {
        journal,
        market,
        pipeline,
        start,
    } = parts;
    let name = journal.name();
    let failed = |e| RuntimeError::journal(name, e);
    let mut walk = Walk {
        cursor: Cursor::new(market, Offset::BEGINNING, start.clone(), None),
        epoch: None,
        goes_on: true,
        walked: Walked {
            pipeline,
            records: 0,
            missing: Vec::new(),
            beginning_removed: tables::first(journal.as_ref())? > Offset::BEGINNING,
        },
    };
    if walk.walked.beginning_removed {
        return Ok(walk.walked);
    }
    let mut reader = journal.read(Offset::BEGINNING).map_err(failed)?;
    let mut map: Option<Reindex> = None;
    while walk.goes_on
        && let Some((_, bytes)) = reader.next().map_err(failed)?
    {
        let record = decode_with::<JournalRecord>(bytes, map.as_ref());
        match record.map_err(|e| RuntimeError::record(name, e))? {
            JournalRecord::Start(at) => {
                map = Some(tables::reindex(&at, &start));
                walk.enter(&at);
            }
            JournalRecord::Run(run) => walk.run(&run, visitor)?,
            JournalRecord::Stop { .. } => {}
        }
    }
    Ok(walk.walked)
}

struct Walk {
    cursor: Cursor,
    epoch: Option<u64>,
    goes_on: bool,
    walked: Walked,
}

impl Walk {
    /// A start. The same one is recorded again where a log goes on in a new file.
    fn enter(&mut self, start: &Start) {
        if self.epoch == Some(start.epoch) {
            return;
        }
        self.epoch = Some(start.epoch);
        self.walked.pipeline.set_source(start.source);
        self.walked.pipeline.discard_decisions();
    }

    /// As recovery does: inputs are observed, recorded outputs applied.
    fn run(&mut self, run: &Run, visitor: &mut dyn Visitor) -> Result<(), RuntimeError> {
        self.walked.records += 1;
        for entry in &run.inputs {
            let (pipeline, goes_on) = (&mut self.walked.pipeline, &mut self.goes_on);
            let mut market = |id, data: &MarketData<'_>| {
                *goes_on = *goes_on && visitor.ahead(Ahead::Market(data), pipeline);
                if *goes_on {
                    pipeline.observe(&Input::Market(id, data));
                    pipeline.discard_decisions();
                }
            };
            match entry {
                Entry::Market { first, last } => {
                    let missing = self
                        .cursor
                        .range(*first, *last, |id, item| market(id, &item.data()))?;
                    self.walked.missing.extend(missing);
                }
                Entry::Full(id, item) => market(*id, &item.data()),
                // A mark: what the range came to follows in full.
                Entry::Conflated { .. } => {}
                Entry::Clock(id, due) => {
                    *goes_on = *goes_on && visitor.ahead(Ahead::Clock(*due), pipeline);
                    if *goes_on {
                        pipeline.observe(&Input::Clock(*id, *due));
                    }
                }
                Entry::TimersMissed(until) => pipeline.observe(&Input::TimersMissed(*until)),
                Entry::Signal(signal) => pipeline.observe(&Input::Signal(signal)),
                Entry::Report(report) => pipeline.observe(&Input::Report(report)),
                Entry::Command(ts, command) => pipeline.observe(&Input::Command(*ts, command)),
            }
            self.walked.pipeline.discard_decisions();
            if !self.goes_on {
                return Ok(());
            }
        }
        for event in &run.outputs {
            self.walked.pipeline.apply(event);
        }
        self.walked.pipeline.discard_decisions();
        if !run.outputs.is_empty() {
            self.goes_on = visitor.events(&run.outputs, &self.walked.pipeline);
        }
        Ok(())
    }
}
