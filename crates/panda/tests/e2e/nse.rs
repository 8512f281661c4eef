//! The sample: three recorded days of the NSE, with the exact command of the documentation.

use std::path::{Path, PathBuf};

use crate::demo::check_result;
use crate::harness::{World, count, text};
use crate::skip;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

#[test]
fn the_sample_runs_as_documented_and_counts_the_dirt() {
    let root = root();
    if skip::shared("nse-ticks").is_none() {
        return;
    }
    let world = World::new();
    let run = |out: &str| {
        let place = world.path(out);
        let mut command = world.command();
        let args = "backtest --data ../shared/data/nse-ticks --instruments examples/nse/instruments.csv \
                    --strategy examples/nse/strategies.yaml --config examples/nse/panda.toml --broker paper --out";
        command
            .current_dir(&root)
            .args(args.split_whitespace())
            .arg(&place);
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        check_result(&world, out)
    };
    let first = run("first");
    for (key, wanted) in [("rows_read", 1_574_940), ("ticks", 1_404_205)] {
        assert_eq!(count(&first, key), wanted, "{key}");
    }
    for (reason, wanted) in [
        ("wrong_day", 83_881),
        ("backwards", 6_483),
        ("repeated", 70_200),
        ("outside_session", 10_171),
    ] {
        assert_eq!(count(&first["rows_rejected"], reason), wanted, "{reason}");
    }
    assert_eq!(
        first["by_strategy"].as_array().unwrap().len(),
        5,
        "every strategy traded"
    );
    assert_eq!(text(&first, "log_hash"), text(&run("second"), "log_hash"));
}
