//! A data set: a catalogue, a directory of raw files, or one raw file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::Timestamp;
use model::ids::SourceSession;
use model::instrument::{AssetClass, InstrumentIdx, Instruments};
use model::time::Date;
use serde::Serialize;

use crate::actions::{Action, Actions, History, Plan};
use crate::catalogue::Catalogue;
use crate::clean::names::Selection;
use crate::clean::options::Cleaning;
use crate::clean::{self};
use crate::clock::Clock;
use crate::error::DataError;
use crate::parallel;
use crate::partition::{Partition, Series};
use crate::raw::{self, RawFile};
use crate::report::{FileReport, QualityReport};
use crate::spool::{self, Spool, Spooled};
use crate::stream::{Day, Days, MarketStream, Stream};

/// What to read of a data set, and how.
pub struct LoadOptions<'a> {
    /// How raw rows are read. Of a catalogue, which is clean, only the timeframe matters: with one its
    /// bars are read, otherwise its ticks.
    pub cleaning: Cleaning<'a>,
    /// The wanted instruments; `None` for all.
    pub selection: Selection,
    /// First instant, inclusive.
    pub from: Timestamp,
    /// Last instant, exclusive.
    pub to: Timestamp,
    /// Splits and bonuses, which bring the rows before them into the shares after them.
    pub actions: Actions,
}

impl<'a> LoadOptions<'a> {
    /// All instruments and all days.
    pub fn new(cleaning: Cleaning<'a>) -> Self {
        Self {
            cleaning,
            selection: None,
            from: Timestamp::MIN,
            to: Timestamp::MAX,
            actions: Actions::default(),
        }
    }
}

/// How far loading has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Files finished.
    pub files: usize,
    /// Files in all.
    pub files_total: usize,
    /// Rows read so far.
    pub rows: u64,
    /// The file that was finished last.
    pub file: &'a str,
}

/// Where a data set's rows come from, for reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Provenance {
    /// `raw` or `catalogue`.
    pub kind: &'static str,
    /// BLAKE3, in hexadecimal, over every file that was read, in the order of their names: the
    /// length of its name, the name, the BLAKE3 of its bytes.
    pub inputs_digest: String,
    /// The raw files, also where the rows were read from a catalogue.
    pub files: Vec<ProvenanceFile>,
}

/// One raw file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProvenanceFile {
    /// Its path below the data set.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub digest: String,
    /// Rows kept.
    pub rows: u64,
    /// Rows rejected.
    pub rejected: u64,
}

/// A data set that is ready to be streamed.
pub struct Loaded {
    /// The merged rows.
    pub stream: MarketStream,
    /// What became of every row of the wanted instruments, whatever their day: `from` and `to` are not
    /// yet applied here.
    pub report: QualityReport,
    /// The identity of the rows: equal for raw files and the catalogue made of them, whatever the
    /// files are called.
    pub session: SourceSession,
    /// Where they come from.
    pub provenance: Provenance,
    /// What the reader must know, such as a corporate action that changes nothing.
    pub warnings: Vec<String>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// A data set.
pub enum DataSet {
    /// Raw files, with the path that was given.
    Raw(PathBuf, Vec<RawFile>),
    /// A catalogue.
    Catalogue(Catalogue),
}

impl DataSet {
    /// Looks what lies at a path: a catalogue, a directory of raw files, or one raw file.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        if Catalogue::is_at(path) || Catalogue::is_begun_at(path) {
            return Catalogue::open(path).map(Self::Catalogue);
        }
        raw::files(path).map(|files| Self::Raw(path.to_owned(), files))
    }

    /// Reads and cleans raw files, or opens a catalogue's days.
    pub fn load(
        &self,
        instruments: &Instruments,
        options: &LoadOptions<'_>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Loaded, DataError> {
        if options.from >= options.to {
            let what = format!("the range from {} to {} is empty", options.from, options.to);
            return Err(DataError::setting(
                what,
                "--to is exclusive: give a later one",
            ));
        }
        match self {
            Self::Raw(path, files) => load_raw(path, files, instruments, options, progress),
            Self::Catalogue(catalogue) => catalogue.load(instruments, options),
        }
    }
}

