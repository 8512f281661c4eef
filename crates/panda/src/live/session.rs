//! A session from start to end: threads in the order of the pipeline, stopped in the reverse order.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use feeds::live::supervise::{FeedState, Supervision};
use feeds::live::{Feed, FeedQueue, Policy, Replay, ReplayRange, SimulatedFeed};
use journal::Storage;
use model::control::{Command, CommandAction};
use model::event::Event;
use model::ids::CommandId;
use model::reason::Reason;
use model::session::Sessions;
use model::topic::Namespace;
use model::{InstrumentIdx, Instruments, StrategyIdx, Timestamp};
use pipeline::strategy_host::CallProbe;
use runtime::clock::SessionClock;
use runtime::host::link::{Link, Unreadable};
use runtime::host::market::{MarketMessage, MarketParts, MarketThread, MarketThreadSettings};
use runtime::host::namespace::{Foreign, NamespaceHost, NamespaceHostSettings, Notice, Speaker};
use runtime::host::watchdog::{StrategyProbe, Watchdog, Watched};
use runtime::host::{Detached, Message};
use runtime::inbox::{Inbox, Refused};
use runtime::layout::{MARKET, journal_dir};
use runtime::lockstep::Lockstep;
use runtime::market::{MarketHost, MarketRecovered, MarketRecovery};
use runtime::namespace::Recovered;

use super::control::ControlServer;
use super::feeding::{FeedPlan, FeedThread};
use super::handles::{Excluded, Handles, Member, StopRequest};
use super::hanging;
use super::letters::{Clerk, Letters, Posts, Targets};
use super::monitor::Monitor;
use super::narrate;
use super::open::{Opened, Ready, log_options};
use crate::lifecycle::Lifecycle;
use crate::settings::live::FeedSource;
use crate::settings::{OnStop, Settings};

/// The time that stopping takes at most in a live session.
const STOP: Duration = Duration::from_secs(5);
/// Of it, what `on_stop` may take.
const ON_STOP: Duration = Duration::from_millis(1500);
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
    _lock: journal::DirLock,
}

/// A position that is left without protection at the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unprotected {
    /// The namespace.
    pub broker: String,
    /// Whose.
    pub strategy: String,
    /// In what.
    pub instrument: String,
    /// How much, signed.
    pub quantity: String,
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
    /// Positions without protection at the broker.
    pub unprotected: Vec<Unprotected>,
}

/// Starts the parts of a session in the order of the pipeline.
struct Starter {
    settings: Settings,
    storage: Arc<dyn Storage>,
    clock: Arc<dyn SessionClock>,
    instruments: Arc<Instruments>,
    sessions: Arc<dyn Sessions>,
    notice: Notice,
    lifecycle: Lifecycle,
    /// The runner, once its thread has ended.
    left: Arc<Mutex<Option<MarketHost>>>,
    /// Why the runner's last state could not be saved.
    unsaved: Arc<Mutex<Option<String>>>,
    letters: Arc<Letters>,
}

