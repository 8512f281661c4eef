//! `panda journal verify`.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::bail;
use clap::Args;
use feeds::report::write_table;
use inspect::lost::Held;
use inspect::replay::ReplayReport;
use journal::{JournalError, Log, LogName, Logs, MARKET, Owner, Span, Verified};
use model::{Date, InputId};
use runtime::directory::Directory;
use runtime::error::RuntimeError;
use serde_json::{Value, json};

use super::super::place::{Place, PlaceArgs, bytes};
use super::super::print;

/// Check every checksum and every record of every log
#[derive(Debug, Args)]
#[command(
    after_help = "With --replay every journal is decided again from its beginning: the same build and settings come to the same events. What another build or other settings have written is \"not comparable\" and taken as it is.\n\nExamples:\n  panda journal verify\n  panda journal verify --replay\n  panda journal verify --broker paper --json\n\nIt ends with an error where something is damaged."
)]
pub struct VerifyArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Only this namespace's journal
    #[arg(long, value_name = "NAME")]
    broker: Option<String>,
    /// Decide everything again, and compare with what was recorded
    #[arg(long)]
    pub replay: bool,
    /// Print one JSON object per log
    #[arg(long)]
    json: bool,
}

/// Decides a namespace's journal again, from a data directory: see [`inspect::replay`]. It is given by
/// whoever can compose a system.
pub type Replayer<'a> = &'a dyn Fn(&Place, &str) -> anyhow::Result<ReplayReport>;

/// What is wrong with a log.
struct Damage {
    /// The stable code.
    code: &'static str,
    /// Where, as far as it is known.
    offset: Option<u64>,
    /// For people, with the way out.
    text: String,
}

struct Checked {
    name: String,
    result: Result<Verified, Damage>,
    spans: Vec<Span>,
    /// Market inputs that it took and the market log does not hold.
    lost: Vec<(InputId, InputId)>,
    replay: Option<anyhow::Result<ReplayReport>>,
}

/// Runs the command, and where `replay` is given decides every sound journal again.
pub fn run(args: &VerifyArgs, replay: Option<Replayer<'_>>) -> anyhow::Result<()> {
    let place = args.place.open()?;
    let mut logs = place.chosen_logs(args.broker.as_deref())?;
    let directory = Directory::load(place.logs.as_ref())?;
    if args.broker.is_none() {
        let listed = directory.iter().flat_map(Directory::logs);
        let gone =
            listed.filter(|name| *name != MARKET && !place.brokers.iter().any(|b| b == name));
        logs.extend(gone.map(|name| place.logs.log(LogName::Journal(name))));
    }
    // A market log that cannot be read is told of as such.
    let held = Held::read(place.logs.log(LogName::Market).as_ref()).ok();
    let mut checked = Vec::new();
    for log in logs {
        let is_market = log.name() == MARKET;
        let mut result = check(place.logs.as_ref(), directory.as_ref(), log.as_ref());
        let mut lost = Vec::new();
        if let (Some(held), Ok(_), false) = (&held, &result, is_market) {
            match inspect::lost::lost(log.as_ref(), held) {
                Ok(found) => lost = found,
                Err(error) => result = Err(unreadable(&error)),
            }
        }
        let replay = match (&replay, &result) {
            (Some(replay), Ok(_)) if !is_market => Some(replay(&place, log.name())),
            _ => None,
        };
        checked.push(Checked {
            spans: match &result {
                Ok(verified) => verified.spans.clone(),
                Err(_) => log.spans().unwrap_or_default(),
            },
            name: log.name().to_owned(),
            result,
            lost,
            replay,
        });
    }
    if args.json {
        for log in &checked {
            print(&format!("{}\n", log.json()))?;
        }
    } else {
        print(&text(&place.dir, &checked)?)?;
    }
    let wrong: Vec<&str> = checked
        .iter()
        .filter(|log| log.is_wrong())
        .map(|log| log.name.as_str())
        .collect();
    if !wrong.is_empty() {
        bail!(
            "not in order: {}; what is wrong is said above",
            wrong.join(", ")
        );
    }
    Ok(())
}

fn check(
    logs: &dyn Logs,
    directory: Option<&Directory>,
    log: &dyn Log,
) -> Result<Verified, Damage> {
    let mut owner = Owner::NONE;
    if let Some(directory) = directory {
        let missing = |error: RuntimeError| Damage {
            code: "missing",
            offset: None,
            text: error.to_string(),
        };
        directory.missing(logs, log.name()).map_err(missing)?;
        owner = directory.listed(log.name());
    }
    let verified = log.check(&owner).map_err(damage)?;
    // The checksums hold; now whether this build can read what they protect.
    let any_day = |_| Date::default();
    inspect::stats::read(log, &any_day).map_err(|error| unreadable(&error))?;
    Ok(verified)
}

