//! The whole life of one decision, over all namespaces: from the tick that caused it to the end of its
//! orders.

use std::collections::BTreeSet;
use std::sync::Arc;

use journal::record::{Entry, Host, JournalRecord, MarketItem, Run, Start};
use journal::{LogName, Logs};
use model::event::{Event, EventBody};
use model::signal::{Signal, Trigger};
use model::{CorrelationId, InputId, OrderId, SignalId, Timestamp};
use runtime::RuntimeError;
use runtime::records::{JournalRecords, market_input};
use serde_json::{Map, Value, json};
use wire::EventPlace;

use crate::render::Names;

/// A correlation id that a text may mean, and what of it the text was found in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match {
    /// The correlation id.
    pub correlation: CorrelationId,
    /// `correlation id`, `signal`, `order`, `client order id`.
    pub what: &'static str,
}

/// One line of a decision's life.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// The session's time.
    pub ts: Timestamp,
    /// The namespace; `market` for the tick that caused it.
    pub broker: String,
    /// Rendered.
    pub value: Value,
}

/// When an order passed from hand to hand: wall clock, nanoseconds UTC, zero where unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrderTimes {
    /// The causing input arrived in this process.
    pub received: i64,
    /// The intent was decided.
    pub decided: i64,
    /// The intent was durable.
    pub durable: i64,
    /// The call to the broker started.
    pub sent: i64,
    /// The broker had answered it.
    pub acknowledged: i64,
    /// The broker's first report about it arrived.
    pub reported: i64,
}

impl OrderTimes {
    /// The steps with their names, in order.
    pub const fn steps(&self) -> [(&'static str, i64); 6] {
        [
            ("received", self.received),
            ("decided", self.decided),
            ("durable", self.durable),
            ("sent", self.sent),
            ("acknowledged", self.acknowledged),
            ("reported", self.reported),
        ]
    }

    fn submitted(&mut self, host: &Host) {
        (self.received, self.decided) = (host.received, host.decided);
    }

    fn reported(&mut self, host: &Host) {
        let first = |mine: &mut i64, said: i64| {
            if *mine == 0 {
                *mine = said;
            }
        };
        first(&mut self.durable, host.durable);
        first(&mut self.sent, host.sent);
        first(&mut self.acknowledged, host.acknowledged);
        first(&mut self.reported, host.received);
    }
}

/// A decision's life.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Its correlation id.
    pub correlation: CorrelationId,
    /// What happened, by time, over all namespaces.
    pub moments: Vec<Moment>,
    /// The orders, with their namespace and times.
    pub orders: Vec<(String, OrderId, OrderTimes)>,
}

fn each_run(
    logs: &dyn Logs,
    broker: &str,
    mut take: impl FnMut(&Run, Option<&Arc<Start>>),
) -> Result<(), RuntimeError> {
    let log = logs.log(LogName::Journal(broker));
    let mut records = JournalRecords::open(log.as_ref())?;
    while let Some(found) = records.next()? {
        if let JournalRecord::Run(run) = &found.record {
            take(run, found.start.as_ref());
        }
    }
    Ok(())
}

fn begins(id: impl std::fmt::Display, text: &str) -> bool {
    id.to_string().starts_with(text)
}

/// What `text` may mean: the beginning of a correlation id, or else of the id of a signal or an order.
pub fn resolve(
    logs: &dyn Logs,
    brokers: &[String],
    text: &str,
) -> Result<BTreeSet<Match>, RuntimeError> {
    let text = text.to_ascii_lowercase();
    let hexadecimal = text.bytes().all(|b| b.is_ascii_hexdigit());
    let (mut direct, mut others) = (BTreeSet::new(), BTreeSet::new());
    if text.is_empty() {
        return Ok(direct);
    }
    for broker in brokers {
        each_run(logs, broker, |run, start| {
            for event in &run.outputs {
                let correlation = event.correlation;
                let found = |what| Match { correlation, what };
                if hexadecimal && begins(correlation, &text) {
                    direct.insert(found("correlation id"));
                }
                match &event.body {
                    EventBody::SignalRaw(signal) if hexadecimal && begins(signal.id, &text) => {
                        others.insert(found("signal"));
                    }
                    EventBody::OrderSubmitted(intent) => {
                        if begins(intent.id, &text) {
                            others.insert(found("order"));
                        } else if let Some(start) = start
                            && begins(intent.id.client_order_id(start.salt), &text)
                        {
                            others.insert(found("client order id"));
                        }
                    }
                    _ => {}
                }
            }
        })?;
    }
    Ok(if direct.is_empty() { others } else { direct })
}

