//! The pipeline of one broker's namespace: per-broker strategies, risk, engine, portfolio and, where
//! the trader is pure, the trader. Single writer: it alone owns the namespace's counters, orders and
//! positions.

mod control;
mod day_close;
mod expiry;
mod held;
mod hours;
mod market;
mod plausible;
mod reports;
mod signals;
mod square_off;
mod state;

use hours::DataHours;
pub use plausible::PARKED_MAX;
pub use state::{PipelineState, PipelineStateError};

use std::cell::Cell;
use std::sync::Arc;

use model::charges::{ChargeInput, Charges};
use model::control::{Command, CommandAction, Resolution, TradingState};
use model::event::{Cause, Doubt, Event, EventBody, OrderStep, ParkedReport, Refused, Validated};
use model::ids::{NameHash, SourceSession};
use model::market::MarketData;
use model::money::Multiplier;
use model::order::{Execution, OrderChange, OrderError, OrderIntent, OrderRole, OrderStatus};
use model::reason::Reason;
use model::refusal::Refusal;
use model::rules::{ExchangeRules, Settlement};
use model::session::{SessionGroup, SessionStatus, SessionWindow, Sessions, Takes, TradingDay};
use model::signal::{Action, Bracket, OrderType, Product, Side, Signal, Validity};
use model::topic::Namespace;
use model::trader::{Capabilities, InPipelineTrader, ReportKind, TraderReport};
use model::{
    Amount, CorrelationId, CurrencyIdx, InputId, InstrumentIdx, Instruments, OrderId, Price,
    Quantity, SignalId, StrategyIdx, Timestamp, TradeId,
};
use serde::{Deserialize, Serialize};
use strategies::OwnFill;

use crate::day_book::DayBook;
use crate::engine::protect::Protection;
use crate::engine::{Engine, Plan, key_of};
use crate::portfolio::{Portfolio, PositionKey};
use crate::risk::rules::Totals;
use crate::risk::{AutoResume, Judgement, Limits, Margin, Proposal, Reached, Risk};
use crate::strategy_host::{Made, StrategyHost, StrategySetup};
use crate::tally::Tally;

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
    /// By session group, how long before the end of continuous trading intraday positions are closed, in
    /// nanoseconds; `None`, and groups beyond the table: they stay open.
    pub square_off: Vec<Option<i64>>,
    /// How long before that an alert names the strategies concerned, in nanoseconds; 0: none does.
    pub square_off_notice: i64,
    /// Snapshots are taken at multiples of this interval, in nanoseconds.
    pub snapshot_interval: i64,
    /// How long after the decision the call to the broker may still be started, in nanoseconds.
    pub send_within: i64,
    /// An execution that a broker reports may be so far from the last price, as a fraction of it in
    /// units of 10⁻⁸; one that is farther is parked. 0: any distance is believed.
    pub report_band: i64,
    /// What trading costs.
    pub charges: Arc<dyn Charges>,
    /// What the exchanges ask of orders.
    pub rules: Arc<dyn ExchangeRules>,
}

