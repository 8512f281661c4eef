//! `panda demo`: a generated market, sample strategies, and a backtest of them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bench::generate::Generator;
use clap::Args;
use model::Timestamp;
use model::time::{DAY, HOUR, MINUTE, SECOND};

use super::backtest::{self, BacktestArgs};
use super::print;

/// Generate a small market and backtest sample strategies on it.
#[derive(Debug, Args)]
#[command(
    after_help = "Everything is generated from the seed and kept below DIR, so that it can be changed and run again with \
    `panda backtest`; the command for that is printed.\n\nExamples:\n  panda demo\n  panda demo --out out/long --days 20 --seed 3"
)]
pub struct DemoArgs {
    /// Where data, settings and results go
    #[arg(long, value_name = "DIR", default_value = "out/demo")]
    out: PathBuf,
    /// Seed of the generated prices
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Trading days to generate
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=60))]
    days: u32,
}

const SYMBOLS: [&str; 6] = ["BAMBOO", "CEDAR", "LOTUS", "MANGO", "NEEM", "TEAK"];

const STRATEGIES: &str = "\
# Three strategies on the generated market. `panda strategies` lists every kind with its parameters.
strategies:
  - id: trend
    kind: ema_cross
    instruments: [DEMO:BAMBOO, DEMO:CEDAR, DEMO:LOTUS]
    brokers: [paper]
    parameters: { fast: 10, slow: 30, quantity: 10, timeframe: 5m }
  - id: reversion
    kind: mean_reversion
    instruments: [DEMO:MANGO, DEMO:NEEM, DEMO:TEAK]
    brokers: [paper]
    parameters: { quantity: 10 }
  - id: breakout
    kind: opening_range_breakout
    asset_classes: [equity]
    brokers: [paper]
    parameters: { quantity: 5 }
    risk: { trades_per_day: 12 }
";

/// A calendar of the demo's own exchange, as anyone can write one.
const CALENDAR: &str = "\
# When the exchange DEMO trades: docs/reference/markets.md.
[[market]]
exchange = \"DEMO\"
zone = \"Asia/Kolkata\"
segments = [\"cash\"]

[[coverage]]
exchanges = [\"DEMO\"]
from = \"2026-01-01\"
to = \"2035-12-31\"

[[session]]
exchanges = [\"DEMO\"]
segments = [\"cash\"]
from = \"2026-01-01\"
phases = [{ name = \"continuous\", from = \"09:15\", to = \"15:30\", open = true, takes = [\"all\"] }]
";

const SETTINGS: &str = "\
[trading_engine.paper]
starting_cash = { INR = 1000000 }
charges = { flat_rate = 0.0002 }
slippage_ticks = 1
participation = 0.2
square_off_minutes_before_close = 10

[risk]
order_notional = 200000
gross_exposure = 900000
daily_loss = 50000
available_cash = true
";

/// Runs the command.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let path = |name: &str| args.out.join(name);
    write(&path("instruments.csv"), &instruments())?;
    write(&path("strategies.yaml"), STRATEGIES)?;
    write(&path("calendar.toml"), CALENDAR)?;
    write(&path("panda.toml"), &settings(&path("calendar.toml"))?)?;
    let rows = generate(&path("data"), args.seed, args.days)?;
    eprintln!(
        "generated {rows} ticks of {} instruments over {} days",
        SYMBOLS.len(),
        args.days
    );
    let backtest = BacktestArgs {
        data: path("data"),
        instruments: path("instruments.csv"),
        strategy: vec![path("strategies.yaml")],
        config: Some(path("panda.toml")),
        broker: vec!["paper".to_owned()],
        out: path("result"),
        from: None,
        to: None,
        symbols: Vec::new(),
        corporate_actions: None,
        json: false,
    };
    backtest::run(&backtest)?;
    print(&format!(
        "\nChange anything below {} and run it again:\n  panda backtest --data {} --instruments {} --strategy {} --config {} --broker paper --out {}\n",
        args.out.display(),
        path("data").display(),
        path("instruments.csv").display(),
        path("strategies.yaml").display(),
        path("panda.toml").display(),
        path("result").display()
    ))
}

fn settings(calendar: &Path) -> anyhow::Result<String> {
    let mut markets = toml::Table::new();
    markets.insert(
        "calendar_file".to_owned(),
        calendar.display().to_string().into(),
    );
    let markets = toml::to_string(&markets)?;
    Ok(format!("[markets]\n{markets}\n{SETTINGS}"))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(failed)?;
    }
    std::fs::write(path, text).with_context(failed)
}

fn instruments() -> String {
    let mut text = String::from("id,asset_class,currency,tick_size,lot_size\n");
    for symbol in SYMBOLS {
        let _infallible = writeln!(text, "DEMO:{symbol},equity,INR,0.05,1");
    }
    text
}

/// Weekdays from Monday 2026-01-05 on, one file per day and instrument.
fn generate(dir: &Path, seed: u64, days: u32) -> anyhow::Result<u64> {
    const IST: i64 = 5 * HOUR + 30 * MINUTE;
    const PER_SESSION: usize = 45_000;
    let monday = 20_458i64;
    let session = 6 * HOUR + 15 * MINUTE;
    let mut generator = Generator::new(
        seed,
        SYMBOLS.len() as u32,
        Timestamp(0),
        session / PER_SESSION as i64,
    );
    let mut rows = 0;
    // An earlier run of more days must not stay behind.
    if dir.exists() {
        std::fs::remove_dir_all(dir).with_context(|| format!("cannot clear {}", dir.display()))?;
    }
    for day in 0..i64::from(days) {
        let date = monday + day / 5 * 7 + day % 5;
        let open = date * DAY + 9 * HOUR + 15 * MINUTE - IST;
        generator.open(Timestamp(open));
        let mut files = vec![String::from("ts_ns,price,size\n"); SYMBOLS.len()];
        for tick in generator.by_ref().take(PER_SESSION) {
            // Feeds stamp in whole milliseconds.
            let ts = tick.ts.nanos() / (SECOND / 1000) * (SECOND / 1000);
            let _infallible = writeln!(
                files[tick.instrument.index()],
                "{ts},{},{}",
                tick.price,
                tick.quantity
            );
            rows += 1;
        }
        let name = model::Date::from_days(date as i32);
        for (symbol, text) in SYMBOLS.iter().zip(files) {
            write(
                &dir.join(name.to_string()).join(format!("{symbol}.csv")),
                &text,
            )?;
        }
    }
    Ok(rows)
}
