//! The commands.

pub mod backtest;
pub mod bench;
pub mod data;
pub mod demo;
pub mod strategies;
