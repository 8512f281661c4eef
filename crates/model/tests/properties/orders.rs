//! The life of an order: the whole table of moves, and random lives.

use model::fixed::ONE;
use model::ids::{NameHash, OrderId};
use model::order::{
    Execution, Order, OrderChange, OrderError, OrderIntent, OrderRole, OrderStatus,
};
use model::reason::Reason;
use model::signal::{Bracket, OrderType, Product, Side, Validity};
use model::{
    Amount, CorrelationId, InstrumentIdx, Price, Quantity, StrategyIdx, Timestamp, TradeId,
};
use proptest::prelude::*;

use crate::runner;

fn units(count: i64) -> Quantity {
    Quantity::from_int(count).unwrap()
}

fn order(order_type: OrderType) -> Order {
    let price = |wanted: bool| wanted.then(|| Price::from_raw(100 * ONE));
    Order::new(OrderIntent {
        id: OrderId::derive(NameHash::of("paper"), 1, 0),
        correlation: CorrelationId(1),
        signal: None,
        strategy: StrategyIdx(1),
        instrument: InstrumentIdx(0),
        role: OrderRole::Entry,
        side: Side::Buy,
        quantity: units(10),
        increase: units(10),
        order_type,
        limit_price: price(order_type.has_limit()),
        trigger_price: price(order_type.has_trigger()),
        validity: Validity::Day,
        product: Product::Intraday,
        bracket: Bracket::default(),
        oco: None,
        parent: None,
        submitted: Timestamp(0),
        send_by: Timestamp(1),
    })
}

fn fill(trade: u128, quantity: i64) -> OrderChange {
    OrderChange::Filled(Execution {
        trade: TradeId(trade),
        quantity: units(quantity),
        price: Price::from_raw(101 * ONE),
        charges: Amount::from_int(1),
        draws: 0,
    })
}

fn modify(quantity: i64) -> OrderChange {
    OrderChange::Modified {
        quantity: units(quantity),
        limit_price: None,
        trigger_price: None,
    }
}

const REASON: Reason = Reason::OperatorRequest;

/// A stop order of ten that has come to `status`; with `part` of it executed where it can be.
fn at(status: OrderStatus, part: bool) -> Option<Order> {
    use OrderStatus as S;
    let mut order = order(OrderType::Stop);
    let path: &[OrderChange] = match status {
        S::Submitted => &[],
        S::Acknowledged => &[OrderChange::Acknowledged],
        S::Triggered => &[OrderChange::Triggered],
        S::Unknown => &[OrderChange::Unknown],
        S::Filled => &[fill(2, 4), fill(3, 6)],
        S::Cancelled => &[OrderChange::Cancelled(REASON)],
        S::Rejected => &[OrderChange::Rejected(REASON)],
        S::Expired => &[OrderChange::Expired(REASON)],
        S::Failed => &[OrderChange::Failed(REASON)],
    };
    if part {
        if matches!(status, S::Submitted | S::Filled | S::Rejected | S::Failed) {
            return None;
        }
        order.advance(&fill(1, 4)).unwrap();
    }
    for change in path {
        if order.status() != status || status == S::Filled {
            order.advance(change).unwrap();
        }
    }
    assert_eq!(order.status(), status);
    Some(order)
}

