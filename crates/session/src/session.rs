//! A session from start to end: threads in the order of the pipeline, stopped in the reverse order.

mod starter;
mod stopping;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use feeds::live::supervise::Supervision;
use feeds::live::{Feed, FeedQueue, Policy, Replay, ReplayRange};
use model::Timestamp;
use model::control::{Command, CommandAction};
use model::ids::{CommandId, NameHash};
use model::reason::Reason;
use model::topic::Namespace;
use pipeline::strategy_host::CallProbe;
use runtime::driver::Detached;
use runtime::driver::market::MarketMessage;
use runtime::driver::probe::StrategyProbe;
use runtime::host::namespace::NamespaceHost;
use runtime::host::watchdog::Watched;
use runtime::market::MarketRecovered;
use runtime::namespace::Recovered;

pub use self::stopping::Unprotected;

use self::starter::{Starter, hang, last_prices};
use self::stopping::{on_stop, unprotected};
use super::handles::{Excluded, Handles, StopRequest};
use super::letters::{Letters, Targets};
use super::monitor::Monitor;
use super::narrate;
use super::open::{Opened, Recording};
use crate::compose;
use crate::feeding::Subscriptions;
use crate::lifecycle::Lifecycle;

/// The time that stopping takes at most in a live session.
const STOP: Duration = Duration::from_secs(5);
/// A replay is in lockstep: what was handed over is worked off.
const STOP_REPLAY: Duration = Duration::from_secs(120);

/// A running system.
pub struct Session {
    /// What others may look at and tell.
    pub handles: Arc<Handles>,
    /// What was recovered, by namespace.
    pub recovered: Vec<(String, Recovered)>,
    /// What was recovered of the market log.
    pub market_recovered: MarketRecovered,
    lifecycle: Lifecycle,
    unsaved: Arc<Mutex<Option<String>>>,
    /// When a replay was seen to have delivered everything.
    delivered: OnceLock<Instant>,
    /// The file that the data directory is known by, as it was at the start.
    identity: Option<(PathBuf, u64)>,
    _lock: journal::DirLock,
}

/// How a session ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// Parts that did not stop in time, or failed as they did, and how.
    pub failed: Vec<String>,
    /// Namespaces that were taken out, and why.
    pub detached: Vec<(String, Detached)>,
    /// Why the market log could not be written any more.
    pub market: Option<String>,
    /// Logs whose last snapshot could not be saved, and why: the next start reads more of them.
    pub unsaved: Vec<(String, String)>,
    /// Positions without protection at the broker.
    pub unprotected: Vec<Unprotected>,
}

fn identity(data_dir: &Path) -> Option<(PathBuf, u64)> {
    let path = data_dir.join(runtime::directory::FILE);
    let found = std::fs::metadata(&path).ok()?;
    Some((path, found.ino()))
}

