//! What a journal tells, and what must be true of it whatever has happened.

use std::collections::{BTreeMap, BTreeSet};

use journal::record::{Entry, JournalRecord, Start, decode};
use journal::{Log, Offset};
use model::control::CommandAction;
use model::event::{Cause, Event, EventBody};
use model::order::{Order, OrderChange, OrderStatus};
use model::reason::Reason;
use model::signal::Signal;
use model::{CorrelationId, InputId, OrderId, SignalId, Timestamp};

/// A signal's identity: strategy, causing input, number.
pub type Mark = (String, InputId, u32);

/// What one namespace's journal tells.
#[derive(Default)]
pub struct Story {
    pub events: Vec<Event>,
    pub orders: BTreeMap<OrderId, Order>,
    pub instruments: BTreeMap<OrderId, String>,
    pub signals: BTreeMap<SignalId, CorrelationId>,
    pub marks: BTreeMap<Mark, (SignalId, CorrelationId, Timestamp, String)>,
    /// Net position by instrument.
    pub net: BTreeMap<String, i64>,
    /// Orders that an operator ended by hand.
    pub by_hand: BTreeSet<OrderId>,
    pub illegal: Vec<(Reason, OrderId)>,
    pub salt: u128,
    pub starts: usize,
    commands: BTreeSet<u128>,
    clocks: BTreeSet<Timestamp>,
    latest: u64,
    step: u64,
}

/// Reads a whole journal.
pub fn records(journal: &dyn Log) -> Vec<JournalRecord> {
    let mut reader = journal.read(Offset::BEGINNING).unwrap();
    let mut all = Vec::new();
    while let Some((_, bytes)) = reader.next().unwrap() {
        all.push(decode(bytes).unwrap());
    }
    all
}

impl Story {
    /// Reads a journal and checks every event as it comes.
    pub fn read(journal: &dyn Log) -> Self {
        let mut story = Self::default();
        let mut tables: Option<Start> = None;
        for record in records(journal) {
            match record {
                JournalRecord::Start(start) => {
                    if story.starts > 0 {
                        assert_eq!(start.salt, story.salt, "the salt has changed");
                    }
                    (story.salt, story.starts) = (start.salt, story.starts + 1);
                    tables = Some(start);
                }
                JournalRecord::Run(run) => {
                    assert_eq!(run.step, story.step, "a step is missing or came twice");
                    story.step += 1;
                    let tables = tables.as_ref().unwrap();
                    run.inputs.iter().for_each(|entry| story.input(entry));
                    for event in &run.outputs {
                        story.event(event, tables);
                    }
                }
                JournalRecord::Stop { .. } => {}
            }
        }
        story
    }

    fn input(&mut self, entry: &Entry) {
        match entry {
            Entry::Market { last, .. } => self.latest = self.latest.max(last.0),
            Entry::Full(id, _) => self.latest = self.latest.max(id.0),
            Entry::Conflated { last, .. } => self.latest = self.latest.max(last.0),
            Entry::Clock(id, due) => {
                self.latest = self.latest.max(id.0);
                self.clocks.insert(*due);
            }
            Entry::Command(_, command) => {
                self.commands.insert(command.id.0);
                if let CommandAction::ResolveOrder(order, _) = command.action {
                    self.by_hand.insert(order);
                }
            }
            Entry::Signal(signal) => self.latest = self.latest.max(signal.input.0),
            Entry::Report(_) | Entry::TimersMissed(_) => {}
        }
    }

