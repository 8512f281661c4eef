//! Random days: whatever happens, the fold stays equal, the books agree, and every order's life is
//! legal. The desk asserts all that after every input; here is only chance.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use model::charges::FlatRate;
use model::control::{CommandAction, Resolution, TradingState};
use model::market::{MarketData, Timeframe};
use model::reason::Reason;
use model::signal::{Action, Bracket, Decision, OrderType, Product, Side, Validity};
use model::time::{MINUTE, SECOND};
use model::trader::ReportKind;
use model::{Amount, Bar, InstrumentIdx, OrderId, Price, Quantity, StrategyIdx, Tick, TradeId};
use paper::{FillOn, PaperSettings};
use pipeline::broker::OnResume;
use pipeline::risk::limits::MoneyLimit;
use pipeline::risk::settings::OnBreachTable;
use pipeline::risk::{AutoResume, Limits, OnBreach};
use strategies::Context;

use crate::day_close::Rounded;
use crate::desk::{Desk, Plan, kinds};
use crate::scripted::{Call, Recipe};
use crate::world::{AXIS, BEL, COIN, Chance, GOLD, NEXT_DAY, SESSION, units};

const ALL: [InstrumentIdx; 4] = [GOLD, AXIS, BEL, COIN];

/// A market that walks at random, and whoever trades in it.
struct Day {
    chance: Chance,
    desk: Desk,
    prices: [i64; 4],
    outside: bool,
    /// Reports that were sent, to be sent again.
    sent: Vec<(OrderId, ReportKind)>,
}

fn quantity(chance: &mut Chance, instrument: InstrumentIdx) -> Quantity {
    match instrument {
        COIN => Quantity::from_raw(chance.within(1, 500_000_000)),
        GOLD => units(2 * chance.within(1, 6)),
        _ => units(chance.within(1, 12)),
    }
}

fn near(chance: &mut Chance, instrument: InstrumentIdx, price: i64, away: i64) -> Price {
    let step = if instrument == COIN { 1 } else { 5_000_000 };
    let raw = price
        + away * 5_000_000
        + if instrument == COIN {
            chance.within(0, 9)
        } else {
            0
        };
    Price::from_raw((raw / step * step).max(5_000_000))
}

/// Any decision at all, most of them sensible.
fn decision(chance: &mut Chance, instrument: InstrumentIdx, price: i64) -> Decision {
    let side = chance.pick(&[Side::Buy, Side::Sell]);
    let size = quantity(chance, instrument);
    let action = match chance.below(8) {
        0..3 => Action::Enter {
            side,
            quantity: size,
        },
        3 => Action::Exit { quantity: None },
        4 => Action::Exit {
            quantity: Some(size),
        },
        5 => Action::Target {
            quantity: Quantity::ZERO,
        },
        _ => Action::Target {
            quantity: side.signed(size),
        },
    };
    let order_type = match chance.below(10) {
        0..5 => OrderType::Market,
        5..8 => OrderType::Limit,
        8 => OrderType::Stop,
        _ => OrderType::StopLimit,
    };
    let away = chance.within(-12, 12);
    let at = near(chance, instrument, price, away);
    let (gap, wide) = (chance.within(1, 12), chance.within(1, 12));
    let below = near(chance, instrument, at.raw().min(price), -gap);
    let above = near(chance, instrument, at.raw().max(price), wide);
    let bracket = match (chance.below(5), side) {
        (0, Side::Buy) => Bracket {
            stop_loss: Some(below),
            take_profit: Some(above),
        },
        (0, Side::Sell) => Bracket {
            stop_loss: Some(above),
            take_profit: Some(below),
        },
        (1, Side::Buy) => Bracket {
            stop_loss: Some(below),
            take_profit: None,
        },
        _ => Bracket::default(),
    };
    let validity = match chance.below(8) {
        0 => Validity::Ioc,
        1 => Validity::Fok,
        2 => Validity::Gtd(crate::world::at(0).plus(chance.within(0, 200) * SECOND)),
        _ => Validity::Day,
    };
    Decision {
        order_type,
        limit_price: order_type.has_limit().then_some(at),
        trigger_price: order_type.has_trigger().then_some(at),
        validity,
        product: chance.pick(&[
            Product::Intraday,
            Product::Intraday,
            Product::Delivery,
            Product::CarryForward,
        ]),
        bracket,
        ..Decision::market(instrument, action)
    }
}

impl Day {
    fn new(seed: u64, plan: &Plan) -> Self {
        Self {
            chance: Chance(seed),
            desk: Desk::new(plan),
            prices: [50_000_000_000, 10_000_000_000, 2_000_000_000, 123_456_789],
            outside: plan.paper.is_none(),
            sent: Vec::new(),
        }
    }

