//! Instruments, hours and strategies, and the composition of a system as a start makes it.

use std::sync::Arc;

use journal::record::{Start, StrategyEntry};
use journal::{FileLogs, FileOptions, Logs, Storage};
use model::charges::NoCharges;
use model::ids::SourceSession;
use model::market::Timeframe;
use model::session::{
    AlwaysOpen, SessionGroup, SessionStatus, SessionWindow, Sessions, TradingDay,
};
use model::signal::{Action, Bracket, Decision, OrderType, Product, Side, Validity};
use model::time::{MINUTE, SECOND};
use model::topic::Namespace;
use model::trader::{Capabilities, Delivery, InPipelineTrader};
use model::{
    Amount, AssetClass, Bar, Instrument, Instruments, Price, Quantity, StrategyIdx, Tick, Timestamp,
};
use paper::{PaperSettings, PaperTrader};
use pipeline::broker::OnResume;
use pipeline::risk::{AutoResume, Limits};
use pipeline::{BrokerMask, BrokerPipeline, BrokerSettings, Runner, StrategyHost, StrategySetup};
use strategies::{
    Context, KindRegistry, MissedTimers, OwnFill, Slot, StateError, Strategy, Subscription, TimerId,
};

use crate::chance::Chance;

/// The first instant of every simulation.
pub const BEGIN: Timestamp = Timestamp(1_700_000_000 * SECOND);
/// The smallest step of every price.
pub const STEP: i64 = 5_000_000;
/// The namespaces by their index.
pub const NAMES: [&str; 2] = ["desk", "outside"];
/// The one whose trader is inside its pipeline.
pub const DESK: usize = 0;
/// The one with a broker outside.
pub const OUTSIDE: usize = 1;

/// Logs in files, over so small segments that there are many.
pub fn logs(storage: Arc<dyn Storage>) -> Arc<dyn Logs> {
    let options = FileOptions {
        preallocate: 8 << 10,
        segment_max: 48 << 10,
    };
    Arc::new(FileLogs::over(storage, options))
}

/// Open four minutes of every five.
struct Short;

const CYCLE: i64 = 5 * MINUTE;

impl Sessions for Short {
    fn groups(&self) -> usize {
        1
    }
    fn group(&self, _: &Instrument) -> SessionGroup {
        SessionGroup(0)
    }
    fn status(&self, _: SessionGroup, at: Timestamp) -> SessionStatus {
        let open = Timestamp(at.nanos().div_euclid(CYCLE) * CYCLE);
        let close = open.plus(4 * MINUTE);
        if at < close {
            SessionStatus::Open(SessionWindow { open, close })
        } else {
            SessionStatus::Closed {
                next_open: open.plus(CYCLE),
            }
        }
    }
    fn trading_day(&self, at: Timestamp) -> TradingDay {
        AlwaysOpen.trading_day(at)
    }
}

/// What a start may change of the tables: another instrument, another order of strategies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tables {
    /// One more instrument, first in the order of ids.
    pub more: bool,
    /// Strategies in another order.
    pub turned: bool,
    /// The definition of `alpha` is another.
    pub redefined: bool,
}

/// What a system is composed from, the same at every start but for the tables.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub delivery: Delivery,
    pub short_sessions: bool,
    pub pace: u64,
    pub send_within: i64,
    pub paper: PaperSettings,
    /// A strategy asks for what it may not, and is disabled for it.
    pub failing: bool,
}

/// Asks at random for positions: on ticks, on bars, on timers, and on its own fills.
struct Restless {
    state: u64,
    pace: u64,
    last: Vec<i64>,
    failing: bool,
}

pub fn units(count: i64) -> Quantity {
    Quantity::from_int(count).unwrap()
}

fn price(raw: i64) -> Price {
    Price::from_raw((raw / STEP * STEP).max(STEP * 10))
}

impl Restless {
    fn decide(&mut self, slot: Slot, often: u64, ctx: &mut Context<'_>) {
        let mut chance = Chance::from_state(self.state);
        if chance.one_in(often) {
            let last = self.last[slot.index()].max(100 * STEP);
            let decision = self.decision(slot, last, &mut chance, ctx);
            ctx.signal(decision);
            if self.failing && chance.one_in(12) {
                // An instrument that is not its own.
                ctx.signal(Decision {
                    instrument: model::InstrumentIdx(9_999),
                    ..decision
                });
            }
        }
        if chance.one_in(15) {
            let due = ctx.now().plus(chance.within(1, 20_000) * SECOND / 1000);
            ctx.set_timer(due, TimerId(slot.0));
        }
        self.state = chance.next();
    }