/// The identity of a stream, from its partitions' rows, the range that is delivered of them, and the
/// actions that change them. Entries: instrument, day, series, digest of the rows.
pub(crate) fn source_session<'a>(
    mut entries: Vec<(&str, Date, Series, blake3::Hash)>,
    from: Timestamp,
    to: Timestamp,
    actions: impl Iterator<Item = &'a Action>,
) -> SourceSession {
    entries.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"alpha-panda session 1");
    hasher.update(&from.0.to_le_bytes());
    hasher.update(&to.0.to_le_bytes());
    for (id, day, series, digest) in entries {
        let line = format!("{id}\n{day}\n{series}\n");
        hasher.update(&(line.len() as u64).to_le_bytes());
        hasher.update(line.as_bytes());
        hasher.update(digest.as_bytes());
    }
    for action in actions {
        let line = format!("{} {} {}\n", action.id, action.ex_date, action.shares);
        hasher.update(&(line.len() as u64).to_le_bytes());
        hasher.update(line.as_bytes());
    }
    let mut first = [0; 16];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    SourceSession(u128::from_le_bytes(first))
}

/// See [`Provenance::inputs_digest`]; the files are already in order.
pub(crate) fn inputs_digest<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, digest) in files {
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(digest);
    }
    hasher.finalize().to_hex().to_string()
}

/// What is to become of the days of a stream.
pub(crate) fn history(
    instruments: &Instruments,
    options: &LoadOptions<'_>,
    days: impl Iterator<Item = (InstrumentIdx, Date)> + Clone,
) -> Result<(History, Arc<Plan>), DataError> {
    let selection = &options.selection;
    let is_selected = |index| selection.as_ref().is_none_or(|s| s.contains(&index));
    let plan = Arc::new(Plan::new(&options.actions, is_selected, days.clone())?);
    let shares = days
        .filter(|(index, _)| instruments.get(*index).asset_class == AssetClass::Equity)
        .map(|(index, _)| (index, instruments.get(index).id.clone()))
        .collect();
    Ok((History::new(Arc::clone(&plan), shares), plan))
}

/// True when a local day has an instant in `[from, to)`.
pub(crate) fn overlaps(clock: &mut Clock, day: Date, from: Timestamp, to: Timestamp) -> bool {
    let start = clock.start_of(day).unwrap_or(i64::MIN);
    let end = clock.start_of(day.next()).unwrap_or(i64::MAX);
    start < to.0 && from.0 < end
}

pub(crate) fn provenance_files(report: &QualityReport) -> Vec<ProvenanceFile> {
    let of = |file: &FileReport| ProvenanceFile {
        file: file.file.clone(),
        bytes: file.bytes,
        digest: file.digest.clone(),
        rows: file.kept,
        rejected: file.rejected.total(),
    };
    report.files.iter().map(of).collect()
}

/// A cleaned file without its text.
struct Rows {
    report: FileReport,
    partitions: Vec<(Partition, blake3::Hash)>,
}

