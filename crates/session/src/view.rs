//! What a running session looks like, as one JSON document: `panda status --json`, and what the terminal
//! and later the API show. All numbers are made here, from the stages' own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use journal::{FileLogs, LogName, Logs, MARKET, Owner};
use model::control::TradingState;
use model::order::OrderRole;
use model::reason::Reason;
use model::{Amount, CurrencyIdx, Instruments, Price, Quantity, Timestamp};
use pipeline::BrokerPipeline;
use pipeline::portfolio::Position;
use pipeline::risk::Risk;
use pipeline::tally::{Counts, STAGES, Tally};
use runtime::clock::uptime;
use runtime::directory::Directory;
use serde_json::{Map, Value, json};
use settings::Settings;

use crate::compose::BuiltIn;
use crate::handles::Handles;
use crate::open;

/// Names by index, owned, for questions that are answered on another thread.
#[derive(Debug, Clone)]
pub struct Names {
    /// Instruments by index.
    pub instruments: Vec<String>,
    /// Strategies by index.
    pub strategies: Vec<String>,
    /// Currencies by index.
    pub currencies: Vec<String>,
}

impl Names {
    /// Of a session.
    pub fn of(instruments: &Instruments, strategies: impl IntoIterator<Item = String>) -> Self {
        Self {
            instruments: instruments.iter().map(|(_, i)| i.id.clone()).collect(),
            strategies: strategies.into_iter().collect(),
            currencies: instruments
                .currencies()
                .iter()
                .map(|c| c.code().to_owned())
                .collect(),
        }
    }
    /// A strategy's name.
    pub fn strategy(&self, index: model::StrategyIdx) -> &str {
        Self::name(&self.strategies, index.index())
    }
    /// An instrument's id.
    pub fn instrument(&self, index: model::InstrumentIdx) -> &str {
        Self::name(&self.instruments, index.index())
    }
    fn name(list: &[String], index: usize) -> &str {
        list.get(index).map_or("", String::as_str)
    }
}

/// A position that nothing at the broker protects once this process is gone.
pub fn is_protected(pipeline: &BrokerPipeline, position: &Position, is_outside: bool) -> bool {
    // A matching engine within this process protects nothing while the process is stopped.
    is_outside
        && pipeline.engine().book(&position.key).is_some_and(|book| {
            let covered: i64 = book
                .working()
                .iter()
                .filter_map(|id| pipeline.engine().working(*id))
                .filter(|w| w.order.intent().role == OrderRole::StopLoss)
                .map(|w| w.order.open_quantity().raw())
                .sum();
            covered >= position.quantity.abs().raw()
        })
}

/// Whether a namespace trades, and what keeps it from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trading {
    state: TradingState,
    /// The rule that stopped it; `None`: an operator did.
    rule: Option<Reason>,
}

impl Trading {
    /// Of a namespace's risk manager.
    pub fn of(risk: &Risk) -> Self {
        Self {
            state: risk.state(),
            rule: risk.automatic(),
        }
    }
    /// Whether nothing keeps it from trading.
    pub fn is_active(self) -> bool {
        self.state == TradingState::Active
    }
    /// Who stopped it.
    fn by(self) -> Option<&'static str> {
        match (self.is_active(), self.rule) {
            (true, _) => None,
            (false, Some(rule)) => Some(rule.code()),
            (false, None) => Some("operator"),
        }
    }
    /// For people.
    pub fn sentence(self) -> String {
        let state = self.state.name().to_uppercase();
        match self.by() {
            None => self.state.name().to_owned(),
            Some(by) => format!("{state} by {by}"),
        }
    }
}

/// The price of the first working order of a position in this role.
fn leg(pipeline: &BrokerPipeline, position: &Position, role: OrderRole) -> Option<Price> {
    let engine = pipeline.engine();
    let book = engine.book(&position.key)?;
    let mut working = book.working().iter().filter_map(|id| engine.working(*id));
    let order = &working.find(|w| w.order.intent().role == role)?.order;
    order.trigger_price().or(order.limit_price())
}

