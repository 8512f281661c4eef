//! The statistics against an established implementation on the same equities.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use model::{Amount, Date};
use research::statistics::{Activity, statistics};

#[test]
fn statistics_equal_those_of_empyrical() {
    let fixture: serde_json::Value =
        serde_json::from_str(include_str!("statistics_fixture.json")).unwrap();
    let cases = fixture["cases"].as_array().unwrap();
    assert!(cases.len() >= 8);
    for case in cases {
        let closes: Vec<(Date, Amount)> = (18_000..)
            .zip(case["closes"].as_array().unwrap())
            .map(|(day, text)| {
                (
                    Date::from_days(day),
                    text.as_str().unwrap().parse().unwrap(),
                )
            })
            .collect();
        let start = case["start"].as_str().unwrap().parse().unwrap();
        let s = statistics(start, &closes, &Activity::default());
        let found = serde_json::to_value(&s).unwrap();
        for (key, expected) in case["expected"].as_object().unwrap() {
            match (found[key].as_f64(), expected.as_f64()) {
                (None, None) => {}
                (Some(a), Some(b)) => assert!(
                    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()),
                    "{}: {key}: {a} instead of {b}",
                    case["name"]
                ),
                (a, b) => panic!("{}: {key}: {a:?} instead of {b:?}", case["name"]),
            }
        }
    }
}
