//! Daily bars through `panda backtest`: what a day's bar decides is done at the next session's open.

use std::fmt::Write as _;

use serde_json::Value;

use crate::demo::check_result;
use crate::harness::{World, count, text};

/// A market with its zone, and some of its dates with a weekend and a holiday between them.
struct Market {
    instrument: &'static str,
    header: &'static str,
    zone: &'static str,
    /// In UTC, as both zones stand in the weeks of the test.
    open: &'static str,
    dates: &'static [&'static str],
}

/// 2021-04-14 and the weekends are holidays of the NSE; 2021-05-31 is one of the US.
const MARKETS: [Market; 2] = [
    Market {
        instrument: "NSE:TCS",
        header: "NSE,TCS,equity,INR,0.05,1",
        zone: "Asia/Kolkata",
        open: "T03:45:00Z",
        dates: &[
            "2021-04-08",
            "2021-04-09",
            "2021-04-12",
            "2021-04-13",
            "2021-04-15",
            "2021-04-16",
            "2021-04-19",
        ],
    },
    Market {
        instrument: "US:AAPL",
        header: "US,AAPL,equity,USD,0.01,1",
        zone: "America/New_York",
        open: "T13:30:00Z",
        dates: &[
            "2021-05-25",
            "2021-05-26",
            "2021-05-27",
            "2021-05-28",
            "2021-06-01",
            "2021-06-02",
            "2021-06-03",
        ],
    },
];

/// The opens and closes of the days: the close rises and falls in turns.
const PRICES: [(u32, u32); 7] = [
    (100, 101),
    (102, 103),
    (101, 99),
    (98, 104),
    (106, 100),
    (95, 97),
    (99, 120),
];

fn world(market: &Market) -> World {
    let world = World::new();
    world.write(
        "instruments.csv",
        format!(
            "exchange,symbol,asset_class,currency,tick_size,lot_size\n{}\n",
            market.header
        ),
    );
    let mut rows = "timestamp,open,high,low,close,volume\n".to_owned();
    for (date, (open, close)) in market.dates.iter().zip(PRICES) {
        let (high, low) = (open.max(close) + 1, open.min(close) - 1);
        writeln!(rows, "{date},{open},{high},{low},{close},1000").unwrap();
    }
    let symbol = market.instrument.split(':').nth(1).unwrap();
    world.write(&format!("data/{symbol}.csv"), rows);
    let zone = market.zone;
    world.write(
        "panda.toml",
        format!(
            "[data]\ntimeframe = \"1d\"\ntime_zone = \"{zone}\"\n[trading_day]\nstart = \"00:00\"\ntime_zone = \"{zone}\"\n\
             [trading_engine.paper]\nstarting_cash = {{ INR = 1000000, USD = 1000000 }}\nsimulation_latency_ms = 250\n"
        ),
    );
    world.write(
        "strategies.yaml",
        format!(
            "- {{ id: cross, kind: ema_cross, product: carry_forward, instruments: [\"{}\"], parameters: {{ fast: 1, slow: 2, quantity: 3, timeframe: 1d }} }}\n",
            market.instrument
        ),
    );
    world
}

#[test]
fn a_days_decision_is_traded_at_the_next_sessions_open() {
    for market in &MARKETS {
        let world = world(market);
        world.backtest("data", "out", &["--config", "panda.toml"]);
        let summary = check_result(&world, "out");
        assert_eq!(count(&summary, "ticks"), 7, "{summary}");
        assert_eq!(summary["rejected"], serde_json::json!({}), "{summary}");
        assert_eq!(summary.get("all_refused"), None);
        // The averages cross with every turn of the close; what the last day decides is left waiting.
        let signals = world.rows("out/signals.csv");
        let decided: Vec<&str> = signals.iter().map(|row| row["decided"].as_str()).collect();
        let (last, judged) = decided.split_last().unwrap();
        assert_eq!(*last, "", "no session opens after the data");
        assert_eq!(signals.last().unwrap()["outcome"], "held");
        let mut wanted = Vec::new();
        let mut long = None;
        for (at, pair) in PRICES.windows(2).enumerate() {
            let up = pair[1].1 > pair[0].1;
            if long != Some(up) && at + 2 < PRICES.len() {
                let open = format!("{}{}", market.dates[at + 2], market.open);
                let side = if up { "buy" } else { "sell" };
                wanted.push((open, side, PRICES[at + 2].0.to_string()));
            }
            long = Some(up);
        }
        let opens: Vec<&str> = wanted.iter().map(|(open, ..)| open.as_str()).collect();
        assert_eq!(judged, opens, "{}", market.instrument);
        let fills = world.rows("out/fills.csv");
        let found: Vec<_> = fills
            .iter()
            .map(|row| {
                (
                    row["ts"].clone(),
                    row["side"].as_str(),
                    row["price"].clone(),
                )
            })
            .collect();
        assert_eq!(found, wanted, "{}", market.instrument);
        assert_eq!(
            summary["by_broker"]["paper"]["held"],
            Value::from(wanted.len() + 1)
        );
    }
}

#[test]
fn a_run_whose_signals_were_all_refused_for_one_reason_says_so_first() {
    let world = world(&MARKETS[0]);
    let settings = world.read("panda.toml");
    world.write(
        "panda.toml",
        format!("{settings}[risk]\norder_quantity = 2\n"),
    );
    let args = ["--config", "panda.toml", "--json"];
    let summary = world.backtest("data", "out", &args);
    let said = text(&summary, "all_refused");
    assert!(
        said.starts_with("nothing was traded: all") && said.contains("`order_quantity`"),
        "{said}"
    );
    assert!(world.read("out/report.html").contains("nothing was traded"));
    let mut args = crate::harness::base("data", "again");
    args.extend(["--config", "panda.toml"]);
    let printed = world.ok(&args);
    assert!(printed.starts_with(&said), "{printed}");
}