    fn walk(&mut self) -> InstrumentIdx {
        let instrument = self.chance.pick(&ALL);
        let step = if instrument == COIN {
            1_000_001
        } else {
            5_000_000
        };
        let price = &mut self.prices[instrument.index()];
        *price = (*price + self.chance.within(-6, 6) * step).max(step * 20);
        instrument
    }

    fn step(&mut self) {
        match self.chance.below(if self.outside { 36 } else { 24 }) {
            0..11 => self.tick(),
            11 => self.bar(),
            12..20 => self.signal(),
            20 => self.command(),
            21 if self.chance.one_in(6) => self.leap(),
            21..24 => self.tick(),
            _ => self.report(),
        }
    }

    fn tick(&mut self) {
        let instrument = self.walk();
        let price = Price::from_raw(self.prices[instrument.index()]);
        let pause = self.chance.within(0, 3 * SECOND);
        let tick = Tick {
            ts: self.desk.now.plus(pause - SECOND / 4),
            price,
            quantity: units(self.chance.within(0, 40)),
            instrument,
            ..Tick::default()
        };
        self.desk.market(&MarketData::Tick(&tick, None));
    }

    fn bar(&mut self) {
        let instrument = self.walk();
        let open = Price::from_raw(self.prices[instrument.index()]);
        let up = self.chance.within(0, 5) * 5_000_000;
        let bar = Bar {
            open_ts: self.desk.now,
            close_ts: self.desk.now.plus(MINUTE / 4),
            open,
            high: Price::from_raw(open.raw() + up),
            low: Price::from_raw((open.raw() - up).max(10_000)),
            close: Price::from_raw(open.raw() + up / 10_000_000 * 5_000_000),
            volume: units(self.chance.within(0, 60)),
            open_interest: Quantity::ZERO,
            instrument,
            timeframe: Timeframe::parse("15s").unwrap(),
        };
        self.prices[instrument.index()] = bar.close.raw();
        self.desk.market(&MarketData::Bar(&bar));
    }

    fn signal(&mut self) {
        let instrument = self.chance.pick(&ALL);
        let strategy = self.chance.within(1, 3) as u32;
        let decision = decision(
            &mut self.chance,
            instrument,
            self.prices[instrument.index()],
        );
        let mut signal = self.desk.make_signal(strategy, decision);
        if self.chance.one_in(20) {
            signal.ts = signal.ts.plus(-20 * SECOND);
        }
        self.desk.send(&signal);
        if self.chance.one_in(20) {
            // The runner repeats what it sent before a crash.
            let repeated = self.desk.pipeline.stats().repeated_signals;
            assert!(!kinds(self.desk.send(&signal)).contains(&"signal_raw"));
            assert_eq!(self.desk.pipeline.stats().repeated_signals, repeated + 1);
        }
    }

    fn any_order(&mut self) -> Option<OrderId> {
        let ids = match self.chance.below(4) {
            0 => self.desk.audit.orders.keys().copied().collect(),
            _ => self.desk.pipeline.engine().working_ids(),
        };
        (!ids.is_empty()).then(|| self.chance.pick(&ids))
    }

    fn command(&mut self) {
        let strategy = StrategyIdx(self.chance.within(1, 3) as u32);
        let order = self.any_order().unwrap_or_default();
        let action = match self.chance.below(14) {
            0 => CommandAction::SetState(TradingState::Halted),
            1 => CommandAction::SetState(TradingState::ReduceOnly),
            2..6 => CommandAction::SetState(TradingState::Active),
            6 => CommandAction::DisableStrategy(strategy, Reason::OperatorRequest),
            7 => CommandAction::EnableStrategy(strategy),
            8 => CommandAction::EnableStrategyAnew(strategy),
            9 if self.chance.one_in(2) => CommandAction::ResumeAnew,
            9 => CommandAction::CancelOrder(order),
            10 => CommandAction::CancelAll,
            11 => CommandAction::SquareOff(self.chance.pick(&ALL)),
            12 => CommandAction::SquareOffAll,
            _ => {
                let how = self
                    .chance
                    .pick(&[Resolution::NeverReached, Resolution::Cancelled]);
                CommandAction::ResolveOrder(order, how)
            }
        };
        self.desk.command(action);
    }

    /// Near the session's end, just beyond it, or into the next morning.
    fn leap(&mut self) {
        let day = self.desk.now.since(crate::world::at(0)) / (NEXT_DAY * SECOND);
        let from = day * NEXT_DAY;
        let to = match self.chance.below(4) {
            0 => from + SESSION - 400,
            1 => from + SESSION - 20,
            2 => from + SESSION + 1,
            _ => from + NEXT_DAY,
        };
        self.desk.clock(to);
    }

