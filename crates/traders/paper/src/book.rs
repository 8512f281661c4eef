//! The orders at the paper exchange and the market that they are matched with.

use model::order::OrderIntent;
use model::reason::Reason;
use model::signal::{OrderType, Side, Validity};
use model::{Bar, Depth, InstrumentIdx, OrderId, Price, Quantity, Tick, Timestamp};
use serde::{Deserialize, Serialize};

/// An order at the exchange.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resting {
    pub id: OrderId,
    pub instrument: InstrumentIdx,
    pub side: Side,
    pub order_type: OrderType,
    pub limit: Option<Price>,
    pub trigger: Option<Price>,
    pub validity: Validity,
    pub oco: Option<OrderId>,
    /// Total quantity and what has executed of it.
    pub quantity: Quantity,
    pub filled: Quantity,
    pub executions: u32,
    pub draws: u32,
    /// The number of the market input after which it was placed.
    pub placed: u64,
    /// When it reaches the market, and when its time runs out.
    pub arrives: Timestamp,
    pub expires: Timestamp,
    pub acknowledged: bool,
    /// The market input on which its trigger was reached.
    pub triggered_at: Option<u64>,
    /// The first market input on which it could fill: on later ones it is the one that waited.
    pub first_input: Option<u64>,
    /// The market input of its latest random partial fill: one such fill per input.
    pub cut_at: Option<u64>,
    pub cancel: Option<(Timestamp, Reason)>,
    pub modify: Option<(Timestamp, Quantity)>,
}

impl Resting {
    pub fn new(intent: &OrderIntent, placed: u64, arrives: Timestamp, expires: Timestamp) -> Self {
        Self {
            id: intent.id,
            instrument: intent.instrument,
            side: intent.side,
            order_type: intent.order_type,
            limit: intent.limit_price,
            trigger: intent.trigger_price,
            validity: intent.validity,
            oco: intent.oco,
            quantity: intent.quantity,
            filled: Quantity::ZERO,
            executions: 0,
            draws: 0,
            placed,
            arrives,
            expires,
            acknowledged: false,
            triggered_at: None,
            first_input: None,
            cut_at: None,
            cancel: None,
            modify: None,
        }
    }

    /// What may still execute.
    pub fn open(&self) -> Quantity {
        Quantity::from_raw(self.quantity.raw() - self.filled.raw())
    }

    /// Whether its limit price, if it has one, is as good as or better than `price`.
    pub fn accepts(&self, price: Price) -> bool {
        match (self.limit, self.side) {
            (None, _) => true,
            (Some(limit), Side::Buy) => price <= limit,
            (Some(limit), Side::Sell) => price >= limit,
        }
    }

    /// Whether a trade at `price` reaches its trigger.
    pub fn reaches(&self, price: Price) -> bool {
        match (self.trigger, self.side) {
            (None, _) => true,
            (Some(trigger), Side::Buy) => price >= trigger,
            (Some(trigger), Side::Sell) => price <= trigger,
        }
    }

    /// Whether it still waits for its trigger.
    pub fn waits_for_trigger(&self) -> bool {
        self.order_type.has_trigger() && self.triggered_at.is_none()
    }
}

/// The latest market input of an instrument and what orders have taken from it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Market {
    /// Its number among all market inputs; zero before the first.
    pub input: u64,
    pub tick: Tick,
    pub depth: Option<Depth>,
    pub bar: Option<Bar>,
    pub taken_from_asks: Quantity,
    pub taken_from_bids: Quantity,
}

impl Market {
    pub fn taken(&self, side: Side) -> Quantity {
        match side {
            Side::Buy => self.taken_from_asks,
            Side::Sell => self.taken_from_bids,
        }
    }
    /// What traded on this input.
    pub fn traded(&self) -> Quantity {
        self.bar.map_or(self.tick.quantity, |bar| bar.volume)
    }
}
