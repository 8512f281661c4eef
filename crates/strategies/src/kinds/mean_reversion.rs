//! Buys an unusual fall and sells an unusual rise, and leaves at the mean.
//!
//! It goes long where the price lies below the lower Bollinger band while the relative strength
//! index is below `oversold`, and short above the upper band with the index above `overbought`
//! (only with `short`). The entry carries a protective stop `stop_deviations` standard deviations
//! behind the price, rounded away from it to the instrument's tick. The position is closed at the
//! middle band. Once the stop has traded, nothing is opened until the price has been back within
//! half a standard deviation of the middle band, so that a trend is not fought over and over.

use model::signal::Action;
use model::text::reason_text;
use model::{Bar, Note, Price, Quantity, Tick};
use serde::{Deserialize, Serialize};

use super::rsi::INDEX;
use super::{PERIOD, QUANTITY, SHORT, Stance, TIMEFRAME, require, take};
use crate::indicators::{Bands, Bollinger, Rsi};
use crate::kind::{BuildError, InstrumentsWanted, KindDescriptor, Scope, Setup};
use crate::level::{Rounding, order_price};
use crate::parameter::{Inputs, ParameterSpec, ParameterType};
use crate::slots::Slots;
use crate::strategy::{Context, Slot, Strategy, Subscription};

/// The kind.
pub const KIND: KindDescriptor = KindDescriptor {
    name: "mean_reversion",
    summary: "trades back to the mean from outside the Bollinger bands when the relative strength index agrees, with a protective stop",
    scope: Scope::Shared,
    instruments: InstrumentsWanted::Any,
    parameters: &[
        ParameterSpec {
            name: "period",
            kind: PERIOD,
            default: Some("20"),
            doc: "period of the bands in inputs",
        },
        ParameterSpec {
            name: "width",
            kind: ParameterType::Number {
                min: 0.1,
                max: 10.0,
            },
            default: Some("2"),
            doc: "distance of the bands from the mean in standard deviations",
        },
        ParameterSpec {
            name: "rsi_period",
            kind: PERIOD,
            default: Some("14"),
            doc: "period of the relative strength index in inputs",
        },
        ParameterSpec {
            name: "oversold",
            kind: INDEX,
            default: Some("30"),
            doc: "index below which it may go long",
        },
        ParameterSpec {
            name: "overbought",
            kind: INDEX,
            default: Some("70"),
            doc: "index above which it may go short",
        },
        ParameterSpec {
            name: "stop_deviations",
            kind: ParameterType::Number {
                min: 0.1,
                max: 100.0,
            },
            default: Some("2"),
            doc: "distance of the protective stop from the price of entry in standard deviations",
        },
        SHORT,
        QUANTITY,
        TIMEFRAME,
    ],
    build,
};

fn build(setup: &Setup<'_>) -> Result<Box<dyn Strategy>, BuildError> {
    let p = setup.parameters;
    let (oversold, overbought) = (p.number("oversold")?, p.number("overbought")?);
    require(oversold < overbought, || {
        format!("`oversold` ({oversold}) must be less than `overbought` ({overbought})")
    })?;
    let (period, rsi_period, width) = (
        p.integer("period")?,
        p.integer("rsi_period")?,
        p.number("width")?,
    );
    Ok(Box::new(MeanReversion {
        oversold,
        overbought,
        stop_deviations: p.number("stop_deviations")?,
        short: p.flag("short")?,
        quantity: p.quantity("quantity")?,
        inputs: p.inputs("timeframe")?,
        // The bands need `period` prices, the index one more than its period.
        warm_up: setup.warm_up((period - 1).max(rsi_period)),
        slots: Slots::new(setup, || State {
            bands: Bollinger::new(period, width),
            index: Rsi::new(rsi_period),
            seen: 0,
            stance: Stance::Flat,
            stop: Price::ZERO,
            stopped: false,
        }),
    }))
}

struct MeanReversion {
    oversold: f64,
    overbought: f64,
    stop_deviations: f64,
    short: bool,
    quantity: Quantity,
    inputs: Inputs,
    warm_up: u32,
    slots: Slots<State>,
}

