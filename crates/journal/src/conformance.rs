//! What every log must do, wherever it lives. The author of one runs [`all`] in its tests.

use std::sync::Arc;

use model::Date;

use crate::error::JournalError;
use crate::log::{Log, LogName, LogWriter, Logs, Offset, RECORD_MAX};
use crate::owner::Owner;
use crate::retention::Retention;

type Case = fn(&dyn Logs) -> Result<(), Broken>;

/// What a log did not do.
#[derive(Debug)]
pub struct Broken(String);

impl From<JournalError> for Broken {
    fn from(error: JournalError) -> Self {
        Self(error.to_string())
    }
}

fn holds(held: bool, what: &str) -> Result<(), Broken> {
    if held {
        Ok(())
    } else {
        Err(Broken(what.to_owned()))
    }
}

const CASES: &[(&str, Case)] = &[
    (
        "records are read in the order in which they were written",
        order,
    ),
    ("a reader follows its writer", follows),
    (
        "a batch that is under way is neither durable nor read",
        under_way,
    ),
    (
        "a batch that is not synced is durable with the next",
        unsynced,
    ),
    ("an older writer is fenced off", fenced),
    (
        "a writer that wakes after a long pause writes nothing that is read",
        sleeper,
    ),
    ("a record has a largest size", size),
    ("what retention removes is gone, and said to be", retention),
    (
        "snapshots are found by offset, and a few are kept",
        snapshots,
    ),
    ("a log belongs to its owner", owners),
    ("logs that were begun are listed", listing),
];

/// Runs every case, each over fresh logs. What was broken, by case.
pub fn all(fresh: impl Fn() -> Arc<dyn Logs>) -> Vec<String> {
    let broken = CASES.iter().filter_map(|(name, case)| {
        let Broken(why) = case(fresh().as_ref()).err()?;
        Some(format!("{name}: {why}"))
    });
    broken.collect()
}

fn owner() -> Owner {
    Owner::new(7, "east", "paper")
}

fn journal(logs: &dyn Logs) -> Arc<dyn Log> {
    logs.log(LogName::Journal("east"))
}

fn written(writer: &mut dyn LogWriter, records: &[&str]) -> Result<Offset, JournalError> {
    for record in records {
        writer.append(record.as_bytes())?;
    }
    writer.commit()
}

/// What is read from an offset on.
fn read(log: &dyn Log, from: Offset) -> Result<Vec<(Offset, String)>, JournalError> {
    let mut reader = log.read(from)?;
    let mut all = Vec::new();
    while let Some((at, bytes)) = reader.next()? {
        all.push((at, String::from_utf8_lossy(bytes).into_owned()));
    }
    Ok(all)
}

fn texts(all: &[(Offset, String)]) -> Vec<&str> {
    all.iter().map(|(_, text)| text.as_str()).collect()
}

fn order(logs: &dyn Logs) -> Result<(), Broken> {
    let log = journal(logs);
    holds(log.is_fresh()?, "it is fresh before it is begun")?;
    holds(
        read(log.as_ref(), Offset::BEGINNING)?.is_empty(),
        "and empty",
    )?;
    let (mut writer, opened) = log.open(&owner())?;
    holds(
        opened.first == opened.end,
        "nothing is there when it is begun",
    )?;
    let first = written(writer.as_mut(), &["a", "b"])?;
    let second = written(writer.as_mut(), &["c"])?;
    holds(
        first < second && writer.durable() == second,
        "what is durable rises",
    )?;
    let all = read(log.as_ref(), Offset::BEGINNING)?;
    holds(texts(&all) == ["a", "b", "c"], "all is read")?;
    holds(all.is_sorted_by(|x, y| x.0 < y.0), "offsets rise")?;
    for (at, (offset, _)) in all.iter().enumerate() {
        let rest = read(log.as_ref(), *offset)?;
        holds(rest == all[at..], "it is read from each offset on")?;
    }
    let rest = read(log.as_ref(), first)?;
    holds(texts(&rest) == ["c"], "what was durable is passed over")?;
    let checked = log.check(&owner())?;
    holds(
        checked.records == 3 && checked.bytes == 3,
        "all of it is counted",
    )?;
    holds(
        checked.tail.is_none() && checked.end == second,
        "to its end",
    )?;
    holds(!log.is_fresh()?, "it is not fresh any more")
}

