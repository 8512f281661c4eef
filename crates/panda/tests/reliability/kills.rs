//! A process that is killed again and again in the middle of a day ends where one that was left alone
//! does. The exchange is another process, which lives on; it loses requests and answers, answers late and
//! twice, and drops connections. Where an order is taken once, it also reports executions as what they
//! cannot have been.
//!
//! The seed chooses the moments and the faults.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use exchange::Books;
use model::event::{Cause, Event, EventBody};
use model::fixed::Quantity;
use model::order::{OrderChange, OrderIntent};
use model::reason::Reason;

use crate::days::{Chance, Exchange, Life, pace, said, world};
use crate::harness::World;
use crate::logs::Journal;
use crate::process::PATIENCE;
use crate::{Count, seed};

/// Ticks of the generated day.
pub const TICKS: u64 = 45_000;
/// How long the day is, on its own clock.
const DAY: Duration = Duration::from_secs(375 * 60);
/// The part of it by which all kills have been made, so that the end is seen as well.
const KILLED_BY: u64 = TICKS / 100 * 94;
/// Lives that last for a snapshot: they take much of the day.
const LONG_MAX: u64 = 6;
const LONG: Duration = Duration::from_millis(1_500);

/// What a day has left behind.
struct Day {
    journal: Journal,
    books: Books,
}

impl Day {
    fn read(world: &World, config: &str, dir: &str, exchange: Exchange) -> Self {
        let books = exchange.close();
        assert_eq!(books.passed, Some(TICKS - 1), "{dir}");
        // Sound, and decided again the same from the records alone.
        let args = ["journal", "verify", "--replay", "--config", config];
        let verified = world.ok(&[args.as_slice(), &["--data-dir", dir]].concat());
        let again = verified
            .split_once("sim: decided again: ")
            .unwrap_or_else(|| panic!("{dir}: {verified}"));
        let counts: Vec<&str> = again.1.split_whitespace().take(3).collect();
        assert_eq!(counts[0], counts[2], "{dir}: {verified}");
        Self {
            journal: Journal::read(&world.path(dir), "sim"),
            books,
        }
    }

    /// Without a kill.
    fn whole(world: &World, dir: &str, delivery: &str, faults: Option<u64>) -> Self {
        let exchange = Exchange::serve(world, delivery, faults);
        Life::begin(world, "live.toml", dir, "sim").complete(world, dir);
        Self::read(world, "live.toml", dir, exchange)
    }

