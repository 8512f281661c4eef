//! Clients' orders in the books: what each kind does, and that nothing gets lost between two accounts
//! and the background.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use exchange::account::Presented;
use exchange::{Account, AccountId, ClientOrderId, Exchange, Placed};
use model::ids::NameHash;
use model::order::{OrderIntent, OrderRole, OrderStatus};
use model::reason::Reason;
use model::signal::{Bracket, OrderType, Product, Side, Validity};
use model::time::{DAY, HOUR, SECOND};
use model::trader::ReportKind;
use model::{
    CorrelationId, InstrumentIdx, Instruments, OrderId, Price, Quantity, StrategyIdx, Tick,
    Timestamp,
};
use proptest::prelude::*;

const START: Timestamp = Timestamp(20_000 * DAY + 4 * HOUR);
const ALPHA: InstrumentIdx = InstrumentIdx(0);
const TICK: i64 = 5_000_000;

struct Desk {
    exchange: Exchange,
    account: AccountId,
    now: Timestamp,
    latest: Vec<Tick>,
    orders: u128,
}

impl Desk {
    fn new(seed: u64, rate: u32) -> Self {
        let instruments = Instruments::new(exchange::instruments()).unwrap();
        let mut exchange = Exchange::new(seed, rate, &instruments);
        exchange.resume(START, &[]);
        let account = exchange.account("a");
        let mut desk = Self {
            exchange,
            account,
            now: START,
            latest: vec![Tick::default(); 5],
            orders: 0,
        };
        desk.advance(SECOND);
        desk
    }

    fn advance(&mut self, nanos: i64) {
        self.now = self.now.plus(nanos);
        let mut quotes = Vec::new();
        self.exchange.advance(self.now, &mut quotes);
        for quote in quotes {
            assert!(quote.tick.bid < quote.tick.ask, "{quote:?}");
            self.latest[quote.tick.instrument.index()] = quote.tick;
        }
    }

    fn order(&mut self, side: Side, units: i64) -> OrderIntent {
        self.orders += 1;
        OrderIntent {
            id: OrderId::derive(NameHash::of("a"), self.orders, 0),
            correlation: CorrelationId(self.orders),
            signal: None,
            strategy: StrategyIdx(1),
            instrument: ALPHA,
            role: OrderRole::Entry,
            side,
            quantity: Quantity::from_int(units).unwrap(),
            increase: Quantity::ZERO,
            order_type: OrderType::Market,
            limit_price: None,
            trigger_price: None,
            validity: Validity::Day,
            product: Product::Intraday,
            bracket: Bracket::default(),
            oco: None,
            parent: None,
            submitted: self.now,
            send_by: self.now.plus(HOUR),
        }
    }

    fn limit(&mut self, side: Side, units: i64, price: Price) -> OrderIntent {
        OrderIntent {
            order_type: OrderType::Limit,
            limit_price: Some(price),
            ..self.order(side, units)
        }
    }

    fn place(&mut self, intent: &OrderIntent) -> ClientOrderId {
        let id = intent.id.client_order_id(1);
        let placed = self.exchange.place(self.account, &id, intent);
        assert_eq!(placed, Placed::Accepted, "{intent:?}");
        self.advance(0);
        id
    }

    fn said(&self, id: &ClientOrderId) -> Vec<ReportKind> {
        let said = self.exchange.query(self.account, id).unwrap();
        said.into_iter().map(|r| r.kind).collect()
    }

    fn status(&self, id: &ClientOrderId) -> (OrderStatus, Quantity) {
        let books = self.exchange.of(self.account).unwrap();
        let order = books.order(books.find(id).unwrap()).unwrap();
        (order.status, order.filled)
    }

    fn at(&self, ticks: i64) -> Price {
        Price::from_raw(self.latest[0].price.floor_to(Price::from_raw(TICK)).raw() + ticks * TICK)
    }
}

