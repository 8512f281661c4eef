//! A data directory that fails as a whole, and a market log that fails alone.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::event::{Event, EventBody};
use model::order::OrderRole;
use model::reason::Reason;
use panda::compose::BUILT_IN;
use rustix::process::Signal;
use serde_json::Value;
use session::{Plugins, Preparation, Session, prepare};

use super::inside::{Failure, Trouble, finish, settings, start};
use super::logs::Journal;
use super::{Running, replay_world, status, until};
use crate::harness::{World, assert_clear};

const SECOND: &str = "\
[log]
sync_interval_ms = 5
[trading_engine.second]
kind = \"paper\"
starting_cash = { INR = 300000 }
";

/// What stands in a journal is what was acknowledged: nothing takes effect before it is there.
fn events(world: &World, dir: &str, broker: &str) -> Vec<Event> {
    Journal::read(&world.path(dir), broker).events()
}

#[test]
fn a_disk_that_fails_ends_trading_and_loses_nothing_that_was_acknowledged() {
    let world = replay_world(3, SECOND);
    let all = &["paper", "second"];
    finish(
        start(settings(&world, "whole", ""), all, Plugins::new(BUILT_IN)),
        |_| (),
    );
    let whole = |broker| Journal::read(&world.path("whole"), broker).log_hash(broker);
    for (trouble, says) in [
        (Trouble::Full, "no space is left on the device"),
        (Trouble::ReadOnly, "make the data directory writable"),
        (Trouble::Sync, "the device did not confirm a write"),
    ] {
        let dir = format!("{trouble:?}");
        // Soon after the market log begins: most of what all have to write is still to come.
        let failure = Failure {
            counted: "market".into(),
            ..Failure::new("", trouble, 6)
        };
        let session = start(settings(&world, &dir, ""), all, failure.plugins());
        let ended = finish(session, |session| {
            until("all have noticed", Duration::from_secs(30), || {
                session
                    .handles
                    .members
                    .iter()
                    .all(|m| m.host.status().is_fenced())
            });
        });
        assert!(ended.failed.is_empty(), "{ended:?}");
        assert!(ended.market.as_ref().unwrap().contains(says), "{ended:?}");
        assert_eq!(ended.detached.len(), 2, "{ended:?}");
        for (_, detached) in &ended.detached {
            assert_eq!(detached.code, "journal");
            assert!(detached.why.contains(says), "{detached:?}");
        }
        let before = all.map(|broker| events(&world, &dir, broker));
        let session = start(settings(&world, &dir, ""), all, Plugins::new(BUILT_IN));
        let ended = finish(session, |_| ());
        assert!(
            ended.detached.is_empty() && ended.market.is_none(),
            "{ended:?}"
        );
        for (broker, before) in all.iter().zip(before) {
            let after = events(&world, &dir, broker);
            assert_eq!(after[..before.len()], before[..], "{trouble:?} {broker}");
            // One that was told of the market log's failure before its own had no entries until then.
            let blocked = |e: &Event| matches!(e.body, EventBody::EntriesBlocked { .. });
            if !after.iter().any(blocked) {
                let journal = Journal::read(&world.path(&dir), broker);
                let hash = journal.log_hash(broker);
                assert_eq!(hash, whole(broker), "{trouble:?} {broker}");
            }
        }
    }
}

fn live(world: &World, plugins: Plugins) -> Session {
    let (config, data) = (world.path("panda.toml"), world.path("data"));
    world.write("panda.toml", "[feeds.sim]\nsource = \"simulated\"\n");
    let settings = panda::commands::run::settings(Some(&config), &[], Some(&data), &[]);
    start(settings.unwrap(), &["paper"], plugins)
}

fn positions(world: &World) -> usize {
    let status = status(world, "data").unwrap_or(Value::Null);
    status["brokers"][0]["positions"]
        .as_array()
        .map_or(0, Vec::len)
}