impl Session {
    /// Starts everything. A part that fails to start stops what had started before it.
    pub fn start(opened: Opened, stop: Arc<StopRequest>) -> anyhow::Result<Self> {
        let Opened {
            lock,
            logs,
            directory,
            market,
            settings,
            instruments,
            sessions,
            clock,
            mut runner,
            ready,
            excluded,
            strategies,
            start,
            shared,
            replay,
            exchange,
            feeds,
            warnings: _,
            end_of_hang,
        } = opened;
        let live = clock.is_live();
        let limits = settings.live.runtime.clone();
        let patience = Duration::from_secs(limits.namespace_deadline_seconds);
        // A replay decides nothing by how long a call takes.
        let probe = StrategyProbe::new(Duration::from_millis(match limits.strategy_budget_ms {
            budget if live && budget > 0 => budget,
            _ => u64::MAX / 2_000_000,
        }));
        runner.set_probe(Some(Arc::clone(&probe) as Arc<dyn CallProbe>));
        let nexts: Vec<u64> = ready.iter().map(|r| r.namespace.next_input()).collect();
        let last_prices = last_prices(&ready, &instruments);
        let monitor = Arc::<Monitor>::default();
        let names: Vec<Namespace> = ready
            .iter()
            .map(|r| r.broker.table.namespace.clone())
            .collect();
        let (letters, waiting) = Letters::new(&names);
        let mut starter = Starter {
            settings,
            logs,
            directory,
            clock,
            instruments,
            sessions,
            notice: Arc::new(narrate::detached),
            lifecycle: Lifecycle::new(if live { STOP } else { STOP_REPLAY }),
            left: Arc::default(),
            unsaved: Arc::default(),
            letters,
        };
        starter.letters_thread(waiting)?;
        let excluded = excluded
            .into_iter()
            .map(|(name, why)| Excluded {
                kind: starter
                    .settings
                    .brokers
                    .get(&name)
                    .map_or_else(String::new, |b| b.kind.clone()),
                why: Detached {
                    code: "journal",
                    why,
                },
                name,
            })
            .collect();
        let started = Arc::new(Mutex::new(Vec::new()));
        starter.last_snapshot(&started)?;
        let mut recovered = Vec::new();
        let mut members = Vec::new();
        let readers = starter.readers(&ready, &start, &strategies)?;
        for (part, reader) in ready.into_iter().zip(readers) {
            recovered.push((part.namespace.name().to_owned(), part.recovered.clone()));
            let member = starter.namespace(part, reader)?;
            let mut started = started.lock().unwrap_or_else(PoisonError::into_inner);
            started.push(Arc::clone(&member.host));
            drop(started);
            members.push(member);
        }
        let hosts: Vec<Arc<NamespaceHost>> = members.iter().map(|m| Arc::clone(&m.host)).collect();
        // From here on strategies are called, also over what is run again.
        starter.watchdog(Watched {
            runner: Arc::clone(&probe),
            strategy_hang: Duration::from_secs(limits.strategy_hang_seconds),
            on_hang: hang(&starter.settings, &strategies, end_of_hang),
            namespaces: hosts.clone(),
            namespace_deadline: patience,
            notice: Arc::clone(&starter.notice),
        })?;
        let hung = starter.what_hung(&strategies);
        let (market, market_recovered) =
            starter.recover_market(market, runner, &start, nexts, &hosts, hung.clone())?;
        let mut sources: Vec<(Box<dyn Feed>, Supervision)> = Vec::new();
        if let Some(recording) = replay {
            let feed = &recording.settings;
            let zone = starter.settings.data.zone()?;
            let bound = |text: &Option<String>, open| {
                text.as_ref().map_or(anyhow::Ok(open), |t| {
                    Ok(feeds::clock::parse_bound(t, &zone)?)
                })
            };
            let range = ReplayRange {
                from_row: market.next_input(),
                from: bound(&feed.start, Timestamp::MIN)?,
                to: bound(&feed.end, Timestamp::MAX)?,
            };
            let speed = feed.speed().map_err(anyhow::Error::msg)?;
            let supervision = Supervision {
                stale_after: None,
                ..Supervision::default()
            };
            let told = Box::new(|jump: &feeds::DayJump<'_>| {
                tracing::warn!(channel = "feeds", "{jump}");
            });
            let Recording {
                name, loaded, map, ..
            } = recording;
            let known = Arc::clone(&starter.instruments);
            let replay = Replay::new(&name, loaded, known, map, range, speed).on_jump(told);
            sources.push((Box::new(replay), supervision));
        }
        if let Some(exchange) = &exchange {
            exchange.resume(starter.clock.now(), &last_prices);
        }
        for (name, settings) in &starter.settings.live.feeds {
            let clock = Arc::clone(&starter.clock);
            let now = Arc::new(move || clock.now());
            let built = compose::feed(&feeds, name, settings, &starter.instruments, now)?;
            let supervision = Supervision {
                stale_after: Some(Duration::from_secs(settings.stale_after_seconds)),
                ..Supervision::default()
            };
            sources.extend(built.map(|feed| (feed, supervision)));
        }
        let now = starter.clock.now();
        let sources = starter.ask(sources, now)?;
        let feeds = starter.settings.live.feeds.values();
        let capacity = feeds.map(|f| f.queue_capacity).max().unwrap_or(65_536);
        let policy = if live {
            Policy::Conflate
        } else {
            Policy::Block
        };
        let queue = Arc::new(FeedQueue::new(capacity, policy, sources.len()));
        let market = starter.market(market, &queue, &hosts, live.then(|| Arc::clone(&probe)))?;
        for strategy in hung {
            let name = strategies.get(strategy.index()).map_or("", String::as_str);
            let now = starter.clock.now().nanos();
            let command = Command::of_system(
                CommandId::of_failure(NameHash::of(name), now),
                CommandAction::DisableStrategy(strategy, Reason::StrategyTimeout),
            );
            market.tell(MarketMessage::Switch(command));
        }
        let mut feed_states = Vec::new();
        let mut asked = Vec::new();
        for (feed, supervision) in sources {
            let share = feed.instruments().to_vec();
            let (name, thread) = starter.feed(feed, supervision, &queue, &hosts)?;
            feed_states.push((name, Arc::clone(thread.status())));
            asked.push((thread, share));
        }
        let known = Arc::clone(&starter.instruments);
        let subscriptions = Subscriptions::new(asked, known, Arc::clone(&starter.sessions), now);
        starter.letters.connect(Targets {
            hosts: hosts.clone(),
            queue: Arc::clone(&queue),
            instruments: Arc::clone(&starter.instruments),
            live,
        });
        let handles = Arc::new(Handles {
            letters: Arc::clone(&starter.letters),
            settings: starter.settings.clone(),
            instruments: Arc::clone(&starter.instruments),
            start,
            shared,
            members,
            excluded,
            market,
            feeds: feed_states,
            queue,
            clock: Arc::clone(&starter.clock),
            monitor,
            began: Instant::now(),
            stop,
            logs: Arc::clone(&starter.logs),
            switching: Mutex::default(),
            is_stopping: AtomicBool::new(false),
        });
        starter.monitor(&handles, subscriptions)?;
        starter.control(&handles)?;
        // The market log has been listed in it by now, which wrote it anew.
        let identity = identity(&handles.settings.live.data_dir);
        Ok(Self {
            handles,
            recovered,
            market_recovered,
            lifecycle: starter.lifecycle,
            unsaved: starter.unsaved,
            delivered: OnceLock::new(),
            identity,
            _lock: lock,
        })
    }

    /// Whether a replay has delivered everything and its namespaces have taken it, or nothing can go on.
    pub fn is_over(&self) -> bool {
        if !self.handles.market.status().ended.load(Ordering::Acquire) {
            return false;
        }
        let delivered = self.delivered.get_or_init(Instant::now);
        self.handles.clock.is_live()
            || !stopping::is_behind(&self.handles)
            || delivered.elapsed() > STOP_REPLAY
    }

    /// Why nothing that is written from now on would be found again: the data directory has been removed,
    /// renamed or replaced. The files that are open can be written to still, and that is all.
    pub fn lost_directory(&self) -> Option<String> {
        let (path, inode) = self.identity.as_ref()?;
        let is_there = match std::fs::metadata(path) {
            Ok(found) => found.ino() == *inode,
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        };
        (!is_there).then(|| {
            format!(
                "the data directory was removed or replaced while the system ran ({} is gone): put it back or restore it from a backup, and look up at the broker what was ordered since",
                path.display()
            )
        })
    }

    /// Does what `on_stop` says, then stops everything in the reverse order of the start.
    pub fn stop(mut self) -> Ended {
        let handles = Arc::clone(&self.handles);
        let mut ended = Ended::default();
        if handles.clock.is_live() {
            on_stop(&handles);
        }
        handles.is_stopping.store(true, Ordering::Release);
        for out in &handles.excluded {
            ended.detached.push((out.name.clone(), out.why.clone()));
        }
        ended.failed = self.lifecycle.stop().troubles().collect();
        ended.unprotected = unprotected(&handles);
        let failed = &handles.market.status().failed;
        let why = |mutex: &Mutex<Option<String>>| {
            mutex.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        ended.market = why(failed);
        if let Some(why) = why(&self.unsaved) {
            ended.unsaved.push(("market log".to_owned(), why));
        }
        for member in &handles.members {
            let status = member.host.status();
            if let Some(detached) = status.detached() {
                ended.detached.push((member.name.clone(), detached));
            } else if let Some(why) = status.snapshots.why() {
                ended.unsaved.push((member.name.clone(), why));
            }
        }
        ended
    }
}
