//! What trading costs.