#[test]
fn each_kind_of_order_does_what_it_says() {
    let mut desk = Desk::new(1, 5);
    // A market order takes what is there, and pays more for more.
    let big = desk.order(Side::Buy, 500);
    let id = desk.place(&big);
    assert_eq!(desk.status(&id), (OrderStatus::Filled, big.quantity));
    let said = desk.said(&id);
    assert_eq!(said[0], ReportKind::Acknowledged);
    let prices: Vec<Price> = said
        .iter()
        .filter_map(|k| match k {
            ReportKind::Filled { price, .. } => Some(*price),
            _ => None,
        })
        .collect();
    assert!(prices.len() > 1 && prices.is_sorted(), "{prices:?}");
    // More than all: the rest is not left standing.
    let all = desk.order(Side::Sell, 5_000_000);
    let id = desk.place(&all);
    assert!(matches!(
        desk.said(&id).last(),
        Some(ReportKind::Cancelled(Reason::ImmediateRemainder))
    ));
    // The book comes back.
    desk.advance(SECOND);
    let ask = desk.latest[0].ask;
    let fok = OrderIntent {
        validity: Validity::Fok,
        ..desk.limit(Side::Buy, 1_000_000, ask)
    };
    let id = desk.place(&fok);
    assert_eq!(desk.status(&id), (OrderStatus::Cancelled, Quantity::ZERO));
    let ioc = OrderIntent {
        validity: Validity::Ioc,
        ..desk.limit(Side::Buy, 1_000_000, ask)
    };
    let id = desk.place(&ioc);
    let (status, filled) = desk.status(&id);
    assert!(status == OrderStatus::Cancelled && filled > Quantity::ZERO);
    // A resting order is filled when the market comes to it, at its price.
    let near = desk.at(3);
    let resting = desk.limit(Side::Sell, 5, near);
    let id = desk.place(&resting);
    for _ in 0..3_000 {
        desk.advance(SECOND);
        if desk.status(&id).0 == OrderStatus::Filled {
            break;
        }
    }
    let said = desk.said(&id);
    assert_eq!(
        desk.status(&id),
        (OrderStatus::Filled, resting.quantity),
        "{said:?}"
    );
    let better = |k: &ReportKind| matches!(k, ReportKind::Filled { price, .. } if *price >= near);
    assert!(said[1..].iter().all(better), "{said:?}");
    // A stop waits for its trigger.
    let stop = OrderIntent {
        order_type: OrderType::Stop,
        trigger_price: Some(desk.at(4)),
        ..desk.order(Side::Buy, 5)
    };
    let id = desk.place(&stop);
    assert_eq!(desk.said(&id), [ReportKind::Acknowledged]);
    for _ in 0..20_000 {
        desk.advance(SECOND);
        if desk.status(&id).0.is_terminal() {
            break;
        }
    }
    let said = desk.said(&id);
    assert_eq!(said[1], ReportKind::Triggered);
    assert_eq!(desk.status(&id).0, OrderStatus::Filled, "{said:?}");
}

#[test]
fn orders_end_change_and_are_refused_as_they_should() {
    let mut desk = Desk::new(2, 1);
    let far = Price::from_int(1_000).unwrap();
    let gtd = OrderIntent {
        validity: Validity::Gtd(desk.now.plus(90 * SECOND)),
        ..desk.limit(Side::Buy, 1, far)
    };
    let (gtd, day) = (desk.place(&gtd), desk.limit(Side::Buy, 1, far));
    let day = desk.place(&day);
    desk.advance(89 * SECOND);
    assert_eq!(desk.status(&gtd).0, OrderStatus::Acknowledged);
    desk.advance(SECOND);
    assert_eq!(
        desk.said(&gtd)[1],
        ReportKind::Expired(Reason::GoodTillReached)
    );
    desk.advance(DAY);
    assert_eq!(desk.said(&day)[1], ReportKind::Expired(Reason::SessionEnd));
    // A change keeps what is not named; one that crosses trades.
    let order = desk.limit(Side::Buy, 5, far);
    let id = desk.place(&order);
    let (account, ten) = (desk.account, Quantity::from_int(10).unwrap());
    assert_eq!(
        desk.exchange.modify(account, &id, ten, None, None),
        Placed::Accepted
    );
    let holds = ReportKind::Modified {
        quantity: ten,
        limit_price: Some(far),
        trigger_price: None,
    };
    assert_eq!(desk.said(&id)[1], holds);
    let high = desk.at(100);
    assert_eq!(
        desk.exchange.modify(account, &id, ten, Some(high), None),
        Placed::Accepted
    );
    assert_eq!(desk.status(&id), (OrderStatus::Filled, ten));
    assert!(matches!(
        desk.exchange.cancel(account, &id),
        Placed::Refused(_)
    ));
    // What makes no sense is refused, and again when it is asked again.
    let mut odd = desk.limit(Side::Buy, 1, Price::from_raw(far.raw() + 1));
    for (quantity, reason) in [(0, Reason::TickSize), (1, Reason::TickSize)] {
        odd.quantity = Quantity::from_int(quantity).unwrap();
        let id = odd.id.client_order_id(1);
        let placed = desk.exchange.place(account, &id, &odd);
        assert_eq!(placed, Placed::Refused(reason));
    }
    let mut part = desk.order(Side::Buy, 1);
    part.quantity = Quantity::from_raw(50_000_000);
    let id = part.id.client_order_id(1);
    let placed = desk.exchange.place(account, &id, &part);
    assert_eq!(placed, Placed::Refused(Reason::LotSize));
}

