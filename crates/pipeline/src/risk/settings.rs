//! Limits as people write them, and their translation into dense tables.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use model::fixed::NumberError;
use model::signal::Product;
use model::{Amount, AssetClass, Instruments, Price, Quantity};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::limits::{Limits, MoneyLimit};
use super::margin::Margin;

/// A number as written, kept as text so that it stays exact: `10`, `0.05`, `"1000.50"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Number(pub String);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                Ok(Number(text.to_owned()))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value.to_string()))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value.to_string()))
            }
            // The shortest text of a float is the one that was written.
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value.to_string()))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// A money limit: one number in the namespace's base currency, or one for each currency. Instead of a
/// number, `"50%"` is a share of the starting cash in each currency, and `"off"` no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MoneySetting {
    /// In the base currency.
    Base(Number),
    /// By currency code.
    ByCurrency(BTreeMap<String, Number>),
}

/// Shares of positions' values to be covered: one for all, or by asset class and product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "`margin_fraction`: write a fraction, or a table such as { default = 1, \"equity:intraday\" = 0.2 }"
)]
pub enum MarginSetting {
    /// Of every position.
    Uniform(Number),
    /// By `default`, product, asset class, or `CLASS:PRODUCT`.
    Table(BTreeMap<String, Number>),
}

/// Which short positions are allowed. Delivery is never short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShortSelling {
    /// Intraday and carry-forward positions may be short.
    #[default]
    Allowed,
    /// Nothing may be short.
    Forbidden,
}

/// How an automatic halt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoResume {
    /// By an operator.
    #[default]
    Manual,
    /// By itself when the next trading day begins.
    NextDay,
}

/// What follows when a loss limit is reached, beside the halt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBreach {
    /// Positions stay as they are.
    #[default]
    Halt,
    /// Every position that the limit is about is closed.
    SquareOff,
}

/// The same for all loss limits, or for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "`on_breach`: write \"halt\", \"square_off\", or a table such as { daily_loss = \"square_off\", drawdown = \"halt\" }"
)]
pub enum OnBreachSetting {
    /// Of every loss limit.
    All(OnBreach),
    /// By loss limit; one that is not named halts.
    ByRule(OnBreachTable),
}

/// By loss limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OnBreachTable {
    /// Of `daily_loss`.
    pub daily_loss: OnBreach,
    /// Of `drawdown`.
    pub drawdown: OnBreach,
}

/// The `[risk]` table of the settings and the `risk:` mapping of a strategy. Absent: no such limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Largest quantity of one order.
    pub order_quantity: Option<Number>,
    /// Largest notional of one order.
    pub order_notional: Option<MoneySetting>,
    /// Largest position per instrument, long or short.
    pub position_quantity: Option<Number>,
    /// Largest value of the position per instrument, long or short.
    pub position_notional: Option<MoneySetting>,
    /// Largest sum of all positions' values and working entries.
    pub gross_exposure: Option<MoneySetting>,
    /// Most orders working at once.
    pub open_orders: Option<u32>,
    /// Most orders within one second of the clock.
    pub orders_per_second: Option<u32>,
    /// Most orders within one trading day.
    pub orders_per_day: Option<u32>,
    /// Most entry orders of one strategy within one trading day.
    pub trades_per_day: Option<u32>,
    /// Furthest distance of limit and trigger prices from the last trade, as a fraction: 0.05 is 5 %.
    pub price_band: Option<Number>,
    /// Loss since the trading day's start at which trading halts.
    pub daily_loss: Option<MoneySetting>,
    /// Fall from the equity's peak at which trading halts.
    pub drawdown: Option<MoneySetting>,
    /// What follows when a loss limit is reached, beside the halt.
    pub on_breach: Option<OnBreachSetting>,
    /// Oldest last price on which an entry may be sent, in milliseconds.
    pub stale_market_data_ms: Option<u64>,
    /// Oldest signal on which an entry may be sent, in milliseconds.
    pub stale_signal_ms: Option<u64>,
    /// Whether orders are refused outside the session; true unless switched off.
    pub session_open: Option<bool>,
    /// Whether prices and quantities must be multiples of tick and lot; true unless switched off.
    pub tick_and_lot: Option<bool>,
    /// Whether limits between two ticks are rounded, a buyer's down and a seller's up, before that is
    /// asked; false unless switched on.
    pub round_limits: Option<bool>,
    /// Which short positions are allowed.
    pub short_selling: Option<ShortSelling>,
    /// The only instruments that may be entered; empty: all.
    pub allow: Vec<String>,
    /// Instruments that may not be entered.
    pub deny: Vec<String>,
    /// A signal just like the one before it is refused within this time, in milliseconds.
    pub duplicate_window_ms: Option<u64>,
    /// Whether entries must be covered by the available cash.
    pub available_cash: Option<bool>,
    /// Share of a position's value that has to be covered: 1 is all of it.
    pub margin_fraction: Option<MarginSetting>,
}

