//! Systems that run: worlds for them, their processes, and waiting for what they come to.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Ran, World};

/// A world with a generated market of so many days, and settings that replay it.
pub fn replay_world(days: u32, more: &str) -> World {
    let world = World::new();
    world.ok(&["demo", "--out", "market", "--days", &days.to_string()]);
    let settings = world.read("market/panda.toml");
    let head = "data_dir = \"data\"\ninstruments = \"market/instruments.csv\"\n";
    let tail = "\n[strategies]\nfiles = [\"strategies.yaml\"]\n[feeds.recorded]\nsource = \"replay\"\npath = \"market/data\"\n";
    world.write("live.toml", format!("{head}{settings}{tail}{more}"));
    // Every broker that runs takes part.
    let strategies = world.read("market/strategies.yaml");
    let strategies: String = strategies
        .lines()
        .filter(|line| !line.contains("brokers:"))
        .map(|line| format!("{line}\n"))
        .collect();
    world.write("strategies.yaml", strategies);
    world
}

/// Settings of a second broker beside the one of [`replay_world`].
pub const SECOND_BROKER: &str = "\
[trading_engine.paper2]
kind = \"paper\"
starting_cash = { INR = 300000 }
simulation_latency_ms = 700
seed = 9
";

/// The backtest of what [`replay_world`] replays; its summary.
pub fn backtest_of_replay(world: &World, brokers: &str, out: &str) -> serde_json::Value {
    let more = ["--config", "live.toml", "--broker", brokers];
    let args = [
        "backtest",
        "--data",
        "market/data",
        "--instruments",
        "market/instruments.csv",
        "--strategy",
        "strategies.yaml",
        "--out",
        out,
    ];
    world.ok(&[&args[..], &more].concat());
    world.json(&format!("{out}/summary.json"))
}

/// A process that is running; killed when it is dropped.
pub struct Running {
    pub child: Child,
}

impl Running {
    pub fn start(world: &World, args: &[&str]) -> Self {
        Self::of(world.command().args(args))
    }

    pub fn of(command: &mut Command) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the end. The exit code, and what it wrote to standard error.
    pub fn end(mut self, patience: Duration) -> (Option<i32>, String) {
        let deadline = Instant::now() + patience;
        // What it writes is little: the pipe holds it.
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                let said = self.said();
                panic!("it did not end within {patience:?}: {said}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let code = self.child.wait().unwrap().code();
        (code, self.said())
    }

    fn said(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until the answer is wanted.
pub fn until(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Asks the running session for its status; `None` while it does not listen yet.
pub fn status(world: &World, data_dir: &str) -> Option<serde_json::Value> {
    let ran: Ran = world.panda(&["status", "--json", "--data-dir", data_dir]);
    let said: Option<serde_json::Value> =
        ran.ok.then(|| serde_json::from_str(&ran.stdout).unwrap());
    said.filter(|status| status["running"] == true)
}
