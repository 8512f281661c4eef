//! The catalogue: atomic, resumable, idempotent, and equal to the raw files.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod common;

use std::path::Path;

use common::{bars, cleaning, load, registry, ticks, write};
use feeds::catalogue::import::Outcome;
use feeds::clock::parse_bound;
use feeds::{DataError, ImportOptions, ImportReport, LoadOptions, import, select};
use model::market::Timeframe;

fn options() -> ImportOptions<'static> {
    ImportOptions {
        cleaning: cleaning(),
        selection: None,
    }
}

fn run(source: &Path, target: &Path) -> Result<ImportReport, DataError> {
    import(
        source,
        target,
        &registry(&["A", "B", "M&M"]),
        &options(),
        &mut |_| {},
    )
}

/// Two days of three instruments with some dirt, from a fixed seed.
fn raw_files(root: &Path) {
    let mut state = 7u64;
    let mut next = move |n: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    for day in ["2021-04-15", "2021-04-16"] {
        for symbol in ["A", "B", "MM"] {
            let mut text = "timestamp,ltp,volume\n".to_owned();
            let mut volume = 0;
            for second in 0..2_000u64 {
                let at = second + 9 * 3600 + 850 - if next(50) == 0 { next(3_000) } else { 0 };
                volume += next(40);
                let price = 10_000 + next(500);
                let clock = format!("{:02}:{:02}:{:02}", at / 3600, at / 60 % 60, at % 60);
                let row = format!(
                    "{day} {clock},{}.{:02},{volume}\n",
                    price / 100,
                    price % 100
                );
                text.push_str(&row);
                if next(20) == 0 {
                    text.push_str(&row);
                }
            }
            write(root, &format!("{day}/{symbol}.csv"), &text);
        }
    }
}

/// Every file below a directory with its content's digest, without the lock.
fn snapshot(root: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with(".lock") {
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                let digest = blake3::hash(&std::fs::read(&path).unwrap());
                all.push((name, digest.to_hex().to_string()));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn the_catalogue_equals_the_raw_files_in_rows_report_and_identity() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    raw_files(source.path());
    let report = run(source.path(), target.path()).unwrap();
    assert_eq!(report.count(Outcome::Imported), 6);
    let instruments = registry(&["A", "B", "M&M"]);
    let zone = cleaning().zone;
    for (names, range) in [
        (vec![], None),
        (vec!["A".to_owned(), "MM".to_owned()], None),
        (
            vec![],
            Some(("2021-04-15T09:30:00+05:30", "2021-04-16T09:20:00+05:30")),
        ),
        (vec![], Some(("2021-04-16", "2021-04-17"))),
    ] {
        let mut wanted = LoadOptions::new(cleaning());
        wanted.selection = select(&instruments, &names).unwrap();
        if let Some((from, to)) = range {
            wanted.from = parse_bound(from, &zone).unwrap();
            wanted.to = parse_bound(to, &zone).unwrap();
        }
        let mut raw = load(source.path(), &instruments, &wanted).unwrap();
        let mut stored = load(target.path(), &instruments, &wanted).unwrap();
        assert_eq!(raw.session, stored.session);
        assert_eq!(raw.report, stored.report);
        assert!(stored.report.balances());
        let all = ticks(&mut raw);
        assert!(!all.is_empty());
        assert_eq!(all, ticks(&mut stored));
    }
    let packed = std::fs::File::open(target.path().join(&report.rejects["2021-04-15/MM.csv"]));
    let rejected =
        std::io::read_to_string(flate2::read::MultiGzDecoder::new(packed.unwrap())).unwrap();
    assert!(
        rejected.starts_with("file,line,reason,column,text\n"),
        "{rejected}"
    );
    let counted = report
        .quality
        .files
        .iter()
        .find(|f| f.file == "2021-04-15/MM.csv")
        .unwrap();
    assert_eq!(
        rejected.lines().count() as u64,
        1 + counted.rejected.total()
    );
}

#[test]
fn an_import_is_idempotent_and_takes_changes_over() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    raw_files(source.path());
    let first = run(source.path(), target.path()).unwrap();
    let before = snapshot(target.path());
    let second = run(source.path(), target.path()).unwrap();
    assert_eq!(second.count(Outcome::Unchanged), 6);
    assert_eq!(second.quality, first.quality);
    assert_eq!(snapshot(target.path()), before);
    // The same into another directory gives the same data files.
    let other = tempfile::tempdir().unwrap();
    run(source.path(), other.path()).unwrap();
    assert_eq!(snapshot(other.path()), before);

    write(
        source.path(),
        "2021-04-15/A.csv",
        "timestamp,ltp,volume\n2021-04-15 10:00:00,1,1\n",
    );
    let third = run(source.path(), target.path()).unwrap();
    assert_eq!(
        (
            third.count(Outcome::Replaced),
            third.count(Outcome::Unchanged)
        ),
        (1, 5)
    );
    let mut stored = load(
        target.path(),
        &registry(&["A", "B", "M&M"]),
        &LoadOptions::new(cleaning()),
    )
    .unwrap();
    let mut raw = load(
        source.path(),
        &registry(&["A", "B", "M&M"]),
        &LoadOptions::new(cleaning()),
    )
    .unwrap();
    assert_eq!(ticks(&mut stored), ticks(&mut raw));
    drop(stored);
    // Moved files are known by their bytes.
    let moved = tempfile::tempdir().unwrap();
    let to = moved.path().join("data");
    std::fs::rename(source.path(), &to).unwrap();
    assert_eq!(
        run(&to, target.path()).unwrap().count(Outcome::Unchanged),
        6
    );
}

