//! `panda dlq`: the dead letters, looked at, taken again or dropped.

use std::fmt::Write as _;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use feeds::report::write_table;
use runtime::dead_letters::{self, Letter, LetterStatus, Owner, Wish};
use serde_json::{Value, json};

use super::place::{Place, PlaceArgs};
use super::print;

/// Look at what could not be taken (dead letters), have it taken again, or drop it.
#[derive(Debug, Args)]
pub struct DlqArgs {
    #[command(subcommand)]
    command: DlqCommand,
}

#[derive(Debug, Subcommand)]
enum DlqCommand {
    /// List the letters
    List(ListArgs),
    /// Show one letter with its payload
    Show(ShowArgs),
    /// Ask the running or the next session to take a letter again
    Replay(WishArgs),
    /// Ask the running or the next session to drop a letter
    Drop(WishArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  panda dlq list\n  panda dlq list --broker paper --json")]
struct ListArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Only this namespace's letters; `market` for the feeds'
    #[arg(long, value_name = "NAME")]
    broker: Option<String>,
    /// Those that were replayed or dropped as well
    #[arg(long)]
    all: bool,
    /// Print one JSON object per letter
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The letter's id, or the beginning of it
    id: String,
    #[command(flatten)]
    place: PlaceArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct WishArgs {
    /// The letter's id, or the beginning of it
    id: String,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Runs the command.
pub fn run(args: &DlqArgs) -> anyhow::Result<()> {
    match &args.command {
        DlqCommand::List(args) => list(args),
        DlqCommand::Show(args) => show(args),
        DlqCommand::Replay(args) => wish(args, Wish::Replay),
        DlqCommand::Drop(args) => wish(args, Wish::Drop),
    }
}

fn letters(place: &Place) -> anyhow::Result<Vec<(Owner, Letter)>> {
    let names = dead_letters::owners(&place.dir)
        .with_context(|| format!("cannot list {}", place.dir.display()))?;
    let mut all = Vec::new();
    for name in names {
        let letters = dead_letters::read(&place.storage, &name)?;
        all.extend(letters.into_iter().map(|letter| (name.clone(), letter)));
    }
    Ok(all)
}

fn one(place: &Place, id: &str) -> anyhow::Result<(Owner, Letter)> {
    let id = id.trim().to_lowercase();
    let mut found = letters(place)?;
    found.retain(|(_, letter)| !id.is_empty() && letter.id.starts_with(&id));
    if found.len() > 1 {
        bail!(
            "`{id}` is the beginning of {} letters' ids: give more of it",
            found.len()
        );
    }
    found.pop().with_context(|| {
        format!(
            "no dead letter in {} has an id that begins with `{id}`: `panda dlq list --all` lists them",
            place.dir.display()
        )
    })
}

fn as_json(owner: &Owner, letter: &Letter) -> Value {
    json!({
        "id": letter.id, "broker": owner.name(), "topic": format!("{}.dlq", letter.topic),
        "ts": letter.ts.nanos(), "time": letter.ts.to_string(),
        "reason": letter.reason, "text": letter.text, "status": letter.status.name(),
        "tries": letter.tries, "encoding": letter.encoding, "payload": letter.payload,
        "cut": letter.cut,
    })
}

fn list(args: &ListArgs) -> anyhow::Result<()> {
    let place = args.place.open()?;
    let mut all = letters(&place)?;
    if let Some(wanted) = &args.broker {
        all.retain(|(broker, _)| broker.name() == wanted);
    }
    if !args.all {
        all.retain(|(_, letter)| {
            !matches!(
                letter.status,
                LetterStatus::Replayed | LetterStatus::Dropped
            )
        });
    }
    if args.json {
        for (broker, letter) in &all {
            print(&format!("{}\n", as_json(broker, letter)))?;
        }
        return Ok(());
    }
    if all.is_empty() {
        return print("no dead letters: everything could be taken\n");
    }
    let head = ["id", "time", "topic", "reason", "status", "tries", "text"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (_, letter) in &all {
        rows.push(vec![
            letter.id.clone(),
            place.settings.zone.show(letter.ts),
            format!("{}.dlq", letter.topic),
            letter.reason.clone(),
            letter.status.name().to_owned(),
            letter.tries.to_string(),
            letter.text.chars().take(60).collect(),
        ]);
    }
    let mut text = String::new();
    write_table(&mut text, &rows)?;
    print(&text)
}

fn show(args: &ShowArgs) -> anyhow::Result<()> {
    let place = args.place.open()?;
    let (broker, letter) = one(&place, &args.id)?;
    if args.json {
        return print(&format!("{}\n", as_json(&broker, &letter)));
    }
    let mut text = String::new();
    for (name, value) in [
        ("id", letter.id.as_str()),
        ("time", &place.settings.zone.show(letter.ts)),
        ("topic", &format!("{}.dlq", letter.topic)),
        ("reason", &letter.reason),
        ("text", &letter.text),
        ("status", letter.status.name()),
        ("tries", &letter.tries.to_string()),
    ] {
        writeln!(text, "{name:<8}{value}")?;
    }
    let as_what = match letter.encoding {
        dead_letters::Encoding::Text => "",
        dead_letters::Encoding::Hex => " (hexadecimal)",
    };
    let cut = if letter.cut { ", cut" } else { "" };
    writeln!(text, "\npayload{as_what}{cut}:\n{}", letter.payload)?;
    print(&text)
}

fn wish(args: &WishArgs, wish: Wish) -> anyhow::Result<()> {
    let place = args.place.open()?;
    let (broker, letter) = one(&place, &args.id)?;
    if letter.status == LetterStatus::Dropped {
        bail!("letter {} was dropped already", letter.id);
    }
    if wish == Wish::Replay && letter.cut {
        bail!(
            "letter {} cannot be taken again: its payload was too long and is cut",
            letter.id
        );
    }
    dead_letters::request(&place.storage, &broker, &letter.id, wish)?;
    let what = match wish {
        Wish::Replay => "will take it again",
        Wish::Drop => "will drop it",
    };
    print(&format!(
        "letter {}: the running session of `{}`, or else the next, {what}\n",
        letter.id,
        broker.name()
    ))
}