#[test]
fn the_table_of_moves() {
    use OrderStatus as S;
    let all = [
        S::Submitted,
        S::Acknowledged,
        S::Triggered,
        S::Unknown,
        S::Filled,
        S::Cancelled,
        S::Rejected,
        S::Expired,
        S::Failed,
    ];
    // Rows: changes; columns: statuses in the order above; `-`: illegal; then the same for an order
    // of which a part has executed, where there is such a one (` `: there is none).
    let table: &[(&str, OrderChange, &str, &str)] = &[
        (
            "acknowledged",
            OrderChange::Acknowledged,
            "A--A-----",
            " --A - - ",
        ),
        (
            "triggered",
            OrderChange::Triggered,
            "TT-T-----",
            " T-T - - ",
        ),
        ("modified", modify(8), "SATU-----", " ATU - - "),
        (
            "modified to what has executed",
            modify(4),
            "SATU-----",
            " FFF - - ",
        ),
        ("modified below it", modify(3), "SATU-----", " --- - - "),
        ("modified to nothing", modify(0), "---------", " --- - - "),
        (
            "cancel requested",
            OrderChange::CancelRequested(REASON),
            "SATU-----",
            " ATU - - ",
        ),
        (
            "cancel refused",
            OrderChange::CancelRefused,
            "SATU-----",
            " ATU - - ",
        ),
        ("unknown", OrderChange::Unknown, "UUUU-----", " UUU - - "),
        ("a part", fill(9, 5), "AATA-C-E-", " ATA C E "),
        ("the rest", fill(9, 6), "AATA-C-E-", " FFF C E "),
        ("all", fill(9, 10), "FFFF-C-E-", " --- - - "),
        ("too much", fill(9, 11), "---------", " --- - - "),
        ("nothing", fill(9, 0), "---------", " --- - - "),
        ("the same trade", fill(1, 1), "AATA-C-E-", " --- - - "),
        (
            "cancelled",
            OrderChange::Cancelled(REASON),
            "CCCC-----",
            " CCC - - ",
        ),
        (
            "rejected",
            OrderChange::Rejected(REASON),
            "RRRR-----",
            " --- - - ",
        ),
        (
            "expired",
            OrderChange::Expired(REASON),
            "EEEE-----",
            " EEE - - ",
        ),
        (
            "failed",
            OrderChange::Failed(REASON),
            "X--X-----",
            " --- - - ",
        ),
    ];
    let letter = |status: OrderStatus| match status {
        S::Submitted => 'S',
        S::Acknowledged => 'A',
        S::Triggered => 'T',
        S::Unknown => 'U',
        S::Filled => 'F',
        S::Cancelled => 'C',
        S::Rejected => 'R',
        S::Expired => 'E',
        S::Failed => 'X',
    };
    for (name, change, fresh, partly) in table {
        for (part, row) in [(false, fresh), (true, partly)] {
            for (status, want) in all.iter().zip(row.chars()) {
                let Some(mut order) = at(*status, part) else {
                    assert_eq!(want, ' ', "{name} from {}", status.name());
                    continue;
                };
                let before = order.clone();
                let checked = order.check(change);
                let result = order.advance(change);
                assert_eq!(checked, result);
                let got = result.map_or('-', letter);
                assert_eq!(
                    got,
                    want,
                    "{name} from {}, part executed: {part}",
                    status.name()
                );
                if result.is_err() {
                    assert_eq!(
                        order,
                        before,
                        "{name} from {}: a refusal changes it",
                        status.name()
                    );
                } else {
                    assert_eq!(order.sequence(), before.sequence() + 1);
                }
            }
        }
    }
    // Only stop orders have a trigger; a repeated trade is told from an illegal one.
    for order_type in [OrderType::Market, OrderType::Limit] {
        assert!(order(order_type).advance(&OrderChange::Triggered).is_err());
    }
    assert!(
        order(OrderType::StopLimit)
            .advance(&OrderChange::Triggered)
            .is_ok()
    );
    let mut done = at(S::Filled, false).unwrap();
    assert_eq!(
        done.advance(&fill(3, 6)),
        Err(OrderError::DuplicateTrade(TradeId(3)))
    );
}

