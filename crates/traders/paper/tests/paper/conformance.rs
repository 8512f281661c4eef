//! The paper trader passes the suite that every trader passes, whatever it is set to.

use std::sync::Arc;

use model::market::MarketData;
use model::time::SECOND;
use model::trader::{Capabilities, ReportKind, TraderCommand, TraderReport};
use model::{Price, Quantity, Timestamp, TradeId};
use paper::{FillOn, LimitFill, PaperSettings, PaperTrader};
use traders::conformance::{
    Failure, Feature, Fixture, InPipelineSubject, Options, Profile, Report, Subject, run,
};

fn subject(settings: &PaperSettings, profile: &Profile, fixture: Fixture) -> InPipelineSubject {
    let settings = settings.clone();
    let build = move || -> Box<dyn model::trader::InPipelineTrader> {
        let (instruments, sessions) = (
            Arc::clone(&fixture.instruments),
            Arc::clone(&fixture.sessions),
        );
        Box::new(PaperTrader::new(settings.clone(), instruments, sessions).unwrap())
    };
    InPipelineSubject::new(build, profile.clone())
}

fn check(settings: PaperSettings, profile: Profile) -> Report {
    let mut make =
        |fixture: Fixture| -> Box<dyn Subject> { Box::new(subject(&settings, &profile, fixture)) };
    match run(&mut make, Options::default()) {
        Ok(report) => report,
        Err(failure) => panic!("{settings:?}\n{failure}"),
    }
}

fn patient(patience: u32) -> Profile {
    Profile {
        patience,
        ..Profile::default()
    }
}

#[test]
fn the_defaults_pass_every_case_but_changing_a_price() {
    let report = check(PaperSettings::default(), Profile::default());
    assert_eq!(report.skipped_names(), ["modify_price"], "{report}");
}

#[test]
fn with_latency_and_jitter() {
    let settings = PaperSettings {
        simulation_latency_ms: 120,
        latency_jitter_ms: 300,
        ..PaperSettings::default()
    };
    let profile = Profile {
        latency_max: 420 * SECOND / 1000,
        ..Profile::default()
    };
    let report = check(settings, profile);
    assert_eq!(report.skipped_names(), ["modify_price"], "{report}");
}

#[test]
fn with_slippage() {
    let settings = PaperSettings {
        slippage_bps: 3.0,
        slippage_ticks: 2,
        ..PaperSettings::default()
    };
    check(settings, Profile::default());
}

#[test]
fn with_participation() {
    let settings = PaperSettings {
        participation: 0.5,
        ..PaperSettings::default()
    };
    check(settings, patient(2));
    let settings = PaperSettings {
        participation: 0.1,
        use_depth: false,
        ..Default::default()
    };
    let report = check(settings, patient(2));
    assert_eq!(
        report.skipped_names(),
        ["modify_below_filled", "modify_price"],
        "{report}"
    );
}

#[test]
fn with_random_partial_fills() {
    for partial_fill_probability in [0.5, 1.0] {
        let settings = PaperSettings {
            partial_fill_probability,
            ..PaperSettings::default()
        };
        check(settings, patient(12));
    }
}

#[test]
fn where_limits_have_to_be_traded_through() {
    let settings = PaperSettings {
        limit_fill: LimitFill::Through,
        use_depth: false,
        ..Default::default()
    };
    check(settings, Profile::default());
}

#[test]
fn where_orders_look_ahead() {
    let profile = Profile::default().without(Feature::NoLookAhead, "fill = \"signal_tick\"");
    let settings = PaperSettings {
        fill: FillOn::SignalTick,
        ..PaperSettings::default()
    };
    let report = check(settings.clone(), profile.clone());
    let skipped = report.skipped_names();
    assert!(skipped.contains(&"no_look_ahead"), "{report}");
    let settings = PaperSettings {
        simulation_latency_ms: 50,
        partial_fill_probability: 0.5,
        participation: 0.2,
        slippage_ticks: 1,
        ..settings
    };
    check(
        settings,
        Profile {
            latency_max: SECOND / 20,
            patience: 20,
            ..profile
        },
    );
}

#[test]
fn with_everything_at_once() {
    let settings = PaperSettings {
        simulation_latency_ms: 40,
        latency_jitter_ms: 60,
        slippage_bps: 1.5,
        participation: 0.3,
        partial_fill_probability: 0.7,
        limit_fill: LimitFill::Through,
        seed: 99,
        ..PaperSettings::default()
    };
    check(
        settings,
        Profile {
            latency_max: SECOND / 10,
            patience: 20,
            ..Profile::default()
        },
    );
}

