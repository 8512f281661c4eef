//! What a trader reports, and what follows: the next step of an order, protection, waiting signals.

use super::*;

impl BrokerPipeline {
    pub(super) fn take_report(&mut self, report: &TraderReport, out: &mut Vec<Event>) {
        if report.kind == ReportKind::BookRead {
            self.drop_unconfirmed(report.order, out);
        } else if let Some(report) = self.of_totals(report)
            && self.is_believed(&report, out)
        {
            self.book_report(&report, out);
        }
        self.allow_when_clear(report.order, out);
    }

    /// The execution that a total means. `None` where it says nothing new.
    fn of_totals(&mut self, report: &TraderReport) -> Option<TraderReport> {
        let ReportKind::FilledTo {
            side,
            quantity,
            average_price,
        } = report.kind
        else {
            return Some(*report);
        };
        let order = self.engine.order(report.order);
        let new = match order {
            Some(order) => order.executed_to(quantity, average_price),
            // It is told as unknown.
            None => Some((
                TradeId::of_total(report.order, quantity.raw()),
                quantity,
                average_price,
            )),
        };
        let Some((trade, quantity, price)) = new else {
            self.stats.repeated_reports += 1;
            return None;
        };
        let kind = ReportKind::Filled {
            trade,
            side,
            quantity,
            price,
            draws: 0,
        };
        Some(TraderReport { kind, ..*report })
    }

    /// Takes a report that is believed.
    pub(super) fn book_report(&mut self, report: &TraderReport, out: &mut Vec<Event>) {
        let Some(order) = self.engine.order(report.order) else {
            return self.alert(Reason::UnknownOrder, Some(report.order), None, out);
        };
        let intent = *order.intent();
        let change = match self.change_of(&intent, report) {
            Ok(change) => change,
            Err(_) => {
                self.alert(
                    Reason::Overflow,
                    Some(report.order),
                    Some(intent.strategy),
                    out,
                );
                return self.change_state(TradingState::Halted, Reason::Overflow, true, out);
            }
        };
        let Some(order) = self.engine.order(report.order) else {
            return;
        };
        if let OrderChange::Modified {
            quantity,
            limit_price,
            trigger_price,
        } = change
            && (quantity, limit_price, trigger_price)
                == (order.quantity(), order.limit_price(), order.trigger_price())
            && self.trader.is_none()
        {
            // It holds already. (A trader inside is told of every change that it reports.)
            self.stats.repeated_reports += 1;
            return;
        }
        match order.check(&change) {
            Ok(_) => {}
            // What is known already, or was overtaken by what is known, says nothing new.
            Err(OrderError::DuplicateTrade(_)) => {
                self.stats.repeated_reports += 1;
                return;
            }
            Err(OrderError::IllegalMove { .. }) if !matches!(change, OrderChange::Filled(_)) => {
                self.stats.repeated_reports += 1;
                return;
            }
            Err(_) => {
                let strategy = Some(intent.strategy);
                return self.alert(Reason::IllegalReport, Some(report.order), strategy, out);
            }
        }
        let sequence = order.sequence() + 1;
        let cause = Cause::Order(report.order, order.sequence());
        let step = OrderStep {
            order: report.order,
            sequence,
            change,
        };
        let body = EventBody::OrderChanged(step);
        self.emit(report.ts, intent.correlation, cause, body, out);
        let cause = Cause::Order(report.order, sequence);
        if matches!(change, OrderChange::Filled(_)) {
            let currency = self.instruments.currency(intent.instrument);
            self.emit_snapshot(currency, intent.correlation, cause, out);
        }
        let refused = matches!(change, OrderChange::Rejected(_) | OrderChange::Failed(_));
        if refused && matches!(intent.role, OrderRole::StopLoss | OrderRole::SquareOff) {
            let (order, strategy) = (Some(report.order), Some(intent.strategy));
            self.alert(Reason::BrokerRejected, order, strategy, out);
        }
        if change == OrderChange::Unknown {
            let (order, strategy) = (Some(report.order), Some(intent.strategy));
            self.alert(Reason::OutcomeUnknown, order, strategy, out);
        }
        if change == OrderChange::ModifyRefused {
            // A leg of the wrong size would close too much or too little: it goes, and one of the
            // right size takes its place when it is gone.
            let (order, strategy) = (Some(report.order), Some(intent.strategy));
            self.alert(Reason::BrokerRejected, order, strategy, out);
            self.request_cancel(report.order, Reason::BrokerRejected, cause, out);
        }
        self.follow_up(&PositionKey::of(&intent), cause, out);
    }

