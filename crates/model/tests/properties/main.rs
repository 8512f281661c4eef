//! Properties of numbers and of the order's life. Every random test is seeded: a failure repeats.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod money;
mod numbers;
mod orders;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// A runner with a fixed seed and no files of its own.
fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}
