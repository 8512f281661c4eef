//! The commands of README and handbook, typed in a directory that has nothing but the repository's
//! examples.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::harness::World;
use crate::live::{Running, status, until};

/// Commands that are not run here, with the reason.
const NOT_RUN: [(&str, &str); 8] = [
    ("cargo ", "not the binary"),
    ("panda bench ", "takes minutes"),
    (
        "panda run --config panda.toml",
        "needs settings of two brokers",
    ),
    ("panda order cancel ID", "needs an order that rests"),
    ("panda order resolve ID", "needs an order without an answer"),
    (
        "panda journal dump --broker paper --type orders.filled --follow",
        "never ends",
    ),
    (
        "panda journal dump --correlation-id 5f2c",
        "run with a correlation id of this session",
    ),
    (
        "panda trace ID",
        "run with a correlation id of this session",
    ),
];

/// The commands of the shell blocks of a document, as a reader types them.
fn commands(document: &str) -> Vec<String> {
    let text = document.replace("\\\n", " ");
    let mut found = Vec::new();
    let mut is_shell = false;
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            is_shell = language == "sh";
            continue;
        }
        let command = line.split(" # ").next().unwrap_or_default();
        let words: Vec<&str> = command.split_whitespace().collect();
        if is_shell && !words.is_empty() {
            let command = words.join(" ");
            let command = command.strip_prefix("target/release/").unwrap_or(&command);
            let built = command.strip_prefix("cargo run --release -- ");
            found.push(built.map_or_else(|| command.to_owned(), |args| format!("panda {args}")));
        }
    }
    found
}

fn fills(world: &World) -> Option<u64> {
    let fills = |s: &Value| s["brokers"][0]["activity"]["fills"].as_u64();
    status(world, "data").as_ref().and_then(fills)
}

/// Runs a document's commands in their order; returns how many were run.
fn type_all(name: &str, not_run: &mut [bool; NOT_RUN.len()]) -> usize {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let document = std::fs::read_to_string(root.join(name)).unwrap();
    let world = World::new();
    let examples = root.join("examples").canonicalize().unwrap();
    std::os::unix::fs::symlink(examples, world.path("examples")).unwrap();
    let mut session: Option<Running> = None;
    let mut ran = 0;
    for command in commands(&document) {
        let known = NOT_RUN
            .iter()
            .position(|(start, _)| command.starts_with(start));
        if let Some(known) = known {
            not_run[known] = true;
            continue;
        }
        let args: Vec<&str> = command.split(' ').skip(1).collect();
        match args.as_slice() {
            ["run"] => {
                if session.is_none() {
                    session = Some(Running::start(&world, &args));
                    until("a fill", Duration::from_secs(60), || {
                        fills(&world) > Some(0)
                    });
                }
            }
            ["stop"] => {
                world.ok(&args);
                let session = session.take().unwrap();
                let (code, said) = session.end(Duration::from_secs(30));
                assert_eq!(code, Some(0), "{name}: {said}");
            }
            _ => drop(world.ok(&args)),
        }
        ran += 1;
    }
    if let Some(session) = session {
        world.ok(&["stop"]);
        assert_eq!(session.end(Duration::from_secs(30)).0, Some(0));
    }
    let filled = world.ok(&[
        "journal",
        "dump",
        "--broker",
        "paper",
        "--type",
        "orders.filled",
    ]);
    let first: Value = serde_json::from_str(filled.lines().next().unwrap()).unwrap();
    let id = first["correlation_id"].as_str().unwrap();
    let dumped = world.ok(&["journal", "dump", "--correlation-id", &id[..8], "--inputs"]);
    assert!(dumped.contains(id), "{dumped}");
    // What the handbook says of the last lines for orders of the paper broker.
    let traced = world.ok(&["trace", id]);
    let last = traced.lines().last().unwrap();
    assert!(last.contains("received → decided"), "{traced}");
    assert!(
        !last.contains("sent") && !last.contains("reported"),
        "{traced}"
    );
    ran
}

#[test]
fn every_command_of_readme_and_handbook_runs_in_a_clone_alone() {
    let mut not_run = [false; NOT_RUN.len()];
    let ran = type_all("README.md", &mut not_run) + type_all("docs/handbook.md", &mut not_run);
    assert!(ran > 25, "{ran}");
    let unused: Vec<&str> = NOT_RUN
        .iter()
        .zip(not_run)
        .filter_map(|((start, _), seen)| (!seen).then_some(*start))
        .collect();
    assert!(unused.is_empty(), "in no document: {unused:?}");
}
