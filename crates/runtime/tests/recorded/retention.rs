//! Old files go, and recovery misses nothing.

use std::path::Path;
use std::sync::Arc;

use journal::{Log, MARKET, Offset, RECORD_MAX, Retention};
use model::{Date, InputId};
use runtime::market::MarketHost;
use runtime::retention::market_floor;

use crate::world::{System, World};

const KEEP: u32 = 2;
const DAYS: i32 = 6;

fn day(n: i32) -> Date {
    Date::from_days(20_000 + n)
}

/// Which logs' old files are removed.
#[derive(Clone, Copy)]
struct Removed {
    market: bool,
    east: bool,
}

/// What is kept of the market log: a few days, or hardly a byte.
const KEPT: [Retention; 2] = [
    Retention {
        days: Some(KEEP),
        bytes: None,
    },
    Retention {
        days: None,
        bytes: Some(1),
    },
];

fn snapshot(system: &mut System) {
    for namespace in &mut system.namespaces {
        namespace.snapshot().unwrap();
    }
    system.market.snapshot(true).unwrap();
}

fn journals(world: &World, names: &[&str]) -> Vec<Arc<dyn Log>> {
    names.iter().map(|name| world.log(name)).collect()
}

/// Flips a bit of a snapshot's file.
fn damage(world: &World, name: &str, at: Offset) {
    let place = world.log(name).place();
    let file = format!("snapshot-{:020}.bin", at.0);
    world.disk.flip(&Path::new(&place).join(file), 60, 1);
}

/// Some days, each with two snapshots, then retention, then a crash in the middle of a day.
fn days(removed: Removed) -> World {
    days_kept(removed, KEPT[0])
}

fn days_kept(removed: Removed, keep: Retention) -> World {
    let mut world = World::new();
    let mut system = world.start();
    for n in 0..DAYS {
        assert!(system.market.begin_day(day(n)));
        for namespace in &mut system.namespaces {
            assert!(namespace.begin_day(day(n)).unwrap());
            assert!(!namespace.begin_day(day(n)).unwrap());
        }
        world.ticks(&mut system, 40);
        snapshot(&mut system);
        world.ticks(&mut system, 23);
        snapshot(&mut system);
    }
    // So late that only what recovery needs is kept.
    let today = day(DAYS + 100);
    if removed.market {
        let journals = journals(&world, &world.brokers);
        system.market.keep(keep);
        let gone = system.market.retain(&journals, today).unwrap();
        // The first start's and four days': the oldest snapshots refer to the fifth's last input.
        assert_eq!(gone.len(), 5);
        let kept = world.log(MARKET).spans().unwrap().len();
        assert_eq!(kept, DAYS as usize + 1 - gone.len());
    }
    if removed.east {
        system.namespaces[0].keep_days(KEEP);
        let gone = system.namespaces[0].retain(today).unwrap();
        // The oldest snapshot was saved behind all of the fifth day.
        assert_eq!(gone.len(), 6);
    }
    world.ticks(&mut system, 31);
    drop(system);
    world.disk.power_loss();
    world
}

/// Recovers and goes on: what every namespace has come to.
fn recovered(world: &mut World) -> Vec<String> {
    let mut system = world.start();
    for found in &system.recovered {
        assert!(
            found.snapshot.is_some() && found.missing.is_empty(),
            "{found:?}"
        );
    }
    world.ticks(&mut system, 90);
    system.fingerprints()
}

#[test]
fn recovery_works_whichever_log_has_lost_its_old_files() {
    let all = |market, east, keep| days_kept(Removed { market, east }, keep);
    let wanted = recovered(&mut all(false, false, KEPT[0]));
    for (market, east) in [(true, false), (false, true), (true, true)] {
        for keep in KEPT {
            let found = recovered(&mut all(market, east, keep));
            assert_eq!(found, wanted, "{market} {east} {keep:?}");
        }
    }
}

