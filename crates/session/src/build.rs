//! Which build this is. The version alone does not tell two builds apart.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The most that is read of notes; a build's id is a few bytes long.
const NOTES_MAX: usize = 64 << 10;
/// Segments of a file that are looked at.
const SEGMENTS_MAX: usize = 64;
/// The type of a segment that holds notes.
const PT_NOTE: u32 = 4;
/// The type of the note with the build's id.
const NT_GNU_BUILD_ID: u32 = 3;

/// Version and identity of what runs.
pub fn id() -> String {
    let path = std::env::current_exe();
    let identity = path.and_then(|path| {
        // The linker's own digest is read at once; a large file takes a third of a second to hash.
        match File::open(&path).and_then(|file| linked(&file))? {
            Some(id) => Ok(id),
            None => std::fs::read(path).map(|b| blake3::hash(&b).to_hex().to_string()),
        }
    });
    let mut identity = identity.unwrap_or_default();
    identity.truncate(16);
    format!("panda {} {identity}", env!("CARGO_PKG_VERSION"))
}

/// The id that the linker made of what it linked, from the notes of an ELF file; `None` where there is
/// none.
fn linked(file: &File) -> io::Result<Option<String>> {
    let mut head = [0; 64];
    let read = file.read_at(&mut head, 0)?;
    // 64 bits, little endian: everything that we build for.
    if read < head.len() || head[..6] != *b"\x7fELF\x02\x01" {
        return Ok(None);
    }
    let table = number(&head, 32, 8).unwrap_or(0);
    let size = number(&head, 54, 2).unwrap_or(0) as usize;
    let count = (number(&head, 56, 2).unwrap_or(0) as usize).min(SEGMENTS_MAX);
    if size != 56 {
        return Ok(None);
    }
    let mut segments = vec![0; size * count];
    file.read_exact_at(&mut segments, table)?;
    for segment in segments.chunks_exact(size) {
        if number(segment, 0, 4) != Some(u64::from(PT_NOTE)) {
            continue;
        }
        let (at, length) = (number(segment, 8, 8), number(segment, 32, 8));
        let length = usize::try_from(length.unwrap_or(0)).unwrap_or(0);
        let mut notes = vec![0; length.min(NOTES_MAX)];
        file.read_exact_at(&mut notes, at.unwrap_or(0))?;
        if let Some(id) = build_id(&notes) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// The build's id among the notes of a segment, in hexadecimal.
fn build_id(mut notes: &[u8]) -> Option<String> {
    while !notes.is_empty() {
        let name = usize::try_from(number(notes, 0, 4)?).ok()?;
        let content = usize::try_from(number(notes, 4, 4)?).ok()?;
        let kind = number(notes, 8, 4)?;
        let from = 12 + name.next_multiple_of(4);
        let bytes = notes.get(from..from.checked_add(content)?)?;
        if kind == u64::from(NT_GNU_BUILD_ID) && notes.get(12..12 + name)? == b"GNU\0" {
            return (content >= 8).then(|| bytes.iter().map(|b| format!("{b:02x}")).collect());
        }
        notes = notes.get(from + content.next_multiple_of(4)..)?;
    }
    None
}

/// A little-endian number of `length` bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let mut raw = [0; 8];
    raw.get_mut(..length)?
        .copy_from_slice(bytes.get(at..at.checked_add(length)?)?);
    Some(u64::from_le_bytes(raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(name: &[u8], kind: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend((content.len() as u32).to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        for part in [name, content] {
            bytes.extend(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn the_build_id_is_found_behind_other_notes() {
        let mut notes = note(b"GNU\0", 1, &[0; 16]);
        notes.extend(note(b"stapsdt\0", 3, &[1; 9]));
        assert_eq!(build_id(&notes), None);
        notes.extend(note(b"GNU\0", 3, &[0xab; 20]));
        assert_eq!(build_id(&notes), Some("ab".repeat(20)));
        for length in 0..notes.len() {
            assert_eq!(build_id(&notes[..length]), None, "cut at {length}");
        }
    }

    #[test]
    fn a_build_has_an_identity() {
        let id = id();
        assert_eq!(id.split(' ').next_back().map(str::len), Some(16), "{id}");
        assert_eq!(id, super::id());
    }
}
