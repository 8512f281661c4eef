//! The test suites, each a set of tests that exists.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::provision;
use crate::reliability::{self, Wish};
use crate::skips::{self, Skip};
use crate::workspace::{Workspace, cargo};

/// The crate with the black-box and the performance tests.
const BINARY: &str = "panda";

/// Seeds of the simulation suite: half of them are always the same, half are the commit's own, so that
/// other seeds are tried with each change.
const SEEDS: u64 = 1_000;
const SIMULATION: &str = "test --release --package runtime --no-fail-fast --test simulation";
/// The one test that takes any number of seeds.
const EVERY_SEED: &str = "-- --exact --nocapture seeds::every_seed_holds";

/// What tells the simulation how many seeds to run, and from which on.
fn seeds(count: u64, from: u64) -> [(&'static str, String); 2] {
    [
        ("SIMULATE_SEEDS", count.to_string()),
        ("SIMULATE_FROM", from.to_string()),
    ]
}

/// Runs the simulation alone, over any number of seeds.
pub fn simulate(count: u64, from: u64, trace: bool) -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    let mut command = cargo();
    command
        .args(SIMULATION.split(' '))
        .args(EVERY_SEED.split(' '))
        .envs(seeds(count, from))
        .current_dir(&workspace.root);
    if trace {
        command.env("SIMULATE_TRACE", "1");
    }
    let status = command.status().context("cannot run cargo")?;
    anyhow::ensure!(status.success(), "the simulation failed");
    Ok(())
}

/// The commit that is checked out; none without a repository.
fn commit(root: &Path) -> Option<String> {
    let asked = Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(root)
        .output();
    let output = asked.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The seed that a commit's hash stands for, beyond those that always run.
pub fn seed_of(commit: &str) -> Option<u64> {
    let seed = u64::from_str_radix(commit.get(..8)?, 16).ok()?;
    Some(SEEDS + seed)
}

/// One run of cargo, and what it is told.
#[derive(Debug)]
pub struct Call {
    pub arguments: Vec<String>,
    pub told: Vec<(&'static str, String)>,
}

/// The simulation's runs: the first half of the seeds, and the half of the commit.
fn simulations(commit: Option<&str>) -> Vec<Call> {
    let arguments = |text: &str| text.split(' ').map(str::to_owned).collect();
    let call = |line: &str, count: u64, from: u64| Call {
        arguments: arguments(line),
        told: seeds(count, from).into(),
    };
    let Some((commit, from)) = commit.and_then(|commit| Some((commit, seed_of(commit)?))) else {
        println!("seeds 0 to {}: no commit gives others", SEEDS - 1);
        return vec![call(SIMULATION, SEEDS, 0)];
    };
    let half = SEEDS / 2;
    println!(
        "seeds 0 to {}, and {from} to {} of the commit {commit}; these again: \
         cargo xtask simulate --seeds {half} --from {from}",
        half - 1,
        from + half - 1
    );
    let own = format!("{SIMULATION} {EVERY_SEED}");
    vec![call(SIMULATION, half, 0), call(&own, half, from)]
}

/// A set of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Unit and property tests beside the code, and the examples in its documentation
    Unit,
    /// Tests below `tests/` of every crate: several parts together, real files
    Integration,
    /// Black-box tests through the real binary
    E2e,
    /// The embedded system under 1,000 seeds, built for release
    Simulation,
    /// Allocations and ratios, built for release; no times are asserted
    Performance,
    /// 600 kills, 400 damaged data directories and 2,000 mutated inputs; `--seed N` for others
    Reliability,
    /// All of them, with a tenth of reliability
    All,
}

impl Suite {
    const EACH: [Self; 6] = [
        Self::Unit,
        Self::Integration,
        Self::E2e,
        Self::Simulation,
        Self::Performance,
        Self::Reliability,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Integration => "integration",
            Self::E2e => "e2e",
            Self::Simulation => "simulation",
            Self::Performance => "performance",
            Self::Reliability => "reliability",
            Self::All => "all",
        }
    }
}

/// What tests came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Of those that passed, the ones that say they did nothing.
    skipped: Vec<Skip>,
}

impl Totals {
    /// Adds one closing line of a test program: `test result: ok. 3 passed; 0 failed; …`.
    fn add_line(&mut self, line: &str) {
        self.skipped.extend(Skip::of_line(line));
        let Some(counts) = line.trim_start().strip_prefix("test result: ") else {
            return;
        };
        for count in counts.split([';', '.']) {
            let mut words = count.split_whitespace();
            let (Some(number), Some(what)) = (words.next(), words.next()) else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.skipped.extend(other.skipped.iter().cloned());
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed; {} failed; {} ignored; {} skipped",
            self.passed,
            self.failed,
            self.ignored,
            self.skipped.len()
        )
    }
}

/// How one suite went.
#[derive(Debug)]
pub struct Outcome {
    suite: Suite,
    totals: Totals,
    took: Duration,
    /// Every test program ended well.
    pub is_passed: bool,
}