#[test]
fn an_older_snapshot_still_has_what_it_needs() {
    let wanted = recovered(&mut days(Removed {
        market: false,
        east: false,
    }));
    let mut world = days(Removed {
        market: true,
        east: true,
    });
    for name in ["east", MARKET] {
        let all = world.log(name).snapshots().list().unwrap();
        for at in &all[1..] {
            damage(&world, name, *at);
        }
    }
    assert_eq!(recovered(&mut world), wanted);
}

/// Puts what this build cannot read in place of the newest snapshot of a log.
fn of_another_build(world: &World, name: &str) -> Offset {
    let log = world.log(name);
    let (mut writer, _) = log.open(&journal::Owner::NONE).unwrap();
    writer.save_snapshot(&[7; 9], 2).unwrap();
    *log.snapshots().list().unwrap().last().unwrap()
}

#[test]
fn a_snapshot_of_another_build_costs_time_and_nothing_else() {
    let nothing = || {
        days(Removed {
            market: false,
            east: false,
        })
    };
    let wanted = recovered(&mut nothing());
    for name in ["east", MARKET] {
        let mut world = nothing();
        let at = of_another_build(&world, name);
        let mut system = world.start();
        let (snapshot, unread) = if name == MARKET {
            let found = &system.market_recovered;
            (found.snapshot, found.unread.clone().unwrap())
        } else {
            let found = &system.recovered[0];
            (found.snapshot, found.unread.clone().unwrap())
        };
        assert_eq!(snapshot, None);
        assert!(
            unread.contains(&format!("the snapshot at {at}: it was written by a")),
            "{unread}"
        );
        world.ticks(&mut system, 90);
        assert_eq!(system.fingerprints(), wanted, "{name}");
    }
}

/// The trader's part of a snapshot is bound to how the trader works: the books of the log are the same without it.
#[test]
fn a_snapshot_whose_trader_is_another_costs_time_and_nothing_else() {
    let removed = |east| {
        days(Removed {
            market: false,
            east,
        })
    };
    let mut world = removed(false);
    world.fill = paper::FillOn::SignalTick;
    let system = world.start();
    let found = &system.recovered[0];
    let unread = found.unread.clone().unwrap();
    assert!(
        found.snapshot.is_none() && unread.contains("the snapshot at "),
        "{unread}"
    );
    assert!(unread.contains("another `fill`"), "{unread}");
    // Without the log's beginning there is nothing to fall back on.
    let mut world = removed(true);
    world.fill = paper::FillOn::SignalTick;
    let error = world.try_start().err().unwrap().to_string();
    assert!(error.contains("another `fill`"), "{error}");
}

#[test]
fn a_log_without_its_beginning_needs_a_snapshot_that_can_be_read() {
    let removed = || {
        days(Removed {
            market: true,
            east: true,
        })
    };
    let said = |world: &World| match world.try_start() {
        Ok(_) => panic!("it starts"),
        Err(error) => error.to_string(),
    };
    for name in ["east", MARKET] {
        let world = removed();
        let at = of_another_build(&world, name);
        let error = said(&world);
        assert!(
            error.starts_with(&format!(
                "the state of `{name}`: the snapshot at {at}: it was"
            )) && error.ends_with("or read it with that build"),
            "{error}"
        );
        // What it refers to in the market log is not known, so nothing of that goes.
        if name == "east" {
            let floor = market_floor(
                world.log(MARKET).as_ref(),
                &journals(&world, &["east", "west"]),
            );
            assert_eq!(floor.unwrap_err().to_string(), error);
        }
    }
    let world = removed();
    for at in world.log("east").snapshots().list().unwrap() {
        damage(&world, "east", at);
    }
    assert_eq!(
        said(&world),
        "the state of `east`: no snapshot in journal/east can be read, and the journal's beginning has been removed: restore a snapshot file from a backup"
    );
}

