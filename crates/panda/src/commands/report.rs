//! `panda report`: what a backtest writes, made from the journals of a system that has traded.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::ProgressBar;
use inspect::history::{Ahead, Visitor, walk};
use model::event::{Event, Snapshot};
use model::session::Sessions;
use model::time::HOUR;
use model::{Amount, CurrencyIdx, Date, Price, Timestamp};
use pipeline::BrokerPipeline;
use research::OutputError;
use research::collector::Collector;
use research::log_hash::{LogHashes, Names};
use research::output::OutputDir;
use research::report::{ReportData, write_html};
use research::sampler::PriceSampler;
use research::summary::{Provenance, RunFacts, Summary};
use session::{RecordedSystem, recorded};

use super::backtest::{bound, progress, space_specs, table, warn};
use super::place::{Place, PlaceArgs};
use super::{Interrupt, print};
use crate::compose::BUILT_IN;

/// Write the files and the page that a backtest writes, about what was traded.
#[derive(Debug, Args)]
#[command(after_help = "\
Reads the journals of a data directory, also beside a running system, and writes summary.json, signals.csv, orders.csv, fills.csv, \
trades.csv, equity.csv, charges.csv and report.html into DIR. A part of a journal begins with the equity of that instant; \
positions that were open then stay open, and what they had made before is no part of it.

Examples:
  panda report --out today --date 2026-11-27
  panda report --out november --from 2026-11-01 --to 2026-12-01 --broker zerodha
  panda report --out all --config panda.toml --json")]
pub struct ReportArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Only these brokers, separated by commas; default: all that have a journal
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    broker: Vec<String>,
    /// One trading day
    #[arg(long, value_name = "DATE", conflicts_with_all = ["from", "to"])]
    date: Option<String>,
    /// First instant: a date in the data's time zone, or RFC 3339
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// End, exclusive: a date in the data's time zone, or RFC 3339
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Directory of the results; must be new, empty, or hold earlier results
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print summary.json instead of the table
    #[arg(long)]
    json: bool,
}

/// The part of the journals that is reported; ends are exclusive.
#[derive(Debug, Clone, Copy)]
struct Part {
    from: Timestamp,
    to: Timestamp,
}

impl Part {
    fn begins_later(self) -> bool {
        self.from > Timestamp::MIN
    }
}

/// Runs the command.
pub fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let place = args.place.open()?;
    let brokers = chosen(args, &place)?;
    let mut settings = place.settings.clone();
    settings.live.data_dir.clone_from(&place.dir);
    let interrupt = Interrupt::listen()?;
    let system = recorded(&settings, &brokers, BUILT_IN)?;
    let part = part(args, &place, system.sessions.as_ref())?;
    let out = OutputDir::create(&args.out)?;
    let summary = report(args, &place, system, part, &interrupt, out)?;
    warn(&summary.warnings);
    if args.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&summary)?))
    } else {
        print(&table(&summary, &args.out)?)
    }
}

fn chosen(args: &ReportArgs, place: &Place) -> anyhow::Result<Vec<String>> {
    if args.broker.is_empty() && place.brokers.is_empty() {
        bail!(
            "{} has no journal: is it the data directory of a system that has run?",
            place.dir.display()
        );
    }
    if args.broker.is_empty() {
        return Ok(place.brokers.clone());
    }
    for broker in &args.broker {
        place.chosen(Some(broker))?;
    }
    Ok(args.broker.clone())
}

fn part(args: &ReportArgs, place: &Place, sessions: &dyn Sessions) -> anyhow::Result<Part> {
    let Some(text) = &args.date else {
        let part = Part {
            from: bound("--from", &args.from, &place.settings)?.unwrap_or(Timestamp::MIN),
            to: bound("--to", &args.to, &place.settings)?.unwrap_or(Timestamp::MAX),
        };
        if part.from >= part.to {
            bail!("--to: it ends before --from, or with it: nothing lies between them");
        }
        return Ok(part);
    };
    let date = Date::parse(text)
        .with_context(|| format!("--date: `{text}` is no date; write 2026-11-27"))?;
    // The trading day may begin on the date before or end on the date after, wherever its market is.
    let midnight = i64::from(date.days()) * 24 * HOUR;
    let day = (-24..48)
        .map(|hour| sessions.trading_day(Timestamp(midnight + hour * HOUR)))
        .find(|day| day.date == date)
        .with_context(|| format!("--date: the calendar has no trading day {date}"))?;
    Ok(Part {
        from: day.start,
        to: day.end,
    })
}

