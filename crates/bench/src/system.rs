//! The system that benchmarks run: what `panda run` starts, with ticks of their own.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use anyhow::Context;
use model::{InstrumentIdx, Price, Quantity, Tick, Timestamp};
use session::{BuiltIn, Plugins, Preparation};
use settings::Settings;

use super::kinds;

/// Every price is near this.
pub const PRICE: i64 = 100 * model::fixed::ONE;

/// The instruments of the simulated exchange.
pub const INSTRUMENTS: u32 = 5;

/// What a system is to be made of.
pub struct Plan<'a> {
    /// The kinds that the build has.
    pub built_in: BuiltIn,
    /// The data directory; its parent takes the strategies' file.
    pub dir: &'a Path,
    /// The namespaces with their kinds.
    pub brokers: &'a [(&'a str, &'a str)],
    /// Strategies, as YAML.
    pub strategies: &'a str,
    /// Trading days of the logs that are kept.
    pub keep_days: u32,
}

/// Orders on marked ticks, on every instrument.
pub const PULSE: &str =
    "strategies:\n  - id: pulse\n    kind: bench_pulse\n    asset_classes: [equity]\n";

/// The settings, and what the session is to be opened with.
pub fn preparation(plan: &Plan<'_>) -> anyhow::Result<(Preparation, Receiver<Instant>)> {
    std::fs::create_dir_all(plan.dir)
        .with_context(|| format!("cannot make {}", plan.dir.display()))?;
    let definitions = plan.dir.join("strategies.yaml");
    std::fs::write(&definitions, plan.strategies)
        .with_context(|| format!("cannot write {}", definitions.display()))?;
    let mut root: toml::Table = toml::from_str(super::SETTINGS)?;
    let names: Vec<&str> = plan.brokers.iter().map(|(name, _)| *name).collect();
    let mut engine = toml::Table::new();
    for (name, kind) in plan.brokers {
        // The simulated feed has prices of its own for the same instruments, once a second: an execution between two
        // of its ticks and ours is no nonsense.
        let table = format!(
            "kind = \"{kind}\"\nstarting_cash = {{ INR = 1000000000000000 }}\nreport_band = 100\n"
        );
        engine.insert((*name).to_owned(), toml::from_str::<toml::Value>(&table)?);
    }
    let allowed: Vec<String> = exchange::instruments().into_iter().map(|i| i.id).collect();
    if let Some(risk) = root.get_mut("risk").and_then(toml::Value::as_table_mut) {
        risk.insert("allow".to_owned(), allowed.into());
    }
    root.insert("trading_engine".to_owned(), engine.into());
    let path = |path: &Path| path.display().to_string();
    let more = toml::toml! {
        [feeds.simulated]
        source = "simulated"
        changes_per_second = 1
    };
    root.extend(more);
    root.insert("data_dir".to_owned(), path(plan.dir).into());
    root.insert("active_brokers".to_owned(), names.clone().into());
    let mut strategies = toml::Table::new();
    strategies.insert("files".to_owned(), vec![path(&definitions)].into());
    root.insert("strategies".to_owned(), strategies.into());
    let keep = i64::from(plan.keep_days);
    let mut log = toml::Table::new();
    log.insert("market_keep_days".to_owned(), keep.into());
    log.insert("journal_keep_days".to_owned(), keep.into());
    root.insert("log".to_owned(), log.into());
    let text = toml::to_string(&root)?;
    let settings = Settings::parse(&text, "the benchmark's settings")?;
    let (sender, receiver) = channel();
    let preparation = Preparation {
        settings,
        brokers: names.iter().map(|n| (*n).to_owned()).collect(),
        plugins: Plugins {
            brokers: vec![kinds::broker(sender)],
            kinds: vec![kinds::PULSE],
            ..Plugins::new(plan.built_in)
        },
    };
    Ok((preparation, receiver))
}

/// Prices that wander a little around [`PRICE`], one instrument after the other.
#[derive(Debug)]
pub struct Ticks {
    random: u64,
    steps: [i64; INSTRUMENTS as usize],
    next: u32,
}

impl Default for Ticks {
    fn default() -> Self {
        Self {
            random: 42,
            steps: [0; INSTRUMENTS as usize],
            next: 0,
        }
    }
}

impl Ticks {
    /// The next, at this time; a marked one is to be ordered on.
    pub fn next(&mut self, ts: Timestamp, marked: bool) -> Tick {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let which = self.next;
        self.next = (self.next + 1) % INSTRUMENTS;
        let step = &mut self.steps[which as usize];
        *step = (*step + if self.random & 1 == 0 { 1 } else { -1 }).clamp(-1000, 1000);
        let quantity = 100 + (self.random >> 32) as i64 % 100;
        Tick {
            ts,
            exchange_ts: ts,
            price: Price::from_raw(PRICE + *step * 5_000_000),
            quantity: if marked {
                kinds::MARK
            } else {
                Quantity::from_raw(quantity * model::fixed::ONE)
            },
            instrument: InstrumentIdx(which),
            ..Tick::default()
        }
    }
}
