//! The session's end of the control socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

use super::{Reply, Request, execute, socket_path};
use crate::live::handles::Handles;

/// Clients at a time; one more is told to come back.
const CLIENTS: usize = 16;
/// The longest line that a client may send.
const LINE: u64 = 64 << 10;
/// A client that says nothing for so long is let go.
const SILENCE: Duration = Duration::from_secs(60);

/// The thread that listens.
pub struct ControlServer {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ControlServer {
    /// Listens. The data directory's lock is held, so a socket that is there already is a dead one's.
    pub fn start(data_dir: &Path, handles: Arc<Handles>) -> anyhow::Result<Self> {
        let path = socket_path(data_dir);
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
                        Ok((stream, _)) => serve(stream, &handles, &clients),
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

fn serve(mut stream: UnixStream, handles: &Arc<Handles>, clients: &Arc<AtomicUsize>) {
    if clients.fetch_add(1, Ordering::AcqRel) >= CLIENTS {
        clients.fetch_sub(1, Ordering::AcqRel);
        answer(
            &mut stream,
            &Reply::Refused("too many clients at once: try again".to_owned()),
        );
        return;
    }
    let (handles, of_this) = (Arc::clone(handles), Arc::clone(clients));
    let spawned = std::thread::Builder::new()
        .name("control-client".to_owned())
        .spawn(move || {
            let _ = stream.set_nonblocking(false);
            let _ = stream.set_read_timeout(Some(SILENCE));
            let _ = stream.set_write_timeout(Some(SILENCE));
            converse(stream, &handles);
            of_this.fetch_sub(1, Ordering::AcqRel);
        });
    if spawned.is_err() {
        clients.fetch_sub(1, Ordering::AcqRel);
    }
}

fn answer(stream: &mut UnixStream, reply: &Reply) -> bool {
    let Ok(mut line) = serde_json::to_string(reply) else {
        return false;
    };
    line.push('\n');
    stream.write_all(line.as_bytes()).is_ok()
}

fn converse(mut stream: UnixStream, handles: &Handles) {
    let Ok(reading) = stream.try_clone() else {
        return;
    };
    let mut lines = BufReader::new(reading);
    let mut line = String::new();
    loop {
        line.clear();
        match (&mut lines).take(LINE).read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if !line.ends_with('\n') => {
                let why = format!("a request is one JSON object in a line of at most {LINE} bytes");
                answer(&mut stream, &Reply::Refused(why));
                return;
            }
            Ok(_) => {}
        }
        let reply = match serde_json::from_str::<Request>(&line) {
            Ok(request) => execute::execute(&request, handles),
            Err(error) => Reply::Refused(format!("the request cannot be read: {error}")),
        };
        if !answer(&mut stream, &reply) {
            return;
        }
    }
}
