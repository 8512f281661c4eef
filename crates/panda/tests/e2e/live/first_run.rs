//! What a newcomer sees first.

use std::time::{Duration, Instant};

use super::{Running, status, until};
use crate::harness::World;

#[test]
fn a_broker_on_the_simulated_exchange_of_the_process_itself() {
    let world = World::new();
    // The reference's default: `connect` is empty.
    world.write(
        "panda.toml",
        "active_brokers = [\"sim\"]\n[trading_engine.sim]\nconnect = \"\"\n",
    );
    world.ok(&["config", "check"]);
    let doctor = world.ok(&["doctor"]);
    assert!(doctor.contains("broker sim"), "{doctor}");
    let running = Running::start(&world, &["run"]);
    until("a fill", Duration::from_secs(60), || {
        let fills = |s: &serde_json::Value| s["brokers"][0]["activity"]["fills"].as_u64();
        status(&world, "data").as_ref().and_then(fills) > Some(0)
    });
    let shown = world.ok(&["status"]);
    assert!(
        shown.contains("broker   sim (sim, paper)  active"),
        "{shown}"
    );
    running.signal(rustix::process::Signal::TERM);
    let (code, said) = running.end(Duration::from_secs(20));
    assert_eq!(code, Some(0), "{said}");
    world.ok(&["journal", "verify"]);

    // A replay has no such exchange, and a start says so in the words of a check.
    world.write(
        "replay.toml",
        "active_brokers = [\"sim\"]\n[trading_engine.sim]\n[feeds.day]\nsource = \"replay\"\npath = \"market\"\n",
    );
    let why = "this process has no simulated exchange";
    for command in [&["config", "check"][..], &["run"]] {
        let ran = world.panda(&[command, &["--config", "replay.toml"]].concat());
        assert!(!ran.ok && ran.stderr.contains(why), "{}", ran.stderr);
    }
}

#[test]
fn without_settings_it_trades_at_once_and_stops_in_good_order() {
    let world = World::new();
    let running = Running::start(&world, &["run"]);
    let began = Instant::now();
    until("a fill within ten seconds", Duration::from_secs(10), || {
        let fills = |s: &serde_json::Value| s["brokers"][0]["activity"]["fills"].as_u64();
        status(&world, "data").as_ref().and_then(fills) > Some(0)
    });
    assert!(began.elapsed() < Duration::from_secs(10));
    let shown = world.ok(&["status"]);
    for wanted in [
        "live session",
        "feed     sim  live",
        "broker   paper (paper, paper)  active",
    ] {
        assert!(shown.contains(wanted), "{shown}");
    }
    let asked = Instant::now();
    running.signal(rustix::process::Signal::TERM);
    let (code, said) = running.end(Duration::from_secs(20));
    assert_eq!(code, Some(0), "{said}");
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    let doctor = world.ok(&["doctor"]);
    assert!(doctor.contains("all of it is whole"), "{doctor}");
    let shown = world.ok(&["status"]);
    assert!(shown.contains("no session runs"), "{shown}");
    world.refuses(&["halt"], &["no session runs", "panda run"]);
}