/// Why limits could not be taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// A value is no number of the right kind.
    #[error("`{key}` = `{value}`: {error}")]
    BadNumber {
        /// The key.
        key: &'static str,
        /// What was written.
        value: String,
        /// What is wrong with it.
        error: NumberError,
    },
    /// A currency is not that of any instrument.
    #[error("`{key}`: no instrument is quoted in `{currency}`; used currencies: {known}")]
    UnknownCurrency {
        /// The key.
        key: &'static str,
        /// What was written.
        currency: String,
        /// The currencies of the instruments.
        known: String,
    },
    /// A margin is of neither an asset class nor a product.
    #[error("`margin_fraction`: `{0}` is neither `default`, nor a product ({products}), nor an asset class ({classes}), nor CLASS:PRODUCT", products = Product::ALL.map(Product::name).join(", "), classes = AssetClass::ALL.map(AssetClass::name).join(", "))]
    UnknownMargin(String),
    /// An instrument does not exist.
    #[error("`{key}`: {error}")]
    Instrument {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        error: model::instrument::LookupError,
    },
}

impl LimitSettings {
    /// What binds a namespace unless its settings say otherwise.
    pub fn built_in() -> Self {
        let share = |text: &str| Some(MoneySetting::Base(Number(text.to_owned())));
        Self {
            order_notional: share("50%"),
            position_notional: share("100%"),
            gross_exposure: share("200%"),
            daily_loss: share("3%"),
            available_cash: Some(true),
            ..Self::default()
        }
    }

    /// These settings with those of `other` in the place of what is absent here.
    pub fn or(mut self, other: &Self) -> Self {
        macro_rules! fill {
            ($($field:ident),*) => { $(if self.$field.is_none() { self.$field.clone_from(&other.$field); })* };
        }
        fill!(
            order_quantity,
            order_notional,
            position_quantity,
            position_notional,
            gross_exposure,
            open_orders,
            orders_per_second,
            orders_per_day,
            trades_per_day,
            price_band,
            daily_loss,
            drawdown,
            on_breach,
            stale_market_data_ms,
            stale_signal_ms,
            session_open,
            tick_and_lot,
            round_limits,
            short_selling,
            duplicate_window_ms,
            available_cash,
            margin_fraction
        );
        if self.allow.is_empty() {
            self.allow.clone_from(&other.allow);
        }
        if self.deny.is_empty() {
            self.deny.clone_from(&other.deny);
        }
        self
    }

