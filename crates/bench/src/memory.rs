//! Resident memory over simulated days: it must not grow with them.

use std::path::Path;
use std::sync::Arc;

use feeds::live::Batch;
use model::Timestamp;
use model::time::{DAY, HOUR, MINUTE};
use runtime::clock::{FeedClock, SessionClock};
use session::{BuiltIn, prepare};

use super::driver::Driver;
use super::figures::{Budget, Figure};
use super::rss_bytes;
use super::storage::unsynced;
use super::system::{self, Plan, Ticks};

/// Days that count for nothing: buffers come to their size.
const WARM_UP: usize = 2;
/// Trading hours of a day.
const OPEN: i64 = 6 * HOUR + 15 * MINUTE;
/// A system that is flat grows by less than this from one day to the next.
const FLAT: f64 = 0.5;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Days.
    pub days: u32,
    /// Ticks of each.
    pub ticks: u64,
    /// Ticks from one order to the next.
    pub gap: u64,
}

/// Runs the days, and tells the memory at the end of each.
pub fn measure(built_in: BuiltIn, dir: &Path, options: &Options) -> anyhow::Result<Vec<Figure>> {
    let start = Timestamp(1_700_000_000 * model::time::SECOND / DAY * DAY);
    let clock = FeedClock::simulated(start);
    let (mut preparation, _called) = system::preparation(&Plan {
        built_in,
        dir,
        brokers: &[("bench", "bench"), ("paper", "paper")],
        strategies: system::PULSE,
        keep_days: 2,
    })?;
    // What is only told to whoever measures a latency would pile up.
    drop(_called);
    preparation.plugins.logs = Some(Box::new(unsynced));
    preparation.plugins.clock = Some(Arc::clone(&clock) as Arc<dyn SessionClock>);
    let mut driver = Driver::begin(prepare(preparation)?, 2)?;
    let (mut ticks, mut batch) = (Ticks::default(), Batch::default());
    let step = (OPEN / options.ticks.max(1) as i64).max(1);
    let mut at_end = Vec::new();
    for day in 0..i64::from(options.days) {
        let opens = start.plus(day * DAY + 4 * HOUR);
        let mut save_at = opens;
        for n in 0..options.ticks {
            let now = opens.plus(n as i64 * step);
            batch.tick(n, ticks.next(now, n % options.gap.max(1) == 0), None);
            if batch.items.len() >= 64 || n + 1 == options.ticks {
                driver.feed(&batch, now)?;
                batch.clear();
            }
            if now >= save_at {
                save_at = save_at.plus(MINUTE);
                driver.save()?;
            }
        }
        at_end.push(rss_bytes() as f64 / f64::from(1 << 20));
    }
    let mut figures: Vec<Figure> = at_end
        .iter()
        .enumerate()
        .map(|(day, mib)| Figure::told(format!("memory after day {}", day + 1), *mib, "MiB"))
        .collect();
    if let (Some(first), Some(last)) = (at_end.get(WARM_UP - 1), at_end.last())
        && at_end.len() > WARM_UP
    {
        let growth = (last - first) / (at_end.len() - WARM_UP) as f64;
        let what = format!("growth per day, after day {WARM_UP}");
        figures.push(Figure::held(what, growth, Budget::Below(FLAT), "MiB/day"));
    }
    figures.push(Figure::told("ticks per day", options.ticks as f64, ""));
    figures.push(Figure::told(
        "events of 2 brokers",
        driver.events() as f64,
        "",
    ));
    Ok(figures)
}
