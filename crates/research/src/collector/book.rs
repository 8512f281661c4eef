//! What is counted and summed while the events go by.

use std::collections::BTreeMap;

use model::contract_note::{Amounts, ChargesAdjustment, NoteName};
use model::control::TradingState;
use model::event::Snapshot;
use model::order::OrderRole;
use model::reason::Reason;
use model::session::{Sessions, TradingDay};
use model::signal::Side;
use model::{Amount, Date, NumberError, Price, Quantity, Timestamp};

use crate::exact::QuantitySum;
use crate::sampler::{Point, Sampler};
use crate::statistics::TradeTotals;
use projection::trades::{Applied, Fill};

/// Equity at an instant, for the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EquityPoint {
    /// When.
    pub ts: Timestamp,
    /// The equity.
    pub equity: Amount,
    /// The highest equity before and at it.
    pub peak: Amount,
}

impl Point for EquityPoint {
    type Height = Amount;
    fn ts(&self) -> Timestamp {
        self.ts
    }
    fn height(&self) -> Amount {
        self.equity
    }
}

/// The equity as a trading day of the data ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayClose {
    /// The trading day.
    pub date: Date,
    /// The equity at its last prices.
    pub equity: Amount,
    /// Whether a position was held: executions of the day, or a position at its end.
    pub held: bool,
}

/// The charges of a trading day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayCharges {
    /// The trading day.
    pub date: Date,
    /// Its executions.
    pub fills: u64,
    /// What they booked, and exercises at expiry.
    pub booked: Amount,
    /// What the day's closes booked beyond that.
    pub adjustment: Amount,
    /// What the contract notes say of the whole day, of each that has closed.
    pub notes: Vec<(NoteName, Amounts)>,
}

impl DayCharges {
    /// All of the day's charges.
    pub fn total(&self) -> Result<Amount, NumberError> {
        self.booked.checked_add(self.adjustment)
    }

    /// The day's charges by component, where a close told them.
    pub fn components(&self) -> Result<Option<Amounts>, NumberError> {
        if self.notes.is_empty() {
            return Ok(None);
        }
        let mut notes = self.notes.iter();
        notes
            .try_fold(Amounts::default(), |sum, (_, note)| sum.plus(note))
            .map(Some)
    }
}

/// The money of a namespace in one currency as its snapshots tell it.
#[derive(Debug, Default)]
pub struct CurrencyBook {
    /// Where a part of a journal begins: the account as it stood then.
    pub base: Option<Snapshot>,
    /// The latest snapshot.
    pub last: Option<Snapshot>,
    /// One entry per trading day of the data.
    pub days: Vec<DayClose>,
    /// The equity, thinned.
    pub curve: Sampler<EquityPoint>,
    /// The charges, one entry per trading day that has some.
    pub charges: Vec<DayCharges>,
    traded: bool,
}

impl CurrencyBook {
    /// From where the account stands as a part of a journal begins.
    pub fn from_account(base: Option<Snapshot>) -> Self {
        let mut book = Self {
            base: base.map(|base| Snapshot {
                peak: base.equity,
                ..base
            }),
            ..Self::default()
        };
        if let Some(base) = base {
            book.end(base);
        }
        book
    }

    /// The account as it stands, which no snapshot has told.
    pub fn end(&mut self, account: Snapshot) {
        self.last = Some(account);
    }

    /// A position was opened, changed or closed on the trading day `date`.
    pub fn traded(&mut self, date: Date, charges: Amount) -> Result<(), NumberError> {
        self.traded = true;
        let day = self.charges_of(date);
        day.fills += 1;
        day.booked = day.booked.checked_add(charges)?;
        Ok(())
    }

    /// A contract's settlement has closed a position on the trading day `date`.
    pub fn settled(&mut self, date: Date, charges: Amount) -> Result<(), NumberError> {
        self.traded = true;
        if !charges.is_zero() {
            let day = self.charges_of(date);
            day.booked = day.booked.checked_add(charges)?;
        }
        Ok(())
    }

