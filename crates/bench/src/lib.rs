//! What `panda bench` measures. Here: the pipeline workload, ticks in memory through strategy, risk, engine, paper fills and portfolio,
//! to events in the output buffer. The same kernel, rules and stages as everything else.

mod bare;
mod driver;
pub mod figures;
pub mod generate;
mod kinds;
pub mod latency;
pub mod memory;
pub mod recovery;
mod storage;
mod system;
pub mod throughput;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use markets::charges::Profile;
use model::event::{Event, EventBody};
use model::ids::SourceSession;
use model::market::MarketData;
use model::order::OrderChange;
use model::session::{AlwaysOpen, Sessions};
use model::{
    Amount, Currency, InputId, Instrument, InstrumentIdx, Instruments, Price, Quantity, Tick,
    Timestamp,
};
use pipeline::{EventSink, Kernel};
use research::log_hash::{LogHasher, Names};
use serde::Serialize;
use session::BuiltIn;
use session::compose::{Parts, compose};
use settings::Settings;
use strategies::ResolvedStrategy;

use crate::generate::Generator;

/// Every rule is asked, at limits that never bind; fills at the signal's tick; no charges, unless
/// [`Costs`] adds them.
const SETTINGS: &str = r#"
[trading_engine.paper]
fill = "signal_tick"
starting_cash = { INR = 1000000000000000 }

[risk]
order_quantity = 10000000000
order_notional = "1000000000000000000"
position_quantity = 10000000000
position_notional = "1000000000000000000"
gross_exposure = "1000000000000000000"
open_orders = 1000000000
orders_per_second = 1000000000
orders_per_day = 1000000000
trades_per_day = 1000000000
price_band = 1000
daily_loss = "1000000000000000000"
drawdown = "1000000000000000000"
stale_market_data_ms = 9000000000000
stale_signal_ms = 9000000000000
session_open = true
tick_and_lot = true
short_selling = "allowed"
duplicate_window_ms = 1
available_cash = true
margin_fraction = 0.00000001
"#;

/// Whether the market's hours and charges belong to the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Costs {
    /// Always open, and nothing is charged.
    #[default]
    None,
    /// The hours of the embedded calendar, and its charges in a profile.
    Market(Profile),
}

/// The trading that [`Workload::on_an_exchange`] fills: from 10:00 IST on a date whose hours and
/// rates are known, for so long that no order meets the square-off before the close.
const TRADING: (Timestamp, i64) = (
    Timestamp(1_764_045_000 * model::time::SECOND),
    4 * model::time::HOUR,
);

/// The ticks of a workload and what they are about.
pub struct Workload {
    /// The instruments.
    pub instruments: Arc<Instruments>,
    /// The ticks, in the order in which they are delivered.
    pub ticks: Vec<Tick>,
}

impl Workload {
    /// The first `ticks` of it.
    pub fn head(&self, ticks: usize) -> Self {
        let ticks = &self.ticks[..ticks.min(self.ticks.len())];
        Self {
            instruments: Arc::clone(&self.instruments),
            ticks: ticks.to_vec(),
        }
    }

    /// Generated: a tick every millisecond.
    pub fn generated(ticks: usize, instruments: u32) -> anyhow::Result<Self> {
        let all = (0..instruments)
            .map(|i| share(&format!("GEN:SYM{i:02}")))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let start = Timestamp(1_700_000_000 * model::time::SECOND);
        let generator = Generator::new(42, instruments, start, 1_000_000);
        Ok(Self {
            instruments: Arc::new(Instruments::new(all)?),
            ticks: generator.take(ticks).collect(),
        })
    }

    /// The same on shares of an exchange, within the hours of one trading day: what [`Costs::Market`]
    /// needs.
    pub fn on_an_exchange(ticks: usize, instruments: u32) -> anyhow::Result<Self> {
        let all = (0..instruments)
            .map(|i| share(&format!("NSE:SYM{i:04}")))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let (start, span) = TRADING;
        let most = i64::try_from(ticks.max(1)).map_or(1, |ticks| span / ticks);
        let step = most.clamp(1, 1_000_000);
        let generator = Generator::new(42, instruments, start, step);
        Ok(Self {
            instruments: Arc::new(Instruments::new(all)?),
            ticks: generator.take(ticks).collect(),
        })
    }

