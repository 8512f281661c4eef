//! Market data: raw files, their cleaning, the Parquet catalogue, merged streams.
//!
//! Everything here blocks on files and CPU: a caller on an async runtime uses a blocking thread.

pub mod instruments;

pub mod clock;
mod number;
pub mod raw;

pub mod clean;
mod parallel;
pub mod partition;
pub mod report;

pub mod actions;
pub mod catalogue;
pub mod source;
mod spool;
pub mod stream;

pub mod live;

pub mod error;

pub use actions::{Actions, AppliedAction, DayJump};
pub use catalogue::Catalogue;
pub use catalogue::import::{ImportOptions, ImportReport, Outcome, import};
pub use clean::names::{Selection, select};
pub use clean::options::{Band, Cleaning, SessionRule};
pub use error::DataError;
pub use instruments::{
    InstrumentFileError, LoadedInstruments, RuleBook, load as load_instruments,
    load_with_notes as load_instruments_with_notes,
};
pub use partition::{Partition, Series};
pub use raw::columns::ColumnMap;
pub use report::{FileReport, QualityReport};
pub use source::{DataSet, LoadOptions, Loaded, Progress, Provenance};
pub use stream::{BarStream, MarketStream, TickStream};
