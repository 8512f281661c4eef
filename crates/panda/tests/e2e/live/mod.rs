//! Running systems, from outside and from their logs.

mod control;
mod environment;
mod first_run;
mod hanging;
mod inside;
mod isolation;
mod letters;
mod listed;
pub mod logs;
mod parity;
mod report;
mod storage;
mod told;

pub use crate::running::{Running, SECOND_BROKER, backtest_of_replay, replay_world, status, until};