#[test]
fn it_goes_on_from_the_last_prices() {
    let instruments = Instruments::new(exchange::instruments()).unwrap();
    let mut exchange = Exchange::new(1, 20, &instruments);
    let last = Price::from_int(2_000).unwrap();
    exchange.resume(START, &[(ALPHA, last)]);
    let mut quotes = Vec::new();
    exchange.advance(START, &mut quotes);
    let first = quotes.iter().find(|q| q.tick.instrument == ALPHA).unwrap();
    let away = (first.tick.price.raw() - last.raw()).abs();
    assert!(away < 20 * TICK, "{first:?}");
}

#[test]
fn an_account_forgets_what_has_ended_and_is_confirmed() {
    let mut desk = Desk::new(3, 5);
    let mut account = Account::keeping(2);
    let mut ids = Vec::new();
    for _ in 0..6 {
        let intent = desk.order(Side::Buy, 1);
        let id = intent.id.client_order_id(1);
        let Presented::New(number) = account.present(&id, &intent, None) else {
            panic!("{id} is known");
        };
        assert_eq!(number as usize, ids.len());
        let end = ReportKind::Cancelled(Reason::OperatorRequest);
        account.book(number, &end, None);
        account.tell(number, end, None);
        ids.push(id);
    }
    assert_eq!(account.orders().len(), 6, "nothing is confirmed");
    account.confirm(3);
    let seventh = desk.order(Side::Buy, 1);
    account.present(&seventh.id.client_order_id(1), &seventh, None);
    assert_eq!(account.orders().len(), 4);
    assert_eq!(account.find(&ids[2]), None);
    assert_eq!(account.order(3).unwrap().client_order_id, ids[3]);
    assert_eq!(account.said(3).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn positions_are_the_sum_of_fills_and_no_order_overfills(
        seed in any::<u64>(),
        steps in prop::collection::vec((0u8..8, any::<bool>(), 1i64..300, -8i64..8, 0i64..2_000), 1..60)
    ) {
        let mut desk = Desk::new(seed, 20);
        let mut ids = Vec::new();
        for (what, buys, units, ticks, pause) in steps {
            let side = if buys { Side::Buy } else { Side::Sell };
            let price = desk.at(ticks);
            let mut intent = match what {
                0 => desk.order(side, units),
                1..=3 => desk.limit(side, units, price),
                4 => OrderIntent { validity: Validity::Ioc, ..desk.limit(side, units, price) },
                5 => OrderIntent {
                    order_type: OrderType::StopLimit,
                    trigger_price: Some(price),
                    ..desk.limit(side, units, price)
                },
                _ => {
                    let (account, n) = (desk.account, units as usize % ids.len().max(1));
                    if let Some(id) = ids.get(n) {
                        let quantity = Quantity::from_int(units).unwrap();
                        let placed = match what {
                            6 => desk.exchange.cancel(account, id),
                            _ => desk.exchange.modify(account, id, quantity, Some(price), None),
                        };
                        prop_assert!(!desk.status(id).0.is_terminal() || placed != Placed::Accepted
                            || desk.status(id).0 == OrderStatus::Cancelled
                            || desk.status(id).0 == OrderStatus::Filled);
                    }
                    continue;
                }
            };
            intent.submitted = desk.now;
            ids.push(desk.place(&intent));
            desk.advance(pause * 1_000_000);
        }
        let books = desk.exchange.of(desk.account).unwrap();
        let (mut sum, mut numbers) = (0i64, Vec::new());
        for order in books.orders() {
            let filled: i64 = order.executions.iter().map(|e| e.quantity.raw()).sum();
            prop_assert_eq!(filled, order.filled.raw());
            prop_assert!(order.filled <= order.quantity, "{order:?}");
            prop_assert_eq!(order.status == OrderStatus::Filled, order.filled == order.quantity);
            sum += order.intent.side.sign() * filled;
            let ends = order.said.iter().filter(|(k, _)| matches!(
                k, ReportKind::Cancelled(_) | ReportKind::Expired(_) | ReportKind::Rejected(_)
            ));
            prop_assert!(ends.count() <= 1);
            for (k, _) in &order.said {
                if let (ReportKind::Filled { price, .. }, Some(limit)) = (k, order.intent.limit_price)
                    && !order.said.iter().any(|(k, _)| matches!(k, ReportKind::Modified { .. }))
                {
                    prop_assert!((limit.raw() - price.raw()) * order.intent.side.sign() >= 0);
                }
            }
        }
        let held = books.positions().get(&ALPHA).map_or(0, |p| p.quantity.raw());
        prop_assert_eq!(held, sum);
        numbers.extend(books.unconfirmed(0).map(|r| r.number));
        prop_assert!(numbers.iter().copied().eq(1..=numbers.len() as u64));
    }
}
