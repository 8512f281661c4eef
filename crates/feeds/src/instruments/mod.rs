//! The registry of instruments from a file: the dump of Kite Connect, or a small CSV of one's own.
//!
//! Blocking: a caller on an async runtime loads on a blocking thread.

mod kite;
mod minimal;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use model::instrument::{Instrument, Instruments, RegistryError};
use model::{Currency, Price, Quantity};

use crate::number::decimal;

/// Why an instruments file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum InstrumentFileError {
    /// The file cannot be read.
    #[error("cannot read instruments file `{}`: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Its header is not understood.
    #[error("{}:1: {problem}; {fix}", .path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// What to do.
        fix: String,
    },
    /// One of its rows is wrong.
    #[error("{}:{line}: {problem}; {fix}", .path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// What is wrong.
        problem: String,
        /// What to do.
        fix: String,
    },
    /// Its rows contradict each other.
    #[error("{}: {source}; correct that row", .path.display())]
    Registry {
        /// The file.
        path: PathBuf,
        /// How.
        source: RegistryError,
    },
}

/// A row's own trouble, before its place is known.
struct Problem {
    what: String,
    fix: String,
}

impl Problem {
    fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            fix: fix.into(),
        }
    }
}

/// A registry with what was left out of it.
#[derive(Debug, Clone, Default)]
pub struct LoadedInstruments {
    /// The registry.
    pub instruments: Instruments,
    /// Rows of a broker's dump that nobody can trade: indices, and rows without a tick or a lot
    /// size.
    pub not_tradable: usize,
}

/// Loads the registry from Kite's dump (recognised by its header) or from a CSV with the columns
/// `id` (or `exchange` and `symbol`) and, where wanted, `asset_class`, `currency`, `multiplier`,
/// `tick_size`, `lot_size`, `expiry`, `strike`, `option_kind`, `aliases`.
pub fn load(path: &Path) -> Result<Instruments, InstrumentFileError> {
    load_with_notes(path).map(|loaded| loaded.instruments)
}

/// As [`load`], and says how many rows of a dump were left out because they cannot be traded.
pub fn load_with_notes(path: &Path) -> Result<LoadedInstruments, InstrumentFileError> {
    let bytes = std::fs::read(path).map_err(|source| InstrumentFileError::Io {
        path: path.to_owned(),
        source,
    })?;
    parse(path, &bytes)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<LoadedInstruments, InstrumentFileError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let header_error = |problem: String, fix: String| InstrumentFileError::Header {
        path: path.to_owned(),
        problem,
        fix,
    };
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(bytes);
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => {
            return Err(header_error(
                error.to_string(),
                "save the file as UTF-8 CSV".into(),
            ));
        }
    };
    let row: RowParser = if kite::is_dump(&header) {
        Box::new(kite::row)
    } else {
        let columns = minimal::Columns::of(&header).map_err(|p| header_error(p.what, p.fix))?;
        Box::new(move |record| minimal::row(&columns, record).map(Some))
    };

    let mut all: Vec<Instrument> = Vec::new();
    let mut not_tradable = 0;
    let mut line_of: HashMap<String, u64> = HashMap::new();
    let mut record = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        let row_error = |line: u64, problem: Problem| InstrumentFileError::Row {
            path: path.to_owned(),
            line,
            problem: problem.what,
            fix: problem.fix,
        };
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(row_error(line, unreadable(&error, header.len()))),
        }
        let line = record.position().map_or(line, csv::Position::line);
        let Some(instrument) = row(&record).map_err(|problem| row_error(line, problem))? else {
            not_tradable += 1;
            continue;
        };
        if let Some(first) = line_of.insert(instrument.id.clone(), line) {
            let what = format!(
                "instrument `{}` is defined in line {first} already",
                instrument.id
            );
            return Err(row_error(
                line,
                Problem::new(what, "remove one of the two rows"),
            ));
        }
        all.push(instrument);
    }
    if all.is_empty() {
        let problem = "no tradable instrument in the file".to_owned();
        return Err(header_error(
            problem,
            "add one row per instrument, for example NSE:RELIANCE".into(),
        ));
    }
    let instruments = Instruments::new(all).map_err(|source| InstrumentFileError::Registry {
        path: path.to_owned(),
        source,
    })?;
    Ok(LoadedInstruments {
        instruments,
        not_tradable,
    })
}

