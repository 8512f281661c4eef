//! Trades back to the session's volume-weighted average price, and manages its own position.
//!
//! The distance of the price from the average is measured in volume-weighted standard deviations.
//! Flat and at least `entry` deviations away (but less than `stop`), it enters against the move with
//! a limit order at the price, rounded in its own favour, that stands for `patience`. Half of what
//! has really filled is closed at half the entry's distance, the rest at the average. Beyond `stop`
//! everything is closed, and nothing is opened until the price is back within half of `entry`. An
//! exit that has not filled after `patience` is asked for again.
//!
//! It runs per broker because it acts on its own fills: a limit order may fill in part or not at
//! all, differently at each broker. The first `settle` inputs of each session only build the average.
//! Inputs without traded volume do not move it. Where the market never closes, a day of UTC is the
//! session.

use model::market::Timeframe;
use model::signal::{Action, OrderType, Side, Validity};
use model::text::reason_text;
use model::time::Timestamp;
use model::{Bar, Note, Price, Quantity, Tick};
use serde::{Deserialize, Serialize};

use super::{QUANTITY, SHORT, TIMEFRAME, require, trading_window};
use crate::indicators::Vwap;
use crate::kind::{BuildError, InstrumentsWanted, KindDescriptor, Scope, Setup};
use crate::level::{Rounding, tick_price};
use crate::parameter::{Inputs, ParameterSpec, ParameterType};
use crate::slots::Slots;
use crate::strategy::{Context, OwnFill, Slot, Strategy, Subscription};

/// The kind.
pub const KIND: KindDescriptor = KindDescriptor {
    name: "vwap_reversion",
    summary: "enters against a move away from the session's volume-weighted average price by limit order and scales out of what has filled",
    scope: Scope::PerBroker,
    instruments: InstrumentsWanted::Any,
    parameters: &[
        ParameterSpec {
            name: "entry",
            kind: ParameterType::Number {
                min: 0.1,
                max: 100.0,
            },
            default: Some("2"),
            doc: "distance from the average at which it enters, in standard deviations",
        },
        ParameterSpec {
            name: "stop",
            kind: ParameterType::Number {
                min: 0.1,
                max: 100.0,
            },
            default: Some("4"),
            doc: "distance from the average at which it gives up, in standard deviations",
        },
        ParameterSpec {
            name: "patience",
            kind: ParameterType::Duration,
            default: Some("1m"),
            doc: "how long an entry stands, and after which time an unfilled exit is repeated",
        },
        ParameterSpec {
            name: "settle",
            kind: ParameterType::Integer {
                min: 1,
                max: 100_000,
            },
            default: Some("30"),
            doc: "inputs of each session before its first decision",
        },
        SHORT,
        QUANTITY,
        TIMEFRAME,
    ],
    build,
};

fn build(setup: &Setup<'_>) -> Result<Box<dyn Strategy>, BuildError> {
    let p = setup.parameters;
    let (entry, stop) = (p.number("entry")?, p.number("stop")?);
    require(entry < stop, || {
        format!("`entry` ({entry}) must be less than `stop` ({stop})")
    })?;
    Ok(Box::new(VwapReversion {
        entry,
        stop,
        patience: p.duration("patience")?,
        settle: p.integer("settle")?,
        short: p.flag("short")?,
        quantity: p.quantity("quantity")?,
        inputs: p.inputs("timeframe")?,
        warm_up: setup.warm_up(0),
        slots: Slots::new(setup, || State {
            seen: 0,
            session: None,
            inputs: 0,
            vwap: Vwap::default(),
            entering_until: Timestamp::MIN,
            leaving_until: Timestamp::MIN,
            halved: false,
            stopped: false,
        }),
    }))
}

struct VwapReversion {
    entry: f64,
    stop: f64,
    patience: Timeframe,
    settle: u32,
    short: bool,
    quantity: Quantity,
    inputs: Inputs,
    warm_up: u32,
    slots: Slots<State>,
}

#[derive(Serialize, Deserialize)]
struct State {
    seen: u32,
    session: Option<Timestamp>,
    /// Inputs of this session, counted to `settle`.
    inputs: u32,
    vwap: Vwap,
    /// An entry is in the market until then.
    entering_until: Timestamp,
    /// An exit is in the market until then.
    leaving_until: Timestamp,
    /// The first half of this position has been closed.
    halved: bool,
    /// Given up, and the price has not been back since.
    stopped: bool,
}

/// One input beside the session's average.
struct Seen {
    price: Price,
    average: f64,
    deviation: f64,
    /// From the average, in deviations.
    distance: f64,
}

impl Seen {
    fn note(&self) -> Note {
        Note::of(&[
            ("price", self.price.to_f64()),
            ("average", self.average),
            ("deviation", self.deviation),
            ("distance", self.distance),
        ])
    }
}

