//! Writes the table. It is a program of its own, as `xtask` needs the table to be built: `cargo run -p schema-table`.

use std::path::Path;

use anyhow::Context;
use schema_table::{TABLE, table};

fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = table(&root.join("proto"))?;
    std::fs::write(root.join(TABLE), text).with_context(|| format!("cannot write {TABLE}"))?;
    println!("{TABLE}: written");
    Ok(())
}