/// One namespace's journal on its way into the files.
struct Reader<'a, 'c> {
    namespace: usize,
    part: Part,
    collector: &'c mut Collector<'a>,
    hashes: &'c mut LogHashes,
    names: Names<'a>,
    sessions: &'a dyn Sessions,
    interrupt: &'c Interrupt,
    bar: &'c ProgressBar,
    prices: PriceSampler,
    /// By instrument.
    last_prices: Vec<Price>,
    inputs: u64,
    span: Option<(Timestamp, Timestamp)>,
    /// Of the whole journal, for an empty part's message.
    recorded: Option<(Timestamp, Timestamp)>,
    begun: bool,
    /// The trading day of the inputs that go by, and its end.
    day: Option<(Date, Timestamp)>,
    /// By currency, of the part: the highest equity and the largest fall from it.
    falls: Vec<(Amount, Amount)>,
    failed: Option<anyhow::Error>,
}

impl Reader<'_, '_> {
    fn begin(&mut self, pipeline: &BrokerPipeline) -> Result<(), OutputError> {
        self.begun = true;
        if self.part.begins_later() {
            let accounts = accounts(pipeline);
            self.falls = accounts.iter().map(|a| (a.equity, Amount::ZERO)).collect();
            self.collector
                .begin(self.namespace, self.part.from, &accounts, &self.last_prices)?;
        }
        Ok(())
    }

    fn close_day(&mut self, date: Date, pipeline: &BrokerPipeline) {
        for (index, account) in pipeline.portfolio().accounts().iter().enumerate() {
            let holds = !account.gross_exposure.is_zero();
            let currency = CurrencyIdx(index as u16);
            self.collector
                .on_day(self.namespace, date, currency, account.equity(), holds);
        }
    }

    /// Marks the part's own peak and fall: the account's are of the whole journal.
    fn mark(&mut self, pipeline: &BrokerPipeline) {
        for (fall, account) in self.falls.iter_mut().zip(pipeline.portfolio().accounts()) {
            fall.0 = fall.0.max(account.equity());
            if let Ok(depth) = fall.0.checked_sub(account.equity()) {
                fall.1 = fall.1.max(depth);
            }
        }
    }

    fn look_ahead(&mut self, next: Ahead<'_>, pipeline: &BrokerPipeline) -> anyhow::Result<bool> {
        // A bar belongs to the day in which it ends, its close being the first instant after it.
        let at = match next {
            Ahead::Market(data) => data.happened(),
            Ahead::Clock(due) => due,
        };
        // A timer at an end is of what it ends.
        let is_behind = |end: Timestamp| match next {
            Ahead::Market(_) => at >= end,
            Ahead::Clock(_) => at > end,
        };
        if let Some((date, end)) = self.day
            && is_behind(end)
        {
            self.close_day(date, pipeline);
            self.day = None;
        }
        let (first, _) = self.recorded.unwrap_or((at, at));
        self.recorded = Some((first, at));
        if is_behind(self.part.to) {
            return Ok(false);
        }
        if !self.begun && is_behind(self.part.from) {
            self.begin(pipeline)?;
        }
        if self.begun {
            self.mark(pipeline);
        }
        if let Ahead::Market(data) = next {
            if self.day.is_none() {
                let day = self.sessions.trading_day(at);
                self.day = Some((day.date, day.end));
            }
            if let Some(price) = self.last_prices.get_mut(data.instrument().index()) {
                *price = data.price();
            }
            if self.begun {
                self.inputs += 1;
                let (first, last) = self.span.unwrap_or((data.ts(), data.ts()));
                self.span = Some((first, last.max(data.ts())));
                self.prices
                    .record(data.instrument(), data.ts(), data.price());
            }
        }
        Ok(true)
    }

