//! Which crate may depend on which.

use std::path::Path;

use anyhow::Context;

use super::Finding;
use crate::workspace::{Package, Workspace};

/// The order of the pipeline: a crate depends only on crates above it.
const ORDER: [&str; 21] = [
    "crates/model",
    "crates/wire",
    "crates/markets",
    "crates/strategies",
    "crates/pipeline",
    "crates/projection",
    "crates/exchange",
    "crates/traders",
    TRADER,
    "crates/feeds",
    "crates/journal",
    "crates/runtime",
    "crates/inspect",
    "crates/cluster",
    "crates/store",
    "crates/research",
    "crates/settings",
    "crates/session",
    "crates/bench",
    "crates/api",
    "crates/panda",
];
/// Every broker's own crate.
const TRADER: &str = "crates/traders/*";

/// Crates that hold no I/O and no format, and what they may therefore not depend on.
const FORMATLESS: [&str; 3] = ["crates/model", "crates/pipeline", "crates/projection"];
const FORMATS: &[&str] = &[
    "serde_json",
    "serde-json",
    "toml",
    "postcard",
    "csv",
    "bincode",
    "prost",
    "rmp-serde",
    "ciborium",
    "serde-saphyr",
    "serde_yaml",
    "parquet",
];
const RUNTIMES: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "futures",
    "reqwest",
    "hyper",
    "axum",
];
const DATABASES: &[&str] = &[
    "sqlx", "rusqlite", "redis", "postgres", "rdkafka", "rskafka",
];
const PURE: [&str; 7] = [
    "crates/model",
    "crates/markets",
    "crates/strategies",
    "crates/pipeline",
    "crates/projection",
    "crates/exchange",
    "crates/traders/paper",
];
const CHANCE: &[&str] = &["rand", "fastrand", "getrandom", "chrono", "uuid"];

const LICENCE: &str = "Apache-2.0";

/// Checks every crate's manifest.
pub fn check(workspace: &Workspace) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for package in &workspace.packages {
        let folder = workspace.folder(package);
        let text = std::fs::read_to_string(&package.manifest_path)
            .with_context(|| format!("cannot read {}", package.manifest_path.display()))?;
        let inherits = text
            .parse::<toml::Table>()
            .ok()
            .and_then(|manifest| manifest.get("lints")?.get("workspace")?.as_bool());
        let used: Vec<(String, Option<String>)> = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind.as_deref() != Some("dev"))
            .map(|dependency| {
                let path = dependency.path.as_deref();
                (
                    dependency.name.clone(),
                    path.map(|path: &Path| workspace.shown(path)),
                )
            })
            .collect();
        for (rule, what, why, fix) in check_crate(&folder, &used)
            .into_iter()
            .chain(check_manifest(package, inherits == Some(true)))
        {
            let line = text
                .lines()
                .position(|line| {
                    what.split('`')
                        .nth(1)
                        .is_some_and(|name| line.starts_with(name))
                })
                .map_or(0, |at| at + 1);
            findings.push(Finding {
                path: format!("{folder}/Cargo.toml"),
                line,
                rule,
                what,
                why: why.to_owned(),
                fix: fix.to_owned(),
            });
        }
    }
    Ok(findings)
}

type Complaint = (&'static str, String, &'static str, &'static str);

fn check_manifest(package: &Package, inherits_lints: bool) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    if package.license.as_deref() != Some(LICENCE) {
        complaints.push((
            "licence",
            format!("no licence, or another than {LICENCE}"),
            "whoever takes the crate must know what it may be used for",
            "license.workspace = true",
        ));
    }
    if !inherits_lints {
        complaints.push((
            "lints",
            "the workspace's lints are not inherited".to_owned(),
            "one set of rules for all crates",
            "[lints] workspace = true",
        ));
    }
    complaints
}

fn rank(folder: &str) -> Option<usize> {
    let folder = if is_trader(folder) { TRADER } else { folder };
    ORDER.iter().position(|place| *place == folder)
}

fn is_trader(folder: &str) -> bool {
    folder.strip_prefix("crates/traders/").is_some()
}

