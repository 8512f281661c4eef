//! A host for tests of strategies: feeds ticks, builds bars, fires timers and keeps positions, with
//! the order of calls of the real host but none of its brokers. Every decision fills at once.

use std::collections::{BTreeMap, BTreeSet};

use model::market::Timeframe;
use model::session::SessionWindow;
use model::signal::{Action, Decision, Product, Side};
use model::{Bar, Instrument, InstrumentIdx, Instruments, Price, Quantity, Tick, Timestamp};

use crate::kind::{KindRegistry, Scope, Setup};
use crate::parameter::Parameters;
use crate::strategy::{
    Context, OwnFill, SessionEvent, Slot, Strategy, Subscription, TimerId, TimerRequest,
};

/// A strategy with all that its host keeps for it.
pub struct Host {
    /// The strategy.
    pub strategy: Box<dyn Strategy>,
    subscription: Subscription,
    per_broker: bool,
    world: World,
}

/// What the host keeps besides the strategy; cloned to go on elsewhere.
#[derive(Clone)]
struct World {
    instruments: Instruments,
    windows: Vec<Option<SessionWindow>>,
    seen: Vec<u32>,
    positions: Vec<Quantity>,
    bars: BTreeMap<(u32, Timeframe), Bar>,
    timers: BTreeSet<(Timestamp, u32)>,
    decisions: Vec<(Timestamp, Decision)>,
}

