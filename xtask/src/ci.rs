//! Everything that must hold before a change is taken, in the order of CONTRIBUTING.md.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::reliability::Wish;
use crate::suites::{self, Outcome, Suite};
use crate::workspace::{Workspace, cargo};
use crate::{provision, tidy};

/// The checker of licences, bans and sources, as pinned.
const DENY_VERSION: &str = "0.20.2";

type Step<'a> = (&'static str, Box<dyn FnMut() -> anyhow::Result<()> + 'a>);

/// Runs every step, also after one has failed, so that one run shows all there is to mend.
pub fn run() -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    let root = workspace.root.as_path();
    let mut outcomes = Vec::new();
    let mut steps: Vec<Step<'_>> = vec![
        (
            "fmt",
            Box::new(|| run_cargo(root, "fmt --all --check", &[])),
        ),
        (
            "clippy",
            Box::new(|| {
                run_cargo(
                    root,
                    "clippy --workspace --all-targets --locked -- -D warnings",
                    &[],
                )
            }),
        ),
        ("tidy", Box::new(tidy::run)),
        ("deny", Box::new(|| deny(root))),
        ("test", Box::new(|| test(&mut outcomes))),
        (
            "doc",
            Box::new(|| {
                run_cargo(
                    root,
                    "doc --workspace --no-deps --locked",
                    &[("RUSTDOCFLAGS", "-D warnings")],
                )
            }),
        ),
        ("first run", Box::new(|| first_run(root))),
    ];
    let total = steps.len();
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for (at, (name, step)) in steps.iter_mut().enumerate() {
        println!("\n==> [{}/{total}] {name}", at + 1);
        let started = Instant::now();
        let result = step();
        let took = started.elapsed().as_secs_f64();
        let verdict = match result {
            Ok(()) => "ok",
            Err(error) => {
                println!("{name} failed: {error:#}");
                failed.push(*name);
                "FAILED"
            }
        };
        lines.push(format!("  {name:<12} {verdict:<6} {took:.1} s"));
    }
    drop(steps);
    println!("\nsteps:\n{}", lines.join("\n"));
    suites::print_totals(&outcomes);
    ensure!(failed.is_empty(), "ci failed: {}", failed.join(", "));
    println!("ci passed");
    Ok(())
}

fn run_cargo(root: &Path, arguments: &str, variables: &[(&str, &str)]) -> anyhow::Result<()> {
    println!("$ cargo {arguments}");
    let status = cargo()
        .args(arguments.split(' '))
        .envs(variables.iter().copied())
        .current_dir(root)
        .stdin(Stdio::null())
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "`cargo {arguments}` ended with {status}");
    Ok(())
}

fn deny(root: &Path) -> anyhow::Result<()> {
    if !provision::answers("cargo-deny") {
        run_cargo(
            root,
            &format!("install cargo-deny --locked --version {DENY_VERSION}"),
            &[],
        )?;
    }
    run_cargo(root, "deny check licenses bans sources", &[])
}

/// What `cargo xtask test all` runs.
fn test(outcomes: &mut Vec<Outcome>) -> anyhow::Result<()> {
    *outcomes = suites::run(Suite::All, Wish::default())?;
    ensure!(
        outcomes.iter().all(|outcome| outcome.is_passed),
        "tests failed"
    );
    Ok(())
}

/// How long the first fill may take here, where a machine may be busy with something else.
const FIRST_FILL: Duration = Duration::from_secs(60);

/// Runs the README's first command as it stands there until it has traded, and stops it as another
/// terminal would; then the backtest that the README shows next.
fn first_run(root: &Path) -> anyhow::Result<()> {
    let readme =
        std::fs::read_to_string(root.join("README.md")).context("cannot read README.md")?;
    let arguments = first_command(&readme).context("README.md has no `cargo run` in a sh block")?;
    run_cargo(root, "build --release", &[])?;
    // In a directory of its own: what a developer's session has in ./data stays.
    let dir = root.join("target/first-run");
    let _absent = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    println!("$ cargo {arguments}");
    let manifest = root.join("Cargo.toml");
    let mut session = cargo()
        .arg("run")
        .arg("--manifest-path")
        .arg(&manifest)
        .args(arguments.split(' ').skip(1))
        .current_dir(&dir)
        .stdin(Stdio::null())
        .spawn()
        .context("cannot run cargo")?;
    let traded = first_fill(root, &dir);
    let stopped = panda(root, &dir, &["stop"]);
    if traded.is_err() || !stopped.as_ref().is_ok_and(|o| o.status.success()) {
        let _gone = session.kill();
    }
    let status = session.wait()?;
    println!("first fill after {:.1} s", traded?.as_secs_f64());
    ensure!(status.success(), "`cargo {arguments}` ended with {status}");
    run_cargo(
        root,
        "run --release -- demo --out target/first-run/demo",
        &[],
    )?;
    let report = dir.join("demo/result/report.html");
    ensure!(report.is_file(), "{} is not there", report.display());
    Ok(())
}

fn panda(root: &Path, dir: &Path, arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(root.join("target/release/panda"))
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
}

fn first_fill(root: &Path, dir: &Path) -> anyhow::Result<Duration> {
    let began = Instant::now();
    while began.elapsed() < FIRST_FILL {
        let status = panda(root, dir, &["status", "--json"])?;
        let fills = serde_json::from_slice::<serde_json::Value>(&status.stdout)
            .ok()
            .and_then(|s| s["brokers"][0]["activity"]["fills"].as_u64());
        if fills > Some(0) {
            return Ok(began.elapsed());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("no fill within {} s", FIRST_FILL.as_secs())
}

fn first_command(readme: &str) -> Option<&str> {
    let block = readme.split("```sh\n").nth(1)?.split("```").next()?;
    let line = block.lines().find_map(|line| line.strip_prefix("cargo "))?;
    Some(line.split('#').next().unwrap_or(line).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_command_is_taken_from_the_readme() {
        let readme =
            "# A\n\n```text\ncargo no\n```\n\n```sh\ncargo run --release -- demo  # a\n```\n";
        assert_eq!(first_command(readme), Some("run --release -- demo"));
        assert_eq!(first_command("nothing"), None);
    }
}
