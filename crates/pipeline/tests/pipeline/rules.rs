//! The table of the rules' scenarios.

use model::control::{CommandAction, TradingState};
use model::reason::Reason;
use model::signal::Side::{Buy, Sell};
use model::signal::{Decision, OrderType, Product};
use model::time::{MINUTE, SECOND};
use model::trader::ReportKind;
use model::{Amount, AssetClass, StrategyIdx};
use pipeline::risk::limits::MoneyLimit;
use pipeline::risk::settings::ShortSelling;
use pipeline::risk::{Limits, Margin};

use crate::desk::{Desk, Plan, bracket, enter, limit, stop};
use crate::world::{
    AUCTION, AXIS, BEL, COIN, FREEZE, GOLD, GOLD_DAYS, NEXT_DAY, SESSION, amount, units,
};

/// A limit in rupees and none in dollars.
pub fn rupees(text: &str) -> Option<MoneyLimit> {
    Some(MoneyLimit(vec![Some(amount(text)), None]))
}

/// A namespace with these limits.
pub fn with(limits: Limits) -> Plan {
    Plan {
        limits,
        ..Plan::default()
    }
}

/// One rule: what is prepared, what it refuses, and a neighbour that passes.
pub struct Case {
    pub reason: Reason,
    pub plan: Plan,
    pub before: fn(&mut Desk),
    pub refused: Decision,
    pub passes: Decision,
    /// Between the two, where it is not the decision that makes the difference.
    pub between: fn(&mut Desk),
}

fn case(reason: Reason, limits: Limits, refused: Decision, passes: Decision) -> Case {
    Case {
        reason,
        plan: with(limits),
        before: |_| {},
        refused,
        passes,
        between: |_| {},
    }
}

pub fn buy(count: i64) -> Decision {
    enter(AXIS, Buy, count)
}

fn in_delivery(decision: Decision) -> Decision {
    Decision {
        product: Product::Delivery,
        ..decision
    }
}

