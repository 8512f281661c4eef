//! Signals: what a strategy asks for.

use serde::{Deserialize, Serialize};

use crate::fixed::{NumberError, Price, Quantity};
use crate::ids::{CorrelationId, InputId, SignalId, StrategyIdx};
use crate::instrument::InstrumentIdx;
use crate::market::Bar;
use crate::note::Note;
use crate::text::ReasonText;
use crate::time::Timestamp;

/// Buy or sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Adds to the position.
    Buy,
    /// Takes from the position.
    Sell,
}

impl Side {
    /// The other side.
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
    /// 1 for a buy, −1 for a sell.
    pub const fn sign(self) -> i64 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }
    /// The side of a signed quantity; a zero counts as a buy.
    pub const fn of(quantity: Quantity) -> Self {
        if quantity.raw() < 0 {
            Self::Sell
        } else {
            Self::Buy
        }
    }
    /// `quantity` with this side's sign.
    pub const fn signed(self, quantity: Quantity) -> Quantity {
        match self {
            Self::Buy => quantity,
            Self::Sell => quantity.negate(),
        }
    }
    /// The nearest limit price that keeps the tick size, on the side that costs nothing: a buyer never
    /// pays more and a seller never gets less than was asked for. A buyer below the first tick gets zero.
    pub fn round_limit(self, price: Price, tick: Price) -> Result<Price, NumberError> {
        match self {
            Self::Buy => Ok(price.floor_to(tick)),
            Self::Sell => price.ceil_to(tick),
        }
    }
    /// The name in files and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }
}

/// What a signal acts on: always the strategy's own position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Add `quantity` (positive) on this side.
    Enter {
        /// Which way.
        side: Side,
        /// How much, positive.
        quantity: Quantity,
    },
    /// Reduce the position by `quantity` (positive), or close it.
    Exit {
        /// How much; `None` closes.
        quantity: Option<Quantity>,
    },
    /// Bring the position to this signed quantity.
    Target {
        /// The wanted position, negative for short.
        quantity: Quantity,
    },
}

impl Action {
    /// The name in files and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enter { .. } => "enter",
            Self::Exit { .. } => "exit",
            Self::Target { .. } => "target",
        }
    }
}

/// How an order meets the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderType {
    /// At once, at any price.
    #[default]
    Market,
    /// At the limit price or better.
    Limit,
    /// A market order once the trigger price trades.
    Stop,
    /// A limit order once the trigger price trades.
    StopLimit,
}

impl OrderType {
    /// True when it carries a limit price.
    pub const fn has_limit(self) -> bool {
        matches!(self, Self::Limit | Self::StopLimit)
    }
    /// True when it carries a trigger price.
    pub const fn has_trigger(self) -> bool {
        matches!(self, Self::Stop | Self::StopLimit)
    }
    /// The name in files and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Market => "market",
            Self::Limit => "limit",
            Self::Stop => "stop",
            Self::StopLimit => "stop_limit",
        }
    }
}

/// How long an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validity {
    /// Until the session's end.
    #[default]
    Day,
    /// What can fill at once fills, the rest is cancelled.
    Ioc,
    /// All of it fills at once, or nothing.
    Fok,
    /// Until the given instant.
    Gtd(Timestamp),
}

impl Validity {
    /// The name in files and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Ioc => "ioc",
            Self::Fok => "fok",
            Self::Gtd(_) => "gtd",
        }
    }
}

/// What a position is held as. One strategy can hold both of one instrument.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Product {
    /// Closed within the day; may be short.
    #[default]
    Intraday,
    /// Shares taken into the demat account; never short overnight.
    Delivery,
    /// Derivatives held overnight.
    CarryForward,
}

impl Product {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Intraday, Self::Delivery, Self::CarryForward];

    /// The name in files and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Intraday => "intraday",
            Self::Delivery => "delivery",
            Self::CarryForward => "carry_forward",
        }
    }
}

/// Exits that the engine places as an entry fills; the two cancel each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bracket {
    /// Trigger of the protective stop order.
    pub stop_loss: Option<Price>,
    /// Limit of the profit-taking order.
    pub take_profit: Option<Price>,
}

/// What a strategy returns: a signal before the host gives it an identity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Which instrument.
    pub instrument: InstrumentIdx,
    /// What to do with the position.
    pub action: Action,
    /// How the order meets the market.
    pub order_type: OrderType,
    /// Limit price, of limit and stop-limit orders.
    pub limit_price: Option<Price>,
    /// Trigger price, of stop and stop-limit orders.
    pub trigger_price: Option<Price>,
    /// How long the order stands.
    pub validity: Validity,
    /// What the position is held as.
    pub product: Product,
    /// Exits to place once it has filled.
    pub bracket: Bracket,
    /// The strategy's own estimate, 0 to 1; information only.
    pub confidence: Option<f32>,
    /// Why, for people.
    pub reason: ReasonText,
    /// What the strategy saw, for people.
    pub note: Note,
}

impl Decision {
    /// A market order for the day.
    pub fn market(instrument: InstrumentIdx, action: Action) -> Self {
        Self {
            instrument,
            action,
            order_type: OrderType::Market,
            limit_price: None,
            trigger_price: None,
            validity: Validity::Day,
            product: Product::Intraday,
            bracket: Bracket::default(),
            confidence: None,
            reason: ReasonText::new(),
            note: Note::default(),
        }
    }
    /// The same without its note: what a decision asks for. Two that differ in what was seen alone ask
    /// for the same.
    pub fn without_note(&self) -> Self {
        Self {
            note: Note::default(),
            ..*self
        }
    }
}

/// What a strategy was called with when it decided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(
    clippy::large_enum_variant,
    reason = "plain values in reused buffers; a box would allocate per signal"
)]
pub enum Trigger {
    /// The market input itself, as a tick.
    Input,
    /// A bar: the input itself, or one that its host has built.
    Bar(Bar),
    /// A timer of its own.
    Timer {
        /// The strategy's number of it.
        #[serde(rename = "timer")]
        id: u32,
        /// When it was due.
        due: Timestamp,
    },
    /// The opening or closing of an instrument's session.
    Session {
        /// Whether it opened.
        opens: bool,
        /// When.
        due: Timestamp,
    },
    /// An execution of one of its own orders.
    Fill {
        /// Buy or sell.
        side: Side,
        /// How much.
        quantity: Quantity,
        /// At what price.
        price: Price,
    },
}

impl Trigger {
    /// The name in files and events.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Input => "tick",
            Self::Bar(_) => "bar",
            Self::Timer { .. } => "timer",
            Self::Session { opens: true, .. } => "session_open",
            Self::Session { opens: false, .. } => "session_close",
            Self::Fill { .. } => "fill",
        }
    }
}

/// A strategy's decision with its identity and cause.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Its identity, the same on every broker.
    #[serde(rename = "signal_id")]
    pub id: SignalId,
    /// The chain of events that it belongs to.
    #[serde(rename = "correlation_id")]
    pub correlation: CorrelationId,
    /// Who asks.
    pub strategy: StrategyIdx,
    /// The input on which it was decided.
    pub input: InputId,
    /// Its number among the strategy's signals on that input.
    pub ordinal: u32,
    /// When it was decided.
    pub ts: Timestamp,
    /// What it was decided on; `input` is the latest market input by then.
    pub trigger: Trigger,
    /// What it asks for.
    pub decision: Decision,
}