fn positions(pipeline: &BrokerPipeline, names: &Names, is_outside: bool) -> Vec<Value> {
    let portfolio = pipeline.portfolio();
    let open = portfolio
        .positions()
        .iter()
        .filter(|p| p.quantity != Quantity::ZERO);
    let mut open: Vec<&Position> = open.collect();
    open.sort_by_key(|p| {
        let key = p.key;
        (
            names.instrument(key.instrument),
            names.strategy(key.strategy),
            key.product.name(),
        )
    });
    let price = |price: Option<Price>| price.map(|p| p.to_string());
    open.into_iter()
        .map(|position| {
            let key = position.key;
            let last = portfolio.last(key.instrument).price;
            json!({
                "strategy": names.strategy(key.strategy),
                "instrument": names.instrument(key.instrument),
                "product": key.product.name(),
                "quantity": position.quantity.to_string(),
                "average_price": price(portfolio.average_price(position)),
                "cost": position.cost.to_string(),
                "last_price": last.to_string(),
                "stop_price": price(leg(pipeline, position, OrderRole::StopLoss)),
                "target_price": price(leg(pipeline, position, OrderRole::TakeProfit)),
                "unrealised": portfolio.unrealised(position).map(|a| a.to_string()).ok(),
                "realised": position.realised.to_string(),
                "charges": position.charges.to_string(),
                "protected": is_protected(pipeline, position, is_outside),
            })
        })
        .collect()
}

/// What the account holds of each instrument over all strategies, where several hold it.
fn net(pipeline: &BrokerPipeline, names: &Names) -> Vec<Value> {
    let mut net: BTreeMap<&str, (i128, usize)> = BTreeMap::new();
    for position in pipeline.portfolio().positions() {
        if position.quantity != Quantity::ZERO {
            let instrument = names.instrument(position.key.instrument);
            let (quantity, holders) = net.entry(instrument).or_default();
            *quantity += i128::from(position.quantity.raw());
            *holders += 1;
        }
    }
    let several = net.into_iter().filter(|(_, (_, holders))| *holders > 1);
    several
        .filter_map(|(instrument, (quantity, _))| {
            let quantity = Quantity::from_raw(i64::try_from(quantity).ok()?);
            Some(json!({ "instrument": instrument, "quantity": quantity.to_string() }))
        })
        .collect()
}

fn orders(pipeline: &BrokerPipeline, names: &Names) -> Vec<Value> {
    let engine = pipeline.engine();
    let mut working: Vec<_> = engine
        .working_ids()
        .into_iter()
        .filter_map(|id| engine.working(id))
        .collect();
    working.sort_by_key(|w| {
        let intent = w.order.intent();
        (
            names.instrument(intent.instrument),
            intent.submitted,
            intent.id,
        )
    });
    working
        .into_iter()
        .map(|working| {
            let (order, intent) = (&working.order, working.order.intent());
            let price = |price: Option<Price>| price.map(|p| p.to_string());
            json!({
                "order_id": intent.id.to_string(),
                "strategy": names.strategy(intent.strategy),
                "instrument": names.instrument(intent.instrument),
                "role": intent.role.name(),
                "side": intent.side.name(),
                "status": order.status().name(),
                "quantity": order.quantity().to_string(),
                "filled": order.filled().to_string(),
                "limit_price": price(order.limit_price()),
                "trigger_price": price(order.trigger_price()),
                "submitted": intent.submitted.nanos(),
                "correlation_id": intent.correlation.to_string(),
            })
        })
        .collect()
}

fn difference(now: Amount, base: Amount) -> Option<String> {
    now.checked_sub(base).ok().map(|amount| amount.to_string())
}

