//! The risk manager: which signals may become orders, and when trading stops by itself.
//!
//! The rules are listed in [`rules::RULES`]; their limits are [`limits::Limits`]. A broker's limits act
//! on the namespace's totals, a strategy's own limits act on that strategy's share, and both must be
//! kept: a strategy can only be stricter than its broker. Counters come from recorded facts.

pub mod limits;
pub mod margin;
pub mod rules;
pub mod settings;

use model::control::{Breach, TradingState};
use model::event::{Event, EventBody};
use model::order::OrderRole;
use model::reason::Reason;
use model::reindex::Reindex;
use model::time::SECOND;
use model::{CurrencyIdx, InputId, StrategyIdx, Timestamp};
use serde::{Deserialize, Serialize};

use crate::portfolio::Portfolio;

pub use limits::{Limits, MoneyLimit, Reached, STALE_SIGNAL_LIVE};
pub use margin::Margin;
pub use rules::{Applies, Judgement, Proposal, RULES, Rule};
pub use settings::{AutoResume, LimitError, LimitSettings, OnBreach};

/// What has been counted for one owner of limits: the namespace, or one strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// The clock second of the latest order, and the orders within it.
    second: (i64, u32),
    /// Orders of the trading day.
    orders_today: u32,
    /// Entry orders of the trading day.
    entries_today: u32,
}

impl Counters {
    /// Orders within the clock second that holds `now`.
    pub fn in_second(&self, now: Timestamp) -> u32 {
        if self.second.0 == now.nanos().div_euclid(SECOND) {
            self.second.1
        } else {
            0
        }
    }
    /// Orders of the trading day.
    pub const fn orders_today(&self) -> u32 {
        self.orders_today
    }
    /// Entry orders of the trading day.
    pub const fn entries_today(&self) -> u32 {
        self.entries_today
    }

    fn count(&mut self, ts: Timestamp, entry: bool) {
        let second = ts.nanos().div_euclid(SECOND);
        if self.second.0 != second {
            self.second = (second, 0);
        }
        self.second.1 = self.second.1.saturating_add(1);
        self.orders_today = self.orders_today.saturating_add(1);
        self.entries_today = self.entries_today.saturating_add(u32::from(entry));
    }
}

/// What the manager remembers of one strategy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct StrategyRecord {
    counters: Counters,
    enabled: bool,
    /// Causing input and ordinal of the latest signal taken: what is not above it is a repeat.
    mark: Option<(InputId, u32)>,
    /// The latest signal's content and time: what the duplicate rule compares with.
    latest: Option<(Timestamp, model::signal::Decision)>,
    /// Its positions have been squared off for a loss limit of its own since it was last enabled, or
    /// the day began.
    squared_off: bool,
    /// How often a command to enable it was refused, and why the latest one was.
    refusals: (u32, Option<(Reason, Option<Breach>)>),
    /// When an operator last had its losses counted anew.
    losses_since: Option<Timestamp>,
}

impl Default for StrategyRecord {
    fn default() -> Self {
        Self {
            counters: Counters::default(),
            enabled: true,
            mark: None,
            latest: None,
            squared_off: false,
            refusals: (0, None),
            losses_since: None,
        }
    }
}

/// The stage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Risk {
    #[serde(skip)]
    limits: Limits,
    /// Own limits by strategy index.
    #[serde(skip)]
    strategy_limits: Vec<Option<Limits>>,
    state: TradingState,
    /// The rule that set the state; `None` where an operator did.
    automatic: Option<Reason>,
    /// Positions have been squared off for a loss limit since trading last was active, or the day
    /// began.
    squared_off: bool,
    /// When an operator last had losses counted anew.
    losses_since: Option<Timestamp>,
    counters: Counters,
    strategies: Vec<StrategyRecord>,
    /// Why the host keeps exposure from growing, in the order in which the reasons came.
    blocks: Vec<Reason>,
}

impl Risk {
    /// Active, with nothing counted. `strategy_limits` is indexed by strategy.
    pub fn new(limits: Limits, strategy_limits: Vec<Option<Limits>>) -> Self {
        let strategies = vec![StrategyRecord::default(); strategy_limits.len()];
        Self {
            limits,
            strategy_limits,
            state: TradingState::Active,
            automatic: None,
            squared_off: false,
            losses_since: None,
            counters: Counters::default(),
            strategies,
            blocks: Vec::new(),
        }
    }

