//! A system of paper namespaces on a disk in memory, which can be started as often as is needed.

use std::sync::Arc;

use feeds::live::Batch;
use journal::record::{Start, StrategyEntry};
use journal::{FileLogs, FileOptions, Log, LogName, Logs, Owner, SimDisk};
use model::charges::NoCharges;
use model::ids::SourceSession;
use model::session::{AlwaysOpen, Sessions};
use model::time::{MINUTE, SECOND};
use model::topic::Namespace as Name;
use model::trader::{Delivery, InPipelineTrader};
use model::{
    Amount, Date, Instrument, InstrumentIdx, Instruments, Price, Quantity, StrategyIdx, Tick,
    Timestamp,
};
use paper::{FillOn, PaperSettings, PaperTrader};
use pipeline::broker::OnResume;
use pipeline::risk::{AutoResume, Limits};
use pipeline::{BrokerMask, BrokerPipeline, BrokerSettings, Runner, StrategyHost, StrategySetup};
use runtime::RuntimeError;
use runtime::clock::{FeedClock, SessionClock};
use runtime::desk::DeskSettings;
use runtime::market::{MarketHost, MarketRecovered, MarketRecovery};
use runtime::namespace::{Namespace, Recovered, Recovery};
use runtime::packet::Packet;
use strategies::{KindRegistry, ResolvedStrategy, Scope};

const DEFINITIONS: &str = "
strategies:
  - { id: clockwork, kind: low_frequency_demo, instruments: ['NSE:MID'], parameters: { every: 30s, quantity: 5 } }
  - { id: vwap, kind: vwap_reversion, instruments: ['NSE:MID'], parameters: { entry: 0.5, stop: 8, settle: 5, quantity: 4, timeframe: 1s } }
";

/// 2025-01-06, ten in the morning UTC.
pub const BEGIN: i64 = 1_736_157_600 * SECOND;

pub struct World {
    pub disk: SimDisk,
    pub brokers: Vec<&'static str>,
    pub symbols: Vec<&'static str>,
    /// How the paper trader fills.
    pub fill: FillOn,
    pub settings: String,
    /// The source's session.
    pub source: u128,
    /// Ticks given so far, and so the number of the next.
    pub given: u64,
}

impl World {
    pub fn new() -> Self {
        Self {
            disk: SimDisk::new(7),
            brokers: vec!["east", "west"],
            symbols: vec!["MID"],
            fill: FillOn::default(),
            settings: "settings = 1".to_owned(),
            source: 7,
            given: 0,
        }
    }

    pub fn logs(&self) -> FileLogs {
        let options = FileOptions {
            preallocate: 1 << 12,
            ..FileOptions::default()
        };
        FileLogs::over(Arc::new(self.disk.clone()), options)
    }

    /// A log by its name in messages.
    pub fn log(&self, name: &str) -> Arc<dyn Log> {
        self.logs().log(LogName::of(name))
    }

    pub fn names(&self) -> Vec<String> {
        self.brokers.iter().map(|b| (*b).to_owned()).collect()
    }

    pub fn instruments(&self) -> Arc<Instruments> {
        let currency = "INR".parse().unwrap();
        let all = self.symbols.iter();
        let all = all.map(|s| Instrument::share("NSE", s, currency)).collect();
        Arc::new(Instruments::new(all).unwrap())
    }

    fn instrument(&self) -> InstrumentIdx {
        let mid = self.symbols.iter().position(|s| *s == "MID").unwrap();
        let mut sorted = self.symbols.clone();
        sorted.sort_unstable();
        debug_assert_eq!(sorted[mid], self.symbols[mid], "symbols are in order");
        InstrumentIdx(mid as u32)
    }

    /// A tick as a feed delivers it.
    pub fn batch(&self, number: u64) -> Batch {
        batch(self.instrument(), number)
    }

    fn strategies(&self) -> Vec<ResolvedStrategy> {
        let definitions = strategies::parse("test", DEFINITIONS).unwrap();
        strategies::resolve(definitions, &self.instruments(), &KindRegistry::built_in()).unwrap()
    }

