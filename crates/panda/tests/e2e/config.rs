//! The layers of the settings and `panda config`, from outside.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};
use settings::layers::variable;
use settings::schema::{Kind, Schema, is_name};

use crate::harness::{Ran, World, assert_clear};

/// A run that no variable of this machine reaches.
fn run(world: &World, env: &[(&str, &str)], args: &[&str]) -> Ran {
    let mut command: Command = world.command();
    command.env_clear().envs(env.iter().copied()).args(args);
    Ran::of(&command.output().unwrap())
}

/// What `config show` says of each key: value, layer, origin.
fn shown(world: &World, env: &[(&str, &str)], args: &[&str]) -> BTreeMap<String, Value> {
    let ran = run(world, env, &[&["config", "show", "--json"], args].concat());
    assert!(ran.ok, "{env:?}: {}", ran.stderr);
    let tree: Value = serde_json::from_str(&ran.stdout).unwrap();
    let list = tree["settings"].as_array().unwrap().iter();
    list.map(|leaf| (leaf["key"].as_str().unwrap().to_owned(), leaf.clone()))
        .collect()
}

/// A run that must fail with one clear message that holds every one of `wanted`.
fn refused(world: &World, env: &[(&str, &str)], args: &[&str], wanted: &[&str]) {
    let ran = run(world, env, args);
    assert!(!ran.ok, "{env:?} was accepted");
    assert_clear(args, &ran.stderr);
    for wanted in wanted {
        assert!(
            ran.stderr.contains(wanted),
            "{env:?}: {:?} lacks {wanted:?}",
            ran.stderr
        );
    }
}

