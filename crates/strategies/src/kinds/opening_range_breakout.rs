//! Goes with the first break out of the session's opening range.
//!
//! The highest and lowest price of the session's first `range` form the opening range. The first
//! price above it goes long with a protective stop at its low, the first below it goes short (only
//! with `short`) with the stop at its high; profit is taken `reward` times the range's height from
//! the breaking price (0: no such exit). One trade per instrument and session. What is still open
//! `exit_before_close` before the session's end is closed by a timer.
//!
//! A session whose first price comes after the range has ended is not traded. Where the market never
//! closes, a day of UTC is the session.
//!
//! On data of bars their highs and lows count: a bar that begins within the range belongs to it, the one
//! that closes at its end included. A bar that leaves the range on one side enters at the next bar's open,
//! with the profit counted from its close, or from the range's edge where that is further out. One that
//! touches both sides does not tell which came first: that session is not traded.

use model::market::Timeframe;
use model::signal::Action;
use model::text::reason_text;
use model::time::Timestamp;
use model::{Bar, Note, Price, Quantity, Tick};
use serde::{Deserialize, Serialize};

use super::{QUANTITY, SHORT, Stance, take, trading_window};
use crate::indicators::OpeningRange;
use crate::kind::{BuildError, InstrumentsWanted, KindDescriptor, Scope, Setup};
use crate::level::{Rounding, order_price, tick_price};
use crate::parameter::{ParameterSpec, ParameterType};
use crate::slots::Slots;
use crate::strategy::{Context, SessionEvent, Slot, Strategy, Subscription, TimerId};

/// The kind.
pub const KIND: KindDescriptor = KindDescriptor {
    name: "opening_range_breakout",
    summary: "goes with the first break out of the session's opening range, once a session, flat before the close",
    scope: Scope::Shared,
    instruments: InstrumentsWanted::Any,
    parameters: &[
        ParameterSpec {
            name: "range",
            kind: ParameterType::Duration,
            default: Some("15m"),
            doc: "length of the opening range from the session's open",
        },
        ParameterSpec {
            name: "reward",
            kind: ParameterType::Number {
                min: 0.0,
                max: 100.0,
            },
            default: Some("2"),
            doc: "distance of the profit-taking limit in heights of the range; 0 for none",
        },
        ParameterSpec {
            name: "exit_before_close",
            kind: ParameterType::Duration,
            default: Some("15m"),
            doc: "how long before the session's end it is flat and opens nothing more",
        },
        SHORT,
        QUANTITY,
    ],
    build,
};

fn build(setup: &Setup<'_>) -> Result<Box<dyn Strategy>, BuildError> {
    let p = setup.parameters;
    Ok(Box::new(OpeningRangeBreakout {
        range: p.duration("range")?,
        reward: p.number("reward")?,
        exit_before_close: p.duration("exit_before_close")?,
        short: p.flag("short")?,
        quantity: p.quantity("quantity")?,
        warm_up: setup.warm_up(0),
        slots: Slots::new(setup, State::default),
    }))
}

struct OpeningRangeBreakout {
    range: Timeframe,
    reward: f64,
    exit_before_close: Timeframe,
    short: bool,
    quantity: Quantity,
    warm_up: u32,
    slots: Slots<State>,
}

#[derive(Default, Serialize, Deserialize)]
struct State {
    seen: u32,
    /// The open of the session that the rest is about.
    session: Option<Timestamp>,
    range: OpeningRange,
    phase: Phase,
    stop: Option<Price>,
    profit: Option<Price>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
enum Phase {
    /// The range is being measured.
    Measuring,
    /// Waiting for a break.
    Armed,
    /// In a trade.
    Holding(Stance),
    /// Nothing more in this session.
    #[default]
    Done,
}

/// What one input shows: a tick its price, a bar how far prices went.
struct Seen {
    /// The first instant that it tells of.
    began: Timestamp,
    /// The last one.
    ended: Timestamp,
    low: Price,
    high: Price,
    last: Price,
}

impl Seen {
    const fn tick(price: Price, now: Timestamp) -> Self {
        Self {
            began: now,
            ended: now,
            low: price,
            high: price,
            last: price,
        }
    }

    const fn bar(bar: &Bar) -> Self {
        Self {
            began: bar.open_ts,
            ended: bar.close_ts.plus(-1),
            low: bar.low,
            high: bar.high,
            last: bar.close,
        }
    }
}

impl OpeningRangeBreakout {
    /// Begins a session that has not been seen yet.
    fn begin(&mut self, slot: Slot, began: Timestamp, ended: Timestamp, ctx: &mut Context<'_>) {
        let Some(window) = trading_window(ctx.session(slot), ended) else {
            return;
        };
        let state = &mut self.slots[slot];
        if state.session == Some(window.open) {
            return;
        }
        // A trade of the session before is closed by its timer or by its session's end.
        self.leave(slot, "session has ended", ctx);
        let early = began < window.open.plus(self.range.nanos());
        let phase = if early { Phase::Measuring } else { Phase::Done };
        let seen = self.slots[slot].seen;
        self.slots[slot] = State {
            seen,
            session: Some(window.open),
            phase,
            ..State::default()
        };
        if early {
            ctx.set_timer(
                window.close.plus(-self.exit_before_close.nanos()),
                TimerId(slot.0),
            );
        }
    }