fn change() -> impl Strategy<Value = OrderChange> {
    let quantity = prop_oneof![-2 * ONE..12 * ONE, Just(0), Just(i64::MAX), Just(i64::MIN)];
    let price = prop_oneof![Just(100 * ONE), any::<i64>()];
    let execution = (0u128..12, quantity.clone(), price.clone(), any::<i128>()).prop_map(
        |(trade, quantity, price, charges)| {
            OrderChange::Filled(Execution {
                trade: TradeId(trade),
                quantity: Quantity::from_raw(quantity),
                price: Price::from_raw(price),
                charges: Amount::from_raw(charges),
                draws: 0,
            })
        },
    );
    prop_oneof![
        2 => Just(OrderChange::Acknowledged),
        1 => Just(OrderChange::Triggered),
        3 => (quantity, prop::option::of(price)).prop_map(|(quantity, price)| OrderChange::Modified {
            quantity: Quantity::from_raw(quantity),
            limit_price: price.map(Price::from_raw),
            trigger_price: None,
        }),
        2 => Just(OrderChange::CancelRequested(REASON)),
        1 => Just(OrderChange::CancelRefused),
        1 => Just(OrderChange::Unknown),
        9 => execution,
        1 => prop::sample::select(vec![
            OrderChange::Cancelled(REASON),
            OrderChange::Rejected(REASON),
            OrderChange::Expired(REASON),
            OrderChange::Failed(REASON),
        ]),
    ]
}

#[test]
fn random_lives_keep_the_books_straight() {
    let types = prop::sample::select(vec![
        OrderType::Market,
        OrderType::Limit,
        OrderType::Stop,
        OrderType::StopLimit,
    ]);
    runner(1500)
        .run(
            &(types, prop::collection::vec(change(), 1..40)),
            |(order_type, changes)| {
                let mut order = order(order_type);
                let (mut filled, mut value, mut charges) = (0i128, 0i128, Amount::ZERO);
                let mut trades = Vec::new();
                for change in &changes {
                    let before = order.clone();
                    let Ok(status) = order.advance(change) else {
                        prop_assert_eq!(&order, &before, "refused: {:?}", change);
                        continue;
                    };
                    prop_assert_eq!(order.sequence(), before.sequence() + 1);
                    prop_assert_eq!(status, order.status());
                    if let OrderChange::Filled(x) = change {
                        filled += i128::from(x.quantity.raw());
                        value += i128::from(x.quantity.raw()) * i128::from(x.price.raw());
                        charges = charges.checked_add(x.charges).unwrap();
                        prop_assert!(x.quantity > Quantity::ZERO && !trades.contains(&x.trade));
                        trades.push(x.trade);
                    }
                    if before.status().is_terminal() {
                        // Only a late execution can follow, and the order stays what it is.
                        prop_assert!(matches!(change, OrderChange::Filled(_)), "{change:?}");
                        prop_assert_eq!(status, before.status());
                        prop_assert!(matches!(
                            status,
                            OrderStatus::Cancelled | OrderStatus::Expired
                        ));
                    }
                    prop_assert_eq!(i128::from(order.filled().raw()), filled);
                    prop_assert!(order.filled() <= order.quantity(), "{changes:?}");
                    prop_assert!(order.quantity() <= Quantity::MAX);
                    prop_assert_eq!((order.executed_value(), order.charges()), (value, charges));
                    prop_assert_eq!(order.executions() as usize, trades.len());
                    prop_assert_eq!(
                        status == OrderStatus::Filled,
                        order.filled() == order.quantity()
                            && !matches!(status, OrderStatus::Cancelled | OrderStatus::Expired)
                    );
                    let open = order.open_quantity();
                    prop_assert_eq!(open.is_zero(), status.is_terminal());
                    prop_assert!(
                        status.is_terminal()
                            || open.raw() + order.filled().raw() == order.quantity().raw()
                    );
                    let never_worked =
                        matches!(status, OrderStatus::Rejected | OrderStatus::Failed);
                    prop_assert!(!never_worked || filled == 0);
                }
                Ok(())
            },
        )
        .unwrap();
}

