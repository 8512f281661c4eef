//! A live feed in a crate of its own: prices that rise and fall, for the instruments of one exchange.

use std::sync::Arc;
use std::time::Duration;

use feeds::live::{Batch, Feed, FeedContext, FeedError, FeedKind, Nature, Next, Unserved};
use model::{InstrumentIdx, Instruments, Price, Quantity, Tick, Timestamp};
use serde::Deserialize;
use traders::SettingSpec;

/// Ticks from the lowest price to the lowest again.
const PERIOD: u64 = 20;

/// The kind to register.
pub fn kind() -> FeedKind {
    FeedKind {
        name: "wave",
        summary: "prices that rise and fall, for the instruments of one exchange",
        settings: &[
            SettingSpec {
                key: "exchange",
                default: "\"DEMO\"",
                text: "the exchange whose instruments it has",
            },
            SettingSpec {
                key: "interval_ms",
                default: "100",
                text: "time between the ticks of an instrument, in milliseconds",
            },
        ],
        build: Some(Box::new(|context| {
            let settings: Settings = context.settings.clone().try_into().map_err(
                // The message names the key and what is known.
                |error: toml::de::Error| error.message().to_owned(),
            )?;
            if settings.interval_ms == 0 {
                return Err("`interval_ms` = 0: must be at least 1".to_owned());
            }
            Ok(Box::new(Wave::new(context, settings)))
        })),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    exchange: String,
    interval_ms: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            exchange: "DEMO".to_owned(),
            interval_ms: 100,
        }
    }
}

/// The feed.
struct Wave {
    name: String,
    settings: Settings,
    instruments: Arc<Instruments>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    asked: Vec<InstrumentIdx>,
    due: Timestamp,
    /// Ticks delivered: the number of the next.
    number: u64,
    stopped: bool,
}

impl Wave {
    fn new(context: &FeedContext<'_>, settings: Settings) -> Self {
        Self {
            name: context.name.to_owned(),
            settings,
            instruments: Arc::clone(&context.instruments),
            now: Arc::clone(&context.now),
            asked: Vec::new(),
            due: Timestamp::MIN,
            number: 0,
            stopped: false,
        }
    }
}

impl Feed for Wave {
    fn name(&self) -> &str {
        &self.name
    }
    fn nature(&self) -> Nature {
        Nature::Live
    }
    fn instruments(&self) -> &[InstrumentIdx] {
        &self.asked
    }

    fn ask(&mut self, wanted: &[String]) -> Result<Vec<Unserved>, FeedError> {
        let mut unserved = Vec::new();
        self.asked.clear();
        for id in wanted {
            match self.instruments.find(id) {
                Ok(index) if self.instruments.get(index).exchange == self.settings.exchange => {
                    self.asked.push(index);
                }
                _ => unserved.push(Unserved {
                    id: id.clone(),
                    why: format!("it is not traded on {}", self.settings.exchange),
                }),
            }
        }
        self.asked.sort_unstable();
        self.asked.dedup();
        Ok(unserved)
    }

    fn connect(&mut self) -> Result<(), FeedError> {
        Ok(())
    }

    fn next(&mut self, wait: Duration, batch: &mut Batch) -> Result<Next, FeedError> {
        let now = (self.now)();
        let left = Duration::from_nanos(self.due.since(now).max(0).unsigned_abs());
        if self.stopped || self.asked.is_empty() || left > wait {
            std::thread::sleep(wait);
            return Ok(Next::Idle);
        }
        std::thread::sleep(left);
        let interval = i64::from(self.settings.interval_ms) * 1_000_000;
        self.due = now.max(self.due).plus(interval);
        for instrument in &self.asked {
            let step = (self.number / self.asked.len() as u64) % PERIOD;
            let steps = step.min(PERIOD - step) as i64;
            let tick = Tick {
                ts: now,
                // 100, and up to ten times the tick size more.
                price: Price::from_raw(
                    100 * model::fixed::ONE
                        + steps * self.instruments.get(*instrument).tick_size.raw(),
                ),
                quantity: Quantity::from_raw(model::fixed::ONE),
                instrument: *instrument,
                ..Tick::default()
            };
            batch.tick(self.number, tick, None);
            self.number += 1;
        }
        Ok(Next::Data)
    }

    fn stop(&mut self) {
        self.stopped = true;
    }
}
