//! `panda trace`: the whole life of one decision.

use anyhow::bail;
use clap::Args;
use inspect::trace;

use super::place::PlaceArgs;
use super::print;

/// Show the whole life of one decision, over all brokers: tick, signal, orders, fills
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  panda trace 5f2c1a\n  panda trace 0k3v9a7d2m4q8r1t5w6x --json\n\nIds are in `panda journal dump`, in log lines and, as the tag or client order id, at the broker."
)]
pub struct TraceArgs {
    /// A correlation id, a signal's id, an order's id or a client order id, or the beginning of one
    id: String,
    #[command(flatten)]
    place: PlaceArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &TraceArgs) -> anyhow::Result<()> {
    let place = args.place.open()?;
    let found = trace::resolve(place.logs.as_ref(), &place.brokers, args.id.trim())?;
    let mut ids: Vec<_> = found.iter().map(|m| m.correlation).collect();
    ids.dedup();
    let id = match ids.as_slice() {
        [id] => *id,
        [] => bail!(
            "nothing in {} has an id that begins with `{}`: correlation ids, signal ids, order ids and client order ids are looked for; `panda journal dump` lists them{}",
            place.dir.display(),
            args.id,
            if place.brokers.is_empty() {
                " (and there is no journal in this directory yet)"
            } else {
                ""
            }
        ),
        many => {
            let shown = many.iter().take(8).map(ToString::to_string);
            let shown: Vec<String> = shown.collect();
            bail!(
                "`{}` is the beginning of {} decisions: give more of it: {}{}",
                args.id,
                many.len(),
                shown.join(", "),
                if many.len() > shown.len() {
                    ", …"
                } else {
                    ""
                }
            )
        }
    };
    let life = trace::trace(place.logs.as_ref(), &place.brokers, id)?;
    if args.json {
        print(&format!("{}\n", life.json()))
    } else {
        print(&life.text(&|at| place.settings.zone.show(at)))
    }
}