/// Prints what each suite came to, and their sum.
pub fn print_totals(outcomes: &[Outcome]) {
    println!("\ntests:");
    let mut sum = Totals::default();
    let mut took = Duration::ZERO;
    let print = |name: &str, is_passed: bool, totals: &Totals, took: Duration| {
        let verdict = if is_passed { "ok" } else { "FAILED" };
        println!(
            "  {name:<12} {verdict:<6} {totals}; {:.1} s",
            took.as_secs_f64()
        );
    };
    for outcome in outcomes {
        print(
            outcome.suite.name(),
            outcome.is_passed,
            &outcome.totals,
            outcome.took,
        );
        sum.add(&outcome.totals);
        took += outcome.took;
    }
    print(
        "total",
        outcomes.iter().all(|outcome| outcome.is_passed),
        &sum,
        took,
    );
    if !sum.skipped.is_empty() {
        println!("skipped, though counted as passed:");
    }
    for skip in &sum.skipped {
        println!("  {skip}");
    }
}

/// Whether tests were skipped that must not be; what is wrong is printed.
fn check_skips(root: &Path, seen: &[Skip], whole: bool) -> anyhow::Result<bool> {
    let problems = skips::List::load(root)?
        .problems(seen, whole, &|condition| skips::is_present(root, condition));
    for problem in &problems {
        println!("skip: {problem}");
    }
    Ok(problems.is_empty())
}

/// Provisions and runs a suite.
pub fn run(suite: Suite, wish: Wish) -> anyhow::Result<Vec<Outcome>> {
    provision::run()?;
    let workspace = Workspace::load()?;
    let suites = if suite == Suite::All {
        Suite::EACH.to_vec()
    } else {
        vec![suite]
    };
    let wish = match suite {
        Suite::All => Wish::share(),
        _ => wish,
    };
    let mut outcomes: Vec<Outcome> = suites
        .into_iter()
        .map(|suite| run_one(&workspace, suite, wish))
        .collect();
    if suite == Suite::All {
        let seen = outcomes.iter().flat_map(|outcome| &outcome.totals.skipped);
        let seen: Vec<Skip> = seen.cloned().collect();
        let is_right = check_skips(&workspace.root, &seen, true)?;
        if let Some(last) = outcomes.last_mut() {
            last.is_passed &= is_right;
        }
    }
    Ok(outcomes)
}

/// Runs one suite. What keeps it from running is printed and counts as its failure, so that the
/// other suites still run and the totals are complete.
fn run_one(workspace: &Workspace, suite: Suite, wish: Wish) -> Outcome {
    println!("\n== tests: {} ==", suite.name());
    let started = Instant::now();
    let mut totals = Totals::default();
    let is_passed = run_commands(workspace, suite, wish, &mut totals).unwrap_or_else(|error| {
        println!("{error:#}");
        false
    });
    Outcome {
        suite,
        totals,
        took: started.elapsed(),
        is_passed,
    }
}

fn run_commands(
    workspace: &Workspace,
    suite: Suite,
    wish: Wish,
    totals: &mut Totals,
) -> anyhow::Result<bool> {
    let mut is_passed = true;
    let calls = match suite {
        Suite::Simulation => simulations(commit(&workspace.root).as_deref()),
        Suite::Reliability => {
            own(workspace, suite)?;
            reliability::calls(wish, commit(&workspace.root).as_deref())
        }
        _ => {
            let call = |arguments| Call {
                arguments,
                told: Vec::new(),
            };
            let lines = commands(workspace, suite)?;
            lines.into_iter().map(call).collect()
        }
    };
    for Call { arguments, told } in calls {
        let shown = told.iter().map(|(name, value)| format!("{name}={value} "));
        println!(
            "$ {}cargo {}",
            shown.collect::<String>(),
            arguments.join(" ")
        );
        let mut command = cargo();
        command
            .args(&arguments)
            .envs(told)
            .current_dir(&workspace.root);
        is_passed &= run_tests(command, totals)?;
    }
    if is_passed && totals.passed == 0 {
        bail!(
            "the suite `{}` ran no tests: a suite that exists has some",
            suite.name()
        );
    }
    Ok(is_passed & check_skips(&workspace.root, &totals.skipped, false)?)
}

/// Refuses a suite whose test program is missing.
fn own(workspace: &Workspace, suite: Suite) -> anyhow::Result<()> {
    let exists =
        tests_of(workspace).any(|(package, test)| package == BINARY && test == suite.name());
    if exists {
        return Ok(());
    }
    bail!(
        "the suite `{0}` has no tests: the crate {BINARY} has no test program `{0}`",
        suite.name()
    )
}