    /// With so many kills at least, at moments that `seed` chooses.
    fn killed(world: &World, dir: &str, delivery: &str, seed: u64, kills: u64) -> Self {
        let began = Instant::now();
        // The ticks that a long life takes at this pace.
        let long_share = (LONG * pace(kills) as u32).as_secs() * TICKS / DAY.as_secs();
        let exchange = Exchange::serve(world, delivery, Some(seed));
        let mut chance = Chance(seed);
        // How long a start takes, about.
        let mut start = Duration::from_millis(300);
        let (mut made, mut early, mut long, mut calling) = (0, 0, 0, 0);
        'lives: while made < kills {
            let mut life = Life::begin(world, "paced.toml", dir, "sim");
            let before = exchange.next();
            let left = KILLED_BY.saturating_sub(before);
            if left == 0 || chance.below(3) == 0 {
                // Anywhere in the start and the recovery.
                early += 1;
                let within = start.as_micros() as u64 * 5 / 4;
                std::thread::sleep(Duration::from_micros(chance.below(within)));
            } else {
                // Now and then it lives long enough for a snapshot.
                let is_long = long < LONG_MAX
                    && left > long_share * 3 / 2
                    && chance.below((kills / 8).max(4)) == 0;
                long += u64::from(is_long);
                let share = left / (kills - made);
                let target = before + 1 + chance.below((share * 2).min(left));
                let least = if is_long { LONG } else { Duration::ZERO };
                // Every other time it dies as an order arrives, if one does.
                let wait_for_order = !is_long && chance.below(2) == 0;
                let orders = exchange.books().orders.len();
                let mut moved = false;
                loop {
                    let books = exchange.books();
                    let next = books.passed.map_or(0, |passed| passed + 1);
                    if wait_for_order && books.orders.len() > orders {
                        calling += 1;
                        break;
                    }
                    if next > before && !moved {
                        moved = true;
                        start = (start * 3 + life.began.elapsed()) / 4;
                    }
                    if next >= target && life.began.elapsed() >= least {
                        break;
                    }
                    if let Some(status) = life.child.try_wait().unwrap() {
                        assert!(
                            status.success() && exchange.next() == TICKS,
                            "seed {seed}: it ended ({status}) after {made} kills, at {next}: {}",
                            said(world, dir)
                        );
                        // On a busy machine the day can be over before this loop looks again: the kills that
                        // are left fall on starts behind its end.
                        continue 'lives;
                    }
                    assert!(
                        life.began.elapsed() < PATIENCE,
                        "seed {seed}: it is stuck at {next} after {made} kills: {}",
                        said(world, dir)
                    );
                    let pause = if wait_for_order { 300 } else { 2_000 };
                    std::thread::sleep(Duration::from_micros(pause));
                }
                let more = if wait_for_order { 1_500 } else { 4_000 };
                std::thread::sleep(Duration::from_micros(chance.below(more)));
            }
            life.kill();
            made += 1;
        }
        let came_to = exchange.next();
        Life::begin(world, "paced.toml", dir, "sim").complete(world, dir);
        let all = world.read(&format!("{dir}.log"));
        assert!(!all.contains("the market log has lost"), "seed {seed}");
        let asked = all.matches("orders are being asked about").count();
        let day = Self::read(world, "paced.toml", dir, exchange);
        println!(
            "seed {seed}: {made} kills by tick {came_to} in {:.1} s: {early} at the start, {calling} as an order arrived, {long} after a snapshot; {asked} with open orders; {} starts recorded, {} orders, a start takes {start:?}",
            began.elapsed().as_secs_f64(),
            day.journal.starts,
            day.books.orders.len(),
        );
        day
    }

    /// The journal's orders with what became of them.
    fn orders(&self) -> BTreeMap<String, Told> {
        let mut orders: BTreeMap<String, Told> = BTreeMap::new();
        for event in self.journal.events() {
            match event.body {
                EventBody::OrderSubmitted(intent) => {
                    let told = Told {
                        intent,
                        changes: Vec::new(),
                    };
                    let twice = orders.insert(intent.id.to_string(), told);
                    assert!(twice.is_none(), "{} is submitted twice", intent.id);
                }
                EventBody::OrderChanged(step) => {
                    let told = orders.get_mut(&step.order.to_string()).unwrap();
                    told.changes.push(step.change);
                    assert_eq!(step.sequence as usize, told.changes.len(), "{told:?}");
                }
                _ => {}
            }
        }
        orders
    }
}

/// An order as the journal has it.
#[derive(Debug)]
struct Told {
    intent: OrderIntent,
    changes: Vec<OrderChange>,
}

impl Told {
    fn is_terminal(&self) -> bool {
        let mut filled = 0;
        let mut quantity = self.intent.quantity.raw();
        for change in &self.changes {
            match change {
                OrderChange::Filled(execution) => filled += execution.quantity.raw(),
                OrderChange::Modified { quantity: now, .. } => quantity = now.raw(),
                OrderChange::Cancelled(_)
                | OrderChange::Rejected(_)
                | OrderChange::Expired(_)
                | OrderChange::Failed(_) => return true,
                _ => {}
            }
        }
        filled >= quantity
    }

    /// Nothing better was heard since its outcome became unknown.
    fn is_unknown(&self) -> bool {
        let says = |c: &&OrderChange| !matches!(c, OrderChange::CancelRequested(_));
        self.changes.iter().rfind(says) == Some(&OrderChange::Unknown)
    }

    fn fills(&self) -> BTreeSet<(String, String, String)> {
        let fills = self.changes.iter().filter_map(|change| match change {
            OrderChange::Filled(e) => Some((
                e.trade.to_string(),
                e.quantity.to_string(),
                e.price.to_string(),
            )),
            _ => None,
        });
        fills.collect()
    }
}

/// The events, but for how often and by which word the broker had to be asked whether it has an order:
/// that is another matter whenever something is lost.
pub fn decided(journal: &Journal) -> Vec<Event> {
    let mut events = journal.events();
    events.retain(|event| match event.body {
        EventBody::OrderChanged(step) => !matches!(
            step.change,
            OrderChange::Acknowledged | OrderChange::Unknown
        ),
        EventBody::Alert { reason, .. } => reason != Reason::OutcomeUnknown,
        _ => true,
    });
    for event in &mut events {
        if let EventBody::OrderChanged(step) = &mut event.body {
            step.sequence = 0;
        }
        if let Cause::Order(_, sequence) = &mut event.cause {
            *sequence = 0;
        }
    }
    events
}

