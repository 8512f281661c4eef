//! Prices, quantities, amounts and multipliers as text, and their sums, against arbitrary precision.

use std::str::FromStr;

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::BigInt;
use model::fixed::{DECIMALS, NumberError, ONE, parse_decimal};
use model::money::{MONEY_DECIMALS, Multiplier};
use model::{Amount, Price, Quantity};
use proptest::prelude::*;

use crate::runner;

pub fn big(raw: i128, decimals: u32) -> BigDecimal {
    BigDecimal::new(BigInt::from(raw), i64::from(decimals))
}

/// Plain decimals of any length, with sign, leading and trailing zeros and exponents, and now and
/// then something that is none.
fn text() -> impl Strategy<Value = String> {
    let number = "[+-]?[0-9]{0,22}(\\.[0-9]{0,24})?([eE][+-]?[0-9]{1,2})?";
    prop_oneof![
        20 => number.prop_map(String::from),
        4 => "[+-]?[0-9]{1,11}\\.[0-9]{1,8}".prop_map(String::from),
        1 => "[0-9eE.+ _x-]{0,8}".prop_map(String::from),
    ]
}

/// A raw integer with weight on the ends of the window and of the type.
fn raw() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => any::<i64>(),
        4 => -1_000_000_000_000_000i64..=1_000_000_000_000_000,
        2 => prop::sample::select(vec![
            0, 1, -1, ONE, -ONE, 10_000, Price::MAX.raw(), Quantity::MAX.raw(), i64::MAX, i64::MIN,
        ]),
    ]
}

