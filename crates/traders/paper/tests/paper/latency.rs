//! The way to the market and back takes time.

use model::Timestamp;
use model::signal::{OrderType, Side};
use model::trader::{ReportKind, TraderCommand};
use paper::PaperSettings;

use crate::desk::{Desk, MS, depth, quote, trade};

fn settings() -> PaperSettings {
    PaperSettings {
        simulation_latency_ms: 100,
        ..PaperSettings::default()
    }
}

#[test]
fn an_order_is_not_there_before_it_arrives() {
    let mut desk = Desk::new(settings());
    let given = desk.now;
    let order = desk.market(Side::Buy, 1);
    desk.now = desk.now.plus(99 * MS);
    desk.tick(trade(100_00, 1), None);
    assert_eq!(desk.of(order).count(), 0);
    desk.now = desk.now.plus(5 * MS);
    desk.tick(trade(101_00, 1), None);
    assert_eq!(desk.fills(order), [(1, 101_00)]);
    assert_eq!(
        desk.log[0].ts,
        given.plus(100 * MS),
        "acknowledged when it arrived"
    );
}

#[test]
fn a_fill_can_race_a_cancellation() {
    let mut desk = Desk::new(settings());
    let (wins, loses) = (
        desk.limit(Side::Buy, 1, 99_00),
        desk.limit(Side::Buy, 1, 98_00),
    );
    desk.wait(200 * MS);
    desk.command(&TraderCommand::Cancel(wins));
    desk.command(&TraderCommand::Cancel(loses));
    desk.now = desk.now.plus(50 * MS);
    desk.tick(trade(98_50, 1), None);
    desk.now = desk.now.plus(50 * MS);
    // The cancellation arrives at the instant of this tick, and before it.
    desk.tick(trade(90_00, 1), None);
    assert_eq!(desk.fills(wins), [(1, 98_50)]);
    assert_eq!(desk.fills(loses), []);
    assert!(desk.is_cancelled(loses));
    assert_eq!(
        desk.subject.trader().next_due(),
        Timestamp::MAX,
        "nothing is left to wait for"
    );
}

#[test]
fn modifications_arrive_one_by_one_and_never_overtake() {
    let mut desk = Desk::new(settings());
    let order = desk.limit(Side::Buy, 10, 99_00);
    desk.wait(100 * MS);
    for (quantity, pause) in [(8, 60), (6, 60), (4, 60)] {
        desk.modify(order, quantity);
        desk.wait(pause * MS);
    }
    let modified = |desk: &Desk| {
        desk.of(order)
            .filter_map(|k| match k {
                ReportKind::Modified { quantity, .. } => Some(quantity.raw() / model::fixed::ONE),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(modified(&desk), [8, 6]);
    desk.wait(100 * MS);
    assert_eq!(modified(&desk), [8, 6, 4]);
}

#[test]
fn the_other_leg_gives_way_at_once_even_where_a_change_is_on_its_way() {
    let mut desk = Desk::new(settings());
    let [stop, target] = desk.pair(Side::Sell, 10, 95_00, 105_00);
    desk.wait(200 * MS);
    desk.tick(trade(100_00, 1_000), None);
    let book = depth(&[(105_00, 4)], &[]);
    desk.tick(quote(100_00, 105_00, 105_05), Some(&book));
    assert_eq!(desk.fills(target), [(4, 105_00)]);
    // As the engine does after the fill; it takes its time, the exchange's own pair does not.
    desk.modify(stop, 6);
    desk.now = desk.now.plus(50 * MS);
    desk.tick(quote(100_00, 105_00, 105_05), Some(&book));
    assert_eq!(desk.fills(target), [(4, 105_00), (4, 105_00)]);
    desk.now = desk.now.plus(60 * MS);
    desk.tick(trade(94_00, 1_000), None);
    assert_eq!(
        desk.fills(stop),
        [(2, 94_00)],
        "never more than the pair has left"
    );
    assert!(desk.is_cancelled(target));
}

#[test]
fn jitter_is_a_function_of_the_seed_and_the_order() {
    let arrival = |seed, before: u32| {
        let settings = PaperSettings {
            latency_jitter_ms: 500,
            seed,
            ..settings()
        };
        let mut desk = Desk::new(settings);
        let intent = desk.intent(Side::Buy, 1, OrderType::Market);
        for _ in 0..before {
            desk.market(Side::Sell, 1);
        }
        let order = desk.give(intent);
        desk.wait(600 * MS);
        let start = intent.submitted;
        let at = desk
            .log
            .iter()
            .find(|r| r.order == order)
            .map(|r| r.ts.since(start))
            .unwrap();
        assert!((100 * MS..=600 * MS).contains(&at));
        at
    };
    assert_eq!(arrival(1, 0), arrival(1, 5));
    assert_ne!(arrival(1, 0), arrival(2, 0));
}
