//! Strategies that do not return, or take too long.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Parser;
use model::Tick;
use panda::commands::run::{self, RunArgs};
use panda::compose::BUILT_IN;
use session::Plugins;
use strategies::{
    BuildError, Context, InstrumentsWanted, KindDescriptor, ParameterSpec, ParameterType, Scope,
    Setup, Slot, StateError, Strategy, Subscription,
};

use super::logs::Journal;
use super::{Running, status, until};
use crate::harness::World;

/// Set in a process that is to be `panda` with the kind below: this test's own binary, run again.
const PANDA: &str = "E2E_PANDA_WITH_A_SLOW_KIND";

const SLOW: KindDescriptor = KindDescriptor {
    name: "slow",
    summary: "takes its time over one tick",
    scope: Scope::Shared,
    instruments: InstrumentsWanted::Any,
    parameters: &[
        ParameterSpec {
            name: "after",
            kind: ParameterType::Integer { min: 1, max: 1000 },
            default: Some("20"),
            doc: "ticks before that one",
        },
        ParameterSpec {
            name: "pause",
            kind: ParameterType::Integer {
                min: 0,
                max: 1_000_000,
            },
            default: Some("0"),
            doc: "how long, in milliseconds",
        },
    ],
    build,
};

fn build(setup: &Setup<'_>) -> Result<Box<dyn Strategy>, BuildError> {
    Ok(Box::new(Slow {
        left: setup.parameters.integer("after")?,
        pause: setup.parameters.integer("pause")?,
    }))
}

struct Slow {
    left: u32,
    pause: u32,
}

impl Strategy for Slow {
    fn subscription(&self) -> Subscription {
        Subscription {
            ticks: true,
            ..Subscription::default()
        }
    }
    fn on_tick(&mut self, _: Slot, _: &Tick, _: &mut Context<'_>) {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            std::thread::sleep(Duration::from_millis(self.pause.into()));
        }
    }
    // Its snapshot says that the tick is still to come: a start that called it would hang at once.
    fn save(&self) -> Result<Vec<u8>, StateError> {
        Ok(Vec::new())
    }
    fn restore(&mut self, _: &[u8]) -> Result<(), StateError> {
        self.left = 1;
        Ok(())
    }
}

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    run: RunArgs,
}

/// No test by itself: `panda run` with one more kind of strategy.
#[test]
fn panda_with_a_slow_kind() {
    if std::env::var_os(PANDA).is_none() {
        return;
    }
    let args = Arguments::parse_from(["panda", "--config", "panda.toml"]);
    let plugins = Plugins {
        kinds: vec![SLOW],
        ..Plugins::new(BUILT_IN)
    };
    let code = match run::run_with(&args.run, plugins) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{}", settings::errors::message(&error));
            panda::exit::code(&error)
        }
    };
    std::process::exit(code.into());
}

fn panda(world: &World) -> Running {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .arg0("panda")
        .args([
            "live::hanging::panda_with_a_slow_kind",
            "--exact",
            "--nocapture",
        ])
        .current_dir(world.path(""))
        .env(PANDA, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    Running {
        child: command.spawn().unwrap(),
    }
}

fn world(pause: u32, runtime: &str) -> World {
    let world = World::new();
    world.write(
        "panda.toml",
        format!(
            "[strategies]\nfiles = [\"strategies.yaml\"]\n[feeds.sim]\nsource = \"simulated\"\n[runtime]\n{runtime}\n"
        ),
    );
    world.write(
        "strategies.yaml",
        format!(
            "strategies:\n  - id: snail\n    kind: slow\n    instruments: [SIM:ALPHA]\n    parameters: {{ pause: {pause} }}\n  - id: pulse\n    kind: low_frequency_demo\n    instruments: [SIM:OMEGA]\n    parameters: {{ every: 1s, quantity: 1 }}\n"
        ),
    );
    world
}

fn disabled(world: &World) -> bool {
    let Some(status) = status(world, "data") else {
        return false;
    };
    status["brokers"][0]["disabled_strategies"]
        .as_array()
        .is_some_and(|all| all.iter().any(|name| name == "snail"))
}

fn stops_in_good_order(world: &World, running: Running) -> String {
    world.ok(&["stop"]);
    let (code, said) = running.end(Duration::from_secs(30));
    assert_eq!(code, Some(0), "{said}");
    said
}

#[test]
fn a_strategy_that_never_returns_ends_the_process_and_starts_disabled() {
    let world = world(
        1_000_000,
        "strategy_budget_ms = 0\nstrategy_hang_seconds = 2",
    );
    let (code, said) = panda(&world).end(Duration::from_secs(60));
    assert_eq!(code, Some(70), "{said}");
    assert!(said.contains("`snail` does not return"), "{said}");
    // Again, and it is not called: neither live nor over what the market log holds.
    let running = panda(&world);
    until("it is disabled", Duration::from_secs(30), || {
        disabled(&world)
    });
    until("the others trade", Duration::from_secs(30), || {
        let fills = |s: &serde_json::Value| s["brokers"][0]["activity"]["fills"].as_u64();
        status(&world, "data").as_ref().and_then(fills) > Some(0)
    });
    // Killed, so that there is no snapshot, and the next start runs over what it would hang on.
    running.signal(rustix::process::Signal::KILL);
    running.end(Duration::from_secs(30));
    let running = panda(&world);
    until("it is disabled", Duration::from_secs(30), || {
        disabled(&world)
    });
    // Until an operator lets it run, which it does as badly as before.
    world.ok(&["strategy", "enable", "snail"]);
    let (code, said) = running.end(Duration::from_secs(60));
    assert_eq!(code, Some(70), "{said}");
    assert!(said.contains("`snail` starts disabled"), "{said}");
}

#[test]
fn a_strategy_over_its_time_is_disabled_and_the_others_go_on() {
    let world = world(
        1_000,
        "strategy_budget_ms = 500\nstrategy_hang_seconds = 60",
    );
    let running = panda(&world);
    until("it is disabled", Duration::from_secs(30), || {
        disabled(&world)
    });
    let said = stops_in_good_order(&world, running);
    assert!(said.contains("strategy snail is disabled"), "{said}");
    let journal = Journal::read(&world.path("data"), "paper");
    let switched = journal.events().into_iter().find_map(|e| match e.body {
        model::event::EventBody::StrategySwitched {
            enabled: false,
            reason,
            ..
        } => Some(reason),
        _ => None,
    });
    assert_eq!(switched, Some(model::reason::Reason::StrategyTimeout));
}
