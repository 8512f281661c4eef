//! From a tick that the feed hands over to the order that is handed to an outside trader.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use feeds::live::Batch;
use journal::MemoryLogs;
use model::Timestamp;
use runtime::clock::wall;
use session::{BuiltIn, Session, StopRequest, prepare};

use super::bare::Chain;
use super::figures::{Budget, Figure, rank};
use super::system::{self, Plan, Ticks};

/// Orders before those that count.
const WARM_UP: usize = 20;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Intents are made durable on the disk.
    pub durable: bool,
    /// Orders that count.
    pub orders: usize,
    /// Ticks a second.
    pub ticks_per_second: u64,
    /// Ticks from one order to the next.
    pub gap: u64,
}

/// Runs the system and the bare chain side by side: a tick for the one, half a period later a token for
/// the other, so that both meet the same moments of the machine.
pub fn measure(built_in: BuiltIn, dir: &Path, options: &Options) -> anyhow::Result<Vec<Figure>> {
    let (mut preparation, called) = system::preparation(&Plan {
        built_in,
        dir,
        brokers: &[("bench", "bench")],
        strategies: system::PULSE,
        keep_days: 0,
    })?;
    let file = if options.durable {
        let path = dir.join("bare.log");
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        let length = 16 << 20;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, length)
            .or_else(|_| file.set_len(length).map_err(|_| rustix::io::Errno::IO))
            .with_context(|| path.display().to_string())?;
        file.sync_all()?;
        Some(file)
    } else {
        preparation.plugins.logs = Some(Box::new(|_| Ok(Arc::new(MemoryLogs::default()))));
        None
    };
    let session = Session::start(prepare(preparation)?, Arc::new(StopRequest::default()))?;
    connected(&session)?;
    let chain = Chain::start(file)?;
    let period = Duration::from_nanos(1_000_000_000 / options.ticks_per_second.max(1));
    let gap = options.gap.max(2);
    let wanted = options.orders + WARM_UP;
    let (mut ticks, mut batch) = (Ticks::default(), Batch::default());
    let (mut pushed, mut system) = (None, Vec::with_capacity(wanted));
    let mut took = |pushed: Instant, submitted: Instant| {
        system.push(submitted.saturating_duration_since(pushed).as_nanos() as u64);
        system.len()
    };
    let began = Instant::now();
    for n in 0.. {
        until(began + period * n as u32);
        if let Some(at) = pushed
            && let Ok(submitted) = called.try_recv()
        {
            pushed = None;
            if took(at, submitted) == wanted {
                break;
            }
        }
        // The machine may stall for longer than the gap: the next order waits for the one before, which it
        // would otherwise change instead of being one of its own.
        let is_order = n % gap == 0 && pushed.is_none();
        batch.tick(n, ticks.next(Timestamp(wall()), is_order), None);
        let at = Instant::now();
        ensure!(
            session.handles.queue.push(&mut batch),
            "the session takes no ticks any more"
        );
        if is_order {
            pushed = Some(at);
        }
        if pushed.is_some_and(|at| at.elapsed() >= Duration::from_secs(5)) {
            let members = session.handles.members.iter();
            let blocks: Vec<_> = members
                .map(|m| m.reader.read(|p| p.risk().blocks().to_vec()))
                .collect();
            bail!(
                "an order did not reach the trader within 5 s; entries are blocked by {blocks:?}"
            );
        }
        until(began + period * n as u32 + period / 2);
        chain.push(n % gap == gap / 2);
    }
    ensure!(
        called.try_recv().is_err(),
        "the trader was called more often than there were orders"
    );
    let bare = chain.finish()?;
    let ended = session.stop();
    ensure!(
        ended.failed.is_empty() && ended.detached.is_empty(),
        "the session did not stop in good order: {:?} {:?}",
        ended.failed,
        ended.detached
    );
    Ok(figures(options, bare, system))
}

fn figures(options: &Options, bare: Vec<u64>, system: Vec<u64>) -> Vec<Figure> {
    let counted = |mut all: Vec<u64>| {
        all.drain(..WARM_UP.min(all.len()));
        all.sort_unstable();
        all
    };
    let (bare, system) = (counted(bare), counted(system));
    let us = |sorted: &[u64], in_thousand| rank(sorted, in_thousand) as f64 / 1e3;
    let (name, unit) = (
        if options.durable {
            "intent durable"
        } else {
            "without the disk"
        },
        "µs",
    );
    let p50 = |over| Budget::Below(us(&bare, 500) + over);
    let p99 = |over| Budget::Below(us(&bare, 990) + over);
    let told = |what: &str, value| Figure::told(format!("{name}: {what}"), value, unit);
    let held =
        |what: &str, value, budget| Figure::held(format!("{name}: {what}"), value, budget, unit);
    let mut all = vec![
        told("bare chain p50", us(&bare, 500)),
        told("bare chain p99", us(&bare, 990)),
    ];
    if options.durable {
        all.push(told("tick to order p50", us(&system, 500)));
        all.push(held("tick to order p99", us(&system, 990), p99(200.0)));
    } else {
        all.push(held("tick to order p50", us(&system, 500), p50(50.0)));
        all.push(held("tick to order p99", us(&system, 990), p99(150.0)));
    }
    let orders = system.len() as f64;
    all.push(Figure::told(format!("{name}: orders"), orders, ""));
    all
}

/// Sleeps until then.
fn until(at: Instant) {
    let left = at.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        std::thread::sleep(left);
    }
}

/// Waits until every link is there.
pub fn connected(session: &Session) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let links = || {
        session
            .handles
            .members
            .iter()
            .filter_map(|m| m.link.as_ref())
    };
    while !links().all(|link| link.connected.load(Ordering::Acquire)) {
        ensure!(Instant::now() < deadline, "a link does not connect");
        std::thread::sleep(Duration::from_millis(1));
    }
    // What connecting causes is done.
    std::thread::sleep(Duration::from_millis(100));
    Ok(())
}
