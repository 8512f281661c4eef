//! What the commands tell of markets and charges, through the real binary.

use serde_json::Value;

use crate::harness::World;
use crate::skip;

fn json(world: &World, args: &[&str]) -> Value {
    serde_json::from_str(&world.ok(args)).unwrap()
}

#[test]
fn a_markets_status_is_told_with_its_phase_end_and_reason() {
    let world = World::new();
    let status =
        |market: &str, at: &str| json(&world, &["market", "status", market, "--at", at, "--json"]);
    let auction = status("NSE:cash_fno", "2026-12-07T15:32");
    assert_eq!(auction["status"], "open");
    assert_eq!(auction["phase"], "closing_auction");
    assert_eq!(auction["takes"].to_string(), "[\"limit\",\"market\"]");
    assert_eq!(auction["ends"], "2026-12-07T15:40:00+05:30");
    let cash = status("NSE", "2026-12-07T15:32");
    assert_eq!(
        (&cash["status"], &cash["phase"]),
        (&"closed".into(), &Value::Null)
    );
    // The Sunday of the budget, by its instant in UTC.
    assert_eq!(status("NSE", "2026-02-01T05:00:00Z")["status"], "open");
    assert_eq!(
        status("NSE", "2026-11-08T18:00")["status"],
        "unknown",
        "Muhurat"
    );
    let gap = status("NFO", "2023-05-03");
    assert_eq!(gap["status"], "unknown");
    assert!(
        gap["why"]
            .as_str()
            .unwrap()
            .contains("does not cover 2023-05-03")
    );
    assert_eq!(status("CRYPTO", "2023-05-03")["status"], "open");
    let next = json(
        &world,
        &["market", "next", "US", "--at", "2026-11-26", "--json"],
    );
    assert_eq!(next["open"], "2026-11-27T09:30:00-05:00");
    assert_eq!(next["close"], "2026-11-27T13:00:00-05:00", "a half-day");
    // A file of the user's own.
    world.write(
        "late.toml",
        "[[closed]]\nexchanges = [\"NSE\"]\ndates = [\"2026-12-07\"]\nwhat = \"declared late\"\n",
    );
    world.write("panda.toml", "[markets]\ncalendar_file = \"late.toml\"\n");
    let late = status("NSE", "2026-12-07T11:00");
    assert_eq!(late["status"], "closed");
    assert_eq!(late["why"], "declared late");
    // What a day rests on, and what its hours rest on.
    let hours = world.ok(&["market", "hours", "NSE:cash_fno", "--at", "2026-12-08"]);
    let (day, times) = hours.split_once("; hours: ").unwrap();
    assert!(day.contains("grade"), "{hours}");
    assert!(times.contains("SEBI circular of 2026-10-15"), "{hours}");
    let hours = world.ok(&["market", "hours", "NFO", "--at", "2026-12-07"]);
    assert!(hours.contains("09:15 - 15:45  continuous"), "{hours}");
    world.refuses(&["market", "status", "NYX"], &["`NYX`", "known: NSE"]);
    world.refuses(
        &["market", "status", "NSE:fno"],
        &["no segment `fno`", "cash_fno"],
    );
    world.refuses(
        &["market", "status", "NSE", "--at", "noon"],
        &["--at", "`noon`", "2026-12-07T15:32"],
    );
}

fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        other => other.as_f64().unwrap(),
    }
}

