//! Importing raw files: cleaned, by day and instrument, each file as one atomic step.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::Path;

use model::instrument::Instruments;
use serde::{Deserialize, Serialize};

use super::known::{Known, Owners, whole_path};
use super::manifest::{self, Manifest};
use super::stage::stage;
use super::{BEGUN, Catalogue, FORMAT, LOCK, MARKER, Marker, REJECTS, SOURCES, STAGING, VERSION};
use crate::clean::names::Selection;
use crate::clean::options::Cleaning;
use crate::clean::{self, Cleaned, Opened};
use crate::error::DataError;
use crate::parallel;
use crate::raw::{self, RawFile};
use crate::report::QualityReport;
use crate::source::Progress;

/// How to import.
pub struct ImportOptions<'a> {
    /// How rows are read and cleaned. Its zone becomes the catalogue's, whose days the data is kept by.
    pub cleaning: Cleaning<'a>,
    /// The wanted instruments; `None` for all.
    pub selection: Selection,
}

/// What an import did with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Imported for the first time.
    Imported,
    /// Its bytes or the settings had changed: imported anew in place of what was there.
    Replaced,
    /// Imported before from the same bytes with the same settings: nothing done.
    Unchanged,
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReport {
    /// By file, in the order of their names.
    pub outcomes: BTreeMap<String, Outcome>,
    /// What became of the rows of these files, those that had been imported before included.
    pub quality: QualityReport,
    /// Where the rejected rows of a file lie, below the catalogue.
    pub rejects: BTreeMap<String, String>,
}

impl ImportReport {
    /// How many files had an outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.outcomes
            .values()
            .filter(|known| **known == outcome)
            .count()
    }
}

/// Imports the raw files at `source` into the catalogue at `target`, which is made where there is
/// none. Each file is one atomic step: interrupted, the next import goes on behind the last finished
/// file. A new catalogue is one when all its files are in it; where none came in, nothing is left. One
/// import at a time has a catalogue.
pub fn import(
    source: &Path,
    target: &Path,
    instruments: &Instruments,
    options: &ImportOptions<'_>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<ImportReport, DataError> {
    if Catalogue::is_at(source) || Catalogue::is_begun_at(source) {
        return Err(DataError::unusable(
            source,
            "is a catalogue already",
            "give the raw files",
        ));
    }
    let files = raw::files(source)?;
    let zone = options.cleaning.zone_name();
    let existed = target.exists();
    prepare(target, &zone)?;
    let lock = lock(target)?;
    let result = take_in(&files, target, &zone, instruments, options, progress);
    match &result {
        Ok(_) => finish(target)?,
        Err(_) => clear_begun(target, existed),
    }
    drop(lock);
    result
}

/// Makes a new directory a catalogue.
fn finish(target: &Path) -> Result<(), DataError> {
    let begun = target.join(BEGUN);
    if !begun.is_file() {
        return Ok(());
    }
    std::fs::rename(&begun, target.join(MARKER)).map_err(DataError::io("rename", &begun))?;
    manifest::sync_folder(target)
}

/// Removes what an import has made of which no file came in. The import's own error is told; what
/// cannot be removed is no catalogue either.
fn clear_begun(target: &Path, existed: bool) {
    let is_empty = |folder: &str| {
        std::fs::read_dir(target.join(folder)).map_or(true, |mut entries| entries.next().is_none())
    };
    if !target.join(BEGUN).is_file() || !is_empty(SOURCES) {
        return;
    }
    for folder in [STAGING, REJECTS, SOURCES] {
        let _ = std::fs::remove_dir_all(target.join(folder));
    }
    let _ = std::fs::remove_file(target.join(BEGUN));
    let _ = std::fs::remove_file(target.join(LOCK));
    if !existed {
        let _ = std::fs::remove_dir(target);
    }
}

/// Takes the files in, one after the other.
fn take_in(
    files: &[RawFile],
    target: &Path,
    zone: &str,
    instruments: &Instruments,
    options: &ImportOptions<'_>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<ImportReport, DataError> {
    manifest::recover(target)?;
    let known = Known::new(target, files)?;
    let mut owners = Owners::new(&known);

    let make = |at: usize| prepare_file(&files[at], &known, instruments, options);
    let mut report = ImportReport {
        outcomes: BTreeMap::new(),
        quality: QualityReport::default(),
        rejects: BTreeMap::new(),
    };
    let (mut reports, mut skipped, mut rows) = (Vec::new(), Vec::new(), 0);
    parallel::in_order(files.len(), make, |at, prepared| {
        let file = &files[at];
        let manifest = match prepared {
            Prepared::NotSelected => {
                skipped.push(file.name.clone());
                None
            }
            Prepared::Unchanged(manifest) => {
                report
                    .outcomes
                    .insert(file.name.clone(), Outcome::Unchanged);
                Some(manifest)
            }
            Prepared::New {
                cleaned,
                source,
                settings,
            } => {
                owners.claim(&source, &cleaned, instruments)?;
                let fresh = stage(target, &cleaned, instruments, zone, source, settings)?;
                manifest::commit(target, &fresh)?;
                let replaced = known.by_key.contains_key(&fresh.key);
                let outcome = if replaced {
                    Outcome::Replaced
                } else {
                    Outcome::Imported
                };
                report.outcomes.insert(file.name.clone(), outcome);
                Some(Box::new(fresh))
            }
        };
        if let Some(manifest) = manifest {
            rows += manifest.report.rows_read;
            if manifest.report.rejected.total() > 0 {
                report
                    .rejects
                    .insert(file.name.clone(), manifest.rejects.clone());
            }
            reports.push(manifest.report);
        }
        progress(Progress {
            files: at + 1,
            files_total: files.len(),
            rows,
            file: &file.name,
        });
        Ok(())
    })?;
    report.quality = QualityReport::of(reports, skipped);
    write_quality(target)?;
    Ok(report)
}

