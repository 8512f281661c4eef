//! `panda bench`: a naive simulation of the pipeline's ticks comes to the same totals, and the
//! benchmarks of the running system do what they measure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::decimal::Decimal;
use crate::harness::{World, count, text};
use crate::market::Random;
use crate::naive::{Account, EmaCross};

/// One given tick.
struct Given {
    ts: i64,
    symbol: &'static str,
    price: String,
    size: String,
}

fn csv(ticks: &[Given]) -> String {
    let mut text = String::from("ts_ns,symbol,price,size\n");
    for t in ticks {
        writeln!(text, "{},{},{},{}", t.ts, t.symbol, t.price, t.size).unwrap();
    }
    text
}

/// Raw units of eight decimals as text, now and then with the trailing zeros that files have.
fn decimals(raw: u64, random: &mut Random) -> String {
    let text = format!("{}.{:08}", raw / 100_000_000, raw % 100_000_000);
    if random.below(3) == 0 {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Three symbols, not in the order of the alphabet, on walks between the ends of the price window;
/// stamps that fall, repeat and jump by years.
fn wild(seed: u64, ticks: usize) -> Vec<Given> {
    const SYMBOLS: [&str; 3] = ["ZETA", "NSE:ALPHA", "M&M"];
    const LOWEST: u64 = 10_000;
    const HIGHEST: u64 = 10_000_000 * 100_000_000;
    let mut random = Random::new(seed);
    let mut at = [LOWEST, HIGHEST, 31_415_926_535];
    let mut ts: i64 = 1_700_000_000_000_000_000;
    (0..ticks)
        .map(|n| {
            // Every symbol is seen in this order first.
            let which = if n < 3 { n } else { random.below(3) as usize };
            let span = at[which] / 16 + 3;
            let (step, up) = (random.below(span), random.below(2) == 0);
            let moved = if up {
                at[which].saturating_add(step)
            } else {
                at[which].saturating_sub(step)
            };
            at[which] = match random.below(400) {
                0 => LOWEST,
                1 => HIGHEST,
                _ => moved.clamp(LOWEST, HIGHEST),
            };
            ts += match random.below(40) {
                0 => -3_600_000_000_000,
                1..=8 => 0,
                9 => 31_000_000_000_000_000,
                10 => -30_000_000_000_000_000,
                _ => 1 + random.below(2_000_000_000) as i64,
            };
            let size = match random.below(10) {
                0 => "0.00000001".to_owned(),
                1 => "10000000000".to_owned(),
                n => n.to_string(),
            };
            Given {
                ts,
                symbol: SYMBOLS[which],
                price: decimals(at[which], &mut random),
                size,
            }
        })
        .collect()
}

/// The workload by hand: `ema_cross` 10/20 on every tick, filled at its price.
fn by_hand(ticks: &[Given]) -> Account {
    let mut account = Account::default();
    let mut strategies: BTreeMap<&str, EmaCross> = BTreeMap::new();
    for tick in ticks {
        account.price(tick.symbol, &tick.price);
        let strategy = strategies
            .entry(tick.symbol)
            .or_insert_with(|| EmaCross::new(10, 20));
        if let Some(target) = strategy.input(tick.price.parse().unwrap()) {
            let quantity = Decimal::of(target).minus(account.position(tick.symbol));
            account.fill(tick.symbol, quantity, Decimal::parse(&tick.price));
        }
    }
    account
}

fn run(world: &World, more: &[&str]) -> Value {
    let mut args = vec!["bench", "pipeline", "--data", "ticks.csv", "--json"];
    args.extend(more);
    let out = world.ok(&args);
    assert_eq!(out.trim_end().lines().count(), 1, "one JSON object: {out}");
    serde_json::from_str(&out).unwrap()
}

fn assert_agrees(found: &Value, ticks: &[Given], hand: &Account) {
    assert_eq!(count(found, "ticks"), ticks.len() as u64);
    assert_eq!(count(found, "orders"), hand.fills, "orders");
    assert_eq!(count(found, "fills"), hand.fills, "fills");
    for (key, wanted) in [
        ("traded_quantity", hand.traded),
        ("cash_flow", hand.cash_flow),
        ("equity", hand.equity()),
    ] {
        assert_eq!(text(found, key), wanted.to_string(), "{key}");
    }
}

#[test]
fn a_naive_simulation_comes_to_the_same_totals() {
    for (seed, ticks) in [(1, 20_000), (2, 3_000), (3, 61)] {
        let world = World::new();
        let ticks = wild(seed, ticks);
        world.write("ticks.csv", csv(&ticks));
        let hand = by_hand(&ticks);
        let found = run(&world, &["--passes", "1"]);
        assert_agrees(&found, &ticks, &hand);
        assert!(
            ticks.len() < 100 || hand.fills > 50,
            "seed {seed}: {} fills",
            hand.fills
        );

        let again = run(&world, &["--passes", "2"]);
        assert_eq!(text(&found, "log_hash"), text(&again, "log_hash"));
        assert_agrees(&again, &ticks, &hand);
    }
}

#[test]
fn the_object_has_the_promised_keys_and_no_orders_means_none() {
    let world = World::new();
    let ticks = wild(7, 2_000);
    world.write("ticks.csv", csv(&ticks));
    let traded = run(&world, &[]);
    let idle = run(&world, &["--no-orders"]);
    for found in [&traded, &idle] {
        for key in ["ticks", "orders", "fills", "peak_rss_bytes"] {
            count(found, key);
        }
        for key in ["cpu_seconds", "ticks_per_cpu_second"] {
            assert!(found[key].as_f64().unwrap() > 0.0, "{key}");
        }
        for key in ["traded_quantity", "cash_flow", "equity"] {
            Decimal::parse(&text(found, key));
        }
        let hash = text(found, "log_hash");
        assert!(
            hash.len() >= 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()),
            "{hash}"
        );
    }
    assert_agrees(&idle, &ticks, &Account::default());
    assert_ne!(text(&traded, "log_hash"), text(&idle, "log_hash"));

    // Prices decide; one other tick is another run.
    let mut other = wild(7, 2_000);
    other[1_999].price = "5".to_owned();
    world.write("ticks.csv", csv(&other));
    assert_agrees(&run(&world, &[]), &other, &by_hand(&other));
}

#[test]
fn a_tick_before_the_twentieth_never_trades_and_equal_averages_keep() {
    let world = World::new();
    let given = |prices: &[&str]| -> Vec<Given> {
        let one = |price: &&str| Given {
            ts: 5,
            symbol: "A",
            price: (*price).to_owned(),
            size: "1".to_owned(),
        };
        prices.iter().map(one).collect()
    };
    let mut prices = vec!["100"; 18];
    prices.push("101");
    let cases = [
        // Nineteen inputs: nothing yet. The twentieth decides, whatever it is itself.
        (given(&prices), 0),
        (given(&[prices.as_slice(), &["100"]].concat()), 1),
        // Equal for ever: nothing is wanted.
        (given(&["0.0001"; 60]), 0),
        (given(&["10000000"; 60]), 0),
    ];
    for (ticks, orders) in cases {
        world.write("ticks.csv", csv(&ticks));
        let hand = by_hand(&ticks);
        assert_eq!(hand.fills, orders);
        assert_agrees(&run(&world, &[]), &ticks, &hand);
    }
}

#[test]
fn generated_ticks_need_no_file() {
    let world = World::new();
    let args = [
        "bench", "pipeline", "--ticks", "20000", "--passes", "1", "--json",
    ];
    let run = || -> Value { serde_json::from_str(&world.ok(&args)).unwrap() };
    let (first, second) = (run(), run());
    assert_eq!(count(&first, "ticks"), 20_000);
    assert!(count(&first, "orders") > 300, "{first}");
    assert_eq!(text(&first, "log_hash"), text(&second, "log_hash"));
    assert_eq!(text(&first, "equity"), text(&second, "equity"));
}

#[test]
fn charges_are_the_markets_and_change_nothing_that_is_traded() {
    let world = World::new();
    let run = |profile: &str| -> Value {
        let out = world.ok(&[
            "bench",
            "pipeline",
            "--ticks",
            "20000",
            "--passes",
            "1",
            "--charges",
            profile,
            "--json",
        ]);
        serde_json::from_str(&out).unwrap()
    };
    let charged = |found: &Value| Decimal::parse(&text(found, "charges"));
    let (note, estimate) = (run("contract_note"), run("estimate"));
    // The estimate knows no stamp duty.
    assert!(charged(&note).0 > charged(&estimate).0);
    assert!(charged(&estimate).0 > 0);
    assert_eq!(note["figures"][1], estimate["figures"][1], "the orders");
    assert!(note["figures"][1]["measured"].as_f64().unwrap() > 300.0);
    world.refuses(
        &["bench", "pipeline", "--charges", "none"],
        &["none", "contract_note"],
    );
}

#[test]
fn wrong_tick_files_are_refused_with_file_and_line() {
    let world = World::new();
    let head = "ts_ns,symbol,price,size\n";
    for (content, wanted) in [
        (String::new(), ["ticks.csv", "ts_ns"]),
        (head.to_owned(), ["ticks.csv", "no rows"]),
        (
            "ts_ns,symbol,size\n1,A,2\n".to_owned(),
            ["ticks.csv:1", "`price`"],
        ),
        ("1,A,2,3\n".to_owned(), ["ticks.csv:1", "`ts_ns`"]),
        (
            format!("{head}1,A,5,1\n2,A,5..1,1\n"),
            ["ticks.csv:3", "price `5..1`"],
        ),
        (format!("{head}1,A,NaN,1\n"), ["ticks.csv:2", "price `NaN`"]),
        (format!("{head}1,A,0,1\n"), ["ticks.csv:2", "price `0`"]),
        (format!("{head}1,A,-3,1\n"), ["ticks.csv:2", "price `-3`"]),
        (
            format!("{head}1,A,0.00009999,1\n"),
            ["ticks.csv:2", "window"],
        ),
        (
            format!("{head}1,A,10000000.00000001,1\n"),
            ["ticks.csv:2", "window"],
        ),
        (
            format!("{head}1,A,1.000000001,1\n"),
            ["ticks.csv:2", "decimals"],
        ),
        (format!("{head}1,A,5,x\n"), ["ticks.csv:2", "size `x`"]),
        (format!("{head}1.5,A,5,1\n"), ["ticks.csv:2", "ts_ns `1.5`"]),
        (
            format!("{head}99999999999999999999,A,5,1\n"),
            ["ticks.csv:2", "ts_ns"],
        ),
        (format!("{head}1,A,5,1\n2,A,5\n"), ["ticks.csv", "line: 3"]),
    ] {
        world.write("ticks.csv", content);
        let args = ["bench", "pipeline", "--data", "ticks.csv", "--json"];
        world.refuses(&args, &wanted);
    }
    world.write("ticks.csv", [0xff, 0xfe, 0x00, 0x9f]);
    world.refuses(
        &["bench", "pipeline", "--data", "ticks.csv"],
        &["ticks.csv"],
    );
    world.refuses(&["bench", "pipeline", "--data", "none.csv"], &["none.csv"]);
}

/// Runs a benchmark of the system with little to do. How fast it is depends on the machine: not asserted.
fn figures(args: &[&str]) -> BTreeMap<String, f64> {
    let world = World::new();
    let before = world.tree();
    let mut all = vec!["bench"];
    all.extend(args);
    all.extend(["--dir", ".", "--json"]);
    let out = world.ok(&all);
    assert_eq!(out.trim_end().lines().count(), 1, "one JSON object: {out}");
    assert_eq!(before, world.tree(), "{args:?} left something behind");
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(text(&found, "benchmark"), args[0]);
    let figures = found["figures"].as_array().unwrap();
    let verdicts: Vec<bool> = figures
        .iter()
        .filter_map(|f| {
            let measured = f["measured"].as_f64().unwrap();
            let budget = &f["budget"];
            let below = budget["below"].as_f64().map(|most| measured < most);
            below.or(budget["at_least"].as_f64().map(|least| measured >= least))
        })
        .collect();
    assert!(!verdicts.is_empty(), "{found}");
    assert_eq!(
        found["passed"].as_bool(),
        Some(verdicts.iter().all(|kept| *kept))
    );
    figures
        .iter()
        .map(|f| (text(f, "what"), f["measured"].as_f64().unwrap()))
        .collect()
}

#[test]
fn every_order_of_the_latency_reaches_the_trader() {
    let found = figures(&["latency", "--orders", "15", "--gap", "4"]);
    for disk in ["without the disk", "intent durable"] {
        let of = |what: &str| found[&format!("{disk}: {what}")];
        assert_eq!(of("orders"), 15.0);
        for way in ["bare chain", "tick to order"] {
            assert!(of(&format!("{way} p50")) > 0.0);
            assert!(of(&format!("{way} p50")) <= of(&format!("{way} p99")));
        }
    }
    let one = figures(&["latency", "--memory", "--orders", "3", "--gap", "2"]);
    assert!(one.keys().all(|what| what.starts_with("without the disk")));
}

#[test]
fn ticks_at_a_modest_rate_are_all_taken_and_none_is_conflated() {
    let found = figures(&["throughput", "--for", "300ms", "--rate", "10000"]);
    assert!(found["ticks"] >= 2_560.0, "{found:?}");
    assert_eq!(found["ticks conflated"], 0.0);
    assert!(found["logs, of all brokers"] > 2.0);
}

#[test]
fn a_restart_after_a_crash_has_the_whole_day_and_a_snapshot_spares_most_of_it() {
    let found = figures(&["recovery", "--ticks", "5000", "--gap", "50"]);
    let of = |start: &str, what: &str| found[&format!("{start}: {what}")];
    let (with, without) = ("a snapshot each minute", "no snapshot");
    // Each of two brokers; the newest input may be on its way still, in a run of its own.
    assert!(of(without, "market inputs observed again") > 9_000.0);
    assert_eq!(of(without, "market inputs run again"), 5_000.0);
    assert!(of(with, "market inputs observed again") < 100.0);
    assert!(of(with, "journal records read") < of(without, "journal records read"));
    for start in [with, without] {
        assert!(of(start, "events of the day, of 2 brokers") > 500.0);
    }
}

#[test]
fn memory_is_told_for_each_day() {
    let args = ["memory", "--days", "4", "--ticks", "500", "--gap", "20"];
    let found = figures(&args);
    for day in 1..=4 {
        assert!(found[&format!("memory after day {day}")] > 1.0);
    }
    assert!(found.contains_key("growth per day, after day 2"));
    assert!(found["events of 2 brokers"] > 100.0);
}

#[test]
fn the_table_says_what_was_measured_and_whether_it_is_kept() {
    let world = World::new();
    let out = world.ok(&["bench", "throughput", "--for", "100ms", "--rate", "1000"]);
    assert!(out.starts_with("throughput "), "{out}");
    assert!(out.contains("ticks/s to 2 brokers") && out.contains(">= 100000"));
    world.refuses(
        &["bench", "latency", "--dir", "none", "--json"],
        &["none", "cannot make a directory"],
    );
    world.refuses(&["bench", "latency", "--rate", "0"], &["--rate", "0"]);
}
