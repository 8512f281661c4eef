//! What the pure crates may not call, and which names may not be spoken in the shared ones.

use super::Finding;
use super::source::{Source, is_word, words};

/// Where a rule holds.
const PURE: &[&str] = &[
    "crates/model/src/",
    "crates/markets/src/",
    "crates/strategies/src/",
    "crates/pipeline/src/",
    "crates/projection/src/",
    "crates/exchange/src/market/",
    "crates/exchange/src/account.rs",
    "crates/exchange/src/books.rs",
    "crates/exchange/src/exchange.rs",
    "crates/exchange/src/rules.rs",
    "crates/exchange/src/tape.rs",
    "crates/traders/paper/src/",
];
const FORMATLESS: &[&str] = &[
    "crates/model/src/",
    "crates/pipeline/src/",
    "crates/projection/src/",
];
const BROKERLESS: &[&str] = &[
    "crates/model/src/",
    "crates/pipeline/src/",
    "crates/projection/src/",
    "crates/store/src/",
    "crates/api/src/",
];
const BROKERS: [&str; 4] = ["paper", "zerodha", "kite", "alpaca"];

/// How a banned thing looks in code.
enum Form {
    /// These identifiers.
    Words(&'static [&'static str]),
    /// These types of the modules `time`; other modules may use the same words.
    OfTime(&'static [&'static str]),
    /// These modules of std, by path or in a `use std::{…}`.
    Std(&'static [&'static str]),
    /// These associated functions: `Anything::name(`.
    Associated(&'static [&'static str]),
    /// These methods of floats: `.name(` or `f64::name`.
    Float(&'static [&'static str]),
    /// These macros.
    Macros(&'static [&'static str]),
}

/// One rule.
struct Ban {
    rule: &'static str,
    folders: &'static [&'static str],
    form: Form,
    why: &'static str,
    fix: &'static str,
}

const BANS: [Ban; 9] = [
    Ban {
        rule: "no-clock",
        folders: PURE,
        form: Form::OfTime(&["Instant", "SystemTime"]),
        why: "stages read no clock: time arrives with the input, or a replay decides differently",
        fix: "use the input's `ts`, or measure in the host",
    },
    Ban {
        rule: "no-clock",
        folders: PURE,
        form: Form::Associated(&["now"]),
        why: "stages read no clock: time arrives with the input, or a replay decides differently",
        fix: "use the input's `ts`, or measure in the host",
    },
    Ban {
        rule: "no-chance",
        folders: PURE,
        form: Form::Words(&["rand", "thread_rng", "fastrand", "getrandom"]),
        why: "stages roll no dice: draws are a function of seed, order id and draw number",
        fix: "derive the draw from ids, as model::ids does",
    },
    Ban {
        rule: "no-io",
        folders: PURE,
        form: Form::Std(&["fs", "net", "thread", "env", "process", "io", "os"]),
        why: "stages do no I/O, read no environment and start no task",
        fix: "let the edge do it and hand the result in",
    },
    Ban {
        rule: "no-runtime",
        folders: PURE,
        form: Form::Words(&["tokio", "async", "await", "futures"]),
        why: "stages know no async runtime; the host drives them",
        fix: "take an input and return outputs",
    },
    Ban {
        rule: "no-print",
        folders: PURE,
        form: Form::Macros(&["println", "eprintln", "print", "eprint"]),
        why: "stages do no I/O; what the operator must know is an event",
        fix: "emit an event or return an error",
    },
    Ban {
        rule: "no-platform-float",
        folders: PURE,
        form: Form::Float(&[
            "ln", "ln_1p", "log", "log2", "log10", "exp", "exp2", "exp_m1", "powf", "powi", "sin",
            "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "cbrt", "hypot",
        ]),
        why: "their last bits differ between platforms, so the same ticks could trade differently",
        fix: "use + - * / and sqrt, which IEEE 754 fixes to the last bit",
    },
    Ban {
        rule: "no-seeded-hash",
        folders: PURE,
        form: Form::Words(&["HashMap", "HashSet", "RandomState", "DefaultHasher"]),
        why: "std's hash tables are seeded at random, so their order differs from run to run",
        fix: "use BTreeMap, a table by index, or rustc-hash's map without walking over it",
    },
    Ban {
        rule: "no-format",
        folders: FORMATLESS,
        form: Form::Words(&[
            "serde_json",
            "toml",
            "postcard",
            "csv",
            "bincode",
            "prost",
            "serde_saphyr",
            "rmp_serde",
            "ciborium",
            "parquet",
        ]),
        why: "model, pipeline and projection know no serialisation format: formats change, facts do not",
        fix: "derive serde's traits and encode at the edge",
    },
];

