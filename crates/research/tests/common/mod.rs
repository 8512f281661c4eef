//! A generated run: prices that wander, strategies that trade at random, and books that are kept
//! independently of the code under test.

use std::collections::BTreeMap;
use std::path::Path;

use model::contract_note::{Amounts, ChargesAdjustment, Component, NoteName};
use model::control::TradingState;
use model::event::{Cause, Event, EventBody, OrderStep, Refused, Snapshot, Validated};
use model::ids::NameHash;
use model::money::CurrencyIdx;
use model::order::{Execution, OrderChange, OrderIntent, OrderRole};
use model::reason::Reason;
use model::session::{SessionGroup, SessionStatus, SessionWindow, Sessions, TradingDay};
use model::signal::{
    Action, Bracket, Decision, OrderType, Product, Side, Signal, Trigger, Validity,
};
use model::text::reason_text;
use model::time::{DAY, HOUR, MINUTE, SECOND};
use model::*;
use research::collector::{Collected, Collector, SpaceSpec};
use research::log_hash::{LogHashes, Names};
use research::sampler::PriceSampler;
use research::summary::{FileUse, Provenance, RunFacts, Summary};

/// What to generate.
pub struct Plan {
    pub brokers: &'static [&'static str],
    pub days: i64,
    /// Nanoseconds between ticks.
    pub pace: i64,
    pub seed: u64,
}

/// What came out.
pub struct Run {
    pub instruments: Instruments,
    pub strategies: Vec<String>,
    pub collected: Collected,
    pub summary: Summary,
    pub prices: PriceSampler,
    pub events: u64,
}

/// Trading days of the Indian clock.
struct India;

