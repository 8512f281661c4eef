//! The panda binary's parts: settings, the composition root and the commands.

pub mod bench;
pub mod commands;
pub mod compose;
pub mod generate;
pub mod settings;
