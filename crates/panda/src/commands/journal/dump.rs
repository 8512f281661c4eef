//! `panda journal dump`.

use std::io::{BufWriter, ErrorKind, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use inspect::render::{Names, host};
use journal::LogName;
use journal::record::{JournalRecord, MarketRecord, Run, Start};
use model::event::Event;
use runtime::records::{JournalRecords, MarketRecords};
use serde_json::{Value, json};
use wire::EventPlace;

use super::super::place::{Place, PlaceArgs};

/// How often a followed log is looked at.
const POLL: Duration = Duration::from_millis(100);

/// Print events as JSON lines
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  panda journal dump --broker paper --type order_filled\n  panda journal dump --type orders.submitted --follow\n  panda journal dump --correlation-id 5f2c --inputs\n  panda journal dump --market --since 100000"
)]
pub struct DumpArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Only this namespace's journal; without it all, one after the other
    #[arg(long, value_name = "NAME")]
    broker: Option<String>,
    /// Only events of this type (`order_filled`) or topic (`orders.filled`)
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only events of the decision whose id begins so
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// From this step on; with --market from this input on
    #[arg(long, value_name = "N")]
    since: Option<u64>,
    /// Print the recorded inputs and starts as well
    #[arg(long)]
    inputs: bool,
    /// Print the market log instead
    #[arg(long, conflicts_with_all = ["broker", "kind", "correlation_id", "inputs"])]
    market: bool,
    /// Go on as the system writes, until it is interrupted
    #[arg(long)]
    follow: bool,
}

/// Where lines go. False: the reader has seen enough.
struct Out(BufWriter<std::io::StdoutLock<'static>>);

impl Out {
    fn check(result: std::io::Result<()>) -> anyhow::Result<bool> {
        match result {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error).context("cannot write to the standard output"),
        }
    }
    fn line(&mut self, value: &Value) -> anyhow::Result<bool> {
        Self::check(writeln!(self.0, "{value}"))
    }
    fn flush(&mut self) -> anyhow::Result<bool> {
        Self::check(self.0.flush())
    }
}

pub(super) fn run(args: &DumpArgs) -> anyhow::Result<()> {
    let place = args.place.open()?;
    let mut out = Out(BufWriter::new(std::io::stdout().lock()));
    if args.market {
        return market(args, &place, &mut out);
    }
    let mut chosen = place.chosen(args.broker.as_deref())?;
    if chosen.is_empty() && !args.follow {
        bail!(
            "{} has no journal: is it the data directory of a system that has run?",
            place.dir.display()
        );
    }
    let filter = Filter::new(args);
    let mut open: Vec<(String, JournalRecords)> = Vec::new();
    let mut shown = false;
    loop {
        for broker in &chosen {
            if !open.iter().any(|(name, _)| name == broker) {
                let log = place.logs.log(LogName::Journal(broker));
                let records = JournalRecords::open(log.as_ref())?;
                open.push((broker.clone(), records));
            }
        }
        for (broker, records) in &mut open {
            while let Some(found) = records.next()? {
                // Where the tables have been removed with the log's beginning, names are null.
                let nameless = nameless();
                let names = Names(found.start.as_deref().unwrap_or(&nameless));
                for line in filter.lines(broker, &found.record, &names) {
                    shown = true;
                    if !out.line(&line)? {
                        return Ok(());
                    }
                }
            }
        }
        if !out.flush()? {
            return Ok(());
        }
        if !args.follow {
            if !shown && filter.is_narrow() {
                // An empty answer to a misspelt question looks like the truth.
                eprintln!(
                    "nothing matches; `panda journal stats` lists the types of events that are recorded"
                );
            }
            return Ok(());
        }
        std::thread::sleep(POLL);
        if args.broker.is_none() {
            chosen = place.logs.journals()?;
        }
    }
}