#[test]
fn text_is_read_exactly_or_refused() {
    runner(4000)
        .run(&text(), |text| {
            let read = parse_decimal(&text, DECIMALS);
            match (&read, BigDecimal::from_str(&text)) {
                (Ok(raw), Ok(exact)) => prop_assert_eq!(big(*raw, DECIMALS), exact),
                (Ok(raw), Err(_)) => prop_assert!(false, "{text} was read as {raw}"),
                (Err(NumberError::TooPrecise(_)), Ok(exact)) => {
                    let scaled = &exact * BigDecimal::new(BigInt::from(ONE), 0);
                    prop_assert!(!scaled.is_integer(), "{text} has eight decimals");
                }
                // What does not fit 128 bits on the way is refused, never wrapped.
                (Err(NumberError::Overflow), Ok(exact)) => {
                    prop_assert!(
                        text.len() > 30 || exact.abs() > big(1 << 64, DECIMALS),
                        "{text}"
                    );
                }
                (Err(NumberError::Malformed), _) => {
                    // The other reader takes more than a plain decimal: `1_000`, and no digits at all.
                    let plain = text.trim_start_matches(['+', '-']).split(['e', 'E']).next();
                    let digits = plain.is_some_and(|p| p.bytes().any(|b| b.is_ascii_digit()));
                    let refused =
                        !digits || text.contains('_') || BigDecimal::from_str(&text).is_err();
                    prop_assert!(refused, "{text}");
                }
                (Err(e), found) => prop_assert!(found.is_err(), "{text}: {e}"),
            }
            let price = text.parse::<Price>();
            prop_assert_eq!(
                price.is_ok(),
                read.is_ok_and(|r| i64::try_from(r).is_ok()),
                "{}",
                text
            );
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_is_printed_is_read_back_and_is_the_shortest_text() {
    runner(2000)
        .run(&(raw(), any::<i128>()), |(raw, amount)| {
            let text = Price::from_raw(raw).to_string();
            prop_assert_eq!(text.parse::<Price>(), Ok(Price::from_raw(raw)), "{}", text);
            prop_assert_eq!(
                BigDecimal::from_str(&text).unwrap(),
                big(i128::from(raw), DECIMALS)
            );
            prop_assert!(!text.contains('.') || !text.ends_with(['0', '.']), "{text}");
            prop_assert_eq!(Quantity::from_raw(raw).to_string(), text);
            let text = Amount::from_raw(amount).to_string();
            prop_assert_eq!(
                BigDecimal::from_str(&text).unwrap(),
                big(amount, MONEY_DECIMALS)
            );
            prop_assert_eq!(
                text.parse::<Amount>(),
                Ok(Amount::from_raw(amount)),
                "{}",
                text
            );
            Ok(())
        })
        .unwrap();
}

#[test]
fn sums_are_exact_or_an_overflow() {
    runner(3000)
        .run(
            &(raw(), raw(), any::<i128>(), any::<i128>()),
            |(a, b, x, y)| {
                let (sum, difference) =
                    (i128::from(a) + i128::from(b), i128::from(a) - i128::from(b));
                let want = |exact: i128| i64::try_from(exact).map_err(|_| NumberError::Overflow);
                let (p, q) = (Price::from_raw(a), Price::from_raw(b));
                prop_assert_eq!(p.checked_add(q), want(sum).map(Price::from_raw));
                prop_assert_eq!(p.checked_sub(q), want(difference).map(Price::from_raw));
                let (p, q) = (Quantity::from_raw(a), Quantity::from_raw(b));
                prop_assert_eq!(p.checked_add(q), want(sum).map(Quantity::from_raw));
                prop_assert_eq!(p.checked_sub(q), want(difference).map(Quantity::from_raw));
                prop_assert_eq!(
                    Price::from_int(a).map(Price::raw),
                    want(i128::from(a) * i128::from(ONE))
                );
                // Amounts: against big integers, which have no end.
                let exact = BigInt::from(x) + BigInt::from(y);
                let sum = Amount::from_raw(x).checked_add(Amount::from_raw(y));
                let want = i128::try_from(exact)
                    .map(Amount::from_raw)
                    .map_err(|_| NumberError::Overflow);
                prop_assert_eq!(sum, want);
                let exact = BigInt::from(x) - BigInt::from(y);
                let difference = Amount::from_raw(x).checked_sub(Amount::from_raw(y));
                let want = i128::try_from(exact)
                    .map(Amount::from_raw)
                    .map_err(|_| NumberError::Overflow);
                prop_assert_eq!(difference, want);
                Ok(())
            },
        )
        .unwrap();
}

#[test]
fn the_window_ends_where_it_is_said_to() {
    let price = |text: &str| text.parse::<Price>().unwrap().in_window();
    let quantity = |text: &str| text.parse::<Quantity>().unwrap().in_window();
    for (inside, outside) in [("0.0001", "0.00009999"), ("10000000", "10000000.00000001")] {
        assert!(price(inside).is_ok());
        assert_eq!(price(outside), Err(NumberError::OutOfRange));
    }
    for (inside, outside) in [("0.00000001", "0"), ("10000000000", "10000000000.00000001")] {
        assert!(quantity(inside).is_ok());
        assert_eq!(quantity(outside), Err(NumberError::OutOfRange));
    }
    assert_eq!(price("-1"), Err(NumberError::OutOfRange));
    assert_eq!(quantity("-1"), Err(NumberError::OutOfRange));
    assert_eq!(
        "0.000000001".parse::<Price>(),
        Err(NumberError::TooPrecise(8))
    );
    assert_eq!("0.000000010000".parse::<Quantity>(), Ok(Quantity::MIN));
    assert_eq!("1e-8".parse::<Quantity>(), Ok(Quantity::MIN));
    assert_eq!(
        "92233720368.54775808".parse::<Price>(),
        Err(NumberError::Overflow)
    );
    for (text, want) in [
        ("0.01", Ok(1)),
        ("10000000", Ok(1_000_000_000)),
        ("0", Err(())),
        ("10000000.01", Err(())),
        ("0.001", Err(())),
        ("-1", Err(())),
    ] {
        assert_eq!(
            text.parse::<Multiplier>()
                .map(Multiplier::hundredths)
                .map_err(|_| ()),
            want
        );
    }
}

#[test]
fn steps_are_rounded_towards_the_right_side() {
    runner(2000)
        .run(
            &(
                -1_000_000_000_000i64..1_000_000_000_000,
                -5i64..1_000_000_000,
            ),
            |(value, step)| {
                let (price, tick) = (Price::from_raw(value), Price::from_raw(step));
                let (down, up) = (price.floor_to(tick), price.ceil_to(tick).unwrap());
                prop_assert!(down <= price && price <= up);
                prop_assert!(down.is_multiple_of(tick) && up.is_multiple_of(tick));
                prop_assert_eq!(price.is_multiple_of(tick), down == up);
                if step > 0 {
                    prop_assert_eq!(up.raw() - down.raw(), if down == up { 0 } else { step });
                }
                let (quantity, lot) = (Quantity::from_raw(value), Quantity::from_raw(step));
                prop_assert_eq!(quantity.floor_to(lot).raw(), down.raw());
                prop_assert_eq!(quantity.is_multiple_of(lot), price.is_multiple_of(tick));
                Ok(())
            },
        )
        .unwrap();
    assert_eq!(
        Price::from_raw(i64::MAX).ceil_to(Price::from_raw(ONE)),
        Err(NumberError::Overflow)
    );
}