impl Host {
    /// A strategy of a registered kind over `instruments` shares with a tick of 0.05. Parameters not
    /// given hold their defaults.
    pub fn new(
        registry: &KindRegistry,
        kind: &str,
        given: &[(&str, &str)],
        instruments: usize,
    ) -> Result<Self, String> {
        let kind = registry.find(kind).map_err(|e| e.to_string())?;
        let parameters = Parameters::new(kind.parameters, |name| {
            given
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, text)| (*text).to_owned())
        })
        .map_err(|(name, why)| format!("`{name}`: {why}"))?;
        let setup = Setup {
            kind: kind.name,
            parameters: &parameters,
            instruments,
            warm_up: 0,
        };
        let strategy = (kind.build)(&setup).map_err(|e| e.to_string())?;
        let currency = "INR".parse().map_err(|_| "no currency".to_owned())?;
        // Three digits keep the order of the ids that of the slots.
        let shares =
            (0..instruments).map(|i| Instrument::share("TEST", &format!("S{i:03}"), currency));
        Ok(Self {
            subscription: strategy.subscription(),
            per_broker: kind.scope == Scope::PerBroker,
            strategy,
            world: World {
                instruments: Instruments::new(shares.collect()).map_err(|e| e.to_string())?,
                windows: vec![None; instruments],
                seen: vec![0; instruments],
                positions: vec![Quantity::ZERO; instruments],
                bars: BTreeMap::new(),
                timers: BTreeSet::new(),
                decisions: Vec::new(),
            },
        })
    }

    /// Runs another strategy of the same scope instead, such as one that a definition has built.
    pub fn replace(&mut self, strategy: Box<dyn Strategy>) {
        self.subscription = strategy.subscription();
        self.strategy = strategy;
    }

    /// Goes on where `other` stands, with this host's own strategy.
    pub fn take_over(&mut self, other: &Self) {
        self.world = other.world.clone();
    }

    /// Everything decided so far that was not discarded, with the time of its input.
    pub fn decisions(&self) -> &[(Timestamp, Decision)] {
        &self.world.decisions
    }

    /// The position that all decisions together have made.
    pub fn position(&self, slot: Slot) -> Quantity {
        self.world.positions[slot.index()]
    }

    /// Opens (or, with `None`, closes) every instrument's market.
    pub fn session(&mut self, at: Timestamp, window: Option<SessionWindow>) {
        self.pass_time(at);
        for slot in 0..self.world.instruments.len() {
            self.world.windows[slot] = window;
            if self.subscription.sessions {
                let event = window.map_or(SessionEvent::Close, SessionEvent::Open);
                self.call(at, None, |s, ctx| {
                    s.on_session(Slot(slot as u32), event, ctx)
                });
            }
        }
    }

    /// Delivers a trade of `quantity` at `price`, after whatever bars and timers are due before it.
    pub fn tick(&mut self, slot: Slot, ts: Timestamp, price: Price, quantity: Quantity) {
        self.pass_time(ts);
        let instrument = InstrumentIdx(slot.0);
        let tick = Tick {
            ts,
            price,
            quantity,
            instrument,
            ..Tick::default()
        };
        if self.subscription.ticks {
            self.call(ts, Some(slot), |s, ctx| s.on_tick(slot, &tick, ctx));
        }
        for timeframe in self.subscription.bars.clone() {
            let length = timeframe.nanos();
            let open_ts = Timestamp(ts.nanos() - ts.nanos().rem_euclid(length));
            let bar = self.world.bars.entry((slot.0, timeframe)).or_insert(Bar {
                open_ts,
                close_ts: open_ts.plus(length),
                open: price,
                high: price,
                low: price,
                close: price,
                volume: Quantity::ZERO,
                open_interest: Quantity::ZERO,
                instrument,
                timeframe,
            });
            bar.high = bar.high.max(price);
            bar.low = bar.low.min(price);
            bar.close = price;
            bar.volume = bar.volume.checked_add(quantity).unwrap_or(bar.volume);
        }
    }

    /// Delivers a bar of the data, after whatever timers are due before it.
    pub fn data_bar(&mut self, slot: Slot, bar: &Bar) {
        self.pass_time(bar.close_ts);
        if self.subscription.ticks {
            self.call(bar.close_ts, Some(slot), |s, ctx| {
                s.on_data_bar(slot, bar, ctx);
            });
        }
    }

    /// Fires what is due at or before `now`: bars at their close, then timers, in order of time.
    pub fn pass_time(&mut self, now: Timestamp) {
        loop {
            let timer = self.world.timers.first().copied();
            let bar = self
                .world
                .bars
                .iter()
                .map(|(key, bar)| (bar.close_ts, *key))
                .min();
            let timer_first = match (timer, bar) {
                (Some((due, _)), Some((close, _))) => due < close,
                (Some(_), None) => true,
                (None, _) => false,
            };
            if timer_first && let Some((due, id)) = timer.filter(|(due, _)| *due <= now) {
                self.world.timers.remove(&(due, id));
                self.call(due, None, |s, ctx| s.on_timer(TimerId(id), ctx));
            } else if !timer_first
                && let Some((close, key)) = bar.filter(|(close, _)| *close <= now)
            {
                let slot = Slot(key.0);
                let counted = (!self.subscription.ticks).then_some(slot);
                if let Some(bar) = self.world.bars.remove(&key) {
                    self.call(close, counted, |s, ctx| s.on_bar(slot, &bar, ctx));
                }
            } else {
                return;
            }
        }
    }

    /// Calls the strategy, then carries out what it asked for. `input` counts towards the warm-up.
    fn call(
        &mut self,
        now: Timestamp,
        input: Option<Slot>,
        f: impl FnOnce(&mut dyn Strategy, &mut Context<'_>),
    ) {
        let warm = input.is_none_or(|slot| {
            let seen = &mut self.world.seen[slot.index()];
            *seen = seen.saturating_add(1);
            *seen > self.subscription.warm_up
        });
        let decisions = self.with_context(now, f);
        if warm {
            for decision in decisions {
                self.world.decisions.push((now, decision));
                self.fill(now, &decision);
            }
        }
    }

    fn with_context(
        &mut self,
        now: Timestamp,
        f: impl FnOnce(&mut dyn Strategy, &mut Context<'_>),
    ) -> Vec<Decision> {
        let world = &self.world;
        let indices: Vec<InstrumentIdx> =
            world.instruments.iter().map(|(index, _)| index).collect();
        let (mut decisions, mut timers) = (Vec::new(), Vec::new());
        let positions = self.per_broker.then_some(world.positions.as_slice());
        let mut ctx = Context::new(
            now,
            &world.instruments,
            &indices,
            &world.windows,
            positions,
            &mut decisions,
            &mut timers,
        );
        f(self.strategy.as_mut(), &mut ctx);
        for TimerRequest { due, id } in timers {
            self.world.timers.retain(|(_, other)| *other != id.0);
            self.world.timers.insert((due, id.0));
        }
        decisions
    }

    fn fill(&mut self, now: Timestamp, decision: &Decision) {
        let slot = Slot(decision.instrument.0);
        let held = self.world.positions[slot.index()];
        let wanted = match decision.action {
            Action::Target { quantity } => quantity,
            Action::Exit { quantity: None } => Quantity::ZERO,
            Action::Exit { quantity: Some(q) } => {
                Quantity::from_raw(held.signum() * (held.abs().raw() - q.raw()).max(0))
            }
            Action::Enter { side, quantity } => {
                held.checked_add(side.signed(quantity)).unwrap_or(held)
            }
        };
        let moved = wanted.checked_sub(held).unwrap_or(Quantity::ZERO);
        self.world.positions[slot.index()] = wanted;
        if self.per_broker && !moved.is_zero() {
            let price = decision.limit_price.unwrap_or_default();
            let fill = OwnFill {
                side: Side::of(moved),
                quantity: moved.abs(),
                price,
                product: Product::Intraday,
                position: wanted,
            };
            for decision in self.with_context(now, |s, ctx| s.on_fill(slot, &fill, ctx)) {
                self.world.decisions.push((now, decision));
            }
        }
    }
}
