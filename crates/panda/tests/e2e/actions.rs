//! Splits and bonuses: a backtest over adjusted history is the one of a share that was never split.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::demo::check_result;
use crate::harness::{World, base, text};
use crate::live::logs::Journal;
use crate::market::{self, OPEN, Tick};

const DATES: [&str; 3] = ["2021-04-15", "2021-04-16", "2021-04-19"];
const TICKS: u64 = 400;

/// One of three days of a price that rises slowly, and volumes that divide by all that is done to them.
/// A row's price is in hundredths of a rupee.
fn days() -> Vec<Vec<(u64, u64)>> {
    let day = |n: u64| (0..TICKS).map(move |i| (100_000 + 20 * (n * TICKS + i), 30 * (i + 1)));
    (0..3).map(|n| day(n).collect()).collect()
}

/// Writes the days with so many old shares for `of` new ones.
fn write(world: &World, data: &str, factors: [(u64, u64); 3]) {
    for ((date, day), (new, old)) in DATES.iter().zip(days()).zip(factors) {
        let ticks = day.iter().enumerate().map(|(n, (price, volume))| Tick {
            second: OPEN + 7 * n as u64,
            price: market::price(price * new / old),
            volume: volume * old / new,
        });
        let ticks: Vec<Tick> = ticks.collect();
        world.write(&format!("{data}/{date}/A.csv"), market::csv(date, &ticks));
    }
}

/// What trading came to, without the ids of what caused it.
fn outcome(world: &World, summary: &Value, out: &str) -> (String, Value) {
    let mut fills = String::new();
    for row in world.rows(&format!("{out}/fills.csv")) {
        let of = |key: &str| row[key].clone();
        writeln!(
            fills,
            "{} {} {} {}",
            of("ts"),
            of("side"),
            of("quantity"),
            of("price")
        )
        .unwrap();
    }
    let figures = [
        "net",
        "equity",
        "cash_flow",
        "unrealised",
        "traded_value",
        "max_drawdown",
        "charges",
    ]
    .map(|key| text(summary, key));
    (fills, json!(figures))
}

#[test]
fn a_position_over_ex_dates_is_worth_what_it_is_without_them() {
    let world = World::new();
    world.write("instruments.csv", market::instruments(&["A"]));
    world.write(
        "panda.toml",
        "[trading_engine.paper]\nsimulation_latency_ms = 300\n",
    );
    world.write(
        "strategies.yaml",
        "- id: hold\n  kind: ema_cross\n  product: delivery\n  instruments: [A]\n  parameters: { fast: 1, slow: 2, quantity: 30 }\n",
    );
    // A bonus of one for two on the second day, five shares for one on the third.
    write(&world, "never", [(1, 1); 3]);
    write(&world, "split", [(15, 2), (5, 1), (1, 1)]);
    world.write(
        "actions.csv",
        "instrument,ex_date,kind,ratio\nNSE:A,2021-04-19,split,10:2\nNSE:A,2021-04-16,bonus,1:2\nNSE:A,2021-05-03,bonus,1:1\n",
    );
    let run = |data: &str, out: &str, more: &[&str]| {
        world.backtest(data, out, &[&["--config", "panda.toml"], more].concat());
        check_result(&world, out)
    };
    let adjusted = ["--corporate-actions", "actions.csv"];
    let never = run("never", "never-out", &[]);
    let split = run("split", "split-out", &adjusted);
    let (fills, figures) = outcome(&world, &split, "split-out");
    assert!(fills.contains(" buy 30 100"), "{fills}");
    assert_eq!((fills, figures), outcome(&world, &never, "never-out"));

    let said = split["warnings"].to_string();
    assert!(
        said.contains("bonus 1:1 of NSE:A on 2021-05-03 changes nothing"),
        "{said}"
    );
    assert!(!said.contains("as if shares had"), "{said}");
    assert_eq!(
        split["corporate_actions"],
        json!([
            { "instrument": "NSE:A", "ex_date": "2021-04-16", "kind": "bonus", "ratio": "1:2", "shares": "3:2", "rows": TICKS },
            { "instrument": "NSE:A", "ex_date": "2021-04-19", "kind": "split", "ratio": "10:2", "shares": "5:1", "rows": 2 * TICKS },
        ])
    );
    assert!(
        world
            .read("split-out/report.html")
            .contains("<caption>Corporate actions")
    );

    // Not given, they are a loss, and said to look like what they are.
    let silent = run("split", "silent-out", &[]);
    let said = silent["warnings"].to_string();
    assert!(said.contains("as if shares had changed 3 for 2"), "{said}");
    assert!(said.contains("as if shares had changed 5 for 1"), "{said}");
    assert!(text(&silent, "net").starts_with('-'), "{silent}");

    // A catalogue holds the rows as they were traded, and gives the same; so does a replay.
    world.ok(&[
        "data",
        "import",
        "split",
        "--catalogue",
        "cat",
        "--instruments",
        "instruments.csv",
    ]);
    let stored = run("cat", "cat-out", &adjusted);
    assert_eq!(stored["log_hash"], split["log_hash"]);
    assert_eq!(stored["corporate_actions"], split["corporate_actions"]);
    world.write(
        "live.toml",
        "instruments = \"instruments.csv\"\n[data]\ncorporate_actions = \"actions.csv\"\n\
         [trading_engine.paper]\nsimulation_latency_ms = 300\n\
         [strategies]\nfiles = [\"strategies.yaml\"]\n\
         [feeds.recorded]\nsource = \"replay\"\npath = \"cat\"\n",
    );
    world.ok(&["run", "--config", "live.toml", "--data-dir", "replay"]);
    let journal = Journal::read(&world.path("replay"), "paper");
    assert_eq!(
        journal.log_hash("paper"),
        text(&split["log_hash_by_broker"], "paper")
    );
    // The same rows unadjusted are another session.
    let plain = world
        .read("live.toml")
        .replace("corporate_actions = \"actions.csv\"\n", "");
    world.write("plain.toml", plain);
    let ran = world.panda(&["run", "--config", "plain.toml", "--data-dir", "replay"]);
    assert!(
        !ran.ok && ran.stderr.contains("replay of other data"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_wrong_file_of_actions_stops_the_run_before_the_data_is_read() {
    let world = World::new();
    world.write("instruments.csv", market::instruments(&["A"]));
    world.write(
        "strategies.yaml",
        "- { id: hold, kind: ema_cross, instruments: [A] }\n",
    );
    write(&world, "data", [(1, 1); 3]);
    world.write(
        "actions.csv",
        "instrument,ex_date,kind,ratio\nNSE:A,2021-04-16,split,1:2\n",
    );
    let mut args = base("data", "out");
    args.extend(["--corporate-actions", "actions.csv"]);
    world.refuses(
        &args,
        &["actions.csv", "line 2", "`1:2` makes no more shares"],
    );
}
