//! Fixed-point prices and quantities: 64-bit integers with eight decimals.
//!
//! The window that market data and orders must lie in is narrower than what the integers hold, so
//! that sums and products of valid numbers have room: prices from 0.0001 to 10 million,
//! quantities from 0.00000001 to 10 billion.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Decimals of [`Price`] and [`Quantity`].
pub const DECIMALS: u32 = 8;
/// One whole unit of [`Price`] and [`Quantity`] in raw units.
pub const ONE: i64 = 100_000_000;

/// Why a number was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// The text is not a plain decimal number.
    #[error("not a decimal number")]
    Malformed,
    /// More decimals than can be represented exactly.
    #[error("more than {0} decimals")]
    TooPrecise(u32),
    /// The number lies outside the window that is traded.
    #[error("outside the accepted window")]
    OutOfRange,
    /// An exact result does not fit its type.
    #[error("arithmetic overflow")]
    Overflow,
}

/// Parses a plain decimal (`[+-]digits[.digits]`, optional exponent as written by spreadsheets and
/// numeric libraries) into an integer of `decimals` decimals. Trailing zeros beyond them are
/// accepted, other digits are an error: nothing is rounded.
pub fn parse_decimal(text: &str, decimals: u32) -> Result<i128, NumberError> {
    let bytes = text.as_bytes();
    let (negative, rest) = match bytes.first() {
        Some(b'-') => (true, &bytes[1..]),
        Some(b'+') => (false, &bytes[1..]),
        _ => (false, bytes),
    };
    let mut digits = 0usize;
    let mut seen_point = false;
    let mut fraction: i64 = 0;
    let mut value: i128 = 0;
    let mut exponent: i64 = 0;
    let mut i = 0;
    while i < rest.len() {
        match rest[i] {
            b @ b'0'..=b'9' => {
                digits += 1;
                value = value
                    .checked_mul(10)
                    .and_then(|v| v.checked_add(i128::from(b - b'0')))
                    .ok_or(NumberError::Overflow)?;
                if seen_point {
                    fraction += 1;
                }
            }
            b'.' if !seen_point => seen_point = true,
            b'e' | b'E' if digits > 0 => {
                let tail =
                    std::str::from_utf8(&rest[i + 1..]).map_err(|_| NumberError::Malformed)?;
                let plain = tail.strip_prefix(['+', '-']).unwrap_or(tail);
                if plain.is_empty() || plain.len() > 4 || !plain.bytes().all(|b| b.is_ascii_digit())
                {
                    return Err(NumberError::Malformed);
                }
                exponent = tail.parse().map_err(|_| NumberError::Malformed)?;
                break;
            }
            _ => return Err(NumberError::Malformed),
        }
        i += 1;
    }
    if digits == 0 {
        return Err(NumberError::Malformed);
    }
    let mut shift = i64::from(decimals) - fraction + exponent;
    while shift > 0 && value != 0 {
        value = value.checked_mul(10).ok_or(NumberError::Overflow)?;
        shift -= 1;
    }
    while shift < 0 && value != 0 {
        if value % 10 != 0 {
            return Err(NumberError::TooPrecise(decimals));
        }
        value /= 10;
        shift += 1;
    }
    Ok(if negative { -value } else { value })
}

/// Writes an integer of `decimals` decimals without trailing zeros: `12.5`, `-0.01`, `7`.
pub fn format_decimal(value: i128, decimals: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut digits = [b'0'; 48];
    let mut at = digits.len();
    let mut put = |digit: u8| {
        at -= 1;
        digits[at] = digit;
        at
    };
    let scale = 10u128.pow(decimals);
    let (mut whole, mut fraction) = (value.unsigned_abs() / scale, value.unsigned_abs() % scale);
    if fraction > 0 {
        let mut width = decimals;
        while fraction % 10 == 0 {
            fraction /= 10;
            width -= 1;
        }
        for _ in 0..width {
            put(b'0' + (fraction % 10) as u8);
            fraction /= 10;
        }
        put(b'.');
    }
    let at = loop {
        let at = put(b'0' + (whole % 10) as u8);
        whole /= 10;
        if whole == 0 {
            break at;
        }
    };
    let text = std::str::from_utf8(&digits[at..]).map_err(|_| fmt::Error)?;
    f.pad_integral(value >= 0, "", text)
}

/// A price per unit of an instrument, in its currency, with eight decimals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(i64);

