// How a test says that it is skipped. Test programs include this file, and `suites.rs` reads what it
// prints: `skipped test: PROGRAM::TEST: CONDITION`, where the condition is what is absent.

/// Says that the running test is skipped, as `condition` is absent. The line passes by the capture of
/// the test harness, which shows nothing of tests that pass.
#[allow(dead_code, reason = "some test programs only look for files")]
pub fn skip(condition: &str) {
    use std::io::Write;
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("main");
    let line = format!(
        "\nskipped test: {}::{test}: {condition}\n",
        env!("CARGO_CRATE_NAME")
    );
    let _unread = std::io::stdout().write_all(line.as_bytes());
}

/// A file or folder of `shared/data` beside the repository; says that the test is skipped where it is
/// absent.
#[allow(dead_code, reason = "some test programs need no such file")]
pub fn shared(path: &str) -> Option<std::path::PathBuf> {
    let condition = format!("../shared/data/{path}");
    let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = crates.join("../..").join(&condition);
    if !found.exists() {
        skip(&condition);
        return None;
    }
    Some(found)
}
