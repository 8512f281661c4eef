//! The close of a trading day: its contract notes are compared with what the executions have booked,
//! and the difference is booked as a fact of its own.
//!
//! A day closes one nanosecond after the last session in which it traded: what an execution at the
//! last instant costs is part of it, and a backtest ends there too. Where a market never closes, the
//! day's last instant stands for that. An execution that comes later (a broker's late report) closes
//! the day once more; each close books what the notes say less all that is booked, so nothing is
//! booked twice. A day whose close lies beyond the data, as the last one of a market that never
//! closes, is not closed: its charges stay those of its
//! executions. What no contract note shows is booked at the close too, as the ledger's.

use model::contract_note::{ChargesAdjustment, Deed};

use super::*;
use crate::day_book::Traded;

impl BrokerPipeline {
    /// When the day of an execution now closes.
    fn day_closes(&self, instrument: InstrumentIdx, day: &TradingDay) -> Timestamp {
        let group = self.groups[instrument.index()];
        let close = |status| match status {
            SessionStatus::Open(window) if window.close < Timestamp::MAX => Some(window.close),
            _ => None,
        };
        let end = day.end.plus(-1);
        // The session that has closed just now is still the execution's own.
        let just_now = || close(self.sessions.status(group, self.now.plus(-1)));
        let close = close(self.session(group)).or_else(just_now);
        let due = close.map_or(end, |close| close.plus(1).min(end));
        due.max(self.now.plus(1))
    }

    /// An execution is part of its day, of an order with so much of what it wants executed before.
    pub(super) fn book_of_day(
        &mut self,
        intent: &OrderIntent,
        execution: &Execution,
        (before, wanted): (Quantity, Quantity),
        ts: Timestamp,
    ) {
        if !self.closes_days {
            return;
        }
        let multiplier = self.instruments.get(intent.instrument).multiplier;
        let notional = Amount::notional(execution.price, execution.quantity, multiplier);
        let traded = notional.map(|notional| Traded {
            instrument: intent.instrument,
            product: intent.product,
            deed: Deed::from(intent.side),
            quantity: execution.quantity,
            notional,
            booked: execution.charges,
            is_first: before.is_zero(),
            is_last: wanted.raw() <= before.raw().saturating_add(execution.quantity.raw()),
        });
        let day = self.day_of(ts);
        let (date, due) = (day.date, self.day_closes(intent.instrument, &day));
        let id = intent.id;
        if !traded.is_ok_and(|t| self.day_book.apply_fill(id, &t, date, due).is_ok()) {
            self.portfolio.overflow();
        }
    }

    /// As the day closes: brokers square off intraday positions that are open then, and charge for it.
    pub(super) fn observe_left_open(&mut self, due: Timestamp) {
        if due < self.day_book.due() {
            return;
        }
        for position in self.portfolio.positions() {
            let group = self.groups[position.key.instrument.index()];
            if position.key.product == Product::Intraday
                && !position.quantity.is_zero()
                && matches!(
                    self.sessions.status(group, due),
                    SessionStatus::Closed { .. }
                )
            {
                let deed = Deed::from(Side::of(position.quantity).opposite());
                self.day_book.observe_left_open(position.key, deed);
            }
        }
    }

    /// The trading day of an instant: of a bar's executions it may be the one before.
    pub(super) fn day_of(&self, ts: Timestamp) -> TradingDay {
        match self.day {
            Some(day) if day.start <= ts && ts < day.end => day,
            _ => self.sessions.trading_day(ts),
        }
    }

    pub(super) fn date(&self) -> model::Date {
        self.day.map(|day| day.date).unwrap_or_default()
    }

    /// Books what the day's notes say beyond what is booked, at a close or as an exercise was charged.
    pub(super) fn close_day(&mut self, due: Timestamp, is_charged: bool, out: &mut Vec<Event>) {
        if self.day_book.closed() != due && !is_charged {
            return;
        }
        let date = self.day_book.date();
        let notes = self
            .charges
            .close(date, &self.day_book.orders(&self.instruments));
        let Ok(notes) = notes else {
            return self.alert(Reason::ChargesUnknown, None, None, out);
        };
        let mut changed = Vec::new();
        for note in notes {
            let code = note.currency;
            let mut currencies = self.instruments.currencies().iter().zip(0..);
            let currency = { currencies.find(|(c, _)| **c == code) }.map(|(_, i)| CurrencyIdx(i));
            let amount = currency.and_then(|currency| {
                let total = note.charged.total().ok()?;
                let left = total.checked_sub(note.booked).ok()?;
                let earlier = self.day_book.adjusted(currency, &note.name);
                let amount = left.checked_sub(earlier.unwrap_or_default()).ok()?;
                // The first close tells the note's components, also where nothing is left to book.
                Some((currency, amount, earlier.is_none() && !total.is_zero()))
            });
            let Some((currency, amount, is_news)) = amount else {
                self.alert(Reason::ChargesUnknown, None, None, out);
                continue;
            };
            if amount.is_zero() && !is_news {
                continue;
            }
            let adjustment = ChargesAdjustment {
                currency,
                note: note.name,
                date,
                amount,
                charged: note.charged,
            };
            let correlation = self.own_correlation(u32::MAX - 4);
            let body = EventBody::ChargesAdjusted(adjustment);
            self.emit(self.now, correlation, Cause::Timer(due), body, out);
            if !amount.is_zero() && !changed.contains(&currency) {
                changed.push(currency);
            }
        }
        for currency in changed {
            let correlation = self.own_correlation(u32::MAX - 4);
            self.emit_snapshot(currency, correlation, Cause::Timer(due), out);
        }
    }
}
