//! What happens to positions when their contracts expire.

use std::sync::Arc;

use model::charges::{ChargeInput, Charges};
use model::contract_note::{Amounts, Component, DayOrder, Deed, Note, NoteName};
use model::event::{EventBody, Settled, SettlementBasis};
use model::order::OrderRole;
use model::reason::Reason;
use model::signal::Side::{Buy, Sell};
use model::signal::{Decision, Product, Side};
use model::{Amount, CurrencyIdx, Date, InstrumentIdx, NumberError, StrategyIdx};
use pipeline::portfolio::PositionKey;

use crate::desk::{Desk, Plan, enter, exit};
use crate::world::{
    AXIS, CALL, DELIVERED, FUTURE, GOLD, GOLD_DAYS, NEXT_DAY, ORPHAN, PUT, SESSION, amount, at,
    quantity,
};

/// Nothing but the tax of an exercise, a seventh of a hundredth, rounded at the close.
struct Exercise;

const TAX: i64 = 142_857;

impl Charges for Exercise {
    fn of(&self, _: &ChargeInput<'_>) -> Result<Amount, NumberError> {
        Ok(Amount::ZERO)
    }
    fn name(&self) -> &str {
        "exercise"
    }
    fn closes_days(&self) -> bool {
        true
    }
    fn of_exercise(&self, _: Date, order: &DayOrder<'_>) -> Result<Amount, NumberError> {
        assert_eq!(order.deed, Deed::Exercise);
        order.notional.fraction(TAX)
    }
    fn close(&self, _: Date, orders: &[DayOrder<'_>]) -> Result<Vec<Note>, NumberError> {
        let exercised = orders.iter().find(|order| order.deed == Deed::Exercise);
        let note = exercised.map(|order| {
            let mut charged = Amounts::default();
            charged.set(Component::Stt, Amount::from_int(1));
            Note {
                name: NoteName::from("tax").unwrap(),
                currency: order.instrument.currency,
                charged,
                booked: order.booked,
            }
        });
        Ok(note.into_iter().collect())
    }
}

fn carry(instrument: InstrumentIdx, side: Side, count: i64) -> Decision {
    Decision {
        product: Product::CarryForward,
        ..enter(instrument, side, count)
    }
}

fn settled(desk: &Desk) -> Vec<Settled> {
    let of = desk.events.iter().filter_map(|e| match e.body {
        EventBody::PositionSettled(settled) => Some(settled),
        _ => None,
    });
    of.collect()
}

fn alerts(desk: &Desk) -> Vec<(Reason, u32)> {
    let of = desk.latest().iter().filter_map(|e| match e.body {
        EventBody::Alert {
            reason, strategy, ..
        } => Some((reason, strategy.map_or(0, |s| s.0))),
        _ => None,
    });
    of.collect()
}

fn open(desk: &mut Desk, strategy: u32, instrument: InstrumentIdx, side: Side, price: &str) {
    desk.tick(instrument, price);
    desk.signal(strategy, carry(instrument, side, 10));
    assert_eq!(desk.refused(), None);
    desk.tick(instrument, price);
}

#[test]
fn contracts_settle_in_cash_at_the_close_of_their_last_day() {
    let plan = Plan {
        charges: Arc::new(Exercise),
        ..Plan::default()
    };
    let mut desk = Desk::new(&plan);
    desk.tick(AXIS, "104");
    open(&mut desk, 1, CALL, Buy, "6");
    open(&mut desk, 2, CALL, Sell, "6");
    open(&mut desk, 1, PUT, Buy, "2");
    open(&mut desk, 3, FUTURE, Sell, "105");
    open(&mut desk, 3, ORPHAN, Buy, "9");
    desk.clock(SESSION + 1);
    assert!(settled(&desk).is_empty(), "not on the day before");
    desk.clock(NEXT_DAY);
    desk.tick(AXIS, "107.35");
    desk.tick(FUTURE, "107.5");
    desk.reborn(&plan);
    desk.clock(NEXT_DAY + SESSION);
    assert!(settled(&desk).is_empty(), "the last executions count");
    assert_eq!(desk.pipeline.next_due(), at(NEXT_DAY + SESSION).plus(1));
    desk.reborn(&plan);
    desk.clock(NEXT_DAY + SESSION + 1);
    let found: Vec<_> = settled(&desk)
        .iter()
        .map(|s| (s.strategy.0, s.instrument, s.quantity, s.price.to_string()))
        .collect();
    let (long, short) = (quantity("10"), quantity("-10"));
    assert_eq!(
        found,
        [
            (1, CALL, long, "7.35".to_owned()),
            (1, PUT, long, "0".to_owned()),
            (3, ORPHAN, long, "9".to_owned()),
            (2, CALL, short, "7.35".to_owned()),
            (3, FUTURE, short, "107.5".to_owned()),
        ]
    );
    let (last, underlying) = (SettlementBasis::LastPrice, SettlementBasis::Underlying);
    let bases: Vec<_> = settled(&desk).iter().map(|s| s.basis).collect();
    assert_eq!(bases, [underlying, underlying, last, underlying, last]);
    assert_eq!(
        alerts(&desk),
        [
            (Reason::SettledAtLastPrice, 3),
            (Reason::SettledAtUnderlying, 1),
            (Reason::SettledAtUnderlying, 2),
        ]
    );
    // Only holders of options that pay exercise them: 90 by the last price. The account holds no call:
    // one strategy's is written by another.
    let tax: Vec<_> = settled(&desk).iter().map(|s| s.charges).collect();
    let booked = amount("90").fraction(TAX).unwrap();
    let zero = Amount::ZERO;
    assert_eq!(tax, [zero, zero, booked, zero, zero]);
    let adjusted = desk.events.iter().find_map(|e| match e.body {
        EventBody::ChargesAdjusted(a) => Some(a.amount),
        _ => None,
    });
    let charges = desk.pipeline.portfolio().account(CurrencyIdx(0)).charges;
    assert_eq!(charges, booked.checked_add(adjusted.unwrap()).unwrap());
    assert!(
        desk.pipeline
            .portfolio()
            .positions()
            .iter()
            .all(|p| p.quantity.is_zero())
    );
    // Calls: nothing together. Put: 20 lost. Future: 25 lost. Orphan: nothing.
    let account = desk.pipeline.portfolio().account(CurrencyIdx(0));
    assert_eq!(account.realised, amount("-45"));
    assert!(account.gross_exposure.is_zero());
    desk.clock(3 * NEXT_DAY);
    assert_eq!(settled(&desk).len(), 5, "once");
    desk.check();
}

#[test]
fn the_account_exercises_what_it_holds_and_not_what_its_strategies_hold_against_each_other() {
    let plan = Plan {
        charges: Arc::new(Exercise),
        ..Plan::default()
    };
    let mut desk = Desk::new(&plan);
    desk.tick(AXIS, "104");
    open(&mut desk, 1, CALL, Sell, "6");
    open(&mut desk, 2, CALL, Buy, "6");
    open(&mut desk, 3, CALL, Buy, "6");
    desk.tick(CALL, "6");
    desk.signal(
        3,
        Decision {
            product: Product::CarryForward,
            ..exit(CALL, Some(4))
        },
    );
    desk.tick(CALL, "6");
    desk.clock(NEXT_DAY);
    desk.tick(AXIS, "107.35");
    desk.clock(NEXT_DAY + SESSION + 1);
    // 10 written, 10 and 6 held: 6 are exercised, by the holder that is settled first.
    let tax: Vec<_> = settled(&desk)
        .iter()
        .map(|s| (s.strategy.0, s.quantity, s.charges))
        .collect();
    let six = amount("44.1").fraction(TAX).unwrap();
    let long = |count| quantity(count);
    assert_eq!(
        tax,
        [
            (2, long("10"), six),
            (3, long("6"), Amount::ZERO),
            (1, long("-10"), Amount::ZERO),
        ]
    );
    desk.check();
}

#[test]
fn an_order_that_works_as_its_contract_settles_is_cancelled() {
    let mut desk = Desk::new(&Plan::outside());
    desk.tick(AXIS, "104");
    desk.tick(CALL, "6");
    desk.signal(1, carry(CALL, Buy, 10));
    let entry = desk.orders()[0].id;
    desk.fill(entry, 10, "6");
    desk.clock(NEXT_DAY);
    desk.tick(CALL, "6");
    desk.signal(1, crate::desk::limit(carry(CALL, Buy, 10), "5"));
    let resting = desk.orders()[0].id;
    desk.report(resting, model::trader::ReportKind::Acknowledged);
    desk.clock(NEXT_DAY + SESSION + 1);
    assert_eq!(settled(&desk).len(), 1);
    let cancelled = crate::desk::cancels(&desk.events);
    assert!(
        cancelled.contains(&(resting, Reason::ContractExpired)),
        "{cancelled:?}"
    );
    desk.check();
}

/// Cannot tell the tax of an exercise.
struct Untold;

impl Charges for Untold {
    fn of(&self, _: &ChargeInput<'_>) -> Result<Amount, NumberError> {
        Ok(Amount::ZERO)
    }
    fn name(&self) -> &str {
        "untold"
    }
    fn of_exercise(&self, _: Date, _: &DayOrder<'_>) -> Result<Amount, NumberError> {
        Err(NumberError::Overflow)
    }
}

#[test]
fn an_exercise_whose_charges_are_unknown_is_settled_without_them_and_told() {
    let plan = Plan {
        charges: Arc::new(Untold),
        ..Plan::default()
    };
    let mut desk = Desk::new(&plan);
    desk.tick(AXIS, "104");
    open(&mut desk, 1, CALL, Buy, "6");
    desk.clock(NEXT_DAY);
    desk.tick(AXIS, "107.35");
    desk.clock(NEXT_DAY + SESSION + 1);
    let booked: Vec<_> = settled(&desk)
        .iter()
        .map(|s| (s.strategy.0, s.quantity, s.charges))
        .collect();
    assert_eq!(booked, [(1, quantity("10"), Amount::ZERO)]);
    let told = desk.events.iter().filter(|e| {
        matches!(
            e.body,
            EventBody::Alert { reason: Reason::ChargesUnknown, strategy: Some(s), .. }
                if s == StrategyIdx(1)
        )
    });
    assert_eq!(told.count(), 1);
    desk.check();
}

fn held(desk: &Desk) -> model::Quantity {
    let key = PositionKey {
        strategy: StrategyIdx(1),
        instrument: DELIVERED,
        product: Product::CarryForward,
    };
    desk.pipeline.portfolio().quantity(&key)
}

#[test]
fn what_would_be_delivered_is_neither_opened_nor_kept_on_its_last_day() {
    let mut desk = Desk::new(&Plan::default());
    open(&mut desk, 1, DELIVERED, Buy, "100");
    desk.clock(NEXT_DAY);
    assert_eq!(alerts(&desk), [(Reason::PhysicalDelivery, 1)]);
    desk.tick(DELIVERED, "101");
    desk.signal(2, carry(DELIVERED, Sell, 1));
    assert_eq!(desk.refused(), Some(Reason::PhysicalDelivery));
    // Less of it is welcome.
    desk.signal(
        1,
        Decision {
            product: Product::CarryForward,
            ..exit(DELIVERED, Some(4))
        },
    );
    assert_eq!(desk.refused(), None);
    desk.tick(DELIVERED, "101");
    assert_eq!(held(&desk), quantity("6"));
    // Ten minutes before continuous trading ends.
    desk.clock(NEXT_DAY + SESSION - 601);
    assert!(desk.orders().is_empty());
    desk.clock(NEXT_DAY + SESSION - 600);
    let order = desk.orders()[0];
    assert_eq!((order.role, order.side), (OrderRole::SquareOff, Sell));
    desk.tick(DELIVERED, "102");
    assert!(held(&desk).is_zero());
    desk.clock(NEXT_DAY + SESSION + 1);
    assert!(settled(&desk).is_empty() && alerts(&desk).is_empty());
    desk.check();
}

#[test]
fn what_cannot_be_settled_stays_and_is_named() {
    let mut desk = Desk::new(&Plan::outside());
    desk.tick(DELIVERED, "100");
    desk.signal(1, carry(DELIVERED, Buy, 10));
    let order = desk.orders()[0].id;
    desk.fill(order, 10, "100");
    desk.clock(NEXT_DAY + SESSION - 600);
    // The broker never answers.
    assert_eq!(desk.orders().len(), 1);
    desk.clock(NEXT_DAY + SESSION + 1);
    assert_eq!(alerts(&desk), [(Reason::PhysicalDelivery, 1)]);
    assert_eq!(held(&desk), quantity("10"));
    desk.check();
    // Nothing is known of how gold ends.
    let mut desk = Desk::new(&Plan::default());
    desk.clock(GOLD_DAYS * NEXT_DAY);
    open(&mut desk, 1, GOLD, Buy, "500");
    desk.clock(GOLD_DAYS * NEXT_DAY + SESSION + 1);
    assert!(alerts(&desk).contains(&(Reason::ContractExpired, 1)));
    assert!(settled(&desk).is_empty());
    assert_eq!(desk.pipeline.portfolio().net(GOLD), quantity("10"));
    desk.check();
}
