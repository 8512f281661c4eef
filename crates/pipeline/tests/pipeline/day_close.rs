//! The close of a day: what the contract notes say beyond what the executions have booked.

use std::sync::Arc;

use markets::charges::{Conditions, MarketCharges, Profile};
use markets::{ChargeTable, Rules};
use model::charges::{ChargeInput, Charges, FlatRate};
use model::contract_note::{
    Amounts, ChargesAdjustment, Component, DayOrder, Deed, LEDGER, Note, NoteName,
};
use model::event::EventBody;
use model::signal::Side::{Buy, Sell};
use model::signal::{Decision, Product, Side};
use model::{Amount, CurrencyIdx, Date, InstrumentIdx, NumberError, OrderId, Quantity};
use pipeline::broker::BrokerPipeline;

use crate::desk::{Desk, Plan, enter};
use crate::world::{AXIS, BEL, COIN, Chance, GOLD, NEXT_DAY, SESSION, amount, at};

/// Charges of a third of a thousandth, rounded at the close as a note is, and less for what was bought
/// and sold on one day.
pub struct Rounded(FlatRate);

impl Rounded {
    pub fn new() -> Self {
        Self(FlatRate::from_raw(33_333).unwrap())
    }
}

fn cents(amount: Amount) -> Amount {
    let unit = 10_000_000_000_000_000;
    Amount::from_raw((amount.raw() + unit / 2).div_euclid(unit) * unit)
}

