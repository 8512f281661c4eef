//! The other terminal's end.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::{Reply, Request};

/// The longest wait for an answer: longer than the server waits for its namespaces.
const PATIENCE: Duration = Duration::from_secs(30);

/// The control socket of a data directory.
pub fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// A connection to a running session.
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the session that has `data_dir`.
    pub fn connect(data_dir: &Path) -> anyhow::Result<Self> {
        let path = socket_path(data_dir);
        let stream = UnixStream::connect(&path).with_context(|| {
            format!(
                "no session runs on {}: start one with `panda run`, or name its directory with --data-dir",
                data_dir.display()
            )
        })?;
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