/// A file that is excused from a rule for some words; the comment beside each says why it is safe.
struct Excuse {
    path: &'static str,
    rule: &'static str,
    words: &'static [&'static str],
}

const EXCUSES: [Excuse; 1] = [
    // The registry looks names up, which come from outside and so deserve a seeded hash; it never
    // walks over the tables, so their order cannot be seen.
    Excuse {
        path: "crates/model/src/instrument.rs",
        rule: "no-seeded-hash",
        words: &["HashMap"],
    },
];

/// Checks one source file.
pub fn check(path: &str, source: &Source) -> Vec<Finding> {
    let holds = |folders: &[&str]| folders.iter().any(|folder| path.starts_with(folder));
    let mut findings = Vec::new();
    let mut add = |line: usize, rule, what: String, why: &str, fix: &str| {
        findings.push(Finding {
            path: path.to_owned(),
            line: line + 1,
            rule,
            what,
            why: why.to_owned(),
            fix: fix.to_owned(),
        });
    };
    for ban in BANS.iter().filter(|ban| holds(ban.folders)) {
        for (line, word) in uses(&ban.form, source) {
            let is_excused = EXCUSES.iter().any(|excuse| {
                excuse.path == path && excuse.rule == ban.rule && excuse.words.contains(&&*word)
            });
            if !source.is_test(line) && !is_excused {
                add(line, ban.rule, format!("`{word}`"), ban.why, ban.fix);
            }
        }
    }
    if holds(BROKERLESS) {
        let lines = source.code_lines().chain(source.prose_lines());
        for (line, text) in lines.filter(|(line, _)| !source.is_test(*line)) {
            for broker in BROKERS.iter().filter(|broker| speaks_of(text, broker)) {
                add(
                    line,
                    "no-broker-name",
                    format!("`{broker}`"),
                    "a new broker is one new crate and one registration line; the shared crates \
                     speak of none",
                    "say what the broker can do (its capability or limit), not which one it is",
                );
            }
        }
    }
    findings
}

/// Lines (from 0) and words where a banned thing stands.
fn uses(form: &Form, source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    if let Form::Std(modules) = form {
        for (line, module) in items_of(&source.code, "std::") {
            if modules.contains(&&*module) {
                found.push((line, format!("std::{module}")));
            }
        }
        return found;
    }
    if let Form::OfTime(types) = form {
        let named = items_of(&source.code, "time::").into_iter();
        return named.filter(|(_, word)| types.contains(&&**word)).collect();
    }
    for (line, code) in source.code_lines() {
        for (at, word) in word_places(code) {
            let before = code.get(..at).unwrap_or_default().trim_end();
            let after = code.get(at + word.len()..).unwrap_or_default();
            let stands = match form {
                Form::Words(names) => names.contains(&word),
                Form::Associated(names) => {
                    names.contains(&word) && before.ends_with("::") && after.starts_with('(')
                }
                Form::Float(names) => {
                    names.contains(&word)
                        && ((before.ends_with('.') && after.starts_with('('))
                            || before.ends_with("f64::")
                            || before.ends_with("f32::"))
                }
                Form::Macros(names) => names.contains(&word) && after.starts_with('!'),
                Form::Std(_) | Form::OfTime(_) => false,
            };
            if stands {
                found.push((line, word.to_owned()));
            }
        }
    }
    found
}

fn word_places(code: &str) -> Vec<(usize, &str)> {
    let mut places = Vec::new();
    let mut from = 0;
    for word in words(code) {
        // Words come in order, so each is found at or after the one before.
        if let Some(at) = code.get(from..).and_then(|rest| rest.find(word)) {
            places.push((from + at, word));
            from += at + word.len();
        }
    }
    places
}

/// What follows a path's `prefix`, such as `std::`, with its line; each part of a `{…}` counts.
fn items_of(code: &str, prefix: &str) -> Vec<(usize, String)> {
    let word_at = |at: usize| -> String {
        code.get(at..)
            .unwrap_or_default()
            .chars()
            .take_while(|c| is_word(*c))
            .collect()
    };
    let line_of = |at: usize| code.get(..at).unwrap_or(code).matches('\n').count();
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        if code
            .get(..at)
            .and_then(|text| text.chars().next_back())
            .is_some_and(is_word)
        {
            continue;
        }
        let from = at + prefix.len();
        let rest = code.get(from..).unwrap_or_default();
        if !rest.starts_with('{') {
            found.push((line_of(from), word_at(from)));
            continue;
        }
        let mut depth = 0usize;
        let mut starts = false;
        for (offset, c) in rest.char_indices() {
            match c {
                '{' => (depth, starts) = (depth + 1, depth == 0),
                '}' if depth <= 1 => break,
                '}' => depth -= 1,
                ',' => starts = depth == 1,
                c if starts && is_word(c) => {
                    found.push((line_of(from + offset), word_at(from + offset)));
                    starts = false;
                }
                _ => {}
            }
        }
    }
    found
}

