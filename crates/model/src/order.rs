//! Orders and their life. An [`Order`] changes only through [`Order::advance`], which refuses every
//! move that the life of an order does not have.

use serde::{Deserialize, Serialize};

use crate::fixed::{NumberError, Price, Quantity};
use crate::ids::{CorrelationId, OrderId, SignalId, StrategyIdx, TradeId};
use crate::instrument::InstrumentIdx;
use crate::money::Amount;
use crate::reason::Reason;
use crate::signal::{Bracket, OrderType, Product, Side, Validity};
use crate::time::Timestamp;

/// What an order is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderRole {
    /// Opens, adds to or reverses a position.
    Entry,
    /// Reduces a position at the strategy's wish.
    Exit,
    /// Protects a position: the stop leg of a bracket.
    StopLoss,
    /// Takes profit: the limit leg of a bracket.
    TakeProfit,
    /// Closes a position at its square-off time or at an operator's command.
    SquareOff,
    /// No order: a contract's settlement at expiry, where trades tell what ended them.
    Settlement,
}

impl OrderRole {
    /// The name in files and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Exit => "exit",
            Self::StopLoss => "stop_loss",
            Self::TakeProfit => "take_profit",
            Self::SquareOff => "square_off",
            Self::Settlement => "settlement",
        }
    }
    /// True for the legs of a bracket.
    pub const fn is_protective(self) -> bool {
        matches!(self, Self::StopLoss | Self::TakeProfit)
    }
}

/// An order as it is meant: the durable intent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OrderIntent {
    /// Its identity.
    #[serde(rename = "order_id")]
    pub id: OrderId,
    /// The chain of events that it belongs to.
    #[serde(rename = "correlation_id")]
    pub correlation: CorrelationId,
    /// The signal that led to it; `None` for scheduled and operator orders.
    #[serde(rename = "signal_id")]
    pub signal: Option<SignalId>,
    /// Whose position it changes.
    pub strategy: StrategyIdx,
    /// Which instrument.
    pub instrument: InstrumentIdx,
    /// What it is for.
    pub role: OrderRole,
    /// Buy or sell.
    pub side: Side,
    /// How much, positive.
    pub quantity: Quantity,
    /// The part of it that opens or adds; the rest closes an opposite position first.
    pub increase: Quantity,
    /// How it meets the market.
    pub order_type: OrderType,
    /// Limit price, of limit and stop-limit orders.
    pub limit_price: Option<Price>,
    /// Trigger price, of stop and stop-limit orders.
    pub trigger_price: Option<Price>,
    /// How long it stands.
    pub validity: Validity,
    /// What the position is held as.
    pub product: Product,
    /// Exits to place as it fills.
    pub bracket: Bracket,
    /// The other leg of a one-cancels-other pair.
    #[serde(rename = "oco_id")]
    pub oco: Option<OrderId>,
    /// The entry that this leg protects.
    #[serde(rename = "parent_id")]
    pub parent: Option<OrderId>,
    /// When it was decided.
    pub submitted: Timestamp,
    /// After it, nobody starts the call to the broker.
    pub send_by: Timestamp,
}

/// Where an order is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// The intent is recorded; the broker has not answered.
    Submitted,
    /// The broker has it.
    Acknowledged,
    /// A stop order whose trigger has traded.
    Triggered,
    /// Whether the broker has it cannot be told: live exposure.
    Unknown,
    /// Terminal: all of it executed.
    Filled,
    /// Terminal: cancelled, perhaps after a part executed.
    Cancelled,
    /// Terminal: refused by the broker.
    Rejected,
    /// Terminal: its time ran out, perhaps after a part executed.
    Expired,
    /// Terminal: provably never reached the broker.
    Failed,
}

impl OrderStatus {
    /// True when the order's life has ended.
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Filled | Self::Cancelled | Self::Rejected | Self::Expired | Self::Failed
        )
    }
    /// The name in files and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Acknowledged => "acknowledged",
            Self::Triggered => "triggered",
            Self::Unknown => "unknown",
            Self::Filled => "filled",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }
}

/// One step in an order's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderChange {
    /// The broker has accepted it.
    Acknowledged,
    /// Its trigger has traded.
    Triggered,
    /// The broker has changed it: the whole quantity and the prices that now hold.
    Modified {
        /// Total quantity, executed part included.
        quantity: Quantity,
        /// Limit price.
        limit_price: Option<Price>,
        /// Trigger price.
        trigger_price: Option<Price>,
    },
    /// We have asked for its cancellation.
    CancelRequested(Reason),
    /// The broker did not cancel it; it works on.
    CancelRefused,
    /// Whether the broker has it cannot be told.
    Unknown,
    /// A part or all of it executed.
    Filled(Execution),
    /// Cancelled.
    Cancelled(Reason),
    /// Refused by the broker.
    Rejected(Reason),
    /// Its time ran out.
    Expired(Reason),
    /// Provably never reached the broker.
    Failed(Reason),
    /// The broker did not change it; it works on as it was.
    ModifyRefused,
}

