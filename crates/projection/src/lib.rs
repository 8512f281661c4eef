//! What people ask of a namespace, folded from its events: pure, and the same wherever it runs.

pub mod models;

mod fold;
mod overview;

pub mod orders;
pub mod signals;
pub mod trades;

pub use fold::{Mark, Names, Projection};
