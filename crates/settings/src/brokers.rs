//! The `[trading_engine.NAME]` tables: what every broker has, and what its kind adds.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, bail};
use markets::charges::{MarketCharges, Profile};
use model::charges::{Charges, FlatRate, NoCharges};
use model::topic::Namespace;
use model::{Amount, Currency, Instruments, Price};
use pipeline::broker::OnResume;
use pipeline::risk::AutoResume;
use pipeline::risk::settings::Number;
use serde::Deserialize;

use super::MarketFacts;

/// What is done as a running system is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnStop {
    /// Orders and positions stay as they are.
    #[default]
    Leave,
    /// Working entries are cancelled.
    CancelEntries,
    /// Everything is cancelled and every position is closed.
    SquareOff,
}

/// What every broker has.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
struct Common {
    kind: Option<String>,
    base_currency: String,
    starting_cash: BTreeMap<String, Number>,
    charges: ChargeSettings,
    in_debit: bool,
    square_off_minutes_before_close: SquareOffSetting,
    square_off_notice_minutes: u32,
    auto_resume: AutoResume,
    on_resume: OnResume,
    on_stop: OnStop,
    send_within_ms: u64,
    report_band: Number,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            kind: None,
            base_currency: "INR".to_owned(),
            starting_cash: BTreeMap::new(),
            charges: ChargeSettings::None,
            in_debit: false,
            square_off_minutes_before_close: SquareOffSetting::Minutes(SQUARE_OFF_MINUTES),
            square_off_notice_minutes: 5,
            auto_resume: AutoResume::Manual,
            on_resume: OnResume::Hold,
            on_stop: OnStop::Leave,
            send_within_ms: 5_000,
            report_band: Number("0.5".to_owned()),
        }
    }
}

/// The schedule of charges.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ChargeSettings {
    None,
    /// The market's, as the broker's calculator tells them.
    Estimate,
    /// The market's, as the contract note has them.
    ContractNote,
    FlatRate(Number),
}

/// Brokers square off themselves before the close, and charge for it: better to be first.
const SQUARE_OFF_MINUTES: u32 = 10;

/// When intraday positions are closed, as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "`square_off_minutes_before_close`: write minutes, \"never\", or a table such as { default = 10, MCX = 30 }"
)]
enum SquareOffSetting {
    Minutes(u32),
    Word(String),
    Table(BTreeMap<String, SquareOffEntry>),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum SquareOffEntry {
    Minutes(u32),
    Word(String),
}

/// How long before the end of continuous trading intraday positions are closed.
#[derive(Debug, Clone, Default)]
pub struct SquareOff {
    default: Option<i64>,
    /// By exchange, and by exchange and segment.
    special: BTreeMap<(String, Option<String>), Option<i64>>,
}

impl SquareOff {
    fn new(setting: SquareOffSetting, facts: &MarketFacts) -> anyhow::Result<Self> {
        let key = "square_off_minutes_before_close";
        let minutes = |minutes: u32| i64::from(minutes) * model::time::MINUTE;
        let word = |word: &str| match word {
            "never" => Ok(None),
            other => bail!("`{key}`: `{other}`: write minutes, or \"never\""),
        };
        let value = |entry: &SquareOffEntry| match entry {
            SquareOffEntry::Minutes(m) => Ok(Some(minutes(*m))),
            SquareOffEntry::Word(text) => word(text),
        };
        let table = match setting {
            SquareOffSetting::Minutes(m) => {
                return Ok(Self {
                    default: Some(minutes(m)),
                    special: BTreeMap::new(),
                });
            }
            SquareOffSetting::Word(text) => {
                return Ok(Self {
                    default: word(&text)?,
                    special: BTreeMap::new(),
                });
            }
            SquareOffSetting::Table(table) => table,
        };
        let mut all = Self {
            default: Some(minutes(SQUARE_OFF_MINUTES)),
            special: BTreeMap::new(),
        };
        for (name, entry) in &table {
            let value = value(entry)?;
            if name == "default" {
                all.default = value;
                continue;
            }
            // Whether there is such a segment is known to the calendar.
            facts
                .calendar
                .venue_of(name)
                .with_context(|| format!("`{key}.{name}`"))?;
            let (exchange, segment) = match name.split_once(':') {
                Some((exchange, segment)) => (exchange, Some(segment.to_owned())),
                None => (name.as_str(), None),
            };
            all.special.insert((exchange.to_owned(), segment), value);
        }
        Ok(all)
    }

