//! One simulation: the whole embedded system in one thread, moved by a seeded scheduler.
//!
//! The scheduler plays the threads: it delivers market data, hands packets on, lets each namespace come
//! round, carries calls to the broker and reports back, and takes everything down now and then. Time
//! is virtual; a slow device moves it on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use feeds::live::Batch;
use journal::{Log, LogName, Logs, MARKET, MemoryLogs, Owner, SimDisk, Storage};
use model::control::{Command, CommandAction, Resolution, TradingState};
use model::event::Event;
use model::ids::{CommandId, SourceSession};
use model::order::OrderStatus;
use model::reason::Reason;
use model::time::SECOND;
use model::trader::Delivery;
use model::{Instruments, OrderId, Price, Tick, Timestamp};
use runtime::RuntimeError;
use runtime::clock::{FeedClock, SessionClock};
use runtime::desk::{Call, DeskSettings, Outcome, unproven, unstarted};
use runtime::driver::Message;
use runtime::driver::market::{Feeds, MarketDriver, MarketMessage, MarketParts, MarketSettings};
use runtime::driver::namespace::{NamespaceDriver, NamespaceSettings, OrderRoute};
use runtime::inbox::Work;

use runtime::market::{MarketHost, MarketRecovery};
use runtime::namespace::{self, Namespace, Recovered, Recovery, Tap};
use runtime::packet::{Packet, SharedPacket};
use traders::{Answer, ClientOrderId};

use crate::broker::Broker;
use crate::chance::Chance;
use crate::oracle::{Story, related};
use crate::storage::{Fault, Shaky};
use crate::world::{BEGIN, Composed, NAMES, OUTSIDE, Plan, STEP, Tables, logs, units};

mod end;
mod host;
mod outlets;
mod wire;

use outlets::{Durable, Handed, Outbox};

const CALL_WITHIN: i64 = 4 * SECOND;
const MS: i64 = SECOND / 1000;

fn ms(milliseconds: i64) -> Duration {
    Duration::from_millis(milliseconds as u64)
}

/// What may go wrong, and how much of it.
#[derive(Debug, Clone)]
pub struct Config {
    pub seed: u64,
    pub plan: Plan,
    /// Batches of market data.
    pub batches: u64,
    pub crashes: u64,
    /// Requests, answers and connections are lost, reports repeated.
    pub network: bool,
    pub numbered: bool,
    pub slow: bool,
    pub disk_faults: bool,
    pub jumps: bool,
    pub snapshots: bool,
    pub commands: bool,
    pub new_tables: bool,
    pub conflate_above: usize,
    pub capacity: usize,
    pub ignore_sync: bool,
    /// Whether a presentation is held against the disk at once; else only what comes of it is judged.
    pub strict: bool,
    /// The namespace with the broker is there, or left out.
    pub outside: bool,
    /// The logs are in memory, and not in files: no disk fails.
    pub memory: bool,
    pub trace: bool,
}

impl Config {
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::of(seed, "config");
        Self {
            seed,
            plan: Plan::new(seed),
            batches: chance.within(60, 200) as u64,
            crashes: chance.below(7),
            network: !chance.one_in(5),
            numbered: chance.one_in(2),
            slow: chance.one_in(3),
            disk_faults: chance.one_in(4),
            jumps: chance.one_in(3),
            snapshots: !chance.one_in(4),
            commands: !chance.one_in(4),
            new_tables: chance.one_in(3),
            conflate_above: chance.pick(&[usize::MAX, 40, 12]),
            capacity: chance.pick(&[4096, 4096, 60]),
            ignore_sync: false,
            strict: true,
            outside: true,
            memory: false,
            trace: std::env::var_os("SIMULATE_TRACE").is_some(),
        }
    }

    /// Without anything that may disturb the namespace with the paper trader.
    pub fn calm(seed: u64, outside: bool) -> Self {
        Self {
            crashes: 0,
            slow: false,
            jumps: false,
            new_tables: false,
            outside,
            ..Self::of(seed)
        }
    }
}

