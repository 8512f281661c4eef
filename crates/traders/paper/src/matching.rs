//! At what price and quantity an order fills on a market input. Reads only.

use model::fixed::ONE;
use model::signal::{OrderType, Side, Validity};
use model::{Instrument, Price, Quantity};

use crate::book::{Market, Resting};
use crate::settings::Resolved;

/// What an order does on a market input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing.
    Nothing,
    /// Its trigger is reached.
    Trigger,
    /// It executes.
    Fill { price: Price, quantity: Quantity, draws: u32, cut: bool },
    /// It wanted to execute at once and cannot.
    Cancel,
}

/// A price at which an order can execute now, and how much there is.
struct Offer {
    price: Price,
    available: Quantity,
}

pub(crate) fn outcome(
    order: &Resting,
    market: &Market,
    instrument: &Instrument,
    settings: &Resolved,
) -> Outcome {
    if order.waits_for_trigger() {
        let reached = match &market.bar {
            None => order.reaches(market.tick.price),
            Some(bar) => order.reaches(if order.side == Side::Buy { bar.high } else { bar.low }),
        };
        if reached {
            return Outcome::Trigger;
        }
        return if is_immediate(order) { Outcome::Cancel } else { Outcome::Nothing };
    }
    let offer = offer(order, market, instrument, settings);
    let open = order.open();
    let quantity = offer.as_ref().map_or(Quantity::ZERO, |o| o.available.min(open));
    if order.validity == Validity::Fok && order.filled.is_zero() {
        // All or nothing: what all levels together hold has to cover it.
        if reachable(order, market, instrument, settings) < open {
            return Outcome::Cancel;
        }
    }
    let Some(offer) = offer.filter(|_| quantity > Quantity::ZERO) else {
        return if is_immediate(order) { Outcome::Cancel } else { Outcome::Nothing };
    };
    let (quantity, draws, cut) = cut(order, market, quantity, instrument, settings);
    if quantity.is_zero() {
        return if is_immediate(order) { Outcome::Cancel } else { Outcome::Nothing };
    }
    Outcome::Fill { price: offer.price, quantity, draws, cut }
}

fn is_immediate(order: &Resting) -> bool {
    matches!(order.validity, Validity::Ioc | Validity::Fok)
}

/// Cuts a fill to a random part of its lots, as often as the settings say.
fn cut(
    order: &Resting,
    market: &Market,
    quantity: Quantity,
    instrument: &Instrument,
    settings: &Resolved,
) -> (Quantity, u32, bool) {
    if settings.partial == 0 || order.validity == Validity::Fok {
        return (quantity, order.draws, false);
    }
    if order.cut_at == Some(market.input) {
        return (Quantity::ZERO, order.draws, false);
    }
    if order.id.draw(settings.seed, order.draws) >> 32 >= settings.partial {
        return (quantity, order.draws + 1, false);
    }
    let lot = instrument.lot_size.raw().max(1);
    let lots = (quantity.raw() / lot) as u64;
    if lots < 2 {
        return (quantity, order.draws + 2, false);
    }
    let part = 1 + order.id.draw(settings.seed, order.draws + 1) % (lots - 1);
    (Quantity::from_raw(part as i64 * lot), order.draws + 2, true)
}

/// The next price at which the order can execute on this input.
fn offer(
    order: &Resting,
    market: &Market,
    instrument: &Instrument,
    settings: &Resolved,
) -> Option<Offer> {
    if let Some(bar) = &market.bar {
        let price = bar_price(order, bar, market.input, settings)?;
        let price = if takes(order, market) { slip(order, price, instrument, settings) } else { price };
        return Some(Offer { price, available: available(order, market, instrument, settings) });
    }
    let waited = order.first_input.is_some_and(|first| first < market.input);
    if waited && order.order_type != OrderType::Market && order.limit.is_some() {
        // It has been in the book: whoever trades through it gives it its own price.
        let limit = order.limit?;
        let tick = &market.tick;
        let better = match order.side {
            Side::Buy => tick.price < limit || (!tick.ask.is_zero() && tick.ask < limit),
            Side::Sell => tick.price > limit || (!tick.bid.is_zero() && tick.bid > limit),
        };
        let touched = !settings.through
            && match order.side {
                Side::Buy => tick.price == limit || tick.ask == limit,
                Side::Sell => tick.price == limit || tick.bid == limit,
            };
        return (better || touched).then(|| Offer {
            price: limit,
            available: available(order, market, instrument, settings),
        });
    }
    if let Some(depth) = market.depth.as_ref().filter(|_| settings.use_depth) {
        let levels = if order.side == Side::Buy { &depth.asks } else { &depth.bids };
        let mut skip = market.taken(order.side);
        for level in levels.iter().filter(|l| !l.price.is_zero() && !l.quantity.is_zero()) {
            if level.quantity <= skip {
                skip = Quantity::from_raw(skip.raw() - level.quantity.raw());
                continue;
            }
            let price = slip(order, level.price, instrument, settings);
            let left = Quantity::from_raw(level.quantity.raw() - skip.raw());
            let cap = available(order, market, instrument, settings);
            return order
                .accepts(price)
                .then(|| Offer { price, available: left.min(cap) });
        }
        return None;
    }
    let quote = match order.side {
        Side::Buy => market.tick.ask,
        Side::Sell => market.tick.bid,
    };
    let price = if quote.is_zero() { market.tick.price } else { quote };
    if !order.accepts(price) {
        return None;
    }
    let slipped = slip(order, price, instrument, settings);
    Some(Offer { price: slipped, available: available(order, market, instrument, settings) })
}

