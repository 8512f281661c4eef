//! The same where the orders are at an exchange that takes each once: a refused start presents nothing, and one
//! that goes on presents no order a second time.
//!
//! One loss is neither refused nor harmless: all that a journal held behind some place, back to its newest snapshot or
//! mark, with nothing left that tells of it. The orders in it may be presented again, and no others.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use exchange::Books;
use journal::record::{JournalRecord, decode};
use journal::{FileLogs, Log, LogName, Logs, Offset, Owner};
use model::event::{Event, EventBody};
use model::order::OrderChange;

use crate::damage::{Kept, damage, is_placed, keep, lay};
use crate::days::{Exchange, Life, repeated_order, world};
use crate::harness::{World, assert_clear};
use crate::kills::{TICKS, decided};
use crate::logs::Journal;
use crate::process::{message, run};
use crate::running::until;
use crate::{Count, cases};

const DELIVERY: &str = "query_only";

/// A killed day: its exchange, and the files that the kill left. Every order that it has submitted is answered: one
/// that is not would stay in doubt, as the exchange takes each once.
fn killed(world: &World) -> (Exchange, Vec<Kept>) {
    loop {
        let _absent = fs::remove_dir_all(world.path("base"));
        let exchange = Exchange::serve(world, DELIVERY, None);
        let life = Life::begin(world, "paced.toml", "base", "sim");
        until("the day goes on", Duration::from_secs(120), || {
            exchange.next() > TICKS * 6 / 10
        });
        life.kill();
        if all_are_answered(&Journal::read(&world.path("base"), "sim")) {
            return (exchange, keep(&world.path("base")));
        }
        exchange.stop();
    }
}

fn all_are_answered(journal: &Journal) -> bool {
    let mut waiting = BTreeSet::new();
    for event in journal.events() {
        match event.body {
            EventBody::OrderSubmitted(intent) => {
                waiting.insert(intent.id);
            }
            EventBody::OrderChanged(step) if step.change != OrderChange::Unknown => {
                waiting.remove(&step.order);
            }
            _ => {}
        }
    }
    waiting.is_empty()
}

/// The orders that a journal has submitted at or behind a position.
fn submitted_from(data: &Path, end: Offset) -> BTreeSet<String> {
    let mut reader = journal(data).read(Offset::BEGINNING).unwrap();
    let mut orders = BTreeSet::new();
    while let Some((at, bytes)) = reader.next().unwrap() {
        if let (true, JournalRecord::Run(run)) = (at >= end, decode(bytes).unwrap()) {
            orders.extend(run.outputs.iter().filter_map(|event| match &event.body {
                EventBody::OrderSubmitted(intent) => Some(intent.id.to_string()),
                _ => None,
            }));
        }
    }
    orders
}

fn journal(data: &Path) -> Arc<dyn Log> {
    FileLogs::existing(data).log(LogName::Journal("sim"))
}

/// Nothing but an order that the journal has lost unseen is presented again.
fn check_presented(books: &Books, lost: &BTreeSet<String>, said: &str) {
    let again = books.orders.iter().filter(|order| order.presented > 1);
    let again: BTreeSet<String> = again.map(|order| order.reference.clone()).collect();
    assert!(
        again.is_subset(lost),
        "{again:?} again, {lost:?} lost: {said}"
    );
    assert_eq!(books.violations.len(), again.len(), "{said}");
}

/// A day that is damaged again and again, and what it would have come to.
struct Trial {
    world: World,
    whole: Books,
    events: Vec<Event>,
    exchange: Exchange,
    base: Vec<Kept>,
}

/// What came of a damage.
struct Came {
    is_refused: bool,
    /// Orders that the journal has lost unseen.
    lost: usize,
}

impl Trial {
    fn new() -> Self {
        let world = world(DELIVERY, 4_000);
        let exchange = Exchange::serve(&world, DELIVERY, None);
        Life::begin(&world, "live.toml", "whole", "sim").complete(&world, "whole");
        let whole = exchange.close();
        assert!(whole.orders.len() > 100, "too quiet a day");
        let events = decided(&Journal::read(&world.path("whole"), "sim"));
        let (exchange, base) = killed(&world);
        Self {
            world,
            whole,
            events,
            exchange,
            base,
        }
    }