    /// Of a segment, in nanoseconds; `None`: intraday positions stay open.
    pub fn before(&self, exchange: &str, segment: &str) -> Option<i64> {
        let of = |segment: Option<&str>| {
            self.special
                .get(&(exchange.to_owned(), segment.map(str::to_owned)))
        };
        *of(Some(segment))
            .or_else(|| of(None))
            .unwrap_or(&self.default)
    }
}

const COMMON_KEYS: [&str; 12] = [
    "kind",
    "base_currency",
    "starting_cash",
    "charges",
    "in_debit",
    "square_off_minutes_before_close",
    "square_off_notice_minutes",
    "auto_resume",
    "on_resume",
    "on_stop",
    "send_within_ms",
    "report_band",
];

/// A broker's table.
#[derive(Clone)]
pub struct BrokerTable {
    /// The namespace.
    pub namespace: Namespace,
    /// The kind of trader.
    pub kind: String,
    /// The currency of its totals.
    pub base_currency: Currency,
    starting_cash: BTreeMap<String, Amount>,
    /// What trading costs.
    pub charges: Arc<dyn Charges>,
    /// The same where it is the market's table.
    pub schedule: Option<Arc<MarketCharges>>,
    /// When intraday positions are closed.
    pub square_off: SquareOff,
    /// How long before that it is announced, in nanoseconds.
    pub square_off_notice: i64,
    /// How an automatic halt ends.
    pub auto_resume: AutoResume,
    /// What happens to missed targets at a resume.
    pub on_resume: OnResume,
    /// What is done as a running system is stopped.
    pub on_stop: OnStop,
    /// How long after the decision the call to the broker may still start, in nanoseconds.
    pub send_within: i64,
    /// How far from the last price a reported execution may be, as a fraction in units of 10⁻⁸.
    pub report_band: i64,
    /// The keys of its kind.
    pub trader: toml::Table,
    /// The table as written, secrets redacted, for the record.
    pub written: toml::Table,
}

impl std::fmt::Debug for BrokerTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerTable")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

fn currency(key: &str, code: &str) -> anyhow::Result<Currency> {
    // Why a code is none is plain from the fix.
    let parsed = code.parse().ok();
    parsed.with_context(|| {
        format!("`{key}`: `{code}` is no currency code: write one such as INR or USDT")
    })
}

impl BrokerTable {
    /// From the table of a namespace.
    pub fn parse(namespace: &str, table: toml::Table, facts: &MarketFacts) -> anyhow::Result<Self> {
        let name = Namespace::new(namespace)?;
        let (common, trader): (toml::Table, toml::Table) = table
            .clone()
            .into_iter()
            .partition(|(key, _)| COMMON_KEYS.contains(&key.as_str()));
        let common: Common = super::typed(common)?;
        let base_currency = currency("base_currency", &common.base_currency)?;
        let mut starting_cash = BTreeMap::new();
        for (code, Number(text)) in &common.starting_cash {
            currency("starting_cash", code)?;
            let amount: Amount = text
                .parse()
                .with_context(|| format!("`starting_cash.{code}` = `{text}`"))?;
            if amount < Amount::ZERO {
                bail!("`starting_cash.{code}` = {text}: must not be negative");
            }
            starting_cash.insert(code.clone(), amount);
        }
        if common.starting_cash.is_empty() {
            starting_cash.insert(common.base_currency.clone(), Amount::from_int(1_000_000));
        }
        let schedule = match &common.charges {
            ChargeSettings::Estimate => Some(Profile::Estimate),
            ChargeSettings::ContractNote => Some(Profile::ContractNote),
            ChargeSettings::None | ChargeSettings::FlatRate(_) => None,
        }
        .map(|profile| facts.charges(profile, common.in_debit));
        let charges: Arc<dyn Charges> = match (&common.charges, &schedule) {
            (_, Some(schedule)) => Arc::clone(schedule) as Arc<dyn Charges>,
            (ChargeSettings::FlatRate(Number(text)), None) => {
                let rate: Price = text
                    .parse()
                    .with_context(|| format!("`charges.flat_rate` = `{text}`"))?;
                let schedule = FlatRate::from_raw(rate.raw()).with_context(|| {
                    format!(
                        "`charges.flat_rate` = {text}: a fraction from 0 to 1, 0.0003 is 0.03 %"
                    )
                })?;
                Arc::new(schedule)
            }
            (_, None) => Arc::new(NoCharges),
        };
        let send_within = i64::try_from(common.send_within_ms)
            .ok()
            .and_then(|ms| ms.checked_mul(1_000_000))
            .context("`send_within_ms`: too large")?;
        let Number(text) = &common.report_band;
        let report_band: Price = text
            .parse()
            .with_context(|| format!("`report_band` = `{text}`"))?;
        if report_band < Price::ZERO {
            bail!("`report_band` = {text}: a fraction of the last price, or 0 for none");
        }
        Ok(Self {
            namespace: name,
            kind: common.kind.unwrap_or_else(|| namespace.to_owned()),
            base_currency,
            starting_cash,
            charges,
            schedule,
            square_off: SquareOff::new(common.square_off_minutes_before_close, facts)?,
            square_off_notice: i64::from(common.square_off_notice_minutes) * model::time::MINUTE,
            auto_resume: common.auto_resume,
            on_resume: common.on_resume,
            on_stop: common.on_stop,
            send_within,
            report_band: report_band.raw(),
            trader,
            written: super::secret::redacted(&table),
        })
    }

