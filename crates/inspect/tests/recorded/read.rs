//! Readers beside a running system.

use std::collections::HashSet;

use inspect::render::Names;
use inspect::{stats, trace};
use journal::record::JournalRecord;
use model::Timestamp;
use runtime::market::Cursor;
use runtime::records::{JournalRecords, MarketRecords, market_input};
use serde_json::Value;

use crate::world::{BEGIN, World};

fn events(world: &World, broker: &str) -> Vec<Value> {
    let mut records = JournalRecords::open(world.log(broker).as_ref()).unwrap();
    let mut all = Vec::new();
    while let Some(found) = records.next().unwrap() {
        if let JournalRecord::Run(run) = &found.record {
            let start = found.start.as_deref().unwrap();
            all.extend(
                run.placed()
                    .map(|(at, e)| Names(start).event(broker, e, at)),
            );
        }
    }
    all
}

#[test]
fn names_are_those_of_the_start_in_force_and_causes_can_be_followed() {
    let mut world = World::new();
    drop(world.session(100));
    world.symbols = vec!["AAA", "MID"];
    drop(world.session(100));
    let all = events(&world, "west");
    let ids: HashSet<&str> = all.iter().map(|e| e["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), all.len(), "ids are unique");
    let mut followed = 0;
    for event in &all {
        if let Some(instrument) = event.pointer("/intent/instrument") {
            assert_eq!(instrument, "NSE:MID");
        }
        let inside = !matches!(&event["cause"], Value::Object(cause)
            if cause.contains_key("input") || cause.contains_key("timer"));
        if inside {
            let cause = event["causation_id"].as_str().unwrap();
            assert!(ids.contains(cause), "{event} has a cause that is nowhere");
            followed += 1;
        }
    }
    assert!(followed > 20, "{followed}");
    // Another reader, which begins elsewhere, makes the same ids.
    assert_eq!(all, events(&world, "west"));
}

#[test]
fn a_follower_gets_what_is_written_after_it_began() {
    let mut world = World::new();
    let mut system = world.start();
    let mut records = JournalRecords::open(world.log("east").as_ref()).unwrap();
    let mut count = || {
        let mut count = 0;
        while records.next().unwrap().is_some() {
            count += 1;
        }
        count
    };
    assert_eq!((count(), count()), (1, 0));
    world.ticks(&mut system, 40);
    assert!(count() > 5);
    assert_eq!(count(), 0);
}

#[test]
fn a_decision_is_traced_over_all_namespaces_from_any_of_its_ids() {
    let mut world = World::new();
    drop(world.session(100));
    world.symbols = vec!["AAA", "MID"];
    drop(world.session(60));
    let (logs, names) = (world.logs(), world.names());
    let shared = events(&world, "east")
        .into_iter()
        .find(|e| e["type"] == "order_submitted" && e["intent"]["strategy"] == "clockwork")
        .unwrap();
    let text = |path: &str| shared.pointer(path).unwrap().as_str().unwrap().to_owned();
    let correlation = text("/correlation_id");
    for (id, what) in [
        (correlation[..12].to_owned(), "correlation id"),
        (text("/intent/signal_id"), "signal"),
        (text("/order_id"), "order"),
        (text("/client_order_id"), "client order id"),
    ] {
        let found: Vec<_> = trace::resolve(&logs, &names, &id)
            .unwrap()
            .into_iter()
            .collect();
        let [found] = found.as_slice() else {
            panic!("{what} {id}: {found:?}");
        };
        assert_eq!(found.what, what);
        assert_eq!(found.correlation.to_string(), correlation);
    }
    assert!(trace::resolve(&logs, &names, "zz").unwrap().is_empty());
    assert!(trace::resolve(&logs, &names, "").unwrap().is_empty());

    let life = trace::trace(&logs, &names, correlation.parse().unwrap()).unwrap();
    assert_eq!(life.moments[0].broker, "market");
    assert_eq!(life.moments[0].value["type"], "timer_due");
    for broker in ["east", "west"] {
        let mine = life.moments.iter().filter(|m| m.broker == broker);
        let kinds: Vec<_> = mine.map(|m| m.value["type"].as_str().unwrap()).collect();
        assert_eq!(kinds[0], "signal_raw");
        for kind in ["signal_validated", "order_submitted", "order_filled"] {
            assert!(kinds.contains(&kind), "{broker}: {kinds:?} lacks {kind}");
        }
    }
    assert!(life.moments.windows(2).all(|w| w[0].ts <= w[1].ts));
    let shown = life.text(&|at| at.to_string());
    assert!(
        shown.contains("order_filled") && shown.contains("+30.000 s"),
        "{shown}"
    );
    assert!(
        shown.contains("received → decided") || shown.contains("decided"),
        "{shown}"
    );
}

#[test]
fn growth_is_counted_by_day_and_one_input_is_found_in_the_market_log() {
    let mut world = World::new();
    drop(world.session(90));
    let day_of = |at: Timestamp| at.utc().0;
    let market = stats::read(world.log("market").as_ref(), &day_of).unwrap();
    assert_eq!((market.inputs, market.starts), (90, 1));
    assert_eq!(market.days.len(), 1);
    let east = stats::read(world.log("east").as_ref(), &day_of).unwrap();
    assert_eq!(east.inputs, 90);
    assert!(east.events["order_submitted"] > 1);
    let find = |n| market_input(world.log("market").as_ref(), model::InputId(n)).unwrap();
    assert_eq!(
        find(17).unwrap().0.data().ts(),
        Timestamp(BEGIN + 17_000_000_000)
    );
    assert!(find(90).is_none());
    // A signal's cause is never recorded twice.
    let raw = events(&world, "east")
        .into_iter()
        .filter(|e| e["type"] == "signal_raw");
    assert!(raw.count() > 1);
}

#[test]
fn a_place_of_an_earlier_start_is_read_under_its_tables() {
    let mut world = World::new();
    drop(world.session(20));
    world.symbols = vec!["AAA", "MID"];
    drop(world.session(20));
    let mut records = MarketRecords::open(world.log("market").as_ref()).unwrap();
    let place = loop {
        let found = records.next().unwrap().unwrap();
        let place = found.position;
        let mut inputs = found.record.into_inputs().into_iter();
        if inputs.any(|(id, _)| id == model::InputId(10)) {
            break place;
        }
    };
    // A namespace that has run inputs again saved their place, and its own, newer tables.
    let newer = world.start_record();
    let mut cursor = Cursor::new(world.log("market"), place, newer.clone(), Some(&newer));
    let mut seen = Vec::new();
    let (first, last) = (model::InputId(10), model::InputId(30));
    let missing = cursor.range(first, last, |_, item| {
        seen.push(item.data().instrument().index());
    });
    assert_eq!(missing.unwrap(), None);
    assert_eq!(seen, [1; 21]);
}
