use model::Date;

use crate::file::segment;

use super::*;

/// What a writer was told, and what it only hoped for.
#[derive(Default)]
struct Model {
    acknowledged: Vec<Vec<u8>>,
    hoped: Vec<Vec<u8>>,
    /// So many of those are written: only a loss of power may take them.
    written: usize,
}

/// One life after another, each ended by a loss of power or of the process. `Err` says what was lost.
fn lives(seed: u64, ignore_sync: bool) -> Result<(), String> {
    let disk = SimDisk::new(seed);
    disk.ignore_sync(ignore_sync);
    let mut random = Random(seed ^ 0xA5A5);
    let mut model = Model::default();
    let mut number = 0;
    let mut day = 20_000;
    for life in 0..6 {
        let (mut log, opened) = open(&disk).map_err(|e| format!("life {life}: {e}"))?;
        let there: Vec<Vec<u8>> = read(&disk, Offset(0))
            .map_err(|e| format!("life {life}: {e}"))?
            .into_iter()
            .map(|(_, r)| r)
            .collect();
        let kept = model.acknowledged.len();
        if there.get(..kept) != Some(&model.acknowledged[..]) {
            return Err(format!("life {life}: an acknowledged record is missing"));
        }
        // Beyond what was acknowledged there may be batches that were on their way, in order.
        let more = &there[kept..];
        if model.hoped.get(..more.len()) != Some(more) {
            return Err(format!(
                "life {life}: a record appears that was never appended"
            ));
        }
        if opened.end != log.durable() && log.durable() > opened.end {
            return Err("opening moved the end".to_owned());
        }
        model.acknowledged = there;
        model.hoped.clear();
        model.written = 0;
        for _ in 0..random.below(60) {
            match random.below(10) {
                0..6 => {
                    let record = random.record(number);
                    number += 1;
                    log.append(&record).map_err(|e| e.to_string())?;
                    model.hoped.push(record);
                }
                6 => {
                    let sync = random.below(2) == 0;
                    if let Some(departure) = log.submit(sync).map_err(|e| e.to_string())? {
                        departure.carry();
                        log.outcome(true).map_err(|e| e.to_string())?;
                    }
                    assert_eq!(log.pending_bytes(), 0);
                    if log.is_unsynced() {
                        model.written = model.hoped.len();
                    } else {
                        model.acknowledged.append(&mut model.hoped);
                        model.written = 0;
                    }
                }
                7..9 => {
                    let durable = log.commit().map_err(|e| e.to_string())?;
                    assert_eq!(log.pending_bytes(), 0);
                    assert_eq!(durable, log.durable());
                    assert!(!log.is_unsynced());
                    model.acknowledged.append(&mut model.hoped);
                    model.written = 0;
                }
                _ => {
                    day += 1;
                    log.roll(Date::from_days(day)).map_err(|e| e.to_string())?;
                    model.acknowledged.append(&mut model.hoped);
                    model.written = 0;
                }
            }
        }
        if random.below(3) == 0 {
            // Power is lost while a batch is being written: the sync does not come back.
            disk.fail_sync(1);
            let failed = log.commit();
            assert!(failed.is_err() || model.hoped.is_empty());
        }
        drop(log);
        if random.below(4) == 0 {
            // What was written is safe from it, whether synced or not.
            model
                .acknowledged
                .extend(model.hoped.drain(..model.written));
            disk.process_loss();
        } else {
            disk.power_loss();
        }
        disk.fail_sync(0);
    }
    Ok(())
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_else_appears() {
    for seed in 0..2_000 {
        if let Err(why) = lives(seed, false) {
            panic!("seed {seed}: {why}");
        }
    }
}

#[test]
fn a_build_without_sync_loses_records() {
    let lost = (0..200).filter(|seed| lives(*seed, true).is_err()).count();
    assert!(
        lost > 100,
        "the test would not notice a missing sync: {lost}"
    );
}

#[test]
fn damage_is_refused_or_cut_wherever_a_bit_flips() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk).unwrap();
    let mut random = Random(5);
    let mut records = Vec::new();
    for number in 0..12 {
        let record = random.record(number);
        log.append(&record).unwrap();
        log.commit().unwrap();
        records.push(record);
    }
    let file = segment::path(Path::new(DIR), 0, Date::default());
    let used = log.durable().0;
    let last = {
        let all = read(&disk, Offset(0)).unwrap();
        all.last().unwrap().0.0 - 56
    };
    drop(log);
    let (mut refused, mut cut) = (0, 0);
    for byte in 0..used + 64 {
        let bit = (byte % 8) as u8;
        disk.flip(&file, byte, bit);
        let read = read(&disk, Offset(0));
        match open(&disk) {
            Err(JournalError::Damaged { offset, .. }) => {
                assert!(byte < last, "{byte}");
                assert!(offset.0 <= byte, "{offset} {byte}");
                refused += 1;
            }
            // The last batch, once the mark beside the log says that it was confirmed.
            Err(JournalError::Lost { .. }) => assert!((last..used).contains(&byte), "{byte}"),
            Err(other) => panic!("byte {byte}: {other}"),
            Ok(_) => {
                // The last batch itself, or unused space behind it: a tail.
                assert!(byte >= last, "byte {byte} of {used} was not noticed");
                let kept = read.unwrap();
                let want = records.len() - usize::from(byte < used);
                assert_eq!(kept.len(), want, "byte {byte}");
                cut += 1;
                // The cut is durable: write the records again for the next round.
                return_to(&disk, &records);
                continue;
            }
        }
        disk.flip(&file, byte, bit);
    }
    assert!(refused > 1_000 && cut > 64, "{refused} {cut}");
}

/// Appends what a cut has taken away.
fn return_to(disk: &SimDisk, records: &[Vec<u8>]) {
    let (mut log, _) = open(disk).unwrap();
    let have = read(disk, Offset(0)).unwrap().len();
    for record in &records[have..] {
        log.append(record).unwrap();
        log.commit().unwrap();
    }
}
