//! `panda backtest`: strategies over recorded data, through the stages that trade live.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use feeds::Loaded;
use indicatif::{ProgressBar, ProgressStyle};
use markets::calendar::MarketSessions;
use model::event::Event;
use model::session::Sessions;
use model::{Amount, CurrencyIdx, Date, Instruments, Timestamp};
use pipeline::{BrokerPipeline, EventSink};
use research::OutputError;
use research::collector::{Collector, SpaceSpec};
use research::driver::{Driven, RunSink, drive};
use research::log_hash::{LogHashes, Names};
use research::output::OutputDir;
use research::report::{ReportData, write_html};
use research::sampler::PriceSampler;
use research::summary::{FileUse, Provenance, RunFacts, Summary};
use session::compose::{ActiveBroker, Parts, System, compose, load_strategies};
use session::facts::{Dependence, date};
use session::load::DataRequest;
use settings::Settings;

use super::Interrupt;
use super::print;
use crate::compose::{broker_registry, kind_registry};

/// Backtest strategies over recorded ticks or bars.
#[derive(Debug, Args)]
#[command(after_help = "\
Writes summary.json, signals.csv, orders.csv, fills.csv, trades.csv, equity.csv, charges.csv and report.html into DIR. The same \
inputs give the same log_hash on every run and machine.

Examples:
  panda backtest --data ticks/ --instruments instruments.csv --strategy strategies.yaml --out out
  panda backtest --data catalogue --instruments instruments.csv --strategy a.yaml b.yaml \\
      --config panda.toml --broker paper --from 2021-04-15 --to 2021-04-17 --out out --json")]
pub struct BacktestArgs {
    /// A catalogue, a directory of CSV files (also .csv.gz), or one file
    #[arg(long, value_name = "PATH")]
    pub data: PathBuf,
    /// The instruments: minimal CSV, or a broker's instrument dump
    #[arg(long, value_name = "FILE")]
    pub instruments: PathBuf,
    /// Strategy definitions (YAML)
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub strategy: Vec<PathBuf>,
    /// Settings (TOML); without it the built-in ones
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Brokers to run, separated by commas; default: active_brokers of the settings
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub broker: Vec<String>,
    /// Directory of the results; must be new, empty, or hold earlier results
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// First instant: a date in the data's time zone, or RFC 3339
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// End, exclusive: a date in the data's time zone, or RFC 3339
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Only these instruments of the data, separated by commas
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub symbols: Vec<String>,
    /// Splits and bonuses that history is adjusted by: CSV with instrument, ex_date, kind, ratio
    #[arg(long, value_name = "FILE")]
    pub corporate_actions: Option<PathBuf>,
    /// Print summary.json instead of the table
    #[arg(long)]
    pub json: bool,
}

/// What the kernel produces, on its way into hashes and files.
struct Sink<'a> {
    names: Names<'a>,
    hashes: LogHashes,
    collector: Collector<'a>,
    /// The first failure to write; the run ends at its next look.
    failed: Option<OutputError>,
    /// Time in here, which is not the pipeline's.
    spent: Duration,
}

impl EventSink for Sink<'_> {
    fn events(&mut self, namespace: usize, events: &[Event]) {
        let start = Instant::now();
        for event in events {
            self.hashes.update(namespace, &self.names, event);
            if self.failed.is_none()
                && let Err(error) = self.collector.on_event(namespace, event)
            {
                self.failed = Some(error);
            }
        }
        self.spent += start.elapsed();
    }
}

impl RunSink for Sink<'_> {
    fn day_closes(&mut self, date: Date, pipelines: &[BrokerPipeline]) {
        for (namespace, pipeline) in pipelines.iter().enumerate() {
            for (index, account) in pipeline.portfolio().accounts().iter().enumerate() {
                let holds = !account.gross_exposure.is_zero();
                let currency = CurrencyIdx(index as u16);
                self.collector
                    .on_day(namespace, date, currency, account.equity(), holds);
            }
        }
    }
}

/// The inputs of a run, read and checked.
struct Inputs {
    settings: Settings,
    brokers: Vec<String>,
    instruments: Arc<Instruments>,
    sessions: MarketSessions,
    strategies: Vec<strategies::ResolvedStrategy>,
    files: Vec<FileUse>,
    warnings: Vec<String>,
}

