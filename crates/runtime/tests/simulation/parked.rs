//! An execution that cannot be true, a crash before the broker is asked about it, and the start after.

use model::control::{Command, CommandAction, Resolution, TradingState};
use model::ids::CommandId;
use model::order::OrderIntent;
use model::reason::Reason;
use model::trader::ReportKind;
use model::{OrderId, Price, Quantity, TradeId};
use runtime::desk::{Call, Outcome};
use traders::{Answer, BrokerReport, ClientOrderId, Found};

use crate::rig::Rig;
use crate::world::{Plan, Tables, units};

fn said(client: ClientOrderId, kind: ReportKind) -> BrokerReport {
    BrokerReport {
        number: 0,
        client_order_id: client,
        kind,
        due: None,
    }
}

fn executed(order: &OrderIntent, price: Price) -> ReportKind {
    ReportKind::Filled {
        trade: TradeId(5),
        side: order.side,
        quantity: order.quantity,
        price,
        draws: 0,
    }
}

/// Answers calls until none is due; the questions about `order` with `book`. Returns how many those were.
fn answer(rig: &mut Rig, order: OrderId, book: &[ReportKind]) -> usize {
    let mut asked = 0;
    let namespace = &mut rig.life().namespace;
    loop {
        namespace.commit().unwrap();
        let Some(call) = namespace.next_call().unwrap() else {
            return asked;
        };
        let outcome = match call {
            Call::Query(id, client) if id == order => {
                asked += 1;
                let all = book.iter().map(|kind| said(client, *kind));
                Outcome::Found(Found::Present(all.collect()))
            }
            Call::Query(..) => Outcome::Found(Found::Unknown),
            _ => Outcome::Answered(Answer::Accepted),
        };
        namespace.answered(&call, outcome, 0, 0).unwrap();
    }
}

/// Runs until an order is presented, and answers that call.
fn present(rig: &mut Rig, answer: Answer) -> (ClientOrderId, OrderIntent) {
    for _ in 0..200 {
        rig.ticks(1);
        let namespace = &mut rig.life().namespace;
        if let Some(call) = namespace.next_call().unwrap() {
            let answer = Outcome::Answered(answer);
            namespace.answered(&call, answer, 0, 0).unwrap();
            let Call::Submit(_, client, order) = call else {
                panic!("{call:?}");
            };
            return (client, order);
        }
    }
    panic!("no order in 200 ticks");
}

#[test]
fn a_start_asks_about_what_was_parked_before_the_crash() {
    for (seed, saved, ended, shown) in [
        (1, false, false, true),
        (2, true, false, true),
        (3, false, true, true),
        (4, true, true, true),
        (5, false, false, false),
        (6, true, true, false),
    ] {
        let what = format!("snapshot: {saved}, the order had ended: {ended}, in the book: {shown}");
        let mut rig = Rig::outside(Plan::new(seed));
        let (client, order) = present(&mut rig, Answer::Accepted);
        let pipeline = rig.life().namespace.pipeline();
        let last = pipeline.portfolio().last(order.instrument).price;
        let price = order.limit_price.unwrap_or(last);
        let before = pipeline.portfolio().net(order.instrument);
        let far = Price::from_raw(price.raw() * 61);
        let end = ReportKind::Cancelled(Reason::OperatorRequest);
        let mut told = vec![ReportKind::Acknowledged];
        told.extend(ended.then_some(end));
        told.push(executed(&order, far));
        for kind in &told {
            rig.life().namespace.report(&said(client, *kind)).unwrap();
        }
        rig.life().namespace.commit().unwrap();
        if saved {
            rig.save();
        }
        // Nothing is booked, and entries wait, also in the next life.
        for crash in [false, true] {
            if crash {
                rig.disk.power_loss();
                rig.open(Tables::default()).unwrap();
                rig.life().namespace.begin_hosting().unwrap();
            }
            let pipeline = rig.life().namespace.pipeline();
            let parked = pipeline.engine().parked();
            assert_eq!(parked.len(), 1, "{what}");
            assert_eq!((parked[0].order, parked[0].price), (order.id, far));
            let blocks = pipeline.risk().blocks();
            assert_eq!(blocks, [Reason::ImplausibleReport], "{what}");
            assert_eq!(pipeline.portfolio().net(order.instrument), before);
        }
        // The broker's book has the execution at its true price, or does not have it.
        let mut book = vec![ReportKind::Acknowledged];
        book.extend(shown.then(|| executed(&order, price)));
        book.extend((ended && !shown).then_some(end));
        assert!(answer(&mut rig, order.id, &book) > 0, "{what}: not asked");
        let now = rig.clock.now();
        let pipeline = rig.life().namespace.pipeline();
        assert_eq!(pipeline.engine().parked(), [], "{what}");
        assert!(pipeline.risk().blocks().is_empty(), "{what}");
        assert_eq!(pipeline.risk().state(), TradingState::Active, "{what}");
        let net = pipeline.portfolio().net(order.instrument).raw() - before.raw();
        let expected = order.side.signed(order.quantity).raw() * i64::from(shown);
        assert_eq!(net, expected, "{what}, at {now}");
    }
}

