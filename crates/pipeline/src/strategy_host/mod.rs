//! Runs strategies: hands them what they subscribed to, gives their decisions an identity, and keeps
//! one that fails from harming the others.

mod decide;
mod state;

pub use state::HostState;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use model::ids::{NameHash, SourceSession};
use model::market::MarketData;
use model::reason::Reason;
use model::session::{SessionGroup, SessionStatus, SessionWindow, Sessions};
use model::signal::{Decision, OrderType, Product, Signal, Trigger};
use model::{
    Bar, CorrelationId, Depth, InputId, InstrumentIdx, Instruments, Price, Quantity, StrategyIdx,
    Tick, Timestamp,
};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use strategies::{
    Context, MissedTimers, OwnFill, SessionEvent, Slot, Strategy, TimerId, TimerRequest,
};

use crate::bars::BarBuilders;
use crate::kernel::BrokerMask;

/// A strategy asks for at most this many decisions in one call; more is taken for a fault.
pub const DECISIONS_PER_CALL_MAX: usize = 4096;
/// A strategy has at most this many timers at once; more is taken for a fault.
pub const TIMERS_MAX: usize = 1024;

/// A timer fires at least this long after it was set, in nanoseconds.
pub const TIMER_DELAY_MIN: i64 = model::time::SECOND / 1000;

/// A strategy to be hosted.
pub struct StrategySetup {
    /// Its index, by the rank of its id; 0 is reserved.
    pub index: StrategyIdx,
    /// Its id.
    pub name: String,
    /// Its instruments, in the order of its slots.
    pub instruments: Vec<InstrumentIdx>,
    /// What its positions are held as.
    pub product: Product,
    /// A warm-up longer than the strategy's own.
    pub warm_up: u32,
    /// What becomes of its timers that came due while the system was off.
    pub missed_timers: MissedTimers,
    /// Whether it may trade from the start.
    pub enabled: bool,
    /// The namespaces it sends to.
    pub brokers: BrokerMask,
    /// The strategy itself.
    pub strategy: Box<dyn Strategy>,
}

/// What the host produced, in order.
#[derive(Debug, Clone, Copy)]
#[allow(
    clippy::large_enum_variant,
    reason = "plain values in a reused buffer; a box would allocate per signal"
)]
pub enum Made {
    /// A signal, and where it goes.
    Signal(Signal, BrokerMask),
    /// A strategy failed and is disabled, and where it sent its signals.
    Failed(StrategyIdx, Reason, BrokerMask, NameHash),
}

/// Is told of every call of a strategy; only a live host, which measures time, has one.
pub trait CallProbe: Send + Sync {
    /// A call begins.
    fn enter(&self, strategy: StrategyIdx);
    /// It has returned, or panicked.
    fn leave(&self, strategy: StrategyIdx);
}

/// What tells one target from the next: a new limit price is a new target.
type TargetKey = (Quantity, OrderType, Option<Price>, Option<Price>);

/// A timer that a strategy has set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Timer {
    due: Timestamp,
    id: TimerId,
    /// When it was due at first, where that was missed.
    missed: Option<Timestamp>,
}

impl Timer {
    /// Due while the system was off or suspended until `until`.
    fn miss(&mut self, missed_timers: MissedTimers, until: Timestamp) {
        if missed_timers == MissedTimers::Skip && self.due < until {
            self.missed = Some(self.missed.unwrap_or(self.due));
            self.due = until;
        }
    }
}

struct Hosted {
    index: StrategyIdx,
    name: String,
    hash: NameHash,
    product: Product,
    brokers: BrokerMask,
    enabled: bool,
    ticks: bool,
    sessions: bool,
    strategy: Box<dyn Strategy>,
    instruments: Vec<InstrumentIdx>,
    slots: FxHashMap<InstrumentIdx, Slot>,
    windows: Vec<Option<SessionWindow>>,
    /// Inputs that each instrument still needs before decisions count.
    warm_left: Vec<u32>,
    /// Own positions, where the strategy runs inside one namespace.
    positions: Option<Vec<Quantity>>,
    /// What the strategy has asked its position to be: the base of "opens" and "reduces".
    believed: Vec<Quantity>,
    last_target: Vec<Option<TargetKey>>,
    opener: Vec<CorrelationId>,
    missed_timers: MissedTimers,
    timers: Vec<Timer>,
    /// The input of its latest signal and how many it has sent on it.
    ordinal: (InputId, u32),
}

#[derive(Clone, Copy)]
struct Subscriber {
    host: u32,
    slot: Slot,
}

