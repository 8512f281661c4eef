//! The composition root: the only place that knows which brokers there are.

use exchange::SharedExchange;
use feeds::live::FeedRegistry;
use session::BuiltIn;
use settings::schema::Kinds;
use strategies::KindRegistry;
use traders::Registry;

use crate::{exit, logging};

/// What this build has.
pub const BUILT_IN: BuiltIn = BuiltIn {
    brokers: broker_registry_with,
    feeds: feed_registry_with,
    strategies: kind_registry,
    end_of_hang: || {
        logging::flush();
        std::process::exit(i32::from(exit::STRATEGY_HANG));
    },
};

/// The brokers that this build knows, without an exchange in this process: for their names and keys,
/// and for what has no live feed.
pub fn broker_registry() -> Registry {
    broker_registry_with(None)
}

/// One line for each broker.
fn broker_registry_with(exchange: Option<SharedExchange>) -> Registry {
    let mut registry = Registry::default();
    registry.register(paper::kind());
    registry.register(sim::kind(exchange));
    registry
}

/// One line for each kind of feed.
fn feed_registry_with(exchange: Option<SharedExchange>) -> FeedRegistry {
    let mut registry = FeedRegistry::default();
    registry.register(feeds::live::replay_kind());
    registry.register(feeds::live::simulated_kind(exchange));
    registry
}

/// The brokers and feeds that settings can name.
pub fn kinds() -> Kinds {
    Kinds {
        brokers: broker_registry(),
        feeds: feed_registry_with(None),
    }
}

/// The kinds of strategies that this build knows.
pub fn kind_registry() -> KindRegistry {
    KindRegistry::built_in()
}