/// One execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// The broker's trade id.
    #[serde(rename = "trade_id")]
    pub trade: TradeId,
    /// How much, positive.
    pub quantity: Quantity,
    /// At what price.
    pub price: Price,
    /// Charges of this execution, in the instrument's currency.
    pub charges: Amount,
    /// Random numbers that this order has used so far, this execution included.
    pub draws: u32,
}

/// Why an order cannot take a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The order's life has no such move.
    #[error("an order that is {from} cannot become {to}", from = .from.name(), to = .to)]
    IllegalMove {
        /// Where it is.
        from: OrderStatus,
        /// Where it was to go.
        to: &'static str,
    },
    /// This execution has been booked.
    #[error("trade {0} is booked already")]
    DuplicateTrade(TradeId),
    /// More would be executed than was ordered.
    #[error("execution of {executed} exceeds the open quantity {open}")]
    Overfill {
        /// The execution's quantity.
        executed: Quantity,
        /// What was still open.
        open: Quantity,
    },
    /// A number is outside its window or does not fit.
    #[error(transparent)]
    Number(#[from] NumberError),
}

/// An order and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    intent: OrderIntent,
    status: OrderStatus,
    quantity: Quantity,
    limit_price: Option<Price>,
    trigger_price: Option<Price>,
    filled: Quantity,
    /// Σ price × quantity of the executions, without the multiplier.
    value: i128,
    charges: Amount,
    cancel_requested: bool,
    sequence: u32,
    trades: Vec<TradeId>,
}

impl Order {
    /// A new order in the state [`OrderStatus::Submitted`].
    pub fn new(intent: OrderIntent) -> Self {
        Self {
            status: OrderStatus::Submitted,
            quantity: intent.quantity,
            limit_price: intent.limit_price,
            trigger_price: intent.trigger_price,
            filled: Quantity::ZERO,
            value: 0,
            charges: Amount::ZERO,
            cancel_requested: false,
            sequence: 0,
            trades: Vec::new(),
            intent,
        }
    }

