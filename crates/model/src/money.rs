//! Money: 128-bit integers with eighteen decimals, always of one currency.
//!
//! A price has eight decimals, a quantity eight and a contract multiplier two, so their product
//! has eighteen and is exact. The largest notional of the accepted window (10 million × 10 billion
//! = 10¹⁷) leaves room for 1,700 such sums before an addition reports an overflow.

use std::fmt;
use std::str::FromStr;

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};

use crate::fixed::{NumberError, ONE, Price, Quantity, format_decimal, parse_decimal};

/// Decimals of [`Amount`].
pub const MONEY_DECIMALS: u32 = 18;
/// Decimals of a contract multiplier.
pub const MULTIPLIER_DECIMALS: u32 = 2;
const UNIT: i128 = 1_000_000_000_000_000_000;

/// A currency by its usual code: `INR`, `USD`, `USDT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Currency(ArrayString<8>);

impl Currency {
    /// The code.
    pub fn code(&self) -> &str {
        &self.0
    }
}

impl FromStr for Currency {
    type Err = NumberError;
    fn from_str(code: &str) -> Result<Self, NumberError> {
        let valid = (2..=8).contains(&code.len())
            && code
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        let text = ArrayString::from(code).map_err(|_| NumberError::Malformed)?;
        if valid {
            Ok(Self(text))
        } else {
            Err(NumberError::Malformed)
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A currency's dense index in the registry of instruments.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct CurrencyIdx(pub u16);

impl CurrencyIdx {
    /// As an index of a table by currency.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A contract multiplier with two decimals: units of the quoted thing in one unit of quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Multiplier(i64);

impl Multiplier {
    /// One: shares and spot.
    pub const ONE: Self = Self(100);

    /// From hundredths; must be positive and at most 10 million.
    pub const fn from_hundredths(raw: i64) -> Result<Self, NumberError> {
        if raw >= 1 && raw <= 1_000_000_000 {
            Ok(Self(raw))
        } else {
            Err(NumberError::OutOfRange)
        }
    }
    /// In hundredths.
    pub const fn hundredths(self) -> i64 {
        self.0
    }
}

impl FromStr for Multiplier {
    type Err = NumberError;
    fn from_str(text: &str) -> Result<Self, NumberError> {
        let raw = parse_decimal(text, MULTIPLIER_DECIMALS)?;
        i64::try_from(raw)
            .map_err(|_| NumberError::OutOfRange)
            .and_then(Self::from_hundredths)
    }
}

impl fmt::Display for Multiplier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        format_decimal(i128::from(self.0), MULTIPLIER_DECIMALS, f)
    }
}

/// An amount of money without its currency, in units of 10⁻¹⁸. The tables that hold amounts are
/// indexed by currency or by instrument, so that two currencies cannot meet; at the edges an amount
/// travels as [`Money`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(i128);

impl Amount {
    /// Zero.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(i128::MAX);

    /// From raw units of 10⁻¹⁸.
    pub const fn from_raw(raw: i128) -> Self {
        Self(raw)
    }
    /// In raw units of 10⁻¹⁸.
    pub const fn raw(self) -> i128 {
        self.0
    }
    /// True for zero.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
    /// From a whole number.
    pub const fn from_int(value: i64) -> Self {
        Self(value as i128 * UNIT)
    }

    /// `price × quantity × multiplier`, exact.
    #[inline]
    pub fn notional(
        price: Price,
        quantity: Quantity,
        multiplier: Multiplier,
    ) -> Result<Self, NumberError> {
        // The product of two 64-bit numbers always fits 128 bits; only the multiplier can overflow.
        (i128::from(price.raw()) * i128::from(quantity.raw()))
            .checked_mul(i128::from(multiplier.hundredths()))
            .map(Self)
            .ok_or(NumberError::Overflow)
    }

    /// The sum.
    #[inline]
    pub fn checked_add(self, other: Self) -> Result<Self, NumberError> {
        self.0
            .checked_add(other.0)
            .map(Self)
            .ok_or(NumberError::Overflow)
    }

    /// The difference.
    #[inline]
    pub fn checked_sub(self, other: Self) -> Result<Self, NumberError> {
        self.0
            .checked_sub(other.0)
            .map(Self)
            .ok_or(NumberError::Overflow)
    }

    /// With the opposite sign.
    pub const fn negate(self) -> Self {
        Self(self.0.saturating_neg())
    }

    /// Without its sign.
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// `self × part / whole`, rounded half away from zero to the last unit: the one rounding of
    /// the accounting, used when a partial close takes its share of a position's cost.
    /// `whole` must be positive and `part` lie between 0 and `whole`.
    pub fn share(self, part: Quantity, whole: Quantity) -> Result<Self, NumberError> {
        let (part, whole) = (part.raw(), whole.raw());
        if whole <= 0 || part < 0 || part > whole {
            return Err(NumberError::OutOfRange);
        }
        if part == whole {
            return Ok(self);
        }
        let magnitude = mul_div_half_up(self.0.unsigned_abs(), part as u64, whole as u64)
            .ok_or(NumberError::Overflow)?;
        let magnitude = i128::try_from(magnitude).map_err(|_| NumberError::Overflow)?;
        Ok(Self(if self.0 < 0 { -magnitude } else { magnitude }))
    }

    /// `self × rate / 10⁸` with `rate` in units of 10⁻⁸, rounded half away from zero.
    pub fn fraction(self, rate: i64) -> Result<Self, NumberError> {
        self.split().fraction(rate)
    }

    /// Taken apart, for several fractions of one amount.
    pub fn split(self) -> Split {
        let (whole, rest) = div_one(self.0.unsigned_abs());
        Split {
            whole,
            rest,
            is_negative: self.0 < 0,
        }
    }

    /// For statistics and pictures only.
    pub fn to_f64(self) -> f64 {
        // Split, so that the whole part keeps all of a float's 53 bits.
        (self.0 / UNIT) as f64 + (self.0 % UNIT) as f64 / UNIT as f64
    }

    /// For display: this amount per unit of quantity and multiplier, rounded half away from zero
    /// to the eight decimals of a price.
    pub fn per_unit(self, quantity: Quantity, multiplier: Multiplier) -> Option<Price> {
        let divisor =
            i128::from(quantity.raw()).checked_mul(i128::from(multiplier.hundredths()))?;
        if divisor == 0 {
            return None;
        }
        let (quotient, rest) = (self.0.checked_div(divisor)?, self.0.checked_rem(divisor)?);
        let up = rest.unsigned_abs() >= divisor.unsigned_abs().div_ceil(2);
        let sign = if (self.0 < 0) == (divisor < 0) { 1 } else { -1 };
        i64::try_from(quotient.checked_add(if up { sign } else { 0 })?)
            .ok()
            .map(Price::from_raw)
    }
}

/// An amount taken apart once: a fraction of it then needs no division where its last eight decimals
/// are zero, as those of price × quantity are for whole shares.
#[derive(Debug, Clone, Copy)]
pub struct Split {
    /// The quotient of the magnitude by 10⁸.
    whole: u128,
    /// And its rest.
    rest: u64,
    is_negative: bool,
}

impl Split {
    /// The magnitude in units of 10⁻⁸, where it has no further decimals and fits.
    pub fn eight_decimals(self) -> Option<u64> {
        match self.rest {
            0 => u64::try_from(self.whole).ok(),
            _ => None,
        }
    }

    /// [`Amount::fraction`] of what was taken apart.
    pub fn fraction(self, rate: i64) -> Result<Amount, NumberError> {
        let share = rate.unsigned_abs();
        let magnitude = if share <= SHARE_MAX {
            let part = match self.rest {
                0 => 0,
                rest => (rest * share + ONE as u64 / 2) / ONE as u64,
            };
            let whole = match u64::try_from(self.whole) {
                Ok(whole) => Some(u128::from(whole) * u128::from(share)),
                Err(_) => self.whole.checked_mul(u128::from(share)),
            };
            whole.and_then(|whole| whole.checked_add(u128::from(part)))
        } else {
            let value = self.whole * u128::from(ONE.unsigned_abs()) + u128::from(self.rest);
            mul_div_half_up(value, share, ONE as u64)
        };
        let magnitude = magnitude.and_then(|magnitude| i128::try_from(magnitude).ok());
        let magnitude = magnitude.ok_or(NumberError::Overflow)?;
        Ok(Amount(if self.is_negative != (rate < 0) {
            -magnitude
        } else {
            magnitude
        }))
    }
}

/// The largest rate whose product with a rest below 10⁸ fits 64 bits: 100 times the whole.
const SHARE_MAX: u64 = 100 * ONE as u64;

/// Quotient and rest by 10⁸, limb by limb: every order asks for some ten of them, and a division of 128
/// bits is slow.
fn div_one(value: u128) -> (u128, u64) {
    const D: u64 = ONE as u64;
    let (high, low) = ((value >> 64) as u64, value as u64);
    let (first, rest) = (high / D, high % D);
    let part = (rest << 32) | (low >> 32);
    let (second, rest) = (part / D, part % D);
    let part = (rest << 32) | (low & u64::from(u32::MAX));
    let quotient = (u128::from(first) << 64) | (u128::from(second) << 32) | u128::from(part / D);
    (quotient, part % D)
}

/// `value × mul / div`, rounded half up, without losing the high bits of the product.
fn mul_div_half_up(value: u128, mul: u64, div: u64) -> Option<u128> {
    let (mul, div) = (u128::from(mul), u128::from(div));
    // value × mul as three 64-bit limbs, then schoolbook division by one limb.
    let low = (value & u128::from(u64::MAX)) * mul;
    let high = (value >> 64) * mul + (low >> 64);
    let limbs = [
        high >> 64,
        high & u128::from(u64::MAX),
        low & u128::from(u64::MAX),
    ];
    let mut rest: u128 = 0;
    let mut quotient: u128 = 0;
    for limb in limbs {
        let part = (rest << 64) | limb;
        let digit = part / div;
        rest = part % div;
        quotient = quotient
            .checked_shl(64)
            .filter(|q| q >> 64 == quotient)?
            .checked_add(digit)?;
    }
    if rest * 2 >= div {
        quotient.checked_add(1)
    } else {
        Some(quotient)
    }
}

impl FromStr for Amount {
    type Err = NumberError;
    fn from_str(text: &str) -> Result<Self, NumberError> {
        parse_decimal(text, MONEY_DECIMALS).map(Self)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        format_decimal(self.0, MONEY_DECIMALS, f)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An amount and its currency. Two currencies never add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
}

/// Why two sums of money did not add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The two are of different currencies.
    #[error("{0} and {1} do not add: convert one first")]
    CurrencyMismatch(Currency, Currency),
    /// The exact result does not fit.
    #[error(transparent)]
    Number(#[from] NumberError),
}

impl Money {
    /// The sum, of equal currencies only.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch(self.currency, other.currency));
        }
        Ok(Self {
            amount: self.amount.checked_add(other.amount)?,
            currency: self.currency,
        })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}
