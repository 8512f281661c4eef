//! Events. Inside the kernel an event is a small plain value; its names, ids and encodings are made
//! at the edges, where it leaves.

use serde::{Deserialize, Serialize};

use crate::contract_note::ChargesAdjustment;
use crate::control::{Breach, TradingState};
use crate::fixed::{Price, Quantity};
use crate::ids::{CommandId, CorrelationId, InputId, OrderId, SignalId, StrategyIdx, TradeId};
use crate::instrument::InstrumentIdx;
use crate::money::{Amount, CurrencyIdx};
use crate::order::{OrderChange, OrderIntent};
use crate::reason::Reason;
use crate::refusal::Refusal;
use crate::signal::{Decision, Product, Side, Signal};
use crate::time::Timestamp;
use crate::topic::Channel;

/// What caused an event: enough to make the causing event's id at the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A market input, by its position.
    Input(InputId),
    /// A timer that was due.
    Timer(Timestamp),
    /// A signal.
    Signal(SignalId),
    /// An order's event.
    Order(OrderId, u32),
    /// A command.
    Command(CommandId),
}

/// One fact that a stage produced.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Event time.
    pub ts: Timestamp,
    /// The chain of events that it belongs to.
    #[serde(rename = "correlation_id")]
    pub correlation: CorrelationId,
    /// What caused it.
    pub cause: Cause,
    /// What happened.
    pub body: EventBody,
}

/// Where a namespace recorded an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventPlace {
    /// The number of its run.
    pub step: u64,
    /// Its place among that run's outputs, from zero.
    pub ordinal: usize,
}

/// What can happen in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(
    clippy::large_enum_variant,
    reason = "events are plain values in a reused buffer; a box would allocate per event"
)]
pub enum EventBody {
    /// A strategy's signal, as it reached the namespace.
    SignalRaw(Signal),
    /// Risk lets a signal pass, wholly or in part.
    SignalValidated(Validated),
    /// Risk refuses a signal.
    SignalRejected(Refused),
    /// A signal waits for working orders to be cancelled first.
    SignalDeferred(Signal),
    /// A new order: the durable intent.
    OrderSubmitted(OrderIntent),
    /// A step in an order's life; executions and failures have topics of their own.
    OrderChanged(OrderStep),
    /// The namespace's trading state changed.
    StateChanged {
        /// What it was.
        from: TradingState,
        /// What it is.
        to: TradingState,
        /// Why.
        reason: Reason,
        /// True when a rule did it, false for an operator.
        automatic: bool,
        /// Losses are counted from here on.
        resets_losses: bool,
    },
    /// A strategy may not trade here any more, or may again.
    StrategySwitched {
        /// Which.
        strategy: StrategyIdx,
        /// Whether it may trade.
        enabled: bool,
        /// Why.
        reason: Reason,
        /// Its losses are counted from here on.
        resets_losses: bool,
    },
    /// A position is being closed at its square-off time or at an operator's command: its working
    /// orders are cancelled first, and until it is finished nothing may add to it.
    SquareOff {
        /// Whose position.
        strategy: StrategyIdx,
        /// In what.
        instrument: InstrumentIdx,
        /// Held as what.
        product: Product,
        /// True when it begins, false when it has ended.
        begins: bool,
        /// Why.
        reason: Reason,
    },
    /// A protective leg has been adjusted to the position: ask the broker to change the order.
    ModifyRequested {
        /// Which order.
        #[serde(rename = "order_id")]
        order: OrderId,
        /// New total quantity, executed part included.
        quantity: Quantity,
    },
    /// The trader inside the pipeline reports nonsense and is not asked any more.
    TraderDetached {
        /// Why.
        reason: Reason,
    },
    /// The namespace's money at an instant, one per currency.
    Snapshot(Snapshot),
    /// Something that an operator should know.
    Alert {
        /// What about.
        reason: Reason,
        /// The order it is about.
        #[serde(rename = "order_id")]
        order: Option<OrderId>,
        /// The strategy it is about.
        strategy: Option<StrategyIdx>,
    },
    /// The host keeps exposure from growing, or lets it grow again.
    EntriesBlocked {
        /// Why.
        reason: Reason,
        /// True when it begins, false when it has ended.
        blocked: bool,
    },
    /// A day's close: what its contract note says beyond what the executions have booked.
    ChargesAdjusted(ChargesAdjustment),
    /// A contract has expired and its position was settled in cash: it is closed at this price.
    PositionSettled(Settled),
    /// The broker reports an execution that cannot be true: it is not booked, and its order is asked
    /// about.
    ReportParked(ParkedReport),
    /// A parked report is void: the broker's book does not show it, or an operator has ended its order.
    ReportDropped {
        /// The order that it was about.
        #[serde(rename = "order_id")]
        order: OrderId,
        /// The broker's trade id.
        #[serde(rename = "trade_id")]
        trade: TradeId,
        /// Why.
        reason: Reason,
    },
    /// A loss has reached its limit.
    LimitReached {
        /// The strategy whose own limit it is; `None`: the namespace's.
        strategy: Option<StrategyIdx>,
        /// Which limit.
        reason: Reason,
        /// By how much.
        breach: Breach,
        /// Whether positions are squared off for it.
        squares_off: bool,
    },
    /// A command to trade again was refused, as trading would stop again at once.
    ResumeRefused {
        /// The strategy that was to be enabled; `None`: the namespace was to be resumed.
        strategy: Option<StrategyIdx>,
        /// Why.
        reason: Reason,
        /// The loss and its limit, where it is a loss.
        breach: Option<Breach>,
    },
    /// A signal was decided as its instrument's session ended: it is judged when the next one opens.
    SignalHeld {
        /// The signal.
        signal: Signal,
        /// The next session's open. The signal's age counts from then.
        open: Timestamp,
    },
}

