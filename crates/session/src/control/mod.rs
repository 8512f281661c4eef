//! Commands from another terminal: one JSON object a line over a local socket, until the API exists. Each
//! becomes a command in the journal of its namespace, and is answered once what follows is durable.

mod client;
mod execute;
mod server;

use runtime::dead_letters::LetterAction;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use client::socket_path;
pub use client::{Client, local_user};
pub(crate) use server::ControlServer;

/// How an order of unknown outcome ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResolveAs {
    /// The broker never had it.
    NeverReached,
    /// The broker cancelled it, beyond what has been reported as executed.
    Cancelled,
    /// It executed: needs a quantity and a price.
    Filled,
}

/// What an operator asks of one namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Nothing that increases exposure, and working entries are cancelled.
    Halt,
    /// Trade again.
    Resume {
        /// Count losses from now on.
        #[serde(default)]
        reset_loss_base: bool,
    },
    /// Nothing that increases exposure.
    ReduceOnly,
    /// Let a strategy trade.
    EnableStrategy {
        /// Which.
        strategy: String,
        /// Count its losses from now on.
        #[serde(default)]
        reset_loss_base: bool,
    },
    /// Keep a strategy from trading.
    DisableStrategy {
        /// Which.
        strategy: String,
    },
    /// Cancel one order.
    CancelOrder {
        /// Which.
        order: String,
    },
    /// Cancel every working order.
    CancelAll,
    /// Close positions: all, those of an instrument, or one strategy's in it.
    SquareOff {
        /// In what; all without.
        instrument: Option<String>,
        /// Whose; everyone's without.
        strategy: Option<String>,
    },
    /// End an order whose outcome nothing else can tell.
    ResolveOrder {
        /// Which.
        order: String,
        /// How.
        resolution: ResolveAs,
        /// Of an execution: how much.
        quantity: Option<String>,
        /// Of an execution: at what price.
        price: Option<String>,
    },
}

/// A line from a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// How everything is.
    Status,
    /// What the monitor has kept.
    History {
        /// A sample a minute instead of a second.
        by_minute: bool,
    },
    /// A command to these namespaces; without any, to all.
    Command {
        /// Their names.
        brokers: Vec<String>,
        /// Who gives it, at most 32 bytes.
        #[serde(default)]
        actor: String,
        /// A command is carried out once for each key: 1 to 64 visible characters of ASCII.
        #[serde(default)]
        key: Option<String>,
        /// What to do.
        #[serde(flatten)]
        action: Action,
    },
    /// Do something with a dead letter.
    Letter {
        /// Whose it is: a namespace, or `market`.
        owner: String,
        /// Its whole id.
        id: String,
        /// What to do.
        action: LetterAction,
    },
    /// End the session in good order.
    Stop,
}

/// What became of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterOutcome {
    /// It was taken again.
    Taken,
    /// It could not be taken, for this reason, and stays parked.
    Parked(String),
    /// Its owner takes no part now: the next session in which it does takes it.
    Requested,
    /// It was dropped.
    Dropped,
}

/// What a command led to in one namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// The namespace.
    pub broker: String,
    /// Its events, durable.
    pub events: Vec<Value>,
    /// Why it had none, where that is an error.
    pub error: Option<String>,
}

/// A line to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To a question.
    Answer(Value),
    /// To a command.
    Effects(Vec<Effect>),
    /// To what was asked of a dead letter.
    Letter(LetterOutcome),
    /// The stop has begun.
    Stopping,
    /// The request cannot be done, and nothing was changed.
    Refused(String),
}
