//! What a running session looks like, as one JSON document: `panda status --json`, and what the terminal
//! and later the API show. What a namespace holds and has done comes from its projection.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use journal::{FileLogs, LogName, Logs, MARKET, Owner};
use model::Timestamp;
use projection::{Names, Projection};
use runtime::clock::uptime;
use runtime::directory::Directory;
use serde_json::{Value, json};
use settings::Settings;

use crate::compose::BuiltIn;
use crate::handles::Handles;
use crate::open;

/// A namespace's part of the document.
fn overview(projection: &Projection, is_outside: bool, closed_market_data: u64) -> Value {
    let overview = serde_json::to_value(projection.overview(is_outside));
    let mut value = overview.unwrap_or_else(|error| json!({ "unreadable": error.to_string() }));
    if let Value::Object(map) = &mut value {
        map.insert("closed_market_data".to_owned(), json!(closed_market_data));
    }
    value
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
    let names = Names {
        instruments: system.instruments,
        strategies: system.strategies.into(),
        sessions: system.sessions,
    };
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
        let closed = pipeline.stats().closed_market_data;
        let projection = Projection::of(&pipeline, names.clone(), None);
        let said = overview(&projection, is_outside, closed);
        if let (Value::Object(map), Value::Object(said)) = (&mut value, said) {
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
            let closed = status.closed_market_data.load(Ordering::Relaxed);
            let said = member
                .reader
                .read(|projection| overview(projection, member.is_outside, closed));
            if let (Value::Object(map), Value::Object(said)) = (&mut value, said) {
                map.extend(said);
                if status.ended.load(Ordering::Acquire) {
                    map.insert("state".to_owned(), json!("detached"));
                }
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
