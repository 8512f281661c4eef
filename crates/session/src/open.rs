//! Before anything runs: what earlier starts knew, the composition, and the recovered namespaces.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use feeds::live::{FeedKind, FeedRegistry, REPLAY, ReplaySettings, SIMULATED};
use feeds::{Loaded, LoadedInstruments};
use inspect::replay::ReplayReport;
use journal::record::{JournalRecord, MarketRecord, Start, StrategyEntry};
use journal::{DirLock, FileLogs, LogName, LogWriter, Logs, MARKET};
use markets::calendar::MarketSessions;
use model::ids::SourceSession;
use model::session::Sessions;
use model::trader::Delivery;
use model::{InstrumentIdx, Instruments, Timestamp};
use runtime::clock::{FeedClock, SessionClock, WallClock, wall};
use runtime::desk::DeskSettings;
use runtime::directory::Directory;
use runtime::namespace::{Namespace, Recovered, Recovery, ReplayParts};
use runtime::tables::Known;
use settings::Settings;
use strategies::ResolvedStrategy;
use traders::Trader;

use super::build;
use crate::compose::{self, ActiveBroker, BuiltIn, Parts, Stages, stages};
use crate::facts::Dependence;
use crate::load::{self, DataRequest};
use crate::used::{self, Used};

/// Says where the logs of a data directory live.
pub type LogsOf = Box<dyn Fn(&Path) -> std::io::Result<Arc<dyn Logs>> + Send + Sync>;

/// What a build adds to the built-in kinds of brokers and strategies.
pub struct Plugins {
    /// The built-in kinds.
    pub built_in: BuiltIn,
    /// Kinds of brokers.
    pub brokers: Vec<traders::BrokerKind>,
    /// Kinds of feeds.
    pub feeds: Vec<FeedKind>,
    /// Kinds of strategies.
    pub kinds: Vec<strategies::KindDescriptor>,
    /// In place of the data directory's files: encrypted ones, memory, or a disk that fails on demand.
    pub logs: Option<LogsOf>,
    /// In place of the wall clock of a live session; for benchmarks and simulations.
    pub clock: Option<Arc<dyn SessionClock>>,
}

impl Plugins {
    /// Nothing beside what is built in.
    pub fn new(built_in: BuiltIn) -> Self {
        Self {
            built_in,
            brokers: Vec::new(),
            feeds: Vec::new(),
            kinds: Vec::new(),
            logs: None,
            clock: None,
        }
    }
}

/// What is known before the data directory is touched.
pub struct Preparation {
    /// The settings.
    pub settings: Settings,
    /// The namespaces that take part.
    pub brokers: Vec<String>,
    /// Kinds beside the built-in ones.
    pub plugins: Plugins,
}

/// A namespace that is ready to run.
pub struct Ready {
    /// The state machine, recovered.
    pub namespace: Namespace,
    /// Its trader, where that is outside the pipeline.
    pub outside: Option<Box<dyn Trader>>,
    /// What was recovered.
    pub recovered: Recovered,
    /// Its broker.
    pub broker: ActiveBroker,
}

/// Everything that a session is started from.
pub struct Opened {
    /// Holds the data directory.
    pub lock: DirLock,
    /// The logs.
    pub logs: Arc<dyn Logs>,
    /// Their identity.
    pub directory: Directory,
    /// The market log, proven before any namespace was opened.
    pub market: (Box<dyn LogWriter>, journal::Opened),
    /// The settings.
    pub settings: Settings,
    /// The instruments, those of earlier starts included.
    pub instruments: Arc<Instruments>,
    /// The calendar.
    pub sessions: Arc<dyn Sessions>,
    /// The session's clock.
    pub clock: Arc<dyn SessionClock>,
    /// The runner.
    pub runner: pipeline::Runner,
    /// The namespaces.
    pub ready: Vec<Ready>,
    /// Namespaces that cannot take part, and why: their journals are damaged, or cannot be written.
    pub excluded: Vec<(String, String)>,
    /// Strategy names by index.
    pub strategies: Vec<String>,
    /// This start, as it is recorded.
    pub start: Start,
    /// The strategies that the runner hosts.
    pub shared: Vec<model::StrategyIdx>,
    /// What is replayed, and how; `None` in a live session.
    pub replay: Option<Recording>,
    /// The simulated exchange, where a feed or a trader uses it.
    pub exchange: Option<exchange::SharedExchange>,
    /// The kinds of feeds.
    pub feeds: FeedRegistry,
    /// What the operator must know.
    pub warnings: Vec<String>,
    /// Ends the process: see [`BuiltIn::end_of_hang`].
    pub end_of_hang: fn(),
}