/// The broker's own examples, all of July 2023.
#[test]
fn the_calculator_agrees_with_the_brokers_examples() {
    let Some(file) = skip::shared("kite-mocks/virtual_contract_note.json") else {
        return;
    };
    let text = std::fs::read_to_string(file).unwrap();
    let examples: Value = serde_json::from_str(&text).unwrap();
    let world = World::new();
    let mut seen = 0;
    for example in examples["data"].as_array().unwrap() {
        let text = |key: &str| example[key].as_str().unwrap();
        let (segment, underlying) = match text("tradingsymbol") {
            symbol if symbol.ends_with("FUT") => ("futures", Some("GOLDPETAL")),
            symbol if symbol.ends_with("PE") => ("options", Some("NIFTY")),
            _ => ("equity", None),
        };
        let product = match text("product") {
            "CNC" => "delivery",
            _ => "carry_forward",
        };
        let (side, quantity, price) = (
            text("transaction_type").to_lowercase(),
            example["quantity"].to_string(),
            example["price"].to_string(),
        );
        let mut args = vec![
            "charges",
            "--exchange",
            text("exchange"),
            "--segment",
            segment,
            "--product",
            product,
            "--side",
            &side,
            "--quantity",
            &quantity,
            "--price",
            &price,
            "--date",
            "2023-07-10",
            "--profile",
            "estimate",
            "--json",
        ];
        args.extend(underlying.iter().flat_map(|name| ["--underlying", *name]));
        let ours = json(&world, &args);
        let theirs = &example["charges"];
        for (mine, wanted) in [
            ("stt", &theirs["transaction_tax"]),
            ("exchange_turnover", &theirs["exchange_turnover_charge"]),
            ("sebi", &theirs["sebi_turnover_charge"]),
            ("brokerage", &theirs["brokerage"]),
            ("stamp_duty", &theirs["stamp_duty"]),
            ("gst", &theirs["gst"]["total"]),
            ("total", &theirs["total"]),
        ] {
            let (mine_is, wanted) = (number(&ours[mine]), number(wanted));
            assert!(
                (mine_is - wanted).abs() < 1e-9,
                "{mine} of {}: {mine_is} and {wanted}",
                text("tradingsymbol")
            );
            seen += 1;
        }
        let rates = ours["rates"].as_array().unwrap();
        assert!(
            rates
                .iter()
                .all(|rate| rate["source"] != "" && rate["grade"] != "")
        );
    }
    assert_eq!(seen, 21);
}

#[test]
fn the_calculator_shows_the_note_marks_what_is_unverified_and_names_gaps() {
    let world = World::new();
    let base = |date: &'static str, price: &'static str| {
        vec![
            "charges",
            "--exchange",
            "NSE",
            "--segment",
            "equity",
            "--product",
            "intraday",
            "--side",
            "sell",
            "--quantity",
            "10",
            "--price",
            price,
            "--date",
            date,
        ]
    };
    let mut args = base("2026-11-25", "1501.3");
    args.push("--json");
    let ours = json(&world, &args);
    assert_eq!(ours["notional"], "15013");
    // 0.025 % of it, and on the note in whole rupees.
    assert_eq!(ours["stt"], "3.75325");
    assert_eq!(ours["note"]["stt"], "4");
    let old = world.ok(&base("2021-04-15", "1501.3"));
    assert!(old.contains("UNVERIFIED"), "{old}");
    world.refuses(
        &base("2019-04-15", "1501.3"),
        &["NSE equity", "2019-04-15", "charges_file"],
    );
    for price in ["0", "-3"] {
        world.refuses(&base("2026-11-25", price), &["--price", "positive"]);
    }
    // Every component has its line, and what the close does to them its source too.
    let mut args = base("2026-11-25", "1501.3");
    args[8] = "buy";
    let bought = world.ok(&args);
    for line in [
        "stt",
        "not on this side",
        "exchange_turnover",
        "exchange + investor_protection",
        "rounded to 1: stamp_duty; UNVERIFIED unverified: recalled",
        "counts as intraday for brokerage, stt, stamp_duty; UNVERIFIED",
    ] {
        assert!(bought.contains(line), "{line}: {bought}");
    }
    args.push("--json");
    let bought = json(&world, &args);
    assert_eq!(bought["stt"], "0");
    let rules = bought["note_rules"].as_array().unwrap();
    assert!(rules.iter().any(|rule| rule["rule"] == "same_day"));
    assert!(rules.iter().any(|rule| rule["is_unverified"] == true));
}

