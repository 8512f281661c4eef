//! Two namespaces: whatever befalls the one, the other's events are those of a run alone, and the sick
//! one is reported.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use panda::compose::BUILT_IN;
use rustix::process::Signal;
use serde_json::Value;
use session::{Plugins, Session};

use super::inside::{Failure, Fault, Trouble, finish, paper_that_fails, settings, start};
use super::logs::Journal;
use super::{Running, replay_world, until};
use crate::harness::{World, text};

/// The deadline is long enough for a machine that has much else to do.
const SECOND: &str = "\
[runtime]
namespace_deadline_seconds = 4
[trading_engine.sick]
kind = \"paper\"
starting_cash = { INR = 300000 }
";

fn alone(world: &World) -> String {
    let session = start(
        settings(world, "alone", ""),
        &["paper"],
        Plugins::new(BUILT_IN),
    );
    let ended = finish(session, |_| ());
    assert!(
        ended.detached.is_empty() && ended.failed.is_empty(),
        "{ended:?}"
    );
    let journal = Journal::read(&world.path("alone"), "paper");
    assert!(journal.events().len() > 100, "it did too little");
    journal.log_hash("paper")
}

fn status(world: &World, dir: &str, broker: &str) -> Value {
    let dir = world.path(dir).display().to_string();
    let shown: Value =
        serde_json::from_str(&world.ok(&["status", "--json", "--data-dir", &dir])).unwrap();
    let brokers = shown["brokers"].as_array().unwrap();
    let found = brokers.iter().find(|b| b["broker"] == broker);
    found.unwrap().clone()
}

/// The healthy one did what it does alone, the sick one was taken out with this code, and that is shown.
fn check(world: &World, session: Session, dir: &str, code: &str, says: &[&str]) {
    if let Some((_, sick)) = session.handles.member("sick") {
        // The replay may be over before it is found.
        until("it is taken out", Duration::from_secs(30), || {
            sick.host.status().is_fenced()
        });
    }
    let mut shown = Value::Null;
    let ended = finish(session, |_| shown = status(world, dir, "sick"));
    assert!(ended.failed.is_empty(), "{ended:?}");
    assert_eq!(ended.detached.len(), 1, "{ended:?}");
    let (broker, detached) = &ended.detached[0];
    assert_eq!(
        (broker.as_str(), detached.code),
        ("sick", code),
        "{detached:?}"
    );
    for says in says {
        assert!(detached.why.contains(says), "{detached:?} lacks {says}");
    }
    assert_eq!(text(&shown["detached"], "code"), code, "{shown}");
    assert_eq!(shown["detached"]["why"], detached.why, "{shown}");
    let journal = Journal::read(&world.path(dir), "paper");
    assert_eq!(journal.log_hash("paper"), alone(world));
}

#[test]
fn a_stage_that_panics_harms_no_other_namespace() {
    let world = replay_world(1, SECOND);
    let plugins = Plugins {
        brokers: vec![paper_that_fails("sick", Fault::Panic, 500)],
        ..Plugins::new(BUILT_IN)
    };
    let session = start(settings(&world, "both", ""), &["paper", "sick"], plugins);
    let says = ["as the test wants it", "until the next start"];
    check(&world, session, "both", "stage_panic", &says);
    // What it had made durable is kept, and the next start takes it up where it was.
    let session = start(
        settings(&world, "both", ""),
        &["paper", "sick"],
        Plugins::new(BUILT_IN),
    );
    let ended = finish(session, |_| ());
    assert!(ended.detached.is_empty(), "{ended:?}");
    let sick = Journal::read(&world.path("both"), "sick");
    let session = start(
        settings(&world, "well", ""),
        &["sick"],
        Plugins::new(BUILT_IN),
    );
    finish(session, |_| ());
    let well = Journal::read(&world.path("well"), "sick");
    assert_eq!(sick.log_hash("sick"), well.log_hash("sick"));
}

#[test]
fn a_stage_that_hangs_harms_no_other_namespace() {
    let world = replay_world(1, SECOND);
    let released = Arc::new(AtomicBool::new(false));
    let plugins = Plugins {
        brokers: vec![paper_that_fails(
            "sick",
            Fault::Hang(Arc::clone(&released)),
            500,
        )],
        ..Plugins::new(BUILT_IN)
    };
    let session = start(settings(&world, "both", ""), &["paper", "sick"], plugins);
    let sick = Arc::clone(session.handles.members[1].host.status());
    // The replay may be over before the deadline: then it is waited for here.
    until("it is found", Duration::from_secs(30), || sick.is_fenced());
    let before = Journal::read(&world.path("both"), "sick").runs;
    let says = ["nothing has moved in it", "start again"];
    let asked = Instant::now();
    check(&world, session, "both", "namespace_hang", &says);
    // Nobody waits for it again when the session ends.
    assert!(
        asked.elapsed() < Duration::from_secs(60),
        "{:?}",
        asked.elapsed()
    );
    // Whoever comes back from a hang does nothing behind the back of those who were told.
    released.store(true, Ordering::Release);
    until("its thread ends", Duration::from_secs(30), || {
        sick.ended.load(Ordering::Acquire)
    });
    assert_eq!(Journal::read(&world.path("both"), "sick").runs, before);
}

