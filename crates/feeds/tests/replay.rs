//! Replays of recorded data: the contract of feeds, the chosen start, and the pace.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod common;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{cleaning, load, registry, write};
use feeds::LoadOptions;
use feeds::live::conformance::{Subject, check};
use feeds::live::{Batch, Feed, Next, Pace, Replay, ReplayRange, Speed};
use model::Timestamp;

const SYMBOLS: [&str; 2] = ["INFY", "TCS"];

fn raw(root: &Path) {
    for symbol in SYMBOLS {
        let mut text = String::from("timestamp,ltp,volume\n");
        for n in 0..900 {
            let (minute, second) = (15 + n / 60, n % 60);
            let _infallible = writeln!(
                text,
                "2021-04-15 09:{minute:02}:{second:02},{}.5,{n}",
                100 + n % 7
            );
        }
        write(root, &format!("2021-04-15/{symbol}.csv"), &text);
    }
}

fn replay(root: &Path, range: ReplayRange, speed: Speed, pace: Box<dyn Pace>) -> Replay {
    let instruments = registry(&SYMBOLS);
    let loaded = load(root, &instruments, &LoadOptions::new(cleaning())).unwrap();
    // The session knows one more, which comes first.
    let known = Arc::new(registry(&["AAA", SYMBOLS[0], SYMBOLS[1]]));
    let of = |id: &str| known.find(id).ok();
    let map = instruments.iter().map(|(_, i)| of(&i.id)).collect();
    Replay::with_pace("recorded", loaded, known, map, range, speed, pace)
}

/// Time that passes only by sleeping.
#[derive(Clone, Default)]
struct Slept(Arc<AtomicU64>);

impl Pace for Slept {
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
    fn sleep(&self, time: Duration) {
        self.0.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }
}

fn ids() -> Vec<String> {
    let all = registry(&SYMBOLS);
    all.iter().map(|(_, i)| i.id.clone()).collect()
}

struct Recorded(tempfile::TempDir);

impl Subject for Recorded {
    fn begin(&mut self, from: u64) -> Box<dyn Feed> {
        let range = ReplayRange {
            from_row: from,
            ..ReplayRange::default()
        };
        Box::new(replay(
            self.0.path(),
            range,
            // A row a pull, about.
            Speed::Times(100.0),
            Box::new(Slept::default()),
        ))
    }
    fn wanted(&self) -> Vec<String> {
        ids()
    }
}

#[test]
fn a_replay_keeps_the_contract_of_feeds_from_any_row() {
    let dir = tempfile::tempdir().unwrap();
    raw(dir.path());
    check(&mut Recorded(dir)).unwrap();
}

/// Pulls everything. The rows, and the time that passed.
fn drain(mut feed: Replay, pace: &Slept) -> (usize, Duration) {
    let mut rows = 0;
    let mut batch = Batch::default();
    let unserved = feed.ask(&[&ids()[..], &["NSE:AAA".to_owned()]].concat());
    let unserved = unserved.unwrap();
    assert!(
        unserved[0].id == "NSE:AAA" && unserved[0].why.contains("no rows"),
        "{unserved:?}"
    );
    feed.connect().unwrap();
    loop {
        batch.clear();
        let next = feed.next(Duration::from_millis(50), &mut batch).unwrap();
        rows += batch.items.len();
        if next == Next::Ended {
            return (rows, pace.elapsed());
        }
    }
}

#[test]
fn a_replay_runs_at_its_pace_and_begins_where_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    raw(dir.path());
    let run = |range, speed| {
        let pace = Slept::default();
        drain(
            replay(dir.path(), range, speed, Box::new(pace.clone())),
            &pace,
        )
    };
    let whole = ReplayRange::default();
    assert_eq!(run(whole, Speed::Max), (1800, Duration::ZERO));
    // From the first row to the last are 899 seconds.
    let (rows, took) = run(whole, Speed::Times(1.0));
    assert_eq!((rows, took.as_secs()), (1800, 899));
    let (rows, took) = run(whole, Speed::Times(10.0));
    assert_eq!((rows, took.as_millis()), (1800, 89_900));
    let zone = feeds::clock::time_zone("Asia/Kolkata").unwrap();
    let late = ReplayRange {
        from: feeds::clock::parse_bound("2021-04-15T09:29:00+05:30", &zone).unwrap(),
        to: Timestamp::MAX,
        ..whole
    };
    let (rows, took) = run(late, Speed::Times(1.0));
    assert_eq!((rows, took.as_secs()), (120, 59));
}
