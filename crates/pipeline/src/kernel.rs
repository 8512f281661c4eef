//! The kernel: the runner and the pipelines of any set of brokers, stepped in lockstep. A backtest
//! and a replay drive it directly; a host with threads runs the same stages on their own.

use std::convert::Infallible;

use model::control::{Command, CommandAction};
use model::event::Event;
use model::ids::{CommandId, InputId};
use model::market::MarketData;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::broker::{BrokerPipeline, Input};
use crate::due::fire_due;
use crate::runner::{Runner, RunnerInput, RunnerOutput};

/// A set of namespaces, by their index in the kernel: at most 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BrokerMask(pub u64);

/// The most namespaces of one system.
pub const BROKERS_MAX: usize = 64;

impl BrokerMask {
    /// The set of one namespace.
    pub const fn single(index: usize) -> Self {
        Self(1 << (index % BROKERS_MAX))
    }
    /// With another namespace.
    pub const fn with(self, index: usize) -> Self {
        Self(self.0 | Self::single(index).0)
    }
    /// Whether a namespace is in it.
    #[inline]
    pub const fn contains(self, index: usize) -> bool {
        self.0 & Self::single(index).0 != 0
    }
}

/// Takes what the kernel produces, batch by batch and in order.
pub trait EventSink {
    /// Events of one namespace, in order.
    fn events(&mut self, namespace: usize, events: &[Event]);
}

/// The stages of one system, and the buffers that are reused for what they produce.
pub struct Kernel {
    runner: Runner,
    pipelines: Vec<BrokerPipeline>,
    signals: Vec<RunnerOutput>,
    out: Vec<Event>,
}

impl Kernel {
    /// Composes a runner and pipelines; the masks of the runner's strategies mean positions in
    /// `pipelines`.
    pub fn new(runner: Runner, pipelines: Vec<BrokerPipeline>) -> Self {
        Self {
            runner,
            pipelines,
            signals: Vec::new(),
            out: Vec::new(),
        }
    }

    /// The pipelines.
    pub fn pipelines(&self) -> &[BrokerPipeline] {
        &self.pipelines
    }
    /// The runner.
    pub fn runner(&self) -> &Runner {
        &self.runner
    }

    /// Market data number `id`: first every timer that is due, then the pipelines, then the runner,
    /// whose signals the pipelines take before the next input.
    #[inline]
    pub fn market(&mut self, id: InputId, data: &MarketData<'_>, sink: &mut impl EventSink) {
        self.advance(id, data.ts(), sink);
        for (index, pipeline) in self.pipelines.iter_mut().enumerate() {
            pipeline.step(&Input::Market(id, data), &mut self.out);
            if !self.out.is_empty() {
                sink.events(index, &self.out);
                self.out.clear();
            }
        }
        self.runner
            .step(&RunnerInput::Market(id, data), &mut self.signals);
        if !self.signals.is_empty() {
            self.deliver(id, data.ts(), sink);
        }
    }

    /// Fires every timer that is due at or before `ts`, the runner's first where several are due
    /// at one instant.
    #[inline]
    pub fn advance(&mut self, id: InputId, ts: Timestamp, sink: &mut impl EventSink) {
        if self.runner.next_due() <= ts {
            self.advance_runner(id, ts, sink);
        }
        for index in 0..self.pipelines.len() {
            if self.pipelines[index].next_due() <= ts {
                self.advance_pipeline(index, id, ts, sink);
            }
        }
    }

    /// The data has ended at `end`: fires all that is due by then, and lets every namespace mark what
    /// it still holds once more. None of it depends on what other namespaces there are.
    pub fn finish(&mut self, id: InputId, end: Timestamp, sink: &mut impl EventSink) {
        self.advance(id, end, sink);
        for index in 0..self.pipelines.len() {
            let snapshot = self.pipelines[index].next_snapshot();
            if snapshot != Timestamp::MAX {
                self.advance_pipeline(index, id, snapshot, sink);
            }
        }
    }

    #[cold]
    fn advance_runner(&mut self, id: InputId, ts: Timestamp, sink: &mut impl EventSink) {
        let next_due = |kernel: &Self| kernel.runner.next_due();
        let Ok(()) = fire_due(self, ts, next_due, |kernel, due| {
            let input = RunnerInput::Clock(id, due);
            kernel.runner.step(&input, &mut kernel.signals);
            kernel.deliver(id, due, sink);
            Ok::<(), Infallible>(())
        });
    }

    #[cold]
    fn advance_pipeline(
        &mut self,
        index: usize,
        id: InputId,
        ts: Timestamp,
        sink: &mut impl EventSink,
    ) {
        let next_due = |kernel: &Self| kernel.pipelines[index].next_due();
        let Ok(()) = fire_due(self, ts, next_due, |kernel, due| {
            kernel.pipelines[index].step(&Input::Clock(id, due), &mut kernel.out);
            if !kernel.out.is_empty() {
                sink.events(index, &kernel.out);
                kernel.out.clear();
            }
            Ok::<(), Infallible>(())
        });
    }

    fn deliver(&mut self, id: InputId, ts: Timestamp, sink: &mut impl EventSink) {
        let mut signals = std::mem::take(&mut self.signals);
        for output in signals.drain(..) {
            match output {
                RunnerOutput::Signal(signal, brokers) => {
                    for index in 0..self.pipelines.len() {
                        if !brokers.contains(index) {
                            continue;
                        }
                        if self.pipelines[index].next_due() <= signal.ts {
                            self.advance_pipeline(index, id, signal.ts, sink);
                        }
                        self.pipelines[index].step(&Input::Signal(&signal), &mut self.out);
                        sink.events(index, &self.out);
                        self.out.clear();
                    }
                }
                RunnerOutput::StrategyDisabled(strategy, reason, brokers, name) => {
                    // Its namespaces are told by a command, which their logs then hold.
                    let action = CommandAction::DisableStrategy(strategy, reason);
                    let command =
                        Command::of_system(CommandId::of_failure(name, ts.nanos()), action);
                    for index in (0..self.pipelines.len()).filter(|i| brokers.contains(*i)) {
                        self.input(index, &Input::Command(ts, &command), sink);
                    }
                }
            }
        }
        self.signals = signals;
    }

    /// An input for one namespace that is not market data: a report or a command.
    pub fn input(&mut self, index: usize, input: &Input<'_>, sink: &mut impl EventSink) {
        let ts = match input {
            Input::Market(_, data) => data.ts(),
            Input::Clock(_, ts) | Input::Command(ts, _) => *ts,
            Input::Signal(signal) => signal.ts,
            Input::Report(report) => report.ts,
            Input::TimersMissed(_) => Timestamp::MIN,
        };
        let id = match input {
            Input::Market(id, _) | Input::Clock(id, _) => *id,
            _ => self.pipelines[index].latest_input(),
        };
        if self.pipelines[index].next_due() <= ts {
            self.advance_pipeline(index, id, ts, sink);
        }
        self.pipelines[index].step(input, &mut self.out);
        sink.events(index, &self.out);
        self.out.clear();
    }
}