struct GroupClock {
    group: SessionGroup,
    status: SessionStatus,
}

impl GroupClock {
    fn next_due(&self) -> Timestamp {
        match self.status {
            SessionStatus::Open(window) => window.close,
            SessionStatus::Closed { next_open } => next_open,
        }
    }
    fn window(&self) -> Option<SessionWindow> {
        match self.status {
            SessionStatus::Open(window) => Some(window),
            SessionStatus::Closed { .. } => None,
        }
    }
}

/// Hosts strategies over one source of inputs.
pub struct StrategyHost {
    instruments: Arc<Instruments>,
    sessions: Arc<dyn Sessions>,
    source: SourceSession,
    hosted: Vec<Hosted>,
    tick_subscribers: Vec<Subscriber>,
    tick_ranges: Vec<(u32, u32)>,
    bars: BarBuilders,
    bar_subscribers: Vec<Vec<Subscriber>>,
    groups: Vec<GroupClock>,
    group_of: Vec<u32>,
    next_due: Timestamp,
    now: Timestamp,
    /// Where the latest absence ended: timers of before it that are skipped were missed.
    back: Timestamp,
    input: InputId,
    decisions: Vec<Decision>,
    requests: Vec<TimerRequest>,
    made: Vec<Made>,
    probe: Option<Arc<dyn CallProbe>>,
}

impl StrategyHost {
    /// Hosts `setups`, which run in the order of their indices. `own_positions` is set inside a
    /// namespace, where a strategy sees its own fills.
    pub fn new(
        instruments: Arc<Instruments>,
        sessions: Arc<dyn Sessions>,
        source: SourceSession,
        mut setups: Vec<StrategySetup>,
        own_positions: bool,
    ) -> Self {
        setups.sort_by_key(|s| s.index);
        let count = instruments.len();
        let mut by_instrument: Vec<Vec<Subscriber>> = vec![Vec::new(); count];
        let mut wanted_bars = Vec::new();
        let mut bar_wishes = Vec::new();
        let mut used_groups: Vec<SessionGroup> = Vec::new();
        let mut hosted = Vec::with_capacity(setups.len());
        for (host, setup) in setups.into_iter().enumerate() {
            let subscription = setup.strategy.subscription();
            let slots = setup.instruments.len();
            for (slot, instrument) in setup.instruments.iter().enumerate() {
                let subscriber = Subscriber {
                    host: host as u32,
                    slot: Slot(slot as u32),
                };
                if subscription.ticks {
                    by_instrument[instrument.index()].push(subscriber);
                }
                for timeframe in &subscription.bars {
                    wanted_bars.push((*instrument, *timeframe));
                    bar_wishes.push(((*instrument, *timeframe), subscriber));
                }
                used_groups.push(sessions.group(instruments.get(*instrument)));
            }
            hosted.push(Hosted {
                index: setup.index,
                hash: NameHash::of(&setup.name),
                name: setup.name,
                product: setup.product,
                brokers: setup.brokers,
                enabled: setup.enabled,
                ticks: subscription.ticks,
                sessions: subscription.sessions,
                strategy: setup.strategy,
                slots: setup
                    .instruments
                    .iter()
                    .enumerate()
                    .map(|(slot, i)| (*i, Slot(slot as u32)))
                    .collect(),
                instruments: setup.instruments,
                windows: vec![None; slots],
                warm_left: vec![subscription.warm_up.max(setup.warm_up); slots],
                positions: own_positions.then(|| vec![Quantity::ZERO; slots]),
                believed: vec![Quantity::ZERO; slots],
                last_target: vec![None; slots],
                opener: vec![CorrelationId::default(); slots],
                missed_timers: setup.missed_timers,
                timers: Vec::new(),
                ordinal: (InputId(u64::MAX), 0),
            });
        }
        let bars = BarBuilders::new(wanted_bars, count);
        let bar_subscribers = (0..bars.len())
            .map(|b| {
                bar_wishes
                    .iter()
                    .filter(|w| w.0 == bars.pair(b))
                    .map(|w| w.1)
                    .collect()
            })
            .collect();
        let mut tick_subscribers = Vec::new();
        let tick_ranges = by_instrument
            .into_iter()
            .map(|list| {
                let from = tick_subscribers.len() as u32;
                tick_subscribers.extend(list);
                (from, tick_subscribers.len() as u32)
            })
            .collect();
        used_groups.sort_unstable();
        used_groups.dedup();
        let group_of = instruments
            .iter()
            .map(|(_, i)| {
                used_groups
                    .binary_search(&sessions.group(i))
                    .map_or(u32::MAX, |g| g as u32)
            })
            .collect();
        let never = SessionStatus::Closed {
            next_open: Timestamp::MIN,
        };
        let groups: Vec<_> = used_groups
            .into_iter()
            .map(|group| GroupClock {
                group,
                status: never,
            })
            .collect();
        // The first input, whenever it comes, finds the sessions' state due for a look.
        let next_due = if groups.is_empty() {
            Timestamp::MAX
        } else {
            Timestamp::MIN
        };
        Self {
            instruments,
            sessions,
            source,
            hosted,
            tick_subscribers,
            tick_ranges,
            bars,
            bar_subscribers,
            groups,
            group_of,
            next_due,
            now: Timestamp::MIN,
            back: Timestamp::MIN,
            input: InputId(0),
            decisions: Vec::new(),
            requests: Vec::new(),
            made: Vec::new(),
            probe: None,
        }
    }

