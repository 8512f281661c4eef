//! What a benchmark found, against its budget, for people and as JSON.

use serde::Serialize;

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// How much.
    pub measured: f64,
    /// What it must keep to; none where it is only told.
    pub budget: Option<Budget>,
    /// The unit of both.
    pub unit: &'static str,
}

/// A bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// Less than this.
    Below(f64),
    /// This or more.
    AtLeast(f64),
}

impl Figure {
    /// One that is only told.
    pub fn told(what: impl Into<String>, measured: f64, unit: &'static str) -> Self {
        Self {
            what: what.into(),
            measured,
            budget: None,
            unit,
        }
    }
    /// One with a budget.
    pub fn held(
        what: impl Into<String>,
        measured: f64,
        budget: Budget,
        unit: &'static str,
    ) -> Self {
        Self {
            budget: Some(budget),
            ..Self::told(what, measured, unit)
        }
    }
    /// Whether it keeps to its budget.
    pub fn passed(&self) -> Option<bool> {
        self.budget.map(|budget| match budget {
            Budget::Below(most) => self.measured < most,
            Budget::AtLeast(least) => self.measured >= least,
        })
    }
}

/// Everything that one benchmark found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Findings {
    /// The benchmark.
    pub benchmark: &'static str,
    /// Whether every figure keeps to its budget.
    pub passed: bool,
    /// The figures.
    pub figures: Vec<Figure>,
}

impl Findings {
    /// Of these figures.
    pub fn new(benchmark: &'static str, figures: Vec<Figure>) -> Self {
        Self {
            benchmark,
            passed: figures.iter().all(|f| f.passed() != Some(false)),
            figures,
        }
    }

    /// A table for people.
    pub fn table(&self) -> String {
        let rows: Vec<[String; 4]> = self
            .figures
            .iter()
            .map(|f| {
                let budget = match f.budget {
                    None => String::new(),
                    Some(Budget::Below(most)) => format!("< {}", number(most)),
                    Some(Budget::AtLeast(least)) => format!(">= {}", number(least)),
                };
                let verdict = match f.passed() {
                    None => "",
                    Some(true) => "kept",
                    Some(false) => "MISSED",
                };
                [
                    f.what.clone(),
                    format!("{} {}", number(f.measured), f.unit),
                    budget,
                    verdict.to_owned(),
                ]
            })
            .collect();
        let head = [self.benchmark, "measured", "budget", ""].map(str::to_owned);
        let width = |at: usize| {
            let lengths = rows.iter().chain([&head]).map(|row| row[at].len());
            lengths.max().unwrap_or(0)
        };
        let widths = [width(0), width(1), width(2)];
        let mut text = String::new();
        for row in std::iter::once(&head).chain(&rows) {
            let line = format!(
                "{:<a$}  {:>b$}  {:>c$}  {}",
                row[0],
                row[1],
                row[2],
                row[3],
                a = widths[0],
                b = widths[1],
                c = widths[2],
            );
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 1000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

/// The value that so many in a thousand do not exceed; `sorted` rises.
pub fn rank(sorted: &[u64], in_thousand: usize) -> u64 {
    let at = (sorted.len() * in_thousand).div_ceil(1000).max(1) - 1;
    sorted.get(at).or(sorted.last()).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_values_that_were_seen() {
        let all: Vec<u64> = (1..=200).collect();
        assert_eq!((rank(&all, 500), rank(&all, 990)), (100, 198));
        assert_eq!((rank(&[7], 500), rank(&[7], 990)), (7, 7));
        assert_eq!(rank(&[], 500), 0);
    }

    #[test]
    fn one_missed_budget_is_a_missed_benchmark() {
        let kept = Figure::held("a", 1.0, Budget::Below(1.5), "µs");
        let missed = Figure::held("b", 1.0, Budget::AtLeast(1.5), "ticks/s");
        let told = Figure::told("c", 12_345.6, "bytes");
        let all = Findings::new("x", vec![kept.clone(), told.clone()]);
        assert!(all.passed && all.table().contains("kept"));
        let all = Findings::new("x", vec![kept, missed, told]);
        assert!(!all.passed && all.table().contains("MISSED"));
        assert!(all.table().contains("12346 bytes"));
    }
}
