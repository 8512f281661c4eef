//! A Rust source file as the checks see it: code, comments and strings apart, tests marked.
//!
//! A full parser is not needed: the rules ask for words and brackets, and a tokeniser that knows
//! comments, strings and lifetimes finds those with their lines.

use std::ops::Range;

/// One file, split into what the compiler reads and what only people read.
#[derive(Debug)]
pub struct Source {
    /// The code; comments and the contents of literals are blanked, so lines and columns stay.
    pub code: String,
    /// The comments and the contents of literals; all else is blanked.
    pub prose: String,
    is_test: bool,
    test_lines: Vec<Range<usize>>,
}

impl Source {
    /// Splits a file; `is_test` marks a file that holds nothing but tests.
    pub fn parse(text: &str, is_test: bool) -> Self {
        let (code, prose) = split(text);
        let test_lines = test_items(&code);
        Self {
            code,
            prose,
            is_test,
            test_lines,
        }
    }

    /// Whether a line (from 0) belongs to tests.
    pub fn is_test(&self, line: usize) -> bool {
        self.is_test || self.test_lines.iter().any(|lines| lines.contains(&line))
    }

    /// Names of the files that `#[cfg(test)] mod NAME;` makes tests.
    pub fn test_modules(&self) -> Vec<String> {
        let mut names = Vec::new();
        for item in test_spans(&self.code) {
            let item = self.code.get(item).unwrap_or_default();
            let words: Vec<&str> = item.split_whitespace().collect();
            if let Some(at) = words.iter().position(|w| *w == "mod")
                && let Some(name) = words.get(at + 1).and_then(|w| w.strip_suffix(';'))
            {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// Lines (from 0) with their code.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate()
    }

    /// Lines (from 0) with their comments and literals.
    pub fn prose_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.prose.lines().enumerate()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Code,
    LineComment,
    BlockComment(u32),
    Text,
    RawText(usize),
}

/// The text twice: with only its code, and with only its comments and literals.
fn split(text: &str) -> (String, String) {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut prose = String::with_capacity(text.len());
    let mut state = State::Code;
    let mut at = 0;
    let mut put = |is_code: bool, c: char| {
        let (here, there) = if is_code {
            (&mut code, &mut prose)
        } else {
            (&mut prose, &mut code)
        };
        here.push(c);
        there.push(if c == '\n' { '\n' } else { ' ' });
    };
    while let Some(&c) = chars.get(at) {
        let first = c;
        let next = chars.get(at + 1).copied().unwrap_or('\0');
        let mut length = 1;
        let mut is_code = state == State::Code;
        match state {
            State::Code => match c {
                '/' if next == '/' => (state, is_code, length) = (State::LineComment, false, 2),
                '/' if next == '*' => (state, is_code, length) = (State::BlockComment(1), false, 2),
                '"' => state = State::Text,
                'r' | 'b' if !follows_word(&chars, at) => {
                    if let Some((opened, hashes)) = raw_opening(&chars, at) {
                        (state, length) = (State::RawText(hashes), opened);
                    }
                }
                '\'' => length = char_literal(&chars, at),
                _ => {}
            },
            State::LineComment if c == '\n' => state = State::Code,
            State::LineComment => {}
            State::BlockComment(depth) => {
                if c == '/' && next == '*' {
                    (state, length) = (State::BlockComment(depth + 1), 2);
                } else if c == '*' && next == '/' {
                    length = 2;
                    state = if depth == 1 {
                        State::Code
                    } else {
                        State::BlockComment(depth - 1)
                    };
                }
            }
            State::Text => match c {
                '\\' => length = 2,
                '"' => (state, is_code) = (State::Code, true),
                _ => {}
            },
            State::RawText(hashes) => {
                if c == '"' && (1..=hashes).all(|i| chars.get(at + i) == Some(&'#')) {
                    (state, is_code, length) = (State::Code, true, 1 + hashes);
                }
            }
        }
        for (i, c) in chars.iter().skip(at).take(length).enumerate() {
            // Of a character literal only the quotes are code.
            let inside_quotes = first == '\'' && is_code && i > 0 && i + 1 < length;
            put(is_code && !inside_quotes, *c);
        }
        at += length;
    }
    (code, prose)
}

fn follows_word(chars: &[char], at: usize) -> bool {
    at.checked_sub(1)
        .and_then(|i| chars.get(i))
        .is_some_and(|c| is_word(*c))
}

/// Whether a character can stand in an identifier.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of `r"`, `r##"`, `br"` and the number of hashes; `b"` is an ordinary text.
fn raw_opening(chars: &[char], at: usize) -> Option<(usize, usize)> {
    let mut i = at;
    if chars.get(i) == Some(&'b') {
        i += 1;
    }
    if chars.get(i) != Some(&'r') {
        return None;
    }
    i += 1;
    let hashes = chars.iter().skip(i).take_while(|c| **c == '#').count();
    (chars.get(i + hashes) == Some(&'"')).then_some((i + hashes + 1 - at, hashes))
}

/// The length of a character literal, or 1 where the quote begins a lifetime.
fn char_literal(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => chars
            .iter()
            .skip(at + 3)
            .position(|c| *c == '\'')
            .map_or(1, |end| end + 4),
        (Some(_), Some('\'')) => 3,
        _ => 1,
    }
}

/// Byte ranges of the items under `#[cfg(test)]`, attributes included.
fn test_spans(code: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut from = 0;
    while let Some(found) = code.get(from..).and_then(|rest| rest.find("#[cfg(")) {
        let start = from + found;
        let attribute = code
            .get(start..)
            .and_then(|rest| rest.split(']').next())
            .unwrap_or("");
        let after = start + attribute.len();
        let is_test = words(attribute).any(|word| word == "test") && !attribute.contains("not(");
        from = if is_test {
            item_end(code, after)
        } else {
            after
        };
        if is_test {
            spans.push(start..from);
        }
    }
    spans
}

/// Identifiers and numbers of a piece of code.
pub fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

/// Where an item ends: at the brace that closes its body, or at its semicolon. `from` is at the
/// bracket that ends its first attribute, or in its body.
pub fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 1usize;
    for (at, c) in code.get(from..).unwrap_or_default().char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' if depth <= 1 => return from + at + 1,
            '}' | ')' | ']' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => return from + at + 1,
            _ => {}
        }
    }
    code.len()
}