#[derive(Serialize, Deserialize)]
struct State {
    bands: Bollinger,
    index: Rsi,
    seen: u32,
    stance: Stance,
    stop: Price,
    /// The stop has traded and the mean has not been seen since.
    stopped: bool,
}

/// What an input says of the price: a bar's extremes may have traded through the stop.
struct Prices {
    last: Price,
    low: Price,
    high: Price,
}

impl MeanReversion {
    fn input(&mut self, slot: Slot, prices: &Prices, ctx: &mut Context<'_>) {
        let state = &mut self.slots[slot];
        let price = prices.last.to_f64();
        let (bands, index) = (state.bands.update(price), state.index.update(price));
        if state.seen < self.warm_up {
            state.seen += 1;
            return;
        }
        let Some(bands) = bands else { return };
        let stance = state.stance;
        let stopped = match stance {
            Stance::Flat => false,
            Stance::Long => prices.low <= state.stop,
            Stance::Short => prices.high >= state.stop,
        };
        let at_mean = match stance {
            Stance::Flat => false,
            Stance::Long => price >= bands.middle,
            Stance::Short => price <= bands.middle,
        };
        if stopped || at_mean {
            state.stance = Stance::Flat;
            state.stopped = stopped;
            // After a stop the bracket has closed the position already: the target then only says
            // that nothing is wanted any more.
            let reason = if stopped {
                "stop has traded"
            } else {
                "back at the mean"
            };
            let saw = [
                ("price", price),
                ("low", prices.low.to_f64()),
                ("high", prices.high.to_f64()),
                ("mean", bands.middle),
                ("stop", state.stop.to_f64()),
            ];
            take(ctx, slot, Stance::Flat, self.quantity, reason, &saw);
        } else if stance == Stance::Flat {
            self.enter(slot, price, &bands, index, ctx);
        }
    }

    fn enter(
        &mut self,
        slot: Slot,
        price: f64,
        bands: &Bands,
        index: Option<f64>,
        ctx: &mut Context<'_>,
    ) {
        let state = &mut self.slots[slot];
        if state.stopped {
            state.stopped = (price - bands.middle).abs() > bands.deviation / 2.0;
            return;
        }
        let Some(index) = index else { return };
        let reach = self.stop_deviations * bands.deviation;
        let (stance, stop, rounding) = if price < bands.lower && index < self.oversold {
            (Stance::Long, price - reach, Rounding::Down)
        } else if self.short && price > bands.upper && index > self.overbought {
            (Stance::Short, price + reach, Rounding::Up)
        } else {
            return;
        };
        // Without a stop that can be ordered there is no entry.
        let Ok(stop) = order_price(stop, ctx.instrument(slot), rounding) else {
            return;
        };
        state.stance = stance;
        state.stop = stop;
        let mut decision = ctx.decision(
            slot,
            Action::Target {
                quantity: stance.of(self.quantity),
            },
        );
        decision.bracket.stop_loss = Some(stop);
        decision.reason = reason_text("outside the bands");
        decision.note = Note::of(&[
            ("price", price),
            ("lower", bands.lower),
            ("mean", bands.middle),
            ("upper", bands.upper),
            ("index", index),
        ]);
        ctx.signal(decision);
    }
}

impl Strategy for MeanReversion {
    fn subscription(&self) -> Subscription {
        self.inputs.subscription(self.warm_up)
    }
    fn on_tick(&mut self, slot: Slot, tick: &Tick, ctx: &mut Context<'_>) {
        let prices = Prices {
            last: tick.price,
            low: tick.price,
            high: tick.price,
        };
        self.input(slot, &prices, ctx);
    }
    fn on_bar(&mut self, slot: Slot, bar: &Bar, ctx: &mut Context<'_>) {
        self.input(
            slot,
            &Prices {
                last: bar.close,
                low: bar.low,
                high: bar.high,
            },
            ctx,
        );
    }
    crate::keep_state!(slots);
}
