//! Composition: builds each part of a system once, from settings, instruments and definitions.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use exchange::SharedExchange;
use feeds::live::{Feed, FeedContext, FeedRegistry, SIMULATED, SimulatedSettings};
use markets::rules::FnoNames;
use model::ids::SourceSession;
use model::rules::ExchangeRules;
use model::session::Sessions;
use model::trader::{Capabilities, InPipelineTrader};
use model::{Amount, CurrencyIdx, Instruments, StrategyIdx, Timestamp};
use pipeline::risk::settings::LimitError;
use pipeline::risk::{LimitSettings, Limits, STALE_SIGNAL_LIVE};
use pipeline::{
    BrokerMask, BrokerPipeline, BrokerSettings, Kernel, Runner, StrategyHost, StrategySetup,
};
use settings::live::FeedSettings;
use settings::{BrokerTable, Settings};
use strategies::{KindRegistry, ResolvedStrategy, Scope};
use traders::{BuildContext, Built, Registry, Trader};

/// The kinds of brokers and strategies of a build, and how its process ends when a strategy never returns.
#[derive(Clone, Copy)]
pub struct BuiltIn {
    /// Makes the registry of its brokers; simulated ones trade on the exchange, where one is given.
    pub brokers: fn(Option<SharedExchange>) -> Registry,
    /// Makes the registry of its feeds; simulated ones deliver the exchange's market, where one is given.
    pub feeds: fn(Option<SharedExchange>) -> FeedRegistry,
    /// Makes the registry of its kinds of strategies.
    pub strategies: fn() -> KindRegistry,
    /// Ends the process; called when a shared strategy does not return, after the log line about it.
    pub end_of_hang: fn(),
}

impl BuiltIn {
    /// The exchange of a live system: with a simulated feed there is one, which its brokers share.
    pub(crate) fn exchange(
        settings: &Settings,
        instruments: &Instruments,
    ) -> anyhow::Result<Option<SharedExchange>> {
        let mut feeds = settings.live.feeds.iter();
        let Some((name, feed)) = feeds.find(|(_, feed)| feed.source == SIMULATED) else {
            return Ok(None);
        };
        let own = SimulatedSettings::from_table(&feed.own).map_err(anyhow::Error::msg);
        let own = own.with_context(|| format!("[feeds.{name}]"))?;
        let exchange = SharedExchange::new(own.seed, own.changes_per_second, instruments);
        Ok(Some(exchange))
    }
}

/// Builds a live feed; `None` for recorded data.
pub(crate) fn feed(
    registry: &FeedRegistry,
    name: &str,
    settings: &FeedSettings,
    instruments: &Arc<Instruments>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
) -> anyhow::Result<Option<Box<dyn Feed>>> {
    let Some(kind) = registry.get(&settings.source) else {
        bail!(
            "[feeds.{name}] source = `{}`: this build has no such kind of feed; known: {}",
            settings.source,
            registry.names().join(", ")
        );
    };
    let Some(build) = &kind.build else {
        return Ok(None);
    };
    let context = FeedContext {
        name,
        settings: &settings.own,
        instruments: Arc::clone(instruments),
        now,
    };
    let built = build(&context).map_err(anyhow::Error::msg);
    built.with_context(|| format!("[feeds.{name}]")).map(Some)
}

/// What can be found wrong with feeds and brokers before instruments and definitions are read: kinds that this
/// build does not have, values that a trader or a limit does not take.
pub(crate) fn check_settings(settings: &Settings, built_in: &BuiltIn) -> anyhow::Result<()> {
    let instruments = Arc::new(Instruments::new(Vec::new())?);
    let exchange = BuiltIn::exchange(settings, &instruments)?;
    let registry = (built_in.brokers)(exchange.clone());
    let feeds = (built_in.feeds)(exchange);
    for (name, table) in &settings.live.feeds {
        feed(
            &feeds,
            name,
            table,
            &instruments,
            Arc::new(Timestamp::default),
        )?;
    }
    let sessions: Arc<dyn Sessions> = Arc::new(settings.sessions(&instruments)?);
    for (name, table) in &settings.brokers {
        let Some(kind) = registry.get(&table.kind) else {
            bail!(
                "[trading_engine.{name}] kind = `{}`: this build has no such kind of broker; known: {}",
                table.kind,
                registry.names().join(", ")
            );
        };
        (kind.build)(&BuildContext {
            namespace: &table.namespace,
            settings: &table.trader,
            instruments: Arc::clone(&instruments),
            sessions: Arc::clone(&sessions),
        })?;
        // Limits that name an instrument or its currency wait for the instruments.
        match settings
            .limits(name)
            .resolve(&instruments, table.base_currency.code(), &[])
        {
            Err(error @ LimitError::BadNumber { .. }) => {
                return Err(error).with_context(|| format!("[risk] of broker `{name}`"));
            }
            _ => continue,
        }
    }
    Ok(())
}

