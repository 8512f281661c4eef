//! The way of a signal: planned, judged, then sent, refused, or kept until what is in its way is gone.

use super::*;

impl BrokerPipeline {
    pub(super) fn run_own_strategies(&mut self, out: &mut Vec<Event>) {
        let mut at = 0;
        while let Some(made) = self.strategies.made().get(at).copied() {
            at += 1;
            match made {
                Made::Signal(signal, _) => self.take_signal(&signal, out),
                Made::Failed(strategy, reason, _, name) => {
                    let correlation = self.own_correlation(name.0 as u32);
                    let cause = Cause::Input(self.input);
                    self.disable_strategy(strategy, reason, correlation, cause, out);
                }
            }
        }
        if at > 0 {
            self.strategies.clear_made();
        }
    }

    pub(super) fn take_signal(&mut self, signal: &Signal, out: &mut Vec<Event>) {
        if self
            .risk
            .is_repeat(signal.strategy, (signal.input, signal.ordinal))
        {
            self.stats.repeated_signals += 1;
            return;
        }
        let cause = Cause::Input(signal.input);
        self.emit(
            self.now,
            signal.correlation,
            cause,
            EventBody::SignalRaw(*signal),
            out,
        );
        match self.held_until(signal) {
            Some(open) => self.hold(signal, open, out),
            None => self.resolve_signal(signal, out),
        }
        self.drain_trader(out);
    }

    /// Plans, judges and acts; also for a signal that had waited.
    pub(super) fn resolve_signal(&mut self, signal: &Signal, out: &mut Vec<Event>) {
        let key = key_of(signal);
        let position = self.portfolio.quantity(&key);
        let plan = self.engine.plan(signal, position).and_then(|plan| {
            // The side of a target is known only now. Planned anew: what rests has a rounded limit.
            Ok(match self.rounded(signal, plan.side)? {
                Some(rounded) => (self.engine.plan(&rounded, position)?, Some(rounded)),
                None => (plan, None),
            })
        });
        let Ok((plan, rounded)) = plan else {
            return self.refuse(signal, None, Reason::Overflow, out);
        };
        // What waits or is refused is kept as it was asked for: its side may change.
        let asked = rounded.as_ref().unwrap_or(signal);
        if plan.quantity.is_zero() {
            // Nothing to send: at most something to cancel.
            return if plan.blocked {
                self.defer(signal, &plan, out);
            } else {
                self.validate(asked, &plan, None, out);
            };
        }
        // Judged before anything is cancelled for it, and again when that is done.
        let (part, refused) = match self.judge(asked, &plan) {
            Ok(Judgement::Pass) => (plan, None),
            Ok(Judgement::ReduceOnly(refusal)) => {
                let reduce = Quantity::from_raw(plan.quantity.raw() - plan.increase.raw());
                (
                    Plan {
                        quantity: reduce,
                        increase: Quantity::ZERO,
                        ..plan
                    },
                    Some(refusal),
                )
            }
            Ok(Judgement::Refuse(refusal)) => {
                return self.refuse(signal, Some(&plan), refusal, out);
            }
            Err(reason) => return self.refuse(signal, Some(&plan), reason, out),
        };
        if plan.blocked {
            return self.defer(signal, &plan, out);
        }
        self.validate(asked, &part, refused, out);
        self.submit_signal(asked, &part, out);
    }

    /// The signal with its limits on the tick, where they are rounded and were not. A take-profit is
    /// the limit of the other side.
    fn rounded(&self, signal: &Signal, side: Side) -> Result<Option<Signal>, model::NumberError> {
        let d = &signal.decision;
        let tick = self.instruments.get(d.instrument).tick_size;
        let on_tick = |price: Option<Price>| price.is_none_or(|price| price.is_multiple_of(tick));
        if (on_tick(d.limit_price) && on_tick(d.bracket.take_profit))
            || !self.risk.rounds_limits(signal.strategy)
        {
            return Ok(None);
        }
        let round = |side: Side, price: Option<Price>| {
            price.map(|price| side.round_limit(price, tick)).transpose()
        };
        let mut rounded = *signal;
        rounded.decision.limit_price = round(side, d.limit_price)?;
        rounded.decision.bracket.take_profit = round(side.opposite(), d.bracket.take_profit)?;
        Ok(Some(rounded))
    }