#[test]
fn a_market_log_that_fails_blocks_entries_and_exits_go_on() {
    let world = World::new();
    let failure = Failure::new("market", Trouble::Full, u64::MAX);
    let session = live(&world, failure.plugins());
    until("a position", Duration::from_secs(60), || {
        positions(&world) > 0
    });
    failure.left.store(0, Ordering::Release);
    until("entries are blocked", Duration::from_secs(30), || {
        let status = status(&world, "data").unwrap();
        let why = status["market"]["failed"].as_str().unwrap_or("").to_owned();
        why.contains("no space is left")
            && status["brokers"][0]["entries_blocked_by"]
                .as_array()
                .is_some_and(|all| all.iter().any(|r| r == "market_log_failed"))
    });
    let shown = world.ok(&["status"]);
    assert!(shown.contains("the market log has FAILED"), "{shown}");
    world.ok(&["square-off", "--broker", "paper"]);
    until("no position", Duration::from_secs(30), || {
        positions(&world) == 0
    });
    let ended = session.stop();
    assert!(
        ended.failed.is_empty() && ended.detached.is_empty(),
        "{ended:?}"
    );
    assert!(ended.market.unwrap().contains("no space is left"));
    // With a log that can be written again, entries are taken again.
    let session = live(&world, Plugins::new(BUILT_IN));
    until("entries are allowed", Duration::from_secs(30), || {
        let status = status(&world, "data").unwrap_or(Value::Null);
        status["brokers"][0]["entries_blocked_by"] == Value::Array(Vec::new())
    });
    let ended = session.stop();
    assert!(
        ended.market.is_none() && ended.detached.is_empty(),
        "{ended:?}"
    );
    let events = events(&world, "data", "paper");
    let blocked = events.iter().position(|e| {
        let blocked = EventBody::EntriesBlocked {
            reason: Reason::MarketLogFailed,
            blocked: true,
        };
        e.body == blocked
    });
    let allowed = events
        .iter()
        .rposition(|e| matches!(e.body, EventBody::EntriesBlocked { blocked: false, .. }));
    let after = &events[blocked.unwrap()..allowed.unwrap()];
    let roles: Vec<OrderRole> = after
        .iter()
        .filter_map(|e| match &e.body {
            EventBody::OrderSubmitted(intent) => Some(intent.role),
            _ => None,
        })
        .collect();
    assert!(
        !roles.is_empty() && !roles.contains(&OrderRole::Entry),
        "{roles:?}"
    );
}

/// A file system of its own, where that is permitted: to the administrator, as a rule.
struct Mount {
    at: PathBuf,
}

impl Mount {
    fn new(world: &World, options: &str) -> Option<Self> {
        let at = world.path("data");
        std::fs::create_dir(&at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&at)
            .output();
        if mounted.is_ok_and(|o| o.status.success()) {
            return Some(Self { at });
        }
        crate::skip::skip("mount");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).output();
    }
}

#[test]
fn a_full_disk_ends_the_process_in_good_order() {
    let world = World::new();
    let Some(_mount) = Mount::new(&world, "size=340m") else {
        return;
    };
    // Its logs use up what they have taken in advance.
    world.write(
        "panda.toml",
        "[log]\nsnapshot_interval_seconds = 1\n[feeds.sim]\nsource = \"simulated\"\nchanges_per_second = 5000\n",
    );
    let run = ["run", "--config", "panda.toml"];
    let mut running = Running::start(&world, &run);
    until("a fill", Duration::from_secs(60), || {
        let fills = |s: &Value| s["brokers"][0]["activity"]["fills"].as_u64();
        status(&world, "data").as_ref().and_then(fills) > Some(0)
    });
    let mut ballast = File::create(world.path("data/ballast")).unwrap();
    let block = vec![1; 1 << 20];
    while ballast.write_all(&block).is_ok() {}
    // Held open it would keep its space after it is removed.
    drop(ballast);
    // It ends where the journal can take nothing more; where that has room still and the market log
    // has none, it only takes no more entries, and ends when it is told to.
    until("it is noticed", Duration::from_secs(60), || {
        let failed = |s: Value| s["market"]["failed"].is_string();
        running.child.try_wait().unwrap().is_some() || status(&world, "data").is_some_and(failed)
    });
    if running.child.try_wait().unwrap().is_none() {
        running.signal(Signal::TERM);
    }
    let (code, said) = running.end(Duration::from_secs(60));
    assert!(matches!(code, Some(4 | 6)), "{code:?}: {said}");
    assert!(
        said.contains("no space is left") && said.contains("free some space"),
        "{said}"
    );
    assert!(!said.contains("panicked"), "{said}");
    let before = events(&world, "data", "paper");
    // It says so before it starts, and starts when there is space.
    let refused = world.command().args(run).output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("disk space"), "{said}");
    std::fs::remove_file(world.path("data/ballast")).unwrap();
    let running = Running::start(&world, &run);
    until("it is up again", Duration::from_secs(60), || {
        status(&world, "data").is_some()
    });
    world.ok(&["stop"]);
    let (code, said) = running.end(Duration::from_secs(30));
    assert_eq!(code, Some(0), "{said}");
    let after = events(&world, "data", "paper");
    assert!(!before.is_empty());
    assert_eq!(after[..before.len()], before[..]);
}

#[test]
fn a_data_directory_that_cannot_be_written_is_refused() {
    let world = World::new();
    let Some(_mount) = Mount::new(&world, "size=4m,ro") else {
        return;
    };
    let output = world.command().arg("run").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    let last: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "error", "{said}");
    let last = format!("error: {}", last["message"].as_str().unwrap());
    assert_clear(&["run"], &last);
    assert!(
        last.contains("cannot be written") && last.contains("data_dir"),
        "{last}"
    );
}

