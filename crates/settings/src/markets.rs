//! The `[markets]` and `[trading_day]` tables: which facts about the exchanges hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use feeds::RuleBook;
use markets::calendar::{Assume, MarketSessions, TradingDayStart};
use markets::charges::{Conditions, MarketCharges, Profile};
use markets::rules::FnoNames;
use markets::{Calendar, ChargeTable, Rules};
use model::{Date, Instrument, Instruments};
use serde::Deserialize;

/// What stands for facts that nobody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assumption {
    /// A weekday that no calendar covers is a regular trading day.
    Weekdays,
    /// Dates before the first known rate have that rate.
    EarliestRates,
}

impl Assumption {
    const ALL: [Self; 2] = [Self::Weekdays, Self::EarliestRates];

    /// The name in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Weekdays => "weekdays",
            Self::EarliestRates => "earliest_rates",
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "`assume`: write \"weekdays\", \"earliest_rates\", or a list of them"
)]
enum Words {
    One(String),
    More(Vec<String>),
}

/// Facts about the exchanges: `[markets]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MarketSettings {
    /// A file that extends or corrects the embedded calendar.
    pub calendar_file: Option<PathBuf>,
    /// A file that extends or corrects the embedded rules.
    pub rules_file: Option<PathBuf>,
    /// A file that extends or corrects the embedded charges.
    pub charges_file: Option<PathBuf>,
    assume: Option<Words>,
    /// Exchanges whose calendar is not followed.
    pub always_open: Vec<String>,
}

impl MarketSettings {
    /// What stands for facts that nobody has, in a fixed order.
    fn assumed(&self) -> anyhow::Result<Vec<Assumption>> {
        let words = match &self.assume {
            None => &[],
            Some(Words::One(one)) => std::slice::from_ref(one),
            Some(Words::More(more)) => more.as_slice(),
        };
        let mut all = words
            .iter()
            .map(|word| {
                let known = Assumption::ALL.into_iter().find(|a| a.name() == word);
                known.with_context(|| {
                    format!("`assume`: unknown `{word}`; known: weekdays, earliest_rates")
                })
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }
}

/// When a trading day starts: `[trading_day]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TradingDaySettings {
    /// IANA name of the time zone.
    pub time_zone: String,
    /// `HH:MM`.
    pub start: String,
}

/// 06:00 IST: when Indian brokers' sessions end.
impl Default for TradingDaySettings {
    fn default() -> Self {
        Self {
            time_zone: "Asia/Kolkata".to_owned(),
            start: "06:00".to_owned(),
        }
    }
}

impl TradingDaySettings {
    /// Ready to be asked.
    pub fn day(&self) -> anyhow::Result<TradingDayStart> {
        TradingDayStart::new(&self.time_zone, &self.start).with_context(|| {
            format!(
                "`time_zone` = `{}`, `start` = `{}`",
                self.time_zone, self.start
            )
        })
    }
}

/// First and last year whose dates are looked up; outside them every market with a calendar is closed.
const YEARS: (i32, i32) = (1990, 2069);

/// The facts about the exchanges that are in effect.
pub struct MarketFacts {
    /// When they trade.
    pub calendar: Calendar,
    /// What orders must look like.
    pub rules: Arc<Rules>,
    /// What trading costs.
    pub charges: ChargeTable,
    /// How the settings ask for them.
    pub settings: MarketSettings,
    assumed: Vec<Assumption>,
    /// Of what the user's files say; empty without any.
    digest: String,
}

impl std::fmt::Debug for MarketFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MarketFacts").finish_non_exhaustive()
    }
}

