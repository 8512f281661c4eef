//! `panda journal forget`.

use anyhow::Context;
use clap::Args;
use journal::DirLock;
use runtime::directory::{Directory, FILE};

use super::super::place::PlaceArgs;
use super::super::print;

/// Accept that a log is gone, so that the next start begins it anew
#[derive(Debug, Args)]
#[command(
    after_help = "A start refuses a namespace whose journal has disappeared: its orders may be at the broker. Look them up there first; then this command strikes the log from the data directory's list. Its folder must be gone, and no system may be running.\n\nExamples:\n  panda journal forget paper\n  panda journal forget market --data-dir data"
)]
pub struct ForgetArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// The namespace, or `market`
    #[arg(value_name = "NAME")]
    name: String,
}

/// Runs the command.
pub fn run(args: &ForgetArgs) -> anyhow::Result<()> {
    let place = args.place.open()?;
    let _lock = DirLock::acquire(&place.dir)?;
    let mut directory = Directory::load(place.logs.as_ref())?
        .with_context(|| format!("{} lists no logs: there is no {FILE}", place.dir.display()))?;
    directory.forget(place.logs.as_ref(), &args.name)?;
    print(&format!(
        "`{}` is no longer missed in {}: the next start begins it anew\n",
        args.name,
        place.dir.display()
    ))
}
