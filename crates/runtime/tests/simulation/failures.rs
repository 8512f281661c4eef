//! A namespace whose disk fails ends, and what it had acknowledged is there afterwards.

use std::path::Path;

use model::event::EventBody;

use crate::oracle::Story;
use crate::rig::Rig;
use crate::storage::Fault;
use crate::world::{Plan, Tables};

#[test]
fn a_failing_disk_ends_the_namespace_and_nothing_acknowledged_is_lost() {
    let mut told = 0;
    for seed in 0..60 {
        let fault = [Fault::Full, Fault::Sync, Fault::ReadOnly][(seed % 3) as usize];
        let mut rig = Rig::new(Plan::new(seed), true);
        rig.ticks(20 + seed);
        rig.storage.fail(Path::new("journal/desk"), fault);
        let mut failed = None;
        for _ in 0..200 {
            let (number, tick) = rig.next_tick();
            let taken = rig.tick(number, tick);
            if let Err(error) = taken.and_then(|()| rig.life().namespace.commit()) {
                failed = Some(error.to_string());
                break;
            }
        }
        let failed = failed.unwrap();
        assert!(failed.starts_with("the journal of `desk`"), "{failed}");
        // It is final, also once the device would work again.
        rig.storage.mend();
        assert!(rig.life().namespace.commit().is_err());
        // The market goes on without it.
        rig.life().market.commit();
        assert_eq!(rig.life().market.failed(), None);
        let acknowledged = rig.told.0.lock().unwrap().clone();
        rig.life = None;
        rig.disk.power_loss();
        rig.open(Tables::default()).unwrap();
        let story = Story::read(rig.journal().as_ref());
        assert_eq!(
            story.events.get(..acknowledged.len()),
            Some(&acknowledged[..]),
            "seed {seed}"
        );
        rig.ticks(30);
        told += acknowledged.len();
    }
    assert!(told > 5_000, "{told} events: too quiet a test");
}

#[test]
fn a_failing_market_log_is_told_and_stops_nothing() {
    let mut rig = Rig::new(Plan::new(5), true);
    rig.ticks(30);
    rig.storage.fail(Path::new("market"), Fault::Full);
    for _ in 0..400 {
        let (number, tick) = rig.next_tick();
        rig.tick(number, tick).unwrap();
        rig.life().market.commit();
        rig.life().namespace.commit().unwrap();
    }
    assert!(
        rig.life()
            .market
            .failed()
            .is_some_and(|why| why.contains("free some space"))
    );
    let before = rig.life().namespace.next_input();
    rig.storage.mend();
    rig.disk.power_loss();
    rig.open(Tables::default()).unwrap();
    // What the log has lost costs warmth, and no number comes twice.
    assert!(!rig.life().recovered.1.missing.is_empty());
    assert!(rig.life().market.next_input() > before);
    rig.ticks(50);
    let story = Story::read(rig.journal().as_ref());
    let orders = |e: &&model::event::Event| matches!(e.body, EventBody::OrderSubmitted(_));
    assert!(story.events.iter().filter(orders).count() > 20);
}
