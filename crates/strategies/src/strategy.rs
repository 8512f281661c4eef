//! The trait that every strategy implements, and what it is called with.

use model::market::Timeframe;
use model::session::SessionWindow;
use model::signal::{Action, Decision, Product, Side};
use model::{Bar, Depth, Instrument, InstrumentIdx, Instruments, Price, Quantity, Tick, Timestamp};
use serde::{Deserialize, Serialize};

/// An instrument's position in the strategy's own list of instruments: the index of the strategy's
/// tables by instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

impl Slot {
    /// As an index of a table by instrument of the strategy.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A timer of a strategy, named by the strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimerId(pub u32);

/// A timer that a strategy asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerRequest {
    /// When it is due, but not before a millisecond has passed.
    pub due: Timestamp,
    /// What it is called.
    pub id: TimerId,
}

/// What becomes of a strategy's timers that came due while the system was off or suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissedTimers {
    /// Each is told once, as missed, when the system is back: see [`Strategy::on_missed_timer`].
    #[default]
    Skip,
    /// Each fires late, stamped with its due time, and so does what it sets in turn.
    CatchUp,
}

impl MissedTimers {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Skip, Self::CatchUp];

    /// The name in definitions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::CatchUp => "catch_up",
        }
    }
}

/// What of the market a strategy wants to see. Fixed for its life.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscription {
    /// Every tick of its instruments. On bar data, every bar's close arrives as a tick.
    pub ticks: bool,
    /// Bars of these lengths.
    pub bars: Vec<Timeframe>,
    /// The opening and closing of its instruments' sessions.
    pub sessions: bool,
    /// Inputs per instrument (ticks, or bars where it takes no ticks) that it needs before it may
    /// trade: they are fed to it, and what it decides on them is discarded.
    pub warm_up: u32,
}

/// The opening or closing of an instrument's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEvent {
    /// Trading begins.
    Open(SessionWindow),
    /// Trading has ended.
    Close,
}

/// An execution of the strategy's own order; only kinds that run per broker see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnFill {
    /// Buy or sell.
    pub side: Side,
    /// How much.
    pub quantity: Quantity,
    /// At what price.
    pub price: Price,
    /// What the position is held as.
    pub product: Product,
    /// The strategy's position in this instrument and product afterwards.
    pub position: Quantity,
}

/// Why a saved state could not be taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("saved state does not fit the strategy: {0}")]
pub struct StateError(pub String);

/// Everything that a strategy may know and do in one call.
pub struct Context<'a> {
    now: Timestamp,
    instruments: &'a Instruments,
    indices: &'a [InstrumentIdx],
    windows: &'a [Option<SessionWindow>],
    positions: Option<&'a [Quantity]>,
    decisions: &'a mut Vec<Decision>,
    timers: &'a mut Vec<TimerRequest>,
}

impl<'a> Context<'a> {
    /// For hosts and tests. The slices are indexed by [`Slot`]; `positions` is given to kinds that
    /// run per broker.
    pub fn new(
        now: Timestamp,
        instruments: &'a Instruments,
        indices: &'a [InstrumentIdx],
        windows: &'a [Option<SessionWindow>],
        positions: Option<&'a [Quantity]>,
        decisions: &'a mut Vec<Decision>,
        timers: &'a mut Vec<TimerRequest>,
    ) -> Self {
        Self {
            now,
            instruments,
            indices,
            windows,
            positions,
            decisions,
            timers,
        }
    }

    /// The time of the input.
    pub const fn now(&self) -> Timestamp {
        self.now
    }
    /// How many instruments the strategy has; slots count from 0 in the order of canonical ids,
    /// unless its kind needs the order that the definition lists them in (`pairs`).
    pub fn len(&self) -> usize {
        self.indices.len()
    }
    /// True when it has none.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }
    /// The instrument of a slot.
    pub fn instrument(&self, slot: Slot) -> &Instrument {
        self.instruments.get(self.indices[slot.index()])
    }
    /// The session that `now` lies in; `None` while it is closed.
    pub fn session(&self, slot: Slot) -> Option<SessionWindow> {
        self.windows[slot.index()]
    }
    /// The strategy's own position; `None` for shared kinds, which run for several brokers at once.
    pub fn position(&self, slot: Slot) -> Option<Quantity> {
        self.positions.map(|p| p[slot.index()])
    }

    /// Asks for `decision`.
    pub fn signal(&mut self, decision: Decision) {
        self.decisions.push(decision);
    }
    /// A market order for the day that acts on the slot's instrument: adjust it, then pass it to
    /// [`signal`](Self::signal).
    pub fn decision(&self, slot: Slot, action: Action) -> Decision {
        Decision::market(self.indices[slot.index()], action)
    }
    /// Asks to bring the position to `quantity` at the market.
    pub fn target(&mut self, slot: Slot, quantity: Quantity) {
        let decision = self.decision(slot, Action::Target { quantity });
        self.decisions.push(decision);
    }
    /// Asks for a call of [`Strategy::on_timer`] at `due`. A timer of the same id is replaced.
    pub fn set_timer(&mut self, due: Timestamp, id: TimerId) {
        self.timers.push(TimerRequest { due, id });
    }
}

/// A trading strategy. All state lives in the value; a call sees only its arguments.
pub trait Strategy: Send {
    /// What it wants to see. Asked once, after it is built.
    fn subscription(&self) -> Subscription;

    /// A tick of one of its instruments.
    fn on_tick(&mut self, slot: Slot, tick: &Tick, ctx: &mut Context<'_>) {
        let _ = (slot, tick, ctx);
    }
    /// A tick with five levels of depth; by default the depth is ignored.
    fn on_depth(&mut self, slot: Slot, tick: &Tick, depth: &Depth, ctx: &mut Context<'_>) {
        let _ = depth;
        self.on_tick(slot, tick, ctx);
    }
    /// A bar of the data, which holds no ticks, for a strategy that subscribes to ticks. By default its
    /// close is one tick; a strategy that asks how far prices went reads the high and low here.
    fn on_data_bar(&mut self, slot: Slot, bar: &Bar, ctx: &mut Context<'_>) {
        self.on_tick(slot, &bar.closing_tick(), ctx);
    }
    /// A finished bar of one of its instruments.
    fn on_bar(&mut self, slot: Slot, bar: &Bar, ctx: &mut Context<'_>) {
        let _ = (slot, bar, ctx);
    }
    /// A timer it asked for.
    fn on_timer(&mut self, id: TimerId, ctx: &mut Context<'_>) {
        let _ = (id, ctx);
    }
    /// A timer it asked for was due at `due`, while the system was off or suspended; the definition says
    /// `missed_timers: skip`. By default nothing is done: a strategy that must act late all the same,
    /// such as to leave a position, does so here.
    fn on_missed_timer(&mut self, id: TimerId, due: Timestamp, ctx: &mut Context<'_>) {
        let _ = (id, due, ctx);
    }
    /// The opening or closing of an instrument's session.
    fn on_session(&mut self, slot: Slot, event: SessionEvent, ctx: &mut Context<'_>) {
        let _ = (slot, event, ctx);
    }
    /// An execution of its own order; only for kinds that run per broker.
    fn on_fill(&mut self, slot: Slot, fill: &OwnFill, ctx: &mut Context<'_>) {
        let _ = (slot, fill, ctx);
    }

    /// The state as bytes that [`restore`](Self::restore) takes back.
    fn save(&self) -> Result<Vec<u8>, StateError>;
    /// Takes over a saved state of the same kind, parameters and instruments.
    fn restore(&mut self, state: &[u8]) -> Result<(), StateError>;
}
