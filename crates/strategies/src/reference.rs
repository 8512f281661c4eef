//! The reference of kinds, generated from what they declare.

use std::fmt::Write;

use crate::kind::{InstrumentsWanted, KindRegistry};

/// The reference of all registered kinds in Markdown.
pub fn reference_markdown(registry: &KindRegistry) -> String {
    let mut out = String::from(
        "# Strategies\n\nThe kinds that a definition's `kind` may name, and what their `parameters` take.\n\
         A `shared` kind sees the market only: it runs once and its decisions go to all its brokers.\n\
         A `per_broker` kind also sees its own fills and position: one instance runs for each broker.\n",
    );
    for kind in registry.iter() {
        let instruments = match kind.instruments {
            InstrumentsWanted::Any => "any number".to_owned(),
            InstrumentsWanted::InOrder(count) => format!("exactly {count}, in the order listed"),
        };
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "\n## `{}`\n\n{}.\n\nScope: `{}`. Instruments: {instruments}.\n\n\
             | parameter | type | default | meaning |\n|---|---|---|---|\n",
            kind.name,
            capitalised(kind.summary),
            kind.scope.name(),
        );
        for p in kind.parameters {
            let default = p
                .default
                .map_or_else(|| "required".to_owned(), |d| format!("`{d}`"));
            let _ = writeln!(
                out,
                "| `{}` | {}: {} | {default} | {} |",
                p.name,
                p.kind.name(),
                p.kind.to_string().replace('|', "\\|"),
                p.doc.replace('|', "\\|"),
            );
        }
    }
    out
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}
