//! One value of every kind that is recorded.

use model::contract_note::{Amounts, ChargesAdjustment, Component, NoteName};
use model::control::{Breach, TradingState};
use model::event::{
    Cause, Doubt, Event, EventBody, OrderStep, ParkedReport, Refused, Settled, SettlementBasis,
    Snapshot, Validated,
};
use model::order::{Execution, OrderChange, OrderIntent, OrderRole};
use model::reason::Reason;
use model::refusal::{Measured, Refusal};
use model::signal::{
    Action, Bracket, Decision, OrderType, Product, Side, Signal, Trigger, Validity,
};
use model::text::reason_text;
use model::*;

pub fn registry() -> Instruments {
    let share = |exchange: &str, symbol: &str, currency: &str| {
        Instrument::share(exchange, symbol, currency.parse().unwrap())
    };
    let all = vec![
        share("NSE", "A", "INR"),
        share("NSE", "B", "INR"),
        share("XNAS", "C", "USD"),
    ];
    Instruments::new(all).unwrap()
}

pub fn strategies() -> Vec<String> {
    ["manual", "one", "two"].map(str::to_owned).to_vec()
}

fn order(n: u64) -> OrderId {
    OrderId::from_number(u128::from(n))
}

fn decision(action: Action) -> Decision {
    Decision {
        instrument: InstrumentIdx(0),
        action,
        order_type: OrderType::StopLimit,
        limit_price: Some(Price::from_raw(10)),
        trigger_price: Some(Price::from_raw(11)),
        validity: Validity::Gtd(Timestamp(12)),
        product: Product::Delivery,
        bracket: Bracket {
            stop_loss: Some(Price::from_raw(13)),
            take_profit: None,
        },
        confidence: Some(0.5),
        reason: reason_text("because"),
        note: Note::of(&[("fast", 14.5), ("slow", 15.5)]),
    }
}

fn signal(action: Action, trigger: Trigger) -> Signal {
    Signal {
        id: SignalId(20),
        correlation: CorrelationId(21),
        strategy: StrategyIdx(1),
        input: InputId(22),
        ordinal: 23,
        ts: Timestamp(24),
        trigger,
        decision: decision(action),
    }
}

fn refusal(measured: Measured) -> Refusal {
    Refusal {
        reason: Reason::PriceBand,
        measured: Some(measured),
    }
}

