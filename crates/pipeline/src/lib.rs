//! The pure stages of trading and the kernel that composes them.
//!
//! Every stage changes its state only through `observe(input)`, which never emits, and
//! `apply(event)`, which takes a fact; what decides only reads. So a recorded run is recovered by
//! calling the two with what was recorded, and ends in the same state. Time, ids and randomness
//! arrive with the inputs: nothing here reads a clock, rolls dice, does I/O or starts a task.

pub mod bars;
pub mod strategy_host;
pub mod tally;

pub mod runner;

pub mod risk;

pub mod engine;

pub mod portfolio;

pub mod broker;
pub mod day_book;
mod due;
pub mod kernel;

pub use broker::{BrokerPipeline, BrokerSettings, Input, PipelineStats};
pub use due::fire_due;
pub use kernel::{BrokerMask, EventSink, Kernel};
pub use runner::{Runner, RunnerInput, RunnerOutput};
pub use strategy_host::{StrategyHost, StrategySetup};