    /// Why the host keeps exposure from growing.
    pub fn blocks(&self) -> &[Reason] {
        &self.blocks
    }
    /// Whether the namespace may trade.
    #[inline]
    pub const fn state(&self) -> TradingState {
        self.state
    }
    /// Why the state was set by itself; `None` where an operator set it.
    pub const fn automatic(&self) -> Option<Reason> {
        self.automatic
    }
    /// When an operator last had the losses of a strategy counted anew; without one, the namespace's.
    pub fn losses_since(&self, strategy: Option<StrategyIdx>) -> Option<Timestamp> {
        match strategy {
            None => self.losses_since,
            Some(strategy) => self.strategies.get(strategy.index())?.losses_since,
        }
    }
    /// The namespace's limits.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }
    /// A strategy's own limits.
    pub fn own_limits(&self, strategy: StrategyIdx) -> Option<&Limits> {
        self.strategy_limits
            .get(strategy.index())
            .and_then(Option::as_ref)
    }
    /// Whether a strategy's limits between two ticks are rounded here. Either owner of limits may ask
    /// for it: what is rounded keeps the other's rule, and costs no more than what was asked for.
    pub fn rounds_limits(&self, strategy: StrategyIdx) -> bool {
        let own = self.own_limits(strategy);
        self.limits.round_limits || own.is_some_and(|own| own.round_limits)
    }
    /// What has been counted for the namespace.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }
    /// What has been counted for a strategy.
    pub fn strategy_counters(&self, strategy: StrategyIdx) -> Counters {
        self.strategies
            .get(strategy.index())
            .map(|s| s.counters)
            .unwrap_or_default()
    }
    /// Whether a strategy may trade here.
    pub fn is_enabled(&self, strategy: StrategyIdx) -> bool {
        self.strategies
            .get(strategy.index())
            .is_some_and(|s| s.enabled)
    }
    /// Whether a signal has been taken already: after a crash the runner repeats what it sent.
    pub fn is_repeat(&self, strategy: StrategyIdx, mark: (InputId, u32)) -> bool {
        self.strategies
            .get(strategy.index())
            .is_some_and(|s| s.mark.is_some_and(|m| mark <= m))
    }
    pub(crate) fn latest(
        &self,
        strategy: StrategyIdx,
    ) -> Option<&(Timestamp, model::signal::Decision)> {
        self.strategies
            .get(strategy.index())
            .and_then(|s| s.latest.as_ref())
    }

    /// Takes over what a saved manager had counted; limits stay those of now.
    pub fn adopt(&mut self, saved: Self, map: &Reindex) {
        self.state = saved.state;
        self.automatic = saved.automatic;
        self.squared_off = saved.squared_off;
        self.losses_since = saved.losses_since;
        self.counters = saved.counters;
        self.blocks = saved.blocks;
        let fresh = std::mem::take(&mut self.strategies);
        self.strategies = map.by_strategy(saved.strategies, fresh);
    }

    /// A trading day has begun.
    pub fn observe_day(&mut self) {
        let reset = |counters: &mut Counters| {
            counters.orders_today = 0;
            counters.entries_today = 0;
        };
        reset(&mut self.counters);
        self.squared_off = false;
        for strategy in &mut self.strategies {
            reset(&mut strategy.counters);
            strategy.squared_off = false;
        }
    }

    /// A fact has been recorded.
    pub fn apply(&mut self, event: &Event) {
        match &event.body {
            EventBody::OrderSubmitted(intent) => {
                let entry = intent.role == OrderRole::Entry;
                self.counters.count(event.ts, entry);
                if let Some(record) = self.strategies.get_mut(intent.strategy.index()) {
                    record.counters.count(event.ts, entry);
                }
            }
            EventBody::SignalRaw(signal) => {
                if let Some(record) = self.strategies.get_mut(signal.strategy.index()) {
                    record.mark = Some((signal.input, signal.ordinal));
                }
            }
            EventBody::SignalValidated(validated) => {
                if let Some(record) = self.strategies.get_mut(validated.strategy.index()) {
                    record.latest = Some((event.ts, validated.decision.without_note()));
                }
            }
            EventBody::StateChanged {
                to,
                automatic,
                reason,
                resets_losses,
                ..
            } => {
                if *resets_losses {
                    self.losses_since = Some(event.ts);
                }
                self.state = *to;
                self.automatic = automatic.then_some(*reason);
                self.squared_off &= *to == TradingState::Halted;
            }
            EventBody::StrategySwitched {
                strategy,
                enabled,
                resets_losses,
                ..
            } => {
                if let Some(record) = self.strategies.get_mut(strategy.index()) {
                    if *resets_losses {
                        record.losses_since = Some(event.ts);
                    }
                    record.enabled = *enabled;
                    record.squared_off &= !*enabled;
                }
            }
            EventBody::LimitReached {
                strategy,
                squares_off: true,
                ..
            } => match strategy {
                None => self.squared_off = true,
                Some(strategy) => {
                    if let Some(record) = self.strategies.get_mut(strategy.index()) {
                        record.squared_off = true;
                    }
                }
            },
            EventBody::ResumeRefused {
                strategy: Some(strategy),
                reason,
                breach,
            } => {
                if let Some(record) = self.strategies.get_mut(strategy.index()) {
                    let count = record.refusals.0.wrapping_add(1);
                    record.refusals = (count, Some((*reason, *breach)));
                }
            }
            EventBody::EntriesBlocked { reason, blocked } => {
                self.blocks.retain(|r| r != reason);
                if *blocked {
                    self.blocks.push(*reason);
                }
            }
            _ => {}
        }
    }

