//! One run of the binary that must come to an end.

use std::fs::File;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::harness::{Ran, World};

/// How long one run may take before it counts as stuck.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Runs the binary with its output in files, so that no pipe fills. Panics where it is stuck, was ended by a
/// signal, or panicked.
pub fn run(world: &World, args: &[&str], name: &str) -> Ran {
    let file = |name: &str| File::create(world.path(name)).unwrap();
    let mut child = world
        .command()
        .args(args)
        .stdin(Stdio::null())
        .stdout(file("stdout"))
        .stderr(file("stderr"))
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    let read = |name: &str| {
        let bytes = std::fs::read(world.path(name)).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{name}: {args:?} is stuck: {}", read("stderr"));
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let ran = Ran {
        ok: status.success(),
        stdout: read("stdout"),
        stderr: read("stderr"),
    };
    assert!(
        status.code().is_some_and(|code| code != 101),
        "{name}: {args:?}: {status}: {}",
        ran.stderr
    );
    assert!(
        !ran.stderr.contains("panicked"),
        "{name}: {args:?}: a panic: {}",
        ran.stderr
    );
    ran
}

/// What a failed run says at its end: a line of the log, or a plain message.
pub fn message(ran: &Ran) -> String {
    let last = ran.stderr.lines().last().unwrap_or_default();
    let logged = serde_json::from_str::<serde_json::Value>(last).ok();
    if let Some(logged) = logged {
        assert_eq!(logged["level"], "error", "{}", ran.stderr);
        return format!("error: {}", logged["message"].as_str().unwrap_or_default());
    }
    let from = ran.stderr.find("error: ").unwrap_or(0);
    ran.stderr[from..].to_owned()
}
