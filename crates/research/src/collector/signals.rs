//! `signals.csv`: one row per signal with what became of it.

use std::path::Path;

use model::reason::Reason;
use model::signal::Action;
use projection::signals::{Outcome, SignalRecord, Signals};

use super::files::Table;
use crate::error::OutputError;
use crate::log_hash::Names;

const HEADER: &[&str] = &[
    "ts",
    "broker",
    "strategy",
    "instrument",
    "action",
    "side",
    "wanted_quantity",
    "order_type",
    "limit_price",
    "trigger_price",
    "validity",
    "product",
    "stop_loss",
    "take_profit",
    "confidence",
    "text",
    "note",
    "trigger",
    "outcome",
    "deferred",
    "reason",
    "order_side",
    "quantity",
    "increase",
    "entry_refused",
    "value",
    "limit",
    "unit",
    "decided",
    "input",
    "ordinal",
    "signal_id",
    "correlation_id",
];

/// `signals.csv`. Rows stand in the order in which outcomes became known.
#[derive(Debug)]
pub struct SignalFile {
    table: Table,
}

impl SignalFile {
    /// Creates the file.
    pub fn create(dir: &Path) -> Result<Self, OutputError> {
        Ok(Self {
            table: Table::create(dir, "signals.csv", HEADER)?,
        })
    }

    /// Leaves rows out from here on, or no longer.
    pub fn mute(&mut self, muted: bool) {
        self.table.mute(muted);
    }

    /// Writes what is still waiting, in the order of arrival. Returns how many of them no event said to be
    /// waiting.
    pub fn finish_space(
        &mut self,
        signals: Signals,
        names: &Names<'_>,
        broker: &str,
    ) -> Result<u64, OutputError> {
        let rest = signals.into_rest();
        for record in &rest {
            self.write(names, broker, record)?;
        }
        let unexplained = rest.iter().filter(|r| !r.deferred && !r.held);
        Ok(unexplained.count() as u64)
    }

    /// Writes what is still buffered.
    pub fn finish(self) -> Result<(), OutputError> {
        self.table.finish()
    }

    /// The row of a signal.
    pub fn write(
        &mut self,
        names: &Names<'_>,
        broker: &str,
        record: &SignalRecord,
    ) -> Result<(), OutputError> {
        let SignalRecord {
            signal,
            deferred,
            held,
            decided,
            outcome,
        } = record;
        let signal = signal.as_ref();
        let decision = match outcome {
            Outcome::Validated(v) => Some(&v.decision),
            Outcome::Rejected(_) | Outcome::Open => signal.map(|s| &s.decision),
        };
        let (strategy, instrument, product, (input, ordinal), id) = match (outcome, signal) {
            (Outcome::Validated(v), _) => (v.strategy, v.instrument, v.product, v.mark, v.signal),
            (Outcome::Rejected(r), _) => (r.strategy, r.instrument, r.product, r.mark, r.signal),
            (Outcome::Open, Some(s)) => {
                let mark = (s.input, s.ordinal);
                (
                    s.strategy,
                    s.decision.instrument,
                    s.decision.product,
                    mark,
                    s.id,
                )
            }
            (Outcome::Open, None) => return Ok(()),
        };
        let target = match outcome {
            Outcome::Validated(v) => v.target,
            Outcome::Rejected(r) => r.target,
            Outcome::Open => None,
        };
        let (side, wanted) = match decision.map(|d| d.action) {
            Some(Action::Enter { side, quantity }) => (Some(side.name()), Some(quantity)),
            Some(Action::Exit { quantity }) => (None, quantity),
            Some(Action::Target { quantity }) => (None, Some(quantity)),
            None => (None, target),
        };
        let (name, reason) = match outcome {
            Outcome::Validated(_) => ("validated", None),
            Outcome::Rejected(r) => ("rejected", Some(r.refusal.reason)),
            Outcome::Open if *held => ("held", None),
            Outcome::Open if *deferred => ("deferred", None),
            Outcome::Open => ("pending", None),
        };
        let passed = match outcome {
            Outcome::Validated(v) => Some(v),
            Outcome::Rejected(_) | Outcome::Open => None,
        };
        let order = match outcome {
            Outcome::Validated(v) => Some((v.side, v.quantity)),
            Outcome::Rejected(r) => r.order,
            Outcome::Open => None,
        };
        let measured = match outcome {
            Outcome::Validated(v) => v.entry_refused.and_then(|r| r.measured),
            Outcome::Rejected(r) => r.refusal.measured,
            Outcome::Open => None,
        };
        let figures = measured.map(|m| m.figures());
        let unit = measured.map_or("", |m| m.unit(|currency| names.currency(currency)));
        self.table
            .row()
            .option(signal.map(|s| s.ts).or(*decided))
            .text(broker)
            .text(names.strategy(strategy))
            .text(names.instrument(instrument))
            .text(decision.map_or("", |d| d.action.name()))
            .option(side)
            .option(wanted)
            .text(decision.map_or("", |d| d.order_type.name()))
            .option(decision.and_then(|d| d.limit_price))
            .option(decision.and_then(|d| d.trigger_price))
            .text(decision.map_or("", |d| d.validity.name()))
            .text(product.name())
            .option(decision.and_then(|d| d.bracket.stop_loss))
            .option(decision.and_then(|d| d.bracket.take_profit))
            .option(decision.and_then(|d| d.confidence))
            .text(decision.map_or("", |d| d.reason.as_str()))
            .option(decision.map(|d| d.note))
            .text(signal.map_or("", |s| s.trigger.name()))
            .text(name)
            .put(*deferred)
            .text(reason.map_or("", Reason::code))
            .option(order.map(|(side, _)| side.name()))
            .option(order.map(|(_, quantity)| quantity))
            .option(passed.map(|v| v.increase))
            .text(
                passed
                    .and_then(|v| v.entry_refused)
                    .map_or("", |refusal| refusal.reason.code()),
            )
            .option(figures.as_ref().map(|(value, _)| value))
            .option(figures.as_ref().map(|(_, limit)| limit))
            .text(unit)
            .option(*decided)
            .put(input.0)
            .put(ordinal)
            .put(id)
            .option(signal.map(|s| s.correlation))
            .end()
    }
}
