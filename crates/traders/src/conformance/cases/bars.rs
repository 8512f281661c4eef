//! Market data that comes as bars.

use model::Quantity;
use model::order::OrderStatus::{Cancelled, Expired, Filled, Triggered};
use model::order::{OrderIntent, OrderRole};
use model::signal::{Bracket, Side};
use model::time::MINUTE;

use super::life::pair;
use crate::conformance::Stage;
use crate::conformance::bench::{Problem, cents};
use crate::conformance::fixture::DaySessions;

type Checked = Result<(), Problem>;

pub fn fill_at_the_next_open(stage: &mut Stage<'_>) -> Checked {
    let mut bench = stage.bench();
    bench.bar([100_00, 101_00, 99_00, 100_00])?;
    let order = bench.market_order(Side::Buy, 10);
    let order = bench.submit(order)?;
    bench.expect_filled(order, Quantity::ZERO)?;
    // One more where it takes time to arrive.
    for _ in 0..bench.profile.patience + u32::from(bench.profile.latency_max > 0) {
        bench.bar([110_00, 120_00, 90_00, 95_00])?;
    }
    bench.expect_status(order, &[Filled])?;
    let other = bench
        .executions(order)
        .iter()
        .find(|(_, p)| !(cents(110_00)..cents(112_00)).contains(p));
    match other {
        None => Ok(()),
        Some((_, price)) => bench.wrong("the open, 110, or a little more", price.to_string()),
    }
}

pub fn in_progress_is_not_used(stage: &mut Stage<'_>) -> Checked {
    let mut bench = stage.bench();
    bench.bar([100_00, 101_00, 99_00, 100_00])?;
    let open = bench.now;
    bench.wait(MINUTE / 2)?;
    let market = bench.market_order(Side::Buy, 10);
    let market = bench.submit(market)?;
    let limit = bench.limit_order(Side::Sell, 10, 105_00);
    let limit = bench.submit(limit)?;
    bench.bar_since(open, [100_00, 120_00, 80_00, 100_00])?;
    bench.expect_filled(market, Quantity::ZERO)?;
    bench.expect_filled(limit, Quantity::ZERO)?;
    for _ in 0..bench.profile.patience {
        bench.bar([100_00, 120_00, 80_00, 100_00])?;
    }
    bench.expect_status(market, &[Filled])?;
    bench.expect_status(limit, &[Filled])
}

pub fn stop_before_target(stage: &mut Stage<'_>) -> Checked {
    let mut bench = stage.bench();
    bench.bar([100_00, 101_00, 99_00, 100_00])?;
    let (stop, target) = pair(&mut bench)?;
    bench.bar([100_00, 101_00, 99_00, 100_00])?;
    for _ in 0..bench.profile.patience {
        bench.bar([100_00, 106_00, 94_00, 100_00])?;
        if bench.executions(stop).is_empty() {
            return bench.wrong("the stop to execute first", "nothing of it");
        }
    }
    bench.expect_prices(stop, Side::Sell, 93_00)?;
    bench.expect_status(stop, &[Filled, Cancelled])?;
    bench.expect_status(target, &[Cancelled, Filled])
}

pub fn legs_work_from_their_entry(stage: &mut Stage<'_>) -> Checked {
    // The entry's limit, the bar that fills it, whether the leg is the stop, whether it works.
    let cases = [
        (None, [100_00, 101_00, 94_00, 100_00], true, true),
        (None, [100_00, 106_00, 99_00, 100_00], false, true),
        (Some(98_00), [100_00, 101_00, 94_00, 100_00], true, true),
        (Some(98_00), [100_00, 106_00, 97_00, 100_00], false, false),
    ];
    for (limit, bar, is_stop, works) in cases {
        let mut bench = stage.bench();
        bench.bar([100_00, 101_00, 99_00, 100_00])?;
        let entry = match limit {
            Some(limit) => bench.limit_order(Side::Buy, 10, limit),
            None => bench.market_order(Side::Buy, 10),
        };
        let prices = (Some(cents(95_00)), Some(cents(105_00)));
        let entry = bench.submit(OrderIntent {
            bracket: Bracket {
                stop_loss: prices.0,
                take_profit: prices.1,
            },
            ..entry
        })?;
        bench.settle()?;
        bench.bar(bar)?;
        let entered = bench.filled(entry);
        if entered.is_zero() {
            return bench.wrong("the entry to execute", "nothing of it");
        }
        let leg = if is_stop {
            bench.stop_order(Side::Sell, 10, 95_00)
        } else {
            bench.limit_order(Side::Sell, 10, 105_00)
        };
        let role = if is_stop {
            OrderRole::StopLoss
        } else {
            OrderRole::TakeProfit
        };
        let leg = bench.submit(OrderIntent {
            role,
            quantity: entered,
            increase: Quantity::ZERO,
            parent: Some(entry),
            ..leg
        })?;
        let is_idle = bench.filled(leg).is_zero() && bench.status(leg) != Triggered;
        if is_idle == works {
            let wanted = if works {
                "the leg to work on"
            } else {
                "no leg to fill on"
            };
            return bench.wrong(
                format!("{wanted} the bar that filled its entry"),
                format!("{} of it", bench.filled(leg)),
            );
        }
    }
    Ok(())
}

pub fn last_of_the_session(stage: &mut Stage<'_>) -> Checked {
    let mut bench = stage.bench();
    // Placed before any market data: nothing tells yet that there will be bars.
    let sees = bench.limit_order(Side::Buy, 10, 95_00);
    let sees = bench.submit(sees)?;
    bench.settle()?;
    let close = DaySessions::window(bench.now).close;
    bench.wait(close.since(bench.now) - 2 * MINUTE)?;
    let misses = bench.limit_order(Side::Buy, 10, 80_00);
    let misses = bench.submit(misses)?;
    bench.bar([100_00, 101_00, 99_00, 100_00])?;
    bench.bar([100_00, 100_00, 90_00, 91_00])?;
    if bench.filled(sees).is_zero() {
        return bench.wrong("the session's last bar to be matched", "nothing");
    }
    bench.wait(MINUTE)?;
    bench.expect_status(misses, &[Expired, Cancelled])
}
