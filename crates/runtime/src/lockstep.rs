//! A replay in lockstep with a broker outside: no market input passes before everything that the broker
//! has to say up to the one before is journalled, and no call is left open.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use journal::record::MarketItem;
use model::InputId;
use model::trader::Delivery;
use traders::{BrokerReport, LinkError, Reports, Trader};

use crate::clock::wall;
use crate::desk::{carry_out, unstarted};
use crate::driver::namespace::{NamespaceStatus, fenced};
use crate::error::RuntimeError;
use crate::host::link::Unreadable;
use crate::namespace::Namespace;
use crate::packet::Step;

/// Questions of a `query_only` order that lead to nothing before time passes over it.
const TRIES_MAX: u32 = 8;
/// The pause after a connection that was refused.
const PAUSE: Duration = Duration::from_millis(5);

struct Sink {
    said: Mutex<Vec<BrokerReport>>,
    lost: Mutex<Option<String>>,
    unreadable: Unreadable,
}

impl Reports for Sink {
    fn report(&self, report: BrokerReport) -> bool {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(report);
        true
    }
    fn lost(&self, why: &str) {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
    }
    fn unreadable(&self, what: &[u8], why: &str) {
        (self.unreadable)(what, why);
    }
}

/// The route of a namespace in lockstep.
pub struct Lockstep {
    trader: Box<dyn Trader>,
    sink: Arc<Sink>,
    connected: bool,
    /// The market input that is not passed yet.
    open: Option<(InputId, MarketItem)>,
    tries_max: u32,
    /// Connections made or tried.
    pub connections: u64,
    /// Where it shows what it waits for, and learns that nobody waits for it any more.
    status: Arc<NamespaceStatus>,
}

impl Lockstep {
    /// Of this trader.
    pub fn new(trader: Box<dyn Trader>, unreadable: Unreadable) -> Self {
        let tries_max = match trader.capabilities().delivery {
            // Its books always settle the matter, so they are asked until they answer.
            Delivery::Idempotent => u32::MAX,
            Delivery::QueryOnly => TRIES_MAX,
        };
        Self {
            trader,
            sink: Arc::new(Sink {
                said: Mutex::new(Vec::new()),
                lost: Mutex::new(None),
                unreadable,
            }),
            connected: false,
            open: None,
            tries_max,
            connections: 0,
            status: Arc::default(),
        }
    }

    /// What its namespace looks like from outside.
    pub(crate) fn show(&mut self, status: Arc<NamespaceStatus>) {
        self.status = status;
    }

    fn fence(&self, namespace: &Namespace) -> Result<(), RuntimeError> {
        if self.status.is_fenced() {
            return Err(fenced(namespace.name()));
        }
        Ok(())
    }

    /// Before a step: what belongs to the market input before it comes to an end.
    pub fn before(&mut self, step: &Step, namespace: &mut Namespace) -> Result<(), RuntimeError> {
        let Some((id, item)) = self.open else {
            return Ok(());
        };
        let same = match step {
            Step::Signal(signal, _) => signal.input == id,
            Step::Command(..) => true,
            Step::Market(..) | Step::End(..) => false,
        };
        if same {
            return Ok(());
        }
        self.open = None;
        self.pass(namespace, id, &item)
    }

    /// After a step.
    pub fn after(&mut self, step: &Step) {
        if let Step::Market(id, item) = step {
            self.open = Some((*id, *item));
        }
    }

    /// Nothing more will come.
    pub fn finish(&mut self, namespace: &mut Namespace) -> Result<(), RuntimeError> {
        if let Some((id, item)) = self.open.take() {
            self.pass(namespace, id, &item)?;
        }
        self.settle(namespace)?;
        self.trader.stop();
        Ok(())
    }

    fn connect(&mut self) -> Result<(), LinkError> {
        let lost = self
            .sink
            .lost
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if lost.is_some() {
            self.connected = false;
        }
        if self.connected {
            return Ok(());
        }
        self.connections += 1;
        let sink: Arc<dyn Reports> = Arc::clone(&self.sink) as Arc<dyn Reports>;
        self.trader.connect(sink)?;
        self.connected = true;
        Ok(())
    }

    fn take_said(&mut self, namespace: &mut Namespace) -> Result<(), RuntimeError> {
        let said = std::mem::take(
            &mut *self
                .sink
                .said
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for report in said {
            namespace.report(&report)?;
        }
        namespace.take_due()?;
        Ok(())
    }

    /// Makes calls until nothing is open any more.
    fn settle(&mut self, namespace: &mut Namespace) -> Result<(), RuntimeError> {
        loop {
            self.fence(namespace)?;
            self.take_said(namespace)?;
            // Inputs without consequence wait for the host's interval: they are run again alike.
            if namespace.is_waiting() || namespace.owes_confirmation() {
                namespace.commit()?;
                continue;
            }
            if let Some(number) = namespace.to_confirm()
                && self.connected
            {
                self.trader.confirm(number);
            }
            let settled = namespace.settle(self.tries_max);
            let Some(call) = namespace.next_call()? else {
                if namespace.is_waiting() {
                    continue;
                }
                if settled {
                    self.status.wait_for(None);
                    return Ok(());
                }
                std::thread::sleep(PAUSE);
                continue;
            };
            let started = wall();
            self.status.wait_for(Some(format!(
                "an answer of its broker about {}",
                call.order()
            )));
            let outcome = match self.connect() {
                Ok(()) => carry_out(self.trader.as_mut(), &call, namespace.now()),
                Err(LinkError::Refused(why)) => {
                    return Err(RuntimeError::Part {
                        part: format!("the trader of `{}`", namespace.name()),
                        why,
                    });
                }
                Err(error @ LinkError::Unreachable(_)) => {
                    self.status.wait_for(Some(error.to_string()));
                    std::thread::sleep(PAUSE);
                    unstarted(&call)
                }
            };
            namespace.answered(&call, outcome, started, wall())?;
        }
    }

    fn pass(
        &mut self,
        namespace: &mut Namespace,
        id: InputId,
        item: &MarketItem,
    ) -> Result<(), RuntimeError> {
        self.settle(namespace)?;
        self.status
            .wait_for(Some(format!("its broker to pass input {}", id.0)));
        loop {
            self.fence(namespace)?;
            let passed = self
                .connect()
                .and_then(|()| self.trader.pass(id, &item.data()));
            match passed {
                Ok(()) => break,
                Err(LinkError::Refused(why)) => {
                    return Err(RuntimeError::Part {
                        part: format!("the trader of `{}`", namespace.name()),
                        why,
                    });
                }
                Err(error @ LinkError::Unreachable(_)) => {
                    self.status.wait_for(Some(error.to_string()));
                    self.connected = false;
                    std::thread::sleep(PAUSE);
                }
            }
        }
        namespace.pass(id);
        self.settle(namespace)
    }
}
