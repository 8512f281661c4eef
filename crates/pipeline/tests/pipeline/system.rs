//! A kernel over several namespaces, as a backtest composes it.

use std::sync::{Arc, Mutex};

use model::event::Event;
use model::ids::SourceSession;
use model::market::MarketData;
use model::time::SECOND;
use model::{Bar, InputId, InstrumentIdx, Tick, Timestamp};
use pipeline::{EventSink, Input, Kernel, Runner, StrategyHost};

use crate::desk::Plan;
use crate::scripted::Recipe;
use crate::world::{Hours, at, instruments, units};

#[derive(Default)]
struct Sink(Vec<Vec<Event>>);

impl EventSink for Sink {
    fn events(&mut self, namespace: usize, events: &[Event]) {
        self.0[namespace].extend_from_slice(events);
    }
}

pub struct System {
    pub kernel: Kernel,
    sink: Sink,
    input: u64,
    pub now: Timestamp,
}

impl System {
    /// Shared strategies with their indices, and the namespaces.
    pub fn new(shared: &[(u32, Recipe)], plans: &[Plan]) -> Self {
        let setups = shared
            .iter()
            .map(|(index, recipe)| recipe.build(*index))
            .collect();
        let host = StrategyHost::new(
            instruments(),
            Arc::new(Hours),
            SourceSession(7),
            setups,
            false,
        );
        Self {
            kernel: Kernel::new(Runner::new(host), plans.iter().map(Plan::build).collect()),
            sink: Sink(vec![Vec::new(); plans.len()]),
            input: 0,
            now: at(0),
        }
    }

    pub fn events(&self, namespace: usize) -> &[Event] {
        &self.sink.0[namespace]
    }

    pub fn market(&mut self, data: &MarketData<'_>) {
        self.now = self.now.max(data.ts());
        self.input += 1;
        self.kernel
            .market(InputId(self.input), data, &mut self.sink);
    }

    pub fn tick_at(&mut self, ts: Timestamp, instrument: InstrumentIdx, price: i64) -> Tick {
        let tick = Tick {
            ts,
            price: model::Price::from_raw(price),
            quantity: units(1 + price % 7),
            instrument,
            ..Tick::default()
        };
        self.market(&MarketData::Tick(&tick, None));
        tick
    }

    /// A trade one second later.
    pub fn tick(&mut self, instrument: InstrumentIdx, price: i64) {
        self.tick_at(self.now.plus(SECOND), instrument, price * model::fixed::ONE);
    }

    pub fn bar(&mut self, bar: &Bar) {
        self.market(&MarketData::Bar(bar));
    }

    pub fn advance(&mut self, ts: Timestamp) {
        self.now = self.now.max(ts);
        self.input += 1;
        self.kernel.advance(InputId(self.input), ts, &mut self.sink);
    }

    pub fn input(&mut self, namespace: usize, input: &Input<'_>) {
        self.kernel.input(namespace, input, &mut self.sink);
    }
}

/// What scripts write down for the test to read.
#[derive(Clone)]
pub struct Notes<T>(Arc<Mutex<Vec<T>>>);

impl<T: Clone> Notes<T> {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Vec::new())))
    }
    pub fn write(&self, note: T) {
        self.0.lock().unwrap().push(note);
    }
    pub fn read(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }
}