/// What reaches a namespace.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Market data.
    Market(InputId, &'a MarketData<'a>),
    /// Time has come to the namespace's next timer: every due time is an input of its own.
    Clock(InputId, Timestamp),
    /// A shared strategy's signal.
    Signal(&'a Signal),
    /// A report of an outside trader.
    Report(&'a TraderReport),
    /// A command, at its time.
    Command(Timestamp, &'a Command),
    /// The system was off or suspended until then: see [`StrategyHost::miss_timers`].
    TimersMissed(Timestamp),
}

/// What a namespace has counted and not turned into events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineStats {
    /// Signals that had been taken already, dropped.
    pub repeated_signals: u64,
    /// Reports that said what was known already, dropped.
    pub repeated_reports: u64,
    /// Market data that arrived while the calendar says that the market is closed.
    pub closed_market_data: u64,
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
    /// Whether the charges of a day are complete only at its close.
    closes_days: bool,
    capabilities: Capabilities,
    auto_resume: AutoResume,
    on_resume: OnResume,
    rules: Arc<dyn ExchangeRules>,
    square_off: Vec<Option<i64>>,
    square_off_notice: i64,
    snapshot_interval: i64,
    send_within: i64,
    report_band: i64,
    groups: Vec<SessionGroup>,
    supported: Vec<bool>,

    strategies: StrategyHost,
    risk: Risk,
    engine: Engine,
    portfolio: Portfolio,
    day_book: DayBook,
    trader: Option<Box<dyn InPipelineTrader>>,

    now: Timestamp,
    input: InputId,
    /// When the bar opened that is being taken; `None` on every other input.
    bar_open: Option<Timestamp>,
    /// That bar closes as its trading day ends: it is of the day that has ended.
    bar_ends_day: bool,
    day: Option<TradingDay>,
    next_snapshot: Timestamp,
    square_offs: Vec<GroupClock>,
    /// When those of each group are announced.
    notices: Vec<GroupClock>,
    /// When each group's next session opens: legs that ended with the last one are placed again.
    opens: Vec<GroupClock>,
    /// How each instrument's positions end.
    settlement: Vec<Settlement>,
    /// When contracts of each group may expire.
    expiries: Vec<GroupClock>,
    /// When positions in contracts that would be delivered are squared off.
    deliveries: Vec<GroupClock>,
    hours: DataHours,
    /// By group the session that was asked for last: it follows from the calendar.
    open: Vec<Cell<SessionWindow>>,
    stats: PipelineStats,
    tally: Tally,
    /// The earliest of all timers; brought up to date by whatever can move one.
    due: Timestamp,
    /// The earliest of the groups' clocks, which move with time alone: every order asks for it.
    clocks_due: Timestamp,
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
        let marks = settings
            .strategy_limits
            .iter()
            .flatten()
            .any(|l| l.watches_losses);
        let groups: Vec<_> = instruments.iter().map(|(_, i)| sessions.group(i)).collect();
        let supported = instruments
            .iter()
            .map(|(_, i)| capabilities.asset_classes.contains(&i.asset_class))
            .collect();
        let mut used = groups.clone();
        used.sort_unstable();
        used.dedup();
        let opens: Vec<_> = used
            .into_iter()
            .map(|group| GroupClock {
                group,
                due: Timestamp::MIN,
            })
            .collect();
        let before = |group: &GroupClock| settings.square_off.get(group.group.index());
        let squared = |group: &&GroupClock| before(group).is_some_and(Option::is_some);
        let square_offs: Vec<_> = opens.iter().filter(squared).copied().collect();
        let notices = match settings.square_off_notice {
            0 => Vec::new(),
            _ => square_offs.clone(),
        };
        let settlement: Vec<_> = instruments
            .iter()
            .map(|(_, i)| settings.rules.settlement(i))
            .collect();
        let of_contracts = |wanted: &dyn Fn(usize) -> bool| -> Vec<GroupClock> {
            let has = |clock: &&GroupClock| {
                let mut members = groups.iter().enumerate();
                members.any(|(at, group)| *group == clock.group && wanted(at))
            };
            opens.iter().filter(has).copied().collect()
        };
        let expires = |at: usize| instruments.get(InstrumentIdx(at as u32)).expiry.is_some();
        let expiries = of_contracts(&expires);
        let deliveries = of_contracts(&|at| settlement[at] == Settlement::Physical);
        Self {
            settlement,
            expiries,
            deliveries,
            hash: NameHash::of(settings.namespace.as_str()),
            namespace: settings.namespace,
            closes_days: settings.charges.closes_days(),
            charges: settings.charges,
            capabilities,
            auto_resume: settings.auto_resume,
            on_resume: settings.on_resume,
            rules: settings.rules,
            square_off: settings.square_off,
            square_off_notice: settings.square_off_notice.max(0),
            snapshot_interval: settings.snapshot_interval.max(1),
            send_within: settings.send_within,
            report_band: settings.report_band.max(0),
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
            day_book: DayBook::default(),
            trader,
            now: Timestamp::MIN,
            input: InputId(0),
            bar_open: None,
            bar_ends_day: false,
            day: None,
            next_snapshot: Timestamp::MAX,
            square_offs,
            notices,
            opens,
            hours: DataHours::new(sessions.groups()),
            open: vec![Cell::new(SessionWindow::NONE); sessions.groups()],
            clocks_due: Timestamp::MIN,
            stats: PipelineStats::default(),
            tally: Tally::default(),
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
    /// The trading day; `None` before the first input.
    pub const fn trading_day(&self) -> Option<TradingDay> {
        self.day
    }
    /// Working orders whose outcome is unknown: live exposure.
    pub fn unresolved(&self) -> impl Iterator<Item = OrderId> + '_ {
        self.engine.unresolved().iter().map(|(order, _)| *order)
    }
    /// What has been counted.
    pub const fn stats(&self) -> &PipelineStats {
        &self.stats
    }
    /// What it has done.
    pub const fn tally(&self) -> &Tally {
        &self.tally
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
        due = due.min(self.day_book.due());
        due = due.min(self.clocks_due);
        due = due.min(self.engine.held().next_due());
        if let Some(trader) = &self.trader {
            due = due.min(trader.next_due());
        }
        due
    }

    fn set_clocks_due(&mut self) {
        let clocks = self.square_offs.iter().chain(&self.notices);
        let clocks = clocks.chain(&self.expiries).chain(&self.deliveries);
        let dues = clocks.chain(&self.opens).map(|clock| clock.due);
        self.clocks_due = dues.min().unwrap_or(Timestamp::MAX);
    }

    /// When the first thing is due that an absence misses: a timer, bar or session of its strategies, or
    /// the judging of a held signal.
    pub fn missable_due(&self) -> Timestamp {
        let held = self.engine.held().next_due();
        self.strategies.next_due().min(held)
    }

    /// Whether the absence that ends at `until` has missed anything: see
    /// [`StrategyHost::misses_timers`].
    pub fn misses_timers(&self, until: Timestamp) -> bool {
        self.strategies.misses_timers(until) || self.engine.held().next_due() < until
    }

    // The contract: observe, apply, step.
    /// Takes an input without emitting.
    #[inline]
    pub fn observe(&mut self, input: &Input<'_>) {
        self.bar_open = match input {
            Input::Market(_, MarketData::Bar(bar)) => Some(bar.open_ts),
            _ => None,
        };
        self.bar_ends_day = false;
        match input {
            Input::Market(id, data) => {
                self.input = *id;
                self.observe_time(data.ts());
                let begins = self.day.is_some_and(|day| day.start == data.ts());
                self.bar_ends_day = begins && self.bar_open.is_some();
                let at = if self.bar_ends_day {
                    data.happened()
                } else {
                    self.now
                };
                let group = self.groups[data.instrument().index()];
                if !self.hours.observe(&*self.sessions, group, data.happened()) {
                    self.stats.closed_market_data += 1;
                }
                self.portfolio
                    .observe_price(data.instrument(), data.price(), at);
                if let Some(trader) = &mut self.trader {
                    trader.observe_market(data, self.now);
                }
                if !self.strategies.is_empty() {
                    let before = self.strategies.next_due();
                    self.strategies.market(*id, data);
                    // A timer may have been set anew, for later too.
                    if self.strategies.next_due() != before {
                        self.due = self.earliest_due();
                    }
                }
            }
            Input::Clock(id, due) => self.observe_clock(*id, *due),
            Input::Signal(signal) => self.observe_time(signal.ts),
            Input::Report(report) => self.observe_time(report.ts),
            Input::Command(ts, _) => self.observe_time(*ts),
            Input::TimersMissed(until) => {
                self.strategies.miss_timers(*until);
                self.engine.observe_absence(*until);
                self.due = self.earliest_due();
            }
        }
    }

    #[inline]
    pub(super) fn observe_time(&mut self, ts: Timestamp) {
        if ts > self.now {
            self.now = ts;
        }
        if self.day.is_none() {
            self.begin(self.now);
            self.due = self.earliest_due();
        }
    }

    #[cold]
    pub(super) fn begin(&mut self, ts: Timestamp) {
        self.enter_day(self.sessions.trading_day(ts));
        self.schedule_square_offs(ts, Timestamp::MAX);
        self.schedule_expiries(ts, Timestamp::MAX);
        for i in 0..self.opens.len() {
            self.opens[i].due = self.next_open(self.opens[i].group, ts);
        }
        self.set_clocks_due();
    }

    /// The first open of a group's market after `ts`.
    pub(super) fn next_open(&self, group: SessionGroup, ts: Timestamp) -> Timestamp {
        match self.sessions.status(group, ts) {
            SessionStatus::Closed { next_open } => next_open,
            SessionStatus::Open(window) if window.close == Timestamp::MAX => Timestamp::MAX,
            SessionStatus::Open(window) => match self.sessions.status(group, window.close) {
                SessionStatus::Open(next) => next.open.max(window.close),
                SessionStatus::Closed { next_open } => next_open,
            },
        }
    }

    /// The state of a group's market now: an order asks several times within one session.
    pub(super) fn session(&self, group: SessionGroup) -> SessionStatus {
        let cached = self.open.get(group.index());
        match cached.map(Cell::get) {
            Some(window) if window.open <= self.now && self.now < window.close => {
                SessionStatus::Open(window)
            }
            _ => {
                let status = self.sessions.status(group, self.now);
                if let (Some(cell), SessionStatus::Open(window)) = (cached, status) {
                    cell.set(window);
                }
                status
            }
        }
    }

    /// The kinds of orders that a group's market takes now.
    pub(super) fn takes(&self, group: SessionGroup) -> Takes {
        match self.session(group) {
            SessionStatus::Closed { .. } => Takes::NONE,
            SessionStatus::Open(_) => self
                .sessions
                .auction_takes(group, self.now)
                .unwrap_or(Takes::ALL),
        }
    }

    /// How long before the end of continuous trading a group's intraday positions are closed.
    pub(super) fn square_off_before(&self, group: SessionGroup) -> Option<i64> {
        self.square_off.get(group.index()).copied().flatten()
    }

    /// So long before continuous trading ends in a window, and not before it opens.
    pub(super) fn before_close(
        &self,
        group: SessionGroup,
        window: &SessionWindow,
        before: i64,
    ) -> Timestamp {
        let close = self.sessions.continuous_close(group, window);
        close.plus(-before).max(window.open)
    }

    /// When a group's intraday positions are squared off in a window.
    pub(super) fn square_off_in(&self, group: SessionGroup, window: &SessionWindow) -> Timestamp {
        self.before_close(group, window, self.square_off_before(group).unwrap_or(0))
    }

    /// Sets the clocks that stand at or before `passed` to what comes after `ts`.
    pub(super) fn schedule_square_offs(&mut self, ts: Timestamp, passed: Timestamp) {
        for i in 0..self.square_offs.len() {
            if self.square_offs[i].due <= passed {
                self.square_offs[i].due = self.square_off_due(self.square_offs[i].group, ts, 0);
            }
        }
        for i in 0..self.notices.len() {
            if self.notices[i].due <= passed {
                let notice = self.square_off_notice;
                self.notices[i].due = self.square_off_due(self.notices[i].group, ts, notice);
            }
        }
    }

    /// The next square-off of a group after `ts`, or what is `earlier` than it by so much.
    fn square_off_due(&self, group: SessionGroup, ts: Timestamp, earlier: i64) -> Timestamp {
        self.next_within(group, ts, |window| {
            let due = self.square_off_in(group, window).plus(-earlier);
            due.max(window.open)
        })
    }

    /// The next instant after `ts` that `due` gives for a session of a group; never where it does not
    /// close.
    pub(super) fn next_within(
        &self,
        group: SessionGroup,
        ts: Timestamp,
        due: impl Fn(&SessionWindow) -> Timestamp,
    ) -> Timestamp {
        let mut at = ts;
        // At most: this session, whose time has passed, then the next one.
        for _ in 0..4 {
            match self.sessions.status(group, at) {
                SessionStatus::Open(window) if window.close == Timestamp::MAX => break,
                SessionStatus::Open(window) => {
                    let due = due(&window);
                    if due > ts {
                        return due;
                    }
                    at = window.close;
                }
                SessionStatus::Closed {
                    next_open: Timestamp::MAX,
                } => break,
                SessionStatus::Closed { next_open } => at = next_open,
            }
        }
        Timestamp::MAX
    }

    pub(super) fn enter_day(&mut self, day: TradingDay) {
        self.day = Some(day);
        self.portfolio.observe_day(day.date);
        self.risk.observe_day();
        self.engine.observe_day();
        self.tally.observe_day();
    }

    pub(super) fn observe_clock(&mut self, id: InputId, due: Timestamp) {
        self.input = id;
        self.observe_time(due);
        self.observe_left_open(due);
        self.day_book.observe_clock(due);
        if self.day.is_some_and(|day| day.end <= due) {
            self.enter_day(self.sessions.trading_day(due));
        }
        self.schedule_square_offs(due, due);
        self.schedule_expiries(due, due);
        for i in 0..self.opens.len() {
            if self.opens[i].due <= due {
                let next = self.next_open(self.opens[i].group, due);
                self.opens[i].due = if next > due { next } else { Timestamp::MAX };
            }
        }
        self.set_clocks_due();
        if let Some(trader) = &mut self.trader {
            trader.observe_time(due);
        }
        if self.strategies.next_due() <= due {
            self.strategies.fire(id, due);
        }
        if self.next_snapshot <= due {
            self.next_snapshot = if self.has_exposure() {
                self.snapshot_after(due)
            } else {
                Timestamp::MAX
            };
        }
        self.due = self.earliest_due();
    }

    pub(super) fn has_exposure(&self) -> bool {
        self.portfolio
            .accounts()
            .iter()
            .any(|a| !a.gross_exposure.is_zero())
    }

    pub(super) fn snapshot_after(&self, ts: Timestamp) -> Timestamp {
        let interval = self.snapshot_interval;
        Timestamp((ts.nanos().div_euclid(interval) + 1).saturating_mul(interval))
    }

    /// Takes a recorded fact.
    pub fn apply(&mut self, event: &Event) {
        self.take(event);
        self.due = self.earliest_due();
    }

    /// [`apply`](Self::apply) without a look at the timers, which a step takes once at its end.
    pub(super) fn take(&mut self, event: &Event) {
        if let EventBody::OrderChanged(OrderStep {
            order,
            change: OrderChange::Filled(x),
            ..
        }) = &event.body
            && let Some((intent, before, wanted)) = self
                .engine
                .order(*order)
                .map(|o| (*o.intent(), o.filled(), o.quantity()))
        {
            self.portfolio.apply_fill(&intent, x, event.ts);
            self.book_of_day(&intent, x, (before, wanted), event.ts);
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
        self.tally.apply(event);
        if let Some(trader) = &mut self.trader {
            trader.apply(event);
        }
        if let EventBody::ChargesAdjusted(adjustment) = &event.body
            && self.day_book.apply(adjustment).is_err()
        {
            self.portfolio.overflow();
        }
        if let EventBody::PositionSettled(settled) = &event.body {
            self.take_settlement(settled, event);
        }
        match &event.body {
            EventBody::StrategySwitched {
                strategy, enabled, ..
            } => {
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
        let stretches = self.hours.stretches();
        self.observe(input);
        if self.hours.stretches() != stretches {
            self.alert(Reason::MarketClosed, None, None, out);
        }
        match input {
            Input::Market(_, data) => self.after_market(data.instrument(), out),
            Input::Clock(_, due) => self.after_clock(*due, out),
            Input::Signal(signal) => self.take_signal(signal, out),
            Input::Report(report) => self.take_report(report, out),
            Input::Command(_, command) => self.take_command(command, out),
            Input::TimersMissed(_) => {}
        }
        if !self.strategies.is_empty() {
            self.run_own_strategies(out);
        }
        if out.len() > before {
            self.settle(out);
            self.due = self.earliest_due();
        }
    }

    #[allow(
        clippy::large_types_passed_by_value,
        reason = "it is moved into the event where that stays"
    )]
    pub(super) fn emit(
        &mut self,
        ts: Timestamp,
        correlation: CorrelationId,
        cause: Cause,
        body: EventBody,
        out: &mut Vec<Event>,
    ) {
        // Pushed first: the fact is written once, where it stays.
        out.push(Event {
            ts,
            correlation,
            cause,
            body,
        });
        if let Some(event) = out.last() {
            self.take(event);
        }
    }

    pub(super) fn money(&self, instrument: InstrumentIdx) -> (CurrencyIdx, Multiplier, Price) {
        (
            self.instruments.currency(instrument),
            self.instruments.get(instrument).multiplier,
            self.portfolio.last(instrument).price,
        )
    }

    /// A chain of its own for what the namespace does by itself, now.
    pub(super) fn own_correlation(&self, ordinal: u32) -> CorrelationId {
        CorrelationId::of_schedule(self.hash, self.now.nanos(), ordinal)
    }

    /// The state of every stage as text: two pipelines with equal states give equal texts.
    pub fn fingerprint(&self) -> String {
        format!(
            "{:?}\n{}\n{}\n{:?}\n{:?}\n{:?}\n{:?}",
            self.risk,
            self.engine.fingerprint(),
            self.portfolio.fingerprint(),
            self.day_book,
            self.strategies,
            self.trader.as_ref().map(|t| t.save()),
            (
                self.now,
                self.input,
                self.day,
                self.next_snapshot,
                self.square_offs
                    .iter()
                    .chain(&self.notices)
                    .chain(&self.opens)
                    .chain(&self.expiries)
                    .chain(&self.deliveries)
                    .map(|s| (s.group, s.due))
                    .collect::<Vec<_>>(),
                self.hours.fingerprint(),
            ),
        )
    }

    /// What the trader can do.
    pub const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
}
