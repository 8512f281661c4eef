//! A replay on paper that is killed at any time, and begun again, ends with the events of one that was left alone.

use std::time::{Duration, Instant};

use crate::days::{Chance, Life, pace, repeated_order, said, write_paced};
use crate::harness::World;
use crate::logs::Journal;
use crate::running::replay_world;
use crate::{Count, seed};

/// What a day came to: decided again the same from its records, no order submitted twice.
fn outcome(world: &World, config: &str, dir: &str) -> (String, usize) {
    let args = ["journal", "verify", "--replay", "--config", config];
    world.ok(&[args.as_slice(), &["--data-dir", dir]].concat());
    let journal = Journal::read(&world.path(dir), "paper");
    assert_eq!(repeated_order(&journal), None, "{dir}");
    (journal.log_hash("paper"), journal.starts)
}

#[test]
fn a_replay_that_is_killed_ends_as_one_that_was_not() {
    let (seed, kills) = (seed(), Count::Kills.get());
    let began = Instant::now();
    let world = replay_world(
        1,
        "\n[log]\nsync_interval_ms = 20\nsnapshot_interval_seconds = 1\n",
    );
    write_paced(&world, pace(kills));
    Life::begin(&world, "live.toml", "whole", "paper").complete(&world, "whole");
    let (whole, _) = outcome(&world, "live.toml", "whole");
    let mut chance = Chance(seed);
    let (mut made, mut days, mut starts) = (0, 0, 0);
    while made < kills {
        days += 1;
        let dir = format!("killed{days}");
        // One day takes some of the kills; what is left of them goes to the next.
        let mut is_over = false;
        while made < kills && !is_over {
            let mut life = Life::begin(&world, "paced.toml", &dir, "paper");
            // Often in the start, now and then after a snapshot.
            let within = match chance.below(8) {
                0 => 2_500_000,
                1..=3 => 1_000_000,
                _ => 400_000,
            };
            std::thread::sleep(Duration::from_micros(chance.below(within)));
            if let Some(status) = life.child.try_wait().unwrap() {
                assert!(status.success(), "seed {seed}: {}", said(&world, &dir));
                is_over = true;
                continue;
            }
            life.kill();
            made += 1;
        }
        Life::begin(&world, "live.toml", &dir, "paper").complete(&world, &dir);
        let (killed, lives) = outcome(&world, "live.toml", &dir);
        assert_eq!(killed, whole, "seed {seed}: {dir}: {}", said(&world, &dir));
        starts += lives;
    }
    println!(
        "replay_kills: seed {seed}: {made} kills on {days} days in {:.1} s, {starts} starts recorded",
        began.elapsed().as_secs_f64()
    );
}
