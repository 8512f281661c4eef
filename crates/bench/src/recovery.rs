//! From a crash at the end of a trading day to a system that is ready again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::ensure;
use feeds::live::Batch;
use model::Timestamp;
use model::time::{MINUTE, SECOND};
use runtime::clock::{FeedClock, SessionClock, wall};
use session::{BuiltIn, Session, StopRequest, prepare};

use super::driver::Driver;
use super::figures::{Budget, Figure};
use super::latency::connected;
use super::storage::unsynced;
use super::system::{self, Plan, Ticks};

/// A trading day.
const DAY: i64 = 6 * 60 * MINUTE + 15 * MINUTE;
/// The brokers: one inside its pipeline, one outside.
const BROKERS: [(&str, &str); 2] = [("bench", "bench"), ("paper", "paper")];

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Ticks of the day.
    pub ticks: u64,
    /// Ticks from one order to the next.
    pub gap: u64,
}

/// A directory as it is after a crash at the end of the day; `snapshots` were saved each minute.
fn build(plan: &Plan<'_>, options: &Options, snapshots: bool) -> anyhow::Result<u64> {
    let end = wall();
    let step = (DAY / options.ticks.max(1) as i64).max(1);
    let start = Timestamp(end - step * options.ticks as i64);
    let clock = FeedClock::simulated(start);
    let (mut preparation, _called) = system::preparation(plan)?;
    preparation.plugins.logs = Some(Box::new(unsynced));
    preparation.plugins.clock = Some(Arc::clone(&clock) as Arc<dyn SessionClock>);
    let mut driver = Driver::begin(prepare(preparation)?, 0)?;
    let (mut ticks, mut batch) = (Ticks::default(), Batch::default());
    let mut now = start;
    // The crash comes 59 seconds after the last of them.
    let first = (end - 59 * SECOND - start.nanos()).rem_euclid(MINUTE);
    let mut save_at = start.plus(first);
    for n in 0..options.ticks {
        now = now.plus(step);
        batch.tick(n, ticks.next(now, n % options.gap.max(1) == 0), None);
        if batch.items.len() >= 64 || n + 1 == options.ticks || now >= save_at {
            driver.feed(&batch, now)?;
            batch.clear();
        }
        if now >= save_at {
            save_at = save_at.plus(MINUTE);
            if snapshots {
                driver.save()?;
            }
        }
    }
    Ok(driver.events())
}

/// Builds the directory, starts from it, and tells how long that took.
pub fn measure(
    built_in: BuiltIn,
    dir: &Path,
    options: &Options,
    snapshots: bool,
) -> anyhow::Result<Vec<Figure>> {
    let plan = Plan {
        built_in,
        dir,
        brokers: &BROKERS,
        strategies: system::PULSE,
        keep_days: 0,
    };
    let events = build(&plan, options, snapshots)?;
    let (preparation, _called) = system::preparation(&plan)?;
    let began = Instant::now();
    let opened = prepare(preparation)?;
    let prepared = began.elapsed();
    let session = Session::start(opened, Arc::new(StopRequest::default()))?;
    let handles = &session.handles;
    // The first input of this start says that all before it has been taken.
    let market = handles.market.status();
    let behind = || {
        let next = market.next_input.load(Ordering::Acquire);
        handles
            .members
            .iter()
            .any(|m| m.host.status().next_input.load(Ordering::Acquire) + 64 < next)
            || next < options.ticks
    };
    while behind() {
        ensure!(
            began.elapsed() < Duration::from_secs(300),
            "the system does not come back"
        );
        std::thread::sleep(Duration::from_micros(500));
    }
    let took = began.elapsed();
    connected(&session)?;
    let (mut records, mut inputs) = (0, 0);
    for (_, recovered) in &session.recovered {
        records += recovered.records;
        inputs += recovered.inputs;
    }
    let again = session.market_recovered.inputs;
    session.stop();
    let name = if snapshots {
        "a snapshot each minute"
    } else {
        "no snapshot"
    };
    let seconds = |time: Duration| time.as_secs_f64();
    let told = |what: &str, value: u64| Figure::told(format!("{name}: {what}"), value as f64, "");
    Ok(vec![
        Figure::held(
            format!("{name}: restart until ready"),
            (seconds(took) * 1000.0).round(),
            Budget::Below(2000.0),
            "ms",
        ),
        Figure::told(
            format!("{name}: of it, namespaces recovered"),
            (seconds(prepared) * 1000.0).round(),
            "ms",
        ),
        told("ticks of the day", options.ticks),
        told("events of the day, of 2 brokers", events),
        told("journal records read", records),
        told("market inputs observed again", inputs),
        told("market inputs run again", again),
    ])
}
