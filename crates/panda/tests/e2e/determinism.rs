//! The same inputs give the same log, whatever the order of anything that has none.

use std::fs;

use serde_json::Value;

use crate::demo::check_result;
use crate::ema_ticks::{DATES, write_market};
use crate::harness::{World, count, text};
use crate::market::{self};

const CROSS: &str = "\
- id: cross
  kind: ema_cross
  instruments: [TCS, AXISBANK]
  brokers: [paper]
  parameters: { fast: 5, slow: 12, quantity: 3, timeframe: 2m }
";
const REVERSION: &str = "\
- id: reversion
  kind: rsi
  asset_classes: [equity]
  brokers: [paper]
";
const VWAP: &str = "\
- id: vwap
  kind: vwap_reversion
  instruments: [\"M&M\", TCS]
  brokers: [paper]
";
const PAPER: &str = "\
[trading_engine.paper]
slippage_ticks = 1
simulation_latency_ms = 1500
latency_jitter_ms = 2000
participation = 0.25
partial_fill_probability = 0.3
charges = { flat_rate = 0.0003 }
square_off_minutes_before_close = 20
seed = 9
[risk.brokers.paper]
gross_exposure = 9000
orders_per_day = 600
";

fn world() -> World {
    let world = World::new();
    write_market(&world, 31, 900, 24);
    world.write("strategies.yaml", [CROSS, REVERSION, VWAP].concat());
    world.write("panda.toml", PAPER);
    world
}

fn run(world: &World, data: &str, out: &str, more: &[&str]) -> Value {
    let mut args = vec!["--config", "panda.toml"];
    args.extend(more);
    world.backtest(data, out, &args);
    check_result(world, out)
}

fn hash(summary: &Value) -> String {
    text(summary, "log_hash")
}

#[test]
fn no_order_of_files_definitions_or_instruments_matters() {
    let world = world();
    let first = run(&world, "data", "out", &[]);
    assert!(count(&first, "fills") > 50, "{}", first["fills"]);
    assert!(
        !first["rejected"].as_object().unwrap().is_empty(),
        "the rules have something to do"
    );
    assert_eq!(hash(&run(&world, "data", "again", &[])), hash(&first));

    // Definitions in another order, and spread over files given in another order.
    world.write("strategies.yaml", [VWAP, CROSS, REVERSION].concat());
    assert_eq!(hash(&run(&world, "data", "out", &[])), hash(&first));
    world.write("strategies.yaml", REVERSION);
    world.write("b.yaml", VWAP);
    world.write("a.yaml", format!("strategies:\n{CROSS}"));
    for order in [["a.yaml", "b.yaml"], ["b.yaml", "a.yaml"]] {
        let more = ["--strategy", order[0], "--strategy", order[1]];
        assert_eq!(
            hash(&run(&world, "data", "out", &more)),
            hash(&first),
            "{order:?}"
        );
    }
    world.write("strategies.yaml", [CROSS, REVERSION, VWAP].concat());

    // Instruments in another order, with some that have no data and no strategy.
    world.write(
        "instruments.csv",
        market::instruments(&["M&M", "ZERO", "AXISBANK", "TCS", "AAA"]),
    );
    assert_eq!(hash(&run(&world, "data", "out", &[])), hash(&first));

    // Data in other files, made in another order: one per instrument, with a column for the name.
    for (symbol, file) in [("TCS", "TCS"), ("M&M", "MM"), ("AXISBANK", "AXISBANK")] {
        let mut text = String::from("volume,instrument,timestamp,price\n");
        for date in DATES {
            for line in world
                .read(&format!("data/{date}/{file}.csv"))
                .lines()
                .skip(1)
            {
                let fields: Vec<&str> = line.split(',').collect();
                text.push_str(&format!(
                    "{},NSE:{symbol},{},{}\n",
                    fields[2], fields[0], fields[1]
                ));
            }
        }
        world.write(&format!("other/z_{}.csv", file.len()), text);
    }
    let other = run(&world, "other", "out", &[]);
    assert_eq!(hash(&other), hash(&first));

    // And a change of anything that matters does show.
    world.write("panda.toml", PAPER.replace("seed = 9", "seed = 10"));
    let seeded = run(&world, "data", "out", &[]);
    assert_ne!(hash(&seeded), hash(&first));
    assert_ne!(
        text(&seeded, "inputs_digest"),
        text(&first, "inputs_digest")
    );
}

#[test]
fn an_imported_catalogue_gives_what_the_raw_files_give() {
    let world = world();
    // Dirt, so that cleaning has something to do in both.
    let path = world.path("data/2021-04-15/TCS.csv");
    let clean = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = clean.lines().collect();
    let repeated = lines[40];
    lines.insert(41, repeated);
    lines.insert(60, "2021-04-15 08:59:59,0,1");
    lines.insert(70, "2021-04-16 11:00:00,100,1");
    lines.insert(80, "not a row");
    fs::write(&path, lines.join("\n")).unwrap();

    let raw = run(&world, "data", "raw", &[]);
    assert_eq!(
        crate::harness::sum(&raw, "rows_rejected"),
        4,
        "{}",
        raw["rows_rejected"]
    );
    let import = [
        "data",
        "import",
        "data",
        "--catalogue",
        "catalogue",
        "--instruments",
        "instruments.csv",
        "--config",
        "panda.toml",
        "--json",
    ];
    let report: Value = serde_json::from_str(&world.ok(&import)).unwrap();
    assert!(report.is_object(), "{report}");
    let stored = run(&world, "catalogue", "stored", &[]);
    assert_eq!(hash(&stored), hash(&raw));
    for key in ["rows_read", "rows_rejected", "ticks", "fills", "net"] {
        assert_eq!(stored[key], raw[key], "{key}");
    }
    for file in [
        "signals.csv",
        "orders.csv",
        "fills.csv",
        "equity.csv",
        "trades.csv",
    ] {
        let read = |out| world.read(&format!("{out}/{file}"));
        assert_eq!(read("raw"), read("stored"), "{file}");
    }
    // A second import changes nothing, and the hash stays.
    let before = world.tree();
    world.ok(&import);
    assert_eq!(world.tree(), before);
    assert_eq!(hash(&run(&world, "catalogue", "stored", &[])), hash(&raw));
}

#[test]
fn a_broker_does_the_same_alone_and_beside_another() {
    let world = world();
    let both = [CROSS, REVERSION, VWAP]
        .concat()
        .replace("[paper]", "[paper, paper2]");
    world.write("strategies.yaml", both);
    let other = "\
[trading_engine.paper2]
kind = \"paper\"
slippage_ticks = 4
starting_cash = { INR = 20000 }
[risk.brokers.paper2]
available_cash = true
drawdown = 300
";
    world.write("panda.toml", [PAPER, other].concat());
    let alone = run(&world, "data", "alone", &["--broker", "paper"]);
    let second = run(&world, "data", "second", &["--broker", "paper2"]);
    let beside = run(&world, "data", "beside", &["--broker", "paper2,paper"]);
    let by = |summary: &Value, broker: &str| text(&summary["log_hash_by_broker"], broker);
    assert_eq!(by(&beside, "paper"), by(&alone, "paper"));
    assert_eq!(by(&beside, "paper2"), by(&second, "paper2"));
    assert_ne!(by(&beside, "paper"), by(&beside, "paper2"));
    assert_eq!(alone["log_hash_by_broker"].as_object().unwrap().len(), 1);
    for key in ["signals", "orders", "fills"] {
        assert_eq!(
            count(&beside, key),
            count(&alone, key) + count(&second, key),
            "{key}"
        );
        assert!(count(&second, key) > 0, "{key}");
    }
    assert_eq!(
        beside["by_broker"]["paper"]["net"],
        alone["by_broker"]["paper"]["net"]
    );
    // What the runner decides once carries one correlation to both.
    let signals = world.rows("beside/signals.csv");
    let of = |broker: &str| -> Vec<(String, String, String)> {
        let own = signals
            .iter()
            .filter(|s| s["broker"] == broker && s["strategy"] == "cross");
        own.map(|s| {
            (
                s["input"].clone(),
                s["instrument"].clone(),
                s["correlation_id"].clone(),
            )
        })
        .take(1)
        .collect()
    };
    assert_eq!(of("paper"), of("paper2"));
}
