//! `--from`, `--to` and `--symbols`.

use crate::demo::check_result;
use crate::ema_ticks::{DATES, write_market};
use crate::harness::{World, base, count, sum, text};

#[test]
fn a_range_cuts_where_it_says_and_every_row_is_accounted_for() {
    let world = World::new();
    let ticks = write_market(&world, 41, 300, 60);
    world.write("panda.toml", "");
    world.write(
        "strategies.yaml",
        "- { id: cross, kind: ema_cross, asset_classes: [equity] }\n",
    );
    let second = |text: &str| -> u64 {
        let parts: Vec<u64> = text.split(':').map(|p| p.parse().unwrap()).collect();
        parts[0] * 3600 + parts[1] * 60 + parts[2]
    };
    let within = |from: Option<(&str, u64)>, to: Option<(&str, u64)>| -> u64 {
        let at = |m: &crate::ema_ticks::Merged| (m.date, m.tick.second);
        let kept = ticks
            .iter()
            .filter(|m| from.is_none_or(|from| at(m) >= from) && to.is_none_or(|to| at(m) < to));
        kept.count() as u64
    };
    let noon = second("10:30:00");
    let exact = ticks[500].tick.second;
    let utc = crate::market::utc(ticks[500].date, exact);
    let cases: [(&[&str], u64); 7] = [
        (&[], ticks.len() as u64),
        (&["--from", DATES[1]], within(Some((DATES[1], 0)), None)),
        (&["--to", DATES[1]], within(None, Some((DATES[1], 0)))),
        (
            &["--from", DATES[0], "--to", "2021-04-17"],
            ticks.len() as u64,
        ),
        (
            &[
                "--from",
                "2021-04-15T10:30:00+05:30",
                "--to",
                "2021-04-16T10:30:00+05:30",
            ],
            within(Some((DATES[0], noon)), Some((DATES[1], noon))),
        ),
        // The first instant is in, the end is not.
        (
            &["--from", &utc],
            within(Some((ticks[500].date, exact)), None),
        ),
        (
            &["--to", &utc],
            within(None, Some((ticks[500].date, exact))),
        ),
    ];
    let mut hashes = Vec::new();
    for (n, (args, wanted)) in cases.into_iter().enumerate() {
        let out = format!("out{n}");
        let mut more = vec!["--config", "panda.toml"];
        more.extend(args);
        world.backtest("data", &out, &more);
        let summary = check_result(&world, &out);
        assert_eq!(count(&summary, "ticks"), wanted, "{args:?}");
        assert_eq!(count(&summary, "rows_read"), ticks.len() as u64, "{args:?}");
        let left_out = summary["rows_rejected"]["outside_range"]
            .as_u64()
            .unwrap_or(0);
        assert_eq!(left_out, ticks.len() as u64 - wanted, "{args:?}");
        assert_eq!(sum(&summary, "rows_rejected"), left_out);
        hashes.push(text(&summary, "log_hash"));
    }
    hashes.sort();
    hashes.dedup();
    assert!(hashes.len() >= 6, "other ticks are another log");
}

#[test]
fn chosen_instruments_leave_the_other_files_unread() {
    let world = World::new();
    let ticks = write_market(&world, 42, 300, 60);
    world.write("panda.toml", "");
    world.write(
        "strategies.yaml",
        "- { id: cross, kind: ema_cross, instruments: [\"M&M\"] }\n",
    );
    let all = world.backtest("data", "all", &["--config", "panda.toml"]);
    let one = world.backtest(
        "data",
        "one",
        &["--config", "panda.toml", "--symbols", "MM"],
    );
    let own = ticks.iter().filter(|t| t.symbol == "M&M").count() as u64;
    assert_eq!((count(&one, "ticks"), count(&one, "rows_read")), (own, own));
    assert_eq!(all["net"], one["net"], "the others do not matter to it");
    assert!(
        one["warnings"].to_string().contains("skipped"),
        "{}",
        one["warnings"]
    );
}

#[test]
fn wrong_ranges_are_refused_and_empty_ones_are_said_to_be() {
    let world = World::new();
    write_market(&world, 43, 60, 60);
    world.write(
        "strategies.yaml",
        "- { id: cross, kind: ema_cross, asset_classes: [equity] }\n",
    );
    let refused: [(&[&str], &[&str]); 7] = [
        (
            &["--from", "tomorrow"],
            &["--from", "`tomorrow`", "2021-04-15"],
        ),
        (&["--to", "2021-13-01"], &["--to", "`2021-13-01`"]),
        (
            &["--from", "2021-04-16", "--to", "2021-04-15"],
            &["empty", "--to"],
        ),
        (
            &["--from", "2021-04-16", "--to", "2021-04-16"],
            &["empty", "--to"],
        ),
        (&["--symbols", "TCSS"], &["--symbols", "`TCSS`"]),
        (&["--broker", "zerodha"], &["`zerodha`", "paper"]),
        (&["--broker", ""], &["--broker"]),
    ];
    for (more, wanted) in refused {
        let mut args = base("data", "out");
        args.extend(more);
        world.refuses(&args, wanted);
    }
    // Nothing to run on is no error, but nobody should have to find out by themselves.
    let mut args = base("data", "out");
    args.extend(["--from", "2022-01-01"]);
    let ran = world.panda(&args);
    assert!(ran.ok, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("warning: ") && ran.stderr.contains("no tick"),
        "{}",
        ran.stderr
    );
    let summary = check_result(&world, "out");
    assert_eq!(
        (count(&summary, "ticks"), count(&summary, "orders")),
        (0, 0)
    );
}
