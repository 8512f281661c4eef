//! An auditor that sees only events: replays every order on the state machine, follows every chain of
//! correlation, and keeps books of its own in arbitrary precision.

use std::collections::{BTreeMap, BTreeSet};

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::{BigInt, Sign};
use model::contract_note::NoteName;
use model::event::{Event, EventBody};
use model::order::{Execution, Order, OrderChange, OrderIntent};
use model::{
    Amount, CorrelationId, CurrencyIdx, Date, InstrumentIdx, Instruments, OrderId, Price, Quantity,
    SignalId,
};
use pipeline::BrokerPipeline;
use pipeline::portfolio::PositionKey;

use crate::world::instruments;

/// One position, in units of 10⁻⁸ (quantity) and 10⁻¹⁸ (money).
#[derive(Default)]
struct Held {
    quantity: BigInt,
    cost: BigInt,
    realised: BigInt,
    cash_flow: BigInt,
    charges: BigInt,
}

pub struct Audit {
    instruments: std::sync::Arc<Instruments>,
    cash: BigInt,
    pub orders: BTreeMap<OrderId, Order>,
    signals: BTreeMap<SignalId, CorrelationId>,
    held: BTreeMap<PositionKey, Held>,
    last: BTreeMap<InstrumentIdx, BigInt>,
    /// What days' closes have booked.
    adjusted: BTreeMap<CurrencyIdx, BigInt>,
    /// The notes of which a close has told.
    told: BTreeSet<(Date, CurrencyIdx, NoteName)>,
    pub fills: usize,
    pub closes: usize,
}

/// Half away from zero.
fn rounded(dividend: &BigInt, divisor: &BigInt) -> BigInt {
    let magnitude =
        (dividend.magnitude() * 2u32 + divisor.magnitude()) / (divisor.magnitude() * 2u32);
    let negative = (dividend.sign() == Sign::Minus) != (divisor.sign() == Sign::Minus);
    BigInt::from_biguint(if negative { Sign::Minus } else { Sign::Plus }, magnitude)
}

fn money(amount: Amount) -> BigInt {
    BigInt::from(amount.raw())
}

impl Audit {
    pub fn new(cash: Amount) -> Self {
        Self {
            instruments: instruments(),
            cash: money(cash),
            orders: BTreeMap::new(),
            signals: BTreeMap::new(),
            held: BTreeMap::new(),
            last: BTreeMap::new(),
            adjusted: BTreeMap::new(),
            told: BTreeSet::new(),
            fills: 0,
            closes: 0,
        }
    }

    /// A price has been seen.
    pub fn mark(&mut self, instrument: InstrumentIdx, price: Price) {
        self.last.insert(instrument, BigInt::from(price.raw()));
    }

    pub fn take(&mut self, event: &Event) {
        let chain = event.correlation;
        assert_ne!(chain, CorrelationId::default(), "{event:?}: no chain");
        let known = |signals: &BTreeMap<_, _>, id: &SignalId| {
            // A target that is followed at a resume has no raw signal of its own.
            assert!(
                signals.get(id).is_none_or(|c| *c == chain),
                "{event:?}: another chain"
            );
        };
        match &event.body {
            EventBody::SignalRaw(signal) => {
                assert_eq!(signal.correlation, chain);
                let before = self.signals.insert(signal.id, chain);
                assert!(before.is_none(), "{event:?}: a signal's id came twice");
            }
            EventBody::SignalDeferred(signal) | EventBody::SignalHeld { signal, .. } => {
                known(&self.signals, &signal.id);
            }
            EventBody::SignalValidated(v) => known(&self.signals, &v.signal),
            EventBody::SignalRejected(r) => known(&self.signals, &r.signal),
            EventBody::OrderSubmitted(intent) => self.submitted(intent, chain),
            EventBody::OrderChanged(step) => {
                let order = self.orders.get_mut(&step.order);
                let order = order.unwrap_or_else(|| panic!("{event:?}: no such order"));
                assert_eq!(step.sequence, order.sequence() + 1, "{event:?}");
                assert_eq!(
                    order.intent().correlation,
                    chain,
                    "{event:?}: the chain is broken"
                );
                if let Err(error) = order.advance(&step.change) {
                    panic!("{event:?}: {error}");
                }
                let intent = *order.intent();
                if let OrderChange::Filled(execution) = step.change {
                    self.book(&intent, &execution);
                }
            }
            EventBody::ModifyRequested { order, .. } => {
                assert!(
                    !self.orders[order].status().is_terminal(),
                    "{event:?}: it has ended"
                );
                assert_eq!(self.orders[order].intent().correlation, chain);
            }
            EventBody::PositionSettled(s) => {
                let key = PositionKey {
                    strategy: s.strategy,
                    instrument: s.instrument,
                    product: s.product,
                };
                let whole = BigInt::from(s.quantity.raw());
                assert_eq!(
                    self.held[&key].quantity, whole,
                    "{event:?}: it closes what is open"
                );
                let signed = Quantity::from_raw(-s.quantity.raw());
                self.trade(key, signed, s.price, s.charges);
            }
            EventBody::ChargesAdjusted(adjustment) => {
                // A close that books nothing tells the day's components, once.
                let note = (adjustment.date, adjustment.currency, adjustment.note);
                assert!(
                    self.told.insert(note) || !adjustment.amount.is_zero(),
                    "{event:?}: it says nothing"
                );
                self.closes += 1;
                *self.adjusted.entry(adjustment.currency).or_default() += money(adjustment.amount);
            }
            _ => {}
        }
    }

