//! The Trader contract, its conformance suite and the registry of brokers.