/// Whether a text speaks of a name: as a word of its own or as a part of an identifier
/// (`PaperTrader`, `paper_fill`), but not inside another word (`newspaper`).
fn speaks_of(text: &str, name: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.match_indices(name).any(|(at, _)| {
        let end = at + name.len();
        let first = text.get(at..).and_then(|rest| rest.chars().next());
        let before = text.get(..at).and_then(|rest| rest.chars().next_back());
        let after = text.get(end..).and_then(|rest| rest.chars().next());
        let begins = !before.is_some_and(char::is_alphanumeric)
            || first.is_some_and(|c| c.is_ascii_uppercase());
        let ends = match after {
            Some('s') => {
                let behind = text.get(end + 1..).and_then(|rest| rest.chars().next());
                !behind.is_some_and(|c| c.is_ascii_lowercase())
            }
            after => !after.is_some_and(|c| c.is_ascii_lowercase()),
        };
        begins && ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        let source = Source::parse(text, false);
        check(path, &source)
            .into_iter()
            .map(|finding| (finding.rule, finding.line))
            .collect()
    }

    const PIPELINE: &str = "crates/pipeline/src/a.rs";

    #[test]
    fn each_ban_finds_its_offender() {
        for (rule, text) in [
            ("no-clock", "use std::time::{Duration, Instant};"),
            ("no-clock", "use std::{fmt, time::Instant};"),
            ("no-clock", "let t = jiff::Timestamp::now();"),
            ("no-chance", "let x = rand::random();"),
            ("no-io", "let x = std::fs::read(p);"),
            (
                "no-io",
                "use std::{collections::BTreeMap, fmt::{self, Write}, thread};",
            ),
            ("no-runtime", "use tokio::sync::mpsc;"),
            ("no-runtime", "async fn f() {}"),
            ("no-print", "println!(\"x\");"),
            ("no-platform-float", "let y = x.ln();"),
            ("no-platform-float", "let y = xs.map(f64::exp);"),
            ("no-seeded-hash", "use std::collections::HashMap;"),
            ("no-format", "let x = serde_json::to_string(&y);"),
        ] {
            assert_eq!(found(PIPELINE, text), [(rule, 1)], "{text}");
        }
    }

    #[test]
    fn innocents_pass() {
        for text in [
            "let now = input.ts(); context.now(); fn now() {}",
            "use std::{collections::BTreeMap, fmt::{self, Write}};",
            "use std::time::Duration; enum Moment { Instant }",
            "use rustc_hash::FxHashMap; use std::sync::Arc;",
            "let y = x.sqrt(); let ln = 1; operand(ln);",
            "// Instant, HashMap and std::fs are for the edges\nlet a = \"println!\";",
            "#[cfg(test)]\nmod tests { use std::collections::HashMap; fn f() { println!(); } }",
        ] {
            assert_eq!(found(PIPELINE, text), [], "{text}");
        }
        assert_eq!(
            found("crates/feeds/src/a.rs", "use std::collections::HashMap;"),
            []
        );
        assert_eq!(
            found("crates/strategies/src/a.rs", "serde_json::to_value(x);"),
            []
        );
    }

    #[test]
    fn exceptions_hold_for_their_file_and_rule_alone() {
        let text = "use std::collections::{HashMap, HashSet};";
        let path = "crates/model/src/instrument.rs";
        assert_eq!(found(path, text), [("no-seeded-hash", 1)]);
        assert_eq!(found(path, "use std::collections::HashMap;"), []);
        assert_eq!(found("crates/model/src/order.rs", text).len(), 2);
    }

    #[test]
    fn broker_names_are_for_their_own_crates() {
        for text in [
            "/// Kite's tag.",
            "struct PaperTrader;",
            "let x = \"zerodha\";",
            "fn alpaca_order() {}",
        ] {
            assert_eq!(found(PIPELINE, text), [("no-broker-name", 1)], "{text}");
        }
        for text in [
            "// a newspaper of kitesurfers",
            "#[cfg(test)]\nmod t { const P: &str = \"paper\"; }",
        ] {
            assert_eq!(found(PIPELINE, text), [], "{text}");
        }
        assert_eq!(found("crates/feeds/src/kite.rs", "// Kite's dump"), []);
    }
}