    fn submitted(&mut self, intent: &OrderIntent, chain: CorrelationId) {
        assert_eq!(intent.correlation, chain);
        assert!(intent.quantity.in_window().is_ok(), "{intent:?}");
        assert!(intent.increase <= intent.quantity, "{intent:?}");
        if let Some(signal) = &intent.signal {
            assert!(
                self.signals.get(signal).is_none_or(|c| *c == chain),
                "{intent:?}"
            );
        }
        if let Some(parent) = &intent.parent {
            let parent = self.orders[parent].intent();
            assert_eq!(
                parent.correlation, chain,
                "a leg belongs to its entry's chain"
            );
            assert_eq!(parent.side.opposite(), intent.side);
        }
        let before = self.orders.insert(intent.id, Order::new(*intent));
        assert!(before.is_none(), "{intent:?}: an order's id came twice");
    }

    fn book(&mut self, intent: &OrderIntent, execution: &Execution) {
        self.fills += 1;
        let signed = intent.side.signed(execution.quantity);
        let price = execution.price;
        self.trade(PositionKey::of(intent), signed, price, execution.charges);
    }

    fn trade(&mut self, key: PositionKey, signed: Quantity, price: Price, charges: Amount) {
        let price = BigInt::from(price.raw());
        let multiplier = self.instruments.get(key.instrument).multiplier.hundredths();
        let last = self.last.entry(key.instrument);
        last.or_insert_with(|| price.clone());
        let signed = BigInt::from(signed.raw());
        let notional = |quantity: &BigInt| &price * quantity * multiplier;
        let held = self.held.entry(key).or_default();
        held.cash_flow -= notional(&signed);
        held.charges += money(charges);
        let reduces = held.quantity.sign() != signed.sign() && held.quantity.sign() != Sign::NoSign;
        let closed = if reduces {
            held.quantity.magnitude().min(signed.magnitude()).clone()
        } else {
            Default::default()
        };
        let closed = BigInt::from_biguint(signed.sign(), closed);
        if reduces {
            // Closing takes its share of the cost; the proceeds less that share are realised.
            let whole = BigInt::from(held.quantity.magnitude().clone());
            let part = BigInt::from(closed.magnitude().clone());
            let share = rounded(&(&held.cost * part), &whole);
            held.realised -= notional(&closed) + &share;
            held.cost -= share;
        }
        held.cost += notional(&(&signed - &closed));
        held.quantity += signed;
    }

    /// The pipeline's orders, positions and money are those that its events tell of.
    pub fn check(&self, pipeline: &BrokerPipeline) {
        let live: Vec<_> = self
            .orders
            .values()
            .filter(|o| !o.status().is_terminal())
            .map(|o| o.intent().id)
            .collect();
        assert_eq!(pipeline.engine().working_ids(), live);
        let portfolio = pipeline.portfolio();
        assert!(!portfolio.overflowed() && !pipeline.engine().overflowed());
        assert_eq!(portfolio.positions().len(), self.held.len());
        for position in portfolio.positions() {
            let held = &self.held[&position.key];
            assert_eq!(
                BigInt::from(position.quantity.raw()),
                held.quantity,
                "{position:?}"
            );
            assert_eq!(money(position.cost), held.cost, "{position:?}");
            assert_eq!(money(position.realised), held.realised, "{position:?}");
            assert_eq!(money(position.cash_flow), held.cash_flow, "{position:?}");
            assert_eq!(money(position.charges), held.charges, "{position:?}");
        }
        for currency in 0..self.instruments.currencies().len() as u16 {
            self.check_account(pipeline, CurrencyIdx(currency));
        }
    }

    fn check_account(&self, pipeline: &BrokerPipeline, currency: CurrencyIdx) {
        let account = pipeline.portfolio().account(currency);
        let of_currency = || {
            self.held
                .iter()
                .filter(|(key, _)| self.instruments.currency(key.instrument) == currency)
        };
        let sum = |of: fn(&Held) -> &BigInt| of_currency().map(|(_, h)| of(h)).sum::<BigInt>();
        let (flow, mut charges) = (sum(|h| &h.cash_flow), sum(|h| &h.charges));
        // A note is of all that was traded: its adjustment belongs to the account alone.
        charges += self.adjusted.get(&currency).unwrap_or(&BigInt::ZERO);
        let (realised, cost) = (sum(|h| &h.realised), sum(|h| &h.cost));
        let value: BigInt = of_currency()
            .map(|(key, held)| {
                let multiplier = self.instruments.get(key.instrument).multiplier.hundredths();
                &held.quantity * &self.last[&key.instrument] * multiplier
            })
            .sum();
        assert_eq!(money(account.cash_flow), flow);
        assert_eq!(money(account.charges), charges);
        assert_eq!(money(account.realised), realised);
        let equity = &self.cash + &flow + &value - &charges;
        assert_eq!(
            money(account.equity()),
            equity,
            "{}",
            BigDecimal::new(equity.clone(), 18)
        );
        // Realised and unrealised profit tell the same story as cash and positions.
        let unrealised = value - cost;
        let snapshot = pipeline.portfolio().snapshot(currency).unwrap();
        assert_eq!(money(snapshot.unrealised), unrealised);
        assert_eq!(
            (snapshot.equity, snapshot.charges),
            (account.equity(), account.charges)
        );
        assert_eq!(realised + unrealised - charges, equity - &self.cash);
        assert!(account.peak >= account.equity() && account.max_drawdown >= Amount::ZERO);
    }
}
