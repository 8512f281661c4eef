//! Signals of a session's last instant: no order can be sent any more, so they are held and judged at the
//! next open. A bar that ends with its session, a daily one above all, can be traded in no other way.

use super::*;

/// A bar whose last part is missing ends so long after its session, in nanoseconds.
const LATE: i64 = 1;

impl BrokerPipeline {
    /// When a signal is to be judged that was decided as its session ended; `None`: now.
    pub(super) fn held_until(&self, signal: &Signal) -> Option<Timestamp> {
        let group = self.groups[signal.decision.instrument.index()];
        if matches!(self.session(group), SessionStatus::Open(_)) || !self.asks_session(signal) {
            return None;
        }
        let within = self.sessions.status(group, signal.ts.plus(-LATE - 1));
        let SessionStatus::Open(window) = within else {
            return None;
        };
        let ended = window.close <= signal.ts;
        match self.sessions.status(group, signal.ts) {
            // One that comes after that open is late, and is judged as late.
            SessionStatus::Closed { next_open }
                if ended && self.now < next_open && next_open < Timestamp::MAX =>
            {
                Some(next_open).filter(|_| !self.engine.held().is_full())
            }
            _ => None,
        }
    }

    /// Whether a rule refuses the signal while its session is closed.
    fn asks_session(&self, signal: &Signal) -> bool {
        let own = self.risk.own_limits(signal.strategy);
        self.risk.limits().session_open || own.is_some_and(|own| own.session_open)
    }

    /// Keeps a signal for the next open, in place of what it makes pointless.
    pub(super) fn hold(&mut self, signal: &Signal, open: Timestamp, out: &mut Vec<Event>) {
        for older in self.engine.held().superseded_by(signal) {
            self.refuse(&older, None, Reason::SupersededTarget, out);
        }
        let body = EventBody::SignalHeld {
            signal: *signal,
            open,
        };
        let cause = Cause::Signal(signal.id);
        self.emit(self.now, signal.correlation, cause, body, out);
    }

    /// Judges the signals whose session opens now, in the order in which they were held.
    pub(super) fn release_held(&mut self, due: Timestamp, out: &mut Vec<Event>) {
        if self.engine.held().next_due() > due {
            return;
        }
        for signal in self.engine.held().due(due) {
            // What an earlier one led to may have ended it.
            if self.engine.held().contains(signal.id) {
                self.resolve_signal(&signal, out);
                self.drain_trader(out);
            }
        }
    }

    /// Refuses the held signals whose orders would be among the `wanted`. One that also closes counts as
    /// what closes: it is judged when its session opens.
    pub(super) fn drop_held(
        &mut self,
        reason: Reason,
        out: &mut Vec<Event>,
        wanted: impl Fn(&OrderIntent) -> bool,
    ) {
        let held: Vec<_> = self.engine.held().iter().copied().collect();
        for signal in held {
            let position = self.portfolio.quantity(&key_of(&signal));
            let Ok(plan) = self.engine.plan(&signal, position) else {
                continue;
            };
            let mut intent = self.intent_of(&signal, &plan);
            if plan.increase < plan.quantity {
                intent.role = OrderRole::Exit;
            }
            if wanted(&intent) {
                self.refuse(&signal, Some(&plan), reason, out);
            }
        }
    }
}
