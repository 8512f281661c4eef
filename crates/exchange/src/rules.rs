//! What every order must be, wherever it is matched.

use model::order::OrderIntent;
use model::reason::Reason;
use model::{Instrument, Price, Quantity};

/// Why an order is refused at once, if it is.
pub(crate) fn refusal(intent: &OrderIntent, instrument: Option<&Instrument>) -> Option<Reason> {
    prices(
        intent.order_type.has_limit(),
        intent.limit_price,
        instrument,
    )
    .or_else(|| {
        prices(
            intent.order_type.has_trigger(),
            intent.trigger_price,
            instrument,
        )
    })
    .or_else(|| quantity(intent.quantity, instrument))
}

fn prices(needed: bool, price: Option<Price>, instrument: Option<&Instrument>) -> Option<Reason> {
    match price {
        None => needed.then_some(Reason::InvalidSignal),
        Some(price) if price.in_window().is_err() => Some(Reason::InvalidSignal),
        Some(price) => instrument
            .is_some_and(|i| !price.is_multiple_of(i.tick_size))
            .then_some(Reason::TickSize),
    }
}

/// Why a quantity is refused, if it is.
pub(crate) fn quantity(quantity: Quantity, instrument: Option<&Instrument>) -> Option<Reason> {
    if quantity.in_window().is_err() {
        return Some(Reason::OrderQuantity);
    }
    instrument
        .is_some_and(|i| !quantity.is_multiple_of(i.lot_size))
        .then_some(Reason::LotSize)
}
