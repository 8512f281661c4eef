//! What happens to positions when their contracts expire.
//!
//! Contracts that are settled in cash are closed one nanosecond after the close of their last day, by an
//! event that an alert explains: futures at their own last price, options at what they pay by the
//! underlying's last price where that is among the instruments, else at their own last price. Each is an
//! approximation: the exchange's final settlement price is an average of the underlying's last half hour
//! or a closing price of its own, and is not known here.
//!
//! Contracts that would be delivered are kept from it: nothing is opened on their last day, alerts name
//! who holds some at its open, and what is left is squared off before continuous trading ends.

use model::contract_note::{DayOrder, Deed};
use model::event::{Settled, SettlementBasis};
use model::instrument::OptionKind;
use model::rules::Settlement;
use model::signal::Side;
use model::time::MINUTE;

use super::*;
use crate::day_book::Traded;

/// How long before the end of continuous trading, where intraday positions have no time of their own.
const BEFORE: i64 = 10 * MINUTE;

impl BrokerPipeline {
    /// Sets the clocks that stand at or before `passed` to what comes after `ts`.
    pub(super) fn schedule_expiries(&mut self, ts: Timestamp, passed: Timestamp) {
        for i in 0..self.expiries.len() {
            if self.expiries[i].due <= passed {
                self.expiries[i].due = self.expiry_due(self.expiries[i].group, ts);
            }
        }
        for i in 0..self.deliveries.len() {
            if self.deliveries[i].due <= passed {
                self.deliveries[i].due = self.delivery_due(self.deliveries[i].group, ts);
            }
        }
    }

    /// When contracts of a group next may expire, after `ts`: as a session has closed or, where the
    /// market never does, at the day's last instant.
    fn expiry_due(&self, group: SessionGroup, ts: Timestamp) -> Timestamp {
        // A session that closes at `ts` itself is not over for its last executions.
        let mut at = ts.plus(-1);
        for _ in 0..4 {
            match self.sessions.status(group, at) {
                SessionStatus::Open(window) if window.close == Timestamp::MAX => {
                    let end = self.sessions.trading_day(at).end;
                    if end.plus(-1) > ts {
                        return end.plus(-1);
                    }
                    at = end;
                }
                SessionStatus::Open(window) => return window.close.plus(1),
                SessionStatus::Closed { next_open } if next_open == Timestamp::MAX => break,
                SessionStatus::Closed { next_open } => at = next_open,
            }
        }
        Timestamp::MAX
    }

    fn delivery_in(&self, group: SessionGroup, window: &SessionWindow) -> Timestamp {
        self.before_close(
            group,
            window,
            self.square_off_before(group).unwrap_or(BEFORE),
        )
    }

    fn delivery_due(&self, group: SessionGroup, ts: Timestamp) -> Timestamp {
        self.next_within(group, ts, |window| self.delivery_in(group, window))
    }

    /// What is held of contracts that end on `date` or have ended before, in groups that `is_now` names.
    fn expiring(
        &self,
        date: model::Date,
        is_now: impl Fn(SessionGroup) -> bool,
    ) -> Vec<(PositionKey, Settlement)> {
        let mut found: Vec<_> = self
            .portfolio
            .positions()
            .iter()
            .filter(|p| !p.quantity.is_zero())
            .map(|p| p.key)
            .filter(|key| {
                let expiry = self.instruments.get(key.instrument).expiry;
                expiry.is_some_and(|expiry| expiry <= date)
            })
            .filter(|key| is_now(self.groups[key.instrument.index()]))
            .map(|key| (key, self.settlement[key.instrument.index()]))
            .collect();
        found.sort_unstable_by_key(|(key, _)| *key);
        found
    }

    /// Once per reason and strategy.
    pub(super) fn tell(&mut self, mut concerned: Vec<(Reason, StrategyIdx)>, out: &mut Vec<Event>) {
        concerned.sort_unstable();
        concerned.dedup();
        for (reason, strategy) in concerned {
            self.alert(reason, None, Some(strategy), out);
        }
    }