    fn setups(&self, scope: Scope) -> Vec<StrategySetup> {
        let all = self.strategies();
        let mine = all.iter().enumerate().filter(|(_, s)| s.scope() == scope);
        mine.map(|(at, s)| StrategySetup {
            index: StrategyIdx(at as u32 + 1),
            name: s.id().to_owned(),
            instruments: s.instruments.clone(),
            product: s.product(),
            warm_up: 0,
            missed_timers: strategies::MissedTimers::Skip,
            enabled: true,
            brokers: (0..self.brokers.len()).fold(BrokerMask::default(), BrokerMask::with),
            strategy: s.build().unwrap(),
        })
        .collect()
    }

    pub fn start_record(&self) -> Start {
        let instruments = self.instruments();
        let mut strategies = vec![StrategyEntry {
            name: StrategyIdx::MANUAL_NAME.to_owned(),
            definition: String::new(),
        }];
        strategies.extend(self.strategies().iter().map(|s| StrategyEntry {
            name: s.id().to_owned(),
            definition: s.digest_text.clone(),
        }));
        Start {
            epoch: 0,
            at: Timestamp(BEGIN),
            build: "test".to_owned(),
            settings: self.settings.clone(),
            source: SourceSession(self.source),
            live: false,
            salt: 99,
            brokers: self.names(),
            strategies,
            instruments: instruments.iter().map(|(_, i)| i.clone()).collect(),
            currencies: instruments.currencies().to_vec(),
        }
    }

    pub fn pipeline(&self, broker: &str) -> BrokerPipeline {
        self.compose(broker, true)
    }

    /// With the paper trader, or with a broker outside.
    fn compose(&self, broker: &str, is_inside: bool) -> BrokerPipeline {
        let instruments = self.instruments();
        let sessions: Arc<dyn Sessions> = Arc::new(AlwaysOpen);
        let settings = PaperSettings {
            fill: self.fill,
            ..PaperSettings::default()
        };
        let trader = PaperTrader::new(settings, Arc::clone(&instruments), Arc::clone(&sessions));
        let trader = trader.unwrap();
        let capabilities = trader.capabilities().clone();
        let settings = BrokerSettings {
            namespace: Name::new(broker).unwrap(),
            starting_cash: vec![Amount::from_int(1_000_000); instruments.currencies().len()],
            limits: Limits::default(),
            strategy_limits: vec![None; 3],
            auto_resume: AutoResume::Manual,
            on_resume: OnResume::Hold,
            square_off: Vec::new(),
            square_off_notice: 0,
            snapshot_interval: MINUTE,
            send_within: 5 * SECOND,
            report_band: model::fixed::ONE / 2,
            charges: Arc::new(NoCharges),
            rules: Arc::new(model::rules::NoRules),
        };
        BrokerPipeline::new(
            instruments,
            sessions,
            SourceSession(self.source),
            settings,
            capabilities,
            self.setups(Scope::PerBroker),
            is_inside.then(|| Box::new(trader) as Box<dyn InPipelineTrader>),
        )
    }

    /// The namespace `desk` in a replay, whose broker is outside.
    pub fn outside(&self) -> Namespace {
        let recovery = Recovery {
            index: 0,
            journal: self.log("desk"),
            owner: Owner::NONE,
            first_day: Date::default(),
            market: self.log("market"),
            pipeline: self.compose("desk", false),
            start: self.start_record(),
            clock: FeedClock::replay(),
            desk: Some(DeskSettings {
                salt: 0,
                delivery: Delivery::Idempotent,
                call_within: 4 * SECOND,
                pause_min: SECOND / 10,
                pause_max: SECOND,
                silence: 2 * SECOND,
            }),
        };
        Namespace::open(recovery).unwrap().0
    }

    pub fn start(&self) -> System {
        self.try_start().unwrap()
    }

