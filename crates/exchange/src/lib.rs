//! The simulated exchange: an order-driven market that never closes, and accounts that trade in it.
//!
//! [`Market`] is order books with background flow; [`Exchange`] adds accounts; [`Tape`] is another place
//! where an account's orders meet a market: recorded data that its client passes input by input. None
//! of them knows a protocol, does I/O, reads a clock or draws from anything but its seed: a front gives
//! them time and orders. [`SharedExchange`] is the one exchange of a process.

pub mod account;
pub mod books;
mod exchange;
pub mod market;
mod rules;
mod shared;
mod tape;

pub use account::{Account, ClientOrderId, Report};
pub use books::Books;
pub use exchange::{AccountId, Exchange, Placed};
pub use market::{Market, Quote};
pub use shared::SharedExchange;
pub use tape::{Bar, Tape};

use model::Instrument;

/// The exchange's code.
pub const EXCHANGE: &str = "SIM";

/// The instruments that it lists.
pub fn instruments() -> Vec<Instrument> {
    let Ok(currency) = "INR".parse() else {
        return Vec::new();
    };
    ["ALPHA", "BETA", "GAMMA", "DELTA", "OMEGA"]
        .into_iter()
        .map(|symbol| Instrument::share(EXCHANGE, symbol, currency))
        .collect()
}
