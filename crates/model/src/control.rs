//! What operators, schedules and the system itself tell a namespace.

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};

use crate::fixed::{Price, Quantity};
use crate::ids::{CommandId, OrderId, StrategyIdx};
use crate::instrument::InstrumentIdx;
use crate::money::{Amount, CurrencyIdx};
use crate::reason::Reason;

/// Whether a namespace may trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TradingState {
    /// Everything the rules allow.
    #[default]
    Active,
    /// Exposure may shrink, not grow.
    ReduceOnly,
    /// As reduce-only, and working entries are cancelled.
    Halted,
}

impl TradingState {
    /// The name in files and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::ReduceOnly => "reduce_only",
            Self::Halted => "halted",
        }
    }
}

/// Who gave a command.
pub type Actor = ArrayString<32>;
/// What tells a command that is given again from a new one.
pub type CommandKey = ArrayString<64>;

/// Who gave a command, and under which key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// Who gave it; empty: the system itself.
    pub actor: Actor,
    /// Its key: a command is carried out once for each; empty: as often as it is given.
    pub key: CommandKey,
}

/// A command to one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Its identity.
    #[serde(rename = "command_id")]
    pub id: CommandId,
    /// Where it comes from.
    pub origin: Origin,
    /// What to do.
    pub action: CommandAction,
}

impl Command {
    /// One that the system gives by itself.
    pub fn of_system(id: CommandId, action: CommandAction) -> Self {
        Self {
            id,
            origin: Origin::default(),
            action,
        }
    }
}

/// What a command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandAction {
    /// Change whether the namespace may trade.
    SetState(TradingState),
    /// Let a strategy trade here again.
    EnableStrategy(StrategyIdx),
    /// Keep a strategy from trading here.
    DisableStrategy(StrategyIdx, Reason),
    /// Cancel one order.
    CancelOrder(OrderId),
    /// Cancel every working order.
    CancelAll,
    /// Close every position of one instrument.
    SquareOff(InstrumentIdx),
    /// Close every position.
    SquareOffAll,
    /// End an order whose outcome nothing else can tell.
    ResolveOrder(OrderId, Resolution),
    /// Cancel every working entry.
    CancelEntries,
    /// Close one strategy's position of an instrument; without a strategy, everyone's.
    SquareOffPosition(InstrumentIdx, Option<StrategyIdx>),
    /// The host keeps exposure from growing, for this reason, until it allows it again. It is
    /// independent of the operator's trading state.
    BlockEntries(Reason),
    /// The host's reason is gone.
    AllowEntries(Reason),
    /// Trade again, and count losses from now on, whatever was lost before.
    ResumeAnew,
    /// Let a strategy trade here again, and count its losses from now on.
    EnableStrategyAnew(StrategyIdx),
}

/// A loss that has reached its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// In which currency.
    pub currency: CurrencyIdx,
    /// What is lost.
    pub loss: Amount,
    /// The limit.
    pub limit: Amount,
}

/// How an operator ends an order of unknown outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The broker never had it.
    NeverReached,
    /// The broker had it and it is cancelled, beyond what has been reported as executed.
    Cancelled,
    /// So much of it executed at this price. A report of the same execution that still comes carries
    /// the broker's own trade id: it would be booked as well, as far as the order's quantity allows.
    Filled {
        /// How much.
        quantity: Quantity,
        /// At what price.
        price: Price,
    },
}
