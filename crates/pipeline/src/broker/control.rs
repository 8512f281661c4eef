//! Trading states, operators' commands and alerts.

use model::control::Breach;

use super::*;
use crate::engine::trade_by_hand;

/// A change of the trading state, as it is asked for.
pub(super) struct StateChange {
    to: TradingState,
    reason: Reason,
    automatic: bool,
    resets_losses: bool,
}

const fn refusal_of(reached: Reached) -> (Reason, Option<Breach>) {
    (reached.reason, Some(reached.breach))
}

impl BrokerPipeline {
    pub(super) fn alert(
        &mut self,
        reason: Reason,
        order: Option<OrderId>,
        strategy: Option<StrategyIdx>,
        out: &mut Vec<Event>,
    ) {
        let correlation = order
            .and_then(|o| self.correlation_of(o))
            .unwrap_or_else(|| self.own_correlation(u32::MAX - 1));
        let body = EventBody::Alert {
            reason,
            order,
            strategy,
        };
        self.emit(self.now, correlation, Cause::Input(self.input), body, out);
    }

    pub(super) fn change_state(
        &mut self,
        to: TradingState,
        reason: Reason,
        automatic: bool,
        out: &mut Vec<Event>,
    ) {
        let correlation = self.own_correlation(u32::MAX - 2);
        let change = StateChange {
            to,
            reason,
            automatic,
            resets_losses: false,
        };
        self.set_state(change, correlation, Cause::Input(self.input), out);
    }

    /// An operator asks for a state. Where a loss limit is reached, trading would stop again at once:
    /// the operator is told so instead, unless losses are to be counted from now on.
    fn ask_state(
        &mut self,
        to: TradingState,
        resets_losses: bool,
        correlation: CorrelationId,
        cause: Cause,
        out: &mut Vec<Event>,
    ) {
        let refusal = match to {
            TradingState::Halted => None,
            _ if self.has_overflowed() => Some((Reason::Overflow, None)),
            _ if resets_losses => None,
            _ => self.risk.breached(&self.portfolio).map(refusal_of),
        };
        if let Some((reason, breach)) = refusal {
            let body = EventBody::ResumeRefused {
                strategy: None,
                reason,
                breach,
            };
            return self.emit(self.now, correlation, cause, body, out);
        }
        let change = StateChange {
            to,
            reason: Reason::OperatorRequest,
            automatic: false,
            resets_losses,
        };
        self.set_state(change, correlation, cause, out);
    }

    fn enable_strategy(
        &mut self,
        strategy: StrategyIdx,
        resets_losses: bool,
        correlation: CorrelationId,
        cause: Cause,
        out: &mut Vec<Event>,
    ) {
        let reached = self.risk.strategy_breached(strategy, &self.portfolio);
        let body = match reached.filter(|_| !resets_losses).map(refusal_of) {
            Some((reason, breach)) => EventBody::ResumeRefused {
                strategy: Some(strategy),
                reason,
                breach,
            },
            None => EventBody::StrategySwitched {
                strategy,
                enabled: true,
                reason: Reason::OperatorRequest,
                resets_losses,
            },
        };
        self.emit(self.now, correlation, cause, body, out);
    }

    /// A strategy that is disabled is not called, and none of its entries works on; what closes its positions
    /// does.
    pub(super) fn disable_strategy(
        &mut self,
        strategy: StrategyIdx,
        reason: Reason,
        correlation: CorrelationId,
        cause: Cause,
        out: &mut Vec<Event>,
    ) {
        let body = EventBody::StrategySwitched {
            strategy,
            enabled: false,
            reason,
            resets_losses: false,
        };
        self.emit(self.now, correlation, cause, body, out);
        self.cancel_where(reason, cause, out, |i| {
            i.strategy == strategy && i.role == OrderRole::Entry
        });
    }

    pub(super) fn set_state(
        &mut self,
        change: StateChange,
        correlation: CorrelationId,
        cause: Cause,
        out: &mut Vec<Event>,
    ) {
        let StateChange {
            to,
            reason,
            automatic,
            resets_losses,
        } = change;
        let from = self.risk.state();
        // An operator takes an automatic halt over: it then ends by an operator alone.
        let takes_over = !automatic && self.risk.automatic().is_some();
        if from == to && !resets_losses && !takes_over {
            return;
        }
        let body = EventBody::StateChanged {
            from,
            to,
            reason,
            automatic,
            resets_losses,
        };
        self.emit(self.now, correlation, cause, body, out);
        match to {
            _ if from == to => {}
            TradingState::Halted => {
                self.cancel_where(Reason::Halted, cause, out, |i| i.role == OrderRole::Entry);
            }
            TradingState::Active if self.on_resume == OnResume::Follow => self.follow_targets(out),
            _ => {}
        }
        self.drain_trader(out);
    }