/// Runs the command.
pub fn run(args: &BacktestArgs) -> anyhow::Result<()> {
    // Everything that can be wrong is looked at before the data is, which may take long.
    let inputs = read_inputs(args)?;
    check_apart(args)?;
    let interrupt = Interrupt::listen()?;
    let out = OutputDir::create(&args.out)?;
    let mut loaded = load(args, &inputs)?;
    interrupt.check()?;
    let dependence = Dependence {
        settings: &inputs.settings,
        brokers: &inputs.brokers,
        sessions: &inputs.sessions,
        instruments: &inputs.instruments,
        strategies: &inputs.strategies,
    };
    let known = dependence.check_recorded(&loaded)?;
    let sessions: Arc<dyn Sessions> = Arc::new(inputs.sessions.clone());
    let mut system = compose(&Parts {
        settings: &inputs.settings,
        brokers: &inputs.brokers,
        registry: &broker_registry(),
        strategies: &inputs.strategies,
        retired: &[],
        instruments: &inputs.instruments,
        sessions: &sessions,
        source: loaded.session,
        live: false,
    })?;
    system.warnings.extend(known);
    system.warnings.extend_from_slice(&inputs.warnings);
    system.warnings.extend_from_slice(&loaded.warnings);
    let said = system.warnings.len();
    warn(&system.warnings);
    let summary = execute(
        args,
        &inputs,
        &mut loaded,
        &mut system,
        &sessions,
        out,
        &interrupt,
    )?;
    warn(&summary.warnings[said.min(summary.warnings.len())..]);
    if args.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&summary)?))
    } else {
        print(&table(&summary, &args.out)?)
    }
}

pub(super) fn warn(warnings: &[String]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}

/// Results below the data would be read as data the next time.
fn check_apart(args: &BacktestArgs) -> anyhow::Result<()> {
    let (Ok(data), Ok(out)) = (
        std::fs::canonicalize(&args.data),
        std::path::absolute(&args.out),
    ) else {
        return Ok(());
    };
    // The nearest place above the results that is there already tells where they really lie.
    let real = out
        .ancestors()
        .find_map(|path| std::fs::canonicalize(path).ok());
    if out.starts_with(&data) || real.is_some_and(|path| path.starts_with(&data)) {
        bail!(
            "--out: {} lies within the data {}, where the next run would read it as data: choose a place beside it",
            args.out.display(),
            args.data.display()
        );
    }
    Ok(())
}

/// Every broker's kind must be known, also of those that do not run: a slip of the pen is found now.
fn check_kinds(settings: &Settings, config: Option<&Path>) -> anyhow::Result<()> {
    let registry = broker_registry();
    for (name, table) in &settings.brokers {
        if registry.get(&table.kind).is_none() {
            let file = config
                .map(|path| format!("{}: ", path.display()))
                .unwrap_or_default();
            bail!(
                "{file}[trading_engine.{name}]: no kind of broker is called `{}`: set `kind` to one of: {}",
                table.kind,
                registry.names().join(", ")
            );
        }
    }
    Ok(())
}

