//! Short texts that travel inside plain values.

use arrayvec::ArrayString;

/// A strategy's reason for a signal, at most 48 bytes.
pub type ReasonText = ArrayString<48>;

/// `text` cut to what fits, at a character boundary.
pub fn reason_text(text: &str) -> ReasonText {
    let mut end = text.len().min(48);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    ArrayString::from(&text[..end]).unwrap_or_default()
}