    pub(super) fn judge(&self, signal: &Signal, plan: &Plan) -> Result<Judgement, Reason> {
        let index = signal.decision.instrument;
        let currency = self.instruments.currency(index);
        let key = key_of(signal);
        let book = self.engine.book(&key);
        let last = self.portfolio.last(index);
        let account = self.portfolio.account(currency);
        let overflow = |_| Reason::Overflow;
        let pending = book.map_or(Quantity::ZERO, |b| b.pending());
        let squaring_off = book.is_some_and(|b| b.is_closing()) || self.past_square_off(signal);
        let own = self.risk.own_limits(signal.strategy);
        let group = self.groups[index.index()];
        let session = self.session(group);
        let takes = self.takes(group);
        let date = self.date();
        let proposal = Proposal {
            signal,
            instrument: self.instruments.get(index),
            currency,
            now: self.now,
            session,
            takes,
            date,
            settlement: self.settlement[index.index()],
            freeze_quantity: self
                .rules
                .freeze_quantity(self.instruments.get(index), date),
            supported: self.supported[index.index()],
            squaring_off,
            unresolved: self.engine.has_unresolved(signal.strategy),
            side: plan.side,
            quantity: plan.quantity,
            increase: plan.increase,
            closes_all: plan.closes_all && plan.increase.is_zero(),
            last: (last.price, last.ts),
            namespace: Totals {
                position: self
                    .portfolio
                    .net(index)
                    .checked_add(self.pending_of(index, None))
                    .map_err(overflow)?,
                gross_exposure: account.gross_exposure,
                working: self.engine.reserved(currency),
                open_orders: self.engine.open_orders(),
                margin: self
                    .margin(self.risk.limits(), currency)
                    .map_err(overflow)?,
            },
            strategy: if let Some(limits) = own {
                Totals {
                    position: self
                        .portfolio
                        .quantity(&key)
                        .checked_add(pending)
                        .map_err(overflow)?,
                    gross_exposure: self
                        .exposure_of(signal.strategy, currency)
                        .map_err(overflow)?,
                    working: self.engine.reserved_by(signal.strategy, currency),
                    open_orders: self.engine.open_orders_of(signal.strategy),
                    margin: self.margin(limits, currency).map_err(overflow)?,
                }
            } else {
                Totals::default()
            },
            net_of_product: self
                .portfolio
                .net_of_product(index, key.product)
                .checked_add(self.pending_of(index, Some(key.product)))
                .map_err(overflow)?,
            equity: account.equity(),
        };
        Ok(self.risk.judge(&proposal))
    }

    /// Signed open quantity of an instrument's working orders over all strategies, protective ones
    /// apart.
    pub(super) fn pending_of(
        &self,
        instrument: InstrumentIdx,
        product: Option<Product>,
    ) -> Quantity {
        if self.engine.open_orders() == 0 {
            return Quantity::ZERO;
        }
        let books = self.engine.keys_of(instrument);
        books
            .iter()
            .filter(|key| product.is_none_or(|p| p == key.product))
            .filter_map(|key| self.engine.book(key))
            .try_fold(Quantity::ZERO, |sum, book| sum.checked_add(book.pending()))
            .unwrap_or(Quantity::MAX)
    }

    /// What a table of margins asks of everything in a currency: it is the namespace's cash that has
    /// to cover it, whoever's limits these are.
    fn margin(&self, limits: &Limits, currency: CurrencyIdx) -> Result<Amount, model::NumberError> {
        if !limits.available_cash || !matches!(limits.margin, Margin::Table(_)) {
            return Ok(Amount::ZERO);
        }
        let positions = self.portfolio.positions().iter().map(|p| {
            let last = self.portfolio.last(p.key.instrument).price;
            let (side, quantity) = (Side::of(p.quantity), p.quantity.abs());
            (p.key.instrument, p.key.product, side, last, quantity)
        });
        let entries = self.engine.working_entries();
        let entries =
            entries.map(|(i, adds, price)| (i.instrument, i.product, i.side, price, adds));
        positions
            .chain(entries)
            .filter(|(instrument, ..)| self.instruments.currency(*instrument) == currency)
            .try_fold(
                Amount::ZERO,
                |sum, (instrument, product, side, price, quantity)| {
                    let instrument = self.instruments.get(instrument);
                    let margin = limits
                        .margin
                        .of(instrument, product, side, price, quantity)?;
                    sum.checked_add(margin)
                },
            )
    }

    pub(super) fn exposure_of(
        &self,
        strategy: StrategyIdx,
        currency: CurrencyIdx,
    ) -> Result<Amount, model::NumberError> {
        self.portfolio
            .positions()
            .iter()
            .filter(|p| {
                p.key.strategy == strategy
                    && self.instruments.currency(p.key.instrument) == currency
            })
            .try_fold(Amount::ZERO, |sum, p| {
                let (_, multiplier, last) = self.money(p.key.instrument);
                sum.checked_add(Amount::notional(last, p.quantity, multiplier)?.abs())
            })
    }

