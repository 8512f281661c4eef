//! The fold of one namespace: its events and the prices that it saw, in its own order, come to what its
//! stages hold. The stages' own state is reused, as one arithmetic is enough; what decides is left out.

use std::collections::VecDeque;
use std::sync::Arc;

use model::event::{Event, EventBody, EventPlace, OrderStep};
use model::order::OrderChange;
use model::session::{Sessions, TradingDay};
use model::{Amount, CurrencyIdx, Date, InstrumentIdx, Instruments, NumberError, Price, Timestamp};
use pipeline::BrokerPipeline;
use pipeline::engine::Engine;
use pipeline::portfolio::{Portfolio, Position};
use pipeline::risk::{Limits, Risk};
use pipeline::tally::Tally;

/// Closed days that are kept; the oldest goes first.
pub(crate) const DAYS_MAX: usize = 400;

/// A price that a namespace saw before one of its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Of what.
    pub instrument: InstrumentIdx,
    /// The last price.
    pub price: Price,
    /// The namespace's time.
    pub ts: Timestamp,
}

/// What does not change while a projection goes on.
#[derive(Clone)]
pub struct Names {
    /// The instruments.
    pub instruments: Arc<Instruments>,
    /// Strategy names by index.
    pub strategies: Arc<[String]>,
    /// The calendar: when a trading day ends.
    pub sessions: Arc<dyn Sessions>,
}

/// A trading day that has ended, in one currency.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closed {
    pub(crate) date: Date,
    pub(crate) currency: CurrencyIdx,
    pub(crate) equity: Amount,
    pub(crate) pnl: Amount,
}

/// One namespace as its events left it.
pub struct Projection {
    pub(crate) names: Names,
    place: Option<EventPlace>,
    now: Timestamp,
    day: Option<TradingDay>,
    /// Something happened on the day.
    is_traded: bool,
    pub(crate) portfolio: Portfolio,
    pub(crate) engine: Engine,
    pub(crate) risk: Risk,
    pub(crate) tally: Tally,
    /// Each position's profit at the day's start; `None` where the fold began later.
    pub(crate) day_starts: Vec<Option<Amount>>,
    pub(crate) days: VecDeque<Closed>,
}

/// What a position has made: profit of what is closed and open, less charges.
pub(crate) fn made(portfolio: &Portfolio, position: &Position) -> Result<Amount, NumberError> {
    portfolio
        .unrealised(position)?
        .checked_add(position.realised)?
        .checked_sub(position.charges)
}

impl Projection {
    /// Before a namespace's first event, with its cash by currency index.
    pub fn new(names: Names, starting_cash: &[Amount]) -> Self {
        let (strategies, instruments) = (names.strategies.len(), &names.instruments);
        Self {
            place: None,
            now: Timestamp::MIN,
            day: None,
            is_traded: false,
            portfolio: Portfolio::new(Arc::clone(instruments), starting_cash, 0),
            engine: Engine::new(strategies, instruments.currencies().len()),
            // Limits decide; here only what was decided is told.
            risk: Risk::new(Limits::default(), vec![None; strategies]),
            tally: Tally::default(),
            day_starts: Vec::new(),
            days: VecDeque::new(),
            names,
        }
    }

    /// From where a pipeline stands; the latest event that it has taken stands at `place`.
    pub fn of(pipeline: &BrokerPipeline, names: Names, place: Option<EventPlace>) -> Self {
        Self {
            place,
            now: pipeline.now(),
            day: pipeline.trading_day(),
            portfolio: pipeline.portfolio().clone(),
            engine: pipeline.engine().clone(),
            risk: pipeline.risk().clone(),
            tally: pipeline.tally().clone(),
            day_starts: vec![None; pipeline.portfolio().positions().len()],
            ..Self::new(names, &[])
        }
    }

    /// Where the latest event stands. What is not behind it has been taken.
    pub const fn place(&self) -> Option<EventPlace> {
        self.place
    }
    /// Positions and money.
    pub const fn portfolio(&self) -> &Portfolio {
        &self.portfolio
    }
    /// Orders.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }
    /// The trading state, what is blocked and switched off, and counters.
    pub const fn risk(&self) -> &Risk {
        &self.risk
    }
    /// What the namespace has done.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The namespace's time has come to `ts`: a trading day may have begun.
    pub fn reach(&mut self, ts: Timestamp) {
        self.now = self.now.max(ts);
        if self.now == Timestamp::MIN {
            return;
        }
        let mut day = match self.day {
            Some(day) => day,
            None => self.enter(self.names.sessions.trading_day(self.now)),
        };
        while day.end <= self.now {
            self.close(day.date);
            let next = self.names.sessions.trading_day(day.end);
            if next.end <= day.end {
                break;
            }
            day = self.enter(next);
        }
    }

    fn enter(&mut self, day: TradingDay) -> TradingDay {
        self.day = Some(day);
        self.is_traded = false;
        self.portfolio.observe_day(day.date);
        self.risk.observe_day();
        self.engine.observe_day();
        self.tally.observe_day();
        let positions = self.portfolio.positions().iter();
        self.day_starts = positions.map(|p| made(&self.portfolio, p).ok()).collect();
        day
    }

    fn close(&mut self, date: Date) {
        if !self.is_traded {
            return;
        }
        for (index, account) in self.portfolio.accounts().iter().enumerate() {
            let Ok(pnl) = account.equity().checked_sub(account.day_base) else {
                continue;
            };
            if account.equity().is_zero() && pnl.is_zero() {
                continue;
            }
            if self.days.len() == DAYS_MAX {
                self.days.pop_front();
            }
            self.days.push_back(Closed {
                date,
                currency: CurrencyIdx(index as u16),
                equity: account.equity(),
                pnl,
            });
        }
    }

    /// A price that the namespace saw. Of several of one instrument between two events the last is
    /// enough: peaks between them are in the snapshots.
    pub fn mark(&mut self, mark: &Mark) {
        self.reach(mark.ts);
        self.is_traded = true;
        self.portfolio
            .observe_price(mark.instrument, mark.price, mark.ts);
    }

    /// An event and where it stands. One that has been taken is passed over, and the answer is false: so
    /// a reader may begin anywhere before it.
    pub fn apply(&mut self, event: &Event, place: EventPlace) -> bool {
        if self.place.is_some_and(|taken| place <= taken) {
            return false;
        }
        self.place = Some(place);
        self.reach(event.ts);
        self.is_traded = true;
        let money = match &event.body {
            EventBody::OrderChanged(OrderStep {
                order,
                change: OrderChange::Filled(execution),
                ..
            }) => {
                if let Some(order) = self.engine.order(*order) {
                    self.portfolio
                        .apply_fill(order.intent(), execution, event.ts);
                }
                None
            }
            EventBody::PositionSettled(settled) => {
                self.portfolio.apply_settlement(settled, event.ts);
                None
            }
            EventBody::OrderSubmitted(intent) => Some(intent.instrument),
            _ => None,
        };
        let money = money.unwrap_or_default();
        let instrument = self.names.instruments.get(money);
        self.engine.apply(
            event,
            (
                self.names.instruments.currency(money),
                instrument.multiplier,
                self.portfolio.last(money).price,
            ),
        );
        self.risk.apply(event);
        self.portfolio.apply(event);
        self.tally.apply(event);
        // A position that an execution has just opened has made nothing before.
        let positions = self.portfolio.positions().len();
        let fresh = Some(Amount::ZERO);
        self.day_starts.resize(positions, fresh);
        true
    }
}
