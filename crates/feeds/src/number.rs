//! Decimals of raw files as integers of 10⁻⁸.

use model::fixed::{DECIMALS, ONE, parse_decimal};

/// The number in units of 10⁻⁸; `None` when it is no plain decimal, has more than eight decimals
/// that matter, or does not fit.
#[inline]
pub(crate) fn decimal(text: &[u8]) -> Option<i64> {
    fast(text).or_else(|| slow(text))
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

    proptest! {
        #[test]
        fn the_fast_way_agrees_with_the_exact_one(text in "[0-9]{0,12}(\\.[0-9]{0,10})?") {
            if let Some(value) = fast(text.as_bytes()) {
                prop_assert_eq!(Some(value), slow(text.as_bytes()));
            }
        }
    }
}
