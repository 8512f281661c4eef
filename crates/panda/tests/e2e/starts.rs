//! What a start refuses, its checks refuse in the same words; what they accept, it accepts.

use crate::harness::{World, count};
use crate::market;

const STRATEGIES: &str = "\
strategies:
  - id: trend
    kind: ema_cross
    instruments: [SIM:ALPHA]
    parameters: { fast: 2, slow: 4, quantity: 1, timeframe: 1s }
";
const SETTINGS: &str = "[strategies]\nfiles = [\"strategies.yaml\"]\n";

/// Runs the command, which must say yes or no as `wanted` is absent or given.
fn ask(world: &World, args: &[&str], wanted: &[&str], case: &str) {
    let ran = world.panda(args);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.ok, wanted.is_empty(), "{case:?}: {args:?}: {said}");
    for wanted in wanted {
        assert!(
            said.contains(wanted),
            "{case:?}: {args:?}: {said} lacks {wanted:?}"
        );
    }
}

const START: [&str; 5] = ["run", "--for", "1s", "--data-dir", "data"];
const CHECKS: [&[&str]; 2] = [&["config", "check"], &["doctor", "--data-dir", "data"]];
const OF_STRATEGIES: [&str; 5] = [
    "strategies",
    "--check",
    "strategies.yaml",
    "--instruments",
    "instruments.csv",
];

fn world(settings: &str, strategies: &str) -> World {
    let world = World::new();
    world.write("panda.toml", settings);
    world.write("strategies.yaml", strategies);
    world.write(
        "instruments.csv",
        "exchange,symbol,asset_class,currency,tick_size,lot_size,aliases\n\
         SIM,ALPHA,equity,INR,0.05,1,\nSIM,BETA,equity,INR,0.05,1,\n",
    );
    world
}

#[test]
fn a_wrong_strategy_is_refused_by_every_check_as_by_a_start() {
    let more = |line: &str| format!("{STRATEGIES}    {line}\n");
    let cases: [(String, &[&str]); 12] = [
        (
            more("risk: { capital: 5, daily_los: 3 }"),
            &["strategies.yaml:6", "strategy `trend`: risk", "capital"],
        ),
        (
            more("risk: { daily_los: 3 }"),
            &["strategies.yaml:6", "daily_los"],
        ),
        (
            more("risk: { daily_loss: -3 }"),
            &["strategy `trend`: risk", "daily_loss", "-3"],
        ),
        (
            more("risk: { order_notional: { XXX: 3 } }"),
            &["order_notional", "XXX"],
        ),
        (more("risk: { allow: [SIM:NONE] }"), &["allow", "SIM:NONE"]),
        (
            more("risk: { margin_fraction: { shares: 1 } }"),
            &["margin_fraction", "shares"],
        ),
        (more("risk: { on_breach: sell }"), &["on_breach"]),
        (
            more("brokers: [perhaps]"),
            &["strategies.yaml:6", "perhaps"],
        ),
        (more("product: margin"), &["strategies.yaml:6", "product"]),
        (
            STRATEGIES.replace("fast:", "fasst:"),
            &["strategies.yaml:5", "did you mean `fast`"],
        ),
        (
            STRATEGIES.replace("SIM:ALPHA", "SIM:OMICRON"),
            &["strategies.yaml:4", "SIM:OMICRON"],
        ),
        ("strategies: []\n".to_owned(), &["strategies.yaml"]),
    ];
    for (strategies, wanted) in cases {
        let world = world(SETTINGS, &strategies);
        for args in CHECKS.into_iter().chain([&OF_STRATEGIES[..], &START[..]]) {
            ask(&world, args, wanted, &strategies);
        }
    }
}