impl Session {
    /// Starts everything. A part that fails to start stops what had started before it.
    pub fn start(opened: Opened, stop: Arc<StopRequest>) -> anyhow::Result<Self> {
        let Opened {
            lock,
            storage,
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
            warnings: _,
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
        let monitor = Monitor::new(ready.len());
        let names: Vec<Namespace> = ready
            .iter()
            .map(|r| r.broker.table.namespace.clone())
            .collect();
        let (letters, posts) = Letters::new(&names);
        let mut starter = Starter {
            settings,
            storage,
            clock,
            instruments,
            sessions,
            notice: Arc::new(narrate::detached),
            lifecycle: Lifecycle::new(if live { STOP } else { STOP_REPLAY }),
            left: Arc::default(),
            unsaved: Arc::default(),
            letters,
        };
        starter.clerk(posts)?;
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
        for part in ready {
            recovered.push((part.namespace.name().to_owned(), part.recovered.clone()));
            let index = members.len();
            let names = narrate::Narrator::new(part.namespace.name(), &start);
            let tap = monitor.tap(index, Arc::new(move |event: &Event| names.event(event)));
            let member = starter.namespace(part, tap)?;
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
            on_hang: hang(&starter.settings, &strategies),
            namespaces: hosts.clone(),
            namespace_deadline: patience,
            notice: Arc::clone(&starter.notice),
        })?;
        let hung = starter.what_hung(&strategies);
        let (market, market_recovered) =
            starter.recover_market(runner, &start, nexts, &hosts, patience, hung.clone())?;
        let mut sources: Vec<(Box<dyn Feed>, Supervision)> = Vec::new();
        let all: Vec<InstrumentIdx> = starter.instruments.iter().map(|(index, _)| index).collect();
        if let Some((name, feed, loaded)) = replay {
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
            let speed = feed.speed()?;
            let supervision = Supervision {
                stale_after: None,
                ..Supervision::default()
            };
            let told = Box::new(|jump: &feeds::DayJump<'_>| {
                tracing::warn!(channel = "feeds", "{jump}");
            });
            let replay = Replay::new(&name, loaded, all.clone(), range, speed).on_jump(told);
            sources.push((Box::new(replay), supervision));
        }
        if let Some(exchange) = &exchange {
            exchange.resume(starter.clock.now(), &last_prices);
            for (name, feed) in &starter.settings.live.feeds {
                if feed.source == FeedSource::Simulated {
                    let supervision = Supervision {
                        stale_after: Some(Duration::from_secs(feed.stale_after_seconds)),
                        ..Supervision::default()
                    };
                    let clock = Arc::clone(&starter.clock);
                    let now = Arc::new(move || clock.now());
                    let feed = SimulatedFeed::new(name, exchange.clone(), all.clone(), now);
                    sources.push((Box::new(feed), supervision));
                }
            }
        }
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
            let switch = MarketMessage::Switch(strategy, false, Reason::StrategyTimeout);
            market.tell(switch);
        }
        let mut feed_states = Vec::new();
        for (feed, supervision) in sources {
            feed_states.push(starter.feed(feed, supervision, &queue, &hosts)?);
        }
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
            is_stopping: AtomicBool::new(false),
        });
        starter.monitor(&handles)?;
        starter.control(&handles)?;
        Ok(Self {
            handles,
            recovered,
            market_recovered,
            lifecycle: starter.lifecycle,
            unsaved: starter.unsaved,
            _lock: lock,
        })
    }

    /// Whether a replay has delivered everything, or nothing can go on.
    pub fn is_over(&self) -> bool {
        self.handles.market.status().ended.load(Ordering::Acquire)
    }

    /// Does what `on_stop` says, then stops everything in the reverse order of the start.
    pub fn stop(mut self) -> Ended {
        let handles = Arc::clone(&self.handles);
        let mut ended = Ended::default();
        if handles.clock.is_live() {
            on_stop(&handles);
        }
        handles.is_stopping.store(true, Ordering::Release);
        ended.unprotected = unprotected(&handles);
        for out in &handles.excluded {
            ended.detached.push((out.name.clone(), out.why.clone()));
        }
        ended.failed = self.lifecycle.stop().troubles().collect();
        let failed = &handles.market.status().failed;
        let why = |mutex: &Mutex<Option<String>>| {
            mutex.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        ended.market = why(failed).or_else(|| why(&self.unsaved));
        for member in &handles.members {
            if let Some(detached) = member.host.status().detached() {
                ended.detached.push((member.name.clone(), detached));
            }
        }
        ended
    }
}

/// Stops a part.
type Stopping = Box<dyn FnMut(Duration) -> Result<(), String> + Send>;

impl Starter {
    /// Starts a part, and keeps how it is stopped.
    fn part<T>(
        &mut self,
        name: &str,
        start: impl FnOnce() -> anyhow::Result<(T, Stopping)>,
    ) -> anyhow::Result<T> {
        let mut made = None;
        self.lifecycle.start(name, || {
            let (value, stopping) = start()?;
            made = Some(value);
            Ok(stopping)
        })?;
        made.with_context(|| format!("{name} did not start"))
    }

