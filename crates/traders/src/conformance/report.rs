//! What came out of a run of the suite.

use std::fmt;

use super::Stage;
use super::bench::Problem;
use super::subject::Feature;

/// One case.
pub struct Case {
    /// Its number; never given to another.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// What must hold, in one sentence.
    pub sentence: &'static str,
    pub(super) needs: &'static [Feature],
    /// Run once per seed.
    pub(super) is_random: bool,
    pub(super) check: fn(&mut Stage<'_>) -> Result<(), Problem>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.name)
    }
}

/// A case that was not run, or could not be brought about.
#[derive(Debug)]
pub struct Skipped {
    /// Which.
    pub case: &'static Case,
    /// Why.
    pub reason: String,
}

/// What passed and what was skipped.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases that hold.
    pub passed: Vec<&'static Case>,
    /// Cases that were not tried, with the reason.
    pub skipped: Vec<Skipped>,
}

impl Report {
    /// The names of the skipped cases, in order.
    pub fn skipped_names(&self) -> Vec<&'static str> {
        self.skipped.iter().map(|s| s.case.name).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.passed {
            writeln!(
                f,
                "{:>3} {:<28} passed: {}",
                case.number, case.name, case.sentence
            )?;
        }
        for skipped in &self.skipped {
            let case = skipped.case;
            writeln!(
                f,
                "{:>3} {:<28} skipped: {}",
                case.number, case.name, skipped.reason
            )?;
        }
        write!(
            f,
            "{} passed, {} skipped",
            self.passed.len(),
            self.skipped.len()
        )
    }
}

/// A case that does not hold.
#[derive(Debug, thiserror::Error)]
#[error(
    "case {} `{}` fails with seed {seed}: {} expected {expected}, got {got}\n{}",
    .case.number, .case.name, .case.sentence, .story.join("\n")
)]
pub struct Failure {
    /// Which.
    pub case: &'static Case,
    /// The seed that brings it about.
    pub seed: u64,
    /// What was expected.
    pub expected: String,
    /// What happened instead.
    pub got: String,
    /// The latest commands, market data and reports, oldest first.
    pub story: Vec<String>,
}
