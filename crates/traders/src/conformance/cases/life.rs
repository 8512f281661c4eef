//! How orders end and change.

use model::ids::NameHash;
use model::order::OrderStatus::{Cancelled, Expired, Filled};
use model::order::{OrderIntent, OrderStatus};
use model::signal::{Side, Validity};
use model::time::{HOUR, SECOND};
use model::{OrderId, Quantity};

use super::matching::thin_tick;
use crate::conformance::Stage;
use crate::conformance::bench::{Bench, Problem, cents, units};
use crate::conformance::fixture::DaySessions;

type Checked = Result<(), Problem>;

pub fn day_order_expires(stage: &mut Stage<'_>) -> Checked {
    let mut bench = stage.bench();
    bench.trade(100_00)?;
    let order = bench.limit_order(Side::Buy, 10, 95_00);
    let order = bench.submit(order)?;
    bench.settle()?;
    bench.trade(100_00)?;
    let close = DaySessions::window(bench.now).close;
    let left = close.since(bench.now);
    bench.wait(left - 1)?;
    if bench.is_done(order) {
        return bench.wrong(
            "the order to stand until the close",
            bench.status(order).name(),
        );
    }
    bench.wait(1)?;
    bench.settle()?;
    bench.expect_status(order, &[Expired, Cancelled])?;
    bench.trade(90_00)?;
    bench.expect_filled(order, Quantity::ZERO)
}

pub fn gtd_order_expires(stage: &mut Stage<'_>) -> Checked {
    let mut bench = stage.bench();
    bench.trade(100_00)?;
    let until = bench.now.plus(60 * SECOND + bench.profile.latency_max);
    let order = bench.limit_order(Side::Buy, 10, 95_00);
    let order = bench.submit(OrderIntent {
        validity: Validity::Gtd(until),
        ..order
    })?;
    bench.settle()?;
    bench.trade(100_00)?;
    bench.wait(until.since(bench.now) - 1)?;
    if bench.is_done(order) {
        return bench.wrong(
            format!("the order to stand until {until}"),
            bench.status(order).name(),
        );
    }
    bench.wait(1)?;
    bench.settle()?;
    bench.expect_status(order, &[Expired, Cancelled])?;
    bench.trade(90_00)?;
    bench.expect_filled(order, Quantity::ZERO)
}

pub fn cancel_ends_once(stage: &mut Stage<'_>) -> Checked {
    let mut bench = stage.bench();
    bench.trade(100_00)?;
    let order = bench.limit_order(Side::Buy, 10, 95_00);
    let order = bench.submit(order)?;
    bench.settle()?;
    bench.cancel(order)?;
    bench.settle()?;
    bench.expect_status(order, &[Cancelled])?;
    bench.trade(90_00)?;
    // At once after it was placed; whichever is first, it ends once.
    let other = bench.market_order(Side::Buy, 10);
    let other = bench.submit(other)?;
    bench.cancel(other)?;
    bench.trade(90_00)?;
    bench.settle()?;
    bench.expect_status(other, &[Cancelled, Filled])?;
    bench.trade(90_00)?;
    bench.expect_filled(order, Quantity::ZERO)
}

pub fn cancel_of_nothing(stage: &mut Stage<'_>) -> Checked {
    let mut bench = stage.bench();
    bench.trade(100_00)?;
    let standing = bench.limit_order(Side::Buy, 10, 95_00);
    let standing = bench.submit(standing)?;
    let done = bench.limit_order(Side::Buy, 10, 101_00);
    let done = bench.submit(done)?;
    bench.settle()?;
    bench.trade_on(100_00)?;
    bench.cancel(standing)?;
    bench.settle()?;
    let reports = bench.log.len();
    bench.cancel(OrderId::derive(NameHash::of("nobody"), 0, 0))?;
    bench.cancel(standing)?;
    if bench.is_done(done) {
        bench.cancel(done)?;
    }
    bench.settle()?;
    bench.trade(90_00)?;
    if bench.log.len() != reports && bench.is_done(done) {
        return bench.wrong("no report", format!("{:?}", bench.log.last()));
    }
    Ok(())
}

fn standing(bench: &mut Bench, quantity: i64) -> Result<OrderId, Problem> {
    bench.trade(100_00)?;
    let order = bench.limit_order(Side::Buy, quantity, 95_00);
    let order = bench.submit(order)?;
    bench.settle()?;
    bench.trade(100_00)?;
    Ok(order)
}

pub fn modify_up(stage: &mut Stage<'_>) -> Checked {
    modify(stage, 5, 8)
}

pub fn modify_down(stage: &mut Stage<'_>) -> Checked {
    modify(stage, 8, 3)
}

fn modify(stage: &mut Stage<'_>, from: i64, to: i64) -> Checked {
    let mut bench = stage.bench();
    let order = standing(&mut bench, from)?;
    bench.modify(order, units(to))?;
    bench.settle()?;
    if bench.quantity(order) != units(to) {
        return bench.wrong(
            format!("a quantity of {to}"),
            bench.quantity(order).to_string(),
        );
    }
    bench.trade_on(90_00)?;
    bench.expect_status(order, &[Filled])?;
    bench.expect_filled(order, units(to))
}

