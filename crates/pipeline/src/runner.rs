//! The strategy runner: hosts the shared strategies and fans their signals out to the namespaces.

use std::sync::Arc;

use model::ids::{InputId, NameHash, SourceSession, StrategyIdx};
use model::market::MarketData;
use model::reason::Reason;
use model::signal::Signal;
use model::time::Timestamp;

use crate::kernel::BrokerMask;
use crate::strategy_host::{CallProbe, HostState, Made, StrategyHost};

/// What reaches the runner.
#[derive(Debug, Clone, Copy)]
pub enum RunnerInput<'a> {
    /// Market data.
    Market(InputId, &'a MarketData<'a>),
    /// Time has come to the runner's next timer, or further.
    Clock(InputId, Timestamp),
    /// The system was off or suspended until then: see [`StrategyHost::miss_timers`].
    TimersMissed(Timestamp),
    /// A strategy is enabled or disabled: by an operator, or by the host that measures its time.
    Switch(StrategyIdx, bool),
}

/// What the runner produces.
#[derive(Debug, Clone, Copy)]
#[allow(
    clippy::large_enum_variant,
    reason = "plain values in a reused buffer; a box would allocate per signal"
)]
pub enum RunnerOutput {
    /// A signal for these namespaces.
    Signal(Signal, BrokerMask),
    /// A strategy has failed and is disabled; these namespaces are to be told.
    StrategyDisabled(StrategyIdx, Reason, BrokerMask, NameHash),
}

/// The stage. Strategy state is rebuilt by running its inputs again, so [`observe`](Self::observe)
/// does all that [`step`](Self::step) does but emit.
#[derive(Debug)]
pub struct Runner {
    host: StrategyHost,
}

impl Runner {
    /// Over hosted shared strategies.
    pub fn new(host: StrategyHost) -> Self {
        Self { host }
    }

    /// When it next has something to do without new data. A host fires [`RunnerInput::Clock`] then,
    /// before any input of that time or later.
    #[inline]
    pub fn next_due(&self) -> Timestamp {
        self.host.next_due()
    }

    #[inline]
    fn run(&mut self, input: &RunnerInput<'_>) {
        match input {
            RunnerInput::Market(id, data) => self.host.market(*id, data),
            RunnerInput::Clock(id, due) => self.host.fire(*id, *due),
            RunnerInput::TimersMissed(until) => self.host.miss_timers(*until),
            RunnerInput::Switch(strategy, enabled) => self.host.switch(*strategy, *enabled),
        }
    }

    /// Takes an input without emitting: recovery.
    pub fn observe(&mut self, input: &RunnerInput<'_>) {
        self.run(input);
        self.host.clear_made();
    }

    /// Takes a recorded output: recovery. A strategy that failed stays disabled even where its
    /// failure does not repeat.
    pub fn apply(&mut self, output: &RunnerOutput) {
        if let RunnerOutput::StrategyDisabled(strategy, ..) = output {
            self.host.switch(*strategy, false);
        }
    }

    /// Takes an input and emits what follows from it.
    #[inline]
    pub fn step(&mut self, input: &RunnerInput<'_>, out: &mut Vec<RunnerOutput>) {
        self.run(input);
        if !self.host.made().is_empty() {
            out.extend(self.host.made().iter().map(|made| match made {
                Made::Signal(signal, brokers) => RunnerOutput::Signal(*signal, *brokers),
                Made::Failed(strategy, reason, brokers, name) => {
                    RunnerOutput::StrategyDisabled(*strategy, *reason, *brokers, *name)
                }
            }));
            self.host.clear_made();
        }
    }

    /// The state for a snapshot.
    pub fn save_state(&self) -> Result<HostState, strategies::StateError> {
        self.host.save_state()
    }

    /// Takes a saved state over: see [`StrategyHost::restore_state`].
    pub fn restore_state(
        &mut self,
        saved: &HostState,
        unchanged: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        self.host.restore_state(saved, unchanged)
    }

    /// Strategies that `changed` names start from warm-up: see [`StrategyHost::begin_anew`].
    pub fn begin_anew(&mut self, fresh: &HostState, changed: impl Fn(&str) -> bool) -> Vec<String> {
        self.host.begin_anew(fresh, changed)
    }

    /// Whose inputs the next ones are: see [`StrategyHost::set_source`].
    pub fn set_source(&mut self, source: SourceSession) {
        self.host.set_source(source);
    }

    /// Who is told of every call of a strategy.
    pub fn set_probe(&mut self, probe: Option<Arc<dyn CallProbe>>) {
        self.host.set_probe(probe);
    }

    /// The hosted strategies.
    pub fn host(&self) -> &StrategyHost {
        &self.host
    }
}