    /// Translates into dense tables. `base` is the namespace's base currency, `cash` what it starts with
    /// by currency index.
    pub fn resolve(
        &self,
        instruments: &Instruments,
        base: &str,
        cash: &[Amount],
    ) -> Result<Limits, LimitError> {
        let list = |key, names: &[String]| -> Result<Vec<bool>, LimitError> {
            let mut table = vec![
                false;
                if names.is_empty() {
                    0
                } else {
                    instruments.len()
                }
            ];
            for name in names {
                let index = instruments
                    .find(name)
                    .map_err(|error| LimitError::Instrument { key, error })?;
                table[index.index()] = true;
            }
            Ok(table)
        };
        let money =
            |key, setting: &Option<MoneySetting>| money(key, setting, instruments, base, cash);
        let millis = |ms: Option<u64>| {
            ms.map(|ms| {
                i64::try_from(ms)
                    .unwrap_or(i64::MAX)
                    .saturating_mul(1_000_000)
            })
        };
        let (daily_loss, drawdown) = (
            money("daily_loss", &self.daily_loss)?,
            money("drawdown", &self.drawdown)?,
        );
        let fraction = |key, value: &Option<Number>| -> Result<Option<i64>, LimitError> {
            Ok(positive::<Price>(key, value)?.map(Price::raw))
        };
        Ok(Limits {
            watches_losses: daily_loss.is_some() || drawdown.is_some(),
            order_quantity: positive::<Quantity>("order_quantity", &self.order_quantity)?,
            order_notional: money("order_notional", &self.order_notional)?,
            position_quantity: positive::<Quantity>("position_quantity", &self.position_quantity)?,
            position_notional: money("position_notional", &self.position_notional)?,
            gross_exposure: money("gross_exposure", &self.gross_exposure)?,
            open_orders: self.open_orders,
            orders_per_second: self.orders_per_second,
            orders_per_day: self.orders_per_day,
            trades_per_day: self.trades_per_day,
            price_band: fraction("price_band", &self.price_band)?,
            daily_loss,
            drawdown,
            on_breach: match &self.on_breach {
                None => OnBreachTable::default(),
                Some(OnBreachSetting::ByRule(table)) => *table,
                Some(OnBreachSetting::All(all)) => OnBreachTable {
                    daily_loss: *all,
                    drawdown: *all,
                },
            },
            stale_market_data: millis(self.stale_market_data_ms),
            stale_signal: millis(self.stale_signal_ms),
            session_open: self.session_open.unwrap_or(true),
            tick_and_lot: self.tick_and_lot.unwrap_or(true),
            round_limits: self.round_limits.unwrap_or(false),
            short_selling: self.short_selling.unwrap_or_default(),
            allow: list("allow", &self.allow)?,
            deny: list("deny", &self.deny)?,
            duplicate_window: millis(self.duplicate_window_ms),
            available_cash: self.available_cash.unwrap_or(false),
            margin: match &self.margin_fraction {
                None => Margin::default(),
                Some(setting) => margin(setting)?,
            },
        })
    }
}