    fn decision(&self, slot: Slot, last: i64, chance: &mut Chance, ctx: &Context<'_>) -> Decision {
        let side = chance.pick(&[Side::Buy, Side::Sell]);
        let quantity = units(chance.within(1, 9));
        let action = match chance.below(8) {
            0..3 => Action::Enter { side, quantity },
            3 => Action::Exit { quantity: None },
            4 => Action::Exit {
                quantity: Some(quantity),
            },
            5 => Action::Target {
                quantity: Quantity::ZERO,
            },
            _ => Action::Target {
                quantity: side.signed(quantity),
            },
        };
        let order_type = match chance.below(10) {
            0..6 => OrderType::Market,
            6..9 => OrderType::Limit,
            _ => OrderType::Stop,
        };
        let at = price(last + chance.within(-8, 8) * STEP);
        let away = |by: i64| price(at.raw().max(last) + by * STEP);
        let below = |by: i64| price(at.raw().min(last) - by * STEP);
        let (near, far) = (chance.within(1, 12), chance.within(1, 12));
        let bracket = match (chance.below(3), side) {
            (0, Side::Buy) => Bracket {
                stop_loss: Some(below(near)),
                take_profit: Some(away(far)),
            },
            (0, Side::Sell) => Bracket {
                stop_loss: Some(away(near)),
                take_profit: Some(below(far)),
            },
            _ => Bracket::default(),
        };
        Decision {
            order_type,
            limit_price: order_type.has_limit().then_some(at),
            trigger_price: order_type.has_trigger().then_some(at),
            validity: chance.pick(&[Validity::Day, Validity::Day, Validity::Day, Validity::Ioc]),
            bracket,
            ..ctx.decision(slot, action)
        }
    }
}

impl Strategy for Restless {
    fn subscription(&self) -> Subscription {
        Subscription {
            ticks: true,
            bars: vec![Timeframe::parse("5s").unwrap()],
            ..Subscription::default()
        }
    }
    fn on_tick(&mut self, slot: Slot, tick: &Tick, ctx: &mut Context<'_>) {
        self.last[slot.index()] = tick.price.raw();
        self.decide(slot, self.pace, ctx);
    }
    fn on_bar(&mut self, slot: Slot, bar: &Bar, ctx: &mut Context<'_>) {
        self.last[slot.index()] = bar.close.raw();
        self.decide(slot, self.pace, ctx);
    }
    fn on_timer(&mut self, id: TimerId, ctx: &mut Context<'_>) {
        self.decide(Slot(id.0), 2, ctx);
    }
    fn on_missed_timer(&mut self, id: TimerId, _: Timestamp, ctx: &mut Context<'_>) {
        self.decide(Slot(id.0), 2, ctx);
    }
    fn on_fill(&mut self, slot: Slot, fill: &OwnFill, ctx: &mut Context<'_>) {
        self.last[slot.index()] = fill.price.raw();
        self.decide(slot, 3, ctx);
    }
    fn save(&self) -> Result<Vec<u8>, StateError> {
        let numbers = std::iter::once(self.state).chain(self.last.iter().map(|l| *l as u64));
        Ok(numbers.flat_map(u64::to_le_bytes).collect())
    }
    fn restore(&mut self, state: &[u8]) -> Result<(), StateError> {
        let mut numbers = state
            .chunks(8)
            .map(|c| u64::from_le_bytes(c.try_into().unwrap_or_default()));
        self.state = numbers.next().unwrap_or_default();
        for (last, saved) in self.last.iter_mut().zip(numbers) {
            *last = saved as i64;
        }
        Ok(())
    }
}

