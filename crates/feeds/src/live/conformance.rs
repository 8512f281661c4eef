//! What every feed keeps to, as a suite.

use std::time::Duration;

use super::{BATCH_MAX, Batch, Feed, FeedError, Item, Nature, Next};

/// A feed under test can be begun anew, from any of its rows.
pub trait Subject {
    /// A fresh feed; a replay begins at row `from`.
    fn begin(&mut self, from: u64) -> Box<dyn Feed>;
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

/// Pulls until the end or `pulls` times, and checks each pull.
fn pull(feed: &mut dyn Feed, pulls: usize) -> Result<(Batch, bool), Broken> {
    feed.connect().map_err(|e| format!("connect: {e}"))?;
    let known: Vec<_> = feed.instruments().to_vec();
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
            let instrument = match item {
                Item::Tick {
                    tick,
                    depth: Some(depth),
                    ..
                } if *depth as usize >= batch.depths.len() => {
                    return Err(format!(
                        "tick of {:?} has no depth {depth}",
                        tick.instrument
                    ));
                }
                Item::Tick { tick, .. } => tick.instrument,
                Item::Bar { bar, .. } => bar.instrument,
            };
            if !known.contains(&instrument) {
                return Err(format!("{instrument:?} is not one of its instruments"));
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
    if feed.instruments().is_empty() {
        return Err("it has no instruments".into());
    }
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
        let (rest, _) = pull(again.as_mut(), pulls)?;
        if rest.items != all.items[start.min(count)..] {
            return Err(format!("begun at row {first} it does not give the rest"));
        }
    }
    Ok(())
}
