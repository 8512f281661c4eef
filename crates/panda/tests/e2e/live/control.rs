//! An operator's commands: through the socket, into the journal, over a restart.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use journal::record::Entry;
use model::event::EventBody;
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
    let now = broker(&world);
    assert_eq!(now["state"], "halted");
    assert_eq!(now["halted_by"], "operator");
    assert!(now["accounts"][0]["pnl_today"].is_string(), "{now}");
    assert!(now["accounts"][0]["pnl_total"].is_string(), "{now}");
    let average = now["positions"][0]["average_price"].as_str();
    assert!(
        average.is_none_or(|a| a.parse::<f64>().unwrap() > 0.0),
        "{now}"
    );
    let shown = world.ok(&["status"]);
    assert!(
        shown.contains("HALTED by operator") && shown.contains("P&L today"),
        "{shown}"
    );
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

#[test]
fn a_command_under_a_key_acts_once_also_over_restarts() {
    let world = World::new();
    let running = Running::start(&world, &["run"]);
    is_up(&world);
    let halt = ["halt", "--key", "halt-1", "--json"];
    let disable = ["strategy", "disable", "trend", "--key", "off-1", "--json"];
    let halted = world.ok(&halt);
    assert!(halted.contains("\"to\":\"halted\""), "{halted}");
    let disabled = world.ok(&disable);
    assert!(disabled.contains("\"enabled\":false"), "{disabled}");
    world.ok(&["resume"]);
    world.ok(&["strategy", "enable", "trend"]);
    let answers_the_same = || {
        assert_eq!(world.ok(&halt), halted);
        assert_eq!(world.ok(&disable), disabled);
        let other = world.panda(&["reduce-only", "--key", "halt-1"]);
        assert!(
            !other.ok
                && other
                    .stderr
                    .contains("the key was given with another command"),
            "{}",
            other.stderr
        );
        let now = broker(&world);
        assert_eq!(now["state"], "active", "{now}");
        assert_eq!(now["disabled_strategies"], serde_json::json!([]), "{now}");
    };
    answers_the_same();
    let wrong = world.panda(&["halt", "--key", "with space"]);
    assert!(
        !wrong.ok && wrong.stderr.contains("1 to 64 visible"),
        "{}",
        wrong.stderr
    );
    // Killed: the journal tells. Then stopped: the snapshot does.
    running.signal(rustix::process::Signal::KILL);
    running.end(Duration::from_secs(10));
    for _ in 0..2 {
        let running = Running::start(&world, &["run"]);
        is_up(&world);
        answers_the_same();
        world.ok(&["stop"]);
        let (code, said) = running.end(Duration::from_secs(10));
        assert_eq!(code, Some(0), "{said}");
    }
    let journal = Journal::read(&world.path("data"), "paper");
    let inputs = journal.runs.iter().flat_map(|run| &run.inputs);
    let keyed: Vec<_> = inputs
        .filter_map(|entry| match entry {
            Entry::Command(_, command) if !command.origin.key.is_empty() => Some(command.origin),
            _ => None,
        })
        .collect();
    let keys: Vec<&str> = keyed.iter().map(|origin| origin.key.as_str()).collect();
    assert_eq!(keys, ["halt-1", "off-1"]);
    assert!(
        keyed.iter().all(|origin| !origin.actor.is_empty()),
        "{keyed:?}"
    );
}

/// Whether a broker holds anything.
fn holds(broker: &Value) -> bool {
    broker["positions"]
        .as_array()
        .is_some_and(|positions| !positions.is_empty())
}

