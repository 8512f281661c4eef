//! What only benchmarks trade with: a strategy that orders on chosen ticks, and a broker that fills at
//! once and tells when it was called.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

use model::order::OrderIntent;
use model::trader::{Capabilities, Delivery, ReportKind};
use model::{AssetClass, Price, Quantity, Tick, TradeId};
use serde::{Deserialize, Serialize};
use strategies::{
    Context, InstrumentsWanted, KindDescriptor, Scope, Setup, Slot, Slots, Strategy, Subscription,
};
use traders::{
    Answer, BrokerKind, BrokerReport, Built, ClientOrderId, Found, LinkError, Modification,
    Reports, Trader,
};

/// A tick of this quantity is one to order on. The simulated exchange trades whole units.
pub const MARK: Quantity = Quantity::from_raw(7 * model::fixed::ONE + 1);

/// Changes between one unit and none on every marked tick.
pub const PULSE: KindDescriptor = KindDescriptor {
    name: "bench_pulse",
    summary: "orders on the ticks that a benchmark has marked",
    scope: Scope::Shared,
    instruments: InstrumentsWanted::Any,
    parameters: &[],
    build: |setup| Ok(Box::new(Pulse::new(setup))),
};

#[derive(Default, Serialize, Deserialize)]
struct Held {
    long: bool,
}

struct Pulse {
    warm_up: u32,
    slots: Slots<Held>,
}

impl Pulse {
    fn new(setup: &Setup<'_>) -> Self {
        Self {
            warm_up: setup.warm_up(0),
            slots: Slots::new(setup, Held::default),
        }
    }
}

impl Strategy for Pulse {
    fn subscription(&self) -> Subscription {
        Subscription {
            ticks: true,
            warm_up: self.warm_up,
            ..Subscription::default()
        }
    }
    fn on_tick(&mut self, slot: Slot, tick: &Tick, ctx: &mut Context<'_>) {
        if tick.quantity != MARK {
            return;
        }
        let held = &mut self.slots[slot];
        held.long = !held.long;
        let wanted = Quantity::from_raw(if held.long { model::fixed::ONE } else { 0 });
        ctx.target(slot, wanted);
    }
    strategies::keep_state!(slots);
}

/// The broker's kind; each call of `submit` is told to `called`.
pub fn broker(called: Sender<Instant>) -> BrokerKind {
    BrokerKind {
        name: "bench",
        summary: "fills every order at once, and tells when it was called",
        asset_classes: &AssetClass::ALL,
        settings: &[],
        build: Box::new(move |_| {
            Ok(Built::Outside {
                trader: Box::new(Stopwatch {
                    capabilities: Capabilities {
                        delivery: Delivery::QueryOnly,
                        asset_classes: AssetClass::ALL.to_vec(),
                        native_oco: false,
                        executes_on_tick: true,
                    },
                    called: called.clone(),
                    reports: None,
                }),
                warnings: Vec::new(),
                effective: toml::Table::new(),
            })
        }),
    }
}

struct Stopwatch {
    capabilities: Capabilities,
    called: Sender<Instant>,
    reports: Option<Arc<dyn Reports>>,
}

impl Trader for Stopwatch {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    fn connect(&mut self, reports: Arc<dyn Reports>) -> Result<(), LinkError> {
        self.reports = Some(reports);
        Ok(())
    }
    fn submit(&mut self, id: &ClientOrderId, intent: &OrderIntent) -> Answer {
        let called = Instant::now();
        if let Some(reports) = &self.reports {
            let filled = ReportKind::Filled {
                trade: TradeId::derive(intent.id, 0),
                side: intent.side,
                quantity: intent.quantity,
                price: Price::from_raw(super::system::PRICE),
                draws: 0,
            };
            for kind in [ReportKind::Acknowledged, filled] {
                reports.report(BrokerReport {
                    client_order_id: *id,
                    kind,
                    number: 0,
                    due: None,
                });
            }
        }
        // After its reports: the benchmark sends the next order when it hears of this one, and finds it filled. The
        // benchmark may have ended.
        let _ = self.called.send(called);
        Answer::Accepted
    }
    fn cancel(&mut self, _: &ClientOrderId) -> Answer {
        Answer::Accepted
    }
    fn modify(&mut self, _: &ClientOrderId, _: &Modification) -> Answer {
        Answer::Accepted
    }
    fn query(&mut self, _: &ClientOrderId) -> Found {
        Found::Unknown
    }
    fn stop(&mut self) {
        self.reports = None;
    }
}
