use std::io;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use settings::Settings;
use settings::secret::redact;

use super::*;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn zone() -> Zone {
    Zone::get("Asia/Kolkata").unwrap()
}

/// What `say` logs, as JSON lines and as text.
fn logged(settings: &str, say: impl FnOnce()) -> (Vec<Value>, String) {
    let settings = Settings::parse(settings, "test").unwrap().logging;
    let (json, text) = (Memory::default(), Memory::default());
    let outputs: Vec<Output> = vec![
        (Box::new(json.clone()), false),
        (Box::new(text.clone()), true),
    ];
    let (subscriber, running) = subscriber(&settings, "panda", &zone(), outputs).unwrap();
    tracing::subscriber::with_default(subscriber, say);
    drop(running);
    let read = |memory: Memory| String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
    let lines = read(json);
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    (lines.collect(), read(text))
}

#[test]
fn every_line_has_the_agreed_fields_and_no_secret() {
    redact("s3cret");
    redact("s3cret-and-more");
    redact("4711471147");
    let (lines, text) = logged("", || {
        tracing::info!(
            channel = "market",
            broker = "paper",
            correlation_id = "c1",
            number = 4_711_471_147_u64,
            plain = 7,
            url = "https://x/?token=s3cret-and-more&a",
            "first\nsecond s3cret"
        );
        tracing::warn!("bare");
    });
    let first = lines[0].as_object().unwrap();
    assert!(first["ts"].as_str().unwrap().ends_with('Z'));
    assert_eq!(first["message"], "first\nsecond ***");
    assert_eq!(first["fields"]["url"], "https://x/?token=***&a");
    assert_eq!(first["fields"]["number"], "***");
    assert_eq!(first["fields"]["plain"], 7);
    for (key, wanted) in [
        ("level", "info"),
        ("service", "panda"),
        ("channel", "market"),
        ("broker", "paper"),
        ("correlation_id", "c1"),
    ] {
        assert_eq!(first[key], wanted);
        assert!(lines[1].as_object().unwrap().contains_key(key));
    }
    assert_eq!(lines[1]["channel"], "system");
    assert!(lines[1]["broker"].is_null() && lines[1]["correlation_id"].is_null());
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(
        text.contains("info  panda market: first\\nsecond ***"),
        "{text}"
    );
    assert!(text.contains("broker=paper correlation_id=c1"), "{text}");
    assert!(text.ends_with("warn  panda system: bare\n"), "{text}");
    assert!(!text.contains("s3cret"));
}

#[test]
fn a_line_of_a_replay_bears_the_markets_time_and_people_read_it_in_their_zone() {
    let (lines, text) = logged("", || {
        let market_ts: Option<i64> = Some(1_764_042_300_250_000_000);
        tracing::info!(channel = "trader", market_ts, "fill");
        tracing::info!(market_ts = None::<i64>, "now");
    });
    assert_eq!(lines[0]["market_time"], "2025-11-25T03:45:00.250Z");
    assert!(lines[0]["ts"].as_str().unwrap().ends_with('Z'));
    assert!(lines[1].get("market_time").is_none());
    let said: Vec<&str> = text.lines().collect();
    assert!(
        said[0].starts_with("2025-11-25T09:15:00.250+05:30 info "),
        "{text}"
    );
    let shown = zone().show(model::Timestamp(0));
    assert_eq!(said[1][23..29], shown[23..29], "{text}");
}

#[test]
fn a_blocked_output_holds_up_nobody_and_lost_lines_are_counted() {
    struct Blocked(std::sync::mpsc::Receiver<()>, Memory);
    impl io::Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Goes on once the other end is gone.
            let _open = self.0.recv();
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (open, gate) = std::sync::mpsc::channel();
    let memory = Memory::default();
    let outputs: Vec<Output> = vec![(Box::new(Blocked(gate, memory.clone())), true)];
    let (subscriber, running) =
        subscriber(&LoggingSettings::default(), "panda", &zone(), outputs).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..10_000 {
            tracing::info!("line {n}");
        }
        drop(open);
        running.sink().flush();
        tracing::info!("after");
    });
    drop(running);
    let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains(": line 0\n") && text.ends_with(": after\n"));
    // A thread that starts late finds lines dropped before its first, so there may be two notes.
    let notes = text.lines().filter(|line| line.contains("were dropped"));
    let lost: Vec<usize> = notes
        .map(|note| {
            let count = note.split(": ").nth(1).unwrap();
            count.split(' ').next().unwrap().parse().unwrap()
        })
        .collect();
    let written = text.lines().count() - lost.len() - 1;
    assert!(!lost.is_empty());
    assert_eq!(written + lost.iter().sum::<usize>(), 10_000);
}

#[test]
fn channels_have_levels_of_their_own() {
    let settings =
        "[logging]\nlevel = \"warn\"\nchannels = { market = \"debug\", trader = \"off\" }";
    let (lines, _) = logged(settings, || {
        tracing::debug!(channel = "market", "1");
        tracing::trace!(channel = "market", "-");
        tracing::info!(channel = "runner", "-");
        tracing::info!("-");
        tracing::warn!("2");
        tracing::error!(channel = "trader", "-");
    });
    let said: Vec<&str> = lines
        .iter()
        .map(|l| l["message"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["1", "2"]);
}

#[test]
fn files_keep_their_bounds_and_whole_lines() {
    let dir = tempfile::tempdir().unwrap();
    let (size, files) = (1_000, 3);
    let line = |n: usize| format!("{n:03} {}\n", "x".repeat(n % 90));
    let mut log = Rotating::open(dir.path().join(FILE), size, files).unwrap();
    for n in 0..300 {
        if n % 70 == 0 {
            // A new start goes on where the last one ended.
            log = Rotating::open(dir.path().join(FILE), size, files).unwrap();
        }
        io::Write::write_all(&mut log, line(n).as_bytes()).unwrap();
        let all = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap());
        let sizes: Vec<u64> = all.map(|e| e.metadata().unwrap().len()).collect();
        assert!(sizes.len() <= files as usize && sizes.iter().all(|s| *s <= size));
    }
    let mut kept = String::new();
    for name in ["panda.log.2", "panda.log.1", "panda.log"] {
        kept += &std::fs::read_to_string(dir.path().join(name)).unwrap();
    }
    let count = kept.lines().count();
    let newest: String = (300 - count..300).map(line).collect();
    assert!(count > 20, "{count}");
    assert_eq!(kept, newest);
    // A smaller bound holds from the next start on.
    let _log = Rotating::open(dir.path().join(FILE), size, 1).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
