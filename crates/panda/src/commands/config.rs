//! `panda config`: example files, the values in effect, and a check of them.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use session::preflight;
use settings::layers::FILE;
use settings::schema::Kinds;
use settings::{LayerInputs, Leaf, Settings, example};

use super::print;
use crate::compose;

/// Write example settings, show what is in effect, or check it.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Write a commented panda.toml with every key, and .env.example
    Init(InitArgs),
    /// Print every value in effect with the layer that it came from; secrets as ***
    Show(ShowArgs),
    /// Say whether a system could start with these settings
    Check(CheckArgs),
}

#[derive(Debug, Args)]
struct InitArgs {
    /// Where the files go
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Write over files that exist
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Settings (TOML); without it panda.toml in the working directory, where it exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// JSON, also on a terminal; elsewhere it is the default
    #[arg(long, conflicts_with = "text")]
    json: bool,
    /// The table for people, also where the output is no terminal
    #[arg(long)]
    text: bool,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// Settings (TOML); without it panda.toml in the working directory, where it exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    match &args.command {
        ConfigCommand::Init(args) => init(args),
        ConfigCommand::Show(args) => show(args),
        ConfigCommand::Check(args) => check(args.config.as_deref()),
    }
}

fn init(args: &InitArgs) -> anyhow::Result<()> {
    let kinds = compose::kinds();
    let files = [
        (args.dir.join(FILE), example::settings_toml(&kinds)),
        (args.dir.join(".env.example"), example::env_example(&kinds)),
    ];
    // All or nothing: neither is written where one would be lost.
    let there = files.iter().find(|(path, _)| path.exists());
    if let (Some((path, _)), false) = (there, args.force) {
        bail!(
            "{} exists: choose another --dir, or write over it with --force",
            path.display()
        );
    }
    std::fs::create_dir_all(&args.dir)
        .with_context(|| format!("cannot create {}", args.dir.display()))?;
    for (path, text) in files {
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        print(&format!("wrote {}\n", path.display()))?;
    }
    Ok(())
}

fn layered(config: Option<&Path>, kinds: &Kinds) -> anyhow::Result<Settings> {
    let settings = Settings::layered(&LayerInputs::of_process(config, kinds))?;
    for warning in &settings.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(settings)
}

fn show(args: &ShowArgs) -> anyhow::Result<()> {
    let kinds = compose::kinds();
    let settings = layered(args.config.as_deref(), &kinds)?;
    if args.json || !(args.text || std::io::stdout().is_terminal()) {
        let mut text = serde_json::to_string_pretty(&as_json(&settings.leaves))?;
        text.push('\n');
        return print(&text);
    }
    print(&as_table(&settings.leaves))
}

fn as_json(leaves: &[Leaf]) -> serde_json::Value {
    let leaf = |leaf: &Leaf| {
        serde_json::json!({
            "key": leaf.path.join("."),
            "value": leaf.value,
            "layer": leaf.origin.layer.name(),
            "origin": leaf.origin.to_string(),
        })
    };
    serde_json::json!({ "settings": leaves.iter().map(leaf).collect::<Vec<_>>() })
}

fn as_table(leaves: &[Leaf]) -> String {
    let rows: Vec<[String; 3]> = leaves
        .iter()
        .map(|leaf| {
            [
                leaf.path.join("."),
                leaf.value.to_string(),
                leaf.origin.to_string(),
            ]
        })
        .collect();
    let width = |column: usize, most: usize| {
        let lengths = rows.iter().map(|row| row[column].chars().count());
        lengths.max().unwrap_or(0).min(most)
    };
    let (keys, values) = (width(0, 60), width(1, 40));
    let mut out = format!("{:keys$}  {:values$}  from\n", "key", "value");
    for [key, value, origin] in &rows {
        let _infallible = writeln!(out, "{key:keys$}  {value:values$}  {origin}");
    }
    out
}

fn check(config: Option<&Path>) -> anyhow::Result<()> {
    let kinds = compose::kinds();
    let settings = layered(config, &kinds)?;
    let report =
        preflight::look_at_settings(&settings, &settings.active_brokers, compose::BUILT_IN);
    if let Some(failure) = report.failure() {
        bail!("{}: {}", failure.name, failure.text);
    }
    print("OK: the settings are valid\n")
}