/// What cargo is asked for.
fn commands(workspace: &Workspace, suite: Suite) -> anyhow::Result<Vec<Vec<String>>> {
    let line = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    Ok(match suite {
        Suite::All | Suite::Reliability => Vec::new(),
        Suite::Unit => vec![
            line("test --workspace --no-fail-fast --lib --bins --examples"),
            line("test --workspace --no-fail-fast --doc"),
        ],
        Suite::Integration => {
            let names: BTreeSet<&str> = tests_of(workspace)
                .filter(|(package, test)| *package != BINARY || !is_own_suite(test))
                .map(|(_, test)| test)
                .collect();
            let mut arguments = line("test --workspace --no-fail-fast");
            arguments.extend(
                names
                    .iter()
                    .flat_map(|name| ["--test".to_owned(), (*name).to_owned()]),
            );
            vec![arguments]
        }
        Suite::E2e => {
            own(workspace, suite)?;
            vec![line("test --package panda --no-fail-fast --test e2e")]
        }
        Suite::Simulation => vec![line(SIMULATION)],
        Suite::Performance => {
            own(workspace, suite)?;
            // One at a time: what is measured must not share the processor with its neighbour.
            vec![line(
                "test --release --package panda --no-fail-fast --test performance -- --test-threads=1",
            )]
        }
    })
}

fn is_own_suite(test: &str) -> bool {
    [Suite::E2e, Suite::Performance, Suite::Reliability]
        .iter()
        .any(|suite| suite.name() == test)
}

/// Every test program of the workspace: its crate and its name.
fn tests_of(workspace: &Workspace) -> impl Iterator<Item = (&str, &str)> {
    workspace.packages.iter().flat_map(|package| {
        package
            .targets
            .iter()
            .filter(|target| target.kind.iter().any(|kind| kind == "test"))
            .map(|target| (package.name.as_str(), target.name.as_str()))
    })
}

/// Runs cargo, passes on what it prints, and counts; whether it ended well.
fn run_tests(mut command: Command, totals: &mut Totals) -> anyhow::Result<bool> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("cannot read what the tests print")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            totals.add_line(&line);
        }
    }
    Ok(child.wait().context("cannot wait for cargo")?.success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{Package, Target};

    #[test]
    fn closing_lines_are_counted() {
        let mut totals = Totals::default();
        totals.add_line("test a::b ... ok");
        totals.add_line("skipped test: charges::a: ../shared/data/b");
        totals.add_line(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
        );
        totals.add_line("test result: FAILED. 3 passed; 2 failed; 0 ignored; finished in 0.01s");
        assert_eq!(
            totals,
            Totals {
                passed: 15,
                failed: 2,
                ignored: 1,
                skipped: Skip::of_line("skipped test: charges::a: ../shared/data/b")
                    .into_iter()
                    .collect(),
            }
        );
        let told = totals.to_string();
        assert_eq!(told, "15 passed; 2 failed; 1 ignored; 1 skipped");
    }

    #[test]
    fn every_test_program_belongs_to_one_suite() {
        let target = |name: &str| Target {
            name: name.to_owned(),
            kind: vec!["test".to_owned()],
        };
        let package = |name: &str, tests: &[&str]| Package {
            name: name.to_owned(),
            license: None,
            manifest_path: "Cargo.toml".into(),
            dependencies: Vec::new(),
            targets: tests.iter().map(|test| target(test)).collect(),
        };
        let workspace = Workspace {
            root: ".".into(),
            packages: vec![
                package("feeds", &["cleaning"]),
                package(BINARY, &["e2e", "performance", "reliability", "settings"]),
            ],
        };
        let command = |suite| commands(&workspace, suite).unwrap().concat().join(" ");
        let integration = command(Suite::Integration);
        assert!(
            integration.ends_with("--test cleaning --test settings"),
            "{integration}"
        );
        assert!(command(Suite::E2e).ends_with("--test e2e"));
        assert!(command(Suite::Performance).contains("--release"));
        let empty = Workspace {
            root: ".".into(),
            packages: Vec::new(),
        };
        let missing = commands(&empty, Suite::E2e).unwrap_err().to_string();
        assert!(missing.contains("no test program `e2e`"), "{missing}");
    }

    #[test]
    fn half_of_the_seeds_are_the_commits() {
        let told = |call: &Call| call.told[0].1.clone() + " from " + &call.told[1].1;
        let with = simulations(Some("0000002a97cb29eb341d190f9d3d35d31127f449"));
        assert_eq!(with.len(), 2);
        assert_eq!(told(&with[0]), "500 from 0");
        assert_eq!(told(&with[1]), "500 from 1042");
        // The regressions run once.
        assert!(!with[0].arguments.contains(&"--exact".to_owned()));
        assert!(with[1].arguments.contains(&"--exact".to_owned()));
        let most = simulations(Some("ffffffff97cb29eb341d190f9d3d35d31127f449"));
        assert_eq!(
            told(&most[1]),
            format!("500 from {}", u64::from(u32::MAX) + SEEDS)
        );
        for none in [None, Some("no hash"), Some("")] {
            let without = simulations(none);
            assert_eq!(without.len(), 1);
            assert_eq!(told(&without[0]), "1000 from 0");
        }
    }
}