/// A broker that tells only totals: whatever of its words is lost, repeated or overtaken, the last brings the order
/// to what the broker has.
#[test]
fn totals_are_booked_once() {
    let executions = prop::collection::vec((1_i64..50, 1_i64..5_000), 1..12);
    let heard = prop::collection::vec(0_usize..12, 0..40);
    runner(1500)
        .run(&(executions, heard), |(executions, heard)| {
            let mut order = order(OrderType::Market);
            let total: i64 = executions.iter().map(|(quantity, _)| quantity).sum();
            let terms = OrderChange::Modified {
                quantity: units(total),
                limit_price: None,
                trigger_price: None,
            };
            order.advance(&terms).unwrap();
            // What the broker says after each execution: how much in all, and the average, rounded down.
            let (mut quantity, mut value, mut words) = (0_i128, 0_i128, Vec::new());
            for (more, price) in &executions {
                let (more, price) = (
                    i128::from(units(*more).raw()),
                    i128::from(*price) * 5_000_003,
                );
                (quantity, value) = (quantity + more, value + more * price);
                let average = Price::from_raw((value / quantity) as i64);
                words.push((Quantity::from_raw(quantity as i64), average));
            }
            let last = words.len() - 1;
            for word in heard
                .iter()
                .copied()
                .filter(|word| *word <= last)
                .chain([last, last])
            {
                let (total, average) = words[word];
                let before = order.filled();
                match order.executed_to(total, average) {
                    None => prop_assert!(total <= before),
                    Some((trade, quantity, price)) => {
                        prop_assert_eq!(before.raw() + quantity.raw(), total.raw());
                        let execution = Execution {
                            trade,
                            quantity,
                            price,
                            charges: Amount::ZERO,
                            draws: 0,
                        };
                        order.advance(&OrderChange::Filled(execution)).unwrap();
                    }
                }
            }
            prop_assert_eq!(i128::from(order.filled().raw()), quantity);
            // The average was rounded by less than one unit, and the last price by half of one.
            prop_assert!((order.executed_value() - value).abs() <= 2 * quantity);
            Ok(())
        })
        .unwrap();
}

/// A broker rounds its average: what that can make of a price at the order's limit is the limit.
#[test]
fn a_total_at_the_limit_is_at_the_limit_whatever_the_average_was_rounded_to() {
    // A limit of 100: six at 100.01 and one at 100 average 100.00857142…, rounded down in each number of decimals.
    for decimals in [100, 10_000, ONE] {
        let mut order = order(OrderType::Limit);
        let better = Price::from_raw(100 * ONE - ONE / 100);
        let first = OrderChange::Filled(Execution {
            trade: TradeId(1),
            quantity: units(6),
            price: better,
            charges: Amount::ZERO,
            draws: 0,
        });
        order.advance(&first).unwrap();
        let value = 6 * better.raw() + 100 * ONE;
        // Rounded up, so that the difference lies above the limit of the purchase.
        let unit = ONE / decimals;
        let average = Price::from_raw((value / 7 / unit + 1) * unit);
        let (_, quantity, price) = order.executed_to(units(7), average).unwrap();
        assert_eq!(
            (quantity, price),
            (units(1), Price::from_raw(100 * ONE)),
            "{decimals}"
        );
    }
    // What no rounding explains is told as it is.
    let order = order(OrderType::Limit);
    let far = Price::from_raw(101 * ONE);
    assert_eq!(order.executed_to(units(7), far).unwrap().2, far);
    // Nor is anything so large that it cannot be reckoned with.
    for (total, average) in [(i64::MAX, i64::MIN), (i64::MAX, i64::MAX), (1, i64::MIN)] {
        let (total, average) = (Quantity::from_raw(total), Price::from_raw(average));
        let mut order = order.clone();
        order.advance(&fill(1, 1)).unwrap();
        assert!(
            order
                .executed_to(total, average)
                .is_none_or(|(_, q, _)| q > Quantity::ZERO)
        );
    }
}
