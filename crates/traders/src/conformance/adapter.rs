//! A trader that is stepped inside the pipeline, seen as commands and reports.

use std::collections::BTreeMap;

use model::event::{Cause, Event, EventBody, OrderStep};
use model::ids::CommandId;
use model::market::MarketData;
use model::money::Amount;
use model::order::{Execution, Order, OrderChange};
use model::reason::Reason;
use model::trader::{
    Capabilities, Delivery, InPipelineTrader, ReportKind, TraderCommand, TraderReport,
};
use model::{CorrelationId, OrderId, Timestamp};

use super::subject::{Feature, Profile, Subject};

/// Reports on one input, at most: one that reports for ever is stopped, as the pipeline does.
const REPORTS_MAX: usize = 10_000;

/// Does what the pipeline does around a trader: turns commands into the events that it applies, fires
/// timers before the input that they are due at, and lets reports come back as events where the
/// order's life allows them.
pub struct InPipelineSubject {
    build: Box<dyn FnMut() -> Box<dyn InPipelineTrader>>,
    trader: Box<dyn InPipelineTrader>,
    profile: Profile,
    orders: BTreeMap<OrderId, Order>,
    reports: Vec<TraderReport>,
    /// It has reported what cannot be, and is not asked any more.
    is_stuck: bool,
}

impl InPipelineSubject {
    /// Around the traders that `build` makes: the first one now, another at each restart.
    pub fn new(
        mut build: impl FnMut() -> Box<dyn InPipelineTrader> + 'static,
        profile: Profile,
    ) -> Self {
        Self {
            trader: build(),
            build: Box::new(build),
            profile,
            orders: BTreeMap::new(),
            reports: Vec::new(),
            is_stuck: false,
        }
    }

    fn apply(&mut self, ts: Timestamp, body: &EventBody) {
        let (cause, body) = (Cause::Command(CommandId(0)), *body);
        self.trader.apply(&Event {
            ts,
            correlation: CorrelationId(0),
            cause,
            body,
        });
    }

    fn change(&mut self, ts: Timestamp, order: OrderId, change: OrderChange) {
        let sequence = match self.orders.get_mut(&order) {
            // A legal change cannot fail: it has been checked.
            Some(order) => order.advance(&change).map_or(0, |_| order.sequence()),
            None => 0,
        };
        self.apply(
            ts,
            &EventBody::OrderChanged(OrderStep {
                order,
                sequence,
                change,
            }),
        );
    }

    fn drain(&mut self, now: Timestamp) {
        let mut count = 0;
        while !self.is_stuck {
            let Some(report) = self.trader.next_report(now) else {
                break;
            };
            self.reports.push(report);
            count += 1;
            let change = change_of(&report);
            let legal = self
                .orders
                .get(&report.order)
                .is_some_and(|o| o.check(&change).is_ok());
            if legal && count < REPORTS_MAX {
                self.change(report.ts, report.order, change);
            } else {
                self.is_stuck = true;
            }
        }
    }

    fn fire_timers(&mut self, now: Timestamp) {
        while !self.is_stuck && self.trader.next_due() <= now {
            let due = self.trader.next_due();
            self.trader.observe_time(due);
            self.drain(due);
            // A timer that fires for ever would hang the pipeline.
            self.is_stuck |= self.trader.next_due() <= due;
        }
    }

    /// The trader as it stands, for tests of its own.
    pub fn trader(&self) -> &dyn InPipelineTrader {
        self.trader.as_ref()
    }
}

/// The step in an order's life that a report means, without charges.
pub(super) fn change_of(report: &TraderReport) -> OrderChange {
    match report.kind {
        ReportKind::Acknowledged => OrderChange::Acknowledged,
        ReportKind::Triggered => OrderChange::Triggered,
        ReportKind::Filled {
            trade,
            quantity,
            price,
            draws,
            ..
        } => OrderChange::Filled(Execution {
            trade,
            quantity,
            price,
            charges: Amount::ZERO,
            draws,
        }),
        ReportKind::Modified {
            quantity,
            limit_price,
            trigger_price,
        } => OrderChange::Modified {
            quantity,
            limit_price,
            trigger_price,
        },
        ReportKind::Cancelled(reason) => OrderChange::Cancelled(reason),
        ReportKind::CancelRefused => OrderChange::CancelRefused,
        ReportKind::Rejected(reason) => OrderChange::Rejected(reason),
        ReportKind::Expired(reason) => OrderChange::Expired(reason),
        ReportKind::NotSent(reason) => OrderChange::Failed(reason),
        ReportKind::Unknown => OrderChange::Unknown,
        // A trader in the pipeline is asked for none of these.
        ReportKind::ModifyRefused | ReportKind::BookRead | ReportKind::FilledTo { .. } => {
            OrderChange::ModifyRefused
        }
    }
}

impl Subject for InPipelineSubject {
    fn capabilities(&self) -> Capabilities {
        self.trader.capabilities().clone()
    }

    fn profile(&self) -> Profile {
        let capabilities = self.trader.capabilities();
        // A pipeline asks its own trader for another quantity only.
        let mut profile = self.profile.clone().without(
            Feature::ModifyPrice,
            "the pipeline asks for another quantity only",
        );
        if !capabilities.native_oco && profile.has(Feature::NativeOco) {
            profile = profile.without(Feature::NativeOco, "declared by its capabilities");
        }
        if capabilities.delivery != Delivery::Idempotent && profile.has(Feature::Idempotent) {
            profile = profile.without(Feature::Idempotent, "declared by its capabilities");
        }
        profile
    }

    fn command(&mut self, command: &TraderCommand, now: Timestamp) {
        self.fire_timers(now);
        match *command {
            TraderCommand::Submit(intent) => {
                self.orders
                    .entry(intent.id)
                    .or_insert_with(|| Order::new(intent));
                self.apply(now, &EventBody::OrderSubmitted(intent));
            }
            TraderCommand::Cancel(order) => {
                self.change(
                    now,
                    order,
                    OrderChange::CancelRequested(Reason::OperatorRequest),
                );
            }
            TraderCommand::Modify {
                order, quantity, ..
            } => {
                self.apply(now, &EventBody::ModifyRequested { order, quantity });
            }
            // What it knows is in its reports.
            TraderCommand::Query(_) => {}
        }
        self.drain(now);
    }

    fn market(&mut self, data: &MarketData<'_>, now: Timestamp) {
        self.fire_timers(now);
        self.trader.observe_market(data, now);
        self.drain(now);
    }

    fn time(&mut self, now: Timestamp) {
        self.fire_timers(now);
        self.trader.observe_time(now);
        self.drain(now);
    }

    fn reports(&mut self) -> Vec<TraderReport> {
        std::mem::take(&mut self.reports)
    }

    fn restart(&mut self) -> Result<(), String> {
        let state = self.trader.save().map_err(|e| e.to_string())?;
        self.trader = (self.build)();
        self.trader
            .restore(&state, &model::reindex::Reindex::same())
            .map_err(|e| e.to_string())?;
        let again = self.trader.save().map_err(|e| e.to_string())?;
        if again == state {
            Ok(())
        } else {
            Err("the restored state saves differently".to_owned())
        }
    }
}
