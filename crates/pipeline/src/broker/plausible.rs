//! Whether a reported execution can be true. One that cannot is parked: it is not booked, entries are
//! blocked, and the host asks the broker about its order. What the broker's own book then confirms is
//! booked, what it does not show is dropped. A trader inside the pipeline is part of it and not doubted.

use super::*;

/// Prices of so many ticks are near each other in any market: a cheap option doubles within a trade.
const NEAR_TICKS: i64 = 20;

/// Reports that are parked at once. A broker that says more nonsense is not traded with: one more halts
/// the namespace.
pub const PARKED_MAX: usize = 256;

impl BrokerPipeline {
    /// Whether a report is to be booked now. One that cannot be true is parked until the broker's book
    /// confirms it.
    pub(super) fn is_believed(&mut self, report: &TraderReport, out: &mut Vec<Event>) -> bool {
        if self.trader.is_some() {
            return true;
        }
        let Some(mut parked) = self.doubted(report) else {
            return true;
        };
        let (order, strategy) = (Some(parked.order), Some(parked.strategy));
        if !report.confirmed {
            let known = |p: &ParkedReport| (p.order, p.trade) == (parked.order, parked.trade);
            if self.engine.parked().iter().any(known) {
                self.stats.repeated_reports += 1;
            } else {
                self.park(report, parked, Reason::ImplausibleReport, out);
            }
            return false;
        }
        if self.make_room(report, &parked, out) {
            self.alert(Reason::ReportConfirmed, order, strategy, out);
            return true;
        }
        // The broker has booked what our order does not allow: nothing here can say what holds.
        parked.confirmed = true;
        if !self.engine.parked().contains(&parked) {
            self.park(report, parked, Reason::IllegalReport, out);
        }
        false
    }

    fn park(
        &mut self,
        report: &TraderReport,
        parked: ParkedReport,
        reason: Reason,
        out: &mut Vec<Event>,
    ) {
        let Some(order) = self.engine.order(parked.order) else {
            return;
        };
        let (correlation, sequence) = (order.intent().correlation, order.sequence());
        let cause = Cause::Order(parked.order, sequence);
        let is_there = |p: &ParkedReport| (p.order, p.trade) == (parked.order, parked.trade);
        let all = self.engine.parked();
        if all.len() >= PARKED_MAX && !all.iter().any(is_there) {
            self.alert(reason, Some(parked.order), Some(parked.strategy), out);
            return self.change_state(TradingState::Halted, reason, true, out);
        }
        let body = EventBody::ReportParked(parked);
        self.emit(report.ts, correlation, cause, body, out);
        self.alert(reason, Some(parked.order), Some(parked.strategy), out);
        self.block_entries(Reason::ImplausibleReport, true, correlation, cause, out);
    }

    /// The broker's book confirms more than the order has open: the order is made as large as the
    /// broker has it. False where the execution still cannot be a step of the order.
    fn make_room(
        &mut self,
        report: &TraderReport,
        parked: &ParkedReport,
        out: &mut Vec<Event>,
    ) -> bool {
        let change = self.filled(parked.trade, parked.quantity, parked.price);
        let Some(order) = self.engine.order(parked.order) else {
            return false;
        };
        // Its side, and numbers that fit no type, cannot be booked at all.
        if parked.doubt == Doubt::Side {
            return false;
        }
        let larger = match order.check(&change) {
            Ok(_) => return true,
            Err(OrderError::Overfill { executed, .. }) => order.filled().checked_add(executed),
            Err(_) => return false,
        };
        let Ok(quantity) = larger else { return false };
        let change = OrderChange::Modified {
            quantity,
            limit_price: order.limit_price(),
            trigger_price: order.trigger_price(),
        };
        if order.check(&change).is_err() {
            return false;
        }
        let (correlation, sequence) = (order.intent().correlation, order.sequence());
        let body = EventBody::OrderChanged(OrderStep {
            order: parked.order,
            sequence: sequence + 1,
            change,
        });
        let cause = Cause::Order(parked.order, sequence);
        self.emit(report.ts, correlation, cause, body, out);
        true
    }

    pub(super) const fn filled(
        &self,
        trade: TradeId,
        quantity: Quantity,
        price: Price,
    ) -> OrderChange {
        OrderChange::Filled(Execution {
            trade,
            quantity,
            price,
            charges: Amount::ZERO,
            draws: 0,
        })
    }