    pub fn try_start(&self) -> Result<System, RuntimeError> {
        let first_day = AlwaysOpen.trading_day(Timestamp(BEGIN)).date;
        let clock: Arc<dyn SessionClock> = FeedClock::replay();
        let mut namespaces: Vec<Namespace> = Vec::new();
        let mut recovered = Vec::new();
        for (index, broker) in self.brokers.iter().enumerate() {
            let recovery = Recovery {
                index,
                journal: self.log(broker),
                owner: Owner::NONE,
                first_day,
                market: self.log("market"),
                pipeline: self.pipeline(broker),
                start: self.start_record(),
                clock: Arc::clone(&clock),
                desk: None,
            };
            let (namespace, found) = Namespace::open(recovery)?;
            namespaces.push(namespace);
            recovered.push(found);
        }
        let host = StrategyHost::new(
            self.instruments(),
            Arc::new(AlwaysOpen),
            SourceSession(self.source),
            self.setups(Scope::Shared),
            false,
        );
        let recovery = MarketRecovery {
            log: self.log("market"),
            runner: Runner::new(host),
            start: self.start_record(),
            clock,
            namespaces: namespaces.iter().map(Namespace::next_input).collect(),
            disabled: Vec::new(),
        };
        let mut again = Vec::new();
        let opened = recovery.log.open(&Owner::NONE);
        let mut opened = opened.map_err(|e| RuntimeError::journal("market", e))?;
        opened.0.begin_in(first_day);
        let (market, market_recovered) = MarketHost::open(opened, recovery, &mut |packet| {
            again.push(packet);
            Ok(())
        })?;
        let mut system = System {
            market,
            namespaces,
            recovered,
            market_recovered,
            instrument: self.instrument(),
        };
        for packet in &again {
            system.deliver(packet)?;
        }
        Ok(system)
    }

    /// Starts, gives so many ticks, one a second, and stops without a word.
    pub fn session(&mut self, ticks: u64) -> System {
        let mut system = self.start();
        self.ticks(&mut system, ticks);
        system
    }

    pub fn ticks(&mut self, system: &mut System, count: u64) {
        for _ in 0..count {
            system.tick(self.given);
            self.given += 1;
        }
    }
}

fn batch(instrument: InstrumentIdx, number: u64) -> Batch {
    // A price that swings, so that limit orders fill and stand.
    let swing = [0, 3, 7, 2, -4, -9, -3, 5, 12, 4, -6];
    let price = 10_000 + 5 * swing[(number % 11) as usize] + 5 * (number % 7) as i64;
    let tick = Tick {
        ts: Timestamp(BEGIN + number as i64 * SECOND),
        price: Price::from_raw(price * model::fixed::ONE / 100),
        quantity: Quantity::from_int(10 + number as i64 % 5).unwrap(),
        instrument,
        ..Tick::default()
    };
    let mut batch = Batch::default();
    batch.tick(number, tick, None);
    batch
}

pub struct System {
    pub market: MarketHost,
    pub namespaces: Vec<Namespace>,
    pub recovered: Vec<Recovered>,
    pub market_recovered: MarketRecovered,
    instrument: InstrumentIdx,
}

impl System {
    pub fn tick(&mut self, number: u64) {
        let packet = self.packet(number);
        self.deliver(&packet).unwrap();
    }

    /// What the runner hands on of a tick, which is in its log.
    pub fn packet(&mut self, number: u64) -> Packet {
        let packet = self.packet_uncommitted(number);
        self.market.commit();
        packet
    }

    /// The same before the log has it.
    pub fn packet_uncommitted(&mut self, number: u64) -> Packet {
        let batch = batch(self.instrument, number);
        let mut packet = Packet {
            steps: Vec::new(),
            position: self.market.log().durable(),
            received: runtime::clock::wall(),
        };
        self.market.take(&batch, &mut packet);
        packet
    }

    fn deliver(&mut self, packet: &Packet) -> Result<(), RuntimeError> {
        for namespace in &mut self.namespaces {
            for step in &packet.steps {
                namespace.take(step, packet.position, packet.received)?;
            }
            namespace.commit()?;
        }
        Ok(())
    }

    pub fn fingerprints(&self) -> Vec<String> {
        let all = self.namespaces.iter();
        all.map(|n| n.pipeline().fingerprint()).collect()
    }
}