/// Checks one crate's ordinary dependencies: (name, folder where it is one of ours).
fn check_crate(folder: &str, used: &[(String, Option<String>)]) -> Vec<Complaint> {
    let mut complaints: Vec<Complaint> = Vec::new();
    // Examples and the project's own tasks stand outside: they may use anything.
    let is_outside = folder.starts_with("xtask") || folder.starts_with("examples/");
    let own = rank(folder);
    if own.is_none() && !is_outside {
        complaints.push((
            "crate-order",
            format!("the crate {folder} has no place in the order"),
            "the folder list reads like the pipeline",
            "give it a place in xtask/src/tidy/dependencies.rs and in ARCHITECTURE.md",
        ));
    }
    for (name, place) in used {
        if let Some(place) = place {
            if is_outside {
                continue;
            }
            if is_trader(place) && is_trader(folder) {
                complaints.push((
                    "trader-apart",
                    format!("`{name}` is another broker's crate"),
                    "a broker must be removable without touching another",
                    "move what both need to crates/traders",
                ));
            } else if is_trader(place) && folder != "crates/panda" {
                complaints.push((
                    "trader-apart",
                    format!("`{name}` is a broker's crate"),
                    "only the composition root knows which brokers exist",
                    "use the contract in crates/traders and the registry",
                ));
            } else if own.is_some_and(|own| rank(place).is_none_or(|theirs| theirs >= own)) {
                complaints.push((
                    "dependency-direction",
                    format!("`{name}` does not stand above {folder} in the order"),
                    "a crate depends only on crates above it, so that each can be read and tested \
                     without those below",
                    "move the shared noun or trait up, to model if nowhere else",
                ));
            }
            continue;
        }
        let mut refuse = |folders: &[&str], names: &[&str], rule, why, fix| {
            if folders.contains(&folder) && names.contains(&name.as_str()) {
                complaints.push((rule, format!("`{name}`"), why, fix));
            }
        };
        refuse(
            &FORMATLESS,
            FORMATS,
            "no-format",
            "the pipeline knows no serialisation format: formats change, facts do not",
            "derive serde's traits and encode at the edge",
        );
        refuse(
            &PURE,
            RUNTIMES,
            "no-runtime",
            "pure stages start no task and do no I/O",
            "let the host drive the stage",
        );
        refuse(
            &PURE,
            DATABASES,
            "no-database",
            "trading never waits for the read side",
            "write events; let the store fold them",
        );
        refuse(
            &PURE,
            CHANCE,
            "no-chance",
            "time, ids and randomness arrive with the input, or a recorded run cannot be repeated",
            "derive it from the input's id and the seed",
        );
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(folder: &str, name: &str, place: Option<&str>) -> Vec<&'static str> {
        check_crate(folder, &[(name.to_owned(), place.map(str::to_owned))])
            .into_iter()
            .map(|complaint| complaint.0)
            .collect()
    }

    #[test]
    fn dependencies_point_up_the_list() {
        let up = found("crates/pipeline", "model", Some("crates/model"));
        assert!(up.is_empty());
        let down = found("crates/model", "pipeline", Some("crates/pipeline"));
        assert_eq!(down, ["dependency-direction"]);
        let itself = found("crates/feeds", "feeds", Some("crates/feeds"));
        assert_eq!(itself, ["dependency-direction"]);
        let tool = found("crates/feeds", "xtask", Some("xtask"));
        assert_eq!(tool, ["dependency-direction"]);
        assert_eq!(found("crates/new", "serde", None), ["crate-order"]);
        assert!(found("examples/own", "panda", Some("crates/panda")).is_empty());
    }

    #[test]
    fn brokers_stand_apart() {
        let paper = Some("crates/traders/paper");
        assert_eq!(
            found("crates/traders/alpaca", "paper", paper),
            ["trader-apart"]
        );
        assert_eq!(found("crates/research", "paper", paper), ["trader-apart"]);
        assert!(found("crates/panda", "paper", paper).is_empty());
        assert!(found("crates/traders/paper", "traders", Some("crates/traders")).is_empty());
    }

    #[test]
    fn pure_crates_take_no_format_runtime_database_or_chance() {
        assert_eq!(found("crates/pipeline", "serde_json", None), ["no-format"]);
        assert!(found("crates/strategies", "serde_json", None).is_empty());
        assert_eq!(found("crates/strategies", "tokio", None), ["no-runtime"]);
        assert_eq!(found("crates/model", "rusqlite", None), ["no-database"]);
        assert_eq!(found("crates/traders/paper", "rand", None), ["no-chance"]);
        assert!(found("crates/pipeline", "serde", None).is_empty());
    }

    #[test]
    fn manifests_name_the_licence_and_inherit_the_lints() {
        let package = |license: Option<&str>| Package {
            name: "a".to_owned(),
            license: license.map(str::to_owned),
            manifest_path: "a/Cargo.toml".into(),
            dependencies: Vec::new(),
            targets: Vec::new(),
        };
        assert!(check_manifest(&package(Some(LICENCE)), true).is_empty());
        assert_eq!(check_manifest(&package(None), true)[0].0, "licence");
        assert_eq!(check_manifest(&package(Some(LICENCE)), false)[0].0, "lints");
    }
}
