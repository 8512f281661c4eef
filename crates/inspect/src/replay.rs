//! Decides a recorded journal again, from its beginning, and compares: the same build and settings must
//! come to the same events. It reads only; what differs is a fault, or a change that nobody recorded.
//!
//! A journal acts on market inputs before the market log has synced them: a kill or a loss of power may take
//! those. Strategies and marks were warmer with them than a replay can be, so from the first run that lacks one
//! the journal is taken as it is, as recovery takes it.

use std::collections::VecDeque;

use journal::record::{Entry, JournalRecord, MarketItem, Run, Start, decode_with};
use journal::{Log, Offset};
use model::InputId;
use model::event::Event;
use model::reindex::Reindex;
use pipeline::{BrokerPipeline, Input};
use runtime::market::Cursor;
use runtime::namespace::ReplayParts;
use runtime::{RuntimeError, tables};
use serde_json::Value;
use wire::EventPlace;

use crate::render::Names;

/// Records that were written under something else, and so were taken as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotComparable {
    /// The epoch of their start.
    pub epoch: u64,
    /// How many records it wrote.
    pub records: u64,
    /// What differs.
    pub differs: Vec<&'static str>,
}

/// The first event that came out otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The epoch of its start.
    pub epoch: u64,
    /// The number of its record.
    pub step: u64,
    /// Its number in the record.
    pub event: usize,
    /// As recorded; `None` where nothing was.
    pub recorded: Option<Value>,
    /// As decided now; `None` where nothing is.
    pub decided: Option<Value>,
    /// True where records before it were not comparable: what strategies had learned under them may
    /// explain it.
    pub after_gap: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReplayReport {
    /// Runs read.
    pub records: u64,
    /// Events in them.
    pub events: u64,
    /// Events that were decided again and are equal.
    pub compared: u64,
    /// Where it first differs; nothing behind it was looked at.
    pub first_difference: Option<Difference>,
    /// What was not compared, by start.
    pub not_comparable: Vec<NotComparable>,
    /// Market inputs that the journal refers to and the market log has not, or not any more.
    pub missing: Vec<(InputId, InputId)>,
    /// Events from the first run on that lacks market inputs: taken as they are.
    pub colder: u64,
    /// The journal's beginning has been removed: nothing was decided.
    pub beginning_removed: bool,
}

impl ReplayReport {
    /// Whether all that could be compared is equal, and something was.
    pub const fn is_equal(&self) -> bool {
        self.first_difference.is_none() && self.compared > 0
    }
}

/// Decides a journal again. An error is of the logs, not of the comparison.
pub fn replay(parts: ReplayParts) -> Result<ReplayReport, RuntimeError> {
    let ReplayParts {
        journal,
        market,
        pipeline,
        start,
    } = parts;
    if tables::first(journal.as_ref())? > Offset::BEGINNING {
        return Ok(ReplayReport {
            beginning_removed: true,
            ..ReplayReport::default()
        });
    }
    let cursor = Cursor::new(market, Offset::BEGINNING, start.clone(), None);
    let mut replay = Replay {
        pipeline,
        cursor,
        start,
        name: journal.name().to_owned(),
        epoch: None,
        decides: false,
        items: VecDeque::new(),
        is_gap: false,
        out: Vec::new(),
        report: ReplayReport::default(),
    };
    replay.run(journal.as_ref())?;
    Ok(replay.report)
}

struct Replay {
    pipeline: BrokerPipeline,
    cursor: Cursor,
    start: Start,
    name: String,
    epoch: Option<u64>,
    /// Records of the start in force are decided again.
    decides: bool,
    /// The market inputs of the run at hand.
    items: VecDeque<(InputId, MarketItem)>,
    /// The market log has held nothing since the latest range that it lacks.
    is_gap: bool,
    out: Vec<Event>,
    report: ReplayReport,
}

impl Replay {
    fn run(&mut self, journal: &dyn Log) -> Result<(), RuntimeError> {
        let mut reader = journal
            .read(Offset::BEGINNING)
            .map_err(|e| RuntimeError::journal(&self.name, e))?;
        let mut map: Option<Reindex> = None;
        while let Some((_, bytes)) = reader
            .next()
            .map_err(|e| RuntimeError::journal(&self.name, e))?
        {
            let record = decode_with::<JournalRecord>(bytes, map.as_ref());
            match record.map_err(|e| RuntimeError::record(&self.name, e))? {
                JournalRecord::Start(start) => {
                    map = Some(tables::reindex(&start, &self.start));
                    self.enter(&start);
                }
                JournalRecord::Run(run) => {
                    self.report.records += 1;
                    self.report.events += run.outputs.len() as u64;
                    self.read(&run)?;
                    let is_colder = !self.report.missing.is_empty();
                    if is_colder {
                        self.report.colder += run.outputs.len() as u64;
                    }
                    if self.decides && !is_colder {
                        self.decide(&run);
                    } else {
                        self.rebuild(&run);
                    }
                    if self.report.first_difference.is_some() {
                        return Ok(());
                    }
                }
                JournalRecord::Stop { .. } => {}
            }
        }
        Ok(())
    }

