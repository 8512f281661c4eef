//! The orders of one trading day with what they were charged: what its close is computed from.
//! Kept only where charges close days, and bounded by the day's orders.

use model::contract_note::{ChargesAdjustment, DayOrder, Deed, NoteName};
use model::fixed::NumberError;
use model::signal::Product;
use model::{Amount, CurrencyIdx, Date, InstrumentIdx, Instruments, OrderId, Quantity, Timestamp};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::portfolio::PositionKey;

/// One order's part in the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    instrument: InstrumentIdx,
    product: Product,
    deed: Deed,
    quantity: Quantity,
    notional: Amount,
    booked: Amount,
}

/// What an execution adds.
#[derive(Debug, Clone, Copy)]
pub struct Traded {
    /// In what.
    pub instrument: InstrumentIdx,
    /// Held as what.
    pub product: Product,
    /// What was done.
    pub deed: Deed,
    /// How much.
    pub quantity: Quantity,
    /// What it was worth.
    pub notional: Amount,
    /// What it was charged.
    pub booked: Amount,
    /// No execution of the order came before.
    pub is_first: bool,
    /// The order is filled by it.
    pub is_last: bool,
}

/// An index of what stands beside it: equal states have equal ones.
#[derive(Clone, Default)]
struct Places(FxHashMap<OrderId, usize>);

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Places {}

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Places")
    }
}

/// The book of one trading day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayBook {
    date: Date,
    /// In the sequence of their first executions.
    orders: Vec<(OrderId, Line)>,
    /// Intraday positions that were open as their session closed.
    left_open: Vec<(PositionKey, Deed)>,
    /// Where the orders are that may be executed further: most are filled at once, and need no index.
    #[serde(skip)]
    places: Places,
    /// What closes have booked so far.
    adjusted: Vec<(CurrencyIdx, NoteName, Amount)>,
    /// When it closes; [`Timestamp::MAX`] while nothing has happened since the last close.
    due: Timestamp,
    /// When it last closed.
    closed: Timestamp,
}

impl Default for DayBook {
    fn default() -> Self {
        Self {
            date: Date::default(),
            orders: Vec::new(),
            left_open: Vec::new(),
            places: Places::default(),
            adjusted: Vec::new(),
            due: Timestamp::MAX,
            closed: Timestamp::MIN,
        }
    }
}

impl DayBook {
    /// The trading day.
    pub const fn date(&self) -> Date {
        self.date
    }
    /// When it closes.
    #[inline]
    pub const fn due(&self) -> Timestamp {
        self.due
    }
    /// When it last closed.
    pub const fn closed(&self) -> Timestamp {
        self.closed
    }

    /// An execution on `date`, whose day closes at `due` at the earliest. A new date begins the book
    /// anew: the old one has been closed.
    pub fn apply_fill(
        &mut self,
        order: OrderId,
        traded: &Traded,
        date: Date,
        due: Timestamp,
    ) -> Result<(), NumberError> {
        if self.date != date {
            *self = Self {
                date,
                closed: self.closed,
                ..Self::default()
            };
        }
        self.due = if self.due == Timestamp::MAX {
            due
        } else {
            self.due.max(due)
        };
        let known = if traded.is_first {
            None
        } else {
            // After a restart, and late, it is found by looking back: the day may have begun since.
            let indexed = self.places.0.get(&order).copied();
            indexed.or_else(|| self.orders.iter().rposition(|(id, _)| *id == order))
        };
        let place = known.unwrap_or(self.orders.len());
        if !traded.is_last {
            self.places.0.insert(order, place);
        } else if !traded.is_first {
            self.places.0.remove(&order);
        }
        if known.is_none() {
            let line = Line {
                instrument: traded.instrument,
                product: traded.product,
                deed: traded.deed,
                quantity: Quantity::ZERO,
                notional: Amount::ZERO,
                booked: Amount::ZERO,
            };
            self.orders.push((order, line));
        }
        let Some((_, line)) = self.orders.get_mut(place) else {
            return Ok(());
        };
        line.quantity = line.quantity.checked_add(traded.quantity)?;
        line.notional = line.notional.checked_add(traded.notional)?;
        line.booked = line.booked.checked_add(traded.booked)?;
        Ok(())
    }

    /// Time has come to a timer.
    pub fn observe_clock(&mut self, now: Timestamp) {
        if self.due <= now {
            self.due = Timestamp::MAX;
            self.closed = now;
        }
    }

    /// The day closes now, and an intraday position is open: the broker squares it off with an order that
    /// does what `deed` says. A position counts once a day.
    pub fn observe_left_open(&mut self, key: PositionKey, deed: Deed) {
        if !self.left_open.iter().any(|(known, _)| *known == key) {
            self.left_open.push((key, deed));
        }
    }

    /// A close has become a fact.
    pub fn apply(&mut self, adjustment: &ChargesAdjustment) -> Result<(), NumberError> {
        if adjustment.date != self.date {
            return Ok(());
        }
        let (currency, note) = (adjustment.currency, adjustment.note);
        let known = self.adjusted.iter_mut();
        match { known }.find(|(c, n, _)| (*c, *n) == (currency, note)) {
            Some((_, _, sum)) => *sum = sum.checked_add(adjustment.amount)?,
            None => self.adjusted.push((currency, note, adjustment.amount)),
        }
        Ok(())
    }

    /// What earlier closes of the day have booked for a note; `None` before the first.
    pub fn adjusted(&self, currency: CurrencyIdx, note: &NoteName) -> Option<Amount> {
        let mut known = self.adjusted.iter();
        known
            .find(|(c, n, _)| (c, n) == (&currency, note))
            .map(|(_, _, amount)| *amount)
    }

    /// The day's orders, and the positions that were left open.
    pub fn orders<'a>(&self, instruments: &'a Instruments) -> Vec<DayOrder<'a>> {
        let order = |line: &Line| DayOrder {
            instrument: instruments.get(line.instrument),
            product: line.product,
            deed: line.deed,
            quantity: line.quantity,
            notional: line.notional,
            booked: line.booked,
            is_left_open: false,
        };
        let left_open = self.left_open.iter().map(|(key, deed)| DayOrder {
            instrument: instruments.get(key.instrument),
            product: key.product,
            deed: *deed,
            quantity: Quantity::ZERO,
            notional: Amount::ZERO,
            booked: Amount::ZERO,
            is_left_open: true,
        });
        // By id: what is computed from them does not depend on the sequence of executions.
        let mut sorted: Vec<&(OrderId, Line)> = self.orders.iter().collect();
        sorted.sort_unstable_by_key(|(id, _)| *id);
        let orders = sorted.into_iter().map(|(_, line)| order(line));
        orders.chain(left_open).collect()
    }
}