/// An end overtakes an execution that the desk then holds, or an operator ends an order of which the desk
/// holds one. The desk forgets the order as its end becomes durable.
#[test]
fn an_execution_held_as_its_order_ends_is_not_lost() {
    for (seed, by_hand) in [(7, false), (8, true)] {
        let mut rig = Rig::outside(Plan::new(seed));
        let answer_of = if by_hand {
            Answer::Unknown
        } else {
            Answer::Accepted
        };
        let (client, order) = present(&mut rig, answer_of);
        let pipeline = rig.life().namespace.pipeline();
        let last = pipeline.portfolio().last(order.instrument).price;
        let price = order.limit_price.unwrap_or(last);
        let before = pipeline.portfolio().net(order.instrument);
        let true_fill = executed(&order, price);
        let mut garbled = true_fill;
        if let ReportKind::Filled { quantity, .. } = &mut garbled {
            *quantity = Quantity::from_raw(quantity.raw() * 1_000);
        }
        let end = ReportKind::Cancelled(Reason::OperatorRequest);
        let now = rig.clock.now();
        let namespace = &mut rig.life().namespace;
        if by_hand {
            namespace.report(&said(client, garbled)).unwrap();
            let command = Command::of_system(
                CommandId(1),
                CommandAction::ResolveOrder(order.id, Resolution::Cancelled),
            );
            let at = now.max(namespace.pipeline().now());
            namespace.command(at, &command, 0).unwrap();
        } else {
            // All before the first is durable: the desk does not know of the end yet.
            for kind in [ReportKind::Acknowledged, end, garbled] {
                namespace.report(&said(client, kind)).unwrap();
            }
        }
        assert!(namespace.pipeline().engine().working(order.id).is_none());
        assert_eq!(namespace.pipeline().engine().parked(), []);
        namespace.commit().unwrap();
        // The execution became durable together with the end.
        rig.disk.power_loss();
        rig.open(Tables::default()).unwrap();
        rig.life().namespace.begin_hosting().unwrap();
        let parked = rig.life().namespace.pipeline().engine().parked();
        assert_eq!(parked.len(), 1, "by hand: {by_hand}");
        let book = [ReportKind::Acknowledged, true_fill, end];
        assert!(answer(&mut rig, order.id, &book) > 0, "not asked");
        let pipeline = rig.life().namespace.pipeline();
        assert_eq!(pipeline.engine().parked(), []);
        let net = pipeline.portfolio().net(order.instrument).raw() - before.raw();
        assert_eq!(net, order.side.signed(order.quantity).raw());
    }
}

/// A second execution that cannot be true is reported while the question about the first is under way, and
/// the answer arrives before the second is durable: the book was read too early to contradict it.
#[test]
fn an_answer_from_before_a_report_does_not_contradict_it() {
    let mut rig = Rig::outside(Plan::new(10));
    let (client, order) = present(&mut rig, Answer::Accepted);
    assert!(order.quantity > units(1), "{order:?}: too small a test");
    let pipeline = rig.life().namespace.pipeline();
    let last = pipeline.portfolio().last(order.instrument).price;
    let price = order.limit_price.unwrap_or(last);
    let far = Price::from_raw(price.raw() * 61);
    let fill = |trade: u128, price: Price| ReportKind::Filled {
        trade: TradeId(trade),
        side: order.side,
        quantity: units(1),
        price,
        draws: 0,
    };
    let namespace = &mut rig.life().namespace;
    for kind in [ReportKind::Acknowledged, fill(1, far)] {
        namespace.report(&said(client, kind)).unwrap();
    }
    namespace.commit().unwrap();
    let question = loop {
        let call = namespace.next_call().unwrap().unwrap();
        if matches!(call, Call::Query(id, _) if id == order.id) {
            break call;
        }
        let accepted = Outcome::Answered(Answer::Accepted);
        namespace.answered(&call, accepted, 0, 0).unwrap();
    };
    let read = [ReportKind::Acknowledged, fill(1, price)].map(|kind| said(client, kind));
    namespace.report(&said(client, fill(2, far))).unwrap();
    let found = Outcome::Found(Found::Present(read.to_vec()));
    namespace.answered(&question, found, 0, 0).unwrap();
    namespace.commit().unwrap();
    let parked = namespace.pipeline().engine().parked();
    assert!(parked.iter().any(|p| p.trade == TradeId(2)), "{parked:?}");
    let book = [ReportKind::Acknowledged, fill(1, price), fill(2, price)];
    assert!(answer(&mut rig, order.id, &book) > 0, "not asked");
    let engine = rig.life().namespace.pipeline().engine();
    assert_eq!(engine.parked(), []);
    assert_eq!(engine.order(order.id).unwrap().executions(), 2);
}
