//! The registry of instruments from a file: the dump of Kite Connect, or a small CSV of one's own.
//!
//! Blocking: a caller on an async runtime loads on a blocking thread.

mod kite;
mod minimal;
mod rules;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use model::instrument::{Instrument, Instruments, RegistryError};
use model::money::Multiplier;
use model::{Currency, Price, Quantity};

use crate::number::decimal;
use rules::Notes;
pub use rules::RuleBook;

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
    /// What the reader must know, such as a number that had to be assumed.
    pub warnings: Vec<String>,
}

/// Loads the registry from Kite's dump (recognised by its header) or from a CSV with the columns
/// `id` (or `exchange` and `symbol`) and, where wanted, `asset_class`, `currency`, `multiplier`,
/// `tick_size`, `lot_size`, `expiry`, `strike`, `option_kind`, `aliases`, `fno`, `reference_price`. A
/// dump may have the columns `multiplier` and `fno` behind its own. What a file leaves open the rules
/// say; where they do not either, a contract is refused, or left out of a dump.
pub fn load(path: &Path, book: &RuleBook<'_>) -> Result<Instruments, InstrumentFileError> {
    load_with_notes(path, book).map(|loaded| loaded.instruments)
}

/// As [`load`], and says what was left out and what had to be assumed.
pub fn load_with_notes(
    path: &Path,
    book: &RuleBook<'_>,
) -> Result<LoadedInstruments, InstrumentFileError> {
    let bytes = std::fs::read(path).map_err(|source| InstrumentFileError::Io {
        path: path.to_owned(),
        source,
    })?;
    parse(path, &bytes, book)
}

fn parse(
    path: &Path,
    bytes: &[u8],
    book: &RuleBook<'_>,
) -> Result<LoadedInstruments, InstrumentFileError> {
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
    let mut row: RowParser<'_> = if let Some(added) = kite::Added::of(&header) {
        Box::new(move |record, notes| kite::row(&added, book, notes, record))
    } else {
        let columns = minimal::Columns::of(&header).map_err(|p| header_error(p.what, p.fix))?;
        Box::new(move |record, notes| {
            minimal::row(&columns, book, notes, record).map(Row::Instrument)
        })
    };

    let mut all: Vec<Instrument> = Vec::new();
    let mut not_tradable = 0;
    let mut left_out: BTreeMap<String, String> = BTreeMap::new();
    let mut notes = Notes::default();
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
        let read = row(&record, &mut notes).map_err(|problem| row_error(line, problem))?;
        let instrument = match read {
            Row::Instrument(instrument) => instrument,
            Row::NotTradable => {
                not_tradable += 1;
                continue;
            }
            Row::LeftOut(id, Problem { what, fix }) => {
                left_out.insert(id, format!("{what}; {fix}"));
                continue;
            }
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
        let (problem, fix) = match left_out.first_key_value() {
            Some((id, why)) => (
                format!("no instrument in the file can be used, such as {id}"),
                why.clone(),
            ),
            None => (
                "no tradable instrument in the file".to_owned(),
                "add one row per instrument, for example NSE:RELIANCE".to_owned(),
            ),
        };
        return Err(header_error(problem, fix));
    }
    let instruments = Instruments::new(all).map_err(|source| InstrumentFileError::Registry {
        path: path.to_owned(),
        source,
    })?;
    let mut warnings = notes.warnings();
    if let Some((id, why)) = left_out.first_key_value() {
        warnings.push(format!(
            "{} contracts cannot be used, such as {id}: {why}",
            left_out.len()
        ));
    }
    Ok(LoadedInstruments {
        instruments: instruments.with_left_out(left_out),
        not_tradable,
        warnings,
    })
}

/// What a row is.
#[allow(clippy::large_enum_variant, reason = "one at a time")]
enum Row {
    /// An instrument.
    Instrument(Instrument),
    /// Nobody can trade it.
    NotTradable,
    /// Not enough is known of the instrument with this id.
    LeftOut(String, Problem),
}

/// Reads one row.
type RowParser<'a> = Box<dyn FnMut(&csv::StringRecord, &mut Notes) -> Result<Row, Problem> + 'a>;

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

fn multiplier(text: &str) -> Result<Multiplier, Problem> {
    text.parse().map_err(|_| {
        let what = bad_number("multiplier", text).what;
        Problem::new(what, "write a positive number with at most 2 decimals")
    })
}

