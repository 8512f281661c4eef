//! What the tests need beyond cargo.

use std::process::{Command, Stdio};

use anyhow::bail;

/// Sees to what the existing tests need and says so. Servers, a browser and the like will be
/// installed here by the change that brings the tests which use them.
pub fn run() -> anyhow::Result<()> {
    // Whoever runs this has a toolchain and a linker: cargo built it. What is left is the C
    // compiler under the name that the build of zstd looks for.
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    if !answers(&compiler) {
        bail!(
            "no C compiler `{compiler}`, which compression needs: install one \
             (Debian and Ubuntu: apt-get install build-essential), or name it in CC"
        );
    }
    println!("provision: C compiler `{compiler}` is there; the tests need nothing else");
    Ok(())
}

/// Whether a program runs.
pub fn answers(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
