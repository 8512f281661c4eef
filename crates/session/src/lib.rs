//! A running system: composed, recovered from its logs, started, and stopped in good order. The kinds of
//! brokers and strategies come from the composition root.

mod build;
pub mod compose;
pub mod control;
pub mod facts;
mod feeding;
mod handles;
mod hanging;
mod letters;
mod lifecycle;
pub mod load;
mod monitor;
pub mod narrate;
mod open;
mod parts;
pub mod preflight;
mod reader;
mod refusals;
mod session;
mod used;
mod view;

pub use compose::BuiltIn;
pub use handles::{Excluded, Handles, Member, StopRequest};
pub use open::{
    LogsOf, Opened, Plugins, Preparation, RecordedSystem, check_strategies, decide_again, prepare,
    recorded,
};
pub use session::{Ended, Session};
pub use view::recorded as recorded_status;
