//! What no file may contain, wherever it is.

use super::Finding;
use super::source::{Source, is_word, words};

/// The longest source file; ARCHITECTURE.md asks for far less.
const LINES_MAX: usize = 900;

const EXTENSIONS: [&str; 9] = ["rs", "md", "toml", "yaml", "yml", "py", "css", "js", "html"];

/// Whether a file is text that people here write; vendored and generated data are not.
pub fn is_text(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    (EXTENSIONS.contains(&extension) || path == ".ci/run")
        && !name.contains(".min.")
        && path != schema_table::TABLE
}

/// Checks of any text: length and white space.
pub fn check_text(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |line, rule, what: String, why: &str, fix: &str| {
        findings.push(Finding {
            path: path.to_owned(),
            line,
            rule,
            what,
            why: why.to_owned(),
            fix: fix.to_owned(),
        });
    };
    for (at, line) in text.lines().enumerate() {
        if line.ends_with([' ', '\t']) {
            add(
                at + 1,
                "trailing-space",
                "white space at the end of the line".to_owned(),
                "it cannot be seen and makes noise in every later change",
                "remove it",
            );
        }
        if line.contains('\t') {
            add(
                at + 1,
                "tab",
                "a tab".to_owned(),
                "its width differs from reader to reader",
                "use spaces, or \\t inside a literal",
            );
        }
    }
    let lines = text.lines().count();
    if path.ends_with(".rs") && lines > LINES_MAX {
        add(
            0,
            "file-length",
            format!("{lines} lines, at most {LINES_MAX}"),
            "a file is one room: what does not fit is at least two subjects",
            "split it by subject",
        );
    }
    findings
}

/// Attributes and macros that stand for work not done.
const UNFINISHED: [(&str, &str, &str); 5] = [
    (
        "ignore",
        "a test that does not run proves nothing and rots",
        "mend it or remove it",
    ),
    (
        "should_panic",
        "it passes for any panic, also the wrong one",
        "return an error and compare it, or catch the panic and compare its message",
    ),
    (
        "todo",
        "it stops a pipeline with a panic",
        "write it, or return an error that says so",
    ),
    (
        "unimplemented",
        "it stops a pipeline with a panic",
        "return an error that says so",
    ),
    ("dbg", "it prints to the operator's terminal", "remove it"),
];

/// Checks of a Rust source, tests included.
pub fn check_source(path: &str, source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in source.code_lines() {
        for (name, why, fix) in UNFINISHED {
            let stands = if matches!(name, "ignore" | "should_panic") {
                line.contains("#[") && words(line).any(|word| word == name)
            } else {
                has_macro(line, name)
            };
            if stands {
                findings.push(Finding {
                    path: path.to_owned(),
                    line: at + 1,
                    rule: "unfinished",
                    what: format!("`{name}`"),
                    why: why.to_owned(),
                    fix: fix.to_owned(),
                });
            }
        }
    }
    findings
}

/// Whether a line of code calls the macro `name!`.
pub fn has_macro(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + name.len()..).unwrap_or_default();
        !before.is_some_and(is_word) && after.starts_with('!') && !after.starts_with("!=")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(findings: &[Finding]) -> Vec<(&'static str, usize)> {
        findings
            .iter()
            .map(|finding| (finding.rule, finding.line))
            .collect()
    }

    #[test]
    fn white_space_and_length() {
        let long = "x\n".repeat(LINES_MAX + 1);
        assert_eq!(rules(&check_text("a.rs", &long)), [("file-length", 0)]);
        assert_eq!(rules(&check_text("a.md", &long)), []);
        let spaced = "a\nb \n\tc";
        assert_eq!(
            rules(&check_text("a.md", spaced)),
            [("trailing-space", 2), ("tab", 3)]
        );
        assert!(is_text("crates/a/src/lib.rs") && !is_text("assets/uPlot.iife.min.js"));
        assert!(!is_text("tests/fixture.csv"));
    }

    #[test]
    fn unfinished_work() {
        let found = |text| rules(&check_source("a.rs", &Source::parse(text, true)));
        assert_eq!(found("#[test]\n#[ignore]\nfn a() {}"), [("unfinished", 2)]);
        assert_eq!(
            found("#[should_panic(expected = \"x\")]\nfn a() {}"),
            [("unfinished", 1)]
        );
        assert_eq!(found("fn a() { todo!() }"), [("unfinished", 1)]);
        assert_eq!(found("fn a() { dbg!(1); unimplemented!() }").len(), 2);
        assert_eq!(
            found("// todo!() and #[ignore]\nlet t = \"dbg!\"; let todo = 1 != 2;"),
            []
        );
        assert_eq!(found("if todo!=1 { ignore(x) }"), []);
    }
}
