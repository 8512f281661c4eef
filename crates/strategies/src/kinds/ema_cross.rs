//! Follows the crossing of two exponential moving averages.
//!
//! Each input of an instrument updates a fast and a slow [`Ema`], both seeded by the first price.
//! From the `slow`-th input on, fast above slow wants `+quantity`, fast below slow wants
//! `−quantity`, equality keeps what is wanted. A target is asked for when it changes.

use model::{Bar, Quantity, Tick};
use serde::{Deserialize, Serialize};

use super::{QUANTITY, Stance, require, take};
use crate::indicators::Ema;
use crate::kind::{BuildError, InstrumentsWanted, KindDescriptor, Scope, Setup};
use crate::parameter::{Inputs, ParameterSpec, ParameterType};
use crate::slots::Slots;
use crate::strategy::{Context, Slot, Strategy, Subscription};

const PERIOD: ParameterType = ParameterType::Integer {
    min: 1,
    max: 1_000_000,
};

/// The kind.
pub const KIND: KindDescriptor = KindDescriptor {
    name: "ema_cross",
    summary: "follows the crossing of a fast and a slow exponential moving average, always long or short",
    scope: Scope::Shared,
    instruments: InstrumentsWanted::Any,
    parameters: &[
        ParameterSpec {
            name: "fast",
            kind: PERIOD,
            default: Some("10"),
            doc: "period of the fast average in inputs, shorter than `slow`",
        },
        ParameterSpec {
            name: "slow",
            kind: PERIOD,
            default: Some("20"),
            doc: "period of the slow average in inputs; the first decision falls on this input",
        },
        QUANTITY,
        ParameterSpec {
            default: Some("tick"),
            ..super::TIMEFRAME
        },
    ],
    build,
};

fn build(setup: &Setup<'_>) -> Result<Box<dyn Strategy>, BuildError> {
    let (fast, slow) = (
        setup.parameters.integer("fast")?,
        setup.parameters.integer("slow")?,
    );
    require(fast < slow, || {
        format!("`fast` ({fast}) must be less than `slow` ({slow})")
    })?;
    Ok(Box::new(EmaCross {
        quantity: setup.parameters.quantity("quantity")?,
        inputs: setup.parameters.inputs("timeframe")?,
        warm_up: setup.warm_up(slow - 1),
        slots: Slots::new(setup, || State {
            fast: Ema::new(fast),
            slow: Ema::new(slow),
            seen: 0,
            stance: Stance::Flat,
        }),
    }))
}

struct EmaCross {
    quantity: Quantity,
    inputs: Inputs,
    warm_up: u32,
    slots: Slots<State>,
}

#[derive(Serialize, Deserialize)]
struct State {
    fast: Ema,
    slow: Ema,
    /// Inputs so far, counted to the end of the warm-up.
    seen: u32,
    stance: Stance,
}

impl EmaCross {
    #[inline]
    fn input(&mut self, slot: Slot, price: f64, ctx: &mut Context<'_>) {
        let state = &mut self.slots[slot];
        let (Some(fast), Some(slow)) = (state.fast.update(price), state.slow.update(price)) else {
            return;
        };
        // The host discards what is decided during the warm-up, so the stance stays untouched in it.
        if state.seen < self.warm_up {
            state.seen += 1;
            return;
        }
        let (stance, reason) = if fast > slow {
            (Stance::Long, "fast average above slow")
        } else if fast < slow {
            (Stance::Short, "fast average below slow")
        } else {
            return;
        };
        if stance != state.stance {
            state.stance = stance;
            let saw = [("price", price), ("fast", fast), ("slow", slow)];
            take(ctx, slot, stance, self.quantity, reason, &saw);
        }
    }
}

impl Strategy for EmaCross {
    fn subscription(&self) -> Subscription {
        self.inputs.subscription(self.warm_up)
    }
    #[inline]
    fn on_tick(&mut self, slot: Slot, tick: &Tick, ctx: &mut Context<'_>) {
        self.input(slot, tick.price.to_f64(), ctx);
    }
    fn on_bar(&mut self, slot: Slot, bar: &Bar, ctx: &mut Context<'_>) {
        self.input(slot, bar.close.to_f64(), ctx);
    }
    crate::keep_state!(slots);
}