#[test]
fn wrong_settings_and_absent_files_are_refused_by_every_check_as_by_a_start() {
    let with = |more: &str| format!("{SETTINGS}{more}\n");
    let cases: [(String, &[&str]); 10] = [
        (
            "[strategies]\nfiles = [\"none.yaml\"]".to_owned(),
            &["none.yaml"],
        ),
        (
            format!("instruments = \"none.csv\"\n{SETTINGS}"),
            &["instruments = none.csv"],
        ),
        (with("[risk]\ndaily_los = 3"), &["daily_los"]),
        (
            with("[risk]\nallow = [\"SIM:NONE\"]"),
            &["allow", "SIM:NONE"],
        ),
        (
            with("[risk]\norder_notional = { XXX = 3 }"),
            &["order_notional", "XXX"],
        ),
        (with("[risk]\non_breach = \"sell\""), &["on_breach"]),
        (
            with("[feeds.past]\nsource = \"replay\"\npath = \"none\""),
            &["[feeds.past] path = `none`"],
        ),
        (
            with("[trading_engine.paper]\nkind = \"papper\""),
            &["papper"],
        ),
        (
            format!("active_brokers = [\"second\"]\n{SETTINGS}"),
            &["second"],
        ),
        (
            with("[markets]\ncalendar_file = \"none.toml\""),
            &["none.toml"],
        ),
    ];
    for (settings, wanted) in cases {
        let world = world(&settings, STRATEGIES);
        for args in CHECKS.into_iter().chain([&START[..]]) {
            ask(&world, args, wanted, &settings);
        }
    }
}

#[test]
fn what_is_right_is_accepted_by_every_check_and_starts() {
    let right = [
        (SETTINGS.to_owned(), STRATEGIES.to_owned()),
        (
            format!(
                "{SETTINGS}[risk]\ndaily_loss = 500\non_breach = {{ daily_loss = \"square_off\" }}\nallow = [\"SIM:ALPHA\"]\n"
            ),
            format!(
                "{STRATEGIES}    risk: {{ trades_per_day: 3, daily_loss: 7, on_breach: square_off }}\n"
            ),
        ),
        (
            format!("{SETTINGS}[trading_engine.second]\nkind = \"paper\"\n"),
            format!("{STRATEGIES}    brokers: [paper, second]\n"),
        ),
    ];
    for (settings, strategies) in right {
        let world = world(&settings, &strategies);
        for args in CHECKS.into_iter().chain([&OF_STRATEGIES[..], &START[..]]) {
            ask(&world, args, &[], &settings);
        }
    }
}

#[test]
fn out_of_the_box_the_rules_bind_and_what_is_off_is_named() {
    let world = world(
        SETTINGS,
        "- { id: c, kind: ema_cross, instruments: [TCS], parameters: { fast: 2, slow: 4, quantity: 100000 } }\n",
    );
    world.write("instruments.csv", market::instruments(&["TCS"]));
    let day = market::day(&mut market::Random::new(5), 60, 30);
    world.write("data/TCS.csv", market::csv("2021-04-15", &day));
    let summary = world.backtest("data", "out", &[]);
    assert_eq!(count(&summary, "fills"), 0, "{summary}");
    let text = summary.to_string();
    assert!(text.contains("order_notional"), "{text}");
    assert!(!text.contains("switched off"), "{text}");
    // Each rule binds alone, and is named once it is off.
    let rules = [
        ("order_notional = \"off\"\n", "position_notional"),
        ("position_notional = \"off\"\n", "gross_exposure"),
        ("gross_exposure = \"off\"\n", "insufficient_cash"),
        ("available_cash = false\n", "fills"),
    ];
    let mut off = "[risk]\n".to_owned();
    for (line, next) in rules {
        off.push_str(line);
        world.write("off.toml", &off);
        let summary = world.backtest("data", next, &["--config", "off.toml"]);
        let warnings = summary["warnings"].to_string();
        let named = line.split(' ').next().unwrap();
        assert!(
            warnings.contains("switched off: ") && warnings.contains(named),
            "{warnings}"
        );
        match next {
            "fills" => assert!(count(&summary, "fills") > 0, "{summary}"),
            code => assert!(summary.to_string().contains(code), "{code}: {summary}"),
        }
    }
    // A start and its check say the same line.
    let world = self::world(&format!("{SETTINGS}{off}"), STRATEGIES);
    let line = "switched off: order_notional, position_notional, gross_exposure, available_cash";
    for args in [&["doctor"][..], &START] {
        let ran = world.panda(args);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(ran.ok && said.contains(line), "{args:?}: {said}");
    }
}