    /// A start. The same one is recorded again where a log goes on in a new file.
    fn enter(&mut self, start: &Start) {
        if self.epoch == Some(start.epoch) {
            return;
        }
        self.epoch = Some(start.epoch);
        // A live source has a new session at each start, and identities are derived from it.
        self.pipeline.set_source(start.source);
        // As recovery did: what was decided and not recorded did not happen.
        self.pipeline.discard_decisions();
        let differs = start.differences(&self.start);
        self.decides = differs.is_empty();
        if !self.decides {
            self.report.not_comparable.push(NotComparable {
                epoch: start.epoch,
                records: 0,
                differs,
            });
        }
    }

    /// Reads the market inputs that a run refers to: what is decided must lack none of them.
    fn read(&mut self, run: &Run) -> Result<(), RuntimeError> {
        self.items.clear();
        for entry in &run.inputs {
            if let Entry::Market { first, last } = entry {
                let (items, is_gap) = (&mut self.items, &mut self.is_gap);
                let missing = self.cursor.range(*first, *last, |id, item| {
                    *is_gap = false;
                    items.push_back((id, *item));
                })?;
                let Some((from, to)) = missing else {
                    continue;
                };
                // Between two lost ranges the journal has in full what caused something.
                match self.report.missing.last_mut() {
                    Some((_, end)) if *is_gap => *end = to,
                    _ => self.report.missing.push((from, to)),
                }
                *is_gap = true;
            }
        }
        Ok(())
    }

    /// Feeds a run's inputs to `take`.
    fn feed(&mut self, run: &Run, take: fn(&mut BrokerPipeline, &Input<'_>, &mut Vec<Event>)) {
        let (pipeline, out) = (&mut self.pipeline, &mut self.out);
        for entry in &run.inputs {
            match entry {
                Entry::Market { last, .. } => {
                    while let Some((id, item)) = self.items.pop_front_if(|(id, _)| *id <= *last) {
                        take(pipeline, &Input::Market(id, &item.data()), out);
                    }
                }
                Entry::Full(id, item) => take(pipeline, &Input::Market(*id, &item.data()), out),
                // A mark: what the range came to follows in full.
                Entry::Conflated { .. } => {}
                Entry::Clock(id, due) => take(pipeline, &Input::Clock(*id, *due), out),
                Entry::TimersMissed(until) => take(pipeline, &Input::TimersMissed(*until), out),
                Entry::Signal(signal) => take(pipeline, &Input::Signal(signal), out),
                Entry::Report(report) => take(pipeline, &Input::Report(report), out),
                Entry::Command(ts, command) => {
                    take(pipeline, &Input::Command(*ts, command), out);
                }
            }
        }
    }

    fn decide(&mut self, run: &Run) {
        self.out.clear();
        self.feed(run, |pipeline, input, out| pipeline.step(input, out));
        let equal = run
            .outputs
            .iter()
            .zip(&self.out)
            .take_while(|(recorded, decided)| recorded == decided)
            .count();
        self.report.compared += equal as u64;
        if equal < run.outputs.len().max(self.out.len()) {
            let names = Names(&self.start);
            let at = EventPlace {
                step: run.step,
                ordinal: equal,
            };
            let shown =
                |events: &[Event]| events.get(equal).map(|e| names.event(&self.name, e, at));
            self.report.first_difference = Some(Difference {
                epoch: self.epoch.unwrap_or_default(),
                step: run.step,
                event: equal,
                recorded: shown(&run.outputs),
                decided: shown(&self.out),
                after_gap: !self.report.not_comparable.is_empty(),
            });
        }
    }

    /// As recovery does: inputs are observed, recorded outputs applied.
    fn rebuild(&mut self, run: &Run) {
        if !self.decides
            && let Some(latest) = self.report.not_comparable.last_mut()
        {
            latest.records += 1;
        }
        self.feed(run, |pipeline, input, _| {
            pipeline.observe(input);
            pipeline.discard_decisions();
        });
        for event in &run.outputs {
            self.pipeline.apply(event);
        }
        self.pipeline.discard_decisions();
    }
}
