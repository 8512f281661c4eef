//! One suite that every trader passes, at the level of commands and reports: what it is that sits
//! behind them, a matching engine in the pipeline or a broker across the network, it cannot tell.
//!
//! Each case has a number that never changes its meaning, a name and one sentence ([`CASES`]). A
//! [`Subject`] declares what it cannot do; the cases that need it are skipped by name, and the
//! report says why. A failure names the case, the seed and what was expected.
//!
//! ```
//! use traders::conformance::{self, Options};
//! # fn trader(_: &conformance::Fixture) -> Box<dyn conformance::Subject> { unimplemented!() }
//! # fn example() -> Result<(), conformance::Failure> {
//! let report = conformance::run(&mut |fixture| trader(&fixture), Options::default())?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```

#![allow(
    clippy::inconsistent_digit_grouping,
    reason = "prices are in hundredths: 100_05 is 100.05"
)]

mod adapter;
mod bench;
mod cases;
mod fixture;
pub mod outside;
mod random;
mod report;
mod subject;

pub use adapter::InPipelineSubject;
pub use cases::CASES;
pub use fixture::{DaySessions, Fixture};
pub use report::{Case, Failure, Report, Skipped};
pub use subject::{Feature, Lack, Profile, Subject};

use bench::{Bench, Problem};

/// How the suite runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Seed of the random sequences.
    pub seed: u64,
    /// How many random sequences of commands and market data.
    pub sequences: u32,
    /// How many steps each of them has.
    pub steps: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            sequences: 300,
            steps: 40,
        }
    }
}

/// Runs every case on subjects that `make` builds fresh, and stops at the first failure.
pub fn run(
    make: &mut dyn FnMut(Fixture) -> Box<dyn Subject>,
    options: Options,
) -> Result<Report, Failure> {
    let fixture = Fixture::new();
    let profile = make(fixture.clone()).profile();
    let mut report = Report::default();
    for case in CASES {
        if let Some(lack) = case.needs.iter().find_map(|need| profile.lack_of(*need)) {
            report.skipped.push(Skipped {
                case,
                reason: lack.to_string(),
            });
            continue;
        }
        let seeds = if case.is_random { options.sequences } else { 1 };
        let mut skipped = None;
        for n in 0..seeds {
            let seed = options.seed.wrapping_add(u64::from(n));
            let mut stage = Stage {
                make: &mut *make,
                fixture: &fixture,
                profile: &profile,
                seed,
                steps: options.steps,
            };
            match (case.check)(&mut stage) {
                Ok(()) => {}
                Err(Problem::Skip(reason)) => skipped = Some(reason),
                Err(Problem::Wrong {
                    expected,
                    got,
                    story,
                }) => {
                    return Err(Failure {
                        case,
                        seed,
                        expected,
                        got,
                        story,
                    });
                }
            }
        }
        match skipped {
            Some(reason) => report.skipped.push(Skipped { case, reason }),
            None => report.passed.push(case),
        }
    }
    Ok(report)
}

/// Where a case plays.
pub(crate) struct Stage<'a> {
    make: &'a mut dyn FnMut(Fixture) -> Box<dyn Subject>,
    fixture: &'a Fixture,
    profile: &'a Profile,
    seed: u64,
    steps: u32,
}

impl Stage<'_> {
    fn bench(&mut self) -> Bench {
        Bench::new(
            (self.make)(self.fixture.clone()),
            self.fixture.clone(),
            self.profile.clone(),
        )
    }
}