    /// From a CSV file with the columns `ts_ns,symbol,price,size`: every row as given, in file order.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let file = std::fs::File::open(path).with_context(|| format!("cannot open {shown}"))?;
        let mut reader = csv::ReaderBuilder::new().from_reader(std::io::BufReader::new(file));
        let header = reader
            .headers()
            .with_context(|| format!("{shown}"))?
            .clone();
        let column = |name: &str| {
            header.iter().position(|h| h == name).with_context(|| {
                format!(
                    "{shown}:1: column `{name}` is missing; the columns are ts_ns,symbol,price,size"
                )
            })
        };
        let (ts, symbol, price, size) = (
            column("ts_ns")?,
            column("symbol")?,
            column("price")?,
            column("size")?,
        );
        let mut order: BTreeMap<String, u32> = BTreeMap::new();
        let mut ticks: Vec<Tick> = Vec::new();
        let mut record = csv::StringRecord::new();
        loop {
            let more = reader
                .read_record(&mut record)
                .with_context(|| format!("{shown}"))?;
            if !more {
                break;
            }
            let line = record.position().map_or(0, |p| p.line());
            let field = |at: usize| record.get(at).unwrap_or("").trim();
            if field(symbol).is_empty() {
                bail!("{shown}:{line}: the symbol is empty");
            }
            let bad = |what: &str, at: usize| format!("{shown}:{line}: {what} `{}`", field(at));
            let next = order.len() as u32;
            let instrument = match order.get(field(symbol)) {
                Some(index) => *index,
                None => {
                    order.insert(field(symbol).to_owned(), next);
                    next
                }
            };
            let ts_ns: i64 = field(ts).parse().with_context(|| bad("ts_ns", ts))?;
            if ts_ns == i64::MAX {
                bail!(
                    "{}: beyond the last instant that time can have",
                    bad("ts_ns", ts)
                );
            }
            let traded: Price = field(price).parse().with_context(|| bad("price", price))?;
            let quantity: Quantity = field(size).parse().with_context(|| bad("size", size))?;
            if !(Quantity::ZERO..=Quantity::MAX).contains(&quantity) {
                bail!("{}: must lie between 0 and 10 billion", bad("size", size));
            }
            ticks.push(Tick {
                ts: Timestamp(ts_ns),
                exchange_ts: Timestamp(ts_ns),
                price: traded.in_window().with_context(|| bad("price", price))?,
                quantity,
                instrument: InstrumentIdx(instrument),
                ..Tick::default()
            });
        }
        if ticks.is_empty() {
            bail!("{shown}: holds no rows below its header");
        }
        // The registry's indices follow the canonical ids.
        let all = order
            .keys()
            .map(|symbol| {
                share(&if symbol.contains(':') {
                    symbol.clone()
                } else {
                    format!("DATA:{symbol}")
                })
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let ids: Vec<String> = all.iter().map(|i| i.id.clone()).collect();
        let instruments = Instruments::new(all)?;
        let mut index = vec![InstrumentIdx(0); order.len()];
        for (id, seen) in ids.iter().zip(order.values()) {
            index[*seen as usize] = instruments.find(id)?;
        }
        for tick in &mut ticks {
            tick.instrument = index[tick.instrument.index()];
        }
        Ok(Self {
            instruments: Arc::new(instruments),
            ticks,
        })
    }
}

fn share(id: &str) -> anyhow::Result<Instrument> {
    let (exchange, symbol) = id
        .split_once(':')
        .context("an id has an exchange and a symbol")?;
    let currency: Currency = "INR".parse()?;
    // Prices as given are not held to any tick.
    Ok(Instrument {
        tick_size: Price::from_raw(1),
        ..Instrument::share(exchange, symbol, currency)
    })
}

/// What one pass came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Ticks delivered.
    pub ticks: u64,
    /// Orders submitted.
    pub orders: u64,
    /// Executions.
    pub fills: u64,
    /// Σ of the executions' quantities.
    pub traded_quantity: String,
    /// Σ of sales minus Σ of purchases.
    pub cash_flow: String,
    /// Cash flow + positions at the last price − charges, from zero.
    pub equity: String,
    /// What trading cost.
    pub charges: String,
}

/// Counts what leaves the kernel, and hashes it where asked to.
struct Counter<'a> {
    orders: u64,
    fills: u64,
    hash: Option<(LogHasher, Names<'a>)>,
}