/// The life of one decision.
pub fn trace(
    logs: &dyn Logs,
    brokers: &[String],
    correlation: CorrelationId,
) -> Result<Trace, RuntimeError> {
    let mut lives = Vec::new();
    let mut orders: Vec<(String, OrderId, OrderTimes)> = Vec::new();
    // A shared strategy's signal reaches several namespaces and has one cause.
    let mut causes: Vec<Decided> = Vec::new();
    for broker in brokers {
        let mut life: Vec<Moment> = Vec::new();
        let mut times: Vec<(OrderId, OrderTimes)> = Vec::new();
        each_run(logs, broker, |run, start| {
            let mine = run.placed();
            for (at, event) in mine.filter(|(_, e)| e.correlation == correlation) {
                match &event.body {
                    EventBody::OrderSubmitted(intent) => {
                        let mut order = OrderTimes::default();
                        order.submitted(&run.host);
                        times.push((intent.id, order));
                    }
                    EventBody::SignalRaw(signal) if causes.iter().all(|c| c.id != signal.id) => {
                        causes.push(Decided::of(signal, run, start));
                    }
                    _ => {}
                }
                // Within a namespace the log's order holds, whatever the stamps.
                let ts = life.last().map_or(event.ts, |m| m.ts.max(event.ts));
                life.push(Moment {
                    ts,
                    broker: broker.clone(),
                    value: render(start, broker, event, at),
                });
            }
            for entry in &run.inputs {
                if let Entry::Report(report) = entry
                    && let Some((_, times)) = times.iter_mut().find(|(o, _)| *o == report.order)
                {
                    times.reported(&run.host);
                }
            }
        })?;
        orders.extend(times.into_iter().map(|(id, t)| (broker.clone(), id, t)));
        lives.extend(life);
    }
    let mut moments = Vec::with_capacity(causes.len() + lives.len());
    for cause in causes {
        let moment = match cause.moment {
            Some(moment) => moment,
            None => match market_input(logs.log(LogName::Market).as_ref(), cause.input)? {
                Some((item, start)) => tick(cause.input, &item, start.as_ref()),
                None => lost(cause.input, cause.ts),
            },
        };
        moments.push(Moment {
            // What caused a decision was there before it, whatever the stamps.
            ts: moment.ts.min(cause.ts),
            ..moment
        });
    }
    // At one instant a cause stands before what it caused.
    moments.extend(lives);
    moments.sort_by_key(|moment| moment.ts);
    Ok(Trace {
        correlation,
        moments,
        orders,
    })
}

/// A signal and what it was decided on.
struct Decided {
    id: SignalId,
    input: InputId,
    ts: Timestamp,
    /// `None`: the market input is still to be looked up.
    moment: Option<Moment>,
}

impl Decided {
    fn of(signal: &Signal, run: &Run, start: Option<&Arc<Start>>) -> Self {
        let (ts, kind) = match &signal.trigger {
            Trigger::Input => (signal.ts, ""),
            Trigger::Bar(bar) => (bar.close_ts, "bar"),
            Trigger::Timer { due, .. } => (*due, "timer_due"),
            Trigger::Session { opens: true, due } => (*due, "session_opened"),
            Trigger::Session { opens: false, due } => (*due, "session_closed"),
            Trigger::Fill { .. } => (signal.ts, "own_fill"),
        };
        let moment = if kind.is_empty() {
            embedded(run, signal.input, start)
        } else {
            Some(timed(signal, ts, kind, start))
        };
        Self {
            id: signal.id,
            input: signal.input,
            ts: signal.ts,
            moment,
        }
    }
}