    fn namespace(
        &mut self,
        part: Ready,
        tap: Option<Box<dyn runtime::namespace::Tap>>,
    ) -> anyhow::Result<Member> {
        let Ready {
            mut namespace,
            outside,
            broker,
            ..
        } = part;
        let kind = broker.table.kind.clone();
        let name = namespace.name().to_owned();
        namespace.set_tap(tap);
        let limits = &self.settings.live.runtime;
        let inbox = Arc::new(Inbox::new(limits.queue_capacity));
        let unreadable: Unreadable = {
            let (letters, namespace) = (Arc::clone(&self.letters), broker.table.namespace.clone());
            Arc::new(move |what, why| {
                narrate::unreadable(namespace.as_str(), what, why);
                letters.unreadable(&namespace, what, why);
            })
        };
        let foreign: Foreign = {
            let (letters, namespace) = (Arc::clone(&self.letters), broker.table.namespace);
            Arc::new(move |report| {
                narrate::foreign(namespace.as_str(), report);
                letters.foreign(&namespace, report);
            })
        };
        let live = self.clock.is_live();
        let (speaker, link, is_outside) = match outside {
            None => (Speaker::Inside, None, false),
            Some(trader) if live => {
                let link = Link::start(
                    &name,
                    trader,
                    Arc::clone(&inbox),
                    Arc::clone(&self.clock),
                    unreadable,
                )
                .with_context(|| format!("the link of `{name}`"))?;
                let status = Arc::clone(link.status());
                (Speaker::Link(link), Some(status), true)
            }
            Some(trader) => {
                let lockstep = Lockstep::new(trader, unreadable);
                (Speaker::Lockstep(lockstep), None, true)
            }
        };
        let settings = NamespaceHostSettings {
            sync_interval: self.settings.live.sync_interval(),
            snapshot_interval: self.settings.live.snapshot_interval(),
            conflate_above: limits.conflate_above,
            call_deadline: Duration::from_secs(limits.call_deadline_seconds),
            storage: Arc::clone(&self.storage),
            dir: journal_dir(&name),
            foreign,
        };
        let (clock, notice) = (Arc::clone(&self.clock), Arc::clone(&self.notice));
        let host = self.part(&format!("namespace {name}"), || {
            let host = NamespaceHost::start(namespace, inbox, clock, speaker, settings, notice)?;
            let host = Arc::new(host);
            let stopping = Arc::clone(&host);
            anyhow::Ok((
                host,
                Box::new(move |patience: Duration| {
                    if stopping.stop(patience) || stopping.status().is_fenced() {
                        Ok(())
                    } else {
                        Err("its thread did not end; what it had made durable is kept".to_owned())
                    }
                }) as Stopping,
            ))
        })?;
        Ok(Member {
            name,
            kind,
            is_outside,
            host,
            link,
        })
    }

    fn recover_market(
        &mut self,
        runner: pipeline::Runner,
        start: &journal::record::Start,
        namespaces: Vec<u64>,
        hosts: &[Arc<NamespaceHost>],
        patience: Duration,
        disabled: Vec<StrategyIdx>,
    ) -> anyhow::Result<(MarketHost, MarketRecovered)> {
        let recovery = MarketRecovery {
            storage: Arc::clone(&self.storage),
            dir: PathBuf::from(MARKET),
            runner,
            start: start.clone(),
            clock: Arc::clone(&self.clock),
            options: log_options(),
            namespaces,
            disabled,
        };
        let notice = Arc::clone(&self.notice);
        let opened = MarketHost::open(recovery, &mut |packet| {
            let packet = Arc::new(packet);
            for host in hosts {
                if host.inbox().push(&packet, patience) == Err(Refused::Full) {
                    let why = "it did not take what is run again after the restart: it is taken out until the next start".to_owned();
                    host.detach("queue_full", why, &notice);
                }
            }
            Ok(())
        });
        match opened {
            Ok(opened) => Ok(opened),
            Err(error) => {
                self.lifecycle.stop();
                Err(error.into())
            }
        }
    }