/// What a run came to.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Totals {
    pub orders: usize,
    pub fills: usize,
    pub unknown: usize,
    pub crashes: usize,
    pub compared: usize,
    /// Starts that found a report parked.
    pub parked: usize,
}

enum Ev {
    Feed,
    Sync,
    Carry,
    Run(usize),
    Command(usize),
    Start(u64),
    Arrive(u64),
    Reply(u64),
    Timeout(u64),
    Push(usize, u64),
    Work,
    Drop,
    Connect,
    Jump,
    Fault(usize),
    Crash,
}

/// A call to the broker on its way.
struct Carried {
    call: Call,
    life: u64,
    connection: u64,
    instrument: String,
    outcome: Option<Outcome>,
    answered: bool,
}

struct Collect(Arc<Mutex<Vec<Event>>>);

impl Tap for Collect {
    fn told(&mut self, told: &namespace::Told<'_>) {
        self.0.lock().unwrap().extend_from_slice(told.events);
    }
}

/// A namespace and what its thread has.
struct Side {
    index: usize,
    driver: Option<NamespaceDriver>,
    packets: VecDeque<SharedPacket>,
    messages: VecDeque<Message>,
    tapped: Arc<Mutex<Vec<Event>>>,
    /// Events that were durable at the latest start.
    known: usize,
    commands: u128,
    chance: Chance,
    /// Its state when it was last all durable, where that is known.
    calm: Option<String>,
}

pub struct Simulation {
    config: Config,
    disk: SimDisk,
    memory: MemoryLogs,
    storage: Shaky,
    clock: Arc<FeedClock>,
    queue: BTreeMap<(i64, u64), Ev>,
    sequence: u64,
    /// Events up to this number are of an earlier life, but for what is on its way to the broker.
    life: u64,
    market: Option<MarketDriver>,
    out: Outbox,
    link: Handed,
    /// A batch of the market log that is on its way to the device.
    departed: Option<journal::Carriage>,
    instruments: Arc<Instruments>,
    composed: Tables,
    strategies: Vec<String>,
    sides: Vec<Side>,
    broker: Broker,
    prices: BTreeMap<String, i64>,
    carried: BTreeMap<u64, Carried>,
    presented: BTreeMap<ClientOrderId, (u32, OrderId)>,
    connection: u64,
    connected: bool,
    /// When the latest report of the connection arrives: a stream keeps its order.
    pushed_at: i64,
    pushed_by: BTreeMap<ClientOrderId, (i64, usize)>,
    told: usize,
    batches: u64,
    crashes: u64,
    /// A device was told to fail on the way: what fails now is the whole system.
    dying: bool,
    settling: bool,
    feed: Chance,
    /// When the runner comes round, and how it works.
    runner: Chance,
    chance: Chance,
    pub totals: Totals,
}

type Broken = RuntimeError;

impl Simulation {
    pub fn new(config: Config) -> Self {
        let disk = SimDisk::new(config.seed);
        disk.ignore_sync(config.ignore_sync);
        let clock = FeedClock::simulated(BEGIN);
        let storage = Shaky::new(disk.clone(), clock.clone() as Arc<dyn SessionClock>);
        let seed = config.seed;
        let count = if config.outside { 2 } else { 1 };
        let sides = (0..count).map(|index| Side {
            index,
            driver: None,
            packets: VecDeque::new(),
            messages: VecDeque::new(),
            tapped: Arc::default(),
            known: 0,
            commands: 0,
            chance: Chance::of(seed, NAMES[index]),
            calm: None,
        });
        let prices = ["A", "B", "C", "D", "E"]
            .iter()
            .zip(1i64..)
            .map(|(s, n)| (format!("SIM:{s}"), 20_000_000_000 * n))
            .collect();
        let mut this = Self {
            broker: Broker::new(seed, config.plan.delivery, config.numbered),
            sides: sides.collect(),
            disk,
            memory: MemoryLogs::default(),
            storage,
            clock,
            queue: BTreeMap::new(),
            sequence: 0,
            life: 0,
            market: None,
            out: Outbox::default(),
            link: Handed::default(),
            departed: None,
            instruments: config
                .plan
                .compose(SourceSession(1), Tables::default())
                .instruments,
            composed: Tables::default(),
            strategies: Vec::new(),
            prices,
            carried: BTreeMap::new(),
            presented: BTreeMap::new(),
            connection: 0,
            connected: false,
            pushed_at: 0,
            pushed_by: BTreeMap::new(),
            told: 0,
            batches: 0,
            crashes: 0,
            dying: false,
            settling: false,
            feed: Chance::of(seed, "feed"),
            runner: Chance::of(seed, "runner"),
            chance: Chance::of(seed, "scheduler"),
            totals: Totals::default(),
            config,
        };
        this.start();
        this
    }

