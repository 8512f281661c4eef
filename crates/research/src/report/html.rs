//! Just enough to write HTML and inline JSON in which nothing can break out of its place.

use std::fmt::{Display, Write};

/// Text for HTML content and for attributes in double quotes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Control characters have no place in a page, apart from white space.
            c if c.is_control() && !c.is_whitespace() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// JSON for a `<script>` element: no tag can begin or end in it, and no line separator of older
/// scripts either.
pub fn script_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match c {
            // These occur only within strings of valid JSON.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                put(&mut out, format_args!("\\u{:04x}", c as u32))
            }
            c => out.push(c),
        }
    }
    out
}

/// Appends; writing to a string cannot fail.
pub fn put(out: &mut String, value: impl Display) {
    let _infallible = write!(out, "{value}");
}

/// How a column is set and sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Left, by its text.
    Text,
    /// Right, by its number.
    Number,
}

/// A table that can be sorted by its columns. Rows and cells are escaped here.
#[derive(Debug)]
pub struct Table {
    html: String,
    columns: Vec<Column>,
    at: usize,
    rows: usize,
}

impl Table {
    /// Begins a table with a caption for screen readers.
    pub fn new(caption: &str, columns: &[(&str, Column)]) -> Self {
        let mut html = format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table class=\"sortable\"><caption>{0}</caption><thead><tr>",
            escape(caption)
        );
        for (name, column) in columns {
            let class = if *column == Column::Number {
                " class=\"n\""
            } else {
                ""
            };
            put(
                &mut html,
                format_args!("<th scope=\"col\"{class}>{}</th>", escape(name)),
            );
        }
        html.push_str("</tr></thead><tbody>");
        Self {
            html,
            columns: columns.iter().map(|(_, c)| *c).collect(),
            at: 0,
            rows: 0,
        }
    }

    /// Begins a row.
    pub fn row(&mut self) -> &mut Self {
        if self.rows > 0 {
            self.html.push_str("</tr>");
        }
        self.html.push_str("<tr>");
        (self.at, self.rows) = (0, self.rows + 1);
        self
    }

    /// How many rows there are.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a cell of text, or of a number that is its own sort key.
    pub fn cell(&mut self, text: &str) -> &mut Self {
        self.raw("", None, text, "")
    }

    /// Adds a cell of a number that is shown as `text`; `exact` is its sort key.
    pub fn number(&mut self, text: &str, exact: impl Display) -> &mut Self {
        self.raw("", Some(exact.to_string()), text, "")
    }

    /// Adds a signed amount: coloured, with its exact value as a hint.
    pub fn signed(&mut self, text: &str, exact: impl Display) -> &mut Self {
        let exact = exact.to_string();
        let class = sign_class(&exact);
        self.raw(class, Some(exact.clone()), text, &exact)
    }

    fn raw(&mut self, class: &str, key: Option<String>, text: &str, title: &str) -> &mut Self {
        let number = self.columns.get(self.at) == Some(&Column::Number);
        let class = match (number, class) {
            (false, "") => String::new(),
            (false, class) => format!(" class=\"{class}\""),
            (true, "") => " class=\"n\"".to_owned(),
            (true, class) => format!(" class=\"n {class}\""),
        };
        let key = key.map_or_else(String::new, |k| format!(" data-v=\"{}\"", escape(&k)));
        let title = match title {
            "" => String::new(),
            title => format!(" title=\"{}\"", escape(title)),
        };
        put(
            &mut self.html,
            format_args!("<td{class}{key}{title}>{}</td>", escape(text)),
        );
        self.at += 1;
        self
    }

    /// The table's HTML.
    pub fn finish(mut self) -> String {
        if self.rows > 0 {
            self.html.push_str("</tr>");
        }
        self.html.push_str("</tbody></table></div>");
        self.html
    }
}

/// A message as HTML: what stands in backquotes is code, what stands in double asterisks is strong.
pub fn message(text: &str) -> String {
    let mut out = escape(text);
    for (mark, tag) in [("`", "code"), ("**", "strong")] {
        let parts: Vec<&str> = out.split(mark).collect();
        // A mark without its second one is a character like others.
        let paired = (parts.len() - 1) / 2 * 2;
        let mut marked = String::with_capacity(out.len() + 16);
        for (at, part) in parts.iter().enumerate() {
            match at {
                0 => {}
                n if n > paired => marked.push_str(mark),
                n if n % 2 == 1 => put(&mut marked, format_args!("<{tag}>")),
                _ => put(&mut marked, format_args!("</{tag}>")),
            }
            marked.push_str(part);
        }
        out = marked;
    }
    out
}

/// The class of a signed number's text.
pub fn sign_class(exact: &str) -> &'static str {
    if exact.starts_with(['-', '\u{2212}']) {
        "neg"
    } else if exact.bytes().any(|b| matches!(b, b'1'..=b'9')) {
        "pos"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_their_marks() {
        for (text, shown) in [
            (
                "set `a < b` and **this**",
                "set <code>a &lt; b</code> and <strong>this</strong>",
            ),
            ("`a` or `b", "<code>a</code> or `b"),
            ("2 ** 3 `<script>`", "2 ** 3 <code>&lt;script&gt;</code>"),
        ] {
            assert_eq!(message(text), shown);
        }
    }

    #[test]
    fn nothing_breaks_out() {
        assert_eq!(escape("<b a=\"'&\0"), "&lt;b a=&quot;&#39;&amp;\u{fffd}");
        let evil = serde_json::to_string("</script><!--\u{2028}&").unwrap();
        let safe = script_json(&evil);
        assert!(!safe.contains(['<', '>', '&', '\u{2028}']));
        let back: String = serde_json::from_str(&safe).unwrap();
        assert_eq!(back, "</script><!--\u{2028}&");
        assert_eq!(
            (sign_class("-0.5"), sign_class("0.00"), sign_class("0.1")),
            ("neg", "", "pos")
        );
    }
}