    /// The order as it was meant.
    pub const fn intent(&self) -> &OrderIntent {
        &self.intent
    }
    /// Where it stands.
    pub const fn status(&self) -> OrderStatus {
        self.status
    }
    /// The quantity that now holds, executed part included.
    pub const fn quantity(&self) -> Quantity {
        self.quantity
    }
    /// The limit price that now holds.
    pub const fn limit_price(&self) -> Option<Price> {
        self.limit_price
    }
    /// The trigger price that now holds.
    pub const fn trigger_price(&self) -> Option<Price> {
        self.trigger_price
    }
    /// How much has executed.
    pub const fn filled(&self) -> Quantity {
        self.filled
    }
    /// How much may still execute; zero once terminal.
    pub const fn open_quantity(&self) -> Quantity {
        if self.status.is_terminal() {
            Quantity::ZERO
        } else {
            Quantity::from_raw(self.quantity.raw() - self.filled.raw())
        }
    }
    /// Charges booked so far.
    pub const fn charges(&self) -> Amount {
        self.charges
    }
    /// Σ price × quantity of the executions, in units of 10⁻¹⁶, without the multiplier.
    pub const fn executed_value(&self) -> i128 {
        self.value
    }
    /// Average execution price for display, rounded down; `None` before the first execution.
    pub fn average_price(&self) -> Option<Price> {
        if self.filled.is_zero() {
            return None;
        }
        i64::try_from(self.value / i128::from(self.filled.raw()))
            .ok()
            .map(Price::from_raw)
    }
    /// The execution that is not booked yet, where a broker tells that `total` has executed at `average` in all:
    /// trade id, quantity and price. `None` where all of it is booked, as of what is repeated or was overtaken. The
    /// price is the difference of the two values over the quantity, rounded to the nearest. The broker has rounded
    /// its average before, to whole hundredths at worst: a price that lies beyond the order's limit by no more than that
    /// can make of it is the limit.
    pub fn executed_to(
        &self,
        total: Quantity,
        average: Price,
    ) -> Option<(TradeId, Quantity, Price)> {
        let quantity = total.raw().checked_sub(self.filled.raw());
        let quantity = quantity.filter(|more| *more > 0)?;
        let value = i128::from(average.raw()) * i128::from(total.raw());
        let (value, divisor) = (value.checked_sub(self.value), i128::from(quantity));
        let price = value
            .and_then(|value| value.checked_add(divisor / 2))
            .map(|value| value.div_euclid(divisor))
            .and_then(|price| i64::try_from(price).ok())
            // What is so far from everything is no price: it is doubted as it was said.
            .filter(|price| *price > 0)
            .map_or(average, Price::from_raw);
        let rounded = i128::from(crate::fixed::ONE / 100) * i128::from(total.raw()) / divisor;
        let beyond = |limit: Price| match self.intent.side {
            Side::Buy => i128::from(price.raw()) - i128::from(limit.raw()),
            Side::Sell => i128::from(limit.raw()) - i128::from(price.raw()),
        };
        let limit = self
            .limit_price
            .filter(|limit| (1..=rounded).contains(&beyond(*limit)));
        let price = limit.unwrap_or(price);
        let trade = TradeId::of_total(self.intent.id, total.raw());
        Some((trade, Quantity::from_raw(quantity), price))
    }
    /// True once its cancellation has been asked for and not refused.
    pub const fn cancel_requested(&self) -> bool {
        self.cancel_requested
    }
    /// Steps taken so far: the next event of this order carries `sequence + 1`.
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }
    /// Executions so far.
    pub fn executions(&self) -> u32 {
        self.trades.len() as u32
    }

    /// The status after `change`, or why it cannot be: the whole transition table.
    fn successor(&self, change: &OrderChange) -> Result<OrderStatus, OrderError> {
        use OrderStatus as S;
        let illegal = |to| {
            Err(OrderError::IllegalMove {
                from: self.status,
                to,
            })
        };
        let live = !self.status.is_terminal();
        match change {
            OrderChange::Acknowledged => match self.status {
                S::Submitted | S::Unknown => Ok(S::Acknowledged),
                _ => illegal("acknowledged"),
            },
            OrderChange::Triggered => match self.status {
                S::Submitted | S::Acknowledged | S::Unknown
                    if self.intent.order_type.has_trigger() =>
                {
                    Ok(S::Triggered)
                }
                _ => illegal("triggered"),
            },
            OrderChange::Modified { quantity, .. } => {
                if !live {
                    return illegal("modified");
                }
                if *quantity < self.filled || *quantity <= Quantity::ZERO {
                    return Err(OrderError::Overfill {
                        executed: self.filled,
                        open: *quantity,
                    });
                }
                quantity.in_window()?;
                if *quantity == self.filled {
                    Ok(S::Filled)
                } else {
                    Ok(self.status)
                }
            }
            OrderChange::CancelRequested(_) if live => Ok(self.status),
            OrderChange::CancelRequested(_) => illegal("cancel_requested"),
            OrderChange::CancelRefused if live => Ok(self.status),
            OrderChange::CancelRefused => illegal("cancel_refused"),
            OrderChange::ModifyRefused if live => Ok(self.status),
            OrderChange::ModifyRefused => illegal("modify_refused"),
            OrderChange::Unknown if live => Ok(S::Unknown),
            OrderChange::Unknown => illegal("unknown"),
            OrderChange::Filled(execution) => {
                if self.trades.contains(&execution.trade) {
                    return Err(OrderError::DuplicateTrade(execution.trade));
                }
                execution.quantity.in_window()?;
                execution.price.in_window()?;
                // A fill can race a cancel or the session's end: such a late one is booked, and the
                // order stays what it is. One that was refused or never sent cannot execute.
                if matches!(self.status, S::Filled | S::Rejected | S::Failed) {
                    return illegal("filled");
                }
                let open = self.quantity.checked_sub(self.filled)?;
                if execution.quantity > open {
                    return Err(OrderError::Overfill {
                        executed: execution.quantity,
                        open,
                    });
                }
                Ok(if !live {
                    self.status
                } else if execution.quantity == open {
                    S::Filled
                } else if self.status == S::Triggered {
                    S::Triggered
                } else {
                    S::Acknowledged
                })
            }
            OrderChange::Cancelled(_) if live => Ok(S::Cancelled),
            OrderChange::Cancelled(_) => illegal("cancelled"),
            OrderChange::Rejected(_) => match self.status {
                _ if !self.filled.is_zero() => illegal("rejected"),
                S::Submitted | S::Acknowledged | S::Triggered | S::Unknown => Ok(S::Rejected),
                _ => illegal("rejected"),
            },
            OrderChange::Expired(_) if live => Ok(S::Expired),
            OrderChange::Expired(_) => illegal("expired"),
            OrderChange::Failed(_) => match self.status {
                _ if !self.filled.is_zero() => illegal("failed"),
                S::Submitted | S::Unknown => Ok(S::Failed),
                _ => illegal("failed"),
            },
        }
    }

    /// Whether `change` is a legal next step.
    pub fn check(&self, change: &OrderChange) -> Result<OrderStatus, OrderError> {
        self.successor(change)
    }

    /// Takes one step, or says why it cannot be and stays unchanged.
    pub fn advance(&mut self, change: &OrderChange) -> Result<OrderStatus, OrderError> {
        let status = self.successor(change)?;
        match change {
            OrderChange::Filled(execution) => {
                let value =
                    i128::from(execution.price.raw()) * i128::from(execution.quantity.raw());
                let value = self.value.checked_add(value).ok_or(NumberError::Overflow)?;
                let charges = self.charges.checked_add(execution.charges)?;
                self.filled = self.filled.checked_add(execution.quantity)?;
                (self.value, self.charges) = (value, charges);
                self.trades.push(execution.trade);
            }
            OrderChange::Modified {
                quantity,
                limit_price,
                trigger_price,
            } => {
                self.quantity = *quantity;
                self.limit_price = *limit_price;
                self.trigger_price = *trigger_price;
            }
            OrderChange::CancelRequested(_) => self.cancel_requested = true,
            OrderChange::CancelRefused => self.cancel_requested = false,
            _ => {}
        }
        self.status = status;
        self.sequence = self.sequence.saturating_add(1);
        Ok(status)
    }
}