    /// A loss limit of the namespace that asks for something now, if any does: trading halts, or, where
    /// it is halted already, positions are squared off. `moved` is the one currency whose equity can
    /// have changed, where that is known.
    #[inline]
    pub fn limit_due(&self, portfolio: &Portfolio, moved: Option<CurrencyIdx>) -> Option<Reached> {
        let halted = self.state == TradingState::Halted;
        if !self.limits.watches_losses || (halted && self.is_done(&self.limits, self.squared_off)) {
            return None;
        }
        let reached = self.reached(portfolio, moved, halted)?;
        (!halted || portfolio.holds(None)).then_some(reached)
    }

    /// Whether a limit that is reached asks for nothing more where trading has stopped already.
    const fn is_done(&self, limits: &Limits, squared_off: bool) -> bool {
        squared_off || !limits.squares_off()
    }

    #[inline]
    fn reached(
        &self,
        portfolio: &Portfolio,
        moved: Option<CurrencyIdx>,
        only_square_off: bool,
    ) -> Option<Reached> {
        let loss = |currency: CurrencyIdx| {
            let account = portfolio.account(currency);
            let equity = account.equity();
            self.limits.loss_reached(
                currency,
                equity.checked_sub(account.loss_base).ok()?,
                account.loss_peak.checked_sub(equity).ok()?,
                only_square_off,
            )
        };
        match moved {
            Some(currency) => loss(currency),
            None => (0..portfolio.accounts().len()).find_map(|c| loss(CurrencyIdx(c as u16))),
        }
    }

    /// The loss limit of the namespace that is reached, whether trading is halted or not.
    pub fn breached(&self, portfolio: &Portfolio) -> Option<Reached> {
        self.reached(portfolio, None, false)
    }

    /// The own loss limit of a strategy that is reached, whether it is disabled or not.
    pub fn strategy_breached(
        &self,
        strategy: StrategyIdx,
        portfolio: &Portfolio,
    ) -> Option<Reached> {
        self.strategy_reached(self.own_limits(strategy)?, strategy, portfolio, false)
    }

    fn strategy_reached(
        &self,
        limits: &Limits,
        strategy: StrategyIdx,
        portfolio: &Portfolio,
        only_square_off: bool,
    ) -> Option<Reached> {
        (0..portfolio.accounts().len()).find_map(|c| {
            let currency = CurrencyIdx(c as u16);
            let (day, fall) = portfolio.strategy_loss(strategy, currency)?;
            limits.loss_reached(currency, day, fall, only_square_off)
        })
    }

    /// A strategy's own loss limit that asks for something now, if any does.
    pub fn strategy_limit_due(
        &self,
        strategy: StrategyIdx,
        portfolio: &Portfolio,
    ) -> Option<Reached> {
        let limits = self.own_limits(strategy).filter(|l| l.watches_losses)?;
        let record = self.strategies.get(strategy.index())?;
        let stopped = !record.enabled;
        if stopped && self.is_done(limits, record.squared_off) {
            return None;
        }
        let reached = self.strategy_reached(limits, strategy, portfolio, stopped)?;
        (!stopped || portfolio.holds(Some(strategy))).then_some(reached)
    }

    /// How often a command to enable a strategy was refused, and why the latest one was.
    pub fn refusals(&self, strategy: StrategyIdx) -> (u32, Option<(Reason, Option<Breach>)>) {
        self.strategies
            .get(strategy.index())
            .map_or((0, None), |record| record.refusals)
    }
}
