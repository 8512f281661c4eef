//! What a process that could not go on leaves to the next: the shared strategies that never returned.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("hanging-strategies")
}

/// Remembers a strategy, durably: the process is about to end.
pub fn remember(data_dir: &Path, strategy: &str) {
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(journal::PRIVATE_FILE)
        .open(path(data_dir))
        .and_then(|mut file| {
            writeln!(file, "{strategy}")?;
            file.sync_all()
        })
        .and_then(|()| File::open(data_dir)?.sync_all());
    if let Err(error) = written {
        tracing::error!(
            channel = "runner",
            "cannot remember that `{strategy}` hangs: {error}: disable it before the next start"
        );
    }
}

/// The remembered strategies: they start disabled until an operator enables them.
pub fn remembered(data_dir: &Path) -> Vec<String> {
    let Ok(text) = fs::read_to_string(path(data_dir)) else {
        return Vec::new();
    };
    let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Forgets one: an operator lets it run again.
pub fn forget(data_dir: &Path, strategy: &str) {
    let path = path(data_dir);
    let Ok(text) = fs::read_to_string(&path) else {
        return;
    };
    let rest: String = text
        .lines()
        .filter(|line| *line != strategy)
        .map(|line| format!("{line}\n"))
        .collect();
    let being_written = data_dir.join("hanging-strategies.tmp");
    let written = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(journal::PRIVATE_FILE)
        .open(&being_written)
        .and_then(|mut file| file.write_all(rest.as_bytes()))
        .and_then(|()| fs::rename(&being_written, &path));
    if let Err(error) = written {
        tracing::warn!(channel = "runner", "{}: {error}", path.display());
    }
}
