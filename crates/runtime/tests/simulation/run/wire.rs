//! Calls on their way to the broker, answers and reports on their way back.

use super::*;

impl Simulation {
    pub(super) fn hand_over(&mut self, call: Call) {
        self.trace(|| format!("call {call:?}"));
        let mut instrument = String::new();
        if let Call::Submit(id, client, intent) = &call {
            assert_eq!(
                *client,
                id.client_order_id(self.salt()),
                "a client order id that is not the order's"
            );
            instrument.clone_from(&self.instruments.get(intent.instrument).id);
        }
        self.sequence += 1;
        let id = self.sequence;
        self.carried.insert(
            id,
            Carried {
                call,
                life: self.life,
                connection: 0,
                instrument,
                outcome: None,
                answered: false,
            },
        );
        let after = self.chance.pick(&[0, 1, 1, 5, 300]) * MS;
        self.after(after, Ev::Start(id));
    }

    pub(super) fn salt(&self) -> u128 {
        // The first start's, kept ever since.
        u128::from(self.config.seed) << 64 | 1
    }

    pub(super) fn start_call(&mut self, id: u64) {
        let now = self.clock.now();
        let (connected, connection) = (self.connected, self.connection);
        let Some(carried) = self.carried.get_mut(&id) else {
            return;
        };
        if carried.life != self.life {
            return;
        }
        carried.connection = connection;
        if !connected {
            let outcome = unstarted(&carried.call);
            self.outcome(id, outcome);
            return;
        }
        if let Call::Submit(order, client, intent) = &carried.call {
            if now > intent.send_by {
                self.outcome(id, Outcome::Answered(Answer::NotSent(Reason::NotSent)));
                return;
            }
            let presented = self.presented.entry(*client).or_insert((0, *order));
            presented.0 += 1;
            assert!(
                presented.0 == 1 || self.config.plan.delivery == Delivery::Idempotent,
                "{order} is presented twice to a broker that must not see it twice"
            );
        }
        self.link.calling(Some(now.nanos()));
        let bad = self.config.network && !self.settling;
        let timeout = self.chance.within(1_000, 3_000) * MS;
        self.after(timeout, Ev::Timeout(id));
        if bad && self.chance.one_in(10) {
            // The request is lost.
            return;
        }
        let delay = match self.chance.below(12) {
            0 if bad => self.chance.within(1, CALL_WITHIN / MS - 1) * MS,
            _ => self.chance.within(1, 60) * MS,
        };
        self.after(delay, Ev::Arrive(id));
    }

    pub(super) fn arrive(&mut self, id: u64, at: i64) {
        let Some(carried) = self.carried.get_mut(&id) else {
            return;
        };
        let outcome = match &carried.call {
            Call::Submit(_, client, intent) => {
                Outcome::Answered(self.broker.submit(*client, intent, &carried.instrument, at))
            }
            Call::Cancel(_, client) => Outcome::Answered(self.broker.cancel(*client)),
            Call::Modify(_, client, change) => {
                Outcome::Answered(self.broker.modify(*client, change))
            }
            Call::Query(_, client) => Outcome::Found(self.broker.query(client, at)),
        };
        let told = format!("arrived {:?}: {outcome:?}", carried.call);
        carried.outcome = Some(outcome);
        self.trace(|| told);
        self.tell();
        let bad = self.config.network && !self.settling;
        if bad && self.chance.one_in(10) {
            // The answer is lost.
            return;
        }
        let delay = match self.chance.below(12) {
            0 if bad => self.chance.within(1, 2_500) * MS,
            _ => self.chance.within(1, 60) * MS,
        };
        self.after(delay, Ev::Reply(id));
    }

    pub(super) fn reply(&mut self, id: u64) {
        let Some(carried) = self.carried.get_mut(&id) else {
            return;
        };
        if carried.connection != self.connection {
            return;
        }
        if let Some(outcome) = carried.outcome.take() {
            self.outcome(id, outcome);
        }
    }

    pub(super) fn timeout(&mut self, id: u64) {
        if let Some(carried) = self.carried.get(&id) {
            let outcome = unproven(&carried.call);
            self.outcome(id, outcome);
        }
    }

    /// The host learns what came of a call, once.
    pub(super) fn outcome(&mut self, id: u64, outcome: Outcome) {
        let life = self.life;
        if let Some(carried) = self.carried.get_mut(&id)
            && carried.life == life
            && !carried.answered
        {
            carried.answered = true;
            let call = carried.call.clone();
            self.trace(|| format!("outcome {outcome:?} of {call:?}"));
            self.link.calling(None);
            let at = self.now();
            let message = Message::Outcome(call, outcome, at, at);
            self.sides[OUTSIDE].messages.push_back(message);
        }
    }

    /// What the broker has said since is on its way.
    pub(super) fn tell(&mut self) {
        while self.told < self.broker.stream.len() {
            let index = self.told;
            self.told += 1;
            if self.connected {
                self.send_report(index);
            }
        }
    }

    pub(super) fn send_report(&mut self, index: usize) {
        let report = self.broker.stream[index];
        let client = report.client_order_id;
        let bad = self.config.network && !self.settling;
        let delay = match self.chance.below(10) {
            0 if bad => self.chance.within(1, 4_000) * MS,
            _ => self.chance.within(0, 80) * MS,
        };
        let mut at = self.now() + delay;
        if self.config.numbered {
            // A numbered stream keeps its order.
            at = at.max(self.pushed_at);
            self.pushed_at = at;
        } else if let Some((before, earlier)) = self.pushed_by.get(&client).copied() {
            let modified = self.broker.orders[&client]
                .history
                .iter()
                .any(|r| matches!(r.kind, model::trader::ReportKind::Modified { .. }));
            if before > self.now() && bad && !modified && self.chance.one_in(3) {
                // This one overtakes the one before, which comes at once behind it.
                let connection = self.connection;
                self.at(before - 1, Ev::Push(index, connection));
                self.at(before, Ev::Push(earlier, connection));
                return;
            }
            at = at.max(before);
        }
        self.pushed_by.insert(client, (at, index));
        let connection = self.connection;
        self.at(at, Ev::Push(index, connection));
        if bad && self.chance.one_in(8) {
            let again = at + self.chance.within(0, 5_000) * MS;
            self.at(again, Ev::Push(index, connection));
        }
    }

    pub(super) fn push(&mut self, index: usize, connection: u64) {
        if connection == self.connection && self.connected {
            let report = self.broker.stream[index];
            self.trace(|| format!("report {report:?}"));
            self.sides[OUTSIDE]
                .messages
                .push_back(Message::Report(report));
        }
    }

    pub(super) fn drop_connection(&mut self) {
        if self.connected {
            self.connected = false;
            self.trace(|| "lost".to_owned());
            self.connection += 1;
            self.pushed_by.clear();
            self.sides[OUTSIDE]
                .messages
                .push_back(Message::Lost(String::new()));
            self.link.connected(false);
            let after = self.chance.within(1, 6_000) * MS;
            self.after(after, Ev::Connect);
        }
        let after = self.chance.within(1, 30) * SECOND;
        self.after(after, Ev::Drop);
    }

    pub(super) fn connect(&mut self) {
        if self.connected {
            return;
        }
        self.connected = true;
        self.link.connected(true);
        self.trace(|| "connected".to_owned());
        self.connection += 1;
        self.pushed_at = self.now();
        self.sides[OUTSIDE].messages.push_back(Message::Connected);
        if self.config.numbered {
            for index in self.broker.confirmed as usize..self.told {
                self.send_report(index);
            }
        }
    }
}