/// One row: an instrument, or `None` for one that nobody can trade.
type RowParser = Box<dyn Fn(&csv::StringRecord) -> Result<Option<Instrument>, Problem>>;

fn unreadable(error: &csv::Error, columns: usize) -> Problem {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { len, .. } => Problem::new(
            format!("{len} fields, but the header has {columns}"),
            "give every row one field per column, quoting what contains a comma",
        ),
        csv::ErrorKind::Utf8 { .. } => Problem::new("not UTF-8", "save the file as UTF-8 CSV"),
        _ => Problem::new(error.to_string(), "save the file as UTF-8 CSV"),
    }
}

/// The currency that an exchange's prices are in, where there is only one.
fn currency_of(exchange: &str) -> Option<Currency> {
    matches!(
        exchange,
        "NSE" | "BSE" | "NFO" | "BFO" | "CDS" | "BCD" | "MCX" | "NCO"
    )
    .then(|| "INR".parse().ok())
    .flatten()
}

fn price(column: &str, text: &str) -> Result<Price, Problem> {
    decimal(text.as_bytes())
        .map(Price::from_raw)
        .ok_or_else(|| bad_number(column, text))
}

fn quantity(column: &str, text: &str) -> Result<Quantity, Problem> {
    decimal(text.as_bytes())
        .map(Quantity::from_raw)
        .ok_or_else(|| bad_number(column, text))
}

fn bad_number(column: &str, text: &str) -> Problem {
    Problem::new(
        format!("`{text}` in column `{column}` is not a number"),
        "write a plain decimal with at most 8 decimals, such as 0.05",
    )
}

