//! What a machine does to a running system: its clock is set, its data directory goes, its disk takes no
//! snapshots, its process is killed with market inputs that nothing has synced.

use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use panda::compose::BUILT_IN;
use rustix::process::Signal;
use serde_json::Value;
use session::Plugins;

use super::inside::{Failure, Trouble, finish, settings, start};
use super::logs::Journal;
use super::{Running, replay_world, status, until};
use crate::harness::World;

/// Sets the wall clock of a process, and no other clock, forward: an hour for each byte of a file.
const STEP: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *ts) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, ts);
    const char *file = getenv("CLOCK_STEP");
    struct stat found;
    if (result == 0 && id == CLOCK_REALTIME && file && stat(file, &found) == 0) ts->tv_sec += 3600 * found.st_size;
    return result;
}
"#;

const SIMULATED: &str =
    "[feeds.sim]\nsource = \"simulated\"\n[log]\nsnapshot_interval_seconds = 1\n";

const HOURS: usize = 5;

fn inputs(world: &World) -> f64 {
    let status = status(world, "data").unwrap_or(Value::Null);
    status["market"]["inputs"].as_f64().unwrap_or(0.0)
}

#[test]
fn a_clock_that_is_set_an_hour_forward_takes_nobody_out() {
    let world = World::new();
    // Seldom a tick, so that a namespace comes round seldom.
    let seldom = "source = \"simulated\"\nchanges_per_second = 2";
    world.write(
        "panda.toml",
        SIMULATED.replace("source = \"simulated\"", seldom),
    );
    world.write("step.c", STEP);
    // The linker's driver, without which nothing of this would have been built.
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(world.path("step.so"))
        .arg(world.path("step.c"))
        .arg("-ldl")
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    let running = Running::of(
        world
            .command()
            .args(["run", "--config", "panda.toml", "--brokers", "paper"])
            .env("LD_PRELOAD", world.path("step.so"))
            .env("CLOCK_STEP", world.path("step")),
    );
    until("ticks", Duration::from_secs(30), || inputs(&world) > 20.0);
    let before = status(&world, "data").unwrap();
    let minute = |status: &Value| status["session_time"].as_i64().unwrap() / 60_000_000_000;
    // Between a step and a namespace's next round the watchdog looks, more often than not.
    for hours in 1..=HOURS {
        world.write("step", vec![b'h'; hours]);
        std::thread::sleep(Duration::from_millis(300));
    }
    let new = minute(&before) + 60 * HOURS as i64 - 1;
    until("the new time", Duration::from_secs(30), || {
        status(&world, "data").is_some_and(|now| minute(&now) >= new)
    });
    let stepped = inputs(&world);
    until("ticks of the new time", Duration::from_secs(30), || {
        inputs(&world) > stepped + 20.0
    });
    let now = status(&world, "data").unwrap();
    assert_eq!(now["brokers"][0]["detached"], Value::Null, "{now}");
    assert_eq!(now["feeds"][0]["state"], "live", "{now}");
    // What could not be traded on is not made up: it would be 36 000 ticks an hour.
    let made = inputs(&world) - before["market"]["inputs"].as_f64().unwrap();
    assert!(made < 10_000.0, "{made}");
    running.signal(Signal::TERM);
    let (code, said) = running.end(Duration::from_secs(30));
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("stale"), "{said}");
    world.ok(&["journal", "verify", "--data-dir", "data"]);
}

#[test]
fn a_data_directory_that_is_removed_stops_the_system_in_order() {
    let world = World::new();
    world.write("panda.toml", SIMULATED);
    let running = Running::start(&world, &["run", "--config", "panda.toml"]);
    until("ticks", Duration::from_secs(30), || inputs(&world) > 50.0);
    // What the system makes in the meantime may keep it from being removed at once.
    until("it is removed", Duration::from_secs(10), || {
        let gone = |e: std::io::Error| e.kind() == std::io::ErrorKind::NotFound;
        std::fs::remove_dir_all(world.path("data")).map_or_else(gone, |()| true)
    });
    let (code, said) = running.end(Duration::from_secs(30));
    assert_eq!(code, Some(7), "{said}");
    for wanted in ["data directory was removed", "restore it from a backup"] {
        assert!(said.contains(wanted), "{said} lacks {wanted}");
    }
    assert!(!said.contains("panicked"), "{said}");
    assert!(!world.path("data").exists(), "it was made again");
}

