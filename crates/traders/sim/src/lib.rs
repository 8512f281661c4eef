//! The trader of the simulated exchange.
