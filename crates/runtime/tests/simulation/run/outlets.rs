//! Where what the drivers decide goes: it is handed on once a round is over.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use journal::record::{JournalRecord, decode};
use journal::{Carriage, Log, LogReader, Offset};
use model::OrderId;
use model::event::EventBody;
use runtime::desk::Call;
use runtime::driver::market::MarketOutlet;
use runtime::driver::namespace::BrokerLink;
use runtime::packet::Packet;

/// What the runner's driver has decided.
#[derive(Clone, Default)]
pub struct Outbox(Arc<Mutex<(Vec<Packet>, Option<Carriage>)>>);

impl Outbox {
    pub fn take(&self) -> (Vec<Packet>, Option<Carriage>) {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
    pub fn clear(&self) {
        drop(self.take());
    }
}

impl MarketOutlet for Outbox {
    fn send(&mut self, packet: Packet) {
        self.0.lock().unwrap().0.push(packet);
    }
    fn carry(&mut self, carriage: Carriage) {
        let before = self.0.lock().unwrap().1.replace(carriage);
        assert!(before.is_none(), "one batch at a time");
    }
    fn failed(&mut self, _: &str) {}
}

/// What is surely on the disk of a namespace's journal.
pub struct Durable {
    reader: Box<dyn LogReader>,
    orders: BTreeSet<OrderId>,
}

impl Durable {
    pub fn new(journal: &dyn Log) -> Self {
        Self {
            reader: journal.read(Offset::BEGINNING).unwrap(),
            orders: BTreeSet::new(),
        }
    }

    /// No intent is presented that power loss could take away.
    fn check(&mut self, id: OrderId) {
        while let Some((_, bytes)) = self.reader.next().unwrap() {
            let JournalRecord::Run(run) = decode(bytes).unwrap() else {
                continue;
            };
            for event in run.outputs {
                if let EventBody::OrderSubmitted(intent) = event.body {
                    self.orders.insert(intent.id);
                }
            }
        }
        assert!(
            self.orders.contains(&id),
            "{id} is presented before it is durable"
        );
    }
}

#[derive(Default)]
struct Link {
    durable: Option<Durable>,
    calls: Vec<Call>,
    confirmed: Option<u64>,
    calling_since: Option<i64>,
    connected: bool,
}

/// The link to the broker, as its driver sees it.
#[derive(Clone, Default)]
pub struct Handed(Arc<Mutex<Link>>);

impl Handed {
    fn link(&self) -> MutexGuard<'_, Link> {
        self.0.lock().unwrap()
    }
    pub fn begin(&self, durable: Option<Durable>) {
        self.link().durable = durable;
    }
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.link().calls)
    }
    /// What was confirmed while there was a connection.
    pub fn take_confirmed(&self) -> Option<u64> {
        let mut link = self.link();
        let confirmed = link.confirmed.take();
        confirmed.filter(|_| link.connected)
    }
    pub fn calling(&self, since: Option<i64>) {
        self.link().calling_since = since;
    }
    pub fn connected(&self, connected: bool) {
        self.link().connected = connected;
    }
}

impl BrokerLink for Handed {
    fn call(&mut self, call: Call) -> bool {
        let mut link = self.link();
        if let (Call::Submit(id, ..), Some(durable)) = (&call, &mut link.durable) {
            durable.check(*id);
        }
        link.calls.push(call);
        true
    }
    fn confirm(&mut self, number: u64) {
        self.link().confirmed = Some(number);
    }
    fn calling_since(&self) -> Option<i64> {
        self.link().calling_since
    }
    fn is_connected(&self) -> bool {
        self.link().connected
    }
    fn stop(&mut self, _: Duration) {}
}