/// Recorded data that is to be replayed.
pub struct Recording {
    /// The feed's name.
    pub name: String,
    /// The feed's settings.
    pub settings: ReplaySettings,
    /// The data.
    pub loaded: Loaded,
    /// The session's indices of the instruments by the indices of the data.
    pub map: Vec<Option<InstrumentIdx>>,
}

pub(super) fn random() -> anyhow::Result<u128> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .context("the system gives no random numbers")?;
    Ok(u128::from_le_bytes(bytes))
}

/// What earlier starts knew. A journal that cannot be read keeps its own namespace out, and no other.
fn earlier(
    logs: &dyn Logs,
    brokers: &[String],
    excluded: &mut Vec<(String, String)>,
) -> anyhow::Result<Known> {
    let mut known = Known::default();
    known.read::<MarketRecord>(logs.log(LogName::Market).as_ref())?;
    let market = known.latest.take();
    for broker in brokers {
        if excluded.iter().any(|(name, _)| name == broker) {
            continue;
        }
        let read = known.read::<JournalRecord>(logs.log(LogName::Journal(broker)).as_ref());
        if let Err(error) = read {
            excluded.push((broker.clone(), error.to_string()));
        }
    }
    known.latest = market.or(known.latest);
    Ok(known)
}

fn definitions(strategies: &[ResolvedStrategy], names: &[String]) -> Vec<StrategyEntry> {
    names
        .iter()
        .map(|name| StrategyEntry {
            name: name.clone(),
            definition: strategies
                .iter()
                .find(|s| s.id() == name)
                .map(|s| s.digest_text.clone())
                .unwrap_or_default(),
        })
        .collect()
}

/// A system that is composed and has opened nothing yet.
struct Composed {
    instruments: Arc<Instruments>,
    sessions: Arc<dyn Sessions>,
    stages: Stages,
    start: Start,
    shared: Vec<model::StrategyIdx>,
    replay: Option<Recording>,
    exchange: Option<exchange::SharedExchange>,
    feeds: FeedRegistry,
}

