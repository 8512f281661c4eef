//! A strategy whose behaviour a test writes down.

use std::sync::Arc;

use model::market::Timeframe;
use model::signal::Product;
use model::{Bar, InstrumentIdx, StrategyIdx, Tick};
use pipeline::{BrokerMask, StrategySetup};
use strategies::{
    Context, MissedTimers, OwnFill, SessionEvent, Slot, StateError, Strategy, Subscription, TimerId,
};

/// What a strategy was called with.
#[derive(Debug, Clone, Copy)]
pub enum Call<'a> {
    Tick(Slot, &'a Tick),
    Bar(Slot, &'a Bar),
    Timer(TimerId),
    Session(SessionEvent),
    Fill(&'a OwnFill),
}

/// The script: one number of state, the call, and what it may do.
pub type Script = Arc<dyn Fn(&mut u64, Call<'_>, &mut Context<'_>) + Send + Sync>;

/// Is shown every bar of the data.
pub type BarWitness = Arc<dyn Fn(&Bar) + Send + Sync>;

struct Scripted {
    subscription: Subscription,
    state: u64,
    on_data_bar: Option<BarWitness>,
    script: Script,
}

impl Strategy for Scripted {
    fn subscription(&self) -> Subscription {
        self.subscription.clone()
    }
    fn on_tick(&mut self, slot: Slot, tick: &Tick, ctx: &mut Context<'_>) {
        (self.script)(&mut self.state, Call::Tick(slot, tick), ctx);
    }
    fn on_data_bar(&mut self, slot: Slot, bar: &Bar, ctx: &mut Context<'_>) {
        match &self.on_data_bar {
            Some(witness) => witness(bar),
            None => self.on_tick(slot, &bar.closing_tick(), ctx),
        }
    }
    fn on_bar(&mut self, slot: Slot, bar: &Bar, ctx: &mut Context<'_>) {
        (self.script)(&mut self.state, Call::Bar(slot, bar), ctx);
    }
    fn on_timer(&mut self, id: TimerId, ctx: &mut Context<'_>) {
        (self.script)(&mut self.state, Call::Timer(id), ctx);
    }
    fn on_session(&mut self, _: Slot, event: SessionEvent, ctx: &mut Context<'_>) {
        (self.script)(&mut self.state, Call::Session(event), ctx);
    }
    fn on_fill(&mut self, _: Slot, fill: &OwnFill, ctx: &mut Context<'_>) {
        (self.script)(&mut self.state, Call::Fill(fill), ctx);
    }
    fn save(&self) -> Result<Vec<u8>, StateError> {
        Ok(self.state.to_le_bytes().to_vec())
    }
    fn restore(&mut self, state: &[u8]) -> Result<(), StateError> {
        let bytes = state
            .try_into()
            .map_err(|_| StateError("not eight bytes".into()))?;
        self.state = u64::from_le_bytes(bytes);
        Ok(())
    }
}

/// A strategy to be built as often as a test needs it.
#[derive(Clone)]
pub struct Recipe {
    pub name: String,
    pub instruments: Vec<InstrumentIdx>,
    pub subscription: Subscription,
    pub product: Product,
    pub brokers: BrokerMask,
    pub warm_up: u32,
    pub missed_timers: MissedTimers,
    pub seed: u64,
    pub script: Script,
    pub on_data_bar: Option<BarWitness>,
}

impl Recipe {
    /// On ticks and fills, for the first namespace.
    pub fn new(
        name: &str,
        instruments: &[InstrumentIdx],
        script: impl Fn(&mut u64, Call<'_>, &mut Context<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            instruments: instruments.to_vec(),
            subscription: Subscription {
                ticks: true,
                ..Subscription::default()
            },
            product: Product::Intraday,
            brokers: BrokerMask::single(0),
            warm_up: 0,
            missed_timers: MissedTimers::default(),
            seed: 0,
            script: Arc::new(script),
            on_data_bar: None,
        }
    }

    pub fn bars(mut self, timeframes: &[&str]) -> Self {
        self.subscription.bars = timeframes
            .iter()
            .map(|t| Timeframe::parse(t).unwrap())
            .collect();
        self
    }

    pub fn build(&self, index: u32) -> StrategySetup {
        StrategySetup {
            index: StrategyIdx(index),
            name: self.name.clone(),
            instruments: self.instruments.clone(),
            product: self.product,
            warm_up: self.warm_up,
            missed_timers: self.missed_timers,
            enabled: true,
            brokers: self.brokers,
            strategy: Box::new(Scripted {
                subscription: self.subscription.clone(),
                state: self.seed,
                on_data_bar: self.on_data_bar.clone(),
                script: Arc::clone(&self.script),
            }),
        }
    }
}

/// Keeps the panics of scripts out of the output; others are printed as ever.
pub fn silence() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload_as_str() != Some(SCRIPTED) {
                print(info);
            }
        }));
    });
}

/// What a script panics with.
pub const SCRIPTED: &str = "as the script has it";