fn load_raw(
    root: &Path,
    files: &[RawFile],
    instruments: &Instruments,
    options: &LoadOptions<'_>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Loaded, DataError> {
    let (selection, cleaning) = (&options.selection, &options.cleaning);
    let make = |at: usize| -> Result<Option<Rows>, DataError> {
        let file = &files[at];
        let opened = clean::open(file, instruments, selection, cleaning)?;
        if opened.named == Some(None) {
            return Ok(None);
        }
        let cleaned = clean::clean(file, opened, instruments, selection, cleaning, false)?;
        let digested = |partition: Partition| {
            let digest = partition.digest();
            (partition, digest)
        };
        let partitions = cleaned.partitions.into_iter().map(digested).collect();
        Ok(Some(Rows {
            report: cleaned.report,
            partitions,
        }))
    };
    let mut reports = Vec::new();
    let mut skipped = Vec::new();
    let mut found: BTreeMap<(Date, InstrumentIdx), Found> = BTreeMap::new();
    let mut first_series: Option<(String, usize)> = None;
    let mut rows_read = 0;
    let mut spool = Spool::new(spool::MEMORY_MAX);
    let mut clock = Clock::new(cleaning.zone.clone());
    parallel::in_order(files.len(), make, |at, made| {
        let name = &files[at].name;
        match made {
            None => skipped.push(name.clone()),
            Some(rows) => {
                let series = &rows.report.series;
                let (wanted, first) = first_series.get_or_insert_with(|| (series.clone(), at));
                if wanted != series {
                    let problem = format!(
                        "holds {series}, but `{}` holds {wanted}",
                        files[*first].name
                    );
                    let fix = "keep ticks and bars in directories of their own";
                    return Err(DataError::unusable(&files[at].path, problem, fix));
                }
                rows_read += rows.report.rows_read;
                reports.push(rows.report);
                for (partition, digest) in rows.partitions {
                    let key = (partition.day, partition.instrument);
                    let series = partition.series;
                    // Rows outside the range only prove that no other file holds their day.
                    let wanted = overlaps(&mut clock, key.0, options.from, options.to);
                    let rows = match wanted {
                        true => Some(spool.keep(partition, digest)?),
                        false => None,
                    };
                    let this = Found {
                        file: at,
                        series,
                        rows,
                        digest,
                    };
                    if let Some(before) = found.insert(key, this) {
                        return Err(DataError::Collision {
                            first: files[before.file].name.clone(),
                            second: name.clone(),
                            series: series.to_string(),
                            instrument: instruments.get(key.1).id.clone(),
                            day: key.0,
                        });
                    }
                }
            }
        }
        progress(Progress {
            files: at + 1,
            files_total: files.len(),
            rows: rows_read,
            file: name,
        });
        Ok(())
    })?;
    if reports.is_empty() {
        let fix = "choose instruments that its files hold, or leave --symbols out";
        return Err(DataError::unusable(
            root,
            "no file holds a selected instrument",
            fix,
        ));
    }

    drop(spool);
    found.retain(|_, found| found.rows.is_some());
    let delivered = found.keys().map(|(day, index)| (*index, *day));
    let (history, plan) = history(instruments, options, delivered)?;
    let mut entries = Vec::new();
    let mut days: Days = Vec::new();
    for ((day, index), found) in found {
        let Some(rows) = found.rows else { continue };
        let id = instruments.get(index).id.as_str();
        entries.push((id, day, found.series, found.digest));
        match days.last_mut() {
            Some((last, Day::Cleaned(all))) if *last == day => all.push(rows),
            _ => days.push((day, Day::Cleaned(vec![rows]))),
        }
    }
    let session = source_session(entries, options.from, options.to, plan.applied());
    let report = QualityReport::of(reports, skipped);
    let digests: Vec<_> = report
        .files
        .iter()
        .map(|f| (f.file.as_str(), f.digest.as_bytes()))
        .collect();
    let provenance = Provenance {
        kind: "raw",
        inputs_digest: inputs_digest(digests),
        files: provenance_files(&report),
    };
    let range = (options.from, options.to);
    let days = Arc::new(days);
    let bars = first_series.is_some_and(|(series, _)| series != Series::Ticks.to_string());
    let stream = if bars {
        MarketStream::Bars(Stream::new(days, range, None, history))
    } else {
        MarketStream::Ticks(Stream::new(days, range, None, history))
    };
    Ok(Loaded {
        stream,
        report,
        session,
        provenance,
        warnings: plan.warnings().to_vec(),
    })
}

/// An instrument's day with the number of its file.
struct Found {
    file: usize,
    series: Series,
    /// `None` outside the range that is delivered.
    rows: Option<Spooled>,
    digest: blake3::Hash,
}
