//! Strategy files: what they give, and what they are told.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use model::signal::Product;
use model::{AssetClass, Instrument, Instruments};
use strategies::{DefinitionError, KindRegistry, ResolvedStrategy, Scope, parse, resolve};

fn instruments() -> Instruments {
    let share = |symbol: &str| Instrument::share("NSE", symbol, "INR".parse().unwrap());
    let mut future = share("NIFTYFUT");
    future.asset_class = AssetClass::Futures;
    Instruments::new(vec![share("RELIANCE"), share("INFY"), share("TCS"), future]).unwrap()
}

fn load(files: &[(&str, &str)]) -> Result<Vec<ResolvedStrategy>, DefinitionError> {
    let mut definitions = Vec::new();
    for (name, text) in files {
        definitions.extend(parse(name, text)?);
    }
    resolve(definitions, &instruments(), &KindRegistry::built_in())
}

fn refusal(text: &str) -> String {
    load(&[("s.yaml", text)]).unwrap_err().to_string()
}

const FULL: &str = "\
strategies:
  # one of everything
  - id: trend
    kind: ema_cross
    instruments: [TCS, NSE:INFY]
    brokers: [paper, zerodha]
    parameters: {fast: 5, slow: 10, quantity: 1234567890.12345678, timeframe: 1m}
    risk:
      max_order_notional: 0.1
      max_orders: 7
      allow: {list: [1.50]}
    product: delivery
    warm_up: 50
  - id: all-shares
    kind: vwap_reversion
    asset_classes: [equity]
    enabled: false
";

