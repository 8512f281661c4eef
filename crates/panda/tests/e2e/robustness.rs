//! What strategies and users may ask for that cannot be done, and the manners of the command line.

use std::io::Read as _;
use std::process::Stdio;

use crate::decimal::Decimal;
use crate::demo::check_result;
use crate::harness::{World, count, sum, text};
use crate::market::{self, Random};

fn world(symbols: &[&str], ticks: usize) -> World {
    let world = World::new();
    world.write("instruments.csv", market::instruments(symbols));
    let mut random = Random::new(77);
    for symbol in symbols {
        let day = market::day(&mut random, ticks, 40);
        world.write(
            &format!("data/{symbol}.csv"),
            market::csv("2021-04-15", &day),
        );
    }
    world.write("panda.toml", "");
    world
}

fn rejected(summary: &serde_json::Value) -> Vec<&str> {
    let object = summary["rejected"].as_object().unwrap();
    object.keys().map(String::as_str).collect()
}

#[test]
fn quantities_that_no_lot_fits_are_rejected_and_nothing_trades() {
    let world = world(&["TCS"], 300);
    world.write(
        "strategies.yaml",
        "- { id: c, kind: ema_cross, instruments: [TCS], parameters: { fast: 2, slow: 5, quantity: 0.5 } }\n",
    );
    let summary = world.backtest("data", "out", &["--config", "panda.toml"]);
    check_result(&world, "out");
    assert!(count(&summary, "signals") > 10);
    assert_eq!(rejected(&summary), ["lot_size"]);
    assert_eq!(sum(&summary, "rejected"), count(&summary, "signals"));
    assert_eq!(count(&summary, "orders"), 0);
    assert_eq!(summary["equity"], summary["starting_cash"]);
}

#[test]
fn prices_beside_a_coarse_tick_are_never_sent() {
    // A tick of 7: hardly any price that a strategy works out lies on it.
    let world = world(&["TCS"], 600);
    world.write("instruments.csv", "id,tick_size\nNSE:TCS,7\n");
    world.write(
        "strategies.yaml",
        "- { id: b, kind: opening_range_breakout, instruments: [TCS], parameters: { quantity: 2 } }\n\
         - { id: v, kind: vwap_reversion, instruments: [TCS], parameters: { quantity: 2 } }\n",
    );
    world.backtest("data", "out", &["--config", "panda.toml"]);
    check_result(&world, "out");
    for key in ["limit_price", "trigger_price"] {
        let orders = world.rows("out/orders.csv");
        let given = orders.iter().filter(|order| !order[key].is_empty());
        let mut seen = 0;
        for order in given {
            let price = Decimal::parse(&order[key]);
            assert_eq!(price.0 % Decimal::of(7).0, 0, "{key}: {order:?}");
            seen += 1;
        }
        assert!(seen > 0, "no order has a {key}");
    }
}

#[test]
fn a_currency_without_a_limit_is_rejected_with_its_own_code() {
    let world = world(&["TCS"], 200);
    world.write("instruments.csv", "id,currency\nNSE:TCS,INR\nNYSE:F,USD\n");
    let day = market::day(&mut Random::new(8), 200, 40);
    world.write("data/F.csv", market::csv("2021-04-15", &day));
    world.write(
        "strategies.yaml",
        "- { id: c, kind: ema_cross, asset_classes: [equity], parameters: { fast: 2, slow: 5, quantity: 1 } }\n",
    );
    world.write(
        "panda.toml",
        "[markets]\nalways_open = [\"NYSE\"]\n[risk]\norder_notional = 1000000\n",
    );
    let summary = world.backtest("data", "out", &["--config", "panda.toml"]);
    assert_eq!(rejected(&summary), ["currency_limit_missing"]);
    let signals = world.rows("out/signals.csv");
    let (mut dollars, mut rupees) = (0, 0);
    for signal in &signals {
        if signal["instrument"] == "NYSE:F" {
            assert_eq!(signal["reason"], "currency_limit_missing");
            dollars += 1;
        } else {
            rupees += 1;
        }
    }
    assert!(dollars > 5 && rupees > 5);
    // With a limit of its own it trades, and its money stays apart.
    world.write(
        "panda.toml",
        "[markets]\nalways_open = [\"NYSE\"]\n[risk]\navailable_cash = false\norder_notional = { INR = 1000000, USD = 1000000 }\n",
    );
    let summary = world.backtest("data", "out", &["--config", "panda.toml"]);
    assert_eq!(rejected(&summary), Vec::<&str>::new());
    assert_eq!(text(&summary, "currency"), "INR");
    let flow = |currency: &str| {
        let fills = world.rows("out/fills.csv");
        let own = fills.iter().filter(|f| f["currency"] == currency);
        own.fold(Decimal::default(), |sum, f| {
            let notional = Decimal::parse(&f["notional"]);
            if f["side"] == "sell" {
                sum.plus(notional)
            } else {
                sum.minus(notional)
            }
        })
    };
    assert_eq!(text(&summary, "cash_flow"), flow("INR").to_string());
    assert_eq!(
        text(&summary["by_currency"]["USD"], "cash_flow"),
        flow("USD").to_string()
    );
    assert_ne!(flow("USD"), Decimal::default());
}

