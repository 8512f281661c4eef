//! The trader itself: orders in, reports out.

use std::cell::Cell;
use std::sync::Arc;

use model::event::{Event, EventBody};
use model::market::MarketData;
use model::order::{OrderChange, OrderIntent};
use model::reason::Reason;
use model::reindex::Reindex;
use model::session::{SessionGroup, SessionStatus, SessionWindow, Sessions};
use model::signal::Validity;
use model::trader::{
    Capabilities, Delivery, InPipelineTrader, ReportKind, TraderReport, TraderStateError,
};
use model::{AssetClass, InstrumentIdx, Instruments, OrderId, Timestamp, TradeId};

use crate::book::{Announcement, Book, Resting};
use crate::matching::{Match, Moment, Outcome};
use crate::settings::{PaperSettings, Resolved};
use crate::state::State;

/// The paper trader.
pub struct PaperTrader {
    settings: Resolved,
    capabilities: Capabilities,
    instruments: Arc<Instruments>,
    sessions: Arc<dyn Sessions>,
    /// By instrument: a table of hours finds it by name.
    groups: Vec<SessionGroup>,
    /// By group the session that was asked for last: every order asks.
    open: Vec<Cell<SessionWindow>>,
    state: State,
}

impl PaperTrader {
    /// With an empty book. The error names the setting and what it may be.
    pub fn new(
        settings: PaperSettings,
        instruments: Arc<Instruments>,
        sessions: Arc<dyn Sessions>,
    ) -> Result<Self, String> {
        let settings = settings.resolve()?;
        Ok(Self {
            settings,
            capabilities: Capabilities {
                delivery: Delivery::Idempotent,
                asset_classes: AssetClass::ALL.to_vec(),
                native_oco: true,
                executes_on_tick: true,
            },
            state: State::new(instruments.len(), settings.look_ahead),
            groups: instruments
                .iter()
                .map(|(_, instrument)| sessions.group(instrument))
                .collect(),
            open: vec![Cell::new(SessionWindow::NONE); sessions.groups()],
            instruments,
            sessions,
        })
    }

    /// Time until a message about this order reaches the market. One for all messages of an order:
    /// they do not overtake each other.
    fn latency(&self, id: OrderId) -> i64 {
        if self.settings.jitter == 0 {
            return self.settings.latency;
        }
        // A draw of its own, far from those of the fills.
        let draw = id.draw(self.settings.seed, u32::MAX) % (self.settings.jitter as u64 + 1);
        self.settings.latency.saturating_add(draw as i64)
    }

    /// When an order reaches the market. One that is sent as the session opens, before any of its data
    /// has been seen, was known before: it has waited at the exchange for the open.
    fn arrival(&self, intent: &OrderIntent) -> Timestamp {
        let latency = self.latency(intent.id);
        let at = intent.submitted;
        if latency > 0 && !self.state.has_seen(at) && self.opens(intent) {
            return at;
        }
        at.plus(latency)
    }

    /// Whether an order is sent at the instant at which a session begins.
    fn opens(&self, intent: &OrderIntent) -> bool {
        let group = self.groups[intent.instrument.index()];
        match self.sessions.status(group, intent.submitted) {
            SessionStatus::Open(window) => window.open == intent.submitted,
            SessionStatus::Closed { .. } => false,
        }
    }

    /// The end of an order's time: of its session, or of the next one where the market is closed.
    fn expiry(&self, intent: &OrderIntent) -> Timestamp {
        if let Validity::Gtd(until) = intent.validity {
            return until;
        }
        let group = self.groups[intent.instrument.index()];
        let known = self.open.get(group.index());
        if let Some(window) = known.map(Cell::get)
            && window.open <= intent.submitted
            && intent.submitted < window.close
        {
            return window.close;
        }
        match self.sessions.status(group, intent.submitted) {
            SessionStatus::Open(window) => {
                if let Some(known) = known {
                    known.set(window);
                }
                window.close
            }
            SessionStatus::Closed {
                next_open: Timestamp::MAX,
            } => self.sessions.trading_day(intent.submitted).end,
            SessionStatus::Closed { next_open } => match self.sessions.status(group, next_open) {
                SessionStatus::Open(window) => window.close,
                SessionStatus::Closed { .. } => self.sessions.trading_day(intent.submitted).end,
            },
        }
    }

    fn match_order(
        &self,
        order: &Resting,
        book: &Book,
        moment: Moment,
        now: Timestamp,
    ) -> Option<TraderReport> {
        if !order.acknowledged || order.first_input.is_none() || book.expires(order) <= now {
            return None;
        }
        let market = self.state.market(order.instrument);
        let instrument = self.instruments.get(order.instrument);
        let outcome = Match {
            order,
            market,
            instrument,
            settings: &self.settings,
        }
        .outcome(moment);
        let kind = match outcome {
            Outcome::Nothing => return None,
            Outcome::Trigger => ReportKind::Triggered,
            Outcome::Cancel => ReportKind::Cancelled(match order.validity {
                Validity::Fok => Reason::NotFilledAtOnce,
                _ => Reason::ImmediateRemainder,
            }),
            Outcome::Fill {
                price,
                quantity,
                draws,
            } => ReportKind::Filled {
                trade: TradeId::derive(order.id, order.executions),
                side: order.side,
                quantity,
                price,
                draws,
            },
        };
        // What happened at a bar's open is stamped so; when the rest happened nobody knows.
        let ts = match &market.bar {
            Some(bar) if moment == Moment::Open => bar.open_ts.max(order.reported),
            _ => now,
        };
        Some(TraderReport::new(order.id, ts, kind))
    }

