//! A recorded journal is decided again.

use inspect::replay::{ReplayReport, replay};
use journal::record::{JournalRecord, JournalRecordRef, RunRef, decode};
use journal::{Offset, Owner};
use model::InputId;
use model::event::EventBody;
use runtime::namespace::ReplayParts;

use crate::world::World;

fn again(world: &World, journal: &str, market: &str) -> ReplayReport {
    replay(ReplayParts {
        journal: world.log(journal),
        market: world.log(market),
        pipeline: world.pipeline("east"),
        start: world.start_record(),
    })
    .unwrap()
}

/// Copies a log record by record.
fn copy(world: &World, from: &str, to: &str, mut change: impl FnMut(&mut JournalRecord)) {
    let mut reader = world.log(from).read(Offset::BEGINNING).unwrap();
    let (mut log, _) = world.log(to).open(&Owner::NONE).unwrap();
    while let Some((_, bytes)) = reader.next().unwrap() {
        let mut record: JournalRecord = decode(bytes).unwrap();
        change(&mut record);
        let record = match &record {
            JournalRecord::Start(start) => JournalRecordRef::Start(start),
            JournalRecord::Run(run) => JournalRecordRef::Run(RunRef {
                step: run.step,
                inputs: &run.inputs,
                outputs: &run.outputs,
                host: run.host,
            }),
            JournalRecord::Stop { at, why } => JournalRecordRef::Stop { at: *at, why },
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes).unwrap();
        log.append(&bytes).unwrap();
    }
    log.commit().unwrap();
}

#[test]
fn the_same_build_and_settings_come_to_the_same_events_over_several_starts() {
    let mut world = World::new();
    for ticks in [200, 1, 150] {
        // As a live source does.
        world.source += 1;
        drop(world.session(ticks));
        world.disk.process_loss();
    }
    let report = again(&world, "east", "market");
    assert_eq!(report.first_difference, None);
    assert!(report.is_equal() && report.compared == report.events);
    assert!(report.events > 50, "{report:?}");
    assert!(report.missing.is_empty() && report.not_comparable.is_empty());
}

#[test]
fn one_tampered_event_is_found() {
    let mut world = World::new();
    drop(world.session(200));
    let (tampered, mut step) = ("forged", None);
    copy(&world, "east", tampered, |record| {
        if let JournalRecord::Run(run) = record
            && step.is_none()
            && run.step > 5
            && let Some(intent) = run.outputs.iter_mut().find_map(|e| match &mut e.body {
                EventBody::OrderSubmitted(intent) => Some(intent),
                _ => None,
            })
        {
            intent.quantity = model::Quantity::from_int(6).unwrap();
            step = Some(run.step);
        }
    });
    let found = again(&world, tampered, "market").first_difference.unwrap();
    assert_eq!(Some(found.step), step);
    let quantity = |value: Option<serde_json::Value>| {
        let value = value.unwrap();
        value["intent"]["quantity"].as_str().unwrap().to_owned()
    };
    assert_eq!(quantity(found.recorded), "6");
    assert_ne!(quantity(found.decided), "6");
    assert!(!found.after_gap);
}

#[test]
fn what_other_settings_decided_is_taken_as_it_is() {
    let mut world = World::new();
    drop(world.session(120));
    world.settings = "settings = 2".to_owned();
    // New tables as well: the index of what is traded changes.
    world.symbols = vec!["AAA", "MID"];
    drop(world.session(120));
    let report = again(&world, "east", "market");
    assert_eq!(report.first_difference, None);
    let [part] = report.not_comparable.as_slice() else {
        panic!("{report:?}");
    };
    assert_eq!(
        (part.epoch, part.differs.as_slice()),
        (1, &["the settings", "the instruments"][..])
    );
    assert!(report.compared > 0 && report.compared < report.events);

    world.settings = "settings = 3".to_owned();
    let report = again(&world, "east", "market");
    assert_eq!((report.compared, report.not_comparable.len()), (0, 2));
    assert!(!report.is_equal());
}

#[test]
fn a_lost_market_range_is_named() {
    let mut world = World::new();
    drop(world.session(60));
    let report = again(&world, "east", "another");
    assert!(!report.missing.is_empty());
    assert_eq!(report.missing[0].0, InputId(0));
}
