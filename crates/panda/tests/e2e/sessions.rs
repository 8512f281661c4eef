//! What no calendar covers is refused, or assumed and said.

use jiff::ToSpan;

use crate::harness::{World, base};
use crate::market::{self, Random};

/// A day of ticks on a date that the embedded calendar does not cover.
fn world() -> World {
    let world = World::new();
    world.write("instruments.csv", market::instruments(&["TCS"]));
    let day = market::day(&mut Random::new(8), 500, 20);
    world.write("data/TCS.csv", market::csv("2023-05-03", &day));
    world.write(
        "strategies.yaml",
        "- { id: c, kind: ema_cross, asset_classes: [equity], parameters: { fast: 2, slow: 5, quantity: 1 } }\n",
    );
    world
}

fn args(config: &str) -> Vec<&str> {
    let mut args = base("data", "out");
    args.extend(["--config", config]);
    args
}

#[test]
fn a_backtest_over_unknown_dates_is_refused_or_says_what_it_assumed() {
    let world = world();
    world.write("none.toml", "");
    world.refuses(
        &args("none.toml"),
        &["500 rows", "calendar_file", "assume = [\"weekdays\"]"],
    );
    world.write("assumed.toml", "[markets]\nassume = \"weekdays\"\n");
    world.ok(&args("assumed.toml"));
    let summary = world.json("out/summary.json");
    assert_eq!(summary["ticks"], 500);
    let warnings = summary["warnings"].to_string();
    assert!(
        warnings.contains("assumed that every weekday") && warnings.contains("NSE:cash"),
        "{warnings}"
    );
    assert!(
        world
            .read("out/report.html")
            .contains("assumed that every weekday"),
        "the report says so too"
    );
    // A Saturday is none, whatever is assumed.
    let day = market::day(&mut Random::new(8), 500, 20);
    world.write("data/TCS.csv", market::csv("2023-05-06", &day));
    world.ok(&args("assumed.toml"));
    let summary = world.json("out/summary.json");
    assert_eq!(summary["rows_rejected"]["outside_session"], 500);
}

#[test]
fn a_charge_that_nobody_knows_is_refused_by_name() {
    let world = world();
    let day = market::day(&mut Random::new(8), 500, 20);
    world.write("data/TCS.csv", market::csv("2021-04-15", &day));
    world.write(
        "known.toml",
        "[trading_engine.paper]\ncharges = \"contract_note\"\n",
    );
    world.write("free.toml", "");
    world.ok(&args("free.toml"));
    let warnings = world.json("out/summary.json")["warnings"].to_string();
    assert!(warnings.contains("costs nothing on `paper`"), "{warnings}");
    world.ok(&args("known.toml"));
    let summary = world.json("out/summary.json");
    let warnings = summary["warnings"].to_string();
    assert!(!warnings.contains("costs nothing"), "{warnings}");
    assert_ne!(summary["charges"], "0", "{summary}");
    world.write(
        "instruments.csv",
        "id,asset_class,currency,tick_size,expiry,aliases\nNFO:TCS21APRFUT,futures,INR,0.05,2021-04-29,TCS\n",
    );
    world.write(
        "strategies.yaml",
        "- { id: c, kind: ema_cross, asset_classes: [futures], parameters: { fast: 2, slow: 5, quantity: 1 } }\n",
    );
    world.refuses(
        &args("known.toml"),
        &[
            "[trading_engine.paper]",
            "contract_note",
            "NFO futures",
            "charges_file",
            "earliest_rates",
        ],
    );
    // What a contract is written on decides over its end, its hours and its cost.
    world.write(
        "instruments.csv",
        "id,asset_class,currency,tick_size,expiry\nNFO:TCS,futures,INR,0.05,2021-04-29\n",
    );
    world.refuses(
        &args("free.toml"),
        &["NFO:TCS", "cannot be read from its symbol", "NIFTY26DECFUT"],
    );
}

#[test]
fn days_within_a_file_are_looked_at_one_by_one() {
    let world = world();
    let rows = |date: &str| market::csv(date, &market::day(&mut Random::new(8), 500, 20));
    let all = |dates: &[&str]| {
        let mut text = String::new();
        for (at, date) in dates.iter().enumerate() {
            let rows = rows(date);
            let (head, body) = rows.split_once('\n').unwrap();
            if at == 0 {
                text = format!("{head}\n");
            }
            text.push_str(body);
        }
        text
    };
    world.write("assumed.toml", "[markets]\nassume = \"weekdays\"\n");
    world.write("none.toml", "");
    let said = |config: &str| {
        world.ok(&args(config));
        world.json("out/summary.json")["warnings"].to_string()
    };
    // A gap strictly within a file.
    let dates = all(&["2021-06-10", "2023-05-03", "2025-06-10"]);
    world.write("data/TCS.csv", dates);
    let warnings = said("assumed.toml");
    assert!(
        warnings.contains("assumed that every weekday"),
        "{warnings}"
    );
    assert!(
        warnings.contains("NSE:cash ") && !warnings.contains("NFO"),
        "{warnings}"
    );
    assert_eq!(world.json("out/summary.json")["ticks"], 1_500);
    world.refuses(&args("none.toml"), &["500 rows of 2023-05-03", "weekdays"]);
    // Days on which the market was closed, and a session that was announced without its time.
    world.write(
        "data/TCS.csv",
        all(&["2026-11-06", "2026-11-08", "2026-12-25"]),
    );
    let warnings = said("assumed.toml");
    assert!(
        warnings.contains("500 rows of 2026-11-08 were left out: a session was announced"),
        "{warnings}"
    );
    assert!(
        warnings.contains("500 rows of 2026-12-25 were left out: the calendar says"),
        "{warnings}"
    );
    let rejected = &world.json("out/summary.json")["rows_rejected"];
    assert_eq!(
        (&rejected["outside_session"], &rejected["unknown_session"]),
        (&500.into(), &500.into())
    );
    world.refuses(
        &args("none.toml"),
        &["500 rows of 2026-11-08", "calendar_file"],
    );
}

