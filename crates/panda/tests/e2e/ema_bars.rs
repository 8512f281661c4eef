//! `ema_cross` on bars through `panda backtest`, against a naive builder of bars.

use std::collections::BTreeMap;

use crate::decimal::Decimal;
use crate::ema_ticks::{DATES, Fill, Merged, assert_account, fill, found, write_market};
use crate::harness::World;
use crate::market::{CLOSE, OPEN};
use crate::naive::{Account, EmaCross};

/// A bar in the making: its day and number since the open, and its last price.
struct Making {
    date: &'static str,
    number: u64,
    close: String,
}

/// When a bar ends, in seconds since midnight.
fn end(number: u64, seconds: u64) -> u64 {
    (OPEN + (number + 1) * seconds).min(CLOSE)
}

/// Bars of `seconds` from the session's open; a bar that ends decides at its end, and what it decides
/// fills on the first tick of its instrument from that instant on, within the session. What is decided at
/// a session's end is for the next session.
fn by_hand(ticks: &[Merged], seconds: u64) -> (Account, Vec<Fill>) {
    let (mut account, mut fills) = (Account::default(), Vec::new());
    let mut strategies: BTreeMap<&str, EmaCross> = BTreeMap::new();
    let mut making: BTreeMap<&str, Making> = BTreeMap::new();
    let mut waiting: BTreeMap<&str, (&str, Decimal)> = BTreeMap::new();
    for at in ticks {
        let number = (at.tick.second - OPEN) / seconds;
        let ended =
            |bar: &Making| bar.date != at.date || end(bar.number, seconds) <= at.tick.second;
        // Bars end before the tick that comes at their end or later, whosever it is.
        let due: Vec<&str> = making
            .iter()
            .filter(|(_, bar)| ended(bar))
            .map(|(symbol, _)| *symbol)
            .collect();
        for symbol in due {
            let bar = making.remove(symbol).unwrap();
            let strategy = strategies
                .entry(symbol)
                .or_insert_with(|| EmaCross::new(3, 7));
            let Some(target) = strategy.input(bar.close.parse().unwrap()) else {
                continue;
            };
            let next = DATES.iter().skip_while(|date| **date != bar.date).nth(1);
            let date = match end(bar.number, seconds) < CLOSE {
                true => Some(bar.date),
                false => next.copied(),
            };
            if let Some(date) = date {
                // What waited for a tick that did not come is replaced.
                let quantity = Decimal::of(2 * target).minus(account.position(symbol));
                waiting.insert(symbol, (date, quantity));
            }
        }
        account.price(at.symbol, &at.tick.price);
        if let Some((date, quantity)) = waiting.remove(at.symbol)
            && date == at.date
            && quantity != Decimal::default()
        {
            fill(&mut account, &mut fills, at, quantity);
        }
        let close = at.tick.price.clone();
        let bar = making.entry(at.symbol).or_insert(Making {
            date: at.date,
            number,
            close,
        });
        bar.close.clone_from(&at.tick.price);
    }
    (account, fills)
}

fn compare(seed: u64, seconds: u64, timeframe: &str, (ticks, gap): (usize, u64)) {
    let world = World::new();
    let ticks = write_market(&world, seed, ticks, gap);
    world.write(
        "panda.toml",
        "[trading_engine.paper]\nsquare_off_minutes_before_close = \"never\"\n",
    );
    world.write(
        "strategies.yaml",
        format!(
            "- id: cross\n  kind: ema_cross\n  asset_classes: [equity]\n  parameters: {{ fast: 3, slow: 7, quantity: 2, timeframe: {timeframe} }}\n"
        ),
    );
    world.backtest("data", "out", &["--config", "panda.toml"]);
    let (account, fills) = by_hand(&ticks, seconds);
    assert!(fills.len() >= 10, "{timeframe}: {} fills", fills.len());
    assert_eq!(found(&world, "out"), fills, "{timeframe}");
    assert_account(&world, "out", &account);
}

#[test]
fn one_minute_bars_match_the_naive_builder() {
    compare(21, 60, "1m", (1_200, 16));
}

#[test]
fn bars_that_do_not_divide_the_session_and_many_empty_ones_match_too() {
    // 17 minutes: the last bar of a day is cut off by the close. 45 s: many stretches are empty.
    compare(22, 17 * 60, "17m", (1_200, 38));
    compare(23, 45, "45s", (350, 100));
}