fn accounts(pipeline: &BrokerPipeline, names: &Names) -> Vec<Value> {
    let portfolio = pipeline.portfolio();
    let used = |account: &pipeline::portfolio::Account| {
        account.starting_cash != model::Amount::ZERO
            || account.cash_flow != model::Amount::ZERO
            || account.charges != model::Amount::ZERO
    };
    let all = portfolio.accounts().iter().enumerate();
    all.filter(|(_, account)| used(account))
        .map(|(index, account)| {
            let snapshot = portfolio.snapshot(CurrencyIdx(index as u16)).ok();
            json!({
                "currency": Names::name(&names.currencies, index),
                "equity": account.equity().to_string(),
                "pnl_today": difference(account.equity(), account.day_base),
                "pnl_total": difference(account.equity(), account.starting_cash),
                "cash_flow": account.cash_flow.to_string(),
                "starting_cash": account.starting_cash.to_string(),
                "realised": account.realised.to_string(),
                "unrealised": snapshot.map(|s| s.unrealised.to_string()),
                "charges": account.charges.to_string(),
                "gross_exposure": account.gross_exposure.to_string(),
                "max_drawdown": account.max_drawdown.to_string(),
            })
        })
        .collect()
}

fn counts(counts: &Counts) -> Map<String, Value> {
    let by_reason = |map: &BTreeMap<Reason, u64>| -> Value {
        let named = map
            .iter()
            .map(|(reason, n)| (reason.code().to_owned(), json!(n)));
        Value::Object(named.collect())
    };
    let mut map = Map::new();
    map.insert("orders_submitted".to_owned(), json!(counts.submitted));
    map.insert("fills".to_owned(), json!(counts.fills));
    map.insert("orders_failed".to_owned(), json!(counts.failed));
    map.insert("rejects".to_owned(), by_reason(&counts.refused));
    map.insert("alerts".to_owned(), by_reason(&counts.alerts));
    map
}

/// What a namespace has done since its journal began, and on its trading day.
fn activity(tally: &Tally) -> Value {
    let stages = STAGES.iter().zip(&tally.stages).map(|(name, activity)| {
        let last = activity.last.map(Timestamp::nanos);
        (
            (*name).to_owned(),
            json!({ "count": activity.count, "last": last }),
        )
    });
    let mut map = counts(&tally.total);
    map.insert("stages".to_owned(), Value::Object(stages.collect()));
    map.insert("today".to_owned(), Value::Object(counts(&tally.today)));
    Value::Object(map)
}

/// What a namespace's state machine says of itself.
pub fn namespace(pipeline: &BrokerPipeline, names: &Names, is_outside: bool) -> Value {
    let risk = pipeline.risk();
    let disabled: Vec<&String> = names
        .strategies
        .iter()
        .enumerate()
        .filter(|(at, _)| !risk.is_enabled(model::StrategyIdx(*at as u32)))
        .map(|(_, name)| name)
        .collect();
    let strategies = names.strategies.iter().enumerate();
    let strategies_anew: serde_json::Map<String, Value> = strategies
        .filter_map(|(at, name)| {
            let since = risk.losses_since(Some(model::StrategyIdx(at as u32)))?;
            Some((name.clone(), json!(since.nanos())))
        })
        .collect();
    let blocks: Vec<&str> = risk.blocks().iter().map(|r| r.code()).collect();
    let unresolved: Vec<String> = pipeline.unresolved().map(|id| id.to_string()).collect();
    let parked: Vec<Value> = pipeline
        .engine()
        .parked()
        .iter()
        .map(|p| {
            json!({
                "order_id": p.order.to_string(),
                "instrument": names.instruments.get(p.instrument.index()),
                "side": p.side.name(),
                "quantity": p.quantity.to_string(),
                "price": p.price.to_string(),
                "last_price": p.last.to_string(),
                "doubt": p.doubt.name(),
                "confirmed": p.confirmed,
            })
        })
        .collect();
    json!({
        "state": risk.state().name(),
        "halted_by": Trading::of(risk).by(),
        "losses_count_since": risk.losses_since(None).map(|ts| ts.nanos()),
        "strategies_losses_count_since": strategies_anew,
        "entries_blocked_by": blocks,
        "disabled_strategies": disabled,
        "orders_today": risk.counters().orders_today(),
        "unresolved_orders": unresolved,
        "parked_reports": parked,
        "activity": activity(pipeline.tally()),
        "closed_market_data": pipeline.stats().closed_market_data,
        "positions": positions(pipeline, names, is_outside),
        "net": net(pipeline, names),
        "open_orders": orders(pipeline, names),
        "accounts": accounts(pipeline, names),
    })
}