fn unreadable(error: &RuntimeError) -> Damage {
    Damage {
        code: "unreadable",
        offset: None,
        text: error.to_string(),
    }
}

fn damage(error: JournalError) -> Damage {
    let (code, offset) = match &error {
        JournalError::Damaged { offset, .. } => ("damaged", Some(offset.0)),
        JournalError::Gap { offset, .. } => ("gap", Some(offset.0)),
        JournalError::Lost { end, .. } => ("lost", Some(end.0)),
        JournalError::Misplaced { .. } => ("misplaced", None),
        JournalError::Foreign { .. } => ("foreign", None),
        _ => ("io", None),
    };
    Damage {
        code,
        offset,
        text: error.to_string(),
    }
}

/// The days of a log's files. A file that was begun before the day was known has none.
fn days(spans: &[Span]) -> Vec<Date> {
    let known = spans.iter().map(|s| s.day);
    let mut days: Vec<Date> = known.filter(|d| *d != Date::default()).collect();
    days.dedup();
    days
}

impl Checked {
    fn is_wrong(&self) -> bool {
        let differs = |replay: &anyhow::Result<ReplayReport>| match replay {
            Ok(report) => report.first_difference.is_some(),
            Err(_) => true,
        };
        self.result.is_err() || self.replay.as_ref().is_some_and(differs)
    }

    fn json(&self) -> Value {
        let segments: Vec<Value> = self
            .spans
            .iter()
            .map(|s| json!({ "base": s.first.0, "end": s.end.0, "day": s.day.to_string() }))
            .collect();
        let mut value = match &self.result {
            Ok(v) => json!({
                "log": self.name, "ok": !self.is_wrong(),
                "records": v.records, "batches": v.batches, "bytes": v.bytes, "end": v.end.0,
                "damaged_snapshots": v.damaged_snapshots,
                "unconfirmed_tail": v.tail.as_ref().map(|cut| json!({ "from": cut.from.0, "bytes": cut.bytes })),
            }),
            Err(damage) => json!({
                "log": self.name, "ok": false,
                "damage": { "code": damage.code, "offset": damage.offset, "text": damage.text },
            }),
        };
        if let Some(map) = value.as_object_mut() {
            map.insert("segments".to_owned(), json!(segments));
            if self.name != MARKET {
                map.insert("lost_inputs".to_owned(), ranges(&self.lost));
            }
            if let Some(replay) = &self.replay {
                map.insert("replay".to_owned(), replay_json(replay));
            }
        }
        value
    }
}

