//! On bars: the next open, gaps, the worse first, nothing from before an order.

use model::order::OrderIntent;
use model::signal::{OrderType, Side, Validity};
use model::time::MINUTE;
use model::trader::ReportKind;
use model::{InstrumentIdx, Timestamp};
use paper::{FillOn, LimitFill, PaperSettings};
use traders::conformance::{DaySessions, Fixture};

use crate::desk::{Desk, MS, cents};

const FLAT: [i64; 4] = [100_00, 101_00, 99_00, 100_00];

fn desk(settings: PaperSettings) -> Desk {
    let mut desk = Desk::new(settings);
    desk.bar(FLAT);
    desk
}

#[test]
fn market_orders_fill_at_the_next_open_and_are_stamped_so() {
    let mut desk = desk(PaperSettings::default());
    let order = desk.market(Side::Buy, 10);
    let open = desk.now;
    desk.bar([102_00, 110_00, 90_00, 95_00]);
    assert_eq!(desk.fills(order), [(10, 102_00)]);
    assert_eq!(desk.log.last().map(|r| r.ts), Some(open));
}

#[test]
fn stops_fill_at_their_trigger_or_at_the_open_that_jumped_over_it() {
    for (bar, paid) in [
        ([100_00, 101_00, 94_00, 99_00], 95_00),
        ([92_00, 96_00, 91_00, 95_00], 92_00),
        ([95_00, 96_00, 95_00, 95_00], 95_00),
    ] {
        let mut desk = desk(PaperSettings::default());
        let order = desk.stop(Side::Sell, 10, 95_00);
        desk.bar([100_00, 101_00, 95_05, 99_00]);
        assert_eq!(desk.fills(order), []);
        desk.bar(bar);
        assert_eq!(desk.fills(order), [(10, paid)], "{bar:?}");
    }
}

#[test]
fn limits_fill_at_their_price_or_at_a_better_open() {
    for (bar, limit_fill, paid) in [
        (
            [100_00, 101_00, 94_00, 99_00],
            LimitFill::Touch,
            Some(95_00),
        ),
        (
            [100_00, 101_00, 95_00, 99_00],
            LimitFill::Touch,
            Some(95_00),
        ),
        ([100_00, 101_00, 95_00, 99_00], LimitFill::Through, None),
        ([95_00, 101_00, 95_00, 99_00], LimitFill::Through, None),
        (
            [100_00, 101_00, 94_95, 99_00],
            LimitFill::Through,
            Some(95_00),
        ),
        (
            [93_00, 101_00, 92_00, 99_00],
            LimitFill::Through,
            Some(93_00),
        ),
        ([100_00, 101_00, 95_05, 99_00], LimitFill::Touch, None),
    ] {
        let mut desk = desk(PaperSettings {
            limit_fill,
            ..Default::default()
        });
        let order = desk.limit(Side::Buy, 10, 95_00);
        desk.bar(bar);
        let paid: Vec<_> = paid.into_iter().map(|p| (10, p)).collect();
        assert_eq!(desk.fills(order), paid, "{bar:?} {limit_fill:?}");
    }
}

#[test]
fn stop_limits_know_only_what_follows_their_trigger() {
    for (limit, bar, paid) in [
        // Reached within the bar, at a price that the limit allows.
        (106_00, [100_00, 110_00, 99_00, 100_00], Some(105_00)),
        // The open jumped over both; the bar came back to the limit after it.
        (106_00, [108_00, 110_00, 104_00, 105_00], Some(106_00)),
        (106_00, [108_00, 110_00, 107_00, 108_00], None),
        // The limit lies below the trigger: whether the bar came back after it is not known.
        (104_00, [100_00, 110_00, 99_00, 100_00], None),
    ] {
        let mut desk = desk(PaperSettings::default());
        let order = desk.stop_limit(Side::Buy, 10, 105_00, limit);
        desk.bar(bar);
        let paid: Vec<_> = paid.into_iter().map(|p| (10, p)).collect();
        assert_eq!(desk.fills(order), paid, "{limit} {bar:?}");
        assert!(desk.of(order).any(|k| k == ReportKind::Triggered));
    }
}

#[test]
fn the_stop_comes_before_the_target_unless_the_open_decides() {
    let mut both = desk(PaperSettings::default());
    let [stop, target] = both.pair(Side::Sell, 10, 95_00, 105_00);
    both.bar([100_00, 106_00, 94_00, 100_00]);
    assert_eq!(
        (both.fills(stop), both.fills(target)),
        (vec![(10, 95_00)], vec![])
    );
    assert!(both.is_cancelled(target));

    let mut gap = desk(PaperSettings::default());
    let [stop, target] = gap.pair(Side::Sell, 10, 95_00, 105_00);
    gap.bar([107_00, 108_00, 94_00, 100_00]);
    assert_eq!(
        (gap.fills(stop), gap.fills(target)),
        (vec![], vec![(10, 107_00)])
    );
    assert!(gap.is_cancelled(stop));

    // A limit of an earlier trigger is a limit: it comes after stops.
    let mut desk = desk(PaperSettings {
        participation: 0.1,
        ..Default::default()
    });
    let triggered = desk.stop_limit(Side::Sell, 10, 99_50, 103_00);
    desk.bar(FLAT);
    let stop = desk.stop(Side::Sell, 10, 98_00);
    desk.bar([100_00, 104_00, 97_00, 100_00]);
    assert_eq!(
        (desk.fills(stop), desk.fills(triggered)),
        (vec![(10, 98_00)], vec![])
    );
}