#[test]
fn a_reached_loss_limit_closes_positions_and_is_reset_only_aloud() {
    let world = World::new();
    // The charges of the first execution alone are more than may be lost.
    world.write(
        "panda.toml",
        "[trading_engine.paper]\ncharges = { flat_rate = 0.001 }\n\
         [risk]\ndaily_loss = 0.01\non_breach = \"square_off\"\n",
    );
    let running = Running::start(&world, &["run"]);
    is_up(&world);
    until("a halt", Duration::from_secs(60), || {
        broker(&world)["halted_by"] == "daily_loss"
    });
    until("no position", Duration::from_secs(30), || {
        !holds(&broker(&world))
    });
    for command in [["resume"], ["reduce-only"]] {
        let refused = world.panda(&command);
        assert!(
            !refused.ok
                && refused.stderr.contains("the limit is 0.01")
                && refused.stderr.contains("--reset-loss-base"),
            "{}",
            refused.stderr
        );
    }
    let now = broker(&world);
    assert_eq!(now["state"], "halted", "{now}");
    assert!(now["losses_count_since"].is_null(), "{now}");
    let said = world.ok(&["resume", "--reset-loss-base"]);
    assert!(
        said.contains("trading is active (it was halted); losses count from now on"),
        "{said}"
    );
    let shown = world.ok(&["status", "--data-dir", "data"]);
    assert!(shown.contains("losses count anew since 20"), "{shown}");
    // Another loss is another halt, and what was reset outlives the process.
    until("another halt", Duration::from_secs(60), || {
        broker(&world)["halted_by"] == "daily_loss"
    });
    until("no position", Duration::from_secs(30), || {
        !holds(&broker(&world))
    });
    let since = broker(&world)["losses_count_since"].clone();
    assert!(since.is_i64(), "{since}");
    running.signal(rustix::process::Signal::KILL);
    running.end(Duration::from_secs(10));
    let running = Running::start(&world, &["run"]);
    is_up(&world);
    assert_eq!(broker(&world)["losses_count_since"], since);
    assert!(!world.panda(&["resume"]).ok);
    world.ok(&["stop"]);
    let (code, said) = running.end(Duration::from_secs(10));
    assert_eq!(code, Some(0), "{said}");
    let journal = Journal::read(&world.path("data"), "paper");
    let kinds = journal.events().into_iter().filter_map(|event| {
        let told = match event.body {
            EventBody::LimitReached { squares_off, .. } => squares_off,
            EventBody::StateChanged { resets_losses, .. } => resets_losses,
            EventBody::ResumeRefused { .. } => false,
            _ => return None,
        };
        Some((event.kind(), told))
    });
    let round = [("limit_reached", true), ("trading_state_changed", false)];
    let refused = ("resume_refused", false);
    let mut wanted = round.to_vec();
    wanted.extend([refused, refused, ("trading_state_changed", true)]);
    wanted.extend(round);
    wanted.push(refused);
    assert_eq!(kinds.collect::<Vec<_>>(), wanted);
}

#[test]
fn a_fatal_error_reaches_the_log_file_in_the_form_that_was_asked_for() {
    for format in ["json", "text"] {
        let world = World::new();
        world.write("data", "a file is in the way");
        let settings = format!("[logging]\ndir = 'logs'\nformat = '{format}'\n");
        world.write("panda.toml", settings);
        let ran = world.panda(&["run", "--config", "panda.toml"]);
        assert!(!ran.ok);
        let file = world.read("logs/panda.log");
        for said in [&ran.stderr, &file] {
            let last = said.lines().last().unwrap();
            assert!(last.contains("cannot be written"), "{said}");
            assert_eq!(said.matches("cannot be written").count(), 1, "{said}");
            if format == "json" {
                let all = said.lines().map(serde_json::from_str::<serde_json::Value>);
                let last = all.map(Result::unwrap).next_back().unwrap();
                assert_eq!(last["level"], "error", "{said}");
            } else {
                assert!(last.contains(" error run system: "), "{said}");
            }
        }
    }
}

#[test]
fn a_second_instance_without_a_table_is_told_what_to_add() {
    let world = World::new();
    world.write("panda.toml", "[trading_engine.paper]\n");
    let run = ["run", "--config", "panda.toml", "--brokers", "paper,paper2"];
    world.refuses(&run, &["add [trading_engine.paper2] with kind = \"paper\""]);
}