    fn market(
        &mut self,
        mut host: MarketHost,
        queue: &Arc<FeedQueue>,
        namespaces: &[Arc<NamespaceHost>],
        probe: Option<Arc<StrategyProbe>>,
    ) -> anyhow::Result<Arc<MarketThread>> {
        let limits = &self.settings.live.runtime;
        host.keep_days(self.settings.live.log.market_keep_days);
        let parts = MarketParts {
            host,
            queue: Arc::clone(queue),
            namespaces: namespaces.to_vec(),
            clock: Arc::clone(&self.clock),
            probe,
            instruments: Arc::clone(&self.instruments),
            sessions: Arc::clone(&self.sessions),
            settings: MarketThreadSettings {
                sync_interval: self.settings.live.sync_interval(),
                snapshot_interval: self.settings.live.snapshot_interval(),
                patience: Duration::from_secs(limits.namespace_deadline_seconds),
                storage: Arc::clone(&self.storage),
                dir: PathBuf::from(MARKET),
            },
            notice: Arc::clone(&self.notice),
            failed: Arc::new(narrate::market_failed),
        };
        let left = Arc::clone(&self.left);
        self.part("runner", || {
            let thread = Arc::new(MarketThread::start(parts)?);
            let stopping = Arc::clone(&thread);
            anyhow::Ok((
                thread,
                Box::new(move |patience: Duration| {
                    let host = stopping
                        .stop(patience)
                        .ok_or("it did not end in time, or had failed")?;
                    *left.lock().unwrap_or_else(PoisonError::into_inner) = Some(host);
                    Ok(())
                }) as Stopping,
            ))
        })
    }

    /// Stopped last: the runner's state is of use at the next start only where every namespace has
    /// made durable what came before it, so it is saved when they have ended.
    fn last_snapshot(&mut self, hosts: &Arc<Mutex<Vec<Arc<NamespaceHost>>>>) -> anyhow::Result<()> {
        let (left, hosts) = (Arc::clone(&self.left), Arc::clone(hosts));
        let (storage, unsaved) = (Arc::clone(&self.storage), Arc::clone(&self.unsaved));
        self.part("market log", || {
            anyhow::Ok((
                (),
                Box::new(move |_: Duration| {
                    let left = left.lock().unwrap_or_else(PoisonError::into_inner).take();
                    let Some(mut market) = left else {
                        return Ok(());
                    };
                    // Its end has been told; there is nothing that a snapshot could stand on.
                    if market.failed().is_some() {
                        return Ok(());
                    }
                    let hosts = hosts.lock().unwrap_or_else(PoisonError::into_inner);
                    let drained = hosts.iter().all(|host| {
                        let status = host.status();
                        status.ended.load(Ordering::Acquire) && status.detached().is_none()
                    });
                    let saved = market.snapshot(storage.as_ref(), &PathBuf::from(MARKET), drained);
                    if let Err(error) = saved {
                        // It has stopped in order; the next start runs more of the log again.
                        let mut unsaved = unsaved.lock().unwrap_or_else(PoisonError::into_inner);
                        *unsaved = Some(error.to_string());
                    }
                    Ok(())
                }) as Stopping,
            ))
        })
    }

    /// A shared strategy that never returned has ended the process before: it starts disabled.
    fn what_hung(&self, strategies: &[String]) -> Vec<StrategyIdx> {
        let mut hung = Vec::new();
        for name in hanging::remembered(&self.settings.live.data_dir) {
            if let Some(at) = strategies.iter().position(|s| *s == name) {
                narrate::starts_disabled(&name);
                hung.push(StrategyIdx(at as u32));
            }
        }
        hung
    }

    fn watchdog(&mut self, watched: Watched) -> anyhow::Result<()> {
        self.part("watchdog", || {
            let mut watchdog = Watchdog::start(watched)?;
            anyhow::Ok((
                (),
                Box::new(move |_: Duration| {
                    watchdog.stop();
                    Ok(())
                }) as Stopping,
            ))
        })
    }

