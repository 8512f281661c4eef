//! The order protocol alone, against brokers that answer as chance has it.

use model::event::{Cause, Event, EventBody, OrderStep};
use model::ids::NameHash;
use model::order::{OrderChange, OrderIntent, OrderRole};
use model::reason::Reason;
use model::signal::{Bracket, OrderType, Product, Side, Validity};
use model::time::SECOND;
use model::trader::{Delivery, ReportKind, TraderReport};
use model::{CorrelationId, InputId, InstrumentIdx, OrderId, StrategyIdx, Timestamp, TradeId};
use runtime::desk::{Call, Desk, DeskSettings, Heard, Outcome};
use traders::{Answer, BrokerReport, Found};

use crate::chance::Chance;
use crate::world::units;

const WITHIN: i64 = 4 * SECOND;

fn settings(delivery: Delivery) -> DeskSettings {
    DeskSettings {
        salt: 7,
        delivery,
        call_within: WITHIN,
        pause_min: SECOND / 10,
        pause_max: 2 * SECOND,
        silence: 3 * SECOND,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * SECOND)
}

fn intent(number: u128) -> OrderIntent {
    OrderIntent {
        id: OrderId::derive(NameHash::of("desk"), number, 0),
        correlation: CorrelationId(number),
        signal: None,
        strategy: StrategyIdx(1),
        instrument: InstrumentIdx(0),
        role: OrderRole::Entry,
        side: Side::Buy,
        quantity: units(10),
        increase: units(10),
        order_type: OrderType::Market,
        limit_price: None,
        trigger_price: None,
        validity: Validity::Day,
        product: Product::Intraday,
        bracket: Bracket::default(),
        oco: None,
        parent: None,
        submitted: at(0),
        send_by: at(5),
    }
}

#[allow(
    clippy::large_types_passed_by_value,
    reason = "it is moved into the event"
)]
fn event(body: EventBody) -> Event {
    Event {
        ts: at(0),
        correlation: CorrelationId(1),
        cause: Cause::Input(InputId(1)),
        body,
    }
}

fn changed(order: OrderId, change: OrderChange) -> Event {
    event(EventBody::OrderChanged(OrderStep {
        order,
        sequence: 1,
        change,
    }))
}

fn said(order: &OrderIntent, kind: ReportKind) -> BrokerReport {
    BrokerReport {
        client_order_id: order.id.client_order_id(7),
        kind,
        number: 0,
        due: None,
    }
}

/// A desk with one order that is at the broker.
fn placed(delivery: Delivery) -> (Desk, OrderIntent, Vec<TraderReport>) {
    let (mut desk, order, mut reports) = (Desk::new(settings(delivery)), intent(1), Vec::new());
    desk.event(&event(EventBody::OrderSubmitted(order)), false, at(0));
    let call = desk.next_call(at(0), &mut reports).unwrap();
    assert!(matches!(call, Call::Submit(..)));
    desk.answered(
        &call,
        Outcome::Answered(Answer::Accepted),
        at(0),
        &mut reports,
    );
    (desk, order, reports)
}