fn date(column: &str, text: &str) -> Result<model::Date, Problem> {
    model::Date::parse(text).ok_or_else(|| {
        Problem::new(
            format!("`{text}` in column `{column}` is not a date"),
            "write YYYY-MM-DD",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::AssetClass;
    use model::instrument::OptionKind;

    fn load_text(text: &str) -> Result<LoadedInstruments, InstrumentFileError> {
        parse(Path::new("instruments.csv"), text.as_bytes())
    }

    #[test]
    fn reads_the_official_dumps() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/kite-mocks");
        if !folder.exists() {
            eprintln!("skipped: {} is absent", folder.display());
            return;
        }
        let nse = load(&folder.join("instruments_nse.csv")).unwrap();
        assert_eq!(nse.len(), 99);
        let bank = nse.get(nse.find("NSE:CENTRALBK-BE").unwrap());
        assert_eq!(bank.references["zerodha"], "3813889");
        assert_eq!(bank.references["zerodha_exchange_token"], "14898");
        assert_eq!(
            (bank.asset_class, bank.tick_size.to_string()),
            (AssetClass::Equity, "0.05".into())
        );
        let all = load(&folder.join("instruments_all.csv")).unwrap();
        assert_eq!(all.len(), 99);
        let options = all
            .iter()
            .filter(|(_, i)| i.asset_class == AssetClass::Options);
        let options: Vec<_> = options.map(|(_, i)| i).collect();
        assert_eq!(options.len(), 25);
        assert!(
            options
                .iter()
                .all(|i| i.strike.is_some() && i.expiry.is_some())
        );
        assert_eq!(
            options
                .iter()
                .filter(|i| i.option_kind == Some(OptionKind::Put))
                .count(),
            15
        );
    }

    #[test]
    fn a_dump_of_every_segment_is_classified_and_indices_are_left_out() {
        let text = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,segment,exchange\n\
            256265,1001,NIFTY 50,NIFTY 50,0,,0,0,0,EQ,INDICES,NSE\n\
            1,2,NIFTY21APRFUT,\"NIFTY, 50\",0.0,2021-04-29,0.0,0.05,75,FUT,NFO-FUT,NFO\n\
            3,4,USDINR21APRFUT,USDINR,0.0,2021-04-28,0.0,0.0025,1,FUT,CDS-FUT,CDS\n\
            5,6,GOLD21JUN47000CE,GOLD,0.0,2021-05-27,47000.0,0.5,1,CE,MCX-OPT,MCX\n\
            7,8,M&M,MAHINDRA,0.0,,0.0,0.05,1,EQ,NSE,NSE\n";
        let loaded = load_text(text).unwrap();
        assert_eq!((loaded.instruments.len(), loaded.not_tradable), (4, 1));
        let class = |name: &str| {
            let found = loaded
                .instruments
                .get(loaded.instruments.find(name).unwrap());
            (
                found.asset_class,
                found.currency.code().to_owned(),
                found.strike.map(|s| s.to_string()),
            )
        };
        assert_eq!(
            class("NIFTY21APRFUT"),
            (AssetClass::Futures, "INR".into(), None)
        );
        assert_eq!(
            class("USDINR21APRFUT"),
            (AssetClass::Currency, "INR".into(), None)
        );
        assert_eq!(
            class("GOLD21JUN47000CE"),
            (AssetClass::Commodity, "INR".into(), Some("47000".into()))
        );
        let broken = text.replace(",0.0025,", ",x,");
        let message = load_text(&broken).unwrap_err().to_string();
        assert!(
            message.starts_with("instruments.csv:4: `x` in column `tick_size`"),
            "{message}"
        );
    }

    #[test]
    fn a_small_file_needs_only_names() {
        let loaded =
            load_text("id,aliases\nNSE:M&M,MM | MAHINDRA\nNSE:BAJAJ-AUTO,BAJAJ_AUTO;BAJAJ\n")
                .unwrap();
        let registry = loaded.instruments;
        assert_eq!(registry.get(registry.find("MM").unwrap()).id, "NSE:M&M");
        assert_eq!(
            registry.get(registry.find("BAJAJ_AUTO").unwrap()).id,
            "NSE:BAJAJ-AUTO"
        );
        let loaded = load_text(
            "exchange,symbol,asset_class,currency,multiplier,tick_size,lot_size,expiry,strike,option_kind\n\
             FTX,BTC-PERP,crypto,USD,1,1,0.0001,,,\n\
             NFO,X21APR100CE,options,,1,0.05,50,2021-04-29,100,call\n",
        );
        let registry = loaded.unwrap().instruments;
        let perp = registry.get(registry.find("FTX:BTC-PERP").unwrap());
        assert_eq!(
            (perp.asset_class, perp.currency.code()),
            (AssetClass::Crypto, "USD")
        );
        assert_eq!(perp.lot_size, Quantity::from_raw(10_000));
    }

    #[test]
    fn every_mistake_is_named_with_its_line_and_the_fix() {
        for (text, wanted) in [
            (
                "",
                "instruments.csv:1: no column names an instrument; add the column `id`",
            ),
            ("id,tik_size\nNSE:A,1\n", "unknown column `tik_size`"),
            ("id,tik_size\nNSE:A,1\n", "did you mean `tick_size`?"),
            ("tick_size\n1\n", "add the column `id`"),
            ("id\n", "no tradable instrument"),
            (
                "id\nRELIANCE\n",
                "instruments.csv:2: `RELIANCE` is not EXCHANGE:SYMBOL",
            ),
            (
                "id\nFTX:BTC\n",
                "instruments.csv:2: no currency is known for exchange `FTX`",
            ),
            (
                "id,asset_class\nNSE:A,\nNSE:B,bonds\n",
                "instruments.csv:3: unknown asset class `bonds`",
            ),
            (
                "id,tick_size\nNSE:A,0\n",
                "instruments.csv:2: `tick_size` must be positive",
            ),
            (
                "id,tick_size\nNSE:A,0.05,9\n",
                "instruments.csv:2: 3 fields, but the header has 2",
            ),
            (
                "id\nNSE:A\nNSE:B\nNSE:A\n",
                "instruments.csv:4: instrument `NSE:A` is defined in line 2 already",
            ),
            (
                "id,aliases\nNSE:A,X\nNSE:B,X\n",
                "alias `X` belongs to both `NSE:A` and `NSE:B`",
            ),
            (
                "id,option_kind\nNSE:A,CE\nNSE:B,straddle\n",
                "instruments.csv:3: `straddle` is neither call nor put",
            ),
            ("id,id\nNSE:A,NSE:A\n", "column `id` stands twice"),
        ] {
            let message = load_text(text).unwrap_err().to_string();
            assert!(message.contains(wanted), "{message:?} lacks {wanted:?}");
        }
        let absent = load(Path::new("/nowhere/instruments.csv"))
            .unwrap_err()
            .to_string();
        assert!(absent.contains("/nowhere/instruments.csv"), "{absent}");
    }
}
