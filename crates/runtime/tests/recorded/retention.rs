//! Old files go, and recovery misses nothing.

use std::path::{Path, PathBuf};

use journal::Position;
use model::{Date, InputId};
use runtime::layout::{MARKET, journal_dir};
use runtime::retention::{journals, market_floor};

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

fn snapshot(world: &World, system: &mut System) {
    let storage = world.storage();
    for namespace in &mut system.namespaces {
        let dir = journal_dir(namespace.name());
        namespace.snapshot(storage.as_ref(), &dir).unwrap();
    }
    system
        .market
        .snapshot(storage.as_ref(), Path::new(MARKET), true)
        .unwrap();
}

fn files(world: &World, dir: &Path) -> usize {
    journal::segments(world.storage().as_ref(), dir)
        .unwrap()
        .len()
}

/// Some days, each with two snapshots, then retention, then a crash in the middle of a day.
fn days(removed: Removed) -> World {
    let mut world = World::new();
    let mut system = world.start();
    for n in 0..DAYS {
        assert!(system.market.begin_day(day(n)));
        for namespace in &mut system.namespaces {
            assert!(namespace.begin_day(day(n)).unwrap());
            assert!(!namespace.begin_day(day(n)).unwrap());
        }
        world.ticks(&mut system, 40);
        snapshot(&world, &mut system);
        world.ticks(&mut system, 23);
        snapshot(&world, &mut system);
    }
    // So late that only what recovery needs is kept.
    let (storage, today) = (world.storage(), day(DAYS + 100));
    let market = PathBuf::from(MARKET);
    if removed.market {
        let names = journals(world.brokers.iter().copied());
        system.market.keep_days(KEEP);
        let gone = system
            .market
            .retain(storage.as_ref(), &market, &names, today)
            .unwrap();
        // The first start's and four days': the oldest snapshots refer to the fifth's last input.
        assert_eq!(gone.len(), 5);
        assert_eq!(files(&world, &market), DAYS as usize + 1 - gone.len());
    }
    if removed.east {
        let dir = journal_dir("east");
        system.namespaces[0].keep_days(KEEP);
        let gone = system.namespaces[0]
            .retain(storage.as_ref(), &dir, today)
            .unwrap();
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
    let all = |market, east| days(Removed { market, east });
    let wanted = recovered(&mut all(false, false));
    for (market, east) in [(true, false), (false, true), (true, true)] {
        assert_eq!(recovered(&mut all(market, east)), wanted, "{market} {east}");
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
    for dir in [journal_dir("east"), PathBuf::from(MARKET)] {
        let storage = world.storage();
        let all = journal::snapshot::list(storage.as_ref(), &dir).unwrap();
        for at in &all[1..] {
            let name = format!("snapshot-{:020}.bin", at.0);
            world.disk.flip(&dir.join(name), 60, 1);
        }
    }
    assert_eq!(recovered(&mut world), wanted);
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
    let mut world = nothing();
    let (storage, dir) = (world.storage(), journal_dir("east"));
    let newest = *journal::snapshot::list(storage.as_ref(), &dir)
        .unwrap()
        .last()
        .unwrap();
    journal::snapshot::save(
        storage.as_ref(),
        &dir,
        newest,
        &journal::Owner::NONE,
        &[7; 9],
        2,
    )
    .unwrap();
    let mut system = world.start();
    let found = &system.recovered[0];
    assert!(found.snapshot.is_none(), "{found:?}");
    assert!(found.unread.as_deref().unwrap().contains("another build"));
    world.ticks(&mut system, 90);
    assert_eq!(system.fingerprints(), wanted);
}

#[test]
fn nothing_goes_that_a_namespace_without_a_snapshot_needs() {
    let world = days(Removed {
        market: false,
        east: false,
    });
    let floor = |names: &[&str]| {
        let names = journals(names.iter().copied());
        market_floor(world.storage().as_ref(), Path::new(MARKET), &names).unwrap()
    };
    assert!(floor(&["east", "west"]) > Position(0));
    assert_eq!(floor(&["east", "north"]), Position(0));
}

#[test]
fn what_is_kept_still_has_its_names() {
    let world = days(Removed {
        market: true,
        east: true,
    });
    let storage = world.storage();
    let market = Path::new(MARKET);
    let mut records = runtime::records::MarketRecords::open(&storage, market, MARKET).unwrap();
    let first = records.next().unwrap().unwrap();
    assert!(first.position > Position(0) && first.start.is_some());
    let input = runtime::records::market_input(&storage, market, InputId(300)).unwrap();
    assert!(input.unwrap().1.is_some());
    let gone = runtime::records::market_input(&storage, market, InputId(20)).unwrap();
    assert!(gone.is_none());
}
