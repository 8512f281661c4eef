//! A data directory that is damaged while the system is off, on paper: the start and `journal verify` agree. Each
//! damage is refused with its place, or the day ends as it would have without.

use std::sync::Arc;
use std::time::Duration;

use journal::{FileLogs, Logs};
use model::Timestamp;
use model::topic::{Channel, Namespace, Topic};
use runtime::dead_letters::{DeadLetters, LetterReason};

use crate::damage::{Kept, damage, is_placed, keep, lay};
use crate::days::{Life, repeated_order, write_paced};
use crate::harness::{World, assert_clear};
use crate::logs::{self, Journal};
use crate::process::{message, run};
use crate::running::{replay_world, until};
use crate::{Count, cases};

/// Ticks of two generated days.
const TICKS: usize = 90_000;

/// Two days on paper.
pub fn world() -> World {
    let world = replay_world(
        2,
        "\n[log]\nsync_interval_ms = 20\nsnapshot_interval_seconds = 1\n",
    );
    write_paced(&world, 6_000);
    world
}

/// The files of a session that was killed three times, last in its second day, and has dead letters.
pub fn killed(world: &World) -> Vec<Kept> {
    let data = world.path("base");
    for percent in [30, 55, 80] {
        let life = Life::begin(world, "paced.toml", "base", "paper");
        until("the market goes on", Duration::from_secs(120), || {
            data.join("market").is_dir() && logs::market(&data).len() >= TICKS * percent / 100
        });
        life.kill();
    }
    let all: Arc<dyn Logs> = Arc::new(FileLogs::existing(&data));
    let paper = Namespace::new("paper").unwrap();
    let mut letters = DeadLetters::open(all, &paper).unwrap();
    let topic = Topic::Broker(paper, Channel::OrdersUpdated);
    for number in 0..4 {
        let payload = format!("{{\"number\": {number}");
        let reason = LetterReason::Unreadable;
        let parked = letters.park(&topic, reason, "no JSON", payload.as_bytes(), Timestamp(5));
        parked.unwrap();
    }
    drop(letters);
    let files = keep(&data);
    let names = |what: &str| {
        files
            .iter()
            .filter(|f| f.path.display().to_string().contains(what))
            .count()
    };
    for what in [
        "market/snapshot-",
        "journal/paper/snapshot-",
        "confirmed.mark",
        "dlq/",
    ] {
        assert!(names(what) > 0, "there is no {what}");
    }
    files
}

#[test]
fn a_damage_is_refused_with_its_place_or_does_no_harm() {
    let world = world();
    let base = killed(&world);
    let go_on = |dir: &str, name: &str| {
        let args = ["run", "--config", "live.toml", "--data-dir", dir];
        run(&world, &args, name)
    };
    let whole = go_on("whole", "a day without kills");
    assert!(whole.ok, "{}", whole.stderr);
    lay(&base, &world.path("sound"));
    let sound = go_on("sound", "the undamaged directory");
    assert!(sound.ok, "{}", sound.stderr);
    let sound = Journal::read(&world.path("sound"), "paper");
    assert!(sound.starts > 3, "it was never restarted");
    let sound = sound.log_hash("paper");
    let whole = Journal::read(&world.path("whole"), "paper").log_hash("paper");
    assert_eq!(sound, whole, "killed and not");

    let (mut refused, mut harmless) = (0, 0);
    let test = "damages::a_damage_is_refused_with_its_place_or_does_no_harm";
    cases(test, &Count::Damages, 90, |random, name| {
        let mut files = base.clone();
        let (damaged, what) = damage(random, &mut files);
        lay(&files, &world.path("damaged"));
        let name = format!("{name}: {}: {what}", damaged[0].display());
        let args = [
            "journal",
            "verify",
            "--config",
            "live.toml",
            "--data-dir",
            "damaged",
        ];
        let verified = run(&world, &args, &name);
        let ran = go_on("damaged", &name);
        let said = format!(
            "{name}: {}{}: {}",
            verified.stdout, verified.stderr, ran.stderr
        );
        assert_eq!(verified.ok, ran.ok, "verify and the start differ: {said}");
        if ran.ok {
            harmless += 1;
            assert!(ran.stderr.contains("the replay is over"), "{said}");
            let journal = Journal::read(&world.path("damaged"), "paper");
            assert_eq!(journal.log_hash("paper"), sound, "other books: {said}");
            assert_eq!(repeated_order(&journal), None, "{said}");
            return;
        }
        refused += 1;
        let message = message(&ran);
        assert_clear(&[name.as_str()], &message);
        assert!(is_placed(&message, &damaged), "no place: {said}");
    });
    println!("damages: {refused} refused, {harmless} harmless with equal books");
}
