//! One ordered life of the parts of a process: started one after the other, stopped in reverse.
//!
//! Whatever a part does when it is stopped, the parts before it are stopped too, each once, and all of
//! them within one deadline: an operator who stops a system must not wait for a part that hangs.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Something that runs until it is stopped.
pub trait Part: Send {
    /// Stops, within `patience` if it can, and says what went wrong.
    fn stop(&mut self, patience: Duration) -> Result<(), String>;
}

/// Any closure is a part.
impl<F: FnMut(Duration) -> Result<(), String> + Send> Part for F {
    fn stop(&mut self, patience: Duration) -> Result<(), String> {
        self(patience)
    }
}

/// How a part stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// In order.
    Clean,
    /// With an error.
    Failed(String),
    /// It panicked.
    Panicked(String),
    /// It had not returned at the deadline, and was left behind.
    LeftBehind,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("stopped"),
            Self::Failed(error) => write!(f, "stopped with an error: {error}"),
            Self::Panicked(said) => write!(f, "failed while it stopped: {said}"),
            Self::LeftBehind => f.write_str("did not stop in time and was left behind"),
        }
    }
}

/// How all parts stopped, in the order in which they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Each part by its name.
    pub parts: Vec<(String, Stop)>,
}

impl Stopped {
    /// What went wrong, one sentence for each part.
    pub fn troubles(&self) -> impl Iterator<Item = String> {
        self.parts
            .iter()
            .filter(|(_, stop)| *stop != Stop::Clean)
            .map(|(name, stop)| format!("{name} {stop}"))
    }
}

/// Why a start failed; what had started is stopped by then.
#[derive(Debug, thiserror::Error)]
#[error("{part} did not start")]
pub struct StartError {
    /// The part that failed.
    pub part: String,
    /// Its error.
    pub source: anyhow::Error,
    /// How the parts before it stopped.
    pub stopped: Stopped,
}

/// What is kept of the deadline for each part that is still to be stopped, as a share of the whole: one
/// that hangs must not leave the others without time. What needs more than twenty parts goes beyond it.
const SHARE: u32 = 20;

/// The parts that run, in the order of their starts.
pub struct Lifecycle {
    parts: Vec<(String, Box<dyn Part>)>,
    patience: Duration,
}

impl Lifecycle {
    /// None yet; all of them together have `patience` to stop.
    pub fn new(patience: Duration) -> Self {
        Self {
            parts: Vec::new(),
            patience,
        }
    }

    /// Starts a part. If it fails or panics, all that had started is stopped, and nothing is left to
    /// stop later.
    pub fn start<P: Part + 'static>(
        &mut self,
        name: &str,
        start: impl FnOnce() -> anyhow::Result<P>,
    ) -> Result<(), StartError> {
        let started = catch_unwind(AssertUnwindSafe(start))
            .unwrap_or_else(|panic| Err(anyhow::anyhow!("failed: {}", said(&*panic))));
        match started {
            Ok(part) => {
                self.parts.push((name.to_owned(), Box::new(part)));
                Ok(())
            }
            Err(source) => Err(StartError {
                part: name.to_owned(),
                source,
                stopped: self.stop(),
            }),
        }
    }

    /// Stops all parts, the last one first, each once. A second call finds none.
    pub fn stop(&mut self) -> Stopped {
        let deadline = Instant::now() + self.patience;
        let mut stopped = Stopped::default();
        while let Some((name, part)) = self.parts.pop() {
            let share = self.patience / SHARE;
            let kept = share.saturating_mul(u32::try_from(self.parts.len()).unwrap_or(u32::MAX));
            let left = deadline.saturating_duration_since(Instant::now());
            let how = stop_within(&name, part, left.saturating_sub(kept).max(share));
            stopped.parts.push((name, how));
        }
        stopped
    }
}