/// What cannot be true of a reported execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// It is on the other side than its order.
    Side,
    /// It is not positive, or more than the order has open.
    Quantity,
    /// It is not a multiple of the lot size.
    Lot,
    /// It is worse than the order's limit price.
    Limit,
    /// It is too far from the last price of the market.
    Band,
    /// It is not a multiple of the tick size.
    Tick,
}

impl Doubt {
    /// The name in files and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Side => "side",
            Self::Quantity => "quantity",
            Self::Lot => "lot",
            Self::Limit => "limit",
            Self::Band => "band",
            Self::Tick => "tick",
        }
    }
    /// The end of the sentence "the execution is …".
    pub const fn text(self) -> &'static str {
        match self {
            Self::Side => "on the other side than its order",
            Self::Quantity => "not positive, or more than the order has open",
            Self::Lot => "not a multiple of the lot size",
            Self::Limit => "worse than the order's limit price",
            Self::Band => "too far from the last price",
            Self::Tick => "not at a multiple of the tick size",
        }
    }
}

/// A reported execution that is not booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedReport {
    /// The order that it is about.
    #[serde(rename = "order_id")]
    pub order: OrderId,
    /// Whose order it is.
    pub strategy: StrategyIdx,
    /// In what.
    pub instrument: InstrumentIdx,
    /// The broker's trade id.
    #[serde(rename = "trade_id")]
    pub trade: TradeId,
    /// Bought or sold.
    pub side: Side,
    /// How much.
    pub quantity: Quantity,
    /// At what price.
    pub price: Price,
    /// What cannot be true of it.
    pub doubt: Doubt,
    /// The instrument's last price; zero where there is none.
    #[serde(rename = "last_price")]
    pub last: Price,
    /// The broker's own book confirms it, and it cannot be booked: only an operator can end it.
    pub confirmed: bool,
}

/// Where the price of a settlement comes from. Each stands for the exchange's final settlement price,
/// which is not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettlementBasis {
    /// The contract's own last price.
    LastPrice,
    /// An option's value by the last price of its underlying.
    Underlying,
}

impl SettlementBasis {
    /// The name in files and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LastPrice => "last_price",
            Self::Underlying => "underlying",
        }
    }
}

/// A position that ended with its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Whose.
    pub strategy: StrategyIdx,
    /// In what.
    pub instrument: InstrumentIdx,
    /// Held as what.
    pub product: Product,
    /// The signed quantity that was held.
    pub quantity: Quantity,
    /// The price at which it is closed; zero for an option that is worth nothing.
    pub price: Price,
    /// Where the price comes from.
    pub basis: SettlementBasis,
    /// What an exercise is charged.
    pub charges: Amount,
}

/// A signal that passed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Validated {
    /// Which signal.
    #[serde(rename = "signal_id")]
    pub signal: SignalId,
    /// Whose.
    pub strategy: StrategyIdx,
    /// Its causing input and ordinal: the strategy's mark in this namespace.
    pub mark: (InputId, u32),
    /// Which instrument.
    pub instrument: InstrumentIdx,
    /// What the position is held as.
    pub product: Product,
    /// The side of the order to be sent.
    pub side: Side,
    /// The order's quantity.
    pub quantity: Quantity,
    /// The part of it that opens or adds.
    pub increase: Quantity,
    /// The wanted position, of a target.
    pub target: Option<Quantity>,
    /// Why only the reducing part passed.
    pub entry_refused: Option<Refusal>,
    /// What the signal asked for.
    pub decision: Decision,
}

/// A signal that did not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Which signal.
    #[serde(rename = "signal_id")]
    pub signal: SignalId,
    /// Whose.
    pub strategy: StrategyIdx,
    /// Its causing input and ordinal: the strategy's mark in this namespace.
    pub mark: (InputId, u32),
    /// Which instrument.
    pub instrument: InstrumentIdx,
    /// What the position is held as.
    pub product: Product,
    /// The wanted position, of a target: kept, so that the difference can be shown.
    pub target: Option<Quantity>,
    /// The side and quantity of the order that was not sent; `None` where the signal came to none.
    pub order: Option<(Side, Quantity)>,
    /// Why.
    pub refusal: Refusal,
}

