//! What the exchanges fix: when they trade, in which steps, and what a trade costs.
//!
//! Nothing here reads a file or a clock. The facts are data files of this crate, each entry with
//! its source and the grade of its evidence; a text of the same form from the user extends or
//! corrects them. What no entry covers is *unknown* or an error that names the gap, never a guess.

pub mod provenance;

mod civil;

pub mod calendar;

pub mod rules;

pub mod charges;

pub use calendar::{Calendar, State, Status};
pub use charges::ChargeTable;

pub use provenance::{Evidence, Grade};

/// The embedded data files: calendar, rules, charges, as TOML. Files of the user have the same form.
pub const DATA: [(&str, &str); 3] = [
    ("calendar", include_str!("../data/calendar.toml")),
    ("rules", include_str!("../data/rules.toml")),
    ("charges", include_str!("../data/charges.toml")),
];

pub use rules::Rules;
