//! What a call of a strategy asked for: its timers are set, its decisions get an identity and a chain.

use model::ids::SourceSession;
use model::reason::Reason;
use model::signal::{Action, Decision, Side, Signal, Trigger};
use model::{CorrelationId, InputId, Quantity, SignalId, Timestamp};

use super::{
    DECISIONS_PER_CALL_MAX, Hosted, Made, StrategyHost, TIMER_DELAY_MIN, TIMERS_MAX, Timer,
};

impl StrategyHost {
    #[cold]
    #[inline(never)]
    pub(super) fn collect(&mut self, host: usize, due: Option<Timestamp>, trigger: &Trigger) {
        let fault = self.decisions.len() > DECISIONS_PER_CALL_MAX
            || self.hosted[host].timers.len() + self.requests.len() > TIMERS_MAX
            || self
                .decisions
                .iter()
                .any(|d| !self.hosted[host].slots.contains_key(&d.instrument));
        if fault {
            self.fail(host, Reason::InvalidSignal);
            return;
        }
        let hosted = &mut self.hosted[host];
        let mut moved = false;
        for mut request in self.requests.drain(..) {
            // One that keeps asking for "now" must not keep time from passing.
            request.due = request.due.max(self.now.plus(TIMER_DELAY_MIN));
            hosted.timers.retain(|t| t.id != request.id);
            let mut timer = Timer {
                due: request.due,
                id: request.id,
                missed: None,
            };
            // One that a bar of the absence asks for is of the absence, too.
            timer.miss(hosted.missed_timers, self.back);
            hosted.timers.push(timer);
            moved = true;
        }
        for decision in self.decisions.drain(..) {
            let Some(slot) = hosted.slots.get(&decision.instrument) else {
                continue;
            };
            if hosted.warm_left[slot.index()] > 0 {
                continue;
            }
            let Some(correlation) =
                hosted.relate(slot.index(), &decision, self.source, self.input, due)
            else {
                continue;
            };
            if hosted.ordinal.0 != self.input {
                hosted.ordinal = (self.input, 0);
            }
            let ordinal = hosted.ordinal.1;
            hosted.ordinal.1 += 1;
            let signal = Signal {
                id: SignalId::derive(hosted.hash, self.source, self.input, ordinal),
                correlation,
                strategy: hosted.index,
                input: self.input,
                ordinal,
                ts: self.now,
                trigger: *trigger,
                decision: Decision {
                    product: hosted.product,
                    // What is no estimate is left out: not-a-number is unequal to itself, and a replay
                    // would differ from its record.
                    confidence: decision.confidence.filter(|c| (0.0..=1.0).contains(c)),
                    ..decision
                },
            };
            self.made.push(Made::Signal(signal, hosted.brokers));
        }
        if moved {
            self.refresh_due();
        }
    }
}

impl Hosted {
    /// The chain that a decision belongs to: one that opens, adds or reverses starts one, one that
    /// only reduces keeps the opener's. `None` for a target that says nothing new.
    fn relate(
        &mut self,
        slot: usize,
        decision: &Decision,
        source: SourceSession,
        input: InputId,
        due: Option<Timestamp>,
    ) -> Option<CorrelationId> {
        let believed = self.believed[slot];
        let wanted = match decision.action {
            Action::Target { quantity } => {
                let key = (
                    quantity,
                    decision.order_type,
                    decision.limit_price,
                    decision.trigger_price,
                );
                if self.last_target[slot] == Some(key) {
                    return None;
                }
                self.last_target[slot] = Some(key);
                quantity
            }
            Action::Enter { side, quantity } => {
                self.last_target[slot] = None;
                believed
                    .checked_add(side.signed(quantity))
                    .unwrap_or(believed)
            }
            Action::Exit { quantity } => {
                self.last_target[slot] = None;
                let part = quantity
                    .unwrap_or(believed.abs())
                    .raw()
                    .clamp(0, believed.abs().raw());
                let step = Side::of(believed).signed(Quantity::from_raw(part));
                believed.checked_sub(step).unwrap_or(Quantity::ZERO)
            }
        };
        self.believed[slot] = wanted;
        let only_reduces = wanted.is_zero()
            || (wanted.signum() == believed.signum() && wanted.abs() <= believed.abs());
        if !only_reduces || self.opener[slot] == CorrelationId::default() {
            self.opener[slot] = match due {
                None => CorrelationId::of_decision(self.hash, source, input),
                Some(due) => CorrelationId::of_timed_decision(self.hash, source, due.nanos()),
            };
        }
        Some(self.opener[slot])
    }
}
