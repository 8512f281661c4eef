//! Trades now and then, so that everything behind a strategy can be watched at leisure.
//!
//! Every `every`, on whole multiples of it since midnight UTC, it alternates between `quantity` and
//! nothing in each instrument whose market is open and has shown a price. It knows nothing and earns
//! nothing.

use model::market::Timeframe;
use model::time::Timestamp;
use model::{Quantity, Tick};
use serde::{Deserialize, Serialize};

use super::{QUANTITY, Stance, take};
use crate::kind::{BuildError, InstrumentsWanted, KindDescriptor, Scope, Setup};
use crate::parameter::{ParameterSpec, ParameterType};
use crate::slots::Slots;
use crate::strategy::{Context, Slot, Strategy, Subscription, TimerId};

/// The kind.
pub const KIND: KindDescriptor = KindDescriptor {
    name: "low_frequency_demo",
    summary: "buys and sells alternately at long intervals, for demonstrations",
    scope: Scope::Shared,
    instruments: InstrumentsWanted::Any,
    parameters: &[
        ParameterSpec {
            name: "every",
            kind: ParameterType::Duration,
            default: Some("5m"),
            doc: "time between its trades",
        },
        QUANTITY,
    ],
    build,
};

fn build(setup: &Setup<'_>) -> Result<Box<dyn Strategy>, BuildError> {
    Ok(Box::new(LowFrequencyDemo {
        every: setup.parameters.duration("every")?,
        quantity: setup.parameters.quantity("quantity")?,
        warm_up: setup.warm_up(0),
        slots: Slots::new(setup, || State {
            seen: 0,
            due: None,
            stance: Stance::Flat,
        }),
    }))
}

struct LowFrequencyDemo {
    every: Timeframe,
    quantity: Quantity,
    warm_up: u32,
    slots: Slots<State>,
}

#[derive(Serialize, Deserialize)]
struct State {
    seen: u32,
    /// When the timer is due; `None` while the market is closed.
    due: Option<Timestamp>,
    stance: Stance,
}

impl LowFrequencyDemo {
    fn arm(&mut self, slot: Slot, ctx: &mut Context<'_>) {
        let (now, every) = (ctx.now(), self.every.nanos());
        let due = now.plus(every - now.nanos().rem_euclid(every));
        self.slots[slot].due = Some(due);
        ctx.set_timer(due, TimerId(slot.0));
    }
}

impl Strategy for LowFrequencyDemo {
    fn subscription(&self) -> Subscription {
        Subscription {
            ticks: true,
            warm_up: self.warm_up,
            ..Subscription::default()
        }
    }

    fn on_tick(&mut self, slot: Slot, _: &Tick, ctx: &mut Context<'_>) {
        let state = &mut self.slots[slot];
        state.seen = state.seen.saturating_add(1);
        // Past its due time the timer was missed, as the system was off: begin anew.
        if state.due.is_none_or(|due| ctx.now() > due) {
            self.arm(slot, ctx);
        }
    }

    fn on_timer(&mut self, id: TimerId, ctx: &mut Context<'_>) {
        let slot = Slot(id.0);
        if slot.index() >= ctx.len() {
            return;
        }
        let state = &mut self.slots[slot];
        if ctx.session(slot).is_none() {
            // The next session's first tick sets it again.
            state.due = None;
            return;
        }
        if state.seen > self.warm_up {
            state.stance = if state.stance == Stance::Flat {
                Stance::Long
            } else {
                Stance::Flat
            };
            let saw = [("ticks", f64::from(state.seen))];
            take(ctx, slot, state.stance, self.quantity, "it is time", &saw);
        }
        self.arm(slot, ctx);
    }

    crate::keep_state!(slots);
}
