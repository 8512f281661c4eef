//! `ema_cross` on recorded ticks through `panda backtest`, against the naive strategy.

use std::collections::BTreeMap;

use crate::decimal::Decimal;
use crate::demo::check_result;
use crate::harness::{World, count, text};
use crate::market::{self, CLOSE, OPEN, Random, Tick};
use crate::naive::{Account, EmaCross};

pub const DATES: [&str; 2] = ["2021-04-15", "2021-04-16"];
/// Symbols with the names of their files.
pub const SYMBOLS: [(&str, &str); 3] = [("AXISBANK", "AXISBANK"), ("M&M", "MM"), ("TCS", "TCS")];

/// One tick with its place in the merged stream.
pub struct Merged {
    pub date: &'static str,
    pub symbol: &'static str,
    pub tick: Tick,
}

/// What must stand in a row of `fills.csv`.
#[derive(Debug, PartialEq, Eq)]
pub struct Fill {
    pub ts: String,
    pub instrument: String,
    pub side: String,
    pub quantity: String,
    pub price: String,
}

/// Two days of three instruments as raw files below `data`, and the same rows merged by time,
/// instrument and row.
pub fn write_market(world: &World, seed: u64, ticks: usize, gap: u64) -> Vec<Merged> {
    let mut random = Random::new(seed);
    let mut merged = Vec::new();
    for date in DATES {
        for (symbol, file) in SYMBOLS {
            let day = market::day(&mut random, ticks, gap);
            world.write(&format!("data/{date}/{file}.csv"), market::csv(date, &day));
            merged.extend(day.into_iter().map(|tick| Merged { date, symbol, tick }));
        }
    }
    assert!(merged.iter().all(|m| m.tick.second < CLOSE));
    // Stable: rows of one instrument keep their order.
    merged.sort_by_key(|m| (m.date, m.tick.second, m.symbol));
    world.write(
        "instruments.csv",
        market::instruments(&["TCS", "M&M", "AXISBANK"]),
    );
    merged
}

pub fn found(world: &World, out: &str) -> Vec<Fill> {
    let rows = world.rows(&format!("{out}/fills.csv"));
    rows.into_iter()
        .map(|mut row| {
            let mut take = |key: &str| row.remove(key).unwrap();
            Fill {
                ts: take("ts"),
                instrument: take("instrument"),
                side: take("side"),
                quantity: take("quantity"),
                price: take("price"),
            }
        })
        .collect()
}

/// Fills an order at a tick, in the account and in the list.
pub fn fill(account: &mut Account, fills: &mut Vec<Fill>, at: &Merged, quantity: Decimal) {
    account.fill(at.symbol, quantity, Decimal::parse(&at.tick.price));
    let side = if quantity.0 > 0 { "buy" } else { "sell" };
    fills.push(Fill {
        ts: market::utc(at.date, at.tick.second),
        instrument: format!("NSE:{}", at.symbol),
        side: side.to_owned(),
        quantity: Decimal(quantity.0.abs()).to_string(),
        price: at.tick.price.clone(),
    });
}

pub fn assert_account(world: &World, out: &str, account: &Account) {
    let summary = check_result(world, out);
    assert_eq!(count(&summary, "fills"), account.fills);
    assert_eq!(
        text(&summary, "traded_quantity"),
        account.traded.to_string()
    );
    assert_eq!(text(&summary, "cash_flow"), account.cash_flow.to_string());
    assert_eq!(text(&summary, "net"), account.equity().to_string());
    assert_eq!(text(&summary, "charges"), "0");
}

/// `quantity` times the direction that `ema_cross` wants, or nothing where it does not change.
fn target(
    strategies: &mut BTreeMap<&str, EmaCross>,
    at: &Merged,
    quantity: i64,
) -> Option<Decimal> {
    let strategy = strategies
        .entry(at.symbol)
        .or_insert_with(|| EmaCross::new(5, 12));
    let wanted = strategy.input(at.tick.price.parse().unwrap())?;
    Some(Decimal::of(wanted * quantity))
}

const STRATEGY: &str = "\
- id: cross
  kind: ema_cross
  asset_classes: [equity]
  parameters: { fast: 5, slow: 12, quantity: 3, timeframe: tick }
";

