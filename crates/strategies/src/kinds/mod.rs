//! The built-in kinds of strategies, one file each.

pub mod ema_cross;
pub mod low_frequency_demo;
pub mod mean_reversion;
pub mod momentum;
pub mod opening_range_breakout;
pub mod pairs;
pub mod rsi;
pub mod vwap_reversion;

use model::session::SessionWindow;
use model::signal::Action;
use model::text::reason_text;
use model::time::{DAY, Timestamp};
use model::{Note, Quantity};
use serde::{Deserialize, Serialize};

use crate::kind::{BuildError, KindDescriptor};
use crate::parameter::{ParameterSpec, ParameterType};
use crate::strategy::{Context, Slot};

/// Every built-in kind, by name.
pub(crate) const ALL: &[KindDescriptor] = &[
    ema_cross::KIND,
    low_frequency_demo::KIND,
    mean_reversion::KIND,
    momentum::KIND,
    opening_range_breakout::KIND,
    pairs::KIND,
    rsi::KIND,
    vwap_reversion::KIND,
];

/// The longest period of an indicator: windows are summed afresh on each input.
const PERIOD: ParameterType = ParameterType::Integer { min: 2, max: 1_000 };

const QUANTITY: ParameterSpec = ParameterSpec {
    name: "quantity",
    kind: ParameterType::Quantity,
    default: Some("1"),
    doc: "size of the position in units of the instrument",
};

const TIMEFRAME: ParameterSpec = ParameterSpec {
    name: "timeframe",
    kind: ParameterType::Inputs,
    default: Some("1m"),
    doc: "what counts as one input: every tick, or the close of every bar of this length",
};

const SHORT: ParameterSpec = ParameterSpec {
    name: "short",
    kind: ParameterType::Flag,
    default: Some("true"),
    doc: "whether it may also hold short positions",
};

/// Which way a strategy stands in an instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
enum Stance {
    #[default]
    Flat,
    Long,
    Short,
}

impl Stance {
    /// `quantity` with the stance's sign.
    const fn of(self, quantity: Quantity) -> Quantity {
        match self {
            Self::Flat => Quantity::ZERO,
            Self::Long => quantity,
            Self::Short => quantity.negate(),
        }
    }
}

/// Asks for the position of a stance at the market.
fn take(
    ctx: &mut Context<'_>,
    slot: Slot,
    stance: Stance,
    quantity: Quantity,
    reason: &str,
    saw: &[(&str, f64)],
) {
    let mut decision = ctx.decision(
        slot,
        Action::Target {
            quantity: stance.of(quantity),
        },
    );
    decision.reason = reason_text(reason);
    decision.note = Note::of(saw);
    ctx.signal(decision);
}

/// The session that counts for day-bound rules: the instrument's own, or the day of UTC where the
/// market never closes.
fn trading_window(session: Option<SessionWindow>, now: Timestamp) -> Option<SessionWindow> {
    let window = session?;
    if window.close < Timestamp::MAX {
        return Some(window);
    }
    let open = Timestamp(now.nanos() - now.nanos().rem_euclid(DAY));
    Some(SessionWindow {
        open,
        close: open.plus(DAY),
    })
}

/// `Ok` when `holds`, else the message for the author of the definition.
fn require(holds: bool, message: impl FnOnce() -> String) -> Result<(), BuildError> {
    if holds {
        Ok(())
    } else {
        Err(BuildError::Parameters(message()))
    }
}