fn follows(logs: &dyn Logs) -> Result<(), Broken> {
    let log = journal(logs);
    let (mut writer, _) = log.open(&owner())?;
    written(writer.as_mut(), &["a"])?;
    let mut reader = log.read(Offset::BEGINNING)?;
    for text in ["a", "b", "c"] {
        let next = reader.next()?.map(|(_, bytes)| bytes.to_vec());
        holds(
            next.as_deref() == Some(text.as_bytes()),
            "the next is there",
        )?;
        holds(reader.next()?.is_none(), "then nothing is")?;
        written(writer.as_mut(), &[if text == "a" { "b" } else { "c" }])?;
    }
    Ok(())
}

fn under_way(logs: &dyn Logs) -> Result<(), Broken> {
    let log = journal(logs);
    let (mut writer, _) = log.open(&owner())?;
    let before = written(writer.as_mut(), &["a"])?;
    writer.append(b"b")?;
    holds(writer.pending_bytes() > 0, "a record waits")?;
    let carriage = writer.submit(true)?;
    if let Some(carriage) = carriage {
        holds(writer.is_under_way(), "the batch is under way")?;
        holds(writer.outcome(false)?.is_none(), "its outcome is not known")?;
        writer.append(b"c")?;
        holds(writer.submit(true)?.is_none(), "one batch at a time")?;
        holds(writer.durable() == before, "it is not durable yet")?;
        let there = read(log.as_ref(), Offset::BEGINNING)?;
        holds(texts(&there) == ["a"], "nor is it read")?;
        carriage.carry();
    } else {
        writer.append(b"c")?;
    }
    let after = writer.outcome(true)?;
    holds(
        after == Some(writer.durable()) && after > Some(before),
        "then it is durable",
    )?;
    holds(writer.may_act(writer.durable()), "and may be acted on")?;
    holds(!writer.may_act(Offset::END), "what is not written may not")?;
    writer.commit()?;
    let there = read(log.as_ref(), Offset::BEGINNING)?;
    holds(texts(&there) == ["a", "b", "c"], "and all is read")
}

fn unsynced(logs: &dyn Logs) -> Result<(), Broken> {
    let log = journal(logs);
    let (mut writer, _) = log.open(&owner())?;
    let before = written(writer.as_mut(), &["a"])?;
    writer.append(b"b")?;
    if let Some(carriage) = writer.submit(false)? {
        carriage.carry();
        writer.outcome(true)?;
    }
    holds(!writer.is_under_way(), "it has arrived")?;
    let there = read(log.as_ref(), Offset::BEGINNING)?;
    holds(texts(&there) == ["a", "b"], "it is read")?;
    let all = writer.commit()?;
    holds(all > before && !writer.is_unsynced(), "and durable at last")
}

fn is_fenced<T>(result: Result<T, JournalError>) -> bool {
    match result {
        Err(JournalError::Fenced { .. }) => true,
        Err(JournalError::Failed(why)) => matches!(*why, JournalError::Fenced { .. }),
        _ => false,
    }
}

