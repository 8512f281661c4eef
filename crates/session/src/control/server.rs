//! The session's end of the control socket.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::{Action, Reply, Request, execute, socket_path};
use crate::handles::Handles;

/// Clients at a time.
const CLIENTS: usize = 16;
/// Clients beyond them, for one request each that lessens exposure or stops the session.
const URGENT: usize = 4;
/// The longest line that a client may send.
const LINE: usize = 64 << 10;

/// How long clients may take. Each is one limit for a whole line, however it trickles in.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// From one answer to the first byte of the next request.
    silence: Duration,
    /// From a request's first byte to its last; and for the answer to be read.
    request: Duration,
    /// The same beyond the ordinary clients, from the beginning.
    urgent: Duration,
}

const PATIENCE: Patience = Patience {
    silence: Duration::from_secs(60),
    request: Duration::from_secs(10),
    urgent: Duration::from_secs(1),
};

/// What carries requests out.
type Execute = dyn Fn(&Request) -> Reply + Send + Sync;

/// The thread that listens.
pub(crate) struct ControlServer {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ControlServer {
    /// Listens. The data directory's lock is held, so a socket that is there already is a dead one's.
    pub fn start(data_dir: &Path, handles: Arc<Handles>) -> anyhow::Result<Self> {
        let execute = move |request: &Request| execute::execute(request, &handles);
        Self::listen(socket_path(data_dir), PATIENCE, Arc::new(execute))
    }

    fn listen(path: PathBuf, patience: Patience, execute: Arc<Execute>) -> anyhow::Result<Self> {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot replace {}", path.display()));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&path)
            .with_context(|| format!("cannot listen on {}", path.display()))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
            .with_context(|| format!("cannot protect {}", path.display()))?;
        listener.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let clients = Arc::new(AtomicUsize::new(0));
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Acquire) {
                    match listener.accept() {
                        Ok((stream, _)) => serve(stream, patience, &execute, &clients),
                        Err(_) => std::thread::park_timeout(Duration::from_millis(20)),
                    }
                }
            })?;
        Ok(Self {
            path,
            stop,
            thread: Some(thread),
        })
    }

    /// Listens no more. Clients that are being answered get their answers.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
            // Nobody finds it any more; a client that has it open is not cut off.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn serve(
    mut stream: UnixStream,
    patience: Patience,
    execute: &Arc<Execute>,
    clients: &Arc<AtomicUsize>,
) {
    let before = clients.fetch_add(1, Ordering::AcqRel);
    let _ = stream.set_nonblocking(false);
    if before >= CLIENTS + URGENT {
        clients.fetch_sub(1, Ordering::AcqRel);
        answer(&mut stream, &too_many(), Duration::from_millis(100));
        return;
    }
    let (execute, of_this) = (Arc::clone(execute), Arc::clone(clients));
    let spawned = std::thread::Builder::new()
        .name("control-client".to_owned())
        .spawn(move || {
            if before < CLIENTS {
                converse(stream, patience, &*execute);
            } else {
                hear_urgent(stream, patience, &*execute);
            }
            of_this.fetch_sub(1, Ordering::AcqRel);
        });
    if spawned.is_err() {
        clients.fetch_sub(1, Ordering::AcqRel);
    }
}

fn too_many() -> Reply {
    Reply::Refused("too many clients at once: try again".to_owned())
}

/// Whether a request lessens exposure or ends the session: such a one always finds a place.
const fn is_urgent(request: &Request) -> bool {
    match request {
        Request::Stop => true,
        Request::Command { action, .. } => matches!(
            action,
            Action::Halt
                | Action::ReduceOnly
                | Action::DisableStrategy { .. }
                | Action::CancelOrder { .. }
                | Action::CancelAll
                | Action::SquareOff { .. }
        ),
        Request::Status | Request::History { .. } | Request::Letter { .. } => false,
    }
}

fn answer(stream: &mut UnixStream, reply: &Reply, within: Duration) -> bool {
    let Ok(mut line) = serde_json::to_string(reply) else {
        return false;
    };
    line.push('\n');
    let until = Instant::now() + within;
    let mut left = line.as_bytes();
    while !left.is_empty() {
        let time = until.saturating_duration_since(Instant::now());
        if time.is_zero() || stream.set_write_timeout(Some(time)).is_err() {
            return false;
        }
        match stream.write(left) {
            Ok(0) => return false,
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(error) if is_transient(&error) => {}
            Err(_) => return false,
        }
    }
    true
}

fn is_transient(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut
    )
}

/// What a client has sent.
enum Got {
    Line(Vec<u8>),
    /// More than a line may hold, or a line without its end.
    NoLine,
    /// A request began and did not end in time.
    Late,
    End,
}

/// Reads lines, each within one limit.
struct Lines {
    stream: UnixStream,
    held: Vec<u8>,
}