fn positive<T>(key: &'static str, value: &Option<Number>) -> Result<Option<T>, LimitError>
where
    T: FromStr<Err = NumberError> + PartialOrd + Default,
{
    let Some(Number(text)) = value else {
        return Ok(None);
    };
    let bad = |error| LimitError::BadNumber {
        key,
        value: text.clone(),
        error,
    };
    let number: T = text.parse().map_err(bad)?;
    if number > T::default() {
        Ok(Some(number))
    } else {
        Err(bad(NumberError::OutOfRange))
    }
}

fn margin(setting: &MarginSetting) -> Result<Margin, LimitError> {
    let share = |number: &Number| {
        let share = positive::<Price>("margin_fraction", &Some(number.clone()))?;
        Ok(share.map_or(model::fixed::ONE, Price::raw))
    };
    match setting {
        MarginSetting::Uniform(number) => Ok(Margin::Uniform(share(number)?)),
        MarginSetting::Table(table) => {
            let shares: Vec<(&str, i64)> = table
                .iter()
                .map(|(name, number)| Ok((name.as_str(), share(number)?)))
                .collect::<Result<_, LimitError>>()?;
            Margin::table(shares).map_err(|name| LimitError::UnknownMargin(name.to_owned()))
        }
    }
}

/// One money limit as written.
enum Money {
    Amount(Amount),
    /// Of the starting cash, in units of 10⁻⁸.
    Share(i64),
    Off,
}

impl Money {
    fn parse(key: &'static str, number: &Number) -> Result<Self, LimitError> {
        let text = number.0.trim();
        if text == "off" {
            return Ok(Self::Off);
        }
        let Some(percent) = text.strip_suffix('%') else {
            let amount = positive::<Amount>(key, &Some(Number(text.to_owned())))?;
            return Ok(amount.map_or(Self::Off, Self::Amount));
        };
        let bad = |error| LimitError::BadNumber {
            key,
            value: number.0.clone(),
            error,
        };
        let percent: Price = percent.trim_end().parse().map_err(bad)?;
        // What is less than a millionth of a per cent would be none.
        match percent.raw() / 100 {
            share if share > 0 => Ok(Self::Share(share)),
            _ => Err(bad(NumberError::OutOfRange)),
        }
    }

    /// In a currency of which there is so much at the start.
    fn of(&self, cash: Amount) -> Amount {
        match self {
            Self::Amount(amount) => *amount,
            Self::Share(share) if !cash.is_zero() => {
                cash.fraction(*share).unwrap_or(MoneyLimit::NONE)
            }
            Self::Share(_) | Self::Off => MoneyLimit::NONE,
        }
    }
}

fn money(
    key: &'static str,
    setting: &Option<MoneySetting>,
    instruments: &Instruments,
    base: &str,
    cash: &[Amount],
) -> Result<Option<MoneyLimit>, LimitError> {
    let currencies = instruments.currencies();
    let cash = |index: usize| cash.get(index).copied().unwrap_or(Amount::ZERO);
    let by_currency = match setting {
        None => return Ok(None),
        Some(MoneySetting::Base(number)) => match Money::parse(key, number)? {
            Money::Off => return Ok(None),
            // A share holds in every currency.
            share @ Money::Share(_) => {
                let limits = (0..currencies.len()).map(|index| Some(share.of(cash(index))));
                return Ok(Some(MoneyLimit(limits.collect())));
            }
            Money::Amount(_) => BTreeMap::from([(base.to_owned(), number.clone())]),
        },
        Some(MoneySetting::ByCurrency(map)) => map.clone(),
    };
    let mut table = vec![None; currencies.len()];
    for (currency, number) in by_currency {
        let found = currencies.iter().position(|c| c.code() == currency);
        let limit = Money::parse(key, &number)?;
        match found {
            Some(index) => table[index] = Some(limit.of(cash(index))),
            // A limit in the base currency is no mistake where nothing is quoted in it yet.
            None if currency == base => {}
            None => {
                let known: Vec<_> = currencies.iter().map(|c| c.code()).collect();
                return Err(LimitError::UnknownCurrency {
                    key,
                    currency,
                    known: known.join(", "),
                });
            }
        }
    }
    Ok(Some(MoneyLimit(table)))
}

#[cfg(test)]
mod tests {
    use model::{CurrencyIdx, Instrument};

    use super::*;

    fn instruments() -> Instruments {
        let share =
            |exchange, currency: &str| Instrument::share(exchange, "A", currency.parse().unwrap());
        Instruments::new(vec![share("NSE", "INR"), share("US", "USD")]).unwrap()
    }

    /// The limit in each currency as `setting` asks for it, with 1,000 of the first one and nothing of
    /// the second.
    fn limits(setting: MoneySetting) -> Result<Option<[Option<String>; 2]>, LimitError> {
        let instruments = instruments();
        let at = |code: &str| {
            let mut all = instruments.currencies().iter();
            all.position(|c| c.code() == code).unwrap()
        };
        let mut cash = [Amount::ZERO; 2];
        cash[at("INR")] = Amount::from_int(1000);
        let settings = LimitSettings {
            order_notional: Some(setting),
            ..LimitSettings::default()
        };
        let resolved = settings.resolve(&instruments, "INR", &cash)?;
        let written = |limit: Amount| match limit {
            MoneyLimit::NONE => "none".to_owned(),
            limit => limit.to_string(),
        };
        Ok(resolved.order_notional.map(|table| {
            ["INR", "USD"].map(|code| table.of(CurrencyIdx(at(code) as u16)).map(written))
        }))
    }

    #[test]
    fn a_limit_is_an_amount_a_share_of_the_starting_cash_or_off() {
        let number = |text: &str| Number(text.to_owned());
        let base = |text: &str| limits(MoneySetting::Base(number(text)));
        let both = |inr: Option<&str>, usd: Option<&str>| {
            Ok(Some([inr.map(str::to_owned), usd.map(str::to_owned)]))
        };
        // An amount is of the base currency, and others are refused; a share is of each currency's own cash.
        assert_eq!(base("70"), both(Some("70"), None));
        assert_eq!(base("50%"), both(Some("500"), Some("none")));
        assert_eq!(base("0.05 %"), both(Some("0.5"), Some("none")));
        assert_eq!(base("200%"), both(Some("2000"), Some("none")));
        assert_eq!(base("off"), Ok(None));
        let table = |of: &[(&str, &str)]| {
            let map = of.iter().map(|(code, n)| ((*code).to_owned(), number(n)));
            limits(MoneySetting::ByCurrency(map.collect()))
        };
        assert_eq!(table(&[("INR", "3%")]), both(Some("30"), None));
        assert_eq!(
            table(&[("INR", "off"), ("USD", "5")]),
            both(Some("none"), Some("5"))
        );
        assert_eq!(
            table(&[("EUR", "5")]).unwrap_err().to_string(),
            LimitError::UnknownCurrency {
                key: "order_notional",
                currency: "EUR".to_owned(),
                known: "INR, USD".to_owned(),
            }
            .to_string()
        );
        for wrong in ["0%", "-3%", "%", "x%", "0", "of", "0.00000001%"] {
            assert!(
                matches!(base(wrong), Err(LimitError::BadNumber { .. })),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_margin_of_nothing_that_there_is_is_refused() {
        let margin_of = |name: &str, number: &str| {
            let table = [(name.to_owned(), Number(number.to_owned()))];
            let settings = LimitSettings {
                margin_fraction: Some(MarginSetting::Table(table.into())),
                ..LimitSettings::default()
            };
            settings.resolve(&instruments(), "INR", &[Amount::ZERO; 2])
        };
        assert!(margin_of("equity:intraday", "0.2").is_ok());
        let error = margin_of("equities", "0.2").unwrap_err();
        assert_eq!(error, LimitError::UnknownMargin("equities".to_owned()));
        assert!(matches!(
            margin_of("equity", "-1"),
            Err(LimitError::BadNumber { .. })
        ));
    }

    #[test]
    fn what_is_off_is_named() {
        let instruments = instruments();
        let currencies = instruments.currencies();
        let cash: Vec<Amount> = currencies
            .iter()
            .map(|c| Amount::from_int(if c.code() == "INR" { 1000 } else { 0 }))
            .collect();
        let off = |settings: LimitSettings, cash: &[Amount]| {
            let settings = settings.or(&LimitSettings::built_in());
            let limits = settings.resolve(&instruments, "INR", cash).unwrap();
            limits.switched_off(currencies)
        };
        let rich = vec![Amount::from_int(5); 2];
        assert!(off(LimitSettings::default(), &rich).is_empty());
        let settings = LimitSettings {
            daily_loss: Some(MoneySetting::Base(Number("off".to_owned()))),
            gross_exposure: Some(MoneySetting::Base(Number("5".to_owned()))),
            available_cash: Some(false),
            session_open: Some(false),
            ..LimitSettings::default()
        };
        assert_eq!(
            off(settings, &cash),
            [
                "order_notional in USD",
                "position_notional in USD",
                "daily_loss",
                "available_cash",
                "session_open"
            ]
        );
    }
}
