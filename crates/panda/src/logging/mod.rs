//! Log lines: one set-up for every entry point.
//!
//! Callers use `tracing`'s macros, with the fields `channel`, `broker` and `correlation_id` where they
//! apply: `tracing::info!(channel = "market", broker = "paper", "…")`. `market_ts` is the market's time of what a
//! line tells, in nanoseconds UTC, where that is not the machine's. A line is rendered where it
//! happens and written by a thread of its own: a terminal or a disk that blocks never holds up trading.
//! When its queue is full, lines are dropped and counted.

mod line;
mod rotate;
mod sink;

use std::io::IsTerminal;
use std::sync::OnceLock;

use anyhow::Context as _;
use model::Timestamp;
use settings::logging::{Format, Level, LoggingSettings};
use settings::secret::clean;
use settings::zone::Zone;
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

pub use line::Line;
pub use rotate::Rotating;
use sink::Sink;

/// The channel of lines that name none.
pub const DEFAULT_CHANNEL: &str = "system";

/// The file below `[logging] dir`.
pub const FILE: &str = "panda.log";

/// Where lines go, once logging has started.
static STARTED: OnceLock<Sink> = OnceLock::new();

/// Writes what is queued when it goes away; keep it until the end of the process.
#[must_use = "lines that are queued are written when the guard goes away"]
pub struct Guard {
    _sink: sink::Running,
}

/// Starts logging. Secrets of settings are known once those are read. `service` is the
/// role of this process, such as `run`; `zone` is that of lines for people. Once in a process.
pub fn init(settings: &LoggingSettings, service: &str, zone: &Zone) -> anyhow::Result<Guard> {
    let is_terminal = std::io::stderr().is_terminal();
    let stderr = (
        Box::new(std::io::stderr()) as Box<dyn std::io::Write + Send>,
        match settings.format {
            Format::Json => false,
            Format::Text => true,
            Format::Auto => is_terminal,
        },
    );
    let mut outputs = vec![stderr];
    if let Some(dir) = &settings.dir {
        let file = Rotating::open(
            dir.join(FILE),
            settings.max_size_mb << 20,
            settings.max_files,
        )
        .with_context(|| format!("[logging] dir = {}", dir.display()))?;
        outputs.push((Box::new(file), settings.format == Format::Text));
    }
    let (subscriber, running) = subscriber(settings, service, zone, outputs)?;
    tracing::subscriber::set_global_default(subscriber)
        .context("logging was started twice in one process")?;
    let _second = STARTED.set(running.sink());
    Ok(Guard { _sink: running })
}

/// Writes what is queued; for whoever is about to end the process without unwinding.
pub fn flush() {
    if let Some(sink) = STARTED.get() {
        sink.flush();
    }
}

/// An error that no caller will hear of, such as a panic: a line where logging has started, else plain
/// text on the standard error.
pub fn last_words(text: String) {
    if STARTED.get().is_some() {
        tracing::error!(channel = DEFAULT_CHANNEL, "{text}");
    } else {
        eprintln!("error: {}", clean(text));
    }
}

/// Where lines go, and whether they are for people there.
type Output = (Box<dyn std::io::Write + Send>, bool);

fn subscriber(
    settings: &LoggingSettings,
    service: &str,
    zone: &Zone,
    outputs: Vec<Output>,
) -> anyhow::Result<(impl Subscriber + use<>, sink::Running)> {
    let (sink, running) = sink::start(outputs, service, zone.clone())?;
    let most = settings.channels.values().copied().max();
    let layer = Lines {
        service: service.to_owned(),
        level: settings.level,
        channels: settings.channels.clone().into_iter().collect(),
        most: most.unwrap_or(Level::Off).max(settings.level),
        sink,
    };
    Ok((tracing_subscriber::registry().with(layer), running))
}

/// Turns events into lines.
struct Lines {
    service: String,
    level: Level,
    channels: Vec<(String, Level)>,
    /// The least important that any channel wants: what lies below costs nothing.
    most: Level,
    sink: Sink,
}

const fn level_of(level: &tracing::Level) -> Level {
    match *level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::TRACE => Level::Trace,
    }
}

const fn filter_of(level: Level) -> tracing::level_filters::LevelFilter {
    use tracing::level_filters::LevelFilter;
    match level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if level_of(metadata.level()) <= self.most {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(filter_of(self.most))
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let level = level_of(event.metadata().level());
        let mut line = Line::new(level, &self.service);
        event.record(&mut Fields(&mut line));
        let limit = self
            .channels
            .iter()
            .find(|(name, _)| *name == line.channel)
            .map_or(self.level, |(_, level)| *level);
        if level <= limit {
            self.sink.put(line);
        }
    }
}

/// Takes an event's fields over, without secrets.
struct Fields<'a>(&'a mut Line);

impl Fields<'_> {
    fn text(&mut self, name: &'static str, value: String) {
        let value = clean(value);
        match name {
            "message" => self.0.message = value,
            "channel" => self.0.channel = value,
            "broker" => self.0.broker = Some(value),
            "correlation_id" => self.0.correlation_id = Some(value),
            _ => self.0.more.push((name, value.into())),
        }
    }

    fn number(&mut self, name: &'static str, value: serde_json::Value) {
        // A secret can be all digits.
        let text = value.to_string();
        let cleaned = clean(text.clone());
        let value = if cleaned == text {
            value
        } else {
            cleaned.into()
        };
        self.0.more.push((name, value));
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value.to_owned());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.text(field.name(), format!("{value:?}"));
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.text(field.name(), value.to_string());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        if field.name() == "market_ts" {
            self.0.market_ts = Some(Timestamp(value));
            return;
        }
        self.number(field.name(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field.name(), value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.number(field.name(), value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.more.push((field.name(), value.into()));
    }
}

#[cfg(test)]
mod tests;
