//! Dependencies and public items that nothing uses.
//!
//! The compiler takes a public item for used, as another crate may use it; here all of them are known.
//! Items are told apart by their names alone: one that shares its name with a used one is not found.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::source::{Source, is_word, item_end, words};
use crate::workspace::{Package, Workspace};

/// What opens the comment above a dependency that is named in a manifest only, before its reason.
const FEATURES_ONLY: &str = "# features only:";

/// Public items that may stand unused, by file or folder and name; an empty name is all that is there.
struct Excuse {
    path: &'static str,
    name: &'static str,
}

/// The comment beside each says why.
const EXCUSES: &[Excuse] = &[
    // The disk on which the tests of several crates lose power, run full and tear writes.
    Excuse {
        path: "crates/journal/src/file/simulated.rs",
        name: "",
    },
    // What the author of a broker runs in its tests; examples/third-trader shows it.
    Excuse {
        path: "crates/traders/src/conformance/",
        name: "",
    },
    // What the author of a strategy runs it with in its tests.
    Excuse {
        path: "crates/strategies/src/testing.rs",
        name: "",
    },
    // The pipeline is tested without the exchanges' tables, on which it may not depend.
    Excuse {
        path: "crates/model/src/rules.rs",
        name: "NoRules",
    },
    // A test takes the place of the session, which gives the runner its probe before the host has it.
    Excuse {
        path: "crates/runtime/src/market/",
        name: "runner_mut",
    },
];

/// Every Rust file, with what is known of its lines.
pub type Sources<'a> = [(&'a str, Source)];

/// Checks what the manifests declare against what the crates' sources name.
pub fn dependencies(workspace: &Workspace, sources: &Sources<'_>) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let folders: Vec<String> = workspace
        .packages
        .iter()
        .map(|package| workspace.folder(package))
        .collect();
    for (package, folder) in workspace.packages.iter().zip(&folders) {
        let manifest = std::fs::read_to_string(&package.manifest_path)?;
        let named = words_of(folder, &folders, sources);
        for (line, dependency) in unused_dependencies(package, &manifest, &named) {
            findings.push(Finding {
                path: format!("{folder}/Cargo.toml"),
                line,
                rule: "unused-dependency",
                what: format!("`{dependency}`"),
                why: "it is built, audited and updated for nothing".to_owned(),
                fix: format!(
                    "remove it, or say `{FEATURES_ONLY}` and the reason in a comment above it"
                ),
            });
        }
    }
    Ok(findings)
}

/// The words of a crate's code, without those of crates in folders below it.
fn words_of<'a>(folder: &str, folders: &[String], sources: &'a Sources<'_>) -> BTreeSet<&'a str> {
    let is_below = |path: &str, folder: &str| {
        path.strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    let inner: Vec<&String> = folders.iter().filter(|f| is_below(f, folder)).collect();
    let is_own = |path: &str| is_below(path, folder) && !inner.iter().any(|f| is_below(path, f));
    let own = sources.iter().filter(|(path, _)| is_own(path));
    let shared: BTreeSet<String> = own
        .flat_map(|(path, source)| paths_in(path, source))
        .collect();
    sources
        .iter()
        .filter(|(path, _)| is_own(path) || shared.contains(*path))
        .flat_map(|(_, source)| crates_in(&source.code))
        .collect()
}

/// The files of other folders that a file takes as its modules: `#[path = "…"] mod name;`.
fn paths_in(path: &str, source: &Source) -> Vec<String> {
    let lines = source.code.lines().zip(source.prose.lines());
    lines
        .filter(|(code, _)| code.trim_start().starts_with("#[path"))
        .map(|(_, prose)| {
            let mut parts: Vec<&str> = path.split('/').collect();
            parts.pop();
            for part in prose.trim().split('/') {
                match part {
                    ".." => drop(parts.pop()),
                    part => parts.push(part),
                }
            }
            parts.join("/")
        })
        .collect()
}

/// The words that can name a crate: those before `::`, and those that are imported whole.
fn crates_in(code: &str) -> impl Iterator<Item = &str> {
    let paths = code.split("::").filter_map(|before| {
        let start = before.rfind(|c| !is_word(c)).map_or(0, |at| at + 1);
        before.get(start..).filter(|word| !word.is_empty())
    });
    let imports = code.split("use ").skip(1);
    paths.chain(imports.filter_map(|after| words(after).next()))
}

/// The lines (from 1) and names of dependencies that no source names.
fn unused_dependencies(
    package: &Package,
    manifest: &str,
    named: &BTreeSet<&str>,
) -> Vec<(usize, String)> {
    let lines: Vec<&str> = manifest.lines().collect();
    let declares = |line: &str, name: &str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with([' ', '.', '=']))
    };
    let mut found: Vec<(usize, String)> = package
        .dependencies
        .iter()
        .filter_map(|dependency| {
            let name = dependency.rename.as_ref().unwrap_or(&dependency.name);
            if named.contains(&*name.replace('-', "_")) {
                return None;
            }
            let at = lines.iter().position(|line| declares(line, name))?;
            let is_excused = lines
                .iter()
                .take(at)
                .rev()
                .take_while(|line| line.starts_with('#'))
                .any(|line| line.starts_with(FEATURES_ONLY));
            (!is_excused).then(|| (at + 1, name.clone()))
        })
        .collect();
    found.dedup();
    found
}