    fn check_same(&self, books: &Books, journal: &Journal, said: &str) {
        let (books, whole) = (books.outcome(), self.whole.outcome());
        assert_eq!(books.orders.len(), whole.orders.len(), "{said}");
        for (ours, theirs) in books.orders.iter().zip(&whole.orders) {
            assert_eq!(ours, theirs, "{said}");
        }
        assert_eq!(books.positions, whole.positions, "{said}");
        let events = decided(journal);
        for (at, (a, b)) in events.iter().zip(&self.events).enumerate() {
            assert_eq!(a, b, "event {at}: {said}");
        }
        assert_eq!(events.len(), self.events.len(), "{said}");
    }

    /// Starts from damaged files. `said` begins each complaint.
    fn start(mut self, files: &[Kept], damaged: &[PathBuf], said: &str) -> (Self, Came) {
        let data = self.world.path("damaged");
        lay(files, &data);
        let sound = journal(&data).check(&Owner::NONE);
        let lost = sound.map(|log| submitted_from(&self.world.path("base"), log.end));
        let lost = lost.unwrap_or_default();
        let before = self.exchange.books();
        let args = ["run", "--config", "live.toml", "--brokers", "sim"];
        let args = [&args[..], &["--data-dir", "damaged"]].concat();
        let ran = run(&self.world, &args, said);
        let said = format!("{said}: {}", ran.stderr);
        let is_refused = !ran.ok;
        if is_refused {
            let message = message(&ran);
            assert_clear(&[said.as_str()], &message);
            assert!(is_placed(&message, damaged), "no place: {said}");
            let after = self.exchange.books();
            assert_eq!(after, before, "a refused start traded: {said}");
        } else {
            let books = self.exchange.books();
            check_presented(&books, &lost, &said);
            let journal = Journal::read(&data, "sim");
            assert_eq!(repeated_order(&journal), None, "{said}");
            // Where orders were lost the exchange is ahead of the journal, which then decides otherwise.
            if lost.is_empty() {
                self.check_same(&books, &journal, &said);
            }
            // What has gone on cannot be taken back: another day, killed as well.
            self.exchange.stop();
            (self.exchange, self.base) = killed(&self.world);
        }
        let lost = lost.len();
        (self, Came { is_refused, lost })
    }
}

/// Cuts the journal where its newest snapshot was saved: the most that can be lost unseen.
fn cut_to_snapshot(files: &mut [Kept]) -> PathBuf {
    let position = |kept: &Kept, start: &str| -> Option<u64> {
        let name = kept.path.file_name()?.to_str()?;
        let digits = name.strip_prefix(start)?.get(..20)?;
        kept.path
            .starts_with("journal/sim")
            .then(|| digits.parse().ok())?
    };
    let saved = files.iter().filter_map(|kept| position(kept, "snapshot-"));
    let saved = saved.max().unwrap();
    let log = files
        .iter_mut()
        .filter(|kept| position(kept, "").is_some_and(|at| at <= saved));
    let log = log.max_by_key(|kept| position(kept, "")).unwrap();
    let base = position(log, "").unwrap();
    log.cut(saved - base);
    log.path.clone()
}

#[test]
fn no_damage_presents_an_order_twice() {
    let mut trial = Trial::new();
    let mut files = trial.base.clone();
    let cut = cut_to_snapshot(&mut files);
    let (next, came) = trial.start(&files, &[cut], "cut to its newest snapshot");
    trial = next;
    assert!(!came.is_refused, "it was refused");
    println!(
        "exchange damages: cut to its newest snapshot the journal lacks {} orders",
        came.lost
    );
    let (mut refused, mut harmless, mut unseen) = (0, 0, 0);
    let mut trial = Some(trial);
    let test = "exchange_damages::no_damage_presents_an_order_twice";
    cases(test, &Count::Damages, 10, |random, name| {
        let this = trial.take().unwrap();
        let mut files = this.base.clone();
        let (damaged, what) = damage(random, &mut files);
        let said = format!("{name}: {}: {what}", damaged[0].display());
        let (next, came) = this.start(&files, &damaged, &said);
        match came {
            Came {
                is_refused: true, ..
            } => refused += 1,
            Came { lost: 0, .. } => harmless += 1,
            Came { .. } => unseen += 1,
        }
        trial = Some(next);
    });
    println!(
        "exchange damages: {refused} refused, {harmless} harmless with equal books, {unseen} lost orders unseen"
    );
}