/// One order at a broker of which the truth is known, and whatever chance makes of the calls.
fn life(seed: u64, delivery: Delivery) {
    let mut chance = Chance::of(seed, "desk");
    let (mut desk, order) = (Desk::new(settings(delivery)), intent(u128::from(seed) + 1));
    let mut reports = Vec::new();
    let mut now = at(0);
    let (mut there, mut presented) = (false, 0);
    // A request that will still arrive.
    let mut late: Option<Timestamp> = None;
    let (mut failed, mut rejected, mut unknown) = (false, false, false);
    desk.event(&event(EventBody::OrderSubmitted(order)), false, now);
    for turn in 0..400 {
        let reliable = turn > 200;
        if late.is_some_and(|arrives| arrives <= now) {
            there = !failed && !rejected || there;
            assert!(!failed, "seed {seed}: it failed, and it arrives");
            late = None;
        }
        if chance.one_in(40) && turn < 200 {
            desk.event(
                &changed(
                    order.id,
                    OrderChange::CancelRequested(Reason::OperatorRequest),
                ),
                false,
                now,
            );
        }
        if chance.one_in(30) && turn < 200 {
            desk.reconnected(now);
        }
        let call = desk.next_call(now, &mut reports);
        if let Some(call) = call {
            let mut took = chance.within(0, 3) * SECOND / 2;
            let outcome = match &call {
                Call::Submit(_, _, intent) => {
                    presented += 1;
                    assert!(now <= intent.send_by, "seed {seed}: presented too late");
                    assert!(
                        presented == 1 || delivery == Delivery::Idempotent,
                        "seed {seed}: presented twice"
                    );
                    match chance.below(6) {
                        0 if !there && late.is_none() && !reliable => {
                            presented -= 1;
                            Outcome::Answered(Answer::NotSent(Reason::NotSent))
                        }
                        1 => Outcome::Answered(Answer::Unknown),
                        2 => {
                            late = Some(now.plus(chance.within(0, WITHIN)));
                            Outcome::Answered(Answer::Unknown)
                        }
                        3 if !there => Outcome::Answered(Answer::Refused(Reason::BrokerRejected)),
                        _ => {
                            there = true;
                            Outcome::Answered(Answer::Accepted)
                        }
                    }
                }
                Call::Query(..) if !reliable && chance.one_in(3) => Outcome::Found(Found::Unknown),
                Call::Query(..) if there => {
                    Outcome::Found(Found::Present(vec![said(&order, ReportKind::Acknowledged)]))
                }
                Call::Query(..) => {
                    // An answer can take its time; it tells of the past then.
                    took = chance.within(0, 4) * SECOND;
                    Outcome::Found(Found::Absent)
                }
                Call::Cancel(..) | Call::Modify(..) => {
                    assert!(there, "seed {seed}: a call about what is not there");
                    Outcome::Answered(chance.pick(&[Answer::Accepted, Answer::Unknown]))
                }
            };
            let answered = now.plus(took);
            if late.is_some_and(|arrives| arrives <= answered) {
                there = true;
                late = None;
            }
            now = answered;
            desk.answered(&call, outcome, now, &mut reports);
        } else {
            let due = desk.next_due();
            now = if due == Timestamp::MAX {
                now.plus(SECOND)
            } else {
                now.max(due)
            };
        }
        for report in reports.drain(..) {
            assert_eq!(report.order, order.id);
            match report.kind {
                ReportKind::NotSent(_) => {
                    assert!(
                        !there && late.is_none(),
                        "seed {seed}: failed, and it is there"
                    );
                    failed = true;
                }
                ReportKind::Rejected(_) => {
                    assert!(
                        !there && late.is_none(),
                        "seed {seed}: rejected, and it is there"
                    );
                    rejected = true;
                }
                ReportKind::Unknown => unknown = true,
                ReportKind::Acknowledged => unknown = false,
                _ => {}
            }
            let change = match report.kind {
                ReportKind::NotSent(r) => OrderChange::Failed(r),
                ReportKind::Rejected(r) => OrderChange::Rejected(r),
                ReportKind::Unknown => OrderChange::Unknown,
                ReportKind::CancelRefused => OrderChange::CancelRefused,
                _ => OrderChange::Acknowledged,
            };
            desk.event(&changed(order.id, change), failed || rejected, now);
        }
    }
    if failed || rejected {
        assert_eq!(desk.open(), 0);
    } else if there {
        assert!(
            !unknown,
            "seed {seed}: the broker has it and answers, and it is unknown"
        );
    } else {
        assert!(
            unknown,
            "seed {seed}: nobody knows of it, and it is not unknown"
        );
        assert_eq!(
            delivery,
            Delivery::QueryOnly,
            "seed {seed}: its books would have told"
        );
    }
}

#[test]
fn nothing_is_presented_twice_or_late_and_absence_is_proven() {
    for seed in 0..4_000 {
        life(seed, Delivery::Idempotent);
        life(seed, Delivery::QueryOnly);
    }
}

