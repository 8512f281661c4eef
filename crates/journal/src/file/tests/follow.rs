//! A reader beside a writer that does not wait for it.

use std::sync::atomic::{AtomicBool, Ordering};

use model::Date;

use super::*;
use crate::log::LogName;

const RECORDS: u64 = 20_000;

#[test]
fn a_reader_sees_every_record_and_no_damage_however_fast_the_writer_is() {
    let dir = tempfile::tempdir().unwrap();
    let options = FileOptions {
        preallocate: 1 << 14,
        segment_max: 1 << 15,
    };
    let disk = crate::file::storage::Disk::new(dir.path()).unwrap();
    let log = FileLogs::over(Arc::new(disk), options).log(LogName::Market);
    let (mut writer, _) = log.open(&NONE).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..RECORDS {
                writer.append(&n.to_le_bytes()).unwrap();
                if n % 7 == 0 {
                    writer.commit().unwrap();
                }
                if n % 1_000 == 0 {
                    writer.roll(Date::from_days((n / 1_000) as i32)).unwrap();
                }
            }
            writer.commit().unwrap();
            done.store(true, Ordering::Release);
        });
        let mut reader = log.read(Offset::BEGINNING).unwrap();
        let mut next = 0;
        loop {
            let ended = done.load(Ordering::Acquire);
            while let Some((_, record)) = reader.next().unwrap() {
                assert_eq!(record, u64::to_le_bytes(next));
                next += 1;
            }
            if ended {
                break;
            }
            let _ = log.check(&NONE).unwrap();
        }
        assert_eq!(next, RECORDS);
    });
}
