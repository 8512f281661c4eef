//! The workspace as cargo knows it, and the files of the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

/// The workspace's crates.
#[derive(Debug, Deserialize)]
pub struct Workspace {
    /// The repository's root.
    #[serde(rename = "workspace_root")]
    pub root: PathBuf,
    /// Its crates.
    pub packages: Vec<Package>,
}

/// One crate.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its licence.
    pub license: Option<String>,
    /// Where its manifest is.
    pub manifest_path: PathBuf,
    /// What it declares to depend on.
    pub dependencies: Vec<Dependency>,
    /// What it builds.
    pub targets: Vec<Target>,
}

/// A declared dependency.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The crate's name.
    pub name: String,
    /// What this manifest calls it, where that is another name.
    pub rename: Option<String>,
    /// `dev`, `build`, or none for an ordinary one.
    pub kind: Option<String>,
    /// Where it is, for a crate of this repository.
    pub path: Option<PathBuf>,
}

/// A library, binary, example, test or benchmark.
#[derive(Debug, Deserialize)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Vec<String>,
}

/// The cargo that runs us, so that no other toolchain is taken.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

impl Workspace {
    /// Asks cargo.
    pub fn load() -> anyhow::Result<Self> {
        let output = cargo()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
            .output()
            .context("cannot run `cargo metadata`")?;
        if !output.status.success() {
            bail!(
                "`cargo metadata` failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        serde_json::from_slice(&output.stdout).context("cannot read what `cargo metadata` printed")
    }

    /// A path as shown: relative to the root, with slashes.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .to_string_lossy()
            .replace('\\', "/")
    }

    /// The folder of a crate, as shown.
    pub fn folder(&self, package: &Package) -> String {
        self.shown(package.manifest_path.parent().unwrap_or(&self.root))
    }

    /// A crate by its name.
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// Every file of the repository, sorted, as shown. What is built, and the folders for data and
    /// results at the root, are left out.
    pub fn files(&self) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            let entries = std::fs::read_dir(&folder)
                .with_context(|| format!("cannot list {}", folder.display()))?;
            for entry in entries {
                let path = entry?.path();
                let shown = self.shown(&path);
                if path.is_symlink() || matches!(&*shown, ".git" | "target" | "data" | "out") {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(shown);
                }
            }
        }
        found.sort();
        Ok(found)
    }
}