#[test]
fn a_damaged_market_log_is_refused_before_anything_else_is_begun() {
    let world = replay_world(1, "");
    let settings = || settings(&world, "data", "");
    finish(
        start(settings(), &["paper"], Plugins::new(BUILT_IN)),
        |_| (),
    );
    let files = |dir: &str| -> Vec<(PathBuf, Vec<u8>)> {
        let entries = std::fs::read_dir(world.path(dir)).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let read = |path: PathBuf| (path.clone(), std::fs::read(path).unwrap());
        paths.into_iter().map(read).collect()
    };
    let flip = |path: &PathBuf, bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 4;
        std::fs::write(path, bytes).unwrap();
    };
    let attempt = || {
        prepare(Preparation {
            settings: settings(),
            brokers: vec!["paper".to_owned()],
            plugins: Plugins::new(BUILT_IN),
        })
    };
    let is_log = |(path, _): &&(PathBuf, Vec<u8>)| path.extension().is_some_and(|e| e == "log");
    let market = files("data/market");
    let journal = files("data/journal/paper");
    let (path, bytes) = market.iter().find(is_log).unwrap();
    flip(path, bytes, 1000);
    let refused = format!("{:#}", attempt().map(|_| ()).unwrap_err());
    assert!(
        refused.contains("market log") && refused.contains("damaged at offset"),
        "{refused}"
    );
    assert!(
        files("data/journal/paper") == journal,
        "something was begun"
    );
    let run = run(&world, "paper", "data");
    assert!(
        !run.ok && run.stderr.contains("damaged at offset"),
        "{}",
        run.stderr
    );
    std::fs::write(path, bytes).unwrap();
    // A snapshot that is not whole is named, and passed over.
    let newest = journal
        .iter()
        .rfind(|(path, _)| path.extension().is_some_and(|e| e == "bin"));
    let (path, bytes) = newest.unwrap();
    flip(path, bytes, bytes.len() / 2);
    let opened = attempt().unwrap();
    let named = &opened.ready[0].recovered.damaged_snapshots;
    assert_eq!(named.len(), 1);
    assert!(path.ends_with(&named[0]), "{named:?}");
}

/// Runs a replay to its end.
fn run(world: &World, brokers: &str, data: &str) -> crate::harness::Ran {
    let args = ["run", "--config", "live.toml", "--brokers", brokers];
    world.panda(&[&args[..], &["--data-dir", data]].concat())
}

#[test]
fn a_journal_that_was_moved_or_is_gone_is_refused_with_the_way_out() {
    let world = replay_world(1, SECOND);
    let said = |ran: &crate::harness::Ran| format!("{}{}", ran.stdout, ran.stderr);
    for data in ["data", "other"] {
        let ran = run(&world, "paper,second", data);
        assert!(ran.ok, "{}", said(&ran));
    }
    let verify = || world.panda(&["journal", "verify", "--data-dir", "data"]);
    let doctor = || {
        let ran = world.panda(&["doctor", "--config", "live.toml", "--data-dir", "data"]);
        said(&ran)
    };
    // Everything that is there is its owner's alone.
    let mut dirs = vec![world.path("data")];
    while let Some(dir) = dirs.pop() {
        let mode = |path: &std::path::Path| {
            use std::os::unix::fs::PermissionsExt;
            path.metadata().unwrap().permissions().mode() & 0o777
        };
        assert_eq!(mode(&dir), 0o700, "{}", dir.display());
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
            }
        }
    }
    let move_to = |from: &str, to: &str| {
        std::fs::rename(world.path(from), world.path(to)).unwrap();
    };
    let refused = |brokers: &str, says: &[&str]| {
        for text in [
            said(&verify()),
            said(&run(&world, brokers, "data")),
            doctor(),
        ] {
            // Doctor looks at the settings' broker, `paper`.
            for wanted in says {
                assert!(text.contains(wanted), "{brokers}: {text} lacks {wanted}");
            }
        }
        assert!(!verify().ok && !run(&world, brokers, "data").ok);
    };
    assert!(verify().ok, "{}", said(&verify()));
    // Two namespaces' folders swapped.
    move_to("data/journal/paper", "aside");
    move_to("data/journal/second", "data/journal/paper");
    move_to("aside", "data/journal/second");
    refused(
        "paper",
        &["it belongs to `second` of kind `paper`", "put back"],
    );
    move_to("data/journal/paper", "aside");
    move_to("data/journal/second", "data/journal/paper");
    move_to("aside", "data/journal/second");
    // The folder of the same name from another data directory.
    move_to("data/journal/paper", "aside");
    move_to("other/journal/paper", "data/journal/paper");
    refused(
        "paper",
        &["it belongs to `paper` of kind `paper` in the data directory"],
    );
    move_to("data/journal/paper", "other/journal/paper");
    // Gone: the loss is accepted deliberately, or the system does not start.
    refused(
        "paper",
        &["panda journal forget paper", "restore the folder"],
    );
    let forget = ["journal", "forget", "paper", "--data-dir", "data"];
    world.ok(&forget);
    assert!(verify().ok && run(&world, "paper,second", "data").ok);
    let again = world.panda(&forget);
    assert!(
        said(&again).contains("still holds files"),
        "{}",
        said(&again)
    );
    move_to("data/market", "aside-market");
    refused("paper", &["panda journal forget market"]);
    move_to("aside-market", "data/market");
    assert!(verify().ok && run(&world, "paper,second", "data").ok);
}