fn text(dir: &Path, checked: &[Checked]) -> anyhow::Result<String> {
    let head = [
        "log", "records", "batches", "bytes", "files", "days", "state",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut notes = String::new();
    let is_lost = checked.iter().any(|log| !log.lost.is_empty());
    for log in checked {
        let files = log.spans.len().to_string();
        let days = days(&log.spans);
        let days = match (days.first(), days.last()) {
            (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
            (Some(day), _) => day.to_string(),
            (None, _) => "-".to_owned(),
        };
        let name = log.name.clone();
        let row = match &log.result {
            Ok(v) => [
                name.clone(),
                v.records.to_string(),
                v.batches.to_string(),
                bytes(v.bytes),
                files,
                days,
                if v.records == 0 { "empty" } else { "ok" }.to_owned(),
            ],
            Err(damage) => {
                let dash = || "-".to_owned();
                let state = damage.code.to_owned();
                [name.clone(), dash(), dash(), dash(), files, days, state]
            }
        };
        rows.push(row.to_vec());
        match &log.result {
            Ok(Verified {
                tail: Some(cut), ..
            }) => writeln!(
                notes,
                "\n{name}: {} behind offset {} are not confirmed: a running system is writing them, or a crash left them and the next start cuts them; {}",
                bytes(cut.bytes),
                cut.from,
                match (log.name == MARKET, is_lost) {
                    (true, true) => "what journals took of them is said there",
                    (true, false) => "no journal took any of them",
                    (false, _) => "nothing acted on them",
                }
            )?,
            Err(damage) => writeln!(notes, "\n{name}: {}", damage.text)?,
            Ok(_) => {}
        }
        for (first, last) in &log.lost {
            writeln!(
                notes,
                "\n{name}: market inputs {} to {}, which it took, are not in the market log: a kill or a loss of power took what was not synced there, or a running system has not synced it yet; orders and books are whole without them",
                first.0, last.0
            )?;
        }
        for file in log.result.iter().flat_map(|v| &v.damaged_snapshots) {
            writeln!(
                notes,
                "\n{name}: {file}: this snapshot is damaged; an older one or the log takes its place: remove it"
            )?;
        }
        if let Some(replay) = &log.replay {
            notes.push_str(&replay_text(&name, replay));
        }
    }
    let mut text = format!("logs in {}\n\n", dir.display());
    write_table(&mut text, &rows)?;
    text.push_str(&notes);
    Ok(text)
}

fn ranges(all: &[(InputId, InputId)]) -> Value {
    all.iter().map(|(a, b)| json!([a.0, b.0])).collect()
}

fn replay_json(replay: &anyhow::Result<ReplayReport>) -> Value {
    let report = match replay {
        Err(error) => return json!({ "error": settings::errors::message(error) }),
        Ok(report) => report,
    };
    json!({
        "equal": report.is_equal(),
        "records": report.records, "events": report.events, "compared": report.compared,
        "beginning_removed": report.beginning_removed,
        "not_comparable": report.not_comparable.iter().map(|n| json!({
            "epoch": n.epoch, "records": n.records, "differs": n.differs,
        })).collect::<Vec<_>>(),
        "missing": ranges(&report.missing), "taken_as_recorded": report.colder,
        "first_difference": report.first_difference.as_ref().map(|d| json!({
            "epoch": d.epoch, "step": d.step, "event": d.event,
            "recorded": d.recorded, "decided": d.decided, "after_gap": d.after_gap,
        })),
    })
}

fn replay_text(name: &str, replay: &anyhow::Result<ReplayReport>) -> String {
    let report = match replay {
        Err(error) => {
            let why = settings::errors::message(error);
            return format!("\n{name}: it could not be decided again: {why}\n");
        }
        Ok(report) => report,
    };
    let mut text = if report.beginning_removed {
        format!("\n{name}: not comparable: the journal's beginning has been removed\n")
    } else {
        format!(
            "\n{name}: decided again: {} of {} events in {} records are equal\n",
            report.compared, report.events, report.records
        )
    };
    for part in &report.not_comparable {
        text.push_str(&format!(
            "  start {}: {} records are not comparable: {} changed since\n",
            part.epoch,
            part.records,
            part.differs.join(", ")
        ));
    }
    for (first, last) in &report.missing {
        text.push_str(&format!(
            "  market inputs {} to {} are lost: a replay lacks what strategies and marks had from them\n",
            first.0, last.0
        ));
    }
    if !report.missing.is_empty() {
        text.push_str(&format!(
            "  from the first of them on {} events are taken as recorded and not decided again\n",
            report.colder
        ));
    }
    if let Some(d) = &report.first_difference {
        let shown = |value: &Option<Value>| match value {
            None => "nothing".to_owned(),
            Some(value) => value.to_string(),
        };
        text.push_str(&format!(
            "  the first difference is in step {} of start {}, event {}{}\n    recorded: {}\n    decided:  {}\n",
            d.step,
            d.epoch,
            d.event,
            if d.after_gap { ", behind records that are not comparable" } else { "" },
            shown(&d.recorded),
            shown(&d.decided)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use inspect::replay::{Difference, NotComparable};

    #[test]
    fn a_replay_is_told_with_its_first_difference_and_what_it_could_not_compare() {
        let report = ReplayReport {
            records: 9,
            events: 12,
            compared: 7,
            first_difference: Some(Difference {
                epoch: 2,
                step: 41,
                event: 0,
                recorded: Some(json!({ "type": "order_filled" })),
                decided: None,
                after_gap: true,
            }),
            not_comparable: vec![NotComparable {
                epoch: 1,
                records: 5,
                differs: vec!["the build", "the settings"],
            }],
            missing: vec![(InputId(3), InputId(8))],
            colder: 5,
            beginning_removed: false,
        };
        let text = replay_text("east", &Ok(report.clone()));
        for wanted in [
            "7 of 12 events in 9 records",
            "start 1: 5 records are not comparable: the build, the settings changed since",
            "market inputs 3 to 8 are lost",
            "5 events are taken as recorded",
            "step 41 of start 2, event 0, behind records",
            "recorded: {\"type\":\"order_filled\"}",
            "decided:  nothing",
        ] {
            assert!(text.contains(wanted), "{text} lacks {wanted}");
        }
        let value = replay_json(&Ok(report));
        assert_eq!(value["equal"], false);
        assert_eq!(value["first_difference"]["step"], 41);
        let failed = replay_text("east", &Err(anyhow::anyhow!("no strategies")));
        assert!(failed.contains("could not be decided again: no strategies"));
    }
}
