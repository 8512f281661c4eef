//! An operator's commands: through the socket, into the journal, over a restart.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::Value;

use super::logs::Journal;
use super::{Running, status, until};
use crate::harness::World;

fn broker(world: &World) -> Value {
    status(world, "data").map_or(Value::Null, |s| s["brokers"][0].clone())
}

fn is_up(world: &World) {
    until("it listens", Duration::from_secs(20), || {
        status(world, "data").is_some()
    });
}

#[test]
fn commands_are_events_and_survive_a_restart() {
    let world = World::new();
    let running = Running::start(&world, &["run"]);
    is_up(&world);
    let mode = std::fs::metadata(world.path("data/control.sock")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    until("a position", Duration::from_secs(30), || {
        broker(&world)["positions"]
            .as_array()
            .is_some_and(|p| !p.is_empty())
    });
    let said = world.ok(&["halt", "--broker", "paper"]);
    assert!(
        said.contains("paper: trading is halted (it was active)"),
        "{said}"
    );
    assert_eq!(broker(&world)["state"], "halted");
    let again = world.ok(&["halt"]);
    assert!(again.contains("nothing to change"), "{again}");
    world.ok(&["square-off", "--broker", "paper"]);
    until("no position", Duration::from_secs(30), || {
        broker(&world)["positions"]
            .as_array()
            .is_some_and(Vec::is_empty)
    });
    world.ok(&["strategy", "disable", "trend"]);
    assert_eq!(broker(&world)["disabled_strategies"][0], "trend");
    let wrong = ["order", "resolve", "00000000000000000000", "--as", "filled"];
    let refused = world.panda(&wrong);
    assert!(
        !refused.ok && refused.stderr.contains("--quantity and --price"),
        "{}",
        refused.stderr
    );
    let refused = world.panda(&["halt", "--broker", "zerodha"]);
    assert!(
        !refused.ok && refused.stderr.contains("running: paper"),
        "{}",
        refused.stderr
    );
    let second = world.panda(&["run", "--for", "1s"]);
    assert!(
        !second.ok && second.stderr.contains("in use by process"),
        "{}",
        second.stderr
    );
    // Killed, not stopped: what was answered was durable.
    running.signal(rustix::process::Signal::KILL);
    running.end(Duration::from_secs(10));
    let running = Running::start(&world, &["run"]);
    is_up(&world);
    let now = broker(&world);
    assert_eq!(now["state"], "halted", "{now}");
    assert_eq!(now["disabled_strategies"][0], "trend", "{now}");
    world.ok(&["strategy", "enable", "trend"]);
    world.ok(&["resume"]);
    let now = broker(&world);
    assert_eq!(now["state"], "active", "{now}");
    assert_eq!(
        now["disabled_strategies"].as_array().map(Vec::len),
        Some(0),
        "{now}"
    );
    world.ok(&["stop"]);
    let (code, said) = running.end(Duration::from_secs(10));
    assert_eq!(code, Some(0), "{said}");
    let kinds: Vec<&str> = Journal::read(&world.path("data"), "paper")
        .events()
        .iter()
        .map(model::event::Event::kind)
        .filter(|kind| matches!(*kind, "trading_state_changed" | "strategy_switched"))
        .collect();
    assert_eq!(
        kinds,
        [
            "trading_state_changed",
            "strategy_switched",
            "strategy_switched",
            "trading_state_changed"
        ]
    );
}
