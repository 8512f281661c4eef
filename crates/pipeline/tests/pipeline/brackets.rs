//! Brackets: two legs that cover exactly what has filled, cancel each other, and never sell twice.

use model::event::{Event, EventBody, OrderStep};
use model::order::{OrderChange, OrderIntent, OrderRole, OrderStatus};
use model::reason::Reason;
use model::signal::Side::{Buy, Sell};
use model::signal::{Action, Decision, OrderType, Product, Side};
use model::trader::ReportKind;
use model::{OrderId, Quantity, StrategyIdx};
use paper::PaperSettings;
use pipeline::portfolio::PositionKey;

use crate::desk::{Desk, Plan, bracket, cancels, enter, exit, kinds, limit, resizes, stop, target};
use crate::world::{AXIS, COIN, Chance, NEXT_DAY, SESSION, units};

fn key() -> PositionKey {
    PositionKey {
        strategy: StrategyIdx(1),
        instrument: AXIS,
        product: Product::Intraday,
    }
}

fn latency(ms: u64) -> Plan {
    let settings = PaperSettings {
        simulation_latency_ms: ms,
        ..PaperSettings::default()
    };
    Plan {
        paper: Some(settings),
        ..Plan::default()
    }
}

/// Long ten at 100 with a stop at 95 and a target at 110, and the ids of the two.
fn protected(desk: &mut Desk) -> (OrderId, OrderId) {
    desk.tick(AXIS, "100");
    desk.signal(1, bracket(enter(AXIS, Buy, 10), "95", "110"));
    // On its way; or nobody executes inside, and the broker does.
    for _ in 0..8 {
        desk.tick(AXIS, "100");
    }
    if desk.position(1, AXIS) == 0 {
        desk.fill(desk.working()[0].id, 10, "100");
    }
    assert_eq!(desk.position(1, AXIS), 10);
    let legs = desk.working();
    assert_eq!(
        legs.iter().map(|l| l.role).collect::<Vec<_>>(),
        [OrderRole::StopLoss, OrderRole::TakeProfit]
    );
    (legs[0].id, legs[1].id)
}

/// Open quantity of the working orders with a role.
fn open(desk: &Desk, role: OrderRole) -> i64 {
    desk.working()
        .iter()
        .filter(|i| i.role == role)
        .map(|i| {
            desk.pipeline
                .engine()
                .order(i.id)
                .unwrap()
                .open_quantity()
                .raw()
                / model::fixed::ONE
        })
        .sum()
}

fn both(desk: &Desk) -> (i64, i64) {
    (
        open(desk, OrderRole::StopLoss),
        open(desk, OrderRole::TakeProfit),
    )
}

fn status(desk: &Desk, id: OrderId) -> OrderStatus {
    desk.audit.orders[&id].status()
}

#[test]
fn an_entry_is_followed_by_two_legs_of_one_chain() {
    for side in [Buy, Sell] {
        let mut desk = Desk::new(&Plan::default());
        desk.tick(AXIS, "100");
        let (stop, profit) = if side == Buy {
            ("95", "110")
        } else {
            ("105", "90")
        };
        desk.signal(1, bracket(enter(AXIS, side, 10), stop, profit));
        let entry = desk.orders()[0];
        desk.tick(AXIS, "100");
        let legs = desk.orders();
        let [sl, tp] = legs.as_slice() else {
            panic!("{legs:?}")
        };
        for leg in [sl, tp] {
            assert_eq!(
                (leg.side, leg.quantity, leg.parent),
                (side.opposite(), units(10), Some(entry.id))
            );
            assert_eq!((leg.increase, leg.signal), (Quantity::ZERO, entry.signal));
        }
        assert_eq!(
            (sl.order_type, tp.order_type),
            (OrderType::Stop, OrderType::Limit)
        );
        assert_eq!(sl.trigger_price.unwrap().to_string(), stop);
        assert_eq!(tp.limit_price.unwrap().to_string(), profit);
        assert_eq!((sl.oco, tp.oco), (Some(tp.id), Some(sl.id)));
        // One fills, the other goes.
        let (first, other, at) = if side == Buy {
            (tp, sl, "110")
        } else {
            (sl, tp, "105")
        };
        desk.tick(AXIS, at);
        assert_eq!(status(&desk, first.id), OrderStatus::Filled);
        assert_eq!(status(&desk, other.id), OrderStatus::Cancelled);
        assert_eq!(desk.position(1, AXIS), 0);
        desk.check();
    }
}

