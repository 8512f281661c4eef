//! The pipeline of one broker's namespace: per-broker strategies, risk, engine, portfolio and, where
//! the trader is pure, the trader. Single writer: it alone owns the namespace's counters, orders and
//! positions.

use std::sync::Arc;

use model::charges::{ChargeInput, Charges};
use model::control::{Command, CommandAction, Resolution, TradingState};
use model::event::{Cause, Event, EventBody, OrderStep, Refused, Validated};
use model::ids::{NameHash, SourceSession};
use model::market::MarketData;
use model::money::Multiplier;
use model::order::{
    Execution, OrderChange, OrderError, OrderIntent, OrderRole, OrderStatus,
};
use model::reason::Reason;
use model::session::{SessionGroup, SessionStatus, Sessions, TradingDay};
use model::signal::{Action, Bracket, Decision, OrderType, Product, Signal, Validity};
use model::topic::Namespace;
use model::trader::{Capabilities, InPipelineTrader, ReportKind, TraderReport};
use model::{
    Amount, CorrelationId, CurrencyIdx, InputId, InstrumentIdx, Instruments, OrderId, Price,
    Quantity, SignalId, StrategyIdx, Timestamp,
};
use strategies::OwnFill;

use crate::engine::protect::Protection;
use crate::engine::{Engine, Plan, key_of};
use crate::portfolio::{Portfolio, PositionKey};
use crate::risk::rules::Totals;
use crate::risk::{AutoResume, Judgement, Limits, Proposal, Risk};
use crate::strategy_host::{Made, StrategyHost, StrategySetup};

/// One report may lead to at most this many further reports within the same input; a trader that
/// exceeds it makes no progress, and the namespace halts.
pub const REPORTS_PER_INPUT_MAX: u32 = 1_000_000;

/// What happens to targets that could not be followed, when trading resumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnResume {
    /// The difference stays until the strategy's next target.
    #[default]
    Hold,
    /// The latest targets are followed at once.
    Follow,
}

/// The settings of one namespace.
pub struct BrokerSettings {
    /// Its name.
    pub namespace: Namespace,
    /// Cash at the start, by currency index.
    pub starting_cash: Vec<Amount>,
    /// The namespace's limits.
    pub limits: Limits,
    /// Own limits of the strategies, by strategy index (0: `manual`).
    pub strategy_limits: Vec<Option<Limits>>,
    /// How an automatic halt ends.
    pub auto_resume: AutoResume,
    /// What happens to missed targets at a resume.
    pub on_resume: OnResume,
    /// Intraday positions are closed this long before their session's close, in nanoseconds.
    pub square_off_before_close: Option<i64>,
    /// Snapshots are taken at multiples of this interval, in nanoseconds.
    pub snapshot_interval: i64,
    /// How long after the decision the call to the broker may still be started, in nanoseconds.
    pub send_within: i64,
    /// What trading costs.
    pub charges: Arc<dyn Charges>,
}