fn test_items(code: &str) -> Vec<Range<usize>> {
    let line_of = |at: usize| code.get(..at).unwrap_or(code).matches('\n').count();
    test_spans(code)
        .into_iter()
        .map(|span| line_of(span.start)..line_of(span.end) + 1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_apart_from_code() {
        let source = Source::parse(
            "let a = \"in // text\"; // said \"so\"\nlet c = '\"'; /* a /* b */ c */ let d = 'x';\n\
             let r = r#\"raw \" text\"#; fn f<'a>(x: &'a str) {}\nlet e = '\\''; g(b\"bytes\");",
            false,
        );
        for gone in ["text", "said", "bytes", "raw", " c */"] {
            assert!(!source.code.contains(gone), "{gone} in {}", source.code);
        }
        for kept in [
            "let a",
            "let c",
            "let d",
            "let r",
            "fn f<'a>(x: &'a str) {}",
            "let e",
            "g(b",
        ] {
            assert!(source.code.contains(kept), "{kept} not in {}", source.code);
        }
        assert!(source.prose.contains("in // text") && source.prose.contains("said \"so\""));
        assert_eq!(source.code.lines().count(), source.prose.lines().count());
    }

    #[test]
    fn test_items_end_where_they_end() {
        let source = Source::parse(
            "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { \"}\" }\n}\nfn c() {}\n\
             #[cfg(test)]\nmod more;\n#[cfg(not(test))]\nfn d() {}",
            false,
        );
        let tests: Vec<usize> = (0..10).filter(|line| source.is_test(*line)).collect();
        assert_eq!(tests, [1, 2, 3, 4, 6, 7]);
        assert_eq!(source.test_modules(), ["more"]);
    }
}
