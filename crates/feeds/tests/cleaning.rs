//! Cleaning and merging on generated files.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod common;

use std::path::Path;

use common::{bars, cleaning, load, registry, ticks, write};
use feeds::clock::{parse_bound, time_zone};
use feeds::report::{Doubt, Reject};
use feeds::{Band, Cleaning, ColumnMap, DataError, LoadOptions, select};
use model::market::{BarStamp, Timeframe};
use proptest::prelude::*;

fn utc() -> Cleaning<'static> {
    Cleaning::new(time_zone("UTC").unwrap())
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn failure(path: &Path, cleaning: Cleaning<'static>) -> String {
    load(
        path,
        &registry(&["A", "B", "M&M"]),
        &LoadOptions::new(cleaning),
    )
    .unwrap_err()
    .to_string()
}

#[test]
fn every_reason_is_counted_under_the_first_that_applies() {
    let folder = folder();
    write(
        folder.path(),
        "2021-04-15/A.csv",
        "timestamp,ltp,volume\n\
         2021-04-15 09:15:00,100,10\n\
         2021-04-15 09:15:01,100.123456789,10\n\
         2021-04-15 09:15:01,abc,10\n\
         2021-04-15 09:15:01,100\n\
         2021-04-15 09:15:01,20000000,10\n\
         \"2021-04-15 09:15:01,100,10\n\
         1970-01-01 05:30:00,100,10\n\
         2021-04-15 15:00:00,101,30\n\
         2021-04-15 09:15:02,101,30\n\
         2021-04-15 09:15:02,101,30\n\
         2021-04-15 09:15:03,0,30\n\
         2021-04-15 09:15:03,100,-1\n\
         2021-04-15 09:15:04,150,30\n\
         2021-04-15 09:15:05,102.5,25\n\
         2021-04-15 09:15:06,102.52,40\n\
         2021-04-15 15:30:00,101,50\n\
         2021-04-15 09:00:00,101,50\n",
    );
    let mut loaded = load(
        folder.path(),
        &registry(&["A"]),
        &LoadOptions::new(cleaning()),
    )
    .unwrap();
    let report = &loaded.report;
    let counts: Vec<u64> = report.rejected.iter().map(|(_, n)| n).collect();
    // Backwards: the outlier of 15:00, not what follows it, and the last row.
    assert_eq!(counts, [5, 1, 2, 1, 2, 1, 1, 0], "{report}");
    assert_eq!((report.rows_read, report.kept), (17, 4));
    assert_eq!(report.doubtful.get(Doubt::FallingVolume), 1);
    assert_eq!(report.doubtful.get(Doubt::OffTick), 1);
    let columns: Vec<_> = report.files[0].malformed_columns.iter().collect();
    assert_eq!(columns, [(&"ltp".to_owned(), &3)], "two have another form");
    let table = report.to_string();
    assert!(
        table.contains("malformed cells in 2021-04-15/A.csv: ltp 3"),
        "{table}"
    );
    let quantities: Vec<String> = ticks(&mut loaded)
        .iter()
        .map(|t| format!("{} {}", t.quantity, t.volume))
        .collect();
    // After the fall from 30 to 25, only what exceeds 30 has been traded since.
    assert_eq!(quantities, ["0 10", "20 30", "0 30", "10 40"]);
}

#[test]
fn float_noise_in_a_volume_is_rounded_and_kept() {
    let folder = folder();
    write(
        folder.path(),
        "A.csv",
        "timestamp,open,high,low,close,volume\n\
         2022-01-03 00:00:00,1,2,1,2,0.30000000000000004\n\
         2022-01-03 00:01:00,2,2,2,2,12.999999999999998\n\
         2022-01-03 00:02:00,2,2,2,2,7\n\
         2022-01-03 00:03:00,2,2,2,2,1.2.3\n\
         2022-01-03 00:04:00,2.0000000000000001,2,2,2,7\n",
    );
    let mut cleaning = utc();
    cleaning.timeframe = Some(Timeframe::MINUTE);
    let options = LoadOptions::new(cleaning);
    let mut loaded = load(folder.path(), &registry(&["A"]), &options).unwrap();
    let report = &loaded.report;
    assert_eq!(report.doubtful.get(Doubt::RoundedVolume), 2, "{report}");
    let blamed = &report.files[0].malformed_columns;
    let columns: Vec<_> = blamed
        .iter()
        .map(|(name, rows)| (name.as_str(), *rows))
        .collect();
    assert_eq!(columns, [("open", 1), ("volume", 1)]);
    let volumes: Vec<String> = bars(&mut loaded)
        .iter()
        .map(|b| b.volume.to_string())
        .collect();
    assert_eq!(volumes, ["0.3", "13", "7"]);
}