/// Composes a system for a data directory. `recorded`: for a look at what is recorded there, so that
/// no data is loaded and no new session begins.
fn composed(
    settings: &Settings,
    names: &[String],
    plugins: Plugins,
    known: &Known,
    recorded: bool,
) -> anyhow::Result<Composed> {
    let mut feeds = settings.live.feeds.iter();
    let replay_feed = feeds.find(|(_, feed)| feed.is_replay());
    let today = todays_instruments(settings)?;
    let listed = used::listed(&today.instruments, known)?;
    let listed_calendar = settings.sessions(&listed)?;
    let loaded = match replay_feed {
        Some((name, feed)) if !recorded => {
            let place = || format!("[feeds.{name}]");
            let own = ReplaySettings::from_table(&feed.own).map_err(anyhow::Error::msg);
            let own = own.with_context(place)?;
            let loaded = replayed(settings, &own, &listed, &listed_calendar);
            Some((name.clone(), own, loaded.with_context(place)?))
        }
        _ => None,
    };
    let data = loaded.as_ref().map(|(_, _, loaded)| loaded);
    let (source, live) = match (data, &known.latest) {
        (Some(loaded), _) => (loaded.session, false),
        (None, Some(latest)) if recorded => (latest.source, latest.live),
        _ => (SourceSession(random()?), true),
    };
    same_session(known, source, live, &settings.live.data_dir)?;
    let mut kinds = (plugins.built_in.strategies)();
    for kind in plugins.kinds {
        kinds.register(kind)?;
    }
    let mut resolved = resolve(settings, &listed, &kinds)?;
    let mut depends = Vec::new();
    if let Some(loaded) = data {
        let dependence = Dependence {
            settings,
            brokers: names,
            sessions: &listed_calendar,
            instruments: &listed,
            strategies: &resolved,
        };
        depends = dependence.check_recorded(loaded)?;
        depends.extend_from_slice(&loaded.warnings);
    }
    let Used { instruments, map } =
        used::used(settings, names, &listed, &mut resolved, data, known)?;
    let instruments = Arc::new(instruments);
    let calendar = settings.sessions(&instruments)?;
    if live && !recorded {
        let dependence = Dependence {
            settings,
            brokers: names,
            sessions: &calendar,
            instruments: &instruments,
            strategies: &resolved,
        };
        depends = dependence.check_live(Timestamp(wall()))?;
        if settings.data.corporate_actions.is_some() {
            depends.push(
                "[data] corporate_actions is not applied: live prices are in the shares of the day"
                    .to_owned(),
            );
        }
    }
    let replay = loaded.map(|(name, settings, loaded)| Recording {
        name,
        settings,
        loaded,
        map,
    });
    let sessions: Arc<dyn Sessions> = Arc::new(calendar);
    let retired: Vec<String> = known
        .strategies
        .iter()
        .filter(|n| *n != model::StrategyIdx::MANUAL_NAME)
        .filter(|n| !resolved.iter().any(|s| s.id() == n.as_str()))
        .cloned()
        .collect();
    let exchange = BuiltIn::exchange(settings, &instruments)?;
    let mut registry = (plugins.built_in.brokers)(exchange.clone());
    let mut feeds = (plugins.built_in.feeds)(exchange.clone());
    for kind in plugins.feeds {
        feeds.register(kind);
    }
    for kind in plugins.brokers {
        registry.register(kind);
    }
    let mut stages = stages(&Parts {
        settings,
        brokers: names,
        registry: &registry,
        strategies: &resolved,
        retired: &retired,
        instruments: &instruments,
        sessions: &sessions,
        source,
        live,
    })?;
    stages.warnings.extend(depends);
    stages.warnings.extend(today.warnings);
    let shared = resolved
        .iter()
        .enumerate()
        .filter(|(_, s)| s.scope() == strategies::Scope::Shared)
        .map(|(at, _)| model::StrategyIdx(at as u32 + 1))
        .collect();
    let salt = match known.latest.as_ref().map(|s| s.salt) {
        Some(salt) => salt,
        None => random()?,
    };
    let start = Start {
        epoch: 0,
        at: Timestamp(wall()),
        build: build::id(),
        // What it decides by: where its logs are is no part of that.
        settings: settings.deciding(),
        source,
        live,
        salt,
        brokers: names.to_vec(),
        strategies: definitions(&resolved, &stages.strategies),
        instruments: instruments.iter().map(|(_, i)| i.clone()).collect(),
        currencies: instruments.currencies().to_vec(),
    };
    Ok(Composed {
        instruments,
        sessions,
        stages,
        start,
        shared,
        replay,
        exchange,
        feeds,
    })
}

/// Composes what a start composes, and opens nothing: what this refuses, a start refuses in the same
/// words. Returns what the operator must know.
pub(crate) fn check(
    settings: &Settings,
    brokers: &[String],
    built_in: BuiltIn,
) -> anyhow::Result<Vec<String>> {
    let mut names = brokers.to_vec();
    names.sort_unstable();
    names.dedup();
    let plugins = Plugins::new(built_in);
    let composed = composed(settings, &names, plugins, &Known::default(), false)?;
    Ok(composed.stages.warnings)
}