#[test]
fn a_live_session_guesses_nothing() {
    let world = World::new();
    let refused = |wanted: &[&str]| {
        let ran = world.panda(&["run"]);
        assert!(!ran.ok);
        for wanted in wanted {
            assert!(ran.stderr.contains(wanted), "{} lacks {wanted}", ran.stderr);
        }
    };
    world.write("panda.toml", "[markets]\nassume = \"weekdays\"\n");
    refused(&["[markets] assume", "live session"]);
    world.write("panda.toml", "instruments = \"instruments.csv\"\n");
    world.write("instruments.csv", "id,currency\nMOON:TCS,INR\n");
    refused(&["MOON", "calendar_file", "always_open"]);
}

#[test]
fn the_doctor_says_when_a_calendar_ends_and_a_start_refuses_a_day_that_it_does_not_know() {
    let world = World::new();
    world.write(
        "panda.toml",
        "instruments = \"instruments.csv\"\n[markets]\ncalendar_file = \"calendar.toml\"\n",
    );
    world.write("instruments.csv", "id,currency\nMOON:TCS,INR\n");
    let today = jiff::Zoned::now().date();
    let ends_in = |days: i64| {
        let end = today.checked_add(days.days()).unwrap();
        let calendar = market::calendar("MOON").replace("2030-12-31", &end.to_string());
        world.write("calendar.toml", calendar);
        let ran = world.panda(&["doctor"]);
        let line = ran
            .stdout
            .lines()
            .find(|line| line.contains("calendar MOON"));
        line.unwrap_or_else(|| panic!("{} {}", ran.stdout, ran.stderr))
            .to_owned()
    };
    let soon = ends_in(30);
    assert!(
        soon.starts_with("warn") && soon.contains("it ends on"),
        "{soon}"
    );
    let late = ends_in(100);
    assert!(late.starts_with("ok"), "{late}");
    let over = ends_in(-10);
    assert!(
        over.starts_with("FAIL") && over.contains("calendar_file"),
        "{over}"
    );
    let ran = world.panda(&["run"]);
    assert!(
        !ran.ok && ran.stderr.contains("does not know"),
        "{}",
        ran.stderr
    );
}

#[test]
fn what_a_start_refuses_the_doctor_fails() {
    let world = World::new();
    world.write("instruments.csv", "id,currency\nNSE:TCS,INR\nUS:F,USD\n");
    // The exchange's day, and the next where midnight comes meanwhile.
    let now = jiff::Zoned::now().in_tz("Asia/Kolkata").unwrap();
    let (today, tomorrow) = (now.date(), now.tomorrow().unwrap().date());
    world.write(
        "calendar.toml",
        format!(
            "[[special]]\nexchanges = [\"NSE\"]\ndates = [\"{today}\", \"{tomorrow}\"]\nwhat = \"Muhurat\"\n"
        ),
    );
    world.write(
        "strategies.yaml",
        "- { id: c, kind: ema_cross, instruments: [\"US:F\"], product: intraday, parameters: { fast: 2, slow: 5, quantity: 1 } }\n",
    );
    let head = "instruments = \"instruments.csv\"\n[strategies]\nfiles = [\"strategies.yaml\"]\n";
    let charged = "[trading_engine.paper]\ncharges = \"contract_note\"\n";
    for (rest, wanted) in [
        ("[markets]\nassume = \"weekdays\"\n", "live session"),
        ("[markets]\ncalendar_file = \"calendar.toml\"\n", "Muhurat"),
        (charged, "`sec_fee`"),
    ] {
        world.write("panda.toml", format!("{head}{rest}"));
        let doctor = world.panda(&["doctor"]);
        let failed = doctor.stdout.lines().find(|line| line.starts_with("FAIL"));
        let failed = failed.unwrap_or_else(|| panic!("{rest}: {}", doctor.stdout));
        assert!(
            failed.contains("market facts") && failed.contains(wanted),
            "{failed}"
        );
        assert!(!doctor.ok);
        let ran = world.panda(&["run", "--for", "1s"]);
        assert!(!ran.ok && ran.stderr.contains(wanted), "{}", ran.stderr);
    }
}
