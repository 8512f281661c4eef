//! Trades the value of one instrument against another's.
//!
//! The pair is `quantity` of the first instrument against `hedge_quantity` of the second, so the
//! hedge ratio is `hedge_quantity / quantity` and the spread, in money, is
//! `quantity × first − hedge_quantity × second`. Bars of both that end at the same instant give one
//! sample. The spread's distance from its mean over the last `window` samples, in standard
//! deviations (z-score), decides: at `entry` or above the spread is sold, at `−entry` or below it is
//! bought, within `exit` of the mean it is closed. Beyond `stop` it is closed too, and not opened
//! again until it has been within `exit`.
//!
//! The instruments are taken in the order that the definition lists them in.

use model::market::Timeframe;
use model::time::Timestamp;
use model::{Bar, Quantity};
use serde::{Deserialize, Serialize};

use super::{PERIOD, Stance, require, take};
use crate::indicators::Window;
use crate::kind::{BuildError, InstrumentsWanted, KindDescriptor, Scope, Setup};
use crate::parameter::{ParameterSpec, ParameterType};
use crate::slots::Slots;
use crate::strategy::{Context, Slot, Strategy, Subscription};

/// The kind.
pub const KIND: KindDescriptor = KindDescriptor {
    name: "pairs",
    summary: "trades the spread of two instruments back to its mean",
    scope: Scope::Shared,
    instruments: InstrumentsWanted::InOrder(2),
    parameters: &[
        ParameterSpec {
            name: "quantity",
            kind: ParameterType::Quantity,
            default: Some("1"),
            doc: "units of the first instrument in one pair",
        },
        ParameterSpec {
            name: "hedge_quantity",
            kind: ParameterType::Quantity,
            default: Some("1"),
            doc: "units of the second instrument in one pair",
        },
        ParameterSpec {
            name: "window",
            kind: PERIOD,
            default: Some("60"),
            doc: "samples that mean and deviation of the spread are taken over",
        },
        ParameterSpec {
            name: "entry",
            kind: ParameterType::Number {
                min: 0.1,
                max: 100.0,
            },
            default: Some("2"),
            doc: "distance from the mean that opens, in standard deviations",
        },
        ParameterSpec {
            name: "exit",
            kind: ParameterType::Number {
                min: 0.0,
                max: 100.0,
            },
            default: Some("0.5"),
            doc: "distance from the mean that closes, in standard deviations",
        },
        ParameterSpec {
            name: "stop",
            kind: ParameterType::Number {
                min: 0.1,
                max: 100.0,
            },
            default: Some("4"),
            doc: "distance from the mean that gives up, in standard deviations",
        },
        ParameterSpec {
            name: "timeframe",
            kind: ParameterType::Duration,
            default: Some("1m"),
            doc: "length of the bars whose closes are compared",
        },
    ],
    build,
};

fn build(setup: &Setup<'_>) -> Result<Box<dyn Strategy>, BuildError> {
    let p = setup.parameters;
    let (exit, entry, stop) = (p.number("exit")?, p.number("entry")?, p.number("stop")?);
    require(exit < entry && entry < stop, || {
        format!("`exit` ({exit}), `entry` ({entry}) and `stop` ({stop}) must rise in this order")
    })?;
    let window = p.integer("window")?;
    Ok(Box::new(Pairs {
        quantities: [p.quantity("quantity")?, p.quantity("hedge_quantity")?],
        entry,
        exit,
        stop,
        timeframe: p.duration("timeframe")?,
        warm_up: setup.warm_up(window - 1),
        pair: Slots::single(
            setup,
            State {
                seen: [0; 2],
                last: [None; 2],
                spread: Window::new(window),
                stance: Stance::Flat,
                stopped: false,
            },
        ),
    }))
}

struct Pairs {
    /// Units of the first and of the second instrument.
    quantities: [Quantity; 2],
    entry: f64,
    exit: f64,
    stop: f64,
    timeframe: Timeframe,
    warm_up: u32,
    pair: Slots<State>,
}

#[derive(Serialize, Deserialize)]
struct State {
    /// Bars of each so far, counted to the end of the warm-up.
    seen: [u32; 2],
    /// The last bar's end and close of each.
    last: [Option<(Timestamp, f64)>; 2],
    spread: Window,
    stance: Stance,
    stopped: bool,
}

/// The slot of the state that both instruments share.
const PAIR: Slot = Slot(0);

impl Pairs {
    fn sample(&mut self, spread: f64, warm: bool, ctx: &mut Context<'_>) {
        let state = &mut self.pair[PAIR];
        state.spread.push(spread);
        let (Some(moments), true) = (state.spread.moments(), warm) else {
            return;
        };
        let z = (spread - moments.mean) / moments.deviation;
        // A spread that does not move has no distance.
        if !z.is_finite() {
            return;
        }
        let away = z.abs();
        if state.stopped {
            state.stopped = away > self.exit;
            return;
        }
        let (stance, reason) = if state.stance != Stance::Flat {
            if away >= self.stop {
                state.stopped = true;
                (Stance::Flat, "spread beyond the stop")
            } else if (state.stance == Stance::Long && z >= -self.exit)
                || (state.stance == Stance::Short && z <= self.exit)
            {
                (Stance::Flat, "spread back at its mean")
            } else {
                return;
            }
        } else if away >= self.entry && away < self.stop {
            if z > 0.0 {
                (Stance::Short, "spread is wide")
            } else {
                (Stance::Long, "spread is narrow")
            }
        } else {
            return;
        };
        state.stance = stance;
        let opposite = match stance {
            Stance::Flat => Stance::Flat,
            Stance::Long => Stance::Short,
            Stance::Short => Stance::Long,
        };
        let saw = [
            ("spread", spread),
            ("mean", moments.mean),
            ("deviation", moments.deviation),
            ("distance", z),
        ];
        take(ctx, Slot(0), stance, self.quantities[0], reason, &saw);
        take(ctx, Slot(1), opposite, self.quantities[1], reason, &saw);
    }
}

impl Strategy for Pairs {
    fn subscription(&self) -> Subscription {
        Subscription {
            bars: vec![self.timeframe],
            warm_up: self.warm_up,
            ..Subscription::default()
        }
    }

    fn on_bar(&mut self, slot: Slot, bar: &Bar, ctx: &mut Context<'_>) {
        let state = &mut self.pair[PAIR];
        let (Some(last), Some(seen)) = (
            state.last.get_mut(slot.index()),
            state.seen.get_mut(slot.index()),
        ) else {
            return;
        };
        *last = Some((bar.close_ts, bar.close.to_f64()));
        *seen = seen.saturating_add(1);
        let warm = state.seen.iter().all(|seen| *seen > self.warm_up);
        if let [Some((at, first)), Some((also_at, second))] = state.last
            && at == also_at
        {
            let [quantity, hedge] = self.quantities.map(Quantity::to_f64);
            self.sample(quantity * first - hedge * second, warm, ctx);
        }
    }

    crate::keep_state!(pair);
}
