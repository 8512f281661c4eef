//! Wrong inputs of a backtest: one clear message with file, line or key, and the fix; exit code not 0;
//! nothing left behind.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::demo::check_result;
use crate::harness::{World, assert_clear, base, count};
use crate::market;

const STRATEGY: &str = "\
strategies:
  - id: cross
    kind: ema_cross
    instruments: [TCS]
    parameters: { fast: 2, slow: 4, quantity: 1, timeframe: tick }
";

fn ticks() -> String {
    let day = market::day(&mut market::Random::new(5), 60, 30);
    market::csv("2021-04-15", &day)
}

fn world() -> World {
    let world = World::new();
    world.write("instruments.csv", market::instruments(&["TCS", "M&M"]));
    world.write("strategies.yaml", STRATEGY);
    world.write("data/TCS.csv", ticks());
    world
}

fn refuses(world: &World, wanted: &[&str]) {
    world.refuses(&base("data", "out"), wanted);
}

#[test]
fn the_inputs_of_these_tests_are_right_before_they_are_made_wrong() {
    let world = world();
    world.backtest("data", "out", &[]);
    assert!(count(&check_result(&world, "out"), "fills") > 5);
}

#[test]
fn missing_empty_and_corrupt_data_is_refused() {
    let world = world();
    world.refuses(&base("none", "out"), &["none", "--data"]);
    world.write("empty/readme.txt", "no data");
    world.refuses(&base("empty", "out"), &["`empty`", ".csv"]);
    let mut zipped = GzEncoder::new(Vec::new(), Compression::default());
    zipped.write_all(ticks().as_bytes()).unwrap();
    let zipped = zipped.finish().unwrap();
    let noise: Vec<u8> = (0..4_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let mut flipped = zipped.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    let cases: [(&str, Vec<u8>, &[&str]); 12] = [
        ("TCS.csv", Vec::new(), &["empty"]),
        ("TCS.csv", b"timestamp,ltp,volume\n".to_vec(), &["no rows"]),
        ("TCS.csv", b"\n\n\n".to_vec(), &["empty"]),
        ("TCS.csv", noise, &["binary"]),
        (
            "TCS.csv",
            b"2021-04-15 09:15:04,801.6,65806\n".to_vec(),
            &["line 1", "no header"],
        ),
        (
            "TCS.csv",
            b"timestamp;ltp\n2021-04-15 09:15:04;801\n".to_vec(),
            &["line 1", "comma"],
        ),
        (
            "TCS.csv",
            b"when,what\n1,2\n".to_vec(),
            &["line 1", "when, what", "timestamp"],
        ),
        (
            "TCS.csv.gz",
            zipped[..zipped.len() / 2].to_vec(),
            &["cut off"],
        ),
        ("TCS.csv.gz", flipped, &["corrupt", "gzip"]),
        ("TCS.csv.gz", Vec::new(), &["empty"]),
        ("TCS.csv.gz", ticks().into_bytes(), &["not gzip"]),
        (
            "NOVA.csv",
            ticks().into_bytes(),
            &["`NOVA`", "does not exist", "instruments"],
        ),
    ];
    for (n, (name, content, wanted)) in cases.into_iter().enumerate() {
        let dir = format!("wrong{n}");
        world.write(&format!("{dir}/{name}"), content);
        let message = world.refuses(&base(&dir, "out"), wanted);
        assert!(message.contains(&format!("{dir}/{name}")), "{message}");
    }
    // A whole file in place of a directory, and a name in a column that nobody knows.
    world.write(
        "one.csv",
        "symbol,ts,price\nTCS,1618458304,5\nNOVA,1618458305,5\n",
    );
    world.refuses(&base("one.csv", "out"), &["one.csv", "line 3", "`NOVA`"]);
    world.write("all/TCS.csv.gz", &zipped);
    world.backtest("all", "out", &[]);
    assert_eq!(count(&check_result(&world, "out"), "ticks"), 60);
    world.write("all/TCS.csv", ticks());
    world.refuses(&base("all", "other"), &["TCS.csv.gz", "TCS.csv", "both"]);
}

#[test]
fn a_wrong_instruments_file_is_refused_with_its_line() {
    let world = world();
    world.refuses(
        &[
            "backtest",
            "--data",
            "data",
            "--instruments",
            "none.csv",
            "--strategy",
            "strategies.yaml",
            "--out",
            "out",
        ],
        &["none.csv", "--instruments"],
    );
    let head = "exchange,symbol,tick_size\n";
    let cases: [(String, &[&str]); 9] = [
        (String::new(), &["instruments.csv"]),
        (
            head.to_owned(),
            &["instruments.csv:1", "no tradable instrument"],
        ),
        (
            "exchange,symbl\nNSE,TCS\n".into(),
            &["instruments.csv:1", "`symbl`", "did you mean `symbol`"],
        ),
        (
            "tick_size\n0.05\n".into(),
            &["instruments.csv:1", "no column names an instrument"],
        ),
        (
            format!("{head}NSE,TCS,0.05\nNSE,TCS,0.05\n"),
            &["instruments.csv:3", "line 2"],
        ),
        (
            format!("{head}NSE,TCS,0\n"),
            &["instruments.csv:2", "tick_size", "positive"],
        ),
        (
            format!("{head}NSE,TCS,x\n"),
            &["instruments.csv:2", "tick_size", "`x`"],
        ),
        (
            format!("{head}NSE,TCS\n"),
            &["instruments.csv:2", "2 fields"],
        ),
        (
            format!("{head}LSE,TCS,1\n"),
            &["instruments.csv:2", "LSE", "currency"],
        ),
    ];
    for (content, wanted) in cases {
        world.write("instruments.csv", content);
        refuses(&world, wanted);
    }
    world.write("instruments.csv", [0x1f, 0x8b, 0xff, 0x00]);
    refuses(&world, &["instruments.csv", "UTF-8"]);
}

#[test]
fn a_wrong_strategy_file_is_refused_with_its_line() {
    let world = world();
    let change = |from: &str, to: &str| {
        assert!(STRATEGY.contains(from), "{from}");
        STRATEGY.replace(from, to)
    };
    let twice = format!("{STRATEGY}  - id: cross\n    kind: rsi\n    instruments: [TCS]\n");
    let more = |line: &str| format!("{STRATEGY}    {line}\n");
    let cases: [(String, &[&str]); 20] = [
        (
            change("[TCS]", "[TCSS]"),
            &[":4", "`cross`", "`TCSS`", "did you mean NSE:TCS?"],
        ),
        (
            change("ema_cross", "ema_cros"),
            &[":3", "`ema_cros`", "did you mean `ema_cross`", "rsi"],
        ),
        (
            change("fast:", "fasst:"),
            &[":5", "`fasst`", "did you mean `fast`"],
        ),
        (
            change("    kind:", "    kindd:"),
            &[":3", "`kindd`", "did you mean `kind`"],
        ),
        (change("strategies:", "strategys:"), &[":1", "`strategys`"]),
        (
            change("fast: 2", "fast: two"),
            &[":5", "`fast`", "`two`", "whole number"],
        ),
        (change("fast: 2", "fast: 0"), &[":5", "`fast`", "`0`"]),
        (change("fast: 2", "fast: 9"), &["`fast` (9)", "`slow` (4)"]),
        (
            change("quantity: 1", "quantity: -1"),
            &[":5", "`quantity`", "`-1`"],
        ),
        (
            change("quantity: 1", "quantity: 0.000000001"),
            &[":5", "`quantity`"],
        ),
        (
            change("timeframe: tick", "timeframe: 1x"),
            &[":5", "`timeframe`", "`1x`", "1m"],
        ),
        (change("slow: 4,", "slow: [4"), &[":5", "bracket"]),
        (
            change("instruments: [TCS]", "instruments: TCS"),
            &[":4", "instruments"],
        ),
        (
            change("id: cross", "id: Cross"),
            &[":2", "`Cross`", "lower-case"],
        ),
        (
            change("id: cross", "id: manual"),
            &[":2", "`manual`", "reserved"],
        ),
        (twice, &[":6", "`cross`", "strategies.yaml:2"]),
        (
            more("brokers: [papr]"),
            &[":6", "`papr`", "did you mean `paper`", "known: paper"],
        ),
        (
            more("risk: { order_quantiy: 5 }"),
            &[":6", "`cross`", "`order_quantiy`"],
        ),
        (more("enabled: perhaps"), &[":6", "enabled", "`perhaps`"]),
        (more("product: margin"), &[":6", "product", "`margin`"]),
    ];
    for (content, wanted) in cases {
        world.write("strategies.yaml", &content);
        let message = world.refuses(&base("data", "out"), wanted);
        assert!(message.contains("strategies.yaml:"), "{message}");
    }
    for content in ["", "strategies: []\n", "# nothing\n"] {
        world.write("strategies.yaml", content);
        refuses(&world, &["strategies.yaml", "no strategies"]);
    }
    world.write("strategies.yaml", [0xff, 0xfe, 0x00]);
    refuses(&world, &["strategies.yaml"]);
    let mut args = base("data", "out");
    args[6] = "none.yaml";
    world.refuses(&args, &["none.yaml"]);
    args.drain(5..7);
    world.refuses(&args, &["--strategy"]);
    // `panda strategies --check` says the same.
    world.write("strategies.yaml", change("fast:", "fasst:"));
    let check = [
        "strategies",
        "--check",
        "strategies.yaml",
        "--instruments",
        "instruments.csv",
    ];
    world.refuses(&check, &["strategies.yaml:5", "did you mean `fast`"]);
    world.write("strategies.yaml", STRATEGY);
    assert!(
        world
            .ok(&check)
            .contains("cross: ema_cross on 1 instrument")
    );
}

#[test]
fn a_registered_broker_that_does_not_run_is_reported_and_skipped() {
    let world = world();
    world.write(
        "panda.toml",
        "[trading_engine.paper]\ncharges = { flat_rate = 0.0001 }\n[trading_engine.second]\nkind = \"paper\"\n",
    );
    let both = STRATEGY.replace(
        "    instruments",
        "    brokers: [second, paper]\n    instruments",
    );
    let only = "  - { id: alone, kind: rsi, instruments: [TCS], brokers: [second] }\n";
    world.write("strategies.yaml", format!("{both}{only}"));
    let mut args = base("data", "out");
    args.extend(["--config", "panda.toml", "--broker", "paper"]);
    let ran = world.panda(&args);
    assert!(ran.ok, "{}", ran.stderr);
    let warnings: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(warnings.len(), 2, "{}", ran.stderr);
    for (warning, (line, id)) in warnings.iter().zip([
        ("strategies.yaml:7", "alone"),
        ("strategies.yaml:4", "cross"),
    ]) {
        assert!(warning.starts_with("warning: "), "{warning}");
        for wanted in [line, id, "`second`", "not active", "skipped"] {
            assert!(warning.contains(wanted), "{warning} lacks {wanted}");
        }
    }
    let summary = check_result(&world, "out");
    assert!(count(&summary, "fills") > 5, "the other broker runs");
    assert_eq!(
        summary["warnings"].as_array().unwrap().len(),
        2,
        "the result says it too"
    );
    assert!(
        world
            .rows("out/signals.csv")
            .iter()
            .all(|s| s["broker"] == "paper")
    );
}

#[test]
fn a_place_that_cannot_take_the_result_is_refused_and_kept() {
    let world = world();
    world.write("out/thesis.txt", "words");
    refuses(&world, &["out", "summary.json", "another"]);
    world.write("file", "x");
    world.refuses(&base("data", "file"), &["file", "not a directory"]);
    world.refuses(&base("data", "data/out"), &["--out", "data/out", "beside"]);
    world.refuses(&base("data", "file/out"), &["file/out"]);
    world.refuses(&base("data", "/proc/nowhere/out"), &["/proc"]);
    // A parent that is not there yet is made; a run that fails takes it away again.
    world.refuses(&base("none", "new/deep/out"), &["none"]);
    world.backtest("data", "new/deep/out", &[]);
    // An earlier result stays when a later run fails, and is replaced when it does not.
    let mut args = base("data", "new/deep/out");
    args.extend(["--from", "yesterday"]);
    world.refuses(&args, &["`yesterday`"]);
    world.write("new/deep/out/note.txt", "of the earlier run");
    world.backtest("data", "new/deep/out", &[]);
    assert!(!world.path("new/deep/out/note.txt").exists());
    let left: Vec<_> = world.tree().into_iter().map(|(path, _)| path).collect();
    let hidden =
        |p: &&std::path::PathBuf| p.file_name().unwrap().to_string_lossy().starts_with('.');
    assert_eq!(left.iter().find(hidden), None, "nothing temporary is left");
}

#[cfg(unix)]
#[test]
fn a_directory_that_may_not_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let world = world();
    world.write("locked/x", "");
    let locked = world.path("locked");
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o555)).unwrap();
    // Whoever may write everywhere, such as root, cannot see this.
    if std::fs::write(locked.join("y"), "").is_err() {
        let args = base("data", "locked/out");
        let ran = world.panda(&args);
        assert!(!ran.ok);
        assert_clear(&args, &ran.stderr);
        assert!(ran.stderr.contains("locked"), "{}", ran.stderr);
    }
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o755)).unwrap();
}