fn fenced(logs: &dyn Logs) -> Result<(), Broken> {
    let log = journal(logs);
    let (mut old, _) = log.open(&owner())?;
    let at = written(old.as_mut(), &["a"])?;
    holds(old.may_act(at), "an only writer's record may be acted on")?;
    // Opened by another way to the same log.
    let (mut new, opened) = journal(logs).open(&owner())?;
    holds(new.epoch() > old.epoch(), "epochs rise with each opening")?;
    holds(
        opened.end >= at,
        "the new writer begins behind the old one's records",
    )?;
    holds(
        !old.may_act(at),
        "what the old one wrote is not its to act on",
    )?;
    old.append(b"x")?;
    holds(is_fenced(old.commit()), "the old one is told")?;
    holds(is_fenced(old.commit()), "again and again")?;
    holds(
        is_fenced(old.save_snapshot(b"x", 2)),
        "it saves no snapshot",
    )?;
    written(new.as_mut(), &["b"])?;
    let there = read(log.as_ref(), Offset::BEGINNING)?;
    holds(texts(&there) == ["a", "b"], "the new one's alone is read")?;
    log.check(&owner())?;
    let (third, _) = log.open(&owner())?;
    holds(
        third.epoch() > new.epoch(),
        "though nothing was written under it",
    )
}

fn sleeper(logs: &dyn Logs) -> Result<(), Broken> {
    let log = journal(logs);
    let (mut old, _) = log.open(&owner())?;
    written(old.as_mut(), &["a"])?;
    old.append(b"x")?;
    let carriage = old.submit(true)?;
    let (mut new, _) = journal(logs).open(&owner())?;
    written(new.as_mut(), &["b"])?;
    // It had everything in hand, and wakes now.
    if let Some(carriage) = carriage {
        carriage.carry();
        holds(is_fenced(old.outcome(true)), "it is told")?;
    }
    written(new.as_mut(), &["c"])?;
    let there = read(log.as_ref(), Offset::BEGINNING)?;
    holds(
        texts(&there) == ["a", "b", "c"],
        "the new one's alone is read",
    )?;
    let (_, opened) = log.open(&owner())?;
    holds(opened.cut.is_none(), "and nothing is left to be cut")
}

fn size(logs: &dyn Logs) -> Result<(), Broken> {
    let log = journal(logs);
    let (mut writer, _) = log.open(&owner())?;
    let largest = vec![b'x'; RECORD_MAX];
    let more = vec![b'x'; RECORD_MAX + 1];
    holds(
        matches!(writer.append(&more), Err(JournalError::TooLarge(n)) if n == more.len()),
        "one that is larger is refused",
    )?;
    writer.append(&largest)?;
    writer.append(b"small")?;
    writer.commit()?;
    let there = read(log.as_ref(), Offset::BEGINNING)?;
    holds(
        there.len() == 2 && there[0].1.len() == RECORD_MAX && there[1].1 == "small",
        "the largest is read whole, and nothing of what was refused",
    )
}

fn retention(logs: &dyn Logs) -> Result<(), Broken> {
    let log = journal(logs);
    let (mut writer, _) = log.open(&owner())?;
    let day = |n: i32| Date::from_days(20_000 + n);
    holds(writer.day().is_none(), "no day before the first record")?;
    writer.begin_in(day(0));
    for n in 0..4 {
        writer.roll(day(n))?;
        written(writer.as_mut(), &[["a", "b", "c", "d"][n as usize]])?;
        holds(writer.day() == Some(day(n)), "the day is known")?;
    }
    let spans = log.spans()?;
    let days: Vec<Date> = spans.iter().map(|span| span.day).collect();
    holds(days == [0, 1, 2, 3].map(day), "each day has its span")?;
    let linked = spans.windows(2).all(|pair| pair[0].end == pair[1].first);
    let closed = &spans[..spans.len() - 1];
    holds(
        linked && closed.iter().all(|span| span.bytes > 0),
        "without a gap",
    )?;
    let keep = Retention {
        days: Some(1),
        bytes: None,
    };
    let none = writer.retain(spans[0].first, day(3), &keep)?;
    holds(none.is_empty(), "what is needed stays")?;
    let bytes = writer.bytes();
    let removed = writer.retain(Offset::END, day(3), &keep)?;
    holds(writer.bytes() < bytes, "and takes no room any more")?;
    holds(removed.len() == 2, "what is older goes")?;
    let there = read(log.as_ref(), Offset::BEGINNING)?;
    holds(
        texts(&there) == ["c", "d"],
        "the rest is read from its beginning",
    )?;
    let first = log.spans()?.first().map(|span| span.first);
    let old = spans[1].first;
    match log.read(old).err() {
        Some(JournalError::Gone {
            from, first: said, ..
        }) => {
            holds(from == old && Some(said) == first, "what is kept is named")?;
        }
        _ => return Err(Broken("what was removed is not said to be gone".to_owned())),
    }
    let keep = Retention {
        days: None,
        bytes: Some(0),
    };
    writer.retain(Offset::END, day(3), &keep)?;
    let there = read(log.as_ref(), Offset::BEGINNING)?;
    holds(texts(&there) == ["d"], "the last is never removed")?;
    drop(writer);
    let (_, opened) = log.open(&owner())?;
    let first = log.spans()?.first().map(|span| span.first);
    holds(Some(opened.first) == first, "opening tells what is kept")
}