    /// At the open and at the square-off time of a contract's last day: delivery is not for us.
    pub(super) fn avoid_delivery(&mut self, due: Timestamp, out: &mut Vec<Event>) {
        if self.deliveries.is_empty() {
            return;
        }
        let date = self.sessions.trading_day(due).date;
        let window = |group| match self.sessions.status(group, due) {
            SessionStatus::Open(window) => Some(window),
            SessionStatus::Closed { .. } => None,
        };
        let opens = |group| window(group).is_some_and(|w| w.open == due);
        let ends = |group| window(group).is_some_and(|w| self.delivery_in(group, &w) == due);
        let mut held = self.expiring(date, |group| opens(group) || ends(group));
        held.retain(|(_, settlement)| *settlement == Settlement::Physical);
        // Working orders of a flat position end too: they could open one.
        let mut keys: Vec<PositionKey> = self.engine.keys().to_vec();
        keys.retain(|key| {
            let at = key.instrument.index();
            self.settlement[at] == Settlement::Physical
                && self
                    .instruments
                    .get(key.instrument)
                    .expiry
                    .is_some_and(|last| last <= date)
                && ends(self.groups[at])
        });
        keys.sort_unstable();
        let reason = Reason::PhysicalDelivery;
        let concerned = held.iter().map(|(key, _)| (reason, key.strategy)).collect();
        self.tell(concerned, out);
        for key in keys {
            self.begin_square_off(&key, None, reason, Cause::Timer(due), out);
        }
        self.drain_trader(out);
    }

    /// Settles what has expired now. True when an exercise was charged.
    pub(super) fn settle_contracts(&mut self, due: Timestamp, out: &mut Vec<Event>) -> bool {
        if self.expiries.is_empty() {
            return false;
        }
        let before = due.plus(-1);
        let date = self.sessions.trading_day(before.plus(-1)).date;
        let mut held = self.expiring(date, |group| self.expiry_due(group, before) == due);
        // Holders before writers: what is left of the account's net tells how much is exercised.
        held.sort_by_key(|(key, _)| self.portfolio.quantity(key) < Quantity::ZERO);
        let cause = Cause::Timer(due);
        let (mut concerned, mut currencies) = (Vec::new(), Vec::new());
        let mut is_charged = false;
        for (ordinal, (key, settlement)) in (0..).zip(held) {
            let reason = match settlement {
                Settlement::None => Some(Reason::ContractExpired),
                Settlement::Physical => Some(Reason::PhysicalDelivery),
                Settlement::Cash => None,
            };
            if let Some(reason) = reason {
                concerned.push((reason, key.strategy));
                continue;
            }
            let settled = self.settled(&key, date, out);
            is_charged |= !settled.charges.is_zero();
            let reason = match settled.basis {
                SettlementBasis::LastPrice => Reason::SettledAtLastPrice,
                SettlementBasis::Underlying => Reason::SettledAtUnderlying,
            };
            concerned.push((reason, key.strategy));
            // Its own chain: nothing else has so low an ordinal in the upper half.
            let correlation = self.own_correlation((1 << 31) + ordinal);
            self.emit(
                self.now,
                correlation,
                cause,
                EventBody::PositionSettled(settled),
                out,
            );
            for id in self
                .engine
                .book(&key)
                .map_or(Vec::new(), |b| b.working().to_vec())
            {
                self.request_cancel(id, Reason::ContractExpired, cause, out);
            }
            let currency = self.instruments.currency(key.instrument);
            if !currencies.contains(&currency) {
                currencies.push(currency);
            }
        }
        self.tell(concerned, out);
        for currency in currencies {
            self.emit_snapshot(currency, self.own_correlation(u32::MAX), cause, out);
        }
        is_charged
    }