/// What is still running when its owner goes away is stopped too.
impl Drop for Lifecycle {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Stops one part on a thread of its own, which is left behind when it hangs.
fn stop_within(name: &str, mut part: Box<dyn Part>, patience: Duration) -> Stop {
    let (report, reported) = mpsc::sync_channel(1);
    let stopper = thread::Builder::new()
        .name(format!("stop {name}"))
        .spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| part.stop(patience)));
            let how = match outcome {
                Ok(Ok(())) => Stop::Clean,
                Ok(Err(error)) => Stop::Failed(error),
                Err(panic) => Stop::Panicked(said(&*panic)),
            };
            // What a part does when it is dropped belongs to its stop.
            let how = match catch_unwind(AssertUnwindSafe(|| drop(part))) {
                Ok(()) => how,
                Err(panic) => Stop::Panicked(said(&*panic)),
            };
            // Nobody listens any more when it comes too late.
            let _late = report.send(how);
        });
    if let Err(error) = stopper {
        return Stop::Failed(format!("no thread to stop it on: {error}"));
    }
    reported.recv_timeout(patience).unwrap_or(Stop::LeftBehind)
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Fault {
        None,
        Error,
        Panic,
        Hang,
    }

    const PARTS: [&str; 4] = ["storage", "market", "namespace", "feed"];

    type Log = Arc<Mutex<Vec<String>>>;

    fn part(name: &'static str, fault: Fault, log: &Log) -> impl Part + use<> {
        let log = Arc::clone(log);
        move |_patience: Duration| {
            log.lock().unwrap().push(name.to_owned());
            match fault {
                Fault::None => Ok(()),
                Fault::Error => Err("no".to_owned()),
                Fault::Panic => panic!("boom"),
                Fault::Hang => loop {
                    thread::park();
                },
            }
        }
    }

    /// Only what hangs is waited for; a slow machine must not fail a test.
    fn patience(fault: Fault) -> Duration {
        match fault {
            Fault::Hang => Duration::from_millis(400),
            _ => Duration::from_secs(60),
        }
    }

    /// What was stopped, once that many were: a part that was left behind may only begin now.
    fn settled(log: &Log, wanted: usize) -> Vec<String> {
        for _ in 0..6_000 {
            if log.lock().unwrap().len() >= wanted {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        log.lock().unwrap().clone()
    }

    fn reverse(parts: &[&str], stopped: &Stopped, log: &Log, fault: Fault) {
        let wanted: Vec<&str> = parts.iter().rev().copied().collect();
        let names: Vec<&str> = stopped
            .parts
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, wanted);
        let mut called = settled(log, parts.len());
        let mut wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        if fault == Fault::Hang {
            // Parts that were not waited for may have come in any order.
            called.sort();
            wanted.sort();
        }
        assert_eq!(called, wanted, "each exactly once");
    }

    #[test]
    fn a_part_that_does_not_stop_keeps_no_other_from_it() {
        for fault in [Fault::None, Fault::Error, Fault::Panic, Fault::Hang] {
            for faulty in 0..PARTS.len() {
                let log = Log::default();
                let mut life = Lifecycle::new(patience(fault));
                for (at, name) in PARTS.into_iter().enumerate() {
                    let fault = if at == faulty { fault } else { Fault::None };
                    life.start(name, || Ok(part(name, fault, &log))).unwrap();
                }
                let stopped = life.stop();
                reverse(&PARTS, &stopped, &log, fault);
                let how = &stopped.parts[PARTS.len() - 1 - faulty].1;
                let wanted = match fault {
                    Fault::None => Stop::Clean,
                    Fault::Error => Stop::Failed("no".to_owned()),
                    Fault::Panic => Stop::Panicked("boom".to_owned()),
                    Fault::Hang => Stop::LeftBehind,
                };
                assert_eq!(*how, wanted, "{fault:?} {faulty}");
                assert_eq!(stopped.troubles().next().is_none(), fault == Fault::None);
                if fault != Fault::Hang {
                    let troubles = usize::from(fault != Fault::None);
                    assert_eq!(stopped.troubles().count(), troubles);
                }
                // Exactly once, also when the owner goes away.
                assert_eq!(life.stop(), Stopped::default());
                drop(life);
                assert_eq!(log.lock().unwrap().len(), PARTS.len());
            }
        }
    }

    #[test]
    fn a_failed_start_stops_what_had_started_whatever_that_does() {
        for start in [Fault::Error, Fault::Panic] {
            for stop in [Fault::None, Fault::Error, Fault::Panic, Fault::Hang] {
                for failing in 0..PARTS.len() {
                    let log = Log::default();
                    let mut life = Lifecycle::new(patience(stop));
                    let mut result = Ok(());
                    for (at, name) in PARTS.into_iter().enumerate() {
                        result = life.start(name, || match start {
                            _ if at < failing => Ok(part(name, stop, &log)),
                            Fault::Panic => panic!("no luck"),
                            _ => Err(anyhow::anyhow!("no luck")),
                        });
                        if result.is_err() {
                            break;
                        }
                    }
                    let error = result.unwrap_err();
                    assert_eq!(error.part, PARTS[failing]);
                    assert!(error.source.to_string().contains("no luck"));
                    reverse(&PARTS[..failing], &error.stopped, &log, stop);
                    let hung = stop == Fault::Hang && failing > 0;
                    let left = |(_, stop): &(String, Stop)| *stop == Stop::LeftBehind;
                    assert_eq!(error.stopped.parts.iter().any(left), hung);
                    assert_eq!(life.stop(), Stopped::default());
                }
            }
        }
    }
}