#[test]
fn a_snapshot_that_cannot_be_written_costs_a_warning() {
    let world = replay_world(1, "[log]\nsync_interval_ms = 5\n");
    let hash = |dir: &str| Journal::read(&world.path(dir), "paper").log_hash("paper");
    let whole = start(
        settings(&world, "whole", ""),
        &["paper"],
        Plugins::new(BUILT_IN),
    );
    finish(whole, |_| ());
    for trouble in [Trouble::Full, Trouble::Sync] {
        let dir = format!("{trouble:?}");
        let failure = Failure {
            named: "snapshot-",
            ..Failure::new("", trouble, 0)
        };
        let session = start(settings(&world, &dir, ""), &["paper"], failure.plugins());
        let ended = finish(session, |_| ());
        assert!(failure.has_failed.load(Ordering::Acquire));
        assert!(
            ended.failed.is_empty() && ended.detached.is_empty() && ended.market.is_none(),
            "{ended:?}"
        );
        let names: Vec<&str> = ended
            .unsaved
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["market log", "paper"], "{ended:?}");
        assert_eq!(hash(&dir), hash("whole"), "{trouble:?}");
        let left = std::fs::read_dir(world.path(&dir).join("journal/paper")).unwrap();
        let left: Vec<String> = left
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with("snapshot-"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
        // The log has all that a snapshot would have said.
        let again = start(
            settings(&world, &dir, ""),
            &["paper"],
            Plugins::new(BUILT_IN),
        );
        assert!(again.recovered[0].1.records > 0);
        let ended = finish(again, |_| ());
        assert!(ended.unsaved.is_empty(), "{ended:?}");
        assert_eq!(hash(&dir), hash("whole"), "{trouble:?}");
    }
    // Seen from outside, and while it runs.
    let world = World::new();
    world.write("panda.toml", SIMULATED);
    let failure = Failure {
        named: "snapshot-",
        ..Failure::new("", Trouble::Full, 0)
    };
    let (config, data) = (world.path("panda.toml"), world.path("data"));
    let live = panda::commands::run::settings(Some(&config), &[], Some(&data), &[]).unwrap();
    let session = start(live, &["paper"], failure.plugins());
    until("it is shown", Duration::from_secs(30), || {
        let status = status(&world, "data").unwrap_or(Value::Null);
        let failed = |of: &Value| {
            of["snapshots_failed"].as_u64() > Some(1)
                && of["snapshot_failed"]
                    .as_str()
                    .is_some_and(|why| why.contains("no space is left"))
        };
        failed(&status["market"]) && failed(&status["brokers"][0])
    });
    let shown = world.ok(&["status"]);
    assert!(shown.contains("no snapshot could be saved"), "{shown}");
    let ended = session.stop();
    assert!(
        ended.detached.is_empty() && ended.market.is_none(),
        "{ended:?}"
    );
}

/// Whether `journal verify` names inputs that a kill took.
fn names_a_loss(kills: u32, verify: &dyn Fn(&[&str]) -> String) -> bool {
    kills > 0 && verify(&[]).contains("paper: market inputs ")
}

#[test]
fn inputs_that_a_kill_takes_from_the_market_log_are_named_and_no_damage() {
    let world = World::new();
    world.write(
        "panda.toml",
        "[feeds.sim]\nsource = \"simulated\"\nchanges_per_second = 200\n[log]\nsync_interval_ms = 60000\n",
    );
    let run = ["run", "--config", "panda.toml", "--brokers", "paper"];
    let verify = |more: &[&str]| {
        let args = ["journal", "verify", "--data-dir", "data"];
        world.ok(&[&args[..], more].concat())
    };
    // What the journal made durable last may have been all that the market log had to write: then there
    // is nothing to be named, and the next kill has its chance.
    let mut kills = 0;
    while !names_a_loss(kills, &verify) {
        assert!(kills < 10, "no kill took anything from the market log");
        let mut running = Running::start(&world, &run);
        until("fills", Duration::from_secs(60), || {
            let status = status(&world, "data").unwrap_or(Value::Null);
            status["brokers"][0]["activity"]["fills"].as_u64() > Some(5)
        });
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        kills += 1;
    }
    let check = || {
        let said = verify(&[]);
        assert!(said.contains("paper: market inputs "), "{said}");
        assert!(said.contains("are not in the market log"), "{said}");
        assert!(!said.contains("nothing acted on them"), "{said}");
        let said = verify(&["--replay", "--config", "panda.toml"]);
        assert!(said.contains("paper: decided again: "), "{said}");
        assert!(said.contains("taken as recorded"), "{said}");
    };
    check();
    let json = verify(&["--replay", "--config", "panda.toml", "--json"]);
    let paper: Value = json
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|log| log["log"] == "paper")
        .unwrap();
    assert_eq!(paper["ok"], true, "{paper}");
    let ranges = |of: &Value| of.as_array().unwrap().len();
    assert_eq!(ranges(&paper["lost_inputs"]), 1, "{paper}");
    assert_eq!(ranges(&paper["replay"]["missing"]), 1, "{paper}");
    // A later start goes on, and the loss stays named.
    let running = Running::start(&world, &run);
    until("ticks", Duration::from_secs(30), || inputs(&world) > 0.0);
    world.ok(&["stop"]);
    let (code, said) = running.end(Duration::from_secs(30));
    assert_eq!(code, Some(0), "{said}");
    check();
}