/// What all levels within the order's limit hold.
fn reachable(
    order: &Resting,
    market: &Market,
    instrument: &Instrument,
    settings: &Resolved,
) -> Quantity {
    let cap = available(order, market, instrument, settings);
    let depth = market.depth.as_ref().filter(|_| settings.use_depth && market.bar.is_none());
    let Some(depth) = depth else {
        return if offer(order, market, instrument, settings).is_some() { cap } else { Quantity::ZERO };
    };
    let levels = if order.side == Side::Buy { &depth.asks } else { &depth.bids };
    let sum = levels
        .iter()
        .filter(|l| !l.price.is_zero() && order.accepts(slip(order, l.price, instrument, settings)))
        .fold(0i64, |sum, l| sum.saturating_add(l.quantity.raw()));
    Quantity::from_raw(sum.saturating_sub(market.taken(order.side).raw())).min(cap)
}

/// Whether the order takes what is there, and so pays for it, rather than having waited.
fn takes(order: &Resting, market: &Market) -> bool {
    order.limit.is_none() || order.first_input.is_none_or(|first| first == market.input)
}

/// How much of this input the order may have.
fn available(
    order: &Resting,
    market: &Market,
    instrument: &Instrument,
    settings: &Resolved,
) -> Quantity {
    if settings.participation == 0 {
        return Quantity::MAX;
    }
    // Both sides share what traded.
    let taken = i128::from(market.taken_from_asks.raw()) + i128::from(market.taken_from_bids.raw());
    let share = i128::from(market.traded().raw()) * i128::from(settings.participation)
        / i128::from(ONE)
        - taken;
    let share = Quantity::from_raw(i64::try_from(share.max(0)).unwrap_or(i64::MAX));
    if share >= order.open() { share } else { share.floor_to(instrument.lot_size) }
}

/// The price at which an order executes within a bar. Its open is known first, its extremes after
/// that, in an order that the bar does not tell.
fn bar_price(
    order: &Resting,
    bar: &model::Bar,
    input: u64,
    settings: &Resolved,
) -> Option<Price> {
    if order.triggered_at == Some(input) {
        // At the trigger, or at the open that jumped over it.
        let price = if order.reaches(bar.open) { bar.open } else { order.trigger? };
        return order.accepts(price).then_some(price);
    }
    let Some(limit) = order.limit else { return Some(bar.open) };
    if order.accepts(bar.open) {
        return Some(bar.open);
    }
    let extreme = if order.side == Side::Buy { bar.low } else { bar.high };
    let beyond = extreme != limit && order.accepts(extreme);
    let touched = extreme == limit && !settings.through;
    (beyond || touched).then_some(limit)
}

/// The price after slippage, rounded against the order, never beyond its limit.
fn slip(order: &Resting, price: Price, instrument: &Instrument, settings: &Resolved) -> Price {
    if settings.slippage == 0 && settings.slippage_ticks == 0 {
        return price;
    }
    let loss = i128::from(price.raw()) * i128::from(settings.slippage) / i128::from(ONE)
        + i128::from(instrument.tick_size.raw()) * i128::from(settings.slippage_ticks);
    let loss = i64::try_from(loss).unwrap_or(i64::MAX);
    let slipped = match order.side {
        Side::Buy => {
            let raised = Price::from_raw(price.raw().saturating_add(loss)).min(Price::MAX);
            let raised = raised.ceil_to(instrument.tick_size).unwrap_or(raised).min(Price::MAX);
            order.limit.map_or(raised, |limit| raised.min(limit.max(price)))
        }
        Side::Sell => {
            let lowered = Price::from_raw(price.raw().saturating_sub(loss)).max(Price::MIN);
            let lowered = lowered.floor_to(instrument.tick_size);
            let lowered = if lowered < Price::MIN { instrument.tick_size.max(Price::MIN).min(price) } else { lowered };
            order.limit.map_or(lowered, |limit| lowered.max(limit.min(price)))
        }
    };
    slipped.max(Price::MIN)
}
