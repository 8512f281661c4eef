//! `panda data`: import, list and show, for people and for programs.

use serde_json::Value;

use crate::decimal::Decimal;
use crate::harness::{World, rows};
use crate::market;

fn import(world: &World, source: &str, catalogue: &str, more: &[&str]) -> Value {
    let mut args = vec![
        "data",
        "import",
        source,
        "--catalogue",
        catalogue,
        "--instruments",
        "instruments.csv",
        "--json",
    ];
    args.extend(more);
    serde_json::from_str(&world.ok(&args)).unwrap()
}

fn json(world: &World, args: &[&str]) -> Value {
    let out = world.ok(args);
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {out}"))
}

/// The ends of the windows of prices and quantities, and numbers that no float holds.
const EXTREME: &str = "\
ts,price,size,volume,oi
2021-04-15T04:00:00Z,0.0001,0.00000001,,1
2021-04-15T04:00:00.000000001Z,9999999.99999999,10000000000,,2
2021-04-15T04:00:01Z,10000000,1e-8,,3
2021-04-15T04:00:02Z,1234567.12345678,9999999999.99999999,,
2021-04-15T04:00:03Z,10000000.00000001,1,,
2021-04-15T04:00:04Z,0.00009999,1,,
2021-04-15T04:00:05Z,5.000000001,1,,
2021-04-15T04:00:06Z,5,10000000000.00000001,,
2021-04-15T04:00:07Z,99999999999999999999999999999,1,,
";

#[test]
fn the_windows_ends_survive_and_what_lies_beyond_is_malformed() {
    let world = World::new();
    world.write(
        "instruments.csv",
        "id,asset_class,currency,tick_size,lot_size\nX:COIN,crypto,USDT,0.00000001,0.00000001\n",
    );
    world.write("COIN.csv", EXTREME);
    let report = import(
        &world,
        "COIN.csv",
        "catalogue",
        &["--band", "0", "--no-session", "--tz", "UTC"],
    );
    let quality = report.get("quality").unwrap_or(&report);
    assert_eq!(quality["rows_read"], 9);
    assert_eq!(quality["kept"], 4);
    assert_eq!(quality["rejected"]["malformed"], 5, "{quality}");

    let show = ["data", "show", "--catalogue", "catalogue", "X:COIN"];
    let shown = json(&world, &[&show[..], &["--json"]].concat());
    let column = |key: &str| -> Vec<String> {
        let rows = shown.as_array().unwrap().iter();
        rows.map(|row| {
            row[key]
                .as_str()
                .unwrap_or_else(|| panic!("{key}: {row}"))
                .to_owned()
        })
        .collect()
    };
    assert_eq!(
        column("price"),
        ["0.0001", "9999999.99999999", "10000000", "1234567.12345678"]
    );
    let sizes = shown.as_array().unwrap()[0].as_object().unwrap();
    let size = if sizes.contains_key("size") {
        "size"
    } else {
        "quantity"
    };
    assert_eq!(
        column(size),
        [
            "0.00000001",
            "10000000000",
            "0.00000001",
            "9999999999.99999999"
        ]
    );

    // The CSV that it prints can be imported again and holds the same.
    world.write(
        "again/COIN.csv",
        world.ok(&[&show[..], &["--csv"]].concat()),
    );
    let before = rows(&world.path("again/COIN.csv"));
    let prices: Vec<&str> = before.iter().map(|r| r["price"].as_str()).collect();
    assert_eq!(prices, column("price"));
    let again = import(
        &world,
        "again",
        "second",
        &["--band", "0", "--no-session", "--tz", "UTC"],
    );
    let quality = again.get("quality").unwrap_or(&again);
    assert_eq!(
        (&quality["rows_read"], &quality["kept"]),
        (&4.into(), &4.into()),
        "{again}"
    );
    let other = ["data", "show", "--catalogue", "second", "X:COIN", "--csv"];
    assert_eq!(world.ok(&other), world.read("again/COIN.csv"));

    // And through the pipeline: bought at the bottom of the window, marked at its top.
    world.write(
        "strategies.yaml",
        "- { id: c, kind: ema_cross, instruments: [COIN], parameters: { fast: 1, slow: 2, quantity: 10000000000 } }\n",
    );
    world.write(
        "panda.toml",
        "[trading_engine.paper]\nbase_currency = \"USDT\"\nstarting_cash = { USDT = \"400000000000000000\" }\nfill = \"signal_tick\"\n[data]\njump_band_percent = 0\n",
    );
    let summary = world.backtest("catalogue", "out", &["--config", "panda.toml"]);
    let fills = world.rows("out/fills.csv");
    assert_eq!(fills[0]["notional"], "99999999999999900", "{fills:?}");
    crate::demo::check_result(&world, "out");
    assert_eq!(summary["currency"], "USDT");
    Decimal::parse(summary["equity"].as_str().unwrap());
}

