//! What a backtest leaves behind: hashes, files, statistics and the report.
//!
//! The output side reads events and never decides anything. A driver feeds it so:
//!
//! ```
//! use model::session::AlwaysOpen;
//! use model::{Amount, Currency, Instrument, Instruments};
//! use research::collector::{Collector, SpaceSpec};
//! use research::log_hash::{LogHashes, Names};
//! use research::output::OutputDir;
//! use research::report::{ReportData, write_html};
//! use research::sampler::PriceSampler;
//! use research::summary::{RunFacts, Summary};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let scratch = tempfile::tempdir()?;
//! # let path = scratch.path().join("out");
//! let instruments = Instruments::new(vec![Instrument::share("NSE", "A", "INR".parse::<Currency>()?)])?;
//! let strategies = vec!["manual".to_owned(), "ema_1".to_owned()];
//! let names = Names { instruments: &instruments, strategies: &strategies };
//! let cash = [Amount::from_int(1_000_000)];
//! let spaces = [SpaceSpec {
//!     name: "paper",
//!     base: model::CurrencyIdx(0),
//!     starting_cash: &cash,
//!     sessions: &AlwaysOpen,
//! }];
//!
//! let out = OutputDir::create(&path)?;
//! let mut collector = Collector::create(out.path(), names, &spaces)?;
//! let mut hashes = LogHashes::new(&["paper"]);
//! let mut prices = PriceSampler::new(instruments.len());
//!
//! // For every tick: prices.record(tick.instrument, tick.ts, tick.price);
//! // For every event of the output buffer, in order:
//! //     hashes.update(namespace, &names, &event);
//! //     collector.on_event(namespace, &event)?;
//!
//! let last = prices.last_prices();
//! let collected = collector.finish(|_| &last)?;
//! let (log_hash, log_hash_by_broker) = hashes.finish();
//! let facts = RunFacts { log_hash, log_hash_by_broker, ..RunFacts::default() };
//! let summary = Summary::new(&collected, names, facts)?;
//! summary.write(out.path())?;
//! let data = ReportData {
//!     title: "Backtest",
//!     summary: &summary,
//!     collected: &collected,
//!     prices: &prices,
//!     names,
//!     time_zone: "Asia/Kolkata",
//! };
//! out.write("report.html", |file| write_html(&data, file))?;
//! out.commit()?;
//! # Ok(()) }
//! ```

pub mod collector;
pub mod driver;
pub mod error;
pub mod exact;
pub mod log_hash;
pub mod output;
pub mod report;
pub mod sampler;
pub mod statistics;
pub mod summary;

pub use error::OutputError;
