//! A session from start to end: threads in the order of the pipeline, stopped in the reverse order.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use feeds::live::supervise::{FeedState, Supervision};
use feeds::live::{Feed, FeedQueue, Policy, Replay, ReplayRange};
use journal::Storage;
use model::control::{Command, CommandAction};
use model::ids::CommandId;
use model::reason::Reason;
use model::{InstrumentIdx, Instruments, StrategyIdx, Timestamp};
use runtime::clock::SessionClock;
use runtime::host::Message;
use runtime::host::link::Link;
use runtime::host::market::{MarketParts, MarketThread, MarketThreadSettings};
use runtime::host::namespace::{
    NamespaceHost, NamespaceHostSettings, Notice, Speaker,
};
use runtime::host::watchdog::{StrategyProbe, Watchdog, Watched};
use runtime::inbox::Inbox;
use runtime::lockstep::Lockstep;
use runtime::market::{MarketHost, MarketRecovered, MarketRecovery};
use runtime::namespace::Recovered;

use super::feeding::{FeedPlan, FeedThread};
use super::open::{Opened, log_options};
use super::{MARKET, journal_dir};
use crate::settings::Settings;

/// The time that stopping takes at most.
const STOP: Duration = Duration::from_secs(5);

/// A line for the operator: a level and what happened.
pub type Say = Arc<dyn Fn(&'static str, &str) + Send + Sync>;

/// A running system.
pub struct Session {
    /// The settings.
    pub settings: Settings,
    /// The instruments.
    pub instruments: Arc<Instruments>,
    /// Strategy names by index.
    pub strategies: Vec<String>,
    /// The namespaces.
    pub namespaces: Vec<Arc<NamespaceHost>>,
    /// The runner.
    pub market: Arc<MarketThread>,
    /// The feeds.
    pub feeds: Vec<FeedThread>,
    /// What was recovered, by namespace.
    pub recovered: Vec<(String, Recovered)>,
    /// What was recovered of the market log.
    pub market_recovered: MarketRecovered,
    /// The hand-over from the feeds.
    pub queue: Arc<FeedQueue>,
    clock: Arc<dyn SessionClock>,
    storage: Arc<dyn Storage>,
    watchdog: Watchdog,
    _lock: journal::DirLock,
}

/// How a session ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// Parts that did not stop in time, or failed as they did.
    pub failed: Vec<String>,
    /// Namespaces that were taken out, and why.
    pub detached: Vec<(String, String)>,
}

