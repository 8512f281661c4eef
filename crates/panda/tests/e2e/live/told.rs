//! What an operator is told: refusals with their figures, counts that last, and the state after a stop.

use std::collections::BTreeMap;

use serde_json::Value;

use super::replay_world;
use crate::harness::{World, text};

/// Two strategies of three ask for ten at a time, which is too much here.
fn strict_world(days: u32) -> World {
    let world = replay_world(days, "");
    let settings = world.read("live.toml");
    let strict = settings.replace("[risk]\n", "[risk]\norder_quantity = 7\n");
    assert_ne!(strict, settings);
    world.write("live.toml", strict);
    world
}

fn number(value: &Value, path: &str) -> u64 {
    let at = value.pointer(path).and_then(Value::as_u64);
    at.unwrap_or_else(|| panic!("{path} of {value}"))
}

/// The events of a kind in the journal of `paper`.
fn events(world: &World, kind: &str) -> Vec<Value> {
    let dump = world.ok(&[
        "journal",
        "dump",
        "--config",
        "live.toml",
        "--broker",
        "paper",
    ]);
    let lines = dump.lines().map(|line| serde_json::from_str(line).unwrap());
    let events: Vec<Value> = lines.collect();
    let of_kind = |event: &Value| event["type"] == kind;
    events.into_iter().filter(of_kind).collect()
}

#[test]
fn a_refusal_names_order_and_figures_in_event_line_and_file() {
    let world = strict_world(1);
    let ran = world.panda(&["run", "--config", "live.toml"]);
    assert!(ran.ok, "{}", ran.stderr);
    let refused = events(&world, "signal_rejected");
    let wanted = |event: &&Value| event["reason"] == "order_quantity";
    let refused: Vec<&Value> = refused.iter().filter(wanted).collect();
    assert!(refused.len() > 3, "{}", refused.len());
    for event in &refused {
        let (quantity, value) = (text(event, "quantity"), text(event, "value"));
        assert_eq!(quantity, value);
        assert!(value.parse::<u32>().unwrap() > 7, "{event}");
        assert_eq!(
            (text(event, "limit"), text(event, "unit")),
            ("7".into(), "units".into())
        );
        assert!(
            ["buy", "sell"].contains(&text(event, "side").as_str()),
            "{event}"
        );
    }
    // Each row of refusals is told at its first, and its count when it is over.
    let lines: Vec<Value> = ran
        .stdout
        .lines()
        .chain(ran.stderr.lines())
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let messages = lines.iter().map(|line| text(line, "message"));
    let told: Vec<String> = messages
        .filter(|m| m.contains("larger than the quantity limit"))
        .collect();
    let first = refused[0];
    let wanted = format!(
        "{} {} {} of {} is refused: The order is larger than the quantity limit. ({} units, the limit is 7)",
        text(first, "side"),
        text(first, "quantity"),
        text(first, "instrument"),
        text(first, "strategy"),
        text(first, "value"),
    );
    assert_eq!(told.first(), Some(&wanted));
    assert!(
        told.len() < refused.len(),
        "{} of {}",
        told.len(),
        refused.len()
    );
    assert!(
        told.iter().any(|m| m.contains(" times in a row: ")),
        "{told:?}"
    );

    world.ok(&["report", "--config", "live.toml", "--out", "report"]);
    let rows = world.rows("report/signals.csv");
    let rows: Vec<&BTreeMap<String, String>> = rows
        .iter()
        .filter(|row| row["reason"] == "order_quantity")
        .collect();
    assert_eq!(rows.len(), refused.len());
    for (row, event) in rows.iter().zip(&refused) {
        for (column, key) in [
            ("order_side", "side"),
            ("quantity", "quantity"),
            ("value", "value"),
            ("limit", "limit"),
            ("unit", "unit"),
        ] {
            assert_eq!(row[column], text(event, key), "{column}");
        }
    }
}