fn snapshots(logs: &dyn Logs) -> Result<(), Broken> {
    let log = journal(logs);
    let (mut writer, _) = log.open(&owner())?;
    holds(
        log.snapshots().newest(Offset::END)?.is_none(),
        "none at first",
    )?;
    let mut saved = Vec::new();
    for text in ["a", "b", "c"] {
        let at = written(writer.as_mut(), &[text])?;
        writer.save_snapshot(text.as_bytes(), 2)?;
        saved.push(at);
    }
    holds(
        log.snapshots().list()? == saved[1..],
        "the newest two are kept",
    )?;
    let newest = log.snapshots().newest(Offset::END)?;
    holds(
        newest == Some((saved[2], b"c".to_vec())),
        "the newest is found",
    )?;
    let older = log.snapshots().newest(Offset(saved[2].0 - 1))?;
    holds(
        older == Some((saved[1], b"b".to_vec())),
        "and the one before an offset",
    )?;
    let rest = read(log.as_ref(), saved[1])?;
    holds(
        texts(&rest) == ["c"],
        "what is read from its offset came after it",
    )
}

fn owners(logs: &dyn Logs) -> Result<(), Broken> {
    let log = journal(logs);
    let (mut writer, _) = log.open(&owner())?;
    written(writer.as_mut(), &["a"])?;
    drop(writer);
    holds(log.owner()? == Some(owner()), "it says whose it is")?;
    let other = Owner::new(8, "east", "paper");
    let misplaced = |error| matches!(error, Some(JournalError::Misplaced { .. }));
    holds(misplaced(log.open(&other).err()), "another's is not opened")?;
    holds(misplaced(log.check(&other).err()), "nor found in order")?;
    log.check(&Owner::NONE)?;
    let (_, opened) = log.open(&owner())?;
    holds(opened.end > opened.first, "its own is")
}

fn listing(logs: &dyn Logs) -> Result<(), Broken> {
    holds(logs.identity()?.is_none(), "no identity at first")?;
    logs.set_identity(b"one")?;
    logs.set_identity(b"two")?;
    holds(
        logs.identity()? == Some(b"two".to_vec()),
        "the newest is kept",
    )?;
    holds(
        logs.journals()?.is_empty() && logs.letters()?.is_empty(),
        "no log",
    )?;
    for name in [
        LogName::Journal("west"),
        LogName::Market,
        LogName::Journal("east"),
        LogName::Letters("east.control"),
    ] {
        let (mut writer, _) = logs.log(name).open(&owner())?;
        written(writer.as_mut(), &["a"])?;
    }
    holds(logs.journals()? == ["east", "west"], "journals are listed")?;
    holds(logs.letters()? == ["east.control"], "letters as well")
}