impl Session {
    /// Starts everything.
    pub fn start(opened: Opened, say: &Say) -> anyhow::Result<Self> {
        let Opened {
            lock,
            storage,
            settings,
            instruments,
            sessions,
            clock,
            mut runner,
            ready,
            brokers: _,
            strategies,
            start,
            replay,
            exchange,
            warnings: _,
        } = opened;
        let live = clock.is_live();
        let limits = settings.live.runtime.clone();
        let notice: Notice = {
            let say = Arc::clone(say);
            Arc::new(move |name, detached| {
                say(
                    "error",
                    &format!("{name}: detached ({}): {}", detached.code, detached.why),
                );
            })
        };
        let probe = StrategyProbe::new(Duration::from_millis(match limits.strategy_budget_ms {
            0 => u64::MAX / 2_000_000,
            budget => budget,
        }));
        if live {
            let probe: Arc<dyn pipeline::strategy_host::CallProbe> = probe.clone();
            runner.set_probe(Some(probe));
        }
        let nexts: Vec<u64> = ready.iter().map(|r| r.namespace.next_input()).collect();
        let last_prices = last_prices(&ready, &instruments);
        let mut recovered = Vec::new();
        let mut namespaces = Vec::new();
        for part in ready {
            let name = part.namespace.name().to_owned();
            recovered.push((name.clone(), part.recovered));
            let inbox = Arc::new(Inbox::new(limits.queue_capacity));
            let unreadable: runtime::host::link::Unreadable = {
                let (say, name) = (Arc::clone(say), name.clone());
                Arc::new(move |_, why| say("warn", &format!("{name}: unreadable: {why}")))
            };
            let speaker = match part.outside {
                None => Speaker::Inside,
                Some(trader) if live => Speaker::Link(Link::start(
                    &name,
                    trader,
                    Arc::clone(&inbox),
                    Arc::clone(&clock),
                    unreadable,
                )?),
                Some(trader) => {
                    Speaker::Lockstep(Lockstep::new(trader, Arc::clone(&clock), unreadable))
                }
            };
            let host = NamespaceHost::start(
                part.namespace,
                inbox,
                Arc::clone(&clock),
                speaker,
                NamespaceHostSettings {
                    sync_interval: settings.live.sync_interval(),
                    snapshot_interval: settings.live.snapshot_interval(),
                    conflate_above: limits.conflate_above,
                    call_deadline: Duration::from_secs(limits.call_deadline_seconds),
                    storage: Arc::clone(&storage),
                    dir: journal_dir(&name),
                },
                Arc::clone(&notice),
            )
            .with_context(|| format!("the thread of `{name}`"))?;
            namespaces.push(Arc::new(host));
        }
        let patience = Duration::from_secs(limits.namespace_deadline_seconds);
        let (market, market_recovered) = {
            let hosts = &namespaces;
            MarketHost::open(
                MarketRecovery {
                    storage: Arc::clone(&storage),
                    dir: PathBuf::from(MARKET),
                    runner,
                    start,
                    clock: Arc::clone(&clock),
                    options: log_options(),
                    namespaces: nexts,
                },
                &mut |packet| {
                    let packet = Arc::new(packet);
                    for host in hosts {
                        let _ = host.inbox().push(&packet, patience);
                    }
                    Ok(())
                },
            )?
        };
        let policy = if live { Policy::Conflate } else { Policy::Block };
        let capacity = settings
            .live
            .feeds
            .values()
            .map(|f| f.queue_capacity)
            .max()
            .unwrap_or(65_536);
        let all: Vec<InstrumentIdx> = instruments.iter().map(|(index, _)| index).collect();
        let mut sources: Vec<(Box<dyn Feed>, Supervision)> = Vec::new();
        if let Some((name, feed, loaded)) = replay {
            let zone = settings.data.zone()?;
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
            let replay = Replay::new(&name, loaded, all.clone(), range, speed);
            sources.push((Box::new(replay), supervision));
        }
        if let Some(exchange) = &exchange {
            exchange.resume(clock.now(), &last_prices);
            for (name, feed) in &settings.live.feeds {
                if feed.source == crate::settings::live::FeedSource::Simulated {
                    let supervision = Supervision {
                        stale_after: Some(Duration::from_secs(feed.stale_after_seconds)),
                        ..Supervision::default()
                    };
                    let feed = super::simulated::SimulatedFeed::new(
                        name,
                        exchange.clone(),
                        all.clone(),
                        Arc::clone(&clock),
                    );
                    sources.push((Box::new(feed), supervision));
                }
            }
        }
        let queue = Arc::new(FeedQueue::new(capacity, policy, sources.len()));
        let market = Arc::new(MarketThread::start(MarketParts {
            host: market,
            queue: Arc::clone(&queue),
            namespaces: namespaces.clone(),
            clock: Arc::clone(&clock),
            probe: live.then(|| Arc::clone(&probe)),
            instruments: Arc::clone(&instruments),
            sessions: Arc::clone(&sessions),
            settings: MarketThreadSettings {
                sync_interval: settings.live.sync_interval(),
                snapshot_interval: settings.live.snapshot_interval(),
                patience,
                storage: Arc::clone(&storage),
                dir: PathBuf::from(MARKET),
            },
            notice: Arc::clone(&notice),
            failed: {
                let say = Arc::clone(say);
                Arc::new(move |why| say("error", &format!("market: {why}")))
            },
        })?);
        let watchdog = Watchdog::start(Watched {
            runner: probe,
            strategy_hang: Duration::from_secs(limits.strategy_hang_seconds),
            on_hang: hang(&settings, &strategies, say),
            namespaces: namespaces.clone(),
            namespace_deadline: patience,
            notice,
        })?;
        let mut feeds = Vec::new();
        for (feed, supervision) in sources {
            let blocked = Mutex::new(false);
            let (hosts, watch) = (namespaces.clone(), Arc::clone(&clock));
            let say = Arc::clone(say);
            let rejects = Arc::clone(&say);
            feeds.push(FeedThread::start(FeedPlan {
                feed,
                supervision,
                queue: Arc::clone(&queue),
                changed: Arc::new(move |name, state| {
                    say("info", &format!("feed {name}: {state:?}"));
                    let stale = matches!(state, FeedState::Stale | FeedState::Failed(_));
                    let mut blocked = blocked.lock().unwrap_or_else(PoisonError::into_inner);
                    if watch.is_live() && *blocked != stale {
                        *blocked = stale;
                        block_entries(&hosts, stale, watch.now());
                    }
                }),
                rejected: Arc::new(move |name, item, why| {
                    rejects("warn", &format!("feed {name}: {}: {item:?}", why.code()));
                }),
                sessions: Arc::clone(&sessions),
                instruments: Arc::clone(&instruments),
            })?);
        }
        Ok(Self {
            settings,
            instruments,
            strategies,
            namespaces,
            market,
            feeds,
            recovered,
            market_recovered,
            queue,
            clock,
            storage,
            watchdog,
            _lock: lock,
        })
    }

