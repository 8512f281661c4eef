//! A small CSV of instruments, written by hand.

use model::instrument::{Instrument, OptionKind};
use model::{Currency, Price, Quantity};

use super::{Problem, bad_number, currency_of, date, price, quantity};

const KNOWN: [&str; 12] = [
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
];

/// Where the columns stand.
pub(super) struct Columns([Option<usize>; 12]);

impl Columns {
    pub(super) fn of(header: &csv::StringRecord) -> Result<Self, Problem> {
        let mut at = [None; 12];
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

pub(super) fn row(columns: &Columns, record: &csv::StringRecord) -> Result<Instrument, Problem> {
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
    if let Some(text) = get("multiplier") {
        instrument.multiplier = text.parse().map_err(|_| {
            let what = bad_number("multiplier", text).what;
            Problem::new(what, "write a positive number with at most 2 decimals")
        })?;
    }
    if let Some(text) = get("tick_size") {
        instrument.tick_size = price("tick_size", text)?;
        positive("tick_size", instrument.tick_size > Price::ZERO)?;
    }
    if let Some(text) = get("lot_size") {
        instrument.lot_size = quantity("lot_size", text)?;
        positive("lot_size", instrument.lot_size > Quantity::ZERO)?;
    }
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