#[test]
fn every_asset_class_is_understood_and_none_given_means_its_own() {
    let world = world(&["TCS"], 100);
    let classes = [
        "equity",
        "futures",
        "options",
        "currency",
        "commodity",
        "crypto",
    ];
    let mut instruments = String::from("id,asset_class,currency\nNSE:TCS,equity,INR\n");
    for class in classes {
        instruments.push_str(&format!("X:{},{class},USD\n", class.to_uppercase()));
    }
    world.write("instruments.csv", instruments);
    let strategy = |class: &str| {
        format!(
            "- {{ id: c, kind: ema_cross, asset_classes: [{class}], parameters: {{ fast: 2, slow: 5 }} }}\n"
        )
    };
    for class in classes {
        world.write("strategies.yaml", strategy(class));
        let summary = world.backtest("data", "out", &["--config", "panda.toml"]);
        assert_eq!(count(&summary, "signals") > 0, class == "equity", "{class}");
    }
    world.write("strategies.yaml", strategy("equities"));
    let mut args = crate::harness::base("data", "new");
    args.extend(["--config", "panda.toml"]);
    world.refuses(
        &args,
        &["strategies.yaml:1", "`equities`", "equity", "crypto"],
    );
    world.write("strategies.yaml", "- { id: c, kind: ema_cross }\n");
    world.refuses(
        &args,
        &["strategies.yaml:1", "`c`", "instruments", "asset_classes"],
    );
}

