//! Mutated files: market data, instruments, strategies, settings.

use std::fs;

use crate::harness::{World, assert_clear};
use crate::market::{self, Random};
use crate::mutation::{mutate, shown};
use crate::process::{message, run};
use crate::{Count, cases};

const STRATEGIES: &str = "\
- { id: cross, kind: ema_cross, instruments: [TCS], parameters: { fast: 2, slow: 5, quantity: 1 } }
- id: range
  kind: opening_range_breakout
  asset_classes: [equity]
  parameters: { quantity: 2 }
  risk: { daily_loss: 5000 }
";

const SETTINGS: &str = "\
[trading_engine.paper]
starting_cash = { INR = 500000 }
charges = { flat_rate = 0.0002 }
square_off_minutes_before_close = 10
[risk]
order_notional = { INR = 100000 }
daily_loss = 20000
[markets]
always_open = [\"NYSE\"]
";

#[test]
fn a_mutated_file_is_refused_in_clear_words_or_runs() {
    let world = World::new();
    let symbols = ["TCS", "INFY"];
    let day = market::day(&mut Random::new(5), 60, 40);
    let originals = [
        ("data/TCS.csv", market::csv("2021-04-15", &day)),
        ("instruments.csv", market::instruments(&symbols)),
        ("strategies.yaml", STRATEGIES.to_owned()),
        ("panda.toml", SETTINGS.to_owned()),
    ];
    for (name, text) in &originals {
        world.write(name, text);
    }
    world.write("data/INFY.csv", market::csv("2021-04-15", &day));
    world.backtest("data", "sound", &["--config", "panda.toml"]);

    let (mut refused, mut ran_through) = (0, 0);
    cases(
        "files::a_mutated_file_is_refused_in_clear_words_or_runs",
        &Count::Mutations,
        57,
        |random, name| {
            let (file, text) = &originals[random.below(4) as usize];
            let mutated = mutate(random, text.as_bytes());
            world.write(file, &mutated);
            let _absent = fs::remove_dir_all(world.path("out"));
            let mut args = crate::harness::base("data", "out");
            args.extend(["--config", "panda.toml"]);
            let ran = run(
                &world,
                &args,
                &format!("{name}: {file}: {}", shown(&mutated)),
            );
            if ran.ok {
                ran_through += 1;
                assert!(world.path("out/summary.json").is_file(), "{name}");
            } else {
                refused += 1;
                let told = message(&ran);
                let shown = shown(&mutated);
                assert_clear(&[name, file, shown.as_str()], &told);
                assert!(!world.path("out").exists(), "{name}: a result is left");
            }
            world.write(file, text);
        },
    );
    println!("files: {refused} refused, {ran_through} ran");
}