impl VwapReversion {
    fn input(&mut self, slot: Slot, price: Price, volume: Quantity, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let window = trading_window(ctx.session(slot), now);
        let state = &mut self.slots[slot];
        let warm = state.seen >= self.warm_up;
        state.seen = state.seen.saturating_add(u32::from(!warm));
        let Some(window) = window else { return };
        if state.session != Some(window.open) {
            state.session = Some(window.open);
            state.inputs = 0;
            state.stopped = false;
            state.vwap.reset();
        }
        let average = state.vwap.update(price.to_f64(), volume.to_f64());
        if state.inputs < self.settle {
            state.inputs += 1;
            return;
        }
        // A host that runs it for several brokers at once has no position to give.
        let (Some(average), Some(position), true) = (average, ctx.position(slot), warm) else {
            return;
        };
        let distance = (price.to_f64() - average.mean) / average.deviation;
        if !distance.is_finite() {
            return;
        }
        let seen = Seen {
            price,
            average: average.mean,
            deviation: average.deviation,
            distance,
        };
        if position.is_zero() {
            self.flat(slot, &seen, ctx);
        } else {
            self.holding(slot, position, &seen, ctx);
        }
    }

    fn flat(&mut self, slot: Slot, seen: &Seen, ctx: &mut Context<'_>) {
        let (price, distance) = (seen.price, seen.distance);
        let now = ctx.now();
        let state = &mut self.slots[slot];
        state.halved = false;
        if state.stopped {
            state.stopped = distance.abs() > self.entry / 2.0;
            return;
        }
        let side = if distance < 0.0 {
            Side::Buy
        } else {
            Side::Sell
        };
        let away = distance.abs();
        if away < self.entry
            || away >= self.stop
            || now < state.entering_until.max(state.leaving_until)
            || (side == Side::Sell && !self.short)
        {
            return;
        }
        let rounding = if side == Side::Buy {
            Rounding::Down
        } else {
            Rounding::Up
        };
        let Ok(limit) = tick_price(price, ctx.instrument(slot), rounding) else {
            return;
        };
        state.entering_until = now.plus(self.patience.nanos());
        let mut decision = ctx.decision(
            slot,
            Action::Enter {
                side,
                quantity: self.quantity,
            },
        );
        decision.order_type = OrderType::Limit;
        decision.limit_price = Some(limit);
        decision.validity = Validity::Gtd(state.entering_until);
        decision.reason = reason_text("far from the average");
        decision.note = seen.note();
        ctx.signal(decision);
    }

    fn holding(&mut self, slot: Slot, position: Quantity, seen: &Seen, ctx: &mut Context<'_>) {
        let distance = seen.distance;
        let now = ctx.now();
        let lot = ctx.instrument(slot).lot_size;
        let state = &mut self.slots[slot];
        if now < state.leaving_until {
            return;
        }
        // How far the price is on the side that it was entered on; negative once past the average.
        let adverse = if position.signum() > 0 {
            -distance
        } else {
            distance
        };
        let (quantity, reason) = if adverse >= self.stop {
            state.stopped = true;
            (None, "beyond the stop")
        } else if adverse <= 0.0 {
            (None, "back at the average")
        } else if adverse <= self.entry / 2.0 && !state.halved {
            state.halved = true;
            let half = Quantity::from_raw(position.abs().raw() / 2).floor_to(lot);
            // A single lot has no half: all of it waits for the average.
            if half.is_zero() {
                return;
            }
            (Some(half), "half-way to the average")
        } else {
            return;
        };
        state.leaving_until = now.plus(self.patience.nanos());
        let mut decision = ctx.decision(slot, Action::Exit { quantity });
        decision.reason = reason_text(reason);
        decision.note = seen.note();
        ctx.signal(decision);
    }
}

impl Strategy for VwapReversion {
    fn subscription(&self) -> Subscription {
        self.inputs.subscription(self.warm_up)
    }
    fn on_tick(&mut self, slot: Slot, tick: &Tick, ctx: &mut Context<'_>) {
        self.input(slot, tick.price, tick.quantity, ctx);
    }
    fn on_bar(&mut self, slot: Slot, bar: &Bar, ctx: &mut Context<'_>) {
        self.input(slot, bar.close, bar.volume, ctx);
    }
    fn on_fill(&mut self, slot: Slot, fill: &OwnFill, _: &mut Context<'_>) {
        let state = &mut self.slots[slot];
        if fill.position.is_zero() {
            // Flat again: the next entry need not wait for anything.
            state.leaving_until = Timestamp::MIN;
            state.entering_until = Timestamp::MIN;
            state.halved = false;
        }
    }
    crate::keep_state!(slots);
}