    /// Whether an intraday entry comes after its session's square-off time.
    pub(super) fn past_square_off(&self, signal: &Signal) -> bool {
        let group = self.groups[signal.decision.instrument.index()];
        if signal.decision.product != Product::Intraday || self.square_off_before(group).is_none() {
            return false;
        }
        match self.session(group) {
            SessionStatus::Open(window) if window.close != Timestamp::MAX => {
                self.now >= self.square_off_in(group, &window)
            }
            _ => false,
        }
    }

    pub(super) fn validate(
        &mut self,
        signal: &Signal,
        plan: &Plan,
        entry_refused: Option<Refusal>,
        out: &mut Vec<Event>,
    ) {
        let body = EventBody::SignalValidated(Validated {
            signal: signal.id,
            strategy: signal.strategy,
            mark: (signal.input, signal.ordinal),
            instrument: signal.decision.instrument,
            product: signal.decision.product,
            side: plan.side,
            quantity: plan.quantity,
            increase: plan.increase,
            target: plan.target,
            entry_refused,
            decision: signal.decision,
        });
        self.emit(
            self.now,
            signal.correlation,
            Cause::Signal(signal.id),
            body,
            out,
        );
    }

    /// Refuses a signal; `plan` is the order that it came to, where that is known.
    pub(super) fn refuse(
        &mut self,
        signal: &Signal,
        plan: Option<&Plan>,
        refusal: impl Into<Refusal>,
        out: &mut Vec<Event>,
    ) {
        let (target, asked) = match signal.decision.action {
            Action::Target { quantity } => (Some(quantity), None),
            Action::Enter { side, quantity } => (None, Some((side, quantity))),
            Action::Exit { .. } => (None, None),
        };
        let planned = plan.map(|plan| (plan.side, plan.quantity));
        let body = EventBody::SignalRejected(Refused {
            signal: signal.id,
            strategy: signal.strategy,
            mark: (signal.input, signal.ordinal),
            instrument: signal.decision.instrument,
            product: signal.decision.product,
            target,
            order: planned.or(asked).filter(|(_, q)| !q.is_zero()),
            refusal: refusal.into(),
        });
        self.emit(
            self.now,
            signal.correlation,
            Cause::Signal(signal.id),
            body,
            out,
        );
    }

    /// Cancels the resting orders that stand in a signal's way, and lets it wait for that.
    pub(super) fn defer(&mut self, signal: &Signal, plan: &Plan, out: &mut Vec<Event>) {
        let older = self
            .engine
            .book(&key_of(signal))
            .and_then(|b| b.deferred().copied());
        if let Some(older) = older.filter(|o| o.id != signal.id) {
            self.refuse(&older, None, Reason::SupersededTarget, out);
        }
        let cause = Cause::Signal(signal.id);
        self.emit(
            self.now,
            signal.correlation,
            cause,
            EventBody::SignalDeferred(*signal),
            out,
        );
        let mut in_the_way: Vec<_> = match signal.decision.action {
            Action::Exit { quantity: Some(_) } | Action::Enter { .. } => Vec::new(),
            Action::Exit { quantity: None } | Action::Target { .. } => {
                self.engine.resting(signal).collect()
            }
        };
        if plan.increase < plan.quantity {
            in_the_way.extend(self.engine.protective(signal));
        }
        for id in in_the_way {
            self.request_cancel(id, Reason::SupersededTarget, cause, out);
        }
    }

    pub(super) fn submit_signal(&mut self, signal: &Signal, plan: &Plan, out: &mut Vec<Event>) {
        self.submit(self.intent_of(signal, plan), Cause::Signal(signal.id), out);
    }

    /// The order that a signal comes to now.
    pub(super) fn intent_of(&self, signal: &Signal, plan: &Plan) -> OrderIntent {
        let d = &signal.decision;
        let entry = !plan.increase.is_zero();
        OrderIntent {
            id: OrderId::derive(self.hash, signal.id.0, 0),
            correlation: signal.correlation,
            signal: Some(signal.id),
            strategy: signal.strategy,
            instrument: d.instrument,
            role: if entry {
                OrderRole::Entry
            } else {
                OrderRole::Exit
            },
            side: plan.side,
            quantity: plan.quantity,
            increase: plan.increase,
            order_type: d.order_type,
            limit_price: d.limit_price,
            trigger_price: d.trigger_price,
            validity: d.validity,
            product: d.product,
            bracket: if entry { d.bracket } else { Bracket::default() },
            oco: None,
            parent: None,
            submitted: self.now,
            send_by: self.now.plus(self.send_within),
        }
    }

    pub(super) fn submit(&mut self, intent: OrderIntent, cause: Cause, out: &mut Vec<Event>) {
        let body = EventBody::OrderSubmitted(intent);
        self.emit(self.now, intent.correlation, cause, body, out);
    }
}