/// One event of every kind, every cause and every change among them.
pub fn events() -> Vec<Event> {
    let quantity = Quantity::from_raw(30);
    let mark = (InputId(31), 32);
    let intent = OrderIntent {
        id: order(40),
        correlation: CorrelationId(41),
        signal: Some(SignalId(42)),
        strategy: StrategyIdx(1),
        instrument: InstrumentIdx(0),
        role: OrderRole::Entry,
        side: Side::Buy,
        quantity,
        increase: Quantity::from_raw(29),
        order_type: OrderType::Limit,
        limit_price: Some(Price::from_raw(43)),
        trigger_price: None,
        validity: Validity::Day,
        product: Product::Intraday,
        bracket: Bracket::default(),
        oco: Some(order(44)),
        parent: None,
        submitted: Timestamp(45),
        send_by: Timestamp(46),
    };
    let validated = Validated {
        signal: SignalId(50),
        strategy: StrategyIdx(1),
        mark,
        instrument: InstrumentIdx(0),
        product: Product::CarryForward,
        side: Side::Sell,
        quantity,
        increase: Quantity::from_raw(51),
        target: Some(Quantity::from_raw(-52)),
        entry_refused: Some(refusal(Measured::Orders {
            value: 57,
            limit: 58,
        })),
        decision: decision(Action::Target { quantity }),
    };
    let refused = Refused {
        signal: SignalId(53),
        strategy: StrategyIdx(1),
        mark,
        instrument: InstrumentIdx(0),
        product: Product::Intraday,
        target: None,
        order: Some((Side::Buy, Quantity::from_raw(54))),
        refusal: refusal(Measured::Money {
            currency: CurrencyIdx(0),
            value: Amount::from_raw(55),
            limit: Amount::from_raw(56),
        }),
    };
    let execution = Execution {
        trade: TradeId(60),
        quantity,
        price: Price::from_raw(61),
        charges: Amount::from_raw(62),
        draws: 63,
    };
    let snapshot = Snapshot {
        currency: CurrencyIdx(0),
        sequence: 70,
        cash_flow: Amount::from_raw(71),
        realised: Amount::from_raw(72),
        unrealised: Amount::from_raw(73),
        charges: Amount::from_raw(74),
        equity: Amount::from_raw(75),
        peak: Amount::from_raw(76),
        max_drawdown: Amount::from_raw(77),
        loss_base: Amount::from_raw(79),
        loss_peak: Amount::from_raw(80),
        gross_exposure: Amount::from_raw(78),
    };
    let mut charged = Amounts::default();
    charged.set(Component::Brokerage, Amount::from_raw(91));
    charged.set(Component::Gst, Amount::from_raw(92));
    let adjustment = ChargesAdjustment {
        currency: CurrencyIdx(0),
        note: NoteName::from("securities").unwrap(),
        date: Date::from_days(93),
        amount: Amount::from_raw(-94),
        charged,
    };
    let settled = Settled {
        strategy: StrategyIdx(1),
        instrument: InstrumentIdx(0),
        product: Product::CarryForward,
        quantity,
        price: Price::from_raw(95),
        basis: SettlementBasis::LastPrice,
        charges: Amount::from_raw(96),
    };
    let step = |change| {
        EventBody::OrderChanged(OrderStep {
            order: order(80),
            sequence: 81,
            change,
        })
    };
    let modified = OrderChange::Modified {
        quantity,
        limit_price: Some(Price::from_raw(82)),
        trigger_price: None,
    };
    let breach = Breach {
        currency: CurrencyIdx(0),
        loss: Amount::from_raw(97),
        limit: Amount::from_raw(98),
    };
    let enter = Action::Enter {
        side: Side::Buy,
        quantity,
    };
    let bar = Bar {
        open_ts: Timestamp(101),
        close_ts: Timestamp(102),
        open: Price::from_raw(103),
        high: Price::from_raw(104),
        low: Price::from_raw(105),
        close: Price::from_raw(106),
        volume: Quantity::from_raw(107),
        open_interest: Quantity::from_raw(108),
        instrument: InstrumentIdx(1),
        timeframe: model::market::Timeframe::MINUTE,
    };
    let mut bodies = vec![
        EventBody::SignalRaw(signal(enter, Trigger::Input)),
        EventBody::SignalRaw(signal(enter, Trigger::Bar(bar))),
        EventBody::SignalRaw(signal(
            Action::Exit {
                quantity: Some(quantity),
            },
            Trigger::Timer {
                id: 97,
                due: Timestamp(98),
            },
        )),
        EventBody::SignalRaw(signal(
            Action::Exit { quantity: None },
            Trigger::Session {
                opens: true,
                due: Timestamp(99),
            },
        )),
        EventBody::SignalDeferred(signal(
            Action::Target { quantity },
            Trigger::Fill {
                side: Side::Sell,
                quantity,
                price: Price::from_raw(100),
            },
        )),
        EventBody::SignalValidated(validated),
        EventBody::SignalRejected(refused),
        EventBody::OrderSubmitted(intent),
        step(OrderChange::Acknowledged),
        step(OrderChange::Triggered),
        step(modified),
        step(OrderChange::CancelRequested(Reason::OcoFilled)),
        step(OrderChange::CancelRefused),
        step(OrderChange::Unknown),
        step(OrderChange::Filled(execution)),
        step(OrderChange::Cancelled(Reason::OcoFilled)),
        step(OrderChange::Rejected(Reason::OcoFilled)),
        step(OrderChange::Expired(Reason::OcoFilled)),
        step(OrderChange::Failed(Reason::OcoFilled)),
        EventBody::StateChanged {
            from: TradingState::Active,
            to: TradingState::Halted,
            reason: Reason::Drawdown,
            automatic: true,
            resets_losses: false,
        },
        EventBody::LimitReached {
            strategy: Some(StrategyIdx(1)),
            reason: Reason::Drawdown,
            breach,
            squares_off: true,
        },
        EventBody::ResumeRefused {
            strategy: None,
            reason: Reason::DailyLoss,
            breach: Some(breach),
        },
        EventBody::StrategySwitched {
            strategy: StrategyIdx(1),
            enabled: false,
            reason: Reason::StrategyPanic,
            resets_losses: false,
        },
        EventBody::SquareOff {
            strategy: StrategyIdx(1),
            instrument: InstrumentIdx(0),
            product: Product::Intraday,
            begins: true,
            reason: Reason::SquareOff,
        },
        EventBody::ModifyRequested {
            order: order(90),
            quantity,
        },
        EventBody::Snapshot(snapshot),
        EventBody::Alert {
            reason: Reason::Overflow,
            order: None,
            strategy: Some(StrategyIdx(1)),
        },
        EventBody::TraderDetached {
            reason: Reason::IllegalReport,
        },
        EventBody::ChargesAdjusted(adjustment),
        EventBody::PositionSettled(settled),
        EventBody::ReportParked(ParkedReport {
            order: order(91),
            strategy: StrategyIdx(1),
            instrument: InstrumentIdx(0),
            trade: model::TradeId(97),
            side: Side::Sell,
            quantity,
            price: Price::from_raw(98),
            doubt: Doubt::Band,
            last: Price::from_raw(99),
            confirmed: true,
        }),
        EventBody::ReportDropped {
            order: order(92),
            trade: model::TradeId(100),
            reason: Reason::ReportContradicted,
        },
        EventBody::SignalHeld {
            signal: signal(Action::Target { quantity }, Trigger::Input),
            open: Timestamp(93),
        },
    ];
    let measured = [
        Measured::Quantity {
            value: Quantity::from_raw(101),
            limit: Quantity::from_raw(102),
        },
        Measured::Price {
            value: Price::from_raw(103),
            limit: Price::from_raw(104),
        },
        Measured::Fraction {
            value: 105,
            limit: 106,
        },
        Measured::Age {
            value: 107,
            limit: 108,
        },
    ];
    bodies.extend(measured.map(|measured| {
        EventBody::SignalRejected(Refused {
            refusal: refusal(measured),
            ..refused
        })
    }));
    let causes = [
        Cause::Input(InputId(1)),
        Cause::Timer(Timestamp(2)),
        Cause::Signal(SignalId(3)),
        Cause::Order(order(4), 5),
        Cause::Command(model::ids::CommandId(6)),
    ];
    let event = |(n, body)| Event {
        ts: Timestamp(7),
        correlation: CorrelationId(8),
        cause: causes[n % causes.len()],
        body,
    };
    bodies.into_iter().enumerate().map(event).collect()
}