    /// What a broker says: mostly sensible, often late, repeated or impossible.
    fn report(&mut self) {
        let (order, kind) = match self.any_order() {
            Some(order) if !self.chance.one_in(12) => {
                let kind = self.kind_of(order);
                (order, kind)
            }
            _ if !self.sent.is_empty() && !self.chance.one_in(3) => {
                let which = self.chance.below(self.sent.len() as u64) as usize;
                self.sent[which]
            }
            _ => (OrderId::default(), ReportKind::Acknowledged),
        };
        self.sent.push((order, kind));
        if self.chance.one_in(8) {
            self.desk.report(order, kind);
        } else {
            self.desk.confirmed(order, kind);
        }
        // What is in doubt is asked about, and what nothing can tell an operator ends.
        let parked = self.desk.pipeline.engine().parked().first().copied();
        if let Some(parked) = parked.filter(|_| self.chance.one_in(2)) {
            if parked.confirmed {
                let cancelled = Resolution::Cancelled;
                let action = CommandAction::ResolveOrder(parked.order, cancelled);
                self.desk.command(action);
            } else {
                self.desk.report(parked.order, ReportKind::BookRead);
            }
        }
    }

    fn kind_of(&mut self, order: OrderId) -> ReportKind {
        let known = self.desk.audit.orders[&order].clone();
        let (intent, open) = (
            *known.intent(),
            known.quantity().raw() - known.filled().raw(),
        );
        let price = self.prices[intent.instrument.index()];
        if known.cancel_requested() && self.chance.one_in(2) {
            return match self.chance.below(3) {
                0 => ReportKind::CancelRefused,
                _ => ReportKind::Cancelled(Reason::OperatorRequest),
            };
        }
        match self.chance.below(16) {
            0..3 => ReportKind::Acknowledged,
            3 => ReportKind::Triggered,
            4..11 => {
                let over = i64::from(self.chance.one_in(9));
                let part = match self.chance.below(3) {
                    0 => open.max(1),
                    _ => self.chance.within(1, open.max(1) + over),
                };
                ReportKind::Filled {
                    trade: TradeId(u128::from(self.chance.next())),
                    side: known.intent().side,
                    quantity: Quantity::from_raw(part),
                    price: Price::from_raw(price + self.chance.within(0, 3)),
                    draws: 0,
                }
            }
            11 => ReportKind::Modified {
                quantity: Quantity::from_raw(
                    known.filled().raw() + self.chance.within(0, open.max(1)),
                ),
                limit_price: known.limit_price(),
                trigger_price: known.trigger_price(),
            },
            12 => ReportKind::Unknown,
            13 => ReportKind::Rejected(Reason::BrokerRejected),
            14 => ReportKind::Expired(Reason::SessionEnd),
            _ => ReportKind::NotSent(Reason::NotSent),
        }
    }
}

fn run(seeds: std::ops::Range<u64>, inputs: u32, plan: impl Fn(u64) -> Plan) -> (usize, usize) {
    let (mut orders, mut fills, mut closes, mut snapshots) = (0, 0, 0, 0);
    for seed in seeds {
        let result = catch_unwind(AssertUnwindSafe(|| {
            let plan = plan(seed);
            let mut day = Day::new(seed, &plan);
            for input in 0..inputs {
                day.step();
                day.desk.check();
                if (u64::from(input) + seed).is_multiple_of(29) {
                    day.desk.reborn(&plan);
                }
            }
            if seed.is_multiple_of(2) {
                // The day closes at the latest now.
                day.desk.clock_forward(NEXT_DAY);
                day.desk.check();
            }
            let audit = &day.desk.audit;
            let compared = day.desk.projected.snapshots;
            (audit.orders.len(), audit.fills, audit.closes, compared)
        }));
        match result {
            Ok((o, f, c, s)) => {
                (orders, fills) = (orders + o, fills + f);
                (closes, snapshots) = (closes + c, snapshots + s);
            }
            Err(failure) => {
                eprintln!("seed {seed}");
                resume_unwind(failure);
            }
        }
    }
    assert!(closes > 10, "{closes} days closed: too quiet a test");
    assert!(snapshots > 500, "{snapshots} snapshots: too quiet a test");
    (orders, fills)
}

/// Limits that bind now and then.
fn limits(seed: u64) -> Limits {
    let money = |rupees: i64| Some(MoneyLimit(vec![Some(Amount::from_int(rupees)); 2]));
    if seed.is_multiple_of(3) {
        return Limits::default();
    }
    Limits {
        order_quantity: Some(units(10)),
        position_quantity: Some(units(30)),
        gross_exposure: money(40_000),
        open_orders: Some(12),
        orders_per_second: Some(4),
        daily_loss: money(60),
        drawdown: money(90),
        on_breach: OnBreachTable {
            daily_loss: if seed.is_multiple_of(4) {
                OnBreach::SquareOff
            } else {
                OnBreach::Halt
            },
            drawdown: OnBreach::SquareOff,
        },
        duplicate_window: Some(SECOND),
        stale_signal: Some(5 * SECOND),
        stale_market_data: Some(60 * SECOND),
        watches_losses: true,
        ..Limits::default()
    }
}

