//! A replay through the running system, and the backtest of the same data: the same events.

use super::logs::{Journal, market};
use super::{Running, SECOND_BROKER, backtest_of_replay, replay_world};
use crate::harness::{count, text};

#[test]
fn a_replay_gives_the_events_of_the_backtest_whatever_else_runs() {
    let world = replay_world(2, SECOND_BROKER);
    let both = backtest_of_replay(&world, "paper,paper2", "backtest");
    let run = |brokers: &str, dir: &str| {
        let ran = world.panda(&[
            "run",
            "--config",
            "live.toml",
            "--brokers",
            brokers,
            "--data-dir",
            dir,
        ]);
        assert!(ran.ok, "{}", ran.stderr);
        let said = |line: &str| {
            let (_, said) = line.split_once("left without protection")?;
            Some(said.to_owned())
        };
        let lines = ran.stderr.lines();
        lines
            .filter(|line| line.contains("\"paper\"") || line.contains("broker=paper "))
            .filter_map(said)
            .collect::<std::collections::BTreeSet<_>>()
    };
    // What is told at the end is told of the end, when the day's positions are closed.
    for left in [run("paper,paper2", "both"), run("paper", "alone")] {
        assert!(left.is_empty(), "{left:?}");
    }
    let hashes = &both["log_hash_by_broker"];
    for broker in ["paper", "paper2"] {
        let journal = Journal::read(&world.path("both"), broker);
        assert!(journal.events().len() > 500, "{broker} did too little");
        assert_eq!(journal.log_hash(broker), text(hashes, broker), "{broker}");
    }
    let alone = Journal::read(&world.path("alone"), "paper");
    assert_eq!(alone.log_hash("paper"), text(hashes, "paper"));
    // What trades does not change what is seen.
    let (seen, seen_alone) = (market(&world.path("both")), market(&world.path("alone")));
    assert_eq!(seen, seen_alone);
    assert_eq!(seen.len() as u64, count(&both, "ticks"));
}

#[test]
fn a_replay_that_is_stopped_and_started_again_gives_the_same_events() {
    let world = replay_world(1, "");
    world.ok(&["run", "--config", "live.toml", "--data-dir", "whole"]);
    let whole = Journal::read(&world.path("whole"), "paper");
    // At a pace at which it is still under way when it is stopped.
    let settings = world
        .read("live.toml")
        .replace("source = \"replay\"", "source = \"replay\"\nspeed = 20000");
    world.write("paced.toml", settings);
    let mut starts = 0;
    loop {
        let args = ["run", "--config", "paced.toml", "--data-dir", "parts"];
        let running = Running::start(&world, &args);
        std::thread::sleep(std::time::Duration::from_millis(400));
        running.signal(rustix::process::Signal::TERM);
        let (code, said) = running.end(std::time::Duration::from_secs(30));
        assert_eq!(code, Some(0), "{said}");
        starts += 1;
        if said.contains("the replay is over") {
            break;
        }
        assert!(starts < 100, "it does not come to an end");
    }
    let parts = Journal::read(&world.path("parts"), "paper");
    assert!(parts.starts > 1, "it was never stopped");
    assert_eq!(parts.log_hash("paper"), whole.log_hash("paper"));
    assert_eq!(market(&world.path("parts")), market(&world.path("whole")));
}
