//! Splits, consolidations and bonuses: history in the shares of today.
//!
//! Before the ex-date a share is another share. Rows before it are brought into the shares of after it:
//! prices divided, quantities multiplied, so that strategies, matching and accounts see one series.
//! Why so, and what it changes: `docs/decisions/0011-corporate-actions.md`.

mod file;
mod jumps;
mod plan;
mod ratio;

use std::fmt;

use model::{Date, InstrumentIdx};
use serde::{Deserialize, Serialize};

pub use jumps::{DayJump, History};
pub(crate) use plan::Plan;
pub use ratio::Ratio;

/// What changed the number of shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ActionKind {
    /// The face value falls, so that there are more shares.
    Split,
    /// The face value rises, so that there are fewer.
    Consolidation,
    /// Holders are given shares.
    Bonus,
}

impl ActionKind {
    const ALL: [Self; 3] = [Self::Split, Self::Consolidation, Self::Bonus];

    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Consolidation => "consolidation",
            Self::Bonus => "bonus",
        }
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One corporate action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Whose shares.
    pub instrument: InstrumentIdx,
    /// Its id.
    pub id: String,
    /// The first day on which the share trades without the claim: the first in new shares.
    pub ex_date: Date,
    /// What it is.
    pub kind: ActionKind,
    /// As it was announced, `A:B`.
    pub announced: String,
    /// New shares for old ones.
    pub shares: Ratio,
}

/// `bonus 1:1 of NSE:RELIANCE on 2024-10-28`.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            announced,
            id,
            ex_date,
            ..
        } = self;
        write!(f, "{kind} {announced} of {id} on {ex_date}")
    }
}

/// The actions that a user gives, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actions(Vec<Action>);

impl Actions {
    /// In the order of instruments and dates.
    pub fn iter(&self) -> impl Iterator<Item = &Action> {
        self.0.iter()
    }
}

/// An action that changed rows, for reports.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AppliedAction {
    /// Whose shares.
    pub instrument: String,
    /// The first day in new shares, `YYYY-MM-DD`.
    pub ex_date: String,
    /// `split`, `consolidation` or `bonus`.
    pub kind: String,
    /// As it was announced, `A:B`.
    pub ratio: String,
    /// New shares for old ones, `2:1`: prices were divided by it and quantities multiplied.
    pub shares: String,
    /// Delivered rows from before the ex-date.
    pub rows: u64,
}
