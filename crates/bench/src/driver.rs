//! Drives the embedded state machines in one thread under a clock of its own: days in seconds.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};
use feeds::live::Batch;
use journal::{DirLock, LogName};
use model::Timestamp;
use model::session::Sessions;
use runtime::clock::SessionClock;
use runtime::desk::carry_out;
use runtime::market::{MarketHost, MarketRecovery};
use runtime::namespace::Namespace;
use runtime::packet::{Packet, Step};
use session::Opened;
use traders::{BrokerReport, Reports, Trader};

#[derive(Default)]
struct Said(Mutex<Vec<BrokerReport>>);

impl Reports for Said {
    fn report(&self, report: BrokerReport) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.push(report);
        true
    }
    fn lost(&self, _: &str) {}
    fn unreadable(&self, _: &[u8], _: &str) {}
}

struct Member {
    namespace: Namespace,
    trader: Option<Box<dyn Trader>>,
    said: Arc<Said>,
}

/// The state machines.
pub struct Driver {
    market: MarketHost,
    members: Vec<Member>,
    clock: Arc<dyn SessionClock>,
    sessions: Arc<dyn Sessions>,
    _lock: DirLock,
}

impl Driver {
    /// Takes over what was opened. `keep_days` is how many days of the logs are kept; 0 for all.
    pub fn begin(opened: Opened, keep_days: u32) -> anyhow::Result<Self> {
        let Opened {
            lock,
            logs,
            market,
            sessions,
            clock,
            runner,
            ready,
            start,
            ..
        } = opened;
        let (mut market, _) = MarketHost::open(
            market,
            MarketRecovery {
                log: logs.log(LogName::Market),
                runner,
                start,
                clock: Arc::clone(&clock),
                namespaces: ready.iter().map(|r| r.namespace.next_input()).collect(),
                disabled: Vec::new(),
            },
            &mut |_| Ok(()),
        )?;
        market.keep(runtime::retention::keep(keep_days, 0));
        let mut members = Vec::new();
        for part in ready {
            let said = Arc::new(Said::default());
            let mut trader = part.outside;
            let mut namespace = part.namespace;
            namespace.keep_days(keep_days);
            if let Some(trader) = &mut trader {
                let reports: Arc<dyn Reports> = said.clone();
                trader.connect(reports)?;
                namespace.reconnected();
            }
            members.push(Member {
                namespace,
                trader,
                said,
            });
        }
        Ok(Self {
            market,
            members,
            clock,
            sessions,
            _lock: lock,
        })
    }

    /// Hands ticks over, as of `now`, and does all that follows from them. Orders are called for one
    /// by one, as they are decided.
    pub fn feed(&mut self, batch: &Batch, now: Timestamp) -> anyhow::Result<()> {
        let mut packet = Packet {
            steps: Vec::with_capacity(batch.items.len() + 4),
            position: self.market.log().durable(),
            received: now.nanos(),
        };
        self.market.take(batch, &mut packet);
        self.clock.reach(now);
        self.market.idle(now, &mut packet);
        self.market.commit();
        if let Some(why) = self.market.failed() {
            bail!("the market log failed: {why}");
        }
        for member in &mut self.members {
            for step in &packet.steps {
                member
                    .namespace
                    .take(step, packet.position, packet.received)?;
                if matches!(step, Step::Signal(..)) {
                    settle(member, self.clock.now())?;
                }
            }
            member.namespace.idle(now)?;
            settle(member, self.clock.now())?;
        }
        Ok(())
    }

    /// As the hosts do from time to time: a file for each trading day, old files gone, a snapshot.
    pub fn save(&mut self) -> anyhow::Result<()> {
        let day = self.sessions.trading_day(self.clock.now()).date;
        for member in &mut self.members {
            if member.namespace.begin_day(day)? {
                member.namespace.retain(day)?;
            }
            member.namespace.snapshot()?;
        }
        if self.market.begin_day(day) {
            let journals = self
                .members
                .iter()
                .map(|m| Arc::clone(m.namespace.journal()));
            self.market.retain(&journals.collect::<Vec<_>>(), day)?;
        }
        self.market.snapshot(false).context("the runner's snapshot")
    }

    /// Events recorded by all namespaces.
    pub fn events(&self) -> u64 {
        self.members
            .iter()
            .map(|m| m.namespace.stats().events)
            .sum()
    }
}

fn settle(member: &mut Member, now: Timestamp) -> anyhow::Result<()> {
    loop {
        if member.namespace.is_waiting() {
            member.namespace.commit()?;
        }
        let said = {
            let mut said = member.said.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *said)
        };
        for report in &said {
            member.namespace.report(report)?;
        }
        let call = member.namespace.next_call()?;
        if let (Some(call), Some(trader)) = (&call, &mut member.trader) {
            let outcome = carry_out(trader.as_mut(), call, now);
            member
                .namespace
                .answered(call, outcome, now.nanos(), now.nanos())?;
            continue;
        }
        if !member.namespace.is_waiting() {
            return Ok(());
        }
    }
}
