//! The panda binary's parts: the composition root and the commands.

pub mod cli;

pub mod commands;

pub mod exit;
pub mod facts;
pub mod lifecycle;
pub mod logging;

pub mod compose;

pub mod load;

pub mod live;

pub mod bench;
pub mod generate;
