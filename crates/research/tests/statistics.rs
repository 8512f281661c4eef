//! The statistics against established implementations on the same equities.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use model::{Amount, Date};
use research::statistics::{Activity, SESSIONS_MIN, statistics};

#[test]
fn statistics_equal_those_of_empyrical_and_quantstats() {
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
        let year = case["periods"].as_u64().unwrap() as u32;
        let s = statistics(start, &closes, &Activity::default(), year);
        let found = serde_json::to_value(&s).unwrap();
        for library in ["empyrical", "quantstats"] {
            for (key, expected) in case[library].as_object().unwrap() {
                let is_annual = ["cagr", "volatility", "sharpe", "sortino", "calmar"];
                let is_annual = is_annual.contains(&key.as_str());
                let found = found[key].as_f64().or(found[key]["return"].as_f64());
                match (found, expected.as_f64()) {
                    (None, None) => {}
                    (None, _) if is_annual && s.days < SESSIONS_MIN => {}
                    (Some(a), Some(b)) => assert!(
                        (a - b).abs() <= 1e-9 * a.abs().max(b.abs()),
                        "{}: {library}: {key}: {a} instead of {b}",
                        case["name"]
                    ),
                    (a, b) => panic!("{}: {library}: {key}: {a:?} instead of {b:?}", case["name"]),
                }
            }
        }
    }
}
