//! The thread that writes lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use settings::logging::Level;
use settings::zone::Zone;

use super::{Line, Output};

/// Lines that may wait: a second of a loud start, at some hundred bytes each.
const QUEUE: usize = 8_192;

/// How long the end of a process waits for what is queued: a terminal may never take it.
const PATIENCE: Duration = Duration::from_secs(1);

enum Item {
    Line(Box<Line>),
    /// Tells when all before it is written.
    Mark(SyncSender<()>),
    End,
}

/// Where lines are handed in.
#[derive(Clone)]
pub(super) struct Sink {
    queue: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
}

impl Sink {
    /// Never waits: a line that finds the queue full is counted and dropped.
    pub(super) fn put(&self, line: Line) {
        if self.queue.try_send(Item::Line(Box::new(line))).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all that was handed in is written, but not for ever.
    pub(super) fn flush(&self) {
        let (mark, written) = sync_channel(1);
        if self.insist(|| Item::Mark(mark.clone())) {
            let _hangs: Result<(), RecvTimeoutError> = written.recv_timeout(PATIENCE);
        }
    }

    /// Hands in what must not be dropped: a full queue is emptied first, unless its reader hangs.
    fn insist(&self, item: impl Fn() -> Item) -> bool {
        let step = Duration::from_millis(10);
        let mut waited = Duration::ZERO;
        while self.queue.try_send(item()).is_err() {
            if waited >= PATIENCE {
                return false;
            }
            thread::sleep(step);
            waited += step;
        }
        true
    }
}

/// The thread; what is queued is written when this goes away.
pub(super) struct Running {
    sink: Sink,
    ended: Receiver<()>,
}

impl Running {
    /// Where lines are handed in.
    pub(super) fn sink(&self) -> Sink {
        self.sink.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.sink.insist(|| Item::End) {
            // Left behind when it hangs: there is nobody to tell.
            let _hangs: Result<(), RecvTimeoutError> = self.ended.recv_timeout(PATIENCE);
        }
    }
}

pub(super) fn start(
    mut outputs: Vec<Output>,
    service: &str,
    zone: Zone,
) -> anyhow::Result<(Sink, Running)> {
    let (queue, lines) = sync_channel(QUEUE);
    let (end, ended) = sync_channel(1);
    let dropped = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&dropped);
    let service = service.to_owned();
    thread::Builder::new()
        .name("logging".to_owned())
        .spawn(move || {
            for item in &lines {
                let lost = counted.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    let mut note = Line::new(Level::Warn, &service);
                    note.message = format!("{lost} log lines were dropped: the output is too slow");
                    write(&mut outputs, &note, &zone);
                }
                match item {
                    Item::Line(line) => write(&mut outputs, &line, &zone),
                    Item::Mark(written) => {
                        // Whoever asked may have stopped waiting.
                        let _late = written.send(());
                    }
                    Item::End => break,
                }
            }
            // Whoever ends logging may have stopped waiting.
            let _late = end.send(());
        })
        .context("no thread for logging")?;
    let sink = Sink { queue, dropped };
    let running = Running {
        sink: sink.clone(),
        ended,
    };
    Ok((sink, running))
}

/// An output that fails, such as a full disk, loses its lines; the others still get them.
fn write(outputs: &mut [Output], line: &Line, zone: &Zone) {
    for (output, is_text) in outputs {
        let text = if *is_text {
            line.text(zone)
        } else {
            line.json()
        };
        let _lost = output
            .write_all(text.as_bytes())
            .and_then(|()| output.flush());
    }
}