/// Reads strategy definitions.
pub fn load_strategies(
    files: &[PathBuf],
    instruments: &Instruments,
    kinds: &KindRegistry,
) -> anyhow::Result<Vec<ResolvedStrategy>> {
    let mut definitions = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the strategy file {}", file.display()))?;
        definitions.extend(strategies::parse(&file.display().to_string(), &text)?);
    }
    if definitions.is_empty() {
        bail!(
            "no strategy is defined: give a YAML file with at least one definition (--strategy FILE)"
        );
    }
    Ok(strategies::resolve(definitions, instruments, kinds)?)
}

/// A broker that takes part.
pub struct ActiveBroker {
    /// Its table.
    pub table: BrokerTable,
    /// The currency of its totals.
    pub base: CurrencyIdx,
    /// Its trader's settings in effect.
    pub effective: toml::Table,
}

/// One namespace's stages.
pub struct Stage {
    /// The pipeline.
    pub pipeline: BrokerPipeline,
    /// The trader, where it is outside the pipeline.
    pub outside: Option<Box<dyn Trader>>,
}

/// The stages of a system, not yet on any host.
pub struct Stages {
    /// The strategy runner.
    pub runner: Runner,
    /// The namespaces by their index.
    pub namespaces: Vec<Stage>,
    /// The brokers by the same index.
    pub brokers: Vec<ActiveBroker>,
    /// Strategy names by index; 0 is `manual`. Those of earlier starts, which are not defined any
    /// more, come last.
    pub strategies: Vec<String>,
    /// What the operator must know.
    pub warnings: Vec<String>,
}

/// What was composed for a run in lockstep.
pub struct System {
    /// The stages.
    pub kernel: Kernel,
    /// The brokers, by their index in the kernel.
    pub brokers: Vec<ActiveBroker>,
    /// Strategy names by index; 0 is `manual`.
    pub strategies: Vec<String>,
    /// What the operator must know.
    pub warnings: Vec<String>,
}

/// What a system is composed from.
pub struct Parts<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// The namespaces that take part.
    pub brokers: &'a [String],
    /// The known kinds of brokers.
    pub registry: &'a Registry,
    /// The strategies.
    pub strategies: &'a [ResolvedStrategy],
    /// Strategies of earlier starts that may still hold positions.
    pub retired: &'a [String],
    /// The instruments.
    pub instruments: &'a Arc<Instruments>,
    /// The calendar.
    pub sessions: &'a Arc<dyn Sessions>,
    /// The identity of the market data.
    pub source: SourceSession,
    /// Whether the session's clock is the wall.
    pub live: bool,
}

/// Builds the stages and puts them into a kernel, which steps them in lockstep: every trader must be
/// inside its pipeline.
pub fn compose(parts: &Parts<'_>) -> anyhow::Result<System> {
    let stages = stages(parts)?;
    let mut pipelines = Vec::with_capacity(stages.namespaces.len());
    for (stage, broker) in stages.namespaces.into_iter().zip(&stages.brokers) {
        if stage.outside.is_some() {
            bail!(
                "broker `{}` ({}) trades outside this process: a backtest needs one such as paper",
                broker.table.namespace,
                broker.table.kind
            );
        }
        pipelines.push(stage.pipeline);
    }
    Ok(System {
        kernel: Kernel::new(stages.runner, pipelines),
        brokers: stages.brokers,
        strategies: stages.strategies,
        warnings: stages.warnings,
    })
}

