//! Mutated records of logs: read alone, and in a log whose checksums hold.

use journal::record::{JournalRecord, MarketRecord, decode};
use journal::{FileLogs, LogName, Logs, MARKET};
use runtime::directory::Directory;

use crate::harness::{World, assert_clear};
use crate::logs::records;
use crate::market::Random;
use crate::mutation::mutate;
use crate::process::{message, run};
use crate::running::replay_world;
use crate::{Count, cases};

/// A world with a day on paper behind it, in `data`.
fn traded() -> World {
    let world = replay_world(1, "");
    world.ok(&["run", "--config", "live.toml"]);
    world
}

fn one<'a>(random: &mut Random, all: &'a [Vec<u8>]) -> (usize, &'a [u8]) {
    // The first are starts and what follows them.
    let bound = if random.below(4) == 0 { 4 } else { all.len() };
    let at = random.below(bound.min(all.len()) as u64) as usize;
    (at, &all[at])
}

#[test]
fn a_mutated_record_is_read_or_refused() {
    let world = traded();
    let journal = records(&world.path("data"), "paper");
    let market = records(&world.path("data"), MARKET);
    let (mut read, mut refused) = (0, 0);
    let test = "records::a_mutated_record_is_read_or_refused";
    cases(test, &Count::Mutations, 10, |random, _| {
        let is_fine = if random.below(2) == 0 {
            let (_, record) = one(random, &journal);
            let bytes = mutate(random, record);
            decode::<JournalRecord>(&bytes).is_ok()
        } else {
            let (_, record) = one(random, &market);
            let bytes = mutate(random, record);
            decode::<MarketRecord>(&bytes).is_ok()
        };
        *(if is_fine { &mut read } else { &mut refused }) += 1;
    });
    println!("records: {read} read, {refused} refused");
}

#[test]
fn a_log_with_a_mutated_record_is_refused_or_read_by_every_reader() {
    let world = traded();
    let data = world.path("data");
    let directory = Directory::load(&FileLogs::existing(&data));
    let directory = directory.unwrap().unwrap();
    let files = crate::damage::keep(&data);
    let logs = ["paper", MARKET].map(|name| {
        let all = records(&data, name);
        (name, directory.owner(name, name), all)
    });
    let (mut fine, mut refused) = (0, 0);
    let test = "records::a_log_with_a_mutated_record_is_refused_or_read_by_every_reader";
    cases(test, &Count::Mutations, 3, |random, name| {
        let (log, owner, all) = &logs[random.below(2) as usize];
        let (at, bytes) = one(random, all);
        let bytes = mutate(random, bytes);
        let mutated = world.path("mutated");
        crate::damage::lay(&files, &mutated);
        let log = FileLogs::existing(&mutated).log(LogName::of(log));
        std::fs::remove_dir_all(mutated.join(log.place())).unwrap();
        let (mut writer, _) = log.open(owner).unwrap();
        for (number, record) in all.iter().enumerate() {
            writer
                .append(if number == at { &bytes } else { record })
                .unwrap();
        }
        writer.commit().unwrap();
        drop(writer);
        let name = format!("{name}: record {at} of {}", log.place());
        for command in [
            &["journal", "verify"][..],
            &["journal", "dump", "--inputs"],
            &["journal", "dump", "--market"],
            &["run"],
        ] {
            let more = ["--config", "live.toml", "--data-dir", "mutated"];
            let ran = run(&world, &[command, &more].concat(), &name);
            if ran.ok {
                fine += 1;
            } else {
                refused += 1;
                assert_clear(&[name.as_str(), command[0]], &message(&ran));
            }
        }
    });
    println!("logs with a mutated record: {fine} read, {refused} refused");
}
