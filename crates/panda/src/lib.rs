//! The panda binary's parts: the composition root and the commands.

pub mod cli;

pub mod commands;

pub mod exit;
pub mod logging;

pub mod compose;