#[test]
fn lists_and_tables_name_what_is_there() {
    let world = World::new();
    world.write("instruments.csv", market::instruments(&["TCS", "M&M"]));
    let day = market::day(&mut market::Random::new(3), 50, 30);
    world.write("data/2021-04-15/TCS.csv", market::csv("2021-04-15", &day));
    world.write("data/2021-04-16/MM.csv", market::csv("2021-04-16", &day));
    import(&world, "data", "catalogue", &[]);
    let list = json(
        &world,
        &["data", "list", "--catalogue", "catalogue", "--json"],
    );
    assert_eq!(list["time_zone"], "Asia/Kolkata");
    let series = list["series"].as_array().unwrap();
    let ids: Vec<_> = series
        .iter()
        .map(|s| (s["instrument"].as_str(), s["rows"].as_u64()))
        .collect();
    assert_eq!(
        ids,
        [(Some("NSE:M&M"), Some(50)), (Some("NSE:TCS"), Some(50))]
    );
    let table = world.ok(&["data", "list", "--catalogue", "catalogue"]);
    assert!(
        table.contains("NSE:M&M") && table.contains("NSE:TCS"),
        "{table}"
    );
    let shown = world.ok(&[
        "data",
        "show",
        "--catalogue",
        "catalogue",
        "TCS",
        "--head",
        "3",
    ]);
    assert!(
        shown.contains("2021-04-15 09:15") && shown.contains("3 of 50 rows"),
        "{shown}"
    );

    for (args, wanted) in [
        (&["data", "list", "--catalogue", "none"][..], &["none"][..]),
        (
            &["data", "show", "--catalogue", "catalogue", "NOVA"],
            &["`NOVA`", "panda data list"],
        ),
        (
            &[
                "data",
                "show",
                "--catalogue",
                "catalogue",
                "TCS",
                "--date",
                "2021-04-17",
            ],
            &["2021-04-15"],
        ),
        (
            &[
                "data",
                "show",
                "--catalogue",
                "catalogue",
                "TCS",
                "--date",
                "today",
            ],
            &["--date", "YYYY-MM-DD"],
        ),
        (
            &[
                "data",
                "show",
                "--catalogue",
                "catalogue",
                "TCS",
                "--series",
                "bars/1m",
            ],
            &["bars/1m"],
        ),
        (
            &[
                "data",
                "import",
                "none",
                "--catalogue",
                "new",
                "--instruments",
                "instruments.csv",
            ],
            &["none"],
        ),
        (
            &[
                "data",
                "import",
                "data",
                "--catalogue",
                "new",
                "--instruments",
                "instruments.csv",
                "--tz",
                "Mars",
            ],
            &["--tz", "`Mars`", "Asia/Kolkata"],
        ),
        (
            &[
                "data",
                "import",
                "data",
                "--catalogue",
                "new",
                "--instruments",
                "instruments.csv",
                "--band",
                "x",
            ],
            &["--band", "`x`"],
        ),
        (
            &[
                "data",
                "import",
                "data",
                "--catalogue",
                "new",
                "--instruments",
                "instruments.csv",
                "--map",
                "prize=x",
            ],
            &["--map", "`prize`", "price"],
        ),
        (
            &[
                "data",
                "import",
                "data",
                "--catalogue",
                "new",
                "--instruments",
                "instruments.csv",
                "--symbols",
                "NOVA",
            ],
            &["`NOVA`"],
        ),
    ] {
        world.refuses(args, wanted);
    }
}

