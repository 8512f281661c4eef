//! Typed parameters of strategy kinds.

use std::fmt;

use model::Quantity;
use model::market::Timeframe;

use crate::strategy::Subscription;

/// A parameter that a kind takes.
#[derive(Debug, Clone, Copy)]
pub struct ParameterSpec {
    /// Its key in the definition.
    pub name: &'static str,
    /// What it may hold.
    pub kind: ParameterType,
    /// What holds where the definition does not say; `None`: the definition must.
    pub default: Option<&'static str>,
    /// What it means, with its unit.
    pub doc: &'static str,
}

/// What a parameter may hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ParameterType {
    /// A whole number.
    Integer {
        /// Least.
        min: u32,
        /// Greatest.
        max: u32,
    },
    /// A decimal number, for indicators.
    Number {
        /// Least.
        min: f64,
        /// Greatest.
        max: f64,
    },
    /// A positive exact quantity.
    Quantity,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `tick`, or the length of a bar such as `1m`.
    Inputs,
    /// A time of whole seconds up to a day, such as `90s` or `15m`.
    Duration,
}

impl ParameterType {
    /// The type's name in the reference.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Integer { .. } => "integer",
            Self::Number { .. } => "number",
            Self::Quantity => "quantity",
            Self::Flag => "flag",
            Self::Choice(_) => "choice",
            Self::Inputs => "timeframe",
            Self::Duration => "duration",
        }
    }

    /// The accepted values from their text.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        let bad = || format!("`{text}` is not {self}");
        match *self {
            Self::Integer { min, max } => {
                let raw = model::fixed::parse_decimal(text, 0).map_err(|_| bad())?;
                let value = u32::try_from(raw).map_err(|_| bad())?;
                if (min..=max).contains(&value) {
                    Ok(Value::Integer(value))
                } else {
                    Err(bad())
                }
            }
            Self::Number { min, max } => {
                // Only plain decimals: `inf` and `nan` would parse as an f64.
                model::fixed::parse_decimal(text, 12).map_err(|_| bad())?;
                let value: f64 = text.parse().map_err(|_| bad())?;
                if (min..=max).contains(&value) {
                    Ok(Value::Number(value))
                } else {
                    Err(bad())
                }
            }
            Self::Quantity => {
                let value: Quantity = text.parse().map_err(|e| format!("{}: {e}", bad()))?;
                value.in_window().map(Value::Quantity).map_err(|_| bad())
            }
            Self::Flag => text.parse().map(Value::Flag).map_err(|_| bad()),
            Self::Choice(words) => words
                .iter()
                .find(|w| **w == text)
                .map(|w| Value::Choice(w))
                .ok_or_else(bad),
            Self::Inputs if text == "tick" => Ok(Value::Inputs(Inputs::Ticks)),
            Self::Inputs => Timeframe::parse(text)
                .map(|t| Value::Inputs(Inputs::Bars(t)))
                .ok_or_else(bad),
            Self::Duration => Timeframe::parse(text).map(Value::Duration).ok_or_else(bad),
        }
    }
}

/// What is accepted, for messages and the reference.
impl fmt::Display for ParameterType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Number { min, max } => write!(f, "a number from {min} to {max}"),
            Self::Quantity => {
                write!(
                    f,
                    "a positive quantity of at most {} with at most 8 decimals",
                    Quantity::MAX
                )
            }
            Self::Flag => f.write_str("`true` or `false`"),
            Self::Choice(words) => write!(f, "one of {}", words.join(", ")),
            Self::Inputs => {
                f.write_str("`tick` or the length of a bar such as `30s`, `1m`, `1h`, `1d`")
            }
            Self::Duration => f.write_str("a time of at most a day such as `90s`, `15m`, `1h`"),
        }
    }
}

/// What a strategy counts as one input of an instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inputs {
    /// Every tick.
    Ticks,
    /// Every finished bar of this length.
    Bars(Timeframe),
}

impl Inputs {
    /// The subscription to these inputs.
    pub fn subscription(self, warm_up: u32) -> Subscription {
        let (ticks, bars) = match self {
            Self::Ticks => (true, Vec::new()),
            Self::Bars(timeframe) => (false, vec![timeframe]),
        };
        Subscription {
            ticks,
            bars,
            sessions: false,
            warm_up,
        }
    }
}

/// A parameter's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A whole number.
    Integer(u32),
    /// A decimal number.
    Number(f64),
    /// A positive quantity.
    Quantity(Quantity),
    /// True or false.
    Flag(bool),
    /// The chosen word.
    Choice(&'static str),
    /// Ticks or bars.
    Inputs(Inputs),
    /// A length of time.
    Duration(Timeframe),
}

/// The normal form: equal values have equal texts.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Quantity(value) => write!(f, "{value}"),
            Self::Flag(value) => write!(f, "{value}"),
            Self::Choice(value) => f.write_str(value),
            Self::Inputs(Inputs::Ticks) => f.write_str("tick"),
            Self::Inputs(Inputs::Bars(timeframe)) => write!(f, "{timeframe}"),
            Self::Duration(length) => write!(f, "{length}"),
        }
    }
}

/// The values of all parameters of a kind, checked against its specifications.
#[derive(Debug, Clone)]
pub struct Parameters {
    specs: &'static [ParameterSpec],
    values: Vec<Value>,
}

/// A parameter that the kind's author asked for under a name or type that it was not declared with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the kind declares no parameter `{name}` of type {wanted}: correct its parameter table")]
pub struct Undeclared {
    /// The name asked for.
    pub name: &'static str,
    /// The type asked for.
    pub wanted: &'static str,
}

impl Parameters {
    /// For each parameter the given text, else its default. `Err` names the parameter and what is
    /// wrong with it.
    pub fn new(
        specs: &'static [ParameterSpec],
        given: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, (&'static str, String)> {
        let mut values = Vec::with_capacity(specs.len());
        for spec in specs {
            let text = given(spec.name).or_else(|| spec.default.map(str::to_owned));
            let text =
                text.ok_or_else(|| (spec.name, format!("is missing: give {}", spec.kind)))?;
            values.push(spec.kind.parse(&text).map_err(|why| (spec.name, why))?);
        }
        Ok(Self { specs, values })
    }

    fn get(&self, name: &'static str) -> Option<Value> {
        self.specs
            .iter()
            .position(|s| s.name == name)
            .map(|i| self.values[i])
    }

    /// Names and normal texts, in the kind's order.
    pub fn texts(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.specs
            .iter()
            .zip(&self.values)
            .map(|(spec, value)| (spec.name, value.to_string()))
    }
}

macro_rules! getter {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $type:ty) => {
        impl Parameters {
            $(#[$doc])*
            pub fn $name(&self, name: &'static str) -> Result<$type, Undeclared> {
                match self.get(name) {
                    Some(Value::$variant(value)) => Ok(value),
                    _ => Err(Undeclared { name, wanted: stringify!($name) }),
                }
            }
        }
    };
}

getter!(/// A whole number.
    integer, Integer, u32);
getter!(/// A decimal number.
    number, Number, f64);
getter!(/// A positive quantity.
    quantity, Quantity, Quantity);
getter!(/// True or false.
    flag, Flag, bool);
getter!(/// The chosen word.
    choice, Choice, &'static str);
getter!(/// Ticks or bars of a length.
    inputs, Inputs, Inputs);
getter!(/// A length of time.
    duration, Duration, Timeframe);
