//! Drives one namespace as a host does, and holds it to everything that must always be true: a second
//! instance folded from the record stays equal to it, so does a projection of the events and prices, and an
//! auditor follows every event.

use model::control::{Command, CommandAction, TradingState};
use model::event::{Event, EventBody};
use model::ids::{CommandId, NameHash, SourceSession};
use model::market::{MarketData, Timeframe};
use model::order::{OrderChange, OrderIntent};
use model::reason::Reason;
use model::reindex::Reindex;
use model::signal::{Action, Decision, OrderType, Product, Side, Signal, Trigger};
use model::time::SECOND;
use model::trader::{ReportKind, TraderReport};
use model::{
    Bar, CorrelationId, CurrencyIdx, InputId, InstrumentIdx, OrderId, Price, Quantity, SignalId,
    StrategyIdx, Tick, Timestamp, TradeId,
};
use pipeline::{BrokerPipeline, Input};

use crate::audit::Audit;
pub use crate::plan::Plan;
use crate::projected::Projected;
use crate::world::{at, units};

/// The namespace in the hands of a test.
pub struct Desk {
    pub pipeline: BrokerPipeline,
    shadow: BrokerPipeline,
    pub projected: Projected,
    pub audit: Audit,
    /// Everything that was ever emitted.
    pub events: Vec<Event>,
    /// Where the latest call's events begin.
    latest: usize,
    pub now: Timestamp,
    input: u64,
    commands: u128,
    trades: u128,
}

/// A timer that is always due again would be fired for ever.
const CLOCKS_MAX: u32 = 5_000;

impl Desk {
    pub fn new(plan: &Plan) -> Self {
        Self {
            pipeline: plan.build(),
            shadow: plan.build(),
            projected: Projected::new(plan),
            audit: Audit::new(plan.cash),
            events: Vec::new(),
            latest: 0,
            now: at(0),
            input: 0,
            commands: 0,
            trades: 1 << 64,
        }
    }

    /// The second instance is born again from a snapshot of the first.
    pub fn reborn(&mut self, plan: &Plan) {
        let bytes = postcard::to_stdvec(&self.pipeline.save_state().unwrap()).unwrap();
        let state = postcard::from_bytes(&bytes).unwrap();
        self.shadow = plan.build();
        // Under the same names.
        let map = Reindex::new(
            (0..64).map(|i| Some(InstrumentIdx(i))).collect(),
            (0..64).map(|i| Some(StrategyIdx(i))).collect(),
            (0..64).map(|i| Some(CurrencyIdx(i))).collect(),
        );
        let anew = self.shadow.restore_state(state, &map, |_| true).unwrap();
        assert!(anew.is_empty(), "{anew:?} start from warm-up");
        self.same("a snapshot");
    }

    fn feed(&mut self, input: &Input<'_>) {
        let from = self.events.len();
        self.pipeline.step(input, &mut self.events);
        self.shadow.observe(input);
        for event in &self.events[from..] {
            self.shadow.apply(event);
        }
        self.shadow.discard_decisions();
        self.projected
            .take(input, &self.events[from..], &self.pipeline);
        let out = kinds(&self.events[from..]);
        self.same(&format!("{input:?} with {out:?}"));
        for event in &self.events[from..] {
            self.audit.take(event);
        }
    }

    /// Both instances are in one state.
    fn same(&self, after: &str) {
        let (live, folded) = (self.pipeline.fingerprint(), self.shadow.fingerprint());
        if live != folded {
            let same = live
                .bytes()
                .zip(folded.bytes())
                .take_while(|(a, b)| a == b)
                .count();
            let near = |text: &str| {
                text[same.saturating_sub(150)..]
                    .chars()
                    .take(400)
                    .collect::<String>()
            };
            let (live, folded) = (near(&live), near(&folded));
            panic!("after {after} the fold differs:\n{live}\n{folded}");
        }
        assert_eq!(
            self.pipeline.next_due(),
            self.shadow.next_due(),
            "after {after}"
        );
    }

    /// Fires what is due up to now.
    fn fire(&mut self, id: u64) {
        let mut fired = 0;
        while self.pipeline.next_due() <= self.now {
            let due = self.pipeline.next_due();
            let due = if due == Timestamp::MIN { self.now } else { due };
            self.feed(&Input::Clock(InputId(id), due));
            fired += 1;
            assert!(fired < CLOCKS_MAX, "a timer at {due} is due for ever");
        }
    }

    /// Lets time pass to so many seconds after the first open.
    pub fn clock(&mut self, seconds: i64) -> &[Event] {
        self.latest = self.events.len();
        self.now = self.now.max(at(seconds));
        self.input += 1;
        self.fire(self.input);
        &self.events[self.latest..]
    }

    /// Lets so many seconds pass.
    pub fn clock_forward(&mut self, seconds: i64) {
        let now = self.now.since(at(0)) / SECOND;
        self.clock(now + seconds);
    }