/// Builds the stages.
pub fn stages(parts: &Parts<'_>) -> anyhow::Result<Stages> {
    let Parts {
        settings,
        registry,
        instruments,
        sessions,
        ..
    } = *parts;
    let mut warnings = Vec::new();
    let mut names: Vec<&str> = parts.brokers.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() > pipeline::kernel::BROKERS_MAX {
        bail!(
            "{} brokers are more than the {} of one system",
            names.len(),
            pipeline::kernel::BROKERS_MAX
        );
    }
    let known: Vec<&str> = settings.brokers.keys().map(String::as_str).collect();
    if let Some(unknown) = names.iter().find(|n| !known.contains(*n)) {
        bail!(
            "broker `{unknown}` is not configured: add [trading_engine.{unknown}] to the settings \
             (configured: {})",
            known.join(", ")
        );
    }
    for (name, table) in &settings.brokers {
        if registry.get(&table.kind).is_none() {
            bail!(
                "[trading_engine.{name}] kind = `{}`: no such kind of broker; known: {}",
                table.kind,
                registry.names().join(", ")
            );
        }
    }
    for strategy in parts.strategies {
        for skipped in strategy.definition.check_brokers(&known, &names)? {
            warnings.push(skipped.to_string());
        }
    }
    let indices: Vec<(StrategyIdx, &ResolvedStrategy)> = parts
        .strategies
        .iter()
        .enumerate()
        .map(|(i, s)| (StrategyIdx(i as u32 + 1), s))
        .collect();
    let mask = |strategy: &ResolvedStrategy| {
        names
            .iter()
            .enumerate()
            .fold(BrokerMask::default(), |mask, (index, name)| {
                if strategy.definition.runs_on(name) {
                    mask.with(index)
                } else {
                    mask
                }
            })
    };
    let setup =
        |index: StrategyIdx, strategy: &ResolvedStrategy| -> anyhow::Result<StrategySetup> {
            Ok(StrategySetup {
                index,
                name: strategy.id().to_owned(),
                instruments: strategy.instruments.clone(),
                product: strategy.product(),
                warm_up: strategy.definition.warm_up.unwrap_or(0),
                missed_timers: strategy.definition.missed_timers,
                enabled: true,
                brokers: mask(strategy),
                strategy: strategy
                    .build()
                    .with_context(|| format!("strategy `{}`", strategy.id()))?,
            })
        };
    let of_scope = |scope: Scope| {
        indices
            .iter()
            .filter(move |(_, s)| s.enabled() && s.scope() == scope)
    };
    let shared = of_scope(Scope::Shared)
        .filter(|(_, s)| mask(s) != BrokerMask::default())
        .map(|(i, s)| setup(*i, s))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for (_, strategy) in &indices {
        if !strategy.enabled() {
            warnings.push(format!(
                "strategy `{}` is disabled and does not run",
                strategy.id()
            ));
        }
    }
    let mut brokers = Vec::new();
    let mut namespaces = Vec::new();
    for name in &names {
        let Some(table) = settings.brokers.get(*name) else {
            continue;
        };
        let context = BuildContext {
            namespace: &table.namespace,
            settings: &table.trader,
            instruments: Arc::clone(instruments),
            sessions: Arc::clone(sessions),
        };
        let Some(kind) = registry.get(&table.kind) else {
            continue;
        };
        let (inside, outside, said, effective) = match (kind.build)(&context)? {
            Built::InPipeline {
                trader,
                warnings,
                effective,
            } => (Some(trader), None, warnings, effective),
            Built::Outside {
                trader,
                warnings,
                effective,
            } => (None, Some(trader), warnings, effective),
        };
        warnings.extend(said);
        let own = of_scope(Scope::PerBroker)
            .filter(|(_, s)| s.definition.runs_on(name))
            .map(|(i, s)| setup(*i, s))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let capabilities = match (&inside, &outside) {
            (Some(trader), _) => trader.capabilities().clone(),
            (None, Some(trader)) => trader.capabilities().clone(),
            (None, None) => continue,
        };
        let pipeline = pipeline_of(parts, table, &indices, own, capabilities, inside)?;
        let limits = pipeline.risk().limits();
        let off = limits.switched_off(instruments.currencies());
        if !off.is_empty() {
            warnings.push(format!(
                "broker `{name}`: risk rules that are switched off: {}",
                off.join(", ")
            ));
        }
        namespaces.push(Stage { pipeline, outside });
        let base = instruments
            .currencies()
            .iter()
            .position(|c| *c == table.base_currency);
        brokers.push(ActiveBroker {
            base: CurrencyIdx(base.unwrap_or_default() as u16),
            table: table.clone(),
            effective,
        });
    }
    let host = StrategyHost::new(
        Arc::clone(instruments),
        Arc::clone(sessions),
        parts.source,
        shared,
        false,
    );
    let mut strategies = vec![StrategyIdx::MANUAL_NAME.to_owned()];
    strategies.extend(parts.strategies.iter().map(|s| s.id().to_owned()));
    strategies.extend_from_slice(parts.retired);
    Ok(Stages {
        runner: Runner::new(host),
        namespaces,
        brokers,
        strategies,
        warnings,
    })
}