#[test]
fn no_price_from_before_an_order_reaches_it() {
    // Decided on the close of one instrument's bar, before the other's bar of the same minute has
    // been delivered: that bar is past.
    let mut desk = desk(PaperSettings::default());
    let minute = desk.now;
    let intent = desk.intent(Side::Buy, 10, OrderType::Market);
    desk.bar_of(Fixture::SHARE, minute, FLAT);
    let submitted = desk.now;
    let order = desk.give(OrderIntent {
        instrument: Fixture::OTHER,
        submitted,
        ..intent
    });
    desk.bar_of(Fixture::OTHER, minute, [50_00, 51_00, 49_00, 50_50]);
    assert_eq!(desk.fills(order), []);
    desk.bar_of(
        Fixture::OTHER,
        minute.plus(MINUTE),
        [50_75, 51_00, 49_00, 50_50],
    );
    assert_eq!(desk.fills(order), [(10, 50_75)]);

    // The same with time that it takes to arrive: the bar in progress is past as well.
    let mut desk = Desk::new(PaperSettings {
        simulation_latency_ms: 1,
        ..Default::default()
    });
    desk.bar(FLAT);
    let order = desk.market(Side::Buy, 10);
    desk.bar([102_00, 110_00, 90_00, 95_00]);
    assert_eq!(desk.fills(order), []);
    desk.bar([103_00, 110_00, 90_00, 95_00]);
    assert_eq!(desk.fills(order), [(10, 103_00)]);
}

#[test]
fn at_once_means_the_open() {
    for validity in [Validity::Ioc, Validity::Fok] {
        let mut desk = desk(PaperSettings::default());
        let limit_price = Some(cents(99_50));
        let intent = desk.intent(Side::Buy, 10, OrderType::Limit);
        let order = desk.give(OrderIntent {
            validity,
            limit_price,
            ..intent
        });
        desk.bar([100_00, 101_00, 99_00, 100_00]);
        assert_eq!(desk.fills(order), [], "the low came later");
        assert!(desk.is_cancelled(order));
    }
}

#[test]
fn an_order_that_looks_ahead_fills_at_the_close_of_the_bar_that_caused_it() {
    let mut desk = Desk::new(PaperSettings {
        fill: FillOn::SignalTick,
        ..Default::default()
    });
    desk.bar([100_00, 110_00, 90_00, 104_00]);
    let order = desk.market(Side::Buy, 10);
    assert_eq!(
        desk.fills(order),
        [(10, 104_00)],
        "neither the open nor the low"
    );
    let limit = desk.limit(Side::Buy, 10, 95_00);
    let stop = desk.stop(Side::Buy, 10, 105_00);
    assert_eq!((desk.fills(limit), desk.fills(stop)), (vec![], vec![]));
    desk.bar([100_00, 106_00, 94_00, 104_00]);
    assert_eq!(
        (desk.fills(limit), desk.fills(stop)),
        (vec![(10, 95_00)], vec![(10, 105_00)])
    );
}

#[test]
fn participation_is_of_the_bars_volume() {
    let mut desk = desk(PaperSettings {
        participation: 0.25,
        ..Default::default()
    });
    let order = desk.market(Side::Buy, 60);
    desk.bar(FLAT);
    desk.bar(FLAT);
    desk.bar(FLAT);
    assert_eq!(
        desk.fills(order),
        [(25, 100_00), (25, 100_00), (10, 100_00)]
    );
}

#[test]
fn a_day_order_sees_the_sessions_last_bar_and_one_given_after_it_the_next_session() {
    let mut desk = Desk::new(PaperSettings::default());
    let early = desk.limit(Side::Buy, 10, 95_00);
    let close = DaySessions::window(desk.now).close;
    let of = |desk: &mut Desk, instrument: InstrumentIdx, end: Timestamp, prices| {
        desk.bar_of(instrument, end.plus(-MINUTE), prices);
    };
    of(&mut desk, Fixture::SHARE, close.plus(-MINUTE), FLAT);
    let misses = desk.limit(Side::Buy, 10, 80_00);
    of(
        &mut desk,
        Fixture::SHARE,
        close,
        [100_00, 100_00, 94_00, 94_00],
    );
    assert_eq!(desk.fills(early), [(10, 95_00)]);
    assert!(!matches!(desk.last(misses), Some(ReportKind::Expired(_))));
    let late = desk.market(Side::Buy, 10);
    desk.wait(MS);
    assert!(matches!(desk.last(misses), Some(ReportKind::Expired(_))));
    let open = DaySessions::window(close.plus(model::time::DAY)).open;
    desk.bar_of(Fixture::SHARE, open, FLAT);
    assert_eq!(desk.fills(late), [(10, 100_00)]);
}