/// The same for the strategies alone: definitions, limits, brokers, and the code that they build,
/// whatever the hours and the data are.
pub fn check_strategies(
    settings: &Settings,
    instruments: Instruments,
    built_in: BuiltIn,
) -> anyhow::Result<Vec<ResolvedStrategy>> {
    let instruments = Arc::new(instruments);
    let sessions: Arc<dyn Sessions> = Arc::new(settings.sessions(&instruments)?);
    let exchange = BuiltIn::exchange(settings, &instruments)?;
    let resolved = resolve(settings, &instruments, &(built_in.strategies)())?;
    stages(&Parts {
        settings,
        brokers: &settings.active_brokers,
        registry: &(built_in.brokers)(exchange),
        strategies: &resolved,
        retired: &[],
        instruments: &instruments,
        sessions: &sessions,
        source: SourceSession(0),
        live: !has(settings, REPLAY),
    })?;
    Ok(resolved)
}

/// A recorded namespace, to be walked through: see [`inspect::history`].
pub struct RecordedSpace {
    /// What the walk needs.
    pub parts: ReplayParts,
    /// The namespace's broker.
    pub broker: ActiveBroker,
    /// Whether its trader is outside this process: what it holds lasts.
    pub is_outside: bool,
}

/// What a data directory has recorded of some namespaces, under one list of names.
pub struct RecordedSystem {
    /// The namespaces, in the order in which they were asked for.
    pub spaces: Vec<RecordedSpace>,
    /// The instruments of all starts.
    pub instruments: Arc<Instruments>,
    /// The calendar.
    pub sessions: Arc<dyn Sessions>,
    /// Strategy names by index.
    pub strategies: Vec<String>,
}

/// Composes a look at the journals of `brokers`. Takes no lock.
pub fn recorded(
    settings: &Settings,
    brokers: &[String],
    built_in: BuiltIn,
) -> anyhow::Result<RecordedSystem> {
    let logs = FileLogs::existing(&settings.live.data_dir);
    let mut unreadable = Vec::new();
    let known = earlier(&logs, brokers, &mut unreadable)?;
    if let Some((broker, why)) = unreadable.first() {
        bail!("the journal of `{broker}` cannot be read: {why}");
    }
    let composed = composed(settings, brokers, Plugins::new(built_in), &known, true)?;
    let Composed {
        stages,
        start,
        instruments,
        sessions,
        ..
    } = composed;
    let live = !has(settings, REPLAY);
    let spaces = stages
        .namespaces
        .into_iter()
        .zip(stages.brokers)
        .map(|(stage, broker)| RecordedSpace {
            is_outside: live && stage.outside.is_some(),
            parts: ReplayParts {
                journal: logs.log(LogName::Journal(broker.table.namespace.as_str())),
                market: logs.log(LogName::Market),
                pipeline: stage.pipeline,
                start: start.clone(),
            },
            broker,
        })
        .collect();
    Ok(RecordedSystem {
        spaces,
        instruments,
        sessions,
        strategies: stages.strategies,
    })
}

/// Decides the recorded journal of a namespace again: see [`inspect::replay`]. Takes no lock.
pub fn decide_again(
    settings: &Settings,
    broker: &str,
    built_in: BuiltIn,
) -> anyhow::Result<ReplayReport> {
    let logs = FileLogs::existing(&settings.live.data_dir);
    let mut known = Known::default();
    let journal = logs.log(LogName::Journal(broker));
    known.read::<JournalRecord>(journal.as_ref())?;
    let names = known
        .latest
        .as_ref()
        .map(|start| start.brokers.clone())
        .with_context(|| format!("the journal of `{broker}` holds no start"))?;
    let composed = composed(settings, &names, Plugins::new(built_in), &known, true)?;
    let stage = composed
        .stages
        .namespaces
        .into_iter()
        .find(|stage| stage.pipeline.namespace().as_str() == broker)
        .with_context(|| format!("`{broker}` is not configured"))?;
    Ok(inspect::replay::replay(ReplayParts {
        journal,
        market: logs.log(LogName::Market),
        pipeline: stage.pipeline,
        start: composed.start,
    })?)
}

