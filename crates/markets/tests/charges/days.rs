//! Whatever the sequence of its fills, a closed day costs the same.

use proptest::prelude::*;

use super::*;

/// One execution: order, and hundredths of a rupee, and shares.
type Fill = (usize, i64, i64);

/// The orders of the property: each has an instrument, a product and a side.
const ORDERS: [(&str, Product, Side); 7] = [
    ("A", Product::Delivery, Side::Buy),
    ("A", Product::Delivery, Side::Buy),
    ("A", Product::Delivery, Side::Sell),
    ("A", Product::Intraday, Side::Sell),
    ("B", Product::Intraday, Side::Buy),
    ("B", Product::Delivery, Side::Sell),
    ("B", Product::Delivery, Side::Buy),
];

/// The total of a day: what the fills booked, one after another, and the close's adjustment.
fn day_of(fills: &[Fill], profile: Profile) -> (Amount, markets::charges::NoteClose) {
    let (charges, rules) = (charges(profile), Rules::embedded().unwrap());
    let day = date("2026-11-25");
    let mut book = DayBook::default();
    let mut so_far = [(Traded::default(), Amount::ZERO); ORDERS.len()];
    let mut booked = Amount::ZERO;
    for (order, cents, shares) in fills {
        let (symbol, product, side) = ORDERS[*order];
        let instrument = share("NSE", symbol);
        let price = Price::from_raw(cents * 1_000_000);
        let quantity = Quantity::from_int(*shares).unwrap();
        let notional = Amount::notional(price, quantity, Multiplier::ONE).unwrap();
        let (before, charges_before) = so_far[*order];
        let charge = charges
            .of(&ChargeInput {
                instrument: &instrument,
                product,
                side,
                quantity,
                price,
                notional,
                notional_before: before.notional,
                quantity_before: before.quantity,
                charges_before,
                date: day,
            })
            .unwrap();
        so_far[*order] = (
            before.plus(Traded { notional, quantity }).unwrap(),
            charges_before.checked_add(charge).unwrap(),
        );
        booked = booked.checked_add(charge).unwrap();
        let traded = Traded { notional, quantity };
        book.fill(
            *order,
            &rules,
            &instrument,
            product,
            side.into(),
            traded,
            charge,
        )
        .unwrap();
    }
    let notes = book.close(charges.table(), profile, Conditions::default(), day);
    let mut notes = notes.unwrap();
    // What no note shows is not booked by fills.
    notes.retain(|note| &*note.note != LEDGER);
    let note = notes.pop().unwrap();
    assert!(notes.is_empty());
    assert_eq!(note.booked, booked);
    (booked.checked_add(note.adjustment).unwrap(), note)
}

/// The day's transaction tax by schoolbook: from sums, exactly, rounded to the rupee once.
fn tax_of(fills: &[Fill]) -> bigdecimal::BigDecimal {
    use bigdecimal::{BigDecimal, RoundingMode};
    let number = |value: i64| BigDecimal::from(value);
    let mut tax = number(0);
    for symbol in ["A", "B"] {
        let sum = |product, side| {
            let of = fills
                .iter()
                .filter(|f| ORDERS[f.0] == (symbol, product, side));
            of.fold((0, 0), |(value, shares), (_, cents, n)| {
                (value + cents * n, shares + n)
            })
        };
        let (bought, bought_shares) = sum(Product::Delivery, Side::Buy);
        let (sold, sold_shares) = sum(Product::Delivery, Side::Sell);
        let (intraday, _) = sum(Product::Intraday, Side::Sell);
        let matched = bought_shares.min(sold_shares);
        // In hundredths of a rupee times the shares of a side, so that nothing is divided early.
        let delivered = |value: i64, shares: i64| {
            if shares == 0 {
                number(0)
            } else {
                number(value) * number(shares - matched) / number(shares)
            }
        };
        let of_day = if sold_shares == 0 {
            number(0)
        } else {
            number(sold) * number(matched) / number(sold_shares)
        };
        let delivery = delivered(bought, bought_shares) + delivered(sold, sold_shares);
        tax += delivery / number(100_000)
            + (of_day + number(intraday)) * number(25) / number(10_000_000);
    }
    tax.with_scale_round(0, RoundingMode::HalfUp)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_closed_day_costs_the_same_whatever_the_order_of_its_fills(
        fills in prop::collection::vec((0..ORDERS.len(), 1_i64..500_000, 1_i64..2_000), 1..24),
        seed in any::<u64>(),
    ) {
        let mut shuffled = fills.clone();
        // Fisher and Yates, by a linear congruence.
        let mut state = seed;
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(at, (state >> 33) as usize % (at + 1));
        }
        for profile in Profile::ALL {
            let (total, note) = day_of(&fills, profile);
            let (other_total, other) = day_of(&shuffled, profile);
            prop_assert_eq!(total, other_total);
            prop_assert_eq!(note.exact, other.exact);
            prop_assert_eq!(note.charged, other.charged);
            prop_assert_eq!(total, note.charged.total().unwrap());
            if profile == Profile::Estimate {
                prop_assert_eq!(note.exact, note.charged);
                continue;
            }
            for component in Component::ALL.into_iter().filter(|c| c.is_on_note()) {
                let of = |amounts: &Amounts| match component {
                    // With the exchange's own part it is one charge.
                    Component::InvestorProtection => amounts.exchange_turnover().unwrap(),
                    _ => amounts.get(component),
                };
                let (exact, charged) = (of(&note.exact), of(&note.charged));
                let unit = match component {
                    Component::Stt | Component::StampDuty => amount("1"),
                    _ => amount("0.01"),
                };
                prop_assert_eq!(charged.raw() % unit.raw(), 0);
                let off = charged.checked_sub(exact).unwrap().raw();
                // One rounding, half up: never further than half a unit from the exact sum.
                prop_assert!(-unit.raw() / 2 < off && off <= unit.raw() / 2);
            }
            let tax = note.charged.get(Component::Stt).to_string();
            prop_assert_eq!(tax.parse::<bigdecimal::BigDecimal>().unwrap(), tax_of(&fills));
        }
    }
}
