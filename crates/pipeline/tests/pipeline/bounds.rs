//! What happens at the bounds: traders that lie, amounts that do not fit, timers without end.

use model::control::{CommandAction, TradingState};
use model::event::{Event, EventBody};
use model::market::MarketData;
use model::order::OrderIntent;
use model::reason::Reason;
use model::signal::Side::Buy;
use model::trader::{
    Capabilities, Delivery, InPipelineTrader, ReportKind, TraderReport, TraderStateError,
};
use model::{AssetClass, Price, Quantity, Timestamp, TradeId};
use pipeline::risk::AutoResume;

use crate::desk::{Desk, Plan, enter, kinds, target};
use crate::world::{AXIS, COIN, GOLD, NEXT_DAY, quantity, units};

/// Says the same of the latest order for ever.
struct Liar {
    capabilities: Capabilities,
    says: ReportKind,
    order: Option<OrderIntent>,
}

fn liar(says: ReportKind) -> Box<dyn InPipelineTrader> {
    let capabilities = Capabilities {
        delivery: Delivery::Idempotent,
        asset_classes: AssetClass::ALL.to_vec(),
        native_oco: true,
        executes_on_tick: true,
    };
    Box::new(Liar {
        capabilities,
        says,
        order: None,
    })
}

impl InPipelineTrader for Liar {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    fn observe_market(&mut self, _: &MarketData<'_>, _: Timestamp) {}
    fn observe_time(&mut self, _: Timestamp) {}
    fn apply(&mut self, event: &Event) {
        if let EventBody::OrderSubmitted(intent) = event.body {
            self.order = Some(intent);
        }
    }
    fn next_report(&self, now: Timestamp) -> Option<TraderReport> {
        let order = self.order?.id;
        Some(TraderReport::new(order, now, self.says))
    }
    fn next_due(&self) -> Timestamp {
        Timestamp::MAX
    }
    fn save(&self) -> Result<Vec<u8>, TraderStateError> {
        Ok(format!("{:?}", self.order).into_bytes())
    }
    fn restore(&mut self, _: &[u8], _: &model::reindex::Reindex) -> Result<(), TraderStateError> {
        Ok(())
    }
}

fn state(desk: &Desk) -> TradingState {
    desk.pipeline.risk().state()
}

#[test]
fn a_trader_that_lies_is_detached_and_the_namespace_halts() {
    const TRADE: TradeId = TradeId(1);
    let makers: [fn() -> Box<dyn InPipelineTrader>; 5] = [
        || liar(ReportKind::Acknowledged),
        || liar(ReportKind::CancelRefused),
        || liar(ReportKind::Unknown),
        // Too much, and the same again and again.
        || {
            liar(ReportKind::Filled {
                trade: TRADE,
                side: Buy,
                quantity: units(99),
                price: Price::MAX,
                draws: 0,
            })
        },
        || {
            liar(ReportKind::Filled {
                trade: TRADE,
                side: Buy,
                quantity: units(1),
                price: Price::MAX,
                draws: 0,
            })
        },
    ];
    for (number, trader) in makers.into_iter().enumerate() {
        let plan = Plan {
            trader: Some(trader),
            auto_resume: AutoResume::NextDay,
            ..Plan::default()
        };
        let mut desk = Desk::new(&plan);
        desk.tick(AXIS, "100");
        desk.signal(1, enter(AXIS, Buy, 10));
        let said = kinds(desk.latest());
        assert!(
            said.len() < 20,
            "liar {number} got {} events out",
            said.len()
        );
        assert!(
            said.contains(&"alert") && said.contains(&"trader_detached"),
            "{number}: {said:?}"
        );
        assert_eq!(state(&desk), TradingState::Halted);
        // Nobody would execute an order: a new day alone changes nothing about that.
        desk.clock(NEXT_DAY);
        desk.tick(AXIS, "100");
        assert_eq!(state(&desk), TradingState::Halted, "liar {number}");
        desk.check();
    }
}

#[test]
fn an_execution_that_does_not_fit_halts_and_changes_nothing() {
    let mut desk = Desk::new(&Plan::outside());
    desk.tick(GOLD, "100");
    let most = |n| {
        model::signal::Decision::market(
            GOLD,
            model::signal::Action::Enter {
                side: Buy,
                quantity: quantity(n),
            },
        )
    };
    // Nine times ten billion is nearly all that a position can hold.
    for _ in 0..9 {
        desk.signal(1, most("10000000000"));
        let order = desk.orders()[0].id;
        desk.fill(order, 10_000_000_000, "0.0001");
    }
    desk.signal(1, most("2000000000"));
    let order = desk.orders()[0].id;
    let before = desk.pipeline.portfolio().net(GOLD);
    // The broker changes the order and executes more than a position can be.
    let more = ReportKind::Modified {
        quantity: Quantity::MAX,
        limit_price: None,
        trigger_price: None,
    };
    desk.report(order, more);
    desk.fill(order, 9_000_000_000, "0.0001");
    // The first alert is of the price, which the broker's book confirms.
    let said = [
        "alert",
        "alert",
        "trading_state_changed",
        "order_cancel_requested",
    ];
    assert_eq!(kinds(desk.latest()), said);
    assert_eq!(state(&desk), TradingState::Halted);
    assert_eq!(desk.pipeline.portfolio().net(GOLD), before);
    // Time and market go on, and nothing fails.
    desk.tick(GOLD, "10000000");
    desk.tick(COIN, "1");
    desk.clock(NEXT_DAY);
    desk.check();
}

#[test]
fn orders_that_a_broker_makes_too_large_to_be_counted_halt_the_namespace() {
    let mut desk = Desk::new(&Plan::outside());
    desk.tick(COIN, "100");
    desk.signal(2, enter(COIN, Buy, 10_000_000_000));
    let held = desk.orders()[0].id;
    desk.fill(held, 10_000_000_000, "100");
    let mut orders = Vec::new();
    for _ in 0..10 {
        desk.signal(1, enter(COIN, Buy, 1));
        orders.push(desk.orders()[0].id);
    }
    for (number, order) in orders.into_iter().enumerate() {
        assert_eq!(state(&desk), TradingState::Active);
        if number == 9 {
            // What one strategy holds and another one's orders are too much together.
            desk.signal(3, enter(COIN, Buy, 1));
            assert_eq!(desk.refused(), Some(Reason::Overflow));
        }
        desk.report(order, ReportKind::Acknowledged);
        let most = ReportKind::Modified {
            quantity: Quantity::MAX,
            limit_price: None,
            trigger_price: None,
        };
        desk.report(order, most);
    }
    assert_eq!(state(&desk), TradingState::Halted);
    // What is not counted any more does not come back by an operator's wish.
    desk.command(CommandAction::ResumeAnew);
    assert!(desk.latest().iter().any(|e| matches!(
        e.body,
        EventBody::ResumeRefused {
            reason: Reason::Overflow,
            ..
        }
    )));
    assert_eq!(state(&desk), TradingState::Halted);
}

#[test]
fn a_broker_that_says_more_nonsense_than_can_be_parked_is_not_traded_with() {
    let mut desk = Desk::new(&Plan::outside());
    desk.tick(AXIS, "100");
    desk.signal(1, enter(AXIS, Buy, 10));
    let order = desk.orders()[0].id;
    let most = pipeline::broker::PARKED_MAX as u128;
    for trade in 0..=most {
        assert_eq!(state(&desk), TradingState::Active, "after {trade}");
        desk.report(
            order,
            ReportKind::Filled {
                trade: TradeId(trade),
                side: Buy,
                quantity: units(11),
                price: "100".parse().unwrap(),
                draws: 0,
            },
        );
    }
    assert_eq!(state(&desk), TradingState::Halted);
    assert_eq!(desk.pipeline.engine().parked().len() as u128, most);
    desk.check();
}

#[test]
fn no_edge_of_the_window_is_a_panic() {
    let edges = ["0.0001", "10000000", "0.05", "9999999.95"];
    let sizes = ["0.00000001", "1", "10000000000", "9999999999.99999999"];
    for plan in [Plan::default(), Plan::outside()] {
        for at in edges {
            for size in sizes {
                let mut desk = Desk::new(&plan);
                desk.tick(COIN, at);
                for wanted in [quantity(size), quantity(size).negate(), Quantity::ZERO] {
                    let action = model::signal::Action::Target { quantity: wanted };
                    desk.signal(1, model::signal::Decision::market(COIN, action));
                    for id in desk.pipeline.engine().working_ids() {
                        if plan.paper.is_none() {
                            let (trade, open) =
                                (TradeId(id.get()), desk.audit.orders[&id].open_quantity());
                            let price = at.parse().unwrap();
                            desk.report(
                                id,
                                ReportKind::Filled {
                                    trade,
                                    side: desk.audit.orders[&id].intent().side,
                                    quantity: open,
                                    price,
                                    draws: 0,
                                },
                            );
                        }
                    }
                    for then in edges {
                        desk.tick(COIN, then);
                    }
                }
                desk.command(CommandAction::SquareOffAll);
                desk.tick(COIN, at);
                if state(&desk) == TradingState::Active {
                    desk.check();
                }
            }
        }
    }
}

#[test]
fn reasons_are_given_for_what_cannot_be_counted() {
    // A target so far away that the difference does not fit.
    let mut desk = Desk::new(&Plan::default());
    desk.tick(AXIS, "100");
    for raw in [i64::MAX, i64::MIN, i64::MIN + 1] {
        let action = model::signal::Action::Target {
            quantity: Quantity::from_raw(raw),
        };
        desk.signal(1, model::signal::Decision::market(AXIS, action));
        let reason = desk.refused();
        assert!(
            matches!(reason, Some(Reason::Overflow | Reason::InvalidSignal)),
            "{raw}: {reason:?}"
        );
    }
    for raw in [i64::MAX, i64::MIN, -1, 0] {
        let quantity = Quantity::from_raw(raw);
        for action in [
            model::signal::Action::Enter {
                side: Buy,
                quantity,
            },
            model::signal::Action::Exit {
                quantity: Some(quantity),
            },
        ] {
            desk.signal(1, model::signal::Decision::market(AXIS, action));
            assert!(desk.orders().is_empty(), "{action:?}");
        }
    }
    desk.signal(1, target(AXIS, 1));
    assert_eq!(desk.orders().len(), 1);
    desk.check();
}
