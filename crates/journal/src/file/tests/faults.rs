use model::Date;

use crate::file::lock::DirLock;
use crate::file::storage::{Disk, OpenMode};
use crate::file::{proof, segment, snapshots};
use crate::log::Snapshots;
use crate::retention::Retention;

use super::*;

#[test]
fn a_failed_sync_is_final() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk).unwrap();
    log.append(b"one").unwrap();
    log.commit().unwrap();
    log.append(b"two").unwrap();
    disk.fail_sync(1);
    assert!(matches!(log.commit(), Err(JournalError::Sync { .. })));
    // The device would take it now; nobody tries.
    let syncs = disk.syncs();
    assert!(matches!(log.commit(), Err(JournalError::Failed(_))));
    assert!(matches!(log.append(b"three"), Err(JournalError::Failed(_))));
    assert_eq!(disk.syncs(), syncs);
    let message = log.commit().unwrap_err().to_string();
    assert!(message.contains("check the disk"), "{message}");
}

#[test]
fn a_full_or_read_only_device_says_so_and_keeps_what_was_acknowledged() {
    let disk = SimDisk::new(4);
    let (mut log, _) = open(&disk).unwrap();
    log.append(b"kept").unwrap();
    log.commit().unwrap();
    disk.space(Some(1_000));
    let error = loop {
        log.append(&[7; 500]).unwrap();
        if let Err(error) = log.commit() {
            break error;
        }
    };
    assert!(matches!(error, JournalError::Full { .. }), "{error}");
    assert!(error.to_string().contains("free some space"));
    disk.space(None);
    disk.power_loss();
    let there = read(&disk, Offset(0)).unwrap();
    assert_eq!(there[0].1, b"kept");
    disk.read_only(true);
    let error = open(&disk).and_then(|(mut log, _)| {
        log.append(b"x")?;
        log.commit()
    });
    let error = error.unwrap_err();
    assert!(matches!(error, JournalError::ReadOnly { .. }), "{error}");
}

#[test]
fn a_reader_follows_a_writer_over_segments() {
    let disk = SimDisk::new(5);
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let (mut log, _) = open(&disk).unwrap();
    let mut reader = FileReader::new(Arc::clone(&storage), Path::new(DIR), Offset(0));
    assert!(reader.next().unwrap().is_none());
    let mut random = Random(9);
    let mut day = 20_000;
    let mut positions = Vec::new();
    for number in 0..400u64 {
        positions.push(append(&mut log, &random.record(number)).unwrap());
        if random.below(3) > 0 {
            assert!(reader.next().unwrap().is_none(), "not durable yet");
            log.commit().unwrap();
        } else {
            day += 1;
            log.roll(Date::from_days(day)).unwrap();
        }
        let (position, record) = reader.next().unwrap().unwrap();
        assert_eq!(position, positions[number as usize]);
        assert_eq!(record[..8], number.to_le_bytes());
        assert!(reader.next().unwrap().is_none());
    }
    assert!(log.segments().len() > 100);
    let verified = proof::verify(storage.as_ref(), Path::new(DIR), &NONE).unwrap();
    assert_eq!((verified.records, verified.tail), (400, None));
    // From the middle: the records at and behind that position, no other.
    for at in [0, 1, 57, 250, 399] {
        let rest = read(&disk, positions[at]).unwrap();
        assert_eq!(rest.len(), 400 - at);
        assert_eq!(rest[0].0, positions[at]);
    }
    // Retention takes whole segments below the floor, and the rest reads on.
    let floor = positions[200];
    let keep = Retention {
        days: None,
        bytes: Some(0),
    };
    let gone = log.retain(floor, Date::from_days(day), &keep).unwrap();
    assert!(!gone.is_empty() && gone.iter().all(|s| s.end <= floor));
    let rest = read(&disk, Offset(0)).unwrap();
    assert!(rest[0].0 <= floor && rest.last().unwrap().0 == positions[399]);
    let days = Retention {
        days: Some(3),
        bytes: None,
    };
    log.retain(log.durable(), Date::from_days(day), &days)
        .unwrap();
    assert!(log.segments().iter().all(|s| day - s.day.days() <= 3));
}

#[test]
fn a_missing_segment_is_a_gap() {
    let disk = SimDisk::new(6);
    let (mut log, _) = open(&disk).unwrap();
    for number in 0..4u8 {
        log.append(&[number; 64]).unwrap();
        log.roll(Date::from_days(20_000 + i32::from(number)))
            .unwrap();
    }
    log.append(b"end").unwrap();
    log.commit().unwrap();
    let middle = log.segments()[2];
    let path = segment::path(Path::new(DIR), middle.first.0, middle.day);
    disk.remove(&path).unwrap();
    let error = read(&disk, Offset(0)).unwrap_err();
    assert!(matches!(error, JournalError::Gap { .. }), "{error}");
}

#[test]
fn snapshots_are_whole_or_passed_over() {
    let disk = SimDisk::new(7);
    let dir = Path::new(DIR);
    for at in 1..=5u64 {
        snapshots::save(&disk, dir, Offset(at * 10), &NONE, &[at as u8; 100], 3).unwrap();
    }
    let of = |disk: &SimDisk| crate::file::Files {
        storage: Arc::new(disk.clone()),
        dir: dir.to_owned(),
    };
    let all = of(&disk).list().unwrap();
    assert_eq!(all, [Offset(30), Offset(40), Offset(50)]);
    let newest = of(&disk).newest(Offset(49)).unwrap();
    assert_eq!(newest, Some((Offset(40), vec![4; 100])));
    disk.flip(
        Path::new("journal/snapshot-00000000000000000050.bin"),
        90,
        3,
    );
    let newest = of(&disk).newest(Offset::END).unwrap();
    assert_eq!(newest, Some((Offset(40), vec![4; 100])));
    // Whatever a loss of power does to one that is being saved, an older one is there.
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        snapshots::save(&disk, dir, Offset(1), &NONE, b"old", 3).unwrap();
        disk.fail_sync(1 + seed % 2);
        let saved = snapshots::save(&disk, dir, Offset(2), &NONE, b"new", 3);
        disk.power_loss();
        let newest = of(&disk).newest(Offset(9)).unwrap().unwrap();
        assert!(saved.is_err() && (newest.1 == b"old" || newest.1 == b"new"));
    }
}