/// Where a name is used.
#[derive(Default, Clone, Copy)]
struct Uses {
    product: bool,
    tests: bool,
}

/// Checks that each public item of the product is used by it.
pub fn items(sources: &Sources<'_>) -> Vec<Finding> {
    let mut uses: BTreeMap<&str, Uses> = BTreeMap::new();
    for (_, source) in sources {
        for (line, word) in used_words(source) {
            let uses = uses.entry(word).or_default();
            if source.is_test(line) {
                uses.tests = true;
            } else {
                uses.product = true;
            }
        }
    }
    let mut findings = Vec::new();
    for (path, source) in sources.iter().filter(|(path, _)| is_product(path)) {
        for (line, name) in public_items(&source.code) {
            let of_it = uses.get(name).copied().unwrap_or_default();
            let is_excused = EXCUSES.iter().any(|excuse| {
                path.starts_with(excuse.path) && (excuse.name.is_empty() || excuse.name == name)
            });
            if of_it.product || source.is_test(line) || is_excused {
                continue;
            }
            findings.push(Finding {
                path: (*path).to_owned(),
                line: line + 1,
                rule: "unused-item",
                what: if of_it.tests {
                    format!("`{name}` is used by tests only")
                } else {
                    format!("`{name}` is used nowhere")
                },
                why: "it is read, tested and kept working for nothing".to_owned(),
                fix: "remove it with the tests that test only it, or excuse it in \
                      xtask/src/tidy/unused.rs with the reason"
                    .to_owned(),
            });
        }
    }
    findings
}

/// Whether a file is the product's own; what is written by a generator is all of its source.
fn is_product(path: &str) -> bool {
    path.starts_with("crates/") && path.contains("/src/") && path != "crates/wire/src/table.rs"
}

const KINDS: [&str; 7] = ["fn", "struct", "enum", "trait", "type", "const", "static"];

/// The lines (from 0) and names of public items, the functions of public traits among them.
fn public_items(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let line_of = |at: usize| code.get(..at).unwrap_or(code).matches('\n').count();
    for (at, _) in code.match_indices("pub ") {
        let is_inside_word = code
            .get(..at)
            .is_some_and(|before| before.ends_with(is_word));
        let rest = code.get(at + 4..).unwrap_or_default();
        let mut tokens = rest.split_whitespace();
        let mut kind = "";
        // `pub const fn` and the like: the last word of them tells.
        let name = tokens.find(|token| {
            let is_keyword = KINDS.contains(token) || matches!(*token, "unsafe" | "async" | "mut");
            if is_keyword {
                kind = token;
            }
            !is_keyword
        });
        let name = name.and_then(|name| name.split(|c| !is_word(c)).next());
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            continue;
        };
        if is_inside_word || kind.is_empty() {
            continue;
        }
        found.push((line_of(at), name));
        if kind == "trait" {
            let body = rest.find('{').map_or(at, |open| at + 4 + open + 1);
            let inside = code.get(body..item_end(code, body)).unwrap_or_default();
            for (of_fn, _) in inside.match_indices("fn ") {
                let before = inside.get(..of_fn).unwrap_or_default();
                let is_own = before.matches('{').count() == before.matches('}').count();
                let name = inside.get(of_fn + 3..).and_then(|rest| words(rest).next());
                if let (true, Some(name)) = (is_own, name) {
                    found.push((line_of(body + of_fn), name));
                }
            }
        }
    }
    found
}