    pub(super) fn change_of(
        &self,
        intent: &OrderIntent,
        report: &TraderReport,
    ) -> Result<OrderChange, model::NumberError> {
        Ok(match report.kind {
            ReportKind::Acknowledged => OrderChange::Acknowledged,
            ReportKind::Triggered => OrderChange::Triggered,
            ReportKind::Filled {
                trade,
                quantity,
                price,
                draws,
                ..
            } => {
                self.portfolio.check_fill(intent, quantity, price)?;
                let date = self.day_of(report.ts).date;
                let charges = self.charges_of(intent, quantity, price, date)?;
                OrderChange::Filled(Execution {
                    trade,
                    quantity,
                    price,
                    charges,
                    draws,
                })
            }
            ReportKind::Modified {
                quantity,
                limit_price,
                trigger_price,
            } => OrderChange::Modified {
                quantity,
                limit_price,
                trigger_price,
            },
            ReportKind::Cancelled(reason) => OrderChange::Cancelled(reason),
            ReportKind::CancelRefused => OrderChange::CancelRefused,
            ReportKind::Rejected(reason) => OrderChange::Rejected(reason),
            ReportKind::Expired(reason) => OrderChange::Expired(reason),
            ReportKind::NotSent(reason) => OrderChange::Failed(reason),
            ReportKind::Unknown => OrderChange::Unknown,
            // The pipeline takes the end of the book's answer before this, which changes no order, and makes
            // executions of totals.
            ReportKind::ModifyRefused | ReportKind::BookRead | ReportKind::FilledTo { .. } => {
                OrderChange::ModifyRefused
            }
        })
    }

    pub(super) fn charges_of(
        &self,
        intent: &OrderIntent,
        quantity: Quantity,
        price: Price,
        date: model::Date,
    ) -> Result<Amount, model::NumberError> {
        let instrument = self.instruments.get(intent.instrument);
        let order = self.engine.order(intent.id);
        let (before, quantity_before, charged) = order
            .map_or((0, Quantity::ZERO, Amount::ZERO), |o| {
                (o.executed_value(), o.filled(), o.charges())
            });
        let notional_before = before
            .checked_mul(i128::from(instrument.multiplier.hundredths()))
            .map(Amount::from_raw)
            .ok_or(model::NumberError::Overflow)?;
        self.charges.of(&ChargeInput {
            instrument,
            product: intent.product,
            side: intent.side,
            quantity,
            price,
            notional: Amount::notional(price, quantity, instrument.multiplier)?,
            notional_before,
            quantity_before,
            charges_before: charged,
            date,
        })
    }

    /// What a change of an order leads to for its position: protection, square-off, waiting signals.
    pub(super) fn follow_up(&mut self, key: &PositionKey, cause: Cause, out: &mut Vec<Event>) {
        self.protect(key, cause, out);
        let Some(book) = self.engine.book(key) else {
            return;
        };
        if book.is_closing() {
            self.continue_square_off(key, cause, out);
        } else if let Some(signal) = book.deferred().copied()
            && !self.engine.is_cancelling(&signal)
        {
            if let Cause::Order(id, _) = cause
                && self.engine.working(id).is_some()
            {
                // The broker would not cancel what is in the way: the signal cannot be followed.
                self.refuse(&signal, None, Reason::BrokerRejected, out);
            } else {
                self.resolve_signal(&signal, out);
            }
            self.protect(key, cause, out);
        }
    }

