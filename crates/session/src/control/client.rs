//! The other terminal's end.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};

use super::{Reply, Request};

/// The longest wait for an answer: longer than the server waits for its namespaces.
const PATIENCE: Duration = Duration::from_secs(30);

/// The control socket of a data directory.
pub(super) fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// The user who owns a file, or the nearest directory above it that can be looked at.
fn owner(path: &Path) -> Option<u32> {
    let mut look = path.ancestors();
    look.find_map(|at| std::fs::metadata(at).ok())
        .map(|metadata| metadata.uid())
}

/// Whether no process listens on the socket.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

/// Why there is no connection. A socket that may not be used is there: its session is another user's.
fn unreachable_because(data_dir: &Path, error: &io::Error, owner: Option<u32>) -> anyhow::Error {
    let dir = data_dir.display();
    match (error.kind(), owner) {
        (io::ErrorKind::PermissionDenied, Some(owner)) => anyhow!(
            "the session on {dir} belongs to another user (uid {owner}): give the command as that user"
        ),
        (io::ErrorKind::PermissionDenied, None) => {
            anyhow!("the session on {dir} belongs to another user: give the command as that user")
        }
        _ => anyhow!(
            "no session runs on {dir}: start one with `panda run`, or name its directory with --data-dir: {error}"
        ),
    }
}

/// The local user, who is recorded with a command.
pub fn local_user() -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| {
        let value = std::env::var(name).ok()?;
        (1..=32).contains(&value.len()).then_some(value)
    });
    named.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// A connection to a running session.
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the session that has `data_dir`.
    pub fn connect(data_dir: &Path) -> anyhow::Result<Self> {
        Self::open(data_dir).map_err(|error| {
            let owner = owner(&socket_path(data_dir));
            unreachable_because(data_dir, &error, owner)
        })
    }

    /// As [`connect`](Self::connect); `None` where no session runs.
    pub fn find(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        match Self::open(data_dir) {
            Err(error) if is_absent(&error) => Ok(None),
            Err(_) => Self::connect(data_dir).map(Some),
            Ok(client) => Ok(Some(client)),
        }
    }

    fn open(data_dir: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket_path(data_dir))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Asks, and waits for the answer.
    pub fn ask(&mut self, request: &Request) -> anyhow::Result<Reply> {
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        self.stream
            .get_mut()
            .write_all(line.as_bytes())
            .context("the session has gone")?;
        line.clear();
        self.stream
            .read_line(&mut line)
            .context("the session did not answer in time: what was asked may still happen")?;
        if line.is_empty() {
            bail!(
                "the session ended before it answered: what was asked may have happened; `panda journal dump` tells"
            );
        }
        match serde_json::from_str(&line)
            .context("the answer cannot be read: is the running session of this version?")?
        {
            Reply::Refused(why) => bail!(why),
            reply => Ok(reply),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_users_session_is_not_called_absent() {
        let dir = Path::new("/srv/data");
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let said = unreachable_because(dir, &denied, Some(1234)).to_string();
        assert!(
            said.contains("another user (uid 1234)") && !said.contains("no session runs"),
            "{said}"
        );
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused] {
            let said = unreachable_because(dir, &io::Error::from(kind), Some(1234)).to_string();
            assert!(said.starts_with("no session runs on /srv/data"), "{said}");
        }
    }
}
