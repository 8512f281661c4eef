//! A trader of your own: `midpoint` fills every order whole, at the middle between bid and ask.
//!
//! It is stepped inside the pipeline, so it only decides: what it knows comes in through
//! `observe_market`, `observe_time` and `apply`, and each of its reports comes back as an event
//! before it is asked for the next one. Register it with one line beside the built-in ones:
//!
//! ```
//! let mut registry = traders::Registry::default();
//! registry.register(third_trader::kind());
//! assert!(registry.get("midpoint").is_some());
//! ```

use std::sync::Arc;

use model::event::{Event, EventBody};
use model::market::MarketData;
use model::order::{OrderChange, OrderIntent};
use model::reason::Reason;
use model::reindex::Reindex;
use model::session::{SessionStatus, Sessions};
use model::signal::{OrderType, Side, Validity};
use model::trader::{
    Capabilities, Delivery, InPipelineTrader, ReportKind, TraderReport, TraderStateError,
};
use model::{AssetClass, InstrumentIdx, Instruments, OrderId, Price, Quantity, Timestamp, TradeId};
use serde::{Deserialize, Serialize};
use traders::{BrokerKind, BuildContext, BuildError, Built};

/// The kind to register; `kind = "midpoint"` in a broker's settings.
pub fn kind() -> BrokerKind {
    BrokerKind {
        name: "midpoint",
        summary: "fills market and limit orders whole, at the middle between bid and ask",
        asset_classes: &AssetClass::ALL,
        settings: &[],
        build: Box::new(build),
    }
}

fn build(context: &BuildContext<'_>) -> Result<Built, BuildError> {
    if let Some(key) = context.settings.keys().next() {
        return Err(BuildError::Setting {
            namespace: context.namespace.as_str().to_owned(),
            message: format!("unknown key `{key}`; midpoint has no settings: remove it"),
        });
    }
    let trader = Midpoint::new(
        Arc::clone(&context.instruments),
        Arc::clone(&context.sessions),
    );
    let (warnings, effective) = (Vec::new(), toml::Table::new());
    Ok(Built::InPipeline {
        trader: Box::new(trader),
        warnings,
        effective,
    })
}

/// An order that stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Standing {
    intent: OrderIntent,
    quantity: Quantity,
    /// The number of the market input after which it was placed.
    placed: u64,
    expires: Timestamp,
    acknowledged: bool,
    cancel: Option<Reason>,
    resize: Option<Quantity>,
}

/// What changes, and what a snapshot holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    /// In the order of their submission.
    orders: Vec<Standing>,
    /// Market inputs so far, and what the latest showed.
    inputs: u64,
    middle: Option<(InstrumentIdx, Price)>,
}

/// The trader.
pub struct Midpoint {
    capabilities: Capabilities,
    instruments: Arc<Instruments>,
    sessions: Arc<dyn Sessions>,
    state: State,
}

impl Midpoint {
    /// With no orders.
    pub fn new(instruments: Arc<Instruments>, sessions: Arc<dyn Sessions>) -> Self {
        let capabilities = Capabilities {
            delivery: Delivery::QueryOnly,
            asset_classes: AssetClass::ALL.to_vec(),
            native_oco: false,
            executes_on_tick: false,
        };
        Self {
            capabilities,
            instruments,
            sessions,
            state: State::default(),
        }
    }

    fn expiry(&self, intent: &OrderIntent) -> Timestamp {
        if let Validity::Gtd(until) = intent.validity {
            return until;
        }
        let group = self.sessions.group(self.instruments.get(intent.instrument));
        match self.sessions.status(group, intent.submitted) {
            SessionStatus::Open(window) => window.close,
            SessionStatus::Closed { .. } => self.sessions.trading_day(intent.submitted).end,
        }
    }

    fn standing(&mut self, id: OrderId) -> Option<&mut Standing> {
        self.state.orders.iter_mut().find(|o| o.intent.id == id)
    }