/// What a strategy's host called it with beside ticks: `input` is the latest market input by then.
fn timed(signal: &Signal, ts: Timestamp, kind: &str, start: Option<&Arc<Start>>) -> Moment {
    let mut value = json!({
        "type": kind,
        "ts": ts.nanos(),
        "time": ts.to_string(),
        "input": signal.input.0,
    });
    if let (Some(start), Some(map)) = (start, value.as_object_mut()) {
        let names = Names(start);
        map.insert(
            "strategy".to_owned(),
            json!(names.strategy_name(signal.strategy)),
        );
        match &signal.trigger {
            Trigger::Bar(bar) => {
                map.insert("data".to_owned(), names.market(&MarketItem::Bar(*bar)));
            }
            Trigger::Timer { id, .. } => {
                map.insert("timer".to_owned(), json!(id));
            }
            Trigger::Fill { .. } => {
                map.insert("fill".to_owned(), names.trigger(&signal.trigger));
            }
            Trigger::Input | Trigger::Session { .. } => {}
        }
    }
    Moment {
        ts,
        broker: "market".to_owned(),
        value,
    }
}

fn render(start: Option<&Arc<Start>>, broker: &str, event: &Event, at: EventPlace) -> Value {
    match start {
        Some(start) => Names(start).event(broker, event, at),
        // Its tables have been removed with the log's beginning.
        None => json!({
            "type": event.kind(), "ts": event.ts.nanos(), "time": event.ts.to_string(),
            "correlation_id": event.correlation.to_string(), "broker": broker,
        }),
    }
}

/// A namespace's own strategy decided on a tick that its journal holds in full.
fn embedded(run: &Run, wanted: InputId, start: Option<&Arc<Start>>) -> Option<Moment> {
    run.inputs.iter().find_map(|entry| match entry {
        Entry::Full(id, item) if *id == wanted => Some(tick(*id, item, start)),
        _ => None,
    })
}

fn tick(id: InputId, item: &MarketItem, start: Option<&Arc<Start>>) -> Moment {
    let mut map = Map::new();
    map.insert("type".into(), json!("market_input"));
    map.insert("n".into(), json!(id.0));
    map.insert("time".into(), json!(item.data().ts().to_string()));
    if let Some(start) = start {
        let names = Names(start);
        map.insert("id".into(), json!(names.identity().input(id).to_string()));
        map.insert("data".into(), names.market(item));
    }
    Moment {
        ts: item.data().ts(),
        broker: "market".to_owned(),
        value: Value::Object(map),
    }
}

fn lost(id: InputId, ts: Timestamp) -> Moment {
    Moment {
        ts,
        broker: "market".to_owned(),
        value: json!({
            "type": "market_input", "n": id.0,
            "missing": "the market log has it no more: retention removed it, or its unsynced tail was lost",
        }),
    }
}

impl Trace {
    /// For tools: one object.
    pub fn json(&self) -> Value {
        let orders = self.orders.iter().map(|(broker, id, times)| {
            let known = times.steps().into_iter().filter(|(_, at)| *at != 0);
            let known: Map<String, Value> = known
                .map(|(step, at)| (step.to_owned(), json!(at)))
                .collect();
            json!({ "broker": broker, "order_id": id.to_string(), "times": known })
        });
        json!({
            "correlation_id": self.correlation.to_string(),
            "moments": self.moments.iter().map(|m| m.value.clone()).collect::<Vec<_>>(),
            "orders": orders.collect::<Vec<_>>(),
        })
    }

    /// For people: a timeline, which begins with an instant as `show` writes it.
    pub fn text(&self, show: &dyn Fn(Timestamp) -> String) -> String {
        let mut text = format!("decision {}\n\n", self.correlation);
        let first = self.moments.first().map_or(Timestamp(0), |m| m.ts);
        let width = self.moments.iter().map(|m| m.broker.len()).max();
        let width = width.unwrap_or(0);
        let kinds = self.moments.iter().map(|m| kind(&m.value).len()).max();
        let kinds = kinds.unwrap_or(0);
        for (at, moment) in self.moments.iter().enumerate() {
            let when = if at == 0 {
                show(moment.ts)
            } else {
                format!("+{}", duration(moment.ts.since(first)))
            };
            text.push_str(
                format!(
                    "{when:>29}  {:width$}  {:kinds$}  {}",
                    moment.broker,
                    kind(&moment.value),
                    summary(&moment.value)
                )
                .trim_end(),
            );
            text.push('\n');
        }
        for (broker, id, times) in &self.orders {
            let mut steps: Vec<_> = times.steps().into_iter().filter(|(_, t)| *t != 0).collect();
            // A broker's first report may be here before its answer to the call is.
            steps.sort_by_key(|(_, at)| *at);
            let Some((name, _)) = steps.first() else {
                continue;
            };
            text.push_str(&format!("\norder {id} on {broker}: {name}"));
            for pair in steps.windows(2) {
                let apart = pair[1].1 - pair[0].1;
                text.push_str(&format!(" → {} +{}", pair[1].0, duration(apart)));
            }
        }
        if !self.orders.is_empty() {
            text.push('\n');
        }
        text
    }
}

