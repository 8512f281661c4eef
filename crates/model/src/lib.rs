//! The nouns of trading. Everything here is a plain value: no I/O, no clock, no randomness,
//! no wire format.

pub mod fixed;
pub mod money;
pub mod time;

pub mod text;

pub mod instrument;
pub mod market;

pub mod ids;
pub mod note;
pub mod signal;

pub mod order;

pub mod control;
pub mod event;
pub mod reason;
pub mod refusal;
pub mod reindex;
pub mod rules;

pub mod topic;

pub mod charges;
pub mod contract_note;
pub mod secret;
pub mod session;
pub mod trader;

pub use fixed::{NumberError, Price, Quantity};
pub use ids::{CorrelationId, EventId, InputId, OrderId, SignalId, StrategyIdx, TradeId};
pub use instrument::{AssetClass, Instrument, InstrumentIdx, Instruments};
pub use market::{Bar, Depth, Tick};
pub use money::{Amount, Currency, CurrencyIdx, Money};
pub use note::Note;
pub use time::{Date, Timestamp};