#[test]
fn books_from_before_the_last_call_could_arrive_prove_nothing() {
    let (mut desk, order, mut reports) = (
        Desk::new(settings(Delivery::Idempotent)),
        intent(1),
        Vec::new(),
    );
    desk.event(&event(EventBody::OrderSubmitted(order)), false, at(0));
    let submit = desk.next_call(at(5), &mut reports).unwrap();
    desk.answered(
        &submit,
        Outcome::Answered(Answer::Unknown),
        at(7),
        &mut reports,
    );
    // Asked at 8, while the call may be under way until 9; answered at 10.
    let question = desk.next_call(at(8), &mut reports).unwrap();
    desk.answered(
        &question,
        Outcome::Found(Found::Absent),
        at(10),
        &mut reports,
    );
    assert!(
        !reports
            .iter()
            .any(|r| matches!(r.kind, ReportKind::NotSent(_)))
    );
    let question = desk.next_call(at(10), &mut reports).unwrap();
    desk.answered(
        &question,
        Outcome::Found(Found::Absent),
        at(11),
        &mut reports,
    );
    assert!(matches!(
        reports.last().unwrap().kind,
        ReportKind::NotSent(_)
    ));
}

#[test]
fn a_report_does_not_stand_for_those_that_were_missed() {
    let (mut desk, order, mut reports) = placed(Delivery::QueryOnly);
    desk.reconnected(at(1));
    let heard = desk.report(&said(&order, ReportKind::Acknowledged), at(1));
    assert!(matches!(heard, Heard::Report(_)));
    let call = desk.next_call(at(1), &mut reports);
    assert!(matches!(call, Some(Call::Query(..))), "{call:?}");
}

/// In lockstep time stands still until it is known what was missed, however often that has to be asked.
#[test]
fn time_does_not_pass_over_what_was_missed() {
    let (mut desk, order, mut reports) = placed(Delivery::Idempotent);
    assert!(desk.is_settled(u32::MAX));
    desk.reconnected(at(1));
    for _ in 0..20 {
        assert!(!desk.is_settled(u32::MAX));
        desk.hurry(u32::MAX, at(1));
        let call = desk.next_call(at(1), &mut reports).unwrap();
        let nothing = Outcome::Found(Found::Unknown);
        desk.answered(&call, nothing, at(1), &mut reports);
    }
    assert!(desk.is_settled(8), "it is not asked about for ever");
    desk.hurry(u32::MAX, at(1));
    let call = desk.next_call(at(1), &mut reports).unwrap();
    let found = Found::Present(vec![said(&order, ReportKind::Acknowledged)]);
    desk.answered(&call, Outcome::Found(found), at(1), &mut reports);
    assert!(desk.is_settled(u32::MAX));
}

fn modify(order: &OrderIntent, quantity: i64) -> Event {
    event(EventBody::ModifyRequested {
        order: order.id,
        quantity: units(quantity),
    })
}

fn modified(quantity: i64) -> ReportKind {
    ReportKind::Modified {
        quantity: units(quantity),
        limit_price: None,
        trigger_price: None,
    }
}

fn filled(quantity: i64) -> ReportKind {
    ReportKind::Filled {
        trade: TradeId(quantity as u128),
        side: Side::Buy,
        quantity: units(quantity),
        price: model::Price::from_raw(1),
        draws: 0,
    }
}

#[test]
fn the_newest_change_is_asked_for_and_a_cancellation_does_not_wait() {
    let (mut desk, order, mut reports) = placed(Delivery::Idempotent);
    desk.event(&modify(&order, 6), false, at(1));
    let first = desk.next_call(at(1), &mut reports).unwrap();
    // Another one is wanted before the first is confirmed.
    desk.event(&modify(&order, 8), false, at(1));
    desk.answered(
        &first,
        Outcome::Answered(Answer::Accepted),
        at(1),
        &mut reports,
    );
    let six = OrderChange::Modified {
        quantity: units(6),
        limit_price: None,
        trigger_price: None,
    };
    desk.event(&changed(order.id, six), false, at(1));
    let second = desk.next_call(at(1), &mut reports).unwrap();
    let Call::Modify(_, _, change) = &second else {
        panic!("{second:?}");
    };
    assert_eq!(change.quantity, units(8));
    let cancel = OrderChange::CancelRequested(Reason::OperatorRequest);
    desk.event(&changed(order.id, cancel), false, at(2));
    desk.answered(
        &second,
        Outcome::Answered(Answer::Accepted),
        at(2),
        &mut reports,
    );
    let call = desk.next_call(at(2), &mut reports);
    assert!(matches!(call, Some(Call::Cancel(..))), "{call:?}");
}