/// A number of units with eight decimals. Signed: a position or a target may be short; orders and
/// ticks hold positive ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(i64);

macro_rules! fixed {
    ($name:ident) => {
        impl $name {
            /// Zero.
            pub const ZERO: Self = Self(0);

            /// From raw units of 10⁻⁸.
            pub const fn from_raw(raw: i64) -> Self {
                Self(raw)
            }
            /// In raw units of 10⁻⁸.
            pub const fn raw(self) -> i64 {
                self.0
            }
            /// From a whole number.
            pub const fn from_int(value: i64) -> Result<Self, NumberError> {
                match value.checked_mul(ONE) {
                    Some(raw) => Ok(Self(raw)),
                    None => Err(NumberError::Overflow),
                }
            }
            /// True for zero.
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }
            /// The sum.
            pub fn checked_add(self, other: Self) -> Result<Self, NumberError> {
                self.0
                    .checked_add(other.0)
                    .map(Self)
                    .ok_or(NumberError::Overflow)
            }
            /// The difference.
            pub fn checked_sub(self, other: Self) -> Result<Self, NumberError> {
                self.0
                    .checked_sub(other.0)
                    .map(Self)
                    .ok_or(NumberError::Overflow)
            }
            /// For indicators and pictures only: money never passes through a float.
            #[inline]
            pub fn to_f64(self) -> f64 {
                self.0 as f64 / ONE as f64
            }
        }

        impl FromStr for $name {
            type Err = NumberError;
            fn from_str(text: &str) -> Result<Self, NumberError> {
                let raw = parse_decimal(text, DECIMALS)?;
                i64::try_from(raw)
                    .map(Self)
                    .map_err(|_| NumberError::Overflow)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                format_decimal(i128::from(self.0), DECIMALS, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

fixed!(Price);
fixed!(Quantity);

impl Price {
    /// The lowest price that data and orders may carry: 0.0001.
    pub const MIN: Self = Self(ONE / 10_000);
    /// The highest price that data and orders may carry: 10 million.
    pub const MAX: Self = Self(10_000_000 * ONE);

    /// The price itself when it lies in the accepted window.
    pub fn in_window(self) -> Result<Self, NumberError> {
        if (Self::MIN..=Self::MAX).contains(&self) {
            Ok(self)
        } else {
            Err(NumberError::OutOfRange)
        }
    }

    /// The greatest multiple of `step` that is not above this price.
    pub fn floor_to(self, step: Self) -> Self {
        if step.0 <= 0 {
            self
        } else {
            Self(self.0 - self.0.rem_euclid(step.0))
        }
    }

    /// The least multiple of `step` that is not below this price.
    pub fn ceil_to(self, step: Self) -> Result<Self, NumberError> {
        if step.0 <= 0 {
            return Ok(self);
        }
        let rest = self.0.rem_euclid(step.0);
        if rest == 0 {
            Ok(self)
        } else {
            self.checked_add(Self(step.0 - rest))
        }
    }

    /// True when the price is a multiple of `step`.
    pub fn is_multiple_of(self, step: Self) -> bool {
        step.0 <= 0 || self.0 % step.0 == 0
    }
}

impl Quantity {
    /// The smallest quantity of an order or a tick.
    pub const MIN: Self = Self(1);
    /// The largest quantity of an order or a tick: 10 billion.
    pub const MAX: Self = Self(10_000_000_000 * ONE);

    /// The quantity itself when it is positive and lies in the accepted window.
    pub fn in_window(self) -> Result<Self, NumberError> {
        if (Self::MIN..=Self::MAX).contains(&self) {
            Ok(self)
        } else {
            Err(NumberError::OutOfRange)
        }
    }

    /// Without its sign. A valid quantity is far from the limit at which this would overflow.
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// With the opposite sign.
    pub const fn negate(self) -> Self {
        Self(self.0.saturating_neg())
    }

    /// −1, 0 or 1.
    pub const fn signum(self) -> i64 {
        self.0.signum()
    }

    /// The greatest multiple of `step` that is not above this quantity.
    pub fn floor_to(self, step: Self) -> Self {
        if step.0 <= 0 {
            self
        } else {
            Self(self.0 - self.0.rem_euclid(step.0))
        }
    }

    /// True when the quantity is a multiple of `step`.
    pub fn is_multiple_of(self, step: Self) -> bool {
        step.0 <= 0 || self.0 % step.0 == 0
    }
}