fn read_inputs(args: &BacktestArgs) -> anyhow::Result<Inputs> {
    let mut settings = Settings::load(args.config.as_deref())?;
    if args.corporate_actions.is_some() {
        settings.data.corporate_actions = args.corporate_actions.clone();
    }
    check_kinds(&settings, args.config.as_deref())?;
    if args.broker.iter().any(|name| name.trim().is_empty()) {
        bail!("--broker: a name is empty; write names with commas between them, such as paper");
    }
    let brokers = if args.broker.is_empty() {
        settings.active_brokers.clone()
    } else {
        args.broker.clone()
    };
    let from = bound("--from", &args.from, &settings)?;
    let book = settings.markets.rule_book(from.and_then(date));
    let loaded = feeds::load_instruments_with_notes(&args.instruments, &book);
    let loaded = loaded.context("--instruments")?;
    let instruments = Arc::new(loaded.instruments);
    let sessions = settings.sessions(&instruments)?;
    let strategies = load_strategies(&args.strategy, &instruments, &kind_registry())?;
    let mut paths: Vec<&Path> = vec![&args.instruments];
    paths.extend(args.strategy.iter().map(PathBuf::as_path));
    paths.extend(args.config.as_deref());
    paths.extend(settings.markets.files());
    paths.extend(settings.data.corporate_actions.as_deref());
    let files = paths
        .into_iter()
        .map(|path| {
            let bytes = std::fs::read(path).with_context(|| format!("{}", path.display()))?;
            let digest = blake3::hash(&bytes).to_hex().to_string();
            Ok(FileUse {
                path: path.display().to_string(),
                digest,
                rows: 0,
            })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Inputs {
        settings,
        brokers,
        instruments,
        sessions,
        strategies,
        files,
        warnings: loaded.warnings,
    })
}

pub(super) fn bound(
    flag: &'static str,
    text: &Option<String>,
    settings: &Settings,
) -> anyhow::Result<Option<Timestamp>> {
    let zone = settings.data.zone()?;
    let bound = text.as_ref().map(|t| feeds::clock::parse_bound(t, &zone));
    bound.transpose().context(flag)
}

fn load(args: &BacktestArgs, inputs: &Inputs) -> anyhow::Result<Loaded> {
    let mut selection = None;
    if !args.symbols.is_empty() {
        let wanted = args
            .symbols
            .iter()
            .map(|s| Ok(inputs.instruments.find(s)?))
            .collect::<anyhow::Result<_>>()
            .context("--symbols")?;
        selection = Some(wanted);
    }
    let request = DataRequest {
        path: &args.data,
        from: bound("--from", &args.from, &inputs.settings)?.unwrap_or(Timestamp::MIN),
        to: bound("--to", &args.to, &inputs.settings)?.unwrap_or(Timestamp::MAX),
        selection,
    };
    let bar = progress("reading");
    let loaded = session::load::load(
        &inputs.settings,
        &inputs.instruments,
        &inputs.sessions,
        request,
        &mut |p| {
            bar.set_length(p.files_total as u64);
            bar.set_position(p.files as u64);
            bar.set_message(format!("{} rows", p.rows));
        },
    );
    bar.finish_and_clear();
    loaded
}

pub(super) fn progress(what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    let style = "{prefix} {wide_bar} {pos}/{len} {msg}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.set_prefix(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn execute(
    args: &BacktestArgs,
    inputs: &Inputs,
    loaded: &mut Loaded,
    system: &mut System,
    sessions: &Arc<dyn Sessions>,
    out: OutputDir,
    interrupt: &Interrupt,
) -> anyhow::Result<Summary> {
    let instruments = &inputs.instruments;
    let names = Names {
        instruments,
        strategies: &system.strategies,
    };
    let cash: Vec<_> = system
        .brokers
        .iter()
        .map(|b| b.table.cash(instruments))
        .collect();
    let spaces = space_specs(&system.brokers, &cash, sessions.as_ref());
    let space_names: Vec<&str> = spaces.iter().map(|s| s.name).collect();
    let mut sink = Sink {
        names,
        hashes: LogHashes::new(&space_names),
        collector: Collector::create(out.path(), names, &spaces)?,
        failed: None,
        spent: Duration::ZERO,
    };
    let mut prices = PriceSampler::new(instruments.len());
    let bar = progress("running");
    bar.set_length(loaded.report.kept);
    let driven: Driven = drive(
        &mut system.kernel,
        &mut loaded.stream,
        instruments,
        sessions.as_ref(),
        &mut sink,
        |data| prices.record(data.instrument(), data.ts(), data.price()),
        |sink: &mut Sink<'_>, inputs| {
            bar.set_position(inputs);
            match sink.failed.take() {
                None => interrupt.check(),
                Some(error) => Err(error.into()),
            }
        },
    )?;
    bar.finish_and_clear();
    let spent = sink.spent;
    let last_prices = prices.last_prices();
    let collected = sink.collector.finish(|_| &last_prices)?;
    let (log_hash, log_hash_by_broker) = sink.hashes.finish();
    let facts = RunFacts {
        ticks: driven.inputs,
        engine_seconds: driven.engine.saturating_sub(spent).as_secs_f64(),
        log_hash,
        log_hash_by_broker,
        warnings: warnings(loaded, system, &driven),
        settings: effective(inputs, system),
        ..facts(inputs, loaded, &driven)
    };
    let summary = Summary::new(&collected, names, facts)?;
    summary.write(out.path())?;
    let title = format!("Backtest of {}", strategies_line(inputs));
    let data = ReportData {
        title: &title,
        summary: &summary,
        collected: &collected,
        prices: &prices,
        names,
        time_zone: inputs.settings.report_zone(),
    };
    out.write("report.html", |file| write_html(&data, file))?;
    out.commit()
        .with_context(|| format!("{}", args.out.display()))?;
    Ok(summary)
}

