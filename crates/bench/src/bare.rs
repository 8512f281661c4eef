//! The yardstick of the latency: a bare chain of as many hand-offs between threads as an order takes,
//! with the same primitives, doing nothing else.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;

/// Bytes that are made durable for each order, about those of an intent.
const RECORD: usize = 512;

#[derive(Debug, Clone, Copy)]
struct Token {
    began: Instant,
    is_order: bool,
}

#[derive(Debug, Default)]
struct Hop {
    waiting: Mutex<(VecDeque<Token>, bool)>,
    filled: Condvar,
}

impl Hop {
    fn push(&self, token: Token) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.0.push_back(token);
        drop(waiting);
        self.filled.notify_one();
    }

    fn end(&self) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1 = true;
        self.filled.notify_one();
    }

    /// What waits; `None` once it has ended.
    fn take(&self, into: &mut Vec<Token>) -> Option<()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while waiting.0.is_empty() && !waiting.1 {
            waiting = self
                .filled
                .wait_timeout(waiting, Duration::from_millis(50))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        into.clear();
        into.extend(waiting.0.drain(..));
        (!into.is_empty() || !waiting.1).then_some(())
    }
}

/// The chain.
pub struct Chain {
    first: Arc<Hop>,
    threads: Vec<JoinHandle<()>>,
    last: JoinHandle<Vec<u64>>,
}

impl Chain {
    /// With one write and `fdatasync` per order into `file`, where it is given, before the last hand-off.
    pub fn start(file: Option<File>) -> anyhow::Result<Self> {
        let (first, second) = (Arc::new(Hop::default()), Arc::new(Hop::default()));
        let (sender, receiver) = sync_channel::<Token>(64);
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(run)
                .context("a thread of the bare chain")
        };
        let (source, target) = (Arc::clone(&first), Arc::clone(&second));
        let runner = spawn(
            "bare-1",
            Box::new(move || {
                let mut tokens = Vec::new();
                while source.take(&mut tokens).is_some() {
                    for token in tokens.drain(..) {
                        target.push(token);
                    }
                }
                target.end();
            }),
        )?;
        let source = Arc::clone(&second);
        let namespace = spawn(
            "bare-2",
            Box::new(move || {
                let (mut tokens, mut at) = (Vec::new(), 0);
                while source.take(&mut tokens).is_some() {
                    for token in tokens.drain(..).filter(|t| t.is_order) {
                        if let Some(file) = &file {
                            // A disk that fails shows in the system that is measured beside it.
                            let _ = file.write_all_at(&[1; RECORD], at);
                            let _ = file.sync_data();
                            at += RECORD as u64;
                        }
                        let _ = sender.try_send(token);
                    }
                }
            }),
        )?;
        let last = std::thread::Builder::new()
            .name("bare-3".to_owned())
            .spawn(move || {
                let mut all = Vec::new();
                loop {
                    match receiver.recv_timeout(Duration::from_millis(20)) {
                        Ok(token) => all.push(token.began.elapsed().as_nanos() as u64),
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => return all,
                    }
                }
            })
            .context("a thread of the bare chain")?;
        Ok(Self {
            first,
            threads: vec![runner, namespace],
            last,
        })
    }

    /// Hands over a token; one of an order goes the whole way.
    pub fn push(&self, is_order: bool) {
        self.first.push(Token {
            began: Instant::now(),
            is_order,
        });
    }

    /// Ends it: how long each order took, in nanoseconds, in order.
    pub fn finish(self) -> anyhow::Result<Vec<u64>> {
        self.first.end();
        for thread in self.threads {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("the bare chain's code failed"))?;
        }
        self.last
            .join()
            .map_err(|_| anyhow::anyhow!("the bare chain's code failed"))
    }
}
