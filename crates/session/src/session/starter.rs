//! How the parts of a session are started, each with how it is stopped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use feeds::live::supervise::{FeedState, Supervision};
use feeds::live::{Feed, FeedQueue};
use journal::record::Start;
use journal::{LogName, LogWriter, Logs, MARKET};
use model::control::{Command, CommandAction};
use model::ids::CommandId;
use model::reason::Reason;
use model::session::Sessions;
use model::{InstrumentIdx, Instruments, StrategyIdx, Timestamp};
use projection::{Names, Projection};
use runtime::clock::SessionClock;
use runtime::directory::Directory;
use runtime::driver::Message;
use runtime::driver::market::{MarketParts, MarketSettings};
use runtime::driver::namespace::{Foreign, NamespaceSettings, OrderRoute};
use runtime::driver::probe::StrategyProbe;
use runtime::host::link::{Link, Unreadable};
use runtime::host::market::{MarketThread, Members};
use runtime::host::namespace::{NamespaceHost, Notice};
use runtime::host::watchdog::{Watchdog, Watched};
use runtime::inbox::Inbox;
use runtime::lockstep::Lockstep;
use runtime::market::{MarketHost, MarketRecovered, MarketRecovery};
use settings::Settings;

use crate::control::ControlServer;
use crate::feeding::{FeedPlan, FeedThread, Subscriptions, is_listed};
use crate::handles::{Handles, Member};
use crate::hanging;
use crate::letters::{Letters, LettersThread, Waiting};
use crate::lifecycle::Lifecycle;
use crate::narrate::{self, Narrator};
use crate::open::Ready;
use crate::reader::Reader;

/// What namespaces hand over is folded and told so often: nothing wakes the reading thread.
const FOLD: Duration = Duration::from_millis(20);

/// Starts the parts of a session in the order of the pipeline.
pub(super) struct Starter {
    pub(super) settings: Settings,
    pub(super) logs: Arc<dyn Logs>,
    pub(super) directory: Directory,
    pub(super) clock: Arc<dyn SessionClock>,
    pub(super) instruments: Arc<Instruments>,
    pub(super) sessions: Arc<dyn Sessions>,
    pub(super) notice: Notice,
    pub(super) lifecycle: Lifecycle,
    /// The runner, once its thread has ended.
    pub(super) left: Arc<Mutex<Option<MarketHost>>>,
    /// Why the runner's last state could not be saved.
    pub(super) unsaved: Arc<Mutex<Option<String>>>,
    pub(super) letters: Arc<Letters>,
}

/// Stops a part.
pub(super) type Stopping = Box<dyn FnMut(Duration) -> Result<(), String> + Send>;

impl Starter {
    /// Starts a part, and keeps how it is stopped.
    pub(super) fn part<T>(
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

    /// The read sides of the namespaces, folded by a thread of their own, which outlives theirs.
    pub(super) fn readers(
        &mut self,
        ready: &[Ready],
        start: &Start,
        strategies: &[String],
    ) -> anyhow::Result<Vec<Arc<Reader>>> {
        let names = Names {
            instruments: Arc::clone(&self.instruments),
            strategies: strategies.into(),
            sessions: Arc::clone(&self.sessions),
        };
        let reader = |part: &Ready| {
            let namespace = &part.namespace;
            let (live, zone) = (self.clock.is_live(), &self.settings.zone);
            Reader::new(
                Projection::of(namespace.pipeline(), names.clone(), namespace.place()),
                Narrator::new(namespace.name(), start, !live, zone),
                Arc::clone(namespace.journal()),
            )
        };
        let readers: Vec<Arc<Reader>> = ready.iter().map(reader).collect();
        let folded = readers.clone();
        self.part("readers", || {
            let over = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&over);
            let thread = std::thread::Builder::new()
                .name("readers".to_owned())
                .spawn(move || {
                    while !told.load(Ordering::Acquire) {
                        folded.iter().for_each(|reader| reader.read(|_| ()));
                        std::thread::park_timeout(FOLD);
                    }
                    folded.iter().for_each(|reader| reader.end());
                })?;
            anyhow::Ok(((), ended(over, thread)))
        })?;
        Ok(readers)
    }