#[test]
fn a_file_gives_its_strategies_in_the_order_of_their_ids() {
    let loaded = load(&[("s.yaml", FULL)]).unwrap();
    let [all, trend] = loaded.as_slice() else {
        unreachable!("{}", loaded.len())
    };
    assert_eq!(
        (all.id(), all.scope(), all.enabled()),
        ("all-shares", Scope::PerBroker, false)
    );
    assert_eq!(all.instruments.len(), 3);
    assert_eq!(
        (trend.id(), trend.scope(), trend.product()),
        ("trend", Scope::Shared, Product::Delivery)
    );
    assert_eq!(
        trend.parameters.quantity("quantity").unwrap().to_string(),
        "1234567890.12345678"
    );
    let risk = trend.definition.risk.as_ref().unwrap();
    let wanted = serde_json::json!({"max_order_notional": "0.1", "max_orders": 7, "allow": {"list": ["1.50"]}});
    assert_eq!(risk.value, wanted);
    assert_eq!(risk.at.to_string(), "s.yaml:8");
    let instance = trend.build().unwrap();
    assert_eq!(trend.subscription(instance.as_ref()).warm_up, 50);
    // Canonical ids and every effective parameter.
    assert!(
        trend
            .digest_text
            .contains(r#""instruments":["NSE:INFY","NSE:TCS"]"#),
        "{}",
        trend.digest_text
    );
    assert!(
        all.digest_text.contains(r#""settle":"30""#),
        "{}",
        all.digest_text
    );
}

#[test]
fn order_and_spelling_do_not_matter_but_values_do() {
    let base =
        "- {id: a, kind: rsi, instruments: [TCS, INFY], parameters: {period: 14, oversold: 30.0}}";
    let same = "strategies:\n- parameters: {oversold: '30'}\n  instruments:\n  - NSE:INFY\n  - NSE:TCS\n  kind: rsi\n  id: a\n";
    let other = "- {id: a, kind: rsi, instruments: [TCS, INFY], parameters: {period: 15}}";
    let digest = |text| load(&[("s.yaml", text)]).unwrap().remove(0).digest_text;
    assert_eq!(digest(base), digest(same));
    assert_ne!(digest(base), digest(other));
    let two = "- {id: b, kind: rsi, asset_classes: [equity]}";
    let ids = |files: &[(&str, &str)]| -> Vec<String> {
        load(files)
            .unwrap()
            .iter()
            .map(|s| s.id().to_owned())
            .collect()
    };
    assert_eq!(
        ids(&[("1", base), ("2", two)]),
        ids(&[("2", two), ("1", base)])
    );
}

#[test]
fn pairs_keeps_the_order_it_is_given() {
    let pair = |list| format!("- {{id: p, kind: pairs, instruments: {list}}}");
    let slots = |text: String| load(&[("s.yaml", &text)]).unwrap().remove(0).instruments;
    let forward = slots(pair("[TCS, INFY]"));
    assert_eq!(
        forward.iter().rev().copied().collect::<Vec<_>>(),
        slots(pair("[INFY, TCS]"))
    );
    assert_eq!(
        refusal(&pair("[TCS]")),
        "s.yaml:1: strategy `p`: pairs needs exactly 2 instruments in `instruments`, but 1 are listed",
    );
}

#[test]
fn messages_name_the_place_the_key_and_the_fix() {
    let body =
        |rest: &str| format!("- id: fast-cross\n  kind: ema_cross\n  instruments: [TCS]\n{rest}");
    let cases: &[(String, &str)] = &[
        (
            body("  parameters:\n    slow: 20\n    fst: 5\n"),
            "s.yaml:6: strategy `fast-cross`: unknown parameter `fst`; did you mean `fast`? (ema_cross takes fast, slow, quantity, timeframe)",
        ),
        (
            body("  parameters:\n    fast: 5.5\n"),
            "s.yaml:5: strategy `fast-cross`: parameter `fast`: `5.5` is not a whole number from 1 to 1000000",
        ),
        (
            body("  parameters: {quantity: -1}\n"),
            "s.yaml:4: strategy `fast-cross`: parameter `quantity`: `-1` is not a positive quantity of at most 10000000000 with at most 8 decimals",
        ),
        (
            body("  parameters: {quantity: 0.123456789}\n"),
            "s.yaml:4: strategy `fast-cross`: parameter `quantity`: `0.123456789` is not a positive quantity of at most 10000000000 with at most 8 decimals: more than 8 decimals",
        ),
        (
            body("  parameters: {timeframe: 1w}\n"),
            "s.yaml:4: strategy `fast-cross`: parameter `timeframe`: `1w` is not `tick` or the length of a bar such as `30s`, `1m`, `1h`, `1d`",
        ),
        (
            body("  parameters: {fast: 20, slow: 10}\n"),
            "s.yaml:1: strategy `fast-cross`: `fast` (20) must be less than `slow` (10)",
        ),
        (
            body("  parameters: [1]\n"),
            "s.yaml:4: strategy `fast-cross`: `parameters` must be a mapping of names to values, not a list",
        ),
        (
            body("  brokr: [paper]\n"),
            "s.yaml:4: strategy `fast-cross`: unknown key `brokr`; did you mean `brokers`? (a definition takes id, kind, instruments, asset_classes, brokers, parameters, risk, product, warm_up, missed_timers, enabled)",
        ),
        (
            body("  brokers: paper\n"),
            "s.yaml:4: strategy `fast-cross`: `brokers` must be a list: write `brokers: [paper]`",
        ),
        (
            body("  product: overnight\n"),
            "s.yaml:4: strategy `fast-cross`: `product` must be one of intraday, delivery, carry_forward, not `overnight`",
        ),
        (
            body("  asset_classes: [futures]\n"),
            "s.yaml:3: strategy `fast-cross`: instrument `NSE:TCS` is of class equity, which `asset_classes` does not name",
        ),
        (
            body("  warm_up: -1\n"),
            "s.yaml:4: strategy `fast-cross`: `warm_up`: `-1` is not a number of inputs",
        ),
        (
            body("  enabled: maybe\n"),
            "s.yaml:4: strategy `fast-cross`: `enabled` must be one of true, false, not `maybe`",
        ),
        (
            "- id: a\n  kind: ema_crss\n".into(),
            "s.yaml:2: strategy `a`: unknown kind `ema_crss`; did you mean `ema_cross`? (known: ema_cross, low_frequency_demo, mean_reversion, momentum, opening_range_breakout, pairs, rsi, vwap_reversion)",
        ),
        (
            "- id: a\n  kind: rsi\n  instruments:\n  - NSE:TCSS\n".into(),
            "s.yaml:4: strategy `a`: instrument `NSE:TCSS` does not exist; did you mean NSE:TCS?",
        ),
        (
            "- id: a\n  kind: rsi\n".into(),
            "s.yaml:1: strategy `a`: names neither `instruments` nor `asset_classes`: give one of them",
        ),
        (
            "- id: a\n  kind: rsi\n  asset_classes: [shares]\n".into(),
            "s.yaml:3: strategy `a`: unknown asset class `shares`; known: equity, futures, options, currency, commodity, crypto",
        ),
        (
            "- id: a\n  kind: rsi\n  asset_classes: [crypto]\n".into(),
            "s.yaml:1: strategy `a`: there is no instrument of class crypto",
        ),
        (
            "- id: manual\n  kind: rsi\n".into(),
            "s.yaml:1: `manual` is reserved for trades made by hand: give the strategy another id",
        ),
        (
            "- id: Fast\n  kind: rsi\n".into(),
            "s.yaml:1: `Fast` cannot be a strategy's id: use lower-case letters, digits, `_` and `-`, starting with a letter",
        ),
        (
            "- kind: rsi\n".into(),
            "s.yaml:1: the definition has no `id`: give it a name of its own",
        ),
        (
            "strategy:\n- id: a\n".into(),
            "s.yaml:1: unknown key `strategy`; did you mean `strategies`? (a strategy file holds `strategies`, a list)",
        ),
        (
            "# nothing\n".into(),
            "s.yaml:2: the file holds no strategies",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(refusal(text), *message, "\n{text}");
    }
}

#[test]
fn broken_yaml_names_line_and_column() {
    for (text, place) in [
        ("- id: a\n  kind: [rsi\n- id: b\n", "s.yaml:3:"),
        ("- id: a\n  kind: rsi\n  kind: rsi\n", "s.yaml:3:3: "),
        ("- id: a\n\tkind: rsi\n", "s.yaml:1:"),
    ] {
        let message = refusal(text);
        assert!(
            message.starts_with(place) && !message.contains('\n'),
            "{message}"
        );
        assert!(matches!(
            parse("s.yaml", text),
            Err(DefinitionError::Syntax { .. })
        ));
    }
    let deep = format!(
        "- id: a\n  risk: {}{}\n",
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    assert!(matches!(
        parse("s.yaml", &deep),
        Err(DefinitionError::Syntax { .. })
    ));
    let mut laughs = String::from("- a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let many = vec![format!("*a{}", i - 1); 10].join(", ");
        laughs.push_str(&format!("- a{i}: &a{i} [{many}]\n"));
    }
    assert!(matches!(
        parse("s.yaml", &laughs),
        Err(DefinitionError::Syntax { .. })
    ));
}

#[test]
fn anchors_serve_and_lines_are_those_of_the_use() {
    let text = "\
- id: a
  kind: ema_cross
  instruments: &list [TCS]
  parameters: &p {quantity: 0.1, fast: 3}
- {id: b, kind: ema_cross, instruments: *list, parameters: *p}
";
    let loaded = load(&[("s.yaml", text)]).unwrap();
    assert_eq!(
        loaded[1]
            .parameters
            .quantity("quantity")
            .unwrap()
            .to_string(),
        "0.1"
    );
}

#[test]
fn an_id_is_used_once_over_all_files() {
    let text = "- {id: a, kind: rsi, asset_classes: [equity]}";
    assert_eq!(
        load(&[("one.yaml", text), ("two.yaml", text)])
            .unwrap_err()
            .to_string(),
        "two.yaml:1: strategy `a` is already defined at one.yaml:1; give one of them another id",
    );
}

#[test]
fn unknown_brokers_stop_and_inactive_ones_are_skipped() {
    let strategy = &load(&[("s.yaml", FULL)]).unwrap()[1];
    let check = |known: &[&str], active: &[&str]| strategy.definition.check_brokers(known, active);
    let skipped = check(&["paper", "zerodha"], &["paper"]).unwrap();
    assert_eq!(skipped.len(), 1);
    assert_eq!(
        skipped[0].to_string(),
        "s.yaml:6: strategy `trend`: broker `zerodha` is not active, skipped"
    );
    assert_eq!(
        check(&["paper", "zerodh"], &["paper"])
            .unwrap_err()
            .to_string(),
        "s.yaml:6: strategy `trend`: unknown broker `zerodha`; did you mean `zerodh`? (known: paper, zerodh)",
    );
    assert!(strategy.definition.runs_on("paper") && !strategy.definition.runs_on("alpaca"));
}

#[test]
fn the_reference_lists_every_parameter() {
    let registry = KindRegistry::built_in();
    let text = strategies::reference_markdown(&registry);
    for kind in registry.iter() {
        assert!(text.contains(&format!("## `{}`", kind.name)));
        for parameter in kind.parameters {
            assert!(
                text.contains(&format!("| `{}` |", parameter.name)),
                "{}",
                parameter.name
            );
        }
    }
}
