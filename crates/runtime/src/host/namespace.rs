//! The thread of a namespace: it drives. A panic, a failed journal or a hang ends this namespace and no other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::clock::{SessionClock, uptime};
use crate::driver::namespace::{NamespaceDriver, NamespaceSettings, NamespaceStatus, OrderRoute};
use crate::driver::{Detached, Message};
use crate::error::RuntimeError;
use crate::inbox::{Inbox, Work};
use crate::namespace::Namespace;

/// Packets taken from the queue at once.
const PACKETS: usize = 64;
/// What a namespace that was taken out is given to end.
const FENCED: Duration = Duration::from_millis(100);

/// A handle to the thread.
pub struct NamespaceHost {
    name: String,
    inbox: Arc<Inbox<Message>>,
    status: Arc<NamespaceStatus>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Told of what happens to a namespace: log lines, alerts.
pub type Notice = Arc<dyn Fn(&str, &Detached) + Send + Sync>;

impl NamespaceHost {
    /// Starts the thread.
    pub fn start(
        namespace: Namespace,
        inbox: Arc<Inbox<Message>>,
        clock: Arc<dyn SessionClock>,
        route: OrderRoute,
        settings: NamespaceSettings,
        notice: Notice,
    ) -> std::io::Result<Self> {
        let name = namespace.name().to_owned();
        let driver = NamespaceDriver::new(namespace, clock, route, settings, uptime());
        let status = Arc::clone(driver.status());
        let (own_name, queue) = (name.clone(), Arc::clone(&inbox));
        let ended = Arc::clone(&status);
        let closing = Arc::clone(&inbox);
        let thread = std::thread::Builder::new()
            .name(format!("namespace-{name}"))
            .spawn(move || {
                let name = own_name;
                let outcome = catch_unwind(AssertUnwindSafe(|| drive(driver, &queue)));
                let detached = match outcome {
                    Ok(Ok(())) => None,
                    Ok(Err(error @ RuntimeError::Part { .. })) => {
                        Some(("trader", error.to_string()))
                    }
                    Ok(Err(error)) => Some(("journal", error.to_string())),
                    Err(payload) => Some(("stage_panic", panic_text(payload.as_ref()))),
                };
                if let Some((code, why)) = detached {
                    let detached = ended.detach(code, why);
                    closing.abandon();
                    if let Some(detached) = detached {
                        notice(&name, &detached);
                    }
                }
                ended.ended.store(true, Ordering::Release);
            })?;
        Ok(Self {
            name,
            inbox,
            status,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Its queue.
    pub fn inbox(&self) -> &Arc<Inbox<Message>> {
        &self.inbox
    }
    /// How it is.
    pub fn status(&self) -> &Arc<NamespaceStatus> {
        &self.status
    }

    /// Takes it out of the system until the next start: its queue is dropped, nobody waits for it.
    pub fn detach(&self, code: &'static str, why: String, notice: &Notice) {
        let Some(detached) = self.status.detach(code, why) else {
            return;
        };
        self.inbox.abandon();
        notice(&self.name, &detached);
    }

    /// Ends the thread once its queue is empty. False when it did not end in time. One that was taken
    /// out is hardly waited for: it may hang for good.
    pub fn stop(&self, patience: Duration) -> bool {
        self.inbox.close();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(thread) = thread else {
            return true;
        };
        let asked = Instant::now();
        while !thread.is_finished() {
            let patience = if self.status.is_fenced() {
                patience.min(FENCED)
            } else {
                patience
            };
            if asked.elapsed() >= patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        thread.join().is_ok()
    }
}

/// Drives until the queue is closed and empty.
fn drive(mut driver: NamespaceDriver, inbox: &Inbox<Message>) -> Result<(), RuntimeError> {
    let mut work = Work::default();
    driver.begin()?;
    while !work.closed {
        driver.status().beat.store(uptime(), Ordering::Release);
        inbox.take(&mut work, PACKETS, driver.wait(uptime()));
        driver.round(&mut work, uptime())?;
    }
    driver.finish(uptime())
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    format!(
        "a stage's code failed ({text}): it is taken out until the next start, and what it had made durable is kept; report this with its journal"
    )
}
