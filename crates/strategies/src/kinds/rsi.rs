//! Trades against exhaustion as Wilder's relative strength index shows it.
//!
//! At or below `oversold` it wants `+quantity`, at or above `overbought` `−quantity` (or nothing
//! without `short`). A long position is closed once the index is back at `exit` or above, a short
//! one at `exit` or below.

use model::{Bar, Quantity, Tick};
use serde::{Deserialize, Serialize};

use super::{PERIOD, QUANTITY, SHORT, Stance, TIMEFRAME, require, take};
use crate::indicators;
use crate::kind::{BuildError, InstrumentsWanted, KindDescriptor, Scope, Setup};
use crate::parameter::{Inputs, ParameterSpec, ParameterType};
use crate::slots::Slots;
use crate::strategy::{Context, Slot, Strategy, Subscription};

pub(super) const INDEX: ParameterType = ParameterType::Number {
    min: 0.0,
    max: 100.0,
};

/// The kind.
pub const KIND: KindDescriptor = KindDescriptor {
    name: "rsi",
    summary: "buys what the relative strength index calls oversold and sells what it calls overbought",
    scope: Scope::Shared,
    instruments: InstrumentsWanted::Any,
    parameters: &[
        ParameterSpec {
            name: "period",
            kind: PERIOD,
            default: Some("14"),
            doc: "period of the index in inputs",
        },
        ParameterSpec {
            name: "oversold",
            kind: INDEX,
            default: Some("30"),
            doc: "index at or below which it goes long",
        },
        ParameterSpec {
            name: "overbought",
            kind: INDEX,
            default: Some("70"),
            doc: "index at or above which it goes short",
        },
        ParameterSpec {
            name: "exit",
            kind: INDEX,
            default: Some("50"),
            doc: "index at which a position is closed, between the two",
        },
        SHORT,
        QUANTITY,
        TIMEFRAME,
    ],
    build,
};

fn build(setup: &Setup<'_>) -> Result<Box<dyn Strategy>, BuildError> {
    let p = setup.parameters;
    let (oversold, exit, overbought) = (
        p.number("oversold")?,
        p.number("exit")?,
        p.number("overbought")?,
    );
    require(oversold < exit && exit < overbought, || {
        format!(
            "`oversold` ({oversold}), `exit` ({exit}) and `overbought` ({overbought}) must rise in this order"
        )
    })?;
    let period = p.integer("period")?;
    Ok(Box::new(RelativeStrength {
        oversold,
        overbought,
        exit,
        short: p.flag("short")?,
        quantity: p.quantity("quantity")?,
        inputs: p.inputs("timeframe")?,
        warm_up: setup.warm_up(period),
        slots: Slots::new(setup, || State {
            index: indicators::Rsi::new(period),
            seen: 0,
            stance: Stance::Flat,
        }),
    }))
}

struct RelativeStrength {
    oversold: f64,
    overbought: f64,
    exit: f64,
    short: bool,
    quantity: Quantity,
    inputs: Inputs,
    warm_up: u32,
    slots: Slots<State>,
}

#[derive(Serialize, Deserialize)]
struct State {
    index: indicators::Rsi,
    seen: u32,
    stance: Stance,
}

impl RelativeStrength {
    fn input(&mut self, slot: Slot, price: f64, ctx: &mut Context<'_>) {
        let state = &mut self.slots[slot];
        let index = state.index.update(price);
        if state.seen < self.warm_up {
            state.seen += 1;
            return;
        }
        let Some(index) = index else { return };
        let (stance, reason) = if index <= self.oversold {
            (Stance::Long, "oversold")
        } else if index >= self.overbought && self.short {
            (Stance::Short, "overbought")
        } else if (state.stance == Stance::Long && index >= self.exit)
            || (state.stance == Stance::Short && index <= self.exit)
        {
            (Stance::Flat, "index back at exit")
        } else {
            return;
        };
        if stance != state.stance {
            state.stance = stance;
            let saw = [("price", price), ("index", index)];
            take(ctx, slot, stance, self.quantity, reason, &saw);
        }
    }
}

impl Strategy for RelativeStrength {
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
