//! Logs and snapshots that every released schema has written are read by this build, to equal books.
//!
//! Each folder of `tests/recorded` is a data directory as a build with another `proto/` left it, the settings and data
//! of its session, and the books that it came to. With `RECORD_LOGS=NAME` in the environment this records one.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::World;

/// What a session's settings are.
const SETTINGS: &str = r#"data_dir = "data"
instruments = "market/instruments.csv"

[markets]
calendar_file = "market/calendar.toml"

[trading_engine.paper]
starting_cash = { INR = 1000000 }
charges = { flat_rate = 0.0002 }
slippage_ticks = 1

[trading_engine.slow]
kind = "paper"
starting_cash = { INR = 500000 }
simulation_latency_ms = 7000
partial_fill_probability = 0.4
seed = 9

[strategies]
files = ["strategies.yaml"]

[feeds.recorded]
source = "replay"
path = "market/data"

[log]
snapshot_interval_seconds = 1
"#;

/// Quick enough to trade within the half hour that is recorded.
const STRATEGIES: &str = "\
strategies:
  - id: pulse
    kind: low_frequency_demo
    instruments: [DEMO:BAMBOO]
    parameters: { every: 4m, quantity: 3 }
  - id: trend
    kind: ema_cross
    instruments: [DEMO:CEDAR, DEMO:LOTUS]
    parameters: { fast: 3, slow: 6, quantity: 10, timeframe: 1m }
  - id: reversion
    kind: mean_reversion
    instruments: [DEMO:MANGO, DEMO:NEEM, DEMO:TEAK]
    parameters: { quantity: 4, timeframe: 1m }
";

/// Ticks of each instrument.
const ROWS: usize = 600;
/// The files and folders of a recording.
const PARTS: [&str; 4] = ["data", "market", "live.toml", "strategies.yaml"];

fn recordings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}

/// The schema as the build has it: comments and layout of `proto/` are no part of it.
fn schema() -> String {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wire/src/table.rs");
    let table = fs::read(table).unwrap();
    blake3::hash(&table).to_hex().to_string()
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

/// What was taken from the device in advance is left out.
fn trim(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            trim(&path);
        } else if path.extension().is_some_and(|e| e == "log") {
            let bytes = fs::read(&path).unwrap();
            let used = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
            // A batch may end in zeros.
            fs::write(&path, &bytes[..(used + 16).min(bytes.len())]).unwrap();
        }
    }
}

/// The books that the logs say: money, positions, orders, counts.
fn books(world: &World) -> Value {
    let status = world.ok(&["status", "--json", "--config", "live.toml"]);
    let status: Value = serde_json::from_str(&status).unwrap();
    let of = |broker: &Value| {
        let kept = [
            "broker",
            "state",
            "accounts",
            "positions",
            "open_orders",
            "orders_today",
            "activity",
        ];
        let kept = kept
            .iter()
            .map(|key| ((*key).to_owned(), broker[key].clone()));
        Value::Object(kept.collect())
    };
    let brokers = status["brokers"].as_array().unwrap();
    json!(brokers.iter().map(of).collect::<Vec<_>>())
}

fn begin() -> World {
    let world = World::new();
    world.ok(&["demo", "--out", "market", "--days", "1"]);
    for entry in fs::read_dir(world.path("market/data/2026-01-05")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().take(ROWS + 1).collect();
        fs::write(&path, lines.join("\n") + "\n").unwrap();
    }
    fs::remove_dir_all(world.path("market/result")).unwrap();
    world.write("live.toml", SETTINGS);
    world.write("strategies.yaml", STRATEGIES);
    world
}

fn record(name: &str) {
    let world = begin();
    world.ok(&["run", "--config", "live.toml", "--brokers", "paper,slow"]);
    let to = recordings().join(name);
    for part in PARTS {
        copy(&world.path(part), &to.join(part));
    }
    trim(&to.join("data"));
    let books = serde_json::to_string_pretty(&books(&world)).unwrap();
    fs::write(to.join("books.json"), books + "\n").unwrap();
    fs::write(to.join("schema"), schema() + "\n").unwrap();
}

fn remove_snapshots(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            remove_snapshots(&path);
        } else if path.to_string_lossy().contains("snapshot-") {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn logs_of_every_schema_are_read_to_equal_books() {
    if let Ok(name) = std::env::var("RECORD_LOGS") {
        record(&name);
    }
    let mut schemas = Vec::new();
    for entry in fs::read_dir(recordings()).unwrap() {
        let from = entry.unwrap().path();
        let name = from.display().to_string();
        schemas.push(
            fs::read_to_string(from.join("schema"))
                .unwrap()
                .trim()
                .to_owned(),
        );
        let wanted: Value =
            serde_json::from_str(&fs::read_to_string(from.join("books.json")).unwrap()).unwrap();
        for broker in wanted.as_array().unwrap() {
            assert!(
                broker["activity"]["fills"].as_u64() > Some(10),
                "{name}: {broker}"
            );
            assert_ne!(broker["positions"], json!([]), "{name}: {broker}");
        }
        let world = World::new();
        for part in PARTS {
            copy(&from.join(part), &world.path(part));
        }
        world.ok(&["journal", "verify", "--config", "live.toml"]);
        assert_eq!(books(&world), wanted, "{name}: from its snapshots");
        // A start goes on from them: the replay is over, so that nothing is added.
        world.ok(&["run", "--config", "live.toml", "--brokers", "paper,slow"]);
        assert_eq!(books(&world), wanted, "{name}: behind a start");
        remove_snapshots(&world.path("data"));
        assert_eq!(books(&world), wanted, "{name}: from its logs alone");
    }
    assert!(
        schemas.contains(&schema()),
        "proto/ has changed: record logs with it, RECORD_LOGS=NAME cargo test -p panda --test e2e recorded"
    );
}
