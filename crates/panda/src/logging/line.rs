//! One line, as JSON and for people.

use std::fmt::Write as _;

use model::Timestamp;
use serde_json::{Map, Value};
use settings::logging::Level;
use settings::zone::Zone;

use super::DEFAULT_CHANNEL;

/// One line. Its texts hold no secrets any more.
#[derive(Debug, Clone)]
pub struct Line {
    /// When, RFC 3339 in UTC.
    pub ts: jiff::Timestamp,
    /// How important it is.
    pub level: Level,
    /// What it says.
    pub message: String,
    /// The role of the process.
    pub service: String,
    /// The part that says it.
    pub channel: String,
    /// The namespace that it is about.
    pub broker: Option<String>,
    /// The decision that it is about.
    pub correlation_id: Option<String>,
    /// The market's time of what it tells, where that is not the machine's.
    pub market_ts: Option<Timestamp>,
    /// All other fields.
    pub more: Vec<(&'static str, Value)>,
}

const fn name(level: Level) -> &'static str {
    match level {
        Level::Off => "off",
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

impl Line {
    /// An empty one, of now.
    pub fn new(level: Level, service: &str) -> Self {
        Self {
            ts: jiff::Timestamp::now(),
            level,
            message: String::new(),
            service: service.to_owned(),
            channel: DEFAULT_CHANNEL.to_owned(),
            broker: None,
            correlation_id: None,
            market_ts: None,
            more: Vec::new(),
        }
    }

    /// As a JSON object: the fields that every line has come first, and are null where they do not
    /// apply; the others lie below `fields`, where they collide with none.
    pub fn json(&self) -> String {
        let mut out = String::from("{");
        let mut put = |key: &str, value: Value| {
            let comma = if out.len() > 1 { "," } else { "" };
            let _infallible = write!(out, "{comma}{}:{value}", Value::from(key));
        };
        put("ts", format!("{:.6}", self.ts).into());
        put("level", name(self.level).into());
        put("message", self.message.as_str().into());
        put("service", self.service.as_str().into());
        put("channel", self.channel.as_str().into());
        put("broker", self.broker.as_deref().into());
        put("correlation_id", self.correlation_id.as_deref().into());
        if let Some(at) = self.market_ts {
            put("market_time", at.to_string().into());
        }
        if !self.more.is_empty() {
            let more = self.more.iter();
            let more: Map<String, Value> =
                more.map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
            put("fields", more.into());
        }
        out.push_str("}\n");
        out
    }

    /// For people, in their zone: a line of a replay bears the market's time.
    pub fn text(&self, zone: &Zone) -> String {
        let mut out = format!(
            "{} {:5} {} {}: {}",
            self.market_ts
                .map_or_else(|| zone.show_instant(self.ts), |at| zone.show(at)),
            name(self.level),
            self.service,
            self.channel,
            one_line(&self.message)
        );
        let known = [
            ("broker", self.broker.as_deref()),
            ("correlation_id", self.correlation_id.as_deref()),
        ];
        for (key, value) in known {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                let _infallible = write!(out, " {key}={}", one_line(value));
            }
        }
        for (key, value) in &self.more {
            let value = match value {
                Value::String(text) => one_line(text),
                other => other.to_string(),
            };
            if !value.is_empty() {
                let _infallible = write!(out, " {key}={value}");
            }
        }
        out.push('\n');
        out
    }
}

/// What comes from outside must not be able to begin a line of its own, or to steer a terminal.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}