    /// Who is told of every call.
    pub fn set_probe(&mut self, probe: Option<Arc<dyn CallProbe>>) {
        self.probe = probe;
    }

    /// Whose inputs the next ones are: identities are derived from it. A live source has a new
    /// session at each start.
    pub fn set_source(&mut self, source: SourceSession) {
        self.source = source;
    }

    /// True when nothing is hosted.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.hosted.is_empty()
    }

    /// When it next has something to do without new data.
    #[inline]
    pub fn next_due(&self) -> Timestamp {
        self.next_due
    }

    /// What was produced since it was last cleared, in order.
    #[inline]
    pub fn made(&self) -> &[Made] {
        &self.made
    }

    /// Forgets what was produced.
    #[inline]
    pub fn clear_made(&mut self) {
        self.made.clear();
    }

    /// The names of the hosted strategies that may not trade.
    pub fn disabled(&self) -> impl Iterator<Item = &str> {
        self.hosted
            .iter()
            .filter(|h| !h.enabled)
            .map(|h| h.name.as_str())
    }

    /// Lets a strategy trade, or keeps it from it.
    pub fn switch(&mut self, strategy: StrategyIdx, enabled: bool) {
        if let Some(hosted) = self.hosted.iter_mut().find(|h| h.index == strategy) {
            hosted.enabled = enabled;
        }
    }

    /// Market data has arrived. Timers due at or before it must have been fired.
    #[inline]
    pub fn market(&mut self, input: InputId, data: &MarketData<'_>) {
        self.input = input;
        self.now = self.now.max(data.ts());
        match data {
            MarketData::Tick(tick, depth) => self.tick(tick, *depth),
            MarketData::Bar(bar) => self.bar(bar),
        }
    }

    #[inline]
    fn tick(&mut self, tick: &Tick, depth: Option<&Depth>) {
        if !self.bars.is_empty() {
            let builders = self.bars.of(tick.instrument);
            if !builders.is_empty() {
                self.build_bars(builders, tick);
            }
        }
        self.deliver(tick.instrument, |strategy, slot, ctx| match depth {
            None => strategy.on_tick(slot, tick, ctx),
            Some(depth) => strategy.on_depth(slot, tick, depth, ctx),
        });
    }

    fn build_bars(&mut self, builders: std::ops::Range<usize>, tick: &Tick) {
        if let Some(window) = self.window_of(tick.instrument) {
            for builder in builders {
                self.bars.add_tick(builder, self.now, window, tick);
            }
            self.next_due = self.next_due.min(self.bars.next_due());
        }
    }

    fn window_of(&self, instrument: InstrumentIdx) -> Option<SessionWindow> {
        self.groups
            .get(self.group_of[instrument.index()] as usize)
            .and_then(GroupClock::window)
    }

    fn bar(&mut self, bar: &Bar) {
        self.deliver(bar.instrument, |strategy, slot, ctx| {
            strategy.on_data_bar(slot, bar, ctx);
        });
        // A bar that ends with its session arrives at the instant of the close.
        let group = self
            .groups
            .get(self.group_of[bar.instrument.index()] as usize);
        let window = group.and_then(|g| match self.sessions.status(g.group, bar.open_ts) {
            SessionStatus::Open(window) => Some(window),
            SessionStatus::Closed { .. } => None,
        });
        for builder in self.bars.of(bar.instrument) {
            let (_, timeframe) = self.bars.pair(builder);
            if timeframe == bar.timeframe {
                self.deliver_bar(builder, bar, None);
            } else if timeframe > bar.timeframe
                && let Some(window) = window
                && let Some(whole) = self.bars.add_bar(builder, window, bar)
            {
                self.deliver_bar(builder, &whole, None);
            }
        }
        // What is finished early needs its timer no more.
        self.refresh_due();
    }

    /// Tells those who follow an instrument's ticks.
    #[inline]
    fn deliver(
        &mut self,
        instrument: InstrumentIdx,
        tell: impl Fn(&mut dyn Strategy, Slot, &mut Context<'_>),
    ) {
        let (from, to) = self.tick_ranges[instrument.index()];
        let mut at = from;
        while at < to {
            // One guard around the whole list: `at` tells who was running.
            let run = catch_unwind(AssertUnwindSafe(|| {
                while at < to {
                    let Subscriber { host, slot } = self.tick_subscribers[at as usize];
                    self.call(host as usize, None, &Trigger::Input, |strategy, ctx| {
                        tell(strategy, slot, ctx)
                    });
                    let left = &mut self.hosted[host as usize].warm_left[slot.index()];
                    *left = left.saturating_sub(1);
                    at += 1;
                }
            }));
            if run.is_err() {
                self.fail(
                    self.tick_subscribers[at as usize].host as usize,
                    Reason::StrategyPanic,
                );
                at += 1;
            }
        }
    }

    fn deliver_bar(&mut self, builder: usize, bar: &Bar, due: Option<Timestamp>) {
        for i in 0..self.bar_subscribers[builder].len() {
            let Subscriber { host, slot } = self.bar_subscribers[builder][i];
            let trigger = Trigger::Bar(*bar);
            self.guarded(host as usize, due, &trigger, |strategy, ctx| {
                strategy.on_bar(slot, bar, ctx)
            });
            let hosted = &mut self.hosted[host as usize];
            if !hosted.ticks {
                let left = &mut hosted.warm_left[slot.index()];
                *left = left.saturating_sub(1);
            }
        }
    }

    /// An execution of one of the strategies' own orders.
    pub fn fill(&mut self, strategy: StrategyIdx, instrument: InstrumentIdx, fill: &OwnFill) {
        let Some(host) = self.hosted.iter().position(|h| h.index == strategy) else {
            return;
        };
        let hosted = &mut self.hosted[host];
        let Some(slot) = hosted.slots.get(&instrument).copied() else {
            return;
        };
        if fill.product != hosted.product {
            return;
        }
        if let Some(positions) = &mut hosted.positions {
            positions[slot.index()] = fill.position;
            // What is flat again may have been closed by others: a target is news then, even the
            // one that was asked for last. Short of that, decisions on their way count as done.
            if fill.position.is_zero() {
                hosted.believed[slot.index()] = Quantity::ZERO;
                hosted.last_target[slot.index()] = None;
            }
            let trigger = Trigger::Fill {
                side: fill.side,
                quantity: fill.quantity,
                price: fill.price,
            };
            self.guarded(host, None, &trigger, |strategy, ctx| {
                strategy.on_fill(slot, fill, ctx)
            });
        }
    }

    /// Time has come to `due`, the value of [`next_due`](Self::next_due) or later: fires every
    /// timer that is due, in the order bars, sessions, strategies' own.
    pub fn fire(&mut self, input: InputId, due: Timestamp) {
        self.input = input;
        self.now = self.now.max(due);
        while let Some((builder, bar)) = self.bars.pop_due(due) {
            self.deliver_bar(builder, &bar, Some(due));
        }
        for g in 0..self.groups.len() {
            if self.groups[g].next_due() <= due {
                let status = self.sessions.status(self.groups[g].group, due);
                self.groups[g].status = status;
                // A calendar whose answer is over already would be asked for ever.
                if self.groups[g].next_due() <= due {
                    self.groups[g].status = SessionStatus::Closed {
                        next_open: Timestamp::MAX,
                    };
                }
                self.deliver_session(g, due);
            }
        }
        for host in 0..self.hosted.len() {
            // In the order of (due, id); a timer set meanwhile waits for the next round.
            let mut fired: Vec<Timer> = Vec::new();
            self.hosted[host].timers.retain(|t| {
                let now = t.due <= due;
                if now {
                    fired.push(*t);
                }
                !now
            });
            fired.sort_unstable_by_key(|t| (t.due, t.id));
            for timer in fired {
                let trigger = Trigger::Timer {
                    id: timer.id.0,
                    due: timer.due,
                };
                self.guarded(host, Some(due), &trigger, |strategy, ctx| {
                    match timer.missed {
                        None => strategy.on_timer(timer.id, ctx),
                        Some(missed) => strategy.on_missed_timer(timer.id, missed, ctx),
                    }
                });
            }
        }
        self.refresh_due();
    }

    /// Whether anything was due before `until`, and a strategy skips timers that it missed.
    pub fn misses_timers(&self, until: Timestamp) -> bool {
        let due = self.next_due;
        let skips = |h: &Hosted| h.missed_timers == MissedTimers::Skip;
        due > Timestamp::MIN && due < until && self.hosted.iter().any(skips)
    }

    /// The system was off or suspended until `until`: timers that were due before it and that their
    /// strategy skips are told as missed at `until`, once.
    pub fn miss_timers(&mut self, until: Timestamp) {
        self.back = until;
        for hosted in &mut self.hosted {
            let missed_timers = hosted.missed_timers;
            for timer in &mut hosted.timers {
                timer.miss(missed_timers, until);
            }
        }
        self.refresh_due();
    }

    fn deliver_session(&mut self, group: usize, due: Timestamp) {
        let window = self.groups[group].window();
        let event = window.map_or(SessionEvent::Close, SessionEvent::Open);
        let trigger = Trigger::Session {
            opens: window.is_some(),
            due,
        };
        for host in 0..self.hosted.len() {
            for slot in 0..self.hosted[host].instruments.len() {
                let instrument = self.hosted[host].instruments[slot];
                if self.group_of[instrument.index()] as usize != group {
                    continue;
                }
                self.hosted[host].windows[slot] = window;
                if self.hosted[host].sessions {
                    let slot = Slot(slot as u32);
                    self.guarded(host, Some(due), &trigger, |s, ctx| {
                        s.on_session(slot, event, ctx)
                    });
                }
            }
        }
    }

    fn refresh_due(&mut self) {
        let groups = self.groups.iter().map(GroupClock::next_due).min();
        let timers = self
            .hosted
            .iter()
            .flat_map(|h| h.timers.iter().map(|t| t.due))
            .min();
        self.next_due = self
            .bars
            .next_due()
            .min(groups.unwrap_or(Timestamp::MAX))
            .min(timers.unwrap_or(Timestamp::MAX));
    }

    fn guarded(
        &mut self,
        host: usize,
        due: Option<Timestamp>,
        trigger: &Trigger,
        f: impl FnOnce(&mut dyn Strategy, &mut Context<'_>),
    ) {
        if catch_unwind(AssertUnwindSafe(|| self.call(host, due, trigger, f))).is_err() {
            self.fail(host, Reason::StrategyPanic);
        }
    }

    #[inline]
    fn call(
        &mut self,
        host: usize,
        due: Option<Timestamp>,
        trigger: &Trigger,
        f: impl FnOnce(&mut dyn Strategy, &mut Context<'_>),
    ) {
        let hosted = &mut self.hosted[host];
        if !hosted.enabled {
            return;
        }
        let mut ctx = Context::new(
            self.now,
            &self.instruments,
            &hosted.instruments,
            &hosted.windows,
            hosted.positions.as_deref(),
            &mut self.decisions,
            &mut self.requests,
        );
        if let Some(probe) = &self.probe {
            probe.enter(hosted.index);
            // A panic is caught further up, and `fail` tells the probe.
            f(hosted.strategy.as_mut(), &mut ctx);
            probe.leave(hosted.index);
        } else {
            f(hosted.strategy.as_mut(), &mut ctx);
        }
        if !self.decisions.is_empty() || !self.requests.is_empty() {
            self.collect(host, due, trigger);
        }
    }

    fn fail(&mut self, host: usize, reason: Reason) {
        self.decisions.clear();
        self.requests.clear();
        let hosted = &mut self.hosted[host];
        if let Some(probe) = &self.probe
            && reason == Reason::StrategyPanic
        {
            probe.leave(hosted.index);
        }
        hosted.enabled = false;
        hosted.timers.clear();
        self.made.push(Made::Failed(
            hosted.index,
            reason,
            hosted.brokers,
            hosted.hash,
        ));
        self.refresh_due();
    }
}

/// Used by tests and by hosts that read saved states.
impl std::fmt::Debug for StrategyHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StrategyHost")
            .field("now", &self.now)
            .field("input", &self.input)
            .field("bars", &self.bars)
            .field(
                "hosted",
                &self
                    .hosted
                    .iter()
                    .map(|h| {
                        (
                            &h.name,
                            h.enabled,
                            &h.believed,
                            &h.last_target,
                            &h.opener,
                            &h.warm_left,
                            &h.timers,
                            &h.positions,
                            h.ordinal,
                            h.strategy.save(),
                        )
                    })
                    .collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}
