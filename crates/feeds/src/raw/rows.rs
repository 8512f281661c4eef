//! Lines and fields of a CSV text, without copying them.
//!
//! A row is a line: quotes are understood within one, so that a stray quote spoils its own line and
//! not the rest of the file.

/// A line of a text.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Without its line end.
    pub text: &'a [u8],
    /// From 1.
    pub number: u64,
    /// Where it starts in the text.
    pub start: usize,
}

/// The lines of a text that are not blank.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    rest: &'a [u8],
    number: u64,
    start: usize,
}

impl<'a> Lines<'a> {
    /// Of a text.
    pub const fn new(text: &'a [u8]) -> Self {
        Self {
            rest: text,
            number: 0,
            start: 0,
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    #[inline]
    fn next(&mut self) -> Option<Line<'a>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let end = self.rest.iter().position(|b| *b == b'\n');
            let (line, rest) = match end {
                Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
                None => (self.rest, &self.rest[..0]),
            };
            let start = self.start;
            self.start += self.rest.len() - rest.len();
            self.rest = rest;
            self.number += 1;
            let text = line.strip_suffix(b"\r").unwrap_or(line);
            if !text.is_empty() {
                return Some(Line {
                    text,
                    number: self.number,
                    start,
                });
            }
        }
    }
}

/// The fields of one line; reused from line to line.
#[derive(Debug, Default)]
pub struct Fields {
    ends: Vec<u32>,
    quoted: Option<Box<csv::ByteRecord>>,
}

impl Fields {
    /// Splits a line at its commas.
    #[inline]
    pub fn split(&mut self, line: &[u8]) {
        self.ends.clear();
        self.quoted = None;
        for (at, byte) in line.iter().enumerate() {
            if *byte == b',' {
                self.ends.push(at as u32);
            } else if *byte == b'"' {
                return self.split_quoted(line);
            }
        }
        self.ends.push(line.len() as u32);
    }

    #[cold]
    fn split_quoted(&mut self, line: &[u8]) {
        let mut record = csv::ByteRecord::new();
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(line);
        // Reading from memory cannot fail; what is not well-formed gives other fields.
        let _ = reader.read_byte_record(&mut record);
        self.quoted = Some(Box::new(record));
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.quoted
            .as_ref()
            .map_or(self.ends.len(), |record| record.len())
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `index`-th field of the line that was split.
    #[inline]
    pub fn get<'a>(&'a self, line: &'a [u8], index: usize) -> &'a [u8] {
        if let Some(record) = &self.quoted {
            return record.get(index).unwrap_or_default();
        }
        let start = if index == 0 {
            0
        } else {
            self.ends.get(index - 1).map_or(0, |e| *e as usize + 1)
        };
        let end = self.ends.get(index).map_or(start, |end| *end as usize);
        line.get(start..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_fields_are_those_of_the_file() {
        let text = b"a,b\r\n\n1,\"x,\"\"y\"\n,\n\"open,2\nlast,3";
        let mut fields = Fields::default();
        let mut seen = Vec::new();
        for line in Lines::new(text) {
            fields.split(line.text);
            let values: Vec<_> = (0..fields.len())
                .map(|i| String::from_utf8_lossy(fields.get(line.text, i)).into_owned())
                .collect();
            seen.push((line.number, values.join("|")));
        }
        let want = [
            (1, "a|b"),
            (3, "1|x,\"y"),
            (4, "|"),
            (5, "open,2"),
            (6, "last|3"),
        ];
        let seen: Vec<_> = seen.iter().map(|(n, v)| (*n, v.as_str())).collect();
        assert_eq!(seen, want);
    }
}