/// The lines (from 0) and words that use something: not where it is defined, imported or implemented.
fn used_words(source: &Source) -> Vec<(usize, &str)> {
    let mut used = Vec::new();
    let mut is_import = false;
    for (line, code) in source.code_lines() {
        let trimmed = code.trim_start();
        let bare = trimmed.strip_prefix("pub").map_or(trimmed, |rest| {
            let rest = rest
                .strip_prefix("(crate)")
                .or(rest.strip_prefix("(super)"));
            rest.unwrap_or(trimmed.get(3..).unwrap_or_default())
                .trim_start()
        });
        is_import |= bare.starts_with("use ");
        let of_impl = trimmed
            .strip_prefix("impl")
            .filter(|rest| !rest.starts_with(is_word));
        // Of `impl Trait for Type` the trait alone is used; of a body on the same line all is.
        let code = match of_impl {
            Some(header) => header.split_once(" for ").map_or("", |(before, _)| before),
            None => code,
        };
        let mut before = "";
        for word in words(code) {
            // What is imported under another name stands nowhere else.
            if is_import && word == "as" {
                used.push((line, before));
            }
            if !is_import && !KINDS.contains(&before) {
                used.push((line, word));
            }
            before = word;
        }
        if is_import && code.contains(';') {
            is_import = false;
        }
    }
    // Names in literals: in the text of a format, or given to a derive.
    let mut code = source.code.lines();
    for (line, prose) in source.prose_lines() {
        let is_attribute = code.next().is_some_and(|code| code.contains("#["));
        if is_attribute {
            used.extend(words(prose).map(|word| (line, word)));
            continue;
        }
        let pieces = prose.split('{').skip(1);
        used.extend(pieces.filter_map(|piece| {
            let end = piece.find(|c| !is_word(c)).unwrap_or(piece.len());
            piece.get(..end).map(|word| (line, word))
        }));
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    fn found(texts: &[(&'static str, &str)]) -> Vec<String> {
        let sources: Vec<(&str, Source)> = texts
            .iter()
            .map(|(path, text)| (*path, Source::parse(text, path.contains("/tests/"))))
            .collect();
        let findings = items(&sources);
        findings.into_iter().map(|f| f.what).collect()
    }

    #[test]
    fn what_is_only_defined_implemented_or_imported_is_unused() {
        let lib = "pub struct Lonely;\nimpl Lonely {\n    pub const fn idle(&self) {}\n}\n\
                   impl Default for Lonely {}\npub trait Deaf {\n    fn hear(&self);\n}\n\
                   pub const LIMIT: u8 = 1;\nfn private() {}\n";
        let other = "pub use a::Lonely;\npub use a::{\n    LIMIT,\n};\n// Lonely, idle\n";
        let named: Vec<String> = ["Lonely", "idle", "Deaf", "hear", "LIMIT"]
            .iter()
            .map(|name| format!("`{name}` is used nowhere"))
            .collect();
        let texts = [("crates/a/src/lib.rs", lib), ("crates/b/src/lib.rs", other)];
        assert_eq!(found(&texts), named);
    }

    #[test]
    fn a_use_is_a_call_a_literal_or_another_name() {
        let lib = "pub fn called() {}\npub fn given() {}\npub const SHOWN: u8 = 1;\n\
                   pub trait Renamed {}\npub trait Served {}\nimpl Served for u8 {}\n\
                   pub struct Macro;\nmacro_rules! m { () => { pub fn $name() {} } }\n";
        let other = "use a::Renamed as Other;\nfn f() {\n    a::called();\n    let m: Macro;\n    \
                     println!(\"{SHOWN}\");\n}\n#[serde(default = \"a::given\")]\nstruct S;\n";
        let texts = [("crates/a/src/lib.rs", lib), ("crates/b/src/lib.rs", other)];
        assert_eq!(found(&texts), [""; 0]);
    }

    #[test]
    fn what_tests_alone_use_is_told_apart() {
        let lib = "pub fn tested() {}\npub fn both() {}\n\
                   #[cfg(test)]\nmod tests {\n    pub fn helper() {}\n    fn t() { tested(); }\n}\n";
        let texts = [
            ("crates/a/src/lib.rs", lib),
            ("crates/a/tests/all.rs", "fn t() { a::both(); }"),
            ("examples/own/src/main.rs", "fn main() { a::both(); }"),
        ];
        assert_eq!(found(&texts), ["`tested` is used by tests only"]);
    }

    #[test]
    fn a_dependency_is_named_in_the_sources_or_excused() {
        let dependency = |name: &str, rename: Option<&str>| Dependency {
            name: name.to_owned(),
            rename: rename.map(str::to_owned),
            kind: None,
            path: None,
        };
        let package = Package {
            name: "a".to_owned(),
            license: None,
            manifest_path: "crates/a/Cargo.toml".into(),
            dependencies: vec![
                dependency("serde-json", None),
                dependency("idle", None),
                dependency("libc", None),
                dependency("long-name", Some("short")),
            ],
            targets: Vec::new(),
        };
        let manifest = "[dependencies]\nserde-json = \"1\"\nidle.workspace = true\n\
                        # features only: static linking\nlibc = \"1\"\n\
                        short = { package = \"long-name\" }\n";
        let named = BTreeSet::from(["serde_json", "short"]);
        let unused = unused_dependencies(&package, manifest, &named);
        assert_eq!(unused, [(3, "idle".to_owned())]);
    }

    #[test]
    fn a_crate_names_what_its_own_and_its_shared_files_name() {
        let folders = ["crates/a".to_owned(), "crates/a/b".to_owned()];
        let sources = [
            (
                "crates/a/src/lib.rs",
                Source::parse(
                    "use one;\nfn f() { field.two; three::g() }\n\
                     #[path = \"../../b/tests/shared.rs\"]\nmod shared;",
                    false,
                ),
            ),
            ("crates/a/b/src/lib.rs", Source::parse("four::f()", false)),
            ("crates/ab/src/lib.rs", Source::parse("five::f()", false)),
            ("crates/b/tests/shared.rs", Source::parse("six::f()", true)),
        ];
        let named = words_of("crates/a", &folders, &sources);
        assert_eq!(named, BTreeSet::from(["one", "six", "three"]));
    }
}