#[test]
fn an_overflow_is_a_rejection_and_never_a_wrap() {
    let world = World::new();
    // 10 million × 10 billion × a million does not fit; every order is refused.
    world.write(
        "instruments.csv",
        "id,asset_class,currency,tick_size,multiplier\nX:BIG,futures,USD,1,1000000\n",
    );
    world.write(
        "strategies.yaml",
        "- { id: c, kind: ema_cross, instruments: [BIG], parameters: { fast: 1, slow: 2, quantity: 10000000000 } }\n",
    );
    let mut data = String::from("timestamp,price,size\n");
    for n in 0..40 {
        let price = if n % 2 == 0 { 10_000_000 } else { 9_000_000 };
        data.push_str(&format!("2021-04-15 10:00:{n:02},{price},1\n"));
    }
    world.write("data/BIG.csv", data);
    world.write("calendar.toml", market::calendar("X"));
    world.write(
        "panda.toml",
        "[markets]\ncalendar_file = \"calendar.toml\"\n[trading_engine.paper]\nbase_currency = \"USD\"\n\
         starting_cash = { USD = \"1000000000000000000\" }\n",
    );
    let mut args = crate::harness::base("data", "out");
    args.extend(["--config", "panda.toml"]);
    world.ok(&args);
    let summary = check_result(&world, "out");
    assert_eq!(rejected(&summary), ["overflow"]);
    assert_eq!(sum(&summary, "rejected"), 39, "all of them");
    // Without the multiplier it fits, reversals too, and is exact to the last unit.
    let strategies = world.read("strategies.yaml");
    world.write(
        "strategies.yaml",
        strategies.replace("10000000000", "500000000"),
    );
    let instruments = world.read("instruments.csv");
    world.write("instruments.csv", instruments.replace("1000000", "1"));
    world.ok(&args);
    let summary = check_result(&world, "out");
    assert_eq!(rejected(&summary), Vec::<&str>::new());
    assert_eq!(text(&summary, "traded_quantity"), "37500000000");
    assert!(Decimal::parse(&text(&summary, "cash_flow")).0.abs() > 0);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let world = world(&["TCS"], 2_000);
    let catalogue = [
        "data",
        "import",
        "data",
        "--catalogue",
        "catalogue",
        "--instruments",
        "instruments.csv",
    ];
    world.ok(&catalogue);
    for args in [
        &["strategies"][..],
        &["--help"],
        &["data", "show", "--catalogue", "catalogue", "TCS", "--csv"],
        &["data", "list", "--catalogue", "catalogue"],
        &["bench", "pipeline", "--ticks", "2000", "--passes", "1"],
        &["demo", "--days", "1"],
    ] {
        let mut child = world
            .command()
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Closed before anything is read.
        drop(child.stdout.take());
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        let status = child.wait().unwrap();
        for word in ["panic", "Broken pipe", "failed", "error"] {
            assert!(!said.contains(word), "{args:?}: {said}");
        }
        assert!(
            status.success() || status.code().is_none(),
            "{args:?}: {status}"
        );
    }
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let world = World::new();
    for command in [
        &["backtest"][..],
        &["demo"],
        &["strategies"],
        &["bench", "pipeline"],
        &["data", "import"],
        &["data", "list"],
        &["data", "show"],
        &["market", "status"],
        &["market", "hours"],
        &["market", "next"],
        &["charges"],
    ] {
        let help = world.ok(&[command, &["--help"]].concat());
        let example = format!("panda {}", command.join(" "));
        let examples = help.split("Example").nth(1).unwrap_or_default();
        assert!(
            examples.contains(&example),
            "{command:?} shows no example: {help}"
        );
        assert!(help.contains("Usage: panda"), "{help}");
    }
    for group in [&[][..], &["data"], &["bench"], &["market"]] {
        let help = world.ok(&[group, &["--help"]].concat());
        assert!(help.contains("Commands:"), "{help}");
    }
    assert!(world.ok(&["--version"]).starts_with("panda "));
    let kinds = world.ok(&["strategies"]);
    for kind in [
        "ema_cross",
        "momentum",
        "rsi",
        "mean_reversion",
        "opening_range_breakout",
        "vwap_reversion",
        "pairs",
        "low_frequency_demo",
    ] {
        assert!(kinds.contains(&format!("`{kind}`")), "{kind}");
    }
    // Slips of the pen are answered with the right word.
    world.refuses(&["backtset"], &["backtest"]);
    world.refuses(&["backtest", "--date", "x"], &["--data"]);
}

#[test]
fn summary_goes_to_stdout_as_one_json_object_where_asked_for() {
    let world = world(&["TCS"], 100);
    world.write(
        "strategies.yaml",
        "- { id: c, kind: ema_cross, instruments: [TCS] }\n",
    );
    let mut args = crate::harness::base("data", "out");
    args.push("--json");
    let printed: serde_json::Value = serde_json::from_str(&world.ok(&args)).unwrap();
    assert_eq!(printed, world.json("out/summary.json"));
    for key in [
        "rows_read",
        "rows_rejected",
        "ticks",
        "signals",
        "orders",
        "fills",
        "rejected",
        "traded_quantity",
        "cash_flow",
        "realised",
        "unrealised",
        "charges",
        "net",
        "equity",
        "max_drawdown",
        "engine_seconds",
        "ticks_per_second",
        "log_hash",
        "inputs_digest",
    ] {
        assert!(printed.get(key).is_some(), "{key} is missing");
    }
}