    /// Cash at the start, by currency index.
    pub fn cash(&self, instruments: &Instruments) -> Vec<Amount> {
        let of = |currency: &Currency| self.starting_cash.get(currency.code()).copied();
        instruments
            .currencies()
            .iter()
            .map(|c| of(c).unwrap_or_default())
            .collect()
    }
}

/// What every broker's table may hold, for the reference: key, default, meaning.
pub const COMMON_REFERENCE: [(&str, &str, &str); 12] = [
    (
        "kind",
        "the table's name",
        "kind of trader; a second instance of one kind names it",
    ),
    (
        "base_currency",
        "\"INR\"",
        "currency of the totals, and of money limits without one",
    ),
    (
        "starting_cash",
        "{ INR = 1000000 }",
        "cash at the start, by currency; the default is 1,000,000 of the base currency",
    ),
    (
        "charges",
        "\"none\"",
        "`\"none\"`; `\"contract_note\"`: the exchange's and the broker's by date, with stamp duty and rounded at the day's close; `\"estimate\"`: as the broker's calculator, without stamp duty, nothing rounded; or `{ flat_rate = 0.0003 }`: this share of every execution's notional",
    ),
    (
        "in_debit",
        "false",
        "the account is in debit or the broker funds it: brokerage is higher",
    ),
    (
        "square_off_minutes_before_close",
        "10",
        "close intraday positions so long before the end of continuous trading on that date, and take no intraday entries from then on; `\"never\"`: they stay open; by exchange or segment: `{ default = 10, MCX = 30, \"NSE:cash_fno\" = 15 }`",
    ),
    (
        "square_off_notice_minutes",
        "5",
        "an alert names the strategies concerned so long before; 0: none does",
    ),
    (
        "auto_resume",
        "\"manual\"",
        "how an automatic halt ends: `manual`, or `next_day`",
    ),
    (
        "on_resume",
        "\"hold\"",
        "targets that could not be followed while halted: `hold` leaves the difference, `follow` sends it at the resume",
    ),
    (
        "on_stop",
        "\"leave\"",
        "what is done as a running system is stopped: `leave`, `cancel_entries`, or `square_off`, for at most 1.5 seconds; positions left without protection at the broker are listed",
    ),
    (
        "send_within_ms",
        "5000",
        "how long after a decision its order may still be sent, in milliseconds",
    ),
    (
        "report_band",
        "0.5",
        "how far from the last price an execution that the broker reports may be, as a fraction of it, and 20 ticks in any case; one that is farther is not booked before the broker's own book has confirmed it, and until then there are no entries; 0: any distance is believed; `paper` is not asked",
    ),
];