fn kind(value: &Value) -> &str {
    value
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A span in the unit that fits.
pub fn duration(nanos: i64) -> String {
    use model::time::{MINUTE, SECOND};
    match nanos {
        n if n < 1_000 => format!("{n} ns"),
        n if n < 1_000_000 => format!("{}.{} µs", n / 1_000, n % 1_000 / 100),
        n if n < SECOND => format!("{}.{} ms", n / 1_000_000, n % 1_000_000 / 100_000),
        n if n < MINUTE => format!("{}.{:03} s", n / SECOND, n % SECOND / 1_000_000),
        n => format!("{} min {} s", n / MINUTE, n % MINUTE / SECOND),
    }
}

fn saw(figures: &Map<String, Value>) -> String {
    let figures: Vec<(&str, f64)> = figures
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_f64().unwrap_or(f64::NAN)))
        .collect();
    model::Note::of(&figures).rounded()
}

/// What of an event a person wants to see on one line.
fn summary(value: &Value) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut add = |name: &str, value: Option<&Value>| {
        let shown = match value {
            None | Some(Value::Null) => return,
            Some(Value::String(text)) if text.is_empty() => return,
            Some(Value::String(text)) if name == "charges" && text == "0" => return,
            Some(Value::String(text)) => text.clone(),
            Some(Value::Object(figures)) if figures.is_empty() => return,
            Some(Value::Object(figures)) => saw(figures),
            Some(other) => other.to_string(),
        };
        words.push(match name {
            "" => shown,
            name => format!("{name} {shown}"),
        });
    };
    let at = |path: &str| value.pointer(path);
    for (name, path) in [
        ("input", "/n"),
        ("", "/missing"),
        ("", "/data/instrument"),
        ("", "/data/timeframe"),
        ("at", "/data/price"),
        ("open", "/data/open"),
        ("high", "/data/high"),
        ("low", "/data/low"),
        ("close", "/data/close"),
        ("volume", "/data/volume"),
        ("timer", "/timer"),
        ("", "/fill/side"),
        ("", "/fill/quantity"),
        ("at", "/fill/price"),
        ("strategy", "/signal/strategy"),
        ("", "/signal/decision/instrument"),
        ("", "/signal/decision/action"),
        ("", "/signal/decision/side"),
        ("", "/signal/decision/quantity"),
        ("", "/signal/decision/order_type"),
        ("because", "/signal/decision/reason"),
        ("saw", "/signal/decision/note"),
        ("strategy", "/strategy"),
        ("", "/instrument"),
        ("", "/side"),
        ("order", "/order_id"),
        ("sent as", "/client_order_id"),
        ("strategy", "/intent/strategy"),
        ("", "/intent/instrument"),
        ("", "/intent/role"),
        ("", "/intent/side"),
        ("", "/intent/quantity"),
        ("", "/intent/order_type"),
        ("limit", "/intent/limit_price"),
        ("trigger", "/intent/trigger_price"),
        ("", "/quantity"),
        ("at", "/price"),
        ("charges", "/charges"),
        ("by", "/basis"),
        ("note", "/note"),
        ("of", "/date"),
        ("", "/amount"),
        ("equity", "/equity"),
        ("trade", "/trade_id"),
        ("entry refused:", "/entry_refused/reason"),
        ("", "/reason"),
        ("·", "/text"),
        ("", "/value"),
        ("", "/unit"),
        ("against", "/limit"),
    ] {
        add(name, at(path));
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_unit_that_fits() {
        for (nanos, shown) in [
            (0, "0 ns"),
            (12_340, "12.3 µs"),
            (1_250_000, "1.2 ms"),
            (2_005_000_000, "2.005 s"),
            (61_000_000_000, "1 min 1 s"),
        ] {
            assert_eq!(duration(nanos), shown);
        }
    }
}