    /// What is reported, where it cannot be true. What the order's life does not allow, or what is
    /// booked already, is not told here.
    fn doubted(&self, report: &TraderReport) -> Option<ParkedReport> {
        let ReportKind::Filled {
            trade,
            side,
            quantity,
            price,
            ..
        } = report.kind
        else {
            return None;
        };
        let order = self.engine.order(report.order)?;
        let intent = order.intent();
        let instrument = self.instruments.get(intent.instrument);
        let last = self.portfolio.last(intent.instrument).price;
        let doubt = match order.check(&self.filled(trade, quantity, price)) {
            Err(OrderError::DuplicateTrade(_) | OrderError::IllegalMove { .. }) => return None,
            _ if side != intent.side => Doubt::Side,
            Err(OrderError::Overfill { .. }) => Doubt::Quantity,
            Err(OrderError::Number(_)) if quantity.in_window().is_err() => Doubt::Quantity,
            Err(OrderError::Number(_)) => Doubt::Band,
            Ok(_) => {
                let open = Quantity::from_raw(order.quantity().raw() - order.filled().raw());
                let is_worse = |limit: Price| match side {
                    Side::Buy => price > limit,
                    Side::Sell => price < limit,
                };
                // What closes an odd position is no multiple of the lot.
                if !quantity.is_multiple_of(instrument.lot_size) && quantity != open {
                    Doubt::Lot
                } else if order.limit_price().is_some_and(is_worse) {
                    Doubt::Limit
                } else if self.is_far(price, last, instrument.tick_size) {
                    Doubt::Band
                } else if self.capabilities.executes_on_tick
                    && !price.is_multiple_of(instrument.tick_size)
                {
                    Doubt::Tick
                } else {
                    return None;
                }
            }
        };
        Some(ParkedReport {
            order: report.order,
            strategy: intent.strategy,
            instrument: intent.instrument,
            trade,
            side,
            quantity,
            price,
            doubt,
            last,
            confirmed: false,
        })
    }

    fn is_far(&self, price: Price, last: Price, tick: Price) -> bool {
        if self.report_band == 0 || last.is_zero() {
            return false;
        }
        let distance = (i128::from(price.raw()) - i128::from(last.raw())).abs();
        let band = i128::from(last.raw()) * i128::from(self.report_band);
        distance > i128::from(tick.raw()) * i128::from(NEAR_TICKS)
            && distance * i128::from(model::fixed::ONE) > band
    }

    /// The book's answer is complete: what it did not confirm did not happen.
    pub(super) fn drop_unconfirmed(&mut self, order: OrderId, out: &mut Vec<Event>) {
        let strategy = self.engine.order(order).map(|o| o.intent().strategy);
        let void = |p: &&ParkedReport| p.order == order && !p.confirmed;
        let trades: Vec<_> = self.engine.parked().iter().filter(void).collect();
        let trades: Vec<TradeId> = trades.iter().map(|p| p.trade).collect();
        if trades.is_empty() {
            return;
        }
        let reason = Reason::ReportContradicted;
        self.drop_trades(order, &trades, reason, out);
        self.alert(reason, Some(order), strategy, out);
    }

    /// Drops what is parked of an order.
    pub(super) fn drop_parked(&mut self, order: OrderId, reason: Reason, out: &mut Vec<Event>) {
        let of_order = self.engine.parked().iter().filter(|p| p.order == order);
        let trades: Vec<TradeId> = of_order.map(|p| p.trade).collect();
        self.drop_trades(order, &trades, reason, out);
    }

    fn drop_trades(
        &mut self,
        order: OrderId,
        trades: &[TradeId],
        reason: Reason,
        out: &mut Vec<Event>,
    ) {
        let (correlation, cause) = self.of_order(order);
        for trade in trades {
            let body = EventBody::ReportDropped {
                order,
                trade: *trade,
                reason,
            };
            self.emit(self.now, correlation, cause, body, out);
        }
    }

    /// Entries are allowed again where nothing is parked any more.
    pub(super) fn allow_when_clear(&mut self, order: OrderId, out: &mut Vec<Event>) {
        let reason = Reason::ImplausibleReport;
        if self.engine.parked().is_empty() && self.risk.blocks().contains(&reason) {
            let (correlation, cause) = self.of_order(order);
            self.block_entries(reason, false, correlation, cause, out);
        }
    }

    fn of_order(&self, order: OrderId) -> (CorrelationId, Cause) {
        match self.engine.order(order) {
            Some(o) => (o.intent().correlation, Cause::Order(order, o.sequence())),
            None => (self.own_correlation(u32::MAX - 1), Cause::Input(self.input)),
        }
    }
}