    /// Tells what happens, where `SIMULATE_TRACE` is set.
    fn trace(&self, what: impl FnOnce() -> String) {
        if self.config.trace {
            let at = (self.now() - BEGIN.nanos()) as f64 / SECOND as f64;
            println!("{at:.6} life {}: {}", self.life, what());
        }
    }

    fn now(&self) -> i64 {
        self.clock.now().nanos()
    }

    fn at(&mut self, at: i64, event: Ev) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), event);
    }

    fn after(&mut self, delay: i64, event: Ev) {
        self.at(self.now() + delay, event);
    }

    // Starts and crashes.

    /// Opens everything, again and again until it does.
    fn start(&mut self) {
        for _ in 0..20 {
            self.storage.mend();
            self.disk.fail_sync(0);
            let doomed = self.life > 0 && !self.settling && self.chance.one_in(6);
            if doomed {
                self.disk.fail_sync(1 + self.chance.below(8));
            }
            match self.open() {
                Ok(()) => {
                    self.disk.fail_sync(0);
                    return;
                }
                Err(error) => {
                    assert!(doomed, "seed {}: {error}", self.config.seed);
                    self.trace(|| format!("it does not start: {error}"));
                }
            }
            self.down(true);
        }
        panic!("it never starts");
    }

    fn open(&mut self) -> Result<(), Broken> {
        self.life += 1;
        if self.config.new_tables && self.life > 1 && self.chance.one_in(2) {
            self.composed = Tables {
                more: self.composed.more || self.chance.one_in(2),
                turned: self.chance.one_in(2),
                redefined: self.chance.one_in(3),
            };
        }
        let source = SourceSession(u128::from(self.life));
        let Composed {
            instruments,
            strategies,
            runner,
            pipelines,
            sessions,
            start,
        } = self.config.plan.compose(source, self.composed);
        self.instruments = instruments;
        self.strategies = strategies;
        let mut nexts = Vec::new();
        let open = self.logs();
        for (index, pipeline) in pipelines.into_iter().enumerate().take(self.sides.len()) {
            let desk = (index == OUTSIDE).then_some(DeskSettings {
                salt: 0,
                delivery: self.config.plan.delivery,
                call_within: CALL_WITHIN,
                pause_min: 100 * MS,
                pause_max: 4 * SECOND,
                silence: 2 * SECOND,
            });
            let there = self.nothing_is_lost(index);
            let opening = |logs: &dyn Logs, clock, pipeline| {
                Namespace::open(Recovery {
                    index,
                    journal: logs.log(LogName::Journal(NAMES[index])),
                    owner: Owner::NONE,
                    first_day: model::Date::default(),
                    market: logs.log(LogName::Market),
                    pipeline,
                    start: start.clone(),
                    clock,
                    desk,
                })
            };
            let scratch = self.chance.one_in(2).then(|| self.without_snapshots(index));
            let scratch = scratch.filter(|_| !self.config.memory);
            let (mut namespace, recovered) = opening(open.as_ref(), self.clock.clone(), pipeline)?;
            // What a start has taken over and built upon is there for good, also if it fails later.
            self.sides[index].known = there;
            let state = namespace.pipeline().fingerprint();
            if let Some(scratch) = scratch {
                let pipeline = self
                    .config
                    .plan
                    .compose(source, self.composed)
                    .pipelines
                    .remove(index);
                let clock = FeedClock::simulated(self.clock.now());
                let scratch = logs(Arc::new(scratch));
                let (other, from_scratch) = opening(scratch.as_ref(), clock, pipeline)?;
                if from_scratch.missing.is_empty() {
                    same(
                        &state,
                        &other.pipeline().fingerprint(),
                        "with a snapshot and without",
                    );
                    self.totals.compared += 1;
                }
            }
            self.recovered_as_it_was(index, &state, &recovered);
            self.totals.parked += usize::from(!namespace.pipeline().engine().parked().is_empty());
            namespace.set_tap(Some(Box::new(Collect(Arc::clone(
                &self.sides[index].tapped,
            )))));
            nexts.push(namespace.next_input());
            let mut driver = self.driver(index, namespace);
            driver.begin()?;
            self.sides[index].driver = Some(driver);
        }
        let sides = &mut self.sides;
        let log = open.log(LogName::Market);
        let opened = log.open(&Owner::NONE);
        let (market, _) = MarketHost::open(
            opened.map_err(|e| RuntimeError::journal(MARKET, e))?,
            MarketRecovery {
                log,
                runner,
                start,
                clock: self.clock.clone(),
                namespaces: nexts,
                disabled: Vec::new(),
            },
            &mut |packet| {
                let packet = Arc::new(packet);
                for side in sides.iter_mut() {
                    side.packets.push_back(Arc::clone(&packet));
                }
                Ok(())
            },
        )?;
        let interval = |chance: &mut Chance, most| ms(chance.within(1, most));
        let parts = MarketParts {
            host: market,
            journals: (0..self.sides.len())
                .map(|index| self.journal(index))
                .collect(),
            clock: self.clock.clone(),
            probe: None,
            instruments: Arc::clone(&self.instruments),
            sessions,
            settings: MarketSettings {
                write_interval: interval(&mut self.runner, 400),
                sync_interval: interval(&mut self.runner, 2_000),
                snapshot_interval: snapshots(&self.config, &mut self.runner),
            },
            outlet: Box::new(self.out.clone()),
        };
        self.market = Some(MarketDriver::new(parts, self.now()));
        self.schedule();
        Ok(())
    }

    fn driver(&mut self, index: usize, namespace: Namespace) -> NamespaceDriver {
        let route = if index == OUTSIDE {
            let durable = (self.config.strict && !self.config.memory).then(|| {
                let logs = logs(Arc::new(self.disk.durable()));
                Durable::new(logs.log(LogName::Journal(NAMES[index])).as_ref())
            });
            self.link = Handed::default();
            self.link.begin(durable);
            OrderRoute::Link(Box::new(self.link.clone()))
        } else {
            OrderRoute::Inside
        };
        let settings = NamespaceSettings {
            sync_interval: ms(self.sides[index].chance.pick(&[1, 20, 100, 1_000])),
            snapshot_interval: snapshots(&self.config, &mut self.sides[index].chance),
            conflate_above: self.config.conflate_above,
            call_deadline: ms(3_000),
            foreign: Arc::new(|_| {}),
        };
        NamespaceDriver::new(namespace, self.clock.clone(), route, settings, self.now())
    }

    /// What every life has of its own accord.
    fn schedule(&mut self) {
        self.after(0, Ev::Feed);
        self.after(20 * MS, Ev::Sync);
        self.after(10 * MS, Ev::Work);
        for index in 0..self.sides.len() {
            self.after(MS, Ev::Run(index));
        }
        if self.config.outside {
            self.after(5 * MS, Ev::Connect);
        }
        if self.settling {
            return;
        }
        let draw = |chance: &mut Chance, most: i64| chance.within(0, most);
        if self.crashes < self.config.crashes {
            let after = draw(&mut self.chance, 25 * SECOND);
            self.after(after, Ev::Crash);
        }
        if self.config.jumps {
            let after = draw(&mut self.chance, 20 * SECOND);
            self.after(after, Ev::Jump);
        }
        if self.config.disk_faults && self.config.outside && self.chance.one_in(2) {
            let after = draw(&mut self.chance, 40 * SECOND);
            let index = self.sides.len() - 1;
            self.after(after, Ev::Fault(index));
        }
        if self.config.network && self.config.outside {
            let after = draw(&mut self.chance, 20 * SECOND);
            self.after(after, Ev::Drop);
        }
        for index in 0..self.sides.len() {
            let command = draw(&mut self.sides[index].chance, 15 * SECOND);
            if self.config.commands {
                self.after(command, Ev::Command(index));
            }
        }
    }

    /// The logs as a start opens them.
    fn logs(&self) -> Arc<dyn Logs> {
        if self.config.memory {
            return Arc::new(self.memory.clone());
        }
        logs(Arc::new(self.storage.clone()))
    }

    /// A namespace's journal, as a reader has it.
    fn journal(&self, index: usize) -> Arc<dyn Log> {
        let name = LogName::Journal(NAMES[index]);
        if self.config.memory {
            return self.memory.log(name);
        }
        logs(Arc::new(self.disk.clone())).log(name)
    }

    /// The disk without the namespace's snapshots.
    fn without_snapshots(&self, index: usize) -> SimDisk {
        let disk = self.disk.copy();
        disk.fail_sync(0);
        let dir = PathBuf::from(self.journal(index).place());
        for name in disk.list(&dir).unwrap_or_default() {
            if name.starts_with("snapshot-") {
                disk.remove(&dir.join(name)).unwrap();
            }
        }
        disk
    }

    /// Everything that was confirmed to be durable is there. Returns how many events are, of which
    /// the last may not be on the device yet.
    fn nothing_is_lost(&mut self, index: usize) -> usize {
        let story = Story::read(self.journal(index).as_ref());
        let side = &mut self.sides[index];
        let tapped = std::mem::take(&mut *side.tapped.lock().unwrap());
        let there = story.events.get(side.known..side.known + tapped.len());
        assert!(
            there == Some(&tapped[..]),
            "{}: {} events were confirmed behind {}, {} are there",
            NAMES[index],
            tapped.len(),
            side.known,
            story.events.len()
        );
        side.known += tapped.len();
        story.events.len()
    }

    fn recovered_as_it_was(&mut self, index: usize, state: &str, recovered: &Recovered) {
        let before = self.sides[index].calm.take();
        if let Some(before) = before
            && recovered.missing.is_empty()
            && recovered.restarted.is_empty()
            && !self.config.new_tables
        {
            same(&before, state, "before a crash that lost nothing and after");
            self.totals.compared += 1;
        }
    }

    /// Everything ends, at once.
    fn down(&mut self, power: bool) {
        // The device never gets what is on its way.
        self.departed = None;
        self.out.clear();
        let market = self.market.take();
        let market_clean = market
            .as_ref()
            .is_some_and(|m| !m.host().is_dirty() && m.host().failed().is_none());
        for side in &mut self.sides {
            side.packets.clear();
            side.messages.clear();
            let driver = side.driver.take();
            let namespace = driver.as_ref().map(NamespaceDriver::namespace);
            side.calm = namespace
                .filter(|n| market_clean && !n.is_dirty())
                .map(|n| n.pipeline().fingerprint());
        }
        let on_the_way: Vec<_> = std::mem::take(&mut self.queue)
            .into_iter()
            .filter(|(_, e)| matches!(e, Ev::Arrive(_)))
            .collect();
        self.queue.extend(on_the_way);
        self.connected = false;
        self.link.connected(false);
        self.connection += 1;
        self.pushed_by.clear();
        if power {
            self.disk.power_loss();
            self.memory.lose();
        } else {
            self.disk.process_loss();
        }
        self.dying = false;
        self.storage.slow(0);
        self.totals.crashes += 1;
    }

    fn crash(&mut self) {
        self.crashes += 1;
        let power = self.chance.one_in(2) || self.dying;
        self.disk.fail_sync(0);
        self.trace(|| format!("crash, of power: {power}"));
        self.down(power);
        let pause = self.chance.pick(&[0, 10 * MS, 3 * SECOND, 30 * SECOND]);
        // The broker lives on.
        let until = self.now() + pause;
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > until {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            if let Ev::Arrive(id) = event {
                self.arrive(id, at);
            }
        }
        self.walk();
        self.broker.work(&self.prices);
        self.clock.reach(Timestamp(until));
        self.start();
    }

    // The loop.

    /// Runs until the data is over, then lets everything settle and judges. Returns the events of each
    /// namespace from before the rest.
    pub fn run(mut self) -> (Totals, Vec<Vec<Event>>) {
        while self.batches < self.config.batches {
            self.turn();
        }
        let rest = self.clock.now();
        let (totals, mut events) = self.settle();
        for events in &mut events {
            events.retain(|e| e.ts < rest);
        }
        (totals, events)
    }

    fn turn(&mut self) {
        let ((at, _), event) = self.queue.pop_first().unwrap();
        let before = self.clock.now();
        self.clock.reach(Timestamp(at));
        assert!(self.clock.now() >= before, "time went back");
        match event {
            // The operator rests, and so does mischance.
            Ev::Command(_) | Ev::Jump | Ev::Drop | Ev::Fault(_) | Ev::Crash if self.settling => {}
            Ev::Feed => self.feed(),
            Ev::Sync => self.sync(),
            Ev::Carry => self.carry(),
            Ev::Run(index) => self.come_round(index),
            Ev::Command(index) => self.command(index),
            Ev::Start(id) => self.start_call(id),
            Ev::Arrive(id) => self.arrive(id, at),
            Ev::Reply(id) => self.reply(id),
            Ev::Timeout(id) => self.timeout(id),
            Ev::Push(report, connection) => self.push(report, connection),
            Ev::Work => {
                self.broker.work(&self.prices);
                self.tell();
                let after = self.chance.within(50, 900) * MS;
                self.after(after, Ev::Work);
            }
            Ev::Drop => self.drop_connection(),
            Ev::Connect => self.connect(),
            Ev::Jump => {
                let by = self.chance.within(1, 12) * SECOND;
                self.clock.reach(Timestamp(self.now() + by));
                self.clock.reach(Timestamp(self.now() - by));
                let after = self.chance.within(1, 60) * SECOND;
                self.after(after, Ev::Jump);
            }
            Ev::Fault(index) => {
                let fault = self
                    .chance
                    .pick(&[Fault::Full, Fault::Sync, Fault::ReadOnly]);
                let dir = match self.chance.below(4) {
                    0 if self.config.crashes > 0 => PathBuf::from(MARKET),
                    _ => PathBuf::from(format!("journal/{}", NAMES[index])),
                };
                self.storage.fail(&dir, fault);
            }
            Ev::Crash if self.dying || self.chance.one_in(2) => self.crash(),
            Ev::Crash => {
                // In the middle of writing: some device operation of the next does not come back.
                self.dying = true;
                let syncs = 1 + self.chance.below(4);
                self.disk.fail_sync(syncs);
                self.after(400 * MS, Ev::Crash);
            }
        }
    }

    /// What failed is this one namespace, or everything.
    fn broken(&mut self, index: usize, error: &Broken) {
        if self.dying {
            self.crash();
            return;
        }
        let text = error.to_string();
        assert!(
            self.config.disk_faults && text.contains("journal"),
            "seed {}: {}: {text}",
            self.config.seed,
            NAMES[index]
        );
        self.detach(index);
    }

    fn detach(&mut self, index: usize) {
        self.trace(|| format!("{} is detached", NAMES[index]));
        let side = &mut self.sides[index];
        side.driver = None;
        side.packets.clear();
        side.messages.clear();
    }
}

/// How often snapshots are saved in a life.
fn snapshots(config: &Config, chance: &mut Chance) -> Duration {
    if config.snapshots {
        ms(chance.within(1_000, 30_000))
    } else {
        Duration::MAX
    }
}

/// Two states are one.
pub fn same(a: &str, b: &str, what: &str) {
    if a != b {
        let at = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
        let near =
            |text: &str| -> String { text[at.saturating_sub(200)..].chars().take(500).collect() };
        panic!("the state {what} differs:\n{}\n--\n{}", near(a), near(b));
    }
}
