//! Ticks through the feeds' queue, the runner and the namespaces, everything logged and synced.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::ensure;
use feeds::live::Batch;
use model::Timestamp;
use runtime::clock::wall;
use session::{BuiltIn, Session, StopRequest, prepare};

use super::figures::{Budget, Figure};
use super::system::{self, Plan, Ticks};

/// Ticks that are handed over at once.
const BATCH: usize = 256;
/// Ticks that may be under way: few enough that nothing is conflated.
const UNDER_WAY: u64 = 4096;

/// Trades now and then, on its own view of every tick.
const STRATEGIES: &str = "strategies:\n  - id: cross\n    kind: ema_cross\n    asset_classes: [equity]\n    parameters: { fast: 500, slow: 2000, quantity: 1, timeframe: tick }\n";

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// For so long.
    pub span: Duration,
    /// Ticks a second; as many as are taken, where it is zero.
    pub rate: u64,
}

/// Measures it, with two brokers.
pub fn measure(built_in: BuiltIn, dir: &Path, options: &Options) -> anyhow::Result<Vec<Figure>> {
    let (preparation, _called) = system::preparation(&Plan {
        built_in,
        dir,
        brokers: &[("first", "paper"), ("second", "paper")],
        strategies: STRATEGIES,
        keep_days: 0,
    })?;
    let session = Session::start(prepare(preparation)?, Arc::new(StopRequest::default()))?;
    let handles = Arc::clone(&session.handles);
    let taken = || {
        let members = handles.members.iter();
        members
            .map(|m| m.host.status().next_input.load(Ordering::Acquire))
            .min()
            .unwrap_or(0)
    };
    let bytes = || {
        let journals = handles.members.iter();
        let journals: u64 = journals
            .map(|m| m.host.status().journal_bytes.load(Ordering::Relaxed))
            .sum();
        handles.market.status().log_bytes.load(Ordering::Relaxed) + journals
    };
    std::thread::sleep(Duration::from_millis(200));
    let (mut ticks, mut batch) = (Ticks::default(), Batch::default());
    let (before, bytes_before) = (taken(), bytes());
    let (mut pushed, mut most_under_way) = (0, 0);
    let began = Instant::now();
    while began.elapsed() < options.span {
        let now = Timestamp(wall());
        for at in 0..BATCH as u64 {
            batch.tick(pushed + at, ticks.next(now, false), None);
        }
        ensure!(
            handles.queue.push(&mut batch),
            "the session takes no ticks any more"
        );
        pushed += BATCH as u64;
        // The simulated feed's few ticks count as taken as well: they only loosen the bound.
        let under_way = || (before + pushed).saturating_sub(taken());
        if let Some(due) = (pushed * 1_000_000_000).checked_div(options.rate) {
            most_under_way = under_way().max(most_under_way);
            let left = Duration::from_nanos(due).saturating_sub(began.elapsed());
            if !left.is_zero() {
                std::thread::sleep(left);
            }
            continue;
        }
        while under_way() > UNDER_WAY && began.elapsed() < options.span * 2 {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while taken() < before + pushed {
        ensure!(Instant::now() < deadline, "a namespace does not catch up");
        std::thread::sleep(Duration::from_millis(1));
    }
    let inputs = taken() - before;
    // What is still to be made durable is, when it has stopped.
    let members = handles.members.iter();
    let events = |m: &session::Member| m.host.status().events.load(Ordering::Relaxed);
    let orders = members.clone().next().map_or(0, events);
    let merged: u64 = members
        .map(|m| m.host.status().conflated.load(Ordering::Relaxed))
        .sum();
    let conflated = handles.queue.stats().conflated + merged;
    let ended = session.stop();
    let seconds = began.elapsed().as_secs_f64();
    ensure!(
        ended.failed.is_empty() && ended.detached.is_empty(),
        "the session did not stop in good order: {:?} {:?}",
        ended.failed,
        ended.detached
    );
    let per_tick = (bytes() - bytes_before) as f64 / inputs.max(1) as f64;
    let day = 6.25 * 3600.0;
    let mut figures = vec![
        Figure::held(
            "ticks/s to 2 brokers, logged and synced",
            inputs as f64 / seconds,
            Budget::AtLeast(100_000.0),
            "ticks/s",
        ),
        Figure::held(
            "ticks conflated",
            conflated as f64,
            Budget::Below(1.0),
            "ticks",
        ),
        Figure::told("ticks", inputs as f64, ""),
        Figure::told("events of one broker", orders as f64, ""),
        Figure::told("logs, of all brokers", per_tick, "bytes/tick"),
        Figure::told(
            "logs, 6.25 hours at 100000 ticks/s",
            per_tick * 100_000.0 * day / 1e9,
            "GB/day",
        ),
        Figure::told("logs, a day of 1 million ticks", per_tick, "MB/day"),
    ];
    if options.rate > 0 {
        let under_way = most_under_way as f64;
        figures.push(Figure::told("most ticks under way", under_way, "ticks"));
    }
    Ok(figures)
}
