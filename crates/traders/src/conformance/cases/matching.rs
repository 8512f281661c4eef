//! When orders execute, and at what price.

use model::order::OrderStatus::{Cancelled, Filled};
use model::signal::{OrderType, Side, Validity};
use model::trader::TraderReport;
use model::{OrderId, Quantity};

use crate::conformance::Stage;
use crate::conformance::bench::{Bench, Problem, cents, quote, units};
use crate::conformance::fixture::Fixture;

type Checked = Result<(), Problem>;

pub fn market_order_completes(stage: &mut Stage<'_>) -> Checked {
    for side in [Side::Buy, Side::Sell] {
        let mut bench = stage.bench();
        bench.trade(100_00)?;
        let intent = bench.market_order(side, 10);
        let order = bench.submit(intent)?;
        bench.settle()?;
        bench.trade_on(100_00)?;
        bench.expect_status(order, &[Filled])?;
        bench.expect_filled(order, units(10))?;
    }
    Ok(())
}

pub fn limit_holds(stage: &mut Stage<'_>) -> Checked {
    let mut bench = stage.bench();
    bench.trade(100_00)?;
    let buy = bench.limit_order(Side::Buy, 10, 99_00);
    let buy = bench.submit(buy)?;
    let sell = bench.limit_order(Side::Sell, 10, 101_00);
    let sell = bench.submit(sell)?;
    // One that meets its market at once may have to pay, but no more than its limit.
    let taker = bench.limit_order(Side::Buy, 10, 100_05);
    let taker = bench.submit(taker)?;
    bench.settle()?;
    for price in [
        100_00, 99_50, 98_00, 97_00, 100_00, 102_00, 103_00, 99_00, 101_00,
    ] {
        bench.trade(price)?;
    }
    bench.expect_prices(buy, Side::Buy, 99_00)?;
    bench.expect_prices(taker, Side::Buy, 100_05)?;
    bench.expect_prices(sell, Side::Sell, 101_00)?;
    for order in [buy, sell, taker] {
        if bench.filled(order).is_zero() {
            return bench.wrong(
                format!("{order}, whose limit has traded, to execute"),
                "nothing",
            );
        }
    }
    Ok(())
}

pub fn limit_waits(stage: &mut Stage<'_>) -> Checked {
    for (side, limit, short, beyond) in [
        (Side::Buy, 95_00, 95_05, 94_00),
        (Side::Sell, 105_00, 104_95, 106_00),
    ] {
        let mut bench = stage.bench();
        bench.trade(100_00)?;
        let intent = bench.limit_order(side, 10, limit);
        let order = bench.submit(intent)?;
        bench.settle()?;
        for price in [100_00, short, 100_00, short] {
            bench.trade(price)?;
            bench.expect_filled(order, Quantity::ZERO)?;
        }
        bench.trade_on(beyond)?;
        bench.expect_status(order, &[Filled])?;
    }
    Ok(())
}

pub fn stop_waits_for_trigger(stage: &mut Stage<'_>) -> Checked {
    for (side, trigger, short, beyond) in [
        (Side::Buy, 105_00, 104_95, 106_00),
        (Side::Sell, 95_00, 95_05, 94_00),
    ] {
        let mut bench = stage.bench();
        bench.trade(100_00)?;
        let intent = bench.stop_order(side, 10, trigger);
        let order = bench.submit(intent)?;
        bench.settle()?;
        for price in [100_00, short, 100_00, short] {
            bench.trade(price)?;
            bench.expect_filled(order, Quantity::ZERO)?;
            expect_untriggered(&bench, order)?;
        }
        bench.trade_on(beyond)?;
        bench.trade_on(beyond)?;
        bench.expect_status(order, &[Filled])?;
    }
    Ok(())
}

fn expect_untriggered(bench: &Bench, order: OrderId) -> Checked {
    let triggered =
        |r: &&TraderReport| r.order == order && r.kind == model::trader::ReportKind::Triggered;
    match bench.log.iter().find(triggered) {
        None => Ok(()),
        Some(_) => bench.wrong(format!("{order} to wait for its trigger"), "triggered"),
    }
}

pub fn stop_limit_holds_both(stage: &mut Stage<'_>) -> Checked {
    for (side, trigger, limit, gap, back) in [
        (Side::Buy, 105_00, 106_00, 108_00, 105_50),
        (Side::Sell, 95_00, 94_00, 92_00, 94_50),
    ] {
        let mut bench = stage.bench();
        bench.trade(100_00)?;
        let intent = bench.intent(side, 10, OrderType::StopLimit);
        let order = bench.submit(model::order::OrderIntent {
            trigger_price: Some(cents(trigger)),
            limit_price: Some(cents(limit)),
            ..intent
        })?;
        bench.settle()?;
        // Its limit alone would let it execute here.
        bench.trade(100_00)?;
        expect_untriggered(&bench, order)?;
        bench.expect_filled(order, Quantity::ZERO)?;
        bench.trade(gap)?;
        bench.trade(gap)?;
        bench.expect_filled(order, Quantity::ZERO)?;
        bench.trade_on(back)?;
        bench.trade_on(back)?;
        bench.expect_status(order, &[Filled])?;
        bench.expect_prices(order, side, limit)?;
    }
    Ok(())
}

