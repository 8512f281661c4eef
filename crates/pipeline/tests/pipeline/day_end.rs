//! A bar that closes as the trading day ends is of that day, in charges and in the equity's curve.

use std::sync::Arc;

use model::charges::{ChargeInput, Charges};
use model::event::{Event, EventBody};
use model::order::OrderChange;
use model::signal::Side::Buy;
use model::time::{DAY, HOUR, SECOND};
use model::{Amount, NumberError, Timestamp};

use crate::desk::{Desk, Plan, bracket, enter};
use crate::world::{COIN, at};

/// The date as money: what an execution is charged tells which day it was put to.
struct Dated;

impl Charges for Dated {
    fn of(&self, input: &ChargeInput<'_>) -> Result<Amount, NumberError> {
        Ok(Amount::from_int(i64::from(input.date.days())))
    }
    fn name(&self) -> &str {
        "dated"
    }
}

/// Trading days begin at six.
const FIRST_END: i64 = 20 * HOUR / SECOND;
const DAY_SECONDS: i64 = DAY / SECOND;

fn date(ts: Timestamp) -> i64 {
    i64::from(ts.plus(-6 * HOUR).utc().0.days())
}

/// The executions: when, and the day that they were put to.
fn executions(events: &[Event]) -> Vec<(Timestamp, i64)> {
    let fills = events.iter().filter_map(|e| match e.body {
        EventBody::OrderChanged(step) => match step.change {
            OrderChange::Filled(x) => Some((e.ts, x.charges)),
            _ => None,
        },
        _ => None,
    });
    let whole = |charges: Amount| charges.to_string().parse().unwrap();
    fills.map(|(ts, charges)| (ts, whole(charges))).collect()
}

fn curve(events: &[Event]) -> Vec<(Timestamp, String)> {
    let points = events.iter().filter_map(|e| match e.body {
        EventBody::Snapshot(s) if s.gross_exposure != Amount::ZERO => {
            Some((e.ts, s.unrealised.to_string()))
        }
        _ => None,
    });
    points.collect()
}

#[test]
fn daily_bars_that_end_with_the_trading_day_are_of_it() {
    let mut desk = Desk::new(&Plan {
        charges: Arc::new(Dated),
        ..Plan::default()
    });
    desk.bar(COIN, FIRST_END, ["100", "102", "99", "100"]);
    desk.signal(1, bracket(enter(COIN, Buy, 1), "95", "120"));
    // The open of the second day, and its close; then a stop within the third.
    let (second, third) = (at(FIRST_END), at(FIRST_END + DAY_SECONDS));
    desk.bar(COIN, DAY_SECONDS, ["101", "104", "100", "103"]);
    assert_eq!(executions(desk.latest()), [(second, date(second))]);
    let end_of_second = third.plus(-1);
    desk.clock(FIRST_END + DAY_SECONDS + 3_600);
    assert_eq!(
        curve(&desk.events),
        [(end_of_second, "2".to_owned())],
        "a point bears the time at which the equity was so"
    );
    // The third day begins where the bar before it ended.
    desk.now = third;
    desk.bar(COIN, DAY_SECONDS, ["102", "103", "94", "96"]);
    let end_of_third = at(FIRST_END + 2 * DAY_SECONDS).plus(-1);
    assert_eq!(
        executions(desk.latest()),
        [(end_of_third, date(third))],
        "of the day within which it was"
    );
    desk.check();
}

#[test]
fn a_bar_within_a_day_keeps_its_close() {
    let mut desk = Desk::new(&Plan::default());
    desk.bar(COIN, 600, ["100", "102", "99", "100"]);
    desk.signal(1, bracket(enter(COIN, Buy, 1), "95", "120"));
    desk.bar(COIN, 600, ["101", "104", "94", "103"]);
    let times: Vec<_> = executions_at(desk.latest());
    assert_eq!(times, [at(600), at(1_200)]);
    desk.check();
}

fn executions_at(events: &[Event]) -> Vec<Timestamp> {
    let fills = events.iter().filter(|e| {
        matches!(e.body, EventBody::OrderChanged(s) if matches!(s.change, OrderChange::Filled(_)))
    });
    fills.map(|e| e.ts).collect()
}