impl EventSink for Counter<'_> {
    #[inline]
    fn events(&mut self, _: usize, events: &[Event]) {
        for event in events {
            match &event.body {
                EventBody::OrderSubmitted(_) => self.orders += 1,
                EventBody::OrderChanged(step) if matches!(step.change, OrderChange::Filled(_)) => {
                    self.fills += 1;
                }
                _ => {}
            }
            if let Some((hasher, names)) = &mut self.hash {
                hasher.update("paper", names, event);
            }
        }
    }
}

/// Composes a fresh kernel for a workload.
pub fn kernel(
    built_in: BuiltIn,
    workload: &Workload,
    orders: bool,
    costs: Costs,
) -> anyhow::Result<(Kernel, Vec<String>)> {
    let all: Vec<_> = workload
        .instruments
        .iter()
        .map(|(_, i)| i.id.as_str())
        .collect();
    let mut text = format!("{SETTINGS}allow = {}\n", serde_json::to_string(&all)?);
    if let Costs::Market(profile) = costs {
        let table = "[trading_engine.paper]\n";
        text = text.replace(table, &format!("{table}charges = \"{profile}\"\n"));
    }
    let settings = Settings::parse(&text, "the benchmark's settings")?;
    let sessions: Arc<dyn Sessions> = match costs {
        Costs::None => Arc::new(AlwaysOpen),
        Costs::Market(_) => Arc::new(settings.sessions(&workload.instruments)?),
    };
    // Without orders the strategy runs as ever; its warm-up outlasts the data.
    let warm_up = if orders { 0 } else { u32::MAX };
    let definition = format!(
        "- id: bench\n  kind: ema_cross\n  asset_classes: [equity]\n  warm_up: {warm_up}\n  parameters: {{ fast: 10, slow: 20, quantity: 1, timeframe: tick }}\n"
    );
    let definitions = strategies::parse("benchmark", &definition)?;
    let resolved: Vec<ResolvedStrategy> =
        strategies::resolve(definitions, &workload.instruments, &(built_in.strategies)())?;
    let system = compose(&Parts {
        settings: &settings,
        brokers: &["paper".to_owned()],
        registry: &(built_in.brokers)(None),
        strategies: &resolved,
        retired: &[],
        instruments: &workload.instruments,
        sessions: &sessions,
        source: SourceSession(0),
        live: false,
    })?;
    Ok((system.kernel, system.strategies))
}

/// Runs a workload once; `hash` costs time and is left out of timed passes.
pub fn pass(
    built_in: BuiltIn,
    workload: &Workload,
    orders: bool,
    costs: Costs,
    hash: bool,
) -> anyhow::Result<(Totals, f64, Option<String>)> {
    let (mut kernel, strategies) = kernel(built_in, workload, orders, costs)?;
    let names = Names {
        instruments: &workload.instruments,
        strategies: &strategies,
    };
    let hasher = hash.then(|| (LogHasher::new(), names));
    let mut sink = Counter {
        orders: 0,
        fills: 0,
        hash: hasher,
    };
    let start = cpu_seconds();
    for (n, tick) in workload.ticks.iter().enumerate() {
        kernel.market(InputId(n as u64), &MarketData::Tick(tick, None), &mut sink);
    }
    let seconds = cpu_seconds() - start;
    let portfolio = kernel.pipelines()[0].portfolio();
    let account = portfolio.accounts().first().copied().unwrap_or_default();
    let equity: Amount = account.equity().checked_sub(account.starting_cash)?;
    let traded = portfolio
        .positions()
        .iter()
        .try_fold(0i128, |sum, p| sum.checked_add(p.traded));
    let totals = Totals {
        ticks: workload.ticks.len() as u64,
        orders: sink.orders,
        fills: sink.fills,
        traded_quantity: research::exact::QuantitySum(
            traded.context("the traded quantity does not fit")?,
        )
        .to_string(),
        cash_flow: account.cash_flow.to_string(),
        equity: equity.to_string(),
        charges: account.charges.to_string(),
    };
    Ok((
        totals,
        seconds,
        sink.hash.map(|(hasher, _)| hasher.finish()),
    ))
}

/// CPU time of this thread, in seconds.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Resident memory of this process, in bytes.
fn rss_bytes() -> u64 {
    status_bytes("VmRSS:")
}

/// Peak resident memory of this process, in bytes.
pub fn peak_rss_bytes() -> u64 {
    status_bytes("VmHWM:")
}

fn status_bytes(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(key));
    let kib = line
        .and_then(|l| l.split_whitespace().next())
        .and_then(|n| n.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
