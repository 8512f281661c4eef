//! What a newcomer sees first.

use std::time::{Duration, Instant};

use super::{Running, status, until};
use crate::harness::World;

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
    world.refuses(&["status"], &["no session runs", "panda run"]);
}