/// What reaches a namespace.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Market data.
    Market(InputId, &'a MarketData<'a>),
    /// Time has come to the namespace's next timer, or further.
    Clock(InputId, Timestamp),
    /// A shared strategy's signal.
    Signal(&'a Signal),
    /// A report of an outside trader.
    Report(&'a TraderReport),
    /// A command, at its time.
    Command(Timestamp, &'a Command),
}

/// What a namespace has counted and not turned into events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PipelineStats {
    /// Signals that had been taken already, dropped.
    pub repeated_signals: u64,
    /// Reports that said what was known already, dropped.
    pub repeated_reports: u64,
}

#[derive(Clone, Copy)]
struct GroupClock {
    group: SessionGroup,
    due: Timestamp,
}

/// The pipeline of one namespace.
pub struct BrokerPipeline {
    namespace: Namespace,
    hash: NameHash,
    instruments: Arc<Instruments>,
    sessions: Arc<dyn Sessions>,
    charges: Arc<dyn Charges>,
    capabilities: Capabilities,
    auto_resume: AutoResume,
    on_resume: OnResume,
    square_off_before_close: Option<i64>,
    snapshot_interval: i64,
    send_within: i64,
    groups: Vec<SessionGroup>,
    supported: Vec<bool>,

    strategies: StrategyHost,
    risk: Risk,
    engine: Engine,
    portfolio: Portfolio,
    trader: Option<Box<dyn InPipelineTrader>>,

    now: Timestamp,
    input: InputId,
    day: Option<TradingDay>,
    next_snapshot: Timestamp,
    square_offs: Vec<GroupClock>,
    /// When each group's next session opens: legs that ended with the last one are placed again.
    opens: Vec<GroupClock>,
    stats: PipelineStats,
    /// The earliest of all timers; brought up to date by whatever can move one.
    due: Timestamp,
}

impl BrokerPipeline {
    /// Composes the stages. `trader` is given where orders are executed inside the pipeline; else
    /// the host sends what `order_submitted` and the requests among the events say.
    pub fn new(
        instruments: Arc<Instruments>,
        sessions: Arc<dyn Sessions>,
        source: SourceSession,
        settings: BrokerSettings,
        capabilities: Capabilities,
        strategies: Vec<StrategySetup>,
        trader: Option<Box<dyn InPipelineTrader>>,
    ) -> Self {
        let count = settings.strategy_limits.len();
        let marks = settings.strategy_limits.iter().flatten().any(|l| l.watches_losses);
        let groups: Vec<_> = instruments.iter().map(|(_, i)| sessions.group(i)).collect();
        let supported = instruments
            .iter()
            .map(|(_, i)| capabilities.asset_classes.contains(&i.asset_class))
            .collect();
        let mut used = groups.clone();
        used.sort_unstable();
        used.dedup();
        let opens: Vec<_> =
            used.into_iter().map(|group| GroupClock { group, due: Timestamp::MIN }).collect();
        let square_offs = match settings.square_off_before_close {
            None => Vec::new(),
            Some(_) => opens.clone(),
        };
        Self {
            hash: NameHash::of(settings.namespace.as_str()),
            namespace: settings.namespace,
            charges: settings.charges,
            capabilities,
            auto_resume: settings.auto_resume,
            on_resume: settings.on_resume,
            square_off_before_close: settings.square_off_before_close,
            snapshot_interval: settings.snapshot_interval.max(1),
            send_within: settings.send_within,
            groups,
            supported,
            strategies: StrategyHost::new(
                Arc::clone(&instruments),
                Arc::clone(&sessions),
                source,
                strategies,
                true,
            ),
            risk: Risk::new(settings.limits, settings.strategy_limits),
            engine: Engine::new(count, instruments.currencies().len()),
            portfolio: Portfolio::new(
                Arc::clone(&instruments),
                &settings.starting_cash,
                if marks { count } else { 0 },
            ),
            trader,
            now: Timestamp::MIN,
            input: InputId(0),
            day: None,
            next_snapshot: Timestamp::MAX,
            square_offs,
            opens,
            stats: PipelineStats::default(),
            due: Timestamp::MIN,
            instruments,
            sessions,
        }
    }

    /// The namespace's name.
    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
    }
    /// Positions and money.
    pub const fn portfolio(&self) -> &Portfolio {
        &self.portfolio
    }
    /// Orders.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }
    /// Limits, counters and state.
    pub const fn risk(&self) -> &Risk {
        &self.risk
    }
    /// When the next snapshot is taken; [`Timestamp::MAX`] while there is nothing to be marked.
    pub const fn next_snapshot(&self) -> Timestamp {
        self.next_snapshot
    }
    /// The latest market or clock input.
    pub const fn latest_input(&self) -> InputId {
        self.input
    }
    /// What has been counted.
    pub const fn stats(&self) -> &PipelineStats {
        &self.stats
    }
    /// The time of the latest input.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// When it next has something to do without new data. A host fires [`Input::Clock`] then, before
    /// any input of that time or later.
    #[inline]
    pub const fn next_due(&self) -> Timestamp {
        self.due
    }

    fn earliest_due(&self) -> Timestamp {
        let mut due = self.strategies.next_due().min(self.next_snapshot);
        if let Some(day) = &self.day {
            due = due.min(day.end);
        }
        for clock in self.square_offs.iter().chain(&self.opens) {
            due = due.min(clock.due);
        }
        if let Some(trader) = &self.trader {
            due = due.min(trader.next_due());
        }
        due
    }

    // ----- the contract: observe, apply, step ---------------------------------------------------

    /// Takes an input without emitting.
    #[inline]
    pub fn observe(&mut self, input: &Input<'_>) {
        match input {
            Input::Market(id, data) => {
                self.input = *id;
                self.observe_time(data.ts());
                self.portfolio.observe_price(data.instrument(), data.price(), self.now);
                if let Some(trader) = &mut self.trader {
                    trader.observe_market(data, self.now);
                }
                if !self.strategies.is_empty() {
                    self.strategies.market(*id, data);
                    self.due = self.due.min(self.strategies.next_due());
                }
            }
            Input::Clock(id, due) => self.observe_clock(*id, *due),
            Input::Signal(signal) => self.observe_time(signal.ts),
            Input::Report(report) => self.observe_time(report.ts),
            Input::Command(ts, _) => self.observe_time(*ts),
        }
    }

    #[inline]
    fn observe_time(&mut self, ts: Timestamp) {
        if ts > self.now {
            self.now = ts;
        }
        if self.day.is_none() {
            self.begin(self.now);
            self.due = self.earliest_due();
        }
    }

    #[cold]
    fn begin(&mut self, ts: Timestamp) {
        self.enter_day(self.sessions.trading_day(ts));
        for i in 0..self.square_offs.len() {
            self.square_offs[i].due = self.square_off_due(self.square_offs[i].group, ts);
        }
        for i in 0..self.opens.len() {
            self.opens[i].due = self.next_open(self.opens[i].group, ts);
        }
    }

    /// The first open of a group's market after `ts`.
    fn next_open(&self, group: SessionGroup, ts: Timestamp) -> Timestamp {
        match self.sessions.status(group, ts) {
            SessionStatus::Closed { next_open } => next_open,
            SessionStatus::Open(window) if window.close == Timestamp::MAX => Timestamp::MAX,
            SessionStatus::Open(window) => match self.sessions.status(group, window.close) {
                SessionStatus::Open(next) => next.open.max(window.close),
                SessionStatus::Closed { next_open } => next_open,
            },
        }
    }

    /// The next square-off of a group after `ts`.
    fn square_off_due(&self, group: SessionGroup, ts: Timestamp) -> Timestamp {
        let before = self.square_off_before_close.unwrap_or(0);
        let mut at = ts;
        // At most: this session, whose time has passed, then the next one.
        for _ in 0..4 {
            match self.sessions.status(group, at) {
                SessionStatus::Open(window) if window.close == Timestamp::MAX => break,
                SessionStatus::Open(window) => {
                    let due = window.close.plus(-before).max(window.open);
                    if due > ts {
                        return due;
                    }
                    at = window.close;
                }
                SessionStatus::Closed { next_open: Timestamp::MAX } => break,
                SessionStatus::Closed { next_open } => at = next_open,
            }
        }
        Timestamp::MAX
    }

    fn enter_day(&mut self, day: TradingDay) {
        self.day = Some(day);
        self.portfolio.observe_day(day.date);
        self.risk.observe_day();
        self.engine.observe_day();
    }

    fn observe_clock(&mut self, id: InputId, due: Timestamp) {
        self.input = id;
        self.observe_time(due);
        if self.day.is_some_and(|day| day.end <= due) {
            self.enter_day(self.sessions.trading_day(due));
        }
        for i in 0..self.square_offs.len() {
            if self.square_offs[i].due <= due {
                self.square_offs[i].due = self.square_off_due(self.square_offs[i].group, due);
            }
        }
        for i in 0..self.opens.len() {
            if self.opens[i].due <= due {
                let next = self.next_open(self.opens[i].group, due);
                self.opens[i].due = if next > due { next } else { Timestamp::MAX };
            }
        }
        if let Some(trader) = &mut self.trader {
            trader.observe_time(due);
        }
        if self.strategies.next_due() <= due {
            self.strategies.fire(id, due);
        }
        if self.next_snapshot <= due {
            self.next_snapshot =
                if self.has_exposure() { self.snapshot_after(due) } else { Timestamp::MAX };
        }
        self.due = self.earliest_due();
    }

    fn has_exposure(&self) -> bool {
        self.portfolio.accounts().iter().any(|a| !a.gross_exposure.is_zero())
    }

    fn snapshot_after(&self, ts: Timestamp) -> Timestamp {
        let interval = self.snapshot_interval;
        Timestamp((ts.nanos().div_euclid(interval) + 1).saturating_mul(interval))
    }

    /// Takes a recorded fact.
    pub fn apply(&mut self, event: &Event) {
        self.take(event);
        self.due = self.earliest_due();
    }

    /// [`apply`](Self::apply) without a look at the timers, which a step takes once at its end.
    fn take(&mut self, event: &Event) {
        if let EventBody::OrderChanged(OrderStep { order, change: OrderChange::Filled(x), .. }) =
            &event.body
            && let Some(intent) = self.engine.order(*order).map(|o| *o.intent())
        {
            self.portfolio.apply_fill(&intent, x, event.ts);
            if self.next_snapshot == Timestamp::MAX {
                self.next_snapshot = self.snapshot_after(self.now);
            }
            let position = self.portfolio.quantity(&PositionKey::of(&intent));
            self.strategies.fill(
                intent.strategy,
                intent.instrument,
                &OwnFill {
                    side: intent.side,
                    quantity: x.quantity,
                    price: x.price,
                    product: intent.product,
                    position,
                },
            );
        }
        let money = match &event.body {
            EventBody::OrderSubmitted(intent) => self.money(intent.instrument),
            _ => (CurrencyIdx(0), Multiplier::ONE, Price::ZERO),
        };
        self.engine.apply(event, money);
        self.risk.apply(event);
        self.portfolio.apply(event);
        if let Some(trader) = &mut self.trader {
            trader.apply(event);
        }
        match &event.body {
            EventBody::StrategySwitched { strategy, enabled, .. } => {
                self.strategies.switch(*strategy, *enabled);
            }
            EventBody::TraderDetached { .. } => self.trader = None,
            _ => {}
        }
    }

    /// Drops what per-broker strategies decided while inputs were only observed: recovery takes the
    /// recorded decisions instead.
    pub fn discard_decisions(&mut self) {
        self.strategies.clear_made();
    }

    /// Takes an input and appends everything that follows from it to `out`.
    #[inline]
    pub fn step(&mut self, input: &Input<'_>, out: &mut Vec<Event>) {
        let before = out.len();
        self.observe(input);
        match input {
            Input::Market(_, data) => self.after_market(data.instrument(), out),
            Input::Clock(_, due) => self.after_clock(*due, out),
            Input::Signal(signal) => self.take_signal(signal, out),
            Input::Report(report) => self.take_report(report, out),
            Input::Command(_, command) => self.take_command(command, out),
        }
        if !self.strategies.is_empty() {
            self.run_own_strategies(out);
        }
        if out.len() > before {
            self.due = self.earliest_due();
        }
    }

    fn emit(
        &mut self,
        ts: Timestamp,
        correlation: CorrelationId,
        cause: Cause,
        body: EventBody,
        out: &mut Vec<Event>,
    ) {
        // Pushed first: the fact is written once, where it stays.
        out.push(Event { ts, correlation, cause, body });
        if let Some(event) = out.last() {
            self.take(event);
        }
    }

    fn money(&self, instrument: InstrumentIdx) -> (CurrencyIdx, Multiplier, Price) {
        (
            self.instruments.currency(instrument),
            self.instruments.get(instrument).multiplier,
            self.portfolio.last(instrument).price,
        )
    }

    /// A chain of its own for what the namespace does by itself, now.
    fn own_correlation(&self, ordinal: u32) -> CorrelationId {
        CorrelationId::of_schedule(self.hash, self.now.nanos(), ordinal)
    }

    // ----- market and time ----------------------------------------------------------------------

    #[inline]
    fn after_market(&mut self, instrument: InstrumentIdx, out: &mut Vec<Event>) {
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
    fn drain_trader(&mut self, out: &mut Vec<Event>) {
        let mut reports = 0;
        let mut previous = None;
        while let Some(report) = self.trader.as_ref().and_then(|t| t.next_report(self.now)) {
            // One that says the same again, or that has no end, has lost its way: the namespace
            // stops rather than the process.
            if previous == Some(report) || reports > REPORTS_PER_INPUT_MAX {
                self.stop_trader(&report, out);
                break;
            }
            self.take_report(&report, out);
            previous = Some(report);
            reports += 1;
        }
    }

    #[cold]
    fn stop_trader(&mut self, report: &TraderReport, out: &mut Vec<Event>) {
        self.alert(Reason::IllegalReport, Some(report.order), None, out);
        let body = EventBody::TraderDetached { reason: Reason::IllegalReport };
        let correlation = self.own_correlation(u32::MAX - 3);
        self.emit(self.now, correlation, Cause::Input(self.input), body, out);
        self.change_state(TradingState::Halted, Reason::IllegalReport, true, out);
    }

    #[inline]
    fn check_losses(&mut self, moved: Option<CurrencyIdx>, out: &mut Vec<Event>) {
        let halt = if self.engine.overflowed() && self.risk.state() != TradingState::Halted {
            Some(Reason::Overflow)
        } else {
            self.risk.halt_due(&self.portfolio, moved)
        };
        if let Some(reason) = halt {
            self.change_state(TradingState::Halted, reason, true, out);
        }
        if self.portfolio.marks_strategies() {
            self.check_strategy_losses(out);
        }
    }

    fn check_strategy_losses(&mut self, out: &mut Vec<Event>) {
        for index in 0..self.portfolio.positions().len() {
            let strategy = self.portfolio.positions()[index].key.strategy;
            if let Some(reason) = self.risk.disable_due(strategy, &self.portfolio) {
                let body = EventBody::StrategySwitched { strategy, enabled: false, reason };
                let correlation = self.own_correlation(strategy.0);
                self.emit(self.now, correlation, Cause::Input(self.input), body, out);
                self.cancel_where(reason, Cause::Input(self.input), out, |i| {
                    i.strategy == strategy && i.role == OrderRole::Entry
                });
            }
        }
    }

    fn after_clock(&mut self, due: Timestamp, out: &mut Vec<Event>) {
        let cause = Cause::Timer(due);
        let day_began = self.day.is_some_and(|day| day.start == due);
        if day_began
            && self.auto_resume == AutoResume::NextDay
            && self.risk.is_automatic()
            && self.risk.state() == TradingState::Halted
        {
            self.change_state(TradingState::Active, Reason::DailyLoss, true, out);
        }
        self.drain_trader(out);
        self.protect_at_open(due, out);
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
    fn protect_at_open(&mut self, due: Timestamp, out: &mut Vec<Event>) {
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

    fn emit_snapshot(
        &mut self,
        currency: CurrencyIdx,
        correlation: CorrelationId,
        cause: Cause,
        out: &mut Vec<Event>,
    ) {
        if let Ok(snapshot) = self.portfolio.snapshot(currency) {
            self.emit(self.now, correlation, cause, EventBody::Snapshot(snapshot), out);
        }
    }

    // ----- signals ------------------------------------------------------------------------------

    fn run_own_strategies(&mut self, out: &mut Vec<Event>) {
        let mut at = 0;
        while let Some(made) = self.strategies.made().get(at).copied() {
            at += 1;
            match made {
                Made::Signal(signal, _) => self.take_signal(&signal, out),
                Made::Failed(strategy, reason, _) => {
                    let body = EventBody::StrategySwitched { strategy, enabled: false, reason };
                    let correlation = self.own_correlation(strategy.0);
                    self.emit(self.now, correlation, Cause::Input(self.input), body, out);
                    self.cancel_where(reason, Cause::Input(self.input), out, |i| {
                        i.strategy == strategy && i.role == OrderRole::Entry
                    });
                }
            }
        }
        if at > 0 {
            self.strategies.clear_made();
        }
    }

    fn take_signal(&mut self, signal: &Signal, out: &mut Vec<Event>) {
        if self.risk.is_repeat(signal.strategy, (signal.input, signal.ordinal)) {
            self.stats.repeated_signals += 1;
            return;
        }
        let cause = Cause::Input(signal.input);
        self.emit(self.now, signal.correlation, cause, EventBody::SignalRaw(*signal), out);
        self.resolve_signal(signal, out);
        self.drain_trader(out);
    }

    /// Plans, judges and acts; also for a signal that had waited.
    fn resolve_signal(&mut self, signal: &Signal, out: &mut Vec<Event>) {
        let key = key_of(signal);
        let position = self.portfolio.quantity(&key);
        let plan = match self.engine.plan(signal, position) {
            Ok(plan) => plan,
            Err(_) => return self.refuse(signal, Reason::Overflow, out),
        };
        if plan.quantity.is_zero() {
            // Nothing to send: at most something to cancel.
            return if plan.blocked {
                self.defer(signal, &plan, out);
            } else {
                self.validate(signal, &plan, None, out);
            };
        }
        // Judged before anything is cancelled for it, and again when that is done.
        let (part, refused) = match self.judge(signal, &plan) {
            Ok(Judgement::Pass) => (plan, None),
            Ok(Judgement::ReduceOnly(reason)) => {
                let reduce = Quantity::from_raw(plan.quantity.raw() - plan.increase.raw());
                (Plan { quantity: reduce, increase: Quantity::ZERO, ..plan }, Some(reason))
            }
            Ok(Judgement::Refuse(reason)) | Err(reason) => {
                return self.refuse(signal, reason, out);
            }
        };
        if plan.blocked {
            return self.defer(signal, &plan, out);
        }
        self.validate(signal, &part, refused, out);
        self.submit_signal(signal, &part, out);
    }

    fn judge(&self, signal: &Signal, plan: &Plan) -> Result<Judgement, Reason> {
        let index = signal.decision.instrument;
        let currency = self.instruments.currency(index);
        let key = key_of(signal);
        let book = self.engine.book(&key);
        let last = self.portfolio.last(index);
        let account = self.portfolio.account(currency);
        let overflow = |_| Reason::Overflow;
        let pending = book.map_or(Quantity::ZERO, |b| b.pending());
        let squaring_off = book.is_some_and(|b| b.is_closing()) || self.past_square_off(signal);
        let own = self.risk.own_limits(signal.strategy).is_some();
        let proposal = Proposal {
            signal,
            instrument: self.instruments.get(index),
            currency,
            now: self.now,
            session: self.sessions.status(self.groups[index.index()], self.now),
            supported: self.supported[index.index()],
            squaring_off,
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
            },
            strategy: if own {
                Totals {
                    position: self
                        .portfolio
                        .quantity(&key)
                        .checked_add(pending)
                        .map_err(overflow)?,
                    gross_exposure: self.exposure_of(signal.strategy, currency).map_err(overflow)?,
                    working: self.engine.reserved_by(signal.strategy, currency),
                    open_orders: self.engine.open_orders_of(signal.strategy),
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
    fn pending_of(&self, instrument: InstrumentIdx, product: Option<Product>) -> Quantity {
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

    fn exposure_of(
        &self,
        strategy: StrategyIdx,
        currency: CurrencyIdx,
    ) -> Result<Amount, model::NumberError> {
        self.portfolio
            .positions()
            .iter()
            .filter(|p| {
                p.key.strategy == strategy && self.instruments.currency(p.key.instrument) == currency
            })
            .try_fold(Amount::ZERO, |sum, p| {
                let (_, multiplier, last) = self.money(p.key.instrument);
                sum.checked_add(Amount::notional(last, p.quantity, multiplier)?.abs())
            })
    }

    /// Whether an intraday entry comes after its session's square-off time.
    fn past_square_off(&self, signal: &Signal) -> bool {
        let Some(before) = self.square_off_before_close else { return false };
        if signal.decision.product != Product::Intraday {
            return false;
        }
        let group = self.groups[signal.decision.instrument.index()];
        match self.sessions.status(group, self.now) {
            SessionStatus::Open(window) if window.close != Timestamp::MAX => {
                self.now >= window.close.plus(-before)
            }
            _ => false,
        }
    }

    fn validate(
        &mut self,
        signal: &Signal,
        plan: &Plan,
        entry_refused: Option<Reason>,
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
        self.emit(self.now, signal.correlation, Cause::Signal(signal.id), body, out);
    }

    fn refuse(&mut self, signal: &Signal, reason: Reason, out: &mut Vec<Event>) {
        let target = match signal.decision.action {
            Action::Target { quantity } => Some(quantity),
            _ => None,
        };
        let body = EventBody::SignalRejected(Refused {
            signal: signal.id,
            strategy: signal.strategy,
            mark: (signal.input, signal.ordinal),
            instrument: signal.decision.instrument,
            product: signal.decision.product,
            target,
            reason,
        });
        self.emit(self.now, signal.correlation, Cause::Signal(signal.id), body, out);
    }

    /// Cancels the resting orders that stand in a signal's way, and lets it wait for that.
    fn defer(&mut self, signal: &Signal, plan: &Plan, out: &mut Vec<Event>) {
        let older = self.engine.book(&key_of(signal)).and_then(|b| b.deferred().copied());
        if let Some(older) = older.filter(|o| o.id != signal.id) {
            self.refuse(&older, Reason::SupersededTarget, out);
        }
        let cause = Cause::Signal(signal.id);
        self.emit(self.now, signal.correlation, cause, EventBody::SignalDeferred(*signal), out);
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

    fn submit_signal(&mut self, signal: &Signal, plan: &Plan, out: &mut Vec<Event>) {
        let d = &signal.decision;
        let entry = !plan.increase.is_zero();
        let intent = OrderIntent {
            id: OrderId::derive(self.hash, signal.id.0, 0),
            correlation: signal.correlation,
            signal: Some(signal.id),
            strategy: signal.strategy,
            instrument: d.instrument,
            role: if entry { OrderRole::Entry } else { OrderRole::Exit },
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
        };
        self.submit(intent, Cause::Signal(signal.id), out);
    }

    fn submit(&mut self, intent: OrderIntent, cause: Cause, out: &mut Vec<Event>) {
        let body = EventBody::OrderSubmitted(intent);
        self.emit(self.now, intent.correlation, cause, body, out);
    }

    // ----- reports ------------------------------------------------------------------------------

    fn take_report(&mut self, report: &TraderReport, out: &mut Vec<Event>) {
        let Some(order) = self.engine.order(report.order) else {
            return self.alert(Reason::UnknownOrder, Some(report.order), None, out);
        };
        let intent = *order.intent();
        let change = match self.change_of(&intent, report) {
            Ok(change) => change,
            Err(_) => {
                self.alert(Reason::Overflow, Some(report.order), Some(intent.strategy), out);
                return self.change_state(TradingState::Halted, Reason::Overflow, true, out);
            }
        };
        let Some(order) = self.engine.order(report.order) else { return };
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
        let step = OrderStep { order: report.order, sequence, change };
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
        self.follow_up(&PositionKey::of(&intent), cause, out);
    }

    fn change_of(
        &self,
        intent: &OrderIntent,
        report: &TraderReport,
    ) -> Result<OrderChange, model::NumberError> {
        Ok(match report.kind {
            ReportKind::Acknowledged => OrderChange::Acknowledged,
            ReportKind::Triggered => OrderChange::Triggered,
            ReportKind::Filled { trade, quantity, price, draws } => {
                self.portfolio.check_fill(intent, quantity, price)?;
                let charges = self.charges_of(intent, quantity, price)?;
                OrderChange::Filled(Execution { trade, quantity, price, charges, draws })
            }
            ReportKind::Modified { quantity, limit_price, trigger_price } => {
                OrderChange::Modified { quantity, limit_price, trigger_price }
            }
            ReportKind::Cancelled(reason) => OrderChange::Cancelled(reason),
            ReportKind::CancelRefused => OrderChange::CancelRefused,
            ReportKind::Rejected(reason) => OrderChange::Rejected(reason),
            ReportKind::Expired(reason) => OrderChange::Expired(reason),
            ReportKind::NotSent(reason) => OrderChange::Failed(reason),
            ReportKind::Unknown => OrderChange::Unknown,
        })
    }

    fn charges_of(
        &self,
        intent: &OrderIntent,
        quantity: Quantity,
        price: Price,
    ) -> Result<Amount, model::NumberError> {
        let instrument = self.instruments.get(intent.instrument);
        let (before, charged) = self.engine.order(intent.id).map_or((0, Amount::ZERO), |o| {
            (o.executed_value(), o.charges())
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
            charges_before: charged,
            date: self.day.map(|d| d.date).unwrap_or_default(),
        })
    }

    /// What a change of an order leads to for its position: protection, square-off, waiting signals.
    fn follow_up(&mut self, key: &PositionKey, cause: Cause, out: &mut Vec<Event>) {
        self.protect(key, cause, out);
        let Some(book) = self.engine.book(key) else { return };
        if book.is_closing() {
            self.continue_square_off(key, cause, out);
        } else if let Some(signal) = book.deferred().copied()
            && !self.engine.is_cancelling(&signal)
        {
            if let Cause::Order(id, _) = cause
                && self.engine.working(id).is_some()
            {
                // The broker would not cancel what is in the way: the signal cannot be followed.
                self.refuse(&signal, Reason::BrokerRejected, out);
            } else {
                self.resolve_signal(&signal, out);
            }
            self.protect(key, cause, out);
        }
    }

    fn protect(&mut self, key: &PositionKey, cause: Cause, out: &mut Vec<Event>) {
        let group = self.groups[key.instrument.index()];
        let open = matches!(self.sessions.status(group, self.now), SessionStatus::Open(_));
        while let Some(step) =
            self.engine.next_protection(key, self.portfolio.quantity(key), open)
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
                    let stop_or_old = if place_stop { Some(stop_id) } else { pair.stop_loss };
                    let limit_or_old = if place_limit { Some(limit_id) } else { pair.take_profit };
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
                        leg(stop_id, OrderRole::StopLoss, OrderType::Stop, None, Some(price), oco)
                    });
                    let limit_leg = limit.filter(|_| place_limit).map(|price| {
                        let oco = stop_or_old.filter(|_| both);
                        leg(limit_id, OrderRole::TakeProfit, OrderType::Limit, Some(price), None, oco)
                    });
                    for intent in [stop_leg, limit_leg].into_iter().flatten() {
                        self.submit(intent, cause, out);
                    }
                }
                Protection::Resize(order, quantity) => {
                    let Some(correlation) = self.correlation_of(order) else { return };
                    let body = EventBody::ModifyRequested { order, quantity };
                    self.emit(self.now, correlation, cause, body, out);
                }
                Protection::Cancel(order) => {
                    self.request_cancel(order, Reason::PositionClosed, cause, out);
                }
            }
        }
    }

    fn correlation_of(&self, order: OrderId) -> Option<CorrelationId> {
        self.engine.order(order).map(|o| o.intent().correlation)
    }

    fn request_cancel(
        &mut self,
        id: OrderId,
        reason: Reason,
        cause: Cause,
        out: &mut Vec<Event>,
    ) {
        let Some(order) = self.engine.working(id).map(|w| &w.order) else { return };
        if order.cancel_requested() {
            return;
        }
        let (correlation, sequence) = (order.intent().correlation, order.sequence() + 1);
        let change = OrderChange::CancelRequested(reason);
        let body = EventBody::OrderChanged(OrderStep { order: id, sequence, change });
        self.emit(self.now, correlation, cause, body, out);
    }

    fn cancel_where(
        &mut self,
        reason: Reason,
        cause: Cause,
        out: &mut Vec<Event>,
        wanted: impl Fn(&OrderIntent) -> bool,
    ) {
        for id in self.engine.working_ids() {
            if self.engine.working(id).is_some_and(|w| wanted(w.order.intent())) {
                self.request_cancel(id, reason, cause, out);
            }
        }
    }

    // ----- square-off ---------------------------------------------------------------------------

    fn square_off_due_positions(&mut self, due: Timestamp, out: &mut Vec<Event>) {
        let Some(before) = self.square_off_before_close else { return };
        let mut keys: Vec<_> = self
            .engine
            .keys()
            .iter()
            .copied()
            .filter(|key| key.product == Product::Intraday)
            .filter(|key| {
                // Its square-off time is exactly now.
                let group = self.groups[key.instrument.index()];
                match self.sessions.status(group, due) {
                    SessionStatus::Open(w) => w.close.plus(-before).max(w.open) == due,
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

    fn begin_square_off(
        &mut self,
        key: &PositionKey,
        correlation: Option<CorrelationId>,
        reason: Reason,
        cause: Cause,
        out: &mut Vec<Event>,
    ) {
        let Some(book) = self.engine.book(key) else { return };
        if book.is_closing()
            || (book.working().is_empty() && self.portfolio.quantity(key).is_zero())
        {
            return;
        }
        if let Some(waiting) = book.deferred().copied() {
            self.refuse(&waiting, reason, out);
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
        let working = self.engine.book(key).map(|b| b.working().to_vec()).unwrap_or_default();
        for id in working {
            self.request_cancel(id, reason, cause, out);
        }
        self.continue_square_off(key, cause, out);
    }

    /// Sends the closing order once nothing else works for the position, and ends when it is flat.
    fn continue_square_off(&mut self, key: &PositionKey, cause: Cause, out: &mut Vec<Event>) {
        let Some(book) = self.engine.book(key) else { return };
        let Some((correlation, reason, ordinal)) = book.closing() else { return };
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
            id: OrderId::derive(self.hash, correlation.0 ^ (u128::from(ordinal.0) << 64), ordinal.1),
            correlation,
            signal: None,
            strategy: key.strategy,
            instrument: key.instrument,
            role: OrderRole::SquareOff,
            side: model::signal::Side::of(position).opposite(),
            quantity: position.abs(),
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

    // ----- control ------------------------------------------------------------------------------

    fn alert(
        &mut self,
        reason: Reason,
        order: Option<OrderId>,
        strategy: Option<StrategyIdx>,
        out: &mut Vec<Event>,
    ) {
        let correlation = order
            .and_then(|o| self.correlation_of(o))
            .unwrap_or_else(|| self.own_correlation(u32::MAX - 1));
        let body = EventBody::Alert { reason, order, strategy };
        self.emit(self.now, correlation, Cause::Input(self.input), body, out);
    }

    fn change_state(
        &mut self,
        to: TradingState,
        reason: Reason,
        automatic: bool,
        out: &mut Vec<Event>,
    ) {
        let correlation = self.own_correlation(u32::MAX - 2);
        self.set_state(to, reason, automatic, correlation, Cause::Input(self.input), out);
    }

    fn set_state(
        &mut self,
        to: TradingState,
        reason: Reason,
        automatic: bool,
        correlation: CorrelationId,
        cause: Cause,
        out: &mut Vec<Event>,
    ) {
        let from = self.risk.state();
        if from == to {
            return;
        }
        let body = EventBody::StateChanged { from, to, reason, automatic };
        self.emit(self.now, correlation, cause, body, out);
        match to {
            TradingState::Halted => {
                self.cancel_where(Reason::Halted, cause, out, |i| i.role == OrderRole::Entry);
            }
            TradingState::Active if self.on_resume == OnResume::Follow => self.follow_targets(out),
            _ => {}
        }
        self.drain_trader(out);
    }

    /// Resolves every strategy's latest target anew.
    fn follow_targets(&mut self, out: &mut Vec<Event>) {
        let mut keys = self.engine.keys().to_vec();
        keys.sort_unstable();
        for key in keys {
            let Some(book) = self.engine.book(&key) else { continue };
            let Some(signal) = book.last_target().copied() else { continue };
            let Action::Target { quantity } = signal.decision.action else { continue };
            if book.deferred().is_some() || book.is_closing() {
                continue;
            }
            let held = self.portfolio.quantity(&key).checked_add(book.pending());
            if held != Ok(quantity) {
                // The same wish at a new time: a signal of its own in the old one's chain.
                let again = Signal {
                    id: SignalId(signal.id.0 ^ (self.now.nanos() as u128).rotate_left(64)),
                    ts: self.now,
                    decision: Decision { ..signal.decision },
                    ..signal
                };
                self.resolve_signal(&again, out);
            }
        }
    }

    fn take_command(&mut self, command: &Command, out: &mut Vec<Event>) {
        let correlation = CorrelationId::of_command(command.id);
        let cause = Cause::Command(command.id);
        let reason = Reason::OperatorRequest;
        match command.action {
            CommandAction::SetState(to) => {
                self.set_state(to, reason, false, correlation, cause, out);
            }
            CommandAction::EnableStrategy(strategy) => {
                let body = EventBody::StrategySwitched { strategy, enabled: true, reason };
                self.emit(self.now, correlation, cause, body, out);
            }
            CommandAction::DisableStrategy(strategy, reason) => {
                let body = EventBody::StrategySwitched { strategy, enabled: false, reason };
                self.emit(self.now, correlation, cause, body, out);
                self.cancel_where(reason, cause, out, |i| {
                    i.strategy == strategy && i.role == OrderRole::Entry
                });
            }
            CommandAction::CancelOrder(id) => {
                if self.engine.working(id).is_some() {
                    self.request_cancel(id, reason, cause, out);
                } else {
                    self.alert(Reason::UnknownOrder, Some(id), None, out);
                }
            }
            CommandAction::CancelAll => self.cancel_where(reason, cause, out, |_| true),
            CommandAction::SquareOff(instrument) => {
                self.square_off_where(correlation, cause, out, |k| k.instrument == instrument);
            }
            CommandAction::SquareOffAll => {
                self.square_off_where(correlation, cause, out, |_| true);
            }
            CommandAction::ResolveOrder(id, resolution) => {
                let kind = match resolution {
                    Resolution::NeverReached => ReportKind::NotSent(reason),
                    Resolution::Cancelled => ReportKind::Cancelled(reason),
                };
                let report = TraderReport { order: id, ts: self.now, kind };
                let before = out.len();
                self.take_report(&report, out);
                if out.len() == before {
                    // A report that says nothing new is dropped; a command is answered.
                    self.alert(Reason::IllegalReport, Some(id), None, out);
                }
            }
        }
        self.drain_trader(out);
    }

    fn square_off_where(
        &mut self,
        correlation: CorrelationId,
        cause: Cause,
        out: &mut Vec<Event>,
        wanted: impl Fn(&PositionKey) -> bool,
    ) {
        let mut keys: Vec<_> = self.engine.keys().iter().copied().filter(wanted).collect();
        keys.sort_unstable();
        for key in keys {
            let reason = Reason::OperatorRequest;
            self.begin_square_off(&key, Some(correlation), reason, cause, out);
        }
    }

    /// The state of every stage as text: two pipelines with equal states give equal texts.
    pub fn fingerprint(&self) -> String {
        format!(
            "{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
            self.risk,
            self.engine,
            self.portfolio,
            self.strategies,
            self.trader.as_ref().map(|t| t.save()),
            (self.now, self.input, self.day, self.next_snapshot,
                self.square_offs.iter().chain(&self.opens).map(|s| (s.group, s.due)).collect::<Vec<_>>()),
        )
    }

    /// What the trader can do.
    pub const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
}
