//! Reading a catalogue as a merged stream.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use model::instrument::{InstrumentIdx, Instruments};

use super::manifest::{self, Manifest};
use super::{Catalogue, StoredPartition};
use crate::clean::names;
use crate::clock::{Clock, time_zone};
use crate::error::DataError;
use crate::partition::Series;
use crate::raw::bytes;
use crate::report::QualityReport;
use crate::source::{
    LoadOptions, Loaded, Provenance, history, inputs_digest, overlaps, provenance_files,
    source_session,
};
use crate::stream::{Day, Days, MarketStream, Stream};

/// Every data file of the entries; the instruments' indices are still to be filled in.
pub(super) fn stored(
    root: &Path,
    manifests: &[Manifest],
) -> Result<Vec<StoredPartition>, DataError> {
    let mut all = Vec::new();
    for manifest in manifests {
        let origin: Arc<str> = manifest.source.as_str().into();
        for entry in &manifest.partitions {
            let path = root.join(&entry.file);
            let corrupt = |problem: &str| DataError::Corrupt {
                path: path.clone(),
                problem: problem.to_owned(),
                origin: manifest.source.clone(),
            };
            all.push(StoredPartition {
                series: Series::parse(&entry.series).ok_or_else(|| corrupt("unknown series"))?,
                digest: blake3::Hash::from_hex(&entry.digest).map_err(|_| corrupt("no digest"))?,
                origin: Arc::clone(&origin),
                instrument: InstrumentIdx::default(),
                id: entry.instrument.clone(),
                day: entry.day,
                path,
            });
        }
    }
    Ok(all)
}

/// The series to be read: the one asked for, else ticks, else the only bars there are.
fn choose(
    root: &Path,
    found: &[StoredPartition],
    options: &LoadOptions<'_>,
) -> Result<Series, DataError> {
    let mut all: Vec<Series> = found.iter().map(|stored| stored.series).collect();
    all.sort();
    all.dedup();
    let names: Vec<_> = all.iter().map(ToString::to_string).collect();
    if let Some(timeframe) = options.cleaning.timeframe {
        let wanted = Series::Bars(timeframe);
        return if all.contains(&wanted) {
            Ok(wanted)
        } else {
            let problem = format!("holds no {wanted}");
            Err(DataError::unusable(
                root,
                problem,
                format!("it holds {}", names.join(", ")),
            ))
        };
    }
    match all.as_slice() {
        [] => Err(DataError::unusable(
            root,
            "holds no data",
            "import some with `panda data import`",
        )),
        [first, ..] if *first == Series::Ticks || all.len() == 1 => Ok(*first),
        _ => {
            let problem = format!("holds {}", names.join(", "));
            Err(DataError::unusable(
                root,
                problem,
                "choose one of them with --timeframe",
            ))
        }
    }
}

