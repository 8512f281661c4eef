//! A reader beside a writer that does not wait for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use journal::{Disk, Log, LogOptions, Owner, Position, Reader, Storage};
use model::Date;

const RECORDS: u64 = 20_000;

#[test]
fn a_reader_sees_every_record_and_no_damage_however_fast_the_writer_is() {
    let dir = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(Disk::new(dir.path()).unwrap());
    let options = LogOptions {
        preallocate: 1 << 14,
        segment_max: 1 << 15,
        owner: Owner::NONE,
        ..LogOptions::default()
    };
    let log_dir = Path::new("log");
    let (mut log, _) = Log::open(Arc::clone(&storage), log_dir, options).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..RECORDS {
                log.append(&n.to_le_bytes()).unwrap();
                if n % 7 == 0 {
                    log.commit().unwrap();
                }
                if n % 1_000 == 0 {
                    log.roll(Date::from_days((n / 1_000) as i32)).unwrap();
                }
            }
            log.commit().unwrap();
            done.store(true, Ordering::Release);
        });
        let mut reader = Reader::open(Arc::clone(&storage), log_dir, Position(0)).unwrap();
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
            let _ = journal::verify(&storage, log_dir, &Owner::NONE).unwrap();
        }
        assert_eq!(next, RECORDS);
    });
}