    /// Resolves every strategy's latest target anew.
    pub(super) fn follow_targets(&mut self, out: &mut Vec<Event>) {
        let mut keys = self.engine.keys().to_vec();
        keys.sort_unstable();
        for key in keys {
            let Some(book) = self.engine.book(&key) else {
                continue;
            };
            let Some(signal) = book.last_target().copied() else {
                continue;
            };
            let Action::Target { quantity } = signal.decision.action else {
                continue;
            };
            if book.deferred().is_some()
                || book.is_closing()
                || self.engine.held().of(key).next().is_some()
            {
                continue;
            }
            let held = self.portfolio.quantity(&key).checked_add(book.pending());
            if held != Ok(quantity) {
                // The same wish at a new time: a signal of its own in the old one's chain.
                let again = Signal {
                    id: SignalId(signal.id.0 ^ (self.now.nanos() as u128).rotate_left(64)),
                    ts: self.now,
                    ..signal
                };
                self.resolve_signal(&again, out);
            }
        }
    }

    pub(super) fn take_command(&mut self, command: &Command, out: &mut Vec<Event>) {
        let correlation = CorrelationId::of_command(command.id);
        let cause = Cause::Command(command.id);
        let reason = Reason::OperatorRequest;
        match command.action {
            CommandAction::SetState(to) => self.ask_state(to, false, correlation, cause, out),
            CommandAction::ResumeAnew => {
                self.ask_state(TradingState::Active, true, correlation, cause, out);
            }
            CommandAction::EnableStrategy(strategy) => {
                self.enable_strategy(strategy, false, correlation, cause, out);
            }
            CommandAction::EnableStrategyAnew(strategy) => {
                self.enable_strategy(strategy, true, correlation, cause, out);
            }
            CommandAction::DisableStrategy(strategy, reason) => {
                self.disable_strategy(strategy, reason, correlation, cause, out);
            }
            CommandAction::CancelOrder(id) => {
                if self.engine.working(id).is_some() {
                    self.request_cancel(id, reason, cause, out);
                } else {
                    self.alert(Reason::UnknownOrder, Some(id), None, out);
                }
            }
            CommandAction::CancelAll => self.cancel_where(reason, cause, out, |_| true),
            CommandAction::CancelEntries => {
                self.cancel_where(reason, cause, out, |i| i.role == OrderRole::Entry);
            }
            CommandAction::BlockEntries(reason) => {
                self.block_entries(reason, true, correlation, cause, out);
            }
            CommandAction::AllowEntries(reason) => {
                self.block_entries(reason, false, correlation, cause, out);
            }
            CommandAction::SquareOffPosition(instrument, strategy) => {
                self.square_off_where(correlation, reason, cause, out, |k| {
                    k.instrument == instrument && strategy.is_none_or(|s| s == k.strategy)
                });
            }
            CommandAction::SquareOff(instrument) => {
                self.square_off_where(correlation, reason, cause, out, |k| {
                    k.instrument == instrument
                });
            }
            CommandAction::SquareOffAll => {
                self.square_off_where(correlation, reason, cause, out, |_| true);
            }
            CommandAction::ResolveOrder(id, _) if self.engine.order(id).is_none() => {
                self.alert(Reason::UnknownOrder, Some(id), None, out);
            }
            CommandAction::ResolveOrder(id, _) if !self.engine.is_in_doubt(id) => {
                let strategy = self.engine.order(id).map(|o| o.intent().strategy);
                self.alert(Reason::OrderNotUnknown, Some(id), strategy, out);
            }
            CommandAction::ResolveOrder(id, resolution) => {
                let kind = match resolution {
                    Resolution::NeverReached => ReportKind::NotSent(reason),
                    Resolution::Cancelled => ReportKind::Cancelled(reason),
                    Resolution::Filled { quantity, price } => {
                        let ordinal = self.engine.order(id).map_or(0, |o| o.executions());
                        ReportKind::Filled {
                            trade: trade_by_hand(id, ordinal),
                            side: self.engine.order(id).map_or(Side::Buy, |o| o.intent().side),
                            quantity,
                            price,
                            draws: 0,
                        }
                    }
                };
                let report = TraderReport::new(id, self.now, kind);
                let before = out.len();
                self.book_report(&report, out);
                // An operator's word ends what is in doubt of the order.
                self.drop_parked(id, reason, out);
                self.allow_when_clear(id, out);
                if out.len() == before {
                    // A report that says nothing new is dropped; a command is answered.
                    self.alert(Reason::IllegalReport, Some(id), None, out);
                }
            }
        }
        self.drain_trader(out);
    }

    pub(super) fn block_entries(
        &mut self,
        reason: Reason,
        blocked: bool,
        correlation: CorrelationId,
        cause: Cause,
        out: &mut Vec<Event>,
    ) {
        // What holds already is no news.
        if self.risk.blocks().contains(&reason) != blocked {
            let body = EventBody::EntriesBlocked { reason, blocked };
            self.emit(self.now, correlation, cause, body, out);
        }
    }

    pub(super) fn square_off_where(
        &mut self,
        correlation: CorrelationId,
        reason: Reason,
        cause: Cause,
        out: &mut Vec<Event>,
        wanted: impl Fn(&PositionKey) -> bool,
    ) {
        let mut keys: Vec<_> = self.engine.keys().iter().copied().filter(wanted).collect();
        keys.sort_unstable();
        for key in keys {
            self.begin_square_off(&key, Some(correlation), reason, cause, out);
        }
    }
}