#[test]
fn an_interrupted_import_goes_on_from_any_instant() {
    let source = tempfile::tempdir().unwrap();
    raw_files(source.path());
    let whole = tempfile::tempdir().unwrap();
    run(source.path(), whole.path()).unwrap();
    let wanted = snapshot(whole.path());
    for stop in 0..6 {
        let target = tempfile::tempdir().unwrap();
        // A crash is played by a panic after some files, and by what it would leave behind.
        let crash = std::panic::catch_unwind(|| {
            import(
                source.path(),
                target.path(),
                &registry(&["A", "B", "M&M"]),
                &options(),
                &mut |p| {
                    assert!(p.files <= stop, "crash");
                },
            )
        });
        assert!(crash.is_err());
        write(target.path(), ".staging/0123-0.parquet", "half of a file");
        write(target.path(), "sources/0123.json.tmp", "{");
        let report = run(source.path(), target.path()).unwrap();
        assert_eq!(report.count(Outcome::Unchanged), stop + 1);
        assert_eq!(snapshot(target.path()), wanted, "stopped after {stop}");
    }
    // Decided, but not moved yet: the entry waits under its `.next` name, the data in staging.
    let entries: Vec<_> = wanted
        .iter()
        .filter(|(name, _)| name.starts_with("sources/"))
        .collect();
    for (name, _) in entries {
        let text = std::fs::read(whole.path().join(name)).unwrap();
        let manifest: feeds::catalogue::manifest::Manifest = serde_json::from_slice(&text).unwrap();
        for moved in [false, true] {
            let entry = whole.path().join(name);
            std::fs::rename(&entry, format!("{}.next", entry.display())).unwrap();
            if !moved {
                for (at, partition) in manifest.partitions.iter().enumerate() {
                    let staged = whole
                        .path()
                        .join(format!(".staging/{}-{at}.parquet", manifest.key));
                    std::fs::rename(whole.path().join(&partition.file), staged).unwrap();
                }
            }
            let read = load(
                whole.path(),
                &registry(&["A", "B", "M&M"]),
                &LoadOptions::new(cleaning()),
            );
            assert!(
                read.unwrap_err()
                    .to_string()
                    .contains("run the import again")
            );
            assert_eq!(
                run(source.path(), whole.path())
                    .unwrap()
                    .count(Outcome::Unchanged),
                6
            );
            assert_eq!(snapshot(whole.path()), wanted);
        }
    }
}

#[test]
fn a_corrupt_file_is_named_and_mended_by_importing_again() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    raw_files(source.path());
    run(source.path(), target.path()).unwrap();
    let wanted = snapshot(target.path());
    let file = target
        .path()
        .join("ticks/date=2021-04-16/NSE_M%26M.parquet");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let instruments = registry(&["A", "B", "M&M"]);
    let read = || load(target.path(), &instruments, &LoadOptions::new(cleaning()));
    let message = read().unwrap_err().to_string();
    assert!(
        message.contains("NSE_M%26M.parquet` is corrupt") && message.contains("again"),
        "{message}"
    );
    std::fs::remove_file(&file).unwrap();
    assert!(read().unwrap_err().to_string().contains("it is missing"));
    assert_eq!(
        run(source.path(), target.path())
            .unwrap()
            .count(Outcome::Replaced),
        1
    );
    assert!(read().is_ok());
    assert_eq!(snapshot(target.path()), wanted);
}

