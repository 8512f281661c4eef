//! Kills, damaged files and mutated inputs, by seeds: each is refused with one clear message or does no harm.
//!
//! `cargo xtask test reliability` asks for all of them, a plain `cargo test` for a few. `RELIABILITY_SEED`
//! says which, `RELIABILITY_KILLS`, `RELIABILITY_DAMAGES` and `RELIABILITY_MUTATIONS` how many,
//! `RELIABILITY_FROM` where to begin. A failure names the numbers that repeat it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "helpers of tests may fail as tests do"
)]

mod damage;
mod damages;
mod days;
mod exchange_damages;
mod files;
mod frames;
#[allow(dead_code, reason = "the end-to-end tests use the rest of it")]
#[path = "../e2e/harness.rs"]
mod harness;
mod kills;
#[allow(dead_code, reason = "the end-to-end tests use the rest of it")]
#[path = "../e2e/live/logs.rs"]
mod logs;
#[allow(dead_code, reason = "the end-to-end tests use the rest of it")]
#[path = "../e2e/market.rs"]
mod market;
mod mutation;
mod process;
mod records;
mod replay_kills;
mod requests;
#[allow(dead_code, reason = "the end-to-end tests use the rest of it")]
#[path = "../e2e/running.rs"]
mod running;

use market::Random;

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The seed of this run.
fn seed() -> u64 {
    number("RELIABILITY_SEED", 1)
}

/// How many of something are asked for; a few where the environment does not say.
enum Count {
    Kills,
    Damages,
    Mutations,
}

impl Count {
    fn variable(&self) -> (&'static str, u64) {
        match self {
            Self::Kills => ("RELIABILITY_KILLS", 5),
            Self::Damages => ("RELIABILITY_DAMAGES", 16),
            Self::Mutations => ("RELIABILITY_MUTATIONS", 100),
        }
    }

    fn get(&self) -> u64 {
        let (name, default) = self.variable();
        number(name, default)
    }

    /// So many percent of them, and one at least.
    fn share(&self, percent: u64) -> u64 {
        (self.get() * percent / 100).max(1)
    }
}

/// Prints how to run a case again, where it fails.
struct Again<'a>(&'a str);

impl Drop for Again<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("this case again: {}", self.0);
        }
    }
}

/// Runs `check` with a generator for each of `count` cases. The generator depends on the seed, the test and the
/// case alone. `test` is the test's path, `percent` the share of what `of` asks for.
fn cases(test: &str, of: &Count, percent: u64, mut check: impl FnMut(&mut Random, &str)) {
    let (seed, from, count) = (seed(), number("RELIABILITY_FROM", 0), of.share(percent));
    println!("{test}: seed {seed}, cases {from} to {}", from + count - 1);
    let one = 100_u64.div_ceil(percent);
    for case in from..from + count {
        let mut random = Random::new(seed.wrapping_mul(1_000_003).wrapping_add(case));
        // The first numbers of neighbouring seeds are alike.
        for _ in 0..8 {
            random.below(2);
        }
        let name = format!(
            "RELIABILITY_SEED={seed} RELIABILITY_FROM={case} {}={one} cargo test -p panda --test reliability -- --exact {test}",
            of.variable().0
        );
        let _again = Again(&name);
        check(&mut random, &name);
    }
}
