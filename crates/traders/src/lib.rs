//! What a broker is to the rest of the system: the registry of kinds, what they are built from, and
//! the conformance suite that every trader passes.
//!
//! A new broker is one crate that offers a [`BrokerKind`] and one line that registers it; no other
//! crate names a broker.

pub mod conformance;
pub mod registry;
pub mod trader;

pub use registry::{BrokerKind, Build, BuildContext, BuildError, Built, Registry, SettingSpec};
pub use trader::{
    Answer, BrokerReport, ClientOrderId, Found, LinkError, Modification, Reports, Trader,
};