#[test]
fn sizes_quotes_symbols_and_mapped_columns_are_read() {
    let folder = folder();
    write(
        folder.path(),
        "trades.csv",
        "Date,instrument,last,quantity,bid,ask,oi,note\n\
         1618458304,NSE:A,100,5,99.95,100.05,7,x\n\
         1618458304,MM,800,,,,,y\n\
         1618458303000,B,50,0.00000001,51,50,,\"z, z\"\n",
    );
    let instruments = registry(&["A", "B", "M&M"]);
    let mut cleaning = utc();
    cleaning.columns = ColumnMap::parse("price=last,timestamp=Date").unwrap();
    let mut loaded = load(
        folder.path(),
        &instruments,
        &LoadOptions::new(cleaning.clone()),
    )
    .unwrap();
    assert_eq!(loaded.report.files[0].ignored_columns, ["note"]);
    assert_eq!(loaded.report.doubtful.get(Doubt::CrossedQuote), 1);
    assert_eq!(loaded.report.doubtful.get(Doubt::MissingVolume), 1);
    let all = ticks(&mut loaded);
    let ids: Vec<&str> = all
        .iter()
        .map(|t| instruments.get(t.instrument).id.as_str())
        .collect();
    assert_eq!(ids, ["NSE:B", "NSE:A", "NSE:M&M"]);
    assert_eq!(all[1].bid.to_string(), "99.95");
    assert_eq!(
        (
            all[1].quantity.to_string(),
            all[1].open_interest.to_string()
        ),
        ("5".into(), "7".into())
    );

    let mut options = LoadOptions::new(cleaning);
    options.selection = select(&instruments, &["B".into()]).unwrap();
    let loaded = load(folder.path(), &instruments, &options).unwrap();
    assert_eq!(
        (loaded.report.rows_read, loaded.report.files[0].not_selected),
        (1, 2)
    );
}

#[test]
fn bars_are_delivered_at_their_close() {
    let folder = folder();
    let text = "time,open,high,low,close,volume\n\
        2021-04-15 15:28:00,100,101,99,100.5,10\n\
        2021-04-15 15:29:00,100.5,100,99,100.5,10\n\
        2021-04-15 15:29:00,100.5,102,100,101,5\n\
        2021-04-15 15:30:00,100.5,102,100,101,5\n";
    write(folder.path(), "A.csv", text);
    let instruments = registry(&["A"]);
    assert!(failure(folder.path(), cleaning()).contains("give --timeframe"));
    let mut opened = cleaning();
    opened.timeframe = Timeframe::parse("1m");
    let mut loaded = load(
        folder.path(),
        &instruments,
        &LoadOptions::new(opened.clone()),
    )
    .unwrap();
    assert_eq!(loaded.report.rejected.get(Reject::Malformed), 1);
    assert_eq!(loaded.report.rejected.get(Reject::OutsideSession), 1);
    let times = |all: &[model::Bar]| -> Vec<String> {
        all.iter()
            .map(|bar| format!("{} {}", bar.open_ts, bar.close_ts))
            .collect()
    };
    let open = times(&bars(&mut loaded));
    assert_eq!(
        open,
        [
            "2021-04-15T09:58:00Z 2021-04-15T09:59:00Z",
            "2021-04-15T09:59:00Z 2021-04-15T10:00:00Z",
        ]
    );
    opened.bar_stamp = BarStamp::Close;
    let mut loaded = load(folder.path(), &instruments, &LoadOptions::new(opened)).unwrap();
    assert_eq!(
        times(&bars(&mut loaded)).last().unwrap(),
        "2021-04-15T09:59:00Z 2021-04-15T10:00:00Z"
    );
}