    /// The one thing that an order has to say now.
    fn next_of(&self, order: &Standing, now: Timestamp) -> Option<ReportKind> {
        let intent = &order.intent;
        let can_stand = matches!(intent.order_type, OrderType::Market | OrderType::Limit)
            && matches!(intent.validity, Validity::Day | Validity::Gtd(_));
        if !can_stand {
            return Some(ReportKind::Rejected(Reason::BrokerRejected));
        }
        if !order.acknowledged {
            return Some(ReportKind::Acknowledged);
        }
        if let Some(reason) = order.cancel {
            return Some(ReportKind::Cancelled(reason));
        }
        if let Some(quantity) = order.resize {
            let (limit_price, trigger_price) = (intent.limit_price, intent.trigger_price);
            return Some(ReportKind::Modified {
                quantity,
                limit_price,
                trigger_price,
            });
        }
        if order.expires <= now {
            return Some(ReportKind::Expired(Reason::SessionEnd));
        }
        // Only on inputs after the one that it was placed on: no look-ahead.
        let (instrument, price) = self.state.middle?;
        let is_good = intent.limit_price.is_none_or(|limit| match intent.side {
            Side::Buy => price <= limit,
            Side::Sell => price >= limit,
        });
        let fills = instrument == intent.instrument && order.placed < self.state.inputs && is_good;
        fills.then(|| ReportKind::Filled {
            trade: TradeId::derive(intent.id, 0),
            side: intent.side,
            quantity: order.quantity,
            price,
            draws: 0,
        })
    }
}

impl InPipelineTrader for Midpoint {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn observe_market(&mut self, data: &MarketData<'_>, _: Timestamp) {
        self.state.inputs += 1;
        let price = match data {
            MarketData::Tick(tick, _) if !tick.bid.is_zero() && !tick.ask.is_zero() => {
                Price::from_raw(tick.bid.raw() / 2 + tick.ask.raw() / 2)
            }
            // Without quotes the last price, which of a bar is its close.
            _ => data.price(),
        };
        self.state.middle = Some((data.instrument(), price));
    }

    fn observe_time(&mut self, _: Timestamp) {
        self.state.middle = None;
    }

    fn apply(&mut self, event: &Event) {
        match &event.body {
            EventBody::OrderSubmitted(intent) => {
                let expires = self.expiry(intent);
                self.state.orders.push(Standing {
                    intent: *intent,
                    quantity: intent.quantity,
                    placed: self.state.inputs,
                    expires,
                    acknowledged: false,
                    cancel: None,
                    resize: None,
                });
            }
            EventBody::ModifyRequested { order, quantity } => {
                if let Some(standing) = self.standing(*order) {
                    standing.resize = Some((*quantity).max(Quantity::MIN));
                }
            }
            EventBody::OrderChanged(step) => {
                let Some(standing) = self.standing(step.order) else {
                    return;
                };
                match step.change {
                    OrderChange::Acknowledged => standing.acknowledged = true,
                    OrderChange::CancelRequested(reason) => standing.cancel = Some(reason),
                    OrderChange::Modified { quantity, .. } => {
                        standing.quantity = quantity;
                        standing.resize = None;
                    }
                    // It never fills in part: what executes is done.
                    OrderChange::Filled(_)
                    | OrderChange::Cancelled(_)
                    | OrderChange::Rejected(_)
                    | OrderChange::Expired(_)
                    | OrderChange::Failed(_) => {
                        self.state.orders.retain(|o| o.intent.id != step.order);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn next_report(&self, now: Timestamp) -> Option<TraderReport> {
        self.state.orders.iter().find_map(|order| {
            let kind = self.next_of(order, now)?;
            Some(TraderReport::new(order.intent.id, now, kind))
        })
    }

    fn next_due(&self) -> Timestamp {
        self.state
            .orders
            .iter()
            .map(|o| o.expires)
            .min()
            .unwrap_or(Timestamp::MAX)
    }

    fn save(&self) -> Result<Vec<u8>, TraderStateError> {
        postcard::to_stdvec(&self.state).map_err(|e| TraderStateError(e.to_string()))
    }

    fn restore(&mut self, state: &[u8], map: &Reindex) -> Result<(), TraderStateError> {
        let mut state: State =
            postcard::from_bytes(state).map_err(|e| TraderStateError(e.to_string()))?;
        // It may have been saved by a start with other tables.
        if !map.is_identity() {
            let gone = || TraderStateError("an order of what is not known any more".to_owned());
            for order in &mut state.orders {
                let intent = &mut order.intent;
                intent.instrument = map.instrument(intent.instrument.index()).ok_or_else(gone)?;
                intent.strategy = map.strategy(intent.strategy.index()).ok_or_else(gone)?;
            }
            if let Some((instrument, _)) = &mut state.middle {
                *instrument = map.instrument(instrument.index()).ok_or_else(gone)?;
            }
        }
        self.state = state;
        Ok(())
    }
}