impl Sessions for India {
    fn groups(&self) -> usize {
        1
    }
    fn group(&self, _: &Instrument) -> SessionGroup {
        SessionGroup(0)
    }
    fn status(&self, _: SessionGroup, _: Timestamp) -> SessionStatus {
        SessionStatus::Open(SessionWindow {
            open: Timestamp(0),
            close: Timestamp::MAX,
        })
    }
    fn trading_day(&self, at: Timestamp) -> TradingDay {
        let start = (at.nanos() - 30 * MINUTE).div_euclid(DAY) * DAY + 30 * MINUTE;
        let date = Date::from_days((start / DAY) as i32);
        TradingDay {
            date,
            start: Timestamp(start),
            end: Timestamp(start + DAY),
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// The books of one namespace, kept the plain way.
#[derive(Default)]
struct Books {
    /// Signed raw quantity and signed raw cost by strategy and instrument.
    positions: BTreeMap<(u32, u32), (i64, i128)>,
    money: BTreeMap<u16, Snapshot>,
    orders: u64,
}

const START: i128 = 1_000_000_000_000_000_000_000_000;

impl Books {
    fn fill(
        &mut self,
        instruments: &Instruments,
        s: u32,
        i: u32,
        q: i64,
        price: Price,
        charges: i128,
    ) {
        let (held, cost) = self.positions.entry((s, i)).or_default();
        let value = |q: i64| i128::from(price.raw()) * i128::from(q) * 100;
        let money = self
            .money
            .entry(instruments.currency(InstrumentIdx(i)).0)
            .or_default();
        let mut realised = 0;
        let closing = if held.signum() == -q.signum() {
            -q.signum() * q.abs().min(held.abs())
        } else {
            0
        };
        if closing != 0 {
            let share = Amount::from_raw(*cost)
                .share(
                    Quantity::from_raw(closing.abs()),
                    Quantity::from_raw(held.abs()),
                )
                .unwrap()
                .raw();
            realised = value(closing) - share;
            (*held, *cost) = (*held - closing, *cost - share);
        }
        let opening = q + closing;
        (*held, *cost) = (*held + opening, *cost + value(opening));
        money.cash_flow = Amount::from_raw(money.cash_flow.raw() - value(q));
        money.realised = Amount::from_raw(money.realised.raw() + realised);
        money.charges = Amount::from_raw(money.charges.raw() + charges);
    }

    /// The note of the day in rupees: a little less than what the fills booked, as it is rounded.
    fn close(&mut self, date: Date, instruments: &Instruments, last: &[Price]) -> [EventBody; 2] {
        let amount = Amount::from_raw(-1_000_007 - i128::from(date.days()));
        let mut charged = Amounts::default();
        charged.set(Component::Brokerage, Amount::from_int(40));
        charged.set(Component::StampDuty, Amount::from_int(2));
        let money = self.money.entry(0).or_default();
        money.charges = money.charges.checked_add(amount).unwrap();
        let adjustment = ChargesAdjustment {
            currency: CurrencyIdx(0),
            note: NoteName::from("securities").unwrap(),
            date,
            amount,
            charged,
        };
        let snapshot = self.snapshot(instruments, last, 0);
        [
            EventBody::ChargesAdjusted(adjustment),
            EventBody::Snapshot(snapshot),
        ]
    }

    fn snapshot(&mut self, instruments: &Instruments, last: &[Price], currency: u16) -> Snapshot {
        let (mut open, mut gross) = (0, 0i128);
        for ((_, i), (held, cost)) in &self.positions {
            if instruments.currency(InstrumentIdx(*i)).0 == currency {
                let value = i128::from(last[*i as usize].raw()) * i128::from(*held) * 100;
                (open, gross) = (open + value - cost, gross + value.abs());
            }
        }
        let money = self.money.entry(currency).or_default();
        let start = if currency == 0 { START } else { 0 };
        money.currency = CurrencyIdx(currency);
        money.sequence += 1;
        money.unrealised = Amount::from_raw(open);
        money.equity = Amount::from_raw(start + money.realised.raw() + open - money.charges.raw());
        money.peak = money.peak.max(money.equity).max(Amount::from_raw(start));
        let fall = money.peak.checked_sub(money.equity).unwrap();
        money.max_drawdown = money.max_drawdown.max(fall);
        money.gross_exposure = Amount::from_raw(gross);
        *money
    }
}

/// Generates a run and writes its files into `dir`.
pub fn run(plan: &Plan, dir: &Path) -> Run {
    let share = |exchange: &str, symbol: &str, currency: &str| {
        Instrument::share(exchange, symbol, currency.parse().unwrap())
    };
    let mut all = vec![
        share("NSE", "RELIANCE", "INR"),
        share("NSE", "M&M", "INR"),
        share("NSE", "HDFCBANK", "INR"),
    ];
    if plan.brokers.len() > 1 {
        all.push(share("XNAS", "AAPL", "USD"));
    }
    let instruments = Instruments::new(all).unwrap();
    let strategies: Vec<String> = ["manual", "ema_fast", "rsi_</script>", "vwap"]
        .map(str::to_owned)
        .to_vec();
    let names = Names {
        instruments: &instruments,
        strategies: &strategies,
    };
    let cash = [Amount::from_raw(START)];
    let specs: Vec<SpaceSpec<'_>> = plan
        .brokers
        .iter()
        .map(|name| SpaceSpec {
            name,
            base: CurrencyIdx(0),
            starting_cash: &cash,
            sessions: &India,
        })
        .collect();

    let mut collector = Collector::create(dir, names, &specs).unwrap();
    let mut hashes = LogHashes::new(plan.brokers);
    let mut prices = PriceSampler::new(instruments.len());
    let mut random = Random(plan.seed);
    let mut books: Vec<Books> = plan.brokers.iter().map(|_| Books::default()).collect();
    let mut last: Vec<Price> = (0..instruments.len())
        .map(|i| Price::from_int(1_400 + 300 * i as i64).unwrap())
        .collect();
    let (mut ticks, mut events, mut input) = (0u64, 0u64, 0u64);

    let first_day = Date::parse("2021-04-15").unwrap().days();
    for day in (0..plan.days).map(|d| i64::from(first_day) + d) {
        if Date::from_days(day as i32).weekday() > 4 {
            continue;
        }
        let open = day * DAY + 3 * HOUR + 45 * MINUTE;
        let mut ts = open;
        let mut noted = open;
        while ts < open + 6 * HOUR + 15 * MINUTE {
            ts += plan.pace / 2 + random.below(plan.pace as u64) as i64;
            let i = random.below(instruments.len() as u64) as u32;
            let step = random.below(41) as i64 - 20;
            let paise = (last[i as usize].raw() + step * 5_000_000).max(5_000_000);
            last[i as usize] = Price::from_raw(paise);
            (ticks, input) = (ticks + 1, input + 1);
            prices.record(InstrumentIdx(i), Timestamp(ts), last[i as usize]);
            let strategy = 1 + random.below(3) as u32;
            let trade = random.below(60);
            let amount = (1 + random.below(9)) as i64 * 10;
            let dir = if random.below(2) == 0 { 1 } else { -1 };
            for (space, book) in books.iter_mut().enumerate() {
                let mut emit = |correlation, cause, body| {
                    let event = Event {
                        ts: Timestamp(ts),
                        correlation,
                        cause,
                        body,
                    };
                    hashes.update(space, &names, &event);
                    collector.on_event(space, &event).unwrap();
                    events += 1;
                };
                if trade == 0 {
                    act(
                        book,
                        &instruments,
                        &last,
                        (strategy, i, amount * dir),
                        (ts, input),
                        plan.brokers[space],
                        &mut emit,
                    );
                }
                if ts - noted > 20 * plan.pace || trade == 0 {
                    for currency in 0..instruments.currencies().len() as u16 {
                        let body =
                            EventBody::Snapshot(book.snapshot(&instruments, &last, currency));
                        emit(CorrelationId(0), Cause::Timer(Timestamp(ts)), body);
                    }
                }
            }
            if ts - noted > 20 * plan.pace {
                noted = ts;
            }
        }
        let date = Date::from_days(day as i32);
        for (space, book) in books.iter_mut().enumerate() {
            for currency in 0..instruments.currencies().len() as u16 {
                let s = book.snapshot(&instruments, &last, currency);
                let holds = !s.gross_exposure.is_zero();
                collector.on_day(space, date, model::CurrencyIdx(currency), s.equity, holds);
            }
            for body in book.close(date, &instruments, &last) {
                let event = Event {
                    ts: Timestamp(ts),
                    correlation: CorrelationId(1),
                    cause: Cause::Timer(Timestamp(ts)),
                    body,
                };
                hashes.update(space, &names, &event);
                collector.on_event(space, &event).unwrap();
                events += 1;
            }
        }
    }
    for (space, book) in books.iter_mut().enumerate() {
        let end =
            Timestamp(i64::from(first_day) * DAY + (plan.days - 1) * DAY + 10 * HOUR + 5 * MINUTE);
        let mut tell = |body| {
            let event = Event {
                ts: end,
                correlation: CorrelationId(0),
                cause: Cause::Timer(end),
                body,
            };
            hashes.update(space, &names, &event);
            collector.on_event(space, &event).unwrap();
            events += 1;
        };
        tell(EventBody::StateChanged {
            from: TradingState::Active,
            to: TradingState::Halted,
            reason: Reason::DailyLoss,
            automatic: true,
            resets_losses: false,
        });
        for currency in 0..instruments.currencies().len() as u16 {
            tell(EventBody::Snapshot(book.snapshot(
                &instruments,
                &last,
                currency,
            )));
        }
    }
    let last = prices.last_prices();
    let collected = collector.finish(|_| &last).unwrap();
    let (log_hash, log_hash_by_broker) = hashes.finish();
    let rejected = BTreeMap::from([
        ("repeated".to_owned(), 41),
        ("outside_session".to_owned(), 1_203),
    ]);
    let facts = RunFacts {
        rows_read: ticks + 1_244,
        rows_rejected: rejected,
        rows_doubtful: BTreeMap::from([("falling_volume".to_owned(), 7)]),
        corporate_actions: vec![feeds::AppliedAction {
            instrument: "NSE:A".into(),
            ex_date: "2021-04-16".into(),
            kind: "bonus".into(),
            ratio: "1:2".into(),
            shares: "3:2".into(),
            rows: 12,
        }],
        ticks,
        engine_seconds: 0.125,
        log_hash,
        log_hash_by_broker,
        inputs_digest: "5f".repeat(32),
        provenance: Provenance {
            from: Some("2021-04-15T03:45:00Z".to_owned()),
            to: None,
            files: vec![FileUse { path: "data/B.csv".into(), digest: "ab".repeat(32), rows: 9 },
                        FileUse { path: "data/A.csv".into(), digest: "cd".repeat(32), rows: 9 }],
        },
        settings: serde_json::json!({"risk": {"order_quantity": "1000"}, "note": "</script>"}),
        warnings: vec!["fill = \"signal_tick\" fills at the price that caused the signal: this run looks ahead".into()],
        build: "panda 0.1.0".into(),
    };
    let summary = Summary::new(&collected, names, facts).unwrap();
    summary.write(dir).unwrap();
    Run {
        instruments,
        strategies,
        collected,
        summary,
        prices,
        events,
    }
}

/// A signal and what follows from it: mostly an order that fills in two parts.
fn act(
    book: &mut Books,
    instruments: &Instruments,
    last: &[Price],
    (s, i, signed): (u32, u32, i64),
    (ts, input): (i64, u64),
    broker: &str,
    emit: &mut dyn FnMut(CorrelationId, Cause, EventBody),
) {
    let (strategy, instrument) = (StrategyIdx(s), InstrumentIdx(i));
    let session = model::ids::SourceSession(1);
    let name = NameHash(u64::from(s));
    let id = SignalId::derive(name, session, InputId(input), 0);
    let correlation = CorrelationId::of_decision(name, session, InputId(input));
    let quantity = Quantity::from_int(signed.abs()).unwrap();
    let side = if signed > 0 { Side::Buy } else { Side::Sell };
    let mut decision = Decision::market(instrument, Action::Enter { side, quantity });
    decision.reason = reason_text("=cross, \"fast\" over slow");
    decision.note = model::Note::of(&[("fast", 2.5), ("slow", 2.25)]);
    let (mark, now) = ((InputId(input), 0), Timestamp(ts));
    let signal = Signal {
        id,
        correlation,
        strategy,
        input: mark.0,
        ordinal: 0,
        ts: now,
        trigger: Trigger::Input,
        decision,
    };
    emit(
        correlation,
        Cause::Input(mark.0),
        EventBody::SignalRaw(signal),
    );
    book.orders += 1;
    if book.orders.is_multiple_of(11) {
        let reason = Reason::OrderQuantity;
        let product = Product::Intraday;
        let refused = Refused {
            signal: id,
            strategy,
            mark,
            instrument,
            product,
            target: None,
            order: None,
            refusal: reason.into(),
        };
        return emit(
            correlation,
            Cause::Signal(id),
            EventBody::SignalRejected(refused),
        );
    }
    if book.orders.is_multiple_of(13) {
        emit(
            correlation,
            Cause::Signal(id),
            EventBody::SignalDeferred(signal),
        );
    }
    let validated = Validated {
        signal: id,
        strategy,
        mark,
        instrument,
        product: Product::Intraday,
        side,
        quantity,
        increase: quantity,
        target: None,
        entry_refused: None,
        decision,
    };
    emit(
        correlation,
        Cause::Signal(id),
        EventBody::SignalValidated(validated),
    );
    let held = book.positions.get(&(s, i)).map_or(0, |p| p.0);
    let role = if held.signum() == -signed.signum() {
        OrderRole::Exit
    } else {
        OrderRole::Entry
    };
    let order = OrderId::derive(NameHash::of(broker), id.0, 0);
    let intent = OrderIntent {
        id: order,
        correlation,
        signal: Some(id),
        strategy,
        instrument,
        role,
        side,
        quantity,
        increase: quantity,
        order_type: OrderType::Market,
        limit_price: None,
        trigger_price: None,
        validity: Validity::Day,
        product: Product::Intraday,
        bracket: Bracket::default(),
        oco: None,
        parent: None,
        submitted: now,
        send_by: now.plus(SECOND),
    };
    emit(
        correlation,
        Cause::Signal(id),
        EventBody::OrderSubmitted(intent),
    );
    let mut sequence = 0;
    let mut step = |change, emit: &mut dyn FnMut(CorrelationId, Cause, EventBody)| {
        sequence += 1;
        let body = EventBody::OrderChanged(OrderStep {
            order,
            sequence,
            change,
        });
        emit(correlation, Cause::Order(order, sequence - 1), body);
    };
    step(OrderChange::Acknowledged, emit);
    // One part now, the other at the same price, and now and then after a cancellation.
    let parts = [
        quantity.raw() / 5 * 2,
        quantity.raw() - quantity.raw() / 5 * 2,
    ];
    for (n, part) in parts.into_iter().enumerate() {
        if n == 1 && book.orders.is_multiple_of(17) {
            step(OrderChange::Cancelled(Reason::OperatorRequest), emit);
        }
        if n == 1 && book.orders.is_multiple_of(34) {
            break;
        }
        let price = last[i as usize];
        let charges = i128::from(part) * 7_000_001;
        let execution = Execution {
            trade: TradeId::derive(order, n as u32),
            quantity: Quantity::from_raw(part),
            price,
            charges: Amount::from_raw(charges),
            draws: 0,
        };
        step(OrderChange::Filled(execution), emit);
        book.fill(instruments, s, i, signed.signum() * part, price, charges);
    }
}

/// The events of an order that strategy 1 bought the first instrument with, to be carried forward.
pub fn bought(quantity: Quantity, price: Price, emit: &mut dyn FnMut(EventBody)) {
    let id = OrderId::derive(NameHash::of("paper"), 1, 0);
    emit(EventBody::OrderSubmitted(OrderIntent {
        id,
        correlation: CorrelationId(7),
        signal: None,
        strategy: StrategyIdx(1),
        instrument: InstrumentIdx(0),
        role: OrderRole::Entry,
        side: Side::Buy,
        quantity,
        increase: quantity,
        order_type: OrderType::Market,
        limit_price: None,
        trigger_price: None,
        validity: Validity::Day,
        product: Product::CarryForward,
        bracket: Bracket::default(),
        oco: None,
        parent: None,
        submitted: Timestamp(5),
        send_by: Timestamp(5),
    }));
    emit(EventBody::OrderChanged(OrderStep {
        order: id,
        sequence: 1,
        change: OrderChange::Filled(Execution {
            trade: TradeId(1),
            quantity,
            price,
            charges: Amount::ZERO,
            draws: 0,
        }),
    }));
}