pub fn modify_below_filled(stage: &mut Stage<'_>) -> Checked {
    let mut bench = stage.bench();
    bench.trade(100_00)?;
    let order = bench.market_order(Side::Buy, 10);
    let order = bench.submit(order)?;
    bench.settle()?;
    thin_tick(&mut bench, 100_00, 4)?;
    let filled = bench.filled(order);
    if filled < units(2) || bench.is_done(order) {
        return Err(Problem::Skip(
            "an order could not be brought to execute in part".to_owned(),
        ));
    }
    bench.modify(order, units(1))?;
    bench.settle()?;
    let refused = !bench.is_done(order);
    bench.trade_on(100_00)?;
    // Either it ends with what it has, or the change is refused and it goes on as it was.
    bench.expect_filled(order, if refused { units(10) } else { filled })
}

pub fn modify_price(stage: &mut Stage<'_>) -> Checked {
    let mut bench = stage.bench();
    let order = standing(&mut bench, 5)?;
    bench.modify_to(order, units(5), Some(cents(97_00)), None)?;
    bench.settle()?;
    bench.trade_on(96_00)?;
    bench.expect_prices(order, Side::Buy, 97_00)?;
    if bench.filled(order).is_zero() {
        return bench.wrong("the order to execute at its new limit", "nothing");
    }
    Ok(())
}

/// A target at 105 and a stop at 95 for ten, as a pair.
pub fn pair(bench: &mut Bench) -> Result<(OrderId, OrderId), Problem> {
    let stop = bench.stop_order(Side::Sell, 10, 95_00);
    let target = bench.limit_order(Side::Sell, 10, 105_00);
    let (stop_id, target_id) = (stop.id, target.id);
    bench.submit(OrderIntent {
        oco: Some(target_id),
        ..stop
    })?;
    bench.submit(OrderIntent {
        oco: Some(stop_id),
        ..target
    })?;
    bench.settle()?;
    Ok((stop_id, target_id))
}

pub fn other_leg_is_cancelled(stage: &mut Stage<'_>) -> Checked {
    for (price, back, target_fills) in [(106_00, 90_00, true), (94_00, 110_00, false)] {
        let mut bench = stage.bench();
        bench.trade(100_00)?;
        let (stop, target) = pair(&mut bench)?;
        bench.trade(100_00)?;
        bench.trade_on(price)?;
        bench.trade_on(price)?;
        let (first, other) = if target_fills {
            (target, stop)
        } else {
            (stop, target)
        };
        bench.expect_status(first, &[Filled])?;
        bench.expect_status(other, &[Cancelled])?;
        bench.trade_on(back)?;
        bench.expect_filled(other, Quantity::ZERO)?;
    }
    Ok(())
}

pub fn legs_share_their_quantity(stage: &mut Stage<'_>) -> Checked {
    let mut bench = stage.bench();
    bench.trade(100_00)?;
    let (stop, target) = pair(&mut bench)?;
    bench.trade(100_00)?;
    thin_tick(&mut bench, 106_00, 4)?;
    let held = |bench: &Bench, id| bench.quantity(id).raw() - bench.filled(id).raw();
    for price in [94_00, 106_00, 94_00] {
        let (a, b) = (bench.filled(stop).raw(), bench.filled(target).raw());
        if a + b > units(10).raw() {
            return bench.wrong(
                "no more than ten of both legs",
                Quantity::from_raw(a + b).to_string(),
            );
        }
        // What a leg may still execute never exceeds what the pair has left.
        for leg in [stop, target] {
            if !bench.is_done(leg) && held(&bench, leg) > units(10).raw() - a - b {
                let still = Quantity::from_raw(held(&bench, leg));
                return bench.wrong(
                    "each leg to have left what the pair has left",
                    still.to_string(),
                );
            }
        }
        bench.trade_on(price)?;
    }
    let total = Quantity::from_raw(bench.filled(stop).raw() + bench.filled(target).raw());
    if total != units(10) {
        return bench.wrong("ten of both legs in the end", total.to_string());
    }
    bench.expect_status(stop, &[Filled, Cancelled])?;
    bench.expect_status(target, &[Filled, Cancelled])
}

pub fn same_order_twice(stage: &mut Stage<'_>) -> Checked {
    let mut bench = stage.bench();
    bench.trade(100_00)?;
    let intent = bench.market_order(Side::Buy, 10);
    let intent = OrderIntent {
        send_by: bench.now.plus(HOUR),
        ..intent
    };
    let order = bench.submit(intent)?;
    bench.submit(intent)?;
    bench.settle()?;
    bench.submit(intent)?;
    bench.trade_on(100_00)?;
    bench.expect_filled(order, units(10))?;
    bench.submit(intent)?;
    bench.settle()?;
    bench.trade_on(100_00)?;
    bench.expect_status(order, &[OrderStatus::Filled])
}