    pub fn market(&mut self, data: &MarketData<'_>) -> &[Event] {
        self.latest = self.events.len();
        self.now = self.now.max(data.ts());
        self.input += 1;
        self.fire(self.input);
        self.feed(&Input::Market(InputId(self.input), data));
        self.audit.mark(data.instrument(), data.price());
        &self.events[self.latest..]
    }

    /// A trade of 1,000 units one second later.
    pub fn tick(&mut self, instrument: InstrumentIdx, text: &str) -> &[Event] {
        self.tick_of(instrument, text, 1000)
    }

    pub fn tick_of(&mut self, instrument: InstrumentIdx, text: &str, volume: i64) -> &[Event] {
        let tick = Tick {
            ts: self.now.plus(SECOND),
            price: text.parse().unwrap(),
            quantity: units(volume),
            instrument,
            ..Tick::default()
        };
        self.market(&MarketData::Tick(&tick, None))
    }

    /// A bar that begins now and lasts so many seconds.
    pub fn bar(&mut self, instrument: InstrumentIdx, seconds: i64, prices: [&str; 4]) -> &[Event] {
        let [open, high, low, close] = prices.map(|text| text.parse().unwrap());
        let bar = Bar {
            open_ts: self.now,
            close_ts: self.now.plus(seconds * SECOND),
            open,
            high,
            low,
            close,
            volume: units(1000),
            open_interest: Quantity::ZERO,
            instrument,
            timeframe: Timeframe::parse(&format!("{seconds}s")).unwrap(),
        };
        self.market(&MarketData::Bar(&bar))
    }

    /// A shared strategy's signal now.
    pub fn signal(&mut self, strategy: u32, decision: Decision) -> &[Event] {
        let signal = self.make_signal(strategy, decision);
        self.send(&signal)
    }

    pub fn make_signal(&mut self, strategy: u32, decision: Decision) -> Signal {
        self.input += 1;
        let input = InputId(self.input);
        let name = NameHash::of(&format!("strategy-{strategy}"));
        Signal {
            id: SignalId::derive(name, SourceSession(7), input, 0),
            correlation: CorrelationId::of_decision(name, SourceSession(7), input),
            strategy: StrategyIdx(strategy),
            input,
            ordinal: 0,
            ts: self.now,
            trigger: Trigger::Input,
            decision,
        }
    }

    pub fn send(&mut self, signal: &Signal) -> &[Event] {
        self.latest = self.events.len();
        self.fire(signal.input.0);
        self.feed(&Input::Signal(signal));
        &self.events[self.latest..]
    }

    /// Any input, as it is.
    pub fn give(&mut self, input: &Input<'_>) -> &[Event] {
        self.latest = self.events.len();
        self.feed(input);
        &self.events[self.latest..]
    }

    pub fn command(&mut self, action: CommandAction) -> &[Event] {
        self.latest = self.events.len();
        self.fire(self.input);
        self.commands += 1;
        let command = Command::of_system(CommandId(self.commands), action);
        self.feed(&Input::Command(self.now, &command));
        &self.events[self.latest..]
    }

    pub fn report(&mut self, order: OrderId, kind: ReportKind) -> &[Event] {
        self.latest = self.events.len();
        self.fire(self.input);
        self.feed(&Input::Report(&TraderReport::new(order, self.now, kind)));
        &self.events[self.latest..]
    }

    /// The broker's own book says it, in answer to a question.
    pub fn confirmed(&mut self, order: OrderId, kind: ReportKind) -> &[Event] {
        self.latest = self.events.len();
        self.fire(self.input);
        self.feed(&Input::Report(&TraderReport {
            confirmed: true,
            ..TraderReport::new(order, self.now, kind)
        }));
        &self.events[self.latest..]
    }

    /// The broker outside executes a part of an order, and its book says so.
    pub fn fill(&mut self, order: OrderId, quantity: i64, text: &str) -> &[Event] {
        self.trades += 1;
        let (trade, price) = (TradeId(self.trades), text.parse().unwrap());
        let quantity = units(quantity);
        let side = self.audit.orders[&order].intent().side;
        self.confirmed(
            order,
            ReportKind::Filled {
                trade,
                side,
                quantity,
                price,
                draws: 0,
            },
        )
    }

    pub fn cancelled(&mut self, order: OrderId) -> &[Event] {
        self.report(order, ReportKind::Cancelled(Reason::OperatorRequest))
    }

    /// The events of the latest call.
    pub fn latest(&self) -> &[Event] {
        &self.events[self.latest..]
    }

    /// The orders submitted by the latest call.
    pub fn orders(&self) -> Vec<OrderIntent> {
        submitted(self.latest())
    }

    /// Working orders in the order of submission.
    pub fn working(&self) -> Vec<OrderIntent> {
        submitted(&self.events)
            .into_iter()
            .filter(|i| self.pipeline.engine().working(i.id).is_some())
            .collect()
    }

    /// The reason for which the latest signal was refused, if it was.
    pub fn refused(&self) -> Option<Reason> {
        self.latest().iter().find_map(|e| match e.body {
            EventBody::SignalRejected(r) => Some(r.refusal.reason),
            _ => None,
        })
    }

