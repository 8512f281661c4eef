//! A pipeline's state in a snapshot. What is a setting comes from the composition, not from it.

use model::reindex::Reindex;
use serde::{Deserialize, Serialize};

use super::*;
use crate::strategy_host::HostState;

/// Everything of a pipeline that its inputs have made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PipelineState {
    strategies: HostState,
    risk: Risk,
    engine: Engine,
    portfolio: Portfolio,
    day_book: DayBook,
    /// The trader's own, where it is inside the pipeline and has not been detached.
    trader: Option<Vec<u8>>,
    now: Timestamp,
    input: InputId,
    next_snapshot: Timestamp,
    hours: DataHours,
    stats: PipelineStats,
    tally: Tally,
}

/// Why a state cannot be saved or taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PipelineStateError {
    /// A strategy's own state.
    #[error(transparent)]
    Strategy(#[from] strategies::StateError),
    /// The trader's own state.
    #[error(transparent)]
    Trader(#[from] model::trader::TraderStateError),
}

impl BrokerPipeline {
    /// The state for a snapshot.
    pub fn save_state(&self) -> Result<PipelineState, PipelineStateError> {
        Ok(PipelineState {
            strategies: self.strategies.save_state()?,
            risk: self.risk.clone(),
            engine: self.engine.clone(),
            portfolio: self.portfolio.clone(),
            day_book: self.day_book.clone(),
            trader: self.trader.as_ref().map(|t| t.save()).transpose()?,
            now: self.now,
            input: self.input,
            next_snapshot: self.next_snapshot,
            hours: self.hours.clone(),
            stats: self.stats,
            tally: self.tally.clone(),
        })
    }

    /// Takes a saved state over, in a pipeline that has seen nothing yet. The state's indices must have
    /// been translated where it was decoded; `map` brings its tables into order, and what is encoded
    /// in it. `unchanged` says whether a strategy is defined as it was. Returns the strategies that start
    /// from warm-up; an error leaves the pipeline as it was.
    pub fn restore_state(
        &mut self,
        saved: PipelineState,
        map: &Reindex,
        unchanged: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, PipelineStateError> {
        // Before all else: a trader that refuses its state leaves the pipeline as it was.
        match (&saved.trader, &mut self.trader) {
            (Some(state), Some(trader)) => trader.restore(state, map)?,
            // It was detached, and stays so.
            (None, _) => self.trader = None,
            (Some(_), None) => {}
        }
        let anew = self.strategies.restore_state(&saved.strategies, unchanged);
        self.risk.adopt(saved.risk, map);
        self.engine.adopt(saved.engine, map);
        self.portfolio.adopt(saved.portfolio, map);
        self.day_book = saved.day_book;
        (self.now, self.input) = (saved.now, saved.input);
        self.next_snapshot = saved.next_snapshot;
        self.hours.adopt(saved.hours);
        (self.stats, self.tally) = (saved.stats, saved.tally);
        if saved.now > Timestamp::MIN {
            // Where days and sessions stand follows from the time; counters were saved as they were.
            self.day = Some(self.sessions.trading_day(self.now));
            self.schedule_square_offs(self.now, Timestamp::MAX);
            self.schedule_expiries(self.now, Timestamp::MAX);
            for i in 0..self.opens.len() {
                let next = self.next_open(self.opens[i].group, self.now);
                self.opens[i].due = if next > self.now {
                    next
                } else {
                    Timestamp::MAX
                };
            }
            self.set_clocks_due();
            self.due = self.earliest_due();
        }
        Ok(anew)
    }

    /// The strategies' state, to begin anew from.
    pub fn save_strategies(&self) -> Result<HostState, strategies::StateError> {
        self.strategies.save_state()
    }

    /// Strategies that `changed` names start from warm-up: see [`StrategyHost::begin_anew`].
    pub fn begin_anew(&mut self, fresh: &HostState, changed: impl Fn(&str) -> bool) -> Vec<String> {
        let anew = self.strategies.begin_anew(fresh, changed);
        self.due = self.earliest_due();
        anew
    }

    /// Whose inputs the next ones are: see [`StrategyHost::set_source`].
    pub fn set_source(&mut self, source: SourceSession) {
        self.strategies.set_source(source);
    }

    /// Who is told of every call of a strategy.
    pub fn set_probe(&mut self, probe: Option<Arc<dyn crate::strategy_host::CallProbe>>) {
        self.strategies.set_probe(probe);
    }
}
