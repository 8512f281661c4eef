//! The runner and one namespace, moved by hand.

use std::sync::{Arc, Mutex};

use feeds::live::Batch;
use journal::{Log, LogName, Owner, SimDisk};
use model::event::Event;
use model::ids::SourceSession;
use model::time::SECOND;
use model::{InstrumentIdx, Price, Tick};
use runtime::RuntimeError;
use runtime::clock::{FeedClock, SessionClock};
use runtime::desk::DeskSettings;
use runtime::market::{MarketHost, MarketRecovered, MarketRecovery};
use runtime::namespace::{self, Namespace, Recovered, Recovery, Tap};
use runtime::packet::Packet;

use crate::chance::Chance;
use crate::storage::Shaky;
use crate::world::{BEGIN, DESK, OUTSIDE, Plan, STEP, Tables, logs, units};

/// The journal, whichever namespace it is of.
const JOURNAL: LogName<'static> = LogName::Journal("desk");

/// Events that were told to be durable.
#[derive(Clone, Default)]
pub struct Told(pub Arc<Mutex<Vec<Event>>>);

impl Tap for Told {
    fn told(&mut self, told: &namespace::Told<'_>) {
        self.0.lock().unwrap().extend_from_slice(told.events);
    }
}

/// What a start opened.
pub struct Life {
    pub market: MarketHost,
    pub namespace: Namespace,
    pub recovered: (MarketRecovered, Recovered),
    pub strategies: Vec<String>,
    pub tables: Tables,
    /// What is run again, not taken yet.
    pub again: Vec<Packet>,
}

pub struct Rig {
    pub plan: Plan,
    pub disk: SimDisk,
    pub storage: Shaky,
    pub clock: Arc<dyn SessionClock>,
    pub told: Told,
    pub life: Option<Life>,
    /// The namespace with the paper trader, or the one with a broker outside.
    index: usize,
    chance: Chance,
    number: u64,
    lives: u128,
}

impl Rig {
    /// With the paper trader.
    pub fn new(plan: Plan, live: bool) -> Self {
        Self::of(plan, live, DESK)
    }

    /// With a broker outside, whose part the test plays.
    pub fn outside(plan: Plan) -> Self {
        Self::of(plan, true, OUTSIDE)
    }

    fn of(plan: Plan, live: bool, index: usize) -> Self {
        let clock: Arc<dyn SessionClock> = if live {
            FeedClock::simulated(BEGIN)
        } else {
            FeedClock::replay()
        };
        let disk = SimDisk::new(plan.seed);
        let mut rig = Self {
            chance: Chance::of(plan.seed, "rig"),
            storage: Shaky::new(disk.clone(), Arc::clone(&clock)),
            plan,
            disk,
            clock,
            told: Told::default(),
            life: None,
            index,
            number: 0,
            lives: 0,
        };
        rig.open(Tables::default()).unwrap();
        rig
    }

    /// Opens everything again, as after a crash.
    pub fn open(&mut self, tables: Tables) -> Result<(), RuntimeError> {
        self.life = None;
        self.lives += 1;
        let live = self.clock.is_live();
        let source = SourceSession(if live { self.lives } else { 1 });
        let mut composed = self.plan.compose(source, tables);
        let logs = logs(Arc::new(self.storage.clone()));
        let market = logs.log(LogName::Market);
        let (mut namespace, of_namespace) = Namespace::open(Recovery {
            index: self.index,
            journal: logs.log(JOURNAL),
            owner: Owner::NONE,
            first_day: model::Date::default(),
            market: Arc::clone(&market),
            pipeline: composed.pipelines.remove(self.index),
            start: composed.start.clone(),
            clock: Arc::clone(&self.clock),
            desk: (self.index == OUTSIDE).then_some(DeskSettings {
                salt: 0,
                delivery: self.plan.delivery,
                call_within: 4 * SECOND,
                pause_min: SECOND / 10,
                pause_max: 4 * SECOND,
                silence: 2 * SECOND,
            }),
        })?;
        namespace.set_tap(Some(Box::new(self.told.clone())));
        let mut again = Vec::new();
        let opened = market.open(&Owner::NONE);
        let (market, of_market) = MarketHost::open(
            opened.map_err(|e| RuntimeError::journal("market", e))?,
            MarketRecovery {
                log: market,
                runner: composed.runner,
                start: composed.start,
                clock: Arc::clone(&self.clock),
                namespaces: vec![namespace.next_input()],
                disabled: Vec::new(),
            },
            &mut |packet| {
                again.push(packet);
                Ok(())
            },
        )?;
        self.life = Some(Life {
            market,
            namespace,
            recovered: (of_market, of_namespace),
            strategies: composed.strategies,
            tables,
            again,
        });
        Ok(())
    }

    pub fn life(&mut self) -> &mut Life {
        self.life.as_mut().unwrap()
    }

    /// A tick some time after the one before, of one of the four instruments that are always there.
    pub fn next_tick(&mut self) -> (u64, Tick) {
        let pause = self.chance.within(1, 1_500) * 1_000_000;
        let ts = self.clock.now().max(BEGIN).plus(pause);
        let more = u32::from(self.life().tables.more);
        let tick = Tick {
            ts,
            exchange_ts: ts,
            price: Price::from_raw((4_000 + self.chance.within(-15, 15)) * STEP),
            quantity: units(self.chance.within(1, 30)),
            instrument: InstrumentIdx(self.chance.below(4) as u32 + more),
            ..Tick::default()
        };
        self.number += 1;
        (self.number - 1, tick)
    }

    /// Takes a tick through runner and namespace.
    pub fn tick(&mut self, number: u64, tick: Tick) -> Result<(), RuntimeError> {
        self.clock.reach(tick.ts);
        let clock = Arc::clone(&self.clock);
        let life = self.life();
        let mut packets = std::mem::take(&mut life.again);
        let mut packet = Packet {
            steps: Vec::new(),
            position: life.market.log().durable(),
            received: 0,
        };
        let mut batch = Batch::default();
        batch.tick(number, tick, None);
        life.market.take(&batch, &mut packet);
        if clock.is_live() {
            life.market.idle(clock.now(), &mut packet);
        }
        packets.push(packet);
        for packet in packets {
            for step in &packet.steps {
                life.namespace
                    .take(step, packet.position, packet.received)?;
            }
        }
        Ok(())
    }

    /// So many ticks, all durable at the end.
    pub fn ticks(&mut self, count: u64) {
        for _ in 0..count {
            let (number, tick) = self.next_tick();
            self.tick(number, tick).unwrap();
        }
        self.life().market.commit();
        self.life().namespace.commit().unwrap();
    }

    pub fn save(&mut self) {
        let life = self.life();
        life.namespace.snapshot().unwrap();
        life.market.snapshot(true).unwrap();
    }

    /// The journal, as a reader has it.
    pub fn journal(&self) -> Arc<dyn Log> {
        logs(Arc::new(self.disk.clone())).log(JOURNAL)
    }

    /// Positions by instrument's name.
    pub fn positions(&mut self, symbols: &[&str]) -> Vec<(String, i64)> {
        let more = usize::from(self.life().tables.more);
        let portfolio = self.life().namespace.pipeline().portfolio();
        symbols
            .iter()
            .enumerate()
            .map(|(at, s)| {
                let index = InstrumentIdx((at + more) as u32);
                ((*s).to_owned(), portfolio.net(index).raw())
            })
            .collect()
    }
}