    fn event(&mut self, event: &Event, tables: &Start) {
        let chain = event.correlation;
        assert_ne!(chain, CorrelationId::default(), "{event:?}: no chain");
        match event.cause {
            Cause::Order(order, sequence) => {
                let order = self.orders.get(&order);
                assert!(
                    order.is_some_and(|o| o.sequence() >= sequence),
                    "{event:?}: its cause is not there"
                );
            }
            Cause::Command(id) => {
                assert!(self.commands.contains(&id.0), "{event:?}: no such command")
            }
            Cause::Timer(due) => assert!(self.clocks.contains(&due), "{event:?}: no such timer"),
            Cause::Input(id) => assert!(id.0 <= self.latest + 1, "{event:?}: no such input"),
            Cause::Signal(id) => {
                assert!(self.signals.contains_key(&id), "{event:?}: no such signal")
            }
        }
        match &event.body {
            EventBody::SignalRaw(signal) => self.signal(signal, chain, tables),
            EventBody::SignalDeferred(signal) | EventBody::SignalHeld { signal, .. } => {
                assert_eq!(self.signals[&signal.id], chain);
            }
            EventBody::SignalValidated(v) => assert_eq!(self.signals[&v.signal], chain),
            EventBody::SignalRejected(r) => assert_eq!(self.signals[&r.signal], chain),
            EventBody::OrderSubmitted(intent) => {
                assert_eq!(intent.correlation, chain, "{event:?}");
                if let Some(signal) = &intent.signal {
                    assert_eq!(self.signals[signal], chain, "{event:?}: another chain");
                }
                if let Some(parent) = &intent.parent {
                    assert_eq!(self.orders[parent].intent().correlation, chain, "{event:?}");
                }
                let name = &tables.instruments[intent.instrument.index()].id;
                self.instruments.insert(intent.id, name.clone());
                let before = self.orders.insert(intent.id, Order::new(*intent));
                assert!(before.is_none(), "{event:?}: an order came twice");
            }
            EventBody::OrderChanged(step) => {
                let order = self.orders.get_mut(&step.order).unwrap();
                assert_eq!(step.sequence, order.sequence() + 1, "{event:?}");
                assert_eq!(order.intent().correlation, chain, "{event:?}: chain broken");
                if let Err(error) = order.advance(&step.change) {
                    panic!("{event:?}: {error}");
                }
                if let OrderChange::Filled(x) = step.change {
                    let name = &self.instruments[&step.order];
                    *self.net.entry(name.clone()).or_default() +=
                        order.intent().side.signed(x.quantity).raw();
                }
            }
            EventBody::Alert {
                reason: reason @ (Reason::IllegalReport | Reason::UnknownOrder),
                order: Some(order),
                ..
            } => self.illegal.push((*reason, *order)),
            _ => {}
        }
        self.events.push(*event);
    }

    fn signal(&mut self, signal: &Signal, chain: CorrelationId, tables: &Start) {
        assert_eq!(signal.correlation, chain);
        let before = self.signals.insert(signal.id, chain);
        assert!(before.is_none(), "{signal:?}: a signal's id came twice");
        let name = &tables.strategies[signal.strategy.index()].name;
        let mark = (name.clone(), signal.input, signal.ordinal);
        let instrument = &tables.instruments[signal.decision.instrument.index()].id;
        let what = format!("{instrument} {:?}", signal.decision.action);
        let before = self.marks.insert(mark, (signal.id, chain, signal.ts, what));
        assert!(
            before.is_none(),
            "{signal:?}: (strategy, input, n) came twice"
        );
    }

    /// Orders that have not ended.
    pub fn open(&self) -> Vec<(OrderId, OrderStatus)> {
        self.orders
            .iter()
            .filter(|(_, o)| !o.status().is_terminal())
            .map(|(id, o)| (*id, o.status()))
            .collect()
    }
}

/// What two namespaces have of the same shared strategies is the same.
pub fn related(a: &Story, b: &Story) {
    for (mark, one) in &a.marks {
        // The per-broker strategy decides in each namespace for itself.
        if mark.0 != "own"
            && let Some(other) = b.marks.get(mark)
        {
            assert_eq!(one, other, "{mark:?}: two signals of one identity");
        }
    }
    for id in a.orders.keys() {
        assert!(!b.orders.contains_key(id), "{id} is in both namespaces");
    }
    let clients = |s: &Story| -> BTreeSet<_> {
        s.orders
            .keys()
            .map(|id| id.client_order_id(s.salt))
            .collect()
    };
    let (of_a, of_b) = (clients(a), clients(b));
    assert_eq!(
        of_a.len(),
        a.orders.len(),
        "client order ids are not unique"
    );
    assert!(of_a.is_disjoint(&of_b), "client order ids are not unique");
}