impl Lines {
    fn next(&mut self, silence: Duration, request: Duration) -> Got {
        let mut has_begun = !self.held.is_empty();
        let mut until = Instant::now() + if has_begun { request } else { silence };
        let mut seen = 0;
        loop {
            let fresh = self.held.get(seen..).unwrap_or_default();
            if let Some(at) = fresh.iter().position(|byte| *byte == b'\n') {
                let rest = self.held.split_off(seen + at + 1);
                return Got::Line(std::mem::replace(&mut self.held, rest));
            }
            seen = self.held.len();
            if seen >= LINE {
                return Got::NoLine;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return if has_begun { Got::Late } else { Got::End };
            }
            let mut chunk = [0; 4096];
            let room = chunk.len().min(LINE - seen);
            let read = match self.stream.set_read_timeout(Some(left)) {
                Ok(()) => self.stream.read(chunk.get_mut(..room).unwrap_or_default()),
                Err(_) => return Got::End,
            };
            match read {
                Ok(0) if has_begun => return Got::NoLine,
                Ok(0) => return Got::End,
                Ok(count) => {
                    if !has_begun {
                        has_begun = true;
                        until = Instant::now() + request;
                    }
                    self.held
                        .extend_from_slice(chunk.get(..count).unwrap_or_default());
                }
                Err(error) if is_transient(&error) => {}
                Err(_) => return Got::End,
            }
        }
    }
}

/// A request, the reply to what is none, or nothing where the client is gone.
fn parse(got: Got) -> Option<Result<Request, (Reply, bool)>> {
    let (why, goes_on) = match got {
        Got::End => return None,
        Got::Late => ("the request did not arrive in time".to_owned(), false),
        Got::NoLine => (
            format!("a request is one JSON object in a line of at most {LINE} bytes"),
            false,
        ),
        Got::Line(line) => match serde_json::from_slice(&line) {
            Ok(request) => return Some(Ok(request)),
            Err(error) => (format!("the request cannot be read: {error}"), true),
        },
    };
    Some(Err((Reply::Refused(why), goes_on)))
}

fn converse(mut stream: UnixStream, patience: Patience, execute: &Execute) {
    let Ok(reading) = stream.try_clone() else {
        return;
    };
    let mut lines = Lines {
        stream: reading,
        held: Vec::new(),
    };
    while let Some(request) = parse(lines.next(patience.silence, patience.request)) {
        let (reply, goes_on) = match request {
            Ok(request) => (execute(&request), true),
            Err(refused) => refused,
        };
        if !answer(&mut stream, &reply, patience.request) || !goes_on {
            return;
        }
    }
}

/// A client beyond the ordinary ones: one request, and only an urgent one.
fn hear_urgent(mut stream: UnixStream, patience: Patience, execute: &Execute) {
    let Ok(reading) = stream.try_clone() else {
        return;
    };
    let mut lines = Lines {
        stream: reading,
        held: Vec::new(),
    };
    let reply = match parse(lines.next(patience.urgent, patience.urgent)) {
        Some(Ok(request)) if is_urgent(&request) => execute(&request),
        Some(Err((refused, _))) => refused,
        Some(Ok(_)) | None => too_many(),
    };
    answer(&mut stream, &reply, patience.urgent);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    fn ask(path: &Path, line: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(line).unwrap();
        let mut reply = String::new();
        BufReader::new(stream).read_line(&mut reply).unwrap();
        reply
    }

    fn line(request: &Request) -> Vec<u8> {
        let mut line = serde_json::to_vec(request).unwrap();
        line.push(b'\n');
        line
    }

    /// A server whose clients have so long for a request.
    fn serving(request: Duration) -> (tempfile::TempDir, PathBuf, ControlServer) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let patience = Patience {
            silence: Duration::from_secs(600),
            request,
            urgent: Duration::from_secs(600),
        };
        let execute = |_: &Request| Reply::Refused("executed".to_owned());
        let server = ControlServer::listen(path.clone(), patience, Arc::new(execute)).unwrap();
        (dir, path, server)
    }

    /// Sends a byte of a request to each client now and then, each in time for a limit on silence.
    fn trickle(clients: &[UnixStream], done: &AtomicBool) {
        while !done.load(Ordering::Acquire) {
            for mut stream in clients {
                let _ = stream.write_all(b" ");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_halt_finds_a_place_among_clients_that_trickle() {
        let (_dir, path, mut server) = serving(Duration::from_secs(600));
        let halt = line(&Request::Command {
            brokers: Vec::new(),
            actor: String::new(),
            key: None,
            action: Action::Halt,
        });
        let status = line(&Request::Status);
        let slow: Vec<UnixStream> = (0..CLIENTS)
            .map(|_| UnixStream::connect(&path).unwrap())
            .collect();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| trickle(&slow, &done));
            // The sixteen were accepted before this one.
            assert!(ask(&path, &status).contains("too many"));
            assert!(ask(&path, &halt).contains("executed"));
            assert!(ask(&path, &line(&Request::Stop)).contains("executed"));
            done.store(true, Ordering::Release);
        });
        drop(slow);
        while !ask(&path, &status).contains("executed") {}
        server.stop();
    }

    #[test]
    fn a_request_has_one_limit_however_it_trickles_in() {
        let (_dir, path, mut server) = serving(Duration::from_millis(50));
        let slow = [UnixStream::connect(&path).unwrap()];
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| trickle(&slow, &done));
            let mut reply = String::new();
            let read = BufReader::new(&slow[0]).read_line(&mut reply);
            done.store(true, Ordering::Release);
            assert!(reply.contains("in time"), "{read:?} {reply}");
        });
        server.stop();
    }

    #[test]
    fn what_is_no_request_is_answered() {
        let (_dir, path, mut server) = serving(Duration::from_secs(600));
        assert!(ask(&path, b"\xff\xfe{}\n").contains("cannot be read"));
        assert!(ask(&path, b"{}\n").contains("cannot be read"));
        let long = vec![b' '; LINE];
        assert!(ask(&path, &long).contains("in a line of at most"));
        server.stop();
    }
}
