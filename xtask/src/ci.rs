//! Everything that must hold before a change is taken, in the order of CONTRIBUTING.md.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, bail, ensure};

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
    *outcomes = suites::run(Suite::All)?;
    ensure!(
        outcomes.iter().all(|outcome| outcome.is_passed),
        "tests failed"
    );
    Ok(())
}

/// Runs the README's first command as it stands there, and looks for the report that it names.
fn first_run(root: &Path) -> anyhow::Result<()> {
    let readme =
        std::fs::read_to_string(root.join("README.md")).context("cannot read README.md")?;
    let arguments = first_command(&readme).context("README.md has no `cargo run` in a sh block")?;
    println!("$ cargo {arguments}");
    let output = cargo()
        .args(arguments.split(' '))
        .current_dir(root)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    print!("{printed}");
    ensure!(
        output.status.success(),
        "`cargo {arguments}` ended with {}",
        output.status
    );
    let Some(report) = printed
        .lines()
        .find_map(|line| line.strip_prefix("report "))
    else {
        bail!("the first run named no report");
    };
    let report = root.join(report.trim());
    ensure!(
        report.is_file(),
        "the first run named {}, which is not there",
        report.display()
    );
    Ok(())
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