fn pipeline_of(
    parts: &Parts<'_>,
    table: &BrokerTable,
    strategies: &[(StrategyIdx, &ResolvedStrategy)],
    own: Vec<StrategySetup>,
    capabilities: Capabilities,
    trader: Option<Box<dyn InPipelineTrader>>,
) -> anyhow::Result<BrokerPipeline> {
    let namespace = table.namespace.as_str();
    let base = table.base_currency.code();
    let cash = table.cash(parts.instruments);
    let mut limits = parts
        .settings
        .limits(namespace)
        .resolve(parts.instruments, base, &cash)
        .with_context(|| format!("[risk] for broker `{namespace}`"))?;
    if parts.live {
        limits.stale_signal.get_or_insert(STALE_SIGNAL_LIVE);
    }
    let mut strategy_limits: Vec<Option<Limits>> = vec![None];
    for (_, strategy) in strategies {
        strategy_limits.push(own_limits(strategy, parts.instruments, base, &cash)?);
    }
    strategy_limits.extend(parts.retired.iter().map(|_| None));
    let settings = BrokerSettings {
        namespace: table.namespace.clone(),
        starting_cash: cash,
        limits,
        strategy_limits,
        auto_resume: table.auto_resume,
        on_resume: table.on_resume,
        square_off: square_off(parts, table),
        square_off_notice: table.square_off_notice,
        snapshot_interval: i64::from(parts.settings.portfolio.snapshot_interval_seconds)
            * model::time::SECOND,
        send_within: table.send_within,
        report_band: table.report_band,
        charges: Arc::clone(&table.charges),
        rules: Arc::clone(&parts.settings.markets.rules) as Arc<dyn ExchangeRules>,
    };
    Ok(BrokerPipeline::new(
        Arc::clone(parts.instruments),
        Arc::clone(parts.sessions),
        parts.source,
        settings,
        capabilities,
        own,
        trader,
    ))
}

/// By session group, when intraday positions are closed.
fn square_off(parts: &Parts<'_>, table: &BrokerTable) -> Vec<Option<i64>> {
    let facts = &parts.settings.markets;
    let names = FnoNames::of(&facts.rules, parts.instruments);
    let mut groups = vec![None; parts.sessions.groups()];
    for (_, instrument) in parts.instruments.iter() {
        let segment = facts.segment(instrument, &names);
        let group = parts.sessions.group(instrument).index();
        if let Some(before) = groups.get_mut(group) {
            *before = table
                .square_off
                .before(&instrument.exchange, segment.unwrap_or_default());
        }
    }
    groups
}

fn own_limits(
    strategy: &ResolvedStrategy,
    instruments: &Instruments,
    base: &str,
    cash: &[Amount],
) -> anyhow::Result<Option<Limits>> {
    let limits = limit_settings(strategy)?;
    let resolved = limits.map(|limits| limits.resolve(instruments, base, cash));
    resolved.transpose().with_context(|| limits_at(strategy))
}

/// The limits of a strategy's definition.
pub(crate) fn limit_settings(strategy: &ResolvedStrategy) -> anyhow::Result<Option<LimitSettings>> {
    let risk = strategy.definition.risk.as_ref();
    let limits = risk.map(|risk| serde_json::from_value(risk.value.clone()));
    limits.transpose().with_context(|| limits_at(strategy))
}

fn limits_at(strategy: &ResolvedStrategy) -> String {
    let at = strategy.definition.risk.as_ref();
    let at = at.map_or(&strategy.definition.source, |risk| &risk.at);
    format!("{at}: strategy `{}`: risk", strategy.id())
}
