//! Products, shares and fractions of money, against arbitrary precision.

use bigdecimal::num_bigint::{BigInt, Sign};
use model::fixed::{NumberError, ONE};
use model::money::{Money, MoneyError, Multiplier};
use model::{Amount, Price, Quantity};
use proptest::prelude::*;

use crate::runner;

/// Half away from zero.
fn rounded(dividend: &BigInt, divisor: &BigInt) -> BigInt {
    let doubled = dividend.magnitude() * 2u32 + divisor.magnitude();
    let magnitude = doubled / (divisor.magnitude() * 2u32);
    let negative = (dividend.sign() == Sign::Minus) != (divisor.sign() == Sign::Minus);
    BigInt::from_biguint(if negative { Sign::Minus } else { Sign::Plus }, magnitude)
}

fn fits(exact: BigInt) -> Result<Amount, NumberError> {
    i128::try_from(exact)
        .map(Amount::from_raw)
        .map_err(|_| NumberError::Overflow)
}

/// Amounts of every size, the ends of the type included.
fn amount() -> impl Strategy<Value = i128> {
    prop_oneof![
        3 => any::<i128>(),
        3 => (any::<i64>(), 0u32..64).prop_map(|(a, shift)| i128::from(a) << shift),
        1 => prop::sample::select(vec![0, 1, -1, i128::MAX, i128::MIN, i128::MIN + 1]),
    ]
}

fn quantity() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), 1i64..1000, Just(Quantity::MAX.raw()), Just(1)]
}

#[test]
fn a_notional_is_exact() {
    let price = prop_oneof![any::<i64>(), Just(Price::MAX.raw()), Just(Price::MIN.raw())];
    let multiplier = prop_oneof![Just(100), 1i64..=1_000_000_000, Just(1_000_000_000)];
    runner(4000)
        .run(
            &(price, quantity(), multiplier),
            |(price, quantity, multiplier)| {
                let exact = BigInt::from(price) * quantity * multiplier;
                let notional = Amount::notional(
                    Price::from_raw(price),
                    Quantity::from_raw(quantity),
                    Multiplier::from_hundredths(multiplier).unwrap(),
                );
                prop_assert_eq!(notional, fits(exact));
                Ok(())
            },
        )
        .unwrap();
    // The largest order of the window at a multiplier of one fits, and 1,700 of them add up.
    let largest = Amount::notional(Price::MAX, Quantity::MAX, Multiplier::ONE).unwrap();
    assert_eq!(largest.to_string(), "100000000000000000");
    let sum = (0..1700).try_fold(Amount::ZERO, |sum, _| sum.checked_add(largest));
    assert_eq!(sum.unwrap().to_string(), "170000000000000000000");
}

#[test]
fn a_share_rounds_once_and_the_rest_stays() {
    runner(4000)
        .run(
            &(amount(), quantity(), quantity()),
            |(cost, part, whole)| {
                let share = Amount::from_raw(cost)
                    .share(Quantity::from_raw(part), Quantity::from_raw(whole));
                if whole <= 0 || part < 0 || part > whole {
                    prop_assert_eq!(share, Err(NumberError::OutOfRange));
                    return Ok(());
                }
                let exact = rounded(&(BigInt::from(cost) * part), &BigInt::from(whole));
                match share {
                    Ok(share) => {
                        prop_assert_eq!(BigInt::from(share.raw()), exact);
                        // What stays is what was there less the share: nothing is lost.
                        prop_assert!(Amount::from_raw(cost).checked_sub(share).is_ok());
                    }
                    Err(e) => prop_assert!(cost == i128::MIN, "{cost} × {part} / {whole}: {e}"),
                }
                Ok(())
            },
        )
        .unwrap();
}

#[test]
fn a_fraction_is_rounded_half_away_from_zero() {
    let rate = prop_oneof![any::<i64>(), 0..=ONE, -ONE..=0];
    runner(4000)
        .run(&(amount(), rate), |(amount, rate)| {
            let exact = rounded(&(BigInt::from(amount) * rate), &BigInt::from(ONE));
            let got = Amount::from_raw(amount).fraction(rate);
            if exact == BigInt::from(i128::MIN) {
                prop_assert!(
                    got.is_ok_and(|g| g.raw() == i128::MIN) || got == Err(NumberError::Overflow)
                );
            } else {
                prop_assert_eq!(got, fits(exact));
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_price_per_unit_is_rounded_for_display() {
    let hundredths = prop_oneof![Just(100), Just(1), 1i64..=1_000_000_000];
    runner(4000)
        .run(
            &(amount(), quantity(), hundredths),
            |(amount, quantity, hundredths)| {
                let multiplier = Multiplier::from_hundredths(hundredths).unwrap();
                let got =
                    Amount::from_raw(amount).per_unit(Quantity::from_raw(quantity), multiplier);
                let divisor = BigInt::from(quantity) * hundredths;
                if divisor == BigInt::ZERO {
                    prop_assert_eq!(got, None);
                    return Ok(());
                }
                let exact = rounded(&BigInt::from(amount), &divisor);
                prop_assert_eq!(got, i64::try_from(exact).ok().map(Price::from_raw));
                Ok(())
            },
        )
        .unwrap();
    // The one quotient that does not fit its own type.
    let smallest = Amount::from_raw(i128::MIN);
    let cent = Multiplier::from_hundredths(1).unwrap();
    assert_eq!(smallest.per_unit(Quantity::from_raw(-1), cent), None);
}

#[test]
fn currencies_never_add() {
    let money = |amount: i64, code: &str| Money {
        amount: Amount::from_int(amount),
        currency: code.parse().unwrap(),
    };
    assert_eq!(
        money(2, "INR").checked_add(money(3, "INR")),
        Ok(money(5, "INR"))
    );
    let (inr, usd) = (money(1, "INR").currency, money(1, "USD").currency);
    assert_eq!(
        money(2, "INR").checked_add(money(3, "USD")),
        Err(MoneyError::CurrencyMismatch(inr, usd))
    );
    let most = Money {
        amount: Amount::MAX,
        currency: inr,
    };
    assert_eq!(
        most.checked_add(money(1, "INR")),
        Err(MoneyError::Number(NumberError::Overflow))
    );
    for code in ["inr", "I", "RUPEES123", "IN R", ""] {
        assert!(code.parse::<model::Currency>().is_err(), "{code}");
    }
}
