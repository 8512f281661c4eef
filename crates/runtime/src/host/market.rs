//! The thread of the runner: it drives. A thread of its own carries the batches of the market log to the device.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use feeds::live::{Batch, FeedQueue};
use journal::Carriage;

use super::namespace::{NamespaceHost, Notice};
use crate::clock::uptime;
use crate::driver::market::{
    Feeds, MarketDriver, MarketMessage, MarketOutlet, MarketParts, MarketStatus,
};
use crate::inbox::Refused;
use crate::market::MarketHost;
use crate::packet::{Packet, SharedPacket};

/// A handle to the thread.
pub struct MarketThread {
    messages: Arc<Mutex<Vec<MarketMessage>>>,
    status: Arc<MarketStatus>,
    thread: Mutex<Option<JoinHandle<Option<MarketHost>>>>,
}

/// The namespaces that take the runner's packets.
pub struct Members {
    /// Their threads.
    pub namespaces: Vec<Arc<NamespaceHost>>,
    /// One whose queue is full for so long is taken out.
    pub patience: Duration,
    /// Who is told of that.
    pub notice: Notice,
}

impl Members {
    /// Gives a packet to each.
    pub fn send(&self, packet: Packet, why: impl Fn(usize, usize) -> String) {
        let packet: SharedPacket = Arc::new(packet);
        for namespace in &self.namespaces {
            if let Err(Refused::Full) = namespace.inbox().push(&packet, self.patience) {
                let (steps, capacity) = namespace.inbox().depth();
                namespace.detach("queue_full", why(steps, capacity), &self.notice);
            }
        }
    }
}

struct Outlet {
    members: Members,
    /// Takes batches of the market log to the device, and when each set out.
    carrier: SyncSender<(Carriage, i64)>,
    failed: Arc<dyn Fn(&str) + Send + Sync>,
}

impl MarketOutlet for Outlet {
    fn send(&mut self, packet: Packet) {
        self.members.send(packet, |steps, capacity| {
            format!(
                "its queue is full ({steps} of {capacity} steps): it is taken out until the next start; what it had made durable is kept"
            )
        });
    }

    fn carry(&mut self, carriage: Carriage) {
        // There is room for the one that may be on its way; without its thread the log notices that nobody
        // carries it.
        let _ = self.carrier.try_send((carriage, uptime()));
    }

    fn failed(&mut self, why: &str) {
        (self.failed)(why);
    }
}

/// Drives until the feeds are over, or it is told to stop.
fn drive(driver: &mut MarketDriver, queue: &FeedQueue, told: &Mutex<Vec<MarketMessage>>) {
    let mut batch = Batch::default();
    loop {
        driver.status().beat.store(uptime(), Ordering::Release);
        batch.items.clear();
        batch.depths.clear();
        let ended = queue.pop(&mut batch, driver.wait(uptime()));
        let feeds = match (ended, queue.is_closed()) {
            (false, _) => Feeds::Open,
            (true, false) => Feeds::Over,
            (true, true) => Feeds::Closed,
        };
        let messages = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
        if !driver.round(&batch, feeds, messages, uptime()) {
            break;
        }
    }
    driver.finish();
}

impl MarketThread {
    /// Starts the thread, which ends when the queue of the feeds does.
    pub fn start(
        queue: Arc<FeedQueue>,
        members: Members,
        failed: Arc<dyn Fn(&str) + Send + Sync>,
        parts: impl FnOnce(Box<dyn MarketOutlet>) -> MarketParts,
    ) -> std::io::Result<Self> {
        let messages: Arc<Mutex<Vec<MarketMessage>>> = Arc::default();
        let (carrier, carriages) = sync_channel::<(Carriage, i64)>(1);
        let outlet = Outlet {
            members,
            carrier,
            failed: Arc::clone(&failed),
        };
        let mut driver = MarketDriver::new(parts(Box::new(outlet)), uptime());
        let status = Arc::clone(driver.status());
        let carried = Arc::clone(&status);
        // It ends with the driver, which holds the other end.
        std::thread::Builder::new()
            .name("market-log".to_owned())
            .spawn(move || {
                while let Ok((carriage, began)) = carriages.recv() {
                    carriage.carry();
                    carried.took(began);
                }
            })?;
        let (ended, told) = (Arc::clone(&status), Arc::clone(&messages));
        let thread = std::thread::Builder::new()
            .name("runner".to_owned())
            .spawn(move || {
                let outcome = catch_unwind(AssertUnwindSafe(|| drive(&mut driver, &queue, &told)));
                let host = match outcome {
                    Ok(()) => Some(driver.into_host()),
                    Err(_) => {
                        failed("the runner's code failed");
                        None
                    }
                };
                ended.ended.store(true, Ordering::Release);
                host
            })?;
        Ok(Self {
            messages,
            status,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Tells it something.
    pub fn tell(&self, message: MarketMessage) {
        self.messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(message);
    }

    /// How it is.
    pub fn status(&self) -> &Arc<MarketStatus> {
        &self.status
    }

    /// Ends the thread, and gives back the state machine; `None` when it did not end in time, or had
    /// failed.
    pub fn stop(&self, patience: Duration) -> Option<MarketHost> {
        self.tell(MarketMessage::Stop);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?;
        let deadline = Instant::now() + patience;
        while !thread.is_finished() {
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        thread.join().ok().flatten()
    }
}
