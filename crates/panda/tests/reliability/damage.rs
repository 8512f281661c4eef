//! The files of a data directory as they are kept and damaged.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::market::Random;

/// A file: its length, and its bytes up to the last that is not zero. The zeros of a log that is written to are
/// space that it has taken in advance.
#[derive(Clone)]
pub struct Kept {
    pub path: PathBuf,
    len: u64,
    used: Vec<u8>,
}

impl Kept {
    /// Leaves the first bytes alone.
    pub fn cut(&mut self, to: u64) {
        self.used.truncate(to as usize);
        self.len = to;
    }
}

/// The files of a data directory that hold something: logs, snapshots, marks, identity, dead letters.
pub fn keep(dir: &Path) -> Vec<Kept> {
    let mut all = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                left.push(entry.path());
                continue;
            }
            let path = entry.path().strip_prefix(dir).unwrap().to_owned();
            let holds = path.components().count() > 1 || path == Path::new("IDENTITY");
            if !kind.is_file() || !holds {
                continue;
            }
            let mut used = fs::read(entry.path()).unwrap();
            let len = used.len() as u64;
            used.truncate(used.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1));
            all.push(Kept { path, len, used });
        }
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

/// Writes the files, in place of what is there.
pub fn lay(files: &[Kept], dir: &Path) {
    let _absent = fs::remove_dir_all(dir);
    for kept in files {
        let target = dir.join(&kept.path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let mut file = File::create(target).unwrap();
        file.write_all(&kept.used).unwrap();
        file.set_len(kept.len.max(kept.used.len() as u64)).unwrap();
    }
}

/// Whether a file is read where the log goes on or begins: a head, or the last of what was written.
fn place(random: &mut Random, len: u64) -> u64 {
    match random.below(4) {
        0 => random.below(len.min(160)),
        1 => len - 1 - random.below(len.min(4_096)),
        _ => random.below(len),
    }
}

/// Damages one file, or two. Says which, and what was done.
pub fn damage(random: &mut Random, files: &mut Vec<Kept>) -> (Vec<PathBuf>, String) {
    let at = random.below(files.len() as u64) as usize;
    let path = files[at].path.clone();
    let len = files[at].used.len() as u64;
    let kind = if len == 0 { 6 } else { random.below(8) };
    let what = match kind {
        0 | 1 => {
            let (byte, bit) = (place(random, len), random.below(8));
            files[at].used[byte as usize] ^= 1 << bit;
            format!("bit {bit} of byte {byte} of {len} flipped")
        }
        2 => {
            let to = place(random, len);
            files[at].cut(to);
            format!("cut from {len} to {to} bytes")
        }
        3 => {
            let from = place(random, len);
            files[at].used[from as usize..].fill(0);
            format!("zeros from byte {from} of {len}")
        }
        4 => {
            let from = place(random, len) as usize;
            let count = 1 + random.below(4_096) as usize;
            files[at].used[from..]
                .iter_mut()
                .take(count)
                .for_each(|b| *b = 0);
            format!("{count} zeros from byte {from} of {len}")
        }
        5 => {
            let from = place(random, len) as usize;
            let count = 1 + random.below(64) as usize;
            for byte in files[at].used[from..].iter_mut().take(count) {
                *byte = random.below(256) as u8;
            }
            format!("{count} random bytes from byte {from} of {len}")
        }
        6 => {
            files.remove(at);
            "deleted".to_owned()
        }
        _ => {
            let other = random.below(files.len() as u64) as usize;
            let (a, b) = (files[at].clone(), files[other].clone());
            let second = b.path.clone();
            (files[at].len, files[at].used) = (b.len, b.used);
            (files[other].len, files[other].used) = (a.len, a.used);
            let what = format!("swapped with {}", second.display());
            return (vec![path, second], what);
        }
    };
    (vec![path], what)
}

/// Whether a message names one of the files, or the folder that has lost it, and the offset where it has one.
pub fn is_placed(message: &str, damaged: &[PathBuf]) -> bool {
    let names = |path: &PathBuf| {
        let folder = path.parent().map(|dir| dir.display().to_string());
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        message.contains(&file)
            || folder.is_some_and(|dir| !dir.is_empty() && message.contains(&dir))
    };
    let has_offset = ["damaged at offset", "from offset", "at offset"];
    // Of these the file as a whole is wrong.
    let whole = ["IDENTITY", "it belongs to", "holds none", "has version"];
    damaged.iter().any(names)
        && has_offset
            .iter()
            .chain(&whole)
            .any(|says| message.contains(says))
}