fn plan(seed: u64) -> Plan {
    Plan {
        limits: limits(seed),
        strategy_limits: if seed.is_multiple_of(2) {
            Vec::new()
        } else {
            vec![None, Some(limits(seed + 1))]
        },
        auto_resume: if seed.is_multiple_of(2) {
            AutoResume::NextDay
        } else {
            AutoResume::Manual
        },
        on_resume: if seed % 4 < 2 {
            OnResume::Follow
        } else {
            OnResume::Hold
        },
        square_off: (seed % 5 < 3).then_some(5 * MINUTE),
        notice: (seed % 2) as i64 * MINUTE,
        charges: if seed.is_multiple_of(2) {
            Arc::new(Rounded::new())
        } else {
            Arc::new(FlatRate::from_raw(33_333).unwrap())
        },
        ..Plan::default()
    }
}

fn paper(seed: u64) -> PaperSettings {
    PaperSettings {
        simulation_latency_ms: [0, 0, 700, 2500][(seed % 4) as usize],
        latency_jitter_ms: if seed % 8 < 4 { 0 } else { 900 },
        slippage_ticks: (seed % 3) as u32,
        participation: if seed.is_multiple_of(2) { 0.0 } else { 0.3 },
        partial_fill_probability: if seed % 3 == 1 { 0.5 } else { 0.0 },
        fill: if seed % 5 == 4 {
            FillOn::SignalTick
        } else {
            FillOn::NextTick
        },
        seed,
        ..PaperSettings::default()
    }
}

/// Trades at random on ticks, bars, timers and its own fills.
fn restless(name: &str, seed: u64) -> Recipe {
    let script = move |state: &mut u64, call: Call<'_>, ctx: &mut Context<'_>| {
        let mut chance = Chance(*state);
        let price = match call {
            Call::Tick(_, tick) => tick.price.raw(),
            Call::Bar(_, bar) => bar.close.raw(),
            Call::Fill(fill) => fill.price.raw(),
            _ => 10_000_000_000,
        };
        let wants = match call {
            Call::Fill(..) => chance.one_in(2),
            _ => chance.one_in(6),
        };
        if wants {
            let made = decision(&mut chance, AXIS, price);
            ctx.signal(Decision {
                instrument: chance.pick(&[AXIS, BEL]),
                ..made
            });
        }
        if chance.one_in(9) {
            let due = ctx.now().plus(chance.within(1, 100) * SECOND);
            ctx.set_timer(due, strategies::TimerId(chance.below(3) as u32));
        }
        if seed % 7 == 3 && chance.one_in(120) {
            panic!("{}", crate::scripted::SCRIPTED);
        }
        *state = chance.next();
    };
    let mut recipe = Recipe::new(name, &[AXIS, BEL], script).bars(&["15s", "1m"]);
    recipe.subscription.sessions = true;
    recipe.seed = seed;
    recipe.warm_up = (seed % 4) as u32;
    recipe
}

/// Silent: the panics of scripts are part of the test.
fn quiet<T>(run: impl FnOnce() -> T) -> T {
    crate::scripted::silence();
    run()
}

#[test]
fn a_day_with_the_paper_trader_folds_and_adds_up() {
    let (orders, fills) = run(0..24, 150, |seed| Plan {
        paper: Some(paper(seed)),
        ..plan(seed)
    });
    assert!(
        orders > 500 && fills > 300,
        "{orders} orders, {fills} fills: too quiet a test"
    );
}

#[test]
fn a_day_with_a_broker_outside_folds_and_adds_up() {
    let (orders, fills) = run(100..130, 180, |seed| Plan {
        paper: None,
        ..plan(seed)
    });
    assert!(
        orders > 500 && fills > 300,
        "{orders} orders, {fills} fills: too quiet a test"
    );
}

#[test]
fn a_day_with_strategies_inside_the_namespace_folds_and_adds_up() {
    let own = |seed| vec![restless("a", seed), restless("b", seed + 50)];
    let (orders, fills) = quiet(|| {
        run(200..224, 150, |seed| Plan {
            paper: Some(paper(seed)),
            own: own(seed),
            ..plan(seed)
        })
    });
    assert!(
        orders > 500 && fills > 300,
        "{orders} orders, {fills} fills: too quiet a test"
    );
}
