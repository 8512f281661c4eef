//! In lockstep the books are a function of the orders, of the inputs between which they came and of the
//! data: whoever is killed, whatever gets lost, and however often a thing is said.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use exchange::Books;
use model::ids::NameHash;
use model::market::MarketData;
use model::order::{OrderIntent, OrderRole};
use model::signal::{Bracket, OrderType, Product, Side, Validity};
use model::time::{DAY, HOUR, SECOND};
use model::trader::{Delivery, ReportKind};
use model::{
    CorrelationId, InputId, InstrumentIdx, OrderId, Price, Quantity, StrategyIdx, Tick, Timestamp,
    TradeId,
};
use proptest::prelude::*;
use sim::server::{Faults, ServeOptions, Server};
use sim::wire::{self, Passed, Request};
use sim::{RemoteTrader, SimSettings};
use traders::{Answer, BrokerReport, ClientOrderId, Found, Modification, Reports, Trader};

const START: Timestamp = Timestamp(20_000 * DAY + 4 * HOUR);
const INPUTS: usize = 150;

fn cents(cents: i64) -> Price {
    Price::from_raw(cents * 1_000_000)
}

fn units(units: i64) -> Quantity {
    Quantity::from_int(units).unwrap()
}

/// Small numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Submit(OrderIntent),
    Cancel(OrderId),
    Modify(OrderId, Modification),
}

impl Act {
    fn request(self, call: u64, salt: u128) -> Request {
        match self {
            Self::Submit(intent) => Request::Submit {
                call,
                client: intent.id.client_order_id(salt),
                intent,
            },
            Self::Cancel(id) => Request::Cancel {
                call,
                client: id.client_order_id(salt),
            },
            Self::Modify(id, change) => Request::Modify {
                call,
                client: id.client_order_id(salt),
                quantity: change.quantity,
                limit_price: change.limit_price,
                trigger_price: change.trigger_price,
            },
        }
    }
}

/// What is played: each input, and what its client does on it before it passes it.
struct Play {
    ticks: Vec<Tick>,
    acts: Vec<Vec<Act>>,
}

fn play(seed: u64) -> Play {
    let mut dice = Dice(seed);
    let mut prices = [10_000i64, 20_000, 5_000];
    let (mut ticks, mut acts, mut placed) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..INPUTS {
        let at = dice.below(3) as usize;
        prices[at] += (dice.below(21) as i64 - 10) * 5;
        // Some share their time with the one before.
        let ts = START.plus((n as i64 / 2) * SECOND);
        ticks.push(Tick {
            ts,
            price: cents(prices[at]),
            instrument: InstrumentIdx(at as u32),
            ..Tick::default()
        });
        let mut now = Vec::new();
        for k in 0..dice.below(3) {
            now.push(match (dice.below(6), placed.len() as u64) {
                (0, count) if count > 0 => Act::Cancel(placed[dice.below(count) as usize]),
                (1, count) if count > 0 => {
                    let change = Modification {
                        quantity: units(1 + dice.below(30) as i64),
                        limit_price: None,
                        trigger_price: None,
                    };
                    Act::Modify(placed[dice.below(count) as usize], change)
                }
                _ => {
                    let cause = (n as u128) << 8 | u128::from(k);
                    let intent = order(&mut dice, cause, ts, &prices);
                    placed.push(intent.id);
                    Act::Submit(intent)
                }
            });
        }
        acts.push(now);
    }
    Play { ticks, acts }
}

fn order(dice: &mut Dice, cause: u128, ts: Timestamp, prices: &[i64; 3]) -> OrderIntent {
    let at = dice.below(3) as usize;
    let side = [Side::Buy, Side::Sell][dice.below(2) as usize];
    let order_type = [
        OrderType::Market,
        OrderType::Limit,
        OrderType::Stop,
        OrderType::StopLimit,
    ][dice.below(4) as usize];
    let mut near = || Some(cents(prices[at] + (dice.below(21) as i64 - 10) * 5));
    let (limit, trigger) = (near(), near());
    let validity = match dice.below(6) {
        0 => Validity::Ioc,
        1 => Validity::Fok,
        2 => Validity::Gtd(ts.plus(dice.below(20) as i64 * SECOND)),
        _ => Validity::Day,
    };
    let quantity = units(1 + dice.below(20) as i64);
    OrderIntent {
        id: OrderId::derive(NameHash::of("a"), cause, 0),
        correlation: CorrelationId(cause),
        signal: None,
        strategy: StrategyIdx(1),
        instrument: InstrumentIdx(at as u32),
        role: OrderRole::Entry,
        side,
        quantity,
        increase: quantity,
        order_type,
        limit_price: limit.filter(|_| order_type.has_limit()),
        trigger_price: trigger.filter(|_| order_type.has_trigger()),
        validity,
        product: Product::Intraday,
        bracket: Bracket::default(),
        oco: None,
        parent: None,
        submitted: ts,
        send_by: ts.plus(HOUR),
    }
}

/// What a host has made durable: it outlives its processes.
#[derive(Default)]
struct Durable(Mutex<Vec<BrokerReport>>);

