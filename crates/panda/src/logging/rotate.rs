//! A log file that never grows beyond a size, with a bounded number of predecessors.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// `panda.log`, then `panda.log.1` (the newest before it), and so on; the oldest goes.
pub struct Rotating {
    path: PathBuf,
    file: File,
    size: u64,
    max_size: u64,
    max_files: u32,
}

/// How a log file is opened: it tells of orders and positions, so it is for its owner alone.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .create(true)
        .append(true)
        .mode(journal::PRIVATE_FILE);
    options
}

impl Rotating {
    /// Goes on with the file that is there.
    pub fn open(path: PathBuf, max_size: u64, max_files: u32) -> io::Result<Self> {
        if let Some(dir) = path.parent() {
            journal::create_private_dirs(dir)?;
        }
        let file = options().open(&path)?;
        let size = file.metadata()?.len();
        let mut log = Self {
            path,
            file,
            size,
            max_size,
            max_files,
        };
        // What an earlier start kept beyond today's bound goes.
        let mut surplus = max_files;
        while fs::remove_file(log.numbered(surplus)).is_ok() {
            surplus += 1;
        }
        if log.size > max_size {
            log.rotate()?;
        }
        Ok(log)
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        if number > 0 {
            name.push(format!(".{number}"));
        }
        name.into()
    }

    fn rotate(&mut self) -> io::Result<()> {
        if self.max_files > 1 {
            for number in (0..self.max_files - 1).rev() {
                match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        self.file = if self.max_files > 1 {
            options().open(&self.path)?
        } else {
            self.file.set_len(0)?;
            options().open(&self.path)?
        };
        self.size = 0;
        Ok(())
    }
}

impl Write for Rotating {
    /// Takes whole lines: one is never divided between two files.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = line.len() as u64;
        if self.size > 0 && self.size + length > self.max_size {
            self.rotate()?;
        }
        self.file.write_all(line)?;
        self.size += length;
        Ok(line.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