    pub(super) fn namespace(&mut self, part: Ready, reader: Arc<Reader>) -> anyhow::Result<Member> {
        let Ready {
            mut namespace,
            outside,
            broker,
            ..
        } = part;
        let kind = broker.table.kind.clone();
        let name = namespace.name().to_owned();
        namespace.set_tap(Some(reader.tap()));
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
        let (route, link, is_outside) = match outside {
            None => (OrderRoute::Inside, None, false),
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
                (OrderRoute::Link(Box::new(link)), Some(status), true)
            }
            Some(trader) => {
                let lockstep = Lockstep::new(trader, unreadable);
                (OrderRoute::Lockstep(lockstep), None, true)
            }
        };
        let settings = NamespaceSettings {
            sync_interval: self.settings.live.sync_interval(),
            snapshot_interval: self.settings.live.snapshot_interval(),
            conflate_above: limits.conflate_above,
            call_deadline: Duration::from_secs(limits.call_deadline_seconds),
            foreign,
        };
        let (clock, notice) = (Arc::clone(&self.clock), Arc::clone(&self.notice));
        let host = self.part(&format!("namespace {name}"), || {
            let host = NamespaceHost::start(namespace, inbox, clock, route, settings, notice)?;
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
            reader,
            link,
        })
    }

    pub(super) fn recover_market(
        &mut self,
        log: (Box<dyn LogWriter>, journal::Opened),
        runner: pipeline::Runner,
        start: &Start,
        namespaces: Vec<u64>,
        hosts: &[Arc<NamespaceHost>],
        disabled: Vec<StrategyIdx>,
    ) -> anyhow::Result<(MarketHost, MarketRecovered)> {
        let recovery = MarketRecovery {
            log: self.logs.log(LogName::Market),
            runner,
            start: start.clone(),
            clock: Arc::clone(&self.clock),
            namespaces,
            disabled,
        };
        let members = Members {
            patience: Duration::from_secs(self.settings.live.runtime.namespace_deadline_seconds),
            ..self.members(hosts)
        };
        let opened = MarketHost::open(log, recovery, &mut |packet| {
            members.send(packet, |_, _| "it did not take what is run again after the restart: it is taken out until the next start".to_owned());
            Ok(())
        });
        let listed = opened.and_then(|opened| {
            let market = [(MARKET.to_owned(), MARKET.to_owned())];
            self.directory.list(self.logs.as_ref(), &market)?;
            Ok(opened)
        });
        match listed {
            Ok(opened) => Ok(opened),
            Err(error) => {
                self.lifecycle.stop();
                Err(error.into())
            }
        }
    }

    /// The namespaces as the runner hands packets to them: a replay waits for each, a live session for none.
    fn members(&self, namespaces: &[Arc<NamespaceHost>]) -> Members {
        let seconds = self.settings.live.runtime.namespace_deadline_seconds;
        Members {
            namespaces: namespaces.to_vec(),
            patience: if self.clock.is_live() {
                Duration::ZERO
            } else {
                Duration::from_secs(seconds)
            },
            notice: Arc::clone(&self.notice),
        }
    }

    pub(super) fn market(
        &mut self,
        mut host: MarketHost,
        queue: &Arc<FeedQueue>,
        namespaces: &[Arc<NamespaceHost>],
        probe: Option<Arc<StrategyProbe>>,
    ) -> anyhow::Result<Arc<MarketThread>> {
        let log = &self.settings.live.log;
        let keep = runtime::retention::keep(log.market_keep_days, log.market_keep_gb);
        host.keep(keep);
        let journals = namespaces.iter().map(|host| host.name());
        let journals = journals.map(|name| self.logs.log(LogName::Journal(name)));
        let (journals, members) = (journals.collect(), self.members(namespaces));
        let (clock, instruments) = (Arc::clone(&self.clock), Arc::clone(&self.instruments));
        let (sessions, queue) = (Arc::clone(&self.sessions), Arc::clone(queue));
        let settings = MarketSettings {
            write_interval: self.settings.live.sync_interval(),
            sync_interval: self.settings.live.market_sync_interval(),
            snapshot_interval: self.settings.live.snapshot_interval(),
        };
        let failed = Arc::new(narrate::market_failed);
        let left = Arc::clone(&self.left);
        self.part("runner", || {
            let thread = MarketThread::start(queue, members, failed, |outlet| MarketParts {
                host,
                journals,
                clock,
                probe,
                instruments,
                sessions,
                settings,
                outlet,
            })?;
            let thread = Arc::new(thread);
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
    pub(super) fn last_snapshot(
        &mut self,
        hosts: &Arc<Mutex<Vec<Arc<NamespaceHost>>>>,
    ) -> anyhow::Result<()> {
        let (left, hosts) = (Arc::clone(&self.left), Arc::clone(hosts));
        let unsaved = Arc::clone(&self.unsaved);
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
                    let saved = market.snapshot(drained);
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
    pub(super) fn what_hung(&self, strategies: &[String]) -> Vec<StrategyIdx> {
        let mut hung = Vec::new();
        for name in hanging::remembered(&self.settings.live.data_dir) {
            if let Some(at) = strategies.iter().position(|s| *s == name) {
                narrate::starts_disabled(&name);
                hung.push(StrategyIdx(at as u32));
            }
        }
        hung
    }

    pub(super) fn watchdog(&mut self, watched: Watched) -> anyhow::Result<()> {
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

    /// Asks the feeds, in the order of their names, for the instruments: each for what the ones before it do not
    /// serve, so that every instrument has one source. Those that are left with nothing to be asked for are not
    /// started.
    pub(super) fn ask(
        &self,
        sources: Vec<(Box<dyn Feed>, Supervision)>,
        now: Timestamp,
    ) -> anyhow::Result<Vec<(Box<dyn Feed>, Supervision)>> {
        let day = self.sessions.trading_day(now).date;
        let live = self.clock.is_live();
        let all = self.instruments.iter();
        let mut wanted: Vec<String> = all
            .filter(|(index, _)| !live || is_listed(&self.instruments, *index, day))
            .map(|(_, instrument)| instrument.id.clone())
            .collect();
        let mut started = Vec::with_capacity(sources.len());
        let mut left = Vec::new();
        for (mut feed, supervision) in sources {
            if wanted.is_empty() {
                narrate::not_needed(feed.name());
                continue;
            }
            let told = feed.ask(&wanted);
            left = told.with_context(|| format!("[feeds.{}]", feed.name()))?;
            wanted = left.iter().map(|one| one.id.clone()).collect();
            started.push((feed, supervision));
        }
        if let Some((feed, _)) = started.last() {
            narrate::unserved(feed.name(), &left);
        }
        Ok(started)
    }

    pub(super) fn feed(
        &mut self,
        feed: Box<dyn Feed>,
        supervision: Supervision,
        queue: &Arc<FeedQueue>,
        hosts: &[Arc<NamespaceHost>],
    ) -> anyhow::Result<(String, Arc<FeedThread>)> {
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
            let thread = Arc::new(FeedThread::start(plan)?);
            let started = Arc::clone(&thread);
            anyhow::Ok((
                (name.clone(), started),
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
    pub(super) fn letters_thread(&mut self, waiting: Waiting) -> anyhow::Result<()> {
        let (letters, logs) = (Arc::clone(&self.letters), Arc::clone(&self.logs));
        self.part("dead letters", || {
            let mut letters_thread = LettersThread::start(letters, waiting, logs)?;
            anyhow::Ok((
                (),
                Box::new(move |patience: Duration| {
                    if letters_thread.stop(patience) {
                        Ok(())
                    } else {
                        Err("not all could be written in time".to_owned())
                    }
                }) as Stopping,
            ))
        })
    }

    pub(super) fn monitor(
        &mut self,
        handles: &Arc<Handles>,
        mut subscriptions: Subscriptions,
    ) -> anyhow::Result<()> {
        let handles = Arc::clone(handles);
        self.part("monitor", || {
            let over = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&over);
            let thread = std::thread::Builder::new()
                .name("monitor".to_owned())
                .spawn(move || {
                    while !told.load(Ordering::Acquire) {
                        handles.monitor.sample(&handles);
                        narrate::unsaved(&handles);
                        if handles.clock.is_live() {
                            subscriptions.renew(handles.clock.now());
                        }
                        std::thread::park_timeout(Duration::from_secs(1));
                    }
                })?;
            anyhow::Ok(((), ended(over, thread)))
        })
    }

    pub(super) fn control(&mut self, handles: &Arc<Handles>) -> anyhow::Result<()> {
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

/// Tells a thread that it is over, and waits for its end.
fn ended(over: Arc<AtomicBool>, thread: JoinHandle<()>) -> Stopping {
    let mut thread = Some(thread);
    Box::new(move |_: Duration| {
        over.store(true, Ordering::Release);
        thread.take().map_or(Ok(()), |thread| {
            thread.thread().unpark();
            thread.join().map_err(|_| "its code failed".to_owned())
        })
    })
}

pub(super) fn last_prices(
    ready: &[Ready],
    instruments: &Instruments,
) -> Vec<(InstrumentIdx, model::Price)> {
    instruments
        .iter()
        .filter_map(|(index, _)| {
            let of = |r: &Ready| r.namespace.pipeline().portfolio().last(index);
            let newest = ready.iter().map(of).max_by_key(|last| last.ts)?;
            (newest.price > model::Price::ZERO).then_some((index, newest.price))
        })
        .collect()
}

pub(super) fn block_entries(hosts: &[Arc<NamespaceHost>], block: bool, now: Timestamp) {
    let reason = Reason::FeedStale;
    let action = if block {
        CommandAction::BlockEntries(reason)
    } else {
        CommandAction::AllowEntries(reason)
    };
    for host in hosts {
        let command = Command::of_system(
            CommandId::of_host(host.name(), reason.code(), now.nanos()),
            action,
        );
        host.inbox().send(Message::Command(command, None));
    }
}

/// A shared strategy never returns: nothing can go on. The next start begins with it disabled.
pub(super) fn hang(
    settings: &Settings,
    strategies: &[String],
    end: fn(),
) -> Arc<dyn Fn(StrategyIdx) + Send + Sync> {
    let strategies = strategies.to_vec();
    let data_dir = settings.live.data_dir.clone();
    Arc::new(move |strategy| {
        let name = strategies.get(strategy.index()).map_or("", String::as_str);
        hanging::remember(&data_dir, name);
        narrate::strategy_hangs(name);
        end();
    })
}
