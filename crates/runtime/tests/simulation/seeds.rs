//! Any number of seeds. `cargo xtask simulate --seeds N --from SEED` sets how many, and which.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::run::{Config, Simulation, Totals};

/// Runs seeds on every processor; those that failed, with why.
fn run(seeds: std::ops::Range<u64>, config: impl Fn(u64) -> Config + Sync) -> (Totals, Vec<u64>) {
    let next = AtomicU64::new(seeds.start);
    let sum = Mutex::new((Totals::default(), Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let config = config(seed);
                    let wanted = config.ignore_sync;
                    SILENT.set(wanted);
                    let outcome = catch_unwind(AssertUnwindSafe(|| Simulation::new(config).run()));
                    let mut sum = sum.lock().unwrap();
                    match outcome {
                        Ok((totals, _)) => {
                            sum.0.orders += totals.orders;
                            sum.0.fills += totals.fills;
                            sum.0.unknown += totals.unknown;
                            sum.0.crashes += totals.crashes;
                            sum.0.compared += totals.compared;
                            sum.0.parked += totals.parked;
                        }
                        Err(_) => {
                            if !wanted {
                                eprintln!("seed {seed}");
                            }
                            sum.1.push(seed);
                        }
                    }
                }
            });
        }
    });
    sum.into_inner().unwrap()
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[test]
fn every_seed_holds() {
    let (from, count) = (number("SIMULATE_FROM", 0), number("SIMULATE_SEEDS", 100));
    let started = std::time::Instant::now();
    let (totals, mut failed) = run(from..from + count, Config::of);
    failed.sort_unstable();
    println!(
        "{count} seeds from {from} in {:.1} s: {totals:?}",
        started.elapsed().as_secs_f64()
    );
    assert!(
        totals.parked > 0 || count < 100,
        "no start found a parked report"
    );
    assert!(
        failed.is_empty(),
        "{} of {count} seeds failed: {failed:?}; one again: cargo xtask simulate --seeds 1 --from {}",
        failed.len(),
        failed[0]
    );
}

/// The same on a disk whose syncs do nothing: most runs with a loss of power must not hold.
#[test]
fn a_build_without_sync_is_noticed() {
    quiet();
    let unsynced = |strict: bool| {
        move |seed| Config {
            ignore_sync: true,
            strict,
            crashes: 3,
            ..Config::of(seed)
        }
    };
    // At the first presentation of an order that is on no disk.
    let (_, failed) = run(0..20, unsynced(true));
    assert_eq!(failed.len(), 20, "the first presentation tells");
    // Also without a look at the disk, from what is missing after a loss of power.
    let (_, failed) = run(0..40, unsynced(false));
    assert!(
        failed.len() >= 20,
        "only {} of 40 seeds noticed",
        failed.len()
    );
}

/// The same over logs in memory, which lose what was not synced.
#[test]
fn every_seed_holds_over_logs_in_memory() {
    let in_memory = |seed| {
        let config = Config::of(seed);
        Config {
            memory: true,
            disk_faults: false,
            strict: false,
            slow: false,
            ..config
        }
    };
    let (totals, failed) = run(0..60, in_memory);
    assert!(failed.is_empty(), "{failed:?}");
    assert!(totals.crashes > 100 && totals.orders > 1_000, "{totals:?}");
}

/// Whatever befalls the namespace with the broker, the other's events are those of a run without it.
#[test]
fn a_namespace_alone_has_the_same_events() {
    let mut events = 0;
    for seed in 0..30 {
        let (_, both) = Simulation::new(Config::calm(seed, true)).run();
        let (_, alone) = Simulation::new(Config::calm(seed, false)).run();
        assert!(
            both[0] == alone[0],
            "seed {seed}: the paper namespace's events differ"
        );
        events += alone[0].len();
    }
    assert!(events > 10_000, "{events} events: too quiet a test");
}

/// A run is a function of its seed.
#[test]
fn a_seed_repeats() {
    for seed in [3, 8] {
        let run = || Simulation::new(Config::of(seed)).run();
        let (one, other) = (run(), run());
        assert!(one == other, "seed {seed}");
    }
}

/// Failures that are wanted print nothing.
fn quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !SILENT.get() {
                print(info);
            }
        }));
    });
}

thread_local! {
    static SILENT: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}