    /// A day's close has booked something.
    pub fn adjusted(&mut self, adjustment: &ChargesAdjustment) -> Result<(), NumberError> {
        let day = self.charges_of(adjustment.date);
        day.adjustment = day.adjustment.checked_add(adjustment.amount)?;
        let (name, charged) = (adjustment.note, adjustment.charged);
        match day.notes.iter_mut().find(|(known, _)| *known == name) {
            Some(note) => note.1 = charged,
            None => day.notes.push((name, charged)),
        }
        Ok(())
    }

    fn charges_of(&mut self, date: Date) -> &mut DayCharges {
        // Nearly always the last one: a close may come when the next day has begun.
        let at = self.charges.partition_point(|day| day.date < date);
        if self.charges.get(at).is_none_or(|day| day.date != date) {
            let day = DayCharges {
                date,
                fills: 0,
                booked: Amount::ZERO,
                adjustment: Amount::ZERO,
                notes: Vec::new(),
            };
            self.charges.insert(at, day);
        }
        &mut self.charges[at]
    }

    /// The sum of what the days' closes have booked.
    pub fn adjustments(&self) -> Result<Amount, NumberError> {
        let mut days = self.charges.iter();
        days.try_fold(Amount::ZERO, |sum, day| sum.checked_add(day.adjustment))
    }

    /// A trading day of the data has ended, whether anything was held in it or not.
    pub fn close_day(&mut self, date: Date, equity: Amount, holds: bool) {
        let held = std::mem::take(&mut self.traded) || holds;
        self.days.push(DayClose { date, equity, held });
    }

    /// Takes a snapshot.
    pub fn snapshot(&mut self, ts: Timestamp, snapshot: &Snapshot) {
        self.last = Some(*snapshot);
        // Of a part, the peak before it is no part.
        let peak = match &mut self.base {
            None => snapshot.peak,
            Some(base) => {
                base.peak = base.peak.max(snapshot.equity);
                base.peak
            }
        };
        self.curve.record(EquityPoint {
            ts,
            equity: snapshot.equity,
            peak,
        });
    }
}

/// Finds the trading day of ascending instants without asking the calendar each time.
pub struct DayFinder<'a> {
    sessions: &'a dyn Sessions,
    day: Option<TradingDay>,
}

impl<'a> DayFinder<'a> {
    /// Over a calendar.
    pub fn new(sessions: &'a dyn Sessions) -> Self {
        Self {
            sessions,
            day: None,
        }
    }
    /// The trading day's date.
    pub fn date(&mut self, ts: Timestamp) -> Date {
        match self.day {
            Some(day) if day.start <= ts && ts < day.end => day.date,
            _ => self.day.insert(self.sessions.trading_day(ts)).date,
        }
    }
}

/// Sums of one strategy in one instrument.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cell {
    /// Signals.
    pub signals: u64,
    /// Signals that were refused.
    pub rejected: u64,
    /// Orders.
    pub orders: u64,
    /// Executions.
    pub fills: u64,
    /// Sum of the executions' quantities.
    pub traded_quantity: QuantitySum,
    /// Sum of the executions' notionals.
    pub traded_value: Amount,
    /// Sales minus purchases, without charges.
    pub cash_flow: Amount,
    /// Profit of what was closed, before charges.
    pub realised: Amount,
    /// Profit of what is open at the last price.
    pub unrealised: Amount,
    /// Charges.
    pub charges: Amount,
    /// Closed trades.
    pub trades: TradeTotals,
}

impl Cell {
    /// Books an execution.
    pub fn fill(&mut self, fill: &Fill, applied: &Applied) -> Result<(), NumberError> {
        self.fills += 1;
        self.traded_quantity.add(fill.quantity);
        self.traded_value = self.traded_value.checked_add(applied.notional)?;
        self.settle(fill, applied)
    }