/// A start's composition.
pub struct Composed {
    pub instruments: Arc<Instruments>,
    pub strategies: Vec<String>,
    pub runner: Runner,
    /// By the namespaces' indices.
    pub pipelines: Vec<BrokerPipeline>,
    pub sessions: Arc<dyn Sessions>,
    pub start: Start,
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        let mut chance = Chance::of(seed, "plan");
        Self {
            seed,
            delivery: if seed.is_multiple_of(2) {
                Delivery::Idempotent
            } else {
                Delivery::QueryOnly
            },
            short_sessions: chance.one_in(3),
            pace: chance.within(3, 12) as u64,
            send_within: chance.within(1, 6) * SECOND,
            paper: PaperSettings {
                simulation_latency_ms: chance.pick(&[0, 0, 80, 900]),
                partial_fill_probability: chance.pick(&[0.0, 0.5]),
                seed,
                ..PaperSettings::default()
            },
            failing: chance.one_in(5),
        }
    }

    fn sessions(&self) -> Arc<dyn Sessions> {
        if self.short_sessions {
            Arc::new(Short)
        } else {
            Arc::new(AlwaysOpen)
        }
    }

    fn restless(&self, name: &str, slots: usize) -> Box<dyn Strategy> {
        Box::new(Restless {
            state: Chance::of(self.seed, name).next(),
            pace: self.pace,
            last: vec![0; slots],
            failing: self.failing && name == "beta",
        })
    }

    fn ema(&self, slots: usize) -> Box<dyn Strategy> {
        let registry = KindRegistry::built_in();
        let kind = registry.find("ema_cross").unwrap();
        let given = [("fast", "2"), ("slow", "5"), ("quantity", "3")];
        let parameters = strategies::Parameters::new(kind.parameters, |name| {
            let found = given.iter().find(|(n, _)| *n == name);
            found.map(|(_, text)| (*text).to_owned())
        })
        .unwrap();
        (kind.build)(&strategies::Setup {
            kind: kind.name,
            parameters: &parameters,
            instruments: slots,
            warm_up: 0,
        })
        .unwrap()
    }

    /// Builds every stage anew. `source` is another at each start of a live session.
    pub fn compose(&self, source: SourceSession, tables: Tables) -> Composed {
        let inr = "INR".parse().unwrap();
        let mut symbols = vec!["B", "C", "D", "E"];
        if tables.more {
            symbols.insert(0, "A");
        }
        let shares = symbols.iter().map(|s| Instrument::share("SIM", s, inr));
        let instruments = Arc::new(Instruments::new(shares.collect()).unwrap());
        let mut strategies = vec!["manual", "alpha", "beta", "ema", "own"];
        if tables.turned {
            strategies = vec!["manual", "own", "ema", "beta", "alpha"];
        }
        let sessions = self.sessions();
        let traded: Vec<_> = instruments
            .iter()
            .filter(|(_, i)| i.symbol != "A")
            .map(|(index, _)| index)
            .collect();
        let setup = |name: &str| StrategySetup {
            index: StrategyIdx(strategies.iter().position(|s| *s == name).unwrap() as u32),
            name: name.to_owned(),
            instruments: traded.clone(),
            product: Product::Intraday,
            warm_up: 0,
            missed_timers: match name {
                "beta" => MissedTimers::CatchUp,
                _ => MissedTimers::Skip,
            },
            enabled: true,
            brokers: BrokerMask::single(DESK).with(OUTSIDE),
            strategy: match name {
                "ema" => self.ema(traded.len()),
                name => self.restless(name, traded.len()),
            },
        };
        let host = StrategyHost::new(
            Arc::clone(&instruments),
            Arc::clone(&sessions),
            source,
            ["alpha", "beta", "ema"].map(setup).into(),
            false,
        );
        let pipelines = [DESK, OUTSIDE].map(|index| {
            let trader = (index == DESK).then(|| {
                let trader = PaperTrader::new(
                    self.paper.clone(),
                    Arc::clone(&instruments),
                    Arc::clone(&sessions),
                );
                Box::new(trader.unwrap()) as Box<dyn InPipelineTrader>
            });
            BrokerPipeline::new(
                Arc::clone(&instruments),
                Arc::clone(&sessions),
                source,
                self.settings(index, strategies.len()),
                Capabilities {
                    delivery: self.delivery,
                    asset_classes: AssetClass::ALL.to_vec(),
                    native_oco: false,
                    executes_on_tick: true,
                },
                vec![setup("own")],
                trader,
            )
        });
        let start = Start {
            epoch: 0,
            at: BEGIN,
            build: "simulation".to_owned(),
            settings: String::new(),
            source,
            live: true,
            salt: u128::from(self.seed) << 64 | source.0,
            brokers: NAMES.iter().map(|n| (*n).to_owned()).collect(),
            strategies: strategies
                .iter()
                .map(|name| StrategyEntry {
                    name: (*name).to_owned(),
                    definition: format!(
                        "{name}{}",
                        if tables.redefined && *name == "alpha" {
                            " anew"
                        } else {
                            ""
                        }
                    ),
                })
                .collect(),
            instruments: instruments.iter().map(|(_, i)| i.clone()).collect(),
            currencies: instruments.currencies().to_vec(),
        };
        Composed {
            strategies: strategies.iter().map(|s| (*s).to_owned()).collect(),
            runner: Runner::new(host),
            pipelines: pipelines.into(),
            sessions,
            start,
            instruments,
        }
    }

    fn settings(&self, index: usize, strategies: usize) -> BrokerSettings {
        BrokerSettings {
            namespace: Namespace::new(NAMES[index]).unwrap(),
            starting_cash: vec![Amount::from_int(1_000_000)],
            limits: Limits {
                position_quantity: Some(units(40)),
                open_orders: Some(25),
                stale_signal: Some(10 * SECOND),
                ..Limits::default()
            },
            strategy_limits: vec![None; strategies],
            auto_resume: AutoResume::Manual,
            on_resume: OnResume::Hold,
            square_off: vec![self.short_sessions.then_some(20 * SECOND); 8],
            square_off_notice: 10 * SECOND,
            snapshot_interval: 30 * SECOND,
            send_within: self.send_within,
            report_band: model::fixed::ONE / 2,
            charges: Arc::new(NoCharges),
            rules: Arc::new(model::rules::NoRules),
        }
    }
}
