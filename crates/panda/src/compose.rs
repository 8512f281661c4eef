//! The composition root: the only place that knows which brokers there are.

use exchange::SharedExchange;
use session::BuiltIn;
use strategies::KindRegistry;
use traders::Registry;

use crate::{exit, logging};

/// What this build has.
pub const BUILT_IN: BuiltIn = BuiltIn {
    brokers: broker_registry_with,
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

/// The kinds of strategies that this build knows.
pub fn kind_registry() -> KindRegistry {
    KindRegistry::built_in()
}
