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

/// A money limit: one number in the namespace's base currency, or one for each currency.
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
    /// These settings with those of `other` in the place of what is absent here.
    pub fn or(mut self, other: &Self) -> Self {
        macro_rules! fill {
            ($($field:ident),*) => { $(if self.$field.is_none() { self.$field.clone_from(&other.$field); })* };
        }
        fill!(
            order_quantity,
            order_notional,
            position_quantity,
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

    /// Translates into dense tables. `base` is the namespace's base currency.
    pub fn resolve(&self, instruments: &Instruments, base: &str) -> Result<Limits, LimitError> {
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
        let money = |key, setting: &Option<MoneySetting>| money(key, setting, instruments, base);
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

fn money(
    key: &'static str,
    setting: &Option<MoneySetting>,
    instruments: &Instruments,
    base: &str,
) -> Result<Option<MoneyLimit>, LimitError> {
    let by_currency = match setting {
        None => return Ok(None),
        Some(MoneySetting::Base(number)) => BTreeMap::from([(base.to_owned(), number.clone())]),
        Some(MoneySetting::ByCurrency(map)) => map.clone(),
    };
    let mut table = vec![None; instruments.currencies().len()];
    for (currency, number) in by_currency {
        let found = instruments
            .currencies()
            .iter()
            .position(|c| c.code() == currency);
        let amount = positive::<Amount>(key, &Some(number))?;
        match found {
            Some(index) => table[index] = amount,
            // A limit in the base currency is no mistake where nothing is quoted in it yet.
            None if currency == base => {}
            None => {
                let known: Vec<_> = instruments.currencies().iter().map(|c| c.code()).collect();
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