    fn take(&mut self, events: &[Event], pipeline: &BrokerPipeline) -> anyhow::Result<()> {
        self.bar.inc(1);
        self.interrupt.check()?;
        for event in events {
            if self.begun {
                self.hashes.update(self.namespace, &self.names, event);
            }
            self.collector.on_event(self.namespace, event)?;
        }
        if self.begun {
            self.mark(pipeline);
        }
        Ok(())
    }

    /// The end of the walk: the day so far, and the account as it stands.
    fn end(&mut self, pipeline: &BrokerPipeline) -> anyhow::Result<()> {
        if let Some((date, _)) = self.day.take() {
            self.close_day(date, pipeline);
        }
        if !self.begun {
            self.begin(pipeline)?;
        }
        self.mark(pipeline);
        let mut accounts = accounts(pipeline);
        for (account, (peak, fall)) in accounts.iter_mut().zip(&self.falls) {
            (account.peak, account.max_drawdown) = (*peak, *fall);
        }
        self.collector.on_end(self.namespace, &accounts);
        Ok(())
    }
}

impl Visitor for Reader<'_, '_> {
    fn ahead(&mut self, next: Ahead<'_>, pipeline: &BrokerPipeline) -> bool {
        match self.look_ahead(next, pipeline) {
            Ok(goes_on) => goes_on,
            Err(error) => {
                self.failed = Some(error);
                false
            }
        }
    }

    fn events(&mut self, events: &[Event], pipeline: &BrokerPipeline) -> bool {
        match self.take(events, pipeline) {
            Ok(()) => true,
            Err(error) => {
                self.failed = Some(error);
                false
            }
        }
    }
}

/// The accounts as a snapshot would tell them.
fn accounts(pipeline: &BrokerPipeline) -> Vec<Snapshot> {
    let told = |(index, account): (usize, &pipeline::portfolio::Account)| {
        let made = account
            .equity()
            .checked_sub(account.starting_cash)
            .and_then(|made| made.checked_sub(account.realised))
            .and_then(|made| made.checked_add(account.charges));
        Snapshot {
            currency: CurrencyIdx(index as u16),
            sequence: 0,
            cash_flow: account.cash_flow,
            realised: account.realised,
            unrealised: made.unwrap_or_default(),
            charges: account.charges,
            equity: account.equity(),
            peak: account.peak,
            max_drawdown: account.max_drawdown,
            gross_exposure: account.gross_exposure,
            loss_base: account.loss_base,
            loss_peak: account.loss_peak,
        }
    };
    let accounts = pipeline.portfolio().accounts();
    accounts.iter().enumerate().map(told).collect()
}

