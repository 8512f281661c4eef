//! The canonical encoding of an event.

use model::contract_note::ChargesAdjustment;
use model::control::{Breach, TradingState};
use model::event::{
    Cause, Doubt, Event, EventBody, OrderStep, ParkedReport, Refused, Settled, SettlementBasis,
    Snapshot, Validated,
};
use model::ids::{InputId, OrderId, StrategyIdx};
use model::instrument::InstrumentIdx;
use model::money::{Amount, CurrencyIdx};
use model::note::Note;
use model::order::{Execution, OrderChange, OrderIntent, OrderRole};
use model::reason::Reason;
use model::refusal::{Measured, Refusal};
use model::signal::{
    Action, Bracket, Decision, OrderType, Product, Side, Signal, Trigger, Validity,
};
use model::{Bar, Price, Quantity, Timestamp};

use super::Names;

/// Appends the canonical encoding of one event.
pub fn encode(out: &mut Vec<u8>, namespace: &str, names: &Names<'_>, event: &Event) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut e = Encoder { out, names };
    e.text(namespace);
    e.event(event);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

struct Encoder<'o, 'n> {
    out: &'o mut Vec<u8>,
    names: &'n Names<'n>,
}

impl Encoder<'_, '_> {
    fn u8(&mut self, value: u8) {
        self.out.push(value);
    }
    fn u32(&mut self, value: u32) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }
    fn u64(&mut self, value: u64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }
    fn u128(&mut self, value: u128) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }
    fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.out.extend_from_slice(text.as_bytes());
    }
    fn option<T>(&mut self, value: Option<T>, some: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.u8(0),
            Some(value) => {
                self.u8(1);
                some(self, value);
            }
        }
    }

    fn time(&mut self, ts: Timestamp) {
        self.u64(ts.nanos() as u64);
    }
    fn price(&mut self, price: Price) {
        self.u64(price.raw() as u64);
    }
    fn quantity(&mut self, quantity: Quantity) {
        self.u64(quantity.raw() as u64);
    }
    fn amount(&mut self, amount: Amount) {
        self.u128(amount.raw() as u128);
    }
    fn order_id(&mut self, id: OrderId) {
        self.u128(id.get());
    }
    fn reason(&mut self, reason: Reason) {
        self.text(reason.code());
    }
    fn mark(&mut self, (InputId(input), ordinal): (InputId, u32)) {
        self.u64(input);
        self.u32(ordinal);
    }

    // A name that is not known keeps its index apart from every name by a length no name has.
    fn name(&mut self, name: &str, index: u32) {
        if name.is_empty() {
            self.u32(u32::MAX);
            self.u32(index);
        } else {
            self.text(name);
        }
    }
    fn strategy(&mut self, index: StrategyIdx) {
        self.name(self.names.strategy(index), index.0);
    }
    fn instrument(&mut self, index: InstrumentIdx) {
        self.name(self.names.instrument(index), index.0);
    }
    fn currency(&mut self, index: CurrencyIdx) {
        self.name(self.names.currency(index), u32::from(index.0));
    }

    fn side(&mut self, side: Side) {
        self.u8(match side {
            Side::Buy => 1,
            Side::Sell => 2,
        });
    }
    fn product(&mut self, product: Product) {
        self.u8(match product {
            Product::Intraday => 1,
            Product::Delivery => 2,
            Product::CarryForward => 3,
        });
    }
    fn order_type(&mut self, order_type: OrderType) {
        self.u8(match order_type {
            OrderType::Market => 1,
            OrderType::Limit => 2,
            OrderType::Stop => 3,
            OrderType::StopLimit => 4,
        });
    }
    fn role(&mut self, role: OrderRole) {
        self.u8(match role {
            OrderRole::Entry => 1,
            OrderRole::Exit => 2,
            OrderRole::StopLoss => 3,
            OrderRole::TakeProfit => 4,
            OrderRole::SquareOff => 5,
            OrderRole::Settlement => 6,
        });
    }
    fn state(&mut self, state: TradingState) {
        self.u8(match state {
            TradingState::Active => 1,
            TradingState::ReduceOnly => 2,
            TradingState::Halted => 3,
        });
    }
    fn validity(&mut self, validity: Validity) {
        match validity {
            Validity::Day => self.u8(1),
            Validity::Ioc => self.u8(2),
            Validity::Fok => self.u8(3),
            Validity::Gtd(until) => {
                self.u8(4);
                self.time(until);
            }
        }
    }
    fn bracket(&mut self, bracket: Bracket) {
        let Bracket {
            stop_loss,
            take_profit,
        } = bracket;
        self.option(stop_loss, Self::price);
        self.option(take_profit, Self::price);
    }

    fn event(&mut self, event: &Event) {
        let Event {
            ts,
            correlation,
            cause,
            body,
        } = event;
        self.time(*ts);
        self.u128(correlation.0);
        self.cause(*cause);
        self.body(body);
    }

    fn cause(&mut self, cause: Cause) {
        match cause {
            Cause::Input(InputId(input)) => {
                self.u8(1);
                self.u64(input);
            }
            Cause::Timer(due) => {
                self.u8(2);
                self.time(due);
            }
            Cause::Signal(id) => {
                self.u8(3);
                self.u128(id.0);
            }
            Cause::Order(id, sequence) => {
                self.u8(4);
                self.order_id(id);
                self.u32(sequence);
            }
            Cause::Command(id) => {
                self.u8(5);
                self.u128(id.0);
            }
        }
    }

    fn body(&mut self, body: &EventBody) {
        match body {
            EventBody::SignalRaw(signal) => {
                self.u8(1);
                self.signal(signal);
            }
            EventBody::SignalValidated(validated) => {
                self.u8(2);
                self.validated(validated);
            }
            EventBody::SignalRejected(refused) => {
                self.u8(3);
                self.refused(refused);
            }
            EventBody::SignalDeferred(signal) => {
                self.u8(4);
                self.signal(signal);
            }
            EventBody::OrderSubmitted(intent) => {
                self.u8(5);
                self.intent(intent);
            }
            EventBody::OrderChanged(OrderStep {
                order,
                sequence,
                change,
            }) => {
                self.u8(6);
                self.order_id(*order);
                self.u32(*sequence);
                self.change(*change);
            }
            EventBody::StateChanged {
                from,
                to,
                reason,
                automatic,
                resets_losses,
            } => {
                self.u8(7);
                self.state(*from);
                self.state(*to);
                self.reason(*reason);
                self.u8(u8::from(*automatic));
                self.u8(u8::from(*resets_losses));
            }
            EventBody::StrategySwitched {
                strategy,
                enabled,
                reason,
                resets_losses,
            } => {
                self.u8(8);
                self.strategy(*strategy);
                self.u8(u8::from(*enabled));
                self.reason(*reason);
                self.u8(u8::from(*resets_losses));
            }
            EventBody::LimitReached {
                strategy,
                reason,
                breach,
                squares_off,
            } => {
                self.u8(17);
                self.option(*strategy, Self::strategy);
                self.reason(*reason);
                self.breach(*breach);
                self.u8(u8::from(*squares_off));
            }
            EventBody::ResumeRefused {
                strategy,
                reason,
                breach,
            } => {
                self.u8(18);
                self.option(*strategy, Self::strategy);
                self.reason(*reason);
                self.option(*breach, Self::breach);
            }
            EventBody::ModifyRequested { order, quantity } => {
                self.u8(9);
                self.order_id(*order);
                self.quantity(*quantity);
            }
            EventBody::Snapshot(snapshot) => {
                self.u8(10);
                self.snapshot(snapshot);
            }
            EventBody::Alert {
                reason,
                order,
                strategy,
            } => {
                self.u8(11);
                self.reason(*reason);
                self.option(*order, Self::order_id);
                self.option(*strategy, Self::strategy);
            }
            EventBody::SquareOff {
                strategy,
                instrument,
                product,
                begins,
                reason,
            } => {
                self.u8(12);
                self.strategy(*strategy);
                self.instrument(*instrument);
                self.product(*product);
                self.u8(u8::from(*begins));
                self.reason(*reason);
            }
            EventBody::TraderDetached { reason } => {
                self.u8(13);
                self.reason(*reason);
            }
            EventBody::EntriesBlocked { reason, blocked } => {
                self.u8(14);
                self.reason(*reason);
                self.u8(u8::from(*blocked));
            }
            EventBody::ChargesAdjusted(adjustment) => {
                self.u8(15);
                self.adjustment(adjustment);
            }
            EventBody::PositionSettled(settled) => {
                self.u8(16);
                self.settled(settled);
            }
            EventBody::ReportParked(parked) => {
                self.u8(19);
                self.parked(parked);
            }
            EventBody::ReportDropped {
                order,
                trade,
                reason,
            } => {
                self.u8(20);
                self.order_id(*order);
                self.u128(trade.0);
                self.reason(*reason);
            }
            EventBody::SignalHeld { signal, open } => {
                self.u8(21);
                self.signal(signal);
                self.time(*open);
            }
        }
    }

    fn signal(&mut self, signal: &Signal) {
        let Signal {
            id,
            correlation,
            strategy,
            input,
            ordinal,
            ts,
            trigger,
            decision,
        } = signal;
        self.u128(id.0);
        self.u128(correlation.0);
        self.strategy(*strategy);
        self.mark((*input, *ordinal));
        self.time(*ts);
        self.trigger(trigger);
        self.decision(decision);
    }

    fn trigger(&mut self, trigger: &Trigger) {
        match trigger {
            Trigger::Input => self.u8(1),
            Trigger::Bar(bar) => {
                self.u8(2);
                self.bar(bar);
            }
            Trigger::Timer { id, due } => {
                self.u8(3);
                self.u32(*id);
                self.time(*due);
            }
            Trigger::Session { opens, due } => {
                self.u8(4);
                self.u8(u8::from(*opens));
                self.time(*due);
            }
            Trigger::Fill {
                side,
                quantity,
                price,
            } => {
                self.u8(5);
                self.side(*side);
                self.quantity(*quantity);
                self.price(*price);
            }
        }
    }

    fn bar(&mut self, bar: &Bar) {
        let Bar {
            open_ts,
            close_ts,
            open,
            high,
            low,
            close,
            volume,
            open_interest,
            instrument,
            timeframe,
        } = bar;
        self.time(*open_ts);
        self.time(*close_ts);
        for price in [open, high, low, close] {
            self.price(*price);
        }
        self.quantity(*volume);
        self.quantity(*open_interest);
        self.instrument(*instrument);
        self.u64(timeframe.nanos() as u64);
    }

    fn note(&mut self, note: &Note) {
        self.u32(note.figures().count() as u32);
        for (name, value) in note.figures() {
            self.text(name);
            // A note holds one form of not-a-number.
            self.u64(value.to_bits());
        }
    }

    fn decision(&mut self, decision: &Decision) {
        let Decision {
            instrument,
            action,
            order_type,
            limit_price,
            trigger_price,
            validity,
            product,
            bracket,
            confidence,
            reason,
            note,
        } = decision;
        self.instrument(*instrument);
        match *action {
            Action::Enter { side, quantity } => {
                self.u8(1);
                self.side(side);
                self.quantity(quantity);
            }
            Action::Exit { quantity } => {
                self.u8(2);
                self.option(quantity, Self::quantity);
            }
            Action::Target { quantity } => {
                self.u8(3);
                self.quantity(quantity);
            }
        }
        self.order_type(*order_type);
        self.option(*limit_price, Self::price);
        self.option(*trigger_price, Self::price);
        self.validity(*validity);
        self.product(*product);
        self.bracket(*bracket);
        // Not-a-number has many bit patterns, and which one arises depends on the processor.
        let bits = |c: f32| {
            if c.is_nan() {
                f32::NAN.to_bits() & 0x7fff_ffff
            } else {
                c.to_bits()
            }
        };
        self.option(confidence.map(bits), Self::u32);
        self.text(reason);
        self.note(note);
    }

    fn validated(&mut self, validated: &Validated) {
        let Validated {
            signal,
            strategy,
            mark,
            instrument,
            product,
            side,
            quantity,
            increase,
            target,
            entry_refused,
            decision,
        } = validated;
        self.u128(signal.0);
        self.strategy(*strategy);
        self.mark(*mark);
        self.instrument(*instrument);
        self.product(*product);
        self.side(*side);
        self.quantity(*quantity);
        self.quantity(*increase);
        self.option(*target, Self::quantity);
        self.option(*entry_refused, Self::refusal);
        self.decision(decision);
    }

    fn refused(&mut self, refused: &Refused) {
        let Refused {
            signal,
            strategy,
            mark,
            instrument,
            product,
            target,
            order,
            refusal,
        } = refused;
        self.u128(signal.0);
        self.strategy(*strategy);
        self.mark(*mark);
        self.instrument(*instrument);
        self.product(*product);
        self.option(*target, Self::quantity);
        self.option(*order, |h, (side, quantity)| {
            h.side(side);
            h.quantity(quantity);
        });
        self.refusal(*refusal);
    }

    fn refusal(&mut self, refusal: Refusal) {
        let Refusal { reason, measured } = refusal;
        self.reason(reason);
        self.option(measured, Self::measured);
    }

    fn measured(&mut self, measured: Measured) {
        match measured {
            Measured::Orders { value, limit } => {
                self.u8(0);
                self.u32(value);
                self.u32(limit);
            }
            Measured::Quantity { value, limit } => {
                self.u8(1);
                self.quantity(value);
                self.quantity(limit);
            }
            Measured::Money {
                currency,
                value,
                limit,
            } => {
                self.u8(2);
                self.currency(currency);
                self.amount(value);
                self.amount(limit);
            }
            Measured::Price { value, limit } => {
                self.u8(3);
                self.price(value);
                self.price(limit);
            }
            Measured::Fraction { value, limit } => {
                self.u8(4);
                self.u64(value as u64);
                self.u64(limit as u64);
            }
            Measured::Age { value, limit } => {
                self.u8(5);
                self.u64(value as u64);
                self.u64(limit as u64);
            }
        }
    }

    fn intent(&mut self, intent: &OrderIntent) {
        let OrderIntent {
            id,
            correlation,
            signal,
            strategy,
            instrument,
            role,
            side,
            quantity,
            increase,
            order_type,
            limit_price,
            trigger_price,
            validity,
            product,
            bracket,
            oco,
            parent,
            submitted,
            send_by,
        } = intent;
        self.order_id(*id);
        self.u128(correlation.0);
        self.option(*signal, |e, id| e.u128(id.0));
        self.strategy(*strategy);
        self.instrument(*instrument);
        self.role(*role);
        self.side(*side);
        self.quantity(*quantity);
        self.quantity(*increase);
        self.order_type(*order_type);
        self.option(*limit_price, Self::price);
        self.option(*trigger_price, Self::price);
        self.validity(*validity);
        self.product(*product);
        self.bracket(*bracket);
        self.option(*oco, Self::order_id);
        self.option(*parent, Self::order_id);
        self.time(*submitted);
        self.time(*send_by);
    }

    fn change(&mut self, change: OrderChange) {
        match change {
            OrderChange::Acknowledged => self.u8(1),
            OrderChange::Triggered => self.u8(2),
            OrderChange::Modified {
                quantity,
                limit_price,
                trigger_price,
            } => {
                self.u8(3);
                self.quantity(quantity);
                self.option(limit_price, Self::price);
                self.option(trigger_price, Self::price);
            }
            OrderChange::CancelRequested(reason) => self.ended(4, reason),
            OrderChange::CancelRefused => self.u8(5),
            OrderChange::Unknown => self.u8(6),
            OrderChange::Filled(execution) => {
                let Execution {
                    trade,
                    quantity,
                    price,
                    charges,
                    draws,
                } = execution;
                self.u8(7);
                self.u128(trade.0);
                self.quantity(quantity);
                self.price(price);
                self.amount(charges);
                self.u32(draws);
            }
            OrderChange::Cancelled(reason) => self.ended(8, reason),
            OrderChange::Rejected(reason) => self.ended(9, reason),
            OrderChange::Expired(reason) => self.ended(10, reason),
            OrderChange::Failed(reason) => self.ended(11, reason),
            OrderChange::ModifyRefused => self.u8(12),
        }
    }

    fn ended(&mut self, tag: u8, reason: Reason) {
        self.u8(tag);
        self.reason(reason);
    }

    fn adjustment(&mut self, adjustment: &ChargesAdjustment) {
        let ChargesAdjustment {
            currency,
            note,
            date,
            amount,
            charged,
        } = adjustment;
        self.currency(*currency);
        self.text(note);
        self.u32(date.days() as u32);
        self.amount(*amount);
        self.u32(charged.iter().count() as u32);
        for (component, amount) in charged.iter() {
            self.text(component.name());
            self.amount(amount);
        }
    }

    fn breach(&mut self, breach: Breach) {
        let Breach {
            currency,
            loss,
            limit,
        } = breach;
        self.currency(currency);
        self.amount(loss);
        self.amount(limit);
    }

    fn settled(&mut self, settled: &Settled) {
        let Settled {
            strategy,
            instrument,
            product,
            quantity,
            price,
            basis,
            charges,
        } = settled;
        self.strategy(*strategy);
        self.instrument(*instrument);
        self.product(*product);
        self.quantity(*quantity);
        self.price(*price);
        self.u8(match basis {
            SettlementBasis::LastPrice => 1,
            SettlementBasis::Underlying => 2,
        });
        self.amount(*charges);
    }

    fn parked(&mut self, parked: &ParkedReport) {
        let ParkedReport {
            order,
            strategy,
            instrument,
            trade,
            side,
            quantity,
            price,
            doubt,
            last,
            confirmed,
        } = parked;
        self.order_id(*order);
        self.strategy(*strategy);
        self.instrument(*instrument);
        self.u128(trade.0);
        self.side(*side);
        self.quantity(*quantity);
        self.price(*price);
        self.u8(match doubt {
            Doubt::Side => 1,
            Doubt::Quantity => 2,
            Doubt::Lot => 3,
            Doubt::Limit => 4,
            Doubt::Band => 5,
            Doubt::Tick => 6,
        });
        self.price(*last);
        self.u8(u8::from(*confirmed));
    }

    fn snapshot(&mut self, snapshot: &Snapshot) {
        let Snapshot {
            currency,
            sequence,
            cash_flow,
            realised,
            unrealised,
            charges,
            equity,
            peak,
            max_drawdown,
            loss_base,
            loss_peak,
            gross_exposure,
        } = snapshot;
        self.currency(*currency);
        self.u64(*sequence);
        for amount in [
            cash_flow,
            realised,
            unrealised,
            charges,
            equity,
            peak,
            max_drawdown,
            loss_base,
            loss_peak,
            gross_exposure,
        ] {
            self.amount(*amount);
        }
    }
}