/// A trader with one fault: the suite has to find it.
struct Faulty {
    inner: InPipelineSubject,
    fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    DropsFills,
    WorsePrice,
    RepeatsFills,
    NewTradeIdsForOldFills,
    FillsTooMuch,
    KeepsCancelsToItself,
    NeverExpires,
    ForgetsThePair,
    SeesLater,
    TakesEveryMarket,
    IgnoresModifications,
    CancelsTwice,
}

impl Subject for Faulty {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    fn profile(&self) -> Profile {
        self.inner.profile()
    }
    fn command(&mut self, command: &TraderCommand, now: Timestamp) {
        let mut command = *command;
        match (&mut command, self.fault) {
            (TraderCommand::Submit(intent), Fault::ForgetsThePair) => intent.oco = None,
            (TraderCommand::Modify { .. }, Fault::IgnoresModifications) => return,
            _ => {}
        }
        self.inner.command(&command, now);
    }
    fn market(&mut self, data: &MarketData<'_>, now: Timestamp) {
        if let (MarketData::Tick(tick, depth), Fault::TakesEveryMarket) = (data, self.fault) {
            let tick = model::Tick {
                instrument: Fixture::SHARE,
                ..**tick
            };
            return self.inner.market(&MarketData::Tick(&tick, *depth), now);
        }
        self.inner.market(data, now);
    }
    fn time(&mut self, now: Timestamp) {
        self.inner.time(now);
    }
    fn reports(&mut self) -> Vec<TraderReport> {
        let reports = self.inner.reports();
        let faulty = |report: &TraderReport| -> Vec<TraderReport> {
            let kind = |kind| TraderReport { kind, ..*report };
            match (report.kind, self.fault) {
                (ReportKind::Filled { .. }, Fault::DropsFills) => vec![],
                (
                    ReportKind::Filled {
                        trade,
                        side,
                        quantity,
                        price,
                        draws,
                    },
                    fault,
                ) => match fault {
                    Fault::WorsePrice => {
                        let price = Price::from_raw(price.raw() * 2);
                        vec![kind(ReportKind::Filled {
                            trade,
                            side,
                            quantity,
                            price,
                            draws,
                        })]
                    }
                    Fault::RepeatsFills => vec![*report, *report],
                    Fault::NewTradeIdsForOldFills => {
                        let trade = TradeId(trade.0 ^ 1);
                        vec![
                            *report,
                            kind(ReportKind::Filled {
                                trade,
                                side,
                                quantity,
                                price,
                                draws,
                            }),
                        ]
                    }
                    Fault::FillsTooMuch => {
                        let quantity = Quantity::from_raw(quantity.raw() + 1);
                        vec![kind(ReportKind::Filled {
                            trade,
                            side,
                            quantity,
                            price,
                            draws,
                        })]
                    }
                    _ => vec![*report],
                },
                (ReportKind::Cancelled(_), Fault::KeepsCancelsToItself) => vec![],
                (ReportKind::Cancelled(_), Fault::CancelsTwice) => vec![*report, *report],
                (ReportKind::Expired(_), Fault::NeverExpires) => vec![],
                (_, Fault::SeesLater) => {
                    vec![TraderReport {
                        ts: report.ts.plus(1),
                        ..*report
                    }]
                }
                _ => vec![*report],
            }
        };
        reports.iter().flat_map(faulty).collect()
    }
    fn restart(&mut self) -> Result<(), String> {
        self.inner.restart()
    }
}

#[test]
fn the_suite_finds_every_fault_and_names_the_case() {
    for (fault, case) in [
        (Fault::DropsFills, "market_order_completes"),
        (Fault::WorsePrice, "limit_holds"),
        (Fault::RepeatsFills, "market_order_completes"),
        (Fault::NewTradeIdsForOldFills, "market_order_completes"),
        (Fault::FillsTooMuch, "market_order_completes"),
        (Fault::KeepsCancelsToItself, "ioc_does_not_rest"),
        (Fault::CancelsTwice, "ioc_does_not_rest"),
        (Fault::NeverExpires, "day_order_expires"),
        (Fault::ForgetsThePair, "other_leg_is_cancelled"),
        (Fault::SeesLater, "market_order_completes"),
        (Fault::TakesEveryMarket, "no_look_ahead"),
        (Fault::IgnoresModifications, "modify_up"),
    ] {
        let mut make = |fixture: Fixture| -> Box<dyn Subject> {
            let inner = subject(&PaperSettings::default(), &Profile::default(), fixture);
            Box::new(Faulty { inner, fault })
        };
        let failure: Failure = run(&mut make, Options::default()).unwrap_err();
        assert_eq!(failure.case.name, case, "{fault:?}: {failure}");
        assert!(failure.to_string().contains("seed 1"), "{failure}");
    }
}