    /// Whether a replay has delivered everything, or nothing can go on.
    pub fn is_over(&self) -> bool {
        self.market.status().ended.load(Ordering::Acquire)
    }

    /// The session's time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Stops everything in order: feeds, runner, namespaces with their links.
    pub fn stop(mut self) -> Ended {
        let mut ended = Ended::default();
        let deadline = Instant::now() + STOP;
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        self.queue.close();
        for feed in &self.feeds {
            if !feed.stop(left(deadline).min(Duration::from_secs(1))) {
                ended.failed.push(format!("feed {}", feed.name()));
            }
        }
        let market = self.market.stop(left(deadline).min(Duration::from_secs(2)));
        if market.is_none() {
            ended.failed.push("the runner".to_owned());
        }
        // A replay is in lockstep: what was handed over is worked off, however long it takes.
        let patience = if self.clock.is_live() {
            left(deadline)
        } else {
            Duration::from_secs(60)
        };
        for namespace in &self.namespaces {
            if !namespace.stop(patience) && namespace.status().detached().is_none() {
                ended.failed.push(format!("namespace {}", namespace.name()));
            }
            if let Some(detached) = namespace.status().detached() {
                ended
                    .detached
                    .push((namespace.name().to_owned(), detached.why));
            }
        }
        self.watchdog.stop();
        if let Some(mut market) = market {
            let drained = ended.failed.is_empty() && ended.detached.is_empty();
            let saved = market.snapshot(self.storage.as_ref(), &PathBuf::from(MARKET), drained);
            if let Err(error) = saved {
                ended.failed.push(error.to_string());
            }
        }
        ended
    }
}

fn last_prices(
    ready: &[super::open::Ready],
    instruments: &Instruments,
) -> Vec<(InstrumentIdx, model::Price)> {
    instruments
        .iter()
        .filter_map(|(index, _)| {
            let of = |r: &super::open::Ready| r.namespace.pipeline().portfolio().last(index);
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

/// A shared strategy never returns: nothing can go on. The next start begins with it disabled.
fn hang(
    settings: &Settings,
    strategies: &[String],
    say: &Say,
) -> Arc<dyn Fn(StrategyIdx) + Send + Sync> {
    let (say, strategies) = (Arc::clone(say), strategies.to_vec());
    let path = settings.live.data_dir.join("hanging-strategy");
    Arc::new(move |strategy| {
        let name = strategies
            .get(strategy.index())
            .map_or("", String::as_str);
        say(
            "error",
            &format!(
                "strategy `{name}` does not return: the process ends, and the next start begins with it disabled"
            ),
        );
        let _ = std::fs::write(&path, name);
        std::process::exit(i32::from(crate::exit::STRATEGY_HANG));
    })
}