/// The same orders, fills, positions and money, at the same ticks.
fn assert_same(what: &str, one: &Day, other: &Day) {
    let (a, b) = (one.books.outcome(), other.books.outcome());
    assert_eq!(
        a.orders.len(),
        b.orders.len(),
        "{what}: orders in the books"
    );
    for (a, b) in a.orders.iter().zip(&b.orders) {
        assert_eq!(a, b, "{what}: in the books");
    }
    assert_eq!(a.positions, b.positions, "{what}: in the books");
    let (ours, theirs) = (decided(&one.journal), decided(&other.journal));
    for (at, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(
            a,
            b,
            "{what}: event {at} of the journal, behind {:#?}",
            ours[at.saturating_sub(4)..at].iter()
        );
    }
    assert_eq!(ours.len(), theirs.len(), "{what}: events in the journal");
}

/// The sums of what was executed, by instrument.
fn positions(journal: &Journal, fills: &[(usize, i64)]) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for (instrument, signed) in fills {
        let id = journal.start.instruments[*instrument].id.clone();
        *sums.entry(id).or_insert(0) += signed;
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

fn held(books: &Books) -> BTreeMap<String, i64> {
    let raw = |text: &str| text.parse::<Quantity>().unwrap().raw();
    let all = books.positions.iter();
    all.map(|p| (p.instrument.clone(), raw(&p.quantity)))
        .filter(|(_, quantity)| *quantity != 0)
        .collect()
}

#[test]
fn killed_hundreds_of_times_a_day_ends_as_if_it_had_not_been() {
    let (seed, kills) = (seed(), Count::Kills.get());
    let world = world("idempotent", pace(kills));
    let calm = Day::whole(&world, "calm", "idempotent", None);
    assert!(calm.books.orders.len() > 100, "too quiet a day");
    let whole = Day::whole(&world, "whole", "idempotent", Some(seed));
    assert_same("with faults, and without", &whole, &calm);
    let killed = Day::killed(&world, "killed", "idempotent", seed, kills);
    assert_same("killed, and not", &killed, &whole);
    assert!(killed.journal.starts > 1);
    for (id, told) in killed.orders() {
        assert!(!told.is_unknown(), "{id}: {told:?}");
    }
}

#[test]
fn a_broker_that_takes_an_order_once_is_never_shown_it_twice() {
    let (seed, kills) = (seed(), Count::Kills.get());
    let world = world("query_only", pace(kills));
    let day = Day::killed(&world, "killed", "query_only", seed, kills);
    assert!(
        day.books.violations.is_empty(),
        "{:?}",
        day.books.violations
    );
    let orders = day.orders();
    assert!(orders.len() > 50, "too quiet a day");
    let events = day.journal.events();
    let parked = |e: &&Event| matches!(e.body, EventBody::ReportParked(_));
    let parked = events.iter().filter(parked).count();
    assert!(parked > 5, "only {parked} impossible executions");
    let mut fills = Vec::new();
    let mut unknown = 0;
    let booked: BTreeMap<&str, _> = day
        .books
        .orders
        .iter()
        .map(|order| (order.reference.as_str(), order))
        .collect();
    for (id, order) in &booked {
        assert!(order.presented <= 1, "{order:?}");
        assert!(orders.contains_key(*id), "nobody knows {order:?}");
    }
    for (id, told) in &orders {
        let order = booked.get(id.as_str());
        let executed: BTreeSet<_> = order
            .iter()
            .flat_map(|order| &order.executions)
            .map(|e| (e.trade.clone(), e.quantity.clone(), e.price.clone()))
            .collect();
        let sign = told.intent.side.signed(Quantity::from_raw(1)).raw();
        for (_, quantity, _) in &executed {
            let quantity = quantity.parse::<Quantity>().unwrap().raw();
            fills.push((told.intent.instrument.index(), sign * quantity));
        }
        if told.is_unknown() {
            unknown += 1;
            continue;
        }
        // What is not in doubt is the same on both sides.
        assert_eq!(told.fills(), executed, "{id}: {told:?}: {order:?}");
        let there = order.is_some_and(|o| o.undue > 0 || !is_over(&o.status));
        assert!(told.is_terminal() || there, "{id}: {told:?}: {order:?}");
        let at_broker = order.is_some_and(|order| is_over(&order.status));
        let nowhere = matches!(
            told.changes.last(),
            Some(OrderChange::Failed(_) | OrderChange::Rejected(_))
        );
        assert!(
            !told.is_terminal() || at_broker || (nowhere && order.is_none()),
            "{id}: {told:?}: {order:?}"
        );
    }
    assert_eq!(positions(&day.journal, &fills), held(&day.books));
    println!("{} orders, {unknown} of them unresolved", orders.len());
    assert!(unknown < orders.len() / 2, "{unknown} are unresolved");
}

fn is_over(status: &str) -> bool {
    matches!(
        status,
        "filled" | "cancelled" | "rejected" | "expired" | "failed"
    )
}