    /// In the order of a bar's moments, within them in the order of submission.
    fn match_current(&self, instrument: InstrumentIdx, now: Timestamp) -> Option<TraderReport> {
        let book = self.state.book(instrument);
        let bar = self.state.market(instrument).bar.is_some();
        let moments = if bar { Moment::BAR } else { Moment::TICK };
        moments.iter().find_map(|moment| {
            book.orders
                .iter()
                .find_map(|order| self.match_order(order, book, *moment, now))
        })
    }

    fn match_fresh(&self, now: Timestamp) -> Option<TraderReport> {
        self.state.fresh().iter().find_map(|id| {
            let (order, book) = self.state.find(*id)?;
            self.match_order(order, book, Moment::Instant, now)
        })
    }

    fn announce(&self, now: Timestamp) -> Option<TraderReport> {
        self.state.attention().iter().find_map(|id| {
            let (order, book) = self.state.find(*id)?;
            let kind = match order.announcement(now, book.expires(order))? {
                Announcement::Acknowledged => ReportKind::Acknowledged,
                Announcement::Cancelled(reason) => ReportKind::Cancelled(reason),
                Announcement::Expired(reason) => ReportKind::Expired(reason),
                Announcement::Modified(quantity) => ReportKind::Modified {
                    quantity,
                    limit_price: order.limit,
                    trigger_price: order.trigger,
                },
            };
            Some(TraderReport::new(order.id, now, kind))
        })
    }

    fn take_change(&mut self, id: OrderId, ts: Timestamp, change: &OrderChange) {
        match *change {
            OrderChange::Filled(execution) => {
                self.state.fill(id, ts, &execution, self.settings.through);
            }
            OrderChange::CancelRequested(reason) => {
                self.state
                    .request_cancel(id, ts.plus(self.latency(id)), reason);
            }
            OrderChange::Cancelled(_)
            | OrderChange::Rejected(_)
            | OrderChange::Expired(_)
            | OrderChange::Failed(_) => {
                self.state.finish(id);
                self.state.settle();
            }
            OrderChange::Acknowledged => {
                self.state
                    .step(id, ts, |order, _| order.acknowledged = true);
            }
            OrderChange::Triggered => {
                self.state
                    .step(id, ts, |order, input| order.triggered_at = Some(input));
            }
            OrderChange::Modified {
                quantity,
                limit_price,
                trigger_price,
            } => {
                self.state.step(id, ts, |order, _| {
                    order.quantity = quantity;
                    order.limit = limit_price;
                    order.trigger = trigger_price;
                    if order.oco_quantity.take().is_none() && !order.modifies.is_empty() {
                        order.modifies.remove(0);
                    }
                    // A request for what holds by now has nothing left to say: the same report again
                    // would be taken for a trader that has lost its way.
                    while order
                        .modifies
                        .first()
                        .is_some_and(|(at, asked)| *at <= ts && *asked == quantity)
                    {
                        order.modifies.remove(0);
                    }
                });
            }
            OrderChange::CancelRefused | OrderChange::ModifyRefused | OrderChange::Unknown => {}
        }
    }
}

impl InPipelineTrader for PaperTrader {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    #[inline]
    fn observe_market(&mut self, data: &MarketData<'_>, now: Timestamp) {
        self.state.observe_market(data, now);
    }

    fn observe_time(&mut self, now: Timestamp) {
        self.state.observe_time(now);
    }

    fn apply(&mut self, event: &Event) {
        self.state.at(event.ts);
        match &event.body {
            EventBody::OrderSubmitted(intent) => {
                let arrives = self.arrival(intent);
                let expires = self.expiry(intent);
                self.state.submit(intent, arrives, expires);
            }
            EventBody::ModifyRequested { order, quantity } => {
                let at = event.ts.plus(self.latency(*order));
                self.state.request_modify(*order, at, *quantity);
            }
            EventBody::SignalRaw(_) => self.state.forget_entry(),
            EventBody::OrderChanged(step) => {
                self.state.forget_entry();
                self.take_change(step.order, event.ts, &step.change);
            }
            _ => {}
        }
    }

    #[inline]
    fn next_report(&self, now: Timestamp) -> Option<TraderReport> {
        if !self.state.attention().is_empty()
            && let Some(report) = self.announce(now)
        {
            return Some(report);
        }
        if !self.state.fresh().is_empty()
            && let Some(report) = self.match_fresh(now)
        {
            return Some(report);
        }
        let current = self.state.current()?;
        if self.state.book(current).orders.is_empty() {
            return None;
        }
        self.match_current(current, now)
    }

    #[inline]
    fn next_due(&self) -> Timestamp {
        self.state.next_due()
    }

    fn save(&self) -> Result<Vec<u8>, TraderStateError> {
        postcard::to_stdvec(&self.state).map_err(|e| TraderStateError(e.to_string()))
    }

    fn restore(&mut self, state: &[u8], map: &Reindex) -> Result<(), TraderStateError> {
        let (state, rest): (State, _) =
            postcard::take_from_bytes(state).map_err(|e| TraderStateError(e.to_string()))?;
        if !rest.is_empty() {
            return Err(TraderStateError(format!("{} bytes too many", rest.len())));
        }
        let count = self.instruments.len();
        let Some(state) = state
            .reindexed(map)
            .and_then(|state| state.restored(count, self.settings.look_ahead))
        else {
            return Err(TraderStateError(format!(
                "saved with other instruments or another `fill`; it must be of these {count}"
            )));
        };
        self.state = state;
        Ok(())
    }
}
