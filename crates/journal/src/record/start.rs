//! What is recorded at each start.

use model::Timestamp;
use model::ids::SourceSession;
use model::instrument::Instrument;
use model::money::Currency;
use serde::{Deserialize, Serialize};

/// A strategy at a start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrategyEntry {
    /// Its id.
    pub name: String,
    /// Its definition as written, in one fixed spelling; empty for one that is known from earlier
    /// starts only.
    pub definition: String,
}

/// The epoch record: what the records after it were made with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The log's generation.
    pub epoch: u64,
    /// When, on the wall clock.
    pub at: Timestamp,
    /// Which build.
    pub build: String,
    /// The effective settings, secrets redacted, as TOML.
    pub settings: String,
    /// The identity of the market data.
    pub source: SourceSession,
    /// True where the session's clock is the wall.
    pub live: bool,
    /// What client order ids are salted with: drawn at the first start, kept ever since.
    pub salt: u128,
    /// The namespaces of the system, in the order of their indices.
    pub brokers: Vec<String>,
    /// The strategies by index; 0 is `manual`.
    pub strategies: Vec<StrategyEntry>,
    /// The instruments by index.
    pub instruments: Vec<Instrument>,
    /// The currencies by index.
    pub currencies: Vec<Currency>,
}

impl Start {
    /// Whether a recorded session can be replayed by what `other` describes: the same build, settings
    /// and tables. What differs, for people.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let mut differ = Vec::new();
        if self.build != other.build {
            differ.push("the build");
        }
        if self.settings != other.settings {
            differ.push("the settings");
        }
        if self.strategies != other.strategies {
            differ.push("the strategies");
        }
        if self.instruments != other.instruments || self.currencies != other.currencies {
            differ.push("the instruments");
        }
        if self.brokers != other.brokers {
            differ.push("the brokers");
        }
        differ
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{VERSION, decode, encode};
    use model::instrument::AssetClass;
    use model::money::Multiplier;
    use model::{Price, Quantity};

    /// An instrument as builds wrote it before `fno` was there.
    #[derive(Serialize)]
    struct Before(
        (&'static str, &'static str, &'static str),
        (AssetClass, Currency, Multiplier, Price, Quantity),
        [Option<()>; 3],
        Vec<String>,
        Vec<(String, String)>,
    );

    #[test]
    fn instruments_of_earlier_builds_are_read_and_what_came_later_is_kept() {
        let mut share = Instrument::share("NSE", "A", "INR".parse().unwrap());
        share.references.insert("broker".into(), "7".into());
        let before = Before(
            ("NSE:A", "NSE", "A"),
            (
                share.asset_class,
                share.currency,
                share.multiplier,
                share.tick_size,
                share.lot_size,
            ),
            [None; 3],
            Vec::new(),
            vec![("broker".into(), "7".into())],
        );
        let mut bytes = Vec::new();
        encode(&before, &mut bytes).unwrap();
        assert_eq!(decode::<Instrument>(&bytes).unwrap(), share);
        for fno in [Some(true), Some(false), None] {
            share.fno = fno;
            bytes.clear();
            encode(&share, &mut bytes).unwrap();
            assert_eq!(decode::<Instrument>(&bytes).unwrap(), share);
        }
    }

    #[test]
    fn bytes_that_are_no_record_of_this_build_are_refused() {
        let newer = VERSION + 1;
        for (bytes, says) in [
            (
                &[][..],
                "the record cannot be decoded: it is empty".to_owned(),
            ),
            (
                &[newer, 0, 0],
                format!(
                    "the record has version {newer}, this build reads {VERSION}: use the build that wrote it"
                ),
            ),
            (
                &[VERSION, 0xff],
                "the record cannot be decoded: ".to_owned(),
            ),
        ] {
            let error = decode::<Instrument>(bytes).unwrap_err().to_string();
            assert!(error.starts_with(&says), "{error}");
        }
    }
}
