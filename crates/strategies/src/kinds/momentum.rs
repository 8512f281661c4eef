//! Goes with a move that is large enough.
//!
//! The rate of change of the price against `period` inputs ago decides: above `threshold_bps` wants
//! `+quantity`, below `−threshold_bps` wants `−quantity` (or nothing without `short`); a position is
//! closed when the rate has fallen back to zero or changed its sign.

use model::{Bar, Quantity, Tick};
use serde::{Deserialize, Serialize};

use super::{PERIOD, QUANTITY, SHORT, Stance, TIMEFRAME, take};
use crate::indicators::RateOfChange;
use crate::kind::{BuildError, InstrumentsWanted, KindDescriptor, Scope, Setup};
use crate::parameter::{Inputs, ParameterSpec, ParameterType};
use crate::slots::Slots;
use crate::strategy::{Context, Slot, Strategy, Subscription};

/// The kind.
pub const KIND: KindDescriptor = KindDescriptor {
    name: "momentum",
    summary: "goes with a move over a number of inputs once it exceeds a threshold",
    scope: Scope::Shared,
    instruments: InstrumentsWanted::Any,
    parameters: &[
        ParameterSpec {
            name: "period",
            kind: PERIOD,
            default: Some("20"),
            doc: "how many inputs the move is measured over",
        },
        ParameterSpec {
            name: "threshold_bps",
            kind: ParameterType::Number {
                min: 0.0,
                max: 10_000.0,
            },
            default: Some("20"),
            doc: "the move that opens a position, in hundredths of a per cent",
        },
        SHORT,
        QUANTITY,
        TIMEFRAME,
    ],
    build,
};

fn build(setup: &Setup<'_>) -> Result<Box<dyn Strategy>, BuildError> {
    let period = setup.parameters.integer("period")?;
    Ok(Box::new(Momentum {
        threshold: setup.parameters.number("threshold_bps")? / 100.0,
        short: setup.parameters.flag("short")?,
        quantity: setup.parameters.quantity("quantity")?,
        inputs: setup.parameters.inputs("timeframe")?,
        warm_up: setup.warm_up(period),
        slots: Slots::new(setup, || State {
            change: RateOfChange::new(period),
            seen: 0,
            stance: Stance::Flat,
        }),
    }))
}

struct Momentum {
    /// In per cent.
    threshold: f64,
    short: bool,
    quantity: Quantity,
    inputs: Inputs,
    warm_up: u32,
    slots: Slots<State>,
}

#[derive(Serialize, Deserialize)]
struct State {
    change: RateOfChange,
    seen: u32,
    stance: Stance,
}

impl Momentum {
    fn input(&mut self, slot: Slot, price: f64, ctx: &mut Context<'_>) {
        let state = &mut self.slots[slot];
        let change = state.change.update(price);
        if state.seen < self.warm_up {
            state.seen += 1;
            return;
        }
        let Some(change) = change else { return };
        let (stance, reason) = if change > self.threshold {
            (Stance::Long, "rise beyond threshold")
        } else if change < -self.threshold && self.short {
            (Stance::Short, "fall beyond threshold")
        } else if (state.stance == Stance::Long && change <= 0.0)
            || (state.stance == Stance::Short && change >= 0.0)
        {
            (Stance::Flat, "move has ended")
        } else {
            return;
        };
        if stance != state.stance {
            state.stance = stance;
            let saw = [
                ("price", price),
                ("change_pct", change),
                ("threshold", self.threshold),
            ];
            take(ctx, slot, stance, self.quantity, reason, &saw);
        }
    }
}

impl Strategy for Momentum {
    fn subscription(&self) -> Subscription {
        self.inputs.subscription(self.warm_up)
    }
    fn on_tick(&mut self, slot: Slot, tick: &Tick, ctx: &mut Context<'_>) {
        self.input(slot, tick.price.to_f64(), ctx);
    }
    fn on_bar(&mut self, slot: Slot, bar: &Bar, ctx: &mut Context<'_>) {
        self.input(slot, bar.close.to_f64(), ctx);
    }
    crate::keep_state!(slots);
}