    fn feed(
        &mut self,
        feed: Box<dyn Feed>,
        supervision: Supervision,
        queue: &Arc<FeedQueue>,
        hosts: &[Arc<NamespaceHost>],
    ) -> anyhow::Result<(String, Arc<feeds::live::supervise::FeedStatus>)> {
        let name = feed.name().to_owned();
        let blocked = Mutex::new(false);
        let (hosts, clock) = (hosts.to_vec(), Arc::clone(&self.clock));
        let letters = Arc::clone(&self.letters);
        let instruments = Arc::clone(&self.instruments);
        let plan = FeedPlan {
            feed,
            supervision,
            queue: Arc::clone(queue),
            changed: Arc::new(move |name, state| {
                narrate::feed(name, state);
                let stale = matches!(state, FeedState::Stale | FeedState::Failed(_));
                let mut blocked = blocked.lock().unwrap_or_else(PoisonError::into_inner);
                if clock.is_live() && *blocked != stale {
                    *blocked = stale;
                    block_entries(&hosts, stale, clock.now());
                }
            }),
            rejected: Arc::new(move |name, item, why| {
                narrate::nonsense(name, item, why.code());
                letters.nonsense(&instruments, name, item, why);
            }),
            sessions: Arc::clone(&self.sessions),
            instruments: Arc::clone(&self.instruments),
        };
        let closing = Arc::clone(queue);
        self.part(&format!("feed {name}"), || {
            let thread = FeedThread::start(plan)?;
            let status = Arc::clone(thread.status());
            anyhow::Ok((
                (name.clone(), status),
                Box::new(move |patience: Duration| {
                    // A feed that waits for room is let go.
                    closing.close();
                    if thread.stop(patience) {
                        Ok(())
                    } else {
                        Err("it did not end in time".to_owned())
                    }
                }) as Stopping,
            ))
        })
    }

    /// Stopped after everything that may have something to park.
    fn clerk(&mut self, posts: Posts) -> anyhow::Result<()> {
        let (letters, storage) = (Arc::clone(&self.letters), Arc::clone(&self.storage));
        self.part("dead letters", || {
            let mut clerk = Clerk::start(letters, posts, storage)?;
            anyhow::Ok((
                (),
                Box::new(move |patience: Duration| {
                    if clerk.stop(patience) {
                        Ok(())
                    } else {
                        Err("not all could be written in time".to_owned())
                    }
                }) as Stopping,
            ))
        })
    }

    fn monitor(&mut self, handles: &Arc<Handles>) -> anyhow::Result<()> {
        let handles = Arc::clone(handles);
        self.part("monitor", || {
            let over = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&over);
            let thread = std::thread::Builder::new()
                .name("monitor".to_owned())
                .spawn(move || {
                    while !told.load(Ordering::Acquire) {
                        handles.monitor.sample(&handles);
                        std::thread::park_timeout(Duration::from_secs(1));
                    }
                })?;
            let mut thread = Some(thread);
            anyhow::Ok((
                (),
                Box::new(move |_: Duration| {
                    over.store(true, Ordering::Release);
                    thread.take().map_or(Ok(()), |thread| {
                        thread.thread().unpark();
                        thread.join().map_err(|_| "its code failed".to_owned())
                    })
                }) as Stopping,
            ))
        })
    }

    fn control(&mut self, handles: &Arc<Handles>) -> anyhow::Result<()> {
        let data_dir = self.settings.live.data_dir.clone();
        let handles = Arc::clone(handles);
        self.part("control", || {
            let mut server = ControlServer::start(&data_dir, handles)?;
            anyhow::Ok((
                (),
                Box::new(move |_: Duration| {
                    server.stop();
                    Ok(())
                }) as Stopping,
            ))
        })
    }
}

