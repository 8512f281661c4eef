//! Market data: raw files, their cleaning, the Parquet catalogue, merged streams.
