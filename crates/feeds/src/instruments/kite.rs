//! Kite Connect's instrument dump (<https://kite.trade/docs/connect/v3/market-quotes/#instruments>).

use std::collections::BTreeMap;

use model::instrument::{Instrument, OptionKind};
use model::money::Multiplier;
use model::{AssetClass, Price, Quantity};

use super::{Problem, currency_of, date, price, quantity};

const HEADER: [&str; 12] = [
    "instrument_token",
    "exchange_token",
    "tradingsymbol",
    "name",
    "last_price",
    "expiry",
    "strike",
    "tick_size",
    "lot_size",
    "instrument_type",
    "segment",
    "exchange",
];

pub(super) fn is_dump(header: &csv::StringRecord) -> bool {
    header.iter().eq(HEADER)
}

/// One row of the dump. An index cannot be traded and has neither tick nor lot size, so that an
/// order on it could only be a mistake: `None`. The dump does not say the contract multiplier:
/// quantities of it are in units of the quoted thing, so it is 1.
pub(super) fn row(record: &csv::StringRecord) -> Result<Option<Instrument>, Problem> {
    let [
        token,
        exchange_token,
        symbol,
        _,
        _,
        expiry,
        strike,
        tick,
        lot,
        kind,
        segment,
        exchange,
    ] = std::array::from_fn(|i| record.get(i).unwrap_or_default());
    let tick_size = price("tick_size", tick)?;
    let lot_size = quantity("lot_size", lot)?;
    if segment == "INDICES" || tick_size <= Price::ZERO || lot_size <= Quantity::ZERO {
        return Ok(None);
    }
    if symbol.is_empty() || exchange.is_empty() || exchange.contains(':') {
        return Err(Problem::new(
            "a row without symbol or exchange",
            "download the dump again",
        ));
    }
    let option_kind = match kind {
        "CE" => Some(OptionKind::Call),
        "PE" => Some(OptionKind::Put),
        "EQ" | "FUT" => None,
        other => {
            let what = format!("unknown instrument_type `{other}`");
            return Err(Problem::new(what, "known: EQ, FUT, CE, PE; remove the row"));
        }
    };
    let asset_class = match (exchange, kind) {
        ("MCX" | "NCO", _) => AssetClass::Commodity,
        ("CDS" | "BCD", _) => AssetClass::Currency,
        (_, "EQ") => AssetClass::Equity,
        (_, "FUT") => AssetClass::Futures,
        _ => AssetClass::Options,
    };
    let currency = match currency_of(exchange) {
        Some(currency) => currency,
        // Every exchange in the dump is Indian; the global indices among its segments are indices.
        None => "INR"
            .parse()
            .map_err(|_| Problem::new("no currency", "report this"))?,
    };
    let references = BTreeMap::from([
        ("zerodha".to_owned(), token.to_owned()),
        (
            "zerodha_exchange_token".to_owned(),
            exchange_token.to_owned(),
        ),
    ]);
    let strike = match option_kind {
        Some(_) => Some(price("strike", strike)?),
        None => None,
    };
    let expiry = if expiry.is_empty() {
        None
    } else {
        Some(date("expiry", expiry)?)
    };
    Ok(Some(Instrument {
        id: format!("{exchange}:{symbol}"),
        exchange: exchange.to_owned(),
        symbol: symbol.to_owned(),
        asset_class,
        currency,
        multiplier: Multiplier::ONE,
        tick_size,
        lot_size,
        expiry,
        strike,
        option_kind,
        aliases: Vec::new(),
        references,
    }))
}