/// A step in an order's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderStep {
    /// Which order.
    #[serde(rename = "order_id")]
    pub order: OrderId,
    /// Its number among the order's events; the intent is 0.
    pub sequence: u32,
    /// What happened.
    pub change: OrderChange,
}

/// The money of a namespace in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// Which currency.
    pub currency: CurrencyIdx,
    /// Its number among the namespace's snapshots.
    pub sequence: u64,
    /// Σ of sales minus Σ of purchases, without charges.
    pub cash_flow: Amount,
    /// Profit of what has been closed, before charges.
    pub realised: Amount,
    /// Profit of what is open at the last price.
    pub unrealised: Amount,
    /// Charges so far.
    pub charges: Amount,
    /// Starting cash + realised + unrealised − charges.
    pub equity: Amount,
    /// Highest equity so far.
    pub peak: Amount,
    /// Largest fall from a peak so far.
    pub max_drawdown: Amount,
    /// What the trading day's loss is counted from.
    pub loss_base: Amount,
    /// What the fall from the peak is counted from.
    pub loss_peak: Amount,
    /// Σ of the positions' absolute values at the last price.
    pub gross_exposure: Amount,
}

impl Event {
    /// The topic's channel that it is published on.
    pub const fn channel(&self) -> Channel {
        match self.body {
            EventBody::SignalRaw(_) => Channel::SignalsRaw,
            EventBody::SignalValidated(_) => Channel::SignalsValidated,
            EventBody::SignalDeferred(_) | EventBody::SignalHeld { .. } => {
                Channel::SignalsValidated
            }
            EventBody::SignalRejected(_) => Channel::SignalsRejected,
            EventBody::OrderSubmitted(_) => Channel::OrdersSubmitted,
            EventBody::OrderChanged(step) => match step.change {
                OrderChange::Filled(_) => Channel::OrdersFilled,
                OrderChange::Failed(_) => Channel::OrdersFailed,
                _ => Channel::OrdersUpdated,
            },
            EventBody::ModifyRequested { .. } => Channel::OrdersUpdated,
            EventBody::StateChanged { .. }
            | EventBody::StrategySwitched { .. }
            | EventBody::LimitReached { .. }
            | EventBody::ResumeRefused { .. }
            | EventBody::SquareOff { .. }
            | EventBody::TraderDetached { .. }
            | EventBody::EntriesBlocked { .. }
            | EventBody::ReportParked(_)
            | EventBody::ReportDropped { .. }
            | EventBody::Alert { .. } => Channel::Control,
            EventBody::Snapshot(_)
            | EventBody::ChargesAdjusted(_)
            | EventBody::PositionSettled(_) => Channel::PortfolioSnapshots,
        }
    }

    /// The event's type in envelopes and files.
    pub const fn kind(&self) -> &'static str {
        match self.body {
            EventBody::SignalRaw(_) => "signal_raw",
            EventBody::SignalValidated(_) => "signal_validated",
            EventBody::SignalRejected(_) => "signal_rejected",
            EventBody::SignalDeferred(_) => "signal_deferred",
            EventBody::OrderSubmitted(_) => "order_submitted",
            EventBody::OrderChanged(step) => match step.change {
                OrderChange::Acknowledged => "order_acknowledged",
                OrderChange::Triggered => "order_triggered",
                OrderChange::Modified { .. } => "order_modified",
                OrderChange::CancelRequested(_) => "order_cancel_requested",
                OrderChange::CancelRefused => "order_cancel_refused",
                OrderChange::Unknown => "order_unknown",
                OrderChange::Filled(_) => "order_filled",
                OrderChange::Cancelled(_) => "order_cancelled",
                OrderChange::Rejected(_) => "order_rejected",
                OrderChange::Expired(_) => "order_expired",
                OrderChange::Failed(_) => "order_failed",
                OrderChange::ModifyRefused => "order_modify_refused",
            },
            EventBody::ModifyRequested { .. } => "order_modify_requested",
            EventBody::StateChanged { .. } => "trading_state_changed",
            EventBody::StrategySwitched { .. } => "strategy_switched",
            EventBody::LimitReached { .. } => "limit_reached",
            EventBody::ResumeRefused { .. } => "resume_refused",
            EventBody::SquareOff { begins: true, .. } => "square_off_started",
            EventBody::SquareOff { begins: false, .. } => "square_off_finished",
            EventBody::TraderDetached { .. } => "trader_detached",
            EventBody::Snapshot(_) => "portfolio_snapshot",
            EventBody::Alert { .. } => "alert",
            EventBody::EntriesBlocked { blocked: true, .. } => "entries_blocked",
            EventBody::EntriesBlocked { blocked: false, .. } => "entries_allowed",
            EventBody::ChargesAdjusted(_) => "charges_adjusted",
            EventBody::PositionSettled(_) => "position_settled",
            EventBody::ReportParked(_) => "report_parked",
            EventBody::ReportDropped { .. } => "report_dropped",
            EventBody::SignalHeld { .. } => "signal_held",
        }
    }
}

/// The version of the event schemas. They only grow.
pub const SCHEMA_VERSION: u16 = 1;