#[test]
fn a_range_is_half_open_and_part_of_the_identity() {
    let folder = folder();
    for day in ["2021-04-15", "2021-04-16", "2021-04-19"] {
        write(
            folder.path(),
            &format!("{day}/A.csv"),
            &format!("ts,price\n{day} 10:00:00,1\n{day} 11:00:00,1\n"),
        );
    }
    let instruments = registry(&["A"]);
    let zone = time_zone("Asia/Kolkata").unwrap();
    let run = |from: &str, to: &str| {
        let mut options = LoadOptions::new(cleaning());
        options.from = parse_bound(from, &zone).unwrap();
        options.to = parse_bound(to, &zone).unwrap();
        let mut loaded = load(folder.path(), &instruments, &options).unwrap();
        (ticks(&mut loaded).len(), loaded.session)
    };
    let (all, whole) = run("2021-04-15", "2021-04-20");
    let (part, bounded) = run("2021-04-15T11:00:00+05:30", "2021-04-19T10:00:00+05:30");
    assert_eq!((all, part), (6, 3));
    assert_ne!(whole, bounded);
    let mut options = LoadOptions::new(cleaning());
    (options.from, options.to) = (options.to, options.from);
    assert!(
        load(folder.path(), &instruments, &options)
            .unwrap_err()
            .to_string()
            .contains("--to")
    );
}

#[test]
fn the_order_of_files_and_instruments_does_not_matter() {
    let (one, two) = (folder(), folder());
    for (root, names) in [
        (&one, ["x/A.csv", "y/B.csv"]),
        (&two, ["b/A.csv", "a/B.csv"]),
    ] {
        for (name, price) in names.iter().zip([100, 200]) {
            write(
                root.path(),
                name,
                &format!("ts,price\n5,{price}\n5,{price}.05\n4,1\n6,{price}\n"),
            );
        }
    }
    let mut options = LoadOptions::new(utc());
    options.cleaning.band = Band::OFF;
    let mut first = load(one.path(), &registry(&["A", "B"]), &options).unwrap();
    let mut second = load(two.path(), &registry(&["B", "A"]), &options).unwrap();
    assert_eq!(first.session, second.session);
    assert_eq!(ticks(&mut first), ticks(&mut second));
}

#[test]
fn unusable_data_is_one_clear_message_with_the_fix() {
    let good = "ts,price\n5,100\n";
    let mut packed = {
        use std::io::Write;
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer
            .write_all("ts,price\n5,100\n6,101\n".repeat(50).as_bytes())
            .unwrap();
        writer.finish().unwrap()
    };
    packed.truncate(packed.len() - 12);
    let cases: [(&str, &[u8], &str); 11] = [
        ("A.csv", b"", "the file is empty"),
        ("A.csv", b"ts,price\n", "no rows below the header"),
        ("A.csv", b"1618458304,100\n", "has no header"),
        (
            "A.csv",
            b"ts,price\nyesterday,100\n",
            "every one of its 1 rows is malformed",
        ),
        ("A.csv.gz", &packed, "the gzip file is cut off"),
        ("A.csv.gz", good.as_bytes(), "the content is not gzip"),
        ("A.csv", b"ts,pr\0ice\n5,100\n", "binary file"),
        ("A.csv", b"PAR1....", "Parquet"),
        (
            "MMM.csv",
            good.as_bytes(),
            "instrument `MMM` does not exist; did you mean NSE:M&M",
        ),
        (
            "x.csv",
            b"ts,symbol,price\n5,A,100\n6,ZZZ,100\n",
            "x.csv` line 3: instrument `ZZZ` does not exist",
        ),
        ("notes.txt", b"hello", "no .csv or .csv.gz file"),
    ];
    for (name, content, wanted) in cases {
        let folder = folder();
        std::fs::write(folder.path().join(name), content).unwrap();
        let message = failure(folder.path(), utc());
        assert!(message.contains(wanted), "{message:?} lacks {wanted:?}");
        assert!(
            message.contains(&*folder.path().to_string_lossy()),
            "{message}"
        );
    }
    let absent = failure(Path::new("/nowhere/at/all"), utc());
    assert!(absent.contains("/nowhere/at/all"), "{absent}");

    let folder = folder();
    write(folder.path(), "a/A.csv", good);
    write(folder.path(), "b/A.csv", good);
    let message = failure(folder.path(), utc());
    assert!(
        message.contains("a/A.csv") && message.contains("b/A.csv"),
        "{message}"
    );
    write(
        folder.path(),
        "b/A.csv",
        "ts,open,high,low,close\n5,1,1,1,1\n",
    );
    let mut cleaning = utc();
    cleaning.timeframe = Some(Timeframe::MINUTE);
    assert!(failure(folder.path(), cleaning).contains("but `a/A.csv` holds ticks"));
}

