//! The exchange as a process of its own, behind a Unix socket.

mod connection;
mod faults;
mod state;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::Timestamp;
use model::trader::Delivery;

pub use crate::wire::Mode;
pub use faults::Faults;

use connection::Connection;
use state::State;

/// Connections at once; one more is closed at once.
const CONNECTIONS_MAX: usize = 256;
/// A market of its own moves on so often, also when nobody asks.
const BEAT: Duration = Duration::from_millis(20);

/// How an exchange is served.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The socket; a stale one is removed.
    pub socket: PathBuf,
    /// Where the market comes from.
    pub mode: Mode,
    /// Whether an order may be presented twice; else that is a violation, which the books show.
    pub delivery: Delivery,
    /// What goes wrong; `None`: nothing.
    pub faults: Option<Faults>,
    /// Seed of the market, and of delays in lockstep.
    pub seed: u64,
    /// Changes of each book a second, of a market of its own.
    pub changes_per_second: u32,
    /// In lockstep, a report is due up to so many inputs after what it reports.
    pub report_delay: u32,
    /// In lockstep, a quarter of the orders of an even quantity fill in two halves.
    pub partial_fills: bool,
}

impl ServeOptions {
    /// In lockstep, idempotent, without faults, every report due at once.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            mode: Mode::Lockstep,
            delivery: Delivery::Idempotent,
            faults: None,
            seed: 7,
            changes_per_second: 20,
            report_delay: 0,
            partial_fills: false,
        }
    }
}

struct Shared {
    mode: Mode,
    state: Mutex<State>,
    stop: AtomicBool,
    connections: AtomicUsize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = since.map_or(0, |d| d.as_nanos());
    Timestamp(i64::try_from(nanos).unwrap_or(i64::MAX))
}

/// An exchange that is served from threads of this process.
pub struct Server {
    shared: Arc<Shared>,
    socket: PathBuf,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Begins to serve.
    pub fn start(options: ServeOptions) -> io::Result<Self> {
        let socket = options.socket.clone();
        let listener = listen(&socket)?;
        let shared = Arc::new(Shared {
            mode: options.mode,
            state: Mutex::new(State::new(options)),
            stop: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
        });
        let all = Arc::clone(&shared);
        let accepting = std::thread::Builder::new()
            .name("exchange".to_owned())
            .spawn(move || accept(&all, &listener))?;
        Ok(Self {
            shared,
            socket,
            accepting: Some(accepting),
        })
    }

    /// Lets a market of its own move on.
    pub fn beat(&self) {
        if self.shared.mode == Mode::Own {
            self.shared.lock().advance(wall());
        }
    }

    /// Ends all connections and removes the socket.
    pub fn stop(&mut self) {
        let Some(accepting) = self.accepting.take() else {
            return;
        };
        self.shared.stop.store(true, Ordering::Release);
        // Wakes whoever accepts, to look at the flag.
        let woken = UnixStream::connect(&self.socket).is_ok();
        let _ = std::fs::remove_file(&self.socket);
        if woken {
            let _ = accepting.join();
        }
        // Each looks at the flag within its time-out; one that does not is left behind.
        for _ in 0..100 {
            if self.shared.connections.load(Ordering::Acquire) == 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Serves until `stop` is raised.
pub fn serve(options: ServeOptions, stop: &AtomicBool) -> io::Result<()> {
    let mut server = Server::start(options)?;
    while !stop.load(Ordering::Acquire) {
        server.beat();
        std::thread::sleep(BEAT);
    }
    server.stop();
    Ok(())
}

/// Binds the socket for this user alone. One that nobody listens on is left from a process that was
/// killed; the new one takes its place.
fn listen(path: &Path) -> io::Result<UnixListener> {
    if path.exists() && UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("{}: another process serves it", path.display()),
        ));
    }
    // Under another name until its mode is set, so that it is never open to others.
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let fresh = PathBuf::from(name);
    let _ = std::fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh)?;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&fresh, mode)
        .and_then(|()| std::fs::rename(&fresh, path))
        .inspect_err(|_| {
            let _ = std::fs::remove_file(&fresh);
        })?;
    Ok(listener)
}

fn accept(shared: &Arc<Shared>, listener: &UnixListener) {
    for stream in listener.incoming() {
        if shared.is_stopping() {
            return;
        }
        let Ok(stream) = stream else {
            // Out of descriptors, perhaps: better soon than in a tight loop.
            std::thread::sleep(BEAT);
            continue;
        };
        if shared.connections.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS_MAX {
            shared.connections.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let own = Arc::clone(shared);
        let spawned = std::thread::Builder::new()
            .name("exchange-client".to_owned())
            .spawn(move || {
                // How a connection ends is its client's affair, which sees it.
                let _ = Connection::new(&own, stream).and_then(Connection::run);
                own.connections.fetch_sub(1, Ordering::AcqRel);
            });
        if spawned.is_err() {
            shared.connections.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