/// The namespaces as the files and the report name them; `cash` is by broker.
pub(super) fn space_specs<'a>(
    brokers: &'a [ActiveBroker],
    cash: &'a [Vec<Amount>],
    sessions: &'a dyn Sessions,
) -> Vec<SpaceSpec<'a>> {
    brokers
        .iter()
        .zip(cash)
        .map(|(broker, cash)| SpaceSpec {
            name: broker.table.namespace.as_str(),
            base: broker.base,
            starting_cash: cash,
            sessions,
        })
        .collect()
}

fn strategies_line(inputs: &Inputs) -> String {
    let ids: Vec<&str> = inputs
        .strategies
        .iter()
        .filter(|s| s.enabled())
        .map(|s| s.id())
        .collect();
    match ids.len() {
        0..=3 => ids.join(", "),
        n => format!("{} and {} more", ids[..2].join(", "), n - 2),
    }
}

fn facts(inputs: &Inputs, loaded: &Loaded, driven: &Driven) -> RunFacts {
    let total = &loaded.report;
    let mut files = inputs.files.clone();
    files.extend(loaded.provenance.files.iter().map(|f| FileUse {
        path: f.file.clone(),
        digest: f.digest.clone(),
        rows: f.rows + f.rejected,
    }));
    // Contents only: where a file lies does not matter.
    let mut digests: Vec<&str> = inputs.files.iter().map(|f| f.digest.as_str()).collect();
    digests.sort_unstable();
    digests.push(&loaded.provenance.inputs_digest);
    // Rows read = ticks + rejected, always: what --from and --to leave out has its own reason.
    let mut rows_rejected: BTreeMap<String, u64> = total
        .rejected
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(reason, n)| (reason.to_string(), n))
        .collect();
    if total.kept > driven.inputs {
        rows_rejected.insert("outside_range".to_owned(), total.kept - driven.inputs);
    }
    let brokers = inputs.brokers.join(",");
    digests.push(&brokers);
    RunFacts {
        rows_read: total.rows_read,
        rows_rejected,
        rows_doubtful: total
            .doubtful
            .iter()
            .filter(|(_, n)| *n > 0)
            .map(|(r, n)| (r.to_string(), n))
            .collect(),
        corporate_actions: loaded.stream.history().applied(),
        inputs_digest: blake3::hash(digests.join("\n").as_bytes())
            .to_hex()
            .to_string(),
        provenance: Provenance {
            from: driven.span.map(|(from, _)| from.to_string()),
            to: driven.span.map(|(_, to)| to.to_string()),
            files,
        },
        build: format!("panda {}", env!("CARGO_PKG_VERSION")),
        ..RunFacts::default()
    }
}

/// So many jumps are told one by one.
const JUMPS_MAX: usize = 10;

fn warnings(loaded: &Loaded, system: &System, driven: &Driven) -> Vec<String> {
    let mut warnings = system.warnings.clone();
    if driven.inputs == 0 {
        warnings.push(
            "no tick was left to run on: see why rows were rejected, and --from, --to and the time zone"
                .to_owned(),
        );
    }
    if !loaded.report.skipped_files.is_empty() {
        warnings.push(format!(
            "{} files of instruments that were not selected were skipped",
            loaded.report.skipped_files.len()
        ));
    }
    let history = loaded.stream.history();
    warnings.extend(history.jumps().take(JUMPS_MAX).map(|jump| jump.to_string()));
    if history.jumps_total() > JUMPS_MAX as u64 {
        warnings.push(format!(
            "{} prices in all jumped so between two days of a share",
            history.jumps_total()
        ));
    }
    for pipeline in system.kernel.pipelines() {
        let disabled = pipeline
            .portfolio()
            .positions()
            .iter()
            .map(|p| p.key.strategy)
            .filter(|s| !pipeline.risk().is_enabled(*s));
        let mut disabled: Vec<_> = disabled.map(|s| s.index()).collect();
        disabled.sort_unstable();
        disabled.dedup();
        for strategy in disabled {
            warnings.push(format!(
                "strategy `{}` was disabled on `{}`: see the incidents",
                system.strategies[strategy],
                pipeline.namespace()
            ));
        }
    }
    warnings
}