/// Reads what earlier starts left, composes, and recovers every namespace.
pub fn prepare(preparation: Preparation) -> anyhow::Result<Opened> {
    let Preparation {
        settings,
        brokers,
        mut plugins,
    } = preparation;
    let given = plugins.clock.take();
    let end_of_hang = plugins.built_in.end_of_hang;
    let data_dir = settings.live.data_dir.clone();
    let lock = DirLock::acquire(&data_dir)?;
    let logs: Arc<dyn Logs> = match &plugins.logs {
        Some(logs) => logs(&data_dir),
        None => FileLogs::create(&data_dir).map(|files| Arc::new(files) as Arc<dyn Logs>),
    }
    .with_context(|| format!("the data directory {}", data_dir.display()))?;
    let mut names = brokers;
    names.sort_unstable();
    names.dedup();
    let on_disk = logs
        .journals()
        .with_context(|| format!("cannot list {}", data_dir.display()))?;
    let mut directory = Directory::open(logs.as_ref(), &on_disk, random()?)?;
    directory.check(logs.as_ref(), MARKET, MARKET)?;
    // Damage in it is refused before a namespace records anything, or a broker is called.
    let mut market = logs
        .log(LogName::Market)
        .open(&directory.owner(MARKET, MARKET))
        .context("market log")?;
    let mut excluded = Vec::new();
    for name in &names {
        // One that is not configured is refused as the system is composed.
        let Some(table) = settings.brokers.get(name) else {
            continue;
        };
        if let Err(error) = directory.check(logs.as_ref(), name, &table.kind) {
            excluded.push((name.clone(), error.to_string()));
        }
    }
    let known = earlier(logs.as_ref(), &names, &mut excluded)?;
    let Composed {
        instruments,
        sessions,
        stages,
        start,
        shared,
        replay,
        exchange,
        feeds,
    } = composed(&settings, &names, plugins, &known, false)?;
    let Stages {
        runner,
        namespaces,
        brokers: active,
        strategies,
        warnings,
    } = stages;
    // The trading day that the session begins in: the logs' first files bear it.
    let days = replay.iter().flat_map(|data| data.loaded.stream.days());
    let first_day = days.map(|(day, _)| day).min();
    let first_day = first_day.unwrap_or_else(|| sessions.trading_day(Timestamp(wall())).date);
    market.0.begin_in(first_day);
    let clock: Arc<dyn SessionClock> = match given {
        Some(clock) if start.live => clock,
        _ if start.live => WallClock::shared(),
        _ => FeedClock::replay(),
    };
    let mut ready = Vec::with_capacity(namespaces.len());
    for ((index, stage), broker) in namespaces.into_iter().enumerate().zip(active) {
        let name = stage.pipeline.namespace().as_str().to_owned();
        if excluded.iter().any(|(excluded, _)| *excluded == name) {
            continue;
        }
        let desk = stage.outside.as_ref().map(|trader| DeskSettings {
            salt: start.salt,
            delivery: trader.capabilities().delivery,
            call_within: ms(settings.live.runtime.call_within_ms),
            pause_min: ms(match trader.capabilities().delivery {
                Delivery::Idempotent => 100,
                Delivery::QueryOnly => 500,
            }),
            pause_max: ms(60_000),
            silence: ms(5_000),
        });
        let opened = Namespace::open(Recovery {
            index,
            journal: logs.log(LogName::Journal(&name)),
            owner: directory.owner(&name, &broker.table.kind),
            first_day,
            market: logs.log(LogName::Market),
            pipeline: stage.pipeline,
            start: start.clone(),
            clock: Arc::clone(&clock),
            desk,
        });
        match opened {
            Ok((mut namespace, recovered)) => ready.push(Ready {
                namespace: {
                    namespace.keep_days(settings.live.log.journal_keep_days);
                    namespace
                },
                outside: stage.outside,
                recovered,
                broker,
            }),
            Err(error) => excluded.push((name, error.to_string())),
        }
    }
    if ready.is_empty() {
        let why: Vec<&str> = excluded.iter().map(|(_, why)| why.as_str()).collect();
        bail!("no broker can take part: {}", why.join("; "));
    }
    // What begins here is missed from now on.
    let begun: Vec<(String, String)> = ready
        .iter()
        .map(|part| {
            let table = &part.broker.table;
            (table.namespace.as_str().to_owned(), table.kind.clone())
        })
        .collect();
    directory.list(logs.as_ref(), &begun)?;
    Ok(Opened {
        lock,
        directory,
        market,
        logs,
        settings,
        instruments,
        sessions,
        clock,
        runner,
        ready,
        excluded,
        strategies,
        start,
        shared,
        replay,
        exchange,
        feeds,
        warnings,
        end_of_hang,
    })
}