#[test]
fn the_state_and_the_counts_outlast_the_process() {
    let world = strict_world(2);
    world.refuses(&["status", "--config", "live.toml"], &["no session runs"]);
    world.ok(&["run", "--config", "live.toml"]);
    let shown = world.ok(&["status", "--config", "live.toml"]);
    for wanted in [
        "no session runs",
        "as recorded until",
        "today",
        "in all",
        "P&L today",
    ] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    let args = ["status", "--config", "live.toml", "--json"];
    let status: Value = serde_json::from_str(&world.ok(&args)).unwrap();
    assert_eq!(status["running"], false);
    let broker = &status["brokers"][0];
    // The counts are those of the journal, over all of it, whatever was saved between.
    let (submitted, refused) = (
        events(&world, "order_submitted").len() as u64,
        events(&world, "signal_rejected"),
    );
    let fills = events(&world, "order_filled").len() as u64;
    assert!(fills > 10);
    assert_eq!(number(broker, "/activity/orders_submitted"), submitted);
    assert_eq!(number(broker, "/activity/fills"), fills);
    let mut by_reason: BTreeMap<String, u64> = BTreeMap::new();
    for event in &refused {
        *by_reason.entry(text(event, "reason")).or_default() += 1;
    }
    assert_eq!(broker["activity"]["rejects"], serde_json::json!(by_reason));
    let today = number(broker, "/activity/today/orders_submitted");
    assert!(0 < today && today < submitted, "{today} of {submitted}");
    // Without its snapshots the journal alone comes to the same.
    for entry in std::fs::read_dir(world.path("data/journal/paper")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("snapshot-")
        {
            std::fs::remove_file(path).unwrap();
        }
    }
    let again: Value = serde_json::from_str(&world.ok(&args)).unwrap();
    assert_eq!(again, status);
    // What a start would refuse is not told as the state.
    let log = std::fs::read_dir(world.path("data/journal/paper")).unwrap();
    let mut log = log.map(|entry| entry.unwrap().path());
    let log = log.find(|path| path.extension().is_some_and(|e| e == "log"));
    let log = log.unwrap();
    let whole = std::fs::read(&log).unwrap();
    let mut damaged = whole.clone();
    damaged[5_000] ^= 1;
    std::fs::write(&log, damaged).unwrap();
    world.refuses(&args, &["journal"]);
    std::fs::write(&log, whole).unwrap();
    // A later start goes on counting: nothing is left to replay.
    world.ok(&["run", "--config", "live.toml"]);
    let later: Value = serde_json::from_str(&world.ok(&args)).unwrap();
    assert_eq!(
        later["brokers"][0]["activity"]["fills"],
        broker["activity"]["fills"]
    );
    assert_eq!(later["brokers"][0]["accounts"], broker["accounts"]);
}

#[test]
fn the_first_days_growth_is_told_at_its_pace() {
    let world = replay_world(1, "");
    let disk = |world: &World| {
        let ran = world.panda(&["doctor", "--config", "live.toml"]);
        let line = ran.stdout.lines().find(|line| line.contains("GB free"));
        line.unwrap_or_else(|| panic!("{}", ran.stdout)).to_owned()
    };
    let before = disk(&world);
    assert!(before.contains("once they hold a minute"), "{before}");
    world.ok(&["run", "--config", "live.toml"]);
    let after = disk(&world);
    assert!(
        after.contains("at the pace of the first day, around the clock"),
        "{after}"
    );
    let stats = world.ok(&["journal", "stats", "--config", "live.toml", "--json"]);
    let logs = stats
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let sum: f64 = logs.map(|log| log["gb_per_day"].as_f64().unwrap()).sum();
    assert!(sum > 0.001, "{sum}");
    assert!(
        after.contains(&format!("about {sum:.2} GB a day")),
        "{sum}: {after}"
    );
    assert!(
        after.contains(
            "of the market log are kept 30 trading days or 10 GB, whichever is less: about 30 days"
        ),
        "{after}"
    );
}