impl Reports for Durable {
    fn report(&self, report: BrokerReport) -> bool {
        self.0.lock().unwrap().push(report);
        true
    }
    fn lost(&self, _: &str) {}
    fn unreadable(&self, what: &[u8], why: &str) {
        panic!("{why}: {what:?}");
    }
}

struct Host {
    socket: std::path::PathBuf,
    settings: SimSettings,
    trader: RemoteTrader,
    durable: Arc<Durable>,
    salt: u128,
    kills: Option<Dice>,
}

fn names() -> Vec<String> {
    ["X:A", "X:B", "X:C"].map(str::to_owned).to_vec()
}

impl Host {
    fn begin(&mut self) {
        let path = self.socket.clone();
        self.trader = RemoteTrader::new(&self.settings, path, "a", names());
        let sink = Arc::clone(&self.durable) as Arc<dyn Reports>;
        self.trader.connect(sink).unwrap();
    }

    fn dies(&mut self) -> bool {
        self.kills.as_mut().is_some_and(|dice| dice.below(8) == 0)
    }

    /// Now and then the process dies; or it dies as soon as it has sent a request.
    fn risk(&mut self, request: Option<Request>) {
        if !self.dies() {
            return;
        }
        if let Some(request) = request {
            let mut bytes = Vec::new();
            let hello = Request::Hello {
                version: wire::VERSION,
                account: "a".to_owned(),
                delivery: self.settings.delivery,
                totals: false,
                instruments: names(),
            };
            wire::frame(&hello, &mut bytes).unwrap();
            wire::frame(&request, &mut bytes).unwrap();
            let stream = UnixStream::connect(&self.socket).unwrap();
            wire::write_all(&stream, &bytes).unwrap();
        }
        self.begin();
    }

    fn act(&mut self, act: Act) {
        let salt = self.salt;
        self.risk(Some(act.request(0, salt)));
        loop {
            let answer = match act {
                Act::Submit(intent) => {
                    let id = intent.id.client_order_id(salt);
                    self.trader.submit(&id, &intent)
                }
                Act::Cancel(id) => self.trader.cancel(&id.client_order_id(salt)),
                Act::Modify(id, change) => self.trader.modify(&id.client_order_id(salt), &change),
            };
            match answer {
                Answer::Accepted | Answer::Refused(_) => break,
                Answer::NotSent(_) => self.begin(),
                Answer::Unknown => {
                    if let Act::Submit(intent) = act {
                        let id = intent.id.client_order_id(salt);
                        if let Found::Present(_) = self.trader.query(&id) {
                            break;
                        }
                    }
                }
            }
        }
        self.risk(None);
    }

    fn pass(&mut self, n: usize, tick: &Tick) {
        let input = InputId(n as u64);
        self.risk(Some(Request::Pass {
            call: 0,
            input,
            data: Passed {
                instrument: tick.instrument.0,
                ts: tick.ts,
                open: tick.price,
                high: tick.price,
                low: tick.price,
            },
        }));
        while self
            .trader
            .pass(input, &MarketData::Tick(tick, None))
            .is_err()
        {
            self.begin();
        }
        let durable = Arc::clone(&self.durable);
        let said = durable.0.lock().unwrap();
        let mut numbers: Vec<u64> = said.iter().map(|r| r.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        // Everything due has come, and nothing before its time.
        assert!(
            numbers.iter().copied().eq(1..=numbers.len() as u64),
            "{numbers:?}"
        );
        assert!(said.iter().all(|r| r.due.is_some_and(|due| due <= input)));
        self.trader.confirm(numbers.len() as u64);
        drop(said);
        self.risk(None);
    }
}

fn run(
    play: &Play,
    options: &ServeOptions,
    salt: u128,
    kills: Option<u64>,
) -> (Books, Arc<Durable>) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("exchange.sock");
    let mut options = options.clone();
    options.socket = socket.clone();
    let _server = Server::start(options.clone()).unwrap();
    let settings = SimSettings {
        delivery: options.delivery,
        timeout_ms: if options.faults.is_some() { 10 } else { 5_000 },
        ..SimSettings::default()
    };
    let mut host = Host {
        trader: RemoteTrader::new(&settings, socket.clone(), "a", names()),
        socket: socket.clone(),
        settings,
        durable: Arc::default(),
        salt,
        kills: kills.map(Dice),
    };
    host.begin();
    for (n, (tick, acts)) in play.ticks.iter().zip(&play.acts).enumerate() {
        for act in acts {
            host.act(*act);
        }
        host.pass(n, tick);
    }
    let durable = Arc::clone(&host.durable);
    (sim::dump(&socket).unwrap().remove("a").unwrap(), durable)
}