impl Catalogue {
    /// Opens the days of the wanted instruments. Every file's bytes are checked here, its rows when
    /// their day is read.
    pub(crate) fn load(
        &self,
        instruments: &Instruments,
        options: &LoadOptions<'_>,
    ) -> Result<Loaded, DataError> {
        let guard = self.share()?;
        let manifests = manifest::load_all(&self.root)?;
        let found = stored(&self.root, &manifests)?;
        let series = choose(&self.root, &found, options)?;
        let mut clock = Clock::new(time_zone(self.time_zone())?);

        let mut wanted: BTreeMap<(model::Date, InstrumentIdx), StoredPartition> = BTreeMap::new();
        for stored in found.into_iter().filter(|stored| stored.series == series) {
            let index =
                names::resolve(instruments, &options.selection, &stored.id).map_err(|lookup| {
                    DataError::UnknownInstrument {
                        path: stored.path.clone(),
                        line: None,
                        name: stored.id.clone(),
                        lookup,
                    }
                })?;
            if let Some(instrument) = index {
                wanted.insert(
                    (stored.day, instrument),
                    StoredPartition {
                        instrument,
                        ..stored
                    },
                );
            }
        }
        let report = self.report(&manifests, series, &wanted, instruments);
        if wanted.is_empty() {
            let fix =
                "choose instruments that it holds (see `panda data list`), or leave --symbols out";
            return Err(DataError::unusable(
                &self.root,
                "holds no selected instrument",
                fix,
            ));
        }
        wanted.retain(|(day, _), _| overlaps(&mut clock, *day, options.from, options.to));

        let mut inputs = Vec::with_capacity(wanted.len());
        let file_digests: BTreeMap<String, &str> = manifests
            .iter()
            .flat_map(|manifest| &manifest.partitions)
            .map(|entry| (entry.file.clone(), entry.file_digest.as_str()))
            .collect();
        for stored in wanted.values() {
            let name = super::partition_file(stored.series, stored.day, &stored.id);
            let corrupt = |problem: &str| DataError::Corrupt {
                path: stored.path.clone(),
                problem: problem.to_owned(),
                origin: stored.origin.to_string(),
            };
            let (_, digest) = match bytes::digest(&stored.path) {
                Ok(digest) => digest,
                Err(DataError::Io { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound =>
                {
                    return Err(corrupt("it is missing"));
                }
                Err(error) => return Err(error),
            };
            let digest = digest.to_hex().to_string();
            if file_digests.get(&name) != Some(&digest.as_str()) {
                return Err(corrupt("its bytes are not those that were written"));
            }
            inputs.push((name, digest));
        }
        inputs.sort();

        let delivered = wanted.keys().map(|(day, index)| (*index, *day));
        let (history, plan) = history(instruments, options, delivered)?;
        let entries = wanted
            .values()
            .map(|s| (s.id.as_str(), s.day, s.series, s.digest))
            .collect();
        let session = source_session(entries, options.from, options.to, plan.applied());
        let provenance = Provenance {
            kind: "catalogue",
            inputs_digest: inputs_digest(
                inputs
                    .iter()
                    .map(|(name, digest)| (name.as_str(), digest.as_bytes())),
            ),
            files: provenance_files(&report),
        };
        let mut days: Days = Vec::new();
        for ((day, _), stored) in wanted {
            match days.last_mut() {
                Some((last, Day::Stored(files))) if *last == day => files.push(stored),
                _ => days.push((day, Day::Stored(vec![stored]))),
            }
        }
        let (days, range) = (Arc::new(days), (options.from, options.to));
        let stream = match series {
            Series::Ticks => MarketStream::Ticks(Stream::new(days, range, guard, history)),
            Series::Bars(_) => MarketStream::Bars(Stream::new(days, range, guard, history)),
        };
        Ok(Loaded {
            stream,
            report,
            session,
            provenance,
            warnings: plan.warnings().to_vec(),
        })
    }

    /// The report of the import, of the wanted instruments. Kept rows of others in the same raw file
    /// count as not selected; its rejected rows, which may have no name, stay.
    fn report(
        &self,
        manifests: &[Manifest],
        series: Series,
        wanted: &BTreeMap<(model::Date, InstrumentIdx), StoredPartition>,
        instruments: &Instruments,
    ) -> QualityReport {
        let series = series.to_string();
        let mut files = Vec::new();
        let mut skipped = Vec::new();
        for manifest in manifests
            .iter()
            .filter(|manifest| manifest.report.series == series)
        {
            let chosen = |id: &str, day| {
                instruments
                    .find(id)
                    .is_ok_and(|index| wanted.contains_key(&(day, index)))
            };
            let mut report = manifest.report.clone();
            let rows = manifest
                .partitions
                .iter()
                .filter(|p| chosen(&p.instrument, p.day));
            let kept = rows.map(|p| p.rows).sum::<u64>();
            if kept == 0 && report.kept > 0 {
                skipped.push(report.file);
                continue;
            }
            report.not_selected += report.kept - kept;
            report.rows_read -= report.kept - kept;
            report.kept = kept;
            files.push(report);
        }
        QualityReport::of(files, skipped)
    }
}
