//! What every feed keeps to, as a suite.

use std::collections::BTreeSet;
use std::time::Duration;

use model::InstrumentIdx;

use super::{BATCH_MAX, Batch, Feed, FeedError, Item, Nature, Next};

/// A feed under test can be begun anew, from any of its rows.
pub trait Subject {
    /// A fresh feed that is asked for nothing yet; a replay begins at row `from`.
    fn begin(&mut self, from: u64) -> Box<dyn Feed>;
    /// The canonical ids of two or more instruments that it serves, each of which has rows.
    fn wanted(&self) -> Vec<String>;
    /// Pulls to look at; a live feed has no end.
    fn pulls(&self) -> usize {
        2_000
    }
}

/// What was broken, in words.
pub type Broken = String;

fn number(item: &Item) -> u64 {
    match item {
        Item::Tick { number, .. } | Item::Bar { number, .. } => *number,
    }
}

fn instrument(item: &Item) -> InstrumentIdx {
    match item {
        Item::Tick { tick, .. } => tick.instrument,
        Item::Bar { bar, .. } => bar.instrument,
    }
}

/// Asks for instruments all of which it serves; their indices.
fn ask(feed: &mut dyn Feed, wanted: &[String]) -> Result<Vec<InstrumentIdx>, Broken> {
    match feed.ask(wanted) {
        Ok(unserved) if unserved.is_empty() => {}
        other => return Err(format!("asked for {wanted:?} it says {other:?}")),
    }
    let served = feed.instruments().to_vec();
    if served.len() != wanted.len() {
        return Err(format!("asked for {wanted:?} it serves {served:?}"));
    }
    Ok(served)
}

/// Pulls until the end or `pulls` times, and checks each pull.
fn pull(feed: &mut dyn Feed, pulls: usize) -> Result<(Batch, bool), Broken> {
    feed.connect().map_err(|e| format!("connect: {e}"))?;
    let known: BTreeSet<_> = feed.instruments().iter().copied().collect();
    let mut all = Batch::default();
    for _ in 0..pulls {
        let mut batch = Batch::default();
        let next = match feed.next(Duration::from_millis(20), &mut batch) {
            Ok(next) => next,
            Err(FeedError::Lost(_)) => {
                if !batch.items.is_empty() {
                    return Err("items came with an error: whether they count is not known".into());
                }
                feed.connect().map_err(|e| format!("connect: {e}"))?;
                continue;
            }
            Err(error) => return Err(error.to_string()),
        };
        if (next == Next::Data) == batch.items.is_empty() {
            return Err(format!("{next:?} with {} items", batch.items.len()));
        }
        if batch.items.len() > BATCH_MAX {
            return Err(format!("{} items at once", batch.items.len()));
        }
        for item in &batch.items {
            if let Item::Tick {
                tick,
                depth: Some(depth),
                ..
            } = item
                && *depth as usize >= batch.depths.len()
            {
                return Err(format!(
                    "tick of {:?} has no depth {depth}",
                    tick.instrument
                ));
            }
            if !known.contains(&instrument(item)) {
                return Err(format!("{:?} was not asked for", instrument(item)));
            }
            if let Some(last) = all.items.last()
                && number(item) <= number(last)
            {
                return Err(format!(
                    "number {} after number {}",
                    number(item),
                    number(last)
                ));
            }
            all.extend_from(&batch, 0..0);
            all.items.push(*item);
        }
        if next == Next::Ended {
            return Ok((all, true));
        }
    }
    Ok((all, false))
}

/// Checks a feed; the first rule that it breaks.
pub fn check(subject: &mut dyn Subject) -> Result<(), Broken> {
    let pulls = subject.pulls();
    let mut feed = subject.begin(0);
    let nature = feed.nature();
    let wanted = subject.wanted();
    ask(feed.as_mut(), &wanted)?;
    let (all, ended) = pull(feed.as_mut(), pulls)?;
    if all.items.is_empty() {
        return Err("it delivers nothing".into());
    }
    feed.stop();
    // After a stop it ends, or has nothing to say.
    for _ in 0..4 {
        let mut batch = Batch::default();
        match feed.next(Duration::ZERO, &mut batch) {
            Ok(Next::Ended) | Err(_) => break,
            Ok(Next::Idle) => {}
            Ok(Next::Data) => return Err("it delivers after it was stopped".into()),
        }
    }
    asks(subject, &wanted)?;
    let Nature::Replay { session, from } = nature else {
        return Ok(());
    };
    if from != 0 {
        return Err(format!("it begins at row {from} where 0 was asked for"));
    }
    if !ended {
        return Err("a replay does not end".into());
    }
    // Numbers are rows, and a replay from any of them gives exactly the rest.
    let count = all.items.len();
    for start in [1, count / 3, count - 1, count] {
        let first = all.items.get(start).map_or(u64::MAX, number);
        let mut again = subject.begin(first);
        if again.nature()
            != (Nature::Replay {
                session,
                from: first,
            })
        {
            return Err(format!("begun at row {first} it is {:?}", again.nature()));
        }
        ask(again.as_mut(), &wanted)?;
        let (rest, _) = pull(again.as_mut(), pulls)?;
        if rest.items != all.items[start.min(count)..] {
            return Err(format!("begun at row {first} it does not give the rest"));
        }
    }
    // Rows of one instrument keep the numbers that they have among all.
    let mut alone = subject.begin(0);
    let one = ask(alone.as_mut(), &wanted[..1])?;
    let (rows, _) = pull(alone.as_mut(), pulls)?;
    let of_one = all
        .items
        .iter()
        .filter(|item| one.contains(&instrument(item)));
    if !rows.items.iter().eq(of_one) {
        return Err(format!("asked for {} alone it gives other rows", wanted[0]));
    }
    Ok(())
}

/// What is asked for changes while it runs, and what it does not serve it names.
fn asks(subject: &mut dyn Subject, wanted: &[String]) -> Result<(), Broken> {
    let [first, .., last] = wanted else {
        return Err("`wanted` names less than two".into());
    };
    let mut feed = subject.begin(0);
    let unknown = "NOWHERE:NOTHING".to_owned();
    let twice = [first.clone(), unknown.clone(), first.clone()];
    let unserved = feed.ask(&twice).map_err(|e| format!("ask: {e}"))?;
    let [one] = unserved.as_slice() else {
        return Err(format!("asked for {unknown} it gives back {unserved:?}"));
    };
    if one.id != unknown || one.why.is_empty() {
        return Err(format!("asked for {unknown} it gives back {one:?}"));
    }
    if feed.instruments().len() != 1 {
        return Err(format!("asked for one it serves {:?}", feed.instruments()));
    }
    let mut seen = BTreeSet::new();
    for set in [&wanted[..1], wanted, std::slice::from_ref(last)] {
        let served = ask(feed.as_mut(), set)?;
        // A few pulls: the end of a replay is not to come meanwhile.
        let (given, ended) = pull(feed.as_mut(), subject.pulls() / 10)?;
        if let Some(item) = given
            .items
            .iter()
            .find(|i| !served.contains(&instrument(i)))
        {
            return Err(format!("asked for {set:?} it gives {item:?}"));
        }
        if given.items.is_empty() && !ended {
            return Err(format!("asked for {set:?} it gives nothing"));
        }
        seen.extend(given.items.iter().map(instrument));
    }
    if seen.len() < 2 {
        return Err("asked for more while it runs, it gives no more".into());
    }
    feed.stop();
    Ok(())
}