/// Trading days with few trades and long pauses: each has its close, however often snapshots are taken.
#[test]
fn every_session_of_the_data_has_a_close() {
    let world = World::new();
    world.write("instruments.csv", market::instruments(&["TCS"]));
    world.write(
        "strategies.yaml",
        "- { id: c, kind: ema_cross, instruments: [TCS], parameters: { fast: 1, slow: 2, quantity: 100, timeframe: 1m } }\n",
    );
    // Three bars a day, but none on some weekdays and on the holiday of 21 July; enough sessions for
    // annual figures.
    let mut rows = "timestamp,open,high,low,close,volume\n".to_owned();
    let (mut closes, mut state, mut price) = (Vec::new(), 5u64, 2_000i64);
    for number in 0..96 {
        let date =
            model::Date::from_days(model::Date::parse("2021-05-14").unwrap().days() + number);
        if date.weekday() > 4 || number % 18 == 4 || date.to_string() == "2021-07-21" {
            continue;
        }
        for minute in ["09:15", "09:16", "15:20"] {
            let open = price;
            for _ in 0..2 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
            }
            // Nothing happens in the second half.
            if number < 40 {
                price = (price + (state >> 33) as i64 % 41 - 20).max(1_000);
            }
            let (high, low) = (open.max(price) + 3, open.min(price) - 3);
            rows += &format!("{date} {minute}:00,{open},{high},{low},{price},10\n");
        }
        closes.push((date.to_string(), price));
    }
    world.write("TCS.csv", rows);
    let run = |seconds: &str| {
        let name = format!("every_{seconds}");
        let settings = format!(
            "[data]\ntimeframe = \"1m\"\n[portfolio]\nsnapshot_interval_seconds = {seconds}\n\
             [trading_engine.paper]\ncharges = \"none\"\n"
        );
        world.write("panda.toml", settings);
        let summary = world.backtest("TCS.csv", &name, &["--config", "panda.toml"]);
        (
            summary["statistics"].clone(),
            world.rows(&format!("{name}/fills.csv")),
        )
    };
    let (statistics, fills) = run("60");
    for seconds in ["1", "86400", "4000000000"] {
        assert_eq!(run(seconds).0, statistics, "{seconds}");
    }
    // Made again from the fills and the last prices of the days.
    let (mut cash, mut held, mut exposed, mut at) = (1_000_000f64, 0f64, 0, 0);
    let (mut last, mut returns) = (cash, Vec::new());
    for (date, price) in &closes {
        let before = at;
        while let Some(fill) = fills
            .get(at)
            .filter(|f| f["ts"].as_str() < format!("{date}T12").as_str())
        {
            let sign = if fill["side"] == "buy" { 1.0 } else { -1.0 };
            let quantity = sign * fill["quantity"].parse::<f64>().unwrap();
            cash -= quantity * fill["price"].parse::<f64>().unwrap();
            (held, at) = (held + quantity, at + 1);
        }
        exposed += u32::from(held != 0.0 || at > before);
        let equity = cash + held * *price as f64;
        returns.push(equity / last - 1.0);
        last = equity;
    }
    assert!(
        fills.len() >= 10 && at == fills.len(),
        "{} {at}",
        fills.len()
    );
    let n = closes.len() as f64;
    let mean = returns.iter().sum::<f64>() / n;
    let variance = returns.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n - 1.0);
    assert!(closes.len() >= 60, "{}", closes.len());
    assert_eq!(statistics["days"], closes.len());
    for (what, value) in [
        ("exposure", f64::from(exposed) / n),
        ("total_return", last / 1_000_000.0 - 1.0),
        ("sharpe", mean / variance.sqrt() * 252f64.sqrt()),
    ] {
        let told = statistics[what].as_f64().unwrap();
        assert!((told - value).abs() < 1e-9, "{what}: {told}, not {value}");
    }
}

#[test]
fn bars_of_a_file_trade_at_the_next_open() {
    let world = World::new();
    world.write("instruments.csv", market::instruments(&["TCS"]));
    world.write(
        "strategies.yaml",
        "- { id: c, kind: ema_cross, instruments: [TCS], parameters: { fast: 1, slow: 2, quantity: 1, timeframe: 1m } }\n",
    );
    let settings = "[data]\ntimeframe = \"1m\"\n";
    world.write("panda.toml", settings);
    world.write(
        "TCS.csv",
        "timestamp,open,high,low,close,volume\n\
         2021-04-15 09:15:00,100,101,99,100,10\n\
         2021-04-15 09:16:00,100,102,100,101,10\n\
         2021-04-15 09:17:00,101.5,102,100,100.5,10\n\
         2021-04-15 09:18:00,99.5,100,99,99,10\n",
    );
    let raw = world.backtest("TCS.csv", "raw", &["--config", "panda.toml"]);
    let fills = world.rows("raw/fills.csv");
    let seen: Vec<_> = fills
        .iter()
        .map(|f| {
            (
                f["side"].as_str(),
                f["quantity"].as_str(),
                f["price"].as_str(),
            )
        })
        .collect();
    assert_eq!(seen, [("buy", "1", "101.5"), ("sell", "2", "99.5")]);
    let more = ["--config", "panda.toml", "--timeframe", "1m"];
    import(&world, "TCS.csv", "catalogue", &more);
    let stored = world.backtest("catalogue", "stored", &["--config", "panda.toml"]);
    assert_eq!(raw["log_hash"], stored["log_hash"]);
    // Without the length nobody knows what a bar covers.
    let mut args = crate::harness::base("TCS.csv", "no");
    args.truncate(9);
    world.refuses(&args, &["TCS.csv", "timeframe"]);
}
