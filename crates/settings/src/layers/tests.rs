use super::*;
use crate::deciding;
use feeds::live::FeedRegistry;
use pipeline::risk::settings::{MarginSetting, Number};
use traders::Registry;

fn layered(
    dir: &Path,
    env: &[(&str, &str)],
    flags: &[(&'static str, &[&str], Value)],
) -> anyhow::Result<Settings> {
    let mut kinds = Kinds {
        brokers: Registry::default(),
        feeds: FeedRegistry::default(),
    };
    kinds.brokers.register(paper::kind());
    kinds.brokers.register(sim::kind(None));
    kinds.feeds.register(feeds::live::simulated_kind(None));
    kinds.feeds.register(feeds::live::replay_kind());
    let mut inputs = LayerInputs {
        config: None,
        dir,
        env: env
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        flags: Vec::new(),
        kinds: &kinds,
    };
    for (flag, key, value) in flags {
        inputs = inputs.with_flag(flag, key, value.clone());
    }
    Settings::layered(&inputs)
}

#[test]
fn equal_settings_have_equal_texts_wherever_they_come_from() {
    let file = tempfile::tempdir().unwrap();
    let dotenv = tempfile::tempdir().unwrap();
    let none = tempfile::tempdir().unwrap();
    let toml = "active_brokers = [\"paper\", \"p2\"]\n[risk]\nmargin_fraction = 0.5\n\
                order_notional = { INR = 1000 }\n[trading_engine.p2]\nkind = \"paper\"\n\
                charges = { flat_rate = 0.0003 }\n[trading_engine.zerodha]\napi_key = \"one-secret\"\n";
    std::fs::write(file.path().join(FILE), toml).unwrap();
    let variables = [
        ("ACTIVE_BROKERS", "paper,p2"),
        ("RISK__MARGIN_FRACTION", "0.5"),
        ("RISK__ORDER_NOTIONAL__INR", "1000"),
        ("TRADING_ENGINE__P2__KIND", "paper"),
        ("TRADING_ENGINE__P2__CHARGES", "{ flat_rate = 0.0003 }"),
        ("ZERODHA_API_KEY", "another-secret"),
    ];
    let lines: String = variables
        .iter()
        .map(|(k, v)| format!("{k}={v}\n"))
        .collect();
    std::fs::write(dotenv.path().join(".env"), lines).unwrap();
    let flag = [(
        "--brokers",
        &["active_brokers"][..],
        vec!["paper", "p2"].into(),
    )];
    let texts = [
        layered(file.path(), &[], &[]).unwrap().text,
        layered(dotenv.path(), &[], &[]).unwrap().text,
        layered(none.path(), &variables, &[]).unwrap().text,
        layered(none.path(), &variables[1..], &flag).unwrap().text,
    ];
    for text in &texts {
        assert_eq!(*text, texts[0]);
        assert!(!text.contains("secret\""), "{text}");
    }
    // What was recorded can be read again, and means the same.
    let again = Settings::parse(&texts[0], "recorded").unwrap();
    let half = MarginSetting::Uniform(Number("0.5".to_owned()));
    assert_eq!(again.limits("p2").margin_fraction, Some(half));
    let moved = [("DATA_DIR", "/elsewhere"), ("LOGGING__LEVEL", "debug")];
    let moved = layered(file.path(), &moved, &[]).unwrap().text;
    assert_ne!(moved, texts[0]);
    assert_eq!(deciding(&moved), deciding(&texts[0]));
    let other = layered(file.path(), &[("RISK__MARGIN_FRACTION", "0.6")], &[]);
    assert_ne!(deciding(&other.unwrap().text), deciding(&texts[0]));
}

#[test]
fn one_namespace_and_a_flag_for_others_contradict_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let flag = |names: Vec<&str>| [("--brokers", &["active_brokers"][..], names.into())];
    let only = [
        ("BROKER_NAMESPACE", "p2"),
        ("TRADING_ENGINE__P2__KIND", "paper"),
    ];
    let error = layered(dir.path(), &only, &flag(vec!["paper"])).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("BROKER_NAMESPACE") && said.contains("--brokers"),
        "{said}"
    );
    let same = layered(dir.path(), &only, &flag(vec!["p2"])).unwrap();
    assert_eq!(same.active_brokers, ["p2"]);
}

#[test]
fn variables_that_are_nearly_ours_are_pointed_out() {
    let dir = tempfile::tempdir().unwrap();
    let env = [
        ("TRADING_ENGIN__PAPER__SEED", "4"),
        ("LOGGING_LEVEL", "debug"),
        ("ACTIVE_BROKER", "paper"),
        ("PATH", "/bin"),
        ("LANG", "C"),
        ("HOME", "/"),
        ("LOGNAME", "x"),
        ("KUBERNETES__HOST", "x"),
    ];
    let warnings = layered(dir.path(), &env, &[]).unwrap().warnings;
    let wanted = [
        "ACTIVE_BROKERS",
        "LOGGING__LEVEL",
        "TRADING_ENGINE__PAPER__SEED",
    ];
    assert_eq!(warnings.len(), wanted.len(), "{warnings:?}");
    for (warning, wanted) in warnings.iter().zip(wanted) {
        assert!(
            warning.ends_with(&format!("did you mean {wanted}?")),
            "{warning}"
        );
    }
}

#[test]
fn margins_are_one_share_or_a_table_of_them() {
    let share = model::Instrument::share("NSE", "A", "INR".parse().unwrap());
    let instruments = model::Instruments::new(vec![share.clone()]).unwrap();
    let margin = |written: &str| {
        let text = format!("[risk.brokers.paper]\nmargin_fraction = {written}");
        let limits = Settings::parse(&text, "test").map_err(|e| format!("{e:#}"))?;
        let limits = limits.limits("paper").resolve(&instruments, "INR", &[]);
        let margin = limits.map_err(|e| e.to_string())?.margin;
        let (price, quantity) = ("100".parse().unwrap(), "2".parse().unwrap());
        let of = |product| {
            let side = model::signal::Side::Buy;
            let amount = margin.of(&share, product, side, price, quantity);
            amount.unwrap().to_string()
        };
        use model::signal::Product::{Delivery, Intraday};
        Ok::<_, String>((of(Intraday), of(Delivery)))
    };
    let both = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
    assert_eq!(margin("0.5"), both("100", "100"));
    assert_eq!(
        margin("{ default = 0.5, \"equity:intraday\" = 0.2 }"),
        both("40", "100")
    );
    assert_eq!(margin("{ intraday = 0.2 }"), both("40", "200"));
    let unknown = margin("{ shares = 0.2 }").unwrap_err();
    assert!(unknown.contains("`shares`"), "{unknown}");
    assert!(
        unknown.contains("intraday, delivery, carry_forward"),
        "{unknown}"
    );
    assert!(margin("\"much\"").is_err() && margin("{ default = 0 }").is_err());
}