fn market(args: &DumpArgs, place: &Place, out: &mut Out) -> anyhow::Result<()> {
    let mut records = MarketRecords::open(place.logs.log(LogName::Market).as_ref())?;
    loop {
        while let Some(found) = records.next()? {
            let nameless = nameless();
            let names = Names(found.start.as_deref().unwrap_or(&nameless));
            // For a reader each tick is a record.
            let records = match found.record {
                MarketRecord::Ticks(ticks) => ticks
                    .numbered()
                    .map(|(id, item)| MarketRecord::Market(id, item))
                    .collect(),
                record => vec![record],
            };
            for record in &records {
                let number = match record {
                    MarketRecord::Market(id, _) | MarketRecord::Clock(id, _) => id.0,
                    MarketRecord::Switch { input, .. } => input.0,
                    _ => 0,
                };
                if args.since.is_some_and(|since| number < since) {
                    continue;
                }
                if !out.line(&names.market_record(record))? {
                    return Ok(());
                }
            }
        }
        if !out.flush()? || !args.follow {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
}

struct Filter<'a> {
    kind: Option<&'a str>,
    correlation: Option<String>,
    since: u64,
    inputs: bool,
}

impl<'a> Filter<'a> {
    fn new(args: &'a DumpArgs) -> Self {
        Self {
            kind: args.kind.as_deref(),
            correlation: args.correlation_id.as_ref().map(|c| c.to_lowercase()),
            since: args.since.unwrap_or(0),
            inputs: args.inputs,
        }
    }

    fn wants(&self, broker: &str, event: &Event) -> bool {
        let suffix = event.channel().suffix();
        let of_topic = |kind: &str| {
            kind == suffix
                || kind
                    .strip_prefix(broker)
                    .and_then(|rest| rest.strip_prefix('.'))
                    == Some(suffix)
        };
        self.kind
            .is_none_or(|kind| kind == event.kind() || of_topic(kind))
            && self
                .correlation
                .as_ref()
                .is_none_or(|start| event.correlation.to_string().starts_with(start))
    }

    const fn is_narrow(&self) -> bool {
        self.kind.is_some() || self.correlation.is_some()
    }

    fn lines(&self, broker: &str, record: &JournalRecord, names: &Names<'_>) -> Vec<Value> {
        let of_broker = |mut value: Value| {
            if let Some(map) = value.as_object_mut() {
                map.insert("broker".to_owned(), json!(broker));
            }
            value
        };
        match record {
            JournalRecord::Run(run) if run.step >= self.since => self.run(broker, run, names),
            JournalRecord::Start(start) if self.inputs && !self.is_narrow() => {
                vec![of_broker(names.start(start))]
            }
            JournalRecord::Stop { at, why } if self.inputs && !self.is_narrow() => {
                vec![of_broker(Names::stop(*at, why))]
            }
            _ => Vec::new(),
        }
    }

    fn run(&self, broker: &str, run: &Run, names: &Names<'_>) -> Vec<Value> {
        let wanted: Vec<(EventPlace, &Event)> = run
            .placed()
            .filter(|(_, event)| self.wants(broker, event))
            .collect();
        let mut lines = Vec::new();
        let put = |mut value: Value, more: &[(&str, Value)]| {
            if let Some(map) = value.as_object_mut() {
                for (key, more) in more {
                    map.insert((*key).to_owned(), more.clone());
                }
            }
            value
        };
        let step = ("step", json!(run.step));
        if self.inputs && (!wanted.is_empty() || !self.is_narrow()) {
            for entry in &run.inputs {
                let of = [("broker", json!(broker)), step.clone()];
                lines.push(put(names.entry(entry), &of));
            }
        }
        for (at, event) in wanted {
            let of = [step.clone(), ("host", host(&run.host))];
            lines.push(put(names.event(broker, event, at), &of));
        }
        lines
    }
}

fn nameless() -> Start {
    Start {
        epoch: 0,
        at: model::Timestamp(0),
        build: String::new(),
        settings: String::new(),
        source: model::ids::SourceSession(0),
        live: false,
        salt: 0,
        brokers: Vec::new(),
        strategies: Vec::new(),
        instruments: Vec::new(),
        currencies: Vec::new(),
    }
}