    fn settled(&mut self, key: &PositionKey, date: model::Date, out: &mut Vec<Event>) -> Settled {
        let quantity = self.portfolio.quantity(key);
        let instrument = self.instruments.get(key.instrument);
        let value = self.option_value(key.instrument);
        let (price, basis) = match value {
            Some(value) => (value, SettlementBasis::Underlying),
            None => (
                self.portfolio.last(key.instrument).price,
                SettlementBasis::LastPrice,
            ),
        };
        let exercised = self.exercised(key, price);
        let charges = if exercised > Quantity::ZERO {
            Amount::notional(price, exercised, instrument.multiplier).and_then(|notional| {
                let order = DayOrder {
                    instrument,
                    product: key.product,
                    deed: Deed::Exercise,
                    quantity: exercised,
                    notional,
                    booked: Amount::ZERO,
                    is_left_open: false,
                };
                self.charges.of_exercise(date, &order)
            })
        } else {
            Ok(Amount::ZERO)
        };
        if charges.is_err() {
            self.alert(Reason::ChargesUnknown, None, Some(key.strategy), out);
        }
        Settled {
            strategy: key.strategy,
            instrument: key.instrument,
            product: key.product,
            quantity,
            price,
            basis,
            charges: charges.unwrap_or_default(),
        }
    }

    /// How much of a position in an option that pays is exercised: the account's net, what strategies
    /// hold against each other does not exist for the exchange. Its writer is only assigned.
    fn exercised(&self, key: &PositionKey, price: Price) -> Quantity {
        if self.instruments.get(key.instrument).option_kind.is_none() || price <= Price::ZERO {
            return Quantity::ZERO;
        }
        let net = self.portfolio.net(key.instrument).max(Quantity::ZERO);
        self.portfolio.quantity(key).min(net)
    }

    /// What an option pays by its underlying's last price, where both are known.
    fn option_value(&self, option: InstrumentIdx) -> Option<Price> {
        let instrument = self.instruments.get(option);
        let (kind, strike) = (instrument.option_kind?, instrument.strike?);
        let name = self.rules.underlying(instrument)?;
        let underlying = self.instruments.find(name).ok()?;
        // A contract of the same name is no underlying.
        if self.instruments.get(underlying).expiry.is_some() {
            return None;
        }
        let last = self.portfolio.last(underlying).price;
        if last.is_zero() {
            return None;
        }
        let value = match kind {
            OptionKind::Call => last.raw().checked_sub(strike.raw())?,
            OptionKind::Put => strike.raw().checked_sub(last.raw())?,
        };
        Some(Price::from_raw(value.max(0)))
    }

    /// A settlement is a fact: the position is closed, and an exercise is part of its day.
    pub(super) fn take_settlement(&mut self, settled: &Settled, event: &Event) {
        let key = PositionKey {
            strategy: settled.strategy,
            instrument: settled.instrument,
            product: settled.product,
        };
        let exercised = self.exercised(&key, settled.price);
        self.portfolio.apply_settlement(settled, event.ts);
        let side = Side::of(settled.quantity).opposite();
        self.strategies.fill(
            settled.strategy,
            settled.instrument,
            &OwnFill {
                side,
                quantity: settled.quantity.abs(),
                price: settled.price,
                product: settled.product,
                position: Quantity::ZERO,
            },
        );
        if settled.charges.is_zero() || !self.closes_days {
            return;
        }
        let multiplier = self.instruments.get(settled.instrument).multiplier;
        let notional = Amount::notional(settled.price, exercised, multiplier);
        let traded = notional.map(|notional| Traded {
            instrument: settled.instrument,
            product: settled.product,
            deed: Deed::Exercise,
            quantity: exercised,
            notional,
            booked: settled.charges,
            // Its id is its own: more of the same are found by looking back.
            is_first: false,
            is_last: true,
        });
        let id = OrderId::derive(self.hash, event.correlation.0, 0);
        // The close that follows within the same input takes it.
        let date = self.sessions.trading_day(event.ts.plus(-2)).date;
        let due = self.day_book.due();
        if !traded.is_ok_and(|t| self.day_book.apply_fill(id, &t, date, due).is_ok()) {
            self.portfolio.overflow();
        }
    }
}
