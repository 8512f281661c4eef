//! `panda dlq`: the dead letters, looked at, taken again or dropped.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use feeds::report::write_table;
use journal::DirLock;
use model::Timestamp;
use runtime::clock::wall;
use runtime::dead_letters::{self, DeadLetters, Letter, LetterAction, LetterStatus, Owner};
use serde_json::{Value, json};
use session::control::{Client, LetterOutcome, Reply, Request};

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
    /// Have the running session, or else the next, take a letter again
    Replay(ActArgs),
    /// Drop a letter
    Drop(ActArgs),
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
struct ActArgs {
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
        DlqCommand::Replay(args) => act(args, LetterAction::Replay),
        DlqCommand::Drop(args) => act(args, LetterAction::Drop),
    }
}

fn letters(place: &Place) -> anyhow::Result<Vec<(Owner, Letter)>> {
    let names = dead_letters::owners(place.logs.as_ref())
        .with_context(|| format!("cannot list {}", place.dir.display()))?;
    let mut all = Vec::new();
    for name in names {
        let letters = dead_letters::read(place.logs.as_ref(), &name)?;
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

fn act(args: &ActArgs, action: LetterAction) -> anyhow::Result<()> {
    let place = args.place.open()?;
    let (owner, letter) = one(&place, &args.id)?;
    if let Some(why) = letter.refusal(action) {
        bail!(why);
    }
    let (id, name) = (&letter.id, owner.name());
    let request = Request::Letter {
        owner: name.to_owned(),
        id: id.clone(),
        action,
    };
    let outcome = match Client::find(&place.dir)? {
        Some(mut client) => match client.ask(&request)? {
            Reply::Letter(outcome) => outcome,
            other => bail!("the session answered something else: {other:?}"),
        },
        None => in_files(&place, &owner, id, action)?,
    };
    print(&match outcome {
        LetterOutcome::Taken => format!("letter {id}: `{name}` has taken it again\n"),
        LetterOutcome::Requested => {
            format!("letter {id}: the next session of `{name}` will take it again\n")
        }
        LetterOutcome::Dropped => format!("letter {id}: dropped\n"),
        LetterOutcome::Parked(why) => {
            bail!("letter {id} cannot be taken again and stays parked: {why}")
        }
    })
}

/// Marks a letter where no session runs. Only a session can give it out.
fn in_files(
    place: &Place,
    owner: &Owner,
    id: &str,
    action: LetterAction,
) -> anyhow::Result<LetterOutcome> {
    let _lock = DirLock::acquire(&place.dir)?;
    let mut letters = DeadLetters::open(Arc::clone(&place.logs), owner.clone())?;
    // Before the lock was there another process may have had it.
    if let Some(why) = letters.show(id).and_then(|letter| letter.refusal(action)) {
        bail!(why);
    }
    if !letters.mark(id, action.status(), Timestamp(wall()))? {
        bail!("letter {id} is not kept any more");
    }
    Ok(match action {
        LetterAction::Replay => LetterOutcome::Requested,
        LetterAction::Drop => LetterOutcome::Dropped,
    })
}