    /// Ends the session's trading.
    fn leave(&mut self, slot: Slot, reason: &str, ctx: &mut Context<'_>) {
        let state = &mut self.slots[slot];
        if matches!(state.phase, Phase::Holding(_)) {
            let level = |price: Option<Price>| price.map_or(f64::NAN, Price::to_f64);
            let saw = [
                ("low", level(state.range.low())),
                ("high", level(state.range.high())),
                ("stop", level(state.stop)),
                ("profit", level(state.profit)),
            ];
            take(ctx, slot, Stance::Flat, self.quantity, reason, &saw);
        }
        state.phase = Phase::Done;
    }

    fn armed(&mut self, slot: Slot, seen: &Seen, ctx: &mut Context<'_>) {
        let state = &mut self.slots[slot];
        let (Some(low), Some(high)) = (state.range.low(), state.range.high()) else {
            return;
        };
        let reach = self.reward * (high.to_f64() - low.to_f64());
        let (above, below) = (seen.high > high, seen.low < low && self.short);
        let (stance, stop, down, profit, up) = if above && seen.low > low {
            let broken = seen.last.max(high).to_f64();
            (
                Stance::Long,
                low,
                Rounding::Down,
                broken + reach,
                Rounding::Up,
            )
        } else if below && seen.high < high {
            let broken = seen.last.min(low).to_f64();
            (
                Stance::Short,
                high,
                Rounding::Up,
                broken - reach,
                Rounding::Down,
            )
        } else {
            if above || below {
                // The stop was touched as well, before the break or after it.
                state.phase = Phase::Done;
            }
            return;
        };
        // Without a stop that can be ordered there is no entry; a profit beyond the window of
        // prices is simply never taken.
        let instrument = ctx.instrument(slot);
        let Ok(stop) = tick_price(stop, instrument, down) else {
            return;
        };
        let profit = if reach > 0.0 {
            order_price(profit, instrument, up).ok()
        } else {
            None
        };
        (state.phase, state.stop, state.profit) = (Phase::Holding(stance), Some(stop), profit);
        let mut decision = ctx.decision(
            slot,
            Action::Target {
                quantity: stance.of(self.quantity),
            },
        );
        decision.bracket.stop_loss = Some(stop);
        decision.bracket.take_profit = profit;
        decision.reason = reason_text("break of the opening range");
        decision.note = Note::of(&[
            ("price", seen.last.to_f64()),
            ("low", low.to_f64()),
            ("high", high.to_f64()),
        ]);
        ctx.signal(decision);
    }

    fn holding(&mut self, slot: Slot, stance: Stance, seen: &Seen, ctx: &mut Context<'_>) {
        let state = &self.slots[slot];
        let through = |level: Option<Price>, above: bool| {
            level.is_some_and(|l| if above { seen.high >= l } else { seen.low <= l })
        };
        let long = stance == Stance::Long;
        // The bracket closes the position at these levels: the target only says that nothing is
        // wanted any more.
        if through(state.stop, !long) {
            self.leave(slot, "stop has traded", ctx);
        } else if through(state.profit, long) {
            self.leave(slot, "profit has traded", ctx);
        }
    }

    /// Takes what an input shows.
    fn see(&mut self, slot: Slot, seen: &Seen, ctx: &mut Context<'_>) {
        self.begin(slot, seen.began, seen.ended, ctx);
        let Some(window) = trading_window(ctx.session(slot), seen.ended) else {
            return;
        };
        let warm = self.slots[slot].seen >= self.warm_up;
        let state = &mut self.slots[slot];
        state.seen = state.seen.saturating_add(u32::from(!warm));
        if state.phase == Phase::Measuring {
            if seen.began < window.open.plus(self.range.nanos()) {
                state.range.update(seen.low);
                return state.range.update(seen.high);
            }
            // No price within the range: nothing to break out of.
            state.phase = if state.range.high().is_some() {
                Phase::Armed
            } else {
                Phase::Done
            };
        }
        match state.phase {
            Phase::Armed if ctx.now() >= window.close.plus(-self.exit_before_close.nanos()) => {
                state.phase = Phase::Done;
            }
            Phase::Armed if warm => self.armed(slot, seen, ctx),
            Phase::Holding(stance) => self.holding(slot, stance, seen, ctx),
            Phase::Armed | Phase::Measuring | Phase::Done => {}
        }
    }
}

impl Strategy for OpeningRangeBreakout {
    fn subscription(&self) -> Subscription {
        Subscription {
            ticks: true,
            sessions: true,
            warm_up: self.warm_up,
            bars: Vec::new(),
        }
    }

    fn on_tick(&mut self, slot: Slot, tick: &Tick, ctx: &mut Context<'_>) {
        self.see(slot, &Seen::tick(tick.price, ctx.now()), ctx);
    }

    fn on_data_bar(&mut self, slot: Slot, bar: &Bar, ctx: &mut Context<'_>) {
        self.see(slot, &Seen::bar(bar), ctx);
    }

    fn on_timer(&mut self, id: TimerId, ctx: &mut Context<'_>) {
        if (id.0 as usize) < ctx.len() {
            self.leave(Slot(id.0), "before the close", ctx);
        }
    }

    /// The exit before the close is wanted all the same.
    fn on_missed_timer(&mut self, id: TimerId, _: Timestamp, ctx: &mut Context<'_>) {
        self.on_timer(id, ctx);
    }

    fn on_session(&mut self, slot: Slot, event: SessionEvent, ctx: &mut Context<'_>) {
        match event {
            SessionEvent::Open(_) => self.begin(slot, ctx.now(), ctx.now(), ctx),
            SessionEvent::Close => self.leave(slot, "session has ended", ctx),
        }
    }

    crate::keep_state!(slots);
}