#[test]
fn executions_wait_for_the_word_on_a_change_and_old_changes_end_nothing() {
    let (mut desk, order, mut reports) = placed(Delivery::QueryOnly);
    desk.event(&modify(&order, 20), false, at(1));
    let call = desk.next_call(at(1), &mut reports).unwrap();
    desk.answered(
        &call,
        Outcome::Answered(Answer::Accepted),
        at(1),
        &mut reports,
    );
    // The confirmation is lost; what was executed of the new quantity is not.
    assert_eq!(desk.report(&said(&order, filled(12)), at(2)), Heard::Held);
    let question = desk.next_call(at(2), &mut reports).unwrap();
    let history = [
        ReportKind::Acknowledged,
        modified(12),
        modified(20),
        filled(12),
    ];
    let found = Found::Present(history.iter().map(|k| said(&order, *k)).collect());
    desk.answered(&question, Outcome::Found(found), at(2), &mut reports);
    let kinds: Vec<ReportKind> = reports.iter().map(|r| r.kind).collect();
    // With 12 executed, the old quantity of 12 would look like the end.
    assert_eq!(
        kinds,
        [
            ReportKind::Acknowledged,
            modified(20),
            filled(12),
            filled(12)
        ]
    );
    // A change that nobody waits for is asked about.
    assert_eq!(desk.report(&said(&order, modified(12)), at(3)), Heard::Held);
    assert!(matches!(
        desk.next_call(at(3), &mut reports),
        Some(Call::Query(..))
    ));
}

#[test]
fn an_end_waits_for_what_was_missed_before_it() {
    let (mut desk, order, mut reports) = placed(Delivery::QueryOnly);
    desk.reconnected(at(1));
    let end = ReportKind::Cancelled(Reason::OperatorRequest);
    assert_eq!(desk.report(&said(&order, end), at(1)), Heard::Held);
    let question = desk.next_call(at(1), &mut reports).unwrap();
    desk.answered(
        &question,
        Outcome::Found(Found::Unknown),
        at(1),
        &mut reports,
    );
    assert_eq!(reports, []);
    let question = desk.next_call(at(2), &mut reports).unwrap();
    let found = Found::Present(vec![said(&order, filled(4)), said(&order, end)]);
    desk.answered(&question, Outcome::Found(found), at(2), &mut reports);
    let kinds: Vec<ReportKind> = reports.iter().map(|r| r.kind).collect();
    assert_eq!(kinds, [filled(4), end, end]);
}

#[test]
fn an_execution_beyond_the_known_quantity_proves_the_change_and_one_up_to_it_waits() {
    let found_nothing = |desk: &mut Desk, reports: &mut Vec<TraderReport>, second: i64| {
        let question = desk.next_call(at(second), reports).unwrap();
        assert!(matches!(question, Call::Query(..)), "{question:?}");
        let nothing = Outcome::Found(Found::Unknown);
        desk.answered(&question, nothing, at(second), reports);
        std::mem::take(reports)
            .iter()
            .map(|r| r.kind)
            .collect::<Vec<_>>()
    };
    // Ten are ordered, twenty asked for since; whether that arrived is not known.
    let changing = |wanted: &[i64]| {
        let (mut desk, order, mut reports) = placed(Delivery::QueryOnly);
        for wanted in wanted {
            desk.event(&modify(&order, *wanted), false, at(1));
            let call = desk.next_call(at(1), &mut reports).unwrap();
            assert!(matches!(call, Call::Modify(..)), "{call:?}");
            let unknown = Outcome::Answered(Answer::Unknown);
            desk.answered(&call, unknown, at(1), &mut reports);
        }
        (desk, order, reports)
    };
    let (mut desk, order, mut reports) = changing(&[20]);
    assert_eq!(desk.report(&said(&order, filled(12)), at(2)), Heard::Held);
    assert_eq!(
        found_nothing(&mut desk, &mut reports, 3),
        [modified(20), filled(12)]
    );
    // All of the old quantity: the order may have ended, or not.
    let (mut desk, order, mut reports) = changing(&[20]);
    assert_eq!(desk.report(&said(&order, filled(10)), at(2)), Heard::Held);
    assert_eq!(found_nothing(&mut desk, &mut reports, 3), []);
    // One of two changes holds: which, only the broker can say.
    let (mut desk, order, mut reports) = changing(&[20, 30]);
    assert_eq!(desk.report(&said(&order, filled(12)), at(2)), Heard::Held);
    assert_eq!(found_nothing(&mut desk, &mut reports, 3), []);
    // A part of what was always ordered is booked at once.
    assert_eq!(desk.report(&said(&order, filled(4)), at(4)), Heard::Held);
    assert_eq!(found_nothing(&mut desk, &mut reports, 8), [filled(4)]);
    // Without any change the broker is asked before an alarm is raised.
    let (mut desk, order, mut reports) = placed(Delivery::QueryOnly);
    assert_eq!(desk.report(&said(&order, filled(11)), at(2)), Heard::Held);
    assert_eq!(found_nothing(&mut desk, &mut reports, 3), []);
    let question = desk.next_call(at(6), &mut reports).unwrap();
    let found = Found::Present(vec![said(&order, filled(11))]);
    desk.answered(&question, Outcome::Found(found), at(6), &mut reports);
    assert!(reports.iter().all(|r| r.kind == filled(11)) && !reports.is_empty());
}

