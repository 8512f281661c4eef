//! A strategy kind of your own: it buys after a number of rising bars in a row, and sells after the
//! first falling one.
//!
//! A kind is three things: what it keeps (`State`), what it does ([`Strategy`]), and what
//! definitions may say about it ([`KIND`]). Register it with one line beside the built-in ones:
//!
//! ```
//! let mut registry = strategies::KindRegistry::built_in();
//! registry.register(custom_strategy::KIND)?;
//! # Ok::<(), strategies::KindError>(())
//! ```

use model::signal::Action;
use model::{Bar, Note, Price, Quantity};
use serde::{Deserialize, Serialize};
use strategies::{
    BuildError, Context, Inputs, InstrumentsWanted, KindDescriptor, ParameterSpec, ParameterType,
    Scope, Setup, Slot, Slots, Strategy, Subscription,
};

/// What definitions may say: `kind: rising_bars` and these parameters.
pub const KIND: KindDescriptor = KindDescriptor {
    name: "rising_bars",
    summary: "buys after rising bars in a row and sells after the first falling one",
    scope: Scope::Shared,
    instruments: InstrumentsWanted::Any,
    parameters: &[
        ParameterSpec {
            name: "rises",
            kind: ParameterType::Integer { min: 1, max: 100 },
            default: Some("3"),
            doc: "how many bars in a row must close higher than the bar before",
        },
        ParameterSpec {
            name: "quantity",
            kind: ParameterType::Quantity,
            default: Some("1"),
            doc: "size of the position in units of the instrument",
        },
        ParameterSpec {
            name: "bar",
            kind: ParameterType::Duration,
            default: Some("1m"),
            doc: "length of a bar",
        },
    ],
    build,
};

fn build(setup: &Setup<'_>) -> Result<Box<dyn Strategy>, BuildError> {
    let rises = setup.parameters.integer("rises")?;
    Ok(Box::new(RisingBars {
        rises,
        quantity: setup.parameters.quantity("quantity")?,
        inputs: Inputs::Bars(setup.parameters.duration("bar")?),
        // The first decision needs `rises` bars above the one before them.
        warm_up: setup.warm_up(rises),
        slots: Slots::new(setup, State::default),
    }))
}

struct RisingBars {
    rises: u32,
    quantity: Quantity,
    inputs: Inputs,
    warm_up: u32,
    slots: Slots<State>,
}

/// What it keeps for each instrument.
#[derive(Default, Serialize, Deserialize)]
struct State {
    seen: u32,
    last: Option<Price>,
    rises: u32,
    long: bool,
}

impl RisingBars {
    /// Asks for a position, and says what was seen: `panda trace`, `signals.csv` and the report show
    /// the note.
    fn ask(&self, slot: Slot, quantity: Quantity, saw: Note, ctx: &mut Context<'_>) {
        let mut decision = ctx.decision(slot, Action::Target { quantity });
        decision.note = saw;
        ctx.signal(decision);
    }
}

impl Strategy for RisingBars {
    fn subscription(&self) -> Subscription {
        self.inputs.subscription(self.warm_up)
    }

    fn on_bar(&mut self, slot: Slot, bar: &Bar, ctx: &mut Context<'_>) {
        let state = &mut self.slots[slot];
        let last = state.last.replace(bar.close);
        let rises = last.is_some_and(|last| bar.close > last);
        let falls = last.is_some_and(|last| bar.close < last);
        state.rises = if rises {
            state.rises.saturating_add(1)
        } else {
            0
        };
        // What is decided during the warm-up is discarded: do not remember it as done.
        if state.seen < self.warm_up {
            state.seen += 1;
            return;
        }
        if !state.long && state.rises >= self.rises {
            state.long = true;
            let saw = Note::of(&[("close", bar.close.to_f64()), ("rises", state.rises.into())]);
            self.ask(slot, self.quantity, saw, ctx);
        } else if state.long && falls {
            state.long = false;
            let before = last.unwrap_or_default().to_f64();
            let saw = Note::of(&[("close", bar.close.to_f64()), ("before", before)]);
            self.ask(slot, Quantity::ZERO, saw, ctx);
        }
    }

    strategies::keep_state!(slots);
}

#[cfg(test)]
mod tests {
    use model::session::SessionWindow;
    use model::time::MINUTE;
    use model::{Instrument, Instruments, Timestamp};
    use strategies::testing::Host;
    use strategies::{KindRegistry, parse, resolve};

    use super::*;

    fn registry() -> KindRegistry {
        let mut registry = KindRegistry::built_in();
        registry.register(KIND).unwrap();
        registry
    }

    #[test]
    fn it_buys_after_rising_bars_and_sells_after_a_falling_one() {
        let mut host = Host::new(&registry(), "rising_bars", &[("rises", "2")], 1).unwrap();
        host.session(
            Timestamp(0),
            Some(SessionWindow {
                open: Timestamp(0),
                close: Timestamp::MAX,
            }),
        );
        for (minute, price) in [10, 11, 12, 12, 11, 12].into_iter().enumerate() {
            let at = Timestamp(minute as i64 * MINUTE);
            host.tick(
                Slot(0),
                at,
                Price::from_int(price).unwrap(),
                Quantity::from_int(1).unwrap(),
            );
        }
        let minutes: Vec<i64> = host
            .decisions()
            .iter()
            .map(|(at, _)| at.nanos() / MINUTE)
            .collect();
        assert_eq!(minutes, [3, 5]);
        let saw: Vec<String> = host
            .decisions()
            .iter()
            .map(|(_, d)| d.note.to_string())
            .collect();
        assert_eq!(saw, ["close=12 rises=2", "close=11 before=12"]);
        assert!(host.position(Slot(0)).is_zero());
    }

    #[test]
    fn a_definition_can_name_it() {
        let share = Instrument::share("NSE", "TCS", "INR".parse().unwrap());
        let instruments = Instruments::new(vec![share]).unwrap();
        let file = "- {id: mine, kind: rising_bars, instruments: [TCS], parameters: {rises: 4}}";
        let resolved =
            resolve(parse("mine.yaml", file).unwrap(), &instruments, &registry()).unwrap();
        assert_eq!(resolved[0].build().unwrap().subscription().warm_up, 4);
    }
}