fn flag(column: &str, text: &str) -> Result<bool, Problem> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Problem::new(
            format!("`{text}` in column `{column}` is neither true nor false"),
            "write true or false, or leave it empty",
        )),
    }
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
    use markets::Rules;
    use model::AssetClass;
    use model::instrument::OptionKind;

    mod skip {
        include!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../xtask/src/skip.rs"
        ));
    }

    fn load_on(text: &str, date: &str) -> Result<LoadedInstruments, InstrumentFileError> {
        let rules = Rules::embedded().unwrap();
        let book = RuleBook::new(&rules, Some(model::Date::parse(date).unwrap()));
        parse(Path::new("instruments.csv"), text.as_bytes(), &book)
    }

    fn load_text(text: &str) -> Result<LoadedInstruments, InstrumentFileError> {
        load_on(text, "2026-11-25")
    }

    #[test]
    fn reads_the_official_dumps() {
        let Some(folder) = skip::shared("kite-mocks") else {
            return;
        };
        let rules = Rules::embedded().unwrap();
        let load = |file| load(&folder.join(file), &RuleBook::new(&rules, None)).unwrap();
        let nse = load("instruments_nse.csv");
        assert_eq!(nse.len(), 99);
        let bank = nse.get(nse.find("NSE:CENTRALBK-BE").unwrap());
        assert_eq!(bank.references["zerodha"], "3813889");
        assert_eq!(bank.references["zerodha_exchange_token"], "14898");
        assert_eq!(
            (bank.asset_class, bank.tick_size.to_string()),
            (AssetClass::Equity, "0.05".into())
        );
        let all = load("instruments_all.csv");
        assert_eq!(all.len(), 99);
        assert!(all.iter().all(|(_, i)| i.multiplier == Multiplier::ONE));
        let put = all.get(all.find("NFO:ADANIPORTS17DEC490PE").unwrap());
        assert_eq!(put.expiry, model::Date::new(2017, 12, 28));
        assert_eq!(put.strike.map(|s| s.to_string()), Some("490".into()));
        assert_eq!(put.option_kind, Some(OptionKind::Put));
        assert_eq!(put.lot_size.to_string(), "2500");
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
        // With a column of its own behind the dump's.
        let text: String = text
            .lines()
            .map(|line| match (line.split(',').next_back(), line) {
                (Some("exchange"), line) => format!("{line},multiplier\n"),
                (Some("CDS"), line) => format!("{line},1000\n"),
                (Some("MCX"), line) => format!("{line},100\n"),
                (_, line) => format!("{line},\n"),
            })
            .collect();
        let loaded = load_text(&text).unwrap();
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

    /// Kite's positions (positions.json of its mocks) name a multiplier that its dump does not: 1000 for
    /// LEADMINI, 1 for GOLDGUINEA.
    #[test]
    fn a_contract_whose_multiplier_nobody_knows_cannot_be_used_by_accident() {
        let header = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,segment,exchange\n";
        let row = |symbol: &str, name: &str, exchange: &str| {
            format!("1,2,{symbol},{name},0,2026-12-31,0,0.05,1,FUT,{exchange}-FUT,{exchange}\n")
        };
        let text = [
            header,
            &row("LEADMINI26DECFUT", "LEADMINI", "MCX"),
            &row("GOLDGUINEA26DECFUT", "GOLDGUINEA", "MCX"),
            &row("CRUDEOIL26DECFUT", "CRUDEOIL", "MCX"),
            // A weekly contract's symbol does not tell the pair; the dump does.
            &row("USDINR26D04FUT", "USDINR", "CDS"),
        ]
        .concat();
        let loaded = load_text(&text).unwrap();
        let units = |name| {
            let found = loaded.instruments.find(name);
            found
                .map(|index| loaded.instruments.get(index).multiplier.to_string())
                .map_err(|e| e.to_string())
        };
        assert_eq!(units("MCX:LEADMINI26DECFUT"), Ok("1000".to_owned()));
        assert_eq!(units("GOLDGUINEA26DECFUT"), Ok("1".to_owned()));
        for (name, of) in [
            ("MCX:CRUDEOIL26DECFUT", "MCX:CRUDEOIL"),
            ("CRUDEOIL26DECFUT", "MCX:CRUDEOIL"),
            ("CDS:USDINR26D04FUT", "CDS:USDINR"),
        ] {
            let message = units(name).unwrap_err();
            let wanted = format!(
                "`{name}` cannot be used: no contract multiplier is known for {of} on 2026-11-25"
            );
            assert!(message.contains(&wanted), "{message}");
            assert!(message.contains("the rules' file") && message.contains("`multiplier`"));
        }
        assert!(loaded.warnings[0].starts_with("2 contracts cannot be used"));
        // In a list of one's own every row is meant.
        let own = "id,asset_class,tick_size,lot_size,expiry\nMCX:CRUDEOIL26DECFUT,commodity,1,1,2026-12-18\n";
        let message = load_text(own).unwrap_err().to_string();
        assert!(
            message.starts_with("instruments.csv:2: no contract multiplier"),
            "{message}"
        );
        let given = own
            .replace(",expiry", ",expiry,multiplier")
            .replace("-18", "-18,100");
        let loaded = load_text(&given).unwrap().instruments;
        assert_eq!(
            loaded.get(model::InstrumentIdx(0)).multiplier.to_string(),
            "100"
        );
    }

    #[test]
    fn ticks_and_lots_that_a_list_leaves_open_are_by_the_rules_of_the_date() {
        let text = |tick: &str, lot: &str, reference: &str| {
            format!(
                "id,asset_class,tick_size,lot_size,expiry,reference_price\n\
                 NSE:TCS,equity,{tick},,,{reference}\n\
                 NFO:NIFTY26DECFUT,futures,0.1,{lot},2026-12-29,\n\
                 NFO:NIFTY26DEC24000CE,options,,{lot},2026-12-29,\n"
            )
        };
        let sizes = |loaded: Result<LoadedInstruments, InstrumentFileError>| {
            let loaded = loaded.map_err(|e| e.to_string())?;
            let all = loaded.instruments.iter();
            let size = |(_, i): (_, &Instrument)| format!("{} {}", i.tick_size, i.lot_size);
            Ok::<_, String>(all.map(size).collect::<Vec<_>>())
        };
        // In the order of ids. The file's own numbers come first.
        let by_rule = sizes(load_text(&text("", "", "3000")));
        assert_eq!(by_rule.unwrap(), ["0.05 65", "0.1 65", "0.1 1"]);
        let by_file = sizes(load_text(&text("0.05", "75", "3000")));
        assert_eq!(by_file.unwrap(), ["0.05 75", "0.1 75", "0.05 1"]);
        for (loaded, wanted) in [
            (
                load_text(&text("", "", "")),
                "instruments.csv:2: the tick size of NSE:TCS depends on its price; fill the column `tick_size`, or `reference_price`",
            ),
            (
                load_on(&text("", "", "3000"), "2024-06-03"),
                "instruments.csv:2: no tick size is known for NSE equity at 3000 on 2024-06-03",
            ),
            (
                load_on(&text("0.05", "", ""), "2025-12-31"),
                "instruments.csv:3: no lot size is known for NFO:NIFTY on 2025-12-31",
            ),
            (
                load_text("id,asset_class,tick_size\nNFO:NIFTY26DECFUT,futures,\n"),
                "the tick size of NFO:NIFTY26DECFUT depends on its price",
            ),
            (
                load_text("id,fno\nNSE:A,yes\n"),
                "`yes` in column `fno` is neither true nor false",
            ),
        ] {
            let message = sizes(loaded).unwrap_err();
            assert!(message.contains(wanted), "{message:?} lacks {wanted:?}");
        }
        // A contract that has expired is of the rules of its time, whenever it is looked at.
        let old = text("0.05", "", "").replace("2026-12-29", "2025-12-30");
        assert!(
            sizes(load_text(&old))
                .unwrap_err()
                .contains("on 2025-12-30")
        );
        // Names alone are enough for shares, and what stands for the rest is said.
        let short = load_text("id,fno\nNSE:A,true\nNSE:B,false\nBSE:A,\n").unwrap();
        assert!(
            short.warnings[0].contains("NSE:A and 2 more: 0.05 is assumed"),
            "{:?}",
            short.warnings
        );
        let rules = Rules::embedded().unwrap();
        let names = markets::rules::FnoNames::of(&rules, &short.instruments);
        let fno: Vec<&str> = short
            .instruments
            .iter()
            .filter(|(_, i)| names.holds(i))
            .map(|(_, i)| i.id.as_str())
            .collect();
        assert_eq!(fno, ["BSE:A", "NSE:A"]);
        let short = load_text("id,asset_class\nNFO:TCS26DECFUT,futures\n").unwrap();
        assert!(
            short.warnings[0].contains("no lot size is given for NFO:TCS26DECFUT: 1 is assumed"),
            "{:?}",
            short.warnings
        );
        let unsure =
            "id,asset_class,tick_size,expiry\nBFO:SENSEX26DECFUT,futures,0.05,2026-12-30\n";
        let warnings = load_text(unsure).unwrap().warnings;
        assert!(
            warnings[0].starts_with(
                "the lot size of BFO:SENSEX26DECFUT is by a rule that nothing but memory"
            ),
            "{warnings:?}"
        );
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
        let rules = Rules::embedded().unwrap();
        let book = RuleBook::new(&rules, None);
        let absent = load(Path::new("/nowhere/instruments.csv"), &book)
            .unwrap_err()
            .to_string();
        assert!(absent.contains("/nowhere/instruments.csv"), "{absent}");
    }
}
