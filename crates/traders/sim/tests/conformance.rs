//! The trader of the simulated exchange passes the suite: in process, over a socket, and where the
//! exchange loses, delays and repeats what it can.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use exchange::SharedExchange;
use model::market::MarketData;
use model::time::{DAY, HOUR, SECOND};
use model::trader::Delivery;
use model::{InputId, InstrumentIdx, Instruments, Price, Tick, Timestamp};
use sim::server::{Faults, Mode, ServeOptions, Server};
use sim::{Executions, LocalTrader, RemoteTrader, SimSettings};
use traders::Trader;
use traders::conformance::outside::{OutsideSubject, check};

const START: Timestamp = Timestamp(20_000 * DAY + 4 * HOUR);
const TICK: Price = Price::from_raw(5_000_000);

fn instruments() -> Instruments {
    Instruments::new(exchange::instruments()).unwrap()
}

fn names() -> Vec<String> {
    instruments().iter().map(|(_, i)| i.id.clone()).collect()
}

fn price(units: i64) -> Price {
    Price::from_int(units).unwrap()
}

struct InProcess {
    exchange: SharedExchange,
    now: Timestamp,
    settings: SimSettings,
}

impl OutsideSubject for InProcess {
    fn trader(&mut self) -> Box<dyn Trader> {
        Box::new(LocalTrader::new(&self.settings, self.exchange.clone(), "a"))
    }
    fn instrument(&self) -> InstrumentIdx {
        InstrumentIdx(0)
    }
    fn price(&self) -> Price {
        price(2_450)
    }
    fn tick(&self) -> Price {
        TICK
    }
    fn now(&self) -> Timestamp {
        self.now
    }
    fn step(&mut self, _: &mut dyn Trader) -> Result<(), String> {
        self.now = self.now.plus(SECOND / 20);
        self.exchange.advance(self.now, &mut Vec::new());
        std::thread::sleep(Duration::from_micros(200));
        Ok(())
    }
    fn is_faulty(&self) -> bool {
        false
    }
}

#[test]
fn in_process() {
    for (delivery, executions) in [
        (Delivery::Idempotent, Executions::Each),
        (Delivery::QueryOnly, Executions::Each),
        (Delivery::QueryOnly, Executions::Totals),
    ] {
        let exchange = SharedExchange::new(7, 20, &instruments());
        exchange.resume(START, &[]);
        let settings = SimSettings {
            delivery,
            executions,
            ..SimSettings::default()
        };
        let mut subject = InProcess {
            exchange,
            now: START,
            settings,
        };
        check(&mut subject).unwrap_or_else(|e| panic!("{e}"));
    }
}

struct Remote {
    server: Server,
    options: ServeOptions,
    settings: SimSettings,
    input: u64,
    _dir: tempfile::TempDir,
}

impl Remote {
    fn new(change: impl FnOnce(&mut ServeOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = ServeOptions::new(dir.path().join("exchange.sock"));
        change(&mut options);
        Self {
            server: Server::start(options.clone()).unwrap(),
            settings: SimSettings {
                delivery: options.delivery,
                timeout_ms: if options.faults.is_some() { 30 } else { 5_000 },
                ..SimSettings::default()
            },
            options,
            input: 0,
            _dir: dir,
        }
    }
}

impl OutsideSubject for Remote {
    fn trader(&mut self) -> Box<dyn Trader> {
        let path = self.options.socket.clone();
        Box::new(RemoteTrader::new(&self.settings, path, "a", names()))
    }
    fn instrument(&self) -> InstrumentIdx {
        InstrumentIdx(0)
    }
    fn price(&self) -> Price {
        price(2_450)
    }
    fn tick(&self) -> Price {
        TICK
    }
    fn now(&self) -> Timestamp {
        START.plus(self.input as i64 * SECOND)
    }
    fn step(&mut self, trader: &mut dyn Trader) -> Result<(), String> {
        if self.options.mode == Mode::Own {
            self.server.beat();
            std::thread::sleep(Duration::from_millis(3));
            return Ok(());
        }
        // What was passed without an answer is passed again.
        let tick = Tick {
            ts: START.plus((self.input + 1) as i64 * SECOND),
            price: self.price(),
            ..Tick::default()
        };
        match trader.pass(InputId(self.input), &MarketData::Tick(&tick, None)) {
            Ok(()) => self.input += 1,
            Err(_) if self.is_faulty() => {}
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }
    fn is_faulty(&self) -> bool {
        self.options.faults.is_some()
    }
}

#[test]
fn over_a_socket() {
    for mode in [Mode::Lockstep, Mode::Own] {
        for delivery in [Delivery::Idempotent, Delivery::QueryOnly] {
            for report_delay in [0, 5] {
                let mut subject = Remote::new(|o| {
                    (o.mode, o.delivery, o.report_delay) = (mode, delivery, report_delay);
                });
                check(&mut subject).unwrap_or_else(|e| panic!("{mode:?} {delivery:?}: {e}"));
            }
        }
    }
}

#[test]
fn with_faults() {
    for seed in 1..=4 {
        for mode in [Mode::Lockstep, Mode::Own] {
            for delivery in [Delivery::Idempotent, Delivery::QueryOnly] {
                let mut subject = Remote::new(|o| {
                    (o.mode, o.delivery, o.report_delay) = (mode, delivery, 3);
                    o.faults = Some(Faults {
                        seed,
                        percent: 30,
                        nonsense: 0,
                    });
                    o.partial_fills = true;
                });
                if seed % 2 == 0 {
                    subject.settings.executions = Executions::Totals;
                }
                check(&mut subject).unwrap_or_else(|e| {
                    panic!("seed {seed}, {mode:?}, {delivery:?}: {e}");
                });
                let books = sim::dump(&subject.options.socket).unwrap();
                assert_eq!(books["a"].violations, [""; 0], "seed {seed}");
            }
        }
    }
}

#[test]
fn a_second_server_is_refused_and_a_stale_socket_is_not_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let options = ServeOptions::new(dir.path().join("exchange.sock"));
    // What a killed process leaves behind.
    drop(std::os::unix::net::UnixListener::bind(&options.socket).unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let (served, flag) = (options.clone(), Arc::clone(&stop));
    let serving = std::thread::spawn(move || sim::server::serve(served, &flag));
    while sim::dump(&options.socket).is_err() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let mode = std::fs::metadata(&options.socket).unwrap().permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
        0o600
    );
    assert!(Server::start(options.clone()).is_err());
    stop.store(true, Ordering::Release);
    serving.join().unwrap().unwrap();
    assert!(!options.socket.exists());
}