/// What the client knows is what the books say, up to what is not due yet.
fn agrees(play: &Play, books: &Books, durable: &Durable, salt: u128) {
    let mut known: BTreeMap<ClientOrderId, BTreeMap<TradeId, Quantity>> = BTreeMap::new();
    for report in durable.0.lock().unwrap().iter() {
        if let ReportKind::Filled {
            trade, quantity, ..
        } = report.kind
        {
            let trades = known.entry(report.client_order_id).or_default();
            trades.insert(trade, quantity);
        }
    }
    let intents: BTreeMap<String, OrderIntent> = play
        .acts
        .iter()
        .flatten()
        .filter_map(|act| match act {
            Act::Submit(intent) => Some((intent.id.to_string(), *intent)),
            _ => None,
        })
        .collect();
    assert_eq!(books.orders.len(), intents.len());
    for order in &books.orders {
        let intent = &intents[&order.reference];
        let id = intent.id.client_order_id(salt);
        assert_eq!(order.client_order_id, id.as_str());
        if order.undue == 0 {
            let trades = known.remove(&id).unwrap_or_default();
            let theirs: Vec<_> = order.executions.iter().map(|e| e.trade.clone()).collect();
            let mut ours: Vec<_> = trades.keys().map(ToString::to_string).collect();
            ours.sort_by_key(|t| theirs.iter().position(|o| o == t));
            assert_eq!(ours, theirs, "{order:?}");
        }
        for execution in &order.executions {
            let at = execution.at.unwrap();
            let tick = &play.ticks[at as usize];
            assert_eq!(execution.price, tick.price.to_string());
            // Never on the input that led to it, nor on one before.
            assert!(order.arrived.is_none_or(|arrived| at > arrived));
            let led = play.ticks.iter().zip(&play.acts).position(|(_, acts)| {
                acts.iter()
                    .any(|a| matches!(a, Act::Submit(i) if i.id == intent.id))
            });
            assert!(at as usize > led.unwrap(), "{order:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn the_books_are_the_same_whatever_happens(seed in any::<u64>(), report_delay in 0u32..6) {
        let play = play(seed);
        let mut options = ServeOptions::new("");
        (options.seed, options.report_delay, options.partial_fills) = (seed, report_delay, true);
        let (plain, durable) = run(&play, &options, 1, None);
        agrees(&play, &plain, &durable, 1);
        prop_assert!(plain.orders.iter().any(|o| !o.executions.is_empty()));
        let (killed, durable) = run(&play, &options, 2, Some(seed));
        agrees(&play, &killed, &durable, 2);
        prop_assert_eq!(plain.outcome(), killed.outcome());
        options.faults = Some(Faults { seed, percent: 20, nonsense: 0 });
        let (faulty, durable) = run(&play, &options, 3, Some(seed ^ 1));
        agrees(&play, &faulty, &durable, 3);
        prop_assert_eq!(plain.outcome(), faulty.outcome());
    }
}

#[test]
fn a_second_presentation_to_a_query_only_exchange_is_seen() {
    let play = play(1);
    let mut options = ServeOptions::new("");
    options.delivery = Delivery::QueryOnly;
    let (books, _) = run(&play, &options, 1, None);
    assert_eq!(books.violations, [""; 0]);
    // This host presents again what was lost, as it must not.
    options.faults = Some(Faults {
        seed: 5,
        percent: 30,
        nonsense: 0,
    });
    let (books, _) = run(&play, &options, 1, None);
    assert!(!books.violations.is_empty());
}

/// A client that was killed before it knew what came of a cancellation asks for it again, when the order has
/// been executed long since.
#[test]
fn a_cancellation_that_came_in_time_is_not_refused_when_it_is_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("exchange.sock");
    let _server = Server::start(ServeOptions::new(socket.clone())).unwrap();
    let settings = SimSettings::default();
    let mut trader = RemoteTrader::new(&settings, socket, "a", names());
    let durable = Arc::new(Durable::default());
    let sink = Arc::clone(&durable) as Arc<dyn Reports>;
    trader.connect(sink).unwrap();
    let play = play(1);
    let mut order = order(&mut Dice(1), 1, play.ticks[0].ts, &[10_000, 20_000, 5_000]);
    (order.instrument, order.validity) = (play.ticks[1].instrument, Validity::Day);
    (order.order_type, order.submitted) = (OrderType::Market, START.plus(-SECOND));
    (order.limit_price, order.trigger_price) = (None, None);
    let id = order.id.client_order_id(1);
    assert_eq!(trader.submit(&id, &order), Answer::Accepted);
    assert_eq!(trader.cancel(&id), Answer::Accepted);
    let pass = |trader: &mut RemoteTrader, n: usize| {
        let data = MarketData::Tick(&play.ticks[n], None);
        trader.pass(InputId(n as u64), &data).unwrap();
    };
    pass(&mut trader, 1);
    assert_eq!(trader.cancel(&id), Answer::Accepted);
    pass(&mut trader, 2);
    let said = durable.0.lock().unwrap();
    let kinds: Vec<&str> = said.iter().map(|r| kind(&r.kind)).collect();
    assert_eq!(kinds, ["acknowledged", "filled", "cancel_refused"]);
}

const fn kind(kind: &ReportKind) -> &'static str {
    match kind {
        ReportKind::Acknowledged => "acknowledged",
        ReportKind::Filled { .. } => "filled",
        ReportKind::CancelRefused => "cancel_refused",
        _ => "another",
    }
}