#[test]
fn the_book_is_asked_about_a_parked_report_and_only_a_later_answer_counts() {
    let (mut desk, order, mut reports) = placed(Delivery::QueryOnly);
    let known = model::order::Order::new(order);
    let present = |kind| Outcome::Found(Found::Present(vec![said(&order, kind)]));
    // A question is under way as the report is parked: its answer is of before.
    desk.reconnected(at(1));
    let early = desk.next_call(at(1), &mut reports).unwrap();
    assert!(matches!(early, Call::Query(..)));
    desk.verify(&known, at(1));
    desk.answered(
        &early,
        present(ReportKind::Acknowledged),
        at(1),
        &mut reports,
    );
    assert!(
        reports
            .drain(..)
            .all(|r| !r.confirmed && r.kind != ReportKind::BookRead)
    );
    // One that leads to nothing is asked again, until the book answers.
    let call = desk.next_call(at(1), &mut reports).unwrap();
    desk.answered(&call, Outcome::Found(Found::Unknown), at(1), &mut reports);
    assert_eq!(reports, []);
    let call = desk.next_call(at(2), &mut reports).unwrap();
    desk.answered(&call, present(filled(3)), at(2), &mut reports);
    let heard: Vec<_> = reports.drain(..).map(|r| (r.kind, r.confirmed)).collect();
    assert_eq!(heard, [(filled(3), true), (ReportKind::BookRead, false)]);
    assert_eq!(desk.next_call(at(9), &mut reports), None);
    // An order that has ended is asked about too, and then forgotten.
    desk.event(
        &changed(order.id, OrderChange::Expired(Reason::SessionEnd)),
        true,
        at(9),
    );
    desk.verify(&known, at(9));
    assert!(matches!(
        desk.next_call(at(9), &mut reports),
        Some(Call::Query(..))
    ));
    let dropped = EventBody::ReportDropped {
        order: order.id,
        trade: TradeId(3),
        reason: Reason::ReportContradicted,
    };
    desk.event(&event(dropped), true, at(9));
    assert_eq!(desk.open(), 0);
}

#[test]
fn an_order_that_the_books_show_no_more_is_unknown_in_the_end() {
    let (mut desk, order, mut reports) = placed(Delivery::QueryOnly);
    desk.report(&said(&order, ReportKind::Acknowledged), at(1));
    desk.reconnected(at(1));
    let mut asked = 0;
    for second in 1..200 {
        let Some(call) = desk.next_call(at(second), &mut reports) else {
            continue;
        };
        assert!(matches!(call, Call::Query(..)), "{call:?}");
        let absent = Outcome::Found(Found::Absent);
        desk.answered(&call, absent, at(second), &mut reports);
        asked += 1;
        let kinds: Vec<_> = reports.drain(..).map(|r| r.kind).collect();
        let unknown = if asked == 8 {
            vec![ReportKind::Unknown]
        } else {
            vec![]
        };
        assert_eq!(kinds, unknown, "after {asked} questions");
    }
    assert!(asked > 10, "it is asked about for ever");
    // It is there after all.
    let call = (200..300).find_map(|s| desk.next_call(at(s), &mut reports));
    let found = Outcome::Found(Found::Present(vec![said(&order, filled(3))]));
    desk.answered(&call.unwrap(), found, at(300), &mut reports);
    let kinds: Vec<_> = reports.iter().map(|r| r.kind).collect();
    assert_eq!(kinds, [ReportKind::Acknowledged, filled(3)]);
}
