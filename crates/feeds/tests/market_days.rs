//! Recorded market days, read in place where they are.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod common;

use common::skip::shared;
use common::{NSE, cleaning, load, registry, ticks};
use feeds::report::{Doubt, Reject};
use feeds::{ImportOptions, LoadOptions};

#[test]
fn the_dirt_of_three_recorded_days_is_counted_exactly() {
    let Some(path) = shared("nse-ticks") else {
        return;
    };
    let instruments = registry(&NSE);
    let start = std::time::Instant::now();
    let mut loaded = load(&path, &instruments, &LoadOptions::new(cleaning())).unwrap();
    eprintln!("loaded in {:?}", start.elapsed());
    let report = &loaded.report;
    // Counted by an independent script over the same files.
    assert_eq!(report.rows_read, 1_574_940);
    assert_eq!(report.rejected.get(Reject::WrongDay), 83_881);
    assert_eq!(report.rejected.get(Reject::Backwards), 6_483);
    assert_eq!(report.rejected.get(Reject::Repeated), 70_200);
    assert_eq!(report.rejected.get(Reject::OutsideSession), 10_171);
    assert_eq!(report.rejected.total(), 83_881 + 6_483 + 70_200 + 10_171);
    assert_eq!(report.doubtful.get(Doubt::FallingVolume), 10_863);
    assert_eq!(report.kept, 1_404_205);
    assert!(report.balances());
    let start = std::time::Instant::now();
    let all = ticks(&mut loaded);
    eprintln!("streamed in {:?}", start.elapsed());
    assert_eq!(all.len() as u64, loaded.report.kept);
    assert!(
        all.windows(2)
            .all(|w| (w[0].ts, w[0].instrument) <= (w[1].ts, w[1].instrument))
    );
}

#[test]
fn a_recorded_day_is_the_same_from_the_catalogue() {
    let Some(path) = shared("nse-ticks/2021-04-15") else {
        return;
    };
    let instruments = registry(&NSE);
    let folder = tempfile::tempdir().unwrap();
    let options = ImportOptions {
        cleaning: cleaning(),
        selection: None,
    };
    let start = std::time::Instant::now();
    feeds::import(&path, folder.path(), &instruments, &options, &mut |_| {}).unwrap();
    eprintln!("imported in {:?}", start.elapsed());
    let mut raw = load(&path, &instruments, &LoadOptions::new(cleaning())).unwrap();
    let mut stored = load(folder.path(), &instruments, &LoadOptions::new(cleaning())).unwrap();
    assert_eq!(raw.session, stored.session);
    assert_eq!(raw.report, stored.report);
    assert_eq!(raw.provenance.files, stored.provenance.files);
    assert_eq!(ticks(&mut raw), ticks(&mut stored));
}