pub fn ioc_does_not_rest(stage: &mut Stage<'_>) -> Checked {
    let mut bench = stage.bench();
    bench.trade(100_00)?;
    let away = bench.limit_order(Side::Buy, 10, 95_00);
    let away = bench.submit(model::order::OrderIntent {
        validity: Validity::Ioc,
        ..away
    })?;
    let near = bench.market_order(Side::Buy, 10);
    let near = bench.submit(model::order::OrderIntent {
        validity: Validity::Ioc,
        ..near
    })?;
    bench.settle()?;
    bench.trade(100_00)?;
    bench.expect_status(away, &[Cancelled])?;
    bench.expect_filled(away, Quantity::ZERO)?;
    bench.expect_status(near, &[Filled, Cancelled])?;
    bench.trade(90_00)?;
    bench.expect_filled(away, Quantity::ZERO)
}

pub fn fok_is_all_or_nothing(stage: &mut Stage<'_>) -> Checked {
    let mut bench = stage.bench();
    bench.trade(100_00)?;
    let fok = |intent| model::order::OrderIntent {
        validity: Validity::Fok,
        ..intent
    };
    let away = bench.limit_order(Side::Buy, 10, 95_00);
    let away = bench.submit(fok(away))?;
    let near = bench.market_order(Side::Buy, 10);
    let near = bench.submit(fok(near))?;
    bench.settle()?;
    bench.trade(100_00)?;
    bench.expect_status(away, &[Cancelled])?;
    bench.expect_filled(away, Quantity::ZERO)?;
    let large = bench.market_order(Side::Buy, 10);
    let large = bench.submit(fok(large))?;
    bench.settle()?;
    thin_tick(&mut bench, 100_00, 4)?;
    for order in [near, large] {
        bench.expect_status(order, &[Filled, Cancelled])?;
        let filled = bench.filled(order);
        if !filled.is_zero() && filled != units(10) {
            return bench.wrong("all of it or nothing", filled.to_string());
        }
    }
    Ok(())
}

/// A tick on which only `quantity` trades and is offered on either side.
pub fn thin_tick(bench: &mut Bench, price: i64, quantity: i64) -> Checked {
    bench.now = bench
        .now
        .plus(bench.profile.latency_max.max(model::time::SECOND));
    let mut depth = model::Depth::default();
    let level = model::market::Level {
        price: cents(price),
        quantity: units(quantity),
        orders: 1,
    };
    depth.bids[0] = level;
    depth.asks[0] = level;
    let mut tick = quote(Fixture::SHARE, bench.now, price);
    tick.quantity = units(quantity);
    bench.tick(&tick, Some(&depth))
}

pub fn no_look_ahead(stage: &mut Stage<'_>) -> Checked {
    let mut bench = stage.bench();
    bench.trade(100_00)?;
    let buy = bench.market_order(Side::Buy, 10);
    let buy = bench.submit(buy)?;
    let sell = bench.market_order(Side::Sell, 10);
    let sell = bench.submit(sell)?;
    bench.settle()?;
    bench.trade_of(Fixture::OTHER, 100_00)?;
    for order in [buy, sell] {
        bench.expect_filled(order, Quantity::ZERO)?;
    }
    bench.trade_on(110_00)?;
    // Not a share of it at the price that was known when it was placed.
    if let Some((_, price)) = bench
        .executions(buy)
        .iter()
        .find(|(_, p)| *p < cents(110_00))
    {
        return bench.wrong("the purchase to pay the next price, 110", price.to_string());
    }
    if let Some((_, price)) = bench
        .executions(sell)
        .iter()
        .find(|(_, p)| *p < cents(105_00))
    {
        return bench.wrong(
            "the sale to get the next price, about 110",
            price.to_string(),
        );
    }
    Ok(())
}

pub fn instruments_are_independent(stage: &mut Stage<'_>) -> Checked {
    let mut logs = Vec::new();
    for with_other in [false, true] {
        let mut bench = stage.bench();
        let mut orders = Vec::new();
        for (step, price) in [100_00, 99_00, 98_00, 101_00, 103_00, 97_00]
            .into_iter()
            .enumerate()
        {
            bench.trade(price)?;
            if with_other {
                let quantity = units(1 + step as i64);
                let tick = quote(Fixture::OTHER, bench.now, 50_00);
                bench.tick(&model::Tick { quantity, ..tick }, None)?;
            }
            if step < 2 {
                for intent in [
                    bench.market_order(Side::Buy, 5),
                    bench.limit_order(Side::Buy, 5, 98_50),
                    bench.limit_order(Side::Sell, 5, 102_00),
                ] {
                    orders.push(bench.submit(intent)?);
                }
            }
        }
        logs.push(std::mem::take(&mut bench.log));
    }
    if logs[0] == logs[1] {
        return Ok(());
    }
    let at = logs[0]
        .iter()
        .zip(&logs[1])
        .position(|(a, b)| a != b)
        .unwrap_or(logs[0].len().min(logs[1].len()));
    stage.bench().wrong(
        format!(
            "the same reports beside another instrument: {:?}",
            logs[0].get(at)
        ),
        format!("{:?}", logs[1].get(at)),
    )
}

pub fn no_market_no_fill(stage: &mut Stage<'_>) -> Checked {
    let mut bench = stage.bench();
    let order = bench.market_order(Side::Buy, 10);
    let order = bench.submit(order)?;
    bench.settle()?;
    bench.trade_of(Fixture::OTHER, 100_00)?;
    bench.wait(model::time::SECOND)?;
    bench.expect_filled(order, Quantity::ZERO)?;
    bench.trade_on(100_00)?;
    if bench.filled(order).is_zero() {
        return bench.wrong(
            format!("{order} to execute once there is a market"),
            "nothing",
        );
    }
    Ok(())
}
