//! The report of a journal: what the backtest of the same data writes, whole and in parts.

use serde_json::Value;

use super::{SECOND_BROKER, backtest_of_replay, replay_world};
use crate::harness::World;

const FILES: [&str; 6] = [
    "signals.csv",
    "orders.csv",
    "fills.csv",
    "trades.csv",
    "equity.csv",
    "charges.csv",
];
/// What a backtest knows of its files and its own speed, and a journal does not.
const OF_THE_RUN: [&str; 13] = [
    "warnings",
    "rows_read",
    "rows_rejected",
    "rows_rejected_total",
    "rows_doubtful",
    "corporate_actions",
    "engine_seconds",
    "ticks_per_second",
    "inputs_digest",
    "provenance",
    "settings",
    "build",
    "log_hash",
];

fn report(world: &World, out: &str, more: &[&str]) -> Value {
    let args = ["report", "--config", "live.toml", "--out", out];
    let ran = world.panda(&[&args[..], more].concat());
    assert!(ran.ok, "{}", ran.stderr);
    let summary = world.json(&format!("{out}/summary.json"));
    assert_eq!(summary["warnings"], serde_json::json!([]), "{out}");
    assert!(
        world
            .read(&format!("{out}/report.html"))
            .contains("Trading of paper")
    );
    summary
}

fn without(mut summary: Value, keys: &[&str]) -> Value {
    let map = summary.as_object_mut().unwrap();
    for key in keys {
        map.remove(*key).unwrap();
    }
    summary
}

fn number(value: &Value, key: &str) -> i128 {
    let text = match &value[key] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let digits = format!("{whole}{part:0<8}");
    digits.parse().unwrap_or_else(|_| panic!("{key}: {text}"))
}

#[test]
fn the_report_of_a_journal_is_that_of_the_backtest() {
    let world = replay_world(2, SECOND_BROKER);
    world.ok(&["run", "--config", "live.toml", "--brokers", "paper,paper2"]);

    let tested = backtest_of_replay(&world, "paper", "backtest");
    let reported = report(&world, "one", &["--broker", "paper"]);
    assert!(
        number(&tested, "fills") > 100_0000_0000,
        "too little was traded"
    );
    for name in FILES {
        let (one, other) = (format!("backtest/{name}"), format!("one/{name}"));
        assert_eq!(world.read(&one), world.read(&other), "{name}");
    }
    assert_eq!(reported["log_hash"], tested["log_hash"]);
    assert_eq!(without(reported, &OF_THE_RUN), without(tested, &OF_THE_RUN));

    let tested = backtest_of_replay(&world, "paper,paper2", "backtest");
    let reported = report(&world, "both", &[]);
    assert_eq!(without(reported, &OF_THE_RUN), without(tested, &OF_THE_RUN));
}

#[test]
fn the_parts_of_a_journal_come_to_the_whole() {
    let world = replay_world(2, "");
    world.ok(&["run", "--config", "live.toml"]);
    let whole = report(&world, "whole", &[]);
    let days = [
        report(&world, "monday", &["--date", "2026-01-05"]),
        report(&world, "tuesday", &["--date", "2026-01-06"]),
    ];
    // In the middle of the session, where positions are open.
    let cut = "2026-01-05T12:00:00+05:30";
    let halves = [
        report(&world, "before", &["--to", cut]),
        report(&world, "after", &["--from", cut]),
    ];
    let open = world.read("before/report.html");
    assert!(
        open.contains("Open positions"),
        "nothing was open at the cut"
    );
    for parts in [days, halves] {
        for key in [
            "ticks",
            "signals",
            "orders",
            "fills",
            "cash_flow",
            "realised",
            "unrealised",
            "charges",
            "net",
            "traded_value",
        ] {
            let sum: i128 = parts.iter().map(|part| number(part, key)).sum();
            assert_eq!(sum, number(&whole, key), "{key}");
        }
        let [first, second] = &parts;
        assert_eq!(first["starting_cash"], whole["starting_cash"]);
        assert_eq!(first["equity"], second["starting_cash"]);
        assert_eq!(second["equity"], whole["equity"]);
        let falls = parts.iter().map(|part| number(part, "max_drawdown"));
        assert!(falls.max() <= Some(number(&whole, "max_drawdown")));
        // Every strategy's sums are those of its parts, too.
        for row in whole["by_strategy"].as_array().unwrap() {
            let of = |part: &Value| {
                let rows = part["by_strategy"].as_array().unwrap();
                let row = rows.iter().find(|r| r["strategy"] == row["strategy"]);
                row.map_or(0, |row| number(row, "net"))
            };
            let sum: i128 = parts.iter().map(of).sum();
            assert_eq!(sum, number(row, "net"), "{row}");
        }
    }
    for name in ["fills.csv", "trades.csv", "equity.csv"] {
        let rows = |dir: &str| {
            let text = world.read(&format!("{dir}/{name}"));
            text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        for [one, other] in [["monday", "tuesday"], ["before", "after"]] {
            let parts = [rows(one), rows(other)].concat();
            let differ = parts.iter().zip(rows("whole")).find(|(a, b)| *a != b);
            assert_eq!(differ, None, "{name} of {one}");
            assert_eq!(parts.len(), rows("whole").len(), "{name} of {one}");
        }
    }
}

#[test]
fn a_report_of_nothing_says_what_there_is() {
    let world = replay_world(1, "");
    let refused = |more: &[&str], wanted: &str| {
        let args = ["report", "--config", "live.toml", "--out", "out"];
        let ran = world.panda(&[&args[..], more].concat());
        assert!(!ran.ok);
        assert!(ran.stderr.contains(wanted), "{} lacks {wanted}", ran.stderr);
        assert!(!world.path("out").exists());
    };
    refused(&[], "there is no such data directory");
    world.ok(&["run", "--config", "live.toml"]);
    refused(
        &["--date", "2026-01-06"],
        "the journals read span 2026-01-05T",
    );
    refused(&["--date", "soon"], "`soon` is no date");
    refused(&["--broker", "zerodha"], "there are: paper");
    refused(
        &["--from", "2026-01-06", "--to", "2026-01-05"],
        "nothing lies between them",
    );
}