#[test]
fn a_record_that_is_too_large_is_refused_and_the_log_goes_on() {
    let disk = SimDisk::new(8);
    let (mut log, _) = open(&disk).unwrap();
    let most = crate::log::RECORD_MAX;
    let error = log.append(&vec![0; most + 1]).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "a record of {} bytes is larger than the {most} that a log takes",
            most + 1
        )
    );
    log.append(b"one").unwrap();
    log.commit().unwrap();
    assert_eq!(read(&disk, Offset(0)).unwrap().len(), 1);
}

#[test]
fn what_the_system_refuses_is_no_end_of_a_file_and_no_empty_folder() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new(dir.path()).unwrap();
    assert_eq!(disk.list(Path::new("nowhere")).unwrap(), [""; 0]);
    let mut file = disk.open(Path::new("file"), OpenMode::Create).unwrap();
    let error = disk.list(Path::new("file")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotADirectory);
    assert!(file.allocate(i64::MAX as u64).is_err());
    assert_eq!(file.size().unwrap(), 0);
    let folder = disk.open(Path::new("."), OpenMode::Read).unwrap();
    let error = folder.read_at(&mut [0; 8], 0).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::IsADirectory);
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let lock = DirLock::acquire(dir.path()).unwrap();
    let error = DirLock::acquire(dir.path()).unwrap_err().to_string();
    assert!(error.contains(&std::process::id().to_string()), "{error}");
    assert_eq!(DirLock::holder(dir.path()), Some(Some(std::process::id())));
    // The lock is on the directory: without the file it is held as before, by a process unnamed.
    std::fs::remove_file(dir.path().join("LOCK")).unwrap();
    assert!(DirLock::acquire(dir.path()).is_err());
    assert_eq!(DirLock::holder(dir.path()), Some(None));
    drop(lock);
    assert_eq!(DirLock::holder(dir.path()), None);
    DirLock::acquire(dir.path()).unwrap();
    // Where a file system knows no locks on directories, the file has it.
    std::fs::write(dir.path().join("LOCK"), "4711\n").unwrap();
    let file = std::fs::File::open(dir.path().join("LOCK")).unwrap();
    file.lock().unwrap();
    let error = DirLock::acquire(dir.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is in use by process 4711: stop"),
        "{error}"
    );
    drop(file);
    DirLock::acquire(dir.path()).unwrap();
}

#[test]
fn a_batch_on_its_way_is_durable_once_it_has_landed() {
    let disk = SimDisk::new(11);
    let (mut log, _) = open(&disk).unwrap();
    let mut random = Random(2);
    let mut wanted = Vec::new();
    let mut departures = 0;
    for number in 0..600u64 {
        let record = random.record(number);
        wanted.push((append(&mut log, &record).unwrap(), record));
        let Some(departure) = log.submit(true).unwrap() else {
            continue;
        };
        departures += 1;
        let (durable, first) = (log.durable(), wanted.last().unwrap().0);
        assert!(durable <= first && log.is_under_way() && log.pending_bytes() == 0);
        // More may be added meanwhile; it waits, and so does the next departure.
        let record = random.record(number);
        let second = append(&mut log, &record).unwrap();
        wanted.push((second, record));
        assert!(log.submit(true).unwrap().is_none());
        assert_eq!(log.durable(), durable);
        if random.below(4) == 0 {
            departure.carry();
            assert!(log.outcome(false).unwrap().is_some());
            assert!(first < log.durable() && log.durable() <= second);
        } else {
            // Whoever needs it durable waits, for both.
            std::thread::scope(|scope| {
                scope.spawn(|| departure.carry());
                assert!(second < log.commit().unwrap());
            });
        }
    }
    log.commit().unwrap();
    assert!(departures > 300 && log.segments().len() > 2);
    disk.power_loss();
    assert_eq!(read(&disk, Offset(0)).unwrap(), wanted);
}

#[test]
fn a_batch_that_does_not_arrive_ends_the_log_and_leaves_what_was_durable() {
    for fails in [false, true] {
        let disk = SimDisk::new(12);
        let (mut log, _) = open(&disk).unwrap();
        log.append(b"one").unwrap();
        log.commit().unwrap();
        log.append(b"two").unwrap();
        let departure = log.submit(true).unwrap().unwrap();
        log.append(b"three").unwrap();
        if fails {
            disk.fail_sync(1);
            departure.carry();
        } else {
            drop(departure);
        }
        let error = log.commit().unwrap_err();
        assert_eq!(matches!(error, JournalError::Sync { .. }), fails, "{error}");
        assert!(matches!(log.commit(), Err(JournalError::Failed(_))));
        assert!(matches!(log.submit(true), Err(JournalError::Failed(_))));
        disk.power_loss();
        let (_, opened) = open(&disk).unwrap();
        let there = read(&disk, Offset(0)).unwrap();
        assert_eq!(there[0].1, b"one");
        assert!(there.len() <= 2 && opened.end >= there[0].0, "{there:?}");
    }
}
