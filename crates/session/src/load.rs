//! Recorded market data, as backtests and replays read it.

use std::path::Path;

use anyhow::Context;
use feeds::{Actions, Cleaning, DataSet, LoadOptions, Loaded, Progress, Selection, SessionRule};
use markets::calendar::MarketSessions;
use model::{Instruments, Timestamp};
use settings::Settings;

/// What of a data set is wanted.
pub struct DataRequest<'a> {
    /// A catalogue, a directory of raw files, or one file.
    pub path: &'a Path,
    /// First instant.
    pub from: Timestamp,
    /// End, exclusive.
    pub to: Timestamp,
    /// The wanted instruments; `None` for all.
    pub selection: Selection,
}

/// Reads and cleans it as the settings say.
pub fn load(
    settings: &Settings,
    instruments: &Instruments,
    sessions: &MarketSessions,
    request: DataRequest<'_>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> anyhow::Result<Loaded> {
    let data = &settings.data;
    let rule = SessionRule {
        sessions,
        text: settings.markets.text(),
    };
    let cleaning = Cleaning {
        columns: data.column_map()?,
        band: data.band()?,
        sessions: data.session_only.then_some(rule),
        timeframe: data.bars()?,
        bar_stamp: data.bar_stamp,
        ..Cleaning::new(data.zone()?)
    };
    let mut options = LoadOptions::new(cleaning);
    options.from = request.from;
    options.to = request.to;
    options.selection = request.selection;
    if let Some(path) = &data.corporate_actions {
        options.actions = Actions::load(path, instruments).context("corporate actions")?;
    }
    let set = DataSet::open(request.path).context("--data")?;
    Ok(set.load(instruments, &options, progress)?)
}
