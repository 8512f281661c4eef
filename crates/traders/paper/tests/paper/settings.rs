//! Settings: their defaults, and errors that name the key.

use std::sync::Arc;

use paper::{PaperSettings, SETTINGS};
use traders::conformance::Fixture;
use traders::{BuildContext, Built, Registry};

fn build(text: &str) -> Result<Vec<String>, String> {
    let mut registry = Registry::default();
    registry.register(paper::kind());
    let fixture = Fixture::new();
    let context = BuildContext {
        namespace: &model::topic::Namespace::new("paper").unwrap(),
        settings: &text.parse().unwrap(),
        instruments: fixture.instruments,
        sessions: Arc::clone(&fixture.sessions),
    };
    let kind = registry.get("paper").unwrap();
    match (kind.build)(&context) {
        Ok(Built::InPipeline { warnings, .. } | Built::Outside { warnings, .. }) => Ok(warnings),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn the_reference_tells_the_defaults() {
    let written: String = SETTINGS
        .iter()
        .map(|s| format!("{} = {}\n", s.key, s.default))
        .collect();
    let settings = PaperSettings::from_table(&written.parse().unwrap()).unwrap();
    assert_eq!(settings, PaperSettings::default());
    let keys: Vec<_> = toml::Table::try_from(&settings)
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let mut known: Vec<_> = SETTINGS.iter().map(|s| s.key.to_owned()).collect();
    known.sort_unstable();
    assert_eq!(keys, known);
}

#[test]
fn every_error_names_the_key_and_what_it_may_be() {
    for (text, parts) in [
        ("latency = 5", &["latency", "simulation_latency_ms"][..]),
        (
            "simulation_latency_ms = -1",
            &["simulation_latency_ms", "-1"],
        ),
        (
            "simulation_latency_ms = 99999999999999999",
            &["simulation_latency_ms", "too large"],
        ),
        (
            "simulation_latency_ms = \"5ms\"",
            &["simulation_latency_ms", "5ms"],
        ),
        ("slippage_bps = -0.5", &["slippage_bps", "-0.5", "0"]),
        ("slippage_bps = nan", &["slippage_bps", "NaN"]),
        (
            "slippage_bps = 0.0000000001",
            &["slippage_bps", "0.0000000001", "decimals"],
        ),
        ("participation = 1.5", &["participation", "1.5", "1"]),
        (
            "partial_fill_probability = 2",
            &["partial_fill_probability", "2"],
        ),
        (
            "fill = \"now\"",
            &["fill", "now", "next_tick", "signal_tick"],
        ),
        ("use_depth = 1", &["use_depth", "1"]),
    ] {
        let error = build(text).unwrap_err();
        assert!(error.starts_with("[trading_engine.paper] "), "{error}");
        assert!(
            parts.iter().all(|part| error.contains(part)),
            "{text}: {error}"
        );
        assert!(!error.contains('\n'), "{error:?}");
    }
}

#[test]
fn looking_ahead_is_labelled() {
    assert_eq!(build("slippage_bps = 2"), Ok(vec![]));
    let warnings = build("fill = \"signal_tick\"").unwrap();
    assert!(warnings[0].starts_with("look-ahead"), "{warnings:?}");
}
