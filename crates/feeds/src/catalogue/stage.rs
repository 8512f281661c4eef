//! A cleaned file's data and rejects on their way into the catalogue.

use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use model::Timestamp;
use model::instrument::Instruments;

use super::manifest::{self, Manifest, PartitionEntry};
use super::parquet_file;
use crate::clean::Cleaned;
use crate::error::DataError;
use crate::report::Reject;

/// Writes a cleaned file's data and rejects to the staging directory.
pub(super) fn stage(
    target: &Path,
    cleaned: &Cleaned,
    instruments: &Instruments,
    zone: &str,
    source: String,
    settings: String,
) -> Result<Manifest, DataError> {
    let key = manifest::key(&source);
    let mut partitions = Vec::new();
    for (at, partition) in cleaned.partitions.iter().enumerate() {
        let id = &instruments.get(partition.instrument).id;
        let path = manifest::staged_path(target, &key, at);
        let digest = partition.digest();
        let bytes = parquet_file::bytes(partition, id, &digest, zone)
            .map_err(|error| DataError::io("write", &path)(std::io::Error::other(error)))?;
        manifest::write_synced(&path, &bytes)?;
        let time = |ts: Option<&i64>| Timestamp(ts.copied().unwrap_or_default());
        partitions.push(PartitionEntry {
            file: super::partition_file(partition.series, partition.day, id),
            series: partition.series.to_string(),
            instrument: id.clone(),
            day: partition.day,
            rows: partition.len() as u64,
            first: time(partition.times().first()),
            last: time(partition.times().last()),
            digest: digest.to_hex().to_string(),
            file_digest: blake3::hash(&bytes).to_hex().to_string(),
        });
    }
    let path = manifest::staged_rejects(target, &key);
    manifest::write_synced(
        &path,
        &rejects(cleaned).map_err(DataError::io("write", &path))?,
    )?;
    let rejects = manifest::rejects_file(&key, &cleaned.report.file);
    Ok(Manifest {
        key,
        source,
        settings,
        report: cleaned.report.clone(),
        partitions,
        rejects,
    })
}

/// The rejected rows as CSV, compressed: a dirty source rejects as much as it keeps.
fn rejects(cleaned: &Cleaned) -> std::io::Result<Vec<u8>> {
    let packed = GzEncoder::new(Vec::new(), Compression::default());
    let mut writer = csv::Writer::from_writer(packed);
    writer.write_record(["file", "line", "reason", "column", "text"])?;
    for row in &cleaned.rejects {
        let line = row.line.to_string();
        let fields: [&[u8]; 5] = [
            cleaned.report.file.as_bytes(),
            line.as_bytes(),
            Reject::name(row.reason).as_bytes(),
            cleaned.column(row).as_bytes(),
            cleaned.raw(row),
        ];
        writer.write_record(fields)?;
    }
    let packed = writer.into_inner();
    packed
        .map_err(|error| std::io::Error::other(error.to_string()))?
        .finish()
}
