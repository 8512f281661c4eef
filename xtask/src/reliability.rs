//! What the suite of reliability is asked for: kills, damages and mutations, with seeds.

use crate::suites::{Call, seed_of};

/// Several at once on any machine: much of the time a test waits for a paced day.
const PROGRAM: &str =
    "test --package panda --no-fail-fast --test reliability -- --nocapture --test-threads=6";
/// Of all: what each of three tests kills, damaged data directories, mutated inputs.
const WHOLE: [(&str, u64); 3] = [
    ("RELIABILITY_KILLS", 200),
    ("RELIABILITY_DAMAGES", 400),
    ("RELIABILITY_MUTATIONS", 2_000),
];
/// What CI runs of them, in percent: it takes about a minute.
const SHARE: u64 = 10;
/// The seed that always runs.
const FIXED: u64 = 1;

/// What was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish {
    /// One seed for all; without it half of the cases have a fixed one, and half the commit's.
    pub seed: Option<u64>,
    /// How much of it.
    pub percent: Option<u64>,
}

impl Wish {
    /// What runs with all other suites.
    pub fn share() -> Self {
        Self {
            seed: None,
            percent: Some(SHARE),
        }
    }
}

/// The runs: of one seed, or of the fixed one and the commit's, each with half.
pub fn calls(wish: Wish, commit: Option<&str>) -> Vec<Call> {
    let seeds = match (wish.seed, commit.and_then(seed_of)) {
        (Some(seed), _) => vec![seed],
        (None, Some(own)) => vec![FIXED, own],
        (None, None) => vec![FIXED],
    };
    let (percent, parts) = (wish.percent.unwrap_or(100), seeds.len() as u64);
    let share = percent.div_ceil(parts);
    let call = |seed: u64| {
        println!(
            "seed {seed}; the same again: cargo xtask test reliability --seed {seed} --percent {share}"
        );
        let counts = WHOLE.map(|(name, whole)| {
            let count = (whole * percent).div_ceil(100 * parts);
            (name, count.to_string())
        });
        let seed = ("RELIABILITY_SEED", seed.to_string());
        Call {
            arguments: PROGRAM.split(' ').map(str::to_owned).collect(),
            told: counts.into_iter().chain([seed]).collect(),
        }
    };
    seeds.into_iter().map(call).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_of_a_fixed_seed_and_half_of_the_commits() {
        let told = |call: &Call| {
            let values = call.told.iter().map(|(_, value)| value.as_str());
            values.collect::<Vec<_>>().join(" ")
        };
        let commit = Some("0000002a97cb29eb341d190f9d3d35d31127f449");
        let all = calls(Wish::default(), commit);
        assert_eq!(
            all.iter().map(told).collect::<Vec<_>>(),
            ["100 200 1000 1", "100 200 1000 1042"]
        );
        let share = calls(Wish::share(), commit);
        assert_eq!(told(&share[1]), "10 20 100 1042");
        let alone = calls(Wish::default(), None);
        assert_eq!(alone.len(), 1);
        assert_eq!(told(&alone[0]), "200 400 2000 1");
        let asked = Wish {
            seed: Some(9),
            percent: Some(10),
        };
        let asked = calls(asked, commit);
        assert_eq!(asked.len(), 1);
        assert_eq!(told(&asked[0]), "20 40 200 9");
    }
}