/// Makes the catalogue's directories and the marker of its beginning, or checks those that are there.
fn prepare(target: &Path, zone: &str) -> Result<(), DataError> {
    let known = [MARKER, BEGUN]
        .into_iter()
        .find(|marker| target.join(marker).is_file());
    if let Some(marker) = known {
        let before = Catalogue::from_marker(target, marker)?;
        if before.time_zone() != zone {
            let problem = format!("keeps its days by {}, not by {zone}", before.time_zone());
            let fix = format!(
                "import with --tz {}, or into another directory",
                before.time_zone()
            );
            return Err(DataError::unusable(target, problem, fix));
        }
    } else if target.is_dir() {
        let mut entries = std::fs::read_dir(target).map_err(DataError::io("list", target))?;
        // A crash right at the start leaves the directories and no marker.
        let ours = [LOCK, SOURCES, STAGING, REJECTS].map(std::ffi::OsStr::new);
        let foreign = entries.find(|entry| {
            entry
                .as_ref()
                .is_ok_and(|entry| !ours.contains(&entry.file_name().as_os_str()))
        });
        if let Some(Ok(entry)) = foreign {
            let problem = format!(
                "is no catalogue and holds other files, such as `{}`",
                entry.file_name().display()
            );
            return Err(DataError::unusable(
                target,
                problem,
                "give a new directory for --catalogue",
            ));
        }
    }
    std::fs::create_dir_all(target).map_err(DataError::io("create", target))?;
    for folder in [SOURCES, STAGING, REJECTS] {
        manifest::create_folders(target, &target.join(folder))?;
    }
    if known.is_none() {
        let marker = Marker {
            format: FORMAT.to_owned(),
            version: VERSION,
            time_zone: zone.to_owned(),
        };
        let path = target.join(BEGUN);
        manifest::write_atomically(&path, &manifest::to_json(&path, &marker)?)?;
    }
    Ok(())
}

fn lock(target: &Path) -> Result<File, DataError> {
    let path = target.join(LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = file.map_err(DataError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DataError::Locked {
            path: target.to_owned(),
            user: "import or reader",
        }),
        Err(TryLockError::Error(error)) => Err(DataError::io("lock", &path)(error)),
    }
}

/// A file that is ready to be taken into the catalogue.
enum Prepared {
    NotSelected,
    Unchanged(Box<Manifest>),
    New {
        cleaned: Box<Cleaned>,
        source: String,
        settings: String,
    },
}

fn prepare_file(
    file: &RawFile,
    known: &Known,
    instruments: &Instruments,
    options: &ImportOptions<'_>,
) -> Result<Prepared, DataError> {
    let opened = clean::open(file, instruments, &options.selection, &options.cleaning)?;
    if opened.named == Some(None) {
        return Ok(Prepared::NotSelected);
    }
    let source = whole_path(file)?;
    let settings = settings(file, &opened, instruments, options);
    let digest = opened.content.digest.to_hex().to_string();
    if let Some(manifest) = known.unchanged(&manifest::key(&source), &digest, &settings) {
        return Ok(Prepared::Unchanged(Box::new(manifest.clone())));
    }
    let (selection, cleaning) = (&options.selection, &options.cleaning);
    let cleaned = Box::new(clean::clean(
        file,
        opened,
        instruments,
        selection,
        cleaning,
        true,
    )?);
    Ok(Prepared::New {
        cleaned,
        source,
        settings,
    })
}

/// Everything beside its bytes that decides what a file turns into.
fn settings(
    file: &RawFile,
    opened: &Opened,
    instruments: &Instruments,
    options: &ImportOptions<'_>,
) -> String {
    let names = match opened.named.flatten() {
        Some(index) => instruments.get(index).id.clone(),
        // Names in a column: any of the registry may be meant.
        None => {
            let mut hasher = blake3::Hasher::new();
            for (index, instrument) in instruments.iter() {
                let wanted = options
                    .selection
                    .as_ref()
                    .is_none_or(|wanted| wanted.contains(&index));
                let line = format!("{} {:?} {wanted}\n", instrument.id, instrument.aliases);
                hasher.update(line.as_bytes());
            }
            format!("names {}", &hasher.finalize().to_hex()[..16])
        }
    };
    let day = file
        .day()
        .map_or_else(|| "any day".to_owned(), |day| day.to_string());
    format!("{}; {names}; {day}", options.cleaning.text())
}

/// The quality of the whole catalogue, for programs and for people.
fn write_quality(target: &Path) -> Result<(), DataError> {
    let reports = manifest::load_all(target)?
        .into_iter()
        .map(|m| m.report)
        .collect();
    let quality = QualityReport::of(reports, Vec::new());
    let path = target.join("quality.json");
    manifest::write_atomically(&path, &manifest::to_json(&path, &quality)?)?;
    manifest::write_atomically(&target.join("quality.txt"), quality.to_string().as_bytes())
}