    pub(super) fn protect(&mut self, key: &PositionKey, cause: Cause, out: &mut Vec<Event>) {
        if self.engine.book(key).is_none_or(|b| b.pairs().is_empty()) {
            return;
        }
        let group = self.groups[key.instrument.index()];
        // A closing auction takes no stop orders: what it lets in is protected from the next open on.
        // A bar is delivered at its close, which may be the session's; what it filled was protected at
        // the exchange while it lasted. A trader outside is asked now.
        let takes = match self.bar_open {
            Some(open) if self.trader.is_some() => self.sessions.takes(group, open),
            _ => self.takes(group),
        };
        let open = takes.stop && takes.limit;
        while let Some(step) = self
            .engine
            .next_protection(key, self.portfolio.quantity(key), open)
        {
            match step {
                Protection::Place(pair, quantity, place_stop, place_limit) => {
                    // One chain of ids per pair: generation 0 is the first stop leg.
                    let id = |leg| {
                        OrderId::derive(self.hash, pair.parent.get(), 2 * pair.generation + leg)
                    };
                    let (stop, limit) = (pair.bracket.stop_loss, pair.bracket.take_profit);
                    let both = stop.is_some() && limit.is_some();
                    // The other leg is a new one, or the one that is still there.
                    let (stop_id, limit_id) = (id(0), id(1));
                    let stop_or_old = if place_stop {
                        Some(stop_id)
                    } else {
                        pair.stop_loss
                    };
                    let limit_or_old = if place_limit {
                        Some(limit_id)
                    } else {
                        pair.take_profit
                    };
                    let leg = |id, role, order_type, limit_price, trigger_price, oco| OrderIntent {
                        id,
                        correlation: pair.correlation,
                        signal: pair.signal,
                        strategy: key.strategy,
                        instrument: key.instrument,
                        role,
                        side: pair.side.opposite(),
                        quantity,
                        increase: Quantity::ZERO,
                        order_type,
                        limit_price,
                        trigger_price,
                        validity: Validity::Day,
                        product: key.product,
                        bracket: Bracket::default(),
                        oco,
                        parent: Some(pair.parent),
                        submitted: self.now,
                        send_by: self.now.plus(self.send_within),
                    };
                    let stop_leg = stop.filter(|_| place_stop).map(|price| {
                        let oco = limit_or_old.filter(|_| both);
                        leg(
                            stop_id,
                            OrderRole::StopLoss,
                            OrderType::Stop,
                            None,
                            Some(price),
                            oco,
                        )
                    });
                    let limit_leg = limit.filter(|_| place_limit).map(|price| {
                        let oco = stop_or_old.filter(|_| both);
                        leg(
                            limit_id,
                            OrderRole::TakeProfit,
                            OrderType::Limit,
                            Some(price),
                            None,
                            oco,
                        )
                    });
                    for intent in [stop_leg, limit_leg].into_iter().flatten() {
                        self.submit(intent, cause, out);
                    }
                }
                Protection::Resize(order, quantity) => {
                    let Some(correlation) = self.correlation_of(order) else {
                        return;
                    };
                    let body = EventBody::ModifyRequested { order, quantity };
                    self.emit(self.now, correlation, cause, body, out);
                }
                Protection::Cancel(order) => {
                    self.request_cancel(order, Reason::PositionClosed, cause, out);
                }
            }
        }
    }

    pub(super) fn correlation_of(&self, order: OrderId) -> Option<CorrelationId> {
        self.engine.order(order).map(|o| o.intent().correlation)
    }

    pub(super) fn request_cancel(
        &mut self,
        id: OrderId,
        reason: Reason,
        cause: Cause,
        out: &mut Vec<Event>,
    ) {
        let Some(order) = self.engine.working(id).map(|w| &w.order) else {
            return;
        };
        if order.cancel_requested() {
            return;
        }
        let (correlation, sequence) = (order.intent().correlation, order.sequence() + 1);
        let change = OrderChange::CancelRequested(reason);
        let body = EventBody::OrderChanged(OrderStep {
            order: id,
            sequence,
            change,
        });
        self.emit(self.now, correlation, cause, body, out);
    }

    pub(super) fn cancel_where(
        &mut self,
        reason: Reason,
        cause: Cause,
        out: &mut Vec<Event>,
        wanted: impl Fn(&OrderIntent) -> bool,
    ) {
        for id in self.engine.working_ids() {
            if self
                .engine
                .working(id)
                .is_some_and(|w| wanted(w.order.intent()))
            {
                self.request_cancel(id, reason, cause, out);
            }
        }
        self.drop_held(reason, out, wanted);
    }
}
