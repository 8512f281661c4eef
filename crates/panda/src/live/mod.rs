//! A running system: recovered from its logs, composed, started, and stopped in good order.

mod build;
pub mod control;
mod feeding;
mod handles;
mod hanging;
mod letters;
mod monitor;
pub mod narrate;
mod open;
mod parts;
mod refusals;
mod session;
mod view;

pub mod preflight;
pub use handles::{Excluded, Handles, Member, StopRequest};
pub use open::{
    Opened, Plugins, Preparation, RecordedSystem, StorageLayer, check_strategies, decide_again,
    log_options, prepare, recorded,
};
pub use session::{Ended, Session};
pub use view::Trading;
pub use view::recorded as recorded_status;
