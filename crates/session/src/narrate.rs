//! What a session says of itself in the log: one line for each thing that an operator may want to know.

use std::sync::{Mutex, MutexGuard, PoisonError};

use feeds::live::supervise::FeedState;
use feeds::live::{Item, Unserved};
use inspect::render::Names;
use journal::record::Start;
use model::event::{Event, EventBody};
use model::order::OrderChange;
use model::signal::Side;
use runtime::driver::Detached;
use settings::zone::Zone;
use traders::BrokerReport;

use super::handles::Handles;
use super::refusals::{Refusals, Row, Told};

/// Tells the events of one namespace.
pub(crate) struct Narrator {
    broker: String,
    start: Start,
    is_replay: bool,
    zone: Zone,
    refusals: Mutex<Refusals>,
}

impl Narrator {
    /// Of a namespace, with the names of this start. The lines of a replay bear the market's time.
    pub(crate) fn new(broker: &str, start: &Start, is_replay: bool, zone: &Zone) -> Self {
        Self {
            broker: broker.to_owned(),
            start: start.clone(),
            is_replay,
            zone: zone.clone(),
            refusals: Mutex::default(),
        }
    }

    /// The namespace.
    pub(crate) fn broker(&self) -> &str {
        &self.broker
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_a_row(&self, row: &Row) {
        tracing::info!(
            channel = "risk",
            broker = self.broker.as_str(),
            market_ts = self.is_replay.then_some(row.at.nanos()),
            "{} times in a row: {}",
            row.count,
            Names(&self.start).refused(&row.latest),
        );
    }

    /// Tells an event. Snapshots and signals that passed are only counted: there are too many.
    pub(crate) fn event(&self, event: &Event) {
        let broker = self.broker.as_str();
        let correlation_id = tracing::field::display(event.correlation);
        let market_ts = self.is_replay.then_some(event.ts.nanos());
        let names = Names(&self.start);
        match &event.body {
            EventBody::OrderSubmitted(intent) => tracing::info!(
                channel = "trader",
                broker,
                correlation_id,
                market_ts,
                "order {}: {} {} {} for {} ({})",
                intent.id,
                intent.side.name(),
                intent.quantity,
                names.instrument_name(intent.instrument),
                names.strategy_name(intent.strategy),
                intent.role.name(),
            ),
            EventBody::OrderChanged(step) => match step.change {
                OrderChange::Filled(execution) => tracing::info!(
                    channel = "trader",
                    broker,
                    correlation_id,
                    market_ts,
                    "fill of {}: {} at {}",
                    step.order,
                    execution.quantity,
                    execution.price,
                ),
                OrderChange::Rejected(reason) | OrderChange::Failed(reason) => tracing::warn!(
                    channel = "trader",
                    broker,
                    correlation_id,
                    market_ts,
                    "{} {}: {}",
                    event.kind(),
                    step.order,
                    reason.text(),
                ),
                OrderChange::Unknown => tracing::warn!(
                    channel = "trader",
                    broker,
                    correlation_id,
                    market_ts,
                    "the outcome of {} is unknown: it counts as live; the broker is being asked",
                    step.order,
                ),
                _ => tracing::debug!(
                    channel = "trader",
                    broker,
                    correlation_id,
                    market_ts,
                    "{} {}",
                    event.kind(),
                    step.order
                ),
            },
            EventBody::SignalRejected(rejected) => {
                let (told, ended) = self.refusals().refused(rejected, event.ts);
                if let Some(ended) = ended {
                    self.in_a_row(&ended);
                }
                match told {
                    Told::First => tracing::info!(
                        channel = "risk",
                        broker,
                        correlation_id,
                        market_ts,
                        "{}",
                        names.refused(rejected),
                    ),
                    Told::Again(row) => self.in_a_row(&row),
                    Told::Not => {}
                }
            }
            EventBody::SignalValidated(passed) => {
                let key = (passed.strategy, passed.instrument);
                let ended = self.refusals().passed(key);
                if let Some(ended) = ended {
                    self.in_a_row(&ended);
                }
            }
            EventBody::SignalHeld { signal, open } => tracing::info!(
                channel = "risk",
                broker,
                correlation_id,
                market_ts,
                "signal of {} came with the end of its session: it is judged at the next open, {}",
                names.strategy_name(signal.strategy),
                self.zone.show(*open),
            ),
            EventBody::StateChanged {
                to,
                reason,
                resets_losses,
                ..
            } => tracing::warn!(
                channel = "control",
                broker,
                correlation_id,
                market_ts,
                "trading is {}: {}{}",
                to.name(),
                reason.text(),
                if *resets_losses {
                    " Losses count from now on."
                } else {
                    ""
                },
            ),
            EventBody::LimitReached {
                strategy,
                reason,
                breach,
                squares_off,
            } => tracing::warn!(
                channel = "risk",
                broker,
                correlation_id,
                market_ts,
                "{}{} {}{}",
                strategy.map_or_else(String::new, |s| format!(
                    "strategy {}: ",
                    names.strategy_name(s)
                )),
                reason.text(),
                names.breach(breach),
                if *squares_off {
                    "; positions are squared off"
                } else {
                    "; positions stay open"
                },
            ),
            EventBody::ResumeRefused {
                strategy,
                reason,
                breach,
            } => tracing::warn!(
                channel = "control",
                broker,
                correlation_id,
                market_ts,
                "{}",
                names.refusal(*strategy, *reason, *breach),
            ),
            EventBody::StrategySwitched {
                strategy,
                enabled,
                reason,
                resets_losses,
            } => tracing::warn!(
                channel = "control",
                broker,
                correlation_id,
                market_ts,
                "strategy {} is {}: {}{}",
                names.strategy_name(*strategy),
                if *enabled { "enabled" } else { "disabled" },
                reason.text(),
                if *resets_losses {
                    " Its losses count from now on."
                } else {
                    ""
                },
            ),
            EventBody::EntriesBlocked { reason, blocked } => tracing::warn!(
                channel = "control",
                broker,
                correlation_id,
                market_ts,
                "entries are {}: {}",
                if *blocked { "blocked" } else { "allowed again" },
                reason.text(),
            ),
            EventBody::Alert { reason, order, .. } => tracing::warn!(
                channel = "control",
                broker,
                correlation_id,
                market_ts,
                "alert: {}{}",
                reason.text(),
                order.map_or_else(String::new, |o| format!(" ({o})")),
            ),
            EventBody::ReportParked(parked) => tracing::error!(
                channel = "trader",
                broker,
                correlation_id,
                market_ts,
                "not booked: {} reports that {} of {} {} {} at {} (last price {}), which is {}; {}",
                broker,
                parked.order,
                names.strategy_name(parked.strategy),
                match parked.side {
                    Side::Buy => "bought",
                    Side::Sell => "sold",
                },
                format_args!(
                    "{} {}",
                    parked.quantity,
                    names.instrument_name(parked.instrument)
                ),
                parked.price,
                parked.last,
                parked.doubt.text(),
                if parked.confirmed {
                    "the broker's own book confirms it: compare the positions with the broker's, then `panda order resolve`"
                } else {
                    "the broker is asked about the order"
                },
            ),
            EventBody::PositionSettled(settled) => tracing::info!(
                channel = "pipeline",
                broker,
                correlation_id,
                market_ts,
                "{} {} of {} settled at {} ({})",
                settled.quantity,
                names.instrument_name(settled.instrument),
                names.strategy_name(settled.strategy),
                settled.price,
                settled.basis.name(),
            ),
            EventBody::ChargesAdjusted(adjustment) => tracing::info!(
                channel = "pipeline",
                broker,
                correlation_id,
                market_ts,
                "the contract note of {} ({}) charges {} beyond what was booked",
                adjustment.date,
                adjustment.note,
                adjustment.amount,
            ),
            _ => {}
        }
    }
}

impl Narrator {
    /// Rows of refusals that nothing ended are told with the session's end.
    pub(crate) fn end(&self) {
        let rows: Vec<Row> = self.refusals().rows.values().copied().collect();
        for row in rows.iter().filter(|row| row.count > row.told) {
            self.in_a_row(row);
        }
    }
}

/// A journal could not be read for those who look on.
pub(crate) fn unread(broker: &str, why: &str) {
    tracing::error!(
        channel = "system",
        broker,
        "events could not be read again, so that status and log lines leave some out until the next start; trading goes on: {why}"
    );
}

/// A namespace was taken out.
pub(crate) fn detached(broker: &str, detached: &Detached) {
    tracing::error!(
        channel = "system",
        broker,
        "detached ({}): {}",
        detached.code,
        detached.why
    );
}

/// Snapshots that could not be saved since this was last looked at.
pub(crate) fn unsaved(handles: &Handles) {
    if let Some(why) = handles.market.status().snapshots.news() {
        snapshot_failed("market log", &why);
    }
    for member in &handles.members {
        if let Some(why) = member.host.status().snapshots.news() {
            snapshot_failed(&member.name, &why);
        }
    }
}

/// A snapshot could not be saved.
pub fn snapshot_failed(log: &str, why: &str) {
    tracing::warn!(
        channel = "system",
        log,
        "no snapshot could be saved, trading goes on and the next start reads more of the log: {why}"
    );
}

/// The market log, or the runner, has failed.
pub(crate) fn market_failed(why: &str) {
    tracing::error!(
        channel = "market",
        "{why}: entries are blocked everywhere, exits go on"
    );
}

/// A feed has changed its state.
pub(crate) fn feed(name: &str, state: &FeedState) {
    match state {
        FeedState::Failed(why) => {
            tracing::error!(channel = "feeds", "feed {name} has failed: {why}");
        }
        FeedState::Stale => tracing::warn!(
            channel = "feeds",
            "feed {name} is stale: entries are blocked until it delivers again"
        ),
        state => tracing::info!(channel = "feeds", "feed {name} is {}", state.name()),
    }
}

/// A feed is asked for nothing, as others serve all.
pub(crate) fn not_needed(feed: &str) {
    tracing::warn!(
        channel = "feeds",
        "feed {feed} is not started: the feeds before it deliver all that is used"
    );
}

/// Instruments that a feed was asked for and does not deliver.
pub(crate) fn unserved(feed: &str, all: &[Unserved]) {
    const SHOWN: usize = 5;
    for one in all.iter().take(SHOWN) {
        tracing::warn!(
            channel = "feeds",
            "feed {feed} does not deliver {}: {}",
            one.id,
            one.why
        );
    }
    if all.len() > SHOWN {
        let more = all.len() - SHOWN;
        tracing::warn!(
            channel = "feeds",
            "feed {feed} does not deliver {more} others"
        );
    }
}

/// An item of a feed was not passed on.
pub(crate) fn nonsense(feed: &str, item: &Item, code: &str) {
    tracing::warn!(channel = "feeds", "feed {feed}: refused ({code}): {item:?}");
}

/// A broker has sent what cannot be read.
pub(crate) fn unreadable(broker: &str, what: &[u8], why: &str) {
    tracing::warn!(
        channel = "trader",
        broker,
        "{} bytes that cannot be read: {why}",
        what.len()
    );
}

/// A broker reports about an order that is not known here.
pub(crate) fn foreign(broker: &str, report: &BrokerReport) {
    tracing::warn!(
        channel = "trader",
        broker,
        "a report about the order {}, which is not known here: it is kept, see `panda dlq list`",
        report.client_order_id
    );
}

/// A strategy starts disabled, as it hung before.
pub(crate) fn starts_disabled(strategy: &str) {
    tracing::warn!(
        channel = "runner",
        "strategy `{strategy}` starts disabled, as it did not return before: mend it, then `panda strategy enable {strategy}`"
    );
}

/// A strategy hangs.
pub(crate) fn strategy_hangs(strategy: &str) {
    tracing::error!(
        channel = "runner",
        "strategy `{strategy}` does not return: the process ends, and the next start begins with it disabled"
    );
}

/// What `on_stop` asks for was not possible.
pub(crate) fn on_stop_failed(broker: &str, why: &str) {
    tracing::error!(channel = "system", broker, "on_stop: {why}");
}