#[test]
fn a_start_on_a_device_that_fails_says_so_and_the_next_one_goes_on() {
    let mut told = 0;
    for n in 1.. {
        let mut world = World::new();
        drop(world.session(40));
        world.disk.process_loss();
        world.disk.fail_sync(n);
        match world.try_start() {
            Ok(_) => break,
            Err(error) => {
                let error = error.to_string();
                assert!(
                    error.contains("the journal of `")
                        && error.contains("the device did not confirm a write"),
                    "sync {n}: {error}"
                );
            }
        }
        told += 1;
        world.disk.fail_sync(0);
        world.disk.power_loss();
        let mut system = world.start();
        world.ticks(&mut system, 40);
    }
    assert!(told > 5, "{told}");
}

#[test]
fn tables_that_are_too_large_for_a_record_are_refused_at_the_start() {
    for (brokers, says) in [
        (vec!["east"], "the journal of `east`: a record of "),
        (
            vec![],
            "the state of `market`: the journal of `market`: a record of ",
        ),
    ] {
        let mut world = World::new();
        world.brokers = brokers;
        world.settings = "x".repeat(RECORD_MAX);
        let error = world.try_start().err().unwrap().to_string();
        assert!(
            error.starts_with(says) && error.contains("is larger than the 921600 that a log takes"),
            "{error}"
        );
    }
}

#[test]
fn a_market_log_that_fails_is_failed_for_good_whatever_it_was_doing() {
    type Doing = fn(&World, &mut MarketHost);
    let unconfirmed = "the device did not confirm a write";
    let doing: [(&str, Doing, &str); 4] = [
        (
            "a day begins",
            |_, market| assert!(!market.begin_day(day(7))),
            unconfirmed,
        ),
        ("a commit", |_, market| market.commit(), unconfirmed),
        (
            "a batch on its way",
            |_, market| {
                market.submit(true).unwrap().carry();
                assert!(market.land());
            },
            unconfirmed,
        ),
        (
            "a batch that cannot set out",
            |world, market| {
                world.disk.read_only(true);
                assert!(market.submit(true).is_none());
            },
            "make the data directory writable",
        ),
    ];
    for (what, doing, says) in doing {
        let mut world = World::new();
        let mut system = world.session(3);
        let number = world.given;
        system.packet_uncommitted(number);
        world.disk.fail_sync(1);
        doing(&world, &mut system.market);
        let why = system.market.failed().map(str::to_owned);
        let why = why.unwrap_or_else(|| panic!("{what}: it has not failed"));
        assert!(
            why.starts_with("the journal of `market`: ") && why.contains(says),
            "{what}: {why}"
        );
        // It stays so once the device works again: what it holds is not known.
        world.disk.fail_sync(0);
        world.disk.read_only(false);
        system.market.commit();
        assert!(system.market.submit(true).is_none() && !system.market.is_dirty());
        assert!(!system.market.begin_day(day(9)));
        let saved = system.market.snapshot(true);
        assert_eq!(
            saved.unwrap_err().to_string(),
            format!("the state of `market`: {why}"),
            "{what}"
        );
        // The market goes on.
        system.packet_uncommitted(number + 1);
        assert_eq!(system.market.next_input(), number + 2);
    }
}

#[test]
fn nothing_goes_that_a_namespace_without_a_snapshot_needs() {
    let world = days(Removed {
        market: false,
        east: false,
    });
    let floor = |names: &[&str]| {
        let journals = journals(&world, names);
        market_floor(world.log(MARKET).as_ref(), &journals).unwrap()
    };
    assert!(floor(&["east", "west"]) > Offset::BEGINNING);
    assert_eq!(floor(&["east", "north"]), Offset::BEGINNING);
}

#[test]
fn what_is_kept_still_has_its_names() {
    let world = days(Removed {
        market: true,
        east: true,
    });
    let market = world.log(MARKET);
    let mut records = runtime::records::MarketRecords::open(market.as_ref()).unwrap();
    let first = records.next().unwrap().unwrap();
    assert!(first.position > Offset::BEGINNING && first.start.is_some());
    let input = runtime::records::market_input(market.as_ref(), InputId(300)).unwrap();
    assert!(input.unwrap().1.is_some());
    let gone = runtime::records::market_input(market.as_ref(), InputId(20)).unwrap();
    assert!(gone.is_none());
}