#[test]
fn fills_at_the_signals_tick_match_the_naive_strategy() {
    let world = World::new();
    let ticks = write_market(&world, 11, 700, 40);
    world.write("strategies.yaml", STRATEGY);
    let settings = "[trading_engine.paper]\nfill = \"signal_tick\"\nsquare_off_minutes_before_close = \"never\"\n";
    world.write("panda.toml", settings);
    let summary = world.backtest("data", "out", &["--config", "panda.toml"]);

    let (mut account, mut fills) = (Account::default(), Vec::new());
    let mut strategies = BTreeMap::new();
    for at in &ticks {
        account.price(at.symbol, &at.tick.price);
        if let Some(target) = target(&mut strategies, at, 3) {
            let quantity = target.minus(account.position(at.symbol));
            fill(&mut account, &mut fills, at, quantity);
        }
    }
    assert!(fills.len() > 200, "{}", fills.len());
    assert_eq!(found(&world, "out"), fills);
    assert_account(&world, "out", &account);
    assert_eq!(count(&summary, "ticks"), ticks.len() as u64);
    assert_eq!(count(&summary, "rows_read"), ticks.len() as u64);
    assert_eq!(count(&summary, "signals"), account.fills);

    // Looking ahead is labelled, in the summary and in the report.
    let warnings = summary["warnings"].to_string();
    assert!(warnings.contains("look"), "{warnings}");
    assert!(
        world.read("out/report.html").contains("look"),
        "the report says so"
    );
}

#[test]
fn fills_at_the_next_tick_match_the_naive_strategy() {
    let world = World::new();
    let ticks = write_market(&world, 12, 700, 40);
    world.write("strategies.yaml", STRATEGY);
    world.write(
        "panda.toml",
        "[trading_engine.paper]\nsquare_off_minutes_before_close = \"never\"\n",
    );
    let summary = world.backtest("data", "out", &["--config", "panda.toml"]);

    let (mut account, mut fills) = (Account::default(), Vec::new());
    let mut strategies = BTreeMap::new();
    // Orders that wait for the next tick, by symbol; they end with their day.
    let mut waiting: BTreeMap<&str, (&str, Decimal)> = BTreeMap::new();
    let mut orders = 0;
    for at in &ticks {
        account.price(at.symbol, &at.tick.price);
        if let Some((date, quantity)) = waiting.remove(at.symbol)
            && date == at.date
        {
            fill(&mut account, &mut fills, at, quantity);
        }
        if let Some(target) = target(&mut strategies, at, 3) {
            let quantity = target.minus(account.position(at.symbol));
            if quantity != Decimal::default() {
                waiting.insert(at.symbol, (at.date, quantity));
                orders += 1;
            }
        }
    }
    assert!(fills.len() > 200, "{}", fills.len());
    assert_eq!(found(&world, "out"), fills);
    assert_account(&world, "out", &account);
    assert_eq!(count(&summary, "orders"), orders);
    assert!(!summary["warnings"].to_string().contains("look"));
}

#[test]
fn a_days_last_order_expires_and_the_next_one_makes_up_for_it() {
    let world = World::new();
    world.write("instruments.csv", market::instruments(&["A"]));
    world.write(
        "panda.toml",
        "[trading_engine.paper]\nsquare_off_minutes_before_close = \"never\"\n",
    );
    world.write(
        "strategies.yaml",
        "- id: cross\n  kind: ema_cross\n  instruments: [A]\n  parameters: { fast: 1, slow: 2, quantity: 4 }\n",
    );
    let tick = |second, price: &str, volume| Tick {
        second,
        price: price.to_owned(),
        volume,
    };
    // Up on the first day's last tick; down, and down again, on the second.
    let first = [tick(OPEN, "100", 1), tick(CLOSE - 1, "101", 2)];
    let second = [
        tick(OPEN, "100", 1),
        tick(OPEN + 1, "99.5", 2),
        tick(OPEN + 2, "99", 3),
    ];
    world.write("data/2021-04-15/A.csv", market::csv(DATES[0], &first));
    world.write("data/2021-04-16/A.csv", market::csv(DATES[1], &second));
    world.backtest("data", "out", &["--config", "panda.toml"]);
    check_result(&world, "out");
    let mut orders = world.rows("out/orders.csv");
    orders.sort_by(|a, b| a["submitted"].cmp(&b["submitted"]));
    let ends: Vec<_> = orders
        .iter()
        .map(|o| {
            (
                o["side"].as_str(),
                o["quantity"].as_str(),
                o["status"].as_str(),
                o["ended"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        ends,
        [
            ("buy", "4", "expired", "2021-04-15T10:00:00Z"),
            ("sell", "4", "filled", "2021-04-16T03:45:01Z"),
        ]
    );
    assert_eq!(found(&world, "out")[0].price, "99.5");
}
