//! Commands that were given under a key: one that is given again is not carried out again.

use std::collections::VecDeque;

use journal::record::{Entry, Run};
use model::control::{Command, CommandAction};
use model::ids::CommandId;
use serde::{Deserialize, Serialize};

/// Keys that are remembered; the oldest goes first.
const KEYS_MAX: usize = 1024;

/// A command that was taken.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct KeyedCommand {
    #[serde(rename = "command_id")]
    id: CommandId,
    action: CommandAction,
    /// The run that holds what it led to; `None` where it changed nothing.
    step: Option<u64>,
}

/// What a namespace knows of a command that is given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It was carried out: the run that holds what it led to; `None` where it changed nothing.
    Done(Option<u64>),
    /// Its key was given with another command.
    Other,
}

/// The keyed commands of a namespace, the oldest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Keyed(VecDeque<KeyedCommand>);

impl Keyed {
    /// What is known of a command; `None`: it is to be carried out.
    pub fn find(&self, command: &Command) -> Option<Known> {
        if command.origin.key.is_empty() {
            return None;
        }
        let taken = self.0.iter().find(|taken| taken.id == command.id)?;
        Some(if taken.action == command.action {
            Known::Done(taken.step)
        } else {
            Known::Other
        })
    }

    /// A command was carried out, and what it led to is in this run.
    pub fn note(&mut self, command: &Command, step: Option<u64>) {
        if command.origin.key.is_empty() {
            return;
        }
        if self.0.len() == KEYS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(KeyedCommand {
            id: command.id,
            action: command.action,
            step,
        });
    }

    /// A recorded run: what it holds was caused by the last of its inputs.
    pub fn note_recorded(&mut self, run: &Run) {
        for (at, entry) in run.inputs.iter().enumerate() {
            if let Entry::Command(_, command) = entry {
                let causes = at + 1 == run.inputs.len() && !run.outputs.is_empty();
                self.note(command, causes.then_some(run.step));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::control::{CommandKey, Origin};

    use super::*;

    fn command(key: &str, action: CommandAction) -> Command {
        let origin = Origin {
            key: CommandKey::from(key).unwrap(),
            ..Origin::default()
        };
        Command {
            id: CommandId::of_key(key),
            origin,
            action,
        }
    }

    #[test]
    fn a_key_is_one_command_until_it_is_too_old() {
        let mut keyed = Keyed::default();
        let all = command("a", CommandAction::CancelAll);
        assert_eq!(keyed.find(&all), None);
        keyed.note(&all, Some(7));
        assert_eq!(keyed.find(&all), Some(Known::Done(Some(7))));
        let other = command("a", CommandAction::CancelEntries);
        assert_eq!(keyed.find(&other), Some(Known::Other));
        // Without a key each is a new one.
        let bare = command("", CommandAction::CancelAll);
        keyed.note(&bare, Some(8));
        assert_eq!(keyed.find(&bare), None);
        for n in 1..KEYS_MAX {
            keyed.note(&command(&n.to_string(), CommandAction::CancelAll), None);
        }
        assert_eq!(keyed.find(&all), Some(Known::Done(Some(7))));
        keyed.note(&command("last", CommandAction::CancelAll), None);
        assert_eq!(keyed.find(&all), None);
    }
}