/// A replay with a broker in another process, which is stopped so in the middle.
fn trader(signal: Signal, dir: &str) {
    let world = replay_world(1, SECOND);
    let socket = world.path("exchange.sock").display().to_string();
    let exchange = Running::start(
        &world,
        &["exchange", "serve", "--lockstep", "--socket", &socket],
    );
    until("it serves", Duration::from_secs(20), || {
        world.path("exchange.sock").exists()
    });
    let live = world
        .read("live.toml")
        .replace(
            "kind = \"paper\"\nstarting_cash = { INR = 300000 }",
            &format!("kind = \"sim\"\nconnect = \"unix:{socket}\"\ntimeout_ms = 1000\nstarting_cash = {{ INR = 300000 }}"),
        );
    world.write("live.toml", live);
    let session = start(
        settings(&world, dir, ""),
        &["paper", "sick"],
        Plugins::new(BUILT_IN),
    );
    let sick = Arc::clone(session.handles.members[1].host.status());
    until("it is under way", Duration::from_secs(30), || {
        sick.next_input.load(Ordering::Acquire) > 0
    });
    exchange.signal(signal);
    until("it is found", Duration::from_secs(30), || sick.is_fenced());
    until("all is delivered", Duration::from_secs(30), || {
        session.is_over()
    });
    let all = session
        .handles
        .market
        .status()
        .next_input
        .load(Ordering::Acquire);
    assert!(
        sick.next_input.load(Ordering::Acquire) < all,
        "it was through"
    );
    let says = ["its broker has held it up", "start again"];
    check(&world, session, dir, "trader_hang", &says);
    exchange.signal(Signal::KILL);
    exchange.end(Duration::from_secs(10));
}

#[test]
fn a_trader_that_is_killed_harms_no_other_namespace() {
    trader(Signal::KILL, "killed");
}

#[test]
fn a_trader_that_hangs_harms_no_other_namespace() {
    trader(Signal::STOP, "stopped");
}

#[test]
fn a_journal_that_cannot_be_written_harms_no_other_namespace() {
    let world = replay_world(1, SECOND);
    for (trouble, says) in [
        (Trouble::Full, "no space is left"),
        (Trouble::ReadOnly, "make the data directory writable"),
        (Trouble::Sync, "check the disk"),
    ] {
        let dir = format!("{trouble:?}");
        let failure = Failure::new("journal/sick", trouble, 20);
        let plugins = failure.plugins();
        let session = start(settings(&world, &dir, ""), &["paper", "sick"], plugins);
        check(&world, session, &dir, "journal", &[says, "start again"]);
        assert!(failure.has_failed.load(Ordering::Acquire));
        // All that was acknowledged is there, and it goes on from there.
        let session = start(
            settings(&world, &dir, ""),
            &["paper", "sick"],
            Plugins::new(BUILT_IN),
        );
        let ended = finish(session, |_| ());
        assert!(ended.detached.is_empty(), "{ended:?}");
    }
}

#[test]
fn a_damaged_journal_keeps_out_its_own_namespace_alone() {
    let world = replay_world(1, SECOND);
    let all = &["paper", "sick"];
    let half = "";
    let paced = world
        .read("live.toml")
        .replace("source = \"replay\"", "source = \"replay\"\nspeed = 20000");
    let whole = world.read("live.toml");
    world.write("live.toml", paced);
    let session = start(settings(&world, "both", half), all, Plugins::new(BUILT_IN));
    until("both have begun", Duration::from_secs(30), || {
        let hosts = session.handles.members.iter();
        hosts
            .map(|m| m.host.status())
            .all(|s| s.events.load(Ordering::Relaxed) > 20)
    });
    let ended = session.stop();
    assert!(ended.detached.is_empty(), "{ended:?}");
    world.write("live.toml", whole);
    // Two bytes in the middle of what was confirmed.
    let segments = world.tree();
    let (segment, _) = segments
        .iter()
        .find(|(path, _)| {
            let path = path.display().to_string();
            path.contains("both/journal/sick/") && path.ends_with(".log")
        })
        .unwrap_or_else(|| panic!("no segment in {segments:?}"));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(segment)
        .unwrap();
    let mut bytes = [0; 2];
    file.read_exact_at(&mut bytes, 9_000).unwrap();
    file.write_all_at(&[!bytes[0], !bytes[1]], 9_000).unwrap();
    let session = start(settings(&world, "both", ""), all, Plugins::new(BUILT_IN));
    assert_eq!(session.handles.members.len(), 1);
    let says = ["damaged at offset", "restore this file from a backup"];
    check(&world, session, "both", "journal", &says);
    // The binary says so, too, and tells a supervisor.
    let dir = world.path("both").display().to_string();
    let config = world.path("both.toml").display().to_string();
    let run = [
        "run",
        "--config",
        &config,
        "--data-dir",
        &dir,
        "--brokers",
        "paper,sick",
    ];
    let output = world.command().args(run).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("restore this file from a backup"), "{said}");
}