#[test]
fn files_of_instruments_not_selected_are_listed_and_not_read() {
    let folder = folder();
    write(folder.path(), "A.csv", "ts,price\n5,100\n");
    write(folder.path(), "UNKNOWN.csv", "ts,price\n5,100\n");
    let instruments = registry(&["A"]);
    let mut options = LoadOptions::new(utc());
    let error = load(folder.path(), &instruments, &options).unwrap_err();
    assert!(
        matches!(error, DataError::UnknownInstrument { .. }),
        "{error}"
    );
    options.selection = select(&instruments, &["A".into()]).unwrap();
    let loaded = load(folder.path(), &instruments, &options).unwrap();
    assert_eq!(loaded.report.skipped_files, ["UNKNOWN.csv"]);
    assert_eq!(loaded.provenance.files.len(), 1);
}

/// A row as some broken recorder may write it.
fn dirty_row() -> impl Strategy<Value = String> {
    let stamp = prop_oneof![
        8 => (0u32..3_000).prop_map(|s| format!("2021-04-15 {:02}:{:02}:{:02}", 9 + s / 1800, s / 30 % 60, s * 2 % 60)),
        1 => Just("1970-01-01 05:30:00".to_owned()),
        1 => "[0-9:\", -]{0,12}",
    ];
    let price = prop_oneof![
        8 => (9_900i64..10_100).prop_map(|p| format!("{}.{:02}", p / 100, p % 100)),
        1 => (0i64..100_000).prop_map(|p| p.to_string()),
        1 => "[-+0-9.e]{0,6}",
    ];
    let volume = prop_oneof![4 => (0i64..1_000).prop_map(|v| v.to_string()), 1 => "-?[0-9a]{1,3}"];
    let symbol = prop_oneof![Just("A"), Just("NSE:B"), Just("MM"), Just("C")];
    (stamp, symbol, price, volume).prop_map(|(t, s, p, v)| format!("{t},{s},{p},{v}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_row_is_accounted_for_whatever_the_dirt(
        rows in prop::collection::vec((dirty_row(), 1usize..4), 0..120),
        selected in any::<bool>(),
    ) {
        let folder = folder();
        let mut lines = vec!["2021-04-15 09:15:00,A,100,0".to_owned()];
        for (row, times) in rows {
            lines.extend(std::iter::repeat_n(row, times));
        }
        let text = format!("time,symbol,price,volume\n{}\n", lines.join("\n"));
        write(folder.path(), "2021-04-15.csv", &text);
        let instruments = registry(&["A", "B", "M&M", "C"]);
        let mut options = LoadOptions::new(cleaning());
        if selected {
            options.selection = select(&instruments, &["A".into(), "B".into()]).unwrap();
        }
        let mut loaded = load(folder.path(), &instruments, &options).unwrap();
        let report = loaded.report.clone();
        prop_assert!(report.balances());
        let not_selected = report.files[0].not_selected;
        prop_assert_eq!(report.rows_read + not_selected, lines.len() as u64);
        let all = ticks(&mut loaded);
        prop_assert_eq!(all.len() as u64, report.kept);
        prop_assert!(all.windows(2).all(|w| (w[0].ts, w[0].instrument) <= (w[1].ts, w[1].instrument)));
        for tick in &all {
            prop_assert!(tick.price.in_window().is_ok());
            prop_assert!(tick.quantity.raw() >= 0 && tick.quantity <= tick.volume);
        }
        // Per instrument the quantities add up to what the day's volume grew by.
        for (index, _) in instruments.iter() {
            let own: Vec<_> = all.iter().filter(|t| t.instrument == index).collect();
            if let (Some(first), Some(last)) = (own.first(), own.last()) {
                let traded: i64 = own.iter().map(|t| t.quantity.raw()).sum();
                prop_assert_eq!(traded, last.volume.raw() - first.volume.raw());
            }
        }
    }
}
