//! What a log has promised is proven, or it is refused: by opening, by verifying and by reading alike.

use std::path::{Path, PathBuf};

use journal::{JournalError, OpenMode, SegmentInfo, SimDisk, segment, snapshot, verify};
use model::Date;

use super::*;

/// A log of several days with a snapshot at its end, and its files.
fn days(disk: &SimDisk) -> (Vec<SegmentInfo>, Position) {
    let (mut log, _) = open(disk).unwrap();
    let mut random = Random(17);
    for day in 0..4 {
        log.roll(Date::from_days(20_000 + day)).unwrap();
        for number in 0..6 {
            log.append(&random.record(number)).unwrap();
            log.commit().unwrap();
        }
    }
    snapshot::save(disk, Path::new(DIR), log.durable(), &NONE, b"state", 3).unwrap();
    (log.segments().to_vec(), log.durable())
}

fn path(of: &SegmentInfo) -> PathBuf {
    segment::path(Path::new(DIR), of.base.0, of.day)
}

/// What opening and what verifying says. Both leave a damaged log as it is.
fn refusals(disk: &SimDisk) -> [Option<JournalError>; 2] {
    let copy = disk.copy();
    let storage: Arc<dyn Storage> = Arc::new(copy.clone());
    let verified = verify(&storage, Path::new(DIR), &NONE).err();
    let opened = open(&copy).err();
    if opened.is_some() {
        let again = open(&copy).err().map(|e| e.to_string());
        assert_eq!(again, opened.as_ref().map(ToString::to_string));
    }
    [opened, verified]
}

fn offset(error: &JournalError) -> Option<u64> {
    match error {
        JournalError::Damaged { offset, .. } | JournalError::Gap { offset, .. } => Some(offset.0),
        JournalError::Lost { end, .. } => Some(end.0),
        _ => None,
    }
}

fn zero(disk: &SimDisk, file: &Path, from: u64) {
    let mut file = disk.open(file, OpenMode::Write).unwrap();
    let length = file.size().unwrap() - from;
    file.write_all_at(&vec![0; length as usize], from).unwrap();
    file.sync().unwrap();
}

#[test]
fn a_head_that_cannot_be_read_is_damage_unless_nothing_follows_it() {
    let disk = SimDisk::new(21);
    let (segments, _) = days(&disk);
    for segment in &segments {
        for byte in 0..segment::HEAD as u64 {
            let file = path(segment);
            disk.flip(&file, byte, (byte % 8) as u8);
            for refusal in refusals(&disk) {
                let refusal = refusal.unwrap_or_else(|| panic!("{byte} of {segment:?} passes"));
                assert_eq!(offset(&refusal), Some(segment.base.0), "{refusal}");
                assert!(
                    refusal.to_string().contains(&*file.to_string_lossy()),
                    "{refusal}"
                );
            }
            let error = read(&disk, Position(0)).expect_err("a reader stops in silence");
            assert_eq!(offset(&error), Some(segment.base.0), "{error}");
            disk.flip(&file, byte, (byte % 8) as u8);
        }
    }
    assert!(matches!(refusals(&disk), [None, None]));
}

#[test]
fn a_log_that_ends_before_what_was_confirmed_is_refused() {
    let whole = SimDisk::new(22);
    let (segments, end) = days(&whole);
    let last = segments.last().unwrap();
    let batches: Vec<u64> = read(&whole, last.base)
        .unwrap()
        .iter()
        .map(|(position, _)| position.0 - segment::BATCH as u64)
        .collect();
    let refused = |disk: &SimDisk, ends: u64, what: &str| {
        for refusal in refusals(disk) {
            let refusal = refusal.unwrap_or_else(|| panic!("{what}: passes"));
            assert_eq!(offset(&refusal), Some(ends), "{what}: {refusal}");
            assert!(refusal.to_string().contains("backup"), "{refusal}");
        }
    };
    // The newest file zeroed from any of its batches on: the snapshot proves the loss.
    for at in &batches {
        let disk = whole.copy();
        zero(&disk, &path(last), at - last.base.0);
        // An empty file is one that was begun and never written to.
        let ends = if at == &batches[0] { last.base.0 } else { *at };
        refused(&disk, ends, &format!("zeroed from {at}"));
    }
    // The same in every closed one: what follows proves it.
    for closed in &segments[..segments.len() - 1] {
        for (position, _) in read(&whole, closed.base).unwrap() {
            let at = position.0 - segment::BATCH as u64;
            if at >= closed.end.0 {
                break;
            }
            let disk = whole.copy();
            zero(&disk, &path(closed), at - closed.base.0);
            refused(&disk, at, &format!("closed, zeroed from {at}"));
        }
    }
    // Any of the files gone, and all of them.
    for (index, gone) in segments.iter().enumerate() {
        let disk = whole.copy();
        disk.remove(&path(gone)).unwrap();
        let what = format!("without file {index}");
        refused(&disk, if index == 0 { 0 } else { gone.base.0 }, &what);
    }
    let disk = whole.copy();
    for gone in &segments {
        disk.remove(&path(gone)).unwrap();
    }
    refused(&disk, 0, "without any file");
    // Without a snapshot, what was confirmed first in each file still proves that there was one.
    let only = SimDisk::new(23);
    let (mut log, _) = open(&only).unwrap();
    log.append(b"one").unwrap();
    log.commit().unwrap();
    let first = log.durable();
    log.roll(Date::from_days(20_001)).unwrap();
    log.append(b"two").unwrap();
    log.commit().unwrap();
    let second = *log.segments().last().unwrap();
    only.remove(&path(&second)).unwrap();
    refused(&only, first.0, "without the newest file");
    assert!(end > last.base);
}

#[test]
fn whatever_bit_flips_in_a_closed_file_is_refused_where_it_lies() {
    let disk = SimDisk::new(24);
    let (segments, _) = days(&disk);
    for closed in &segments[..segments.len() - 1] {
        for byte in (segment::HEAD as u64..closed.end.0 - closed.base.0).step_by(3) {
            disk.flip(&path(closed), byte, (byte % 8) as u8);
            for refusal in refusals(&disk) {
                let refusal = refusal.unwrap_or_else(|| panic!("{byte} of {closed:?} passes"));
                let at = offset(&refusal).unwrap_or_else(|| panic!("{refusal}"));
                assert!(
                    at >= closed.base.0 && at <= closed.base.0 + byte,
                    "{refusal}"
                );
            }
            disk.flip(&path(closed), byte, (byte % 8) as u8);
        }
    }
}