    pub fn position(&self, strategy: u32, instrument: InstrumentIdx) -> i64 {
        let key = pipeline::portfolio::PositionKey {
            strategy: StrategyIdx(strategy),
            instrument,
            product: Product::Intraday,
        };
        self.pipeline.portfolio().quantity(&key).raw() / model::fixed::ONE
    }

    /// What happened to orders and signals, for the message of a failure.
    pub fn story(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for event in &self.events {
            let at = event.ts.since(at(0)) as f64 / SECOND as f64;
            let _ = match &event.body {
                EventBody::OrderSubmitted(i) => writeln!(
                    text,
                    "{at} submitted {} {:?} {:?} {:?} {} (+{}) limit {:?} trigger {:?}",
                    i.id,
                    i.role,
                    i.order_type,
                    i.side,
                    i.quantity,
                    i.increase,
                    i.limit_price,
                    i.trigger_price
                ),
                EventBody::OrderChanged(s) => match s.change {
                    OrderChange::Filled(x) => {
                        writeln!(
                            text,
                            "{at} filled {} {} at {}",
                            s.order, x.quantity, x.price
                        )
                    }
                    change => writeln!(text, "{at} {} {change:?}", s.order),
                },
                EventBody::SignalRaw(s) => {
                    let d = &s.decision;
                    writeln!(
                        text,
                        "{at} signal {:?} {:?} {:?}",
                        d.action, d.limit_price, d.bracket
                    )
                }
                EventBody::SignalRejected(r) => {
                    writeln!(text, "{at} refused: {}", r.refusal.reason)
                }
                EventBody::Snapshot(_) => Ok(()),
                EventBody::ModifyRequested { order, quantity } => {
                    writeln!(text, "{at} {order} to become {quantity}")
                }
                _ => writeln!(text, "{at} {}", event.kind()),
            };
        }
        text
    }

    /// Everything adds up: called at the end of every test.
    pub fn check(&mut self) {
        self.projected.check(&self.pipeline);
        let (risk, portfolio) = (self.pipeline.risk(), self.pipeline.portfolio());
        if let Some(reached) = risk.breached(portfolio) {
            assert_eq!(risk.state(), TradingState::Halted, "{reached:?}");
        }
        for position in portfolio.positions() {
            let strategy = position.key.strategy;
            if let Some(reached) = risk.strategy_breached(strategy, portfolio) {
                assert!(!risk.is_enabled(strategy), "{strategy:?}: {reached:?}");
            }
        }
        self.audit.check(&self.pipeline);
    }
}

pub fn submitted(events: &[Event]) -> Vec<OrderIntent> {
    events
        .iter()
        .filter_map(|e| match e.body {
            EventBody::OrderSubmitted(intent) => Some(intent),
            _ => None,
        })
        .collect()
}

/// Cancellations asked for among `events`, with their reasons.
pub fn cancels(events: &[Event]) -> Vec<(OrderId, Reason)> {
    events
        .iter()
        .filter_map(|e| match e.body {
            EventBody::OrderChanged(step) => match step.change {
                OrderChange::CancelRequested(reason) => Some((step.order, reason)),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

/// New total quantities asked for among `events`.
pub fn resizes(events: &[Event]) -> Vec<(OrderId, Quantity)> {
    events
        .iter()
        .filter_map(|e| match e.body {
            EventBody::ModifyRequested { order, quantity } => Some((order, quantity)),
            _ => None,
        })
        .collect()
}

/// What the events are, in short.
pub fn kinds(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(Event::kind).collect()
}

pub fn enter(instrument: InstrumentIdx, side: Side, count: i64) -> Decision {
    Decision::market(
        instrument,
        Action::Enter {
            side,
            quantity: units(count),
        },
    )
}

pub fn target(instrument: InstrumentIdx, count: i64) -> Decision {
    Decision::market(
        instrument,
        Action::Target {
            quantity: units(count),
        },
    )
}

pub fn exit(instrument: InstrumentIdx, count: Option<i64>) -> Decision {
    Decision::market(
        instrument,
        Action::Exit {
            quantity: count.map(units),
        },
    )
}

/// The decision as a stop order.
pub fn stop(decision: Decision, text: &str) -> Decision {
    Decision {
        order_type: OrderType::Stop,
        trigger_price: Some(text.parse().unwrap()),
        ..decision
    }
}

/// The decision as a limit order.
pub fn limit(decision: Decision, text: &str) -> Decision {
    let limit_price: Option<Price> = Some(text.parse().unwrap());
    Decision {
        order_type: OrderType::Limit,
        limit_price,
        ..decision
    }
}

/// The decision with exits at these prices.
pub fn bracket(decision: Decision, stop: &str, profit: &str) -> Decision {
    let parse = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
    let bracket = model::signal::Bracket {
        stop_loss: parse(stop),
        take_profit: parse(profit),
    };
    Decision {
        bracket,
        ..decision
    }
}
