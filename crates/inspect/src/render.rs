//! Records as JSON for people and tools: names instead of interned indices, numbers as decimal text,
//! times as nanoseconds UTC beside their readable form.

use journal::record::{Entry, Host, MarketItem, MarketRecord, Start};
use model::control::Breach;
use model::event::{Event, EventBody, Refused, SCHEMA_VERSION};
use model::reason::Reason;
use model::refusal::{Measured, Refusal};
use model::signal::Trigger;
use model::{CurrencyIdx, InstrumentIdx, StrategyIdx, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};
use wire::identity::{self, Identity};
use wire::{EventPlace, Root};

/// The names behind the indices of one start.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a>(pub &'a Start);

fn text(value: impl std::fmt::Display) -> Value {
    Value::String(value.to_string())
}

fn opt(value: Option<impl std::fmt::Display>) -> Value {
    value.map_or(Value::Null, text)
}

impl Names<'_> {
    /// An instrument's canonical id; empty where it is not known.
    pub fn instrument_name(&self, index: InstrumentIdx) -> &str {
        let instrument = self.0.instruments.get(index.index());
        instrument.map_or("", |i| i.id.as_str())
    }
    /// A strategy's id; empty where it is not known.
    pub fn strategy_name(&self, index: StrategyIdx) -> &str {
        let strategy = self.0.strategies.get(index.index());
        strategy.map_or("", |s| s.name.as_str())
    }
    fn currency_code(&self, index: CurrencyIdx) -> &str {
        let currency = self.0.currencies.get(index.index());
        currency.map_or("", |c| c.code())
    }

    /// A reached loss limit in words: how much is lost, and what the limit is.
    pub fn breach(&self, breach: &Breach) -> String {
        let currency = self.currency_code(breach.currency);
        let Breach { loss, limit, .. } = breach;
        format!("{loss} {currency} are lost, the limit is {limit}")
    }

    /// Why a resume, or the enabling of a strategy, was refused.
    pub fn refusal(
        &self,
        strategy: Option<StrategyIdx>,
        reason: Reason,
        breach: Option<Breach>,
    ) -> String {
        let what = match strategy {
            None => "the resume".to_owned(),
            Some(s) => format!("enabling strategy {}", self.strategy_name(s)),
        };
        let why = reason.text();
        match breach {
            None => format!("{what} is refused: {why} It would stop again at once"),
            Some(breach) => format!(
                "{what} is refused: {why} {}; --reset-loss-base counts losses from now on",
                self.breach(&breach)
            ),
        }
    }

    /// A refused signal in words: what it would have been, why not, and by what figures.
    pub fn refused(&self, refused: &Refused) -> String {
        let order = refused.order.map_or_else(String::new, |(side, quantity)| {
            format!("{} {quantity} ", side.name())
        });
        let figures = refused.refusal.measured.map_or_else(String::new, |m| {
            let (value, limit) = m.figures();
            match (refused.refusal.reason, self.unit(&m)) {
                (Reason::TickSize, _) => format!(" ({value}, the tick is {limit})"),
                (Reason::LotSize, _) => format!(" ({value}, the lot is {limit})"),
                (_, unit) => format!(" ({value} {unit}, the limit is {limit})"),
            }
        });
        format!(
            "{order}{} of {} is refused: {}{figures}",
            self.instrument_name(refused.instrument),
            self.strategy_name(refused.strategy),
            refused.refusal.reason.text(),
        )
    }

    fn unit(&self, measured: &Measured) -> &str {
        measured.unit(|currency| self.currency_code(currency))
    }

    /// The ids of this start's data directory.
    pub const fn identity(&self) -> Identity {
        Identity { salt: self.0.salt }
    }

    /// A message of the schema as JSON.
    fn json(&self, root: Root, value: &impl Serialize) -> Map<String, Value> {
        let mut bytes = Vec::new();
        let value = wire::encode(root, value, &mut bytes)
            .and_then(|()| wire::json(root, &bytes, self))
            .unwrap_or_else(|error| json!({ "unreadable": error.to_string() }));
        match value {
            Value::Object(map) => map,
            other => Map::from_iter([("value".to_owned(), other)]),
        }
    }

    /// An event in its envelope, recorded at a place:
    /// `causation_id` is the `id` of the event or market input that `cause` names.
    pub fn event(&self, broker: &str, event: &Event, at: EventPlace) -> Value {
        let mut map = self.json(wire::roots::EVENT, event);
        let identity = self.identity();
        let mut put = |key: &str, value: Value| {
            map.insert(key.to_owned(), value);
        };
        put("id", text(identity.event(broker, event, at)));
        put("type", json!(event.kind()));
        put("causation_id", text(identity.cause(broker, event)));
        put("broker", json!(broker));
        put("channel", json!(event.channel().suffix()));
        put("source", json!(self.0.build));
        put("version", json!(SCHEMA_VERSION));
        put("key", json!(identity::key(broker, event)));
        // What happened stands beside the envelope; what has identities of its own, below it.
        let Some(Value::Object(mut body)) = map.remove("body") else {
            return Value::Object(map);
        };
        body.remove("kind");
        match &event.body {
            EventBody::SignalRaw(_) | EventBody::SignalDeferred(_) => {
                map.insert("signal".to_owned(), Value::Object(body));
            }
            EventBody::OrderSubmitted(intent) => {
                let client = intent.id.client_order_id(self.0.salt);
                map.insert("order_id".to_owned(), text(intent.id));
                map.insert("client_order_id".to_owned(), text(client));
                map.insert("sequence".to_owned(), json!(0));
                map.insert("intent".to_owned(), Value::Object(body));
            }
            EventBody::SignalRejected(refused) => {
                map.append(&mut body);
                self.figures(&refused.refusal, &mut map);
            }
            EventBody::SignalValidated(validated) => {
                map.append(&mut body);
                if let Some(refusal) = &validated.entry_refused {
                    self.figures(refusal, &mut map);
                }
            }
            _ => map.append(&mut body),
        }
        Value::Object(map)
    }

    /// A rule's figures in the unit that fits.
    fn figures(&self, refusal: &Refusal, map: &mut Map<String, Value>) {
        let figures = refusal.measured.map(|m| m.figures());
        let (value, limit) = figures.unzip();
        let unit = refusal.measured.map(|m| self.unit(&m).to_owned());
        for (key, shown) in [("value", value), ("limit", limit), ("unit", unit)] {
            map.insert(key.to_owned(), opt(shown));
        }
    }

    /// What a signal was decided on.
    pub fn trigger(&self, trigger: &Trigger) -> Value {
        Value::Object(self.json(wire::roots::TRIGGER, trigger))
    }

    /// A market input.
    pub fn market(&self, item: &MarketItem) -> Value {
        Value::Object(self.json(wire::roots::MARKET_ITEM, item))
    }

    /// An input of a namespace.
    pub fn entry(&self, entry: &Entry) -> Value {
        let mut map = self.json(wire::roots::ENTRY, entry);
        let kind = map.remove("kind").unwrap_or_default();
        map.insert("input".to_owned(), kind);
        if let Entry::Full(id, _) = entry {
            map.insert("id".to_owned(), text(self.identity().input(*id)));
        }
        Value::Object(map)
    }

    /// The end of a start, in good order or not.
    pub fn stop(at: Timestamp, why: &str) -> Value {
        json!({ "record": "stop", "at": at.nanos(), "time": at.to_string(), "why": why })
    }

    /// A record of the market log.
    pub fn market_record(&self, record: &MarketRecord) -> Value {
        if let MarketRecord::Start(start) = record {
            return self.start(start);
        }
        let mut map = self.json(wire::roots::MARKET_RECORD, record);
        let kind = map.remove("kind").unwrap_or_default();
        map.insert("record".to_owned(), kind);
        if let MarketRecord::Market(id, _) = record {
            map.insert("id".to_owned(), text(self.identity().input(*id)));
        }
        Value::Object(map)
    }

    /// A start, without its long tables.
    pub fn start(&self, start: &Start) -> Value {
        json!({
            "record": "start",
            "epoch": start.epoch,
            "at": start.at.nanos(),
            "time": start.at.to_string(),
            "build": start.build,
            "live": start.live,
            "source": format!("{:032x}", start.source.0),
            "brokers": start.brokers,
            "strategies": start.strategies.iter().map(|s| &s.name).collect::<Vec<_>>(),
            "instruments": start.instruments.len(),
        })
    }
}

impl wire::Names for Names<'_> {
    fn instrument(&self, index: InstrumentIdx) -> &str {
        self.instrument_name(index)
    }
    fn strategy(&self, index: StrategyIdx) -> &str {
        self.strategy_name(index)
    }
    fn currency(&self, index: CurrencyIdx) -> &str {
        self.currency_code(index)
    }
}

/// Times that are known.
pub fn host(host: &Host) -> Value {
    let mut map = Map::new();
    for (key, at) in [
        ("received", host.received),
        ("decided", host.decided),
        ("durable", host.durable),
        ("sent", host.sent),
        ("acknowledged", host.acknowledged),
    ] {
        if at != 0 {
            map.insert(key.to_owned(), json!(at));
        }
    }
    Value::Object(map)
}
