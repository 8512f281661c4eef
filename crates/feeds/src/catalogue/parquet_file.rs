//! One partition as a Parquet file: every column a required 64-bit integer.

use std::path::Path;
use std::sync::Arc;

use model::Date;
use parquet::basic::{Compression, Encoding, Repetition, Type as PhysicalType, ZstdLevel};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::Int64Type;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use crate::partition::{COLUMNS_MAX, Partition, Series};

/// Grows when columns are added.
const SCHEMA_VERSION: &str = "1";
const SCALE: &str = "prices and quantities are integers of 10^-8; times are nanoseconds since \
                     1970-01-01 UTC; zero is an unknown quote or quantity";

fn columns(series: Series) -> impl Iterator<Item = &'static str> {
    std::iter::once(series.time_column()).chain(series.columns().iter().copied())
}

/// The file's bytes. The same partition gives the same bytes with the same build.
pub(super) fn bytes(
    partition: &Partition,
    id: &str,
    digest: &blake3::Hash,
    time_zone: &str,
) -> Result<Vec<u8>, ParquetError> {
    let mut fields = Vec::new();
    for name in columns(partition.series) {
        let field = Type::primitive_type_builder(name, PhysicalType::INT64)
            .with_repetition(Repetition::REQUIRED)
            .build()?;
        fields.push(Arc::new(field));
    }
    let schema = Arc::new(
        Type::group_type_builder("rows")
            .with_fields(fields)
            .build()?,
    );
    let metadata = metadata(
        partition.series,
        partition.day,
        id,
        partition.len(),
        digest,
        time_zone,
    );
    let properties = WriterProperties::builder()
        .set_created_by(format!("alpha-panda {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::DELTA_BINARY_PACKED)
        .set_key_value_metadata(Some(metadata))
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let zeros = vec![0; partition.len()];
    let mut values = std::iter::once(partition.times())
        .chain((0..partition.series.columns().len()).map(|column| partition.column(column)));
    while let Some(mut column) = group.next_column()? {
        let values = values
            .next()
            .filter(|values| !values.is_empty())
            .unwrap_or(&zeros);
        column
            .typed::<Int64Type>()
            .write_batch(values, None, None)?;
        column.close()?;
    }
    group.close()?;
    writer.into_inner()
}

fn metadata(
    series: Series,
    day: Date,
    id: &str,
    rows: usize,
    digest: &blake3::Hash,
    time_zone: &str,
) -> Vec<KeyValue> {
    [
        ("schema_version", SCHEMA_VERSION.to_owned()),
        ("series", series.to_string()),
        ("instrument", id.to_owned()),
        ("date", day.to_string()),
        ("time_zone", time_zone.to_owned()),
        ("rows", rows.to_string()),
        ("digest", digest.to_hex().to_string()),
        ("scale", SCALE.to_owned()),
    ]
    .map(|(key, value)| KeyValue {
        key: key.to_owned(),
        value: Some(value),
    })
    .into()
}

/// True when a column's least and greatest value are zero.
fn is_zero(statistics: Option<&Statistics>) -> bool {
    let Some(Statistics::Int64(statistics)) = statistics else {
        return false;
    };
    statistics.min_opt() == Some(&0) && statistics.max_opt() == Some(&0)
}

type Columns = (Vec<i64>, [Vec<i64>; COLUMNS_MAX]);

/// The times and the columns of a file; an error says what is wrong with it.
pub(super) fn read(path: &Path, series: Series, id: &str) -> Result<Columns, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let reader = SerializedFileReader::new(file).map_err(|error| error.to_string())?;
    let metadata = reader.metadata().file_metadata();
    let entry = |key: &str| {
        let all = metadata.key_value_metadata()?;
        all.iter()
            .find(|entry| entry.key == key)
            .and_then(|entry| entry.value.as_deref())
    };
    for (key, wanted) in [
        ("schema_version", SCHEMA_VERSION),
        ("instrument", id),
        ("series", &series.to_string()),
    ] {
        if entry(key) != Some(wanted) {
            return Err(format!(
                "its {key} is {}, not {wanted}",
                entry(key).unwrap_or("missing")
            ));
        }
    }
    let names: Vec<_> = metadata
        .schema_descr()
        .columns()
        .iter()
        .map(|c| c.name().to_owned())
        .collect();
    if !names.iter().map(String::as_str).eq(columns(series)) {
        return Err(format!("its columns are {}", names.join(", ")));
    }
    let mut all: Vec<Vec<i64>> = vec![Vec::new(); names.len()];
    for group in 0..reader.num_row_groups() {
        let group = reader
            .get_row_group(group)
            .map_err(|error| error.to_string())?;
        let rows =
            usize::try_from(group.metadata().num_rows()).map_err(|error| error.to_string())?;
        for (at, values) in all.iter_mut().enumerate() {
            if is_zero(group.metadata().column(at).statistics()) {
                // Unknown quotes and quantities; the digest of the rows tells if that is wrong.
                values.resize(values.len() + rows, 0);
                continue;
            }
            let column = group
                .get_column_reader(at)
                .map_err(|error| error.to_string())?;
            let mut column = get_typed_column_reader::<Int64Type>(column);
            let wanted = values.len() + rows;
            while values.len() < wanted {
                let left = wanted - values.len();
                let (read, ..) = column
                    .read_records(left, None, None, values)
                    .map_err(|error| error.to_string())?;
                if read == 0 {
                    return Err("it ends early".to_owned());
                }
            }
        }
    }
    let mut all = all.into_iter();
    let times = all.next().unwrap_or_default();
    Ok((
        times,
        std::array::from_fn(|_| all.next().unwrap_or_default()),
    ))
}
