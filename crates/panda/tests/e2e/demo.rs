//! `panda demo`, and what every result must satisfy.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::decimal::Decimal;
use crate::harness::{World, count, sum, text};

/// The files of a result.
pub const FILES: [&str; 7] = [
    "summary.json",
    "signals.csv",
    "orders.csv",
    "fills.csv",
    "trades.csv",
    "equity.csv",
    "report.html",
];

/// Holds a result to what must be true of each: rows, money, orders and fills agree with each other.
pub fn check_result(world: &World, out: &str) -> Value {
    let summary = world.json(&format!("{out}/summary.json"));
    for file in FILES {
        assert!(world.path(&format!("{out}/{file}")).is_file(), "{file}");
    }
    let total = |key| sum(&summary, key);
    assert_eq!(
        count(&summary, "rows_read"),
        count(&summary, "ticks") + total("rows_rejected"),
        "every row read is a tick or rejected"
    );
    let money = |key| Decimal::parse(&text(&summary, key));
    let net = money("realised")
        .plus(money("unrealised"))
        .minus(money("charges"));
    assert_eq!(money("net"), net);
    assert_eq!(money("equity"), money("starting_cash").plus(net));

    let number = |row: &crate::harness::Row, key: &str| Decimal::parse(&row[key]);
    let fills = world.rows(&format!("{out}/fills.csv"));
    let (mut cash, mut traded, mut charges) =
        (Decimal::default(), Decimal::default(), Decimal::default());
    let mut filled: BTreeMap<String, Decimal> = BTreeMap::new();
    let mut positions: BTreeMap<String, Decimal> = BTreeMap::new();
    for fill in &fills {
        let quantity = number(fill, "quantity");
        assert!(quantity > Decimal::default());
        let notional = quantity.times(number(fill, "price"));
        assert_eq!(number(fill, "notional"), notional);
        let signed = match fill["side"].as_str() {
            "buy" => quantity,
            "sell" => quantity.negative(),
            other => panic!("side `{other}`"),
        };
        cash = cash.minus(signed.times(number(fill, "price")));
        traded = traded.plus(quantity);
        charges = charges.plus(number(fill, "charges"));
        let sum = filled.entry(fill["order_id"].clone()).or_default();
        *sum = sum.plus(quantity);
        let position = positions.entry(fill["instrument"].clone()).or_default();
        *position = position.plus(signed);
    }
    assert_eq!(count(&summary, "fills"), fills.len() as u64);
    assert_eq!(text(&summary, "cash_flow"), cash.to_string());
    assert_eq!(text(&summary, "traded_quantity"), traded.to_string());
    // What the days' closes book is no execution's.
    let charges = charges.plus(money("charges_adjustment"));
    assert_eq!(text(&summary, "charges"), charges.to_string());
    if positions.values().all(|p| *p == Decimal::default()) {
        assert_eq!(
            money("realised"),
            cash,
            "all closed: what came in is the profit"
        );
        assert_eq!(money("unrealised"), Decimal::default());
    }

    let orders = world.rows(&format!("{out}/orders.csv"));
    assert_eq!(count(&summary, "orders"), orders.len() as u64);
    let ids: BTreeSet<_> = orders.iter().map(|o| o["order_id"].clone()).collect();
    assert_eq!(ids.len(), orders.len(), "each order has one row");
    for order in &orders {
        let filled = filled.remove(&order["order_id"]).unwrap_or_default();
        let (wanted, status) = (number(order, "quantity"), order["status"].as_str());
        assert_eq!(number(order, "filled_quantity"), filled, "{order:?}");
        match status {
            "filled" => assert_eq!(filled, wanted),
            "cancelled" | "expired" => assert!(filled < wanted),
            "rejected" | "failed" => assert_eq!(filled, Decimal::default()),
            other => panic!("{other} is no end: {order:?}"),
        }
    }
    assert!(filled.is_empty(), "fills without an order: {filled:?}");

    let signals = world.rows(&format!("{out}/signals.csv"));
    assert_eq!(count(&summary, "signals"), signals.len() as u64);
    let rejected = signals
        .iter()
        .filter(|s| s["outcome"] == "rejected")
        .count();
    assert_eq!(total("rejected"), rejected as u64);
    let known: BTreeSet<_> = signals
        .iter()
        .map(|s| s["correlation_id"].clone())
        .collect();
    for fill in &fills {
        assert!(
            known.contains(&fill["correlation_id"]) || fill["role"] == "square_off",
            "a fill without a cause: {fill:?}"
        );
    }
    let report = world.read(&format!("{out}/report.html"));
    assert!(report.contains(&text(&summary, "log_hash")));
    assert!(report.contains("aria-label=\"How much to believe\""));
    let outside = [
        "<script src",
        "<link",
        "<img src=\"http",
        "@import",
        "url(http",
    ];
    assert!(
        outside.iter().all(|o| !report.contains(o)),
        "the report stands alone"
    );
    summary
}

#[test]
fn the_demo_is_exact_and_repeatable() {
    let world = World::new();
    let run = |out: &str, seed: &str| {
        let printed = world.ok(&["demo", "--out", out, "--seed", seed, "--days", "2"]);
        (printed, check_result(&world, &format!("{out}/result")))
    };
    let (printed, first) = run("a", "7");
    let (_, second) = run("b", "7");
    let (_, other) = run("c", "8");
    assert_eq!(count(&first, "ticks"), 90_000);
    assert!(count(&first, "fills") > 20, "{first}");
    let hash = |summary: &Value| text(summary, "log_hash");
    assert_eq!(hash(&first), hash(&second));
    assert_ne!(hash(&first), hash(&other));
    assert!(printed.contains(&hash(&first)));
    for file in FILES.iter().filter(|f| f.ends_with(".csv")) {
        let read = |out: &str| world.read(&format!("{out}/result/{file}"));
        assert_eq!(read("a"), read("b"), "{file}");
    }

    // The command that it prints runs, over the result that is there.
    let command = printed
        .lines()
        .find_map(|line| line.trim().strip_prefix("panda "));
    let args: Vec<&str> = command.unwrap().split_whitespace().collect();
    world.ok(&args);
    assert_eq!(hash(&check_result(&world, "a/result")), hash(&first));
}

#[test]
fn a_second_demo_of_fewer_days_leaves_none_of_the_first() {
    let world = World::new();
    world.ok(&["demo", "--days", "2"]);
    world.ok(&["demo", "--days", "1"]);
    let summary = check_result(&world, "out/demo/result");
    assert_eq!(count(&summary, "ticks"), 45_000);
    for (args, wanted) in [
        (["demo", "--days", "0"], "1..=60"),
        (["demo", "--days", "61"], "1..=60"),
        (["demo", "--seed", "x"], "--seed"),
    ] {
        assert!(world.refuses(&args, &[wanted]).contains(args[1]));
    }
}
