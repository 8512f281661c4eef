//! A raw file's bytes: read, hashed, unpacked.

use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::DataError;

/// The most that one file may unpack to: a file is held in memory whole while it is cleaned.
pub const UNPACKED_MAX: u64 = 16 << 30;

const GZIP: &[u8] = b"\x1f\x8b";

/// A file's text with what is to be remembered of its bytes.
pub struct Content {
    /// The unpacked text, without a byte order mark.
    pub text: Vec<u8>,
    /// Length of the file.
    pub bytes: u64,
    /// BLAKE3 of the file.
    pub digest: blake3::Hash,
}

/// Reads and hashes a file without unpacking it.
pub fn digest(path: &Path) -> Result<(u64, blake3::Hash), DataError> {
    let mut file = std::fs::File::open(path).map_err(DataError::io("open", path))?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    let mut total = 0;
    loop {
        let count = file
            .read(&mut buffer)
            .map_err(DataError::io("read", path))?;
        if count == 0 {
            return Ok((total, hasher.finalize()));
        }
        hasher.update(&buffer[..count]);
        total += count as u64;
    }
}

/// Reads a file and unpacks it when it is gzip, whatever its name.
pub fn read(path: &Path) -> Result<Content, DataError> {
    let raw = std::fs::read(path).map_err(DataError::io("read", path))?;
    let digest = blake3::hash(&raw);
    let bytes = raw.len() as u64;
    let named_gz = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("gz"));
    if raw.is_empty() {
        return Err(DataError::unusable(
            path,
            "the file is empty",
            "download or record it again",
        ));
    }
    let mut text = if raw.starts_with(GZIP) {
        unpack(path, &raw)?
    } else if named_gz {
        let problem = "the name ends in .gz, but the content is not gzip";
        return Err(DataError::unusable(
            path,
            problem,
            "rename it, or compress it with gzip",
        ));
    } else {
        raw
    };
    if text.starts_with(b"\xef\xbb\xbf") {
        text.drain(..3);
    }
    check_text(path, &text)?;
    Ok(Content {
        text,
        bytes,
        digest,
    })
}

fn unpack(path: &Path, raw: &[u8]) -> Result<Vec<u8>, DataError> {
    let mut text = Vec::with_capacity(raw.len().saturating_mul(6));
    let mut decoder = MultiGzDecoder::new(raw).take(UNPACKED_MAX + 1);
    match decoder.read_to_end(&mut text) {
        Ok(_) if text.len() as u64 > UNPACKED_MAX => Err(DataError::unusable(
            path,
            format!("unpacks to more than {} GiB", UNPACKED_MAX >> 30),
            "split it by day or by instrument",
        )),
        Ok(_) => Ok(text),
        Err(error) => {
            let problem = if error.kind() == std::io::ErrorKind::UnexpectedEof {
                "the gzip file is cut off".to_owned()
            } else {
                format!("the gzip file is corrupt ({error})")
            };
            Err(DataError::unusable(
                path,
                problem,
                "download or record it again, or remove it from the data",
            ))
        }
    }
}

fn check_text(path: &Path, text: &[u8]) -> Result<(), DataError> {
    if text.starts_with(b"PAR1") {
        let fix = "raw data is CSV; give the catalogue's directory to read Parquet made by `panda data import`";
        return Err(DataError::unusable(path, "this is a Parquet file", fix));
    }
    if text[..text.len().min(1 << 16)].contains(&0) {
        return Err(DataError::unusable(
            path,
            "this is a binary file",
            "give a CSV with a header",
        ));
    }
    if text.trim_ascii().is_empty() {
        return Err(DataError::unusable(
            path,
            "the file is empty",
            "download or record it again",
        ));
    }
    Ok(())
}
