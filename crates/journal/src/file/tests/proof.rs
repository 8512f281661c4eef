//! What a log has promised is proven, or it is refused: by opening, by verifying and by reading alike.

use std::path::PathBuf;

use model::Date;
use xxhash_rust::xxh3::xxh3_64;

use crate::file::storage::OpenMode;
use crate::file::{proof, segment, snapshots};
use crate::log::Span;

use super::*;

/// A log of several days with a snapshot at its end, and its files.
fn days(disk: &SimDisk) -> (Vec<Span>, Offset) {
    let (mut log, _) = open(disk).unwrap();
    let mut random = Random(17);
    for day in 0..4 {
        log.roll(Date::from_days(20_000 + day)).unwrap();
        for number in 0..6 {
            log.append(&random.record(number)).unwrap();
            log.commit().unwrap();
        }
    }
    log.save_snapshot(b"state", 3).unwrap();
    (log.segments().to_vec(), log.durable())
}

fn path(of: &Span) -> PathBuf {
    segment::path(Path::new(DIR), of.first.0, of.day)
}

/// What opening and what verifying says. Both leave a damaged log as it is.
fn refusals(disk: &SimDisk) -> [Option<JournalError>; 2] {
    let copy = disk.copy();
    let verified = proof::verify(&copy, Path::new(DIR), &NONE).err();
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
                assert_eq!(offset(&refusal), Some(segment.first.0), "{refusal}");
                assert!(
                    refusal.to_string().contains(&*file.to_string_lossy()),
                    "{refusal}"
                );
            }
            let error = read(&disk, Offset(0)).expect_err("a reader stops in silence");
            assert_eq!(offset(&error), Some(segment.first.0), "{error}");
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
    let batches: Vec<u64> = read(&whole, last.first)
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
        zero(&disk, &path(last), at - last.first.0);
        // An empty file is one that was begun and never written to.
        let ends = if at == &batches[0] { last.first.0 } else { *at };
        refused(&disk, ends, &format!("zeroed from {at}"));
    }
    // The same in every closed one: what follows proves it.
    for closed in &segments[..segments.len() - 1] {
        for (position, _) in read(&whole, closed.first).unwrap() {
            let at = position.0 - segment::BATCH as u64;
            if at >= closed.end.0 {
                break;
            }
            let disk = whole.copy();
            zero(&disk, &path(closed), at - closed.first.0);
            refused(&disk, at, &format!("closed, zeroed from {at}"));
            // A reader that comes to the same place does not pass it in silence.
            let error = read(&disk, Offset(0)).unwrap_err();
            assert_eq!(offset(&error), Some(at), "{error}");
            assert!(
                error.to_string().contains(&*path(closed).to_string_lossy()),
                "{error}"
            );
        }
    }
    // Any of the files gone, and all of them.
    for (index, gone) in segments.iter().enumerate() {
        let disk = whole.copy();
        disk.remove(&path(gone)).unwrap();
        let what = format!("without file {index}");
        refused(&disk, if index == 0 { 0 } else { gone.first.0 }, &what);
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
    assert!(end > last.first);
}

#[test]
fn whatever_bit_flips_in_a_closed_file_is_refused_where_it_lies() {
    let disk = SimDisk::new(24);
    let (segments, _) = days(&disk);
    for closed in &segments[..segments.len() - 1] {
        for byte in (segment::HEAD as u64..closed.end.0 - closed.first.0).step_by(3) {
            disk.flip(&path(closed), byte, (byte % 8) as u8);
            for refusal in refusals(&disk) {
                let refusal = refusal.unwrap_or_else(|| panic!("{byte} of {closed:?} passes"));
                let at = offset(&refusal).unwrap_or_else(|| panic!("{refusal}"));
                assert!(
                    at >= closed.first.0 && at <= closed.first.0 + byte,
                    "{refusal}"
                );
            }
            disk.flip(&path(closed), byte, (byte % 8) as u8);
        }
    }
}

fn write(disk: &SimDisk, file: &Path, at: u64, bytes: &[u8]) {
    let mut file = disk.open(file, OpenMode::Create).unwrap();
    file.write_all_at(bytes, at).unwrap();
    file.sync().unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
}

