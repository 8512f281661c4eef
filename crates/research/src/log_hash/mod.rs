//! The hash over everything that a pipeline produced, in order.
//!
//! Each event is taken in its stored form with names instead of indices ([`wire::encode_named`]), behind its
//! namespace and its length. So the hash depends neither on interned indices nor on the salt of a run, and two runs
//! with equal hashes produced equal events.

use model::event::Event;
pub use wire::Registry as Names;

/// Version of the hash: what is hashed, and how. Part of it.
pub const VERSION: u16 = 3;

/// Bytes gathered before they are hashed: blake3 is at its best on long inputs.
const CHUNK: usize = 64 * 1024;

/// Appends an event as it is hashed.
fn encode(out: &mut Vec<u8>, namespace: &str, names: &Names<'_>, event: &Event) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(namespace.len() as u32).to_le_bytes());
    out.extend_from_slice(namespace.as_bytes());
    wire::encode_named(wire::roots::EVENT, event, names, out)
        .expect("the schema has every event, as the tests of the wire crate show");
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Hashes a stream of events.
#[derive(Debug, Clone)]
pub struct LogHasher {
    hasher: blake3::Hasher,
    pending: Vec<u8>,
}

impl Default for LogHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl LogHasher {
    /// Before the first event.
    pub fn new() -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"alpha-panda event log");
        hasher.update(&VERSION.to_le_bytes());
        Self {
            hasher,
            pending: Vec::with_capacity(CHUNK + 1024),
        }
    }

    /// Takes the next event.
    pub fn update(&mut self, namespace: &str, names: &Names<'_>, event: &Event) {
        encode(&mut self.pending, namespace, names, event);
        self.flush_full();
    }

    fn flush_full(&mut self) {
        if self.pending.len() >= CHUNK {
            self.hasher.update(&self.pending);
            self.pending.clear();
        }
    }

    /// The hash of everything so far, in hexadecimal.
    pub fn finish(mut self) -> String {
        self.hasher.update(&self.pending);
        self.hasher.finalize().to_hex().to_string()
    }
}

/// One hash over all namespaces in the order of the events, and one per namespace.
#[derive(Debug, Clone)]
pub struct LogHashes {
    names: Vec<String>,
    total: LogHasher,
    /// Empty for a single namespace, whose hash is the total.
    each: Vec<LogHasher>,
}

impl LogHashes {
    /// For these namespaces, addressed by their position.
    pub fn new(namespaces: &[&str]) -> Self {
        let several = namespaces.len() > 1;
        Self {
            names: namespaces.iter().map(|n| (*n).to_owned()).collect(),
            total: LogHasher::new(),
            each: if several {
                vec![LogHasher::new(); namespaces.len()]
            } else {
                Vec::new()
            },
        }
    }

    /// Takes the next event of a namespace. An index beyond the namespaces counts as a nameless one.
    pub fn update(&mut self, namespace: usize, names: &Names<'_>, event: &Event) {
        let start = self.total.pending.len();
        let name = self.names.get(namespace).map_or("", String::as_str);
        encode(&mut self.total.pending, name, names, event);
        if let Some(own) = self.each.get_mut(namespace) {
            own.pending.extend_from_slice(&self.total.pending[start..]);
            own.flush_full();
        }
        self.total.flush_full();
    }

    /// The total, and the hash of each namespace by name.
    pub fn finish(self) -> (String, std::collections::BTreeMap<String, String>) {
        let total = self.total.finish();
        let each = if self.each.is_empty() {
            self.names
                .into_iter()
                .map(|name| (name, total.clone()))
                .collect()
        } else {
            self.names
                .into_iter()
                .zip(self.each.into_iter().map(LogHasher::finish))
                .collect()
        };
        (total, each)
    }
}

#[cfg(test)]
mod tests;