/// What executes at which price.
type Executed<'a> = &'a [(OrderRole, &'a str)];

/// The prices of the executions among `events`, with their roles.
fn fills(desk: &Desk, events: &[Event]) -> Vec<(OrderRole, String)> {
    let role = |id| desk.pipeline.engine().order(id).unwrap().intent().role;
    events
        .iter()
        .filter_map(|e| match e.body {
            EventBody::OrderChanged(step) => match step.change {
                OrderChange::Filled(x) => Some((role(step.order), x.price.to_string())),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

#[test]
fn legs_work_in_the_bar_of_their_entry() {
    use OrderRole::{Entry, StopLoss, TakeProfit};
    let market = |side| enter(AXIS, side, 10);
    let (buy, sell) = (market(Buy), market(Sell));
    // The entry with its exits, the bar that fills it, and what executes in that bar.
    let cases: &[(Decision, [&str; 4], Executed<'_>)] = &[
        // The whole bar follows its open; the stop comes first.
        (
            bracket(buy, "99.95", ""),
            ["100", "100.5", "95", "96"],
            &[(Entry, "100"), (StopLoss, "99.95")],
        ),
        (
            bracket(buy, "95", "105"),
            ["100", "106", "99", "101"],
            &[(Entry, "100"), (TakeProfit, "105")],
        ),
        (
            bracket(buy, "95", "105"),
            ["100", "106", "94", "101"],
            &[(Entry, "100"), (StopLoss, "95")],
        ),
        (
            bracket(sell, "105", "95"),
            ["100", "106", "94", "101"],
            &[(Entry, "100"), (StopLoss, "105")],
        ),
        (
            bracket(sell, "105", "95"),
            ["100", "101", "94", "101"],
            &[(Entry, "100"), (TakeProfit, "95")],
        ),
        // A gap: the open is beyond the stop, or beyond the target.
        (
            bracket(buy, "95", "105"),
            ["93", "106", "92", "101"],
            &[(Entry, "93"), (StopLoss, "93")],
        ),
        (
            bracket(buy, "95", "105"),
            ["107", "108", "94", "101"],
            &[(Entry, "107"), (TakeProfit, "107")],
        ),
        // Entered within the bar: only the stop is sure to be worth looking at.
        (
            bracket(limit(buy, "98"), "97", "103"),
            ["100", "104", "96", "101"],
            &[(Entry, "98"), (StopLoss, "97")],
        ),
        (
            bracket(limit(buy, "98"), "97", "103"),
            ["100", "104", "97.5", "101"],
            &[(Entry, "98")],
        ),
        (
            bracket(limit(buy, "98"), "97", "103"),
            ["97.8", "104", "97.5", "101"],
            &[(Entry, "97.8"), (TakeProfit, "103")],
        ),
        (
            bracket(stop(buy, "102"), "101", "110"),
            ["100", "103", "100", "103"],
            &[(Entry, "102"), (StopLoss, "101")],
        ),
        (
            bracket(stop(buy, "102"), "99", "103"),
            ["100", "104", "99.5", "103"],
            &[(Entry, "102")],
        ),
        (
            bracket(stop(sell, "98"), "99", "90"),
            ["98.5", "100", "97", "98"],
            &[(Entry, "98"), (StopLoss, "99")],
        ),
    ];
    // The same with time that orders need: a leg goes with its entry. And in a session's last bar.
    for (ms, last) in [(0, false), (700, false), (0, true)] {
        for (decision, prices, want) in cases {
            let mut desk = Desk::new(&latency(ms));
            desk.clock(if last { SESSION - 120 } else { 0 });
            desk.bar(AXIS, 60, ["100", "100", "100", "100"]);
            desk.signal(1, *decision);
            desk.clock_forward(i64::from(ms > 0));
            let events = desk.bar(AXIS, 60, *prices).to_vec();
            let got = fills(&desk, &events);
            let got: Vec<_> = got.iter().map(|(role, at)| (*role, at.as_str())).collect();
            assert_eq!(got, *want, "{ms} {last} {decision:?} {prices:?}");
            // What is left has its legs, through the night too, and they work on the next bar.
            if want.len() == 1 {
                desk.clock_forward(if last { NEXT_DAY - SESSION } else { 0 });
                desk.clock_forward(i64::from(ms > 0));
                let events = desk.bar(AXIS, 60, ["101", "120", "80", "101"]).to_vec();
                assert_eq!(fills(&desk, &events).len(), 1, "{}", desk.story());
            }
            assert_eq!(desk.position(1, AXIS), 0);
            desk.check();
        }
    }
}

#[test]
fn a_tick_that_fills_an_entry_can_stop_it_but_reaches_no_target() {
    for (price, want) in [("94", 2), ("111", 1)] {
        let mut desk = Desk::new(&latency(700));
        desk.tick(AXIS, "100");
        desk.signal(1, bracket(enter(AXIS, Buy, 10), "95", "110"));
        let events = desk.tick(AXIS, price).to_vec();
        let got = fills(&desk, &events);
        assert_eq!(got.len(), want, "{}", desk.story());
        assert!(
            got.iter()
                .all(|(role, at)| *role != OrderRole::TakeProfit && at == price)
        );
        desk.tick(AXIS, price);
        assert_eq!(desk.position(1, AXIS), 0);
        desk.check();
    }
}

#[test]
fn a_leg_that_grows_with_its_entry_covers_all_of_it_at_once() {
    let settings = PaperSettings {
        participation: 0.006,
        simulation_latency_ms: 700,
        ..PaperSettings::default()
    };
    let plan = Plan {
        paper: Some(settings),
        ..Plan::default()
    };
    // Six of a thousand may fill. Of ten that a tick has entered, the target has what was there before.
    let (entry, stop) = (OrderRole::Entry, OrderRole::StopLoss);
    for (price, want) in [
        ("94", [(entry, 4), (stop, 10)]),
        ("111", [(entry, 4), (OrderRole::TakeProfit, 6)]),
    ] {
        let mut desk = Desk::new(&plan);
        desk.tick(AXIS, "100");
        desk.signal(1, bracket(enter(AXIS, Buy, 10), "95", "110"));
        desk.tick(AXIS, "100");
        assert_eq!(desk.position(1, AXIS), 6);
        let events = desk.tick_of(AXIS, price, 1_000_000).to_vec();
        let got: Vec<_> = events
            .iter()
            .filter_map(|e| match e.body {
                EventBody::OrderChanged(OrderStep {
                    order,
                    change: OrderChange::Filled(x),
                    ..
                }) => {
                    let role = desk.pipeline.engine().order(order).unwrap().intent().role;
                    Some((role, x.quantity.raw() / model::fixed::ONE))
                }
                _ => None,
            })
            .collect();
        assert_eq!(got, want, "{}", desk.story());
        desk.tick_of(AXIS, price, 1_000_000);
        assert_eq!(desk.position(1, AXIS), 0);
        desk.check();
    }
}

/// Trades of bars with a stop and a target, against those that backtesting.py makes of them
/// (`tests/backtesting_py/generate.py`).
#[test]
fn protected_trades_are_those_of_an_outside_engine() {
    let bars = include_str!("../backtesting_py/bars.csv");
    let trades = include_str!("../backtesting_py/trades.csv");
    let mut desk = Desk::new(&Plan::default());
    let mut got: Vec<(usize, String)> = Vec::new();
    for (at, row) in bars.lines().skip(1).enumerate() {
        let row: Vec<&str> = row.split(',').collect();
        let events = desk
            .bar(COIN, 60, [row[0], row[1], row[2], row[3]])
            .to_vec();
        got.extend(
            fills(&desk, &events)
                .into_iter()
                .map(|(_, price)| (at, price)),
        );
        // It decides from the second bar on.
        let side = match row[4] {
            _ if at == 0 => continue,
            "1" => Buy,
            "-1" => Sell,
            _ => continue,
        };
        if desk.position(1, COIN) == 0 {
            desk.signal(1, bracket(enter(COIN, side, 100), row[5], row[6]));
            assert_eq!(desk.refused(), None);
        }
    }
    let bars: Vec<Vec<&str>> = bars
        .lines()
        .skip(1)
        .map(|r| r.split(',').collect())
        .collect();
    let bar = |at: usize| bars[at].as_slice();
    let price = |text: &str| text.parse::<model::Price>().unwrap().to_string();
    let mut want: Vec<(usize, String)> = Vec::new();
    let mut in_one_bar = 0;
    for row in trades.lines().skip(1) {
        let row: Vec<&str> = row.split(',').collect();
        let (entry, exit): (usize, usize) = (row[0].parse().unwrap(), row[1].parse().unwrap());
        in_one_bar += usize::from(entry == exit);
        // Where a bar opens beyond the target and reaches the stop later, that engine takes the stop. The
        // open comes first.
        let open: model::Price = bar(exit)[0].parse().unwrap();
        let target: model::Price = bar(entry - 1)[6].parse().unwrap();
        let is_past = if row[2].starts_with('-') {
            open <= target
        } else {
            open >= target
        };
        let left = if is_past { bar(exit)[0] } else { row[4] };
        want.extend([(entry, price(row[3])), (exit, price(left))]);
    }
    assert!(in_one_bar > 50 && want.len() > 2 * in_one_bar);
    let differs = got.iter().zip(&want).position(|(a, b)| a != b);
    assert_eq!(
        differs,
        None,
        "{:?} {:?}",
        differs.map(|i| &got[i]),
        differs.map(|i| &want[i])
    );
    // The last trade may be open when the bars end.
    assert!(
        (want.len()..=want.len() + 1).contains(&got.len()),
        "{} {}",
        got.len(),
        want.len()
    );
    desk.check();
}

#[test]
fn legs_grow_with_the_entry_and_shrink_with_each_other() {
    let mut desk = Desk::new(&Plan::outside());
    desk.tick(AXIS, "100");
    desk.signal(1, bracket(enter(AXIS, Buy, 10), "95", "110"));
    let entry = desk.orders()[0].id;
    desk.report(entry, ReportKind::Acknowledged);
    assert!(desk.orders().is_empty());
    desk.fill(entry, 3, "100");
    let legs = desk.orders();
    assert_eq!(
        legs.iter().map(|l| l.quantity).collect::<Vec<_>>(),
        [units(3), units(3)]
    );
    let (sl, tp) = (legs[0].id, legs[1].id);
    desk.fill(entry, 4, "100");
    assert_eq!(resizes(desk.latest()), [(sl, units(7)), (tp, units(7))]);
    let modified = |total| ReportKind::Modified {
        quantity: units(total),
        limit_price: None,
        trigger_price: None,
    };
    for leg in [sl, tp] {
        assert!(
            desk.report(leg, modified(7))
                .iter()
                .all(|e| e.kind() == "order_modified")
        );
    }
    // The target fills a part: as much less is left for the stop.
    desk.fill(tp, 2, "110");
    assert_eq!(resizes(desk.latest()), [(sl, units(5))]);
    desk.report(sl, modified(5));
    // The entry goes on: both cover what is open, the target's executed part included.
    desk.fill(entry, 3, "100");
    assert_eq!(resizes(desk.latest()), [(sl, units(8)), (tp, units(10))]);
    desk.report(sl, modified(8));
    desk.report(tp, modified(10));
    assert_eq!(both(&desk), (8, 8));
    // The stop fills: the target is cancelled.
    desk.fill(sl, 8, "95");
    assert_eq!(cancels(desk.latest()), [(tp, Reason::PositionClosed)]);
    desk.cancelled(tp);
    assert!(desk.working().is_empty() && desk.position(1, AXIS) == 0);
    desk.check();
}

#[test]
fn a_part_that_fills_after_the_stop_did_is_protected_too() {
    let mut desk = Desk::new(&Plan::outside());
    desk.tick(AXIS, "100");
    desk.signal(1, bracket(limit(enter(AXIS, Buy, 10), "100"), "95", "110"));
    let entry = desk.orders()[0].id;
    desk.fill(entry, 4, "100");
    let legs = desk.orders();
    desk.fill(legs[0].id, 4, "95");
    desk.cancelled(legs[1].id);
    desk.fill(entry, 6, "100");
    assert_eq!(desk.position(1, AXIS), 6);
    assert_eq!(
        both(&desk),
        (6, 6),
        "after the first legs were done: {:?}",
        kinds(desk.latest())
    );
    desk.check();
}

#[test]
fn a_partial_exit_leaves_the_rest_protected() {
    for plan in [Plan::default(), latency(700)] {
        let mut desk = Desk::new(&plan);
        protected(&mut desk);
        desk.signal(1, exit(AXIS, Some(4)));
        desk.tick(AXIS, "101");
        desk.tick(AXIS, "101");
        desk.tick(AXIS, "101");
        assert_eq!(desk.position(1, AXIS), 6);
        assert_eq!(both(&desk), (6, 6));
        desk.tick(AXIS, "94");
        desk.tick(AXIS, "94");
        assert_eq!(desk.position(1, AXIS), 0, "the stop has closed it");
        desk.check();
    }
}

#[test]
fn closing_by_a_signal_cancels_the_legs_first_and_never_sells_twice() {
    // The price falls through the stop while the exit is on its way.
    for plan in [Plan::default(), latency(700), latency(2500)] {
        for decision in [target(AXIS, 0), exit(AXIS, None), exit(AXIS, Some(10))] {
            let mut desk = Desk::new(&plan);
            let (sl, tp) = protected(&mut desk);
            desk.signal(1, decision);
            let asked: Vec<_> = cancels(&desk.events).iter().map(|c| c.0).collect();
            assert_eq!(asked, [sl, tp], "{decision:?}");
            for at in ["94", "93", "111", "94", "112", "90"] {
                desk.tick(AXIS, at);
                assert!((0..=10).contains(&desk.position(1, AXIS)), "{decision:?}");
            }
            assert_eq!(desk.position(1, AXIS), 0);
            assert!(desk.working().is_empty());
            desk.check();
        }
    }
}

#[test]
fn a_leg_that_executes_before_its_cancel_arrives_is_taken_into_account() {
    // Outside: the stop fills, wholly or in part, before the broker sees the cancel.
    for part in [4, 10] {
        let mut desk = Desk::new(&Plan::outside());
        let (sl, tp) = protected(&mut desk);
        desk.signal(1, target(AXIS, 0));
        assert!(desk.orders().is_empty(), "the exit waits for the legs");
        desk.fill(sl, part, "95");
        assert!(desk.orders().is_empty());
        if part < 10 {
            desk.cancelled(sl);
        }
        assert!(desk.orders().is_empty(), "the other leg may still execute");
        desk.cancelled(tp);
        let orders = desk.orders();
        assert_eq!(
            orders.iter().map(|o| o.quantity).sum::<Whole>().0,
            10 - part
        );
        for order in orders {
            desk.fill(order.id, 10 - part, "95");
        }
        assert!(desk.position(1, AXIS) == 0 && desk.working().is_empty());
        desk.check();
    }
}

#[test]
fn a_refused_cancel_leaves_the_position_protected() {
    let mut desk = Desk::new(&Plan::outside());
    let (sl, tp) = protected(&mut desk);
    desk.signal(1, target(AXIS, 0));
    desk.cancelled(sl);
    desk.report(tp, ReportKind::CancelRefused);
    assert_eq!(desk.refused(), Some(Reason::BrokerRejected));
    assert_eq!(open(&desk, OrderRole::TakeProfit), 10);
    assert_eq!(
        open(&desk, OrderRole::StopLoss),
        10,
        "the stop is gone, and the position is not"
    );
    desk.check();
}

#[test]
fn a_refused_exit_puts_the_protection_back() {
    // Judged again when the legs are gone, the exit is refused: the strategy was disabled meanwhile.
    let mut desk = Desk::new(&Plan::outside());
    let (sl, tp) = protected(&mut desk);
    desk.signal(1, exit(AXIS, None));
    desk.command(model::control::CommandAction::DisableStrategy(
        StrategyIdx(1),
        Reason::OperatorRequest,
    ));
    desk.cancelled(sl);
    desk.cancelled(tp);
    assert_eq!(desk.refused(), Some(Reason::StrategyDisabled));
    assert_eq!(both(&desk), (10, 10));
    desk.check();
}

#[test]
fn a_resting_exit_and_the_legs_do_not_sell_the_same_units() {
    for plan in [Plan::default(), latency(700)] {
        for decision in [
            limit(target(AXIS, 0), "108"),
            limit(exit(AXIS, Some(10)), "108"),
        ] {
            let mut desk = Desk::new(&plan);
            protected(&mut desk);
            desk.signal(1, decision);
            for at in ["101", "102", "103", "115", "94", "116", "93"] {
                desk.tick(AXIS, at);
                let working: i64 = desk
                    .working()
                    .iter()
                    .map(|i| i.quantity.raw() / model::fixed::ONE)
                    .sum();
                let pair = open(&desk, OrderRole::TakeProfit);
                assert!(
                    working - pair <= desk.position(1, AXIS).max(0),
                    "at {at}: {:?}",
                    desk.working()
                );
                assert!(desk.position(1, AXIS) >= 0, "sold twice at {at}");
            }
            desk.check();
        }
    }
}

#[test]
fn a_reversal_changes_the_legs_over() {
    let mut desk = Desk::new(&Plan::default());
    let (sl, tp) = protected(&mut desk);
    desk.signal(1, bracket(target(AXIS, -5), "104", "90"));
    let orders: Vec<OrderIntent> = desk.working();
    desk.tick(AXIS, "100");
    desk.tick(AXIS, "100");
    assert_eq!(desk.position(1, AXIS), -5);
    for leg in [sl, tp] {
        assert_eq!(status(&desk, leg), OrderStatus::Cancelled);
    }
    assert_eq!(both(&desk), (5, 5), "{orders:?}");
    assert!(desk.working().iter().all(|i| i.side == Buy));
    let reversal = desk
        .audit
        .orders
        .values()
        .find(|o| o.intent().quantity == units(15))
        .unwrap();
    assert_eq!(
        reversal.intent().increase,
        units(5),
        "one order closes ten and opens five"
    );
    desk.check();
}

#[test]
fn a_late_execution_of_a_cancelled_entry_is_protected() {
    let mut desk = Desk::new(&Plan::outside());
    desk.tick(AXIS, "100");
    desk.signal(1, bracket(enter(AXIS, Buy, 10), "95", "110"));
    let entry = desk.orders()[0].id;
    desk.command(model::control::CommandAction::CancelOrder(entry));
    desk.cancelled(entry);
    // The broker executed it before the cancel, and says so afterwards.
    desk.fill(entry, 10, "100");
    assert_eq!(desk.position(1, AXIS), 10);
    assert_eq!(both(&desk), (10, 10), "ten long, and no stop");
    desk.check();
}

/// Sums of quantities as whole units.
struct Whole(i64);

impl std::iter::Sum<Quantity> for Whole {
    fn sum<I: Iterator<Item = Quantity>>(all: I) -> Self {
        Self(all.map(|q| q.raw() / model::fixed::ONE).sum())
    }
}

/// Buys with brackets, exits of every kind, nothing that may open a short position.
fn long_only(chance: &mut Chance, price: i64) -> Decision {
    let at = |away: i64| (price + away).to_string();
    let size = chance.within(1, 9);
    let (up, down) = (chance.within(1, 4), chance.within(1, 4));
    match chance.below(9) {
        0..2 => bracket(enter(AXIS, Buy, size), &at(-down), &at(up)),
        2 => bracket(
            limit(enter(AXIS, Buy, size), &at(-1)),
            &at(-1 - down),
            &at(up),
        ),
        3 => exit(AXIS, None),
        4 => exit(AXIS, Some(size)),
        5 => limit(exit(AXIS, Some(size)), &at(up)),
        6 => limit(target(AXIS, 0), &at(up)),
        7 => Decision {
            action: Action::Target {
                quantity: units(size),
            },
            ..bracket(target(AXIS, 1), &at(-down), &at(up))
        },
        _ => target(AXIS, 0),
    }
}

#[test]
fn whatever_is_asked_a_long_position_is_never_sold_twice() {
    for seed in 0..90u64 {
        let settings = PaperSettings {
            simulation_latency_ms: [0, 700, 2500][(seed % 3) as usize],
            participation: if seed.is_multiple_of(2) { 0.0 } else { 0.004 },
            seed,
            ..PaperSettings::default()
        };
        let mut desk = Desk::new(&Plan {
            paper: Some(settings),
            ..Plan::default()
        });
        let mut chance = Chance(seed);
        let mut price = 100;
        for _ in 0..60 {
            price = (price + chance.within(-2, 2)).max(20);
            desk.tick(AXIS, &price.to_string());
            if chance.one_in(3) {
                let decision = long_only(&mut chance, price);
                desk.signal(1, decision);
            }
            let position = desk.pipeline.portfolio().quantity(&key());
            assert!(
                position >= Quantity::ZERO,
                "seed {seed}: short {position}\n{}",
                desk.story()
            );
        }
        desk.check();
    }
}

#[test]
fn what_a_bracket_opened_stays_protected() {
    // Without latency, once all is quiet, stops cover the position, but for resting exits.
    for seed in 0..60u64 {
        let settings = PaperSettings {
            participation: if seed.is_multiple_of(2) { 0.0 } else { 0.004 },
            seed,
            ..PaperSettings::default()
        };
        let mut desk = Desk::new(&Plan {
            paper: Some(settings),
            ..Plan::default()
        });
        let mut chance = Chance(seed);
        let mut price = 100;
        for _ in 0..50 {
            price = (price + chance.within(-2, 2)).max(20);
            desk.tick(AXIS, &price.to_string());
            let market_orders_left = desk
                .working()
                .iter()
                .any(|i| i.order_type == OrderType::Market);
            let settled = !market_orders_left
                && desk
                    .pipeline
                    .engine()
                    .book(&key())
                    .is_none_or(|b| b.deferred().is_none());
            if settled {
                let stops = open(&desk, OrderRole::StopLoss);
                let exits: i64 = desk
                    .working()
                    .iter()
                    .filter(|i| i.side == Side::Sell && i.role == OrderRole::Exit)
                    .map(|i| {
                        desk.pipeline
                            .engine()
                            .order(i.id)
                            .unwrap()
                            .open_quantity()
                            .raw()
                            / model::fixed::ONE
                    })
                    .sum();
                let position = desk.position(1, AXIS);
                assert!(
                    stops + exits >= position,
                    "seed {seed}: {stops} + {exits} of {position} covered"
                );
            }
            if chance.one_in(3) {
                let decision = long_only(&mut chance, price);
                if !matches!(decision.action, Action::Target { quantity } if !quantity.is_zero()) {
                    desk.signal(1, decision);
                }
            }
        }
        desk.check();
    }
}

#[test]
fn a_leg_that_gives_way_and_is_resized_at_once_says_so_once() {
    let settings = PaperSettings {
        participation: 1.0,
        ..PaperSettings::default()
    };
    let mut desk = Desk::new(&Plan {
        paper: Some(settings),
        ..Plan::default()
    });
    desk.tick(AXIS, "100");
    desk.signal(1, bracket(enter(AXIS, Buy, 10), "95", "110"));
    desk.tick_of(AXIS, "100", 4);
    assert_eq!(desk.position(1, AXIS), 4);
    // The rest of the entry and a part of the grown limit leg fill on one input.
    let events = desk.tick_of(AXIS, "110", 7);
    assert!(!kinds(events).contains(&"trader_detached"));
    assert_eq!(desk.position(1, AXIS), 9);
    desk.tick_of(AXIS, "95", 100);
    assert_eq!(desk.position(1, AXIS), 0);
    desk.check();
}