fn bytes(disk: &SimDisk, file: &Path) -> Vec<u8> {
    let file = disk.open(file, OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.size().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn a_file_of_another_build_or_another_log_is_refused_and_named() {
    let whole = SimDisk::new(25);
    let (segments, _) = days(&whole);
    let (third, name) = (segments[2], path(&segments[2]));
    // What opening, verifying and reading say.
    let said = |disk: &SimDisk| {
        let mut all: Vec<String> = refusals(disk)
            .into_iter()
            .map(|error| error.map_or_else(String::new, |e| e.to_string()))
            .collect();
        all.push(read(disk, Offset(0)).map_or_else(|e| e.to_string(), |_| String::new()));
        all
    };

    let disk = whole.copy();
    let mut head = segment::head(third.first.0, &NONE);
    head[8] = 9;
    let sum = xxh3_64(&head[..segment::HEAD - 8]);
    head[segment::HEAD - 8..].copy_from_slice(&sum.to_le_bytes());
    write(&disk, &name, 0, &head);
    let newer = format!(
        "{}: the log has version 9: use the build that wrote it",
        name.display()
    );
    assert_eq!(said(&disk), [newer.as_str(); 3]);

    // A file under another's name, though all of it is whole.
    let disk = whole.copy();
    write(&disk, &name, 0, &segment::head(third.first.0 + 8, &NONE));
    for said in said(&disk) {
        assert!(
            said.starts_with(&format!("{}: damaged", name.display())),
            "{said}"
        );
    }

    // A copy that begins before the file before it ends.
    let disk = whole.copy();
    let begins = Offset(third.first.0 - 8);
    let copy = segment::path(Path::new(DIR), begins.0, third.day);
    write(&disk, &copy, 0, &bytes(&whole, &name));
    write(&disk, &copy, 0, &segment::head(begins.0, &NONE));
    disk.remove(&name).unwrap();
    let overlaps = format!(
        "{}: it begins at offset {begins}, and the log before it ends at {}: restore the folder from a backup",
        copy.display(),
        third.first
    );
    assert_eq!(said(&disk)[..2], [overlaps.as_str(); 2]);

    // A batch whose checksum holds, and whose records are longer or shorter than it.
    for length in [3_u32, 5, u32::MAX] {
        let disk = SimDisk::new(26);
        drop(open(&disk).unwrap());
        let first = segment::path(Path::new(DIR), 0, Date::default());
        let mut batch = vec![0; segment::BATCH];
        batch.extend_from_slice(&length.to_le_bytes());
        batch.extend_from_slice(b"four");
        segment::seal(&mut batch, 1, 1, segment::HEAD as u64, 0);
        write(&disk, &first, 0, &segment::head(0, &NONE));
        write(&disk, &first, segment::HEAD as u64, &batch);
        let error = read(&disk, Offset(0)).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!(
                "{}: a batch's records do not fill it",
                first.display()
            )),
            "{error}"
        );
    }
}

#[test]
fn whatever_belongs_to_another_log_is_refused() {
    let (mine, other) = (
        Owner::new(1, "east", "paper"),
        Owner::new(2, "west", "paper"),
    );
    let open_as =
        |disk: &SimDisk, owner| super::open_as(Arc::new(disk.clone()), &owner).map(|(log, _)| log);
    let disk = SimDisk::new(27);
    let mut log = open_as(&disk, mine).unwrap();
    log.append(b"one").unwrap();
    log.commit().unwrap();
    let at = log.durable();
    drop(log);
    let refused = |disk: &SimDisk, owner, file: &Path| {
        let error = open_as(disk, owner).err().unwrap().to_string();
        let says = [
            file.to_string_lossy().into_owned(),
            "it belongs to `".to_owned(),
            "in the data directory 00000000000000000000000000000002".to_owned(),
            "put back the folder that belongs here".to_owned(),
        ];
        assert!(says.iter().all(|says| error.contains(says)), "{error}");
    };
    // The whole folder, and each file that stands beside the log.
    let first = segment::path(Path::new(DIR), 0, Date::default());
    refused(&disk, other, &first);
    let foreign = SimDisk::new(28);
    let mut log = open_as(&foreign, other).unwrap();
    log.append(b"two").unwrap();
    log.commit().unwrap();
    snapshots::save(&foreign, Path::new(DIR), at, &other, b"state", 1).unwrap();
    for name in [snapshots::name(at), "confirmed.mark".to_owned()] {
        let (file, disk) = (Path::new(DIR).join(name), disk.copy());
        write(&disk, &file, 0, &bytes(&foreign, &file));
        refused(&disk, mine, &file);
        // A reader that asks for no owner still finds the log's files at odds with each other.
        refused(&disk, NONE, &file);
    }
    assert!(open_as(&disk, mine).is_ok());
}
