//! A small CSV of instruments, written by hand.

use model::instrument::{Instrument, OptionKind};
use model::{Currency, Price, Quantity};

use super::rules::{Notes, Open, RuleBook};
use super::{Problem, currency_of, date, flag, multiplier, price, quantity};

const KNOWN: [&str; 14] = [
    "id",
    "exchange",
    "symbol",
    "asset_class",
    "currency",
    "multiplier",
    "tick_size",
    "lot_size",
    "expiry",
    "strike",
    "option_kind",
    "aliases",
    "fno",
    "reference_price",
];

/// Where the columns stand.
pub(super) struct Columns([Option<usize>; KNOWN.len()]);

impl Columns {
    pub(super) fn of(header: &csv::StringRecord) -> Result<Self, Problem> {
        let mut at = [None; KNOWN.len()];
        for (index, name) in header.iter().enumerate() {
            let Some(known) = KNOWN.iter().position(|known| *known == name) else {
                return Err(unknown(name));
            };
            if at[known].replace(index).is_some() {
                return Err(Problem::new(
                    format!("column `{name}` stands twice"),
                    "remove one of them",
                ));
            }
        }
        let columns = Self(at);
        let named = columns.has("id") || (columns.has("exchange") && columns.has("symbol"));
        if named {
            Ok(columns)
        } else {
            Err(Problem::new(
                "no column names an instrument",
                "add the column `id` (such as NSE:RELIANCE), or `exchange` and `symbol`",
            ))
        }
    }

    fn index(name: &str) -> Option<usize> {
        KNOWN.iter().position(|known| *known == name)
    }

    fn has(&self, name: &str) -> bool {
        Self::index(name).is_some_and(|i| self.0[i].is_some())
    }

    /// A row's value; `None` where the column is absent or the value empty.
    fn get<'r>(&self, record: &'r csv::StringRecord, name: &str) -> Option<&'r str> {
        let column = self.0[Self::index(name)?]?;
        record.get(column).filter(|value| !value.is_empty())
    }
}

fn unknown(name: &str) -> Problem {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['_', '-', ' '], "");
    let near = KNOWN.iter().find(|known| {
        let (a, b) = (plain(name), plain(known));
        a == b || (a.len().abs_diff(b.len()) <= 1 && !a.is_empty() && differs_little(&a, &b))
    });
    let hint = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
    Problem::new(
        format!("unknown column `{name}`"),
        format!("{hint}known: {}", KNOWN.join(", ")),
    )
}

/// True when one letter was changed, lost or added.
fn differs_little(a: &str, b: &str) -> bool {
    let head = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    let tail = a
        .bytes()
        .rev()
        .zip(b.bytes().rev())
        .take_while(|(x, y)| x == y)
        .count();
    head + tail + 1 >= a.len().max(b.len())
}

/// One row. What it leaves open the exchange's rules say.
pub(super) fn row(
    columns: &Columns,
    book: &RuleBook<'_>,
    notes: &mut Notes,
    record: &csv::StringRecord,
) -> Result<Instrument, Problem> {
    let get = |name| columns.get(record, name);
    let id = match (get("id"), get("exchange"), get("symbol")) {
        (Some(id), ..) => id.to_owned(),
        (None, Some(exchange), Some(symbol)) => format!("{exchange}:{symbol}"),
        _ => {
            let fix = "fill `id`, or `exchange` and `symbol`";
            return Err(Problem::new("the row names no instrument", fix));
        }
    };
    let Some((exchange, symbol)) = id
        .split_once(':')
        .filter(|(e, s)| !e.is_empty() && !s.is_empty())
    else {
        let what = format!("`{id}` is not EXCHANGE:SYMBOL");
        return Err(Problem::new(what, "write for example NSE:RELIANCE"));
    };
    for (column, part) in [("exchange", exchange), ("symbol", symbol)] {
        if let Some(given) = get(column).filter(|given| *given != part) {
            let what = format!("{column} `{given}` contradicts id `{id}`");
            return Err(Problem::new(
                what,
                format!("leave the column `{column}` out"),
            ));
        }
    }
    let currency: Currency = match get("currency") {
        Some(code) => code.parse().map_err(|_| {
            Problem::new(
                format!("`{code}` is not a currency code"),
                "write for example INR or USDT",
            )
        })?,
        None => currency_of(exchange).ok_or_else(|| {
            let what = format!("no currency is known for exchange `{exchange}`");
            Problem::new(what, "fill the column `currency`")
        })?,
    };
    let mut instrument = Instrument::share(exchange, symbol, currency);
    if let Some(class) = get("asset_class") {
        instrument.asset_class = class
            .parse()
            .map_err(|what: String| Problem::new(what, "use one of these"))?;
    }
    instrument.fno = get("fno").map(|text| flag("fno", text)).transpose()?;
    instrument.expiry = get("expiry").map(|text| date("expiry", text)).transpose()?;
    instrument.strike = get("strike")
        .map(|text| price("strike", text))
        .transpose()?;
    instrument.option_kind = get("option_kind").map(option_kind).transpose()?;
    if let Some(aliases) = get("aliases") {
        let names = aliases
            .split([';', '|'])
            .map(str::trim)
            .filter(|alias| !alias.is_empty());
        instrument.aliases = names.map(str::to_owned).collect();
    }
    numbers(columns, book, notes, record, instrument)
}

/// Multiplier, tick and lot size: the row's, else by the rules, which ask what kind of instrument it is.
fn numbers(
    columns: &Columns,
    book: &RuleBook<'_>,
    notes: &mut Notes,
    record: &csv::StringRecord,
    mut instrument: Instrument,
) -> Result<Instrument, Problem> {
    let get = |name| columns.get(record, name);
    let open = Open {
        book,
        instrument: &instrument,
        name: None,
    };
    let units = match get("multiplier") {
        Some(text) => multiplier(text)?,
        None => open.multiplier(notes)?,
    };
    let lot_size = match get("lot_size") {
        Some(text) => quantity("lot_size", text)?,
        None => open.lot_size(!columns.has("lot_size"), notes)?,
    };
    positive("lot_size", lot_size > Quantity::ZERO)?;
    let reference = get("reference_price")
        .map(|text| price("reference_price", text))
        .transpose()?;
    positive(
        "reference_price",
        reference.is_none_or(|price| price > Price::ZERO),
    )?;
    let tick_size = match get("tick_size") {
        Some(text) => price("tick_size", text)?,
        None => {
            let is_short_list = !columns.has("tick_size") && reference.is_none();
            open.tick_size(reference, is_short_list, notes)?
        }
    };
    positive("tick_size", tick_size > Price::ZERO)?;
    instrument.multiplier = units;
    instrument.lot_size = lot_size;
    instrument.tick_size = tick_size;
    Ok(instrument)
}

fn positive(column: &str, holds: bool) -> Result<(), Problem> {
    let problem = || {
        Problem::new(
            format!("`{column}` must be positive"),
            "correct it or leave it empty",
        )
    };
    if holds { Ok(()) } else { Err(problem()) }
}

fn option_kind(text: &str) -> Result<OptionKind, Problem> {
    match text.to_ascii_lowercase().as_str() {
        "call" | "ce" | "c" => Ok(OptionKind::Call),
        "put" | "pe" | "p" => Ok(OptionKind::Put),
        _ => Err(Problem::new(
            format!("`{text}` is neither call nor put"),
            "write call or put",
        )),
    }
}