impl Charges for Rounded {
    fn of(&self, input: &ChargeInput<'_>) -> Result<Amount, NumberError> {
        self.0.of(input)
    }
    fn name(&self) -> &str {
        "rounded"
    }
    fn closes_days(&self) -> bool {
        true
    }
    fn close(&self, _: Date, orders: &[DayOrder<'_>]) -> Result<Vec<Note>, NumberError> {
        let mut notes: Vec<Note> = Vec::new();
        for order in orders {
            let instrument = order.instrument;
            let at = notes.iter().position(|n| *n.name == *instrument.exchange);
            let at = at.unwrap_or_else(|| {
                notes.push(Note {
                    name: NoteName::from(&instrument.exchange).unwrap(),
                    currency: instrument.currency,
                    charged: Amounts::default(),
                    booked: Amount::ZERO,
                });
                notes.len() - 1
            });
            let note = &mut notes[at];
            let component = match order.deed {
                Deed::Buy => Component::Brokerage,
                _ => Component::Stt,
            };
            let sum = note.charged.get(component).checked_add(order.notional)?;
            note.charged.set(component, sum);
            note.booked = note.booked.checked_add(order.booked)?;
        }
        for note in &mut notes {
            let (bought, sold) = (
                note.charged.get(Component::Brokerage),
                note.charged.get(Component::Stt),
            );
            let kept = bought.max(sold).fraction(33_333)?;
            let matched = bought.min(sold).fraction(11_111)?;
            note.charged.set(Component::Brokerage, cents(kept));
            note.charged.set(Component::Stt, cents(matched));
        }
        Ok(notes)
    }
}

fn adjustments(desk: &Desk) -> Vec<ChargesAdjustment> {
    let of = desk.events.iter().filter_map(|e| match e.body {
        EventBody::ChargesAdjusted(adjustment) => Some(adjustment),
        _ => None,
    });
    of.collect()
}

fn charges(pipeline: &BrokerPipeline, currency: u16) -> Amount {
    pipeline.portfolio().account(CurrencyIdx(currency)).charges
}

fn contract_note() -> MarketCharges {
    let (table, rules) = (ChargeTable::embedded().unwrap(), Rules::embedded().unwrap());
    MarketCharges::new(table, rules, Profile::ContractNote, Conditions::default())
}

#[test]
fn a_close_tells_the_components_also_where_it_has_nothing_to_book() {
    let (table, rules) = (ChargeTable::embedded().unwrap(), Rules::embedded().unwrap());
    let estimate = MarketCharges::new(table, rules, Profile::Estimate, Conditions::default());
    let plan = Plan {
        charges: Arc::new(estimate),
        ..Plan::outside()
    };
    let mut desk = Desk::new(&plan);
    desk.tick(AXIS, "1000");
    desk.signal(1, enter(AXIS, Buy, 10));
    let id = desk.orders()[0].id;
    desk.fill(id, 10, "1000");
    desk.clock(SESSION + 1);
    let [told] = adjustments(&desk)[..] else {
        panic!("one close of one note");
    };
    assert!(told.amount.is_zero());
    assert_eq!(told.charged.total().unwrap(), charges(&desk.pipeline, 0));
    // Once: the books have not changed.
    desk.clock(NEXT_DAY + SESSION + 1);
    assert_eq!(adjustments(&desk).len(), 1);
    desk.check();
}

/// Strategy, instrument, product, side, quantity.
const ORDERS: [(u32, InstrumentIdx, Product, Side, i64); 7] = [
    (1, AXIS, Product::Delivery, Buy, 400),
    (2, AXIS, Product::Delivery, Buy, 300),
    (3, AXIS, Product::Delivery, Sell, 350),
    (1, AXIS, Product::Intraday, Sell, 200),
    (2, BEL, Product::Intraday, Buy, 100),
    (1, BEL, Product::Delivery, Buy, 91),
    (2, BEL, Product::Delivery, Sell, 90),
];

/// A part of an order: which, how much, at what price.
type Part = (usize, i64, String);

fn parts(chance: &mut Chance) -> Vec<Part> {
    let mut parts = Vec::new();
    for (order, (.., whole)) in ORDERS.into_iter().enumerate() {
        let mut left = whole;
        while left > 0 {
            let part = chance.within(1, left);
            let cents = chance.within(9_000, 310_000);
            parts.push((order, part, format!("{}.{:02}", cents / 100, cents % 100)));
            left -= part;
        }
    }
    parts
}

fn shuffled(mut parts: Vec<Part>, chance: &mut Chance) -> Vec<Part> {
    for at in (1..parts.len()).rev() {
        parts.swap(at, chance.below(at as u64 + 1) as usize);
    }
    parts
}

/// A day of these executions, the last `late` of which the broker reports after the close.
fn day_of(parts: &[Part], late: usize) -> Desk {
    let plan = Plan {
        charges: Arc::new(contract_note()),
        cash: amount("100000000"),
        ..Plan::outside()
    };
    let mut desk = Desk::new(&plan);
    desk.tick(AXIS, "1000");
    desk.tick(BEL, "200");
    let ids: Vec<OrderId> = ORDERS
        .into_iter()
        .map(|(strategy, instrument, product, side, count)| {
            let decision = enter(instrument, side, count);
            desk.signal(
                strategy,
                Decision {
                    product,
                    ..decision
                },
            );
            desk.orders()[0].id
        })
        .collect();
    let (intime, later) = parts.split_at(parts.len() - late);
    for (order, count, price) in intime {
        desk.fill(ids[*order], *count, price);
    }
    desk.clock(SESSION);
    assert!(adjustments(&desk).is_empty(), "before the close is over");
    desk.reborn(&plan);
    desk.clock(SESSION + 1);
    assert!(!adjustments(&desk).is_empty());
    desk.reborn(&plan);
    for (order, count, price) in later {
        desk.fill(ids[*order], *count, price);
        desk.reborn(&plan);
    }
    desk.clock(NEXT_DAY);
    desk.check();
    desk
}

/// What the contract note says of the orders, all at once.
fn of_day(parts: &[Part], date: Date) -> Note {
    let registry = crate::world::instruments();
    let orders: Vec<DayOrder<'_>> = ORDERS
        .into_iter()
        .enumerate()
        .map(|(order, (_, instrument, product, side, _))| {
            let mine = parts.iter().filter(|part| part.0 == order);
            let (mut notional, mut quantity) = (Amount::ZERO, 0);
            for (_, count, price) in mine {
                let units = Quantity::from_int(*count).unwrap();
                let value =
                    Amount::notional(price.parse().unwrap(), units, model::money::Multiplier::ONE);
                notional = notional.checked_add(value.unwrap()).unwrap();
                quantity += count;
            }
            DayOrder {
                instrument: registry.get(instrument),
                product,
                deed: side.into(),
                quantity: Quantity::from_int(quantity).unwrap(),
                notional,
                booked: Amount::ZERO,
                is_left_open: false,
            }
        })
        .collect();
    contract_note().of_day(date, &orders).unwrap()[0]
}

#[test]
fn a_closed_day_costs_the_same_whatever_the_order_of_its_fills() {
    for seed in 0..12 {
        let mut chance = Chance(seed);
        let parts = parts(&mut chance);
        let first = day_of(&parts, 0);
        let other = day_of(&shuffled(parts.clone(), &mut chance), 0);
        let late = chance.within(1, 4) as usize;
        let late = day_of(&shuffled(parts.clone(), &mut chance), late);
        let rupees = charges(&first.pipeline, 0);
        let made = adjustments(&first);
        let note = of_day(&parts, made[0].date);
        for desk in [&first, &other, &late] {
            assert_eq!(charges(&desk.pipeline, 0), rupees, "seed {seed}");
            // The last word of each day is its note, whatever came before it; and no share has left the
            // account, but the broker squares off the two intraday positions: 50 and 18 % of it each.
            let told = adjustments(desk);
            let last = |ledger| {
                let mut told = told.iter().rev();
                told.find(|a| (&*a.note == LEDGER) == ledger)
                    .unwrap()
                    .charged
            };
            assert_eq!(last(false), note.charged);
            let fees: Vec<_> = last(true).iter().map(|(c, a)| (c, a.to_string())).collect();
            let want = [(Component::CallAndTrade, "100"), (Component::FeesGst, "18")];
            assert_eq!(fees, want.map(|(c, a)| (c, a.to_owned())), "seed {seed}");
            assert!(told.iter().all(|a| a.date == made[0].date));
        }
        assert_eq!((adjustments(&other).len(), made.len()), (2, 2));
        let paid = note.charged.total().unwrap().checked_add(amount("118"));
        assert_eq!(rupees, paid.unwrap(), "seed {seed}");
        for (component, charged) in note.charged.iter() {
            let unit = match component {
                Component::Stt | Component::StampDuty => amount("1"),
                _ => amount("0.01"),
            };
            assert_eq!(charged.raw() % unit.raw(), 0, "{component}: rounded");
        }
    }
}

#[test]
fn a_close_moves_cash_and_equity_and_counts_for_its_own_day() {
    let plan = Plan {
        charges: Arc::new(Rounded::new()),
        ..Plan::default()
    };
    let mut desk = Desk::new(&plan);
    desk.tick(GOLD, "500");
    desk.signal(1, enter(GOLD, Buy, 4));
    desk.tick(GOLD, "500");
    // One nanosecond after the close, where a backtest ends too.
    assert!(desk.pipeline.next_due() < at(SESSION));
    desk.clock(SESSION);
    let before = desk.pipeline.portfolio().account(CurrencyIdx(0)).equity();
    assert_eq!(desk.pipeline.next_due(), at(SESSION).plus(1));
    desk.clock(SESSION + 1);
    let [made] = adjustments(&desk).try_into().unwrap();
    // 500 × 4 × 2.5 is 5,000, of which 0.033333 % is 1.66665.
    assert_eq!((made.amount, &*made.note), (amount("0.00335"), "MCX"));
    assert_eq!(charges(&desk.pipeline, 0), amount("1.67"));
    let account = *desk.pipeline.portfolio().account(CurrencyIdx(0));
    assert_eq!(account.equity(), before.checked_sub(made.amount).unwrap());
    let last = desk.events.iter().rev().find_map(|e| match e.body {
        EventBody::Snapshot(s) if s.currency == CurrencyIdx(0) => Some(s),
        _ => None,
    });
    assert_eq!(last.unwrap().charges, amount("1.67"));
    // The market that never closes has its close at the day's last instant, and the loss of the
    // next day counts from after it.
    desk.tick(COIN, "10");
    desk.signal(2, enter(COIN, Buy, 3));
    desk.tick(COIN, "10");
    desk.clock(NEXT_DAY);
    let made = adjustments(&desk);
    assert_eq!(made.len(), 2, "{}", desk.story());
    assert_eq!(&*made[1].note, "US");
    assert_eq!(made[1].date, made[0].date);
    let dollars = desk.pipeline.portfolio().account(CurrencyIdx(1));
    assert_eq!(dollars.loss_base, dollars.equity());
    // A day without executions has no close.
    desk.clock(2 * NEXT_DAY);
    assert_eq!(adjustments(&desk).len(), 2);
    desk.check();
}

/// Notes that cannot be told.
/// Tells no day's notes, or this one.
struct Broken(Option<Note>);

impl Charges for Broken {
    fn of(&self, _: &ChargeInput<'_>) -> Result<Amount, NumberError> {
        Ok(Amount::ZERO)
    }
    fn name(&self) -> &str {
        "broken"
    }
    fn closes_days(&self) -> bool {
        true
    }
    fn close(&self, _: Date, _: &[DayOrder<'_>]) -> Result<Vec<Note>, NumberError> {
        let note = self.0.ok_or(NumberError::OutOfRange)?;
        Ok(vec![note])
    }
}

#[test]
fn a_close_that_cannot_be_told_is_an_alert() {
    let mut charged = Amounts::default();
    charged.set(Component::Stt, Amount::from_int(1));
    // No account has this currency.
    let elsewhere = Note {
        name: NoteName::from("elsewhere").unwrap(),
        currency: "CHF".parse().unwrap(),
        charged,
        booked: Amount::ZERO,
    };
    for note in [None, Some(elsewhere)] {
        let mut desk = Desk::new(&Plan {
            charges: Arc::new(Broken(note)),
            ..Plan::default()
        });
        desk.tick(AXIS, "100");
        desk.signal(1, enter(AXIS, Buy, 4));
        desk.tick(AXIS, "100");
        let cash = desk.pipeline.portfolio().accounts()[0].equity();
        desk.clock(SESSION + 1);
        let alerts = desk.events.iter().filter(|e| match e.body {
            EventBody::Alert { reason, .. } => reason == model::reason::Reason::ChargesUnknown,
            _ => false,
        });
        assert_eq!(alerts.count(), 1);
        // An amount that is not known is not booked.
        assert_eq!(desk.pipeline.portfolio().accounts()[0].equity(), cash);
        desk.check();
    }
}
