//! The account of a strategy that is always told where to be, against the one that vectorbt keeps
//! (`tests/vectorbt/generate.py`).

use std::sync::Arc;

use model::charges::FlatRate;
use model::{Amount, Quantity};

use crate::desk::{Desk, Plan, target};
use crate::world::{COIN, instruments};

/// The records have six decimals, and floats behind them.
const NEAR: f64 = 2e-6;

fn number(amount: Amount) -> f64 {
    amount.to_string().parse().unwrap()
}

#[test]
fn position_cash_and_value_are_those_of_an_outside_engine_after_every_bar() {
    let bars = include_str!("../backtesting_py/bars.csv").lines().skip(1);
    let account = include_str!("../vectorbt/account.csv").lines().skip(1);
    let mut desk = Desk::new(&Plan {
        charges: Arc::new(FlatRate::from_raw(50_000).unwrap()),
        ..Plan::default()
    });
    let currency = instruments().currency(COIN);
    let (mut compared, mut reversals, mut last) = (0, 0, Quantity::ZERO);
    for (at, (bar, wanted)) in bars.zip(account).enumerate() {
        let bar: Vec<&str> = bar.split(',').collect();
        let wanted: Vec<f64> = wanted.split(',').map(|x| x.parse().unwrap()).collect();
        desk.bar(COIN, 60, [bar[0], bar[1], bar[2], bar[3]]);
        let held = desk.pipeline.portfolio().net(COIN);
        let money = desk.pipeline.portfolio().account(currency);
        let cash = money.starting_cash.checked_add(money.cash_flow).unwrap();
        let cash = number(cash.checked_sub(money.charges).unwrap());
        let found = [
            held.to_string().parse().unwrap(),
            cash,
            number(money.equity()),
        ];
        let is_near = |pair: (&f64, &f64)| (pair.0 - pair.1).abs() < NEAR;
        assert!(
            found.iter().zip(&wanted).all(is_near),
            "bar {at}: {found:?}, not {wanted:?}"
        );
        compared += 1;
        reversals += u32::from(held.signum() * last.signum() < 0);
        last = held;
        desk.signal(1, target(COIN, 100 * bar[4].parse::<i64>().unwrap()));
    }
    assert!(compared == 500 && reversals > 50, "{compared} {reversals}");
    desk.check();
}