fn last_prices(ready: &[Ready], instruments: &Instruments) -> Vec<(InstrumentIdx, model::Price)> {
    instruments
        .iter()
        .filter_map(|(index, _)| {
            let of = |r: &Ready| r.namespace.pipeline().portfolio().last(index);
            let newest = ready.iter().map(of).max_by_key(|last| last.ts)?;
            (newest.price > model::Price::ZERO).then_some((index, newest.price))
        })
        .collect()
}

fn block_entries(hosts: &[Arc<NamespaceHost>], block: bool, now: Timestamp) {
    let reason = Reason::FeedStale;
    let action = if block {
        CommandAction::BlockEntries(reason)
    } else {
        CommandAction::AllowEntries(reason)
    };
    for host in hosts {
        let command = Command {
            id: CommandId::of_host(host.name(), reason.code(), now.nanos()),
            action,
        };
        host.inbox().send(Message::Command(command, None));
    }
}

/// Cancels or closes what the settings say, and waits for it, but not for long: the time to stop is
/// bounded, and what is left is listed.
fn on_stop(handles: &Handles) {
    let deadline = Instant::now() + ON_STOP;
    let mut waiting = Vec::new();
    for (index, member) in handles.members.iter().enumerate() {
        let Some(table) = handles.settings.brokers.get(&member.name) else {
            continue;
        };
        let action = match table.on_stop {
            OnStop::Leave => continue,
            OnStop::CancelEntries => CommandAction::CancelEntries,
            OnStop::SquareOff => CommandAction::SquareOffAll,
        };
        if let Err(why) = handles.command(index, action) {
            narrate::on_stop_failed(&member.name, &why);
            continue;
        }
        waiting.push((index, table.on_stop));
    }
    while !waiting.is_empty() && Instant::now() < deadline {
        waiting.retain(|(index, on_stop)| {
            let on_stop = *on_stop;
            let done = handles.ask(*index, move |namespace| {
                let engine = namespace.pipeline().engine();
                let entries = engine
                    .working_ids()
                    .into_iter()
                    .filter_map(|id| engine.working(id))
                    .any(|w| w.order.intent().role == model::order::OrderRole::Entry);
                let open = namespace
                    .pipeline()
                    .portfolio()
                    .positions()
                    .iter()
                    .any(|p| p.quantity != model::Quantity::ZERO);
                !entries && (on_stop == OnStop::CancelEntries || !open)
            });
            done == Some(false)
        });
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn unprotected(handles: &Handles) -> Vec<Unprotected> {
    let strategies = handles.start.strategies.iter().map(|s| s.name.clone());
    let names = super::view::Names::of(&handles.instruments, strategies);
    let mut all = Vec::new();
    for (index, member) in handles.members.iter().enumerate() {
        if member.host.status().ended.load(Ordering::Acquire) {
            continue;
        }
        let (names, is_outside, broker) = (names.clone(), member.is_outside, member.name.clone());
        let found = handles.ask(index, move |namespace| {
            let pipeline = namespace.pipeline();
            let positions = pipeline.portfolio().positions().iter();
            positions
                .filter(|p| p.quantity != model::Quantity::ZERO)
                .filter(|p| !super::view::is_protected(pipeline, p, is_outside))
                .map(|p| Unprotected {
                    broker: broker.clone(),
                    strategy: names.strategy(p.key.strategy).to_owned(),
                    instrument: names.instrument(p.key.instrument).to_owned(),
                    quantity: p.quantity.to_string(),
                })
                .collect::<Vec<_>>()
        });
        all.extend(found.unwrap_or_default());
    }
    all
}

/// A shared strategy never returns: nothing can go on. The next start begins with it disabled.
fn hang(settings: &Settings, strategies: &[String]) -> Arc<dyn Fn(StrategyIdx) + Send + Sync> {
    let strategies = strategies.to_vec();
    let data_dir = settings.live.data_dir.clone();
    Arc::new(move |strategy| {
        let name = strategies.get(strategy.index()).map_or("", String::as_str);
        hanging::remember(&data_dir, name);
        narrate::strategy_hangs(name);
        crate::logging::flush();
        std::process::exit(i32::from(crate::exit::STRATEGY_HANG));
    })
}
