//! What market data and the passing of time lead to: executions, halts, snapshots.

use super::*;

impl BrokerPipeline {
    #[inline]
    pub(super) fn after_market(&mut self, instrument: InstrumentIdx, out: &mut Vec<Event>) {
        let before = out.len();
        self.drain_trader(out);
        // Equity moves with the marks of what is held, and with executions.
        if !self.portfolio.net(instrument).is_zero()
            || out.len() > before
            || self.portfolio.marks_strategies()
        {
            self.check_losses(Some(self.instruments.currency(instrument)), out);
        }
    }

    #[inline]
    pub(super) fn drain_trader(&mut self, out: &mut Vec<Event>) {
        let mut reports = 0;
        let mut previous = None;
        while let Some(report) = self.trader.as_ref().and_then(|t| t.next_report(self.now)) {
            // One that says the same again, or that has no end, has lost its way: the namespace
            // stops rather than the process.
            if previous == Some(report) || reports > REPORTS_PER_INPUT_MAX {
                self.stop_trader(&report, out);
                break;
            }
            self.book_report(&self.of_its_day(report), out);
            previous = Some(report);
            reports += 1;
        }
    }

    /// An execution within a bar that closes as its trading day ends is of that day.
    fn of_its_day(&self, report: TraderReport) -> TraderReport {
        match report.kind {
            ReportKind::Filled { .. } if report.ts == self.now && self.bar_ends_day => {
                TraderReport {
                    ts: report.ts.plus(-1),
                    ..report
                }
            }
            _ => report,
        }
    }

    #[cold]
    pub(super) fn stop_trader(&mut self, report: &TraderReport, out: &mut Vec<Event>) {
        self.alert(Reason::IllegalReport, Some(report.order), None, out);
        let body = EventBody::TraderDetached {
            reason: Reason::IllegalReport,
        };
        let correlation = self.own_correlation(u32::MAX - 3);
        self.emit(self.now, correlation, Cause::Input(self.input), body, out);
        self.change_state(TradingState::Halted, Reason::IllegalReport, true, out);
    }

    /// After something has happened: what the trader says to it, and whether a limit is reached.
    pub(super) fn settle(&mut self, out: &mut Vec<Event>) {
        loop {
            let before = out.len();
            self.drain_trader(out);
            self.check_losses(None, out);
            if out.len() == before {
                break;
            }
        }
    }

    #[inline]
    pub(super) fn check_losses(&mut self, moved: Option<CurrencyIdx>, out: &mut Vec<Event>) {
        if self.has_overflowed() {
            self.change_state(TradingState::Halted, Reason::Overflow, true, out);
        } else {
            // Where one limit halts and another one squares off, both may be reached at once.
            while let Some(reached) = self.risk.limit_due(&self.portfolio, moved) {
                self.limit_reached(None, &reached, out);
                if reached.squares_off {
                    break;
                }
            }
        }
        if self.portfolio.marks_strategies() {
            self.check_strategy_losses(out);
        }
    }

    pub(super) fn check_strategy_losses(&mut self, out: &mut Vec<Event>) {
        for index in 0..self.portfolio.positions().len() {
            let strategy = self.portfolio.positions()[index].key.strategy;
            while let Some(reached) = self.risk.strategy_limit_due(strategy, &self.portfolio) {
                self.limit_reached(Some(strategy), &reached, out);
                if reached.squares_off {
                    break;
                }
            }
        }
    }

    /// Whether an amount did not fit anywhere.
    #[inline]
    pub(super) fn has_overflowed(&self) -> bool {
        self.engine.overflowed() || self.portfolio.overflowed()
    }

    /// What a reached loss limit asks for: the namespace halts, or the strategy is disabled, and where
    /// the settings say so, positions are squared off.
    #[cold]
    fn limit_reached(
        &mut self,
        strategy: Option<StrategyIdx>,
        reached: &Reached,
        out: &mut Vec<Event>,
    ) {
        let reason = reached.reason;
        let cause = Cause::Input(self.input);
        let correlation = self.own_correlation(strategy.map_or(u32::MAX - 2, |s| s.0));
        let body = EventBody::LimitReached {
            strategy,
            reason,
            breach: reached.breach,
            squares_off: reached.squares_off,
        };
        self.emit(self.now, correlation, cause, body, out);
        match strategy {
            None => self.change_state(TradingState::Halted, reason, true, out),
            Some(strategy) if self.risk.is_enabled(strategy) => {
                self.disable_strategy(strategy, reason, correlation, cause, out);
            }
            Some(_) => {}
        }
        if reached.squares_off {
            self.square_off_where(correlation, reason, cause, out, |key| {
                strategy.is_none_or(|strategy| strategy == key.strategy)
            });
        }
    }

    pub(super) fn after_clock(&mut self, due: Timestamp, out: &mut Vec<Event>) {
        let cause = Cause::Timer(due);
        // First: what follows may belong to the next day.
        let is_charged = self.settle_contracts(due, out);
        self.close_day(due, is_charged, out);
        let day_began = self.day.is_some_and(|day| day.start == due);
        if day_began
            && self.auto_resume == AutoResume::NextDay
            && self.risk.state() == TradingState::Halted
            && self.risk.breached(&self.portfolio).is_none()
            && let Some(reason @ (Reason::DailyLoss | Reason::Drawdown)) = self.risk.automatic()
        {
            self.change_state(TradingState::Active, reason, true, out);
        }
        self.drain_trader(out);
        self.protect_at_open(due, out);
        self.release_held(due, out);
        self.announce_square_off(due, out);
        self.avoid_delivery(due, out);
        self.square_off_due_positions(due, out);
        if due.nanos().rem_euclid(self.snapshot_interval) == 0 {
            let changed: Vec<_> = self.portfolio.changed().collect();
            for currency in changed {
                self.emit_snapshot(currency, self.own_correlation(u32::MAX), cause, out);
            }
        }
        self.check_losses(None, out);
    }

    /// Legs stand for the day: where a session opens now, those of held positions are placed anew.
    pub(super) fn protect_at_open(&mut self, due: Timestamp, out: &mut Vec<Event>) {
        let opens_now = |group: SessionGroup| match self.sessions.status(group, due) {
            SessionStatus::Open(window) => window.open == due,
            SessionStatus::Closed { .. } => false,
        };
        let mut keys: Vec<_> = self
            .engine
            .keys()
            .iter()
            .copied()
            .filter(|key| self.engine.book(key).is_some_and(|b| !b.pairs().is_empty()))
            .filter(|key| opens_now(self.groups[key.instrument.index()]))
            .collect();
        keys.sort_unstable();
        for key in keys {
            self.protect(&key, Cause::Timer(due), out);
        }
        self.drain_trader(out);
    }

    pub(super) fn emit_snapshot(
        &mut self,
        currency: CurrencyIdx,
        correlation: CorrelationId,
        cause: Cause,
        out: &mut Vec<Event>,
    ) {
        if let Ok(snapshot) = self.portfolio.snapshot(currency) {
            // A point of a curve bears the time at which the equity was so, not that of the look at it.
            let at = self.portfolio.account(currency).at().min(self.now);
            self.emit(
                if at > Timestamp::MIN { at } else { self.now },
                correlation,
                cause,
                EventBody::Snapshot(snapshot),
                out,
            );
        }
    }
}
