//! Decimals of raw files as integers of 10⁻⁸.

use model::fixed::{DECIMALS, ONE, parse_decimal};

/// The number in units of 10⁻⁸; `None` when it is no plain decimal, has more than eight decimals
/// that matter, or does not fit.
#[inline]
pub(crate) fn decimal(text: &[u8]) -> Option<i64> {
    fast(text).or_else(|| slow(text))
}

/// The number rounded to units of 10⁻⁸, halves away from zero, where it has more decimals: the float
/// noise of a source, such as `0.30000000000000004`.
#[cold]
pub(crate) fn rounded(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (digits, exponent) = match number.split_once(['e', 'E']) {
        Some((digits, exponent)) if exponent.len() <= 5 => (digits, exponent.parse::<i64>().ok()?),
        Some(_) => return None,
        None => (number, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    // Digits from here on lie behind the eighth decimal.
    let end = whole.len() as i64 + exponent + i64::from(DECIMALS);
    let (mut value, mut up) = (0i64, false);
    for (at, digit) in (0i64..).zip(whole.bytes().chain(fraction.bytes())) {
        let digit = i64::from(digit.checked_sub(b'0').filter(|digit| *digit <= 9)?);
        if at < end {
            value = value.checked_mul(10)?.checked_add(digit)?;
        } else if at == end {
            up = digit >= 5;
        }
    }
    // Without digits behind the eighth decimal there is nothing to round: `decimal` has judged it.
    if end >= (whole.len() + fraction.len()) as i64 {
        return None;
    }
    let value = value.checked_add(i64::from(up))?;
    Some(if text.starts_with('-') { -value } else { value })
}

/// The form nearly every number of a file has: at most ten digits, and at most eight decimals.
#[inline]
fn fast(text: &[u8]) -> Option<i64> {
    let mut whole: i64 = 0;
    let mut at = 0;
    while at < text.len() && text[at].is_ascii_digit() {
        whole = whole * 10 + i64::from(text[at] - b'0');
        at += 1;
        if at > 10 {
            return None;
        }
    }
    if at == 0 {
        return None;
    }
    if at == text.len() {
        return whole.checked_mul(ONE);
    }
    if text[at] != b'.' || text.len() - at > 9 {
        return None;
    }
    let (mut fraction, mut unit): (i64, i64) = (0, ONE);
    for byte in &text[at + 1..] {
        if !byte.is_ascii_digit() {
            return None;
        }
        unit /= 10;
        fraction += i64::from(byte - b'0') * unit;
    }
    whole.checked_mul(ONE)?.checked_add(fraction)
}

#[cold]
fn slow(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    parse_decimal(text, DECIMALS)
        .ok()
        .and_then(|raw| i64::try_from(raw).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_no_exact_decimal() {
        for bad in [
            "",
            " ",
            ".",
            "-",
            "1.2.3",
            "abc",
            "nan",
            "inf",
            "1,000",
            "0x10",
            "0.000000001",
        ] {
            assert_eq!(decimal(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(decimal(b"801.6"), Some(80_160_000_000));
        assert_eq!(decimal(b" 7 "), Some(700_000_000));
        assert_eq!(decimal(b"-0.5"), Some(-50_000_000));
        assert_eq!(decimal(b"1e3"), Some(100_000_000_000));
    }

    #[test]
    fn float_noise_is_rounded() {
        for (text, value) in [
            ("0.30000000000000004", 30_000_000),
            ("12.999999999999998", 1_300_000_000),
            ("0.000000005", 1),
            ("0.00000000499999", 0),
            ("-0.000000005", -1),
            ("1.1102230246251565e-16", 0),
            ("2.5000000000000004e3", 250_000_000_000),
            (
                "12345678901.0000000000000000000000000000000001",
                1_234_567_890_100_000_000,
            ),
        ] {
            assert_eq!(decimal(text.as_bytes()), None, "{text}");
            let rounded = rounded(text.as_bytes());
            assert_eq!(rounded, Some(value), "{text}");
        }
        for bad in [
            "",
            ".",
            "abc",
            "0.1x",
            "1.2.3",
            "nan",
            "1e",
            "1e-",
            "99999999999.123456789e9",
        ] {
            assert_eq!(rounded(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn the_fast_way_agrees_with_the_exact_one(text in "[0-9]{0,12}(\\.[0-9]{0,10})?") {
            if let Some(value) = fast(text.as_bytes()) {
                prop_assert_eq!(Some(value), slow(text.as_bytes()));
            }
        }
    }
}
