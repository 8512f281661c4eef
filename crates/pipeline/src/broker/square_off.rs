//! Closing positions at their square-off time or at an operator's command.

use super::*;

impl BrokerPipeline {
    pub(super) fn square_off_due_positions(&mut self, due: Timestamp, out: &mut Vec<Event>) {
        if self.square_offs.is_empty() {
            return;
        }
        let mut keys: Vec<_> = self
            .engine
            .keys()
            .iter()
            .copied()
            .filter(|key| key.product == Product::Intraday)
            .filter(|key| {
                // Its square-off time is exactly now.
                let group = self.groups[key.instrument.index()];
                self.square_off_before(group).is_some()
                    && match self.sessions.status(group, due) {
                        SessionStatus::Open(w) => self.square_off_in(group, &w) == due,
                        SessionStatus::Closed { .. } => false,
                    }
            })
            .collect();
        keys.sort_unstable();
        for key in keys {
            self.begin_square_off(&key, None, Reason::SquareOff, Cause::Timer(due), out);
        }
        self.drain_trader(out);
    }

    /// Says which strategies' intraday positions are squared off soon, and which positions in delivery
    /// are short though nothing in delivery may be, overnight least of all.
    pub(super) fn announce_square_off(&mut self, due: Timestamp, out: &mut Vec<Event>) {
        if self.notices.is_empty() {
            return;
        }
        let notice = self.square_off_notice;
        let is_now = |group: SessionGroup| {
            self.square_off_before(group).is_some()
                && match self.sessions.status(group, due) {
                    SessionStatus::Open(w) => {
                        self.square_off_in(group, &w).plus(-notice).max(w.open) == due
                    }
                    SessionStatus::Closed { .. } => false,
                }
        };
        let concerned = self
            .portfolio
            .positions()
            .iter()
            .filter(|p| is_now(self.groups[p.key.instrument.index()]))
            .filter_map(|p| {
                match p.key.product {
                    Product::Intraday if !p.quantity.is_zero() => Some(Reason::SquareOffSoon),
                    Product::Delivery if p.quantity < Quantity::ZERO => {
                        Some(Reason::OvernightShort)
                    }
                    _ => None,
                }
                .map(|reason| (reason, p.key.strategy))
            })
            .collect();
        self.tell(concerned, out);
    }

    pub(super) fn begin_square_off(
        &mut self,
        key: &PositionKey,
        correlation: Option<CorrelationId>,
        reason: Reason,
        cause: Cause,
        out: &mut Vec<Event>,
    ) {
        let held: Vec<_> = self.engine.held().of(*key).copied().collect();
        for waiting in held {
            self.refuse(&waiting, None, reason, out);
        }
        let Some(book) = self.engine.book(key) else {
            return;
        };
        if book.is_closing()
            || (book.working().is_empty() && self.portfolio.quantity(key).is_zero())
        {
            return;
        }
        if let Some(waiting) = book.deferred().copied() {
            self.refuse(&waiting, None, reason, out);
        }
        let correlation =
            correlation.unwrap_or_else(|| self.own_correlation(self.engine.scheduled()));
        let body = EventBody::SquareOff {
            strategy: key.strategy,
            instrument: key.instrument,
            product: key.product,
            begins: true,
            reason,
        };
        self.emit(self.now, correlation, cause, body, out);
        let working = self
            .engine
            .book(key)
            .map(|b| b.working().to_vec())
            .unwrap_or_default();
        for id in working {
            self.request_cancel(id, reason, cause, out);
        }
        self.continue_square_off(key, cause, out);
    }

    /// The exchange refuses more in one order: several entries can have built a larger position.
    fn largest_order(&self, instrument: InstrumentIdx) -> Quantity {
        let instrument = self.instruments.get(instrument);
        let date = self.day.map(|day| day.date);
        let date = date.unwrap_or_else(|| self.sessions.trading_day(self.now).date);
        let freeze = self.rules.freeze_quantity(instrument, date);
        freeze
            .map(|freeze| freeze.floor_to(instrument.lot_size))
            .filter(|most| *most > Quantity::ZERO)
            .unwrap_or(Quantity::MAX)
    }

    /// Sends the closing order once nothing else works for the position, the next where one may not be
    /// so large, and ends when it is flat.
    pub(super) fn continue_square_off(
        &mut self,
        key: &PositionKey,
        cause: Cause,
        out: &mut Vec<Event>,
    ) {
        let Some(book) = self.engine.book(key) else {
            return;
        };
        let Some((correlation, reason, ordinal)) = book.closing() else {
            return;
        };
        if !book.working().is_empty() {
            return;
        }
        let position = self.portfolio.quantity(key);
        let refused = match cause {
            Cause::Order(id, _) => self.engine.order(id).is_some_and(|o| {
                let ended = o.status().is_terminal() && o.status() != OrderStatus::Filled;
                o.intent().role == OrderRole::SquareOff && ended
            }),
            _ => false,
        };
        if position.is_zero() || refused {
            let body = EventBody::SquareOff {
                strategy: key.strategy,
                instrument: key.instrument,
                product: key.product,
                begins: false,
                reason,
            };
            self.emit(self.now, correlation, cause, body, out);
            if !position.is_zero() {
                self.alert(reason, None, Some(key.strategy), out);
                // What the square-off took away from the position's protection comes back.
                self.protect(key, cause, out);
            }
            return;
        }
        let intent = OrderIntent {
            id: OrderId::derive(
                self.hash,
                correlation.0 ^ (u128::from(ordinal.0) << 64),
                ordinal.1,
            ),
            correlation,
            signal: None,
            strategy: key.strategy,
            instrument: key.instrument,
            role: OrderRole::SquareOff,
            side: Side::of(position).opposite(),
            quantity: position.abs().min(self.largest_order(key.instrument)),
            increase: Quantity::ZERO,
            order_type: OrderType::Market,
            limit_price: None,
            trigger_price: None,
            validity: Validity::Day,
            product: key.product,
            bracket: Bracket::default(),
            oco: None,
            parent: None,
            submitted: self.now,
            send_by: self.now.plus(self.send_within),
        };
        self.submit(intent, cause, out);
    }
}