fn report(
    args: &ReportArgs,
    place: &Place,
    system: RecordedSystem,
    part: Part,
    interrupt: &Interrupt,
    out: OutputDir,
) -> anyhow::Result<Summary> {
    let RecordedSystem {
        spaces,
        instruments,
        sessions,
        strategies,
    } = system;
    let names = Names {
        instruments: &instruments,
        strategies: &strategies,
    };
    let (brokers, walks): (Vec<_>, Vec<_>) =
        spaces.into_iter().map(|s| (s.broker, s.parts)).unzip();
    let cash: Vec<_> = brokers.iter().map(|b| b.table.cash(&instruments)).collect();
    let specs = space_specs(&brokers, &cash, sessions.as_ref());
    let space_names: Vec<&str> = specs.iter().map(|s| s.name).collect();
    let mut collector = Collector::create(out.path(), names, &specs)?;
    let mut hashes = LogHashes::new(&space_names);
    let mut facts = RunFacts {
        build: format!("panda {}", env!("CARGO_PKG_VERSION")),
        ..RunFacts::default()
    };
    let bar = progress("records");
    let mut prices: Option<(u64, PriceSampler)> = None;
    let mut last_prices = Vec::new();
    let (mut span, mut recorded): (Option<_>, Option<_>) = (None, None);
    for (namespace, parts) in walks.into_iter().enumerate() {
        let name = space_names[namespace];
        if part.begins_later() {
            collector.mute();
        }
        let mut reader = Reader {
            namespace,
            part,
            collector: &mut collector,
            hashes: &mut hashes,
            names,
            sessions: sessions.as_ref(),
            interrupt,
            bar: &bar,
            prices: PriceSampler::new(instruments.len()),
            last_prices: vec![Price::ZERO; instruments.len()],
            inputs: 0,
            span: None,
            recorded: None,
            begun: false,
            day: None,
            falls: Vec::new(),
            failed: None,
        };
        let walked = walk(parts, &mut reader)?;
        if let Some(error) = reader.failed.take() {
            return Err(error.context(format!("the journal of `{name}`")));
        }
        if walked.beginning_removed {
            bail!(
                "the journal of `{name}` does not begin at its beginning any more: retention has removed it, and a report needs it, since positions and sums begin there; keep more days ([retention] in the settings), or leave it out (--broker)"
            );
        }
        reader.end(&walked.pipeline)?;
        span = joined(span, reader.span);
        recorded = joined(recorded, reader.recorded);
        facts.ticks = facts.ticks.max(reader.inputs);
        facts
            .warnings
            .extend(walked.missing.iter().map(|(first, last)| {
                format!(
                    "{name}: the market inputs {} to {} are lost: the account was not marked at their prices",
                    first.0, last.0
                )
            }));
        if prices
            .as_ref()
            .is_none_or(|(most, _)| *most < reader.inputs)
        {
            prices = Some((reader.inputs, reader.prices));
        }
        last_prices.push(reader.last_prices);
    }
    bar.finish_and_clear();
    if span.is_none() {
        match recorded {
            Some((first, last)) => {
                bail!("nothing was recorded in that part: the journals read span {first} to {last}")
            }
            None => bail!("the journals hold no market data: nothing has been traded yet"),
        }
    }
    let collected = collector.finish(|namespace| &last_prices[namespace])?;
    (facts.log_hash, facts.log_hash_by_broker) = hashes.finish();
    facts.rows_read = facts.ticks;
    facts.provenance = Provenance {
        from: span.map(|(first, _)| first.to_string()),
        to: span.map(|(_, last)| last.to_string()),
        files: Vec::new(),
    };
    facts.settings = serde_json::json!({
        "data_dir": place.dir.display().to_string(),
        "brokers": space_names,
        "time_zone": place.settings.data.time_zone,
    });
    let summary = Summary::new(&collected, names, facts)?;
    summary.write(out.path())?;
    let title = title(args, &space_names);
    let data = ReportData {
        title: &title,
        summary: &summary,
        collected: &collected,
        prices: &prices.map_or_else(|| PriceSampler::new(instruments.len()), |(_, p)| p),
        names,
        time_zone: place.settings.report_zone(),
    };
    out.write("report.html", |file| write_html(&data, file))?;
    out.commit()
        .with_context(|| format!("{}", args.out.display()))?;
    Ok(summary)
}

type Span = Option<(Timestamp, Timestamp)>;

fn joined(one: Span, other: Span) -> Span {
    match (one, other) {
        (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        (one, other) => one.or(other),
    }
}

fn title(args: &ReportArgs, brokers: &[&str]) -> String {
    let when = match (&args.date, &args.from, &args.to) {
        (Some(date), _, _) => format!(" on {date}"),
        (None, None, None) => String::new(),
        (None, from, to) => {
            let from = from.as_ref().map(|t| format!(" from {t}"));
            let to = to.as_ref().map(|t| format!(" to {t}"));
            format!("{}{}", from.unwrap_or_default(), to.unwrap_or_default())
        }
    };
    format!("Trading of {}{when}", brokers.join(", "))
}
