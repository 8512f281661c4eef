//! It passes the suite that every trader passes, and the report names what it cannot do.
#![allow(clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use model::trader::InPipelineTrader;
use third_trader::Midpoint;
use traders::conformance::{Feature, Fixture, InPipelineSubject, Options, Profile, Subject, run};

#[test]
fn midpoint_passes_the_suite() {
    let profile = Profile::default()
        .without(Feature::Stop, "it refuses stop orders")
        .without(Feature::StopLimit, "it refuses stop-limit orders")
        .without(Feature::Ioc, "it refuses them")
        .without(Feature::Fok, "it refuses them")
        .without(Feature::Bars, "it fills at a bar's close");
    let mut make = |fixture: Fixture| -> Box<dyn Subject> {
        let build = move || -> Box<dyn InPipelineTrader> {
            let (instruments, sessions) = (&fixture.instruments, &fixture.sessions);
            Box::new(Midpoint::new(Arc::clone(instruments), Arc::clone(sessions)))
        };
        Box::new(InPipelineSubject::new(build, profile.clone()))
    };
    match run(&mut make, Options::default()) {
        Ok(report) => {
            println!("{report}");
            assert!(report.passed.len() >= 15, "{report}");
            assert!(
                report.skipped_names().contains(&"stop_waits_for_trigger"),
                "{report}"
            );
        }
        Err(failure) => panic!("{failure}"),
    }
}
