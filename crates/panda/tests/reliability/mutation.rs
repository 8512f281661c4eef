//! Small changes to text and bytes.

use crate::market::Random;

/// What a line of text or a frame of bytes may be given instead of what it holds.
const STRANGE: [&[u8]; 22] = [
    b"-1",
    b"0",
    b"1e400",
    b"NaN",
    b"99999999999999999999",
    b"0.000000000001",
    b"\0",
    b"\xff\xfe",
    "é".as_bytes(),
    b"\"",
    b"'",
    b"{",
    b"]",
    b":",
    b",,",
    b"\n",
    b"\r",
    b"\t",
    b"- ",
    b"&a *a",
    b"null",
    b"../../..",
];

/// One to three changes: bits, cuts, copies, truncations, strange values.
pub fn mutate(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let len = bytes.len() as u64;
        if len == 0 {
            break;
        }
        let at = random.below(len) as usize;
        let until = (at as u64 + 1 + random.below(24)).min(len) as usize;
        match random.below(8) {
            0 | 1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..until)),
            4 => {
                let copy = bytes[at..until].to_vec();
                let to = random.below(len) as usize;
                bytes.splice(to..to, copy);
            }
            5 => {
                let strange = STRANGE[random.below(STRANGE.len() as u64) as usize];
                bytes.splice(at..at, strange.iter().copied());
            }
            6 => {
                let strange = STRANGE[random.below(STRANGE.len() as u64) as usize];
                bytes.splice(at..until, strange.iter().copied());
            }
            _ => {
                // A whole number in the text becomes another.
                if let Some(begin) = bytes[at..].iter().position(u8::is_ascii_digit) {
                    let begin = at + begin;
                    let digits = bytes[begin..].iter().take_while(|b| b.is_ascii_digit());
                    let end = begin + digits.count();
                    let number = match random.below(4) {
                        0 => "0".to_owned(),
                        1 => u64::MAX.to_string(),
                        2 => i64::MAX.to_string(),
                        _ => random.below(100_000).to_string(),
                    };
                    bytes.splice(begin..end, number.into_bytes());
                }
            }
        }
    }
    bytes
}

/// The beginning of what was given, for a message.
pub fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(1_500).collect()
}
