//! Sees to it that nothing waits for what never returns.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use model::StrategyIdx;

use super::namespace::{NamespaceHost, Notice};
use crate::clock::uptime;
use crate::driver::probe::StrategyProbe;

/// What is watched.
pub struct Watched {
    /// The runner's strategies.
    pub runner: Arc<StrategyProbe>,
    /// A shared strategy that has not returned for so long ends the process.
    pub strategy_hang: Duration,
    /// What to do then: say which, remember it, end.
    pub on_hang: Arc<dyn Fn(StrategyIdx) + Send + Sync>,
    /// The namespaces.
    pub namespaces: Vec<Arc<NamespaceHost>>,
    /// A namespace that has not come round for so long is detached.
    pub namespace_deadline: Duration,
    /// Who is told.
    pub notice: Notice,
}

/// The thread.
#[derive(Debug)]
pub struct Watchdog {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts to watch.
    pub fn start(watched: Watched) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Acquire) {
                    watched.look();
                    std::thread::park_timeout(Duration::from_millis(20));
                }
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Watched {
    fn look(&self) {
        if let Some((strategy, took)) = self.runner.running()
            && took > self.strategy_hang
        {
            (self.on_hang)(strategy);
        }
        for namespace in &self.namespaces {
            let status = namespace.status();
            let beat = status.beat.load(Ordering::Acquire);
            if beat == 0 || status.ended.load(Ordering::Acquire) {
                continue;
            }
            let silent = u64::try_from(uptime() - beat).unwrap_or(0);
            if Duration::from_nanos(silent) > self.namespace_deadline {
                let silent = Duration::from_nanos(silent).as_secs_f64();
                let waits_for = status
                    .waits_for
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                let (code, cause) = match waits_for {
                    Some(what) => (
                        "trader_hang",
                        format!(
                            "its broker has held it up for {silent:.1} s ({what}): look after the broker, then start again"
                        ),
                    ),
                    None => (
                        "namespace_hang",
                        format!(
                            "nothing has moved in it for {silent:.1} s: look at the disk and at its strategies, then start again"
                        ),
                    ),
                };
                let why = format!(
                    "{cause}; until then it is taken out, and what it had made durable is kept"
                );
                namespace.detach(code, why, &self.notice);
            }
        }
    }
}