pub fn cases() -> Vec<Case> {
    use Reason as R;
    let none = Limits::default;
    let state = |reason, command: fn(&mut Desk)| Case {
        before: command,
        between: |desk| {
            desk.command(CommandAction::SetState(TradingState::Active));
        },
        ..case(reason, none(), buy(1), buy(1))
    };
    let after_one: fn(&mut Desk) = |desk| {
        desk.signal(1, limit(buy(1), "90"));
    };
    let cancel_all: fn(&mut Desk) = |desk| {
        desk.command(CommandAction::CancelAll);
    };
    let bel: fn(&mut Desk) = |desk| {
        desk.tick(BEL, "50");
    };
    let later: fn(&mut Desk) = |desk| {
        desk.tick(AXIS, "100");
    };
    let next_day: fn(&mut Desk) = |desk| {
        desk.clock(NEXT_DAY);
        desk.tick(AXIS, "100");
    };
    vec![
        Case {
            before: |desk| {
                desk.command(CommandAction::BlockEntries(R::TraderUnreachable));
                desk.command(CommandAction::BlockEntries(R::FeedStale));
            },
            between: |desk| {
                desk.command(CommandAction::AllowEntries(R::TraderUnreachable));
                desk.signal(1, buy(1));
                assert_eq!(desk.refused(), Some(R::FeedStale));
                desk.command(CommandAction::AllowEntries(R::FeedStale));
            },
            ..case(R::TraderUnreachable, none(), buy(1), buy(1))
        },
        Case {
            plan: Plan {
                paper: None,
                ..Plan::default()
            },
            before: |desk| {
                desk.signal(1, limit(buy(1), "90"));
                let order = desk.orders()[0].id;
                desk.report(order, ReportKind::Unknown);
                // It is live exposure, and freezes this strategy only.
                assert_eq!(desk.pipeline.unresolved().collect::<Vec<_>>(), [order]);
                desk.signal(2, buy(1));
                assert_eq!(desk.refused(), None);
            },
            between: |desk| {
                let order = desk.pipeline.unresolved().next().unwrap();
                desk.report(order, ReportKind::Acknowledged);
                assert_eq!(desk.pipeline.unresolved().count(), 0);
            },
            ..case(R::UnresolvedOrder, none(), buy(1), buy(1))
        },
        Case {
            before: |desk| {
                let disable = CommandAction::DisableStrategy(StrategyIdx(1), R::OperatorRequest);
                desk.command(disable);
            },
            between: |desk| {
                desk.command(CommandAction::EnableStrategy(StrategyIdx(1)));
            },
            ..case(R::StrategyDisabled, none(), buy(1), buy(1))
        },
        Case {
            plan: Plan {
                asset_classes: vec![AssetClass::Equity],
                ..Plan::default()
            },
            before: |desk| {
                desk.tick(COIN, "5");
            },
            ..case(
                R::UnsupportedAssetClass,
                none(),
                enter(COIN, Buy, 1),
                buy(1),
            )
        },
        case(
            R::InvalidSignal,
            none(),
            limit(buy(1), "10000000.05"),
            limit(buy(1), "10000000"),
        ),
        case(
            R::InvalidSignal,
            none(),
            Decision {
                order_type: OrderType::Limit,
                ..buy(1)
            },
            buy(1),
        ),
        case(
            R::InvalidSignal,
            none(),
            bracket(buy(1), "100", ""),
            bracket(buy(1), "99.95", ""),
        ),
        case(
            R::InvalidSignal,
            none(),
            bracket(buy(1), "", "100"),
            bracket(buy(1), "", "100.05"),
        ),
        Case {
            before: |desk| {
                desk.signal(1, buy(1));
            },
            between: later,
            ..case(
                R::DuplicateSignal,
                Limits {
                    duplicate_window: Some(SECOND),
                    ..none()
                },
                buy(1),
                buy(1),
            )
        },
        Case {
            before: |desk| {
                // What is decided at the close itself is held for the next open.
                desk.clock(SESSION + 1);
            },
            between: next_day,
            ..case(R::SessionClosed, none(), buy(1), buy(1))
        },
        case(
            R::TickSize,
            none(),
            limit(buy(1), "99.99"),
            limit(buy(1), "99.95"),
        ),
        case(
            R::TickSize,
            none(),
            bracket(buy(1), "90.01", ""),
            bracket(buy(1), "90.05", ""),
        ),
        Case {
            before: |desk| {
                desk.tick(GOLD, "100");
            },
            ..case(R::LotSize, none(), enter(GOLD, Buy, 3), enter(GOLD, Buy, 4))
        },
        Case {
            before: |desk| {
                desk.tick(BEL, "100");
                desk.clock(SESSION - AUCTION);
            },
            ..case(
                R::OrderTypeInPhase,
                none(),
                stop(enter(BEL, Buy, 1), "101"),
                limit(enter(BEL, Buy, 1), "101"),
            )
        },
        Case {
            before: |desk| {
                desk.clock(GOLD_DAYS * NEXT_DAY + NEXT_DAY);
                desk.tick(GOLD, "100");
            },
            ..case(R::ContractExpired, none(), enter(GOLD, Buy, 2), buy(1))
        },
        case(
            R::FreezeQuantity,
            none(),
            enter(AXIS, Buy, FREEZE + 1),
            enter(AXIS, Buy, FREEZE),
        ),
        case(
            R::PriceBand,
            Limits {
                price_band: Some(5_000_000),
                ..none()
            },
            limit(buy(1), "94.95"),
            limit(buy(1), "95"),
        ),
        state(R::Halted, |desk| {
            desk.command(CommandAction::SetState(TradingState::Halted));
        }),
        state(R::ReduceOnly, |desk| {
            desk.command(CommandAction::SetState(TradingState::ReduceOnly));
        }),
        Case {
            plan: Plan {
                square_off: Some(10 * MINUTE),
                ..Plan::default()
            },
            before: |desk| {
                desk.clock(SESSION - 600);
            },
            ..case(
                R::SquareOff,
                none(),
                buy(1),
                Decision {
                    product: Product::Delivery,
                    ..buy(1)
                },
            )
        },
        Case {
            before: bel,
            ..case(
                R::InstrumentDenied,
                Limits {
                    allow: vec![true, true, false, true],
                    ..none()
                },
                enter(BEL, Buy, 1),
                buy(1),
            )
        },
        Case {
            before: bel,
            ..case(
                R::InstrumentDenied,
                Limits {
                    deny: vec![false, false, true, false],
                    ..none()
                },
                enter(BEL, Buy, 1),
                buy(1),
            )
        },
        Case {
            before: |desk| {
                desk.clock(100);
            },
            between: later,
            ..case(
                R::StaleMarketData,
                Limits {
                    stale_market_data: Some(98 * SECOND),
                    ..none()
                },
                buy(1),
                buy(1),
            )
        },
        case(R::StaleMarketData, none(), enter(BEL, Buy, 1), buy(1)),
        case(
            R::ShortSelling,
            Limits {
                short_selling: ShortSelling::Forbidden,
                ..none()
            },
            enter(AXIS, Sell, 1),
            buy(1),
        ),
        case(
            R::ShortSelling,
            none(),
            Decision {
                product: Product::Delivery,
                ..enter(AXIS, Sell, 1)
            },
            Decision {
                product: Product::CarryForward,
                ..enter(AXIS, Sell, 1)
            },
        ),
        case(
            R::OrderQuantity,
            Limits {
                order_quantity: Some(units(5)),
                ..none()
            },
            buy(6),
            buy(5),
        ),
        case(
            R::OrderNotional,
            Limits {
                order_notional: rupees("1000"),
                ..none()
            },
            buy(11),
            buy(10),
        ),
        Case {
            before: |desk| {
                desk.tick(GOLD, "100");
            },
            // 2 × 100 × 2.5 = 500.
            ..case(
                R::OrderNotional,
                Limits {
                    order_notional: rupees("500"),
                    ..none()
                },
                enter(GOLD, Buy, 4),
                enter(GOLD, Buy, 2),
            )
        },
        Case {
            before: |desk| {
                desk.signal(2, limit(buy(3), "90"));
            },
            // Three rest at the market: they count.
            ..case(
                R::PositionQuantity,
                Limits {
                    position_quantity: Some(units(5)),
                    ..none()
                },
                buy(3),
                buy(2),
            )
        },
        Case {
            before: |desk| {
                desk.signal(2, buy(4));
                desk.tick(AXIS, "100");
                desk.signal(3, limit(buy(1), "90"));
            },
            // Four are held and one rests: with two more, seven at 100.
            ..case(
                R::PositionNotional,
                Limits {
                    position_notional: rupees("600"),
                    ..none()
                },
                buy(2),
                buy(1),
            )
        },
        Case {
            before: |desk| {
                desk.signal(2, buy(4));
                desk.tick(AXIS, "100");
                desk.signal(3, limit(buy(1), "90"));
            },
            // 4 × 100 held and 1 × 90 working leave 110 of 600.
            ..case(
                R::GrossExposure,
                Limits {
                    gross_exposure: rupees("600"),
                    ..none()
                },
                buy(2),
                buy(1),
            )
        },
        Case {
            before: after_one,
            between: cancel_all,
            ..case(
                R::OpenOrders,
                Limits {
                    open_orders: Some(1),
                    ..none()
                },
                buy(1),
                buy(1),
            )
        },
        Case {
            before: after_one,
            between: later,
            ..case(
                R::OrdersPerSecond,
                Limits {
                    orders_per_second: Some(1),
                    ..none()
                },
                buy(1),
                buy(1),
            )
        },
        Case {
            before: after_one,
            between: next_day,
            ..case(
                R::OrdersPerDay,
                Limits {
                    orders_per_day: Some(1),
                    ..none()
                },
                buy(1),
                buy(1),
            )
        },
        Case {
            before: after_one,
            between: next_day,
            ..case(
                R::TradesPerDay,
                Limits {
                    trades_per_day: Some(1),
                    ..none()
                },
                buy(1),
                buy(1),
            )
        },
        Case {
            plan: Plan {
                cash: Amount::from_int(1000),
                limits: Limits {
                    available_cash: true,
                    ..none()
                },
                ..Plan::default()
            },
            before: |desk| {
                desk.signal(2, limit(buy(2), "90"));
            },
            ..case(R::InsufficientCash, none(), buy(9), buy(8))
        },
        Case {
            plan: Plan {
                cash: Amount::from_int(1000),
                limits: Limits {
                    available_cash: true,
                    margin: Margin::Uniform(20_000_000),
                    ..none()
                },
                ..Plan::default()
            },
            ..case(R::InsufficientCash, none(), buy(51), buy(50))
        },
        Case {
            plan: Plan {
                cash: Amount::from_int(1000),
                limits: Limits {
                    available_cash: true,
                    margin: Margin::table([("equity:intraday", 20_000_000)]).unwrap(),
                    ..none()
                },
                ..Plan::default()
            },
            before: |desk| {
                // 4 × 100 in full, and a fifth of 10 × 90 that work: 420 are left.
                desk.signal(2, in_delivery(buy(4)));
                desk.tick(AXIS, "100");
                desk.signal(2, limit(buy(10), "90"));
                desk.signal(1, in_delivery(buy(5)));
                assert_eq!(desk.refused(), Some(R::InsufficientCash));
            },
            ..case(R::InsufficientCash, none(), buy(22), buy(21))
        },
        Case {
            before: |desk| {
                desk.tick(COIN, "5");
            },
            ..case(
                R::CurrencyLimitMissing,
                Limits {
                    order_notional: rupees("1000"),
                    ..none()
                },
                enter(COIN, Buy, 1),
                buy(1),
            )
        },
        Case {
            before: |desk| {
                desk.tick(COIN, "5");
            },
            ..case(
                R::CurrencyLimitMissing,
                Limits {
                    daily_loss: rupees("1000"),
                    watches_losses: true,
                    ..none()
                },
                enter(COIN, Buy, 1),
                buy(1),
            )
        },
    ]
}