#[test]
fn what_cannot_be_imported_leaves_the_catalogue_as_it_was() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    raw_files(source.path());
    run(source.path(), target.path()).unwrap();
    let before = snapshot(target.path());
    let more = tempfile::tempdir().unwrap();
    write(
        more.path(),
        "A_2021-04-15.csv",
        "ts,symbol,price\n2021-04-15 10:00:00,A,1\n",
    );
    let message = run(more.path(), target.path()).unwrap_err().to_string();
    assert!(
        message.contains("A_2021-04-15.csv") && message.contains("2021-04-15/A.csv"),
        "{message}"
    );
    assert!(message.contains("NSE:A on 2021-04-15"), "{message}");
    assert_eq!(snapshot(target.path()), before);

    let mut utc = options();
    utc.cleaning.zone = feeds::clock::time_zone("UTC").unwrap();
    let instruments = registry(&["A", "B", "M&M"]);
    let message = import(
        source.path(),
        target.path(),
        &instruments,
        &utc,
        &mut |_| {},
    )
    .unwrap_err()
    .to_string();
    assert!(message.contains("--tz Asia/Kolkata"), "{message}");
    let foreign = run(source.path(), source.path()).unwrap_err().to_string();
    assert!(
        foreign.contains("is no catalogue and holds other files"),
        "{foreign}"
    );
    assert!(
        run(target.path(), more.path())
            .unwrap_err()
            .to_string()
            .contains("is a catalogue already")
    );

    let reader = load(target.path(), &instruments, &LoadOptions::new(cleaning())).unwrap();
    assert!(matches!(
        run(source.path(), target.path()),
        Err(DataError::Locked { .. })
    ));
    drop(reader);
    assert!(run(source.path(), target.path()).is_ok());
}

#[test]
fn an_import_that_fails_leaves_no_catalogue_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("raw"), folder.path().join("catalogue"));
    let bad = "timestamp,ltp,volume\n2021-04-15 10:00:00,none,1\n";
    write(&source, "2021-04-15/A.csv", bad);
    run(&source, &target).unwrap_err();
    assert!(!target.exists(), "nothing came in, nothing is left");
    std::fs::create_dir(&target).unwrap();
    run(&source, &target).unwrap_err();
    assert_eq!(
        snapshot(&target),
        [],
        "the directory that was there stays, empty"
    );

    // Some files came in: they are not the data set, and are not taken for it.
    raw_files(&source);
    let whole = folder.path().join("whole");
    run(&source, &whole).unwrap();
    write(&source, "2021-04-16/B.csv", bad);
    run(&source, &target).unwrap_err();
    let instruments = registry(&["A", "B", "M&M"]);
    let read = load(&target, &instruments, &LoadOptions::new(cleaning()));
    let message = read.unwrap_err().to_string();
    assert!(
        message.contains("its first import did not go through"),
        "{message}"
    );
    raw_files(&source);
    let report = run(&source, &target).unwrap();
    assert_eq!(
        report.count(Outcome::Unchanged),
        4,
        "it goes on where it stopped"
    );
    assert_eq!(snapshot(&target), snapshot(&whole));
}

#[test]
fn bars_of_a_month_in_one_file_are_kept_by_day() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut text = "timestamp,symbol,open,high,low,close,volume\n".to_owned();
    for hour in 0..72 {
        let (day, hour) = (3 + hour / 24, hour % 24);
        for symbol in ["A", "NSE:B"] {
            text.push_str(&format!(
                "2022-01-{day:02} {hour:02}:00:00,{symbol},1,2,0.5,1.5,{hour}.25\n"
            ));
        }
    }
    write(source.path(), "january.csv", &text);
    let instruments = registry(&["A", "B"]);
    let mut cleaning = cleaning();
    cleaning.sessions = None;
    cleaning.band = feeds::Band::OFF;
    cleaning.timeframe = Timeframe::parse("1h");
    let options = ImportOptions {
        cleaning: cleaning.clone(),
        selection: None,
    };
    let report = import(
        source.path(),
        target.path(),
        &instruments,
        &options,
        &mut |_| {},
    )
    .unwrap();
    assert_eq!((report.quality.rows_read, report.quality.kept), (144, 144));
    assert!(
        target
            .path()
            .join("bars/1h/date=2022-01-05/NSE_B.parquet")
            .is_file()
    );
    cleaning.timeframe = None;
    let mut stored = load(
        target.path(),
        &instruments,
        &LoadOptions::new(cleaning.clone()),
    )
    .unwrap();
    let all = bars(&mut stored);
    assert_eq!(all.len(), 144);
    assert!(
        all.windows(2)
            .all(|w| (w[0].close_ts, w[0].instrument) < (w[1].close_ts, w[1].instrument))
    );
    // Half of a file's instruments: the others' rows are not counted as read.
    let mut half = LoadOptions::new(cleaning.clone());
    half.selection = select(&instruments, &["B".into()]).unwrap();
    let stored = load(target.path(), &instruments, &half).unwrap();
    assert_eq!(
        (stored.report.rows_read, stored.report.files[0].not_selected),
        (72, 72)
    );
    cleaning.timeframe = Timeframe::parse("1m");
    let message = load(target.path(), &instruments, &LoadOptions::new(cleaning))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("holds no bars/1m; it holds bars/1h"),
        "{message}"
    );
}