/// Refuses logs that a start would refuse: what they came to is not what they held.
fn prove(settings: &Settings, brokers: &[String]) -> anyhow::Result<()> {
    let logs = FileLogs::existing(&settings.live.data_dir);
    let directory = Directory::load(&logs)?;
    let listed = directory.iter().flat_map(Directory::logs);
    let names: BTreeSet<&str> = listed
        .chain(brokers.iter().map(String::as_str))
        .chain([MARKET])
        .collect();
    for name in names {
        let mut owner = Owner::NONE;
        if let Some(directory) = &directory {
            directory.missing(&logs, name)?;
            owner = directory.listed(name);
        }
        logs.log(LogName::of(name)).check(&owner)?;
    }
    Ok(())
}

/// A system that does not run, as its logs left it. Takes no lock.
pub fn recorded(
    settings: &Settings,
    brokers: &[String],
    built_in: BuiltIn,
) -> anyhow::Result<Value> {
    prove(settings, brokers)?;
    let system = open::recorded(settings, brokers, built_in)?;
    let names = Names::of(&system.instruments, system.strategies);
    let mut all = Vec::new();
    let mut until = None;
    for space in system.spaces {
        let (broker, is_outside) = (space.broker, space.is_outside);
        let pipeline = runtime::namespace::look(space.parts)?;
        let now = Some(pipeline.now()).filter(|now| *now > Timestamp::MIN);
        until = until.max(now);
        let mut value = json!({
            "broker": broker.table.namespace.as_str(),
            "kind": broker.table.kind,
            "mode": "paper",
            "recorded_until": now.map(Timestamp::nanos),
        });
        if let (Value::Object(map), Value::Object(said)) =
            (&mut value, namespace(&pipeline, &names, is_outside))
        {
            map.extend(said);
        }
        all.push(value);
    }
    Ok(json!({
        "running": false,
        // One that starts or ends has the directory and does not answer.
        "process": journal::DirLock::holder(&settings.live.data_dir).flatten(),
        "environment": settings.environment.name(),
        "data_dir": settings.live.data_dir,
        "recorded_until": until.map(Timestamp::nanos),
        "brokers": all,
    }))
}