fn ms(value: u64) -> i64 {
    i64::try_from(value)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000)
}

/// A replay's rows have their numbers from the data; a data directory holds one session of them.
fn same_session(
    known: &Known,
    source: SourceSession,
    live: bool,
    data_dir: &Path,
) -> anyhow::Result<()> {
    let Some(before) = &known.latest else {
        return Ok(());
    };
    if before.live != live {
        bail!(
            "{} holds a {} session, and the settings ask for a {} one: choose another data_dir",
            data_dir.display(),
            if before.live { "live" } else { "replayed" },
            if live { "live" } else { "replayed" },
        );
    }
    if !live && before.source != source {
        bail!(
            "{} holds a replay of other data, or of the same data under other cleaning settings: choose another data_dir",
            data_dir.display()
        );
    }
    Ok(())
}

/// Whether a feed of a start is of this kind.
pub(super) fn has(settings: &Settings, source: &str) -> bool {
    let mut feeds = settings.live.feeds.values();
    feeds.any(|feed| feed.source == source)
}

/// The instruments of a start.
pub(super) fn todays_instruments(settings: &Settings) -> anyhow::Result<LoadedInstruments> {
    // A replay's list is of the days that it replays, whatever day it is.
    let as_of = match has(settings, REPLAY) {
        true => None,
        false => crate::facts::date(Timestamp(wall())),
    };
    match &settings.live.instruments {
        Some(path) => {
            let book = settings.markets.rule_book(as_of);
            feeds::load_instruments_with_notes(path, &book)
                .with_context(|| format!("instruments = {}", path.display()))
        }
        None if has(settings, SIMULATED) => Ok(LoadedInstruments {
            instruments: Instruments::new(exchange::instruments())?,
            ..LoadedInstruments::default()
        }),
        None => bail!(
            "a replay needs the data's instruments: set `instruments` to a minimal CSV, or a broker's dump"
        ),
    }
}

/// The strategies of a start.
pub(super) fn resolve(
    settings: &Settings,
    instruments: &Instruments,
    kinds: &strategies::KindRegistry,
) -> anyhow::Result<Vec<ResolvedStrategy>> {
    let files = &settings.live.strategies.files;
    if files.is_empty() && has(settings, SIMULATED) {
        let definitions = strategies::parse("the built-in samples", super::parts::SAMPLES)?;
        return Ok(strategies::resolve(definitions, instruments, kinds)?);
    }
    if files.is_empty() {
        bail!("no strategy is defined: set [strategies] files to YAML files with definitions");
    }
    compose::load_strategies(files, instruments, kinds)
}

fn replayed(
    settings: &Settings,
    feed: &ReplaySettings,
    instruments: &Instruments,
    calendar: &MarketSessions,
) -> anyhow::Result<Loaded> {
    let request = DataRequest {
        path: &feed.path,
        from: Timestamp::MIN,
        to: Timestamp::MAX,
        selection: None,
    };
    load::load(settings, instruments, calendar, request, &mut |_| {})
}