    /// Books what is no execution: money and trades, not turnover.
    pub fn settle(&mut self, fill: &Fill, applied: &Applied) -> Result<(), NumberError> {
        self.cash_flow = match fill.side {
            Side::Buy => self.cash_flow.checked_sub(applied.notional)?,
            Side::Sell => self.cash_flow.checked_add(applied.notional)?,
        };
        self.realised = self.realised.checked_add(applied.realised)?;
        self.charges = self.charges.checked_add(fill.charges)?;
        if let Some(trade) = &applied.closed {
            self.trades
                .add(trade.net, trade.closed.since(trade.opened))?;
        }
        Ok(())
    }

    /// Adds another cell.
    pub fn merge(&mut self, other: &Self) -> Result<(), NumberError> {
        self.signals += other.signals;
        self.rejected += other.rejected;
        self.orders += other.orders;
        self.fills += other.fills;
        self.traded_quantity.0 = self
            .traded_quantity
            .0
            .saturating_add(other.traded_quantity.0);
        self.traded_value = self.traded_value.checked_add(other.traded_value)?;
        self.cash_flow = self.cash_flow.checked_add(other.cash_flow)?;
        self.realised = self.realised.checked_add(other.realised)?;
        self.unrealised = self.unrealised.checked_add(other.unrealised)?;
        self.charges = self.charges.checked_add(other.charges)?;
        self.trades.merge(&other.trades)
    }

    /// Realised + unrealised − charges.
    pub fn net(&self) -> Result<Amount, NumberError> {
        self.realised
            .checked_add(self.unrealised)?
            .checked_sub(self.charges)
    }
}

/// Event counts of one namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Signals as they reached the namespace.
    pub signals: u64,
    /// Signals that passed.
    pub validated: u64,
    /// Refused signals by reason code.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Signals of which only the reducing part passed, by reason code.
    pub entries_refused: BTreeMap<&'static str, u64>,
    /// Signals that waited for working orders to be cancelled.
    pub deferred: u64,
    /// Signals that came with the end of a session and waited for the next one to open.
    pub held: u64,
    /// Orders.
    pub orders: u64,
    /// Orders by the status that ended them; those without end are `open`.
    pub orders_by_status: BTreeMap<&'static str, u64>,
    /// Orders by the reason code that ended them.
    pub orders_by_reason: BTreeMap<&'static str, u64>,
    /// Executions.
    pub fills: u64,
    /// Positions that were closed by schedule or command, by reason code.
    pub square_offs: BTreeMap<&'static str, u64>,
    /// Positions that their contracts' settlement closed, by where the price came from.
    pub settlements: BTreeMap<&'static str, u64>,
    /// Alerts by reason code.
    pub alerts: BTreeMap<&'static str, u64>,
}

/// Adds one under a code.
pub fn count(map: &mut BTreeMap<&'static str, u64>, code: &'static str) {
    *map.entry(code).or_default() += 1;
}

/// Something that whoever reads the report should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incident {
    /// When.
    pub ts: Timestamp,
    /// What.
    pub what: IncidentKind,
    /// Why.
    pub reason: Reason,
}

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncidentKind {
    /// The trading state changed.
    State {
        /// To this.
        to: TradingState,
        /// By a rule, not by an operator.
        automatic: bool,
    },
    /// A strategy was switched.
    Strategy {
        /// Which.
        strategy: model::StrategyIdx,
        /// Whether it may trade now.
        enabled: bool,
    },
    /// A loss limit was reached.
    Limit {
        /// A strategy's own, or the namespace's.
        strategy: Option<model::StrategyIdx>,
        /// The loss and the limit.
        breach: model::control::Breach,
        /// Whether positions were squared off for it.
        squares_off: bool,
    },
    /// An alert.
    Alert {
        /// About which order.
        order: Option<model::OrderId>,
        /// About which strategy.
        strategy: Option<model::StrategyIdx>,
    },
}

/// An execution as a mark on a price chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FillMark {
    /// When.
    pub ts: Timestamp,
    /// Whose.
    pub strategy: model::StrategyIdx,
    /// Buy or sell.
    pub side: Side,
    /// How much.
    pub quantity: Quantity,
    /// At what price.
    pub price: Price,
    /// What its order was for.
    pub role: OrderRole,
}