/// The session.
pub fn session(handles: &Handles) -> Value {
    let strategies = handles.start.strategies.iter().map(|s| s.name.clone());
    let names = Names::of(&handles.instruments, strategies);
    let market = handles.market.status();
    let queue = handles.queue.stats();
    let monitor = &handles.monitor;
    let now = uptime();
    let next = market.next_input.load(Ordering::Acquire);
    let feeds: Vec<Value> = handles
        .feeds
        .iter()
        .map(|(name, feed)| {
            let last = feed.last.load(Ordering::Relaxed);
            json!({
                "name": name,
                "state": feed.state().name(),
                "why": feed.state().why(),
                "delivered": feed.delivered.load(Ordering::Relaxed),
                "rejected": feed.rejected.load(Ordering::Relaxed),
                "connections": feed.connections.load(Ordering::Relaxed),
                "silent_ms": (last > 0).then(|| (now - last).max(0) / 1_000_000),
            })
        })
        .collect();
    let mut brokers: Vec<Value> = handles
        .members
        .iter()
        .enumerate()
        .map(|(index, member)| {
            let status = member.host.status();
            let (depth, capacity) = member.host.inbox().depth();
            let detached = status.detached();
            let mut value = json!({
                "broker": member.name,
                "kind": member.kind,
                // Live trading is off until a broker is switched on for it.
                "mode": "paper",
                "detached": detached.map(|d| json!({ "code": d.code, "why": d.why })),
                "lag": next.saturating_sub(status.next_input.load(Ordering::Acquire)),
                "queue_depth": depth,
                "queue_capacity": capacity,
                "conflated": status.conflated.load(Ordering::Relaxed),
                "events": status.events.load(Ordering::Relaxed),
                "events_per_second": monitor.rate(|s| {
                    s.namespaces.get(index).map_or(0, |n| n.events)
                }),
                "sync_us": status.sync_nanos.load(Ordering::Relaxed) / 1000,
                "snapshots_failed": status.snapshots.failed(),
                "snapshot_failed": status.snapshots.why(),
                "retention": status.retention.lock().ok().and_then(|r| r.clone()),
                "journal_bytes": status.journal_bytes.load(Ordering::Relaxed),
                "dead_letters": handles.letters.view(&member.name),
                "link": member.link.as_ref().map(|link| {
                    let since = link.calling_since.load(Ordering::Acquire);
                    json!({
                        "connected": link.connected.load(Ordering::Acquire),
                        "calls": link.calls.load(Ordering::Relaxed),
                        "unknown": link.unknown.load(Ordering::Relaxed),
                        "lost": link.lost.load(Ordering::Relaxed),
                        "calling_ms": (since > 0).then(|| (now - since).max(0) / 1_000_000),
                    })
                }),
            });
            let (asked, is_outside) = (names.clone(), member.is_outside);
            let said = if status.ended.load(Ordering::Acquire) {
                None
            } else {
                handles.ask(index, move |n| namespace(n.pipeline(), &asked, is_outside))
            };
            if let (Some(Value::Object(said)), Value::Object(map)) = (said, &mut value) {
                map.extend(said);
            } else if let Value::Object(map) = &mut value {
                map.insert("state".to_owned(), json!("detached"));
            }
            value
        })
        .collect();
    brokers.extend(handles.excluded.iter().map(|out| {
        json!({
            "broker": out.name,
            "kind": out.kind,
            "mode": "paper",
            "state": "excluded",
            "detached": json!({ "code": out.why.code, "why": out.why.why }),
        })
    }));
    json!({
        "running": true,
        "environment": handles.settings.environment.name(),
        "data_dir": handles.settings.live.data_dir,
        "process": std::process::id(),
        "build": handles.start.build,
        "live": handles.clock.is_live(),
        "session_time": handles.clock.now().nanos(),
        "uptime_seconds": handles.began.elapsed().as_secs(),
        "stopping": handles.is_stopping.load(Ordering::Acquire),
        "market": {
            "inputs": next,
            "inputs_per_second": monitor.rate(|s| s.inputs),
            "signals": market.signals.load(Ordering::Relaxed),
            "complete": market.complete.load(Ordering::Acquire),
            "queue_depth": queue.depth,
            "queue_capacity": handles.queue.capacity(),
            "conflated": queue.conflated,
            "sync_us": market.sync_nanos.load(Ordering::Relaxed) / 1000,
            "log_bytes": market.log_bytes.load(Ordering::Relaxed),
            "dead_letters": handles.letters.view("market"),
            "snapshots_failed": market.snapshots.failed(),
            "snapshot_failed": market.snapshots.why(),
            "retention": market.retention.lock().ok().and_then(|r| r.clone()),
            "failed": market.failed.lock().ok().and_then(|f| f.clone()),
        },
        "feeds": feeds,
        "brokers": brokers,
    })
}