/// The settings in effect, for the record.
fn effective(inputs: &Inputs, system: &System) -> serde_json::Value {
    let brokers: serde_json::Map<String, serde_json::Value> = system
        .brokers
        .iter()
        .map(|b| {
            let limits = inputs.settings.limits(b.table.namespace.as_str());
            let value = serde_json::json!({
                "kind": b.table.kind,
                "base_currency": b.table.base_currency.code(),
                "charges": b.table.charges.name(),
                "written": b.table.written,
                "trader": b.effective,
                "risk": limits,
            });
            (b.table.namespace.as_str().to_owned(), value)
        })
        .collect();
    let strategies: serde_json::Map<String, serde_json::Value> = inputs
        .strategies
        .iter()
        .map(|s| {
            let text = serde_json::from_str(&s.digest_text);
            (s.id().to_owned(), text.unwrap_or(serde_json::Value::Null))
        })
        .collect();
    serde_json::json!({
        "brokers": brokers,
        "strategies": strategies,
        "time_zone": inputs.settings.data.time_zone,
        "jump_band_percent": inputs.settings.data.jump_band_percent,
        "session_only": inputs.settings.data.session_only,
        "markets": inputs.settings.markets.text(),
        "snapshot_interval_seconds": inputs.settings.portfolio.snapshot_interval_seconds,
    })
}

/// The result as a table.
pub(super) fn table(summary: &Summary, out: &Path) -> Result<String, std::fmt::Error> {
    let value = serde_json::to_value(summary).unwrap_or_default();
    let mut table = String::new();
    let text = |key: &str| match value.get(key) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    if let Some(refused) = &summary.all_refused {
        writeln!(table, "{refused}\n")?;
    }
    writeln!(table, "rows read        {}", text("rows_read"))?;
    if let Some(rejected) = value.get("rows_rejected").and_then(|r| r.as_object()) {
        for (reason, n) in rejected.iter().filter(|(_, n)| n.as_u64() != Some(0)) {
            writeln!(table, "  rejected       {n} {reason}")?;
        }
    }
    for action in &summary.corporate_actions {
        writeln!(
            table,
            "  adjusted       {} by {} {} of {}, ex {}",
            action.rows, action.kind, action.ratio, action.instrument, action.ex_date
        )?;
    }
    writeln!(table, "ticks            {}", text("ticks"))?;
    writeln!(table, "signals          {}", text("signals"))?;
    if let Some(rejected) = value.get("rejected").and_then(|r| r.as_object()) {
        for (reason, n) in rejected {
            writeln!(table, "  rejected       {n} {reason}")?;
        }
    }
    writeln!(table, "orders           {}", text("orders"))?;
    writeln!(table, "fills            {}", text("fills"))?;
    writeln!(table, "traded quantity  {}", text("traded_quantity"))?;
    for key in [
        "cash_flow",
        "realised",
        "unrealised",
        "charges",
        "net",
        "equity",
        "max_drawdown",
    ] {
        writeln!(
            table,
            "{:<16} {} {}",
            key.replace('_', " "),
            text(key),
            text("currency")
        )?;
    }
    // A report of a journal has run no engine.
    if summary.engine_seconds > 0.0 {
        writeln!(
            table,
            "engine           {:.3} s, {:.1} million ticks/s",
            summary.engine_seconds,
            summary.ticks_per_second / 1e6
        )?;
    }
    writeln!(table, "log hash         {}", text("log_hash"))?;
    writeln!(
        table,
        "report           {}",
        out.join("report.html").display()
    )?;
    Ok(table)
}
