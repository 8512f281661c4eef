//! Kite Connect's instrument dump (<https://kite.trade/docs/connect/v3/market-quotes/#instruments>).

use std::collections::BTreeMap;

use model::instrument::{Instrument, OptionKind};
use model::money::Multiplier;
use model::{AssetClass, Price, Quantity};

use super::rules::{Notes, Open, RuleBook};
use super::{Problem, Row, currency_of, date, flag, multiplier, price, quantity};

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

/// Columns that may be added behind the dump's own.
const ADDED: [&str; 2] = ["multiplier", "fno"];

/// Where the columns stand that were added to a dump.
pub(super) struct Added {
    multiplier: Option<usize>,
    fno: Option<usize>,
}

impl Added {
    /// `None` where the header is no dump's.
    pub(super) fn of(header: &csv::StringRecord) -> Option<Self> {
        let mut more = header.iter().skip(HEADER.len());
        let is_dump =
            header.iter().take(HEADER.len()).eq(HEADER) && more.all(|name| ADDED.contains(&name));
        let at = |name: &str| header.iter().position(|known| known == name);
        is_dump.then(|| Self {
            multiplier: at(ADDED[0]),
            fno: at(ADDED[1]),
        })
    }
}

/// One row of the dump. An index cannot be traded and has neither tick nor lot size, so that an
/// order on it could only be a mistake. The dump does not say the contract multiplier: the rules do,
/// or a column that was added. A contract of which neither says it is left out, not the whole dump: it
/// may never be traded.
pub(super) fn row(
    added: &Added,
    book: &RuleBook<'_>,
    notes: &mut Notes,
    record: &csv::StringRecord,
) -> Result<Row, Problem> {
    let [
        token,
        exchange_token,
        symbol,
        name,
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
        return Ok(Row::NotTradable);
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
    let mut instrument = Instrument {
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
        fno: None,
    };
    let cell = |column: Option<usize>| {
        let cell = column.and_then(|column| record.get(column));
        cell.filter(|text| !text.is_empty())
    };
    instrument.fno = cell(added.fno).map(|text| flag("fno", text)).transpose()?;
    let open = Open {
        book,
        instrument: &instrument,
        name: Some(name).filter(|name| !name.is_empty()),
    };
    let known = match cell(added.multiplier) {
        Some(text) => Ok(multiplier(text)?),
        None => open.multiplier(notes),
    };
    Ok(match known {
        Ok(multiplier) => Row::Instrument(Instrument {
            multiplier,
            ..instrument
        }),
        Err(problem) => Row::LeftOut(instrument.id, problem),
    })
}
