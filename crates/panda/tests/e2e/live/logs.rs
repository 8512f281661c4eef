//! Reads a data directory's logs, without the binary.

use std::path::Path;

use journal::record::{JournalRecord, MarketItem, MarketRecord, Run, Start, decode, decode_with};
use journal::{FileLogs, LogName, Logs, Offset};
use model::Instruments;
use model::event::Event;
use research::log_hash::{LogHasher, Names};
use runtime::tables;

pub fn records(data: &Path, name: &str) -> Vec<Vec<u8>> {
    let log = FileLogs::existing(data).log(LogName::of(name));
    let mut reader = log.read(Offset::BEGINNING).unwrap();
    let mut all = Vec::new();
    while let Some((_, bytes)) = reader.next().unwrap() {
        all.push(bytes.to_vec());
    }
    all
}

/// A namespace's journal, read with the names of its last start.
pub struct Journal {
    pub start: Start,
    pub starts: usize,
    pub runs: Vec<Run>,
}

impl Journal {
    pub fn read(data: &Path, broker: &str) -> Self {
        let raw = records(data, broker);
        let starts: Vec<Start> = raw
            .iter()
            .filter(|bytes| journal::record::is_start(bytes))
            .map(|bytes| match decode::<JournalRecord>(bytes).unwrap() {
                JournalRecord::Start(start) => start,
                other => panic!("{other:?}"),
            })
            .collect();
        let last = starts.last().unwrap().clone();
        let mut map = None;
        let mut runs = Vec::new();
        for bytes in &raw {
            if journal::record::is_start(bytes) {
                let JournalRecord::Start(start) = decode(bytes).unwrap() else {
                    unreachable!()
                };
                map = Some(tables::reindex(&start, &last));
                continue;
            }
            let record = decode_with(bytes, map.as_ref()).unwrap();
            if let JournalRecord::Run(run) = record {
                runs.push(run);
            }
        }
        Self {
            start: last,
            starts: starts.len(),
            runs,
        }
    }

    pub fn events(&self) -> Vec<Event> {
        self.runs.iter().flat_map(|r| r.outputs.clone()).collect()
    }

    /// The hash that a backtest gives for the same events.
    pub fn log_hash(&self, broker: &str) -> String {
        let instruments = Instruments::new(self.start.instruments.clone()).unwrap();
        let strategies: Vec<String> = self
            .start
            .strategies
            .iter()
            .map(|s| s.name.clone())
            .collect();
        let names = Names {
            instruments: &instruments,
            strategies: &strategies,
        };
        let mut hasher = LogHasher::new();
        for event in self.events() {
            hasher.update(broker, &names, &event);
        }
        hasher.finish()
    }
}

/// The ticks of the market log.
pub fn market(data: &Path) -> Vec<(u64, MarketItem)> {
    records(data, "market")
        .iter()
        .flat_map(|bytes| decode::<MarketRecord>(bytes).unwrap().into_inputs())
        .map(|(id, item)| (id.0, item))
        .collect()
}
