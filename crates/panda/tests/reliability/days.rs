//! Days that processes live through, and the exchange beside them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use exchange::Books;
use model::event::EventBody;

use crate::harness::World;
use crate::logs::Journal;
use crate::process::PATIENCE;
use crate::running::{Running, replay_world, until};

/// SplitMix64.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// Three strategies for each instrument, so that something is going on all day.
fn strategies() -> String {
    let mut text = String::from("strategies:\n");
    for symbol in ["BAMBOO", "CEDAR", "LOTUS", "MANGO", "NEEM", "TEAK"] {
        let name = symbol.to_lowercase();
        for (id, kind, parameters) in [
            (
                "trend",
                "ema_cross",
                "{ fast: 5, slow: 15, quantity: 4, timeframe: 1m }",
            ),
            ("reversion", "mean_reversion", "{ quantity: 6 }"),
            ("breakout", "opening_range_breakout", "{ quantity: 2 }"),
        ] {
            text += &format!(
                "  - id: {id}-{name}\n    kind: {kind}\n    instruments: [\"DEMO:{symbol}\"]\n    parameters: {parameters}\n"
            );
        }
    }
    text
}

/// A world whose broker `sim` trades on an exchange behind `exchange.sock`, with `paced.toml` for a replay that is
/// so many times as fast as the day was.
pub fn world(delivery: &str, pace: u64) -> World {
    let broker = format!(
        "\n[trading_engine.sim]\nstarting_cash = {{ INR = 1000000 }}\ncharges = {{ flat_rate = 0.0002 }}\n\
         square_off_minutes_before_close = 10\nconnect = \"unix:exchange.sock\"\ndelivery = \"{delivery}\"\ntimeout_ms = 20\n\
         [log]\nsync_interval_ms = 20\nsnapshot_interval_seconds = 1\n"
    );
    let world = replay_world(1, &broker);
    world.write("strategies.yaml", strategies());
    write_paced(&world, pace);
    world
}

/// Writes `paced.toml`: the settings with a pace at which deaths find room in the day.
pub fn write_paced(world: &World, pace: u64) {
    let source = "source = \"replay\"";
    let paced = format!("{source}\nspeed = {pace}");
    world.write(
        "paced.toml",
        world.read("live.toml").replace(source, &paced),
    );
}

/// The pace of a day that is to be killed so often.
pub fn pace(kills: u64) -> u64 {
    (200_000 / kills.max(1)).clamp(1_000, 4_000)
}

/// An exchange that is served by a process of its own.
pub struct Exchange {
    running: Option<Running>,
    socket: PathBuf,
}

impl Exchange {
    pub fn serve(world: &World, delivery: &str, faults: Option<u64>) -> Self {
        let faults = faults.map(|seed| seed.to_string());
        let mut args = vec![
            "exchange",
            "serve",
            "--socket",
            "exchange.sock",
            "--lockstep",
        ];
        args.extend([
            "--delivery",
            delivery,
            "--partial-fills",
            "--report-delay",
            "12",
        ]);
        if let Some(seed) = &faults {
            args.extend(["--faults", seed.as_str()]);
            // What is parked is booked later than what was not: the orders' fills are the same, their
            // order is not.
            if delivery == "query_only" {
                args.extend(["--nonsense", "15"]);
            }
        }
        let running = Running::start(world, &args);
        let socket = world.path("exchange.sock");
        until("the exchange is open", Duration::from_secs(20), || {
            sim::dump(&socket).is_ok()
        });
        Self {
            running: Some(running),
            socket,
        }
    }

    pub fn books(&self) -> Books {
        let all = sim::dump(&self.socket).unwrap();
        all.get("sim").cloned().unwrap_or_default()
    }

    /// The number of the first input that the day has not passed.
    pub fn next(&self) -> u64 {
        self.books().passed.map_or(0, |passed| passed + 1)
    }

    pub fn close(self) -> Books {
        let books = self.books();
        self.stop();
        books
    }

    pub fn stop(mut self) {
        let running = self.running.take().unwrap();
        running.signal(rustix::process::Signal::TERM);
        let (code, said) = running.end(Duration::from_secs(10));
        assert_eq!(code, Some(0), "the exchange: {said}");
    }
}

/// One life of the process; what it says is added to a file.
pub struct Life {
    pub child: Child,
    pub began: Instant,
}

impl Life {
    pub fn begin(world: &World, config: &str, dir: &str, broker: &str) -> Self {
        let path = world.path(&format!("{dir}.log"));
        let log = File::options().create(true).append(true).open(path);
        let child = world
            .command()
            .args([
                "run",
                "--config",
                config,
                "--brokers",
                broker,
                "--data-dir",
                dir,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            began: Instant::now(),
        }
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end of the replay.
    pub fn complete(mut self, world: &World, dir: &str) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "stuck: {}", said(world, dir));
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success(), "{status}: {}", said(world, dir));
        let all = world.read(&format!("{dir}.log"));
        assert!(all.contains("the replay is over"), "{}", said(world, dir));
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The end of what the lives in a data directory have said.
pub fn said(world: &World, dir: &str) -> String {
    let all = fs::read_to_string(world.path(&format!("{dir}.log"))).unwrap_or_default();
    let lines: Vec<&str> = all.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// An order that a journal has submitted twice, if there is one.
pub fn repeated_order(journal: &Journal) -> Option<String> {
    let mut seen = BTreeSet::new();
    journal
        .events()
        .into_iter()
        .find_map(|event| match event.body {
            EventBody::OrderSubmitted(intent) => {
                let id = intent.id.to_string();
                (!seen.insert(id.clone())).then_some(id)
            }
            _ => None,
        })
}
