//! A host's state in a snapshot: by strategy name and instrument, never by slot, so that it reads under
//! other tables.

use model::{Bar, CorrelationId, InputId, InstrumentIdx, Quantity, Timestamp};
use serde::{Deserialize, Serialize};
use strategies::StateError;

use super::{GroupClock, Hosted, StrategyHost, TargetKey, Timer};

/// Everything of a host that its inputs have made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostState {
    now: Timestamp,
    back: Timestamp,
    input: InputId,
    /// Bars in the making, each with the instant at which its timer finishes it.
    bars: Vec<(Bar, Timestamp)>,
    strategies: Vec<HostedState>,
}

/// A strategy's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct HostedState {
    name: String,
    enabled: bool,
    slots: Vec<SlotState>,
    timers: Vec<Timer>,
    ordinal: (InputId, u32),
    /// The strategy's own.
    own: Vec<u8>,
}

/// What a strategy has in one instrument.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SlotState {
    instrument: InstrumentIdx,
    warm_left: u32,
    position: Option<Quantity>,
    believed: Quantity,
    last_target: Option<TargetKey>,
    opener: CorrelationId,
}

impl Hosted {
    fn state(&self) -> Result<HostedState, StateError> {
        let slots = self.instruments.iter().enumerate();
        Ok(HostedState {
            name: self.name.clone(),
            enabled: self.enabled,
            slots: slots
                .map(|(slot, instrument)| SlotState {
                    instrument: *instrument,
                    warm_left: self.warm_left[slot],
                    position: self.positions.as_ref().map(|p| p[slot]),
                    believed: self.believed[slot],
                    last_target: self.last_target[slot],
                    opener: self.opener[slot],
                })
                .collect(),
            timers: self.timers.clone(),
            ordinal: self.ordinal,
            own: self.strategy.save()?,
        })
    }

    /// Takes a state over. False where the strategy starts from warm-up; what it holds is kept then.
    fn adopt(&mut self, saved: &HostedState, unchanged: bool) -> bool {
        let taken = unchanged && self.strategy.restore(&saved.own).is_ok();
        for state in &saved.slots {
            let Some(slot) = self.slots.get(&state.instrument).map(|s| s.index()) else {
                continue;
            };
            if let (Some(positions), Some(position)) = (&mut self.positions, state.position) {
                positions[slot] = position;
            }
            if taken {
                self.warm_left[slot] = state.warm_left;
                self.believed[slot] = state.believed;
                self.last_target[slot] = state.last_target;
                self.opener[slot] = state.opener;
            }
        }
        self.ordinal = saved.ordinal;
        if taken {
            self.enabled = saved.enabled;
            self.timers.clone_from(&saved.timers);
        }
        taken
    }
}

impl StrategyHost {
    /// The state for a snapshot.
    pub fn save_state(&self) -> Result<HostState, StateError> {
        Ok(HostState {
            now: self.now,
            back: self.back,
            input: self.input,
            bars: self.bars.in_the_making().collect(),
            strategies: self
                .hosted
                .iter()
                .map(Hosted::state)
                .collect::<Result<_, _>>()?,
        })
    }

    /// Takes a saved state over, in a host that has seen nothing yet. `unchanged` says whether a
    /// strategy is defined as it was. Returns those that start from warm-up: new ones, changed ones,
    /// and those whose own state does not fit.
    pub fn restore_state(
        &mut self,
        saved: &HostState,
        unchanged: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        self.now = saved.now;
        self.back = saved.back;
        self.input = saved.input;
        for (bar, timer) in &saved.bars {
            self.bars.put_back(bar, *timer);
        }
        let mut anew = Vec::new();
        for hosted in &mut self.hosted {
            let state = saved.strategies.iter().find(|s| s.name == hosted.name);
            let taken = state.is_some_and(|s| hosted.adopt(s, unchanged(&hosted.name)));
            if !taken {
                anew.push(hosted.name.clone());
            }
        }
        if saved.now > Timestamp::MIN {
            self.restore_sessions();
        }
        anew
    }

    /// Strategies that `changed` names start from warm-up: `fresh` is the state that the host was built
    /// with. What they hold, and whether they may trade, stays. Returns them.
    pub fn begin_anew(&mut self, fresh: &HostState, changed: impl Fn(&str) -> bool) -> Vec<String> {
        let mut anew = Vec::new();
        for hosted in self.hosted.iter_mut().filter(|h| changed(&h.name)) {
            let Some(state) = fresh.strategies.iter().find(|s| s.name == hosted.name) else {
                continue;
            };
            let (positions, enabled) = (hosted.positions.clone(), hosted.enabled);
            hosted.adopt(state, true);
            (hosted.positions, hosted.enabled) = (positions, enabled);
            anew.push(hosted.name.clone());
        }
        self.refresh_due();
        anew
    }

    /// Where the sessions stand follows from the time.
    fn restore_sessions(&mut self) {
        for g in 0..self.groups.len() {
            let group = self.groups[g].group;
            self.groups[g] = GroupClock {
                group,
                status: self.sessions.status(group, self.now),
            };
            let window = self.groups[g].window();
            for hosted in &mut self.hosted {
                for (slot, instrument) in hosted.instruments.iter().enumerate() {
                    if self.group_of[instrument.index()] as usize == g {
                        hosted.windows[slot] = window;
                    }
                }
            }
        }
        self.refresh_due();
    }
}