/// A valid value that is not the default, as a variable and as `config show` has it.
fn other_value(key: &str, kind: Kind, default: Option<&toml::Value>) -> (String, Value) {
    let word = |text: &str| (text.to_owned(), json!(text));
    match key {
        "environment" => word("production"),
        "active_brokers" => ("paper,second".to_owned(), json!(["paper", "second"])),
        "source" => word("replay"),
        "start" => word("07:30"),
        "calendar_file" | "rules_file" | "charges_file" => word("facts.toml"),
        "assume" => ("weekdays".to_owned(), json!(["weekdays"])),
        "time_zone" | "display_time_zone" => word("UTC"),
        "timeframe" => word("5m"),
        "bar_stamp" => word("close"),
        "columns" => (r#"{"price": "ltp"}"#.to_owned(), json!({"price": "ltp"})),
        "level" => word("warn"),
        "channels" => (
            r#"{"market": "debug"}"#.to_owned(),
            json!({"market": "debug"}),
        ),
        "format" => word("json"),
        "short_selling" => word("forbidden"),
        "kind" => word("paper"),
        "base_currency" => word("USD"),
        "starting_cash" => (r#"{"USD": 5000}"#.to_owned(), json!({"USD": 5000})),
        "charges" => (
            r#"{"flat_rate": 0.0005}"#.to_owned(),
            json!({"flat_rate": 0.0005}),
        ),
        "auto_resume" => word("next_day"),
        "on_resume" => word("follow"),
        "on_stop" | "on_breach" => word("square_off"),
        "fill" => word("signal_tick"),
        "limit_fill" => word("through"),
        "participation" | "partial_fill_probability" | "margin_fraction" | "price_band" => {
            ("0.25".to_owned(), json!(0.25))
        }
        "queue_capacity" => ("4096".to_owned(), json!(4096)),
        _ => match (kind, default) {
            (Kind::Flag, Some(default)) => {
                let other = default.as_bool() != Some(true);
                (other.to_string(), json!(other))
            }
            (Kind::Flag, None) => ("true".to_owned(), json!(true)),
            (Kind::Number | Kind::Money | Kind::Either, _) => ("77".to_owned(), json!(77)),
            (Kind::List, _) => ("a.x, b.x".to_owned(), json!(["a.x", "b.x"])),
            (Kind::Table, _) => panic!("{key}: give this test a value for it"),
            (Kind::Text, _) => word("some-text"),
        },
    }
}

#[test]
fn every_key_can_be_set_by_its_variable_in_an_empty_directory() {
    let world = World::new();
    // Files of facts are read with the settings: one that corrects nothing.
    world.write("facts.toml", "");
    let schema = Schema::new(&panda::compose::kinds());
    let mut env: Vec<(String, String)> = Vec::new();
    let mut wanted: BTreeMap<String, Value> = BTreeMap::new();
    let mut add = |path: &[&str], key: &settings::schema::Key| {
        let (text, value) = other_value(&key.name, key.kind, key.default.as_ref());
        env.push((variable(path), text));
        wanted.insert(path.join("."), value);
    };
    for section in &schema.sections {
        let names: &[&str] = match section.path {
            ["trading_engine", _] => &["paper", "second"],
            ["feeds", _] => &["sim"],
            _ => &["paper"],
        };
        for name in names {
            let place: Vec<&str> = section
                .path
                .iter()
                .map(|step| if is_name(step) { *name } else { *step })
                .collect();
            let kind = match section.path {
                ["trading_engine", _] => Some("paper"),
                ["feeds", _] => Some("replay"),
                _ => None,
            };
            for key in schema.keys(section, kind) {
                add(&[&place[..], &[key.name.as_str()]].concat(), key);
            }
        }
    }
    assert!(env.len() > 100, "{}", env.len());
    let env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let shown = shown(&world, &env, &[]);
    for (key, value) in &wanted {
        let leaf = shown.get(key).unwrap_or_else(|| panic!("{key} is missing"));
        assert_eq!(leaf["value"], *value, "{key}");
        assert_eq!(leaf["layer"], "environment", "{key}");
    }
    for (key, leaf) in &shown {
        assert!(wanted.contains_key(key), "{key} is not a known key: {leaf}");
    }
    // The files that it names are not there: a start would refuse them, too.
    let checked = run(&world, &env, &["config", "check"]);
    assert!(
        !checked.ok && checked.stderr.contains("some-text"),
        "{}",
        checked.stderr
    );
    let left: Vec<_> = world.tree().into_iter().map(|(path, _)| path).collect();
    assert_eq!(left, [world.path("facts.toml")]);
}

#[test]
fn each_layer_stands_above_the_one_before_it() {
    let world = World::new();
    let seed = "trading_engine.paper.seed";
    let latency = "trading_engine.paper.simulation_latency_ms";
    assert_eq!(shown(&world, &[], &[])[seed]["layer"], "default");
    world.write(
        "panda.toml",
        "[trading_engine.paper]\nseed = 2\nslippage_ticks = 9\n\n[trading_engine.paper2]\nkind = \"paper\"\n",
    );
    world.write("other.toml", "[trading_engine.paper]\nseed = 5\n");
    let file = shown(&world, &[], &[]);
    assert_eq!(file[seed]["value"], 2);
    assert_eq!(file[seed]["origin"], "panda.toml:2");
    assert_eq!(file["trading_engine.paper2.seed"]["value"], 1);
    assert_eq!(
        shown(&world, &[], &["--config", "other.toml"])[seed]["origin"],
        "other.toml:2"
    );
    world.write(
        ".env",
        "# comment\nexport TRADING_ENGINE__PAPER__SEED='3'\nTRADING_ENGINE__PAPER__SIMULATION_LATENCY_MS=\nHOME=x\n",
    );
    let dotenv = shown(&world, &[], &[]);
    assert_eq!(dotenv[seed]["value"], 3);
    assert_eq!(dotenv[seed]["layer"], ".env");
    assert_eq!(dotenv[latency]["layer"], "default");
    let env = [
        ("TRADING_ENGINE__PAPER__SEED", "4"),
        ("TRADING_ENGINE__PAPER2__SEED", "6"),
        ("TRADING_ENGINE__PAPER__STARTING_CASH__USD", "12.5"),
        // Not ours: no section, or a section's name alone.
        ("SOME__THING", "1"),
        ("LOG", "debug"),
        ("DATA", "x"),
    ];
    let all = shown(&world, &env, &[]);
    assert_eq!(all[seed]["value"], 4);
    assert_eq!(
        all[seed]["origin"],
        "environment TRADING_ENGINE__PAPER__SEED"
    );
    assert_eq!(all["trading_engine.paper2.seed"]["value"], 6);
    assert_eq!(all["trading_engine.paper.slippage_ticks"]["value"], 9);
    assert_eq!(
        all["trading_engine.paper.starting_cash"]["value"],
        json!({"USD": 12.5})
    );
    let one = shown(&world, &[("BROKER_NAMESPACE", "paper2")], &[]);
    assert_eq!(one["active_brokers"]["value"], json!(["paper2"]));
    let table = run(&world, &env, &["config", "show", "--text"]).stdout;
    assert!(table.contains("environment TRADING_ENGINE__PAPER__SEED"));
}

#[test]
fn mistakes_in_variables_are_named_with_the_variable_and_the_fix() {
    let world = World::new();
    let wrong: &[(&str, &str, &[&str])] = &[
        (
            "TRADING_ENGINE__PAPER__SIMULATION_LATENCY",
            "5",
            &["did you mean TRADING_ENGINE__PAPER__SIMULATION_LATENCY_MS"],
        ),
        ("TRADING_ENGINE__PAPR__SEED", "5", &["`papr`", "`paper`"]),
        ("LOG__SYNC_INTERVAL", "5", &["LOG__SYNC_INTERVAL_MS"]),
        ("FEEDS__SIM", "5", &["SEED"]),
        ("RISK__ORDER_QUANTITY", "many", &["`many`", "a number"]),
        (
            "RISK__AVAILABLE_CASH",
            "yes",
            &["`yes`", "`true` or `false`"],
        ),
        ("RISK__BROKERS__PAPR__OPEN_ORDERS", "5", &["papr", "paper"]),
        ("ENVIRONMENT", "staging", &["`staging`", "`production`"]),
        ("LOG__SYNC_INTERVAL_MS", "0", &["at least 1"]),
        ("LOG__SYNC_INTERVAL_MS__X", "1", &["no levels below"]),
        (
            "LOGGING__CHANNELS__MARKT",
            "debug",
            &["`channels.markt`", "market"],
        ),
        (
            "ACTIVE_BROKERS",
            "paper,zed",
            &["`zed`", "trading_engine.zed"],
        ),
        ("BROKER_NAMESPACE", "zed", &["`zed`", "trading_engine.zed"]),
        (
            "TRADING_ENGINE__PAPER__PARTICIPATION",
            "2",
            &["participation"],
        ),
    ];
    for (name, value, wanted) in wrong {
        let mut wanted = wanted.to_vec();
        // What only a trader knows names the table.
        if *name != "TRADING_ENGINE__PAPER__PARTICIPATION" {
            wanted.push(name);
        }
        refused(&world, &[(name, value)], &["config", "check"], &wanted);
    }
    let code = |args: &[&str]| {
        let mut command = world.command();
        command.env_clear().env("ENVIRONMENT", "x").args(args);
        command.output().unwrap().status.code()
    };
    assert_eq!(code(&["config", "check"]), Some(panda::exit::ERROR.into()));
    assert_eq!(code(&["config", "chek"]), Some(panda::exit::USAGE.into()));
    world.write("panda.toml", "[trading_engine.paper]\nsede = 2\n");
    let wanted = ["panda.toml:2", "`sede`", "`seed`"];
    refused(&world, &[], &["config", "check"], &wanted);
    world.write(
        "panda.toml",
        "active_brokers = [\"paper\"]\n[trading_engine.b]\nkind = \"paper\"\n",
    );
    let other = [("BROKER_NAMESPACE", "b")];
    let wanted = ["BROKER_NAMESPACE", "active_brokers", "panda.toml:1"];
    refused(&world, &other, &["config", "check"], &wanted);
    refused(
        &world,
        &[],
        &["config", "check", "--config", "none.toml"],
        &["none.toml"],
    );
}

#[test]
fn secrets_are_never_printed() {
    let world = World::new();
    let key = "TRADING_ENGINE__ZERODHA__API_KEY";
    let clear = "k33p-me-hidden";
    let shown = shown(&world, &[("ZERODHA_API_KEY", clear), (key, clear)], &[]);
    assert_eq!(shown["trading_engine.zerodha.api_key"]["value"], "***");
    let quiet = |env: &[(&str, &str)], args: &[&str], wanted: &[&str]| {
        refused(&world, env, args, wanted);
        let ran = run(&world, env, args);
        assert!(!ran.stderr.contains("hidden") && !ran.stdout.contains("hidden"));
    };
    let check = ["config", "check"];
    let two = [("ZERODHA_API_KEY", clear), (key, "an0ther-hidden")];
    quiet(&two, &check, &["ZERODHA_API_KEY", key, "keep one"]);
    quiet(&[(key, clear)], &check, &["zerodha", "paper"]);
    for text in [
        "[trading_engine.zerodha]\napi_key = \"hidden\n",
        "[trading_engine.zerodha]\napi_key = hidden\n",
        "trading_engine = { zerodha = { api_key = \"hidden\", api_secret = } }\n",
    ] {
        world.write("panda.toml", text);
        quiet(&[], &check, &["panda.toml"]);
    }
    world.write(
        "panda.toml",
        "[trading_engine.zerodha]\napi_secret = \"hidden\"\n",
    );
    let text = run(&world, &[], &["config", "show", "--text"]).stdout;
    assert!(text.contains("***") && !text.contains("hidden"), "{text}");
}

#[test]
fn the_written_example_is_the_defaults_and_is_not_overwritten() {
    let world = World::new();
    let before = shown(&world, &[], &[]);
    world.ok(&["config", "init"]);
    let after = shown(&world, &[], &[]);
    for (key, leaf) in &after {
        assert_eq!(leaf["value"], before[key]["value"], "{key}");
        assert_eq!(leaf["layer"], "file", "{key}");
    }
    assert_eq!(before.len(), after.len());
    assert!(
        run(&world, &[], &["config", "check"])
            .stdout
            .starts_with("OK")
    );
    // Every variable of the other example is one of ours: all take effect but the empty ones.
    let example = world.read(".env.example");
    let all: String = example
        .lines()
        .map(|line| line.trim_start_matches('#'))
        .filter(|line| line.contains('=') && !line.starts_with(' '))
        .map(|line| format!("{line}\n"))
        .collect();
    world.write(".env", &all);
    let set = shown(&world, &[], &[])
        .into_values()
        .filter(|leaf| leaf["layer"] == ".env")
        .count();
    // `BROKER_NAMESPACE` and `ACTIVE_BROKERS` say the same.
    let given = all.lines().filter(|line| !line.ends_with('=')).count();
    assert_eq!(set, given - 1, "{all}");
    world.refuses(&["config", "init"], &["panda.toml", "--force"]);
    world.ok(&["config", "init", "--force"]);
    world.ok(&["config", "init", "--dir", "new/place"]);
    assert_eq!(world.read("new/place/panda.toml"), world.read("panda.toml"));
}