impl MarketFacts {
    /// The embedded facts with the files of the settings above them.
    pub fn load(settings: &MarketSettings) -> anyhow::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        let mut read = |key: &str, path: &Option<PathBuf>| -> anyhow::Result<Option<String>> {
            let Some(path) = path else { return Ok(None) };
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("`{key}`: cannot read {}", path.display()))?;
            hasher.update(key.as_bytes());
            hasher.update(text.as_bytes());
            Ok(Some(text))
        };
        let at = |path: &Option<PathBuf>| {
            let path = path.as_deref().unwrap_or(Path::new("the embedded data"));
            path.display().to_string()
        };
        let calendar = match read("calendar_file", &settings.calendar_file)? {
            None => Calendar::embedded(),
            Some(text) => Calendar::with_overrides(&text),
        }
        .with_context(|| at(&settings.calendar_file))?;
        let rules = match read("rules_file", &settings.rules_file)? {
            None => Rules::embedded(),
            Some(text) => Rules::with_overrides(&text),
        }
        .with_context(|| at(&settings.rules_file))?;
        let charges = match read("charges_file", &settings.charges_file)? {
            None => ChargeTable::embedded(),
            Some(text) => ChargeTable::with_overrides(&text),
        }
        .with_context(|| at(&settings.charges_file))?;
        let known: Vec<&str> = calendar.markets().map(|(exchange, _)| exchange).collect();
        let unknown = |name: &&str| !known.contains(name) && !charges.knows(name);
        if let Some(name) = rules.named_exchanges().find(unknown) {
            bail!(
                "{}: the exchange `{name}` is not known, so its entry would never count; known: {}; an exchange of your own has its hours in [markets] calendar_file",
                at(&settings.rules_file),
                known.join(", ")
            );
        }
        let has_files = settings.calendar_file.is_some()
            || settings.rules_file.is_some()
            || settings.charges_file.is_some();
        Ok(Self {
            calendar,
            rules: Arc::new(rules),
            charges,
            settings: settings.clone(),
            assumed: settings.assumed()?,
            digest: match has_files {
                true => hasher.finalize().to_hex().to_string(),
                false => String::new(),
            },
        })
    }

    /// Everything here that decides when a market is open, in one fixed spelling: a change of it changes
    /// what cleaning rejects.
    pub fn text(&self) -> String {
        let mut always_open = self.settings.always_open.clone();
        always_open.sort_unstable();
        let assumed: Vec<&str> = self.assumed().iter().map(|a| a.name()).collect();
        format!(
            "calendar {}; files {}; assume {}; always open {}",
            self.calendar.version(),
            self.digest,
            assumed.join(","),
            always_open.join(",")
        )
    }

    /// Of what the user's files say; `None` without any.
    pub fn digest(&self) -> Option<&str> {
        Some(self.digest.as_str()).filter(|digest| !digest.is_empty())
    }

    /// The user's files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let MarketSettings {
            calendar_file,
            rules_file,
            charges_file,
            ..
        } = &self.settings;
        [calendar_file, rules_file, charges_file]
            .into_iter()
            .filter_map(|path| path.as_deref())
    }

    /// What stands for facts that nobody has.
    pub fn assumed(&self) -> &[Assumption] {
        &self.assumed
    }

    fn assumes(&self, what: Assumption) -> bool {
        self.assumed.contains(&what)
    }

    /// What lists of instruments leave open, as of a date.
    pub fn rule_book(&self, date: Option<Date>) -> RuleBook<'_> {
        RuleBook::new(&self.rules, date)
    }

    /// The hours of these instruments.
    pub fn sessions(
        &self,
        instruments: &Instruments,
        day: &TradingDaySettings,
    ) -> anyhow::Result<MarketSessions> {
        let (Some(from), Some(to)) = (Date::new(YEARS.0, 1, 1), Date::new(YEARS.1, 12, 31)) else {
            bail!("the years of the calendar are none");
        };
        let assume = match self.assumes(Assumption::Weekdays) {
            true => Assume::Weekdays,
            false => Assume::Nothing,
        };
        Ok(MarketSessions::new(
            &self.calendar,
            &self.rules,
            instruments,
            &self.settings.always_open,
            (from, to),
            assume,
            day.day()?,
        )?)
    }

    /// The segment of its exchange whose hours an instrument follows; `None` without a calendar.
    pub fn segment(&self, instrument: &Instrument, names: &FnoNames) -> Option<&str> {
        let (venue, _) = self.calendar.venue_for(&self.rules, instrument, names)?;
        Some(self.calendar.segment(venue))
    }

    /// What trading costs, in a profile.
    pub fn charges(&self, profile: Profile, in_debit: bool) -> Arc<MarketCharges> {
        let conditions = Conditions {
            in_debit,
            assume_earliest_rates: self.assumes(Assumption::EarliestRates),
        };
        Arc::new(MarketCharges::new(
            self.charges.clone(),
            Rules::clone(&self.rules),
            profile,
            conditions,
        ))
    }
}

/// The keys of `[trading_day]`.
pub const TRADING_DAY_REFERENCE: &[(&str, &str, &str)] = &[
    ("time_zone", "\"Asia/Kolkata\"", "zone of the start"),
    (
        "start",
        "\"06:00\"",
        "when a trading day begins: daily counters and losses start anew",
    ),
];

/// The keys of `[markets]`.
pub const MARKETS_REFERENCE: &[(&str, &str, &str)] = &[
    (
        "calendar_file",
        "",
        "file that extends or corrects the embedded calendar (docs/reference/markets.md)",
    ),
    (
        "rules_file",
        "",
        "file that extends or corrects the embedded tick sizes, lots, freeze quantities and multipliers",
    ),
    (
        "charges_file",
        "",
        "file that extends or corrects the embedded table of charges",
    ),
    (
        "assume",
        "[]",
        "what stands for facts that nobody has, in backtests and replays only: `weekdays` (a weekday that no calendar covers is a regular trading day; a session that was announced without its time stays closed), `earliest_rates` (dates before the first known rate have that rate); reports say so",
    ),
    (
        "always_open",
        "[]",
        "exchanges whose calendar is not followed, or that have none: they never close",
    ),
];