#[test]
fn what_no_contract_note_shows_is_told_beside_it() {
    let world = World::new();
    let of = |product: &'static str, side: &'static str, more: &[&'static str]| {
        #[rustfmt::skip]
        let mut args = vec![
            "charges", "--exchange", "NSE", "--segment", "equity", "--quantity", "10", "--price", "1500",
            "--date", "2026-11-25", "--product", product, "--side", side,
        ];
        args.extend(more);
        args
    };
    let sold = json(&world, &of("delivery", "sell", &["--json"]));
    assert_eq!(sold["ledger"]["depository"], "13");
    assert_eq!(sold["ledger"]["fees_gst"], "2.34");
    assert_eq!(sold["ledger"]["total"], "15.34");
    let (note, paid) = (number(&sold["note"]["total"]), number(&sold["paid"]));
    assert!((paid - note - 15.34).abs() < 1e-9, "{note} {paid}");
    assert!(sold["note"].get("depository").is_none());
    let text = world.ok(&of("delivery", "sell", &[]));
    for part in ["on no contract note", "13 for each share and day", "paid"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // The broker's own calculator does not show it either, and a purchase pays none.
    let bought = json(&world, &of("delivery", "buy", &["--json"]));
    assert_eq!(bought["ledger"]["total"], "0");
    let estimate = json(
        &world,
        &of("delivery", "sell", &["--json", "--profile", "estimate"]),
    );
    assert!(estimate.get("ledger").is_none());
    let squared = json(&world, &of("intraday", "sell", &["--json", "--by-broker"]));
    assert_eq!(squared["ledger"]["call_and_trade"], "50");
    assert_eq!(squared["ledger"]["total"], "59");
}

#[test]
fn what_depends_on_the_underlying_is_said() {
    let world = World::new();
    let of = |underlying: &[&str]| {
        #[rustfmt::skip]
        let mut args = vec![
            "charges", "--exchange", "BSE", "--segment", "options", "--product", "intraday",
            "--side", "buy", "--quantity", "20", "--price", "100", "--json",
        ];
        args.extend(underlying);
        if !underlying.contains(&"--date") {
            args.extend(["--date", "2026-11-25"]);
        }
        let ran = world.panda(&args);
        assert!(ran.ok, "{}", ran.stderr);
        (
            serde_json::from_str::<Value>(&ran.stdout).unwrap(),
            ran.stderr,
        )
    };
    let (sensex, _) = of(&["--underlying", "sensex"]);
    assert_eq!(sensex["exchange_turnover"], "0.65");
    assert!(sensex.get("notice").is_none());
    let (later, said) = of(&["--underlying", "SENSEX", "--date", "2030-01-01"]);
    assert!(
        later["notice"]
            .to_string()
            .contains("the rates are those known on")
    );
    assert!(said.contains("what changes later"), "{said}");
    let (any, said) = of(&[]);
    assert_eq!(any["exchange_turnover"], "0.1");
    assert!(any["notice"].to_string().contains("BANKEX, SENSEX"));
    assert!(said.contains("warning: without --underlying"), "{said}");
}

#[test]
fn an_entry_that_would_never_count_is_refused() {
    let world = World::new();
    for (key, text, wanted) in [
        (
            "rules_file",
            "[[freeze]]\nexchange = \"NFOO\"\nfrom = \"2026-01-01\"\nquantities = { NIFTY = \"1800\" }\n",
            "`NFOO`",
        ),
        (
            "charges_file",
            "[[rate]]\ncomponent = \"stt\"\nexchanges = [\"NSX\"]\nsegments = [\"equity\"]\nfrom = \"2026-01-01\"\npercent = \"1\"\n",
            "`NSX`",
        ),
    ] {
        world.write("own.toml", text);
        world.write("panda.toml", format!("[markets]\n{key} = \"own.toml\"\n"));
        world.refuses(&["config", "check"], &["own.toml", wanted, "known: "]);
    }
}

#[test]
fn derivatives_are_found_under_their_exchanges_name() {
    let world = World::new();
    for (segment, name, code) in [("futures", "NSE", "NFO"), ("options", "BSE", "BFO")] {
        let of = |exchange: &str| {
            #[rustfmt::skip]
            let args = [
                "charges", "--exchange", exchange, "--segment", segment, "--product", "carry_forward",
                "--side", "sell", "--quantity", "65", "--price", "240", "--date", "2026-11-25", "--json",
            ];
            json(&world, &args)
        };
        assert_eq!(of(name), of(code), "{name} {segment}");
    }
}
